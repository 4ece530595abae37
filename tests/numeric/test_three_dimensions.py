"""Expectations of nonlinearities with several inputs: closed forms, one algorithm against another, honest errors."""

from math import pi, sqrt

import numpy as np
import pytest

from tpl.core.text import parse_program
from tpl.limit.law import Law
from tpl.numeric.chains import reduce_rank
from tpl.numeric.evaluate import evaluate_law
from tpl.numeric.integrand import Integrand
from tpl.numeric.lattice import lattice
from tpl.numeric.nested import nested
from tpl.numeric.series import Declined, Found

NAMES = "uvwx"
COVARIANCE = np.array([[1.0, 0.5, 0.2], [0.5, 1.3, -0.4], [0.2, -0.4, 0.8]])


def integrand(text, covariance):
    count = len(covariance)
    lines = [f"{name} : [n] ~ N(0, 1)" for name in NAMES[:count]]
    inside = " + ".join(f"0 * {name}" for name in NAMES[:count])
    program = parse_program("\n".join(["width n", *lines, f"y = {inside} + {text}", "t = avg(y)", 'show "t" [] = t']))
    return Integrand(program.lines[count].expr, reduce_rank(covariance), {}, {})


def check(found, truth, tolerance):
    assert isinstance(found, Found), found.reason
    assert abs(found.value - truth) <= found.bound + 4e-15 * abs(truth)
    assert found.bound <= tolerance


@pytest.mark.parametrize("scale", [1e-6, 1.0, 9.0])
def test_gaussian_integrands(scale):
    """E exp(-a·x² ...) = det(I + 2 C)^(-1/2), and E exp(u + v - w) = exp(s' C s / 2)."""
    cov = scale * COVARIANCE
    bell = np.linalg.det(np.eye(3) + 2 * cov) ** -0.5
    check(lattice(integrand("exp(-u^2 - v^2 - w^2)", cov)), bell, 1e-8)
    signs = np.array([0.3, 0.2, -0.3]) / sqrt(scale)
    text = " + ".join(f"{float(s)!r} * {n}" for s, n in zip(signs, NAMES, strict=False))
    check(lattice(integrand(f"exp({text})", cov)), np.exp(signs @ cov @ signs / 2), 1e-8)


def test_four_dimensions():
    cov = 0.3 * np.eye(4) + 0.2
    truth = np.linalg.det(np.eye(4) + 2 * cov) ** -0.5
    check(lattice(integrand("exp(-u^2 - v^2 - w^2 - x^2)", cov)), truth, 1e-8)


@pytest.mark.parametrize("text", ["tanh(u) * sigmoid(v) * silu(w)", "(tanh(u) * sigmoid(v) * tanh(w))^2",
                                  "sigmoid(u) * tanh(v) + (1 - sigmoid(u)) * w^2"])  # fmt: skip
@pytest.mark.parametrize("scale", [0.04, 1.0, 10.0])
def test_gates_by_lattices_and_by_panels(text, scale):
    x = integrand(text, scale * COVARIANCE)
    first, second = lattice(x), nested(x)
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert first.bound <= 1e-8 * max(1, scale)
    assert abs(first.value - second.value) <= first.bound + second.bound


def orthant(cov):
    """P(u, v, w > 0) = 1/8 + Σ arcsin ρ / 4π (Sheppard)."""
    r = cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    return 1 / 8 + sum(np.arcsin(r[i, j]) for i, j in ((0, 1), (0, 2), (1, 2))) / (4 * pi)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_kinks_on_planes(scale):
    cov = scale * COVARIANCE
    check(nested(integrand("step(u) * step(v) * step(w)", cov)), orthant(cov), 1e-8)
    iid = scale * np.eye(3)
    check(nested(integrand("max(max(u, v), w)", iid)), 1.5 * sqrt(scale / pi), 1e-6 * sqrt(scale))
    check(nested(integrand("relu(u) * relu(v) * relu(w)", iid)), (scale / (2 * pi)) ** 1.5, 1e-6 * scale**1.5)
    # E|u + v + w| of one Gaussian variable with three parts.
    spread = sqrt(np.sum(cov))
    check(nested(integrand("abs(u + v + w) + 0 * step(u) * step(v)", cov)), spread * sqrt(2 / pi), 1e-6 * spread)


def test_kinks_beside_smooth_factors():
    """Independent blocks: the expectation is a product of a plane's and a line's."""
    cov = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 2.0]])
    two = integrand("tanh(u) * relu(v - 0.4)", cov[:2, :2])
    one = integrand("sigmoid(u) * abs(u - 1)", cov[2:, 2:])
    from tpl.numeric.quadrature import expectation

    truth = expectation(two, 16, 1)[0] * expectation(one, 16, 1)[0]
    check(nested(integrand("tanh(u) * relu(v - 0.4) * sigmoid(w) * abs(w - 1)", cov)), truth, 1e-7)


def test_what_is_too_hard_is_declined_with_a_reason():
    steep = lattice(integrand("tanh(u) * tanh(v) * tanh(w)", 1e6 * COVARIANCE))
    kinked = lattice(integrand("relu(u) * tanh(v) * tanh(w)", COVARIANCE))
    growing = lattice(integrand("exp(4 * u) * v * tanh(w)", COVARIANCE))
    assert isinstance(steep, Declined)
    assert "steep" in steep.reason
    assert isinstance(kinked, Declined)
    assert kinked.reason == "kink of relu where z0 = 0"
    assert isinstance(growing, Declined)
    curved = nested(integrand("step(u^2 + v^2 + w^2 - 1)", COVARIANCE))
    assert isinstance(curved, Declined)
    assert "agree" in curved.reason


def test_programs_with_gates_have_ten_digits():
    program = parse_program(
        "width n\nU : [n, 3] ~ N(0, 1)\nu = U @ [1.0, 0.3, 0.0]\nv = U @ [0.2, 0.8, 0.1]\nw = U @ [0.0, -0.4, 0.7]\n"
        "h = sigmoid(u) * tanh(v) + (1 - sigmoid(u)) * w\nt = avg(h * h)\ns = avg(h)\n"
        'show "t" [2] = t, s'
    )
    found = evaluate_law(Law(program), list(program.shows[0].lines))
    assert found.method == "law, Hermite series and quadrature"
    assert np.all(found.error < 1e-9)
    rows = np.array([[1.0, 0.3, 0.0], [0.2, 0.8, 0.1], [0.0, -0.4, 0.7]])
    x, weights = np.polynomial.hermite_e.hermegauss(70)
    weights = weights / weights.sum()
    z = np.stack(np.meshgrid(x, x, x, indexing="ij"))
    u, v, w = np.tensordot(rows, z, 1)
    gate = 1 / (1 + np.exp(-u))
    h = gate * np.tanh(v) + (1 - gate) * w
    cube = weights[:, None, None] * weights[:, None] * weights
    assert found.value == pytest.approx([np.sum(cube * h * h), np.sum(cube * h)], abs=1e-9)
