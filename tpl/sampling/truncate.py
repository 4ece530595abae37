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


def expand_leading(
    x: Rows, norms: np.ndarray, basis: RowBuffer, tolerance: float, scales: np.ndarray | None = None
) -> np.ndarray:
    """Coefficients of each row of x, [b, n] -> [b, k], with residuals of at most `tolerance` times the row's scale.

    norms: of the rows. scales: their norms, too, unless others are given.
    """
    scales = norms if scales is None else scales
    coefficients = inner(x, basis.parts)
    allowed = (tolerance * scales) ** 2
    clear = tolerance**2 > _PYTHAGORAS * float(np.finfo(x.dtype).eps)
    squares = norms**2 - squared_norms(coefficients) if clear else squared_norms(_residuals(x, coefficients, basis))
    unknown = np.flatnonzero(squares > allowed)
    if not len(unknown) or basis.count == basis.length:
        return coefficients
    rows = x[unknown], coefficients[unknown], scales[unknown]
    try:
        new = _leading_directions(*rows, basis, tolerance, clear)
    except np.linalg.LinAlgError:  # rounding after all
        new = _leading_directions(*rows, basis, tolerance, False)
    basis.append(len(new))[:] = new
    return np.concatenate([coefficients, inner(x, new)], axis=1)


def _residuals(x: Rows, coefficients: np.ndarray, basis: RowBuffer) -> Rows:
    remains = x.astype(float)
    accumulate(remains, -coefficients, basis.parts, out=remains)
    return remains


def _leading_directions(
    x: Rows, coefficients: np.ndarray, scales: np.ndarray, basis: RowBuffer, tolerance: float, clear: bool
) -> Rows:
    """Orthonormal rows, orthogonal to a basis, that leave less than the tolerance of the rows of x."""
    if clear:  # differences of inner products spare a pass over the basis for every row
        gram = inner(x, x) - coefficients @ coefficients.T
    else:
        x = _residuals(x, coefficients, basis)
        coefficients, gram = np.zeros_like(coefficients), inner(x, x)
    weights = _leading(gram / np.outer(scales, scales), _MARGIN * tolerance, basis.length - basis.count) / scales
    directions: Rows = combine(weights, x).astype(basis.dtype, copy=False)
    accumulate(directions, -(weights @ coefficients), basis.parts, out=directions)
    directions = combine(_inverse_triangle(directions), directions)
    accumulate(directions, -inner(directions, basis.parts), basis.parts, out=directions)
    return combine(_inverse_triangle(directions), directions)  # "twice is enough" (Kahan, Parlett)


def _inverse_triangle(rows: Rows) -> np.ndarray:
    return np.linalg.inv(np.linalg.cholesky(inner(rows, rows)))


def _leading(gram: np.ndarray, tolerance: float, most: int) -> np.ndarray:
    """Combinations of the residuals with this Gram matrix, nearly orthonormal, after which no row keeps more than
    the tolerance: [directions, rows]. Eigenvectors, as in SVQB (Stathopoulos and Wu 2002)."""
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    dropped = np.cumsum(vectors**2 * values, axis=1).max(axis=0) <= tolerance**2
    first = max(int(np.count_nonzero(dropped)), len(gram) - most)
    return (vectors[:, first:] / np.sqrt(values[first:])).T
