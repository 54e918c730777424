"""Help that fills the terminal's lines, whatever its width."""

import re
from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose help flows: typer joins the lines of a docstring's first paragraph alone."""

    def __init__(self, *args: Any, help: str | None = None, **kwargs: Any) -> None:  # noqa: A002
        """Joins the lines of each paragraph; those of examples, which are indented, stay."""
        super().__init__(*args, help=help and re.sub(r"(?<=\S)\n(?=\S)", " ", help), **kwargs)
