"""Laws N(mean, variance) and how variances scale with the width."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from tpl.core.expr import Expr, evaluate
from tpl.core.functions import FUNCTIONS


class Scaling(NamedTuple):
    """coefficient · n^power, n the base width."""

    coefficient: float
    power: Fraction


class MixedPowers(Exception):
    """A variance that is not a multiple of one power of the width, as 1 + 1/n."""


def scaling(expr: Expr, widths: dict[str, Fraction], values: dict[str, float]) -> Scaling:
    """An expression of constants and widths as a multiple of one power of the base width.

    Raises MixedPowers if it is none, ArithmeticError or ValueError if it has no value.
    """
    if expr.op == "symbol" and expr.value in widths:
        return Scaling(float(widths[expr.value]), Fraction(1))  # type: ignore[index]
    if not expr.args:
        return Scaling(evaluate(expr, values), Fraction(0))
    parts = [scaling(a, widths, values) for a in expr.args]
    power = _power(expr, parts)
    return Scaling(float(FUNCTIONS[expr.op].scalar(*(p.coefficient for p in parts))), power)


def _power(expr: Expr, parts: list[Scaling]) -> Fraction:
    if expr.op == "mul":
        return sum((p.power for p in parts), Fraction(0))
    if expr.op == "div":
        return parts[0].power - parts[1].power
    if expr.op == "sqrt":
        return parts[0].power / 2
    if expr.op == "pow" and parts[1].power == 0:
        return parts[0].power * Fraction(parts[1].coefficient).limit_denominator(1000)
    powers = {p.power for p in parts if p.coefficient != 0}
    if len(powers) > 1 or (expr.op not in ("add", "sub", "neg") and powers - {Fraction(0)}):
        raise MixedPowers
    return powers.pop() if powers else Fraction(0)


def covariance_factor(covariance: np.ndarray) -> np.ndarray | None:
    """F with F F^T = C for a symmetric positive semidefinite C (singular ones too); None if C is not one."""
    if not np.allclose(covariance, covariance.T, rtol=1e-12, atol=0):
        return None
    values, vectors = np.linalg.eigh(covariance)
    if values.min(initial=0.0) < -1e-10 * max(1.0, abs(values).max(initial=0.0)):
        return None
    return vectors * np.sqrt(np.clip(values, 0.0, None))


def exact_factor(covariance: list[list[Fraction]]) -> tuple[list[list[Fraction]], list[Fraction]]:
    """(L, d) with C = L diag(d) L^T, L unit lower triangular, for a positive semidefinite C, singular ones too.

    A variable without variance of its own has d = 0, and a column of L that is zero below the diagonal.
    """
    size = len(covariance)
    lower = [[Fraction(i == j) for j in range(size)] for i in range(size)]
    own: list[Fraction] = []
    for j in range(size):
        rest = [
            covariance[i][j] - sum((lower[i][k] * lower[j][k] * own[k] for k in range(j)), Fraction(0))
            for i in range(size)
        ]
        own.append(rest[j])
        for i in range(j + 1, size):
            lower[i][j] = rest[i] / rest[j] if rest[j] else Fraction(0)
    return lower, own
