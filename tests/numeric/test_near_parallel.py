"""Near-parallel inputs: an angle of 1e-6 has half of its digits in a covariance; the error must say so."""

import numpy as np
import pytest

import tpl
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law


@pytest.mark.parametrize("angle", [1e-3, 1e-5, 1e-6, 1e-7])
def test_errors_cover_what_pairs_know_exactly(angle):
    x = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    x[1] = x[1] * np.cos(angle) + np.linalg.norm(x[0]) * np.sin(angle) * np.array([0.0, 2.0, -1.0]) / np.sqrt(5)
    program = tpl.load("mlp", data={"X": x}, settings=["sigma_b=0"])
    law = Law(program.program)
    shown = program.program.shows[1]  # the tangent kernel: kinked at parallel inputs
    found = evaluate_law(law, [shown.lines[1]])
    exact = program.kernel(x).ntk[0, 1]
    assert abs(found.value[0] - exact) <= 2 * found.error[0] + 1e-14 * exact
    assert found.error[0] <= 1e-6 * exact
