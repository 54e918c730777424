"""The command line, with a file for each command."""

from metrifier_core.cli.app import app, main

__all__ = ["app", "main"]
