"""ImageNet (ILSVRC 2012) in the three files of its release, read as they are."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.finding import find_file
from metrifier_core.sources.items import SourceItem, SourceSettings, escape_name, faulty_item
from metrifier_core.sources.storage import SourceError, StoredFile
from metrifier_core.sources.tar import is_tar, tar_item, walk_tar
from metrifier_core.sources.unpacking import BROKEN, BombError, Window, open_forward, open_window

_DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
_META, _TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
_MAX_LIST = 64 << 20  # bytes of either


class ImageNetSource(SourceSettings):
    """`ILSVRC2012_devkit_t12.tar.gz` and beside it `ILSVRC2012_img_val.tar`, `ILSVRC2012_img_train.tar` or both."""

    location_setting: ClassVar[str] = "root"
    kind: Literal["imagenet"]
    root: ConfigLocation
    parts: list[Literal["val", "train"]] = Field(["val"], min_length=1, max_length=2)

    def list_images(self) -> list[SourceItem]:
        """List the images; labels are positions among the sorted synsets, as in pretrained classifiers."""
        root = self.root.rstrip("/")
        synsets, truth = _read_devkit(root)
        order = {wnid: label for label, wnid in enumerate(sorted(synsets.values()))}
        if unknown := set(truth) - set(synsets):
            raise SourceError(f"{root}/{_DEVKIT} has a ground truth of classes without synsets: {min(unknown)}")
        items: list[SourceItem] = []
        if "val" in self.parts:
            items += _list_validation(root, [order[synsets[number]] for number in truth])
        if "train" in self.parts:
            items += _list_training(root, order)
        return list({item.image_id: item for item in items}.values())


def _read_devkit(root: str) -> tuple[dict[int, str], list[int]]:
    """Return the synset of each class's ILSVRC2012_ID, and the ID of each validation image."""
    file = find_file(f"{root}/{_DEVKIT}")
    contents: dict[str, bytes] = {}
    with open_forward(file) as reader, suppress(BombError, *BROKEN):
        for member in walk_tar(reader):
            name = next((name for name in (_META, _TRUTH) if member.name.endswith(f"/{name}")), None)
            if name and not member.fault and member.size <= _MAX_LIST:
                contents[name] = reader.read(member.size)
    other = f"{file.location} is not ImageNet's devkit"
    for name in (_META, _TRUTH):
        if name not in contents:
            raise SourceError(f"{other}: it has no {name}")
    try:
        return _read_synsets(contents[_META]), [int(line) for line in contents[_TRUTH].split()]
    except Exception as error:  # SciPy raises almost anything on other files
        raise SourceError(f"{other}: {error}") from error


def _read_synsets(meta: bytes) -> dict[int, str]:
    from scipy.io import loadmat

    synsets = loadmat(cast("Any", io.BytesIO(meta)), squeeze_me=True)["synsets"]
    # After the classes come the nodes of the tree above them.
    return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}


@contextmanager
def _open_tar(root: str, name: str) -> Iterator[tuple[StoredFile, Window]]:
    file = find_file(f"{root}/{name}")
    file.need_parts("an ImageNet tar")
    with open_window(file) as window:
        if not is_tar(window):
            raise SourceError(f"{file.location} is not a tar")
        window.seek(0)
        yield file, window


def _list_validation(root: str, labels: list[int]) -> Iterator[SourceItem]:
    with _open_tar(root, "ILSVRC2012_img_val.tar") as (file, window):
        for member in walk_tar(window):
            image_id = f"val/{escape_name(member.name)}".rstrip("/")
            number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", member.name)
            if member.fault:
                yield faulty_item(image_id, member.fault)
            elif number is None:
                yield faulty_item(image_id, "it is not named as ImageNet's validation images are")
            elif not 1 <= int(number[1]) <= len(labels):
                yield faulty_item(image_id, f"the devkit's ground truth has {len(labels)} lines only")
            else:
                yield tar_item(file, image_id, labels[int(number[1]) - 1], member)


def _list_training(root: str, labels: dict[str, int]) -> Iterator[SourceItem]:
    reported = False  # by the tar of a class, where the whole breaks off within it
    with _open_tar(root, "ILSVRC2012_img_train.tar") as (file, window):
        for member in walk_tar(window):
            wnid, image_id = member.name.removesuffix(".tar"), f"train/{escape_name(member.name)}".rstrip("/")
            if member.fault:
                if not reported:
                    yield faulty_item(image_id, member.fault)
            elif wnid not in labels:
                yield faulty_item(image_id, "it is not named as one of the devkit's synsets")
            else:
                reported = member.offset + member.size > (file.size or 0)
                part = window.part(member.offset, member.size)
                yield from _list_class(file, part, member.offset, wnid, labels[wnid])


def _list_class(file: StoredFile, window: Window, start: int, wnid: str, label: int) -> Iterator[SourceItem]:
    for member in walk_tar(window):
        image_id = f"train/{wnid}/{escape_name(member.name)}".rstrip("/")
        if member.fault or re.fullmatch(rf"{wnid}_\d+\.JPEG", member.name):
            yield tar_item(file, image_id, label, member, start)
        else:
            yield faulty_item(image_id, "it is not named as ImageNet's training images are")
