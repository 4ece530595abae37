"""Hermite coefficients a_k(q) = E φ(√q z) h_k(z) of smooth functions, h_k = He_k/√k!, with what is left out of them.

The integral is a sum on equal steps: for a function analytic in a strip, times a Gaussian, the error falls like
exp(-2π d/h) with the strip's half-width d (Trefethen and Weideman, SIAM Review 56, 2014). A grid and the same grid
moved by half a step are compared, and the step is halved until they agree. The columns h_k(z) exp(-z²/4) never exceed
1 (Indritz, Proc. AMS 12, 1961), so nothing overflows, and their recurrence is stable in the direction of rising k.

Errors are Euclidean distances between rows of coefficients, because those are what Parseval and Cauchy-Schwarz turn
into bounds on Σ a_k b_k ρ^k.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tpl.core.expr import Expr
from tpl.numeric.features import steepness
from tpl.numeric.integrand import Integrand, values
from tpl.numeric.rounding import EPSILON, values_and_rounding

REACHES = (13.0, 17.0, 22.0, 28.0, 36.0)  # where the Gaussian law may be cut off
AGREEMENT = 1e-14  # of two grids, relative to √E φ²
STAGNATION = 1e-11  # below this, two grids that come no closer have met their rounding
MAX_POINTS = 1 << 14
FINE_POINTS = 1 << 18  # for one function that nothing else resolves
MAX_TERMS = 1 << 11
BLOCK = 1 << 21  # numbers held at once
GROUP = 16.0  # variances within this factor share a grid


@dataclass(frozen=True)
class Coefficients:
    """Of one function at N variances; everything that is not [N, K] is [N] and an upper bound.

    values: a_0 … a_{K-1}. norm: √E φ². error: the distance of the computed coefficients from the true ones.
    tail: √Σ_{k≥K} a_k². growth: √(ε Σ (4k+4) a_k²), what rounding makes of a sum Σ a_k b_k ρ^k, one factor of two.
    Where the integrals did not converge, error and tail are infinite.
    """

    values: np.ndarray
    norm: np.ndarray
    error: np.ndarray
    tail: np.ndarray
    growth: np.ndarray

    @property
    def terms(self) -> int:
        return self.values.shape[1]


@dataclass
class _Sums:
    """Sums over one grid: coefficients [N, K], E φ² [N], and the mean square rounding of φ [N]."""

    values: np.ndarray
    energy: np.ndarray
    noise: np.ndarray

    def mean(self, other: "_Sums") -> "_Sums":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Sums(*((a + b) / 2 for a, b in pairs))

    def distance(self, other: "_Sums") -> np.ndarray:
        """How far the integrals are apart, [N], relative to √E φ²."""
        size = np.sqrt(np.maximum(self.energy, other.energy))
        rows = np.linalg.norm(self.values - other.values, axis=1)
        gap = np.maximum(rows, np.abs(self.energy - other.energy) / np.where(size > 0, size, 1.0))
        return np.divide(gap, size, out=np.zeros_like(gap), where=gap > 0)


def coefficients(
    phi: Expr,
    q: np.ndarray,
    terms: int,
    env: Mapping[str, float],
    known: Mapping[int, float],
    points: int = MAX_POINTS,
) -> Coefficients:
    """The first `terms` (1 … MAX_TERMS) coefficients of a smooth function of ref(0), at variances q [N] >= 0.

    points: of the finest grid.
    """
    q = np.asarray(q, dtype=np.float64)
    found = Coefficients(np.zeros((len(q), terms)), *(np.full(len(q), np.inf) for _ in range(4)))
    for rows in _groups(q):
        with np.errstate(all="ignore"):  # what is not finite is declined
            part = _group(phi, np.sqrt(q[rows]), terms, env, known, points)
        for mine, theirs in zip(vars(found).values(), vars(part).values(), strict=True):
            mine[rows] = theirs
    return found


def _groups(q: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of variances that can share a grid: all up to 1, and then by powers of GROUP."""
    scale = np.ceil(np.log(np.maximum(q, 1.0)) / np.log(GROUP))
    for level in np.unique(scale):
        yield np.flatnonzero(scale == level)


def _group(
    phi: Expr, roots: np.ndarray, terms: int, env: Mapping[str, float], known: Mapping[int, float], points: int
) -> Coefficients:
    reach, outside = _reach(phi, roots, env, known)
    width = steepness(Integrand(phi, np.array([[roots.max()]]), env, known), reach)
    step = 2 * np.pi / (np.sqrt(terms) + 8 + 8 / width)
    grids = _Grids(phi, roots, terms, env, known, reach, points)
    sums, gap = grids.converged(step)
    norm = np.sqrt(sums.energy)
    noise = np.sqrt(sums.noise) + outside
    rounding = EPSILON * (np.sqrt(terms) * reach / 3 + np.sqrt(grids.points))
    error = (gap + rounding) * norm + noise
    slack = (2 * gap + 2 * rounding) * sums.energy + 2 * norm * (noise + error) + (noise + error) ** 2
    tail = np.sqrt(np.maximum(sums.energy - np.sum(sums.values**2, axis=1), 0.0) + slack)
    weights = EPSILON * 4 * (1 + np.arange(terms))
    growth = np.sqrt(sums.values**2 @ weights)
    good = np.isfinite(norm + error + tail + growth)
    bounds = (np.where(good, x, np.inf) for x in (norm + noise + gap * norm, error, tail, growth))
    return Coefficients(np.where(good[:, None], sums.values, 0.0), *bounds)


def _reach(
    phi: Expr, roots: np.ndarray, env: Mapping[str, float], known: Mapping[int, float]
) -> tuple[float, np.ndarray]:
    """Where the law is cut off, and √E φ² of what lies beyond, [N]; infinite if φ grows too fast."""
    for reach in REACHES:
        z = np.arange(-(reach + 8), reach + 8, 0.05)
        at = values(phi, (roots[:, None] * z)[None], env, known)
        mass = at**2 * (0.05 / np.sqrt(2 * np.pi)) * np.exp(-(z**2) / 2)
        far = np.abs(z) >= reach - 0.1
        outside = np.sum(mass[:, far], axis=1)
        if np.all(outside <= 1e-32 * np.sum(mass[:, ~far], axis=1)):
            return reach, np.sqrt(outside)
    return REACHES[-1], np.full(len(roots), np.inf)


@dataclass
class _Grids:
    """Sums over grids of points on [-reach, reach]."""

    phi: Expr
    roots: np.ndarray
    terms: int
    env: Mapping[str, float]
    known: Mapping[int, float]
    reach: float
    most: int
    points: int = 0

    def converged(self, step: float) -> tuple[_Sums, np.ndarray]:
        """The finest sums, and their distance from those with twice the step: a bound, as errors fall faster."""
        last = np.full(len(self.roots), np.inf)
        if 2 * self.reach / step > self.most:  # too steep
            unknown = np.full(len(self.roots), np.nan)
            return _Sums(np.zeros((len(self.roots), self.terms)), unknown, unknown), last
        sums = self.sums(step, 0.0)
        while True:
            moved = self.sums(step, step / 2)
            gap = sums.distance(moved) / 2
            sums, step = sums.mean(moved), step / 2
            done = (gap <= AGREEMENT) | ((gap < STAGNATION) & (gap > last / 4)) | ~np.isfinite(gap)
            if np.all(done) or 4 * self.reach / step > self.most:
                return sums, np.where(gap < STAGNATION, gap, np.inf)
            last = gap

    def sums(self, step: float, offset: float) -> _Sums:
        count = int(self.reach / step) + 1
        z = step * np.arange(-count, count + 1) + offset
        self.points += len(z)
        total = _Sums(np.zeros((len(self.roots), self.terms)), np.zeros(len(self.roots)), np.zeros(len(self.roots)))
        block = max(1, BLOCK // (self.terms + 4 * len(self.roots)))
        for start in range(0, len(z), block):
            self._accumulate(total, z[start : start + block], step / np.sqrt(2 * np.pi))
        return total

    def _accumulate(self, total: _Sums, z: np.ndarray, scale: float) -> None:
        at, rounding = values_and_rounding(self.phi, (self.roots[:, None] * z)[None], self.env, self.known)
        bell = np.exp(-(z**2) / 4)
        total.values += (at * (scale * bell)) @ hermite_functions(z, self.terms).T
        total.energy += at**2 @ (scale * bell**2)
        total.noise += rounding**2 @ (scale * bell**2)


def hermite_functions(z: np.ndarray, terms: int) -> np.ndarray:
    """h_k(z) exp(-z²/4), [terms, len(z)]."""
    found = np.empty((terms, len(z)))
    found[0] = np.exp(-(z**2) / 4)
    if terms > 1:
        found[1] = z * found[0]
    for k in range(1, terms - 1):
        found[k + 1] = (z * found[k] - np.sqrt(k) * found[k - 1]) / np.sqrt(k + 1)
    return found
