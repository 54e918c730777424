"""The libraries that a metrifier scores with, behind one interface."""

from metrifier_core.runtimes.interface import Runtime
from metrifier_core.runtimes.selection import (
    RUNTIME_FILES,
    choose_runtime,
    load_runtime,
    open_runtime,
    runtime_of_file,
)

__all__ = ["RUNTIME_FILES", "Runtime", "choose_runtime", "load_runtime", "open_runtime", "runtime_of_file"]
