"""The set-ups of docs/editing.md: each starts a server that answers, as far as that can be told without the editor."""

import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tpl.editor.highlight import SCOPE
from tpl.language.layout import _STATEMENT
from tpl.pipeline import bundled_programs
from tpl.resources import grammar_dir

PAGE = (Path(__file__).parents[2] / "docs" / "editing.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S))


def commands():
    """The command that each editor runs."""
    vscode = json.loads(BLOCKS["json"])
    yield [vscode["glspc.server.command"], *vscode["glspc.server.commandArguments"]]
    helix = tomllib.loads(BLOCKS["toml"])["language-server"]["tpl"]
    yield [helix["command"], *helix["args"]]
    yield re.findall(r'"(\w+)"', re.search(r"cmd = \{(.*?)\}", BLOCKS["lua"])[1])
    yield re.findall(r'"(\w+)"', re.search(r"\(tp-mode \. \((.*?)\)\)", BLOCKS["lisp"])[1])


def test_every_editor_starts_the_same_server():
    found = list(commands())
    assert found == [["tpl", "lsp"]] * 4
    body = json.dumps({"jsonrpc": "2.0", "method": "exit"})
    message = f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    server = [sys.executable, "-m", "tpl.cli", *found[0][1:]]
    assert subprocess.run(server, input=message, capture_output=True, check=False, timeout=60).stdout == b""


def test_helix_knows_the_files():
    (language,) = tomllib.loads(BLOCKS["toml"])["language"]
    assert language["file-types"] == ["tp"]
    assert language["scope"] == SCOPE
    assert language["language-servers"] == ["tpl"]


@pytest.mark.parametrize("kind", ["lua", "lisp"])
def test_brackets_close(kind):
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', BLOCKS[kind])
    depth = 0
    for sign in text:
        depth += (sign in "({[") - (sign in ")}]")
        assert depth >= 0
    assert depth == 0


def test_the_extension_is_whole():
    folder = grammar_dir()
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    (language,) = package["contributes"]["languages"]
    (grammar,) = package["contributes"]["grammars"]
    assert language["id"] == grammar["language"] == json.loads(BLOCKS["json"])["glspc.server.languageId"][0]
    assert language["extensions"] == [".tp"]
    assert (
        grammar["scopeName"] == SCOPE == json.loads((folder / grammar["path"]).read_text(encoding="utf-8"))["scopeName"]
    )
    rules = json.loads((folder / language["configuration"]).read_text(encoding="utf-8"))["indentationRules"]
    opens, closes = (re.compile(rules[x]) for x in ("increaseIndentPattern", "decreaseIndentPattern"))
    rows = [
        row
        for path in bundled_programs().values()
        for row in path.read_text(encoding="utf-8").split('"""\n')[1].split("\n")
    ]
    for row, below in itertools.pairwise(rows):
        deeper = below.strip() and len(below) - len(below.lstrip()) > len(row) - len(row.lstrip())
        if _STATEMENT.match(row) and deeper:
            assert opens.match(row)
        if closes.match(row):
            assert not row.startswith(" ")
