"""From a program to a schedule: groups of lines become steps on blocks of vectors, and blocks are freed in time.

Everything here takes time linear in the program's size, and knows no sizes of widths.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tpl.core.expr import Expr, evaluate, leaves
from tpl.core.program import Kind, Program
from tpl.sampling.errors import NumericalError
from tpl.sampling.forms import LinearForm, extract_sums
from tpl.sampling.grouping import Group, Survey, find_groups, unify
from tpl.sampling.plan import (
    Block,
    Combination,
    Draw,
    Gram,
    Input,
    Map,
    Moment,
    Numbers,
    Panel,
    Pick,
    Piece,
    Product,
    ScalarMap,
    Schedule,
    Step,
)
from tpl.sampling.tape import Tape, compile_tape

# A matrix product over a rectangle pays when at least this share of its entries is wanted.
_DENSE_PAIRS = 1 / 4
_DENSE_TERMS = 1 / 12
_FEWEST_PAIRS = 6


def make_schedule(program: Program, targets: Iterable[int] | None = None, keep: Iterable[int] = ()) -> Schedule:
    """Plan the computation of the lines that the shows name, or of other scalars and random outputs.

    keep: vector lines whose values are wanted at the end.

    Raises NumericalError if a constant in a line has no finite value.
    """
    wanted = tuple(i for show in program.shows for i in show.lines) if targets is None else tuple(targets)
    kept = tuple(keep)
    builder = _Builder(program)
    for group in find_groups(builder.survey, (*wanted, *kept)):
        builder.emit(group)
    return builder.finish(wanted, kept)


@dataclass
class _Builder:
    program: Program
    steps: list[Step] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    place: dict[int, tuple[int, int]] = field(default_factory=dict)  # vector line -> (block, row)
    tapes: dict[tuple[Expr, tuple[int, ...]], Tape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.constants = self.program.constant_values()
        self.survey = Survey(self.program)

    def emit(self, group: Group) -> None:
        getattr(self, f"_emit_{group.operation}")(group)

    def finish(self, targets: tuple[int, ...], keep: tuple[int, ...]) -> Schedule:
        kept = {line: self.place[line] for line in keep}
        frees, closes = _last_uses(self.steps, {block for block, _ in kept.values()})
        products: dict[int, tuple[int, int]] = {}
        for step in self.steps:
            if isinstance(step, Product):
                forward, backward = products.get(step.matrix, (0, 0))
                count = len(step.lines)
                products[step.matrix] = (forward, backward + count) if step.transposed else (forward + count, backward)
        literals = np.array(self.survey.literals)
        return Schedule(
            tuple(self.steps), tuple(self.blocks), frees, closes, products, targets, literals, self.constants, kept
        )

    # ------------------------------------------------------------------------------------------ kinds of groups

    def _emit_number(self, group: Group) -> None:
        self.steps.append(Numbers(group.lines))

    def _emit_gaussian(self, group: Group) -> None:
        self.steps.append(Draw(group.lines, self._new_block(group.lines)))

    def _emit_input(self, group: Group) -> None:
        rows = np.array([self.program.lines[i].row for i in group.lines])
        k, d = rows.shape
        # With fewer constants than dimensions, rotate them into the first k coordinates: U's law does not change.
        factor = np.transpose(np.linalg.qr(rows.T, mode="r")) if k < d else rows
        matrix = self.program.lines[group.lines[0]].args[0]
        self.steps.append(Input(group.lines, self._new_block(group.lines), matrix, np.ascontiguousarray(factor)))

    def _emit_matmul(self, group: Group) -> None:
        first = self.program.lines[group.lines[0]]
        argument = self._pick(self.program.lines[i].args[1] for i in group.lines)
        block = self._new_block(group.lines)
        self.steps.append(Product(group.lines, block, first.args[0], first.transposed, argument))

    def _emit_scalar(self, group: Group) -> None:
        assert group.expr is not None
        assert group.arguments is not None
        tape = self._tape(group.lines[0], group.expr, range(len(group.arguments)))
        self.steps.append(ScalarMap(group.lines, tape, group.arguments))

    def _emit_map(self, group: Group) -> None:
        expr, order, vectors, scalars = self._reduce(group)
        last = self.steps[-1] if self.steps else None
        if expr.op == "ref" and isinstance(last, Combination) and vectors == [self._last_block()]:
            for row, i in enumerate(group.lines):  # the whole line was a sum: its block is the result
                self.place[i] = (last.block, row)
            return
        tape = self._tape(group.lines[0], expr, order)
        self.steps.append(Map(group.lines, self._new_block(group.lines), tape, tuple(vectors), scalars))

    def _emit_moment(self, group: Group) -> None:
        expr, order, vectors, scalars = self._reduce(group)
        tape = self._tape(group.lines[0], expr, order)
        width = self.blocks[vectors[0].blocks[0]].width
        readout = group.operation == "output"
        self.steps.append(Moment(group.lines, tape, tuple(vectors), scalars, width, readout, self._biases(group.lines)))

    def _emit_output(self, group: Group) -> None:
        self._emit_moment(group)

    def _biases(self, lines: tuple[int, ...]) -> tuple[tuple[tuple[int, float], ...], ...]:
        return tuple(tuple((b, self._number(i, c)) for b, c in self.program.lines[i].biases) for i in lines)

    def _emit_gram(self, group: Group) -> None:
        pairs: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        factors: dict[tuple[bool, ...], list[tuple[int, Expr]]] = {}
        for position, i in enumerate(group.lines):
            line = self.program.lines[i]
            form = self.survey.bilinear_form(line)
            assert form is not None
            factor, *vectors = form
            a, b = sorted(self.place[line.args[v]] for v in vectors)
            pairs.setdefault((a[0], b[0]), []).append((a[1], b[1], position))
            if not factor.is_value(1):
                factors.setdefault(self.survey.is_vector(line), []).append((i, factor))
        panels = tuple(_make_panel(blocks, entries) for blocks, entries in pairs.items())
        self.steps.append(Gram(group.lines, panels, tuple(self._factors(group.lines, factors))))

    def _factors(
        self, lines: tuple[int, ...], factors: dict[tuple[bool, ...], list[tuple[int, Expr]]]
    ) -> Iterable[tuple[np.ndarray, Tape, np.ndarray]]:
        position = {i: k for k, i in enumerate(lines)}
        for flags, entries in factors.items():
            owners, exprs = zip(*entries, strict=True)
            for part in unify(self.survey, "scalar", owners, flags, exprs):
                assert part.expr is not None
                assert part.arguments is not None
                tape = self._tape(part.lines[0], part.expr, range(len(part.arguments)))
                yield np.array([position[i] for i in part.lines]), tape, part.arguments

    # ------------------------------------------------------------------------------------------ parts of steps

    def _new_block(self, lines: tuple[int, ...]) -> int:
        block = len(self.blocks)
        self.blocks.append(Block(self._width(lines[0]), len(lines)))
        for row, i in enumerate(lines):
            self.place[i] = (block, row)
        return block

    def _width(self, line: int) -> str:
        assert self.program.lines[line].kind is Kind.VECTOR
        return str(self.program.lines[line].dims[0])

    def _last_block(self) -> Pick:
        last = len(self.blocks) - 1
        return _make_pick([(last, row) for row in range(self.blocks[last].rows)])

    def _pick(self, vectors: Iterable[int]) -> Pick:
        return _make_pick([self.place[v] for v in vectors])

    def _reduce(self, group: Group) -> tuple[Expr, list[int], list[Pick], np.ndarray]:
        """A group's expression and its references in order: vectors, then scalars; where their values stand.

        Long sums become steps of their own.
        """
        flags, arguments = group.is_vector, group.arguments
        assert group.expr is not None
        assert arguments is not None
        expr, forms = extract_sums(group.expr, flags)
        if not all(_is_dense(form, arguments) for form in forms):
            expr, forms = group.expr, []
        sums = [self._combine(group, form, arguments) for form in forms]
        used = [int(v) for v in leaves(expr, "ref")]  # type: ignore[arg-type]
        vectors = [p for p in used if p < len(flags) and flags[p]]
        scalars = [p for p in used if p < len(flags) and not flags[p]]
        order = vectors + [len(flags) + k for k in range(len(forms))] + scalars
        return expr, order, [self._pick(arguments[p].tolist()) for p in vectors] + sums, arguments[scalars]

    def _combine(self, group: Group, form: LinearForm, arguments: np.ndarray) -> Pick:
        """Emit a step for one sum; returns where its value stands."""
        scalars = [p for p, vector in enumerate(group.is_vector) if not vector]
        tape = self._compile(group.lines[0], (form.offset, *form.coefficients), scalars)
        distinct, columns = np.unique(arguments[list(form.positions)], return_inverse=True)
        order = sorted(range(len(distinct)), key=lambda k: self.place[int(distinct[k])])
        rank = np.empty(len(distinct), dtype=np.intp)
        rank[order] = np.arange(len(distinct))
        columns = rank[columns.reshape(len(form.positions), len(group.lines))]
        block = len(self.blocks)
        self.blocks.append(Block(self._width(int(distinct[0])), len(group.lines)))
        argument = self._pick(int(distinct[k]) for k in order)
        self.steps.append(Combination(group.lines, block, tape, arguments[scalars], columns, argument))
        return self._last_block()

    def _tape(self, line: int, expr: Expr, order: Sequence[int]) -> Tape:
        key = expr, tuple(order)
        tape = self.tapes.get(key)
        if tape is None:
            tape = self.tapes[key] = self._compile(line, (expr,), order)
        return tape

    def _compile(self, line: int, exprs: tuple[Expr, ...], order: Sequence[int]) -> Tape:
        try:
            return compile_tape(exprs, order, self.constants)
        except (ArithmeticError, ValueError) as problem:
            raise NumericalError(line, str(problem)) from None

    def _number(self, line: int, expr: Expr) -> float:
        try:
            return evaluate(expr, self.constants)
        except (ArithmeticError, ValueError) as problem:
            raise NumericalError(line, str(problem)) from None


def _is_dense(form: LinearForm, arguments: np.ndarray) -> bool:
    distinct = len(np.unique(arguments[list(form.positions)]))
    return len(form.positions) >= _DENSE_TERMS * distinct


def _make_pick(places: list[tuple[int, int]]) -> Pick:
    """Rows to read, with runs of equally spaced rows of one block found."""
    pieces: list[Piece] = []
    for block, row in places:
        if pieces and pieces[-1].block == block:
            last = pieces[-1]
            stride = row - last.start if last.length == 1 else last.stride
            if stride >= 0 and row == last.start + stride * last.length:
                pieces[-1] = Piece(block, last.start, stride, last.length + 1)
                continue
        pieces.append(Piece(block, row, 1, 1))
    return Pick(tuple(b for b, _ in places), tuple(r for _, r in places), tuple(pieces))


def _make_panel(blocks: tuple[int, int], entries: list[tuple[int, int, int]]) -> Panel:
    left, right, lines = (np.array(column, dtype=np.intp) for column in zip(*entries, strict=True))
    area = int(np.ptp(left) + 1) * int(np.ptp(right) + 1)
    dense = len(entries) >= max(_FEWEST_PAIRS, _DENSE_PAIRS * area)
    return Panel(blocks[0], blocks[1], left, right, lines, dense)


def _reads(step: Step) -> Iterable[int]:
    if isinstance(step, Product | Combination):
        yield from (piece.block for piece in step.argument.pieces)
    elif isinstance(step, Map | Moment):
        for pick in step.vectors:
            yield from (piece.block for piece in pick.pieces)
    elif isinstance(step, Gram):
        for panel in step.panels:
            yield from (panel.left_block, panel.right_block)


def _last_uses(
    steps: list[Step], kept: Iterable[int] = ()
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """For each step, the blocks and the matrices that no later step uses; `kept` blocks stay."""
    blocks = set(kept)
    matrices: set[int] = set()
    frees: list[tuple[int, ...]] = []
    closes: list[tuple[int, ...]] = []
    for step in reversed(steps):
        last = tuple(b for b in dict.fromkeys(_reads(step)) if b not in blocks)
        blocks.update(last)
        frees.append(last)
        closing = (step.matrix,) if isinstance(step, Product) and step.matrix not in matrices else ()
        matrices.update(closing)
        closes.append(closing)
    return tuple(reversed(frees)), tuple(reversed(closes))
