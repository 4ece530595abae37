"""The numbers that a caller may choose, and what they may be: one table for the command line and for Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from tpl.language.source import Diagnostic, Source, TplError


@dataclass(frozen=True)
class Bounds:
    """From `low` to `high`, if there is one, both included; whole numbers unless `real`."""

    low: float
    high: float | None = None
    real: bool = False

    def holds(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Real if self.real else Integral):
            return False
        return self.low <= value and (self.high is None or value <= self.high)  # type: ignore[operator]

    def __str__(self) -> str:
        kind = "a number" if self.real else "a whole number"
        return f"{kind} of at least {self.low:g}" if self.high is None else f"{kind} from {self.low:g} to {self.high:g}"


BOUNDS = {
    "seed": Bounds(0),
    "samples": Bounds(1),
    "replicates": Bounds(2),
    "threads": Bounds(1),
    "seeds": Bounds(2),
    "rtol": Bounds(1e-12, 1.0, real=True),
    "tolerance": Bounds(1e-12, 0.5, real=True),
    "level": Bounds(1e-12, 0.5, real=True),
}
WIDTH = Bounds(1)


def within(name: str) -> dict[str, Any]:
    """The bounds of an option as the command line's parser takes them."""
    found = BOUNDS[name]
    return {"min": found.low, "max": found.high}


def check_options(source: Source, given: Mapping[str, Any]) -> None:
    """Raise TplError for numbers that are none of those allowed, all of them at once. None is a default."""
    wrong = [(n, x) for n, x in given.items() if x is not None and not BOUNDS[n].holds(x)]
    if wrong:
        raise TplError(
            source, [Diagnostic(None, f"{n}={x!r} is out of range", f"{n} is {BOUNDS[n]}") for n, x in wrong]
        )


def checked_widths(source: Source, widths: Any) -> tuple[int, ...] | None:
    """Widths as a tuple, None as it is. Raises TplError for anything but whole numbers."""
    if widths is None:
        return None
    listed = hasattr(widths, "__iter__") and not isinstance(widths, str)
    found = tuple(widths) if listed else ()
    if not found or not all(WIDTH.holds(w) for w in found):
        hint = "widths are a list of whole numbers: widths=[64, 128, 256]"
        raise TplError(source, [Diagnostic(None, f"widths={widths!r} are no widths", hint)])
    return tuple(int(w) for w in found)
