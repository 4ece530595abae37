"""E φ(u) ψ(v) as a Hermite series: Σ a_k b_k ρ^k, with a bound on everything that is not in the sum.

u and v are centred Gaussian with variances q1, q2 and covariance c = ρ √(q1 q2) (Mehler's formula; dual activations in
Daniely, Frostig and Singer, NeurIPS 2016, section 4.2). By Parseval and Cauchy-Schwarz

    |remainder after K terms| <= |ρ|^K √(E φ² - Σ a_k²) √(E ψ² - Σ b_k²),

and the same inequality carries the errors of the coefficients. The derivative dual E φ'(u) ψ'(v) is the series of the
derivatives: shifting the coefficients, √((k+1)/q) a_{k+1}, is true too, but it knows no tail and divides by √q.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tpl.core.expr import Expr, leaves
from tpl.limit.formulas import sides
from tpl.numeric.hermite import MAX_POINTS, MAX_TERMS, Coefficients, coefficients
from tpl.numeric.smoothness import Smoothness, smoothness

FIRST_TERMS = 32
TOLERANCE = 5e-13  # of the remainder, relative to √(E φ² E ψ²)


@dataclass(frozen=True)
class Found:
    """A value, a bound on its error, and how it was found."""

    value: float
    bound: float
    reason: str


@dataclass(frozen=True)
class Declined:
    """Why a strategy leaves an expectation to the next one."""

    reason: str


def attempt(
    integrand: Expr,
    covariance: np.ndarray,
    env: Mapping[str, float],
    known: Mapping[int, float],
    most: int = MAX_TERMS,
    points: int = MAX_POINTS,
) -> Found | Declined:
    """E integrand(u, v) for a covariance [2, 2], or why a Hermite series is not the way.

    most: terms; points: of the grids that the coefficients are found on.
    """
    if len(covariance) != 2:
        return Declined("a Hermite series is for two variables")
    found = sides(integrand, 2)
    if found is None:
        return Declined("not a product of functions of one variable each")
    phi, psi = found
    for side in found:
        kind = _classified(side, *_parameters(side, env, known))
        if not kind.smooth:
            return Declined(kind.reason)
    (q1, c), (_, q2) = covariance
    return series(phi, psi, float(q1), float(q2), float(c), env, known, most, points)


@lru_cache(maxsize=1 << 12)
def _classified(phi: Expr, constants: "_Items", quantities: "_Items") -> Smoothness:
    return smoothness(phi, dict(constants), dict(quantities))


# ---------------------------------------------------------------------------------------------- sums


def correlations(c: np.ndarray, q1: np.ndarray, q2: np.ndarray) -> np.ndarray:
    """ρ = c/√(q1 q2), 0 where a variance is 0; |ρ| > 1 is rounding."""
    roots = np.sqrt(q1), np.sqrt(q2)
    with np.errstate(all="ignore"):
        rho = c / roots[0] / roots[1]
    return np.where((roots[0] > 0) & (roots[1] > 0), np.clip(rho, -1.0, 1.0), 0.0)


def dual_matrix(a: Coefficients, b: Coefficients, rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V[i, j] = Σ_k a_k(i) b_k(j) ρ[i, j]^k, and a bound on its distance from E φ(u_i) ψ(v_j); both [N, M]."""
    value = np.zeros_like(rho)
    for left, right in zip(a.values.T[::-1], b.values.T[::-1], strict=True):
        value *= rho
        value += np.multiply.outer(left, right)
    return value, bounds(a, b, rho)


def bounds(a: Coefficients, b: Coefficients, rho: np.ndarray) -> np.ndarray:
    """Remainder, errors of the coefficients, and rounding of the sum and of ρ: [N, M], by products of numbers a row."""
    outer = np.multiply.outer
    with np.errstate(all="ignore"):
        found = (
            np.abs(rho) ** a.terms * outer(a.tail, b.tail)
            + outer(a.error, b.norm)
            + outer(a.norm, b.error)
            + outer(a.error, b.error)
            + outer(a.growth, b.growth)
        )
    return np.where(np.isfinite(found), found, np.inf)


def series(
    phi: Expr,
    psi: Expr,
    q1: float,
    q2: float,
    c: float,
    env: Mapping[str, float],
    known: Mapping[int, float],
    most: int = MAX_TERMS,
    points: int = MAX_POINTS,
) -> Found | Declined:
    """E φ(u) ψ(v) of two smooth functions of ref(0), with as many terms as it takes, but not more than `most`."""
    rho = correlations(*(np.full((1, 1), x) for x in (c, q1, q2)))
    tails: list[tuple[int, float]] = []
    terms = min(FIRST_TERMS, most)
    while True:
        a, b = (_remembered(f, q, terms, points, *_parameters(f, env, known)) for f, q in ((phi, q1), (psi, q2)))
        size, tail = float(a.norm[0] * b.norm[0]), float(a.tail[0] * b.tail[0])
        if not np.isfinite(tail):
            return Declined("the integrals of the Hermite coefficients do not converge: too steep, or growing too fast")
        target = TOLERANCE * size
        if tail * abs(rho[0, 0]) ** terms <= target:
            value, bound = (float(x[0, 0]) for x in dual_matrix(a, b, rho))
            used = _needed(a, b, float(rho[0, 0]), target)
            return Found(value, bound, f"Hermite series, {used} terms, error ≤ {bound:.1g}")
        tails.append((terms, tail))
        if terms >= most or not _is_promising(tails, abs(float(rho[0, 0])), most, target):
            return Declined(
                f"the Hermite series falls slowly: after {terms} terms at ρ = {rho[0, 0]:.6g} "
                f"it may still be {tail * abs(rho[0, 0]) ** terms:.1g} off"
            )
        terms = min(4 * terms, most)


def _is_promising(tails: list[tuple[int, float]], rho: float, most: int, target: float) -> bool:
    """Whether `most` terms may do, if tails go on falling like exp(-√terms): those of functions with poles do."""
    if len(tails) < 2:
        return True
    (few, before), (terms, now) = tails[-2:]
    rate = np.log(before / now) / (np.sqrt(terms) - np.sqrt(few))
    with np.errstate(divide="ignore"):
        left = np.log(now) - 1.5 * rate * (np.sqrt(most) - np.sqrt(terms)) + most * np.log(rho)
    return bool(left <= np.log(target))


def _needed(a: Coefficients, b: Coefficients, rho: float, target: float) -> int:
    """The first count of terms after which the remainder is below a target."""
    tails = [np.sqrt(np.append(np.cumsum(x.values[0, ::-1] ** 2)[::-1], 0.0) + x.tail[0] ** 2) for x in (a, b)]
    remainders = np.abs(rho) ** np.arange(a.terms + 1) * tails[0] * tails[1]
    return int(np.argmax(remainders <= target)) if np.any(remainders <= target) else a.terms


_Items = tuple[tuple, ...]


def _parameters(phi: Expr, env: Mapping[str, float], known: Mapping[int, float]) -> tuple[_Items, _Items]:
    """What of the constants and quantities a function depends on."""
    constants = tuple((name, env[name]) for name in leaves(phi, "symbol"))  # type: ignore[index]
    quantities = tuple((int(i), known[int(i)]) for i in leaves(phi, "quantity"))  # type: ignore[arg-type]
    return constants, quantities


@lru_cache(maxsize=1 << 11)
def _remembered(phi: Expr, q: float, terms: int, points: int, constants: _Items, quantities: _Items) -> Coefficients:
    return coefficients(phi, np.array([q]), terms, dict(constants), dict(quantities), points)
