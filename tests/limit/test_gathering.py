"""What multiplying out took apart is put together again, and means the same."""

import numpy as np
import pytest
import sympy

import tpl
from tpl.core.expr import apply, leaves, mul, number, power, ref, substitute
from tpl.limit.gathering import gathered
from tpl.numeric.chains import reduce_rank
from tpl.numeric.quadrature import integrate

Q, C, R, S = sympy.symbols("q c r s", positive=True)
AT = {Q: 1.3, C: 0.4, R: 0.7, S: 2.0}
COVARIANCE = np.array([[1.3, 0.4], [0.4, 0.7]])
ONE, TANH, SQUARE = number(1), apply("tanh", ref(0)), power(apply("tanh", ref(0)), number(2))


@pytest.fixture(scope="module")
def names():
    return tpl.load("mlp", settings=["L=2"]).derive().derivation.names


def moved(side):
    return substitute(side, lambda x: ref(1) if x.op == "ref" else x)


def expectation(names, left, right):
    if not leaves(left, "ref") and not leaves(right, "ref"):
        return sympy.S.One
    if not leaves(right, "ref"):
        return names.expectation(left, (Q,))
    return (
        names.expectation(right, (R,))
        if not leaves(left, "ref")
        else names.expectation(mul(left, moved(right)), (Q, C, R))
    )


def multiplied(names, functions, matrix):
    cells = np.ndindex(*np.shape(matrix))
    return S * sum(matrix[i][j] * expectation(names, functions[i], functions[j]) for i, j in cells if matrix[i][j])


def expectations(value):
    return set(value.atoms(sympy.core.function.AppliedUndef))


def number_of(names, value):
    found = {}
    for x in expectations(value):
        size = {1: 1, 3: 2}[len(x.args)]
        covariance = COVARIANCE if size == 2 else np.array([[AT[x.args[0]]]])
        found[x] = integrate(names.integrands[int(x.func.__name__[1:])], reduce_rank(covariance), {"pi": np.pi}, {}, 16)
    return float(value.xreplace(found).subs(AT))


def outer(*a):
    return [[x * y for y in a] for x in a]


GATHERS = {
    "a derivative of tanh": ((ONE, SQUARE), outer(1, -1)),
    "with a factor": ((ONE, SQUARE), [[-3 * x for x in row] for row in outer(1, sympy.Rational(2, 3))]),
    "with roots": ((ONE, SQUARE), outer(1, sympy.sqrt(2) / sympy.sqrt(sympy.pi))),
    "odd parts, whose products with even ones vanish": ((ONE, TANH), [[sympy.Rational(1, 4), 0], [0, 2]]),
    "three functions": ((ONE, SQUARE, TANH), [[1, 2, 0], [2, 4, 0], [0, 0, 3]]),
}
STAYS = {
    "no square": ((ONE, SQUARE), [[1, -1], [-1, 2]]),
    "not symmetric": ((ONE, SQUARE), [[1, -1], [-2, 2]]),
    "a product missing that does not vanish": ((ONE, SQUARE), [[1, 0], [0, 1]]),
    "signs differ": ((ONE, TANH), [[1, 0], [0, -1]]),
}


@pytest.mark.parametrize(("functions", "matrix"), GATHERS.values(), ids=GATHERS)
def test_a_square_becomes_one_expectation_of_the_same_value(names, functions, matrix):
    value = multiplied(names, functions, matrix)
    found = gathered(sympy.expand(value), names)
    assert len(expectations(found)) == 1
    assert number_of(names, found) == pytest.approx(number_of(names, value), rel=1e-12)


@pytest.mark.parametrize(("functions", "matrix"), STAYS.values(), ids=STAYS)
def test_what_is_no_square_keeps_its_value_and_its_expectations(names, functions, matrix):
    value = multiplied(names, functions, matrix)
    found = gathered(sympy.expand(value), names)
    assert expectations(found) == expectations(value)
    assert number_of(names, found) == pytest.approx(number_of(names, value), rel=1e-12)


def test_other_laws_are_left_alone(names):
    other = names.expectation(mul(SQUARE, moved(SQUARE)), (Q, C, S))
    value = sympy.expand(S * (1 + other - names.expectation(SQUARE, (Q,)) - names.expectation(SQUARE, (R,))))
    assert expectations(gathered(value, names)) == expectations(value)


def test_common_coefficients_are_written_once(names):
    a, b = expectation(names, TANH, TANH), names.expectation(SQUARE, (S,))
    assert gathered(sympy.expand(Q * (a + 2 * b) + R), names) == Q * (a + 2 * b) + R
