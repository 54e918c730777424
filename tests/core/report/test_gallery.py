"""The gallery: sorted, whole, bounded, and trusting no name."""

import io
import os
import re
from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from metrifier_core import Score
from metrifier_core.images import encode_png
from metrifier_core.report.gallery import MAX_SHOWN, Gallery
from tests.helpers.bad_images import picture
from tests.helpers.html_page import Page

HOSTILE = "<script>alert(1)<&'\"#?%.png"


def draw(scores: list[Score], folder: Path, threshold: float | None = None) -> str:
    gallery = Gallery(threshold)
    for score in scores:
        gallery.add(score)
    return gallery.render(folder)


def links(html: str) -> list[str]:
    return [values["href"] or "" for tag, values in Page(html).elements if tag == "a"]


def pictures(html: str) -> list[dict[str, str | None]]:
    return [values for tag, values in Page(html).elements if tag == "img"]


def write_image(path: Path, height: int = 16, width: int = 24) -> str:
    path.write_bytes(encode_png(picture(height, width)))
    return str(path)


@pytest.fixture
def scores(tmp_path: Path) -> list[Score]:
    return [
        Score(write_image(tmp_path / f"{name}.png"), quality, None)
        for name, quality in (("good", 0.9), ("bad", 0.1), ("fair", 0.5), ("tie", 0.5))
    ]


def test_images_stand_from_the_worst_to_the_best_whatever_order_they_came_in(
    scores: list[Score], tmp_path: Path
) -> None:
    html = draw(scores, tmp_path)
    assert links(html) == ["bad.png", "fair.png", "tie.png", "good.png"]
    assert [values["alt"] for values in pictures(html)] == links(html)
    assert re.findall(r"<b>([\d.]+)</b>", html) == ["0.100", "0.500", "0.500", "0.900"]
    assert draw(scores[::-1], tmp_path) == html
    assert "4 images by predicted quality" in html


def test_a_threshold_parts_them(scores: list[Score], tmp_path: Path) -> None:
    html = draw(scores, tmp_path, 0.5)
    rejected, accepted = html.split("Accepted: 3")
    assert "Rejected: 1" in rejected
    assert "A threshold of 0.5 rejects 1 and accepts 3." in rejected
    assert [re.findall(r'alt="(\w+)', part) for part in (rejected, accepted)] == [["bad"], ["fair", "tie", "good"]]


def test_the_page_needs_nothing_else_and_is_accessible(scores: list[Score], tmp_path: Path) -> None:
    html = draw([*scores, Score("lost.png", None, "empty file")], tmp_path, 0.5)
    page = Page(html)
    assert dict(page.elements)["html"]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3"}]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "url(" not in html
    assert "prefers-color-scheme: dark" in html
    assert len(pictures(html)) == 4
    for values in pictures(html):
        assert values["alt"]
        assert (values["src"] or "").startswith("data:image/jpeg;base64,")
    assert page.row("lost.png") == ["empty file"]


def test_thumbnails_are_small_pictures_of_their_files(tmp_path: Path) -> None:
    wide, small = write_image(tmp_path / "wide.png", 300, 900), write_image(tmp_path / "small.png")
    shown = pictures(draw([Score(wide, 0.2, None), Score(small, 0.4, None)], tmp_path))
    assert [(values["width"], values["height"], values.get("class")) for values in shown] == [
        ("240", "80", None),
        ("24", "16", "small"),
    ]
    for values, size in zip(shown, ((80, 240), (16, 24)), strict=True):
        encoded = b64decode((values["src"] or "").partition(",")[2])
        found = np.asarray(Image.open(io.BytesIO(encoded)), np.float64)
        assert found.shape == (*size, 3)
        # Red and green run from edge to edge, whatever the size.
        assert abs(found - picture(*size))[..., :2].mean() < 12


def test_no_name_is_trusted(tmp_path: Path) -> None:
    folder, page = tmp_path / "images", tmp_path / "pages"
    folder.mkdir()
    hostile = write_image(folder / HOSTILE)
    bytes_ = write_image(folder / os.fsdecode(b"caf\xe9.png"))
    html = draw([Score(hostile, 0.1, None), Score(bytes_, 0.2, None), Score(HOSTILE, None, HOSTILE)], page)
    assert "<script>" not in html
    assert [values["alt"] for values in pictures(html)] == [HOSTILE, r"caf\xe9.png"]
    for link, path in zip(links(html), (hostile, bytes_), strict=True):
        assert os.path.normpath(os.fsencode(page) + b"/" + unquote_to_bytes(link)) == os.fsencode(path)
    assert Page(html).rows[-1] == [HOSTILE, HOSTILE]


def test_a_page_holds_the_extremes_and_some_of_all_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # which images are drawn depends on their names
    one = write_image(tmp_path / "one.png")
    gallery = Gallery(threshold=0.75)
    for index in range(2000):
        name = f"{index:04d}.png"
        os.link(one, name)
        gallery.add(Score(name, index / 2000, None))
    assert sum(len(chosen.held) for chosen in gallery._chosen) == MAX_SHOWN
    html = gallery.render(Path())
    shown = [int(link[:4]) for link in links(html)]
    assert shown == sorted(shown)
    assert {*range(50), *range(1476, 1525), *range(1950, 2000)} <= set(shown)
    assert "2,000 images by predicted quality" in html
    assert f"{len(shown)} of the images are shown" in html
    assert "rejects 1,500 and accepts 500" in html
    # 300 of 2,000: in a tenth of the scores 30, with a deviation of 5.
    for low in range(200, 1400, 200):
        assert 10 < sum(low <= index < low + 200 for index in shown) < 50


def test_few_errors_of_many_are_shown(tmp_path: Path) -> None:
    html = draw([Score(f"{index}.png", None, "empty file") for index in range(1000)], tmp_path)
    assert "Could not be scored: 1,000" in html
    assert "The first 50 are shown." in html
    assert html.count("empty file") == 50
    assert "0 images by predicted quality" in html


def test_a_file_that_is_gone_is_left_out(scores: list[Score], tmp_path: Path) -> None:
    (tmp_path / "fair.png").unlink()
    assert links(draw(scores, tmp_path)) == ["bad.png", "tie.png", "good.png"]


def test_a_gallery_shows_what_it_holds(scores: list[Score]) -> None:
    gallery = Gallery(0.5)
    gallery.add(scores[0])
    gallery.add(Score("lost.png", None, "empty file"))
    assert repr(gallery) == "Gallery(threshold=0.5, scored=1, failed=1)"
