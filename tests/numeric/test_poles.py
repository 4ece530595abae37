"""Expectations that do not exist are refused, integrable singularities are not."""

import numpy as np
import pytest

import tpl
from tests.numeric.test_tails import expression
from tpl.language.source import TplError
from tpl.numeric.poles import worst_pole

ORDERS = {
    "1 / z": 1, "1 / z^2": 2, "abs(z)^-0.3": 0.3, "1 / tanh(z - 1)": 1, "1 / (z^2 - 2)^2": 2, "1 / sqrt(abs(z))": 0.5,
    "exp(1 / z)": np.inf, "z / (z * abs(z)^0.5)": 0.5,
    "1 / (1 + z^2)": None, "sin(z) / z": None, "z / tanh(z)": None, "1 / (2 + cos(z))": None, "1 / (1 + exp(z))": None,
}  # fmt: skip


@pytest.mark.parametrize("text", ORDERS)
def test_orders_of_poles(text):
    found = worst_pole(expression(text), np.array([[1.5]]), {}, {})
    assert (found and found.order) == (ORDERS[text] and pytest.approx(ORDERS[text]))


@pytest.mark.parametrize("method", ["auto", "law"])
def test_an_infinite_second_moment_is_refused_at_its_line(method):
    text = """def phi(z) = 1 / z
width n
data X[N, d] = sphere(2, 3, seed=0)
network f(x[d]):
    param W : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    h = W @ x
    y = phi(h)
    return v @ y
show nngp(f, X)
"""
    with pytest.raises(TplError, match="1/distance\\^2") as caught:
        tpl.loads(text).run(method=method)
    assert "y = phi(h)" in str(caught.value)
    found = tpl.loads(text.replace("1 / z", "1 / (1 + z^2)")).run(method=method)
    assert np.isfinite(found.results[0].value).all()


def test_what_is_divided_by_may_hold_an_average():
    """Whose number is not known when a line's poles are looked for."""
    text = """
width n
random x : [n] ~ N(0, 2)
random W : [n, n] ~ N(0, 1 / n)
q = avg(tanh(x)^2)
y = W @ (x / (1 + q * x^2))
show avg(y^2)
"""
    run = tpl.loads(text).run()
    z = np.arange(-12, 12, 0.01)
    bell, x = np.exp(-(z**2) / 2), z * np.sqrt(2)
    q = np.sum(bell * np.tanh(x) ** 2) / np.sum(bell)
    expected = np.sum(bell * (x / (1 + q * x**2)) ** 2) / np.sum(bell)
    assert abs(run.results[0].value - expected) < 1e-9


SINGULAR = ["phi(z)=1/z"]


@pytest.mark.parametrize("settings", [SINGULAR, ["phi(z)=abs(z)^-0.6"]])
def test_phase_refuses_them(settings):
    with pytest.raises(TplError, match=r"no limit: E\[.*1/distance\^(2|1\.2) at a pole"):
        tpl.load("mlp", settings=settings).phase()


def test_sweeps_refuse_them():
    """Batch norm over 8 inputs: 8 Gaussian variables, at any of whose differences from the mean there is a pole."""
    with pytest.raises(TplError, match="an expectation over 8 Gaussian variables is infinite or undefined") as caught:
        tpl.load("batchnorm_mlp", settings=SINGULAR).run()
    assert "x[l, i] = phi(" in str(caught.value)


def test_samples_carry_a_note_of_them():
    singular, regular = tpl.load("mlp", settings=SINGULAR), tpl.load("mlp", settings=["phi(z)=1/(1+z^2)"])
    row = next(i for i, text in enumerate(singular.program.source.text.splitlines(), 1) if "phi(h[l-1])" in text)
    for program, expected in ((singular, 1), (regular, 0)):
        run = program.run(method="sample", samples=64, replicates=2)
        verified = program.verify(widths=[4, 8], seeds=2, samples=64, replicates=2)
        for notes in (run.notes, verified.notes):
            found = [note for note in notes if "1/distance^2 at a pole" in note]
            assert len(found) == expected
            assert all(note.startswith(f"line {row}: E[") for note in found)


def test_training_carries_a_note_of_them():
    text = """
width n
data X[N, d] = sphere(2, 4, seed=0)
data y[N] = [1, -1]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    h = W @ (1 / (U @ xi - 1))
    return v @ tanh(h)
train f on X, y:
    loss = (f - y)^2 / 2
    parametrization = mup
    rate = 0.01
    steps = 1
show loss
"""
    options = {"samples": 64, "replicates": 2}
    assert any("line 9:" in note and "at a pole" in note for note in tpl.loads(text).run(**options).notes)
    bounded = text.replace("1 / (U @ xi - 1)", "U @ xi")
    assert not any("at a pole" in note for note in tpl.loads(bounded).run(**options).notes)
