"""`tpl run`: the limit in numbers, by pairs of inputs, by the law, or sampled."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tpl.core.elaborate import Limits
from tpl.core.program import Program
from tpl.data import Dataset
from tpl.language.source import Diagnostic, TplError
from tpl.pipeline import Compiled
from tpl.report.results import Result, Run
from tpl.stages.common import Progress, heading
from tpl.stages.means import output_means
from tpl.stages.simulate import INDEPENDENCE, pole_notes, simulated_limit

if TYPE_CHECKING:
    from tpl.numeric.evaluate import Evaluation
    from tpl.numeric.families import Steps
    from tpl.numeric.strategies import Sampling

SHORT_LAW = 3_000  # lines and expectations up to which `run` takes the law without being told
MANY_SAMPLED = 300  # moments in four and more dimensions, which the law would sample too, one by one
MUCH_LONGER = 4.0  # than sampling the program: what sweeps may take, whose errors are two to three times smaller
DOMINANT = 0.75  # of the squared spread of 8 replicates or more: less than once in 10^5 for Gaussian ones


@dataclass(frozen=True)
class RunOptions:
    """How the limit is to be computed.

    method: "law" evaluates the symbolic law, each expectation by the first strategy that takes it; "mc" does by compiled
    Monte Carlo whatever is no plain number; "sample" samples the limit of the program itself; "auto" takes kernels by
    pairs, then the law if it is short, then samples. samples: M of the sampled limit, or points of an expectation; rtol:
    the relative error at which Monte Carlo stops; reduction: "none", "antithetic" or "quasi".

    Of training: tolerance, of rank truncation; dtype, of vectors, "float64" or "float32"; checkpoint, a folder that
    replicates are kept in on their way, and resumed from.
    """

    method: str = "auto"
    samples: int | None = None
    replicates: int | None = None
    seed: int = 0
    threads: int | None = None
    gradient_independence: bool = False
    rtol: float | None = None
    reduction: str = "none"
    tolerance: float | None = None
    dtype: str = "float64"
    checkpoint: str | Path | None = None

    @property
    def exact(self) -> bool:
        """May exact ways be tried before sampling?"""
        asked = self.samples is not None or self.replicates is not None or self.gradient_independence
        return self.method == "auto" and not asked


def run_limit(
    compiled: Compiled, limits: Limits, options: RunOptions | None = None, progress: Progress | None = None
) -> Run:
    """The limit of everything that is shown, and means of outputs whose covariance is. Raises TplError for values that are
    not finite, or have no limit, and for runs beyond the limits."""
    options = options or RunOptions()
    _refuse_without_use(compiled.program, options)
    if compiled.program.training is not None:
        return _run_training(compiled, limits, options, progress)
    return _with_means(compiled, _run_shows(compiled, limits, options, progress))


def _refuse_without_use(program: Program, options: RunOptions) -> None:
    """Raise TplError for options that would say nothing of this program."""
    problem = hint = None
    if program.training is None:
        asked = {"checkpoint": options.checkpoint is not None, "tolerance": options.tolerance is not None,
                 "dtype": options.dtype != "float64"}  # fmt: skip
        problem = next(
            (f"`{x}` is for programs that train, and this one has no `train` block" for x in asked if asked[x]), None
        )
    elif options.method in ("law", "mc") and not program.shows:
        problem = (
            f"`method` {options.method}: the limit of a training is sampled step by step, and has no law in formulas"
        )
        hint = "leave it out; `samples` and `replicates` make the errors smaller"
    if problem is not None:
        raise TplError(program.source, [Diagnostic(None, problem, hint)])


def _with_means(compiled: Compiled, run: Run) -> Run:
    means = output_means(compiled.program, run.results)
    return replace(run, results=(*run.results, *means)) if means else run


def _run_training(compiled: Compiled, limits: Limits, options: RunOptions, progress: Progress | None) -> Run:
    """What is shown of the training, and what else is shown, in the program's order."""
    from tpl.stages.train import train_limit

    start = time.perf_counter()
    results, notes = train_limit(compiled, limits, options, progress)
    plain = replace(compiled, program=replace(compiled.program, training=None))
    others = (
        _run_shows(plain, limits, replace(options, samples=None, replicates=None), None)
        if plain.program.shows
        else None
    )
    if others is not None:
        results, notes = [*results, *others.results], [*notes, *others.notes]
    ordered = sorted(results, key=lambda r: r.span or (0, 0, 0, 0))
    return Run(**heading(compiled), seed=options.seed, results=tuple(ordered), notes=tuple(dict.fromkeys(notes)),
               seconds=time.perf_counter() - start, plan=others.plan if others is not None else ())  # fmt: skip


def _run_shows(compiled: Compiled, limits: Limits, options: RunOptions, progress: Progress | None) -> Run:
    return run_law(compiled, limits, options, progress) or _run_sampled(compiled, limits, options, progress)


def run_law(compiled: Compiled, limits: Limits, options: RunOptions, progress: Progress | None = None) -> Run | None:
    """The limit by its law, without simulating the program; None where sampling is asked for, or does better."""
    if options.exact or options.method in ("law", "mc"):
        _refuse_undefined(compiled.program)
    found = None
    if options.exact:
        found = _run_by_pairs(compiled, compiled.inputs, limits, options, progress)
    if found is None and (options.exact or options.method in ("law", "mc")):
        found = _run_short_law(compiled, options) or (None if options.exact else _run_law(compiled, options, None))
    return found


def _refuse_undefined(program: Program) -> None:
    from tpl.limit.refusal import no_limit_reported
    from tpl.numeric.existence import refuse_undefined

    with no_limit_reported(program.source):
        refuse_undefined(program)


def _run_law(compiled: Compiled, options: RunOptions, most: int | None) -> Run | None:
    """The law in numbers; None if it has more than `most` expectations."""
    from tpl.limit.calculus import TooLong
    from tpl.limit.law import Law
    from tpl.limit.refusal import no_limit_reported
    from tpl.numeric.evaluate import evaluate_law

    start = time.perf_counter()
    program = compiled.program
    if most is not None and len(program.lines) > most:
        return None
    try:
        with no_limit_reported(program.source):
            law = Law(program, most=most)
            found = evaluate_law(law, _shown_lines(program), seed=options.seed, sampling=_sampling(options))
    except TooLong:
        return None
    return _law_run(compiled, options, found, start)


def _run_short_law(compiled: Compiled, options: RunOptions) -> Run | None:
    """The law written out where it is short, else in waves, else in sweeps; in sweeps first where it would be sampled
    in either way."""
    from tpl.numeric.families import plan_sweeps
    from tpl.numeric.series import Declined

    if len(compiled.program.lines) > SHORT_LAW and _sampling(options).only_if_needed:
        found = _run_waves(compiled, options)
        if found is not None:
            return found
    steps = plan_sweeps(compiled.program, _shown_lines(compiled.program))
    if isinstance(steps, Declined):
        return _run_law(compiled, options, SHORT_LAW)
    if steps.moments_in_many_dimensions() > MANY_SAMPLED:
        return _run_sweeps(compiled, steps, options) or _run_law(compiled, options, SHORT_LAW)
    return _run_law(compiled, options, SHORT_LAW) or _run_sweeps(compiled, steps, options)


def _run_waves(compiled: Compiled, options: RunOptions) -> Run | None:
    """The law in waves; None where that is no way."""
    from tpl.numeric.series import Declined
    from tpl.numeric.wave_law import evaluate_waves

    start = time.perf_counter()
    found = evaluate_waves(compiled.program, _shown_lines(compiled.program))
    return None if isinstance(found, Declined) else _law_run(compiled, options, found, start)


def _run_sweeps(compiled: Compiled, steps: "Steps", options: RunOptions) -> Run | None:
    """The law sweep by sweep; None where that is no way, or takes much longer than sampling the program would."""
    from tpl.limit.refusal import no_limit_reported
    from tpl.numeric.family_law import evaluate_families, predicted_seconds
    from tpl.numeric.series import Declined
    from tpl.sampling.cost import estimate_cost
    from tpl.sampling.estimate import DEFAULT_REPLICATES, DEFAULT_SAMPLES

    start = time.perf_counter()
    program = compiled.program
    if options.exact:
        sampling = estimate_cost(program, DEFAULT_SAMPLES, DEFAULT_REPLICATES, threads=1).seconds
        if predicted_seconds(steps) > MUCH_LONGER * sampling:
            return None
    with no_limit_reported(program.source):
        found = evaluate_families(program, steps, _shown_lines(program), options.seed, _sampling(options))
    return None if isinstance(found, Declined) else _law_run(compiled, options, found, start)


def _shown_lines(program: Program) -> list[int]:
    return [line for shown in program.shows for line in shown.lines]


def _sampling(options: RunOptions) -> "Sampling":
    """What is asked of expectations that are sampled."""
    from tpl.numeric.strategies import Sampling
    from tpl.sampling.estimate import available_threads

    threads = options.threads or available_threads()
    return Sampling(options.rtol, options.samples, options.method == "mc", options.reduction, threads)


def _law_run(compiled: Compiled, options: RunOptions, found: "Evaluation", start: float) -> Run:
    """An evaluation of all that is shown, as results."""
    program = compiled.program
    results, first = [], 0
    for shown in program.shows:
        part = slice(first, first + len(shown.lines))
        value, error = (x[part].reshape(shown.shape) for x in (found.value, found.error))
        results.append(Result(shown.name, value, error, found.method, shown.span))
        first += len(shown.lines)
    return Run(
        **heading(compiled), seed=options.seed, results=tuple(results), notes=found.notes, plan=found.plan,
        seconds=time.perf_counter() - start,
    )  # fmt: skip


def _run_sampled(compiled: Compiled, limits: Limits, options: RunOptions, progress: Progress | None) -> Run:
    """The limit, sampled."""
    from tpl.sampling.estimate import summarise

    start = time.perf_counter()
    values, method = simulated_limit(
        compiled.program, limits, options.samples, options.replicates, options.seed, options.threads,
        options.gradient_independence, progress,
    )  # fmt: skip
    estimates = summarise(compiled.program, values, method)
    results = tuple(
        Result(shown.name, e.value, e.error, e.method, shown.span)
        for shown, e in zip(compiled.program.shows, estimates, strict=True)
    )
    notes = [INDEPENDENCE] if options.gradient_independence else []
    notes += [*pole_notes(compiled.program), *_heavy_tails(compiled.program, values)]
    seconds = time.perf_counter() - start
    return Run(**heading(compiled), seed=options.seed, results=results, notes=tuple(notes), seconds=seconds)


def run_pairs(
    compiled: Compiled, inputs: Mapping[str, Dataset], limits: Limits, options: RunOptions, progress: Progress | None
) -> Run | None:
    """A program that shows kernels over data, input by input; None where that does not answer."""
    _refuse_undefined(compiled.program)
    found = _run_by_pairs(compiled, inputs, limits, options, progress)
    return found and _with_means(compiled, found)


def _run_by_pairs(
    compiled: Compiled, inputs: Mapping[str, Dataset], limits: Limits, options: RunOptions, progress: Progress | None
) -> Run | None:
    from tpl.kernels import kernels_of_run, shown_kernels
    from tpl.numeric.pairwise_law import NotPairwise

    start = time.perf_counter()
    if None in shown_kernels(compiled):
        return None
    try:
        found, plan = kernels_of_run(compiled, limits, inputs, threads=options.threads, progress=progress)
        shows = compiled.program.shows
        _refuse_too_large(compiled.program, [answer[0] for answer in found])
        results = tuple(Result(x.name, *answer, x.span) for x, answer in zip(shows, found, strict=True))
    except (NotPairwise, ValueError):
        return None
    whole = replace(compiled, inputs=dict(inputs))
    return Run(**heading(whole), seed=options.seed, results=results, plan=plan, seconds=time.perf_counter() - start)


def _refuse_too_large(program: Program, values: list[np.ndarray]) -> None:
    """Raises TplError for a show that has infinite numbers: none of an expectation that exists comes from elsewhere."""
    from tpl.limit.algebra import TooLarge
    from tpl.limit.refusal import no_limit_reported

    for shown, value in zip(program.shows, values, strict=True):
        if np.isinf(value).any():
            with no_limit_reported(program.source):
                raise TooLarge(f"some numbers of {shown.name} are beyond 1.8e308", program.lines[shown.lines[0]])


def _heavy_tails(program: Program, values: np.ndarray) -> list[str]:
    """A note for shows in which one replicate makes up nearly all of the spread: their expectation may not exist."""
    if len(values) < 8:
        return []
    squares = (values - values.mean(axis=0)) ** 2
    share = squares.max(axis=0) / np.maximum(squares.sum(axis=0), np.finfo(float).tiny)
    notes, start = [], 0
    for shown in program.shows:
        stop = start + len(shown.lines)
        if np.any(share[start:stop] > DOMINANT):
            notes.append(f"{shown.name}: one replicate makes up most of the spread; the expectation may not exist")
        start = stop
    return notes
