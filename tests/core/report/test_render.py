"""The report: one HTML file that needs nothing else and trusts no name."""

import os
import subprocess
import sys
from base64 import b64encode
from collections import defaultdict
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import metrifier_core.report
from metrifier_core.data.training_history import TrainingHistory
from metrifier_core.images import encode_png
from metrifier_core.report import Rejects, ReportData, installed_versions, reasons, render, render_report, verdict
from tests.helpers.html_page import Page
from tests.helpers.report_data import (
    make_data,
    make_dataset_card,
    make_example,
    make_margin,
    make_metrics,
    make_target,
    make_worker,
)

FIGURES = 7
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
HOSTILE = "<script>alert(1)</script>\"'&"
SCRIPT = Path(metrifier_core.report.__file__).with_name("report.js").read_text()


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(make_data())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures, for tests of words alone."""
    blank = encode_png(np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(render, "_pictures", lambda *_: defaultdict(lambda: (blank, blank)))


@pytest.mark.usefixtures("blank_figures")
def test_the_words_are_those_of_how_quality_was_made() -> None:
    data = make_data()
    found = {
        made: render_report(replace(data, config={**data.config, "merge": {"quality": made}}))
        for made in ("mean", "median", "mean_rank")
    }
    assert "<dd>The mean TCP over the label workers: how" in found["mean"]
    assert "the quality itself, the median TCP over the label workers, which" in found["median"]
    assert "<dd>The mean rank of a version" in found["mean_rank"]
    assert ["no share of ranks" in page for page in found.values()] == [False, False, True]


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
    assert len(pictures) == FIGURES + 5 * 2
    for values in pictures:
        assert values["alt"]
        assert int(values["width"] or 0) > 0
    assert [values["alt"] for values in pictures[-2:]] == ["zoo/7.png, pristine", "zoo/7.png, jpeg 3"]
    assert [values.get("class") for values in pictures[-2:]] == ["small", None]


def test_the_page_needs_nothing_else(html: str, page: Page) -> None:
    addresses = [
        value or ""
        for _, values in page.elements
        for name, value in values.items()
        if name in {"src", "srcset", "href"}
    ]
    assert len(addresses) == FIGURES * 2 + 5 * 2
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "url(" not in html
    assert "@import" not in html


def test_the_one_script_that_may_run_is_the_projects_own(html: str, page: Page) -> None:
    assert [values for tag, values in page.elements if tag == "script"] == [{}]
    assert f"<script>{SCRIPT}</script>" in html
    allowed = next(values["content"] for _, values in page.elements if "http-equiv" in values)
    assert allowed is not None
    assert f"script-src 'sha256-{b64encode(sha256(SCRIPT.encode()).digest()).decode()}'" in allowed
    assert "default-src 'none'" in allowed


def test_true_means_the_quality_everywhere(html: str, page: Page) -> None:
    (alternative,) = [values["alt"] for _, values in page.elements if "Density" in (values.get("alt") or "")]
    assert alternative is not None
    assert "on the left the true quality, on the right the held-out workers' mean TCP" in alternative
    assert "against the quality itself, which the metrifier is to predict" in html
    assert 'with the quality that it should have predicted ("true")' in page.text


def test_the_headline_stands_before_the_figures(page: Page) -> None:
    text = " ".join(page.text.split())
    headline = text[text.index("Headline") : text.index("Figures")]
    for shown in (
        "Global Spearman 0.71 0.68 to 0.74 ceiling 0.90 share 79 %",
        "AUROC 0.800 0.780 to 0.820 ceiling 0.950",
        "Error without the worst fifth 22 % 20 % to 24 % ceiling 20 % with all 30 %",
        "Calibration error 0.031 0.021 to 0.042",
    ):
        assert shown in headline


def test_every_condition_has_a_row(page: Page) -> None:
    assert ["jpeg", "1", "59", "0.52 0.49 to 0.55", "0.90", "58 %"] in page.clean_rows()
    assert page.row("fog unseen in training")[2] == "0.30 0.27 to 0.33"
    found = page.text[page.text.index("The numbers of the heat map") :]
    assert found.count("unseen in training") == 2


def test_every_group_of_examples_has_a_title_and_all_scores(page: Page) -> None:
    titles = ("Best", "Worst", "Most wrong: too optimistic", "Most wrong: too strict", "From the lowest to the highest")
    text = " ".join(page.text.split())
    places = [text.index(title, text.index("Examples")) for title in titles]
    assert places == sorted(places)
    assert text.count("predicted 0.80 true 0.75 held out 0.70") == 10


def test_tables_put_the_mean_and_the_best_baseline_first(page: Page) -> None:
    names = [row[0].strip() for row in page.rows]
    assert names.index("mean") < names.index("vit")
    first = [row[0].split()[0] for row in page.rows if row[0]]
    assert first.index("ceiling") < first.index("metrifier") < first.index("severity_oracle") < first.index("jpeg_size")
    assert page.row("mean")[0] == "0.71 0.68 to 0.74 ceiling 0.90 share 79 %"
    assert page.row("jpeg_size")[0] == f"{MINUS}0.04 {MINUS}0.07 to {MINUS}0.01"
    assert page.row("pristine")[2] == "0.40 0.37 to 0.43"
    assert page.row("resnet") == ["held-out", "0.812 0.790 to 0.830", "0.951", "1,500", "1.31"]
    assert "transformer, MIT" in page.text
    assert "a zoo" in page.text
    assert "worker train 700, test 200" in page.text
    assert "vit, bit" in page.text
    assert "epochs: 3" in page.text
    assert "format: onnx" in page.text


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


@pytest.mark.usefixtures("blank_figures")
def test_of_one_worker_no_mean_is_shown() -> None:
    metrics = make_metrics(workers={name: make_target(0.7, 0.6, 0.5) for name in ("vit", "mean")})
    page = Page(render_report(replace(make_data(), metrics=metrics)))
    assert "vit alone" not in page.text
    assert "judged by vit, which had no part in the labels" in page.text
    assert "Each metric against vit" in page.text


def test_the_calibration_error_stands_below_its_diagram(page: Page) -> None:
    assert "Calibration error: 0.031 (0.021 to 0.042), on distortions unseen in training 0.031" in " ".join(
        page.text.split()
    )


def test_the_first_rejected_files_are_shown_and_all_are_counted(page: Page) -> None:
    assert "60 rejected, the first 50 shown" in page.text
    assert "images/49.png" in page.text
    assert "1 rejected" in page.text
    assert page.row("zoo/9.png") == ["fog: it is too small"]


def test_what_a_run_lacks_is_left_out() -> None:
    metrics, none = make_metrics(baselines={}, unseen_distortions=None), Rejects(0, [])
    page = Page(
        render_report(
            replace(
                make_data(), metrics=metrics, training=TrainingHistory(()), rejected=none, refused=none, examples={}
            )
        )
    )
    assert "No file was rejected." in page.text
    assert "Every distortion took every image." in page.text
    assert sum(tag == "img" for tag, _ in page.elements) == FIGURES - 1
    for heading in ("Examples", "Training.", "On distortions unseen in training"):
        assert heading not in page.text


def test_hostile_names_are_only_text() -> None:
    data = make_data()
    workers = {**data.metrics.workers, HOSTILE: data.metrics.workers["vit"]}
    by_target = {**data.metrics.ceiling, HOSTILE: data.metrics.ceiling["mean"]}
    baselines = dict.fromkeys((*data.metrics.baselines, HOSTILE), by_target)
    first, *conditions = data.metrics.conditions
    metrics = make_metrics(
        workers=workers,
        ceiling=by_target,
        baselines=baselines,
        margins=dict.fromkeys(baselines, make_margin(0.5)),
        agreement=data.metrics.agreement.model_copy(update={"workers": (HOSTILE, "resnet")}),
        conditions=(first.model_copy(update={"distortion": HOSTILE}), *conditions),
    )
    worker = dict.fromkeys(("name", "role", "sha256"), HOSTILE)
    spec = dict.fromkeys(("family", "source", "licence", HOSTILE), HOSTILE)
    dataset = {"mean_quality": {f"{HOSTILE} 1": 0.5}, "label_workers": (HOSTILE,), "splits": {HOSTILE: 1}}
    distortion = pa.array([HOSTILE] * data.predictions.num_rows)
    hostile = ReportData(
        name=HOSTILE,
        metrics=metrics,
        predictions=data.predictions.set_column(2, "distortion", distortion),
        training=data.training,
        workers=[make_worker() | worker | {"spec": spec}],
        dataset=make_dataset_card(HOSTILE).model_copy(update=dataset),
        rejected=Rejects(1, [{"path": HOSTILE, "reason": HOSTILE}]),
        refused=Rejects(1, [{"path": HOSTILE, "reason": HOSTILE}]),
        examples={"best": [replace(make_example(8, distortion=HOSTILE), image_id=HOSTILE)]},
        config={HOSTILE: HOSTILE, "merge": {"quality": "mean"}},
        versions={HOSTILE: HOSTILE},
    )
    page = Page(render_report(hostile))
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not any(name.startswith("on") for _, values in page.elements for name in values)
    assert page.text.count("<script>") >= 20


def test_the_report_opens_with_the_verdict(page: Page) -> None:
    places = [page.text.index(text) for text in (verdict(make_metrics()), *reasons(make_metrics()), "Headline")]
    assert places == sorted(places)


def test_processes_with_different_hash_seeds_write_the_same_bytes() -> None:
    program = (
        "import sys; from metrifier_core.report import render_report; from tests.helpers.report_data import make_data;"
        "sys.stdout.buffer.write(render_report(make_data()).encode())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    first, second = (process.communicate()[0] for process in processes)
    assert first.startswith(b"<!doctype html>")
    assert first == second


def test_versions_are_those_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = installed_versions()
    assert list(found)[:2] == ["python", "metrifier"]
    assert {"tensorflow", "tensorflow-cpu"} & found.keys()
    assert {"pyarrow", "onnxruntime", "ai-edge-litert", "keras", "mlflow"} <= found.keys()

    def missing(name: str) -> str:
        if name == "numpy":
            return "2"
        raise PackageNotFoundError

    monkeypatch.setattr("metrifier_core.report.versions.version", missing)
    assert list(installed_versions()) == ["python", "numpy"]
