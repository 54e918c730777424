"""What pods could not find is refused or said where the pipeline is compiled."""

import pytest
from typer.testing import CliRunner

from pipelines.compile import app
from tests.pipelines.test_compile import CONFIG

SERVER = "tracking.uri=http://mlflow.mlflow.svc.cluster.local:5000"
IMAGE = "registry.example/metrifier-{target}:1"


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def compile_with(output, *options, config=CONFIG):
    return CliRunner().invoke(app, ["--config", str(config), "--output", str(output), *options])


@pytest.mark.parametrize(
    "server",
    [
        "sqlite:///runs/mlflow.db",
        "sqlite+pysqlite:///mlflow.db",
        "file:///srv/mlruns",
        "mlruns",
        "http://localhost:5000",
        "http://127.0.0.1:5000",
        "http://[::1]:5000",
        "http://0.0.0.0:5000",
    ],
)
def test_a_server_that_only_this_machine_can_mean_is_refused(tmp_path, server):
    output = tmp_path / "metrifier.yaml"
    result = compile_with(output, f"tracking.uri={server}")
    assert result.exit_code == 2
    assert f"nothing was written: the MLflow server {server} is " in result.stderr
    assert "where no pod sees it" in result.stderr
    assert not output.exists()


def test_a_local_server_of_the_environment_is_refused_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@localhost:5000")
    result = compile_with(tmp_path / "metrifier.yaml")
    assert result.exit_code == 2
    assert "http://localhost:5000 is this machine" in result.stderr
    assert "secret" not in result.output


@pytest.mark.parametrize("server", ["databricks", "databricks://profile"])
def test_databricks_is_no_file(tmp_path, monkeypatch, server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert compile_with(tmp_path / "metrifier.yaml", "--image", IMAGE).exit_code == 0


def test_nothing_is_doubted_where_all_is_named(tmp_path):
    result = compile_with(tmp_path / "metrifier.yaml", SERVER, "--image", IMAGE)
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_server_and_images_that_nobody_names_are_doubted(tmp_path):
    result = compile_with(tmp_path / "metrifier.yaml")
    assert result.exit_code == 0
    images, server = result.stderr.splitlines()
    assert images.startswith("warning: in no registry: metrifier-data:")
    assert server.startswith("warning: no MLflow server is named")


def test_every_local_path_that_pods_would_read_is_doubted(tmp_path):
    interface = f"sha256: '{64 * '0'}', input_size: 224, layout: NHWC, outputs: logits"
    entries = [("mine", "mine.onnx"), ("theirs", "s3://bucket/theirs.onnx")]
    catalogue = [f"{name}: {{format: onnx, family: {name}, file: '{file}', {interface}}}\n" for name, file in entries]
    (tmp_path / "catalogue.yaml").write_text("".join(catalogue))
    config = tmp_path / "mine.yaml"
    config.write_text(CONFIG.with_name("imagenet.yaml").read_text())
    overrides = ["source.root=images", "workers.catalogue=catalogue.yaml", "workers.label=[mine, vgg16]"]
    result = compile_with(
        tmp_path / "metrifier.yaml", SERVER, "--image", IMAGE, *overrides, "workers.held_out=[theirs]", config=config
    )
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        f"warning: {key}: {tmp_path / name} is a path of this machine; pods see it only if their image holds it: "
        "name a URI"
        for key, name in (("source.root", "images"), ("workers.catalogue.mine.file", "mine.onnx"))
    ]


@pytest.mark.parametrize("name", ["taken/metrifier.yaml", "metrifier.json", "folder.yaml"])
def test_an_output_that_cannot_be_written_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "folder.yaml").mkdir()
    result = compile_with(tmp_path / name, SERVER, "--image", IMAGE)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"nothing was written: --output {tmp_path / name}: ")
