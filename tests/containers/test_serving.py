"""The image `serve`: it answers for a model that is mounted, and hears when it is to stop."""

import os
import socket
import time

import docker
import numpy as np
import pytest
import requests

from metrifier_core import Metrifier, __version__
from tests.helpers.example_images import natural_image
from tests.helpers.run_products import registered_champion

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Provide a registered model, as a folder that any user may read."""
    import mlflow

    folder = tmp_path_factory.mktemp("champion")
    with registered_champion(tmp_path_factory.mktemp("run")):
        mlflow.artifacts.download_artifacts("models:/metrifier@champion", dst_path=str(folder))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture
def container(model):
    """Provide the server, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = docker.from_env(timeout=600)
    served = client.containers.run(
        f"metrifier-serve:{__version__}",
        detach=True,
        network_mode="host",
        environment={"PORT": str(port)},
        volumes={os.fspath(model): {"bind": "/model", "mode": "ro"}},
    )
    yield served, f"http://127.0.0.1:{port}"
    served.remove(force=True)
    client.close()


def wait_for(url, served):
    for _ in range(120):
        try:
            if requests.get(f"{url}/ping", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)
    pytest.fail(served.logs().decode())


def test_a_mounted_model_is_served_until_it_is_stopped(container, model):
    served, url = container
    wait_for(url, served)
    image = natural_image(1, 40, 50)
    response = requests.post(f"{url}/invocations", json={"inputs": [image.tolist(), "%%%"]}, timeout=60)
    good, bad = response.json()["predictions"]
    metrifier = Metrifier.load(model / "artifacts" / "model")
    assert good == {"quality": pytest.approx(metrifier(np.asarray(image)), abs=1e-6), "error": None}
    assert bad["error"].startswith("not base64")

    served.stop(timeout=30)
    assert served.wait()["StatusCode"] == 143, "stopped by the signal, not killed"
