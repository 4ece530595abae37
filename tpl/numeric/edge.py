"""The phase diagram: χ₁ over a plane of two constants, and the edge of chaos, where it is 1.

Every place of the plane has its own fixed point q*: the one that variances run into from q = 1, which may be 0 or
infinity; χ₁ is then the limit there (Schoenholz et al. 2017, figure 1). All places are computed at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tpl.core.expr import Expr
from tpl.numeric.depth import ROUNDING, Layer, constants_at
from tpl.numeric.fixed_points import GROWING, LEAST, MOST

Floats = NDArray[np.float64]

START = 1.0  # where variances start from
NEWTON = 60
SECANTS = 60
JUMP = 1e-3  # χ₁ that differs by more across a place does not pass through 1 but leaps over it
ASIDE = 1e-9  # relative: how far beside a leap q* is taken
FLAT = 1e-9  # relative: V(q) = q at all of several variances is a line of fixed points
FINER = 8  # a leap is placed on a grid so much finer; what that changes is its error
FLOOR = 1e-14  # of the axis: no place is told from another one nearer than that
ONE = 10 * ROUNDING  # χ₁ so close to 1 cannot be told from it


@dataclass(frozen=True)
class Axis:
    """A constant and the values that it takes."""

    name: str
    values: Floats

    def resampled(self, count: int) -> "Axis":
        """The same range in so many places."""
        return Axis(self.name, np.linspace(self.values[0], self.values[-1], count))


@dataclass(frozen=True)
class Plane:
    """q* and χ₁ at every place, [y values, x values] (one row without a second axis). NaN: not computed."""

    x: Axis
    y: Axis | None
    q: Floats
    chi: Floats


@dataclass(frozen=True)
class Crossing:
    """A place of the edge: at y (None without a second axis) the value of x with χ₁ = 1, and q* there.

    low, high: q* is every variance between them. leaps: χ₁ leaps over 1 there, and q* from `low` to `high`.
    """

    y: float | None
    x: float
    error: float
    low: float
    high: float
    leaps: bool


class PlaneMaps:
    """q* and χ₁ for rows of constants."""

    def __init__(self, layer: Layer, definitions: Mapping[str, Expr], x: str, y: str | None, fineness: int = 1):
        self.layer, self.definitions, self.x, self.y = layer, definitions, x, y
        near, far = np.geomspace(1, 100, 1 + 16 * fineness), np.geomspace(100, MOST, 1 + 13 * fineness)
        self._grid = np.unique(np.concatenate([near, far]))  # of variances, or their inverses

    def finer(self) -> "PlaneMaps":
        return PlaneMaps(self.layer, self.definitions, self.x, self.y, FINER)

    def env(self, x: Floats, y: Floats) -> dict[str, Floats]:
        given = {self.x: x} if self.y is None else {self.x: x, self.y: y}
        return constants_at(self.definitions, given, len(x))

    def at(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """q* (0, infinity or NaN among them) and χ₁ of every row."""
        env = self.env(x, y)
        q = self._rest(env)
        inside = np.where(np.isnan(q), START, np.clip(q, LEAST, MOST))
        chi = self.layer.quick(inside, env, "correlation")[1]
        far = np.flatnonzero(np.isinf(q))
        if len(far):  # χ₁ that still grows there is infinite, as that of gates is
            before = self.layer.quick(np.full(len(far), MOST / 10), {k: x[far] for k, x in env.items()}, "correlation")
            chi[far[chi[far] > GROWING * before[1]]] = np.inf
        return q, np.where(np.isnan(q), np.nan, chi)

    def _rest(self, env: Mapping[str, Floats]) -> Floats:
        """The first fixed point on the way that variances take from START."""
        count = len(next(iter(env.values())))
        up = self._direction(np.full(count, START), env)
        low, high = np.full(count, START), np.full(count, START)
        q = np.where(up == 0, START, np.nan)
        between = np.zeros(count, dtype=bool)
        open_ = np.flatnonzero((up != 0) & ~np.isnan(up))
        still = np.full(count, np.nan)  # where they began not to move, as far as rounding tells
        for after in self._grid[1:]:
            if not len(open_):
                break
            rising = up[open_] > 0
            place = np.where(rising, after, 1 / after)
            now = self._direction(place, {k: v[open_] for k, v in env.items()})
            turned, onward = now * up[open_] < 0, now * up[open_] > 0
            rests = onward & ~np.isnan(still[open_])
            q[open_[rests]] = still[open_[rests]]
            still[open_] = np.where((now == 0) & np.isnan(still[open_]), place, still[open_])
            for ends, where in ((low, rising & onward | ~rising & turned), (high, ~rising & onward | rising & turned)):
                ends[open_[where]] = place[where]
            open_, bracketed = open_[~turned & ~rests & ~np.isnan(now)], open_[turned]
            between[bracketed] = True
        q[open_] = np.where(up[open_] > 0, np.inf, 0.0)
        if between.any():
            q[between] = self._newton(low[between], high[between], {k: v[between] for k, v in env.items()})
        return q

    def _direction(self, q: Floats, env: Mapping[str, Floats]) -> Floats:
        """±1 for variances that grow or shrink, 0 for fixed ones."""
        move = self.layer.quick(q, env)[0] / q - 1
        return np.where(np.abs(move) <= 4 * ROUNDING, 0.0, np.sign(move))

    def _newton(self, low: Floats, high: Floats, env: Mapping[str, Floats]) -> Floats:
        """Roots of log V(q)/q in brackets, by Newton steps that stay inside."""
        low, high = np.log(low), np.log(high)
        rising = self._direction(np.exp(low), env) > 0
        x = (low + high) / 2
        for _ in range(NEWTON):
            q = np.exp(x)
            value, slope = self.layer.quick(q, env, "variance")
            with np.errstate(all="ignore"):
                move = np.log(value) - x
                below = (move > 0) == rising
                low, high = np.where(below, x, low), np.where(below, high, x)
                step = x - move / (slope * q / value - 1)
            inside = (step >= low) & (step <= high)
            new = np.where(inside, step, (low + high) / 2)
            if np.all(np.abs(new - x) <= 1e-14 * (1 + np.abs(x))):
                break
            x = new
        return np.exp(x)


def find_plane(maps: PlaneMaps, x: Axis, y: Axis | None) -> Plane:
    rows = y.values if y is not None else np.zeros(1)
    grid_x, grid_y = np.meshgrid(x.values, rows)
    q, chi = maps.at(grid_x.ravel(), grid_y.ravel())
    return Plane(x, y, q.reshape(grid_x.shape), chi.reshape(grid_x.shape))


def find_edge(maps: PlaneMaps, plane: Plane) -> tuple[Crossing, ...]:
    """Where χ₁ passes 1 along x, for every y: between places of the plane, by bisection."""
    above = plane.chi > 1 + ONE
    known = np.isfinite(plane.chi) | np.isposinf(plane.chi)
    row, column = np.nonzero((above[:, :-1] != above[:, 1:]) & known[:, :-1] & known[:, 1:])
    if not len(row):
        return ()
    y = (plane.y.values if plane.y is not None else np.zeros(1))[row]
    low, high = _narrowed(maps, plane.x.values[column], plane.x.values[column + 1], y)
    x = (low + high) / 2
    ends = float(plane.x.values[0]), float(plane.x.values[-1])
    error = (high - low) / 2 + _blur(maps, x, y, ends)
    leaps = _leaps(maps, low, high, y)
    if leaps.any():  # two fixed points that meet within a cell of the grid are overlooked: find how much that matters
        maps = maps.finer()
        cells = plane.x.values[column][leaps], plane.x.values[column + 1][leaps]
        better = np.mean(_narrowed(maps, *cells, y[leaps]), axis=0)
        error[leaps] += np.abs(better - x[leaps])
        x[leaps] = better
    x = _on_the_grid(maps, x, error, y, plane.x.values)
    nearby = [maps.at(x + shift, y)[0] for shift in (0.0, -error, error)]
    q = np.where(np.isinf(nearby).any(axis=0), np.inf, nearby[0])  # where q* runs off to infinity it has no number
    everywhere = _flat(maps, x, y)
    sides = [np.where(leaps, maps.at(x + shift * (ASIDE * np.abs(x) + error), y)[0], q) for shift in (-1, 1)]
    again = (np.diff(x, prepend=np.nan) == 0) & (np.diff(row, prepend=-1) == 0)  # χ₁ touches 1 there
    return tuple(
        Crossing(
            float(y[i]) if plane.y is not None else None, float(x[i]), float(error[i]),
            0.0 if everywhere[i] else float(sides[0][i]), np.inf if everywhere[i] else float(sides[1][i]),
            bool(leaps[i]) and not everywhere[i],
        )
        for i in np.flatnonzero(~again)
    )  # fmt: skip


def _narrowed(maps: PlaneMaps, low: Floats, high: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Brackets of χ₁ = 1, narrowed by the Illinois method and, where that is slow, by halving.

    Where χ₁ is 1 at one end already, as that of a residual network without a branch, its size says nothing of the place
    at which it leaves 1: there only signs count.
    """

    def excess(x: Floats) -> Floats:
        return np.minimum(maps.at(x, y)[1], 3.0) - 1

    def signed(excess: Floats) -> Floats:
        return np.where(flat, np.where(excess > ONE, 1.0, -1.0), np.where(np.abs(excess) <= ONE, -1e-30, excess))

    at_low, at_high = excess(low), excess(high)
    flat = np.minimum(np.abs(at_low), np.abs(at_high)) <= ONE
    at_low, at_high = signed(at_low), signed(at_high)
    width, floor = high - low, FLOOR * (high - low)
    for round_ in range(SECANTS):
        with np.errstate(all="ignore"):
            x = (low * at_high - high * at_low) / (at_high - at_low)
        slow = (round_ % 3 == 2) & (high - low > width / 4)
        width = np.where(round_ % 3 == 2, high - low, width)
        x = np.where(slow | ~((x > low) & (x < high)), (low + high) / 2, x)
        now = signed(excess(x))
        met = np.abs(now) <= ONE
        left = np.sign(now) == np.sign(at_low)
        # The end that stays counts half, lest it stay for ever.
        at_low, at_high = np.where(left, now, at_low / 2), np.where(left, at_high / 2, now)
        low, high = np.where(left, x, low), np.where(left, high, x)
        if np.all((high - low <= floor + 1e-14 * np.abs(high)) | met):
            return np.where(met, x, low), np.where(met, x, high)
    return low, high


def _blur(maps: PlaneMaps, x: Floats, y: Floats, ends: tuple[float, float]) -> Floats:
    """How far x can move inside the axis before χ₁ differs from 1 by more than rounding."""
    sizes = 10.0 ** np.arange(-14.0, 1.0) * (ends[1] - ends[0])
    places = x[:, None] + np.concatenate([sizes, -sizes])
    inside = np.clip(places, *ends)
    chi = maps.at(inside.ravel(), np.repeat(y, places.shape[1]))[1].reshape(len(x), 2, -1)
    stopped = (np.abs(chi - 1) > 2 * ONE) | (inside != places).reshape(chi.shape)
    far = np.logical_or.accumulate(stopped, axis=2)
    reached = np.where(far.any(axis=2), sizes[np.argmax(far, axis=2)], sizes[-1])
    return reached.max(axis=1)


def _on_the_grid(maps: PlaneMaps, x: Floats, error: Floats, y: Floats, places: Floats) -> Floats:
    """A place that cannot be told from one of the grid is that one, if χ₁ is 1 there."""
    nearest = places[np.argmin(np.abs(x[:, None] - places), axis=1)]
    near = (np.abs(x - nearest) <= error) & (np.abs(maps.at(nearest, y)[1] - 1) <= ONE)
    return np.where(near, nearest, x)


def _leaps(maps: PlaneMaps, low: Floats, high: Floats, y: Floats) -> NDArray[np.bool_]:
    below, beyond = maps.at(low, y)[1], maps.at(high, y)[1]
    with np.errstate(all="ignore"):
        return ~(np.abs(below - beyond) <= JUMP)


def _flat(maps: PlaneMaps, x: Floats, y: Floats) -> NDArray[np.bool_]:
    env = maps.env(x, y)
    moves = [np.abs(maps.layer.quick(np.full(len(x), q), env)[0] / q - 1) for q in (1e-3, 1.0, 1e3)]
    return np.max(moves, axis=0) <= FLAT


__all__ = ["Axis", "Crossing", "Plane", "PlaneMaps", "find_edge", "find_plane"]
