"""The equations of training against a network that is trained: equal to rounding, at every step, layer and input."""

import numpy as np
import pytest

import tpl
from tests.limit.train_oracle import Equations, Network
from tpl.stages.derive import explain_training

MLP = """
const L = 3
const sigma_w = 1.5
def phi(z) = tanh(z)
width n
data X[N, d] = sphere(4, 5, seed=0)
data Xt[M, d] = sphere(2, 5, seed=3)
data y[N] = [1, -1, 0.5, -0.5]
network f(xi[d]):
    param W[1] : [n, d] ~ N(0, sigma_w^2 / d)
    param b[1] : [n] ~ N(0, 0.3)
    h[1] = W[1] @ xi + b[1]
    for l in 2..L:
        param W[l] : [n, n] ~ N(0, sigma_w^2 / n)
        param b[l] : [n] ~ N(0, 0.2)
        h[l] = W[l] @ phi(h[l-1]) + b[l]
    param v : [1, n] ~ N(0, 2 / n)
    param c : [1] ~ N(0, 0.5)
    return v @ phi(h[L]) + c
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    SETTINGS
    steps = 4
    test = [Xt]
show f
"""
RNN = """
width n
data X[N, T, d] = gaussian(3, 4, 2, seed=1)
data y[N] = [1, -1, 1]
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1.5 / n)
    param b : [n] ~ N(0, 0.1)
    x[1] = erf(U @ xi[1] + b)
    for t in 2..T:
        x[t] = erf(W @ x[t-1] + U @ xi[t] + b)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ sum(x[t] for t in 1..T) / T
train f on X, y:
    parametrization = mup
    loss = logistic(f, y)
    rate = 0.7 / (1 + t / 2)
    steps = 3
show f
"""
READOUTS = """
width n
width m = 3 * n
data X[N, d] = sphere(3, 5, seed=1)
data y[N] = [1, -1, 0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [m, n] ~ N(0, 2 / n)
    param b : [m] ~ N(0, 0.25)
    x = erf(U @ xi)
    a = W @ x + b
    z = tanh(W.T @ erf(a) / 2) + x
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, m] ~ N(0, 0.5 / m)
    return v @ z - 0.5 * (w @ tanh(a)) + v @ x
train f on X, y:
    parametrization = mup
    loss = (f - y)^4
    rate = 0.1
    weight_decay = 0.3
    steps = 3
show f
"""
NORMED = """
width n
data X[N, d] = sphere(3, 5, seed=1)
data y[N] = [1, -1, 0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    x = tanh(U @ xi)
    q = avg(x^2)
    h = W @ (x / sqrt(q + 0.1))
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(h)
train f on X, y:
    parametrization = mup
    loss = squared(f, y)
    rate = 0.5
    steps = 3
show f
"""
CLASSES = """
width n
data X[N, d] = sphere(3, 5, seed=1)
data y[N] = [0, 1, 2]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    h = W @ tanh(U @ xi)
    param v : [3, n] ~ N(0, 1 / n)
    param c : [3] ~ N(0, 1)
    return v @ tanh(h) + c
train f on X, y:
    parametrization = mup
    loss = cross_entropy(f, y)
    rate = 0.5
    momentum = 0.5
    steps = 3
show f
"""
OWN = """
width n
data X[N, d] = sphere(3, 5, seed=1)
data y[N] = [1, -1, 0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d) rate 2 * n
    param W : [n, n] ~ N(0, 1 / n) rate 0.5
    param A : [n, n] ~ N(0, 1 / n^2) rate 1
    param B : [n, n] ~ N(0, 1 / n) rate 1 / n
    h = W @ tanh(U @ xi)
    g = A @ tanh(h) + B @ tanh(h)
    param v : [1, n] ~ N(0, 0) rate 3 / n
    return v @ (tanh(g) + h)
train f on X, y:
    loss = squared(f, y)
    rate = 0.5
    weight_decay = 0.1
    steps = 4
show f
"""
SETTINGS = {
    "plain": "rate = 0.5",
    "momentum": "rate = 0.4\n    momentum = 0.8",
    "decay": "rate = 0.4\n    weight_decay = 0.2",
    "both": "rate = 0.4 / (1 + t)\n    momentum = 0.5 * t / (t + 1)\n    weight_decay = 0.2\n    batch = 3",
}
TEXTS = {f"mlp {k}": MLP.replace("SETTINGS", v) for k, v in SETTINGS.items()} | {
    "rnn": RNN, "readouts": READOUTS, "normed": NORMED, "own": OWN, "classes": CLASSES,
}  # fmt: skip
VECTORS = {"mlp": ["h"], "rnn": ["x"], "readouts": ["x", "a", "z"], "normed": ["x", "h"], "own": ["h", "g"], "classes": ["h"]}


def accounted(name):
    program = tpl.loads(TEXTS[name])
    compiled = program._compiled
    training = compiled.program.training
    account = explain_training(program.limits, compiled).account
    points = [x for k in ("X", "Xt") if k in compiled.inputs for x in compiled.inputs[k].array]
    return account, training, points, compiled.inputs["y"].array


@pytest.mark.parametrize("name", TEXTS)
def test_equations_are_what_training_does_to_a_network(name):
    account, training, points, targets = accounted(name)
    network = Network(training, 7)
    steps = training.schedule.steps
    truth = network.run(steps)
    made = Equations(account, network, points, targets)
    checked = 0
    for i, line in enumerate(training.program.lines):
        base, _, label = line.name.partition("{")
        base, _, index = base.rstrip("]").partition("[")
        if base not in VECTORS[name.split()[0]] or not label.startswith("X"):
            continue
        which, _, number = label.rstrip("]}").partition("[")
        point = int(number) - 1 + (len(training.examples) if which == "Xt" else 0)
        indices = tuple(int(x) for x in index.split(",")) if index else ()
        for t in range(steps + 1):
            found = made.at(base, t, point, indices)
            np.testing.assert_allclose(found, truth[t][i], rtol=1e-10, atol=1e-12, err_msg=f"{line.name} after {t}")
            checked += 1
    for point, example in enumerate((*training.examples, *training.tests)):
        for j, i in enumerate(example.outputs.ravel()):
            row = (j + 1,) if example.outputs.size > 1 else ()
            for t in range(steps + 1):
                assert made.output("f", t, point, row) == pytest.approx(truth[t][i], rel=1e-10, abs=1e-12)
    assert checked >= len(training.examples) * (steps + 1)
    assert np.abs(truth[steps][training.examples[0].outputs[0, 0]] - truth[0][training.examples[0].outputs[0, 0]]) > 1e-3

