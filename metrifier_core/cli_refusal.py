"""How every command refuses what it cannot do."""

from typing import NoReturn

import typer


def refuse(message: object) -> NoReturn:
    """Says why on standard error, and ends the command with the exit status 2."""
    typer.echo(str(message), err=True)
    raise typer.Exit(2)
