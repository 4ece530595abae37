"""Expectations over one Gaussian dimension, for many variances and constants at once.

E F(√v z), z standard normal, for an array of v: every row has its own Gauss-Legendre panels, cut at kinks and graded
around steep places. The precise scalar integrator of `quadrature` serves two dimensions; this one serves maps that are
evaluated on grids.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tpl.core.expr import Expr, leaves
from tpl.core.functions import FUNCTIONS
from tpl.numeric.features import GROWTH, PANEL, TURN
from tpl.numeric.integrand import values
from tpl.numeric.quadrature import panels

Floats = NDArray[np.float64]

CHUNK = 1 << 21  # points evaluated at once
ROW = 4000  # points of a row, roughly
SHARPEST = 30  # panels shrink to PANEL · GROWTH^-SHARPEST at most
BISECTIONS = 52
MOST_PERIODS = 200  # of a wave within reach: faster ones have no number here
_KINK, _STEEP, _WAVE = "kink", "steep", "wave"


@dataclass(frozen=True)
class Precision:
    """nodes: of a panel; reach: where the Gaussian law is cut off, in standard deviations."""

    nodes: int
    reach: float


FINE, COARSE = Precision(16, 9.5), Precision(12, 8.5)


def means(
    integrands: list[Expr],
    variance: Floats,
    env: Mapping[str, Floats],
    known: Mapping[int, Floats],
    precision: Precision = FINE,
    level: int = 0,
) -> Floats:
    """E F for every integrand F of √variance · z (all its references are one variable): [integrands, rows].

    variance, env and known: one number a row. level: every panel is halved so often. Rows whose variance is 0 are
    values at 0.
    """
    count = len(variance)
    found = np.empty((len(integrands), count))
    step = max(1, CHUNK // (ROW << level))
    for start in range(0, count, step):
        here = slice(start, start + step)
        local = {k: x[here, None] for k, x in env.items()}, {k: x[here, None] for k, x in known.items()}
        found[:, here] = _rows(integrands, np.sqrt(variance[here]), *local, precision, level)
    return found


def _rows(
    integrands: list[Expr],
    scale: Floats,
    env: Mapping[str, Floats],
    known: Mapping[int, Floats],
    precision: Precision,
    level: int,
) -> Floats:
    cuts = _cuts(integrands, scale, env, known, precision.reach)
    lost = np.any(np.isnan(cuts), axis=1, keepdims=True)
    z, weights = panels(np.nan_to_num(cuts), precision.nodes, level, precision.reach)
    weights = np.where(lost, np.nan, weights)
    points = _points(integrands, scale[:, None] * z)
    memo: dict[int, NDArray | float] = {}
    at = np.stack([values(f, points, env, known, memo) for f in integrands])
    with np.errstate(all="ignore"):
        return np.einsum("fij,ij->fi", at, weights)


def _points(integrands: list[Expr], u: Floats) -> Floats:
    """All references of an integrand are the same variable."""
    count = 1 + max((int(v) for f in integrands for v in leaves(f, "ref")), default=0)  # type: ignore[arg-type]
    return np.broadcast_to(u, (count, *u.shape))


# ---------------------------------------------------------------------------------------------- cuts


def _cuts(
    integrands: list[Expr], scale: Floats, env: Mapping[str, Floats], known: Mapping[int, Floats], reach: float
) -> Floats:
    """Where panels end, [rows, cuts]: kinks, and graded steps away from steep places."""
    rows = len(scale)
    found = [np.zeros((rows, 1))]
    steps = PANEL * GROWTH ** -np.arange(float(SHARPEST))
    ladder = np.concatenate([-steps, [0.0], steps[::-1]])
    inside = np.concatenate([ladder, np.linspace(-reach, reach, 127)])
    grid = np.broadcast_to(np.unique(inside), (rows, len(np.unique(inside))))
    for argument, kind in dict.fromkeys(_arguments(integrands)):

        def along(z: Floats, argument: Expr = argument) -> Floats:
            return values(argument, _points([argument], scale[:, None] * z), env, known)

        centres = np.zeros((rows, 1))
        if argument.op != "ref":
            zeros = _affine_root(along, rows)
            centres = np.concatenate([centres, _roots(along, grid) if zeros is None else zeros], axis=1)
        found.append(centres)
        if kind == _WAVE:
            found.append(_periods(along, rows, reach))
        elif kind != _KINK:
            found.append(_graded(along, centres, reach))
    return np.concatenate(found, axis=1)


def _arguments(integrands: list[Expr]) -> Iterator[tuple[Expr, str]]:
    """The arguments of all functions that are not polynomials, and what happens there."""
    stack, seen = list(integrands), set()
    while stack:
        node = stack.pop()
        if id(node) in seen or not leaves(node, "ref"):
            continue
        seen.add(id(node))
        stack.extend(node.args)
        if node.op in ("max", "min"):
            yield Expr("sub", node.args), _KINK
        elif node.op == "div" and leaves(node.args[1], "ref"):
            yield node.args[1], _STEEP
        elif node.op == "pow" and not node.args[1].is_value(2):
            yield node.args[0], _STEEP
        elif node.args and not FUNCTIONS[node.op].operator:
            yield node.args[0], _WAVE if node.op in ("sin", "cos") else _KINK if FUNCTIONS[node.op].kinks else _STEEP


def _affine_root(along, rows: int) -> Floats | None:  # type: ignore[no-untyped-def]
    """The root of a function that is affine in every row, [rows, 1]; None for others."""
    z = np.array([0.0, 1.0, -1.0, 3.0, -0.01])
    at = along(np.broadcast_to(z, (rows, len(z))))
    offset, slope = at[:, :1], at[:, 1:2] - at[:, :1]
    if not np.allclose(at, offset + slope * z, rtol=1e-12, atol=0) or np.any(slope == 0):
        return None
    return -offset / slope


def _roots(along, grid: Floats) -> Floats:  # type: ignore[no-untyped-def]
    """Where a function of [rows, points] changes sign, [rows, most roots]; rows with fewer are padded with 0."""
    at = np.where(along(grid) >= 0, 1.0, -1.0)  # a root on the grid counts once
    line, place = np.nonzero(at[:, :-1] * at[:, 1:] < 0)
    order = np.arange(len(line)) - np.searchsorted(line, line)
    most = int(order.max()) + 1 if len(order) else 0
    low, high = np.zeros((2, len(grid), most))
    low[line, order], high[line, order] = grid[line, place], grid[line, place + 1]
    sign = np.zeros((len(grid), most))
    sign[line, order] = at[line, place]
    for _ in range(BISECTIONS if most else 0):
        middle = (low + high) / 2
        left = np.where(along(middle) >= 0, 1.0, -1.0) == sign
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return (low + high) / 2


def _periods(along, rows: int, reach: float) -> Floats:  # type: ignore[no-untyped-def]
    """Equal panels, one a period of a wave; NaN in rows whose wave is too fast."""
    z = np.linspace(-reach, reach, 257)
    steps = np.abs(np.diff(along(np.broadcast_to(z, (rows, len(z)))), axis=1)).max(axis=1)
    periods = steps * len(z) / (2 * np.pi)
    slow = periods <= MOST_PERIODS
    count = 2 + int(periods[slow].max(initial=0.0))
    return np.where(slow[:, None], np.linspace(-reach, reach, count), np.nan)


def _graded(along, centres: Floats, reach: float) -> Floats:  # type: ignore[no-untyped-def]
    """Cuts around centres [rows, k], from the distance within which the argument moves by TURN up to a panel."""
    rows, count = centres.shape
    steps = PANEL * GROWTH ** -np.arange(float(SHARPEST))
    shifts = np.concatenate([[0.0], steps, -steps])
    at = along((centres[:, :, None] + shifts).reshape(rows, -1)).reshape(rows, count, -1)
    with np.errstate(all="ignore"):
        moved = np.abs(at[:, :, 1:] - at[:, :, :1]).reshape(rows, count, 2, -1).max(axis=2)
    near = np.cumprod((moved <= TURN)[:, :, ::-1], axis=2)[:, :, ::-1] > 0  # this step and all smaller ones
    kept = np.where(near, np.inf, steps)  # steps wider than the steep place, and the next one
    kept[:, :, 1:] = np.where(near[:, :, 1:] & ~near[:, :, :-1], steps[1:], kept[:, :, 1:])
    offsets = np.concatenate([-kept, kept], axis=2)
    cuts = centres[:, :, None] + offsets
    cuts = np.where(np.isfinite(cuts), cuts, reach).reshape(rows, -1)
    used = ~np.all(cuts == reach, axis=0)
    return cuts[:, used]


__all__ = ["COARSE", "FINE", "Precision", "means"]
