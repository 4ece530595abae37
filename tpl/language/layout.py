"""From text to logical lines: comments dropped, open brackets joined, indentation measured, the docstring taken off."""

import re
from dataclasses import dataclass, replace

from tpl.language.source import Diagnostic, Source, Span

SEARCHES = 20  # for the end of a bracket that is never closed; each may read the whole file

_MARKS = re.compile(r"""[()\[\]]|"[^"\n]*"?|'[^'\n]*'?|\#""")
_STATEMENT = re.compile(
    r"[ \t]*(?:(?:const|def|width|data|network|param|random|return|show|train)(?!\w)|for\b.*:[ \t]*(?:#.*)?$)"
)
_ASSIGNMENT = re.compile(r"[ \t]*[^\W\d]\w*[ \t]*(?:\[[^\]]*\][ \t]*)?=(?!=)")
_QUOTES = re.compile(r"[ \t]*(?:\"\"\"|''')")
_DOCSTRING = re.compile(r'"""((?:[^"\\]|\\.|"(?!""))*)"""', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """A statement or a block's heading as written, without comments: rows `row`, `row + 1`, … of the file.

    indent: the columns its indentation takes if a tab is 8 wide, and if it is 1 wide; where two lines compare
    differently in the two, their tabs and spaces are mixed.
    """

    row: int
    text: str
    indent: tuple[int, int]

    def span(self, start: int, stop: int) -> Span:
        """The place in the file of a stretch of `text`."""
        line, column = self._place(start)
        end_line, end_column = self._place(stop)
        return Span(line, column, end_line, end_column)

    def _place(self, offset: int) -> tuple[int, int]:
        before = self.text[:offset]
        return self.row + before.count("\n"), offset - before.rfind("\n")

    def whole(self) -> Span:
        return self.span(len(self.text) - len(self.text.lstrip()), len(self.text.rstrip()))


class Brackets:
    """The brackets that are open. A closing one also closes those opened since its partner; without one, nothing."""

    PARTNER = {")": "(", "]": "["}  # noqa: RUF012

    def __init__(self) -> None:
        self.open: list[tuple[str, int]] = []  # each with a place
        self._count = {"(": 0, "[": 0}

    def meet(self, sign: str, place: int) -> int | None:
        """Take note of a bracket. Returns the place of one that is thereby wrong: never closed, or closing nothing."""
        if sign in self._count:
            self.open.append((sign, place))
            self._count[sign] += 1
            return None
        partner = self.PARTNER[sign]
        if not self._count[partner]:
            return place
        wrong = None
        while True:
            opened, at = self.open.pop()
            self._count[opened] -= 1
            if opened == partner:
                return wrong
            wrong = at


def lay_out(source: Source) -> tuple[str, list[Line], list[Diagnostic]]:
    """The docstring's text, and the logical lines of the rest."""
    rows = list(source.lines)
    title, problems = _take_docstring(rows)
    lines: list[Line] = []
    row, searches = 0, 0
    while row < len(rows):
        if _QUOTES.match(rows[row]):
            count, problem = _stray_docstring(rows, row)
            problems.append(problem)
            row += count
            continue
        brackets = Brackets()
        parts = [_code(rows[row], brackets)]
        if brackets.open:
            count, closed = _extent(rows, row, searches < SEARCHES)
            searches += not closed
            parts += [_code(text, brackets) for text in rows[row + 1 : row + count]]
        if lines and _closes_above(lines[-1], row, rows[row]):
            lines[-1] = replace(lines[-1], text="\n".join([lines[-1].text, *parts]))
        elif parts[0].strip():
            lines.append(Line(row + 1, "\n".join(parts), _indent(rows[row])))
        row += len(parts)
    return title, lines, problems


def _closes_above(above: Line, row: int, text: str) -> bool:
    """Does this row go on with the line above, whose bracket was forgotten: it closes one that it did not open?"""
    adjacent = above.row + above.text.count("\n") == row
    if not adjacent or _indent(text) <= above.indent or above.text.endswith(":") or _STATEMENT.match(text):
        return False
    depth = 0
    for mark in _MARKS.finditer(text):
        if mark[0] == "#":
            return False
        depth += (mark[0] in "([") - (mark[0] in ")]")
        if depth < 0:
            return True
    return False


def docstring_rows(rows: list[str]) -> range:
    """The rows of the docstring at the top, numbered from 0; none if there is none, or if it is never closed."""
    first, found = _find_docstring(rows)
    return range(0) if found is None else range(first, first + found[0].count("\n") + 1)


def _find_docstring(rows: list[str]) -> tuple[int, re.Match[str] | None]:
    """The first row that is no comment, -1 if it opens no docstring; and the docstring there, if it is closed."""
    first = next((i for i, text in enumerate(rows) if text.split("#")[0].strip()), -1)
    if first < 0 or not rows[first].lstrip().startswith('"""'):
        return -1, None
    return first, _DOCSTRING.match("\n".join(rows[first:]).lstrip())


def _take_docstring(rows: list[str]) -> tuple[str, list[Diagnostic]]:
    """Blank the docstring at the top, and return what it says."""
    first, found = _find_docstring(rows)
    if first < 0:
        return "", []
    column = len(rows[first]) - len(rows[first].lstrip()) + 1
    if found is None:
        rows.clear()
        hint = 'end it with another `"""`; nothing after it was read'
        return "", [Diagnostic(Span(first + 1, column, first + 1, column + 3), "this docstring is never closed", hint)]
    last = first + found[0].count("\n")
    stop = len(found[0]) - (found[0].rfind("\n") + 1) + (column - 1 if last == first else 0)
    rest = rows[last][stop:].split("#")[0].rstrip()
    span = Span(last + 1, stop + 1, last + 1, len(rows[last]) + 1)
    rows[first : last + 1] = [""] * (last + 1 - first)
    problems = [Diagnostic(span, "a docstring stands alone", "begin a new line after it")] if rest else []
    return found[1].strip(), problems


def _stray_docstring(rows: list[str], row: int) -> tuple[int, Diagnostic]:
    """How many rows a docstring takes that is not at the top, or not between the right quotes; what to say of it."""
    quotes = rows[row].lstrip()[:3]
    column = len(rows[row]) - len(rows[row].lstrip()) + 1
    if quotes in rows[row].lstrip()[3:]:
        last = row
    else:
        last = next((i for i in range(row + 1, len(rows)) if quotes in rows[i]), row)
    span = Span(row + 1, column, row + 1, column + 3)
    if quotes == "'''":
        return last - row + 1, Diagnostic(span, 'a docstring stands between `"""` and `"""`')
    return last - row + 1, Diagnostic(span, "a docstring stands only at the top of the file", "write comments with `#`")


def _code(text: str, brackets: Brackets) -> str:
    """One row without its comment; its brackets are noted."""
    for mark in _MARKS.finditer(text):
        sign = mark[0]
        if sign == "#":
            return text[: mark.start()].rstrip()
        if len(sign) == 1 and sign not in "\"'":
            brackets.meet(sign, mark.start())
    return text.rstrip()


def _extent(rows: list[str], row: int, search: bool) -> tuple[int, bool]:
    """How many rows a line with an open bracket takes, and whether all its brackets close.

    It goes on until they do. If a statement begins first, the bracket was forgotten, and the line ends at the first
    row that looks like another statement.
    """
    brackets = Brackets()
    for last in range(row, len(rows) if search else row):
        if last > row and _STATEMENT.match(rows[last]):
            break
        _code(rows[last], brackets)
        if not brackets.open:
            return last - row + 1, True
    own = _indent(rows[row])
    for last in range(row + 1, len(rows)):
        text = rows[last]
        if not text.strip() or _indent(text) <= own or _STATEMENT.match(text) or _ASSIGNMENT.match(text):
            return last - row, False
    return len(rows) - row, False


def _indent(text: str) -> tuple[int, int]:
    blank = text[: len(text) - len(text.lstrip(" \t\f"))]
    return len(blank.expandtabs(8)), len(blank)
