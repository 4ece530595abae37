"""One matrix in every layer: the semicircle law, and wide networks."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from closed.deep_linear import GaussianMatrix, Layer, dot, total
from closed.descent import LOGISTIC, Descent
from closed.tied_linear import solve

HARD = Descent([[0, 2], [1], None, [0, 1]], 0.3, LOGISTIC, 0.5, 0.1)


def test_the_semicircle_law():
    """⟨u, ((W + W.T)/√2)^j u⟩ is 0 for odd j, else a Catalan number."""
    layer = Layer()
    matrix, u = GaussianMatrix(layer, layer), layer.fresh(1)
    x, found = u, []
    for _ in range(10):
        x = total(matrix.times(x), matrix.transpose_times(x)) / np.sqrt(2)
        found.append(dot(u, x).item())
    np.testing.assert_allclose(found, [0, 1, 0, 2, 0, 5, 0, 14, 0, 42], atol=1e-11)


def dense(depth, skip, inputs, targets, width, seed):
    """f_T of one network of this width, trained in matrices."""
    rng = np.random.default_rng(seed)
    points = inputs / np.sqrt(inputs.shape[1])
    weights = [rng.standard_normal((width, points.shape[1])), rng.standard_normal((width, width)) / np.sqrt(width),
               rng.standard_normal((width, 1))]  # fmt: skip
    velocity = [0.0 * w for w in weights]
    for t in range(len(HARD.batches) + 1):
        u, w, v = weights
        mixed = w + skip * np.eye(width)
        h, g = [u @ points.T], [v]
        for _ in range(depth):
            h.append(mixed @ h[-1])
            g.append(mixed.T @ g[-1])
        f = h[-1].T @ v / width
        if t == len(HARD.batches):
            return f[:, 0]
        rows = HARD.rows(t, len(targets))
        chi = np.zeros_like(f)
        chi[rows] = LOGISTIC.slope(f[rows], targets[rows]) / len(rows)
        gradients = [g[-1] @ (chi.T @ points), sum(g[i] @ (h[depth - 1 - i] @ chi).T for i in range(depth)) / width,
                     h[-1] @ chi]  # fmt: skip
        velocity = [0.5 * s + q + 0.1 * p for s, q, p in zip(velocity, gradients, weights, strict=True)]
        weights = [p - 0.3 * s for p, s in zip(weights, velocity, strict=True)]


@pytest.mark.parametrize(("depth", "skip"), [(2, 0.0), (3, 0.5)])
def test_wide_networks_tend_to_it(depth, skip):
    """Means over many networks of two widths, extrapolated on a line in 1/n."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((4, 3)), rng.choice([-1.0, 1.0], (3, 1))
    exact = solve(depth, skip, HARD, inputs, targets)[-1, :, 0]
    runs = {n: np.array([dense(depth, skip, inputs, targets, n, seed) for seed in range(150)]) for n in (100, 200)}
    error = np.sqrt((4 * runs[200].var(axis=0) + runs[100].var(axis=0)) / 150)
    assert abs((2 * runs[200].mean(axis=0) - runs[100].mean(axis=0) - exact) / error).max() < 4
    assert np.median(error) < 0.05 * abs(exact).max()
