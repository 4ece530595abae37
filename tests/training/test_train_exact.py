"""The training engine against trainings of infinite networks that are solved without sampling (`closed`)."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from closed import deep_linear, kernel_regime, one_layer, one_layer_relu, tied_linear
from closed.descent import CROSS_ENTROPY, LOGISTIC, SQUARED, Descent, Solution

from tpl.core.training import Training
from tpl.language.source import Source, TplError
from tpl.pipeline import compile_program
from tpl.sampling.train import TrainOptions, train
from tpl.sampling.train_kernel import train_kernel
from tpl.stages.train import training_of

SIGMA, READOUT = 1.2, 0.8
TRAINED = 3  # the last of four inputs is a test input

PROGRAM = """
width n
data X[N, d]
data y[{targets}]
data Xt[K, d]
network f(xi[d]):
{layers}    param v : [{k}, n] ~ N(0, 0.64 / n)
    return v @ x[{depth}]
train f on X, y:
    parametrization = {parametrization}
    loss = {loss}
    rate = {rate}
    steps = {steps}
    record = 1
    test = [Xt]
{settings}
show f, test_f
{shows}"""

LAYER = """    param W[{layer}] : [{shape}] ~ N(0, 1.44 / {below})
    h[{layer}] = W[{layer}] @ {argument}{bias}
    x[{layer}] = {phi}
"""


@dataclass(frozen=True)
class Case:
    """One training, as text and as what `closed` takes. `batches` of the steps; `settings`: further lines of text."""

    depth: int = 1
    phi: str = "linear"
    k: int = 1
    d: int = 3
    bias: float | None = None
    loss: str = "squared(f, y)"
    parametrization: str = "mup"
    rate: str = "0.12"
    steps: int = 5
    batches: Sequence[Sequence[int] | None] = (None,) * 5
    settings: dict[str, str] = field(default_factory=dict)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(5)
        inputs = rng.standard_normal((TRAINED + 1, self.d))
        if self.k == 1:
            return inputs, rng.choice([-1.0, 1.0], (TRAINED, 1))
        return inputs, rng.dirichlet(np.ones(self.k), TRAINED)

    def layer(self, layer: int) -> str:
        bias = "" if self.bias is None else f" + b[{layer}]"
        param = "" if self.bias is None else f"    param b[{layer}] : [n] ~ N(0, {self.bias**2:g})\n"
        shape, below, argument = ("n, d", "d", "xi") if layer == 1 else ("n, n", "n", f"x[{layer - 1}]")
        h = f"h[{layer}]"
        phi = h if self.phi == "linear" else f"{self.phi}({h})"
        return param + LAYER.format(layer=layer, shape=shape, below=below, argument=argument, bias=bias, phi=phi)

    def text(self) -> str:
        return PROGRAM.format(
            targets="N" if self.k == 1 else "N, k", k=self.k, depth=self.depth, loss=self.loss, rate=self.rate,
            parametrization=self.parametrization,
            layers="".join(self.layer(layer) for layer in range(1, self.depth + 1)), steps=self.steps,
            shows="".join(f"show cross_gram(h[{i}]), cross_gram(x[{i}])\n" for i in range(1, self.depth + 1)),
            settings="".join(f"    {name} = {value}\n" for name, value in self.settings.items()),
        )  # fmt: skip

    def training(self) -> Training:
        inputs, targets = self.data()
        y = targets[:, 0] if self.k == 1 else targets
        given = {"X": inputs[:TRAINED], "y": y, "Xt": inputs[TRAINED:]}
        training = compile_program(Source(self.text(), "case.tp"), given).program.training
        assert training is not None
        return training

    def descent(self) -> Descent:
        loss = {"l": LOGISTIC, "c": CROSS_ENTROPY}.get(self.loss[0], SQUARED)
        momentum, decay = (float(self.settings.get(name, 0)) for name in ("momentum", "weight_decay"))
        return Descent(self.batches, schedule(self.rate), loss, momentum, decay)

    def solution(self) -> Solution:
        inputs, targets = self.data()
        if self.phi == "linear":
            network = deep_linear.DeepLinear(
                self.depth, self.k, SIGMA, READOUT, self.bias, self.parametrization == "ip"
            )
            return deep_linear.solve(network, self.descent(), inputs, targets)
        shallow = one_layer.OneLayer(self.phi, self.k, SIGMA, READOUT, self.bias)
        if self.phi == "relu":
            return one_layer_relu.solve(shallow, self.descent(), inputs, targets)[0]
        solution, error = one_layer.solve(shallow, self.descent(), inputs, targets)
        assert error < 1e-5
        return solution


def schedule(rate: str) -> float | Callable[[int], float]:
    """A number, or `a / (1 + t / b)`."""
    if "t" not in rate:
        return float(rate)
    top, slow = rate.replace("/ (1 + t /", " ").rstrip(")").split()
    return lambda t: float(top) / (1 + t / float(slow))


def test_batches_in_turn_and_shuffled():
    given, shuffled = (Case(steps=6, settings={"batch": "2"} | order).training().schedule.batches(TRAINED)
                       for order in ({}, {"order": "shuffled(seed=2)"}))  # fmt: skip
    assert given.tolist() == PAIRS
    assert shuffled.shape == given.shape
    epochs = shuffled.reshape(-1, TRAINED)
    assert np.sort(epochs, axis=1).tolist() == [list(range(TRAINED))] * 4
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 1


def in_turn(size: int, steps: int) -> list[list[int]]:
    flow = islice(cycle(range(TRAINED)), size * steps)
    return [[next(flow) for _ in range(size)] for _ in range(steps)]


PAIRS = in_turn(2, 6)
HARD = {"batch": "2", "momentum": "0.5", "weight_decay": "0.1"}
CASES = {
    **{f"{depth} linear layers": Case(depth) for depth in (1, 2, 3, 4)},
    "integrable": Case(2, parametrization="ip", rate="0.4"),
    "written loss": Case(2, loss="(f - y)^2 / 2"),
    "momentum": Case(2, settings={"momentum": "0.7"}),
    "weight decay": Case(3, settings={"weight_decay": "0.3"}),
    "biases": Case(3, bias=0.5),
    "batches": Case(2, steps=6, batches=PAIRS, settings={"batch": "2"}),
    "everything": Case(2, bias=0.5, loss="logistic(f, y)", rate="0.4 / (1 + t / 3)", steps=6, batches=PAIRS,
                       settings=HARD),
    "two outputs": Case(3, k=2),
    "classes": Case(2, k=2, loss="cross_entropy(f, y)", rate="0.4", steps=6, batches=PAIRS, settings=HARD),
    "tanh": Case(1, "tanh", d=2, rate="0.4"),
    "erf": Case(1, "erf", d=2, loss="logistic(f, y)", rate="0.5", steps=6, batches=PAIRS, settings=HARD),
    "relu": Case(1, "relu", d=2, rate="0.4", steps=6, batches=PAIRS, settings=HARD),
    "tanh with biases": Case(1, "tanh", d=1, bias=0.7, rate="0.4", settings={"momentum": "0.6"}),
    "relu, classes": Case(1, "relu", d=1, k=2, loss="cross_entropy(f, y)", rate="0.5"),
}  # fmt: skip


def measured(run: dict[str, np.ndarray]) -> np.ndarray:
    """Everything after the start, as one vector."""
    names = ["f", *sorted(name for name in run if name.startswith(("gram:", "cross:")))]
    return np.concatenate([run[name][1:].ravel() for name in names])


def expected(case: Case) -> np.ndarray:
    """The same, solved."""
    solution = case.solution()
    parts = {}
    for letter, gram, cross in (("h", solution.gram, solution.cross), ("x", solution.gram_x, solution.cross_x)):
        for layer in gram:
            parts[f"gram:{letter}[{layer}]"] = gram[layer]
            parts[f"cross:{letter}[{layer}]"] = cross[layer]
    flat = [parts[name][1:, :TRAINED, :TRAINED].ravel() for name in sorted(parts)]
    return np.concatenate([solution.f[1:].ravel(), *flat])


def z_scores(case: Case, size: int, replicates: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Means of the engine, extrapolated on a line in 1/M from M = size, 2 size, less the solution: by its error; errors."""
    training, exact = case.training(), expected(case)
    means, variances = [], []
    for m in (size, 2 * size):
        runs = np.array([measured(train(training, TrainOptions(m, False, seed=seed), r)) for r in range(replicates)])
        assert runs.shape[1:] == exact.shape
        means.append(runs.mean(axis=0))
        variances.append(runs.var(axis=0, ddof=1) / replicates)
    scale = abs(exact).max()
    error = np.maximum(np.sqrt(4 * variances[1] + variances[0]), 1e-12 * scale)  # under IP some are exactly 0
    return (2 * means[1] - means[0] - exact) / error, error / scale


def agree(z: np.ndarray) -> None:
    assert abs(z).max() < 4.5
    assert np.sqrt(np.mean(z**2)) < 1.8


@pytest.mark.parametrize("case", CASES)
def test_the_sampled_limit_is_the_solution(case):
    z, error = z_scores(CASES[case], 500, 40)
    agree(z)
    assert np.median(error) < 0.012


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_sampled_limit_is_the_solution_closely(case):
    z, error = z_scores(CASES[case], 4000, 100)
    agree(z)
    assert np.median(error) < 0.003


ZERO = {"start": "zero"}
KERNEL_CASES = {
    "relu": Case(3, "relu", parametrization="ntp", rate="0.5", settings=ZERO),
    "one layer, momentum": Case(1, "erf", parametrization="ntp", rate="0.8", settings=ZERO | {"momentum": "0.7"}),
    "biases, batches": Case(2, "erf", bias=0.5, parametrization="ntp", loss="logistic(f, y)", rate="2 / (1 + t / 3)",
                            steps=6, batches=PAIRS, settings=ZERO | {"batch": "2", "momentum": "0.4"}),
    "classes": Case(2, "relu", k=2, parametrization="ntp", loss="cross_entropy(f, y)", settings=ZERO),
    "standard": Case(2, "relu", bias=0.5, parametrization="sp", rate="0.8", settings=ZERO),
    "linear": Case(3, parametrization="ntp", settings=ZERO),
}  # fmt: skip


def perceptron(case: Case) -> kernel_regime.Perceptron:
    learning = kernel_regime.NTP if case.parametrization == "ntp" else kernel_regime.SP
    return kernel_regime.Perceptron(case.depth, case.phi, SIGMA, READOUT, case.bias or 0.0, learning)


@pytest.mark.parametrize("case", KERNEL_CASES)
def test_outputs_follow_the_tangent_kernel(case):
    """In each replicate exactly, with its own kernel; on average, with the kernel of the limit."""
    case = KERNEL_CASES[case]
    inputs, targets = case.data()
    training, start = case.training(), np.zeros((TRAINED + 1, case.k))
    exact = kernel_regime.kernels(perceptron(case), inputs)[1]
    path = kernel_regime.solve(exact, case.descent(), start, targets).reshape(case.steps + 1, -1)[1:]
    means, variances = [], []
    for m in (500, 1000):
        runs = [train_kernel(training, TrainOptions(m, False), r) for r in range(40)]
        own = runs[0]["tangent"][0].reshape(exact.shape)
        followed = kernel_regime.solve(own, case.descent(), start, targets).reshape(case.steps + 1, -1)
        np.testing.assert_allclose(runs[0]["f"], followed, rtol=1e-9, atol=1e-12)
        found = np.array([np.concatenate([run["f"][1:].ravel(), run["tangent"][0]]) for run in runs])
        means.append(found.mean(axis=0))
        variances.append(found.var(axis=0, ddof=1) / len(runs))
    wanted = np.concatenate([path.ravel(), exact.ravel()])
    error = np.sqrt(4 * variances[1] + variances[0])
    agree((2 * means[1] - means[0] - wanted) / error)
    assert np.median(error) < 0.02 * exact.max()


@pytest.mark.parametrize("k", [1, 2])
def test_outputs_start_as_a_gaussian_process(k):
    """f_T = (I + P) f_0 - P y on the squared loss: its mean and covariance over draws of f_0."""
    case = Case(2, "erf", k=k, parametrization="ntp", rate="0.5", settings={"momentum": "0.5"})
    inputs, targets = case.data()
    training = case.training()
    nngp, tangent = kernel_regime.kernels(perceptron(case), inputs)
    p = kernel_regime.propagator(tangent, TRAINED, 0.5, 0.5, case.steps)
    moves = np.eye(TRAINED + 1)
    moves[:, :TRAINED] += p
    count = 200
    runs = np.array([train_kernel(training, TrainOptions(300, False), r)["f"][-1] for r in range(count)])
    f = runs.reshape(count, TRAINED + 1, k)
    covariance = moves @ nngp @ moves.T
    deviations = np.sqrt(np.diag(covariance))
    agree((f.mean(axis=0) + p @ targets) / deviations[:, None] * np.sqrt(count))
    for a in range(k):
        for b in range(k):
            products = np.einsum("ri,rj->rij", *(f[:, :, j] - (-p @ targets)[:, j] for j in (a, b)))
            spread = products.std(axis=0) / np.sqrt(count)
            agree((products.mean(axis=0) - covariance * (a == b)) / spread)


IDLE = """
width n
data X[N, d]
data y[N]
network f(xi[d]):
    param Q : [n, d] ~ N(0, 1 / d)
    param b : [n] ~ N(0, 1)
    param R : [n, n] ~ N(0, 1 / n)
    q = R @ sign(Q @ xi + b)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ {features}
train f on X, y:
    parametrization = mup
    loss = squared(f, y)
    rate = 0.5
    steps = 3
    record = 1
    weight_decay = 0.2
show gram(q), cross_gram(q)
"""


@pytest.mark.parametrize("features", ["sign(q)", "sign(Q @ xi)"])
@pytest.mark.parametrize("operator", ["lazy", "dense"])
def test_parameters_without_a_gradient_decay(features, operator):
    """Behind sign, or unused: R shrinks by 1 - 0.5 · 0.2 a step, and sign(Q ξ + b) stands still."""
    inputs, targets = Case().data()
    given = {"X": inputs[:TRAINED], "y": targets[:, 0]}
    training = compile_program(Source(IDLE.format(features=features), "idle.tp"), given).program.training
    run = train(training, TrainOptions(200, False, operator))
    for name, power in (("gram:q", 2), ("cross:q", 1)):
        for t in range(4):
            np.testing.assert_allclose(run[name][t], 0.9 ** (power * t) * run[name][0], rtol=1e-9)


def test_weight_decay_has_no_kernel_regime():
    """It would shrink features: the limit is refused. Networks of finite width train all the same."""
    case = Case(2, parametrization="ntp", settings=ZERO | {"weight_decay": "0.1"})
    found = train(case.training(), TrainOptions(16, True, "dense"))
    assert np.isfinite(found["f"]).all()
    inputs, targets = case.data()
    given = {"X": inputs[:TRAINED], "y": targets[:, 0], "Xt": inputs[TRAINED:]}
    with pytest.raises(TplError) as caught:
        training_of(compile_program(Source(case.text(), "case.tp"), given).program)
    assert "there is no limit with weight decay where features stand still" in caught.value.diagnostics[0].message


RECURRENT = """
width n
data X[N, d]
data y[N]
data Xt[K, d]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    h[0] = U @ xi
    for l in 1..3:
        h[l] = W @ h[l-1] + 0.5 * h[l-1]
    param v : [1, n] ~ N(0, 1 / n)
    return v @ h[3]
train f on X, y:
    parametrization = mup
    loss = logistic(f, y)
    rate = 0.2
    steps = 6
    record = 1
    test = [Xt]
    batch = 2
    momentum = 0.5
    weight_decay = 0.1
show f, test_f
"""


def test_one_matrix_in_every_layer():
    inputs, targets = Case().data()
    given = {"X": inputs[:TRAINED], "y": targets[:, 0], "Xt": inputs[TRAINED:]}
    training = compile_program(Source(RECURRENT, "recurrent.tp"), given).program.training
    exact = tied_linear.solve(3, 0.5, Descent(PAIRS, 0.2, LOGISTIC, 0.5, 0.1), inputs, targets)[1:, :, 0]
    runs = {m: np.array([train(training, TrainOptions(m, False), r)["f"][1:] for r in range(40)]) for m in (500, 1000)}
    error = np.sqrt((4 * runs[1000].var(axis=0) + runs[500].var(axis=0)) / 40)
    agree((2 * runs[1000].mean(axis=0) - runs[500].mean(axis=0) - exact) / error)
    assert np.median(error) < 0.03 * abs(exact).max()
