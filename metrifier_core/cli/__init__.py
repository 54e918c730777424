"""The command line, a file a command."""

from metrifier_core.cli.app import app, main

__all__ = ["app", "main"]
