"""The environment variables that the package reads; a runner sets most of them for its stages."""

PARTIAL_VARIABLE = "METRIFIER_PARTIAL"
"""A folder that outlives a killed stage and keeps what the stage had finished."""

RUN_ID_VARIABLE = "METRIFIER_RUN_ID"
"""The identity of a pipeline run: kept over restarts on one machine, given by the engine on a cluster."""

KUBEFLOW_VARIABLE = "METRIFIER_KUBEFLOW"
"""The address of Kubeflow's UI, for stages that do not get `tracking.kubeflow`."""

INGEST_PYTHON_VARIABLE = "METRIFIER_INGEST_PYTHON"
"""The Python of tensorflow-io's environment: `build/ingest-venv` beside the package if unset, none if empty."""

THREADS_VARIABLE = "METRIFIER_THREADS"
"""The number of threads that work on images; one a core if unset, which in a pod means all cores of its node."""

UNLOGGED_VARIABLE = "METRIFIER_UNLOGGED"
"""A folder for what MLflow could not be sent; it waits there until the run is started again."""

FAILURES_VARIABLE = "METRIFIER_FAILURES"
"""A folder in which a stage that fails writes its reason, in a file of the stage's name."""
