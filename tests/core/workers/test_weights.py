"""Weights are found or fetched, and never read unless their checksum is the catalogue's."""

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import fsspec
import numpy as np
import pytest

from metrifier_core.execution.checksums import file_sha256, path_sha256
from metrifier_core.workers import (
    KNOWN_WORKERS,
    AlexNetSpec,
    ApplicationSpec,
    WorkerSpec,
    copy_weights,
    create_worker,
    find_weights,
    open_worker,
    read_catalogue,
)
from tests.helpers.echo_workers import make_image, make_spec, write_echo

SHELL_SHA256 = "find -L . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_echo(tmp_path / "echo.onnx")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide the cache folder, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "metrifier"


# Checksums


def test_the_checksum_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 1_000_000)
    assert file_sha256(path) == path_sha256(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


@pytest.mark.parametrize(
    "names",
    [
        ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
        ["a/b", "a.b", "a-b", "a b", "ab", "B", "é", "1", "a/b c/d", ".hidden"],
    ],
)
def test_the_checksum_of_a_folder_is_that_of_the_documented_command(names: list[str], tmp_path: Path) -> None:
    assert f"\n{SHELL_SHA256}\n" in Path("docs/workers.md").read_text()
    folder = write_folder(tmp_path / "model", {name: name.encode() * 3 for name in names})
    (folder / "empty").mkdir()
    printed = subprocess.run(["bash", "-c", SHELL_SHA256], cwd=folder, check=True, capture_output=True, text=True)
    assert printed.stdout.split() == [path_sha256(folder), "-"]


def test_the_checksum_of_a_folder_depends_on_every_name_and_byte(tmp_path: Path) -> None:
    contents = [{"a": b"1", "b": b"2"}, {"a": b"1", "b": b"3"}, {"a": b"2", "b": b"1"}, {"a": b"1", "c": b"2"}]
    contents += [{"a": b"1"}, {"a": b"1", "b/c": b"2"}]
    folders = [write_folder(tmp_path / str(index), files) for index, files in enumerate(contents)]
    assert len(set(map(path_sha256, folders))) == len(contents)


# Files and folders


def test_weights_are_found_only_where_they_are_the_catalogues(weights: Path, tmp_path: Path) -> None:
    assert find_weights("echo", make_spec(weights)) == weights
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.echo\.file: there is no file .*nowhere\.onnx$"):
        find_weights("echo", make_spec(tmp_path / "nowhere.onnx"))
    found = file_sha256(weights)
    with pytest.raises(
        ValueError, match=rf"^workers\.catalogue\.echo\.sha256: {weights} has {found}, expected f{{64}}$"
    ):
        find_weights("echo", make_spec(weights, sha256="f" * 64))


@pytest.mark.parametrize("kind", [ApplicationSpec, AlexNetSpec])
def test_the_weights_of_a_known_network_are_found_alike(
    kind: type[ApplicationSpec | AlexNetSpec], weights: Path
) -> None:
    entry: dict[str, str] = {"family": "a", "weights": str(weights), "sha256": file_sha256(weights)}
    entry |= {"format": "alexnet"} if kind is AlexNetSpec else {"format": "keras_applications", "application": "VGG16"}
    spec = kind.model_validate(entry)
    assert find_weights("mine", spec) == weights
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.mine\.weights: there is no file .*nowhere\.h5$"):
        find_weights("mine", spec.model_copy(update={"weights": "/nowhere.h5"}))
    weights.write_bytes(b"another")
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.mine\.sha256: .*echo\.onnx has "):
        find_weights("mine", spec)


def test_the_weights_that_keras_publishes_are_left_to_keras() -> None:
    spec = KNOWN_WORKERS["vgg16"]
    assert isinstance(spec, ApplicationSpec)
    assert find_weights("vgg16", spec) is None


def test_a_saved_model_is_a_folder_and_all_others_are_files(weights: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", {"saved_model.pb": b"1", "variables/variables.index": b"2"})
    spec = make_spec(folder, format="saved_model")
    assert find_weights("mine", spec) == folder
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.mine\.file: there is no folder .*echo\.onnx$"):
        find_weights("mine", make_spec(weights, format="saved_model"))
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.mine\.file: there is no file .*model$"):
        find_weights("mine", make_spec(folder, format="keras"))
    (folder / "variables" / "variables.index").write_bytes(b"3")
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.mine\.sha256: .*model has "):
        find_weights("mine", spec)


# URIs


def test_a_file_behind_a_uri_is_fetched_once(
    weights: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = tmp_path / "remote" / "there.onnx"
    remote.parent.mkdir()
    shutil.copy(weights, remote)
    spec = make_spec(weights, file=f"file://{remote}")
    found = find_weights("echo", spec)
    assert found == cache / f"{spec.sha256}-there.onnx"
    assert found.read_bytes() == weights.read_bytes()
    assert capsys.readouterr().err == f"metrifier: echo: fetching file://{remote}\n"

    remote.unlink()
    assert find_weights("echo", spec) == found
    assert capsys.readouterr().err == ""
    assert list(cache.iterdir()) == [found]


def test_a_file_is_fetched_by_whatever_fsspec_knows(weights: Path, cache: Path) -> None:
    uri = f"memory://{weights.parent.name}/echo.onnx"
    fsspec.filesystem("memory").pipe(uri, weights.read_bytes())
    spec = make_spec(weights, file=uri)
    found = find_weights("echo", spec)
    assert found is not None
    assert found.parent == cache
    fsspec.filesystem("memory").rm(uri)
    assert find_weights("echo", spec) == found
    image = make_image()
    np.testing.assert_array_equal(create_worker("echo", {"echo": spec}).logits([image]), [image.ravel()])


def test_two_files_of_one_name_are_kept_apart(cache: Path, tmp_path: Path) -> None:
    found = []
    for layout in ("NHWC", "NCHW"):
        (tmp_path / layout).mkdir()
        weights = write_echo(tmp_path / layout / "echo.onnx", layout=layout)
        found.append(find_weights("echo", make_spec(weights, file=f"file://{weights}")))
    assert found[0] != found[1]
    assert len(list(cache.iterdir())) == 2


def test_a_file_in_the_cache_that_is_not_whole_is_fetched_anew(weights: Path, cache: Path) -> None:
    spec = make_spec(weights, file=f"file://{weights}")
    found = find_weights("echo", spec)
    assert found is not None
    assert found.parent == cache
    found.write_bytes(found.read_bytes()[:100])
    assert find_weights("echo", spec) == found
    assert file_sha256(found) == spec.sha256


def test_another_file_behind_a_uri_is_refused_and_not_kept(weights: Path, cache: Path) -> None:
    uri = f"file://{weights}"
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        find_weights("echo", make_spec(weights, file=uri, sha256="f" * 64))
    found = file_sha256(weights)
    assert str(caught.value) == f"workers.catalogue.echo.sha256: {uri} has {found}, expected {'f' * 64}"
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "uri", ["file:///nowhere/echo.onnx", "memory://nowhere/echo.onnx", "http://127.0.0.1:9/a", "foo://x"]
)
def test_a_uri_behind_which_nothing_is_is_refused(uri: str, weights: Path, cache: Path) -> None:
    with pytest.raises(ValueError, match=rf"^workers\.catalogue\.echo\.file: cannot fetch {uri}: "):
        find_weights("echo", make_spec(weights, file=uri))
    assert list(cache.iterdir()) == []


# Copies beside a card


@pytest.mark.parametrize(
    ("file", "name", "copy"),
    [
        ("a.onnx", "mine", "mine.onnx"),
        ("a.weights.h5", "mine", "mine.weights.h5"),
        ("a.v2.weights.h5", "mine", "mine.weights.h5"),
        ("mobilenet_1.0.h5", "mine_0.25", "mine_0.25.h5"),
        ("0123-a.keras", "mine", "mine.keras"),
    ],
)
def test_a_copy_has_the_name_of_its_worker(file: str, name: str, copy: str, tmp_path: Path) -> None:
    """Keras recognises a file by its suffixes."""
    weights = write_folder(tmp_path / "there", {file: b"weights"}) / file
    (tmp_path / "here").mkdir()
    path = copy_weights(name, weights, tmp_path / "here")
    assert path == tmp_path / "here" / copy
    assert path.read_bytes() == b"weights"


def test_a_folder_is_copied_whole(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "there", {"saved_model.pb": b"1", "variables/variables.index": b"2"})
    (tmp_path / "here").mkdir()
    for _ in range(2):  # work that was cut off is done again
        path = copy_weights("mine", folder, tmp_path / "here")
        assert path == tmp_path / "here" / "mine"
        assert path_sha256(path) == path_sha256(folder)


# Workers


def test_a_worker_is_created_by_its_name(weights: Path, tmp_path: Path) -> None:
    spec = make_spec(weights, class_offset=1, channels="BGR", batch_size=3)
    worker, image = create_worker("echo", {"echo": spec}), make_image()
    assert (worker.temperature, worker.batch_size) == (1.0, 3)
    np.testing.assert_array_equal(worker.logits([image]), [image[:, :, ::-1].ravel()[1:]])

    (tmp_path / "workers.yaml").write_text(
        f"echo: {{format: onnx, family: echo, file: echo.onnx, sha256: '{spec.sha256}', "
        f"input_size: 8, layout: NHWC, scale: 1, outputs: logits}}\n"
    )
    worker = create_worker("echo", read_catalogue(tmp_path / "workers.yaml"))
    np.testing.assert_array_equal(worker.logits([image]), [image.ravel()])


def test_a_worker_is_not_created_of_other_weights(weights: Path) -> None:
    spec = make_spec(weights)
    write_echo(weights, layout="NCHW")
    with pytest.raises(ValueError, match=r"^workers\.catalogue\.echo\.sha256: "):
        create_worker("echo", {"echo": spec})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg61", "^unknown worker 'vgg61', did you mean 'vgg16'"),
        ("alexnet", "^'alexnet' needs an entry in the catalogue"),
        ("miniature_vgg", "^'miniature_vgg' has no weights before prepare_workers trains it"),
    ],
)
def test_a_worker_without_weights_is_not_created(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_worker(name)


@pytest.mark.parametrize("name", ["echo", "miniature_vgg"])
def test_a_worker_is_not_opened_without_its_weights(name: str, weights: Path) -> None:
    catalogue: dict[str, WorkerSpec] = {"echo": make_spec(weights), **KNOWN_WORKERS}
    with pytest.raises(ValueError, match=r"needs weights$"):
        open_worker(catalogue[name], None)


def test_a_worker_has_the_temperature_that_it_is_given(weights: Path) -> None:
    assert open_worker(make_spec(weights), weights, 1.5).temperature == 1.5


def test_what_a_uri_asks_for_is_no_part_of_the_name(weights: Path, cache: Path) -> None:
    fsspec.filesystem("memory").pipe("memory://there/echo.onnx?download=1", weights.read_bytes())
    spec = make_spec(weights, file="memory://there/echo.onnx?download=1")
    assert find_weights("echo", spec) == cache / f"{spec.sha256}-echo.onnx"


def test_the_checksum_of_a_folder_follows_links(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("weights")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "file").symlink_to(tmp_path / "there")
    (tmp_path / "two" / "file").write_text("weights")
    assert path_sha256(tmp_path / "one") == path_sha256(tmp_path / "two")
