"""Simulations of a program, the limit's and those of finite networks, with what goes wrong in them as messages."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from tpl.core.elaborate import Limits
from tpl.core.expr import ZERO, divisors, half_defined
from tpl.core.program import Program
from tpl.core.wording import named
from tpl.language.source import Diagnostic, TplError
from tpl.sampling.errors import MemoryRefused, NoValue, NumericalError
from tpl.stages.common import Progress

T = TypeVar("T")

SHORT = 200  # lines and expectations of a law that is found only to look for jumps
INDEPENDENCE = "W.T is taken as independent of W in the limit: an assumption, wrong in general"


def simulated_limit(
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

    _refuse_unreal(program)
    if not independent:
        refuse_unsettled_jumps(program)
    return guarded(
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


def _refuse_unreal(program: Program) -> None:
    """Raises TplError where some coordinates have no real value: those drawn might all have one."""
    if not any(any(half_defined(x)) for x in program.expressions()):
        return  # most programs, without sympy's import
    from tpl.limit.refusal import no_limit_reported
    from tpl.numeric.existence import refuse_unreal

    with no_limit_reported(program.source):
        refuse_unreal(program)


def refuse_unsettled_jumps(program: Program) -> None:
    """Raises TplError where the argument of a jump tends to it, as far as a short law shows that.

    Samples would be of one width, not of the limit. Only what averages feed can tend to a number.
    """
    fed: set[int] = set()
    for i, line in enumerate(program.lines):
        if line.op == "moment" or not fed.isdisjoint(line.args):
            fed.add(i)
    if not fed:
        return
    from tpl.limit.algebra import NoLaw
    from tpl.limit.calculus import TooLong
    from tpl.limit.jumps import UnsettledJump, jumps
    from tpl.limit.law import Law
    from tpl.limit.refusal import no_limit_reported

    suspects = [i for i in fed if not fed.isdisjoint(program.lines[i].args) and jumps(program.lines[i].expr or ZERO)]
    stop = max(suspects, default=-1) + 1
    if not 0 < stop <= SHORT:
        return
    with no_limit_reported(program.source):
        try:
            Law(replace(program, lines=program.lines[:stop], shows=()), most=SHORT)
        except UnsettledJump:
            raise
        except (NoLaw, TooLong):
            return


def pole_notes(program: Program) -> tuple[str, ...]:
    """A note on a program that takes an expectation which is certain not to exist."""
    if not any(any(divisors(x)) for x in program.expressions()):
        return ()  # most programs, without sympy's import
    from tpl.numeric.poles import certain_pole

    found = certain_pole(program)
    if found is None:
        return ()
    row = found.line.origin.span[0] if found.line.origin.span is not None else None
    where = f"line {row}" if row is not None else named(found.line)
    return (f"{where}: {found}; samples of it do not settle",)


def guarded(program: Program, work: Callable[[], T]) -> T:
    """Run a simulation, or evaluate its measures; say where in the user's text a number went wrong."""
    try:
        return work()
    except NumericalError as problem:
        line = program.lines[problem.line]
        hint = "does the expectation exist? look for division by zero, logarithms, and growth like exp(x^2)"
        if problem.step:
            hint = "training diverges, or something has no expectation: try a smaller rate"
        found = Diagnostic(line.origin.span, f"{named(line)}: {problem.message}", hint)
    except NoValue as problem:
        hint = "what is zero at the start has no relative change; `rms` shows how large it becomes"
        found = Diagnostic(problem.span, problem.message, hint if "feature_change" in problem.name else None)
    except MemoryRefused as problem:
        found = Diagnostic(None, f"the run {problem}", "use fewer --samples or --threads, or raise --max-memory")
    raise TplError(program.source, [found])
