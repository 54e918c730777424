"""The end of a run that failed."""

from kfp import dsl

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def close_run(status: dsl.PipelineTaskFinalStatus) -> None:
    """Closes the run in MLflow as failed, with the reason that a stage noted; one that was completed stays as it is.

    Args:
        status: How the pipeline ended. No server up to 2.17 hands on a message; up to 2.16 a pipeline that holds a loop
            may be called RUNNING, however it ended: this task is its last, so what MLflow has of it counts.
    """
    from metrifier_core.tracking import PipelineRun, close_unfinished

    if status.state not in {"SUCCEEDED", "COMPLETE"}:
        close_unfinished(PipelineRun(), status.error_message or f"the pipeline ended as {status.state}")
