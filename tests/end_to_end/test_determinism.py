"""The same seed gives the same versions and qualities, however the work is cut up."""

import pyarrow.parquet as pq
import pytest

from metrifier_core.config.run import load_config
from metrifier_core.data.records import shard_file, shard_name
from metrifier_core.stages.distort import distort
from metrifier_core.stages.download import download
from metrifier_core.stages.join_losses import join_losses
from metrifier_core.stages.merge_dataset import merge_dataset
from metrifier_core.stages.prepare_workers import prepare_workers
from metrifier_core.stages.worker_evaluate import worker_evaluate

pytestmark = pytest.mark.end_to_end


def _make_dataset(config, folder, shards, together):
    arguments = load_config(config, [f"shards={shards}", f"workers.together={together}"]).pipeline_arguments()
    seed = arguments["seed"]
    images, workers = folder / "images", folder / "workers"
    accepted = download(arguments["source"], arguments["splits"], seed, shards, images)["accepted"]
    prepare_workers(arguments["workers"], seed, images, workers)
    joined = []
    for index in range(shards):
        shard = shard_name(index, shards)
        versions = folder / shard / "versions"
        distort(arguments["distortions"], seed, shard_file(images, "images", shard), versions)
        parts = []
        for number, names in enumerate(arguments["worker_groups"]):
            parts.append(folder / shard / f"losses {number}")
            worker_evaluate(workers, names, versions, parts[-1])
        joined.append(folder / shard / "losses")
        join_losses(parts, joined[-1])
    merge_dataset(arguments["merge"], accepted, images, workers, joined, folder / "quality")
    return folder


def _rows(paths):
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: (row["image_id"], row["distortion"], row["severity"]))


def test_neither_shards_nor_tasks_change_versions_and_qualities(colour_config, tmp_path):
    one = _make_dataset(colour_config, tmp_path / "one", 1, 3)
    three = _make_dataset(colour_config, tmp_path / "three", 3, 2)
    versions = _rows(one.glob("*/versions/*.parquet"))
    assert versions == _rows(three.glob("*/versions/*.parquet"))
    assert len(versions) > 1000
    assert _rows([one / "quality" / "quality.parquet"]) == _rows([three / "quality" / "quality.parquet"])
