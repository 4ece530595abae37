"""Linear algebra on few long vectors, stored as the rows of one matrix or of several, one below the other.

A row holds the particles of one vector, contiguous in memory. OpenBLAS packs its operands, which costs more
than the product itself when one operand has a handful of rows; cut into pieces of about 2^20 multiplications it takes
its small-matrix kernels, and the pieces stay in cache. Rows of float32 are multiplied as such, a piece at a time, and
pieces are added up in float64.
"""

from collections.abc import Sequence

import numpy as np

Rows = np.ndarray
Stack = Sequence[Rows]  # matrices one below the other

_MULTIPLICATIONS = 2**20
_LONGEST, _SHORTEST = 16384, 512
_FLOAT32_PIECE = 4096  # numbers that are added up in float32
_FEW = 4  # rows of float32
CHUNK = 256  # rows that a buffer grows by


def _piece(b: int, k: int, n: int) -> int:
    """How many columns to take at a time in a product of b and k rows of length n."""
    if min(b, k) <= 1:
        return _LONGEST
    piece = _MULTIPLICATIONS // (b * k)
    return max(64, min(piece, _LONGEST) // 64 * 64) if piece >= _SHORTEST else 4096


def inner(x: Rows, y: Rows | Stack) -> np.ndarray:
    """All inner products ⟨x_i, y_j⟩: [b, n], [k, n] -> [b, k], float64."""
    if isinstance(y, np.ndarray):
        return _inner(x, y)
    if len(y) == 1:
        return _inner(x, y[0])
    return np.concatenate([np.zeros((len(x), 0)), *(_inner(x, part) for part in y)], axis=1)


def _inner(x: Rows, y: Rows) -> np.ndarray:
    n = x.shape[1]
    step = _piece(len(x), len(y), n)
    if x.dtype != np.float64:
        if _FEW <= len(x) < len(y):  # one and a half times as fast that way round
            return _added_up(y, x, _FLOAT32_PIECE).T
        step = min(step, _FLOAT32_PIECE)
    return _added_up(x, y, step)


def _added_up(x: Rows, y: Rows, step: int) -> np.ndarray:
    """x @ y.T, from pieces of `step` columns."""
    n = x.shape[1]
    total = (x[:, :step] @ y[:, :step].T).astype(float, copy=False)
    for start in range(step, n, step):
        total += x[:, start : start + step] @ y[:, start : start + step].T
    return total


def combine(c: np.ndarray, y: Rows | Stack) -> Rows:
    """Linear combinations c @ y: [b, k], [k, n] -> [b, n], of y's type."""
    first, *others = [y] if isinstance(y, np.ndarray) else y
    c = c.astype(first.dtype, copy=False)
    out = np.empty((len(c), first.shape[1]), first.dtype)
    step = _piece(len(c), len(first), first.shape[1])
    for start in range(0, first.shape[1], step):
        piece = slice(start, start + step)
        np.matmul(c[:, : len(first)], first[:, piece], out=out[:, piece])
    if others:
        accumulate(out, c[:, len(first) :], others, out=out)
    return out


def accumulate(x: Rows, c: np.ndarray, y: Rows | Stack, out: Rows) -> None:
    """out = x + c @ y, with no temporary longer than a piece; `out` may be `x`."""
    start = 0
    for part in [y] if isinstance(y, np.ndarray) else y:
        _accumulate(x, c[:, start : start + len(part)].astype(part.dtype, copy=False), part, out)
        start += len(part)
        x = out
    if x is not out:
        out[:] = x


def _accumulate(x: Rows, c: np.ndarray, y: Rows, out: Rows) -> None:
    n = y.shape[1]
    step = _piece(len(c), len(y), n)
    for start in range(0, n, step):
        piece = slice(start, start + step)
        np.add(x[:, piece], c @ y[:, piece], out=out[:, piece])


def squared_norms(x: Rows) -> np.ndarray:
    """Of each row, float64."""
    step = max(1, x.shape[1]) if x.dtype == np.float64 else _FLOAT32_PIECE
    total = np.zeros(len(x))
    for start in range(0, x.shape[1], step):
        piece = x[:, start : start + step]
        total += (piece[:, None, :] @ piece[:, :, None])[:, 0, 0]
    return total


def dot(x: np.ndarray, y: np.ndarray) -> float:
    """⟨x, y⟩ of two vectors."""
    if x.dtype == np.float64:
        return float(x @ y)
    pieces = range(0, len(x), _FLOAT32_PIECE)
    return sum(float(x[start : start + _FLOAT32_PIECE] @ y[start : start + _FLOAT32_PIECE]) for start in pieces)


class RowBuffer:
    """Rows that are appended one block after another, in chunks of memory that stay where they are.

    A chunk's memory is taken by the system as rows are written. Rows lie an odd number of cache lines apart: at a power
    of two they would all compete for the same cache sets.
    """

    def __init__(self, length: int, capacity: int = 8, dtype: type = np.float64):
        self.length = length
        self.count = 0
        lines = -(-length // 8)
        self._stride = 8 * (lines | 1) if length >= 512 else length
        self.dtype = dtype
        self._chunks = [self._chunk(capacity)]
        self._counts = [0]

    def _chunk(self, capacity: int) -> Rows:
        return np.empty((max(1, capacity), self._stride), self.dtype)

    @property
    def parts(self) -> list[Rows]:
        """The rows so far, chunk by chunk: at least one array [k, length]."""
        pairs = zip(self._chunks, self._counts, strict=True)
        return [chunk[:count, : self.length] for chunk, count in pairs]

    @property
    def rows(self) -> Rows:
        """The rows so far, [count, length]: a copy where they lie in several chunks."""
        parts = self.parts
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def first(self, count: int) -> list[Rows]:
        """The first `count` rows, chunk by chunk."""
        return _cut(self.parts, 0, count)

    def since(self, start: int) -> list[Rows]:
        """The rows from `start` on, chunk by chunk."""
        return _cut(self.parts, start, self.count)

    def append(self, count: int) -> Rows:
        """Room for `count` more rows, [count, length], for the caller to fill."""
        if self._counts[-1] + count > len(self._chunks[-1]):
            self._chunks.append(self._chunk(max(count, CHUNK)))
            self._counts.append(0)
        return self.fill(len(self._chunks) - 1, count)

    # Sums depend in their last bits on how rows are cut into chunks: what is stored and read back keeps the cut.

    @property
    def capacities(self) -> list[int]:
        """Of the chunks."""
        return [len(chunk) for chunk in self._chunks]

    def clear(self, capacities: Sequence[int]) -> None:
        """Begin again, with empty chunks of these capacities."""
        self._chunks = [self._chunk(capacity) for capacity in capacities]
        self._counts = [0] * len(capacities)
        self.count = 0

    def fill(self, chunk: int, count: int) -> Rows:
        """Room for `count` more rows in one chunk."""
        used = self._counts[chunk]
        self._counts[chunk] += count
        self.count += count
        return self._chunks[chunk][used : used + count, : self.length]


def _cut(parts: list[Rows], start: int, stop: int) -> list[Rows]:
    found, before = [], 0
    for part in parts:
        piece = part[max(0, start - before) : max(0, stop - before)]
        before += len(part)
        if len(piece):
            found.append(piece)
    return found or [parts[0][:0]]
