"""The plan of an evaluation: for every expectation which method it took, and why."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tpl.core.expr import Expr, show


@dataclass(frozen=True)
class Choice:
    """How expectations were found: their form, how many of it, over how many variables, by what method and why.

    declined: the methods that were asked before, and what they said. error: the largest, of a value's; None where it
    is known of the answers only.
    """

    expectation: str
    count: int
    dimensions: int
    method: str
    reason: str
    declined: tuple[tuple[str, str], ...] = ()
    error: float | None = None


MOST_SHOWN = 300  # nodes of an integrand that is written out


def expectation_text(integrand: Expr, size: int) -> str:
    """`E[relu(u) * relu(u')]`; q stands for numbers of the limit."""
    if integrand.size > MOST_SHOWN:
        return f"E[a long function of {size} variable{'s' if size > 1 else ''}]"
    names = [f"u{i + 1}" for i in range(size)] if size > 2 else ["u", "u'"]
    return f"E[{show(integrand, names.__getitem__).replace('quantity()', 'q')}]"


def grouped(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Choices that agree in all but number and error as one, in order of first occurrence."""
    found: dict[tuple, Choice] = {}
    for c in choices:
        key = (c.expectation, c.dimensions, c.method, c.reason, c.declined)
        if key in found:
            errors = [e for e in (found[key].error, c.error) if e is not None]
            c = replace(c, count=c.count + found[key].count, error=max(errors, default=None))
        found[key] = c
    return tuple(found.values())


__all__ = ["Choice", "expectation_text", "grouped"]
