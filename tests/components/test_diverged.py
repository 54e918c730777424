"""Training that comes to nothing says so."""

import keras
import pytest

from metrifier_core.architectures import MetrifierSettings
from metrifier_core.stages import train_metrifier as stage


class _NoVersions:
    def count(self, _split):
        return 64

    def __len__(self):
        return 0


def test_training_without_a_valid_epoch_is_refused(monkeypatch):
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    monkeypatch.setattr(stage, "_validate", lambda *_: (float("nan"), float("nan")))
    with pytest.raises(ValueError, match=r"training diverged.*learning_rate"):
        stage._fit(network, _NoVersions(), MetrifierSettings(epochs=2), seed=0)
