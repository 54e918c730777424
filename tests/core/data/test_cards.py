"""The cards of a run: what is written is read back, and damage is named."""

import json
import math

import pytest
from pydantic import ValidationError

from metrifier_core.data.dataset_card import DatasetCard
from metrifier_core.data.registration import Registration
from metrifier_core.data.training_history import TrainingHistory
from tests.helpers.report_data import make_dataset_card, make_training


def test_what_is_written_is_read_back() -> None:
    card, training = make_dataset_card(), make_training()
    assert DatasetCard.model_validate_json(card.model_dump_json()) == card
    assert TrainingHistory.model_validate_json(training.model_dump_json()) == training
    waiting = Registration(model_name="metrifier", gate="waits for MLflow")
    assert Registration.model_validate_json(waiting.model_dump_json()) == waiting
    assert waiting.model_dump(exclude_none=True) == {
        "model_name": "metrifier",
        "champion": False,
        "gate": "waits for MLflow",
    }


def test_a_correlation_that_is_undefined_stays_not_a_number() -> None:
    epoch = {"epoch": 1, "loss": 0.5, "validation_loss": 0.6, "validation_spearman": math.nan}
    text = TrainingHistory.model_validate([epoch]).model_dump_json()
    assert math.isnan(json.loads(text)[0]["validation_spearman"])
    assert math.isnan(TrainingHistory.model_validate_json(text).root[0].validation_spearman)


def test_a_damaged_card_is_refused_with_the_field() -> None:
    with pytest.raises(ValidationError, match="sha256"):
        DatasetCard.model_validate(make_dataset_card().model_dump(exclude={"sha256"}))
    with pytest.raises(ValidationError, match="unknown key"):
        Registration.model_validate({"model_name": "metrifier", "gate": "", "champoin": True})
