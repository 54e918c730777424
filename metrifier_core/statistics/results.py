"""What `metrics.json` and `families.json` hold; None stands for an undefined value."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Estimate(_Record):
    """A value with its 95 % interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class Figure(Estimate):
    """A metric's value with its 95 % interval.

    Attributes:
        ceiling: What the label itself reaches.
        share: Value divided by ceiling, of rank correlations with a ceiling above 0.
    """

    ceiling: float | None = None
    share: float | None = None


Figures = dict[str, Figure]
"""Metric -> figure."""


class Condition(Figure):
    """The metrifier's rank correlation with the workers' mean TCP at one distortion and severity (0 is pristine)."""

    distortion: str
    severity: int
    rows: int


class ReliabilityBin(_Record):
    """The versions whose prediction is at least `low` and below `high`; the last bin includes 1."""

    low: float
    high: float
    count: int
    mean_predicted: float | None
    mean_quality: float | None


class AgreementTable(_Record):
    """What `worker_agreement` finds; null stands for NaN."""

    workers: tuple[str, ...]
    spearman: tuple[tuple[float | None, ...], ...]
    ceilings: tuple[float | None, ...]


class Judgement(_Record):
    """How a metrifier, its ceiling and the baselines do on the same versions.

    Attributes:
        rows, sources: Numbers of versions and of source images.
        workers, ceiling: Held-out worker or `MEAN` -> the metrifier's figures, and the label's.
        baselines: Baseline -> held-out worker or `MEAN` -> its figures.
        margins: Baseline -> metric -> the metrifier's value minus the baseline's, against the workers' mean.
        label: The metrifier's figures against the label.
        discard: Held-out worker or `MEAN` -> predictor -> the error rate without each share of `discarded`.
        conditions: The metrifier's correlation at each distortion and severity.
        reliability: The bins behind the calibration error.
    """

    rows: int
    sources: int
    workers: dict[str, Figures]
    ceiling: dict[str, Figures]
    baselines: dict[str, dict[str, Figures]]
    margins: dict[str, dict[str, Estimate]]
    label: Figures
    discarded: tuple[float, ...]
    discard: dict[str, dict[str, tuple[Estimate, ...]]]
    conditions: tuple[Condition, ...]
    reliability: tuple[ReliabilityBin, ...]


class Metrics(Judgement):
    """What `metrics.json` holds; `unseen_distortions` were never trained on, None without any."""

    agreement: AgreementTable
    unseen_distortions: Judgement | None = None


class FoldPart(_Record):
    """Predictor -> its figures against the mean of one family of workers.

    Or the means of these over the families, which have no numbers of versions and of source images.
    """

    rows: int | None = None
    sources: int | None = None
    predictors: dict[str, Figures]


class Fold(_Record):
    """What folds are compared by.

    Attributes:
        workers: Those held out; none of a mean.
        label: The metrifier's figures against the label.
        seen, unseen: Results on distortions of the training, and on others; None where none was held out.
    """

    workers: tuple[str, ...] = ()
    label: Figures
    seen: FoldPart
    unseen: FoldPart | None = None


class FamiliesMetrics(_Record):
    """What `families.json` holds: each family's fold, and the mean over the families."""

    families: dict[str, Fold]
    mean: Fold


def name_figures(
    figures: Mapping[str, Figure], prefix: str = "", kinds: Sequence[str] = tuple(Figure.model_fields)
) -> dict[str, float]:
    """Return figures as MLflow names them: `{prefix}_{metric}` for the value, with `_{kind}` behind it for the rest.

    Args:
        figures: Metric -> figure.
        prefix: Held-out worker, family or `MEAN`; nothing for figures against the label.
        kinds: Which numbers of a figure to name.

    Returns:
        Name -> number; undefined ones are left out.
    """
    named: dict[str, float | None] = {
        "_".join(filter(None, (prefix, metric, "" if kind == "value" else kind))): getattr(figure, kind)
        for metric, figure in figures.items()
        for kind in kinds
    }
    return {name: number for name, number in named.items() if number is not None}
