"""What is wrong with a line that is not of the language, and what to write instead.

A line comes as text, with the offset at which the grammar gave up. Explanations are tried from the most telling to the
least: brackets, words and signs of other languages, the form of the statement, the two tokens that do not fit.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from tpl.language.layout import Brackets

KEYWORDS = (
    "const", "def", "width", "data", "network", "param", "random", "for", "in", "return", "show", "mod", "train",
)  # fmt: skip


class Explanation(NamedTuple):
    """A mistake in a line: the stretch of its text, what is wrong, what to do."""

    start: int
    stop: int
    message: str
    hint: str | None = None


class Token(NamedTuple):
    kind: str
    text: str
    start: int

    @property
    def stop(self) -> int:
        return self.start + len(self.text)


class Trouble(NamedTuple):
    """A line, its tokens, and which of them the grammar refused (their number, if it was the line's end).

    alone: the line would do as an expression.
    """

    text: str
    tokens: list[Token]
    at: int
    alone: bool

    def token(self, i: int) -> Token:
        if 0 <= i < len(self.tokens):
            return self.tokens[i]
        return Token("end", "", len(self.text.rstrip()))

    def is_(self, i: int, *texts: str) -> bool:
        return self.token(i).text in texts

    def kind(self, i: int) -> str:
        return self.token(i).kind

    def say(self, i: int, message: str, hint: str | None = None, last: int | None = None) -> Explanation:
        """An explanation whose caret stands under token i, or under tokens i to last."""
        start, stop = self.token(i).start, self.token(i if last is None else last).stop
        return Explanation(start, max(stop, start + 1), message, hint)

    def find(self, *texts: str) -> int | None:
        """The first token outside all brackets that reads so."""
        depth = 0
        for i, token in enumerate(self.tokens):
            if depth == 0 and token.text in texts:
                return i
            depth += (token.text in "([") - (token.text in ")]")
        return None

    def closing(self, i: int) -> int:
        """The token that closes the bracket at i; the end if there is none."""
        depth = 0
        for j in range(i, len(self.tokens)):
            depth += (self.tokens[j].text in "([") - (self.tokens[j].text in ")]")
            if depth == 0:
                return j
        return len(self.tokens)


_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>\"[^\"\n]*\"|'[^'\n]*')
      | (?P<open>[\"'].*)
      | (?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w|\.(?!\.)))
      | (?P<broken>\d\w*(?:\.(?!\.)\w*)*)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign>==|!=|<=|>=|\*\*|[-+*/@^%]=|:=|->|<-|=>|\.\.\.|\.\.|\.T(?!\w)|//|&&|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)


def tokens_of(text: str) -> list[Token]:
    """The line's words and signs, right or wrong."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind == "space":
            continue
        if kind == "name" and match[0] in KEYWORDS:
            kind = "keyword"
        found.append(Token(kind, match[0], match.start()))
    return found


def explain(text: str, at: int, alone: bool) -> Explanation:
    """at: the offset where the grammar gave up. alone: the line would do as an expression."""
    tokens = tokens_of(text)
    number = next((i for i, t in enumerate(tokens) if t.stop > at), len(tokens))
    trouble = Trouble(text, tokens, number, alone)
    for look in (_foreign_statement, _brackets, _foreign_sign, _statement, _does_nothing, _two_tokens):
        found = look(trouble)
        if found is not None:
            return found
    return _anything(trouble)


_GIVES = ("=", "~", ":", "==", ":=", "<-", *(f"{sign}=" for sign in "+-*/@^%"))


def defined_names(text: str) -> set[str]:
    """The names that an unreadable line would have defined, as far as one can tell; `return` and `show` for those."""
    tokens = tokens_of(text)
    first = tokens[0].text if tokens else ""
    if first in ("return", "show"):
        return {first}
    if first == "network":
        return {t.text for t in tokens if t.kind == "name"}
    stop = next((i for i, t in enumerate(tokens) if t.text in _GIVES or t.text == "in"), None)
    if stop is None and (first in _FOREIGN_STATEMENTS or first in ("train", "for") or len(tokens) < 2):
        return set()
    if first in ("data", "random", "for"):
        return {t.text for t in tokens[:stop] if t.kind == "name"}
    found, depth = [], 0
    for token in tokens[:stop]:
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if token.kind == "name" and depth == 0:
            found.append(token.text)
    return set(found if stop is not None else found[:1])


# ---------------------------------------------------------------------------------------------- other languages

_CONDITIONS = "there are no conditions: `step(x)` is 1 where x > 0 and 0 where x < 0"
_LOOPS = "loops go over ranges: `for i in 1..10:`"
_FOREIGN_STATEMENTS = {
    "if": _CONDITIONS, "elif": _CONDITIONS, "else": _CONDITIONS, "while": _LOOPS, "until": _LOOPS, "do": _LOOPS,
    "import": "a program stands alone; numbers come in with `data`",
    "from": "a program stands alone; numbers come in with `data`",
    "class": "an architecture is a `network`", "print": "write `show …`", "let": "write `name = …`",
    "var": "write `name = …`", "function": "write `def f(z) = …`", "fn": "write `def f(z) = …`",
    "func": "write `def f(z) = …`", "begin": "a block is indented", "end": "a block ends where its indentation ends",
    "pass": "leave it out", "break": _LOOPS, "continue": _LOOPS, "with": None, "try": None, "except": None,
    "finally": None, "raise": None, "assert": None, "global": None, "del": None, "yield": None, "switch": _CONDITIONS,
}  # fmt: skip


def _foreign_statement(t: Trouble) -> Explanation | None:
    word = t.token(0).text
    if word == "train":
        return t.say(0, "`train` is not part of this version of the language",
                     "kernels of a network at initialization: `show nngp(f, X)`, `show ntk(f, X)`")  # fmt: skip
    if word in _FOREIGN_STATEMENTS and not t.is_(1, "=", "["):
        return t.say(0, f"`{word}` is not part of the language", _FOREIGN_STATEMENTS[word])
    return None


_COMPARE = "there are no comparisons: `step(x - y)` is 1 where x > y and 0 where x < y"
_POWER, _ASSIGN = "powers are written `x^2`", "write `name = …`"
_IN_PLACE = "a name keeps its value: give the new one another name, or an index as in `x[t+1] = x[t] + y`"
_FOREIGN_SIGNS = {
    "==": "a name gets its value by a single `=`", "!=": _COMPARE, "<=": _COMPARE, ">=": _COMPARE, "<": _COMPARE,
    ">": _COMPARE, "≤": _COMPARE, "≥": _COMPARE, "≠": _COMPARE, "**": _POWER, "²": _POWER, "³": _POWER,
    "+=": _IN_PLACE, "-=": _IN_PLACE, "*=": _IN_PLACE, "/=": _IN_PLACE, "@=": _IN_PLACE, "^=": _IN_PLACE, "%=": _IN_PLACE,
    ":=": _ASSIGN, "<-": _ASSIGN, "->": None, "=>": None, "...": "a range has two points: `1..3`", "…": "a range is written `1..3`",
    "%": "remainders are written `a mod b`", "//": "numbers are divided by `/`", "&&": None, "||": None, "&": None,
    "|": "the absolute value is written `abs(x)`", "{": "indices go in `[ ]`, groups in `( )`",
    "}": "indices go in `[ ]`, groups in `( )`", ";": "write one statement a line", "!": None, "?": None, "$": None,
    "\\": "an open bracket continues a line: put the expression in `( )`", "`": None, "−": "the minus sign is `-`",
    "–": "the minus sign is `-`", "—": "the minus sign is `-`", "×": "products are written `*`", "·": "products are written `*`",
    "⋅": "products are written `*`", "∗": "products are written `*`", "÷": "quotients are written `/`",
    "√": "square roots are written `sqrt(x)`", "∑": "sums are written `sum(x[i] for i in 1..3)`", "∼": "write `~`", "∈": "write `in`",
    "“": "strings stand in `\"`", "”": "strings stand in `\"`", "‘": "strings stand in `'`", "’": "strings stand in `'`",
    "⊤": "the transpose is written `W.T`", "∞": None, "⊙": "coordinatewise products are written `*`",
    "∘": "coordinatewise products are written `*`",
}  # fmt: skip
_ATTRIBUTES = {
    "t": "the transpose is written `W.T`", "transpose": "the transpose is written `W.T`", "mean": "averages are written `avg(x)`",
    "sum": "sums are written `sum(x[i] for i in 1..3)`", "shape": None, "dot": "products are written `W @ x`",
    "matmul": "products are written `W @ x`",
}  # fmt: skip


def _foreign_sign(t: Trouble) -> Explanation | None:
    """The first sign that stands nowhere in the language, if the grammar gave up there."""
    for i, token in enumerate(t.tokens):
        if i > t.at + 1:
            return None
        found = _foreign_token(t, i, token)
        if found is not None:
            return found
    return None


def _foreign_token(t: Trouble, i: int, token: Token) -> Explanation | None:
    text = token.text
    if token.kind == "open":
        span = token.start, token.start + 1
        if t.text[: token.start][-1:].isidentifier():
            return Explanation(*span, f"`{text[0]}` cannot be part of a name", "names hold letters, digits and `_`")
        return Explanation(*span, "this string is never closed", f"end it with another `{text[0]}`")
    if token.kind == "broken":
        return t.say(i, f"`{_short(text)}` is not a number", _number_hint(text))
    if text == "." and t.kind(i + 1) == "name":
        return _attribute(t, i)
    if text == "lambda" and t.kind(i + 1) in ("name", "sign") and not t.is_(i + 1, "=", *")],+-*/^@"):
        return t.say(i, "`lambda` is not part of the language", "write `def f(z) = …`")
    if i == t.at and text in ("and", "or", "not", "is", "if", "else"):
        return t.say(i, f"`{text}` is not part of the language", _CONDITIONS)
    if token.kind != "sign" or len(text) == 1 and text in "()[]+-*/@^,:=~." or text in ("..", ".T"):
        return None
    if text == "==" and t.is_(0, "const", "def", "show", "return") | any(x.text == "=" for x in t.tokens[:i]):
        return t.say(i, "`==` is not part of the language", _COMPARE)
    if text in _FOREIGN_SIGNS:
        return t.say(i, f"`{text}` is not part of the language", _FOREIGN_SIGNS[text])
    if not text.isprintable():
        return t.say(i, f"this is an invisible character (U+{ord(text):04X})", "delete it, and type the line again")
    return t.say(i, f"`{text}` is not part of the language")


def _number_hint(text: str) -> str:
    product = re.fullmatch(r"(\d+(?:\.\d+)?)([^\W\d_]\w*)", text)
    if product and not re.fullmatch(r"0[xX].*|.*\d[eE]\d*", text):
        return f"a product needs its `*`: `{product[1]} * {product[2]}`"
    if re.fullmatch(r"[\d_]+", text):
        return f"write `{text.replace('_', '')}`"
    if re.fullmatch(r"\d+\.", text):
        return f"write `{text}0`, or `{text[:-1]}`"
    return "numbers are written `3`, `0.5` or `1e-3`"


def _attribute(t: Trouble, dot: int) -> Explanation:
    word = t.token(dot + 1).text
    if t.is_(dot - 1, "np", "numpy", "torch", "jnp", "math", "tf", "nn", "F", "jax"):
        return t.say(dot - 1, f"`{t.token(dot - 1).text}.` is not part of the language",
                     f"functions are called by their names alone: `{word}(x)`", dot + 1)  # fmt: skip
    return t.say(dot, f"`.{word}` is not part of the language", _ATTRIBUTES.get(word), dot + 1)


# ---------------------------------------------------------------------------------------------- brackets


def _brackets(t: Trouble) -> Explanation | None:
    brackets, wrong = Brackets(), None
    for i, token in enumerate(t.tokens):
        if i <= t.at and i < len(t.tokens) and _foreign_token(t, i, token) is not None:
            return None  # what comes first is told first
        if token.text in ("(", "[", ")", "]"):
            wrong = brackets.meet(token.text, i)
            if wrong is not None:
                break
    if wrong is None and brackets.open:
        wrong = brackets.open[-1][1]
    if wrong is None:
        return None
    sign = t.token(wrong).text
    if sign in ")]" and brackets.open:
        return t.say(wrong, f"this `{sign}` cannot close the `{brackets.open[-1][0]}` before it", "close it by its partner")
    if sign in ")]":
        return t.say(wrong, f"this `{sign}` closes nothing", f"remove it, or add the `{Brackets.PARTNER[sign]}` it belongs to")
    return t.say(wrong, f"this `{sign}` is never closed", "add the `)`" if sign == "(" else "add the `]`")


# ---------------------------------------------------------------------------------------------- statements


def _statement(t: Trouble) -> Explanation | None:
    look = _STATEMENTS.get(t.token(0).text)
    if look is not None:
        return look(t)
    return None if t.kind(0) == "keyword" else _assignment(t)


def _named(t: Trouble, what: str, example: str) -> Explanation | None:
    """The keyword must be followed by a name."""
    if t.kind(1) == "keyword":
        return _reserved(t, 1)
    if t.kind(1) != "name":
        return t.say(1, f"{what} needs a name", example)
    return None


def _reserved(t: Trouble, i: int) -> Explanation:
    return t.say(i, f"`{t.token(i).text}` is a keyword, and cannot be a name", "choose another name")


def _const(t: Trouble) -> Explanation | None:
    example = "for instance `const L = 3`"
    if found := _named(t, "a const", example):
        return found
    if t.is_(2, "("):
        return t.say(2, "a const is a number, and has no parameters", f"a function is a def: `def {t.token(1).text}(z) = …`")
    if t.is_(2, "["):
        return t.say(2, "a const has no index", "a list of numbers is a const too: `const a = [1, 2, 3]`")
    if not t.is_(2, "="):
        return t.say(2, f"a `=` is missing after `{t.token(1).text}`", example)
    return None


def _def(t: Trouble) -> Explanation | None:
    example = "for instance `def phi(z) = relu(z)`"
    if found := _named(t, "a def", example):
        return found
    if not t.is_(2, "("):
        return t.say(2, f"`{t.token(1).text}` needs its parameters in parentheses", f"{example}; a number is a `const`")
    close = t.closing(2)
    for i in range(3, close):
        if t.kind(i) == "keyword":
            return _reserved(t, i)
        if t.kind(i) != "name" and not t.is_(i, ","):
            return t.say(i, "the parameters of a def are names", example)
    if t.is_(close + 1, ":"):
        return t.say(close + 1, "a def is one line, with `=`", example)
    if t.at <= close + 1 and not t.is_(close + 1, "="):
        return t.say(close + 1, "a `=` is missing after the parameters", example)
    return None


def _width(t: Trouble) -> Explanation | None:
    if found := _named(t, "a width", "for instance `width n`"):
        return found
    if t.is_(2, ","):
        return t.say(2, "declare one width a line", "further ones are multiples of the first: `width m = 2 * n`")
    if t.at == 2 and not t.is_(2, "="):
        return t.say(2, "a width is declared by its name alone, or as a multiple of another", "`width n`, `width m = 2 * n`")
    return None


def _data(t: Trouble) -> Explanation | None:
    name = t.token(1).text
    if found := _named(t, "`data`", "for instance `data X[N, d] = sphere(4, 10)`"):
        return found
    if not t.is_(2, "["):
        return t.say(2, f"the sizes of `{name}` are missing", f"for instance `data {name}[N, d] = sphere(4, 10)`")
    close = t.closing(2)
    if t.at == close + 1:
        return t.say(close + 1, "a `=` is missing before the data", f"for instance `data {name}[N, d] = sphere(4, 10)`")
    return None


def _network(t: Trouble) -> Explanation | None:
    example = "for instance `network f(xi[d]):`"
    if found := _named(t, "a network", example):
        return found
    if not t.is_(2, "("):
        return t.say(2, f"the inputs of `{t.token(1).text}` are missing", example)
    close = t.closing(2)
    if t.at > close:
        return _after_heading(t, close + 1)
    if t.kind(t.at) == "keyword":
        return _reserved(t, t.at)
    if close == 3:
        return t.say(3, "a network needs an input", example)
    if t.kind(t.at - 1) == "name" and t.is_(t.at, ":", ",", ")"):
        name = t.token(t.at - 1).text
        return t.say(t.at - 1, f"the size of the input `{name}` is missing", f"write `{name}[d]`")
    return None


def _after_heading(t: Trouble, i: int) -> Explanation | None:
    """What stands after a heading's own words: its colon, and then perhaps a statement."""
    colon = t.find(":")
    if colon is None and t.at == i:
        return t.say(i, "a `:` is missing here", "it ends the heading; the block below is indented")
    if colon is not None and t.at == colon + 1 and t.kind(t.at) == "keyword":
        word = t.token(t.at).text
        return t.say(t.at, f"`{word}` cannot stand on the heading's line", "put it on its own line, indented")
    return None


def _for(t: Trouble) -> Explanation | None:
    example = "for instance `for i in 1..3:`"
    if t.is_(1, "("):
        return t.say(1, "a loop is written without parentheses", example)
    if found := _named(t, "a loop", example):
        return found
    if t.is_(2, ","):
        return t.say(2, "a loop has one variable", "put a second loop inside it")
    if t.is_(2, "="):
        return t.say(2, "a loop's range follows `in`, not `=`", f"for instance `for {t.token(1).text} in 1..3:`")
    if not t.is_(2, "in"):
        return t.say(2, f"`in` is missing after `{t.token(1).text}`", example)
    return _range(t, 3)


def _range(t: Trouble, i: int) -> Explanation | None:
    """What follows the `in` of a loop or of a comprehension."""
    hint = "ranges are written `1..3`, and hold both ends"
    if t.is_(i, "range") and t.is_(i + 1, "("):
        return t.say(i, "`range` is not part of the language", hint, t.closing(i + 1))
    if t.is_(i, "["):
        return t.say(i, "loops go over ranges, not lists", hint)
    if t.at >= len(t.tokens):
        return t.say(t.at, "the range stops too early", hint) if t.find("..") is None else None
    if t.is_(t.at, ",", ":", "to", "for", ")", "do") and not any(x.text == ".." for x in t.tokens[i : t.at]):
        return t.say(t.at, "a range is missing its `..`", hint)
    return _after_heading(t, t.at) if t.is_(0, "for") and t.kind(t.at) in ("name", "keyword") else None


def _draw(t: Trouble) -> Explanation | None:
    word, shape = t.token(0).text, "[n, n]"
    example = f"for instance `{word} W : {shape} ~ N(0, 1/n)`"
    if t.is_(1, "(") and word == "random":
        after = t.closing(1) + 1
    elif found := _named(t, f"`{word}`", example):
        return found
    else:
        after = t.closing(2) + 1 if t.is_(2, "[") else 2
    name = t.text[t.token(1).start : t.token(after - 1).stop]
    if t.is_(after, ","):
        hint = "vectors with a joint law: `random (x, y) : [n] ~ …`" if word == "random" else None
        return t.say(after, "draw one array a line", hint)
    if t.is_(after, "~", "end", "=") or after >= len(t.tokens):
        return t.say(after, f"a `:` and the shape of `{t.token(1).text}` are missing here", example)
    if t.is_(after, "["):
        return t.say(after, f"a `:` is missing after `{name}`", example)
    if t.is_(after, ":") and not t.is_(after + 1, "["):
        return t.say(after + 1, "a shape stands in brackets", f"vectors are `{word} x : [n] ~ …`, matrices `{word} W : [n, n] ~ …`")
    close = t.closing(after + 1) if t.is_(after, ":") else after
    if t.is_(after, ":") and t.is_(close + 1, "="):
        return t.say(close + 1, "a law follows `~`, not `=`", example)
    if t.is_(after, ":") and t.at == close + 1:
        return t.say(close + 1, "a `~` and a law are missing here", example)
    return None


def _return(t: Trouble) -> Explanation | None:
    if len(t.tokens) == 1:
        return t.say(1, "it is missing what to return", "a readout of the features: `return v @ x`")
    if t.is_(t.at, ",") and t.find(",") == t.at:
        return t.say(t.at, "a network returns one thing", "several outputs form a list: `return [v @ x, v @ y]`")
    return None


def _show(t: Trouble) -> Explanation | None:
    if len(t.tokens) == 1:
        return t.say(1, "it is missing what to show", "for instance `show avg(x^2)` or `show nngp(f, X)`")
    return None


def _assignment(t: Trouble) -> Explanation | None:
    """A line that begins with no keyword should read `name = …`."""
    name, equals = t.token(0).text, t.find("=")
    if t.is_(1, "(") and equals is not None and t.is_(t.closing(1) + 1, "=") and t.kind(0) == "name":
        return t.say(0, "a function begins with `def`", f"`def {name}(…) = …`")
    after = t.closing(1) + 1 if t.is_(1, "[") else 1
    if t.kind(0) == "name" and t.is_(after, "~", ":") and t.find("~") is not None:
        return t.say(0, "what is drawn from a law begins with `random` or `param`",
                     f"write `random {name} : …`, or `param {name} : …` for a parameter of a network")  # fmt: skip
    if t.is_(after, ","):
        return t.say(after, "give one name a value at a time")
    if equals is not None and t.at < equals and not t.alone:
        if t.kind(0) == "name" and t.is_(1, ".T"):
            return t.say(0, "only a name gets a value, or a name with an index", f"`A = {name}.T`", equals - 1)
        return t.say(0, "only a name gets a value, or a name with an index", "`h = …`, `h[1] = …`", equals - 1)
    if equals is not None and t.at > equals and t.is_(t.at, "=") and t.find("=") != t.at:
        depth = sum((x.text in "([") - (x.text in ")]") for x in t.tokens[: t.at])
        return t.say(t.at, "a line gives one name its value") if depth == 0 else None
    if t.kind(0) == "name" and t.is_(1, "in"):
        return t.say(0, "a loop begins with `for`", f"`for {name} in …:`")
    if equals is None and t.kind(0) == "name" and t.at == after and t.kind(after) in ("name", "number", "string", "keyword"):
        return t.say(after, f"is a `=` missing after `{t.text[: t.token(after - 1).stop].strip()}`?", f"`{name} = …` gives it a value")
    return None


_STATEMENTS = {
    "const": _const, "def": _def, "width": _width, "data": _data, "network": _network, "for": _for, "param": _draw,
    "random": _draw, "return": _return, "show": _show,
}  # fmt: skip


def _does_nothing(t: Trouble) -> Explanation | None:
    if t.alone and t.kind(0) != "keyword":
        return t.say(0, "this line does nothing", "give the value a name, `y = …`, or `show` it", len(t.tokens) - 1)
    return None


# ---------------------------------------------------------------------------------------------- two tokens

_OPERATORS = ("+", "-", "*", "/", "@", "^", "mod")
_OPERANDS = ("name", "number", "string")


def _two_tokens(t: Trouble) -> Explanation | None:
    before, here = t.token(t.at - 1), t.token(t.at)
    ends = before.kind in _OPERANDS or before.text in (")", "]", ".T")
    if here.kind == "end":
        return _stops_early(t, before)
    if here.text == "..":
        return t.say(t.at, "a range cannot stand here", "it stands in an index, `x[1..3]`, or after `in`")
    if here.text == "for" and ends:
        return t.say(t.at, "`for` cannot stand here", "`x[i] for i in 1..3` stands in `sum(…)`, `avg(…)` or `softmax(…)`, "
                     "after `show`, or after `return`")  # fmt: skip
    if here.text == "," and _inside(t, "(") and ends:
        return t.say(t.at, "`,` cannot stand here", "a list is written `[x, y]`")
    if here.text == ":" and _inside(t, "["):
        return t.say(t.at, "`:` cannot stand in an index", "ranges are written `1..3`")
    if before.text == "in" or _after_in(t):
        found = _range(t, _in_before(t) + 1)
        if found is not None:
            return found
    if here.kind == "keyword" and not ends:
        return _reserved(t, t.at)
    if ends and (here.kind in _OPERANDS or here.text == "("):
        return _missing_operator(t, before, here)
    if here.text in (")", "]") and before.text in ("(", "[", ",") or here.text == "," and before.text in ("(", "[", ","):
        return t.say(t.at, f"something is missing before this `{here.text}`")
    if before.text in _OPERATORS and (here.text in (*_OPERATORS, ")", "]", ",", "=", ":")):
        return t.say(t.at, f"something is missing between `{before.text}` and `{here.text}`")
    return None


def _stops_early(t: Trouble, before: Token) -> Explanation:
    hints = {"=": "a value is missing", "~": "a law is missing: `N(0, 1)`", "in": "a range is missing: `1..3`"}
    hint = "an operand is missing; a line goes on below only inside brackets" if before.text in _OPERATORS else hints.get(before.text)
    message = f"the line stops too early, after `{_short(before.text)}`" if before.text else "this line is empty"
    return t.say(t.at, message, hint)


def _missing_operator(t: Trouble, before: Token, here: Token) -> Explanation:
    if here.text in ("T", "ᵀ"):
        hint = "the transpose is written `W.T`"
    elif before.kind == "number" or here.kind == "number" or here.text == "(":
        hint = "a product is written `a * b`"
    else:
        hint = "a product with a matrix is written `W @ x`, any other `a * b`"
    return t.say(t.at, f"an operator is missing between `{_short(before.text)}` and `{_short(here.text)}`", hint)


def _inside(t: Trouble, bracket: str) -> bool:
    brackets = Brackets()
    for i, token in enumerate(t.tokens[: t.at]):
        if token.text in ("(", "[", ")", "]"):
            brackets.meet(token.text, i)
    return bool(brackets.open) and brackets.open[-1][0] == bracket


def _in_before(t: Trouble) -> int:
    return max((i for i, token in enumerate(t.tokens[: t.at]) if token.text == "in"), default=-1)


def _after_in(t: Trouble) -> bool:
    """Is the range of a comprehension being read?"""
    start = _in_before(t)
    return start >= 0 and not any(token.text == ".." for token in t.tokens[start : t.at])


def _anything(t: Trouble) -> Explanation:
    here = t.token(t.at)
    after = f", after `{_short(t.token(t.at - 1).text)}`" if t.at else " at the beginning of a line"
    return t.say(t.at, f"`{_short(here.text)}` cannot stand here{after}")


def _short(text: str, limit: int = 30) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def too_deep(text: str, limit: int) -> Explanation | None:
    """Are its brackets nested deeper than `limit`?"""
    brackets = Brackets()
    for token in _bracket_signs(text):
        brackets.meet(text[token], token)
        if len(brackets.open) > limit:
            return Explanation(token, token + 1, f"brackets are nested more than {limit} deep here", "give the inner parts names")
    return None


def _bracket_signs(text: str) -> Iterable[int]:
    return (m.start() for m in re.finditer(r"[()\[\]]|\"[^\"\n]*\"?|'[^'\n]*'?", text) if m[0] in ("(", "[", ")", "]"))
