"""How well a score ranks images by their quality, and what it has to beat."""

from metrifier_core.statistics.accuracy import Accuracy, better_than_chance, surely_chance, top_accuracy
from metrifier_core.statistics.agreement import Agreement, worker_agreement
from metrifier_core.statistics.baselines import SeverityOracle, jpeg_size, laplacian_variance
from metrifier_core.statistics.bootstrap import Estimate
from metrifier_core.statistics.brisque import BrisqueTrees, brisque_features
from metrifier_core.statistics.calibration import Calibration, calibration
from metrifier_core.statistics.conditions import ConditionCorrelation, condition_correlations
from metrifier_core.statistics.evaluation import BASELINES, CEILING, IMAGE_ALONE, METRIFIER, evaluate_predictors
from metrifier_core.statistics.failure_detection import DISCARDED, MEAN, FailureDetection, failure_detection
from metrifier_core.statistics.families import FIGURES, average_folds, summarize_fold
from metrifier_core.statistics.full_reference import peak_signal_to_noise, structural_similarity
from metrifier_core.statistics.margins import correlation_margins
from metrifier_core.statistics.paired import PAIRED, PairedDifference, paired_differences
from metrifier_core.statistics.spearman import LEVELS, rank_correlations
from metrifier_core.statistics.threshold import Share, Threshold, UnreachableAccuracyError, keep_share, reach_accuracy

__all__ = [
    "BASELINES",
    "CEILING",
    "DISCARDED",
    "FIGURES",
    "IMAGE_ALONE",
    "LEVELS",
    "MEAN",
    "METRIFIER",
    "PAIRED",
    "Accuracy",
    "Agreement",
    "BrisqueTrees",
    "Calibration",
    "ConditionCorrelation",
    "Estimate",
    "FailureDetection",
    "PairedDifference",
    "SeverityOracle",
    "Share",
    "Threshold",
    "UnreachableAccuracyError",
    "average_folds",
    "better_than_chance",
    "brisque_features",
    "calibration",
    "condition_correlations",
    "correlation_margins",
    "evaluate_predictors",
    "failure_detection",
    "jpeg_size",
    "keep_share",
    "laplacian_variance",
    "paired_differences",
    "peak_signal_to_noise",
    "rank_correlations",
    "reach_accuracy",
    "structural_similarity",
    "summarize_fold",
    "surely_chance",
    "top_accuracy",
    "worker_agreement",
]
