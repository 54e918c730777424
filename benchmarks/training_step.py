"""Time of a training step of every network, with and without oneDNN, which TensorFlow selects when it starts.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --architectures nano --steps 20

Each is timed in its own process, in turns; the ratio is that of the medians. Weights and images are random, all layers
learn, and a step has 64 views of 224 pixels, the default.
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

VIEWS, SIDE = 64, 224
WITHOUT, WITH = "0", "1"


def _time_steps(architecture: str, steps: int) -> list[float]:
    """Time training steps in this process, without the first one."""
    import keras

    from metrifier_core.execution.determinism import start_training

    start_training(0)
    network = create_network(architecture)
    network.compile(keras.optimizers.AdamW(1e-3), "binary_crossentropy")
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (VIEWS, SIDE, SIDE, 3), np.uint8)
    quality = rng.random((VIEWS, 1), np.float32)
    taken = []
    for _ in range(1 + steps):
        start = time.perf_counter()
        network.train_on_batch(views, quality)
        taken.append(time.perf_counter() - start)
    return taken[1:]


def _time_apart(architecture: str, steps: int, onednn: str) -> list[float]:
    """Time training steps in a process with or without oneDNN."""
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn, "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, __file__, "--steps", str(steps), "--time", architecture]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    taken: list[float] = json.loads(done.stdout.splitlines()[-1])
    return taken


def main() -> None:
    """Print seconds per step, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=list_architectures(), choices=list_architectures())
    parser.add_argument("--steps", type=int, default=5, help="timed in each process")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each kind")
    parser.add_argument("--time", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.time:
        print(json.dumps(_time_steps(arguments.time, arguments.steps)))
        return
    print(f"{os.cpu_count()} cores\n\n| network | without oneDNN | with it | over |\n| --- | ---: | ---: | ---: |")
    for architecture in arguments.architectures:
        seconds: dict[str, list[float]] = {WITHOUT: [], WITH: []}
        for _ in range(arguments.rounds):
            for onednn in seconds:
                seconds[onednn] += _time_apart(architecture, arguments.steps, onednn)
        without, with_it = (statistics.median(times) for times in seconds.values())
        print(f"| `{architecture}` | {without:.2f} s | {with_it:.2f} s | {with_it / without:.2f} |", flush=True)


if __name__ == "__main__":
    main()
