"""From the law of two generic inputs to a graph of numbers (`pairwise_graph`).

Near-parallel inputs are ordinary: beside a covariance c of a pair goes its defect e = |x||y| - |c|, from which angles
follow to rounding, where c alone would lose half of the digits. `Triple` says how defects pass through sums.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tpl.core.expr import Expr, leaves, mul, number, ref, substitute
from tpl.limit.algebra import NoLaw, Ratio, constant_name, quantity_index, to_sympy
from tpl.limit.calculus import Atom, parts, used_quantities
from tpl.limit.closed_forms import Dual, dual
from tpl.limit.formulas import sides
from tpl.limit.law import Law
from tpl.numeric.pairwise_duals import Geometry, Native
from tpl.numeric.pairwise_graph import CONSTANT, LEFT, PAIR, RIGHT, ArrayOp, Graph, evaluate_single
from tpl.numeric.pairwise_panels import has_kinks
from tpl.numeric.pairwise_series import coefficients_op, mean_op, series_op, series_with_defect_op
from tpl.numeric.plan import Choice, expectation_text
from tpl.numeric.poles import Poles

MAX_TERMS = 4  # of a sum through which defects are carried
TINY = 1e-300
SAME = 1e-9  # numbers so close at random inputs are one formula
WIDEST = 2  # variables of an expectation


class NotPairwise(Exception):
    """The law of a pair holds something that this compiler has no rule for; the message says what."""


def too_wide() -> NotPairwise:
    return NotPairwise(f"an expectation over more than {WIDEST} Gaussian variables that hang together")


@dataclass(frozen=True)
class Triple:
    """What goes with a covariance of a pair: the variances, |x||y| - |c|, and whether c >= 0 for certain."""

    left: int
    right: int
    defect: int
    nonnegative: bool


class Lowering:
    """Puts quantities of a law into a graph. `rows`: data rows an input; those of the second follow those of the first."""

    def __init__(self, law: Law, rows: int, env: Mapping[str, float]):
        self.law = law
        self.poles = Poles(law)
        self.rows = rows
        self.env = env
        self.graph = Graph()
        self.native = Native(self.graph, env)
        self.chosen: list[Choice] = []
        self._quantities: dict[int, int] = {}
        self._sums: dict[int, list[int]] = {}
        self._products: dict[int, list[int]] = {}
        self._triples: dict[int, Triple | None] = {}
        self._geometries: dict[tuple[int, int, int], Geometry] = {}
        self._operations: dict[tuple, ArrayOp] = {}
        self._probe_rows = np.random.default_rng(7).standard_normal((5, rows, 7 + rows))
        self._probes: dict[int, Any] = {}

    # ------------------------------------------------------------------------------------------ numbers
    def scalar(self, line: int) -> int:
        """The node of a scalar line, what it needs first: no deep recursion."""
        quantities, value = self.law.calculus.quantities, self.law.scalars[line]
        needed: set[int] = set()
        stack = list(used_quantities([value]))
        while stack:
            q = stack.pop()
            if q not in needed and q not in self._quantities:
                needed.add(q)
                stack.extend(used_quantities(parts(quantities[q].definition)))
        for q in sorted(needed):
            self.quantity(q)
        return self.number(value)

    def number(self, value: Any) -> int:
        """The node of a sympy expression over constants, Gram symbols and quantities."""
        graph = self.graph
        if value.is_Symbol:
            return self._symbol(value)
        if not value.args or value.is_number:
            return graph.constant(float(value))
        if value.is_Pow:
            return self._power(self.number(value.base), value.exp)
        arguments = [self.number(a) for a in value.args]
        if value.is_Add:
            return self._remembered(self._sums, graph.add(*arguments), arguments)
        if value.is_Mul:
            return self._remembered(self._products, graph.mul(*arguments), arguments)
        if isinstance(value, Ratio):
            return graph.mul(arguments[0], graph.apply("inverse", arguments[1]))
        name = _FUNCTIONS.get(type(value).__name__)
        if name is None:
            raise NotPairwise(f"{type(value).__name__} of numbers of the limit")
        found = arguments[0]
        if len(arguments) == 1:
            return graph.apply(name, found)
        for other in arguments[1:]:
            found = graph.apply(name, found, other)
        return found

    def _remembered(self, made: dict[int, list[int]], found: int, arguments: list[int]) -> int:
        """Remember what a sum or a product was made of, unless it is one of its parts."""
        if found not in arguments and found not in self._sums and found not in self._products:
            made[found] = arguments
        return found

    def _symbol(self, symbol: Any) -> int:
        index = quantity_index(symbol)
        if index is not None:
            return self.quantity(index)
        name = constant_name(symbol)
        if not name.startswith("gram_"):
            return self.graph.constant(self.env[name])
        i, j = sorted(map(int, name.split("_")[1:]))
        if j < self.rows:
            return self.graph.dot(i, j, LEFT)
        return self.graph.dot(i - self.rows, j - self.rows, RIGHT) if i >= self.rows else self._pair_dot(i, j)

    def _pair_dot(self, i: int, j: int) -> int:
        i, j = i, j - self.rows
        node = self.graph.dot(i, j, PAIR)
        if node not in self._triples:
            left, right = self.graph.dot(i, i, LEFT), self.graph.dot(j, j, RIGHT)
            self._triples[node] = Triple(left, right, self.graph.defect(i, j), False)
        return node

    def _power(self, base: int, exponent: Any) -> int:
        graph = self.graph
        if exponent.is_Integer and 0 < int(exponent) <= 4:
            return graph.mul(*[base] * int(exponent))
        if exponent == 0.5:
            return graph.apply("sqrt", base)
        if (2 * exponent).is_Integer and exponent < 0:
            return graph.apply("div", graph.constant(1.0), self._power(base, -exponent))
        return graph.apply("pow", base, self.number(exponent))

    def quantity(self, index: int) -> int:
        if index not in self._quantities:
            definition = self.law.calculus.quantities[index].definition
            self._quantities[index] = (
                self._atom(definition) if isinstance(definition, Atom) else self.number(definition)
            )
        return self._quantities[index]

    # ------------------------------------------------------------------------------------------ expectations
    def _atom(self, atom: Atom) -> int:
        size = len(atom.covariance)
        if size > WIDEST:
            raise too_wide()
        covariance = [[self.number(c) for c in row] for row in atom.covariance]
        found = sides(atom.integrand, size)
        if found is None:
            raise NotPairwise("a function of two Gaussian variables that is no product")
        scaled = [_descaled(side) for side in found]
        factors = [self.number(to_sympy(scale)) for scale, _ in scaled]
        functions = [function for _, function in scaled]
        for (
            function
        ) in functions:  # of variables that are no multiples of each other: either pole is one of the product
            self.poles.refuse(function, np.eye(1), self.env, {})
        variances = [self.graph.mul(f, f, covariance[i][i]) for i, f in enumerate(factors)]
        if size == 1:
            return self._mean(functions[0], variances[0])
        both = self.graph.mul(*factors, covariance[1][0])
        self._remembered(self._products, both, [*factors, covariance[1][0]])
        if self.graph.side(variances[0]) == RIGHT and self.graph.side(variances[1]) == LEFT:
            functions.reverse()
            variances.reverse()
        if PAIR in map(self.graph.side, variances):
            raise NotPairwise("a variance that depends on both inputs")
        return self._covariance(functions[0], functions[1], variances[0], variances[1], both)

    def _mean(self, function: Expr, variance: int) -> int:
        graph, zero = self.graph, self.graph.constant(0.0)
        root = _square_root(function)
        formula = dual(function, number(1))
        exact = formula is not None or (root is not None and dual(root, root) is not None)
        self._note(mul(function), 1, formula, "closed form" if exact else "quadrature", "once an input")
        native = None
        if root is not None and (square := dual(root, root)) is not None:
            native = self.native.expectation(square, lambda: Geometry(graph, variance, variance, variance, zero, True))
        elif formula is not None:
            native = self.native.expectation(formula, lambda: Geometry(graph, variance, zero, zero, zero, True))
        if native is not None:
            return native
        if formula is not None:
            return graph.make("dual", (variance, zero, zero), self._dual_op(formula))
        return self._integrated(function, variance)

    def _integrated(self, function: Expr, variance: int) -> int:
        operation = self._operation(("mean", function), lambda: mean_op(function, self.env))
        return self.graph.make("mean", (variance,), operation)

    def _covariance(self, left: Expr, right: Expr, first: int, second: int, both: int) -> int:
        graph = self.graph
        formula = dual(left, right)
        if formula is None:
            return self._series(left, right, first, second, both)
        self._note(_joined(left, right), 2, formula, "closed form", "a pair")
        if graph.side(both) == PAIR:
            found = self.native.expectation(formula, lambda: self._geometry(first, second, both))
            if found is not None:
                self._carry(found, formula, first, second, both)
                return found
        return graph.make("dual", (first, second, both), self._dual_op(formula))

    def _series(self, left: Expr, right: Expr, first: int, second: int, both: int) -> int:
        """What has no closed form. Functions with kinks need 1 - |ρ| of a pair, and give the defect of their covariance."""
        graph = self.graph
        kinked = has_kinks(left) or has_kinks(right)
        how = "coefficients once an input, a sum a pair" + ("; panels near |ρ| = 1" if kinked else "")
        self._note(_joined(left, right), 2, None, "Hermite series" + (" and panels" if kinked else ""), how)
        a, b = (
            graph.make("coefficients", (variance,), self._coefficients(side))
            for side, variance in ((left, first), (right, second))
        )
        roots = (graph.apply("inverse", graph.apply("sqrt", v)) for v in (first, second))
        arguments: tuple[int, ...] = (a, b, graph.mul(both, *roots))
        if not kinked or graph.side(both) != PAIR:
            operation = self._operation(("series", left, right), lambda: series_op(left, right, self.env))
            return graph.make("series", arguments, operation)
        arguments += (self._geometry(first, second, both).delta(),)
        if left != right:
            operation = self._operation(("series", left, right), lambda: series_op(left, right, self.env))
            return graph.make("series", arguments, operation)
        energies = [self._integrated(mul(left, left), v) for v in (first, second)]
        operation = self._operation(("defect", left), lambda: series_with_defect_op(left, self.env))
        whole = graph.make("series", (*arguments, *energies), operation)
        found, defect = (graph.make("part", (whole,), part) for part in _PARTS)
        self._triples[found] = Triple(energies[0], energies[1], defect, False)
        return found

    def _note(self, integrand: Expr, size: int, formula: Dual | None, method: str, how: str) -> None:
        """Remember a choice for the plan."""
        declined = (("closed form", "no formula is known"),) if method != "closed form" else ()
        reason = f"{', '.join(formula.records)}; {how}" if formula is not None else how
        self.chosen.append(Choice(expectation_text(integrand, size), 1, size, method, reason, declined))

    def _coefficients(self, function: Expr) -> ArrayOp:
        return self._operation(("coefficients", function), lambda: coefficients_op(function, self.env))

    def _dual_op(self, formula: Dual) -> ArrayOp:
        env = self.env
        return self._operation(
            ("dual", formula), lambda: ArrayOp("closed form", lambda q1, q2, c: formula.value(q1, q2, c, env))
        )

    def _operation(self, key: tuple, make: Callable[[], ArrayOp]) -> ArrayOp:
        if key not in self._operations:
            self._operations[key] = make()
        return self._operations[key]

    # ------------------------------------------------------------------------------------------ defects
    def _geometry(self, first: int, second: int, both: int) -> Geometry:
        key = (first, second, both)
        if key not in self._geometries:
            triple = self._triple(both)
            if triple is not None and self._same(triple.left, first) and self._same(triple.right, second):
                found = Geometry(self.graph, first, second, both, triple.defect, triple.nonnegative)
            else:
                found = Geometry(self.graph, first, second, both, None, False)
            self._geometries[key] = found
        return self._geometries[key]

    def _carry(self, found: int, formula: Dual, first: int, second: int, both: int) -> None:
        """The triple of E φ(u) φ(v) for φ(z) = α z + β |z|."""
        slopes = self.native.slopes(formula)
        if slopes is None:
            return
        geometry, graph = self._geometry(first, second, both), self.graph
        even, odd = slopes[1] ** 2, slopes[0] ** 2
        defect = geometry.homogeneous_defect(odd, even, found)
        left, right = (graph.scale(odd + even, v) for v in (first, second))
        self._triples[found] = Triple(left, right, defect, even >= odd)

    def _same(self, a: int, b: int) -> bool:
        """Are two numbers of one input the same formula? Tried on random inputs."""
        if a == b:
            return True
        found = evaluate_single(self.graph, [a, b], self._probe_rows, known=self._probes)
        return bool(np.allclose(found[a], found[b], rtol=SAME, atol=0))

    def _triple(self, node: int) -> Triple | None:
        if node not in self._triples:
            terms, factors = self._sums.get(node), self._products.get(node)
            self._triples[node] = None  # until it is known
            if terms is not None:
                self._triples[node] = self._sum(node, terms)
            elif factors is not None:
                self._triples[node] = self._product(factors)
        return self._triples[node]

    def _product(self, factors: list[int]) -> Triple | None:
        """A covariance times a constant and one number of each input."""
        graph = self.graph
        pairs = [f for f in factors if graph.side(f) == PAIR]
        triple = self._triple(pairs[0]) if len(pairs) == 1 else None
        if triple is None:
            return None
        constant = graph.mul(*(f for f in factors if graph.side(f) == CONSTANT))
        left, right = (graph.mul(*(f for f in factors if graph.side(f) == side)) for side in (LEFT, RIGHT))
        value = graph.value(constant) or 0.0
        size = graph.constant(abs(value))
        plain = all(graph.side(f) in (CONSTANT, PAIR) for f in factors)
        return Triple(
            graph.mul(size, left, left, triple.left),
            graph.mul(size, right, right, triple.right),
            graph.mul(size, graph.apply("abs", left), graph.apply("abs", right), triple.defect),
            triple.nonnegative and plain and value >= 0,
        )

    def _sum(self, node: int, terms: list[int]) -> Triple | None:
        """|x||y| - Σ c_k = Σ e_k + (|x||y| - Σ |x_k||y_k|), the bracket as a sum of squares (Lagrange's identity).

        True where no c_k is negative; elsewhere the defect is a difference.
        """
        graph = self.graph
        constant = graph.add(*(t for t in terms if graph.side(t) == CONSTANT))
        pairs = [t for t in terms if graph.side(t) != CONSTANT]
        found = [self._triple(t) for t in pairs]
        if (graph.value(constant) or 0.0) < 0 or len(pairs) > MAX_TERMS or None in found:
            return None
        triples = [t for t in found if t is not None]
        sides = [(t.left, t.right) for t in triples]
        if graph.value(constant) != 0:
            sides.append((constant, constant))
        left, right = (graph.add(*(s[k] for s in sides)) for k in (0, 1))
        roots = [tuple(graph.apply("sqrt", v) for v in s) for s in sides]
        products = [graph.mul(*r) for r in roots]
        whole = graph.mul(graph.apply("sqrt", left), graph.apply("sqrt", right))
        squares = [
            graph.square(graph.sub(graph.mul(u[0], v[1]), graph.mul(v[0], u[1])))
            for k, u in enumerate(roots)
            for v in roots[:k]
        ]
        below = graph.apply("max", graph.add(whole, *products), graph.constant(TINY))
        defect = graph.add(*(t.defect for t in triples), graph.apply("div", graph.add(*squares), below))
        unsure = [p for p, t in zip(pairs, triples, strict=True) if not t.nonnegative]
        if unsure:
            least = unsure[0]
            for other in unsure[1:]:
                least = graph.apply("min", least, other)
            defect = graph.apply("select", least, defect, difference(graph, whole, node))
        return Triple(left, right, defect, not unsure)


def difference(graph: Graph, whole: int, both: int) -> int:
    """|x||y| - |c|, which cancels."""
    return graph.apply("max", graph.sub(whole, graph.apply("abs", both)), graph.constant(0.0))


_FUNCTIONS = {
    "exp": "exp", "log": "log", "sin": "sin", "cos": "cos", "tanh": "tanh", "atan": "arctan", "Abs": "abs",
    "Max": "max", "Min": "min",
}  # fmt: skip


_PARTS = (ArrayOp("covariance", lambda both: both[0]), ArrayOp("defect", lambda both: both[1]))


def _joined(left: Expr, right: Expr) -> Expr:
    """The product of a function of the first variable and one of the second."""
    return mul(left, substitute(right, lambda x: ref(1) if x.op == "ref" else x))


def _square_root(function: Expr) -> Expr | None:
    """g if the function is written as g²."""
    if function.op == "mul" and len(function.args) == 2 and function.args[0] == function.args[1]:
        return function.args[0]
    return function.args[0] if function.op == "pow" and function.args[1].is_value(2) else None


def _descaled(function: Expr) -> tuple[Expr, Expr]:
    """F(z) = G(s z) with the numbers of the limit in s alone: (s, G)."""
    if not leaves(function, "quantity"):
        return number(1), function
    scales: set[Expr] = set()

    def walk(node: Expr) -> Expr:
        if node.op == "ref":
            scales.add(number(1))
            return node
        if node.op == "mul" and ref(0) in node.args:
            rest = mul(*(a for a in node.args if a != ref(0)))
            if not leaves(rest, "ref"):
                scales.add(rest)
                return ref(0)
        return Expr(node.op, tuple(map(walk, node.args)), node.value) if node.args else node

    plain = walk(function)
    if len(scales) != 1 or leaves(plain, "quantity"):
        raise NotPairwise("a nonlinearity with numbers of the limit that are no scale of its argument")
    return next(iter(scales)), plain


__all__ = ["Lowering", "NoLaw", "NotPairwise"]
