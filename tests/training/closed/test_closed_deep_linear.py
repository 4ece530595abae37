"""Deep linear networks: the algebra of products against Catalan numbers, trainings against three other routes."""

import sys
from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import reference

from closed.deep_linear import DeepLinear, GaussianMatrix, Layer, dot, solve
from closed.descent import CROSS_ENTROPY, LOGISTIC, SQUARED, Descent

MUP = {"input": (0, -1), "hidden": (0.5, 0), "readout": (1, 1), "bias": (0.5, 0)}
NAMES = {"squared": SQUARED, "logistic": LOGISTIC, "cross_entropy": CROSS_ENTROPY}
CATALAN = np.array([comb(2 * j, j) / (j + 1) for j in range(60)])
HARD = Descent([[0, 2], [1], [2, 1], None, [0]], lambda t: 0.4 / (1 + t / 3), LOGISTIC, 0.6, 0.1)


def problem(inputs=4, d=3, k=1, trained=3, seed=0):
    """X [inputs, d] and targets [trained, k] for every loss: ±1 for one output, probabilities for more."""
    rng = np.random.default_rng(seed)
    targets = rng.choice([-1.0, 1.0], (trained, 1)) if k == 1 else rng.dirichlet(np.ones(k), trained)
    return rng.standard_normal((inputs, d)), targets


def test_powers_of_a_wishart_matrix():
    """⟨u, (W.T W)^j u⟩ and ⟨v, (W W.T)^j v⟩ are Catalan numbers, and mixed ones vanish (TP3, the semicircle law)."""
    below, above = Layer(), Layer()
    matrix = GaussianMatrix(below, above)
    u, v = below.fresh(1), above.fresh(1)
    x, y = u, v
    for j in range(1, 15):
        x = matrix.transpose_times(matrix.times(x))
        y = matrix.times(matrix.transpose_times(y))
        found = dot(u, x), dot(v, y), dot(v, matrix.times(x))
        np.testing.assert_allclose(np.array(found).ravel(), [CATALAN[j], CATALAN[j], 0], rtol=1e-12, atol=1e-12)


def test_products_are_linear_and_adjoint():
    below, above = Layer(), Layer()
    matrix = GaussianMatrix(below, above)
    x, y = below.fresh(2), above.fresh(2)
    for _ in range(3):
        x, y = matrix.transpose_times(matrix.times(x)) - below.full(x), matrix.times(matrix.transpose_times(y))
    wx, wy = matrix.times(x), matrix.transpose_times(y)
    np.testing.assert_allclose(dot(y, wx), dot(wy, x), atol=1e-12)
    np.testing.assert_allclose(matrix.times(2 * x[:, :1] - x[:, 1:]), 2 * wx[:, :1] - wx[:, 1:], atol=1e-12)


def covariances(network, descent, inputs, targets):
    """One hidden layer: (U, V) and their velocities move linearly, so their covariance is a recursion of matrices.

    Gives f [T+1, A, k], E h_t h_t and E h_0 h_t [T+1, A, A].
    """
    d, k = inputs.shape[1], network.outputs
    points, size = inputs / np.sqrt(d), d + k
    variance = np.diag([network.sigma**2] * d + [network.readout_sigma**2] * k)
    start = np.zeros((2 * size, 2 * size))  # of U, V, and the velocities of both
    start[:size, :size] = variance
    whole, f, gram, cross = np.eye(2 * size), [], [], []
    for t in range(len(descent.batches) + 1):
        now, mixed = whole @ start @ whole.T, start @ whole.T
        f.append(points @ now[:d, d:size])
        gram.append(points @ now[:d, :d] @ points.T)
        cross.append(points @ mixed[:d, :d] @ points.T)
        if t < len(descent.batches):
            pull = points[: len(targets)].T @ descent.signals(t, f[-1], targets)  # [d, k]
            push = np.block([[np.zeros((d, d)), pull], [pull.T, np.zeros((k, k))]])
            push = variance @ push + descent.weight_decay * np.eye(size)
            velocity = np.hstack([push, descent.momentum * np.eye(size)])
            rate = descent.rate(t) if callable(descent.rate) else descent.rate
            whole = np.vstack([np.eye(size, 2 * size) - rate * velocity, velocity]) @ whole
    return np.array(f), np.array(gram), np.array(cross)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("descent", [Descent([None] * 40, 0.5), replace(HARD, batches=list(HARD.batches) * 4)])
def test_one_layer_is_a_recursion_of_covariances(descent, k):
    network, data = DeepLinear(1, k, sigma=1.3, readout_sigma=0.7), problem(k=k)
    if k == 2:
        descent = replace(descent, loss=CROSS_ENTROPY)
    solution = solve(network, descent, *data)
    expected = covariances(network, descent, *data)
    assert abs(solution.f[-1]).max() > 0.1
    for found, known in zip((solution.f, solution.gram[1], solution.cross[1]), expected, strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-10, atol=1e-12)


class Words:
    """Two layers without bias: vectors as combinations of (W.T W)^j u_i, (W.T W)^j W.T v_m, and W times these.

    A vector is an array [J, r + k]; first u_i, then v_m. Products of words are Catalan numbers.
    """

    def __init__(self, length, rank, outputs):
        self.shape, self.rank = (length, rank + outputs), rank
        i = np.arange(length)
        self.even, self.odd = CATALAN[i[:, None] + i], CATALAN[i[:, None] + i + 1]

    def unit(self, i):
        word = np.zeros(self.shape)
        word[0, i] = 1
        return word

    def apply(self, vector, transposed):
        """W: (W.T W)^j u -> W (W.T W)^j u and (W.T W)^j W.T v -> (W W.T)^{j+1} v; W.T with roles exchanged."""
        result = vector.copy()
        longer = slice(None, self.rank) if transposed else slice(self.rank, None)
        assert not vector[-1, longer].any(), "words became too long"
        result[1:, longer], result[0, longer] = vector[:-1, longer], 0
        return result

    def dot(self, a, b, layer):
        kernels = (self.even, self.odd) if layer == 1 else (self.odd, self.even)
        parts = slice(None, self.rank), slice(self.rank, None)
        return sum(np.sum(a[:, p] * (kernel @ b[:, p])) for p, kernel in zip(parts, kernels, strict=True))


def by_words(network, descent, inputs, targets, length):
    """f [T+1, A, k] of two hidden layers; the moved part of W² as a list of (g, x): g ⟨x, ·⟩. No momentum or decay."""
    d, k = inputs.shape[1], network.outputs
    points, sigma, words = inputs / np.sqrt(d), network.sigma, Words(length, d, k)
    u = [sigma * words.unit(i) for i in range(d)]
    v = [network.readout_sigma * words.unit(d + m) for m in range(k)]
    moved, path = [], []
    for t in range(len(descent.batches) + 1):
        x1 = [sum(c * w for c, w in zip(p, u, strict=True)) for p in points]
        x2 = [sigma * words.apply(x, False) + sum(g * words.dot(b, x, 1) for g, b in moved) for x in x1]
        path.append([[words.dot(x, w, 2) for w in v] for x in x2])
        if t < len(descent.batches):
            chi = descent.rate * descent.signals(t, np.array(path[-1]), targets)
            g2 = [sum(c * w for c, w in zip(row, v, strict=True)) for row in chi]
            g1 = [sigma * words.apply(g, True) + sum(b * words.dot(a, g, 2) for a, b in moved) for g in g2]
            u = [w - sigma**2 * sum(g * p[i] for g, p in zip(g1, points, strict=False)) for i, w in enumerate(u)]
            v = [w - network.readout_sigma**2 * sum(c * x for c, x in zip(chi[:, m], x2, strict=False))
                 for m, w in enumerate(v)]  # fmt: skip
            moved += [(-(sigma**2) * g, x) for g, x in zip(g2, x1, strict=False)]
    return np.array(path)


@pytest.mark.parametrize(("k", "loss"), [(1, LOGISTIC), (2, SQUARED)])
def test_two_layers_are_words_in_one_matrix(k, loss):
    network, data = DeepLinear(2, k, sigma=1.2, readout_sigma=0.8), problem(k=k)
    descent = Descent([None, [0, 2], [1], None, [1, 2], None], 0.4, loss)
    expected = by_words(network, descent, *data, length=20)
    np.testing.assert_allclose(solve(network, descent, *data).f, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_the_first_step_is_the_tangent_kernel(depth):
    """f_1 = η y (L+1) σ^{2L} σ_V² |ξ|²/d to first order in η: every layer gives the same."""
    network = DeepLinear(depth, sigma=1.1, readout_sigma=0.9)
    inputs, target = np.array([[1.0, 2.0]]), np.ones((1, 1))
    f = solve(network, Descent([None], 1e-6), inputs, target).f[1, 0, 0]
    assert f == pytest.approx(1e-6 * (depth + 1) * 1.1 ** (2 * depth) * 0.81 * 2.5, rel=1e-9)


CASES = {
    "plain": (DeepLinear(3), Descent([None] * 4, 0.15), "squared"),
    "hard": (DeepLinear(2, sigma=1.2, readout_sigma=0.8, bias=0.5), HARD, "logistic"),
    "two outputs": (DeepLinear(4, 2), Descent([None, [1, 2], [0]], 0.4, CROSS_ENTROPY, 0.3, 0.05), "cross_entropy"),
}


def finite(network, descent, loss, data, width, seed):
    """f, grams and cross grams of the last layer and step, of one network of this width, as one vector."""
    inputs, targets = data
    kind = reference.Network(MUP, network.depth, "linear", network.outputs, network.sigma, network.readout_sigma,
                             network.bias)  # fmt: skip
    weights = reference.draw(kind, width, inputs.shape[1], seed)
    training = reference.Training(descent.batches, descent.rate, loss, descent.momentum, descent.weight_decay)
    others = inputs[len(targets) :]
    records = reference.train(kind, training, weights, (inputs[: len(targets)], targets), others)
    first, last = records[0].h[-1], records[-1].h[-1]
    f = np.vstack([records[-1].f, records[-1].f_others])
    return np.concatenate([f.ravel(), (last @ last.T / width).ravel(), (first @ last.T / width).ravel()])


@pytest.mark.parametrize("case", CASES)
def test_wide_networks_tend_to_it(case):
    """Means over many networks of two widths, extrapolated on a line in 1/n."""
    network, descent, loss = CASES[case]
    data = problem(k=network.outputs)
    solution = solve(network, descent, *data)
    trained = np.s_[: len(data[1]), : len(data[1])]
    last = network.depth
    expected = np.concatenate([
        solution.f[-1].ravel(), solution.gram[last][-1][trained].ravel(), solution.cross[last][-1][trained].ravel()
    ])  # fmt: skip
    means, variances = [], []
    for width in (128, 256):
        runs = np.array([finite(network, descent, loss, data, width, seed) for seed in range(150)])
        means.append(runs.mean(axis=0))
        variances.append(runs.var(axis=0) / len(runs))
    error = np.sqrt(4 * variances[1] + variances[0])
    z = (2 * means[1] - means[0] - expected) / error
    assert abs(z).max() < 4
    assert np.sqrt(np.mean(z**2)) < 2
    assert np.median(error) < 0.02 * abs(expected).max()
