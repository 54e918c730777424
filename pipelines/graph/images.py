"""The container image of each stage."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from metrifier_core import __version__
from metrifier_core.settings.base import closest

TARGETS = ("data", "train", "ingest")
"""The images: without TensorFlow, with it, and with tensorflow-io's decoders."""

_STAGES = {
    "data": ("distort", "join_losses", "hold_out_family", "merge_dataset", "compare_families", "close_run"),
    "ingest": ("list_source", "download"),
}
# What registries take as [HOST[:PORT]/]NAME[:TAG][@DIGEST], after the OCI distribution specification.
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?"
_PART = r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(rf"({_HOST}/)?{_PART}(/{_PART})*(:\w[\w.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?", re.ASCII)
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_TAG = re.compile(r"(:[\w][\w.-]*)?(@sha256:[0-9a-f]+)?$")


@dataclass(frozen=True)
class Images:
    """The container images of a pipeline; by default those that `make images` builds."""

    data: str = f"metrifier-data:{__version__}"
    train: str = f"metrifier-train:{__version__}"
    ingest: str = f"metrifier-ingest:{__version__}"

    def of(self, stage: str) -> str:
        """Return the image of a stage, e.g. `train_metrifier`."""
        target = next((target for target, stages in _STAGES.items() if stage in stages), "train")
        return str(getattr(self, target))


def _by_target(option: str, values: Sequence[str]) -> dict[str, str]:
    """Read VALUE, for all images, in which `{target}` is replaced, or TARGET=VALUE; the last one of a target counts."""
    by_target: dict[str, str] = {}
    for value in values:
        target, equals, rest = value.partition("=")
        if not equals:
            by_target |= {target: value.replace("{target}", target) for target in TARGETS}
        elif target in TARGETS:
            by_target[target] = rest
        else:
            raise ValueError(f"{option} {value}: unknown image '{target}', {closest(target, list(TARGETS))}")
    return by_target


def choose_images(images: Sequence[str], digests: Sequence[str]) -> Images:
    """Return the images that the options of a command name.

    Args:
        images: An image for all stages, in which `{target}` stands for data, train or ingest, or TARGET=IMAGE.
        digests: `sha256:...` of an image in a registry, likewise; it replaces the tag, which can be moved.

    Raises:
        ValueError: A target is unknown, an image's name or a digest is malformed, or one digest is for several images.
    """
    named = _by_target("--image", images)
    for image in named.values():
        if not _REFERENCE.fullmatch(image):
            raise ValueError(f"--image '{image}': expected [HOST/]NAME[:TAG], in which only {{target}} is replaced")
    chosen = asdict(Images()) | named
    if any("=" not in digest for digest in digests) and len({_TAG.sub("", image) for image in chosen.values()}) > 1:
        raise ValueError("--digest: the stages have several images, each with its own digest: use TARGET=sha256:...")
    for target, digest in _by_target("--digest", digests).items():
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"--digest {digest}: expected sha256: and 64 hexadecimal digits")
        chosen[target] = f"{_TAG.sub('', chosen[target])}@{digest}"
    return Images(**chosen)
