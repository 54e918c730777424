"""The card beside a metrifier's weights."""

from pydantic import Field

from metrifier_core.settings.base import Settings

MODEL_CARD = "metrifier.json"


class ExportCheck(Settings):
    """What a network lost on its way into a file, on representative training views.

    Attributes:
        largest_difference: Between a score by the file and by the network, at most.
        spearman: Rank correlation of their scores; None where all views have one score.
    """

    largest_difference: float
    spearman: float | None


class MetrifierCard(Settings):
    """What stands beside a metrifier's weights.

    Attributes:
        architecture: Name of its network.
        crop: Pixels a side of its views.
        package_version: Version that trained it.
        fingerprint: Identity of what it was made from.
        parameters: Number of weights.
        best_epoch: The epoch whose weights were kept, from 1.
        validation_spearman: Of those weights.
        sha256: Of each file, by name.
        exports: What each file lost, by name.
    """

    architecture: str
    crop: int
    package_version: str
    fingerprint: str
    parameters: int
    best_epoch: int
    validation_spearman: float
    sha256: dict[str, str]
    exports: dict[str, ExportCheck] = Field(default_factory=dict)
