"""The law in numbers: quantities in order, each atom by the first method that takes it.

The error is that of the whole chain: everything is evaluated at two resolutions, and where an atom had to be sampled,
over independent replicates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from tpl.limit.calculus import Atom, used_quantities
from tpl.limit.law import Law
from tpl.limit.quadrature import integrate, values

RANK_TOLERANCE = 1e-13
SOBOL_REPLICATES = 8


@dataclass(frozen=True)
class Evaluation:
    """Scalar lines' values and errors, [lines asked for]; `method` says how."""

    value: np.ndarray
    error: np.ndarray
    method: str


class NotDefined(ArithmeticError):
    """A quantity of the law is not a finite number."""


def evaluate_law(law: Law, lines: list[int], nodes: int = 16, log2_points: int = 13, seed: int = 0) -> Evaluation:
    """The values of scalar lines. nodes: Gauss-Legendre nodes a panel; log2_points: of a quasi-random point set."""
    targets = [law.scalars[i] for i in lines]
    needed = _closure(law, targets)
    sampled = any(_rank_bound(law.calculus.quantities[q].definition) > 2 for q in needed)
    fine = [_evaluate(law, targets, needed, nodes, log2_points, seed + r) for r in range(SOBOL_REPLICATES if sampled else 1)]
    coarse = _evaluate(law, targets, needed, nodes - 4, log2_points, seed)
    value = np.mean(fine, axis=0)
    error = np.abs(fine[0] - coarse) + 1e-15 * np.abs(value)
    if sampled:
        from scipy.special import stdtrit

        spread = np.std(fine, axis=0, ddof=1) / np.sqrt(len(fine))
        error = np.hypot(error, spread * float(stdtrit(len(fine) - 1, 0.9772498680518208)) / 2)
    kind = "quasi-random points" if sampled else "quadrature"
    return Evaluation(value, error, f"law, {kind}")


def _closure(law: Law, targets: list[Any]) -> list[int]:
    """The quantities that the targets need, in order."""
    needed: set[int] = set()
    stack = list(used_quantities(targets))
    while stack:
        q = stack.pop()
        if q not in needed:
            needed.add(q)
            stack.extend(used_quantities(_parts(law.calculus.quantities[q].definition)))
    return sorted(needed)


def _parts(definition: Any) -> list[Any]:
    if isinstance(definition, Atom):
        from tpl.core.expr import leaves
        from tpl.limit.algebra import quantity_symbol

        inside = [quantity_symbol(int(v)) for v in leaves(definition.integrand, "quantity")]  # type: ignore[arg-type]
        return [c for row in definition.covariance for c in row] + inside
    return [definition]


def _rank_bound(definition: Any) -> int:
    return len(definition.covariance) if isinstance(definition, Atom) else 0


def _evaluate(law: Law, targets: list[Any], needed: list[int], nodes: int, log2_points: int, seed: int) -> np.ndarray:
    env = law.program.constant_values()
    known: dict[int, float] = {}
    for q in needed:
        definition = law.calculus.quantities[q].definition
        if isinstance(definition, Atom):
            known[q] = _expectation(definition, env, known, nodes, log2_points, seed * 1_000_003 + q)
        else:
            known[q] = number(definition, env, known)
        if not np.isfinite(known[q]):
            raise NotDefined(f"quantity {q} ({law.calculus.quantities[q].label}) is not finite")
    return np.array([number(t, env, known) for t in targets])


def number(value: Any, env: Mapping[str, float], known: Mapping[int, float]) -> float:
    """The float value of a sympy expression over constants and quantities."""
    if value.is_Symbol:
        name = value.name
        return known[int(name[1:])] if name[0] == "q" and name[1:].isdigit() else env[name]
    if value.is_Add:
        return float(sum(number(a, env, known) for a in value.args))
    if value.is_Mul:
        return float(np.prod([number(a, env, known) for a in value.args]))
    if value.is_Pow:
        return float(number(value.base, env, known) ** number(value.exp, env, known))
    if value.is_number:
        return float(value)
    arguments = [sympy.Float(number(a, env, known), 17) for a in value.args]
    result = value.func(*arguments)
    if result.is_number:
        return float(result)
    from tpl.core.functions import FUNCTIONS

    return float(FUNCTIONS[type(value).__name__].scalar(*map(float, arguments)))


def _expectation(
    atom: Atom, env: Mapping[str, float], known: Mapping[int, float], nodes: int, log2_points: int, seed: int
) -> float:
    size = len(atom.covariance)
    covariance = np.zeros((size, size))
    for i, row in enumerate(atom.covariance):
        for j, entry in enumerate(row):
            covariance[i, j] = covariance[j, i] = number(entry, env, known)
    factor = reduce_rank(covariance)
    if factor.shape[1] <= 2:
        return integrate(atom.integrand, factor, env, known, nodes)
    from scipy.stats import qmc
    from scipy.special import ndtri

    points = qmc.Sobol(factor.shape[1], scramble=True, rng=np.random.default_rng(seed)).random_base2(log2_points)
    z = ndtri(np.clip(points.T, 1e-300, 1 - 1e-16))
    return float(np.mean(values(atom.integrand, factor @ z, env, known)))


def reduce_rank(covariance: np.ndarray) -> np.ndarray:
    """F with F F^T = C and as few columns as the rank; triangular where C is regular. Tiny negative eigenvalues vanish."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    safe = np.where(scale > 0, scale, 1.0)
    correlation = covariance / np.outer(safe, safe)
    factor = np.zeros((len(scale), 0))
    residual = correlation.copy()
    residual[scale == 0] = 0.0
    residual[:, scale == 0] = 0.0
    for _ in range(len(scale)):
        pivot = int(np.argmax(np.diag(residual)))
        if residual[pivot, pivot] <= RANK_TOLERANCE:
            break
        column = residual[:, pivot] / np.sqrt(residual[pivot, pivot])
        factor = np.column_stack([factor, column])
        residual = residual - np.outer(column, column)
    return factor * scale[:, None]
