"""The body of every component, called as a Python function with real artifacts."""

import json
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest
from kfp.dsl import Artifact, Markdown, Metrics

import components
from metrifier_core.config.run import MAX_SHARDS
from metrifier_core.data.records import IMAGES, LOSSES, QUALITY
from tests.helpers.colour_runs import HELD_OUT, LABEL


def _tables(artifacts):
    return [table for artifact in artifacts for table in Path(artifact.path).glob("*-of-*.parquet")]


def _is_flat(metadata):
    return all(isinstance(value, str | int | float | bool) for value in metadata.values())


def test_metadata_is_flat_since_a_clusters_store_reshapes_what_is_nested(made):
    found = [item for value in made.values() for item in (value if isinstance(value, list) else [value])]
    artifacts = [item for item in found if isinstance(item, Artifact)]
    assert len(artifacts) > len(made["parts"]) + 2 * len(made["versions"])
    assert [artifact.name for artifact in artifacts if not _is_flat(artifact.metadata)] == []


def test_what_every_shard_has_comes_without_metadata(made):
    """A task that collects all shards has them on one command line, which Linux limits to 128 KiB."""
    of_shards = [*made["versions"], *made["parts"], *made["losses"]]
    assert [artifact.metadata for artifact in of_shards] == [{}] * len(of_shards)
    # As Kubeflow stores it, which adds its description of the bucket to each artifact.
    artifact = {"name": "1" * 20, "type": {"schemaTitle": "system.Dataset"}, "uri": "s3://" + "u" * 160}
    artifact["metadata"] = {"store_session_info": "s" * 400}
    assert 2 * MAX_SHARDS * len(json.dumps(artifact)) < 0.8 * (128 << 10)


def test_compare_families_names_the_files_of_every_fold(made, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    inputs = components.compare_families.component_spec.inputs
    config = {key: value for key, value in made["config"].items() if key in inputs}
    earlier = None
    for family in ("first", "second"):
        metrics = Metrics(name=family, uri=str(tmp_path / f"{family}.json"))
        components.compare_families.python_func(
            **config,
            families=["first", "second"],
            family=family,
            judged=made["metrics"],
            evaluated=made["evaluated"],
            metrics=metrics,
            table=Markdown(name="table", uri=str(tmp_path / "table")),
            earlier=earlier,
        )
        assert _is_flat(metrics.metadata)
        earlier = metrics
    folds = json.loads(metrics.metadata["folds"])
    assert list(folds) == list(json.loads(Path(metrics.path).read_text())["families"]) == ["first", "second"]
    assert folds["second"]["model"] == made["model"].uri


def test_download_counts_add_up(made):
    counted = made["images"].metadata
    assert counted["read"] == counted["accepted"] + counted["rejected"] == 240
    assert sum(pq.read_metadata(table).num_rows for table in _tables([made["images"]])) == counted["accepted"]
    folder = made["images"].uri
    assert made["uris"] == [f"{folder}/images-{shard}.parquet" for shard in ("00000-of-00002", "00001-of-00002")]


def test_prepare_workers_writes_verified_weights_and_a_card_each(made):
    folder = Path(made["prepared"].path)
    cards = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    assert {card["role"] for card in cards} == {"label", "held-out"}
    for card in cards:
        assert (folder / card["weights"]).is_file()
        assert card["clean_accuracy"] > 0.5
        assert card["temperature"] > 0


def test_the_cards_are_kept_with_the_run_of_their_stage(made):
    store = mlflow.MlflowClient(f"sqlite:///{Path(made['images'].path).parent / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    (run,) = store.search_runs(experiments, "tags.`metrifier.stage` = 'prepare_workers'")
    for path in Path(made["prepared"].path).glob("*.json"):
        kept = store.download_artifacts(run.info.run_id, f"workers/{path.name}")
        assert json.loads(Path(kept).read_text()) == json.loads(path.read_text())


def test_how_busy_the_machine_was_is_kept_with_the_training(made):
    store = mlflow.MlflowClient(f"sqlite:///{Path(made['images'].path).parent / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    (run,) = store.search_runs(experiments, "tags.`metrifier.stage` = 'train_metrifier'")
    assert run.data.metrics["system/cpu_utilization_percentage"] >= 0
    assert run.data.metrics["system/system_memory_usage_percentage"] > 0


def test_distort_makes_every_version_of_the_sources_that_are_learned_from(made):
    tables = _tables(made["versions"])
    assert len(tables) == 2
    for table in tables:
        assert pq.read_schema(table).names == IMAGES.names
    rows = [row for table in tables for row in pq.read_table(table).to_pylist()]
    counts = {}
    for row in rows:
        counts[row["image_id"], row["split"]] = counts.get((row["image_id"], row["split"]), 0) + 1
    # One pristine and five sampled versions; test images also get three of the held-out type.
    expected = {("calibration", 6), ("train", 6), ("validation", 6), ("test", 9)}
    assert {(split, count) for (_, split), count in counts.items()} == expected


def test_worker_evaluate_and_join_losses_keep_every_workers_losses(made):
    tables = _tables(made["losses"])
    for table in tables:
        assert pq.read_schema(table).names == LOSSES.names
        for row in pq.read_table(table).to_pylist():
            assert 0 <= row["tcp"] <= 1
            assert row["loss"] == pytest.approx(1 - row["tcp"])
    assert len(tables) == 2


def test_merge_dataset_keeps_one_row_a_version(made):
    table = pq.read_table(Path(made["quality"].path) / "quality.parquet")
    assert table.schema.names == QUALITY.names
    assert table.num_rows == sum(pq.read_metadata(path).num_rows for path in _tables(made["versions"]))
    card = json.loads((Path(made["quality"].path) / "dataset.json").read_text())
    assert card["versions"] == table.num_rows
    assert card["label_workers"] == list(LABEL)


def test_train_metrifier_writes_the_model_its_card_and_its_curves(made):
    folder = Path(made["model"].path)
    files = sorted(path.name for path in folder.iterdir())
    exports = ["metrifier.keras", "metrifier.onnx", "metrifier.tflite", "metrifier_int8.tflite"]
    assert files == sorted(["metrifier.json", "training.json", *exports])
    assert made["model"].metadata["parameters"] < 150_000


def test_evaluate_spearman_fills_metrics_and_report(made):
    assert made["metrics"].metadata["sources"] > 0
    found = json.loads(Path(made["metrics"].path).read_text())
    assert set(found["workers"]) == {HELD_OUT, "mean"}
    assert Path(made["report"].path).read_text().startswith("<!doctype html>")


def test_register_metrifier_makes_the_first_version_the_champion(made):
    registered = json.loads(Path(made["registered"].path).read_text())
    assert (registered["model_name"], registered["version"], registered["champion"]) == ("metrifier", "1", True)


def test_register_metrifier_writes_the_model_card(made):
    text = Path(made["model_card"].path).read_text(encoding="utf-8")
    assert text.startswith("# metrifier\n")
    for name in ("metrifier.tflite", "metrifier_int8.tflite", "metrifier.onnx", "metrifier.keras"):
        assert f"| `{name}` |" in text
    assert "not known" not in text, "every export was compared"
