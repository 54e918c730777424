"""One family of workers held out after another: what each fold found, and the mean over the families."""

from collections.abc import Iterable, Sequence

from metrifier_core.statistics.evaluation import CEILING, METRIFIER
from metrifier_core.statistics.results import Figure, Figures, Fold, FoldPart, Judgement, Metrics
from metrifier_core.statistics.rows import MEAN


def summarize_fold(metrics: Metrics) -> Fold:
    """Return what folds are compared by: the figures of all predictors against the mean of the held-out family."""
    return Fold(
        workers=tuple(name for name in metrics.workers if name != MEAN),
        label=metrics.label,
        seen=_summarize(metrics),
        unseen=metrics.unseen_distortions and _summarize(metrics.unseen_distortions),
    )


def _summarize(judged: Judgement) -> FoldPart:
    by_predictor = {METRIFIER: judged.workers, CEILING: judged.ceiling, **judged.baselines}
    predictors = {name: figures[MEAN] for name, figures in by_predictor.items()}
    return FoldPart(rows=judged.rows, sources=judged.sources, predictors=predictors)


def average_folds(folds: Sequence[Fold]) -> Fold:
    """Average folds, at least one, over families, each counting the same however many workers it has.

    These are means of each value, ceiling and share, None where one is undefined in any fold; there are no intervals.
    """
    unseen = [fold.unseen for fold in folds if fold.unseen is not None]
    return Fold(
        label=_average([fold.label for fold in folds]),
        seen=_average_part([fold.seen for fold in folds]),
        unseen=_average_part(unseen) if len(unseen) == len(folds) else None,
    )


def _average_part(parts: Sequence[FoldPart]) -> FoldPart:
    names = parts[0].predictors
    return FoldPart(predictors={name: _average([part.predictors[name] for part in parts]) for name in names})


def _average(folds: Sequence[Figures]) -> Figures:
    return {
        metric: Figure(
            **{kind: _mean(getattr(fold[metric], kind) for fold in folds) for kind in ("value", "ceiling", "share")}
        )
        for metric in folds[0]
    }


def _mean(values: Iterable[float | None]) -> float | None:
    numbers = list(values)
    defined = [number for number in numbers if number is not None]
    return sum(defined) / len(numbers) if len(defined) == len(numbers) else None
