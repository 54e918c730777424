"""The stage `distort`: versions of a shard, and what it does with an image that a distortion refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.data.records import IMAGES, open_writer, read_rows, shard_file
from metrifier_core.distortions import PRISTINE, apply_distortion, version_seed
from metrifier_core.images import RgbImage, decode_image, encode_png
from metrifier_core.stages.distort import distort
from tests.helpers.bad_images import picture

SHARD = "00000-of-00001"


def write_sources(folder: Path, images: dict[str, RgbImage], split: str = "test") -> None:
    with open_writer(shard_file(folder, "images", SHARD), IMAGES, "sources") as writer:
        for image_id, image in images.items():
            keys = {"image_id": image_id, "label": 3, "distortion": PRISTINE, "severity": 0, "seed": 0, "split": split}
            writer.write({**keys, "image": {"bytes": encode_png(image), "path": image_id}})


def read_versions(folder: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    rows = read_rows(shard_file(folder, "versions", SHARD))
    return {(row["image_id"], row["distortion"], row["severity"]): row for row in rows}


def test_versions_are_what_apply_distortion_makes(tmp_path: Path) -> None:
    images = {"a": picture(40, 50), "b": picture(31, 33)}
    write_sources(tmp_path / "images", images)
    settings = {"types": ["gaussian_noise", "motion_blur", "jpeg"], "severities": [1, 4]}
    summary = distort(settings, 5, shard_file(tmp_path / "images", "images", SHARD), tmp_path / "versions")
    versions = read_versions(tmp_path / "versions")
    assert summary["versions"] == len(versions) == 2 * (1 + 3 * 2)
    assert summary["rejected"] == 0
    assert [path.name for path in (tmp_path / "versions").iterdir()] == [f"versions-{SHARD}.parquet"]
    for (image_id, distortion, severity), row in versions.items():
        assert row["label"] == 3
        pixels = decode_image(row["image"]["bytes"])
        if distortion == PRISTINE:
            expected = images[image_id]
        else:
            assert row["seed"] == version_seed(5, image_id, distortion)
            expected = apply_distortion(images[image_id], distortion, severity, np.random.default_rng(row["seed"]))
        np.testing.assert_array_equal(pixels, expected)


def test_levels_of_the_config_are_used(tmp_path: Path) -> None:
    write_sources(tmp_path / "images", {"a": picture(40, 50)})
    levels = {"contrast": [0.9, 0.8, 0.7, 0.6, 0.5]}
    settings = {"types": ["contrast"], "severities": [5], "levels": levels}
    distort(settings, 0, shard_file(tmp_path / "images", "images", SHARD), tmp_path / "versions")
    versions = read_versions(tmp_path / "versions")
    spread = [decode_image(row["image"]["bytes"]).astype(float).std(axis=(0, 1)) for row in versions.values()]
    assert spread[1] / spread[0] == pytest.approx(0.5, abs=0.02)


def test_an_image_that_a_distortion_refuses_is_recorded_and_keeps_its_other_versions(tmp_path: Path) -> None:
    images = {"long": np.full((8, 16_400, 3), 90, np.uint8), "short": picture(16, 16)}
    write_sources(tmp_path / "images", images)
    settings = {"types": ["contrast"], "held_out": ["webp"], "severities": [2]}
    summary = distort(settings, 0, shard_file(tmp_path / "images", "images", SHARD), tmp_path / "versions")
    assert set(read_versions(tmp_path / "versions")) == {
        ("long", PRISTINE, 0),
        ("long", "contrast", 2),
        ("short", PRISTINE, 0),
        ("short", "contrast", 2),
        ("short", "webp", 2),
    }
    (rejected,) = read_rows(shard_file(tmp_path / "versions", "rejected", SHARD))
    assert rejected["path"] == "long"
    assert rejected["reason"].startswith("webp: 16400 x 8 pixels: WebP holds at most 16383")
    assert summary["rejected"] == 1


OWN_MODULE = """
import numpy as np
from metrifier_core.distortions import register_distortion


@register_distortion("weather", (0.0, 1.0), prepare=lambda image, rng: rng.random(image.shape[:2]),
                     levels=(0.1, 0.2, 0.3, 0.4, 0.5))
def rain(image, amount, field):
    return np.where((field < amount)[:, :, None], np.uint8(WHITE), image)
"""


def test_a_distortion_of_the_user_makes_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_weather.py").write_text(OWN_MODULE.replace("WHITE", "255"))
    monkeypatch.syspath_prepend(tmp_path)
    write_sources(tmp_path / "images", {"a": np.zeros((40, 50, 3), np.uint8)})
    settings = {"types": ["my_weather:rain"]}
    distort(settings, 0, shard_file(tmp_path / "images", "images", SHARD), tmp_path / "versions")
    shares = [
        float((decode_image(row["image"]["bytes"]) == 255).mean())
        for row in read_versions(tmp_path / "versions").values()
    ]
    assert shares == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5], abs=0.03)
