"""What a report shows."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from metrifier_core.data.dataset_card import DatasetCard
from metrifier_core.data.training_history import TrainingHistory
from metrifier_core.report.examples import Example
from metrifier_core.statistics import Metrics


@dataclass(frozen=True)
class Rejects:
    """How many images could not be used, with `path` and `reason` of the first of them."""

    count: int
    first: list[dict[str, str]]


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that a report shows.

    Attributes:
        name: Name of the run.
        metrics: How the metrifier, its ceiling and the baselines do.
        predictions: One row per test version: `image_id` (string), `distortion` (string), `severity` (int32, 0 is
            pristine), and in [0, 1] as float64 `predicted`, `quality` (the label) and `held_out` (the held-out workers'
            mean TCP).
        training: The epochs; may be empty.
        workers: Worker cards as plain values: `name`, `role`, `sha256`, `temperature`, `calibration_images`, on these
            `clean_accuracy`, its interval from `clean_accuracy_low` to `clean_accuracy_high`, and
            `clean_top5_accuracy`; and `spec` with `family`, `source`, `licence` and the fields of its format.
        dataset: The data set's card.
        rejected, refused: Files of the source that could not be used, and images that a distortion cannot take.
        examples: Versions to show by group, one of `GROUPS`.
        config, versions: The run's configuration as plain values; package -> version.
    """

    name: str
    metrics: Metrics = field(repr=False)
    predictions: pa.Table = field(repr=False)
    training: TrainingHistory = field(repr=False)
    workers: list[dict[str, Any]] = field(repr=False)
    dataset: DatasetCard = field(repr=False)
    rejected: Rejects = field(repr=False)
    refused: Rejects = field(repr=False)
    examples: dict[str, list[Example]] = field(repr=False)
    config: dict[str, Any] = field(repr=False)
    versions: dict[str, str] = field(repr=False)
