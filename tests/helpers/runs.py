"""Runs of the quick config, as a user would start them."""

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
CONFIG = Path(__file__).parents[1] / "end_to_end" / "quick.yaml"

# What a run makes that must not depend on how often it was interrupted.
LASTING = (
    "images/*.parquet",
    "workers/*",
    "versions/*.parquet",
    "losses/*.parquet",
    "quality.parquet",
    "dataset.json",
    "model/*",
    "predictions.parquet",
    "metrics.json",
    "report.html",
    "examples.png",
)


def command(runs: Path, *overrides: str, config: Path = CONFIG) -> list[str]:
    return [sys.executable, "-m", "pipelines.local", str(config), *overrides, "--runs", str(runs)]


def environment() -> dict[str, str]:
    """Leaves out whatever a developer's shell says about tracking."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "METRIFIER_"))}


def run(runs: Path, *overrides: str, config: Path = CONFIG) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(runs, *overrides, config=config),
        cwd=CHECKOUT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def lasting_files(folder: Path) -> dict[str, bytes]:
    files = [path for pattern in LASTING for path in sorted(folder.glob(pattern))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
