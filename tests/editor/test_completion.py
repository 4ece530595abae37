"""What the shell proposes, asked as shells ask: by typer's protocol of environment variables."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tpl.cli import app
from tpl.editor import completion
from tpl.language.training_words import SETTINGS
from tpl.pipeline import bundled_experiments, bundled_programs

ALL = bundled_programs() | bundled_experiments()


def proposed(line, shell="fish", cwd=None):
    """The words that a shell proposes at the end of a line, with their help."""
    asked = {
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
    }[shell]
    before = os.getcwd()
    try:
        os.chdir(cwd or before)
        result = CliRunner().invoke(app, [], env={"_TPL_COMPLETE": f"complete_{shell}", **asked}, prog_name="tpl")
    finally:
        os.chdir(before)
    rows = result.output.splitlines()
    return dict([*row.split("\t"), ""][:2] for row in rows if row) if shell == "fish" else rows


def test_commands_and_programs(tmp_path):
    assert {"run", "verify", "derive", "lsp"} <= set(proposed("tpl "))
    found = proposed("tpl run tr")
    assert set(found) == {name for name in ALL if name.startswith("tr")}
    assert found["transpose_correction"].startswith("The transpose correction: a matrix and its")
    assert set(proposed("tpl run paper/")) == {name for name in ALL if name.startswith("paper/")}
    (tmp_path / "trial.tp").write_text('"""Mine: a trial."""\nwidth n\n')
    (tmp_path / "trash.txt").write_text("no program")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "leaf.tp").write_text("width n\n")
    found = proposed("tpl run tr", cwd=tmp_path)
    assert set(found) == {*(name for name in ALL if name.startswith("tr")), "trial.tp", "tree/"}
    assert found["trial.tp"] == "Mine: a trial."
    assert set(proposed("tpl run tree/", cwd=tmp_path)) == {"tree/leaf.tp"}
    assert set(proposed("tpl fmt tree/", cwd=tmp_path)) == {"tree/leaf.tp"}


def test_settings_are_those_of_the_program():
    found = proposed("tpl run mlp --set ")
    assert found == {"L=": "3", "sigma_w=": "sqrt(2)", "sigma_b=": "0.1", "phi(z)=": "relu(z)"}
    assert set(proposed("tpl verify mlp -s sig")) == {"sigma_w=", "sigma_b="}
    trained = proposed("tpl run paper/features --set ")
    assert set(trained) == {"L=", "phi(z)=", *(f"{x}=" for x in SETTINGS)}
    assert trained["parametrization="] == "mup"
    assert set(proposed("tpl phase mlp --x ")) == {"L=", "sigma_w=", "sigma_b="}
    assert proposed("tpl run --set ") == {}
    assert proposed("tpl run no_such_program --set ") == {}


def test_data_are_those_of_the_program(tmp_path):
    for name in ("inputs.npy", "inputs.txt", "table.csv"):
        (tmp_path / name).write_text("")
    assert proposed("tpl run mlp --data ") == {"X=": "sphere(4, 10, seed=0)"}
    assert set(proposed("tpl run mlp --data X=cif", cwd=tmp_path)) == {"X=cifar10:", "X=cifar10_labels:"}
    assert set(proposed("tpl run mlp -d X=inp", cwd=tmp_path)) == {"X=inputs.npy"}
    assert "X=table.csv" in proposed("tpl run mlp -d X=", cwd=tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tpl run mlp --method ", ["auto", "law", "mc", "sample"]),
        ("tpl run mlp --reduction q", ["quasi"]),
        ("tpl run mlp --dtype ", ["float64", "float32"]),
    ],
)
@pytest.mark.parametrize("shell", ["fish", "bash"])
def test_words_of_options(line, words, shell):
    assert list(proposed(line, shell)) == words


def test_other_shells():
    assert proposed("tpl run semi", "bash") == ["semicircle"]
    assert proposed("tpl run semi", "zsh")[0].startswith('_arguments \'*: :(("semicircle"')


def test_programs_that_cannot_be_read_propose_nothing(tmp_path):
    (tmp_path / "broken.tp").write_bytes(b"\xff\xfe const")
    (tmp_path / "half.tp").write_text("const a = 1\nconst b = (\ndef g(u, w) = u * w\nconst \n")
    assert completion.settings(str(tmp_path / "broken.tp"), "") == []
    assert completion.settings(str(tmp_path / "half.tp"), "") == [("a=", "1"), ("g(u, w)=", "u * w")]
    assert completion.programs(None, str(tmp_path / "no" / "folder")) == []


def test_completion_starts_lightly():
    """Between a key and its answer: no symbols, no compiler, no pictures."""
    unwanted = {"sympy", "numba", "scipy", "matplotlib", "rich", "pygls"}
    code = (
        "import sys\nfrom tpl.editor import completion\nassert completion.settings('mlp', '')\n"
        f"assert completion.programs(None, 'mlp')\nprint(sorted({unwanted!r} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
