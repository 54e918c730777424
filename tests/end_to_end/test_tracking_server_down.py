"""A tracking server that is lost, whenever, costs neither a run's work nor what it would have logged."""

import json
import re

import pytest

from tests.helpers.runs import LASTING
from tests.helpers.tracked_runs import PATIENCE, run_through, started
from tests.helpers.tracking_servers import door_of

pytestmark = pytest.mark.end_to_end

_REQUESTS = 8  # after which the server is gone: the first stage has logged
_STAGES = ["distort", "download", "evaluate_spearman", "merge_dataset", "prepare_workers"]
_NAMES = ["colours", *_STAGES, "register_metrifier", "train_metrifier", "worker_evaluate"]


def _check_complete(folder, status, said, door):
    assert status == 1, said
    assert said.count("could not be logged to MLflow") + said.count("could not be reached") == 1
    assert f"All results are complete, but not in MLflow at {door.url}: run the same command again" in said
    for pattern in LASTING:
        assert list(folder.glob(pattern)), pattern
    assert json.loads((folder / "registered.json").read_text())["version"] is None


def _check_logged_once(server, folder, monkeypatch):
    registered = json.loads((folder / "registered.json").read_text())
    assert (registered["version"], registered["champion"]) == ("1", True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.search_runs([registered["experiment_id"]])
    assert sorted(run.info.run_name for run in found) == _NAMES
    assert {run.info.status for run in found} == {"FINISHED"}


def _run_again(config, folder, door, name):
    """Run the same command again, now that the server answers."""
    door.state, door.left = "open", None
    status, said = run_through(config, folder.parent, door, name)
    assert status == 0, said
    assert re.search(r"MLflow: logged \d+ queued entries", said)
    assert ": done in" not in said, "nothing is worked on again but what waited"


def test_a_run_without_its_server_is_complete_and_logged_on_the_next_start(
    colour_config, server, unlogged, monkeypatch
):
    _check_complete(unlogged.folder, unlogged.status, unlogged.said, unlogged.door)
    _run_again(colour_config, unlogged.folder, unlogged.door, "unlogged")
    _check_logged_once(server, unlogged.folder, monkeypatch)


def test_a_run_that_loses_its_server_is_complete_and_logged_on_the_next_start(
    colour_config, server, tmp_path, monkeypatch
):
    folder = tmp_path / "colours"
    with door_of(server) as door:
        door.left = _REQUESTS
        status, said = run_through(colour_config, tmp_path, door, "in the middle")
        _check_complete(folder, status, said, door)
        _run_again(colour_config, folder, door, "in the middle")
    _check_logged_once(server, folder, monkeypatch)


def test_a_server_that_is_well_again_before_the_end_has_it_all_then(colour_config, server, tmp_path, monkeypatch):
    folder = tmp_path / "colours"
    with door_of(server) as door:
        said = ""
        with started(colour_config, tmp_path, door, "well again") as process:
            for line in process.stdout:
                said += line
                if "download: done in" in line:
                    door.state = "broken"
                if "train_metrifier: done in" in line:
                    door.state = "open"
            assert process.wait(PATIENCE) == 0, said
    assert said.count("could not be logged to MLflow") == 1
    assert re.search(r"MLflow: logged \d+ queued entries", said)
    assert not (folder / "unlogged").exists()
    assert "Registered:      well again version 1, the champion" in said
    _check_logged_once(server, folder, monkeypatch)
