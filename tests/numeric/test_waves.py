"""Kernels with many positions: numbers in waves, against the recursions of papers, the symbolic law, and other networks."""

import numpy as np
import pytest

import tpl
from tpl import kernels
from tpl.core.elaborate import Limits
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law
from tpl.numeric.series import Declined
from tpl.numeric.wave_law import evaluate_waves
from tpl.numeric.wave_pairs import WavePairs
from tpl.numeric.wave_reading import NotInWaves, Reading
from tpl.numeric.waves import Waves


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape)


# ---------------------------------------------------------------------------------------------- the recursion of papers


def relu_duals(q, r, c):
    """E relu relu and E step step (Cho and Saul 2009)."""
    size = np.sqrt(q * r)
    angle = np.arccos(np.clip(c / size, -1, 1))
    return size * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi), (np.pi - angle) / (2 * np.pi)


def filtered(K, r):
    """The average over offsets of both positions together, of K[a, p, q, b, s, t] on a torus."""
    offsets = [(i, j) for i in range(-r, r + 1) for j in range(-r, r + 1)]
    return sum(np.roll(K, (-i, -j, -i, -j), (1, 2, 4, 5)) for i, j in offsets) / len(offsets)


def pooled_kernels(X, L, r=1, strength=2.0):
    """Novak et al. 2019, section 3; the tangent kernel as Arora et al. 2019, section 4, without weights of their scaling."""

    def duals(S):
        variance = np.einsum("apqapq->apq", S)
        return relu_duals(variance[..., None, None, None], variance[None, None, None], S)

    S = strength * filtered(np.einsum("apqd,bstd->apqbst", X, X) / X.shape[-1], r)
    tangent = S
    for _ in range(L - 1):
        K, slopes = duals(S)
        S = strength * filtered(K, r)
        tangent = S + strength * filtered(slopes * tangent, r)
    K, slopes = duals(S)
    return K.mean((1, 2, 4, 5)), (K + slopes * tangent).mean((1, 2, 4, 5))


@pytest.mark.parametrize(("shape", "L"), [((2, 4, 4, 5), 2), ((2, 3, 4, 3), 3)])
def test_pooled_convolution_is_the_recursion_of_papers(shape, L, monkeypatch):
    monkeypatch.setattr(kernels, "WAVES_FROM", 0)
    X = images(*shape)
    run = tpl.load("conv2d", data={"X": X}, settings={"L": L}).run()
    for result, expected in zip(run.results, pooled_kernels(X, L), strict=True):
        assert "every pair" in result.method
        assert np.all(np.abs(result.value - expected) <= 2 * result.error)
        assert np.max(result.error) < 1e-12


@pytest.mark.slow
def test_real_images_in_64_positions():
    X = tpl.data.load_source("cifar10:2,layout=grid,patch=4", 1 << 30).array
    assert X.shape == (2, 8, 8, 48)
    kernel = tpl.load("conv2d", data={"X": X}).kernel(X)
    for name, expected in zip(("nngp", "ntk"), pooled_kernels(X, 2), strict=True):
        assert np.all(np.abs(kernel[name] - expected) <= 2 * kernel.errors(name) + 1e-9 * np.abs(expected))


# ---------------------------------------------------------------------------------------------- pairs


SMALL = """
const L = 2
def phi(z) = relu(z)
width n
data X[N, P, d] = sphere(3, 3, 4, seed=0)
network f(xi[P, d]):
    for k in 0..1:
        param U[k] : [n, d] ~ N(0, 2 / d)
        param W[k] : [n, n] ~ N(0, 1 / n)
    param b : [n] ~ N(0.5, 0.1)
    param v : [1, n] ~ N(0, 1 / n)
    for p in 1..P: h[p] = phi(sum(U[k] @ xi[(p + k - 1) mod P + 1] for k in 0..1) + b)
    for p in 1..P: g[p] = phi(sum(W[k] @ h[(p + k - 1) mod P + 1] for k in 0..1) - b / 2)
    return OUTPUT
show nngp(f, X)
show ntk(f, X)
"""
POOLED = SMALL.replace("OUTPUT", "v @ sum(g[p] for p in 1..P) / P")
EVERYWHERE = SMALL.replace("OUTPUT", "v @ g[p] for p in 1..P")


def in_waves(text, X, settings, monkeypatch):
    monkeypatch.setattr(kernels, "WAVES_FROM", 0)
    program = tpl.loads(text, data={"X": X}, settings=settings)
    shown = kernels.shown_kernels(program._compiled)[0]
    pairs = kernels.pair_kernel(program._compiled, Limits(), shown, ("nngp", "ntk"), X.shape[1:])
    assert isinstance(pairs.program, WavePairs)
    return pairs(X)


def general(text, X, settings):
    program = tpl.loads(text, data={"X": X}, settings=settings).program
    law = Law(program)
    return [evaluate_law(law, list(shown.lines)).value.reshape(shown.shape) for shown in program.shows]


@pytest.mark.parametrize(
    ("text", "phi"),
    [
        (POOLED, "log(1 + exp(z))"),
        (EVERYWHERE, "tanh(z)"),
        pytest.param(POOLED, "relu(z + 0.5)", marks=pytest.mark.slow),
    ],
)
def test_pairs_are_those_of_the_law(text, phi, monkeypatch):
    X = images(3, 3, 4)
    settings = [f"phi(z)={phi}"]
    kernel = in_waves(text, X, settings, monkeypatch)
    for name, expected in zip(("nngp", "ntk"), general(text, X, settings), strict=True):
        assert np.all(np.abs(kernel[name] - expected) <= 2 * kernel.errors(name) + 1e-11), (name, phi)
        assert np.array_equal(kernel[name], np.moveaxis(kernel[name], range(kernel[name].ndim // 2, kernel[name].ndim),
                                                        range(kernel[name].ndim // 2)))  # fmt: skip


def test_blocks_and_two_sides_give_the_same_numbers(monkeypatch):
    X = images(5, 3, 4)
    whole = in_waves(POOLED, X, [], monkeypatch)
    monkeypatch.setattr(WavePairs, "side", 2)
    blocks = in_waves(POOLED, X, [], monkeypatch)
    program = tpl.loads(POOLED, data={"X": X})
    two = program.kernel(X[:2], X[1:])
    for name in ("nngp", "ntk"):
        assert np.allclose(whole[name], blocks[name], rtol=0, atol=1e-14)
        assert np.allclose(two[name], whole[name][:2, 1:], rtol=0, atol=1e-14)
        assert two[name][1, 0] == pytest.approx(whole[name][1, 1], abs=1e-14)


def test_equal_positions_are_ordinary(monkeypatch):
    """One vector everywhere: every position is that of a network without positions; angles of 0 lose half of the digits."""
    x = images(3, 4)
    X = np.repeat(x[:, None], 3, axis=1)
    kernel = in_waves(POOLED, X, [], monkeypatch)
    merged = POOLED.replace("[P, d]", "[d]").replace("X[N, d] = sphere(3, 3, 4", "X[N, d] = sphere(3, 4")
    merged = merged.replace("data X[N, P, d] = sphere(3, 3, 4, seed=0)", "data X[N, d] = sphere(3, 4, seed=0)")
    merged = merged.replace("xi[(p + k - 1) mod P + 1]", "xi").replace("1..P", "1..1").replace(" / P", "")
    merged = merged.replace("h[(p + k - 1) mod P + 1]", "h[1]")
    for name, expected in zip(("nngp", "ntk"), general(merged, x, []), strict=True):
        assert np.all(np.abs(kernel[name] - expected) <= 2 * kernel.errors(name))
    assert kernel.error["nngp"] < 1e-9


def test_a_matrix_that_meets_other_data_is_not_a_matter_of_pairs():
    """Its inner products with the inputs are no numbers of a pair alone."""
    text = """
width n
data X[N, d] = sphere(3, 4, seed=0)
data C[K, d] = sphere(2, 4, seed=5)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(U @ xi + U @ C[1])
show nngp(f, X)
"""
    program = tpl.loads(text)
    exact = program.run(method="law").results[0]
    found = program.run().results[0]
    assert np.allclose(found.value, exact.value, atol=1e-10)


# ---------------------------------------------------------------------------------------------- whole programs


def waves_of(program):
    lines = [line for shown in program.shows for line in shown.lines]
    reading = Reading(program, lines, {})
    rows = list(reading.rows)
    width = max(map(len, rows), default=1)
    array = np.array([np.pad(row, (0, width - len(row))) for row in rows]).reshape(len(rows), width)
    walk = Waves(reading.numbers, [reading.scalar(line) for line in lines], reading.env)
    return lines, walk((array @ array.T)[None])[:, 0]


@pytest.mark.parametrize(
    "name",
    [
        "mlp_erf",
        "resnet",
        "layernorm_mlp",
        "graphconv",
        "deq",
        *(pytest.param(x, marks=pytest.mark.slow) for x in ("rnn", "transformer")),
    ],
)
def test_whole_programs_are_those_of_the_law(name):
    program = tpl.load(name).program
    lines, found = waves_of(program)
    exact = evaluate_law(Law(program), lines)
    assert np.all(np.abs(found - exact.value) <= 1e-12 * (1 + np.abs(exact.value)) + 2 * exact.error)


@pytest.mark.parametrize("name", ["semicircle", "transpose_correction", "batchnorm_mlp", "lstm", "amp"])
def test_what_is_no_matter_of_pairs_of_variables_is_declined(name):
    with pytest.raises(NotInWaves):
        waves_of(tpl.load(name).program)


GRAPH = """
width n
data X[B, d] = sphere(4, 10, seed=0)
def phi(z) = relu(z)
network f(xi[B, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 2 / n)
    param v : [1, n] ~ N(0, 1 / n)
    for i in 1..B: h[i] = phi(U @ xi[i])
    for i in 1..B: g[i] = phi(W @ ((h[i] + h[i mod B + 1]) / 2))
    return v @ g[i] for i in 1..B
show nngp(f, X), ntk(f, X)
"""


@pytest.mark.parametrize("phi", ["relu(z)", "log(1 + exp(z))"])
def test_long_programs_run_in_waves(phi, monkeypatch):
    program = tpl.loads(GRAPH, settings=[f"phi(z)={phi}"])
    exact = program.run(method="law")
    monkeypatch.setattr("tpl.stages.run.SHORT_LAW", 10)
    found = program.run()
    for a, b in zip(found.results, exact.results, strict=True):
        assert a.method.startswith("law, ")
        assert np.all(np.abs(a.value - b.value) <= 2 * (a.error + b.error))
        assert np.max(a.error) < 1e-9
    assert all(c.declined == () or c.method != "closed form" for c in found.plan)


def test_a_jump_that_no_wave_settles_is_left_to_the_law():
    """Every coordinate of h is 0 in the limit, but not at finite width."""
    text = """
width n
random x : [n] ~ N(0, 1)
random y : [n] ~ N(0, 1)
t = avg(x * y)
show avg(step(t * x))
"""
    program = tpl.loads(text).program
    assert isinstance(evaluate_waves(program, list(program.shows[0].lines)), Declined)
