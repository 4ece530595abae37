"""Kernels of activations with kinks that have no closed form, and of steep ones: by series and by panels.

The references are integrals of their own, the general evaluator, and each other: the two ways that a pair can go.
"""

from itertools import pairwise
from math import pi

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

import tpl
from tpl.limit.formulas import sides
from tpl.limit.law import Law
from tpl.numeric import pairwise_series
from tpl.numeric.evaluate import evaluate_law
from tpl.numeric.pairwise_panels import COARSE, FINE, Rule, Smoothness, near_pairs, panel_coefficients, side

RNG = np.random.default_rng
FINEST = Rule(24, 24, 9.5)


def function_of(text):
    """The elementwise function of a text, as the law of a network holds it."""
    program = tpl.load("mlp", data={"X": RNG(0).standard_normal((2, 4))}, settings=[f"phi(z)={text}", "L=1"]).program
    atoms = [q.definition for q in Law(program).calculus.quantities if hasattr(q.definition, "covariance")]
    return sides(next(a.integrand for a in atoms if len(a.covariance) == 2), 2)[0]


def relu_at(t):
    return lambda z: np.maximum(z - t, 0.0)


FUNCTIONS = {
    "relu(z - 0.5)": relu_at(0.5),
    "max(tanh(z), 0.1*z)": lambda z: np.maximum(np.tanh(z), 0.1 * z),
    "abs(z - 1)*exp(-z^2)": lambda z: np.abs(z - 1) * np.exp(-(z**2)),
    "min(max(z, -1), 1)": lambda z: np.clip(z, -1, 1),
    "sqrt(relu(z - 0.3) + 1)": lambda z: np.sqrt(relu_at(0.3)(z) + 1),
}


HERMITE = {
    0: lambda z: 1.0,
    1: lambda z: z,
    3: lambda z: (z**3 - 3 * z) / np.sqrt(6),
    6: lambda z: (z**6 - 15 * z**4 + 45 * z**2 - 15) / np.sqrt(720),
}


def bell(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * pi)


# ---------------------------------------------------------------------------------------------- one pair


def relu_pair_by_one_integral(t, q1, q2, rho):
    """E relu(u - t) relu(v - t): the inner integral in terms of the normal distribution, the outer one by QUADPACK."""

    def given(x):
        mean, deviation = np.sqrt(q2) * rho * x - t, np.sqrt(q2 * (1 - rho**2))
        inner = (
            max(mean, 0.0)
            if deviation == 0
            else (mean * ndtr(mean / deviation) + deviation * np.exp(-((mean / deviation) ** 2) / 2) / np.sqrt(2 * pi))
        )
        return (np.sqrt(q1) * x - t) * inner * np.exp(-(x**2) / 2) / np.sqrt(2 * pi)

    start, meet = t / np.sqrt(q1), t / (np.sqrt(q2) * rho)  # about `meet`, over the inner deviation, v - t changes sign
    cuts = np.clip(meet + np.sqrt(1 - rho**2) / rho * np.array([-9, -3, 0, 3, 9]), start, 12.0)
    return integral(given, np.unique([start, *cuts, 12.0]))


def integral(function, edges):
    parts = pairwise(edges)
    return sum(quad(function, a, b, epsabs=1e-15, epsrel=1e-13, limit=400)[0] for a, b in parts)


@pytest.mark.parametrize("t", [0.5, -0.7, 2.0])
def test_relu_elsewhere_against_one_integral(t):
    rng = RNG(1)
    q1, q2 = np.exp(rng.uniform(-1.5, 1.5, (2, 24)))
    delta = 10.0 ** rng.uniform(-7, -1, 24)
    delta[:3], q2[:6] = 0.0, q1[:6]
    sign = np.where(rng.uniform(size=24) < 0.3, -1.0, 1.0)
    function = Smoothness(function_of(f"relu(z - ({t}))"), {})
    found = near_pairs(side(function, q1), side(function, q2), delta, sign, FINE)[0]
    want = [relu_pair_by_one_integral(t, *x) for x in zip(q1, q2, sign * (1 - delta), strict=True)]
    np.testing.assert_allclose(found, want, rtol=3e-12, atol=3e-13)


@pytest.mark.parametrize("text", FUNCTIONS, ids=str)
def test_panels_agree_with_finer_panels_and_the_defect_does_not_cancel(text):
    rng = RNG(2)
    q1 = np.exp(rng.uniform(-2, 2, 12))
    q2 = q1 * np.exp(rng.uniform(-0.1, 0.1, 12) * (np.arange(12) > 3))
    delta, sign = 10.0 ** rng.uniform(-12, -1.5, 12), np.where(np.arange(12) % 4 == 3, -1.0, 1.0)
    function = Smoothness(function_of(text), {})
    sides_ = side(function, q1), side(function, q2)
    energies = [panel_coefficients(function, q, 2)[1] for q in (q1, q2)]
    ratio = np.sqrt(energies[1] / energies[0])
    finest = near_pairs(*sides_, delta, sign, FINEST, ratio)
    for rule, tolerance in ((FINE, 2e-12), (COARSE, 1e-7)):
        found = near_pairs(*sides_, delta, sign, rule, ratio)
        assert np.max(np.abs(found[0] - finest[0]) / np.sqrt(energies[0] * energies[1])) < tolerance
        np.testing.assert_allclose(found[1], finest[1], rtol=100 * tolerance)
    np.testing.assert_allclose(
        finest[1] + sign * finest[0], np.sqrt(energies[0] * energies[1]), rtol=1e-12
    )  # what it is, up to the digits that cancel here


@pytest.mark.parametrize("text", FUNCTIONS, ids=str)
def test_coefficients_against_another_quadrature(text):
    phi, q = FUNCTIONS[text], np.array([0.3, 1.0, 5.0])
    found, energy = panel_coefficients(Smoothness(function_of(text), {}), q, 40)
    for row, size, variance in zip(found, energy, q, strict=True):
        cuts = np.clip(np.array([-1.0, 0.0, 0.3, 0.5, 1.0]) / np.sqrt(variance), -12, 12)

        edges = np.unique([-12.0, *cuts, 12.0])
        for k, polynomial in HERMITE.items():
            want = integral(lambda z, h=polynomial, v=variance: phi(np.sqrt(v) * z) * h(z) * bell(z), edges)
            assert abs(row[k] - want) < 3e-12 * np.sqrt(size)
        want = integral(lambda z, v=variance: phi(np.sqrt(v) * z) ** 2 * bell(z), edges)
        assert abs(size - want) < 3e-12 * size


@pytest.mark.parametrize("text", FUNCTIONS, ids=str)
def test_series_and_panels_meet(text):
    """Pairs about the |ρ| up to which series go, both ways."""
    rng = RNG(4)
    q1, q2 = np.exp(rng.uniform(-0.5, 0.5, (2, 10)))
    rho = rng.uniform(0.8, 0.95, 10) * np.where(np.arange(10) % 3 == 0, -1, 1)
    function = Smoothness(function_of(text), {})
    a, b = (panel_coefficients(function, q, 512)[0] for q in (q1, q2))
    series = np.einsum("nk,nk,nk->n", a, b, rho[:, None] ** np.arange(512))
    panels = near_pairs(side(function, q1), side(function, q2), 1 - np.abs(rho), np.sign(rho), FINE)[0]
    np.testing.assert_allclose(panels, series, rtol=1e-11, atol=1e-12)


# ---------------------------------------------------------------------------------------------- programs


def related_inputs():
    """Duplicates, near duplicates, opposites, one of another length, and zero."""
    X = RNG(3).standard_normal((6, 4))
    X[1], X[2], X[4], X[5] = X[0], X[0] + 1e-3 * X[3], -1.5 * X[0], 0.0
    return X


@pytest.mark.parametrize("phi", ["relu(z - 0.5)", "relu(z) + tanh(z)", "min(max(z, -1), 1)", "tanh(20*z)"])
def test_networks_against_the_general_evaluator(phi):
    X = related_inputs()
    settings = [f"phi(z)={phi}", "L=2"]
    found = tpl.load("mlp", settings=settings).kernel(X)
    program = tpl.load("mlp", data={"X": X}, settings=settings).program
    law = Law(program)
    for name, shown in zip(("nngp", "ntk"), program.shows, strict=True):
        general = evaluate_law(law, list(shown.lines))
        gap = np.abs(found[name] - general.value.reshape(shown.shape))
        size = np.sqrt(np.outer(*[np.diag(found[name])] * 2))
        assert np.all(gap <= found.errors(name) + general.error.reshape(shown.shape))
        assert np.max(gap / size) < 1e-10
        assert found.relative[name] < 1e-8


def test_depth_does_not_lose_what_near_duplicates_know():
    """An angle of 1e-7 between inputs, where a covariance alone would know one digit of 1 - ρ."""
    x, y = RNG(0).standard_normal((2, 5))
    y -= x * (x @ y) / (x @ x)
    X = np.array([x, x + 1e-7 * y * np.linalg.norm(x) / np.linalg.norm(y)])
    settings = ["phi(z)=relu(z - 0.25)", "sigma_b=0"]
    found = tpl.load("mlp", settings=settings).kernel(X).ntk
    gap = (found[0, 0] + found[1, 1]) / 2 - found[0, 1]
    wider = tpl.load("mlp", settings=settings).kernel(np.array([x, X[0] + 1e3 * (X[1] - X[0])])).ntk
    # Of the order of the angle: steps that meet under an angle θ agree but for a share of θ.
    np.testing.assert_allclose(gap * 1e3, (wider[0, 0] + wider[1, 1]) / 2 - wider[0, 1], rtol=2e-3)


def test_duplicates_in_blocks_are_the_diagonal(monkeypatch):
    X = np.concatenate([related_inputs(), related_inputs()[:3]])
    program = tpl.load("mlp", settings=["phi(z)=relu(z) + tanh(z)"])
    found = program.kernel(X, X[:4])
    for name in found.names:
        diagonal = program.kernel_diagonal(X, name)
        assert found[name][0, 1] == found[name][1, 0] == found[name][6, 0] == diagonal[0]
        assert found[name][3, 3] == diagonal[3]


def test_lengths_from_small_to_large():
    X = 10.0 ** np.arange(-6, 7, 2)[:, None] * RNG(5).standard_normal((7, 4))
    found = tpl.load("mlp", settings=["phi(z)=relu(z) - min(z, 0.5)", "L=2"]).kernel(X)
    program = tpl.load("mlp", data={"X": X}, settings=["phi(z)=relu(z) - min(z, 0.5)", "L=2"]).program
    law = Law(program)
    for name, shown in zip(("nngp", "ntk"), program.shows, strict=True):
        want = evaluate_law(law, list(shown.lines)).value.reshape(shown.shape)
        size = np.sqrt(np.outer(*[np.diag(want)] * 2))
        assert np.max(np.abs(found[name] - want) / size) < 1e-9


def test_a_stated_error_is_no_smaller_than_the_true_one_with_few_terms(monkeypatch):
    """With 48 terms, more pairs are integrated; nothing else changes."""
    X = RNG(6).standard_normal((9, 5))
    settings = ["phi(z)=relu(z - 0.5)", "L=1"]
    whole = tpl.load("mlp", settings=settings).kernel(X)
    monkeypatch.setattr(pairwise_series, "PANEL_TERMS", 48)
    few = tpl.load("mlp", settings=settings).kernel(X)
    for name in whole.names:
        assert np.all(np.abs(few[name] - whole[name]) <= few.errors(name))
        assert few.relative[name] < 1e-8
