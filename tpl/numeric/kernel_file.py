"""A matrix that is filled block by block in a .npy file, with a journal of the blocks that are there.

The journal, FILE.journal, lies beside the file until the last block is written: first the hash of what is computed
from what, then one byte a block.
"""

import hashlib
import mmap
from pathlib import Path
from types import TracebackType

import numpy as np

RELEASE = 64  # blocks after which written pages are handed back to the system


class KernelFile:
    """Context manager: `array` is the file's, `mark(k)` says that block k is written.

    Raises FileExistsError for a file that was begun with other inputs.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], dtype: np.dtype, inputs: tuple[str, np.ndarray, np.ndarray | None],
        blocks: int,
    ):  # fmt: skip
        self.path = path
        self.journal = path.with_name(path.name + ".journal")
        self.shape = shape
        self.dtype = dtype
        self._key = _hash(inputs, shape, dtype, blocks)
        self._blocks = blocks
        self._unreleased = 0

    def __enter__(self) -> "KernelFile":
        whole = self.shape if self.shape[0] > 1 else self.shape[1:]
        known = self.journal.read_bytes() if self.journal.exists() and self.path.exists() else b""
        if known and known[:64] != self._key:
            raise FileExistsError(f"{self.path} was begun with other inputs; remove it and {self.journal.name}")
        if len(known) == 64 + self._blocks:
            self._mapped = np.lib.format.open_memmap(self.path, mode="r+")
        else:
            known = self._key + bytes(self._blocks)
            self._mapped = np.lib.format.open_memmap(self.path, mode="w+", dtype=self.dtype, shape=whole)
            self.journal.write_bytes(known)
        self.array = self._mapped.reshape(self.shape)
        self._done = bytearray(known[64:])
        self._stream = self.journal.open("r+b", buffering=0)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()
        self._mapped.flush()
        if all(self._done):
            self.journal.unlink()

    @property
    def count(self) -> int:
        """How many blocks are there."""
        return sum(self._done)

    def done(self, block: int) -> bool:
        return bool(self._done[block])

    def mark(self, block: int) -> None:
        """A block is written, and its data are on their way to the disk before the journal says so."""
        self._done[block] = 1
        self._stream.seek(64 + block)
        self._stream.write(b"\1")
        self._unreleased += 1
        if self._unreleased >= RELEASE:
            self._unreleased = 0
            self._release()

    def _release(self) -> None:
        pages = getattr(self._mapped, "_mmap", None)
        if pages is not None and hasattr(pages, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
            pages.flush()
            pages.madvise(mmap.MADV_DONTNEED)


def _hash(
    inputs: tuple[str, np.ndarray, np.ndarray | None], shape: tuple[int, ...], dtype: np.dtype, blocks: int
) -> bytes:
    identity, left, right = inputs
    digest = hashlib.sha256(f"{identity}\0{shape}\0{dtype.str}\0{blocks}\0".encode())
    for array in (left, right):
        if array is not None:
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest().encode()
