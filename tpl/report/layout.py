"""What terminal tables and notebook tables share: numbers with errors as text, and which part of an array to show."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tpl.report.results import Result, Verification
    from tpl.sampling.agreement import Agreement

Floats = NDArray[np.float64]

WHOLE = 8  # a matrix up to this size is shown whole
CORNER = 6  # rows and columns shown of a larger one
MOST_NUMBERS = WHOLE * WHOLE
MOST_ROWS = 24  # of a verification


def compact(value: float, error: float, digits: int = 2) -> str:
    """0.6057(12) for 0.6057 +- 0.0012: so many digits of the error in brackets.

    Errors below the eighth digit of the value (the sixth with digits=1) are left out; they would not show.
    """
    significant = 4 + 2 * digits
    top = max(abs(value), error)
    if error < abs(value) * 10.0**-significant or top == 0:
        return f"{value:.{significant}g}"
    if 1e-4 <= top < 1e6:
        return _bracketed(value, error, digits)
    exponent = math.floor(math.log10(top))
    return f"{_bracketed(value / 10.0**exponent, error / 10.0**exponent, digits)}e{exponent:+03d}"


def _bracketed(value: float, error: float, digits: int) -> str:
    if error == 0:
        return f"{value:.{4 + 2 * digits}g}"
    # The rounded error decides: 0.0996 with one digit is 0.1, not 0.10.
    leading = int(f"{error:.{digits - 1}e}".split("e")[1])
    places = max(0, digits - 1 - leading)
    text = f"{error:.{places}f}"
    within = text if places and error >= 1 else text.replace(".", "").lstrip("0")
    shown = f"{value:.{places}f}"
    return f"{shown.removeprefix('-') if float(shown) == 0 else shown}({within})"


def rough(x: float) -> str:
    """Two digits, for errors and probabilities."""
    return f"{x:.2g}"


def _short(x: float) -> str:
    return f"{x:.0f}" if x >= 9.95 else f"{x:.1f}"


def bytes_text(count: float) -> str:
    """1536 -> 1.5 KiB."""
    if count < 1024:
        return f"{count:.0f} B"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = min(len(units), int(math.log(count, 1024)))
    return f"{_short(count / 1024.0**power)} {units[power - 1]}"


def seconds_text(seconds: float) -> str:
    """A duration as one would say it."""
    if seconds < 1e-3:
        return "under 1 ms"
    if seconds < 1:
        return f"{_short(seconds * 1e3)} ms"
    if seconds < 120:
        return f"{_short(seconds)} s"
    return f"{_short(seconds / 60)} min" if seconds < 7200 else f"{_short(seconds / 3600)} h"


def shape_text(shape: tuple[int, ...]) -> str:
    """(4, 4) -> 4x4; nothing for one number."""
    return "x".join(map(str, shape))


def count_text(count: int, noun: str, plural: str = "") -> str:
    """1 value, 2 values."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def plain(text: str) -> str:
    """Text of unknown origin on one line, without control characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of prose that do not break within `name = value`."""
    lines = textwrap.wrap(text.replace(" = ", "\u00a0=\u00a0"), width, break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines]


def exactness(result: "Result") -> str:
    """The largest error of an array, in words."""
    largest = float(result.error.max(initial=0.0))
    return f"error at most {rough(largest)}" if largest else "exact"


class Cell(NamedTuple):
    value: float
    error: float


class Grid(NamedTuple):
    """A piece of an array as a table; None stands where numbers are left out."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]

    def texts(self, digits: int = 2) -> list[list[str]]:
        """Rows of text, the row's label first."""
        return [[label, *("..." if c is None else compact(*c, digits) for c in cells)] for label, cells in self.rows]


def grids(
    value: Floats, error: Floats, wrap: int = WHOLE, labels: Sequence[Sequence[str]] = ()
) -> tuple[list[Grid], bool]:
    """An array of any dimension as tables, and whether they show all of it. wrap: numbers in a row of a vector.

    labels: along every axis of an array of matrices; without them places are counted from 1.
    """
    if value.ndim <= 1:
        return _vector_grid(np.atleast_1d(value), np.atleast_1d(error), wrap)
    labels = labels or [[str(i + 1) for i in range(size)] for size in value.shape]
    slices = list(np.ndindex(value.shape[:-2]))
    per_slice = max(1, value.shape[-2] * value.shape[-1])
    shown = slices[: max(1, MOST_NUMBERS // per_slice)]
    rows, columns = _kept(value.shape[-2]), _kept(value.shape[-1])
    out = []
    for index in shown:
        caption = f"[{', '.join(x[i] for x, i in zip(labels, index, strict=False))}, :, :]" if index else ""
        out.append(_matrix_grid(caption, value[index], error[index], (rows, columns), labels[-2:]))
    return out, len(shown) == len(slices) and None not in rows and None not in columns


def _kept(size: int) -> list[int | None]:
    return list(range(size)) if size <= WHOLE else [*range(CORNER), None]


def _matrix_grid(
    caption: str,
    value: Floats,
    error: Floats,
    kept: tuple[list[int | None], list[int | None]],
    labels: Sequence[Sequence[str]],
) -> Grid:
    rows, columns = kept

    def cell(i: int | None, j: int | None) -> Cell | None:
        return None if i is None or j is None else Cell(float(value[i, j]), float(error[i, j]))

    body = tuple((label_at(labels[0], i), tuple(cell(i, j) for j in columns)) for i in rows)
    return Grid(caption, tuple(label_at(labels[1], j) for j in columns), body)


def label_at(labels: Sequence[str], place: int | None) -> str:
    """The label of a place, or dots where places are left out."""
    return "..." if place is None else labels[place]


def joined_labels(labels: Sequence[Sequence[str]]) -> list[str]:
    """Labels of all places of an array, row-major: `0`, or `0, 1` where there are several axes longer than one place."""
    telling = [x for x in labels if len(x) > 1]
    return [", ".join(x) for x in product(*telling)]


def _vector_grid(value: Floats, error: Floats, wrap: int) -> tuple[list[Grid], bool]:
    """A vector wrapped into rows: all of it, or its first sixteen and last eight numbers."""
    whole = len(value) <= MOST_NUMBERS
    pieces = [(0, len(value))] if whole else [(0, 2 * WHOLE), (len(value) - WHOLE, len(value))]
    rows: list[tuple[str, tuple[Cell | None, ...]]] = []
    for begin, end in pieces:
        rows += [("...", ())] if begin else []
        for start in range(begin, end, wrap):
            stop = min(start + wrap, end)
            label = f"{start + 1}-{stop}" if stop - start > 1 else f"{stop}"
            rows.append((label, tuple(Cell(float(value[i]), float(error[i])) for i in range(start, stop))))
    return [Grid("", (), tuple(rows))], whole


def telling_values(agreement: "Agreement", most: int = MOST_ROWS) -> list[int]:
    """The distinct values to list: all, or those with the largest |z|; in their own order."""
    distinct = np.flatnonzero(agreement.distinct)
    if len(distinct) > most:
        by_size = np.argsort(-np.abs(agreement.z[distinct]), kind="stable")
        distinct = np.sort(distinct[by_size[:most]])
    return [int(i) for i in distinct]


def verdict(verification: "Verification") -> str:
    """The comparison in one sentence."""
    agreement = verification.agreement
    count = count_text(int(np.count_nonzero(agreement.distinct)), "distinct value")
    failed = int(np.count_nonzero(agreement.distinct & ~agreement.ok))
    rule = f"family-wise level {agreement.level:g}, Holm-Bonferroni over {count_text(agreement.comparisons, 'test')}"
    if failed == 0 and verification.apart:
        return f"DISAGREES: limit and extrapolated networks agree, but the numbers of `tpl run` are others ({rule})"
    if failed == 0:
        return f"agrees: limit and extrapolated networks, {count} ({rule})"
    return f"DISAGREES: {failed} of {count} ({rule})"


def remarks(agreement: "Agreement") -> Iterator[str]:
    """What else a reader of the comparison should know."""
    if agreement.rate is not None:
        slope, error, _ = agreement.rate
        yield f"RMS deviation of the networks from the limit: n^{compact(slope, error)}; fluctuations give n^-0.5"
    unlisted = int(np.count_nonzero(agreement.distinct)) - len(telling_values(agreement))
    if unlisted > 0:
        listed = np.zeros(len(agreement.ok), bool)
        listed[telling_values(agreement)] = True
        failed = int(np.count_nonzero(agreement.distinct & ~agreement.ok & ~listed))
        others = f"{failed} of them disagree" if failed else "all of them agree"
        yield f"{count_text(unlisted, 'other value')} with smaller |z| not listed; {others}"
    duplicates = int(np.count_nonzero(~agreement.distinct))
    if duplicates:
        yield f"{count_text(duplicates, 'entry', 'entries')} equal to a listed one (symmetry) not repeated"
    for exponent in np.unique(agreement.exponents[agreement.exponents != 1]):
        some = count_text(int(np.count_nonzero(agreement.exponents == exponent)), "value")
        yield f"{some} (sizes of what moves like n^-{exponent:.3g}) extrapolated in powers of n^-{exponent:.3g}, not of 1/n"
    misfits = int(np.count_nonzero(agreement.misfit & agreement.distinct))
    if misfits:
        powers = "1/n" if agreement.coefficients.shape[1] == 2 else "1/n and 1/n^2"
        yield (
            f"{count_text(misfits, 'value')} (marked *) not fitted by powers {powers}: "
            "the error of the extrapolation is widened; use wider networks"
        )
