"""Terminal tables: complete, within the width, and plain text where there is no terminal."""

import dataclasses
import io
import re
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from tests.report.samples import kernel, make_check, make_run, make_verification
from tpl.report.results import Result
from tpl.report.tables import make_console, print_check, print_run, print_verification


def printed(printer, report, width=100, **options):
    file = io.StringIO()
    printer(report, Console(file=file, width=width, highlight=False, **options))
    return file.getvalue()


REPORTS = [
    (print_run, make_run()),
    (print_run, make_run(Result("a very long name, " * 6, 1.0, 0.1, "m"), Result("loss", np.ones(50), 1e-5, "m"))),
    (print_run, make_run(Result("gram", kernel(8), 2.3e-4, "m"), Result("wide", 1e-7 * np.ones((3, 40)), 1e-9, "m"))),
    (print_verification, make_verification()),
    (print_verification, make_verification(size=10, wrong=0.5)),
    (print_verification, make_verification(show="a very long name, " * 6)),
    (print_check, make_check()),
]


@pytest.mark.parametrize(("printer", "report"), REPORTS)
@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_fits_the_width_without_losing_anything(printer, report, width):
    text = printed(printer, report, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", range(20, 60))
def test_values_stay_with_their_names(width):
    check = dataclasses.replace(make_check(), inputs=("X: 3 images, each scaled to |xi|^2 = d = 3072 (bundled slice)",))
    text = printed(print_check, check, width)
    assert "|xi|^2 = d = 3072" in text
    assert max(map(len, text.splitlines())) <= width
    assert " ".join(text.split()).count("3 images, each scaled to |xi|^2 = d = 3072 (bundled slice)") == 1


def test_a_small_matrix_is_printed_whole():
    text = printed(print_run, make_run())
    k = kernel(4)
    for x in k.ravel():
        assert f"{x:.4f}(12)" in text
    assert "0.6057(12)" in text
    assert "particles" in text
    assert "closed form" in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_matrix_split_by_columns_is_still_whole(width):
    text = printed(print_run, make_run(Result("gram", kernel(8) + 10, 1e-4, "m")), width)
    found = re.findall(r"(\d+\.\d+)\(\d+\)", text)
    assert sorted(set(found))[1:] == sorted({f"{x:.{len(found[0]) - 3}f}" for x in (kernel(8) + 10).ravel()})


def test_a_large_matrix_shows_a_corner_and_says_so():
    text = printed(print_run, make_run(Result("gram(x)", kernel(16), 1e-3, "m")))
    assert "part of 16x16" in text
    assert "-o FILE.npz or --json" in text


def test_one_method_is_said_once():
    text = printed(print_run, make_run(*(Result(name, 1.0, 0.1, "the method") for name in "abc")))
    assert text.count("the method") == 1


def test_verification_names_every_distinct_value_once():
    text = printed(print_verification, make_verification())
    assert text.count("ok\n") == 12
    assert "agrees" in text
    assert "6 entries equal to a listed one" in text
    assert "equal" in text
    for n in (64, 1024):
        assert f"n={n}" in text
    assert "recursion" in text
    assert re.search(r"n\^-0\.\d+\(\d+\)", text)


def test_verification_lists_the_worst_values():
    text = printed(print_verification, make_verification(size=10, wrong=0.5), 140)
    assert "DISAGREES: 1 of 57 distinct values" in text
    assert text.count("FAIL") == 1
    assert "33 other values with smaller |z| not listed; all of them agree" in text
    assert len(re.findall(r"(ok|FAIL)\n", text)) == 24


def test_widths_left_out_are_named():
    text = printed(print_verification, make_verification(), 70)
    left_out = re.search(r"no room for the networks of width ([\d, ]+):", text)
    assert left_out is not None
    for n in left_out[1].split(", "):
        assert f"n={n}" not in text


def test_check():
    text = printed(print_check, make_check())
    for part in ("NETSORT+", "1,200", "about 118 MiB", "about 3.4 s", "nngp(f, X) (4x4, 16 numbers)", "X: data"):
        assert part in text


@pytest.mark.parametrize("evil", ["[bold]x[/bold]", "\x1b[31mx", "[/]", ":smile:", "[link=http://a]x"])
def test_names_are_not_markup(evil):
    run = make_run(Result(evil, 1.0, 0.1, evil), Result(evil, np.eye(2), 0.1, evil), notes=(evil,))
    for printer, report in (
        (print_run, run),
        (print_verification, make_verification(show=evil)),
        (print_check, make_check(title=evil, notes=(evil,))),
    ):
        text = printed(printer, report, force_terminal=True, color_system=None)
        assert evil.replace("\x1b", "\ufffd") in text
        assert evil == evil.replace("\x1b", "") or evil not in text


def test_colours_only_on_a_terminal():
    assert "\x1b[" in printed(print_verification, make_verification(), force_terminal=True, color_system="standard")
    file = io.StringIO()
    print_verification(make_verification(), make_console(file))
    assert "\x1b" not in file.getvalue()
    assert max(map(len, file.getvalue().splitlines())) > 80


def test_empty_and_odd_shapes():
    odd = (Result("none", np.zeros((0, 3)), 0.0, "m"), Result("cube", np.zeros((9, 3, 3)), 0.0, "m"))
    assert "part of 9x3x3" in printed(print_run, make_run(*odd))
    empty = make_run(Result("none", np.zeros(0), 0.0, "m"))
    assert "none" in printed(print_run, empty)


def test_rich_and_matplotlib_wait_until_they_are_needed():
    code = (
        "import sys, tpl.report.results, tpl.report.tables, tpl.report.plots, tpl.report.schema, tpl.report.html;"
        "sys.exit(any(m in sys.modules for m in ('rich', 'matplotlib', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
