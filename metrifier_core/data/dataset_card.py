"""The card beside ImageNet_Quality."""

from metrifier_core.settings.base import Settings

DATASET_CARD = "dataset.json"


class DatasetCard(Settings):
    """What `dataset.json` holds.

    Attributes:
        read: Number of files read from the source.
        accepted: How many of them are source images.
        rejected: How many could not be used.
        versions: Number of rows of the table.
        splits: Split -> number of source images.
        label_workers: The workers whose answers make the quality.
        quality: How they make it: the config's `merge.quality`.
        mean_quality: "DISTORTION SEVERITY" -> mean quality.
        sha256: Of the table.
    """

    read: int
    accepted: int
    rejected: int
    versions: int
    splits: dict[str, int]
    label_workers: tuple[str, ...]
    quality: str
    mean_quality: dict[str, float]
    sha256: str
