"""Hermite series against 60-digit references, and the stated bound against the true error, everywhere."""

import json
from math import exp, sqrt
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp

from tpl.core.expr import mul, ref, substitute
from tpl.core.gradient import partial_derivatives
from tpl.core.text import parse_program
from tpl.numeric.chains import reduce_rank
from tpl.numeric.hermite import MAX_TERMS, coefficients, hermite_functions
from tpl.numeric.integrand import Integrand
from tpl.numeric.quadrature import expectation
from tpl.numeric.series import Declined, Found, attempt, correlations, dual_matrix, series

REFERENCES = json.loads(Path(__file__).with_name("series_references.json").read_text(encoding="utf-8"))
NONE: dict = {}
PI = {"pi": np.pi}


def expression(text):
    """A function of x, as a program writes it, of ref(0)."""
    program = parse_program(f'width n\nx : [n] ~ N(0, 1)\ny = {text}\nt = avg(y)\nshow "t" [] = t')
    return program.lines[1].expr


def product(phi, psi):
    return mul(phi, substitute(psi, lambda leaf: ref(1) if leaf.op == "ref" else leaf))


def by_panels(phi, psi, q1, q2, c, nodes=16):
    factor = reduce_rank(np.array([[q1, c], [c, q2]]))
    return expectation(Integrand(product(phi, psi), factor, PI, NONE), nodes, level=1)[0]


@pytest.mark.parametrize("name", REFERENCES)
def test_values_and_bounds_against_60_digits(name):
    phi = expression(REFERENCES[name]["text"])
    found = 0
    for q1, q2, c, digits in REFERENCES[name]["points"]:
        truth = mp.mpf(digits)
        answer = series(phi, phi, q1, q2, c, PI, NONE)
        size = sqrt(by_panels(phi, phi, q1, q1, q1) * by_panels(phi, phi, q2, q2, q2))
        if isinstance(answer, Declined):
            # What is declined is right by quadrature.
            assert abs(by_panels(phi, phi, q1, q2, c) - truth) <= 1e-10 * size
            continue
        found += 1
        assert abs(answer.value - truth) <= answer.bound
        assert abs(answer.value - truth) <= 1e-10 * max(1.0, size)
        assert answer.bound <= 1e-10 * max(1.0, size)
        assert answer.reason.startswith("Hermite series, ")
    assert found >= len(REFERENCES[name]["points"]) / 2


@pytest.mark.parametrize("name", ["tanh", "silu", "softplus", "sigmoid"])
def test_the_usual_activations_are_never_declined_where_networks_live(name):
    phi = expression(REFERENCES[name]["text"])
    for q1, q2, c, _ in REFERENCES[name]["points"]:
        if max(q1, q2) <= 10:
            assert isinstance(series(phi, phi, q1, q2, c, NONE, NONE), Found)


def test_the_references_are_right():
    """Closed forms, and a double integral by Gauss-Hermite quadrature, live."""
    at = {tuple(p[:3]): mp.mpf(p[3]) for p in REFERENCES["bell"]["points"]}
    for (q1, q2, c), digits in at.items():
        a, b, d = mp.mpf(q1), mp.mpf(q2), mp.mpf(c)
        assert abs(digits * mp.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * d * d) - 1) < 1e-15
    at = {tuple(p[:3]): mp.mpf(p[3]) for p in REFERENCES["mish"]["points"]}
    z, weights = np.polynomial.hermite_e.hermegauss(140)
    weights = weights / weights.sum()
    mish = lambda x: x * np.tanh(np.log1p(np.exp(x)))  # noqa: E731
    direct = weights @ (mish(z)[:, None] * mish(z[:, None] / 2 + sqrt(0.75) * z)) @ weights
    assert abs(direct - at[1.0, 1.0, 0.5]) < 1e-13


def test_the_bound_holds_for_any_number_of_terms_and_is_not_idle():
    for name in ("tanh", "mish", "cauchy", "shifted"):
        phi = expression(REFERENCES[name]["text"])
        for terms in (1, 2, 5, 12, 40):
            for q1, q2, c, digits in REFERENCES[name]["points"]:
                if max(q1, q2) <= 10:
                    a, b = (coefficients(phi, np.array([q]), terms, NONE, NONE) for q in (q1, q2))
                    rho = correlations(*(np.full((1, 1), x) for x in (c, q1, q2)))
                    value, bound = dual_matrix(a, b, rho)
                    off = abs(float(value[0, 0] - mp.mpf(digits)))
                    assert off <= bound[0, 0]
                    if abs(rho[0, 0]) == 1 and q1 == q2:  # Parseval is an equality at ρ = 1; at -1, terms may cancel
                        assert bound[0, 0] <= 1.01 * off + 1e-11 or rho[0, 0] < 0


# ---------------------------------------------------------------------------------------------- coefficients


def test_hermite_functions_against_exact_recurrence():
    z = np.array([-11.3, -4.0, -0.7, 0.0, 1e-3, 2.5, 9.0])
    found = hermite_functions(z, 600)
    with mp.workdps(60):
        for column, x in enumerate(map(mp.mpf, z)):
            before, now = mp.zero, mp.exp(-(x**2) / 4)
            for k in range(600):
                assert abs(found[k, column] - now) < 1e-14
                before, now = now, (x * now - mp.sqrt(k) * before) / mp.sqrt(k + 1)


def test_coefficients_of_known_functions():
    a = coefficients(expression("exp(x)"), np.array([0.0, 0.3, 2.0]), 30, NONE, NONE)
    factorials = np.cumprod(np.concatenate([[1.0], np.arange(1.0, 30)]))
    for row, q in enumerate([0.0, 0.3, 2.0]):  # E e^{√q z} He_k = q^{k/2} e^{q/2}
        truth = q ** (np.arange(30) / 2) * exp(q / 2) / np.sqrt(factorials)
        assert np.linalg.norm(a.values[row] - truth) <= a.error[row]
        assert a.error[row] < 1e-12
    cube = coefficients(expression("x^3"), np.array([2.0]), 8, NONE, NONE)
    assert cube.values[0] == pytest.approx([0, 3 * 2**1.5, 0, 2**1.5 * sqrt(6), 0, 0, 0, 0], abs=1e-13)
    assert cube.tail[0] < 1e-6 * cube.norm[0]


def test_derivative_duals_are_the_series_of_derivatives():
    """Against shifted coefficients, a'_k = √((k+1)/q) a_{k+1}, and against the derivative by ρ (Price)."""
    for text in ("tanh(x)", "silu(x)", "x * tanh(x)", "log(1 + x^2)"):
        phi = expression(text)
        slope = partial_derivatives(phi, {0})[0][1]
        for q in (0.01, 1.0, 4.0):
            a = coefficients(phi, np.array([q]), 65, NONE, NONE)
            b = coefficients(slope, np.array([q]), 64, NONE, NONE)
            shifted = np.sqrt(np.arange(1, 65) / q) * a.values[0, 1:]
            assert shifted == pytest.approx(b.values[0], abs=1e-12)
            step = 1e-4
            sides = [series(phi, phi, q, q, (0.4 + s) * q, NONE, NONE).value for s in (step, -step)]
            price = series(slope, slope, q, q, 0.4 * q, NONE, NONE).value * q
            assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(price, rel=1e-6)


# ---------------------------------------------------------------------------------------------- degenerate inputs


def test_kernels_of_singular_duplicate_zero_and_extreme_inputs():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 3))
    x[1], x[2], x[3] = x[0], -x[0], 0.0
    x[4] *= 1e-6
    gram = x @ x.T
    q = np.diag(gram)
    for text in ("tanh(x)", "softplus(x)", "exp(-x^2)"):
        phi = expression(text)
        a = coefficients(phi, q, 256, NONE, NONE)
        value, bound = dual_matrix(a, a, correlations(gram, q[:, None], q[None, :]))
        assert np.all(bound < 1e-10)
        for i, j in np.ndindex(gram.shape):
            assert abs(value[i, j] - by_panels(phi, phi, q[i], q[j], gram[i, j])) <= bound[i, j] + 2e-15
    single = coefficients(phi, np.array([1.0]), 256, NONE, NONE)
    value, bound = dual_matrix(single, single, np.ones((1, 1)))
    assert abs(value[0, 0] - 1 / sqrt(5)) <= bound[0, 0] < 1e-12


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("rho", [-1.0, -0.5, 0.0, 1 - 1e-9, 1.0])
def test_any_scale_is_right_or_declined(scale, rho):
    phi = expression("exp(-x^2)")
    for q1, q2 in ((scale, scale), (scale, 1.0)):
        c = rho * sqrt(q1 * q2)
        with mp.workdps(40):
            truth = 1 / mp.sqrt((1 + 2 * mp.mpf(q1)) * (1 + 2 * mp.mpf(q2)) - 4 * mp.mpf(c) ** 2)
        answer = series(phi, phi, q1, q2, c, NONE, NONE)
        if isinstance(answer, Found):
            assert abs(answer.value - truth) <= answer.bound
        else:
            assert max(q1, q2) > 10
            assert "slowly" in answer.reason or "steep" in answer.reason


def test_functions_that_cancel_have_honest_bounds():
    """1 - cos(u), u about 1e-4, has lost half its digits: only the analysis of rounding can know."""
    phi = expression("1 - cos(x)")
    for q in (1e-10, 1e-8, 1e-6):
        a = coefficients(phi, np.array([q]), 16, NONE, NONE)
        value, bound = dual_matrix(a, a, np.array([[0.5]]))
        with mp.workdps(60):
            t = mp.mpf(q)  # E cos u cos v = (e^{-(q+c)} + e^{-(q-c)})/2, E cos u = e^{-q/2}
            truth = 1 - 2 * mp.exp(-t / 2) + (mp.exp(-1.5 * t) + mp.exp(-t / 2)) / 2
        assert 0 < abs(value[0, 0] - truth) <= bound[0, 0]


def test_growth_and_steepness_are_declined_not_wrong():
    for q in (1.0, 9.0, 100.0, 400.0):
        answer = series(expression("exp(x)"), expression("exp(x)"), q, q, 0.5 * q, NONE, NONE)
        if isinstance(answer, Found):
            assert abs(answer.value - exp(1.5 * q)) <= answer.bound + 1e-15 * exp(1.5 * q)
    assert isinstance(answer, Declined)
    bump = expression("exp(-(1000000 * (x - 0.5))^2)")
    assert isinstance(series(bump, bump, 1.0, 1.0, 0.5, NONE, NONE), Declined)


def test_attempts_say_why():
    one = np.array([[1.0, 0.5], [0.5, 1.0]])
    tanh, relu = expression("tanh(x)"), expression("relu(x - 1.5)")
    found = attempt(product(tanh, expression("silu(x)")), one, NONE, NONE)
    assert isinstance(found, Found)
    assert found.reason.startswith("Hermite series, ")
    declined = [
        attempt(product(tanh, relu), one, NONE, NONE),
        attempt(mul(tanh, ref(0)), one[:1, :1], NONE, NONE),
        attempt(substitute(expression("tanh(x)"), lambda leaf: mul(ref(0), ref(1))), one, NONE, NONE),
        attempt(product(tanh, tanh), np.full((2, 2), 1e3), NONE, NONE, 128),
    ]
    reasons = [x.reason for x in declined if isinstance(x, Declined)]
    assert reasons[:3] == [
        "kink of relu at z = 1.5",
        "a Hermite series is for two variables",
        "not a product of functions of one variable each",
    ]
    assert reasons[3].startswith("the Hermite series falls slowly: after 128 terms at ρ = 1 ")
    assert MAX_TERMS >= 1024
