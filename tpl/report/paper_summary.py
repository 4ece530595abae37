"""What `tpl paper` says in the terminal: networks against the limit under μP, and the paper's statements in numbers."""

from collections.abc import Iterator

import numpy as np

from tpl.report.layout import compact
from tpl.report.paper import Curves, Ending, Features, Histogram, Paper

MEASURES = {
    "feature_change({}[l])": "feature change",
    "min_eig(gram({}[l]))": "smallest eigenvalue",
    "min_eig(joint_gram({}[l]))": "joint smallest eigenvalue",
}


def summary(paper: Paper) -> str:
    """Tables and sentences, without markup."""
    (mup,) = (f for f in paper.features if f.parametrization == "mup")
    parts = [_table(mup), _independence(mup), *map(_still, paper.features), "", *map(_ending, paper.endings), ""]
    return "\n".join([*parts, *map(_shape, paper.histograms)])


def _table(features: Features) -> str:
    """After training: the widest networks, what networks tend to, the limit."""
    header = ("after training, mup", f"n = {features.widths[-1]}", "n → ∞ (fit)", "limit", "z")
    rows = [header, *(row for v in "hx" for row in _rows(features, v))]
    widths = [max(len(row[k]) for row in rows) for k in range(len(header))]
    lines = ["  ".join(f"{cell:<{w}}" if k == 0 else f"{cell:>{w}}" for k, (cell, w) in enumerate(zip(r, widths, strict=True)))
             for r in rows]  # fmt: skip
    return "\n".join([lines[0], "─" * len(lines[0]), *lines[1:], ""])


def _rows(features: Features, variable: str) -> Iterator[tuple[str, ...]]:
    for measure, name in MEASURES.items():
        curves = features.measures[measure.format(variable)]
        for layer in range(curves.limit.shape[-1]):
            at = (-1, layer)
            widest = compact(float(curves.networks[(-1, *at)]), float(curves.network_errors[(-1, *at)]))
            limit = compact(float(curves.limit[at]), float(curves.limit_errors[at]))
            yield f"{name} of {variable}, layer {layer + 1}", widest, *_tends_to(curves, at, limit)


def _tends_to(curves: Curves, at: tuple[int, int], limit: str) -> tuple[str, str, str]:
    z = curves.z
    if z is None or curves.extrapolated is None or curves.extrapolated_errors is None:
        return "", limit, ""
    fitted = compact(float(curves.extrapolated[at]), float(curves.extrapolated_errors[at]))
    return fitted, limit, f"{z[at]:.1f}"


def _independence(features: Features) -> str:
    """Theorem 4.5: how far from zero the smallest eigenvalues stay."""
    lines = [f"mup, steps 0 to {features.steps[-1]}: smallest eigenvalue / error, the least over steps, layer by layer"]
    for measure, first in (("min_eig(gram({}[l]))", 0), ("min_eig(joint_gram({}[l]))", 1)):
        for variable in "hx":
            curves = features.measures[measure.format(variable)]
            ratio = curves.limit[first:] / np.maximum(curves.limit_errors[first:], np.finfo(float).tiny)
            joint = f" with step 0 (from step {first})" if first else ""
            told = ", ".join(f"{x:.1f}" for x in ratio.min(axis=0))
            lines.append(f"  {variable}{joint}: {told}")
    return "\n".join([*lines, ""])


def _still(features: Features) -> str:
    """By which power of the width the change of features falls."""
    curves = features.measures["feature_change(h[l])"]
    if len(features.widths) < 2:
        return f"{features.parametrization}: feature change at width {features.widths[0]} only"
    log_n = np.log(np.array(features.widths, float))
    slopes = np.polyfit(log_n, np.log(curves.networks[:, -1]), 1)[0]
    told = ", ".join(f"n^{x:.2f}" for x in slopes)
    return f"{features.parametrization}: feature change of h goes like {told} in layers 1 to {len(slopes)}"


def _ending(ending: Ending) -> str:
    loss, error = float(ending.loss[-1]), float(ending.loss_errors[-1])
    return (
        f"{ending.program}: after {ending.steps[-1]} steps the loss is {compact(loss, error)}, "
        f"the largest error signal {ending.signal[-1]:.2g}"
    )


def _shape(histogram: Histogram) -> str:
    before, after = ([compact(float(s.kurtosis[k]), float(s.kurtosis_errors[k])) for s in (histogram.limit, histogram.networks)]
                     for k in (0, 1))  # fmt: skip
    return (
        f"{histogram.activation}: excess kurtosis of the last h {before[0]} before and {after[0]} after training; "
        f"networks of width {histogram.width}: {before[1]}, {after[1]}"
    )


__all__ = ["summary"]
