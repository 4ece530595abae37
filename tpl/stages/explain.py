"""`tpl explain`: all that can be said of a program, gathered for one page.

Every part may decline with a reason, which the page then states: a limit that does not exist, no short recursion, a run
beyond the limits.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tpl.core.elaborate import Limits
from tpl.data import Dataset
from tpl.language.source import Source, TplError
from tpl.pipeline import Compiled
from tpl.report.results import Run, Verification
from tpl.stages.common import Progress

if TYPE_CHECKING:
    from tpl.report.derivation import DerivationReport
    from tpl.report.explanation import ExplanationReport
    from tpl.report.page import ExplainPage

T = TypeVar("T")
Few = tuple[Compiled, dict[str, Dataset]]
Effort = tuple[tuple[int, ...] | None, int | None, int | None, int | None]

# Widths, networks a width, and samples and replicates of the limit, where not the usual ones of `verify`. Eigenvalues of
# what is learned follow powers of 1/n only from widths far beyond the number of inputs.
TRAINED: Effort = ((256, 512, 1024, 2048), 8, 8192, 8)
QUICK: Effort = ((64, 128, 256), 12, 2048, 8)
QUICK_TRAINED: Effort = ((128, 256, 512), 8, 2048, 8)
EQUATIONS, NUMBERS, ALL = 100, 400, 1000  # of the progress, where parts end


@dataclass(frozen=True)
class ExplainOptions:
    """verify: compare with finite networks. quick: fewer samples, widths and seeds. widths, seeds: of the networks."""

    seed: int = 0
    verify: bool = True
    quick: bool = False
    widths: tuple[int, ...] | None = None
    seeds: int | None = None
    threads: int | None = None

    def said(self) -> dict[str, Any]:
        """What differs from the defaults, but for what results do not depend on."""
        given = {
            "seed": self.seed,
            "verify": self.verify,
            "quick": self.quick,
            "widths": self.widths,
            "seeds": self.seeds,
        }
        usual = ExplainOptions()
        return {k: list(v) if isinstance(v, tuple) else v for k, v in given.items() if v != getattr(usual, k)}


@dataclass
class Gathered:
    """Parts on their way to the page, and why some are missing."""

    guard: Callable[[], AbstractContextManager[None]]
    missing: dict[str, str] = field(default_factory=dict)

    def part(self, name: str, work: Callable[[], T], timed: bool = False) -> T | None:
        """The part, or None with the reason kept."""
        from tpl.limit.algebra import NoLaw
        from tpl.limit.calculus import TooLong

        try:
            with self.guard() if timed else nullcontext():
                return work()
        except TplError as problem:
            self.missing[name] = "\n".join(_said(problem))
        except TooLong:
            self.missing[name] = "There is no short recursion between kernels; the equations line by line say it all."
        except NoLaw as problem:
            self.missing[name] = f"There is no law: {problem}."
        except MemoryError:
            self.missing[name] = "This did not fit in memory."
        return None


def explain_page(
    source: Source,
    data: Mapping[str, Any] | None,
    settings: Sequence[str],
    limits: Limits,
    compiled: Compiled,
    few: Few | None = None,
    options: ExplainOptions = ExplainOptions(),
    progress: Progress | None = None,
    guard: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> "ExplainPage":
    """Explain a program. few: with the first of many inputs, and all of them, as `compiled_for_few` has it.

    guard: a limit of time on each of the two derivations. Raises TplError only where options are wrong.
    """
    from tpl.limit.uses import uses
    from tpl.report.page import ExplainPage, Recipe
    from tpl.report.page_program import Listing
    from tpl.stages.check import check_report
    from tpl.stages.derive import explain_limit
    from tpl.stages.verify import check_widths

    found, program = Gathered(guard), compiled.program
    check_widths(program, options.widths)
    explanation = found.part("explanation", lambda: explain_limit(source, settings, limits, compiled), True)
    derivation = found.part("derivation", lambda: _derivation(source, settings, limits, compiled), True)
    run = found.part("run", lambda: _run(compiled, few, limits, options, _between(progress, EQUATIONS, NUMBERS)))
    verification = _verified(found, compiled, limits, options, _between(progress, NUMBERS, ALL))
    inputs = few[1] if few is not None else compiled.inputs
    listing = Listing(
        program.source, compiled.file, program.constant_values(), {name: x.description for name, x in inputs.items()}
    )
    lines = program.title.strip().splitlines()
    notes = [f"Networks were compared on the first {len(next(iter(compiled.inputs.values())).array)} inputs alone."
             ] if few is not None and verification is not None else []  # fmt: skip
    return ExplainPage(
        title=lines[0] if lines else program.source.name, about=_paragraphs(lines[1:]), seed=options.seed,
        listing=listing, uses=uses(compiled.file, program.source), check=check_report(compiled),
        explanation=explanation, derivation=derivation, run=run, verification=verification, missing=found.missing,
        recipe=Recipe(dict(data or {}), tuple(settings), options.said()), notes=tuple(notes),
    )  # fmt: skip


def _derivation(
    source: Source, settings: Sequence[str], limits: Limits, compiled: Compiled
) -> "DerivationReport | None":
    """Equations between kernels; None where a training's explanation has said it all. Raises TooLong."""
    from tpl.report.derivation import DerivationReport
    from tpl.stages.derive import derive_training, kernel_form

    if compiled.program.training is None:
        return DerivationReport(kernel_form(source, settings, limits, compiled))
    found: DerivationReport | ExplanationReport = derive_training(limits, compiled)
    return found if isinstance(found, DerivationReport) else None


def _run(
    compiled: Compiled, few: Few | None, limits: Limits, options: ExplainOptions, progress: Progress | None
) -> Run:
    from tpl.stages.run import RunOptions, run_limit, run_pairs

    chosen = RunOptions(seed=options.seed, threads=options.threads)
    if few is not None:
        found = run_pairs(*few, limits, chosen, progress)
        if found is not None:
            return found
    if options.quick and compiled.program.training is not None:
        chosen = RunOptions(
            seed=options.seed, threads=options.threads, samples=QUICK_TRAINED[2], replicates=QUICK_TRAINED[3]
        )
    return run_limit(compiled, limits, chosen, progress)


def _verified(
    found: Gathered, compiled: Compiled, limits: Limits, options: ExplainOptions, progress: Progress | None
) -> Verification | None:
    from tpl.stages.verify import verify_limit

    if not options.verify:
        found.missing["verification"] = "Left out, as asked for."
        return None
    trained = compiled.program.training is not None
    usual: Effort = TRAINED if trained else (None, None, None, None)
    widths, seeds, samples, replicates = (QUICK_TRAINED if trained else QUICK) if options.quick else usual
    return found.part(
        "verification",
        lambda: verify_limit(
            compiled, limits, options.widths or widths, options.seeds or seeds, samples=samples, replicates=replicates,
            seed=options.seed, threads=options.threads, progress=progress,
        ),
    )  # fmt: skip


def _said(problem: TplError) -> list[str]:
    """Diagnostics as sentences."""
    found = []
    for x in problem.diagnostics:
        where = f"line {problem.source.place(x.span.line)[1]}: " if x.span is not None else ""
        found.append(f"{where}{x.message}." + (f" ({x.hint})" if x.hint else ""))
    return found


def _paragraphs(lines: Sequence[str]) -> tuple[str, ...]:
    """The rest of a docstring."""
    return tuple(x.strip("\n") for x in "\n".join(lines).split("\n\n") if x.strip())


def _between(progress: Progress | None, start: int, stop: int) -> Progress | None:
    """The progress of a part that leads from start to stop."""
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(start + (stop - start) * done // max(total, 1), ALL)
