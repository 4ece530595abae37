"""Hermite series as operations on whole arrays: coefficients once an input, a polynomial in ρ for every pair.

E φ(u) ψ(v) = Σ_k a_k(q) b_k(q') ρ^k with a_k(q) = E φ(√q z) h_k(z), h_k = He_k/√k! (Mehler's formula). The integrals are
sums on equal steps, whose error falls geometrically for analytic φ (Trefethen and Weideman, SIAM Review 56, 2014); the
step is halved until two grids agree. Coefficients are smooth in q: for many inputs they are interpolated. Where there are
kinks or steep slopes, the integrals are over panels, and so are pairs for which too much is left out
(`pairwise_panels`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from tpl.core.expr import Expr
from tpl.numeric.integrand import values
from tpl.numeric.pairwise_graph import ArrayOp
from tpl.numeric.pairwise_panels import COARSE, FINE, Rule, Smoothness, has_kinks, near_pairs, panel_coefficients, side

TERMS = (64, 256, 512)  # of smooth functions; those that take more are integrated over panels
REACH = 13.0  # where the Gaussian law is cut off
LEVELS = 10  # the step is halved so often
AGREEMENT = 2e-14  # of two grids, relative to √E φ²
NEGLIGIBLE = 1e-9  # √Σ of the squares of coefficients left out, relative to √E φ²; two of them meet
FLOOR = 2e-15  # rounding of E φ² - Σ a_k², relative to E φ²
REMAINDER = 1e-13  # of one pair, relative; where more may be left out, the pair is integrated
HUGE = 1e100
PANEL_TERMS = 512  # of functions with kinks; pairs up to |ρ| = 0.96 need no more
PANEL_NODES, COARSE_NODES = 16, 12
NODES = (16, 32, 64, 128)  # of interpolation in log q
INTERPOLATED = 1e-14  # its error at inputs that are no nodes, relative
REMEMBERED = 8  # sets of inputs, of one function
COARSER = 4 / 5  # of the terms, to see what the others are worth
DROPPED = 1e-17  # remainders of single pairs below this are left out


class SeriesFailed(ArithmeticError):
    """Two grids do not agree: the function is not smooth, too steep, or grows too fast."""


@dataclass(frozen=True)
class Coefficients:
    """values: a_k, [N, k], k = first, first + stride, … tail: a bound on √Σ of the squares left out over √E φ², [N].

    variance: q, [N]. norm: √E φ², 1 where that is 0, [N].
    """

    values: np.ndarray
    first: int
    stride: int
    tail: np.ndarray
    variance: np.ndarray
    norm: np.ndarray

    def part(self, rows: slice) -> "Coefficients":
        arrays = {name: getattr(self, name)[rows] for name in ("values", "tail", "variance", "norm")}
        return replace(self, **arrays)

    def cut(self, kept: int) -> "Coefficients":
        """The first `kept` values alone."""
        lost = np.sum(self.values[:, kept:] ** 2, axis=1)
        return replace(self, values=self.values[:, :kept], tail=np.sqrt(self.tail**2 + lost / self.norm**2))


def coefficients_op(function: Expr, env: Mapping[str, float]) -> ArrayOp:
    last: dict[bytes, Coefficients] = {}
    coarser: dict[bytes, Coefficients] = {}
    table = _Integrals(function, env)

    def remembered(known: dict[bytes, Coefficients], q: np.ndarray, nodes: int) -> Coefficients:
        q = np.ascontiguousarray(np.atleast_1d(q), dtype=float)
        key = q.tobytes()
        found = known.get(key)
        if found is None:
            found = find_coefficients(table, q, nodes)
            if len(known) == REMEMBERED:
                known.clear()
            known[key] = found
        return found

    def find(q: np.ndarray) -> Coefficients:
        return remembered(last, q, PANEL_NODES)

    def find_coarse(q: np.ndarray) -> Coefficients:
        found = remembered(coarser, q, COARSE_NODES) if table.panels else find(q)
        kept = int(np.ceil(found.values.shape[1] * COARSER))
        return found.cut(kept)

    return ArrayOp("Hermite coefficients", find, find_coarse)


def mean_op(function: Expr, env: Mapping[str, float]) -> ArrayOp:
    """E φ(u), [N]."""
    table = _Integrals(function, env)

    def mean(q: np.ndarray, nodes: int = PANEL_NODES) -> np.ndarray:
        return _over_variances(lambda x: table(x, 1, nodes)[0], np.atleast_1d(q))[:, 0]

    return ArrayOp("mean", mean, lambda q: mean(q, COARSE_NODES))


class _Integrals:
    """Coefficients and E φ² of one function: on equal steps if it is smooth, else over panels."""

    def __init__(self, function: Expr, env: Mapping[str, float]):
        self.function = function
        self.env = env
        self.smoothness = Smoothness(function, env)
        self.panels = has_kinks(function)

    def __call__(self, q: np.ndarray, terms: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
        """[N, terms] and [N]. Raises SeriesFailed where they are not finite."""
        if not self.panels:
            try:
                return _integrals(self.function, q, self.env, terms)
            except SeriesFailed:
                self.panels = True
        found, energy = panel_coefficients(self.smoothness, q, terms, nodes)
        if not np.all(np.isfinite(energy)):
            raise SeriesFailed("an expectation whose integral does not converge")
        return found, energy


def find_coefficients(table: _Integrals, q: np.ndarray, nodes: int = PANEL_NODES) -> Coefficients:
    """As many coefficients as it takes, PANEL_TERMS at most of functions that are not smooth."""
    terms = _enough_terms(table, q)

    def both(x: np.ndarray) -> np.ndarray:
        return np.column_stack(table(x, terms, nodes))

    whole = _over_variances(both, q)
    found, energy = whole[:, :-1], np.maximum(whole[:, -1], 0.0)
    norm, relative, left = _decay(found, energy)
    kept = max(2, int(np.sum(left > NEGLIGIBLE)))
    found, relative = found[:, :kept], relative[:kept]
    lost = np.maximum(energy - np.sum(found**2, axis=1), 0.0) + FLOOR * energy
    tail = np.sqrt(lost) / norm
    even, odd = (np.max(relative[k::2], initial=0.0) for k in (0, 1))
    first, stride = (1, 2) if even < FLOOR else (0, 2) if odd < FLOOR else (0, 1)
    return Coefficients(np.ascontiguousarray(found[:, first::stride]), first, stride, tail, q, norm)


def _enough_terms(table: _Integrals, q: np.ndarray) -> int:
    """Steeper functions take more: the greatest variance decides."""
    for terms in TERMS:
        if table.panels:
            return PANEL_TERMS
        left = _decay(*table(np.array([q.max()]), terms, PANEL_NODES))[2]
        if left[3 * terms // 4] <= NEGLIGIBLE:
            return terms
    table.panels = True
    return PANEL_TERMS


def _decay(found: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """√E φ² [N]; relative to it, the greatest |a_k| over inputs, and √Σ of their squares from k on, [terms]."""
    norm = np.sqrt(np.where(energy > 0, energy, 1.0))
    relative = np.max(np.abs(found) / norm[:, None], axis=0)
    return norm, relative, np.sqrt(np.cumsum(relative[::-1] ** 2)[::-1])


# ---------------------------------------------------------------------------------------------- integrals


@lru_cache(maxsize=40)
def _rule(terms: int, level: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points z, weights for the coefficients [points, terms], and for E φ²."""
    step = 2 * np.pi / (np.sqrt(terms) + 16 * 2**level)
    count = int(REACH / step) + 1
    z = step * np.arange(-count, count + 1)
    bell = np.exp(-(z**2) / 4)
    columns = np.empty((terms, len(z)))
    columns[0] = bell  # h_k(z) exp(-z²/4), which never exceeds 1 (Indritz, Proc. AMS 12, 1961)
    if terms > 1:
        columns[1] = z * bell
    for k in range(1, terms - 1):
        columns[k + 1] = (z * columns[k] - np.sqrt(k) * columns[k - 1]) / np.sqrt(k + 1)
    scale = step / np.sqrt(2 * np.pi)
    return z, (columns * (scale * bell)).T.copy(), scale * bell**2


def _integrals(function: Expr, q: np.ndarray, env: Mapping[str, float], terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [N, terms] and E φ² [N]. Raises SeriesFailed where grids do not agree."""
    roots = np.sqrt(q)
    last: np.ndarray | None = None
    for level in range(LEVELS):
        z, weights, plain = _rule(terms, level)
        with np.errstate(all="ignore"):
            at = values(function, (roots[:, None] * z)[None], env, {})
            found, energy = at @ weights, at**2 @ plain
        if not np.all(np.isfinite(energy)):
            break
        size = np.sqrt(energy)
        if last is not None and np.all(np.linalg.norm(found - last, axis=1) <= AGREEMENT * size):
            return found, energy
        last = found
    raise SeriesFailed("an expectation whose integral does not converge: a kink, too steep, or growing too fast")


def _over_variances(function: Callable[[np.ndarray], np.ndarray], q: np.ndarray) -> np.ndarray:
    """A function of the variance, rows for q [N], at every one of them or by interpolation in log q."""
    distinct, back = np.unique(q, return_inverse=True)
    positive = distinct[distinct > 0]
    if len(positive) > 2 * NODES[0]:
        found = _interpolated(function, positive)
        if found is not None:
            rows = np.concatenate([function(distinct[:1]), found]) if len(positive) < len(distinct) else found
            return rows[back]
    return function(distinct)[back]


def _interpolated(function: Callable[[np.ndarray], np.ndarray], q: np.ndarray) -> np.ndarray | None:
    """By Chebyshev interpolation, checked at inputs between; None if that takes too many nodes."""
    x = np.log(q)
    centre, half = (x[-1] + x[0]) / 2, max((x[-1] - x[0]) / 2, 1e-8)
    tried = np.linspace(0, len(q) - 1, 5).astype(int)
    exact: np.ndarray | None = None
    for count in (n for n in NODES if 2 * n < len(q)):
        angles = np.pi * (np.arange(count) + 0.5) / count
        nodes = centre + half * np.cos(angles)
        table = function(np.exp(nodes))
        weights = np.sin(angles) * (-1.0) ** np.arange(count)  # the barycentric formula (Berrut and Trefethen 2004)
        gap = x[:, None] - nodes
        hit = gap == 0
        with np.errstate(all="ignore"):
            shares = weights / gap
            shares /= shares.sum(axis=1, keepdims=True)
        shares[hit.any(axis=1)] = hit[hit.any(axis=1)]
        found = shares @ table
        exact = function(q[tried]) if exact is None else exact
        if np.max(np.abs(found[tried] - exact)) <= INTERPOLATED * max(np.max(np.abs(exact)), 1e-300):
            return found
    return None


# ---------------------------------------------------------------------------------------------- pairs


def series_op(left: Expr, right: Expr, env: Mapping[str, float]) -> ArrayOp:
    """Σ a_k b_k ρ^k for coefficients a, b and ρ: [N] for numbers of one input, [N, M] for pairs.

    A further argument is 1 - |ρ|, free of cancellation, which functions with kinks need near |ρ| = 1.
    """
    find = _Duals(left, right, env)
    return ArrayOp(
        "Hermite series",
        lambda a, b, rho, delta=None: find(a, b, rho, delta, FINE)[0],
        lambda a, b, rho, delta=None: find(a, b, rho, delta, COARSE)[0],
    )


def series_with_defect_op(function: Expr, env: Mapping[str, float]) -> ArrayOp:
    """(c, √(E φ² E φ'²) - |c|), [N, M] each, for coefficients, ρ, 1 - |ρ|, and E φ² of both sides."""
    find = _Duals(function, function, env)

    def run(rule: Rule, a: Coefficients, b: Coefficients, rho: Any, delta: Any, v: Any, w: Any) -> tuple:
        return find(a, b, rho, delta, rule, (v, w))

    return ArrayOp("Hermite series", partial(run, FINE), partial(run, COARSE))


class _Duals:
    """E φ(u) ψ(v) of pairs: by series where that leaves out little, else over panels."""

    def __init__(self, left: Expr, right: Expr, env: Mapping[str, float]):
        self.left, self.right = Smoothness(left, env), Smoothness(right, env)

    def __call__(
        self, a: Coefficients, b: Coefficients, rho: Any, delta: Any, rule: Rule, energies: tuple | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        rho = np.clip(np.asarray(rho, dtype=float), -1.0, 1.0)
        index = np.nonzero(_beyond(a, b, rho))
        total = series(a, b, np.where(_beyond(a, b, rho), 0.0, rho) if len(index[0]) else rho)
        gap = None
        if energies is not None:
            whole = np.sqrt(np.maximum(energies[0] * energies[1], 0.0))
            gap = np.maximum(whole - np.abs(total), 0.0)
        if len(index[0]):
            i, j = index[0], index[-1]
            close = 1 - np.abs(rho[index]) if delta is None else np.broadcast_to(delta, rho.shape)[index]
            sign = np.where(rho[index] < 0, -1.0, 1.0)
            ratio = None
            if energies is not None:
                v, w = (np.broadcast_to(x, rho.shape)[index] for x in energies)
                ratio = np.sqrt(np.where((v > 0) & (w > 0), w, 1.0) / np.where((v > 0) & (w > 0), v, 1.0))
            sides = side(self.left, a.variance[i]), side(self.right, b.variance[j])
            total[index], found = near_pairs(*sides, close, sign, rule, ratio)
            if gap is not None:
                plain = np.maximum(whole[index] - np.abs(total[index]), 0.0)
                gap[index] = np.where(sign * total[index] >= 0, found, plain)
        return total, gap


def _beyond(a: Coefficients, b: Coefficients, rho: np.ndarray) -> np.ndarray:
    """Is |ρ| so near 1 that the series may leave out more than REMAINDER, relative to √(E φ² E ψ²)?"""
    power = min(x.first + x.stride * x.values.shape[1] for x in (a, b))
    with np.errstate(divide="ignore"):
        first, second = (np.minimum((np.sqrt(REMAINDER) / x.tail) ** (1 / power), HUGE) for x in (a, b))
    return np.abs(rho) > (first * second if rho.ndim == 1 else np.multiply.outer(first, second))


def series(a: Coefficients, b: Coefficients, rho: np.ndarray) -> np.ndarray:
    """The sum alone."""
    if (a.first, a.stride) != (b.first, b.stride):
        a, b = _dense(a), _dense(b)
    terms = min(a.values.shape[1], b.values.shape[1])
    left, right = a.values[:, :terms], b.values[:, :terms]
    variable = rho**a.stride
    total = _single(left, right, variable) if rho.ndim == 1 else _pairs(left, right, variable)
    return total * rho if a.first else total


def _single(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    total = np.zeros_like(x)
    for k in range(a.shape[1] - 1, -1, -1):
        total = total * x + a[:, k] * b[:, k]
    return total


def _pairs(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Few terms for all pairs, and all terms for those with |x| near 1."""
    from tpl.numeric.pairwise_code import horner

    size = np.abs(x)
    sums = (np.sqrt(np.max(np.cumsum(c[:, ::-1] ** 2, axis=1)[:, ::-1], axis=0, initial=0.0)) for c in (a, b))
    remainder = np.prod(list(sums), axis=0)  # of the terms from k on, but for x^k
    best, chosen = a.shape[1] * x.size, (a.shape[1], np.inf)
    scale = max(float(remainder[0]), 1e-300)
    for kept in (k for k in (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768) if k < a.shape[1]):
        limit = (DROPPED * scale / max(float(remainder[kept]), 1e-300)) ** (1 / kept)
        cost = kept * x.size + 8 * a.shape[1] * int(np.count_nonzero(size > limit))
        if cost < best:
            best, chosen = cost, (kept, limit)
    kept, limit = chosen
    total = horner(a[:, :kept], b[:, :kept], x)
    i, j = np.nonzero(size > limit)
    for start in range(0, len(i), 4096):
        here = i[start : start + 4096], j[start : start + 4096]
        total[here] = _single(a[here[0]], b[here[1]], x[here])
    return total


def _dense(a: Coefficients) -> Coefficients:
    if a.stride == 1:
        return a
    values = np.zeros((len(a.values), a.first + 2 * a.values.shape[1] - 1))
    values[:, a.first :: 2] = a.values
    return replace(a, values=values, first=0, stride=1)
