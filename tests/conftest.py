"""Settings and fixtures of all tests."""

import gc
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from xdist.scheduler import LoadFileScheduling

SHARING = {
    "tests/components/test_components.py": "made",
    "tests/components/test_gate.py": "made",
    "tests/end_to_end/test_pipeline.py": "undisturbed",
    "tests/end_to_end/test_notebook.py": "undisturbed",
    "tests/end_to_end/test_interrupted.py": "unlogged",
    "tests/end_to_end/test_tracking_server_down.py": "unlogged",
    "tests/core/runtimes/test_selection.py": "exported_model",
    "tests/core/scoring/test_metrifier.py": "exported_model",
}
"""Files whose tests share a slow fixture, and the fixture: one process runs them all."""

FIRST = ("tests/end_to_end/", "tests/components/test_components.py", "tests/components/test_gate.py")
"""The slowest tests, which start first: the many fast ones then fill both processes to the end."""

# The processes of a test run share the cores: more threads would wait for each other, spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine must not fail an example.
settings.register_profile("metrifier", deadline=None)
settings.load_profile("metrifier")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Move the slowest tests to the front, and skip those in containers unless they are asked for."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
    if "containers" not in config.option.markexpr:
        skipped = pytest.mark.skip(reason="needs images and what runs them: make test-containers")
        for item in items:
            if item.get_closest_marker("containers"):
                item.add_marker(skipped)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadFileScheduling":
    """Give each file to one process, and files that share a slow fixture to the same one."""
    from xdist.scheduler import LoadFileScheduling

    class SharingScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return SHARING.get(file, file)

    return SharingScheduling(config, log)


@pytest.fixture(scope="module", autouse=True)
def _short_collections() -> Iterator[None]:
    """Spare garbage collections what earlier files left, since Keras collects whenever its state is cleared."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """Provide a headless browser for tests marked `browser`."""
    from tests.helpers.pages import find_chromium, start_chromium

    program = find_chromium()
    if program is None:
        pytest.skip("chromium is not installed: make browser installs it (on Debian, as root)")
    with start_chromium(program) as browser:
        yield browser


@pytest.fixture
def inspect(chromium: "Browser") -> Callable[[str, str], None]:
    """`inspect(ADDRESS, NAME)`; see `tests.helpers.pages.inspect_page`."""
    from tests.helpers.pages import inspect_page

    return partial(inspect_page, chromium)
