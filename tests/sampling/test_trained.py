"""Matrices that training changes, and the bases that they are held in."""

import numpy as np
import pytest

from tpl.sampling.rows import RowBuffer, accumulate, combine, dot, inner
from tpl.sampling.trained import Motion, Outer, TrainedLazy
from tpl.sampling.truncate import expand_leading

LENGTH = 3000


def drifting(rng, steps, rows=6, common=2):
    """Blocks of rows that move mostly along a few common directions."""
    x, drift = rng.standard_normal((rows, LENGTH)), rng.standard_normal((common, LENGTH))
    for _ in range(steps):
        yield x
        x = x + 0.05 * rng.standard_normal((rows, common)) @ drift + 1e-4 * rng.standard_normal((rows, LENGTH))


def residuals(x, coefficients, basis):
    return np.linalg.norm(x - coefficients @ basis.rows[: coefficients.shape[1]], axis=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-2])
def test_expansion_keeps_its_tolerance(dtype, tolerance):
    basis = RowBuffer(LENGTH, 4, dtype)
    slack = 1 + 1e4 * np.finfo(dtype).eps / tolerance  # what rounding does to the smallest residuals
    for x in drifting(np.random.default_rng(0), 12):
        x = np.concatenate([x, x[:1], np.zeros((1, LENGTH)), 1e-6 * x[1:2]]).astype(dtype)
        norms = np.linalg.norm(x, axis=1)
        coefficients = expand_leading(x, norms, basis, tolerance)
        assert np.all(residuals(x, coefficients, basis) <= slack * tolerance * norms)
        assert np.abs(basis.rows @ basis.rows.T - np.eye(basis.count)).max() < 50 * np.finfo(dtype).eps


def test_common_directions_are_taken_once():
    basis = RowBuffer(LENGTH, 4)
    counts = []
    for x in drifting(np.random.default_rng(1), 12, rows=20):
        expand_leading(x, np.linalg.norm(x, axis=1), basis, 1e-2)
        counts.append(basis.count)
    assert counts[0] == 20
    assert counts[-1] <= 22 + 2  # the common directions, and hardly anything of what is below the tolerance


def test_expansion_stops_at_the_whole_space():
    rng, basis = np.random.default_rng(2), RowBuffer(10, 4)
    for _ in range(4):
        x = rng.standard_normal((7, 10))
        coefficients = expand_leading(x, np.linalg.norm(x, axis=1), basis, 1e-3)
    assert basis.count == 10
    assert np.allclose(coefficients @ basis.rows, x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_moved_matrix_is_one_matrix_in_both_orientations(dtype):
    rng = np.random.default_rng(3)
    op = TrainedLazy(70, 90, 0.3, np.random.default_rng(0), tolerance=1e-3, dtype=dtype)
    close = 1e4 * np.finfo(dtype).eps
    for step in range(6):
        x, y = rng.standard_normal((3, 90)).astype(dtype), rng.standard_normal((3, 70)).astype(dtype)
        wx, wy = op.product(x, (0, 1, 2), False), op.product(y, (3, 4, 5), True)
        assert wx.dtype == wy.dtype == dtype
        assert np.allclose(y @ wx.T, (x @ wy.T).T, atol=close * 100)
        before = op.product(x, (0, 1, 2), False)
        op.descend(Outer(np.array([0.1, 0.2, -0.3]), (3, 4, 5), (0, 1, 2), y, x), Motion(0.5 + step))
        moved = op.product(x, (0, 1, 2), False)
        expected = before - (0.5 + step) * (x @ x.T * np.array([0.1, 0.2, -0.3])) @ y
        assert np.allclose(moved, expected, atol=close * 100)


def test_algebra_on_several_chunks_is_that_on_one():
    rng = np.random.default_rng(4)
    x, c = rng.standard_normal((5, LENGTH)), rng.standard_normal((5, 30))
    whole = rng.standard_normal((30, LENGTH))
    parts = [whole[:7], whole[7:7], whole[7:29], whole[29:]]
    assert np.allclose(inner(x, parts), x @ whole.T)
    assert np.allclose(combine(c, parts), c @ whole)
    out = np.empty_like(x)
    accumulate(x, c, parts, out=out)
    assert np.allclose(out, x + c @ whole)


def test_float32_products_are_added_up_in_float64():
    x = np.full(2**25, 0.1, np.float32)
    exact = 2**25 * float(np.float32(0.1)) ** 2
    assert dot(x, x) == pytest.approx(exact, rel=1e-6)  # a running sum in float32 is off by a third
    assert inner(x[None], x[None])[0, 0] == pytest.approx(exact, rel=1e-6)
