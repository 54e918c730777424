"""A network as Keras saves it, to go on with; the same weights give the same bytes."""

import json
import zipfile
from pathlib import Path
from typing import Any

_NO_DATE = (1980, 1, 1, 0, 0, 0)


def _renumber(config: Any, numbers: dict[int, int]) -> Any:
    """Replaces the memory addresses by which a config names shared objects with numbers in order of appearance."""
    if isinstance(config, list):
        return [_renumber(value, numbers) for value in config]
    if isinstance(config, dict):
        return {
            key: numbers.setdefault(value, len(numbers)) if key == "shared_object_id" else _renumber(value, numbers)
            for key, value in config.items()
        }
    return config


def _undate(path: Path) -> None:
    """Rewrites a .keras archive without the times and memory addresses in it: its checksum speaks of its content."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    del metadata["date_saved"]
    members["metadata.json"] = json.dumps(metadata).encode()
    members["config.json"] = json.dumps(_renumber(json.loads(members["config.json"]), {})).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_DATE), data)


def export_keras(network: Any, path: Path) -> None:
    """Writes a built Keras model as a .keras file; equal weights and names of layers give equal bytes."""
    network.save(path)
    _undate(path)
