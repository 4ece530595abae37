"""Where a correction Ż meets the same vector in the same line: what is left when they are counted together.

AMP's Onsager term is the case in point: it cancels the Ż of A @ x[t], term by term (Bayati & Montanari 2011).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from tpl.core import expr as e
from tpl.core.expr import Expr, leaves
from tpl.limit.algebra import to_sympy
from tpl.limit.law import Law


@dataclass(frozen=True)
class Net:
    """A line as Σ coefficient · Z^vector + Σ coefficient · Ẑ^product, corrections counted in.

    parts: vector line -> (the coefficients of its terms, the corrections' coefficient), sympy over quantities.
    """

    line: int
    products: tuple[tuple[int, Any], ...]
    parts: dict[int, tuple[tuple[Any, ...], Any]]

    @property
    def meeting(self) -> list[int]:
        """The vectors that stand in the line and in a correction."""
        return [v for v, (terms, correction) in self.parts.items() if terms and correction != 0]


def net_form(law: Law, line: int, products: Sequence[int]) -> Net | None:
    """A line that is linear in vectors, some of them products with a correction; None for other lines."""
    own = law.program.lines[line]
    if own.op != "map" or own.expr is None or not set(products) & set(own.args):
        return None
    explicit: dict[int, tuple[Any, ...]] = {}
    for sign, term in _signed(own.expr):
        found = _linear(law, line, term)
        if found is None:
            return None
        coefficient, vector = found
        explicit[vector] = (*explicit.get(vector, ()), sign * coefficient)
    parts: dict[int, tuple[tuple[Any, ...], Any]] = {
        v: (terms, sympy.S.Zero) for v, terms in explicit.items() if v not in products
    }
    whole = {p: sum(explicit.get(p, ()), sympy.S.Zero) for p in products}
    for p in products:
        for correction in law.corrections.get(p, ()):
            terms, before = parts.get(correction.vector, ((), sympy.S.Zero))
            parts[correction.vector] = (terms, before + whole[p] * correction.coefficient)
    return Net(line, tuple(whole.items()), parts)


def _signed(expr: Expr, sign: int = 1) -> Iterator[tuple[int, Expr]]:
    """The terms of a sum with their signs."""
    if expr.op == "add":
        for a in expr.args:
            yield from _signed(a, sign)
    elif expr.op == "sub":
        yield from _signed(expr.args[0], sign)
        yield from _signed(expr.args[1], -sign)
    elif expr.op == "neg":
        yield from _signed(expr.args[0], -sign)
    else:
        yield sign, expr


def _linear(law: Law, line: int, term: Expr) -> tuple[Any, int] | None:
    """A term as (coefficient, vector line)."""
    args = law.program.lines[line].args
    factors = term.args if term.op == "mul" else (term,)
    vectors = [x for x in factors if any(args[int(v)] in law.z for v in leaves(x, "ref"))]  # type: ignore[arg-type]
    if len(vectors) != 1 or vectors[0].op != "ref":
        return None
    rest = e.mul(*(x for x in factors if x is not vectors[0]))
    return to_sympy(law.opened(line, rest)), args[int(vectors[0].value)]  # type: ignore[arg-type]
