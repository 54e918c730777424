"""Archives of images: ordinary ones and malicious ones."""

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from metrifier_core.images import encode_png
from tests.helpers.bad_images import picture

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def images(classes: Iterable[str] = ("n02", "n01", "n10"), count: int = 4) -> dict[str, bytes]:
    """Return files of a few classes by path, each image of another width."""
    names = [f"{name}/{index}.png" for name in classes for index in range(count)]
    return {name: encode_png(picture(8, 8 + index)) for index, name in enumerate(names)}


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return a header of a tar."""
    header = tarfile.TarInfo(name)
    header.size, header.type, header.linkname = size, kind, target
    return header


def make_tar(files: Mapping[str, bytes], extra: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """Return a plain tar of files, after members without bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for header in extra:
            tar.addfile(header)
        for name, content in files.items():
            tar.addfile(member(name, len(content)), io.BytesIO(content))
    return buffer.getvalue()


def sparse_tar(before: Iterable[str], sparse: str, hole: int, after: Iterable[str], version: str) -> bytes:
    """Return GNU tar's archive of files that hold their own names, and of one that begins with a hole."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in (*before, *after):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(name)
        (root / sparse).parent.mkdir(exist_ok=True)
        with (root / sparse).open("wb") as file:
            file.seek(hole)
            file.write(b"end")
        form = ["--format=gnu"] if version == "gnu" else ["--format=pax", f"--sparse-version={version}"]
        command = ["tar", "--create", "--sparse", *form, "--file=-", *before, sparse, *after]
        return subprocess.run(command, cwd=root, check=True, capture_output=True).stdout


def make_zip(files: Mapping[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def write_folders(root: Path) -> Path:
    """Write `images()`, an empty class, and what file systems and archivers leave behind."""
    leftovers = dict.fromkeys(("__MACOSX/n01/0.png", ".cache/0.png", "lost+found/0", "n00/.gitkeep"), b"")
    for name, content in {**images(), **leftovers}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "empty").mkdir()
    return root


def write_archive(folder: Path, suffix: str, files: Mapping[str, bytes]) -> Path:
    """Write an archive of the kind that its suffix names."""
    path = folder / f"images{suffix}"
    content = make_zip(files) if suffix == ".zip" else PACKERS[suffix.removeprefix(".tar")](make_tar(files))
    path.write_bytes(content)
    return path


def packed_zeros(size: int) -> bytes:
    """Return `size` zeros, a multiple of 16 MiB, as gzip, without holding them in memory."""
    mebibyte = 1 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    once = packer.compress(bytes(16 * mebibyte)) + packer.flush(zlib.Z_FULL_FLUSH)
    times, left = divmod(size, 16 * mebibyte)
    assert left == 0
    checksum = 0
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + once * times + b"\x03\0" + struct.pack("<LL", checksum, size & 0xFFFFFFFF)


def zip_bomb(name: str, size: int, claimed: int) -> bytes:
    """Return a zip with one member of `size` zeros, whose directory claims `claimed` bytes."""
    packed = packed_zeros(size)[10:-8]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, packed)
        entry = archive.getinfo(name)
        entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, claimed
    return buffer.getvalue()
