"""`metrifier score --explain`: a picture for each image."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from metrifier_core.cli.options import writing
from metrifier_core.scoring.score_table import shown_path

if TYPE_CHECKING:
    from metrifier_core.scoring.metrifier import Metrifier


def make_folder(folder: Path) -> None:
    """Create the folder for the pictures, or exit before any work is done."""
    with writing("--explain", folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_explanation(metrifier: "Metrifier", file: str, folder: Path) -> None:
    """Write the picture that explains the score of an image file into a folder.

    The picture of `a/b.jpg` is `a/b.jpg.png`; that of an image outside of the current folder has its whole path.
    """
    from metrifier_core.images import ImageError, read_image
    from metrifier_core.report.explanation_picture import draw_explanation

    # Not resolved: a link appears under its own name.
    absolute = Path(os.path.abspath(file))  # noqa: PTH100
    target = folder / absolute.relative_to(Path.cwd() if absolute.is_relative_to(Path.cwd()) else absolute.anchor)
    try:
        image = read_image(file)
    except ImageError:
        return  # deleted since it was scored
    picture = draw_explanation(image, metrifier.explain(image), shown_path(absolute.name))
    with writing("--explain", folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_name(f"{target.name}.png").write_bytes(picture)
