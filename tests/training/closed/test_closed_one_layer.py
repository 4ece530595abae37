"""One hidden layer: kernels in closed form at the start, and networks whose neurons are a Sobol net of N(0, I)."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, qmc

sys.path.insert(0, str(Path(__file__).parents[1]))
import reference

from closed import deep_linear, one_layer, one_layer_relu
from closed.descent import CROSS_ENTROPY, LOGISTIC, Descent
from closed.one_layer import OneLayer

MUP = {"input": (0, -1), "hidden": (0.5, 0), "readout": (1, 1), "bias": (0.5, 0)}
HARD = Descent([[0, 2], [1], [2, 1], None, [0]], lambda t: 0.5 / (1 + t / 3), LOGISTIC, 0.5, 0.1)


def problem(d=2, k=1, seed=0):
    """Four inputs, targets of three."""
    rng = np.random.default_rng(seed)
    targets = rng.choice([-1.0, 1.0], (3, 1)) if k == 1 else rng.dirichlet(np.ones(k), 3)
    return rng.standard_normal((4, d)), targets


def descent_for(k):
    return HARD if k == 1 else replace(HARD, loss=CROSS_ENTROPY)


def solve(network, descent, data):
    """The solution, and a bound of its error where it has one."""
    if network.activation == "relu":
        return one_layer_relu.solve(network, descent, *data)[0], 1e-12
    return one_layer.solve(network, descent, *data, step=0.12)


@pytest.mark.parametrize("network", [OneLayer("linear", 2, 1.2, 0.8), OneLayer("linear", 1, 1.2, 0.8, bias=0.6)])
def test_a_linear_grid_is_the_exact_solution(network):
    data = problem(1, network.outputs)
    descent = descent_for(network.outputs)
    found, error = one_layer.solve(network, descent, *data)
    kind = deep_linear.DeepLinear(1, network.outputs, 1.2, 0.8, network.bias)
    expected = deep_linear.solve(kind, descent, *data)
    assert error < 1e-8
    np.testing.assert_allclose(found.f, expected.f, atol=error + 1e-13)
    np.testing.assert_allclose(found.loss, expected.loss, atol=error + 1e-13)
    np.testing.assert_allclose(found.cross_x[1], expected.cross[1], atol=error + 1e-13)


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_kernels_at_the_start(activation):
    """Williams (1997) for erf, Cho and Saul (2009) for relu."""
    data = problem()
    solution, error = solve(OneLayer(activation, sigma=1.5), Descent([]), data)
    variances = 1.5**2 * data[0] @ data[0].T / 2
    norms = np.sqrt(np.diag(variances))
    if activation == "erf":
        lengths = np.sqrt(1 + 2 * norms**2)
        expected = 2 / np.pi * np.arcsin(2 * variances / np.outer(lengths, lengths))
    else:
        angle = np.arccos(np.clip(variances / np.outer(norms, norms), -1, 1))
        expected = np.outer(norms, norms) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    np.testing.assert_allclose(solution.gram_x[1][0], expected, atol=error)
    np.testing.assert_allclose(solution.gram[1][0], variances, atol=error)
    assert error < 1e-8


def sobol(network, descent, loss, data, points=2**16):
    """The reference trainer's first and last records with neurons at Sobol points: means are quasi-Monte Carlo."""
    inputs, targets = data
    d, k = inputs.shape[1], network.outputs
    z = norm.ppf(qmc.Sobol(d + k + (network.bias is not None), seed=1).random(points))
    kind = reference.Network(MUP, 1, network.activation, k, network.sigma, network.readout_sigma, network.bias)
    weights = {"W1": network.sigma / np.sqrt(d) * z[:, :d], "V": network.readout_sigma * z[:, d : d + k].T / points}
    if network.bias is not None:
        weights["b1"] = network.bias * z[:, -1]
    training = reference.Training(descent.batches, descent.rate, loss, descent.momentum, descent.weight_decay)
    records = reference.train(kind, training, weights, (inputs[: len(targets)], targets), inputs[len(targets) :])
    return records[0], records[-1]


@pytest.mark.parametrize(("d", "k", "bias"), [(2, 1, None), (1, 2, None), (1, 1, 0.7)])
@pytest.mark.parametrize("activation", ["tanh", "erf", "relu"])
def test_quasi_monte_carlo_networks(activation, d, k, bias):
    network, data, descent = OneLayer(activation, k, 1.2, 0.8, bias), problem(d, k), descent_for(k)
    solution, error = solve(network, descent, data)
    assert error < 1e-8
    first, last = sobol(network, descent, "logistic" if k == 1 else "cross_entropy", data)
    n = 2**16
    np.testing.assert_allclose(solution.f[-1], np.vstack([last.f, last.f_others]), atol=1e-4)
    np.testing.assert_allclose(solution.loss[-1], last.loss, atol=1e-4)
    for found, a, b in (
        (solution.gram, last.h, last.h),
        (solution.cross, first.h, last.h),
        (solution.gram_x, last.x, last.x),
        (solution.cross_x, first.x, last.x),
    ):
        np.testing.assert_allclose(found[1][-1][:3, :3], a[0] @ b[0].T / n, atol=2e-4)
    assert abs(solution.f[-1]).max() > 0.05


@pytest.mark.parametrize("activation", ["tanh", "erf"])
def test_the_error_of_a_grid_is_a_bound(activation):
    network, data = OneLayer(activation, sigma=1.5), problem(1)
    best, _ = one_layer.solve(network, HARD, *data, step=0.1, reach=9)
    for step in (0.3, 0.5, 0.8):
        found, error = one_layer.solve(network, HARD, *data, step=step)
        assert abs(found.f - best.f).max() <= error
        assert abs(found.cross_x[1] - best.cross_x[1]).max() <= error


def test_cones_fill_the_space():
    """However it is cut, the parts of E z z.T sum to the identity, those of opposite half spaces to half of it."""
    rng = np.random.default_rng(3)
    cones = one_layer_relu.octants(np.ones(3))
    normals = rng.standard_normal((12, 3))
    normals[1] = normals[0] + 1e-9 * rng.standard_normal(3)
    normals[2] = [0, 0, 1]
    for normal in normals:
        cones = [part for cone in cones for part in one_layer_relu.cut(cone, normal)]
    moments = {id(cone): one_layer_relu.second_moments(cone.edges) for cone in cones}
    np.testing.assert_allclose(sum(moments.values()), np.eye(3), atol=1e-12)
    half = sum(moments[id(cone)] for cone in cones if cone.edges.sum(axis=0) @ normals[5] > 0)
    np.testing.assert_allclose(half, np.eye(3) / 2, atol=1e-12)


def test_only_products_of_inputs_matter():
    inputs, targets = problem(1)
    turned = np.sqrt(2) * inputs * [[0.6, 0.8]]
    for activation in ("tanh", "relu"):
        network = OneLayer(activation)
        found, expected = (solve(network, HARD, (x, targets))[0] for x in (turned, inputs))
        np.testing.assert_allclose(found.f, expected.f, atol=1e-8)


def test_too_many_dimensions_for_cones():
    with pytest.raises(ValueError, match="more than three dimensions"):
        one_layer_relu.solve(OneLayer("relu", 2), HARD, *problem(2, 2))
