"""Evaluating the language's expressions: from syntax to values over core lines."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from tpl.core import calls
from tpl.core.builder import MAX_EXPRESSION_DEPTH, Builder
from tpl.core.expr import ONE, Expr, add, div, evaluate, from_float, leaves, mul, neg, number, power, ref, sub
from tpl.core.functions import CALLABLE, FUNCTIONS
from tpl.core.values import (
    UNKNOWN,
    Array,
    Coordinatewise,
    Family,
    Listing,
    MatrixSum,
    Mistake,
    OwnLength,
    RandomOutput,
    Readout,
    Scope,
    Sequences,
    Silent,
    Text,
    Unknown,
    finite_array,
)  # fmt: skip
from tpl.core.wording import (
    bare,
    describe,
    is_constant,
    join_hint,
    known_indices,
    matmul_hint,
    operand_hint,
    suggest,
)
from tpl.language import syntax as s
from tpl.language.source import Span

MAX_EXPRESSION_SIZE = 100_000
LONG_CONSTANT = 1000  # nodes of a number that is not evaluated wherever it occurs

_ORDER: dict[str, Callable[..., Expr]] = {"+": add, "-": sub, "*": mul, "/": div}


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
        self.depth = 0  # of calls of defs within one another
        self.def_calls = 0  # within the outermost one
        self.outermost: Span | None = None
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
        self.finite(value.expr, node.span)
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

    def finite(self, expr: Expr, span: Span) -> float:
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
            if isinstance(value, OwnLength):
                raise Mistake(node.span, f"`{node.name}` differs from one sequence of `{value.data}` to the next",
                              "inside a network it is the length of the network's input")  # fmt: skip
            return value
        if node.name in self.builder.widths:
            if self.widths_allowed:
                return Coordinatewise(Expr("symbol", (), node.name))
            hint = "a width may stand in shapes and in variances; `avg(x)` divides by it"
            raise Mistake(node.span, f"`{node.name}` is a width, which goes to infinity", hint)
        if node.name in CALLABLE:
            raise Mistake(node.span, f"`{node.name}` is a function", f"apply it: `{node.name}(x)`")
        raise Mistake(node.span, f"`{node.name}` is not defined here", suggest(node.name, scope, self.builder.widths))

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
        width = self.common_width([(v, n.span) for v, n in zip(values, nodes, strict=True)])
        operation = add if node.rest[0][0] == "+" else mul
        return self.coordinatewise(lambda: operation(*(v.expr for v in values)), width, node.span)

    def common_width(self, values: list[tuple[Any, Span]]) -> str | None:
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

    def coordinatewise(self, make: Callable[[], Expr], width: str | None, span: Span) -> Coordinatewise:
        try:
            expr = make()
        except ZeroDivisionError:
            raise Mistake(span, "this divides by zero") from None
        except OverflowError:
            raise Mistake(span, "this number is too large") from None
        self.bounded(expr, span)
        if width is None and not expr.is_number and expr.size < LONG_CONSTANT and not leaves(expr, "ref"):
            self.finite(expr, span)
        return Coordinatewise(expr, width)

    def bounded(self, expr: Expr, span: Span) -> None:
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
            width = self.common_width([(a, left), (b, right)])
            if sign == "/":
                self._refuse_zero(b, right, span)
            return self.coordinatewise(lambda: _ORDER[sign](a.expr, b.expr), width, span)
        if isinstance(a, Array) or isinstance(b, Array):
            return self._array_arithmetic(sign, a, b, span, left, right)
        if sign == "/":
            self._refuse_zero(b, right, span)
        linear = self._linear(sign, a, b)
        if linear is not None:
            return linear
        raise self._misjoined(sign, a, b, span, left, right)

    def _refuse_zero(self, divisor: Any, place: Span, whole: Span) -> None:
        """Raises Mistake where a number that is divided by is 0, whatever it is called."""
        if not is_constant(divisor) or self.widths_allowed or divisor.expr.size >= LONG_CONSTANT:
            return
        if self.finite(divisor.expr, place) == 0:
            text = self.quote(place)
            which = f": {text} is 0" if text[1:2].isalpha() else ""
            raise Mistake(whole, f"this divides by zero{which}")

    def _misjoined(self, sign: str, a: Any, b: Any, span: Span, left: Span, right: Span) -> Mistake:
        """What to say of an operation on two values that it does not join."""
        one, other = self.quote(left), self.quote(right)
        message = f"`{sign}` does not join {describe(a)} and {describe(b)}"
        if "this" not in (one, other):
            message = f"{one} is {describe(a)}, and {other} is {describe(b)}: `{sign}` does not join them"
        return Mistake(span, message, join_hint(sign, a, b, one, other))

    def _mod(self, a: Any, b: Any, left: Span, right: Span) -> Any:
        numbers = []
        for value, span in ((a, left), (b, right)):
            if not is_constant(value):
                raise Mistake(span, f"`mod` takes whole numbers, but {self.quote(span)} is {describe(value)}")
            exact = Fraction(value.expr.value) if value.expr.is_number else Fraction(self.finite(value.expr, span))
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
        arrays = [v.array if isinstance(v, Array) else self.finite(v.expr, span) if is_constant(v) else None
                  for v in (a, b)]  # fmt: skip
        name = (a if isinstance(a, Array) else b).name
        if any(x is None for x in arrays) or (
            isinstance(a, Array) and isinstance(b, Array) and a.array.shape != b.array.shape
        ):
            raise self._misjoined(sign, a, b, span, left, right)
        with np.errstate(all="ignore"):
            operation = FUNCTIONS[{"+": "add", "-": "sub", "*": "mul", "/": "div"}[sign]].array
            return finite_array(operation(*arrays), name, span)

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
        width = self.common_width([(base, node.base.span), (exponent, node.exponent.span)])
        return self.coordinatewise(lambda: power(base.expr, exponent.expr), width, node.span)

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
                          matmul_hint(a, b, one, other))  # fmt: skip
        if isinstance(b, Array):
            return self._enter(a, b, span, left, right)
        if isinstance(b, (MatrixSum, Readout)):
            raise Mistake(span, "a product of matrices is not a line of a tensor program",
                          f"apply one matrix at a time: `{bare(one, 'A')} @ ({bare(other, 'B')} @ x)`")  # fmt: skip
        if not isinstance(b, Coordinatewise) or b.width is None:
            raise Mistake(right, f"`@` needs a vector on its right, but {other} is {describe(b)}", operand_hint(b))
        if a.columns != b.width:
            raise Mistake(span, f"{one} is [{a.rows}, {a.columns}], but {other} has width {b.width}",
                          self._fitting(a, b.width, one, other))  # fmt: skip
        vector = self.builder.map(b.expr, b.width)
        products = [mul(c, ref(self.builder.matmul(line, t, vector))) for c, line, t in a.terms]
        return Coordinatewise(add(*products), str(a.rows))

    def _fitting(self, wrong: MatrixSum | Readout, size: str | int, one: str, other: str) -> str | None:
        """Suggest a product that would fit: with the transpose, or with another matrix in scope."""
        vector = bare(other, "x")
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
                          f"index it: `{bare(other, 'X')}[{indices}]` is a vector")  # fmt: skip
        if a.columns != b.array.size:
            hint = self._fitting(a, b.array.size, one, other)
            hint = hint or f"data enter through a matrix of as many columns, here [{a.rows}, {b.array.size}]"
            raise Mistake(span, f"{one} is [{a.rows}, {a.columns}], but {other} has length {b.array.size}", hint)
        row = self.builder.data_vector(b.array)
        return Coordinatewise(add(*(mul(c, ref(self.builder.input(line, row))) for c, line, _ in a.terms)), str(a.rows))

    def _contract(self, a: Array, b: Array, span: Span, left: Span, right: Span) -> Any:
        """Data @ data is plain linear algebra."""
        if b.array.ndim > 2 or a.array.ndim > 2 or a.array.shape[-1] != b.array.shape[0]:
            raise self._misjoined("@", a, b, span, left, right)
        with np.errstate(all="ignore"):
            return finite_array(a.array @ b.array, a.name, span)

    def _read_out(self, a: Readout, b: Any, span: Span, left: Span, right: Span) -> Any:
        one, other = self.quote(left), self.quote(right)
        if isinstance(b, Array):
            raise Mistake(span, f"{one} is [{a.rows}, {a.width}], but {other} is {describe(b)}",
                          f"it reads out a vector of width {a.width}")  # fmt: skip
        if not isinstance(b, Coordinatewise) or b.width is None:
            raise Mistake(right, f"`@` needs a vector on its right, but {other} is {describe(b)}", operand_hint(b))
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
        if isinstance(base, (Array, Listing, Sequences)):
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
        if not isinstance(base, (Array, Listing, Sequences)) or (isinstance(base, Array) and base.ndim == 0):
            raise Mistake(node.span, f"{name} has fewer indices than are given here")
        size = len(base.items) if isinstance(base, Listing) else len(base)
        first, rest = axes[0], axes[1:]
        if isinstance(first, range):
            return Listing(tuple(self._pick_axis(base, [i, *rest], name, node) for i in first))
        if not 1 <= first <= size:
            raise Mistake(node.span, f"index {first} is outside {name}, which has 1..{size}",
                          "indices begin at 1" if first == 0 else None)  # fmt: skip
        if isinstance(base, Listing):
            return self._pick_axis(base.items[first - 1], rest, name, node)
        picked = base.member(first)
        if rest:
            return self._pick_axis(picked, rest, name, node)
        if picked.ndim:
            return picked
        number = float(picked.array)
        return Coordinatewise(self.builder.entry(picked.name, number) if picked.named else from_float(number))

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
        hint = known_indices(family, len(key))
        family.entries[key] = UNKNOWN  # said once: other members that are missing have the same cause
        raise Mistake(node.span, f"`{family.name}[{shown}]` is not defined here", hint)


# ---------------------------------------------------------------------------------------------- helpers


def _merge(a: tuple[tuple[int, Expr], ...], b: tuple[tuple[int, Expr], ...]) -> tuple[tuple[int, Expr], ...]:
    total = dict(a)
    for key, expr in b:
        total[key] = add(total[key], expr) if key in total else expr
    return tuple(total.items())


_RULES: dict[type, Callable[[Evaluator, Any, Scope], Any]] = {
    s.Number: Evaluator.number,
    s.String: Evaluator.string,
    s.Name: Evaluator.name,
    s.Chain: Evaluator.chain,
    s.Signed: Evaluator.signed,
    s.Power: Evaluator.power,
    s.Indexed: Evaluator.indexed,
    s.Transposed: Evaluator.transposed,
    s.Call: calls.call,
    s.ListOf: Evaluator.list_of,
    s.Comprehension: calls.comprehension,
}

__all__ = ["Evaluator", "Scope", "describe", "is_constant"]
