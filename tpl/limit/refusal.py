"""What has no limit, as a message that points at the user's text."""

from collections.abc import Iterator
from contextlib import contextmanager

from tpl.core.wording import named
from tpl.language.source import Diagnostic, Source, TplError
from tpl.limit.algebra import NoExpectation, NoLaw, NoNumber, NotReal, TooLarge
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


_ONE_WIDTH = "samples of it would be those of one width, where averages still fluctuate around their limits"
_REAL = "take it of what has one sign: `log(1 + z^2)`, `sqrt(abs(z))`, `abs(z)^(1/3)` are fine"
_SCALE = "the limit exists, but doubles end at 1.8e308: multiply by a small number before the power or exponential"


def _diagnosed(problem: NoLaw) -> Diagnostic:
    what = "the limit" if problem.line is None else named(problem.line)
    place = None if problem.line is None else problem.line.origin.span
    if isinstance(problem, TooLarge):
        return Diagnostic(place, f"{what} is too large for a double: {problem.message}", _SCALE)
    said = (
        f"there is no limit: {problem.message}" if problem.line is None else f"{what} has no limit: {problem.message}"
    )
    return Diagnostic(place, said, _hint(problem))


def _hint(problem: NoLaw) -> str:
    if isinstance(problem, NotReal):
        return _REAL
    if isinstance(problem, NoNumber):
        return _ONE_WIDTH
    if isinstance(problem, NoExpectation) and problem.line is not None:
        return _HEAVY
    return _FLUCTUATES if isinstance(problem, UnsettledJump) else _SAMPLES
