"""The metrics of this package, in the order in which they are shown."""

import numpy as np
from numpy.typing import NDArray

from metrifier_core.statistics.metrics import register_metric
from metrifier_core.statistics.results import ReliabilityBin
from metrifier_core.statistics.rows import Correlations, Draw

LEVELS = ("global", "within_image", "within_condition")
"""The rank correlations: over all versions, those of one source image, those at one condition."""

HEADLINE = "global"
"""The metric that the verdict and the registry's gate rest on, and that baselines are sorted by."""

DISCARDED: tuple[float, ...] = tuple(share / 100 for share in range(0, 51, 5))
"""The shares of the versions that `discard_errors` discards."""

BINS = 15
"""Number of calibration bins of equal width in [0, 1]."""


@register_metric(
    "global",
    title="global Spearman",
    heading="global",
    description="Spearman's rank correlation with a held-out worker's TCP over all test versions.",
    range=(-1, 1),
    is_correlation=True,
)
def global_spearman(draw: Draw) -> NDArray[np.float64]:
    """Return the correlation over all versions, (K, W + 1).

    Spearman's rho has average ranks for ties (Spearman, "The proof and measurement of association between two things",
    1904). With fewer than 3 versions or a constant target it is undefined; a constant score counts as 0. Copies of a
    version that was drawn twice are ties and count once towards the 3.
    """
    return _mean(draw.correlations)


@register_metric(
    "within_image",
    title="within-image Spearman",
    heading="within image",
    description="Spearman's rank correlation over the versions of one source image, averaged over source images: does "
    "the score see which copy is damaged most?",
    range=(-1, 1),
    is_correlation=True,
)
def within_image_spearman(draw: Draw) -> NDArray[np.float64]:
    """Return the mean over source images of the correlation of their versions, where it is defined, (K, W + 1)."""
    return _mean(draw.correlations_by_image)


@register_metric(
    "within_condition",
    title="within-condition Spearman",
    heading="within condition",
    description="Spearman's rank correlation over the images at one distortion and severity, averaged over these: does "
    "the score see which images are hard?",
    range=(-1, 1),
    is_correlation=True,
)
def within_condition_spearman(draw: Draw) -> NDArray[np.float64]:
    """Return the mean over conditions of the correlation of their versions, where it is defined, (K, W + 1)."""
    return _mean(draw.correlations_by_condition)


@register_metric(
    "auroc",
    title="AUROC",
    description="The probability that an image on which the worker is right scores higher than one on which it is "
    "wrong; 0.5 is chance.",
)
def auroc(draw: Draw) -> NDArray[np.float64]:
    """Return `ErrorCurve.auroc` for each worker, (K, W)."""
    return np.array([curve.auroc() for curve in draw.error_curves])


@register_metric(
    "augrc",
    title="AUGRC",
    description="The share of all images that are accepted although the worker is wrong on them, averaged over all "
    "shares that one might accept.",
    range=(0, 0.5),
    higher_is_better=False,
)
def augrc(draw: Draw) -> NDArray[np.float64]:
    """Return `ErrorCurve.augrc` for each worker, (K, W)."""
    return np.array([curve.augrc() for curve in draw.error_curves])


def discard_errors(draw: Draw) -> NDArray[np.float64]:
    """Return each worker's error rate without the lowest scores, (K, W, D), one for each share in `DISCARDED`."""
    return np.array([curve.error_on_kept(np.array(DISCARDED)) for curve in draw.error_curves])


@register_metric(
    "calibration_error",
    title="calibration error",
    description="The distance of predicted quality from the quality itself, averaged over 15 bins of the prediction.",
    higher_is_better=False,
    judge="label",
)
def calibration_error(draw: Draw) -> NDArray[np.float64]:
    """Compute the expected calibration error of predicted quality, (K,).

    It is the mean over versions of |mean predicted - mean quality| of the bin that a version's prediction falls into.
    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015;
    15 bins as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (arXiv 1706.04599). There the truth
    is whether an answer is right; here it is the label.

    The error, in [0, 1], is never negative, so noise alone raises it: a bootstrap interval lies rather too high, and so
    does the error itself where bins hold few versions.

    Raises:
        ValueError: There are no versions, or a score or a quality is outside [0, 1].
    """
    sums = (reliability_sums(draw, index) for index in range(len(draw.scores)))
    return np.array([np.abs(predicted - quality).sum() / count.sum() for count, predicted, quality in sums])


def reliability_sums(draw: Draw, predictor: int = 0) -> NDArray[np.float64]:
    """Return the count, the summed predictions and the summed qualities of each bin of one predictor, (3, BINS).

    Raises:
        ValueError: There are no versions, or a score or a quality is outside [0, 1].
    """
    predicted = draw.scores[predictor]
    if not predicted.size:
        raise ValueError("calibration: expected at least one version, got none")
    for name, column in {"predicted quality": predicted, "quality": draw.quality}.items():
        if not ((column >= 0) & (column <= 1)).all():
            raise ValueError(f"calibration: expected {name} in [0, 1], got {column.min():g} to {column.max():g}")
    place = np.minimum((predicted * BINS).astype(np.intp), BINS - 1)
    columns = (np.ones(1), predicted, draw.quality)
    return np.array([np.bincount(place, draw.weights * column, minlength=BINS) for column in columns])


def reliability_bins(draw: Draw) -> tuple[ReliabilityBin, ...]:
    """Return the reliability table of the first predictor, `BINS` bins."""
    return tuple(
        ReliabilityBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            count=int(count),
            mean_predicted=float(predicted / count) if count else None,
            mean_quality=float(quality / count) if count else None,
        )
        for index, (count, predicted, quality) in enumerate(reliability_sums(draw).T)
    )


def _mean(correlations: Correlations) -> NDArray[np.float64]:
    """Average Spearman's rho (T, K, G) over groups by weights (T, G), to (K, T); NaN without any weight."""
    rho, weights = correlations
    total = weights.sum(axis=1)[:, None]
    summed = (rho * weights[:, None]).sum(axis=2)
    return np.asarray(np.divide(summed, total, out=np.full(summed.shape, np.nan), where=total > 0)).T
