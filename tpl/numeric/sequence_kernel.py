"""Kernels between sequences of unequal length: a pair law for every two lengths, every pair of sequences by its own.

The work in Python grows with the number of different lengths, not with that of sequences.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tpl.numeric.kernel import Kernel

Pairs = Callable[..., Any]  # the shapes of two inputs (one of them if they are equal) to their pair kernel


def sequence_kernel(
    pairs: Pairs, names: Sequence[str], left: Sequence[np.ndarray], right: Sequence[np.ndarray] | None = None,
    dtype: Any = np.float64, **options: Any,
) -> Kernel:  # fmt: skip
    """Kernels [N1, …, N2, …] of all pairs of sequences, one pair of lengths at a time.

    Raises NotPairwise as `pair_kernel` does.
    """
    columns = left if right is None else right
    own = [diagonals(pairs, names, x) for x in ((left,) if right is None else (left, right))]
    sizes = {name: tuple(np.sqrt(np.maximum(x[name], 0.0)) for x in (own[0], own[-1])) for name in names}
    matrices = {name: np.empty(own[0][name].shape + own[-1][name].shape, dtype) for name in names}
    relative = dict.fromkeys(names, 0.0)
    methods: dict[str, None] = {}
    for shape, i in _by_shape(left).items():
        for other, j in _by_shape(columns).items():
            if right is None and other < shape:
                continue  # its mirror image is there
            sides = np.stack([left[a] for a in i]), np.stack([columns[b] for b in j])
            same = right is None and shape == other
            found = pairs(shape, other)(sides[0], None if same else sides[1], dtype=dtype, **options)
            methods[found.method] = None
            for name in names:
                _by_pairs(matrices[name])[np.ix_(i, j)] = _by_pairs(found[name])
                if right is None:
                    _by_pairs(matrices[name])[np.ix_(j, i)] = _by_pairs(_mirrored(found[name]))
                size = np.multiply.outer(sizes[name][0][i], sizes[name][1][j])
                errors = found.errors(name)[size > 0] / size[size > 0]
                relative[name] = max(relative[name], float(np.max(errors, initial=0.0)))
    return Kernel(matrices, relative, {n: (own[0][n], own[-1][n]) for n in names}, max(methods, key=len))


def _by_pairs(matrix: np.ndarray) -> np.ndarray:
    """[N1, …, N2, …] as [N1, N2, …, …]."""
    return np.moveaxis(matrix, matrix.ndim // 2, 1)


def _mirrored(matrix: np.ndarray) -> np.ndarray:
    """[N1, …, N2, …] as [N2, …, N1, …]."""
    half = matrix.ndim // 2
    return np.transpose(matrix, (*range(half, matrix.ndim), *range(half)))


def _by_shape(rows: Sequence[np.ndarray]) -> dict[tuple[int, ...], list[int]]:
    """The numbers of the inputs of each shape."""
    found: dict[tuple[int, ...], list[int]] = {}
    for i, x in enumerate(rows):
        found.setdefault(x.shape, []).append(i)
    return found


def diagonals(pairs: Pairs, names: Sequence[str], rows: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """K(ξ, ξ) of every sequence, [N, …] with an axis more for every axis of outputs, by kernel."""
    found: dict[str, np.ndarray] = {}
    for shape, i in _by_shape(rows).items():
        array = np.stack([rows[a] for a in i])
        for name in names:
            values = pairs(shape).diagonal(array, name)
            found.setdefault(name, np.empty((len(rows), *values.shape[1:])))[i] = values
    return found
