"""A real MLflow on SQLite: few runs that hold much, nothing logged twice, nothing lost without a server."""

import ast
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from metrifier_core import Metrifier
from metrifier_core._version import __version__
from metrifier_core.cli import app
from metrifier_core.config.run import RunConfig
from metrifier_core.data.metrifier_card import MODEL_CARD
from metrifier_core.data.records import QUALITY
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.images import encode_png
from tests.helpers.bad_images import picture
from tests.helpers.report_data import make_dataset_card
from tests.helpers.run_products import CONFIG, DESCRIPTION, Products, write_products

REPOSITORY = Path(__file__).parents[3]
PACKAGE = REPOSITORY / "metrifier_core"
SUMMARY = {"started_at": 1_000_000.0, "finished_at": 1_000_012.5}


@pytest.fixture(scope="module", autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Provide an empty tracking database, and undo what MLflow does to the environment and the import path."""
    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "METRIFIER_RUN_ID"):
            patch.delenv(variable, raising=False)
        patch.setattr(sys, "path", [*sys.path])
        yield path


@pytest.fixture(scope="module")
def client(database: Path) -> Any:  # noqa: ARG001
    from mlflow import MlflowClient

    return MlflowClient()


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Any:
    """Provide a pipeline run in a new experiment."""
    from metrifier_core.tracking import PipelineRun

    return PipelineRun(f"run {request.node.name}", f"experiment {request.node.name}")


def runs_of(client: Any, experiment: str) -> tuple[Any, dict[str, Any]]:
    """Return the only parent run of an experiment, and its nested runs by name."""
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    (parent,) = [each for each in found if "mlflow.parentRunId" not in each.data.tags]
    nested = {each.info.run_name: each for each in found if each is not parent}
    assert len(nested) == len(found) - 1
    assert {each.data.tags["mlflow.parentRunId"] for each in nested.values()} <= {parent.info.run_id}
    return parent, nested


# A stage's run


def test_a_stage_is_a_nested_run_that_lasts_as_long_as_the_stage(client: Any, run: Any) -> None:
    from metrifier_core.tracking import log_stage

    summary = {**SUMMARY, "versions": 60, "mean_quality": 0.5, "shard": "00000-of-00001", "complete": True}
    log_stage(run, "distort", {"distortions": {"types": ["jpeg"], "versions": 3}, "seed": 7}, summary)

    parent, nested = runs_of(client, run.experiment)
    assert parent.data.tags["kfp.pipeline_run_id"] == run.name
    assert parent.info.run_name == run.name
    own = nested["distort"]
    assert own.data.params == {"distortions.types": "['jpeg']", "distortions.versions": "3", "seed": "7"}
    assert own.data.metrics == {"versions": 60, "mean_quality": 0.5, "seconds": 12.5}
    assert (own.data.tags["shard"], own.data.tags["complete"]) == ("00000-of-00001", "True")
    assert own.info.status == "FINISHED"
    assert (own.info.start_time, own.info.end_time) == (1_000_000_000, 1_000_012_500)


def test_all_stages_find_one_parent(client: Any, run: Any) -> None:
    from metrifier_core.tracking import log_stage

    stages = ["download", "distort", "train_metrifier"]
    for stage in stages:
        log_stage(run, stage, {}, SUMMARY)
    _, nested = runs_of(client, run.experiment)
    assert sorted(nested) == sorted(stages)


def test_a_run_that_failed_is_closed_with_its_reason(client: Any, run: Any) -> None:
    from metrifier_core.tracking import fail_run, log_stage

    log_stage(run, "download", {}, SUMMARY)
    fail_run(run, "distort: failed: there is no folder")
    parent, _ = runs_of(client, run.experiment)
    assert parent.info.status == "FAILED"
    assert parent.info.end_time is not None
    assert parent.data.tags["metrifier.failure"] == "distort: failed: there is no folder"


def test_a_run_that_is_taken_up_again_has_not_failed(client: Any, run: Any) -> None:
    from metrifier_core.tracking import fail_run, log_stage, open_run

    log_stage(run, "download", {}, SUMMARY)
    fail_run(run, "distort: failed: there is no folder")
    open_run(run)
    parent, _ = runs_of(client, run.experiment)
    assert parent.info.status == "RUNNING"
    assert "metrifier.failure" not in parent.data.tags


def test_a_restarted_pipeline_finds_its_parent_again(client: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from metrifier_core.settings.environment import RUN_ID_VARIABLE
    from metrifier_core.tracking import log_stage

    monkeypatch.setenv(RUN_ID_VARIABLE, "folder-7")
    for attempt, stage in enumerate(["download", "distort"]):
        log_stage(replace(run, name=f"attempt-{attempt}"), stage, {}, SUMMARY)
    parent, nested = runs_of(client, run.experiment)
    assert parent.data.tags["kfp.pipeline_run_id"] == "folder-7"
    assert sorted(nested) == ["distort", "download"]


def test_artifacts_of_a_local_database_stay_beside_it(client: Any, run: Any, database: Path) -> None:
    from metrifier_core.tracking import log_stage

    log_stage(run, "download", {}, SUMMARY)
    location = client.get_experiment_by_name(run.experiment).artifact_location
    assert location == (database.parent / "mlartifacts").as_uri()


def test_curves_have_a_point_an_epoch(client: Any, run: Any) -> None:
    """A long training has more points than a server accepts in one call."""
    from metrifier_core.tracking import log_stage

    epochs = range(1, 401)
    curves = [{"epoch": epoch, "loss": 1 / epoch, "validation_loss": 2 / epoch, "spearman": 0.5} for epoch in epochs]
    log_stage(run, "train_metrifier", {}, SUMMARY, curves)
    own = runs_of(client, run.experiment)[1]["train_metrifier"]
    for name, scale in (("loss", 1), ("validation_loss", 2)):
        history = client.get_metric_history(own.info.run_id, name)
        assert [(point.step, point.value) for point in history] == [(epoch, scale / epoch) for epoch in epochs]
    assert own.data.metrics["loss"] == 1 / 400
    assert "epoch" not in own.data.metrics


def test_very_many_and_very_long_parameters_are_logged(client: Any, run: Any) -> None:
    from metrifier_core.tracking import log_stage

    log_stage(run, "download", {**{f"key{index}": index for index in range(250)}, "long": "x" * 10_000}, SUMMARY)
    params = runs_of(client, run.experiment)[1]["download"].data.params
    assert len(params) == 251
    assert params["key249"] == "249"
    assert params["long"] == "x" * 6000


def test_a_stage_that_ran_once_a_shard_is_one_run(client: Any, run: Any) -> None:
    from metrifier_core.tracking import log_fan_out

    shards = [{"versions": 3, "started_at": 10.0 + index, "finished_at": 14.0 + 2 * index} for index in range(3)]
    log_fan_out(run, "distort", {"severity": 5}, shards)
    _, nested = runs_of(client, run.experiment)
    own = nested["distort"]
    assert own.data.metrics == {"tasks": 3, "versions": 9, "seconds": 4 + 5 + 6}
    assert (own.info.start_time, own.info.end_time) == (10_000, 18_000)


# Without a server, and without MLflow


def test_a_dead_server_does_not_fail_a_stage(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from metrifier_core.tracking import log_stage

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    log_stage(run, "distort", {"seed": 7}, SUMMARY, [{"epoch": 1, "loss": 0.5}])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("metrifier: distort could not be logged to MLflow; the stage's own results are complete")
    assert "127.0.0.1" in said.err
    assert said.err.count("could not be logged") == said.err.count("\n") == 1


def test_the_checkouts_own_folder_does_not_shadow_mlflow() -> None:
    import mlflow

    folder = REPOSITORY / "mlflow"
    assert folder.is_dir()
    assert not list(folder.rglob("*.py")), "Python in that folder could be imported in place of MLflow"
    assert mlflow.__file__ is not None
    assert not Path(mlflow.__file__).is_relative_to(folder)


def test_without_mlflow_the_cure_is_named() -> None:
    """Simulate an environment without MLflow, where the checkout's own folder is found in its place."""
    code = (
        "import sys, types\n"
        "sys.modules['mlflow'] = module = types.ModuleType('mlflow')\n"
        f"module.__path__ = [{str(REPOSITORY / 'mlflow')!r}]\n"
        "from metrifier_core.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "score", "photo.jpg", "--model", "models:/metrifier@champion"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "MLflow is not installed: pip install 'metrifier[tracking]'" in done.stderr


def test_one_room_alone_imports_mlflow() -> None:
    importers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            if any(name.split(".")[0] == "mlflow" for name in names):
                importers.add(path.relative_to(PACKAGE).as_posix())
    assert {importer.split("/")[0] for importer in importers} == {"tracking"}


# A run over families registers nothing


FAMILIES = ["plain", "residual"]


def complete(run: Any, folder: Path, merged: tuple[str, ...]) -> None:
    from metrifier_core.tracking import complete_run, log_stage

    for family in merged:
        fold = replace(run, held_out_family=family)
        log_stage(fold, "merge_dataset", {}, {**SUMMARY, "sha256": f"{family}-" + 60 * "0"})
    (folder / "families.json").write_text('{"families": {"plain": {}, "residual": {}}}', encoding="utf-8")
    (folder / "families.md").write_text("# Families\n" + 600 * "ten chars.", encoding="utf-8")
    documents = {name: folder / name for name in ("families.json", "families.md")}
    complete_run(run, CONFIG, {**SUMMARY, "mean_global": 0.5}, FAMILIES, documents, folder / "families.md")


def test_a_run_over_families_is_compared_by_the_same_columns(client: Any, run: Any, tmp_path: Path) -> None:
    complete(run, tmp_path, ("plain", "residual"))
    parent, _ = runs_of(client, run.experiment)
    told = {name: value for name, value in parent.data.params.items() if "." not in name}
    assert len(told.pop("data_digest")) == 36
    assert told == {
        "name": "digits",
        "architecture": "nano",
        "label_workers": "a, b",
        "held_out_workers": "each family once: plain, residual",
    }
    inputs = {each.dataset.name: each.dataset for each in parent.inputs.dataset_inputs}
    assert {name: data.digest for name, data in inputs.items()} == {
        f"ImageNet_Quality without {family}": f"{family}-{60 * '0'}"[:36] for family in ("plain", "residual")
    }
    columns = json.loads(inputs["ImageNet_Quality without plain"].schema)["mlflow_colspec"]
    assert [column["name"] for column in columns] == QUALITY.names
    assert parent.info.status == "FINISHED"


def test_the_digest_of_a_fold_that_came_from_a_cache_is_not_made_up(client: Any, run: Any, tmp_path: Path) -> None:
    complete(run, tmp_path, ("plain",))
    parent, _ = runs_of(client, run.experiment)
    assert "data_digest" not in parent.data.params
    assert [each.dataset.name for each in parent.inputs.dataset_inputs] == ["ImageNet_Quality without plain"]


# Kubeflow's page of a run


@pytest.fixture
def on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRIFIER_RUN_ID", "0a1b")
    monkeypatch.delenv("METRIFIER_UNLOGGED", raising=False)


LINK = "\n\n[The run in Kubeflow](https://kubeflow.example/pipeline/#/runs/details/0a1b)"


@pytest.mark.usefixtures("on_a_cluster")
def test_a_registered_run_leads_to_kubeflow(client: Any, run: Any, products: Products) -> None:
    address = "https://kubeflow.example/pipeline/"
    made = products.register(run, "of a cluster", 0.5, kubeflow=address)
    assert client.get_run(made["run_id"]).data.tags["mlflow.note.content"].endswith(LINK)


@pytest.mark.usefixtures("on_a_cluster")
def test_a_run_over_families_leads_to_kubeflow(
    client: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRIFIER_KUBEFLOW", "https://kubeflow.example/pipeline")
    complete(run, tmp_path, ())
    note = runs_of(client, run.experiment)[0].data.tags["mlflow.note.content"]
    assert note.startswith("# Families")
    assert note.endswith(LINK)
    assert len(note) == 5000


def test_a_run_on_one_machine_leads_to_no_kubeflow(
    client: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRIFIER_KUBEFLOW", "https://kubeflow.example")
    monkeypatch.setenv("METRIFIER_RUN_ID", "digits-0123")
    monkeypatch.setenv("METRIFIER_UNLOGGED", str(tmp_path / "unlogged"))
    complete(run, tmp_path, ())
    assert "kubeflow" not in runs_of(client, run.experiment)[0].data.tags["mlflow.note.content"]


# The registry


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Products:
    return write_products(tmp_path_factory.mktemp("run"))


@dataclass(frozen=True)
class Registered:
    """Three trainings of one model: the first, a worse and a better one."""

    results: list[dict[str, Any]]
    champions: list[str]
    challengers: list[str]


@pytest.fixture(scope="module")
def registered(client: Any, products: Products) -> Registered:
    from metrifier_core.tracking import PipelineRun

    made = Registered([], [], [])
    for index, (rho, passes) in enumerate([(0.5, False), (0.4, False), (0.6, True)]):
        run = PipelineRun(f"training-{index}", "registry")
        made.results.append(products.register(run, "metrifier", rho, passes=passes))
        for alias, versions in (("champion", made.champions), ("challenger", made.challengers)):
            versions.append(client.get_model_version_by_alias("metrifier", alias).version)
    return made


def test_champion_moves_only_to_a_better_version(registered: Registered) -> None:
    assert [result["version"] for result in registered.results] == ["1", "2", "3"]
    assert [result["champion"] for result in registered.results] == [True, False, True]
    assert [str(version) for version in registered.champions] == ["1", "1", "3"]
    assert [str(version) for version in registered.challengers] == ["1", "2", "3"]


def test_a_version_carries_its_headline_and_how_to_call_it(
    client: Any, registered: Registered, products: Products
) -> None:
    import mlflow

    version = client.get_model_version("metrifier", registered.results[1]["version"])
    difference = {"value": 0.25, "low": 0.125, "high": 0.5}
    verdict = {"passed": False, "reason": "not better than the champion", "difference": difference}
    tags = dict(version.tags)
    assert json.loads(tags.pop("metrifier.verdict")) == verdict
    assert tags == {
        "mean_global": "0.400000",
        "mean_global_low": "0.100000",
        "mean_global_high": "0.900000",
        "mean_auroc": "0.875000",
        "mean_auroc_low": "0.800000",
        "mean_auroc_high": "0.900000",
        "mean_auroc_ceiling": "0.950000",
        "calibration_error": "0.031250",
        "calibration_error_low": "0.020000",
        "calibration_error_high": "0.040000",
        "gate": "not better than the champion",
        "metrifier.model": file_sha256(products.model / MODEL_CARD),
    }
    info = mlflow.models.get_model_info("models:/metrifier/2")
    assert [(column.name, str(column.type)) for column in info.signature.inputs.inputs] == [("image", "Any")]
    assert [column.name for column in info.signature.outputs.inputs] == ["quality", "error"]
    example = mlflow.models.Model.load("models:/metrifier/2").load_input_example()
    assert list(example) == ["image"]


def test_the_model_card_goes_with_the_model_and_describes_its_version(
    client: Any, registered: Registered, products: Products
) -> None:
    import mlflow

    text = products.model_card.read_text(encoding="utf-8")
    version = client.get_model_version("metrifier", registered.results[0]["version"])
    assert version.description == text[:5000]
    folder = Path(mlflow.artifacts.download_artifacts("models:/metrifier/1"))
    (found,) = folder.rglob("model_card.md")
    assert found.read_text(encoding="utf-8") == text


def test_a_registration_that_was_cut_off_goes_on_with_its_version(
    client: Any, products: Products, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metrifier_core.tracking import registry

    def fail(*_: Any) -> None:
        raise MemoryError("the champion needs more")

    with monkeypatch.context() as cut:
        cut.setattr(registry, "decide", fail)
        with pytest.raises(MemoryError):
            products.register(run, "cut off", 0.5)
    parent, _ = runs_of(client, run.experiment)
    assert parent.info.status == "FAILED", "a run is finished once it is complete"
    found = [products.register(run, "cut off", 0.5) for _ in range(2)]
    assert [(each["version"], each["champion"]) for each in found] == [("1", True)] * 2
    assert len(client.search_model_versions("name = 'cut off'")) == 1
    assert runs_of(client, run.experiment)[0].info.status == "FINISHED"


def test_another_model_of_the_same_settings_is_another_version(client: Any, run: Any, tmp_path: Path) -> None:
    """A run is identified by its settings: another machine may have trained another model from them."""
    one, other = (write_products(tmp_path / str(crop), crop) for crop in (32, 48))
    assert [made.register(run, "twice", 0.5)["version"] for made in (one, other, one)] == ["1", "2", "1"]
    assert {each.run_id for each in client.search_model_versions("name = 'twice'")} == {
        runs_of(client, run.experiment)[0].info.run_id
    }


@pytest.mark.usefixtures("registered")
def test_the_registered_model_holds_the_whole_folder(products: Products) -> None:
    from metrifier_core.tracking import download_model

    found = download_model("models:/metrifier/1")
    assert {path.name: path.read_bytes() for path in found.iterdir()} == {
        path.name: path.read_bytes() for path in products.model.iterdir()
    }


def test_the_pipelines_run_carries_what_runs_are_compared_by(client: Any, registered: Registered) -> None:
    runs = client.search_runs([client.get_experiment_by_name("registry").experiment_id])
    assert len(runs) == len(registered.results)
    (parent,) = [run for run in runs if run.data.tags["kfp.pipeline_run_id"] == "training-0"]
    assert parent.info.run_id == registered.results[0]["run_id"]
    metrics = dict(parent.data.metrics)
    assert metrics.pop("latency_ms") == 2.5
    assert metrics == {
        "mean_global": 0.5,
        "mean_global_low": 0.1,
        "mean_global_high": 0.9,
        "mean_auroc": 0.875,
        "mean_auroc_low": 0.8,
        "mean_auroc_high": 0.9,
        "mean_auroc_ceiling": 0.95,
        "calibration_error": 0.03125,
        "calibration_error_low": 0.02,
        "calibration_error_high": 0.04,
        "rows": 60,
        "sources": 12,
        "parameters": 0,
    }
    digest = ("0123456789abcdef" * 4)[:36]
    assert parent.data.params["metrifier.crop"] == "32"
    plain = {name: value for name, value in parent.data.params.items() if "." not in name}
    assert plain == {
        "name": "digits",
        "architecture": "nano",
        "label_workers": "a, b",
        "held_out_workers": "c",
        "data_digest": digest,
    }
    (dataset,) = parent.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("ImageNet_Quality", digest)
    columns = json.loads(dataset.dataset.schema)["mlflow_colspec"]
    assert [column["name"] for column in columns] == QUALITY.names
    artifacts = {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    assert {"report.html", "metrics.json", "dataset.json", "predictions.parquet"} <= artifacts


def test_no_stage_has_an_input_of_a_name_that_tells_the_story() -> None:
    """An engine that tracks too logs the inputs to the same run, and a parameter cannot have two values."""
    from metrifier_core.tracking.story import story

    assert not story(CONFIG, make_dataset_card()).keys() & RunConfig.model_fields.keys()


def test_a_run_is_described_with_links_to_its_report_and_its_model(client: Any, registered: Registered) -> None:
    run = client.get_run(registered.results[1]["run_id"])
    assert run.data.tags["mlflow.note.content"].split("\n\n") == [
        DESCRIPTION,
        f"[The report](#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/report.html)",
        "[metrifier version 2](#/models/metrifier/versions/2): challenger, not better than the champion",
    ]


def test_the_page_of_runs_shows_whole_pipelines_of_the_newest_experiment(client: Any, run: Any) -> None:
    from metrifier_core.tracking import log_stage, runs_page

    log_stage(run, "download", {}, SUMMARY)
    page = urlsplit(urlsplit(runs_page()).fragment)
    experiment = client.get_experiment_by_name(run.experiment)
    assert page.path == f"/experiments/{experiment.experiment_id}/runs"
    (shown,) = client.search_runs([experiment.experiment_id], parse_qs(page.query)["searchFilter"][0])
    assert shown.info.run_name == run.name


def bright_images() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(0, high, (40, 50, 3), dtype=np.uint8) for high in (50, 128, 255)])


@pytest.mark.usefixtures("registered")
def test_the_registered_model_predicts_what_the_metrifier_does(products: Products) -> None:
    import mlflow
    import pandas as pd

    images = bright_images()
    expected = [Metrifier(products.model)(image) for image in images]
    assert expected[0] < expected[1] < expected[2]
    table = pd.DataFrame({"image": [images[0], encode_png(images[1]), images[2].tolist()]})
    answers = mlflow.pyfunc.load_model("models:/metrifier@champion").predict(table)
    assert answers == [{"quality": quality, "error": None} for quality in expected]

    loaded = Metrifier.load("models:/metrifier@champion")
    assert [loaded(image) for image in images] == expected


@pytest.mark.usefixtures("registered")
def test_the_command_line_takes_registered_models(tmp_path: Path, products: Products) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_png(picture()))
    score = ["score", str(photo), "--model"]
    found = CliRunner().invoke(app, [*score, "models:/metrifier@champion"], catch_exceptions=False)
    assert found.exit_code == 0
    assert found.stdout.endswith(f",{Metrifier(products.model)(photo):.6f},\n")

    for uri in (
        "models:/metrifer@champion",
        "models:/metrifier@chamption",
        "models:/metrifier/99",
        "runs:/0/metrifier",
    ):
        missing = CliRunner().invoke(app, [*score, uri], catch_exceptions=False)
        assert (missing.exit_code, missing.stdout) == (2, "")
        assert missing.stderr.startswith(f"--model {uri}: {uri} cannot be loaded from sqlite:///")
        assert missing.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["models:/metrifier@champion", "runs:/0"])
@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (None, " cannot be loaded: no MLflow server is named, set MLFLOW_TRACKING_URI"),
        ("http://127.0.0.1:9", " cannot be loaded from http://127.0.0.1:9: "),
    ],
)
def test_a_server_that_is_not_there_is_said_at_once(
    name: str, server: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if server is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    command = ["score", "photo.png", "--model"] if name.startswith("models:") else ["compare", "model"]
    begun = time.monotonic()
    missing = CliRunner().invoke(app, [*command, name], catch_exceptions=False)
    assert time.monotonic() - begun < 60
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert reason in missing.stderr
    assert missing.stderr.count("\n") == 1
    assert not [*tmp_path.iterdir()], "MLflow would create an empty database here"


def test_a_model_of_another_kind_is_refused(client: Any, tmp_path: Path) -> None:
    experiment = client.create_experiment("others", artifact_location=tmp_path.as_uri())
    other = client.create_run(experiment).info.run_id
    client.log_text(other, "flavors: {sklearn: {}}\n", "other/MLmodel")
    client.log_text(other, "no model", "texts/readme.md")
    for name in ("other", "texts"):
        with pytest.raises(ValueError, match=f"runs:/{other}/{name} is not a metrifier"):
            Metrifier.load(f"runs:/{other}/{name}")


# In a pipeline engine that tracks too


def test_a_run_that_the_engine_made_is_logged_into(
    client: Any, run: Any, products: Products, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from metrifier_core.tracking import log_stage

    experiment = client.create_experiment("engine", artifact_location=products.model.parent.as_uri())
    page = {"kfp.pipeline_run_url": "/#/runs/details/7"}
    parent = client.create_run(experiment, run_name="pipeline", tags=page).info.run_id
    nested = client.create_run(experiment, run_name="task", tags={"mlflow.parentRunId": parent}).info.run_id
    client.log_param(nested, "seed", '"7"')
    client.log_param(parent, "name", '"digits"')
    monkeypatch.setenv("MLFLOW_RUN_ID", nested)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)

    for attempt in (1, 2):  # a retried task logs again, and MLflow rejects another value of a parameter
        log_stage(run, "distort", {"seed": 7, "severity": attempt}, {**SUMMARY, "versions": attempt})
    result = products.register(run, "metrifier in an engine", None, {**CONFIG, "name": "other"})
    assert "could not be logged" not in capsys.readouterr().err

    assert client.get_experiment_by_name(run.experiment) is None
    assert {each.info.run_id for each in client.search_runs([experiment])} == {parent, nested}
    task, pipeline = client.get_run(nested), client.get_run(parent)
    assert task.data.params == {"seed": '"7"', "severity": "1"}
    assert task.data.metrics == {"versions": 2, "seconds": 12.5}
    assert task.info.status == pipeline.info.status == "RUNNING", "the engine ends its own runs"
    assert pipeline.data.params["name"] == '"digits"'
    assert pipeline.data.params["metrifier.epochs"] == "5"
    assert pipeline.data.metrics["rows"] == 60
    assert "mean_global" not in pipeline.data.metrics
    assert pipeline.data.tags["mlflow.note.content"].endswith("The run in Kubeflow's UI: `/#/runs/details/7`")
    assert pipeline.data.tags["metrifier.version"] == __version__
    assert result["run_id"] == parent
    assert result["champion"] is True
