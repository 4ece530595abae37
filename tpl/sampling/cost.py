"""What a run will need, from its schedule: to refuse before work, and to tell the user what to expect."""

from collections.abc import Callable
from dataclasses import dataclass

from tpl.core.program import Program
from tpl.sampling.interpreter import GATHERED, GATHERED_COLUMNS, TILE, OperatorKind
from tpl.sampling.plan import (
    Combination,
    Draw,
    Gram,
    Input,
    Map,
    Moment,
    Numbers,
    Pick,
    Product,
    ScalarMap,
    Schedule,
    Step,
)
from tpl.sampling.schedule import make_schedule

_FLOAT = 8
# Seconds, measured on one core of a 2023 server: a normal number, a flop in a matrix product, reading a matrix for
# a product (shared by its rows), an elementwise operation, numpy's overhead for one call.
_NORMAL = 9.5e-9
_FLOP, _FLOP_READING = 3.5e-11, 1.2e-10
_ELEMENT = 1e-9
_CALL = 2e-6


@dataclass(frozen=True)
class Cost:
    """memory_bytes: beyond what the process held before. flops: of all replicates. seconds: of the whole run."""

    memory_bytes: int
    flops: float
    seconds: float


def estimate_cost(
    program: Program,
    samples: int,
    replicates: int,
    threads: int,
    *,
    operator: OperatorKind = "lazy",
    schedule: Schedule | None = None,
) -> Cost:
    """The cost of `replicates` replicates at base width `samples`, on `threads` threads."""
    plan = schedule if schedule is not None else make_schedule(program)
    one = _Walk(program, plan, samples, operator)
    one.walk()
    rounds = -(-replicates // max(1, min(threads, replicates)))
    return Cost(min(threads, replicates) * one.peak, replicates * one.flops, rounds * one.seconds)


def estimate_memory(program: Program, schedule: Schedule, width: int, operator: OperatorKind, threads: int) -> int:
    """Bytes that `threads` replicates need at once."""
    return estimate_cost(program, width, threads, threads, operator=operator, schedule=schedule).memory_bytes


class _Walk:
    """Goes through a schedule as the interpreter does, counting instead of computing.

    item: bytes of a vector's number.
    """

    def __init__(self, program: Program, schedule: Schedule, width: int, operator: OperatorKind, item: int = _FLOAT):
        self.item = item
        self.program, self.schedule, self.dense = program, schedule, operator == "dense"
        self.sizes = program.sizes(width)
        self.ranks: dict[int, tuple[int, int]] = {}
        self.live = _FLOAT * len(program.lines)
        self.peak = self.live
        self.flops = self.seconds = 0.0

    def walk(self) -> None:
        for index, step in enumerate(self.schedule.steps):
            _COUNT[type(step)](self, step)
            for block in self.schedule.frees[index]:
                self.live -= self.block_bytes(block)
            for matrix in self.schedule.closes[index]:
                self.live -= self.operator_bytes(matrix)
                del self.ranks[matrix]

    def block_bytes(self, block: int) -> int:
        width, rows = self.schedule.blocks[block]
        return self.item * rows * self.sizes[width]

    def operator_bytes(self, matrix: int) -> int:
        n_out, n_in = self.shape(matrix)
        if self.dense:
            return _FLOAT * n_out * n_in
        return self.item * sum(self.ranks[matrix]) * (n_in + n_out)

    def shape(self, matrix: int) -> tuple[int, int]:
        rows, columns = self.program.lines[matrix].dims
        return self.sizes[str(rows)], self.sizes[str(columns)]

    def hold(self, count: float, temporary: float = 0) -> None:
        """Keep `count` bytes, with `temporary` bytes more for a moment."""
        self.live += int(count)
        self.peak = max(self.peak, self.live + int(temporary))

    def spend(self, flops: float = 0, seconds: float = 0, calls: float = 0, rows: int = 2) -> None:
        self.flops += flops
        self.seconds += flops * (_FLOP + _FLOP_READING / rows) + seconds + calls * _CALL


def _count_numbers(walk: _Walk, step: Numbers) -> None:
    walk.spend(calls=20 * len(step.lines))


def _count_draw(walk: _Walk, step: Draw) -> None:
    walk.hold(walk.block_bytes(step.block))
    walk.spend(seconds=_NORMAL * walk.block_bytes(step.block) / _FLOAT, calls=25 * len(step.lines))


def _count_input(walk: _Walk, step: Input) -> None:
    rows, rank = step.factor.shape
    size = walk.block_bytes(step.block) // (_FLOAT * rows)
    walk.hold(walk.block_bytes(step.block), _FLOAT * rank * size)
    walk.spend(2.0 * rows * rank * size, _NORMAL * rank * size, 25, rows)


def _count_product(walk: _Walk, step: Product) -> None:
    rows = len(step.lines)
    n_out, n_in = walk.shape(step.matrix)
    if step.transposed:
        n_out, n_in = n_in, n_out
    copied = _FLOAT * rows * n_in if _is_copied(step.argument) else 0
    if walk.dense:
        if step.matrix not in walk.ranks:
            walk.ranks[step.matrix] = (0, 0)
            walk.hold(walk.operator_bytes(step.matrix))
            walk.spend(seconds=_NORMAL * n_in * n_out)
        walk.hold(walk.block_bytes(step.block), copied)
        walk.spend(2.0 * rows * n_in * n_out, calls=5, rows=rows)
        return
    ranks = list(walk.ranks.get(step.matrix, (0, 0)))
    this, other = (1, 0) if step.transposed else (0, 1)
    known, opposite = ranks[this], ranks[other]
    new = min(rows, n_in - known)
    ranks[this] += new
    walk.ranks[step.matrix] = (ranks[0], ranks[1])
    walk.hold(_FLOAT * new * (n_in + n_out))
    # The residual, and the block's first orthonormal rows while the second are made.
    walk.hold(walk.block_bytes(step.block), copied + _FLOAT * rows * n_in * ((known > 0) + (rows > 1)))
    flops = 2.0 * rows * (n_in * known * 4 + (rows > 1) * rows * n_in * 5 + n_out * (known + new))
    flops += 2.0 * new * opposite * (n_in + 2 * n_out)
    walk.spend(flops, _NORMAL * new * n_out, 40 + 4 * rows, rows)


def _is_copied(pick: Pick) -> bool:
    return len(pick.pieces) > 1 or pick.pieces[0].stride == 0


def _count_elementwise(walk: _Walk, step: Map | Moment, width: str) -> None:
    numbers = len(step.lines) * walk.sizes[width]
    operations = step.tape.operations + 1
    tiles = max(1, numbers // TILE)
    walk.hold(0, _FLOAT * TILE * 4)
    walk.spend(numbers * operations, numbers * operations * _ELEMENT, tiles * (operations + len(step.vectors) + 3) + 5)


def _count_map(walk: _Walk, step: Map) -> None:
    walk.hold(walk.block_bytes(step.block))
    _count_elementwise(walk, step, walk.schedule.blocks[step.block].width)


def _count_moment(walk: _Walk, step: Moment) -> None:
    _count_elementwise(walk, step, step.width)


def _count_combination(walk: _Walk, step: Combination) -> None:
    rows, terms = len(step.lines), len(step.argument.rows)
    size = walk.block_bytes(step.block) // (_FLOAT * rows)
    walk.hold(walk.block_bytes(step.block), _FLOAT * (GATHERED * min(size, GATHERED_COLUMNS) + 3 * rows * terms))
    copying = 3e-10 * terms * size
    calls = len(step.argument.pieces) * (1 + size // GATHERED_COLUMNS) + 10 + step.tape.operations
    walk.spend(2.0 * rows * terms * size, copying, calls, rows)


def _count_scalar_map(walk: _Walk, step: ScalarMap) -> None:
    walk.spend(calls=step.tape.operations + 5)


def _count_gram(walk: _Walk, step: Gram) -> None:
    for panel in step.panels:
        size = walk.block_bytes(panel.left_block) // (_FLOAT * walk.schedule.blocks[panel.left_block].rows)
        pairs = (int(panel.left.max() - panel.left.min()) + 1) * (int(panel.right.max() - panel.right.min()) + 1)
        if not panel.dense:
            pairs = len(panel.lines)
        walk.spend(2.0 * pairs * size, calls=10 if panel.dense else pairs, rows=4 if panel.dense else 1)
    walk.spend(calls=5 + 5 * len(step.factors))


_COUNT: dict[type[Step], Callable] = {
    Numbers: _count_numbers,
    Draw: _count_draw,
    Input: _count_input,
    Product: _count_product,
    Map: _count_map,
    Combination: _count_combination,
    ScalarMap: _count_scalar_map,
    Moment: _count_moment,
    Gram: _count_gram,
}
