"""What a report shows."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from metrifier_core.report.examples import Example


@dataclass(frozen=True)
class Rejects:
    """Images that could not be used.

    Attributes:
        count: How many there are.
        first: `path` and `reason` of the first of them.
    """

    count: int
    first: list[dict[str, str]]


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        name: Of the run.
        metrics: What `evaluate_predictors` returns, on distortions of the training; `unseen_distortions`, the same
            on others, or None; and `agreement`, which has the names of all `workers`, a matrix `spearman` and a list
            `ceilings` in their order. A value that is undefined is None.
        predictions: A row a test version: `image_id` (string), `distortion` (string), `severity` (int32, 0 is
            pristine), and in [0, 1] as float64 `predicted`, `quality` (the label workers' mean TCP) and `held_out`
            (the held-out workers' mean TCP).
        training: A mapping an epoch: `epoch`, `loss`, `validation_loss`, `validation_spearman`; may be empty.
        workers: Their cards as plain values: `name`, `role`, `sha256`, `temperature`, `calibration_images`, on these
            `clean_accuracy`, its interval from `clean_accuracy_low` to `clean_accuracy_high`, and
            `clean_top5_accuracy`; and `spec` with `family`, `source`, `licence` and whatever else belongs to a format.
        dataset: The data set's card: values by name; `mean_quality` is a mapping from "DISTORTION SEVERITY".
        rejected: Files of the source that could not be used.
        refused: Source images that a distortion could not take.
        examples: Versions to show by the name of their group, one of `GROUPS`.
        config: The run's configuration as plain values: mappings, lists, strings, numbers, booleans, None.
        versions: Package -> its version.
    """

    name: str
    metrics: dict[str, Any]
    predictions: pa.Table
    training: list[dict[str, float]]
    workers: list[dict[str, Any]]
    dataset: dict[str, Any]
    rejected: Rejects
    refused: Rejects
    examples: dict[str, list[Example]]
    config: dict[str, Any]
    versions: dict[str, str]
