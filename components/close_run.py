"""The component that closes a failed run."""

from kfp import dsl

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def close_run(status: dsl.PipelineTaskFinalStatus) -> None:
    """Close the run in MLflow as failed, with the reason that a stage noted, unless the run was completed.

    Args:
        status: How the pipeline ended. Servers up to 2.17 pass no message, and those up to 2.16 may call a pipeline
            with a loop RUNNING, however it ended: this task is its last one, so MLflow's status decides.
    """
    from metrifier_core.tracking import PipelineRun, close_unfinished

    if status.state not in {"SUCCEEDED", "COMPLETE"}:
        close_unfinished(PipelineRun(), status.error_message or f"the pipeline ended as {status.state}")
