"""The card beside a metrifier's weights."""

from pydantic import Field

from metrifier_core.settings.base import Settings

MODEL_CARD = "metrifier.json"


class ExportCheck(Settings):
    """How far an exported file is from its network, on representative training views.

    Attributes:
        largest_difference: Between a score by the file and by the network.
        spearman: Rank correlation of their scores; None where all views have one score.
    """

    largest_difference: float
    spearman: float | None


class MetrifierCard(Settings):
    """The content of `metrifier.json`.

    Attributes:
        architecture: Name of the network.
        crop: Pixels a side of its views.
        package_version: Version that trained it.
        fingerprint: Identity of what it was made from.
        parameters: Number of weights.
        best_epoch: Epoch whose weights were kept, from 1.
        validation_spearman: Of those weights.
        sha256: Of each file, by name.
        exports: How far each exported file is from the network, by name.
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
