"""Source text, positions in it, and what can be said about them: diagnostics with a caret."""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of source text: 1-based lines and columns, the end column exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}-{self.end_line}:{self.end_column}"


@dataclass(frozen=True)
class Source:
    """A program text and the name that messages give it. From line `settings_from` on it is what `--set` gave."""

    text: str
    name: str = "<text>"
    settings_from: int | None = None
    lines: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(re.split(r"\r?\n", self.text)))

    def place(self, line: int) -> tuple[str, int]:
        """The name and number under which messages speak of a line."""
        if self.settings_from is not None and line >= self.settings_from:
            return "--set", line - self.settings_from + 1
        return self.name, line

    def slice(self, span: Span) -> str:
        """The text a span covers, on one line."""
        if span.line == span.end_line:
            return self.lines[span.line - 1][span.column - 1 : span.end_column - 1]
        first = self.lines[span.line - 1][span.column - 1 :]
        middle = self.lines[span.line : span.end_line - 1]
        last = self.lines[span.end_line - 1][: span.end_column - 1]
        return " ".join(part.strip() for part in (first, *middle, last))

    def quote(self, span: Span, instead: str = "this", limit: int = 40) -> str:
        """The text a span covers as a message quotes it; `instead` where it is long."""
        text = self.slice(span).strip()
        return f"`{text}`" if 0 < len(text) <= limit else instead


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: where, what is wrong, and what to do about it."""

    span: Span | None
    message: str
    hint: str | None = None

    def render(self, source: Source) -> str:
        """The message as a terminal shows it: `file:line:column`, the line, a caret, the hint."""
        help_ = [] if self.hint is None else [f"  help: {_short(self.hint)}"]
        if self.span is None:
            return "\n".join([f"{source.name}: error: {_short(self.message)}", *help_])
        span = self.span
        text = source.lines[span.line - 1] if span.line <= len(source.lines) else ""
        text = _clean(text).rstrip()
        stop = span.end_column if span.end_line == span.line else len(text) + 1
        shown, column, width = _window(text, span.column, max(1, stop - span.column))
        name, line = source.place(span.line)
        before, under = shown[: column - 1].ljust(column - 1), shown[column - 1 : column - 1 + width].ljust(width)
        return "\n".join([
            f"{name}:{line}:{span.column}: error: {_short(self.message)}",
            f"{line:>5} | {shown}",
            " " * 5 + " | " + " " * _columns(before) + "^" * max(1, _columns(under)),
            *help_,
        ])  # fmt: skip


def _short(message: str) -> str:
    """A message in which nothing quoted is longer than a line."""
    return re.sub(r"`([^`]{61,})`", lambda found: f"`{found[1][:60]}…`", _clean(message))


def _clean(text: str) -> str:
    """Text fit for a terminal: a program must not move its cursor, or hide what it says."""
    return "".join(c if c.isprintable() else " " if c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: two for wide characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _window(text: str, column: int, width: int, room: int = 110) -> tuple[str, int, int]:
    """Cut a long line to the part around the caret."""
    if len(text) <= room:
        return text, column, max(1, min(width, len(text) + 2 - column))
    start = max(0, min(column - 1, len(text)) - 1 - room // 2)
    cut = text[start : start + room]
    prefix = "…" if start else ""
    column = column - start + len(prefix)
    end = "…" if start + room < len(text) else ""
    return prefix + cut + end, column, max(1, min(width, len(prefix) + len(cut) + 1 - column))


class TplError(Exception):
    """What a user's text or request got wrong: diagnostics against one source, in file order."""

    def __init__(self, source: Source, diagnostics: Iterable[Diagnostic]):
        self.source = source
        order = sorted(set(diagnostics), key=lambda d: (d.span or Span(0, 0, 0, 0), d.message))
        self.diagnostics = tuple(order)
        super().__init__(self.render())

    def render(self) -> str:
        return "\n\n".join(d.render(self.source) for d in self.diagnostics)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None if none is close."""
    known = list(known)
    folded = {k.lower(): k for k in known}
    if name.lower() in folded:
        return folded[name.lower()]
    if not 1 < len(name) <= 40:
        return None
    alike = [k for k in known if 2 * abs(len(k) - len(name)) <= len(name) + 1]
    close = difflib.get_close_matches(name, alike, n=1, cutoff=0.6)
    return close[0] if close else None
