"""Where tasks run: on this machine, or on a cluster with what the config's section `cluster` gives them."""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

import components
from metrifier_core.config.cluster import ClusterSettings
from metrifier_core.settings.environment import KUBEFLOW_VARIABLE, RUN_ID_VARIABLE, THREADS_VARIABLE
from pipelines.graph.images import Images

_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # the ONNX converter simplifies a graph in the order of a set
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "1",  # by default on the newest processors alone; on others it halves a training's time
    "GLOG_minloglevel": "2",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # tasks that share a GPU would else take all of its memory, each
}
_PAUSE = 60  # seconds before the second try; twice as many before each one more
_RUN_ID_FIELD = "metadata.labels['pipeline/runid']"  # of a pod; an input of it would make every run's cache its own


@dataclass(frozen=True)
class Site:
    """What holds for all tasks of a pipeline.

    Attributes:
        images: The stages' container images.
        tracking_uri: The MLflow server that tasks log to, where their environment does not name one.
        cluster: What each task gets; None on this machine.
        kubeflow: The address of Kubeflow's UI, which runs in MLflow then link to.
    """

    images: Images
    tracking_uri: str | None = None
    cluster: ClusterSettings | None = None
    kubeflow: str | None = None

    def run(self, component: Any, /, **inputs: Any) -> PipelineTask:
        """Makes a task of a component."""
        task = component(**inputs)
        stage = component.name.replace("-", "_")
        task.set_container_image(self.images.of(stage))
        for variable, value in _ENVIRONMENT.items():
            task.set_env_variable(variable, value)
        if self.tracking_uri is not None:
            task.set_env_variable("MLFLOW_TRACKING_URI", self.tracking_uri)
        if self.kubeflow is not None:
            task.set_env_variable(KUBEFLOW_VARIABLE, self.kubeflow)
        if self.cluster is not None:
            kubernetes.use_field_path_as_env(task, RUN_ID_VARIABLE, _RUN_ID_FIELD)
            _place(task, stage, self.cluster)
        return task

    def shards(self, names: Any) -> dsl.ParallelFor:
        """Begins a loop over shards."""
        return dsl.ParallelFor(names, name="shards", parallelism=self.cluster and self.cluster.parallel_shards)

    def worker_groups(self, groups: Any) -> dsl.ParallelFor:
        """Begins a loop over groups of workers."""
        return dsl.ParallelFor(groups, name="workers", parallelism=self.cluster and self.cluster.parallel_workers)

    def closing(self) -> AbstractContextManager[Any]:
        """Closes the run in MLflow where a task inside fails; on this machine whoever started the pipeline does."""
        if self.cluster is None:
            return nullcontext()
        handler: AbstractContextManager[Any] = dsl.ExitHandler(self.run(components.close_run), name="stages")
        return handler

    def pipeline(self, name: str, description: str, graph: Callable[..., Any]) -> Any:
        """Builds a pipeline; on a cluster it gives nothing back, since nothing comes out of an exit handler."""
        if self.cluster is not None:
            graph = _without_outputs(graph)
        return dsl.pipeline(graph, name=name, description=description)


def _without_outputs(graph: Callable[..., Any]) -> Callable[..., None]:
    def build(*arguments: Any, **keywords: Any) -> None:
        graph(*arguments, **keywords)

    signature = inspect.signature(graph).replace(return_annotation=inspect.Signature.empty)
    build.__signature__ = signature  # type: ignore[attr-defined]
    build.__name__, build.__doc__ = graph.__name__, graph.__doc__
    return build


def _place(task: PipelineTask, stage: str, cluster: ClusterSettings) -> None:
    """Gives a task what its stage asks for."""
    own = cluster.stages[stage]
    task.set_env_variable(THREADS_VARIABLE, str(own.threads))
    task.set_cpu_request(own.cpu).set_memory_request(own.memory).set_memory_limit(own.memory)
    if own.accelerator is not None:
        task.set_accelerator_type(own.accelerator).set_accelerator_limit(own.accelerators or 1)
    if own.retries:
        # The last is no pause's limit: counted from the beginning of the first try, it ends whichever goes on then.
        # Twice what tries and pauses take, since tasks wait for nodes, too.
        most = 2 * (own.timeout_minutes * 60 * (own.retries + 1) + _PAUSE * (2**own.retries - 1))
        task.set_retry(own.retries, f"{_PAUSE}s", backoff_factor=2, backoff_max_duration=f"{most}s")
    task.set_caching_options(own.cache)
    kubernetes.set_timeout(task, own.timeout_minutes * 60)
    for label, value in own.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in own.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump())
    for secret, variables in cluster.secrets.items():
        kubernetes.use_secret_as_env(task, secret, variables)
    for variable, file in cluster.secret_files.items():
        task.set_env_variable(variable, file.path)
    for secret, folder in {file.secret: file.folder for file in cluster.secret_files.values()}.items():
        # Once, whatever the number of its files: the volume is named by the secret.
        kubernetes.use_secret_as_volume(task, secret, folder)
    if cluster.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, cluster.image_pull_secrets)
