"""A data set of TensorFlow Datasets, made by the test: nothing is downloaded."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.images import decode_image
from metrifier_core.sources import SourceItem, TfdsSource, list_items, listing_digest
from metrifier_core.stages.download import download
from tests.helpers.bad_images import picture

SIZES = {"train": 30, "test": 10}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a folder with a small prepared data set, `tiny`."""
    import tensorflow_datasets as tfds

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
            features = {"image": image, "label": tfds.features.ClassLabel(num_classes=3), "note": tfds.features.Text()}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, _: Any) -> Any:
            return {split: self._generate_examples(size) for split, size in SIZES.items()}

        def _generate_examples(self, size: int) -> Any:
            for index in range(size):
                yield index, {"image": picture(8, 8 + index), "label": index % 3, "note": "nothing"}

    folder = tmp_path_factory.mktemp("tensorflow_datasets")
    Tiny(data_dir=str(folder)).download_and_prepare()
    tfds.core.registered._DATASET_REGISTRY.pop("tiny", None)
    return folder


def listed(prepared: Path, **more: Any) -> list[SourceItem]:
    return list_items(TfdsSource.model_validate({"kind": "tfds", "name": "tiny", "data_dir": str(prepared), **more}))


def check(items: list[SourceItem]) -> None:
    """Images are as wide as their number says, of which the label is the rest."""
    for item in items:
        pixels = decode_image(item.read())
        index = pixels.shape[1] - 8
        np.testing.assert_array_equal(pixels, picture(8, 8 + index))
        assert item.label == index % 3


def test_examples_keep_their_identities_labels_and_pixels(prepared: Path) -> None:
    items = listed(prepared)
    assert len({item.image_id for item in items}) == SIZES["train"]
    assert all(item.image_id.startswith("tiny-train.tfrecord-") for item in items)
    check(items)
    assert listing_digest(items) == listing_digest(listed(prepared))


def test_splits_are_those_of_tensorflow_datasets(prepared: Path) -> None:
    some = listed(prepared, split="train[:50%]+test")
    assert len(some) == 25
    check(some)
    everything = {item.image_id for item in listed(prepared, split="train+test")}
    assert {item.image_id for item in some} < everything


def test_a_choice_is_read_alone(prepared: Path) -> None:
    few = listed(prepared, max_sources=3)
    assert [item.image_id for item in few] == [item.image_id for item in listed(prepared)[:3]]
    check(few)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "tinny"}, "source.name: there is no data set 'tinny': "),
        ({"split": "validation"}, "source.split: 'validation' of 'tiny': .*validation"),
        ({"image_feature": "img"}, r"source.image_feature: 'img' of 'tiny' is not an image; there are image \(Image\)"),
        ({"label_feature": "note"}, "source.label_feature: 'note' of 'tiny' is not a class label; there are "),
    ],
)
def test_what_the_data_set_has_not_is_refused(settings: dict[str, str], message: str, prepared: Path) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        listed(prepared, **settings)


def test_a_missing_package_is_named_with_its_extra(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match=r"^source.kind: tfds needs packages .*: install metrifier\[train,tfds\]$"):
        listed(prepared)


def test_download_reads_a_data_set(prepared: Path, tmp_path: Path) -> None:
    splits = [{"calibration": 0.25, "train": 0.25, "validation": 0.25, "test": 0.25}]
    source = {"kind": "tfds", "name": "tiny", "data_dir": str(prepared)}
    summary = download(source, splits, 0, 2, tmp_path / "images")
    assert (summary["read"], summary["accepted"], summary["rejected"]) == (30, 30, 0)
