"""What gives severity its meaning: the search for the parameters at which label workers lose what they should."""

import hashlib
import heapq
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metrifier_core.config.run import RunConfig
from metrifier_core.data.quality import mean_quality
from metrifier_core.data.records import read_rows
from metrifier_core.distortions import (
    TARGETS,
    Distortion,
    Levels,
    SeverityTable,
    TypeSeverities,
    apply_levels,
    get_distortion,
    read_severities,
    version_seed,
    write_severities,
)
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.execution.progress import progress, say
from metrifier_core.images import RgbImage, decode_image
from metrifier_core.stages.download import download
from metrifier_core.stages.prepare_workers import prepare_workers
from metrifier_core.workers import load_worker, read_cards
from metrifier_core.workers.losses import compute_losses

Measure: TypeAlias = Callable[[Sequence[float]], Sequence[float]]
"""Maps values of a distortion's parameter to the share of the pristine mean TCP that is left at each."""

_COARSE_IMAGES = 150
_GRID = 9
_COARSE_ROUNDS = 2
_FINE_ROUNDS = 2
_CLOSE_ENOUGH = 0.008
_REACHED = 0.03
_MIN_SHARE = 0.005


def _log_odds(share: float) -> float:
    inside = min(max(share, _MIN_SHARE), 1 - _MIN_SHARE)
    return math.log(inside / (1 - inside))


def _share(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


class _Curve:
    """What is known of the share that is left over a distortion's parameter."""

    def __init__(self, distortion: Distortion) -> None:
        self._distortion = distortion
        self._in_ratios = distortion.bounds[0] * distortion.bounds[1] > 0
        self.shares: dict[float, float] = {}

    def level(self, position: float) -> float:
        """Maps a position in [0, 1], from mildest to most severe, to a level that is short to write."""
        mildest, severest = self._distortion.bounds
        if self._in_ratios:
            level = mildest * (severest / mildest) ** position
        else:
            level = mildest + (severest - mildest) * position
        return float(round(level)) if self._distortion.whole else float(f"{level:.3g}")

    def position(self, level: float) -> float:
        """Undoes `level`."""
        mildest, severest = self._distortion.bounds
        if self._in_ratios:
            return math.log(level / mildest) / math.log(severest / mildest)
        return (level - mildest) / (severest - mildest)

    def measure(self, measure: Measure, levels: Sequence[float]) -> None:
        """Adds what is measured at levels that are not known yet."""
        new = sorted(set(levels) - set(self.shares))
        if new:
            self.shares.update(zip(new, measure(new), strict=True))

    def crossing(self, target: float) -> float:
        """Estimates where the share is the target, by a line between the known levels around it.

        The line is drawn in log-odds, since what is left of TCP falls as a logistic curve over the log of most levels.
        """
        closest = self.closest(target)
        if abs(self.shares[closest] - target) <= _CLOSE_ENOUGH:
            return closest
        known = sorted((self.position(level), share) for level, share in self.shares.items())
        before = known[0]
        for after in known[1:]:
            if after[1] < target:
                start, wanted, end = (_log_odds(share) for share in (before[1], target, after[1]))
                part = (start - wanted) / (start - end)
                return self.level(before[0] + min(max(part, 0.1), 0.9) * (after[0] - before[0]))
            before = after
        return self.level(1.0)

    def corrected(self, target: float, few: "_Curve") -> float:
        """Estimates where the share is the target from the curve of few images, moved onto this one's closest."""
        closest = self.closest(target)
        if abs(self.shares[closest] - target) <= _CLOSE_ENOUGH:
            return closest
        moved = _log_odds(target) + _log_odds(few.share(closest)) - _log_odds(self.shares[closest])
        return few.crossing(_share(moved))

    def share(self, level: float) -> float:
        """Estimates the share at a level between those that are known."""
        known = sorted(self.shares, key=self.position)
        odds = [_log_odds(self.shares[level]) for level in known]
        return _share(float(np.interp(self.position(level), [self.position(level) for level in known], odds)))

    def closest(self, target: float) -> float:
        """Finds the known level whose share is closest to the target."""
        return min(self.shares, key=lambda level: abs(self.shares[level] - target))

    def neighbours(self, targets: Levels) -> list[float]:
        """Lists the whole numbers within the bounds that are near the closest level of each target.

        Where several targets are out of reach, each of their severities needs a number of its own.
        """
        lowest, highest = sorted(self._distortion.bounds)
        around = (self.closest(target) + step for target in targets for step in range(-2, 3))
        return [level for level in around if lowest <= level <= highest]

    def spread(self, targets: Levels) -> list[float]:
        """Spreads levels for the targets that cannot be reached between the last that can and the most severe one."""
        severest = self.level(1.0)
        reached = [target for target in targets if severest not in self.shares or target >= self.shares[severest]]
        start = self.position(self.closest(reached[-1])) if reached else 0.0
        return [self.level(position) for position in np.linspace(start, 1, len(targets) - len(reached) + 1)[1:]]

    def closest_apart(self, targets: Levels) -> list[float]:
        """Finds the known levels, all different and from mild to severe, whose shares are closest to the targets."""
        known = sorted(self.shares, key=self.position)
        return list(
            min(
                itertools.combinations(known, len(targets)),
                key=lambda levels: math.dist([self.shares[level] for level in levels], targets),
            )
        )


def calibrate(distortion: Distortion, coarse: Measure, fine: Measure, targets: Levels = TARGETS) -> TypeSeverities:
    """Finds the parameter of a distortion at severity 1 to 5.

    A grid over the distortion's bounds, and then ever smaller brackets around each target, are measured on few images
    to find where to look, and again on all images.

    Args:
        distortion: What to calibrate.
        coarse: Measures on few images.
        fine: Measures on all images.
        targets: The shares to find, falling.

    Returns:
        The levels, what was measured at each on all images, and which of them missed their target. Where targets
        cannot be reached, levels are spread up to the most severe one, so that severities stay different.
    """
    few = _Curve(distortion)
    few.measure(coarse, [few.level(position) for position in np.linspace(0, 1, _GRID)])
    for _ in range(_COARSE_ROUNDS):
        few.measure(coarse, [few.crossing(target) for target in targets])

    curve = _Curve(distortion)
    curve.measure(fine, [few.crossing(target) for target in targets])
    for _ in range(_FINE_ROUNDS):
        curve.measure(fine, [curve.corrected(target, few) for target in targets])
    curve.measure(fine, curve.neighbours(targets) if distortion.whole else curve.spread(targets))
    levels = curve.closest_apart(targets)
    shares = [round(curve.shares[level], 3) for level in levels]
    missed = [
        severity
        for severity, (share, target) in enumerate(zip(shares, targets, strict=True), start=1)
        if abs(share - target) > _REACHED
    ]
    found = TypeSeverities.model_validate({"levels": levels, "tcp": shares, "unreachable": missed})
    distortion.check_levels(found.levels)
    return found


def calibrate_types(settings: RunConfig, names: Sequence[str], images: int, output: Path) -> None:
    """Calibrates distortions on a run's calibration images, and writes the file of levels after each.

    Args:
        settings: The run's config: its source, its splits, its label workers.
        names: The distortions; those that the file has already are passed over.
        images: Use at most this many images.
        output: The YAML file.

    Raises:
        ValueError: The source or a worker cannot be used, or the file holds another calibration.
    """
    if not output.parent.is_dir():
        raise ValueError(f"there is no folder {output.parent}")
    with open_meter(settings, "calibration", images) as meter:
        table = SeverityTable(
            calibrated_on=f"{meter.images} calibration images of '{settings.name}', SHA-256 {meter.digest[:16]}",
            label_workers=meter.label_workers,
            distortions={},
        )
        known = _known(output, table)
        for name in progress([name for name in names if name not in known], "calibrate", unit="type"):
            distortion = get_distortion(name)
            coarse = partial(meter.shares, distortion, count=_COARSE_IMAGES)
            known[name] = calibrate(distortion, coarse, partial(meter.shares, distortion))
            write_severities(table.model_copy(update={"distortions": dict(sorted(known.items()))}), output)
            levels = " ".join(f"{level:g}" for level in known[name].levels)
            say(f"{name}: {levels} leave {' '.join(f'{share:.2f}' for share in known[name].tcp)}")


def _known(output: Path, table: SeverityTable) -> dict[str, TypeSeverities]:
    """Reads what an earlier call found in the same way."""
    if not output.exists():
        return {}
    earlier = read_severities(output)
    if earlier.model_copy(update={"distortions": {}}) != table:
        raise ValueError(f"{output} holds another calibration ({earlier.calibrated_on}): name another file")
    return dict(earlier.distortions)


class TcpMeter:
    """Measures what distortions leave of the label workers' mean true-class probability (TCP).

    Attributes:
        label_workers: Their names.
        images: How many clean images it has.
        digest: SHA-256 of their identities and bytes.
    """

    def __init__(self, images: Path, workers: Path, split: str, seed: int, limit: int) -> None:
        """Loads the label workers and the clean images, and measures these.

        Args:
            images: What `download` wrote.
            workers: What `prepare_workers` wrote.
            split: The source images' split.
            seed: The config's seed.
            limit: Use at most this many images.

        Raises:
            ValueError: The split has no images.
        """
        self._seed = seed
        rows = (row for path in sorted(images.glob("images-*.parquet")) for row in read_rows(path, splits=[split]))
        # Chosen by what depends on nothing but the image: the first ones are a fair sample of all.
        self._rows = heapq.nsmallest(limit, rows, key=lambda row: version_seed(0, row["image_id"], "order"))
        if not self._rows:
            raise ValueError(f"no usable image for the split '{split}'")
        self.images = len(self._rows)
        digest = hashlib.sha256()
        for row in self._rows:
            digest.update(row["image_id"].encode() + b"\0" + row["image"]["bytes"])
        self.digest = digest.hexdigest()
        self.label_workers = [card.name for card in read_cards(workers) if card.role == "label"]
        self._workers = [load_worker(workers, name)[0] for name in self.label_workers]
        clean = parallel_map(lambda row: self._tcp([decode_image(row["image"]["bytes"])], row["label"])[0], self._rows)
        self._pristine = np.array(list(progress(clean, "pristine", total=self.images, unit="image")))

    def shares(self, distortion: Distortion, levels: Sequence[float], count: int | None = None) -> list[float]:
        """Measures what is left of the pristine mean TCP.

        Args:
            distortion: The distortion.
            levels: Values of its parameter.
            count: Use the first images only; all where None.

        Returns:
            A share for each level, 1 where nothing is lost.
        """

        def judge_all(row: Mapping[str, Any]) -> NDArray[np.float64]:
            rng = np.random.default_rng(version_seed(self._seed, row["image_id"], distortion.name))
            distorted = apply_levels(decode_image(row["image"]["bytes"]), distortion, levels, rng)
            return self._tcp(list(distorted), row["label"])

        rows = self._rows[:count]
        judged = parallel_map(judge_all, rows)
        shown = progress(judged, f"{distortion.name} at {len(levels)} levels", total=len(rows), unit="image")
        tcp = np.array(list(shown))
        return [float(share) for share in tcp.mean(axis=0) / self._pristine[:count].mean()]

    def _tcp(self, versions: Sequence[RgbImage], label: int) -> NDArray[np.float64]:
        labels = [label] * len(versions)
        return mean_quality(np.array([compute_losses(worker, versions, labels).tcp for worker in self._workers]))


@contextmanager
def open_meter(settings: RunConfig, split: str, limit: int) -> Iterator[TcpMeter]:
    """Reads a run's images and prepares its workers, as its first stages do, in a folder that is removed afterwards.

    Args:
        settings: The run's config.
        split: The split whose images to measure on.
        limit: Use at most this many of them.

    Yields:
        The meter.

    Raises:
        ValueError: The source or a worker cannot be used, or the split has no images.
    """
    sections = settings.pipeline_arguments()
    with tempfile.TemporaryDirectory() as folder:
        images, workers = Path(folder) / "images", Path(folder) / "workers"
        download(sections["source"], sections["splits"], settings.seed, 1, images)
        prepare_workers(sections["workers"], settings.seed, images, workers)
        yield TcpMeter(images, workers, split, settings.seed, limit)
