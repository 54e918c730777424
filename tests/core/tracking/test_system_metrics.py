"""A training does not end for what cannot be sampled of the machine: it is said once, and the others go on."""

import time
from typing import Any

import pytest


def sample(monkeypatch: pytest.MonkeyPatch, count: int = 3) -> list[dict[str, float]]:
    from metrifier_core.tracking import sampled_system_metrics

    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    with sampled_system_metrics() as samples:
        end = time.monotonic() + 30
        while len(samples) < count:
            assert time.monotonic() < end, "the sampler has ended"
            time.sleep(0.01)
    return samples


def test_a_machine_without_network_counters_is_sampled_without_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import psutil

    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    for each in sample(monkeypatch):
        assert "cpu_utilization_percentage" in each
        assert "network_receive_megabytes" not in each
    said = capsys.readouterr().err
    assert said.startswith("metrifier: system metrics: goes on without Network. Reason: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "kind", "lost"),
    [("cpu_percent", "CPU", "cpu_utilization_percentage"), ("disk_usage", "Disk", "disk_usage_percentage")],
)
def test_what_fails_later_is_given_up_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, kind: str, lost: str
) -> None:
    import psutil

    real, calls = getattr(psutil, name), []

    def fails_later(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 1:
            raise PermissionError("not in this container")
        return real(*arguments)

    monkeypatch.setattr(psutil, name, fails_later)
    first, second, *_ = sample(monkeypatch)
    assert lost in first
    assert lost not in second
    assert "network_receive_megabytes" in second
    said = capsys.readouterr().err
    assert said.count(f"goes on without {kind}. Reason: PermissionError: not in this container") == 1
    assert len(calls) == 2


def test_without_psutil_nothing_is_sampled(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from metrifier_core.tracking import system_metrics

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"no psutil for {name}")

    monkeypatch.setattr(system_metrics, "import_module", missing)
    assert [set(each) for each in sample(monkeypatch)[:2]] == [{"time"}] * 2
    assert capsys.readouterr().err.count("goes on without") == 3, "of a GPU nothing is said"
