"""A user's own distortion: a decorated function in a module that a config names."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from metrifier_core.cli import app
from metrifier_core.distortions import (
    SEVERITIES,
    DistortionSettings,
    apply_distortion,
    apply_severities,
    encode_versions,
    get_distortion,
    list_distortions,
    registry,
)
from metrifier_core.images import ImageError, decode_image, encode_png
from tests.helpers.example_images import distort, flat_image, natural_image

RAIN = '''
import numpy as np

from metrifier_core.distortions import register_distortion


def draw_drops(image, rng):
    return rng.random(image.shape[:2])


@register_distortion("weather", (0.0, 1.0), prepare=draw_drops, levels=(0.1, 0.2, 0.3, 0.4, 0.5))
def rain(image, amount, drops):
    """Set pixels to white."""
    rained = image.copy()
    rained[drops < amount] = 255
    return rained
'''

Write = Callable[[str], str]


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a user's module; its registrations are removed after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    def write(code: str) -> str:
        (tmp_path / "own_weather.py").write_text(dedent(code))
        importlib.invalidate_caches()
        return "own_weather"

    yield write
    sys.modules.pop("own_weather", None)


@pytest.fixture
def rain(write_module: Write) -> str:
    return f"{write_module(RAIN)}:rain"


def register(body: str, arguments: str = "levels=(1, 2, 3, 4, 5)") -> str:
    """Return the code of a module with one distortion without randomness."""
    return f"""
    import numpy as np
    from metrifier_core.distortions import register_distortion

    @register_distortion("weather", (0.5, 10.0), {arguments})
    def own(image, level):
        {body}
    """


# Use


def test_it_is_found_by_module_and_function(rain: str) -> None:
    assert rain not in list_distortions()
    found = get_distortion(rain)
    assert (found.name, found.family, found.bounds) == ("own_weather:rain", "weather", (0.0, 1.0))
    assert found.severity_levels == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert rain in list_distortions("weather")
    assert "rain" not in list_distortions(), "no name of the package is taken"


def test_it_is_applied_like_any_other(rain: str) -> None:
    image = flat_image(40, 50, 100)
    image.flags.writeable = False
    versions = apply_severities(image, rain, SEVERITIES, np.random.default_rng(3))
    drops = np.random.default_rng(3).random((40, 50))
    for severity, version in zip(SEVERITIES, versions, strict=True):
        np.testing.assert_array_equal((version == 255).all(axis=2), drops < severity / 10)
        np.testing.assert_array_equal(version, distort(image, rain, severity, seed=3))
    for version, data in zip(versions, encode_versions(image, rain, SEVERITIES, seed=3), strict=True):
        np.testing.assert_array_equal(decode_image(data), version)


def test_it_is_refused_what_any_other_is(rain: str) -> None:
    with pytest.raises(ImageError, match="at least 8"):
        distort(flat_image(7, 50, 100), rain, 1)
    with pytest.raises(ValueError, match=f"^severity of {rain}: expected an integer from 1 to 5, got 6$"):
        distort(flat_image(8, 50, 100), rain, 6)


def test_a_codec_is_stored_as_its_own_bytes(write_module: Write) -> None:
    module = write_module("""
        import cv2
        from metrifier_core.distortions import register_codec

        @register_codec((95, 1), levels=(80, 60, 40, 20, 10))
        def grey_jpeg(image, quality):
            grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            return cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1].tobytes()
    """)
    name, image = f"{module}:grey_jpeg", natural_image(0)
    stored = encode_versions(image, name, SEVERITIES, seed=0)
    for severity, data in zip(SEVERITIES, stored, strict=True):
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).ndim == 2
        np.testing.assert_array_equal(distort(image, name, severity), decode_image(data))
    assert get_distortion(name).family == "compression"
    with pytest.raises(ValueError, match=f"of {name}: levels must be whole numbers"):
        get_distortion(name).check_levels((80, 60, 40, 20, 10.5))


# In a config


def test_a_config_names_it_by_module_and_function(rain: str) -> None:
    settings = DistortionSettings(types=["jpeg", rain], held_out=["fog"])
    assert settings.names == ["jpeg", rain, "fog"]
    assert settings.levels[rain] == (0.1, 0.2, 0.3, 0.4, 0.5)
    again = DistortionSettings.model_validate(settings.model_dump(mode="json"))
    assert again == settings


def test_a_config_may_give_it_other_levels(rain: str) -> None:
    levels = (0.3, 0.5, 0.7, 0.8, 0.9)
    settings = DistortionSettings(types=["jpeg"], held_out=[rain], levels={rain: levels})
    assert settings.levels == {"jpeg": get_distortion("jpeg").severity_levels, rain: levels}
    with pytest.raises(ValidationError, match=f"of {rain}: levels must rise from 0 to 1"):
        DistortionSettings(types=[rain], levels={rain: levels[::-1]})


def test_one_for_tests_alone_can_only_be_held_out(write_module: Write) -> None:
    name = write_module(register("return image // 2", "test_only=True, levels=(1, 2, 3, 4, 5)")) + ":own"
    assert DistortionSettings(types=["jpeg"], held_out=[name]).names == ["jpeg", name]
    with pytest.raises(ValidationError, match=f"'{name}' is for testing only: list it in held_out"):
        DistortionSettings(types=[name])


def test_a_config_knows_the_code_that_it_was_made_with(rain: str, write_module: Write) -> None:
    made = DistortionSettings(types=[rain]).model_dump(mode="json")
    write_module(RAIN.replace("255", "254"))
    with pytest.raises(
        ValidationError, match="the code of module 'own_weather' differs from the code that this run was"
    ):
        DistortionSettings.model_validate(made)


# Mistakes


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module:rain", "the module cannot be imported: No module named 'no_such_module'"),
        ("own_weather.rain:rain", "the module cannot be imported: No module named 'own_weather.rain'"),
        ("own_weather:snow", "own_weather registers no distortion of that name"),
        ("own_weather:draw_drops", "own_weather registers no distortion of that name"),
        ("own_weather:", "own_weather registers no distortion of that name"),
    ],
)
def test_what_is_not_there_is_named(write_module: Write, name: str, reason: str) -> None:
    write_module(RAIN)
    for use in (get_distortion, lambda name: distort(natural_image(0), name, 1)):
        with pytest.raises(ValueError, match=f"^distortion '{name}': {reason}"):
            use(name)
    with pytest.raises(ValidationError, match=f"distortion '{name}': {reason}"):
        DistortionSettings(types=["jpeg", name])


@pytest.mark.parametrize(
    ("body", "actual"),
    [
        ("return image[:-1]", "uint8 (15, 24, 3)"),
        ("return image[:, :, 0]", "uint8 (16, 24)"),
        ("return image[:, :, :2]", "uint8 (16, 24, 2)"),
        ("return image / 2", "float64 (16, 24, 3)"),
        ("return image.astype(int)", "int64 (16, 24, 3)"),
        ("return image.tolist()", "list"),
        ("return None", "NoneType"),
    ],
)
def test_what_is_no_image_is_not_passed_on(write_module: Write, body: str, actual: str) -> None:
    name = write_module(register(body)) + ":own"
    image = flat_image(16, 24, 100)
    message = f"^distortion '{name}': {re.escape(f'expected a uint8 (16, 24, 3) image, got {actual}')}$"
    with pytest.raises(TypeError, match=message):
        apply_distortion(image, name, 2, np.random.default_rng(0))
    with pytest.raises(TypeError, match=message):
        encode_versions(image, name, [2], seed=0)


def test_the_command_line_says_what_is_no_image(write_module: Write, tmp_path: Path) -> None:
    name = write_module(register("return image / 2")) + ":own"
    (tmp_path / "flat.png").write_bytes(encode_png(flat_image(16, 24, 100)))
    command = ["distort", "apply", str(tmp_path / "flat.png"), "--type", name]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    expected = f"distortion '{name}': expected a uint8 (16, 24, 3) image, got float64 (16, 24, 3)\n"
    assert (result.exit_code, result.stderr) == (2, expected)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("levels=(5, 4, 3, 2, 1)", "levels must rise from 0.5 to 10"),
        ("levels=(1, 2, 2, 3, 4)", "levels must rise from 0.5 to 10"),
        ("levels=(0.1, 2, 3, 4, 5)", "levels must rise from 0.5 to 10"),
        ("levels=(1, 2, float('nan'), 4, 5)", "levels must rise from 0.5 to 10"),
        ("levels=(1, 2, 3, 4)", "levels must rise from 0.5 to 10"),
        ("levels=(1, 2, 3, 4, 50)", "levels must rise from 0.5 to 10"),
        ("whole=True, levels=(1, 2, 3.5, 4, 5)", "levels must be whole numbers"),
    ],
)
def test_wrong_levels_are_refused_where_they_are_registered(write_module: Write, arguments: str, reason: str) -> None:
    name = write_module(register("return image // 2", arguments)) + ":own"
    with pytest.raises(ValueError, match=f"of {name}: {reason}$"):
        get_distortion(name)
    with pytest.raises(ValidationError, match=f"of {name}: {reason}"):
        DistortionSettings(types=[name])


@pytest.mark.parametrize("bounds", ["(1.0, 1.0)", "(0.0, float('inf'))", "(float('nan'), 1.0)"])
def test_bounds_that_span_nothing_are_refused(write_module: Write, bounds: str) -> None:
    name = write_module(register("return image // 2").replace("(0.5, 10.0)", bounds)) + ":own"
    with pytest.raises(ValueError, match=f"^distortion '{name}': .*expected two different numbers"):
        get_distortion(name)


def test_it_cannot_change_the_image_that_it_is_given(write_module: Write) -> None:
    name = write_module(register("image[:] = image // 2; return image")) + ":own"
    image = flat_image(16, 24, 200)
    with pytest.raises(ValueError, match="read-only"):
        apply_severities(image, name, SEVERITIES, np.random.default_rng(0))
    assert np.all(image == 200)
    assert image.flags.writeable


@pytest.mark.parametrize("code", ["raise RuntimeError('not today')", "def", "import no_such_module"])
def test_a_module_that_cannot_be_imported_is_named(write_module: Write, code: str) -> None:
    name = write_module(code) + ":own"
    with pytest.raises(ValueError, match=f"^distortion '{name}': the module cannot be imported"):
        get_distortion(name)


@pytest.mark.parametrize("name", [":rain", ".own_weather:rain", "own weather:rain", "own-weather:rain"])
def test_what_can_be_no_module_is_not_imported(name: str) -> None:
    with pytest.raises(ValueError, match=f"^distortion '{name}': expected module:function$"):
        get_distortion(name)


def test_levels_are_missed_where_there_are_none(write_module: Write) -> None:
    name = write_module(register("return image // 2", "")) + ":own"
    reason = f"'{name}' has no severity levels: register it with some, or calibrate it"
    assert get_distortion(name).own_levels is None
    with pytest.raises(ValueError, match=f"^{reason}$"):
        distort(natural_image(0), name, 1)
    with pytest.raises(ValidationError, match=reason):
        DistortionSettings(types=[name])
    levels: Any = (1, 2, 3, 4, 5)
    assert DistortionSettings(types=[name], levels={name: levels}).levels == {name: levels}
    assert len(apply_severities(natural_image(0), name, [1, 5], np.random.default_rng(0), levels=levels)) == 2
