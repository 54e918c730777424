"""The gallery in a browser: it reads well on every screen, and its pictures are there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from metrifier_core import Score
from metrifier_core.images import encode_png
from metrifier_core.report.gallery import Gallery
from tests.helpers.bad_images import picture
from tests.helpers.pages import open_page

pytestmark = pytest.mark.browser

SHAPES = {"digit": (16, 16), "photo": (300, 400), "banner": (60, 900), "tower": (700, 50)}
SEVERAL = 6


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images of every shape, one of a long name, and two files that have no score."""
    folder = tmp_path_factory.mktemp("gallery")
    gallery = Gallery(0.5)
    names = [*(f"{shape}-{index}" for shape in SHAPES for index in range(SEVERAL)), f"photo-{'unbroken' * 12}"]
    for rank, name in enumerate(names):
        path = folder / f"{name}.png"
        path.write_bytes(encode_png(picture(*SHAPES[name.split("-")[0]])))
        gallery.add(Score(str(path), rank / len(names), None))
    gallery.add(Score(str(folder / "empty.png"), None, "empty file"))
    gallery.add(Score(str(folder / f"{'unbroken' * 12}.png"), None, "no image"))
    file = folder / "gallery.html"
    file.write_text(gallery.render(folder), encoding="utf-8")
    return file.as_uri()


def test_it_reads_well_on_every_screen(inspect: Callable[[str, str], None], address: str) -> None:
    inspect(address, "gallery")


def test_every_picture_is_shown_and_leads_to_its_file(chromium: Browser, address: str) -> None:
    with open_page(chromium, address) as page:
        pictures = page.locator("img")
        assert pictures.count() == SEVERAL * len(SHAPES) + 1
        for image in pictures.all():
            image.scroll_into_view_if_needed()
            drawn = image.evaluate("each => each.decode().then(() => Math.min(each.width, each.height))")
            assert drawn >= 60, image.get_attribute("alt")
        pictures.first.click()
        assert Path(page.url).name == "digit-0.png"
