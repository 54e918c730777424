"""How well a score ranks images by their quality, and what it has to beat."""

from metrifier_core.statistics.baselines import laplacian_variance, severity_oracle
from metrifier_core.statistics.spearman import LEVELS, Estimate, rank_correlations

__all__ = ["LEVELS", "Estimate", "laplacian_variance", "rank_correlations", "severity_oracle"]
