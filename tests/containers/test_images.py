"""What is in the images."""

import docker
import pytest

from metrifier_core import __version__

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def client():
    client = docker.from_env(timeout=600)
    yield client
    client.close()


class CommandError(Exception):
    """A command ended with another status than 0."""


def say(client, target, *command):
    """Return what a command says in a container; its log is not followed, which podman may never end."""
    ran = client.containers.run(f"metrifier-{target}:{__version__}", list(command), detach=True, network_mode="host")
    status = ran.wait()["StatusCode"]
    said = ran.logs(stdout=True, stderr=False).decode().strip()
    ran.remove()
    if status:
        raise CommandError(status)
    return said


@pytest.mark.parametrize("target", ["data", "train", "ingest", "serve"])
def test_no_image_runs_as_root(client, target):
    assert say(client, target, "id", "-u") == "10001"


@pytest.mark.parametrize("target", ["data", "train", "ingest", "serve"])
def test_an_image_says_what_it_is(client, target):
    labels = client.images.get(f"metrifier-{target}:{__version__}").labels
    assert labels["org.opencontainers.image.version"] == __version__
    assert len(labels["org.opencontainers.image.revision"].removesuffix("-dirty")) >= 7
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_package_is_the_same_in_all_and_its_commands_are_there(client):
    for target in ("data", "train", "ingest"):
        assert say(client, target, "metrifier", "--version").split()[-1] == __version__


def test_a_node_pulls_once_what_the_pipelines_images_share(client):
    layers = {
        target: client.images.get(f"metrifier-{target}:{__version__}").attrs["RootFS"]["Layers"]
        for target in ("data", "train", "ingest")
    }
    shared = layers["data"][:-1]  # all but the package
    assert len(shared) >= 3
    for target in ("train", "ingest"):
        assert layers[target][: len(shared)] == shared


def test_data_is_without_tensorflow(client):
    code = "import importlib.util as find; print(find.find_spec('tensorflow'), find.find_spec('kfp') is not None)"
    assert say(client, "data", "python3", "-c", code) == "None True"


def test_train_has_tensorflow(client):
    assert say(client, "train", "python3", "-c", "import tensorflow; print(tensorflow.__version__)").startswith("2.")


def test_ingest_finds_its_decoder(client):
    code = "from metrifier_core.ingest.client import find_ingest_decoder as find; print(find().versions())"
    assert say(client, "ingest", "python3", "-c", code) == "{'tensorflow': '2.17.1', 'tensorflow_io': '0.37.1'}"


def test_packages_cannot_be_changed_from_inside(client):
    with pytest.raises(CommandError):
        say(client, "data", "touch", "/opt/package/metrifier_core/__init__.py")
