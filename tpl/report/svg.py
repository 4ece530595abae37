"""Pictures as SVG of our own: no library, no script, no file beside the page. Colours are variables that follow the page.

Inside a page a picture takes the page's variables, light or dark; on its own it carries them along (`PALETTE`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from tpl.report.layout import plain

# Text and lines have a contrast of 4.5 and more on the background, in both looks. Series are told apart by marks as well.
_LIGHT = {
    "ink": "#1d2329", "soft": "#59636e", "faint": "#d5dae0", "paper": "#ffffff", "card": "#f6f8fa", "accent": "#0b5cad",
    "mark": "#fff4c2", "good": "#1a6b35", "bad": "#b3261e",
    "c0": "#0067a5", "c1": "#b84a00", "c2": "#007a57", "c3": "#a8487f", "c4": "#8a6100", "c5": "#5a55b5",
}  # fmt: skip
_DARK = {
    "ink": "#e4e8ec", "soft": "#a3adb8", "faint": "#3a424b", "paper": "#14181c", "card": "#1d2329", "accent": "#74b8ff",
    "mark": "#4a3f14", "good": "#6fce8b", "bad": "#ff8a80",
    "c0": "#5cb3ea", "c1": "#ff9a56", "c2": "#4fd0a4", "c3": "#ea93c4", "c4": "#e0b84c", "c5": "#aaa5f5",
}  # fmt: skip


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def palette(selector: str) -> str:
    """The colours as CSS variables of a selector, light, and dark where the reader prefers that; light on paper."""
    dark = f"@media(prefers-color-scheme:dark){{{selector}{{{_variables(_DARK)}}}}}"
    light = _variables(_LIGHT)
    return f"{selector}{{{light}}}{dark}@media print{{{selector}{{{light}}}}}"


FIGURE_CSS = (
    "svg.pic{font:12px system-ui,sans-serif;color:var(--ink);display:block}"
    "svg.pic text{fill:currentColor}svg.pic .soft{fill:var(--soft)}svg.pic .strong{font-weight:600}"
    "svg.pic .code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px}"
    "svg.pic .axis{stroke:var(--soft);fill:none}svg.pic .grid{stroke:var(--faint);fill:none}"
    "svg.pic .line{fill:none;stroke-width:1.8}svg.pic .bar{fill:none;stroke-width:1.4}svg.pic .band{opacity:.16;stroke:none}"
    + "".join(f"svg.pic .s{i}{{stroke:var(--c{i})}}svg.pic .f{i}{{fill:var(--c{i})}}" for i in range(6))
    + "svg.pic .hollow{fill:var(--paper)}svg.pic .limit{stroke:currentColor;fill:none;stroke-width:1.4}"
)


@dataclass(frozen=True, repr=False)
class Picture:
    """A drawing and what it shows in words, which is read where it cannot be seen.

    body: SVG elements, safe as they stand. width, height: in CSS pixels. css: beyond what all pictures share. grouped: it
    holds links.
    """

    body: str
    width: float
    height: float
    label: str
    css: str = ""
    grouped: bool = False
    shrinks: bool = True

    def inline(self) -> str:
        """As part of a page, whose style has the colours."""
        return self._svg(f" style='{self._size()}'", "")

    def standalone(self) -> str:
        """As a file, or in a notebook: with its colours."""
        background = f"<rect width='{self.width:.0f}' height='{self.height:.0f}' fill='var(--paper)'/>"
        style = f"<style>{palette('svg.pic')}{FIGURE_CSS}{self.css}</style>{background}"
        return self._svg(
            f" width='{self.width:.0f}' height='{self.height:.0f}' xmlns='http://www.w3.org/2000/svg'", style
        )

    def __repr__(self) -> str:
        return f"<picture: {self.label}>"

    def _repr_svg_(self) -> str:
        return self.standalone()

    def _size(self) -> str:
        width = f"width:{self.width:.0f}px"
        return f"{width};max-width:100%;height:auto" if self.shrinks else f"{width};height:{self.height:.0f}px"

    def _svg(self, size: str, before: str) -> str:
        role = "group" if self.grouped else "img"
        box = f"0 0 {self.width:.0f} {self.height:.0f}"
        return f"<svg class='pic' viewBox='{box}' role='{role}' aria-label='{attribute(self.label)}'{size}>{before}{self.body}</svg>"


@dataclass(frozen=True, repr=False)
class Pictures:
    """Several pictures; a notebook shows them one below the other."""

    items: tuple[Picture, ...]

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.items)) or "<no pictures>"

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Picture:
        return self.items[i]

    def _repr_html_(self) -> str:
        return "".join(f"<div>{x.standalone()}</div>" for x in self.items)


def attribute(text: str) -> str:
    """Text of unknown origin inside an attribute in quotes."""
    return escape(plain(text), quote=True)


def words(text: str) -> str:
    """Text of unknown origin between tags."""
    return escape(plain(text), quote=False)


def text(x: float, y: float, content: str, classes: str = "", anchor: str = "", extra: str = "") -> str:
    """A line of text. anchor: "middle" or "end"."""
    classes = f" class='{classes}'" if classes else ""
    anchor = f" text-anchor='{anchor}'" if anchor else ""
    return f"<text x='{x:.1f}' y='{y:.1f}'{classes}{anchor}{extra}>{words(content)}</text>"


def path(points: Iterable[tuple[float, float]], classes: str) -> str:
    """A line through points."""
    steps = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return f"<path class='{classes}' d='{steps}'/>"


def shortened(content: str, most: int) -> str:
    """A text of at most so many characters, its end left out."""
    content = plain(content)
    return content if len(content) <= most else content[: most - 1] + "…"
