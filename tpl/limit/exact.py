"""Scalars of a law as exact numbers, where closed forms say all: square roots, arc cosines, powers of π."""

from typing import Any

import sympy

from tpl.core.expr import ONE, Expr, mul, ref, substitute, symbol
from tpl.limit.algebra import LeastNorm, constant_symbol, from_sympy, quantity_symbol, to_sympy
from tpl.limit.calculus import Atom, used_quantities
from tpl.limit.closed_forms import dual
from tpl.limit.formulas import sides
from tpl.limit.law import Law

ZERO_DIGITS = 30  # a number that is zero to so many digits is asked whether it is zero


class _NotExact(Exception):
    """A quantity without a closed form."""


def exact_value(law: Law, line: int) -> Any | None:
    """A scalar line's value in sympy at the values of the constants; None where a part has no closed form.

    A value without expectations keeps its constants: it is exact for all their values.
    """
    value = law.scalars[line]
    if not used_quantities([value]):
        return None if value.has(sympy.Float) else value
    constants: dict[Any, Any] = {}
    for name, expr in law.program.constants.items():
        constants[constant_symbol(name)] = to_sympy(expr).xreplace(constants)
    try:
        found = _Exact(law, constants).of(value)
    except (_NotExact, ArithmeticError, KeyError):
        return None
    return None if found.has(sympy.Float) or found.free_symbols else found


class _Exact:
    """Quantities in exact numbers, each found once."""

    def __init__(self, law: Law, constants: dict[Any, Any]):
        self.quantities = law.calculus.quantities
        self.constants = constants
        self.known: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        """A value over constants and quantities."""
        inside = {quantity_symbol(q): self.quantity(q) for q in sorted(used_quantities([value]))}
        found = value.xreplace({**self.constants, **inside})
        if found.has(LeastNorm):
            raise _NotExact
        return sympy.expand(found)

    def quantity(self, index: int) -> Any:
        if index not in self.known:
            definition = self.quantities[index].definition
            self.known[index] = self.atom(definition) if isinstance(definition, Atom) else self.of(definition)
        return self.known[index]

    def atom(self, atom: Atom) -> Any:
        """E F(u) G(v), by the formula of the pair; by that of one variable where u and v are dependent."""
        size = len(atom.covariance)
        if size > 2:
            raise _NotExact
        covariance = [[self.of(c) for c in row] for row in atom.covariance]
        first, last, both = covariance[0][0], covariance[-1][-1], covariance[-1][0]
        if any(_is_zero(v) for v in (first, last)):
            raise _NotExact  # nothing random is left: the law says so itself where it matters
        if size == 1:
            return self.formula(atom.integrand, ONE, first, sympy.S.One, sympy.S.Zero)
        if _is_zero(first * last - both**2):
            v = mul(from_sympy(both / first), ref(0))
            line = substitute(atom.integrand, lambda x: v if x == ref(1) else x)
            return self.formula(line, ONE, first, sympy.S.One, sympy.S.Zero)
        found = sides(atom.integrand, size)
        if found is None:
            raise _NotExact
        left, right = found
        return self.formula(left, right, first, last, both)

    def formula(self, left: Expr, right: Expr, first: Any, last: Any, both: Any) -> Any:
        left, right = self.closed(left), self.closed(right)
        found = dual(left, right)
        if found is None:
            raise _NotExact
        return sympy.expand(found.sympy(first, last, both))

    def closed(self, expr: Expr) -> Expr:
        """A side with numbers for its constants and quantities."""

        def leaf(x: Expr) -> Expr:
            if x.op == "quantity":
                return from_sympy(self.quantity(int(x.value)))  # type: ignore[arg-type]
            if x.op == "symbol" and x != symbol("pi"):
                return from_sympy(self.constants[constant_symbol(str(x.value))])
            return x

        return substitute(expr, leaf)


def _is_zero(value: Any) -> bool:
    """Raises _NotExact if that cannot be decided."""
    if value.is_Rational:
        return bool(value == 0)
    if abs(sympy.N(value, ZERO_DIGITS, maxn=200)) > sympy.Float(10) ** -(ZERO_DIGITS // 2):
        return False
    if sympy.simplify(value) == 0:
        return True
    raise _NotExact


__all__ = ["exact_value"]
