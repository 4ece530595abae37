"""Places in a text as editors count them: rows from 0, columns from 0 in units of UTF-16, or of what was agreed on.

tpl counts characters from 1. A letter outside the basic plane, 𝛔 for instance, is one character and two units of UTF-16.
"""

from tpl.language.source import Source, Span

UNITS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_BYTES = {"utf-8": 1, "utf-16": 2, "utf-32": 4}


def to_units(row: str, column: int, encoding: str = "utf-16") -> int:
    """The units before a column, which counts characters from 1; columns past the end of the row add one each."""
    before = row[: column - 1]
    return len(before.encode(UNITS[encoding], "surrogatepass")) // _BYTES[encoding] + max(0, column - 1 - len(row))


def from_units(row: str, units: int, encoding: str = "utf-16") -> int:
    """The column, from 1, of the character in which a unit lies; at most one past the end."""
    for column, character in enumerate(row, 1):
        units -= to_units(character, 2, encoding)
        if units < 0:
            return column
    return len(row) + 1


def to_range(source: Source, span: Span, encoding: str = "utf-16") -> tuple[tuple[int, int], tuple[int, int]]:
    """A span as an editor's range: (row, unit) of its start, and of its end, which is not part of it."""
    return _to_place(source, span.line, span.column, encoding), _to_place(
        source, span.end_line, span.end_column, encoding
    )


def _to_place(source: Source, line: int, column: int, encoding: str) -> tuple[int, int]:
    row = source.lines[line - 1] if line <= len(source.lines) else ""
    return line - 1, to_units(row, column, encoding)


def to_column(source: Source, row: int, units: int, encoding: str = "utf-16") -> tuple[int, int]:
    """tpl's line and column of an editor's place."""
    text = source.lines[row] if row < len(source.lines) else ""
    return row + 1, from_units(text, units, encoding)
