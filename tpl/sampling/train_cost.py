"""What a training will need: memory and time, from a count of what is kept and done, and from ranks seen in a trial.

How many directions a matrix is asked about depends on how features move, which nobody knows before; but hardly on the
number of samples. So a trial takes the same steps with few samples, as far as a few seconds go, and what it saw is
extended to the last step. Where even the largest possible ranks are affordable, no trial is needed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np

from tpl.core.training import Training
from tpl.sampling.companion import chosen
from tpl.sampling.cost import _COUNT, _FLOAT, Cost, _is_copied, _Walk
from tpl.sampling.errors import MemoryRefused, NumericalError
from tpl.sampling.plan import Draw, Input, Numbers, Product, Schedule, Step
from tpl.sampling.schedule import make_schedule
from tpl.sampling.train import TrainingRun, TrainOptions, Wanted

TRIAL_SECONDS = 6.0  # of processor time
TRIAL_SHARE, MOST_TRIAL_SECONDS = 0.03, 24.0  # of a long run's time, but no more than that
FEWEST_SAMPLES = 1024  # of a trial
_ROOM = 4  # samples of a trial to the largest rank seen in it: with less, the ranks feel how few there are
_LINE = 2500  # bytes that a line takes in a schedule, and in what a walk keeps by line
_MATRICES = 5  # arrays of the size of an update's coefficients while it moves, itself included

Ranks = dict[int, tuple[int, int]]  # matrix -> dimensions of the spaces on which it and its transpose are known
RanksAt = Callable[[int], Ranks]  # after so many steps


@dataclass(frozen=True)
class Trial:
    """What a short run showed. ranks: [steps, matrices, 2], at the end of each step it took.

    samples: how many it had. seconds: of processor time for its last steps, each.
    """

    matrices: tuple[int, ...]
    ranks: np.ndarray
    samples: int
    seconds: float

    @property
    def steps(self) -> int:
        return len(self.ranks)

    def at(self, step: int) -> Ranks:
        """The ranks after so many steps. Beyond its last one, what they have grown by since the first step grows on, by the
        power law of the trial's second half: rather too fast, for growth slows down."""
        last = self.ranks[min(max(step, 1), self.steps) - 1].astype(float)
        if step > self.steps >= 4:
            first, half = self.ranks[0], self.ranks[self.steps // 2 - 1]
            grown = np.maximum(last - first, 0.0)
            power = np.log(np.maximum(grown, 1) / np.maximum(half - first, 1)) / log(self.steps / (self.steps // 2))
            last = first + grown * (step / self.steps) ** np.clip(power, 0.0, 1.0)
        return {m: (int(np.ceil(a)), int(np.ceil(b))) for m, (a, b) in zip(self.matrices, last, strict=True)}


def estimate_training(
    training: Training, options: TrainOptions, replicates: int, threads: int
) -> tuple[Cost, Trial | None]:
    """The cost of a whole training in the limit, and the trial that it rests on, if there is one."""
    workers = max(1, min(threads, replicates))
    rounds = -(-replicates // workers)
    if training.regime.kind in ("kernel", "trivial"):
        one = _at_rest(training, options)
        return Cost(workers * one.memory_bytes, replicates * one.flops, rounds * one.seconds), None
    trial = long_enough(training, options, replicates)
    one = cost_of_one(training, options, trial.at)
    after = at_once(companions(training, options, trial.at), threads)
    seconds = (rounds * one.seconds + after.seconds) * _pace(training, options, trial)
    memory = max(workers * one.memory_bytes, after.memory_bytes)
    return Cost(memory, replicates * one.flops + after.flops, seconds), trial


def affordable_threads(
    training: Training, options: TrainOptions, replicates: int, threads: int, max_memory: int | None
) -> int:
    """How many replicates may run at once. Raises MemoryRefused if not even one may."""
    workers = max(1, min(threads, replicates))
    if max_memory is None:
        return workers
    if training.regime.kind in ("kernel", "trivial"):
        one = _at_rest(training, options).memory_bytes
        needed = [n * one for n in range(1, workers + 1)]
    else:
        most = _most_ranks(training, options)
        needed = _needed(training, options, lambda step: most, workers)
        if needed[-1] > max_memory:
            needed = _needed(training, options, long_enough(training, options, replicates).at, workers)
    if needed[0] > max_memory:
        raise MemoryRefused(needed[0], max_memory)
    return sum(memory <= max_memory for memory in needed)


def _needed(training: Training, options: TrainOptions, ranks: RanksAt, workers: int) -> list[int]:
    """Bytes for one replicate at a time, for two, and so on; the companions that follow them included."""
    one, after = cost_of_one(training, options, ranks).memory_bytes, companions(training, options, ranks)
    return [max(n * one, at_once(after, n).memory_bytes) for n in range(1, workers + 1)]


# ---------------------------------------------------------------------------------------------- the trial


def try_out(training: Training, options: TrainOptions, seconds: float = TRIAL_SECONDS) -> Trial:
    """Take the first steps, or all, with few samples: more where the ranks ask for it."""
    samples, end = min(FEWEST_SAMPLES, options.base_width), time.thread_time() + seconds
    while True:
        trial, cramped = _try_with(training, replace(options, base_width=samples), end)
        if not cramped or samples >= options.base_width or time.thread_time() > end - seconds / 4:
            return trial
        samples = min(4 * samples, options.base_width)


def long_enough(training: Training, options: TrainOptions, replicates: int) -> Trial:
    """A trial as long as suits the run: where it has seen less than all steps and the run is long, another one."""
    trial = try_out(training, options)
    if trial.steps >= training.schedule.steps:
        return trial
    seconds = replicates * cost_of_one(training, options, trial.at).seconds * _pace(training, options, trial)
    allowed = min(TRIAL_SHARE * seconds, MOST_TRIAL_SECONDS)
    return try_out(training, options, allowed) if allowed > 2 * TRIAL_SECONDS else trial


def _pace(training: Training, options: TrainOptions, trial: Trial) -> float:
    """Seconds that this machine takes now for one counted second."""
    few, last = replace(options, base_width=trial.samples), trial.at(trial.steps)
    counted = _walked(training, few, last, _schedule(training, recorded=False)).seconds
    return trial.seconds / max(counted, 1e-12)


def _try_with(training: Training, options: TrainOptions, end: float) -> tuple[Trial, bool]:
    """A trial until a time, and whether it stopped because its ranks had no room."""
    from threadpoolctl import threadpool_limits

    unrecorded = replace(training, schedule=replace(training.schedule, records=(0,)))
    run = TrainingRun(unrecorded, options, replicate=2**20)
    ranks, times = [], [time.thread_time()]
    cramped = False
    with threadpool_limits(limits=1, user_api="blas"), np.errstate(all="ignore"):
        while run.step < training.schedule.steps and not cramped:
            try:
                run.advance()
            except NumericalError:  # the run itself will say so
                break
            ranks.append([op.ranks for op in run.operators.values()])
            times.append(time.thread_time())
            cramped = _ROOM * max((max(pair) for pair in ranks[-1]), default=0) > options.base_width
            if times[-1] > end and len(ranks) > 1:
                break
    found = np.array(ranks or [[(1, 1)] * len(run.operators)]).reshape(max(1, len(ranks)), -1, 2)
    lately = np.diff(times)[-max(1, len(ranks) // 4) :]
    return Trial(
        tuple(run.operators), found, options.base_width, float(np.median(lately)) if len(lately) else 0.0
    ), cramped


def _most_ranks(training: Training, options: TrainOptions) -> Ranks:
    """Every product at every step with a new direction for every row."""
    schedule = _schedule(training, recorded=True)
    sizes = training.program.sizes(options.base_width)
    found = {}
    for matrix, counts in schedule.products.items():
        rows, columns = (sizes[str(d)] for d in training.program.lines[matrix].dims)
        steps = training.schedule.steps + 1
        # What only the update meets counts, too: left factors for the transpose, right factors for the matrix.
        pairs = sum(len(e.updates.gradients.matrices.get(matrix, ())) for e in training.examples if e.updates)
        found[matrix] = (min(columns, steps * (counts[0] + pairs)), min(rows, steps * (counts[1] + pairs)))
    return found


# ---------------------------------------------------------------------------------------------- the count


def cost_of_one(training: Training, options: TrainOptions, ranks: RanksAt) -> Cost:
    """One replicate, from the ranks after each step; seconds in the units of `tpl.sampling.cost`."""
    steps = training.schedule.steps
    walk = _walked(training, options, ranks(steps + 1), _schedule(training, recorded=True))
    held = _held(training, options, walk, ranks(steps + 1))
    places, schedule = np.unique(np.linspace(0, steps, 9).round().astype(int)), _schedule(training, recorded=False)
    walks = [_walked(training, options, ranks(int(place) + 1), schedule) for place in places]
    spread = [float(np.interp(np.arange(steps + 1), places, x).sum())
              for x in ([w.seconds for w in walks], [w.flops for w in walks])]  # fmt: skip
    return Cost(int(walk.peak + held), spread[1], spread[0])


def companions(training: Training, options: TrainOptions, ranks: RanksAt) -> tuple[Cost, Cost, int] | None:
    """The runs that show what truncation does (`tpl.sampling.companion`): with it, without it, and how many pairs."""
    # Not a step more, as above for safety: a rank too many may double the samples.
    largest = max((max(pair) for pair in ranks(training.schedule.steps).values()), default=0)
    if not largest:
        return None
    revealed, whole, pairs = chosen(options, largest)
    known = cost_of_one(training, revealed, ranks)
    known = replace(known, memory_bytes=known.memory_bytes + _whole_matrices(training, revealed.base_width))
    return known, _cost_of_stored(training, whole), pairs


def at_once(runs: tuple[Cost, Cost, int] | None, threads: int) -> Cost:
    """All companions, so many at a time: those of a pair together."""
    if runs is None:
        return Cost(0, 0.0, 0.0)
    known, stored, pairs = runs
    sizes = known.memory_bytes, stored.memory_bytes
    workers = max(1, min(threads, 2 * pairs))
    held = -(-workers // 2) * max(sizes) + workers // 2 * min(sizes)
    seconds = pairs * (known.seconds + stored.seconds)
    if workers > 1:
        seconds = -(-2 * pairs // workers) * max(known.seconds, stored.seconds)
    return Cost(held, pairs * (known.flops + stored.flops), seconds)


def _whole_matrices(training: Training, samples: int) -> int:
    """Bytes of matrices that are stored."""
    sizes = training.program.sizes(samples)
    shapes = (line.dims for line in training.program.lines if line.op == "matrix")
    return sum(_FLOAT * sizes[a] * sizes[b] for a, b in shapes if isinstance(a, str) and isinstance(b, str))


def _cost_of_stored(training: Training, options: TrainOptions) -> Cost:
    """One training whose matrices are stored. An update makes a matrix of its own, and another, scaled; what the allocator
    keeps back varies from run to run, from nothing to a whole matrix: half of one is counted."""
    walk = _StepWalk(training.program, _schedule(training, recorded=True), options.base_width, "dense")
    walk.known = {}
    walk.walk()
    walk.descend(training)
    whole, steps = _whole_matrices(training, options.base_width), training.schedule.steps + 1
    kept = _held(training, options, walk, {}) + (_copies(training) - 1) * whole
    largest = max((walk.operator_bytes(m) for m in walk.ranks), default=0)
    updates = 2.0 * len(training.examples) * whole / _FLOAT
    return Cost(
        int(max(walk.peak, walk.live + 2.5 * largest) + kept), steps * (walk.flops + updates), steps * walk.seconds
    )


def _wanted(training: Training, recorded: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    wanted = Wanted(training)
    batch = training.schedule.batches(len(training.examples))
    scalars, vectors = wanted.of_batch(tuple(sorted({int(a) for a in batch[0]})) if len(batch) else ())
    if recorded:
        scalars, vectors = scalars + wanted.outputs + wanted.tangent, vectors + wanted.vectors
    return scalars, vectors


def _schedule(training: Training, recorded: bool) -> Schedule:
    return make_schedule(training.program, *(dict.fromkeys(x) for x in _wanted(training, recorded)))


def _walked(training: Training, options: TrainOptions, ranks: Ranks, schedule: Schedule) -> "_StepWalk":
    walk = _StepWalk(
        training.program, schedule, options.base_width, "lazy", 4 if options.dtype == "float32" else _FLOAT
    )
    walk.known = ranks
    walk.walk()
    walk.descend(training)
    return walk


def _held(training: Training, options: TrainOptions, walk: "_StepWalk", ranks: Ranks) -> float:
    """What a replicate keeps between steps, in bytes."""
    program, item, moving = training.program, walk.item, _copies(training)
    total = 0.0
    for matrix, (forward, backward) in ranks.items():
        n_out, n_in = walk.shape(matrix)
        total += item * (forward + backward) * (n_in + n_out) + _FLOAT * forward * backward * (_MATRICES - 1 + moving)
    for line in program.lines:
        if line.op == "input" or (line.op == "gaussian" and line.dims):
            dims = program.lines[line.args[0]].dims if line.op == "input" else line.dims
            total += moving * item * walk.sizes[str(dims[0])]
    for lines, crossed in Wanted(training).variables.values():
        if crossed:
            total += item * len(lines) * walk.sizes[str(program.lines[lines[0]].dims[0])]
    schedules = 2 if training.schedule.batch >= len(training.examples) else 8
    return total + _LINE * schedules * len(program.lines)


def _copies(training: Training) -> int:
    """Values, and velocities where there are some."""
    still = training.schedule.momentum.is_value(0) and training.schedule.decay.is_value(0)
    return 1 if still else 2


class _StepWalk(_Walk):
    """One step of a training, at given ranks."""

    known: Ranks

    def walk(self) -> None:
        for index, step in enumerate(self.schedule.steps):
            _COUNT_STEP.get(type(step), _COUNT[type(step)])(self, step)
            for block in self.schedule.frees[index]:
                self.live -= self.block_bytes(block)

    def descend(self, training: Training) -> None:
        """The updates, all vectors of the step still there."""
        lines = self.program.lines
        for e in training.examples:
            if e.updates is None:
                continue
            for line, pairs in e.updates.gradients.inputs.items():
                size = self.sizes[str(lines[line].dims[0])]
                rows = sum(x.op == "input" and x.args[0] == line for x in lines)
                self.spend(2.0 * rows * len(pairs) * size, calls=10, rows=rows)
                self.hold(0, 2 * self.item * rows * size)


def _count_product(walk: _StepWalk, step: Product) -> None:
    if walk.dense:
        _COUNT[Product](walk, step)
        return
    rows = len(step.lines)
    n_out, n_in = walk.shape(step.matrix)
    this, other = walk.known.get(step.matrix, (1, 1))
    if step.transposed:
        n_out, n_in, this, other = n_in, n_out, other, this
    copied = walk.item * rows * n_in if _is_copied(step.argument) else 0
    walk.hold(walk.block_bytes(step.block), copied + 2 * _FLOAT * rows * this)
    new = sqrt(rows)  # a guess: it costs a fraction of the rest
    flops = 2.0 * rows * (n_in * this + n_out * (this + other)) + 2.0 * new * (3 * n_in * this + 3 * n_out * other)
    walk.spend(flops + 2.0 * rows * rows * n_in, calls=60 + 4 * rows, rows=rows)


def _count_held(walk: _StepWalk, step: Draw | Input) -> None:
    """Copied from the parameters."""
    walk.hold(walk.block_bytes(step.block))
    walk.spend(calls=5 * len(step.lines))


def _count_numbers(walk: _StepWalk, step: Numbers) -> None:
    walk.spend(calls=len(step.lines))


_COUNT_STEP: dict[type[Step], Callable] = {
    Product: _count_product, Draw: _count_held, Input: _count_held, Numbers: _count_numbers,
}  # fmt: skip


def _at_rest(training: Training, options: TrainOptions) -> Cost:
    """Features that stand still: their kernels, once."""
    kernels = training.kernels
    lines = dict.fromkeys(
        [] if kernels is None else [*map(int, kernels.nngp.ravel()), *map(int, kernels.tangent.ravel())]
    )
    schedule = make_schedule(training.program, lines, dict.fromkeys(Wanted(training).vectors))
    walk = _Walk(training.program, schedule, options.base_width, "lazy", 4 if options.dtype == "float32" else _FLOAT)
    walk.walk()
    small = _FLOAT * len(lines) * (training.schedule.steps + 1)
    return Cost(int(walk.peak + small), walk.flops, walk.seconds)
