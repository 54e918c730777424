"""Checkpoints, from which a killed training resumes: arrays and a few numbers in one file, written atomically."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = Sequence[NDArray[np.generic]]
"""Variables of a network or an optimizer, in its order."""


@dataclass
class Position:
    """The progress of a training: current epoch, its finished batches and their summed loss, metrics of past epochs."""

    epoch: int = 1
    batches: int = 0
    loss: float = 0.0
    curves: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0  # none yet
    best_spearman: float = -1.0


@dataclass(frozen=True)
class Checkpoint:
    """The whole state of a training.

    Attributes:
        position: Progress.
        network: All variables of the network, including dropout's generators.
        optimizer: All variables of the optimizer.
        best: Weights of the best epoch; none before the first.
    """

    position: Position
    network: Arrays
    optimizer: Arrays
    best: Arrays


_PARTS = ("network", "optimizer", "best")


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write or replace a checkpoint atomically."""
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
    """Read a checkpoint; return None if there is none."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(path, "numpy") as file:
        position = Position(**json.loads(file.metadata()["position"]))
        counts = Counter(name.partition("/")[0] for name in file.keys())  # noqa: SIM118
        parts = {part: [file.get_tensor(f"{part}/{index}") for index in range(counts[part])] for part in _PARTS}
    return Checkpoint(position, **parts)
