"""How a network is trained: losses, the steps of gradient descent, and what a solved training gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp, softmax

Array = np.ndarray


class Loss(NamedTuple):
    """Of f and y [B, k]: the loss of each input [B], and its derivative by f [B, k]."""

    value: Callable[[Array, Array], Array]
    slope: Callable[[Array, Array], Array]


SQUARED = Loss(lambda f, y: np.sum((f - y) ** 2, axis=1) / 2, lambda f, y: f - y)
LOGISTIC = Loss(lambda f, y: np.log1p(np.exp(-y * f)).sum(axis=1), lambda f, y: -y * expit(-y * f))  # y is ±1
CROSS_ENTROPY = Loss(  # y are probabilities of classes
    lambda f, y: logsumexp(f, axis=1) - np.sum(y * f, axis=1), lambda f, y: softmax(f, axis=1) - y
)


@dataclass(frozen=True)
class Descent:
    """T = len(batches) steps; `batches[t]` are indices of training inputs, None for all of them.

    velocity <- momentum velocity + (mean gradient over the batch) + weight_decay W;  W <- W - rate(t) velocity.
    Gradients are scaled as for unit-variance parameters: σ² times the gradient by W.
    """

    batches: Sequence[Sequence[int] | None]
    rate: float | Callable[[int], float] = 1.0
    loss: Loss = SQUARED
    momentum: float = 0.0
    weight_decay: float = 0.0

    def step(self, t: int) -> float:
        return self.rate(t) if callable(self.rate) else self.rate

    def rows(self, t: int, inputs: int) -> Array:
        batch = self.batches[t]
        return np.arange(inputs) if batch is None else np.array(batch)

    def signals(self, t: int, f: Array, targets: Array) -> Array:
        """χ [N, k] of step t from f [N or more, k]: slopes over the batch, divided by its size, zero elsewhere."""
        rows = self.rows(t, len(targets))
        chi = np.zeros_like(targets)
        chi[rows] = self.loss.slope(f[rows], targets[rows]) / len(rows)
        return chi


@dataclass(frozen=True)
class Solution:
    """Of T steps, A inputs (the first N of them trained on), k outputs; layers are counted from 1.

    f [T+1, A, k]; loss [T+1], the mean over training inputs; gram[l] [T+1, A, A] = E h^l_t(ξ_a) h^l_t(ξ_b) and
    cross[l] [T+1, A, A] = E h^l_0(ξ_a) h^l_t(ξ_b); gram_x and cross_x the same of x^l = φ(h^l).
    """

    f: Array
    loss: Array
    gram: dict[int, Array]
    cross: dict[int, Array]
    gram_x: dict[int, Array]
    cross_x: dict[int, Array]
