"""Which versions of packages a report was made with."""

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
    """Gives the versions of Python and of the packages that numbers may depend on; one that is missing is left out."""
    found = {"python": python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # stages of other images have it
    return found
