"""The libraries that run networks, metrifiers and classifiers alike, behind one interface."""

from metrifier_core.runtimes.interface import Network
from metrifier_core.runtimes.selection import (
    RUNTIME_FILES,
    check_installed,
    choose_runtime,
    list_runtimes,
    load_runtime,
    open_runtime,
    runtime_of_file,
)

__all__ = [
    "RUNTIME_FILES",
    "Network",
    "check_installed",
    "choose_runtime",
    "list_runtimes",
    "load_runtime",
    "open_runtime",
    "runtime_of_file",
]
