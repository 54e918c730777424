"""The end of a run that failed."""

from kfp import dsl

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def close_run(name: str, experiment: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """Closes the run in MLflow as failed, with the reason; one that succeeded is closed already.

    Args:
        name: Name of the run.
        experiment: MLflow experiment.
        status: How the pipeline ended.
    """
    from metrifier_core.tracking import PipelineRun, fail_run

    if status.state != "SUCCEEDED":
        fail_run(PipelineRun(name, experiment), status.error_message or f"the pipeline ended as {status.state}")
