"""Training in the kernel regime, in the limit: features stand still, and outputs follow the tangent kernel.

    f <- f - rate · Θ χ,    χ = ∂loss/∂f over the batch,    f_0 a draw of the Gaussian process with the NNGP kernel, or 0

(TP4 §4; Jacot, Gabriel & Hongler 2018, in discrete steps.) A replicate samples the kernels as it does everything else,
and draws an f_0 of its own.
"""

from collections.abc import Callable

import numpy as np

from tpl.core.expr import Expr, close, evaluate, number
from tpl.core.gradient import partial_derivatives
from tpl.core.program import Kind, Line, Program
from tpl.core.training import Training
from tpl.language.training_words import STEP
from tpl.sampling.errors import Cancelled
from tpl.sampling.interpreter import _Run, _Settings
from tpl.sampling.plan import Numbers
from tpl.sampling.schedule import make_schedule
from tpl.sampling.streams import LIMIT_RUN, stream
from tpl.sampling.train import Statistics, TrainingRun, TrainOptions
from tpl.sampling.trained import Motion, Moving

OUTPUT_DRAW = 2**31  # the stream of f_0: no line has this number


def train_kernel(
    training: Training,
    options: TrainOptions,
    replicate: int = 0,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    tick: Callable[[], None] = lambda: None,
) -> Statistics:
    """One replicate; as `tpl.sampling.train.train`, for trainings whose regime is "kernel" or "trivial"."""
    start = TrainingRun(training, options, replicate).at_rest()
    tangent, f = start.pop("tangent"), _initial(training, options, replicate, start.pop("nngp"))
    signals = Signals(training)
    schedule = training.schedule
    batches = schedule.batches(len(training.examples))
    env = training.program.constant_values()
    owners = np.repeat(np.arange(len(training.examples)), [len(e.outputs) for e in training.examples])
    outputs, records = Moving(f), []
    for step in range(schedule.steps + 1):
        if cancelled():
            raise Cancelled
        if step in schedule.records:
            records.append({"f": outputs.value.ravel().copy()})
        if step < schedule.steps:
            at = env | {STEP: float(step)}
            rate, momentum = evaluate(schedule.rate, at), evaluate(schedule.momentum, at)
            counts = np.bincount(batches[step], minlength=len(training.examples))[owners] / schedule.batch
            chi = signals(outputs.value) * counts[:, None]
            outputs.move(tangent[:, : len(chi)] @ chi, Motion(rate, momentum))
        tick()
    found = {name: np.array([r[name] for r in records]) for name in records[0]}
    return {**found, **{name: np.array([value] * len(records)) for name, value in start.items()},
            "tangent": np.array([tangent.ravel()] * len(records))}  # fmt: skip


def _initial(training: Training, options: TrainOptions, replicate: int, nngp: np.ndarray) -> np.ndarray:
    """f_0 for all outputs, [outputs, k]: rows of the readout are independent."""
    count = training.examples[0].outputs.shape[1]
    if training.zero_start:
        return np.zeros((len(nngp), count))
    values, vectors = np.linalg.eigh(nngp)
    rng = stream(options.seed, LIMIT_RUN, options.base_width, replicate, OUTPUT_DRAW)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ rng.standard_normal((len(nngp), count))


class Signals:
    """χ as a function of the training outputs f: the same maps as in the training's program, on numbers."""

    def __init__(self, training: Training):
        outputs = [int(i) for e in training.examples for i in e.outputs.ravel()]
        place = {line: k for k, line in enumerate(outputs)}
        lines = [Line("state", Kind.SCALAR, f"f{k}", (), number(0)) for k in range(len(outputs))]
        self.shape = (-1, training.examples[0].outputs.shape[1])
        self.targets: list[int] = []
        for example in training.examples:
            assert example.loss is not None
            for _, partial in _in_order(example.loss, example.outputs):
                closed, args = close(partial)
                lines.append(Line("map", Kind.SCALAR, f"chi{len(lines)}", tuple(place[a] for a in args), closed))
                self.targets.append(len(lines) - 1)
        self.count = len(outputs)
        self.program = Program({"n": training.program.widths[training.program.base_width]},
                               training.program.constants, tuple(lines), ())  # fmt: skip
        self.schedule = make_schedule(self.program, self.targets)

    def __call__(self, f: np.ndarray) -> np.ndarray:
        """χ for the outputs [training outputs, k], the first rows of f."""
        run = _Run(self.program, self.schedule, 1, _Settings(0, LIMIT_RUN, 0, "lazy", False, 0.0))
        run.scalars[: self.count] = f.ravel()[: self.count]
        for index, step in enumerate(self.schedule.steps):
            if not isinstance(step, Numbers):
                run.do(index)
        return run.scalars[self.targets].reshape(self.shape)


def _in_order(loss: Expr, outputs: np.ndarray) -> list[tuple[int, Expr]]:
    found = dict(partial_derivatives(loss, {int(i) for i in outputs.ravel()}))
    return [(int(i), found[int(i)]) for i in outputs.ravel()]
