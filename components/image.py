"""The default container image of components."""

from metrifier_core import __version__

DEFAULT_IMAGE = f"metrifier-python:{__version__}"
"""The version is in the tag, since KFP caches by the image's name."""
