"""One registered function is a metric: the example of docs/evaluation.md shows up wherever a metrifier is judged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from metrifier_core.cli import app
from metrifier_core.data.metrifier_card import MetrifierCard
from metrifier_core.report import render_report
from metrifier_core.report.families_table import render_families
from metrifier_core.report.model_card import render_model_card
from metrifier_core.statistics import (
    BASELINES,
    CEILING,
    METRIFIER,
    Draw,
    FamiliesMetrics,
    Metrics,
    average_folds,
    evaluate_predictors,
    get_metric,
    list_metrics,
    register_metric,
    summarize_fold,
)
from pipelines.local.results import baselines_table, families_tables, metrics_table
from tests.helpers.documents import read_blocks
from tests.helpers.html_page import Page
from tests.helpers.report_data import make_data, make_metrics
from tests.helpers.run_products import write_judged_run

CARD = MetrifierCard(
    architecture="nano",
    crop=32,
    package_version="1",
    fingerprint="f",
    parameters=1,
    best_epoch=1,
    validation_spearman=0.5,
    sha256={},
)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the metrics of docs/evaluation.md for one test."""
    monkeypatch.setattr("metrifier_core.statistics.metrics._REGISTRY", {one.name: one for one in list_metrics()})
    (block,) = read_blocks("docs/evaluation.md", "python")
    block.evaluate()


def judge() -> Metrics:
    rng = np.random.default_rng(0)
    image, severity = (index.ravel() for index in np.indices((20, 5)))
    quality = np.clip(1 - severity / 6 + rng.normal(0, 0.1, image.size), 0, 1)
    noisy = {
        name: np.clip(quality + rng.normal(0, 0.2, image.size), 0, 1) for name in (METRIFIER, "psnr", "vit", "swin")
    }
    tcp = {name: noisy[name] for name in ("vit", "swin")}
    judged = evaluate_predictors(
        {METRIFIER: noisy[METRIFIER], CEILING: quality, "psnr": noisy["psnr"]},
        tcp,
        {name: values > 0.5 for name, values in tcp.items()},
        image,
        np.where(severity, "jpeg", "pristine"),
        severity,
        replicates=20,
        seed=0,
    )
    return Metrics(**dict(judged), agreement=make_metrics().agreement)


def printed(*tables: Any) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(*tables)
    return capture.get()


@pytest.mark.usefixtures("registered")
def test_the_example_is_shown_wherever_a_metrifier_is_judged(tmp_path: Path) -> None:
    metrics = Metrics.model_validate_json(judge().model_dump_json())
    figure, ceiling = metrics.workers["mean"]["top_tenth_error"], metrics.ceiling["mean"]["top_tenth_error"]
    assert figure.value is not None
    assert figure.ceiling == ceiling.value
    assert figure.value == np.mean([metrics.workers[name]["top_tenth_error"].value for name in ("vit", "swin")])
    assert metrics.baselines["psnr"]["vit"]["top_tenth_error"].low is not None
    assert metrics.margins["psnr"]["top_tenth_error"].low is not None
    assert 0.05 < (metrics.label["mean_absolute_error"].value or 0) < 0.3

    page = Page(render_report(replace(make_data(), metrics=metrics)))
    headline = page.text[page.text.index("Headline") : page.text.index("Figures")]
    for title in ("Top-tenth error", "Mean absolute error"):
        assert title in headline
    assert f"{figure.value:.3f}" in headline
    assert any("Top-tenth error" in row for row in page.rows)
    assert get_metric("top_tenth_error").meaning in page.text

    card = render_model_card("gate", CARD, {}, {}, None, metrics)
    assert "| top-tenth error (lower is better): The worker's error rate" in card
    assert f"| {figure.value:.3f} (" in card
    assert "| mean absolute error (lower is better):" in card

    run = write_judged_run(tmp_path / "run", lambda quality: quality)
    shown = CliRunner().invoke(app, ["compare", str(run), str(run), "--replicates", "5"]).stdout
    assert "top-tenth error (lower is better)" in shown
    assert "mean absolute error (lower is better)" in shown

    from metrifier_core.tracking.story import headline as named

    assert named(metrics)["vit_top_tenth_error"] == metrics.workers["vit"]["top_tenth_error"].value
    assert {"mean_top_tenth_error_low", "mean_top_tenth_error_ceiling", "mean_absolute_error"} <= named(metrics).keys()

    fold = summarize_fold(metrics)
    families = FamiliesMetrics(families={"vit": fold}, mean=average_folds([fold]))
    assert "| top-tenth error |" in render_families("mine", families)
    assert "Mean absolute error, mean over families: " in render_families("mine", families)
    for table in (metrics_table(metrics), baselines_table(metrics), *families_tables(families)):
        assert "top-tenth error" in printed(table)


def test_metrics_of_a_file_that_are_not_registered_here_are_not_shown() -> None:
    own = make_metrics().workers["mean"] | {"of another release": make_metrics().label["calibration_error"]}
    metrics = make_metrics(workers={"mean": own})
    assert "of another release" not in render_report(replace(make_data(), metrics=metrics))


@pytest.mark.usefixtures("registered")
def test_a_metric_of_another_shape_is_refused() -> None:
    @register_metric("flat", title="flat", description="Nothing.")
    def flat(draw: Draw) -> Any:
        return draw.scores.mean(axis=1)

    with pytest.raises(ValueError, match=r"metric 'flat': expected values of shape \(3, 2\) or \(3, 3\), got \(3,\)"):
        judge()


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown metric 'rmse', expected one of global, within_image"):
        get_metric("rmse")
    assert not {metric.name for metric in list_metrics()} & BASELINES.keys()
