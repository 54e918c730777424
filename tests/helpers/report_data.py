"""What a report shows, made small."""

from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from metrifier_core.data.dataset_card import DatasetCard
from metrifier_core.data.training_history import Epoch, TrainingHistory
from metrifier_core.report import GROUPS, Example, Rejects, ReportData
from metrifier_core.statistics import (
    AgreementTable,
    Condition,
    Estimate,
    Figure,
    Figures,
    Judgement,
    Metrics,
    ReliabilityBin,
)

LEVELS = ("global", "within_image", "within_condition")
DISCARDED = tuple(share / 100 for share in range(0, 51, 5))


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


def make_figure(value: float | None = 0.71, *, ceiling: float | None = 0.9, share: bool = True) -> Figure:
    """Return a figure with an interval of .03 to both sides and, if it is a correlation, its share of the ceiling."""
    if value is None:
        return Figure(ceiling=None if share else ceiling)
    within = {"low": value - 0.03, "high": value + 0.03} if share else {"low": value - 0.02, "high": value + 0.02}
    return Figure(value=value, **within, ceiling=ceiling, share=value / ceiling if share and ceiling else None)


def make_target(*values: float | None, auroc: float | None = 0.8) -> Figures:
    """Return the metrifier's figures for one target."""
    levels = {level: make_figure(value) for level, value in zip(LEVELS, values, strict=True)}
    areas = {"auroc": auroc, "augrc": 0.071}
    return levels | {name: make_figure(value, ceiling=0.95, share=False) for name, value in areas.items()}


def make_predictor(*values: float | None, auroc: float | None = 0.8) -> dict[str, Figures]:
    """Return the figures of the ceiling or a baseline for each target."""
    figures = make_target(*values, auroc=auroc)
    alone = {name: figure.model_copy(update={"ceiling": None, "share": None}) for name, figure in figures.items()}
    return dict.fromkeys(("vit", "swin", "mean"), alone)


def make_curve(last: float | None = 0.1) -> tuple[Estimate, ...]:
    """Error rates that fall from .3 to the last, with a band around them."""
    if last is None:
        return (Estimate(),) * len(DISCARDED)
    errors = np.linspace(0.3, last, len(DISCARDED)).tolist()
    return tuple(Estimate(value=error, low=error - 0.02, high=error + 0.02) for error in errors)


def make_curves(metrifier: tuple[Estimate, ...] | None = None) -> dict[str, tuple[Estimate, ...]]:
    return {
        "metrifier": metrifier or make_curve(),
        "ceiling": make_curve(0.05),
        "jpeg_size": make_curve(0.29),
        "severity_oracle": make_curve(None),
    }


def make_reliability() -> tuple[ReliabilityBin, ...]:
    empty = ReliabilityBin(low=0, high=1 / 15, count=0, mean_predicted=None, mean_quality=None)
    return empty, *(
        ReliabilityBin(
            low=index / 15,
            high=(index + 1) / 15,
            count=index,
            mean_predicted=(index + 0.4) / 15,
            mean_quality=index / 16,
        )
        for index in range(1, 15)
    )


def make_margin(value: float | None) -> dict[str, Estimate]:
    """How far the metrifier is ahead, with an interval of .04 to both sides."""
    return {"global": Estimate() if value is None else Estimate(value=value, low=value - 0.04, high=value + 0.04)}


def make_condition(distortion: str, severity: int, value: float | None) -> Condition:
    return Condition(distortion=distortion, severity=severity, rows=59, **dict(make_figure(value)))


def make_judgement(**changes: Any) -> Judgement:
    fields: dict[str, Any] = {
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
        "margins": {"jpeg_size": make_margin(0.75), "severity_oracle": make_margin(0.07)},
        "label": {"calibration_error": Figure(value=0.0314, low=0.021, high=0.042)},
        "discarded": DISCARDED,
        "discard": dict.fromkeys(("vit", "swin", "mean"), make_curves()),
        "conditions": (
            make_condition("contrast", 1, 0.21),
            make_condition("contrast", 2, None),
            make_condition("jpeg", 1, 0.52),
            make_condition("jpeg", 2, 0.48),
            make_condition("pristine", 0, 0.4),
        ),
        "reliability": make_reliability(),
    }
    return Judgement(**fields | changes)


def make_metrics(**changes: Any) -> Metrics:
    unseen = make_judgement(
        rows=500,
        workers={"mean": make_target(0.53, 0.4, 0.3)},
        conditions=(make_condition("fog", 1, 0.3), make_condition("fog", 3, -0.12)),
    )
    agreement = AgreementTable(workers=("vit", "resnet"), spearman=((1.0, 0.64), (0.64, 1.0)), ceilings=(0.71, None))
    fields = {**dict(make_judgement()), "agreement": agreement, "unseen_distortions": unseen}
    return Metrics(**fields | changes)


def without_baselines(**changes: Any) -> Metrics:
    """Metrics of the mean alone, with nothing beside the metrifier."""
    return make_metrics(**{"workers": {"mean": make_target(0.71, 0.61, 0.41)}, "baselines": {}} | changes)


def make_training(epochs: int = 3) -> TrainingHistory:
    return TrainingHistory(
        tuple(
            Epoch(epoch=epoch, loss=1 / epoch, validation_loss=1.2 / epoch, validation_spearman=1 - 1 / epoch)
            for epoch in range(1, epochs + 1)
        )
    )


def make_example(side: int, distortion: str = "jpeg", severity: int = 3) -> Example:
    """Return a checkerboard of pure red and pure green pixels."""
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


def make_dataset_card(sha256: str = "ab" * 32) -> DatasetCard:
    return DatasetCard(
        read=1797,
        accepted=1737,
        rejected=60,
        versions=25158,
        splits={"worker_train": 700, "test": 200},
        label_workers=("vit", "bit"),
        quality="mean",
        mean_quality={"jpeg 1": 0.9, "jpeg 2": 0.75, "pristine 0": 0.97},
        sha256=sha256,
    )


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
        dataset=make_dataset_card(),
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
