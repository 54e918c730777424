"""The command line as a whole."""

import subprocess
import sys

from metrifier_core import __version__


def test_version_is_the_packages() -> None:
    command = [sys.executable, "-m", "metrifier_core", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"metrifier {__version__}\n"


def test_help_need_not_wait_for_heavy_libraries() -> None:
    heavy = ("cv2", "mlflow", "numpy", "onnxruntime", "pyarrow", "pydantic", "tensorflow")
    code = f"import sys, metrifier_core.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
