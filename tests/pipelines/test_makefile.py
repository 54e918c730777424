"""What `make` hands on to the compiler and to whatever builds images; nothing of it is run."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from metrifier_core import __version__

CHECKOUT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def said(*arguments):
    done = subprocess.run(["make", "-n", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return done.stdout


def test_images_and_their_digests_reach_the_compiler():
    images = "IMAGE=registry.example/metrifier-{target}:1 train=registry.example/train:2"
    line = said("compile", images, "DIGEST=data=sha256:1 train=sha256:2")
    assert "--image registry.example/metrifier-{target}:1 --image train=registry.example/train:2" in line
    assert "--digest data=sha256:1 --digest train=sha256:2 --output build/metrifier.yaml" in line
    assert "--digest" not in said("compile")


@pytest.mark.parametrize(("extra", "tag"), [("train", __version__), ("train-gpu", f"{__version__}-gpu")])
def test_the_image_with_cuda_does_not_take_the_others_name(extra, tag):
    script = said("images", "ENGINE=docker", f"TRAIN={extra}")
    assert f"train) tag={tag} ;; *) tag={__version__} ;;" in script


def test_what_changes_often_is_the_last_of_an_images_layers():
    """A new commit would else make its gigabytes of packages anew."""
    text = (CHECKOUT / "Dockerfile").read_text()
    images = {name: stage for _, name, stage in re.findall(r"\nFROM (base|common) AS (\w+)((?:\n(?!FROM ).*)*)", text)}
    common = images.pop("common")
    assert "COPY --from=data-environment" in common
    assert list(images) == ["data", "train", "ingest", "serve"]
    for name, stage in images.items():
        large = max(stage.rfind("-environment /opt"), stage.rfind("uv pip install"))
        small, version = stage.find("COPY --from=package"), stage.find("ARG VERSION")
        assert (large == -1) == (name == "data"), "it has the common packages alone"
        assert (small == -1) == (name == "serve"), "a registered model brings its own code"
        assert large < version
        assert small == -1 or large < small < version


def test_a_lock_that_has_changed_makes_its_layer_anew():
    """Podman does not look into what is mounted from the checkout: such a layer would stay as it was."""
    text = (CHECKOUT / "Dockerfile").read_text()
    assert re.findall(r"--mount=type=bind,(\w+=\w+)", text) == ["from=build"]
    copied = " ".join(line for line in text.splitlines() if line.startswith("COPY "))
    for lock in ("data.lock", "train.lock", "serve.lock", "components/ingest/requirements.lock"):
        assert lock in copied
