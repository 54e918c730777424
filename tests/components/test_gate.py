"""The registry's gate with real trainings: a worse metrifier stays a challenger, a better one becomes the champion."""

import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl import HTML, Artifact, Markdown, Metrics, Model

import components
from metrifier_core.config.run import load_config
from tests.components.conftest import CONFIG

SECTIONS = ("seed", "shards", "source", "splits", "distortions", "workers", "merge", "evaluation")


@pytest.fixture(scope="module")
def judged(made, tmp_path_factory):
    """Trains and judges a worse and a better metrifier than that of the shared artifacts, on the same versions."""
    folder = tmp_path_factory.mktemp("judged")
    config = load_config(CONFIG, ["source.max_sources=240"]).pipeline_arguments()
    shared = {name: made[name] for name in ("versions", "quality")}
    trainings = {"worse": {"epochs": 1, "learning_rate": 1e-7}, "better": {"epochs": 30, "patience": 30}}
    found = {"first": {name: made[name] for name in ("model", "metrics", "report", "evaluated")}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        for name, training in trainings.items():
            kinds = {"model": Model, "metrics": Metrics, "report": HTML, "evaluated": Artifact}
            own = {key: kind(name=key, uri=str(folder / name / key)) for key, kind in kinds.items()}
            (folder / name).mkdir()
            metrifier = {**config["metrifier"], **training}
            components.train_metrifier.python_func(
                metrifier=metrifier, seed=config["seed"], **shared, model=own["model"]
            )
            sections = {key: config[key] for key in SECTIONS}
            inputs = {key: made[key] for key in ("rejected", "prepared", "losses")}
            components.evaluate_spearman.python_func(
                name=name, metrifier=metrifier, **sections, **inputs, **shared, **own
            )
            found[name] = own
    return found


def register(own: dict[str, Any], name: str, made: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Registers what one training made, and says what the gate decided."""
    registered, card = (
        kind(name=kind.__name__, uri=str(folder / f"{name} {kind.__name__}")) for kind in (Artifact, Markdown)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METRIFIER_RUN_ID", name)
        components.register_metrifier.python_func(
            tracking={"model_name": "metrifier"},
            versions=made["versions"],
            quality=made["quality"],
            **own,
            registered=registered,
            model_card=card,
        )
    found: dict[str, Any] = json.loads(Path(registered.path).read_text())
    return found


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


def _register_elsewhere(own: dict[str, Any], name: str, made: dict[str, Any], folder: Path) -> dict[str, Any]:
    return register(own, name, made, folder)


def test_two_runs_that_end_at_the_same_time_leave_one_champion(made, judged, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    register(judged["worse"], "worse", made, tmp_path)
    needed = {key: made[key] for key in ("versions", "quality")}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        both = [pool.submit(_register_elsewhere, judged[name], name, needed, tmp_path) for name in ("first", "better")]
        found = {result["version"]: result for result in (future.result() for future in both)}
    assert set(found) == {"2", "3"}
    assert found[champion()]["champion"] is True
