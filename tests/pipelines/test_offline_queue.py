"""The queue is logged at the start and at the end of a run, and a server that does not answer delays neither."""

import io
import os
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from metrifier_core.config.run import load_config
from pipelines.local import runner
from pipelines.local.offline_queue import enable_queue, flush_queue
from tests.helpers.tracking_servers import door_of, tracking_server

CONFIG = Path(__file__).parents[1] / "end_to_end" / "quick.yaml"
SUMMARY = {"started_at": 1_000_000.0, "finished_at": 1_000_012.5}
RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with tracking_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Provide the queue's folder, with the environment that a runner makes."""
    for variable in ("MLFLOW_RUN_ID", RETRIES, TIMEOUT):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setenv("METRIFIER_RUN_ID", f"id of {tmp_path.name}")
    monkeypatch.setenv("METRIFIER_UNLOGGED", "")
    enable_queue(tmp_path / "unlogged")
    return tmp_path / "unlogged"


@pytest.fixture
def door(server, folder, monkeypatch):  # noqa: ARG001
    with door_of(server) as door:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", door.url)
        yield door


def log(stage):
    from metrifier_core.tracking import PipelineRun, log_stage

    log_stage(PipelineRun("waiting", "waiting"), stage, {}, SUMMARY)


def queue(door, monkeypatch, *stages):
    with monkeypatch.context() as impatient:
        impatient.setenv(RETRIES, "0")
        door.state = "shut"
        for stage in stages:
            log(stage)


def test_a_server_that_answers_leaves_nothing(door, folder, capsys):
    flush_queue(folder, door.url)
    assert not folder.exists()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("quiet", [False, True])
def test_a_server_that_does_not_answer_is_said_once(door, folder, capsys, quiet):
    door.state = "shut"
    flush_queue(folder, door.url, quiet=quiet)
    assert folder.is_dir(), "no stage asks again"
    said = capsys.readouterr().err
    assert said.count("could not be reached; what is to be logged waits in") == (not quiet)
    assert os.environ[RETRIES] == "5"
    assert TIMEOUT not in os.environ


def test_what_waited_is_logged_and_what_is_refused_is_named(door, folder, capsys, monkeypatch):
    queue(door, monkeypatch, "download", "distort")
    odd = folder / f"{0:020d}-1.json"
    odd.write_text('{"function": "of_another_release", "arguments": {}}')
    door.state = "open"
    capsys.readouterr()
    flush_queue(folder, door.url)
    said = capsys.readouterr().err
    assert "MLflow: logged 2 queued entries" in said
    assert f"MLflow refuses {odd}, which stays queued; delete it to drop it" in said
    odd.unlink()
    flush_queue(folder, door.url)
    assert not folder.exists()


def test_errors_of_a_moment_while_it_is_logged_are_sat_out(door, folder, capsys, monkeypatch):
    """With as many retries as the runner sets, which make up a minute."""
    queue(door, monkeypatch, "download")
    door.state = "open"
    passed = door.passed
    mending = threading.Timer(3, lambda: setattr(door, "state", "open"))

    def break_it():
        while door.passed < passed + 2:
            time.sleep(0.001)
        door.state = "broken"
        mending.start()

    threading.Thread(target=break_it, daemon=True).start()
    capsys.readouterr()
    flush_queue(folder, door.url)
    mending.join()
    said = capsys.readouterr().err
    assert "refuses" not in said
    assert "MLflow: logged 1 queued entries" in said
    assert not folder.exists()


def test_a_stage_sits_out_an_outage_with_the_runners_retries(door, folder):
    door.state = "broken"
    mending = threading.Timer(3, lambda: setattr(door, "state", "open"))
    mending.start()
    log("prepare_workers")
    mending.join()
    assert not folder.exists()


def test_the_runners_retries_last_a_minute():
    from urllib3.util import Retry

    retry, waited = Retry(total=5, backoff_factor=2), 0.0
    for _ in range(5):
        retry = retry.increment("GET", "/")
        waited += retry.get_backoff_time()
    assert waited == 60


def test_a_server_that_swallows_what_it_is_sent_is_soon_given_up(folder, monkeypatch):
    from metrifier_core.tracking import timeouts

    assert timeouts._LIMITS[TIMEOUT] == 10
    monkeypatch.setattr(timeouts, "_LIMITS", {RETRIES: 1, TIMEOUT: 1})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        begun = time.monotonic()
        flush_queue(folder, url)
        assert time.monotonic() - begun < 30, "MLflow alone would wait for two minutes, twice"
    assert folder.is_dir()
    assert TIMEOUT not in os.environ


def test_results_are_shown_before_mlflow_is_asked_once_more_and_again_with_what_it_says(tmp_path, folder, monkeypatch):  # noqa: ARG001
    for variable in ("MLFLOW_TRACKING_URI", "METRIFIER_PARTIAL"):
        monkeypatch.setenv(variable, "")
    config = load_config(CONFIG, ["tracking.uri=http://me.example:1"])
    done = []
    graph = SimpleNamespace(outputs={})
    monkeypatch.setattr("pipelines.graph.metrifier_pipeline.build_graph", lambda *_: lambda **_: graph)
    monkeypatch.setattr("metrifier_core.tracking.open_run", lambda _: (tmp_path / "quick" / "unlogged").mkdir())
    monkeypatch.setattr(runner, "publish", lambda *_: done.append("published"))
    monkeypatch.setattr(runner, "flush_queue", lambda *_, quiet=False: done.append("quiet" if quiet else "asked"))
    where = runner.run_locally(config, tmp_path, terminal=io.StringIO())
    assert done == ["asked", "published", "quiet", "published"]
    assert (where / ".mlflow").read_text() == "http://me.example:1\n"
