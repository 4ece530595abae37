"""Width ratios that are named constants stay symbols in the law, and moments are polynomials in them."""

from math import comb

import numpy as np
import pytest
import sympy

import tpl
from tpl.core.program import InvalidProgram
from tpl.core.text import CoreSyntaxError, parse_program, print_program
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law
from tpl.sampling.estimate import sample_limit

RATIO = sympy.Symbol("ratio", real=True)


def narayana(k):
    """The k-th moment of the Marchenko-Pastur law, sum of Narayana numbers times powers of the ratio."""
    return sum(sympy.Rational(comb(k, r) * comb(k, r - 1), k) * RATIO ** (r - 1) for r in range(1, k + 1))


def scalars(program):
    law = Law(program)
    return law, [law.scalars[i] for shown in program.shows for i in shown.lines]


def test_moments_are_the_narayana_polynomials():
    _, found = scalars(tpl.load("marchenko_pastur", settings=["K=6"]).program)
    assert len(found) == 6
    for k, value in enumerate(found, 1):
        assert value == sympy.expand(narayana(k))


@pytest.mark.parametrize("ratio", ["1", "0.5", "3", "1/7", "sqrt(2)"])
def test_their_values_at_a_ratio(ratio):
    program = tpl.load("marchenko_pastur", settings=["K=6", f"ratio={ratio}"]).program
    found = evaluate_law(Law(program), list(program.shows[0].lines))
    expected = [float(narayana(k).subs(RATIO, sympy.sympify(ratio))) for k in range(1, 7)]
    assert found.value == pytest.approx(expected, rel=1e-13)


def test_the_sampled_limit_agrees():
    program = tpl.load("marchenko_pastur", settings=["ratio=0.4"]).program
    particles = sample_limit(program, samples=4096, replicates=24, threads=1)[0]
    expected = np.array([float(narayana(k).subs(RATIO, sympy.Rational(2, 5))) for k in range(1, 5)])
    assert np.all(np.abs(particles.value - expected) < 5 * particles.error)


TANGENT = """
const r = 3/2
width n
width m = (1 + r) * n
data X[N, d] = [[1, 1]]
network f(x[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [m, n] ~ N(0, 1 / n)
    param v : [1, m] ~ N(0, 1 / m)
    return v @ (W @ (U @ x))
show ntk(f, X)
"""


def test_a_tangent_kernel_over_two_widths():
    """Of a linear network, at an input with |x|² = d = 2: 1 for v, 1 for W, and 1 for U, whatever the ratio."""
    program = tpl.loads(TANGENT).program
    law, (value,) = scalars(program)
    assert sympy.simplify(value.subs(sympy.Symbol("d", real=True), 2) - 3) == 0
    assert law.program.symbolic_ratios.keys() == {"m"}


BRANCHES = """
const r = 3/2
width n
width m = (1 + r) * n
data X[N, d] = [[1, 1]]
network f(x[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param V : [m, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, m] ~ N(0, 3 / m)
    param c : [1] ~ N(0, 5)
    return v @ (U @ x) + 2 * c - w @ (V @ x)
show nngp(f, X), ntk(f, X)
"""


def test_kernels_of_an_output_over_two_widths():
    """Of linear branches, at an input with |x|² = d = 2: 1 + 3 from the readouts and 4 · 5 from c, and 1 + 3 from U, V."""
    program = tpl.loads(BRANCHES).program
    assert parse_program(print_program(program)) == program
    _, found = scalars(program)
    assert [sympy.simplify(x.subs(sympy.Symbol("d", real=True), 2)) for x in found] == [24, 28]


def test_a_network_of_a_bias_alone():
    text = "width n\ndata X[N, d] = [[1, 1]]\nnetwork f(x[d]):\n    param c : [1] ~ N(0, 5)\n    return 2 * c\n"
    _, found = scalars(tpl.loads(text + "show nngp(f, X), ntk(f, X)").program)
    assert found == [20, 20]


@pytest.mark.parametrize(
    "multiple", ["n / ratio", "2 * n", "n", "n / 3", "(ratio + 1) * n", "ratio * sqrt(2) * n", "k"]
)
def test_ratios_read_back(multiple):
    text = f"const ratio = 0.3\nwidth n\nwidth k = ratio^2 * n\nwidth m = {multiple}\nrandom x : [m] ~ N(0, 1)\n"
    program = tpl.loads(text + "show avg(x)").program
    again = parse_program(print_program(program))
    assert again == program
    assert bool(program.symbolic_ratios.get("m")) == (multiple not in ("2 * n", "n", "n / 3"))


@pytest.mark.parametrize("ratio", ["1 / a", "a / b", "1 / (c - 1)"])
def test_ratios_without_a_value_are_refused(ratio):
    with pytest.raises((CoreSyntaxError, InvalidProgram)):
        parse_program(f"width n\nwidth m = {ratio} * n\nconst c = 1\nx : [m] ~ N(0, 1)")
