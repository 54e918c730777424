"""The registry's gate: a new metrifier becomes champion only where it is better than the one before, beyond doubt."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metrifier_core.evaluation.comparison import JudgedRows, compare_scores, score_rows
from metrifier_core.scoring.metrifier import Metrifier
from metrifier_core.tracking import Verdict

_REPLICATES = 1000


def challenge(
    champion: Callable[[], Path], rows: JudgedRows, versions: Sequence[Path], quality: Path, seed: int
) -> Verdict:
    """Has the champion score the test versions of a new metrifier, and compares the two by a paired bootstrap.

    Args:
        champion: Fetches the metrifier that is the champion, and gives its folder.
        rows: The test versions, scored by the new metrifier.
        versions: The shards that hold them.
        quality: The `quality.parquet` that they belong to.
        seed: Of the bootstrap.

    Returns:
        Passed where the 95 % interval of the difference in global Spearman lies above 0. A champion that cannot be
        had any more stays: the reason says what to do.
    """
    try:
        score = Metrifier.load(champion()).score
    except (ValueError, ImportError) as error:
        return Verdict(False, f"the champion cannot be run ({error}): move the alias by hand", {})
    found = compare_scores(
        rows, rows.predicted, score_rows(score, rows, versions, quality), replicates=_REPLICATES, seed=seed
    )["seen"]
    estimate: dict[str, Any] = found["metrics"]["global"]
    difference = {name: value for name, value in estimate["difference"].items() if value is not None}
    passed = estimate["better"] == "first"
    if "low" not in difference:
        return Verdict(False, "the test versions are too few to tell", difference)
    numbers = (
        f"global Spearman {estimate['first']:.3f} against {estimate['second']:.3f} on {found['rows']:,} test versions "
        f"of {found['sources']:,} images, difference {difference['value']:+.3f} "
        f"({difference['low']:+.3f} to {difference['high']:+.3f})"
    )
    return Verdict(
        passed, f"{'better than' if passed else 'not better beyond doubt than'} the champion: {numbers}", difference
    )
