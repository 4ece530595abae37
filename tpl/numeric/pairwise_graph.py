"""The law of a pair of inputs as a graph of numbers, each of which belongs to one input, to the other, or to the pair.

What belongs to one input is computed once an input; only what belongs to a pair is computed for every pair.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CONSTANT, LEFT, RIGHT, PAIR = 0, 1, 2, 3  # a node's side is the union of those of its arguments


@dataclass(frozen=True, slots=True)
class Primitive:
    """An elementwise function: for arrays of any precision, and as text over the texts of its arguments."""

    array: Callable[..., Any]
    text: str


PRIMITIVES = {
    "add": Primitive(np.add, "({} + {})"),
    "sub": Primitive(np.subtract, "({} - {})"),
    "mul": Primitive(np.multiply, "({} * {})"),
    "div": Primitive(np.divide, "({} / {})"),
    "pow": Primitive(np.power, "({} ** {})"),
    "sqrt": Primitive(np.sqrt, "np.sqrt({})"),
    "abs": Primitive(np.abs, "abs({})"),
    "min": Primitive(np.minimum, "min({}, {})"),
    "max": Primitive(np.maximum, "max({}, {})"),
    # select(c, a, b): a where c >= 0, b elsewhere
    "select": Primitive(lambda c, a, b: np.where(c >= 0, a, b), "({1} if {0} >= 0.0 else {2})"),
    # inverse(a): 1 / a, and 0 at 0
    "inverse": Primitive(lambda a: np.divide(1.0, a, out=np.zeros_like(a), where=a != 0),
                         "(1.0 / {0} if {0} != 0.0 else 0.0)"),
    "is_zero": Primitive(lambda a: np.where(a == 0, 1.0, 0.0), "(1.0 if {0} == 0.0 else 0.0)"),
    "exp": Primitive(np.exp, "np.exp({})"),
    "log": Primitive(np.log, "np.log({})"),
    "sin": Primitive(np.sin, "np.sin({})"),
    "cos": Primitive(np.cos, "np.cos({})"),
    "sinh": Primitive(np.sinh, "np.sinh({})"),
    "cosh": Primitive(np.cosh, "np.cosh({})"),
    "tanh": Primitive(np.tanh, "np.tanh({})"),
    "arctan": Primitive(np.arctan, "np.arctan({})"),
    # asin(√z) / √z on [0, 1/2]
    "arcsine_ratio": Primitive(lambda z: arcsine_ratio(z), "arcsine_ratio({})"),
}  # fmt: skip

# Of the powers of z, lowest first; from tests/numeric/make_arcsine_coefficients.py. Relative error 3.3e-17.
ARCSINE = (
    1.0, 0.16666666666664987, 0.07500000000401816, 0.044642856762615, 0.030381963396751827, 0.022371584779320355,
    0.017364281439103527, 0.01380344589589198, 0.013191002571753903, -0.002601537848299688, 0.07871611357002127,
    -0.2968705430689824, 1.0082016650534187, -2.4908808126226116, 4.6420689099888435, -6.229299875397985,
    5.7579408313146985, -3.278933156739812, 0.8892904367638688,
)  # fmt: skip


def estrin(coefficients: Sequence[float], powers: Sequence[str]) -> str:
    """Text of a polynomial, halved again and again; powers: the names of z, z², z⁴, …"""
    level = [repr(c) for c in coefficients]
    for z in powers:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [f"({p[0]} + {p[1]} * {z})" if len(p) == 2 else p[0] for p in pairs]
    return level[0]


def arcsine_ratio(z: Any) -> Any:
    """asin(√z) / √z for z in [0, 1/2]; in more than double precision from the library's arcsine."""
    if np.asarray(z).dtype == np.longdouble != np.dtype(float):
        root = np.sqrt(z)
        return np.divide(np.arcsin(root), root, out=np.ones_like(z), where=root > 0)
    total = np.full_like(z, ARCSINE[-1])
    for c in ARCSINE[-2::-1]:
        total = total * z + c
    return total


@dataclass(frozen=True, slots=True)
class Node:
    """op: a primitive; "constant"; "dot" and "defect" of data rows `value`; or what works on whole arrays, with its
    own `value` (an `ArrayOp`)."""

    op: str
    args: tuple[int, ...]
    value: Any
    side: int


@dataclass(frozen=True)
class ArrayOp:
    """A function of whole arrays, (*arguments) -> array; `name` says what it is.

    exact: does it give its values to rounding? Else `coarse` computes the same with less effort.
    """

    name: str
    function: Callable[..., Any]
    coarse: Callable[..., Any] | None = None


class Graph:
    """Nodes in the order in which they are needed; equal nodes are one."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[tuple, int] = {}
        self._twins: dict[int, int] = {}

    def side(self, node: int) -> int:
        return self.nodes[node].side

    def make(self, op: str, args: tuple[int, ...] = (), value: Any = None, side: int | None = None) -> int:
        if side is None:
            side = CONSTANT
            for a in args:
                side |= self.nodes[a].side
        key = (op, args, value, side)
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(Node(op, args, value, side))
        return self._known[key]

    # ------------------------------------------------------------------------------------------ leaves
    def constant(self, value: float) -> int:
        return self.make("constant", (), float(value))

    def value(self, node: int) -> float | None:
        """The value of a constant node."""
        found = self.nodes[node]
        return found.value if found.op == "constant" else None

    def dot(self, i: int, j: int, side: int) -> int:
        """The inner product of rows i and j of an input, or of row i of the left one and row j of the right one."""
        return self.make("dot", (), (i, j), side)

    def defect(self, i: int, j: int) -> int:
        """|x||y| - |⟨x, y⟩| of rows i and j, without cancellation."""
        return self.make("defect", (), (i, j), PAIR)

    # ------------------------------------------------------------------------------------------ arithmetic
    def apply(self, op: str, *args: int) -> int:
        """A primitive; of constants a constant."""
        values = [self.value(a) for a in args]
        if None not in values:
            with np.errstate(all="ignore"):
                found = float(PRIMITIVES[op].array(*(np.asarray(v, dtype=float) for v in values)))
            if not np.isfinite(found):
                raise ArithmeticError(f"{op} of {values} is not finite")
            return self.constant(found)
        return self.make(op, args)

    def add(self, *terms: int) -> int:
        return self._fold("add", terms, 0.0)

    def mul(self, *factors: int) -> int:
        if any(self.value(f) == 0 for f in factors):
            return self.constant(0.0)
        return self._fold("mul", factors, 1.0)

    def scale(self, factor: float, node: int) -> int:
        return self.mul(self.constant(factor), node)

    def sub(self, a: int, b: int) -> int:
        return a if self.value(b) == 0 else self.apply("sub", a, b)

    def square(self, a: int) -> int:
        return self.mul(a, a)

    def _fold(self, op: str, parts: Iterable[int], neutral: float) -> int:
        """Parts of one side first, so that little is left to do for every pair."""
        groups: dict[int, int] = {}
        for part in sorted(parts, key=lambda p: (self.side(p), p)):
            if self.value(part) != neutral:
                side = self.side(part)
                groups[side] = self.apply(op, groups[side], part) if side in groups else part
        if CONSTANT in groups and len(groups) > 1:
            folded = groups.pop(CONSTANT)
            if self.value(folded) != neutral:
                first = min(groups)
                groups[first] = self.apply(op, folded, groups[first])
        found = [groups[side] for side in sorted(groups)]
        result = found[0] if found else self.constant(neutral)
        for part in found[1:]:
            result = self.apply(op, result, part)
        return result

    # ------------------------------------------------------------------------------------------ one input
    def twin(self, node: int) -> int:
        """The left input's node that corresponds to one of the right input's."""
        if self.nodes[node].side != RIGHT:
            return node
        if node not in self._twins:
            for index in self.closure([node]):
                found = self.nodes[index]
                if found.side == RIGHT and index not in self._twins:
                    args = tuple(self._twins.get(a, a) for a in found.args)
                    self._twins[index] = self.make(found.op, args, found.value, LEFT)
        return self._twins[node]

    def closure(self, roots: Iterable[int]) -> list[int]:
        """The nodes that some nodes need, in order."""
        needed: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack.extend(self.nodes[node].args)
        return sorted(needed)


def evaluate_single(
    graph: Graph, roots: Iterable[int], rows: np.ndarray, coarse: bool = False, known: dict[int, Any] | None = None
) -> dict[int, Any]:
    """Values of nodes of one input for every input, [N]; rows: the data, [N, rows, d]. Arrays of `ArrayOp`s may be larger."""
    values: dict[int, Any] = {} if known is None else known
    with np.errstate(all="ignore"):
        for index in graph.closure(roots):
            node = graph.nodes[index]
            if index in values:
                continue
            if node.op == "constant":
                values[index] = np.full(len(rows), node.value)
            elif node.op == "dot":
                i, j = node.value
                values[index] = np.einsum("nd,nd->n", rows[:, i], rows[:, j])
            else:
                values[index] = apply_node(node, [values[a] for a in node.args], coarse)
    return values


def apply_node(node: Node, arguments: list[Any], coarse: bool = False) -> Any:
    """The value of a primitive or of an `ArrayOp`, under `np.errstate(all="ignore")`."""
    if isinstance(node.value, ArrayOp):
        chosen = node.value.coarse if coarse and node.value.coarse is not None else node.value.function
        return chosen(*arguments)
    return PRIMITIVES[node.op].array(*arguments)
