"""docs/gallery.md: every program is there, under its own title, with sources that its header names, and verified."""

import re
from pathlib import Path

import pytest

import tpl
from tpl.pipeline import bundled_programs

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
LISTED = re.findall(r"^\| `([\w/]+)` \| (.*?) \| (.*?) \|$", PAGE, re.M)
VERIFIED = [
    row.split(" | ") for row in PAGE.split("<!-- verified -->")[1].split("<!-- end")[0].strip().splitlines()[2:]
]
PROGRAMS = {*bundled_programs(), "training/word2vec"}


def header(name):
    return (ROOT / "programs" / f"{name}.tp").read_text(encoding="utf-8").split('"""')[1]


def test_every_program_is_listed_once():
    assert sorted(name for name, *_ in LISTED) == sorted(PROGRAMS)


@pytest.mark.parametrize(("name", "what", "source"), LISTED)
def test_title_and_source(name, what, source):
    text = " ".join(header(name).split())
    assert what == header(name).splitlines()[0]
    named = re.findall(r"\[(?:arXiv:)?(\d{4}\.\d{5})\]", source)
    named += re.findall(r"\bTP\d\b", source)
    named += re.findall(
        r"[A-Z][\w-]+(?:, [A-Z]\w+)*(?: & [A-Z]\w+| et al\.)? \(?\d{4}", re.sub(r"\[.*?\]\(.*?\)", "", source)
    )
    assert named, "no source"
    for reference in named:
        author, _, year = reference.rpartition(" ")
        assert reference in text or (author.split(",")[0].split(" ")[0] in text and year in text), reference


def test_every_program_was_verified():
    """One row for everything that a program shows."""
    assert {row[0].removeprefix("| ") for row in VERIFIED} == PROGRAMS
    assert all("agrees" in row[-2] for row in VERIFIED)
    for name in PROGRAMS:
        shown = re.findall(r"`(.*?)`", " ".join(row[1] for row in VERIFIED if row[0] == f"| {name}"))
        program = tpl.load(name).program
        shows = program.shows if program.training is None else program.training.shows
        assert shown == [x.name for x in shows], name
