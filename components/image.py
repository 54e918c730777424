"""The container image that components run in, where a pipeline names no other."""

from metrifier_core import __version__

DEFAULT_IMAGE = f"metrifier-python:{__version__}"
"""Caching keys on the image's name: a new version of the package must be a new tag."""
