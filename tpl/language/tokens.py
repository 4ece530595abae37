"""A line that could not be read, as words and signs."""

import re
from typing import NamedTuple

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

    def upto(self, i: int) -> str:
        """The line up to token i, as an example begins."""
        return " ".join(self.text[: self.token(i).stop].split())

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


def short(text: str, limit: int = 30) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
