"""A compiled pipeline, whose parameters' defaults are a whole config."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from metrifier_core.config.run import ConfigError, RunConfig, make_config


class PackageError(ValueError):
    """A file that is not a compiled pipeline of this project."""


@dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
        path: Its file.
        defaults: The defaults of its parameters.
        tracking_uri: The MLflow server that was compiled in.
    """

    path: Path
    defaults: Mapping[str, Any]
    tracking_uri: str | None

    def arguments(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return the parameters that overrides change, each as a whole and in its type.

        Args:
            overrides: `key=value`, with dots in the key as in a config.

        Raises:
            ConfigError: The resulting config is wrong, with a line a mistake, or is one for another graph.
        """
        before, after = self._config([]), self._config(overrides)
        if after.cluster != before.cluster:
            raise ConfigError("cluster: is written into the graph: set it where the pipeline is compiled")
        if after.tracking.uri != before.tracking.uri:
            raise ConfigError("tracking.uri: is compiled into every task's environment: compile the pipeline again")
        if after.held_out_families != before.held_out_families:
            raise ConfigError("evaluation.leave_one_family_out: the families are part of the graph: compile it again")
        compiled = before.pipeline_arguments()
        return {key: value for key, value in after.pipeline_arguments().items() if value != compiled.get(key)}

    def _config(self, overrides: Sequence[str]) -> RunConfig:
        sections = {name: value for name, value in self.defaults.items() if name in RunConfig.model_fields}
        return make_config(deepcopy(sections), overrides, self.path.parent.resolve())


def read_package(path: Path) -> Package:
    """Read a compiled pipeline.

    Raises:
        PackageError: The file does not exist, or is not a compiled pipeline.
    """
    if not path.is_file():
        raise PackageError(f"there is no file {path}: write it with python -m pipelines.compile")
    try:
        document = next(iter(YAML(typ="safe").load_all(path)))
        inputs = document["root"]["inputDefinitions"]["parameters"]
        defaults = {name: definition["defaultValue"] for name, definition in inputs.items()}
        executors = document["deploymentSpec"]["executors"].values()
        variables = [variable for executor in executors for variable in executor.get("container", {}).get("env", [])]
    except (YAMLError, UnicodeDecodeError, LookupError, TypeError, StopIteration) as error:
        raise PackageError(f"{path} is not a compiled pipeline: write it with python -m pipelines.compile") from error
    servers = [variable["value"] for variable in variables if variable["name"] == "MLFLOW_TRACKING_URI"]
    return Package(path, defaults, next(iter(servers), None))
