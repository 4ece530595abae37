"""Loops over blocks that numba compiles. Import only where numba is wanted."""

import numpy as np

from tpl.numeric.vectors import njit


@njit(
    "void(float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, ::1])",
    error_model="numpy",
    nogil=True,
    cache=True,
    fastmath={"contract"},
)
def horner_steps(a: np.ndarray, b: np.ndarray, x: np.ndarray, total: np.ndarray) -> None:
    """total[i, j] = Σ_k a[i, k] b[k, j] x[i, j]^k, total zero before; the number of terms is a multiple of 8."""
    for i in range(x.shape[0]):
        for k in range(a.shape[1] - 8, -1, -8):
            a0, a1, a2, a3 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a4, a5, a6, a7 = a[i, k + 4], a[i, k + 5], a[i, k + 6], a[i, k + 7]
            for j in range(x.shape[1]):
                y = x[i, j]
                t = total[i, j] * y + a7 * b[k + 7, j]
                t = t * y + a6 * b[k + 6, j]
                t = t * y + a5 * b[k + 5, j]
                t = t * y + a4 * b[k + 4, j]
                t = t * y + a3 * b[k + 3, j]
                t = t * y + a2 * b[k + 2, j]
                t = t * y + a1 * b[k + 1, j]
                total[i, j] = t * y + a0 * b[k, j]


@njit(
    "int64(float64[::1], float64[::1], float64[:, ::1], float64, float64[:, ::1])",
    error_model="numpy", nogil=True, cache=True, fastmath={"contract"},
)  # fmt: skip
def plain_defects(left: np.ndarray, right: np.ndarray, dots: np.ndarray, near: float, found: np.ndarray) -> int:
    """found[i, j] = left[i] right[j] - |dots[i, j]|, at least 0; returns how many are below a share `near` of the first."""
    count = 0
    for i in range(dots.shape[0]):
        for j in range(dots.shape[1]):
            whole = left[i] * right[j]
            defect = max(whole - abs(dots[i, j]), 0.0)
            found[i, j] = defect
            count += 1 if defect < near * whole else 0
    return count
