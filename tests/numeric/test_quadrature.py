"""Expectations in numbers against known values: errors must be honest, panels must adapt."""

import time
from math import exp, pi, sqrt

import numpy as np
import pytest

import tpl
import tpl.numeric.evaluate as evaluation
from tpl.core.text import parse_program
from tpl.limit.law import Law
from tpl.numeric.chains import reduce_rank
from tpl.numeric.evaluate import evaluate_law


@pytest.fixture
def without_closed_forms(monkeypatch):
    monkeypatch.setattr(evaluation, "STRATEGIES", without_formulas())


def without_formulas():
    """Quadrature, and what comes after it."""
    return tuple(s for s in evaluation.STRATEGIES if s.name not in ("closed form", "Hermite series"))


def expectation(integrand, q1=1.0, rho=0.0, q2=1.0):
    """E integrand(u, v) for variances q1, q2 and correlation rho: value and error."""
    second = [rho * sqrt(q2), sqrt(max(0.0, 1 - rho * rho)) * sqrt(q2)]
    text = (
        f"width n\nU : [n, 2] ~ N(0, 1)\nu = U @ [{sqrt(q1)!r}, 0.0]\nv = U @ {second}\n"
        f't = avg({integrand} + 0 * u + 0 * v)\nshow "t" [] = t'
    )
    program = parse_program(text)
    found = evaluate_law(Law(program), list(program.shows[0].lines))
    return found.value[0], found.error[0]


def check(found, truth, tolerance, rounding=4e-15):
    """rounding: of the reference."""
    value, error = found
    assert abs(value - truth) <= 2 * error + rounding * max(1, abs(truth)), "an honest error"
    assert abs(value - truth) <= tolerance, f"{value} is not {truth}"


SIZES = [1e-6, 0.3, 1.0, 50.0, 1e6]
CORRELATIONS = [-1.0, -1 + 1e-9, -0.9, 0.0, 0.5, 0.999, 1 - 1e-9, 1.0]


@pytest.mark.usefixtures("without_closed_forms")
@pytest.mark.parametrize("q", SIZES)
@pytest.mark.parametrize("rho", CORRELATIONS)
def test_relu_and_erf(q, rho):
    theta = np.arctan2(sqrt(max(0.0, (1 - rho) * (1 + rho))), rho)
    relu = q * (np.sin(theta) + (pi - theta) * np.cos(theta)) / (2 * pi)
    check(expectation("relu(u) * relu(v)", q, rho, q), relu, 1e-9 * q, 4e-15 * (1 + q))
    williams = 2 / pi * np.arcsin(2 * rho * q / (1 + 2 * q))
    check(expectation("erf(u) * erf(v)", q, rho, q), williams, 1e-8, 1e-12)


@pytest.mark.usefixtures("without_closed_forms")
@pytest.mark.parametrize("rho", CORRELATIONS)
def test_jumps(rho):
    theta = np.arctan2(sqrt(max(0.0, (1 - rho) * (1 + rho))), rho)
    check(expectation("step(u) * step(v)", 1.0, rho), (pi - theta) / (2 * pi), 1e-7)


@pytest.mark.usefixtures("without_closed_forms")
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3, 1e6])
def test_steep_functions(scale):
    check(expectation(f"exp(-({scale!r} * u)^2)"), 1 / sqrt(1 + 2 * scale**2), 1e-12)
    check(expectation(f"exp(-({scale!r} * (u - 0.5))^2)"),
          exp(-(scale**2) * 0.25 / (1 + 2 * scale**2)) / sqrt(1 + 2 * scale**2), 1e-12)  # fmt: skip
    check(expectation(f"erf({scale!r} * u) * u"), 2 / sqrt(pi) * scale / sqrt(1 + 2 * scale**2), 1e-12)
    truth = 2 / pi * np.arcsin(2 * 0.6 * scale**2 / (1 + 2 * scale**2))
    check(expectation(f"erf({scale!r} * u) * erf({scale!r} * v)", rho=0.6), truth, 1e-10)


@pytest.mark.usefixtures("without_closed_forms")
def test_kinks_with_offsets_and_along_curves():
    from scipy.integrate import quad
    from scipy.special import ndtr

    density = exp(-0.98) / sqrt(2 * pi)  # at 1.4
    soft = 2 * ((1 + 1.96) * ndtr(-1.4) - 1.4 * density)
    check(expectation("(sign(u) * relu(abs(u) - 1.4))^2"), soft, 1e-13)
    check(expectation("relu(u - 1.4)"), density - 1.4 * ndtr(-1.4), 1e-13)
    check(expectation("relu(abs(u) - 1.4) * step(v)", rho=0.0), density - 1.4 * ndtr(-1.4), 1e-12)
    check(expectation("max(u, v)", rho=0.2), sqrt(0.8 / pi), 1e-12)
    check(expectation("step(u^2 + v^2 - 1)"), exp(-0.5), 1e-3)  # the circle's tangents: slow, and the error says so
    parabola = quad(lambda z: 2 * ndtr(-z * z) * exp(-z * z / 2) / sqrt(2 * pi), 0, 9)[0]
    check(expectation("step(v - u * u)"), parabola, 1e-9)


def test_closed_forms_agree_with_quadrature(monkeypatch):
    for name in ("mlp", "mlp_erf", "layernorm_mlp"):
        program = tpl.load(name).program
        law, lines = Law(program), [i for shown in program.shows for i in shown.lines]
        first = evaluate_law(law, lines)
        with monkeypatch.context() as m:
            m.setattr(evaluation, "STRATEGIES", without_formulas())
            second = evaluate_law(law, lines)
        assert "closed form" in first.method
        assert second.method == "law, quadrature"
        assert np.all(np.abs(first.value - second.value) <= 2 * (first.error + second.error))


@pytest.mark.usefixtures("without_closed_forms")
def test_a_kernel_by_quadrature_takes_no_time():
    program = tpl.load("mlp").program
    law = Law(program)
    start = time.perf_counter()
    evaluate_law(law, list(program.shows[1].lines))
    assert time.perf_counter() - start < 1.5


def test_sampled_expectations_have_honest_errors():
    lines = ["width n", *(f"x{i} : [n] ~ N(0, 1)" for i in range(6))]
    lines += [f"r{i} = max({'x0' if i == 1 else f'r{i - 1}'}, x{i})" for i in range(1, 6)]
    program = parse_program("\n".join([*lines, "t = avg(r5)", 'show "t" [] = t']))
    law = Law(program)
    truth = 1.2672063606115  # the greatest of six standard normal variables
    found = [evaluate_law(law, list(program.shows[0].lines), log2_points=9, seed=s) for s in range(12)]
    score = [(x.value[0] - truth) / x.error[0] for x in found]
    assert found[0].method == "law, quasi-random points"
    assert max(map(abs, score)) < 8
    assert sum(abs(x) < 2 for x in score) >= 9


def test_reduced_rank():
    root = np.random.default_rng(0).standard_normal((5, 3))
    factor = reduce_rank(root @ root.T)
    assert factor.shape == (5, 3)
    assert factor @ factor.T == pytest.approx(root @ root.T)
    assert reduce_rank(np.zeros((2, 2))).shape == (2, 0)


@pytest.mark.usefixtures("without_closed_forms")
@pytest.mark.parametrize("q", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("rho", [-0.5, 0.3, 0.9])
def test_kinks_within_kinks(q, rho):
    """Hard tanh, against its Mehler series: E f f = Σ ρ^k a_k², a_k from integration by parts, k = 1 and k >= 2."""
    from scipy.special import ndtr
    from scipy.stats import norm

    t = 1 / sqrt(q)
    total, he, factorial = (q * rho) * (2 * ndtr(t) - 1) ** 2, [1.0, t], 1.0
    # a_k = sqrt(q) E[f'(√q z) He_{k-1}(z)]/sqrt(k!) with f' = 1 on [-t, t]: ∫ He_{k-1} p = -[He_{k-2} p].
    for k in range(2, 400):
        factorial *= k
        if k % 2:
            part = -2 * he[k - 2] * norm.pdf(t)
            total += q * rho**k * part * part / factorial
        he.append(t * he[-1] - (k - 1) * he[-2])
        if factorial > 1e290:
            break
    clip = lambda x: f"min(max({x}, -1), 1)"  # noqa: E731
    found = expectation(f"{clip('u')} * {clip('v')}", q, rho, q)
    check(found, total, 1e-9 if abs(rho) < 0.8 else 1e-6, 1e-9 if abs(rho) < 0.8 else 1e-6)
