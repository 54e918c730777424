"""From where a killed training goes on: arrays and a few numbers in one file, written whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = Sequence[NDArray[np.generic]]
"""Variables of a network or an optimizer, in their own order."""


@dataclass
class Position:
    """How far a training is.

    Attributes:
        epoch: The running one, from 1.
        batches: How many of its batches are done.
        loss: Sum over these batches.
        curves: A mapping an epoch that is through.
        best_epoch: That of the best validation Spearman; 0 before the first.
        best_spearman: It.
    """

    epoch: int = 1
    batches: int = 0
    loss: float = 0.0
    curves: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_spearman: float = -1.0


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a training is at one moment.

    Attributes:
        position: How far it is.
        network: Every variable, those of dropout's generators too.
        optimizer: Every variable.
        best: The weights of the best epoch; none before the first.
    """

    position: Position
    network: Arrays
    optimizer: Arrays
    best: Arrays


_PARTS = ("network", "optimizer", "best")


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replaces a checkpoint in one step."""
    from safetensors.numpy import save_file

    arrays = {
        f"{part}/{index}": np.asarray(array, order="C")
        for part in _PARTS
        for index, array in enumerate(getattr(checkpoint, part))
    }
    temporary = path.with_name(f"{path.name}.partial")
    save_file(arrays, temporary, {"position": json.dumps(asdict(checkpoint.position))})
    temporary.replace(path)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Reads a checkpoint; None where there is none."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(path, "numpy") as file:
        position = Position(**json.loads(file.metadata()["position"]))
        arrays: Mapping[str, NDArray[np.generic]] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    parts = {
        part: [arrays[name] for name in sorted(arrays, key=_number) if name.startswith(f"{part}/")] for part in _PARTS
    }
    return Checkpoint(position, **parts)


def _number(name: str) -> int:
    return int(name.rpartition("/")[2])
