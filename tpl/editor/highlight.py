"""The language's words and signs for highlighters: one list of rules, from which the TextMate grammar and the Pygments
lexer are made.

The words come from `words`, so a new function of the language is coloured without a change here. `python -m
tpl.editor.highlight` writes grammar/tpl.tmLanguage.json anew.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tpl.editor.words import NAMES
from tpl.language.training_words import OF_GRAMS, OF_VECTORS

NAME = r"[^\W\d]\w*"
DECLARATIONS = ("const", "def", "width", "data", "network", "param", "random", "train")
OPERATOR_WORDS = ("mod",)
CONTEXT_WORDS = ("on", "rate")  # words in one place each: a train block's heading, after the law of a param
SCOPE = "source.tp"


@dataclass(frozen=True)
class Rule:
    """A pattern and what it is: the TextMate scope, and the path of the Pygments token."""

    pattern: str
    scope: str
    token: str


def _any(words: Iterable[str]) -> str:
    """One of some words, whole; longer ones first, so that none hides another."""
    return rf"(?<!\w)(?:{'|'.join(sorted(words, key=lambda w: (-len(w), w)))})(?!\w)"


def rules() -> tuple[Rule, ...]:
    """The rules in order: the first that matches at a place wins. Docstrings are apart."""
    control = [x for x in NAMES["keyword"] if x not in (*DECLARATIONS, *OPERATOR_WORDS)]
    called = r"(?=\s*\()"
    return (
        Rule(r"#[^\n]*", "comment.line.number-sign.tp", "Comment.Single"),
        Rule(r"\"[^\"\n]*\"|'[^'\n]*'", "string.quoted.tp", "String"),
        Rule(r"(?<![\w.])(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w)", "constant.numeric.tp", "Number"),
        Rule(r"(?<=\.\.)(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w)", "constant.numeric.tp", "Number"),
        Rule(rf"(?<=def ){NAME}|(?<=network ){NAME}", "entity.name.function.tp", "Name.Function"),
        Rule(_any(DECLARATIONS), "storage.type.tp", "Keyword.Declaration"),
        Rule(_any(control), "keyword.control.tp", "Keyword"),
        Rule(_any(OPERATOR_WORDS), "keyword.operator.word.tp", "Operator.Word"),
        Rule(rf"{_any(CONTEXT_WORDS)}(?=[ \t]+[\w(])", "keyword.other.tp", "Keyword"),
        Rule(_any(NAMES["function"]) + called, "support.function.tp", "Name.Builtin"),
        Rule(_any(NAMES["generator"]) + called, "support.function.data.tp", "Name.Builtin"),
        Rule(_any((*OF_VECTORS, *OF_GRAMS)) + called, "support.function.measure.tp", "Name.Builtin"),
        Rule(rf"{_any(NAMES['setting'])}(?=[ \t]*=)", "support.type.property-name.tp", "Name.Attribute"),
        Rule(rf"(?<== ){_any(NAMES['choice'])}", "support.constant.tp", "Name.Constant"),
        Rule(_any(NAMES["constant"]), "constant.language.tp", "Name.Constant"),
        Rule(NAME, "variable.other.tp", "Name"),
        Rule(r"\.T(?!\w)|\.\.|[-+*/@^=~]", "keyword.operator.tp", "Operator"),
        Rule(r"[()\[\],:]", "punctuation.tp", "Punctuation"),
    )


def textmate() -> dict[str, Any]:
    """The TextMate grammar."""
    docstring = {
        "name": "string.quoted.docstring.tp", "begin": '"""', "end": '"""',
        "patterns": [{"match": r"\\.", "name": "constant.character.escape.tp"}],
    }  # fmt: skip
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "Tensor program",
        "scopeName": SCOPE,
        "fileTypes": ["tp"],
        "patterns": [docstring, *({"match": x.pattern, "name": x.scope} for x in rules())],
    }


def textmate_text() -> str:
    """The TextMate grammar as its file has it."""
    return json.dumps(textmate(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the TextMate grammar of this checkout."""
    from tpl.resources import grammar_dir

    path: Path = grammar_dir() / "tpl.tmLanguage.json"
    path.write_text(textmate_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
