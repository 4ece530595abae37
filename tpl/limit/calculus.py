"""Expectations of functions of Gaussian leaves, simplified as far as independence, parity, Wick and conditioning go.

What remains are atoms: E F(u_1, …, u_k) over a centred Gaussian with a covariance matrix of earlier quantities.
Sources: Isserlis 1918 for the polynomials; TP3 §2 for the rules of the leaves.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import sympy

from tpl.core import expr as e
from tpl.core.expr import Expr, leaves, ref, substitute
from tpl.limit.algebra import Algebra, Term, parity, quantity, quantity_symbol

ZERO, ONE = sympy.S.Zero, sympy.S.One
Form = tuple[tuple[int, Any], ...]  # a linear form: (leaf, coefficient), by leaf


@dataclass(frozen=True)
class Leaf:
    """A centred Gaussian coordinate. `parts`: set if it is a sum of earlier leaves; `line`: the core line it comes from."""

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


class Calculus:
    """Leaves, their covariances, and expectations over them.

    `base_covariance(i, j)` gives the covariance of two leaves without parts, in sympy over quantities. `leaf_key`: the
    number of the input that a leaf belongs to, by which the variables of an atom are ordered.
    """

    def __init__(self, base_covariance: Callable[[int, int], Any], leaf_key: Callable[[int], int] = lambda leaf: 0):
        self.leaf_key = leaf_key
        self.leaves: list[Leaf] = []
        self._generations: list[int] = []
        self.quantities: list[Quantity] = []
        self.algebra = Algebra()
        self._base = base_covariance
        self._covariances: dict[tuple[int, int], Any] = {}
        self._atoms: dict[Atom, Any] = {}
        self._terms: dict[tuple, Any] = {}

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
        return sum((x * y * self.covariance(i, j) for i, x in a for j, y in b), ZERO)

    def coefficient_in(self, leaf: int, base: int) -> Any:
        """The coefficient of a base leaf in a leaf."""
        if leaf == base:
            return ONE
        return sum((c * self.coefficient_in(k, base) for k, c in self.leaves[leaf].parts if k >= base), ZERO)

    def as_quantity(self, value: Any, label: str = "", lines: tuple[int, ...] = (), alias: bool = False) -> Any:
        """A symbol for a value, unless it is a constant or, but for `alias`, a symbol already."""
        mentioned = used_quantities([value])
        if value.is_Symbol and mentioned and label and lines and not alias:
            only = self.quantities[next(iter(mentioned))]
            if only.label == "expectation":  # a nameless atom: this says what it is
                only.label, only.lines = label, lines
        generic = label == "covariance" and any(x.name.startswith("gram_") for x in value.free_symbols)
        if (value.is_Atom and not alias) or not (mentioned or generic):
            return value
        self.quantities.append(Quantity(value, label, lines))
        return quantity_symbol(len(self.quantities) - 1)

    def _atom(self, atom: Atom) -> Any:
        found = self._atoms.get(atom)
        if found is None:
            self.quantities.append(Quantity(atom, "expectation"))
            found = self._atoms[atom] = quantity_symbol(len(self.quantities) - 1)
        return found

    # ------------------------------------------------------------------------------------------ expectations
    def expect(self, z: Expr) -> Any:
        """E z, in sympy over quantities."""
        return sympy.Add(*(t.coefficient * self.expect_term(t) for t in self.algebra.expand(z)))

    def expect_product(self, a: Expr, b: Expr) -> Any:
        return self.expect(e.mul(a, b))

    def expect_term(self, term: Term) -> Any:
        """E of a term without its coefficient."""
        if not term.factors:
            return self.wick(term.powers)
        key = (term.powers, term.factors)
        found = self._terms.get(key)
        if found is None:
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
            (first, k), rest = powers[0], dict(powers)
            rest[first] = k - 1
            total = ZERO
            for other, count in list(rest.items()):
                covariance = self.covariance(first, other) if count else ZERO
                if covariance != 0:
                    left = {**rest, other: count - 1}
                    total += count * covariance * self.wick(tuple((i, p) for i, p in sorted(left.items()) if p))
            found = self._terms[key] = sympy.expand(total)
        return found

    def _expect_factors(self, term: Term) -> Any:
        variables = _Variables(self)
        factors = [variables.abstract(f) for f in term.factors]
        powers = {variables.leaf(i): k for i, k in term.powers}
        result = ONE
        for group in variables.components(factors, powers):
            inside = [f for f in factors if self._inside(f, group)]
            part = self._component(variables, inside, {v: k for v, k in powers.items() if v in group})
            if part == 0:
                return ZERO
            result *= part
        constant = [f for f in factors if not self.algebra.depends(f)]
        assert not constant, "an opaque factor without leaves"
        return result

    def _inside(self, factor: Expr, group: frozenset[int]) -> bool:
        return bool(self.algebra.depends(factor) & group)

    def _component(self, variables: "_Variables", factors: list[Expr], powers: dict[int, int]) -> Any:
        """E of a product whose variables hang together."""
        if not factors:
            return variables.wick(powers)
        inside = frozenset().union(*(self.algebra.depends(f) for f in factors))
        everything = inside | frozenset(powers)
        signs = [parity(f, everything) for f in factors]
        if None not in signs and (signs.count(-1) + sum(powers.values())) % 2:
            return ZERO
        outside = {v: k for v, k in powers.items() if v not in inside}
        if outside and len(inside) == 1:
            return self._condition(variables, factors, powers, outside, next(iter(inside)))
        return self._make_atom(variables, factors, powers)

    def _condition(
        self, variables: "_Variables", factors: list[Expr], powers: dict[int, int], outside: dict[int, int], u: int
    ) -> Any:
        """g = β u + r with r independent of u: E[g P F(u)] = β E[u P F] + Σ_h Cov(r, h) E[∂_h P F]."""
        g, k = next(iter(outside.items()))
        rest = {**powers, g: k - 1}
        variance = variables.covariance(u, u)
        slope = variables.covariance(g, u) / variance
        total = slope * self._component(variables, factors, _without_zeros({**rest, u: rest.get(u, 0) + 1}))
        for h, count in rest.items():
            if h == u or not count:
                continue
            residual = variables.covariance(g, h) - slope * variables.covariance(u, h)
            if residual != 0:
                total += count * residual * self._component(variables, factors, _without_zeros({**rest, h: count - 1}))
        return total

    def _make_atom(self, variables: "_Variables", factors: list[Expr], powers: dict[int, int]) -> Any:
        parts = [*(e.power(ref(v), e.number(k)) for v, k in powers.items()), *factors]
        order = sorted(frozenset().union(*(self.algebra.depends(x) for x in parts)), key=variables.rank)
        place = {v: i for i, v in enumerate(order)}
        renamed = [substitute(x, lambda y: ref(place[int(y.value)]) if y.op == "ref" else y) for x in parts]  # type: ignore[arg-type]
        integrand = e.mul(*sorted(renamed, key=_reading_order))
        covariance = tuple(tuple(variables.covariance(v, w) for w in order[: i + 1]) for i, v in enumerate(order))
        return self._atom(Atom(integrand, covariance))


def _reading_order(factor: Expr) -> tuple:
    """Factors by their first variable, so that equal integrands are equal expressions."""
    return min(leaves(factor, "ref"), key=int), factor.size, e.show(factor)  # type: ignore[arg-type]


def _without_zeros(powers: dict[int, int]) -> dict[int, int]:
    return {v: k for v, k in powers.items() if k}


class _Variables:
    """The Gaussian variables of one term: linear forms in the leaves that its factors depend on, as few as possible."""

    def __init__(self, calculus: Calculus):
        self.calculus = calculus
        self.forms: list[Form] = []
        self._numbers: dict[Form, int] = {}
        self._covariances: dict[tuple[int, int], Any] = {}

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
        algebra = self.calculus.algebra
        if not algebra.depends(expr):
            return expr
        terms = algebra.expand(expr)
        if all(not t.factors and sum(k for _, k in t.powers) <= 1 for t in terms):
            constant = sympy.Add(*(t.coefficient for t in terms if not t.powers))
            form = tuple(sorted((t.powers[0][0], t.coefficient) for t in terms if t.powers))
            scale = form[0][1] if len(form) == 1 else ONE
            form = ((form[0][0], ONE),) if len(form) == 1 else form
            return e.add(from_sympy(constant), e.mul(from_sympy(scale), ref(self.number(form))))
        return e.apply(expr.op, *(self.abstract(a) for a in expr.args))

    def components(self, factors: list[Expr], powers: dict[int, int]) -> list[frozenset[int]]:
        """Groups of variables that are dependent, through a factor or through their covariance."""
        parent = {v: v for v in range(len(self.forms))}

        def find(v: int) -> int:
            while parent[v] != v:
                v = parent[v]
            return v

        for factor in factors:
            first, *others = sorted(self.calculus.algebra.depends(factor))
            for v in others:
                parent[find(v)] = find(first)
        for v in parent:
            for w in range(v):
                if find(v) != find(w) and self.covariance(v, w) != 0:
                    parent[find(v)] = find(w)
        groups: dict[int, set[int]] = {}
        for v in parent:
            groups.setdefault(find(v), set()).add(v)
        return [frozenset(g) for g in groups.values()]

    def wick(self, powers: dict[int, int]) -> Any:
        """All variables are single leaves here."""
        return self.calculus.wick(tuple(sorted((self.forms[v][0][0], k) for v, k in powers.items())))


def from_sympy(value: Any) -> Expr:
    """The expression of a sympy number over constants and quantities."""
    if value.is_Rational:
        return e.number(Fraction(int(value.p), int(value.q)))
    if value.is_Float:
        return e.number(float(value))
    if value.is_Symbol or value == sympy.pi:
        name = str(value)
        return quantity(int(name[1:])) if name[0] == "q" and name[1:].isdigit() else e.symbol(name)
    args = [from_sympy(a) for a in value.args]
    if value.is_Add:
        return e.add(*args)
    if value.is_Mul:
        return e.mul(*args)
    if value.is_Pow:
        if value.exp == sympy.Rational(1, 2):
            return e.apply("sqrt", args[0])
        return e.power(*args)
    return e.apply(_NAMES[type(value).__name__], *args)


_NAMES = {"exp": "exp", "log": "log", "Abs": "abs", "sign": "sign", "tanh": "tanh", "erf": "erf", "sin": "sin", "cos": "cos",
          "atan": "arctan", "Max": "max", "Min": "min", "sigmoid": "sigmoid", "softplus": "softplus", "silu": "silu",
          "gelu": "gelu"}  # fmt: skip


def used_quantities(values: Iterable[Any]) -> set[int]:
    """The quantities that sympy expressions mention."""
    found = set()
    for value in values:
        for symbol in value.free_symbols:
            name = symbol.name
            if name[0] == "q" and name[1:].isdigit():
                found.add(int(name[1:]))
    return found
