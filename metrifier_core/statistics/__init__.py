"""Metrics and the bootstrap: how well a score ranks images by their quality, and what it has to beat."""

from metrifier_core.statistics.accuracy import Accuracy, better_than_chance, surely_chance, top_accuracy
from metrifier_core.statistics.agreement import Agreement, worker_agreement
from metrifier_core.statistics.baselines import SeverityOracle, jpeg_size, laplacian_variance
from metrifier_core.statistics.bootstrap import bootstrap
from metrifier_core.statistics.brisque import BrisqueTrees, brisque_features
from metrifier_core.statistics.evaluation import (
    BASELINES,
    CEILING,
    IMAGE_ALONE,
    METRIFIER,
    estimate_metrics,
    evaluate_predictors,
)
from metrifier_core.statistics.families import average_folds, summarize_fold
from metrifier_core.statistics.full_reference import peak_signal_to_noise, structural_similarity
from metrifier_core.statistics.metrics import Metric, get_metric, list_metrics, register_metric
from metrifier_core.statistics.paired import PairedDifference, paired_differences
from metrifier_core.statistics.results import (
    AgreementTable,
    Condition,
    Estimate,
    FamiliesMetrics,
    Figure,
    Figures,
    Fold,
    Judgement,
    Metrics,
    ReliabilityBin,
    name_figures,
)
from metrifier_core.statistics.rows import MEAN, Draw, ScoredRows
from metrifier_core.statistics.standard_metrics import DISCARDED, HEADLINE, LEVELS, discard_errors, reliability_bins
from metrifier_core.statistics.threshold import Share, Threshold, UnreachableAccuracyError, keep_share, reach_accuracy

__all__ = [
    "BASELINES",
    "CEILING",
    "DISCARDED",
    "HEADLINE",
    "IMAGE_ALONE",
    "LEVELS",
    "MEAN",
    "METRIFIER",
    "Accuracy",
    "Agreement",
    "AgreementTable",
    "BrisqueTrees",
    "Condition",
    "Draw",
    "Estimate",
    "FamiliesMetrics",
    "Figure",
    "Figures",
    "Fold",
    "Judgement",
    "Metric",
    "Metrics",
    "PairedDifference",
    "ReliabilityBin",
    "ScoredRows",
    "SeverityOracle",
    "Share",
    "Threshold",
    "UnreachableAccuracyError",
    "average_folds",
    "better_than_chance",
    "bootstrap",
    "brisque_features",
    "discard_errors",
    "estimate_metrics",
    "evaluate_predictors",
    "get_metric",
    "jpeg_size",
    "keep_share",
    "laplacian_variance",
    "list_metrics",
    "name_figures",
    "paired_differences",
    "peak_signal_to_noise",
    "reach_accuracy",
    "register_metric",
    "reliability_bins",
    "structural_similarity",
    "summarize_fold",
    "surely_chance",
    "top_accuracy",
    "worker_agreement",
]
