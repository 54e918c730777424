"""The latency that is logged with a registered version."""

from pathlib import Path

from metrifier_core.scoring.latency import measure_latency
from tests.helpers.tiny_models import write_brightness_metrifier


def test_a_view_takes_some_time(tmp_path: Path) -> None:
    assert 0 < measure_latency(write_brightness_metrifier(tmp_path / "model")) < 10_000
