"""High powers of Gaussians: their moments against quadratures, which are exact for polynomials of their degree."""

from math import prod

import numpy as np
import pytest

import tpl
from tpl.language.source import TplError
from tpl.limit.calculus import Calculus

HEAD = """
width n
random x : [n] ~ N(0, 1)
random y : [n] ~ N(0, 1)
"""


def run(*lines):
    return [(float(r.value), float(r.error)) for r in tpl.loads(HEAD + "\n".join(lines) + "\n").run()]


def hermite(degree):
    nodes, weights = np.polynomial.hermite_e.hermegauss(degree // 2 + 1)
    return nodes, weights / np.sqrt(2 * np.pi)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("x^50", lambda x, y: x**50), ("x^50 * y^30", lambda x, y: x**50 * y**30), ("(x + y)^60", lambda x, y: (x + y) ** 60),
        ("(x + 1)^100", lambda x, y: (x + 1) ** 100), ("(x + y)^44 * x^10", lambda x, y: (x + y) ** 44 * x**10),
        ("(x * x * x)^17 * (y + x)^3", lambda x, y: x**51 * (x + y) ** 3), ("(x^2 - y)^41", lambda x, y: (x**2 - y) ** 41),
        ("(x^7)^8", lambda x, y: x**56), ("x^101", lambda x, y: 0 * x),
    ],
)  # fmt: skip
def test_moments_of_high_powers(text, function):
    ((value, error),) = run(f"show avg({text})")
    nodes, weights = hermite(104)
    x, y = np.meshgrid(nodes, nodes)
    terms = np.outer(weights, weights) * function(x, y)
    assert abs(value - terms.sum()) <= error + 1e-10 * np.abs(terms).sum()


def test_even_moments_are_double_factorials():
    for k in (50, 80, 200, 300):
        ((value, _),) = run(f"show avg(x^{k})")
        assert value == pytest.approx(float(prod(range(1, k, 2))), rel=1e-14)


@pytest.mark.parametrize(
    ("text", "power"), [("abs(x)^51", 51), ("abs(x)^99", 99), ("x^60 * tanh(x)^2", None), ("abs(x)^150", 150)]
)
def test_high_powers_of_other_functions(text, power):
    """By their closed form, or by panels as far out as the integrand reaches."""
    ((value, error),) = run(f"show avg({text})")
    z = np.linspace(-40, 40, 400_001)
    values = np.abs(z) ** power if power else z**60 * np.tanh(z) ** 2
    expected = np.sum(values * np.exp(-(z**2) / 2)) * (z[1] - z[0]) / np.sqrt(2 * np.pi)
    assert abs(value - expected) <= error + 1e-10 * expected
    assert error <= 1e-9 * expected


def test_wick_pairs_off_one_variable_after_the_other():
    """Against the recursion by single factors, for random covariances of four variables."""
    rng = np.random.default_rng(3)
    factor = rng.integers(-3, 4, (4, 5))
    covariance = [[int(v) for v in row] for row in factor @ factor.T]
    covariance[0][2] = covariance[2][0] = 0

    def slow(powers):
        first = next((i for i, k in enumerate(powers) if k), None)
        if first is None:
            return 1
        less = [k - (i == first) for i, k in enumerate(powers)]
        return sum(
            k * covariance[first][j] * slow([m - (i == j) for i, m in enumerate(less)]) for j, k in enumerate(less) if k
        )

    calculus = Calculus(lambda i, j: tpl_integer(covariance[i][j]))
    for _ in range(4):
        calculus.new_leaf(0)
    for powers in [(4, 2, 3, 1), (1, 1, 1, 1), (0, 5, 3, 0), (6, 0, 0, 2), (3, 0, 2, 2)]:
        given = tuple((i, k) for i, k in enumerate(powers) if k)
        assert int(calculus.wick(given)) == slow(list(powers)) or sum(powers) % 2


def tpl_integer(value):
    import sympy

    return sympy.Integer(value)


def test_a_network_of_powers():
    text = """
width n
data X[N, d] = [[1, 0.5], [0.25, -1]]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / 2)
    param W : [n, n] ~ N(0, 0.001 / n)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ (W @ (U @ xi)^7)^7
show nngp(f, X)
"""
    (found,) = tpl.loads(text).run()
    inputs = np.array([[1, 0.5], [0.25, -1]])
    nodes, weights = hermite(32)
    z, w = np.meshgrid(nodes, nodes)

    def layer(kernel):
        a = np.linalg.cholesky(kernel)
        u = [a[0, 0] * z, a[1, 0] * z + a[1, 1] * w]
        return np.array([[np.sum(np.outer(weights, weights) * (p * q) ** 7) for q in u] for p in u])

    expected = layer(0.001 * layer(inputs @ inputs.T / 2))
    assert found.value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "text",
    ["avg(x^1000)", "avg((x^50)^50)", "avg(x^1000000000)", "avg(exp(x)^50)", "avg(exp(50*x))", "avg(exp(1000*x))"],
)
def test_what_is_beyond_doubles_is_said_to_be(text):
    with pytest.raises(TplError) as caught:
        run(f"show {text}")
    said = str(caught.value)
    assert ":5:6: error: this is too large for a double" in said
    assert "^" * len(text) in said


def test_powers_of_exponentials_are_exponentials():
    (value, _), (other, _) = run("show avg(exp(x)^2.5), avg((2 * exp(x))^(-3))")
    assert value == pytest.approx(np.exp(2.5**2 / 2), rel=1e-14)
    assert other == pytest.approx(np.exp(4.5) / 8, rel=1e-14)


def test_large_parts_of_a_small_number():
    """0.1^400 · 399!! has factors of 10^-400 and 10^434."""
    ((value, _),) = run("const a = 0.1", "z = a * x", "show avg(z^400)")
    logarithm = sum(np.log10(np.arange(1, 400, 2))) - 400
    assert np.log10(value) == pytest.approx(logarithm, abs=1e-10)


def test_a_power_of_what_vanishes_is_zero():
    """x - x is no constant until it is expanded: its square has no terms either."""
    found = tpl.loads(
        "width n\nrandom x : [n] ~ N(0, 1)\ny = x\nz = (tanh(x) - tanh(y))^2 + (x - y)^3\nshow avg(z), avg(z * x^2)"
    ).run()
    assert [float(r.value) for r in found.results] == [0, 0]
