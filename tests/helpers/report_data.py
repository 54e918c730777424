"""What a report shows, made small."""

from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from metrifier_core.report import GROUPS, Example, Rejects, ReportData

LEVELS = ("global", "within_image", "within_condition")
DISCARDED = [share / 100 for share in range(0, 51, 5)]


def make_predictions(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    conditions = [
        ("pristine", 0),
        *((d, s) for d in ("jpeg", "fog", "contrast", "webp") for s in range(1, 6)),
    ]
    rows = [
        {"image_id": f"image{index}", "label": index, "distortion": distortion, "severity": severity}
        for index in range(4)
        for distortion, severity in conditions
    ]
    quality = np.array([1 - severity / 6 for _ in range(4) for _, severity in conditions])
    noisy = {
        name: np.clip(quality + rng.normal(0, 0.1, len(rows)), 0, 1) for name in ("predicted", "quality", "held_out")
    }
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    columns["severity"] = pa.array(columns["severity"], pa.int32())
    return pa.table(columns | noisy)


def make_result(rho: float | None = 0.71) -> dict[str, float | None]:
    if rho is None:
        return dict.fromkeys(("rho", "low", "high", "ceiling", "share"))
    return {"rho": rho, "low": rho - 0.03, "high": rho + 0.03, "ceiling": 0.9, "share": rho / 0.9}


def make_area(value: float | None = 0.8) -> dict[str, float | None]:
    low, high = (None, None) if value is None else (value - 0.02, value + 0.02)
    return {"value": value, "low": low, "high": high, "ceiling": 0.95}


def make_curve(last: float | None = 0.1) -> dict[str, list[float | None]]:
    """Error rates that fall from .3 to the last, with a band around them."""
    if last is None:
        return {key: [None] * len(DISCARDED) for key in ("error", "low", "high")}
    error = np.linspace(0.3, last, len(DISCARDED))
    return {"error": [*error], "low": [*(error - 0.02)], "high": [*(error + 0.02)]}


def make_target(*rhos: float | None, auroc: float | None = 0.8) -> dict[str, Any]:
    """What one target has of the metrifier."""
    levels = {level: make_result(rho) for level, rho in zip(LEVELS, rhos, strict=True)}
    discard = {
        "metrifier": make_curve(),
        "ceiling": make_curve(0.05),
        "jpeg_size": make_curve(0.29),
        "severity_oracle": make_curve(None),
    }
    return {**levels, "auroc": make_area(auroc), "augrc": make_area(0.071), "discard": discard}


def without_ceiling(target: dict[str, Any]) -> dict[str, Any]:
    """What one target has of the ceiling or a baseline."""
    return {
        key: {name: value for name, value in found.items() if name not in {"ceiling", "share"}}
        for key, found in target.items()
        if key != "discard"
    }


def make_predictor(*rhos: float | None, auroc: float | None = 0.8) -> dict[str, Any]:
    return {name: without_ceiling(make_target(*rhos, auroc=auroc)) for name in ("vit", "swin", "mean")}


def make_calibration() -> dict[str, Any]:
    bins = [
        {"low": index / 15, "high": (index + 1) / 15, "count": index, "mean_predicted": None, "mean_quality": None}
        for index in range(15)
    ]
    for index, own in enumerate(bins[1:], 1):
        own |= {"mean_predicted": (index + 0.4) / 15, "mean_quality": index / 16}
    return {"error": {"value": 0.0314, "low": 0.021, "high": 0.042}, "bins": bins}


def make_lead(value: float) -> dict[str, float]:
    """How far the metrifier is ahead, with an interval of .04 to both sides."""
    return {"value": value, "low": value - 0.04, "high": value + 0.04}


def make_condition(distortion: str, severity: int, rho: float | None) -> dict[str, Any]:
    return {"distortion": distortion, "severity": severity, "rows": 59, **make_result(rho)}


def make_judgement() -> dict[str, Any]:
    return {
        "rows": 1234,
        "sources": 59,
        "workers": {
            "vit": make_target(0.7, 0.6, None, auroc=None),
            "swin": make_target(0.72, 0.62, 0.5),
            "mean": make_target(0.71, 0.61, 0.41),
        },
        "ceiling": make_predictor(0.9, 0.9, 0.9, auroc=0.95),
        "baselines": {
            "jpeg_size": make_predictor(-0.04, 0.1, 0.0),
            "severity_oracle": make_predictor(0.64, 0.7, None),
        },
        "leads": {"jpeg_size": make_lead(0.75), "severity_oracle": make_lead(0.07)},
        "conditions": [
            make_condition("contrast", 1, 0.21),
            make_condition("contrast", 2, None),
            make_condition("jpeg", 1, 0.52),
            make_condition("jpeg", 2, 0.48),
            make_condition("pristine", 0, 0.4),
        ],
        "calibration": make_calibration(),
        "discarded": DISCARDED,
    }


def make_metrics() -> dict[str, Any]:
    unseen = make_judgement() | {"rows": 500, "workers": {"mean": make_target(0.53, 0.4, 0.3)}}
    unseen["conditions"] = [make_condition("fog", 1, 0.3), make_condition("fog", 3, -0.12)]
    agreement = {"workers": ["vit", "resnet"], "spearman": [[1.0, 0.64], [0.64, 1.0]], "ceilings": [0.71, None]}
    return make_judgement() | {"agreement": agreement, "unseen_distortions": unseen}


def without_baselines() -> dict[str, Any]:
    """Metrics of the mean alone, with nothing beside the metrifier."""
    return make_metrics() | {"workers": {"mean": make_target(0.71, 0.61, 0.41)}, "baselines": {}}


def make_training(epochs: int = 3) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "loss": 1 / epoch,
            "validation_loss": 1.2 / epoch,
            "validation_spearman": 1 - 1 / epoch,
        }
        for epoch in range(1, epochs + 1)
    ]


def make_example(side: int, distortion: str = "jpeg", severity: int = 3) -> Example:
    """A checkerboard of pure red and pure green pixels."""
    rows, columns = np.indices((side, side))
    red = (rows + columns) % 2 == 0
    image = np.stack([red, ~red, np.zeros_like(red)], axis=-1).astype(np.uint8) * 255
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return Example(buffer.getvalue(), "zoo/7.png", distortion, severity, predicted=0.8, quality=0.75, held_out=0.7)


def make_worker(name: str = "vit") -> dict[str, Any]:
    return {
        "name": name,
        "role": "held-out",
        "spec": {"format": "onnx", "family": "transformer", "source": "a zoo", "licence": "MIT", "mean": [0.5, 0.5]},
        "clean_accuracy": 0.8123,
        "clean_accuracy_low": 0.79,
        "clean_accuracy_high": 0.83,
        "clean_top5_accuracy": 0.951,
        "calibration_images": 1500,
        "temperature": 1.31,
        "sha256": "0123456789abcdef" * 4,
    }


def make_data() -> ReportData:
    return ReportData(
        name="digits",
        metrics=make_metrics(),
        predictions=make_predictions(),
        training=make_training(),
        workers=[
            make_worker(),
            make_worker("resnet") | {"spec": {"format": "tflite", "family": "residual", "source": "", "licence": ""}},
        ],
        dataset={
            "sources_read": 1797,
            "versions": 25158,
            "splits": {"worker_train": 700, "test": 200},
            "label_workers": ["vit", "bit"],
            "mean_quality": {"jpeg 1": 0.9, "jpeg 2": 0.75, "pristine 0": 0.97},
        },
        rejected=Rejects(60, [{"path": f"images/{index}.png", "reason": "it is empty"} for index in range(50)]),
        refused=Rejects(1, [{"path": "zoo/9.png", "reason": "fog: it is too small"}]),
        examples={group: [make_example(8, "pristine", 0), make_example(224)] for group in GROUPS},
        config={
            "name": "digits",
            "merge": {"quality": "mean"},
            "distortions": ["jpeg", "fog"],
            "training": {"epochs": 3, "limit": None},
        },
        versions={"metrifier": "0.1.0"},
    )
