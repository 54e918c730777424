"""The environment variables that are read: a runner speaks to its tasks by them, an image names its other Python."""

PARTIAL_VARIABLE = "METRIFIER_PARTIAL"
"""Names a folder that outlives a killed stage; what the stage had finished is found there again."""

RUN_ID_VARIABLE = "METRIFIER_RUN_ID"
"""Identifies a pipeline run: on this machine over restarts; on a cluster it is the identity that the engine gave it."""

KUBEFLOW_VARIABLE = "METRIFIER_KUBEFLOW"
"""The address of Kubeflow's UI, for tasks that are not handed `tracking.kubeflow`."""

INGEST_PYTHON_VARIABLE = "METRIFIER_INGEST_PYTHON"
"""Names the Python of tensorflow-io's environment: `build/ingest-venv` beside the package if unset, none if empty."""

THREADS_VARIABLE = "METRIFIER_THREADS"
"""How many threads work on images; as many as there are cores if unset. A pod sees all of its node's."""

UNLOGGED_VARIABLE = "METRIFIER_UNLOGGED"
"""Names a folder for what MLflow could not be told; it waits there until the run is started again."""

FAILURES_VARIABLE = "METRIFIER_FAILURES"
"""Names a folder in which a stage that fails writes its reason, in a file of the stage's name."""
