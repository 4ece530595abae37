"""The reference trainer against finite differences, literal abc-parametrizations, and trainings solved by hand."""

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tpl.core.parametrization import NAMED, abc

sys.path.insert(0, str(Path(__file__).parent))
import reference
from reference import ACTIVATIONS, LOSSES, Network, Training


def scales(name):
    return {group: (e.scale.init, e.scale.rate) for group, e in NAMED[name].items()}


def problem(inputs=5, d=3, k=1, seed=0):
    """X [inputs, d] and targets [inputs, k] that suit every loss: ±1 for one output, probabilities for more."""
    rng = np.random.default_rng(seed)
    targets = rng.choice([-1.0, 1.0], (inputs, 1)) if k == 1 else rng.dirichlet(np.ones(k), inputs)
    return rng.standard_normal((inputs, d)), targets


def mean_loss(network, weights, data, loss):
    return LOSSES[loss][0](reference.forward(network, weights, data[0]).f, data[1]).mean()


def differences(function, arrays, step=1e-5):
    """The gradient of a function of a dict of arrays, by central differences of fourth order."""
    found = {}
    for name, array in arrays.items():
        slope = np.zeros(array.size)
        for i in range(array.size):
            unit = np.zeros(array.size)
            unit[i] = step
            moved = [function(arrays | {name: array + m * unit.reshape(array.shape)}) for m in (-2, -1, 1, 2)]
            slope[i] = (moved[0] - 8 * moved[1] + 8 * moved[2] - moved[3]) / (12 * step)
        found[name] = slope.reshape(array.shape)
    return found


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "k"), [("squared", 1), ("squared", 3), ("logistic", 1), ("cross_entropy", 3)])
@pytest.mark.parametrize("depth", [1, 3])
def test_gradients_are_finite_differences(activation, loss, k, depth):
    network = Network(scales("ntp"), depth, activation, k, sigma=1.3, bias=0.4, output_bias=0.7)
    data = problem(k=k)
    weights = reference.draw(network, 4, 3, seed=2)
    seen = reference.forward(network, weights, data[0])
    chi = LOSSES[loss][1](seen.f, data[1]) / len(data[0])
    gradients = reference.backward(network, weights, data[0], seen, chi)
    expected = differences(lambda w: mean_loss(network, w, data, loss), weights)
    assert gradients.keys() == weights.keys()
    for name in weights:
        np.testing.assert_allclose(gradients[name], expected[name], rtol=1e-7, atol=1e-9)


EXPONENTS = {
    "ntp": ([0, 0.5, 0.5], [0, 0, 0], [0, 0, 0]),
    "sp": ([0, 0, 0], [0, 0.5, 0.5], [1, 1, 1]),
    "mup": ([-0.5, 0, 0.5], [0.5, 0.5, 0.5], [0, 0, 0]),
    "ip": ([0, 1, 1], [0, 0, 0], [-1, -2, -1]),
    "odd": ([-0.25, 0.25, 1], [0.25, 0.5, -0.5], [0.75, 0.25, -1]),
}


@pytest.mark.parametrize("name", EXPONENTS)
def test_unit_variance_parameters_trained_literally(name):
    """W = σ n^{-a} w, and w moves by -η n^{-c} ∂loss/∂w, with ∂loss/∂w by finite differences."""
    a, b, c = EXPONENTS[name]
    sigmas, n, d = [1.5 / np.sqrt(3), 1.5, 0.8], 5, 3
    groups = {"W1": 0, "W2": 1, "V": 2, "b1": 0, "b2": 0}
    own = {"input": (a[0] + b[0], c[0] + 2 * a[0]), "hidden": (a[1] + b[1], c[1] + 2 * a[1])}
    own["readout"] = (a[2] + b[2], c[2] + 2 * a[2])
    network = Network(own, 2, "silu", 1, sigma=1.5, readout_sigma=0.8, bias=0.6)
    data = problem(d=d)
    start = reference.draw(network, n, d, seed=4)
    multiplier = {m: (0.6 if m in ("b1", "b2") else sigmas[g]) * n ** -a[g] for m, g in groups.items()}
    small = {m: start[m] / multiplier[m] for m in start}

    def written(w):
        return {m: multiplier[m] * w[m] for m in w}

    training = Training([None] * 3, rate=0.3, loss="logistic")
    records = reference.train(network, training, start, data)
    for record in records[1:]:
        slope = differences(lambda w: mean_loss(network, written(w), data, "logistic"), small)
        small = {m: small[m] - 0.3 * n ** -c[groups[m]] * slope[m] for m in small}
        np.testing.assert_allclose(record.f, reference.forward(network, written(small), data[0]).f, rtol=1e-7)


def test_spreads_at_the_start():
    network = Network(scales("mup"), 2, sigma=1.5, readout_sigma=0.7, bias=0.3, output_bias=0.4)
    spread = {name: law.spread for name, law in reference.laws(network, 64, 4).items()}
    expected = {"W1": 0.75, "W2": 1.5 / 8, "V": 0.7 / 64, "b1": 0.3, "b2": 0.3, "c": 0.4 / 8}
    assert spread == pytest.approx(expected, rel=1e-12)
    weights = reference.draw(network, 64, 4, seed=1)
    assert weights["W2"].std() == pytest.approx(1.5 / 8, rel=0.05)


def test_rates_of_parameters_as_written():
    network = Network(scales("mup"), 2, sigma=1.5, readout_sigma=0.7, bias=0.0, own_rates=True)
    factors = {name: law.factor for name, law in reference.laws(network, 64, 4).items()}
    assert factors == {"W1": 64, "W2": 1, "V": 1 / 64, "b1": 64, "b2": 64}


@pytest.mark.parametrize("steps", [1, 7])
def test_a_linear_layer_in_mup_is_three_numbers(steps):
    """f = E UV for ξ = 1, with A = E U², B = E V² : exact at every width for a factorised f = (1/n) Σ U V."""
    n, rate, y = 50, 0.2, 0.8
    network = Network(scales("mup"), 1, "linear")
    weights = reference.draw(network, n, 1, seed=3)
    u, v = weights["W1"][:, 0], n * weights["V"][0]
    f, a, b = (u * v).mean(), (u**2).mean(), (v**2).mean()
    for _ in range(steps):
        e = rate * (f - y)
        f, a, b = f - e * (a + b) + e**2 * f, a - 2 * e * f + e**2 * b, b - 2 * e * f + e**2 * a
    data = np.ones((1, 1)), np.full((1, 1), y)
    record = reference.train(network, Training([None] * steps, rate), weights, data)[-1]
    assert record.f[0, 0] == pytest.approx(f, rel=1e-12)
    assert (record.h[0] ** 2).mean() == pytest.approx(a, rel=1e-12)
    assert record.loss == pytest.approx((f - y) ** 2 / 2, rel=1e-10)


@pytest.mark.parametrize("centred", [False, True])
def test_training_the_readout_alone_is_regression_with_random_features(centred):
    """f_t = y + (1 - η K/N)^t (f_0 - y) with K = σ² n^{-1} x·x', at other inputs too."""
    network = Network(scales("ntp"), 2, "erf", readout_sigma=1.4)
    data, others = problem(), problem(4, seed=1)[0]
    weights = reference.draw(network, 30, 3, seed=5)
    steps, rate, fixed = 6, 0.5, frozenset({"W1", "W2"})
    training = Training([None] * steps, rate, fixed=fixed, centred=centred)
    records = reference.train(network, training, weights, data, others)
    seen, elsewhere = (reference.forward(network, weights, xs) for xs in (data[0], others))
    features, factor = seen.x[-1], 1.4**2 / 30
    kernel = factor * features @ features.T
    f0 = 0 * seen.f if centred else seen.f
    power = np.linalg.matrix_power(np.eye(5) - rate * kernel / 5, steps)
    f = data[1] + power @ (f0 - data[1])
    np.testing.assert_allclose(records[-1].f, f, rtol=1e-10)
    pulled = factor * elsewhere.x[-1] @ features.T @ np.linalg.solve(kernel, f - f0)
    np.testing.assert_allclose(records[-1].f_others, (0 if centred else elsewhere.f) + pulled, rtol=1e-7)


def test_heavy_ball_schedules_and_weight_decay():
    """vel' = m vel + push: the same as W_{t+1} = W_t - η_t push + m (η_t/η_{t-1}) (W_t - W_{t-1})."""
    network = Network(scales("mup"), 2, "tanh", bias=0.5)
    data = problem()
    weights = reference.draw(network, 6, 3, seed=6)
    laws = reference.laws(network, 6, 3)

    def rate(t):
        return 0.4 / (1 + t)

    training = Training([None] * 5, rate, momentum=0.7, weight_decay=0.05)
    expected = [weights, weights]
    for t in range(5):
        before, now = expected[-2:]
        seen = reference.forward(network, now, data[0])
        gradients = reference.backward(network, now, data[0], seen, (seen.f - data[1]) / 5)
        inertia = 0.7 * rate(t) / rate(t - 1) if t else 0.0
        expected.append({
            name: now[name]
            - rate(t) * (laws[name].factor * gradients[name] + 0.05 * now[name])
            + inertia * (now[name] - before[name])
            for name in now
        })  # fmt: skip
    last = reference.train(network, training, weights, data)[-1]
    np.testing.assert_allclose(last.f, reference.forward(network, expected[-1], data[0]).f, rtol=1e-10)


def test_weight_decay_shrinks_alike_at_every_width():
    network = Network(scales("mup"), 1, "linear")
    for n in (4, 64):
        weights = reference.draw(network, n, 2, seed=0)
        data = np.zeros((1, 2)), np.zeros((1, 1))
        last = reference.train(network, Training([None] * 3, 0.5, weight_decay=0.2), weights, data, np.eye(2))[-1]
        np.testing.assert_allclose(last.f_others, 0.9**6 * reference.forward(network, weights, np.eye(2)).f)


def test_batches_are_steps_on_these_inputs_alone():
    network = Network(scales("mup"), 2, "silu", 3, output_bias=0.3)
    data = problem(6, k=3)
    weights = reference.draw(network, 8, 3, seed=1)
    training = Training([[0, 2], [5], [3, 4]], 0.3, "cross_entropy")
    record = reference.train(network, training, weights, data)[2]
    steps = [(data[0][rows], data[1][rows]) for rows in ([0, 2], [5])]
    halfway = reference.train(network, replace(training, batches=[None]), weights, steps[0], data[0])[-1]
    assert not np.allclose(halfway.f_others, record.f)
    mixed = reference.train(network, replace(training, batches=[[0, 1], [2]]), weights,
                            (np.vstack([s[0] for s in steps]), np.vstack([s[1] for s in steps])), data[0])[-1]  # fmt: skip
    np.testing.assert_allclose(mixed.f_others, record.f, rtol=1e-12)
    whole = reference.train(network, replace(training, batches=[None]), weights, data)[-1]
    listed = reference.train(network, replace(training, batches=[[3, 1, 0, 2, 5, 4]]), weights, data)[-1]
    np.testing.assert_allclose(listed.f, whole.f, rtol=1e-12)


def test_what_is_recorded():
    network = Network(scales("ntp"), 2, outputs=2)
    data, others = problem(k=2), problem(4)[0]
    weights = reference.draw(network, 8, 3, seed=1)
    records = reference.train(network, Training([None] * 4), weights, data, others, record=[0, 3])
    assert [r.step for r in records] == [0, 3]
    first = records[0]
    assert first.f.shape == (5, 2)
    assert first.f_others.shape == (4, 2)
    assert [h.shape for h in first.h] == [x.shape for x in first.x] == [(5, 8), (5, 8)]
    np.testing.assert_allclose(first.x[0], np.tanh(data[0] @ weights["W1"].T))
    np.testing.assert_allclose(first.h[1], first.x[0] @ weights["W2"].T)
    assert weights["W1"].tobytes() == reference.draw(network, 8, 3, seed=1)["W1"].tobytes()


@pytest.mark.parametrize("name", NAMED)
def test_the_exponents_above_are_those_of_the_table(name):
    assert abc(*([Fraction(x) for x in row] for row in EXPONENTS[name])) == NAMED[name]
