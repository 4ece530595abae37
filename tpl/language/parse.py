"""From text to syntax. The only module that imports lark."""

import re
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import Any

import lark
from lark.indenter import Indenter

from tpl.language import syntax as s
from tpl.language.source import Diagnostic, Source, Span
from tpl.resources import grammar_dir

MAX_NESTING = 100  # of expressions and of blocks: bounds every recursion over syntax
MAX_SYNTAX_ERRORS = 20
MAX_SOURCE = 4_000_000  # characters


class _Indentation(Indenter):
    NL_type = "_NL"
    OPEN_PAREN_types = ["LPAR", "LSQB"]  # noqa: RUF012 (lark's interface)
    CLOSE_PAREN_types = ["RPAR", "RSQB"]  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 8


@cache
def _parser() -> lark.Lark:
    grammar = (grammar_dir() / "tpl.lark").read_text(encoding="utf-8")
    return lark.Lark(
        grammar, parser="lalr", postlex=_Indentation(), propagate_positions=True, maybe_placeholders=False
    )


def parse(source: Source) -> tuple[s.File, list[Diagnostic], set[str]]:
    """Parse a source.

    Returns the syntax of all statements that could be read, a diagnostic for each that could not, and the
    names that the unread ones would have defined (so that later stages do not call them unknown).
    """
    if len(source.text) > MAX_SOURCE:
        text = f"the program has {len(source.text):,} characters; at most {MAX_SOURCE:,} are read"
        return s.File("", ()), [Diagnostic(None, text)], set()
    diagnostics: list[Diagnostic] = []
    lost: set[str] = set()
    lines = list(source.lines)
    for _ in range(MAX_SYNTAX_ERRORS):
        try:
            tree = _parser().parse("\n".join(lines).replace("\r", " ") + "\n")
        except (lark.UnexpectedInput, lark.indenter.DedentError) as problem:
            diagnostic = _explain(problem, lines, source)
            diagnostics.append(diagnostic)
            at = diagnostic.span.line if diagnostic.span else 1
            if not _blank(lines, at, lost):
                break
            continue
        too_deep = _too_deep(tree)
        if too_deep is not None:
            return s.File("", ()), [*diagnostics, too_deep], lost
        return _Build().transform(tree), diagnostics, lost
    return s.File("", ()), diagnostics, lost


def parse_expression(text: str) -> s.Expr:
    """One expression of the language, without diagnostics. Raises ValueError if it is none."""
    try:
        tree = _parser().parse(f"const x = {text}\n")
    except lark.UnexpectedInput:
        raise ValueError("not an expression") from None
    if _too_deep(tree) is not None:
        raise ValueError("nested too deeply")
    return _Build().transform(tree).statements[0].value


# ------------------------------------------------------------------------------------------ syntax errors

_DEFINES = re.compile(r"\s*(?:(?:const|def|width|data|network|param|random|for)\s+)?([^\W\d]\w*)")


def _blank(lines: list[str], at: int, lost: set[str]) -> bool:
    """Take the statement on a line out of the text, so that the rest can be read. False if nothing is left to take."""
    index = min(at, len(lines)) - 1
    while index > 0 and not lines[index].strip():
        index -= 1
    line = lines[index]
    defined = _DEFINES.match(line)
    if defined:
        lost.add(defined[1])
    code = line.split("#")[0].rstrip()
    indent = line[: len(line) - len(line.lstrip())]
    # A block header keeps its place as a header, so that its body still parses.
    lines[index] = f"{indent}for _ in 1..1:" if code.endswith(":") and "1..1" not in code else ""
    return line != lines[index]


_KEYWORD_OTHERWISE = {
    "lambda": "write `def f(z) = …`",
    "import": "a program stands alone; data come in with `data`",
    "if": "there are no conditionals: index arithmetic and max/min/step take their place",
    "while": "loops have fixed ranges: `for i in 1..10:`",
    "elif": "there are no conditionals",
    "else": "there are no conditionals",
    "let": "just write `name = …`",
    "print": "write `show …`",
}

_TOKEN_NAMES = {
    "NAME": "a name", "NUMBER": "a number", "STRING": "a string", "_NL": "the end of the line",
    "_INDENT": "an indented block", "_DEDENT": "the end of the block", "$END": "the end of the file",
    "SIGN": "`+` or `-`", "TIMES": "`*`, `/`, `@` or `mod`", "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`",
    "RSQB": "`]`", "COMMA": "`,`", "COLON": "`:`", "EQUAL": "`=`", "TILDE": "`~`", "CIRCUMFLEX": "`^`",
    "__ANON_0": "`..`", "_TRANSPOSE": "`.T`", "DOCSTRING": "a docstring",
}  # fmt: skip


def _explain(problem: Exception, lines: list[str], source: Source) -> Diagnostic:
    if isinstance(problem, lark.UnexpectedCharacters):
        return _explain_character(problem, lines)
    if isinstance(problem, lark.UnexpectedToken):
        return _explain_token(problem, lines)
    if isinstance(problem, lark.UnexpectedEOF):
        return Diagnostic(_at(len(lines), len(lines[-1]) + 1), "the program ends too early")
    # DedentError carries no position; find the line whose indentation fits no open block.
    return Diagnostic(
        _bad_dedent(lines), "this line's indentation matches no block", "indent each block's statements alike"
    )


def _bad_dedent(lines: list[str]) -> Span:
    levels = [0]
    for number, line in enumerate(lines, 1):
        code = line.split("#")[0]
        if not code.strip():
            continue
        depth = len(code.expandtabs(8)) - len(code.expandtabs(8).lstrip())
        if depth > levels[-1]:
            levels.append(depth)
        while levels[-1] > depth:
            levels.pop()
        if levels[-1] != depth:
            return Span(number, 1, number, max(2, len(line) - len(line.lstrip()) + 1))
    return _at(1, 1)


def _at(line: int, column: int, width: int = 1) -> Span:
    return Span(line, column, line, column + width)


def _explain_character(problem: lark.UnexpectedCharacters, lines: list[str]) -> Diagnostic:
    line, column = problem.line, problem.column
    text = lines[line - 1]
    character = text[column - 1] if column <= len(text) else ""
    span = _at(line, column)
    rest = text[column - 1 :]
    if rest.startswith('"""'):
        return Diagnostic(span, "this docstring is not closed, or is not the first thing in the file",
                          'a docstring stands at the top, between """ and """')  # fmt: skip
    if character in "\"'":
        return Diagnostic(span, "this string is not closed")
    bad_number = re.match(r"[\d.]+[^\W\d]\w*|\d+\.(?!\.)", rest)
    if bad_number:
        hint = "a product needs its `*`; a decimal needs a digit after the point"
        return Diagnostic(_at(line, column, len(bad_number[0])), f"`{bad_number[0]}` is not a number", hint)
    keyword = re.match(r"(const|def|width|data|network|param|random|for|in|return|show|mod|train)\b", rest)
    if keyword:
        return _explain_keyword(keyword[1], _at(line, column, len(keyword[1])))
    hints = {"=": "comparisons do not belong to the language", "<": "comparisons do not belong to the language",
             ">": "comparisons do not belong to the language", "!": None, "*": "powers are written `x^2`",
             "·": "a product is written `*`", "{": "index with `[ ]`, group with `( )`", "}": None,
             "²": "powers are written `x^2`", ";": "one statement a line", "%": "remainders are written `a mod b`"}  # fmt: skip
    return Diagnostic(span, f"`{character}` means nothing here", hints.get(character))


def _explain_keyword(word: str, span: Span) -> Diagnostic:
    if word == "train":
        return Diagnostic(span, "`train` is not part of this version of the language")
    return Diagnostic(span, f"`{word}` is a keyword and cannot stand here", "choose another name")


def _explain_token(problem: lark.UnexpectedToken, lines: list[str]) -> Diagnostic:
    token = problem.token
    kind, text = token.type, str(token)
    line, column = int(token.line or len(lines)), int(token.column or 1)
    before = lines[line - 1][: column - 1].strip() if line <= len(lines) else ""
    width = max(1, len(text.split("\n")[0]))
    span = _at(line, column, width)
    if kind == "_NL":
        return _explain_line_end(before, span, problem.accepts or problem.expected)
    if kind in ("_INDENT", "_DEDENT", "$END"):
        return _explain_block(kind, line, lines)
    word = before.split()[0] if before else text
    if word in _KEYWORD_OTHERWISE and (not before or kind == "NAME"):
        return Diagnostic(_at(line, column - len(before.lstrip()) if before else column, len(word)),
                          f"`{word}` is not part of the language", _KEYWORD_OTHERWISE[word])  # fmt: skip
    return Diagnostic(span, f"`{text.strip()}` cannot stand here{_after(before)}", _expected(problem))


def _after(before: str) -> str:
    return f", after `{before[-30:].strip()}`" if before else ""


def _explain_line_end(before: str, span: Span, expected: Iterable[str]) -> Diagnostic:
    span = Span(span.line, span.column, span.line, span.column + 1)
    if before.startswith(("for ", "network ")) and "COLON" in set(expected):
        return Diagnostic(span, "a `:` is missing at the end of this line")
    first = before.split()[0] if before else ""
    if first in _KEYWORD_OTHERWISE:
        start = span.column - len(before)
        return Diagnostic(_at(span.line, max(1, start), len(first)), f"`{first}` is not part of the language",
                          _KEYWORD_OTHERWISE[first])  # fmt: skip
    hint = _expected_names(expected)
    return Diagnostic(span, "this line stops too early" + _after(before), hint)


def _explain_block(kind: str, line: int, lines: list[str]) -> Diagnostic:
    if kind == "_INDENT":
        while line < len(lines) and not lines[line - 1].strip():
            line += 1
        text = lines[line - 1]
        return Diagnostic(Span(line, 1, line, max(2, len(text) - len(text.lstrip()) + 1)),
                          "this line is indented, but no block begins here",
                          "only `for …:` and `network …:` begin a block")  # fmt: skip
    return Diagnostic(_at(min(line, len(lines)), 1), "a block is missing here", "indent at least one statement")


def _expected(problem: lark.UnexpectedToken) -> str | None:
    return _expected_names(problem.accepts or problem.expected)


def _expected_names(expected: Iterable[str]) -> str | None:
    known = sorted({_TOKEN_NAMES.get(t, f"`{t.lower()}`") for t in expected if t not in ("_NL", "_TRANSPOSE", "$END")})
    return f"expected {', '.join(known[:-1])} or {known[-1]}" if 1 < len(known) <= 5 else (
        f"expected {known[0]}" if len(known) == 1 else None
    )  # fmt: skip


def _too_deep(tree: lark.Tree) -> Diagnostic | None:
    stack: list[tuple[lark.Tree, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_NESTING:
            return Diagnostic(_span(node.meta), f"this is nested more than {MAX_NESTING} deep", "name its parts")
        stack.extend((c, depth + 1) for c in node.children if isinstance(c, lark.Tree))
    return None


# ----------------------------------------------------------------------------------------- building syntax


def _span(meta: Any) -> Span:
    if getattr(meta, "empty", False):
        return Span(1, 1, 1, 2)
    return Span(meta.line, meta.column, meta.end_line, meta.end_column)


def _token_span(token: lark.Token) -> Span:
    return Span(token.line or 1, token.column or 1, token.end_line or 1, token.end_column or 2)


def _names(children: Iterable[Any]) -> list[lark.Token]:
    return [c for c in children if isinstance(c, lark.Token)]


@lark.v_args(meta=True)
class _Build(lark.Transformer):
    """One method a rule of the grammar; a rule without one is a bug, and raises."""

    def __default__(self, data: str, children: list, meta: Any) -> Any:
        raise AssertionError(f"no syntax for rule {data}")

    def start(self, meta: Any, c: list) -> s.File:
        title = ""
        if c and isinstance(c[0], lark.Token):
            title = str(c.pop(0))[3:-3].strip()
        return s.File(title, tuple(c))

    # statements
    def const(self, meta: Any, c: list) -> s.Const:
        return s.Const(str(c[0]), c[1], _span(meta), _token_span(c[0]))

    def def_(self, meta: Any, c: list) -> s.Def:
        names = _names(c[:-1])
        return s.Def(str(names[0]), tuple(map(str, names[1:])), c[-1], _span(meta), _token_span(names[0]))

    def width(self, meta: Any, c: list) -> s.Width:
        return s.Width(str(c[0]), c[1] if len(c) > 1 else None, _span(meta), _token_span(c[0]))

    def data(self, meta: Any, c: list) -> s.Data:
        dims, default = c[1], c[2] if len(c) > 2 else None
        return s.Data(str(c[0]), dims, default, _span(meta), _token_span(c[0]))

    def sizes(self, meta: Any, c: list) -> tuple:
        return tuple(c)

    def input(self, meta: Any, c: list) -> s.Input:
        return s.Input(str(c[0]), c[1], _span(meta))

    def network(self, meta: Any, c: list) -> s.Network:
        return s.Network(str(c[0]), tuple(c[1:-1]), c[-1], _span(meta), _token_span(c[0]))

    def block(self, meta: Any, c: list) -> tuple:
        return tuple(c)

    def clause(self, meta: Any, c: list) -> s.Clause:
        return s.Clause(str(c[0]), c[1][0], c[1][1], _span(meta))

    def range(self, meta: Any, c: list) -> tuple:
        return tuple(c)

    def loop(self, meta: Any, c: list) -> s.Loop:
        return s.Loop(c[0], c[1], _span(meta))

    def param(self, meta: Any, c: list) -> s.Draw:
        return s.Draw("param", (c[0],), c[1], c[2], _span(meta))

    def random(self, meta: Any, c: list) -> s.Draw:
        return s.Draw("random", c[0], c[1], c[2], _span(meta))

    def targets(self, meta: Any, c: list) -> tuple:
        return tuple(c)

    def target(self, meta: Any, c: list) -> s.Target:
        return s.Target(str(c[0]), tuple(c[1:]), _span(meta))

    def assign(self, meta: Any, c: list) -> s.Assign:
        return s.Assign(c[0], c[1], _span(meta))

    def return_(self, meta: Any, c: list) -> s.Return:
        return s.Return(c[0], _span(meta))

    def show(self, meta: Any, c: list) -> s.Show:
        return s.Show(tuple(c), _span(meta))

    # expressions
    def comprehension(self, meta: Any, c: list) -> s.Comprehension:
        return s.Comprehension(c[0], tuple(c[1:]), _span(meta))

    def chain(self, meta: Any, c: list) -> s.Chain:
        rest = tuple((str(c[i]), c[i + 1]) for i in range(1, len(c), 2))
        return s.Chain(c[0], rest, _span(meta))

    def signed(self, meta: Any, c: list) -> s.Signed:
        return s.Signed(str(c[0]), c[1], _span(meta))

    def power(self, meta: Any, c: list) -> s.Power:
        return s.Power(c[0], c[1], _span(meta))

    def indexed(self, meta: Any, c: list) -> s.Indexed:
        return s.Indexed(c[0], tuple(c[1:]), _span(meta))

    def transposed(self, meta: Any, c: list) -> s.Transposed:
        return s.Transposed(c[0], _span(meta))

    def slice(self, meta: Any, c: list) -> s.Slice:
        return s.Slice(c[0], c[1], _span(meta))

    def number(self, meta: Any, c: list) -> s.Number:
        return s.Number(_exact(str(c[0])), _span(meta))

    def string(self, meta: Any, c: list) -> s.String:
        return s.String(str(c[0])[1:-1], _span(meta))

    def name(self, meta: Any, c: list) -> s.Name:
        return s.Name(str(c[0]), _span(meta))

    def call(self, meta: Any, c: list) -> s.Call:
        arguments = tuple(a for a in c[1:] if not isinstance(a, tuple))
        keywords = tuple(a for a in c[1:] if isinstance(a, tuple))
        return s.Call(str(c[0]), arguments, keywords, _span(meta), _token_span(c[0]))

    def keyword(self, meta: Any, c: list) -> tuple:
        return str(c[0]), c[1]

    def group(self, meta: Any, c: list) -> Any:
        return c[0]

    def list_of(self, meta: Any, c: list) -> s.ListOf:
        return s.ListOf(tuple(c), _span(meta))


def _exact(text: str) -> Fraction:
    """A decimal as a rational. Huge exponents become 0 or a number that every later bound refuses."""
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent[:8])) > 400:
        return Fraction(0) if exponent.startswith("-") else Fraction(10) ** 400
    if len(mantissa) > 400:
        mantissa = mantissa[:400]
    return Fraction(f"{mantissa}e{exponent}" if exponent else mantissa)
