"""Functions within functions: derivatives of nests are products of many sums, which stay together."""

import numpy as np
import pytest

import tpl
from tpl.core import expr as e
from tpl.core.expr import Expr, ref
from tpl.limit.algebra import MAX_APART, Algebra
from tpl.numeric import features
from tpl.numeric.integrand import Integrand


def nest(depth):
    """The transpose correction of tanh(tanh(… tanh(y)))."""
    inside = "y"
    for _ in range(depth):
        inside = f"tanh({inside})"
    return (
        "width n\nrandom W : [n, n] ~ N(0, 1 / n)\nrandom x : [n] ~ N(0, 1)\n"
        f"y = W @ x\nz = W.T @ {inside}\nshow avg(x * z)\n"
    )


def slope_of_nest(depth):
    """E of the derivative of the nest, by the trapezoidal rule: its error falls faster than any power of the step."""
    u = np.linspace(-12, 12, 4001)
    weights = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) * (u[1] - u[0])
    slope, value = np.ones_like(u), u
    for _ in range(depth):
        value = np.tanh(value)
        slope = slope * (1 - value**2)
    return float(slope @ weights)


@pytest.mark.parametrize("depth", [1, 4, 5, 6, 20])
def test_the_correction_of_a_nest_is_its_expected_slope(depth):
    shown = tpl.loads(nest(depth)).run(threads=1)["avg(x * z)"]
    assert abs(float(shown.value) - slope_of_nest(depth)) < 1e-12
    assert float(shown.error) < 1e-12


def test_the_slope_of_a_deep_nest_is_one_expectation():
    """Multiplied out it would be 2^20 of them; up to MAX_TERMS, and in every product after."""
    run = tpl.loads(nest(20)).run(threads=1)
    assert len(run.plan) <= MAX_APART
    assert str(tpl.loads(nest(5)).derive()).count("E[") == 1


def test_few_terms_stay_apart():
    """E[tanh(u)^2] says more than E[1 - tanh(u)^2] would."""
    assert "1 - E[tanh(u)²]" in str(tpl.loads(nest(1)).derive())


def test_terms_over_different_leaves_stay_apart():
    """Π (1 + f(u) + g(v)) with independent u, v: products of one-dimensional expectations, however many."""
    u, v = (e.apply("tanh", ref(i)) for i in (0, 1))
    terms = Algebra().expand(e.power(e.add(e.ONE, u, v), e.number(6)))
    assert len(terms) == 28


def test_zeros_inside_a_nest_are_searched_once(monkeypatch):
    """A node of a nest is part of every argument around it: searched for each it would be cubic work."""
    calls = []
    bracketed = features._bracketed
    monkeypatch.setattr(features, "_bracketed", lambda *args: calls.append(1) or bracketed(*args))
    node: Expr = ref(0)
    for _ in range(20):
        node = e.apply("tanh", node)
    integrand = Integrand(node, np.ones((1, 1)), {}, {})
    found = features.Analyst(integrand, 9.5).analyse()
    assert len(calls) <= 2 * 20
    assert all(abs(f.position) < 1e-12 for f in found.features)
