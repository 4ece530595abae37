"""Elementwise expressions: the ψ of a Nonlin or a Moment, a variance, a constant.

An expression is a tree over numbers (exact rationals wherever the user wrote one), named constants, references
to lines of a program, and the functions of `tpl.core.functions`. Trees share subtrees freely; `size` counts
nodes as if they did not, so that a bound on `size` bounds every walk.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction

Value = Fraction | float | str | int | None


class Expr:
    """One node. `op` is "number", "symbol", "ref" or the name of a function; `value` belongs to the leaves."""

    __slots__ = ("_hash", "args", "depth", "op", "size", "value")

    op: str
    args: "tuple[Expr, ...]"
    value: Value
    size: int
    depth: int
    _hash: int

    def __init__(self, op: str, args: "tuple[Expr, ...]" = (), value: Value = None):
        self.op = op
        self.args = args
        self.value = value
        size, depth = 1, 0
        for a in args:
            size += a.size
            depth = max(depth, a.depth)
        self.size = size
        self.depth = depth + 1
        self._hash = hash((op, value, *(a._hash for a in args)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Expr) or self._hash != other._hash:
            return False
        return self.op == other.op and self.value == other.value and self.args == other.args

    def __repr__(self) -> str:
        return f"Expr({show(self)})"

    @property
    def is_number(self) -> bool:
        return self.op == "number"

    def is_value(self, value: int) -> bool:
        return self.op == "number" and self.value == value


# Exact arithmetic stops here: beyond this many bits a rational is rounded to a float.
_MAX_BITS = 256


def number(value: int | float | Fraction) -> Expr:
    """A number: exact for int and Fraction (unless enormous), rounded for float. Raises OverflowError if not finite."""
    if isinstance(value, int):
        value = Fraction(value)
    if isinstance(value, Fraction) and _bits(value) > _MAX_BITS:
        value = float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise OverflowError("this number is too large")
        value += 0.0  # minus zero is zero
    return Expr("number", (), value)


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def from_float(value: float) -> Expr:
    """A number out of data: exact when it is whole, so that adjacency matrices and labels stay readable."""
    return number(Fraction(int(value))) if value.is_integer() and abs(value) < 1e15 else number(float(value))


def symbol(name: str) -> Expr:
    """A named constant or width."""
    return Expr("symbol", (), name)


def ref(index: int) -> Expr:
    """A reference: to a line while a program is built, to an argument position inside a finished line."""
    return Expr("ref", (), index)


ZERO, ONE = number(0), number(1)


def _numbers(args: Iterable[Expr]) -> bool:
    return all(a.op == "number" for a in args)


def add(*args: Expr) -> Expr:
    """Sum of any number of terms; zeros vanish, two numbers fold."""
    terms = [a for a in args if not a.is_value(0)]
    if len(terms) > 1 and _numbers(terms):
        return number(sum((t.value for t in terms), Fraction(0)))  # type: ignore[misc,arg-type,type-var]
    if not terms:
        return ZERO
    return terms[0] if len(terms) == 1 else Expr("add", tuple(terms))


def sub(a: Expr, b: Expr) -> Expr:
    if a.is_number and b.is_number:
        return number(a.value - b.value)  # type: ignore[operator]
    if b.is_value(0):
        return a
    return neg(b) if a.is_value(0) else Expr("sub", (a, b))


def neg(a: Expr) -> Expr:
    if a.is_number:
        return number(-a.value)  # type: ignore[operator]
    return a.args[0] if a.op == "neg" else Expr("neg", (a,))


def mul(*args: Expr) -> Expr:
    """Product of any number of factors; ones vanish, a zero wins, numbers fold."""
    if len(args) > 1 and not any(a.op == "number" for a in args):
        return Expr("mul", args)
    factors = [a for a in args if not a.is_value(1)]
    if any(a.is_value(0) for a in factors):
        return ZERO
    numbers = [a for a in factors if a.is_number]
    if len(numbers) > 1:
        product = Fraction(1)
        for a in numbers:
            product = product * a.value  # type: ignore[operator,assignment]
        factors = [number(product)] + [a for a in factors if not a.is_number]
        factors = [a for a in factors if not a.is_value(1)]
    if not factors:
        return ONE
    return factors[0] if len(factors) == 1 else Expr("mul", tuple(factors))


def div(a: Expr, b: Expr) -> Expr:
    """Quotient; ZeroDivisionError when the divisor is the number zero."""
    if b.is_value(0):
        raise ZeroDivisionError("a division by 0")
    if a.is_number and b.is_number:
        return number(a.value / b.value)  # type: ignore[operator]
    if b.is_value(1):
        return a
    return ZERO if a.is_value(0) else Expr("div", (a, b))


def power(a: Expr, b: Expr) -> Expr:
    """a ^ b. Exact for a rational base and a small whole exponent."""
    if b.is_value(1):
        return a
    if b.is_value(0):
        return ONE
    rational = isinstance(a.value, Fraction) and isinstance(b.value, Fraction)
    if rational and b.value.denominator == 1 and abs(b.value) * _bits(a.value) <= _MAX_BITS:  # type: ignore
        return number(a.value ** int(b.value))  # type: ignore[operator, arg-type]
    return Expr("pow", (a, b))


def apply(name: str, *args: Expr) -> Expr:
    """The named function applied; arithmetic goes through the simplifying constructors."""
    special = _ARITHMETIC.get(name)
    return special(*args) if special is not None else Expr(name, args)


_ARITHMETIC: dict[str, Callable[..., Expr]] = {
    "add": add, "sub": sub, "neg": neg, "mul": mul, "div": div, "pow": power,
}  # fmt: skip


def within(expr: Expr) -> Iterator[Expr]:
    """An expression's nodes, each once."""
    stack, seen = [expr], set()
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend(node.args)


def divisors(expr: Expr) -> Iterator[Expr]:
    """What varies and is divided by, or taken to a power that is not a whole positive one."""
    for node in within(expr):
        if node.op == "div" and leaves(node.args[1], "ref"):
            yield node.args[1]
        elif node.op == "pow" and leaves(node.args[0], "ref"):
            exponent = node.args[1]
            if not (exponent.is_number and float(exponent.value) >= 0):  # type: ignore[arg-type]
                yield node.args[0]


def half_defined(expr: Expr) -> Iterator[Expr]:
    """The logarithms, roots and powers with an exponent that is not whole, of what varies: real for one sign only."""
    for node in within(expr):
        if node.op in ("log", "sqrt", "pow") and leaves(node.args[0], "ref"):
            exponent = node.args[1] if node.op == "pow" else None
            if exponent is None or not (exponent.is_number and float(exponent.value).is_integer()):  # type: ignore[arg-type]
                yield node


def leaves(expr: Expr, op: str) -> dict[Value, None]:
    """The distinct values of all leaves of one kind, in order of first occurrence."""
    found: dict[Value, None] = {}
    seen: set[int] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.op == op:
            found[node.value] = None
        stack.extend(reversed(node.args))
    return found


def substitute(expr: Expr, leaf: Callable[[Expr], Expr]) -> Expr:
    """Rebuild an expression with every leaf replaced; shared subtrees stay shared."""
    memo: dict[int, Expr] = {}

    def walk(node: Expr) -> Expr:
        done = memo.get(id(node))
        if done is None:
            done = apply(node.op, *map(walk, node.args)) if node.args else leaf(node)
            memo[id(node)] = done
        return done

    return walk(expr)


def close(expr: Expr) -> tuple[Expr, tuple[int, ...]]:
    """Replace line references by argument positions. Returns the closed expression and the lines, by position."""
    position: dict[Value, Expr] = {}  # in order of first occurrence
    memo: dict[int, Expr] = {}

    def rename(node: Expr) -> Expr:
        if node.op != "ref":
            return node
        found = position.get(node.value)
        if found is None:
            found = position[node.value] = ref(len(position))
        return found

    def walk(node: Expr) -> Expr:
        # Unlike substitute, this must not simplify: a closed expression is what was written.
        if not node.args:
            return rename(node)
        done = memo.get(id(node))
        if done is None:
            done = memo[id(node)] = Expr(node.op, tuple([walk(a) for a in node.args]))
        return done

    return walk(expr), tuple(int(v) for v in position)  # type: ignore[arg-type]


def evaluate(expr: Expr, env: Mapping[str, float]) -> float:
    """The float value of an expression without references.

    Raises KeyError for an unknown symbol, and ArithmeticError or ValueError where arithmetic does.
    """
    from tpl.core.functions import FUNCTIONS  # functions build expressions, so they come after this module

    if expr.op == "number":
        return float(expr.value)  # type: ignore[arg-type]
    if expr.op == "symbol":
        return env[expr.value]  # type: ignore[index]
    return float(FUNCTIONS[expr.op].scalar(*(evaluate(a, env) for a in expr.args)))


# ---------------------------------------------------------------------------------------------- printing

# Sums bind loosest; a product may start with a unary minus; `^` takes atoms on both sides.
_SUM, _UNARY, _PRODUCT, _FACTOR, _POWER, _ATOM = 1, 2, 3, 4, 5, 9
_LEVEL = {"add": _SUM, "sub": _SUM, "neg": _UNARY, "mul": _PRODUCT, "div": _PRODUCT, "pow": _POWER}


def show(expr: Expr, names: Callable[[int], str] | None = None) -> str:
    """The expression as the language writes it, reading back to the same tree; `names` gives a reference's text."""
    return _show(expr, names or (lambda i: f"${i}"))[0]


def _show(expr: Expr, names: Callable[[int], str]) -> tuple[str, int]:
    op, args = expr.op, expr.args
    if op == "number":
        return _show_number(expr.value)  # type: ignore[arg-type]
    if op == "symbol":
        return str(expr.value), _ATOM
    if op == "ref":
        return names(int(expr.value)), _ATOM  # type: ignore[arg-type]
    level = _LEVEL.get(op)
    if level is None:
        return f"{op}({', '.join(_show(a, names)[0] for a in args)})", _ATOM
    if op == "neg":
        return "-" + _wrap(args[0], _POWER, names), level
    if op == "pow":
        return f"{_wrap(args[0], _ATOM, names)}^{_wrap(args[1], _ATOM, names)}", level
    # Chains read from the left, and a run of one n-ary operation reads as one node: a nested one keeps its parentheses.
    sign, least = {"add": (" + ", _UNARY), "sub": (" - ", _UNARY), "mul": (" * ", _FACTOR), "div": (" / ", _FACTOR)}[op]
    first = _wrap(args[0], least if args[0].op == op and op in ("add", "mul") else level, names)
    return sign.join([first, *(_wrap(a, least, names) for a in args[1:])]), level


def _wrap(expr: Expr, least: int, names: Callable[[int], str]) -> str:
    text, level = _show(expr, names)
    return text if level >= least else f"({text})"


def _show_number(value: Fraction | float) -> tuple[str, int]:
    level = _ATOM if value >= 0 else _UNARY
    if isinstance(value, float):
        return f"{value!r}f", level  # the trailing f tells a rounded number from an exact decimal
    if value.denominator == 1:
        return str(value.numerator), level
    decimal = repr(float(value))
    if len(decimal) <= 19 and Fraction(decimal) == value:
        return decimal, level
    return f"{value.numerator} / {value.denominator}", _PRODUCT if value >= 0 else _UNARY
