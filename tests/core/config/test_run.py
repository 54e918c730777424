"""A config is accepted whole, or refused with every mistake named by its key."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from metrifier_core.config.run import ConfigError, RunConfig, load_config
from metrifier_core.distortions import get_distortion
from metrifier_core.sources import DigitsSource, FolderSource, ManifestSource
from metrifier_core.workers import ExportedSpec

DIGITS = Path("configs/digits.yaml")
JPEG = get_distortion("jpeg").bounds

CATALOGUE = """
big_onnx:
  format: onnx
  family: Big
  file: weights/big.onnx
  sha256: {sha256}
  layout: NCHW
  mean: [0.5, 0.5, 0.5]
  outputs: logits
miniature_own:
  format: miniature
  family: Big
  architecture: plain
  epochs: 3
never_used:
  format: miniature
  family: Other
  architecture: vgg
""".format(sha256="a" * 64)

FOLDERS = """
name: folders
source:
  kind: manifest
  manifest: ../data/manifest.csv
  root: ../data
splits:
  - {match: "val/*", calibration: 0.5, test: 0.5}
  - {worker_train: 0.2, train: 0.7, validation: 0.1}
distortions:
  types: [jpeg]
  versions_per_source: 3
workers:
  catalogue: workers/catalogue.yaml
  label: [big_onnx]
  held_out: [miniature_vgg]
"""


def refusal(*overrides: str, path: Path = DIGITS) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Write a config that names other files, in a folder beside theirs."""
    config = tmp_path / "configs" / "folders.yaml"
    (config.parent / "workers").mkdir(parents=True)
    config.write_text(FOLDERS)
    (config.parent / "workers" / "catalogue.yaml").write_text(CATALOGUE)
    return config


# What is accepted


def test_the_digits_config_loads() -> None:
    config = load_config(DIGITS)
    assert isinstance(config.source, DigitsSource)
    assert config.workers.names == [*config.workers.label, *config.workers.held_out]
    assert set(config.workers.catalogue) == set(config.workers.names)
    assert config.metrifier.flip is False, "a mirrored digit is another digit"


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("name=quick", "", "name", "quick"),
        ("seed=0x10", "", "seed", 16),
        ("metrifier.epochs=3", "metrifier", "epochs", 3),
        ("metrifier.learning_rate=1e-3", "metrifier", "learning_rate", 0.001),
        ("metrifier.flip=true", "metrifier", "flip", True),
        ("source.max_sources=400", "source", "max_sources", 400),
        ("source.max_sources=", "source", "max_sources", None),
        ("distortions.types=[jpeg, contrast]", "distortions", "types", ["jpeg", "contrast"]),
        ("distortions.held_out=[plasma]", "distortions", "held_out", ["plasma"]),
        ("evaluation={bootstrap_replicates: 20}", "evaluation", "bootstrap_replicates", 20),
        ("evaluation.bootstrap_replicates=50", "evaluation", "bootstrap_replicates", 50),
        ("tracking.experiment=a=b", "tracking", "experiment", "a=b"),
    ],
)
def test_an_override_stands_above_the_file(override: str, section: str, key: str, value: Any) -> None:
    config = load_config(DIGITS, [override])
    assert getattr(getattr(config, section) if section else config, key) == value
    untouched = load_config(DIGITS).model_dump(exclude={section or key})
    assert config.model_dump(exclude={section or key}) == untouched


def test_the_last_override_of_a_key_counts() -> None:
    assert load_config(DIGITS, ["seed=1", "seed=2"]).seed == 2


def test_a_config_cannot_be_changed() -> None:
    config = load_config(DIGITS)
    with pytest.raises(ValidationError, match="frozen"):
        config.metrifier.epochs = 3  # type: ignore[misc]


# What is refused: an override of a sound config, and all that is said of it.

UNKNOWN_KEYS = [
    ("sead=1", "sead: unknown key, did you mean 'seed'?"),
    ("source.sid=32", "source.sid: unknown key, did you mean 'side'?"),
    ("splits=[{tran: 1}]", "splits.0.tran: unknown key, did you mean 'train'?"),
    ("distortions.type=[jpeg]", "distortions.type: unknown key, did you mean 'types'?"),
    ("workers.heldout=[]", "workers.heldout: unknown key, did you mean 'held_out'?"),
    ("metrifier.epoch=3", "metrifier.epoch: unknown key, did you mean 'epochs'?"),
    ("evaluation.bootstrap=3", "evaluation.bootstrap: unknown key, did you mean 'bootstrap_replicates'?"),
    ("tracking.model=m", "tracking.model: unknown key, did you mean 'model_name'?"),
    ("tracking.zzz=m", "tracking.zzz: unknown key, allowed: experiment, kubeflow, model_name, uri"),
    (
        "workers.catalogue={onnx: {format: miniature, family: a, architecture: vgg, epoch: 3}}",
        "workers.catalogue.onnx.epoch: unknown key, did you mean 'epochs'?",
    ),
    ("evaluation={digits: 3}", "evaluation.digits: unknown key, allowed: bootstrap_replicates, leave_one_family_out"),
]

_ENTRY = "format: keras_applications, application: MobileNetV2"
BACKBONE = [
    (
        f"metrifier={{architecture: multitap_large, backbone: {{{_ENTRY}}}}}",
        "metrifier.backbone.family: is missing",
    ),
    (
        "metrifier={architecture: multitap_large, backbone: {format: tflit}}",
        "metrifier.backbone.format: unknown format 'tflit', did you mean 'tflite'?",
    ),
    ("metrifier.epochs=0", "metrifier: epochs: without any, nothing learns"),
    (
        "metrifier={architecture: multitap_large, frozen_epochs: 0, epochs: 0}",
        "metrifier: epochs: without any, nothing learns",
    ),
    (
        "metrifier={architecture: multitap_large, backbone: mobilenet}",
        "metrifier.backbone: 'mobilenet' is neither an entry nor FILE#NAME of a catalogue of workers",
    ),
    (
        "metrifier={architecture: multitap_large, backbone: ../tests/realdata/workers.yaml#mobilenet_v2}",
        (
            "metrifier.backbone: ../tests/realdata/workers.yaml holds no 'mobilenet_v2', did you mean "
            "'mobilenet_v2_quant'?"
        ),
    ),
    (
        f"metrifier.backbone={{{_ENTRY}, family: a}}",
        "metrifier: backbone: nano is trained from scratch and has none",
    ),
    (
        f"metrifier={{architecture: multitap_large, backbone: {{{_ENTRY}, family: miniature inception}}}}",
        (
            "metrifier.backbone: is of the family 'miniature inception', as 'miniature_inception' in workers.held_out, "
            "and cannot judge it"
        ),
    ),
]

UNKNOWN_NAMES = [
    ("source.kind=digit", "source.kind: unknown kind 'digit', did you mean 'digits'?"),
    (
        "source.kind=web",
        "source.kind: unknown kind 'web', allowed: archive, digits, folder, imagenet, manifest, parquet, tfds",
    ),
    ("distortions.types=[jpg]", "distortions.types: unknown distortion 'jpg', did you mean 'jpeg'?"),
    (
        "distortions.types=[own:rain]",
        "distortions.types: distortion 'own:rain': the module cannot be imported: No module named 'own'",
    ),
    (
        "distortions.levels={jpg: [90, 80, 70, 60, 50]}",
        "distortions.levels: unknown distortion 'jpg', did you mean 'jpeg'?",
    ),
    ("distortions.held_out=[jpg]", "distortions.held_out: unknown distortion 'jpg', did you mean 'jpeg'?"),
    (
        "workers.held_out=[mean]",
        "workers.held_out: 'mean' cannot name a worker: letters, digits, '.', '_', '-', and not 'mean'",
    ),
    (
        "workers.held_out=[../x]",
        "workers.held_out: '../x' cannot name a worker: letters, digits, '.', '_', '-', and not 'mean'",
    ),
    ("workers.label=[miniature_vg]", "workers.label: unknown worker 'miniature_vg', did you mean 'miniature_vgg'?"),
    (
        "workers.held_out=[inceptionv3]",
        "workers.held_out: unknown worker 'inceptionv3', did you mean 'inception_v3'?",
    ),
    (
        "workers.catalogue={own: {format: onx}}",
        "workers.catalogue.own.format: unknown format 'onx', did you mean 'onnx'?",
    ),
    ("metrifier.architecture=nanoo", "metrifier.architecture: unknown architecture 'nanoo', did you mean 'nano'?"),
]

TWICE = [
    ("distortions.types=[jpeg, jpeg]", "distortions.types: 'jpeg' is named twice"),
    ("workers.label=[miniature_vgg, miniature_vgg]", "workers.label: 'miniature_vgg' is named twice"),
    ("workers.held_out=[miniature_vgg, miniature_vgg]", "workers.held_out: 'miniature_vgg' is named twice"),
    ("distortions.severities=[1, 1]", "distortions.severities: [1, 1]: expected different numbers from 1 to 5"),
    (
        "distortions.held_out=[jpeg]",
        "distortions: 'jpeg' is in types and in held_out: a held-out distortion is never trained on",
    ),
    (
        "workers.held_out=[miniature_vgg]",
        "workers: 'miniature_vgg' is in label and in held_out: a worker that makes the label cannot judge it",
    ),
    (
        "workers.catalogue={miniature_inception: {format: miniature, family: miniature vgg, architecture: inception}}",
        "workers: 'miniature_inception' in held_out is of the family 'miniature vgg', as 'miniature_vgg' in label",
    ),
]

MISSING = [
    ("source={side: 32}", "source.kind: is missing"),
    ("source={kind: folder}", "source.root: is missing"),
    (
        "workers={label: [miniature_vgg]}",
        "workers.held_out: name a worker that judges, or set evaluation.leave_one_family_out=true",
    ),
    ("workers.catalogue={own: {family: a}}", "workers.catalogue.own.format: is missing"),
    ("workers.catalogue=", "workers.catalogue: should be a section with keys of its own"),
    ("workers.catalogue=nowhere.yaml", f"workers.catalogue: there is no file {Path('configs/nowhere.yaml').resolve()}"),
    (
        "distortions.levels=nowhere.yaml",
        f"distortions.levels: there is no file {Path('configs/nowhere.yaml').resolve()}",
    ),
    ("distortions.levels={jpeg: [90, 70, 50, 30]}", "distortions.levels.jpeg.4: is missing"),
    ("metrifier=", "metrifier: should be a section with keys of its own"),
    ("source=digits", "source: should be a section with keys of its own"),
]

WRONG_VALUES = [
    (
        "tracking.uri=https://me:secret@host.example",
        "tracking.uri: credentials belong in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    (
        "tracking.kubeflow=https://me:secret@host.example",
        "tracking.kubeflow: expected the address of Kubeflow's UI such as https://kubeflow.example, no user in it",
    ),
    ("splits=[{train: 0.5, test: 0.4}]", "splits.0: the fractions of '*' add up to 0.9, not to 1"),
    ("splits=[{train: 1}]", "splits: no rule gives 'calibration' anything"),
    (
        "splits=[{calibration: .25, train: .25, validation: .25, test: .25}]",
        "splits: no rule gives 'worker_train' anything",
    ),
    ("distortions.severities=[0, 1]", "distortions.severities: [0, 1]: expected different numbers from 1 to 5"),
    ("distortions.types=[plasma]", "distortions: 'plasma' is for testing only: list it in held_out"),
    (
        "distortions.levels={jpeg: [90, 70, 50, 30, 30.5]}",
        f"distortions.levels: [90.0, 70.0, 50.0, 30.0, 30.5] of jpeg: levels must fall from {JPEG[0]} to {JPEG[1]}",
    ),
    ("distortions.severities=[6]", "distortions.severities: [6]: expected different numbers from 1 to 5"),
]

NO_ASSIGNMENT = [
    ("nonsense", "'nonsense': expected key=value, such as metrifier.epochs=3"),
    ("=3", "'=3': expected key=value, such as metrifier.epochs=3"),
    ("seed.low=3", "seed.low: 'seed' is not a section"),
    ("splits.0.train=1", "splits.0.train: 'splits' is not a section"),
    ("seed=[1", "seed: '[1' is not YAML, line 1: expected ',' or ']', but got '<stream end>'"),
]


@pytest.mark.parametrize(
    ("override", "message"), [*UNKNOWN_KEYS, *BACKBONE, *UNKNOWN_NAMES, *TWICE, *MISSING, *WRONG_VALUES, *NO_ASSIGNMENT]
)
def test_a_mistake_is_refused_in_one_line(override: str, message: str) -> None:
    assert refusal(override) == message


@pytest.mark.parametrize(
    ("override", "key", "reason", "got"),
    [
        ("seed=low", "seed", "valid integer", "'low'"),
        ("seed=1.5", "seed", "valid integer", "1.5"),
        ("seed=-1", "seed", "greater than or equal to 0", "-1"),
        ("name=", "name", "valid string", "nothing"),
        ("name=A b", "name", "match pattern", "'A b'"),
        ("name=../else", "name", "match pattern", "'../else'"),
        ("shards=0", "shards", "greater than or equal to 1", "0"),
        ("source.side=4", "source.side", "greater than or equal to 8", "4"),
        ("source.max_sources=0", "source.max_sources", "greater than or equal to 1", "0"),
        ("splits=[{train: 1.5}]", "splits.0.train", "less than or equal to 1", "1.5"),
        ("distortions.types=jpeg", "distortions.types", "valid list", "'jpeg'"),
        ("distortions.versions_per_source=0", "distortions.versions_per_source", "greater than or equal to 1", "0"),
        ("metrifier.crop=16", "metrifier.crop", "greater than or equal to 32", "16"),
        ("metrifier.flip=perhaps", "metrifier.flip", "valid boolean", "'perhaps'"),
        ("metrifier.learning_rate=.nan", "metrifier.learning_rate", "", "nan"),
        (
            "workers.catalogue={own: {format: miniature, family: a, architecture: wgg}}",
            "workers.catalogue.own.architecture",
            "should be 'plain', 'vgg', 'residual', 'inverted_residual' or 'inception'",
            "'wgg'",
        ),
        ("tracking.model_name=a/b", "tracking.model_name", "match pattern", "'a/b'"),
        ("evaluation.bootstrap_replicates=1", "evaluation.bootstrap_replicates", "greater than or equal to 10", "1"),
    ],
)
def test_a_wrong_value_is_shown(override: str, key: str, reason: str, got: str) -> None:
    message = refusal(override)
    assert message.startswith(f"{key}: ")
    assert reason in message
    assert message.endswith(f" (got {got})")


@pytest.mark.parametrize("key", ["splits", "distortions.types", "workers.label"])
def test_an_empty_list_is_refused(key: str) -> None:
    assert refusal(f"{key}=[]").startswith(f"{key}: List should have at least 1 item")


def test_every_mistake_is_named() -> None:
    mistakes = ["sead=1", "seed=low", "metrifier.epoch=1", "metrifier.epochs=-1", "distortions.types=[jpg]"]
    lines = refusal(*mistakes).splitlines()
    assert {line.partition(":")[0] for line in lines} == {mistake.partition("=")[0] for mistake in mistakes}
    assert len(lines) == len(mistakes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{path} holds no settings"),
        ("- a list", "{path} holds no settings"),
        ("a: [1\nb: }", "{path} is not YAML, line 2: expected ',' or ']', but got ':'"),
        ("name: a\nseed: 1\nseed: 2\n", '{path} is not YAML, line 3: found duplicate key "seed" with value "2"'),
        ("name: caf\\xe9", "{path} is not YAML: unacceptable character #x00e9"),
        ("name: a\n", "source: is missing\nsplits: is missing\nworkers: is missing"),
    ],
)
def test_a_file_without_a_config_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.replace("\\xe9", "\xe9").encode("latin-1"))
    assert refusal(path=path).startswith(message.format(path=path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(path=tmp_path / "no.yaml") == f"there is no config {tmp_path / 'no.yaml'}"
    assert refusal(path=tmp_path) == f"there is no config {tmp_path}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{path} holds no workers"),
        ("- big_onnx", "{path} holds no workers"),
        ("a: {", "{path} is not YAML, line 1: "),
        ("a: {}\na: {}", "{path} is not YAML, line 2: found duplicate key"),
    ],
)
def test_a_file_without_a_catalogue_is_refused(folders: Path, text: str, message: str) -> None:
    catalogue = folders.parent / "workers" / "catalogue.yaml"
    catalogue.write_text(text)
    assert refusal(path=folders).startswith("workers.catalogue: " + message.format(path=catalogue))


def test_a_catalogue_entry_is_checked(folders: Path) -> None:
    entry = "{format: onnx, family: a, file: a.onnx, sha256: abc, layout: NHWD, std: [1, 1], outputs: logits}"
    lines = refusal(f"workers.catalogue={{own: {entry}}}", path=folders).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "workers.catalogue.own.layout",
        "workers.catalogue.own.std.2",
        "workers.catalogue.own.sha256",
    ]


def test_families_cannot_stand_on_both_sides_of_a_catalogue(folders: Path) -> None:
    assert refusal("workers.held_out=[miniature_own]", path=folders) == (
        "workers: 'miniature_own' in held_out is of the family 'Big', as 'big_onnx' in label"
    )


# Paths


def test_paths_are_relative_to_the_file_that_holds_them(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders.parent)
    config = load_config(Path(folders.name))
    assert isinstance(config.source, ManifestSource)
    assert config.source.manifest == str(folders.parents[1] / "data" / "manifest.csv")
    assert config.source.root == str(folders.parents[1] / "data")
    worker = config.workers.catalogue["big_onnx"]
    assert isinstance(worker, ExportedSpec)
    assert worker.file == str(folders.parent / "workers" / "weights" / "big.onnx"), "relative to the catalogue"


def test_a_path_of_an_inlined_entry_is_relative_to_the_config(folders: Path) -> None:
    entry = f"{{format: onnx, family: a, file: a.onnx, sha256: {'a' * 64}, layout: NCHW, outputs: logits}}"
    config = load_config(folders, [f"workers.catalogue={{own: {entry}}}", "workers.label=[own]"])
    worker = config.workers.catalogue["own"]
    assert isinstance(worker, ExportedSpec)
    assert worker.file == str(folders.parent / "a.onnx")


def test_home_and_absolute_paths_are_kept(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load_config(folders, ["source={kind: folder, root: ~/images}"])
    assert isinstance(config.source, FolderSource)
    assert config.source.root == "/home/somebody/images"
    catalogue = folders.parent / "workers" / "catalogue.yaml"
    for written, expected in (("~/big.onnx", "/home/somebody/big.onnx"), ("/weights/big.onnx", "/weights/big.onnx")):
        catalogue.write_text(CATALOGUE.replace("weights/big.onnx", written))
        worker = load_config(folders).workers.catalogue["big_onnx"]
        assert isinstance(worker, ExportedSpec)
        assert worker.file == expected


def test_the_home_of_nobody_is_refused(folders: Path) -> None:
    with pytest.raises(ConfigError, match=r"^source.root: ~nobody-of-this-name/images: Could not determine home"):
        load_config(folders, ["source={kind: folder, root: ~nobody-of-this-name/images}"])


def test_the_levels_of_a_file_travel_on(folders: Path) -> None:
    table = "distortions: {jpeg: {levels: [90, 70, 50, 30, 10], tcp: [0.9, 0.7, 0.5, 0.3, 0.1]}}"
    (folders.parent / "levels.yaml").write_text(table)
    arguments = load_config(folders, ["distortions.levels=levels.yaml"]).pipeline_arguments()
    assert arguments["distortions"]["levels"] == {"jpeg": [90, 70, 50, 30, 10]}


def test_only_the_workers_of_the_run_travel_on(folders: Path) -> None:
    assert list(load_config(folders).workers.catalogue) == ["big_onnx", "miniature_vgg"]


# The way through the pipeline


@pytest.mark.parametrize("overrides", [[], ["source.max_sources=100", "distortions.versions_per_source=4"]])
@pytest.mark.parametrize("name", ["digits", "folders"])
def test_pipeline_arguments_survive_json(name: str, overrides: list[str], folders: Path) -> None:
    config = load_config(DIGITS if name == "digits" else folders, overrides)
    # As protobuf does, which has no integers.
    arguments = json.loads(json.dumps(config.pipeline_arguments()), parse_int=float)
    assert arguments.pop("worker_groups") == [config.workers.names]
    assert arguments.pop("experiment") == config.tracking.experiment
    assert RunConfig.model_validate(arguments) == config


def test_pipeline_arguments_say_all_that_is_not_optional() -> None:
    arguments = load_config(DIGITS).pipeline_arguments()
    assert set(arguments) == {*RunConfig.model_fields, "worker_groups", "experiment"} - {"cluster"}
    assert "max_sources" not in arguments["source"], "what is left out is not handed on as null"


def test_defaults_are_written_out(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        textwrap.dedent(
            """
            name: smallest
            source: {kind: digits}
            splits: [{worker_train: 0.2, calibration: 0.2, train: 0.2, validation: 0.2, test: 0.2}]
            distortions: {types: [jpeg]}
            workers: {label: [miniature_vgg], held_out: [miniature_plain]}
            """
        )
    )
    arguments = load_config(path).pipeline_arguments()
    assert arguments["distortions"]["severities"] == [1, 2, 3, 4, 5]
    assert arguments["metrifier"]["architecture"] == "nano"
    assert arguments["tracking"]["experiment"] == "metrifier"
