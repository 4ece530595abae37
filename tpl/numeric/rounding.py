"""Expressions at points, with a bound on the rounding of each value: a running error analysis.

Every operation adds its own rounding to that of its arguments carried through its partial derivatives (Higham,
"Accuracy and Stability of Numerical Algorithms", 2002, section 3.3), to first order. It sees what comparing two
quadratures cannot: 1 - cos(u) for small u has lost its digits at every node.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from tpl.core.expr import Expr
from tpl.core.functions import FUNCTIONS
from tpl.numeric.quadrature import values

EPSILON = 2.0**-52
_FUNCTION = 4 * EPSILON  # numpy's and scipy's elementary functions, relative; measured in tests/numeric/test_rounding.py


def values_and_rounding(
    expr: Expr,
    points: np.ndarray,
    env: Mapping[str, float],
    known: Mapping[int, float],
    memo: dict[int, np.ndarray | float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """An expression at points [k, …], which have relative errors up to 2 EPSILON: values and their errors, both […]."""
    memo = {} if memo is None else memo
    errors: dict[int, np.ndarray] = {}
    kept: list[tuple[Expr, ...]] = []  # the memory goes by id: what it knows must stay alive

    def at(node: Expr) -> np.ndarray:
        return values(node, points, env, known, memo)

    def error(node: Expr) -> np.ndarray:
        found = errors.get(id(node))
        if found is None:
            found = errors[id(node)] = own(node) + sum(map(carried, node.args, derivatives(node)))
        return found

    def own(node: Expr) -> np.ndarray:
        if node.op == "ref":
            return 2 * EPSILON * np.abs(at(node))
        if node.op in ("add", "mul"):  # from the left, so every term but the first two is in each partial result
            size = sum(np.abs(at(a)) for a in node.args) if node.op == "add" else np.abs(at(node))
            return EPSILON * (len(node.args) - 1) * (np.abs(at(node)) if len(node.args) == 2 else size)
        plain = not node.args or node.op in ("sub", "neg", "div")
        return (EPSILON if plain else _FUNCTION) * np.abs(at(node))

    def derivatives(node: Expr) -> tuple[Expr, ...]:
        found = _partials(node) if node.args else ()
        kept.append(found)
        return found

    def carried(argument: Expr, partial: Expr) -> np.ndarray:
        if argument.is_number and argument.value == int(argument.value):  # type: ignore[arg-type]
            return np.zeros(())
        before = error(argument)
        if not np.any(before):
            return before
        return np.where(before > 0, np.abs(at(partial)) * before, 0.0)

    with np.errstate(all="ignore"):
        return at(expr), np.broadcast_to(error(expr), points.shape[1:])


@lru_cache(maxsize=1 << 12)
def _partials(node: Expr) -> tuple[Expr, ...]:
    return FUNCTIONS[node.op].partials(*node.args)
