"""Matrices with iid Gaussian entries: one that is revealed as it is asked for, and one that is stored.

The revealed one is THEORY section 3, in a form that needs fewer passes over its memory. Asked for W x, split x into
its part in the span of what W was applied to before (p_1, p_2, …, orthonormal), where the answer is known, and a
new direction p. There W p is known on the span of what W.T was applied to (q_1, …), since ⟨q_l, W p⟩ = ⟨W.T q_l, p⟩;
off that span it is a fresh Gaussian vector. So with G_k = W p_k and H_l = W.T q_l stored in full,

    W x = Σ_k ⟨p_k, x⟩ G_k,     G = g - Σ_l ⟨q_l, g⟩ q_l + Σ_l ⟨H_l, p⟩ q_l,     g ~ N(0, I)

has exactly the law of a Gaussian matrix. Inner products here are plain sums; entries have variance 1 inside and
are scaled on the way out.
"""

from typing import Protocol

import numpy as np

from tpl.sampling.rows import RowBuffer, Rows, Stack, accumulate, combine, inner, squared_norms

# Beyond this a squared norm is not trusted, and rows are scaled first.
_HUGE = 1e250
# Below this a residual is rounding, whatever tolerance was asked for.
_ROUNDING = 1e-12
# Project again when a projection leaves less than this share of a squared norm ("twice is enough": Kahan, Parlett).
_CANCELLED = 0.05
# A block's condition, as the largest squared norm of a row of its inverse triangle: beyond the first its orthonormal
# rows need a second pass, beyond the second they are taken in several rounds.
_ILL_CONDITIONED = 30.0
_NEARLY_DEPENDENT = 1e6


class Operator(Protocol):
    """A random matrix [n_out, n_in] applied to blocks of vectors."""

    def apply(self, x: Rows) -> Rows:
        """W x for each row: [b, n_in] -> [b, n_out]."""
        ...

    def apply_transposed(self, y: Rows) -> Rows:
        """W.T y for each row: [b, n_out] -> [b, n_in]."""
        ...


class DenseGaussian:
    """iid N(0, variance) entries in an array. `gradient_independence`: the transpose is another matrix."""

    def __init__(
        self, rows: int, columns: int, variance: float, rng: np.random.Generator, *, gradient_independence: bool = False
    ):
        self._scale = float(np.sqrt(variance))
        self._rng = rng
        self._matrix = rng.standard_normal((rows, columns))
        self._independent: np.ndarray | None = None
        self._wrong = gradient_independence

    def apply(self, x: Rows) -> Rows:
        return _scaled(x @ self._matrix.T, self._scale)

    def apply_transposed(self, y: Rows) -> Rows:
        if self._wrong and self._independent is None:
            self._independent = self._rng.standard_normal(self._matrix.shape)
        matrix = self._independent if self._independent is not None else self._matrix
        return _scaled(y @ matrix, self._scale)


def _scaled(x: Rows, factor: float) -> Rows:
    x *= factor
    return x


class LazyGaussian:
    """A matrix [rows, columns] with iid N(0, variance) entries, revealed product by product.

    tolerance: a residual is dropped when its norm is below this share of its argument's norm.
    gradient_independence: forget that W and W.T share entries (wrong on purpose: "dropping Ż").
    capacity: how many products with W and with W.T to make room for. dtype: of what is kept.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        variance: float,
        rng: np.random.Generator,
        *,
        tolerance: float = 1e-7,
        gradient_independence: bool = False,
        capacity: tuple[int, int] = (8, 8),
        dtype: type = np.float64,
    ):
        self._scale = float(np.sqrt(variance))
        self._rng = rng
        self._tolerance = max(tolerance, _ROUNDING)
        self._wrong = gradient_independence
        self._forward = _Side(columns, rows, min(capacity[0], columns), dtype)
        self._backward = _Side(rows, columns, min(capacity[1], rows), dtype)

    def apply(self, x: Rows) -> Rows:
        return self._product(x, self._forward, self._backward)

    def apply_transposed(self, y: Rows) -> Rows:
        return self._product(y, self._backward, self._forward)

    @property
    def ranks(self) -> tuple[int, int]:
        """The dimensions of the spaces on which W and W.T are known by now."""
        return self._forward.basis.count, self._backward.basis.count

    def _product(self, x: Rows, side: "_Side", other: "_Side") -> Rows:
        return combine(self._coefficients(x, side, other) * self._scale, side.images.parts)

    def _coefficients(self, x: Rows, side: "_Side", other: "_Side") -> np.ndarray:
        """Each row of x in the basis of its side, with the images of new directions drawn."""
        known = side.basis.count
        with np.errstate(over="ignore"):
            squares = squared_norms(x)
        if squares.max() > _HUGE or squares.min() < 1 / _HUGE:
            largest = np.abs(x).max(axis=1, keepdims=True)
            largest[largest == 0] = 1
            if np.any(largest != 1):
                return self._coefficients(x / largest, side, other) * largest
        coefficients = self._expand(x, np.sqrt(squares), side.basis)
        count = side.basis.count - known
        if count:
            self._reveal(side.basis.since(known), side.images.append(count), other)
        return coefficients

    def _expand(self, x: Rows, norms: np.ndarray, basis: RowBuffer) -> np.ndarray:
        return expand(x, norms, basis, self._tolerance)

    def _reveal(self, directions: Stack, images: Rows, other: "_Side") -> None:
        """Draw the images of new directions, given all that the opposite side knows."""
        self._draw(images, other.basis.parts)
        if self._wrong or not other.basis.count:
            return
        basis = other.basis.parts
        known = np.concatenate([inner(part, other.images.parts) for part in directions])
        accumulate(images, known - inner(images, basis), basis, out=images)

    def _draw(self, images: Rows, known: Stack) -> None:
        """Standard normals; only what of them is orthogonal to the known rows will count."""
        for row in images:
            row[:] = self._rng.standard_normal(len(row))


class _Side:
    """What is known of a matrix in one orientation: an orthonormal basis of arguments, and their images."""

    def __init__(self, n_in: int, n_out: int, capacity: int, dtype: type):
        self.basis = RowBuffer(n_in, capacity, dtype)
        self.images = RowBuffer(n_out, capacity, dtype)


def expand(x: Rows, norms: np.ndarray, basis: RowBuffer, tolerance: float) -> np.ndarray:
    """Coefficients of each row of x in an orthonormal basis, which grows by what is missing: [b, n] -> [b, k].

    norms: of the rows. Residuals below `tolerance` times the row's norm are dropped. Rows may be zero, equal or
    linearly dependent.
    """
    coefficients = np.zeros((len(x), basis.count + len(x)))
    least = tolerance * norms
    residual, sizes = x, norms
    left = np.arange(len(x))  # the rows whose residuals these are
    while True:
        residual, change, sizes = _project(residual, basis.parts, sizes)
        _put(coefficients, left, 0, change, add=True)
        keep = sizes > least[left]
        if basis.count == basis.length or not keep.any():
            break
        if not keep.all():
            residual, left, sizes = residual[keep], left[keep], sizes[keep]
        before = basis.count
        triangle, complete = _extend(basis, residual, sizes, least[left])
        _put(coefficients, left, before, triangle)
        if complete:
            break
        residual = residual - combine(triangle, basis.since(before))
    return coefficients[:, : basis.count]


def _put(table: np.ndarray, rows: np.ndarray, start: int, values: np.ndarray, add: bool = False) -> None:
    """Write or add some rows of a table, from a column on."""
    stop = start + values.shape[1]
    if len(rows) == len(table):  # indexing by a list of all rows costs more
        table[:, start:stop] = table[:, start:stop] + values if add else values
    else:
        table[rows, start:stop] = table[rows, start:stop] + values if add else values


def _project(x: Rows, basis: Stack, sizes: np.ndarray) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Take rows off an orthonormal basis: what remains, the coefficients removed, the norms of what remains."""
    if not len(basis[0]):
        return x, np.zeros((len(x), 0)), sizes
    coefficients = inner(x, basis)
    remains = np.empty(x.shape)
    accumulate(x, -coefficients, basis, out=remains)
    squares = squared_norms(remains)
    if (squares < _CANCELLED * sizes**2).any():
        again = inner(remains, basis)
        accumulate(remains, -again, basis, out=remains)
        coefficients += again
        squares = squared_norms(remains)
    return remains, coefficients, np.sqrt(squares)


def _extend(basis: RowBuffer, x: Rows, norms: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, bool]:
    """Append directions to a basis that x is orthogonal to. Returns x's coefficients in them, and whether they are all.

    least: what may be left of each row. Cholesky QR; if the rows are nearly dependent, the leading eigenvectors of
    their Gram matrix instead (SVQB: Stathopoulos and Wu 2002), and the caller comes back with what is left.
    """
    if len(x) == 1:
        np.multiply(x, 1 / norms[0], out=basis.append(1))
        return norms[:, None], True
    gram = inner(x, x) / np.outer(norms, norms)
    triangle, inverse, size = _factor(gram)
    if size > _NEARLY_DEPENDENT or len(x) > basis.length - basis.count:
        return _extend_by_eigenvectors(basis, x / norms[:, None], gram, (least / norms).min()) * norms[:, None], False
    old = basis.parts
    new = basis.append(len(x))
    np.matmul(inverse / norms, x, out=new)
    if size > _ILL_CONDITIONED:
        triangle = triangle @ _orthonormalise(new, old)
    return norms[:, None] * triangle, True


def _factor(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The Cholesky triangle of a Gram matrix, its inverse, and the largest squared norm of the inverse's rows."""
    try:
        triangle = np.linalg.cholesky(gram)
        inverse = np.linalg.inv(triangle)
    except np.linalg.LinAlgError:
        return gram, gram, np.inf
    return triangle, inverse, float(np.square(inverse).sum(axis=1).max())


def _extend_by_eigenvectors(basis: RowBuffer, x: Rows, gram: np.ndarray, least: float) -> np.ndarray:
    room = basis.length - basis.count
    values, vectors = np.linalg.eigh(gram)
    keep = np.flatnonzero(values > max(1 / _NEARLY_DEPENDENT, least**2))[-room:]
    old = basis.parts
    new = basis.append(len(keep))
    np.matmul((vectors[:, keep] / np.sqrt(values[keep])).T, x, out=new)
    _orthonormalise(new, old)
    return inner(x, new)


def _orthonormalise(x: Rows, others: Stack) -> np.ndarray:
    """Make rows orthonormal, in place, that are so up to rounding which ill-conditioning has magnified.

    They stay orthogonal to `others`. Returns L with x_before = L x_after.
    """
    if len(others[0]):
        accumulate(x, -inner(x, others), others, out=x)
    triangle = np.linalg.cholesky(inner(x, x))
    x[:] = np.linalg.inv(triangle) @ x
    return triangle
