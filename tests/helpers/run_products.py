"""What a run has made when its model is registered, and when it is finished."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrifier_core.data.records import IMAGES, PREDICTIONS, QUALITY, open_writer
from metrifier_core.images import encode_png
from metrifier_core.statistics import Figure
from tests.helpers.report_data import make_dataset_card, make_metrics
from tests.helpers.tiny_models import write_brightness_metrifier

CONFIG = {
    "name": "digits",
    "metrifier": {"architecture": "nano", "crop": 32, "epochs": 5},
    "workers": {"label": ["a", "b"], "held_out": ["c"]},
}
DESCRIPTION = "**The metrifier orders unseen images.**"
LEVELS = ("global", "within_image", "within_condition")

_SPLITS = ["train", "test", "test", "test", "test", "test"]
_CONDITIONS = [("pristine", 0), ("fog", 2), ("fog", 4)]


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
        ceiling: float | None = None,
        challenge: Callable[[Any], Any] | None = None,
        **others: Any,
    ) -> Any:
        """Register them; with a ceiling, the correlation at each of the three levels has it, and a share of it."""
        from metrifier_core.tracking import Verdict, register_model

        share = None if rho is None or ceiling is None else rho / ceiling
        figure = Figure(value=rho, low=0.1, high=0.9, ceiling=ceiling, share=share)
        levels = LEVELS[:1] if ceiling is None else LEVELS
        area = Figure(value=0.875, low=0.8, high=0.9, ceiling=0.95)
        metrics = make_metrics(
            workers={"mean": {**dict.fromkeys(levels, figure), "auroc": area}},
            label={"calibration_error": Figure(value=0.03125, low=0.02, high=0.04)},
            rows=60,
            sources=12,
        )
        dataset = make_dataset_card("0123456789abcdef" * 4)
        files = (self.model, self.report, self.predictions, self.model_card)
        reason = f"{'better' if passes else 'not better'} than the champion"
        verdict = Verdict(passes, reason, {"value": 0.25, "low": 0.125, "high": 0.5})
        challenge = challenge or (lambda _: verdict)
        return register_model(run, model_name, config, metrics, dataset, *files, DESCRIPTION, 2.5, challenge, **others)


def write_products(folder: Path, crop: int = 32) -> Products:
    folder.mkdir(parents=True, exist_ok=True)
    report, predictions = folder / "report.html", folder / "predictions.parquet"
    title = "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve"
    report.write_text(f"<title>{title}</title><p>A report that is {title}</p>", encoding="utf-8")
    predictions.write_bytes(b"predictions")
    model_card = folder / "model_card.md"
    model_card.write_text("# brightness\n" + 600 * "ten chars.", encoding="utf-8")
    return Products(write_brightness_metrifier(folder / "model", crop), report, predictions, model_card)


@contextmanager
def _registry(folder: Path) -> Iterator[None]:
    """Return a registry of its own, which the environment names meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "METRIFIER_RUN_ID"):
            patch.delenv(variable, raising=False)
        yield


@contextmanager
def registered_champion(folder: Path) -> Iterator[Products]:
    """Return a champion of the name `metrifier` in a registry of its own, which the environment names meanwhile."""
    with _registry(folder):
        from metrifier_core.tracking import PipelineRun

        made = write_products(folder)
        made.register(PipelineRun("run", "experiment"), "metrifier", 0.5)
        yield made


@contextmanager
def registered_runs(folder: Path, runs: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    """Finished runs in a registry of its own, the first as champion; gives each one's name in MLflow, `runs:/ID`."""
    with _registry(folder):
        from metrifier_core.tracking import PipelineRun

        made = write_products(folder / "products")
        named = {}
        for name, run in runs.items():
            own = replace(made, model=run / "model", predictions=run / "predictions.parquet")
            config = {**CONFIG, "name": name}
            named[name] = f"runs:/{own.register(PipelineRun(name, 'compared'), 'metrifier', 0.5, config)['run_id']}"
        yield named


def write_judged_run(folder: Path, predict: Callable[[float], float], *, images: int = len(_SPLITS)) -> Path:
    """Write a finished run whose images are the brighter, the better; its own metrifier predicts from the quality."""
    rng = np.random.default_rng(0)
    rows, pixels = [], []
    for index, split in enumerate(_SPLITS[:images]):
        for distortion, severity in _CONDITIONS:
            brightness = round(255 - 20 * index - 25 * severity)
            key = {"image_id": f"image {index}", "label": 0, "distortion": distortion, "severity": severity, "seed": 0}
            rows.append({**key, "split": split})
            pixels.append(np.full((32, 32, 3), brightness, np.uint8))
    quality = [image.mean() / 255 for image in pixels]
    with open_writer(folder / "versions" / "versions-00000-of-00001.parquet", IMAGES, "versions") as writer:
        for row, image in zip(rows, pixels, strict=True):
            writer.write({**row, "image": {"bytes": encode_png(image), "path": ""}})
    with open_writer(folder / "quality.parquet", QUALITY, "quality") as writer:
        for row, value in zip(rows, quality, strict=True):
            writer.write({**row, "quality": value, "worker_tcp": [value]})
    others = dict.fromkeys(
        (
            "laplacian_variance",
            "jpeg_size",
            "brisque_trees",
            "severity_oracle",
            "single_confidence",
            "label_confidence",
        ),
        0.0,
    )
    with open_writer(folder / "predictions.parquet", PREDICTIONS, "predictions") as writer:
        for row, value in zip(rows, quality, strict=True):
            tcp = np.clip(value + rng.normal(0, 0.02, 2), 0, 1).tolist()
            answers = {"held_out_tcp": tcp, "held_out_right": [each > 0.5 for each in tcp], "held_out": sum(tcp) / 2}
            judged = {**row, "quality": value, "predicted": predict(value), "unseen": row["severity"] == 4}
            if row["split"] == "test":
                writer.write({**judged, **answers, **others, "psnr": None, "ssim": None})
    write_brightness_metrifier(folder / "model")
    return folder
