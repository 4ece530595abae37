"""Training networks of all kinds: their steps are finite differences of their losses, and their limits those of networks."""

import sys
from pathlib import Path

import numpy as np
import pytest

import tpl
from tpl.core.elaborate import Limits
from tpl.language.source import Source
from tpl.pipeline import compile_program
from tpl.report.layout import remarks
from tpl.sampling.operator import LazyGaussian
from tpl.sampling.train import TrainingRun, TrainOptions
from tpl.sampling.train_many import Measured
from tpl.stages.verify import verify_limit

sys.path.insert(0, str(Path(__file__).parent))
from agreement_programs import run_to_end, trained

RESIDUAL = """
width n
data X[N, d] = sphere(3, 4, seed=0)
data y[N] = [1, -1, 0.5]
def norm(h) = (h - avg(h)) / sqrt(avg((h - avg(h))^2) + 0.01)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1.5 / d)
    x[1] = U @ xi
    for l in 2..3:
        param W[l] : [n, n] ~ N(0, 2 / n)
        param b[l] : [n] ~ N(0, 0.1)
        x[l] = x[l-1] + W[l] @ tanh(norm(x[l-1])) + b[l]
    param v : [1, n] ~ N(0, 1 / n)
    return v @ norm(x[3])
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.2
    steps = 4
show loss, f, gram(x[l])
"""
RECURRENT = """
width n
data X[N, T, d] = sphere(2, 3, 4, seed=0)
data y[N] = [1, -1]
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1.5 / n)
    param b : [n] ~ N(0, 0.1)
    h[1] = U @ xi[1] + b
    for t in 2..T:
        h[t] = W @ tanh(h[t-1]) + U @ xi[t] + b
    param v : [1, n] ~ N(0, 2 / n)
    return v @ (sum(tanh(h[t]) for t in 1..T) / T)
train f on X, y:
    parametrization = mup
    loss = logistic(f, y)
    rate = 0.4
    momentum = 0.5
    steps = 4
show loss, f, gram(h[t])
"""
TWO_WIDTHS = """
width n
width m = 2 * n
data X[N, d] = sphere(3, 4, seed=0)
data y[N] = [1, -1, 0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [m, n] ~ N(0, 1.5 / n)
    param R : [n, m] ~ N(0, 2 / m)
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, m] ~ N(0, 3 / m)
    param c : [1] ~ N(0, 0.5)
    h = U @ xi
    g = W @ erf(h)
    k = R @ tanh(g)
    return v @ tanh(k) + w @ (silu(g) / 2) + 2 * c
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.2
    steps = 4
show loss, f, gram(h), gram(g), gram(k)
"""
CONVOLUTION = """
const P = 3
width n
data X[N, P, d] = sphere(2, 3, 4, seed=0)
data y[N] = [1, -1]
network f(xi[P, d]):
    for k in -1..1:
        param U[k] : [n, d] ~ N(0, 2 / (3 * d))
        param W[k] : [n, n] ~ N(0, 2 / (3 * n))
    for p in 1..P:
        h[1, p] = sum(U[k] @ xi[(p + k - 1) mod P + 1] for k in -1..1)
    for p in 1..P:
        h[2, p] = sum(W[k] @ tanh(h[1, (p + k - 1) mod P + 1]) for k in -1..1)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ (sum(tanh(h[2, p]) for p in 1..P) / P)
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.4
    steps = 4
show loss, f, gram(h[2, 1])
"""
BATCH = """
const B = 3
width n
data X[B, d] = sphere(3, 4, seed=0)
data y[B] = [1, -1, 0.5]
network f(xi[B, d]):
    param U : [n, d] ~ N(0, 1 / d)
    for i in 1..B:
        h[i] = U @ xi[i]
    mean = sum(h[i] for i in 1..B) / B
    spread = sqrt(sum((h[i] - mean)^2 for i in 1..B) / B + 0.1)
    param W : [n, n] ~ N(0, 1 / n)
    for i in 1..B:
        x[i] = tanh(W @ tanh((h[i] - mean) / spread))
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[i] for i in 1..B
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.4
    steps = 4
show loss, f, gram(x)
"""
ATTENTION = """
width n
data X[N, T, d] = sphere(2, 2, 4, seed=0)
data y[N, k] = [[1, -1], [0.5, 2]]
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param K : [n, n] ~ N(0, 1.5 / n)
    param V : [n, n] ~ N(0, 1 / n)
    for i in 1..T:
        x[i] = U @ xi[i]
        q[i] = K @ x[i]
        u[i] = V @ x[i]
    for i in 1..T:
        for j in 1..T:
            s[i, j] = avg(q[i] * q[j])
        a[i] = sum(softmax(s[i, 1..T])[j] * u[j] for j in 1..T)
    param v : [2, n] ~ N(0, 1 / n)
    param c : [2] ~ N(0, 0.5)
    return v @ (sum(tanh(a[i]) for i in 1..T) / T) + c
train f on X, y:
    parametrization = mup
    loss = squared(f, y)
    rate = 0.3
    steps = 4
show loss, f, gram(a[i])
"""
TWO_INPUTS = """
width n
data X[N, d] = sphere(3, 4, seed=0)
data Z[N, e] = sphere(3, 2, seed=1)
data y[N] = [1, -1, 1]
network f(xi[d], zeta[e]):
    param U : [n, d] ~ N(0, 1 / d)
    param R : [n, e] ~ N(0, 2 / e)
    param W : [n, n] ~ N(0, 1.5 / n)
    x = tanh(U @ xi) * erf(R @ zeta) + U @ xi
    h = W @ x
    z = W.T @ tanh(h)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(h + z)
train f on X, Z, y:
    parametrization = mup
    loss = logistic(f, y)
    rate = 0.2
    steps = 4
show loss, f, gram(h), gram(z)
"""
# The networks, and σ² of their parameters as W ~ N(0, σ²/n), n the base width, U ~ N(0, σ²).
NETWORKS = {
    "residual": (RESIDUAL, {"U": 1.5 / 4, "W": 2, "b": 0.1, "v": 1}),
    "recurrent": (RECURRENT, {"U": 1 / 4, "W": 1.5, "b": 0.1, "v": 2}),
    "two widths": (TWO_WIDTHS, {"U": 1 / 4, "W": 1.5, "R": 1, "v": 1, "w": 1.5, "c": 0.5}),
    "convolution": (CONVOLUTION, {"U": 1 / 6, "W": 2 / 3, "v": 1}),
    "batch": (BATCH, {"U": 1 / 4, "W": 1, "v": 1}),
    "attention": (ATTENTION, {"U": 1 / 4, "K": 1.5, "V": 1, "v": 1, "c": 0.5}),
    "two inputs": (TWO_INPUTS, {"U": 1 / 4, "R": 1, "W": 1.5, "v": 1}),
}
# Updates carry n to these powers, of: [n, d] and [n], [n, n], the readout times n (in NTP and SP n^{1/2}), the output's bias.
POWERS = {"mup": (1, 0, 1, 0), "ntp": (0, -1, 0, 0), "sp": (-1, -1, 0, -1)}
GROUPS = ("input", "hidden", "readout", "bias")


# ---------------------------------------------------------------------------------------------- one step


class Entries:
    """All numbers of one parameter of a run, as one array that can be read and moved."""

    def __init__(self, run, parameter):
        self.run, self.parameter = run, parameter
        line = parameter.lines[0]
        if line in run.operators:
            self.kind, self.parts = "matrix", [run.operators[line].moving.value]
        elif line in run.images:
            self.kind, self.parts = "images", [run.images[line].value]
            self.inputs = np.array([run.program.lines[i].row for i in run.image_rows[line]])
        elif line in run.vectors:
            self.kind, self.parts = "rows", [run.vectors[i].value for i in parameter.lines]
        else:
            self.kind, self.parts = "numbers", [run.numbers[i].value for i in parameter.lines]

    def read(self):
        """A copy; of a matrix of finitely many columns its entries, found from its images."""
        whole = np.array([np.array(part) for part in self.parts])
        return np.linalg.pinv(self.inputs) @ whole[0] if self.kind == "images" else whole

    def move(self, change):
        for part, x in zip(self.parts, self.inputs @ change[None] if self.kind == "images" else change, strict=True):
            part += x


def loss_after(text, options, name, change):
    """The loss at the start if a parameter is moved before."""
    run = TrainingRun(trained_once(text), options, 0)
    Entries(run, next(p for p in run.training.parameters if p.name == name)).move(change)
    run.advance()
    recorded = {key: x[None] for key, x in run.statistics().items()}
    return Measured(run.training).single(recorded)[0][0, 0]


def trained_once(text, known={}):  # noqa: B006
    if text not in known:
        known[text] = trained(text)
    return known[text]


@pytest.mark.parametrize("scale", POWERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_a_multiple_of_the_gradient(name, scale):
    """Every parameter's first update along a direction, against the loss's finite differences along that direction."""
    text, variances = NETWORKS[name]
    text = text.replace("= mup", f"= {scale}")
    options, rng = TrainOptions(6, True, "dense", seed=3), np.random.default_rng(0)
    run = TrainingRun(trained_once(text), options, 0)
    rate = run.training.schedule.rate
    start = [Entries(run, p).read() for p in run.training.parameters]
    run.advance()
    for parameter, before in zip(run.training.parameters, start, strict=True):
        moved = Entries(run, parameter).read() - before
        direction = moved / np.linalg.norm(moved) + rng.standard_normal(moved.shape) / np.sqrt(moved.size)
        size = 1e-3
        near, far = (
            loss_after(text, options, parameter.name, m * size * direction)
            - loss_after(text, options, parameter.name, -m * size * direction)
            for m in (1, 2)
        )
        slope = (8 * near - far) / (12 * size)
        power = POWERS[scale][GROUPS.index(parameter.group)]
        factor = float(rate.value) * variances[parameter.name.split("[")[0]] * 6.0**power
        assert (moved * direction).sum() == pytest.approx(-factor * slope, rel=1e-7)


# ---------------------------------------------------------------------------------------------- many steps


@pytest.mark.parametrize("finite", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_matrices_revealed_in_training_are_matrices(name, finite):
    """Revealed product by product and completed at the end, they give the same training as if they had been stored."""
    training = trained_once(NETWORKS[name][0])
    lazy = TrainingRun(training, TrainOptions(40, finite, "lazy", 1e-12, seed=4), 0)
    revealed = run_to_end(lazy)
    stored = TrainingRun(training, TrainOptions(40, finite, "dense", seed=4), 0)
    for line, operator in stored.operators.items():
        columns = operator.moving.value.shape[1]
        operator.moving.value[:] = LazyGaussian.apply(lazy.operators[line], np.eye(columns)).T
    expected = run_to_end(stored)
    for key in expected.keys() - {"lost", "ranks"}:
        np.testing.assert_allclose(revealed[key], expected[key], rtol=1e-9, atol=1e-11 * np.abs(expected[key]).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_all_kinds_tend_to_their_limits(name):
    compiled = compile_program(Source(NETWORKS[name][0], f"{name}.tp"))
    found = verify_limit(compiled, Limits(), (64, 128, 256, 512), 48, 1e-3 / len(NETWORKS), 4096, 16)
    wrong = found.agreement.p_corrected < found.agreement.level
    assert not wrong.any(), [n for n, bad in zip(found.names, wrong, strict=True) if bad]


KERNEL_REGIME = """
width n
data X[N, d] = sphere(2, 4, seed=0)
data y[N] = [1, -1]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    h = U @ xi
    return v @ tanh(h)
train f on X, y:
    parametrization = ntp
    loss = (f - y)^2 / 2
    rate = 0.5
    steps = 2
show feature_change(h), rms(h), loss
"""


@pytest.mark.parametrize(("regime", "exponent"), [("ntp", 0.5), ("mup", 1.0)])
def test_verify_extrapolates_feature_change_in_the_power_of_its_regime(regime, exponent):
    program = tpl.loads(KERNEL_REGIME, settings=[f"parametrization={regime}"])
    options = {"widths": [16, 32, 64, 128], "seeds": 12, "samples": 64, "replicates": 2}
    found = program.verify(**options)
    change = [name.startswith("feature_change") for name in found.names]
    assert sum(change) == 3
    assert np.all(found.agreement.exponents[change] == exponent)
    assert np.all(found.agreement.exponents[~np.array(change)] == 1)
    said = [x for x in remarks(found.agreement) if "extrapolated in powers of n^-0.5" in x]
    assert len(said) == (exponent == 0.5)
    assert found.agreement.agrees
