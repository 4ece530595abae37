"""The figures of `tpl paper`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tpl.report.layout import compact
from tpl.report.paper import Curves, Ending, Features, Histogram, Paper, Spread
from tpl.report.plots import COLOURS, MARKERS, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"sp": "SP", "ntp": "NTP", "ip": "IP", "mup": "μP"}
ENDINGS = {
    "convergence": "tanh, 8 images",
    "degenerate": "tanh, ξ₂ = -ξ₁",
    "relu": "relu, ξ₂ = 2 ξ₁",
    "linear": "linear, ξ₃ = ξ₁ + ξ₂",
}
SMALLEST = 1e-13  # eigenvalues below are rounding
ROWS = (
    ("feature_change({}[l])", "feature change"),
    ("rms({}[l])", "size: rms of {}"),
    ("min_eig(gram({}[l]))", "diversity: smallest\neigenvalue of the Gram matrix"),
    ("min_eig(joint_gram({}[l]))", "joint: smallest eigenvalue\nbefore and after together"),
)


def plot_paper(paper: Paper, folder: str | os.PathLike[str], suffix: str = ".png") -> list[Path]:
    """Draw all figures into a folder that exists; the suffix decides the format."""
    figures: dict[str, Callable[[Path], Path]] = {
        "mup": lambda path: plot_mup(paper, path),
        "features_h": lambda path: plot_features(paper, "h", path),
        "features_x": lambda path: plot_features(paper, "x", path),
        "along": lambda path: plot_along(paper, path),
        "convergence": lambda path: plot_convergence(paper, path),
        "histograms": lambda path: plot_histograms(paper, path),
    }
    return [draw(Path(folder) / f"{name}{suffix}") for name, draw in figures.items()]


# ---------------------------------------------------------------------------------------------- against the width


def plot_features(paper: Paper, variable: str, path: Path) -> Path:
    """The measures of every layer after training against the width, running into the limit: a column a parametrization."""
    figure = new_figure(3.3 * len(paper.features) + 0.8, 2.7 * len(ROWS) + 0.8)
    panels = figure.subplots(len(ROWS), len(paper.features), sharex=True, sharey="row", squeeze=False)
    for row, (measure, label) in zip(panels, ROWS, strict=True):
        for axes, features in zip(row, paper.features, strict=True):
            _draw_widths(axes, features, features.measures[measure.format(variable)])
        row[0].set_ylabel(label.format(variable))
        if measure.startswith("rms"):
            row[0].set_ylim(bottom=0)
        else:
            _make_logarithmic(row[0], [f.measures[measure.format(variable)] for f in paper.features])
    for axes, features in zip(panels[0], paper.features, strict=True):
        axes.set_title(NAMES[features.parametrization], fontsize=12)
    for axes in panels[-1]:
        axes.set_xlabel("width n")
    handles, labels = panels[0][-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False)
    steps = paper.features[0].steps[-1]
    what = "preactivations h" if variable == "h" else "activations x"
    figure.suptitle(f"{what} after {steps} steps; hollow, dashed: the infinite-width limit (bars, bands: 2 errors)")
    return save_figure(figure, path)


def plot_mup(paper: Paper, path: Path) -> Path:
    """The three measures under μP alone, a column a layer, on linear scales: h and x run into their limits."""
    (features,) = (f for f in paper.features if f.parametrization == "mup")
    rows = [row for row in ROWS if not row[0].startswith("rms")]
    layers = features.measures["rms(h[l])"].limit.shape[-1]
    figure = new_figure(3.6 * layers + 0.6, 2.7 * len(rows) + 0.8)
    panels = figure.subplots(len(rows), layers, sharex=True, squeeze=False)
    for row, (measure, label) in zip(panels, rows, strict=True):
        for layer, axes in enumerate(row):
            for k, variable in enumerate("hx"):
                curves = features.measures[measure.format(variable)]
                _draw_curve(axes, features.widths, curves, layer, k, variable)
            _width_axis(axes, features.widths)
            axes.set_ylim(bottom=0)
        row[0].set_ylabel(label)
    for layer, axes in enumerate(panels[0]):
        axes.set_title(f"layer {layer + 1}", fontsize=12)
    for axes in panels[-1]:
        axes.set_xlabel("width n")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False)
    steps = features.steps[-1]
    figure.suptitle(f"μP after {steps} steps; hollow, dashed: the infinite-width limit (bars, bands: 2 errors)")
    return save_figure(figure, path)


def _draw_widths(axes: "Axes", features: Features, curves: Curves) -> None:
    layers = range(curves.limit.shape[-1])
    for layer in layers:
        _draw_curve(axes, features.widths, curves, layer, layer, f"layer {layer + 1}")
    zero = [str(layer + 1) for layer in layers if not curves.resolved[-1, layer]]
    if zero:
        which = "layer" if len(zero) == 1 else "layers"
        axes.text(0.97, 0.03, f"limit 0: {which} {', '.join(zero)}", transform=axes.transAxes, ha="right", fontsize=8)
    _width_axis(axes, features.widths)


def _draw_curve(axes: "Axes", widths: tuple[int, ...], curves: Curves, layer: int, k: int, label: str) -> None:
    """One layer at the last step: networks, and the limit where it can be told from zero. k: its colour and place."""
    end, colour, marker = _place_of_limit(widths), COLOURS[k], MARKERS[k]
    shift = (end / widths[0]) ** (0.012 * (k - 1))
    mean, bar = curves.networks[:, -1, layer], 2 * curves.network_errors[:, -1, layer]
    axes.errorbar(np.array(widths) * shift, mean, bar, color=colour, marker=marker, markersize=4.5, lw=1.0, capsize=2,
                  label=label)  # fmt: skip
    value, error = curves.limit[-1, layer], 2 * curves.limit_errors[-1, layer]
    if not curves.resolved[-1, layer]:
        return
    axes.axhspan(value - error, value + error, color=colour, alpha=0.15, lw=0)
    axes.axhline(value, color=colour, ls="--", lw=0.8)
    axes.errorbar([end * shift], [value], [error], color=colour, marker=marker, markerfacecolor="white",
                  markersize=6, capsize=2)  # fmt: skip


def _place_of_limit(widths: tuple[int, ...]) -> float:
    """Right of the widest, by a fifth of the axis."""
    return float(widths[-1] * max(2.0, widths[-1] / widths[0]) ** 0.2)


def _width_axis(axes: "Axes", widths: tuple[int, ...]) -> None:
    axes.set_xscale("log")
    axes.minorticks_off()
    every = 2 if len(widths) > 4 else 1
    ticks = [*widths[::every], _place_of_limit(widths)]
    axes.set_xticks(ticks, [*(f"{n:.0f}" for n in widths[::every]), "∞"], fontsize=8)
    axes.grid(True, color="0.92", lw=0.7)


def _make_logarithmic(axes: "Axes", all_curves: list[Curves]) -> None:
    """Ends of the axis by the values, not by bars that reach down to zero; room for a line of text below."""
    limits = [c.limit[-1][c.resolved[-1]] for c in all_curves]
    values = np.concatenate([c.networks[:, -1].ravel() for c in all_curves] + limits)
    values = values[values > SMALLEST]
    if not values.size:
        return
    room = (values.max() / values.min()) ** 0.12
    axes.set_yscale("log")
    axes.set_ylim(values.min() / (2 * room), values.max() * 2)
    axes.minorticks_off()


# ---------------------------------------------------------------------------------------------- along training


def plot_along(paper: Paper, path: Path) -> Path:
    """The smallest eigenvalues of every layer in the limit under μP, step by step."""
    (features,) = (f for f in paper.features if f.parametrization == "mup")
    rows = (("min_eig(gram({}[l]))", "smallest eigenvalue of the Gram matrix"),
            ("min_eig(joint_gram({}[l]))", "... of the joint Gram matrix with step 0"))  # fmt: skip
    layers = features.measures["rms(h[l])"].limit.shape[-1]
    figure = new_figure(3.8 * layers + 0.6, 6.6)
    panels = figure.subplots(2, layers, sharex=True, sharey="row", squeeze=False)
    for row, (measure, label) in zip(panels, rows, strict=True):
        for layer, axes in enumerate(row):
            for k, variable in enumerate("hx"):
                curves = features.measures[measure.format(variable)]
                _draw_course(axes, features.steps, curves.limit[:, layer], curves.limit_errors[:, layer],
                             f"{variable}, layer {layer + 1}", k)  # fmt: skip
            axes.legend(frameon=False, fontsize=9)
        row[0].set_ylabel(label)
    panels[0][0].set_ylim(bottom=0)
    if len(features.steps) > 1:
        panels[1][0].set_yscale("log")
    for axes in panels[-1]:
        axes.set_xlabel("step")
    figure.suptitle("Theorem 4.5 in the infinite-width limit under μP; bands: 2 errors")
    return save_figure(figure, path)


def _draw_course(
    axes: "Axes", steps: tuple[int, ...], value: np.ndarray, error: np.ndarray, label: str, k: int, style: str = "-"
) -> None:
    """A line with its band, where it can be told from zero."""
    seen = value > 2 * error
    colour = COLOURS[k % len(COLOURS)]
    axes.plot(steps, np.where(seen, value, np.nan), style, color=colour, lw=1.4, label=label)
    low, high = (np.where(seen, value + sign * 2 * error, np.nan) for sign in (-1, 1))
    axes.fill_between(steps, low, high, color=colour, alpha=0.25, lw=0)
    axes.grid(True, color="0.92", lw=0.7)


# ---------------------------------------------------------------------------------------------- the end of training


def plot_convergence(paper: Paper, path: Path) -> Path:
    """Left: losses in the limit, to zero or not; middle: largest error signals; right: networks under IP."""
    figure = new_figure(14.5, 4.6)
    left, middle, right = figure.subplots(1, 3)
    for k, ending in enumerate(paper.endings):
        label = ENDINGS[ending.program]
        _draw_course(left, ending.steps, ending.loss, ending.loss_errors, label, k)
        _draw_course(middle, ending.steps, ending.signal, ending.signal_errors, label, k)
    left.set_title("Loss in the limit under μP", fontsize=11)
    middle.set_title("Largest error signal |f - y|", fontsize=11)
    for axes in (left, middle):
        axes.set_yscale("log")
        axes.set_xlabel("step")
    left.set_ylim(bottom=max(1e-16, left.get_ylim()[0]))
    left.legend(frameon=False, fontsize=9)
    for features in paper.features:
        if features.parametrization == "ip":
            _draw_escape(right, features)
    return save_figure(figure, path)


def _draw_escape(axes: "Axes", features: Features) -> None:
    from matplotlib import colormaps

    loss = features.measures["loss"]
    for k, width in enumerate(features.widths):
        colour = colormaps["viridis"](0.9 * k / max(1, len(features.widths) - 1))
        mean, bar = loss.networks[k], 2 * loss.network_errors[k]
        axes.plot(features.steps, mean, color=colour, lw=1.2, label=f"n = {width}")
        axes.fill_between(features.steps, mean - bar, mean + bar, color=colour, alpha=0.2, lw=0)
    axes.plot(features.steps, loss.limit, "--", color="black", lw=1.4, label="limit")
    axes.set_title("Loss under IP: wider networks stay longer", fontsize=11)
    axes.set_xlabel("step")
    axes.set_ylim(bottom=0)
    axes.grid(True, color="0.92", lw=0.7)
    axes.legend(frameon=False, fontsize=9)


# ---------------------------------------------------------------------------------------------- histograms


def plot_histograms(paper: Paper, path: Path) -> Path:
    """Preactivations of the last layer before and after training: the limit, wide networks, a Gaussian."""
    figure = new_figure(10.5, 3.6 * len(paper.histograms) + 0.5)
    panels = figure.subplots(len(paper.histograms), 2, squeeze=False, sharex=True, sharey=True)
    for row, histogram in zip(panels, paper.histograms, strict=True):
        for when, axes in enumerate(row):
            _draw_histogram(axes, histogram, when)
    for axes in panels[-1]:
        axes.set_xlabel("preactivation of the last layer / its standard deviation")
    panels[0][0].set_ylim(top=0.75)
    return save_figure(figure, path)


def _draw_histogram(axes: "Axes", histogram: Histogram, when: int) -> None:
    edges = histogram.edges
    middles = (edges[1:] + edges[:-1]) / 2
    label = f"networks, n = {histogram.width}: {_kurtosis(histogram.networks, when)}"
    axes.bar(middles, histogram.networks.density[when], np.diff(edges), color=COLOURS[5], alpha=0.6, label=label)
    label = f"limit: {_kurtosis(histogram.limit, when)}"
    axes.stairs(histogram.limit.density[when], edges, color=COLOURS[1], lw=1.5, label=label)
    axes.plot(middles, np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi), "--", color="black", lw=1.0, label="Gaussian: 0")
    axes.set_title(f"{histogram.activation}, {'after' if when else 'before'} training", fontsize=11)
    axes.legend(frameon=False, fontsize=8.5, title="excess kurtosis", title_fontsize=8.5)


def _kurtosis(spread: Spread, when: int) -> str:
    return compact(float(spread.kurtosis[when]), float(spread.kurtosis_errors[when]))


__all__ = ["Ending", "plot_along", "plot_convergence", "plot_features", "plot_histograms", "plot_paper"]
