"""The comparison of limit and networks: false alarms at the stated level, power, constants, duplicates, the rate."""

import numpy as np
import pytest
from scipy import stats

from tpl.sampling.agreement import Agreement, beside, compare

WIDTHS = (64, 128, 256, 512, 1024)


def _noise(rng, kind, shape):
    if kind == "normal":
        return rng.standard_normal(shape)
    if kind == "t5":  # heavy tails
        return rng.standard_t(5, shape) / np.sqrt(5 / 3)
    return (rng.gamma(4, size=shape) - 4) / 2  # skewness 1


def _experiment(rng, values, seeds=10, replicates=8, widths=WIDTHS, kind="normal", truth=1.0, wrong=0.0, size=1.0):
    """Networks with mean truth + 1/n + 4/n^2, fluctuations size/sqrt(n); a limit off by a factor 1 + wrong."""
    limit = truth * (1 + wrong) + size * 1e-3 * rng.standard_normal((replicates, values))
    finite = {}
    for n in widths:
        spread = size * (1 + 4 / n) / np.sqrt(n)
        finite[n] = truth + size * (1 / n + 4 / n**2) + spread * _noise(rng, kind, (seeds, values))
    return limit, finite


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "t5", "gamma"])
@pytest.mark.parametrize("widths", [(64, 128, 256), WIDTHS])
@pytest.mark.parametrize("seeds", [4, 10, 40])
def test_single_p_values_keep_their_level(kind, widths, seeds):
    found = compare(*_experiment(np.random.default_rng(1), 20_000, seeds, widths=widths, kind=kind))
    slack = 1.6 if kind == "gamma" else 1.1
    for level in (0.05, 0.01, 1e-3):
        allowed = stats.binom.isf(1e-3, 20_000, slack * level)
        assert np.count_nonzero(found.p < level) <= allowed
    assert not found.misfit.any()
    assert 0.85 < found.z.std() < 1.1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "t5", "gamma"])
def test_false_alarms_are_as_rare_as_stated(kind):
    rng = np.random.default_rng(2)
    alarms = {0.05: 0, 1e-3: 0}
    trials = 1000
    for _ in range(trials):
        limit, finite = _experiment(rng, 12, kind=kind)
        for level in alarms:
            alarms[level] += not compare(limit, finite, samples=10**6, level=level).agrees
    assert alarms[0.05] <= stats.binom.isf(1e-4, trials, 0.05)
    assert alarms[1e-3] <= stats.binom.isf(1e-4, trials, 1e-3)


def test_false_alarms_among_correlated_values():
    """All values of one network share its randomness: Holm's correction needs no independence."""
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        limit, finite = _experiment(rng, 1)
        copies = 1 + 0.1 * np.arange(10)
        alarms += not compare(limit * copies, {n: x * copies for n, x in finite.items()}, level=0.05).agrees
    assert alarms <= stats.binom.isf(1e-4, 300, 0.05)


@pytest.mark.parametrize("wrong", [-0.1, 0.1])
def test_a_limit_ten_percent_off_is_detected(wrong):
    rng = np.random.default_rng(4)
    for _ in range(30):
        found = compare(*_experiment(rng, 6, wrong=wrong, size=0.3))
        assert not found.agrees
        assert (found.z * wrong < 0).all()


def test_one_wrong_value_among_many_is_named():
    rng = np.random.default_rng(5)
    limit, finite = _experiment(rng, 40, size=0.3)
    limit[:, 17] *= 1.1
    found = compare(limit, finite)
    assert np.flatnonzero(~found.ok).tolist() == [17]


def test_extrapolation_removes_the_bias():
    rng = np.random.default_rng(6)
    limit, finite = _experiment(rng, 2000, seeds=400)
    found = compare(limit, finite)
    assert abs((found.extrapolated - 1).mean()) < 4 * found.extrapolated_error.mean() / np.sqrt(2000)
    assert np.allclose(found.coefficients[:, 1].mean(), 1, atol=0.1)
    assert found.coefficients.shape == (2000, 3)
    assert compare(limit, {n: finite[n] for n in WIDTHS[:3]}).coefficients.shape == (2000, 2)


def test_error_of_the_extrapolation_is_its_scatter():
    rng = np.random.default_rng(7)
    found = compare(*_experiment(rng, 5000, seeds=6))
    pulls = (found.extrapolated - 1) / found.extrapolated_error
    assert 0.9 < np.sqrt(np.mean(pulls**2)) < 1.25  # t-distributed, hence a little wider than 1


def test_constants_are_compared_directly():
    rng = np.random.default_rng(8)
    limit, finite = _experiment(rng, 5)
    columns = {1: (1.0, 1.0), 2: (1.0, 1.0 + 5e-10), 3: (1.0, 1.0 + 1e-8), 4: (0.0, 3e-17)}
    for column, (of_limit, of_network) in columns.items():
        limit[:, column] = of_limit
        for x in finite.values():
            x[:, column] = of_network
    found = compare(limit, finite)
    assert found.ok.tolist() == [True, True, True, False, True]
    assert found.constant.tolist() == [False, True, True, True, True]
    assert found.comparisons == 1
    assert found.p_corrected[3] == 0
    assert np.isfinite(found.z).all()
    assert not found.agrees


def test_all_constant():
    found = compare(np.ones((2, 3)), {n: np.ones((2, 3)) for n in (8, 16)})
    assert found.agrees
    assert found.rate is None
    assert found.comparisons == 0
    assert not compare(np.zeros((2, 3)), {n: np.ones((2, 3)) for n in (8, 16)}).agrees


def test_rounding_is_not_a_fluctuation():
    rng = np.random.default_rng(9)
    rounding = {n: 1 + 2e-16 * rng.integers(-1, 2, (5, 1)) for n in (8, 16, 32)}
    assert compare(1 + 2e-16 * rng.integers(-1, 2, (5, 1)), rounding).agrees


def test_networks_without_spread_that_depend_on_the_width():
    exact = {n: np.full((3, 2), [1 - 1 / n, 1 / (1 + 1 / n)]) for n in (16, 32, 64, 128)}
    assert compare(np.ones((3, 2)), exact).agrees
    assert not compare(np.full((3, 2), 1.01), exact).ok.any()


def test_exact_limit_against_noisy_networks():
    rng = np.random.default_rng(10)
    _, finite = _experiment(rng, 4, size=0.3)
    assert compare(np.ones((2, 4)), finite).agrees
    assert not compare(np.full((2, 4), 1.1), finite).agrees


def test_integer_values_that_seldom_vary():
    ranks = {n: np.full((10, 1), 9.0) for n in WIDTHS}
    ranks[64][3] = 8.0
    assert compare(np.full((4, 1), 9.0), ranks).agrees
    assert not compare(np.full((4, 1), 10.0), ranks).agrees


def test_symmetric_entries_count_once():
    rng = np.random.default_rng(11)
    limit, finite = _experiment(rng, 3)
    matrix = [0, 1, 1, 2]  # K11, K12, K21, K22
    found = compare(limit[:, matrix], {n: x[:, matrix] for n, x in finite.items()})
    assert found.same_as.tolist() == [0, 1, 1, 3]
    assert found.comparisons == 3
    single = compare(limit, finite)
    assert np.allclose(found.p_corrected[[0, 1, 3]], single.p_corrected)
    assert found.p_corrected[1] == found.p_corrected[2]


def test_multiples_are_not_duplicates():
    rng = np.random.default_rng(12)
    limit, finite = _experiment(rng, 1)
    found = compare(limit * [1, 2, 1 + 1e-6], {n: x * [1, 2, 1 + 1e-6] for n, x in finite.items()})
    assert found.comparisons == 3


def test_duplicates_up_to_summation_order():
    rng = np.random.default_rng(13)
    limit, finite = _experiment(rng, 1)
    found = compare(limit * [1, 1 + 2e-16], {n: x * [1, 1 + 2e-16] for n, x in finite.items()})
    assert found.comparisons == 1


def test_holm_by_hand():
    rng = np.random.default_rng(14)
    limit, finite = _experiment(rng, 3)
    found = compare(limit, finite)
    order = np.argsort(found.p)
    steps = found.p[order] * [3, 2, 1]
    assert np.allclose(found.p_corrected[order], np.minimum(1, np.maximum.accumulate(steps)))


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_rate_is_recovered(power):
    rng = np.random.default_rng(15)
    scale = 10.0 ** np.arange(-3, 3)  # values of very different sizes count alike
    limit = np.ones((8, 6)) * scale
    finite = {n: (1 + n**-power * rng.standard_normal((40, 6))) * scale for n in WIDTHS}
    rate = compare(limit, finite).rate
    assert rate is not None
    assert abs(rate.slope + power) < 4 * rate.error
    assert rate.error < 0.05


def test_error_of_the_rate_is_its_scatter():
    rng = np.random.default_rng(16)
    found = [compare(*_experiment(rng, 4, seeds=10)).rate for _ in range(300)]
    slopes = np.array([rate.slope for rate in found if rate])
    errors = np.array([rate.error for rate in found if rate])
    assert 0.8 < errors.mean() / slopes.std() < 1.25


def test_rate_forgives_a_noisy_limit():
    """The limit's own error is subtracted: without that the deviation would level off at 0.05."""
    rng = np.random.default_rng(17)
    limit = 1 + 0.05 * np.sqrt(8) * rng.standard_normal((8, 400))
    finite = {n: 1 + rng.standard_normal((50, 400)) / np.sqrt(n) for n in WIDTHS}
    rate = compare(limit, finite).rate
    assert rate is not None
    assert abs(rate.slope + 0.5) < 0.05


def test_rate_ignores_rounding_of_values_without_spread():
    rng = np.random.default_rng(23)
    limit, finite = _experiment(rng, 2)
    limit[:, 1] = 1.0
    for n, x in finite.items():
        x[:, 1] = 1 + 1 / n + 1e-16 * rng.integers(-2, 3, len(x))
    rate = compare(limit, finite).rate
    assert rate is not None
    assert abs(rate.slope + 0.5) < 0.2


def test_a_misfit_is_reported_and_widens_the_error():
    rng = np.random.default_rng(18)
    widths = (4, 8, 16, 32, 64, 128)
    smooth = {n: 1 + np.exp(-0.05 * n) + 1e-4 * rng.standard_normal((20, 2)) for n in widths}
    found = compare(1 + 1e-5 * rng.standard_normal((8, 2)), smooth)
    assert found.misfit.all()
    assert (found.extrapolated_error > 1e-2).all()


def test_two_widths_have_no_chi_square():
    rng = np.random.default_rng(19)
    limit, finite = _experiment(rng, 3)
    found = compare(limit, {n: finite[n] for n in (512, 1024)})
    assert found.chi_square_dof == 0
    assert not found.misfit.any()
    assert found.agrees


def test_bias_of_the_samples_is_allowed_for():
    rng = np.random.default_rng(20)
    limit, finite = _experiment(rng, 1, seeds=400, size=10.0)
    assert abs(compare(limit, finite, samples=50).z[0]) < abs(compare(limit, finite).z[0])


def test_z_saturates():
    rng = np.random.default_rng(21)
    limit = 2 + 1e-9 * rng.standard_normal((200, 1))
    found = compare(limit, {n: 1 + 1e-6 * rng.standard_normal((200, 1)) for n in WIDTHS})
    assert -38 < found.z[0] < -30
    assert np.isfinite(found.p_corrected).all()


@pytest.mark.parametrize(
    ("limit", "finite", "problem"),
    [
        (np.ones((2, 1)), {8: np.ones((2, 1))}, "at least two widths"),
        (np.ones((1, 1)), {8: np.ones((2, 1)), 16: np.ones((2, 1))}, "the limit: an error needs at least two"),
        (np.ones((2, 1)), {8: np.ones((1, 1)), 16: np.ones((2, 1))}, "width 8: an error needs at least two"),
        (np.ones((2, 2)), {8: np.ones((2, 1)), 16: np.ones((2, 2))}, "width 8: expected"),
        (np.ones(2), {8: np.ones((2, 2)), 16: np.ones((2, 2))}, "the limit: expected"),
        (np.ones((2, 2)), {8: np.ones((2, 2)), 16: np.full((2, 2), [1, np.nan])}, "width 16: value 1 is not finite"),
    ],
)
def test_bad_input(limit, finite, problem):
    with pytest.raises(ValueError, match=problem):
        compare(limit, finite)


def test_widths_are_sorted_and_the_result_is_frozen():
    rng = np.random.default_rng(22)
    limit, finite = _experiment(rng, 2)
    found = compare(limit, dict(reversed(finite.items())))
    assert isinstance(found, Agreement)
    assert found.widths == WIDTHS
    assert found.seeds == (10,) * 5
    with pytest.raises(AttributeError):
        found.level = 0.5


def test_sizes_of_what_moves_in_a_kernel_regime_are_series_in_its_power():
    """0.9/√n exactly tends to 0; a series in 1/n through it does not."""
    rng = np.random.default_rng(0)
    networks = {n: (0.9 / np.sqrt(n)) * (1 + 0.1 * rng.standard_normal((400, 2))) for n in (64, 128, 256, 512, 1024)}
    limit = np.zeros((4, 2))
    found = compare(limit, networks, exponents=[0.5, 1.0])
    assert list(found.ok) == [True, False]
    assert abs(found.extrapolated[0]) <= 3 * found.extrapolated_error[0]
    assert found.coefficients[0, 1] == pytest.approx(0.9, abs=0.05)
    assert list(found.exponents) == [0.5, 1.0]
    assert compare(limit, networks).z == pytest.approx(compare(limit, networks, exponents=np.ones(2)).z)


def test_numbers_had_otherwise_are_compared_with_the_sampled_limit():
    """Exact ones give z of Student's law; one that is off is named, whatever the others are."""
    rng = np.random.default_rng(11)
    scores, alarms = [], 0
    for _ in range(200):
        found = compare(*_experiment(rng, 20))
        z, apart = beside(found, np.ones(20), np.zeros(20))
        scores.append(z)
        alarms += apart.any()
    assert alarms <= 2  # 0.2 are expected
    assert np.std(scores) == pytest.approx(1, abs=0.05)
    value = np.ones(20)
    value[7] += 12 * found.limit_error[7]
    assert np.flatnonzero(beside(found, value, np.zeros(20))[1]).tolist() == [7]
    assert not beside(found, value, 12 * found.limit_error)[1].any()
