"""Linear algebra on few long vectors, stored as the rows of a matrix.

A row holds the particles of one vector, contiguous in memory. OpenBLAS packs its operands, which costs more
than the product itself when one operand has a handful of rows; cut into pieces of about 2^20 multiplications it takes
its small-matrix kernels, and the pieces stay in cache.
"""

import numpy as np

Rows = np.ndarray

_MULTIPLICATIONS = 2**20
_LONGEST, _SHORTEST = 16384, 512


def _piece(b: int, k: int, n: int) -> int:
    """How many columns to take at a time in a product of b and k rows of length n."""
    if min(b, k) <= 1:
        return _LONGEST
    piece = _MULTIPLICATIONS // (b * k)
    return max(64, min(piece, _LONGEST) // 64 * 64) if piece >= _SHORTEST else 4096


def inner(x: Rows, y: Rows) -> np.ndarray:
    """All inner products ⟨x_i, y_j⟩: [b, n], [k, n] -> [b, k]."""
    n = x.shape[1]
    step = _piece(len(x), len(y), n)
    total = x[:, :step] @ y[:, :step].T
    for start in range(step, n, step):
        total += x[:, start : start + step] @ y[:, start : start + step].T
    return total


def combine(c: np.ndarray, y: Rows) -> Rows:
    """Linear combinations c @ y: [b, k], [k, n] -> [b, n]."""
    n = y.shape[1]
    out = np.empty((len(c), n))
    step = _piece(len(c), len(y), n)
    for start in range(0, n, step):
        np.matmul(c, y[:, start : start + step], out=out[:, start : start + step])
    return out


def accumulate(x: Rows, c: np.ndarray, y: Rows, out: Rows) -> None:
    """out = x + c @ y, with no temporary longer than a piece; `out` may be `x`."""
    n = y.shape[1]
    step = _piece(len(c), len(y), n)
    for start in range(0, n, step):
        piece = slice(start, start + step)
        np.add(x[:, piece], c @ y[:, piece], out=out[:, piece])


def squared_norms(x: Rows) -> np.ndarray:
    return np.array([row @ row for row in x])


class RowBuffer:
    """Rows that are appended one block after another, in memory that doubles when it is full.

    Rows lie an odd number of cache lines apart: at a power of two they would all compete for the same cache sets.
    """

    def __init__(self, length: int, capacity: int = 8):
        self.length = length
        self.count = 0
        lines = -(-length // 8)
        self._stride = 8 * (lines | 1) if length >= 512 else length
        self._data = np.empty((max(1, capacity), self._stride))

    @property
    def rows(self) -> Rows:
        """The rows so far, [count, length]; valid until the next `append`."""
        return self._data[: self.count, : self.length]

    def append(self, count: int) -> Rows:
        """Room for `count` more rows, [count, length], for the caller to fill."""
        needed = self.count + count
        if needed > len(self._data):
            data = np.empty((max(needed, 2 * len(self._data)), self._stride))
            data[: self.count] = self._data[: self.count]
            self._data = data
        new = self._data[self.count : needed, : self.length]
        self.count = needed
        return new
