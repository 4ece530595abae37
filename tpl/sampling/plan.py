"""What a schedule is made of: steps that read and write blocks of vectors.

A block is an array [rows, size of its width]; every vector line is one row of one block. Scalars and random outputs
live in one array, indexed by line.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tpl.sampling.tape import Tape


class Piece(NamedTuple):
    """`length` rows of a block, `stride` apart; stride 0 repeats one row."""

    block: int
    start: int
    stride: int
    length: int


@dataclass(frozen=True, slots=True)
class Pick:
    """Rows to read, one for each line of a step: row i is `rows[i]` of block `blocks[i]`."""

    blocks: tuple[int, ...]
    rows: tuple[int, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Single random numbers: gaussian lines of one coordinate."""

    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """Gaussian vectors, each from its own stream."""

    lines: tuple[int, ...]
    block: int


@dataclass(frozen=True, slots=True)
class Input:
    """Rows factor @ Z, Z iid: a finite matrix applied to all constant vectors that are needed of it.

    factor: [lines, r]. Only the Gram matrix of the constants matters for the law, so r is the lesser of their
    number and their dimension.
    """

    lines: tuple[int, ...]
    block: int
    matrix: int
    factor: np.ndarray


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix, or its transpose, applied to a block of vectors."""

    lines: tuple[int, ...]
    block: int
    matrix: int
    transposed: bool
    argument: Pick


@dataclass(frozen=True, slots=True)
class Map:
    """One elementwise expression for all lines. The tape's arguments: vectors first, then scalars.

    scalars: [scalar arguments, lines], line numbers.
    """

    lines: tuple[int, ...]
    block: int
    tape: Tape
    vectors: tuple[Pick, ...]
    scalars: np.ndarray


@dataclass(frozen=True, slots=True)
class Combination:
    """Linear combinations of vectors: row i of the block is Σ_j C[i, j] * argument j + offset[i].

    The tape computes the offset and the entries of C, for all lines at once, from scalars alone; columns [entries,
    lines] says where each entry goes. Entries that meet are added.
    """

    lines: tuple[int, ...]
    block: int
    tape: Tape
    scalars: np.ndarray
    columns: np.ndarray
    argument: Pick


@dataclass(frozen=True, slots=True)
class ScalarMap:
    """One expression of scalars for all lines. scalars: [arguments, lines], line numbers."""

    lines: tuple[int, ...]
    tape: Tape
    scalars: np.ndarray


@dataclass(frozen=True, slots=True)
class Moment:
    """One expression averaged over coordinates, for all lines; or a readout's sum.

    biases: of a readout, for each line its (bias line, coefficient) pairs.
    """

    lines: tuple[int, ...]
    tape: Tape
    vectors: tuple[Pick, ...]
    scalars: np.ndarray
    width: str
    readout: bool = False
    biases: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """Averages of products of rows of two blocks. Dense: one matrix product of two row ranges.

    left, right: rows, one pair for each of `lines` (positions in the step).
    """

    left_block: int
    right_block: int
    left: np.ndarray
    right: np.ndarray
    lines: np.ndarray
    dense: bool


@dataclass(frozen=True, slots=True)
class Gram:
    """Moments avg(c * x * y): inner products by panels, then the factors c from scalars alone.

    factors: (positions in the step, tape, scalars [arguments, positions]) for each kind of factor but 1.
    """

    lines: tuple[int, ...]
    panels: tuple[Panel, ...]
    factors: tuple[tuple[np.ndarray, Tape, np.ndarray], ...]


Step = Numbers | Draw | Input | Product | Map | Combination | ScalarMap | Moment | Gram


class Block(NamedTuple):
    width: str
    rows: int


@dataclass(frozen=True)
class Schedule:
    """Steps in order of execution.

    frees: for each step, the blocks that are not read again. closes: the matrices that are not used again.
    products: matrix line -> how many products with it and with its transpose.
    targets: the lines whose values are wanted. kept: vector lines that are wanted, too: their blocks and rows. literals: numbers that steps address like scalars, after all lines.
    """

    steps: tuple[Step, ...]
    blocks: tuple[Block, ...]
    frees: tuple[tuple[int, ...], ...]
    closes: tuple[tuple[int, ...], ...]
    products: dict[int, tuple[int, int]]
    targets: tuple[int, ...]
    literals: np.ndarray
    constants: dict[str, float] = field(repr=False)
    kept: dict[int, tuple[int, int]] = field(default_factory=dict)
