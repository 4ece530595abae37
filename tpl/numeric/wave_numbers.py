"""Numbers of a limit as a graph: what each is computed from, at which height above the data.

Numbers of equal height depend on none of each other, so that those of one kind are computed at once, as arrays
(`waves`). Equal nodes are one, and numbers that do not depend on the data are folded as the graph grows.
"""

from collections.abc import Iterable

import numpy as np

from tpl.core.expr import Expr
from tpl.core.functions import FUNCTIONS

Terms = Iterable[tuple[float, int, int]]
IDENTITY = 0  # the function z


class Numbers:
    """Nodes, each with its kind, what belongs to the kind, the nodes that it is computed from, and its height.

    | kind       | detail             | arguments     | value |
    |------------|--------------------|---------------|-------|
    | constant   | a float            |               | itself |
    | dot        | rows i, j          |               | ⟨row i, row j⟩ of the data |
    | total      | weights            | a1, b1, a2, … | Σ weight · a · b |
    | dual       | functions f, g     | q, q', c      | E f(u) g(v), (u, v) Gaussian with variances q, q' and covariance c |
    | mean       | function f         | q             | E f(u) |
    | apply      | an operation       | a, …          | the elementwise function of `core.functions` |

    functions: of `dual` and `mean`, expressions over one reference; the first one is z itself.
    """

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.details: list[object] = []
        self.args: list[tuple[int, ...]] = []
        self.heights: list[int] = []
        self.functions: list[Expr] = []
        self._known: dict[tuple, int] = {}
        self._function: dict[Expr, int] = {}
        self.zero, self.one = self.constant(0.0), self.constant(1.0)

    def function(self, expr: Expr) -> int:
        """The number of a function."""
        if expr not in self._function:
            self._function[expr] = len(self.functions)
            self.functions.append(expr)
        return self._function[expr]

    def _make(self, kind: str, detail: object, args: tuple[int, ...] = ()) -> int:
        key = (kind, detail, args)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = len(self.kinds)
            self.kinds.append(kind)
            self.details.append(detail)
            self.args.append(args)
            heights = self.heights
            own = 0 if kind in ("constant", "dot") else 1
            heights.append(own + max((heights[a] for a in args), default=0))
        return found

    # ------------------------------------------------------------------------------------------ nodes
    def constant(self, value: float) -> int:
        return self._make("constant", value + 0.0)

    def value(self, node: int) -> float | None:
        """Of a number that does not depend on the data."""
        return self.details[node] if self.kinds[node] == "constant" else None  # type: ignore[return-value]

    def dot(self, i: int, j: int) -> int:
        return self._make("dot", (i, j) if i <= j else (j, i))

    def total(self, terms: Terms) -> int:
        """Σ weight · a · b."""
        found: dict[tuple[int, int], float] = {}
        one, kinds, details = self.one, self.kinds, self.details
        for weight, a, b in terms:
            if kinds[a] == "constant":
                weight, a = weight * details[a], one  # type: ignore[operator]
            if kinds[b] == "constant":
                weight, b = weight * details[b], one  # type: ignore[operator]
            key = (a, b) if a >= b else (b, a)
            found[key] = found.get(key, 0.0) + weight
        kept = {key: weight for key, weight in found.items() if weight != 0}
        if not kept:
            return self.zero
        if len(kept) == 1:
            ((a, b), weight) = next(iter(kept.items()))
            if a == b == one:
                return self.constant(weight)
            if weight == 1 and one in (a, b):
                return a if b == one else b
        return self._make("total", tuple(kept.values()), tuple(x for key in kept for x in key))

    def product(self, *factors: int) -> int:
        found = self.one
        for factor in factors:
            if found == self.one:
                found = factor
            elif factor != self.one:
                found = self.total([(1.0, found, factor)])
        return found

    def apply(self, op: str, *args: int) -> int:
        """A function of `core.functions`; ArithmeticError where constants have no finite value."""
        values = [self.value(a) for a in args]
        if None in values:
            return self._make("apply", op, args)
        with np.errstate(all="ignore"):
            found = float(FUNCTIONS[op].array(*(np.float64(v) for v in values)))  # type: ignore[arg-type]
        if not np.isfinite(found):
            raise ArithmeticError(f"{op} of {values} is not finite")
        return self.constant(found)

    def mean(self, f: int, variance: int) -> int:
        return self.zero if f == IDENTITY else self._make("mean", f, (variance,))

    def dual(self, f: int, g: int, first: int, second: int, covariance: int) -> int:
        """E f(u) g(v), the same node for (g, f)."""
        if f == g == IDENTITY:
            return covariance
        if covariance == self.zero:
            return self.product(self.mean(f, first), self.mean(g, second))
        if (f, first) > (g, second):
            f, g, first, second = g, f, second, first
        return self._make("dual", (f, g), (first, second, covariance))

    # ------------------------------------------------------------------------------------------ what is needed
    def closure(self, roots: Iterable[int]) -> list[int]:
        """The nodes that some nodes are computed from, these included, in order."""
        needed: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack.extend(a for a in self.args[node] if a not in needed)
        return sorted(needed)


__all__ = ["IDENTITY", "Numbers"]
