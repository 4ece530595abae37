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
    for factor, term in _terms(law, line, own.expr, e.ONE):
        if term.op != "ref":
            return None
        vector = own.args[int(term.value)]  # type: ignore[arg-type]
        explicit[vector] = (*explicit.get(vector, ()), to_sympy(law.opened(line, factor)))
    parts: dict[int, tuple[tuple[Any, ...], Any]] = {
        v: (terms, sympy.S.Zero) for v, terms in explicit.items() if v not in products
    }
    whole = {p: sum(explicit.get(p, ()), sympy.S.Zero) for p in products}
    for p in products:
        for correction in law.corrections.get(p, ()):
            terms, before = parts.get(correction.vector, ((), sympy.S.Zero))
            parts[correction.vector] = (terms, before + whole[p] * correction.coefficient)
    return Net(line, tuple(whole.items()), parts)


def _terms(law: Law, line: int, expr: Expr, factor: Expr) -> Iterator[tuple[Expr, Expr]]:
    """The terms of a sum with the numbers in front of them, those in front of sums within it spread out."""
    args = expr.args
    if expr.op in ("add", "sub"):
        for k, a in enumerate(args):
            yield from _terms(law, line, a, e.neg(factor) if expr.op == "sub" and k else factor)
    elif expr.op == "neg":
        yield from _terms(law, line, args[0], e.neg(factor))
    elif expr.op == "div" and not _holds_vector(law, line, args[1]):
        yield from _terms(law, line, args[0], e.div(factor, args[1]))
    elif expr.op == "mul" and [_holds_vector(law, line, a) for a in args].count(True) == 1:
        inside = next(a for a in args if _holds_vector(law, line, a))
        yield from _terms(law, line, inside, e.mul(factor, *(a for a in args if a is not inside)))
    else:
        yield factor, expr


def _holds_vector(law: Law, line: int, expr: Expr) -> bool:
    args = law.program.lines[line].args
    return any(args[int(v)] in law.z for v in leaves(expr, "ref"))  # type: ignore[arg-type]
