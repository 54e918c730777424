"""Weight files: found or fetched, and verified before anything is read from them."""

import os
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from metrifier_core.execution.checksums import path_sha256
from metrifier_core.execution.progress import say
from metrifier_core.settings.base import is_uri
from metrifier_core.workers.catalogue import (
    IMAGENET,
    AlexNetSpec,
    ApplicationSpec,
    ExportedSpec,
    MiniatureSpec,
    WorkerSpec,
)

PretrainedSpec = ApplicationSpec | AlexNetSpec | ExportedSpec


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "metrifier"


def _fetch(name: str, key: str, uri: str, sha256: str) -> Path:
    """Fetches a file that is not in the cache yet, where it is named after its checksum."""
    import fsspec

    path = _cache() / f"{sha256}-{PurePosixPath(urlsplit(uri).path).name}"
    if path.is_file() and path_sha256(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    say(f"{name}: fetching {uri}")
    try:
        try:
            with fsspec.open(uri, "rb") as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
        except Exception as error:  # each protocol has its own
            raise ValueError(f"workers.catalogue.{name}.{key}: {uri} cannot be fetched: {error}") from error
        _check(name, temporary, sha256, uri)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _check(name: str, path: Path, sha256: str, location: str) -> None:
    found = path_sha256(path)
    if found != sha256:
        raise ValueError(f"workers.catalogue.{name}.sha256: {location} has {found}, the catalogue says {sha256}")


def find_location(spec: WorkerSpec) -> str:
    """Says where an entry's weights are: a path, a URI, `imagenet`, or that they are trained."""
    match spec:
        case MiniatureSpec():
            return "trained on the source"
        case ExportedSpec():
            return spec.file
        case _:
            return spec.weights


def find_weights(name: str, spec: PretrainedSpec) -> Path | None:
    """Finds a worker's weights, fetching them if need be, and verifies them.

    Args:
        name: The worker's name, for messages.
        spec: Its catalogue entry.

    Returns:
        The verified file, or the folder of a SavedModel; None for those that Keras downloads and checks itself.

    Raises:
        ValueError: They are missing, or are not those that the catalogue describes.
    """
    key = "file" if isinstance(spec, ExportedSpec) else "weights"
    location = find_location(spec)
    if location == IMAGENET or spec.sha256 is None:
        return None
    if is_uri(location):
        return _fetch(name, key, location, spec.sha256)
    path = Path(location)
    folder = spec.format == "saved_model"
    if not (path.is_dir() if folder else path.is_file()):
        raise ValueError(f"workers.catalogue.{name}.{key}: there is no {'folder' if folder else 'file'} {path}")
    _check(name, path, spec.sha256, str(path))
    return path


def copy_weights(name: str, weights: Path, folder: Path) -> Path:
    """Copies weights next to a worker's card, so that a pod needs nothing else.

    Returns:
        The copy.
    """
    if weights.is_dir():
        shutil.copytree(weights, folder / name, dirs_exist_ok=True)
        return folder / name
    # Keras tells its files of weights by both suffixes.
    suffix = ".weights.h5" if weights.name.endswith(".weights.h5") else weights.suffix
    path = folder / f"{name}{suffix}"
    shutil.copyfile(weights, path)
    return path
