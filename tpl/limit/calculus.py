"""Expectations of functions of Gaussian leaves, simplified as far as independence, parity, Wick and conditioning go.

What remains are atoms: E F(u_1, …, u_k) over a centred Gaussian with a covariance matrix of earlier quantities.
Sources: Isserlis 1918 for the polynomials; TP3 §2 for the rules of the leaves.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sympy

from tpl.core import expr as e
from tpl.core.expr import Expr, leaves, ref, substitute
from tpl.limit.algebra import (
    Algebra,
    LeastNorm,
    NoLaw,
    Ratio,
    Term,
    from_sympy,
    parity,
    quantity_index,
    quantity_symbol,
    to_sympy,
)
from tpl.limit.closed_forms.moments import odd_factorial

ZERO, ONE = sympy.S.Zero, sympy.S.One
MAX_OPENINGS, MAX_OPENED = 6, 60  # of quantities within one another, and terms, when asking whether a sum vanishes
MAX_BITS, MAX_EXPONENT = (
    4096,
    1000,
)  # of a rational number: beyond it gets a symbol, or powers of powers fill the memory
Form = tuple[tuple[int, Any], ...]  # a linear form: (leaf, coefficient), by leaf


@dataclass(frozen=True)
class Leaf:
    """A centred Gaussian coordinate. parts: set if it is a sum of earlier leaves; line: the core line it comes from."""

    line: int
    parts: Form = ()


@dataclass(frozen=True)
class Atom:
    """E integrand(u_0, …, u_{k-1}), u centred Gaussian; covariance[i][j] for j <= i, sympy over quantities."""

    integrand: Expr
    covariance: tuple[tuple[Any, ...], ...]


@dataclass
class Quantity:
    """A number of the limit: an atom, or an expression over earlier quantities. `label` says what it is."""

    definition: Any
    label: str = ""
    lines: tuple[int, ...] = field(default=())


class TooLong(Exception):
    """More expectations than were allowed for, or one over more variables."""


class Calculus:
    """Leaves, their covariances, and expectations over them.

    `base_covariance(i, j)` gives the covariance of two leaves without parts, in sympy over quantities. `leaf_key`: the
    number of the input that a leaf belongs to, by which the variables of an atom are ordered. most, widest: distinct
    expectations, and variables of one, beyond which TooLong is raised.
    """

    def __init__(
        self,
        base_covariance: Callable[[int, int], Any],
        leaf_key: Callable[[int], int] = lambda leaf: 0,
        most: int | None = None,
        widest: int | None = None,
    ):
        self.leaf_key = leaf_key
        self.most = most
        self.widest = widest
        self.leaves: list[Leaf] = []
        self._generations: list[int] = []
        self.quantities: list[Quantity] = []
        self.algebra = Algebra(self.vanishes)
        self.variables = _Variables(self)
        self._base = base_covariance
        self._covariances: dict[tuple[int, int], Any] = {}
        self._atoms: dict[Atom, Any] = {}
        self._terms: dict[tuple, Any] = {}
        self._components: dict[tuple, Any] = {}
        self._coefficients: dict[int, dict[int, Any]] = {}

    # ------------------------------------------------------------------------------------------ leaves
    def new_leaf(self, line: int, parts: Form = ()) -> int:
        self.leaves.append(Leaf(line, parts))
        self._generations.append(1 + max((self._generations[i] for i, _ in parts), default=-1))
        return len(self.leaves) - 1

    def covariance(self, i: int, j: int) -> Any:
        """Cov of two leaves. The younger sum is opened, of two of one age both: Cov(x + g, x' + g') = Cov(x, x') + …"""
        i, j = min(i, j), max(i, j)
        found = self._covariances.get((i, j))
        if found is None:
            older = self._generations[i] - self._generations[j]
            left = self.leaves[i].parts if older >= 0 else ()
            right = self.leaves[j].parts if older <= 0 else ()
            if left or right:
                value = self.form_covariance(left or ((i, ONE),), right or ((j, ONE),))
                found = self.as_quantity(value, "covariance", (i, j))
            else:
                found = self._base(i, j)
            self._covariances[(i, j)] = found
        return found

    def form_covariance(self, a: Form, b: Form) -> Any:
        return sympy.Add(*(x * y * self.covariance(i, j) for i, x in a for j, y in b))

    def coefficient_in(self, leaf: int, base: int) -> Any:
        """The coefficient of a base leaf in a leaf."""
        return self.base_form(leaf).get(base, ZERO)

    def base_form(self, leaf: int) -> dict[int, Any]:
        """A leaf as a linear form in leaves without parts."""
        found = self._coefficients.get(leaf)
        if found is None:
            parts = self.leaves[leaf].parts
            found = {} if parts else {leaf: ONE}
            for k, c in parts:
                for base, d in self.base_form(k).items():
                    found[base] = found.get(base, ZERO) + c * d
            self._coefficients[leaf] = found
        return found

    def as_quantity(self, value: Any, label: str = "", lines: tuple[int, ...] = (), alias: bool = False) -> Any:
        """A symbol for a value, unless it is plain arithmetic of constants or, but for `alias`, a symbol already."""
        mentioned = used_quantities([value])
        if value.is_Symbol and mentioned and label and lines and not alias:
            only = self.quantities[next(iter(mentioned))]
            if only.label == "expectation":  # a nameless atom: this says what it is
                only.label, only.lines = label, lines
        grams = any(x.name.startswith("gram_") for x in value.free_symbols)
        generic = label == "covariance" and grams
        if not mentioned and not grams and not value.is_Atom and not value.has(sympy.Function):
            value = sympy.expand(value)  # moments of matrices are polynomials in constants
        if value.has(sympy.nan, sympy.zoo, sympy.oo, sympy.I):
            raise NoLaw(f"{label or 'a number'} of the limit is not defined")
        long = not mentioned and any(map(_is_long, value.atoms(sympy.Rational)))
        solved = long or value.has(Ratio, LeastNorm) or bool(value.free_symbols and value.has(sympy.Function))
        if (value.is_Atom and not alias and not long) or not (mentioned or generic or solved):
            return value
        self.quantities.append(Quantity(value, label, lines))
        return quantity_symbol(len(self.quantities) - 1)

    def vanishes(self, value: Any) -> bool:
        """Is a sum with terms of both signs 0 once the quantities in it are opened down to expectations?

        So Onsager's term cancels a correction: both are the same expectation, under two names.
        """
        signs = {t.could_extract_minus_sign() for t in value.args} if value.is_Add else set()
        if len(signs) < 2:
            return False
        for _ in range(MAX_OPENINGS):
            defined = ((i, self.quantities[i].definition) for i in used_quantities([value]))
            opened = {quantity_symbol(i): d for i, d in defined if not isinstance(d, Atom)}
            if not opened:
                break
            value = sympy.expand(value.xreplace(opened))
            if len(value.args) > MAX_OPENED:
                return False
        return bool(value == 0)

    def _atom(self, atom: Atom) -> Any:
        found = self._atoms.get(atom)
        if found is None:
            self.quantities.append(Quantity(atom, "expectation"))
            found = self._atoms[atom] = quantity_symbol(len(self.quantities) - 1)
        return found

    # ------------------------------------------------------------------------------------------ expectations
    def expect(self, z: Expr) -> Any:
        """E z, in sympy over quantities."""
        parts = ((t.coefficient, self.expect_term(t)) for t in self.algebra.expand(z))
        return sympy.Add(*(v if c is ONE else c * v for c, v in parts if v is not ZERO))

    def expect_product(self, a: Expr, b: Expr) -> Any:
        return self.expect(e.mul(a, b))

    def expect_term(self, term: Term) -> Any:
        """E of a term without its coefficient."""
        if not term.factors:
            return self.wick(term.powers)
        key = (term.powers, term.factors)
        found = self._terms.get(key)
        if found is None:
            if self.most is not None and len(self._terms) >= self.most:
                raise TooLong
            found = self._terms[key] = self._expect_factors(term)
        return found

    def wick(self, powers: tuple[tuple[int, int], ...]) -> Any:
        """E Π leaf^power (Isserlis)."""
        degree = sum(k for _, k in powers)
        if degree == 0:
            return ONE
        if degree % 2:
            return ZERO
        key = (powers, ())
        found = self._terms.get(key)
        if found is None:
            found = self._terms[key] = sympy.expand(self._pair_off(powers))
        return found

    def _pair_off(self, powers: tuple[tuple[int, int], ...]) -> Any:
        """E g^k Π h^m: the k factors g are paired among themselves, and with the others in every way there is.

        One step a variable and not one a factor: E g^k = (k - 1)!! Var(g)^{k/2} at any k.
        """
        (first, k), *rest = powers
        others = [(i, m, self.covariance(first, i)) for i, m in rest]
        related = [x for x in others if x[2] != 0]
        apart = dict(rest)
        variance = self.covariance(first, first)
        total = ZERO
        for taken in _shares([m for _, m, _ in related], k):
            inside = k - sum(taken)
            ways = math.perm(k, k - inside) * odd_factorial(inside // 2)
            factors = [variance ** (inside // 2)]
            left = dict(apart)
            for (i, m, covariance), t in zip(related, taken, strict=True):
                ways *= math.comb(m, t)
                factors.append(covariance**t)
                left[i] = m - t
            rest_of = self.wick(tuple((i, p) for i, p in sorted(left.items()) if p))
            total += sympy.Mul(ways, *factors, rest_of)
        return total

    def _expect_factors(self, term: Term) -> Any:
        variables = self.variables
        factors = [variables.abstract(f) for f in term.factors]
        result = ONE
        if not all(map(self.algebra.depends, factors)):
            result = sympy.Mul(*(to_sympy(f) for f in factors if not self.algebra.depends(f)))
            factors = [f for f in factors if self.algebra.depends(f)]
        powers = {variables.leaf(i): k for i, k in term.powers}
        for group in variables.components(factors, powers):
            inside = tuple(f for f in factors if self.algebra.depends(f) & group)
            part = self._component(inside, {v: k for v, k in powers.items() if v in group})
            if part == 0:
                return ZERO
            result *= part
        return result

    def _component(self, factors: tuple[Expr, ...], powers: dict[int, int]) -> Any:
        """E of a product whose variables hang together."""
        key = (factors, tuple(sorted(powers.items())))
        if key not in self._components:
            self._components[key] = self._find_component(factors, powers)
        return self._components[key]

    def _find_component(self, factors: tuple[Expr, ...], powers: dict[int, int]) -> Any:
        if not factors:
            return self.variables.wick(powers)
        inside = frozenset().union(*(self.algebra.depends(f) for f in factors))
        if self._is_odd(factors, powers, inside | frozenset(powers)):
            return ZERO
        outside = {v: k for v, k in powers.items() if v not in inside}
        if outside and len(inside) == 1:
            return self._condition(factors, powers, outside, next(iter(inside)))
        return self._make_atom(factors, powers)

    def _is_odd(self, factors: tuple[Expr, ...], powers: dict[int, int], variables: frozenset[int]) -> bool:
        """Does the product change sign with all variables, or with some that are independent of the others?"""
        groups = self.variables.components([], dict.fromkeys(variables, 1))
        for flipped in {variables, *groups}:
            signs = [parity(f, flipped) for f in factors]
            if None not in signs and (signs.count(-1) + sum(k for v, k in powers.items() if v in flipped)) % 2:
                return True
        return False

    def _condition(self, factors: tuple[Expr, ...], powers: dict[int, int], outside: dict[int, int], u: int) -> Any:
        """g = β u + r with r independent of u: E[g P F(u)] = β E[u P F] + Σ_h Cov(r, h) E[∂_h P F]."""
        covariance = self.variables.covariance
        g, k = next(iter(outside.items()))
        rest = {**powers, g: k - 1}
        slope = Ratio(covariance(g, u), covariance(u, u))
        total = slope * self._component(factors, _without_zeros({**rest, u: rest.get(u, 0) + 1}))
        for h, count in rest.items():
            if h == u or not count:
                continue
            residual = covariance(g, h) - slope * covariance(u, h)
            if residual != 0:
                total += count * residual * self._component(factors, _without_zeros({**rest, h: count - 1}))
        return total

    def _make_atom(self, factors: tuple[Expr, ...], powers: dict[int, int]) -> Any:
        variables = self.variables
        parts = [*(e.power(ref(v), e.number(k)) for v, k in powers.items()), *factors]
        order = tuple(sorted(frozenset().union(*(self.algebra.depends(x) for x in parts)), key=variables.rank))
        if self.widest is not None and len(order) > self.widest:
            raise TooLong
        renamed = sorted((variables.rename(x, order) for x in parts), key=variables.reading_order)
        covariance = tuple(tuple(variables.covariance(v, w) for w in order[: i + 1]) for i, v in enumerate(order))
        return self._atom(Atom(e.mul(*renamed), covariance))


def _is_long(value: Any) -> bool:
    """Has a rational number many digits, or is it beyond doubles?"""
    above, below = int(value.p).bit_length(), int(value.q).bit_length()
    return above + below > MAX_BITS or abs(above - below) > MAX_EXPONENT


def _shares(most: list[int], total: int) -> Iterator[tuple[int, ...]]:
    """Whole numbers up to `most`, one for each, whose sum is `total` or less by an even number."""
    if not most:
        if total % 2 == 0:
            yield ()
        return
    for first in range(min(most[0], total) + 1):
        for rest in _shares(most[1:], total - first):
            yield first, *rest


def _without_zeros(powers: dict[int, int]) -> dict[int, int]:
    return {v: k for v, k in powers.items() if k}


class _Variables:
    """The Gaussian variables that opaque factors depend on: linear forms in the leaves, as few as possible."""

    def __init__(self, calculus: Calculus):
        self.calculus = calculus
        self.forms: list[Form] = []
        self._numbers: dict[Form, int] = {}
        self._covariances: dict[tuple[int, int], Any] = {}
        self._abstracted: dict[Expr, Expr] = {}
        self._renamed: dict[tuple[Expr, tuple[int, ...]], Expr] = {}
        self._reading: dict[Expr, tuple] = {}
        self._groups: dict[frozenset[frozenset[int]], list[frozenset[int]]] = {}

    def leaf(self, index: int) -> int:
        return self.number(((index, ONE),))

    def number(self, form: Form) -> int:
        if form not in self._numbers:
            self._numbers[form] = len(self.forms)
            self.forms.append(form)
        return self._numbers[form]

    def rank(self, v: int) -> tuple:
        """Variables in the order of their leaves, inputs apart: equal atoms then look alike."""
        return max((self.calculus.leaf_key(i), i) for i, _ in self.forms[v]), v

    def covariance(self, v: int, w: int) -> Any:
        key = (min(v, w), max(v, w))
        if key not in self._covariances:
            self._covariances[key] = self.calculus.form_covariance(self.forms[v], self.forms[w])
        return self._covariances[key]

    def abstract(self, expr: Expr) -> Expr:
        """Replace every maximal affine subexpression by constant + scale · variable."""
        if expr not in self._abstracted:
            self._abstracted[expr] = self.calculus.algebra.intern(self._abstract(expr))
        return self._abstracted[expr]

    def _abstract(self, expr: Expr) -> Expr:
        algebra = self.calculus.algebra
        if not algebra.depends(expr):
            return expr
        terms = algebra.expand(expr)
        if all(not t.factors and sum(k for _, k in t.powers) <= 1 for t in terms):
            constant = sympy.Add(*(t.coefficient for t in terms if not t.powers))
            form = tuple(sorted(((t.powers[0][0], t.coefficient) for t in terms if t.powers), key=lambda x: x[0]))
            if not form:
                return from_sympy(constant)
            scale = form[0][1] if len(form) == 1 else ONE
            form = ((form[0][0], ONE),) if len(form) == 1 else form
            return e.add(from_sympy(constant), e.mul(from_sympy(scale), ref(self.number(form))))
        return e.apply(expr.op, *(self.abstract(a) for a in expr.args))

    def components(self, factors: list[Expr], powers: dict[int, int]) -> list[frozenset[int]]:
        """Groups of variables that are dependent, through a factor or through their covariance."""
        depends = self.calculus.algebra.depends
        supports = frozenset(map(depends, factors)) | {frozenset({v}) for v in powers}
        if supports not in self._groups:
            self._groups[supports] = self._connect(supports)
        return self._groups[supports]

    def _connect(self, supports: frozenset[frozenset[int]]) -> list[frozenset[int]]:
        parent = {v: v for v in sorted(frozenset().union(*supports))}

        def find(v: int) -> int:
            while parent[v] != v:
                v = parent[v]
            return v

        for support in supports:
            first, *others = sorted(support)
            for v in others:
                parent[find(v)] = find(first)
        for v in parent:
            for w in (x for x in parent if x < v):
                if find(v) != find(w) and self.covariance(v, w) != 0:
                    parent[find(v)] = find(w)
        groups: dict[int, set[int]] = {}
        for v in parent:
            groups.setdefault(find(v), set()).add(v)
        return [frozenset(g) for g in groups.values()]

    def rename(self, expr: Expr, order: tuple[int, ...]) -> Expr:
        """The variables by their places in an order."""
        key = (expr, order)
        if key not in self._renamed:
            place = {v: ref(i) for i, v in enumerate(order)}
            renamed = substitute(expr, lambda x: place[int(x.value)] if x.op == "ref" else x)  # type: ignore[arg-type]
            self._renamed[key] = self.calculus.algebra.intern(renamed)
        return self._renamed[key]

    def reading_order(self, factor: Expr) -> tuple:
        """Factors by their first variable, so that equal integrands are equal expressions."""
        if factor not in self._reading:
            written = e.show(factor) if factor.size < 10_000 else ""
            self._reading[factor] = (min(leaves(factor, "ref"), key=int), factor.size, written)  # type: ignore[arg-type]
        return self._reading[factor]

    def wick(self, powers: dict[int, int]) -> Any:
        """All variables are single leaves here."""
        return self.calculus.wick(tuple(sorted((self.forms[v][0][0], k) for v, k in powers.items())))


def used_quantities(values: Iterable[Any]) -> set[int]:
    """The quantities that sympy expressions mention."""
    found = (quantity_index(symbol) for value in values for symbol in value.free_symbols)
    return {index for index in found if index is not None}


def parts(definition: Any) -> list[Any]:
    """The sympy expressions that a definition mentions."""
    if isinstance(definition, Atom):
        inside = [quantity_symbol(int(v)) for v in leaves(definition.integrand, "quantity")]  # type: ignore[arg-type]
        return [c for row in definition.covariance for c in row] + inside
    return [definition]


__all__ = [
    "ONE",
    "ZERO",
    "Atom",
    "Calculus",
    "Form",
    "Leaf",
    "NoLaw",
    "Quantity",
    "TooLong",
    "from_sympy",
    "parts",
    "used_quantities",
]
