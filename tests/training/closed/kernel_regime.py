"""Training in the kernel regime: tangent kernels of multilayer perceptrons in closed form, and outputs that follow them.

    f <- f - rate · Θ χ,  with heavy-ball momentum as everywhere (Jacot, Gabriel and Hongler 2018; Lee et al. 2019)

With K^l the covariance of h^l, V(K) = E φ φ' and W(K) = E φ' φ' over Gaussians (h, h') of covariance K, and G^l that of
the derivatives by h^l, all [A, A]:

    K^1 = σ² ⟨ξ, ξ'⟩/d + β²,  K^{l+1} = σ² V(K^l) + β²,  G^L = σ_V² W(K^L),  G^l = σ² G^{l+1} W(K^l)
    Θ = σ_V² V(K^L) + Σ_{l>1} σ² V(K^{l-1}) G^l + σ² ⟨ξ, ξ'⟩/d G^1 + Σ_l β² G^l

Features stand still as they are at the start.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .descent import Array, Descent

NTP = frozenset({"input", "hidden", "readout"})  # groups of parameters whose updates are seen; biases are "input"
SP = frozenset({"hidden", "readout"})


def _relu(k: Array) -> tuple[Array, Array]:
    """Cho and Saul (2009), of orders 1 and 0."""
    norms = np.sqrt(np.outer(np.diag(k), np.diag(k)))
    angle = np.arccos(np.clip(k / norms, -1, 1))
    return norms * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi), (np.pi - angle) / (2 * np.pi)


def _erf(k: Array) -> tuple[Array, Array]:
    """Williams (1997)."""
    lengths = np.outer(1 + 2 * np.diag(k), 1 + 2 * np.diag(k))
    return 2 / np.pi * np.arcsin(2 * k / np.sqrt(lengths)), 4 / np.pi / np.sqrt(lengths - 4 * k**2)


DUALS: dict[str, Callable[[Array], tuple[Array, Array]]] = {  # K -> V(K), W(K)
    "linear": lambda k: (k, np.ones_like(k)),
    "relu": _relu,
    "erf": _erf,
}


@dataclass(frozen=True)
class Perceptron:
    """`bias`: the standard deviation of biases in every hidden layer. `learning`: groups of parameters that are seen."""

    depth: int = 2
    activation: str = "relu"
    sigma: float = 1.0
    readout_sigma: float = 1.0
    bias: float = 0.0
    learning: frozenset[str] = NTP


def kernels(network: Perceptron, inputs: Array) -> tuple[Array, Array]:
    """The covariance of f_0 and the tangent kernel of one output, both [A, A]; inputs [A, d]."""
    weight, bias, readout = network.sigma**2, network.bias**2, network.readout_sigma**2
    products = weight * inputs @ inputs.T / inputs.shape[1]
    arguments, slopes = [products], []  # arguments[l]: σ² ⟨x^l, x^l'⟩ with x^0 the input
    features = products
    for _ in range(network.depth):
        features, slope = DUALS[network.activation](arguments[-1] + bias)
        arguments.append(weight * features)
        slopes.append(slope)
    tangent = readout * features * ("readout" in network.learning)
    g = readout * np.ones_like(products)
    for layer in range(network.depth - 1, -1, -1):
        g = g * slopes[layer]
        group = "hidden" if layer else "input"
        tangent = tangent + g * (arguments[layer] * (group in network.learning) + bias * ("input" in network.learning))
        g = weight * g
    return readout * features, tangent


def solve(tangent: Array, descent: Descent, start: Array, targets: Array) -> Array:
    """f [T+1, A, k] from f_0 = start [A, k] and targets [N, k] of the first N, step by step; any loss."""
    f, velocity, path = start, np.zeros_like(start), [start]
    for t in range(len(descent.batches)):
        chi = descent.signals(t, f, targets)
        velocity = descent.momentum * velocity + tangent[:, : len(targets)] @ chi
        f = f - descent.step(t) * velocity
        path.append(f)
    return np.array(path)


def propagator(tangent: Array, trained: int, rate: float, momentum: float, steps: int) -> Array:
    """P [A, N] such that f_T = f_0 + P (f_0 - y) after full-batch steps on the squared loss, by eigenvectors.

    Along an eigenvector of Θ/N, value μ: (e, v) <- (e - rate (momentum v + μ e), momentum v + μ e). The sum of all that
    moved f is Θ times a vector of training inputs, for test inputs as well.
    """
    values, vectors = np.linalg.eigh(tangent[:trained, :trained] / trained)
    ratios = []
    for value in values:
        step = np.array([[1 - rate * value, -rate * momentum], [value, momentum]])
        ratios.append((np.linalg.matrix_power(step, steps)[0, 0] - 1) / value)
    return tangent[:, :trained] / trained @ (vectors * ratios) @ vectors.T
