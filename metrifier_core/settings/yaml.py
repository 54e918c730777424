"""Reading and writing YAML as plain data."""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError


def read_yaml(source: Path | str) -> Any:
    """Read YAML 1.2 as plain data; an empty document is None.

    Args:
        source: A file, or the YAML itself.

    Raises:
        ValueError: It is not YAML, or has a key twice; the message has the line.
    """
    name = str(source) if isinstance(source, Path) else f"'{source}'"
    try:
        return YAML(typ="safe", pure=True).load(source)
    except MarkedYAMLError as error:
        raise ValueError(f"{name} is not YAML, line {error.problem_mark.line + 1}: {error.problem}") from error
    except YAMLError as error:
        raise ValueError(f"{name} is not YAML: {error}") from error


def dump_yaml(values: dict[str, Any]) -> str:
    """Return plain data as YAML 1.2: sections as blocks, the innermost collections on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()
