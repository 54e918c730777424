"""A tracking server that dies in the middle of a run costs neither its work nor what it would have logged."""

import json
import subprocess

import pytest

from tests.core.tracking_servers import door_of, tracking_server
from tests.end_to_end.runs import CHECKOUT, LASTING, command, environment

pytestmark = pytest.mark.end_to_end

_REQUESTS = 8  # after which the server is gone: the first stage has logged


def _start(runs, server):
    return subprocess.Popen(
        command(runs, f"tracking.uri={server}", "source.max_sources=240", "metrifier.epochs=1"),
        cwd=CHECKOUT,
        env={**environment(), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_run_is_complete_without_its_server_and_logged_on_the_next_start(tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "quick"
    (tmp_path / "server").mkdir()
    with tracking_server(tmp_path / "server") as server, door_of(server) as door:
        process = _start(tmp_path / "runs", door.url)
        said = ""
        with process.stdout as lines:
            for line in lines:
                said += line
                if door.passed >= _REQUESTS:
                    door.state = "shut"
        assert process.wait(600) == 1, said
        assert said.count("could not be logged to MLflow") + said.count("could not be reached") == 1
        assert f"All results are complete, but not in MLflow at {door.url}: run the same command again" in said
        for pattern in LASTING:
            assert list(folder.glob(pattern)), pattern
        assert json.loads((folder / "registered.json").read_text())["version"] is None

        door.state = "open"
        process = _start(tmp_path / "runs", door.url)
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said
        assert "MLflow: logged what had waited" in said
        assert ": done in" not in said, "nothing is worked on again but what waited"
        registered = json.loads((folder / "registered.json").read_text())
        assert (registered["version"], registered["champion"]) == ("1", True)

        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
        from mlflow import MlflowClient

        client = MlflowClient()
        names = sorted(run.info.run_name for run in client.search_runs([registered["experiment_id"]]))
        stages = ["distort", "download", "evaluate_spearman", "merge_dataset", "prepare_workers", "quick"]
        assert names == [*stages, "register_metrifier", "train_metrifier", "worker_evaluate"]
        assert client.get_run(registered["run_id"]).info.status == "FINISHED"
