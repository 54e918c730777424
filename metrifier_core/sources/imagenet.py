"""ImageNet (ILSVRC 2012) in the three files that it is handed out in, read as they are."""

import io
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, cast

from pydantic import Field

from metrifier_core.settings.base import ConfigLocation
from metrifier_core.sources.archive import Member, list_tar_members
from metrifier_core.sources.finding import find_file
from metrifier_core.sources.items import SourceItem, SourceSettings, faulty_item, text
from metrifier_core.sources.storage import SourceError, StoredFile
from metrifier_core.sources.tar import Window, is_tar, walk_tar
from metrifier_core.sources.unpacking import BROKEN, BombError, open_forward

_SETTING = "source.root"
_DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
_META, _TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
_MAX_LIST = 64 << 20

Part = Literal["val", "train"]


class ImageNetSource(SourceSettings):
    """`ILSVRC2012_devkit_t12.tar.gz` and beside it `ILSVRC2012_img_val.tar`, `ILSVRC2012_img_train.tar` or both."""

    kind: Literal["imagenet"]
    root: ConfigLocation
    parts: list[Part] = Field(["val"], min_length=1, max_length=2)


def _read_devkit(root: str) -> tuple[dict[int, str], list[int]]:
    """Reads the devkit: the synset of every ILSVRC2012_ID of a class, and the ID of every validation image."""
    file = find_file(_SETTING, f"{root}/{_DEVKIT}")
    found: dict[str, bytes] = {}
    with open_forward(file) as reader:
        for member in walk_tar(reader):
            name = next((name for name in (_META, _TRUTH) if member.name.endswith(f"/{name}")), None)
            try:
                if name and not member.fault and member.size <= _MAX_LIST:
                    found[name] = reader.read(member.size)
            except (BombError, *BROKEN):
                break
    for name in (_META, _TRUTH):
        if name not in found:
            raise SourceError(f"{_SETTING}: {file.location} is not ImageNet's devkit: it has no {name}")
    try:
        return _read_synsets(found[_META]), [int(line) for line in found[_TRUTH].split()]
    except Exception as error:  # SciPy raises almost anything on what is no .mat
        raise SourceError(f"{_SETTING}: {file.location} is not ImageNet's devkit: {error}") from error


def _read_synsets(meta: bytes) -> dict[int, str]:
    from scipy.io import loadmat

    synsets = loadmat(cast("Any", io.BytesIO(meta)), squeeze_me=True)["synsets"]
    # Behind the classes stand the nodes of the tree above them.
    return {int(each["ILSVRC2012_ID"]): str(each["WNID"]) for each in synsets if int(each["num_children"]) == 0}


def _open_tar(root: str, name: str) -> StoredFile:
    file = find_file(_SETTING, f"{root}/{name}")
    file.need_parts("an ImageNet tar")
    with file.open() as stream:
        if not is_tar(Window(file, stream, 0, file.size or 0)):
            raise SourceError(f"{_SETTING}: {file.location} is no tar")
    return file


def _items(folder: str, members: Iterator[Member], label: Callable[[str], int | str]) -> Iterator[SourceItem]:
    """Makes items of the members of a tar; where a name has no label, it is known why."""
    for member in members:
        image_id = f"{folder}/{text(member.name)}".rstrip("/")
        if member.fault is not None:
            yield faulty_item(image_id, member.fault)
        elif isinstance(found := label(member.name), str):
            yield faulty_item(image_id, found)
        else:
            yield SourceItem(image_id, found, member.read, member.stamp)


def _list_validation(root: str, labels: dict[int, int], truth: list[int]) -> Iterator[SourceItem]:
    def label(name: str) -> int | str:
        number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
        if number is None:
            return "it is not named as ImageNet's validation images are"
        if not 1 <= int(number[1]) <= len(truth):
            return f"the devkit's ground truth has {len(truth)} lines only"
        return labels[truth[int(number[1]) - 1]]

    file = _open_tar(root, "ILSVRC2012_img_val.tar")
    with file.open() as stream:
        members = walk_tar(Window(file, stream, 0, file.size or 0))
        yield from _items("val", list_tar_members(file, members), label)


def _list_class(
    file: StoredFile, stream: BinaryIO, start: int, size: int, wnid: str, label: int
) -> Iterator[SourceItem]:
    def check(name: str) -> int | str:
        named = re.fullmatch(rf"{wnid}_\d+\.JPEG", name)
        return label if named else "it is not named as ImageNet's training images are"

    members = walk_tar(Window(file, stream, start, size))
    yield from _items(f"train/{wnid}", list_tar_members(file, members, start), check)


def _list_training(root: str, labels: dict[str, int]) -> Iterator[SourceItem]:
    file = _open_tar(root, "ILSVRC2012_img_train.tar")
    said = False  # by the tar of a class, where the whole breaks off within it
    with file.open() as stream:
        for member in walk_tar(Window(file, stream, 0, file.size or 0)):
            wnid, image_id = member.name.removesuffix(".tar"), f"train/{text(member.name)}".rstrip("/")
            if member.fault:
                if not said:
                    yield faulty_item(image_id, member.fault)
            elif wnid not in labels:
                yield faulty_item(image_id, "it is not named as one of the devkit's synsets")
            else:
                said = member.offset + member.size > (file.size or 0)
                yield from _list_class(file, stream, member.offset, member.size, wnid, labels[wnid])


def list_imagenet(settings: ImageNetSource) -> list[SourceItem]:
    """Lists ImageNet's images; labels are positions among the sorted synsets, as pretrained classifiers have them.

    Raises:
        SourceError: A file is missing, or the devkit is not ImageNet's.
    """
    root = settings.root.rstrip("/")
    synsets, truth = _read_devkit(root)
    order = {wnid: label for label, wnid in enumerate(sorted(synsets.values()))}
    if unknown := set(truth) - set(synsets):
        raise SourceError(f"{_SETTING}: {root}/{_DEVKIT} has a ground truth of classes without synsets: {min(unknown)}")
    items: list[SourceItem] = []
    if "val" in settings.parts:
        items += _list_validation(root, {number: order[wnid] for number, wnid in synsets.items()}, truth)
    if "train" in settings.parts:
        items += _list_training(root, order)
    return list({item.image_id: item for item in items}.values())
