"""How a function of one variable behaves at ±∞: powers of |x| with coefficients, and the order of what is left out.

φ(x) = Σ_k c_k t^k + O(t^error) with t = |x| → ∞, the error possibly -∞: smaller than any power. tanh(x) is 1 up to
e^{-2x}, so x (1 - tanh(x)) has no terms at all, where interval arithmetic sees ∞ · 0. Expansions are of the real
function on one side; coefficients are floats, and those within 1e-12 of cancelling are taken to cancel.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tpl.core.expr import Expr, evaluate, number
from tpl.core.functions import BUILTIN_CONSTANTS, FUNCTIONS

LOWEST = -6.0  # powers below this are not kept
_CANCELLED = 1e-12
_MOST_TERMS = 40  # of a series


@dataclass(frozen=True)
class Tail:
    """terms: coefficients by powers, none of them 0. error: the order of what is not in them.

    huge: grows faster than every power instead, and neither changes sign nor comes back.
    """

    terms: Mapping[float, float]
    error: float = -math.inf
    huge: bool = False

    @property
    def degree(self) -> float:
        """The greatest power; -∞ for what vanishes faster than any."""
        return math.inf if self.huge else max(self.terms, default=-math.inf)

    @property
    def order(self) -> float:
        """|φ(x)| = O(t^order)."""
        return max(self.degree, self.error)

    @property
    def leads(self) -> bool:
        """Is the leading term known?"""
        return self.huge or self.degree > self.error

    @property
    def leading(self) -> float:
        return self.terms[self.degree]

    @property
    def polynomial(self) -> bool:
        """A polynomial up to less than any power."""
        return not self.huge and self.error == -math.inf and all(k >= 0 and k.is_integer() for k in self.terms)


HUGE = Tail({}, huge=True)
VANISHING = Tail({})
BOUNDED = Tail({}, 0.0)


def constant(value: float) -> Tail:
    return Tail({0.0: value} if value else {})


def tail(expr: Expr, env: Mapping[str, float], side: int) -> Tail | None:
    """Of an expression over one variable, at side · ∞ (side ±1); None where this calculus does not tell.

    None, too, where a constant has no value. The function may be anything at finite x.
    """
    env = {**BUILTIN_CONSTANTS, **env}
    memo: dict[int, Tail | None] = {}

    def walk(node: Expr) -> Tail | None:
        if id(node) not in memo:
            memo[id(node)] = step(node)
        return memo[id(node)]

    def step(node: Expr) -> Tail | None:
        if node.op == "ref":
            return Tail({1.0: float(side)})
        if not node.args:
            return _guarded(lambda: constant(evaluate(node, env)))
        inside = [walk(a) for a in node.args]
        if any(x is None for x in inside):
            return None
        return _guarded(lambda: _rule(node.op, [x for x in inside if x is not None]))

    return walk(expr)


def _guarded(find: Callable[[], Tail | None]) -> Tail | None:
    try:
        found = find()
    except (ArithmeticError, ValueError, KeyError):
        return None
    return found if found is None or all(map(math.isfinite, found.terms.values())) else None


def _rule(op: str, inside: list[Tail]) -> Tail | None:
    if op == "add":
        return _sum(inside)
    if op == "sub":
        return _sum([inside[0], _scaled(inside[1], -1.0)])
    if op == "neg":
        return _scaled(inside[0], -1.0)
    if op == "mul":
        return _product(inside)
    if op == "div":
        reciprocal = _power(inside[1], -1.0)
        return None if reciprocal is None else _product([inside[0], reciprocal])
    if op == "pow":
        exponent = inside[1]
        return _power(inside[0], exponent.terms.get(0.0, 0.0)) if _is_constant(exponent) else None
    if op == "sqrt":
        return _power(inside[0], 0.5)
    if op in ("max", "min"):
        return _extreme(inside, 1.0 if op == "max" else -1.0)
    return _function(op, inside[0])


def _is_constant(x: Tail) -> bool:
    return not x.huge and x.error == -math.inf and set(x.terms) <= {0.0}


# ---------------------------------------------------------------------------------------------- arithmetic


def _collect(parts: Sequence[tuple[float, float]], error: float) -> Tail:
    """Terms (power, coefficient), added; what cancels, and what is below the error, is dropped."""
    totals: dict[float, float] = {}
    sizes: dict[float, float] = {}
    for power, coefficient in parts:
        totals[power] = totals.get(power, 0.0) + coefficient
        sizes[power] = sizes.get(power, 0.0) + abs(coefficient)
    kept = {k: c for k, c in totals.items() if abs(c) > _CANCELLED * sizes[k]}
    cut = [k for k in kept if k < LOWEST]
    error = max([error, *cut])
    return Tail({k: c for k, c in kept.items() if k > error}, error)


def _scaled(x: Tail, factor: float) -> Tail:
    return x if x.huge else Tail({k: c * factor for k, c in x.terms.items()}, x.error)


def _sum(parts: Sequence[Tail]) -> Tail | None:
    huge = sum(x.huge for x in parts)
    if huge:
        return HUGE if huge == 1 else None
    return _collect([t for x in parts for t in x.terms.items()], max(x.error for x in parts))


def _product(parts: Sequence[Tail]) -> Tail | None:
    if any(x.huge for x in parts):
        return HUGE if all(x.leads for x in parts) else None
    found = parts[0]
    for x in parts[1:]:
        terms = [(k + m, c * d) for k, c in found.terms.items() for m, d in x.terms.items()]
        found = _collect(terms, max(_plus(found.order, x.error), _plus(found.error, x.order)))
    return found


def _plus(a: float, b: float) -> float:
    return -math.inf if -math.inf in (a, b) else a + b


def _power(x: Tail, exponent: float) -> Tail | None:
    """x ^ exponent: c t^d (1 + ε)^exponent, the bracket by its binomial series."""
    if exponent == 0:
        return constant(1.0)
    if x.huge:
        return HUGE if exponent > 0 else VANISHING
    if exponent.is_integer() and 0 < exponent <= 64:
        return _product([x] * int(exponent))
    if not x.leads or not x.terms or (x.leading < 0 and not exponent.is_integer()):
        return None
    lead, degree = x.leading, x.degree
    rest = [(k - degree, c / lead) for k, c in x.terms.items() if k != degree]
    small = _collect(rest, _plus(x.error, -degree))
    series = _series(small, lambda k: math.prod((exponent - i) / (i + 1) for i in range(k)))
    return _product([Tail({degree * exponent: lead**exponent}), series])


def _series(small: Tail, coefficient: Callable[[int], float]) -> Tail:
    """Σ_k coefficient(k) small^k, for small of negative order."""
    if small.order == -math.inf:
        return constant(coefficient(0))
    count = min(_MOST_TERMS, max(2, math.ceil((LOWEST - 2) / small.order)))
    total, current = constant(coefficient(0)), constant(1.0)
    for k in range(1, count + 1):
        current = _finite(_product([current, small]))
        total = _finite(_sum([total, _scaled(current, coefficient(k))]))
    return _collect(list(total.terms.items()), max(total.error, small.order * (count + 1)))


def _finite(x: Tail | None) -> Tail:
    assert x is not None
    return x


def _extreme(inside: list[Tail], sign: float) -> Tail | None:
    difference = _sum([inside[0], _scaled(inside[1], -1.0)]) if not any(x.huge for x in inside) else None
    if difference is None or not (difference.leads and difference.terms):
        return None
    return inside[0] if difference.leading * sign > 0 else inside[1]


# ---------------------------------------------------------------------------------------------- functions


def _identity(x: Tail) -> Tail:
    return x


def _limit(value: float) -> Callable[[Tail], Tail]:
    return lambda x: constant(value)


def _arctan(x: Tail, limit: float) -> Tail | None:
    """limit - arctan(1/x)."""
    reciprocal = _power(x, -1.0)
    if reciprocal is None:
        return None
    odd = _series(reciprocal, lambda k: 0.0 if k % 2 == 0 else -((-1.0) ** (k // 2)) / k)
    return _sum([constant(limit), odd])


# What a function of something tends to as that goes to -∞ and to ∞, up to less than any power where that grows as one.
_ENDS: dict[str, tuple[Callable[[Tail], Tail | None], Callable[[Tail], Tail | None]]] = {
    "tanh": (_limit(-1.0), _limit(1.0)),
    "erf": (_limit(-1.0), _limit(1.0)),
    "sign": (_limit(-1.0), _limit(1.0)),
    "step": (_limit(0.0), _limit(1.0)),
    "sigmoid": (_limit(0.0), _limit(1.0)),
    "relu": (_limit(0.0), _identity),
    "softplus": (_limit(0.0), _identity),
    "silu": (_limit(0.0), _identity),
    "gelu": (_limit(0.0), _identity),
    "abs": (partial(_scaled, factor=-1.0), _identity),
    "arctan": (partial(_arctan, limit=-math.pi / 2), partial(_arctan, limit=math.pi / 2)),
    "exp": (_limit(0.0), lambda x: HUGE),
}


_BY_SIGN = {"sign", "step", "relu", "abs"}  # linear on either side of 0: what vanishes has an end of them too
_BOUNDED = {"sin", "cos", "tanh", "erf", "sigmoid", "arctan", "sign", "step"}


def _function(op: str, x: Tail) -> Tail | None:
    if x.huge:
        return None
    if x.leads and op in _ENDS and (x.degree > 0 or (op in _BY_SIGN and x.terms)):
        return _ENDS[op][x.leading > 0](x)
    if x.order > 0 or x.error == 0:
        return BOUNDED if op in _BOUNDED else None
    return _near(op, x)


def _near(op: str, x: Tail) -> Tail | None:
    """A function of what has a limit: its value there, up to the order of what is beside it."""
    limit = x.terms.get(0.0, 0.0)
    if limit in FUNCTIONS[op].kinks:
        return None
    beside = max([x.error, *(k for k in x.terms if k < 0)])
    value = constant(float(FUNCTIONS[op].scalar(limit)))
    if not value.terms and x.leads and beside > -math.inf:
        return _from_zero(op, limit, x)
    return Tail(value.terms, beside) if beside > -math.inf else value


def _from_zero(op: str, limit: float, x: Tail) -> Tail:
    """A function that vanishes at a limit, beside it: its slope there times what is beside it, up to the square of that."""
    beside = _collect([(k, c) for k, c in x.terms.items() if k < 0], x.error)
    (derivative,) = FUNCTIONS[op].partials(number(limit))
    slope = evaluate(derivative, BUILTIN_CONSTANTS)
    linear = _scaled(beside, slope)
    return _collect(list(linear.terms.items()), max(linear.error, 2 * beside.order))
