"""What a config names on this machine: pods do not see it, and containers of this machine only what is mounted."""

import os
from collections.abc import Iterator, Mapping
from glob import has_magic
from pathlib import Path
from typing import Any

from metrifier_core.config.run import RunConfig
from metrifier_core.sources import local_path

_SECTIONS = ("source", "workers", "metrifier")
_WORDS_ALONE = ("licence", "source")  # of a worker: what its card says of it
_CREDENTIALS = ("GOOGLE_APPLICATION_CREDENTIALS", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")


def named_paths(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Finds the paths and `file:` URLs of a config.

    Args:
        config: A loaded config has its paths absolute.

    Yields:
        A key and what stands there.
    """
    for section in _SECTIONS:
        yield from _below(getattr(config, section).model_dump(mode="json"), section)


def _below(values: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping):
        for name, value in values.items():
            if not (key.startswith("workers.") and name in _WORDS_ALONE):
                yield from _below(value, f"{key}.{name}")
    elif isinstance(values, list):
        for value in values:
            yield from _below(value, key)
    elif isinstance(values, str) and values.startswith(("/", "file:")):
        yield key, values


def folders_to_mount(config: RunConfig) -> tuple[Path, ...]:
    """Finds the files and folders that a container has to see: the config's, and those of credentials.

    Returns:
        Each once; of a pattern, the folder above it.
    """
    named = [path for _, value in named_paths(config) if (path := local_path(value)) is not None]
    named += [Path(os.environ[variable]) for variable in _CREDENTIALS if os.environ.get(variable)]
    plain = [next(each for each in (path, *path.parents) if not has_magic(str(each))) for path in named]
    return tuple(dict.fromkeys(path.absolute() for path in plain if path.exists()))
