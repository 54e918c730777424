"""Sources hand out labelled images in an order of their own; what is wrong with one is said by its setting."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from metrifier_core.images import ImageError, decode_image, encode_png
from metrifier_core.sources import (
    DigitsSource,
    FolderSource,
    ManifestSource,
    Source,
    SourceItem,
    create_source,
    describe_labels,
    get_source,
    list_files,
    list_items,
    list_sources,
)
from metrifier_core.sources.items import choose_items
from metrifier_core.sources.storage import SourceError
from metrifier_core.stages.download import download
from tests.helpers.bad_images import picture

CLASSES = ("n02", "n01", "n10")
MakeSource = Callable[[int | None], Source]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of eight images, some of them deeper, and what a desktop leaves behind."""
    root = tmp_path / "images"
    for name in CLASSES:
        (root / name / "deeper").mkdir(parents=True)
        for index in range(8):
            below = root / name / ("deeper" if index % 2 else "")
            (below / f"{index}.png").write_bytes(encode_png(picture(8, 8 + index)))
    (root / ".cache").mkdir()
    (root / ".cache" / "0.png").write_bytes(b"hidden")
    (root / "n01" / ".DS_Store").write_bytes(b"hidden")
    (root / "README.txt").write_text("of no class")
    return root


def write_manifest(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


@pytest.fixture(params=["digits", "folder", "manifest"])
def make_source(request: pytest.FixtureRequest, folder: Path) -> MakeSource:
    """Make a source of each kind, given `max_sources`."""
    files = [path.relative_to(folder).as_posix() for path in list_files(folder) if path.suffix == ".png"]
    lines = [f"{path},{index % 3}" for index, path in enumerate(files)]
    manifest = write_manifest(folder.parent / "manifest.csv", ["path,label_index", *lines])

    def make(most: int | None) -> Source:
        match request.param:
            case "digits":
                return DigitsSource(kind="digits", side=8, max_sources=most)
            case "folder":
                return FolderSource(kind="folder", root=str(folder), max_sources=most)
        return ManifestSource(kind="manifest", manifest=str(manifest), root=str(folder), max_sources=most)

    return make


def identities(source: Source) -> list[tuple[str, int]]:
    return [(item.image_id, item.label) for item in list_items(source)]


# What every source keeps


def test_identities_are_unique_and_labels_begin_at_0(make_source: MakeSource) -> None:
    found = identities(make_source(None))
    assert len({image_id for image_id, _ in found}) == len(found)
    labels = {label for _, label in found}
    assert labels == set(range(len(labels)))
    assert len(labels) >= 3


def test_every_item_can_be_read(make_source: MakeSource) -> None:
    for item in list_items(make_source(20)):
        assert decode_image(item.read()).shape[0] == 8


def test_a_larger_choice_keeps_a_smaller_one(make_source: MakeSource) -> None:
    everything = identities(make_source(None))
    for most in (1, 7, len(everything), len(everything) + 1):
        assert identities(make_source(most)) == everything[:most]


def test_a_choice_has_all_classes(make_source: MakeSource) -> None:
    everything = identities(make_source(None))
    half = identities(make_source(len(everything) // 2))
    assert {label for _, label in half} == {label for _, label in everything}


@given(st.permutations([SourceItem(f"image-{index}", 0, bytes) for index in range(12)]), st.integers(1, 12))
@settings(deadline=None)
def test_the_order_of_listing_does_not_matter(listed: list[SourceItem], most: int) -> None:
    assert choose_items(listed, most) == choose_items(sorted(listed, key=lambda item: item.image_id), most)


# The registry


def test_a_source_is_created_by_its_kind(folder: Path) -> None:
    assert list_sources() == ["archive", "digits", "folder", "imagenet", "manifest", "parquet", "tfds"]
    assert get_source("folder") is FolderSource
    assert create_source("folder", root=str(folder)) == FolderSource(kind="folder", root=str(folder))
    assert create_source(kind="digits", side=8) == DigitsSource(kind="digits", side=8)


def test_an_unknown_kind_or_setting_is_refused_with_what_is_close() -> None:
    with pytest.raises(ValueError, match=r"^unknown source 'floder', did you mean 'folder'\?$"):
        create_source("floder", root="photos")
    with pytest.raises(ValueError, match=r"unknown key, did you mean 'root'\?"):
        create_source("folder", rot="photos")


# Digits


def test_digits_are_those_of_scikit_learn() -> None:
    digits, labels = load_digits(return_X_y=True)
    items = list_items(DigitsSource(kind="digits", side=8))
    assert len(items) == 1797
    for item in items[:50]:
        index = int(item.image_id.removeprefix("digit-"))
        assert item.label == labels[index]
        expected = np.rint(digits[index].reshape(8, 8, 1) / 16 * 255).repeat(3, axis=2)
        np.testing.assert_array_equal(decode_image(item.read()), expected)


def test_digits_are_enlarged() -> None:
    item = list_items(DigitsSource(kind="digits", side=32))[0]
    assert decode_image(item.read()).shape == (32, 32, 3)
    assert item.read() == item.read()


# Folders


def test_a_folder_is_a_class(folder: Path) -> None:
    items = list_items(FolderSource(kind="folder", root=str(folder)))
    assert len(items) == 24
    names = sorted(CLASSES)
    for item in items:
        assert item.label == names.index(item.image_id.partition("/")[0])
        assert item.read() == (folder / item.image_id).read_bytes()


def test_every_file_counts_but_hidden_ones(folder: Path) -> None:
    (folder / "n01" / "notes.txt").write_text("refused when it is read")
    found = {item.image_id for item in list_items(FolderSource(kind="folder", root=str(folder)))}
    assert "n01/notes.txt" in found
    assert "n01/deeper/1.png" in found
    assert not {path for path in found if "/." in path or path.startswith(".")}


def test_a_class_folder_that_cannot_be_listed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the others would have labels that are not theirs."""
    scan = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path) == folder / "n01":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match=f"^source.root: {folder / 'n01'} cannot be listed: Permission denied$"):
        list_items(FolderSource(kind="folder", root=str(folder)))


def test_a_linked_class_folder_is_a_class(folder: Path) -> None:
    (folder / "n11").symlink_to(folder / "n10" / "deeper")
    found = {item.image_id: item.label for item in list_items(FolderSource(kind="folder", root=str(folder)))}
    assert found["n11/1.png"] == 3


def test_linked_folders_below_a_class_are_of_it(folder: Path, tmp_path: Path) -> None:
    before = {item.image_id: item.label for item in list_items(FolderSource(kind="folder", root=str(folder)))}
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "0.png").write_bytes(b"0")
    (folder / "aaa").mkdir()
    (folder / "aaa" / "part").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder / "aaa")
    items = {item.image_id: item.label for item in list_items(FolderSource(kind="folder", root=str(folder)))}
    assert items == {"aaa/part/deep/0.png": 0} | {name: label + 1 for name, label in before.items()}


def test_download_says_which_folder_has_which_label(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = [{"calibration": 0.25, "train": 0.25, "validation": 0.25, "test": 0.25}]
    download({"kind": "folder", "root": str(folder)}, splits, 0, 1, tmp_path / "output")
    assert "metrifier: source: 3 class folders: n01 (label 0) to n10 (label 2)\n" in capsys.readouterr().err
    manifest = write_manifest(tmp_path / "manifest.csv", ["path,label_index", "n01/0.png,7"])
    source = ManifestSource(kind="manifest", manifest=str(manifest), root=str(folder))
    assert describe_labels(source, list_items(source)) is None


def test_a_missing_folder_is_refused_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"^source.root: there is no folder {tmp_path / 'no'}$"):
        list_items(FolderSource(kind="folder", root=str(tmp_path / "no")))


def test_a_folder_without_classes_is_refused_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(encode_png(picture()))
    (tmp_path / ".hidden").mkdir()
    with pytest.raises(SourceError, match=r"^source.root: .* has no class folders \(expected .*/CLASS/IMAGE\)$"):
        list_items(FolderSource(kind="folder", root=str(tmp_path)))


# Manifests


def list_lines(folder: Path, lines: list[str], encoding: str = "utf-8") -> list[SourceItem]:
    manifest = write_manifest(folder.parent / "manifest.csv", lines, encoding)
    return list_items(ManifestSource(kind="manifest", manifest=str(manifest), root=str(folder)))


def test_a_manifest_names_files_and_labels(folder: Path) -> None:
    header = "licence,label_index,path"
    items = list_lines(folder, [header, "CC0,7,n01/0.png", '"MIT, or not",0,n02/deeper/1.png', "", "CC0,2,gone.png"])
    found = {item.image_id: item for item in items}
    assert {name: item.label for name, item in found.items()} == {"n01/0.png": 7, "n02/deeper/1.png": 0, "gone.png": 2}
    assert found["n01/0.png"].read() == (folder / "n01/0.png").read_bytes()
    with pytest.raises(ImageError, match="No such file"):
        found["gone.png"].read()


def test_a_manifest_of_a_spreadsheet_is_read(folder: Path) -> None:
    items = list_lines(folder, ["path,label_index\r", "n01/é.png,1\r"], encoding="utf-8-sig")
    assert [(item.image_id, item.label) for item in items] == [("n01/é.png", 1)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["path,label"], " has no column 'label_index'"),
        (["label_index"], " has no column 'path'"),
        ([], " has no column 'path'"),
        (
            ["path,label_index", "a.png,0", "b.png,cat"],
            ", line 3: path 'b.png', label_index 'cat'; expected a path and",
        ),
        (["path,label_index", "a.png,-1"], ", line 2: path 'a.png', label_index '-1'; expected a path and a number"),
        (
            ["path,label_index", f"a.png,{10**18}"],
            ", line 2: path 'a.png', label_index '1000000000000000000'",
        ),
        (["path,label_index", "a.png,1.0"], ", line 2: path 'a.png', label_index '1.0'; expected"),
        (["path,label_index", "a.png,²"], ", line 2: path 'a.png', label_index '²'; expected"),
        (["path,label_index", "a.png"], ", line 2: path 'a.png', label_index 'None'; expected"),
        (["path,label_index", ",3"], ", line 2: path '', label_index '3'; expected"),
        (["path,label_index", "a.png,0", "", "a.png,0"], ", line 4: 'a.png' is named twice"),
        (["path,label_index", "a.png,0", "./b/../a.png,0"], ", line 3: './b/../a.png' is named twice"),
        (["path,label_index", "../a.png,0"], ", line 2: '../a.png' is not below the root"),
        (["path,label_index", "/etc/a.png,0"], ", line 2: '/etc/a.png' is not below the root"),
    ],
)
def test_a_wrong_manifest_is_refused_by_its_line(folder: Path, lines: list[str], reason: str) -> None:
    with pytest.raises(SourceError, match=r"^source\.manifest: ") as caught:
        list_lines(folder, lines)
    assert f"{folder.parent / 'manifest.csv'}{reason}" in str(caught.value)


def test_a_manifest_in_another_encoding_is_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"^source.manifest: .*manifest.csv is not a CSV file in UTF-8: "):
        list_lines(folder, ["path,label_index", "é.png,0"], encoding="latin-1")


@pytest.mark.parametrize(("setting", "kind"), [("manifest", "file"), ("root", "folder")])
def test_a_missing_manifest_or_root_is_refused_by_its_setting(folder: Path, setting: str, kind: str) -> None:
    manifest = write_manifest(folder.parent / "manifest.csv", ["path,label_index"])
    paths = {"manifest": str(manifest), "root": str(folder), setting: str(folder / "no")}
    with pytest.raises(SourceError, match=f"^source.{setting}: there is no {kind} {folder / 'no'}$"):
        list_items(ManifestSource(kind="manifest", **paths))
