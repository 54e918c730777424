"""The command `metrifier compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metrifier_core.cli.options import STANDARD, JsonOption, check_folder, print_table, refuse, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from metrifier_core.evaluation.comparison import ComparedVersions, JudgedRows
    from metrifier_core.evaluation.finished_run import FinishedRun


def _choose(on: str | None, first: "FinishedRun | None", second: "FinishedRun | None") -> "FinishedRun":
    """Return the run whose test versions are ranked."""
    from metrifier_core.evaluation.finished_run import PREDICTIONS, find_finished_run

    if on is None:
        # Folders first: they hold the versions, which a model or a run on other versions has to score.
        run = next((run for run in (first, second) if run is not None and run.folder), first or second)
        if run is None:
            raise ValueError(
                "neither A nor B is the folder of a finished run or runs:/ID: name one whose test versions they score "
                "with --on"
            )
        return run
    run = find_finished_run(on)
    if run is None:
        raise ValueError(f"{Path(on) / PREDICTIONS} is missing: expected the folder of a finished run, or runs:/ID")
    return run


def _scores(name: str, run: "FinishedRun | None", on: "FinishedRun", rows: "JudgedRows") -> "NDArray[Any]":
    """Return a run's own scores of the test versions, or those that its model computes now."""
    from metrifier_core.data.records import tables
    from metrifier_core.evaluation.comparison import read_judged_rows, score_rows
    from metrifier_core.scoring.metrifier import Metrifier

    if run is not None:
        judged = read_judged_rows(run.predictions)
        if judged.is_judged_like(rows):
            return judged.predicted
    if on.folder is None:
        raise ValueError(
            f"{name} has not scored the test versions of {on.name}, and MLflow keeps no versions: name the folder of a "
            "run whose versions both score with --on"
        )
    metrifier = Metrifier.load(name if run is None else run.model)
    versions = tables([on.folder / "versions"], "versions")
    return score_rows(metrifier.score, rows, versions, on.folder / "quality.parquet")


def _print(compared: "Mapping[str, ComparedVersions | None]", first: str, second: str) -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    from metrifier_core.statistics import get_metric

    for part, judged in compared.items():
        if judged is None:
            continue
        title = f"{judged.rows:,} test versions of {judged.sources:,} images, distortions {part} in training"
        table = Table(box=SIMPLE, title=title)
        for heading in ("", "A", "B", "A - B", "95 % interval", "better"):
            table.add_column(heading, no_wrap=True, justify="left" if heading in {"", "better"} else "right")
        for name, pair in judged.metrics.items():
            metric, change = get_metric(name), pair.difference
            label = metric.title if metric.higher_is_better else f"{metric.title} ({metric.direction})"
            values = ["" if value is None else f"{value:.3f}" for value in (pair.first, pair.second)]
            interval = "" if change.low is None else f"{change.low:+.3f} to {change.high:+.3f}"
            difference = "" if change.value is None else f"{change.value:+.3f}"
            better = {"first": "A", "second": "B", None: "undecided" if interval else ""}[pair.better]
            table.add_row(label, *values, difference, interval, better)
        print_table(table)
    typer.echo(f"A: {first}\nB: {second}")


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A run's folder, runs:/ID in MLflow, or a model as `metrifier score` takes it."
        ),
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="The same, to compare A with.")],
    on: Annotated[
        str | None,
        typer.Option(help="Run whose test versions both score; by default A or B, folders first."),
    ] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Number of bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    output: JsonOption = None,
) -> None:
    """Compare two metrifiers on the test versions of one run, by the workers that were held out of its labels.

    Both are judged on the same draws of source images, which shows differences that their own intervals would hide.

    Examples:
        metrifier compare runs/large runs/small

        metrifier compare models:/metrifier@challenger models:/metrifier@champion --on runs/large

        metrifier compare runs:/0123456789abcdef0123456789abcdef runs/small
    """
    from metrifier_core.evaluation.comparison import compare_scores, read_judged_rows
    from metrifier_core.evaluation.finished_run import find_finished_run

    if output is not None:
        check_folder(output)
    try:
        runs = [find_finished_run(name) for name in (first, second)]
        on_run = _choose(on, *runs)
        rows = read_judged_rows(on_run.predictions)
        scores = [_scores(name, run, on_run, rows) for name, run in zip((first, second), runs, strict=True)]
        compared = compare_scores(rows, *scores, replicates=replicates, seed=seed)
    except (ValueError, ImportError) as error:
        refuse(error)
    if output != STANDARD:
        _print(compared, first, second)
    if output is not None:
        parts = {part: judged and judged.model_dump() for part, judged in compared.items()}
        write_json(output, {"a": first, "b": second, "on": on_run.name, **parts})
