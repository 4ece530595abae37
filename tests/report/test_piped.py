"""What commands print into a file or a pipe, and what objects print in Python."""

import subprocess
import sys

import pytest

import tpl
from tpl.report.tables import _folded, _split, print_check, text_of


@pytest.mark.parametrize("arguments", [["check", "mlp"], ["run", "mlp"], ["verify", "mlp", "--widths=16,32", "--seeds=3", "--samples=64"]])  # fmt: skip
def test_no_line_ends_in_blanks(arguments):
    code = "import sys; from tpl.cli import main; sys.argv[0] = 'tpl'; main()"
    found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    lines = found.stdout.splitlines()
    assert len(lines) > 8
    assert [x for x in lines if x != x.rstrip()] == []
    assert max(map(len, lines)) <= 100


def test_a_check_prints_itself_as_the_command_does():
    report = tpl.load("mlp").check()
    assert str(report) == text_of(lambda console: print_check(report, console))
    assert "matrices       3\n" in str(report)
    assert repr(report) == "mlp.tp (NETSORT): " + ", ".join(f"{n:,} {k}" for k, n in report.counts.items())


def test_a_check_says_whose_assumptions_these_are():
    text = str(tpl.load("mlp").check())
    assert "relu(z): not GOOD" in text
    assert "note: the assumptions are those of Chen, Yang, Zhao and Gu (2025)" in text
    plain = str(tpl.loads("width n\nrandom x : [n] ~ N(0, 1)\nshow avg(x^2)\n").check())
    assert "assumption" not in plain


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nngp(f, X)[1, 2]", ("nngp(f, X)", "[1, 2]")),
        ("feature_change(x[0]) at step 5", ("feature_change(x[0])", "at step 5")),
        ("f[1, 2] at step 50", ("f", "[1, 2] at step 50")),
        ("loss at step 0", ("loss", "at step 0")),
        ("avg(x * z)", ("avg(x * z)", "")),
    ],
)
def test_names_of_values_in_two_parts(name, parts):
    assert _split(name) == parts


def test_long_names_break_between_words():
    assert _folded("feature_change(x[l-1])", 18).plain == "feature_change(\n  x[l-1])"
    assert _folded("feature_change(x[l-1])", 32).plain == "feature_change(x[l-1])"
    assert _folded("  [1] at step 5", 10).plain == "  [1] at\n    step 5"
