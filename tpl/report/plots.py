"""Pictures with matplotlib, which is imported only here and only when one is drawn; no pyplot, no global state."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tpl.report.layout import Floats, compact, plain
from tpl.report.results import Result, Verification

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tpl.sampling.agreement import Agreement

MOST_CURVES = 6
# Okabe and Ito's colours, told apart by most readers, and a marker each for print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")


def plot_verification(verification: Verification, path: str | os.PathLike[str]) -> Path:
    """Left: values against width, running into the limit; right: their RMS deviation and its power of n.

    The suffix of the path decides the format: .png, .pdf, .svg. Raises ValueError on others.
    """
    figure = new_figure(12.5, 5.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
    _draw_values(left, verification)
    _draw_rate(right, verification.agreement)
    outcome = "agrees with the limit" if verification.ok else "DISAGREES with the limit"
    title = verification.title.strip() or verification.program_name
    colour = "black" if verification.ok else "#b00020"
    headline = f"{safe_label(title, 90)}\n{safe_label(verification.program_name, 40)}: {outcome}"
    figure.suptitle(headline, fontsize=13, color=colour)
    return save_figure(figure, path)


def new_figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: "Figure", path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    figure.savefig(target, dpi=150)
    return target


def safe_label(text: str, most: int = 34) -> str:
    """A program's text as a label: no mathtext, no endless lines, not hidden from the legend by an underscore."""
    text = plain(text)
    text = text if len(text) <= most else f"{text[: most // 2]}...{text[-(most - most // 2 - 3) :]}"
    return ("\N{ZERO WIDTH SPACE}" if text.startswith("_") else "") + text.replace("$", r"\$")


def chosen_values(agreement: "Agreement", most: int = MOST_CURVES) -> list[int]:
    """The most telling values: those that disagree, then in turn the largest |z| and the largest visible bias."""
    candidates = [int(i) for i in np.flatnonzero(agreement.distinct & ~agreement.constant)]
    spread = np.maximum(agreement.errors[0], agreement.limit_error)
    bias = np.abs(agreement.means[0] - agreement.limit) / np.where(spread > 0, spread, 1.0)
    by_z = sorted(candidates, key=lambda i: (bool(agreement.ok[i]), -abs(agreement.z[i])))
    by_bias = sorted(candidates, key=lambda i: -bias[i])
    failing = sum(not agreement.ok[i] for i in candidates)
    mixed = by_z[:failing] + [i for pair in zip(by_z[failing:], by_bias, strict=False) for i in pair] + by_bias
    return list(dict.fromkeys(mixed))[:most]


def _sizes(agreement: "Agreement", chosen: list[int]) -> tuple[Floats, NDArray[np.bool_]]:
    """What a deviation is measured in: the limit or, for limits near 0 (the second array), 0.3 of a typical one."""
    limits = np.abs(agreement.limit)
    nonzero = limits[agreement.distinct & (limits > 0)]
    typical = float(np.median(nonzero)) if nonzero.size else float(np.abs(agreement.means).max()) or 1.0
    return np.maximum(limits[chosen], 0.3 * typical), limits[chosen] < 0.3 * typical


def _draw_values(axes: "Axes", verification: Verification) -> None:
    found = verification.agreement
    chosen = chosen_values(found)
    sizes, small = _sizes(found, chosen)
    widths = np.array(found.widths, float)
    end = widths[-1] * (widths[-1] / widths[0]) ** 0.3  # where the extrapolated values stand
    axes.axhline(0, color="black", linewidth=1.2, zorder=1)
    for k, i in enumerate(chosen):
        label = safe_label(verification.names[i]) + (" *" if small[k] else "") + ("" if found.ok[i] else " (disagrees)")
        shift = (widths[-1] / widths[0]) ** (0.012 * (k - (len(chosen) - 1) / 2))  # so that bars stand side by side
        _draw_value(axes, found, i, 100 / sizes[k], (shift, end), label, k)
    if not chosen:
        axes.text(0.5, 0.6, "all values are constant", transform=axes.transAxes, ha="center")
    _width_axis(axes, found.widths, end)
    axes.set_ylabel("mean over networks - limit (% of the limit)")
    note = "; * % of 0.3 typical limits" if small.any() else ""
    axes.set_title(f"Values; hollow: extrapolated; band: limit ± 2 errors{note}", fontsize=10)
    if chosen:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=10)


def _draw_value(
    axes: "Axes", found: "Agreement", i: int, scale: float, places: tuple[float, float], label: str, k: int
) -> None:
    """One value's means, extrapolation, fit and limit band, as scaled differences from the limit."""
    style: dict[str, Any] = {"color": COLOURS[k], "marker": MARKERS[k], "markersize": 6, "capsize": 3, "linestyle": ""}
    shift, end = places
    widths = np.array(found.widths, float)
    band = 2 * scale * found.limit_error[i]
    axes.axhspan(-band, band, color=COLOURS[k], alpha=0.10, linewidth=0, zorder=0)
    means, errors = scale * (found.means[:, i] - found.limit[i]), scale * found.errors[:, i]
    axes.errorbar(widths * shift, means, errors, label=label, **style)

    def fit(inverse: Floats) -> Floats:
        powers = np.vander(inverse ** found.exponents[i], found.coefficients.shape[1], increasing=True)
        return np.asarray(scale * (powers @ found.coefficients[i] - found.limit[i]))

    within = np.geomspace(widths[0], widths[-1], 100)
    axes.plot(within * shift, fit(1 / within), color=COLOURS[k], linewidth=1.0, alpha=0.6)
    # From the widest network on the axis runs to infinity: evenly in 1/n.
    beyond, inverse = np.geomspace(widths[-1], end, 30), np.linspace(1 / widths[-1], 0, 30)
    axes.plot(beyond * shift, fit(inverse), ":", color=COLOURS[k], linewidth=1.2, alpha=0.8)
    last, error = found.extrapolated[i] - found.limit[i], found.extrapolated_error[i]
    axes.errorbar([end * shift], [scale * last], [scale * error], markerfacecolor="white", **style)


def _width_axis(axes: "Axes", widths: tuple[int, ...], end: float | None = None) -> None:
    """Ticks at the simulated widths, and one for the extrapolation."""
    places = [float(n) for n in widths] + ([end] if end else [])
    labels = [str(n) for n in widths] + (["→ ∞"] if end else [])
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(places, labels)
    axes.set_xlabel("width n")
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_rate(axes: "Axes", found: "Agreement") -> None:
    """The RMS deviation with its fit, and n^-1/2 through the same centre."""
    kept = found.deviations > 0
    widths, values = np.array(found.widths, float)[kept], found.deviations[kept]
    axes.set_title("All values together", fontsize=10)
    axes.set_ylabel("RMS deviation of a network from the limit")
    _width_axis(axes, found.widths)
    if found.rate is None:
        axes.text(0.5, 0.6, "no deviations to fit", transform=axes.transAxes, ha="center")
        return
    axes.set_yscale("log")
    slope, error, intercept = found.rate
    line = np.geomspace(widths[0] / 1.15, widths[-1] * 1.15, 50)
    centre = np.exp(np.log(widths).mean())
    height = np.exp(intercept) * centre**slope
    axes.plot(line, height * (line / centre) ** -0.5, "--", color="0.45", label="slope -1/2 (fluctuations)")
    axes.plot(line, np.exp(intercept) * line**slope, color=COLOURS[1], label=f"fit: slope {compact(slope, error)}")
    bars = found.deviation_errors[kept]
    axes.errorbar(
        widths,
        values,
        bars,
        color=COLOURS[0],
        marker="o",
        linestyle="",
        capsize=3,
        label="networks",
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=10)


def plot_matrix(result: Result, path: str | os.PathLike[str]) -> Path:
    """A heat map of a matrix, with its numbers if it is small. Raises ValueError on arrays of other dimensions."""
    if len(result.shape) != 2 or 0 in result.shape:
        raise ValueError(f"{result.name}: only a matrix can be drawn as a heat map, not shape {result.shape}")
    figure = new_figure(*matrix_size(result.shape))
    draw_matrix(figure, figure.subplots(), result)
    return save_figure(figure, path)


def matrix_size(shape: tuple[int, ...]) -> tuple[float, float]:
    """Of a heat map, in inches."""
    rows, columns = shape
    return min(12.0, max(5.0, 0.5 * columns + 1.8)), min(10.0, max(4.0, 0.5 * rows + 1.0))


def draw_matrix(figure: "Figure", axes: "Axes", result: Result) -> None:
    """A heat map with its scale beside it, and its numbers if it is small."""
    from matplotlib import colormaps
    from matplotlib.colors import CenteredNorm, Normalize

    rows, columns = result.shape
    signed = bool(result.value.min() < 0 < result.value.max())
    norm = CenteredNorm() if signed else Normalize(result.value.min(), result.value.max())
    cmap = colormaps["RdBu_r" if signed else "viridis"]
    image = axes.imshow(result.value, cmap=cmap, norm=norm, aspect="equal" if rows == columns else "auto")
    figure.colorbar(image, ax=axes, shrink=0.85)
    for axis, size in ((axes.xaxis, columns), (axes.yaxis, rows)):
        step = max(1, -(-size // 16))
        axis.set_ticks(range(0, size, step), [str(i + 1) for i in range(0, size, step)])
    axes.set_title(f"{safe_label(result.name, 50)}\n{safe_label(result.method, 60)}", fontsize=11)
    if rows <= 10 and columns <= 10:
        for (i, j), x in np.ndenumerate(result.value):
            light = 0.299 * (rgb := cmap(norm(x)))[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 0.55
            axes.text(j, i, f"{x:.3g}", ha="center", va="center", fontsize=9, color="black" if light else "white")
