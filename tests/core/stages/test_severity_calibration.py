"""Calibration finds the levels at which a known curve reaches the targets, and names the targets out of reach."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import helper
from typer.testing import CliRunner, Result

from metrifier_core.cli import app
from metrifier_core.distortions import (
    TARGETS,
    Distortion,
    apply_severities,
    get_distortion,
    list_distortions,
    read_severities,
    version_seed,
)
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.stages.severity_calibration import calibrate
from tests.helpers.tiny_models import FLOAT, write_onnx

Curve = Callable[[float], float]


class Meter:
    """A known curve that records the levels at which it was measured."""

    def __init__(self, curve: Curve, error: float = 0.0) -> None:
        self._curve = curve
        self._error = error
        self.asked: list[float] = []

    def __call__(self, levels: Sequence[float]) -> list[float]:
        self.asked += levels
        return [self._curve(level) + self._error for level in levels]


def falling(middle: float, steepness: float) -> Curve:
    """Return a logistic curve over the logarithm of the level; steepness < 0 if smaller levels are worse."""
    return lambda level: 1 / (1 + math.exp(steepness * math.log(level / middle)))


@pytest.mark.parametrize(
    ("distortion", "curve"),
    [
        ("gaussian_noise", falling(0.13, 2.5)),
        ("contrast", falling(0.16, -2.5)),
        ("zoom_blur", falling(0.05, 4.0)),
        ("motion_blur", falling(10.0, 1.6)),
    ],
)
@pytest.mark.parametrize("error", [0.0, 0.03, -0.03])
def test_every_target_is_found_although_the_few_images_are_a_little_off(
    distortion: str, curve: Curve, error: float
) -> None:
    coarse, fine = Meter(curve, error), Meter(curve)
    found = calibrate(get_distortion(distortion), coarse, fine)
    assert [curve(level) for level in found.levels] == pytest.approx(TARGETS, abs=0.015)
    assert found.tcp == pytest.approx([curve(level) for level in found.levels], abs=0.0005)
    assert found.unreachable == []
    assert len(fine.asked) == len(set(fine.asked)) <= 12, "all images are many"
    assert len(coarse.asked) == len(set(coarse.asked)) <= 24
    get_distortion(distortion).check_levels(found.levels)


def test_bounds_with_zero_are_searched_in_equal_steps() -> None:
    turn = Distortion("turn", "mine", (0.0, -90.0), lambda image, _: image)

    def curve(level: float) -> float:
        return 1 + level / 100

    found = calibrate(turn, Meter(curve), Meter(curve))
    assert [curve(level) for level in found.levels] == pytest.approx(TARGETS, abs=0.015)


def test_levels_are_short_to_write() -> None:
    found = calibrate(get_distortion("gaussian_noise"), *[Meter(falling(0.13, 2.5))] * 2)
    assert [float(f"{level:.3g}") for level in found.levels] == list(found.levels)


MILD = Distortion("mild", "mine", (0.02, 1.0), lambda image, _: image)


def test_targets_out_of_reach_are_named_and_their_severities_stay_different() -> None:
    def curve(level: float) -> float:
        return 1 - 0.5 * level  # one half at the most severe

    found = calibrate(MILD, Meter(curve), Meter(curve))
    assert found.unreachable == [3, 4, 5]
    assert [curve(level) for level in found.levels[:2]] == pytest.approx([0.85, 0.65], abs=0.015)
    assert found.levels[4] == 1.0, "the nearest that can be reached"
    assert list(found.levels) == sorted(set(found.levels))


def test_where_no_target_is_in_reach_all_severities_are_spread() -> None:
    found = calibrate(MILD, *[Meter(lambda level: 1 - 0.1 * level)] * 2)
    assert found.unreachable == [1, 2, 3, 4, 5]
    MILD.check_levels(found.levels)


def test_whole_levels_are_the_closest_ones_that_differ() -> None:
    shares = {2: 0.30, 3: 0.40, 4: 0.52, 5: 0.66, 6: 0.74, 7: 0.80, 8: 0.86}
    found = calibrate(get_distortion("posterize"), *[Meter(lambda level: shares.get(int(level), 0.95))] * 2)
    assert found.levels[0] == 8
    assert found.levels[1] == 5
    assert list(found.levels[2:]) == [4, 3, 2]
    assert found.unreachable == [3, 4, 5]


def test_a_jpeg_quality_between_two_guesses_is_not_missed() -> None:
    shares = {2: 0.04, 3: 0.06, 4: 0.11, 5: 0.19, 6: 0.26, 8: 0.43, 9: 0.49}
    curve = falling(9.0, -2.0)
    found = calibrate(get_distortion("jpeg"), *[Meter(lambda level: shares.get(int(level), curve(level)))] * 2)
    assert found.levels[3:] == (6, 4)
    assert found.unreachable == []


def write_contrast_worker(path: Path, offset: float) -> None:
    """Write a worker whose logit of class 0 is the mean absolute deviation of the pixels, that is their contrast."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Sub", ["image", "mean"], ["deviation"]),
        helper.make_node("Abs", ["deviation"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["contrast"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["contrast", "offset"], ["logit"]),
        helper.make_node("Unsqueeze", ["logit", "last"], ["column"]),
        helper.make_node("Sub", ["column", "column"], ["zero"]),
        helper.make_node("Concat", ["column", "zero"], ["output"], axis=1),
    ]
    constants = [
        helper.make_tensor("offset", FLOAT, [], [offset]),
        helper.make_tensor("last", 7, [1], [1]),
    ]
    write_onnx(path, nodes, [1, 16, 16, 3], FLOAT, constants)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write the config of a run on 80 small images of very different contrast, with two workers that measure it."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos" / "a").mkdir(parents=True)
    for index in range(80):
        pixels = 128 + rng.uniform(10, 120) * rng.uniform(-1, 1, (16, 16, 3))
        cv2.imwrite(str(tmp_path / "photos" / "a" / f"{index}.png"), pixels.astype(np.uint8))
    entries = []
    for name, offset in (("label", 6.0), ("judge", 8.0)):
        write_contrast_worker(tmp_path / f"{name}.onnx", offset)
        sha256 = file_sha256(tmp_path / f"{name}.onnx")
        entries.append(
            f"{name}: {{format: onnx, family: {name}, file: {name}.onnx, sha256: '{sha256}', input_size: 16, "
            "layout: NHWC, scale: 1.0, outputs: logits}"
        )
    (tmp_path / "workers.yaml").write_text("\n".join(entries))
    path = tmp_path / "config.yaml"
    path.write_text(
        """
name: tiny
source: {kind: folder, root: photos}
splits: [{calibration: 0.5, train: 0.1, validation: 0.1, test: 0.3}]
workers: {catalogue: workers.yaml, label: [label], held_out: [judge]}
"""
    )
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["distort", "calibrate", *map(str, arguments)], catch_exceptions=False)


def test_the_command_writes_a_file_that_a_config_can_name(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "severities.yaml"
    result = run(config, "--output", output, "--type", "contrast", "--images", "40")
    assert result.exit_code == 0, result.output
    table = read_severities(output)
    assert table.label_workers == ["label"]
    assert "'tiny'" in table.calibrated_on
    entry = table.distortions["contrast"]
    assert list(entry.levels) == sorted(entry.levels, reverse=True)
    assert list(entry.tcp) == sorted(entry.tcp, reverse=True)

    first = output.read_bytes()
    assert run(config, "--output", output, "--type", "contrast", "--images", "40").exit_code == 0
    assert output.read_bytes() == first, "what is known is kept"

    result = run(config, "--output", output, "--type", "contrast", "--type", "pixelate", "--images", "40")
    assert result.exit_code == 0, result.output
    assert set(read_severities(output).distortions) == {"contrast", "pixelate"}
    output.unlink()
    assert run(config, "--output", output, "--type", "contrast", "--images", "40").exit_code == 0
    assert output.read_bytes() == first, "the same images, workers and seed give the same levels"


def test_another_calibration_is_not_mixed_into_a_file(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "severities.yaml"
    assert run(config, "--output", output, "--type", "contrast", "--images", "40").exit_code == 0
    before = output.read_bytes()
    result = run(config, "--output", output, "--type", "pixelate", "--images", "20")
    assert result.exit_code == 2
    assert "holds another calibration" in result.output
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.yaml"], "there is no config no.yaml"),
        (["CONFIG", "--type", "contrst"], "did you mean 'contrast'?"),
        (["CONFIG", "workers.label=[nobody]"], "unknown worker 'nobody'"),
        (["CONFIG", "--output", "no/where.yaml"], "there is no folder no"),
    ],
)
def test_a_wrong_start_is_refused_before_any_work(
    config: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    given = [str(config) if argument == "CONFIG" else argument for argument in arguments]
    result = run("--output", tmp_path / "severities.yaml", *given)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "severities.yaml").exists()


def test_the_levels_of_a_file_are_those_of_the_versions(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "severities.yaml"
    assert run(config, "--output", output, "--type", "contrast", "--images", "40").exit_code == 0
    levels = read_severities(output).levels["contrast"]
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    rng = np.random.default_rng(version_seed(0, "x", "contrast"))
    made = apply_severities(image, "contrast", [1, 5], rng, levels=levels)
    spread = [pixels.astype(float).std() / image.astype(float).std() for pixels in made]
    assert spread == pytest.approx([levels[0], levels[4]], abs=0.05)


def test_every_distortion_of_the_package_has_a_range_to_search() -> None:
    own = [name for name in list_distortions() if ":" not in name]
    assert len(own) == 20
    for name in own:
        found: Distortion = get_distortion(name)
        mildest, severest = found.bounds
        assert mildest > 0 < severest
        assert mildest != severest
