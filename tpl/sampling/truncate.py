"""Coefficients in an orthonormal basis that grows as little as a tolerance allows.

`tpl.sampling.operator.expand` adds a direction for every row that is not yet known well enough. In training a whole block
of rows has drifted, most of it along common directions; what is left of them is known after the leading eigenvectors of
the residuals' Gram matrix. Only rows beyond the tolerance cost more than their inner products with the basis.
"""

import numpy as np

from tpl.sampling.rows import RowBuffer, Rows, accumulate, combine, inner, squared_norms

SMALLEST = 1e-5  # tolerances below this are for `expand`: squares of residuals must stand clear of rounding
_MARGIN = 0.5  # of the tolerance: what may be left of a row when directions are added, for rows drift on
_PYTHAGORAS = 100.0  # a squared residual is a difference of squares if it is this much larger than rounding


def expand_leading(x: Rows, norms: np.ndarray, basis: RowBuffer, tolerance: float) -> np.ndarray:
    """Coefficients of each row of x, [b, n] -> [b, k], with residuals of at most `tolerance` times the row's norm.

    norms: of the rows.
    """
    coefficients = inner(x, basis.parts)
    allowed = (tolerance * norms) ** 2
    unknown = np.flatnonzero(_squared_residuals(x, norms, coefficients, basis, tolerance) > allowed)
    if not len(unknown) or basis.count == basis.length:
        return coefficients
    known = basis.parts
    residuals = x[unknown].astype(float, copy=False)
    accumulate(residuals, -coefficients[unknown], known, out=residuals)
    residuals /= norms[unknown, None]
    weights = _leading(inner(residuals, residuals), _MARGIN * tolerance, basis.length - basis.count)
    directions = combine(weights, residuals).astype(x.dtype, copy=False)
    for _ in range(2):  # "twice is enough" (Kahan, Parlett)
        accumulate(directions, -inner(directions, known), known, out=directions)
        directions = combine(np.linalg.inv(np.linalg.cholesky(inner(directions, directions))), directions)
    new = basis.append(len(directions))
    new[:] = directions
    return np.concatenate([coefficients, inner(x, new)], axis=1)


def _squared_residuals(
    x: Rows, norms: np.ndarray, coefficients: np.ndarray, basis: RowBuffer, tolerance: float
) -> np.ndarray:
    if tolerance**2 > _PYTHAGORAS * float(np.finfo(x.dtype).eps):
        return norms**2 - squared_norms(coefficients)
    remains = np.empty_like(x)
    accumulate(x, -coefficients, basis.parts, out=remains)
    return squared_norms(remains)


def _leading(gram: np.ndarray, tolerance: float, most: int) -> np.ndarray:
    """Combinations of the residuals with this Gram matrix, nearly orthonormal, after which no row keeps more than
    the tolerance: [directions, rows]. Eigenvectors, as in SVQB (Stathopoulos and Wu 2002)."""
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    dropped = np.cumsum(vectors**2 * values, axis=1).max(axis=0) <= tolerance**2
    first = max(int(np.count_nonzero(dropped)), len(gram) - most)
    return (vectors[:, first:] / np.sqrt(values[first:])).T
