"""The gallery's limits against recursions and integrals written out here, which share no code with the interpreter."""

from math import pi

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import erf, roots_hermitenorm

import tpl
from tpl.data import generate, load_source


def sphere(*shape):
    return generate("sphere", list(shape), {"seed": 0}, 2**24).array


def gram(x):
    """Inner products over d of all vectors along the last axis: [*shape, *shape]."""
    return np.tensordot(x, x, (-1, -1)) / x.shape[-1]


def relu_dual(k):
    """E relu(u) relu(v), (u, v) ~ N(0, k), for a matrix k of covariances (Cho & Saul 2009)."""
    scale = np.sqrt(np.outer(np.diag(k), np.diag(k)))
    angle = np.arccos(np.clip(k / scale, -1, 1))
    return scale * (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi)


def dual(phi, k, points=80):
    """E phi(u) phi(v), (u, v) ~ N(0, k), by a product rule on the square root of each 2 x 2 block."""
    nodes, weights = roots_hermitenorm(points)
    weights = weights / weights.sum()
    result = np.empty_like(k)
    for a in range(len(k)):
        for b in range(len(k)):
            q, c = np.sqrt(k[a, a]), k[a, b] / np.sqrt(k[a, a])
            rest = np.sqrt(max(k[b, b] - c * c, 0))
            result[a, b] = weights * phi(q * nodes) @ (phi(c * nodes[:, None] + rest * nodes[None, :]) @ weights)
    return result


def nngp(name, **options):
    result = tpl.load(name, **options).run()
    return result["nngp(f, X)"]


def test_pre_activation_residuals():
    k, depth = gram(sphere(4, 10)), 8
    for _ in range(depth):
        k = k + 2 * relu_dual(2 * relu_dual(k)) / depth
    np.testing.assert_allclose(nngp("resnet_pre").value, k, rtol=1e-12, atol=1e-12)


def test_post_activation_residuals():
    """One block by Monte Carlo on its definition."""
    k, random = gram(sphere(2, 10)), np.random.default_rng(1)
    u = np.maximum(random.multivariate_normal(np.zeros(2), k, size=2_000_000), 0)
    w = random.multivariate_normal(np.zeros(2), 2 * relu_dual(2 * relu_dual(k)), size=2_000_000)
    x = np.maximum(u + w, 0)
    value = nngp("resnet_post", data={"X": "sphere:2,10"}, settings=["L=1"])
    for a in range(2):
        for b in range(2):
            product = x[:, a] * x[:, b]
            error = np.hypot(product.std() / np.sqrt(len(x)), np.asarray(value.error)[a, b] / 2)
            assert abs(product.mean() - value.value[a, b]) < 4.5 * error


def test_graph_convolution():
    graph = np.array([[1 / 2, 1 / 2, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0], [0, 1 / 3, 1 / 3, 1 / 3], [0, 0, 1 / 2, 1 / 2]])
    k = 2 * graph @ gram(sphere(4, 10)) @ graph.T
    k = relu_dual(2 * graph @ relu_dual(k) @ graph.T)
    np.testing.assert_allclose(nngp("graphconv").value, k, atol=1e-12)


@pytest.mark.parametrize("source", ["sphere:2,3,3,4,seed=0", "cifar10:2,size=8,layout=grid,patch=4"])
def test_convolution_in_two_dimensions(source):
    """Made-up images, and real ones as patches."""
    k = gram(load_source(source, 2**24).array)
    count = k.shape[0] * k.shape[1] * k.shape[2]
    for _ in range(2):
        total = np.zeros_like(k)
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                total += np.roll(k, (-i, -j, -i, -j), axis=(1, 2, 4, 5))
        k = relu_dual((2 * total / 9).reshape(count, count)).reshape(k.shape)
    np.testing.assert_allclose(nngp("conv2d", data={"X": source}).value, k.mean(axis=(1, 2, 4, 5)), atol=1e-12)


def test_equilibrium_iteration():
    inputs = gram(sphere(3, 10))
    k = dual(np.tanh, inputs)
    for _ in range(5):
        k = dual(np.tanh, 0.25 * k + inputs)
    np.testing.assert_allclose(nngp("deq").value, k, atol=1e-10)


def test_transformer():
    """Tokens of all sequences stacked: one covariance, and attention as one matrix, sequence by sequence."""
    k, eps = gram(sphere(3, 3, 10)).reshape(9, 9), 1e-5

    def normalised(k):
        return k / np.sqrt(np.outer(np.diag(k) + eps, np.diag(k) + eps))

    y = normalised(k)
    mix = np.zeros((9, 9))
    for s in range(3):
        own = slice(3 * s, 3 * s + 3)
        logits = np.exp(1.5**2 * y[own, own])
        mix[own, own] = logits / logits.sum(axis=1, keepdims=True)
    a = k + mix @ y @ mix.T
    z = a + dual(lambda u: u * (1 + erf(u / np.sqrt(2))) / 2, normalised(a))
    pool = np.kron(np.eye(3), np.ones(3) / 3)
    np.testing.assert_allclose(nngp("transformer").value, pool @ normalised(z) @ pool.T, atol=1e-10)


def test_tied_weights_give_the_input_back():
    """Linear, one layer: W.T W x = x + a Gaussian vector as large as x."""
    value = nngp("autoencoder", settings=["L=1", "phi(z)=z"]).value
    np.testing.assert_allclose(value, 2 * gram(sphere(3, 10)), atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_jacobian_of_a_relu_network(depth):
    """Pennington, Schoenholz & Ganguli 2017: moments 1 and 1 + L E[phi'^4] / E[phi'^2]^2."""
    value = tpl.load("jacobian", settings=[f"L={depth}"]).run()[0].value
    np.testing.assert_allclose(value, [1, 1 + 2 * depth], atol=1e-12)


def test_free_independence():
    nodes, weights = roots_hermitenorm(200)
    weights = weights / weights.sum()
    spread = np.sqrt(weights @ np.tanh(nodes) ** 2)
    own, fresh = tpl.load("freeness").run()
    np.testing.assert_allclose(own.value, fresh.value, atol=1e-12)
    assert own.value[0] == pytest.approx((weights @ (1 - np.tanh(spread * nodes) ** 2)) ** 2, abs=1e-10)


def test_batches_apart_and_together():
    """The block of a batch with itself is that batch's own kernel."""
    blocks = nngp("batchnorm_batches")
    alone = nngp("batchnorm_mlp", data={"X": sphere(2, 6, 10)[1]}, settings=["L=1"])
    error = np.hypot(np.asarray(blocks.error)[1, :, 1, :], alone.error)
    assert (np.abs(blocks.value[1, :, 1, :] - alone.value) <= 2.5 * error).all()
    assert np.abs(blocks.value[0, :, 1, :]).max() < blocks.value[1, :, 1, :].max()


def overlaps(signal, start, steps):
    """State evolution for a spike of signs: q <- E tanh(c + sqrt(c) z), c = signal^2 q."""
    nodes, weights = roots_hermitenorm(120)
    weights = weights / weights.sum()
    found = []
    for _ in range(steps):
        c = signal**2 * (found[-1] if found else start)
        found.append(float(weights @ np.tanh(c + np.sqrt(c) * nodes)))
    return found


def test_a_planted_direction_is_found_as_state_evolution_says():
    """The law cancels the Onsager term against the matrix's memory, so that both are plain integrals."""
    algorithm, evolution = tpl.load("amp_spiked").run(method="law")
    expected = overlaps(1.5, 0.1, 5)
    np.testing.assert_allclose(algorithm.value, expected, atol=1e-10)
    np.testing.assert_allclose(evolution.value, expected, atol=1e-10)


def test_the_overlap_reached():
    algorithm = tpl.load("amp_spiked", settings=["T=16"]).run(method="law")[0]
    fixed = brentq(lambda q: overlaps(1.5, q, 1)[0] - q, 0.1, 1)
    assert algorithm.value[-1] == pytest.approx(fixed, abs=1e-3)


def test_without_its_memory_cancelled_the_algorithm_leaves_state_evolution():
    algorithm, evolution = tpl.load("amp_spiked", settings=["onsager(b, m)=0*m"]).run(method="sample")
    z = (algorithm.value - evolution.value) / np.hypot(algorithm.error, evolution.error)
    assert np.abs(z[:2]).max() < 4.5
    assert z[2:].min() > 10


def test_a_gaussian_spike_is_found_as_far_as_its_eigenvector():
    """Linear steps: q = 1 - 1 / lambda^2, the squared overlap of the leading eigenvector (Baik, Ben Arous & Peche 2005)."""
    linear = ["spike(g)=g", "denoise(r, q)=lambda*r/(1 + lambda^2*q)", "slope(r, q)=lambda/(1 + lambda^2*q) + 0*r"]
    algorithm = tpl.load("amp_spiked", settings=[*linear, "T=10", "start=0.3"]).run(method="sample")[0]
    assert abs(algorithm.value[-1] - (1 - 1 / 1.5**2)) < 4.5 * algorithm.error[-1] + 1e-3
