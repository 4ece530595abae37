"""Random variables as sums of coefficients times Gaussian variables that occur in the first power only.

Given the others, such variables are integrated out exactly: E (Σ A_p g_p)(Σ B_q g_q) = Σ Cov(g_p, g_q) E A_p B_q.
"""

from collections.abc import Callable

from tpl.core.expr import ONE, Expr, add, apply, div, mul, neg

Parts = dict[int | None, Expr]  # a variable's coefficient; under None what holds no such variable


class NotAffine(ValueError):
    """A variable occurs inside a function, or in a product with another."""


class Interner:
    """Equal expressions as one object, so that what several share is recognised, and computed once."""

    def __init__(self) -> None:
        self._known: dict[Expr, Expr] = {}
        self._ids: set[int] = set()
        self._leaves: dict[int, frozenset[int]] = {}

    def __call__(self, expr: Expr) -> Expr:
        if id(expr) in self._ids:
            return expr
        args = tuple(map(self, expr.args))
        if any(a is not b for a, b in zip(args, expr.args, strict=True)):
            expr = Expr(expr.op, args, expr.value)
        found = self._known.setdefault(expr, expr)
        self._ids.add(id(found))
        return found

    def substituted(self, expr: Expr, leaf: Callable[[Expr], Expr]) -> Expr:
        """As `tpl.core.expr.substitute`, interned; `leaf` gives interned expressions."""
        memo: dict[int, Expr] = {}

        def walk(node: Expr) -> Expr:
            if id(node) not in memo:
                memo[id(node)] = self(apply(node.op, *map(walk, node.args)) if node.args else leaf(node))
            return memo[id(node)]

        return walk(expr)

    def leaves(self, expr: Expr) -> frozenset[int]:
        """The Gaussian variables in an interned expression."""
        if id(expr) not in self._leaves:
            if expr.op == "ref":
                found = frozenset({int(expr.value)})  # type: ignore[arg-type]
            else:
                found = frozenset().union(*map(self.leaves, expr.args))
            self._leaves[id(expr)] = found
        return self._leaves[id(expr)]


class Splitter:
    """Splits expressions into parts, affine in the variables `outside`; what expressions share is split once."""

    def __init__(self, interner: Interner, outside: frozenset[int]):
        self.interner = interner
        self.outside = outside
        self._memo: dict[int, Parts] = {}

    def split(self, expr: Expr) -> Parts:
        """The parts of an interned expression. Raises NotAffine."""
        found = self._memo.get(id(expr))
        if found is None:
            found = self._split(expr) if self.interner.leaves(expr) & self.outside else {None: expr}
            found = {v: self.interner(c) for v, c in found.items() if not c.is_value(0)}
            self._memo[id(expr)] = found
        return found

    def _split(self, expr: Expr) -> Parts:
        if expr.op == "ref":
            return {int(expr.value): ONE}  # type: ignore[arg-type]
        parts = [self.split(a) for a in expr.args]
        if expr.op == "add":
            return _sum(parts)
        if expr.op == "neg":
            return {v: neg(c) for v, c in parts[0].items()}
        if expr.op == "sub":
            return _sum([parts[0], {v: neg(c) for v, c in parts[1].items()}])
        if expr.op == "mul":
            return self._product(expr, parts)
        if expr.op == "div" and not self.interner.leaves(expr.args[1]) & self.outside:
            return {v: div(c, expr.args[1]) for v, c in parts[0].items()}
        raise NotAffine(expr.op)

    def _product(self, expr: Expr, parts: list[Parts]) -> Parts:
        holders = [i for i, a in enumerate(expr.args) if self.interner.leaves(a) & self.outside]
        if len(holders) > 1:
            raise NotAffine("a product of two")
        rest = mul(*(a for i, a in enumerate(expr.args) if i != holders[0]))
        return {v: mul(c, rest) for v, c in parts[holders[0]].items()}


def _sum(parts: list[Parts]) -> Parts:
    total: dict[int | None, list[Expr]] = {}
    for part in parts:
        for v, c in part.items():
            total.setdefault(v, []).append(c)
    return {v: add(*terms) for v, terms in total.items()}


__all__ = ["Interner", "NotAffine", "Parts", "Splitter"]
