"""`metrifier score --explain`: a picture an image."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from metrifier_core.cli.options import refuse

if TYPE_CHECKING:
    from metrifier_core.scoring.metrifier import Metrifier


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        refuse(f"--explain {folder}: {error.strerror}")


def make_folder(folder: Path) -> None:
    """Makes the folder for the pictures, so that a wrong one is refused before any work."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_explanation(metrifier: "Metrifier", file: str, folder: Path) -> None:
    """Writes the picture of an image, of whose place it has its own.

    Args:
        metrifier: What explains.
        file: An image file that can be used.
        folder: For the pictures: that of `a/b.jpg` is `a/b.jpg.png`; of an image that does not lie below the current
            folder, its whole path is kept.
    """
    from metrifier_core.images import ImageError, read_image
    from metrifier_core.report.explanation_picture import draw_explanation

    # Not resolved: a link is shown under its own name.
    absolute = Path(os.path.abspath(file))  # noqa: PTH100
    below = Path.cwd() if absolute.is_relative_to(Path.cwd()) else absolute.anchor
    target = folder / absolute.relative_to(below)
    # A file's name may be any bytes.
    title = os.fsencode(absolute.name).decode(errors="backslashreplace")
    try:
        image = read_image(file)
    except ImageError:
        return  # it is gone since it was scored
    picture = draw_explanation(image, metrifier.explain(image), title)
    with _writing(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_name(f"{target.name}.png").write_bytes(picture)
