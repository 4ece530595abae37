"""Tangent kernels against wide networks, and their dynamics against closed forms."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import reference

from closed.descent import LOGISTIC, Descent
from closed.kernel_regime import DUALS, NTP, SP, Perceptron, kernels, propagator, solve

SCALES = {
    NTP: {"input": (0, 0), "hidden": (0.5, 1), "readout": (0.5, 1), "bias": (0, 0)},
    SP: {"input": (0, 1), "hidden": (0.5, 1), "readout": (0.5, 1), "bias": (0, 1)},
}


def problem(d=3):
    rng = np.random.default_rng(0)
    return rng.standard_normal((5, d)), rng.choice([-1.0, 1.0], (3, 1))


def numbers_of(network, inputs, width, seed):
    """⟨∂f, ∂f'⟩ over the parameters of a network of finite width, each with its factor."""
    kind = reference.Network(SCALES[NTP], network.depth, network.activation, 1, network.sigma, network.readout_sigma,
                             network.bias)  # fmt: skip
    weights = reference.draw(kind, width, inputs.shape[1], seed)
    laws = reference.laws(kind, width, inputs.shape[1])
    rows = []
    for x in inputs:
        seen = reference.forward(kind, weights, x[None])
        gradients = reference.backward(kind, weights, x[None], seen, np.ones((1, 1)))
        rows.append(np.concatenate([np.sqrt(laws[name].factor) * gradients[name].ravel() for name in gradients]))
    return np.array(rows) @ np.array(rows).T


@pytest.mark.parametrize("activation", DUALS)
@pytest.mark.parametrize("depth", [1, 3])
def test_the_tangent_kernel_is_that_of_wide_networks(activation, depth):
    network, inputs = Perceptron(depth, activation, 1.3, 0.7, 0.4), problem()[0]
    runs = np.array([numbers_of(network, inputs, 300, seed) for seed in range(60)])
    z = (runs.mean(axis=0) - kernels(network, inputs)[1]) / (runs.std(axis=0) / np.sqrt(len(runs)))
    assert abs(z).max() < 4
    assert np.median(runs.std(axis=0)) / np.sqrt(60) < 0.02 * kernels(network, inputs)[1].max()


@pytest.mark.parametrize("activation", DUALS)
def test_the_duals_of_slopes_are_derivatives(activation):
    """∂V/∂K_{12} = W."""
    k, step = np.array([[1.2, 0.5], [0.5, 0.9]]), 1e-5 * np.array([[0, 1], [1, 0]])
    up, down = (DUALS[activation](k + sign * step)[0][0, 1] for sign in (1, -1))
    assert DUALS[activation](k)[1][0, 1] == pytest.approx((up - down) / 2e-5, rel=1e-8)


@pytest.mark.parametrize("learning", [NTP, SP])
def test_wide_networks_follow_it(learning):
    """Two widths, extrapolated on a line in 1/n; f - f_0 is trained."""
    network = Perceptron(2, "erf", 1.3, 0.7, 0.4, learning)
    inputs, targets = problem()
    descent = Descent([[0, 2], [1], None], 1.0, LOGISTIC, 0.5)
    exact = solve(kernels(network, inputs)[1], descent, np.zeros((5, 1)), targets)[-1, :, 0]
    training = reference.Training(descent.batches, 1.0, "logistic", 0.5, centred=True)
    kind = reference.Network(SCALES[learning], 2, "erf", 1, 1.3, 0.7, 0.4)
    means, variances = [], []
    for width in (200, 400):
        runs = []
        for seed in range(100):
            weights = reference.draw(kind, width, 3, seed)
            last = reference.train(kind, training, weights, (inputs[:3], targets), inputs[3:])[-1]
            runs.append(np.vstack([last.f, last.f_others])[:, 0])
        means.append(np.mean(runs, axis=0))
        variances.append(np.var(runs, axis=0) / len(runs))
    error = np.sqrt(4 * variances[1] + variances[0])
    assert abs((2 * means[1] - means[0] - exact) / error).max() < 4
    assert error.max() < 0.03 * abs(exact).max()


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("steps", [0, 1, 30])
def test_steps_and_eigenvectors_agree(momentum, steps):
    inputs, targets = problem(6)
    tangent = kernels(Perceptron(), inputs)[1]
    start = np.random.default_rng(1).standard_normal((5, 1))
    f = solve(tangent, Descent([None] * steps, 0.6, momentum=momentum), start, targets)[-1]
    expected = start + propagator(tangent, 3, 0.6, momentum, steps) @ (start[:3] - targets)
    np.testing.assert_allclose(f, expected, rtol=1e-10)
