"""A small coordinate system in SVG: nice ticks, linear or logarithmic, and the marks that are put into it."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tpl.report.svg import path, text

LEFT, RIGHT, TOP, BOTTOM = 58.0, 12.0, 30.0, 34.0
MARKERS = 6
Series = Sequence[float]


@dataclass(frozen=True)
class Scale:
    """Numbers low..high to pixels start..stop."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        a, b, x = (
            (math.log(v) for v in (self.low, self.high, value)) if self.logarithmic else (self.low, self.high, value)
        )
        return self.start + (self.stop - self.start) * (x - a) / (b - a)


def scale(values: Series, start: float, stop: float, logarithmic: bool = False, margin: float = 0.06) -> Scale:
    """A scale on which all the values lie, with a margin; a single value gets room around it."""
    low, high = min(values), max(values)
    if logarithmic:
        room = (high / low) ** margin if high > low else 2.0
        return Scale(low / room, high * room, start, stop, True)
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, stop)


def ticks(along: Scale, most: int = 5) -> list[float]:
    """Round numbers on a scale."""
    if along.logarithmic:
        return _log_ticks(along, most)
    raw = (along.high - along.low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(along.low / step - 1e-9), math.floor(along.high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _log_ticks(along: Scale, most: int) -> list[float]:
    first, last = math.floor(math.log10(along.low)), math.ceil(math.log10(along.high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [d * 10.0**e for e in range(first, last + 1) for d in digits]
        found = [x for x in found if along.low <= x <= along.high]
        if len(found) <= most + 1:
            break
    return found[:: -(-len(found) // (most + 1))] if len(found) > most + 1 else found or [along.low, along.high]


def tick_text(value: float, all_ticks: Series, logarithmic: bool = False) -> str:
    """A tick's number, with the digits that tell it from its neighbours."""
    if logarithmic:
        return _power_text(value) if not 1e-3 <= value < 1e5 else f"{value:.3g}"
    largest = max(abs(x) for x in all_ticks)
    if value == 0 or (largest and abs(value) < 1e-12 * largest):
        return "0"
    if not 1e-3 <= largest < 1e5 or abs(value) < 1e-3 * min(1.0, largest):
        return _power_text(value)
    steps = [abs(b - a) for a, b in itertools.pairwise(all_ticks)] or [largest]
    places = max(0, -math.floor(math.log10(min(steps)) + 1e-9))
    places += not math.isclose(round(min(steps), places), min(steps), rel_tol=1e-6)
    return f"{value:.{min(places, 8)}f}".replace("-", "−")


def _power_text(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", "−")


@dataclass(frozen=True)
class Frame:
    """Where a plot stands in its picture, and its two scales."""

    across: Scale
    up: Scale
    width: float
    height: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        return self.across(x), self.up(y)


def frame(width: float, height: float, xs: Series, ys: Series, log_x: bool = False, log_y: bool = False) -> Frame:
    """A frame in which all xs and ys lie."""
    return Frame(
        scale(xs, LEFT, width - RIGHT, log_x), scale(ys, height - BOTTOM, TOP, log_y, 0.08), width, height
    )  # fmt: skip


def draw_axes(on: Frame, title: str, label: str, marks: Sequence[tuple[float, str]] | None = None) -> str:
    """The grid, numbers at both axes, the title. marks: the ticks across, if they are not round numbers."""
    ups = ticks(on.up, 4)
    left, right, bottom, top = LEFT, on.width - RIGHT, on.height - BOTTOM, TOP
    parts = [text(left - 46, 16, title, "strong")]
    for y in ups:
        parts.append(path([(left, on.up(y)), (right, on.up(y))], "grid"))
        parts.append(text(left - 6, on.up(y) + 4, tick_text(y, ups, on.up.logarithmic), "soft", "end"))
    if marks is None:
        numbers = ticks(on.across, 5)
        marks = [(x, tick_text(x, numbers)) for x in numbers]
    for x, name in marks:
        parts.append(path([(on.across(x), bottom), (on.across(x), bottom + 4)], "axis"))
        parts.append(text(on.across(x), bottom + 16, name, "soft", "middle"))
    parts.append(path([(left, top), (left, bottom), (right, bottom)], "axis"))
    parts.append(text(right, bottom + 30, label, "soft", "end"))
    return "".join(parts)


def marker(x: float, y: float, kind: int, classes: str, title: str = "") -> str:
    """One of six marks; title: shown on hover, safe as it stands."""
    inside = f"<title>{title}</title>" if title else ""
    r = 3.6
    shapes = (
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{r}'",
        f"<rect x='{x - r:.1f}' y='{y - r:.1f}' width='{2 * r}' height='{2 * r}'",
        f"<path d='M{x:.1f} {y - r - 1:.1f}l{r + 1} {2 * r}h{-2 * r - 2}z'",
        f"<path d='M{x:.1f} {y - r - 1:.1f}l{r + 1} {r + 1}l{-r - 1} {r + 1}l{-r - 1} {-r - 1}z'",
        f"<path d='M{x:.1f} {y + r + 1:.1f}l{r + 1} {-2 * r}h{-2 * r - 2}z'",
        f"<path d='M{x - r:.1f} {y - 1.2:.1f}h{r - 1.2:.1f}v{1.2 - r:.1f}h2.4v{r - 1.2:.1f}h{r - 1.2:.1f}v2.4"
        f"h{1.2 - r:.1f}v{r - 1.2:.1f}h-2.4v{1.2 - r:.1f}h{1.2 - r:.1f}z'",
    )
    return f"{shapes[kind % MARKERS]} class='{classes}'>{inside}</{shapes[kind % MARKERS][1:].split()[0]}>"


def error_bar(on: Frame, x: float, y: float, error: float, classes: str) -> str:
    """A vertical bar from y - error to y + error, cut at the frame."""
    low, high = (min(max(v, on.up.low), on.up.high) for v in (y - error, y + error))
    across = on.across(x)
    steps = f"M{across:.1f} {on.up(low):.1f}V{on.up(high):.1f}"
    caps = f"M{across - 3:.1f} {on.up(high):.1f}h6M{across - 3:.1f} {on.up(low):.1f}h6"
    return f"<path class='bar {classes}' d='{steps}{caps}'/>"


def band(on: Frame, xs: Series, lows: Series, highs: Series, classes: str) -> str:
    """The area between two curves, cut at the frame."""

    def held(v: float) -> float:
        return on.up(min(max(v, on.up.low), on.up.high))

    there = [f"{on.across(x):.1f} {held(v):.1f}" for x, v in zip(xs, highs, strict=True)]
    back = [f"{on.across(x):.1f} {held(v):.1f}" for x, v in zip(reversed(xs), reversed(lows), strict=True)]
    return f"<path class='band {classes}' d='M{'L'.join([*there, *back])}z'/>"
