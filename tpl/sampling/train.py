"""Run a training: replicates of the infinite-width limit with M samples, or of networks of width n.

Both walk through the same core lines (`Training.program`); they differ in the powers of the width, of which the limit
keeps those that are 1, and in how matrices are held (`tpl.sampling.trained`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from tpl.core.expr import Expr, evaluate, number
from tpl.core.parametrization import Role
from tpl.core.program import Program
from tpl.core.train_block import OUTPUT_SCALE
from tpl.core.training import Example, Measure, Trained, Training
from tpl.language.training_words import STEP
from tpl.sampling.checkpoint import ReplicateFiles
from tpl.sampling.errors import Cancelled, NumericalError
from tpl.sampling.interpreter import OperatorKind, _NotFinite, _Run, _Settings, gather
from tpl.sampling.plan import Draw, Input, Numbers, Product, Schedule
from tpl.sampling.quasi import SobolNormals
from tpl.sampling.rows import RowBuffer, combine, inner
from tpl.sampling.schedule import make_schedule
from tpl.sampling.streams import FINITE_RUN, LIMIT_RUN, stream
from tpl.sampling.trained import Motion, Moving, Outer, TrainedDense, TrainedLazy

# Statistics of a replicate, by name: `f` [records, inputs, k], and for each variable `gram:` and `cross:` [records, N, N].
Statistics = dict[str, np.ndarray]

MOST_SCHEDULES = 64  # kept at a time: a shuffled order has a new batch every step


@dataclass(frozen=True)
class TrainOptions:
    """How one replicate is run.

    base_width: M, or n. finite: with the powers of the width as they are at n, rather than in the limit. operator: how
    matrices are held. tolerance: below which share of its argument's norm a new direction is dropped. dtype: of vectors;
    averages and whatever is recorded are float64. stored: lazy matrices are drawn whole and revealed, as a companion of a
    run with operator "dense" (`tpl.sampling.companion`). quasi: in the limit, samples are points of a randomised net
    (`tpl.sampling.quasi`) rather than independent; networks are networks.
    """

    base_width: int
    finite: bool
    operator: OperatorKind = "lazy"
    tolerance: float = 1e-4
    seed: int = 0
    dtype: str = "float64"
    stored: bool = False
    quasi: bool = True


def train(
    training: Training,
    options: TrainOptions,
    replicate: int = 0,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    tick: Callable[[], None] = lambda: None,
    files: ReplicateFiles | None = None,
) -> Statistics:
    """One replicate from start to end: what was recorded, with `lost` (dropped shares of squares) and `ranks`.

    tick is called after every step. files: where the replicate is kept on its way, and resumed from. Raises
    NumericalError for the first line whose value is not finite, CheckpointError, and Cancelled.
    """
    from tpl.sampling.train_state import resume, save

    run = TrainingRun(training, options, replicate)
    if files is not None:
        resume(run, files)
        for _ in range(run.step):
            tick()
    with np.errstate(all="ignore"):
        while not run.done:
            stop = cancelled()
            if files is not None and (stop or files.due):
                save(run, files)
            if stop:
                raise Cancelled
            run.advance()
            tick()
    return run.statistics()


class TrainingRun:
    """The state of one replicate between steps."""

    def __init__(self, training: Training, options: TrainOptions, replicate: int):
        self.training, self.options, self.replicate = training, options, replicate
        self.step = 0
        self.program = _at_width(training, options)
        self.sizes = self.program.sizes(options.base_width)
        self.constants = self.program.constant_values()
        self.batches = training.schedule.batches(len(training.examples))
        self.wanted = Wanted(training)
        self.records: list[Statistics] = []
        self.start: dict[str, RowBuffer] = {}  # what features were at the start
        self._schedules: dict[tuple, Schedule] = {}
        self.adjoints = _adjoints(training)
        self._roles = {role.parameter.name: role for role in training.regime.roles}
        even = options.quasi and not options.finite
        self.net = SobolNormals(options.seed, self.domain, options.base_width, replicate) if even else None
        self._initialise()

    @property
    def done(self) -> bool:
        return self.step > self.training.schedule.steps

    # ------------------------------------------------------------------------------------------ parameters
    def _initialise(self) -> None:
        lines = self.program.lines
        owner = {line: p for p in self.training.parameters for line in p.lines}
        self.operators: dict[int, TrainedLazy | TrainedDense] = {}
        self.vectors: dict[int, Moving] = {}  # rows of readouts, biases of layers, and other Gaussian vectors
        self.numbers: dict[int, Moving] = {}
        self.images: dict[int, Moving] = {}  # matrix of finitely many columns -> its products with all rows needed
        self.image_rows: dict[int, dict[int, int]] = {}  # ... and where an input line's product stands
        self._input_grams: dict[int, np.ndarray] = {}
        self._image_columns: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        rows: dict[int, list[int]] = {}
        for i, line in enumerate(lines):
            if line.op == "gaussian" and line.dims:
                value = self._normals(i, 1, self.sizes[str(line.dims[0])])[0] * self._deviation(owner.get(i), i)
                self.vectors[i] = Moving((value + self._number(line.mean)).astype(self.dtype, copy=False))
            elif line.op in ("state", "gaussian"):
                draw = stream(self.options.seed, self.domain, self.options.base_width, self.replicate, i)
                value = draw.standard_normal(()) * self._deviation(owner.get(i), i) + self._number(line.mean)
                self.numbers[i] = Moving(np.array(value))
            elif line.op == "input":
                rows.setdefault(line.args[0], []).append(i)
            elif line.op == "matrix" and all(isinstance(d, str) for d in line.dims):
                self.operators[i] = self._operator(i, owner.get(i))
        for matrix, inputs in rows.items():
            self._draw_images(matrix, inputs, owner.get(matrix))

    @property
    def dtype(self) -> type:
        return np.float32 if self.options.dtype == "float32" else np.float64

    @property
    def domain(self) -> int:
        return FINITE_RUN if self.options.finite else LIMIT_RUN

    def _number(self, expr: Expr) -> float:
        sizes = {name: float(size) for name, size in self.sizes.items()}
        return evaluate(expr, self.constants | sizes)

    def _deviation(self, parameter: Trained | None, line: int) -> float:
        """Of a random line's entries; of a matrix's, times the square root of the base width."""
        if parameter is None:
            expr = self.program.lines[line].expr
            assert expr is not None
            return float(np.sqrt(self._number(expr)))
        init = self._roles[parameter.name].init
        return 0.0 if init is None else float(np.sqrt(parameter.variance)) * self._power(init)

    def _power(self, power: Fraction) -> float:
        """n to minus some power; in the limit, 1 or 0."""
        if self.options.finite:
            return float(self.options.base_width ** -float(power))
        return 1.0 if power == 0 else 0.0

    def _operator(self, matrix: int, parameter: Trained | None) -> TrainedLazy | TrainedDense:
        n_out, n_in = (self.sizes[str(d)] for d in self.program.lines[matrix].dims)
        rng = stream(self.options.seed, self.domain, self.options.base_width, self.replicate, matrix)
        deviation = self._deviation(parameter, matrix)
        variance = deviation**2 / (self.options.base_width if parameter is not None else 1)
        if self.options.operator == "dense":
            return TrainedDense(n_out, n_in, variance, rng)
        options = self.options
        return TrainedLazy(
            n_out, n_in, variance, rng,
            tolerance=options.tolerance, dtype=self.dtype, stored=options.stored, net=self.net,
        )  # fmt: skip

    def _normals(self, line: int, count: int, size: int) -> np.ndarray:
        """What a line draws, [count, size]."""
        found = None if self.net is None else self.net.draw(count, size)
        if found is None:
            rng = stream(self.options.seed, self.domain, self.options.base_width, self.replicate, line)
            return rng.standard_normal((count, size))
        return found

    def _draw_images(self, matrix: int, inputs: list[int], parameter: Trained | None) -> None:
        rows = np.array([self.program.lines[i].row for i in inputs])
        k, d = rows.shape
        factor = np.transpose(np.linalg.qr(rows.T, mode="r")) if k < d else rows
        size = self.sizes[str(self.program.lines[matrix].dims[0])]
        normals = self._normals(matrix, factor.shape[1], size)
        images = combine(factor * self._deviation(parameter, matrix), normals)
        self.images[matrix] = Moving(images.astype(self.dtype, copy=False))
        self.image_rows[matrix] = {line: place for place, line in enumerate(inputs)}
        self._input_grams[matrix] = rows @ rows.T

    # ------------------------------------------------------------------------------------------ steps
    def advance(self) -> None:
        """Take one step; before it, record what is due."""
        schedule = self.training.schedule
        last = self.step == schedule.steps
        batch = () if last else tuple(int(a) for a in self.batches[self.step])
        recorded = self.step in schedule.records
        run = self._run(batch, recorded)
        if recorded:
            self.records.append(self._measure(run))
        if not last:
            self._descend(run, batch)
        for operator in self.operators.values():
            operator.forget()
        self.step += 1

    def _run(self, batch: tuple[int, ...], recorded: bool) -> "_StepRun":
        return self._walk(self._schedule(batch, recorded))

    def _walk(self, plan: Schedule) -> "_StepRun":
        settings = _Settings(self.options.seed, self.domain, self.replicate, self.options.operator, False, 0.0)
        run = _StepRun(self.program, plan, self.options.base_width, settings, state=self)
        try:
            for index in range(len(plan.steps)):
                run.do(index)
        except _NotFinite:
            raise self._culprit(plan, settings) from None
        return run

    def _culprit(self, plan: Schedule, settings: _Settings) -> NumericalError:
        again = _StepRun(self.program, plan, self.options.base_width, settings, state=self, watching=True)
        for index in range(len(plan.steps)):
            again.do(index)
        line = min(again.failed)
        return NumericalError(line, f"{again.failed[line]} at step {self.step}", self.step)

    def _schedule(self, batch: tuple[int, ...], recorded: bool) -> Schedule:
        key = tuple(sorted(set(batch))), recorded
        if key not in self._schedules:
            if len(self._schedules) >= MOST_SCHEDULES:
                self._schedules.clear()
            scalars, vectors = self.wanted.of_batch(key[0])
            if recorded:
                scalars += self.wanted.outputs + self.wanted.tangent
                vectors += self.wanted.vectors
            self._schedules[key] = make_schedule(self.program, dict.fromkeys(scalars), dict.fromkeys(vectors))
        return self._schedules[key]

    # ------------------------------------------------------------------------------------------ measures
    def _measure(self, run: "_StepRun") -> Statistics:
        found = {"f": run.scalars[list(self.wanted.outputs)], **self._grams(run)}
        if self.wanted.tangent:
            found["tangent"] = run.scalars[list(self.wanted.tangent)]
        return found

    def _grams(self, run: "_StepRun") -> Statistics:
        found: Statistics = {}
        for name, (lines, crossed) in self.wanted.variables.items():
            block = run.rows(lines)
            found[f"gram:{name}"] = inner(block, block) / block.shape[1]
            if crossed:
                if self.step == 0:
                    self.make_start(name).append(len(block))[:] = block
                found[f"cross:{name}"] = inner(self.start[name].rows, block) / block.shape[1]
        found["lost"] = np.array(max((op.lost for op in self.operators.values()), default=0.0))
        found["ranks"] = np.array([op.ranks for op in self.operators.values()]).reshape(-1, 2)
        return found

    def make_start(self, variable: str) -> RowBuffer:
        """Room for a variable's rows at the start."""
        lines, _ = self.wanted.variables[variable]
        size = self.sizes[str(self.program.lines[lines[0]].dims[0])]
        buffer = self.start[variable] = RowBuffer(size, len(lines), self.dtype)
        return buffer

    def features(self, variable: str) -> np.ndarray:
        """The values of a variable for the parameters at hand, [inputs, size]: samples of its Z, or its coordinates."""
        lines = self.training.variables[variable]
        return self._walk(make_schedule(self.program, {}, dict.fromkeys(lines))).rows(lines).copy()

    def at_rest(self) -> Statistics:
        """What features that stand still have to tell: kernels, and the Gram matrices of variables."""
        kernels = self.training.kernels
        assert kernels is not None
        lines = (*kernels.nngp.ravel(), *kernels.tangent.ravel())
        run = self._walk(
            make_schedule(self.program, dict.fromkeys(map(int, lines)), dict.fromkeys(self.wanted.vectors))
        )
        found = self._grams(run)
        return {**found, "nngp": run.scalars[kernels.nngp], "tangent": run.scalars[kernels.tangent]}

    def statistics(self) -> Statistics:
        """Everything recorded, stacked along a first axis of records."""
        return {name: np.array([r[name] for r in self.records]) for name in self.records[0]}

    # ------------------------------------------------------------------------------------------ updates
    def _descend(self, run: "_StepRun", batch: tuple[int, ...]) -> None:
        schedule, env = self.training.schedule, self.constants | {STEP: float(self.step)}
        rate, momentum, decay = (evaluate(x, env) for x in (schedule.rate, schedule.momentum, schedule.decay))
        updates = [self.training.examples[a].updates for a in batch]
        for parameter in self.training.parameters:
            role = self._roles[parameter.name]
            if role.update is None:
                continue
            size = parameter.step * self._power(role.update) / len(batch)
            motion = Motion(rate, momentum, decay)
            for line in parameter.lines:
                self._descend_line(run, line, [u for u in updates if u is not None], size, motion)

    def _descend_line(self, run: "_StepRun", line: int, updates: list, size: float, motion: Motion) -> None:
        if line in self.operators:
            pairs = [pair for u in updates for pair in u.gradients.matrices.get(line, [])]
            outer = None
            if pairs:
                left, right = (tuple(p[side] for p in pairs) for side in (0, 1))
                weights = np.full(len(pairs), size / self.options.base_width)
                outer = Outer(weights, left, right, run.rows(left), run.rows(right))
            self.operators[line].descend(outer, motion)
        elif line in self.images:
            pairs = [pair for u in updates for pair in u.gradients.inputs.get(line, [])]
            self.images[line].move(self._image_gradient(run, line, pairs, size) if pairs else 0.0, motion)
        elif line in self.numbers:
            total = sum(run.scalars[chi] * self._number(k) for u in updates for chi, k in u.biases.get(line, []))
            self.numbers[line].move(size * total, motion)
        else:
            self.vectors[line].move(self._vector_gradient(run, line, updates, size), motion)

    def _image_gradient(self, run: "_StepRun", matrix: int, pairs: list, size: float) -> np.ndarray:
        """Σ g ⟨ξ, ξ'⟩ for every row ξ' that the matrix is applied to."""
        lines = tuple(g for g, _ in pairs)
        if (matrix, lines) not in self._image_columns:  # rows are long: comparing them takes time
            known = {self.program.lines[line].row: place for line, place in self.image_rows[matrix].items()}
            self._image_columns[matrix, lines] = [known[row] for _, row in pairs]
        gram = self._input_grams[matrix][:, self._image_columns[matrix, lines]]
        return combine(gram * size, run.rows(lines))

    def _vector_gradient(self, run: "_StepRun", line: int, updates: list, size: float) -> np.ndarray:
        """Of a readout's row Σ χ x, of a layer's bias Σ g."""
        pairs = [pair for u in updates for pair in u.readouts.get(line, [])]
        if pairs:
            weights = np.array([run.scalars[chi] for chi, _ in pairs])[None] * size
            return combine(weights, run.rows(tuple(x for _, x in pairs)))[0]
        adjoints = tuple(u.gradients.vectors[line] for u in updates if line in u.gradients.vectors)
        if not adjoints:
            return np.zeros_like(self.vectors[line].value)
        return combine(np.full((1, len(adjoints)), size), run.rows(adjoints))[0]


@dataclass
class _StepRun(_Run):
    """One walk through a step's lines with the parameters of a `TrainingRun`."""

    state: TrainingRun = field(kw_only=True)

    @property
    def dtype(self) -> type:
        return self.state.dtype

    def do(self, index: int) -> None:
        step = self.schedule.steps[index]
        special = _SPECIAL.get(type(step))
        if special is None:
            super().do(index)
            return
        special(self, step)
        for block in self.schedule.frees[index]:
            self.blocks[block] = None

    def rows(self, lines: Iterable[int]) -> np.ndarray:
        """The values of kept lines, [lines, size]: a view where they lie together in order."""
        places = [self.schedule.kept[line] for line in lines]
        first = self.block(places[0][0])
        if all(p == (places[0][0], places[0][1] + k) for k, p in enumerate(places)):
            return first[places[0][1] : places[0][1] + len(places)]
        return np.array([self.block(block)[row] for block, row in places])


def _do_numbers(run: _StepRun, step: Numbers) -> None:
    run.put_scalars(step.lines, np.array([run.state.numbers[i].value for i in step.lines]))


def _do_draw(run: _StepRun, step: Draw) -> None:
    run.put(step, np.array([run.state.vectors[i].value for i in step.lines]))


def _do_input(run: _StepRun, step: Input) -> None:
    places = run.state.image_rows[step.matrix]
    run.put(step, run.state.images[step.matrix].value[[places[i] for i in step.lines]])


def _do_product(run: _StepRun, step: Product) -> None:
    argument = gather(run, step.argument)
    if run.watching and not np.isfinite(argument).all():
        size = run.sizes[run.schedule.blocks[step.block].width]
        run.put(step, np.full((len(argument), size), np.nan))
        return
    lines = tuple(run.program.lines[i].args[1] for i in step.lines)
    adjoint = run.state.adjoints.issuperset(lines)
    run.put(step, run.state.operators[step.matrix].product(argument, lines, step.transposed, adjoint))


_SPECIAL: dict[type, Callable] = {Numbers: _do_numbers, Draw: _do_draw, Input: _do_input, Product: _do_product}


class Wanted:
    """The lines that a training's steps and its measures need."""

    def __init__(self, training: Training):
        self.training = training
        examples = (*training.examples, *training.tests)
        self.outputs = tuple(int(i) for e in examples for i in e.outputs.ravel())
        needed: dict[str, bool] = {}
        for shown in training.shows:
            for measure in shown.measures:
                self._note(measure, needed)
        asked = any(m.function == "tangent_kernel" or (m.of and m.of.function == "tangent_kernel")
                    for x in training.shows for m in x.measures)  # fmt: skip
        kernels = training.kernels.tangent if training.kernels is not None and asked else np.zeros((0, 0), dtype=int)
        self.tangent = tuple(int(i) for i in kernels.ravel())
        self.variables = {name: (training.variables[name], crossed) for name, crossed in needed.items()}
        self.vectors = tuple(line for lines, _ in self.variables.values() for line in lines)

    def _note(self, measure: Measure, needed: dict[str, bool]) -> None:
        if measure.of is not None:
            self._note(measure.of, needed)
        if measure.variable:
            crossed = measure.function in ("cross_gram", "joint_gram", "feature_change")
            needed[measure.variable] = needed.get(measure.variable, False) or crossed

    def of_batch(self, batch: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The scalars and vectors that the updates of these examples read."""
        scalars: list[int] = []
        vectors: list[int] = []
        for a in batch:
            updates = self.training.examples[a].updates
            assert updates is not None
            found = updates.gradients
            vectors += [i for pairs in found.matrices.values() for pair in pairs for i in pair]
            vectors += [g for pairs in found.inputs.values() for g, _ in pairs]
            vectors += found.vectors.values()
            for pairs in updates.readouts.values():
                scalars += [chi for chi, _ in pairs]
                vectors += [x for _, x in pairs]
            scalars += [chi for terms in updates.biases.values() for chi, _ in terms]
        return tuple(scalars), tuple(vectors)


def _adjoints(training: Training) -> set[int]:
    """The lines that a derivative χ = ∂loss/∂f enters."""
    updates = [e.updates for e in training.examples if e.updates is not None]
    found = {chi for u in updates for pairs in u.readouts.values() for chi, _ in pairs}
    for i, line in enumerate(training.program.lines):
        if not found.isdisjoint(line.args):
            found.add(i)
    return found


def _at_width(training: Training, options: TrainOptions) -> Program:
    """The program with the scale of its outputs, n^(1-u): in the limit 0 where u > 1, and not asked for where u < 1."""
    program = training.program
    if OUTPUT_SCALE not in program.constants:
        return program
    scale = number(float(options.base_width) ** float(1 - training.regime.u) if options.finite else 0)
    return replace(program, constants={**program.constants, OUTPUT_SCALE: scale})


__all__ = ["Example", "Role", "Statistics", "TrainOptions", "TrainingRun", "train"]
