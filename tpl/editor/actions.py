"""Suggestions that can be carried out: what a diagnostic would have in the place of its text."""

import re
from dataclasses import dataclass

from tpl.language.source import Diagnostic, Span

_MEANT = re.compile(r"did you mean `([^`…]+)`\?")
_COLON = "a `:` is missing at the end of this line"


@dataclass(frozen=True)
class Replacement:
    """Put `text` in the place of `span`, which is empty for what is only added."""

    span: Span
    text: str

    @property
    def title(self) -> str:
        return f"Replace by `{self.text}`" if self.span[:2] != self.span[2:] else f"Add `{self.text}`"


def replacement(diagnostic: Diagnostic) -> Replacement | None:
    """What a diagnostic suggests, if that is a text for its place."""
    span = diagnostic.span
    if span is None:
        return None
    if diagnostic.message == _COLON:
        return Replacement(Span(span.line, span.column, span.line, span.column), ":")
    meant = _MEANT.fullmatch(diagnostic.hint or "")
    return Replacement(span, meant[1]) if meant is not None and span.line == span.end_line else None


def applied(text: str, change: Replacement) -> str:
    """A text with one replacement made."""
    rows = text.split("\n")
    row = rows[change.span.line - 1]
    rows[change.span.line - 1] = row[: change.span.column - 1] + change.text + row[change.span.end_column - 1 :]
    return "\n".join(rows)
