"""A model folder for all tests that only score with one."""

from pathlib import Path

import numpy as np
import pytest

CROP = 64


@pytest.fixture(scope="session")
def exported_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what a training writes, with an untrained nano of crop 64 whose scores differ."""
    from metrifier_core.export import export_network
    from tests.helpers.spread_network import make_spread_network
    from tests.helpers.tiny_models import write_metrifier_card

    folder = tmp_path_factory.mktemp("run") / "model"
    folder.mkdir()
    rng = np.random.default_rng(3)
    strengths = rng.integers(1, 9, (12, 1, 1, 1), dtype=np.uint8)
    views = rng.integers(0, 256, (12, CROP, CROP, 3), dtype=np.uint8) // strengths
    files = export_network(make_spread_network(views), folder, views, views)
    write_metrifier_card(folder, list(files), crop=CROP, architecture="nano")
    return folder
