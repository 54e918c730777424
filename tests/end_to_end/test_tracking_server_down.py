"""A tracking server that is lost, whenever, costs neither a run's work nor what it would have logged."""

import json
import re
import subprocess
from contextlib import contextmanager

import pytest

from tests.helpers.runs import CHECKOUT, LASTING, command, environment
from tests.helpers.tracking_servers import door_of, tracking_server

pytestmark = pytest.mark.end_to_end

_PATIENCE = 1800  # seconds: a busy machine takes ten minutes
_REQUESTS = 8  # after which the server is gone: the first stage has logged
_STAGES = ["distort", "download", "evaluate_spearman", "merge_dataset", "prepare_workers"]
_NAMES = ["colours", *_STAGES, "register_metrifier", "train_metrifier", "worker_evaluate"]


@contextmanager
def _started(config, runs, server):
    with subprocess.Popen(
        command(runs, f"tracking.uri={server}", "shards=1", "source.max_sources=160", config=config),
        cwd=CHECKOUT,
        env={**environment(), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()  # where the test has failed; it has ended else


def _check_logged_once(server, registered, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.search_runs([registered["experiment_id"]])
    assert sorted(run.info.run_name for run in found) == _NAMES
    assert {run.info.status for run in found} == {"FINISHED"}


@pytest.mark.parametrize("requests", [0, _REQUESTS], ids=["before the start", "in the middle"])
def test_a_run_is_complete_without_its_server_and_logged_on_the_next_start(
    colour_config, tmp_path, monkeypatch, requests
):
    folder = tmp_path / "runs" / "colours"
    (tmp_path / "server").mkdir()
    with tracking_server(tmp_path / "server") as server, door_of(server) as door:
        door.left = requests
        with _started(colour_config, tmp_path / "runs", door.url) as process:
            said, _ = process.communicate(timeout=_PATIENCE)
        assert process.returncode == 1, said
        assert said.count("could not be logged to MLflow") + said.count("could not be reached") == 1
        assert f"All results are complete, but not in MLflow at {door.url}: run the same command again" in said
        for pattern in LASTING:
            assert list(folder.glob(pattern)), pattern
        assert json.loads((folder / "registered.json").read_text())["version"] is None

        door.state = "open"
        with _started(colour_config, tmp_path / "runs", door.url) as process:
            said, _ = process.communicate(timeout=_PATIENCE)
        assert process.returncode == 0, said
        assert re.search(r"MLflow: logged \d+ queued entries", said)
        assert ": done in" not in said, "nothing is worked on again but what waited"
        registered = json.loads((folder / "registered.json").read_text())
        assert (registered["version"], registered["champion"]) == ("1", True)
        _check_logged_once(server, registered, monkeypatch)


def test_a_server_that_is_well_again_before_the_end_has_it_all_then(colour_config, tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "colours"
    (tmp_path / "server").mkdir()
    with tracking_server(tmp_path / "server") as server, door_of(server) as door:
        said = ""
        with _started(colour_config, tmp_path / "runs", door.url) as process:
            for line in process.stdout:
                said += line
                if "download: done in" in line:
                    door.state = "broken"
                if "train_metrifier: done in" in line:
                    door.state = "open"
            assert process.wait(_PATIENCE) == 0, said
        assert said.count("could not be logged to MLflow") == 1
        assert re.search(r"MLflow: logged \d+ queued entries", said)
        assert not (folder / "unlogged").exists()
        registered = json.loads((folder / "registered.json").read_text())
        assert (registered["version"], registered["champion"]) == ("1", True)
        assert "Registered:      metrifier version 1, the champion" in said
        _check_logged_once(server, registered, monkeypatch)
