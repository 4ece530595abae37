"""What an expression of the language stands for while a program is elaborated."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from tpl.core.expr import Expr, from_float
from tpl.core.program import Dim
from tpl.language import syntax as s
from tpl.language.source import Span


@dataclass(frozen=True, slots=True)
class Coordinatewise:
    """An expression over lines. With a width: a vector; without: a scalar, and a constant if it has no references."""

    expr: Expr
    width: str | None = None


@dataclass(frozen=True, slots=True)
class MatrixSum:
    """Σ coefficient · W or W.T, over matrix lines of two widths, or of a width and a number (`finite` columns)."""

    terms: tuple[tuple[Expr, int, bool], ...]
    rows: Dim
    columns: Dim


@dataclass(frozen=True, slots=True)
class Readout:
    """A matrix of finitely many rows, times a constant: v : [k, n]. Its rows are iid; `line` is one, times sqrt(n)."""

    line: int
    rows: int
    width: str
    coefficient: Expr


@dataclass(frozen=True, slots=True)
class RandomOutput:
    """Σ_v v·x_v/√n + Σ_c k_c c: for every readout line the vector it meets, for every bias its coefficient."""

    vectors: tuple[tuple[int, Expr], ...]
    biases: tuple[tuple[int, Expr], ...]
    widths: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """Data: a constant array of one or more axes. own_length: the first axis is that of a sequence with its own length.

    named: its entries are named constants rather than numbers.
    """

    array: np.ndarray
    name: str
    own_length: bool = False
    named: bool = False

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def shape_text(self) -> str:
        return f"[{', '.join(map(str, self.array.shape))}]"

    def __len__(self) -> int:
        return len(self.array)

    def member(self, number: int) -> "Array":
        """One along the first axis, counted from 1."""
        inside = self.name.endswith("]")
        name = f"{self.name[:-1]}, {number}]" if inside else f"{self.name}[{number}]"
        return Array(self.array[number - 1], name, named=self.named)


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """Data: sequences of unequal length, each an array whose first axis is the sequence."""

    rows: tuple[np.ndarray, ...]
    name: str

    @property
    def ndim(self) -> int:
        return self.rows[0].ndim + 1

    @property
    def shape_text(self) -> str:
        few, rest = self.rows[:3], self.rows[0].shape[1:]
        lengths = "/".join(str(len(x)) for x in few) + ("/…" if len(self.rows) > len(few) else "")
        return f"[{', '.join(map(str, (len(self.rows), lengths, *rest)))}]"

    def __len__(self) -> int:
        return len(self.rows)

    def member(self, number: int) -> Array:
        """One sequence, counted from 1."""
        return Array(self.rows[number - 1], f"{self.name}[{number}]", own_length=True)


@dataclass(frozen=True, slots=True)
class OwnLength:
    """The size of an axis along which sequences have lengths of their own: no number outside a network. name: theirs."""

    data: str


@dataclass(slots=True)
class Family:
    """Values under one name, by index."""

    name: str
    entries: "dict[tuple[int, ...], Any]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """A finite sequence of values: a slice, a comprehension, a softmax, a kernel. `items` are values or Listings."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A `def`."""

    syntax: s.Def


@dataclass(frozen=True, slots=True)
class NetworkValue:
    """A `network`, the parameters it has made so far, by name and index, and what was known where it was written.

    powers: for each parameter, the power of the base width in its variance, and its rate as (power, coefficient).
    """

    syntax: s.Network
    parameters: "dict[tuple[str, tuple[int, ...]], Any]"
    shapes: "dict[tuple[str, tuple[int, ...]], tuple[Dim, ...]]"
    dims: "dict[str, int]"
    outside: "dict[str, Any]"
    powers: "dict[tuple[str, tuple[int, ...]], tuple[Fraction, tuple[Fraction, float] | None]]"


@dataclass(frozen=True, slots=True)
class Text:
    """A string: only data generators take it."""

    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The value of something that was already reported as a mistake: everything made from it is unknown, silently."""


UNKNOWN = Unknown()

Scope = dict[str, Any]


class Mistake(Exception):
    """A mistake in the user's text, found while elaborating; the statement that holds it is given up."""

    def __init__(self, span: Span | None, message: str, hint: str | None = None):
        super().__init__(message)
        self.span, self.message, self.hint = span, message, hint


class TooLarge(Mistake):
    """A program beyond its limits: elaboration stops here, whatever else may be wrong."""


class Silent(Exception):
    """Raised where an unknown value is used: its cause has been reported."""


def finite_array(array: np.ndarray, name: str, span: Span) -> Any:
    if not np.all(np.isfinite(array)):
        raise Mistake(span, f"this makes entries of `{name}` infinite or not a number")
    if array.ndim == 0:
        return Coordinatewise(from_float(float(array)))
    return Array(array, name)
