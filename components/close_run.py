"""The end of a run that failed."""

from kfp import dsl

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def close_run(status: dsl.PipelineTaskFinalStatus) -> None:
    """Closes the run in MLflow as failed, with the reason; one that succeeded is closed already.

    Args:
        status: How the pipeline ended; servers before 2.17 call one that succeeded RUNNING where it holds a loop.
    """
    from metrifier_core.tracking import PipelineRun, fail_run, find_run

    if status.state not in {"FAILED", "CANCELED", "CANCELLED"}:
        return
    run = PipelineRun()
    found = find_run(run.id)
    if found is None or found.info.status != "FINISHED":
        fail_run(run, status.error_message or f"the pipeline ended as {status.state}")
