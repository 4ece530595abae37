"""Inputs given by their Gram matrix: vectors with these inner products, all that a limit knows of its data."""

import math

import numpy as np

from tpl.data.dataset import DataError, Dataset, freeze, shape_text, shown

ASYMMETRY = 1e-9  # relative to the largest entry, as for eigenvalues below 0
FORM = "a Gram matrix is [N, N], or [N, T, N, T] for sequences"


def vectors_of_gram(text: str, given: Dataset) -> Dataset:
    """Vectors xi with <xi_a, xi_b> / d = K_ab for a Gram matrix K: [N, d] for [N, N], [N, T, d] for [N, T, N, T].

    d is the rank of K. text: the source, for messages. Raises DataError if K is no Gram matrix.
    """
    shape = given.array.shape
    half = len(shape) // 2
    if given.lengths is not None or len(shape) < 2 or len(shape) % 2 or shape[:half] != shape[half:]:
        raise DataError(f"{shown(text)}: an array of shape {shape_text(shape)} is no Gram matrix", FORM)
    size = math.prod(shape[:half])
    matrix = given.array.reshape(size, size)
    largest = float(np.abs(matrix).max())
    if np.abs(matrix - matrix.T).max() > ASYMMETRY * largest:
        raise DataError(f"{shown(text)}: this matrix is not symmetric", FORM)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if values[0] < -ASYMMETRY * largest:
        problem = f"an eigenvalue of this matrix is {values[0]:.3g}, below 0"
        raise DataError(f"{shown(text)}: {problem}", "inner products of vectors have none that are negative")
    kept = values > np.finfo(float).eps * size * largest
    d = max(1, int(kept.sum()))
    rows = vectors[:, kept] * np.sqrt(d * values[kept]) if kept.any() else np.zeros((size, 1))
    what = f"vectors in R^{d} with the inner products <xi, xi'>/d of {shown(text, 200)}"
    return freeze(rows.reshape(*shape[:half], d), f"{size} {what}")
