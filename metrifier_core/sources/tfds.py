"""Data sets of TensorFlow Datasets, by their name."""

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field

from metrifier_core.images import ImageError
from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.items import SourceItem, SourceSettings, choose_items, faulty_item
from metrifier_core.sources.spool import Piece, Spool
from metrifier_core.sources.storage import SourceError, too_large


class TfdsSource(SourceSettings):
    """A data set, which TensorFlow Datasets downloads and prepares where it is not there yet."""

    kind: Literal["tfds"]
    name: str = Field(min_length=1, description="such as imagenette/320px-v2:1.0.0")
    split: str = Field("train", min_length=1, description="such as train, train[:10%] or train+validation")
    data_dir: ConfigLocation | None = Field(
        None, description="where prepared data sets are; ~/tensorflow_datasets else"
    )
    image_feature: str = Field("image", min_length=1)
    label_feature: str = Field("label", min_length=1)


def _prepare(settings: TfdsSource) -> Any:
    """Finds the data set, and downloads and prepares it if need be."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        remedy = "install metrifier[train,tfds]"
        raise SourceError(f"source.kind: tfds needs packages that are not installed: {remedy}") from error
    try:
        builder = tfds.builder(settings.name, data_dir=settings.data_dir)
    except Exception as error:  # its own, ValueError, and those of the data set's own code
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise SourceError(f"source.name: there is no data set '{settings.name}': {first}") from error
    try:
        builder.download_and_prepare()
    except Exception as error:  # as above, and those of the network
        raise SourceError(f"source.name: '{settings.name}' cannot be prepared: {error}") from error
    return builder


def _check(settings: TfdsSource, builder: Any) -> None:
    import tensorflow_datasets as tfds

    features = dict(builder.info.features)
    named = (
        ("image_feature", settings.image_feature, tfds.features.Image, "an image"),
        ("label_feature", settings.label_feature, tfds.features.ClassLabel, "a class label"),
    )
    for setting, name, kind, expected in named:
        if not isinstance(features.get(name), kind):
            there = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in sorted(features.items()))
            raise SourceError(f"source.{setting}: '{name}' of '{settings.name}' is not {expected}; there are {there}")


def _examples(settings: TfdsSource, builder: Any, feature: str, **options: Any) -> Iterator[dict[str, Any]]:
    """Goes through the data set in its own order, with one feature of every example and its identity."""
    import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding({feature: builder.info.features[feature]}, **options)
    # One file after the other, nothing kept.
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
            reason = too_large(len(data))
            yield number, ImageError(reason) if reason else data


def list_tfds(settings: TfdsSource) -> list[SourceItem]:
    """Lists the examples of a data set, by the identities that TensorFlow Datasets gives them.

    Raises:
        ValueError: There is no such data set, split or feature, or it cannot be prepared; the message says which.
    """
    builder = _prepare(settings)
    _check(settings, builder)
    content = (builder.data_path / "dataset_info.json").read_bytes()
    stamp = f"{builder.info.full_name} {hashlib.sha256(content).hexdigest()[:16]}"
    spool = Spool("source.name", partial(_pieces, settings, builder))
    items, numbers = [], {}
    try:
        for number, example in enumerate(_examples(settings, builder, settings.label_feature)):
            image_id, label = example["tfds_id"].decode(), int(example[settings.label_feature])
            if label < 0:
                items.append(faulty_item(image_id, "it has no label"))
                continue
            numbers[image_id] = number
            items.append(SourceItem(image_id, label, partial(spool.read, number), stamp))
    except ValueError as error:
        raise SourceError(f"source.split: '{settings.split}' of '{settings.name}': {error}") from error
    chosen = choose_items(items, settings.max_sources)
    spool.want(numbers[item.image_id] for item in chosen if item.fault is None)
    return chosen
