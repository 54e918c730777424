"""Weight files: found or fetched, and verified before anything is read from them."""

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any
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


def _fetch(name: str, key: str, uri: str, sha256: str) -> Path:
    """Fetch a file into the cache, where it is named after its checksum, unless it is there."""
    import fsspec

    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "metrifier"
    path = cache / f"{sha256}-{PurePosixPath(urlsplit(uri).path).name}"
    if path.is_file() and path_sha256(path) == sha256:
        return path
    cache.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    say(f"{name}: fetching {uri}")
    try:
        try:
            with fsspec.open(uri, "rb") as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
        except Exception as error:  # each protocol has its own
            raise ValueError(f"workers.catalogue.{name}.{key}: cannot fetch {uri}: {error}") from error
        _check(name, temporary, sha256, uri)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _check(name: str, path: Path, sha256: str, location: str) -> None:
    actual = path_sha256(path)
    if actual != sha256:
        raise ValueError(f"workers.catalogue.{name}.sha256: {location} has {actual}, expected {sha256}")


def find_location(spec: WorkerSpec) -> str:
    """Return where an entry's weights are: a path, a URI, `imagenet`, or "trained on the source"."""
    match spec:
        case MiniatureSpec():
            return "trained on the source"
        case ExportedSpec():
            return spec.file
        case _:
            return spec.weights


def find_weights(name: str, spec: PretrainedSpec) -> Path | None:
    """Find a worker's weights, fetching them if need be, and verify their checksum.

    Args:
        name: Worker's name, for messages.
        spec: Its catalogue entry.

    Returns:
        The verified file, or the folder of a SavedModel; None for weights that Keras downloads and checks itself.

    Raises:
        ValueError: The weights are missing, or their checksum is not the catalogue's.
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
    """Copy weights into a folder beside the worker's card, so that a pod needs nothing else, and return the copy."""
    if weights.is_dir():
        return Path(shutil.copytree(weights, folder / name, dirs_exist_ok=True))
    # Keras recognises weight files by both suffixes.
    suffix = ".weights.h5" if weights.name.endswith(".weights.h5") else weights.suffix
    return Path(shutil.copyfile(weights, folder / f"{name}{suffix}"))


def load_keras_weights(model: Any, path: Path, network: str) -> Any:
    """Load a file of weights into a Keras model of the named network, and return the model.

    Raises:
        ValueError: The file does not hold that network's weights.
    """
    try:
        model.load_weights(path)
    except Exception as error:
        raise ValueError(f"{path} does not hold the weights of {network}: {str(error).splitlines()[0]}") from error
    return model
