"""The champion moves to a better version only, wherever a registration is killed and whatever moves the alias."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.run_products import Products, write_products


@pytest.fixture(scope="module", autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "METRIFIER_RUN_ID"):
            patch.delenv(variable, raising=False)
        patch.setattr(sys, "path", [*sys.path])
        yield


@pytest.fixture(scope="module")
def client(database: None) -> Any:  # noqa: ARG001
    from mlflow import MlflowClient

    return MlflowClient()


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Products:
    return write_products(tmp_path_factory.mktemp("run"))


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    return f"of {request.node.name}".replace("[", " ").replace("]", "")


def register(products: Products, model: str, rho: float) -> dict[str, Any]:
    """Register a metrifier, which beats the champion by its correlation alone."""
    from mlflow import MlflowClient

    from metrifier_core.tracking import PipelineRun, Verdict

    def challenge(fetch: Any) -> Any:
        version = fetch.args[0].rpartition("/")[2]
        champion = float(MlflowClient().get_model_version(model, version).tags["mean_global"])
        return Verdict(rho > champion, f"{rho} against {champion} of version {version}", {"value": rho - champion})

    run = PipelineRun(f"{model} {rho}".replace("'", ""), f"experiment {model}")
    registered: dict[str, Any] = products.register(run, model, rho, challenge=challenge)
    return registered


def champion(client: Any, model: str) -> str:
    return str(client.get_model_version_by_alias(model, "champion").version)


@pytest.mark.parametrize(("rho", "passes"), [(0.6, False), (0.8, True)])
def test_a_champion_that_changes_during_the_comparison_is_the_one_to_beat(
    client: Any, products: Products, model: str, rho: float, passes: bool
) -> None:
    from metrifier_core.tracking import PipelineRun, Verdict

    register(products, model, 0.5)
    register(products, model, 0.4)
    compared = []

    def challenge(fetch: Any) -> Any:
        compared.append(fetch.args[0])
        if len(compared) > 1:
            return Verdict(rho > 0.7, "compared with the second champion", {})
        client.set_model_version_tag(model, "2", "mean_global_rho", "0.7")
        client.set_registered_model_alias(model, "champion", "2")
        return Verdict(True, "compared with the first champion", {})

    registered = products.register(PipelineRun(model, f"experiment {model}"), model, rho, challenge=challenge)
    assert compared == [f"models:/{model}/1", f"models:/{model}/2"]
    assert (registered["champion"], registered["gate"]) == (passes, "compared with the second champion")
    assert champion(client, model) == ("3" if passes else "2")


def test_a_registration_that_was_killed_after_the_alias_moved_keeps_what_it_had_compared(
    client: Any, products: Products, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    register(products, model, 0.5)
    tag = MlflowClient.set_model_version_tag

    def killed(self: Any, name: str, version: str, key: str, value: str) -> None:
        if key == "gate":
            raise MemoryError("killed")
        tag(self, name, version, key, value)

    with monkeypatch.context() as cut:
        cut.setattr(MlflowClient, "set_model_version_tag", killed)
        with pytest.raises(MemoryError):
            register(products, model, 0.6)
    assert champion(client, model) == "2", "the alias had moved"
    for _ in range(2):
        found = register(products, model, 0.6)
        assert (found["version"], found["champion"], found["gate"]) == ("2", True, "0.6 against 0.5 of version 1")
    run = client.get_run(found["run_id"])
    assert run.data.metrics["champion_difference_value"] == pytest.approx(0.1)
    assert run.data.tags["metrifier.gate"] == client.get_model_version(model, "2").tags["gate"] == found["gate"]


def test_a_registration_that_was_killed_before_the_alias_moved_is_judged_anew(
    client: Any, products: Products, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    register(products, model, 0.5)
    move = MlflowClient.set_registered_model_alias

    def killed(self: Any, name: str, alias: str, version: str) -> None:
        if alias == "champion":
            raise MemoryError("killed")
        move(self, name, alias, version)

    with monkeypatch.context() as cut:
        cut.setattr(MlflowClient, "set_registered_model_alias", killed)
        with pytest.raises(MemoryError):
            register(products, model, 0.6)
    assert register(products, model, 0.7)["gate"] == "0.7 against 0.5 of version 1"
    again = register(products, model, 0.6)
    assert (again["version"], again["champion"], again["gate"]) == ("2", False, "0.6 against 0.7 of version 3")
    assert champion(client, model) == "3"


def test_a_models_name_may_hold_a_quote(client: Any, products: Products) -> None:
    register(products, "somebody's", 0.5)
    assert register(products, "somebody's", 0.6)["champion"] is True
    assert champion(client, "somebody's") == "2"
