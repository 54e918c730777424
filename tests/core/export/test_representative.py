"""Representative views: training versions only, from the whole data set."""

from pathlib import Path

import numpy as np
import pytest

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.records import IMAGES, KEYS, QUALITY, open_writer
from metrifier_core.export import representative_views
from metrifier_core.images import encode_png


def write_dataset(folder: Path, splits: list[str]) -> QualityDataset:
    """Write a flat image per version, in its own row group, as bright as its index."""
    versions, quality = folder / "versions.parquet", folder / "quality.parquet"
    with open_writer(versions, IMAGES, "v") as images, open_writer(quality, QUALITY, "q") as qualities:
        for place, split in enumerate(splits):
            png = encode_png(np.full((20, 30, 3), place, np.uint8))
            identity = (f"image-{place}", 0, "pristine", 0, 0, split)
            keys = dict(zip(("image_id", "label", "distortion", "severity", "seed", "split"), identity, strict=True))
            row = {name: keys[name] for name in KEYS}
            images.write({**row, "image": {"bytes": png, "path": None}})
            qualities.write({**row, "quality": 0.5})
            images.flush()
    return QualityDataset([versions], quality)


def places_of(dataset: QualityDataset, count: int) -> list[int]:
    views = representative_views(dataset, 32, count=count)
    assert views.shape[1:] == (32, 32, 3)
    assert views.dtype == np.uint8
    return [int(view[0, 0, 0]) for view in views]


def test_views_come_evenly_from_all_over_the_training_versions(tmp_path: Path) -> None:
    found = places_of(write_dataset(tmp_path, ["train"] * 100), 16)
    assert found == np.linspace(0, 99, 16).round().tolist()


def test_other_splits_are_never_shown(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, (["test"] * 9 + ["train"]) * 4)
    assert sorted(places_of(dataset, 16)) == [9, 19, 29, 39], "fewer than were wanted, where there are no more"
    assert len(representative_views(dataset, 32, "test")) == 36


def test_no_training_versions_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no train versions"):
        representative_views(write_dataset(tmp_path, ["test"] * 3), 32)
