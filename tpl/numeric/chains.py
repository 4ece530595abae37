"""Ways through the quantities of a law: what a number of the limit is, in float64, and what it may differ by."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from tpl.core.functions import FUNCTIONS
from tpl.limit.algebra import LeastNorm, NoLaw, Ratio, TooLarge, constant_name, quantity_index
from tpl.limit.calculus import Atom

CANCELLED = 1e-13  # a sum so small next to its terms is rounding
_UPPER_TAIL = 0.9772498680518208  # value ± 2 error covers what two standard deviations do


class NotDefined(NoLaw):
    """A quantity of the law is not a finite number."""


@dataclass
class Chain:
    """One way through the quantities: its settings, and the values so far.

    nodes: Gauss-Legendre nodes a panel; reach: where the Gaussian law is cut off; rank_tolerance: a correlation's
    residual below it is rounding; seed and log2_points: of quasi-random point sets; jitter: covariances are less by this
    share, as rounding might have made them: near-parallel vectors lose half of their digits, and the error shows it.
    What rounds to exactly parallel counts as parallel.
    """

    env: Mapping[str, float]
    nodes: int
    reach: float
    rank_tolerance: float
    seed: int
    log2_points: int
    jitter: float = 0.0
    known: dict[int, float] = field(default_factory=dict)
    entries: dict[Any, float] = field(default_factory=dict)  # of covariance matrices; most stand in many of them

    def entry(self, value: Any) -> float:
        """An entry of a covariance matrix. Raises NotDefined, and TooLarge."""
        found = self.entries.get(value)
        if found is None:
            found = self.entries[value] = number(value, self.env, self.known)
            if math.isinf(found):
                raise TooLarge("a variance in it is beyond 1.8e308")
        return found


def students_error(rows: np.ndarray) -> np.ndarray:
    """The error of the mean of independent rows, such that ± 2 errors cover 95%."""
    from scipy.special import stdtrit  # heavy to import

    with np.errstate(invalid="ignore"):  # what is infinite has no spread
        spread = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    return spread * float(stdtrit(len(rows) - 1, _UPPER_TAIL)) / 2


def number(value: Any, env: Mapping[str, float], known: Mapping[int, float]) -> float:
    """The float value of a sympy expression over constants and quantities, infinite where it overflows.

    Raises NotDefined where arithmetic does.
    """
    try:
        with np.errstate(all="ignore"):
            found = _number(value, env, known)
    except OverflowError:
        found = math.inf
    except (ArithmeticError, TypeError, ValueError) as problem:
        raise NotDefined(f"{str(value)[:80]}: {problem}") from None
    return found if math.isfinite(found) else _in_long_exponents(value, env, known, found)


def _in_long_exponents(value: Any, env: Mapping[str, float], known: Mapping[int, float], found: float) -> float:
    """A number whose parts are beyond doubles, as in σ^1000 · 999!!, though it may not be."""

    def leaf(symbol: Any) -> float:
        index = quantity_index(symbol)
        return known[index] if index is not None else env[constant_name(symbol)]

    values = {symbol: leaf(symbol) for symbol in value.free_symbols}
    if value.has(LeastNorm, Ratio) or not all(map(math.isfinite, values.values())):
        return found
    exact = sympy.N(value.xreplace({symbol: sympy.Float(v, 17) for symbol, v in values.items()}), 17)
    return float(exact) if exact.is_Float or exact.is_Rational else found


def _number(value: Any, env: Mapping[str, float], known: Mapping[int, float]) -> float:
    if value.is_Symbol:
        index = quantity_index(value)
        return known[index] if index is not None else env[constant_name(value)]
    if not value.args or value.is_number:
        return float(value)
    if isinstance(value, LeastNorm):
        return _least_norm(value, env, known)
    arguments = [_number(a, env, known) for a in value.args]
    if isinstance(value, Ratio):
        return arguments[0] / arguments[1] if arguments[1] > 0 else 0.0
    if value.is_Add:
        total, size = sum(arguments), sum(map(abs, arguments))
        return 0.0 if abs(total) <= CANCELLED * size else total
    if value.is_Mul:
        return float(np.prod(arguments))
    if value.is_Pow:
        return float(arguments[0] ** arguments[1])
    result = value.func(*(sympy.Float(a, 17) for a in arguments))
    return float(result) if result.is_number else float(FUNCTIONS[value.func.__name__].scalar(*arguments))


def _least_norm(value: LeastNorm, env: Mapping[str, float], known: Mapping[int, float]) -> float:
    component, size, entries, right = value.system
    gram = np.array([_number(c, env, known) for c in entries]).reshape(size, size)
    scale = np.sqrt(np.maximum(np.diag(gram), 0.0))
    inverse = np.divide(1.0, scale, out=np.zeros(size), where=scale > 0)
    target = np.array([_number(c, env, known) for c in right]) * inverse
    solution = np.linalg.pinv(gram * np.outer(inverse, inverse), rcond=1e-11, hermitian=True) @ target
    return float(solution[component] * inverse[component])


def covariance_of(atom: Atom, chain: Chain) -> np.ndarray:
    """The covariance matrix of an atom's variables."""
    size = len(atom.covariance)
    covariance = np.zeros((size, size))
    for i, row in enumerate(atom.covariance):
        for j, entry in enumerate(row):
            covariance[i, j] = covariance[j, i] = chain.entry(entry)
    if chain.jitter:
        variances = np.diag(covariance)
        parallel = covariance**2 == np.outer(variances, variances)  # exactly: the same vector, or a multiple
        covariance = np.where(parallel, covariance, covariance * (1 - chain.jitter))
    return covariance


def reduce_rank(covariance: np.ndarray, tolerance: float = 2e-15) -> np.ndarray:
    """F with F F^T = C and as few columns as the rank; triangular where C is regular. What is rounding vanishes."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    safe = np.where(scale > 0, scale, 1.0)
    residual = covariance / np.outer(safe, safe)
    residual[scale == 0] = 0.0
    residual[:, scale == 0] = 0.0
    factor = np.zeros((len(scale), 0))
    for _ in range(len(scale)):
        pivot = int(np.argmax(np.diag(residual)))
        if residual[pivot, pivot] <= tolerance:
            break
        column = residual[:, pivot] / np.sqrt(residual[pivot, pivot])
        factor = np.column_stack([factor, column])
        residual = residual - np.outer(column, column)
    return factor * scale[:, None]
