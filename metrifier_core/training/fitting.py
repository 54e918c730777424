"""The training of a network: epochs of batches, regular checkpoints, and the weights of the best epoch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from metrifier_core.architectures import assign_kernels, check_backbone, create_network, read_kernels
from metrifier_core.architectures.head import EMBEDDING, SCORE_LOGIT, TRUNK
from metrifier_core.architectures.pretrained import Kernel
from metrifier_core.data.dataset import QualityDataset
from metrifier_core.execution.progress import progress, say
from metrifier_core.training.batches import Batch, training_batches
from metrifier_core.training.checkpoint import Arrays, Checkpoint, Position, read_checkpoint, write_checkpoint
from metrifier_core.training.scoring import score_split
from metrifier_core.training.settings import MetrifierSettings
from metrifier_core.workers import ExportedSpec

CHECKPOINT = "checkpoint.safetensors"
"""The file from which a killed training resumes."""
_BATCHES_A_CHECKPOINT = 100
_WARM_UP = 100  # batches in which the learning rate rises, but at most a tenth of all
_WEIGHT_DECAY = 1e-4
_REMEDY = "lower metrifier.learning_rate, or metrifier.backbone_learning_rate where it has a backbone"


@dataclass(frozen=True)
class FittedNetwork:
    """The result of a training.

    Attributes:
        network: Keras model from images to scores, with the weights of the best epoch, in float32.
        curves: Metrics of each epoch: epoch, loss, validation_loss, validation_spearman.
        best_epoch: Best epoch, from 1.
        validation_spearman: Validation Spearman of that epoch.
    """

    network: Any
    curves: list[dict[str, float]]
    best_epoch: int
    validation_spearman: float


@dataclass(frozen=True)
class _Phase:
    """Epochs that share an optimizer and its schedule."""

    first: int
    last: int
    frozen: bool
    learning_rate: float


def _phases(settings: MetrifierSettings) -> list[_Phase]:
    if settings.backbone is None:
        return [_Phase(1, settings.epochs, frozen=False, learning_rate=settings.learning_rate)]
    frozen, total = settings.frozen_epochs, settings.frozen_epochs + settings.epochs
    phases = [
        _Phase(1, frozen, frozen=True, learning_rate=settings.learning_rate),
        _Phase(frozen + 1, total, frozen=False, learning_rate=settings.backbone_learning_rate),
    ]
    return [phase for phase in phases if phase.first <= phase.last]


def _distribution() -> AbstractContextManager[Any]:
    """Return the scope in which variables are created on every GPU, if there are several."""
    import tensorflow as tf

    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy().scope()  # type: ignore[no-any-return]
    return nullcontext()


def _reduced_precision() -> str:
    """Return the Keras dtype policy of 16 bits."""
    import tensorflow as tf

    # Keras lowers the loss scale that float16 needs only where the first of several devices overflows.
    return "mixed_bfloat16" if tf.distribute.has_strategy() else "mixed_float16"


class _Training:
    """A network in training, with its progress."""

    def __init__(
        self, settings: MetrifierSettings, dataset: QualityDataset, seed: int, kernels: Sequence[Kernel]
    ) -> None:
        import keras

        self.settings = settings
        self.dataset = dataset
        self.seed = seed
        self.position = Position()
        self.best: Arrays = []
        self.batch_size = min(settings.batch_size, dataset.count("train"))
        self.batches = dataset.count("train") // self.batch_size
        if settings.mixed_precision:
            keras.config.set_dtype_policy(_reduced_precision())
        self.network = _build(settings, kernels)
        heads = keras.layers.Dense(dataset.workers, dtype="float32")(self.network.get_layer(EMBEDDING).output)
        logits = keras.layers.Concatenate(dtype="float32")([self.network.get_layer(SCORE_LOGIT).output, heads])
        self.learner = keras.Model(self.network.inputs, logits)

    def begin(self, phase: _Phase) -> None:
        """Compile the network with the optimizer of a phase."""
        import keras

        from metrifier_core.training.objective import MetrifierLoss

        for layer in self.network.layers:
            if layer.name.startswith(TRUNK):
                layer.trainable = not phase.frozen
        steps = (phase.last - phase.first + 1) * self.batches
        warm_up = min(_WARM_UP, steps // 10)
        schedule = keras.optimizers.schedules.CosineDecay(
            phase.learning_rate / 10, steps - warm_up, warmup_target=phase.learning_rate, warmup_steps=warm_up
        )
        loss = MetrifierLoss(self.settings.ranking_weight, self.settings.worker_weight)
        self.learner.compile(keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY), loss)
        self.learner.optimizer.build(self.learner.trainable_variables)

    def learn_epoch(self, checkpoint: Path) -> None:
        """Train on the rest of the epoch's batches, with regular checkpoints."""
        import keras
        import tensorflow as tf

        position, done = self.position, self.position.batches
        left = self.batches - done
        bar = iter(progress(range(left), f"train epoch {position.epoch}", total=left, unit="batch"))

        # Restartable: with several devices, Keras looks at the first batch beforehand.
        def batches() -> Iterator[Batch]:
            drawn = training_batches(
                self.dataset,
                size=self.batch_size,
                crop=self.settings.crop,
                flip=self.settings.flip,
                rng=np.random.default_rng([self.seed, position.epoch]),
                skip=done,
            )
            return islice(drawn, left)

        def end_batch(step: int, logs: Mapping[str, float]) -> None:
            next(bar)
            taken = done + step + 1 - position.batches
            if taken == _BATCHES_A_CHECKPOINT or step + 1 == left:
                position.batches += taken
                position.loss += float(logs["loss"]) * taken
                # Restart the mean, so that a resumed training has the same sum.
                self.learner.reset_metrics()
                self.save(checkpoint)

        crop, workers = self.settings.crop, self.dataset.workers
        signature = (
            tf.TensorSpec((self.batch_size, crop, crop, 3), tf.uint8),
            tf.TensorSpec((self.batch_size, 2 + workers), tf.float32),
        )
        data = tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)
        callback = keras.callbacks.LambdaCallback(on_train_batch_end=end_batch)
        self.learner.fit(data, steps_per_epoch=left, shuffle=False, verbose=0, callbacks=[callback])
        next(bar, None)

    def end_epoch(self) -> None:
        """Validate the network, and keep its weights if they are the best."""
        position = self.position
        loss = position.loss / self.batches
        if not math.isfinite(loss):
            raise ValueError(f"training diverged: the loss of epoch {position.epoch} is {loss}; {_REMEDY}")
        scored = score_split(
            self.network, self.dataset, "validation", crop=self.settings.crop, batch_size=self.batch_size
        )
        epoch, validation_loss, spearman = position.epoch, scored.cross_entropy, scored.spearman
        metrics = {"epoch": epoch, "loss": loss, "validation_loss": validation_loss, "validation_spearman": spearman}
        position.curves.append(metrics)
        say(f"train epoch {epoch}: loss {loss:.4f}, validation loss {validation_loss:.4f}, Spearman {spearman:.4f}")
        if spearman > position.best_spearman:
            position.best_epoch, position.best_spearman = epoch, spearman
            self.best = self.network.get_weights()
        position.epoch, position.batches, position.loss = epoch + 1, 0, 0.0

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        network = [variable.numpy() for variable in self.learner.variables]
        optimizer = [variable.numpy() for variable in self.learner.optimizer.variables]
        write_checkpoint(path, Checkpoint(self.position, network, optimizer, self.best))

    def restore(self, checkpoint: Checkpoint, phase: _Phase) -> None:
        """Resume from a checkpoint."""
        self.position, self.best = checkpoint.position, checkpoint.best
        for variable, array in zip(self.learner.variables, checkpoint.network, strict=True):
            variable.assign(array)
        # At the beginning of a phase, the checkpoint has the optimizer of the phase before.
        if self.position.epoch > phase.first or self.position.batches:
            for variable, array in zip(self.learner.optimizer.variables, checkpoint.optimizer, strict=True):
                variable.assign(array)


def _build(settings: MetrifierSettings, kernels: Sequence[Kernel]) -> Any:
    if not kernels:
        return create_network(settings.architecture)
    network = create_network(settings.architecture, len(kernels[-1].bias))
    assign_kernels(network, kernels)
    return network


def fit_network(dataset: QualityDataset, settings: MetrifierSettings, seed: int, folder: Path) -> FittedNetwork:
    """Train a network until validation Spearman stops rising.

    Args:
        dataset: Versions and their quality, of the splits train and validation.
        settings: Settings of the network and its training.
        seed: Seed of the order of versions and their views; Keras' own seed must be set.
        folder: Folder of the checkpoint, from which a killed training resumes. The checkpoint stays there, as the steps
            after the training may be killed, too.

    Raises:
        ValueError: Training diverged, or the backbone's weights cannot be used.
    """
    import keras

    kernels = read_kernels(settings.backbone) if settings.backbone else []
    if isinstance(settings.backbone, ExportedSpec):
        check_backbone(_build(settings, kernels), settings.backbone)
    checkpoint_file = folder / CHECKPOINT
    checkpoint = read_checkpoint(checkpoint_file)
    with _distribution():
        training = _Training(settings, dataset, seed, kernels)
        first = checkpoint.position.epoch if checkpoint else 1
        for phase in _phases(settings):
            if phase.last < first:
                continue
            training.begin(phase)
            if checkpoint:
                training.restore(checkpoint, phase)
                say(f"train epoch {training.position.epoch}: resumes after {training.position.batches} batches")
                checkpoint = None
            _run(training, phase, checkpoint_file)
        if checkpoint:
            # Killed after the last epoch.
            training.position, training.best = checkpoint.position, checkpoint.best
    position = training.position
    if not position.best_epoch:
        raise ValueError(f"training diverged: no epoch has a validation Spearman; {_REMEDY}")
    keras.config.set_dtype_policy("float32")
    network = _build(settings, kernels)
    network.set_weights(training.best)
    return FittedNetwork(network, position.curves, position.best_epoch, position.best_spearman)


def _is_over(training: _Training, phase: _Phase) -> bool:
    """Return whether `patience` epochs brought no better one; those with a frozen backbone do not count."""
    best, done = training.position.best_epoch, training.position.epoch - 1
    return bool(best) and not phase.frozen and done - max(best, phase.first - 1) >= training.settings.patience


def _run(training: _Training, phase: _Phase, checkpoint_file: Path) -> None:
    """Train the remaining epochs of a phase."""
    position = training.position
    while position.epoch <= phase.last and not _is_over(training, phase):
        if position.batches < training.batches:
            training.learn_epoch(checkpoint_file)
        training.end_epoch()
        training.save(checkpoint_file)
