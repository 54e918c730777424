"""`python -m metrifier_core` is `metrifier`."""

from metrifier_core.cli import main

main()
