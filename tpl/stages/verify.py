"""`tpl verify`: finite networks of growing width against the limit."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tpl.core.elaborate import Limits
from tpl.core.program import Program
from tpl.language.source import Diagnostic, TplError
from tpl.pipeline import Compiled
from tpl.report.results import Verification, value_names
from tpl.stages.common import Progress, Steps, heading
from tpl.stages.simulate import INDEPENDENCE, guarded, pole_notes, simulated_limit

if TYPE_CHECKING:
    from tpl.core.training import Training
    from tpl.sampling.agreement import Agreement

DEFAULT_WIDTHS = (64, 128, 256, 512, 1024)
DEFAULT_SEEDS = 40
MAX_WIDTH = 2**24


def verify_limit(
    compiled: Compiled,
    limits: Limits,
    widths: Sequence[int] | None = None,
    seeds: int | None = None,
    level: float = 1e-3,
    samples: int | None = None,
    replicates: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    gradient_independence: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Simulate networks of each width over seeds, and the limit, and compare. Raises TplError as `run_limit` does."""
    from tpl.sampling.agreement import compare
    from tpl.sampling.estimate import DEFAULT_REPLICATES, DEFAULT_SAMPLES, round_up, sample_finite
    from tpl.sampling.schedule import make_schedule

    start = time.perf_counter()
    if compiled.program.training is not None:
        return _verify_training(compiled, limits, widths, seeds, level, samples, replicates, seed, threads, progress)
    program, chosen = compiled.program, check_widths(compiled.program, widths)
    seeds, replicates = seeds or DEFAULT_SEEDS, replicates or DEFAULT_REPLICATES
    samples = round_up(program, samples or DEFAULT_SAMPLES)
    schedule = make_schedule(program)
    steps = Steps(progress, replicates + seeds * len(chosen))
    limit, method = simulated_limit(
        program, limits, samples, replicates, seed, threads, gradient_independence, steps.advance(replicates), schedule
    )
    finite, lazily = {}, []
    for width in chosen:
        finite[width], how = guarded(program, lambda width=width: sample_finite(  # type: ignore[misc]
            program, width=width, seeds=seeds, seed=seed, threads=threads, max_memory=limits.max_memory,
            schedule=schedule, progress=steps.advance(seeds),
        ))  # fmt: skip
        if "lazily" in how:
            lazily.append(width)
    agreement = compare(limit, finite, samples, level)
    names = tuple(name for shown in program.shows for name in value_names(shown.name, shown.shape))
    how = f"finite networks: {seeds} seeds at each of the widths {', '.join(map(str, chosen))}"
    if lazily:
        how += f"; at {', '.join(map(str, lazily))} the matrices do not fit in memory and are revealed lazily, exact in law"
    apart, said = (0, "") if gradient_independence else _law_beside(compiled, limits, agreement, names)
    notes = (how, *filter(None, (said,)), *((INDEPENDENCE,) if gradient_independence else ()), *pole_notes(program))
    return Verification(
        **heading(compiled), seed=seed, agreement=agreement, names=names, methods=(method,) * len(names), notes=notes,
        seconds=time.perf_counter() - start, apart=apart,
    )  # fmt: skip


def _law_beside(compiled: Compiled, limits: Limits, agreement: "Agreement", names: Sequence[str]) -> tuple[int, str]:
    """In how many values the numbers that `tpl run` prints are not those of the sampled limit, and a note of it.

    Where it samples the program there is nothing to compare.
    """
    from tpl.sampling.agreement import beside
    from tpl.stages.run import RunOptions, run_law

    try:
        law = run_law(compiled, limits, RunOptions())
    except TplError:  # there is no law: what is sampled carries a note of it
        law = None
    if law is None:
        return 0, ""
    value, error = (np.concatenate([np.ravel(getattr(r, x)) for r in law.results]) for x in ("value", "error"))
    z, apart = beside(agreement, value, error)
    worst = int(np.argmax(np.abs(z)))
    what = f"the numbers of `tpl run` ({', '.join(dict.fromkeys(r.method for r in law.results))})"
    if not apart.any():
        return 0, f"{what} are those of the sampled limit: largest |z| {abs(z[worst]):.1f}"
    differ = int(np.count_nonzero(apart))
    return differ, (f"{what} DIFFER from the sampled limit in {differ} of {len(z)} values, most in {names[worst]}: "
                    f"{value[worst]:.6g}, {abs(z[worst]):.1f} errors off")  # fmt: skip


def _verify_training(
    compiled: Compiled,
    limits: Limits,
    widths: Sequence[int] | None,
    seeds: int | None,
    level: float,
    samples: int | None,
    replicates: int | None,
    seed: int,
    threads: int | None,
    progress: Progress | None,
) -> Verification:
    """Networks of growing width, trained, against training in the limit; at a handful of steps."""
    from tpl.sampling.agreement import compare
    from tpl.sampling.estimate import DEFAULT_REPLICATES, DEFAULT_SAMPLES, round_up
    from tpl.sampling.train import TrainOptions
    from tpl.sampling.train_many import Measured, train_many
    from tpl.stages.train import DEFAULT_TOLERANCE, fewer_records, flat, train_finite, training_of
    from tpl.stages.train_notes import divergence

    start = time.perf_counter()
    training, chosen = fewer_records(training_of(compiled.program)), check_widths(compiled.program, widths)
    seeds, replicates = seeds or DEFAULT_SEEDS, replicates or DEFAULT_REPLICATES
    samples = round_up(training.program, samples or DEFAULT_SAMPLES)
    ticks = training.schedule.steps + 1
    steps = Steps(progress, ticks * (replicates + seeds * len(chosen)))
    program = replace(training.program, source=compiled.program.source)
    options = TrainOptions(samples, False, "lazy", DEFAULT_TOLERANCE, seed)
    found = guarded(
        program, lambda: train_many(training, options, replicates, threads, steps.advance(ticks * replicates))
    )
    measured = guarded(program, lambda: Measured(training).single(found))
    finite = {
        width: guarded(program, lambda width=width: train_finite(  # type: ignore[misc]
            training, width, seeds, seed, threads, steps.advance(ticks * seeds)))
        for width in chosen
    }  # fmt: skip
    agreement = compare(flat(measured), finite, samples, level, _exponents(training, measured))
    names = [
        f"{name} at step {step}"
        for shown, values in zip(training.shows, measured, strict=True)
        for step in training.schedule.records
        for one in shown.names
        for name in value_names(one, values.shape[2 + len(shown.indices) :])
    ]
    method = f"trained in the limit: {replicates} replicates of {samples} samples, tolerance {DEFAULT_TOLERANCE:g}"
    how = f"networks trained: {seeds} seeds at each of the widths {', '.join(map(str, chosen))}"
    return Verification(
        **heading(compiled), seed=seed, agreement=agreement, names=tuple(names), methods=(method,) * len(names),
        notes=(*divergence(training, found), how, *training.regime.reasons, *pole_notes(program)), seconds=time.perf_counter() - start,
    )  # fmt: skip


def _exponents(training: "Training", measured: Sequence[np.ndarray]) -> np.ndarray:
    """Of every compared value, s where its mean over networks is a series in n^-s.

    That is 1/n for averages, the squares of what moves among them. In a kernel regime features move by n^-r, and the size
    of the move, a root of such a square, is a series in n^-r, of which it is the first term.
    """
    moves = training.regime.r
    found = []
    for shown, values in zip(training.shows, measured, strict=True):
        sizes = moves is not None and moves > 0 and any(m.function == "feature_change" for m in shown.measures)
        found.append(np.full(values[0].size, float(moves) if sizes and moves is not None else 1.0))
    return np.concatenate(found)


def check_widths(program: Program, widths: Sequence[int] | None) -> tuple[int, ...]:
    """The widths of a comparison, in order. Raises TplError on too few, and on impossible ones."""
    chosen = tuple(sorted(set(widths or DEFAULT_WIDTHS)))
    problem = None
    if len(chosen) < 2:
        problem = "a comparison needs two widths or more"
    elif chosen[0] < 2 or chosen[-1] > MAX_WIDTH:
        problem = f"widths must lie between 2 and {MAX_WIDTH:,}"
    if problem is not None:
        raise TplError(program.source, [Diagnostic(None, problem, "for instance --widths 64,128,256,512")])
    return chosen
