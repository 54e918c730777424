"""ImageNet's own three files, in small: labels are those of the sorted synsets, not the devkit's numbers."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from metrifier_core.images import encode_png
from metrifier_core.sources import ImageNetSource, SourceItem, list_items
from tests.helpers.bad_images import picture
from tests.helpers.source_archives import make_tar, member
from tests.helpers.source_servers import PartsOfFiles, WholeFiles, http_server

# The devkit's order is not that of the synsets' names: its 1 is the third of them.
SYNSETS = ["n03", "n01", "n02"]
TRUTH = [1, 3, 2, 1]
LABELS = [2, 1, 0, 2]
PNGS = [encode_png(picture(8, 8 + index)) for index in range(8)]
VALIDATION = {f"ILSVRC2012_val_{number:08d}.JPEG": PNGS[number - 1] for number in (1, 2, 3, 4)}
TRAINING = {wnid: {f"{wnid}_{index}.JPEG": PNGS[4 + index] for index in range(3)} for wnid in ("n02", "n01", "n03")}


def make_devkit(synsets: list[str], truth: list[int]) -> bytes:
    """As ImageNet's: the classes, behind them the nodes above them; the synset is the second field."""
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    nodes = [(number, wnid, "a thing", 0) for number, wnid in enumerate(synsets, 1)]
    nodes += [(len(synsets) + 1, "n00", "everything", len(synsets))]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(nodes, dtype=fields).reshape(-1, 1)})
    files = {
        "ILSVRC2012_devkit_t12/readme.txt": b"read me",
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": "\n".join(map(str, truth)).encode()
        + b"\n",
        "ILSVRC2012_devkit_t12/data/meta.mat": meta.getvalue(),
    }
    return gzip.compress(make_tar(files))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(make_devkit(SYNSETS, TRUTH))
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(make_tar(VALIDATION))
    classes = {f"{wnid}.tar": make_tar(files) for wnid, files in TRAINING.items()}
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(make_tar(classes))
    return tmp_path


def listed(root: Path | str, *parts: str, **more: Any) -> list[SourceItem]:
    return list_items(
        ImageNetSource.model_validate({"kind": "imagenet", "root": str(root), "parts": parts or ["val"], **more})
    )


def contents(items: list[SourceItem]) -> dict[str, tuple[int, bytes]]:
    return {item.image_id: (item.label, item.read()) for item in items if item.fault is None}


def faults(items: list[SourceItem]) -> dict[str, str | None]:
    return {item.image_id: item.fault for item in items if item.fault is not None}


EXPECTED_VALIDATION = {f"val/{name}": (LABELS[index], PNGS[index]) for index, name in enumerate(VALIDATION)}
EXPECTED_TRAINING = {
    f"train/{wnid}/{name}": (["n01", "n02", "n03"].index(wnid), content)
    for wnid, files in TRAINING.items()
    for name, content in files.items()
}


def test_labels_are_positions_among_the_sorted_synsets(root: Path) -> None:
    assert contents(listed(root)) == EXPECTED_VALIDATION
    assert contents(listed(root, "train")) == EXPECTED_TRAINING
    assert contents(listed(root, "train", "val")) == EXPECTED_VALIDATION | EXPECTED_TRAINING


def test_the_files_can_be_behind_a_url(root: Path) -> None:
    with http_server(root, PartsOfFiles) as url:
        assert contents(listed(url + "/", "train", "val")) == EXPECTED_VALIDATION | EXPECTED_TRAINING
    with http_server(root, WholeFiles) as url, pytest.raises(ValueError, match=r"an ImageNet tar needs: download it"):
        listed(url)


def test_a_part_of_the_classes_keeps_its_labels(root: Path) -> None:
    (root / "ILSVRC2012_img_train.tar").write_bytes(make_tar({"n03.tar": make_tar(TRAINING["n03"])}))
    assert {item.label for item in listed(root, "train")} == {2}


@pytest.mark.parametrize("name", ["ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_val.tar", "ILSVRC2012_img_train.tar"])
def test_a_missing_file_is_named(name: str, root: Path) -> None:
    (root / name).unlink()
    with pytest.raises(ValueError, match=rf"^source.root: there is no file {root / name}$"):
        listed(root, "val", "train")


@pytest.mark.parametrize(
    ("devkit", "reason"),
    [
        (gzip.compress(make_tar({"readme.txt": b""})), "is not ImageNet's devkit: it has no data/meta.mat"),
        (gzip.compress(make_tar({"a/data/meta.mat": b"?"})), "is not ImageNet's devkit: it has no data/ILSVRC2012_val"),
        (make_devkit(SYNSETS, [1, 4]), "has a ground truth of classes without synsets: 4"),
        (
            gzip.compress(make_tar({"a/data/meta.mat": b"?", "a/data/ILSVRC2012_validation_ground_truth.txt": b"1\n"})),
            "is not ImageNet's devkit: ",
        ),
    ],
    ids=["without classes", "without ground truth", "with an unknown class", "with broken classes"],
)
def test_another_devkit_is_refused(devkit: bytes, reason: str, root: Path) -> None:
    (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit)
    with pytest.raises(ValueError, match=rf"^source.root: {root}/ILSVRC2012_devkit_t12.tar.gz {reason}"):
        listed(root)


def test_what_is_no_tar_is_refused(root: Path) -> None:
    (root / "ILSVRC2012_img_val.tar").write_bytes(b"<html>please log in</html>")
    with pytest.raises(ValueError, match=r"^source.root: .*ILSVRC2012_img_val.tar is not a tar$"):
        listed(root)


def test_images_of_other_names_are_refused_alone(root: Path) -> None:
    more = VALIDATION | {"../ILSVRC2012_val_00000001.JPEG": b"harm", "ILSVRC2012_val_00000005.JPEG": b"fifth"}
    (root / "ILSVRC2012_img_val.tar").write_bytes(make_tar(more))
    items = listed(root)
    assert contents(items) == EXPECTED_VALIDATION
    assert faults(items) == {
        "val/../ILSVRC2012_val_00000001.JPEG": "it is not named as ImageNet's validation images are",
        "val/ILSVRC2012_val_00000005.JPEG": "the devkit's ground truth has 4 lines only",
    }
    classes = {f"{wnid}.tar": make_tar(files) for wnid, files in TRAINING.items()}
    classes["n02.tar"] = make_tar({"n01_7.JPEG": b"?"} | TRAINING["n02"])
    classes["n09.tar"] = make_tar({"n09_1.JPEG": b"?"})
    links = [member("n03.tar", kind=b"2", target="/etc/passwd")]
    (root / "ILSVRC2012_img_train.tar").write_bytes(make_tar(classes, links))
    items = listed(root, "train")
    assert contents(items) == EXPECTED_TRAINING
    assert faults(items) == {
        "train/n02/n01_7.JPEG": "it is not named as ImageNet's training images are",
        "train/n03.tar": "is a link, which is not followed",
        "train/n09.tar": "it is not named as one of the devkit's synsets",
    }


def test_a_training_tar_that_is_cut_off_is_read_up_to_there(root: Path) -> None:
    path = root / "ILSVRC2012_img_train.tar"
    whole = path.read_bytes()
    place = whole.index(PNGS[5], whole.index(b"n01_1.JPEG"))
    path.write_bytes(whole[: place + 10])
    items = listed(root, "train")
    read = ["train/n02/n02_0.JPEG", "train/n02/n02_1.JPEG", "train/n02/n02_2.JPEG", "train/n01/n01_0.JPEG"]
    assert contents(items) == {name: EXPECTED_TRAINING[name] for name in read}
    assert faults(items) == {"train/n01/n01_1.JPEG": "the archive ends early"}


def test_a_broken_class_does_not_lose_the_others(root: Path) -> None:
    classes = {f"{wnid}.tar": make_tar(files) for wnid, files in TRAINING.items()}
    classes["n01.tar"] = b"no tar"
    (root / "ILSVRC2012_img_train.tar").write_bytes(make_tar(classes))
    items = listed(root, "train")
    assert contents(items).keys() == {name for name in EXPECTED_TRAINING if "/n01/" not in name}
    assert faults(items) == {"train/n01": "the archive ends early"}
