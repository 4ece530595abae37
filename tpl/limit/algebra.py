"""Random variables Z as expressions over Gaussian leaves, and their expansion into terms.

A Z is an `Expr` whose `ref(i)` is the i-th Gaussian leaf and whose "quantity" leaves are deterministic numbers of the
limit (expectations). `expand` writes it as a sum of terms

    coefficient · Π leaf^k · Π opaque factor,

the coefficient a sympy expression over constants and quantities, the opaque factors nonlinear functions of leaves.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache, reduce
from typing import Any, NamedTuple

import sympy

from tpl.core import expr as e
from tpl.core.expr import Expr, leaves
from tpl.core.program import Line

MAX_TERMS = 2000  # beyond this a product is kept as one opaque factor
MAX_APART = 16  # beyond this terms that are integrated over the same one or two leaves stay together
MAX_POWER = 10_000  # of a product of Gaussians: beyond, its moments are no doubles
MAX_POWER_OF_FUNCTIONS = 40  # of a sum that holds other functions


class NoLaw(ArithmeticError):
    """What a program computes has no limit: a division by zero, say, or the logarithm of a negative number.

    line: the core line at which that shows, where it is known.
    """

    def __init__(self, message: str, line: Line | None = None):
        super().__init__(message)
        self.line = line

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.line is None else f"line {self.line.name}: {message}"

    @property
    def message(self) -> str:
        """What happened, without the line's name."""
        return super().__str__()


class NoExpectation(NoLaw):
    """An expectation of the limit that does not exist."""


class NotReal(NoLaw):
    """A value with no real number for it, with positive probability: the logarithm of a negative number, say."""


class NoNumber(NoLaw):
    """A function of numbers has no value where they tend to: 1/0, log(0), sqrt(-1)."""


class TooLarge(NoLaw):
    """A number of the limit that exists, but that no double holds."""


class Term(NamedTuple):
    """coefficient · Π leaf^power · Π factor."""

    coefficient: Any
    powers: tuple[tuple[int, int], ...] = ()
    factors: tuple[Expr, ...] = ()


def quantity(index: int) -> Expr:
    """The leaf that stands for a deterministic number of the limit."""
    return Expr("quantity", (), index)


@cache
def quantity_symbol(index: int) -> sympy.Symbol:
    return sympy.Symbol(f"q{index}", real=True)


@cache
def constant_symbol(name: str) -> Any:
    """The symbol of a user's constant; one that is called like a quantity gets an underscore more."""
    return sympy.pi if name == "pi" else sympy.Symbol(re.sub(r"^(q\d+_*)$", r"\1_", name), real=True)


@cache
def constant_name(symbol: Any) -> str:
    """The user's name of a constant."""
    return re.sub(r"^(q\d+_*)_$", r"\1", str(symbol))


def quantity_index(symbol: Any) -> int | None:
    """Which quantity a symbol stands for, if any."""
    name = symbol.name if symbol.is_Symbol else ""
    return int(name[1:]) if name[:1] == "q" and name[1:].isdigit() else None


class Ratio(sympy.Function):
    """c / v for a covariance c and a variance v; 0 where v vanishes, as c then does too."""

    @classmethod
    def eval(cls, c: Any, v: Any) -> Any:
        if c == 0 or v == 0:
            return sympy.S.Zero
        quotient = c / v
        return quotient if v.is_number or quotient.is_number else None

    def _sympystr(self, printer: Any) -> str:
        return str(printer._print(self.args[0] / self.args[1]))

    def _latex(self, printer: Any) -> str:
        return str(printer._print(self.args[0] / self.args[1]))


class LeastNorm(sympy.Function):
    """One component of the least solution a of G a = c: args (component, size, *G by rows, *c)."""

    @property
    def system(self) -> tuple[int, int, tuple[Any, ...], tuple[Any, ...]]:
        """Component, size, entries of G by rows, right side."""
        size = int(self.args[1])
        return int(self.args[0]), size, self.args[2 : 2 + size * size], self.args[2 + size * size :]


_SYMPY: dict[str, Callable[..., Any]] = {
    "add": sympy.Add, "mul": sympy.Mul, "sub": lambda a, b: a - b, "neg": lambda a: -a, "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "exp": sympy.exp, "log": sympy.log, "sqrt": sympy.sqrt, "abs": sympy.Abs, "sign": sympy.sign, "tanh": sympy.tanh,
    "erf": sympy.erf, "sin": sympy.sin, "cos": sympy.cos, "arctan": sympy.atan, "max": sympy.Max, "min": sympy.Min,
    "relu": lambda z: sympy.Max(z, 0), "step": lambda z: sympy.Heaviside(z, sympy.Rational(1, 2)),
}  # fmt: skip


def apply_sympy(op: str, *args: Any) -> Any:
    """A function of the registry on sympy numbers. Raises NoLaw where it has no real value."""
    function = _SYMPY.get(op)
    value = function(*args) if function is not None else sympy.Function(op)(*args)
    if value.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo, sympy.I):
        what = "a division by 0" if op == "div" and args[1] == 0 else f"{op} of {', '.join(map(str, args))}"
        raise NoNumber(f"{what} is not a number")
    return value


def to_sympy(expr: Expr, leaf: Mapping[int, Any] | None = None) -> Any:
    """The sympy form of an expression; `leaf` gives that of a Gaussian leaf."""
    if expr.op == "number":
        value = expr.value
        if isinstance(value, Fraction):
            return sympy.Rational(value.numerator, value.denominator)
        return sympy.Float(value, 17)
    if expr.op == "symbol":
        return constant_symbol(str(expr.value))
    if expr.op == "quantity":
        return quantity_symbol(int(expr.value))  # type: ignore[arg-type]
    if expr.op == "ref":
        if leaf is None:
            raise KeyError("an expression with Gaussian leaves is no number")
        return leaf[int(expr.value)]  # type: ignore[arg-type]
    return apply_sympy(expr.op, *(to_sympy(a, leaf) for a in expr.args))


def from_sympy(value: Any) -> Expr:
    """The expression of a sympy number over constants and quantities."""
    if value.is_Rational:
        return e.number(Fraction(int(value.p), int(value.q)))
    if value.is_Float:
        return e.number(float(value))
    if value.is_Symbol or value is sympy.pi:
        index = quantity_index(value)
        return quantity(index) if index is not None else e.symbol(constant_name(value))
    if value is sympy.E:
        return e.apply("exp", e.ONE)
    args = [from_sympy(a) for a in value.args]
    if value.is_Pow:
        return e.apply("sqrt", args[0]) if value.exp == sympy.Rational(1, 2) else e.power(*args)
    name = type(value).__name__
    if name == "Heaviside":
        return e.apply("step", args[0])
    if name in ("Max", "Min"):
        return reduce(lambda a, b: e.apply(name.lower(), a, b), args)
    return e.apply(_REGISTRY.get(name, name), *args)


_REGISTRY = {"Add": "add", "Mul": "mul", "Abs": "abs", "atan": "arctan"}


class Algebra:
    """Expansion of Z's, with a memory: lines share subexpressions.

    vanishes: is a coefficient 0, though it does not look like it?
    """

    def __init__(self, vanishes: Callable[[Any], bool] = lambda coefficient: False) -> None:
        self._vanishes = vanishes
        self._depends: dict[Expr, frozenset[int]] = {}
        self._terms: dict[Expr, tuple[Term, ...]] = {}
        self._numbers: dict[Expr, int] = {}
        self._interned: dict[Expr, Expr] = {}
        self._known: set[int] = set()  # the identities of those

    def intern(self, expr: Expr) -> Expr:
        """The same expression, its equal parts being one object: comparing such expressions takes no time."""
        memo: dict[int, Expr] = {}

        def walk(node: Expr) -> Expr:
            if id(node) in self._known:
                return node
            found = memo.get(id(node))
            if found is None:
                args = tuple(map(walk, node.args))
                same = all(a is b for a, b in zip(args, node.args, strict=True))
                found = node if same else Expr(node.op, args, node.value)
                found = memo[id(node)] = self._interned.setdefault(found, found)
                self._known.add(id(found))
            return found

        return walk(expr)

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
            found = self._terms[expr] = self._untangled(expr, collect(self._expand(expr), self._vanishes))
        return found

    def constant(self, expr: Expr) -> Any | None:
        """The value of an expression in which all leaves cancel; None if they do not."""
        if not self.depends(expr):
            return to_sympy(expr)
        terms = self.expand(expr)
        if any(t.powers or t.factors for t in terms):
            return None
        return sympy.Add(*(t.coefficient for t in terms))

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
        return self._opaque(expr)

    def _opaque(self, expr: Expr) -> tuple[Term, ...]:
        """A function that stays as it is, unless all of its arguments are numbers."""
        arguments = [self.constant(a) for a in expr.args]
        if all(a is not None for a in arguments):
            return (Term(apply_sympy(expr.op, *arguments)),)
        self._numbers.setdefault(expr, len(self._numbers))
        return (Term(sympy.S.One, (), (expr,)),)

    def _product(self, parts: list[tuple[Term, ...]], whole: Expr) -> tuple[Term, ...]:
        terms: tuple[Term, ...] = (Term(sympy.S.One),)
        for part in parts:
            if len(terms) * len(part) > MAX_TERMS:
                return self._opaque(whole)
            terms = collect(tuple(self._multiply(a, b) for a in terms for b in part), self._vanishes)
        return terms

    def _multiply(self, a: Term, b: Term) -> Term:
        powers = a.powers or b.powers
        if a.powers and b.powers:
            total = Counter(dict(a.powers))
            total.update(dict(b.powers))
            powers = tuple(sorted(total.items()))
        factors = a.factors or b.factors
        if a.factors and b.factors:
            factors = tuple(sorted(a.factors + b.factors, key=self._numbers.__getitem__))
        return Term(a.coefficient * b.coefficient, powers, factors)

    def _quotient(self, expr: Expr) -> tuple[Term, ...]:
        top, bottom = expr.args
        divisor = self.constant(bottom)
        if divisor is not None:
            return scale(self.expand(top), apply_sympy("div", sympy.S.One, divisor))
        (inverse,) = self._opaque(self.intern(e.div(e.ONE, bottom)))
        if top.is_value(1):
            return (inverse,)
        return tuple(self._multiply(t, inverse) for t in self.expand(top))

    def _power(self, expr: Expr) -> tuple[Term, ...]:
        base, exponent = expr.args
        whole = exponent.is_number and isinstance(exponent.value, Fraction) and exponent.value.denominator == 1
        if whole and 0 < exponent.value <= MAX_POWER:  # type: ignore[operator]
            terms, power = self.expand(base), int(exponent.value)  # type: ignore[arg-type]
            if not terms:  # a power of what is 0
                return ()
            if len(terms) == 1 and not terms[0].factors:
                ((coefficient, powers, _),) = terms
                return (Term(coefficient**power, tuple((i, k * power) for i, k in powers)),)
            if not any(t.factors for t in terms):
                if math.comb(power + len(terms) - 1, power) <= MAX_TERMS:
                    return collect(tuple(self._multinomial(terms, power)), self._vanishes)
            elif power <= MAX_POWER_OF_FUNCTIONS and terms != (Term(sympy.S.One, (), (base,)),):
                return self._product([terms] * power, expr)
        return self._opaque(expr)

    def _multinomial(self, terms: tuple[Term, ...], power: int) -> Iterator[Term]:
        """The terms of a sum of products of leaves to a power."""
        (coefficient, powers, _), *others = terms
        for k in range(power + 1) if others else (power,):
            first = Term(coefficient**k * math.comb(power, k), tuple((i, m * k) for i, m in powers if k))
            if k == power:
                yield first
            else:
                yield from (self._multiply(first, rest) for rest in self._multinomial(tuple(others), power - k))

    def _untangled(self, expr: Expr, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        """Add up terms that could only be integrated over the same three or more leaves, all held by one factor.

        Over one or two leaves a term apart may have a closed form; so only many of them stay together, such as those of
        the derivative of tanh(tanh(… tanh(u))), twice as many with every tanh.
        """
        support = self.depends(expr)
        if len(terms) < 2 or len(support) < 3:
            many = len(terms) > MAX_APART and any(self.depends(f) == support for t in terms for f in t.factors)
            return self._opaque(expr) if many else terms
        classes: dict[tuple, list[Term]] = {}
        for t in terms:
            classes.setdefault(self._tangle(t), []).append(t)
        if len(classes) == len(terms):
            return terms
        return tuple(u for key, members in classes.items() for u in self._merged(expr, key, members, len(classes)))

    def _tangle(self, term: Term) -> tuple:
        """What terms must share to be added up: the leaves of their largest factor, and the powers of other leaves."""
        largest = max((self.depends(f) for f in term.factors), key=len, default=frozenset())
        if len(largest) < 3 or any(not self.depends(f) <= largest for f in term.factors):
            return term.powers, term.factors
        return tuple(p for p in term.powers if p[0] not in largest), largest

    def _merged(self, expr: Expr, key: tuple, members: list[Term], classes: int) -> tuple[Term, ...]:
        if len(members) == 1:
            return tuple(members)
        outside, support = key
        if classes == 1 and not outside:
            return self._opaque(expr)
        inside = [tuple(p for p in t.powers if p[0] in support) for t in members]
        texts = (written(t.coefficient, p, t.factors) for t, p in zip(members, inside, strict=True))
        whole = self.intern(e.add(*texts))
        self._numbers.setdefault(whole, len(self._numbers))
        return (Term(sympy.S.One, outside, (whole,)),)


def written(coefficient: Any, powers: tuple[tuple[int, int], ...], factors: tuple[Expr, ...]) -> Expr:
    """A term as an expression."""
    number = from_sympy(coefficient)
    numbers = number.args if number.op == "mul" else (number,)
    return e.mul(*numbers, *(e.power(e.ref(i), e.number(k)) for i, k in powers), *factors)


def scale(terms: tuple[Term, ...], factor: Any) -> tuple[Term, ...]:
    return tuple(Term(t.coefficient * factor, t.powers, t.factors) for t in terms)


def collect(terms: tuple[Term, ...], vanishes: Callable[[Any], bool]) -> tuple[Term, ...]:
    """Add up the coefficients of like terms; drop those that vanish."""
    total: dict[tuple, Any] = {}
    met: set[tuple] = set()
    for t in terms:
        key = (t.powers, t.factors)
        if key in total:
            met.add(key)
        total[key] = total[key] + t.coefficient if key in total else t.coefficient
    return tuple(Term(c, *key) for key, c in total.items() if c != 0 and not (key in met and vanishes(c)))


# Parity of functions: f(-z) = ± f(z).
ODD = {"tanh", "erf", "sin", "sign", "arctan"}
EVEN = {"abs", "cos"}


def parity(expr: Expr, flipped: frozenset[int]) -> int | None:
    """±1 if the expression is even or odd under the joint change of sign of the `flipped` leaves; else None."""
    memo: dict[int, int | None] = {}

    def walk(node: Expr) -> int | None:
        if id(node) not in memo:
            memo[id(node)] = _parity(node, [walk(a) for a in node.args], flipped)
        return memo[id(node)]

    return walk(expr)


def _parity(expr: Expr, signs: list[int | None], flipped: frozenset[int]) -> int | None:
    op, args = expr.op, expr.args
    if not args:
        return -1 if op == "ref" and expr.value in flipped else 1
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
    if op in ODD:
        return -1
    return 1 if op in EVEN else None


def jumping(expr: Expr) -> set[int]:
    """The leaves in which an expression may jump; in the others its derivative almost everywhere is all of it."""
    found: set[int] = set()
    stack, seen = [expr], set()
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            if node.op in ("step", "sign"):
                found |= {int(v) for v in leaves(node, "ref")}  # type: ignore[arg-type]
            stack.extend(node.args)
    return found
