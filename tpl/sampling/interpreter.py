"""Run a schedule at one width: one replicate of a finite network, or of M samples of the limit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

import numpy as np

from tpl.core.expr import Expr, evaluate
from tpl.core.program import Program
from tpl.sampling.errors import Cancelled, NumericalError
from tpl.sampling.operator import DenseGaussian, LazyGaussian, Operator
from tpl.sampling.plan import (
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
from tpl.sampling.rows import accumulate, combine, dot, inner
from tpl.sampling.streams import LIMIT_RUN, stream
from tpl.sampling.tape import run_tape

OperatorKind = Literal["lazy", "dense"]

# Elementwise work goes through tiles of this many numbers, which stay in the second-level cache.
TILE = 16384
# Rows and columns that a linear combination gathers at a time.
GATHERED = 64
GATHERED_COLUMNS = 8192


def simulate(
    program: Program,
    schedule: Schedule,
    base_width: int,
    seed: int,
    replicate: int = 0,
    operator: OperatorKind = "lazy",
    gradient_independence: bool = False,
    *,
    domain: int = LIMIT_RUN,
    tolerance: float = 1e-7,
    cancelled: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """The values of the schedule's targets, in their order, with `base_width` coordinates to the base width.

    operator: whether matrices are revealed lazily or stored; the law is the same.
    gradient_independence: treat W.T as independent of W (wrong in general).
    Raises NumericalError for the first line whose value is not finite, and Cancelled when `cancelled` says so.
    """
    settings = _Settings(seed, domain, replicate, operator, gradient_independence, tolerance)
    with np.errstate(all="ignore"):
        run = _Run(program, schedule, base_width, settings)
        try:
            for index in range(len(schedule.steps)):
                if cancelled():
                    raise Cancelled
                run.do(index)
        except _NotFinite:
            raise _find_culprit(program, schedule, base_width, settings) from None
    return run.scalars[list(schedule.targets)]


@dataclass(frozen=True)
class _Settings:
    seed: int
    domain: int
    replicate: int
    operator: OperatorKind
    gradient_independence: bool
    tolerance: float


class _NotFinite(Exception):
    """Something is not finite; a second walk finds out what."""


def _find_culprit(program: Program, schedule: Schedule, base_width: int, settings: _Settings) -> NumericalError:
    """Run again to the end, watching every line; the first line of the program that fails is the one to blame."""
    run = _Run(program, schedule, base_width, settings, watching=True)
    for index in range(len(schedule.steps)):
        run.do(index)
    line = min(run.failed)
    return NumericalError(line, run.failed[line])


@dataclass
class _Run:
    """One walk through a schedule.

    watching: record the lines whose values are not finite, instead of stopping at the first sign of one.
    """

    program: Program
    schedule: Schedule
    base: int
    settings: _Settings
    watching: bool = False
    failed: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sizes = self.program.sizes(self.base)
        self.scalars = np.concatenate([np.zeros(len(self.program.lines)), self.schedule.literals])
        self.blocks: list[np.ndarray | None] = [None] * len(self.schedule.blocks)
        self.operators: dict[int, Operator] = {}

    def do(self, index: int) -> None:
        step = self.schedule.steps[index]
        _DO[type(step)](self, step)
        for block in self.schedule.frees[index]:
            self.blocks[block] = None
        for matrix in self.schedule.closes[index]:
            del self.operators[matrix]

    @property
    def dtype(self) -> type:
        """Of vectors; scalars are always float64."""
        return np.float64

    # Reading and writing.

    def block(self, index: int) -> np.ndarray:
        block = self.blocks[index]
        assert block is not None, "read after its last use"
        return block

    def put(self, step: Draw | Input | Product | Map | Combination, block: np.ndarray) -> None:
        self.blocks[step.block] = block
        # A sum over a row is finite only if the row is, or if it overflows, which the second look finds out.
        if not isfinite(block.sum()) and not np.isfinite(block).all():
            self.fail(step.lines, np.isfinite(block).all(axis=1), block)

    def put_scalars(self, lines: tuple[int, ...], values: np.ndarray) -> None:
        self.scalars[list(lines)] = values
        if not np.isfinite(values).all():
            self.fail(lines, np.isfinite(values), values)

    def fail(self, lines: tuple[int, ...], finite: np.ndarray, values: np.ndarray) -> None:
        if not self.watching:
            raise _NotFinite
        for row in np.flatnonzero(~finite):
            nan = np.isnan(values[row]).any()
            self.failed.setdefault(lines[row], "its value is not a number (NaN)" if nan else "its value is infinite")

    def stream(self, line: int) -> np.random.Generator:
        return stream(self.settings.seed, self.settings.domain, self.base, self.settings.replicate, line)

    def number(self, line: int, expr: Expr) -> float:
        """A constant of a line: a mean or a variance."""
        env = self.schedule.constants | {name: float(size) for name, size in self.sizes.items()}
        try:
            value = evaluate(expr, env)
        except (ArithmeticError, ValueError) as problem:
            raise NumericalError(line, str(problem)) from None
        if not np.isfinite(value):
            raise NumericalError(line, "a constant in it is not a finite number")
        return value

    def deviation(self, line: int) -> float:
        """The standard deviation of a random line's entries."""
        expr = self.program.lines[line].expr
        assert expr is not None
        variance = self.number(line, expr)
        if variance < 0:
            raise NumericalError(line, f"the variance {variance:g} is negative")
        return float(np.sqrt(variance))

    def operator(self, matrix: int) -> Operator:
        known = self.operators.get(matrix)
        if known is None:
            known = self.operators[matrix] = self.make_operator(matrix)
        return known

    def make_operator(self, matrix: int) -> Operator:
        rows, columns = (self.sizes[str(d)] for d in self.program.lines[matrix].dims)
        variance = self.deviation(matrix) ** 2
        wrong = self.settings.gradient_independence
        rng = self.stream(matrix)
        if self.settings.operator == "dense":
            return DenseGaussian(rows, columns, variance, rng, gradient_independence=wrong)
        capacity = self.schedule.products[matrix]
        return LazyGaussian(
            rows, columns, variance, rng,
            tolerance=self.settings.tolerance, gradient_independence=wrong, capacity=capacity,
        )  # fmt: skip


# ---------------------------------------------------------------------------------------------- steps


def _do_numbers(run: _Run, step: Numbers) -> None:
    values = []
    for i in step.lines:
        mean = run.number(i, run.program.lines[i].mean)
        values.append(mean + run.deviation(i) * run.stream(i).standard_normal())
    run.put_scalars(step.lines, np.array(values))


def _do_draw(run: _Run, step: Draw) -> None:
    block = np.empty((len(step.lines), run.sizes[run.schedule.blocks[step.block].width]))
    for row, i in zip(block, step.lines, strict=True):
        mean, deviation = run.number(i, run.program.lines[i].mean), run.deviation(i)
        if deviation:
            run.stream(i).standard_normal(out=row)
        else:
            row[:] = 0
        if deviation not in (0.0, 1.0):
            row *= deviation
        if mean:
            row += mean
    run.put(step, block)


def _do_input(run: _Run, step: Input) -> None:
    size = run.sizes[run.schedule.blocks[step.block].width]
    normals = run.stream(step.matrix).standard_normal((step.factor.shape[1], size))
    run.put(step, combine(step.factor * run.deviation(step.matrix), normals))


def _do_product(run: _Run, step: Product) -> None:
    argument = gather(run, step.argument)
    operator = run.operator(step.matrix)
    if run.watching and not np.isfinite(argument).all():
        size = run.sizes[run.schedule.blocks[step.block].width]
        run.put(step, np.full((len(argument), size), np.nan))
        return
    run.put(step, operator.apply_transposed(argument) if step.transposed else operator.apply(argument))


def _do_map(run: _Run, step: Map) -> None:
    block: np.ndarray = np.empty((len(step.lines), run.sizes[run.schedule.blocks[step.block].width]), run.dtype)
    for rows, columns in _tiles(*block.shape):
        tile = block[rows, columns]
        result = run_tape(step.tape, _tile_arguments(run, step, rows, columns), tile)[0]
        if result is not tile:
            tile[:] = result
    run.put(step, block)


def _do_combination(run: _Run, step: Combination) -> None:
    count = len(step.lines)
    values = np.empty((1 + len(step.columns), count))
    for row, value in zip(values, run_tape(step.tape, list(run.scalars[step.scalars])), strict=True):
        row[:] = value
    coefficients = np.zeros((count, len(step.argument.rows)))
    np.add.at(coefficients, (np.arange(count), step.columns), values[1:])
    block: np.ndarray = np.empty((count, run.sizes[run.schedule.blocks[step.block].width]), run.dtype)
    block[:] = values[0, :, None]
    portions = _portions(step.argument)
    for left in range(0, block.shape[1], GATHERED_COLUMNS):
        columns = slice(left, left + GATHERED_COLUMNS)
        for terms, pieces in portions:
            rows = _portion_rows(run, pieces, columns)
            accumulate(block[:, columns], coefficients[:, terms], rows, out=block[:, columns])
    run.put(step, block)


def _do_scalar_map(run: _Run, step: ScalarMap) -> None:
    (result,) = run_tape(step.tape, list(run.scalars[step.scalars]))
    run.put_scalars(step.lines, np.broadcast_to(result, len(step.lines)))


def _do_moment(run: _Run, step: Moment) -> None:
    size = run.sizes[step.width]
    total = np.zeros(len(step.lines))
    for rows, columns in _tiles(len(total), size):
        (result,) = run_tape(step.tape, _tile_arguments(run, step, rows, columns))
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        total[rows] += np.broadcast_to(result, shape).sum(axis=1, dtype=float)
    if not step.readout:
        run.put_scalars(step.lines, total / size)
        return
    biases = [sum(c * run.scalars[b] for b, c in terms) for terms in step.biases]
    run.put_scalars(step.lines, total / np.sqrt(run.base) + np.array(biases))


def _do_gram(run: _Run, step: Gram) -> None:
    values = np.empty(len(step.lines))
    for panel in step.panels:
        left, right = run.block(panel.left_block), run.block(panel.right_block)
        values[panel.lines] = _pair_averages(panel, left, right)
    for positions, tape, scalars in step.factors:
        (factor,) = run_tape(tape, list(run.scalars[scalars]))
        values[positions] *= factor
    run.put_scalars(step.lines, values)


def _pair_averages(panel: Panel, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    size = left.shape[1]
    if not panel.dense:
        pairs = zip(panel.left, panel.right, strict=True)
        return np.array([dot(left[a], right[b]) for a, b in pairs]) / size
    a, b = panel.left.min(), panel.right.min()
    products = inner(left[a : panel.left.max() + 1], right[b : panel.right.max() + 1])
    return products[panel.left - a, panel.right - b] / size


_DO: dict[type[Step], Callable] = {
    Numbers: _do_numbers,
    Draw: _do_draw,
    Input: _do_input,
    Product: _do_product,
    Map: _do_map,
    Combination: _do_combination,
    ScalarMap: _do_scalar_map,
    Moment: _do_moment,
    Gram: _do_gram,
}


# ---------------------------------------------------------------------------------------------- reading rows


def gather(run: _Run, pick: Pick) -> np.ndarray:
    """The rows of a pick as one array: a view where they lie together."""
    if len(pick.pieces) == 1 and (pick.pieces[0].stride or pick.pieces[0].length == 1):
        return _tile(run, pick, slice(0, len(pick.rows)), slice(None))
    first = run.block(pick.blocks[0])
    rows = np.empty((len(pick.rows), first.shape[1]), first.dtype)
    start = 0
    for block, row, stride, count in pick.pieces:
        rows[start : start + count] = _spaced(run.block(block), row, stride, count)
        start += count
    return rows


def _spaced(block: np.ndarray, start: int, stride: int, count: int) -> np.ndarray:
    if stride == 0:
        return block[start : start + 1]
    return block[start : start + stride * (count - 1) + 1 : stride]


def _tile(run: _Run, pick: Pick, rows: slice, columns: slice) -> np.ndarray:
    """Some rows of a pick, some columns of them; one row where all are the same."""
    if len(pick.pieces) == 1:
        block, start, stride, _ = pick.pieces[0]
        return _spaced(run.block(block), start + stride * rows.start, stride, rows.stop - rows.start)[:, columns]
    if rows.stop == rows.start + 1:
        row = pick.rows[rows.start]
        return run.block(pick.blocks[rows.start])[row : row + 1, columns]
    parts = zip(pick.blocks[rows], pick.rows[rows], strict=True)
    return np.array([run.block(block)[row, columns] for block, row in parts])


def _tiles(rows: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Cut an array [rows, size] into tiles."""
    height = max(1, TILE // size)
    for top in range(0, rows, height):
        for left in range(0, size, TILE):
            yield slice(top, min(top + height, rows)), slice(left, min(left + TILE, size))


def _tile_arguments(run: _Run, step: Map | Moment, rows: slice, columns: slice) -> list[np.ndarray | float]:
    vectors = [_tile(run, pick, rows, columns) for pick in step.vectors]
    scalars = run.scalars[step.scalars[:, rows]].astype(run.dtype, copy=False)
    return [*vectors, *scalars[:, :, None]]


def _portions(pick: Pick) -> list[tuple[slice, list[Piece]]]:
    """A pick's pieces in portions of about GATHERED rows; long pieces stand alone and need no copy."""
    portions: list[tuple[slice, list[Piece]]] = []
    start = stop = 0
    waiting: list[Piece] = []
    for piece in pick.pieces:
        if waiting and (piece.length >= GATHERED // 2 or stop - start >= GATHERED):
            portions.append((slice(start, stop), waiting))
            start, waiting = stop, []
        waiting.append(piece)
        stop += piece.length
    return [*portions, (slice(start, stop), waiting)]


def _portion_rows(run: _Run, pieces: list[Piece], columns: slice) -> np.ndarray:
    parts = [_spaced(run.block(block), row, stride, count)[:, columns] for block, row, stride, count in pieces]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
