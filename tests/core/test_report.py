"""The report: real figures, and one HTML file that needs nothing else and trusts no name."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from metrifier_core.report import (
    DARK,
    LIGHT,
    Example,
    ReportData,
    Theme,
    correlation_bars,
    error_against_discard,
    examples_sheet,
    predicted_against_true,
    quality_by_severity,
    reliability_diagram,
    render_report,
    training_curves,
    verdict,
)
from tests.core.html_page import Page

LEVELS = ("global", "within_image", "within_condition")
DISCARDED = [share / 100 for share in range(0, 51, 5)]
OPENING = "The metrifier ranks images for workers it has never met with a Spearman correlation of"
SOLID = f"{OPENING} 0.71 (95 % interval 0.68 to 0.74), 79 % of what the label workers themselves reach."
DISCARD = (
    "Without the fifth of the versions that it scores lowest, the held-out workers' error rate is 22 % instead of 30 %."
)
UNDEFINED = (
    "This run cannot say how well the metrifier ranks images: "
    "its Spearman correlation with the held-out workers is undefined."
)
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
HOSTILE = "<script>alert(1)</script>\"'&"


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
        "calibration": make_calibration(),
        "discarded": DISCARDED,
    }


def make_metrics() -> dict[str, Any]:
    unseen = make_judgement() | {"rows": 500, "workers": {"mean": make_target(0.53, 0.4, 0.3)}}
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
    return Example(buffer.getvalue(), 0.8, 0.75, distortion, severity)


def make_worker(name: str = "vit") -> dict[str, Any]:
    return {
        "name": name,
        "family": "transformer",
        "role": "held-out",
        "source": "a zoo",
        "licence": "MIT",
        "clean_accuracy": 0.8123,
        "clean_accuracy_low": 0.79,
        "clean_accuracy_high": 0.83,
        "clean_top5_accuracy": 0.951,
        "calibration_images": 1500,
        "temperature": 1.31,
        "sha256": "0123456789abcdef" * 4,
        "surprise": object(),
    }


def make_data() -> ReportData:
    return ReportData(
        name="digits",
        metrics=make_metrics(),
        predictions=make_predictions(),
        training=make_training(),
        workers=[make_worker(), make_worker("resnet") | {"source": "", "licence": ""}],
        dataset={
            "sources_read": 1797,
            "versions": 25158,
            "splits": {"worker_train": 700, "test": 200},
            "label_workers": ["vit", "bit"],
        },
        rejected=[{"path": f"images/{index}.png", "reason": "it is empty"} for index in range(60)],
        examples=[make_example(8, "pristine", 0), make_example(224)],
        config={"name": "digits", "distortions": ["jpeg", "fog"], "training": {"epochs": 3, "limit": None}},
        versions={"metrifier": "0.1.0"},
    )


def pixels(png: bytes) -> NDArray[np.int64]:
    """The picture's pixels, int64 (height, width, 3)."""
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"), dtype=np.int64)


def errors_of_mean(metrics: dict[str, Any], theme: Theme = LIGHT) -> bytes:
    return error_against_discard(metrics, "mean", theme)


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(make_data())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.mark.parametrize(
    ("draw", "data", "other"),
    [
        (predicted_against_true, make_predictions(0), make_predictions(1)),
        (quality_by_severity, make_predictions(0), make_predictions(1)),
        (
            correlation_bars,
            make_metrics(),
            make_metrics() | {"workers": {"mean": make_target(0.2, 0.61, 0.41)}},
        ),
        (
            errors_of_mean,
            make_metrics(),
            make_metrics()
            | {
                "workers": {
                    "mean": make_target(0, 0, 0) | {"discard": dict.fromkeys(("metrifier", "ceiling"), make_curve(0.2))}
                }
            },
        ),
        (reliability_diagram, make_calibration(), make_calibration() | {"bins": make_calibration()["bins"][:9]}),
        (training_curves, make_training(3), make_training(4)),
        (examples_sheet, [make_example(8)], [make_example(9)]),
    ],
)
def test_a_figure_is_a_picture_of_its_data(draw: Callable[..., bytes], data: Any, other: Any) -> None:
    assert Image.open(BytesIO(draw(data))).format == "PNG"
    assert draw(data) == draw(data, theme=LIGHT)
    assert draw(data) != draw(other)
    light, dark = pixels(draw(data)), pixels(draw(data, theme=DARK))
    assert light.shape == dark.shape
    assert len(np.unique(light.reshape(-1, 3), axis=0)) > 20
    assert "#{:02x}{:02x}{:02x}".format(*light[0, 0]) == LIGHT.paper
    assert "#{:02x}{:02x}{:02x}".format(*dark[0, 0]) == DARK.paper


def test_figures_do_not_depend_on_the_order_of_rows_and_names() -> None:
    predictions, metrics = make_predictions(), make_metrics()
    turned = predictions.take(np.arange(predictions.num_rows)[::-1])
    assert quality_by_severity(turned) == quality_by_severity(predictions)
    metrics["baselines"] = dict(reversed(metrics["baselines"].items()))
    assert correlation_bars(metrics) == correlation_bars(make_metrics())


def test_figures_bear_little_data() -> None:
    one = make_predictions().slice(1, 1)
    nothing = make_target(None, None, None, auroc=None)
    nothing["discard"] = {name: make_curve(None) for name in nothing["discard"]}
    undefined = make_metrics() | {"workers": {"mean": nothing}, "baselines": {}}
    alone = {"low": 0.0, "high": 1.0, "count": 1, "mean_predicted": 0.5, "mean_quality": 0.2}
    for picture in (
        predicted_against_true(one),
        quality_by_severity(one),
        correlation_bars(undefined),
        errors_of_mean(undefined),
        reliability_diagram({"bins": [alone]}),
        training_curves([make_training(1)[0] | {"validation_spearman": float("nan")}]),
    ):
        Image.open(BytesIO(picture)).verify()


def test_the_sheet_enlarges_small_images_pixel_by_pixel() -> None:
    sheet = pixels(examples_sheet([make_example(8)] * 3, columns=2))
    assert sheet.shape[1] == 2 * 230
    red, green, blue = (sheet[..., channel] for channel in range(3))
    coloured = (blue == 0) & (red + green > 0)
    assert ((red + green)[coloured] == 255).all()
    assert 0.4 < (red[coloured] == 255).mean() < 0.6
    assert coloured.sum() > 3 * 150**2


def test_names_are_not_read_as_formulas() -> None:
    name = "$x_{$"
    predictions = make_predictions()
    distortion = pa.array([name] * predictions.num_rows)
    named = {"discard": {"metrifier": make_curve(), "ceiling": make_curve(), name: make_curve()}}
    for picture in (
        quality_by_severity(predictions.set_column(2, "distortion", distortion)),
        correlation_bars(without_baselines() | {"workers": {name: make_target(0.7, 0.6, 0.5)}}),
        error_against_discard({"discarded": DISCARDED, "workers": {name: named}}, name),
        examples_sheet([make_example(8, distortion=name)]),
    ):
        Image.open(BytesIO(picture)).verify()


def test_the_page_is_whole_and_accessible(page: Page) -> None:
    attributes = dict(page.elements)
    assert attributes["html"]["lang"] == "en"
    assert any(values.get("name") == "viewport" for _, values in page.elements)
    assert "digits: metrifier report" in page.text
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    pictures = [values for tag, values in page.elements if tag == "img"]
    assert len(pictures) == 6 + 2
    for values in pictures:
        assert values["alt"]
        assert int(values["width"] or 0) > 0
    assert [values["alt"] for values in pictures[-2:]] == ["pristine", "jpeg 3"]
    assert [values.get("class") for values in pictures[-2:]] == ["small", None]


def test_the_page_needs_nothing_else(html: str, page: Page) -> None:
    addresses = [
        value or ""
        for _, values in page.elements
        for name, value in values.items()
        if name in {"src", "srcset", "href"}
    ]
    assert len(addresses) == 6 * 2 + 2
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "url(" not in html
    assert "@import" not in html


def test_tables_put_the_mean_and_the_best_baseline_first(page: Page) -> None:
    names = [row[0].strip() for row in page.rows]
    assert names.index("mean") < names.index("vit")
    first = [row[0].split()[0] for row in page.rows if row[0]]
    assert first.index("ceiling") < first.index("metrifier") < first.index("severity_oracle") < first.index("jpeg_size")
    assert page.row("mean")[0] == "0.71 0.68 to 0.74 ceiling 0.90 share 79 %"
    assert page.row("jpeg_size")[0] == f"{MINUS}0.04 {MINUS}0.07 to {MINUS}0.01"
    assert page.row("resnet") == ["held-out", "0.812 0.790 to 0.830", "0.951", "1,500", "1.31"]
    assert "transformer, MIT" in page.text
    assert "a zoo" in page.text
    assert "worker train 700, test 200" in page.text
    assert "vit, bit" in page.text
    assert "epochs: 3" in page.text


def test_undefined_values_show_as_a_dash(page: Page) -> None:
    assert page.row("vit")[2] == f"{DASH} {DASH} ceiling {DASH} share {DASH}"
    assert page.row("vit")[3] == f"{DASH} {DASH} ceiling 0.950"
    assert page.row("severity_oracle")[2] == f"{DASH} {DASH}"


def test_every_target_has_a_table_of_every_predictor(page: Page) -> None:
    predictors = ["ceiling", "metrifier", "severity_oracle", "jpeg_size"]
    first = [row[0].split()[0] for row in page.rows if row[0]]
    # Three targets on distortions of the training; of the one on others, the mean is the only one.
    assert [name for name in first if name in predictors] == predictors * 4
    assert "vit alone" in page.text
    assert "swin alone" in page.text
    assert page.row("mean")[3:] == ["0.800 0.780 to 0.820 ceiling 0.950", "0.071 0.051 to 0.091 ceiling 0.950"]
    assert page.row("severity_oracle told distortion and severity, not shown the image")[3] == "0.800 0.780 to 0.820"


def test_the_mean_of_one_worker_has_no_second_table() -> None:
    metrics = make_metrics()
    del metrics["workers"]["swin"]
    page = Page(render_report(replace(make_data(), metrics=metrics)))
    assert "vit alone" not in page.text


def test_the_calibration_error_stands_below_its_diagram(page: Page) -> None:
    assert "The calibration error is 0.031 (0.021 to 0.042), on distortions never trained on 0.031" in page.text


def test_the_first_rejected_files_are_shown_and_all_are_counted(page: Page) -> None:
    assert "60 rejected, the first 50 shown" in page.text
    assert "images/49.png" in page.text
    assert "images/50.png" not in page.text


def test_what_a_run_lacks_is_left_out() -> None:
    metrics = make_metrics() | {"baselines": {}, "unseen_distortions": None}
    page = Page(render_report(replace(make_data(), metrics=metrics, training=[], rejected=[], examples=[])))
    assert "No file was rejected." in page.text
    assert sum(tag == "img" for tag, _ in page.elements) == 5
    for heading in ("Examples", "Training", "On distortions never trained on"):
        assert heading not in page.text


def test_hostile_names_are_only_text() -> None:
    data = make_data()
    metrics = copy.deepcopy(data.metrics)
    metrics["workers"][HOSTILE] = metrics["workers"]["vit"]
    metrics["baselines"][HOSTILE] = metrics["baselines"]["jpeg_size"]
    for by_target in (metrics["ceiling"], *metrics["baselines"].values()):
        by_target[HOSTILE] = by_target["mean"]
    metrics["agreement"]["workers"][0] = HOSTILE
    distortion = pa.array([HOSTILE] * data.predictions.num_rows)
    hostile = ReportData(
        name=HOSTILE,
        metrics=metrics,
        predictions=data.predictions.set_column(2, "distortion", distortion),
        training=data.training,
        workers=[make_worker() | dict.fromkeys(("name", "family", "role", "sha256", "source", "licence"), HOSTILE)],
        dataset={HOSTILE: HOSTILE},
        rejected=[{"path": HOSTILE, "reason": HOSTILE}],
        examples=[make_example(8, distortion=HOSTILE)],
        config={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
    )
    page = Page(render_report(hostile))
    assert "script" not in {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, values in page.elements for name in values)
    assert page.text.count("<script>") >= 15


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"baselines": {}, "unseen_distortions": None}, f"{SOLID} {DISCARD}"),
        (
            {"unseen_distortions": None},
            (
                f"{SOLID} {DISCARD} The best baseline, severity_oracle "
                "(told distortion and severity, not shown the image), reaches 0.64."
            ),
        ),
        (
            {"workers": {"mean": make_target(0.02, 0, 0)}, "unseen_distortions": None, "baselines": {}},
            (
                f"{OPENING} 0.02 (95 % interval {MINUS}0.01 to 0.05), 2 % of what the label workers themselves reach. "
                f"That is not shown to be better than chance. {DISCARD}"
            ),
        ),
        (
            {
                "workers": {
                    "vit": {
                        "global": make_result(None) | {"rho": 0.5},
                        "discard": {"metrifier": make_curve(None)},
                    }
                },
                "baselines": {},
            },
            f"{OPENING} 0.50. On distortions it was never trained on, the metrifier reaches 0.53.",
        ),
        ({"workers": {"mean": make_target(None, None, None)}}, UNDEFINED),
    ],
)
def test_verdict(change: dict[str, Any], expected: str) -> None:
    assert verdict(make_metrics() | change) == expected


def test_the_report_opens_with_the_verdict(page: Page) -> None:
    assert page.text.index(verdict(make_metrics())) < page.text.index("Held-out worker")


correlations = st.none() | st.floats(-1, 1)
results = st.fixed_dictionaries(dict.fromkeys(("rho", "low", "high", "ceiling", "share"), correlations))
rates = st.lists(st.none() | st.floats(0, 1), min_size=len(DISCARDED), max_size=len(DISCARDED))
curves = st.fixed_dictionaries({"metrifier": st.fixed_dictionaries({"error": rates})})
targets = st.fixed_dictionaries({"global": results, "discard": curves})
names = ("mean", "vit", "swin")
named_targets = st.dictionaries(st.sampled_from(names), targets, min_size=1)
named_baselines = st.dictionaries(
    st.sampled_from(["psnr", "own"]),
    st.fixed_dictionaries(dict.fromkeys(names, st.fixed_dictionaries({"global": results}))),
)


@given(
    workers=named_targets,
    baselines=named_baselines,
    unseen=st.none() | st.fixed_dictionaries({"workers": named_targets}),
)
def test_a_verdict_never_speaks_python(
    workers: dict[str, Any], baselines: dict[str, Any], unseen: dict[str, Any] | None
) -> None:
    sentence = verdict(
        {"workers": workers, "baselines": baselines, "unseen_distortions": unseen, "discarded": DISCARDED}
    )
    assert sentence.endswith(".")
    for word in ("None", "nan", f"{MINUS}0.00", "  "):
        assert word not in sentence


def test_processes_with_different_hash_seeds_write_the_same_bytes() -> None:
    program = (
        "import runpy, sys; module = runpy.run_path(sys.argv[1]);"
        "sys.stdout.buffer.write(module['render_report'](module['make_data']()).encode())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, __file__],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    first, second = (process.communicate()[0] for process in processes)
    assert first.startswith(b"<!doctype html>")
    assert first == second
