"""docs/python.md: every block of Python runs, and says what the page says of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.images import encode_png
from tests.helpers.documents import python_blocks, run_block
from tests.helpers.tiny_models import write_brightness_metrifier

PAGE = "python.md"
SETUP, *BLOCKS = python_blocks(PAGE)
GREYS = {"a.jpg": 200, "b.jpg": 50, "c.jpg": 120}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page names: a model that says how bright images are, and photographs."""
    monkeypatch.chdir(tmp_path)
    write_brightness_metrifier(tmp_path / "runs" / "digits" / "model")
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, level in GREYS.items():
        (photos / name).write_bytes(encode_png(np.full((64, 96, 3), level, np.uint8)))
    (photos / "broken.jpg").write_text("no image")
    return tmp_path


def scores(names: dict[str, Any]) -> None:
    assert names["quality"] == pytest.approx(200 / 255)
    assert "not an image" in names["score"].error


def files(names: dict[str, Any]) -> None:
    assert [path.name for path in names["kept"]] == ["a.jpg", "c.jpg"]
    assert [path.name for path in names["bad"]] == ["broken.jpg"]


def samples(names: dict[str, Any]) -> None:
    assert [sample["cls"] for sample in names["kept"]] == [0, 2]


def batches(names: dict[str, Any]) -> None:
    for _ in range(2):  # epochs
        kept = sorted(int(label) for _, labels in names["batches"] for label in labels)
        assert kept == [label for label in range(20) if 12 * label >= 0.4 * 255]


def maps(names: dict[str, Any]) -> None:
    explanation = names["explanation"]
    assert explanation.parts.shape == explanation.occlusion.shape == (4, 6)
    np.testing.assert_allclose(explanation.parts, explanation.quality, atol=1e-6)


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "scores": scores,
    "files": files,
    "encoded samples": samples,
    "tf.data": batches,
    "torch, by indices": batches,
    "torch, a stream": batches,
    "maps": maps,
}


@pytest.mark.parametrize(
    ("block", "check"),
    [pytest.param(block, check, id=name) for block, (name, check) in zip(BLOCKS, CHECKS.items(), strict=True)],
)
def test_a_block_does_what_the_page_says(block: str, check: Callable[[dict[str, Any]], None]) -> None:
    if "import torch" in block or "from torch" in block:
        pytest.importorskip("torch", reason="torch is not installed: make test-torch")
    names: dict[str, Any] = {}
    run_block(PAGE, SETUP, names)
    run_block(PAGE, block, names)
    check(names)
