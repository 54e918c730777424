"""The whole pipeline through its own command: complete, and resumable."""

import json
import sqlite3

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from scipy.stats import spearmanr

from metrifier_core import Metrifier
from metrifier_core.config.cluster import STAGES
from tests.helpers.runs import lasting_files, run

pytestmark = pytest.mark.end_to_end

BASELINES = (
    "laplacian_variance",
    "jpeg_size",
    "brisque_trees",
    "psnr",
    "ssim",
    "severity_oracle",
    "single_confidence",
    "label_confidence",
)
LEVELS = ("global", "within_image", "within_condition")


def test_it_says_where_the_results_are(undisturbed):
    _, printed = undisturbed
    for expected in (
        "The metrifier on",
        "quick_judge",
        "brisque trees",
        "report.html",
        "make ui RUN=",
        "metrifier score",
    ):
        assert expected in printed


def test_metrics_have_interval_ceiling_and_share_for_each_worker_and_the_mean(undisturbed):
    folder, _ = undisturbed
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["workers"]) == {"quick_judge", "mean"}
    for judged in (metrics, metrics["unseen_distortions"]):
        assert judged["rows"] > judged["sources"] > 0
        for found in judged["workers"].values():
            assert set(found) == {*LEVELS, "auroc", "augrc"}
            for figure in found.values():
                assert set(figure) == {"value", "low", "high", "ceiling", "share"}
            for area in ("auroc", "augrc"):
                assert found[area]["low"] <= found[area]["value"] <= found[area]["high"]
        for curves in judged["discard"].values():
            assert set(curves) == {"metrifier", "ceiling", *BASELINES}
        assert set(judged["baselines"]) == set(BASELINES)
        for found in (judged["ceiling"], *judged["baselines"].values()):
            assert set(found) == set(judged["workers"])
        assert sum(own["count"] for own in judged["reliability"]) == judged["rows"]
    estimate = metrics["workers"]["mean"]["global"]
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert estimate["share"] == pytest.approx(estimate["value"] / estimate["ceiling"])


def test_metrics_are_those_of_the_predictions_joined_with_the_losses(undisturbed):
    folder, _ = undisturbed
    tcp = {
        (row["image_id"], row["distortion"], row["severity"]): row["tcp"]
        for path in folder.glob("losses/*.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["worker"] == "quick_judge"
    }
    rows = pq.read_table(folder / "predictions.parquet").to_pylist()
    for row in rows:
        assert row["held_out"] == tcp[row["image_id"], row["distortion"], row["severity"]]
    seen = [row for row in rows if row["distortion"] != "pixelate"]
    expected = spearmanr([row["predicted"] for row in seen], [row["held_out"] for row in seen]).statistic
    ceiling = spearmanr([row["quality"] for row in seen], [row["held_out"] for row in seen]).statistic
    metrics = json.loads((folder / "metrics.json").read_text())
    found = metrics["workers"]["mean"]["global"]
    assert metrics["rows"] == len(seen)
    assert found["value"] == pytest.approx(expected, abs=1e-9)
    assert found["ceiling"] == pytest.approx(ceiling, abs=1e-9)


def test_no_source_image_straddles_splits_and_held_out_distortions_stay_in_test(undisturbed):
    folder, _ = undisturbed
    rows = pq.read_table(folder / "quality.parquet").to_pylist()
    splits = {}
    for row in rows:
        assert splits.setdefault(row["image_id"], row["split"]) == row["split"]
    assert {row["split"] for row in rows if row["distortion"] == "pixelate"} == {"test"}
    assert {row["split"] for row in rows} == {"calibration", "train", "validation", "test"}


def test_held_out_workers_saw_test_versions_alone_and_quality_is_the_mean_of_the_label_workers(undisturbed):
    folder, _ = undisturbed
    losses = [row for path in folder.glob("losses/*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {row["split"] for row in losses if row["worker"] == "quick_judge"} == {"test"}
    tcp = {}
    for row in losses:
        if row["worker"] != "quick_judge":
            tcp.setdefault((row["image_id"], row["distortion"], row["severity"]), []).append(row["tcp"])
    for row in pq.read_table(folder / "quality.parquet").to_pylist():
        values = tcp[row["image_id"], row["distortion"], row["severity"]]
        assert len(values) == 2
        assert row["quality"] == pytest.approx(sum(values) / 2, abs=1e-15)


@pytest.mark.browser
def test_everybody_can_read_the_report(undisturbed, inspect):
    folder, _ = undisturbed
    inspect((folder / "report.html").as_uri(), "report-of-a-run")


def test_every_condition_stands_in_the_metrics_beside_its_ceiling(undisturbed):
    folder, _ = undisturbed
    metrics = json.loads((folder / "metrics.json").read_text())
    seen = {(found["distortion"], found["severity"]) for found in metrics["conditions"]}
    assert seen == {
        ("pristine", 0),
        *((name, level) for name in ("contrast", "gaussian_noise", "jpeg") for level in (1, 3, 5)),
    }
    assert [found["severity"] for found in metrics["unseen_distortions"]["conditions"]] == [1, 3, 5]
    for judged in (metrics, metrics["unseen_distortions"]):
        assert sum(found["rows"] for found in judged["conditions"]) == judged["rows"]


def test_the_model_scores_images(undisturbed):
    folder, _ = undisturbed
    version = next(iter(pq.read_table(next(folder.glob("versions/*.parquet"))).to_pylist()))
    image = folder / "digit.png"
    image.write_bytes(version["image"]["bytes"])
    assert 0 <= Metrifier.load(folder / "model")(image) <= 1


def test_tracking_holds_a_parent_with_a_nested_run_a_stage_and_a_champion(undisturbed):
    folder, _ = undisturbed
    with sqlite3.connect(folder / "mlflow.db") as database:
        names = sorted(name for (name,) in database.execute("select value from tags where key = 'mlflow.runName'"))
        aliases = {alias for (alias,) in database.execute("select alias from registered_model_aliases")}
        statuses = {status for (status,) in database.execute("select status from runs")}
    database.close()
    stages = ["distort", "download", "evaluate_spearman", "merge_dataset", "prepare_workers"]
    assert names == [*stages, "quick", "register_metrifier", "train_metrifier", "worker_evaluate"]
    assert aliases == {"champion", "challenger"}
    assert statuses == {"FINISHED"}


def test_run_again_redoes_nothing(undisturbed):
    folder, _ = undisturbed
    before, log = lasting_files(folder), (folder / "log.txt").read_text()
    again = run(folder.parent)
    assert again.returncode == 0, again.stderr
    added = (folder / "log.txt").read_text().removeprefix(log)
    executed = [line for line in added.splitlines() if "Executing task" in line]
    assert all("importer" in line for line in executed), "an importer makes nothing, and is never taken from the cache"
    assert "The metrifier on" in again.stdout
    assert lasting_files(folder) == before


def test_another_run_takes_up_what_this_one_finished(undisturbed):
    folder, _ = undisturbed
    again = run(folder.parent, "name=again", "evaluation.bootstrap_replicates=30", "--reuse", "quick")
    assert again.returncode == 0, again.stdout + again.stderr
    other = folder.with_name("again")
    log = (other / "log.txt").read_text()
    done = {stage for stage in STAGES if f"metrifier: {stage}: done" in log}
    assert done == {"evaluate_spearman", "register_metrifier"}
    assert (other / "model" / "metrifier.json").read_bytes() == (folder / "model" / "metrifier.json").read_bytes()
    client = MlflowClient(f"sqlite:///{other / 'mlflow.db'}")
    runs = client.search_runs([found.experiment_id for found in client.search_experiments()])
    assert {found.info.run_name: found.info.status for found in runs} == dict.fromkeys(
        ("again", "evaluate_spearman", "register_metrifier"), "FINISHED"
    )


def test_a_run_that_is_not_there_cannot_be_taken_up(tmp_path):
    refused = run(tmp_path, "--reuse", "nothing")
    assert refused.returncode == 1
    assert f"nothing was run: there is no run to reuse in {tmp_path / 'nothing'}" in refused.stderr
    assert "run the same command again" not in refused.stderr


def test_a_failing_stage_is_named_with_its_reason(tmp_path):
    failed = run(tmp_path, "source.max_sources=3")
    assert failed.returncode == 1
    assert "download: failed: no usable image for the split" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_wrong_config_is_refused_before_any_work(tmp_path):
    refused = run(tmp_path, "workers.held_out=[quick_plain]", "metrifier.epochz=3")
    assert refused.returncode == 2
    assert "'quick_plain' is in label and in held_out" in refused.stderr
    assert "metrifier.epochz: unknown key, did you mean 'epochs'?" in refused.stderr
    assert not list(tmp_path.iterdir())
