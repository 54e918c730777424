"""The whole compiled graph: it is what it was, and what Kubeflow's own definitions allow."""

import json
import re
from pathlib import Path

import pytest
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from tests.helpers.compiled_graphs import GRAPHS, compile_graph, without_texts
from tests.pipelines.test_compile import executors_of

GOLDEN = Path(__file__).parents[1] / "golden" / "graphs.json"


@pytest.fixture(scope="module", params=sorted(GRAPHS))
def graph(request):
    return request.param, *compile_graph(request.param)


def leaves(value, place=""):
    """Every value by where it stands, so that a difference is shown and not two graphs."""
    if isinstance(value, dict | list) and value:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for name, part in parts for key, leaf in leaves(part, f"{place}/{name}").items()}
    return {place: value}


def test_the_graph_is_what_it_was(graph):
    name, *documents = graph
    found = leaves([without_texts(document) for document in documents])
    golden = leaves(json.loads(GOLDEN.read_text())[name])
    missing = object()
    changed = {
        place: (golden.get(place), found.get(place))
        for place in found | golden
        if found.get(place, missing) != golden.get(place, missing)
    }
    assert not changed, "if that is meant: python -m tests.helpers.compiled_graphs > tests/golden/graphs.json"


def test_kubeflow_knows_every_field(graph):
    _, pipeline, platform = graph
    json_format.ParseDict(pipeline, PipelineSpec())
    for settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(settings, KubernetesExecutorConfig())


def test_a_form_explains_every_parameter(graph):
    _, pipeline, _ = graph
    for name, parameter in pipeline["root"]["inputDefinitions"]["parameters"].items():
        assert parameter.get("description"), name


def test_every_stage_is_named_by_what_its_image_holds(graph):
    _, pipeline, _ = graph
    for name, executor in executors_of(pipeline).items():
        image = executor["container"]["image"]
        assert re.fullmatch(r"registry\.example/metrifier-(data|train|ingest)@sha256:[0-9a-f]{64}", image), name
