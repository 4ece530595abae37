"""Replicates of a training, and its measures as functions of what they recorded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from tpl.core.training import Axis, Example, Measure, Training, TrainingShow
from tpl.sampling import measures
from tpl.sampling.checkpoint import Checkpoint, ReplicateFiles
from tpl.sampling.errors import NoValue
from tpl.sampling.estimate import Cancel, Estimate, Progress, Tick, run_many
from tpl.sampling.measures.measure import Measure as Function
from tpl.sampling.tape import compile_tape, run_tape
from tpl.sampling.train import Statistics, TrainOptions, train
from tpl.sampling.train_kernel import train_kernel

_MATRICES = {"gram": measures.gram, "cross_gram": measures.cross_gram, "joint_gram": measures.joint_gram}
_OF_VECTORS = {**_MATRICES, "feature_change": measures.feature_change, "rms": measures.rms}
_OF_MATRICES = {
    "min_eig": measures.min_eig, "eigenvalues": measures.eigenvalues, "rank": measures.rank,
    "effective_rank": measures.effective_rank,
}  # fmt: skip


def train_many(
    training: Training,
    options: TrainOptions,
    replicates: int,
    threads: int | None = None,
    progress: Progress | None = None,
    first: int = 0,
    checkpoint: Checkpoint | None = None,
) -> Statistics:
    """What replicates first, first + 1, … recorded, each statistic [replicates, records, ...].

    checkpoint: where replicates are kept on their way and at their end, and found again.
    """
    still = not options.finite and training.regime.kind in ("kernel", "trivial")
    ticks = training.schedule.steps + 1

    def one(replicate: int, tick: Tick, cancelled: Cancel) -> Statistics:
        files = checkpoint.replicate(first + replicate) if checkpoint is not None else None

        def work() -> Statistics:
            if still:
                return train_kernel(training, options, first + replicate, cancelled=cancelled, tick=tick)
            return train(training, options, first + replicate, cancelled=cancelled, tick=tick, files=files)

        return known_or_found(files, work, ticks, tick)

    every = run_many(one, replicates, threads, progress, ticks)
    return {name: np.array([x[name] for x in every]) for name in every[0]}


def known_or_found(files: ReplicateFiles | None, work: Callable[[], Statistics], ticks: int, tick: Tick) -> Statistics:
    """What one training recorded: read, where it has been finished before, or worked out and kept."""
    known = files.finished() if files is not None else None
    if known is not None:
        for _ in range(ticks):
            tick()
        return known
    found = work()
    if files is not None:
        files.finish(found)
    return found


class Measured:
    """The measures that a training shows."""

    def __init__(self, training: Training):
        self.training = training
        self.constants = training.program.constant_values()
        examples = len(training.examples)
        self.sizes = {False: examples, True: len(training.tests)}
        self.positions = training.examples[0].outputs.shape[0]

    def estimates(self, statistics: Statistics, method: str) -> list[Estimate]:
        """Each show in the limit, [records, *shape, ...]. Raises NoValue for the first that has no finite value."""
        steps = self.training.schedule.records
        found = []
        for shown in self.training.shows:
            with _named(shown):
                parts = [measures.evaluate(*self._in_the_limit(m, statistics), method, steps) for m in shown.measures]
            value, error = (self._arranged(np.stack([getattr(p, x) for p in parts], axis=1), shown.shape)
                            for x in ("value", "error"))  # fmt: skip
            notes = tuple(
                f"{_place(shown.name, m)} {note.removeprefix(self._function(m).name).lstrip()}"
                for m, p in zip(shown.measures, parts, strict=True)
                for note in p.notes
            )
            found.append(Estimate(value, error, parts[0].method, notes))
        return found

    def _in_the_limit(self, measure: Measure, statistics: Statistics) -> tuple[Function, Statistics]:
        """A measure and what it is of. Where outputs stay random, that of their mean is not the mean of theirs."""
        function, of = self._function(measure), self._of(measure, statistics)
        if measure.function == "feature_change" and self.training.regime.kind in ("kernel", "trivial"):
            return replace(function, slack=measures.no_slack), of  # they stand still: that is no matter of rounding
        random = self.training.regime.u < 1 and not self.training.zero_start
        if not random or "f" not in function.uses or measure.function in ("f", "test_f"):
            return function, of
        return measures.average(function.name), {function.name: measures.per_replicate(function, of)}

    def single(self, statistics: Statistics) -> list[np.ndarray]:
        """Each show of every network by itself, [replicates, records, *shape, ...]. Raises NoValue like `estimates`."""
        found = []
        for shown in self.training.shows:
            with _named(shown):
                parts = [measures.per_replicate(self._function(m), self._of(m, statistics)) for m in shown.measures]
            together = np.stack(parts, axis=2)
            found.append(together.reshape(*together.shape[:2], *shown.shape, *together.shape[3:]))
        return found

    def losses(self, statistics: Statistics) -> tuple[np.ndarray, float]:
        """The loss of every replicate, [replicates, records], which may be infinite; and that of outputs that are zero."""
        loss, f = self._loss(self.training.examples), self._of(Measure("loss"), statistics)["f"]
        with np.errstate(all="ignore"):
            return loss(f), float(loss(np.zeros_like(f[0, 0])))

    def shapes(self) -> list[tuple[int, ...]]:
        """Of every show."""
        records = len(self.training.schedule.records)
        return [(records, *shown.shape, *self._entries(shown.measures[0])) for shown in self.training.shows]

    def axes(self) -> list[tuple[Axis, ...]]:
        """Of every show, those after the steps: its indices, then the axes of one measure."""
        return [(*shown.indices, *self._own_axes(shown.measures[0])) for shown in self.training.shows]

    def _own_axes(self, measure: Measure) -> tuple[Axis, ...]:
        """Axes of one measure, named after the data where they run along its examples."""
        sizes, examples = self._entries(measure), self.sizes[measure.function == "test_f"]
        name = self.training.test_inputs if measure.function == "test_f" else self.training.inputs
        if measure.function in ("f", "test_f"):
            along = [name, *("" for _ in sizes[1:])]
        else:
            square = len(sizes) == 2 and sizes[0] == examples
            along = [name, f"{name}′" if name else ""] if square else ["" for _ in sizes]
        return tuple(Axis(x, tuple(range(1, size + 1))) for x, size in zip(along, sizes, strict=True))

    def _entries(self, measure: Measure) -> tuple[int, ...]:
        """The shape of one measure at one step."""
        count = len(self.training.variables[measure.variable]) if measure.variable else 0
        if measure.function in ("f", "test_f"):
            k = self.training.examples[0].outputs.shape[1]
            return self.sizes[measure.function == "test_f"], *(n for n in (self.positions, k) if n > 1)
        if measure.function == "tangent_kernel":
            return (self.sizes[False] * self.positions,) * 2
        if measure.function == "eigenvalues" and measure.of is not None:
            return self._entries(measure.of)[:1]
        return {"gram": (count, count), "cross_gram": (count, count), "joint_gram": (2 * count, 2 * count)}.get(
            measure.function, ()
        )

    def _arranged(self, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return values.reshape(len(values), *shape, *values.shape[2:])

    # ------------------------------------------------------------------------------------------ statistics
    def _of(self, measure: Measure, statistics: Statistics) -> Statistics:
        """The statistics of one measure under the names that its function reads."""
        inner = measure.of if measure.of is not None else measure
        if inner.variable:
            names = {"gram": f"gram:{inner.variable}", "cross": f"cross:{inner.variable}"}
            found = {name: statistics[key] for name, key in names.items() if key in statistics}
            return {**found, "lost": statistics["lost"]}
        if inner.function == "tangent_kernel":
            tangent = statistics["tangent"]
            size = int(np.sqrt(tangent.shape[-1]))
            whole = tangent.reshape(*tangent.shape[:2], size, size)
            count = self.sizes[False] * self.positions
            return {"gram": whole[..., :count, :count]}
        f = statistics["f"]
        f = f.reshape(*f.shape[:2], -1, self.positions, self.training.examples[0].outputs.shape[1])
        test = inner.function.startswith("test_")
        return {"f": f[:, :, self.sizes[False] :] if test else f[:, :, : self.sizes[False]]}

    def _function(self, measure: Measure) -> Function:
        name = measure.function
        if measure.of is not None:
            return _OF_MATRICES[name](self._function(measure.of))
        if name in _OF_VECTORS:
            return _OF_VECTORS[name]()
        if name == "alignment":
            return measures.alignment(self._targets(self.training.examples))
        if name == "tangent_kernel":
            return replace(measures.gram(), name=name)
        examples = self.training.tests if name.startswith("test_") else self.training.examples
        if name in ("f", "test_f"):
            return replace(measures.average("f"), function=lambda s: _squeezed(s["f"], self.positions))
        if name in ("loss", "test_loss"):
            return measures.loss(name, self._loss(examples))
        return measures.accuracy(name, self._margin(examples))

    def _targets(self, examples: tuple[Example, ...]) -> np.ndarray:
        """[examples · positions, k], labels as one number for each class."""
        rows = np.concatenate([_one_hot(e.targets, e.outputs.shape[1]) for e in examples if e.targets is not None])
        return rows

    def _margin(self, examples: tuple[Example, ...]) -> Callable[[np.ndarray], np.ndarray]:
        targets = self._targets(examples)
        margin = measures.sign_margin(targets) if targets.shape[1] == 1 else measures.class_margin(targets)
        return lambda f: margin(f.reshape(*f.shape[:-3], -1, f.shape[-1]))

    def _loss(self, examples: tuple[Example, ...]) -> Callable[[np.ndarray], np.ndarray]:
        """The mean loss of outputs [..., examples, positions, k]."""
        tapes = []
        for e in examples:
            assert e.loss is not None
            tapes.append(compile_tape((e.loss,), [int(i) for i in e.outputs.ravel()], self.constants))

        def loss(f: np.ndarray) -> np.ndarray:
            total = np.zeros(f.shape[:-3])
            for a, tape in enumerate(tapes):
                total += run_tape(tape, list(np.moveaxis(f[..., a, :, :].reshape(*f.shape[:-3], -1), -1, 0)))[0]
            return total / len(tapes)

        return loss


@contextmanager
def _named(shown: TrainingShow) -> Iterator[None]:
    """What is wrong with a measure, in the words of the program."""
    try:
        yield
    except ValueError as problem:
        own = shown.measures[0].function
        raise NoValue(
            shown.name, shown.span, f"{shown.name} {str(problem).removeprefix(own).lstrip(': ')}"
        ) from problem


def _one_hot(targets: np.ndarray, k: int) -> np.ndarray:
    targets = np.asarray(targets, dtype=float)
    if targets.ndim == 2:
        return targets
    if k == 1:
        return targets[:, None]
    return (targets[:, None] == np.arange(k)).astype(float)


def _squeezed(f: np.ndarray, positions: int) -> np.ndarray:
    """Outputs without the axes that hold one entry: [..., examples, positions, k]."""
    shape = tuple(n for i, n in enumerate(f.shape) if i < f.ndim - 2 or n > 1)
    return f.reshape(shape)


def _place(name: str, measure: Measure) -> str:
    inner = measure.of if measure.of is not None else measure
    _, at, where = inner.variable.partition(" at ")
    return f"{name}, {where}" if at else name
