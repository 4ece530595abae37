"""Where a layer's map of kernels rests: fixed points of the variance and of the correlation, and what repeating it does.

Poole et al. 2016 (sections 2 and 3), Schoenholz et al. 2017 (sections 3 and 4). A fixed point q* of the variance map V
attracts if |V'(q*)| < 1; inputs of variance q* then have their correlations mapped by C, which fixes 1 with slope χ₁.
χ₁ < 1: nearby inputs converge (order); χ₁ > 1: they part (chaos). Distances from a fixed point decay as
e^(-depth/ξ), ξ = -1/log|slope|.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import copysign, inf, log

import numpy as np
from numpy.typing import NDArray

from tpl.core.expr import Expr
from tpl.numeric.depth import Along, Estimate, Layer, constants_at

Floats = NDArray[np.float64]

LEAST, MOST = 1e-15, 1e15  # variances looked at
PER_DECADE = 12
SURE = 8.0  # a difference counts as one beyond so many times its error
CRITICAL = 1e-10  # |χ₁ - 1| below which a slope counts as 1, if its error is smaller
GROWING = 1.05  # χ₁ that grows by such a factor over a decade of large variances grows without bound
REPRESENTATIVE = 1.0  # the variance that stands for a line of fixed points


@dataclass(frozen=True)
class Correlation:
    """A fixed point of the correlation of two inputs; `low` and `high` differ if every c between them is fixed."""

    c: Estimate
    slope: Estimate
    stability: str
    depth: Estimate
    low: float
    high: float


@dataclass(frozen=True)
class FixedPoint:
    """A fixed point of the variance.

    kind: "point"; "zero" and "infinity", whose numbers are limits; "line": every variance from `low` to `high` is
    fixed, and the numbers are those at `q`. slope: of the variance map (its growth a layer at infinity). stability:
    "stable", "unstable", "half-stable" (attracts from one side), "neutral" (a line). depth: ξ_q. chi: χ₁, whose
    comparison with 1 is the `phase`. correlations: none at zero and infinity.
    """

    kind: str
    q: Estimate
    low: float
    high: float
    slope: Estimate
    stability: str
    depth: Estimate
    chi: Estimate
    phase: str
    correlations: tuple[Correlation, ...] = ()


@dataclass(frozen=True)
class Growth:
    """How the variance grows without bound.

    kind: "geometric" (× rate a layer), "linear" (+ rate a layer), "power" (like depth^rate), "superlinear" (q -> q^rate
    times a constant).
    """

    kind: str
    rate: Estimate


@dataclass(frozen=True)
class Dynamics:
    """All fixed points by variance; `growth` if large variances grow. reach: the largest variance that was examined."""

    points: tuple[FixedPoint, ...]
    growth: Growth | None
    reach: float
    method: str


class Maps:
    """The maps of one layer at fixed constants."""

    def __init__(self, layer: Layer, definitions: Mapping[str, Expr], given: Mapping[str, float]):
        self.layer = layer
        self._env = constants_at(definitions, {k: np.array([x]) for k, x in given.items()}, 1)

    def _rows(self, count: int) -> dict[str, Floats]:
        return {k: np.full(count, x[0]) for k, x in self._env.items()}

    def variance(self, q: Floats) -> Along:
        return self.layer.variance(q, self._rows(len(q)))

    def correlation(self, q: Floats) -> Along:
        return self.layer.correlation(q, self._rows(len(q)))

    def pair(self, q: float, c: Floats, slopes: bool = True) -> Along:
        return self.layer.pair(q, c, {k: float(x[0]) for k, x in self._env.items()}, slopes)


def find_dynamics(maps: Maps) -> Dynamics:
    """Every fixed point between LEAST and MOST, and 0 and infinity where they are fixed."""
    q = np.geomspace(LEAST, MOST, 1 + PER_DECADE * round(log(MOST / LEAST, 10)))
    along = maps.variance(q)
    usable = np.isfinite(along.value) & (along.value > 0)
    q, along = q[usable], Along(*(x[usable] for x in along))
    if not len(q):
        return Dynamics((), None, 0.0, _method(maps))
    moves, errors = _moves(q, along)
    signs = np.where(np.abs(moves) > SURE * errors, np.sign(moves), 0.0)
    if not signs.any():
        return Dynamics((_line(maps, 0.0, inf),), None, float(q[-1]), _method(maps))
    grows = bool(signs[np.flatnonzero(signs)[-1]] > 0) and q[-1] > MOST / 1.01
    points = [
        *_at_zero(maps, q, along, signs),
        *_inside(maps, q, moves, errors, signs),
        *_at_infinity(maps, q, along, grows),
    ]
    growth = _growth(maps, q, signs) if grows else None
    return Dynamics(tuple(points), growth, float(q[-1]), _method(maps))


def _method(maps: Maps) -> str:
    pairs = "closed form" if maps.layer.closed_form else "quadrature over two Gaussians"
    return f"variances: quadrature; correlations: {pairs}; roots bracketed"


def _moves(q: Floats, along: Along) -> tuple[Floats, Floats]:
    """log V(q)/q and its error."""
    return np.log(along.value / q), along.value_error / along.value


# ---------------------------------------------------------------------------------------------- variances


def _runs(signs: Floats) -> list[tuple[int, int]]:
    """Maximal runs of equal signs, as (first, last)."""
    cuts = np.flatnonzero(np.diff(signs)) + 1
    starts, ends = [0, *cuts], [*(cuts - 1), len(signs) - 1]
    return list(zip(map(int, starts), map(int, ends), strict=True))


def _inside(maps: Maps, q: Floats, moves: Floats, errors: Floats, signs: Floats) -> list[FixedPoint]:
    found = []
    runs = _runs(signs)
    for k, (first, last) in enumerate(runs):
        if signs[first]:
            found += _tangencies(maps, q, moves, errors, first, last)
            if k + 1 < len(runs) and signs[last + 1]:
                found.append(_root(maps, q[last], q[last + 1], signs[last], signs[last + 1]))
        elif 0 < k < len(runs) - 1:
            before, after = signs[first - 1], signs[last + 1]
            if last - first > 2:
                found.append(_line(maps, float(q[first]), float(q[last])))
            elif before != after:
                found.append(_root(maps, q[first - 1], q[last + 1], before, after))
            else:
                found.append(_point(maps, float(q[(first + last) // 2]), before, after, q[last + 1] - q[first - 1]))
    return sorted(found, key=lambda p: p.q.value)


def _move(maps: Maps, log_q: float) -> float:
    q = np.array([np.exp(log_q)])
    return float(_moves(q, maps.variance(q))[0][0])


def _root(maps: Maps, low: float, high: float, before: float, after: float) -> FixedPoint:
    from scipy.optimize import brentq  # heavy to import

    log_q = brentq(lambda x: _move(maps, x), np.log(low), np.log(high), xtol=1e-15, rtol=4e-16 * 4)
    return _point(maps, float(np.exp(log_q)), before, after, high - low)


def _tangencies(maps: Maps, q: Floats, moves: Floats, errors: Floats, first: int, last: int) -> list[FixedPoint]:
    """Fixed points that hide between two places of the grid: where the map touches the diagonal or just crosses it."""
    found = []
    size = np.abs(moves)
    sign = copysign(1.0, moves[first])
    for i in range(first + 1, last):
        if size[i] > 0.1 or min(size[i - 1], size[i + 1]) - size[i] < SURE * errors[i]:
            continue
        at, move, error = _closest(maps, q[i - 1], q[i + 1], sign)
        if sign * move < -SURE * error:
            found += [_root(maps, q[i - 1], at, sign, -sign), _root(maps, at, q[i + 1], -sign, sign)]
        elif abs(move) <= SURE * error:
            found.append(_point(maps, at, sign, sign, q[i + 1] - q[i - 1]))
    return found


def _closest(maps: Maps, low: float, high: float, sign: float) -> tuple[float, float, float]:
    """Where sign · log V(q)/q is least; its value there and the value's error."""
    for _ in range(7):
        q = np.geomspace(low, high, 33)
        moves, errors = _moves(q, maps.variance(q))
        best = int(np.argmin(sign * moves))
        low, high = q[max(best - 1, 0)], q[min(best + 1, 32)]
    return float(q[best]), float(moves[best]), float(errors[best])


def _point(maps: Maps, q: float, before: float, after: float, cell: float) -> FixedPoint:
    """A fixed point; variances just below move by the sign `before`, those above by `after`. cell: its bracket."""
    at = maps.variance(np.array([q]))
    slope = float(at.slope[0])
    residual = float(abs(at.value[0] - q) + at.value_error[0]) / q
    gap = abs(slope - 1.0)
    error = q * min(residual / gap + 4e-16, 1.0) if gap > 1e-7 else q * float(np.sqrt(residual))
    error = min(error, float(cell))
    return _described(maps, "point", Estimate(q, error), q, q, _stability(slope, before, after))


def _stability(slope: float, before: float, after: float) -> str:
    if abs(abs(slope) - 1) < 1e-6:  # too close to decide by the slope
        if before == after:
            return "half-stable"
        return "stable" if before > 0 else "unstable"
    return "stable" if abs(slope) < 1 else "unstable"


def _line(maps: Maps, low: float, high: float) -> FixedPoint:
    q = REPRESENTATIVE if low <= REPRESENTATIVE <= high else float(np.sqrt(low * high))
    return _described(maps, "line", Estimate(q, 0.0), low, high, "neutral")


def _described(maps: Maps, kind: str, q: Estimate, low: float, high: float, stability: str) -> FixedPoint:
    """The numbers of a finite positive fixed point."""
    near = np.array([q.value, q.value + q.error, max(q.value - q.error, q.value / 2)])
    slope = _spread(maps.variance(near))
    chi = _spread(maps.correlation(near))
    return FixedPoint(
        kind, q, low, high, slope, stability, depth_scale(slope), chi, phase_of(chi), _correlations(maps, q, chi)
    )


def _spread(along: Along) -> Estimate:
    """The slope at the first of several places; how it differs at the others is part of the error."""
    value = float(along.slope[0])
    if not np.isfinite(value):
        return Estimate(value, 0.0)
    return Estimate(value, float(along.slope_error[0] + np.nanmax(np.abs(along.slope - value))))


def phase_of(chi: Estimate) -> str:
    if abs(chi.value - 1) <= max(CRITICAL, 2 * chi.error):
        return "critical"
    return "ordered" if chi.value < 1 else "chaotic"


def depth_scale(slope: Estimate) -> Estimate:
    """-1/log|slope| in layers: infinite where the slope is 1, 0 where it is 0; NaN where distances grow."""
    size = abs(slope.value)
    if not np.isfinite(size):
        return Estimate(np.nan, 0.0)
    if abs(size - 1) <= max(CRITICAL, 2 * slope.error):
        return Estimate(inf, 0.0)
    if size > 1:
        return Estimate(np.nan, 0.0)
    if size <= 2 * slope.error or size < 1e-14:
        return Estimate(0.0, abs(1 / log(max(size + slope.error, 1e-300))))
    return Estimate(-1 / log(size), slope.error / (size * log(size) ** 2))


def _at_zero(maps: Maps, q: Floats, along: Along, signs: Floats) -> list[FixedPoint]:
    """Zero if it is fixed; else a fixed point below the grid."""
    at_zero = float(maps.variance(np.zeros(1)).value[0])
    decided = signs[np.flatnonzero(signs)[0]]
    if np.isfinite(at_zero) and at_zero > 0 and signs[0] < 0:
        return [_root(maps, at_zero / 2, q[0], 1.0, -1.0)]
    if at_zero != 0 or q[0] > LEAST * 1.01:
        return []
    chi = maps.correlation(q[:13])
    slope, factor = (
        Estimate(float(x.slope[0]), float(x.slope_error[0] + abs(x.slope[0] - x.slope[12]) / 9)) for x in (along, chi)
    )
    stability = "stable" if decided < 0 else "unstable"
    zero = Estimate(0.0, 0.0)
    return [FixedPoint("zero", zero, 0.0, 0.0, slope, stability, depth_scale(slope), factor, phase_of(factor))]


def _at_infinity(maps: Maps, q: Floats, along: Along, grows: bool) -> list[FixedPoint]:
    """Infinity if variances grow without bound."""
    if not grows:
        return []
    slope = Estimate(float(along.value[-1] / q[-1]), float(along.value_error[-1] / q[-1]))
    at = maps.correlation(q[[-1 - PER_DECADE, -1]])
    if at.slope[1] > GROWING * at.slope[0] or np.isposinf(at.slope[1]):
        chi = Estimate(inf, 0.0)
    else:
        chi = Estimate(float(at.slope[1]), float(at.slope_error[1] + abs(at.slope[1] - at.slope[0]) / 9))
    end = Estimate(inf, 0.0)
    return [FixedPoint("infinity", end, inf, inf, slope, "stable", Estimate(np.nan, 0.0), chi, phase_of(chi))]


def _growth(maps: Maps, q: Floats, signs: Floats) -> Growth:
    """The law of large variances: V(q) = g q, q + a, q + a q^p, or g q^p with p > 1."""
    top = maps.variance(q[[-13, -1]])
    ratio = top.value / q[[-13, -1]]
    error = float(top.value_error[1] / q[-1] + abs(ratio[1] - ratio[0]) / 9)
    if ratio[1] > 1.05 * ratio[0]:
        exponent = 1 + float(np.log(ratio[1] / ratio[0]) / np.log(q[-1] / q[-13]))
        return Growth("superlinear", Estimate(exponent, 1e-3 * exponent))
    if ratio[1] - 1 > SURE * error:
        return Growth("geometric", Estimate(float(ratio[1]), error))
    # Increments, where they are large next to rounding.
    last = q[np.flatnonzero(signs)[-1]] * 1e-5
    places = last * np.array([1e-4, 1e-2, 1.0])
    if maps.variance(places[:1]).value[0] <= places[0]:  # that far down variances still shrink
        places *= 100
    at = maps.variance(places)
    added = at.value - places
    with np.errstate(all="ignore"):
        first, power = (float(p) for p in np.diff(np.log(np.maximum(added, 0))) / np.log(100.0))
    if abs(power) < 0.01 or (abs(power) < 0.1 and abs(power) < abs(first) / 3):
        return Growth("linear", Estimate(float(added[2]), float(abs(added[2] - added[1]) + at.value_error[2])))
    return Growth("power", Estimate(1 / (1 - power), abs(1 / (1 - power) - 1 / (1 - first)) + 1e-3))


# ---------------------------------------------------------------------------------------------- correlations


def _correlations(maps: Maps, q: Estimate, chi: Estimate) -> tuple[Correlation, ...]:
    """Fixed points of the correlation of two inputs of variance q."""
    near = 10.0 ** -np.arange(1.5, 7.1, 0.5)
    c = np.unique(np.concatenate([np.linspace(-1, 1, 41), 1 - near, near - 1]))
    along = maps.pair(q.value, c * q.value, False)
    moves = along.value / q.value - c
    errors = (along.value_error + abs(along.value[-1] - q.value)) / q.value + 1e-15
    signs = np.where(np.abs(moves) > SURE * errors, np.sign(moves), 0.0)
    if not signs.any():
        return (Correlation(Estimate(1.0, 0.0), chi, "neutral", depth_scale(chi), -1.0, 1.0),)
    found = []
    runs = _runs(signs)
    for k, (first, last) in enumerate(runs):
        if signs[first]:
            if k + 1 < len(runs) and signs[last + 1]:
                found.append(_correlation_between(maps, q, c[last], c[last + 1]))
        elif first == 0 and signs[last + 1]:
            found.append(_correlation_at(maps, q, -1.0, 0.0))
        elif 0 < k < len(runs) - 1 and signs[first - 1] != signs[last + 1]:
            found.append(_correlation_between(maps, q, c[first - 1], c[last + 1]))
    found.append(_end(chi, signs))
    return tuple(found)


def _end(chi: Estimate, signs: Floats) -> Correlation:
    """c = 1: of critical slope, it attracts if correlations below it grow."""
    phase = phase_of(chi)
    below = signs[np.flatnonzero(signs)[-1]]
    stable = below > 0 if phase == "critical" else phase == "ordered"
    return Correlation(Estimate(1.0, 0.0), chi, "stable" if stable else "unstable", depth_scale(chi), 1.0, 1.0)


def _correlation_between(maps: Maps, q: Estimate, low: float, high: float) -> Correlation:
    from scipy.optimize import brentq  # heavy to import

    def move(c: float) -> float:
        return float(maps.pair(q.value, np.array([c * q.value]), False).value[0] / q.value - c)

    c = 0.0 if low < 0 < high and abs(move(0.0)) < 1e-15 else float(brentq(move, low, high, xtol=1e-15))
    at = maps.pair(q.value, np.array([c * q.value]))
    residual = float(abs(at.value[0] / q.value - c) + at.value_error[0] / q.value) + _moved(maps, q, c)
    gap = abs(float(at.slope[0]) - 1)
    error = min(residual / gap, high - low) if gap > 0 else high - low
    return _correlation_at(maps, q, c, error)


def _moved(maps: Maps, q: Estimate, c: float) -> float:
    """How far the error of q may move C(c)/q."""
    if q.error < 1e-13 * q.value:
        return q.error / q.value
    other = q.value + q.error
    move: Callable[[float], float] = lambda v: float(maps.pair(v, np.array([c * v]), False).value[0] / v)  # noqa: E731
    return abs(move(other) - move(q.value))


def _correlation_at(maps: Maps, q: Estimate, c: float, error: float) -> Correlation:
    ends = np.clip(np.array([c, c + error, c - error]), -1, 1) * q.value
    slope = _spread(maps.pair(q.value, ends))
    stability = "stable" if abs(slope.value) < 1 else "unstable"
    return Correlation(Estimate(c, error), slope, stability, depth_scale(slope), c, c)


__all__ = ["Correlation", "Dynamics", "FixedPoint", "Growth", "Maps", "depth_scale", "find_dynamics", "phase_of"]
