"""Random variables Z as expressions over Gaussian leaves, and their expansion into terms.

A Z is an `Expr` whose `ref(i)` is the i-th Gaussian leaf and whose "quantity" leaves are deterministic numbers of the
limit (expectations). `expand` writes it as a sum of terms

    coefficient · Π leaf^k · Π opaque factor,

the coefficient a sympy expression over constants and quantities, the opaque factors nonlinear functions of leaves.
"""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import sympy

from tpl.core import expr as e
from tpl.core.expr import Expr, leaves
from tpl.core.functions import FUNCTIONS

MAX_TERMS = 400  # beyond this a product is kept as one opaque factor
MAX_POWER = 40


class Term(NamedTuple):
    """coefficient · Π leaf^power · Π factor."""

    coefficient: Any
    powers: tuple[tuple[int, int], ...] = ()
    factors: tuple[Expr, ...] = ()


def quantity(index: int) -> Expr:
    """The leaf that stands for a deterministic number of the limit."""
    return Expr("quantity", (), index)


@lru_cache(maxsize=None)
def quantity_symbol(index: int) -> sympy.Symbol:
    return sympy.Symbol(f"q{index}", real=True)


@lru_cache(maxsize=None)
def constant_symbol(name: str) -> Any:
    return sympy.pi if name == "pi" else sympy.Symbol(name, real=True)


_SYMPY = {
    "exp": sympy.exp, "log": sympy.log, "sqrt": sympy.sqrt, "abs": sympy.Abs, "sign": sympy.sign, "tanh": sympy.tanh,
    "erf": sympy.erf, "sin": sympy.sin, "cos": sympy.cos, "arctan": sympy.atan, "max": sympy.Max, "min": sympy.Min,
    "relu": lambda z: sympy.Max(z, 0), "step": lambda z: sympy.Heaviside(z, sympy.Rational(1, 2)),
}  # fmt: skip


def to_sympy(expr: Expr, leaf: Mapping[int, Any] | None = None) -> Any:
    """The sympy form of an expression; `leaf` gives that of a Gaussian leaf."""
    if expr.op == "number":
        value = expr.value
        return sympy.Rational(value.numerator, value.denominator) if isinstance(value, Fraction) else sympy.Float(value, 17)
    if expr.op == "symbol":
        return constant_symbol(str(expr.value))
    if expr.op == "quantity":
        return quantity_symbol(int(expr.value))  # type: ignore[arg-type]
    if expr.op == "ref":
        if leaf is None:
            raise KeyError("an expression with Gaussian leaves is no number")
        return leaf[int(expr.value)]  # type: ignore[arg-type]
    args = [to_sympy(a, leaf) for a in expr.args]
    if expr.op == "add":
        return sympy.Add(*args)
    if expr.op == "mul":
        return sympy.Mul(*args)
    if expr.op == "sub":
        return args[0] - args[1]
    if expr.op == "neg":
        return -args[0]
    if expr.op == "div":
        return args[0] / args[1]
    if expr.op == "pow":
        return args[0] ** args[1]
    function = _SYMPY.get(expr.op)
    return function(*args) if function is not None else sympy.Function(expr.op)(*args)


class Algebra:
    """Expansion of Z's, with a memory: lines share subexpressions."""

    def __init__(self) -> None:
        self._depends: dict[Expr, frozenset[int]] = {}
        self._terms: dict[Expr, tuple[Term, ...]] = {}

    def depends(self, expr: Expr) -> frozenset[int]:
        """The Gaussian leaves in an expression."""
        found = self._depends.get(expr)
        if found is None:
            found = self._depends[expr] = frozenset(int(v) for v in leaves(expr, "ref"))  # type: ignore[arg-type]
        return found

    def expand(self, expr: Expr) -> tuple[Term, ...]:
        """The terms of an expression, like ones collected."""
        found = self._terms.get(expr)
        if found is None:
            found = self._terms[expr] = collect(self._expand(expr))
        return found

    def _expand(self, expr: Expr) -> tuple[Term, ...]:
        if not self.depends(expr):
            return (Term(to_sympy(expr)),)
        if expr.op == "ref":
            return (Term(sympy.S.One, ((int(expr.value), 1),)),)  # type: ignore[arg-type]
        if expr.op == "add":
            return tuple(t for a in expr.args for t in self.expand(a))
        if expr.op == "sub":
            return self.expand(expr.args[0]) + scale(self.expand(expr.args[1]), sympy.S.NegativeOne)
        if expr.op == "neg":
            return scale(self.expand(expr.args[0]), sympy.S.NegativeOne)
        if expr.op == "mul":
            return self._product([self.expand(a) for a in expr.args], expr)
        if expr.op == "div":
            return self._quotient(expr)
        if expr.op == "pow":
            return self._power(expr)
        return (Term(sympy.S.One, (), (expr,)),)

    def _product(self, parts: list[tuple[Term, ...]], whole: Expr) -> tuple[Term, ...]:
        terms: tuple[Term, ...] = (Term(sympy.S.One),)
        for part in parts:
            if len(terms) * len(part) > MAX_TERMS:
                return (Term(sympy.S.One, (), (whole,)),)
            terms = tuple(multiply(a, b) for a in terms for b in part)
        return terms

    def _quotient(self, expr: Expr) -> tuple[Term, ...]:
        top, bottom = expr.args
        if not self.depends(bottom):
            return scale(self.expand(top), 1 / to_sympy(bottom))
        inverse = Term(sympy.S.One, (), (e.div(e.ONE, bottom),))
        if top.is_value(1):
            return (inverse,)
        return tuple(multiply(t, inverse) for t in self.expand(top))

    def _power(self, expr: Expr) -> tuple[Term, ...]:
        base, exponent = expr.args
        whole = exponent.is_number and isinstance(exponent.value, Fraction) and exponent.value.denominator == 1
        if whole and 0 < exponent.value <= MAX_POWER:  # type: ignore[operator]
            terms = self.expand(base)
            if terms != (Term(sympy.S.One, (), (base,)),):
                return self._product([terms] * int(exponent.value), expr)  # type: ignore[arg-type]
        return (Term(sympy.S.One, (), (expr,)),)


def multiply(a: Term, b: Term) -> Term:
    powers = Counter(dict(a.powers))
    powers.update(dict(b.powers))
    factors = tuple(sorted(a.factors + b.factors, key=_order))
    return Term(a.coefficient * b.coefficient, tuple(sorted(powers.items())), factors)


def _order(expr: Expr) -> tuple:
    return expr.size, e.show(expr, lambda i: f"z{i}")


def scale(terms: tuple[Term, ...], factor: Any) -> tuple[Term, ...]:
    return tuple(Term(t.coefficient * factor, t.powers, t.factors) for t in terms)


def collect(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Add up the coefficients of like terms; drop those that vanish."""
    total: dict[tuple, Any] = {}
    for t in terms:
        key = (t.powers, t.factors)
        total[key] = total[key] + t.coefficient if key in total else t.coefficient
    return tuple(Term(c, *key) for key, c in total.items() if c != 0)


# Parity of functions: f(-z) = ± f(z).
_ODD = {"tanh", "erf", "sin", "sign", "arctan"}
_EVEN = {"abs", "cos"}


def parity(expr: Expr, flipped: frozenset[int]) -> int | None:
    """±1 if the expression is even or odd under the joint change of sign of the `flipped` leaves; else None."""
    op, args = expr.op, expr.args
    if not args:
        return -1 if op == "ref" and expr.value in flipped else 1
    signs = [parity(a, flipped) for a in args]
    if all(p == 1 for p in signs):
        return 1
    if None in signs:
        return None
    if op in ("add", "sub", "neg"):
        return -1 if all(p == -1 for p in signs) else None
    if op in ("mul", "div"):
        return -1 if signs.count(-1) % 2 else 1
    if op == "pow" and signs[1] == 1 and args[1].is_number and float(args[1].value).is_integer():  # type: ignore[arg-type]
        return -1 if int(args[1].value) % 2 else 1  # type: ignore[arg-type]
    if op in _ODD:
        return -1
    return 1 if op in _EVEN else None


def differentiable(expr: Expr, leaf: int) -> bool:
    """Is the expression absolutely continuous in a leaf, so that its derivative almost everywhere is all of it?"""
    stack = [expr]
    while stack:
        node = stack.pop()
        if node.op in ("step", "sign") and leaf in (int(v) for v in leaves(node, "ref")):  # type: ignore[arg-type]
            return False
        stack.extend(node.args)
    return True


def is_smooth(expr: Expr) -> bool:
    """No kinks anywhere."""
    return all(FUNCTIONS[n].smooth or n in ("div", "sqrt", "log") for n in _functions(expr))


def _functions(expr: Expr) -> set[str]:
    found, stack = set(), [expr]
    while stack:
        node = stack.pop()
        if node.args:
            found.add(node.op)
            stack.extend(node.args)
    return found
