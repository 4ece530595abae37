"""Expectations that do not exist: integrands with a pole that no Gaussian density makes integrable.

Across a hyperplane at which a function grows like 1/distance^d its expectation exists only if d < 1: E 1/√|z| is a
number, E 1/z² is infinite. Near a place r a function of z is one of t = 1/|z - r| → ∞, so the orders of poles are those
of `tails`: what cancels, as in sin(z)/z, has none. Only what is certain is called a pole.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tpl.core.expr import ONE, Expr, add, close, div, from_float, leaves, mul, ref, substitute
from tpl.core.program import Line
from tpl.limit.algebra import NoExpectation
from tpl.limit.law import Law
from tpl.numeric.features import Analyst, within
from tpl.numeric.integrand import Integrand, values
from tpl.numeric.plan import expectation_text
from tpl.numeric.tails import tail

REACH = 64.0  # poles are looked for as far as this from 0, in standard deviations
_SIDES = 3  # places of a hyperplane at which the order is found
_NEARBY = 1e-2  # standard deviations


@dataclass(frozen=True)
class Pole:
    """The integrand grows like distance^-order at the hyperplane `position` standard deviations from 0."""

    position: float
    order: float


def worst_pole(
    integrand: Expr, factor: np.ndarray, env: Mapping[str, float], known: Mapping[int, float]
) -> Pole | None:
    """The pole of the highest order of an integrand over u = factor @ z, [variables, rank]; None: none is certain."""
    suspects = list(_suspects(integrand))
    if not suspects or any(int(v) not in known for v in leaves(integrand, "quantity")):  # type: ignore[arg-type]
        return None
    numbers = substitute(integrand, lambda x: from_float(known[int(x.value)]) if x.op == "quantity" else x)  # type: ignore[arg-type]
    places = {place for x in suspects for place in _hyperplanes(x, factor, env, known)}
    found = []
    for direction, position in sorted(places):
        order = _order(numbers, factor, np.array(direction), position, env)
        if order > 0:
            found.append(Pole(position, order))
    return max(found, key=lambda pole: pole.order, default=None)


def may_have_poles(integrand: Expr) -> bool:
    """Is there anything in it that a pole can come from? Quick."""
    return next(_suspects(integrand), None) is not None


class Poles:
    """Refuses the expectations of one law that do not exist."""

    def __init__(self, law: Law):
        self.law = law
        self._line: Line | None = None
        self._searched = False
        self._vanishing: dict[Expr, bool] = {}  # what is divided by; lines share it

    def refuse(self, integrand: Expr, factor: np.ndarray, env: Mapping[str, float], known: Mapping[int, float]) -> None:
        """Raises NoExpectation where E integrand over u = factor @ z is certain not to exist.

        A law takes products of sums apart, and the poles of the parts may cancel, as in the square of the derivative of
        z/tanh(z): certain is what is one of a product with a whole vector, or of a whole average.
        """
        line = self._line_with_pole(env) if may_have_poles(integrand) else None
        if line is None:
            return
        pole = worst_pole(integrand, factor, env, known)
        if pole is None or pole.order < 1:
            return
        size = "faster than any power" if math.isinf(pole.order) else f"like 1/distance^{pole.order:.4g}"
        what = expectation_text(integrand, len(factor))
        raise NoExpectation(
            f"{what} is infinite or undefined: it grows {size} at a pole, and powers from 1 on have no integral", line
        )

    def _line_with_pole(self, env: Mapping[str, float]) -> Line | None:
        """The first line without a second moment of which a product is taken, or average that does not exist."""
        if not self._searched:
            self._searched = True
            found = (line for line, whole in self._averaged() if self._is_infinite(whole, env))
            self._line = next(found, None)
        return self._line

    def _is_infinite(self, integrand: Expr, env: Mapping[str, float]) -> bool:
        """Over independent leaves; in general position, leaves of any covariance have the same poles."""
        if leaves(integrand, "quantity") or not any(self._may_vanish(x, env) for x in _suspects(integrand)):
            return False
        whole, used = close(integrand)
        pole = worst_pole(whole, np.eye(len(used)), env, {})
        return pole is not None and pole.order >= 1

    def _may_vanish(self, suspect: Expr, env: Mapping[str, float]) -> bool:
        if suspect not in self._vanishing:
            closed, used = close(suspect)
            self._vanishing[suspect] = any(_hyperplanes(closed, np.eye(len(used)), env, {}))
        return self._vanishing[suspect]

    def _averaged(self) -> Iterator[tuple[Line, Expr]]:
        """Expressions over Gaussian leaves of which the law takes the expectation as a whole, each with its line."""
        lines = self.law.program.lines
        for line in lines:
            if line.op == "matmul" and line.args[1] in self.law.z:
                z = self.law.z[line.args[1]]
                yield lines[line.args[1]], mul(z, z)
            elif line.op == "moment" and line.expr is not None and all(a in self.law.z for a in line.args):
                opened = [self.law.z[a] for a in line.args]
                singular = (lines[a] for a in line.args if may_have_poles(lines[a].expr or ONE))
                yield next(singular, line), _over(line.expr, opened)


def _over(expr: Expr, arguments: list[Expr]) -> Expr:
    """An expression with other expressions in place of its references."""
    return substitute(expr, lambda x: arguments[int(x.value)] if x.op == "ref" else x)  # type: ignore[arg-type]


def _suspects(integrand: Expr) -> Iterator[Expr]:
    """What is divided by, or taken to a power that is not a whole positive one, and varies."""
    for node in within(integrand):
        if node.op == "div" and leaves(node.args[1], "ref"):
            yield node.args[1]
        elif node.op == "pow" and leaves(node.args[0], "ref"):
            exponent = node.args[1]
            if not (exponent.is_number and float(exponent.value) >= 0):  # type: ignore[arg-type]
                yield node.args[0]


def _hyperplanes(
    suspect: Expr, factor: np.ndarray, env: Mapping[str, float], known: Mapping[int, float]
) -> Iterator[tuple[tuple[float, ...], float]]:
    """Directions and positions at which it may vanish as a whole: there it is less than nearby. No sum of squares is."""
    aside = np.random.default_rng(1).standard_normal(factor.shape[1])
    for direction, position in Analyst(Integrand(suspect, factor, env, known), REACH).places(suspect):
        d = np.array(direction)
        steps = position + _NEARBY * np.array([-1.0, 0.0, 1.0])
        points = factor @ ((aside - (d @ aside) * d)[:, None] + np.multiply.outer(d, steps))
        at = np.abs(values(suspect, points, env, known))
        if not at[1] > at[[0, 2]].max() / 2:  # nor where it is not a number
            yield direction, position


def _order(
    integrand: Expr, factor: np.ndarray, direction: np.ndarray, position: float, env: Mapping[str, float]
) -> float:
    """The order of growth at direction · z = position; 0 where none is certain."""
    rng, found = np.random.default_rng(0), 0.0
    for side in (-1.0, 1.0):
        for _ in range(_SIDES if factor.shape[1] > 1 else 1):
            aside = rng.standard_normal(factor.shape[1])
            place = factor @ (aside + (position - direction @ aside) * direction)
            if factor.shape[1] == 1:
                place = factor @ (position * direction)
            slope = side * (factor @ direction)
            moved = [
                add(from_float(float(a)), mul(from_float(float(b)), div(ONE, ref(0))))
                for a, b in zip(place, slope, strict=True)
            ]
            near = tail(_over(integrand, moved), env, 1)
            if near is not None and near.leads:
                found = max(found, near.degree)
    return found
