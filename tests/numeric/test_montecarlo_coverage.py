"""Error bars are a promise: over many seeds, stopping included, 95% of two-sided 95% intervals hold the true value."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import gamma, ndtr

from tests.numeric.gaussian_integrands import CASES, Case
from tpl.core.expr import apply, div, mul, number, power, ref
from tpl.numeric.montecarlo import estimate

SEEDS = range(1000)  # the first ones: not chosen
TWO_SIDED = 1.959963984540054  # standard deviations on either side hold 95%


U = ref(0)


def square_exponential(inverse_rate):
    """exp(u²/r), whose k-th moment is finite for 2 k < r."""
    truth = (1 - 2 / inverse_rate) ** -0.5
    return Case(f"exp(u^2/{inverse_rate})", apply("exp", div(mul(U, U), number(inverse_rate))), np.eye(1), truth)


def inverse_power(a):
    """|u|^-a, whose k-th moment is finite for k a < 1."""
    truth = 2 ** (-a / 2) * gamma((1 - a) / 2) / np.sqrt(np.pi)
    return Case(f"|u|^-{a}", power(apply("abs", U), number(-Fraction(str(a)))), np.eye(1), float(truth))


def lognormal():
    return Case("exp(1.5u)", apply("exp", mul(number(Fraction(3, 2)), U)), np.eye(1), np.exp(1.125))


def capped(most):
    at = np.log(most) / 1.5
    truth = np.exp(1.125) * ndtr(at - 1.5) + most * ndtr(-at)
    return Case(f"exp(1.5u) below {most}", apply("min", lognormal().integrand, number(most)), np.eye(1), truth)


HEAVY = [capped(100), square_exponential(10), inverse_power(0.2)]  # the fourth moment is finite
HEAVIER = [lognormal(), inverse_power(0.3), square_exponential(5), inverse_power(0.45)]  # but for the first it is not


def coverage(case, mode, rtol):
    """The share of seeds whose interval holds the truth; rtol relative to the integrand's own spread."""

    def holds(seed):
        found = estimate([case.integrand], case.covariance, {}, {}, rtol=rtol, samples=1 << 17, seed=seed,
                         variance_reduction=mode)  # fmt: skip
        return abs(found.value[0] - case.truth) <= TWO_SIDED * found.error[0]

    with ThreadPoolExecutor(2) as pool:
        return np.mean(list(pool.map(holds, SEEDS)))


def tolerance(case):
    """So that most runs stop after a second round, at some 60,000 samples."""
    pilot = estimate([case.integrand], case.covariance, {}, {}, rtol=0, samples=1 << 16, seed=12345)
    return pilot.error[0] / abs(case.truth)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["none", "antithetic"])
@pytest.mark.parametrize("case", CASES + HEAVY, ids=lambda c: c.name)
def test_intervals_hold_the_truth(case, mode):
    assert 0.93 <= coverage(case, mode, tolerance(case)) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES + HEAVY, ids=lambda c: c.name)
def test_intervals_of_nets_hold_the_truth(case):
    assert 0.93 <= coverage(case, "quasi", 1e-3) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["none", "antithetic", "quasi"])
@pytest.mark.parametrize("case", HEAVIER, ids=lambda c: c.name)
def test_intervals_under_heavy_tails_hold_the_truth_less_often(case, mode):
    """The error is estimated from samples that lack the tail: docs/benchmarks.md says how often intervals hold."""
    assert 0.8 <= coverage(case, mode, 1e-3 if mode == "quasi" else tolerance(case)) <= 0.97
