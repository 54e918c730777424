"""Which container image each stage runs in."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from metrifier_core import __version__
from metrifier_core.settings import closest

__all__ = ["TARGETS", "Images", "choose_images"]

TARGETS = ("data", "train", "ingest")
"""The images: without TensorFlow, with it, and with tensorflow-io's decoders."""

_TARGET = {
    "download": "ingest",
    "distort": "data",
    "join_losses": "data",
    "hold_out_family": "data",
    "merge_dataset": "data",
    "compare_families": "data",
    "close_run": "data",
}
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_TAG = re.compile(r"(:[\w][\w.-]*)?(@sha256:[0-9a-f]+)?$")


@dataclass(frozen=True)
class Images:
    """The container images of a pipeline; those that `make images` makes, if nothing else is said."""

    data: str = f"metrifier-data:{__version__}"
    train: str = f"metrifier-train:{__version__}"
    ingest: str = f"metrifier-ingest:{__version__}"

    def of(self, stage: str) -> str:
        """Finds the image of a stage, e.g. `train_metrifier`."""
        image: str = getattr(self, _TARGET.get(stage, "train"))
        return image


def _by_target(option: str, values: Sequence[str]) -> dict[str, str]:
    """Reads VALUE, for all images and perhaps with `{target}` in it, or TARGET=VALUE; the later one counts."""
    found: dict[str, str] = {}
    for value in values:
        target, equals, rest = value.partition("=")
        if not equals:
            found |= {target: value.replace("{target}", target) for target in TARGETS}
        elif target in TARGETS:
            found[target] = rest
        else:
            raise ValueError(f"{option} {value}: unknown image '{target}', {closest(target, list(TARGETS))}")
    return found


def choose_images(images: Sequence[str], digests: Sequence[str]) -> Images:
    """Reads what the command line says about images.

    Args:
        images: An image for all stages, in which `{target}` stands for data, train or ingest, or TARGET=IMAGE.
        digests: `sha256:...` of what a registry holds, likewise; it stands instead of a tag, which can be moved.

    Raises:
        ValueError: A target is unknown, or a digest is none.
    """
    chosen = asdict(Images()) | _by_target("--image", images)
    for target, digest in _by_target("--digest", digests).items():
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"--digest {digest}: expected sha256: and 64 hexadecimal digits")
        chosen[target] = f"{_TAG.sub('', chosen[target])}@{digest}"
    return Images(**chosen)
