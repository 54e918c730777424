"""Which container image each stage runs in."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from metrifier_core import __version__
from metrifier_core.settings.base import closest

TARGETS = ("data", "train", "ingest")
"""The images: without TensorFlow, with it, and with tensorflow-io's decoders."""

_TARGET = {
    "list_source": "ingest",
    "download": "ingest",
    "distort": "data",
    "join_losses": "data",
    "hold_out_family": "data",
    "merge_dataset": "data",
    "compare_families": "data",
    "close_run": "data",
}
# What registries take as [HOST[:PORT]/]NAME[:TAG][@DIGEST], after the OCI distribution specification.
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?"
_PART = r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(rf"({_HOST}/)?{_PART}(/{_PART})*(:\w[\w.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?", re.ASCII)
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
        ValueError: A target is unknown, an image cannot have that name, a digest is none, or one is for several images.
    """
    named = _by_target("--image", images)
    for image in named.values():
        if not _REFERENCE.fullmatch(image):
            raise ValueError(
                f"--image '{image}': no image has such a name: expected [HOST/]NAME[:TAG], in which only {{target}} is "
                "replaced"
            )
    chosen = asdict(Images()) | named
    if any("=" not in digest for digest in digests) and len({_TAG.sub("", image) for image in chosen.values()}) > 1:
        raise ValueError(
            "--digest: the stages have several images, each with a digest of its own: write TARGET=sha256:..."
        )
    for target, digest in _by_target("--digest", digests).items():
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"--digest {digest}: expected sha256: and 64 hexadecimal digits")
        chosen[target] = f"{_TAG.sub('', chosen[target])}@{digest}"
    return Images(**chosen)
