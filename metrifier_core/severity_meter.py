"""What distortions leave of the label workers' mean true-class probability, measured on clean images of a run."""

import hashlib
import heapq
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.config.run import RunConfig
from metrifier_core.data.quality import mean_quality
from metrifier_core.data.records import read_rows
from metrifier_core.distortions import Distortion, apply_levels, version_seed
from metrifier_core.execution.parallel import parallel_map
from metrifier_core.execution.progress import progress
from metrifier_core.images import RgbImage, decode_image
from metrifier_core.stages.download import download
from metrifier_core.stages.prepare_workers import prepare_workers
from metrifier_core.workers import load_worker, read_cards
from metrifier_core.workers.losses import compute_losses


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
