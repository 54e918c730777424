"""The command line: `metrifier distort`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from metrifier_core.cli.options import Command, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metrifier_core.distortions import Levels, SeverityTable
    from metrifier_core.images import RgbImage

_LOSSY_QUALITY = 90  # of a sheet; a .png ignores it


class _ImageByDefault(TyperGroup):
    """Takes what is no command for the IMAGE of the command `image`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["image", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ImageByDefault,
    no_args_is_help=True,
    help="Distort images, and find out what severity should mean: metrifier distort IMAGE --type T --severity S.",
)

LevelsOption = Annotated[
    Path | None, typer.Option("--levels", help="A YAML file of `calibrate`; the package's levels where left out.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Decides the random field.")]


def _read_table(path: Path) -> "SeverityTable":
    from metrifier_core.distortions import read_severities

    try:
        return read_severities(path)
    except ValueError as error:
        refuse(f"--levels: {error}")


def _read_levels(path: Path | None) -> "Mapping[str, Levels]":
    return {} if path is None else _read_table(path).levels


def _write_image(option: str, path: Path, image: "RgbImage") -> None:
    from PIL import Image

    try:
        Image.fromarray(image).save(path, quality=_LOSSY_QUALITY)
    except OSError as error:
        refuse(f"{option} {path}: {error.strerror or error}")
    except ValueError as error:
        refuse(f"{option} {path}: {error}")


@app.command("image", cls=Command)
def distort_image(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    *,
    distortion: Annotated[
        str | None, typer.Option("--type", help="A name of `metrifier distort list`, or your own module:function.")
    ] = None,
    severity: Annotated[int, typer.Option(min=1, max=5, help="1 is mild, 5 severe.")] = 3,
    seed: SeedOption = 0,
    output: Annotated[
        Path | None, typer.Option(help="A .png; for a codec also a file of its own. IMAGE-TYPE-SEVERITY.png otherwise.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Draw all types x severities on one labelled sheet instead, a .png or .jpg."),
    ] = None,
    levels: LevelsOption = None,
) -> None:
    """Distort one image; the word image may be left out.

    Examples:
        metrifier distort photo.jpg --type gaussian_noise --severity 4 --seed 7 --output noisy.png

        metrifier distort photo.jpg --type jpeg --severity 5 --output small.jpg

        metrifier distort photo.jpg --sheet sheet.png
    """
    from metrifier_core.images import ImageError, read_image

    if (distortion is None) == (sheet is None):
        refuse("name a distortion with --type, or ask for a --sheet of all")
    try:
        pixels = read_image(image)
        if sheet is not None:
            from metrifier_core.report.contact_sheet import contact_sheet

            _write_image("--sheet", sheet, contact_sheet(pixels, seed, _read_levels(levels)))
        elif distortion is not None:
            target = output or Path(f"{image.stem}-{distortion.replace(':', '.')}-{severity}.png")
            _distort(pixels, distortion, severity, seed, target, _read_levels(levels))
    except ImageError as error:
        refuse(f"{image}: {error}")
    except (ValueError, TypeError) as error:  # TypeError: what a user's own distortion made is no image
        refuse(error)


def _distort(
    pixels: "RgbImage", distortion: str, severity: int, seed: int, target: Path, levels: "Mapping[str, Levels]"
) -> None:
    """Writes one version: its pixels as PNG, or the very bytes of its codec."""
    from metrifier_core.distortions import encode_versions, get_distortion
    from metrifier_core.images import decode_image

    has_codec = get_distortion(distortion).codec is not None
    (encoded,) = encode_versions(pixels, distortion, [severity], seed, levels=levels.get(distortion))
    suffix = target.suffix.lower()
    if suffix == ".png":
        _write_image("--output", target, decode_image(encoded))
    elif has_codec and {".jpeg": ".jpg"}.get(suffix, suffix) == {"jpeg": ".jpg"}.get(distortion, f".{distortion}"):
        try:
            target.write_bytes(encoded)
        except OSError as error:
            refuse(f"--output {target}: {error.strerror}")
    else:
        refuse(f"--output {target}: {distortion} is written as .png" + (", or in its own format" if has_codec else ""))


@app.command("list", cls=Command)
def list_types(
    *,
    family: Annotated[str | None, typer.Option(help="Only those of one family.")] = None,
    levels: LevelsOption = None,
) -> None:
    """List every distortion with its family, and its parameter at severity 1 to 5.

    Example:
        metrifier distort list --family noise
    """
    from metrifier_core.distortions import default_severities, get_distortion, list_distortions

    table = default_severities() if levels is None else _read_table(levels)
    names = list_distortions(family)
    if not names:
        families = sorted({get_distortion(name).family for name in list_distortions()})
        refuse(f"--family {family}: there is none, allowed: {', '.join(families)}")
    for name in names:
        found = get_distortion(name)
        entry = table.distortions.get(name)
        shown = "-" if entry is None else " ".join(f"{level:>8g}" for level in entry.levels)
        typer.echo(f"{name:18} {found.family:12} {shown}" + ("  for tests alone" if found.test_only else ""))


@app.command(cls=Command)
def calibrate(
    config: Annotated[Path, typer.Argument(help="The config of a run: its source, its splits, its label workers.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that stand above the file.")
    ] = None,
    *,
    output: Annotated[Path, typer.Option(help="YAML file; what it holds already is kept.")] = Path("severities.yaml"),
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this one; may be given again.")] = None,
    images: Annotated[int, typer.Option(min=10, help="Use at most this many calibration images.")] = 1000,
) -> None:
    """Find the parameter at which label workers keep 85, 65, 45, 25 and 10 % of what they have on pristine images.

    Label workers are run on distorted images of the split `calibration`: about 10,000 times a type. The file is written
    after every type; the same command goes on where it was. A run uses it by `distortions: {levels: severities.yaml}`.

    Examples:
        metrifier distort calibrate config.yaml --output severities.yaml --type jpeg --type gaussian_noise

        metrifier distort calibrate config.yaml source.max_sources=20000 --images 500
    """
    from metrifier_core.config.run import ConfigError, load_config
    from metrifier_core.distortions import get_distortion, list_distortions

    try:
        settings = load_config(config, overrides or [])
    except ConfigError as error:
        refuse(f"{config}: nothing was done, the config is wrong:\n{error}")
    try:
        for name in types or []:
            get_distortion(name)
        from metrifier_core.stages.severity_calibration import calibrate_types

        calibrate_types(settings, types or list_distortions(), images, output)
    except ValueError as error:
        refuse(error)
