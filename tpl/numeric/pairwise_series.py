"""Hermite series as operations on whole arrays: coefficients once an input, a polynomial in ρ for every pair.

E φ(u) ψ(v) = Σ_k a_k(q) b_k(q') ρ^k; the coefficients and a bound on their tail come from `tpl.numeric.hermite`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tpl.core.expr import Expr
from tpl.numeric.hermite import coefficients
from tpl.numeric.pairwise_graph import ArrayOp

TERMS = (64, 256, 1024, 2048)
NEGLIGIBLE = 1e-9  # √Σ of the squares of coefficients that are left out, relative to √E φ²; two of them meet
COARSER = 4 / 5  # of the terms, to see what the others are worth


class SeriesFailed(ArithmeticError):
    """The coefficients do not fall off: the function is not smooth, too steep, or grows too fast."""


@dataclass(frozen=True)
class Coefficients:
    """values: a_k, [N, k], k = first, first + stride, … tail: a bound on √Σ of the squares left out over √E φ², [N]."""

    values: np.ndarray
    first: int
    stride: int
    tail: np.ndarray


def coefficients_op(function: Expr, env: Mapping[str, float]) -> ArrayOp:
    def find(q: np.ndarray) -> Coefficients:
        return find_coefficients(function, np.atleast_1d(q), env)

    def find_coarse(q: np.ndarray) -> Coefficients:
        found = find(q)
        kept = int(np.ceil(found.values.shape[1] * COARSER))
        return Coefficients(found.values[:, :kept], found.first, found.stride, found.tail)

    return ArrayOp("Hermite coefficients", find, find_coarse)


def find_coefficients(function: Expr, q: np.ndarray, env: Mapping[str, float]) -> Coefficients:
    """As many coefficients as it takes. Raises SeriesFailed where they fall off too slowly."""
    distinct, back = np.unique(np.asarray(q, dtype=float), return_inverse=True)
    for terms in TERMS:
        found = coefficients(function, distinct, terms, env, {})
        if not np.all(np.isfinite(found.norm)):
            break
        norm = np.where(found.norm > 0, found.norm, 1.0)
        relative = np.max(np.abs(found.values) / norm[:, None], axis=0)
        left = np.sqrt(np.cumsum(relative[::-1] ** 2)[::-1])
        if left[3 * terms // 4] <= NEGLIGIBLE:
            kept = max(1, int(np.sum(left > NEGLIGIBLE)))
            return _trimmed(found.values[:, :kept], relative[:kept], found.tail / norm + left[kept], back)
    raise SeriesFailed("a Hermite series that falls off too slowly")


def _trimmed(values: np.ndarray, relative: np.ndarray, tail: np.ndarray, back: np.ndarray) -> Coefficients:
    """Without every other coefficient if those vanish."""
    even, odd = (np.max(relative[k::2], initial=0.0) for k in (0, 1))
    first, stride = (1, 2) if even < 1e-15 and len(relative) > 1 else (0, 2) if odd < 1e-15 else (0, 1)
    return Coefficients(np.ascontiguousarray(values[:, first::stride])[back], first, stride, tail[back])


def mean_op(function: Expr, env: Mapping[str, float]) -> ArrayOp:
    """E φ(u), [N]."""

    def mean(q: np.ndarray) -> np.ndarray:
        found = coefficients(function, np.atleast_1d(q), 1, env, {})
        if not np.all(np.isfinite(found.error)):
            raise SeriesFailed("a mean that does not converge")
        return found.values[:, 0]

    return ArrayOp("mean", mean)


def series_op() -> ArrayOp:
    return ArrayOp("Hermite series", series)


def series(a: Coefficients, b: Coefficients, rho: np.ndarray) -> np.ndarray:
    """Σ a_k b_k ρ^k; rho is [N] for numbers of one input, [N, M] for pairs."""
    rho = np.clip(rho, -1.0, 1.0)
    if (a.first, a.stride) != (b.first, b.stride):
        a, b = _dense(a), _dense(b)
    terms = min(a.values.shape[1], b.values.shape[1])
    variable = rho**a.stride
    if rho.ndim == 2:
        from tpl.numeric.pairwise_code import horner

        total = horner(a.values[:, :terms], b.values[:, :terms], variable)
    else:
        total = np.zeros_like(rho)
        for k in range(terms - 1, -1, -1):
            total = total * variable + a.values[:, k] * b.values[:, k]
    return total * rho if a.first else total


def _dense(a: Coefficients) -> Coefficients:
    if a.stride == 1:
        return a
    values = np.zeros((len(a.values), a.first + 2 * a.values.shape[1] - 1))
    values[:, a.first :: 2] = a.values
    return Coefficients(values, 0, 1, a.tail)
