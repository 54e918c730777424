"""The pipeline, every stage in the container that a cluster would run it in."""

import json
import signal
import subprocess
import time

import docker
import pytest

from metrifier_core import __version__
from tests.helpers.runs import CHECKOUT, command, environment, run

pytestmark = pytest.mark.containers

IMAGES = f"metrifier-{{target}}:{__version__}"
FAILING = "metrifier-failing:test"
# A stage that ends without a word, as one does that is killed.
FAILING_IMAGE = f"""
FROM metrifier-data:{__version__}
USER 0
RUN printf 'import os\\nos._exit(3)\\n' > /opt/package/metrifier_core/stages/distort.py
USER 10001
"""


@pytest.fixture(scope="module")
def client():
    client = docker.from_env(timeout=600)
    yield client
    client.close()


@pytest.fixture(scope="module")
def failing_image(client, tmp_path_factory):
    folder = tmp_path_factory.mktemp("failing")
    (folder / "Dockerfile").write_text(FAILING_IMAGE)
    client.images.build(path=str(folder), tag=FAILING)
    yield FAILING
    client.images.remove(FAILING, force=True)


def containers_of(client, runs):
    return client.containers.list(all=True, filters={"label": f"metrifier.run={runs / 'quick'}"})


def test_the_pipeline_runs_to_its_end(client, tmp_path):
    finished = run(tmp_path, "--image", IMAGES)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    metrics = json.loads((tmp_path / "quick/metrics.json").read_text())
    assert metrics["rows"] > 100
    assert (tmp_path / "quick/report.html").is_file()
    assert not containers_of(client, tmp_path)

    again = run(tmp_path, "--image", IMAGES)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "train_metrifier: done" not in again.stdout


def test_a_container_that_fails_without_a_word_fails_the_run(tmp_path, failing_image):
    finished = run(tmp_path, "--image", IMAGES, "--image", f"data={failing_image}")
    assert finished.returncode == 1, finished.stdout
    assert "distort: failed: its container ended with status 3" in finished.stderr
    assert not (tmp_path / "quick/metrics.json").exists()


def test_told_to_stop_it_ends_its_containers(client, tmp_path):
    with subprocess.Popen(
        command(tmp_path, "--image", IMAGES),
        cwd=CHECKOUT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        deadline = time.monotonic() + 120
        while not containers_of(client, tmp_path):
            assert started.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        started.send_signal(signal.SIGTERM)
        _, errors = started.communicate(timeout=120)
    assert started.returncode == 1
    assert errors.startswith("failed: stopped\n")
    assert not containers_of(client, tmp_path)


def test_an_image_that_is_not_there_is_named_before_anything_runs(tmp_path):
    finished = run(tmp_path, "--image", "train=metrifier-nobody-made-it:1")
    assert finished.returncode == 1
    assert "there is no image metrifier-nobody-made-it:1" in finished.stderr
    assert "make images" in finished.stderr
    assert not (tmp_path / "quick/tasks").exists()
