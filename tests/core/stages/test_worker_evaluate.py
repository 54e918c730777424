"""The stage `worker_evaluate`: one decoding a version, whatever the workers, and the same losses whoever is beside."""

import re
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from onnx import helper

from metrifier_core.data.records import KEYS, LOSSES, read_fingerprint, read_rows, shard_file
from metrifier_core.images import RgbImage
from metrifier_core.stages import worker_evaluate as stage
from metrifier_core.stages.prepare_workers import prepare_workers
from metrifier_core.stages.worker_evaluate import worker_evaluate
from metrifier_core.workers import read_cards
from metrifier_core.workers.interface import Geometry
from metrifier_core.workers.losses import judge
from tests.helpers.colour_workers import (
    colour_logits,
    draw_colours,
    make_entry,
    write_colour_classifier,
    write_colour_table,
)
from tests.helpers.tiny_models import FLOAT

SHARD = "00001-of-00002"
NAMES = ["plain", "large", "judge"]
VERSIONS = 62
SPLITS = [("train", "train", "validation", "validation", "test", "test")[index % 6] for index in range(VERSIONS)]
COLOURS, LABELS = draw_colours(VERSIONS, noise=70, seed=1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two label workers and a held-out one, which take batches of 1, 20 and 3."""
    folder = tmp_path_factory.mktemp("workers")
    colours, labels = draw_colours(40, noise=60)
    write_colour_table(folder / "images", "images", SHARD, colours, labels, ["calibration"] * 40)
    plain = make_entry(write_colour_classifier(folder / "plain.onnx"), family="plain")
    large = make_entry(
        write_colour_classifier(folder / "large.onnx", layout="NCHW", batch=20, background=1, probabilities=True),
        family="large",
        layout="NCHW",
        class_offset=1,
        outputs="probabilities",
    )
    held_out = make_entry(
        write_colour_classifier(folder / "judge.onnx", scale=1, classes=range(10)[::-1]),
        family="judge",
        scale=1,
        class_order=list(range(10)[::-1]),
        batch_size=3,
    )
    workers = {
        "catalogue": {"plain": plain, "large": large, "judge": held_out},
        "label": ["plain", "large"],
        "held_out": ["judge"],
    }
    prepare_workers(workers, 0, folder / "images", folder / "prepared")
    return folder / "prepared"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("versions")
    return write_colour_table(folder, "versions", SHARD, COLOURS, LABELS, SPLITS)


def evaluate(
    prepared: Path, names: Sequence[str], versions: Path, output: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    summary = worker_evaluate(prepared, names, versions, output)
    return summary, list(read_rows(shard_file(output, "losses", SHARD)))


def test_workers_in_one_task_are_judged_as_each_in_its_own(prepared: Path, versions: Path, tmp_path: Path) -> None:
    _, together = evaluate(prepared, NAMES, versions, tmp_path / "together")
    alone = [row for name in NAMES for row in evaluate(prepared, [name], versions, tmp_path / name)[1]]
    by_worker = sorted(together, key=lambda row: NAMES.index(row["worker"]))
    assert by_worker == alone, "to the last bit"
    reverse = evaluate(prepared, NAMES[::-1], versions, tmp_path / "reverse")[1]
    assert sorted(reverse, key=lambda row: NAMES.index(row["worker"])) == alone
    assert len({row["tcp"] for row in alone}) > VERSIONS


def test_a_worker_judges_the_versions_in_their_order(prepared: Path, versions: Path, tmp_path: Path) -> None:
    _, rows = evaluate(prepared, NAMES, versions, tmp_path)
    expected = [{key: row[key] for key in KEYS} for row in read_rows(shard_file(versions, "versions", SHARD))]
    for name in ("plain", "large"):
        assert [{key: row[key] for key in KEYS} for row in rows if row["worker"] == name] == expected
    # Versions one after the other, and of each the workers in the order of the task.
    assert [row["worker"] for row in rows[:8]] == ["plain", "large"] * 4
    assert [row["worker"] for row in rows[8:14]] == NAMES * 2


def test_losses_are_those_of_the_logits_at_the_cards_temperature(
    prepared: Path, versions: Path, tmp_path: Path
) -> None:
    _, rows = evaluate(prepared, NAMES, versions, tmp_path)
    temperatures = {card.name: card.temperature for card in read_cards(prepared)}
    assert min(temperatures.values()) > 1.5
    for name in NAMES:
        own = [row for row in rows if row["worker"] == name]
        seen = np.array([name != "judge" or split == "test" for split in SPLITS])
        expected = judge(colour_logits(COLOURS[seen]), LABELS[seen], temperatures[name])
        assert len(own) == seen.sum()
        for column, values in vars(expected).items():
            found = [row[column] for row in own]
            np.testing.assert_allclose(found, values, atol=1e-3, err_msg=f"{name} {column}")


def test_a_worker_that_is_none_on_some_version_is_refused(tmp_path: Path) -> None:
    """It gives no number for an image in which something is as bright as can be; on the clean ones it is fine."""
    last = [
        helper.make_node("ReduceMax", ["numbers"], ["peak"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Flatten", ["peak"], ["peaks"]),
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Constant", [], ["none"], value_float=0.0),
        helper.make_node("Sub", ["one", "peaks"], ["room"]),
        helper.make_node("Log", ["room"], ["logarithm"]),
        helper.make_node("Mul", ["logarithm", "none"], ["nothing"]),
        helper.make_node("Add", ["logits", "nothing"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["output"], to=FLOAT),
    ]
    colours, labels = draw_colours(40, noise=60)
    write_colour_table(tmp_path / "images", "images", SHARD, np.minimum(colours, 250), labels, ["calibration"] * 40)
    entry = make_entry(write_colour_classifier(tmp_path / "narrow.onnx", last=last), family="narrow")
    prepare_workers({"catalogue": {"narrow": entry}, "label": ["narrow"]}, 0, tmp_path / "images", tmp_path / "workers")
    bright = np.minimum(COLOURS, 250)
    bright[20] = 255
    versions = write_colour_table(tmp_path / "versions", "versions", SHARD, bright, LABELS, SPLITS)
    which = list(read_rows(shard_file(versions, "versions", SHARD)))[20]
    shown = f"{which['distortion']} {which['severity']} of {which['image_id']}"
    expected = f"workers.catalogue.narrow: the network returns NaN or infinity on {shown}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        worker_evaluate(tmp_path / "workers", ["narrow"], versions, tmp_path / "losses")
    assert not list((tmp_path / "losses").glob("*.parquet"))


def test_held_out_workers_see_test_versions_alone(prepared: Path, versions: Path, tmp_path: Path) -> None:
    for names in (NAMES, ["judge"]):
        _, rows = evaluate(prepared, names, versions, tmp_path / str(len(names)))
        for name in names:
            expected = {"test": SPLITS.count("test")} if name == "judge" else Counter(SPLITS)
            assert Counter(row["split"] for row in rows if row["worker"] == name) == expected


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["plain"], {"train", "validation", "test"}),
        (NAMES, {"train", "validation", "test"}),
        (["judge"], {"test"}),
    ],
)
def test_every_version_is_decoded_once(
    names: list[str],
    splits: set[str],
    prepared: Path,
    versions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode, lock = stage.decode_version, threading.Lock()
    decoded: Counter[bytes] = Counter()

    def count(data: bytes) -> RgbImage:
        with lock:
            decoded[data] += 1
        return decode(data)

    monkeypatch.setattr(stage, "decode_version", count)
    summary, _ = evaluate(prepared, names, versions, tmp_path)
    rows = read_rows(shard_file(versions, "versions", SHARD))
    assert decoded == Counter(row["image"]["bytes"] for row in rows if row["split"] in splits)
    assert summary["versions"] == decoded.total()


def test_workers_of_one_geometry_share_the_square_of_a_version(
    prepared: Path, versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, lock = stage.take_square, threading.Lock()
    taken: Counter[int] = Counter()

    def count(image: RgbImage, geometry: Geometry) -> RgbImage:
        with lock:
            taken[geometry.size] += 1
        return take(image, geometry)

    monkeypatch.setattr(stage, "take_square", count)
    evaluate(prepared, ["plain", "large", "judge"], versions, tmp_path)
    assert taken.total() == VERSIONS
    assert len(taken) == 1


def test_the_summary_counts_what_was_done(prepared: Path, versions: Path, tmp_path: Path) -> None:
    of_test = SPLITS.count("test")
    for names, decoded, written in (
        (NAMES, VERSIONS, 2 * VERSIONS + of_test),
        (["plain"], VERSIONS, VERSIONS),
        (["judge"], of_test, of_test),
    ):
        summary, rows = evaluate(prepared, names, versions, tmp_path / names[-1] / names[0])
        times = [summary.pop(name) for name in ("started_at", "finished_at")]
        assert times == sorted(times)
        assert summary == {"shard": SHARD, "workers": ", ".join(names), "versions": decoded, "losses": written}
        assert len(rows) == written


def test_the_table_is_of_these_workers_and_versions(prepared: Path, versions: Path, tmp_path: Path) -> None:
    for name, names in (("a", NAMES), ("b", NAMES), ("c", ["plain"])):
        evaluate(prepared, names, versions, tmp_path / name)
        assert [path.name for path in (tmp_path / name).iterdir()] == [f"losses-{SHARD}.parquet"]
    files = [shard_file(tmp_path / name, "losses", SHARD) for name in "abc"]
    assert pq.read_schema(files[0]).equals(LOSSES)
    identities = [read_fingerprint(path) for path in files]
    assert identities[0] == identities[1] != identities[2]


def test_a_shard_without_test_versions_leaves_a_held_out_worker_an_empty_table(prepared: Path, tmp_path: Path) -> None:
    versions = write_colour_table(tmp_path / "versions", "versions", SHARD, COLOURS[:6], LABELS[:6], ["train"] * 6)
    summary, rows = evaluate(prepared, ["judge"], versions, tmp_path / "judge")
    assert (rows, summary["versions"], summary["losses"]) == ([], 0, 0)
    summary, rows = evaluate(prepared, NAMES, versions, tmp_path / "all")
    assert {row["worker"] for row in rows} == {"plain", "large"}
    assert (summary["versions"], summary["losses"]) == (6, 12)
