"""The environment variables by which a runner speaks to its tasks."""

__all__ = ["PARTIAL_VARIABLE", "RUN_ID_VARIABLE"]

PARTIAL_VARIABLE = "METRIFIER_PARTIAL"
"""Names a folder that outlives a killed stage; what the stage had finished is found there again."""

RUN_ID_VARIABLE = "METRIFIER_RUN_ID"
"""Identifies a pipeline run: on this machine over restarts; on a cluster it is the identity that the engine gave it."""
