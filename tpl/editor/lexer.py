"""The Pygments lexer of the language: ```tp fences in Markdown, LaTeX listings, terminals.

It is part of the package, not of `grammar/`, so that Pygments finds it by its entry point wherever tpl is installed.
"""

from functools import reduce
from typing import Any, ClassVar

from pygments.lexer import RegexLexer
from pygments.token import Token, Whitespace, _TokenType

from tpl.editor.highlight import rules


def _token(path: str) -> _TokenType:
    root = Token.Literal if path.split(".")[0] in ("String", "Number") else Token
    return reduce(getattr, path.split("."), root)  # type: ignore[arg-type]


class TensorProgramLexer(RegexLexer):
    """Tensor programs (`.tp` files). What is no word or sign of the language is an error token."""

    name = "Tensor program"
    url = "https://arxiv.org/abs/1910.12478"
    aliases: ClassVar[list[str]] = ["tp", "tpl", "tp-error"]
    filenames: ClassVar[list[str]] = ["*.tp"]
    tokens: ClassVar[dict[str, Any]] = {
        "root": [
            (r"\s+", Whitespace),
            (r'"""(?:[^"\\]|\\.|"(?!""))*"""', Token.Literal.String.Doc),
            *((rule.pattern, _token(rule.token)) for rule in rules()),
        ],
    }

    def analyse_text(text: str) -> float:  # type: ignore[misc]
        """How likely a text is a tensor program: it names a width that goes to infinity, and shows something."""
        rows = [row.split("#")[0].split() for row in text.split("\n")]
        return 0.4 * any(row[:1] == ["width"] for row in rows) + 0.2 * any(row[:1] == ["show"] for row in rows)
