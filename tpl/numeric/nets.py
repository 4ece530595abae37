"""Sobol nets, randomised: generators of points in natural order, for any power of two of them.

Point i is the exclusive or of the generators of i's bits, a 64-bit fraction; randomised by a random triangular matrix
over the bits and a random shift (Matoušek 1998, §2.3), which keeps the net and makes every point uniform.
"""

from functools import lru_cache

import numpy as np

from tpl.numeric.sobol import sobol_generators

BITS = 20  # of a point's number
WORD = 32  # bits of the net itself
DIGITS = 53  # bits of a randomised point
MAX_DIMENSION = 64  # beyond, nets of a size that we can afford are no better than independent samples


@lru_cache(maxsize=16)
def generators(dimension: int, bits: int = BITS) -> np.ndarray:
    """The generator of each bit of a point's number, [dimension, bits]: fractions of 2^WORD."""
    return sobol_generators(dimension, bits, WORD)


def scrambled(net: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Randomised generators [count, dimension, BITS] and shifts [count, dimension], fractions of 2^64."""
    result = np.zeros((count, *net.shape), dtype=np.uint64)
    for digit in range(WORD):  # the digit's column of the matrix: 1 on the diagonal, random below it
        diagonal = 1 << (DIGITS - 1 - digit)
        below = rng.integers(0, diagonal, size=(count, len(net), 1), dtype=np.uint64)
        column = (np.uint64(diagonal) | below) << np.uint64(64 - DIGITS)
        held = (net >> np.uint64(WORD - 1 - digit)) & np.uint64(1)
        result ^= held * column
    return result, rng.integers(0, 1 << 64, size=(count, len(net)), dtype=np.uint64)


def first_points(net: np.ndarray, shift: np.ndarray, count: int) -> np.ndarray:
    """The first `count` points, a power of two, of nets [..., BITS] with shifts [...]: [..., count]."""
    points = shift[..., None]
    for bit in range(count.bit_length() - 1):
        points = np.concatenate([points, points ^ net[..., bit : bit + 1]], axis=-1)
    return np.ascontiguousarray(points)
