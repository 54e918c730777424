"""Paths of this machine in a config, which pods do not see, nor containers unless they are mounted."""

import os
from collections.abc import Iterator, Mapping
from glob import has_magic
from pathlib import Path
from typing import Any

from metrifier_core.config.run import RunConfig
from metrifier_core.sources import local_path

_SECTIONS = ("source", "workers", "metrifier")
_TEXTS = ("licence", "source")  # of a worker, for its card
_CREDENTIALS = ("GOOGLE_APPLICATION_CREDENTIALS", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")


def named_paths(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield the key and the value of each absolute path and `file:` URL in a config; a loaded config has no others."""
    for section in _SECTIONS:
        yield from _walk(getattr(config, section).model_dump(mode="json"), section)


def _walk(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not (key.startswith("workers.") and name in _TEXTS):
                yield from _walk(item, f"{key}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, key)
    elif isinstance(value, str) and value.startswith(("/", "file:")):
        yield key, value


def folders_to_mount(config: RunConfig) -> tuple[Path, ...]:
    """Return the files and folders that a container reads: those of the config, without duplicates, and of credentials.

    A pattern gives the folder above it.
    """
    paths = [path for _, value in named_paths(config) if (path := local_path(value)) is not None]
    paths += [Path(os.environ[variable]) for variable in _CREDENTIALS if os.environ.get(variable)]
    plain = [next(part for part in (path, *path.parents) if not has_magic(str(part))) for path in paths]
    return tuple(dict.fromkeys(path.absolute() for path in plain if path.exists()))
