"""What stages share: the folder that a killed one goes on from."""

from pathlib import Path

import pytest

from metrifier_core.stages.running import ShardSummary, Summary, partial_folder, stage


def fill(output: Path, kept: str | None = None) -> list[str]:
    """Fill a partial folder as a stage does; return what it held before."""
    with partial_folder(output, "train", "0123456789abcdef", kept=kept) as folder:
        before = sorted(path.name for path in folder.iterdir())
        for name in ("model.bin", "checkpoint", "epoch.partial"):
            (folder / name).write_text(name)
    return before


def test_what_is_kept_is_there_for_a_next_attempt_and_no_part_of_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline may be killed before it has noted that the stage is through."""
    monkeypatch.setenv("METRIFIER_PARTIAL", str(tmp_path / "partial"))
    for attempt, before in enumerate([[], ["checkpoint"]]):
        output = tmp_path / f"task {attempt}" / "model"
        assert fill(output, "checkpoint") == before
        assert [path.name for path in output.iterdir()] == ["model.bin"]


def test_without_a_place_that_outlives_the_stage_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METRIFIER_PARTIAL", raising=False)
    assert fill(tmp_path / "model", "checkpoint") == []
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["model.bin"]


def test_the_output_is_all_that_the_stage_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRIFIER_PARTIAL", str(tmp_path / "partial"))
    fill(tmp_path / "task" / "model")
    assert sorted(path.name for path in (tmp_path / "task" / "model").iterdir()) == ["checkpoint", "model.bin"]
    assert not list((tmp_path / "partial").iterdir())


def test_a_stage_that_fails_writes_its_reason_for_the_runner_and_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METRIFIER_FAILURES", str(tmp_path / "failures"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    @stage
    def distort(error: Exception) -> Summary:
        raise error

    with pytest.raises(OSError, match="no room"):
        distort(OSError("no room\nin /tmp"))
    with pytest.raises(KeyError):
        distort(KeyError())
    assert (tmp_path / "failures" / "distort").read_text() == "no room in /tmp\nKeyError\n"
    assert "metrifier: distort: failed: no room" in capsys.readouterr().err


def test_the_summary_of_a_shard_survives_its_file(tmp_path: Path) -> None:
    summary = ShardSummary(
        distort={"versions": 3, "started_at": 1.25}, versions="s3://v", worker_evaluate=[{"rows": 2}]
    )
    summary.write(tmp_path)
    assert ShardSummary.read(tmp_path) == summary
