"""Monte Carlo: known values, the same bits for any number of threads, stopping, warnings."""

import numpy as np
import pytest

import tpl
from tests.numeric.gaussian_integrands import CASES
from tpl.core.expr import add, apply, div, mul, number, power, ref, sub, symbol
from tpl.limit.algebra import quantity
from tpl.limit.calculus import Atom
from tpl.limit.law import Law
from tpl.numeric import montecarlo
from tpl.numeric.chains import Chain
from tpl.numeric.chains import number as value_of
from tpl.numeric.montecarlo import estimate, sample_atoms
from tpl.numeric.strategies import integrate_all

ONE = np.eye(1)
MODES = ["none", "antithetic", "quasi"]
SQUARE = power(ref(0), number(2))


def same_bits(a, b):
    return a.value.tobytes() == b.value.tobytes() and a.error.tobytes() == b.error.tobytes() and a.samples == b.samples


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_known_values(case, mode):
    found = estimate([case.integrand], case.covariance, {}, {}, rtol=1e-3, samples=1 << 18, variance_reduction=mode)
    assert abs(found.value[0] - case.truth) <= 4 * found.error[0] + 1e-15 * abs(case.truth)
    assert not found.notes


@pytest.mark.parametrize("mode", MODES)
def test_threads_and_company_do_not_change_a_bit(mode):
    cov = np.array([[1.0, 0.4], [0.4, 2.0]])
    integrands = [mul(apply("tanh", ref(0)), apply("relu", ref(1))), SQUARE]
    options = {"rtol": 1e-3, "samples": 1 << 19, "seed": 5, "variance_reduction": mode}
    found = [estimate(integrands, cov, {}, {}, threads=t, **options) for t in (1, 2, 3, 7)]
    assert all(same_bits(found[0], x) for x in found[1:])
    assert not same_bits(found[0], estimate(integrands, cov, {}, {}, **{**options, "seed": 6}))


def test_a_longer_run_extends_a_shorter_one(monkeypatch):
    """Rounds split the same blocks otherwise: the value moves by rounding only."""
    options = {"rtol": 0, "samples": 1 << 19}
    first = estimate([SQUARE], ONE, {}, {}, **options)
    monkeypatch.setattr(montecarlo, "GROWTH", (1.25, 1.3))
    second = estimate([SQUARE], ONE, {}, {}, **options)
    assert first.samples == second.samples
    assert first.value == pytest.approx(second.value, rel=1e-14)
    assert first.error == pytest.approx(second.error, rel=1e-13)


def test_errors_are_those_of_the_formula():
    """The standard error of u^2 is sqrt(2 / n); of a pair's half sum of exp, by hand; offsets do not spoil it."""
    n = 1 << 20
    options = {"rtol": 0, "samples": n}
    plain = estimate([SQUARE, add(SQUARE, number(10**9)), mul(number(10**6), SQUARE)], ONE, {}, {}, **options)
    assert plain.error[0] == pytest.approx(np.sqrt(2 / n), rel=0.02)
    assert plain.error[1] == pytest.approx(plain.error[0], rel=1e-6)
    assert plain.error[2] == pytest.approx(plain.error[0] * 1e6, rel=1e-12)
    pairs = estimate(
        [apply("exp", mul(symbol("a"), ref(0)))], ONE, {"a": 0.5}, {}, variance_reduction="antithetic", **options
    )
    variance = (np.exp(0.5) - np.exp(0.25)) / 2 + (1 - np.exp(0.25)) / 2  # of (e^{u/2} + e^{-u/2}) / 2
    assert pairs.samples == n
    assert pairs.error[0] == pytest.approx(np.sqrt(variance / (n // 2)), rel=0.02)


def test_odd_functions_vanish_in_pairs():
    found = estimate([apply("tanh", ref(0)), power(ref(0), number(3))], ONE, {}, {}, variance_reduction="antithetic")
    assert found.value.tolist() == [0.0, 0.0]
    assert found.error.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scales(mode, scale):
    cov = scale * np.array([[1.0, 0.5], [0.5, 1.0]])
    product = mul(apply("relu", ref(0)), apply("relu", ref(1)))
    found = estimate([product], cov, {}, {}, rtol=2e-3, variance_reduction=mode)
    theta = np.arccos(0.5)
    truth = scale * (np.sin(theta) + (np.pi - theta) / 2) / (2 * np.pi)
    assert abs(found.value[0] - truth) < 4 * found.error[0]
    assert found.error[0] <= 2e-3 * found.value[0]


@pytest.mark.parametrize("mode", MODES)
def test_singular_covariances(mode):
    same = np.ones((3, 3))
    gap = sub(ref(0), ref(2))
    found = estimate([power(gap, number(2)), mul(ref(0), ref(1)), number(7)], same, {}, {}, variance_reduction=mode)
    assert found.value[[0, 2]].tolist() == [0.0, 7.0]
    assert found.error[[0, 2]].tolist() == [0.0, 0.0]
    assert abs(found.value[1] - 1) < 4 * found.error[1]
    mirrored = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert estimate([add(ref(0), ref(1))], mirrored, {}, {}, variance_reduction=mode).value.tolist() == [0.0]


def test_no_variance_is_exact():
    found = estimate([add(apply("exp", ref(0)), symbol("a"))], np.zeros((2, 2)), {"a": 2.0}, {})
    assert (found.value.tolist(), found.error.tolist(), found.samples) == ([3.0], [0.0], 1)


@pytest.mark.parametrize("mode", MODES)
def test_stops_when_it_may_and_not_before(mode):
    loose, tight = (estimate([SQUARE], ONE, {}, {}, rtol=r, variance_reduction=mode) for r in (1e-1, 2e-3))
    assert 1 << 15 <= loose.samples <= 1 << 16
    assert tight.error[0] <= 2e-3 * tight.value[0]
    most = estimate([SQUARE], ONE, {}, {}, rtol=1e-9, samples=100_000, variance_reduction=mode)
    assert 1 << 15 <= most.samples <= 100_000
    assert most.error[0] > 1e-9 * most.value[0]


def test_skewed_integrands_get_more_nets():
    """An exponential's spread is its tail, which the first round's samples show. Each net has as many points."""
    options = {"rtol": 0.9, "variance_reduction": "quasi"}
    bounded, skewed = (estimate([apply(f, ref(0))], ONE, {}, {}, **options) for f in ("sigmoid", "exp"))
    assert bounded.samples == 32 * 1024
    assert skewed.samples == 128 * 1024
    assert estimate([apply("exp", ref(0))], ONE, {}, {}, samples=100_000, **options).samples == 97 * 1024


def test_a_value_of_zero_is_held_against_the_integrands_size():
    found = estimate([mul(number(1000), ref(0))], ONE, {}, {}, rtol=4e-3)
    assert abs(found.value[0]) < 4 * found.error[0]
    assert 1 << 15 < found.samples < 1 << 18


def test_doubtful_spreads_are_noted():
    heavy = estimate([apply("exp", mul(number(3), ref(0))), SQUARE], ONE, {}, {}, samples=1 << 18)
    assert len(heavy.notes) == 1
    assert "the spread of integrand 0" in heavy.notes[0]
    broken = estimate([apply("log", ref(0))], ONE, {}, {})
    assert broken.notes == ("integrand 0 is not finite",)
    cauchy = estimate([div(ref(0), ref(1))], np.eye(2), {}, {}, samples=1 << 18)
    assert "doubtful" in cauchy.notes[0]


def test_constants_and_quantities_are_given_at_run_time():
    integrand = mul(quantity(4), apply("relu", mul(symbol("s"), ref(0))))
    found = [estimate([integrand], ONE, {"s": s}, {4: q}, rtol=1e-2).value[0] for s, q in ((1, 1), (2, 3))]
    assert found[1] == pytest.approx(6 * found[0], rel=1e-14)


def test_atoms_of_a_law():
    program = tpl.load("mlp").program
    law = Law(program)
    chain = Chain(program.constant_values(), 16, 9.5, 2e-15, seed=3, log2_points=13)
    checked = 0
    for i, q in enumerate(law.calculus.quantities[:40]):
        if isinstance(q.definition, Atom):
            found = sample_atoms([q.definition], chain, samples=1 << 18)
            (chain.known[i],), *_ = integrate_all(q.definition, [chain], 1)
            assert abs(found.value[0] - chain.known[i]) < 4.5 * found.error[0]
            checked += 1
        else:
            chain.known[i] = value_of(q.definition, chain.env, chain.known)
    assert checked > 5
