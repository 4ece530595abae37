"""Error bars are a promise: over many seeds, stopping included, 95% of two-sided 95% intervals hold the true value."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.numeric.gaussian_integrands import CASES
from tpl.numeric.montecarlo import estimate

SEEDS = range(10_000, 11_000)
TWO_SIDED = 1.959963984540054  # standard deviations on either side hold 95%


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
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_intervals_hold_the_truth(case, mode):
    assert 0.93 <= coverage(case, mode, tolerance(case)) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_intervals_of_nets_hold_the_truth(case):
    """Means over a net are skewed where the integrand grows without bound: the widened intervals cover a little less."""
    grows = case.name in ("exp", "polynomial on a plane")
    assert (0.9 if grows else 0.93) <= coverage(case, "quasi", 1e-3) <= 0.97
