"""Blocks of pairs in one pass, for graphs that are elementwise throughout: relu, erf, powers, and networks of them.

The generated function reads a tile of inner products, forms the defects, does the arithmetic and writes the results where
they belong; nothing else of the size of a block exists. Pairs whose defects cancel are
counted on the way, and computed anew one by one.
"""

import numpy as np

from tpl.numeric.pairwise_code import HEADER, NEAR, Inputs, PairProgram, apply_elementwise, loaded
from tpl.numeric.pairwise_graph import LEFT, PRIMITIVES, RIGHT


def can_be_fused(program: PairProgram, arrays: np.ndarray) -> bool:
    """Is all that is done for a pair arithmetic, with one output an input, and are the arrays plain ones?"""
    plain = arrays.dtype == np.float64 and arrays.flags.c_contiguous
    ops = {program.graph.nodes[n].op for n in program.order}
    asked = all(n in program.order for n in program.asked)
    return plain and asked and program.count == 1 and ops <= {"dot", "defect", *PRIMITIVES}


class Fused:
    """The compiled function of a program, and what it is called with."""

    def __init__(self, program: PairProgram):
        graph, order = program.graph, program.order
        self.program = program
        self.dots = sorted({graph.nodes[n].value for n in order if graph.nodes[n].op in ("dot", "defect")})
        read = {a for n in order for a in graph.nodes[n].args}
        self.left, self.right = ([n for n in sorted(read) if graph.side(n) == side] for side in (LEFT, RIGHT))
        self.function = loaded("\n\n".join([HEADER, self._text()])).fused

    def run(
        self, arrays: np.ndarray, rows: slice, columns: slice, left: Inputs, right: Inputs, symmetric: bool
    ) -> None:
        """Write a block of all kernels, [kernels, N1, N2]; of symmetric ones what lies above the diagonal, and its mirror."""
        tiles = [left.rows[:, i] @ right.rows[:, j].T for i, j in self.dots]
        near = np.zeros(len(left.rows), np.int64)
        mirror = symmetric and rows != columns
        self.function(
            self._stacked(left, self.left, 0), self._stacked(right, self.right, 1), near, rows.start, columns.start,
            *tiles, *arrays,
        )  # fmt: skip
        if mirror:
            for target in arrays:
                target[columns, rows] = target[rows, columns].T
        own = symmetric and rows == columns
        suspects = np.flatnonzero(near > own)  # an input is near itself
        if len(suspects):
            i, j = self._near(left, right, tiles, suspects)
            found = apply_elementwise(self.program, left, right, i, j)
            for target, name in zip(arrays, self.program.outputs, strict=True):
                self._put(target, rows, columns, (i, j), found[name], mirror)
        if left.labels is not None and right.labels is not None:
            i, j = np.nonzero(left.labels[:, None] == right.labels)
            for target, name in zip(arrays, self.program.outputs, strict=True):
                self._put(target, rows, columns, (i, j), left.diagonal[name][i, 0, 0], mirror)
        if own:
            below = _below(len(left.rows))
            for target, name in zip(arrays, self.program.outputs, strict=True):
                view = target[rows, columns]
                np.copyto(view, view.T.copy(), where=below)
                np.fill_diagonal(view, left.diagonal[name])

    def _stacked(self, inputs: Inputs, nodes: list[int], side: int) -> np.ndarray:
        lengths = [np.sqrt(np.einsum("nd,nd->n", x, x)) for x in (inputs.rows[:, d[side]] for d in self.dots)]
        return np.array([*lengths, *(inputs.values[n] for n in nodes)])

    def _near(
        self, left: Inputs, right: Inputs, tiles: list[np.ndarray], suspects: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of some rows in which x and ±y nearly agree: what follows from their defects is computed anew."""
        close = np.zeros((len(suspects), len(right.rows)), bool)
        for (i, j), tile in zip(self.dots, tiles, strict=True):
            lengths = [np.sqrt(np.einsum("nd,nd->n", x, x)) for x in (left.rows[suspects, i], right.rows[:, j])]
            whole = np.multiply.outer(*lengths)
            close |= np.maximum(whole - np.abs(tile[suspects]), 0.0) < NEAR * whole
        place, j = np.nonzero(close)
        return suspects[place], j

    def _put(
        self, target: np.ndarray, rows: slice, columns: slice, index: tuple, values: np.ndarray, mirror: bool
    ) -> None:
        i, j = index[0] + rows.start, index[1] + columns.start
        target[i, j] = values
        if mirror:
            target[j, i] = values

    # ------------------------------------------------------------------------------------------ text
    def _text(self) -> str:
        graph, count = self.program.graph, len(self.dots)
        names = {n: f"l{n}" for n in self.left} | {n: f"right[{count + k}, j]" for k, n in enumerate(self.right)}
        inner = []
        for k in range(count):
            inner += [f"whole{k} = length{k} * right[{k}, j]", f"defect{k} = max(whole{k} - abs(row{k}[j]), 0.0)"]
        flags = " or ".join(f"(defect{k} < {NEAR!r} * whole{k})" for k in range(count))
        inner.append(f"count += 1 if {flags} else 0")
        for n in self.program.order:
            node = graph.nodes[n]
            names[n] = f"v{n}"
            if node.op in ("dot", "defect"):
                k = self.dots.index(node.value)
                inner.append(f"v{n} = row{k}[j]" if node.op == "dot" else f"v{n} = defect{k}")
                continue
            arguments = (names[a] if a in names else f"({graph.value(a)!r})" for a in node.args)
            inner.append(f"v{n} = {PRIMITIVES[node.op].text.format(*arguments)}")
        outputs = [nodes[0] for nodes in self.program.outputs.values()]
        inner += [f"here{k}[j] = {names[n]}" for k, n in enumerate(outputs)]
        start = [f"length{k} = left[{k}, i]" for k in range(count)]
        start += [f"l{n} = left[{count + k}, i]" for k, n in enumerate(self.left)]
        start += [f"row{k} = tile{k}[i]" for k in range(count)]
        tiles, outs = ([f"{x}{k}" for k in range(size)] for x, size in (("tile", count), ("out", len(outputs))))
        matrix = "float64[:, ::1]"
        types = [matrix, matrix, "int64[::1]", "int64", "int64", *[matrix] * (count + len(outputs))]
        return _FUSED.format(
            types=", ".join(types), arrays=", ".join([*tiles, *outs]),
            buffers=_lines(4, [f"here{k} = np.empty(columns)" for k in range(len(outs))]),
            start=_lines(8, start), inner=_lines(12, inner),
            write=_lines(8, [f"{o}[r0 + i, c0:c0 + columns] = here{k}" for k, o in enumerate(outs)]),
        )  # fmt: skip


def _lines(indent: int, lines: list[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)


# A row is computed into buffers first: where it goes may overlap what is read, for all that a compiler knows.
_FUSED = """\
@njit("void({types})", error_model="numpy", nogil=True, cache=True, fastmath={{"contract"}})
def fused(left, right, near, r0, c0, {arrays}):
    columns = tile0.shape[1]
{buffers}
    for i in range(tile0.shape[0]):
{start}
        count = 0
        for j in range(tile0.shape[1]):
{inner}
        near[i] += count
{write}
"""


_BELOW: dict[int, np.ndarray] = {}


def _below(size: int) -> np.ndarray:
    """Which entries of a square lie below its diagonal."""
    if size not in _BELOW:
        _BELOW[size] = np.tri(size, k=-1, dtype=bool)
    return _BELOW[size]
