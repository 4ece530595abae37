"""Every block of docs/language.md: programs run, wrong ones give the diagnostics shown, tables match the registries.

    ```tp            a whole program; `# -> 1, 0.5` gives the values of the show on that line
    ```tp continue   the same, after the text of the block before it
    ```tp-error      a wrong program, and below it in ```text the exact diagnostics
    ```sh            commands

`pytest --update-golden` rewrites the diagnostics and the tables.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

import tpl
from tpl.cli import app
from tpl.core.functions import CALLABLE
from tpl.data.generators import GENERATORS
from tpl.language.source import Source, TplError
from tpl.pipeline import compile_program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "language.md"
NAME = "wrong.tp"


class Block(NamedTuple):
    kind: str
    line: int
    text: str  # for `tp continue`, with what it continues


def read_blocks(page: str) -> list[Block]:
    blocks: list[Block] = []
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        kind, text = match[1], match[2]
        if kind == "tp continue":
            text = next(b.text for b in reversed(blocks) if b.kind == "tp") + text
            kind = "tp"
        blocks.append(Block(kind, page[: match.start()].count("\n") + 1, text))
    return blocks


BLOCKS = read_blocks(PAGE.read_text(encoding="utf-8"))
ids = {"ids": lambda block: f"line{block.line}"}


def of_kind(kind: str) -> list[Block]:
    return [block for block in BLOCKS if block.kind == kind]


def test_the_page_has_only_blocks_that_are_tested():
    assert {block.kind for block in BLOCKS} == {"tp", "tp-error", "text", "sh"}
    assert len(of_kind("tp")) >= 20
    assert len(of_kind("tp-error")) == len(of_kind("text"))


# ---------------------------------------------------------------------------------------------- programs


def promised(text: str) -> dict[int, list[float]]:
    """Line of the program -> the values that its comment gives."""
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        if "# ->" in line:
            assert line.lstrip().startswith("show "), line
            values[number] = [float(x) for x in line.split("# ->")[1].split(",")]
    return values


@pytest.mark.parametrize("block", of_kind("tp"), **ids)
def test_program_runs(block):
    values = promised(block.text)
    samples, replicates = (4096, 40) if values else (256, 3)
    run = tpl.loads(block.text).run(seed=1, samples=samples, replicates=replicates)
    shown: dict[int, list] = {}
    for result in run:
        shown.setdefault(result.span.line, []).append(result)
    for line, expected in values.items():
        got = np.concatenate([np.ravel(r.value) for r in shown[line]])
        error = np.concatenate([np.ravel(r.error) for r in shown[line]])
        assert len(got) == len(expected), f"line {line} shows {len(got)} values"
        # the page rounds to four digits
        assert np.all(np.abs(got - expected) <= 4.5 * error + 6e-5), f"line {line}: {got} ± {error}, not {expected}"


# ---------------------------------------------------------------------------------------------- wrong programs


def diagnostics(text: str) -> str:
    try:
        compile_program(Source(text, NAME))
    except TplError as problem:
        return problem.render() + "\n"
    pytest.fail("this program is supposed to be wrong")


@pytest.mark.parametrize("block", of_kind("tp-error"), **ids)
def test_wrong_program_gives_the_diagnostics_shown(block, request):
    if request.config.getoption("--update-golden"):
        _update_diagnostics()
        return
    assert diagnostics(block.text) == BLOCKS[BLOCKS.index(block) + 1].text


def _update_diagnostics() -> None:
    pair = r"^(```tp-error\n(.*?)^```\n+```text\n).*?^```$"
    page = PAGE.read_text(encoding="utf-8")
    page = re.sub(pair, lambda m: f"{m[1]}{diagnostics(m[2])}```", page, flags=re.MULTILINE | re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")


# ---------------------------------------------------------------------------------------------- tables


def function_table() -> str:
    rows = [f"| `{f.name}({'z' if f.arity == 1 else 'y, z'})` | {f.doc} |" for f in CALLABLE.values()]
    return "\n".join(["| function | value |", "|---|---|", *rows])


def generator_table() -> str:
    """What each makes; where there is more to say, it follows below the table."""
    rows, details = [], []
    for g in GENERATORS.values():
        first, _, more = g.doc.partition("\n\n")
        text = " ".join(first.split()).replace("|", r"\|")
        rows.append(f"| `{g.signature}` | {text} |")
        if more:
            indented = "\n".join(f"    {line}".rstrip() for line in more.splitlines())
            details.append(f"\n`{g.name}`:\n\n{indented}")
    return "\n".join(["| generator | makes |", "|---|---|", *rows, *details])


@pytest.mark.parametrize(("marker", "make"), [("functions", function_table), ("generators", generator_table)])
def test_table_is_that_of_the_registry(marker, make, request):
    page = PAGE.read_text(encoding="utf-8")
    section = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", re.DOTALL)
    wanted = section.sub(lambda m: f"{m[1]}{make()}\n{m[2]}", page)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(wanted, encoding="utf-8")
        return
    assert section.search(page)[0] == section.search(wanted)[0]


# ---------------------------------------------------------------------------------------------- commands


@pytest.fixture
def folder_with_data(tmp_path, monkeypatch):
    inputs = np.random.default_rng(0).standard_normal((5, 7))
    np.save(tmp_path / "inputs.npy", inputs)
    np.savez(tmp_path / "archive.npz", images=inputs, labels=np.arange(5))
    np.savetxt(tmp_path / "table.csv", inputs, delimiter=",")
    monkeypatch.chdir(tmp_path)


COMMANDS = [line for block in of_kind("sh") for line in block.text.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_works(command, folder_with_data):
    tool, *arguments = shlex.split(command)
    assert tool == "tpl"
    result = CliRunner().invoke(app, [*arguments, "--samples", "64", "--replicates", "2"])
    assert result.exit_code == 0, result.output
