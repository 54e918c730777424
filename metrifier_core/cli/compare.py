"""The command line: `metrifier compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metrifier_core.cli.options import STANDARD, check_folder, refuse, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from metrifier_core.evaluation.comparison import JudgedRows
    from metrifier_core.evaluation.finished_run import FinishedRun

_TABLE_WIDTH = 120
_SHOWN = {
    "global": "global Spearman",
    "within_image": "within image",
    "within_condition": "within condition",
    "auroc": "AUROC",
    "augrc": "AUGRC (less is better)",
    "calibration_error": "calibration error (less is better)",
}
_TITLES = {"seen": "distortions of the training", "unseen": "distortions that no training has seen"}


def _choose(on: str | None, first: "FinishedRun | None", second: "FinishedRun | None") -> "FinishedRun":
    """Finds the run whose test versions are ranked."""
    from metrifier_core.evaluation.finished_run import PREDICTIONS, find_finished_run

    if on is None:
        # A folder has the versions too, which a model or a run on others has to score.
        found = next((run for run in (first, second) if run is not None and run.folder), first or second)
        if found is None:
            raise ValueError(
                "neither A nor B is the folder of a finished run or runs:/ID: name one whose test versions they score "
                "with --on"
            )
        return found
    found = find_finished_run(on)
    if found is None:
        raise ValueError(f"{Path(on) / PREDICTIONS} is missing: expected the folder of a finished run, or runs:/ID")
    return found


def _scores(name: str, own: "FinishedRun | None", on: "FinishedRun", rows: "JudgedRows") -> "NDArray[Any]":
    """Takes a run's own scores of the test versions, where it has these, or has its model score them."""
    from metrifier_core.data.records import tables
    from metrifier_core.evaluation.comparison import read_judged_rows, score_rows
    from metrifier_core.scoring.metrifier import Metrifier

    if own is not None:
        judged = read_judged_rows(own.predictions)
        if judged.is_judged_like(rows):
            return judged.predicted
    if on.folder is None:
        raise ValueError(
            f"{name} has not scored the test versions of {on.name}, and MLflow keeps no versions: name the folder of a "
            "run whose versions both score with --on"
        )
    metrifier = Metrifier.load(name if own is None else own.model)
    versions = tables([on.folder / "versions"], "versions")
    return score_rows(metrifier.score, rows, versions, on.folder / "quality.parquet")


def _print(found: dict[str, Any], first: str, second: str) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console.width = max(_TABLE_WIDTH, console.width)
    for part, title in _TITLES.items():
        judged = found[part]
        if judged is None:
            continue
        table = Table(box=SIMPLE, title=f"{judged['rows']:,} test versions of {judged['sources']:,} images, {title}")
        for heading in ("", "A", "B", "A - B", "95 % interval", "better"):
            table.add_column(heading, no_wrap=True, justify="left" if heading in {"", "better"} else "right")
        for name, shown in _SHOWN.items():
            metric = judged["metrics"][name]
            difference = metric["difference"]
            values = ["" if metric[side] is None else f"{metric[side]:.3f}" for side in ("first", "second")]
            interval = "" if difference["low"] is None else f"{difference['low']:+.3f} to {difference['high']:+.3f}"
            change = "" if difference["value"] is None else f"{difference['value']:+.3f}"
            undecided = "not to be told" if interval else ""
            better = {"first": "A", "second": "B", None: undecided}[metric["better"]]
            table.add_row(shown, *values, change, interval, better)
        console.print(table)
    console.print(escape(f"A: {first}\nB: {second}"), highlight=False)


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A run's folder, or runs:/ID in MLflow; or a model as `metrifier score` takes it."
        ),
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")],
    on: Annotated[
        str | None,
        typer.Option(help="The run whose test versions both score; where left out A or B, folders first."),
    ] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Draws of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    output: Annotated[
        str | None, typer.Option(help="Write all figures as JSON, too; - prints them instead of the tables.")
    ] = None,
) -> None:
    """Compare two metrifiers on the test versions of one run, by the workers that were held out of its labels.

    Both are judged on the same draws of source images, so that a difference shows which their own intervals would hide.

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
        run = _choose(on, *runs)
        rows = read_judged_rows(run.predictions)
        scores = [_scores(name, own, run, rows) for name, own in zip((first, second), runs, strict=True)]
        found = compare_scores(rows, *scores, replicates=replicates, seed=seed)
    except (ValueError, ImportError) as error:
        refuse(error)
    if output != STANDARD:
        _print(found, first, second)
    if output is not None:
        write_json(output, {"a": first, "b": second, "on": run.name, **found})
