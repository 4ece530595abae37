"""Which lines are needed, when, and which of them can be computed together.

Lines at the same dependency level are independent of each other. Among them, products with one matrix in one
orientation form a group, and so do maps and moments whose expressions differ in nothing but numbers.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tpl.core.expr import Expr, ref
from tpl.core.program import Kind, Line, Program
from tpl.sampling.forms import bilinear_form, rebuild

# Within a level: first what frees arguments, last what only makes new blocks.
OPERATIONS = ("number", "scalar", "gram", "moment", "output", "map", "matmul", "input", "gaussian")
# A product of two vectors has few arguments.
_MOST_FACTORS = 64


@dataclass(frozen=True, slots=True)
class Group:
    """Lines computed together; expr, is_vector and arguments are set where the operation has an expression.

    arguments: [arguments, lines], line numbers; from len(program.lines) on, literals. ref(i) in `expr` is arguments[i].
    """

    operation: str
    lines: tuple[int, ...]
    expr: Expr | None = None
    is_vector: tuple[bool, ...] = ()
    arguments: np.ndarray | None = None


class Survey:
    """What grouping finds out about a program.

    literals: the numbers in which otherwise equal expressions differ; they are addressed like scalar lines, after them.
    """

    def __init__(self, program: Program):
        self.program = program
        self.literals: list[float] = []
        self._is_vector = [line.kind is Kind.VECTOR for line in program.lines]
        self._forms: dict[tuple[Expr | None, tuple[bool, ...]], tuple[Expr, int, int] | None] = {}

    def is_vector(self, line: Line) -> tuple[bool, ...]:
        """Which arguments of a line are vectors."""
        return tuple([self._is_vector[a] for a in line.args])

    def bilinear_form(self, line: Line) -> tuple[Expr, int, int] | None:
        """(c, i, j) if the line averages c * x_i * x_j, with x_i its argument i."""
        if line.op != "moment" or len(line.args) > _MOST_FACTORS:
            return None
        key = line.expr, self.is_vector(line)
        if key not in self._forms:
            assert line.expr is not None
            self._forms[key] = bilinear_form(line.expr, key[1])
        return self._forms[key]

    def add_literals(self, values: Iterable[float]) -> list[int]:
        first = len(self.program.lines)
        start = first + len(self.literals)
        self.literals.extend(values)
        return list(range(start, first + len(self.literals)))


def find_groups(survey: Survey, wanted: Iterable[int]) -> list[Group]:
    """The lines that `wanted` needs, in groups, in an order of execution."""
    program = survey.program
    needed = _needed(program, wanted)
    levels = _levels(program, needed)
    same: dict[tuple[int, int, Hashable], list[int]] = {}
    for i, line in enumerate(program.lines):
        if needed[i] and line.op != "matrix":
            operation, shared = _classify(survey, line)
            same.setdefault((levels[i], OPERATIONS.index(operation), shared), []).append(i)
    groups: list[Group] = []
    # The sort is stable: within a level and an operation, groups stay in the order of their first lines.
    for (_, rank, shared), lines in sorted(same.items(), key=lambda item: item[0][:2]):
        operation = OPERATIONS[rank]
        if operation in ("scalar", "moment", "output", "map"):
            is_vector = shared[1]  # type: ignore[index]
            groups.extend(unify(survey, operation, lines, is_vector))
        else:
            groups.append(Group(operation, tuple(lines)))
    return groups


def _uses(line: Line) -> tuple[int, ...]:
    return line.args + tuple(b for b, _ in line.biases)


def _needed(program: Program, wanted: Iterable[int]) -> list[bool]:
    needed = [False] * len(program.lines)
    for i in wanted:
        needed[i] = True
    for i in range(len(program.lines) - 1, -1, -1):
        if needed[i]:
            for a in _uses(program.lines[i]):
                needed[a] = True
    return needed


def _levels(program: Program, needed: Sequence[bool]) -> list[int]:
    """Each line as early as its arguments allow, except that random vectors wait until they are needed."""
    levels = [0] * len(program.lines)
    first_use: dict[int, int] = {}
    for i, line in enumerate(program.lines):
        if not needed[i]:
            continue
        levels[i] = 1 + max((levels[a] for a in _uses(line)), default=0)
        for a in _uses(line):
            source = _source(program, a)
            if source is not None:
                first_use[source] = min(first_use.get(source, levels[i]), levels[i])
    for i in range(len(program.lines)):
        source = _source(program, i)
        if needed[i] and source is not None:
            levels[i] = first_use.get(source, 1) - 1
    return levels


def _source(program: Program, i: int) -> int | None:
    """What a random vector is drawn with: all constants times one matrix are drawn together."""
    line = program.lines[i]
    if line.op in ("gaussian", "state"):
        return i
    return line.args[0] if line.op == "input" else None


def _classify(survey: Survey, line: Line) -> tuple[str, Hashable]:
    """A line's operation, and what it must share with others to be computed with them (but for expressions)."""
    if line.op in ("gaussian", "state"):
        return ("gaussian", line.dims) if line.dims else ("number", None)
    if line.op == "input":
        return "input", line.args
    if line.op == "matmul":
        return "matmul", (line.args[0], line.transposed)
    is_vector = survey.is_vector(line)
    if line.kind is Kind.SCALAR and not any(is_vector):
        return "scalar", (None, is_vector)
    width = next(survey.program.lines[a].dims for a, v in zip(line.args, is_vector, strict=True) if v)
    if survey.bilinear_form(line) is not None:
        return "gram", width
    return line.op, (width, is_vector)


def unify(
    survey: Survey,
    operation: str,
    lines: Sequence[int],
    is_vector: tuple[bool, ...],
    exprs: Sequence[Expr] | None = None,
) -> list[Group]:
    """Group lines whose expressions agree up to numbers; numbers that differ become further scalar arguments.

    exprs: the lines' expressions, if they are not the program's own.
    """
    own = [survey.program.lines[i].expr for i in lines] if exprs is None else exprs
    skeletons: dict[Expr, tuple[Expr, tuple[float, ...]]] = {}
    alike: dict[Expr, list[tuple[int, Expr]]] = {}
    for i, expr in zip(lines, own, strict=True):
        assert expr is not None
        if expr not in skeletons:
            skeletons[expr] = _skeleton(expr, len(is_vector))
        alike.setdefault(skeletons[expr][0], []).append((i, expr))
    groups = []
    for skeleton, members in alike.items():
        chosen = tuple(i for i, _ in members)
        table = np.array([survey.program.lines[i].args for i in chosen], dtype=np.intp).reshape(len(chosen), -1)
        if all(expr is members[0][1] or expr == members[0][1] for _, expr in members):
            groups.append(Group(operation, chosen, members[0][1], is_vector, table.T))
            continue
        extra = np.array([survey.add_literals(skeletons[expr][1]) for _, expr in members], dtype=np.intp)
        flags = is_vector + (False,) * extra.shape[1]
        groups.append(Group(operation, chosen, skeleton, flags, np.concatenate([table, extra], axis=1).T))
    return groups


def _skeleton(expr: Expr, arguments: int) -> tuple[Expr, tuple[float, ...]]:
    """The expression with its numbers replaced by further arguments, and the numbers.

    Small whole numbers and exponents belong to the shape of a formula and stay.
    """
    numbers: list[float] = []
    memo: dict[int, Expr] = {}

    def walk(node: Expr, exponent: bool) -> Expr:
        if not node.args:
            if node.op != "number" or exponent or _is_structural(node.value):
                return node
            numbers.append(float(node.value))  # type: ignore[arg-type]
            return ref(arguments + len(numbers) - 1)
        done = memo.get(id(node))
        if done is None:
            power = node.op == "pow"
            args = [walk(a, power and k == 1) for k, a in enumerate(node.args)]
            done = memo[id(node)] = rebuild(node, args)
        return done

    return walk(expr, False), tuple(numbers)


def _is_structural(value: object) -> bool:
    return isinstance(value, Fraction) and value.denominator == 1 and abs(value) <= 4
