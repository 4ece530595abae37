"""What a `train` block shows: in the limit, and in finite networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tpl.core.elaborate import Limits
from tpl.core.program import Program
from tpl.core.training import Training
from tpl.language.source import Diagnostic, TplError
from tpl.pipeline import Compiled
from tpl.report.results import Result
from tpl.sampling.train_many import Measured, train_many
from tpl.stages.common import Progress, Steps
from tpl.stages.simulate import guarded, pole_notes
from tpl.stages.train_notes import divergence, random_start

if TYPE_CHECKING:
    from tpl.sampling.checkpoint import Checkpoint
    from tpl.sampling.companion import Effect
    from tpl.sampling.cost import Cost
    from tpl.sampling.estimate import Estimate
    from tpl.sampling.train import Statistics, TrainOptions
    from tpl.stages.run import RunOptions

DEFAULT_TOLERANCE = 1e-3  # of rank truncation
VERIFIED_RECORDS = 5  # steps at which `verify` compares


def training_of(program: Program) -> Training:
    """The training of a program that has one. Raises TplError where it has no limit."""
    training = program.training
    assert training is not None
    if training.regime.kind == "unstable":
        hint = "`parametrization = mup` is stable and learns features, `ntp` is stable in the kernel regime"
        reasons = "; ".join(training.regime.reasons)
        raise TplError(program.source, [Diagnostic(training.span, f"this training has no limit: {reasons}", hint)])
    if training.regime.kind in ("kernel", "trivial") and not training.schedule.decay.is_value(0):
        message = "there is no limit with weight decay where features stand still: it would shrink them, and the kernel"
        hint = "leave `weight_decay` out, or take `parametrization = mup`"
        raise TplError(program.source, [Diagnostic(training.span, message, hint)])
    return training


def train_limit(
    compiled: Compiled, limits: Limits, options: "RunOptions", progress: Progress | None
) -> tuple[list[Result], list[str]]:
    """The limit of everything that is shown of the training, and notes on it."""
    from tpl.sampling.checkpoint import CheckpointError
    from tpl.sampling.companion import PAIRS, truncation_effect
    from tpl.sampling.estimate import DEFAULT_REPLICATES, available_threads
    from tpl.sampling.train_cost import affordable_threads

    training = training_of(compiled.program)
    one, count = replicate_options(training, options), options.replicates or DEFAULT_REPLICATES
    width, tolerance = one.base_width, one.tolerance
    program = replace(training.program, source=compiled.program.source)

    ticks = training.schedule.steps + 1
    told = Steps(progress, (count + 2 * PAIRS * (training.regime.kind == "features")) * ticks)

    def work() -> tuple["Statistics", "Effect | None"]:
        threads = options.threads or available_threads()
        threads = affordable_threads(training, one, count, threads, limits.max_memory)
        found = train_many(training, one, count, threads, told.advance(count * ticks), checkpoint=checkpoint)
        largest = int(found["ranks"].max()) if found.get("ranks", np.zeros(0)).size else 0
        if not largest or training.regime.kind != "features":
            return found, None
        rest = told.advance(2 * PAIRS * ticks)
        return found, truncation_effect(training, one, largest, threads, rest, checkpoint)

    try:
        with _checkpoint(training, one, options.checkpoint) as checkpoint:
            found, effect = guarded(program, work)
    except CheckpointError as problem:
        hint = "give another folder to --checkpoint, or delete this one"
        raise TplError(compiled.program.source, [Diagnostic(None, str(problem), hint)]) from None
    how = "kernel regime" if training.regime.kind in ("kernel", "trivial") else f"tolerance {tolerance:g}"
    if options.dtype != "float64":
        how += f", {options.dtype}"
    method = f"trained in the limit: {count} replicates of {width} samples, {how}"
    sampled = guarded(program, lambda: Measured(training).estimates(found, method))
    estimates, notes = _with_effect(training, sampled, effect)
    steps = training.schedule.records
    results = [
        Result(shown.name, e.value, e.error, e.method, shown.span, steps, axes)
        for shown, e, axes in zip(training.shows, estimates, Measured(training).axes(), strict=True)
    ]
    notes = [
        *divergence(training, found),
        *training.regime.reasons,
        *random_start(training),
        *pole_notes(program),
        *_stationary(training, found),
        *_ranks(training, found),
        *notes,
    ]
    return results, notes + [note for e in estimates for note in e.notes]


def _with_effect(
    training: Training, estimates: list["Estimate"], effect: "Effect | None"
) -> tuple[list["Estimate"], list[str]]:
    """Errors widened by what companions say that truncation has changed, and sentences on it."""
    if effect is None:
        return estimates, []
    widened, notes, largest = [], [], []
    for shown, e, change in zip(training.shows, estimates, effect.changes, strict=True):
        error = e.error + change / 2
        widened.append(replace(e, error=error))
        largest.append(f"{shown.name} {change.max():.1g}")
        hidden = (np.abs(e.value) > 2 * e.error) & (np.abs(e.value) <= 2 * error)
        if hidden.any() and shown.measures[0].function in ("min_eig", "eigenvalues"):
            at = hidden.reshape(len(hidden), -1).any(axis=1)
            listed = ", ".join(str(step) for step, lost in zip(training.schedule.records, at, strict=True) if lost)
            notes.append(f"{shown.name} cannot be resolved: below the effect of the tolerance (step {listed})")
    runs = "a pair" if effect.pairs == 1 else f"{effect.pairs} pairs"
    how = f"{runs} of runs with {effect.samples} samples on the same matrices, with truncation and without"
    return widened, [f"the tolerance changes, at most: {', '.join(largest)} (counted in the errors; {how})", *notes]


def replicate_options(training: Training, options: "RunOptions") -> "TrainOptions":
    """How every replicate of the limit is run."""
    from tpl.sampling.estimate import DEFAULT_SAMPLES, round_up
    from tpl.sampling.train import TrainOptions

    width = round_up(training.program, options.samples or DEFAULT_SAMPLES)
    return TrainOptions(width, False, "lazy", options.tolerance or DEFAULT_TOLERANCE, options.seed, options.dtype)


def training_cost(training: Training, options: "RunOptions", threads: int) -> tuple["Cost", list[str]]:
    """What a run will need, and what that is known from."""
    from tpl.sampling.estimate import DEFAULT_REPLICATES
    from tpl.sampling.train_cost import estimate_training

    one = replicate_options(training, options)
    cost, trial = estimate_training(training, one, options.replicates or DEFAULT_REPLICATES, threads)
    if trial is None or not trial.matrices:
        return cost, []
    steps = training.schedule.steps
    last = trial.at(steps)
    ranks = _listed(training, [last[m] for m in trial.matrices])
    seen = f"{trial.steps} steps" if trial.steps >= steps else f"the first {trial.steps} of {steps} steps, extended"
    return cost, [
        f"memory and time from ranks at the end, {ranks}, as a trial with {trial.samples} samples showed: {seen}"
    ]


@contextmanager
def _checkpoint(
    training: Training, options: "TrainOptions", folder: str | Path | None
) -> Iterator["Checkpoint | None"]:
    """The folder that replicates are kept in. The number of replicates is not part of what it is keyed by."""
    from tpl.sampling.checkpoint import Checkpoint, fingerprint

    if folder is None:
        yield None
        return
    checkpoint = Checkpoint(folder, fingerprint(training, options))
    try:
        yield checkpoint
    finally:
        checkpoint.close()


def _stationary(training: Training, found: dict[str, np.ndarray]) -> list[str]:
    """Of a training that learns features, but for its start."""
    f = found["f"]
    if training.regime.kind != "features" or f.shape[1] < 2 or (f != f[:, :1]).any():
        return []
    return [
        "nothing moves: the limit starts where every gradient is zero. Networks leave such a point, later the wider"
    ]


def _ranks(training: Training, found: dict[str, np.ndarray]) -> list[str]:
    """How large the spaces have become on which matrices are known."""
    if "ranks" not in found or not found["ranks"].size or training.regime.kind != "features":
        return []
    last = found["ranks"][:, -1].max(axis=0)
    shown = _listed(training, [(int(a), int(b)) for a, b in last])
    return [f"ranks at the end (products with the matrix, with its transpose): {shown}"] if shown else []


def _listed(training: Training, ranks: list[tuple[int, int]]) -> str:
    hidden = [p.name for p in training.parameters if p.group == "hidden"]
    return ", ".join(f"{name} {a} and {b}" for name, (a, b) in zip(hidden, ranks, strict=False))


def train_finite(
    training: Training, width: int, seeds: int, seed: int, threads: int | None, progress: Progress | None
) -> np.ndarray:
    """Everything shown of networks of one width, [seeds, values]."""
    from tpl.sampling.train import TrainOptions

    options = TrainOptions(width, True, "dense", 0.0, seed)
    return flat(Measured(training).single(train_many(training, options, seeds, threads, progress)))


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([x.reshape(len(x), -1) for x in arrays], axis=1)


def fewer_records(training: Training) -> Training:
    """The same training, recorded at a handful of steps, for comparisons."""
    records = training.schedule.records
    kept = np.unique(np.linspace(0, len(records) - 1, VERIFIED_RECORDS).round().astype(int))
    return replace(training, schedule=replace(training.schedule, records=tuple(records[i] for i in kept)))
