"""What can be asked of a compiled program: its cost, its limit, its agreement with finite networks."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tpl.core.elaborate import Limits
from tpl.core.expr import leaves
from tpl.core.program import Program, classify
from tpl.data import Dataset
from tpl.language.source import Diagnostic, Source, TplError, nearest
from tpl.pipeline import Compiled, compile_program
from tpl.report.results import CheckReport, Result, Run, ShowShape, Verification, value_names
from tpl.sampling.errors import MemoryRefused, NumericalError

if TYPE_CHECKING:
    from tpl.limit.derive import Derivation
    from tpl.numeric.edge import Axis
    from tpl.report.derivation import DerivationReport
    from tpl.report.explanation import ExplanationReport
    from tpl.report.phase import Phase

Progress = Callable[[int, int], None]
T = TypeVar("T")

DEFAULT_WIDTHS = (64, 128, 256, 512, 1024)
DEFAULT_SEEDS = 40
MAX_WIDTH = 2**24
SHORT_LAW = 3_000  # lines and expectations up to which `run` takes the law without being told
EDGE_ROWS, EDGE_COLUMNS = 9, 29  # of the search for the edge of chaos
MAX_GRID, MAX_AXIS = 400, 1e6
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


@dataclass(frozen=True)
class RunOptions:
    """How the limit is to be computed.

    method: "law" evaluates the symbolic law, each expectation by the first strategy that takes it; "mc" does by compiled
    Monte Carlo whatever is no plain number; "sample" samples the limit of the program itself; "auto" takes kernels by
    pairs, then the law if it is short, then samples. samples: M of the sampled limit, or points of an expectation; rtol:
    the relative error at which Monte Carlo stops; reduction: "none", "antithetic" or "quasi".
    """

    method: str = "auto"
    samples: int | None = None
    replicates: int | None = None
    seed: int = 0
    threads: int | None = None
    gradient_independence: bool = False
    rtol: float | None = None
    reduction: str = "none"

    @property
    def exact(self) -> bool:
        """May exact ways be tried before sampling?"""
        asked = self.samples is not None or self.replicates is not None or self.gradient_independence
        return self.method == "auto" and not asked


def run_limit(
    compiled: Compiled, limits: Limits, options: RunOptions | None = None, progress: Progress | None = None
) -> Run:
    """The limit of everything that is shown. Raises TplError for values that are not finite, or have no limit, and for
    runs beyond the limits."""
    options = options or RunOptions()
    if options.exact:
        found = run_pairs(compiled, compiled.inputs, limits, options, progress)
        found = found or _run_law(compiled, options, SHORT_LAW)
        if found is not None:
            return found
    if options.method in ("law", "mc"):
        found = _run_law(compiled, options, None)
        assert found is not None
        return found
    return _run_sampled(compiled, limits, options, progress)


def _run_law(compiled: Compiled, options: RunOptions, most: int | None) -> Run | None:
    """The law in numbers; None if it has more than `most` expectations."""
    from tpl.limit.algebra import NoLaw
    from tpl.limit.calculus import TooLong
    from tpl.limit.law import Law
    from tpl.numeric.evaluate import evaluate_law
    from tpl.numeric.strategies import Sampling
    from tpl.sampling.estimate import available_threads

    start = time.perf_counter()
    program = compiled.program
    if most is not None and len(program.lines) > most:
        return None
    sampling = Sampling(
        options.rtol, options.samples, options.method == "mc", options.reduction, options.threads or available_threads()
    )
    try:
        law = Law(program, most=most)
        lines = [line for shown in program.shows for line in shown.lines]
        found = evaluate_law(law, lines, seed=options.seed, sampling=sampling)
    except TooLong:
        return None
    except NoLaw as problem:
        hint = "`--method sample` gives what samples of it come to"
        raise TplError(program.source, [Diagnostic(None, f"there is no limit: {problem}", hint)]) from None
    results, first = [], 0
    for shown in program.shows:
        part = slice(first, first + len(shown.lines))
        value, error = (x[part].reshape(shown.shape) for x in (found.value, found.error))
        results.append(Result(shown.name, value, error, found.method, shown.span))
        first += len(shown.lines)
    return Run(
        **_heading(compiled), seed=options.seed, results=tuple(results), notes=found.notes, plan=found.plan,
        seconds=time.perf_counter() - start,
    )  # fmt: skip


def _run_sampled(compiled: Compiled, limits: Limits, options: RunOptions, progress: Progress | None) -> Run:
    """The limit, sampled."""
    from tpl.sampling.estimate import summarise

    start = time.perf_counter()
    values, method = _limit_replicates(
        compiled.program, limits, options.samples, options.replicates, options.seed, options.threads,
        options.gradient_independence, progress,
    )  # fmt: skip
    estimates = summarise(compiled.program, values, method)
    results = tuple(
        Result(shown.name, e.value, e.error, e.method, shown.span)
        for shown, e in zip(compiled.program.shows, estimates, strict=True)
    )
    notes = [_INDEPENDENCE] if options.gradient_independence else []
    notes += _heavy_tails(compiled.program, values)
    seconds = time.perf_counter() - start
    return Run(**_heading(compiled), seed=options.seed, results=results, notes=tuple(notes), seconds=seconds)


def run_pairs(
    compiled: Compiled, inputs: Mapping[str, Dataset], limits: Limits, options: RunOptions, progress: Progress | None
) -> Run | None:
    """A program that shows kernels over data, input by input; None where that does not answer."""
    from tpl.kernels import kernels_of_run, shown_kernels
    from tpl.numeric.pairwise_law import NotPairwise

    start = time.perf_counter()
    if None in shown_kernels(compiled):
        return None
    try:
        found, plan = kernels_of_run(compiled, limits, inputs, threads=options.threads, progress=progress)
        shows = compiled.program.shows
        results = tuple(Result(x.name, *answer, x.span) for x, answer in zip(shows, found, strict=True))
    except (NotPairwise, ValueError):
        return None
    heading = _heading(replace(compiled, inputs=dict(inputs)))
    return Run(**heading, seed=options.seed, results=results, plan=plan, seconds=time.perf_counter() - start)


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
) -> "DerivationReport | ExplanationReport":
    """The limit as equations: of networks for any two inputs and any depth, of bare programs as they stand.

    Between kernels where that is short, between random variables where it is not.
    """
    from tpl.limit.derive import TooLong
    from tpl.report.derivation import DerivationReport

    try:
        return DerivationReport(_kernel_form(source, settings, limits, compiled))
    except TooLong:
        return replace(explain_limit(source, data, settings, limits, compiled), equations_only=True)


def _kernel_form(source: Source, settings: Sequence[str], limits: Limits, compiled: Compiled) -> "Derivation":
    """Equations between kernels. Raises TooLong."""
    from tpl.limit.derive import derive, plan_generic

    plan = plan_generic(compiled.file, {name: x.array.shape for name, x in compiled.inputs.items()})
    if plan is None:
        return derive(compiled.program, compiled.file, None)
    kept = [x for x in settings if x.split("=")[0].strip() not in {p.split("=")[0] for p in plan.settings}]
    generic = compile_program(source, plan.data, [*kept, *plan.settings], limits, plan.rows, name_all=True)
    return derive(generic.program, generic.file, plan, generic.introduced)


def explain_limit(
    source: Source, data: Mapping[str, Any] | None, settings: Sequence[str], limits: Limits, compiled: Compiled
) -> "ExplanationReport":
    """What every line becomes and why, of networks for any two inputs."""
    from tpl.limit.derive import plan_generic
    from tpl.limit.explain import explain
    from tpl.report.explanation import ExplanationReport

    plan = plan_generic(compiled.file, {name: x.array.shape for name, x in compiled.inputs.items()})
    if plan is None:
        return ExplanationReport(explain(compiled.program, compiled.file, source, None, _law_numbers))
    kept = [x for x in settings if x.split("=")[0].strip() not in {p.split("=")[0] for p in plan.settings}]
    generic = compile_program(source, plan.data, [*kept, *plan.settings], limits, plan.rows)
    return ExplanationReport(explain(generic.program, generic.file, source, plan))


def phase_diagram(
    source: Source,
    data: Mapping[str, Any] | None,
    settings: Sequence[str],
    limits: Limits,
    compiled: Compiled,
    x: str | None = None,
    y: str | None = None,
    grid: int = 40,
) -> "Phase":
    """Fixed points of the recursion over layers, and where nearby inputs neither meet nor part.

    x, y: constants and their ranges, `sigma_w=0.5..4`; without them sigma_w and sigma_b, if there are any. Raises
    TplError for programs without such a recursion.
    """
    from tpl.limit.step import NoStep, find_step
    from tpl.numeric.depth import Layer
    from tpl.numeric.edge import PlaneMaps, find_edge, find_plane
    from tpl.numeric.fixed_points import Maps, find_dynamics
    from tpl.report.phase import Edge, Phase

    start = time.perf_counter()
    program = compiled.program
    try:
        step = find_step(_kernel_form(source, settings, limits, compiled))
        layer = Layer(step)
        used = _reachable(step.constants, program)
        axes = _axes(program, used, x, y, grid)
        dynamics = find_dynamics(Maps(layer, program.constants, {}))
        edge = None
        if axes:
            across = axes[0].resampled(EDGE_COLUMNS)
            along = axes[1].resampled(EDGE_ROWS) if axes[1:] else None
            maps = PlaneMaps(layer, program.constants, axes[0].name, axes[1].name if axes[1:] else None)
            edge = Edge(across, along, find_edge(maps, find_plane(maps, across, along)))
    except NoStep as problem:
        hint = "a network whose loop `for l in 2..L` makes each layer from the one before, such as `tpl phase mlp`"
        message = (
            f"there is no map from one layer's kernel to the next: {problem or 'its kernels follow no short recursion'}"
        )
        raise TplError(program.source, [Diagnostic(None, message, hint)]) from None

    def draw() -> Any:
        if not axes:
            raise ValueError("the recursion has no constant to draw it over")
        return find_plane(maps, axes[0], axes[1] if axes[1:] else None)

    values = program.constant_values()
    return Phase(
        **_heading(compiled), kernel=step.base, activation=step.activation, constants={name: values[name] for name in step.constants},
        dynamics=dynamics, edge=edge, draw_plane=draw, seconds=time.perf_counter() - start,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- parts


def _law_numbers(law: Any, values: Sequence[Any]) -> list[tuple[float, float] | None]:
    """Values of a law and their errors; None where there is no number."""
    from copy import copy

    from tpl.limit.algebra import NoLaw
    from tpl.numeric.evaluate import evaluate_law

    asked = copy(law)
    asked.scalars = dict(enumerate(values))
    try:
        found = evaluate_law(asked, list(asked.scalars))
    except NoLaw:
        return [None] * len(values)
    return list(zip(map(float, found.value), map(float, found.error), strict=True))


_INDEPENDENCE = "W.T is taken as independent of W in the limit: an assumption, wrong in general"


def _reachable(names: Sequence[str], program: Program) -> tuple[str, ...]:
    """The constants that some constants are made of, themselves included."""
    found: dict[str, None] = {}
    stack = list(reversed(names))
    while stack:
        name = stack.pop()
        if name in program.constants and name not in found:
            found[name] = None
            stack.extend(str(v) for v in leaves(program.constants[name], "symbol"))
    return tuple(found)


def _axes(program: Program, used: Sequence[str], x: str | None, y: str | None, grid: int) -> "tuple[Axis, ...]":
    """The constants to vary: given ones, or sigma_w and sigma_b."""
    if not 2 <= grid <= MAX_GRID:
        raise TplError(program.source, [Diagnostic(None, f"--grid {grid}: it must lie between 2 and {MAX_GRID}")])
    if x is None and "sigma_w" in used and not (y or "").startswith("sigma_w"):
        x = "sigma_w=0.5..4"
    if y is None and "sigma_b" in used and not (x or "").startswith("sigma_b"):
        y = "sigma_b=0..2"
    if x is None:
        x, y = y, None
    if x is not None and y is not None and x.partition("=")[0].strip() == y.partition("=")[0].strip():
        raise TplError(program.source, [Diagnostic(None, "the two axes must be two different constants")])
    return tuple(_axis(program, used, text, grid) for text in (x, y) if text is not None)


def _axis(program: Program, used: Sequence[str], text: str, grid: int) -> "Axis":
    """Read `sigma_w=0.5..4`; a name alone stands for half to twice its value."""
    from tpl.numeric.edge import Axis

    name, _, bounds = (part.strip() for part in text.partition("="))
    if name not in used:
        close = nearest(name, used)
        hint = f"did you mean `{close}`?" if close else f"it depends on {', '.join(f'`{u}`' for u in used) or 'none'}"
        raise TplError(program.source, [Diagnostic(None, f"the recursion depends on no constant `{name}`", hint)])
    value = program.constant_values()[name]
    try:
        low, high = (float(b) for b in bounds.split("..")) if bounds else ((value / 2, 2 * value) if value else (0, 1))
        if not (np.isfinite([low, high]).all() and abs(low) < MAX_AXIS and abs(high) < MAX_AXIS and low < high):
            raise ValueError
    except ValueError:
        hint = f"for instance `{name}=0.5..4`"
        raise TplError(program.source, [Diagnostic(None, f"`{text}` is no range of a constant", hint)]) from None
    return Axis(name, np.linspace(low, high, grid + 1))


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
