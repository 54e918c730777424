"""The table of severities: each type's parameter at severity 1 to 5, and the file that holds it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

from pydantic import Field, ValidationError

from metrifier_core.settings.base import Settings
from metrifier_core.settings.yaml import dump_yaml, read_yaml

SEVERITIES = (1, 2, 3, 4, 5)

TARGETS = (0.85, 0.65, 0.45, 0.25, 0.10)
"""The share of their mean true-class probability on pristine images that label workers keep at severity 1 to 5."""

Levels: TypeAlias = tuple[float, float, float, float, float]

_HEADER = """\
# The parameter of each distortion at severity 1 to 5, and what was measured there: the share that is left of the label
# workers' mean true-class probability (TCP) on pristine images. The targets stand first; at a severity that is
# unreachable, no value of the parameter comes near its target. Written by `metrifier distort calibrate`.
"""


class TypeSeverities(Settings):
    """The calibration of one type."""

    levels: Levels = Field(description="the type's parameter at severity 1 to 5")
    tcp: Levels = Field(description="share of the pristine mean TCP that was measured there")
    unreachable: list[int] = Field([], description="severities at which no parameter comes near the target")


class SeverityTable(Settings):
    """The file that `metrifier distort calibrate` writes."""

    calibrated_on: str = ""
    label_workers: list[str] = Field([])
    targets: Levels = TARGETS
    distortions: dict[str, TypeSeverities]

    @property
    def levels(self) -> Mapping[str, Levels]:
        """Return the levels of every type in the table."""
        return {name: entry.levels for name, entry in self.distortions.items()}


def read_severities(path: Path) -> SeverityTable:
    """Read a table.

    Raises:
        ValueError: The file does not exist or is not such a table; the message names the key.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        return SeverityTable.model_validate(read_yaml(path))
    except ValidationError as error:
        mistake = error.errors()[0]
        key = ".".join(map(str, mistake["loc"])) or "it"
        raise ValueError(f"{path}: {key}: {mistake['msg']}") from error


def write_severities(table: SeverityTable, path: Path) -> None:
    """Write a table atomically."""
    temporary = path.with_name(f"{path.name}.partial")
    temporary.write_text(_HEADER + dump_yaml(table.model_dump(mode="json")), encoding="utf-8")
    temporary.replace(path)


@cache
def default_severities() -> SeverityTable:
    """Read the table that the package ships."""
    return read_severities(Path(__file__).with_name("severities.yaml"))
