"""Is an elementwise expression infinitely differentiable on the whole space, and if not, what is in the way?

A function with kinks is smooth where its argument stays away from them, a quotient where its divisor does from 0:
|1 + z²|, log(1 + e^z) and 1/(2 + cos z) are smooth. Ranges are found by interval arithmetic, so what is called smooth
is smooth; an expression whose ranges are too wide is called kinked, and costs time only.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tpl.core.expr import Expr, evaluate, leaves, show
from tpl.core.functions import FUNCTIONS
from tpl.numeric.features import Analyst
from tpl.numeric.integrand import Integrand, values

SIGHT = 64.0  # kinks are named as far as this from 0
_ALWAYS_POSITIVE = {"exp", "sigmoid", "softplus"}
_RISING = _ALWAYS_POSITIVE | {"tanh", "erf", "arctan", "log", "sqrt", "sign", "step", "relu"}
_LEAST = {"silu": -0.2785, "gelu": -0.17005}  # a little below the minimum


@dataclass(frozen=True)
class Smoothness:
    """`reason`: "smooth: tanh, exp", or the first obstacle, "kink of relu at z = 1.5"."""

    smooth: bool
    reason: str


@dataclass(frozen=True)
class Range:
    """Values lie in [low, high]; `nonzero`: 0 is not among them, though it may be a limit."""

    low: float
    high: float
    nonzero: bool = False

    @property
    def misses_zero(self) -> bool:
        return self.nonzero or self.low > 0 or self.high < 0

    @property
    def positive(self) -> bool:
        return self.low >= 0 and self.misses_zero

    def misses(self, value: float) -> bool:
        return self.misses_zero if value == 0 else self.low > value or self.high < value


EVERYTHING = Range(-math.inf, math.inf)


def smoothness(expr: Expr, env: Mapping[str, float], known: Mapping[int, float]) -> Smoothness:
    """Of an expression over refs, with values of its constants and quantities; a quantity not known may be anything."""
    names: dict[str, None] = {}
    for node, _, obstacle in ranges(expr, env, known):
        if obstacle is not None:
            return Smoothness(False, _words(node, obstacle, expr, env, known))
        if node.args and not FUNCTIONS[node.op].operator:
            names[node.op] = None
    return Smoothness(True, "smooth: " + (", ".join(names) or "a polynomial or quotient"))


def ranges(
    expr: Expr, env: Mapping[str, float], known: Mapping[int, float]
) -> Iterator[tuple[Expr, Range, Expr | None]]:
    """Every node that varies, arguments first: its range, and an expression at whose zeros it is not smooth, if any."""
    found: dict[int, Range] = {}
    varying: dict[int, bool] = {}
    for node in _postorder(expr):
        inside = [found[id(a)] for a in node.args]
        varying[id(node)] = node.op == "ref" or any(varying[id(a)] for a in node.args)
        if not varying[id(node)]:
            found[id(node)] = _constant(node, env, known)
            continue
        found[id(node)] = _range(node, inside) if node.args else EVERYTHING
        yield node, found[id(node)], _obstacle(node, inside) if node.args else None


def _postorder(root: Expr) -> Iterator[Expr]:
    stack, seen = [(root, False)], set()
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((a, False) for a in node.args)


# ---------------------------------------------------------------------------------------------- obstacles


def _obstacle(node: Expr, inside: list[Range]) -> Expr | None:
    """An expression at whose zeros a node is not smooth, or None."""
    if node.op in ("max", "min"):
        return None if _difference(*inside).misses_zero else Expr("sub", node.args)
    if node.op == "div":
        return None if inside[1].misses_zero else node.args[1]
    if node.op in ("log", "sqrt"):
        return None if inside[0].positive else node.args[0]
    if node.op == "pow":
        return None if _is_smooth_power(node.args[1], inside) else node.args[0]
    kinks = FUNCTIONS[node.op].kinks
    if all(inside[0].misses(kink) for kink in kinks) and (kinks or FUNCTIONS[node.op].smooth):
        return None
    return node.args[0]


def _is_smooth_power(exponent: Expr, inside: list[Range]) -> bool:
    whole = inside[1].low == inside[1].high and inside[1].low.is_integer()
    if whole and not leaves(exponent, "ref"):
        return inside[1].low >= 0 or inside[0].misses_zero
    return inside[0].positive


def _words(node: Expr, obstacle: Expr, whole: Expr, env: Mapping[str, float], known: Mapping[int, float]) -> str:
    kinked = node.op in ("max", "min") or bool(FUNCTIONS[node.op].kinks)
    names = {"div": "a quotient", "pow": "a power"}
    what = f"kink of {node.op}" if kinked else f"singularity of {names.get(node.op, node.op)}"
    if any(int(v) not in known for v in leaves(obstacle, "quantity")):  # type: ignore[arg-type]
        return f"{what} somewhere"
    variables = [int(v) for v in leaves(obstacle, "ref")]  # type: ignore[arg-type]
    if len(variables) == 1 and len(leaves(whole, "ref")) == 1:
        factor = np.zeros((variables[0] + 1, 1))
        factor[variables[0]] = 1.0
        roots = Analyst(Integrand(whole, factor, env, known), SIGHT).roots(obstacle, (1.0,))
        zeros = [r + 0.0 for r in sorted(roots, key=abs) if _is_zero(obstacle, variables[0], r, env, known)]
        if zeros:
            return f"{what} at z = " + ", ".join(f"{r:.6g}" for r in zeros[:4]) + (", …" if len(zeros) > 4 else "")
    return f"{what} where {show(obstacle, lambda i: f'z{i}')} = 0"


def _is_zero(obstacle: Expr, variable: int, root: float, env: Mapping[str, float], known: Mapping[int, float]) -> bool:
    """Whether a root of some part is one of the whole: it vanishes there, or changes its sign."""
    points = np.zeros((variable + 1, 3))
    points[variable] = root + np.array([-1e-6, 0.0, 1e-6]) * max(1.0, abs(root))
    before, at, after = values(obstacle, points, env, known)
    return bool(abs(at) <= 1e-9 * max(abs(before), abs(after)) or before * after < 0 or at == 0)


# ---------------------------------------------------------------------------------------------- ranges


def _constant(node: Expr, env: Mapping[str, float], known: Mapping[int, float]) -> Range:
    if any(int(v) not in known for v in leaves(node, "quantity")):  # type: ignore[arg-type]
        return EVERYTHING
    try:
        value = _value(node, env, known)
    except (ArithmeticError, ValueError, KeyError):
        return EVERYTHING
    return Range(value, value) if math.isfinite(value) else EVERYTHING


def _value(node: Expr, env: Mapping[str, float], known: Mapping[int, float]) -> float:
    if node.op == "quantity":
        return known[int(node.value)]  # type: ignore[arg-type]
    if not node.args:
        return evaluate(node, env)
    return float(FUNCTIONS[node.op].scalar(*(_value(a, env, known) for a in node.args)))


def _range(node: Expr, inside: list[Range]) -> Range:
    op, first = node.op, inside[0]
    if op == "add":
        return _sum(inside)
    if op == "sub":
        return _difference(*inside)
    if op == "neg":
        return Range(-first.high, -first.low, first.nonzero)
    if op == "mul":
        return _product(node, inside)
    if op == "div":
        return _quotient(*inside)
    if op == "pow":
        return _power(*inside)
    if op in ("max", "min"):
        ends = max if op == "max" else min
        return Range(ends(x.low for x in inside), ends(x.high for x in inside))
    if op == "abs":
        least = 0.0 if first.low <= 0 <= first.high else min(abs(first.low), abs(first.high))
        return Range(least, max(abs(first.low), abs(first.high)), first.misses_zero)
    if op in ("sin", "cos"):
        return Range(-1.0, 1.0)
    if op in _LEAST:
        return Range(min(0.0, max(first.low, _LEAST[op])), max(0.0, first.high), first.misses_zero)
    if op in _RISING:
        nonzero = op in _ALWAYS_POSITIVE or (op in ("tanh", "erf", "arctan", "sqrt") and first.misses_zero)
        return Range(_limit(op, first.low, -math.inf), _limit(op, first.high, math.inf), nonzero)
    return EVERYTHING


def _limit(op: str, at: float, otherwise: float) -> float:
    """A rising function at an end of a range."""
    try:
        with np.errstate(all="ignore"):
            value = float(FUNCTIONS[op].array(np.float64(at)))  # type: ignore[arg-type]
    except (ArithmeticError, ValueError):
        return otherwise
    return otherwise if math.isnan(value) else value


def _sum(inside: list[Range]) -> Range:
    low, high = sum(x.low for x in inside), sum(x.high for x in inside)
    one_sided = all(x.low >= 0 for x in inside) or all(x.high <= 0 for x in inside)
    return Range(low, high, one_sided and any(x.misses_zero for x in inside))


def _difference(a: Range, b: Range) -> Range:
    return _sum([a, Range(-b.high, -b.low, b.nonzero)])


def _product(node: Expr, inside: list[Range]) -> Range:
    nonzero = all(x.misses_zero for x in inside)
    if len(inside) == 2 and node.args[0] == node.args[1]:
        return _power(inside[0], Range(2.0, 2.0))
    found = inside[0]
    for x in inside[1:]:
        ends = [_times(a, b) for a in (found.low, found.high) for b in (x.low, x.high)]
        found = Range(min(ends), max(ends))
    return Range(found.low, found.high, nonzero)


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _quotient(a: Range, b: Range) -> Range:
    if not b.misses_zero:
        return EVERYTHING
    ends = sorted(math.copysign(math.inf, side) if end == 0 else 1 / end for end, side in ((b.low, 1), (b.high, -1)))
    reciprocal = Range(ends[0], ends[1])
    if b.low < 0 < b.high:
        return Range(-math.inf, math.inf, a.misses_zero)
    ends = [_times(x, y) for x in (a.low, a.high) for y in (reciprocal.low, reciprocal.high)]
    return Range(min(ends), max(ends), a.misses_zero)


def _power(base: Range, exponent: Range) -> Range:
    k = exponent.low
    if k != exponent.high or not k.is_integer() or k < 0:
        return Range(0.0, math.inf, True) if base.positive else EVERYTHING
    with np.errstate(all="ignore"):
        ends = sorted(float(np.float64(x) ** k) for x in (base.low, base.high))
    low = 0.0 if k % 2 == 0 and base.low < 0 < base.high else ends[0]
    return Range(low, ends[1], base.misses_zero)
