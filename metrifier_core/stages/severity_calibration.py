"""The calibration of severities: the search for the parameters at which label workers lose a given share."""

import hashlib
import heapq
import itertools
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import logit

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
_COARSE_ROUNDS, _FINE_ROUNDS = 2, 4
_CLOSE_ENOUGH = 0.008  # to a target
_REACHED = 0.03
_MIN_SHARE = 0.005
_POSITIONS = np.linspace(0, 1, 10_001)  # from the mildest to the most severe level, where curves are interpolated


def _log_odds(shares: Sequence[float]) -> NDArray[np.float64]:
    return logit(np.clip(shares, _MIN_SHARE, 1 - _MIN_SHARE))


class _Curve:
    """The measured shares of one distortion by level, and their interpolation in log-odds over positions.

    Over the logarithm of most parameters, what is left of TCP falls roughly as a logistic curve.
    """

    def __init__(self, distortion: Distortion, measure: Measure) -> None:
        self._mildest, self._severest = distortion.bounds
        self._whole, self._in_ratios = distortion.whole, self._mildest * self._severest > 0
        self._measure = measure
        self.shares: dict[float, float] = {}

    def level(self, position: float) -> float:
        """Return the level at a position, rounded to three digits or to an integer."""
        if self._in_ratios:
            level = self._mildest * (self._severest / self._mildest) ** position
        else:
            level = self._mildest + (self._severest - self._mildest) * position
        return float(round(level)) if self._whole else float(f"{level:.3g}")

    def position(self, level: float) -> float:
        """Return the position of a level."""
        if self._in_ratios:
            return math.log(level / self._mildest) / math.log(self._severest / self._mildest)
        return (level - self._mildest) / (self._severest - self._mildest)

    def measure(self, levels: Iterable[float]) -> None:
        """Measure the levels that are not known yet."""
        new = sorted(set(levels) - set(self.shares))
        if new:
            self.shares.update(zip(new, self._measure(new), strict=True))

    def closest(self, target: float) -> float:
        """Return the measured level whose share is closest to the target."""
        return min(self.shares, key=lambda level: abs(self.shares[level] - target))

    def interpolate(self, base: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the log-odds at all positions; with a base, it is shifted to meet what is measured here."""
        levels = sorted(self.shares, key=self.position)
        positions, log_odds = [*map(self.position, levels)], _log_odds([self.shares[level] for level in levels])
        if base is None:
            return PchipInterpolator(positions, log_odds)(_POSITIONS)
        if not levels:
            return base
        return base + np.interp(_POSITIONS, positions, log_odds - np.interp(positions, _POSITIONS, base))

    def refine(self, targets: Levels, base: NDArray[np.float64] | None = None) -> None:
        """Measure where the interpolated curve reaches the targets that no measured share is close to."""
        falling = np.minimum.accumulate(self.interpolate(base))
        known = list(self.shares.values())
        missing = [target for target in targets if not np.isclose(known, target, rtol=0, atol=_CLOSE_ENOUGH).any()]
        reached = np.searchsorted(-falling, -_log_odds(missing)).clip(max=len(_POSITIONS) - 1)
        self.measure(map(self.level, _POSITIONS[reached]))

    def complete(self, targets: Levels) -> None:
        """Measure more levels, so that every severity has one of its own even where targets are out of reach."""
        severest = self.level(1.0)
        if self._whole:
            lowest, highest = sorted((self._mildest, self._severest))
            nearby = (self.closest(target) + step for target in targets for step in range(-2, 3))
            self.measure(level for level in nearby if lowest <= level <= highest)
        elif severest in self.shares:
            reached = [target for target in targets if target >= self.shares[severest]]
            start = self.position(self.closest(reached[-1])) if reached else 0.0
            self.measure(map(self.level, np.linspace(start, 1, len(targets) - len(reached) + 1)))

    def select(self, targets: Levels) -> list[float]:
        """Select the levels, all different and from mild to severe, whose shares are closest to the targets."""
        choices = itertools.combinations(sorted(self.shares, key=self.position), len(targets))
        return list(min(choices, key=lambda levels: math.dist([self.shares[level] for level in levels], targets)))


def calibrate(distortion: Distortion, coarse: Measure, fine: Measure, targets: Levels = TARGETS) -> TypeSeverities:
    """Find the parameter of a distortion at severity 1 to 5.

    Levels are measured on few images to find where to look, and then on all images: first on a grid over the
    distortion's bounds, then in a few rounds where the interpolated curve crosses the targets.

    Args:
        distortion: The distortion to calibrate.
        coarse: Measures on few images.
        fine: Measures on all images.
        targets: The shares to find, falling.

    Returns:
        The levels, the share that was measured at each on all images, and the severities that miss their target. Where
        targets are out of reach, levels are spread up to the most severe one, so that severities stay different.
    """
    few, curve = _Curve(distortion, coarse), _Curve(distortion, fine)
    few.measure(map(few.level, np.linspace(0, 1, _GRID)))
    for _ in range(_COARSE_ROUNDS):
        few.refine(targets)
    for _ in range(_FINE_ROUNDS):
        curve.refine(targets, few.interpolate())
    curve.complete(targets)
    levels = curve.select(targets)
    shares = [round(curve.shares[level], 3) for level in levels]
    pairs = zip(shares, targets, strict=True)
    missed = [severity for severity, (share, target) in enumerate(pairs, start=1) if abs(share - target) > _REACHED]
    calibrated = TypeSeverities.model_validate({"levels": levels, "tcp": shares, "unreachable": missed})
    distortion.check_levels(calibrated.levels)
    return calibrated


def calibrate_types(settings: RunConfig, names: Sequence[str], images: int, output: Path) -> None:
    """Calibrate distortions on a run's calibration images, and write the file of levels after each.

    Args:
        settings: The run's config: its source, its splits, its label workers.
        names: The distortions; those in the file already are skipped.
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
        known: dict[str, TypeSeverities] = {}
        if output.exists():
            earlier = read_severities(output)
            if earlier.model_copy(update={"distortions": {}}) != table:
                raise ValueError(f"{output} holds another calibration ({earlier.calibrated_on}): name another file")
            known.update(earlier.distortions)
        for name in progress([name for name in names if name not in known], "calibrate", unit="type"):
            distortion = get_distortion(name)
            coarse = partial(meter.shares, distortion, count=_COARSE_IMAGES)
            known[name] = calibrate(distortion, coarse, partial(meter.shares, distortion))
            write_severities(table.model_copy(update={"distortions": dict(sorted(known.items()))}), output)
            levels = " ".join(f"{level:g}" for level in known[name].levels)
            say(f"{name}: {levels} leave {' '.join(f'{share:.2f}' for share in known[name].tcp)}")


class TcpMeter:
    """Measures what distortions leave of the label workers' mean true-class probability (TCP).

    Attributes:
        label_workers: Their names.
        images: The number of clean images.
        digest: SHA-256 of their identities and bytes.
    """

    def __init__(self, images: Path, workers: Path, split: str, seed: int, limit: int) -> None:
        self._seed = seed
        rows = (row for path in sorted(images.glob("images-*.parquet")) for row in read_rows(path, splits=[split]))
        # In an order that depends on the image's identity alone, so that the first ones are a fair sample of all.
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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.images} images, label_workers={self.label_workers})"

    def shares(self, distortion: Distortion, levels: Sequence[float], count: int | None = None) -> list[float]:
        """Measure what is left of the pristine mean TCP.

        Args:
            distortion: The distortion.
            levels: Values of its parameter.
            count: Use only the first images; all if None.

        Returns:
            A share for each level, 1 where nothing is lost.
        """

        def measure(row: Mapping[str, Any]) -> NDArray[np.float64]:
            rng = np.random.default_rng(version_seed(self._seed, row["image_id"], distortion.name))
            distorted = apply_levels(decode_image(row["image"]["bytes"]), distortion, levels, rng)
            return self._tcp(list(distorted), row["label"])

        rows, label = self._rows[:count], f"{distortion.name} at {len(levels)} levels"
        tcp = np.array(list(progress(parallel_map(measure, rows), label, total=len(rows), unit="image")))
        return [float(share) for share in tcp.mean(axis=0) / self._pristine[:count].mean()]

    def _tcp(self, versions: Sequence[RgbImage], label: int) -> NDArray[np.float64]:
        labels = [label] * len(versions)
        return mean_quality(np.array([compute_losses(worker, versions, labels).tcp for worker in self._workers]))


@contextmanager
def open_meter(settings: RunConfig, split: str, limit: int) -> Iterator[TcpMeter]:
    """Read a run's images and prepare its workers, as its first stages do, in a temporary folder.

    Args:
        settings: The run's config.
        split: The split to measure on.
        limit: Use at most this many of its images.

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
