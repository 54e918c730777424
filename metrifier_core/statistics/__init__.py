"""How well a score ranks images by their quality, and what it has to beat."""

from metrifier_core.statistics.accuracy import Accuracy, top_accuracy
from metrifier_core.statistics.agreement import Agreement, worker_agreement
from metrifier_core.statistics.baselines import laplacian_variance, severity_oracle
from metrifier_core.statistics.spearman import LEVELS, Estimate, rank_correlations

__all__ = [
    "LEVELS",
    "Accuracy",
    "Agreement",
    "Estimate",
    "laplacian_variance",
    "rank_correlations",
    "severity_oracle",
    "top_accuracy",
    "worker_agreement",
]
