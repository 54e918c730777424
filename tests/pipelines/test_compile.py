"""What is submitted to a cluster: the compiled pipeline, as the KFP SDK reads it back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp.components import load_component_from_file
from typer.testing import CliRunner

from metrifier_core.config.run import RunConfig, load_config
from pipelines.compile import app

CHECKOUT = Path(__file__).parents[2]
CONFIG = CHECKOUT / "configs" / "digits.yaml"
STAGES = {
    "close_run",
    "distort",
    "download",
    "evaluate_spearman",
    "join_losses",
    "list_source",
    "merge_dataset",
    "prepare_workers",
    "register_metrifier",
    "train_metrifier",
    "worker_evaluate",
}


def read(path):
    """Return the pipeline, and what kfp-kubernetes adds to it."""
    pipeline, platform = yaml.safe_load_all(path.read_text())
    return pipeline, platform["platforms"]["kubernetes"]


def executors_of(pipeline):
    """Return the containers of the stages, and of nothing else that the engine does."""
    executors = pipeline["deploymentSpec"]["executors"]
    return {name: executor for name, executor in executors.items() if "container" in executor}


def stages_of(pipeline):
    """Return the tasks inside the exit handler."""
    (handler,) = (task for name, task in pipeline["root"]["dag"]["tasks"].items() if name.startswith("exit-handler"))
    return pipeline["components"][handler["componentRef"]["name"]]["dag"]["tasks"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Provide the pipeline of the digits config, compiled by its own command in a process of its own."""
    output = tmp_path_factory.mktemp("build") / "metrifier.yaml"
    arguments = ["--config", str(CONFIG), "--image", "registry.example/all:1", "--output", str(output)]
    subprocess.run([sys.executable, "-m", "pipelines.compile", *arguments], cwd=CHECKOUT, check=True)
    return output


def test_the_sdk_loads_it_back_with_every_section_as_a_parameter(compiled):
    pipeline = load_component_from_file(str(compiled))
    assert pipeline.name == "metrifier"
    assert set(pipeline.component_spec.inputs) == set(load_config(CONFIG).pipeline_arguments())


def test_every_stage_runs_in_the_given_image_and_needs_no_installation(compiled):
    executors = executors_of(read(compiled)[0])
    assert {name.removeprefix("exec-").replace("-", "_") for name in executors} == STAGES
    for executor in executors.values():
        assert executor["container"]["image"] == "registry.example/all:1"
        assert "pip install" not in json.dumps(executor)


def test_shards_and_workers_fan_out_and_are_collected(compiled):
    document, _ = read(compiled)
    tasks = stages_of(document)
    loops = {name for name, task in tasks.items() if "parameterIterator" in task}
    assert len(loops) == 1
    (loop,) = loops
    for consumer in ("merge-dataset", "train-metrifier", "evaluate-spearman"):
        assert loop in tasks[consumer]["dependentTasks"]
    shard = document["components"]["comp-evaluate-shard"]["dag"]["tasks"]
    assert any("parameterIterator" in task for task in shard.values())
    assert {"distort", "join-losses"} <= set(shard)


def test_a_shard_is_handed_its_own_images_alone(compiled):
    shard = read(compiled)[0]["components"]["comp-evaluate-shard"]
    assert set(shard["inputDefinitions"]["artifacts"]) == {"prepared"}
    tasks = shard["dag"]["tasks"]
    assert tasks["distort"]["inputs"]["artifacts"]["images"]["taskOutputArtifact"]["producerTask"] == "importer"


def test_every_family_held_out_has_a_branch_of_its_own(tmp_path):
    output = tmp_path / "families.yaml"
    folds = "evaluation.leave_one_family_out=true"
    assert CliRunner().invoke(app, ["--config", str(CONFIG), "--output", str(output), folds]).exit_code == 0
    document, _ = read(output)
    tasks = stages_of(document)
    families = load_config(CONFIG, [folds]).held_out_families
    for component in ("hold-out-family", "merge-dataset", "train-metrifier", "evaluate-spearman", "compare-families"):
        assert sum(task["componentRef"]["name"].startswith(f"comp-{component}") for task in tasks.values()) == len(
            families
        )
    held_out = [task for name, task in tasks.items() if name.startswith("hold-out-family")]
    values = [task["inputs"]["parameters"]["family"]["runtimeValue"]["constant"] for task in held_out]
    assert sorted(values) == families
    assert sum("parameterIterator" in task for task in tasks.values()) == 1, "the shards are judged once for all"
    assert "register-metrifier" not in tasks
    sections = load_component_from_file(str(output)).component_spec.inputs
    assert set(sections) == set(load_config(CONFIG, [folds]).pipeline_arguments())


def test_its_defaults_are_the_config(compiled):
    inputs = read(compiled)[0]["root"]["inputDefinitions"]["parameters"]
    values = {name: definition["defaultValue"] for name, definition in inputs.items()}
    sections = {name: value for name, value in values.items() if name in RunConfig.model_fields}
    assert RunConfig.model_validate(sections) == load_config(CONFIG)


def test_tasks_know_the_server_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host.example/mlflow")
    output = tmp_path / "metrifier.yaml"
    assert CliRunner().invoke(app, ["--config", str(CONFIG), "--output", str(output)]).exit_code == 0
    assert "secret" not in output.read_text()
    for executor in executors_of(read(output)[0]).values():
        variables = {variable["name"]: variable["value"] for variable in executor["container"]["env"]}
        assert variables["MLFLOW_TRACKING_URI"] == "https://host.example/mlflow"


def test_a_wrong_config_is_refused_in_a_sentence():
    result = CliRunner().invoke(app, ["--config", str(CONFIG), "distortions.types=[gausian_noise]"])
    assert result.exit_code == 2
    assert "distortions.types: unknown distortion 'gausian_noise', did you mean 'gaussian_noise'?" in result.output
