"""A tracking server that is lost, whenever, costs neither a run's work nor what it would have logged."""

import json
import re

import pytest

from tests.helpers.runs import LASTING
from tests.helpers.tracked_runs import PATIENCE, run_through, started
from tests.helpers.tracking_servers import door_of

pytestmark = pytest.mark.end_to_end

_STAGES = ["distort", "download", "evaluate_spearman", "merge_dataset", "prepare_workers"]
_ALL = ["colours", *_STAGES, "register_metrifier", "train_metrifier", "worker_evaluate"]
_LAST = ["evaluate_spearman", "register_metrifier"]
# The last stages alone have something to do: the others are taken from the run without a server.
_AGAIN = ("evaluation.bootstrap_replicates=30", "--reuse", "colours")
_REQUESTS = 8  # after which the server is gone: the run was opened


def _check_complete(folder, status, said, door):
    assert status == 1, said
    assert said.count("could not be logged to MLflow") + said.count("could not be reached") == 1
    assert f"All results are complete, but not in MLflow at {door.url}: run the same command again" in said
    for pattern in LASTING:
        assert list(folder.glob(pattern)), pattern
    assert json.loads((folder / "registered.json").read_text())["version"] is None


def _check_logged_once(server, folder, names, monkeypatch):
    registered = json.loads((folder / "registered.json").read_text())
    assert (registered["version"], registered["champion"]) == ("1", True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.search_runs([registered["experiment_id"]])
    assert sorted(run.info.run_name for run in found) == sorted(names)
    assert {run.info.status for run in found} == {"FINISHED"}


def _run_again(config, folder, door, *options):
    """Run the same command again, now that the server answers."""
    door.state, door.left = "open", None
    status, said = run_through(config, folder.parent, door, folder.name, *options)
    assert status == 0, said
    assert re.search(r"MLflow: logged \d+ queued entries", said)
    assert ": done in" not in said, "nothing is worked on again but what waited"


def test_a_run_without_its_server_is_complete_and_logged_on_the_next_start(
    colour_config, server, unlogged, monkeypatch
):
    _check_complete(unlogged.folder, unlogged.status, unlogged.said, unlogged.door)
    _run_again(colour_config, unlogged.folder, unlogged.door)
    _check_logged_once(server, unlogged.folder, _ALL, monkeypatch)


def test_a_run_that_loses_its_server_is_complete_and_logged_on_the_next_start(
    colour_config, server, unlogged, monkeypatch
):
    folder = unlogged.folder.with_name("lost")
    with door_of(server) as door:
        door.left = _REQUESTS
        status, said = run_through(colour_config, folder.parent, door, "lost", *_AGAIN)
        _check_complete(folder, status, said, door)
        _run_again(colour_config, folder, door, *_AGAIN)
    _check_logged_once(server, folder, ["lost", *_LAST], monkeypatch)


def test_a_server_that_is_well_again_before_the_end_has_it_all_then(colour_config, server, unlogged, monkeypatch):
    folder = unlogged.folder.with_name("well")
    with door_of(server) as door:
        said = ""
        with started(colour_config, folder.parent, door, "well", *_AGAIN) as process:
            for line in process.stdout:
                said += line
                if "evaluate_spearman: done in" in line:
                    door.state = "broken"
                if "could not be logged to MLflow" in line:
                    door.state = "open"
            assert process.wait(PATIENCE) == 0, said
    assert said.count("could not be logged to MLflow") == 1
    assert re.search(r"MLflow: logged \d+ queued entries", said)
    assert not (folder / "unlogged").exists()
    assert "Registered:      well version 1, the champion" in said
    _check_logged_once(server, folder, ["well", *_LAST], monkeypatch)
