"""Noise that a network draws for each input: two equal inputs are a pair like any other."""

from dataclasses import replace

import numpy as np
import pytest

import tpl
from tpl.language.source import TplError
from tpl.report.explanation import ExplanationReport
from tpl.sampling.agreement import Agreement

LINEAR = """
width n
data X[N, d] = [[1, 0], [1, 0], [0, 1]]
random U : [n, d] ~ N(0, 1 / d)
network f(xi[d]):
    random e : [n] ~ N(0, 1)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ (U @ xi + e)
show nngp(f, X), ntk(f, X)
"""
DEEP = """
const L = 2
const s = 0.5
width n
data X[N, d] = [[1, 0.5], [1, 0.5], [0.2, 1]]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    random e[1] : [n] ~ N(0, s)
    h[1] = U @ xi + e[1]
    for l in 2..L:
        param W[l] : [n, n] ~ N(0, 1.5 / n)
        random e[l] : [n] ~ N(0, s)
        h[l] = W[l] @ tanh(h[l-1]) + e[l]
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(h[L])
show nngp(f, X), ntk(f, X)
"""
RECURRENT = """
width n
data X[N, T, d] = [[[1, 0], [0, 1]], [[1, 0], [0, 1]], [[0.5, 0], [1, 1]]]
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    random h[0] : [n] ~ N(0, 1)
    for t in 1..T: h[t] = tanh(W @ h[t-1] + U @ xi[t])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ h[T]
show nngp(f, X), ntk(f, X)
"""


def test_equal_inputs_share_no_noise():
    shown = tpl.loads(LINEAR).run()
    expected = np.array([[1.5, 0.5, 0], [0.5, 1.5, 0], [0, 0, 1.5]])
    for result in shown:
        np.testing.assert_allclose(result.value, expected, atol=1e-12)
    program, x = tpl.loads(LINEAR), np.array([[1.0, 0], [1, 0], [0, 1]])
    np.testing.assert_allclose(program.kernel(x)["nngp"], expected, atol=1e-12)
    np.testing.assert_allclose(program.kernel(x, x)["nngp"], expected - np.eye(3), atol=1e-12)  # drawn for each set


@pytest.mark.parametrize(
    "text", [DEEP, DEEP.replace("L = 2", "L = 400"), RECURRENT], ids=["deep", "waves", "recurrent"]
)
def test_the_numbers_of_pairs_are_those_of_the_law(text):
    """The kernels of pairs, those of one law over all inputs (nearly equal ones, which no comparison joins), and its signs."""
    near = text.replace("[1, 0.5], [1, 0.5]", "[1, 0.5], [1, 0.5000001]")
    near = near.replace("[[1, 0], [0, 1]], [[1, 0], [0, 1]]", "[[1, 0], [0, 1]], [[1, 0], [0, 1.0000001]]")
    for equal, apart in zip(tpl.loads(text).run(), tpl.loads(near).run(), strict=True):
        np.testing.assert_allclose(equal.value, apart.value, rtol=2e-6)
        assert equal.value[0, 0] > equal.value[0, 1] + 0.01


def test_noise_has_no_recursion_between_kernels():
    """At (ξ, ξ) there is a variance more than at two equal inputs, which one equation for both would lose."""
    for text in (LINEAR, DEEP, RECURRENT):
        report = tpl.loads(text).derive()
        assert isinstance(report, ExplanationReport)
        assert "drawn for each input, independently, even if two are equal" in str(report)
    assert "E[(Ẑ^{U ξ} + Z^{e(ξ)}) (Ẑ^{U ξ′} + Z^{e(ξ′)})]" in str(tpl.loads(LINEAR).derive())
    assert "E[Z^{h^{t−1}(ξ)} Z^{h^{t′−1}(ξ′)}]" in str(tpl.loads(RECURRENT).derive())
    with pytest.raises(TplError, match="draws for each input"):
        tpl.loads(DEEP).phase()


def test_a_comparison_fails_where_the_numbers_of_run_are_others():
    found = tpl.loads(LINEAR).verify(widths=(16, 32), seeds=8, samples=1024)
    assert found.ok
    other = replace(found, apart=2)
    assert isinstance(other.agreement, Agreement)
    assert other.agreement.agrees
    assert not other.ok
    assert "DISAGREES: limit and extrapolated networks agree, but the numbers of `tpl run` are others" in repr(other)
    assert not other.document()["agrees"]
