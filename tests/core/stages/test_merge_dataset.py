"""The stage `merge_dataset`: quality by hand, whatever the shards and the order in which workers were judged."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow.parquet import read_schema
from pydantic import ValidationError

from metrifier_core.data.records import (
    KEYS,
    LOSSES,
    QUALITY,
    REJECTED,
    open_writer,
    read_fingerprint,
    read_rows,
    shard_file,
)
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.stages.merge_dataset import merge_dataset
from metrifier_core.workers import WorkerCard
from tests.helpers.colour_workers import make_spec

LABEL_WORKERS = ("ant", "bee", "cat")
SPLITS = ("train", "validation", "test")

Version = tuple[str, str, int]


def keys_of(version: Version) -> dict[str, Any]:
    image_id, distortion, severity = version
    # Of three images each split has one.
    split = SPLITS[int(image_id) % 3]
    return {
        "image_id": image_id,
        "label": 7,
        "distortion": distortion,
        "severity": severity,
        "seed": 5 * severity,
        "split": split,
    }


def write_losses(folder: Path, shard: str, tcp: Mapping[str, Sequence[float]], versions: Sequence[Version]) -> Path:
    """Worker by worker, as single tasks write them."""
    rows = [
        (name, version, value) for name, values in tcp.items() for version, value in zip(versions, values, strict=True)
    ]
    return write_rows(folder, shard, rows)


def write_rows(folder: Path, shard: str, rows: Sequence[tuple[str, Version, float]]) -> Path:
    with open_writer(shard_file(folder, "losses", shard), LOSSES, f"losses {shard}") as writer:
        for name, version, value in rows:
            others = {"cross_entropy": 0.0, "correct": True, "max_softmax": 1.0, "entropy": 0.0}
            writer.write({**keys_of(version), "worker": name, "tcp": value, "loss": 1 - value, **others})
    return folder


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """Five source images of which two were refused, and the cards of three label workers and a held-out one."""
    rejected, workers = tmp_path / "rejected", tmp_path / "workers"
    with open_writer(rejected / "rejected.parquet", REJECTED, "rejected") as writer:
        for index in range(2):
            writer.write({"path": f"{index}.png", "reason": "empty file"})
    workers.mkdir()
    # Out of order, as a folder may list them.
    for name in ("zoo", "cat", "ant", "bee"):
        WorkerCard(
            name=name,
            role="held-out" if name == "zoo" else "label",
            spec=make_spec(Path(f"{name}.onnx"), family=name),
            weights=f"{name}.onnx",
            sha256="0" * 64,
            classes=10,
            temperature=1.0,
            clean_accuracy=0.5,
            clean_accuracy_low=0.4,
            clean_accuracy_high=0.6,
            clean_top5_accuracy=0.9,
            calibration_images=100,
            fingerprint=name,
        ).write(workers)
    return {"rejected": rejected, "workers": workers}


def merge(
    inputs: Mapping[str, Path], losses: Sequence[Path], output: Path, **settings: str
) -> tuple[dict[str, Any], dict[Version, float]]:
    summary = merge_dataset(settings, 3, inputs["rejected"], inputs["workers"], losses, output)
    rows = list(read_rows(output / "quality.parquet"))
    for row in rows:
        version = row["image_id"], row["distortion"], row["severity"]
        assert {key: row[key] for key in KEYS} == keys_of(version)
    return summary, {(row["image_id"], row["distortion"], row["severity"]): row["quality"] for row in rows}


PRISTINE, FOGGY = ("0", "pristine", 0), ("0", "fog", 3)
# Three workers by two versions; the second finds both alike, the third prefers the fog.
TABLE = {"ant": [1.0, 0.25], "bee": [0.75, 0.75], "cat": [0.0, 0.125]}


@pytest.mark.parametrize(
    ("settings", "pristine", "foggy"),
    [
        ({}, 1.75 / 3, 1.125 / 3),
        ({"quality": "mean"}, 1.75 / 3, 1.125 / 3),
        ({"quality": "median"}, 0.75, 0.25),
        # Of two versions the better stands at 3/4 and the worse at 1/4, and equals at 1/2.
        ({"quality": "mean_rank"}, (0.75 + 0.5 + 0.25) / 3, (0.25 + 0.5 + 0.75) / 3),
    ],
)
def test_quality_by_hand(
    settings: dict[str, str], pristine: float, foggy: float, inputs: dict[str, Path], tmp_path: Path
) -> None:
    losses = write_losses(tmp_path / "losses", "00000-of-00001", TABLE, [PRISTINE, FOGGY])
    _, quality = merge(inputs, [losses], tmp_path / "quality", **settings)
    assert quality == {PRISTINE: pytest.approx(pristine, abs=1e-15), FOGGY: pytest.approx(foggy, abs=1e-15)}


def test_every_label_worker_is_kept_beside_the_quality(inputs: dict[str, Path], tmp_path: Path) -> None:
    """In the order of the card's names, whatever they were judged in."""
    losses = write_losses(tmp_path / "losses", "00000-of-00001", TABLE, [PRISTINE, FOGGY])
    merge(inputs, [losses], tmp_path / "quality")
    names = json.loads((tmp_path / "quality" / "dataset.json").read_text())["label_workers"]
    rows = read_rows(tmp_path / "quality" / "quality.parquet")
    assert [dict(zip(names, row["worker_tcp"], strict=True)) for row in rows] == [
        {name: TABLE[name][version] for name in TABLE} for version in range(2)
    ]


def test_ranks_are_among_all_versions_of_a_worker(inputs: dict[str, Path], tmp_path: Path) -> None:
    versions = [("0", "pristine", 0), ("0", "fog", 1), ("0", "fog", 3)]
    tcp = {"ant": [0.9, 0.5, 0.1], "bee": [0.003, 0.002, 0.001], "cat": [0.2, 0.7, 0.2]}
    losses = write_losses(tmp_path / "losses", "00000-of-00001", tcp, versions)
    _, quality = merge(inputs, [losses], tmp_path / "quality", quality="mean_rank")
    ranks = np.mean([[5, 3, 1], [5, 3, 1], [2, 5, 2]], axis=0) / 6
    assert list(quality.values()) == pytest.approx(ranks.tolist(), abs=1e-15)


VERSIONS = [
    (str(image), distortion, severity)
    for image in range(9)
    for distortion, severity in (("pristine", 0), ("fog", 2), ("jpeg", 5))
]
MANY = {name: np.random.default_rng(index).random(len(VERSIONS)).tolist() for index, name in enumerate(LABEL_WORKERS)}


def write_shards(folder: Path, cuts: Sequence[int]) -> list[Path]:
    """Cut the same versions into shards; of equal cuts one is empty."""
    bounds = [0, *cuts, len(VERSIONS)]
    losses = []
    for index, (start, end) in enumerate(pairwise(bounds)):
        part = slice(start, end)
        tcp = {name: values[part] for name, values in MANY.items()}
        shard = f"{index:05d}-of-{len(bounds) - 1:05d}"
        losses.append(write_losses(folder / shard, shard, tcp, VERSIONS[part]))
    return losses


@pytest.mark.parametrize("name", ["mean", "median", "mean_rank"])
def test_shards_and_their_order_do_not_matter(name: str, inputs: dict[str, Path], tmp_path: Path) -> None:
    found = []
    for attempt, (cuts, step) in enumerate((([], 1), ([9], 1), ([9], -1), ([3, 3, 20], -1))):
        losses = write_shards(tmp_path / f"losses {attempt}", cuts)[::step]
        found.append(merge(inputs, losses, tmp_path / f"quality {attempt}", quality=name)[1])
    assert list(found[0]) == VERSIONS
    assert all(quality == found[0] for quality in found), "to the last bit"


def test_workers_judged_together_are_merged_as_those_judged_alone(inputs: dict[str, Path], tmp_path: Path) -> None:
    """A task of several workers writes its rows version by version; a held-out worker's are never of the label."""
    alone = write_losses(tmp_path / "alone", "00000-of-00001", MANY, VERSIONS)
    rows = [
        (name, version, value)
        for version, *values in zip(VERSIONS, *MANY.values(), strict=True)
        for name, value in zip((*MANY, "zoo"), (*values, 0.0), strict=True)
        if name != "zoo" or keys_of(version)["split"] == "test"
    ]
    together = write_rows(tmp_path / "together", "00000-of-00001", rows)
    for name in ("mean", "mean_rank"):
        expected, _ = merge(inputs, [alone], tmp_path / f"quality alone {name}", quality=name)
        found, _ = merge(inputs, [together], tmp_path / f"quality together {name}", quality=name)
        assert found["sha256"] == expected["sha256"]


def test_the_card_counts_what_there_is(inputs: dict[str, Path], tmp_path: Path) -> None:
    losses = write_shards(tmp_path / "losses", [9])
    summary, quality = merge(inputs, losses, tmp_path / "quality", quality="median")
    card = json.loads((tmp_path / "quality" / "dataset.json").read_text())
    conditions = {"fog 2": ("fog", 2), "jpeg 5": ("jpeg", 5), "pristine 0": ("pristine", 0)}
    assert card == {
        "read": 5,
        "accepted": 3,
        "rejected": 2,
        "versions": len(VERSIONS),
        "splits": {"test": 3, "train": 3, "validation": 3},
        "label_workers": ["ant", "bee", "cat"],
        "quality": "median",
        "mean_quality": {
            name: pytest.approx(np.mean([value for version, value in quality.items() if version[1:] == condition]))
            for name, condition in conditions.items()
        },
        "sha256": file_sha256(tmp_path / "quality" / "quality.parquet"),
    }
    del summary["started_at"], summary["finished_at"]
    assert summary == {
        "rows": len(VERSIONS),
        "sources": 9,
        "mean_quality": pytest.approx(np.mean(list(quality.values()))),
        "sha256": card["sha256"],
    }


def test_the_table_is_of_these_losses_and_this_setting(inputs: dict[str, Path], tmp_path: Path) -> None:
    identities = []
    for index, name in enumerate(("mean", "median", "mean_rank", "mean")):
        losses = write_shards(tmp_path / f"losses {index}", [9] if index < 3 else [12, 15])
        merge(inputs, losses, tmp_path / str(index), quality=name)
        identities.append(read_fingerprint(tmp_path / str(index) / "quality.parquet"))
    assert len(set(identities)) == 4
    assert read_schema(tmp_path / "0" / "quality.parquet").equals(QUALITY)


@pytest.mark.parametrize("name", ["mean", "mean_rank"])
def test_workers_that_judged_other_versions_are_not_merged(name: str, inputs: dict[str, Path], tmp_path: Path) -> None:
    rows = [(worker, version, 0.5) for worker in LABEL_WORKERS for version in (PRISTINE, FOGGY)]
    for attempt, wrong in enumerate((rows[:-1], [*rows[:-2], rows[-1], rows[-2]], rows[:-2])):
        losses = write_rows(tmp_path / str(attempt), "00000-of-00001", wrong)
        with pytest.raises(ValueError, match=r"losses-00000.*: 'cat' did not judge the same versions as 'ant'"):
            merge(inputs, [losses], tmp_path / "quality", quality=name)
    assert not (tmp_path / "quality" / "quality.parquet").exists()


def test_an_unknown_way_to_merge_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    losses = write_losses(tmp_path / "losses", "00000-of-00001", TABLE, [PRISTINE, FOGGY])
    with pytest.raises(ValidationError, match="'mean', 'median' or 'mean_rank'"):
        merge(inputs, [losses], tmp_path / "quality", quality="mode")
