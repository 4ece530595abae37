"""Highlighters against the grammar itself: every leaf of every bundled program gets the right colour, from both of them."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename, guess_lexer
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String

from tpl.editor.highlight import CONTEXT_WORDS, DECLARATIONS, rules, textmate_text
from tpl.editor.lexer import TensorProgramLexer
from tpl.editor.words import NAMES
from tpl.language.layout import docstring_rows, lay_out
from tpl.language.parse import parse, parse_line
from tpl.language.source import Source
from tpl.pipeline import bundled_experiments, bundled_programs
from tpl.resources import grammar_dir

TEXTS = {n: p.read_text(encoding="utf-8") for n, p in (bundled_programs() | bundled_experiments()).items()}
PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
EXAMPLES = {
    f"{page.stem}-{i}": text
    for page in PAGES
    for i, text in enumerate(re.findall(r"^```tp[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S))
}
OTHERS = {
    "numbers": "const a = 1e3 + .5 - 2.5e-2 * 3\nx = sum(h[t] for t in 1..2.5)\ny = s[1, 1...5]\n",
    "letters": "const σ_w = 1\n𝛔2 = W.T @ ξ[l-1] ^ 2 mod P\nshow avg(𝛔2)  # Greek\n",
    "words": 'defx = networks\nformat = inner + rate\nshowing = pi\ndata X[N] = cifar10(4, classes="cat,dog")\nU : W.Tx\n',
}
FILE = grammar_dir() / "tpl.tmLanguage.json"


# ---------------------------------------------------------------------------------------------- what is right


def leaves(text):
    """(row, column, text, kind) of every leaf of the syntax, from the grammar itself."""
    source = Source(text)
    for line in lay_out(source)[1]:
        try:
            tree = parse_line(line.text)
        except Exception:
            continue  # an example of what is wrong
        for leaf in tree.scan_values(lambda _: True):
            span = line.span(leaf.start_pos, leaf.end_pos)
            yield span.line - 1, span.column - 1, str(leaf), kind_of(leaf)


def kind_of(leaf):
    if leaf.type in ("NUMBER", "STRING", "NAME"):
        return leaf.type
    return "WORD" if leaf.isalpha() else "SIGN"


def mismatches(text, kinds_at):
    """Leaves whose kind differs from a highlighter's. kinds_at: (row, column) -> (kind, text)."""
    for row, column, leaf, kind in leaves(text):
        found = kinds_at.get((row, column), (None, ""))
        if found != (kind, leaf):
            yield row, column, leaf, kind, found


# ---------------------------------------------------------------------------------------------- Pygments


def pygments_kinds(text):
    kinds = {}
    row = column = 0
    for token, part in TensorProgramLexer(stripnl=False, ensurenl=False).get_tokens(text):
        kinds[row, column] = (pygments_kind(token, part), part)
        row, column = row + part.count("\n"), len(part) - part.rfind("\n") - 1 + (0 if "\n" in part else column)
    return kinds


def pygments_kind(token, part):
    if token in Number:
        return "NUMBER"
    if token in String:
        return "STRING"
    if token in Operator.Word or (token in Keyword and part not in CONTEXT_WORDS):
        return "WORD"
    if token in Name or token in Keyword:
        return "NAME"
    return "SIGN" if token in Operator or token in Punctuation else "OTHER"


@pytest.mark.parametrize("name", [*TEXTS, *EXAMPLES, *OTHERS])
def test_pygments_tells_the_leaves_of_the_grammar(name):
    text = (TEXTS | EXAMPLES | OTHERS)[name]
    tokens = list(TensorProgramLexer(stripnl=False, ensurenl=False).get_tokens(text))
    assert "".join(part for _, part in tokens) == text
    if not parse(Source(text))[1]:
        assert [part for token, part in tokens if token in Error] == []
    assert list(mismatches(text, pygments_kinds(text))) == []


def test_pygments_finds_the_lexer(tmp_path, monkeypatch):
    """By the entry point that pyproject.toml declares, as an installed tpl has it."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"]["pygments.lexers"]
    folder = tmp_path / "declared-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: declared\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[pygments.lexers]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(get_lexer_for_filename("program.tp"), TensorProgramLexer)
    for alias in ("tp", "tpl", "tp-error"):
        assert isinstance(get_lexer_by_name(alias), TensorProgramLexer)
    assert isinstance(guess_lexer(TEXTS["mlp"]), TensorProgramLexer)


# ---------------------------------------------------------------------------------------------- TextMate


def textmate_scopes(text):
    """Read a text as editors do, row by row, by the file's own patterns: the earliest match wins, then the first."""
    patterns = [
        {key: re.compile(x[key]) if key != "name" else x[key] for key in ("name", "match", "begin", "end") if key in x}
        for x in json.loads(FILE.read_text(encoding="utf-8"))["patterns"]
    ]
    inside = None
    for number, row in enumerate(text.split("\n")):
        at = 0
        while at <= len(row):
            if inside is not None:
                end = inside["end"].search(row, at)
                stop = len(row) if end is None else end.end()
                yield number, at, row[at:stop], inside["name"]
                at, inside = (len(row) + 1, inside) if end is None else (stop, None)
                continue
            found = [
                (m.start(), i, m)
                for i, x in enumerate(patterns)
                if (m := (x.get("match") or x["begin"]).search(row, at))
            ]
            if not found:
                yield number, at, row[at:], ""
                break
            start, i, match = min(found, key=lambda x: x[:2])
            yield number, at, row[at:start], ""
            yield number, start, match[0], patterns[i]["name"]
            at, inside = match.end(), patterns[i] if "begin" in patterns[i] else None
            assert match[0]


SCOPES = {
    "constant.numeric": "NUMBER", "string.quoted": "STRING", "storage": "WORD", "keyword.control": "WORD",
    "keyword.operator.word": "WORD", "keyword.operator": "SIGN", "punctuation": "SIGN", "keyword.other": "NAME",
    "entity.name": "NAME", "support": "NAME", "constant.language": "NAME", "variable": "NAME",
}  # fmt: skip


def textmate_kind(scope):
    return next((kind for start, kind in SCOPES.items() if scope.startswith(start)), "OTHER")


@pytest.mark.parametrize("name", [*TEXTS, *EXAMPLES, *OTHERS])
def test_the_textmate_grammar_tells_the_leaves_of_the_grammar(name):
    text = (TEXTS | EXAMPLES | OTHERS)[name]
    found = list(textmate_scopes(text))
    if not parse(Source(text))[1]:
        assert [part for _, _, part, scope in found if not scope and part.strip()] == []
    kinds = {(row, column): (textmate_kind(scope), part) for row, column, part, scope in found if part}
    assert list(mismatches(text, kinds)) == []
    for row in docstring_rows(text.split("\n")):
        scopes = {scope for at, _, part, scope in found if at == row and part.strip()}
        assert scopes <= {"string.quoted.docstring.tp"}


def test_both_say_the_same():
    """The scope and the token of every rule, at every place of every program."""
    tokens = {rule.scope: rule.token for rule in rules()}
    for text in TEXTS.values():
        lexed = {}
        row = column = 0
        for token, part in TensorProgramLexer(stripnl=False, ensurenl=False).get_tokens(text):
            lexed[row, column, part] = str(token).removeprefix("Token.").removeprefix("Literal.")
            row, column = row + part.count("\n"), len(part) - part.rfind("\n") - 1 + (0 if "\n" in part else column)
        for row, column, part, scope in textmate_scopes(text):
            if scope in tokens:
                assert lexed[row, column, part] == tokens[scope]


def test_the_file_is_made_from_the_words_of_the_language(request):
    if request.config.getoption("--update-golden"):
        FILE.write_text(textmate_text(), encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == textmate_text()


@pytest.mark.parametrize("word", [w for g in ("keyword", "function", "generator") for w in NAMES[g]])
def test_every_word_is_coloured(word):
    text = f"{word}(x)" if word in (*NAMES["function"], *NAMES["generator"]) else f"{word} x"
    token, part = next(iter(TensorProgramLexer().get_tokens(text)))
    assert part == word
    assert token in (Name.Builtin, Keyword, Keyword.Declaration, Operator.Word)
    assert (token is Keyword.Declaration) == (word in DECLARATIONS)
    assert next(x for x in textmate_scopes(text) if x[2])[2] == word


def test_comments_and_what_is_no_sign():
    tokens = list(TensorProgramLexer().get_tokens("x ? # why?\n"))
    assert (Error, "?") in tokens
    assert (Comment.Single, "# why?") in tokens
