"""Pages with a fault of each kind are caught, so that a page without a complaint can be believed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.helpers.pages import inspect_page

pytestmark = pytest.mark.browser

SOUND = "<h1>Sound</h1><details><summary>More</summary><p>Text</p></details>"


@pytest.fixture
def inspect_body(chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Inspects a page with this body."""
    monkeypatch.setattr("tests.helpers.pages.SCREENSHOTS", tmp_path / "screenshots")

    def inspect(body: str) -> None:
        page = tmp_path / "page.html"
        head = '<title>Page</title><meta name="viewport" content="width=device-width">'
        page.write_text(f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main></body></html>')
        inspect_page(chromium, page.as_uri(), "page")

    return inspect


def test_a_sound_page_leaves_its_screenshots(inspect_body: Callable[[str], None], tmp_path: Path) -> None:
    inspect_body(f"{SOUND}<div style='overflow-x: auto' tabindex='0'><p style='width: 1500px'>wide</p></div>")
    names = sorted(path.name for path in (tmp_path / "screenshots").iterdir())
    assert names == ["page-1280-dark.png", "page-1280-light.png", "page-390-dark.png", "page-390-light.png"]


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("<script>console.error('something broke')</script>", "something broke"),
        ("<script>throw new Error('nobody caught me')</script>", "nobody caught me"),
        ("<img alt='' src='https://example.org/pixel.png'>", "request of https://example.org/pixel.png"),
        ("<script>fetch('http://localhost:9/').catch(() => 0)</script>", "request of http://localhost:9/"),
        ("<p style='width: 1500px'>wide</p>", "is wider than 1280 pixels"),
        ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "image-alt"),
        ("<p style='color: #999; background: #fff'>faint</p>", "color-contrast"),
        ("<details><summary>More</summary><p style='color: #999; background: #fff'>faint</p></details>", "contrast"),
    ],
)
def test_every_fault_is_caught(inspect_body: Callable[[str], None], fault: str, complaint: str) -> None:
    with pytest.raises(AssertionError) as caught:
        inspect_body(SOUND + fault)
    assert complaint in str(caught.value)
