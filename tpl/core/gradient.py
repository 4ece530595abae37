"""Reverse mode on core programs: the backward pass is more core lines, with transposes.

Everything is scaled so that it converges. For an output f (of size Θ(1)) and the base width n,

    a vector x has the adjoint  g_x = √n ∂f/∂x,     a scalar θ the adjoint  d_θ = ∂f/∂θ / √n.

With m = ρ n the width of the vectors at hand:

    g = W x          g_x += W.T g                     (and the reverse for W.T)
    x = ψ(y; θ)      g_y += g_x ∂ψ/∂y                 d_θ += ρ avg(g_x ∂ψ/∂θ)
    θ = avg ψ(y; τ)  g_y += d_θ ∂ψ/∂y / ρ             d_τ += d_θ avg(∂ψ/∂τ)
    f = v·x/√n       g_x += v

(TP2 §3 for the vectors; the scalars' rule follows from ∂f/∂θ = n^{-1/2} Σ_α g_α ∂ψ_α/∂θ.)
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tpl.core.builder import Builder
from tpl.core.expr import ONE, ZERO, Expr, add, div, mul, ref, substitute
from tpl.core.functions import FUNCTIONS
from tpl.core.program import Kind, Line
from tpl.core.values import RandomOutput


@dataclass
class Contributions:
    """What the parameters receive from one output: ∂f/∂(parameter) as outer products.

    matrices: matrix line -> pairs (left, right) of vector lines with √n ∂f/∂W = Σ left ⊗ right / √n ... summed.
    inputs: matrix line -> pairs (adjoint, constant row). vectors: initial vector line -> its adjoint line.
    readouts: readout line -> the vector line it meets. biases: bias line -> its coefficient.
    """

    matrices: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    inputs: dict[int, list[tuple[int, tuple[float, ...]]]] = field(default_factory=dict)
    vectors: dict[int, int] = field(default_factory=dict)
    readouts: dict[int, int] = field(default_factory=dict)
    biases: dict[int, Expr] = field(default_factory=dict)


def backpropagate(builder: Builder, output: RandomOutput, label: str) -> Contributions:
    """Append the backward pass of one output to the program. `label` tells its lines from other outputs' ones."""
    widths = dict(output.widths)
    lines = [(readout, builder.map(vector, widths[readout])) for readout, vector in output.vectors]
    found = backward(builder, [(line, ref(readout)) for readout, line in lines], label)
    found.readouts = {readout: line for readout, line in lines if builder.trained[readout]}
    found.biases = {bias: coefficient for bias, coefficient in output.biases if builder.trained[bias]}
    return found


def backward(builder: Builder, seeds: Iterable[tuple[int, Expr]], label: str) -> Contributions:
    """Append a backward pass that starts from given adjoints of vector lines: what matrices and vectors receive."""
    pass_ = _Backward(builder, label)
    for line, adjoint in seeds:
        pass_.give(line, adjoint)
    builder.label = label
    pass_.run()
    builder.label = ""
    return pass_.found


class _Backward:
    """One sweep from the output to the parameters. Lines are visited in falling order, each once."""

    def __init__(self, builder: Builder, label: str):
        self.builder = builder
        self.label = label
        self.found = Contributions()
        self._pending: dict[int, list[Expr]] = {}
        self._queue: list[int] = []

    def give(self, line: int, adjoint: Expr) -> None:
        if not self.builder.trained[line] or adjoint.is_value(0):
            return
        if line not in self._pending:
            self._pending[line] = []
            heapq.heappush(self._queue, -line)
        self._pending[line].append(adjoint)

    def run(self) -> None:
        while self._queue:
            index = -heapq.heappop(self._queue)
            line = self.builder.lines[index]
            adjoint = self._sum(line, self._pending.pop(index))
            _RULES[line.op](self, index, line, adjoint)

    def _sum(self, line: Line, adjoints: list[Expr]) -> int:
        width = str(line.dims[0]) if line.kind is Kind.VECTOR else None
        self.builder.at(line.origin.span, f"reverse mode of {line.name}")
        name = None if line.name.startswith("_") else f"d{line.name.partition('{')[0]}{self.label}"
        return self.builder.map(add(*adjoints), width, name)

    # ------------------------------------------------------------------------------------------ rules
    def matmul(self, index: int, line: Line, g: int) -> None:
        matrix, vector = line.args
        if self.builder.trained[matrix]:
            pair = (vector, g) if line.transposed else (g, vector)
            self.found.matrices.setdefault(matrix, []).append(pair)
        if self.builder.trained[vector]:
            self.give(vector, ref(self.builder.matmul(matrix, not line.transposed, g)))

    def input(self, index: int, line: Line, g: int) -> None:
        self.found.inputs.setdefault(line.args[0], []).append((g, line.row))

    def gaussian(self, index: int, line: Line, g: int) -> None:
        self.found.vectors[index] = g

    def map(self, index: int, line: Line, g: int) -> None:
        if line.kind is Kind.SCALAR:
            for arg, partial in self._partials(line):
                self.give(arg, mul(ref(g), partial))
            return
        width = str(line.dims[0])
        for arg, partial in self._partials(line):
            if self.builder.lines[arg].kind is Kind.VECTOR:
                self.give(arg, mul(ref(g), partial))
            else:
                inner = ref(self.builder.moment(mul(ref(g), partial), width))
                self.give(arg, mul(self.builder.ratio(width), inner))

    def moment(self, index: int, line: Line, d: int) -> None:
        vectors = [a for a in line.args if self.builder.lines[a].kind is Kind.VECTOR]
        width = str(self.builder.lines[vectors[0]].dims[0])
        for arg, partial in self._partials(line):
            if self.builder.lines[arg].kind is Kind.VECTOR:
                self.give(arg, div(mul(ref(d), partial), self.builder.ratio(width)))
            else:
                self.give(arg, mul(ref(d), self._average(partial, width)))

    def _average(self, expr: Expr, width: str) -> Expr:
        """avg of an expression, which need not hold a vector at all."""
        holds = any(self.builder.lines[i].kind is Kind.VECTOR for i in _references(expr))
        return ref(self.builder.moment(expr, width)) if holds else expr

    def _partials(self, line: Line) -> Iterator[tuple[int, Expr]]:
        """For every argument that depends on a parameter: its line and ∂ψ/∂(it), over lines."""
        assert line.expr is not None
        wanted = {i for i, a in enumerate(line.args) if self.builder.trained[a]}
        for position, partial in partial_derivatives(line.expr, wanted):
            yield line.args[position], open_(partial, line.args)


_RULES = {
    "matmul": _Backward.matmul,
    "input": _Backward.input,
    "gaussian": _Backward.gaussian,
    "map": _Backward.map,
    "moment": _Backward.moment,
}


def _references(expr: Expr) -> Iterable[int]:
    from tpl.core.expr import leaves

    return (int(v) for v in leaves(expr, "ref"))  # type: ignore[arg-type]


def open_(expr: Expr, args: tuple[int, ...]) -> Expr:
    """Undo `close`: argument positions become line references."""
    return substitute(expr, lambda e: ref(args[int(e.value)]) if e.op == "ref" else e)  # type: ignore[arg-type]


def partial_derivatives(expr: Expr, wanted: set[int]) -> list[tuple[int, Expr]]:
    """∂expr/∂ref(i) for the wanted i, by one reverse sweep over the expression's graph (shared subtrees once)."""
    order: list[Expr] = []
    _postorder(expr, order, set())
    adjoint: dict[int, list[Expr]] = {id(expr): [ONE]}
    totals: dict[int, list[Expr]] = {}
    for node in reversed(order):
        parts = adjoint.pop(id(node), None)
        if not parts:
            continue
        if node.op == "ref":
            totals.setdefault(int(node.value), []).extend(parts)  # type: ignore[arg-type]
        if not node.args:
            continue
        total = add(*parts)
        for child, partial in zip(node.args, FUNCTIONS[node.op].partials(*node.args), strict=True):
            if _varies(child) and not partial.is_value(0):
                adjoint.setdefault(id(child), []).append(_chained(total, partial))
    return [(i, add(*totals.get(i, [ZERO]))) for i in sorted(wanted)]


def _chained(total: Expr, partial: Expr) -> Expr:
    """The product of two derivatives, their numbers folded into one."""
    if partial.is_number and total.op == "mul" and total.args[0].is_number:
        return mul(mul(total.args[0], partial), *total.args[1:])
    return mul(total, partial)


def _varies(expr: Expr) -> bool:
    return bool(expr.args) or expr.op == "ref"


def _postorder(root: Expr, order: list[Expr], seen: set[int]) -> None:
    stack: list[tuple[Expr, bool]] = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((a, False) for a in node.args)
