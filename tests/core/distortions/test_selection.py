"""A config's distortions: which ones, and what their severities mean in this run."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from metrifier_core.distortions import (
    SEVERITIES,
    TARGETS,
    DistortionSettings,
    default_severities,
    get_distortion,
    list_distortions,
)

OWN = {name for name in list_distortions() if ":" not in name}
UNSEEN = list_distortions("unseen")
NOISE = (0.05, 0.1, 0.2, 0.3, 0.4)

TABLE = """
calibrated_on: somewhere else
label_workers: [one, other]
targets: [0.85, 0.65, 0.45, 0.25, 0.1]
distortions:
  gaussian_noise:
    levels: [0.05, 0.1, 0.2, 0.3, 0.4]
    tcp: [0.9, 0.7, 0.5, 0.3, 0.1]
  posterize:
    levels: [12, 10, 8, 6, 4]
    tcp: [0.9, 0.7, 0.5, 0.3, 0.1]
    unreachable: [5]
"""


def refusal(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        DistortionSettings(**settings)
    assert len(caught.value.errors()) == 1
    return str(caught.value.errors()[0]["msg"])


# Which distortions


def test_all_that_may_be_trained_on_can_be_named() -> None:
    types = sorted(OWN - {*UNSEEN})
    settings = DistortionSettings(types=types, held_out=UNSEEN)
    assert settings.names == [*types, *UNSEEN]
    assert settings.severities == list(SEVERITIES)


@pytest.mark.parametrize("name", UNSEEN)
def test_what_is_for_tests_alone_can_only_be_held_out(name: str) -> None:
    assert refusal(types=["jpeg", name]).endswith(f"'{name}' is for testing only: list it in held_out")
    assert DistortionSettings(types=["jpeg"], held_out=[name]).held_out == [name]


def test_where_none_are_named_four_of_different_kinds_are_held_out() -> None:
    settings = DistortionSettings.model_validate({})
    assert sorted(settings.names) == sorted(OWN - {*UNSEEN})
    held_out, trained = (
        [get_distortion(name).family for name in names] for names in (settings.held_out, settings.types)
    )
    assert len(set(held_out)) == len(held_out) == 4
    assert {"blur", "compression", "noise", "resolution", "tone"} <= set(trained)


def test_all_that_are_not_held_out_are_taken_where_no_types_are_named() -> None:
    settings = DistortionSettings.model_validate({"held_out": ["jpeg", "plasma"]})
    assert settings.types == sorted(OWN - {*UNSEEN} - {"jpeg"})
    assert DistortionSettings.model_validate({"held_out": []}).types == sorted(OWN - {*UNSEEN})


# Levels


def test_levels_of_all_that_are_in_use_are_filled_in() -> None:
    settings = DistortionSettings(types=["jpeg", "contrast"], held_out=["plasma"])
    table = default_severities().levels
    assert settings.levels == {name: table[name] for name in ("jpeg", "contrast", "plasma")}
    assert DistortionSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_levels_can_be_given() -> None:
    settings = DistortionSettings(types=["gaussian_noise", "jpeg"], levels={"gaussian_noise": NOISE})
    assert settings.levels == {"gaussian_noise": NOISE, "jpeg": get_distortion("jpeg").severity_levels}
    assert get_distortion("gaussian_noise").severity_levels != NOISE, "the package's are another run's"


def test_levels_of_what_is_not_in_use_are_dropped() -> None:
    settings = DistortionSettings(types=["jpeg"], levels={"gaussian_noise": NOISE})
    assert settings.levels == {"jpeg": get_distortion("jpeg").severity_levels}


def test_wrong_levels_are_refused_by_name() -> None:
    message = refusal(types=["gaussian_noise"], levels={"gaussian_noise": NOISE[::-1]})
    assert "[0.4, 0.3, 0.2, 0.1, 0.05] of gaussian_noise: levels must rise from" in message
    message = refusal(types=["jpeg"], held_out=["plasma"], levels={"jpeg": (90, 80.5, 70, 60, 50)})
    assert message.endswith("of jpeg: levels must be whole numbers")


@pytest.mark.parametrize("levels", [NOISE[:4], [*NOISE, 0.5], ["a", *NOISE[1:]], 0.1, None])
def test_levels_are_five_numbers(levels: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        DistortionSettings(types=["gaussian_noise"], levels={"gaussian_noise": levels})
    assert caught.value.errors()[0]["loc"][:2] == ("levels", "gaussian_noise")


# Levels from a file


def read(folder: Path, file: str, *types: str) -> DistortionSettings:
    return DistortionSettings.model_validate(
        {"types": list(types or ["gaussian_noise", "contrast"]), "levels": file}, context={"folder": str(folder)}
    )


def test_a_file_of_levels_stands_beside_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, calibrated = tmp_path / "configs", tmp_path / "calibrated" / "severities.yaml"
    calibrated.parent.mkdir()
    calibrated.write_text(TABLE)
    expected = {"gaussian_noise": NOISE, "contrast": get_distortion("contrast").severity_levels}
    assert read(config, "../calibrated/severities.yaml").levels == expected
    assert read(config, str(calibrated)).levels == expected
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(config, "~/calibrated/severities.yaml").levels == expected
    monkeypatch.chdir(calibrated.parent)
    settings = DistortionSettings.model_validate({"types": ["gaussian_noise"], "levels": "severities.yaml"})
    assert settings.levels == {"gaussian_noise": NOISE}


def test_the_file_that_the_package_ships_changes_nothing() -> None:
    from metrifier_core.distortions import severities

    own = Path(severities.__file__).with_name("severities.yaml")
    assert read(own.parent, own.name) == DistortionSettings(types=["gaussian_noise", "contrast"])
    assert default_severities().targets == TARGETS


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=f"there is no file {tmp_path / 'no.yaml'}"):
        read(tmp_path, "no.yaml")
    with pytest.raises(ValidationError, match=f"there is no file {tmp_path}"):
        read(tmp_path, ".")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("distortions:", "distortion:", "{path}: distortion"),
        ("0.3, 0.4]", "0.3]", "{path}: distortions.gaussian_noise.levels.4: Field required"),
        ("[0.05,", "[much,", "{path}: distortions.gaussian_noise.levels.0: Input should be a valid number"),
        ("tcp:", "share:", "{path}: distortions.gaussian_noise"),
        ("targets:", "target:", "{path}: target: .*unknown key, did you mean 'targets'?"),
        ("targets:", "[", "{path} is not YAML, line "),
        (TABLE, "", "{path}: .*"),
        ("[0.05,", "[0.3,", r"\[0.3, 0.1, 0.2, 0.3, 0.4\] of gaussian_noise: levels must rise from"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "severities.yaml"
    path.write_text(TABLE.replace(old, new, 1))
    with pytest.raises(ValidationError, match=reason.format(path=path).replace("targets'?", r"targets'\?")):
        read(tmp_path, "severities.yaml")
