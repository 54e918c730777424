"""Log calls are queued in order while MLflow is unreachable and replayed later; the user is told once."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metrifier_core.settings.environment import RUN_ID_VARIABLE, UNLOGGED_VARIABLE
from tests.helpers.run_products import CONFIG
from tests.helpers.tracking_servers import Door, door_of, tracking_server

SUMMARY = {"started_at": 1_000_000.0, "finished_at": 1_000_012.5}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tracking_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def door(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Door]:
    """Provide a server that can be shut, and a folder for the queue."""
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv(UNLOGGED_VARIABLE, str(tmp_path / "unlogged"))
    monkeypatch.setenv(RUN_ID_VARIABLE, f"id of {tmp_path.name}")
    with door_of(server) as door:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", door.url)
        yield door


@pytest.fixture
def run(tmp_path: Path) -> Any:
    from metrifier_core.tracking import PipelineRun

    return PipelineRun("digits", f"experiment {tmp_path.name}")


def log_all(run: Any, folder: Path) -> None:
    """Log the stages of a run, each in its own way."""
    from metrifier_core.tracking import complete_run, log_fan_out, log_stage

    (folder / "table.md").write_text("# table", encoding="utf-8")
    (folder / "families.json").write_text('{"families": {"plain": {}}}', encoding="utf-8")
    log_stage(run, "download", {"source": {"kind": "digits"}}, {**SUMMARY, "read": 60})
    shards = [{"versions": 3, "started_at": 10.0, "finished_at": 14.0}]
    log_fan_out(run, "distort", {"severity": 5}, shards)
    curves = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    log_stage(run, "train_metrifier", {}, {**SUMMARY, "epochs": 2}, curves, {"card.json": {"crop": 32}})
    documents = {name: folder / name for name in ("table.md", "families.json")}
    complete_run(run, CONFIG, {**SUMMARY, "families": 2}, ["plain"], documents, folder / "table.md")


def look(run: Any) -> dict[str, Any]:
    """Return what MLflow knows of a run and its nested runs, by name."""
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(run.experiment)
    if experiment is None:
        return {}
    found = client.search_runs([experiment.experiment_id])
    assert len({each.info.run_name for each in found}) == len(found)
    return {
        each.info.run_name: (
            each.data.params,
            each.data.metrics,
            each.info.status,
            each.data.tags.get("kfp.pipeline_run_id"),
        )
        for each in found
    }


def log_what_waits(folder: Path) -> dict[Path, str]:
    from metrifier_core.tracking import ask_server, complete_run, fail_run, log_fan_out, log_offline_queue, log_stage

    return log_offline_queue(folder, [log_stage, log_fan_out, fail_run, complete_run], ask_server)


def test_what_waited_is_logged_as_it_would_have_been(
    door: Door, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from metrifier_core.tracking import PipelineRun, offline_queue

    at_once = PipelineRun("digits", f"{run.experiment}, at once")
    log_all(at_once, tmp_path)
    expected = look(at_once)
    assert set(expected) == {"digits", "download", "distort", "train_metrifier"}

    door.state = "shut"
    log_all(run, tmp_path)
    said = capsys.readouterr().err
    assert said.count("could not be logged to MLflow") == 1, "once, not once a stage"
    assert len(offline_queue(tmp_path / "unlogged")) == 4

    door.state = "open"
    assert look(run) == {}
    # The next start may be another run, of other code; the queue belongs to the one before.
    monkeypatch.setenv(RUN_ID_VARIABLE, "another")
    log_what_waits(tmp_path / "unlogged")
    assert look(run) == expected
    assert not (tmp_path / "unlogged").exists()


def test_a_server_that_is_killed_in_the_middle_gets_the_rest_later_and_nothing_twice(
    door: Door, run: Any, tmp_path: Path
) -> None:
    from metrifier_core.tracking import log_stage

    log_stage(run, "download", {}, {**SUMMARY, "read": 60})
    door.state = "shut"
    log_stage(run, "prepare_workers", {}, SUMMARY)
    door.state = "open"
    # Queued although the server is back: later calls must not overtake earlier ones.
    log_stage(run, "train_metrifier", {}, SUMMARY)
    assert set(look(run)) == {"digits", "download"}
    log_what_waits(tmp_path / "unlogged")
    assert set(look(run)) == {"digits", "download", "prepare_workers", "train_metrifier"}


@pytest.mark.parametrize("lasts", range(1, 11))
def test_a_stage_that_is_cut_off_while_it_is_logged_is_one_run(
    door: Door, run: Any, tmp_path: Path, lasts: int
) -> None:
    """Cut the server off after each of the requests in turn."""
    from mlflow import MlflowClient

    from metrifier_core.tracking import log_stage

    log_stage(run, "download", {}, SUMMARY)
    door.left = lasts
    curves = [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2)]
    log_stage(run, "train_metrifier", {"epochs": 2}, {**SUMMARY, "parameters": 7}, curves, {"card.json": {"crop": 32}})
    cut_off = door.left is None
    assert cut_off == (tmp_path / "unlogged").is_dir()
    door.left, door.state = None, "open"
    log_what_waits(tmp_path / "unlogged")
    found = look(run)
    assert set(found) == {"digits", "download", "train_metrifier"}
    assert found["train_metrifier"][:3] == (
        {"epochs": "2"},
        {"parameters": 7.0, "seconds": 12.5, "loss": 0.5},
        "FINISHED",
    )
    client = MlflowClient()
    (own,) = client.search_runs(
        [client.get_experiment_by_name(run.experiment).experiment_id], "tags.`metrifier.stage` = 'train_metrifier'"
    )
    for name, points in (("loss", 2), ("parameters", 1)):
        assert len(client.get_metric_history(own.info.run_id, name)) == points, "nothing is logged twice"


@pytest.mark.parametrize("lasts", range(1, 8))
def test_shards_of_folds_that_are_cut_off_while_they_are_logged_are_one_run(
    door: Door, run: Any, tmp_path: Path, lasts: int
) -> None:
    from metrifier_core.tracking import log_fan_out, open_run

    open_run(run)
    shards = [{"versions": 3, "started_at": 10.0, "finished_at": 14.0}]
    door.left = lasts
    for family in ("plain", "residual"):
        log_fan_out(replace(run, held_out_family=family), "distort", {}, shards)
    door.left, door.state = None, "open"
    log_what_waits(tmp_path / "unlogged")
    found = look(run)
    assert set(found) == {"digits", "distort"}
    assert found["distort"][2] == "FINISHED"


def test_a_stage_that_is_done_again_is_another_run(door: Door, run: Any) -> None:  # noqa: ARG001
    from mlflow import MlflowClient

    from metrifier_core.tracking import log_stage

    log_stage(run, "download", {}, SUMMARY)
    log_stage(run, "download", {}, {"started_at": 2_000_000.0, "finished_at": 2_000_001.0})
    client = MlflowClient()
    experiment = client.get_experiment_by_name(run.experiment).experiment_id
    assert len(client.search_runs([experiment], "tags.`metrifier.stage` = 'download'")) == 2


def test_what_still_cannot_be_logged_goes_on_waiting(door: Door, run: Any, tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    from metrifier_core.tracking import log_stage, offline_queue

    door.state = "broken"
    for stage in ("download", "prepare_workers"):
        log_stage(run, stage, {}, SUMMARY)
    waiting = offline_queue(tmp_path / "unlogged")
    with pytest.raises(MlflowException, match="500"):
        log_what_waits(tmp_path / "unlogged")
    assert offline_queue(tmp_path / "unlogged") == waiting


def test_what_mlflow_does_not_take_holds_up_nothing_behind_it(door: Door, run: Any, tmp_path: Path) -> None:
    from metrifier_core.tracking import log_stage, offline_queue

    folder = tmp_path / "unlogged"
    door.state = "shut"
    log_stage(run, "download", {}, SUMMARY)
    log_stage(run, "prepare workers", {}, {**SUMMARY, "a metric, of a name that MLflow refuses": 1})
    log_stage(run, "train_metrifier", {}, SUMMARY)
    (folder / f"{0:020d}-1.json").write_text('{"function": "of_another_release", "arguments": {}}')
    (folder / "0.partial").write_text("what a killed stage left")
    door.state = "open"
    refused = log_what_waits(folder)
    assert offline_queue(folder) == list(refused)
    first, second = refused.values()
    assert "of_another_release" in first
    assert "a metric, of a name that MLflow refuses" in second
    assert {"digits", "download", "train_metrifier"} <= set(look(run))
    for file in refused:
        file.unlink()
    assert log_what_waits(folder) == {}
    assert not folder.exists()


def test_errors_of_a_moment_are_sat_out(
    door: Door, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import threading

    from metrifier_core.tracking import log_stage

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    door.state = "broken"
    mending = threading.Timer(2, lambda: setattr(door, "state", "open"))
    mending.start()
    log_stage(run, "download", {}, SUMMARY)
    mending.join()
    assert set(look(run)) == {"digits", "download"}
    assert not (tmp_path / "unlogged").exists()
    assert "could not be logged" not in capsys.readouterr().err


def test_once_a_stage_waits_the_next_ones_do_not_ask_again(
    door: Door, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metrifier_core.tracking import fail_run, log_stage

    door.state = "shut"
    log_stage(run, "download", {}, SUMMARY)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    started = time.monotonic()
    fail_run(run, "distort: failed: no space left")
    assert time.monotonic() - started < 2, "MLflow alone would ask for minutes"
    door.state = "open"
    log_what_waits(tmp_path / "unlogged")
    assert look(run)["digits"][2] == "FAILED"


def test_without_a_folder_what_is_needed_fails(door: Door, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    from metrifier_core.tracking import ask_server, queued_if_unreachable

    @queued_if_unreachable(needed=True)
    def register(run: Any) -> None:  # noqa: ARG001
        ask_server()

    door.state = "shut"
    monkeypatch.delenv(UNLOGGED_VARIABLE)
    with pytest.raises(MlflowException):
        register(run)
