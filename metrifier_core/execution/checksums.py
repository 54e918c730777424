"""Checksums of files and folders."""

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal digits, in constant memory."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def path_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's list of files with their checksums.

    A folder's is the output of `find -L . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum` in it.
    """
    if path.is_file():
        return file_sha256(path)
    names = sorted((file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()), key=str.encode)
    listing = "".join(f"{file_sha256(path / name)}  ./{name}\n" for name in names)
    return hashlib.sha256(listing.encode()).hexdigest()
