"""Where results go: refused before the work, or printed all the same when a file cannot be written after it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import tpl
from tpl import outputs
from tpl.api import TensorProgram
from tpl.cli import app
from tpl.language.source import TplError

PROGRAM = """width n
data X[N, d] = sphere(3, 4, seed=0)
const s = 1
network f(xi[d]):
    param U : [n, d] ~ N(0, s / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ relu(U @ xi)
show nngp(f, X)
"""
NUMBER = "width n\nrandom x : [n] ~ N(0, 1)\nshow avg(x^2), avg(x^4)\n"
WORK = ("run", "sweep", "verify", "core", "derive", "explain", "explain_page", "phase")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "small.tp").write_text(PROGRAM)
    (tmp_path / "number.tp").write_text(NUMBER)
    (tmp_path / "adir").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments):
    return CliRunner().invoke(app, list(arguments))


REFUSED = {
    "run small.tp -o no/x.npz": "there is no folder `no`",
    "run small.tp -o adir": "this is a folder, not a file to write to",
    "run small.tp -o x.csv": "arrays are saved as `.npz`\n  help: for instance `x.npz`",
    "run small.tp -o x": "arrays are saved as `.npz`",
    "run small.tp --plot no/x.png": "there is no folder `no`",
    "run small.tp --plot x.xyz": "pictures are saved as `.png`, `.pdf` or `.svg`\n  help: for instance `x.png`",
    "run number.tp --plot x.png": "nothing that is shown makes a picture\n  help: drawn are matrices",
    "sweep small.tp s=1,2 --plot no/x.png": "there is no folder `no`",
    "sweep small.tp s=1,2 --plot x.png": "`nngp(f, X)` over this sweep has 3 axes; a picture shows one or two",
    "sweep number.tp --plot x.png L=1": "a picture of a sweep shows one thing, and the program shows 2",
    "verify small.tp --plot no/x.png": "there is no folder `no`",
    "verify small.tp --plot x.xyz": "pictures are saved as",
    "core small.tp -o no/x": "there is no folder `no`",
    "core small.tp -o adir": "this is a folder, not a file to write to\n  help: for instance `adir/result.txt`",
    "derive small.tp -o no/x": "there is no folder `no`",
    "explain small.tp -o no/x.html": "there is no folder `no`",
    "explain small.tp -o x.pdf": "an explanation is a page or a notebook: `.html`, `.htm` or `.ipynb`",
    "explain small.tp -o " + "x" * 300 + ".html": "this cannot be written: File name too long",
    "phase small.tp --plot no/x.png": "there is no folder `no`",
    "phase small.tp --plot x": "pictures are saved as",
    "paper -o small.tp": "this folder cannot be made: File exists",
}


@pytest.mark.parametrize("line", REFUSED, ids=lambda x: x[:50])
def test_what_cannot_be_written_is_refused_before_any_work(folder, monkeypatch, line):
    def worked(*_, **__):
        raise AssertionError("this is work")

    for method in WORK:
        monkeypatch.setattr(TensorProgram, method, worked)
    monkeypatch.setattr("tpl.stages.paper.reproduce", worked)
    before = sorted(folder.iterdir())
    found = command(*line.split())
    assert found.exit_code == 2, found.output
    assert REFUSED[line] in found.stderr
    assert sorted(folder.iterdir()) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    ("line", "name", "printed"),
    [
        ("run small.tp -o", "x.npz", "nngp(f, X)"),
        ("run small.tp --json -o", "x.npz", "nngp(f, X)"),
        ("run small.tp --plot", "x.svg", "nngp(f, X)"),
        ("sweep number.tp n=1 --plot", "x.svg", ""),
        ("verify small.tp --widths 16,32 --seeds 4 --samples 64 --plot", "x.svg", "n=inf"),
        ("core small.tp -o", "x", "U : [n, 4]"),
        ("derive small.tp -o", "x", "NNGP"),
        ("explain small.tp --no-verify -o", "x.html", "KiB"),
    ],
)  # fmt: skip
def test_a_full_disk_loses_nothing(folder, line, name, printed):
    if line.startswith("sweep"):
        (folder / "number.tp").write_text("const c = 1\n" + NUMBER.replace(", avg(x^4)", ""))
        line = line.replace("n=1", "c=1,2")
    os.symlink("/dev/full", name)
    found = command(*line.split(), name)
    assert found.exit_code in (1, 2)
    assert "cannot be written: No space left on device" in found.stderr
    assert printed in found.stdout
    if "--json" in line:
        assert json.loads(found.stdout)["results"]
    if "explain" in line:
        kept = Path(found.stdout.split(": ")[0])
        assert kept.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_file_and_a_picture_of_a_run(folder):
    assert command("run", "small.tp", "-o", "x.npz", "--plot", "x.png").exit_code == 0
    assert np.load("x.npz")["nngp_f_X"].shape == (3, 3)
    assert Path("x.png").stat().st_size > 1000


def test_every_picture_ending_is_drawn(folder):
    result = tpl.loads(PROGRAM).run()
    for ending in outputs.PICTURE.endings:
        assert result.plot(f"x{ending}").stat().st_size > 0


def test_read_only_places_are_refused(folder, monkeypatch):
    Path("x.npz").write_text("")
    monkeypatch.setattr(outputs.os, "access", lambda *_: False)
    with pytest.raises(TplError, match="the file is read-only"):
        outputs.check_file(Path("x.npz"), outputs.ARRAYS)
    with pytest.raises(TplError, match="its folder is read-only"):
        outputs.check_file(Path("y.npz"), outputs.ARRAYS)
    with pytest.raises(TplError, match="nothing can be written to this folder"):
        outputs.check_folder(Path("adir"))


def test_every_failure_is_told_after_the_results(capsys):
    def full(_):
        raise OSError(28, "No space left on device")

    def command():
        with outputs.delivery() as deliver:
            print(deliver(Path("a"), full), deliver(None, full), deliver(Path("b"), full))
            assert capsys.readouterr() == ("False True False\n", "")

    with pytest.raises(outputs.typer.Exit):
        command()
    assert [x.split(":")[0] for x in capsys.readouterr().err.splitlines()] == ["a", "b"]
