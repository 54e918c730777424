"""Trains on two devices made of one processor, is killed, and goes on; prints the curves as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)

from metrifier_core.architectures import registry  # noqa: E402
from metrifier_core.execution.determinism import start_training  # noqa: E402
from metrifier_core.training import MetrifierSettings, fitting  # noqa: E402
from tests.helpers.tiny_network import TINY  # noqa: E402
from tests.helpers.training_sets import open_training_set  # noqa: E402

folder = Path(sys.argv[1])
dataset = open_training_set(folder)
registry._REGISTRY["tiny"] = TINY
settings = MetrifierSettings(architecture="tiny", crop=32, batch_size=12, epochs=2, learning_rate=0.01)
fitting._distribution = lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
fitting._BATCHES_A_CHECKPOINT = 4
save, saved = fitting._Training.save, []


def save_and_be_killed(training: Any, path: Path) -> None:
    save(training, path)
    saved.append(path)
    if len(saved) == 2:
        raise KeyboardInterrupt


fitting._Training.save = save_and_be_killed  # type: ignore[method-assign]
start_training(0)
try:
    fitting.fit_network(dataset, settings, 0, folder)
except KeyboardInterrupt:
    sys.stderr.write(f"killed after {len(saved)} checkpoints\n")
fitted = fitting.fit_network(dataset, settings, 0, folder)
(folder / fitting.CHECKPOINT).unlink()
fitting._Training.save = save  # type: ignore[method-assign]
# In bfloat16, since several devices share a batch.
reduced = fitting.fit_network(dataset, settings.model_copy(update={"mixed_precision": True, "epochs": 1}), 0, folder)
sys.stdout.write(json.dumps({"curves": fitted.curves, "reduced": reduced.curves}) + "\n")
