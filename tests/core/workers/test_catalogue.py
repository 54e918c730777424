"""Errors of entries name the wrong key and the allowed values; paths in a catalogue are relative to it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from metrifier_core.settings.base import describe_mistakes
from metrifier_core.settings.yaml import read_yaml
from metrifier_core.workers import (
    KNOWN_WORKERS,
    AlexNetSpec,
    ApplicationSpec,
    ExportedSpec,
    MiniatureSpec,
    WorkerSettings,
    find_location,
    get_worker,
    read_catalogue,
)

SHA256 = "0123456789abcdef" * 4

ENTRIES: dict[str, dict[str, Any]] = {
    "onnx": {
        "format": "onnx",
        "family": "echo",
        "file": "echo.onnx",
        "sha256": SHA256,
        "layout": "NHWC",
        "outputs": "logits",
    },
    "application": {
        "format": "keras_applications",
        "family": "MobileNet",
        "application": "MobileNet",
        "alpha": 0.25,
        "weights": "mobilenet.h5",
        "sha256": SHA256,
    },
    "published": {"format": "keras_applications", "family": "VGG", "application": "VGG16"},
    "alexnet": {"format": "alexnet", "family": "AlexNet", "weights": "alexnet.weights.h5", "sha256": SHA256},
    "miniature": {"format": "miniature", "family": "mine", "architecture": "vgg"},
}


def write_catalogue(folder: Path, **entries: Any) -> Path:
    path = folder / "workers.yaml"
    path.write_text(json.dumps(entries))  # JSON is YAML
    return path


def refusal(folder: Path, **entries: Any) -> str:
    with pytest.raises(ValueError, match=r"workers\.catalogue\.") as caught:
        read_catalogue(write_catalogue(folder, **entries))
    return str(caught.value)


# What a catalogue holds


def test_every_format_has_an_entry_of_its_own(tmp_path: Path) -> None:
    catalogue = read_catalogue(write_catalogue(tmp_path, **ENTRIES))
    assert list(catalogue) == list(ENTRIES)
    kinds = [ExportedSpec, ApplicationSpec, ApplicationSpec, AlexNetSpec, MiniatureSpec]
    assert [type(spec) for spec in catalogue.values()] == kinds
    for format_ in ("tflite", "keras", "saved_model"):
        entry = {**ENTRIES["onnx"], "format": format_}
        assert isinstance(read_catalogue(write_catalogue(tmp_path, mine=entry))["mine"], ExportedSpec)


@pytest.mark.parametrize(
    ("entry", "key"), [("onnx", "file"), ("application", "weights"), ("alexnet", "weights")], ids=str
)
@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("weights/a.h5", "{folder}/weights/a.h5"),
        ("../a.h5", "{parent}/a.h5"),
        ("/elsewhere/a.h5", "/elsewhere/a.h5"),
        ("~/a.h5", "{home}/a.h5"),
        ("s3://bucket/../a.h5", "s3://bucket/../a.h5"),
        ("https://host/a.h5?version=1", "https://host/a.h5?version=1"),
        ("memory://a.h5", "memory://a.h5"),
    ],
)
def test_paths_are_relative_to_the_catalogue_and_uris_stay(
    entry: str, key: str, written: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    folder = (tmp_path / "catalogues").resolve()
    folder.mkdir()
    expected = found.format(folder=folder, parent=folder.parent, home="/home/somebody")
    path = write_catalogue(folder, mine={**ENTRIES[entry], key: written})
    assert find_location(read_catalogue(path)["mine"]) == expected
    # A config may name its path or hold its entries.
    context = {"folder": folder}
    for catalogue in ("workers.yaml", json.loads(path.read_text())):
        settings = WorkerSettings.model_validate(
            {"catalogue": catalogue, "label": ["mine"], "held_out": ["miniature_vgg"]}, context=context
        )
        assert find_location(settings.catalogue["mine"]) == expected


def test_the_weights_that_keras_publishes_are_no_path(tmp_path: Path) -> None:
    entry = {**ENTRIES["published"], "weights": "imagenet"}
    path = write_catalogue(tmp_path, mine=entry)
    assert find_location(read_catalogue(path)["mine"]) == "imagenet"
    settings = WorkerSettings.model_validate(
        {"catalogue": {"mine": entry}, "label": ["mine"], "held_out": ["miniature_vgg"]}, context={"folder": tmp_path}
    )
    assert find_location(settings.catalogue["mine"]) == "imagenet"


@pytest.mark.parametrize(("entry", "batch_size"), [("onnx", None), ("application", None), ("alexnet", 8)])
def test_an_entry_says_how_many_images_are_shown_at_once(entry: str, batch_size: int | None, tmp_path: Path) -> None:
    entries = {"mine": ENTRIES[entry], "other": {**ENTRIES[entry], "batch_size": 3}}
    catalogue = read_catalogue(write_catalogue(tmp_path, **entries))
    assert [catalogue[name].batch_size for name in ("mine", "other")] == [batch_size, 3]
    assert {name for name, spec in KNOWN_WORKERS.items() if spec.batch_size == 8} == {"vgg16"}


# What is wrong with an entry


@pytest.mark.parametrize(
    ("name", "changes", "line"),
    [
        ("onnx", {"chanels": "BGR"}, ".chanels: unknown key, did you mean 'channels'?"),
        ("onnx", {"sha265": SHA256}, ".sha265: unknown key, did you mean 'sha256'?"),
        ("onnx", {"weights": "a.onnx"}, ".weights: unknown key, "),
        ("onnx", {"sha256": "1234"}, ".sha256: String should match pattern '^[0-9a-f]{64}$' (got '1234')"),
        ("onnx", {"sha256": SHA256.upper()}, ".sha256: String should match pattern"),
        ("onnx", {"sha256": SHA256 + "0"}, ".sha256: String should match pattern"),
        ("onnx", {"sha256": None}, ".sha256: Input should be a valid string (got nothing)"),
        ("onnx", {"layout": "HWC"}, ".layout: Input should be 'NHWC' or 'NCHW' (got 'HWC')"),
        ("onnx", {"outputs": "softmax"}, ".outputs: Input should be 'logits' or 'probabilities' (got 'softmax')"),
        ("onnx", {"resize": "pad"}, ".resize: Input should be 'crop' or 'stretch' (got 'pad')"),
        ("onnx", {"dtype": "int16"}, ".dtype: Input should be 'float32', 'float16', 'uint8' or 'int8' (got 'int16')"),
        ("onnx", {"crop_fraction": 1.5}, ".crop_fraction: Input should be less than or equal to 1 (got 1.5)"),
        ("onnx", {"scale": 0}, ".scale: Input should be greater than 0 (got 0)"),
        ("onnx", {"scale": float("inf")}, ".scale: Input should be less than or equal to"),
        ("onnx", {"mean": [0, 0, float("nan")]}, ".mean.2: Input should be a finite number"),
        ("onnx", {"class_offset": -1}, ".class_offset: Input should be greater than or equal to 0 (got -1)"),
        ("onnx", {"batch_size": 0}, ".batch_size: Input should be greater than or equal to 1 (got 0)"),
        ("onnx", {"input_size": 4}, ".input_size: Input should be greater than or equal to 8 (got 4)"),
        ("onnx", {"mean": [0.5, 0.5]}, ".mean.2: is missing"),
        ("onnx", {"std": [1, 1, 0]}, ": std: expected values greater than 0, got 0.0"),
        ("onnx", {"class_order": [0, 2]}, ": class_order: expected every class from 0 on once"),
        ("onnx", {"class_order": [1, 1, 0]}, ": class_order: expected every class from 0 on once"),
        ("onnx", {"format": "onx"}, ".format: unknown format 'onx', did you mean 'onnx'?"),
        ("onnx", {"format": "keras_application"}, ".format: unknown format 'keras_application', did you mean 'keras_"),
        ("onnx", {"family": ""}, ".family: '' cannot name a family: letters, digits, spaces, '.', '_' and '-'"),
        ("onnx", {"family": "ViT-B/16"}, ".family: 'ViT-B/16' cannot name a family"),
        ("onnx", {"family": "../other"}, ".family: '../other' cannot name a family"),
        ("published", {"application": "VGG61"}, ".application: Input should be 'ResNet50', 'VGG16', 'MobileNetV2', "),
        ("published", {"alpa": 0.5}, ".alpa: unknown key, did you mean 'alpha'?"),
        ("published", {"alpha": 0.5}, ": alpha: expected 1 for VGG16, got 0.5"),
        ("published", {"sha256": SHA256}, ": sha256: is for a file of weights, and weights is imagenet"),
        ("application", {"alpha": 0}, ".alpha: Input should be greater than 0 (got 0)"),
        ("application", {"sha256": None}, ": sha256: is missing, and weights is /"),
        ("application", {"sha256": "1234"}, ".sha256: String should match pattern"),
        ("alexnet", {"sha256": "1234"}, ".sha256: String should match pattern"),
        ("alexnet", {"layout": "NHWC"}, ".layout: unknown key, "),
        ("miniature", {"architecture": "wgg"}, ".architecture: Input should be 'plain', 'vgg', "),
        ("miniature", {"epoch": 3}, ".epoch: unknown key, did you mean 'epochs'?"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_key(name: str, changes: dict[str, Any], line: str, tmp_path: Path) -> None:
    lines = refusal(tmp_path, **{**ENTRIES, "mine": {**ENTRIES[name], **changes}}).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"workers.catalogue.mine{line}")
    # The same in a config.
    with pytest.raises(ValidationError) as caught:
        WorkerSettings.model_validate(
            {"catalogue": {"mine": {**ENTRIES[name], **changes}}, "label": ["mine"], "held_out": ["miniature_vgg"]}
        )
    assert describe_mistakes(caught.value).startswith("catalogue.mine")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("onnx", ["family", "file", "layout", "outputs", "sha256"]),
        ("published", ["application", "family"]),
        ("alexnet", ["family", "sha256", "weights"]),
        ("miniature", ["architecture", "family"]),
    ],
)
def test_what_an_entry_lacks_is_named_key_by_key(name: str, missing: list[str], tmp_path: Path) -> None:
    lines = refusal(tmp_path, mine={"format": ENTRIES[name]["format"]}).splitlines()
    assert sorted(lines) == [f"workers.catalogue.mine.{key}: is missing" for key in missing]
    assert refusal(tmp_path, mine={"family": "a"}) == "workers.catalogue.mine.format: is missing"


def test_every_mistake_of_a_catalogue_is_named(tmp_path: Path) -> None:
    wrong = {"first": {**ENTRIES["onnx"], "layout": "HWC"}, "second": {**ENTRIES["alexnet"], "sha256": "1"}}
    starts = [line.split(":")[0] for line in refusal(tmp_path, **wrong).splitlines()]
    assert starts == ["workers.catalogue.first.layout", "workers.catalogue.second.sha256"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "uint8", "scale": 1.0}, None),
        ({"dtype": "uint8"}, None),
        ({"dtype": "int8", "scale": 1.0, "mean": [128, 128, 128]}, None),
        ({"dtype": "int8", "scale": 0.498}, None),
        ({"dtype": "uint8", "scale": 1.01}, "uint8, 0 to 255"),
        ({"dtype": "uint8", "scale": 1.0, "mean": [0, 0, 1]}, "uint8, 0 to 255"),
        ({"dtype": "int8", "scale": 1.0}, "int8, -128 to 127"),
        ({"dtype": "int8", "scale": 1.0, "mean": [128, 129, 128]}, "int8, -128 to 127"),
        ({"dtype": "int8", "scale": 1.0, "mean": [128, 128, 128], "std": [1, 1, 0.5]}, "int8, -128 to 127"),
        ({"dtype": "float16", "scale": 1.0, "mean": [0, 0, 1000]}, None),
    ],
)
def test_integers_have_to_hold_every_pixel(changes: dict[str, Any], message: str | None, tmp_path: Path) -> None:
    entry = {**ENTRIES["onnx"], **changes}
    if message is None:
        assert read_catalogue(write_catalogue(tmp_path, mine=entry))
    else:
        line = f"workers.catalogue.mine: dtype: scale, mean and std leave the range of {message}"
        assert refusal(tmp_path, mine=entry) == line


@pytest.mark.parametrize("content", ["", "- onnx\n", "{}\n", "onnx\n"])
def test_a_catalogue_without_entries_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "workers.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"workers\.yaml holds no workers$"):
        read_catalogue(path)


def test_a_catalogue_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^there is no file .*nowhere\.yaml$"):
        read_catalogue(tmp_path / "nowhere.yaml")
    path = tmp_path / "workers.yaml"
    path.write_text("mine: {format: onnx\n")
    with pytest.raises(ValueError, match=r"workers\.yaml is not YAML, line"):
        read_catalogue(path)
    path.write_text("mine:\n")
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.mine"):
        read_catalogue(path)


def test_the_catalogue_of_the_real_workers_is_right() -> None:
    path = Path("tests/realdata/workers.yaml").resolve()
    catalogue = read_catalogue(path)
    assert list(catalogue) == list(read_yaml(path))
    weights = (path.parents[3] / "shared" / "realdata" / "weights").resolve()
    assert {Path(find_location(spec)).parent for spec in catalogue.values()} == {weights}


# Workers by their names


def test_workers_that_need_no_catalogue_are_of_nine_families() -> None:
    assert sorted(KNOWN_WORKERS) == [
        "inception_v3",
        "miniature_inception",
        "miniature_inverted_residual",
        "miniature_plain",
        "miniature_residual",
        "miniature_vgg",
        "mobilenet_v2",
        "resnet50",
        "vgg16",
    ]
    assert len({spec.family for spec in KNOWN_WORKERS.values()}) == len(KNOWN_WORKERS)
    for name, spec in KNOWN_WORKERS.items():
        assert get_worker(name, {}) == spec
        assert find_location(spec) == ("trained on the source" if name.startswith("miniature_") else "imagenet")


def test_an_entry_of_ones_own_comes_before_a_known_one(tmp_path: Path) -> None:
    catalogue = read_catalogue(write_catalogue(tmp_path, vgg16=ENTRIES["onnx"], mine=ENTRIES["alexnet"]))
    assert get_worker("vgg16", catalogue) == catalogue["vgg16"] != KNOWN_WORKERS["vgg16"]
    assert get_worker("mine", catalogue) == catalogue["mine"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("inceptionv3", "^unknown worker 'inceptionv3', did you mean 'inception_v3'\\?$"),
        ("minne", "^unknown worker 'minne', did you mean 'mine'\\?$"),
        ("zebra", "^unknown worker 'zebra', allowed: inception_v3, mine, miniature_inception, "),
        ("alexnet", "^'alexnet' needs an entry in the catalogue: `metrifier workers import-alexnet FILE` converts"),
    ],
)
def test_an_unknown_worker_is_refused_with_what_is_close(name: str, message: str, tmp_path: Path) -> None:
    catalogue = read_catalogue(write_catalogue(tmp_path, mine=ENTRIES["onnx"]))
    with pytest.raises(ValueError, match=message):
        get_worker(name, catalogue)
    with pytest.raises(ValidationError) as caught:
        WorkerSettings.model_validate({"catalogue": catalogue, "label": ["vgg16"], "held_out": [name]})
    with pytest.raises(ValueError, match=message):
        raise ValueError(describe_mistakes(caught.value).removeprefix("held_out: "))


def test_alexnet_is_known_once_the_catalogue_has_it(tmp_path: Path) -> None:
    catalogue = read_catalogue(write_catalogue(tmp_path, alexnet=ENTRIES["alexnet"]))
    assert get_worker("alexnet", catalogue) == catalogue["alexnet"]


# The workers of a run


@pytest.mark.parametrize(
    ("label", "held_out", "message"),
    [
        (["miniature_vg"], ["miniature_plain"], "unknown worker 'miniature_vg', did you mean 'miniature_vgg'"),
        (["miniature_vgg"] * 2, ["miniature_plain"], "'miniature_vgg' is named twice"),
        (["miniature_plain"], ["miniature_vgg"] * 2, "'miniature_vgg' is named twice"),
        (["miniature_vgg"], ["miniature_vgg"], "a worker that makes the label cannot judge it"),
        ([], ["miniature_vgg"], "at least 1 item"),
        (["miniature_vgg"], ["mean"], "'mean' cannot name a worker"),
        (["miniature/vgg"], ["miniature_plain"], "'miniature/vgg' cannot name a worker"),
    ],
)
def test_a_wrong_choice_of_workers_is_refused(label: list[str], held_out: list[str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WorkerSettings(label=label, held_out=held_out)


def test_a_relative_of_a_label_worker_cannot_judge() -> None:
    spec = ExportedSpec.model_validate(ENTRIES["onnx"])
    catalogue = {"echo": spec, "echo_large": spec.model_copy(update={"input_size": 512})}
    with pytest.raises(ValidationError, match="'echo_large' in held_out is of the family 'echo', as 'echo' in label"):
        WorkerSettings(catalogue=catalogue, label=["echo"], held_out=["echo_large"])
    assert WorkerSettings(catalogue=catalogue, label=["echo", "echo_large"], held_out=["vgg16"]).names


def test_a_run_keeps_the_entries_that_it_uses_and_no_others() -> None:
    catalogue = {"echo": ExportedSpec.model_validate(ENTRIES["onnx"]), "unused": KNOWN_WORKERS["resnet50"]}
    settings = WorkerSettings(catalogue=catalogue, label=["vgg16", "echo"], held_out=["miniature_plain"])
    used = {"vgg16": KNOWN_WORKERS["vgg16"], "echo": catalogue["echo"]}
    assert settings.catalogue == {**used, "miniature_plain": KNOWN_WORKERS["miniature_plain"]}
    # A pod parses the dumped settings again.
    assert WorkerSettings.model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("together", "groups"),
    [
        (None, [["vgg16", "resnet50", "inception_v3", "mobilenet_v2", "miniature_plain"]]),
        (1, [["vgg16"], ["resnet50"], ["inception_v3"], ["mobilenet_v2"], ["miniature_plain"]]),
        (2, [["vgg16", "resnet50"], ["inception_v3", "mobilenet_v2"], ["miniature_plain"]]),
        (9, [["vgg16", "resnet50", "inception_v3", "mobilenet_v2", "miniature_plain"]]),
    ],
)
def test_workers_are_run_in_groups_label_workers_first(together: int | None, groups: list[list[str]]) -> None:
    settings = WorkerSettings(
        label=["vgg16", "resnet50", "inception_v3"], held_out=["mobilenet_v2", "miniature_plain"], together=together
    )
    assert settings.groups == groups
    assert settings.names == [name for group in groups for name in group]


@pytest.mark.parametrize(
    ("together", "groups"),
    [(None, [["a", "c"], ["b", "d"]]), (1, [["a"], ["c"], ["b"], ["d"]])],
)
def test_reduced_precision_which_holds_for_a_process_is_shared(together: int | None, groups: list[list[str]]) -> None:
    spec = KNOWN_WORKERS["resnet50"].model_dump(mode="json")
    catalogue = {name: {**spec, "family": name, "reduced_precision": name in "bd"} for name in "abcd"}
    settings = WorkerSettings.model_validate(
        {"catalogue": catalogue, "label": ["a", "b"], "held_out": ["c", "d"], "together": together}
    )
    assert settings.groups == groups


def test_a_group_has_a_worker_at_least() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        WorkerSettings(label=["vgg16"], held_out=["resnet50"], together=0)
