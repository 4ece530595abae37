"""From text to syntax, line by line: a line that cannot be read costs no other line its meaning.

The only module that imports lark. The grammar says what a line may hold; the blocks are put together here.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, partial
from itertools import islice, takewhile
from typing import Any, NamedTuple

import lark

from tpl.language import syntax as s
from tpl.language.explain import defined_names, explain, too_deep
from tpl.language.layout import Line, lay_out
from tpl.language.source import Diagnostic, Source, Span
from tpl.resources import grammar_dir

MAX_NESTING = 100  # of expressions and of blocks: bounds every recursion over syntax
MAX_SYNTAX_ERRORS = 20
MAX_SOURCE = 4_000_000  # characters
UNREAD = "?"  # stands for an expression that could not be read; always among the lost names

Heading = s.Network | s.Loop | s.Train
Following = Callable[[], Iterable[Line]]  # the lines after one


@cache
def _grammar() -> lark.Lark:
    text = (grammar_dir() / "tpl.lark").read_text(encoding="utf-8")
    return lark.Lark(text, parser="lalr", lexer="basic", start=["line", "expr"], keep_all_tokens=True,
                     maybe_placeholders=False)  # fmt: skip


def parse(source: Source) -> tuple[s.File, list[Diagnostic], set[str]]:
    """Parse a source.

    Returns the syntax of all statements that could be read, a diagnostic for each that could not, and the
    names that the unread ones would have defined (so that later stages do not call them unknown). A heading that could
    not be read keeps its block: a loop over an unread range, a network without inputs.
    """
    if len(source.text) > MAX_SOURCE:
        text = f"the program has {len(source.text):,} characters; at most {MAX_SOURCE:,} are read"
        return s.File("", ()), [Diagnostic(None, text)], {"show"}
    title, lines, problems = lay_out(source)
    blocks = _Blocks(problems)
    for i, line in enumerate(lines):
        blocks.add(line, partial(islice, lines, i + 1, None))
    statements = blocks.finish()
    if not lines and not problems:
        blocks.report(Diagnostic(None, "the program is empty", "a program ends with `show …`"))
    if not lines:
        blocks.lost.add("show")
    return s.File(title, statements), blocks.diagnostics, blocks.lost


def parse_line(text: str) -> Any:
    """The concrete syntax of a line that `parse` can read: nodes have `data`, the rule's name, and `children`.

    Leaves are strings with `start_pos`, and every sign and keyword is among them.
    """
    return _tree(text)


def parse_expression(text: str) -> s.Expr:
    """One expression of the language, without diagnostics. Raises ValueError if it is none."""
    try:
        return _Build(1).expression(_grammar().parse(text, start="expr"))
    except (lark.UnexpectedInput, _TooDeep):
        raise ValueError("not an expression") from None


# ---------------------------------------------------------------------------------------------- blocks


@dataclass
class _Block:
    """The statements read so far of the file, of a network, of a loop or of a train block."""

    heading: Heading | None
    indent: tuple[int, int]
    first: Line | None = None
    statements: list[s.Statement] = field(default_factory=list)
    excused: set[tuple[int, int]] = field(default_factory=set)  # wrong indentations that were reported
    loose: bool = False  # the only lines so far were unreadable: the next one may be indented otherwise


class _Blocks:
    """Puts lines together to blocks by their indentation."""

    def __init__(self, problems: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(problems)[:MAX_SYNTAX_ERRORS]
        self.lost: set[str] = set()
        self._open = [_Block(None, (0, 0))]
        self._heading: tuple[Heading, Line, bool] | None = None  # waits for its first statement; was it readable?
        self._skip: tuple[int, int] | None = None  # lines indented further belong to one that was given up
        self._mixed = 0  # the row in which tabs and spaces are mixed, once there is one

    def report(self, diagnostic: Diagnostic) -> None:
        if diagnostic.message.endswith(("cannot be a name", "cannot be part of a name")) and diagnostic.message in {
            x.message for x in self.diagnostics
        }:
            return  # the same word, used where it should have got its value
        if len(self.diagnostics) < MAX_SYNTAX_ERRORS:
            self.diagnostics.append(diagnostic)

    def add(self, line: Line, following: Following = tuple) -> None:
        if self._skip is not None and line.indent > self._skip:
            self.lost |= defined_names(line.text)
            return
        self._skip = None
        astray = self._place(line, following)
        self._read(line, astray)

    def finish(self) -> tuple[s.Statement, ...]:
        if self._heading is not None:
            self._bodiless(*self._heading)
        while len(self._open) > 1:
            self._close()
        return tuple(self._open[0].statements)

    # ------------------------------------------------------------------------------------------ indentation
    def _place(self, line: Line, following: Following) -> bool:
        """Open and close blocks until the line belongs to the innermost. Returns whether its indentation is wrong."""
        if self._heading is not None:
            (heading, above, readable), self._heading = self._heading, None
            if self._deeper(line, above.indent):
                self._open.append(_Block(heading, line.indent, line))
                return False
            self._bodiless(heading, above, readable)
        if self._has_lost_its_indentation(line, following):
            self.report(Diagnostic(line.whole(), "this line has lost its indentation: the next one goes on with the block",
                                   "indent it like the lines above and below"))  # fmt: skip
            return False
        while len(self._open) > 1 and not self._deeper(line, self._open[-2].indent):
            if line.indent == self._open[-1].indent:
                break
            self._close()
        block = self._open[-1]
        if block.loose and len(self._open) > 1:
            block.indent, block.loose = line.indent, False
        if line.indent == block.indent or self._same(line, block.indent) or line.indent in block.excused:
            return False
        if self._first_is_astray(block, line, following):
            assert block.first is not None
            if self._mixed not in (block.first.row, line.row):
                self.report(self._astray(block.first, line.indent))
            block.indent = line.indent
            return False
        block.excused.add(line.indent)
        return True

    def _has_lost_its_indentation(self, line: Line, following: Following) -> bool:
        """Would the line end a block that the next line goes on with, and begins none itself?"""
        block = self._open[-1]
        if block.heading is None or block.loose or line.indent >= block.indent or _stands_outside(line):
            return False
        below = next(iter(following()), None)
        return below is not None and below.indent == block.indent and not _goes_on(below)

    def _first_is_astray(self, block: _Block, line: Line, following: Following) -> bool:
        """Are the lines after the first one of a block indented alike, and otherwise than that?"""
        if block.first is None or len(block.statements) != 1:
            return False
        outer = self._open[-2].indent
        inside = takewhile(lambda x: x.indent > outer, following())
        alike = Counter(x.indent for x in inside)
        return alike[line.indent] > alike[block.indent]

    def _deeper(self, line: Line, indent: tuple[int, int]) -> bool:
        self._compare(line, indent)
        return line.indent[0] > indent[0]

    def _same(self, line: Line, indent: tuple[int, int]) -> bool:
        self._compare(line, indent)
        return line.indent[0] == indent[0]

    def _compare(self, line: Line, indent: tuple[int, int]) -> None:
        """Complain, once a file, where the answer depends on how wide a tab is."""
        (a, b), (c, d) = line.indent, indent
        if not self._mixed and ((a > c) - (a < c)) != ((b > d) - (b < d)):
            self._mixed = line.row
            self.report(Diagnostic(Span(line.row, 1, line.row, max(2, b + 1)), "this indentation mixes tabs and spaces",
                                   "indent every line by spaces"))  # fmt: skip

    def _astray(self, line: Line, others: tuple[int, int] | None = None) -> Diagnostic:
        """A line of the innermost block, whose lines are indented as `others`, is not."""
        block = self._open[-1]
        others = others or block.indent
        wide, usual = (f"{n} space{'s' * (n != 1)}" for n in (line.indent[0], others[0]))
        span = Span(line.row, 1, line.row, max(2, line.indent[1] + 1))
        if line is block.first:
            hint = f"the lines below it are indented by {usual}: indent all statements of a block alike"
            return Diagnostic(span, f"this line is indented by {wide}", hint)
        if line.indent > others:
            hint = "only `network …:`, `for …:` and `train …:` begin a block"
            if _goes_on(line):
                hint = "a line goes on below only while a bracket is open: put the expression in `( )`"
            return Diagnostic(span, "this line is indented, but begins no block", hint)
        hint = "indent all statements of a block alike"
        if block.first is not None and len(block.statements) == 1:
            hint = f"line {block.first.row} is indented by {usual}: {hint}"
        return Diagnostic(span, "this line's indentation fits no block", hint)

    def _close(self) -> None:
        block = self._open.pop()
        assert block.heading is not None
        self._open[-1].statements.append(self._block(block.heading, block.statements))

    def _block(self, heading: Heading, statements: Sequence[s.Statement]) -> s.Statement:
        """A heading with its body; what is no setting in a train block is a mistake."""
        if not isinstance(heading, s.Train):
            return replace(heading, body=tuple(statements))
        settings = []
        for x in statements:
            if isinstance(x, s.Assign) and not x.target.indices:
                settings.append(s.Setting(x.target.name, x.value, x.span, x.target.span))
            else:
                span = x.target.span if isinstance(x, s.Assign) else x.span
                self.report(Diagnostic(span, "a train block holds settings only", "each is a line `name = value`"))
                self.lost.add(UNREAD)
        return replace(heading, settings=tuple(settings))

    def _bodiless(self, heading: Heading, line: Line, readable: bool) -> None:
        what, lines = _BLOCKS[type(heading)]
        if readable:
            self.report(Diagnostic(line.whole(), f"this {what} holds no {lines}", f"indent the lines of the {what}"))
        self.lost |= {*defined_names(line.text), "return", "param"}
        if isinstance(heading, s.Train):
            self.lost.add(UNREAD)

    # ------------------------------------------------------------------------------------------ lines
    def _read(self, line: Line, astray: bool) -> None:
        try:
            heading, statement = _read_line(line)
        except _Unread as problem:
            if not astray or not _goes_on(line):
                self._unread(line, problem)
                return
            self.report(self._astray(line))
            self._skip = self._open[-1].indent
            return
        if astray and line.row != self._mixed:
            self.report(self._astray(line))
        if heading is None:
            assert statement is not None
            self._open[-1].statements.append(statement)
        elif statement is not None:
            self._open[-1].statements.append(self._block(heading, (statement,)))
        else:
            self._begin(heading, line)

    def _begin(self, heading: Heading, line: Line, readable: bool = True) -> None:
        if len(self._open) <= MAX_NESTING:
            self._heading = (heading, line, readable)
            return
        self.report(Diagnostic(line.whole(), f"blocks are nested more than {MAX_NESTING} deep here"))
        self._skip = line.indent

    def _unread(self, line: Line, problem: "_Unread") -> None:
        heading = _with_colon(line)
        if heading is not None:
            stop = len(line.text.rstrip())
            self.report(Diagnostic(line.span(stop, stop + 1), "a `:` is missing at the end of this line"))
            self._begin(heading, line)
            return
        if len(self.diagnostics) < MAX_SYNTAX_ERRORS:
            self.report(_diagnose(line, problem))
        self.lost |= {*defined_names(line.text), UNREAD}
        self._open[-1].loose = not self._open[-1].statements
        heading = _guess_heading(line)
        if heading is not None:
            self._begin(heading, line, readable=False)
        else:
            self._skip = line.indent


_BLOCKS: dict[type, tuple[str, str]] = {
    s.Network: ("network", "statement"), s.Loop: ("loop", "statement"), s.Train: ("train block", "setting"),
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- lines


class _Unread(Exception):
    """A line that is not of the language: the offset at which the grammar gave up."""

    def __init__(self, at: int):
        self.at = at


def _read_line(line: Line) -> tuple[Heading | None, s.Statement | None]:
    """A line's heading and statement: one of them, or both on one line. Raises _Unread or _TooDeep."""
    if line.text.count("(") + line.text.count("[") > MAX_NESTING:
        deep = too_deep(line.text, MAX_NESTING)
        if deep is not None:
            raise _Unread(deep.start)
    return _Build(line.row).line(_tree(line.text))


def _tree(text: str) -> lark.Tree:
    try:
        return _grammar().parse(text, start="line")
    except lark.UnexpectedCharacters as problem:
        raise _Unread(problem.pos_in_stream or 0) from None
    except lark.UnexpectedToken as problem:
        at = problem.token.start_pos
        raise _Unread(len(text) if at is None or problem.token.type == "$END" else at) from None


def _diagnose(line: Line, problem: _Unread) -> Diagnostic:
    if isinstance(problem, _TooDeep):
        return Diagnostic(problem.span, f"this is nested more than {MAX_NESTING} deep", "give the inner parts names")
    found = too_deep(line.text, MAX_NESTING) or explain(line.text, problem.at, _is_expression(line.text))
    return Diagnostic(line.span(found.start, found.stop), found.message, found.hint)


def _is_expression(text: str) -> bool:
    try:
        _tree("show " + text)
    except _Unread:
        return False
    return True


def _with_colon(line: Line) -> Heading | None:
    """The line as a heading, if only its colon is missing."""
    if not re.match(r"\s*(?:network|for|train)\b", line.text):
        return None
    try:
        return _Build(line.row).line(_tree(line.text + ":"))[0]
    except _Unread:
        return None


def _stands_outside(line: Line) -> bool:
    """Does it begin a block, or is it a statement that no block holds?"""
    word = re.match(r"\s*(?:network|for|train|const|def|width|data|random|show)\b", line.text)
    return word is not None or line.text.rstrip().endswith(":")


def _goes_on(line: Line) -> bool:
    """Does it look like the rest of the line above?"""
    return re.match(r"\s*[-+*/@^.,)\]]", line.text) is not None


def _guess_heading(line: Line) -> Heading | None:
    """A heading in place of one that could not be read, so that its block can be."""
    found = re.match(r"\s*(network|for|train)\b\s*([^\W\d]\w*)?", line.text)
    if found is None:
        return None
    span, name = line.whole(), found[2] or UNREAD
    if found[1] == "network":
        return s.Network(name, (), (), span, span)
    unread = s.Name(UNREAD, span)
    if found[1] == "train":
        return s.Train(name, (unread,), unread, (), span, span)
    return s.Loop(s.Clause(name, unread, unread, span, span), (), span)


# ---------------------------------------------------------------------------------------------- building syntax


class _TooDeep(_Unread):
    """Expressions nested beyond MAX_NESTING."""

    def __init__(self, span: Span):
        super().__init__(0)
        self.span = span


class _Sizes(NamedTuple):
    dims: tuple[s.Expr, ...]
    span: Span


class _Targets(NamedTuple):
    targets: tuple[s.Target, ...]
    span: Span


class _Keyword(NamedTuple):
    name: str
    value: s.Expr
    span: Span


class _Build:
    """Trees to syntax, one method a rule. Children are tokens, signs among them, and what their rules have built."""

    def __init__(self, row: int):
        self.row = row

    def line(self, tree: lark.Tree) -> tuple[Heading | None, s.Statement | None]:
        parts = [self.expression(child) for child in tree.children]
        if isinstance(parts[0], Heading):
            return parts[0], parts[1] if len(parts) > 1 else None
        return None, parts[0]

    def expression(self, tree: Any, depth: int = 0) -> Any:
        if depth > MAX_NESTING:
            raise _TooDeep(self._first(tree))
        c = [x if isinstance(x, lark.Token) else self.expression(x, depth + 1) for x in tree.children]
        start = self._span(c[0])
        stop = self._span(c[-1]) if len(c) > 1 else start
        return getattr(self, tree.data)(c, Span(start.line, start.column, stop.end_line, stop.end_column))

    def _span(self, part: Any) -> Span:
        if isinstance(part, lark.Token):
            line, end = self.row - 1 + (part.line or 1), self.row - 1 + (part.end_line or 1)
            return Span(line, part.column or 1, end, part.end_column or 1)
        return part.span

    def _first(self, tree: Any) -> Span:
        while not isinstance(tree, lark.Token):
            tree = tree.children[0]
        return self._span(tree)

    # statements
    def const(self, c: list, span: Span) -> s.Const:
        return s.Const(str(c[1]), c[3], span, self._span(c[1]))

    def def_(self, c: list, span: Span) -> s.Def:
        name, *parameters = _names(c)
        spans = tuple(map(self._span, parameters))
        return s.Def(str(name), tuple(map(str, parameters)), c[-1], span, self._span(name), spans)

    def width(self, c: list, span: Span) -> s.Width:
        return s.Width(str(c[1]), c[3] if len(c) > 2 else None, span, self._span(c[1]))

    def data(self, c: list, span: Span) -> s.Data:
        return s.Data(str(c[1]), c[2].dims, c[4] if len(c) > 3 else None, span, self._span(c[1]))

    def network(self, c: list, span: Span) -> s.Network:
        end = self._span(c[-2])  # the colon does not count: where it is missing, nothing else is wrong
        span = Span(span.line, span.column, end.end_line, end.end_column)
        return s.Network(str(c[1]), tuple(_nodes(c)), (), span, self._span(c[1]))

    def input(self, c: list, span: Span) -> s.Input:
        return s.Input(str(c[0]), c[1].dims, span)

    def loop(self, c: list, span: Span) -> s.Loop:
        return s.Loop(c[0], (), c[0].span)

    def clause(self, c: list, span: Span) -> s.Clause:
        return s.Clause(str(c[1]), c[3], c[5], span, self._span(c[1]))

    def train(self, c: list, span: Span) -> s.Train:
        end = self._span(c[-2])
        span = Span(span.line, span.column, end.end_line, end.end_column)
        self._word(c[2], "on")
        *inputs, targets = (s.Name(str(x), self._span(x)) for x in c[3:-1:2])
        return s.Train(str(c[1]), tuple(inputs), targets, (), span, self._span(c[1]))

    def param(self, c: list, span: Span) -> s.Draw:
        return s.Draw("param", (c[1],), c[3].dims, c[5], span, self._rate(c))

    def random(self, c: list, span: Span) -> s.Draw:
        return s.Draw("random", c[1].targets, c[3].dims, c[5], span, self._rate(c))

    def _rate(self, c: list) -> s.Expr | None:
        if len(c) <= 6:
            return None
        self._word(c[6], "rate")
        return c[7]

    def _word(self, token: lark.Token, word: str) -> None:
        """A name that must be one word here."""
        if token != word:
            raise _Unread(token.start_pos or 0)

    def assign(self, c: list, span: Span) -> s.Assign:
        return s.Assign(c[0], c[2], span)

    def return_(self, c: list, span: Span) -> s.Return:
        return s.Return(c[1], span)

    def show(self, c: list, span: Span) -> s.Show:
        return s.Show(tuple(_nodes(c)), span)

    def targets(self, c: list, span: Span) -> _Targets:
        return _Targets(tuple(_nodes(c)), span)

    def target(self, c: list, span: Span) -> s.Target:
        return s.Target(str(c[0]), tuple(_nodes(c)), span)

    def sizes(self, c: list, span: Span) -> _Sizes:
        return _Sizes(tuple(_nodes(c)), span)

    # expressions
    def comprehension(self, c: list, span: Span) -> s.Comprehension:
        return s.Comprehension(c[0], tuple(c[1:]), span)

    def chain(self, c: list, span: Span) -> s.Chain:
        return s.Chain(c[0], tuple((str(c[i]), c[i + 1]) for i in range(1, len(c), 2)), span)

    def signed(self, c: list, span: Span) -> s.Signed:
        return s.Signed(str(c[0]), c[1], span)

    def power(self, c: list, span: Span) -> s.Power:
        return s.Power(c[0], c[2], span)

    def indexed(self, c: list, span: Span) -> s.Indexed:
        return s.Indexed(c[0], tuple(_nodes(c[1:])), span)

    def transposed(self, c: list, span: Span) -> s.Transposed:
        return s.Transposed(c[0], span)

    def slice(self, c: list, span: Span) -> s.Slice:
        return s.Slice(c[0], c[2], span)

    def number(self, c: list, span: Span) -> s.Number:
        return s.Number(_exact(str(c[0])), span)

    def string(self, c: list, span: Span) -> s.String:
        return s.String(str(c[0])[1:-1], span)

    def name(self, c: list, span: Span) -> s.Name:
        return s.Name(str(c[0]), span)

    def call(self, c: list, span: Span) -> s.Call:
        parts = _nodes(c)
        arguments = tuple(p for p in parts if not isinstance(p, _Keyword))
        keywords = tuple((p.name, p.value) for p in parts if isinstance(p, _Keyword))
        return s.Call(str(c[0]), arguments, keywords, span, self._span(c[0]))

    def keyword(self, c: list, span: Span) -> _Keyword:
        return _Keyword(str(c[0]), c[2], span)

    def group(self, c: list, span: Span) -> s.Expr:
        return replace(c[1], span=span)

    def list_of(self, c: list, span: Span) -> s.ListOf:
        return s.ListOf(tuple(_nodes(c)), span)


def _names(children: list) -> list[lark.Token]:
    return [c for c in children if isinstance(c, lark.Token) and c.type == "NAME"]


def _nodes(children: list) -> list[Any]:
    return [c for c in children if not isinstance(c, lark.Token)]


_LARGEST = Fraction(10) ** 400  # stands for every number beyond: too large for all that follows


def _exact(text: str) -> Fraction:
    """A decimal as a rational. Beyond 1e400 it is 1e400, which every later bound refuses; below 1e-400 it is 0."""
    if len(text) < 100 and text.isdecimal():
        return Fraction(int(text))
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    digits = (whole + decimals).lstrip("0")
    size = int(exponent.lstrip("+-0")[:10] or "0")
    shift = (-size if exponent.startswith("-") else size) - len(decimals)
    if len(digits) > 800:
        digits, shift = digits[:800], shift + len(digits) - 800
    if not digits or len(digits) + shift < -400:
        return Fraction(0)
    return Fraction(int(digits)) * Fraction(10) ** shift if len(digits) + shift <= 401 else _LARGEST
