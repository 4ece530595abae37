"""Network kernels inside scikit-learn, on real images."""

import pickle

import numpy as np
import pytest

import tpl
from tpl.data import load_source

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.svm import SVC

from tpl.extras.sklearn import NetworkKernel

TRAINED = 120


@pytest.fixture(scope="module")
def images():
    X = load_source("cifar10:160", 1 << 28).array
    y = load_source("cifar10_labels:160", 1 << 28).array
    return X, y


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
def test_predictions_are_those_of_the_formula(images, kernel):
    X, y = images
    program = tpl.load("mlp")
    network = NetworkKernel(program, kernel)
    model = GaussianProcessRegressor(network, alpha=1e-3, optimizer=None).fit(X[:TRAINED], y[:TRAINED])
    K = program.kernel(X, get=(kernel,))[kernel]
    inside, across = K[:TRAINED, :TRAINED] + 1e-3 * np.eye(TRAINED), K[TRAINED:, :TRAINED]
    mean, deviation = model.predict(X[TRAINED:], return_std=True)
    np.testing.assert_allclose(mean, across @ np.linalg.solve(inside, y[:TRAINED]), rtol=1e-8, atol=1e-8)
    variance = np.diag(K)[TRAINED:] - np.sum(across * np.linalg.solve(inside, across.T).T, axis=1)
    np.testing.assert_allclose(deviation**2, variance, rtol=1e-6)


def test_it_composes_and_is_fitted(images):
    X, y = images
    kernel = ConstantKernel() * NetworkKernel(tpl.load("mlp_erf")) + WhiteKernel()
    model = GaussianProcessRegressor(kernel, normalize_y=True).fit(X[:60], y[:60])
    first, gradient = clone(kernel)(X[:5], eval_gradient=True)
    assert first.shape == (5, 5)
    assert gradient.shape == (5, 5, 2)
    assert (
        model.log_marginal_likelihood_value_
        > GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        .fit(X[:60], y[:60])
        .log_marginal_likelihood_value_
    )


def test_diagonals_and_shapes():
    X = np.random.default_rng(0).standard_normal((4, 12))
    network = NetworkKernel(tpl.load("conv1d"), "ntk", (4, 3))
    np.testing.assert_allclose(network.diag(X), np.diag(network(X)), rtol=1e-13)
    np.testing.assert_allclose(network(X, X[:2]), network(X)[:, :2], rtol=1e-13)
    assert network != NetworkKernel(network.program, "nngp", (4, 3))
    assert clone(network) == NetworkKernel(network.program, "ntk", (4, 3))


def test_support_vectors_take_it(images):
    X, y = images
    model = SVC(kernel=NetworkKernel(tpl.load("mlp"))).fit(X[:TRAINED], y[:TRAINED] > 4)
    assert model.score(X[:TRAINED], y[:TRAINED] > 4) > 0.6


def test_it_can_be_pickled():
    X = np.random.default_rng(0).standard_normal((4, 5))
    network = NetworkKernel(tpl.load("mlp", data={"X": X}), "ntk")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(network))(X), network(X))
