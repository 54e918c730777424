"""Compiled graphs without texts, values of a config and the code of components, which change for other reasons.

`python -m tests.helpers.compiled_graphs > tests/golden/graphs.json` writes them again after an intended change.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from metrifier_core.config.run import load_config
from pipelines.compile import compile_pipeline
from pipelines.graph.images import TARGETS, choose_images

CONFIG = Path(__file__).parents[2] / "configs" / "digits.yaml"
DIGESTS = [f"{target}=sha256:{position:064x}" for position, target in enumerate(TARGETS, start=1)]
CLUSTER = """cluster={
  secrets: {store: {access: AWS_ACCESS_KEY_ID, secret: AWS_SECRET_ACCESS_KEY}},
  secret_files: {GOOGLE_APPLICATION_CREDENTIALS: {secret: google, key: account.json}},
  image_pull_secrets: [registry],
  stages: {
    train_metrifier: {
      accelerator: nvidia.com/gpu,
      node_selector: {pool: gpu},
      tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}],
    },
  },
}"""
_WIDTH = 120
# Two families: each further one repeats the same tasks.
GRAPHS = {
    "metrifier": [],
    "families": [
        "evaluation.leave_one_family_out=true",
        "workers={label: [miniature_plain, miniature_vgg], held_out: []}",
    ],
}


def compile_graph(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compile one of the graphs: the pipeline, and its settings for Kubernetes."""
    config = load_config(CONFIG, [*GRAPHS[name], CLUSTER, "tracking.uri=https://mlflow.example"])
    images = choose_images(["registry.example/metrifier-{target}:1"], DIGESTS)
    with TemporaryDirectory() as folder:
        output = Path(folder) / "metrifier.yaml"
        compile_pipeline(config, images, output)
        pipeline, platform = yaml.safe_load_all(output.read_text())
    return pipeline, platform


def without_texts(pipeline: Any) -> Any:
    """Return a graph without descriptions, the SDK's version, and what other tests compare with its source."""
    if isinstance(pipeline, list):
        return [without_texts(value) for value in pipeline]
    if not isinstance(pipeline, dict):
        return pipeline
    left_out = {"description", "sdkVersion", "defaultValue", "command"}
    return {key: without_texts(value) for key, value in pipeline.items() if key not in left_out}


def golden_graphs() -> dict[str, Any]:
    """Return every graph as it is in the golden file."""
    return {name: [without_texts(document) for document in compile_graph(name)] for name in GRAPHS}


def _render(value: Any, indent: str = "") -> str:
    """Return JSON in which everything that fits is on one line."""
    short = json.dumps(value, sort_keys=True)
    if not isinstance(value, dict | list) or len(indent) + len(short) <= _WIDTH:
        return short
    deeper = indent + " "
    if isinstance(value, list):
        parts, ends = [_render(part, deeper) for part in value], "[]"
    else:
        parts, ends = [f"{json.dumps(key)}: {_render(value[key], deeper)}" for key in sorted(value)], "{}"
    return f"{ends[0]}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{ends[1]}"


if __name__ == "__main__":
    sys.stdout.write(_render(golden_graphs()) + "\n")
