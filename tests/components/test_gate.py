"""The registry's gate with real trainings: a worse metrifier stays a challenger, a better one becomes champion."""

import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl import HTML, Artifact, Markdown, Metrics, Model

import components
from metrifier_core.export import export_onnx
from metrifier_core.export.network import check_export

SECTIONS = ("seed", "shards", "source", "splits", "distortions", "workers", "merge", "evaluation")


def export_onnx_alone(network: Any, folder: Path, _: Any, views: Any) -> dict[Path, Any]:
    """Write the one file that these tests score with; `tests/core/export` tests the others."""
    file = folder / "metrifier.onnx"
    export_onnx(network, file)
    return {file: check_export("onnx", file, views, network(views).numpy()[:, 0])}


@pytest.fixture(scope="module")
def judged(made, tmp_path_factory):
    """Train and judge a worse and a better metrifier than the shared one, on the same versions."""
    folder = tmp_path_factory.mktemp("judged")
    config = made["config"]
    shared = {name: made[name] for name in ("versions", "quality")}
    trainings = {"worse": {"epochs": 1, "learning_rate": 1e-7}, "better": {"epochs": 3, "learning_rate": 2e-3}}
    judged = {"first": {name: made[name] for name in ("model", "metrics", "report", "evaluated")}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setattr("metrifier_core.export.export_network", export_onnx_alone)
        for name, training in trainings.items():
            kinds = {"model": Model, "metrics": Metrics, "report": HTML, "evaluated": Artifact}
            outputs = {key: kind(name=key, uri=str(folder / name / key)) for key, kind in kinds.items()}
            (folder / name).mkdir()
            metrifier = {**config["metrifier"], **training}
            components.train_metrifier.python_func(
                metrifier=metrifier, seed=config["seed"], **shared, model=outputs["model"]
            )
            sections = {key: config[key] for key in SECTIONS}
            inputs = {key: made[key] for key in ("rejected", "prepared", "losses")}
            components.evaluate_spearman.python_func(
                name=name, metrifier=metrifier, **sections, **inputs, **shared, **outputs
            )
            judged[name] = outputs
    return judged


def register(outputs: dict[str, Any], name: str, made: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Register what one training made; return what the gate decided."""
    registered, card = (
        kind(name=kind.__name__, uri=str(folder / f"{name} {kind.__name__}")) for kind in (Artifact, Markdown)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METRIFIER_RUN_ID", name)
        components.register_metrifier.python_func(
            tracking={"model_name": "metrifier"},
            versions=made["versions"],
            quality=made["quality"],
            **outputs,
            registered=registered,
            model_card=card,
        )
    decision: dict[str, Any] = json.loads(Path(registered.path).read_text())
    return decision


def champion(model_name: str = "metrifier") -> str:
    from mlflow import MlflowClient

    return str(MlflowClient().get_model_version_by_alias(model_name, "champion").version)


def test_only_a_metrifier_that_is_better_beyond_doubt_becomes_the_champion(made, judged, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    first = register(judged["first"], "first", made, tmp_path)
    assert (first["champion"], first["gate"]) == (True, "the first version")

    worse = register(judged["worse"], "worse", made, tmp_path)
    assert worse["champion"] is False
    assert worse["gate"].startswith("not better beyond doubt than the champion: global Spearman ")
    assert champion() == "1"

    again = register(judged["first"], "again", made, tmp_path)
    assert again["champion"] is False, "the same metrifier is no better than itself"
    assert "difference +0.000 (+0.000 to +0.000)" in again["gate"]

    better = register(judged["better"], "better", made, tmp_path)
    assert better["champion"] is True
    assert better["gate"].startswith("better than the champion: ")
    assert champion() == better["version"] == "4"
    client = MlflowClient()
    run = client.get_run(better["run_id"])
    assert run.data.tags["metrifier.gate"] == better["gate"]
    assert run.data.metrics["champion_difference_low"] > 0
    assert client.get_model_version("metrifier", "2").tags["gate"] == worse["gate"]


def test_a_champion_that_is_gone_stays_until_somebody_moves_it(made, judged, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    register(judged["first"], "first", made, tmp_path)
    shutil.rmtree(tmp_path / "mlartifacts")
    second = register(judged["better"], "better", made, tmp_path)
    assert (second["version"], second["champion"], champion()) == ("2", False, "1")
    assert second["gate"].startswith("the champion cannot be run (models:/metrifier/1 ")
    assert second["gate"].endswith("move the alias by hand")


def test_two_runs_that_end_at_the_same_time_leave_one_champion(made, judged, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    register(judged["worse"], "worse", made, tmp_path)
    needed = {key: made[key] for key in ("versions", "quality")}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        both = [pool.submit(register, judged[name], name, needed, tmp_path) for name in ("first", "better")]
        found = {result["version"]: result for result in (future.result() for future in both)}
    assert set(found) == {"2", "3"}
    assert found[champion()]["champion"] is True
