"""Where tasks run: on this machine, or on a cluster with the settings of the config's section `cluster`."""

import inspect
from collections.abc import Callable, Collection
from contextlib import nullcontext
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
    "TF_ENABLE_ONEDNN_OPTS": "1",  # on by default on the newest processors alone; on others it halves training time
    "GLOG_minloglevel": "2",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # otherwise each task takes all memory of a GPU that it shares
}
_RETRY_SECONDS = 60  # before the first retry; doubled before each one more
_RUN_ID_FIELD = "metadata.labels['pipeline/runid']"  # of a pod; as an input it would keep runs from sharing a cache


@dataclass(frozen=True)
class Site:
    """Settings of all tasks of a pipeline.

    Attributes:
        images: The stages' container images.
        tracking_uri: The MLflow server of tasks, unless their environment names one.
        cluster: What each task gets; None on this machine.
        kubeflow: Address of Kubeflow's UI, which runs in MLflow link to.
    """

    images: Images
    tracking_uri: str | None = None
    cluster: ClusterSettings | None = None
    kubeflow: str | None = None

    def run(self, component: Any, /, **inputs: Any) -> PipelineTask:
        """Return a task of a component."""
        task = component(**inputs)
        stage = component.name.replace("-", "_")
        task.set_container_image(self.images.of(stage))
        variables = {**_ENVIRONMENT, "MLFLOW_TRACKING_URI": self.tracking_uri, KUBEFLOW_VARIABLE: self.kubeflow}
        for variable, value in variables.items():
            if value is not None:
                task.set_env_variable(variable, value)
        if self.cluster is not None:
            kubernetes.use_field_path_as_env(task, RUN_ID_VARIABLE, _RUN_ID_FIELD)
            _place(task, stage, self.cluster)
        return task

    def loop(self, name: str, items: Any) -> dsl.ParallelFor:
        """Return a loop over `shards` or `workers`, which runs as many branches at a time as `cluster` allows."""
        limit = getattr(self.cluster, f"parallel_{name}") if self.cluster else None
        return dsl.ParallelFor(items, name=name, parallelism=limit)

    def closing(self) -> Any:
        """Return a context that closes the run in MLflow if a task inside fails; on this machine the runner does so."""
        if self.cluster is None:
            return nullcontext()
        return dsl.ExitHandler(self.run(components.close_run), name="stages")

    def pipeline(
        self, name: str, description: str, graph: Callable[..., Any], outputs: type, without: Collection[str] = ()
    ) -> Any:
        """Return a KFP pipeline.

        Args:
            name: Its name.
            description: Its description.
            graph: Builds the tasks; its parameters are the pipeline's.
            outputs: The named tuple that `graph` returns. On a cluster there are none, since nothing comes out of an
                exit handler.
            without: Parameters that are left out, so that `graph` gets None.
        """
        signature = inspect.signature(graph)
        signature = signature.replace(
            parameters=[parameter for key, parameter in signature.parameters.items() if key not in without],
            return_annotation=outputs if self.cluster is None else inspect.Signature.empty,
        )

        def build(*arguments: Any, **keywords: Any) -> Any:
            artifacts = graph(**dict.fromkeys(without), **signature.bind(*arguments, **keywords).arguments)
            return artifacts if self.cluster is None else None

        build.__signature__ = signature  # type: ignore[attr-defined]
        build.__name__, build.__doc__ = graph.__name__, graph.__doc__
        return dsl.pipeline(build, name=name, description=description)


def _place(task: PipelineTask, stage: str, cluster: ClusterSettings) -> None:
    """Set what a stage gets on a cluster."""
    settings = cluster.stages[stage]
    task.set_env_variable(THREADS_VARIABLE, str(settings.threads))
    task.set_cpu_request(settings.cpu).set_memory_request(settings.memory).set_memory_limit(settings.memory)
    if settings.accelerator is not None:
        task.set_accelerator_type(settings.accelerator).set_accelerator_limit(settings.accelerators or 1)
    if settings.retries:
        # Argo counts the maximum duration from the beginning of the first try, over all tries. Twice their sum with
        # the pauses, since tasks wait for nodes, too.
        pauses = _RETRY_SECONDS * (2**settings.retries - 1)
        seconds = 2 * (settings.timeout_minutes * 60 * (settings.retries + 1) + pauses)
        pause = f"{_RETRY_SECONDS}s"
        task.set_retry(settings.retries, pause, backoff_factor=2, backoff_max_duration=f"{seconds}s")
    task.set_caching_options(settings.cache)
    kubernetes.set_timeout(task, settings.timeout_minutes * 60)
    for label, value in settings.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in settings.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump())
    for secret, variables in cluster.secrets.items():
        kubernetes.use_secret_as_env(task, secret, variables)
    for variable, file in cluster.secret_files.items():
        task.set_env_variable(variable, file.path)
    # A secret is mounted once, however many of its files are used: its volume is named by it.
    for secret, folder in {file.secret: file.folder for file in cluster.secret_files.values()}.items():
        kubernetes.use_secret_as_volume(task, secret, folder)
    if cluster.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, cluster.image_pull_secrets)
