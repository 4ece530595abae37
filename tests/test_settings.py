"""What `--set` and `--data` say of what a program does not have; and the same from Python."""

import pytest

import tpl
from tpl.language.source import TplError

PROGRAM = """width n
const s = 1
def phi(z) = relu(z)
data X[N, d] = sphere(3, 4, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, s / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ phi(U @ xi)
show nngp(f, X)
"""


def complaint(work):
    with pytest.raises(TplError) as problem:
        work()
    return problem.value.render()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("phi=tanh", "`phi` is a function: it is set with its parameters\n  help: `--set 'phi(z)=tanh(z)'`"),
        ("phi=z^2", "`phi` is a function: it is set with its parameters\n  help: `--set 'phi(z)=z^2'`"),
        ("s(z)=3", "`s` is a number, and has no parameters\n  help: `--set s=…`"),
        ("X=3", "`X` is data, and no setting\n  help: `--data X=…`"),
        ("t=3", "the program has no const `t`\n  help: it has `s`"),
        ("S=3", "the program has no const `S`\n  help: did you mean `s`?"),
        ("psi(z)=z", "the program has no def `psi`\n  help: did you mean `phi`?"),
    ],
)
def test_settings_that_a_program_does_not_have(setting, said):
    assert complaint(lambda: tpl.loads(PROGRAM, settings=[setting])) == f"<text>: error: {said}"


def test_the_advice_works():
    assert tpl.loads(PROGRAM, settings=["phi(z)=tanh(z)"]).run()[0].value[0, 0] < 1


def test_a_sweep_in_python_speaks_of_no_command_line():
    program = tpl.loads(PROGRAM)
    said = complaint(lambda: program.sweep(sigma_s=[1, 2]))
    assert said == "<text>: error: the program has no const `sigma_s`\n  help: it has `s`"


def test_only_data_files_are_suggested_for_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pol.py").write_text("")
    said = complaint(lambda: tpl.loads(PROGRAM, data={"X": "pol.npy"}))
    assert said == "<text>: error: --data X=pol.npy: there is no file 'pol.npy'"
    (tmp_path / "poll.csv").write_text("1,2,3,4\n")
    said = complaint(lambda: tpl.loads(PROGRAM, data={"X": "pol.csv"}))
    assert said.endswith("help: did you mean poll.csv?")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("rate=-1", "`rate` is -1; it must be at least 0"),
        ("rate=0.3-t/10", "`rate` is -0.1 at step 4; it must be at least 0"),
        ("rate=1/(3-t)", "`rate` has no value at step 3; it must be at least 0"),
        ("momentum=1.5", "`momentum` is 1.5; it must be between 0 and 1"),
        ("weight_decay=-1", "`weight_decay` is -1; it must be at least 0"),
    ],
)
def test_a_training_descends(setting, said):
    with pytest.raises(TplError) as found:
        tpl.load("training/word2vec", settings=[setting])
    assert said in str(found.value)


def test_a_rate_may_vanish():
    assert tpl.load("training/word2vec", settings=["rate=max(0, 1-t/5)"]).program.training.schedule.steps > 5
