"""The beginning of a run: its digest follows the images, and later stages find it in MLflow."""

import os
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

import components
from metrifier_core.config.run import load_config
from metrifier_core.images import encode_png
from metrifier_core.tracking import PipelineRun, find_run, log_stage
from tests.helpers.bad_images import picture


@pytest.fixture(autouse=True)
def _tracking(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("METRIFIER_RUN_ID", "pod-7")


CONFIG = Path(__file__).parents[2] / "configs" / "digits.yaml"


def run(*overrides, families=(), **changed):
    """Run the component on the parameters of a config, changed as a form would: one by one, checked by nobody."""
    given = {"tracking": {}, **load_config(CONFIG, overrides).pipeline_arguments(), "families": list(families)}
    return components.list_source.python_func(**{**given, **changed})


def list_folder(folder):
    return run(name="mine", experiment="quality", source={"kind": "folder", "root": str(folder)})


def test_the_run_is_opened_by_its_name_and_stages_find_it_by_its_identity(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(encode_png(picture()))
    list_folder(tmp_path)
    opened = find_run("pod-7")
    assert (opened.info.run_name, opened.info.status) == ("mine", "RUNNING")
    client = MlflowClient()
    assert client.get_experiment(opened.info.experiment_id).name == "quality"
    log_stage(PipelineRun(), "download", {}, {"started_at": 1.0, "finished_at": 2.0})
    (nested,) = client.search_runs([opened.info.experiment_id], "tags.`metrifier.stage` = 'download'")
    assert nested.data.tags["mlflow.parentRunId"] == opened.info.run_id


def test_the_digest_follows_the_images(tmp_path):
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(encode_png(picture()))
        os.utime(tmp_path / name, (1_000_000, 1_000_000))

    first = list_folder(tmp_path)
    assert len(first) == 64
    assert list_folder(tmp_path) == first
    os.utime(tmp_path / "b" / "2.png", (1_000_001, 1_000_001))
    touched = list_folder(tmp_path)
    (tmp_path / "a" / "3.png").write_bytes(encode_png(picture()))
    assert len({first, touched, list_folder(tmp_path)}) == 3


FAMILIES = "evaluation.leave_one_family_out=true"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"metrifier": {"epoch": 3}}, "metrifier.epoch: unknown key, did you mean 'epochs'?"),
        ({"seed": -1, "shards": 65}, "seed: Input should be greater than or equal to 0 (got -1); shards: "),
        ({"name": "My run"}, "name: "),
        ({"tracking": {"model_name": "a/b"}}, "tracking.model_name: "),
        ({"worker_groups": [["svm"]]}, "worker_groups has svm, and workers "),
        ({"worker_groups": []}, "worker_groups has none, and workers "),
        (
            {"evaluation": {"leave_one_family_out": True}},
            "evaluation.leave_one_family_out: they hold out miniature inception, miniature ",
        ),
    ],
)
def test_parameters_that_nobody_has_checked_are_refused_before_any_work(changed, message):
    with pytest.raises(ValueError, match=f"^the run's parameters are wrong: {re.escape(message)}") as told:
        run(**changed)
    assert "\n" not in str(told.value)


def test_what_the_graph_holds_out_is_what_the_parameters_hold_out():
    families = load_config(CONFIG, [FAMILIES]).held_out_families
    assert len(run(FAMILIES, families=families)) == 64
    with pytest.raises(ValueError, match=f"the graph {families[0]}: compile it again$"):
        run(FAMILIES, families=families[:1])


def test_workers_may_share_tasks_in_another_way():
    names = [name for group in load_config(CONFIG).pipeline_arguments()["worker_groups"] for name in group]
    assert len(run(worker_groups=[[name] for name in reversed(names)])) == 64
