"""Which version is the champion, however many registrations end at once and wherever one is killed."""

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.helpers.run_products import Products, write_products

QUICK = (20.0, 0.05)  # seconds at most, and between two looks


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


def register(products: Products, model: str, rho: float, patience: tuple[float, float] = QUICK) -> dict[str, Any]:
    """Registers a metrifier, which beats the champion by its correlation alone."""
    from mlflow import MlflowClient

    from metrifier_core.tracking import Patience, PipelineRun, Verdict

    def challenge(fetch: Any) -> Any:
        version = fetch.args[0].rpartition("/")[2]
        champion = float(MlflowClient().get_model_version(model, version).tags["mean_global"])
        return Verdict(rho > champion, f"{rho} against {champion} of version {version}", {"value": rho - champion})

    run = PipelineRun(f"{model} {rho}".replace("'", ""), f"experiment {model}")
    found: dict[str, Any] = products.register(run, model, rho, challenge=challenge, patience=Patience(*patience))
    return found


def champion(client: Any, model: str) -> str:
    return str(client.get_model_version_by_alias(model, "champion").version)


@pytest.mark.parametrize("first", [None, 0.3], ids=["without", "with"])
@pytest.mark.parametrize("better", [0, 1], ids=["before", "after"])
def test_registrations_that_end_at_once_are_judged_in_their_order(
    client: Any, products: Products, model: str, monkeypatch: pytest.MonkeyPatch, first: float | None, better: int
) -> None:
    from metrifier_core.tracking import registry

    if first is not None:
        register(products, model, first)
    both_are_made = threading.Barrier(2)
    decide = registry.decide

    def decide_at_once(client: Any, model_name: str, version: str, *others: Any) -> Any:
        both_are_made.wait(60)
        # The one that has to wait is there first.
        time.sleep(0.2 if int(version) % 2 == (first is None) else 0)
        return decide(client, model_name, version, *others)

    monkeypatch.setattr(registry, "decide", decide_at_once)
    rhos = (0.6, 0.5) if better == 0 else (0.5, 0.6)
    with ThreadPoolExecutor(2) as pool:
        both = []
        for rho in rhos:
            both.append(pool.submit(register, products, model, rho))
            while len(client.search_model_versions(f"name = '{model}'")) < len(both) + (first is not None):
                time.sleep(0.02)
        before, after = (future.result() for future in both)
    assert int(after["version"]) == int(before["version"]) + 1
    assert champion(client, model) == (before, after)[better]["version"]
    assert before["gate"] == ("the first version" if first is None else f"0.{6 - better} against 0.3 of version 1")
    assert after["gate"] == f"{rhos[1]} against {rhos[0]} of version {before['version']}"
    assert [before["champion"], after["champion"]] == [True, bool(better)], "one after the other, if both are better"


def make_undecided(client: Any, model: str, products: Products, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Leaves a version whose registration was killed, and whose run goes on for all that MLflow knows."""
    from metrifier_core.tracking import registry

    def killed(*_: Any) -> None:
        raise MemoryError("killed")

    with monkeypatch.context() as cut:
        cut.setattr(registry, "decide", killed)
        with pytest.raises(MemoryError):
            register(products, model, 0.9)
    (version,) = client.search_model_versions(f"name = '{model}'")
    client.update_run(version.run_id, status="RUNNING")
    return version


def test_a_version_that_stays_undecided_is_waited_for_no_longer_than_it_is_said(
    client: Any, products: Products, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = make_undecided(client, model, products, monkeypatch)
    begun = time.monotonic()
    found = register(products, model, 0.5, (1.0, 0.1))
    assert time.monotonic() - begun < 20
    assert found["gate"] == "the first version; version 1 was waited for and is still undecided"
    assert found["champion"] is True
    assert champion(client, model) == "2"
    # Once another is the champion, the killed one has to beat it, and is waited for by nobody.
    client.update_run(killed.run_id, status="RUNNING")
    assert register(products, model, 0.4)["gate"] == "0.4 against 0.5 of version 2"
    assert register(products, model, 0.9)["gate"] == "0.9 against 0.5 of version 2"
    assert champion(client, model) == "1"
    capsys.readouterr()


@pytest.mark.parametrize("status", ["FAILED", "KILLED", "deleted"])
def test_a_version_whose_run_is_over_is_not_waited_for(
    client: Any, products: Products, model: str, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    version = make_undecided(client, model, products, monkeypatch)
    if status == "deleted":
        client.delete_run(version.run_id)
    else:
        client.set_terminated(version.run_id, status)
    begun = time.monotonic()
    assert register(products, model, 0.5, (600.0, 600.0))["gate"] == "the first version"
    assert time.monotonic() - begun < 300


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
