"""Matrices as heat maps: one colour a number, a legend, and every number with its error on hover."""

from collections.abc import Iterator, Sequence

import numpy as np

from tpl.report.layout import Floats, compact
from tpl.report.results import Result
from tpl.report.svg import Picture, text, words

LARGEST = 40  # rows and columns drawn of a larger matrix
NUMBERED = 8  # up to this size numbers stand in the cells
SIDE, CELL = 328.0, 46.0  # of a whole map; of a cell with a number in it
MOST_SLICES = 4
MOST_LETTERS = 6  # of a number in a cell

# From light to dark, so that it reads in grey as well; and for matrices of both signs from one dark through light to another.
_RAMP = ("#fbf6d9", "#cfe3b4", "#8cc8ad", "#4aa0a5", "#2f6f93", "#2b4077", "#251c4a")
_SIGNED = ("#123b6d", "#3c78b4", "#9cc2e2", "#f4f3f1", "#efb08f", "#c75f3d", "#7a1f1a")


def draw_matrix(result: Result) -> list[Picture]:
    """A map of a matrix; of an array of matrices its first ones, along training those of the first and the last step.

    None for other shapes, and none for what is empty.
    """
    value, error = result.value, result.error
    if value.ndim < 2 + bool(result.steps) or 0 in value.shape or max(value.shape[-2:]) < 2:
        return []
    if result.steps and not result.square:  # vectors a step
        return []
    kept, found = _slices(result), []
    limits = min(float(value[i].min()) for i in kept), max(float(value[i].max()) for i in kept)
    for index in kept:
        place = index[1:] if result.steps else index
        name = result.name + (
            f"[{', '.join(x[i] for x, i in zip(result.labels, place, strict=False))}, ·, ·]" if place else ""
        )
        name += f", step {result.steps[index[0]]}" if result.steps else ""
        found.append(_map(name, value[index], error[index], limits))
    return found


def _slices(result: Result) -> list[tuple[int, ...]]:
    """Which matrices of an array are drawn."""
    if not result.steps:
        return list(np.ndindex(result.shape[:-2]))[:MOST_SLICES]
    others = list(np.ndindex(result.shape[1:-2]))[: MOST_SLICES // 2]
    ends = dict.fromkeys((0, len(result.steps) - 1))
    return [(step, *place) for place in others for step in ends]


def left_out(result: Result) -> str:
    """What the maps of a result do not show; nothing if they show all of it."""
    if result.steps or len(result.shape) < 2:
        return ""
    rows, columns = result.shape[-2:]
    slices = int(np.prod(result.shape[:-2])) if len(result.shape) > 2 else 1
    said = []
    if slices > MOST_SLICES:
        said.append(f"the first {MOST_SLICES} of {slices} matrices")
    if max(rows, columns) > LARGEST:
        said.append(f"the first {min(rows, LARGEST)} of {rows} rows and {min(columns, LARGEST)} of {columns} columns")
    return f"{result.name}: drawn are {' and '.join(said)}" if said else ""


def _map(name: str, value: Floats, error: Floats, limits: tuple[float, float]) -> Picture:
    rows, columns = (min(n, LARGEST) for n in value.shape)
    side = CELL if max(rows, columns) <= NUMBERED else SIDE / max(rows, columns)
    left, top = 26.0, 34.0
    right, bottom = left + columns * side, top + rows * side
    parts = [text(0, 15, name, "strong"), *_labels(rows, columns, side, (left, top))]
    for i in range(rows):
        for j in range(columns):
            parts.append(_cell((i, j), float(value[i, j]), float(error[i, j]), side, (left, top), limits))
    parts += _legend(limits, right + 16, top, bottom)
    signs = f"from {limits[0]:.4g} to {limits[1]:.4g}"
    label = f"Heat map of {name}, {value.shape[0]} by {value.shape[1]}, values {signs}"
    return Picture("".join(parts), max(right + 92, 7.2 * len(name)), bottom + 10, label)


def _labels(rows: int, columns: int, side: float, corner: tuple[float, float]) -> Iterator[str]:
    left, top = corner
    step = max(1, int(np.ceil(20 / side)))
    for j in range(0, columns, step):
        yield text(left + (j + 0.5) * side, top - 5, str(j + 1), "soft", "middle")
    for i in range(0, rows, step):
        yield text(left - 6, top + (i + 0.5) * side + 4, str(i + 1), "soft", "end")


def _cell(
    place: tuple[int, int], value: float, error: float, side: float, corner: tuple[float, float],
    limits: tuple[float, float],
) -> str:  # fmt: skip
    x, y = corner[0] + place[1] * side, corner[1] + place[0] * side
    colour = _colour(value, limits)
    title = f"<title>{place[0] + 1}, {place[1] + 1}: {words(compact(value, error))}</title>"
    box = f"<rect x='{x:.1f}' y='{y:.1f}' width='{side:.1f}' height='{side:.1f}' fill='{_hex(colour)}'>{title}</rect>"
    if side < CELL:
        return box
    dark = "#ffffff" if _luminance(colour) < 0.22 else "#111111"
    number = text(
        x + side / 2, y + side / 2 + 4, _short(value), "", "middle", f" style='fill:{dark};pointer-events:none'"
    )
    return box + number


def _short(value: float) -> str:
    """As many of three digits as there is room for in a cell."""
    written = ""
    for digits in (3, 2, 1):
        written = f"{value:.{digits}g}"
        if "e" in written:
            mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
            written = f"{mantissa}e{int(exponent)}"
        if len(written) <= MOST_LETTERS:
            break
    return written.replace("-", "−")


def _legend(limits: tuple[float, float], x: float, top: float, bottom: float) -> Iterator[str]:
    count = 24
    height = (bottom - top) / count
    low, high = limits
    for i in range(count):
        value = high - (high - low) * (i + 0.5) / count
        y = top + i * height
        yield f"<rect x='{x:.1f}' y='{y:.2f}' width='12' height='{height + 0.4:.2f}' fill='{_hex(_colour(value, limits))}'/>"
    marks = [high, low] if high > low else [high]
    if low < 0 < high:
        marks.insert(1, 0.0)
    elif high > low:
        marks.insert(1, (low + high) / 2)
    for value in marks:
        y = top + (bottom - top) * ((high - value) / (high - low) if high > low else 0.5)
        yield text(x + 17, min(max(y + 4, top + 9), bottom), f"{value:.3g}".replace("-", "−"), "soft")


def _colour(value: float, limits: tuple[float, float]) -> tuple[float, float, float]:
    low, high = limits
    if low < 0 < high:
        size = max(-low, high)
        return _between(_SIGNED, (value / size + 1) / 2)
    return _between(_RAMP, (value - low) / (high - low) if high > low else 0.4)


def _between(stops: Sequence[str], t: float) -> tuple[float, float, float]:
    """A colour at 0 <= t <= 1 along the stops, straight in between."""
    place = min(max(t, 0.0), 1.0) * (len(stops) - 1)
    i = min(int(place), len(stops) - 2)
    a, b = (tuple(int(s[k : k + 2], 16) for k in (1, 3, 5)) for s in stops[i : i + 2])
    first, second, third = (x + (y - x) * (place - i) for x, y in zip(a, b, strict=True))
    return first, second, third


def _hex(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(c):02x}" for c in colour)


def _luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance (WCAG 2)."""
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
