"""What holds for all tests."""

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
}
"""Files whose tests share a fixture that takes minutes, and the fixture."""

# A busy machine is no reason for an example to fail.
settings.register_profile("metrifier", deadline=None)
settings.load_profile("metrifier")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadFileScheduling":
    """Gives a file to one process, and files that share a fixture to the same one."""
    from xdist.scheduler import LoadFileScheduling

    class SharingScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return SHARING.get(file, file)

    return SharingScheduling(config, log)


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """A headless browser for tests that are marked `browser`."""
    from tests.helpers.pages import find_chromium, start_chromium

    program = find_chromium()
    if program is None:
        pytest.skip("there is no chromium: make browser installs it on Debian, as root")
    with start_chromium(program) as browser:
        yield browser


@pytest.fixture
def inspect(chromium: "Browser") -> Callable[[str, str], None]:
    """`inspect(ADDRESS, NAME)`: see `tests.helpers.pages.inspect_page`."""
    from tests.helpers.pages import inspect_page

    return partial(inspect_page, chromium)
