"""Exact values: kernels at given angles as a person would write them."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from sympy import Rational, acos, pi, sqrt

import tpl
from tpl.core.laws import exact_factor
from tpl.limit.exact import exact_value
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law


def shown(text):
    program = tpl.loads(text).program
    law = Law(program)
    lines = [i for shown in program.shows for i in shown.lines]
    return [exact_value(law, i) for i in lines], evaluate_law(law, lines)


def arc_cosine(q1, q2, c):
    """Cho & Saul 2009, order 1, over 2."""
    rho = c / sqrt(q1 * q2)
    return sqrt(q1 * q2) * (sqrt(1 - rho**2) + (pi - acos(rho)) * rho) / (2 * pi)


PAIR = "width n\nrandom (u, v) : [n] ~ N(0, [[{a}, {c}], [{c}, {b}]])\nshow avg(relu(u) * relu(v))\n"


@pytest.mark.parametrize(("a", "b", "c"), [("1", "1", "1/2"), ("1", "2", "-1"), ("1", "1", "0"), ("4", "9", "0.3")])
def test_the_relu_kernel_at_an_angle(a, b, c):
    (found,), numbers = shown(PAIR.format(a=a, b=b, c=c))
    expected = arc_cosine(*map(Rational, (a, b, c)))
    assert sympy.simplify(found - expected) == 0
    assert numbers.value == pytest.approx([float(expected)], abs=1e-14)


def test_sixty_degrees_as_written_in_papers():
    (found,), _ = shown(PAIR.format(a=1, b=1, c="1/2"))
    assert found == sqrt(3) / (4 * pi) + Rational(1, 6)


@pytest.mark.parametrize(("c", "expected"), [("1", Rational(1, 2)), ("-1", 0)])
def test_dependent_arguments(c, expected):
    (found,), _ = shown(PAIR.format(a=1, b=1, c=c))
    assert found == expected


DEEP = """
width n
data X[N, d] = [[1, 0], [0.6, 0.8]]
network f(xi[d]):
    param U : [n, d] ~ N(0, 2)
    param W : [n, n] ~ N(0, 2 / n)
    param v : [1, n] ~ N(0, 2 / n)
    return v @ relu(W @ relu(U @ xi))
show nngp(f, X)
"""


def test_two_layers():
    found, numbers = shown(DEEP)
    inner = 2 * arc_cosine(2, 2, Rational(6, 5))
    expected = 2 * arc_cosine(2, 2, 2 * inner / 2)
    assert found[0] == found[3] == 2
    assert abs(sympy.N(found[1] - expected, 30)) < 1e-28
    assert numbers.value == pytest.approx([float(x) for x in found], abs=1e-13)


def test_what_has_no_closed_form():
    found, _ = shown("width n\nrandom u : [n] ~ N(0, 1)\nshow avg(tanh(u)^2), avg(u^4)\n")
    assert found == [None, 3]


def test_constants_stay_where_nothing_else_is_needed():
    (found,), _ = shown("const s = 0.7\nwidth n\nrandom u : [n] ~ N(0, s^2)\nshow avg(u^4)\n")
    assert found == 3 * sympy.Symbol("s", real=True) ** 4


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_rational_factors(rank):
    root = [[sympy.Rational(int(x), 3) for x in row] for row in np.random.default_rng(rank).integers(-4, 5, (4, rank))]
    covariance = sympy.Matrix(root) * sympy.Matrix(root).T
    rows = [[Fraction(int(covariance[i, j].p), int(covariance[i, j].q)) for j in range(4)] for i in range(4)]
    lower, own = exact_factor(rows)
    again = [[sum(lower[i][k] * own[k] * lower[j][k] for k in range(4)) for j in range(4)] for i in range(4)]
    assert again == rows
    assert sum(d > 0 for d in own) <= rank
