"""Archives are read as they are, in any order; a bad member is refused alone, and nothing is ever unpacked to disk."""

import io
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrifier_core.images import MAX_BYTES, ImageError
from metrifier_core.sources import ArchiveSource, FolderSource, SourceItem, list_items, listing_digest
from metrifier_core.sources.storage import SourceError
from metrifier_core.stages.download import download
from tests.helpers.source_archives import (
    PACKERS,
    images,
    make_tar,
    make_zip,
    member,
    packed_zeros,
    sparse_tar,
    write_archive,
    write_folders,
    zip_bomb,
)

GNU_TAR = b"GNU" in subprocess.run(["tar", "--version"], check=True, capture_output=True).stdout
SUFFIXES = [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"]
FILES = images()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide the folder for temporary files, in which nothing may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def listed(path: Path, **more: object) -> list[SourceItem]:
    return list_items(ArchiveSource.model_validate({"kind": "archive", "archive": str(path), **more}))


def usable(items: list[SourceItem]) -> dict[str, SourceItem]:
    return {item.image_id: item for item in items if item.fault is None}


def faults(items: list[SourceItem]) -> dict[str, str]:
    return {item.image_id: item.fault for item in items if item.fault is not None}


def named(path: Path, names: Iterable[str]) -> list[SourceItem]:
    """Return what is listed of an archive whose images a manifest labels; those that are not there are left out."""
    manifest = path.with_name("labels.csv")
    manifest.write_text("path,label_index\n" + "".join(f"{name},0\n" for name in names))
    return [item for item in listed(path, manifest=str(manifest)) if item.fault != "it is not in the archive"]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# As it should be


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_is_read_as_the_folder_that_it_was_made_of(suffix: str, tmp_path: Path) -> None:
    files = FILES | {"n01/deeper/é.png": b"deep", "n01/.DS_Store": b"hidden", "README.txt": b"of no class"}
    for name, content in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    expected = list_items(FolderSource(kind="folder", root=str(tmp_path / "folder")))
    found = listed(write_archive(tmp_path, suffix, files))
    assert [(item.image_id, item.label) for item in found] == [(item.image_id, item.label) for item in expected]
    assert [item.read() for item in found] == [item.read() for item in expected]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_members_are_read_by_several_threads_in_any_order(suffix: str, tmp_path: Path) -> None:
    files = images(count=40)
    items = listed(write_archive(tmp_path, suffix, files))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda item: item.read(), items * 3))
    assert read == [files[item.image_id] for item in items] * 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_of_the_archive_can_be_the_root(suffix: str, tmp_path: Path) -> None:
    files = {f"./photos/{name}": content for name, content in FILES.items()} | {"other/n00/0.png": b"another"}
    path = write_archive(tmp_path, suffix, files)
    found = usable(listed(path, root="photos"))
    assert {name: item.read() for name, item in found.items()} == FILES
    assert {item.label for item in found.values()} == {0, 1, 2}
    with pytest.raises(
        ValueError, match=rf"^source\.archive: {path}/nowhere has no class folders \(expected CLASS/IMAGE"
    ):
        listed(path, root="nowhere")


@pytest.mark.parametrize("root", ["", "photos"])
@pytest.mark.parametrize("packing", ["tar", "gztar", "bztar", "xztar", "zip"])
def test_an_archive_of_a_whole_folder_has_the_labels_of_the_folder(packing: str, root: str, tmp_path: Path) -> None:
    """Those who pack a folder write an entry for itself and for each of its folders, empty ones too."""
    photos = write_folders(tmp_path / "photos")
    path = shutil.make_archive(str(tmp_path / "a"), packing, tmp_path if root else photos, root or None)
    found = [(item.image_id, item.label) for item in listed(Path(path), root=root)]
    assert found == [(item.image_id, item.label) for item in list_items(FolderSource(kind="folder", root=str(photos)))]
    assert dict(found) == {name: ("n01", "n02", "n10").index(name[:3]) for name in FILES}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_manifest_labels_the_members_that_it_names(suffix: str, tmp_path: Path) -> None:
    manifest = write(tmp_path / "manifest.csv", b"path,label_index\nn10/0.png,7\nn01/1.png,0\nn01/none.png,1\n")
    items = listed(write_archive(tmp_path, suffix, FILES), manifest=str(manifest))
    assert {name: (item.label, item.read()) for name, item in usable(items).items()} == {
        "n10/0.png": (7, FILES["n10/0.png"]),
        "n01/1.png": (0, FILES["n01/1.png"]),
    }
    assert faults(items) == {"n01/none.png": "it is not in the archive"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_last_member_of_a_name_counts(suffix: str, tmp_path: Path) -> None:
    twice = [("a/0.png", b"old"), ("a/1.png", b"one"), ("./a/0.png", b"new")]
    if suffix == ".zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in twice:
                archive.writestr(name, content)
        content = buffer.getvalue()
    else:
        end = bytes(1024)
        tars = [make_tar({name: content}).rstrip(b"\0") for name, content in twice]
        content = PACKERS[suffix[4:]](b"".join(tar + bytes(-len(tar) % 512) for tar in tars) + end)
    found = usable(listed(write(tmp_path / f"a{suffix}", content)))
    assert {name: item.read() for name, item in found.items()} == {"a/0.png": b"new", "a/1.png": b"one"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_digest_changes_with_any_member(suffix: str, tmp_path: Path) -> None:
    path = write_archive(tmp_path, suffix, FILES)
    digest = listing_digest(listed(path))
    assert listing_digest(listed(path)) == digest
    path.unlink()
    write_archive(tmp_path, suffix, FILES | {"n10/3.png": FILES["n10/3.png"][:-1] + b"?"})
    assert listing_digest(listed(path)) != digest


def test_a_copy_of_a_zip_has_its_digest(tmp_path: Path) -> None:
    path = write_archive(tmp_path, ".zip", FILES)
    digest = listing_digest(listed(path))
    os.utime(path, (1, 1))
    assert listing_digest(listed(path)) == digest


def test_a_spool_holds_the_chosen_images_alone_and_leaves_nothing(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    make = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: written.append(make()) or written[-1])
    files = {f"a/{index}.png": bytes([index]) * 1000 for index in range(100)}
    items = listed(write_archive(tmp_path, ".tar.gz", files), max_sources=3)
    assert written == []  # listing keeps nothing
    kept = []
    for item in items:
        assert item.read() == files[item.image_id]
        kept += temporary.iterdir()
    assert kept == []
    assert len(written) == 1
    assert os.fstat(items[0].load.func.__self__._handle).st_size == 3000


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz"])
def test_streams_that_follow_each_other_are_one(suffix: str, tmp_path: Path) -> None:
    tar, pack = make_tar(FILES), PACKERS[suffix[4:]]
    padding = bytes(64) if suffix == ".tar.xz" else b""
    path = write(tmp_path / "a", pack(tar[:3000]) + padding + pack(tar[3000:]) + padding)
    assert {name: item.read() for name, item in usable(listed(path)).items()} == FILES


# What is refused


def test_a_missing_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^source.archive: there is no file {tmp_path / 'no.tar'}$"):
        listed(tmp_path / "no.tar")


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 2000, b"\x1f\x8b" + b"x" * 2000, b"(\xb5/\xfd" + bytes(600)])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", content)
    with pytest.raises(
        ValueError, match=rf"^source.archive: {path} is not a tar \(plain, gzip, bzip2 or xz\) or a zip$"
    ):
        listed(path)


@pytest.mark.parametrize("content", [make_tar({}), make_zip({}), make_tar({"0.png": b"of no class"})])
def test_an_archive_without_classes_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^source.archive: .*a has no class folders "):
        listed(write(tmp_path / "a", content))


def test_a_zip_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    content = make_zip(FILES)
    for length in (30, len(content) // 2, len(content) - 1):
        with pytest.raises(
            ValueError, match=r"^source.archive: .*a.zip is cut off or damaged: a zip's directory is at its end"
        ):
            listed(write(tmp_path / "a.zip", content[:length]))


# Members that are refused, each alone

UNSAFE = {
    "../a/climbs.png": "its path climbs out of the archive",
    "a/../../climbs.png": "its path climbs out of the archive",
    "a\\..\\..\\climbs.png": "its path climbs out of the archive",
    "/etc/absolute.png": "its path is absolute",
    "C:\\absolute.png": "its path is absolute",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_members_that_climb_out_are_refused_and_the_others_read(suffix: str, tmp_path: Path) -> None:
    items = listed(write_archive(tmp_path, suffix, dict.fromkeys(UNSAFE, b"harm") | FILES))
    assert faults(items) == UNSAFE
    assert {name: item.read() for name, item in usable(items).items()} == FILES
    for item in items:
        if item.fault:
            with pytest.raises(ImageError, match="its path "):
                item.read()


@pytest.mark.parametrize("suffix", SUFFIXES[:4])
def test_links_and_devices_are_refused_and_the_others_read(suffix: str, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", b"secret")
    special = [
        member("a/soft.png", kind=tarfile.SYMTYPE, target=str(secret)),
        member("a/hard.png", kind=tarfile.LNKTYPE, target="n01/0.png"),
        member("a/pipe", kind=tarfile.FIFOTYPE),
        member("a/device", kind=tarfile.CHRTYPE),
        member("a/unknown", kind=b"Z"),
    ]
    link = "is a link, which is not followed"
    items = listed(write(tmp_path / "a", PACKERS[suffix[4:]](make_tar(FILES, special))))
    assert faults(items) == {
        "a/soft.png": link,
        "a/hard.png": link,
        "a/pipe": "is a device",
        "a/device": "is a device",
        "a/unknown": "is not a plain file",
    }
    assert {name: item.read() for name, item in usable(items).items()} == FILES


def test_links_devices_and_what_cannot_be_read_in_a_zip_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, mode in (("a/soft.png", 0o120777), ("a/device", 0o020666), ("a/file.png", 0o100644)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, b"/etc/passwd")
        archive.writestr("a/packed.png", b"data", zipfile.ZIP_BZIP2)
        archive.writestr("a/secret.png", b"data")
        archive.getinfo("a/secret.png").flag_bits |= 1
    items = listed(write(tmp_path / "a.zip", buffer.getvalue()))
    assert faults(items) == {
        "a/soft.png": "is a link, which is not followed",
        "a/device": "is a device",
        "a/packed.png": "uses another compression than deflate",
        "a/secret.png": "is encrypted",
    }
    assert [item.read() for item in usable(items).values()] == [b"/etc/passwd"]


# Bombs


def peak_memory(work: Callable[[], object]) -> int:
    """Return the most bytes of Python's that some work needs at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_that_says_so_is_not_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", zip_bomb("a/bomb.png", 10 << 30, 10 << 30))
    assert path.stat().st_size < 20 << 20
    items: list[SourceItem] = []
    assert peak_memory(lambda: items.extend(listed(path))) < 10 << 20
    assert faults(items) == {"a/bomb.png": f"larger than {MAX_BYTES >> 20} MiB"}


def test_a_zip_member_that_unpacks_to_far_more_is_not_unpacked(tmp_path: Path) -> None:
    files = {"a/0.png": FILES["n01/0.png"], "a/padded.png": FILES["n01/0.png"] + bytes(80 << 20)}
    items = listed(write(tmp_path / "a.zip", make_zip(files)))
    assert faults(items) == {"a/padded.png": "unpacks to more than 200 times its size"}
    assert list(usable(items)) == ["a/0.png"]


def test_a_zip_bomb_that_lies_is_unpacked_no_further_than_it_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", zip_bomb("a/bomb.png", 10 << 30, 1 << 20))
    (item,) = listed(path)

    def read() -> None:
        with pytest.raises(ImageError, match=r"^damaged: it unpacks to more than the zip's directory says$"):
            item.read()

    assert peak_memory(read) < 40 << 20


def test_zip_members_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    content = bytearray(make_zip({"a/0.png": b"0" * 100, "a/1.png": b"1" * 100}, zipfile.ZIP_STORED))
    second = content.rindex(b"PK\1\2")
    size = (100 + 200).to_bytes(4, "little")
    first = content.index(b"PK\1\2")
    content[first + 20 : first + 28] = size * 2
    assert second > first
    items = usable(listed(write(tmp_path / "a.zip", bytes(content))))
    with pytest.raises(ImageError, match=r"^damaged: it overlaps the next member of the zip$"):
        items["a/0.png"].read()
    assert items["a/1.png"].read() == b"1" * 100


def test_a_bomb_in_a_packed_tar_ends_it(tmp_path: Path) -> None:
    """10 GiB of zeros behind an image; the stream is left when it has expanded beyond all reason."""
    before = make_tar({"a/0.png": FILES["n01/0.png"]}).rstrip(b"\0")
    before += bytes(-len(before) % 512) + member("a/bomb.png", 10 << 30).tobuf(tarfile.GNU_FORMAT)
    path = write(tmp_path / "a.tar.gz", PACKERS[".gz"](before) + packed_zeros(10 << 30))
    items: list[SourceItem] = []
    assert peak_memory(lambda: items.extend(named(path, ["a/0.png"]))) < 20 << 20
    assert faults(items) == {
        "a/bomb.png": "it expands to more than 200 times its size: what follows is not read",
    }
    assert [item.read() for item in usable(items).values()] == [FILES["n01/0.png"]]


def test_a_member_that_is_too_large_is_passed_over(tmp_path: Path) -> None:
    large = member("a/large.png", MAX_BYTES + 512).tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(large)
        file.seek(MAX_BYTES + 512, io.SEEK_CUR)  # a hole: it takes no space
        file.write(make_tar({"a/0.png": b"small"}))
    items = listed(path)
    assert faults(items) == {"a/large.png": f"larger than {MAX_BYTES >> 20} MiB"}
    assert [item.read() for item in usable(items).values()] == [b"small"]


def test_an_xz_that_asks_for_too_much_memory_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    content = bytearray(lzma.compress(make_tar(FILES), filters=filters))
    place = content.index(b"\x21\x01", 12) + 2  # the filter's id and the length of its property: the dictionary's size
    content[place] = 40  # 4 GiB - 1
    header = content[12 : 12 + (content[12] + 1) * 4]
    header[-4:] = zlib.crc32(header[:-4]).to_bytes(4, "little")
    content[12 : 12 + len(header)] = header
    with pytest.raises(ValueError, match="is not a tar"):
        listed(write(tmp_path / "a.tar.xz", bytes(content)))


# Tars that break


@pytest.mark.parametrize("suffix", SUFFIXES[:4])
def test_a_tar_is_read_up_to_where_it_breaks(suffix: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    files = {f"a/{index:02d}.png": random.bytes(40_000) for index in range(60)}
    content = PACKERS[suffix[4:]](make_tar(files))
    path = write(tmp_path / f"a{suffix}", content[: len(content) * 3 // 4])
    items = named(path, files)
    ((name, reason),) = faults(items).items()
    assert reason.startswith("the archive ends early")
    found = usable(items)
    assert 0 < len(found) < len(files)
    assert {name: item.read() for name, item in found.items()} == dict(list(files.items())[: len(found)])
    assert name == list(files)[len(found)] or reason == f"the archive ends early, after {list(files)[len(found) - 1]}"


@given(length=st.integers(512, len(make_tar(FILES)) - 1), suffix=st.sampled_from(list(PACKERS)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tar_that_ends_anywhere_gives_what_is_whole_and_says_where(length: int, suffix: str, tmp_path: Path) -> None:
    tar = make_tar(FILES)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        ends = {header.name: header.offset_data + header.size for header in archive}
    whole = {name for name, end in ends.items() if end <= length}
    path = write(tmp_path / "cut", PACKERS[suffix](tar[:length]))
    items = named(path, FILES)
    found = usable(items)
    assert {name: item.read() for name, item in found.items()} == {name: FILES[name] for name in whole}
    marked = -(-max(ends.values()) // 512) * 512 + 512  # where the block of zeros ends that says that it is complete
    assert len(faults(items)) == (length < marked)
    for reason in faults(items).values():
        with pytest.raises(SourceError, match=f"^source.archive: .* to its end, {re.escape(reason)}: fetch it again"):
            listed(path)


@pytest.mark.parametrize("suffix", SUFFIXES[:4])
def test_class_folders_label_nothing_where_some_may_be_missing(suffix: str, tmp_path: Path) -> None:
    """In a tar folders stand as a file system has them: those before a break are not the first ones by name."""
    whole = make_tar({"zebra/0.png": b"0", "cat/0.png": b"1", "ant/0.png": b"2"})
    path = write(tmp_path / f"a{suffix}", PACKERS[suffix[4:]](whole[: 4 * 512]))
    with pytest.raises(SourceError, match=r"cannot be read to its end, .*name the images and their labels in a manif"):
        listed(path)
    assert [item.read() for item in usable(named(path, ["zebra/0.png", "ant/0.png"])).values()] == [b"0"]


@pytest.mark.parametrize("suffix", SUFFIXES[:4])
@pytest.mark.parametrize("hole", [16 << 10, 3 << 20])
@pytest.mark.skipif(not GNU_TAR, reason="only GNU tar writes sparse members")
@pytest.mark.parametrize("version", ["gnu", "0.0", "0.1", "1.0"])
def test_a_sparse_member_costs_nothing_but_itself(hole: int, version: str, suffix: str, tmp_path: Path) -> None:
    content = PACKERS[suffix[4:]](sparse_tar(["a/0.png"], "b/holes.png", hole, ["b/1.png", "c/2.png"], version))
    items = listed(write(tmp_path / f"a{suffix}", content))
    assert faults(items) == {"b/holes.png": "is not a plain file"}
    assert {name: item.label for name, item in usable(items).items()} == {"a/0.png": 0, "b/1.png": 1, "c/2.png": 2}
    assert [item.read() for _, item in sorted(usable(items).items())] == [b"a/0.png", b"b/1.png", b"c/2.png"]


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_archive_never_does_worse_than_say_so(data: st.DataObject, tmp_path: Path) -> None:
    suffix = data.draw(st.sampled_from(["", ".gz", ".xz", ".bz2", ".zip"]))
    whole = make_zip(FILES) if suffix == ".zip" else PACKERS[suffix](make_tar(FILES))
    content = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        items = listed(write(tmp_path / "damaged", bytes(content)))
    except SourceError:
        return
    for item in items:
        try:
            item.read()
        except ImageError:
            continue


@pytest.mark.parametrize("size", [-512, -(1 << 40)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_member_of_negative_size_ends_the_tar(size: int, suffix: str, tmp_path: Path) -> None:
    header = bytearray(member("a/back.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (256**12 + size).to_bytes(13, "big")[1:]
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    before = make_tar({"a/0.png": b"good"}).rstrip(b"\0")
    before += bytes(-len(before) % 512)
    items = named(write(tmp_path / "a", PACKERS[suffix](before + bytes(header) + make_tar(FILES))), ["a/0.png"])
    reason = "the archive is damaged there: a member of negative size, after a/0.png"
    assert faults(items) == {"a": reason}
    assert [item.read() for item in usable(items).values()] == [b"good"]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_says_it_is_vast_is_not_read(kind: bytes, tmp_path: Path) -> None:
    before = make_tar({"a/0.png": b"good"}).rstrip(b"\0")
    before += bytes(-len(before) % 512) + member("a/vast", 10 << 30, kind).tobuf(tarfile.GNU_FORMAT)
    path = write(tmp_path / "a.tar.gz", PACKERS[".gz"](before) + packed_zeros(1 << 30))
    items: list[SourceItem] = []
    assert peak_memory(lambda: items.extend(named(path, ["a/0.png"]))) < 10 << 20
    assert faults(items) == {"a.tar.gz": "a header there is larger than 128 KiB, after a/0.png"}


def test_long_names_that_go_on_and_on_end_the_tar(tmp_path: Path) -> None:
    name = member("././@LongLink", 1, tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT) + b"a" + bytes(511)
    items = named(write(tmp_path / "a.tar", make_tar({"a/0.png": b"good"})[:1024] + name * 10_000), ["a/0.png"])
    assert faults(items) == {"a.tar": "a header there is larger than 128 KiB, after a/0.png"}


# On the way through the stage


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_download_reads_an_archive_and_records_its_faults(suffix: str, tmp_path: Path) -> None:
    files = images(count=20) | {"../climbs.png": b"harm", "n01/text.png": b"no image"}
    path = write_archive(tmp_path, suffix, files)
    splits = [{"calibration": 0.25, "train": 0.25, "validation": 0.25, "test": 0.25}]
    before = sorted(tmp_path.rglob("*"))
    source = {"kind": "archive", "archive": str(path), "licence": "CC BY 4.0"}
    summary = download(source, splits, 0, 2, tmp_path / "output" / "images")
    assert (summary["read"], summary["accepted"], summary["rejected"]) == (62, 60, 2)
    rejected = pq.read_table(tmp_path / "output" / "images" / "rejected.parquet").to_pylist()
    assert {row["path"]: row["reason"].partition(" (")[0] for row in rejected} == {
        "../climbs.png": "its path climbs out of the archive",
        "n01/text.png": "not an image in a known format",
    }
    stored = {
        row["image_id"]: row["image"]["bytes"]
        for table in (tmp_path / "output" / "images").glob("images-*.parquet")
        for row in pq.read_table(table).to_pylist()
    }
    assert stored == {name: content for name, content in files.items() if name in images(count=20)}
    assert [path for path in sorted(tmp_path.rglob("*")) if tmp_path / "output" not in (path, *path.parents)] == before
