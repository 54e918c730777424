"""The report of a run: figures, and one self-contained HTML file that shows them."""

from metrifier_core.report.correlation_figures import correlation_bars
from metrifier_core.report.data import Rejects, ReportData
from metrifier_core.report.decision_figures import error_against_discard, reliability_diagram
from metrifier_core.report.drawing import DARK, LIGHT, Theme
from metrifier_core.report.examples import GROUPS, Example, choose_examples, examples_sheet, thumbnail
from metrifier_core.report.heat_map import correlation_heat_map
from metrifier_core.report.quality_figures import predicted_against_true, quality_by_severity
from metrifier_core.report.render import render_report
from metrifier_core.report.training_figures import training_curves
from metrifier_core.report.verdict import reasons, verdict
from metrifier_core.report.versions import installed_versions

__all__ = [
    "DARK",
    "GROUPS",
    "LIGHT",
    "Example",
    "Rejects",
    "ReportData",
    "Theme",
    "choose_examples",
    "correlation_bars",
    "correlation_heat_map",
    "error_against_discard",
    "examples_sheet",
    "installed_versions",
    "predicted_against_true",
    "quality_by_severity",
    "reasons",
    "reliability_diagram",
    "render_report",
    "thumbnail",
    "training_curves",
    "verdict",
]
