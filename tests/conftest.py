"""What holds for all tests."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A busy machine is no reason for an example to fail.
settings.register_profile("metrifier", deadline=None)
settings.load_profile("metrifier")


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """A headless browser for tests that are marked `browser`."""
    from tests.browser.pages import find_chromium, start_chromium

    program = find_chromium()
    if program is None:
        pytest.skip("there is no chromium: make browser installs it on Debian, as root")
    with start_chromium(program) as browser:
        yield browser


@pytest.fixture
def inspect(chromium: "Browser") -> Callable[[str, str], None]:
    """`inspect(ADDRESS, NAME)`: see `tests.browser.pages.inspect_page`."""
    from tests.browser.pages import inspect_page

    return partial(inspect_page, chromium)
