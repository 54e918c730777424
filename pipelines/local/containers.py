"""Runs tasks in the container images that a cluster would run them in, by Docker or whatever speaks its API."""

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from kfp.local import docker_task_handler

from metrifier_core.execution.progress import FAILED, LINE_PREFIX
from pipelines.graph.images import Images
from pipelines.local.container_log import ContainerLog, say

_LABEL = "metrifier.run"
_HANDED_ON = ("METRIFIER_", "MLFLOW_", "AWS_", "GOOGLE_")
_OF_THE_IMAGE = "METRIFIER_INGEST_PYTHON"
_KILLED = 137
_GONE = (404, 409)  # what is answered of a container that is not there, or is being removed


class ContainerError(RuntimeError):
    """Nothing runs containers here, or an image is not to be had."""


def _client() -> docker.DockerClient:
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except DockerException as error:
        remedy = "start Docker, or serve podman's socket and name it by DOCKER_HOST"
        raise ContainerError(f"nothing runs containers here: {remedy} ({error})") from error
    return client


def _identity(client: docker.DockerClient, image: str) -> str:
    """Finds an image, here or in its registry, and says what it holds."""
    try:
        return str(client.images.get(image).id)
    except ImageNotFound:
        pass
    try:
        return str(client.images.pull(image).id)
    except DockerException as error:
        raise ContainerError(f"there is no image {image}, here or in its registry: make images ({error})") from error


def stage_of(command: list[str]) -> str:
    """Finds a stage's name in what KFP has its container execute."""
    option = "--function_to_execute"
    return command[command.index(option) + 1] if option in command else "a stage"


@dataclass(frozen=True)
class Containers:
    """The containers of one run.

    Attributes:
        client: What runs them.
        names: The stages' images as KFP knows them: what they hold, and what the run reads, is in the tag.
        images: By such a name, the image.
        folder: The run's folder, which every container sees in the same place.
        readable: Files and folders that they may read.
    """

    client: docker.DockerClient
    names: Images
    images: Mapping[str, str]
    folder: Path
    readable: tuple[Path, ...]
    _stopped: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def find(cls, images: Images, readable: tuple[Path, ...], listing: str, folder: Path) -> Self:
        """Finds the engine and the images, and removes what a killed run left behind.

        Args:
            images: The stages' images.
            readable: Files and folders of this machine that the containers may read.
            listing: What the run reads, in short.
            folder: The run's folder.

        Raises:
            ContainerError: There is no engine, or no such image.
        """
        client = _client()
        named: dict[str, str] = {}
        by_target: dict[str, str] = {}
        for target, image in asdict(images).items():
            digest = _identity(client, image).removeprefix("sha256:")
            by_target[target] = f"metrifier-{target}:{digest[:24]}-{listing[:16]}"
            named[by_target[target]] = image
        found = cls(client, Images(**by_target), named, folder, readable)
        found._remove_all()
        return found

    @property
    def code(self) -> str:
        """What the images hold, in short."""
        return hashlib.sha256("".join(sorted(self.images)).encode()).hexdigest()[:16]

    @contextmanager
    def used(self) -> Iterator[None]:
        """Has KFP's runner run its containers this way.

        Its own way removes a container as soon as it ends, and takes one that it does not find any more for a success.
        """
        kfps_own = docker_task_handler.run_docker_container
        docker_task_handler.run_docker_container = self._run
        ending = threading.Thread(target=self._remove_when_stopped)
        ending.start()
        try:
            yield
        finally:
            docker_task_handler.run_docker_container = kfps_own
            self.stop()
            ending.join()
            self.client.close()

    def stop(self) -> None:
        """Ends the containers that run, and every one that is started from now on."""
        self._stopped.set()

    def _run(
        self,
        client: docker.DockerClient,
        image: str,
        command: list[str],
        volumes: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Runs a container to its end, and says why where it failed without a word."""
        if self._stopped.is_set():
            return _KILLED
        handed_on = {name: value for name, value in os.environ.items() if name.startswith(_HANDED_ON)}
        handed_on.pop(_OF_THE_IMAGE, None)
        container = client.containers.run(
            self.images[image],
            command,
            detach=True,
            user=f"{os.getuid()}:{os.getgid()}",  # what it writes belongs to whoever started the run
            network_mode="host",  # where an MLflow server of this machine is found
            environment={**handed_on, **(environment or {})},
            labels={_LABEL: str(self.folder)},
            volumes={
                **volumes,
                str(self.folder): {"bind": str(self.folder), "mode": "rw"},
                **{str(path): {"bind": str(path), "mode": "ro"} for path in self.readable},
            },
        )
        if self._stopped.is_set():  # while it was started: `stop` has not found it
            container.remove(force=True)
            return _KILLED
        log = ContainerLog(container)
        status = int(container.wait()["StatusCode"])
        log.end()
        container.remove(force=True)
        if status and not log.failed:
            why = " (killed, perhaps for want of memory)" if status == _KILLED else ""
            say(f"{LINE_PREFIX}{stage_of(command)}{FAILED}its container ended with status {status}{why}")
        return status

    def _remove_when_stopped(self) -> None:
        """Waits in a thread of its own: a signal may come in the middle of a request."""
        self._stopped.wait()
        self._remove_all()

    def _remove_all(self) -> None:
        for container in self.client.containers.list(all=True, filters={"label": f"{_LABEL}={self.folder}"}):
            try:
                container.remove(force=True)
            except APIError as error:
                if error.status_code not in _GONE:
                    raise
