"""An MLP of finite width trained in plain numpy, gradients by hand: what trained programs are compared with.

    h¹ = W¹ ξ + b¹,  h^l = W^l x^{l-1} + b^l,  x^l = φ(h^l),  f = V x^L + c

A parameter of standard deviation σ n^{-init} moves by η σ² n^{-rate} times its gradient: rates are for unit-variance
parameters (σ² is σ²/d for W¹). Inputs are rows, so h^l and x^l are arrays [inputs, n] and f is [inputs, k].
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.special import erf, expit

Array = np.ndarray
Scales = Mapping[str, tuple[float | Fraction, float | Fraction]]  # group: (init, rate), the exponents a+b and c+2a

# φ and φ', both functions of h
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda h: h, np.ones_like),
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2),
    "relu": (lambda h: np.maximum(h, 0), lambda h: (h > 0).astype(float)),
    "silu": (lambda h: h * expit(h), lambda h: expit(h) * (1 + h * (1 - expit(h)))),
    "erf": (erf, lambda h: 2 / np.sqrt(np.pi) * np.exp(-(h**2))),
    "sigmoid": (expit, lambda h: expit(h) * (1 - expit(h))),
}


def _log_softmax(f: Array) -> Array:
    shifted = f - f.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


# The loss of every input [N], and its derivative by f [N, k]. y [N, k]: numbers, ±1, or probabilities of classes.
LOSSES: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "squared": (lambda f, y: ((f - y) ** 2).sum(axis=1) / 2, lambda f, y: f - y),
    "logistic": (lambda f, y: np.logaddexp(0, -y * f).sum(axis=1), lambda f, y: -y * expit(-y * f)),
    "cross_entropy": (
        lambda f, y: -(y * _log_softmax(f)).sum(axis=1),
        lambda f, y: np.exp(_log_softmax(f)) * y.sum(axis=1, keepdims=True) - y,
    ),
}


@dataclass(frozen=True)
class Network:
    """`depth` hidden layers; `bias` and `output_bias` are standard deviations, None for no bias."""

    scales: Scales  # of the groups "input", "hidden", "readout", "bias"
    depth: int = 2
    activation: str = "tanh"
    outputs: int = 1
    sigma: float = 1.0
    readout_sigma: float = 1.0
    bias: float | None = None
    output_bias: float | None = None
    own_rates: bool = False  # rates are those of parameters as written: no σ² in updates


class Law(NamedTuple):
    """Of one parameter: N(0, spread²) at the start, `factor` times its gradient in an update."""

    shape: tuple[int, ...]
    spread: float
    factor: float


def laws(network: Network, width: int, inputs: int) -> dict[str, Law]:
    """W1, ..., WL, V and the biases b1, ..., bL, c."""
    n, k = width, network.outputs

    def law(shape: tuple[int, ...], group: str, sigma: float) -> Law:
        init, rate = (float(e) for e in network.scales[group])
        return Law(shape, sigma * n**-init, (1.0 if network.own_rates else sigma**2) * n**-rate)

    found = {"W1": law((n, inputs), "input", network.sigma / np.sqrt(inputs))}
    for layer in range(2, network.depth + 1):
        found[f"W{layer}"] = law((n, n), "hidden", network.sigma)
    found["V"] = law((k, n), "readout", network.readout_sigma)
    if network.bias is not None:
        for layer in range(1, network.depth + 1):
            found[f"b{layer}"] = law((n,), "input", network.bias)
    if network.output_bias is not None:
        found["c"] = law((k,), "bias", network.output_bias)
    return found


def draw(network: Network, width: int, inputs: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {name: law.spread * rng.standard_normal(law.shape) for name, law in laws(network, width, inputs).items()}


class Pass(NamedTuple):
    h: list[Array]
    x: list[Array]
    f: Array


def forward(network: Network, weights: Mapping[str, Array], inputs: Array) -> Pass:
    phi = ACTIVATIONS[network.activation][0]
    hs, xs, x = [], [], inputs
    for layer in range(1, network.depth + 1):
        h = x @ weights[f"W{layer}"].T + weights.get(f"b{layer}", 0.0)
        x = phi(h)
        hs.append(h)
        xs.append(x)
    return Pass(hs, xs, x @ weights["V"].T + weights.get("c", 0.0))


def backward(network: Network, weights: Mapping[str, Array], inputs: Array, seen: Pass, chi: Array) -> dict[str, Array]:
    """Gradients of a loss whose derivative by f is chi [N, k]."""
    slope = ACTIVATIONS[network.activation][1]
    gradients = {"V": chi.T @ seen.x[-1], "c": chi.sum(axis=0)}
    dx = chi @ weights["V"]
    for layer in range(network.depth, 0, -1):
        dh = dx * slope(seen.h[layer - 1])
        gradients[f"W{layer}"] = dh.T @ (seen.x[layer - 2] if layer > 1 else inputs)
        gradients[f"b{layer}"] = dh.sum(axis=0)
        dx = dh @ weights[f"W{layer}"]
    return {name: gradients[name] for name in weights}


@dataclass(frozen=True)
class Training:
    """`batches[t]`: the indices of inputs in step t, None for all; the number of steps is its length."""

    batches: Sequence[Sequence[int] | None]
    rate: float | Callable[[int], float] = 1.0
    loss: str = "squared"
    momentum: float = 0.0
    weight_decay: float = 0.0
    fixed: frozenset[str] = field(default_factory=frozenset)
    centred: bool = False  # trains f - f_0 instead of f: what `start = zero` stands for


class Record(NamedTuple):
    """After `step` updates: f at training inputs and at others, mean loss, features of training inputs."""

    step: int
    f: Array
    f_others: Array
    loss: float
    h: list[Array]
    x: list[Array]


def train(
    network: Network,
    training: Training,
    weights: Mapping[str, Array],
    data: tuple[Array, Array],
    others: Array | None = None,
    record: Sequence[int] | None = None,
) -> list[Record]:
    """Trains on data (X [N, d], y [N, k]) from the weights given (see draw); records all steps unless told which."""
    inputs, targets = data
    others = inputs[:0] if others is None else others
    weights = {name: value.copy() for name, value in weights.items()}
    moving = {name: law for name, law in _laws_of(network, weights).items() if name not in training.fixed}
    velocity = {name: np.zeros_like(weights[name]) for name in moving}
    loss, derivative = LOSSES[training.loss]
    start = forward(network, weights, inputs).f * training.centred
    start_others = forward(network, weights, others).f * training.centred
    records = []
    for step in range(len(training.batches) + 1):
        if record is None or step in record:
            seen = forward(network, weights, inputs)
            f, f_others = seen.f - start, forward(network, weights, others).f - start_others
            records.append(Record(step, f, f_others, float(loss(f, targets).mean()), seen.h, seen.x))
        if step < len(training.batches):
            chosen = training.batches[step]
            rows = np.arange(len(inputs)) if chosen is None else np.array(chosen)
            seen = forward(network, weights, inputs[rows])
            chi = derivative(seen.f - start[rows], targets[rows]) / len(rows)
            gradients = backward(network, weights, inputs[rows], seen, chi)
            rate = training.rate(step) if callable(training.rate) else training.rate
            for name, law in moving.items():
                push = law.factor * gradients[name] + training.weight_decay * weights[name]
                velocity[name] = training.momentum * velocity[name] + push
                weights[name] = weights[name] - rate * velocity[name]
    return records


def _laws_of(network: Network, weights: Mapping[str, Array]) -> dict[str, Law]:
    width, inputs = weights["W1"].shape
    return laws(network, width, inputs)
