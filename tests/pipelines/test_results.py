"""The tables that a finished run prints."""

from io import StringIO
from typing import Any

from rich.console import Console

from metrifier_core.statistics import Figure, Figures
from pipelines.local.results import baselines_table, metrics_table
from tests.helpers.report_data import make_metrics


def make_found(rho: float | None, auroc: float) -> Figures:
    level = Figure(value=rho, low=None if rho is None else rho - 0.01, high=rho, ceiling=0.9, share=0.8)
    area = Figure(value=auroc, low=auroc - 0.01, high=auroc + 0.01, ceiling=0.95)
    return {"global": level, "within_image": level, "within_condition": level, "auroc": area, "augrc": area}


METRICS = make_metrics(
    workers={"vit": make_found(None, 0.71), "mean": make_found(0.72, 0.81)},
    ceiling={"mean": make_found(0.9, 0.95)},
    baselines={"brisque_trees": {"mean": make_found(0.53, 0.74)}, "psnr": {"mean": make_found(None, 0.6)}},
)


def printed(table: Any) -> list[list[str]]:
    text = StringIO()
    Console(file=text, width=96).print(table)
    return [line.split() for line in text.getvalue().splitlines() if line.strip()]


def test_every_target_has_its_levels_and_areas() -> None:
    lines = printed(metrics_table(METRICS))
    assert lines[0] == ["The", "metrifier", "on", "1,234", "test", "versions", "of", "59", "source", "images"]
    assert ["vit", "global", "Spearman", "0.900", "80%"] in lines, "what is undefined stays empty"
    assert ["mean", "global", "Spearman", "0.720", "0.710", "to", "0.720", "0.900", "80%"] in lines
    assert ["AUROC", "0.810", "0.800", "to", "0.820", "0.950"] in lines


def test_every_predictor_stands_beside_the_metrifier() -> None:
    lines = printed(baselines_table(METRICS))
    assert [line[0] for line in lines[3:]] == ["ceiling", "metrifier", "brisque", "psnr"]
    assert ["brisque", "trees", "0.530", "0.530", "0.530", "0.740", "0.740"] in lines
    assert ["psnr", "0.600", "0.600"] in lines
