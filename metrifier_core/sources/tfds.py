"""Data sets of TensorFlow Datasets, by name."""

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from metrifier_core.images import ImageError
from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.items import SourceItem, SourceSettings, faulty_item
from metrifier_core.sources.spool import Piece, Spool
from metrifier_core.sources.storage import SourceError, too_large


class TfdsSource(SourceSettings):
    """A data set that TensorFlow Datasets downloads and prepares where it does not exist yet."""

    location_setting: ClassVar[str] = "name"
    kind: Literal["tfds"]
    name: str = Field(min_length=1, description="such as imagenette/320px-v2:1.0.0")
    split: str = Field("train", min_length=1, description="such as train, train[:10%] or train+validation")
    data_dir: ConfigLocation | None = Field(
        None, description="where prepared data sets are; ~/tensorflow_datasets else"
    )
    image_feature: str = Field("image", min_length=1)
    label_feature: str = Field("label", min_length=1)

    def list_images(self) -> list[SourceItem]:
        """List the examples; their identities are those of TensorFlow Datasets."""
        builder = _prepare(self)
        _check(self, builder)
        content = (builder.data_path / "dataset_info.json").read_bytes()
        stamp = f"{builder.info.full_name} {hashlib.sha256(content).hexdigest()[:16]}"
        spool = Spool(partial(_pieces, self, builder))
        items = []
        try:
            for number, example in enumerate(_examples(self, builder, self.label_feature)):
                image_id, label = example["tfds_id"].decode(), int(example[self.label_feature])
                if label < 0:
                    items.append(faulty_item(image_id, "it has no label"))
                else:
                    items.append(spool.item(image_id, label, number, stamp))
        except ValueError as error:
            raise SourceError(f"'{self.split}' of '{self.name}': {error}", "split") from error
        return spool.choose(items, self.max_sources)


def _prepare(settings: TfdsSource) -> Any:
    """Return the builder of a data set that is prepared, after a download where it has to be."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        remedy = "install metrifier[train,tfds]"
        raise SourceError(f"tfds needs packages that are not installed: {remedy}", "kind") from error
    try:
        builder = tfds.builder(settings.name, data_dir=settings.data_dir)
    except Exception as error:  # any, from the data set's own code too
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise SourceError(f"there is no data set '{settings.name}': {first}") from error
    try:
        builder.download_and_prepare()
    except Exception as error:  # as above, and those of the network
        raise SourceError(f"'{settings.name}' cannot be prepared: {error}") from error
    return builder


def _check(settings: TfdsSource, builder: Any) -> None:
    """Raise if the data set lacks a feature, or has another kind of feature under that name."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features)
    expected = (
        ("image_feature", tfds.features.Image, "an image"),
        ("label_feature", tfds.features.ClassLabel, "a class label"),
    )
    for setting, kind, meaning in expected:
        name = getattr(settings, setting)
        if not isinstance(features.get(name), kind):
            present = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in sorted(features.items()))
            raise SourceError(f"'{name}' of '{settings.name}' is not {meaning}; there are {present}", setting)


def _examples(settings: TfdsSource, builder: Any, feature: str, **options: Any) -> Iterator[dict[str, Any]]:
    """Yield one feature and the identity of each example, in the stored order."""
    import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding({feature: builder.info.features[feature]}, **options)
    # One file after the other, with nothing read ahead or cached.
    reading = tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1, skip_prefetch=True, try_autocache=False)
    examples = builder.as_dataset(split=settings.split, decoders=decoders, read_config=reading, shuffle_files=False)
    return iter(examples.as_numpy_iterator())


def _pieces(settings: TfdsSource, builder: Any, wanted: frozenset[int]) -> Iterator[tuple[int, Piece]]:
    import tensorflow_datasets as tfds

    as_stored = {settings.image_feature: tfds.decode.SkipDecoding()}
    examples = _examples(settings, builder, settings.image_feature, decoders=as_stored)
    for number, example in enumerate(examples):
        if number in wanted:
            data = example[settings.image_feature]
            fault = too_large(len(data))
            yield number, ImageError(fault) if fault else data
