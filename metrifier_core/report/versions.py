"""Versions of the packages that a report was made with."""

from importlib.metadata import PackageNotFoundError, version
from platform import python_version

_PACKAGES = (
    "metrifier",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pyarrow",
    "scikit-learn",
    "onnxruntime",
    "onnxruntime-gpu",
    "ai-edge-litert",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "mlflow",
)


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that numbers may depend on."""
    versions = {"python": python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue  # it is in another stage's image
    return versions
