"""A layer's map of kernels in numbers: values and slopes, each with its error.

On equal inputs a layer maps a variance q to V(q); there everything is an expectation over one Gaussian, computed for
many q and many constants at once (`line`). For two inputs of one variance it maps a covariance c to C(c), by closed
form or by quadrature over two Gaussians.

Slopes are expectations too, never differences. By Gaussian integration by parts d/dq E F(√q z) = E F(√q z) (z² - 1)/(2q),
which asks for no derivative of F. By Price's theorem ∂/∂c E F(u, v) = E ∂²F/∂u∂v for absolutely continuous F, such as
φ(u) φ(v) with a kinked φ: at c = q this is E φ'(√q z)². If F jumps, the slope at c = q is infinite.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tpl.core.expr import ONE, Expr, add, div, leaves, mul, number, power, ref, sub, substitute, symbol
from tpl.core.gradient import partial_derivatives
from tpl.limit.algebra import jumping, quantity
from tpl.limit.closed_forms import Dual, dual
from tpl.limit.step import BOTH, FIRST, SECOND, Moment, NoStep, Step
from tpl.numeric.chains import reduce_rank
from tpl.numeric.integrand import Integrand, values
from tpl.numeric.line import COARSE, FINE, Precision, means
from tpl.numeric.quadrature import expectation

Floats = NDArray[np.float64]

ROUNDING = 4e-15  # relative, of what is computed on the diagonal
AGREED = 1e-11  # relative: fine and coarse values that differ by more are computed again on more panels
CLOSED = 1e-13  # relative, of closed forms over two Gaussians
LEVELS = 4
HOPELESS = 1e-3  # relative difference beyond which there is no number
_VARIANCE = -1  # the slot of a moment's own variance
_REF = 1_000_000  # slots as references start here


class Estimate(NamedTuple):
    """A number and a bound of its error."""

    value: float
    error: float


class Along(NamedTuple):
    """Values and slopes along a grid with bounds of their errors; NaN where no number is found."""

    value: Floats
    value_error: Floats
    slope: Floats
    slope_error: Floats


def constants_at(definitions: Mapping[str, Expr], given: Mapping[str, Floats], rows: int) -> dict[str, Floats]:
    """Every constant, one number a row; those that others are made of may be given instead."""
    from tpl.core.functions import BUILTIN_CONSTANTS

    env: dict[str, Floats] = {name: np.full(rows, value) for name, value in BUILTIN_CONSTANTS.items()}
    for name, expr in definitions.items():
        found = given[name] if name in given else values(expr, np.zeros((0, rows)), env, {})
        env[name] = np.array(np.broadcast_to(found, (rows,)), dtype=float)
    return env


# ---------------------------------------------------------------------------------------------- the map


@dataclass(frozen=True)
class Layer:
    """A step, ready to be evaluated. Raises NoStep for a step that this module has no rules for."""

    step: Step

    def variance(self, q: Floats, env: Mapping[str, Floats]) -> Along:
        """V(q) and dV/dq, for arrays of q > 0 and constants of the same length."""
        return self._along(q, env, (1.0, 1.0, 1.0))

    def correlation(self, q: Floats, env: Mapping[str, Floats]) -> Along:
        """V(q), and ∂C/∂c at c = q: the factor by which |h - h'|² of two close inputs grows."""
        return self._along(q, env, (0.0, 1.0, 0.0))

    def quick(self, q: Floats, env: Mapping[str, Floats], slope: str = "") -> tuple[Floats, Floats]:
        """V(q), and dV/dq ("variance") or ∂C/∂c at c = q ("correlation"): no errors, no second try, for searches."""
        direction = {"variance": (1.0, 1.0, 1.0), "correlation": (0.0, 1.0, 0.0)}.get(slope, (0.0, 0.0, 0.0))
        with np.errstate(all="ignore"):
            return self._diagonal(q, env, direction, FINE, 0)

    def _along(self, q: Floats, env: Mapping[str, Floats], direction: tuple[float, float, float]) -> Along:
        result = self._compared(q, env, direction, 0)
        for level in range(1, LEVELS):
            scale = AGREED * np.maximum(np.abs(result.value), np.finfo(float).tiny)
            poor = np.flatnonzero(result.value_error > scale)
            if not len(poor):
                break
            better = self._compared(q[poor], {k: x[poor] for k, x in env.items()}, direction, level)
            for old, new in zip(result, better, strict=True):
                old[poor] = new
        wrong = ~(result.value_error <= HOPELESS * np.abs(result.value) + np.finfo(float).tiny)
        for array in result:
            array[wrong] = np.nan
        return result

    def _compared(
        self, q: Floats, env: Mapping[str, Floats], direction: tuple[float, float, float], level: int
    ) -> Along:
        with np.errstate(all="ignore"):
            value, slope = self._diagonal(q, env, direction, FINE, level)
            rough, rough_slope = self._diagonal(q, env, direction, COARSE, level)
            # An infinite slope is exact.
            gap = np.where(slope == rough_slope, 0.0, np.abs(slope - rough_slope))
            error = gap + np.where(np.isfinite(slope), ROUNDING * np.abs(slope), 0.0)
            return Along(value, np.abs(value - rough) + ROUNDING * np.abs(value), slope, error)

    def _diagonal(
        self,
        q: Floats,
        env: Mapping[str, Floats],
        direction: tuple[float, float, float],
        precision: Precision,
        level: int,
    ) -> tuple[Floats, Floats]:
        known = {FIRST: q, BOTH: q, SECOND: q}
        moved = {slot: np.full(len(q), d) for slot, d in zip((FIRST, BOTH, SECOND), direction, strict=True)}
        for slot, plan in enumerate(self._plans, 3):
            known[slot], moved[slot] = _moment_on_diagonal(plan, known, moved, env, precision, level)
        return _array(self.step.next, known, env), _tangent(self.step.next, known, moved, env)

    @cached_property
    def _plans(self) -> tuple["_Plan", ...]:
        return tuple(_Plan(moment) for moment in self.step.moments)

    # ------------------------------------------------------------------------------------------ two inputs
    def pair(self, q: float, c: Floats, env: Mapping[str, float], slopes: bool = True) -> Along:
        """C(c) and ∂C/∂c for two inputs of variance q, |c| <= q. Without slopes, those are NaN."""
        with np.errstate(all="ignore"):
            fine, rough = (self._at_pair(q, c, env, precision, slopes) for precision in (FINE, COARSE))
            gap = np.where(fine == rough, 0.0, np.abs(fine - rough))
            rounding = CLOSED if self.closed_form else ROUNDING
            error = gap + np.where(np.isfinite(fine), rounding * np.abs(fine), 0.0)
        return Along(fine[0], error[0], fine[1], error[1])

    def _at_pair(self, q: float, c: Floats, env: Mapping[str, float], precision: Precision, slopes: bool) -> Floats:
        """Values and slopes, [2, places]."""
        count = len(c)
        known = {FIRST: np.full(count, q), BOTH: np.asarray(c, float), SECOND: np.full(count, q)}
        moved = {FIRST: np.zeros(count), BOTH: np.full(count, float(slopes)), SECOND: np.zeros(count)}
        arrays = {k: np.full(count, x) for k, x in env.items()}
        for slot, plan in enumerate(self._plans, 3):
            known[slot], moved[slot] = _moment_of_pair(plan, known, moved, env, arrays, precision)
        slope = _tangent(self.step.next, known, moved, arrays)
        return np.stack([_array(self.step.next, known, arrays), slope if slopes else np.full(count, np.nan)])

    @property
    def closed_form(self) -> bool:
        """Is C(c) a closed form?"""
        return all(plan.formula is not None for plan in self._plans)


def _array(expr: Expr, known: Mapping[int, Floats], env: Mapping[str, Floats]) -> Floats:
    count = len(known[FIRST])
    return np.array(values(expr, np.zeros((0, count)), env, known), dtype=np.float64)


def _tangent(expr: Expr, known: Mapping[int, Floats], moved: Mapping[int, Floats], env: Mapping[str, Floats]) -> Floats:
    """The derivative of an expression over slots along a direction."""
    total = np.zeros(len(known[FIRST]))
    for slot in leaves(expr, "quantity"):
        speed = moved[int(slot)]  # type: ignore[arg-type]
        if np.any(speed):
            total = total + np.where(speed == 0, 0.0, _array(partial(expr, int(slot)), known, env) * speed)  # type: ignore[arg-type]
    return total


def partial(expr: Expr, slot: int) -> Expr:
    """∂expr/∂slot, almost everywhere."""
    opened = substitute(expr, lambda x: ref(_REF + slot) if x.op == "quantity" and x.value == slot else x)
    ((_, found),) = partial_derivatives(opened, {_REF + slot})
    return substitute(found, lambda x: quantity(slot) if x.op == "ref" and x.value == _REF + slot else x)


# ---------------------------------------------------------------------------------------------- moments


class _Plan:
    """A moment with what its slopes need."""

    def __init__(self, moment: Moment):
        self.moment = moment
        self.size = len(moment.covariance)
        if self.size > 2:
            raise NoStep(f"its recursion needs an expectation over {self.size} Gaussians at once")
        self.parameters = tuple(int(v) for v in leaves(moment.integrand, "quantity"))  # type: ignore[arg-type]
        q = quantity(_VARIANCE)
        score = div(sub(div(power(ref(0), number(2)), q), ONE), mul(number(2), q))
        self.diagonal_score = mul(moment.integrand, score)

    @cached_property
    def continuous(self) -> bool:
        """Is the integrand absolutely continuous, so that its derivative almost everywhere is all of it?"""
        return not jumping(self.moment.integrand) or _obeys_stein(self.moment.integrand)

    @cached_property
    def mixed(self) -> Expr:
        """∂²F/∂u∂v."""
        ((_, first),) = partial_derivatives(self.moment.integrand, {0})
        ((_, second),) = partial_derivatives(first, {1})
        return second

    @cached_property
    def formula(self) -> Dual | None:
        return _formula(self.moment.integrand)

    @cached_property
    def mixed_formula(self) -> Dual | None:
        return _formula(self.mixed)

    def partials(self, slot: int) -> Expr:
        return partial(self.moment.integrand, slot)


def _moment_on_diagonal(
    plan: _Plan,
    known: Mapping[int, Floats],
    moved: Mapping[int, Floats],
    env: Mapping[str, Floats],
    precision: Precision,
    level: int,
) -> tuple[Floats, Floats]:
    """A moment and its slope where all inputs are equal."""
    covariance = [[_array(c, known, env) for c in row] for row in plan.moment.covariance]
    speeds = [[_tangent(c, known, moved, env) for c in row] for row in plan.moment.covariance]
    variance = covariance[0][0]
    if any(not np.allclose(c, variance, rtol=1e-9, equal_nan=True) for row in covariance for c in row):
        raise NoStep("even for equal inputs its recursion needs an expectation over two Gaussians")
    integrands, weights = [plan.moment.integrand], [variance]
    same = all(np.allclose(s, speeds[0][0], equal_nan=True) for row in speeds for s in row)
    if np.any(speeds[0][0]) and same:
        integrands.append(plan.diagonal_score)
        weights.append(speeds[0][0])
    elif not same:
        if np.any(speeds[0][0]) or np.any(speeds[1][1]):
            raise NoStep("the covariance of two inputs moves their variances")
        integrands.append(plan.mixed)
        weights.append(speeds[1][0])
    for slot in plan.parameters:
        if np.any(moved[slot]):
            _require_continuous(plan)
            integrands.append(plan.partials(slot))
            weights.append(moved[slot])
    variance = np.where(variance >= 0, variance, np.nan)
    found = means(integrands, np.nan_to_num(variance), env, {**known, _VARIANCE: variance}, precision, level)
    found[:, np.isnan(variance)] = np.nan
    slope = np.sum((found * np.array(weights))[1:], axis=0)
    if not same and not plan.continuous:
        slope = np.where(speeds[1][0] != 0, np.inf, slope)
    return found[0], slope


def _require_continuous(plan: _Plan) -> None:
    if not plan.continuous:
        raise NoStep("its nonlinearity jumps at a place that moves with the kernel")


def _moment_of_pair(
    plan: _Plan,
    known: Mapping[int, Floats],
    moved: Mapping[int, Floats],
    env: Mapping[str, float],
    arrays: Mapping[str, Floats],
    precision: Precision,
) -> tuple[Floats, Floats]:
    """A moment and its slope for two different inputs."""
    count = len(known[FIRST])
    covariance, motion = np.zeros((2, plan.size, plan.size, count))
    for i, row in enumerate(plan.moment.covariance):
        for j, entry in enumerate(row):
            covariance[i, j] = covariance[j, i] = _array(entry, known, arrays)
            motion[i, j] = motion[j, i] = _tangent(entry, known, moved, arrays)
    if any(np.any(motion[i, i]) for i in range(plan.size)):
        raise NoStep("the covariance of two inputs moves their variances")
    value = _expectations(plan.formula, plan.moment.integrand, covariance, known, env, precision)
    slope = np.zeros(count)
    if plan.size == 2 and np.any(motion[1, 0]):
        slope = motion[1, 0] * _mixed_slope(plan, covariance, known, env, precision)
    for slot in plan.parameters:
        if np.any(moved[slot]):
            _require_continuous(plan)
            partials = _expectations(None, plan.partials(slot), covariance, known, env, precision)
            slope = slope + moved[slot] * partials
    return value, slope


def _mixed_slope(
    plan: _Plan, covariance: Floats, known: Mapping[int, Floats], env: Mapping[str, float], precision: Precision
) -> Floats:
    """∂/∂c E F(u, v): E ∂²F/∂u∂v, or E F · (the density's derivative / the density) if F jumps."""
    if plan.continuous:
        return _expectations(plan.mixed_formula, plan.mixed, covariance, known, env, precision)
    found = np.full(covariance.shape[-1], np.inf)
    for k, c in enumerate(np.moveaxis(covariance, -1, 0)):
        if abs(c[1, 0]) < np.sqrt(c[0, 0] * c[1, 1]) * (1 - 1e-15):
            inverse = np.linalg.inv(c)
            first, second = (add(*(mul(number(float(x)), ref(j)) for j, x in enumerate(row))) for row in inverse)
            score = sub(mul(first, second), number(float(inverse[1, 0])))
            found[k] = _integral(mul(plan.moment.integrand, score), c, known, k, env, precision)
    return found


def _expectations(
    formula: Dual | None,
    integrand: Expr,
    covariance: Floats,
    known: Mapping[int, Floats],
    env: Mapping[str, float],
    precision: Precision,
) -> Floats:
    """E integrand for covariances [size, size, places]."""
    count = covariance.shape[-1]
    found = np.full(count, np.nan)
    inside = {int(v) for v in leaves(integrand, "quantity")}  # type: ignore[arg-type]
    if formula is not None and all(np.all(known[k] == known[k][0]) for k in inside):
        others = covariance[-1, -1], covariance[-1, 0]
        last, both = others if len(covariance) == 2 else (np.zeros(count), np.zeros(count))
        constants = {f"slot {k}": float(known[k][0]) for k in inside}
        found = np.array(formula.value(covariance[0, 0], last, both, {**env, **constants}))
    for k in np.flatnonzero(~np.isfinite(found)):
        found[k] = _integral(integrand, covariance[:, :, k], known, int(k), env, precision)
    return found


def _integral(
    integrand: Expr, covariance: Floats, known: Mapping[int, Floats], place: int, env: Mapping[str, float],
    precision: Precision,
) -> float:  # fmt: skip
    inside = {slot: float(x[place]) for slot, x in known.items()}
    factor = reduce_rank(covariance)
    return expectation(Integrand(integrand, factor, env, inside), precision.nodes, 0, precision.reach)[0]


def _formula(integrand: Expr) -> Dual | None:
    """A closed form of E f(u) g(v)."""
    sides: list[list[Expr]] = [[], []]
    for factor in integrand.args if integrand.op == "mul" else (integrand,):
        held = leaves(factor, "ref")
        if len(held) > 1:
            return None
        sides[int(next(iter(held), 0))].append(factor)  # type: ignore[arg-type]
    left, right = (substitute(mul(*side), _without_slots) for side in sides)
    return dual(left, right)


def _without_slots(leaf: Expr) -> Expr:
    return symbol(f"slot {leaf.value}") if leaf.op == "quantity" else leaf


def _obeys_stein(integrand: Expr) -> bool:
    """E u F(u, v) = q E ∂F/∂u for some v, which a jump in u would break. Only for integrands without parameters."""
    if leaves(integrand, "quantity") or leaves(integrand, "symbol"):
        return False
    ((_, slope),) = partial_derivatives(integrand, {0})
    for other in (0.3, -1.1, 2.7):
        whole, derived = (substitute(f, lambda x, v=other: number(v) if x.op == "ref" and x.value == 1 else x)  # type: ignore[misc]
                          for f in (mul(ref(0), integrand), slope))  # fmt: skip
        for q in (0.7, 3.1):
            left, right = means([whole, derived], np.array([q]), {}, {})[:, 0]
            if not abs(left - q * right) <= 1e-9 * (abs(left) + abs(q * right)) + 1e-12:
                return False
    return True


__all__ = ["Along", "Estimate", "Layer", "constants_at"]
