"""Options that the commands share, and how they refuse what they are given."""

from typing import Annotated, NoReturn

import typer

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings that override those of the config")
]
ImageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        metavar="[TARGET=]IMAGE",
        help="image of all stages, with {target} in it or not, or of data, train or ingest",
    ),
]


def fail(message: str, status: int) -> NoReturn:
    """Print a message on standard error and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(status) from None
