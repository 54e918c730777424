"""How long a training step takes of every network, with oneDNN and without it, which TensorFlow takes when it starts.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --architectures nano --steps 20

Each is timed in a process of its own, one after the other, over and over; the ratio is that of the medians. Weights
and images are random, everything learns, and a step sees 64 views of 224 pixels, as by default.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from metrifier_core.architectures import create_network, list_architectures

VIEWS, SIDE, CLASSES = 64, 224, 1000
WITHOUT, WITH = "0", "1"


def _time_steps(architecture: str, steps: int) -> list[float]:
    """Times training steps in this process, the first one left out."""
    import keras

    from metrifier_core.execution.determinism import start_training

    start_training(0)
    network = (
        create_network(architecture, CLASSES) if architecture.startswith("multitap") else create_network(architecture)
    )
    network.compile(keras.optimizers.AdamW(1e-3), "binary_crossentropy")
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (VIEWS, SIDE, SIDE, 3), np.uint8)
    quality = rng.random((VIEWS, 1), np.float32)
    taken = []
    for _ in range(1 + steps):
        begun = time.perf_counter()
        network.train_on_batch(views, quality)
        taken.append(time.perf_counter() - begun)
    return taken[1:]


def _time_apart(architecture: str, steps: int, onednn: str) -> list[float]:
    """Times training steps in a process with oneDNN or without it."""
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn, "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, __file__, "--steps", str(steps), "--time", architecture]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    taken: list[float] = json.loads(done.stdout.splitlines()[-1])
    return taken


def main() -> None:
    """Prints seconds a step, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=list_architectures(), choices=list_architectures())
    parser.add_argument("--steps", type=int, default=5, help="timed in each process")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each kind")
    parser.add_argument("--time", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.time:
        print(json.dumps(_time_steps(given.time, given.steps)))
        return
    print(f"{os.cpu_count()} cores\n\n| network | without oneDNN | with it | over |\n| --- | ---: | ---: | ---: |")
    for architecture in given.architectures:
        taken: dict[str, list[float]] = {WITHOUT: [], WITH: []}
        for _ in range(given.rounds):
            for onednn in taken:
                taken[onednn] += _time_apart(architecture, given.steps, onednn)
        without, with_it = (statistics.median(seconds) for seconds in taken.values())
        print(f"| `{architecture}` | {without:.2f} s | {with_it:.2f} s | {with_it / without:.2f} |", flush=True)


if __name__ == "__main__":
    main()
