"""The tangent kernel's core lines against finite differences of the network's output, parameter by parameter."""

import sys
from pathlib import Path

import numpy as np
import pytest

import tpl

sys.path.insert(0, str(Path(__file__).parent))
import oracle

MLP = """
const sigma_w = 1.3
width n
data X[N, d] = sphere(3, 4, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, sigma_w^2 / d)
    param b : [n] ~ N(0.2, 0.3)
    param W : [n, n] ~ N(0, sigma_w^2 / n)
    param v : [1, n] ~ N(0, 2 / n)
    param c : [1] ~ N(0, 0.5)
    h = tanh(U @ xi + b)
    return (v @ silu(W @ h) + v @ h) / 2 + 3 * c
show nngp(f, X), ntk(f, X)
"""

RNN = """
const T = 3
width n
data X[N, T, d] = sphere(2, T, 2, seed=0)
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    h[1] = tanh(U @ xi[1])
    for t in 2..T: h[t] = tanh(W @ h[t-1] + U @ xi[t])
    return v @ sum(h[t] for t in 1..T) / T
show nngp(f, X), ntk(f, X)
"""

TIED = """
width n
data X[N, d] = sphere(2, 3, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    x = tanh(U @ xi)
    return v @ gelu(W.T @ erf(W @ x) + (W + W.T) @ x / 2)
show nngp(f, X), ntk(f, X)
"""

LAYER_NORM = """
const eps = 0.01
def layernorm(x) = (x - avg(x)) / sqrt(avg((x - avg(x))^2) + eps)
width n
width m = 2 * n
data X[N, d] = sphere(2, 3, seed=0)
network f(xi[d]):
    param U : [m, d] ~ N(0, 1 / d)
    param W : [n, m] ~ N(0, 1 / m)
    param g : [n] ~ N(1, 0.1)
    param v : [1, n] ~ N(0, 1 / n)
    y = layernorm(softplus(U @ xi))
    z = g * layernorm(sin(W @ y))
    return v @ (z * avg(z^3 * exp(-z^2)))
show nngp(f, X), ntk(f, X)
"""

WIDE_READOUT = """
width n
width m = 3 * n
data X[N, d] = sphere(2, 3, seed=0)
network f(xi[d]):
    param U : [m, d] ~ N(0, 1 / d)
    param b : [m] ~ N(0, 1)
    param v : [1, m] ~ N(0, 1 / m)
    x = sigmoid(U @ xi + b)
    return v @ (x * avg(x) + arctan(x) / (1 + avg(x^2)))
show nngp(f, X), ntk(f, X)
"""

ATTENTION = """
const T = 2
width n
data X[N, T, d] = sphere(2, T, 3, seed=0)
network f(xi[T, d]):
    param E : [n, d] ~ N(0, 1 / d)
    param Q : [n, n] ~ N(0, 1 / n)
    param K : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    for i in 1..T:
        x[i] = E @ xi[i]
        q[i] = Q @ x[i]
        k[i] = K @ x[i]
    for i in 1..T:
        for j in 1..T:
            s[i, j] = avg(q[i] * k[j])
        a[i] = sum(softmax(s[i, 1..T])[j] * x[j] for j in 1..T)
    return v @ cos(a[1]) - v @ max(a[2], x[1])
show nngp(f, X), ntk(f, X)
"""

BATCH_NORM = """
const B = 3
width n
data X[B, d] = sphere(B, 2, seed=0)
network f(xi[B, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    for i in 1..B: h[i] = U @ xi[i]
    m = avg(h[i] for i in 1..B)
    s = avg((h[i] - m)^2 for i in 1..B)
    return v @ tanh((h[i] - m) / sqrt(s + 0.1)) for i in 1..B
show nngp(f, X), ntk(f, X)
"""

SEVERAL_WIDTHS = """
const r = 3/2
width n
width m = 2 * r * n
width k = n / 2
data X[N, d] = sphere(2, 3, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param A : [m, n] ~ N(0, 2 / n)
    param b : [k] ~ N(0, 1)
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, m] ~ N(0, 2 / m)
    param u : [1, k] ~ N(0, 1 / k)
    param c : [1] ~ N(0, 0.5)
    x = tanh(U @ xi)
    y = sin(A @ x)
    return v @ (x + A.T @ y * avg(y^2)) + 3 * c - w @ y / 2 + u @ (avg(x^2) * b) + w @ (y * y)
show nngp(f, X), ntk(f, X)
"""

NETWORKS = {
    "mlp": MLP, "rnn": RNN, "tied": TIED, "layer norm": LAYER_NORM, "wide readout": WIDE_READOUT,
    "attention": ATTENTION, "batch norm": BATCH_NORM, "several widths": SEVERAL_WIDTHS,
}  # fmt: skip


def jacobian(program, width, arrays):
    """∂(outputs)/∂(every entry of every parameter, in units of its standard deviation), by central differences."""
    columns, step = [], 1e-5
    for i, array in arrays.items():
        flat = array.reshape(-1)
        for k in range(flat.size):
            ends = []
            for sign in (1, -1):
                moved = flat.copy()
                moved[k] += sign * step
                values = oracle.run(program, width, arrays | {i: moved.reshape(array.shape)})
                ends.append(oracle.outputs(program, values))
            columns.append((ends[0] - ends[1]) / (2 * step))
    return np.array(columns).T


@pytest.mark.parametrize("name", NETWORKS)
def test_tangent_kernel_is_that_of_finite_differences(name):
    program = tpl.loads(NETWORKS[name]).program
    width = 4
    arrays = oracle.draw(program, width, seed=7)
    _, kernel = oracle.shown(program, oracle.run(program, width, arrays))
    derivatives = jacobian(program, width, arrays)
    expected = derivatives @ derivatives.T
    np.testing.assert_allclose(kernel.reshape(expected.shape), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_nngp_is_the_covariance_of_the_outputs_over_the_readouts(name):
    """Given the features, outputs are Gaussian in readouts and output biases: an exact quadratic form."""
    program = tpl.loads(NETWORKS[name]).program
    width = 4
    arrays = oracle.draw(program, width, seed=3)
    kernel, _ = oracle.shown(program, oracle.run(program, width, arrays))
    linear = [i for i in arrays if program.lines[i].name in ("v", "w", "u", "c")]
    base = {**arrays, **{i: np.zeros_like(arrays[i]) for i in linear}}
    columns = []
    for i in linear:
        for k in range(arrays[i].size):
            unit = np.zeros(arrays[i].size)
            unit[k] = 1.0
            moved = oracle.run(program, width, base | {i: unit.reshape(arrays[i].shape)})
            columns.append(oracle.outputs(program, moved))
    derivatives = np.array(columns).T
    expected = derivatives @ derivatives.T
    np.testing.assert_allclose(kernel.reshape(expected.shape), expected, rtol=1e-10, atol=1e-12)
