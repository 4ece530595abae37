"""The record in which every source of numbers ends, the error they all raise, and the texts they share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ITEM_BYTES = 8  # every dataset is float64


class DataError(Exception):
    """Data that cannot be made or read.

    `message` says what is wrong and `hint`, where there is one, what to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)  # both, so that the error survives a pickle between processes
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} ({self.hint})"


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no single truth value
class Dataset:
    """A real array (float64, C-contiguous, read-only) and one honest sentence on where it comes from.

    The description also names every normalisation that was applied.
    """

    array: Array
    description: str
    lengths: tuple[int, ...] | None = None  # of sequences of unequal length, which `array` holds one after another

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, longest, ...] for sequences of unequal length."""
        if self.lengths is None:
            return self.array.shape
        return (len(self.lengths), max(self.lengths), *self.array.shape[1:])

    def rows(self) -> tuple[Array, ...]:
        """One array for each along the first axis, or each sequence."""
        if self.lengths is None:
            return tuple(self.array)
        return tuple(np.split(self.array, np.cumsum(self.lengths)[:-1]))


def sequences(rows: Sequence[NDArray[Any]], description: str) -> Dataset:
    """Dataset of arrays that differ in their first size; if they do not, of one array with an axis more.

    Raises DataError if they differ in another size.
    """
    if len({x.shape[1:] for x in rows}) > 1:
        few = ", ".join(shape_text(x.shape) for x in rows[:4])
        raise DataError(f"sequences of shapes {few} are no data together", "they may differ in their first size only")
    if len({len(x) for x in rows}) == 1:
        return freeze(np.stack(rows), description)
    return replace(freeze(np.concatenate(rows), description), lengths=tuple(len(x) for x in rows))


def freeze(array: NDArray[Any], description: str) -> Dataset:
    """Dataset of `array`, cast to float64 if it is not; the array must belong to the caller, who gives it up."""
    owned = np.asarray(array, dtype=np.float64, order="C")
    owned.flags.writeable = False
    return Dataset(owned, description)


def require_room(what: str, shape: Sequence[int], max_bytes: int, item_bytes: int = ITEM_BYTES) -> None:
    """Raise DataError if an array of this shape would take more than `max_bytes` bytes."""
    needed = math.prod(shape) * item_bytes
    if needed > max_bytes:
        raise DataError(
            f"{what} of shape {shape_text(shape)} needs {bytes_text(needed)}, "
            f"more than the limit of {bytes_text(max_bytes)}",
            "take a smaller array or raise --max-memory",
        )


def sequences_text(lengths: Sequence[int]) -> str:
    """3 sequences of length 5, 2, 4."""
    few = ", ".join(map(str, lengths[:6])) + (", ..." if len(lengths) > 6 else "")
    return f"{plural(len(lengths), 'sequence')} of length {few}"


def shape_text(shape: Sequence[int]) -> str:
    """A shape as the language writes it: [4, 10]."""
    return "[" + ", ".join(str(size) for size in shape) + "]"


def bytes_text(count: int) -> str:
    """A number of bytes for people: 800 bytes, 1.229 GB."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"


def shown(value: object, limit: int = 60) -> str:
    """A value as an error message quotes it: one short line, without control characters."""
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print the largest ones
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def plural(count: int, noun: str) -> str:
    """1 image, 2 images."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
