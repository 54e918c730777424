"""The command line as `python -m metrifier_core`."""

from metrifier_core.cli import main

main()
