"""Distortions: pure, seeded functions from an image and a severity to a worse image."""

from metrifier_core.distortions import blur, compression, noise, resolution, tone
from metrifier_core.distortions.registry import (
    PRISTINE,
    SEVERITIES,
    Distortion,
    apply_distortion,
    encode_version,
    get_distortion,
    list_distortions,
    register_codec,
    register_distortion,
    version_seed,
)
from metrifier_core.distortions.selection import DistortionSettings, choose_versions

__all__ = [
    "PRISTINE",
    "SEVERITIES",
    "Distortion",
    "DistortionSettings",
    "apply_distortion",
    "blur",
    "choose_versions",
    "compression",
    "encode_version",
    "get_distortion",
    "list_distortions",
    "noise",
    "register_codec",
    "register_distortion",
    "resolution",
    "tone",
    "version_seed",
]
