"""Training that survives being killed: replicates on disk, resumed to the same bits.

A folder holds `key` (what it is a checkpoint of), and for every replicate N, and every companion that measures what
truncation does, either `N.done.npz`, what was recorded, or

    N.rows   rows that only ever grow in number (bases and images of matrices), appended as they come
    N.npz    everything else, with the length of N.rows that belongs to it

A state is written to a file of another name, flushed to the disk and renamed; rows beyond the length it names, written
before a kill, are cut off. Arrays are stored as such: nothing is unpickled.
"""

import hashlib
import io
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

import numpy as np

from tpl import __version__
from tpl.core.expr import Expr, show
from tpl.core.program import Program
from tpl.core.text import print_line
from tpl.language.source import Span
from tpl.sampling.rows import RowBuffer

EVERY = 60.0  # seconds between two states of a replicate
SHARE = 0.05  # of the time, at most, is spent on writing

State = dict[str, np.ndarray]


class CheckpointError(Exception):
    """A folder that cannot serve as this run's checkpoint."""


class Checkpoint:
    """A folder for the replicates of one run. Raises CheckpointError if it is in use, unwritable, or another run's."""

    def __init__(self, folder: str | Path, key: str, every: float = EVERY):
        self.folder, self.every = Path(folder), every
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder / "lock")
            self._claim(key)
        except OSError as problem:
            raise CheckpointError(f"{self.folder} cannot be written: {problem.strerror or problem}") from None

    def _claim(self, key: str) -> None:
        path = self.folder / "key"
        if not path.exists():
            if any(self.folder.glob("*.npz")):
                raise CheckpointError(f"{self.folder} holds other files")
            _replace(path, key.encode())
        elif path.read_text(encoding="utf-8", errors="replace") != key:
            raise CheckpointError(f"{self.folder} is the checkpoint of another program, or of other options")

    def replicate(self, name: int | str) -> "ReplicateFiles":
        """Files for a replicate, by its number, or for another training that belongs to the run."""
        return ReplicateFiles(self.folder, str(name), self.every)

    def close(self) -> None:
        """Let others use the folder."""
        os.close(self._lock)


def _locked(path: Path) -> int:
    """An open file that no other process has locked; where files can be locked."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError:
        os.close(handle)
        raise CheckpointError(f"{path.parent} is in use by another run") from None
    return handle


class ReplicateFiles:
    """What is on disk of one replicate."""

    def __init__(self, folder: Path, name: str, every: float):
        self._done, self._state, self._rows = (folder / f"{name}{end}" for end in (".done.npz", ".npz", ".rows"))
        self._every = every
        self._next = time.monotonic() + every
        self._names: list[str] = []  # of buffers
        self._counts: list[list[int]] = []  # rows of each buffer's chunks that are in the file
        self._segments: list[tuple[int, int, int]] = []  # buffer, chunk, rows: in the file's order
        self._length = self._check = 0  # of the file: bytes, and CRC-32

    def finished(self) -> State | None:
        """What a finished replicate recorded."""
        return _load(self._done) if self._done.exists() else None

    def finish(self, statistics: State) -> None:
        _save(self._done, statistics)
        self._state.unlink(missing_ok=True)
        self._rows.unlink(missing_ok=True)

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._next

    # ------------------------------------------------------------------------------------------ writing
    def save(self, state: State, buffers: Mapping[str, RowBuffer]) -> None:
        """Keep a state. buffers: those of the last time, with more rows, and new ones."""
        start = time.monotonic()
        with open(self._rows, "r+b" if self._rows.exists() else "w+b") as file:
            file.truncate(self._length)
            file.seek(self._length)
            for name, buffer in buffers.items():
                self._append(file, name, buffer)
            file.flush()
            os.fsync(file.fileno())
        capacities = {f"capacities:{name}": np.array(buffers[name].capacities) for name in self._names}
        rows = {"names": np.array(self._names, dtype=np.str_), "segments": np.array(self._segments).reshape(-1, 3),
                "end": np.array([self._length, self._check])}  # fmt: skip
        _save(self._state, {**{f"state:{name}": x for name, x in state.items()}, **capacities, **rows})
        taken = time.monotonic() - start
        self._next = time.monotonic() + (max(self._every, taken / SHARE) if self._every else 0.0)

    def _append(self, file: BinaryIO, name: str, buffer: RowBuffer) -> None:
        if name not in self._names:
            self._names.append(name)
            self._counts.append([])
        index = self._names.index(name)
        counts = self._counts[index]
        for chunk, rows in enumerate(buffer.parts):
            counts += [0] * (chunk + 1 - len(counts))
            new = rows[counts[chunk] :]
            if not len(new):
                continue
            for row in new:
                file.write(row.data)
                self._check = zlib.crc32(row.data, self._check)
            self._length += new.nbytes
            self._segments.append((index, chunk, len(new)))
            counts[chunk] += len(new)

    # ------------------------------------------------------------------------------------------ reading
    def resume(self, buffers: Callable[[str], RowBuffer]) -> State | None:
        """The last state, with the buffers of these names filled; None if there is none. Raises CheckpointError."""
        if not self._state.exists():
            return None
        found = _load(self._state)
        try:
            self._names = [str(name) for name in found["names"]]
            self._counts = [[] for _ in self._names]
            self._segments = [(int(a), int(b), int(c)) for a, b, c in found["segments"]]
            self._length, self._check = (int(x) for x in found["end"])
            self._read({name: (buffers(name), found[f"capacities:{name}"].tolist()) for name in self._names})
        except (OSError, KeyError, ValueError, IndexError):
            raise self._damaged() from None
        return {name.removeprefix("state:"): x for name, x in found.items() if name.startswith("state:")}

    def _read(self, buffers: Mapping[str, tuple[RowBuffer, list[int]]]) -> None:
        for buffer, capacities in buffers.values():
            buffer.clear(capacities)
        check = 0
        with open(self._rows, "rb") as file:
            for index, chunk, count in self._segments:
                buffer, _ = buffers[self._names[index]]
                for row in buffer.fill(chunk, count):
                    if file.readinto(row.data.cast("B")) != row.nbytes:
                        raise self._damaged()
                    check = zlib.crc32(row.data, check)
                counts = self._counts[index]
                counts += [0] * (chunk + 1 - len(counts))
                counts[chunk] += count
        if check != self._check:
            raise self._damaged()

    def _damaged(self) -> CheckpointError:
        return CheckpointError(f"{self._state} or {self._rows} is damaged: delete it to start this replicate again")


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{_escaped(name): x for name, x in arrays.items()})
    _replace(path, buffer.getbuffer())


def _load(path: Path) -> State:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {_unescaped(name): file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as problem:
        raise CheckpointError(f"{path} cannot be read ({problem}): delete it to start this replicate again") from None


def _escaped(name: str) -> str:
    """Names of variables hold anything; names in an archive should not look like paths."""
    return quote(name, safe=":")


def _unescaped(name: str) -> str:
    return unquote(name)


def _replace(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all."""
    other = path.with_name(path.name + ".new")
    with open(other, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(other, path)


# ---------------------------------------------------------------------------------------------- what a run is


def fingerprint(*things: Any) -> str:
    """A hash of programs, options and data, by content. Where something stands in the user's file does not count."""
    digest = hashlib.sha256()
    for piece in _pieces((__version__, np.__version__, *things)):
        digest.update(piece + b"\0")
    return digest.hexdigest()


def _pieces(thing: Any) -> Iterator[bytes]:
    if isinstance(thing, Program):
        yield from _pieces((thing.widths, thing.constants))
        yield "\n".join(print_line(thing, line) for line in thing.lines).encode()
    elif isinstance(thing, Expr):
        yield show(thing).encode()
    elif isinstance(thing, np.ndarray):
        yield f"{thing.shape} {thing.dtype}".encode() + thing.tobytes()
    elif isinstance(thing, Span | None):
        yield b"-"
    elif is_dataclass(thing) and not isinstance(thing, type):
        yield type(thing).__name__.encode()
        for field in fields(thing):
            yield from _pieces(getattr(thing, field.name))
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _pieces(key)
            yield from _pieces(value)
        yield b"end"
    elif isinstance(thing, tuple | list):
        for value in thing:
            yield from _pieces(value)
        yield b"end"
    elif isinstance(thing, str | int | float | Fraction | Enum | np.generic):
        yield repr(thing).encode()
    else:
        raise TypeError(f"no content of {type(thing).__name__}")
