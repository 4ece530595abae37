"""Every code block of the documentation: programs run, wrong ones give the diagnostics shown, commands print what
stands below them, scripts run. `blocks.py` says how blocks are written, and how to rewrite what they print.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tpl
from tpl.core.functions import CALLABLE
from tpl.data.generators import GENERATORS
from tpl.language.source import Source, TplError
from tpl.pipeline import compile_program

sys.path.insert(0, str(Path(__file__).parent))
from blocks import (
    PAGES,
    ROOT,
    Block,
    agrees,
    commands_of,
    read_blocks,
    refreshed,
    rewrite,
    run_console,
    run_python,
    run_shell,
    save_programs,
)

LANGUAGE = ROOT / "docs" / "language.md"
WRONG = "wrong.tp"
EDITORS = {"lua", "lisp", "toml"}  # set-ups of editors, tested in tests/editor/test_editing_page.py
KINDS = {"tp", "tp-error", "text", "console", "sh", "python", "json", *EDITORS}
NOTES = {"slow", "continue", "above"}
BLOCKS = {page: read_blocks(page) for page in PAGES}


def of_kind(*kinds: str) -> list:
    return [
        pytest.param(block, id=block.name, marks=[pytest.mark.slow] if "slow" in block.notes else [])
        for blocks in BLOCKS.values()
        for block in blocks
        if block.kind in kinds
    ]


def below(block: Block) -> Block | None:
    """The block of text right below a block: what it prints. Read anew, for pages change while they are rewritten."""
    block, *following = read_blocks(block.page)[block.number :]
    after = block.page.read_text(encoding="utf-8")[block.place[1] :]
    return following[0] if re.match(r"```\s*```text\n", after) else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_tested(page):
    blocks = BLOCKS[page]
    assert {block.kind for block in blocks} <= KINDS, [block.name for block in blocks if block.kind not in KINDS]
    assert all(note in NOTES or "=" in note for block in blocks for note in block.notes)
    explained = [below(block) for block in blocks if block.kind in ("tp-error", "python")]
    assert all(block in explained for block in blocks if block.kind == "text"), "a text that nothing prints"
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^ {4,}(?:\$ .*|tpl [a-z].*)$", prose, re.MULTILINE), "commands outside of a block"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a reader works: the files that pages speak of, nothing else."""
    inputs = np.random.default_rng(0).standard_normal((5, 7))
    np.save(tmp_path / "inputs.npy", inputs)
    np.save(tmp_path / "kernel.npy", inputs @ inputs.T)
    np.savez(tmp_path / "archive.npz", images=inputs, labels=np.arange(5))
    np.savez(tmp_path / "tokens.npz", a=inputs[:3], b=inputs[:2])
    np.savetxt(tmp_path / "table.csv", inputs, delimiter=",")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def update(request):
    return request.config.getoption("--update-golden")


def prepare(block: Block, folder: Path) -> None:
    """Its page's programs as files, and what the block above makes, if it needs that."""
    save_programs(block.page, folder)
    if "above" in block.notes:
        before = BLOCKS[block.page][block.number - 1]
        prepare(before, folder)
        run_console(before, update=False)


# ---------------------------------------------------------------------------------------------- programs


def promised(text: str) -> dict[int, list[float]]:
    """Line of the program -> the values that its comment gives."""
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        if "# ->" in line:
            assert line.lstrip().startswith("show "), line
            values[number] = [float(x) for x in line.split("# ->")[1].split(",")]
    return values


def small(block: Block) -> tuple[dict[str, int], list[str]]:
    """Options of the run, and settings of the program, with which a block is tested."""
    options, settings = {}, []
    for note in block.notes:
        name, _, value = note.partition("=")
        if name in ("samples", "replicates"):
            options[name] = int(value)
        elif value:
            settings.append(note)
    return options, settings


@pytest.mark.parametrize("block", of_kind("tp"))
def test_program_runs(block, folder):
    values = promised(block.text)
    options, settings = small(block)
    options = ({"samples": 4096, "replicates": 40} if values else {"samples": 256, "replicates": 3}) | options
    run = tpl.loads(block.text, settings=settings).run(seed=1, **options)
    shown: dict[int, list] = {}
    for result in run:
        shown.setdefault(result.span.line, []).append(result)
    for line, expected in values.items():
        got = np.concatenate([np.ravel(r.value) for r in shown[line]])
        error = np.concatenate([np.ravel(r.error) for r in shown[line]])
        assert len(got) == len(expected), f"line {line} shows {len(got)} values"
        # the page rounds to four digits
        assert np.all(np.abs(got - expected) <= 4.5 * error + 6e-5), f"line {line}: {got} ± {error}, not {expected}"


def diagnostics(text: str) -> str:
    try:
        compile_program(Source(text, WRONG))
    except TplError as problem:
        return problem.render() + "\n"
    pytest.fail("this program is supposed to be wrong")


@pytest.mark.parametrize("block", of_kind("tp-error"))
def test_wrong_program_gives_the_diagnostics_shown(block, update):
    shown = below(block)
    if shown is None:
        assert block.title, "a wrong program has its diagnostics below it, or a title, for a command that prints them"
        assert diagnostics(block.text)
    elif update:
        rewrite(shown, diagnostics(block.text))
    else:
        assert diagnostics(block.text) == shown.text


# ---------------------------------------------------------------------------------------------- commands, scripts


@pytest.mark.parametrize("block", of_kind("console"))
def test_commands_print_what_is_shown(block, folder, update):
    prepare(block, folder)
    run_console(block, update)


@pytest.mark.parametrize("block", of_kind("sh"))
def test_commands_work(block, folder):
    prepare(block, folder)
    run_shell(block)


@pytest.mark.parametrize("block", of_kind("python"))
def test_script_runs(block, folder, update):
    prepare(block, folder)
    printed = run_python(block)
    shown = below(block)
    if shown is not None and update:
        rewrite(shown, "\n".join(refreshed(tuple(shown.text.rstrip("\n").split("\n")), printed)) + "\n")
    elif shown is not None:
        assert agrees(tuple(shown.text.rstrip("\n").split("\n")), printed), printed


@pytest.mark.parametrize("block", of_kind("json"))
def test_document_is_json(block):
    json.loads(block.text)


# ---------------------------------------------------------------------------------------------- the comparison itself


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a 1\nb", "a 1\nb\n", True),
        ("a 1\nb", "a 2\nb\n", False),
        ("took 69 ms", "took 1.4 s", True),
        ("0.60570551  6.1e-16", "0.60570551  5e-16", True),
        ("0.60570551  6.1e-4", "0.60570551  6.2e-4", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", True),
        ("a\n…\nd", "a\nb\nd\nc", False),
        ("…\nc\n…", "a\nb\nc\nd", True),
        ("…\nd\n…\nb\n…", "a\nb\nc\nd", False),
        ("…", "anything", True),
        ("a\nb\n…\nb", "a\nb", False),
    ],
)
def test_comparison(shown, printed, same):
    assert agrees(tuple(shown.split("\n")), printed) == same


def test_excerpts_are_refreshed():
    printed = "title\ntook 3 s\n\nx  1.25\ny  2.5\nend\n"
    assert refreshed(("…", "x  1.5", "y  2.5", "…"), printed) == ["…", "x  1.25", "y  2.5", "…"]
    assert refreshed(("title", "took 5 s", "…"), printed) == ["title", "took 5 s", "…"]  # a duration is no change
    assert refreshed(("?",), printed) == ["title", "took 3 s", "", "x  1.25", "y  2.5", "end"]
    with pytest.raises(AssertionError, match="nothing like"):
        refreshed(("…", "something else", "…"), printed)


def test_commands_are_read():
    first, second = commands_of("$ tpl run a \\\n    --seed 1    # exit code 2\nout\n\nput\n\n$ tpl run b\n")
    assert (first.exit_code, first.shown) == (2, ("out", "", "put"))
    assert (second.source, second.exit_code, second.shown) == ("tpl run b", 0, ())


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
def test_table_is_that_of_the_registry(marker, make, update):
    page = LANGUAGE.read_text(encoding="utf-8")
    section = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", re.DOTALL)
    wanted = section.sub(lambda m: f"{m[1]}{make()}\n{m[2]}", page)
    if update:
        LANGUAGE.write_text(wanted, encoding="utf-8")
        return
    assert section.search(page)[0] == section.search(wanted)[0]
