"""What a run reads is looked at beforehand, and other inputs are never taken for those of an earlier run."""

import sys
from pathlib import Path

from metrifier_core.config.run import load_config
from metrifier_core.settings.environment import INGEST_PYTHON_VARIABLE
from pipelines.local.runner import check_inputs

_DIGITS = Path(__file__).parents[2] / "configs/digits.yaml"


def test_what_the_source_holds_is_told_apart(monkeypatch):
    monkeypatch.setenv(INGEST_PYTHON_VARIABLE, "")
    digests = {check_inputs(load_config(_DIGITS, [f"source.max_sources={count}"])) for count in (10, 10, 11)}
    assert len(digests) == 2


def test_images_are_read_again_once_there_is_a_decoder_for_more_of_them(monkeypatch):
    config = load_config(_DIGITS, ["source.max_sources=10"])
    monkeypatch.setenv(INGEST_PYTHON_VARIABLE, "")
    without = check_inputs(config)
    monkeypatch.setenv(INGEST_PYTHON_VARIABLE, sys.executable)
    assert check_inputs(config) != without
