"""Kernels by pairs of networks with several outputs: at every position of an image, at every step of a sequence."""

import numpy as np
import pytest

import tpl
from tpl.limit.law import Law
from tpl.numeric import kernel as kernel_module
from tpl.numeric.evaluate import evaluate_law

POSITIONS = """
const sigma_w = sqrt(2)
def phi(z) = relu(z)
width n
data X[N, P, d] = sphere(3, 4, 3, seed=0)
network f(xi[P, d]):
    for k in 0..1:
        param U[k] : [n, d] ~ N(0, sigma_w^2 / d)
        param W[k] : [n, n] ~ N(0, sigma_w^2 / n)
    param b : [n] ~ N(0, 0.04)
    param v : [1, n] ~ N(0, 1 / n)
    for p in 1..P:
        h[p] = phi(sum(U[k] @ xi[(p + k - 1) mod P + 1] for k in 0..1) + b)
    for p in 1..P:
        g[p] = phi(sum(W[k] @ h[(p + k - 1) mod P + 1] for k in 0..1))
    return v @ g[p] for p in 1..P
show nngp(f, X)
show ntk(f, X)
"""
STEPS = """
width n
data X[N, T, d] = sphere(3, 3, 4, seed=0)
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    h[1] = tanh(U @ xi[1])
    for t in 2..T:
        h[t] = tanh(W @ h[t-1] + U @ xi[t])
    return v @ h[t] for t in 1..T
show nngp(f, X)
show ntk(f, X)
"""


def general(text, X, settings=()):
    program = tpl.loads(text, data={"X": X}, settings=settings).program
    law = Law(program)
    found = [evaluate_law(law, list(shown.lines)).value.reshape(shown.shape) for shown in program.shows]
    return dict(zip(("nngp", "ntk"), found, strict=True))


def inputs(*shape):
    X = np.random.default_rng(1).standard_normal(shape)
    X[1] = X[0]
    return X


CASES = {
    "positions, relu": (POSITIONS, (4, 3, 3), ()),
    "positions, a kink elsewhere": (POSITIONS, (3, 3, 3), ("phi(z)=relu(z - 0.3)",)),
    "steps, tanh": (STEPS, (4, 3, 4), ()),
}


@pytest.mark.parametrize("case", CASES)
def test_outputs_against_the_general_evaluator(case):
    text, shape, settings = CASES[case]
    X = inputs(*shape)
    found, expected = tpl.loads(text, settings=settings).kernel(X), general(text, X, settings)
    for name, want in expected.items():
        assert found[name].shape == want.shape == (shape[0], shape[1], shape[0], shape[1])
        assert found.errors(name).shape == want.shape
        scale = np.sqrt(np.einsum("nene->ne", want))
        assert np.max(np.abs(found[name] - want) / np.multiply.outer(scale, scale)) < 1e-11
        np.testing.assert_array_equal(found[name], found[name].transpose(2, 3, 0, 1))
        np.testing.assert_array_equal(found[name][0, :, 0], found[name][0, :, 1])


def test_run_takes_pairs_and_has_their_shape():
    X = inputs(3, 3, 3)
    found = tpl.loads(POSITIONS, data={"X": X}).run()
    for result, name in zip(found.results, ("nngp", "ntk"), strict=True):
        assert "every pair" in result.method
        np.testing.assert_array_equal(result.value, tpl.loads(POSITIONS).kernel(X)[name])


def test_blocks_two_sets_and_compiled_code(monkeypatch):
    X = np.random.default_rng(2).standard_normal((9, 2, 3))
    program = tpl.loads(POSITIONS)
    whole = program.kernel(X)
    monkeypatch.setattr(kernel_module, "BLOCK", 8)  # 4 inputs of 2 outputs
    monkeypatch.setattr(kernel_module, "COMPILE_FROM", 0)
    parts, between = program.kernel(X), program.kernel(X[:4], X[4:])
    for name in whole.names:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-13)
        np.testing.assert_allclose(between[name], whole[name][:4, :, 4:], rtol=1e-13)
        np.testing.assert_array_equal(program.kernel_diagonal(X, name), np.einsum("nene->ne", whole[name]))


class Stop(Exception):
    pass


def test_a_file_has_the_shape_and_is_resumed(monkeypatch, tmp_path):
    def stop(done, total):
        if done == 2:
            raise Stop

    monkeypatch.setattr(kernel_module, "BLOCK", 9)
    X, path = np.random.default_rng(3).standard_normal((8, 3, 3)), tmp_path / "k.npy"
    program = tpl.loads(POSITIONS)
    with pytest.raises(Stop):
        program.kernel(X, out=path, progress=stop)
    found = program.kernel(X, out=path)
    np.testing.assert_array_equal(np.load(path), np.array(list(program.kernel(X).matrices.values())))
    assert found.ntk.shape == (8, 3, 8, 3)


def test_scikit_learn_takes_one_output():
    pytest.importorskip("sklearn")
    from tpl.extras.sklearn import NetworkKernel

    with pytest.raises(ValueError, match="one output"):
        NetworkKernel(tpl.loads(POSITIONS), "nngp", (3, 3))(np.ones((2, 9)))
