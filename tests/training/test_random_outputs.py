"""In the kernel regime outputs stay random: what is a function of them is averaged over their draws."""

import numpy as np
import pytest

import tpl

TEXT = """
width n
data X[N, d] = sphere(3, 4, seed=0)
data y[N] = [1, -1, 1]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ erf(U @ xi)
train f on X, y:
    parametrization = ntp
    loss = (f - y)^2 / 2
    rate = 0.5
    steps = 3
    start = START
show loss, accuracy, tangent_kernel
"""


def theory(tangent, variance, y, steps, rate=0.5):
    """The mean loss along training: outputs y + A^t (f_0 - y) with A = 1 - rate Θ / N, f_0 of covariance K."""
    step = np.eye(len(y)) - rate * tangent / len(y)
    losses = []
    for t in range(steps + 1):
        power = np.linalg.matrix_power(step, t)
        residual = power @ y
        losses.append((residual @ residual + np.trace(power @ variance @ power.T)) / (2 * len(y)))
    return np.array(losses)


@pytest.mark.parametrize("start", ["gp", "zero"])
def test_the_loss_is_the_mean_over_draws(start):
    program = tpl.loads(TEXT.replace("START", start))
    loss, accuracy, tangent = program.run(samples=1000, replicates=400).results
    inputs = tpl.load("mlp", data={"X": "sphere:3,4,seed=0"})._compiled.inputs["X"].array
    gram = inputs @ inputs.T / 4
    scale = np.sqrt(np.outer(1 + 2 * gram.diagonal(), 1 + 2 * gram.diagonal()))
    nngp = 2 / np.pi * np.arcsin(2 * gram / scale) * (start == "gp")
    expected = theory(tangent.value[0], nngp, np.array([1.0, -1, 1]), 3)
    np.testing.assert_array_less(np.abs(loss.value - expected), 4 * loss.error + 1e-3)
    assert start == "zero" or np.abs(accuracy.value[0] - 0.5) <= 4 * accuracy.error[0]
