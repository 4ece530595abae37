"""The names of a show's axes, and the labels along them, from what was asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tpl.language import syntax as s
from tpl.language import training_words as words
from tpl.language.source import Source
from tpl.report.labelled import Label

Floats = NDArray[np.float64]

RANGES = {"accuracy": (0.0, 1.0), "test_accuracy": (0.0, 1.0)}  # beyond which a measure cannot be
NOT_NEGATIVE = (*words.OF_GRAMS, "feature_change", "rms")
KERNELS = ("nngp", "ntk")
STEP = "step"


def band_of(name: str, value: Floats, error: Floats) -> tuple[Floats, Floats]:
    """The ends of the band of two errors about the values of a show, no further than what the show can be."""
    word = name.partition("(")[0].strip()
    least, most = RANGES.get(word, (0.0 if word in NOT_NEGATIVE else -np.inf, np.inf))
    low, high = np.maximum(value - 2 * error, least), np.minimum(value + 2 * error, most)
    return np.minimum(low, value), np.maximum(high, value)


def axes_of(
    name: str,
    shape: tuple[int, ...],
    steps: Sequence[int] = (),
    taken: Sequence[str] = (),
    known: Sequence[tuple[str, tuple[int, ...]]] = (),
) -> tuple[tuple[str, ...], dict[str, tuple[Label, ...]]]:
    """Names and labels of the axes of a show.

    Along training the first is `step`. A kernel over X has `X` and `X′`, a list by `for i in 2..5` has `i`, both labelled as
    in the program; others are `axis_1`, … taken: names that other axes have already. known: names and labels of all axes but
    the steps, where whoever gave the numbers tells them; an empty name is none.
    """
    first: list[tuple[str, tuple[Label, ...]]] = [(STEP, tuple(steps))] if steps else []
    own = shape[len(first) :]
    unnamed = (f"axis_{i}" for i in range(1, len(known) + 1))
    named = [(dim or next(unnamed), labels) for dim, labels in known] or _named(name, own)
    found = [*first, *(named or [(f"axis_{i}", _count(size)) for i, size in enumerate(own, 1)])]
    coords: dict[str, tuple[Label, ...]] = {}
    for dim, labels in found:
        while dim in coords or dim in taken:
            dim += "′"
        coords[dim] = labels
    return tuple(coords), coords


def _count(size: int, start: int = 1) -> tuple[Label, ...]:
    return tuple(range(start, start + size))


def _named(name: str, shape: tuple[int, ...]) -> list[tuple[str, tuple[Label, ...]]] | None:
    """Axes by what is shown; None if that does not tell all of them."""
    item = _item(name)
    if isinstance(item, s.Comprehension):
        inner = shape[len(item.clauses) :]
        starts = [int(c.start.value) if isinstance(c.start, s.Number) else 1 for c in item.clauses]
        outer = [(c.variable, _count(size, start)) for c, size, start in zip(item.clauses, shape, starts, strict=False)]
        rest = [(f"axis_{i}", _count(size)) for i, size in enumerate(inner, 1)]
        return [*outer, *rest] if len(outer) == len(item.clauses) else None
    if isinstance(item, s.Call) and item.function in KERNELS and len(shape) == 2:
        names = [x.name for x in item.arguments[1:] if isinstance(x, s.Name)]
        if len(names) == 1:
            return [(names[0], _count(shape[0])), (f"{names[0]}′", _count(shape[1]))]
    return None


def _item(name: str) -> s.Expr | None:
    """The expression that was shown under a name."""
    from tpl.language.parse import parse

    file, problems, _ = parse(Source(f"show {name}"))
    shows = [x for x in file.statements if isinstance(x, s.Show)]
    return shows[0].items[0] if not problems and len(shows) == 1 and len(shows[0].items) == 1 else None
