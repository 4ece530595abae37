"""Constants of an expression in numbers: double-double (so that 1/√2 squared is 1/2) or sympy.

A constant is an expression without references. Its named leaves are symbols, and quantities, which are named q0, q1, ….
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from tpl.core.expr import Expr, leaves
from tpl.core.functions import FUNCTIONS
from tpl.limit.closed_forms import double2 as d2
from tpl.limit.closed_forms.double2 import Double2

NAMED = ("symbol", "quantity")


def leaf_name(leaf: Expr) -> str:
    return f"q{leaf.value}" if leaf.op == "quantity" else str(leaf.value)


def is_closed(constant: Expr) -> bool:
    """No named leaves but pi."""
    return not leaves(constant, "quantity") and leaves(constant, "symbol").keys() <= {"pi"}


def sign_of(constant: Expr) -> int | None:
    """The sign, if there are no named leaves."""
    if constant.is_number:
        return int(np.sign(float(constant.value)))  # type: ignore[arg-type]
    return int(np.sign(to_double2(constant, {}).hi)) if is_closed(constant) else None


def same(a: Expr, b: Expr) -> bool:
    """Equal as written, or the same number to 28 digits."""
    if a == b:
        return True
    return is_closed(a) and is_closed(b) and close(to_double2(a, {}), to_double2(b, {}))


def close(a: Double2, b: Double2) -> bool:
    difference = abs((a - b).to_float())
    return bool(difference <= 1e-28 * abs(a.hi))


_ARITHMETIC: dict[str, Callable[..., Double2]] = {
    "add": lambda *a: sum(a, Double2(0.0)),
    "sub": lambda a, b: a - b,
    "neg": lambda a: -a,
    "mul": lambda *a: _product(a),
    "div": lambda a, b: a / b,
    "abs": abs,
    "exp": d2.exp,
    "sin": lambda a: d2.cos_sin(a)[1],
    "cos": lambda a: d2.cos_sin(a)[0],
    "erf": d2.erf,
}  # fmt: skip


def _product(factors: tuple[Double2, ...]) -> Double2:
    result = Double2(1.0)
    for a in factors:
        result = result * a
    return result


def to_double2(constant: Expr, env: Mapping[str, float]) -> Double2:
    """A scalar. Raises KeyError for an unknown name, ArithmeticError or ValueError where arithmetic does."""

    def leaf(node: Expr) -> Double2:
        if node.op in NAMED:
            return d2.PI if node.value == "pi" else Double2(float(env[leaf_name(node)]))
        number = d2.lift(node.value)
        assert number is not None, node
        return number

    with np.errstate(all="ignore"):
        result = _fold(constant, leaf, _apply_double2)
    if not np.isfinite(result.hi):
        raise ArithmeticError("a constant is not a finite number")
    return result


def _fold(constant: Expr, leaf: Callable[[Expr], Any], combine: Callable[..., Any]) -> Any:
    """Evaluate from the leaves up, shared subtrees once."""
    memo: dict[int, Any] = {}

    def walk(node: Expr) -> Any:
        found = memo.get(id(node))
        if found is None:
            found = memo[id(node)] = combine(node.op, *map(walk, node.args)) if node.args else leaf(node)
        return found

    return walk(constant)


def _apply_double2(op: str, *args: Double2) -> Double2:
    if op == "sqrt" and args[0].hi >= 0:
        return d2.sqrt(args[0])
    if op == "pow":
        exponent = args[1].to_float()
        if exponent.is_integer() and abs(exponent) < 1000:
            return args[0] ** int(exponent)
        if (2 * exponent).is_integer() and abs(exponent) < 1000 and args[0].hi >= 0:
            return d2.sqrt(args[0]) ** int(2 * exponent)
    if op in _ARITHMETIC:
        return _ARITHMETIC[op](*args)
    return Double2(float(FUNCTIONS[op].scalar(*(float(a.to_float()) for a in args))))


def to_sympy(constant: Expr, symbols: Mapping[str, Any]) -> Any:
    """A sympy expression; KeyError for a name that `symbols` lacks."""
    import sympy

    functions = _sympy_functions()

    def leaf(node: Expr) -> Any:
        if node.op in NAMED:
            return sympy.pi if node.value == "pi" else symbols[leaf_name(node)]
        value = node.value
        if isinstance(value, Fraction):
            return sympy.Rational(value.numerator, value.denominator)
        return sympy.Float(value, 17)

    def combine(op: str, *args: Any) -> Any:
        return functions[op](*args) if op in functions else sympy.Function(op)(*args)

    return _fold(constant, leaf, combine)


def _sympy_functions() -> dict[str, Callable[..., Any]]:
    import sympy

    half = sympy.Rational(1, 2)
    return {
        "add": sympy.Add, "mul": sympy.Mul, "sub": lambda a, b: a - b, "neg": lambda a: -a, "div": lambda a, b: a / b,
        "pow": sympy.Pow, "exp": sympy.exp, "log": sympy.log, "sqrt": sympy.sqrt, "abs": sympy.Abs, "sign": sympy.sign,
        "max": sympy.Max, "min": sympy.Min, "tanh": sympy.tanh, "erf": sympy.erf, "sin": sympy.sin, "cos": sympy.cos,
        "arctan": sympy.atan, "relu": lambda z: sympy.Max(z, 0), "step": lambda z: sympy.Heaviside(z, half),
        "gelu": lambda z: z * (1 + sympy.erf(z / sympy.sqrt(2))) / 2,
    }  # fmt: skip
