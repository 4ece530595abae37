"""Expectations of functions with kinks or steep slopes for many inputs and pairs, by Gauss-Legendre panels cut there.

Hermite coefficients of such functions fall off like a power of k, so a series serves pairs whose |ρ| is not near 1. For
the others let (x, ±y) = a s ± b d with a² = (1 + |ρ|)/2, b² = (1 - |ρ|)/2 and s, d independent standard normals. Over
s the integrand is cut where φ or ψ is not smooth; over d, where two such places meet. As b is small, what is left to
integrate over d is smooth between those. Nothing cancels as |ρ| tends to 1, and b = 0 is an ordinary case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tpl.core.expr import Expr, within
from tpl.core.functions import FUNCTIONS
from tpl.numeric.features import GROWTH, PANEL, Analyst, arguments
from tpl.numeric.hermite import hermite_functions
from tpl.numeric.integrand import Integrand, values
from tpl.numeric.quadrature import graded, legendre

GROUP = 16.0  # variances within this factor share an analysis
ROUNDED = 1e-11  # positions of kinks are, by less
FAR = 1e6  # a place that is nowhere
REACH = 13.0  # of coefficients; their functions fall off like exp(-z²/4)
PIECE = 0.75  # a panel's greatest length there: h_k turns by √k a standard deviation
MAX_POINTS = 1 << 19  # evaluated at once
MAX_TABLE = 1 << 20  # numbers of a table at once
OUTER_PANEL = 4.25


@dataclass(frozen=True)
class Rule:
    """How a pair is integrated: nodes of a panel over s and over d, and where both are cut off."""

    inner: int
    outer: int
    reach: float


FINE, COARSE = Rule(14, 13, 8.2), Rule(11, 11, 7.6)


@dataclass(frozen=True)
class Places:
    """Where a function of Gaussians of N variances is not smooth, in standard deviations.

    cuts: edges of panels, [N, c]. centres: kinks and steep slopes, [N, m]; widths: over which they are steep. Rows are
    padded with FAR.
    """

    cuts: np.ndarray
    centres: np.ndarray
    widths: np.ndarray
    kinks: np.ndarray

    def at(self, rows: np.ndarray) -> "Places":
        return Places(*(x[rows] for x in (self.cuts, self.centres, self.widths, self.kinks)))


class Smoothness:
    """The places of one function; they are looked for once for all variances within a factor."""

    def __init__(self, function: Expr, env: Mapping[str, float]):
        self.function = function
        self.env = env
        self._arguments = [argument for argument, kink, _ in arguments(within(function)) if kink]
        self._known: dict[float, tuple[np.ndarray, ...]] = {}

    def places(self, q: np.ndarray) -> Places:
        """Of variances q, [N]."""
        groups = np.ceil(np.log(np.where(q > 0, q, 1.0)) / np.log(GROUP))
        found = [self._of_group(g) for g in np.unique(groups[q > 0])]
        sizes = [max((len(f[k]) for f in found), default=0) for k in range(4)]
        arrays = [np.full((len(q), size), FAR) for size in sizes]
        for group, parts in zip(np.unique(groups[q > 0]), found, strict=True):
            rows = np.flatnonzero((groups == group) & (q > 0))
            scale = np.sqrt(GROUP**group / q[rows])[:, None]
            for array, part in zip(arrays[:3], parts[:3], strict=True):
                array[rows, : len(part)] = scale * part
            arrays[3][rows, : len(parts[3])] = parts[3]
        return Places(arrays[0], arrays[1], arrays[2], arrays[3] == 1.0)

    def _vanishes(self, z: float, scale: float) -> bool:
        """Does an argument that makes a kink vanish at scale · z? (Where a part of it does, there need not be one.)"""
        around = scale * (z + ROUNDED * np.array([-1.0, 0.0, 1.0]))
        for argument in self._arguments:
            at = values(argument, around[None], self.env, {})
            if at.min() <= 0 <= at.max() or abs(at[1]) <= ROUNDED:
                return True
        return False

    def _of_group(self, group: float) -> tuple[np.ndarray, ...]:
        """Cuts, centres, widths, and 1 for kinks, at the group's greatest variance."""
        if group not in self._known:
            scale = float(GROUP ** (group / 2))
            integrand = Integrand(self.function, np.array([[scale]]), self.env, {})
            found = [(f, f.position / float(f.direction[0])) for f in Analyst(integrand, REACH).analyse().features]
            kinks = [f.kink and self._vanishes(z, scale) for f, z in found]
            signed = [(z, f.width, float(kink)) for (f, z), kink in zip(found, kinks, strict=True)
                      if kink or f.width < PANEL]  # fmt: skip
            cuts = [centre + graded(width) for centre, width, _ in signed]
            columns = np.array(signed).reshape(-1, 3).T
            self._known[group] = (np.concatenate([np.zeros(0), *cuts]), *columns)
        return self._known[group]


def has_kinks(function: Expr) -> bool:
    """Does an expression hold a function that is not smooth?"""
    stack = [function]
    while stack:
        node = stack.pop()
        if node.op in ("max", "min") or (node.op in FUNCTIONS and FUNCTIONS[node.op].kinks):
            return True
        stack.extend(node.args)
    return False


def pieces(cuts: np.ndarray, reach: float, longest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The panels of [-reach, reach] on many lines, cut at `cuts` [lines, k]: line, start and length of each."""
    grid = np.linspace(-reach, reach, 1 + int(np.ceil(2 * reach / longest)))
    whole = np.broadcast_to(grid, (len(cuts), len(grid)))
    edges = np.sort(np.concatenate([whole, np.clip(cuts, -reach, reach)], axis=1), axis=1)
    length = np.diff(edges, axis=1)
    line, place = np.nonzero(length > 0)
    return line, edges[line, place], length[line, place]


def nodes_of(start: np.ndarray, length: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the standard normal law on panels, [panels, nodes]."""
    x, w = legendre(nodes)
    points = start[:, None] + length[:, None] * ((1 + x) / 2)
    return points, length[:, None] * (w / 2) * np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi)


# ---------------------------------------------------------------------------------------------- one input


@lru_cache(maxsize=4)
def _table(terms: int, nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Starts of the panels that all inputs share, their points, weights, and the weighted h_k, [points, terms]."""
    _, start, length = pieces(np.zeros((1, 0)), REACH, PIECE)
    points, weights = (x.ravel() for x in nodes_of(start, length, nodes))
    columns = hermite_functions(points, terms) * (weights * np.exp(points**2 / 4))
    return start, points, weights, np.ascontiguousarray(columns.T)


def panel_coefficients(
    smoothness: Smoothness, q: np.ndarray, terms: int, nodes: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """a_k(q) = E φ(√q z) h_k(z), [N, terms], and E φ², [N].

    Panels without a cut are those of all inputs: there it is a product of matrices.
    """
    starts, points, weights, columns = _table(terms, nodes)
    line, start, length = pieces(smoothness.places(q).cuts, REACH, PIECE)
    panel = np.searchsorted(starts, start + length / 2) - 1
    whole = length > (starts[1] - starts[0]) * (1 - 1e-13)
    held = np.zeros((len(q), len(starts)))
    held[line[whole], panel[whole]] = 1.0
    roots = np.sqrt(q)
    at = values(smoothness.function, (roots[:, None] * points)[None], smoothness.env, {})
    at = np.where(np.repeat(held, nodes, axis=1) > 0, at, 0.0)
    found, energy = at @ columns, at**2 @ weights
    line, start, length = line[~whole], start[~whole], length[~whole]
    chunk = max(1, MAX_TABLE // (terms * nodes))
    for first in range(0, len(line), chunk):
        part = slice(first, first + chunk)
        z, w = nodes_of(start[part], length[part], nodes)
        at = values(smoothness.function, (roots[line[part], None] * z)[None], smoothness.env, {})
        table = hermite_functions(z.ravel(), terms).reshape(terms, *z.shape)
        np.add.at(found, line[part], np.einsum("kij,ij->ik", table, at * w * np.exp(z**2 / 4)))
        np.add.at(energy, line[part], np.einsum("ij,ij,ij->i", at, at, w))
    return found, energy


# ---------------------------------------------------------------------------------------------- one pair


@dataclass(frozen=True)
class Side:
    """One function at one variance a pair: √q [P] and its places."""

    smoothness: Smoothness
    roots: np.ndarray
    places: Places

    def at(self, rows: np.ndarray) -> "Side":
        return Side(self.smoothness, self.roots[rows], self.places.at(rows))

    def values(self, pair: np.ndarray, x: np.ndarray) -> np.ndarray:
        return values(self.smoothness.function, (self.roots[pair, None] * x)[None], self.smoothness.env, {})


def side(smoothness: Smoothness, q: np.ndarray) -> Side:
    """For variances q, [P]."""
    distinct, back = np.unique(q, return_inverse=True)
    return Side(smoothness, np.sqrt(q), smoothness.places(distinct).at(back.ravel()))


def near_pairs(
    first: Side, second: Side, delta: np.ndarray, sign: np.ndarray, rule: Rule, ratio: np.ndarray | None = None
) -> np.ndarray:
    """E φ(u) ψ(v) of P pairs, u = √q x, v = √q' y, correlation sign · (1 - delta): [2, P].

    The second row is E (r φ(u) - sign ψ(v) / r)² / 2 with r² = `ratio`: √(E φ² E ψ²) - sign E φψ without cancellation,
    if ratio = √(E ψ² / E φ²). 0 without one.
    """
    chunk = max(1, MAX_POINTS // _points_of_pair(first, second, rule))
    found = np.zeros((2, len(delta)))
    for start in range(0, len(delta), chunk):
        rows = np.arange(start, min(start + chunk, len(delta)))
        part = None if ratio is None else ratio[rows]
        found[:, rows] = _near(first.at(rows), second.at(rows), delta[rows], sign[rows], rule, part)
    return found


def _points_of_pair(first: Side, second: Side, rule: Rule) -> int:
    panels = 2 * rule.reach / PANEL + first.places.cuts.shape[1] + second.places.cuts.shape[1]
    return int((2 * rule.reach / OUTER_PANEL + 2) * rule.outer * (panels + 1) * rule.inner)


def _near(
    first: Side, second: Side, delta: np.ndarray, sign: np.ndarray, rule: Rule, ratio: np.ndarray | None
) -> np.ndarray:
    a, b = np.sqrt(1 - delta / 2), np.sqrt(delta / 2)
    pair, start, length = pieces(_meetings(first.places, second.places, sign, b), rule.reach, OUTER_PANEL)
    d, outer = nodes_of(start, length, rule.outer)
    of_line, d, outer = np.repeat(pair, rule.outer), d.ravel(), outer.ravel()
    across = (b[of_line] * d)[:, None]
    cuts = np.concatenate(
        [first.places.cuts[of_line] - across, sign[of_line, None] * second.places.cuts[of_line] + across], axis=1
    )
    line, start, length = pieces(cuts / a[of_line, None], rule.reach, PANEL)
    s, inner = nodes_of(start, length, rule.inner)
    of_panel = of_line[line]
    along, across = a[of_panel, None] * s, across[line]
    left = first.values(of_panel, along + across)
    right = second.values(of_panel, sign[of_panel, None] * (along - across))
    found = np.zeros((2, len(delta)))
    found[0] = np.bincount(of_panel, np.einsum("ij,ij,ij->i", left, right, inner) * outer[line], len(delta))
    if ratio is not None:
        r = np.sqrt(ratio)[of_panel, None]
        gap = r * left - sign[of_panel, None] * right / r
        found[1] = np.bincount(of_panel, np.einsum("ij,ij,ij->i", gap, gap, inner) * outer[line], len(delta)) / 2
    return found


def _meetings(first: Places, second: Places, sign: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The d at which places of both functions meet, with cuts around those where one is steep, [P, k]."""
    count = len(b)
    shape = (count, first.centres.shape[1], second.centres.shape[1])
    gap = first.centres[:, :, None] - sign[:, None, None] * second.centres[:, None, :]
    real = (first.centres[:, :, None] < FAR) & (second.centres[:, None, :] < FAR)
    both = first.kinks[:, :, None] & second.kinks[:, None, :]
    x, y = (w.widths for w in (first, second))
    x, y = np.broadcast_to(x[:, :, None], shape), np.broadcast_to(y[:, None, :], shape)
    width = np.where(both, np.minimum(x, y), np.maximum(x, y))
    with np.errstate(all="ignore"):
        place = np.where(real, gap / (2 * b[:, None, None]), FAR)
        width = np.where(real, width / (2 * b[:, None, None]), FAR)
    place, width = (np.nan_to_num(v, nan=FAR, posinf=FAR, neginf=-FAR).reshape(count, -1) for v in (place, width))
    steep = width < PANEL
    if not np.any(steep):
        return place
    steps = int(np.ceil(np.log(PANEL / width[steep].min()) / np.log(GROWTH)))
    offsets = np.where(steep, width, FAR)[:, :, None] * GROWTH ** np.arange(steps)
    around = [place[:, :, None] + k * offsets for k in (-1, 1)]
    return np.concatenate([place, *(v.reshape(count, -1) for v in around)], axis=1)
