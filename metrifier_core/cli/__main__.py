"""The command line as `python -m metrifier_core.cli`."""

from metrifier_core.cli import main

main()
