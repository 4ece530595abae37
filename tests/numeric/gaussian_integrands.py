"""Integrands over Gaussian blocks of 1 to 8 dimensions whose expectations are known, for the tests of Monte Carlo."""

from dataclasses import dataclass
from functools import reduce
from math import exp, gamma, pi, sqrt

import numpy as np
from scipy.integrate import quad
from scipy.special import expit, ndtr

from tpl.core.expr import Expr, add, apply, div, mul, number, power, ref, sub, symbol

U = [ref(i) for i in range(8)]
TWO = number(2)


@dataclass(frozen=True)
class Case:
    name: str
    integrand: Expr
    covariance: np.ndarray
    truth: float


def pair(rho, q=1.0):
    return q * np.array([[1.0, rho], [rho, 1.0]])


def mean(function):
    """E function(z), z standard normal."""
    return quad(lambda z: function(z) * exp(-z * z / 2) / sqrt(2 * pi), -12, 12, limit=400, epsabs=1e-13, points=[0])[0]


def mean2(function, rho):
    """E function(u, v) of smooth functions, by Gauss-Hermite."""
    z, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()
    return float(w @ function(z[:, None], rho * z[:, None] + sqrt(1 - rho * rho) * z) @ w)


def batch_normed(size, eps):
    """The first of `size` coordinates less their mean, over their standard deviation."""
    middle = div(add(*U[:size]), number(size))
    spread = div(add(*(power(sub(u, middle), TWO) for u in U[:size])), number(size))
    return div(sub(U[0], middle), apply("sqrt", add(spread, eps) if eps is not None else spread))


def tanh_of(x):
    return apply("tanh", x)


def sigmoid_of(x):
    return apply("sigmoid", x)


def gate():
    """c' = sigmoid(f) c + sigmoid(i) tanh(g), the new cell of an LSTM."""
    return add(mul(sigmoid_of(U[0]), U[1]), mul(sigmoid_of(U[2]), tanh_of(U[3])))


def cases():
    rho = 0.5
    theta = np.arccos(-0.9)
    root = np.random.default_rng(5).standard_normal((8, 8)) / 8
    dense = root @ root.T
    plane = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    density = exp(-0.98) / sqrt(2 * pi)
    in_sphere = sqrt(7) * gamma(3.5) / (sqrt(pi) * gamma(4)) / 2
    gates = mean(lambda z: expit(z) ** 2) * (1 + mean(lambda z: np.tanh(z) ** 2))
    return [
        Case("relu^2", power(apply("relu", U[0]), TWO), np.eye(1), 0.5),
        Case("tanh tanh", mul(tanh_of(U[0]), tanh_of(U[1])), pair(rho), mean2(lambda u, v: np.tanh(u) * np.tanh(v), rho)),
        Case("relu relu", mul(apply("relu", U[0]), apply("relu", U[1])), pair(-0.9),
             (np.sin(theta) + (pi - theta) * np.cos(theta)) / (2 * pi)),
        Case("erf erf", mul(apply("erf", U[0]), apply("erf", U[1])), pair(0.3, 2.0), 2 / pi * np.arcsin(1.2 / 5)),
        Case("a tail's step", apply("step", sub(U[0], number(1))), np.eye(1), float(ndtr(-1))),
        Case("exp", apply("exp", U[0]), np.eye(1), exp(0.5)),
        Case("soft threshold", apply("relu", sub(apply("abs", U[0]), number(1.4))), np.eye(1),
             2 * (density - 1.4 * float(ndtr(-1.4)))),
        Case("a large offset", add(number(10**6), power(U[0], TWO)), np.eye(1), 1e6 + 1),
        Case("polynomial on a plane", mul(power(U[0], TWO), power(U[2], TWO)), plane @ plane.T, 4.0),
        Case("gate", power(gate(), TWO), np.eye(4), gates),
        Case("greatest of 5", reduce(lambda a, b: apply("max", a, b), U[:5]), np.eye(5),
             mean(lambda z: 5 * z * float(ndtr(z)) ** 4)),
        Case("cosine of 8", apply("cos", add(*U)), dense, exp(-dense.sum() / 2)),
        Case("batch norm", apply("relu", batch_normed(8, None)), np.eye(8), in_sphere),
    ]  # fmt: skip


CASES = cases()
EPS = symbol("eps")
