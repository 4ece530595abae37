"""The code blocks of the documentation: found, run, and their printed output rewritten.

    ```tp                a whole program; `# -> 1, 0.5` gives the values of the show on that line
    ```tp title="a.tp"   the same, saved under that name for the commands and programs of its page
    ```tp-error          a wrong program, and in ```text below it the exact diagnostics
    ```console           commands behind `$ `, each with what it prints
    ```sh                commands without their output
    ```python            a script; a ```text block right below it is what it prints
    ```json              a document; ```lua, ```lisp, ```toml: set-ups of editors

A comment `<!-- test: ... -->` in the line above a block says how it is to be run:

    slow                 only by `-m slow`
    continue             a program that continues the one before it on the page
    above                it needs the files that the block before it made
    steps=3 samples=64   a program with these settings, options in small

In a console block, a command under which nothing stands is run, whatever it prints; a line `…` stands for any lines;
`# exit code 1` behind a command gives its exit code, otherwise 0. `pytest tests/docs --update-golden -n 0` rewrites
what is printed; `?` under a new command asks for all of it.
"""

import contextlib
import difflib
import io
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from tpl.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELLIPSIS = "…"
FENCE = re.compile(
    r"^(?:<!-- test: (?P<notes>[^\n]*?) -->\n+)?"
    r"```(?P<kind>[\w-]*)(?: title=\"(?P<title>[^\"\n]+)\")?[ \t]*\n(?P<text>.*?)^```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
OTHER_TOOLS = re.compile(r"python3? -m (venv|pytest)\b|pip install\b|mkdocs (build|serve)\b")
HEAD = re.compile(r"^[ \t]*```", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page; `number` counts the page's blocks from 0."""

    page: Path
    number: int
    line: int
    kind: str
    title: str | None
    notes: tuple[str, ...]
    text: str  # of a program that continues another one: with what it continues
    place: tuple[int, int]  # of its own text in the page

    @property
    def name(self) -> str:
        page = self.page.relative_to(ROOT).with_suffix("")
        return f"{page}:{self.line}-{self.kind}"


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order. Fails where a fence is not one of those above."""
    text = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    for number, found in enumerate(FENCE.finditer(text)):
        notes = tuple((found["notes"] or "").split())
        body = found["text"]
        if "continue" in notes:
            body = next(b.text for b in reversed(blocks) if b.kind == "tp") + body
        line = text[: found.start("kind")].count("\n") + 1
        blocks.append(Block(page, number, line, found["kind"], found["title"], notes, body, found.span("text")))
    assert len(HEAD.findall(text)) == 2 * len(blocks), f"{page}: a fence that is indented, not closed, or unreadable"
    return blocks


def rewrite(block: Block, text: str) -> None:
    """Replace a block's text in its page, which may have changed since the block was read."""
    start, end = read_blocks(block.page)[block.number].place
    page = block.page.read_text(encoding="utf-8")
    block.page.write_text(page[:start] + text + page[end:], encoding="utf-8")


def save_programs(page: Path, folder: Path) -> None:
    """The page's programs that have a title, as files."""
    for block in read_blocks(page):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text, encoding="utf-8")


# ---------------------------------------------------------------------------------------------- commands


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines below it."""

    source: str
    shown: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        found = re.search(r"# .*exit code (\d+)", self.source)
        return int(found[1]) if found else 0


def commands_of(text: str) -> list[Command]:
    """`$ tpl …`, continued over lines that end in a backslash, each with its output."""
    assert text.startswith("$ "), "a console block begins with a command"
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    commands = []
    for part in parts:
        source, shown = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n?(.*)", part, re.DOTALL).groups()
        commands.append(Command(source, tuple(shown.rstrip("\n").split("\n")) if shown.strip() else ()))
    return commands


def execute(source: str) -> tuple[int, str]:
    """Exit code and output of a command `tpl …`, perhaps with `> FILE` at its end, in this process."""
    words = shlex.split(source.replace("\\\n", " "), comments=True)
    target = None
    if len(words) > 2 and words[-2] == ">":
        *words, _, target = words
    assert words[0] == "tpl", f"only commands of tpl are run, not {words[0]}"
    result = CliRunner().invoke(app, words[1:])
    if target is not None:
        Path(target).write_text(result.stdout, encoding="utf-8")
        return result.exit_code, result.stderr
    return result.exit_code, result.output.replace(os.getcwd() + os.sep, "")


def normalised(line: str) -> str:
    """A line without what differs from run to run or from processor to processor.

    Those are durations, errors of rounding (numbers below 1e-6), and the widths of columns that these determine.
    """
    line = re.sub(r"(?<![\w.])\d+(\.\d+)? (ms|s|min)\b", "TIME", line)
    line = re.sub(r"-?\b\d+(\.\d+)?(\(\d+(\.\d+)?\))?e-(0[7-9]|[1-9]\d)\b", "TINY", line)
    return re.sub(r"─+", "─", re.sub(r"\s+", " ", line)).strip()


def segments(shown: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The lines between those that are `…`; empty at an end where these stand there."""
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == ELLIPSIS:
            parts.append([])
        else:
            parts[-1].append(line)
    return [tuple(part) for part in parts]


def lines_of(output: str) -> list[str]:
    return [line.rstrip() for line in output.strip("\n").split("\n")]


def agrees(shown: tuple[str, ...], output: str) -> bool:
    """Whether these lines, with `…` for any, are what was printed."""
    lines = [normalised(line) for line in lines_of(output)]
    first, *others = [[normalised(line) for line in part] for part in segments(shown)]
    if not others:
        return first == lines
    if lines[: len(first)] != first:
        return False
    *middle, last = others
    at = len(first)
    for part in middle:
        starts = range(at, len(lines) - len(part) + 1)
        start = next((k for k in starts if lines[k : k + len(part)] == part), None)
        if start is None:
            return False
        at = start + len(part)
    return len(lines) - len(last) >= at and lines[len(lines) - len(last) :] == last


def refreshed(shown: tuple[str, ...], output: str) -> list[str]:
    """What should stand below the command: the same excerpt of what is printed now.

    A part between two `…` is found again by its first line, or the one most like it.
    """
    lines = lines_of(output)
    if shown == ("?",):
        return lines
    if agrees(shown, output):
        return list(shown)
    first, *others = segments(shown)
    if not others:
        return lines
    *middle, last = others
    new = lines[: len(first)]
    for part in middle:
        candidates = [normalised(line) for line in lines]
        near = difflib.get_close_matches(normalised(part[0]), candidates, 1, 0.5)
        assert near, f"nothing like {part[0]!r} is printed any more"
        start = candidates.index(near[0])
        new += [ELLIPSIS, *lines[start : start + len(part)]]
    return [*new, ELLIPSIS, *lines[len(lines) - len(last) :]]


def run_console(block: Block, update: bool) -> None:
    """Run the commands of a console block; compare what they print, or rewrite it."""
    texts = []
    for command in commands_of(block.text):
        code, output = execute(command.source)
        assert code == command.exit_code, f"$ {command.source}\n{output}"
        if update:
            new = refreshed(command.shown, output) if command.shown else []
            texts.append("\n".join([f"$ {command.source}", *new]) + "\n" * (2 if new else 1))
        elif command.shown:
            assert agrees(command.shown, output), f"$ {command.source}\n{output}"
    if update:
        rewrite(block, "".join(texts).rstrip("\n") + "\n")


def run_shell(block: Block) -> None:
    """Run what is `tpl` in a block of shell commands; installations and tests are left to .ci/run."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in line.replace(".venv/bin/", "").split("&&"):
            if part.strip() and not OTHER_TOOLS.match(part.strip()):
                code, output = execute(part)
                assert code == 0, f"$ {part}\n{output}"


def run_python(block: Block) -> str:
    """Run a script; what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})
    return printed.getvalue()
