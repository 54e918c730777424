"""Tasks in the container images that a cluster would run them in, by Docker or whatever serves its API."""

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from kfp.local import docker_task_handler

from metrifier_core.settings.environment import INGEST_PYTHON_VARIABLE
from pipelines.graph.images import Images
from pipelines.local.container_log import ContainerLog
from pipelines.local.place import KILLED, Place, replaced

_LABEL = "metrifier.run"
_PASSED_ON = ("METRIFIER_", "MLFLOW_", "AWS_", "GOOGLE_")  # prefixes of environment variables
_GONE = (404, 409)  # HTTP statuses for a container that does not exist, or is being removed


class ContainerError(RuntimeError):
    """No container engine answers, or an image does not exist."""


def _connect() -> docker.DockerClient:
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except DockerException as error:
        raise ContainerError(
            f"no container engine answers: start Docker, or serve podman's socket and name it in DOCKER_HOST ({error})"
        ) from error
    return client


def _image_id(client: docker.DockerClient, image: str) -> str:
    """Return the ID of an image, which is pulled if it is not here."""
    with suppress(ImageNotFound):
        return str(client.images.get(image).id)
    try:
        return str(client.images.pull(image).id)
    except DockerException as error:
        raise ContainerError(f"there is no image {image}, here or in its registry: make images ({error})") from error


class Containers(Place):
    """The containers of one run."""

    kind = "container"

    def __init__(
        self,
        client: docker.DockerClient,
        names: Images,
        images: Mapping[str, str],
        folder: Path,
        readable: tuple[Path, ...],
    ) -> None:
        """Prepare without starting anything.

        Args:
            client: The container engine.
            names: The stages' images as KFP knows them: what they hold, and what the run reads, is in the tag.
            images: The image to run, by such a name.
            folder: The run's folder, which every container sees at the same path.
            readable: Files and folders that the containers may read.
        """
        super().__init__(names, hashlib.sha256("".join(sorted(images)).encode()).hexdigest()[:16])
        self.client = client
        self.images = images
        self.folder = folder
        self.readable = readable
        self._stopped = threading.Event()

    @classmethod
    def find(cls, images: Images, readable: tuple[Path, ...], listing: str, folder: Path) -> Self:
        """Connect to the engine, look the images up, and remove what a killed run left behind.

        Args:
            images: The stages' images.
            readable: Files and folders of this machine that the containers may read.
            listing: Digest of what the run reads.
            folder: The run's folder.

        Raises:
            ContainerError: No engine answers, or an image does not exist.
        """
        client = _connect()
        digests = {target: _image_id(client, image).removeprefix("sha256:") for target, image in asdict(images).items()}
        names = {target: f"metrifier-{target}:{digest[:24]}-{listing[:16]}" for target, digest in digests.items()}
        by_name = {name: asdict(images)[target] for target, name in names.items()}
        place = cls(client, Images(**names), by_name, folder, readable)
        place._remove_all()
        return place

    @contextmanager
    def used(self) -> Iterator[None]:
        """Make KFP run containers this way.

        Its own way removes a container as soon as it ends, and takes one that it no longer finds for a success.
        """
        remover = threading.Thread(target=self._remove_when_stopped)
        remover.start()
        try:
            with replaced(docker_task_handler, "run_docker_container", self._run):
                yield
        finally:
            self.stop()
            remover.join()
            self.client.close()

    def stop(self) -> None:
        """Kill the running containers, and every one that is started from now on."""
        self._stopped.set()

    def _run(
        self,
        client: docker.DockerClient,
        image: str,
        command: list[str],
        volumes: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> int:
        if self._stopped.is_set():
            return KILLED
        passed_on = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
        passed_on.pop(INGEST_PYTHON_VARIABLE, None)  # the image sets its own
        container = client.containers.run(
            self.images[image],
            command,
            detach=True,
            user=f"{os.getuid()}:{os.getgid()}",  # its files belong to whoever started the run
            network_mode="host",  # to reach an MLflow server on this machine
            environment={**passed_on, **(environment or {})},
            labels={_LABEL: str(self.folder)},
            volumes={
                **volumes,
                str(self.folder): {"bind": str(self.folder), "mode": "rw"},
                **{str(path): {"bind": str(path), "mode": "ro"} for path in self.readable},
            },
        )
        if self._stopped.is_set():  # while the container was started, so that `stop` missed it
            container.remove(force=True)
            return KILLED
        log = ContainerLog(container)
        status = int(container.wait()["StatusCode"])
        log.end()
        container.remove(force=True)
        return self.end_task(command, status)

    def _remove_when_stopped(self) -> None:
        """Wait in a thread: a signal may arrive in the middle of a request to the engine."""
        self._stopped.wait()
        self._remove_all()

    def _remove_all(self) -> None:
        for container in self.client.containers.list(all=True, filters={"label": f"{_LABEL}={self.folder}"}):
            try:
                container.remove(force=True)
            except APIError as error:
                if error.status_code not in _GONE:
                    raise
