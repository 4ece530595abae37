"""Pictures of training: what was shown, step by step, with error bands."""

from typing import TYPE_CHECKING

import numpy as np

from tpl.report.along import step_lines
from tpl.report.axes import band_of
from tpl.report.plots import COLOURS, safe_label
from tpl.report.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 12  # in one panel
LOGARITHMIC = 30.0  # largest over smallest value from which an axis of positive numbers is logarithmic


def draw_course(axes: "Axes", result: Result) -> None:
    """A number or a few numbers a step; of matrices their diagonals."""
    from matplotlib.ticker import MaxNLocator

    value, error, what, names = step_lines(result)
    low, high = band_of(result.name, value, error)
    shown = min(value.shape[1], MOST_LINES)
    seen = np.abs(value[:, :shown]) > 2 * error[:, :shown]  # the rest cannot be told from zero
    positive = value[:, :shown][seen]
    logarithmic = positive.size and positive.min() > 0 and positive.max() / positive.min() > LOGARITHMIC
    for j in range(shown):
        colour = COLOURS[j % len(COLOURS)]
        label = names[j] if value.shape[1] > 1 else None
        line = np.where(seen[:, j], value[:, j], np.nan) if logarithmic else value[:, j]
        axes.plot(result.steps, line, color=colour, lw=1.4, ls="-" if j < len(COLOURS) else "--", label=label)
        axes.fill_between(result.steps, low[:, j], high[:, j], color=colour, alpha=0.25, lw=0)
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(bottom=positive.min() / 2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    more = f" (first {shown})" if shown < value.shape[1] else ""
    axes.set_title(safe_label(f"{result.name}{what}{more}", 44), fontsize=10)
    axes.set_xlabel("step")
    if 1 < shown <= 8:
        axes.legend(fontsize=7, ncols=2, frameon=False)
