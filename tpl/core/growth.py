"""How fast expressions grow in their Gaussian arguments: the limit exists for ψ = e^{O(|z|^{2-ε})} (TP3 §2), not beyond.

`Growth.degree` is the power d of |z| with |ψ| = O(|z|^d), EXPONENTIAL for e^{O(|z|^{2-ε})}; `above` and `below` tell
whether ψ is bounded on that side. All three are upper estimates: a quotient counts as its numerator.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tpl.core.expr import Expr, evaluate, leaves

EXPONENTIAL = 1e6
_BOUNDED = {"tanh", "erf", "sigmoid", "sin", "cos", "arctan", "step", "sign"}
_NOT_NEGATIVE = {"abs", "relu", "softplus", "sqrt", "silu", "gelu"}  # the last two: bounded below all the same


class Growth(NamedTuple):
    degree: float
    above: bool = False
    below: bool = False


CONSTANT = Growth(0.0, True, True)
GAUSSIAN = Growth(1.0)


class TooFast(Exception):
    """An exponential of something that grows like a square, or faster."""


def growth(expr: Expr, arguments: Sequence[Growth], constants: Mapping[str, float]) -> Growth:
    """The growth of an expression whose ref(i) grows as arguments[i]. Raises TooFast."""
    memo: dict[int, Growth] = {}

    def walk(node: Expr) -> Growth:
        found = memo.get(id(node))
        if found is None:
            found = memo[id(node)] = _step(node, [walk(a) for a in node.args], arguments, constants)
        return found

    return walk(expr)


def _step(node: Expr, parts: list[Growth], arguments: Sequence[Growth], constants: Mapping[str, float]) -> Growth:
    op = node.op
    if op == "ref":
        return arguments[int(node.value)]  # type: ignore[arg-type]
    if not node.args or op in _BOUNDED or all(p is CONSTANT for p in parts):
        return CONSTANT
    rule = _RULES.get(op)
    if rule is not None:
        return rule(parts)
    if op in ("mul", "div"):
        return _product(node, parts, constants)
    if op == "pow":
        return _power(node, parts)
    degree = max(p.degree for p in parts) / (2 if op == "sqrt" else 1)
    return Growth(degree, all(p.above for p in parts), op in _NOT_NEGATIVE or all(p.below for p in parts))


def _sum(parts: list[Growth]) -> Growth:
    return Growth(max(p.degree for p in parts), all(p.above for p in parts), all(p.below for p in parts))


def _difference(parts: list[Growth]) -> Growth:
    return _sum([parts[0], _negated([parts[1]])])


def _negated(parts: list[Growth]) -> Growth:
    return Growth(parts[0].degree, parts[0].below, parts[0].above)


def _exponential(parts: list[Growth]) -> Growth:
    argument = parts[0]
    if argument.above:
        return CONSTANT
    if argument.degree >= 2:
        raise TooFast
    return Growth(EXPONENTIAL, False, True)


def _logarithm(parts: list[Growth]) -> Growth:
    return Growth(1.0 if parts[0].degree >= EXPONENTIAL else 0.5, parts[0].above, False)


def _product(node: Expr, parts: list[Growth], constants: Mapping[str, float]) -> Growth:
    varying = [i for i, p in enumerate(parts) if p is not CONSTANT]
    degree = parts[0].degree if node.op == "div" else sum(p.degree for p in parts)
    fixed = [a for i, a in enumerate(node.args) if i not in varying]
    if len(varying) != 1 or any(leaves(a, "ref") for a in fixed) or (node.op == "div" and varying == [1]):
        return Growth(degree, degree == 0, degree == 0)
    only = parts[varying[0]]
    try:
        negative = sum(evaluate(a, constants) < 0 for a in fixed) % 2 == 1
    except (KeyError, ArithmeticError, ValueError):
        return Growth(degree)
    return Growth(degree, only.below, only.above) if negative else Growth(degree, only.above, only.below)


def _power(node: Expr, parts: list[Growth]) -> Growth:
    exponent = node.args[1]
    if not exponent.is_number or parts[1] is not CONSTANT:
        return Growth(EXPONENTIAL, False, True)
    power = float(exponent.value)  # type: ignore[arg-type]
    if power <= 0:
        return Growth(0.0)
    even = power.is_integer() and int(power) % 2 == 0
    return Growth(power * parts[0].degree, parts[0].above and parts[0].below, even or parts[0].below)


_RULES: dict[str, Callable[[list[Growth]], Growth]] = {
    "add": _sum,
    "sub": _difference,
    "neg": _negated,
    "exp": _exponential,
    "log": _logarithm,
}
