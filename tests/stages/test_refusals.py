"""Programs without a limit: every command says so, and where."""

import numpy as np
import pytest

import tpl
from tpl.language.source import TplError
from tpl.stages import simulate

START = "width n\nrandom x : [n] ~ N(0, 1)\nrandom w : [n] ~ N(0, 1)\nt = avg(x)\n"
JUMP = START + "y = step(t * x)\nshow avg(y * w^2)\n"
NETWORK = """
width n
data X[N, d] = sphere(2, 4, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    h = U @ xi
    y = step(avg(h) * h)
    return v @ y
show nngp(f, X)
"""
LOGARITHM = START + "y = log(t - 1) * x\nshow avg(y)\n"
COMMANDS = {
    "run": lambda program: program.run(),
    "law": lambda program: program.run(method="law"),
    "sample": lambda program: program.run(method="sample"),
    "verify": lambda program: program.verify(widths=[16, 32], seeds=2, samples=64, replicates=2),
    "derive": lambda program: program.derive(),
    "explain": lambda program: program.explain(),
    "phase": lambda program: program.phase(),
    "kernel": lambda program: program.kernel(np.eye(4), get=["nngp"]),
}


def diagnosis(text, command):
    with pytest.raises(TplError) as problem:
        COMMANDS[command](tpl.loads(text))
    (found,) = problem.value.diagnostics
    return found


@pytest.mark.parametrize("command", [x for x in COMMANDS if x != "kernel"])
def test_a_jump_that_its_argument_tends_to(command):
    found = diagnosis(JUMP, command)
    assert found.message == "`y` has no limit: step jumps at 0, where its argument tends"
    assert found.span.line == 5
    assert "fluctuation" in found.hint


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_in_a_network(command):
    found = diagnosis(NETWORK, command)
    assert found.message == "`y` at the input `X[1]` has no limit: step jumps at 0, where its argument tends"
    assert found.span.line == 8


@pytest.mark.parametrize("command", ["run", "law", "derive", "phase"])
def test_a_number_that_is_not_defined(command):
    found = diagnosis(LOGARITHM, command)
    assert found.message.endswith("has no limit: log of -1 is not a number")
    assert found.span is not None
    assert "of one width" in found.hint


@pytest.mark.parametrize(
    "lines",
    [
        "y = step((t - 1/2) * x)",  # -x/2 in the limit
        "y = step(0 * t)  * x^2",  # one number at any width
        "y = step(w - x) * x^2",  # no average in it
        "s = avg(step(x))\ny = s * x^2",  # before the average
    ],
)
def test_samples_of_what_has_a_limit_are_taken(lines):
    program = tpl.loads(START + lines + "\nshow avg(y)\n")
    law, sampled = program.run(method="law").results[0], program.run(method="sample", replicates=24).results[0]
    assert abs(law.value - sampled.value) < 5 * (sampled.error + law.error)


def test_samples_of_long_programs_are_taken_unseen(monkeypatch):
    monkeypatch.setattr(simulate, "SHORT", 2)
    assert tpl.loads(JUMP).run(method="sample").results[0].value == pytest.approx(0.5, abs=0.05)


def test_the_independence_of_transposes_has_a_limit_of_its_own():
    """avg(z * x) tends to 1, and to 0 if W.T were independent of W: only then has step an argument away from 0."""
    program = tpl.loads(
        "width n\nrandom W : [n, n] ~ N(0, 1 / n)\nrandom x : [n] ~ N(0, 1)\n"
        "z = W.T @ (W @ x)\ns = avg(z * x) - 1\nshow avg(step(s * x) * x)\n"
    )
    with pytest.raises(TplError, match="has no limit"):
        program.run(method="sample")
    found = program.run(method="sample", gradient_independence=True, replicates=24).results[0]
    assert abs(found.value + 1 / np.sqrt(2 * np.pi)) < 5 * found.error


def test_kernels_of_inputs_that_do_not_fit_name_both_shapes():
    with pytest.raises(TplError, match="X1 holds inputs of length 10, and X2 of length 9"):
        tpl.load("mlp").kernel(np.ones((3, 10)), np.ones((3, 9)))
    with pytest.raises(TplError, match=r"inputs are numbers with 2 axes; these are float64 of shape \[2, 3, 4\]"):
        tpl.load("mlp").kernel(np.ones((2, 3, 4)))


def test_inputs_of_a_kernel_are_sources_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program, inputs = tpl.load("mlp"), tpl.load("mlp", data={"X": "sphere:3,7"}).run()["nngp(f, X)"].value
    np.save("x.npy", np.eye(7))
    assert np.allclose(program.kernel("sphere:3,7").nngp, inputs, rtol=1e-12)
    assert program.kernel("sphere:3,7", "x.npy", get=["nngp"]).nngp.shape == (3, 7)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sphare:3,7", "did you mean sphere"),
        (np.ones(3), "one input alone is given as `x[None]`"),
        (["a", "b"], "inputs are numbers with 2 axes; these are no numbers of shape [2]"),
    ],
)
def test_inputs_that_are_none(given, said):
    with pytest.raises(TplError) as problem:
        tpl.load("mlp").kernel(given)
    assert said in str(problem.value)


def test_a_kernel_is_not_worked_out_for_a_file_that_has_no_folder(tmp_path):
    with pytest.raises(TplError, match="cannot be written: there is no folder"):
        tpl.load("mlp").kernel(np.eye(4), out=tmp_path / "no" / "k.npy")


def test_options_that_would_say_nothing_are_refused():
    with pytest.raises(TplError, match="`checkpoint` is for programs that train"):
        tpl.load("mlp").run(checkpoint="folder")
    trained = "width n\ndata X[N, d] = [[1, 0]]\ndata y[N] = [1]\nnetwork f(xi[d]):\n" + (
        "    param U : [n, d] ~ N(0, 1 / d)\n    param v : [1, n] ~ N(0, 1 / n)\n    return v @ tanh(U @ xi)\n"
        "train f on X, y:\n    parametrization = mup\n    loss = (f - y)^2\n    rate = 0.1\n    steps = 1\nshow loss\n"
    )
    with pytest.raises(TplError, match="`method` law: the limit of a training is sampled step by step"):
        tpl.loads(trained).run(method="law")


def test_a_folder_is_no_program(tmp_path):
    with pytest.raises(TplError, match="this is a folder, not a program"):
        tpl.load(str(tmp_path))
