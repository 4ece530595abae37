"""Expectations over one or two Gaussian dimensions, by Gauss-Legendre panels cut where the integrand is not smooth.

The inner integral is cut at every feature (tpl/numeric/features.py) for every outer node at once, the outer one where
features meet or turn parallel to the inner axis. Around a steep slope the panels shrink geometrically to its width.
Kinks along curves are bracketed on every inner line.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from tpl.core.expr import Expr
from tpl.numeric.features import GROWTH, PANEL, Analysis, Analyst, Feature, bisect
from tpl.numeric.integrand import Integrand, values

PARALLEL = 1e-12
TURN_OF_PANEL = 12.0  # radians that a wave may turn over a panel
MOST_HALVINGS = 10  # of panels for fast waves; on a line only, where they are cheap
MAX_POINTS = 1 << 20  # evaluated at once


@lru_cache(maxsize=64)
def legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(nodes)


def graded(width: float) -> np.ndarray:
    """Offsets of cuts around a centre: 0, and ± width · GROWTH^k up to a panel's length."""
    if width >= PANEL:
        return np.zeros(1)
    count = int(np.ceil(np.log(PANEL / width) / np.log(GROWTH)))
    steps = width * GROWTH ** np.arange(count)
    return np.concatenate([-steps[::-1], [0.0], steps])


def panels(cuts: np.ndarray, nodes: int, level: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the standard normal law on [-reach, reach], cut at `cuts` [lines, k]: [lines, points]."""
    grid = np.linspace(-reach, reach, 1 + int(np.ceil(2 * reach / PANEL)))
    inside = np.clip(cuts, -reach, reach)
    edges = np.sort(np.concatenate([np.broadcast_to(grid, (len(cuts), len(grid))), inside], axis=1), axis=1)
    edges = edges[:, np.r_[True, np.any(np.diff(edges, axis=1) > 0, axis=0)]]
    start, length = edges[:, :-1, None], np.diff(edges, axis=1)[:, :, None]
    x, w = legendre(nodes)
    pieces = 1 << level
    unit = ((np.arange(pieces)[:, None] + (1 + x) / 2) / pieces).ravel()
    points = start + length * unit
    weights = length * np.tile(w / 2 / pieces, pieces) * np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi)
    return points.reshape(len(cuts), -1), weights.reshape(len(cuts), -1)


def integrate(
    expr: Expr, factor: np.ndarray, env: Mapping[str, float], known: Mapping[int, float], nodes: int = 16
) -> float:
    """E expr(factor @ z), z standard normal of at most two dimensions."""
    return expectation(Integrand(expr, factor, env, known), nodes)[0]


def expectation(integrand: Integrand, nodes: int, level: int = 0, reach: float = 9.5) -> tuple[float, float]:
    """E F and E |F| of an integrand of rank 0, 1 or 2. nodes: a panel; level: every panel is halved so often."""
    if integrand.rank == 0:
        value = float(integrand.at(np.zeros((0, 1)))[0])
        return value, abs(value)
    analysis = Analyst(integrand, reach).analyse()
    if integrand.rank == 1:
        turns = analysis.turn * PANEL / TURN_OF_PANEL
        level += min(int(np.ceil(np.log2(max(turns, 1.0)))), MOST_HALVINGS)
    outer, weights = np.zeros((0, 1)), np.ones((1, 1))
    if integrand.rank == 2:
        outer, weights = panels(outer_cuts(analysis.features)[None, :], nodes, level, reach)
    value, size = inner(integrand, analysis, outer, nodes, level, reach) @ weights[0]
    return float(value), float(size)


def inner(
    integrand: Integrand, analysis: Analysis, outer: np.ndarray, nodes: int, level: int, reach: float
) -> np.ndarray:
    """The integrals of F and |F| over the last dimension, for every column of `outer` [rank - 1, lines]: [2, lines]."""
    count = outer.shape[1]
    known = cuts_on_lines(analysis.features, outer)
    chunk = max(1, MAX_POINTS // ((known.shape[1] + 8) * nodes << level))
    parts = []
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        parts.append(_inner_chunk(integrand, analysis.curves, outer[:, part], known[part], nodes, level, reach))
    return np.concatenate(parts, axis=1)


def cuts_on_lines(features: list[Feature], outer: np.ndarray) -> np.ndarray:
    """Where features cross the inner lines, [lines, k], for every column of `outer` [rank - 1, lines]."""
    cuts = [np.zeros((outer.shape[1], 0))]
    for f in features:
        last = f.direction[-1]
        if abs(last) > PARALLEL:
            centre = (f.position - f.direction[:-1] @ outer) / last
            cuts.append(centre[:, None] + graded(f.width / abs(last)))
    return np.concatenate(cuts, axis=1)


def _inner_chunk(
    integrand: Integrand, curves: list[Expr], outer: np.ndarray, cuts: np.ndarray, nodes: int, level: int, reach: float
) -> np.ndarray:
    for argument in curves:
        cuts = np.concatenate([cuts, _curve_cuts(integrand, argument, outer, cuts, reach)], axis=1)
    inner, weights = panels(cuts, nodes, level, reach)
    z = np.concatenate([np.broadcast_to(outer[:, :, None], (*outer.shape, inner.shape[1])), inner[None]])
    at = integrand.at(z)
    return np.stack([np.einsum("ij,ij->i", at, weights), np.einsum("ij,ij->i", np.abs(at), weights)])


def _curve_cuts(integrand: Integrand, argument: Expr, outer: np.ndarray, cuts: np.ndarray, reach: float) -> np.ndarray:
    """The roots of an argument along every inner line, [lines, k]; lines with fewer roots are padded."""
    count = outer.shape[1]
    grid = np.broadcast_to(np.linspace(-reach, reach, 65), (count, 65))
    grid = np.sort(np.concatenate([grid, np.clip(cuts, -reach, reach)], axis=1), axis=1)

    def function(lines: np.ndarray, t: np.ndarray) -> np.ndarray:
        z = np.concatenate([outer[:, lines], t[None]])
        return values(argument, np.tensordot(integrand.factor, z, 1), integrand.env, integrand.known)

    everything = np.repeat(np.arange(count), grid.shape[1])
    at = np.sign(function(everything, grid.ravel())).reshape(grid.shape)
    line, place = np.nonzero(at[:, :-1] * at[:, 1:] < 0)
    roots = bisect(lambda t: function(line, t), grid[line, place], grid[line, place + 1], at[line, place])
    rank = np.arange(len(line)) - np.searchsorted(line, line)
    found = np.full((count, int(rank.max()) + 1 if len(rank) else 0), reach)
    found[line, rank] = roots
    return found


def outer_cuts(features: list[Feature]) -> np.ndarray:
    """Where a feature is parallel to the inner axis, enters the inner range, or meets another."""
    cuts = [np.zeros(0)]
    for i, f in enumerate(features):
        a, b = f.direction
        if abs(b) <= PARALLEL:
            cuts.append(f.position / a + graded(f.width))
            continue
        if abs(a) > PARALLEL:
            blur = 0.0 if f.kink else f.width / abs(a)
            cuts.append(f.position / a + graded(max(abs(b / a) / 2, blur, 1e-12)))
        for g in features[:i]:
            cuts.append(_crossing(f, g))
    return np.concatenate(cuts)


def _crossing(f: Feature, g: Feature) -> np.ndarray:
    """The outer positions to cut at where two features meet; steep ones blur the place."""
    determinant = f.direction[0] * g.direction[1] - f.direction[1] * g.direction[0]
    if abs(determinant) <= PARALLEL:
        return np.zeros(0)
    place = (f.position * g.direction[1] - f.direction[1] * g.position) / determinant
    steep = [h.width / abs(determinant) for h in (f, g) if h.width < PANEL]
    if f.kink and g.kink:
        return place + graded(max(min(steep, default=PANEL), 1e-12))
    width = max(steep)
    return place + graded(max(width, 1e-12)) if width < 1 else np.zeros(0)
