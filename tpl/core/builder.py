"""Growing a core program line by line: fresh names, no line twice, never more lines than allowed."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from tpl.core.expr import ONE, ZERO, Expr, close, evaluate, from_float, leaves, number, ref, substitute, symbol
from tpl.core.functions import BUILTIN_CONSTANTS
from tpl.core.growth import CONSTANT, GAUSSIAN, Growth, TooFast, growth
from tpl.core.program import Dim, Kind, Line, Origin, Program, Show, ratio_value
from tpl.core.values import Mistake, TooLarge
from tpl.language.source import Source, Span

MAX_EXPRESSION_DEPTH = 200
_SQUARE = Expr("pow", (ref(0), number(2)))
_PRODUCT = Expr("mul", (ref(0), ref(1)))


def gram_name(i: int, j: int) -> str:
    """The constant that stands for the inner product of generic data vectors i and j."""
    return f"gram_{min(i, j)}_{max(i, j)}"


def entry_name(name: str) -> str:
    """The constant that stands for an entry of generic data: `G[1, 2]` is entry_G_1_2."""
    base, _, indices = name.rstrip("]").partition("[")
    return "_".join(["entry", base, *indices.split(", ")])


class Builder:
    """A core program under construction.

    `origin` is stamped on every line made: set it before. Lines are hash-consed: asking twice for the same
    operation on the same lines gives the same line.
    """

    def __init__(self, source: Source, max_lines: int):
        self.source = source
        self.max_lines = max_lines
        self.widths: dict[str, Fraction] = {}
        self.symbolic_ratios: dict[str, Expr] = {}
        self.constants: dict[str, Expr] = {}
        self.values: dict[str, float] = dict(BUILTIN_CONSTANTS)
        self.lines: list[Line] = []
        self.shows: list[Show] = []
        self.origin = Origin(None)
        self.label = ""  # the input that lines without a name of their own belong to
        # Does a line depend on a trained parameter? Reverse mode visits only those that do.
        self.trained: list[bool] = []
        # Data vectors that stay generic, and their numbers: see `dot`.
        self.generic_rows: dict[tuple[float, ...], int] | None = None
        self.generic_entries: frozenset[str] = frozenset()
        self._names: dict[str, int] = {}
        self._temporary: set[int] = set()
        self._memo: dict[tuple, int] = {}
        self._inner: dict[tuple[int, int], Expr] = {}  # averages of products of two lines
        self._closed: dict[Expr, Expr] = {}
        self._growth: dict[int, Growth] = {}  # of vectors that are no Gaussians
        self._vectors: dict[bytes, tuple[float, ...]] = {}  # of data, each once
        self._dots: dict[tuple[int, int], tuple[tuple[float, ...], tuple[float, ...], Expr]] = {}

    # ------------------------------------------------------------------------------------------ constants
    def define_constant(self, name: str, expr: Expr) -> None:
        """Raises ArithmeticError or ValueError if the expression has no finite value."""
        value = evaluate(expr, self.values)
        if value != value or value in (float("inf"), float("-inf")):
            raise OverflowError
        self.constants[name] = expr
        self.values[name] = value

    def without_widths(self, expr: Expr) -> Expr:
        """The coefficient of a power of the base width: every width replaced by its ratio to it."""
        return substitute(expr, lambda e: self.ratio(str(e.value)) if e.value in self.widths else e)

    def dot(self, a: tuple[float, ...], b: tuple[float, ...]) -> Expr:
        """The inner product of two data vectors: a number, or its symbol where the inputs are to stay generic."""
        key = (id(a), id(b))  # the value keeps both alive, so that no other vectors can take their places
        if key not in self._dots:
            self._dots[key] = (a, b, self._new_dot(a, b))
        return self._dots[key][2]

    def _new_dot(self, a: tuple[float, ...], b: tuple[float, ...]) -> Expr:
        value = sum(x * y for x, y in zip(a, b, strict=True))
        if self.generic_rows is None or a not in self.generic_rows or b not in self.generic_rows:
            return from_float(value)
        name = gram_name(self.generic_rows[a], self.generic_rows[b])
        if name not in self.constants:
            self.define_constant(name, number(value))
        return symbol(name)

    def entry(self, name: str, value: float) -> Expr:
        """An entry of data, `G[1, 2]`, as a named constant."""
        name = entry_name(name)
        if name not in self.constants:
            self.define_constant(name, from_float(value))
        return symbol(name)

    def data_vector(self, array: np.ndarray) -> tuple[float, ...]:
        """The numbers of a data vector; the same tuple for equal vectors, so that `dot` multiplies a pair only once."""
        key = array.tobytes()
        if key not in self._vectors:
            self._vectors[key] = tuple(array.tolist())
        return self._vectors[key]

    def define_width(self, name: str, expr: Expr) -> None:
        """A width as a multiple of another, in constants and widths."""
        ratio = self.without_widths(expr)
        self.widths[name] = ratio_value(ratio, self.values)
        if leaves(ratio, "symbol"):
            self.symbolic_ratios[name] = ratio

    def ratio(self, width: str) -> Expr:
        return self.symbolic_ratios.get(width) or number(self.widths[width])

    # ------------------------------------------------------------------------------------------ lines
    def _emit(self, line: Line, temporary: bool, trained: bool) -> int:
        self.spend(1)
        name = self.fresh(line.name)
        self.lines.append(line if name == line.name else replace(line, name=name))
        index = len(self.lines) - 1
        if temporary:
            self._temporary.add(index)
        self.trained.append(trained)
        return index

    def spend(self, lines: int) -> None:
        """Account for lines that are about to be made. Raises TooLarge above the limit."""
        if len(self.lines) + lines > self.max_lines:
            total = len(self.lines) + lines
            raise TooLarge(
                self.origin.span,
                f"the core program would have more than {total - 1:,} lines; the limit is {self.max_lines:,}",
                "use fewer inputs or a shorter loop, or raise --max-lines",
            )

    def fresh(self, name: str) -> str:
        """The name, with 'k appended if it is taken."""
        count = self._names.get(name, 0) + 1
        self._names[name] = count
        return name if count == 1 else self.fresh(f"{name}'{count}")

    def _temporary_name(self, name: str | None) -> str:
        return name if name is not None else f"_{len(self.lines) + 1}{self.label}"

    def rename(self, index: int, name: str) -> None:
        """Give a line that has only a made-up name the user's name."""
        if index in self._temporary:
            self._temporary.discard(index)
            self.lines[index] = replace(self.lines[index], name=self.fresh(name))

    def matrix(self, name: str, dims: tuple[Dim, Dim], variance: Expr, trained: bool) -> int:
        line = Line("matrix", Kind.MATRIX, name, (), variance, dims, origin=self.origin)
        return self._emit(line, False, trained)

    def gaussian(self, name: str, width: str | None, mean: Expr, variance: Expr, trained: bool) -> int:
        kind, dims = (Kind.OUTPUT, ()) if width is None else (Kind.VECTOR, (width,))
        line = Line("gaussian", kind, name, (), variance, dims, mean=mean, origin=self.origin)
        return self._emit(line, False, trained)

    def state(self, name: str, mean: Expr, variance: Expr) -> int:
        """A number that training changes: at first it is drawn from N(mean, variance)."""
        return self._emit(Line("state", Kind.SCALAR, name, (), variance, mean=mean, origin=self.origin), False, True)

    def input(self, matrix: int, row: tuple[float, ...]) -> int:
        return self._cached(("input", matrix, row), lambda: Line(
            "input", Kind.VECTOR, self._temporary_name(None), (matrix,), None, self.lines[matrix].dims[:1],
            row=row, origin=self.origin), (matrix,))  # fmt: skip

    def matmul(self, matrix: int, transposed: bool, vector: int, name: str | None = None) -> int:
        dims = self.lines[matrix].dims[1:] if transposed else self.lines[matrix].dims[:1]
        return self._cached(("matmul", matrix, transposed, vector), lambda: Line(
            "matmul", Kind.VECTOR, self._temporary_name(name), (matrix, vector), None, dims,
            transposed=transposed, origin=self.origin), (matrix, vector))  # fmt: skip

    def _cached(self, key: tuple, make, args: Iterable[int], temporary: bool = True) -> int:
        found = self._memo.get(key)
        if found is None:
            found = self._emit(make(), temporary, any(self.trained[a] for a in args))
            self._memo[key] = found
        return found

    def _over_lines(self, op: str, expr: Expr, width: str | None, name: str | None) -> int:
        if expr.depth > MAX_EXPRESSION_DEPTH:
            raise Mistake(self.origin.span, f"this expression is more than {MAX_EXPRESSION_DEPTH} operations deep",
                          "give its parts names")  # fmt: skip
        closed, args = close(expr)
        closed = self._closed.setdefault(closed, closed)
        grows = self._growth_of(closed, args)
        scalar = op == "moment" or width is None
        kind = Kind.OUTPUT if op == "output" else Kind.SCALAR if scalar else Kind.VECTOR
        dims = (width,) if kind is Kind.VECTOR and width is not None else ()
        line = self._cached((op, args, closed), lambda: Line(
            op, kind, self._temporary_name(name), args, closed, dims, origin=self.origin), args, name is None)  # fmt: skip
        if op == "map" and kind is Kind.VECTOR:
            self._growth[line] = grows
        return line

    def _growth_of(self, expr: Expr, args: tuple[int, ...]) -> Growth:
        known = [self._growth.get(a, GAUSSIAN) if self.lines[a].kind is Kind.VECTOR else CONSTANT for a in args]
        if all(x is CONSTANT for x in known):
            return CONSTANT
        try:
            return growth(expr, known, self.values)
        except TooFast:
            raise Mistake(
                self.origin.span,
                "an exponential here grows like exp(x^2) or faster: its averages have no limit",
                "the theory allows growth up to exp(|x|^a) with a < 2; `exp(-x^2)` is fine",
            ) from None

    def map(self, expr: Expr, width: str | None, name: str | None = None) -> int:
        """A line for an expression; a bare reference needs none."""
        if width is not None and not self._holds_vector(expr):
            return self._constant_vector(expr, width)
        if expr.op == "ref":
            return int(expr.value)  # type: ignore[arg-type]
        return self._over_lines("map", expr, width, name)

    def _holds_vector(self, expr: Expr) -> bool:
        return any(self.lines[int(i)].kind is Kind.VECTOR for i in leaves(expr, "ref"))  # type: ignore[arg-type]

    def _constant_vector(self, expr: Expr, width: str) -> int:
        """A vector of equal coordinates: a number as a law without variance, a scalar as its multiple of ones."""
        if leaves(expr, "ref"):
            ones = ref(self._constant_vector(ONE, width))
            return self._over_lines("map", Expr("mul", (expr, ones)), width, None)
        return self._cached(("constant", expr, width), lambda: Line(
            "gaussian", Kind.VECTOR, self._temporary_name(None), (), ZERO, (width,), mean=expr, origin=self.origin),
            ())  # fmt: skip

    def moment(self, expr: Expr, width: str, name: str | None = None) -> int:
        if not self._holds_vector(expr):
            return self.map(expr, None, name)
        return self._over_lines("moment", expr, width, name)

    def inner(self, a: int, b: int) -> Expr:
        """avg(a * b), the same line for (b, a)."""
        pair = (a, b) if a <= b else (b, a)
        found = self._inner.get(pair)
        if found is None:
            found = self._inner[pair] = ref(self._inner_line(*pair))
        return found

    def _inner_line(self, a: int, b: int) -> int:
        """`moment` for a product, which kernels ask for again and again: nothing here needs to be looked at first."""
        args, closed = ((a,), _SQUARE) if a == b else ((a, b), _PRODUCT)
        return self._cached(("moment", args, closed), lambda: Line(
            "moment", Kind.SCALAR, self._temporary_name(None), args, closed, (), origin=self.origin), args)  # fmt: skip

    def output(self, expr: Expr, biases: tuple[tuple[int, Expr], ...], name: str) -> int:
        closed, args = close(expr)
        line = Line("output", Kind.OUTPUT, name, args, closed, (), biases=biases, origin=self.origin)
        return self._emit(line, False, True)

    def program(self, title: str) -> Program:
        return Program(
            dict(self.widths), dict(self.constants), tuple(self.lines), tuple(self.shows), self.source, title,
            dict(self.symbolic_ratios),
        )  # fmt: skip

    def at(self, span: Span | None, derived: str = "") -> "Builder":
        self.origin = Origin(span, derived)
        return self
