"""What multiplying out took apart, put together again for the eye: a C + b C as (a + b) C, and E φ′(u) φ′(u′).

The law's expectations are of products, so that of (1 - tanh(u)²)(1 - tanh(u′)²) it knows four. Here the terms beside one
coefficient are read as Σ_ij M_ij E F_i(u) F_j(u′), and if M = ± a aᵀ they are ± E (Σ a_i F_i)(u) (Σ a_i F_i)(u′). An M_ij whose
expectation vanishes, F_i F_j being odd, may be anything.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import sympy

from tpl.core import expr as e
from tpl.core.expr import Expr, leaves
from tpl.limit.algebra import parity
from tpl.limit.formulas import sides
from tpl.limit.naming import Names

ENOUGH = 2  # terms that share a coefficient
MOST_FUNCTIONS = 6  # F_i of one sum

_Entries = dict[tuple[Expr, Expr], Any]


def gathered(value: Any, names: Names) -> Any:
    """An expression over named symbols, expectations and sums, its expectations gathered at every depth."""
    if not value.args or _is_expectation(value):
        return value
    value = value.func(*(gathered(a, names) for a in value.args))
    if not value.is_Add:
        return value
    beside: dict[Any, list[Any]] = {}
    for term in value.args:
        coefficient, rest = _apart(term)
        beside.setdefault(coefficient, []).append(rest)
    return sympy.Add(*(coefficient * _together(terms, names) for coefficient, terms in beside.items()))


def _is_expectation(value: Any) -> bool:
    name = type(value).__name__
    return isinstance(value, sympy.core.function.AppliedUndef) and name[0] == "E" and name[1:].isdigit()


def _apart(term: Any) -> tuple[Any, Any]:
    """A term as its coefficient, a product of symbols, times a number and an expectation."""
    number, rest = term.as_independent(*term.free_symbols, as_Add=False) if term.free_symbols else (term, sympy.S.One)
    inside = [x for x in sympy.Mul.make_args(rest) if _is_expectation(x)]
    if len(inside) > 1 or (inside and rest.has(sympy.Add)):
        return rest, number
    expectation = sympy.Mul(*inside)
    return rest / expectation, number * expectation


def _together(terms: list[Any], names: Names) -> Any:
    """The sum of numbers times expectations: as few as can be."""
    total = sympy.Add(*terms)
    if len(terms) < ENOUGH:
        return total
    laws = {x.args for t in terms for x in sympy.Mul.make_args(t) if _is_expectation(x) and len(x.args) == 3}
    for law in laws:
        found = _product(terms, law, names)
        if found is not None:
            return found
    return total


def _product(terms: list[Any], law: tuple[Any, Any, Any], names: Names) -> Any | None:
    """c E f(u) f(u′) for the terms, (u, u′) being of that law."""
    entries = _entries(terms, law, names)
    factors = _root(entries) if entries is not None else None
    if factors is None:
        return None
    scale, weights = factors
    parts = {f: _number(w) for f, w in weights.items()}
    if any(x is None for x in parts.values()):
        return None
    whole = e.add(*(e.mul(x, f) for f, x in parts.items() if x is not None))
    other = e.substitute(whole, lambda x: e.ref(1) if x.op == "ref" else x)
    return scale * names.expectation(e.mul(whole, other), law)


def _entries(terms: list[Any], law: tuple[Any, Any, Any], names: Names) -> _Entries | None:
    """M_ij by F_i and F_j; None if some term is of another law, or M not symmetric."""
    found: _Entries = {}
    for term in terms:
        inside = [x for x in sympy.Mul.make_args(term) if _is_expectation(x)]
        place = _functions(inside[0], law, names) if inside else (e.number(1), e.number(1))
        if place is None or place in found:
            return None
        found[place] = term / inside[0] if inside else term
    if any(sympy.simplify(found.get((b, a), 0) - x) != 0 for (a, b), x in found.items()):
        return None
    return found


def _functions(value: Any, law: tuple[Any, Any, Any], names: Names) -> tuple[Expr, Expr] | None:
    """F and G of an expectation E F(u) G(u′) of that law, or of one of its two variables."""
    integrand = names.integrands[int(type(value).__name__[1:])]
    if leaves(integrand, "quantity"):
        return None
    if len(value.args) == 1 and value.args[0] in (law[0], law[2]):
        one = e.number(1)
        return (integrand, one) if value.args[0] == law[0] else (one, integrand)
    if value.args not in (law, law[::-1]):
        return None
    found = sides(integrand, 2)
    if found is None:
        return None
    return (found[0], found[1]) if value.args == law else (found[1], found[0])


def _root(entries: _Entries) -> tuple[Any, Mapping[Expr, Any]] | None:
    """c and a with M = c a aᵀ, the first of a being 1, or -1 where more are positive so."""
    functions = list(dict.fromkeys(f for pair in entries for f in pair))
    if not 1 < len(functions) <= MOST_FUNCTIONS or any((f, f) not in entries for f in functions):
        return None
    scale = entries[functions[0], functions[0]]
    scaled = {pair: x / scale for pair, x in entries.items()}
    weights: dict[Expr, Any] = {}
    for f in functions:
        linked = next((g for g in weights if (f, g) in scaled), None)
        weights[f] = sympy.sqrt(scaled[f, f]) if linked is None else scaled[f, linked] / weights[linked]
    for f in functions:
        for g in functions:
            if (f, g) not in scaled:
                if parity(e.mul(f, g), frozenset({0})) != -1:
                    return None
            elif sympy.simplify(weights[f] * weights[g] - scaled[f, g]) != 0:
                return None
    minus = 2 * sum(w.is_negative for w in weights.values()) > len(weights)
    return scale, {f: -w if minus else w for f, w in weights.items()}


def _number(value: Any) -> Expr | None:
    """A number made of fractions, π and roots as an Expr."""
    if value.is_Rational:
        return e.number(Fraction(int(value.p), int(value.q)))
    if value == sympy.pi:
        return e.symbol("pi")
    if value.is_Mul or value.is_Pow:
        parts = [_number(a) for a in value.args]
        if any(p is None for p in parts):
            return None
        known = [p for p in parts if p is not None]
        return e.mul(*known) if value.is_Mul else e.power(*known)
    return None
