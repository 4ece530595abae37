"""What has no limit, as a message that points at the user's text."""

from collections.abc import Iterator
from contextlib import contextmanager

from tpl.core.wording import named
from tpl.language.source import Diagnostic, Source, TplError
from tpl.limit.algebra import NoExpectation, NoLaw
from tpl.limit.jumps import UnsettledJump

_FLUCTUATES = "at any finite width the sign of its argument is that of a fluctuation around 0"
_SAMPLES = "`tpl run --method sample` gives what samples of it come to"


@contextmanager
def no_limit_reported(source: Source) -> Iterator[None]:
    """Raises TplError for NoLaw. source: the text that the lines of the program come from."""
    try:
        yield
    except NoLaw as problem:
        raise TplError(source, [_diagnosed(problem)]) from None


_HEAVY = "samples of it would not settle either; divide by what has no zero: `1/(1 + z^2)` is fine"


def _diagnosed(problem: NoLaw) -> Diagnostic:
    if isinstance(problem, NoExpectation) and problem.line is not None:
        return Diagnostic(problem.line.origin.span, f"{named(problem.line)} has no limit: {problem.message}", _HEAVY)
    hint = _FLUCTUATES if isinstance(problem, UnsettledJump) else _SAMPLES
    if problem.line is None:
        return Diagnostic(None, f"there is no limit: {problem.message}", hint)
    return Diagnostic(problem.line.origin.span, f"{named(problem.line)} has no limit: {problem.message}", hint)
