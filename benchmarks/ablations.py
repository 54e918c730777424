r"""What each part of the training contributes: one change at a time, judged on validation versions.

    python -m pipelines.local tests/realdata/complete.yaml name=ablations source.max_sources=1200 metrifier.epochs=1
    python benchmarks/ablations.py tests/realdata/complete.yaml metrifier.epochs=4 --run runs/ablations \
      --changes "another seed" "no pairs"
    python benchmarks/ablations.py tests/realdata/complete.yaml metrifier.architecture=multitap_small \
      metrifier.backbone=workers.yaml#keras_mobilenet_v1_025_224 metrifier.frozen_epochs=2 metrifier.epochs=2 \
      --run runs/ablations

Every row trains the config's metrifier on the run's training versions with one setting changed, and correlates its
scores with the label on validation versions. Intervals are a bootstrap over source images; the row with another seed
shows how much training varies by chance. The test split is not used. A killed benchmark resumes when it is started
again; a row that is measured again replaces the one of the same architecture and change.
"""

import argparse
import csv
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metrifier_core.config.run import load_config
from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.records import KEYS, fingerprint, read_fingerprint, read_rows, tables
from metrifier_core.execution.determinism import start_training
from metrifier_core.execution.progress import say
from metrifier_core.statistics import LEVELS, MEAN, ScoredRows, estimate_metrics
from metrifier_core.training import MetrifierSettings
from metrifier_core.training.fitting import CHECKPOINT, fit_network
from metrifier_core.training.scoring import score_split

AS_IT_IS = "as it is"
CHANGES: dict[str, dict[str, Any]] = {
    AS_IT_IS: {},
    "another seed": {"seed": 1},
    "no pairs": {"ranking_weight": 0.0},
    "pairs count twice": {"ranking_weight": 1.0},
    "no heads for workers": {"worker_weight": 0.0},
    "heads for workers count five times": {"worker_weight": 1.0},
    "heads for workers' confidence too": {"confidence": True},
    "no mirrored views": {"flip": False},
    "batches half as large": {"batch_size": 0.5},
    "learning rate halved": {"learning_rate": 0.5},
    "learning rate doubled": {"learning_rate": 2.0},
}
OF_BACKBONES: dict[str, dict[str, Any]] = {
    "backbone stays frozen": {"frozen_share": 1.0},
    "backbone learns from the first epoch": {"frozen_share": 0.0},
    "backbone learns ten times as fast": {"backbone_learning_rate": 10.0},
}
_FACTORS = ("batch_size", "learning_rate", "backbone_learning_rate")
_NOT_SETTINGS = ("seed", "confidence")
REPLICATES = 1000


class _WithConfidence(QualityDataset):
    """A data set whose heads learn the label workers' confidence beside their true-class probability."""

    def __init__(self, versions: Sequence[Path], quality: Path, losses: Sequence[Path], workers: Sequence[str]) -> None:
        super().__init__(versions, quality)
        self._confidence: dict[tuple[Any, ...], list[float]] = {}
        for path in losses:
            table = pq.read_table(path, columns=[*KEYS, "worker", "max_softmax"])
            for row in table.to_pylist():
                if row["worker"] in workers:
                    self._confidence.setdefault(self._key(row), []).append(row["max_softmax"])
        self.workers += len(workers)

    @staticmethod
    def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in KEYS)

    def rows(self, group: int, split: str) -> Iterator[dict[str, Any]]:
        """Read rows as the data set does, each with additional heads."""
        for row in super().rows(group, split):
            yield row | {"worker_tcp": [*row["worker_tcp"], *self._confidence[self._key(row)]]}


def _changed(settings: MetrifierSettings, change: Mapping[str, Any]) -> MetrifierSettings:
    """Apply a change; rates and sizes are multiplied, and the total number of epochs is kept."""
    values = settings.model_dump()
    for key, value in change.items():
        if key in _FACTORS:
            values[key] = type(values[key])(values[key] * value)
        elif key == "frozen_share":
            epochs = settings.frozen_epochs + settings.epochs
            values["frozen_epochs"] = round(epochs * value)
            values["epochs"] = epochs - values["frozen_epochs"]
        elif key not in _NOT_SETTINGS:
            values[key] = value
    return MetrifierSettings.model_validate(values)


def _write(
    path: Path, architecture: str, scores: Mapping[str, NDArray[np.float64]], columns: Mapping[str, NDArray[Any]]
) -> None:
    """Write rows of an architecture, keeping all rows of other architectures and changes."""
    target, places = {"quality": columns["quality"]}, (columns["quality"], columns["image_id"], columns["condition"])
    scored = ScoredRows(scores, target, {}, *places)
    estimates = estimate_metrics(scored, LEVELS, replicates=REPLICATES, seed=0)[MEAN]
    rows: list[dict[str, Any]] = []
    replaced = {(architecture, name) for name in estimates}
    if path.is_file():
        with path.open(newline="") as kept:
            rows = [row for row in csv.DictReader(kept) if (row["architecture"], row["change"]) not in replaced]
    command = shlex.join(["python", *sys.argv])
    for name, by_level in estimates.items():
        row: dict[str, Any] = {"architecture": architecture, "change": name, "versions": len(columns["quality"])}
        for level in LEVELS:
            estimate = by_level[level]
            row |= {level: estimate.value, f"{level}_low": estimate.low, f"{level}_high": estimate.high}
        row["command"] = command
        rows.append({key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()})
    with path.open("w", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _scores(dataset: QualityDataset, settings: MetrifierSettings, seed: int, folder: Path) -> NDArray[np.float64]:
    """Train, or resume a killed training, and score the validation versions."""
    kept = folder / "scores.npy"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        start_training(seed)
        fitted = fit_network(dataset, settings, seed, folder)
        scored = score_split(fitted.network, dataset, "validation", crop=settings.crop, batch_size=settings.batch_size)
        np.save(kept, scored.scores)
        (folder / CHECKPOINT).unlink()
    return np.asarray(np.load(kept, allow_pickle=False), np.float64)


def main() -> None:
    """Measure every change and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings that override the file's")
    parser.add_argument("--run", type=Path, required=True, help="the folder of the run whose versions to train on")
    parser.add_argument("--changes", nargs="*", metavar="CHANGE", help="measure only these rows and the first")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/ablations.csv"))
    parser.add_argument("--work", type=Path, default=Path("build/ablations"), help="folder for checkpoints and scores")
    arguments = parser.parse_intermixed_args()
    config = load_config(arguments.config, arguments.overrides)
    quality = arguments.run / "quality.parquet"
    versions = tables([arguments.run / "versions"], "versions")
    dataset = QualityDataset(versions, quality)
    rows = list(read_rows(quality, ["image_id", "distortion", "severity", "quality"], splits=["validation"]))
    columns = {key: np.array([row[key] for row in rows]) for key in ("image_id", "quality")}
    columns["condition"] = np.array([f"{row['distortion']} {row['severity']}" for row in rows])

    changes = CHANGES | (OF_BACKBONES if config.metrifier.backbone else {})
    unknown = set(arguments.changes or []) - set(changes)
    if unknown:
        parser.error(f"--changes: unknown {', '.join(sorted(unknown))}, allowed: {', '.join(changes)}")
    wanted = {
        name: changes[name] for name in changes if arguments.changes is None or name in {AS_IT_IS, *arguments.changes}
    }
    scores: dict[str, NDArray[np.float64]] = {}
    for name, change in wanted.items():
        settings, seed = _changed(config.metrifier, change), config.seed + change.get("seed", 0)
        parameters = {**settings.model_dump(mode="json"), "seed": seed, "confidence": "confidence" in change}
        learned_from = dataset
        if "confidence" in change:
            losses = tables([arguments.run / "losses"], "losses")
            learned_from = _WithConfidence(versions, quality, losses, config.workers.label)
        identity = fingerprint("ablation", parameters, [str(read_fingerprint(quality))])
        say(f"ablation: {name}")
        scores[name] = _scores(learned_from, settings, seed, arguments.work / identity[:16])
        _write(arguments.output, config.metrifier.architecture, scores, columns)
    say(f"ablation: {len(scores)} rows in {arguments.output}")


if __name__ == "__main__":
    main()
