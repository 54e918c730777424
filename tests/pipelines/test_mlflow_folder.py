"""The manifests, the project and the plugin's example in mlflow/: nothing in them points at what is not there."""

import json
import re
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from mlflow.projects.utils import load_project
from mlflow.server.security_utils import get_allowed_hosts_from_env, is_allowed_host_header

from metrifier_core import __version__

FOLDER = Path(__file__).parents[2] / "mlflow"
KUBERNETES = FOLDER / "kubernetes"


@pytest.fixture(scope="module")
def kustomization():
    return yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())


@pytest.fixture(scope="module")
def documents(kustomization):
    return [
        found for name in kustomization["resources"] for found in yaml.safe_load_all((KUBERNETES / name).read_text())
    ]


def containers(documents):
    for document in documents:
        pod = document.get("spec", {}).get("template", {}).get("spec", {})
        for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
            yield document, pod, container


def test_every_manifest_is_applied(kustomization):
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(kustomization["resources"]) == files - {"kustomization.yaml"}


def test_the_servers_image_holds_what_speaks_to_its_database_and_its_bucket():
    setup = ConfigParser()
    setup.read(FOLDER.parent / "setup.cfg")
    packages = {re.split("[=>]", line)[0] for line in setup["options.extras_require"]["tracking-server"].split("\n")}
    assert {"boto3", "mlflow", "psycopg2-binary"} <= packages
    assert "export_lock data.lock $stages tracking-server " in (FOLDER.parent / "Dockerfile").read_text()


def test_every_secret_and_setting_that_is_read_is_generated(kustomization, documents):
    secrets = {generator["name"] for generator in kustomization["secretGenerator"]}
    settings = {generator["name"] for generator in kustomization["configMapGenerator"]}
    example = (KUBERNETES / "secrets.env.example").read_text()
    keys = {line.partition("=")[0] for line in example.splitlines()}
    for _, _, container in containers(documents):
        for source in container.get("envFrom", []):
            assert source.get("secretRef", {}).get("name", "mlflow") in secrets
            assert source.get("configMapRef", {}).get("name", "mlflow") in settings
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                assert (reference["name"] in secrets, reference["key"] in keys) == (True, True)
    literals = {
        literal.partition("=")[0] for each in kustomization["configMapGenerator"] for literal in each["literals"]
    }
    assert {"POSTGRES_PASSWORD"} <= keys
    assert {"ARTIFACTS"} <= literals


def test_the_database_is_reached_whatever_stands_in_its_password(documents):
    connecting = [
        container for _, _, container in containers(documents) if "postgresql+" in str(container.get("command"))
    ]
    assert [container["name"] for container in connecting] == ["migrate", "server"]
    for container in connecting:
        assert "PASSWORD" not in str(container["command"])
        (given,) = (variable for variable in container["env"] if variable["name"] == "PGPASSWORD")
        assert given["valueFrom"]["secretKeyRef"] == {"name": "mlflow", "key": "POSTGRES_PASSWORD"}


def test_the_tables_are_changed_by_one_server_at_a_time(documents):
    (server,) = (document for document, _, container in containers(documents) if container["name"] == "server")
    assert (server["spec"]["replicas"], server["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_services_find_their_pods_and_ports(documents):
    pods = {
        document["metadata"]["name"]: (document["spec"]["template"]["metadata"]["labels"], container)
        for document, _, container in containers(documents)
    }
    for service in (document for document in documents if document["kind"] == "Service"):
        labels, container = pods[service["metadata"]["name"]]
        assert service["spec"]["selector"] == labels
        (port,) = service["spec"]["ports"]
        assert port["targetPort"] in {each["name"] for each in container["ports"]}


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:5000", True),
        ("localhost:8080", True),
        ("mlflow:5000", True),
        ("mlflow.mlflow:5000", True),
        ("mlflow.mlflow.svc:5000", True),
        ("mlflow.mlflow.svc.cluster.local:5000", True),
        ("mlflow.mlflow.svc.cluster.local", True),
        ("evil.example:5000", False),
        ("mlflow.evil.example", False),
    ],
)
def test_the_server_answers_to_port_forward_and_its_services_names_alone(documents, monkeypatch, host, known):
    (variables,) = (container["env"] for _, _, container in containers(documents) if container["name"] == "server")
    (allowed,) = (each["value"] for each in variables if each["name"] == "MLFLOW_SERVER_ALLOWED_HOSTS")
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", allowed)
    assert is_allowed_host_header(get_allowed_hosts_from_env(), host) is known


def test_nothing_runs_as_root_or_without_bounds(documents):
    for _, pod, container in containers(documents):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        if container["name"] != "migrate":
            assert container["resources"]["limits"]["memory"]
            assert container["readinessProbe"]


def test_images_are_named_with_a_version(kustomization, documents):
    replaced = {image["name"]: image["newTag"] for image in kustomization["images"]}
    assert replaced["metrifier-data"] == __version__
    for _, _, container in containers(documents):
        assert container["image"] in replaced or ":" in container["image"]


def test_no_secret_is_in_the_repository():
    assert not (KUBERNETES / "secrets.env").exists()
    ignored = (FOLDER.parent / ".gitignore").read_text().splitlines()
    assert "/mlflow/kubernetes/secrets.env" in ignored


def test_the_plugins_example_lets_tasks_log():
    of_all = json.loads((FOLDER / "kubeflow" / "config.json").read_text())["plugins"]["mlflow"]
    assert of_all["endpoint"] == "http://mlflow.mlflow.svc.cluster.local:5000"
    assert of_all["settings"]["injectUserEnvVars"] is True
    example = yaml.safe_load((FOLDER / "kubeflow" / "plugin.yaml").read_text())
    of_namespace = json.loads(example["data"]["plugins.mlflow"])
    assert of_namespace.keys() == {"settings"}, "anything else is refused there"
    assert of_namespace["settings"].items() <= of_all["settings"].items()


@pytest.mark.parametrize("entry", ["main", "train", "families", "score"])
def test_the_project_has_entry_points_that_mlflow_reads(entry, tmp_path):
    project = load_project(str(FOLDER))
    given = {"images": "photos"} if entry == "score" else {"config": "../configs/digits.yaml"}
    command = project.get_entry_point(entry).compute_command(given, str(tmp_path))
    assert "{" not in command
    assert ("metrifier score photos" if entry == "score" else "-m pipelines.local ../configs/digits.yaml") in command
