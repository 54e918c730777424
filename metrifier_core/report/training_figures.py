"""The report's figure of the training."""

from collections.abc import Mapping, Sequence

import numpy as np

from metrifier_core.report.drawing import LIGHT, Theme, legend_above, new_figure, png_bytes, styled


def training_curves(training: Sequence[Mapping[str, float]], theme: Theme = LIGHT) -> bytes:
    """Draw the losses and the validation's Spearman correlation against the epoch.

    Each mapping is an epoch, with `epoch`, `loss`, `validation_loss` and `validation_spearman`.

    Returns:
        A PNG with the losses above and the correlation below, its highest value marked.
    """
    epoch, loss, validation_loss, spearman = (
        np.array([row[key] for row in training], dtype=np.float64)
        for key in ("epoch", "loss", "validation_loss", "validation_spearman")
    )
    figure = new_figure(4.2, theme)
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, label in ((above, "loss"), (below, "Spearman")):
        styled(axes, theme).set_ylabel(label, color=theme.ink)
    above.plot(epoch, loss, color=theme.metrifier, marker=".", label="training")
    above.plot(epoch, validation_loss, color=theme.truth, marker=".", linestyle="--", label="validation")
    legend_above(figure, above.get_lines(), theme)
    below.plot(epoch, spearman, color=theme.truth, marker=".", linestyle="--")
    if not np.isnan(spearman).all():
        best = int(np.nanargmax(spearman))
        below.plot(epoch[best], spearman[best], color=theme.ink, marker="o", fillstyle="none", markersize=9)
        title = f"best validation: {spearman[best]:.3f} at epoch {epoch[best]:g}"
        below.set_title(title, fontsize=9, color=theme.muted)
    below.xaxis.get_major_locator().set_params(integer=True)
    below.set_xlabel("epoch", color=theme.ink)
    return png_bytes(figure)
