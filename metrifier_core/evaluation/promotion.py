"""Whether a challenger becomes champion: only where it is better beyond doubt."""

from collections.abc import Callable, Sequence
from pathlib import Path

from metrifier_core.evaluation.comparison import JudgedRows, compare_scores, score_rows
from metrifier_core.scoring.metrifier import Metrifier
from metrifier_core.statistics import HEADLINE, get_metric
from metrifier_core.tracking import Verdict

_REPLICATES = 1000


def challenge(
    champion: Callable[[], Path], rows: JudgedRows, versions: Sequence[Path], quality: Path, seed: int
) -> Verdict:
    """Compare a new metrifier with the champion, once downloaded, on the new run's test versions by a paired bootstrap.

    Returns:
        Passed where the 95 % interval of the difference in `HEADLINE` excludes 0 in the new metrifier's favour. A
        champion that cannot be loaded stays; the reason says what to do.
    """
    try:
        score = Metrifier.load(champion()).score
    except (ValueError, ImportError) as error:
        return Verdict(False, f"the champion cannot be run ({error}): move the alias by hand", {})
    scores = score_rows(score, rows, versions, quality)
    seen = compare_scores(rows, rows.predicted, scores, replicates=_REPLICATES, seed=seed)["seen"]
    pair = None if seen is None else seen.metrics[HEADLINE]
    difference = {} if pair is None else pair.difference.model_dump(exclude_none=True)
    if seen is None or pair is None or "low" not in difference:
        return Verdict(False, "the test versions are too few to tell", difference)
    passed = pair.better == "first"
    numbers = (
        f"{get_metric(HEADLINE).title} {pair.first:.3f} against {pair.second:.3f} on {seen.rows:,} test versions "
        f"of {seen.sources:,} images, difference {difference['value']:+.3f} "
        f"({difference['low']:+.3f} to {difference['high']:+.3f})"
    )
    return Verdict(
        passed, f"{'better than' if passed else 'not better beyond doubt than'} the champion: {numbers}", difference
    )
