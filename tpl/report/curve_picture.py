"""Small plots: networks of growing width running into the limit, and what training does step by step."""

import math
import re
from collections.abc import Sequence

import numpy as np

from tpl.report.along import step_lines
from tpl.report.axes import band_of
from tpl.report.layout import Floats, compact
from tpl.report.results import Result, Verification
from tpl.report.svg import Picture, path, shortened, text, words
from tpl.report.svg_axes import Frame, band, draw_axes, error_bar, frame, marker

WIDTH, HEIGHT = 348.0, 236.0
MOST_PANELS = 6  # of values against width
ROUNDING = 1e-6  # of a typical value: what is smaller is zero but for rounding
MOST_LINES = 6  # in a plot along training
LOGARITHMIC = 30.0  # largest over smallest value from which an axis of positive numbers is logarithmic


_PLACE = re.compile(r"(\[\d[\d, ]*\])?( at step \d+)?$")  # of a number in its show


# ---------------------------------------------------------------------------------------------- against width


def draw_convergence(verification: Verification, most: int = MOST_PANELS) -> list[Picture]:
    """The most telling values of networks against their width, one plot each; then all deviations together."""
    rate = _rate(verification)
    return [_value(verification, i) for i in telling(verification, most)] + ([rate] if rate is not None else [])


def telling(verification: Verification, most: int) -> list[int]:
    """The values to draw: what disagrees, then the most telling one of every show, then others.

    What is nothing but rounding beside the other values is left out, unless it disagrees.
    """
    from tpl.report.plots import chosen_values

    found = verification.agreement
    ranked = chosen_values(found, len(found.limit))
    sizes = np.maximum(np.abs(found.limit), np.abs(found.means).max(axis=0))
    floor = ROUNDING * max((float(np.median(sizes[ranked])) if ranked else 0.0), np.finfo(float).tiny)
    failing = [i for i in ranked if not found.ok[i]]
    seen = [i for i in ranked if found.ok[i] and sizes[i] > floor]
    shows = [_PLACE.sub("", verification.names[i]) for i in seen]
    first = [i for k, i in enumerate(seen) if shows[k] not in shows[:k]]
    return list(dict.fromkeys([*failing, *first, *seen]))[:most]


def _value(verification: Verification, i: int) -> Picture:
    found, name = verification.agreement, verification.names[i]
    widths, end = _places(found.widths)
    limit, unsure = float(found.limit[i]), float(found.limit_error[i])
    last, last_error = float(found.extrapolated[i]), float(found.extrapolated_error[i])
    means, errors = found.means[:, i], found.errors[:, i]
    heights = [
        limit - 2 * unsure,
        limit + 2 * unsure,
        *(means - errors),
        *(means + errors),
        last - last_error,
        last + last_error,
    ]
    on = frame(WIDTH, HEIGHT, [widths[0], end], heights, log_x=True)
    colour = 0 if found.ok[i] else 1
    marks = [(x, str(n)) for x, n in zip(widths, found.widths, strict=True)]
    parts = [draw_axes(on, shortened(name, 42), "width n", [*_thinned(marks), (end, "∞")])]
    low, high = on.across.low, on.across.high
    parts.append(band(on, [low, high], [limit - 2 * unsure] * 2, [limit + 2 * unsure] * 2, "f2"))
    parts.append(path([on.point(low, limit), on.point(high, limit)], "limit"))
    parts.append(_fit(on, found.coefficients[i], float(found.exponents[i]), widths, end))
    for x, mean, error in zip(widths, means, errors, strict=True):
        title = f"n = {x:.0f}: {words(compact(float(mean), float(error)))}"
        parts += [error_bar(on, x, float(mean), float(error), f"s{colour}"),
                  marker(*on.point(x, float(mean)), 0, f"f{colour} s{colour}", title)]  # fmt: skip
    title = f"extrapolated: {words(compact(last, last_error))}; limit {words(compact(limit, unsure))}"
    parts += [error_bar(on, end, last, last_error, f"s{colour}"),
              marker(*on.point(end, last), 0, f"hollow s{colour}", title)]  # fmt: skip
    verdict = "agrees with" if found.ok[i] else "disagrees with"
    label = f"{name} of networks of width {found.widths[0]} to {found.widths[-1]} {verdict} the limit {compact(limit, unsure)}"
    return Picture("".join(parts), WIDTH, HEIGHT, label)


def _places(widths: Sequence[int]) -> tuple[list[float], float]:
    """The widths, and the place of infinity on a logarithmic axis."""
    return [float(n) for n in widths], widths[-1] * max((widths[-1] / widths[0]) ** 0.25, 1.5)


def _thinned(marks: list[tuple[float, str]], most: int = 6) -> list[tuple[float, str]]:
    return marks[:: -(-len(marks) // most)]


def _fit(on: Frame, coefficients: Floats, exponent: float, widths: Sequence[float], end: float) -> str:
    """The fitted powers of n^-exponent up to the widest network, and from there, evenly in 1/n, to infinity."""

    def at(inverse: float) -> float:
        value = sum(float(c) * inverse ** (exponent * k) for k, c in enumerate(coefficients))
        return min(max(value, on.up.low), on.up.high)

    within = np.geomspace(widths[0], widths[-1], 40)
    beyond = zip(np.geomspace(widths[-1], end, 12), np.linspace(1 / widths[-1], 0, 12), strict=True)
    inside = [on.point(float(n), at(1 / float(n))) for n in within]
    outside = [on.point(float(x), at(float(inverse))) for x, inverse in beyond]
    return path(inside, "line s0") + path(outside, "line s0' stroke-dasharray='2 4")


def _rate(verification: Verification) -> Picture | None:
    """RMS deviation against width, both logarithmic, with the fitted power and n^-1/2."""
    found = verification.agreement
    kept = found.deviations > 0
    if found.rate is None or kept.sum() < 2:
        return None
    widths, values = np.array(found.widths, float)[kept], found.deviations[kept]
    errors = np.minimum(found.deviation_errors[kept], 0.9 * values)
    on = frame(WIDTH, HEIGHT, list(widths), [*(values - errors), *(values + errors)], True, True)
    marks = [(float(n), f"{n:.0f}") for n in widths]
    slope, error, intercept = found.rate
    parts = [draw_axes(on, "RMS deviation from the limit", "width n", _thinned(marks))]
    centre = math.exp(float(np.log(widths).mean()))
    height = math.exp(intercept) * centre**slope

    def line(power: float, classes: str) -> str:
        ends = [(float(n), height * (float(n) / centre) ** power) for n in (widths[0], widths[-1])]
        return path([on.point(x, min(max(y, on.up.low), on.up.high)) for x, y in ends], classes)

    parts += [line(-0.5, "axis' stroke-dasharray='5 4"), line(slope, "line s1")]
    for n, y, e in zip(widths, values, errors, strict=True):
        title = f"n = {n:.0f}: {words(compact(float(y), float(e)))}"
        parts += [
            error_bar(on, float(n), float(y), float(e), "s0"),
            marker(*on.point(float(n), float(y)), 0, "f0 s0", title),
        ]
    parts.append(text(WIDTH - 16, 48, f"fitted: n^{compact(slope, error)}", "", "end"))
    parts.append(text(WIDTH - 16, 64, "dashed: n^−0.5", "soft", "end"))
    label = (
        f"Deviations of networks from the limit fall as n to the power {compact(slope, error)}; fluctuations give -0.5"
    )
    return Picture("".join(parts), WIDTH, HEIGHT, label)


# ---------------------------------------------------------------------------------------------- along training


def draw_courses(results: Sequence[Result]) -> list[Picture]:
    """What is shown along training, one plot a result."""
    return [_course(x) for x in results if len(x.steps) > 1 and x.value.size]


def _course(result: Result) -> Picture:
    value, error, what, names = step_lines(result)
    lines = min(value.shape[1], MOST_LINES)
    value, error = value[:, :lines], error[:, :lines]
    bottom, top = band_of(result.name, value, error)
    seen = np.abs(value) > 2 * error  # the rest cannot be told from zero
    positive = value[seen]
    log = bool(positive.size and positive.min() > 0 and positive.max() / positive.min() > LOGARITHMIC)
    steps = [float(x) for x in result.steps]
    if log:
        low, high = float(positive.min()) / 1.5, float(positive.max())
        heights = [low, high]
    else:
        heights = [float(x) for x in (*bottom.ravel(), *top.ravel())]
    on = frame(WIDTH, HEIGHT, steps, heights, log_y=log)
    more = f", first {lines}" if lines < len(names) else ""
    parts = [draw_axes(on, shortened(f"{result.name}{what}{more}", 46), "step")]
    for j in range(lines):
        shown = [k for k in range(len(steps)) if not log or seen[k, j]]
        if not shown:
            continue
        xs = [steps[k] for k in shown]
        ys, es = value[shown, j], error[shown, j]
        parts.append(band(on, xs, list(bottom[shown, j]), list(top[shown, j]), f"f{j}"))
        parts.append(path([on.point(x, float(y)) for x, y in zip(xs, ys, strict=True)], f"line s{j}"))
        every = sorted({0, len(shown) // 2, len(shown) - 1})
        for k in every:
            title = (
                f"{'' if lines == 1 else f'{names[j]}, '}step {xs[k]:.0f}: {words(compact(float(ys[k]), float(es[k])))}"
            )
            parts.append(marker(*on.point(xs[k], float(ys[k])), j, f"f{j} s{j}", title))
    if lines > 1:
        parts += [_key(j, x, max(map(len, names[:lines]))) for j, x in enumerate(names[:lines])]
    ends = "; ".join(
        f"{compact(float(value[0, j]), float(error[0, j]))} to {compact(float(value[-1, j]), float(error[-1, j]))}"
        for j in range(lines)
    )
    label = f"{result.name}{what} from step {result.steps[0]} to step {result.steps[-1]}: {ends}"
    return Picture("".join(parts), WIDTH, HEIGHT, label)


def _key(j: int, name: str, longest: int) -> str:
    """One line's mark and name, below the plot."""
    apart = min(22 + 7 * longest, (WIDTH - 18) / MOST_LINES)
    x = 18 + apart * j
    return marker(x, HEIGHT - 8, j, f"f{j} s{j}") + text(
        x + 8, HEIGHT - 4, shortened(name, int((apart - 16) / 6)), "soft"
    )
