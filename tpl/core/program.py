"""Core programs: straight-line, typed lines over matrices, vectors, scalars and random outputs (TP1-TP3).

A program's lines are numbered from 0 and refer only to earlier lines. The base width n goes to infinity; every
other width is a fixed ratio of it.

| op       | kind            | printed                    | meaning at width n |
|----------|-----------------|----------------------------|--------------------|
| matrix   | MATRIX          | `W : [n, m] ~ N(0, v)`     | iid N(0, v) entries; v may contain widths. Rows are a width, columns a width or a number |
| gaussian | VECTOR, OUTPUT  | `b : [n] ~ N(mu, v)`       | iid coordinates; `[1]`: a single random number (a readout's bias) |
| input    | VECTOR          | `h = U @ [1, 0.5]`         | a matrix of finitely many columns times a constant |
| matmul   | VECTOR          | `g = W @ x`, `g = W.T @ y` | product with a matrix |
| map      | VECTOR or SCALAR| `x = tanh(g) + theta`      | Nonlin: coordinatewise; of scalars alone: a scalar |
| moment   | SCALAR          | `theta = avg(x * y)`       | the average over coordinates |
| state    | SCALAR          | `c : [] ~ N(mu, v)`        | a number that training changes, and what it is at first |
| output   | OUTPUT          | `f = out(v * x) + c`       | n^{-1/2} times the sum over coordinates, plus constants times biases (random numbers, outputs of other widths) |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from tpl.core.expr import ZERO, Expr, evaluate, leaves, number
from tpl.core.functions import BUILTIN_CONSTANTS, FUNCTIONS
from tpl.language.source import Source, Span

if TYPE_CHECKING:
    from tpl.core.training import Training


class Kind(Enum):
    MATRIX = "matrix"
    VECTOR = "vector"
    SCALAR = "scalar"
    OUTPUT = "output"


Dim = str | int  # a width's name, or a finite size


class Origin(NamedTuple):
    """Where a line comes from: the user's text, and the pass that derived it from there, if one did."""

    span: Span | None
    derived: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One assignment. Which fields are set depends on `op`; see the table above.

    args: earlier lines, by number. In `expr`, ref(i) stands for args[i].
    expr: ψ of a map, moment or output (without its biases); the variance of a matrix or gaussian.
    mean: of a gaussian. dims: (rows, columns) of a matrix, (width,) of a vector, () otherwise.
    row: the constant vector of an input.
    biases: of an output, pairs (random number or output, coefficient).
    """

    op: str
    kind: Kind
    name: str
    args: tuple[int, ...] = ()
    expr: Expr | None = None
    dims: tuple[Dim, ...] = ()
    mean: Expr = ZERO
    transposed: bool = False
    row: tuple[float, ...] = ()
    biases: tuple[tuple[int, Expr], ...] = ()
    origin: Origin = field(default=Origin(None), compare=True)


@dataclass(frozen=True)
class Show:
    """A request for numbers: an array of scalar lines.

    name: what the user wrote. shape: of the array, () for one number. lines: their numbers, row-major.
    labels: what the axes are, for tables ("" where nothing can be said).
    """

    name: str
    shape: tuple[int, ...]
    lines: tuple[int, ...]
    span: Span | None = None


@dataclass(frozen=True)
class Program:
    """A whole core program.

    widths: name -> ratio to the base width, the base (ratio 1) first.
    constants: name -> defining expression over earlier constants.
    symbolic_ratios: width -> its ratio in named constants, where the user wrote it so; `widths` has its value.
    training: what a `train` block asks for.
    """

    widths: dict[str, Fraction]
    constants: dict[str, Expr]
    lines: tuple[Line, ...]
    shows: tuple[Show, ...]
    source: Source = field(default=Source(""), compare=False)
    title: str = ""
    symbolic_ratios: dict[str, Expr] = field(default_factory=dict)
    training: "Training | None" = None

    @property
    def base_width(self) -> str:
        return next(iter(self.widths), "n")

    def ratio(self, width: str) -> Expr:
        """A width's ratio to the base width, in the user's constants where it was written so."""
        return self.symbolic_ratios.get(width) or number(self.widths[width])

    def expressions(self) -> tuple[Expr, ...]:
        """The distinct expressions of its lines, over positions of arguments: many lines share one."""
        return tuple(dict.fromkeys(line.expr for line in self.lines if line.expr is not None))

    def constant_values(self) -> dict[str, float]:
        """Every named constant as a float (widths are not among them)."""
        return constant_values(self.constants)

    def sizes(self, base: int) -> dict[str, int]:
        """The size of every width when the base width is `base`; at least 1."""
        return {name: max(1, round(ratio * base)) for name, ratio in self.widths.items()}


def constant_values(constants: Mapping[str, Expr]) -> dict[str, float]:
    """The values of constants, each defined over earlier ones, and of the built-in ones."""
    values = dict(BUILTIN_CONSTANTS)
    for name, expr in constants.items():
        values[name] = evaluate(expr, values)
    return values


def ratio_value(ratio: Expr, values: Mapping[str, float]) -> Fraction:
    """The ratio of two widths as a fraction: exact for what people write, else to 1e-12."""
    return Fraction(evaluate(ratio, values)).limit_denominator(10**6)


def ancestors(program: Program, lines: Iterable[int]) -> set[int]:
    """Lines and all that they are computed from."""
    found: set[int] = set()
    stack = list(lines)
    while stack:
        line = stack.pop()
        if line not in found:
            found.add(line)
            stack.extend(program.lines[line].args)
    return found


class ProgramClass(Enum):
    """TP1-TP3's nested classes."""

    NETSOR = "NETSOR"
    NETSOR_PLUS = "NETSOR+"
    NETSORT = "NETSORT"
    NETSORT_PLUS = "NETSORT+"


def classify(program: Program) -> ProgramClass:
    """The smallest class that holds the program: does a matrix occur transposed, does a Moment feed a Nonlin?

    A matrix used only as W.T is as good as another matrix; what makes a program NETSORT is W and W.T together. Training
    uses both, and scalars in between.
    """
    if program.training is not None:
        return ProgramClass.NETSORT_PLUS
    seen: dict[int, set[bool]] = {}
    plus = False
    for line in program.lines:
        if line.op == "matmul":
            seen.setdefault(line.args[0], set()).add(line.transposed)
        elif line.op in ("map", "moment", "output") and not plus:
            kinds = {program.lines[a].kind for a in line.args}
            # A moment of scalars and vectors, too, is ψ with a parameter.
            plus = Kind.SCALAR in kinds and Kind.VECTOR in kinds
    transposed = any(len(uses) == 2 for uses in seen.values())
    if transposed:
        return ProgramClass.NETSORT_PLUS if plus else ProgramClass.NETSORT
    return ProgramClass.NETSOR_PLUS if plus else ProgramClass.NETSOR


class InvalidProgram(Exception):
    """An invariant of core programs is broken: a bug in the pass that made it."""


def verify(program: Program) -> Program:
    """Check every invariant of the table above; return the program. Run after every pass. Raises InvalidProgram."""
    names: set[str] = set()
    env = set(program.constants) | set(BUILTIN_CONSTANTS)
    _verify_ratios(program)
    for index, line in enumerate(program.lines):
        try:
            _verify_line(program, index, line, env)
            if line.name in names:
                raise InvalidProgram("its name is taken")
        except InvalidProgram as problem:
            raise InvalidProgram(f"line {index} ({line.op} {line.name}): {problem}") from None
        names.add(line.name)
    for shown in program.shows:
        count = 1
        for size in shown.shape:
            count *= size
        _require(count == len(shown.lines), f"show {shown.name}: {len(shown.lines)} lines for shape {shown.shape}")
        for i in shown.lines:
            scalar = 0 <= i < len(program.lines) and program.lines[i].kind is Kind.SCALAR
            _require(scalar, f"show {shown.name}: line {i} is not a scalar")
    return program


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidProgram(problem)


def _verify_ratios(program: Program) -> None:
    values = program.constant_values() if program.symbolic_ratios else {}
    for width, ratio in program.symbolic_ratios.items():
        unknown = set(leaves(ratio, "symbol")) - set(values)
        _require(not unknown, f"width {width}: unknown constants {sorted(map(str, unknown))}")
        _require(program.widths.get(width) == ratio_value(ratio, values), f"width {width}: not its ratio's value")


def _verify_line(program: Program, index: int, line: Line, symbols: set[str]) -> None:
    for a in line.args + tuple(b for b, _ in line.biases):
        _require(0 <= a < index, f"refers to line {a}")
    for d in line.dims:
        _require(d in program.widths if isinstance(d, str) else d >= 1, f"unknown width {d}")
    check = _CHECKS.get(line.op)
    _require(check is not None, "unknown operation")
    assert check is not None
    check(program, line, symbols)


def _verify_expr(line: Line, symbols: set[str]) -> None:
    _require(line.expr is not None, "has no expression")
    assert line.expr is not None
    used, named = _verify_functions(line.expr)
    _require(used == set(range(len(line.args))), "its expression and its arguments differ")
    _require(named <= symbols, f"unknown constants {sorted(named - symbols)}")


def _verify_functions(expr: Expr) -> tuple[set[int], set[str]]:
    """The references and symbols in an expression, whose functions are known ones."""
    used: set[int] = set()
    named: set[str] = set()
    stack, seen = [expr], set()
    while stack:
        node = stack.pop()
        if node.op == "ref":
            used.add(int(node.value))  # type: ignore[arg-type]
        elif node.op == "symbol":
            named.add(str(node.value))
        elif node.args and id(node) not in seen:
            seen.add(id(node))
            record = FUNCTIONS.get(node.op)
            _require(record is not None, f"unknown function {node.op}")
            assert record is not None
            _require(record.arity in (None, len(node.args)), f"{node.op} of {len(node.args)} arguments")
            stack.extend(node.args)
    return used, named


def _verify_matrix(program: Program, line: Line, symbols: set[str]) -> None:
    _require(line.kind is Kind.MATRIX and len(line.dims) == 2 and not line.args, "is not a matrix")
    _require(isinstance(line.dims[0], str), "a matrix needs a width for its rows")
    _verify_expr(line, symbols | set(program.widths))


def _verify_gaussian(program: Program, line: Line, symbols: set[str]) -> None:
    vector = line.kind is Kind.VECTOR and len(line.dims) == 1 and isinstance(line.dims[0], str)
    number = line.kind is Kind.OUTPUT and line.dims == ()
    _require((vector or number) and not line.args, "is neither a vector nor a number")
    _verify_expr(line, symbols)


def _verify_state(program: Program, line: Line, symbols: set[str]) -> None:
    _require(line.kind is Kind.SCALAR and line.dims == () and not line.args, "is not a number")
    _verify_expr(line, symbols)


def _verify_input(program: Program, line: Line, symbols: set[str]) -> None:
    _require(line.kind is Kind.VECTOR and len(line.args) == 1, "is not a vector")
    matrix = program.lines[line.args[0]]
    _require(matrix.op == "matrix" and isinstance(matrix.dims[1], int), "needs a matrix of finitely many columns")
    _require(len(line.row) == matrix.dims[1], "the constant has the wrong length")
    _require(line.dims == matrix.dims[:1], "has the wrong width")


def _verify_matmul(program: Program, line: Line, symbols: set[str]) -> None:
    _require(line.kind is Kind.VECTOR and len(line.args) == 2, "is not a product")
    matrix, vector = (program.lines[a] for a in line.args)
    _require(matrix.op == "matrix" and vector.kind is Kind.VECTOR, "is not a matrix times a vector")
    dims = matrix.dims[::-1] if line.transposed else matrix.dims
    _require(all(isinstance(d, str) for d in dims), "needs a matrix of two widths")
    _require(vector.dims == dims[1:] and line.dims == dims[:1], "widths do not fit")


def _vector_widths(program: Program, line: Line) -> set[Dim]:
    lines = [program.lines[a] for a in line.args]
    _require(all(a.kind in (Kind.VECTOR, Kind.SCALAR) for a in lines), "takes vectors and scalars only")
    widths = {a.dims[0] for a in lines if a.kind is Kind.VECTOR}
    _require(len(widths) <= 1, "mixes widths")
    return widths


def _verify_map(program: Program, line: Line, symbols: set[str]) -> None:
    widths = _vector_widths(program, line)
    kind = Kind.VECTOR if widths else Kind.SCALAR
    _require(line.kind is kind and line.dims == tuple(widths), f"should be a {kind.value}")
    _verify_expr(line, symbols)


def _verify_moment(program: Program, line: Line, symbols: set[str]) -> None:
    _require(len(_vector_widths(program, line)) == 1, "averages no vector")
    _require(line.kind is Kind.SCALAR and line.dims == (), "should be a scalar")
    _verify_expr(line, symbols)


def _verify_output(program: Program, line: Line, symbols: set[str]) -> None:
    _require(len(_vector_widths(program, line)) == 1, "sums no vector")
    _require(line.kind is Kind.OUTPUT and line.dims == (), "should be an output")
    _require(all(program.lines[b].kind is Kind.OUTPUT for b, _ in line.biases), "a bias is not a random number")
    _verify_expr(line, symbols)


_CHECKS = {
    "matrix": _verify_matrix,
    "gaussian": _verify_gaussian,
    "state": _verify_state,
    "input": _verify_input,
    "matmul": _verify_matmul,
    "map": _verify_map,
    "moment": _verify_moment,
    "output": _verify_output,
}
