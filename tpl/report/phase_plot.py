"""The phase diagram as a picture: χ₁ in colour, the edge of chaos as a line. matplotlib is imported when one is drawn."""

import os
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tpl.numeric.edge import Plane
from tpl.report.phase import Phase
from tpl.report.plots import COLOURS, new_figure, safe_label, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDEST = 2.0  # colours end where log2 χ₁ is ± this


def plot_phase(phase: Phase, path: str | os.PathLike[str]) -> Path:
    """χ₁ over the plane of two constants, or along one. Raises ValueError on unknown formats, or without axes."""
    plane = phase.plane
    figure = new_figure(7.2, 5.4)
    axes = figure.subplots()
    if plane.y is None:
        _draw_line(axes, phase, plane)
    else:
        _draw_map(figure, axes, phase, plane)
    title = phase.title.strip() or phase.program_name
    others = [
        f"{greek(name)} = {value:.4g}"
        for name, value in phase.constants.items()
        if name not in (plane.x.name, plane.y.name if plane.y is not None else "")
    ]
    beneath = ", ".join([f"{phase.program_name}: {safe_label(phase.activation, 60)}", *others])
    axes.set_title(f"{safe_label(title, 70)}\n{beneath}", fontsize=11)
    return save_figure(figure, path)


def greek(name: str) -> str:
    """A constant's name as a label: Greek letters, what follows an underscore as a subscript."""
    head, _, tail = name.partition("_")
    letter = rf"\{head}" if head in _GREEK else rf"\mathrm{{{head}}}" if len(head) > 1 else head
    if not (head.isalnum() and head.isascii() and tail.replace("_", "").isalnum() and tail.isascii()):
        return safe_label(name) if tail or not (head.isalnum() and head.isascii()) else f"${letter}$"
    return rf"${letter}_{{{tail.replace('_', '')}}}$"


_GREEK = {
    "alpha",
    "beta",
    "gamma",
    "delta",
    "lambda",
    "mu",
    "nu",
    "rho",
    "sigma",
    "tau",
    "theta",
    "eta",
    "kappa",
    "omega",
}


def _draw_map(figure: Any, axes: "Axes", phase: Phase, plane: Plane) -> None:
    from matplotlib import colormaps

    assert plane.y is not None
    x, y = plane.x.values, plane.y.values
    with np.errstate(all="ignore"):
        height = np.log2(np.maximum(plane.chi, 1e-12))
    bound = float(min(WIDEST, max(0.25, np.nanmax(np.abs(height[np.isfinite(height)]), initial=0.25))))
    height = np.ma.masked_invalid(np.where(np.isposinf(plane.chi), bound, np.clip(height, -bound, bound)))
    image = axes.pcolormesh(
        x, y, height, cmap=colormaps["RdBu_r"], vmin=-bound, vmax=bound, shading="gouraud", rasterized=True
    )
    bar = figure.colorbar(image, ax=axes, extend="both")
    ticks = [t for t in (-2, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 2) if abs(t) <= bound]
    ticks = [t for t in ticks if bound < 1 or t in (-2, -1, -0.5, 0, 0.5, 1, 2)]
    bar.set_ticks(ticks, labels=[f"{2.0**t:.3g}" for t in ticks])
    bar.set_label(r"$\chi_1$: growth of a small squared distance a layer")
    if np.nanmin(height) < 0 < np.nanmax(height):
        axes.contour(x, y, height, levels=[0.0], colors="black", linewidths=2)
    _names(axes, plane, height)
    here = [phase.constants.get(a.name, np.nan) for a in (plane.x, plane.y)]
    if x[0] <= here[0] <= x[-1] and y[0] <= here[1] <= y[-1]:
        axes.plot(*here, "o", color="white", markeredgecolor="black", markersize=9, clip_on=False, zorder=5,
                  label=f"the program: {phase.phase}")  # fmt: skip
    axes.plot([], [], color="black", linewidth=2, label=r"edge of chaos, $\chi_1 = 1$")
    handles = axes.get_legend_handles_labels()[0] + _unbounded(axes, plane)
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False, fontsize=10)
    axes.set_xlabel(greek(plane.x.name))
    axes.set_ylabel(greek(plane.y.name))
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])


def _unbounded(axes: "Axes", plane: Plane) -> list[Any]:
    """Hatched: variances grow without bound. Returns what stands for that in a legend."""
    from matplotlib.patches import Patch

    assert plane.y is not None
    endless = np.isposinf(plane.q)
    if not endless.any():
        return []
    place = axes.contourf(plane.x.values, plane.y.values, endless, levels=[0.5, 1.5], hatches=["//"], colors="none")
    place.set_edgecolor("0.25")
    place.set_linewidth(0.0)
    return [Patch(facecolor="none", edgecolor="0.25", hatch="//", label=r"no finite $q^*$")]


def _names(axes: "Axes", plane: Plane, height: Any) -> None:
    """Write each phase in the middle of its part of the plane."""
    assert plane.y is not None
    finite = ~np.isposinf(plane.q)
    for name, part in (("ordered", (height < 0) & finite), ("chaotic", (height > 0) & finite)):
        inside = np.ma.filled(part, False)
        if inside.mean() > 0.06:
            rows, columns = np.nonzero(inside)
            middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            axes.text(
                plane.x.values[columns[middle]], plane.y.values[rows[middle]], name, ha="center", va="center",
                fontsize=13, style="italic", bbox={"facecolor": "white", "alpha": 0.6, "linewidth": 0},
            )  # fmt: skip


def _draw_line(axes: "Axes", phase: Phase, plane: Plane) -> None:
    x, chi, q = plane.x.values, plane.chi[0], plane.q[0]
    axes.axhline(1.0, color="0.5", linestyle="--", linewidth=1)
    axes.plot(x, np.where(np.isfinite(chi), chi, np.nan), color=COLOURS[1], linewidth=2, label=r"$\chi_1$")
    axes.plot(x, np.where(np.isfinite(q), q, np.nan), color=COLOURS[0], linewidth=2, label=r"$q^*$")
    for crossing in phase.edge.crossings if phase.edge is not None else ():
        axes.axvline(crossing.x, color="black", linewidth=1.5)
        axes.annotate(f"edge of chaos\n{crossing.x:.5g}", (crossing.x, 0.97), xycoords=("data", "axes fraction"),
                      xytext=(6, 0), textcoords="offset points", va="top")  # fmt: skip
    here = phase.constants.get(plane.x.name, np.nan)
    if isfinite(here) and x[0] <= here <= x[-1]:
        axes.axvline(here, color="0.5", linestyle=":", label=f"the program: {phase.phase}")
    axes.set_xlabel(greek(plane.x.name))
    axes.set_ylabel(r"$\chi_1$ and $q^*$")
    axes.set_xlim(x[0], x[-1])
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False, fontsize=10)


__all__ = ["plot_phase"]
