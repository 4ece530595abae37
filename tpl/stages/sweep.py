"""A program over settings: every combination run, and their answers put together as labelled arrays."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from tpl.language.source import Diagnostic, Source, TplError
from tpl.report.axes import axes_of
from tpl.report.labelled import Label, Labelled, label_text
from tpl.report.results import Result, Run
from tpl.report.sweep import Failure, Sweep
from tpl.stages.common import Progress

MOST_POINTS = 100_000
MOST_NAMED = 4  # points before a note


def read_sweep(source: Source, texts: Sequence[str]) -> dict[str, tuple[Label, ...]]:
    """Settings and their values as a command line gives them.

    `sigma_w=1,1.5,2` lists them, `L=1..5` are whole numbers with both ends, `sigma_w=0.5..2:4` four numbers evenly apart.
    Raises TplError for anything else, and for a name given twice.
    """
    swept: dict[str, tuple[Label, ...]] = {}
    for text in texts:
        name, _, values = (x.strip() for x in text.partition("="))
        found = _values(values)
        if not name or not found or name in swept:
            what = f"`{name}` is swept twice" if name in swept else f"`{text}` does not say what is swept"
            raise TplError(source, [Diagnostic(None, what, "`sigma_w=1,1.5,2`, `L=1..5` or `sigma_w=0.5..2:4`")])
        swept[name] = found
    return swept


def _values(text: str) -> tuple[Label, ...]:
    """The values that a text lists; none if it cannot be read."""
    found = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", text)
    if found is not None:
        low, high = int(found[1]), int(found[2])
        return tuple(range(low, high + 1)) if high - low < MOST_POINTS else ()
    found = re.fullmatch(r"([^:]+?)\.\.([^:]+):(\d{1,5})", text)
    if found is not None:
        first, last = _label(found[1]), _label(found[2])
        if isinstance(first, str) or isinstance(last, str):
            return ()
        return tuple(np.linspace(first, last, int(found[3])).tolist())
    return tuple(_label(x) for x in _listed(text))


def _listed(text: str) -> list[str]:
    """The parts between commas outside of brackets; none if one is empty."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [x.strip() for x in parts] if all(x.strip() for x in parts) else []


def _label(text: str) -> Label:
    """A number if it reads so, else an expression of the language."""
    text = text.strip()
    if re.fullmatch(r"-?\d{1,15}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", text) else text


def sweep_settings(
    source: Source,
    swept: Mapping[str, Sequence[Label]],
    run: Callable[[dict[str, Label]], Run],
    progress: Progress | None = None,
) -> Sweep:
    """Run every combination of settings, the last one changing fastest.

    A point without an answer has NaN in its place, and its reason is kept. Raises TplError where no point has one, and for
    settings without values or too many of them.
    """
    start = time.perf_counter()
    labels = {name: tuple(map(_plain, values)) for name, values in swept.items()}
    total = _count(source, labels)
    runs: dict[tuple[int, ...], Run] = {}
    failed: dict[tuple[int, ...], TplError] = {}
    for done, place in enumerate(product(*(range(len(x)) for x in labels.values())), 1):
        try:
            runs[place] = run(_settings(labels, place))
        except TplError as error:
            failed[place] = error
        if progress is not None:
            progress(done, total)
    if not runs:
        raise next(iter(failed.values()))
    reasons = {place: error.diagnostics[0].message for place, error in failed.items()}
    first = next(iter(runs.values()))
    notes = tuple(_notes({place: x.notes for place, x in runs.items()}, labels))
    return Sweep(
        first.title, first.program_name, first.seed, labels,
        tuple(
            _joined(source, labels, {place: x.results[i] for place, x in runs.items()}, reasons)
            for i in range(len(first))
        ),
        tuple(Failure(_settings(labels, place), reason) for place, reason in reasons.items()), notes,
        time.perf_counter() - start,
    )  # fmt: skip


def _notes(notes: Mapping[tuple[int, ...], Sequence[str]], labels: Mapping[str, Sequence[Label]]) -> Iterator[str]:
    """Notes on all points as they are; others with the points that they are on, as `sigma_w = 1; sigma_w = 2: …`."""
    points: dict[str, list[tuple[int, ...]]] = {}
    for place, found in notes.items():
        for note in dict.fromkeys(found):
            points.setdefault(note, []).append(place)
    for note, places in points.items():
        if len(places) == len(notes):
            yield note
            continue
        named = [", ".join(f"{k} = {label_text(x)}" for k, x in _settings(labels, p).items()) for p in places]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        yield f"{'; '.join(named[:MOST_NAMED])}{more}: {note}"


def _plain(value: Label) -> Label:
    """numpy's numbers as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _count(source: Source, labels: Mapping[str, Sequence[Label]]) -> int:
    total = int(np.prod([float(len(x)) for x in labels.values()]))
    empty = next((name for name, values in labels.items() if not values), None)
    message = (
        "nothing is swept" if not labels
        else f"`{empty}` has no values" if empty is not None
        else f"this sweep has {total:,} points; at most {MOST_POINTS:,} are run" if total > MOST_POINTS
        else None
    )  # fmt: skip
    if message is not None:
        raise TplError(source, [Diagnostic(None, message, "for instance `sweep(sigma_w=[1.0, 1.5, 2.0])`")])
    return total


def _settings(labels: Mapping[str, Sequence[Label]], place: tuple[int, ...]) -> dict[str, Label]:
    return {name: values[i] for (name, values), i in zip(labels.items(), place, strict=True)}


def _joined(
    source: Source,
    labels: Mapping[str, tuple[Label, ...]],
    results: Mapping[tuple[int, ...], Result],
    reasons: Mapping[tuple[int, ...], str],
) -> Labelled:
    """One show's results over all points. Where its size depends on a setting, the places that a point lacks are NaN."""
    names, first = tuple(labels), next(iter(results.values()))
    axes = [axes_of(x.name, x.shape, x.steps, names, x.axes) for x in results.values()]
    if len({dims for dims, _ in axes}) > 1:
        raise TplError(source, [Diagnostic(first.span, f"`{first.name}` has not the same axes at all points")])
    longest = _longest([coords for _, coords in axes])
    outer = tuple(len(x) for x in labels.values())
    shape = (*outer, *(len(x) for x in longest.values()))
    value, error = np.full(shape, np.nan), np.full(shape, np.nan)
    methods, why = np.full(outer, "", dtype=object), np.full(outer, "", dtype=object)
    for place, result in results.items():
        dims, coords = axes_of(result.name, result.shape, result.steps, names, result.axes)
        inside: tuple[Any, ...] = np.ix_(*([longest[dim].index(x) for x in coords[dim]] for dim in dims))
        value[*place, *inside], error[*place, *inside] = result.value, result.error
        methods[place] = result.method
    for place, reason in reasons.items():
        why[place] = reason
    coords = {**labels, **longest}
    return Labelled(first.name, tuple(coords), coords, value, error, methods.astype(str), why.astype(str))


def _longest(axes: Sequence[Mapping[str, tuple[Label, ...]]]) -> dict[str, tuple[Label, ...]]:
    """Axes that hold the labels of all points, in order."""
    labels = {dim: {x: None for coords in axes for x in coords[dim]} for dim in axes[0]}
    return {dim: tuple(sorted(x)) for dim, x in labels.items()}  # type: ignore[type-var]
