"""`metrifier workers`: list them, verify them on labelled images, and import AlexNet from torchvision."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from metrifier_core.cli import app
from metrifier_core.execution.checksums import file_sha256
from metrifier_core.sources import ManifestSource, list_items
from metrifier_core.workers import KNOWN_WORKERS, AlexNetSpec, create_worker, read_catalogue
from tests.helpers.alexnet_shapes import SHAPES
from tests.helpers.bad_images import picture
from tests.helpers.colour_workers import (
    COLOURS,
    draw_colours,
    make_entry,
    write_colour_classifier,
    write_manifest,
    write_rows,
)

IMAGES = 30


def run(*arguments: str | Path, columns: int = 300) -> Result:
    """Run `metrifier workers`; an exception other than its exit fails the test."""
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(
        app, ["workers", *map(str, arguments)], catch_exceptions=False
    )


def words(text: str) -> str:
    """Return the text of a panel or a page of help without its frame."""
    return " ".join(text.replace("│", " ").split())


def read_table(text: str) -> list[list[str]]:
    """Return the cells of a printed table whose rows are one line each."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line.startswith("│")]


def write_catalogue(path: Path, **entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps(entries))  # JSON is YAML
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_colour_classifier(tmp_path / "colour.onnx")


@pytest.fixture
def catalogue(weights: Path, tmp_path: Path) -> Path:
    """Write a catalogue with a correct entry and one whose channels are swapped."""
    swapped = make_entry(weights, family="Swapped", channels="BGR")
    return write_catalogue(tmp_path / "workers.yaml", right=make_entry(weights), swapped=swapped)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path, *draw_colours(IMAGES))


# list


def test_list_shows_what_a_config_can_name_family_by_family() -> None:
    result = run("list")
    assert result.exit_code == 0
    rows = read_table(result.stdout)
    assert {row[1]: (row[0], row[2]) for row in rows} == {
        name: (spec.family, spec.format) for name, spec in KNOWN_WORKERS.items()
    }
    assert [row[:2] for row in rows] == sorted((row[:2] for row in rows), key=lambda row: (row[0].lower(), row[1]))
    locations = {row[1]: row[3] for row in rows}
    assert (locations["resnet50"], locations["miniature_vgg"]) == ("imagenet", "trained on the source")


def test_list_shows_the_entries_of_a_catalogue_too(weights: Path, tmp_path: Path) -> None:
    catalogue = write_catalogue(
        tmp_path / "workers.yaml",
        zebra=make_entry(weights, family="aardvark", licence="MIT"),
        ant=make_entry(weights, family="zoo", file="weights/ant.onnx"),
        vgg16=make_entry(weights, family="VGG", file="s3://bucket/vgg16.onnx"),
    )
    rows = read_table(run("list", catalogue).stdout)
    assert rows[0] == ["aardvark", "zebra", "onnx", str(weights), "MIT"]
    assert rows[-1][:4] == ["zoo", "ant", "onnx", str(tmp_path / "weights" / "ant.onnx")]
    assert [row[2:4] for row in rows if row[1] == "vgg16"] == [["onnx", "s3://bucket/vgg16.onnx"]]
    assert len(rows) == len(KNOWN_WORKERS) + 2


def test_nothing_is_cut_where_the_terminal_is_narrow() -> None:
    narrow = run("list", columns=40).stdout
    assert "…" not in narrow
    wide = run("list").stdout
    assert sorted(filter(str.isalnum, narrow)) == sorted(filter(str.isalnum, wide))


def test_list_says_what_is_wrong_with_a_catalogue(weights: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    wrong = write_catalogue(tmp_path / "workers.yaml", mine=make_entry(weights, chanels="BGR"))
    for path, message in (
        (missing, f"there is no file {missing}"),
        (wrong, "workers.catalogue.mine.chanels: unknown key, did you mean 'channels'?"),
    ):
        result = run("list", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"{path}: {message}\n"


# verify


def test_verify_says_ok_and_exits_with_0(catalogue: Path, manifest: Path) -> None:
    result = run("verify", catalogue, "--images", manifest, "--worker", "right")
    assert (result.exit_code, result.stderr) == (0, "")
    ((name, images, top1, top5, temperature, milliseconds, verdict),) = read_table(result.stdout)
    assert (name, images, verdict) == ("right", str(IMAGES), "ok")
    assert top1 == top5 == "100.0% (88.6% to 100.0%)"
    assert float(temperature) == pytest.approx(0.05, abs=0.01)
    assert float(milliseconds) >= 0


def test_verify_names_the_fault_and_exits_with_1(catalogue: Path, manifest: Path) -> None:
    result = run("verify", catalogue, "--images", manifest)
    assert result.exit_code == 1
    assert [(row[0], row[-1]) for row in read_table(result.stdout)] == [("right", "ok"), ("swapped", "FAULTY")]
    faults = [line for line in result.stdout.splitlines() if ": " in line]
    assert faults == ["swapped: your preprocessing looks wrong: channels RGB gives 100%, channels BGR 40%"]


def test_verify_takes_the_workers_that_are_named_in_their_order(catalogue: Path, manifest: Path) -> None:
    result = run("verify", catalogue, "--images", manifest, "--worker", "swapped", "--worker", "right")
    assert [row[0] for row in read_table(result.stdout)] == ["swapped", "right"]


def test_verify_takes_what_a_config_can_name_without_an_entry(catalogue: Path, manifest: Path) -> None:
    result = run("verify", catalogue, "--images", manifest, "--worker", "miniature_vgg")
    assert result.exit_code == 1
    assert "miniature_vgg: it is trained on the images of a run: there is nothing to verify before" in result.stdout


def test_verify_goes_on_after_a_worker_that_cannot_be_run(weights: Path, manifest: Path, tmp_path: Path) -> None:
    lost = make_entry(tmp_path / "lost.onnx")
    catalogue = write_catalogue(tmp_path / "workers.yaml", lost=lost, right=make_entry(weights))
    result = run("verify", catalogue, "--images", manifest)
    assert result.exit_code == 1
    first, second = read_table(result.stdout)
    assert first == ["lost", "0", "-", "-", "-", "-", "FAULTY"]
    assert (second[0], second[-1]) == ("right", "ok")
    assert f"lost: workers.catalogue.lost.file: there is no file {tmp_path / 'lost.onnx'}" in result.stdout


def test_verify_says_which_images_are_left_out_once(catalogue: Path, manifest: Path, tmp_path: Path) -> None:
    rows = [(f"{index:03d}.png", index % len(COLOURS)) for index in range(IMAGES)]
    (tmp_path / "images" / "text.png").write_text("no image")
    write_rows(manifest, [*rows, ("text.png", 0)])
    result = run("verify", catalogue, "--images", manifest)
    (line,) = result.stderr.splitlines()
    assert line.startswith("left out text.png: not an image in a known format")
    assert {row[1] for row in read_table(result.stdout)} == {str(IMAGES)}


def test_match_chooses_images_by_their_path(catalogue: Path, tmp_path: Path) -> None:
    """The labels of one folder are all wrong, which shows whether it is used."""
    colours, labels = draw_colours(IMAGES)
    write_manifest(tmp_path, colours, labels, "val/{:03d}.png")
    write_manifest(tmp_path, colours, (labels + 3) % len(COLOURS), "train/{:03d}.png")
    rows = [
        (f"{folder}/{index:03d}.png", int(label))
        for folder, shift in (("val", 0), ("train", 3))
        for index, label in enumerate((labels + shift) % len(COLOURS))
    ]
    manifest = write_rows(tmp_path / "manifest.csv", rows)
    arguments = ["verify", catalogue, "--images", manifest, "--worker", "right"]
    (row,) = read_table(run(*arguments, "--match", "val/*").stdout)
    assert row[1:3] == [str(IMAGES), "100.0% (88.6% to 100.0%)"]
    (row,) = read_table(run(*arguments).stdout)
    assert row[1] == str(2 * IMAGES)
    assert row[2].startswith("50.0%")
    refused = run(*arguments, "--match", "test/*")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == f"--match test/*: there is no such image in {manifest}\n"


def test_limit_takes_images_in_an_order_of_their_identity(catalogue: Path, manifest: Path, tmp_path: Path) -> None:
    """As a source's `max_sources` does: the first lines of a manifest may be of one class."""
    source = ManifestSource(kind="manifest", manifest=str(manifest), root=str(tmp_path / "images"), max_sources=20)
    chosen = {item.image_id for item in list_items(source)}
    for path in (tmp_path / "images").iterdir():
        if path.name not in chosen:
            path.unlink()
    result = run("verify", catalogue, "--images", manifest, "--worker", "right", "--limit", "20")
    assert (result.exit_code, result.stderr) == (0, "")
    (row,) = read_table(result.stdout)
    assert row[1] == "20"
    assert "20" in words(run("verify", catalogue, "--images", manifest, "--limit", "19").stderr)
    assert run("verify", catalogue, "--images", manifest, "--limit", "19").exit_code == 2


def test_root_is_the_folder_images_beside_the_manifest_or_its_own(catalogue: Path, tmp_path: Path) -> None:
    beside = write_manifest(tmp_path / "beside", *draw_colours(IMAGES))
    own = write_manifest(tmp_path / "own", *draw_colours(IMAGES))
    inside = own.rename(own.parent / "images" / "manifest.csv")
    elsewhere = write_rows(tmp_path / "manifest.csv", [(f"{index:03d}.png", index % 10) for index in range(IMAGES)])
    for arguments in (
        ["--images", beside],
        ["--images", inside],
        ["--images", elsewhere, "--root", own.parent / "images"],
        # --root takes precedence over the folder beside the manifest.
        ["--images", beside, "--root", own.parent / "images"],
    ):
        assert run("verify", catalogue, "--worker", "right", *arguments).exit_code == 0
    assert run("verify", catalogue, "--worker", "right", "--images", elsewhere).exit_code == 1
    (tmp_path / "empty").mkdir()
    result = run("verify", catalogue, "--worker", "right", "--images", beside, "--root", tmp_path / "empty")
    assert result.exit_code == 1
    assert "none of the images can be used" in result.stdout


def test_output_holds_everything_as_strict_json(weights: Path, manifest: Path, tmp_path: Path) -> None:
    catalogue = write_catalogue(
        tmp_path / "workers.yaml",
        right=make_entry(weights),
        swapped=make_entry(weights, channels="BGR"),
        lost=make_entry(tmp_path / "lost.onnx"),
    )
    with manifest.open("a") as stream:
        stream.write("missing.png,0\n")
    output = tmp_path / "found.json"
    result = run("verify", catalogue, "--images", manifest, "--output", output)
    assert result.exit_code == 1

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(output.read_text(), parse_constant=refuse)
    assert list(found) == ["right", "swapped", "lost"]
    right = found["right"]
    assert right["top1"] == right["top5"] == {"share": 1.0, "low": pytest.approx(0.8865, abs=1e-4), "high": 1.0}
    assert right["rejected"] == {"missing.png": "cannot be read: No such file or directory"}
    assert (right["faults"], right["images"]) == ([], IMAGES)
    assert found["swapped"]["faults"] == ["your preprocessing looks wrong: channels RGB gives 100%, channels BGR 40%"]
    assert found["swapped"]["top1"]["share"] == 0.4
    assert [found["lost"][key] for key in ("top1", "top5", "temperature", "milliseconds")] == [None] * 4


def test_a_dash_prints_json_alone(catalogue: Path, manifest: Path) -> None:
    result = run("verify", catalogue, "--images", manifest, "--worker", "right", "--output", "-")
    assert result.exit_code == 0
    assert list(json.loads(result.stdout)) == ["right"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--worker", "swaped"], "--worker: unknown worker 'swaped', did you mean 'swapped'?"),
        (
            ["--worker", "right", "--worker", "mobilenet_v3"],
            "unknown worker 'mobilenet_v3', did you mean 'mobilenet_v2'?",
        ),
        (["--worker", "alexnet"], "FILE` converts torchvision's weights and prints it"),
        (["--root", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_verified_is_named(
    arguments: list[str], message: str, catalogue: Path, manifest: Path, tmp_path: Path
) -> None:
    output = tmp_path / "found.json"
    result = run("verify", catalogue, "--images", manifest, "--output", output, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(f"{message}\n")
    assert result.stderr.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "there is no file MANIFEST"),
        ("path,label\n000.png,0\n", "MANIFEST has no column 'label_index'"),
        ("file,label_index\n000.png,0\n", "MANIFEST has no column 'path'"),
        ("path,label_index\n000.png,zero\n", "MANIFEST, line 2: path '000.png', label_index 'zero'"),
        ("path,label_index\n../000.png,0\n", "MANIFEST, line 2: '../000.png' is not below the root"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_named(
    table: str | None, message: str, catalogue: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "images.csv"
    if table is not None:
        manifest.write_text(table)
    result = run("verify", catalogue, "--images", manifest)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"--images: {message.replace('MANIFEST', str(manifest))}")
    assert result.stderr.count("\n") == 1


def test_verify_needs_images(catalogue: Path) -> None:
    result = run("verify", catalogue)
    assert result.exit_code == 2
    assert "Missing option '--images'" in words(result.stderr)


# import-alexnet


def test_import_alexnet_refuses_what_it_cannot_convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "alexnet.safetensors"
    save_file({"features.0.weight": np.zeros((64, 3, 11, 11), np.float32)}, state)
    own, other = file_sha256(state), "f" * 64
    advice = "(they begin with 7be5be79 or 4df8aa71): give the right one with --sha256"
    for arguments, message in (
        (["none.pth"], "there is no file none.pth"),
        ([state, "--output", "alexnet.keras"], "--output alexnet.keras: expected a name that ends in .weights.h5"),
        ([state], f"{state} has the SHA-256 {own}, which is none of torchvision's {advice}"),
        ([state, "--sha256", other], f"{state} has the SHA-256 {own}, not {other}"),
    ):
        result = run("import-alexnet", *arguments)
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{message}\n")
    assert [path.name for path in tmp_path.iterdir()] == [state.name]


def test_import_alexnet_refuses_a_file_that_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "alexnet.safetensors"
    state.write_bytes(b"text")
    result = run("import-alexnet", state, "--sha256", file_sha256(state))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{state} is not a whole safetensors file: ")
    assert [path.name for path in tmp_path.iterdir()] == [state.name]


def alexnet_by_hand(state: dict[str, NDArray[np.float32]], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits of one image, (3, 224, 224), as torchvision defines them."""

    def windows(maps: NDArray[np.float32], size: int, stride: int) -> NDArray[np.float32]:
        return sliding_window_view(maps, (size, size), axis=(1, 2))[:, ::stride, ::stride]

    maps = pixels
    for name, stride, padding, pooled in (
        ("features.0", 4, 2, True),
        ("features.3", 1, 2, True),
        ("features.6", 1, 1, False),
        ("features.8", 1, 1, False),
        ("features.10", 1, 1, True),
    ):
        kernel, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        padded = np.pad(maps, ((0, 0), (padding, padding), (padding, padding)))
        found = np.tensordot(kernel, windows(padded, kernel.shape[2], stride), axes=([1, 2, 3], [0, 3, 4]))
        maps = np.maximum(found + bias[:, None, None], 0)
        if pooled:
            maps = windows(maps, 3, 2).max(axis=(3, 4))
    values = maps.ravel()
    for name in ("classifier.1", "classifier.4", "classifier.6"):
        values = state[f"{name}.weight"] @ values + state[f"{name}.bias"]
        if name != "classifier.6":
            values = np.maximum(values, 0)
    return values


def test_import_alexnet_prints_an_entry_that_is_a_worker(tmp_path: Path) -> None:
    """One test for everything, since 61 million parameters take seconds."""
    rng = np.random.default_rng(0)
    state = {}
    for name, shape in SHAPES.items():
        state[f"{name}.weight"] = rng.standard_normal(shape, np.float32) * np.float32(2 / np.prod(shape[1:])) ** 0.5
        state[f"{name}.bias"] = rng.standard_normal(shape[0], np.float32) / 10
    source, output = tmp_path / "alexnet.safetensors", tmp_path / "new #1" / "alexnet.weights.h5"
    save_file(state, source)
    result = run("import-alexnet", source, "--sha256", file_sha256(source), "--output", output)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"# from alexnet.safetensors, SHA-256 {file_sha256(source)}\nalexnet:\n")

    entries = tmp_path / "workers.yaml"
    entries.write_text(result.stdout)
    catalogue = read_catalogue(entries)
    spec = catalogue["alexnet"]
    assert isinstance(spec, AlexNetSpec)
    assert (spec.family, spec.weights, spec.sha256) == ("AlexNet", str(output), file_sha256(output))
    assert (spec.source, spec.licence) == ("torchvision, alexnet.safetensors", "BSD-3-Clause")
    assert ["AlexNet", "alexnet", "alexnet", str(output)] in [
        row[:4] for row in read_table(run("list", entries).stdout)
    ]

    image = picture(224, 224)  # large enough for `crop_fraction` to use it whole
    normal = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = alexnet_by_hand(state, normal.transpose(2, 0, 1).astype(np.float32))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(create_worker("alexnet", catalogue).logits([image]), [expected], rtol=0, atol=1e-3)
    # pytest keeps the folders of three runs: these two files are half a gigabyte.
    source.unlink()
    output.unlink()


# Help


@pytest.mark.parametrize("command", ["list", "verify", "import-alexnet"])
def test_help_of_every_command_shows_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"metrifier workers {command} " in words(result.stdout)
    assert command in run("--help").stdout


def test_help_and_list_need_not_wait_for_heavy_libraries() -> None:
    code = """
import sys
from typer.testing import CliRunner
from metrifier_core.cli import app
done = CliRunner().invoke(app, sys.argv[2:])
assert done.exit_code == 0, done.output
print(*(name for name in sys.argv[1].split(",") if name in sys.modules))
"""
    inference = "tensorflow,keras,onnxruntime,ai_edge_litert,torch"
    everything = f"{inference},numpy,cv2,scipy,pyarrow"
    for heavy, arguments in (
        (everything, ["--help"]),
        (everything, ["score", "--help"]),
        (everything, ["threshold", "--help"]),
        (everything, ["workers", "--help"]),
        (everything, ["workers", "verify", "--help"]),
        (inference, ["workers", "list"]),
    ):
        command = [sys.executable, "-c", code, heavy, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "\n", arguments


def test_list_shows_a_path_as_it_is(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "[old]" / "colour.onnx"
    path.parent.mkdir()
    path.write_bytes(weights.read_bytes())
    rows = read_table(run("list", write_catalogue(tmp_path / "workers.yaml", mine=make_entry(path))).stdout)
    assert [row[3] for row in rows if row[1] == "mine"] == [str(path)]


def test_verify_says_where_it_cannot_write(catalogue: Path, manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "nowhere" / "found.json"
    result = run("verify", catalogue, "--images", manifest, "--worker", "right", "--output", output)
    assert result.exit_code == 2
    assert result.stderr == f"--output {output}: there is no folder {output.parent}\n"
