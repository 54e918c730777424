"""What a run has made when its model is registered."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.core.tiny_models import write_brightness_metrifier

CONFIG = {
    "name": "digits",
    "metrifier": {"architecture": "nano", "crop": 32, "epochs": 5},
    "workers": {"label": ["a", "b"], "held_out": ["c"]},
}
DESCRIPTION = "**The metrifier orders unseen images.**"


@dataclass(frozen=True)
class Products:
    """What the stages before `register_metrifier` have made."""

    model: Path
    report: Path
    predictions: Path
    model_card: Path

    def register(
        self,
        run: Any,
        model_name: str,
        rho: float | None,
        config: Mapping[str, Any] = CONFIG,
        *,
        passes: bool = False,
    ) -> Any:
        from metrifier_core.tracking import Verdict, register_model

        estimate = {"rho": rho, "low": 0.1, "high": 0.9, "ceiling": None, "share": None}
        area = {"value": 0.875, "low": 0.8, "high": 0.9, "ceiling": 0.95}
        found = {"global": estimate, "auroc": area, "augrc": area, "discard": {"metrifier": {"error": [0.5]}}}
        metrics = {
            "workers": {"mean": found},
            "calibration": {"error": {"value": 0.03125, "low": 0.02, "high": 0.04}, "bins": []},
            "rows": 60,
            "sources": 12,
        }
        dataset = {"sha256": "0123456789abcdef" * 4, "versions": 60}
        files = (self.model, self.report, self.predictions, self.model_card)
        reason = f"{'better' if passes else 'not better'} than the champion"
        verdict = Verdict(passes, reason, {"value": 0.25, "low": 0.125, "high": 0.5})
        return register_model(run, model_name, config, metrics, dataset, *files, DESCRIPTION, 2.5, lambda _: verdict)


def write_products(folder: Path, crop: int = 32) -> Products:
    folder.mkdir(exist_ok=True)
    report, predictions = folder / "report.html", folder / "predictions.parquet"
    report.write_text("<title>na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve</title>", encoding="utf-8")
    predictions.write_bytes(b"predictions")
    model_card = folder / "model_card.md"
    model_card.write_text("# brightness\n" + 600 * "ten chars.", encoding="utf-8")
    return Products(write_brightness_metrifier(folder / "model", crop), report, predictions, model_card)


@contextmanager
def registered_champion(folder: Path) -> Iterator[Products]:
    """A champion of the name `metrifier` in a registry of its own, which the environment names meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "METRIFIER_RUN_ID"):
            patch.delenv(variable, raising=False)
        from metrifier_core.tracking import PipelineRun

        made = write_products(folder)
        made.register(PipelineRun("run", "experiment"), "metrifier", 0.5)
        yield made
