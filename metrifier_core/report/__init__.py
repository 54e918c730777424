"""The report of a run: figures, and one self-contained HTML file that shows them."""

from metrifier_core.report.decision_figures import error_against_discard, reliability_diagram
from metrifier_core.report.drawing import DARK, LIGHT, Theme
from metrifier_core.report.figures import (
    Example,
    correlation_bars,
    examples_sheet,
    predicted_against_true,
    quality_by_severity,
    training_curves,
)
from metrifier_core.report.render import ReportData, render_report, verdict

__all__ = [
    "DARK",
    "LIGHT",
    "Example",
    "ReportData",
    "Theme",
    "correlation_bars",
    "error_against_discard",
    "examples_sheet",
    "predicted_against_true",
    "quality_by_severity",
    "reliability_diagram",
    "render_report",
    "training_curves",
    "verdict",
]
