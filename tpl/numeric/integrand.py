"""Integrands over Gaussian variables, and the values of expressions at points."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpl.core.expr import Expr, evaluate
from tpl.core.functions import FUNCTIONS


@dataclass(frozen=True)
class Integrand:
    """F(u) · E[Π outside^k | u] with u = factor @ z, z standard normal of `rank` dimensions.

    The outside variables occur as powers only: given z they are Gaussian with mean `slopes` @ z and covariance
    `residual`.
    """

    expr: Expr
    factor: np.ndarray
    env: Mapping[str, float]
    known: Mapping[int, float]
    powers: tuple[int, ...] = ()
    slopes: np.ndarray | None = None
    residual: np.ndarray | None = None

    @property
    def rank(self) -> int:
        return self.factor.shape[1]

    def at(self, z: np.ndarray, memo: dict[int, np.ndarray | float] | None = None) -> np.ndarray:
        """The integrand at points [rank, …], shape […]. `memo` is shared by integrands at the same points."""
        inside = values(self.expr, np.tensordot(self.factor, z, 1), self.env, self.known, memo)
        with np.errstate(all="ignore"):
            return inside * self.outside(z)

    def outside(self, z: np.ndarray) -> np.ndarray | float:
        """E[Π outside^k | u] at points [rank, …]."""
        if self.slopes is None or self.residual is None:
            return 1.0
        return conditional_moment(self.powers, np.tensordot(self.slopes, z, 1), self.residual)


def conditional_moment(powers: tuple[int, ...], means: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """E Π x_i^k_i of Gaussians with means [i, …] and a covariance matrix, by Stein's lemma, degree by degree."""
    memo: dict[tuple[int, ...], np.ndarray] = {}

    def moment(powers: tuple[int, ...]) -> np.ndarray:
        first = next((i for i, k in enumerate(powers) if k), None)
        if first is None:
            return np.ones(means.shape[1:])
        found = memo.get(powers)
        if found is None:
            less = tuple(k - (i == first) for i, k in enumerate(powers))
            found = means[first] * moment(less)
            for other, k in enumerate(less):
                if k and covariance[first, other]:
                    rest = tuple(p - (i == other) for i, p in enumerate(less))
                    found = found + k * covariance[first, other] * moment(rest)
            memo[powers] = found
        return found

    return moment(powers)


def values(
    expr: Expr,
    points: np.ndarray,
    env: Mapping[str, Any],
    known: Mapping[int, Any],
    memo: dict[int, np.ndarray | float] | None = None,
) -> np.ndarray:
    """An expression at points [k, …], shape […]; `known`: the values of quantities.

    Constants and quantities are floats, or arrays that broadcast with the points.
    """
    memo = {} if memo is None else memo

    def walk(node: Expr) -> np.ndarray | float:
        found = memo.get(id(node))
        if found is None:
            if node.op == "ref":
                found = points[int(node.value)]  # type: ignore[arg-type]
            elif node.op == "quantity":
                found = known[int(node.value)]  # type: ignore[arg-type]
            elif not node.args:
                found = evaluate(node, env)
            elif node.op == "pow" and node.args[1].is_value(2):
                base = walk(node.args[0])
                found = base * base
            else:
                found = FUNCTIONS[node.op].array(*(np.asarray(walk(a)) for a in node.args))
            memo[id(node)] = found
        return found

    with np.errstate(all="ignore"):
        return np.broadcast_to(walk(expr), points.shape[1:])
