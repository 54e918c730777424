"""evaluate_spearman: how well the metrifier ranks test images for held-out workers."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metrifier_core.config.run import RunConfig
from metrifier_core.data.dataset import QualityDataset
from metrifier_core.data.dataset_card import DATASET_CARD, DatasetCard
from metrifier_core.data.records import (
    PREDICTIONS,
    count_rows,
    fingerprint,
    open_writer,
    read_fingerprint,
    read_rows,
    tables,
)
from metrifier_core.data.training_history import TRAINING_HISTORY, TrainingHistory
from metrifier_core.evaluation.judged_versions import JudgedVersions, judge_versions
from metrifier_core.images import decode_version
from metrifier_core.scoring.metrifier import Metrifier
from metrifier_core.stages.running import Summary, stage
from metrifier_core.statistics import (
    CEILING,
    MEAN,
    METRIFIER,
    AgreementTable,
    Judgement,
    Metrics,
    evaluate_predictors,
    name_figures,
    worker_agreement,
)
from metrifier_core.workers import WorkerCard, read_cards

if TYPE_CHECKING:
    from metrifier_core.report import Example

_SHOWN_REJECTS = 50
_VERSION = ("image_id", "distortion", "severity")


def _metrics(judged: JudgedVersions, cards: Sequence[WorkerCard], settings: RunConfig) -> Metrics:
    """Judge the metrifier on distortions seen in training, and on others."""
    image_id, distortion, severity = (judged.column(name) for name in ("image_id", "distortion", "severity"))
    predictors = {METRIFIER: judged.predicted, CEILING: judged.column("quality"), **judged.baselines}
    held_out = [card.name for card in cards if card.role == "held-out"]

    def judge(keep: NDArray[np.bool_]) -> Judgement:
        return evaluate_predictors(
            {name: score[keep] for name, score in predictors.items()},
            {name: judged.tcp[name][keep] for name in held_out},
            {name: judged.right[name][keep] for name in held_out},
            image_id[keep],
            distortion[keep],
            severity[keep],
            replicates=settings.evaluation.bootstrap_replicates,
            seed=settings.seed,
        )

    unseen = np.isin(distortion, settings.distortions.held_out)
    tcp = {name: values[~unseen] for name, values in judged.tcp.items()}
    agreement = worker_agreement(tcp, {card.name: card.spec.family for card in cards})
    return Metrics(
        **dict(judge(~unseen)),
        agreement=AgreementTable(
            workers=agreement.workers,
            spearman=tuple(map(tuple, agreement.spearman.tolist())),
            ceilings=agreement.ceilings,
        ),
        unseen_distortions=judge(unseen) if unseen.any() else None,
    )


def _write_predictions(
    judged: JudgedVersions, cards: Sequence[WorkerCard], unseen: Sequence[str], path: Path, identity: str
) -> None:
    """Write one row per test version; undefined values are null."""
    held_out = sorted(card.name for card in cards if card.role == "held-out")
    tcp, right = (np.stack([answers[name] for name in held_out], axis=1) for answers in (judged.tcp, judged.right))
    columns = {"predicted": judged.predicted, "held_out": tcp.mean(axis=1), **judged.baselines}
    with open_writer(path, PREDICTIONS, identity) as writer:
        rows = chain.from_iterable(batch.to_pylist() for batch in judged.versions.to_batches())
        for index, row in enumerate(rows):
            values = {name: column[index].item() for name, column in columns.items()}
            defined = {name: None if np.isnan(value) else value for name, value in values.items()}
            answers = {"held_out_tcp": tcp[index].tolist(), "held_out_right": right[index].tolist()}
            writer.write({**row, **defined, **answers, "unseen": row["distortion"] in unseen})


def _write_report(
    config: Mapping[str, Any],
    metrics: Metrics,
    predictions: Path,
    dataset: QualityDataset,
    folders: Mapping[str, Path],
    refused: Sequence[Path],
    output: Path,
) -> bytes:
    """Write the report and return the sheet of examples."""
    from metrifier_core.report import Rejects, ReportData, examples_sheet, installed_versions, render_report

    def first_of(paths: Sequence[Path]) -> Rejects:
        rows = (row for path in paths for row in read_rows(path))
        return Rejects(sum(map(count_rows, paths)), list(islice(rows, _SHOWN_REJECTS)))

    table = pq.read_table(predictions, columns=[*_VERSION, "predicted", "quality", "held_out"])
    examples = _examples(table, dataset)
    data = ReportData(
        name=config["name"],
        metrics=metrics,
        predictions=table,
        training=TrainingHistory.model_validate_json((folders["model"] / TRAINING_HISTORY).read_bytes()),
        workers=[card.model_dump(mode="json", exclude_none=True) for card in read_cards(folders["workers"])],
        dataset=DatasetCard.model_validate_json((folders["quality"] / DATASET_CARD).read_bytes()),
        rejected=first_of([folders["rejected"] / "rejected.parquet"]),
        refused=first_of(refused),
        examples=examples,
        config=dict(config),
        versions=installed_versions(),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(render_report(data), encoding="utf-8")
    return examples_sheet(examples["spread"])


def _examples(predictions: pa.Table, dataset: QualityDataset) -> dict[str, list["Example"]]:
    """Return the versions to show, shrunk; memory holds no other images."""
    from metrifier_core.report import Example, choose_examples, thumbnail

    chosen = {group: predictions.take(places).to_pylist() for group, places in choose_examples(predictions).items()}
    wanted = {tuple(row[name] for name in _VERSION) for rows in chosen.values() for row in rows}
    pictures = {
        key: thumbnail(decode_version(row["image"]["bytes"]))
        for row in dataset.iterate("test")
        if (key := tuple(row[name] for name in _VERSION)) in wanted
    }
    return {
        group: [Example(png=pictures[tuple(row[name] for name in _VERSION)], **row) for row in rows]
        for group, rows in chosen.items()
    }


@stage
def evaluate_spearman(
    config: Mapping[str, Any],
    rejected: Path,
    workers: Path,
    versions: Sequence[Path],
    losses: Sequence[Path],
    quality: Path,
    model: Path,
    metrics: Path,
    report: Path,
    evaluation: Path,
) -> Summary:
    """Judge a metrifier on the test versions.

    Args:
        config: The config's name, seed and sections.
        rejected: The folder of `download`'s `rejected.parquet`.
        workers: What `prepare_workers` wrote.
        versions: What `distort` wrote, one folder per shard.
        losses: What `join_losses` wrote, one folder per shard.
        quality: What `merge_dataset` wrote.
        model: What `train_metrifier` wrote.
        metrics: File for the metrics as JSON.
        report: File for the report as HTML.
        evaluation: Folder for `predictions.parquet`, `examples.png` and `config.json`.

    Returns:
        rows, sources, and the headline metrics: `mean_METRIC` and `mean_METRIC_share` against the workers' mean, and
        METRIC against the label.
    """
    settings = RunConfig.model_validate(config)
    config = settings.model_dump(mode="json", exclude={"tracking", "cluster"})
    quality_file = quality / "quality.parquet"
    dataset = QualityDataset(tables(list(versions), "versions"), quality_file)
    cards = read_cards(workers)

    metrifier = Metrifier.load(model)
    judged = judge_versions(metrifier.score, dataset, quality_file, losses, cards, settings.seed)
    measured = _metrics(judged, cards, settings)

    inputs = [str(read_fingerprint(quality_file)), metrifier.card.fingerprint]
    predictions = evaluation / "predictions.parquet"
    identity = fingerprint("evaluate_spearman", dict(config), inputs)
    _write_predictions(judged, cards, settings.distortions.held_out, predictions, identity)
    (evaluation / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(measured.model_dump_json(indent=2) + "\n")
    folders = {"model": model, "workers": workers, "quality": quality, "rejected": rejected}
    refused = tables(list(versions), "rejected")
    sheet = _write_report(config, measured, predictions, dataset, folders, refused, report)
    (evaluation / "examples.png").write_bytes(sheet)
    headline = name_figures(measured.workers[MEAN], MEAN, ("value", "share")) | name_figures(
        measured.label, "", ("value",)
    )
    return {"rows": measured.rows, "sources": measured.sources, **headline}
