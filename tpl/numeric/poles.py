"""Expectations that do not exist: integrands with a pole that no Gaussian density makes integrable.

Across a hyperplane at which a function grows like 1/distance^d its expectation exists only if d < 1: E 1/√|z| is a
number, E 1/z² is infinite. Near a place r a function of z is one of t = 1/|z - r| → ∞, so the orders of poles are those
of `tails`: what cancels, as in sin(z)/z, has none. Only what is certain is called a pole.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from tpl.core.expr import ONE, Expr, add, close, div, divisors, from_float, leaves, mul, ref, substitute
from tpl.core.program import Kind, Line, Program, ancestors
from tpl.limit.algebra import NoExpectation
from tpl.limit.law import Law
from tpl.numeric.affine import Interner
from tpl.numeric.features import Analyst
from tpl.numeric.integrand import Integrand, values
from tpl.numeric.plan import expectation_text
from tpl.numeric.tails import tail

REACH = 64.0  # poles are looked for as far as this from 0, in standard deviations
LONGEST = 100  # characters of an expectation in a message
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
    suspects = list(divisors(integrand))
    if not suspects or not _is_known(integrand, known):
        return None
    numbers = substitute(integrand, lambda x: from_float(known[int(x.value)]) if x.op == "quantity" else x)  # type: ignore[arg-type]
    places = {place for x in suspects for place in _hyperplanes(x, factor, env, known)}
    found = []
    for direction, position in sorted(places):
        order = _order(numbers, factor, np.array(direction), position, env)
        if order > 0:
            found.append(Pole(position, order))
    return max(found, key=lambda pole: pole.order, default=None)


def _is_known(integrand: Expr, known: Mapping[int, float]) -> bool:
    return all(int(v) in known for v in leaves(integrand, "quantity"))  # type: ignore[arg-type]


def may_have_poles(integrand: Expr) -> bool:
    """Is there anything in it that a pole can come from? Quick."""
    return next(divisors(integrand), None) is not None


class Poles:
    """Refuses the expectations of one law that do not exist."""

    def __init__(self, law: Law):
        self.law = law
        self._line: Line | None = None
        self._searched = False

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
        raise NoExpectation(_words(integrand, len(factor), pole), line)

    def _line_with_pole(self, env: Mapping[str, float]) -> Line | None:
        """The first line without a second moment of which a product is taken, or average that does not exist."""
        if not self._searched:
            self._searched = True
            found = infinite_average(self.law.program, self.law.z, env)
            self._line = found.line if found is not None else None
        return self._line


@dataclass(frozen=True)
class Infinite:
    """An average that does not exist, or a vector without a second moment of which a product is taken."""

    line: Line
    integrand: Expr
    size: int
    pole: Pole

    def __str__(self) -> str:
        return _words(self.integrand, self.size, self.pole)


def infinite_average(
    program: Program, z: Mapping[int, Expr], env: Mapping[str, float], known: Mapping[int, float] = MappingProxyType({})
) -> Infinite | None:
    """The first expectation of a program that is certain not to exist. z: vector lines over Gaussian leaves."""
    vanishing: dict[Expr, bool] = {}  # of what is divided by; lines share it

    def may_vanish(suspect: Expr) -> bool:
        if suspect not in vanishing:
            closed, used = close(suspect)
            vanishing[suspect] = any(_hyperplanes(closed, np.eye(len(used)), env, known))
        return vanishing[suspect]

    for line, whole in _averaged(program, z):
        if _is_known(whole, known) and any(may_vanish(x) for x in divisors(whole)):
            integrand, used = close(whole)
            pole = worst_pole(integrand, np.eye(len(used)), env, known)  # of any covariance poles are the same
            if pole is not None and pole.order >= 1:
                return Infinite(line, integrand, len(used), pole)
    return None


def certain_pole(program: Program) -> Infinite | None:
    """The first expectation, of those that what is shown needs, that is certain not to exist.

    Found without a law: products are taken for fresh Gaussian vectors, numbers are unknown.
    """
    shown = [i for show in program.shows for i in show.lines]
    needed = ancestors(program, shown) if shown else range(len(program.lines))
    if not any(may_have_poles(program.lines[i].expr or ONE) for i in needed):
        return None
    return infinite_average(program, _gaussian_form(program, needed), program.constant_values())


def refuse_poles(program: Program) -> None:
    """Raises NoExpectation at an expectation that is certain not to exist."""
    found = certain_pole(program)
    if found is not None:
        raise NoExpectation(str(found), found.line)


def _gaussian_form(program: Program, needed: Iterable[int]) -> dict[int, Expr]:
    """Vector lines over what is drawn or multiplied."""
    intern = Interner()
    z: dict[int, Expr] = {}
    for index in sorted(needed):
        line = program.lines[index]
        if line.kind is not Kind.VECTOR:
            continue
        if line.op == "map" and line.expr is not None:
            inside = [z[a] if a in z else intern(Expr("quantity", (), a)) for a in line.args]
            z[index] = intern.substituted(line.expr, partial(_argument, inside))
        else:
            z[index] = intern(ref(index))
    return z


def _argument(arguments: Sequence[Expr], leaf: Expr) -> Expr:
    return arguments[int(leaf.value)] if leaf.op == "ref" else leaf  # type: ignore[arg-type]


def _words(integrand: Expr, size: int, pole: Pole) -> str:
    what = expectation_text(integrand, size)
    if len(what) > LONGEST:
        what = f"an expectation over {size} Gaussian variables"
    power = "" if pole.order == 1 else f"^{pole.order:.4g}"
    growth = "faster than any power" if math.isinf(pole.order) else f"like 1/distance{power}"
    return f"{what} is infinite or undefined: it grows {growth} at a pole, and powers from 1 on have no integral"


def _averaged(program: Program, z: Mapping[int, Expr]) -> Iterator[tuple[Line, Expr]]:
    """Expressions over Gaussian leaves of which the limit takes the expectation as a whole, each with its line."""
    lines = program.lines
    for line in lines:
        if line.op == "matmul" and line.args[1] in z:
            vector = z[line.args[1]]
            yield lines[line.args[1]], mul(vector, vector)
        elif line.op == "moment" and line.expr is not None and all(a in z for a in line.args):
            opened = [z[a] for a in line.args]
            singular = (lines[a] for a in line.args if may_have_poles(lines[a].expr or ONE))
            yield next(singular, line), _over(line.expr, opened)


def _over(expr: Expr, arguments: list[Expr]) -> Expr:
    """An expression with other expressions in place of its references."""
    return substitute(expr, partial(_argument, arguments))


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
