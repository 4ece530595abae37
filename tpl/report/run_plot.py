"""The picture of a run: a panel for every show that one panel can hold."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tpl.report.axes import band_of
from tpl.report.course_plot import draw_course
from tpl.report.plots import COLOURS, draw_matrix, matrix_size, new_figure, safe_label, save_figure
from tpl.report.results import Result, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTHING = "nothing that is shown makes a picture"
DRAWN = "drawn are matrices such as kernels, lists of numbers, and what is shown along two steps of training or more"


def drawable(shape: tuple[int, ...], steps: int = 0) -> bool:
    """Does a panel hold numbers of this shape? steps: of training along the first axis, 0 for none."""
    if steps > 1:
        return True
    own = shape[1:] if steps else shape
    return len(own) == 2 or sum(size > 1 for size in own) in (1, 2)


def plot_run(run: Run, path: str | os.PathLike[str]) -> Path:
    """Curves along training, of matrices their diagonals; else heat maps of matrices, and lists of numbers with errors.

    The suffix of the path decides the format. Raises ValueError if no show can be drawn.
    """
    results = [r for r in run.results if r.value.size and drawable(r.shape, len(r.steps))]
    if not results:
        raise ValueError(f"{NOTHING}: {DRAWN}")
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    width, height = np.max([_size(r) for r in results], axis=0)
    figure = new_figure(width * columns, height * rows + 0.5)
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes, result in zip(panels, results, strict=False):
        if len(result.steps) > 1:
            draw_course(axes, result)
        elif (matrix := _matrix(result)) is not None:
            draw_matrix(figure, axes, matrix)
        else:
            _draw_list(axes, result)
    for axes in panels[len(results) :]:
        axes.set_axis_off()
    figure.suptitle(safe_label(run.title or run.program_name, 90), fontsize=12)
    return save_figure(figure, path)


def _size(result: Result) -> tuple[float, float]:
    """Of a panel, in inches."""
    matrix = None if len(result.steps) > 1 else _matrix(result)
    return (4.3, 3.3) if matrix is None else matrix_size(matrix.shape)


def _matrix(result: Result) -> Result | None:
    """A result as the one matrix that it is, apart from axes with one place."""
    shape = result.shape[bool(result.steps) :]
    if len(shape) != 2:
        shape = tuple(size for size in shape if size > 1)
    if len(shape) != 2:
        return None
    value, error = (x.reshape(shape) for x in (result.value, result.error))
    return replace(result, value=value, error=error, steps=(), axes=())


def _draw_list(axes: "Axes", result: Result) -> None:
    """Numbers side by side, with bars of two errors that end where the numbers must."""
    from matplotlib.ticker import MaxNLocator

    value, error = result.value.ravel(), result.error.ravel()
    low, high = band_of(result.name, value, error)
    axes.errorbar(np.arange(1, value.size + 1), value, (value - low, high - value), color=COLOURS[0], marker="o",
                  markersize=4, linestyle="", capsize=2)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(safe_label(result.name, 44), fontsize=10)
    axes.grid(True, color="0.9", linewidth=0.8)


def undrawable(shapes: Iterable[tuple[tuple[int, ...], int]]) -> bool:
    """Would a run with shows of these shapes, and so many steps along each, have no picture?"""
    return not any(drawable(shape, steps) for shape, steps in shapes)
