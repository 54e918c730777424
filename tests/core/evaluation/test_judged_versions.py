"""One pass over the test versions: each beside its pristine image, whatever the order they stand in."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.records import IMAGES, LOSSES, QUALITY, open_writer
from metrifier_core.evaluation.judged_versions import JudgedVersions, draw_evenly, judge_versions
from metrifier_core.images import encode_png
from metrifier_core.statistics import (
    BASELINES,
    BrisqueTrees,
    brisque_features,
    jpeg_size,
    laplacian_variance,
    peak_signal_to_noise,
    structural_similarity,
)
from metrifier_core.workers import WorkerCard
from tests.helpers.colour_workers import make_spec

CONDITIONS = [("pristine", 0), ("jpeg", 1), ("jpeg", 5), ("fog", 3)]
WORKERS = {"bit": ("label", 0.6), "vit": ("label", 0.8), "swin": ("held-out", 0.9)}
"""Each worker's part, and its accuracy on clean images."""


def make_image(image_id: str, severity: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng([len(image_id), *image_id.encode(), severity])
    smooth = np.indices((24, 20)).sum(axis=0)[..., None] * np.array([2, 3, 4])
    return np.clip(smooth + rng.normal(0, 1 + 8 * severity, (24, 20, 3)), 0, 255).astype(np.uint8)


def write_tables(folder: Path, order: list[int], *, missing: str = "") -> None:
    """Twelve training and four test images, their conditions in some order; one may lack its pristine version."""
    images = [("train", f"train{index}") for index in range(12)] + [("test", f"test{index}") for index in range(4)]
    rows: list[dict[str, Any]] = [
        {
            "image_id": image_id,
            "label": 0,
            "distortion": distortion,
            "severity": severity,
            "seed": 0,
            "split": split,
        }
        for split, image_id in images
        for distortion, severity in (CONDITIONS[place] for place in order)
        if not (image_id == missing and severity == 0)
    ]
    rng = np.random.default_rng(0)
    with open_writer(folder / "versions-00000-of-00001.parquet", IMAGES, "versions") as writer:
        for row in rows:
            data = encode_png(make_image(row["image_id"], row["severity"]))
            writer.write({**row, "image": {"bytes": data, "path": ""}})
    with open_writer(folder / "quality.parquet", QUALITY, "quality") as writer:
        for row in rows:
            quality = 1 - row["severity"] / 6
            writer.write({**row, "quality": quality, "worker_tcp": [quality]})
    with open_writer(folder / "losses-00000-of-00001.parquet", LOSSES, "losses") as writer:
        for name, (role, _) in WORKERS.items():
            for row in rows:
                if role == "label" or row["split"] == "test":
                    tcp, confidence = rng.random(2)
                    numbers = {"tcp": tcp, "loss": 1 - tcp, "cross_entropy": 1.0, "entropy": 1.0}
                    answer = {"worker": name, "correct": bool(tcp > 0.5), "max_softmax": confidence}
                    writer.write({**row, **numbers, **answer})


def make_card(name: str, role: Any, accuracy: float) -> WorkerCard:
    return WorkerCard(
        name=name,
        role=role,
        spec=make_spec(Path(f"{name}.onnx"), family=name),
        weights=f"{name}.onnx",
        sha256="0" * 64,
        classes=10,
        temperature=1.0,
        clean_accuracy=accuracy,
        clean_accuracy_low=0.0,
        clean_accuracy_high=1.0,
        clean_top5_accuracy=1.0,
        calibration_images=100,
        fingerprint=name,
    )


def judge(folder: Path) -> JudgedVersions:
    quality = folder / "quality.parquet"
    dataset = QualityDataset([folder / "versions-00000-of-00001.parquet"], quality)
    cards = [make_card(name, role, accuracy) for name, (role, accuracy) in WORKERS.items()]
    return judge_versions(lambda image: float(image.mean() / 255), dataset, quality, [folder], cards, seed=0)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> JudgedVersions:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder, [0, 1, 2, 3])
    return judge(folder)


def test_every_version_is_judged_by_every_predictor(judged: JudgedVersions) -> None:
    assert judged.column("image_id").tolist() == [f"test{index}" for index in range(4) for _ in CONDITIONS]
    assert list(judged.baselines) == list(BASELINES)
    for index, row in enumerate(judged.versions.to_pylist()):
        image, pristine = make_image(row["image_id"], row["severity"]), make_image(row["image_id"], 0)
        assert judged.predicted[index] == image.mean() / 255
        expected = {
            "laplacian_variance": laplacian_variance(image),
            "jpeg_size": jpeg_size(image),
            "psnr": peak_signal_to_noise(image, pristine),
            "ssim": structural_similarity(image, pristine),
            "severity_oracle": 1 - row["severity"] / 6,
        }
        for name, value in expected.items():
            assert judged.baselines[name][index] == pytest.approx(value), name
    assert judged.column("severity").tolist() == [severity for _ in range(4) for _, severity in CONDITIONS]


def test_the_trees_learn_from_all_training_versions_where_these_are_few(judged: JudgedVersions) -> None:
    training = [(f"train{index}", severity) for index in range(12) for _, severity in CONDITIONS]
    features = np.array([brisque_features(make_image(*version)) for version in training])
    trees = BrisqueTrees(features, np.array([1 - severity / 6 for _, severity in training]), seed=0)
    versions = judged.versions.to_pylist()
    asked = np.array([brisque_features(make_image(row["image_id"], row["severity"])) for row in versions])
    np.testing.assert_array_equal(judged.baselines["brisque_trees"], trees.predict(asked))


@given(st.integers(1, 3000), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_a_sample_is_even_and_without_repetition(count: int, most: int, seed: int) -> None:
    drawn = draw_evenly(count, most, np.random.default_rng(seed))
    assert len(drawn) == min(count, most)
    assert (np.diff(drawn) > 0).all()
    assert 0 <= drawn[0] <= drawn[-1] < count
    stretch = count / len(drawn)
    assert (np.abs(drawn - np.arange(len(drawn)) * stretch) <= stretch).all()


def test_answers_are_those_of_the_losses(judged: JudgedVersions) -> None:
    assert list(judged.tcp) == list(judged.right) == list(WORKERS)
    for name in WORKERS:
        np.testing.assert_array_equal(judged.right[name], judged.tcp[name] > 0.5)


def test_the_label_workers_confidence_is_their_mean_and_that_of_the_most_accurate_one(
    judged: JudgedVersions, tmp_path: Path
) -> None:
    write_tables(tmp_path, [0, 1, 2, 3])
    rows = pq.read_table(tmp_path / "losses-00000-of-00001.parquet").to_pylist()
    of_test = [
        [row["max_softmax"] for row in rows if row["worker"] == name and row["split"] == "test"]
        for name in ("bit", "vit")
    ]
    np.testing.assert_allclose(judged.baselines["label_confidence"], np.mean(of_test, axis=0))
    np.testing.assert_array_equal(judged.baselines["single_confidence"], of_test[1], "vit's, which judges more rightly")


@pytest.mark.parametrize("order", [[1, 2, 3, 0], [2, 0, 3, 1]])
def test_the_pristine_version_may_stand_anywhere(judged: JudgedVersions, tmp_path: Path, order: list[int]) -> None:
    write_tables(tmp_path, order)
    found = judge(tmp_path)

    def by_version(versions: JudgedVersions, name: str) -> dict[Any, float]:
        keys = [(row["image_id"], row["severity"]) for row in versions.versions.to_pylist()]
        return dict(zip(keys, versions.baselines[name].tolist(), strict=True))

    assert found.column("severity")[:4].tolist() == [CONDITIONS[place][1] for place in order]
    for name in ("psnr", "ssim", "jpeg_size"):
        assert by_version(found, name) == by_version(judged, name)


def test_without_a_pristine_version_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    write_tables(tmp_path, [0, 1, 2, 3], missing="test2")
    found = judge(tmp_path)
    lacking = found.column("image_id") == "test2"
    assert lacking.sum() == 3
    for name, scores in found.baselines.items():
        undefined = lacking if name in {"psnr", "ssim"} else np.zeros_like(lacking)
        np.testing.assert_array_equal(np.isnan(scores), undefined, name)


def test_a_worker_that_judged_other_versions_is_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, [0, 1, 2, 3])
    (tmp_path / "other").mkdir()
    write_tables(tmp_path / "other", [0, 1, 3, 2])
    (tmp_path / "other" / "losses-00000-of-00001.parquet").replace(tmp_path / "losses-00000-of-00001.parquet")
    with pytest.raises(ValueError, match="'bit' did not judge the test versions"):
        judge(tmp_path)
