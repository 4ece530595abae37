"""Measures of the outputs: themselves, losses, accuracy."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from tpl.sampling.measures.matrices import JACKKNIFE, MEAN
from tpl.sampling.measures.measure import Floats, Measure, Sampled, Statistics, jackknife, no_slack

Outputs = Callable[[Floats], Floats]


def average(name: str) -> Measure:
    """A statistic itself: outputs, tangent kernels."""
    return Measure(name, lambda s: s[name], (name,), no_slack, jackknife, MEAN)


def loss(name: str, function: Outputs, outputs: str = "f") -> Measure:
    """A smooth function from outputs [..., A, k] to values [...], such as the mean loss over the inputs."""
    return Measure(name, lambda s: function(s[outputs]), (outputs,), no_slack, jackknife, JACKKNIFE)


def accuracy(name: str, margin: Outputs, outputs: str = "f") -> Measure:
    """The share of inputs whose margin is positive, [T]; margin: from outputs [..., A, k] to [..., A].

    The error is half the share of the inputs whose margin is not above its error, either way.
    """
    margins = Measure(name, lambda s: margin(s[outputs]), (outputs,), no_slack, jackknife, JACKKNIFE)

    def function(statistics: Statistics) -> Floats:
        return np.asarray((margins.function(statistics) > 0).mean(axis=-1))

    def sample(_: Measure, statistics: Statistics) -> Sampled:
        value, noise, *_bounds = jackknife(margins, statistics)
        undecided = (np.abs(value) <= 2 * noise) & (noise > 0)
        shares = (value > 0).mean(axis=-1)
        return Sampled(shares, undecided.mean(axis=-1) / 2, np.zeros(()), np.zeros(()))

    return replace(margins, function=function, sample=sample, route="margins decided by their errors")


def sign_margin(targets: ArrayLike) -> Outputs:
    """For one output and targets [A] or [A, 1] of two signs: positive where f has the sign of y.

    Raises ValueError if a target is zero.
    """
    sign = np.sign(np.asarray(targets, float).reshape(-1))
    if not sign.all():
        raise ValueError("accuracy: a target is zero, which is neither sign")
    return lambda f: f[..., 0] * sign


def class_margin(targets: ArrayLike) -> Outputs:
    """For k outputs and targets [A, k], largest at the right class: its output less the largest of the others.

    Raises ValueError if all targets of an input are the same.
    """
    right = np.asarray(targets, float)
    right = right == right.max(axis=-1, keepdims=True)
    if right.all(axis=-1).any():
        raise ValueError("accuracy: all targets of an input are the same, so that no class is right")

    def margin(f: Floats) -> Floats:
        of_right = np.where(right, f, -np.inf).max(axis=-1)
        return np.asarray(of_right - np.where(right, -np.inf, f).max(axis=-1))

    return margin
