"""Pairs of inputs in blocks: what a graph says of every pair, interpreted with numpy or compiled with numba.

The elementwise part of a graph becomes straight-line functions of one pair, without branches, in a loop that LLVM
vectorises; between them stand operations on whole blocks (Hermite series, closed forms that have no such code).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tpl.numeric.pairwise_graph import (
    ARCSINE,
    LEFT,
    PAIR,
    PRIMITIVES,
    RIGHT,
    ArrayOp,
    Graph,
    apply_node,
    estrin,
    evaluate_single,
)
from tpl.numeric.plan import Choice

NEAR = 2.0**-8  # a defect below this share of |x||y| is computed anew from the inputs
LOOPED_FROM = 1 << 14  # entries of a block from which numba is worth its import
GATHERED = 4096  # pairs at a time whose defects are computed anew


@dataclass(frozen=True)
class Inputs:
    """One side of a block: data [N, rows, d], this side's nodes [N], and the outputs' values at (ξ, ξ), [N, E, E].

    labels: equal for equal inputs of both sides, [N]; None where no two are.
    """

    rows: np.ndarray
    values: Mapping[int, Any]
    diagonal: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None

    def block(self, part: slice) -> "Inputs":
        values = {k: _part(v, part) for k, v in self.values.items()}
        labels = None if self.labels is None else self.labels[part]
        return Inputs(self.rows[part], values, {k: v[part] for k, v in self.diagonal.items()}, labels)


def labelled(left: np.ndarray, right: np.ndarray | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Numbers of distinct inputs."""
    sums = np.concatenate([x.reshape(len(x), -1).sum(axis=1) for x in (left, right) if x is not None])
    if len(np.unique(sums)) == len(sums):
        return None, None
    known: dict[bytes, int] = {}
    plain = [x.astype(float) for x in (left, right) if x is not None]  # longer floats have bytes that mean nothing
    sides = [np.array([known.setdefault(row.tobytes(), len(known)) for row in x]) for x in plain]
    if len(known) == sum(map(len, sides)):
        return None, None
    return sides[0], sides[-1]


def _part(value: Any, part: slice) -> Any:
    from tpl.numeric.pairwise_series import Coefficients

    return value.part(part) if isinstance(value, Coefficients) else value[part]


class PairProgram:
    """A graph and the nodes that are asked for, by name: of a pair (`outputs`), of one input twice (`diagonals`).

    afresh: noise is drawn for every input, so that two equal ones are a pair like any other.
    Both are [E, E] for networks of E = Π extra outputs, such as one at every position. Where blocks are matrices,
    their rows are inputs and outputs, [N · E], the outputs of one input together.
    """

    def __init__(
        self, graph: Graph, outputs: Mapping[str, np.ndarray], diagonals: Mapping[str, np.ndarray],
        plan: tuple[Choice, ...] = (), extra: tuple[int, ...] = (), afresh: bool = False,
    ):  # fmt: skip
        self.graph = graph
        self.afresh = afresh
        self.extra = extra
        self.count = prod(extra)
        self.outputs = {name: [int(n) for n in np.ravel(nodes)] for name, nodes in outputs.items()}
        self.diagonals = {name: [int(n) for n in np.ravel(nodes)] for name, nodes in diagonals.items()}
        self.plan = plan
        asked = {n for nodes in self.outputs.values() for n in nodes}
        self.order = [n for n in graph.closure(asked) if graph.side(n) == PAIR]
        used = {a for n in self.order for a in graph.nodes[n].args} | asked
        self.asked = asked
        self.single = {side: sorted(n for n in used if graph.side(n) == side) for side in (LEFT, RIGHT)}

    @property
    def methods(self) -> list[str]:
        """The methods of what is computed for every pair."""
        return sorted({c.method for c in self.plan if c.dimensions > 1})

    @cached_property
    def compiled(self) -> "Compiled":
        return Compiled(self)

    @cached_property
    def fused(self) -> Any:
        from tpl.numeric.pairwise_fused import Fused

        return Fused(self)

    # ------------------------------------------------------------------------------------------ one input
    def prepare(self, left: np.ndarray, right: np.ndarray | None = None, coarse: bool = False) -> tuple[Inputs, Inputs]:
        """The numbers of every input of both sides; right None: the left inputs again.

        Raises ArithmeticError where an expectation has no value that could be found.
        """
        graph, ends = self.graph, {n for nodes in self.diagonals.values() for n in nodes}
        own, others = self.single[LEFT], self.single[RIGHT]
        roots = {n: graph.twin(n) if right is None else n for n in others}
        again = [*roots.values(), *ends]
        first = evaluate_single(graph, [*own, *ends, *(again if right is None else [])], left, coarse)
        second = first if right is None else evaluate_single(graph, again, right, coarse)
        diagonals = [{name: self._square(found, nodes) for name, nodes in self.diagonals.items()}
                     for found in (first, second)]  # fmt: skip
        labels = (None, None) if self.afresh else labelled(left, right)
        return (
            Inputs(left, {n: first[n] for n in own}, diagonals[0], labels[0]),
            Inputs(left if right is None else right, {n: second[r] for n, r in roots.items()}, diagonals[1], labels[1]),
        )

    def _square(self, found: Mapping[int, Any], nodes: list[int]) -> np.ndarray:
        return np.stack([found[n] for n in nodes], axis=-1).reshape(-1, self.count, self.count)

    # ------------------------------------------------------------------------------------------ pairs
    def block(self, left: Inputs, right: Inputs, compiled: bool, coarse: bool = False) -> dict[str, np.ndarray]:
        """Every kernel for all pairs, [left · E, right · E]. Of equal inputs they are those of one, to the last bit."""
        shape = (len(left.rows), len(right.rows))
        values = self._leaves(left, right)
        if compiled and not coarse:
            self.compiled.run(values, left, right, shape)
        else:
            self._interpret(values, left, right, coarse)
        found = {name: self._output(nodes, values, left, right, shape) for name, nodes in self.outputs.items()}
        if left.labels is not None and right.labels is not None:
            i, j = np.nonzero(left.labels[:, None] == right.labels)
            for name in found if len(i) else ():
                found[name] = np.array(found[name])
                found[name].reshape(len(left.rows), self.count, len(right.rows), -1)[i, :, j] = left.diagonal[name][i]
        return found

    def _output(
        self, nodes: list[int], values: dict[int, Any], left: Inputs, right: Inputs, shape: tuple
    ) -> np.ndarray:
        parts = [np.broadcast_to(self._argument(n, values, left, right), shape) for n in nodes]
        if len(parts) == 1:
            return parts[0]
        found = np.empty((shape[0], self.count, shape[1], self.count), np.result_type(*parts))
        for k, part in enumerate(parts):
            found[:, k // self.count, :, k % self.count] = part
        return found.reshape(shape[0] * self.count, -1)

    def _leaves(self, left: Inputs, right: Inputs) -> dict[int, Any]:
        values: dict[int, Any] = {}
        dots: dict[tuple[int, int], np.ndarray] = {}

        def dot(i: int, j: int) -> np.ndarray:
            if (i, j) not in dots:
                dots[i, j] = left.rows[:, i] @ right.rows[:, j].T
            return dots[i, j]

        for n in self.order:
            node = self.graph.nodes[n]
            if node.op == "dot":
                values[n] = dot(*node.value)
            elif node.op == "defect":
                i, j = node.value
                values[n] = defects(dot(i, j), left.rows[:, i], right.rows[:, j])
        return values

    def _argument(self, node: int, values: Mapping[int, Any], left: Inputs, right: Inputs) -> Any:
        side = self.graph.side(node)
        if side == PAIR:
            return values[node]
        if side == LEFT:
            return _column(left.values[node])
        return _row(right.values[node]) if side == RIGHT else self.graph.value(node)

    def _interpret(self, values: dict[int, Any], left: Inputs, right: Inputs, coarse: bool) -> None:
        with np.errstate(all="ignore"):
            for n in self.order:
                if n not in values:
                    node = self.graph.nodes[n]
                    arguments = [self._argument(a, values, left, right) for a in node.args]
                    values[n] = apply_node(node, arguments, coarse)


def _column(value: Any) -> Any:
    return value[:, None] if isinstance(value, np.ndarray) else value


def _row(value: Any) -> Any:
    return value[None, :] if isinstance(value, np.ndarray) else value


def defects(dots: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """|x||y| - |⟨x, y⟩| for all pairs; where x and ±y nearly agree, from their difference."""
    lengths = np.sqrt(np.einsum("nd,nd->n", left, left)), np.sqrt(np.einsum("nd,nd->n", right, right))
    found = np.empty(dots.shape, dots.dtype)
    if dots.size >= LOOPED_FROM:
        near = _loops().plain_defects(*lengths, dots, NEAR, found)
    else:
        whole = np.multiply.outer(*lengths)
        found[:] = np.maximum(whole - np.abs(dots), 0.0)
        near = np.count_nonzero(found < NEAR * whole)
    if near:
        _correct(found, dots, left, right, lengths)
    return found


def _correct(
    found: np.ndarray, dots: np.ndarray, left: np.ndarray, right: np.ndarray, lengths: tuple[np.ndarray, np.ndarray]
) -> None:
    """|x||y| - |⟨x, y⟩| = |x||y| |x/|x| ∓ y/|y||² / 2 for the pairs where it is small."""
    i, j = np.nonzero(found < NEAR * np.multiply.outer(*lengths))
    for start in range(0, len(i), GATHERED):
        a, b = i[start : start + GATHERED], j[start : start + GATHERED]
        x, y = left[a] / lengths[0][a, None], right[b] / lengths[1][b, None]
        gap = x - np.where(dots[a, b] < 0, -1.0, 1.0)[:, None] * y
        found[a, b] = lengths[0][a] * lengths[1][b] * np.einsum("nd,nd->n", gap, gap) / 2


def apply_elementwise(
    program: PairProgram, left: Inputs, right: Inputs, i: np.ndarray, j: np.ndarray
) -> dict[str, np.ndarray]:
    """The outputs of some pairs, [P], of a graph that is elementwise throughout; defects from differences of inputs."""
    graph, values = program.graph, dict[int, Any]()

    def argument(node: int) -> Any:
        side = graph.side(node)
        if side == PAIR:
            return values[node]
        return left.values[node][i] if side == LEFT else right.values[node][j] if side == RIGHT else graph.value(node)

    with np.errstate(all="ignore"):
        for n in program.order:
            node = graph.nodes[n]
            if node.op in ("dot", "defect"):
                x, y = left.rows[i, node.value[0]], right.rows[j, node.value[1]]
                values[n] = np.einsum("nd,nd->n", x, y)
                if node.op == "defect":
                    values[n] = _pair_defects(values[n], x, y)
            else:
                values[n] = apply_node(node, [argument(a) for a in node.args])
    return {name: values[nodes[0]] for name, nodes in program.outputs.items()}


def _pair_defects(dots: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|x||y| - |⟨x, y⟩| = |x||y| |x/|x| ∓ y/|y||² / 2, [P]; of pairs that are not near, from the left side."""
    lengths = [np.sqrt(np.einsum("nd,nd->n", v, v)) for v in (x, y)]
    whole = lengths[0] * lengths[1]
    plain = np.maximum(whole - np.abs(dots), 0.0)
    units = (v / np.where(s > 0, s, 1.0)[:, None] for v, s in zip((x, y), lengths, strict=True))
    gap = next(units) - np.where(dots < 0, -1.0, 1.0)[:, None] * next(units)
    return np.where(plain < NEAR * whole, whole * np.einsum("nd,nd->n", gap, gap) / 2, plain)


# ---------------------------------------------------------------------------------------------- compiled


@dataclass(frozen=True)
class Segment:
    """Elementwise nodes between two operations on whole blocks."""

    function: Callable[..., None]
    tiles: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    stored: tuple[int, ...]


class Compiled:
    """The pairs' part of a graph as numba functions and operations on blocks, in order."""

    def __init__(self, program: PairProgram):
        self.program = program
        self.graph = program.graph
        self._levels = self._find_levels()
        self.array_ops = [n for n in program.order if isinstance(self.graph.nodes[n].value, ArrayOp)]
        depth = max(self._levels.values(), default=0)
        plans = [self._plan(level) for level in range(depth + 1)]
        texts = [self._text(k, *plan) for k, plan in enumerate(plans) if plan[0]]
        module = loaded("\n\n".join([HEADER, *texts]) + "\n")
        self.segments = [
            Segment(getattr(module, f"segment{k}"), *plan[1:]) if plan[0] else None for k, plan in enumerate(plans)
        ]

    def run(self, values: dict[int, Any], left: Inputs, right: Inputs, shape: tuple[int, int]) -> None:
        for level, segment in enumerate(self.segments):
            for n in self.array_ops:
                if self._levels[n] == level:
                    node = self.graph.nodes[n]
                    arguments = [self.program._argument(a, values, left, right) for a in node.args]
                    with np.errstate(all="ignore"):
                        values[n] = _full(apply_node(node, arguments), shape)
            if segment is not None:
                outs = [np.empty(shape) for _ in segment.stored]
                segment.function(
                    _stacked(left, segment.left), _stacked(right, segment.right),
                    *(values[n] for n in segment.tiles), *outs,
                )  # fmt: skip
                values.update(zip(segment.stored, outs, strict=True))

    # ------------------------------------------------------------------------------------------ plans
    def _find_levels(self) -> dict[int, int]:
        """How many operations on whole blocks come before a node."""
        levels: dict[int, int] = {}
        for n in self.program.order:
            node = self.graph.nodes[n]
            before = max((levels[a] for a in node.args if a in levels), default=0)
            levels[n] = before + isinstance(node.value, ArrayOp)
        return levels

    def _plan(self, level: int) -> tuple[list[int], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The elementwise nodes of a level, what they read, and those that others read."""
        graph = self.graph
        inside = [n for n in self.program.order if self._levels[n] == level and graph.nodes[n].op in PRIMITIVES]
        own = set(inside)
        read = {a for n in inside for a in graph.nodes[n].args} - own
        later = {a for n in self.program.order if n not in own for a in graph.nodes[n].args}
        later |= self.program.asked
        left, right, tiles = (tuple(sorted(a for a in read if graph.side(a) == side)) for side in (LEFT, RIGHT, PAIR))
        return inside, tiles, left, right, tuple(n for n in inside if n in later)

    def _text(self, number: int, inside: list[int], tiles: tuple, left: tuple, right: tuple, stored: tuple) -> str:
        names = {n: f"t{n}[i, j]" for n in tiles} | {n: f"l{n}" for n in left}
        names |= {n: f"right[{k}, j]" for k, n in enumerate(right)} | {n: f"v{n}" for n in inside}
        parameters = ", ".join(["left", "right", *(f"t{n}" for n in tiles), *(f"o{n}" for n in stored)])
        arrays = ", ".join(["float64[:, ::1]"] * (2 + len(tiles) + len(stored)))
        lines = [
            _DECORATOR.format(arrays),
            f"def segment{number}({parameters}):",
            f"    for i in range(o{stored[0]}.shape[0]):",
        ]
        lines += [f"        l{n} = left[{k}, i]" for k, n in enumerate(left)]
        lines.append(f"        for j in range(o{stored[0]}.shape[1]):")
        for n in inside:
            node = self.graph.nodes[n]
            arguments = (names[a] if a in names else f"({self.graph.value(a)!r})" for a in node.args)
            lines.append(f"            v{n} = {PRIMITIVES[node.op].text.format(*arguments)}")
        lines += [f"            o{n}[i, j] = v{n}" for n in stored]
        return "\n".join(lines)


def _full(value: Any, shape: tuple[int, int]) -> Any:
    """As an array of this shape of its own, in C order; tuples as they are."""
    if isinstance(value, tuple):
        return value
    if value.shape == shape and value.flags.c_contiguous and value.flags.writeable:
        return value
    return np.array(np.broadcast_to(value, shape), order="C")


def loaded(text: str) -> ModuleType:
    from tpl.numeric.cache import load  # imports numba

    return load(text)


@cache
def _loops() -> ModuleType:
    return loaded((Path(__file__).parent / "pairwise_loops.py").read_text(encoding="utf-8"))


def _stacked(inputs: Inputs, nodes: tuple[int, ...]) -> np.ndarray:
    return np.array([inputs.values[n] for n in nodes]).reshape(len(nodes), len(inputs.rows))


_DECORATOR = '@njit("void({})", error_model="numpy", nogil=True, cache=True, fastmath={{"contract"}})'
HEADER = f"""\
import numpy as np
from numba import njit


@njit(error_model="numpy", nogil=True, forceinline=True, fastmath={{"contract"}})
def arcsine_ratio(z):
    z2 = z * z
    z4 = z2 * z2
    z8 = z4 * z4
    z16 = z8 * z8
    return {estrin(ARCSINE, ("z", "z2", "z4", "z8", "z16"))}
"""


# ---------------------------------------------------------------------------------------------- series

_STEP = 8


def horner(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Σ_k a[i, k] b[j, k] x[i, j]^k."""
    if x.size < LOOPED_FROM:
        total = np.zeros_like(x)
        for k in range(a.shape[1] - 1, -1, -1):
            total = total * x + np.multiply.outer(a[:, k], b[:, k])
        return total
    terms = -(-a.shape[1] // _STEP) * _STEP
    padded = [np.zeros((len(c), terms)) for c in (a, b)]
    for target, source in zip(padded, (a, b), strict=True):
        target[:, : source.shape[1]] = source
    total = np.zeros(x.shape)
    _loops().horner_steps(padded[0], np.ascontiguousarray(padded[1].T), np.ascontiguousarray(x), total)
    return total
