"""The code of a page of docs/, as it stands there."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def fenced_blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language on a page; each keeps its line numbers, so that an error names the page's own."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return ["\n" * text.count("\n", 0, match.start(1)) + match[1] for match in found]


def python_blocks(page: str) -> list[str]:
    """The fenced blocks of Python on a page."""
    return fenced_blocks(page, "python")


def run_block(page: str, block: str, names: dict[str, Any]) -> None:
    """Runs a block; what it defines is in `names` afterwards."""
    exec(compile(block, str(DOCS / page), "exec"), names)  # noqa: S102
