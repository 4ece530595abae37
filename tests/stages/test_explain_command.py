"""`tpl explain`: what it writes, what it refuses, what it says when a part is not there."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import tpl
from tests.report.pages import checked
from tpl.cli import app
from tpl.language.source import TplError
from tpl.stages.explain import ALL, ExplainOptions

PROGRAM = """width n
data X[N, d] = sphere(3, 4, seed=0)
const s = 1
network f(xi[d]):
    param U : [n, d] ~ N(0, s / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ relu(U @ xi)
show nngp(f, X)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "small.tp").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tpl_explain(*arguments):
    return CliRunner().invoke(app, ["explain", *arguments])


def test_a_page_and_a_notebook(folder):
    found = tpl_explain("small.tp", "--no-verify", "--set", "s=2", "--data", "X=sphere:5,4")
    assert found.exit_code == 0
    assert found.stdout.startswith("small.html: ")
    page = checked((folder / "small.html").read_text(encoding="utf-8"))
    assert "--set s=2" in page.text()
    assert "5, 5: " in page.text()
    assert tpl_explain("small.tp", "--no-verify", "-o", "small.ipynb").exit_code == 0
    assert json.loads((folder / "small.ipynb").read_text(encoding="utf-8"))["nbformat"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small.tp", "-o", "small.pdf"], "an explanation is a page or a notebook"),
        (["small.tp", "--widths", "64"], "two widths or more"),
        (["small.tp", "--widths", "wide"], "no list of widths"),
        (["small.tp", "--set", "S=2"], "did you mean `s`"),
        (["none.tp"], "no such file"),
        (["small.tp", "--no-verify", "-o", "missing/small.html"], "cannot be written"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_refusals(folder, arguments, message):
    found = tpl_explain(*arguments)
    assert found.exit_code == 2
    assert message in found.stderr
    assert not list(folder.glob("*.html"))


def test_matplotlib_is_not_imported(folder):
    code = (
        "import sys\nfrom tpl.cli import app\n"
        "app(['explain', 'small.tp', '--widths', '16,32', '--seeds', '4'], standalone_mode=False)\n"
        "print({'matplotlib', 'nbformat'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"


def test_equations_that_take_too_long_are_left_out():
    def too_long():
        raise TplError(program.source, [tpl.language.source.Diagnostic(None, "too long", "shorten it")])

    class Guard:
        def __enter__(self):
            too_long()

        def __exit__(self, *_):
            pass

    program = tpl.loads(PROGRAM)
    page = program.explain_page(verify=False, guard=Guard)
    assert page.missing["explanation"] == page.missing["derivation"] == "too long. (shorten it)"
    assert page["nngp(f, X)"].shape == (3, 3)
    text = checked(page.html()).text()
    assert text.count("too long. (shorten it)") == 2
    assert "What depends on what" in text


def test_a_run_beyond_the_limits_is_said():
    program = tpl.loads(
        "width n\nrandom W : [n, n] ~ N(0, 1 / n)\nrandom x : [n] ~ N(0, 1)\n"
        "y = W @ x\nz = W.T @ (tanh(y) / (1 + avg(abs(y))))\nshow avg(z^2)\n",
        limits=tpl.core.elaborate.Limits(max_memory=1000),
    )
    page = program.explain_page()
    assert "--max-memory" in page.missing["verification"]
    assert page.explanation is not None
    checked(page.html())


def test_progress_reaches_its_end():
    seen = []
    tpl.loads(PROGRAM).explain_page(widths=(16, 32), seeds=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (ALL, ALL)
    assert all(total == ALL for _, total in seen)


def test_what_differs_from_the_defaults_is_what_a_notebook_says():
    assert ExplainOptions().said() == {}
    assert ExplainOptions(seed=2, threads=3).said() == {"seed": 2}
    assert ExplainOptions(verify=False, widths=(4, 8)).said() == {"verify": False, "widths": [4, 8]}
