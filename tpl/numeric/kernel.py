"""Kernel matrices over data in blocks: in parallel, the symmetric half only, in memory or in a file beyond it."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tpl.numeric.kernel_file import KernelFile
from tpl.numeric.pairwise_code import Inputs, PairProgram
from tpl.numeric.pairwise_fused import can_be_fused
from tpl.numeric.pairwise_graph import ArrayOp
from tpl.numeric.pairwise_series import REMAINDER
from tpl.numeric.wave_pairs import WavePairs

BLOCK = 256  # inputs a side
COMPILE_FROM = 1 << 16  # pairs from which compiling pays
PROBES = 8  # inputs at which rounding is measured, with as many near and as many opposite ones
SEARCHED = 256  # inputs among which the nearest and the most opposite are looked for
SAFETY = 4.0  # what is measured at probes, for all pairs
EPSILON = float(np.finfo(float).eps)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Kernel:
    """Kernel matrices by name, [N1, N2]; of networks with several outputs [N1, …, N2, …], as `run` has them.

    error: bounds on |error| by name, the greatest over all entries; `errors(name)` bounds each entry. An entry's
    error is at most `relative` times √(K(ξ, ξ) K(ξ', ξ')). diagonals: K(ξ, ξ) for both sides, [N1, …] and [N2, …].
    """

    matrices: Mapping[str, np.ndarray]
    relative: Mapping[str, float]
    diagonals: Mapping[str, tuple[np.ndarray, np.ndarray]]
    method: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.matrices)

    @property
    def nngp(self) -> np.ndarray:
        return self.matrices["nngp"]

    @property
    def ntk(self) -> np.ndarray:
        return self.matrices["ntk"]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.matrices[name]

    def _sizes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """√K(ξ, ξ) of both sides."""
        left, right = (np.sqrt(np.maximum(d, 0.0)) for d in self.diagonals[name])
        return left, right

    def errors(self, name: str) -> np.ndarray:
        """A bound for every entry, of the shape of the matrix."""
        with np.errstate(all="ignore"):
            return self.relative[name] * np.multiply.outer(*self._sizes(name))

    @property
    def error(self) -> dict[str, float]:
        largest = {name: [float(np.max(s, initial=0.0)) for s in self._sizes(name)] for name in self.names}
        return {name: self.relative[name] * a * b for name, (a, b) in largest.items()}

    def __repr__(self) -> str:
        shape = " × ".join(map(str, next(iter(self.matrices.values())).shape))
        bounds = ", ".join(f"{name} ± {error:.1g}" for name, error in self.error.items())
        return f"<kernel {shape}: {bounds} ({self.method})>"


def kernel_matrix(
    program: PairProgram | WavePairs,
    left: np.ndarray,
    right: np.ndarray | None = None,
    dtype: Any = np.float64,
    out: str | os.PathLike[str] | None = None,
    identity: str = "",
    threads: int | None = None,
    progress: Progress | None = None,
    elsewhere: "Elsewhere | None" = None,
) -> Kernel:
    """The kernels of all pairs. left, right: data [N, rows, d], float64; right None: of `left` with itself.

    out: a .npy file for the matrices, [N1, …, N2, …], or [kernels, N1, …, N2, …] if there are several; one that was
    interrupted is resumed. identity: what the program is, so that no file of another one is resumed. elsewhere: compute
    the blocks there, instead of in `threads` of this process. The bits depend on neither `threads` nor interruptions.
    Raises ArithmeticError where an expectation cannot be found, FileExistsError for a file begun with other inputs.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # blocks are computed by threads of our own
        workers = elsewhere or _Here(threads)
        return _kernel_matrix(program, left, right, np.dtype(dtype), out, identity, workers, progress)


def _kernel_matrix(
    program: PairProgram | WavePairs, left: np.ndarray, right: np.ndarray | None, dtype: np.dtype,
    out: str | os.PathLike[str] | None, identity: str, workers: "Elsewhere | _Here", progress: Progress | None,
) -> Kernel:  # fmt: skip
    sides = program.prepare(left, right)
    names = tuple(program.outputs)
    counts = (len(left), len(left if right is None else right))
    if isinstance(program, WavePairs):
        relative, side = program.accuracy(sides, dtype), min(workers.block, program.side)
    else:
        relative = _accuracy(program, sides, right is None, dtype)
        side = max(workers.block // program.count, 1)
    diagonals = {name: (_own(sides[0], name, program), _own(sides[1], name, program)) for name in names}
    blocks = list(_blocks(*counts, side, right is None))
    shape = (len(names), counts[0], *program.extra, counts[1], *program.extra)
    with ExitStack() as stack:
        if out is None:
            file, arrays = None, np.empty(shape, dtype)
        else:
            whole = f"{identity}\0{names}"
            file = stack.enter_context(KernelFile(Path(out), shape, dtype, (whole, left, right), len(blocks)))
            arrays = file.array
        flat = arrays.reshape(len(names), *(c * program.count for c in counts))
        own = {name: sides[0].diagonal[name] for name in names}
        workers.fill(_Target(flat, right is None, own, blocks, program.count, file, progress), program, sides)
    methods = " and ".join(program.methods) or "exact"
    return Kernel(dict(zip(names, arrays, strict=True)), relative, diagonals, f"{methods}, every pair")


def _own(inputs: Inputs, name: str, program: PairProgram | WavePairs) -> np.ndarray:
    """K(ξ, ξ) of every input and output, [N, …]."""
    return np.einsum("nee->ne", inputs.diagonal[name]).reshape(-1, *program.extra)


def _blocks(rows: int, columns: int, block: int, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    for i in range(0, rows, block):
        for j in range(i if symmetric else 0, columns, block):
            yield slice(i, min(i + block, rows)), slice(j, min(j + block, columns))


# ---------------------------------------------------------------------------------------------- blocks


@dataclass
class _Target:
    """Where the blocks go: arrays [kernels, N1 · E, N2 · E], and K(ξ, ξ) for symmetric ones, [N1, E, E]."""

    arrays: np.ndarray
    symmetric: bool
    diagonals: Mapping[str, np.ndarray]
    blocks: list[tuple[slice, slice]]
    count: int
    file: KernelFile | None
    progress: Progress | None

    def place(self, k: int, found: Mapping[str, np.ndarray]) -> None:
        """Write a block, and its mirror image."""
        rows, columns = (slice(s.start * self.count, s.stop * self.count) for s in self.blocks[k])
        for target, (name, values) in zip(self.arrays, found.items(), strict=True):
            values = values.reshape(rows.stop - rows.start, -1)
            if self.symmetric and rows == columns:
                values = self._mirrored(values, self.diagonals[name][self.blocks[k][0]])
            target[rows, columns] = values
            if self.symmetric and rows != columns:
                target[columns, rows] = values.T

    def _mirrored(self, values: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
        values = np.array(values)
        lower = np.tril_indices(len(values), -1)
        values[lower] = values.T[lower]
        own = np.arange(len(diagonal))
        values.reshape(len(own), self.count, len(own), self.count)[own, :, own] = diagonal
        return values

    def run(self, submit: Callable[[int], Future], ahead: int, finish: Callable[[int, Any], None]) -> None:
        """Submit the blocks that are not there yet, a few ahead of those that are finished."""
        missing = (k for k in range(len(self.blocks)) if self.file is None or not self.file.done(k))
        finished = 0 if self.file is None else self.file.count
        running = {submit(k): k for k in islice(missing, ahead)}
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    k = running.pop(future)
                    finish(k, future.result())
                    running.update({submit(following): following for following in islice(missing, 1)})
                    if self.file is not None:
                        self.file.mark(k)
                    finished += 1
                    if self.progress is not None:
                        self.progress(finished, len(self.blocks))
        except BaseException:
            for future in running:
                future.cancel()
            raise


@dataclass(frozen=True)
class _Here:
    """Threads of this process."""

    threads: int | None

    @property
    def block(self) -> int:
        return BLOCK

    def fill(self, target: _Target, program: PairProgram | WavePairs, sides: tuple[Inputs, Inputs]) -> None:
        if isinstance(program, WavePairs):
            return self._fill_in_waves(target, program, sides)
        compiled = target.arrays[0].size >= COMPILE_FROM * target.count**2
        fused = compiled and can_be_fused(program, target.arrays)
        if compiled:
            _ = program.fused if fused else program.compiled
        count = self.threads or os.cpu_count() or 1

        def work(k: int) -> None:
            rows, columns = target.blocks[k]
            if fused:
                parts = sides[0].block(rows), sides[1].block(columns)
                return program.fused.run(target.arrays, rows, columns, *parts, target.symmetric)
            target.place(k, program.block(sides[0].block(rows), sides[1].block(columns), compiled))

        with ThreadPoolExecutor(count) as pool:
            target.run(lambda k: pool.submit(work, k), 2 * count, lambda k, _: None)

    def _fill_in_waves(self, target: _Target, program: WavePairs, sides: tuple[Inputs, Inputs]) -> None:
        def work(k: int) -> None:
            rows, columns = target.blocks[k]
            target.place(k, program.block(sides[0].block(rows), sides[1].block(columns)))

        count = self.threads or os.cpu_count() or 1
        with ThreadPoolExecutor(count) as pool:
            target.run(lambda k: pool.submit(work, k), 2 * count, lambda k, _: None)


@dataclass(frozen=True)
class Elsewhere:
    """Workers of another process or machine. compute: (data [N, rows, d], data [M, rows, d]) -> matrices [N, M] by name."""

    executor: Any  # with `submit`, as `concurrent.futures` has it
    compute: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]]
    block: int
    ahead: int

    def fill(self, target: _Target, program: PairProgram | WavePairs, sides: tuple[Inputs, Inputs]) -> None:
        def submit(k: int) -> Future:
            rows, columns = target.blocks[k]
            return self.executor.submit(self.compute, sides[0].rows[rows], sides[1].rows[columns])

        target.run(submit, self.ahead, target.place)


# ---------------------------------------------------------------------------------------------- errors


def _accuracy(program: PairProgram, sides: tuple[Inputs, Inputs], symmetric: bool, dtype: np.dtype) -> dict[str, float]:
    """Errors relative to √(K(ξ, ξ) K(ξ', ξ')).

    Measured at some pairs, the nearest and most opposite ones among them: rounding in higher precision, or, where there
    are series, what fewer terms make of them. To that come the bounds on the series' tails.
    """
    probes = _probes(sides[0].rows, sides[1].rows)
    value, size = _at(program, probes)
    floor = len(program.order) * EPSILON
    others = []
    if any(node.op == "series" for node in program.graph.nodes):
        others.append(_at(program, probes, coarse=True)[0])
    elif np.finfo(np.longdouble).eps < EPSILON:
        others.append(_at(program, probes.astype(np.longdouble))[0])
        floor = 4 * EPSILON
    floor += _tails(program, sides) + (0.0 if dtype == np.float64 else float(np.finfo(dtype).eps))
    found = {}
    for name in program.outputs:
        with np.errstate(all="ignore"):
            gaps = [np.abs(other[name] - value[name]) for other in others]
            ratios = [np.where(size[name] > 0, gap / size[name], 0.0) for gap in gaps]
        found[name] = SAFETY * max((float(np.max(r, initial=0.0)) for r in ratios), default=0.0) + floor
    return found


def _at(
    program: PairProgram, rows: np.ndarray, coarse: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values and √(K(ξ, ξ) K(ξ', ξ')) of all pairs."""
    left, right = program.prepare(rows, coarse=coarse)
    sizes = {name: np.sqrt(np.maximum(_own(left, name, program).ravel(), 0.0)) for name in program.outputs}
    found = program.block(left, right, compiled=False, coarse=coarse)
    with np.errstate(all="ignore"):  # what is not finite is seen in the kernel
        return found, {name: np.multiply.outer(s, s).astype(float) for name, s in sizes.items()}


def _probes(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Inputs of both sides: spread over the data, with their nearest and most opposite partners."""
    some = np.unique(np.linspace(0, len(left) - 1, min(PROBES, len(left))).astype(int))
    searched = np.unique(np.linspace(0, len(right) - 1, min(SEARCHED, len(right))).astype(int))
    a, b = (x.reshape(len(x), -1) for x in (left[some], right[searched]))
    lengths = (np.sqrt(np.einsum("nd,nd->n", x, x)) for x in (a, b))
    cosines = a @ b.T / np.maximum(np.multiply.outer(*lengths), 1e-300)
    distinct = np.where(cosines < 1 - 1e-15, cosines, -1.0)
    partners = np.concatenate([np.argmax(distinct, axis=1), np.argmin(cosines, axis=1)])
    return np.concatenate([left[some], right[np.unique(searched[partners])]])


def _tails(program: PairProgram, sides: tuple[Inputs, Inputs]) -> float:
    """What series leave out at most, relative, summed over them."""
    total = 0.0
    for node in program.graph.nodes:
        if isinstance(node.value, ArrayOp) and node.op == "series":
            tails = [x.values[a].tail for x in sides for a in node.args[:2] if a in x.values]
            tails = [float(np.max(t, initial=0.0)) for t in tails]
            total += min(float(np.prod(tails)), REMAINDER) if len(tails) == 2 else 0.0
    return total
