"""evaluate_spearman: how well the metrifier ranks test images for workers it has never met."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metrifier_core.config import RunConfig
from metrifier_core.dataset import QualityDataset
from metrifier_core.images import decode_version, encode_png
from metrifier_core.metrifier import Metrifier
from metrifier_core.parallel import parallel_map
from metrifier_core.progress import progress
from metrifier_core.records import KEYS, PREDICTIONS, fingerprint, open_writer, read_fingerprint, read_rows
from metrifier_core.stages.running import Summary, stage, tables
from metrifier_core.statistics import (
    LEVELS,
    Estimate,
    laplacian_variance,
    rank_correlations,
    severity_oracle,
    worker_agreement,
)
from metrifier_core.workers import WorkerCard, read_cards

__all__ = ["evaluate_spearman"]

_BASELINES = ("laplacian_variance", "severity_oracle")
_EXAMPLES = 24
_PACKAGES = ("metrifier", "numpy", "opencv-python-headless", "onnxruntime", "pillow", "scikit-learn")

_VERSION = ["image_id", "distortion", "severity"]

Columns = dict[str, NDArray[Any]]


def _read_tcp(
    losses: Sequence[Path], workers: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> dict[str, NDArray[np.float64]]:
    """Reads every worker's true-class probabilities of the test versions, in the order of these."""
    keys = pa.Table.from_pylist(list(rows)).select(_VERSION)
    found = {}
    for name in workers:
        chosen = (pc.field("split") == "test") & (pc.field("worker") == name)
        table = pa.concat_tables(
            pq.read_table(path, columns=[*_VERSION, "tcp"], filters=chosen) for path in tables(list(losses), "losses")
        )
        if not table.select(_VERSION).cast(keys.schema).equals(keys):
            raise ValueError(f"'{name}' did not judge the test versions that the metrifier scored")
        found[name] = table["tcp"].to_numpy()
    return found


def _judge_test_versions(model: Path, dataset: QualityDataset) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """Scores every test version with the metrifier and with the variance of the Laplacian."""
    metrifier = Metrifier.load(model)

    def score(row: dict[str, Any]) -> tuple[dict[str, Any], float, float]:
        image = decode_version(row["image"]["bytes"])
        kept = {key: row[key] for key in (*KEYS, "quality")}
        return kept, metrifier.evaluate(image), laplacian_variance(image)

    scored = parallel_map(score, dataset.iterate("test"))
    judged = list(progress(scored, "score test versions", total=dataset.count("test"), unit="version"))
    return [row for row, _, _ in judged], np.array([values for _, *values in judged], np.float64)


def _severity_oracle(quality: Path, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Predicts each test version from its type and severity alone, as learned on the training versions."""
    train = pq.read_table(quality, columns=["distortion", "severity", "quality"], filters=pc.field("split") == "train")

    def both(column: str) -> NDArray[Any]:
        return np.concatenate([train[column].to_numpy(), [row[column] for row in rows]])

    fit = np.arange(len(train) + len(rows)) < len(train)
    distortion = both("distortion").astype(str)
    predicted = severity_oracle(distortion, both("severity"), both("quality").astype(np.float64), fit=fit)
    return predicted[len(train) :]


def _as_json(estimate: Estimate) -> dict[str, float | None]:
    return {"rho": estimate.rho, "low": estimate.low, "high": estimate.high}


def _beside_ceiling(estimate: Estimate, ceiling: Estimate) -> dict[str, float | None]:
    """Puts a correlation beside what the label workers themselves reach."""
    share = None
    # Of a ceiling that is no better than chance there is no share.
    if estimate.rho is not None and ceiling.rho is not None and ceiling.rho > 0:
        share = estimate.rho / ceiling.rho
    return {**_as_json(estimate), "ceiling": ceiling.rho, "share": share}


def _metrics(
    columns: Columns,
    held_out: Mapping[str, NDArray[np.float64]],
    keep: NDArray[np.bool_],
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    """Judges the metrifier and the baselines on some of the rows, worker by worker and against their mean."""
    image_id = columns["image_id"][keep]
    condition = columns["condition"][keep]
    scores = {name: columns[name][keep] for name in ("predicted", "quality", *_BASELINES)}
    targets = {**held_out, "mean": columns["held_out"]}
    workers: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    for name, target in targets.items():
        # The same draws for every worker: their intervals are of one bootstrap.
        rng = np.random.default_rng(seed)
        found = rank_correlations(scores, target[keep], image_id, condition, replicates=replicates, rng=rng)
        workers[name] = {level: _beside_ceiling(found["predicted"][level], found["quality"][level]) for level in LEVELS}
        if name == "mean":
            baselines = {
                baseline: {level: _as_json(found[baseline][level]) for level in LEVELS} for baseline in _BASELINES
            }
    sources = len(np.unique(image_id))
    return {"rows": int(keep.sum()), "sources": sources, "workers": workers, "baselines": baselines}


def _agreement(tcp: Mapping[str, NDArray[np.float64]], cards: Sequence[WorkerCard]) -> dict[str, Any]:
    """Says how far the workers agree, as JSON: what is undefined is null."""
    found = worker_agreement(tcp, {card.name: card.spec.family for card in cards})

    def defined(values: Sequence[float]) -> list[float | None]:
        return [float(value) if np.isfinite(value) else None for value in values]

    return {
        "workers": list(found.workers),
        "spearman": [defined(row) for row in found.spearman],
        "ceilings": defined(found.ceilings),
    }


def _worker_row(card: WorkerCard) -> dict[str, Any]:
    return {
        "family": card.spec.family,
        "source": card.spec.source,
        "licence": card.spec.licence,
        **card.model_dump(exclude={"spec", "fingerprint", "weights"}),
    }


def _write_report(
    config: Mapping[str, Any],
    metrics: dict[str, Any],
    table: pa.Table,
    dataset: QualityDataset,
    folders: Mapping[str, Path],
    output: Path,
) -> bytes:
    """Renders the report and returns the sheet of examples."""
    from metrifier_core.report import Example, ReportData, examples_sheet, render_report

    # Evenly from the lowest to the highest score; ties and order are settled by the version's identity.
    order = table.sort_by([(name, "ascending") for name in ("predicted", "image_id", "distortion", "severity")])
    places = np.unique(np.linspace(0, len(table) - 1, _EXAMPLES).round().astype(int))
    chosen = order.take(places).to_pylist()
    wanted = {(row["image_id"], row["distortion"], row["severity"]) for row in chosen}
    pictures = {
        key: encode_png(decode_version(row["image"]["bytes"]))
        for row in dataset.iterate("test")
        if (key := (row["image_id"], row["distortion"], row["severity"])) in wanted
    }
    examples = [
        Example(
            png=pictures[row["image_id"], row["distortion"], row["severity"]],
            **{key: row[key] for key in ("predicted", "quality", "distortion", "severity")},
        )
        for row in chosen
    ]
    data = ReportData(
        name=config["name"],
        metrics=metrics,
        predictions=table,
        training=json.loads((folders["model"] / "training.json").read_text()),
        workers=[_worker_row(card) for card in read_cards(folders["workers"])],
        dataset=json.loads((folders["quality"] / "dataset.json").read_text()),
        rejected=list(read_rows(folders["images"] / "rejected.parquet")),
        examples=examples,
        config=dict(config),
        versions={name: version(name) for name in _PACKAGES},
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(render_report(data), encoding="utf-8")
    return examples_sheet(examples)


@stage
def evaluate_spearman(
    config: Mapping[str, Any],
    images: Path,
    workers: Path,
    versions: Sequence[Path],
    losses: Sequence[Path],
    quality: Path,
    model: Path,
    metrics: Path,
    report: Path,
    evaluation: Path,
) -> Summary:
    """Judges a metrifier on the test versions.

    Args:
        config: The config's name, seed and sections.
        images: What `download` wrote, for its rejected images.
        workers: What `prepare_workers` wrote.
        versions: What `distort` wrote, a folder a shard.
        losses: What `join_losses` wrote, a folder a shard.
        quality: What `merge_dataset` wrote.
        model: What `train_metrifier` wrote.
        metrics: File for the metrics as JSON.
        report: File for the report as HTML.
        evaluation: Folder for `predictions.parquet`, `examples.png` and `config.json`.

    Returns:
        rows, sources, and the headline metrics, each `mean_LEVEL_rho` and `mean_LEVEL_share`.
    """
    settings = RunConfig.model_validate(config)
    config = settings.model_dump(mode="json", exclude={"tracking"})
    quality_file = quality / "quality.parquet"
    dataset = QualityDataset(tables(list(versions), "versions"), quality_file)
    cards = read_cards(workers)

    rows, judged = _judge_test_versions(model, dataset)
    tcp = _read_tcp(losses, [card.name for card in cards], rows)
    held_out = {card.name: tcp[card.name] for card in cards if card.role == "held-out"}
    columns: Columns = {
        "image_id": np.array([row["image_id"] for row in rows]),
        "condition": np.array([f"{row['distortion']} {row['severity']}" for row in rows]),
        "quality": np.array([row["quality"] for row in rows]),
        "predicted": judged[:, 0],
        "laplacian_variance": judged[:, 1],
        "severity_oracle": _severity_oracle(quality_file, rows),
        "held_out": np.mean(list(held_out.values()), axis=0),
    }
    unseen = np.isin([row["distortion"] for row in rows], settings.distortions.held_out)
    replicates, seed = settings.evaluation.bootstrap_replicates, settings.seed
    found = _metrics(columns, held_out, ~unseen, replicates, seed)
    found["agreement"] = _agreement({name: values[~unseen] for name, values in tcp.items()}, cards)
    found["unseen_distortions"] = _metrics(columns, held_out, unseen, replicates, seed) if unseen.any() else None

    inputs = [str(read_fingerprint(quality_file)), Metrifier.load(model).card.fingerprint]
    identity = fingerprint("evaluate_spearman", dict(config), inputs)
    predictions = evaluation / "predictions.parquet"
    with open_writer(predictions, PREDICTIONS, identity) as writer:
        for index, row in enumerate(rows):
            values = {name: columns[name][index].item() for name in ("predicted", "held_out", *_BASELINES)}
            writer.write({**row, **values})
    (evaluation / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(found, indent=2) + "\n")
    folders = {"model": model, "workers": workers, "quality": quality, "images": images}
    sheet = _write_report(config, found, pq.read_table(predictions), dataset, folders, report)
    (evaluation / "examples.png").write_bytes(sheet)
    headline = {
        f"mean_{level}_{value}": found["workers"]["mean"][level][value]
        for level in LEVELS
        for value in ("rho", "share")
    }
    defined = {name: value for name, value in headline.items() if value is not None}
    return {"rows": found["rows"], "sources": found["sources"], **defined}
