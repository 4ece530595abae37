"""Every closed form of the registry: against quadrature, against its written formula, at the edges."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy
from mpmath import mp

from tpl.core.expr import ONE
from tpl.limit.closed_forms import RECORDS, dual

sys.path.insert(0, str(Path(__file__).parent))
import make_closed_form_references as quadrature

TOLERANCE = 1e-13
FORMULA_DIGITS = 150
REFERENCES = json.loads(quadrature.OUTPUT.read_text(encoding="utf-8"))
VARIANCES = [(a, b) for a in (1e-6, 1.0, 1e6) for b in (1e-6, 1.0, 1e6)] + [(0.7, 2.3), (3.0, 40.0)]
CORRELATIONS = (0.0, 1e-14, 0.3, -0.3, 0.9, -0.9, 1 - 1e-12, -(1 - 1e-12), 1.0, -1.0)
GRID = np.array([(a, b, r * np.sqrt(a * b)) for a, b in VARIANCES for r in CORRELATIONS])
NAMES = list(RECORDS)
CASES = [(name, i) for name in NAMES for i in range(len(RECORDS[name].examples))]


def is_count(value):
    return isinstance(value, int)


def exactly(value):
    return value if is_count(value) else sympy.Rational(value)


def relative_error(value, reference):
    """Of a float64 against an mpmath number; what under- or overflows float64 must do so, or nearly."""
    if abs(reference) > mp.mpf("1.7e308"):
        return 0.0 if np.isinf(value) and np.sign(value) == mp.sign(reference) else np.inf
    return float(abs(mp.mpf(float(value)) - reference) / max(abs(reference), mp.mpf("1e-300")))


def test_the_registry_is_large_and_says_where_its_formulas_come_from():
    assert len(RECORDS) >= 30
    for name, record in RECORDS.items():
        assert name == record.name
        assert record.source
        assert isinstance(record.formula(*sympy.symbols("q1 q2 c"), **record.examples[0]), sympy.Basic)


@pytest.mark.parametrize(("name", "example"), CASES)
def test_values_are_those_of_quadrature(name, example):
    points = quadrature.points()
    record, stored = RECORDS[name], REFERENCES[name][example]
    assert len(stored) == len(points)
    values = record.value(*np.array(points).T, **record.examples[example])
    for value, text in zip(values, stored, strict=True):
        if text is not None:
            assert relative_error(value, mp.mpf(text)) <= TOLERANCE


@pytest.mark.parametrize(("name", "example"), CASES)
def test_values_are_those_of_the_formula_in_many_digits(name, example):
    record, parameters = RECORDS[name], RECORDS[name].examples[example]
    formula = record.formula(*sympy.symbols("q1 q2 c"), **{k: exactly(v) for k, v in parameters.items()})
    precise = sympy.lambdify(sympy.symbols("q1 q2 c"), formula, "mpmath")
    values = record.value(*GRID.T, **parameters)
    compared = 0
    for point, value in zip(GRID, values, strict=True):
        reference = evaluated(precise, point)
        if reference is not None:
            compared += 1
            assert relative_error(value, reference) <= TOLERANCE, point
    assert compared > len(GRID) / 3


def evaluated(precise, point):
    """The formula at a point, by two precisions; None where they differ because it cancels away."""
    found = []
    for digits in (FORMULA_DIGITS, 2 * FORMULA_DIGITS):
        with mp.workdps(digits):
            q1, q2, c = (mp.mpf(float(x)) for x in point)
            clamped = c**2 >= q1 * q2
            c = mp.sign(c) * mp.sqrt(q1 * q2) if clamped else c
            value = mp.re(precise(q1, q2, c))
            # At the exact edge the formula's own rounding may stand where 0 should.
            found.append(mp.zero if clamped and abs(value) < mp.mpf(10) ** (-digits // 3) else value)
    rough, fine = found
    return fine if abs(rough - fine) <= mp.mpf(10) ** -25 * abs(fine) else None


@pytest.mark.parametrize("name", ["relu × relu", "gelu × erf", "exp × cos", "erf × z Gaussian", "abs × abs"])
def test_a_few_values_against_plain_two_dimensional_quadrature(name):
    """Nothing shared with the references: u = √q1 x, v = (c u + √det √q1 y)/q1, split where u and v change sign."""
    record = RECORDS[name]
    left, right = record.sides(**record.examples[0])
    q1, q2, c = 0.7, 1.3, -0.4
    with mp.workdps(20):
        root, slope, rest = mp.sqrt(q1), c / mp.sqrt(q1), mp.sqrt(q2 - mp.mpf(c) ** 2 / q1)
        cuts = [-9, -4, 0, 4, 9]

        def inner(x):
            inside = sorted([*cuts, -slope * x / rest])
            f = quadrature.evaluate(left, root * x) * mp.npdf(x)
            return f * quadrature.integrate(
                lambda y: quadrature.evaluate(right, slope * x + rest * y) * mp.npdf(y), inside, 20
            )

        total = quadrature.integrate(inner, cuts, 20)
    assert relative_error(record.value(q1, q2, c), total) < 1e-12


@pytest.mark.parametrize(("name", "example"), CASES)
def test_without_variance_the_function_counts_at_zero(name, example):
    record, parameters = RECORDS[name], RECORDS[name].examples[example]
    left, right = record.sides(**parameters)
    f, g = (float(quadrature.evaluate(side, mp.zero)) for side in (left, right))
    alone = [dual(left, ONE), dual(ONE, right)]
    np.testing.assert_allclose(record.value(0.0, 0.0, 0.0, **parameters), f * g, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(record.value(1.3, 0.0, 0.0, **parameters), alone[0].value(1.3, 0, 0) * g, rtol=1e-13)
    np.testing.assert_allclose(record.value(0.0, 1.3, 0.0, **parameters), alone[1].value(0, 1.3, 0) * f, rtol=1e-13)


@pytest.mark.parametrize(("name", "example"), CASES)
def test_the_two_sides_may_be_exchanged(name, example):
    record, parameters = RECORDS[name], RECORDS[name].examples[example]
    left, right = record.sides(**parameters)
    q1, q2, c = GRID.T
    np.testing.assert_allclose(dual(right, left).value(q2, q1, c), record.value(q1, q2, c, **parameters), rtol=1e-13)


def test_published_values():
    """V_relu at unit variances (Cho and Saul 2009, after eq. 6) and V_erf (Williams 1997, eq. 11)."""
    rho = np.linspace(-1, 1, 41)
    relu = (np.sqrt(np.maximum(1 - rho**2, 0)) + (np.pi - np.arccos(rho)) * rho) / (2 * np.pi)
    np.testing.assert_allclose(RECORDS["relu × relu"].value(1, 1, rho), relu, atol=1e-15)
    erf = 2 / np.pi * np.arcsin(2 * 0.6 * rho / np.sqrt((1 + 2 * 0.9) * (1 + 2 * 0.4)))
    np.testing.assert_allclose(RECORDS["erf × erf"].value(0.9, 0.4, 0.6 * rho), erf, rtol=1e-13, atol=1e-16)


def test_near_opposite_inputs_relu_keeps_its_digits():
    """θ³ q/(6π) for θ = π - arccos ρ → 0; the rounded difference of the textbook formula has no digit left here."""
    c = -(1 - 2.0**-52)
    with mp.workdps(60):
        theta = mp.pi - mp.acos(mp.mpf(c))
        exact = (mp.sin(theta) - theta * mp.cos(theta)) / (2 * mp.pi)
    assert relative_error(RECORDS["relu × relu"].value(1, 1, c), exact) < 1e-14


def test_covariances_beyond_the_bound_are_clamped():
    c = np.nextafter(1.0, 2.0)
    assert RECORDS["relu × relu"].value(1, 1, c) == pytest.approx(0.5, rel=1e-15)
    assert RECORDS["relu × relu"].value(1, 1, -c) == 0
    assert RECORDS["sign × sign"].value(1, 1, -c) == -1
    assert RECORDS["abs × abs"].value(0.0, 1.0, 1e-20) == 0
