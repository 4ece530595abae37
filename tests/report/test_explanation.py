"""Explanations as documents: golden texts that a person has read, and forms that open where they should."""

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tpl
from tpl.limit.formula import Formula, add, expectation, letter, mul, number, z
from tpl.report.explanation import ExplanationReport
from tpl.report.notation import LATEX, MATHML, TEXT, latex_text, write

GOLDEN = Path(__file__).parent / "golden"
READ = [
    "mlp",
    "rnn",
    "transpose_correction",
    "attention",
    "batchnorm_mlp",
    "amp",
    "conv1d",
    "layernorm_mlp",
    "semicircle",
]
ALL = [*READ, "mlp_erf", "resnet", "marchenko_pastur"]


@pytest.mark.parametrize("name", READ)
def test_golden(name, request):
    text = str(tpl.load(name).explain())
    path = GOLDEN / f"explain_{name}.txt"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_other_forms_are_well_formed(name):
    report = tpl.load(name).explain()
    page = report.html()
    ElementTree.fromstring(page.split("</style></head>")[1].removesuffix("</html>\n"))
    assert "<script" not in page
    assert "http" not in page
    latex = report.latex()
    assert latex.isascii()
    assert latex.count(r"\left") - latex.count(r"\leftarrow") == latex.count(r"\right") - latex.count(r"\rightarrow")
    assert re.sub(r"\\[{}]", "", latex).count("{") == re.sub(r"\\[{}]", "", latex).count("}")
    assert latex.count(r"\[") == latex.count(r"\]")
    assert "Formula(" not in latex + page + str(report) + report.markdown()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX")
@pytest.mark.parametrize("name", ALL)
def test_latex_compiles(name, tmp_path):
    (tmp_path / "it.tex").write_text(tpl.load(name).explain().latex(), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "it.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_equations_only():
    report = tpl.load("mlp").explain()
    short = ExplanationReport(report.account, equations_only=True)
    assert "MatMul" not in str(short)
    assert "Z^{h^l} = Ẑ^{W^l φ(h^{l−1})} + Z^{b^l}" in str(short)
    assert len(str(short)) < len(str(report)) / 1.5


@pytest.mark.parametrize(
    ("formula", "text", "latex"),
    [
        (add(letter("a"), Formula("neg", (letter("b"),))), "a − b", "a - b"),
        (Formula("sub", (letter("a"), add(letter("b"), letter("c")))), "a − (b + c)", r"a - \left(b + c\right)"),
        (mul(add(letter("a"), letter("b")), letter("c")), "(a + b) c", r"\left(a + b\right) \, c"),
        (Formula("div", (letter("a"), mul(letter("b"), letter("c")))), "a/(b c)", r"\frac{a}{b \, c}"),
        (Formula("div", (add(letter("a"), letter("b")), letter("c"))), "(a + b)/c", r"\frac{a + b}{c}"),
        (Formula("pow", (Formula("neg", (letter("a"),)), number(2))), "(−a)²", r"\left(-a\right)^{2}"),
        (Formula("pow", (z(Formula("name", (), "x", "vector")), number(2))), "(Z^x)²", r"\left(Z^{x}\right)^{2}"),
        (Formula("name", (), "sigma_w", "const"), "σ_w", r"\sigma _{w}"),
        (Formula("name", (letter("l"),), "h", "vector", True, "ξ"), "h^l(ξ)", r"h^{l}\left(\xi \right)"),
        (expectation(letter("a")), "a", "a"),
        (Formula("mod", (Formula("sub", (letter("p"), number(1))), letter("P"))), "(p − 1) mod P", r"\left(p - 1\right) \bmod P"),
    ],
)  # fmt: skip
def test_brackets_are_where_they_are_needed(formula, text, latex):
    assert write(formula, TEXT) == text
    assert write(formula, LATEX).replace("  ", " ") == latex
    ElementTree.fromstring(f"<m>{write(formula, MATHML)}</m>")


@pytest.mark.parametrize("text", ["50% & $5 #1_a {b} ^ ~ \\", "ξ′ → σ² √n ⊤ …", "数学 \u202e é", '<b>"x"|'])
def test_any_text_is_harmless_in_latex(text):
    written = latex_text(text)
    assert written.isascii() or "é" in written
    assert not re.search(r"(?<!\\)[#%&]", written)


HOSTILE = """
\"\"\"</h1><script>alert(1)</script> $\\\\input{x} ξ 数.\"\"\"
const α_1 = 2
width n
random 数 : [n] ~ N(0, α_1)
random W_ab_c : [n, n] ~ N(0, 1 / n)
y_hat = tanh(W_ab_c @ 数)  # </code>`
show avg(y_hat^2)
"""


def test_hostile_titles_and_foreign_names(tmp_path):
    report = tpl.loads(HOSTILE).explain()
    assert "<script" not in report.html()
    ElementTree.fromstring(report.html().split("</style></head>")[1].removesuffix("</html>\n"))
    assert r"\input" not in report.latex().replace(r"\usepackage[utf8]{inputenc}", "")
    if shutil.which("pdflatex") is not None:
        (tmp_path / "it.tex").write_text(report.latex(), encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "it.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]


def test_command_line(tmp_path, capsys):
    import sys
    from unittest import mock

    from tpl.cli import main

    target = tmp_path / "out.html"
    with mock.patch.object(sys, "argv", ["tpl", "derive", "mlp", "--explain", "--html", "-o", str(target)]), pytest.raises(
        SystemExit) as stopped:  # fmt: skip
        main()
    assert stopped.value.code == 0
    assert "The backward pass" in target.read_text(encoding="utf-8")
