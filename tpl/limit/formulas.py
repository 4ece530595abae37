"""The closed form of an expectation, as the law has it: which formula, and what it says in symbols."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sympy

from tpl.core.expr import Expr, leaves, mul, ref, substitute, symbol
from tpl.limit.closed_forms import RECORDS, Dual, dual

LONGEST = 40  # operations of a formula that is written in place of its expectation
LONGEST_NOTED = 120  # of one that is written at all


@lru_cache(maxsize=1 << 14)
def sides(integrand: Expr, size: int) -> tuple[Expr, ...] | None:
    """F(u_0) G(u_1) … as (F, G, …), each a function of ref(0); None if a factor holds two variables."""
    found: list[list[Expr]] = [[] for _ in range(size)]
    for factor in integrand.args if integrand.op == "mul" else (integrand,):
        held = leaves(factor, "ref")
        if len(held) > 1:
            return None
        found[int(next(iter(held), 0))].append(factor)  # type: ignore[arg-type]
    return tuple(substitute(mul(*side), lambda x: ref(0) if x.op == "ref" else x) for side in found)


@lru_cache(maxsize=1 << 14)
def formula(integrand: Expr, size: int) -> Dual | None:
    """The closed form of E integrand over `size` Gaussian variables; None without one.

    Numbers of the limit inside the integrand are constants called "quantity k".
    """
    found = sides(integrand, 2) if size <= 2 else None
    return None if found is None else dual(*(substitute(side, _without_quantities) for side in found))


def _without_quantities(leaf: Expr) -> Expr:
    return symbol(f"quantity {leaf.value}") if leaf.op == "quantity" else leaf


def in_symbols(integrand: Expr, covariance: tuple[Any, ...], symbols: Mapping[str, Any]) -> Any | None:
    """The closed form over a covariance (its lower triangle by rows, one or two variables), None without one.

    symbols: what constants and quantities are called in the formula. Exact where the covariance is.
    """
    if len(covariance) not in (1, 3):
        return None
    found = formula(integrand, 1 if len(covariance) == 1 else 2)
    if found is None:
        return None
    zero = sympy.S.Zero
    q1, c, q2 = covariance if len(covariance) == 3 else (covariance[0], zero, zero)
    try:
        value = _tidy(found.sympy(q1, q2, c, symbols))
    except (ArithmeticError, ValueError, TypeError, KeyError):
        return None
    return None if value.has(sympy.nan, sympy.zoo, sympy.oo, sympy.I) else value


def _tidy(value: Any) -> Any:
    """Roots of products of positive numbers taken apart."""
    if value.is_number:
        return sympy.expand(value)
    apart = value.replace(
        lambda x: x.is_Pow and abs(x.exp) == sympy.Rational(1, 2) and x.base.is_Add,
        lambda x: sympy.expand_power_base(sympy.Pow(sympy.together(x.base), x.exp)),
    )
    return sympy.factor_terms(apart)


def source_of(integrand: Expr, size: int) -> str:
    """Names and sources of the formulas that a closed form uses."""
    found = formula(integrand, size)
    if found is None:
        return ""
    return "; ".join(f"{name}: {RECORDS[name].source}" if name in RECORDS else name for name in found.records)


__all__ = ["LONGEST", "LONGEST_NOTED", "formula", "in_symbols", "sides", "source_of"]
