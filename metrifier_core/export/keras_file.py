"""A network as a .keras file; equal weights give equal bytes."""

import json
import zipfile
from pathlib import Path
from typing import Any

_NO_DATE = (1980, 1, 1, 0, 0, 0)


def _renumber(config: Any, numbers: dict[int, int]) -> Any:
    """Replace the memory addresses that identify shared objects in a config by numbers in order of appearance."""
    if isinstance(config, list):
        return [_renumber(value, numbers) for value in config]
    if isinstance(config, dict):
        return {
            key: numbers.setdefault(value, len(numbers)) if key == "shared_object_id" else _renumber(value, numbers)
            for key, value in config.items()
        }
    return config


def export_keras(network: Any, path: Path) -> None:
    """Write a built Keras model as a .keras file without times and memory addresses.

    Equal weights and layer names give equal bytes.
    """
    network.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    del metadata["date_saved"]
    members["metadata.json"] = json.dumps(metadata).encode()
    members["config.json"] = json.dumps(_renumber(json.loads(members["config.json"]), {})).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_DATE), data)
