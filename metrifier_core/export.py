"""A trained network on disk: Keras to go on with, ONNX to score with. The same weights give the same bytes."""

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

__all__ = ["export_network", "export_onnx"]

_NO_DATE = (1980, 1, 1, 0, 0, 0)


def _undate(path: Path) -> None:
    """Rewrites a .keras archive without the time it was saved at, so that its checksum speaks of its content."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    del metadata["date_saved"]
    members["metadata.json"] = json.dumps(metadata).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_DATE), data)


def export_onnx(network: Any, path: Path) -> None:
    """Writes a built Keras model as ONNX."""
    with warnings.catch_warnings():
        # The converter still probes for numpy aliases that are gone.
        warnings.simplefilter("ignore", FutureWarning)
        network.export(path, format="onnx", verbose=False)


def export_network(network: Any, folder: Path) -> list[Path]:
    """Writes a network as `metrifier.keras` and `metrifier.onnx`.

    Args:
        network: A built Keras model.
        folder: Where the files go.

    Returns:
        The files.
    """
    keras_file, onnx_file = folder / "metrifier.keras", folder / "metrifier.onnx"
    network.save(keras_file)
    _undate(keras_file)
    export_onnx(network, onnx_file)
    return [keras_file, onnx_file]
