"""Programs in their usual look: `tpl fmt`.

Goals: four spaces a block, spaces around operators and after commas, comments where they were, at most two blank rows. The
parse stays the same, and formatting twice is formatting once. Non-goals: no line is broken or joined, no bracket added or
taken away, no comment or docstring rewritten.

A product may be tight where it is part of something, `2*r + 1`, and a sum where it is an index, `h[l-1]`: these are left as
they were written. The ends of ranges are always tight, `1..2*L-1`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple

from tpl.language.layout import Line, docstring_rows, lay_out
from tpl.language.parse import parse, parse_line
from tpl.language.source import Source, TplError

INDENT = 4
BLANK_ROWS = 2  # at most so many in a row
COMMENT_GAP = 2  # at least so many spaces before a comment
TAB = 8


def format_text(source: Source) -> str:
    """The text of a program in its usual look. Raises TplError, with all mistakes, if it cannot be parsed."""
    before, problems, _ = parse(source)
    if problems:
        raise TplError(source, problems)
    text = _text(_rows(source))
    after, problems, _ = parse(Source(text, source.name))
    if problems or not same_syntax(before, after):
        raise AssertionError("formatting would change what the program says")
    return text


def same_syntax(a: Any, b: Any) -> bool:
    """Are two nodes equal up to their places in the text?"""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same_syntax, a, b))
    if not is_dataclass(a):
        return bool(a == b)
    return type(a) is type(b) and all(
        same_syntax(getattr(a, x.name), getattr(b, x.name)) for x in fields(a) if "span" not in x.name
    )


# ---------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class _Row:
    """A row of the result: its code, indented, and its comment with its `#`. column: where that stood, from 0."""

    code: str
    comment: str = ""
    column: int = 0
    docstring: bool = False

    @property
    def blank(self) -> bool:
        return not self.code and not self.comment and not self.docstring

    @property
    def commented(self) -> bool:
        """Does a comment follow code?"""
        return bool(self.comment and self.code.strip())


def _rows(source: Source) -> list[_Row]:
    """The rows of the result: docstring, statements, comments, at most two blank ones together."""
    given = source.lines
    docstring = docstring_rows(list(given))
    _, lines, _ = lay_out(source)
    rows: list[_Row] = []
    blocks = _Blocks()
    for line in (*lines, None):
        stop = len(given) if line is None else line.row - 1
        below = None if line is None else line.indent[0]
        for number in range(len(rows), stop):
            if number in docstring:
                rows.append(_docstring_row(given[number], number - docstring.start, docstring.stop - number))
            else:
                rows.append(_comment_row(given[number], blocks, below))
        if line is not None:
            rows += _statement(line, given, blocks.enter(line.indent[0]))
    return _few_blanks(rows)


def _docstring_row(text: str, above: int, left: int) -> _Row:
    """A row of the docstring as it is; what surrounds the quotes is trimmed."""
    text = text.lstrip() if above == 0 else text
    return _Row(text.rstrip() if left == 1 else text, docstring=True)


def _comment_row(text: str, blocks: "_Blocks", below: int | None) -> _Row:
    """A row with a comment alone, or with nothing."""
    comment = text.strip()
    return _Row(" " * blocks.of_comment(_column(text, comment), below), comment) if comment else _Row("")


def _few_blanks(rows: Sequence[_Row]) -> list[_Row]:
    """No blank rows at either end, and few together."""
    kept: list[_Row] = []
    blanks = BLANK_ROWS
    for row in rows:
        blanks = blanks + 1 if row.blank else 0
        if blanks <= BLANK_ROWS:
            kept.append(row)
    while kept and kept[-1].blank:
        kept.pop()
    return kept


def _text(rows: Sequence[_Row]) -> str:
    columns = _comment_columns(rows)
    return "".join(f"{row.code:<{column}}{row.comment}\n" for row, column in zip(rows, columns, strict=True))


def _comment_columns(rows: Sequence[_Row]) -> list[int]:
    """Where comments after code go: those of a paragraph that stood in one column still do, further right if need be."""
    needed: dict[tuple[int, int], int] = {}
    keys, paragraph = [], 0
    for row in rows:
        paragraph += row.blank
        keys.append((paragraph, row.column))
        if row.commented:
            needed[keys[-1]] = max(needed.get(keys[-1], row.column), len(row.code) + COMMENT_GAP)
    return [needed[key] if row.commented else 0 for row, key in zip(rows, keys, strict=True)]


def _column(row: str, part: str, start: int = 0) -> int:
    """The column in which a part of a row begins, from 0."""
    return len(row[: row.index(part, start)].expandtabs(TAB))


class _Blocks:
    """The indentations of the open blocks as given; their new ones are 0, 4, 8, …"""

    def __init__(self, widths: Sequence[int] = (0,)) -> None:
        self._widths = list(widths)

    def enter(self, width: int) -> int:
        """The new indentation of a line."""
        while self._widths[-1] > width:
            self._widths.pop()
        if self._widths[-1] < width:
            self._widths.append(width)
        return INDENT * (len(self._widths) - 1)

    def of_comment(self, width: int, below: int | None) -> int:
        """The new indentation of a comment: that of an open block if it stands there, else that of the line below."""
        if width in self._widths:
            return INDENT * self._widths.index(width)
        if below is not None:
            return _Blocks(self._widths).enter(below)
        return INDENT * (sum(w <= width for w in self._widths) - 1)


# ---------------------------------------------------------------------------------------------- statements


class _Leaf(NamedTuple):
    """A word or sign, its place in the line's text, and whether a space stands before it."""

    text: str
    start: int
    spaced: bool


def _statement(line: Line, given: Sequence[str], indent: int) -> list[_Row]:
    """A statement or heading: as many rows as it had."""
    printer = _Continued(indent - line.indent[0])
    leaves = _leaves(line.text)
    rows, start, at = [], 0, 0
    for number, code in enumerate(line.text.split("\n")):
        row = given[line.row - 1 + number]
        comment = row[len(code) :].strip()
        own = []
        while at < len(leaves) and leaves[at].start < start + len(code):
            own.append((leaves[at], len(row[: leaves[at].start - start].expandtabs(TAB))))
            at += 1
        column = _column(row, comment, len(code)) if comment else 0
        rows.append(_Row(printer.row(own, column), comment, column))
        start += len(code) + 1
    return rows


@dataclass
class _Continued:
    """Prints the rows of one statement. What stood right of its bracket still does; other rows move by `shift`."""

    shift: int
    _open: list[tuple[int, int]] = field(default_factory=list)  # columns right of open brackets: given, new

    def row(self, leaves: Sequence[tuple[_Leaf, int]], comment: int) -> str:
        """A row of code; of one without, what stands before its comment."""
        if not leaves:
            return " " * self._begin(comment) if comment else ""
        text = " " * self._begin(leaves[0][1])
        for number, (leaf, column) in enumerate(leaves):
            text += " " * (number > 0 and leaf.spaced) + leaf.text
            if leaf.text in ("(", "["):
                self._open.append((column + 1, len(text)))
            elif leaf.text in (")", "]"):
                self._open.pop()
        return text

    def _begin(self, column: int) -> int:
        if self._open and self._open[-1][0] == column:
            return self._open[-1][1]
        return max(0, column + self.shift)


# ---------------------------------------------------------------------------------------------- spaces


class _Place(NamedTuple):
    """Where an expression stands: part of a larger one; somewhere inside an index; the end of a range itself."""

    part: bool = False
    inside: bool = False
    end: bool = False


_TIGHT = ("power", "transposed", "slice", "signed", "keyword")
_HEADINGS = ("network", "loop", "train")
_OPEN, _CLOSE = ("(", "["), (")", "]", ",")


def _leaves(text: str) -> list[_Leaf]:
    """The words and signs of a line, with the spaces that belong between them."""
    found: list[_Leaf] = []

    def visit(node: Any, place: _Place, spaced: bool) -> None:
        if isinstance(node, str):
            found.append(_Leaf(str(node), node.start_pos, spaced))  # type: ignore[attr-defined]
            return
        tight = node.data in _TIGHT or (node.data == "chain" and _tight(node, place, text))
        for i, child in enumerate(node.children):
            visit(child, _place(node, child, place), spaced if i == 0 else not tight and _spaced(node, i))

    visit(parse_line(text), _Place(), False)
    return found


def _spaced(node: Any, i: int) -> bool:
    """Does a space stand between a node's children i-1 and i?"""
    before, after = node.children[i - 1], node.children[i]
    if after in (*_OPEN, *_CLOSE, "..") or before in (*_OPEN, ".."):
        return False
    if after == ":":
        return node.data not in _HEADINGS
    return not (node.data in ("data", "input") and getattr(after, "data", "") == "sizes")


def _place(node: Any, child: Any, place: _Place) -> _Place:
    """The place of a node's child."""
    rule = str(node.data)
    if rule in ("slice", "clause"):
        return _Place(True, True, True)
    if rule in ("sizes", "target") or (rule == "indexed" and child is not node.children[0]):
        return _Place(True, True)
    if rule == "chain":
        return _Place(True, place.inside, place.end)
    if rule in ("call", "keyword", "group", "list_of", "power", "signed", "indexed", "transposed"):
        return _Place(True, place.inside)
    return place


def _tight(chain: Any, place: _Place, text: str) -> bool:
    """Is a sum or a product written without spaces?"""
    operators, operands = chain.children[1::2], chain.children[::2]
    if not set(operators) <= set("+-*/"):
        return False
    if not place.end and any(_is_space(text, x.start_pos) for x in operators):
        return False
    if operators[0] in ("*", "/"):
        return place.part
    inner = _place(chain, None, place)
    return place.inside and all(_tight(x, inner, text) for x in operands if getattr(x, "data", "") == "chain")


def _is_space(text: str, operator: int) -> bool:
    return text[operator - 1].isspace() or text[operator + 1].isspace()
