"""The component that verifies, trains and calibrates the workers."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.image import DEFAULT_IMAGE


@dsl.component(base_image=DEFAULT_IMAGE, install_kfp_package=False)
def prepare_workers(workers: dict[str, Any], seed: int, images: Input[Dataset], prepared: Output[Model]) -> None:
    """Verify or train every worker, and fit its temperature.

    Args:
        workers: Label workers, held-out workers and their catalogue.
        seed: The run's seed.
        images: The source images.
        prepared: A weights file and a card for each worker.
    """
    from pathlib import Path

    from metrifier_core.stages.prepare_workers import prepare_workers as run_stage
    from metrifier_core.tracking import PipelineRun, log_stage
    from metrifier_core.workers import read_cards

    summary = run_stage(workers, seed, Path(images.path), Path(prepared.path))
    prepared.metadata.update(summary)
    parameters = {"label": workers["label"], "held_out": workers["held_out"]}
    cards = {f"workers/{card.name}.json": card.model_dump(mode="json") for card in read_cards(Path(prepared.path))}
    log_stage(PipelineRun(), "prepare_workers", parameters, summary, documents=cards)
