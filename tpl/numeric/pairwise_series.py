"""Hermite series as operations on whole arrays: coefficients once an input, a polynomial in ρ for every pair.

E φ(u) ψ(v) = Σ_k a_k(q) b_k(q') ρ^k with a_k(q) = E φ(√q z) h_k(z), h_k = He_k/√k! (Mehler's formula). The integrals are
sums on equal steps, whose error falls geometrically for analytic φ (Trefethen and Weideman, SIAM Review 56, 2014); the
step is halved until two grids agree. Coefficients are smooth in q: for many inputs they are interpolated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tpl.core.expr import Expr, mul, ref, substitute
from tpl.numeric.pairwise_graph import ArrayOp
from tpl.numeric.quadrature import Integrand, expectation, values

TERMS = (64, 256, 512, 1024, 2048)
REACH = 13.0  # where the Gaussian law is cut off
LEVELS = 10  # the step is halved so often
AGREEMENT = 2e-14  # of two grids, relative to √E φ²
NEGLIGIBLE = 1e-9  # √Σ of the squares of coefficients left out, relative to √E φ²; two of them meet
FLOOR = 2e-15  # rounding of E φ² - Σ a_k², relative to E φ²
REMAINDER = 1e-13  # of one pair, relative; where more may be left out, the pair is integrated
HUGE = 1e100
INTEGRATED = 4096  # pairs of a block that may be
NODES = (16, 32, 64)  # of interpolation in log q
INTERPOLATED = 1e-14  # its error at inputs that are no nodes, relative
REMEMBERED = 8  # sets of inputs, of one function
COARSER = 4 / 5  # of the terms, to see what the others are worth
DROPPED = 1e-17  # remainders of single pairs below this are left out


class SeriesFailed(ArithmeticError):
    """The coefficients do not fall off: the function is not smooth, too steep, or grows too fast."""


@dataclass(frozen=True)
class Coefficients:
    """values: a_k, [N, k], k = first, first + stride, … tail: a bound on √Σ of the squares left out over √E φ², [N].

    variance: q, [N].
    """

    values: np.ndarray
    first: int
    stride: int
    tail: np.ndarray
    variance: np.ndarray

    def part(self, rows: slice) -> "Coefficients":
        return replace(self, values=self.values[rows], tail=self.tail[rows], variance=self.variance[rows])


def coefficients_op(function: Expr, env: Mapping[str, float]) -> ArrayOp:
    last: dict[bytes, Coefficients] = {}

    def find(q: np.ndarray) -> Coefficients:
        q = np.ascontiguousarray(np.atleast_1d(q), dtype=float)
        key = q.tobytes()
        found = last.get(key)
        if found is None:
            found = find_coefficients(function, q, env)
            if len(last) == REMEMBERED:
                last.clear()
            last[key] = found
        return found

    def find_coarse(q: np.ndarray) -> Coefficients:
        found = find(q)
        kept = int(np.ceil(found.values.shape[1] * COARSER))
        return replace(found, values=found.values[:, :kept])

    return ArrayOp("Hermite coefficients", find, find_coarse)


def mean_op(function: Expr, env: Mapping[str, float]) -> ArrayOp:
    """E φ(u), [N]."""

    def mean(q: np.ndarray) -> np.ndarray:
        return _over_variances(lambda x: _integrals(function, x, env, 1)[0], np.atleast_1d(q))[:, 0]

    return ArrayOp("mean", mean)


def find_coefficients(function: Expr, q: np.ndarray, env: Mapping[str, float]) -> Coefficients:
    """As many coefficients as it takes. Raises SeriesFailed where they fall off too slowly."""
    terms = _enough_terms(function, q, env)

    def both(x: np.ndarray) -> np.ndarray:
        return np.column_stack(_integrals(function, x, env, terms))

    table = _over_variances(both, q)
    found, energy = table[:, :-1], np.maximum(table[:, -1], 0.0)
    norm, relative, left = _decay(found, energy)
    kept = max(2, int(np.sum(left > NEGLIGIBLE)))
    found, relative = found[:, :kept], relative[:kept]
    lost = np.maximum(energy - np.sum(found**2, axis=1), 0.0) + FLOOR * energy
    tail = np.sqrt(lost) / norm
    even, odd = (np.max(relative[k::2], initial=0.0) for k in (0, 1))
    first, stride = (1, 2) if even < FLOOR else (0, 2) if odd < FLOOR else (0, 1)
    return Coefficients(np.ascontiguousarray(found[:, first::stride]), first, stride, tail, q)


def _enough_terms(function: Expr, q: np.ndarray, env: Mapping[str, float]) -> int:
    """Steeper functions take more: the greatest variance decides."""
    for terms in TERMS:
        left = _decay(*_integrals(function, np.array([q.max()]), env, terms))[2]
        if left[3 * terms // 4] <= NEGLIGIBLE:
            break
    return terms


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
    """Σ a_k b_k ρ^k for coefficients a, b and ρ: [N] for numbers of one input, [N, M] for pairs."""

    def pairs(a: Coefficients, b: Coefficients, rho: np.ndarray) -> np.ndarray:
        rho = np.clip(np.asarray(rho, dtype=float), -1.0, 1.0)
        total = series(a, b, rho)
        power = min(x.first + x.stride * x.values.shape[1] for x in (a, b))
        with np.errstate(divide="ignore"):  # where |ρ| is above this, too much may be left out
            first, second = (np.minimum((np.sqrt(REMAINDER) / x.tail) ** (1 / power), HUGE) for x in (a, b))
        beyond = np.argwhere(np.abs(rho) > (first * second if rho.ndim == 1 else np.multiply.outer(first, second)))
        if len(beyond) > INTEGRATED:
            raise SeriesFailed(f"a Hermite series that falls off too slowly for {len(beyond):,} pairs of a block")
        integrand = mul(left, substitute(right, lambda x: ref(1) if x.op == "ref" else x))
        for index in map(tuple, beyond):
            total[index] = _integral(integrand, a.variance[index[0]], b.variance[index[-1]], rho[index], env)
        return total

    return ArrayOp("Hermite series", pairs)


def _integral(integrand: Expr, q1: float, q2: float, rho: float, env: Mapping[str, float]) -> float:
    """E of one pair by panels that are cut where the integrand is steep. Raises SeriesFailed where two sets disagree."""
    roots = np.sqrt([q1, q2])
    across = np.sqrt((1 - rho) * (1 + rho))
    factor = np.array([[roots[0], 0.0], [rho * roots[1], across * roots[1]]])[:, : 2 if across > 1e-9 else 1]
    x = Integrand(integrand, factor, env, {})
    (fine, size), (coarse, _) = (expectation(x, nodes, 0, reach) for nodes, reach in ((16, 9.5), (12, 8.5)))
    if not abs(fine - coarse) <= REMAINDER * 100 * size:
        raise SeriesFailed("an expectation whose integral does not converge")
    return fine


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
