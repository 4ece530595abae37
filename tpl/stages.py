"""What can be asked of a compiled program: its cost, its limit, its agreement with finite networks."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tpl.core.elaborate import Limits
from tpl.core.program import Program, classify
from tpl.data import Dataset
from tpl.language.source import Diagnostic, Source, TplError
from tpl.pipeline import Compiled, compile_program
from tpl.report.results import CheckReport, Result, Run, ShowShape, Verification, value_names
from tpl.sampling.errors import MemoryRefused, NumericalError

if TYPE_CHECKING:
    from tpl.report.derivation import DerivationReport

Progress = Callable[[int, int], None]
T = TypeVar("T")

DEFAULT_WIDTHS = (64, 128, 256, 512, 1024)
DEFAULT_SEEDS = 40
MAX_WIDTH = 2**24
DOMINANT = 0.75  # of the squared spread of 8 replicates or more: less than once in 10^5 for Gaussian ones


def check_report(
    compiled: Compiled, samples: int | None = None, replicates: int | None = None, threads: int | None = None
) -> CheckReport:
    """Class and counts of a program; memory and time of a run with these options."""
    from tpl.sampling.cost import estimate_cost
    from tpl.sampling.estimate import DEFAULT_REPLICATES, DEFAULT_SAMPLES, available_threads

    program = compiled.program
    ops = Counter(line.op for line in program.lines)
    cost = estimate_cost(
        program, samples or DEFAULT_SAMPLES, replicates or DEFAULT_REPLICATES, threads or available_threads()
    )
    return CheckReport(
        **_heading(compiled),
        lines=len(program.lines),
        matrices=ops["matrix"],
        products=ops["matmul"] + ops["input"],
        nonlinearities=ops["map"],
        moments=ops["moment"],
        outputs=ops["output"],
        memory_bytes=cost.memory_bytes,
        seconds=cost.seconds,
        shows=tuple(ShowShape(x.name, x.shape) for x in program.shows),
    )


def run_limit(
    compiled: Compiled,
    limits: Limits,
    samples: int | None = None,
    replicates: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    gradient_independence: bool = False,
    progress: Progress | None = None,
    method: str = "auto",
) -> Run:
    """Kernels by pairs, where they say it all and nothing is asked of sampling; else sample the limit.

    Raises TplError for values that are not finite and for runs beyond the limits.
    """
    from tpl.sampling.estimate import summarise

    start = time.perf_counter()
    if method == "auto" and samples is None and replicates is None and not gradient_independence:
        found = run_pairs(compiled, compiled.inputs, limits, seed, threads, progress)
        if found is not None:
            return found
    values, method = _limit_replicates(
        compiled.program, limits, samples, replicates, seed, threads, gradient_independence, progress
    )
    estimates = summarise(compiled.program, values, method)
    results = tuple(
        Result(shown.name, e.value, e.error, e.method, shown.span)
        for shown, e in zip(compiled.program.shows, estimates, strict=True)
    )
    notes = [_INDEPENDENCE] if gradient_independence else []
    notes += _heavy_tails(compiled.program, values)
    seconds = time.perf_counter() - start
    return Run(**_heading(compiled), seed=seed, results=results, notes=tuple(notes), seconds=seconds)


def run_pairs(
    compiled: Compiled, inputs: Mapping[str, Dataset], limits: Limits, seed: int, threads: int | None,
    progress: Progress | None,
) -> Run | None:  # fmt: skip
    """A program that shows kernels over data, input by input; None where that does not answer."""
    from tpl.kernels import kernels_of_run, shown_kernels
    from tpl.numeric.pairwise_law import NotPairwise

    start = time.perf_counter()
    if None in shown_kernels(compiled):
        return None
    try:
        found = kernels_of_run(compiled, limits, inputs, threads=threads, progress=progress)
        shows = compiled.program.shows
        results = tuple(Result(x.name, *answer, x.span) for x, answer in zip(shows, found, strict=True))
    except (NotPairwise, ValueError):
        return None
    heading = _heading(replace(compiled, inputs=dict(inputs)))
    return Run(**heading, seed=seed, results=results, seconds=time.perf_counter() - start)


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
    program, chosen = compiled.program, _check_widths(compiled.program, widths)
    seeds, replicates = seeds or DEFAULT_SEEDS, replicates or DEFAULT_REPLICATES
    samples = round_up(program, samples or DEFAULT_SAMPLES)
    schedule = make_schedule(program)
    steps = _Steps(progress, replicates + seeds * len(chosen))
    limit, method = _limit_replicates(
        program, limits, samples, replicates, seed, threads, gradient_independence, steps.advance(replicates), schedule
    )
    finite, lazily = {}, []
    for width in chosen:
        finite[width], how = _guarded(program, lambda width=width: sample_finite(  # type: ignore[misc]
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
    notes = (how, *((_INDEPENDENCE,) if gradient_independence else ()))
    return Verification(
        **_heading(compiled), seed=seed, agreement=agreement, names=names, methods=(method,) * len(names), notes=notes,
        seconds=time.perf_counter() - start,
    )  # fmt: skip


def derive_limit(
    source: Source, data: Mapping[str, Any] | None, settings: Sequence[str], limits: Limits, compiled: Compiled
) -> "DerivationReport":
    """The limit as equations: of networks for any two inputs and any depth, of bare programs as they stand."""
    from tpl.limit.derive import derive, plan_generic
    from tpl.report.derivation import DerivationReport

    plan = plan_generic(compiled.file, {name: x.array.shape for name, x in compiled.inputs.items()})
    if plan is None:
        return DerivationReport(derive(compiled.program, compiled.file, None))
    kept = [x for x in settings if x.split("=")[0].strip() not in {p.split("=")[0] for p in plan.settings}]
    generic = compile_program(source, plan.data, [*kept, *plan.settings], limits, plan.rows)
    return DerivationReport(derive(generic.program, generic.file, plan))


# ---------------------------------------------------------------------------------------------- parts

_INDEPENDENCE = "W.T is taken as independent of W in the limit: an assumption, wrong in general"


def _heading(compiled: Compiled) -> dict:
    program = compiled.program
    return {
        "title": program.title.splitlines()[0] if program.title else "",
        "program_name": program.source.name,
        "program_class": classify(program).value,
        "inputs": tuple(f"{name}: {x.description}" for name, x in compiled.inputs.items()),
    }


def _limit_replicates(
    program: Program,
    limits: Limits,
    samples: int | None,
    replicates: int | None,
    seed: int,
    threads: int | None,
    independent: bool,
    progress: Progress | None,
    schedule: Any = None,
) -> tuple[np.ndarray, str]:
    """The limit's independent replicates, [replicates, values], and their method."""
    from tpl.sampling.estimate import DEFAULT_REPLICATES, DEFAULT_SAMPLES, limit_replicates

    return _guarded(
        program,
        lambda: limit_replicates(
            program,
            samples=samples or DEFAULT_SAMPLES,
            replicates=replicates or DEFAULT_REPLICATES,
            seed=seed,
            threads=threads,
            gradient_independence=independent,
            max_memory=limits.max_memory,
            schedule=schedule,
            progress=progress,
        ),
    )


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


def _guarded(program: Program, work: Callable[[], T]) -> T:
    """Run a simulation; say where in the user's text a number went wrong."""
    try:
        return work()
    except NumericalError as problem:
        line = program.lines[problem.line]
        what = f"`{line.name}`" if not line.name.startswith("_") else "this"
        derived = f" (in the {line.origin.derived})" if line.origin.derived else ""
        hint = "does the expectation exist? look for division by zero, logarithms, and growth like exp(x^2)"
        raise TplError(
            program.source, [Diagnostic(line.origin.span, f"{what}{derived}: {problem.message}", hint)]
        ) from None
    except MemoryRefused as problem:
        hint = "use fewer --samples or --threads, or raise --max-memory"
        raise TplError(program.source, [Diagnostic(None, f"the run {problem}", hint)]) from None


def _check_widths(program: Program, widths: Sequence[int] | None) -> tuple[int, ...]:
    chosen = tuple(sorted(set(widths or DEFAULT_WIDTHS)))
    problem = None
    if len(chosen) < 2:
        problem = "a comparison needs two widths or more"
    elif chosen[0] < 2 or chosen[-1] > MAX_WIDTH:
        problem = f"widths must lie between 2 and {MAX_WIDTH:,}"
    if problem is not None:
        raise TplError(program.source, [Diagnostic(None, problem, "for instance --widths 64,128,256,512")])
    return chosen


class _Steps:
    """One progress over several simulations."""

    def __init__(self, progress: Progress | None, total: int):
        self._progress = progress
        self._total = total
        self._before = 0

    def advance(self, steps: int) -> Progress | None:
        """The progress of the next simulation, of so many steps."""
        if self._progress is None:
            return None
        report, before = self._progress, self._before
        self._before += steps
        return lambda done, _: report(before + done, self._total)
