"""The command line: `metrifier distort apply`, `sheet`, `list` and `calibrate`."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from metrifier_core.cli.options import Command, refuse

if TYPE_CHECKING:
    from metrifier_core.distortions import Levels, SeverityTable
    from metrifier_core.images import RgbImage

_SHEET_QUALITY = 90  # of a lossy sheet; a .png ignores it

app = typer.Typer(no_args_is_help=True, help="Distort images, and calibrate what severity means.")

LevelsOption = Annotated[
    Path | None, typer.Option("--levels", help="A YAML file of `calibrate`; the package's levels if left out.")
]


class _Job(NamedTuple):
    """An image to distort, the name of its output without a suffix, and the seed of its random field."""

    image: Path
    target: Path
    seed: int


class _Version(NamedTuple):
    """A distorted image: its job, the file's content and its suffix; or why there is none."""

    job: _Job
    data: bytes = b""
    suffix: str = ""
    error: str | None = None


def _read_table(path: Path) -> "SeverityTable":
    from metrifier_core.distortions import read_severities

    try:
        return read_severities(path)
    except ValueError as error:
        refuse(f"--levels: {error}")


def _list_jobs(
    images: Sequence[Path], distortion: str, severity: int, seed: int, on_error: Callable[[OSError], object]
) -> Iterator[_Job]:
    """List the images, those of folders with the identity and so the seed that a run on the folder gives them."""
    from metrifier_core.distortions import version_seed
    from metrifier_core.sources import list_files

    ending = f"-{distortion.replace(':', '.')}-{severity}"
    for image in images:
        if not image.is_dir():
            yield _Job(image, Path(image.stem + ending), seed)
            continue
        for path in list_files(image, on_error):
            place = path.relative_to(image)
            image_id = os.fsencode(place).decode(errors="backslashreplace")
            yield _Job(path, place.with_name(place.stem + ending), version_seed(seed, image_id, distortion))


def _encode(
    pixels: "RgbImage", distortion: str, severity: int, seed: int, levels: "Levels | None", suffix: str | None
) -> tuple[bytes, str]:
    """Encode a version as its codec's own bytes or as PNG, by the suffix if there is one; return it and its suffix."""
    import numpy as np

    from metrifier_core.distortions import apply_severities, encode_versions, get_distortion
    from metrifier_core.images import detect_format, encode_png

    codec_suffixes: list[str] = []
    if get_distortion(distortion).codec is not None:
        (data,) = encode_versions(pixels, distortion, [severity], seed, levels=levels)
        name = (detect_format(data) or distortion.rpartition(":")[2]).lower()
        codec_suffixes = [".jpg", ".jpeg"] if name == "jpeg" else [f".{name}"]
        if suffix is None or suffix in codec_suffixes:
            return data, suffix or codec_suffixes[0]
    if suffix not in (None, ".png"):
        refuse(f"--output: {distortion} is written as {' or '.join(['.png', *codec_suffixes])}, got {suffix}")
    (distorted,) = apply_severities(pixels, distortion, [severity], np.random.default_rng(seed), levels=levels)
    return encode_png(distorted), ".png"


def _write(path: Path, data: bytes, *, make_folders: bool) -> None:
    try:
        if make_folders:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        refuse(f"--output {path}: {error.strerror}")


@app.command(cls=Command)
def apply(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files, and folders of them.")],
    *,
    distortion: Annotated[
        str, typer.Option("--type", help="A name of `metrifier distort list`, or your own module:function.")
    ],
    severity: Annotated[int, typer.Option(min=1, max=5, help="1 is mild, 5 severe.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random field.")] = 0,
    output: Annotated[
        Path, typer.Option(help="A folder, for files IMAGE-TYPE-SEVERITY; or, for one image, a file.")
    ] = Path(),
    levels: LevelsOption = None,
) -> None:
    """Distort images.

    Files are lossless PNGs; jpeg, webp and other codecs keep their own bytes, unless --output names a .png. An image
    that cannot be used is named and skipped, and the exit status is 1.

    The pixels are those of a run's versions with the same levels. For an image file, --seed is the version's seed, from
    the column seed of `versions`. For a folder, it is the seed of a run with source: {kind: folder, root: FOLDER}, from
    which each image gets a random field of its own.

    Examples:
        metrifier distort apply photo.jpg --type gaussian_noise --severity 4 --seed 7 --output noisy.png

        metrifier distort apply photos/ more.png --type jpeg --severity 5 --output degraded/
    """
    from metrifier_core.distortions import get_distortion
    from metrifier_core.execution.parallel import parallel_map
    from metrifier_core.execution.progress import progress
    from metrifier_core.images import ImageError, read_image

    suffix = None if output.is_dir() or not output.suffix else output.suffix.lower()
    if suffix is not None and (len(images) > 1 or images[0].is_dir()):
        refuse(f"--output {output}: expected a folder for several images, got a file")
    used_levels = None if levels is None else _read_table(levels).levels.get(distortion)

    def distort(job: _Job) -> _Version:
        try:
            pixels = read_image(job.image)
            return _Version(job, *_encode(pixels, distortion, severity, job.seed, used_levels, suffix))
        except ImageError as error:
            return _Version(job, error=str(error))

    unlisted: list[OSError] = []
    written: dict[Path, Path] = {}
    try:
        get_distortion(distortion)
        jobs = list(_list_jobs(images, distortion, severity, seed, unlisted.append))
        errors = [f"{error.filename}: cannot be listed: {error.strerror}" for error in unlisted]
        for version in progress(parallel_map(distort, jobs), "distort", total=len(jobs), unit="image", log=False):
            image, error = version.job.image, version.error
            path = output if suffix else output / f"{version.job.target}{version.suffix}"
            if error is None and path in written:
                error = f"{path} is written already, from {written[path]}"
            if error is None:
                _write(path, version.data, make_folders=suffix is None)
                written[path] = image
            else:
                errors.append(f"{image}: {error}")
    except (ValueError, TypeError) as error:  # TypeError: a user's distortion returned no image
        refuse(error)
    if not jobs:
        errors.append("there are no images to distort")
    elif len(written) < len(jobs) > 1:
        errors.append(f"{len(jobs) - len(written)} of {len(jobs)} images were not distorted")
    for message in errors:
        typer.echo(message, err=True)
    if errors:
        raise typer.Exit(1)


@app.command(cls=Command)
def sheet(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    *,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random fields.")] = 0,
    output: Annotated[Path, typer.Option(help="The picture, a .png, .jpg or .webp.")] = Path("sheet.png"),
    levels: LevelsOption = None,
) -> None:
    """Draw one image at every type and severity on a labelled sheet.

    Example:
        metrifier distort sheet photo.jpg --output sheet.png
    """
    from PIL import Image

    from metrifier_core.images import ImageError, read_image
    from metrifier_core.report.contact_sheet import contact_sheet

    try:
        pixels = read_image(image)
    except ImageError as error:
        refuse(f"{image}: {error}")
    try:
        drawn = contact_sheet(pixels, seed, None if levels is None else _read_table(levels).levels)
    except ValueError as error:  # levels that are out of bounds
        refuse(error)
    try:
        Image.fromarray(drawn).save(output, quality=_SHEET_QUALITY)
    except OSError as error:
        refuse(f"--output {output}: {error.strerror or error}")
    except ValueError as error:
        refuse(f"--output {output}: {error}")


@app.command("list", cls=Command)
def list_types(
    *,
    family: Annotated[str | None, typer.Option(help="List only one family.")] = None,
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
        refuse(f"--family: unknown family '{family}', allowed: {', '.join(families)}")
    for name in names:
        distortion, entry = get_distortion(name), table.distortions.get(name)
        columns = "-" if entry is None else " ".join(f"{level:>8g}" for level in entry.levels)
        typer.echo(f"{name:18} {distortion.family:12} {columns}" + ("  test only" if distortion.test_only else ""))


@app.command(cls=Command)
def calibrate(
    config: Annotated[Path, typer.Argument(help="The config of a run: its source, its splits, its label workers.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the file's.")
    ] = None,
    *,
    types: Annotated[list[str] | None, typer.Option("--type", help="Calibrate only this type; repeatable.")] = None,
    images: Annotated[int, typer.Option(min=10, help="Use at most this many calibration images.")] = 1000,
    output: Annotated[Path, typer.Option(help="The YAML file; types that it has already are kept.")] = Path(
        "severities.yaml"
    ),
) -> None:
    """Find the parameters at which label workers keep 85, 65, 45, 25 and 10 % of what they have on pristine images.

    Label workers run on distorted images of the split `calibration`, about 10,000 times a type. The file is written
    after every type; repeat the command to resume. A run uses it with `distortions: {levels: severities.yaml}`.

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
