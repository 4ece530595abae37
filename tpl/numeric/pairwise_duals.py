"""E φ(u) ψ(v) as arithmetic without branches, for the functions that networks use most.

(u, v) centred Gaussian with variances A, B and covariance c. With e = √(AB) - |c| and δ = e/√(AB), the angle between u
and ±v is α = arccos(1 - δ) = √(2δ) R(δ/2), R(z) = asin(√z)/√z. Sources: Cho and Saul 2009 (arc-cosine kernels),
Williams 1997 (erf), Isserlis 1918 (powers).
"""

from collections.abc import Callable, Mapping
from math import comb, factorial, pi, prod

from tpl.core.expr import ZERO
from tpl.limit.closed_forms import Dual
from tpl.limit.closed_forms.constants import to_double2
from tpl.limit.closed_forms.form import Shape
from tpl.numeric.pairwise_graph import Graph

MAX_POWER = 6
Kind = tuple[str, float]  # ("power", k): z^k; ("sign", k): z^k sign z; ("erf", a): erf(a z); ("square", s): exp(s z²)


class Geometry:
    """Two Gaussians, and what formulas need of them; nodes are made when asked for."""

    def __init__(self, graph: Graph, first: int, second: int, both: int, defect: int | None, nonnegative: bool):
        self.graph = graph
        self.first, self.second, self.both = first, second, both
        self.nonnegative = nonnegative
        roots = [graph.apply("sqrt", v) for v in (first, second)]
        self.inverses = [graph.apply("inverse", r) for r in roots]
        self.whole = graph.mul(*roots)  # √(AB)
        self.size = both if nonnegative else graph.apply("abs", both)
        zero = graph.constant(0.0)
        self.defect = defect if defect is not None else graph.apply("max", graph.sub(self.whole, self.size), zero)
        self._angle: tuple[int, int] | None = None

    def signed(self, value: int) -> int:
        """sign(c) times a value, 1 at c = 0."""
        if self.nonnegative:
            return value
        return self.graph.apply("select", self.both, value, self.graph.scale(-1.0, value))

    def delta(self) -> int:
        """1 - |ρ|; 1 where a variance vanishes."""
        graph = self.graph
        zeros = [graph.apply("is_zero", v) for v in (self.first, self.second)]
        delta = graph.add(graph.mul(self.defect, *self.inverses), *zeros)
        return graph.apply("min", graph.apply("max", delta, graph.constant(0.0)), graph.constant(1.0))

    def angle(self) -> tuple[int, int]:
        """α and sin α; α = π/2 where a variance vanishes."""
        if self._angle is None:
            graph, delta = self.graph, self.delta()
            root = graph.apply("sqrt", graph.scale(2.0, delta))
            alpha = graph.mul(root, graph.apply("arcsine_ratio", graph.scale(0.5, delta)))
            sine = graph.apply("sqrt", graph.mul(delta, graph.sub(graph.constant(2.0), delta)))
            self._angle = alpha, sine
        return self._angle

    def excess(self) -> int:
        """√(AB) (sin α - α cos α), which is E|uv| - |c| up to a factor 2/π."""
        alpha, sine = self.angle()
        return self.graph.sub(self.graph.mul(self.whole, sine), self.graph.mul(self.size, alpha))

    def homogeneous_defect(self, odd: float, even: float, value: int) -> int:
        """The defect of E φ(u) φ(v) for φ(z) = α z + β|z|, odd = α², even = β²."""
        graph = self.graph
        total = odd + even
        near = graph.sub(graph.scale(total, self.defect), graph.scale(2 * even / pi, self.excess()))
        if self.nonnegative:
            return near
        size = value if even >= odd else graph.apply("abs", value)
        return graph.apply("select", self.both, near, graph.sub(graph.scale(total, self.whole), size))

    def determinant(self) -> int:
        """AB - c² = e (√(AB) + |c|)."""
        return self.graph.mul(self.defect, self.graph.add(self.whole, self.size))


class Native:
    """Expectations as nodes of a graph."""

    def __init__(self, graph: Graph, env: Mapping[str, float]):
        self.graph = graph
        self.env = env

    def expectation(self, formula: Dual, geometry: Callable[[], Geometry]) -> int | None:
        """The sum over the terms of both sides; None if there is no rule for some pair."""
        left, right = self._terms(formula.left), self._terms(formula.right)
        if left is None or right is None:
            return None
        rules = [(a * b, self._rule(k, m)) for k, a in left.items() for m, b in right.items()]
        if any(rule is None for _, rule in rules):
            return None
        here = geometry()
        return self.graph.add(*(self.graph.scale(x, rule(here)) for x, rule in rules if rule is not None))

    def slopes(self, formula: Dual) -> tuple[float, float] | None:
        """(α, β) if both sides are α z + β |z|."""
        terms = self._terms(formula.left)
        if formula.left != formula.right or terms is None or not set(terms) <= {("power", 1), ("sign", 1)}:
            return None
        return terms.get(("power", 1), 0.0), terms.get(("sign", 1), 0.0)

    def _terms(self, side: tuple) -> dict[Kind, float] | None:
        found: dict[Kind, float] = {}
        for shape, coefficient in side:
            kind = self._kind(shape)
            if kind is None:
                return None
            sign = 1.0
            if kind[0] == "sign":
                sign = 1.0 if float(to_double2(shape.gates[0].scale, self.env).hi) > 0 else -1.0
            found[kind] = found.get(kind, 0.0) + sign * float(to_double2(coefficient, self.env).hi)
        return found

    def _kind(self, shape: Shape) -> Kind | None:
        if shape.wave or shape.linear != ZERO or len(shape.gates) > 1 or shape.power > MAX_POWER:
            return None
        square = float(to_double2(shape.square, self.env).hi)
        if not shape.gates:
            if square:
                return ("square", square) if shape.power == 0 and square < 0 else None
            return "power", shape.power
        (gate,) = shape.gates
        scale = float(to_double2(gate.scale, self.env).hi)
        if square or not gate.centred or scale == 0:
            return None
        if gate.hard:
            return "sign", shape.power
        return ("erf", scale) if shape.power == 0 else None

    def _rule(self, left: Kind, right: Kind) -> Callable[[Geometry], int] | None:
        (k, a), (m, b) = left, right
        if k == m == "power":
            return lambda g: self._powers(g, int(a), int(b))
        if k == m == "sign":
            rule = {(0, 0): self._signs, (1, 1): self._absolutes}.get((int(a), int(b)))
            if rule is None and (a + b) % 2:
                return self._zero
            return rule
        if k == m == "erf":
            return lambda g: self._errors(g, a, b)
        if k == m == "square":
            return lambda g: self._bells(g, a, b)
        if {k, m} == {"power", "sign"} and (a + b) % 2 == 0:
            return self._zero
        return None

    def _zero(self, _: Geometry) -> int:
        return self.graph.constant(0.0)

    def _powers(self, g: Geometry, j: int, k: int) -> int:
        """E u^j v^k: over the number i of factors u that meet factors v."""
        if (j + k) % 2:
            return self.graph.constant(0.0)
        terms = []
        for i in range(j % 2, min(j, k) + 1, 2):
            count = comb(j, i) * comb(k, i) * factorial(i) * _pairings(j - i) * _pairings(k - i)
            factors = [g.both] * i + [g.first] * ((j - i) // 2) + [g.second] * ((k - i) // 2)
            terms.append(self.graph.scale(float(count), self.graph.mul(*factors)))
        return self.graph.add(*terms)

    def _signs(self, g: Geometry) -> int:
        """E sign(u) sign(v) = ±(1 - 2α/π)."""
        alpha, _ = g.angle()
        return g.signed(self.graph.sub(self.graph.constant(1.0), self.graph.scale(2 / pi, alpha)))

    def _absolutes(self, g: Geometry) -> int:
        """E|u||v| = |c| + (2/π) √(AB) (sin α - α cos α)."""
        return self.graph.add(g.size, self.graph.scale(2 / pi, g.excess()))

    def _errors(self, g: Geometry, a: float, b: float) -> int:
        """E erf(au) erf(bv) = (2/π) arcsin x, 1 - |x| from the determinant, which does not cancel."""
        graph = self.graph
        inverse = graph.mul(
            *(graph.apply("div", graph.constant(1.0), graph.apply("sqrt", self._spread(v, s)))
              for v, s in ((g.first, a), (g.second, b)))
        )  # fmt: skip
        x = graph.mul(graph.constant(2 * abs(a * b)), g.size, inverse)
        delta = graph.mul(self._joint(g, -a * a, -b * b), inverse, inverse)
        delta = graph.apply("div", delta, graph.add(graph.constant(1.0), x))
        large = graph.sub(x, graph.constant(0.5))
        half = graph.scale(0.5, delta)
        ratio = graph.apply("arcsine_ratio", graph.apply("select", large, half, graph.mul(x, x)))
        outer = graph.sub(graph.constant(pi / 2), graph.mul(graph.apply("sqrt", graph.scale(2.0, delta)), ratio))
        value = g.signed(graph.scale(2 / pi, graph.apply("select", large, outer, graph.mul(x, ratio))))
        return graph.scale(1.0 if a * b > 0 else -1.0, value)

    def _bells(self, g: Geometry, a: float, b: float) -> int:
        """E exp(a u²) exp(b v²), a and b negative."""
        return self.graph.apply("div", self.graph.constant(1.0), self.graph.apply("sqrt", self._joint(g, a, b)))

    def _spread(self, variance: int, scale: float) -> int:
        return self.graph.add(self.graph.constant(1.0), self.graph.scale(2 * scale * scale, variance))

    def _joint(self, g: Geometry, a: float, b: float) -> int:
        """(1 - 2aA)(1 - 2bB) - 4ab c², as a sum of positive numbers."""
        graph = self.graph
        return graph.add(
            graph.constant(1.0), graph.scale(-2 * a, g.first), graph.scale(-2 * b, g.second),
            graph.scale(4 * a * b, g.determinant()),
        )  # fmt: skip


def _pairings(n: int) -> int:
    return prod(range(1, n, 2))
