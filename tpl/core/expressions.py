"""Evaluating the language's expressions: from syntax to values over core lines."""

import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tpl.core.builder import MAX_EXPRESSION_DEPTH, Builder
from tpl.core.expr import ONE, Expr, add, apply, div, evaluate, from_float, leaves, mul, neg, number, power, ref, sub
from tpl.core.functions import CALLABLE, FUNCTIONS
from tpl.core.values import (
    UNKNOWN,
    Array,
    Coordinatewise,
    Family,
    Function,
    Listing,
    MatrixSum,
    Mistake,
    NetworkValue,
    RandomOutput,
    Readout,
    Silent,
    Text,
    Unknown,
)  # fmt: skip
from tpl.language import syntax as s
from tpl.language.source import Span, nearest

MAX_EXPRESSION_SIZE = 100_000
MAX_CALLS = 100_000  # of defs by one call of a def

_ORDER: dict[str, Callable[..., Expr]] = {"+": add, "-": sub, "*": mul, "/": div}
Scope = dict[str, Any]


def describe(value: Any) -> str:
    """A value's kind in the words of messages."""
    if isinstance(value, Coordinatewise):
        if value.width is not None:
            return f"a vector of width {value.width}"
        return "a scalar" if leaves(value.expr, "ref") else "a number"
    if isinstance(value, MatrixSum):
        return f"a matrix [{value.rows}, {value.columns}]"
    if isinstance(value, Readout):
        return f"a matrix [{value.rows}, {value.width}]"
    if isinstance(value, Array):
        return f"data of shape [{', '.join(map(str, value.array.shape))}]"
    names = {RandomOutput: "a random output", Family: "a family of values", Listing: "a list of values",
             Function: "a function", NetworkValue: "a network", Text: "a string"}  # fmt: skip
    return names.get(type(value), "unknown")


def is_constant(value: Any) -> bool:
    return isinstance(value, Coordinatewise) and value.width is None and not leaves(value.expr, "ref")


class Evaluator:
    """Evaluates expressions in a scope, adding lines to the builder as products and averages occur.

    `widths_allowed` is set while a law is read: only there may a width stand as a number.
    `multiplicity` is the number of times that the enclosing loops run what is being evaluated.
    """

    def __init__(self, builder: Builder, special: dict[str, Callable[..., Any]]):
        self.builder = builder
        self.special = special
        self.widths_allowed = False
        self.multiplicity = 1
        self.derived = ""
        self._scope: Scope = {}  # where the operation at hand stands: what its hints may suggest
        self._passes = 0

    # ------------------------------------------------------------------------------------------ entry points
    def value(self, node: Any, scope: Scope) -> Any:
        rule = _RULES[type(node)]
        return rule(self, node, scope)

    def quote(self, span: Span) -> str:
        """The user's own text, for a message; "this" where it is long."""
        return self.builder.source.quote(span)

    def constant(self, node: s.Expr, scope: Scope, what: str) -> Expr:
        """An expression without lines. Raises Mistake otherwise."""
        value = self.value(node, scope)
        if not is_constant(value):
            raise Mistake(node.span, f"{what} must be a number, but {self.quote(node.span)} is {describe(value)}")
        self._finite(value.expr, node.span)
        return value.expr

    def integer(self, node: s.Expr, scope: Scope, what: str) -> int:
        expr = self.constant(node, scope, what)
        exact = expr.value if expr.is_number else evaluate(expr, self.builder.values)
        if not float(exact).is_integer():  # type: ignore[arg-type]
            raise Mistake(node.span, f"{what} must be a whole number, but this is {float(exact):g}",  # type: ignore[arg-type]
                          "the division leaves a remainder" if isinstance(node, s.Chain) else None)  # fmt: skip
        if abs(exact) > 10**12:  # type: ignore[arg-type, operator]
            raise Mistake(node.span, f"{what} is too large")
        return int(exact)  # type: ignore[arg-type]

    def _finite(self, expr: Expr, span: Span) -> float:
        if self.widths_allowed:
            return 0.0
        try:
            value = evaluate(expr, self.builder.values)
        except ZeroDivisionError:
            raise Mistake(span, "this divides by zero") from None
        except (ArithmeticError, ValueError):
            value = float("nan")
        if not np.isfinite(value):
            raise Mistake(span, "this has no finite real value")
        return value

    def vector(self, value: Any, span: Span, what: str) -> int:
        """The line of a vector value, made if need be."""
        if not isinstance(value, Coordinatewise) or value.width is None:
            raise Mistake(span, f"{what} must be a vector of some width, but this is {describe(value)}")
        return self.builder.map(value.expr, value.width)

    # ------------------------------------------------------------------------------------------ leaves
    def number(self, node: s.Number, scope: Scope) -> Any:
        try:
            return Coordinatewise(number(node.value))
        except OverflowError:
            raise Mistake(node.span, "this number is too large") from None

    def string(self, node: s.String, scope: Scope) -> Any:
        return Text(node.value)

    def name(self, node: s.Name, scope: Scope) -> Any:
        if node.name in scope:
            value = scope[node.name]
            if isinstance(value, Unknown):
                raise Silent
            return value
        if node.name in self.builder.widths:
            if self.widths_allowed:
                return Coordinatewise(Expr("symbol", (), node.name))
            hint = "a width may stand in shapes and in variances; `avg(x)` divides by it"
            raise Mistake(node.span, f"`{node.name}` is a width, which goes to infinity", hint)
        if node.name in CALLABLE:
            raise Mistake(node.span, f"`{node.name}` is a function", f"apply it: `{node.name}(x)`")
        raise Mistake(node.span, f"`{node.name}` is not defined here", _suggest(node.name, scope, self.builder.widths))

    def list_of(self, node: s.ListOf, scope: Scope) -> Any:
        return Listing(tuple(self.value(item, scope) for item in node.items))

    # ------------------------------------------------------------------------------------------ operators
    def chain(self, node: s.Chain, scope: Scope) -> Any:
        if all(sign == "+" for sign, _ in node.rest) or all(sign == "*" for sign, _ in node.rest):
            flat = self._flat(node, scope)
            if flat is not None:
                return flat
        values = (self.value(n, scope) for n in (node.first, *(operand for _, operand in node.rest)))
        return self._from_the_left(node, values, scope)

    def _from_the_left(self, node: s.Chain, values: Iterable[Any], scope: Scope) -> Any:
        """The operands of a chain joined one by one."""
        rest = iter(values)
        value, left = next(rest), node.first.span
        for (sign, operand), right in zip(node.rest, rest, strict=True):
            span = Span(left.line, left.column, operand.span.end_line, operand.span.end_column)
            self._scope = scope
            value = self.binary(sign, value, right, span, left, operand.span)
            left = span
        return value

    def _flat(self, node: s.Chain, scope: Scope) -> Any:
        """`a + b + c` as one n-ary node; None unless all operands are coordinatewise."""
        nodes = [node.first, *(operand for _, operand in node.rest)]
        values = [self.value(n, scope) for n in nodes]
        if not all(isinstance(v, Coordinatewise) for v in values):
            return self._from_the_left(node, values, scope)
        width = self._common_width([(v, n.span) for v, n in zip(values, nodes, strict=True)])
        operation = add if node.rest[0][0] == "+" else mul
        return self._coordinatewise(lambda: operation(*(v.expr for v in values)), width, node.span)

    def _common_width(self, values: list[tuple[Any, Span]]) -> str | None:
        width: str | None = None
        first = values[0][1]
        for value, span in values:
            if value.width is not None and width is not None and value.width != width:
                one, other = self.quote(span), self.quote(first)
                raise Mistake(span, f"{one} has width {value.width}, but {other} has width {width}",
                              "vectors meet coordinate by coordinate only at equal width")  # fmt: skip
            if width is None and value.width is not None:
                width, first = value.width, span
        return width

    def _coordinatewise(self, make: Callable[[], Expr], width: str | None, span: Span) -> Coordinatewise:
        try:
            expr = make()
        except ZeroDivisionError:
            raise Mistake(span, "this divides by zero") from None
        except OverflowError:
            raise Mistake(span, "this number is too large") from None
        self._bounded(expr, span)
        if width is None and not expr.is_number and expr.size < 1000 and not leaves(expr, "ref"):
            self._finite(expr, span)
        return Coordinatewise(expr, width)

    def _bounded(self, expr: Expr, span: Span) -> None:
        """Refuse an expression that every later walk over it would pay for."""
        if expr.depth > MAX_EXPRESSION_DEPTH or expr.size > MAX_EXPRESSION_SIZE:
            what = f"goes more than {MAX_EXPRESSION_DEPTH} operations deep"
            if expr.size > MAX_EXPRESSION_SIZE:
                what = f"holds more than {MAX_EXPRESSION_SIZE:,} operations"
            raise Mistake(span, f"this expression {what}", "give its parts names")

    def binary(self, sign: str, a: Any, b: Any, span: Span, left: Span, right: Span) -> Any:
        if sign == "@":
            return self._product(a, b, span, left, right)
        if sign == "mod":
            return self._mod(a, b, left, right)
        if isinstance(a, Coordinatewise) and isinstance(b, Coordinatewise):
            width = self._common_width([(a, left), (b, right)])
            return self._coordinatewise(lambda: _ORDER[sign](a.expr, b.expr), width, span)
        if isinstance(a, Array) or isinstance(b, Array):
            return self._array_arithmetic(sign, a, b, span, left, right)
        if sign == "/" and isinstance(b, Coordinatewise) and b.expr.is_value(0):
            raise Mistake(span, "this divides by zero")
        linear = self._linear(sign, a, b)
        if linear is not None:
            return linear
        raise self._misjoined(sign, a, b, span, left, right)

    def _misjoined(self, sign: str, a: Any, b: Any, span: Span, left: Span, right: Span) -> Mistake:
        """What to say of an operation on two values that it does not join."""
        one, other = self.quote(left), self.quote(right)
        message = f"`{sign}` does not join {describe(a)} and {describe(b)}"
        if "this" not in (one, other):
            message = f"{one} is {describe(a)}, and {other} is {describe(b)}: `{sign}` does not join them"
        return Mistake(span, message, _join_hint(sign, a, b, one, other))

    def _mod(self, a: Any, b: Any, left: Span, right: Span) -> Any:
        numbers = []
        for value, span in ((a, left), (b, right)):
            if not is_constant(value):
                raise Mistake(span, f"`mod` takes whole numbers, but {self.quote(span)} is {describe(value)}")
            exact = Fraction(value.expr.value) if value.expr.is_number else Fraction(self._finite(value.expr, span))
            if exact.denominator != 1:
                raise Mistake(span, f"`mod` takes whole numbers, but this is {float(exact):g}")
            numbers.append(exact)
        if numbers[1] <= 0:
            raise Mistake(right, f"`a mod b` needs a positive b, but this is {numbers[1]}")
        return Coordinatewise(number(numbers[0] % numbers[1]))

    def _linear(self, sign: str, a: Any, b: Any) -> Any:
        """Sums, differences and multiples of matrices, readouts and random outputs; None if there is no such thing."""
        if sign in "+-" and type(a) is type(b):
            right = self._scale(b, number(-1)) if sign == "-" else b
            return self._add(a, right)
        if sign == "*" and isinstance(a, Coordinatewise) and a.width is None:
            return self._scale(b, a.expr)
        if sign == "*" and isinstance(b, Coordinatewise) and b.width is None:
            return self._scale(a, b.expr)
        if sign == "/" and isinstance(b, Coordinatewise) and b.width is None:
            return self._scale(a, div(ONE, b.expr))
        return None

    def _scale(self, value: Any, factor: Expr) -> Any:
        if isinstance(value, MatrixSum):
            terms = tuple((mul(factor, c), line, t) for c, line, t in value.terms)
            return MatrixSum(terms, value.rows, value.columns)
        if isinstance(value, Readout):
            return Readout(value.line, value.rows, value.width, mul(factor, value.coefficient))
        if isinstance(value, RandomOutput):
            if value.biases and leaves(factor, "ref"):
                return None
            vectors = tuple((v, mul(factor, x)) for v, x in value.vectors)
            return RandomOutput(vectors, tuple((c, mul(factor, k)) for c, k in value.biases), value.widths)
        return None

    def _add(self, a: Any, b: Any) -> Any:
        if isinstance(a, MatrixSum) and (a.rows, a.columns) == (b.rows, b.columns):
            return MatrixSum(a.terms + b.terms, a.rows, a.columns)
        if isinstance(a, RandomOutput):
            return RandomOutput(
                _merge(a.vectors, b.vectors), _merge(a.biases, b.biases), tuple(dict(a.widths + b.widths).items())
            )
        return None

    def _array_arithmetic(self, sign: str, a: Any, b: Any, span: Span, left: Span, right: Span) -> Any:
        arrays = [v.array if isinstance(v, Array) else self._finite(v.expr, span) if is_constant(v) else None
                  for v in (a, b)]  # fmt: skip
        name = (a if isinstance(a, Array) else b).name
        if any(x is None for x in arrays) or (
            isinstance(a, Array) and isinstance(b, Array) and a.array.shape != b.array.shape
        ):
            raise self._misjoined(sign, a, b, span, left, right)
        with np.errstate(all="ignore"):
            operation = FUNCTIONS[{"+": "add", "-": "sub", "*": "mul", "/": "div"}[sign]].array
            return _finite_array(operation(*arrays), name, span)

    def signed(self, node: s.Signed, scope: Scope) -> Any:
        value = self.value(node.operand, scope)
        if node.sign == "+":
            return value
        if isinstance(value, Coordinatewise):
            return Coordinatewise(neg(value.expr), value.width)
        if isinstance(value, Array):
            return Array(-value.array, value.name)
        scaled = self._scale(value, number(-1))
        if scaled is None:
            raise Mistake(node.span, f"`-` does not apply to {describe(value)}")
        return scaled

    def power(self, node: s.Power, scope: Scope) -> Any:
        base, exponent = self.value(node.base, scope), self.value(node.exponent, scope)
        if not isinstance(base, Coordinatewise) or not isinstance(exponent, Coordinatewise):
            wrong, part = (exponent, node.exponent) if isinstance(base, Coordinatewise) else (base, node.base)
            transpose = isinstance(base, MatrixSum) and self.quote(node.exponent.span) == "`T`"
            what = f"{self.quote(part.span)} is {describe(wrong)}"
            raise Mistake(node.span, f"`^` takes numbers, scalars and vectors, but {what}",
                          "the transpose is written `W.T`" if transpose else None)  # fmt: skip
        width = self._common_width([(base, node.base.span), (exponent, node.exponent.span)])
        return self._coordinatewise(lambda: power(base.expr, exponent.expr), width, node.span)

    # ------------------------------------------------------------------------------------------ products
    def _product(self, a: Any, b: Any, span: Span, left: Span, right: Span) -> Any:
        self.builder.at(span, self.derived)
        if isinstance(a, Readout):
            return self._read_out(a, b, span, left, right)
        if isinstance(a, Array) and isinstance(b, Array):
            return self._contract(a, b, span, left, right)
        one, other = self.quote(left), self.quote(right)
        if not isinstance(a, MatrixSum):
            raise Mistake(span, f"`@` needs a matrix on its left, but {one} is {describe(a)}",
                          _matmul_hint(a, b, one, other))  # fmt: skip
        if isinstance(b, Array):
            return self._enter(a, b, span, left, right)
        if isinstance(b, (MatrixSum, Readout)):
            raise Mistake(span, "a product of matrices is not a line of a tensor program",
                          f"apply one matrix at a time: `{_bare(one, 'A')} @ ({_bare(other, 'B')} @ x)`")  # fmt: skip
        if not isinstance(b, Coordinatewise) or b.width is None:
            raise Mistake(right, f"`@` needs a vector on its right, but {other} is {describe(b)}", _number_hint(b))
        if a.columns != b.width:
            raise Mistake(span, f"{one} is [{a.rows}, {a.columns}], but {other} has width {b.width}",
                          self._fitting(a, b.width, one, other))  # fmt: skip
        vector = self.builder.map(b.expr, b.width)
        products = [mul(c, ref(self.builder.matmul(line, t, vector))) for c, line, t in a.terms]
        return Coordinatewise(add(*products), str(a.rows))

    def _fitting(self, wrong: MatrixSum | Readout, size: str | int, one: str, other: str) -> str | None:
        """Suggest a product that would fit: with the transpose, or with another matrix in scope."""
        vector = _bare(other, "x")
        if isinstance(wrong, MatrixSum) and isinstance(wrong.columns, str) and wrong.rows == size and one != "this":
            name = one[1:-1]
            simple = name.replace("[", "").replace("]", "").replace("_", "").isalnum()
            own = name[:-2] if name.endswith(".T") else f"{name}.T" if simple else f"({name}).T"
            return f"did you mean `{own} @ {vector}`?"
        for name, value in self._scope.items():
            entries = value.entries.items() if isinstance(value, Family) else [((), value)]
            for key, matrix in entries:
                text = name + (f"[{', '.join(map(str, key))}]" if key else "")
                if isinstance(matrix, MatrixSum) and matrix.columns == size:
                    return f"did you mean `{text} @ {vector}`?"
                if isinstance(matrix, MatrixSum) and isinstance(matrix.columns, str) and matrix.rows == size:
                    return f"did you mean `{text}.T @ {vector}`?"
        return None

    def _enter(self, a: MatrixSum, b: Array, span: Span, left: Span, right: Span) -> Any:
        """A matrix of finitely many columns times data: an initial vector."""
        one, other = self.quote(left), self.quote(right)
        if b.array.ndim != 1:
            indices = ", ".join("ijklm"[: b.array.ndim - 1])
            raise Mistake(span, f"`@` needs a vector on its right, but {other} is {describe(b)}",
                          f"index it: `{_bare(other, 'X')}[{indices}]` is a vector")  # fmt: skip
        if a.columns != b.array.size:
            hint = self._fitting(a, b.array.size, one, other)
            hint = hint or f"data enter through a matrix of as many columns, here [{a.rows}, {b.array.size}]"
            raise Mistake(span, f"{one} is [{a.rows}, {a.columns}], but {other} has length {b.array.size}", hint)
        row = tuple(b.array.tolist())
        return Coordinatewise(add(*(mul(c, ref(self.builder.input(line, row))) for c, line, _ in a.terms)), str(a.rows))

    def _contract(self, a: Array, b: Array, span: Span, left: Span, right: Span) -> Any:
        """Data @ data is plain linear algebra."""
        if b.array.ndim > 2 or a.array.ndim > 2 or a.array.shape[-1] != b.array.shape[0]:
            raise self._misjoined("@", a, b, span, left, right)
        with np.errstate(all="ignore"):
            return _finite_array(a.array @ b.array, a.name, span)

    def _read_out(self, a: Readout, b: Any, span: Span, left: Span, right: Span) -> Any:
        one, other = self.quote(left), self.quote(right)
        if isinstance(b, Array):
            raise Mistake(span, f"{one} is [{a.rows}, {a.width}], but {other} is {describe(b)}",
                          f"it reads out a vector of width {a.width}")  # fmt: skip
        if not isinstance(b, Coordinatewise) or b.width is None:
            raise Mistake(right, f"`@` needs a vector on its right, but {other} is {describe(b)}", _number_hint(b))
        if a.width != b.width:
            raise Mistake(span, f"{one} is [{a.rows}, {a.width}], but {other} has width {b.width}",
                          self._fitting(a, b.width, one, other))  # fmt: skip
        return RandomOutput(((a.line, mul(a.coefficient, b.expr)),), (), ((a.line, a.width),))

    def transposed(self, node: s.Transposed, scope: Scope) -> Any:
        value = self.value(node.base, scope)
        if isinstance(value, Array) and value.array.ndim == 2:
            return Array(value.array.T.copy(), value.name)
        if isinstance(value, MatrixSum) and isinstance(value.columns, str):
            terms = tuple((c, line, not t) for c, line, t in value.terms)
            return MatrixSum(terms, value.columns, value.rows)
        hint = "only a matrix of two widths, as [n, n], has a transpose in a tensor program"
        if isinstance(value, Array):
            hint = "only data of two axes have a transpose"
        if isinstance(value, Coordinatewise) and value.width is not None:
            hint = "a vector needs none: the inner product of two vectors, over n, is `avg(x * y)`"
        raise Mistake(node.span, f"`.T` does not apply to {describe(value)}", hint)

    # ------------------------------------------------------------------------------------------ indexing
    def indexed(self, node: s.Indexed, scope: Scope) -> Any:
        base = self.value(node.base, scope)
        name = self.quote(node.base.span)
        axes = [self._index(i, scope) for i in node.indices]
        if isinstance(base, (Array, Listing)):
            return self._pick_axis(base, axes, name, node)
        if isinstance(base, Family):
            return self._from_family(base, axes, node)
        raise Mistake(node.span, f"{name} has no index: it is {describe(base)}")

    def _index(self, node: Any, scope: Scope) -> int | range:
        if not isinstance(node, s.Slice):
            return self.integer(node, scope, "an index")
        start, stop = (self.integer(n, scope, "an end of a range") for n in (node.start, node.stop))
        self.enter_range(stop - start + 1, node.span)
        return range(start, stop + 1)

    def enter_range(self, size: int, span: Span) -> None:
        """Refuse a range that alone, or by the loops around it, makes more lines than allowed."""
        total, limit = self.multiplicity * max(size, 1), self.builder.max_lines
        if total > limit:
            raise Mistake(span, f"this runs {total:,} times; the limit is {limit:,} lines",
                          "shorten the range, or raise --max-lines")  # fmt: skip
        if self._passes > 3 * limit:
            raise Silent
        self._passes += max(size, 1)
        if self._passes > 3 * limit:
            raise Mistake(span, f"loops and sums run more than {3 * limit:,} times; the limit is {limit:,} lines",
                          "shorten the ranges, or raise --max-lines")  # fmt: skip

    def _pick_axis(self, base: Any, axes: list[int | range], name: str, node: s.Indexed) -> Any:
        if not axes:
            return base
        size = base.array.shape[0] if isinstance(base, Array) and base.array.ndim else len(getattr(base, "items", ()))
        if (isinstance(base, Array) and base.array.ndim == 0) or not isinstance(base, (Array, Listing)):
            raise Mistake(node.span, f"{name} has fewer indices than are given here")
        first, rest = axes[0], axes[1:]
        if isinstance(first, range):
            return Listing(tuple(self._pick_axis(base, [i, *rest], name, node) for i in first))
        if not 1 <= first <= size:
            raise Mistake(node.span, f"index {first} is outside {name}, which has 1..{size}",
                          "indices begin at 1" if first == 0 else None)  # fmt: skip
        if isinstance(base, Listing):
            return self._pick_axis(base.items[first - 1], rest, name, node)
        picked = base.array[first - 1]
        if rest:
            return self._pick_axis(Array(np.asarray(picked), base.name), rest, name, node)
        if picked.ndim == 0:
            return Coordinatewise(from_float(float(picked)))
        return Array(picked, f"{base.name}[{first}]" if not base.name.endswith("]") else f"{base.name[:-1]}, {first}]")

    def _from_family(self, family: Family, axes: list[int | range], node: s.Indexed) -> Any:
        for position, axis in enumerate(axes):
            if isinstance(axis, range):
                before, after = axes[:position], axes[position + 1 :]
                return Listing(tuple(self._from_family(family, [*before, i, *after], node) for i in axis))
        key = tuple(int(a) for a in axes)  # type: ignore[arg-type]
        if key in family.entries:
            value = family.entries[key]
            if isinstance(value, Unknown):
                raise Silent
            return value
        if any(isinstance(v, Unknown) for v in family.entries.values()):
            raise Silent
        shown = ", ".join(map(str, key))
        hint = _known_indices(family, len(key))
        family.entries[key] = UNKNOWN  # said once: other members that are missing have the same cause
        raise Mistake(node.span, f"`{family.name}[{shown}]` is not defined here", hint)

    # ------------------------------------------------------------------------------------------ calls
    def call(self, node: s.Call, scope: Scope) -> Any:
        name = node.function
        target = scope.get(name)
        if isinstance(target, Unknown):
            raise Silent
        if isinstance(target, Function):
            return self._apply_def(target, node, scope)
        if name in self.special:
            return self.special[name](node, scope)
        if node.keywords:
            raise Mistake(node.span, f"`{name}` takes no named arguments")
        if name in ("sum", "avg", "softmax"):
            return getattr(self, f"_{name}_call")(node, scope)
        if name in CALLABLE:
            return self._apply_function(name, node, scope)
        if isinstance(target, NetworkValue):
            hint = f"`show nngp({name}, X)` and `show ntk({name}, X)` evaluate it on data"
            raise Mistake(node.name_span, f"`{name}` is a network", hint)
        if target is not None:
            raise Mistake(node.name_span, f"`{name}` is {describe(target)}, not a function")
        known = [
            *CALLABLE,
            "sum",
            "avg",
            "softmax",
            *self.special,
            *(k for k in scope if isinstance(scope[k], Function)),
        ]
        close = nearest(name, known)
        raise Mistake(node.name_span, f"there is no function `{name}`", close and f"did you mean `{close}`?")

    def _apply_def(self, function: Function, node: s.Call, scope: Scope) -> Any:
        definition = function.syntax
        if node.keywords or len(node.arguments) != len(definition.parameters):
            wants = len(definition.parameters)
            raise Mistake(
                node.span, f"`{definition.name}` takes {_count(wants, 'argument')}, not {len(node.arguments)}"
            )
        inner = scope.get("__global__", scope)
        bound = dict(
            zip(definition.parameters, (self._shared(self.value(a, scope), a) for a in node.arguments), strict=True)
        )
        self.depth_guard(node)
        try:
            return self.value(definition.body, {**inner, **bound})
        except Mistake as mistake:
            body = definition.body.span
            where = ", in the call on line "
            if mistake.span is None or where in mistake.message or not body[:2] <= mistake.span[:2] < body[2:]:
                raise
            line = self.builder.source.place(node.span.line)[1]
            raise Mistake(mistake.span, f"{mistake.message}{where}{line}", mistake.hint) from None
        finally:
            self._depth -= 1

    _depth = 0
    _calls = 0
    _outermost: Span | None = None

    def depth_guard(self, node: s.Call) -> None:
        self._depth += 1
        if self._depth == 1:
            self._calls, self._outermost = 0, node.span
        self._calls += 1
        if self._depth > 40 or self._calls > MAX_CALLS:
            self._depth -= 1
            if self._depth == 40:
                raise Mistake(self._outermost, "from here, definitions call one another more than 40 deep",
                              "give a value on the way a name")  # fmt: skip
            raise Mistake(self._outermost, f"this call leads to more than {MAX_CALLS:,} others",
                          "a def that uses another twice doubles the work: give the value a name")  # fmt: skip

    def _shared(self, value: Any, node: s.Expr) -> Any:
        """An argument with work in it gets a line of its own, so that a definition that names it twice does it once."""
        if isinstance(value, Coordinatewise) and value.expr.size > 8 and leaves(value.expr, "ref"):
            self.builder.at(node.span, self.derived)
            return Coordinatewise(ref(self.builder.map(value.expr, value.width)), value.width)
        return value

    def _apply_function(self, name: str, node: s.Call, scope: Scope) -> Any:
        values = [self.value(a, scope) for a in node.arguments]
        record = FUNCTIONS[name]
        if len(values) != record.arity:
            raise Mistake(node.span, f"`{name}` takes {_count(record.arity or 0, 'argument')}, not {len(values)}")
        if isinstance(values[0], Array) and len(values) == 1:
            with np.errstate(all="ignore"):
                return _finite_array(record.array(values[0].array), values[0].name, node.span)
        if isinstance(values[0], Listing):
            hint = f"apply it to each: `{name}(x[i])` in a comprehension"
            raise Mistake(node.span, f"`{name}` applies to one value, but {self.quote(node.arguments[0].span)} is "
                          f"{describe(values[0])}", hint)  # fmt: skip
        for value, argument in zip(values, node.arguments, strict=True):
            if not isinstance(value, Coordinatewise):
                what = f"{self.quote(argument.span)} is {describe(value)}"
                raise Mistake(argument.span, f"`{name}` applies to numbers, scalars and vectors, but {what}",
                              _random_hint(value))  # fmt: skip
        width = self._common_width([(v, a.span) for v, a in zip(values, node.arguments, strict=True)])
        result = Coordinatewise(apply(name, *(v.expr for v in values)), width)
        self._bounded(result.expr, node.span)
        if is_constant(result):
            self._finite(result.expr, node.span)
        return result

    # ------------------------------------------------------------------------------- sums, averages, softmax
    def comprehension(self, node: s.Comprehension, scope: Scope) -> Any:
        return Listing(tuple(self._iterate(node.clauses, scope, lambda inner: self.value(node.item, inner))))

    def _iterate(self, clauses: tuple[s.Clause, ...], scope: Scope, run: Callable[[Scope], Any]) -> Iterator[Any]:
        if not clauses:
            yield run(scope)
            return
        first = clauses[0]
        outer = self.multiplicity
        for i in self.indices(first, scope):
            try:
                self.multiplicity = outer * max(1, self._range_size)
                yield from self._iterate(clauses[1:], {**scope, first.variable: Coordinatewise(number(i))}, run)
            finally:
                self.multiplicity = outer

    _range_size = 1

    def indices(self, clause: s.Clause, scope: Scope) -> range:
        start = self.integer(clause.start, scope, "an end of a range")
        stop = self.integer(clause.stop, scope, "an end of a range")
        self.enter_range(stop - start + 1, clause.span)
        self._range_size = stop - start + 1
        return range(start, stop + 1)

    def _items(self, node: s.Call, scope: Scope) -> list[Any] | None:
        """The members of a list argument; None if the one argument is no list."""
        name = node.function
        if len(node.arguments) != 1:
            raise Mistake(node.span, f"`{name}` takes 1 argument, not {len(node.arguments)}",
                          f"`{name}(x[i] for i in 1..3)` goes over a range")  # fmt: skip
        value = self.value(node.arguments[0], scope)
        self._argument = value
        if isinstance(value, Listing):
            items = list(_flatten(value))
            if not items:
                what = "list" if isinstance(node.arguments[0], s.ListOf) else "range"
                raise Mistake(node.arguments[0].span, f"`{name}` of nothing: this {what} is empty",
                              "a range `a..b` holds a, a + 1, …, b" if what == "range" else None)  # fmt: skip
            return items
        return None

    _argument: Any = None

    def _sum_call(self, node: s.Call, scope: Scope) -> Any:
        items = self._items(node, scope)
        if items is None:
            hint = "`sum(x[i] for i in 1..3)` sums over a range; `avg(x)` averages the coordinates of a vector"
            what = f"{self.quote(node.arguments[0].span)} is {describe(self._argument)}"
            raise Mistake(node.span, f"`sum` goes over a list of values, but {what}", hint)
        return self._total(items, node)

    def _total(self, items: list[Any], node: s.Call) -> Any:
        if all(isinstance(v, Coordinatewise) for v in items):
            width = self._common_width([(v, node.span) for v in items])
            return self._coordinatewise(lambda: add(*(v.expr for v in items)), width, node.span)
        total = items[0]
        for item in items[1:]:
            total = self.binary("+", total, item, node.span, node.span, node.span)
        return total

    def _avg_call(self, node: s.Call, scope: Scope) -> Any:
        items = self._items(node, scope)
        if items is not None:
            return self.binary("/", self._total(items, node), Coordinatewise(number(len(items))), node.span, node.span,
                               node.span)  # fmt: skip
        value = self._argument
        if not isinstance(value, Coordinatewise) or value.width is None:
            what = f"{self.quote(node.arguments[0].span)} is {describe(value)}"
            raise Mistake(node.span, f"`avg` averages the coordinates of a vector, but {what}", _random_hint(value))
        self.builder.at(node.span, self.derived)
        if not leaves(value.expr, "ref"):
            return Coordinatewise(value.expr)
        return Coordinatewise(ref(self.builder.moment(value.expr, value.width)))

    def _softmax_call(self, node: s.Call, scope: Scope) -> Any:
        items = self._items(node, scope)
        if items is None or not all(isinstance(v, Coordinatewise) for v in items):
            wrong = self._argument if items is None else next(v for v in items if not isinstance(v, Coordinatewise))
            hint = "`softmax(s[1..T])[j]` is the j-th weight of the list s[1], …, s[T]"
            what = f"{self.quote(node.arguments[0].span) if items is None else 'one'} is {describe(wrong)}"
            raise Mistake(node.span, f"`softmax` takes a list of scalars or vectors, but {what}", hint)
        width = self._common_width([(v, node.span) for v in items])
        self.builder.at(node.span, self.derived)
        powers = [apply("exp", v.expr) for v in items]
        total = add(*powers)
        if leaves(total, "ref"):
            total = ref(self.builder.map(total, width))
        return Listing(tuple(Coordinatewise(div(p, total), width) for p in powers))


# ---------------------------------------------------------------------------------------------- helpers


def _finite_array(array: np.ndarray, name: str, span: Span) -> Any:
    if not np.all(np.isfinite(array)):
        raise Mistake(span, f"this makes entries of `{name}` infinite or not a number")
    if array.ndim == 0:
        return Coordinatewise(from_float(float(array)))
    return Array(array, name)


def _merge(a: tuple[tuple[int, Expr], ...], b: tuple[tuple[int, Expr], ...]) -> tuple[tuple[int, Expr], ...]:
    total = dict(a)
    for key, expr in b:
        total[key] = add(total[key], expr) if key in total else expr
    return tuple(total.items())


def _flatten(value: Any) -> Iterator[Any]:
    for item in value.items:
        if isinstance(item, Listing):
            yield from _flatten(item)
        else:
            yield item


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _suggest(name: str, scope: Scope, widths: dict) -> str | None:
    close = nearest(name, [k for k in [*scope, *widths, *CALLABLE] if not k.startswith("__")])
    return f"did you mean `{close}`?" if close else None


def _known_indices(family: Family, axes: int) -> str:
    keys = sorted(k for k in family.entries if len(k) == axes)
    if not keys:
        own = len(next(iter(family.entries), ()))
        return f"`{family.name}` has {_count(own, 'index') if own == 1 else f'{own} indices'}"
    if axes == 1 and len(keys) > 1 and [k[0] for k in keys] == list(range(keys[0][0], keys[-1][0] + 1)):
        return f"`{family.name}` has {keys[0][0]}..{keys[-1][0]} so far"
    if len(keys) == 1:
        return f"only `{family.name}[{', '.join(map(str, keys[0]))}]` is"
    few = ", ".join("[" + ", ".join(map(str, k)) + "]" for k in keys[:4])
    return f"`{family.name}` has {few}" + (" and others" if len(keys) > 4 else "")


def _random_hint(value: Any) -> str | None:
    if isinstance(value, RandomOutput):
        return "a readout's value stays random in the limit; its law is `nngp(f, X)`"
    if isinstance(value, Array):
        return "data enter through a matrix: `U @ xi`"
    if isinstance(value, (MatrixSum, Readout)):
        return "a matrix stands only in products, as in `W @ x`"
    return None


def _join_hint(sign: str, a: Any, b: Any, one: str, other: str) -> str | None:
    matrices = (MatrixSum, Readout)
    if sign == "*" and isinstance(a, matrices) and isinstance(b, (Coordinatewise, Array)):
        return f"a product with a matrix is written `{_bare(one, 'W')} @ {_bare(other, 'x')}`"
    if sign in "+-" and isinstance(a, matrices) and isinstance(b, matrices):
        return "matrices are added only at equal shape"
    if isinstance(a, Array) and isinstance(b, Array):
        return None
    return _random_hint(a) or _random_hint(b)


def _matmul_hint(a: Any, b: Any, one: str, other: str) -> str | None:
    x, y = _bare(one, "x"), _bare(other, "W")
    size = a.array.size if isinstance(a, Array) else a.width if isinstance(a, Coordinatewise) else None
    if isinstance(b, MatrixSum) and size is not None and size in (b.rows, b.columns):
        transposed = y[:-2] if y.endswith(".T") else f"{y}.T"
        return f"the matrix stands on the left: `{y if size == b.columns else transposed} @ {x}`"
    if isinstance(a, Coordinatewise) and isinstance(b, Coordinatewise) and a.width and b.width:
        return f"the inner product of two vectors, over n, is `avg({x} * {_bare(other, 'y')})`"
    if isinstance(a, Coordinatewise) and a.width is None:
        return "a product with a number is written `*`"
    return None


def _number_hint(b: Any) -> str | None:
    return "a product with a number is written `*`" if isinstance(b, Coordinatewise) and b.width is None else None


def _bare(text: str, instead: str) -> str:
    """An operand's text without its quotes, to stand in a suggestion; another where it is long."""
    bare = text.strip("`")
    return instead if text == "this" else f"({bare})" if _BETWEEN.search(bare) else bare


# An operator outside brackets: such an operand takes parentheses in a suggestion.
_BETWEEN = re.compile(r"^[^\[(]*[-+*/@^ ]|[\])]\s*[-+*/@^ ]")


_RULES: dict[type, Callable[[Evaluator, Any, Scope], Any]] = {
    s.Number: Evaluator.number,
    s.String: Evaluator.string,
    s.Name: Evaluator.name,
    s.Chain: Evaluator.chain,
    s.Signed: Evaluator.signed,
    s.Power: Evaluator.power,
    s.Indexed: Evaluator.indexed,
    s.Transposed: Evaluator.transposed,
    s.Call: Evaluator.call,
    s.ListOf: Evaluator.list_of,
    s.Comprehension: Evaluator.comprehension,
}

__all__ = ["UNKNOWN", "Evaluator", "describe", "from_float", "is_constant"]
