"""Pictures of labelled numbers: curves with error bands, heat maps."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tpl.report.axes import STEP, band_of
from tpl.report.course_plot import LOGARITHMIC
from tpl.report.labelled import Label, Labelled, label_text
from tpl.report.plots import COLOURS, MARKERS, new_figure, safe_label, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 12
AXES = (1, 2)  # of what a picture shows


def plot_labelled(labelled: Labelled, path: str | os.PathLike[str] | None = None) -> "Figure | Path":
    """One axis: a curve with a band of two errors. Two: curves along training, else a heat map. Axes with one place do not
    count. Raises ValueError for more than two, or none.
    """
    shown = labelled.sel(**{dim: labels[0] for dim, labels in labelled.coords.items() if len(labels) == 1})
    if len(shown.dims) not in AXES:
        hint = "`.sel(…)` takes a part" if shown.dims else "it is one number"
        raise ValueError(f"{labelled.name} has {len(shown.dims)} axes {shown.dims}; a picture shows one or two: {hint}")
    figure = new_figure(6.4, 4.4)
    axes = figure.subplots()
    if len(shown.dims) == 1 or STEP in shown.dims:
        _curves(axes, shown)
    else:
        _heat_map(figure, axes, shown)
    axes.set_title(safe_label(shown.title, 70), fontsize=11)
    return figure if path is None else save_figure(figure, path)


def _curves(axes: "Axes", shown: Labelled) -> None:
    """Along the one axis, or along the steps of training a curve for each place of the other axis."""
    along = STEP if STEP in shown.dims else shown.dims[0]
    other = next((dim for dim in shown.dims if dim != along), None)
    parts = [(shown, "")] if other is None else [
        (shown.sel(**{other: x}), f"{other} = {label_text(x)}") for x in shown.coords[other][:MOST_LINES]
    ]  # fmt: skip
    ticks = _numbers(shown.coords[along])
    marked = len(ticks) <= 30
    for i, (part, label) in enumerate(parts):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)] if marked else ""
        style = "-" if i < len(COLOURS) else "--"
        axes.plot(ticks, part.value, color=colour, marker=marker, ms=4, lw=1.4, ls=style, label=safe_label(label))
        axes.fill_between(ticks, *band_of(shown.name, part.value, part.error), color=colour, alpha=0.25, lw=0)
    if _spread(shown):
        axes.set_yscale("log")
    _label(axes.xaxis, along, shown.coords[along])
    if other is not None:
        axes.legend(fontsize=8, frameon=False)


def _heat_map(figure: "Figure", axes: "Axes", shown: Labelled) -> None:
    """The first axis upwards, the second to the right, if both were swept; else as a matrix is written."""
    first, second = shown.dims
    matrix = shown.methods.ndim < 2
    origin, aspect = ("upper", "equal") if matrix else ("lower", "auto")
    norm = "log" if _spread(shown) else None
    image = axes.imshow(shown.value, cmap="viridis", origin=origin, aspect=aspect, norm=norm)  # type: ignore[arg-type]
    figure.colorbar(image, ax=axes)
    for axis, dim in ((axes.yaxis, first), (axes.xaxis, second)):
        labels = shown.coords[dim]
        kept = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), 8)).round().astype(int))
        axis.set_ticks(kept.tolist(), [safe_label(label_text(labels[i]), 16) for i in kept])
        axis.set_label_text(safe_label(dim))


def _spread(shown: Labelled) -> bool:
    """Are all numbers positive, beyond their errors, and of such different sizes that a linear scale shows few of them?"""
    value, error = (x[np.isfinite(shown.value)] for x in (shown.value, shown.error))
    return bool(value.size and (value > 2 * error).all() and value.max() > LOGARITHMIC * value.min())


def _numbers(labels: tuple[Label, ...]) -> list[float]:
    """Where places lie along an axis: at their labels, or one after the other."""
    if any(isinstance(x, str) for x in labels):
        return list(map(float, range(len(labels))))
    return [float(x) for x in labels]


def _label(axis: object, dim: str, labels: tuple[Label, ...]) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_label_text(safe_label(dim))  # type: ignore[attr-defined]
    if any(isinstance(x, str) for x in labels):
        axis.set_ticks(range(len(labels)), [safe_label(label_text(x), 16) for x in labels])  # type: ignore[attr-defined]
    elif all(float(x).is_integer() for x in labels):
        axis.set_major_locator(MaxNLocator(integer=True))  # type: ignore[attr-defined]
