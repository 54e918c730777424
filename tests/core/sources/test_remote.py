"""Sources behind URLs hold what the same files on this machine hold; what cannot be reached is said by its setting."""

import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from metrifier_core.config.run import ConfigError, load_config
from metrifier_core.images import ImageError
from metrifier_core.sources import Source, SourceItem, list_items, listing_digest, storage
from metrifier_core.sources.storage import SourceError
from metrifier_core.stages.download import download
from tests.helpers.gs_server import gs_server
from tests.helpers.source_archives import images, write_archive, write_folders
from tests.helpers.source_servers import Forbidden, PartsOfFiles, WholeFiles, http_server, s3_server

FILES = images() | {
    "n01/deeper/é #1?.png": b"deep",
    "n01/.DS_Store": b"hidden",
    ".git/0": b"",
    "README.txt": b"no class",
}
MANIFEST = "path,label_index\nn10/0.png,7\nn01/deeper/é #1?.png,0\nn02/none.png,1\n"
SPLITS = [{"calibration": 0.25, "train": 0.25, "validation": 0.25, "test": 0.25}]
Upload = Callable[[Path], str]


def forget_filesystems() -> None:
    """They are kept with the environment that they were made in."""
    storage.open_filesystem.cache_clear()
    for protocol in ("s3", "gs"):
        fsspec.get_filesystem_class(protocol).clear_instance_cache()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Provide a server that speaks S3, named and unlocked by the environment alone."""
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    with s3_server() as url, pytest.MonkeyPatch.context() as environment:
        for name, value in zip(names, (url, "key", "secret", "us-east-1"), strict=True):
            environment.setenv(name, value)
        forget_filesystems()
        yield url
        forget_filesystems()


@pytest.fixture(scope="module")
def gs() -> Iterator[str]:
    """Provide a server that speaks Google Cloud Storage's API."""
    with gs_server() as url, pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", url)
        environment.setenv("NO_GCE_CHECK", "true")  # this machine is not asked for credentials
        forget_filesystems()
        yield url
        forget_filesystems()


@pytest.fixture(params=["memory", "s3", "gs"])
def upload(request: pytest.FixtureRequest) -> Upload:
    """Put a folder where its files can be listed; return its URL."""
    root = f"{request.param}://bucket-{zlib.crc32(request.node.name.encode())}/photos"
    if request.param != "memory":
        request.getfixturevalue(request.param)

    def put(folder: Path) -> str:
        filesystem, path = fsspec.core.url_to_fs(root)
        filesystem.mkdirs(path, exist_ok=True)
        for file in folder.rglob("*"):
            if file.is_file():
                filesystem.pipe_file(f"{path}/{file.relative_to(folder)}", file.read_bytes())
        return root

    return put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (tmp_path / "files" / "manifest.csv").write_text(MANIFEST, encoding="utf-8")
    return root


def pack_rows(path: Path) -> None:
    pq.write_table(pa.table({"image": [b"a"], "label": [3]}), path)


def listed(**settings: Any) -> list[SourceItem]:
    return list_items(TypeAdapter[Source](Source).validate_python(settings))


def contents(items: list[SourceItem]) -> dict[str, tuple[int, bytes]]:
    return {item.image_id: (item.label, item.read()) for item in items if item.fault is None}


# Folders


def test_a_remote_folder_holds_what_a_folder_here_holds(folder: Path, upload: Upload) -> None:
    here, there = listed(kind="folder", root=str(folder)), listed(kind="folder", root=upload(folder))
    assert [(item.image_id, item.label) for item in there] == [(item.image_id, item.label) for item in here]
    assert contents(there) == contents(here)
    assert contents(listed(kind="folder", root=f"file://{folder}")) == contents(here)


def test_the_class_folders_are_the_same_however_they_are_stored(upload: Upload, tmp_path: Path) -> None:
    photos = write_folders(tmp_path / "photos")
    here, there = listed(kind="folder", root=str(photos)), listed(kind="folder", root=upload(photos))
    assert {item.image_id: item.label for item in here} == {
        name: ("n01", "n02", "n10").index(name[:3]) for name in images()
    }
    assert [(item.image_id, item.label) for item in there] == [(item.image_id, item.label) for item in here]


def test_a_remote_folder_has_another_digest_when_an_image_changes(folder: Path, upload: Upload) -> None:
    root = upload(folder)
    digest = listing_digest(listed(kind="folder", root=root))
    assert listing_digest(listed(kind="folder", root=root + "/")) == digest
    (folder / "n01" / "0.png").write_bytes(b"another")
    upload(folder)
    assert listing_digest(listed(kind="folder", root=root)) != digest


def test_a_remote_folder_that_is_not_there_or_has_no_classes_is_refused(upload: Upload, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.txt").write_text("nothing")
    root = upload(tmp_path / "empty")
    with pytest.raises(ValueError, match=rf"^source.root: there is no folder {root}/nowhere$"):
        listed(kind="folder", root=f"{root}/nowhere")
    with pytest.raises(
        ValueError, match=rf"^source.root: {root} has no class folders \(expected {root}/CLASS/IMAGE\)$"
    ):
        listed(kind="folder", root=root)


def test_a_folder_that_begins_alike_is_another(folder: Path, upload: Upload) -> None:
    root = upload(folder)
    filesystem, path = fsspec.core.url_to_fs(root)
    filesystem.pipe_file(f"{path}2/n00/0.png", b"of another folder")
    assert not {item.image_id for item in listed(kind="folder", root=root)} & {"n00/0.png", "2/n00/0.png"}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of who fills the bucket
def test_a_remote_file_that_is_too_large_is_a_fault(
    folder: Path, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MAX_BYTES", 1 << 20)
    (folder / "n01" / "large.png").write_bytes(bytes((1 << 20) + 1))
    found = {item.image_id: item.fault for item in listed(kind="folder", root=upload(folder))}
    assert found.pop("n01/large.png") == "larger than 1 MiB"
    assert set(found.values()) == {None}


def test_a_remote_file_that_has_gone_is_rejected_alone(folder: Path, upload: Upload) -> None:
    root = upload(folder)
    items = {item.image_id: item for item in listed(kind="folder", root=root)}
    filesystem, path = fsspec.core.url_to_fs(root)
    filesystem.rm_file(f"{path}/n01/0.png")
    with pytest.raises(ImageError, match=r"^cannot be read: No such file or directory$"):
        items["n01/0.png"].read()
    assert items["n01/1.png"].read() == FILES["n01/1.png"]


def test_a_web_server_has_no_listing(tmp_path: Path) -> None:
    with (
        http_server(tmp_path) as url,
        pytest.raises(ValueError, match=rf"^source.root: HTTP cannot list .* {url}: name"),
    ):
        listed(kind="folder", root=url)


# Manifests


def test_a_remote_manifest_names_remote_files(folder: Path, upload: Upload) -> None:
    root = upload(folder)
    items = listed(kind="manifest", manifest=f"{root}/manifest.csv", root=root)
    assert contents(items) == {"n10/0.png": (7, FILES["n10/0.png"]), "n01/deeper/é #1?.png": (0, b"deep")}
    faults = {item.image_id: item.fault for item in items if item.fault}
    assert faults == {"n02/none.png": f"there is no file {root}/n02/none.png"}


@pytest.mark.parametrize("handler", [PartsOfFiles, WholeFiles])
def test_a_manifest_works_over_http(folder: Path, handler: type[WholeFiles]) -> None:
    with http_server(folder, handler) as url:
        items = listed(kind="manifest", manifest=f"{url}/manifest.csv", root=url)
        found = {item.image_id: item for item in items}
        with pytest.raises(ImageError, match=r"^cannot be read: No such file or directory$"):
            found.pop("n02/none.png").read()
        assert contents(list(found.values())) == {
            "n10/0.png": (7, FILES["n10/0.png"]),
            "n01/deeper/é #1?.png": (0, b"deep"),
        }


def test_a_large_file_over_http_is_not_read_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_BYTES", 1 << 20)
    with (folder / "n10" / "0.png").open("wb") as file:
        file.truncate(1 << 40)  # a hole, which nobody could send whole
    with http_server(folder, WholeFiles) as url:
        items = listed(kind="manifest", manifest=f"{url}/manifest.csv", root=url)
        with pytest.raises(ImageError, match=r"^larger than 1 MiB$"):
            next(item for item in items if item.image_id == "n10/0.png").read()


# Archives


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".zip"])
def test_a_remote_archive_holds_what_it_holds_here(suffix: str, tmp_path: Path, upload: Upload) -> None:
    (tmp_path / "archives").mkdir()
    path = write_archive(tmp_path / "archives", suffix, FILES)
    root = upload(tmp_path / "archives")
    assert contents(listed(kind="archive", archive=f"{root}/{path.name}")) == contents(
        listed(kind="archive", archive=str(path))
    )


@pytest.mark.parametrize("handler", [PartsOfFiles, WholeFiles])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_an_archive_works_over_http(suffix: str, handler: type[WholeFiles], tmp_path: Path) -> None:
    path = write_archive(tmp_path, suffix, FILES)
    with http_server(tmp_path, handler) as url:
        archive = f"{url}/{path.name}"
        if suffix == ".zip" and handler is WholeFiles:
            with pytest.raises(ValueError, match=rf"^source.archive: the server of {archive} .* download it first"):
                listed(kind="archive", archive=archive)
            return
        items = listed(kind="archive", archive=archive)
        assert contents(items) == contents(listed(kind="archive", archive=str(path)))


def test_an_archive_of_a_whole_folder_over_http_has_the_labels_of_the_folder(tmp_path: Path) -> None:
    photos = write_folders(tmp_path / "photos")
    path = Path(shutil.make_archive(str(tmp_path / "a"), "gztar", photos))
    with http_server(tmp_path) as url:
        found = contents(listed(kind="archive", archive=f"{url}/{path.name}"))
    assert found == contents(listed(kind="folder", root=str(photos)))


# On the way through the stage


@pytest.mark.usefixtures("s3")
def test_download_reads_an_s3_bucket(tmp_path: Path) -> None:
    filesystem, _ = fsspec.core.url_to_fs("s3://bucket/")
    filesystem.mkdir("bucket")
    for name, content in images(count=20).items():
        filesystem.pipe_file(f"bucket/photos/{name}", content)
    summaries = [
        download({"kind": "folder", "root": "s3://bucket/photos"}, SPLITS, 0, 2, tmp_path / "images") for _ in range(2)
    ]
    assert [(summary["read"], summary["accepted"]) for summary in summaries] == [(60, 60)] * 2


def test_a_server_that_stops_answering_ends_the_stage_and_rejects_nothing(tmp_path: Path) -> None:
    """What the network loses would otherwise be missing for good."""
    (tmp_path / "files").mkdir()
    path = write_archive(tmp_path / "files", ".tar", images(count=20))
    with http_server(tmp_path / "files") as url:
        items = listed(kind="archive", archive=f"{url}/{path.name}")
    with pytest.raises(SourceError, match=rf"^source.archive: {url}/images.tar cannot be read: "):
        items[0].read()


# What is refused


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:secret@bucket/photos",
        "https://user@example.org/a.tar",
        "https://example.org/a.tar?X-Amz-Signature=0123",
        "simplecache::https://user:secret@example.org/a.tar",
    ],
)
def test_a_url_with_credentials_is_refused_and_not_repeated(url: str) -> None:
    config = Path("configs/digits.yaml")
    with pytest.raises(ConfigError) as caught:
        load_config(config, [f"source={{kind: folder, root: '{url}'}}"])
    assert "source.root: credentials belong in the environment, not in the URL" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "0123" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("s3://bucket/a.tar", "s3fs", "s3"),
        ("gs://bucket/a.tar", "gcsfs", "gs"),
        ("https://example.org/a.tar", "aiohttp", "http"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, url.partition(":")[0], raising=False)
    storage.open_filesystem.cache_clear()
    with pytest.raises(ValueError, match=rf"^source.archive: {url} needs .*: install metrifier\[{extra}\]$"):
        listed(kind="archive", archive=url)


def test_every_extra_that_is_named_is_there() -> None:
    text = Path("setup.cfg").read_text()
    assert all(f"\n{extra} =\n" in text for extra in ("http", "s3", "gs", "tfds"))


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^source.archive: foo://x cannot be read: Protocol not known: foo$"):
        listed(kind="archive", archive="foo://x")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"^source.archive: http://127.0.0.1:9/a.tar cannot be read: .*127.0.0.1"):
        listed(kind="archive", archive="http://127.0.0.1:9/a.tar")


def test_a_file_that_a_server_lacks_is_told_from_one_that_it_keeps(tmp_path: Path) -> None:
    with http_server(tmp_path) as url, pytest.raises(ValueError, match=rf"^source.archive: there is no file {url}/a$"):
        listed(kind="archive", archive=f"{url}/a")
    with (
        http_server(tmp_path, Forbidden) as url,
        pytest.raises(ValueError, match=rf"^source.archive: {url}/a cannot be read: 403, message='Forbidden'"),
    ):
        listed(kind="archive", archive=f"{url}/a")


def test_a_file_that_is_not_in_a_bucket_is_named(upload: Upload, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"another")
    root = upload(tmp_path)
    with pytest.raises(ValueError, match=rf"^source.archive: there is no file {root}/none.tar$"):
        listed(kind="archive", archive=f"{root}/none.tar")


def test_a_file_url_is_decoded_whatever_it_names(folder: Path) -> None:
    here = listed(kind="folder", root=str(folder))
    odd = folder.rename(folder.with_name("sp ace #1 é"))
    pack_rows(odd / "rows.parquet")
    for url in (odd.as_uri(), odd.as_uri().replace("file://", "file://localhost"), f"file://{odd}"):
        assert listing_digest(listed(kind="folder", root=url)) == listing_digest(here)
        named = listed(kind="manifest", manifest=f"{url}/manifest.csv", root=url)
        assert {item.image_id: item.label for item in named}["n10/0.png"] == 7
        assert [item.image_id for item in listed(kind="parquet", files=f"{url}/*.parquet")] == ["rows.parquet/0"]
    archive = write_archive(odd, ".tar", FILES)
    assert contents(listed(kind="archive", archive=archive.as_uri())) == contents(
        listed(kind="archive", archive=str(archive))
    )


def test_a_file_url_of_another_machine_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^source.root: file://data/photos is on a machine 'data'; .* here is file:///data/"
    ):
        listed(kind="folder", root="file://data/photos")


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^source.root: there is no folder s3://no-such-bucket/photos$"):
        listed(kind="folder", root="s3://no-such-bucket/photos")


@pytest.mark.usefixtures("s3")
def test_a_bucket_without_credentials_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget_filesystems()
    try:
        with pytest.raises(ValueError, match=r"^source.root: s3://bucket/photos cannot be read: .*credentials"):
            listed(kind="folder", root="s3://bucket/photos")
    finally:
        forget_filesystems()
