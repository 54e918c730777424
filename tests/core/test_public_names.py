"""The names that `metrifier_core` exports, each imported when it is first asked for."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import pytest

import metrifier_core


@pytest.mark.parametrize(("name", "module"), metrifier_core._MODULES.items())
def test_a_public_name_is_that_of_its_package(name: str, module: str) -> None:
    exported = import_module(f"metrifier_core.{module}")
    assert getattr(metrifier_core, name) is getattr(exported, name)
    assert getattr(metrifier_core, name).__doc__


def test_dir_and_all_show_every_public_name() -> None:
    assert dir(metrifier_core) == sorted(metrifier_core.__all__) == metrifier_core.__all__
    assert {*metrifier_core.__all__} == {*metrifier_core._MODULES, "__version__"}
    assert metrifier_core.__version__ == version("metrifier")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'metrifier_core' has no attribute 'Metrifer'$"):
        _ = metrifier_core.Metrifer
    assert not hasattr(metrifier_core, "metrifiers")


def test_the_import_of_the_package_loads_no_library() -> None:
    code = "import sys; import metrifier_core; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert {"cv2", "numpy", "pydantic", "tensorflow", "typer"}.isdisjoint(done.stdout.split())
