"""One hidden layer of infinite width under μP, smooth φ, few input dimensions: the mean field on a grid.

    f_j(ξ) = E V_j φ(U·ξ/√d + b),   U ~ N(0, σ² I_d),  b ~ N(0, β²),  V ~ N(0, σ_V² I_k) at the start

Given the path of χ, the trained (U, b, V) is a function of the initial one. So expectations are integrals over the initial
Gaussians, in d + k dimensions (one more with a bias). The trapezoidal rule converges geometrically for functions that
are analytic near the real axis (Trefethen and Weideman 2014), better than Gauss–Hermite for tanh, whose poles are near.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import erf

from .descent import Array, Descent, Solution

ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda h: h, np.ones_like),
    "tanh": (np.tanh, lambda h: np.cosh(np.clip(h, -300, 300)) ** -2.0),
    "erf": (erf, lambda h: 2 / np.sqrt(np.pi) * np.exp(-(h**2))),
}


@dataclass(frozen=True)
class OneLayer:
    """`bias`: the standard deviation of the hidden biases, None for none."""

    activation: str = "tanh"
    outputs: int = 1
    sigma: float = 1.0
    readout_sigma: float = 1.0
    bias: float | None = None


def coordinates(network: OneLayer, inputs: Array) -> tuple[Array, Array]:
    """Inputs [A, D] such that h = U·point for U ~ N(0, diag(spreads²)), and the spreads [D]."""
    points = np.linalg.qr(inputs.T / np.sqrt(inputs.shape[1]))[1].T
    spreads = np.full(points.shape[1], network.sigma)
    if network.bias is not None:
        points, spreads = np.hstack([points, np.ones((len(points), 1))]), np.append(spreads, network.bias)
    return points, spreads


def solve(
    network: OneLayer, descent: Descent, inputs: Array, targets: Array, step: float = 0.15, reach: float = 8.0
) -> tuple[Solution, float]:
    """The solution on a grid of this step, in standard deviations, inside a ball of radius `reach`; and an error.

    inputs [A, d], targets [N, k] of the first N. The error is the largest difference of any number to the same on a
    grid 1.3 times as coarse in a smaller ball: it bounds that of the finer grid once the rule converges.
    """
    fine = _on_grid(network, descent, inputs, targets, step, reach)
    coarse = _on_grid(network, descent, inputs, targets, 1.3 * step, 0.9 * reach)
    return fine, max(_distance(getattr(fine, part.name), getattr(coarse, part.name)) for part in fields(Solution))


def _distance(a: Array | dict[int, Array], b: Array | dict[int, Array]) -> float:
    pairs = [(a, b)] if isinstance(a, np.ndarray) else [(a[layer], b[layer]) for layer in a]
    return max(float(abs(x - y).max()) for x, y in pairs)


def grid(dimensions: int, step: float, reach: float) -> tuple[Array, Array]:
    """Points [P, dimensions] of a cubic lattice in a ball, and their standard Gaussian weights [P], of sum 1."""
    line = step * np.arange(-(reach // step), reach // step + 1)
    points = np.stack(np.meshgrid(*[line] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    squares = np.sum(points**2, axis=1)
    inside = squares <= reach**2
    weights = np.exp(-squares[inside] / 2)
    return points[inside], weights / weights.sum()


def _on_grid(network: OneLayer, descent: Descent, inputs: Array, targets: Array, step: float, reach: float) -> Solution:
    phi, slope = ACTIVATIONS[network.activation]
    points, spreads = coordinates(network, inputs)
    size, trained = len(spreads), len(targets)
    spreads = np.append(spreads, [network.readout_sigma] * network.outputs)
    nodes, weights = grid(len(spreads), step, reach)
    state, velocity = nodes * spreads, np.zeros_like(nodes)
    start = state[:, :size] @ points.T
    f, gram, cross, gram_x, cross_x = [], [], [], [], []
    for t in range(len(descent.batches) + 1):
        h = state[:, :size] @ points.T
        x = phi(h)
        f.append((weights * x.T) @ state[:, size:])
        gram.append((weights * h.T) @ h)
        cross.append((weights * start.T) @ h)
        gram_x.append((weights * x.T) @ x)
        cross_x.append((weights * phi(start).T) @ x)
        if t < len(descent.batches):
            chi = descent.signals(t, f[-1], targets)
            dh = slope(h[:, :trained]) * (state[:, size:] @ chi.T)
            push = spreads**2 * np.hstack([dh @ points[:trained], x[:, :trained] @ chi])
            velocity = descent.momentum * velocity + push + descent.weight_decay * state
            state = state - descent.step(t) * velocity
    loss = np.array([descent.loss.value(out[:trained], targets).mean() for out in f])
    parts = ({1: np.array(part)} for part in (gram, cross, gram_x, cross_x))
    return Solution(np.array(f), loss, *parts)
