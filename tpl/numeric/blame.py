"""A number of a law that no double holds, as an error that says where in the program it is needed first."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tpl.core.expr import half_defined, within
from tpl.core.program import Line
from tpl.limit.algebra import NoLaw, NotReal, TooLarge
from tpl.limit.calculus import Atom, parts, used_quantities
from tpl.limit.law import Law
from tpl.numeric.chains import NotDefined
from tpl.numeric.plan import expectation_text

_INFINITE = frozenset({"log", "div"})  # at finite arguments


def not_finite(law: Law, quantity: int, values: Sequence[float]) -> NoLaw:
    """The error for a quantity with such values: too large, or nothing that is a number."""
    definition = law.calculus.quantities[quantity].definition
    line = line_that_needs(law, quantity)
    if not isinstance(definition, Atom):
        return of_line("one of its numbers", values, line)
    what = expectation_text(definition.integrand, len(definition.covariance))
    if any(map(math.isnan, values)) and any(half_defined(definition.integrand)):
        return NotReal(f"{what} is not a number: its integrand is not real somewhere", line)
    if any(node.op in _INFINITE for node in within(definition.integrand)):
        return NotDefined(f"{what} is not a finite number: in doubles, its integrand is infinite somewhere", line)
    return of_line(what, values, line)


def of_line(what: str, values: Iterable[float], line: Line | None) -> NoLaw:
    """The same for what a line shows."""
    if any(map(math.isnan, values)):
        return NotDefined(f"{what} is not a number", line)
    return TooLarge(f"{what} is beyond 1.8e308", line)


def line_that_needs(law: Law, quantity: int) -> Line | None:
    """The first line whose law uses a quantity, directly or through others; a vector counts from the first product or
    average in which its second moment stands."""
    needs = _Needs(law)
    found = [line for line, value in _numbers(law) if quantity in needs(value)]
    return law.program.lines[min(found)] if found else None


def _numbers(law: Law) -> Iterator[tuple[int, Any]]:
    """Line and number of all averages and second moments."""
    yield from law.scalars.items()
    for (_, later), value in law.known_second_moments():
        yield later, value


class _Needs:
    """All quantities behind a number."""

    def __init__(self, law: Law):
        self.quantities = law.calculus.quantities

    def __call__(self, value: Any) -> set[int]:
        found: set[int] = set()
        stack = list(used_quantities([value]))
        while stack:
            q = stack.pop()
            if q not in found:
                found.add(q)
                stack.extend(used_quantities(parts(self.quantities[q].definition)))
        return found
