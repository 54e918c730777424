"""Distortions: pure, seeded functions from an image and a severity to a degraded image."""

from metrifier_core.distortions import blur, compression, noise, resolution, tone, unseen, weather  # noqa: F401
from metrifier_core.distortions.application import (
    PRISTINE,
    apply_distortion,
    apply_levels,
    apply_severities,
    encode_versions,
    version_seed,
)
from metrifier_core.distortions.registry import (
    Distortion,
    get_distortion,
    list_distortions,
    register_codec,
    register_distortion,
)
from metrifier_core.distortions.selection import DistortionSettings, choose_versions
from metrifier_core.distortions.severities import (
    SEVERITIES,
    TARGETS,
    Levels,
    SeverityTable,
    TypeSeverities,
    default_severities,
    read_severities,
    write_severities,
)

__all__ = [
    "PRISTINE",
    "SEVERITIES",
    "TARGETS",
    "Distortion",
    "DistortionSettings",
    "Levels",
    "SeverityTable",
    "TypeSeverities",
    "apply_distortion",
    "apply_levels",
    "apply_severities",
    "choose_versions",
    "default_severities",
    "encode_versions",
    "get_distortion",
    "list_distortions",
    "read_severities",
    "register_codec",
    "register_distortion",
    "version_seed",
    "write_severities",
]
