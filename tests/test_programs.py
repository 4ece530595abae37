"""The bundled programs: they compile, are what they say, agree with finite networks and with independent computations.

The references share no code with the interpreter: recursions on kernels in numpy, quadrature, combinatorics, and for
batch norm a Monte Carlo computation of its own.
"""

from math import comb, pi

import numpy as np
import pytest
from scipy.special import roots_hermitenorm

import tpl
from tpl.pipeline import bundled_programs

CLASSES = {
    "amp": "NETSORT+",
    "amp_spiked": "NETSORT+",
    "attention": "NETSORT+",
    "autoencoder": "NETSORT",
    "batchnorm_batches": "NETSORT",
    "batchnorm_mlp": "NETSORT",
    "conv1d": "NETSORT",
    "conv2d": "NETSORT",
    "deq": "NETSORT",
    "freeness": "NETSORT",
    "graphconv": "NETSORT",
    "gru": "NETSORT",
    "jacobian": "NETSORT",
    "layernorm_mlp": "NETSORT+",
    "lstm": "NETSORT",
    "marchenko_pastur": "NETSORT",
    "mlp": "NETSORT",
    "mlp_erf": "NETSORT",
    "resnet": "NETSORT",
    "resnet_post": "NETSORT",
    "resnet_pre": "NETSORT",
    "rnn": "NETSORT",
    "semicircle": "NETSORT",
    "transformer": "NETSORT+",
    "transpose_correction": "NETSORT",
}
OTHERS = {"amp", "amp_spiked", "freeness", "jacobian", "marchenko_pastur", "semicircle", "transpose_correction"}
NETWORKS = set(CLASSES) - OTHERS
each_program = pytest.mark.parametrize("name", sorted(CLASSES))


# ---------------------------------------------------------------------------------------------- what they are


def test_every_bundled_program_is_tested():
    assert set(bundled_programs()) == set(CLASSES)


@each_program
def test_has_a_header(name):
    text = bundled_programs()[name].read_text(encoding="utf-8")
    title, blank, *rest = tpl.load(name).program.title.splitlines()
    assert title.endswith(".")
    assert not blank
    assert any(line.startswith("Expect") for line in rest), "the header says what to expect"
    assert max(map(len, text.splitlines())) <= 120
    assert len([x for x in text.split('"""', 2)[2].splitlines() if x.strip()]) <= 40, "short enough to read aloud"


@each_program
def test_check(name):
    report = tpl.load(name).check()
    assert report.program_class == CLASSES[name]
    assert report.lines < 10_000
    assert report.memory_bytes < 2**30
    assert all(shown.shape for shown in report.shows) or name == "transpose_correction"
    if name in NETWORKS:
        assert [shown.name for shown in report.shows] == ["nngp(f, X)", "ntk(f, X)"]


@each_program
def test_default_data_can_be_replaced(name):
    """--data with other sizes than the defaults: no size is written down twice."""
    if name not in NETWORKS:
        assert not tpl.load(name).check().inputs
        return
    shape = {2: "7,5", 3: "2,3,4", 4: "2,4,3,5"}[_data(name).ndim]
    graph = {"G": "basis:7"} if name == "graphconv" else {}
    program = tpl.load(name, data={"X": f"sphere:{shape},seed=3"} | graph)
    outputs = (2, 3) if name == "batchnorm_batches" else (int(shape[0]),)
    assert [shown.shape for shown in program.program.shows] == [outputs * 2] * 2


def _data(name):
    """The default inputs, read off the text independently of elaboration's use of them."""
    from tpl.data import generate

    text = next(x for x in bundled_programs()[name].read_text().splitlines() if x.startswith("data X"))
    call = text.split("=", 1)[1].split("#")[0].strip()
    generator, arguments = call.rstrip(")").split("(")
    *sizes, seed = arguments.split(",")
    assert seed.strip().startswith("seed=")
    options = {"seed": int(seed.split("=")[1])}
    return generate(generator, [int(s) for s in sizes], options, 2**24).array


# ---------------------------------------------------------------------------------------------- finite networks
# level: every comparison here may fail by chance whenever the random streams change, so that chance is kept small.


@each_program
def test_finite_networks_agree(name):
    result = tpl.load(name).verify(widths=(64, 128, 256, 512), seeds=24, samples=4096, replicates=12, level=1e-4)
    assert result.ok, result


@pytest.mark.slow
@each_program
def test_wide_networks_agree(name):
    result = tpl.load(name).verify(seed=2, samples=16384, level=1e-4)
    assert result.ok, result


def test_gradient_independence_fails_for_the_transpose():
    options = {"widths": (64, 128, 256, 512), "seeds": 24, "samples": 4096}
    assert not tpl.load("transpose_correction").verify(gradient_independence=True, **options).ok
    assert float(tpl.load("transpose_correction").run(gradient_independence=True)[0]) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("name", ["mlp", "resnet", "rnn", "layernorm_mlp", "conv1d", "attention"])
def test_gradient_independence_holds_for_readouts_drawn_afresh(name):
    """TP2's condition: with an independent readout of mean 0 the backward pass may take W.T as independent of W."""
    options = {"widths": (64, 128, 256), "seeds": 24, "samples": 4096, "level": 1e-4}
    result = tpl.load(name).verify(gradient_independence=True, **options)
    assert result.ok, result


# ---------------------------------------------------------------------------------------------- references


def agree(result, reference, reference_error=0.0):
    """Every entry within 4.5 errors of an independent value, and a kernel's entries as near together as errors say."""
    reference = np.asarray(reference, float)
    assert result.value.shape == reference.shape
    error = np.hypot(result.error, reference_error)
    assert np.all(error > 0)
    z = (result.value - reference) / error
    assert np.abs(z).max() <= 4.5, f"{result.name}: {np.abs(z).max():.1f} errors off\n{result.value}\n{reference}"
    together = np.sqrt(np.mean(z**2))
    assert together <= 2.5 or z.size < 9, f"{result.name}: {together:.2f} errors off on average"
    # and the errors are small enough for the comparison to mean something
    assert np.median(error) <= 0.03 * np.abs(reference).max()


def sampled(name, seed, settings=()):
    """The limit from many replicates: their number decides how often 4.5 errors are exceeded by chance (6e-5)."""
    return tpl.load(name, settings=settings).run(samples=4096, replicates=40, seed=seed)


def gram(x):
    """<x_i, x_j> / d over all leading axes."""
    return np.tensordot(x, x, axes=(-1, -1)) / x.shape[-1]


def _outer(q):
    return np.sqrt(np.multiply.outer(q, q))


def relu_dual(c, q=None):
    """E relu(u) relu(u'), E step(u) step(u') for covariance c, with variances q (its diagonal if not given)."""
    size = _outer(np.diag(c) if q is None else q)
    angle = np.arccos(np.clip(c / size, -1, 1))
    return size * (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi), (pi - angle) / (2 * pi)


def erf_dual(c, q=None):
    """E erf(u) erf(u') and E erf'(u) erf'(u')."""
    size = _outer(1 + 2 * (np.diag(c) if q is None else q))
    return 2 / pi * np.arcsin(2 * c / size), 4 / pi / np.sqrt(size**2 - 4 * c**2)


def dual_of_flat(dual, c):
    """Apply a dual to a covariance [N, P, N, P] of N inputs at P places."""
    n, p = c.shape[:2]
    return tuple(x.reshape(n, p, n, p) for x in dual(c.reshape(n * p, n * p)))


@pytest.mark.parametrize("settings", [(), ("L=1", "sigma_b=0.5")])
def test_mlp_is_the_arc_cosine_recursion(settings):
    layers, bias = (1, 0.5) if settings else (3, 0.1)
    nngp = 2 * gram(_data("mlp")) + bias**2
    ntk = nngp
    for _ in range(layers):
        value, slope = relu_dual(nngp)
        nngp = 2 * value + bias**2
        ntk = nngp + 2 * slope * ntk
    run = sampled("mlp", 11, settings)
    agree(run["nngp(f, X)"], nngp)
    agree(run["ntk(f, X)"], ntk)


def test_mlp_erf_is_williams_recursion():
    nngp = ntk = 1.5**2 * gram(_data("mlp_erf"))
    for variance in (1.5**2, 1.0):
        value, slope = erf_dual(nngp)
        nngp = variance * value
        ntk = nngp + variance * slope * ntk
    run = sampled("mlp_erf", 12)
    agree(run["nngp(f, X)"], nngp)
    agree(run["ntk(f, X)"], ntk)


@pytest.mark.parametrize("branch", [0.5, 1.0])
def test_resnet_adds_a_layer_at_a_time(branch):
    """The adjoint of the stream: <dx[l], dx'[l]> = <dx[l+1], dx'[l+1]> (1 + a^2 sigma_w^2 E phi' phi')."""
    stream = [gram(_data("resnet"))]
    values, slopes = [], []
    for _ in range(4):
        value, slope = relu_dual(stream[-1])
        values.append(value)
        slopes.append(slope)
        stream.append(stream[-1] + branch**2 * 2 * value)
    ntk, adjoint = stream[-1].copy(), np.ones_like(stream[0])
    for value, slope in zip(reversed(values), reversed(slopes), strict=True):
        ntk += adjoint * branch**2 * 2 * value
        adjoint = adjoint * (1 + branch**2 * 2 * slope)
    ntk += adjoint * stream[0]
    run = sampled("resnet", 13, [f"a={branch}"])
    agree(run["nngp(f, X)"], stream[-1])
    agree(run["ntk(f, X)"], ntk)
    assert np.allclose(np.diag(stream[-1]), (1 + branch**2) ** 4)  # what the header says


def test_rnn_is_the_two_time_recursion():
    inputs = _data("rnn")
    n, steps, _ = inputs.shape
    entering = gram(inputs) + 0.01  # [N, T, N, T], with the bias
    states = np.zeros((n, steps, n, steps))  # E x[s] x'[t]
    slopes, before = states.copy(), states.copy()
    for _ in range(steps):  # after t rounds the states up to step t are right
        before = np.zeros_like(states)
        before[:, 1:, :, 1:] = states[:, :-1, :, :-1]
        states, slopes = dual_of_flat(erf_dual, entering + before)
    adjoint = np.zeros_like(states)  # <dh[s], dh'[t]>, from the last step back
    for s in reversed(range(steps)):
        for t in reversed(range(steps)):
            later = adjoint[:, s + 1, :, t + 1] if max(s, t) + 1 < steps else 0.0
            adjoint[:, s, :, t] = slopes[:, s, :, t] * (1 / steps**2 + later)
    nngp = states.mean(axis=(1, 3))
    ntk = nngp + (adjoint * (entering + before)).sum(axis=(1, 3))
    run = sampled("rnn", 14)
    agree(run["nngp(f, X)"], nngp)
    agree(run["ntk(f, X)"], ntk)


@pytest.mark.parametrize("eps", ["1e-5", "0.3"])
def test_layernorm_normalises_the_kernel(eps):
    nngp = 2 * gram(_data("layernorm_mlp"))
    ntk = nngp
    for _ in range(3):
        spread = _outer(np.diag(nngp) + float(eps))
        value, slope = relu_dual(nngp / spread)
        nngp, ntk = 2 * value, 2 * value + 2 * slope * ntk / spread
    run = sampled("layernorm_mlp", 15, [f"eps={eps}"])
    agree(run["nngp(f, X)"], nngp)
    agree(run["ntk(f, X)"], ntk)


def test_attention_weighs_by_the_limit_of_the_scores():
    inputs = _data("attention")
    n = len(inputs)
    embedded = gram(inputs)
    scores = 1.5**2 * np.stack([embedded[a, :, a, :] for a in range(n)])
    weights = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    attended = np.einsum("aik,akbl,bjl->aibj", weights, embedded, weights)
    value, slope = dual_of_flat(relu_dual, attended)
    nngp = value.mean(axis=(1, 3))
    # V and U each contribute <da, da'> <attended, attended'>; the scores' adjoint vanishes, so K contributes nothing.
    ntk = nngp + 2 * (slope * attended).mean(axis=(1, 3))
    run = sampled("attention", 16)
    agree(run["nngp(f, X)"], nngp)
    agree(run["ntk(f, X)"], ntk)


@pytest.mark.parametrize("radius", [1, 0, 2])
def test_conv1d_moves_pairs_of_positions(radius):
    inputs = _data("conv1d")
    positions, offsets = inputs.shape[1], range(-radius, radius + 1)

    def spread(c):
        return 2 * sum(np.roll(c, (-k, -k), axis=(1, 3)) for k in offsets) / len(offsets)

    def spread_back(c):
        return 2 * sum(np.roll(c, (k, k), axis=(1, 3)) for k in offsets) / len(offsets)

    first = spread(gram(inputs))
    value, slope = dual_of_flat(relu_dual, first)
    second = spread(value)
    value, last_slope = dual_of_flat(relu_dual, second)
    nngp = value.mean(axis=(1, 3))
    adjoint = last_slope / positions**2
    ntk = nngp + (adjoint * second).sum(axis=(1, 3))
    adjoint = slope * spread_back(adjoint)
    ntk += (adjoint * first).sum(axis=(1, 3))
    run = sampled("conv1d", 17, [f"r={radius}"])
    agree(run["nngp(f, X)"], nngp)
    agree(run["ntk(f, X)"], ntk)


def _batchnorm_kernels(inputs, layers, samples, rng):
    """NNGP and NTK by sampling the B-dimensional expectations of each layer afresh."""
    batch = len(inputs)
    kernel = gram(inputs)
    kernels, jacobians = [kernel], []
    for _ in range(layers):
        # pseudo-inverse square root: the kernel of a batch may be singular
        values, vectors = np.linalg.eigh(kernel)
        h = rng.standard_normal((samples, batch)) @ (vectors * np.sqrt(np.clip(values, 0, None))).T
        centred = h - h.mean(axis=1, keepdims=True)
        size = np.sqrt((centred**2).mean(axis=1, keepdims=True))
        unit = centred / size
        active = unit > 0
        # ∂x_c/∂h_a = [unit_c > 0] (δ_ca - 1/B - unit_c unit_a / B) / size
        jacobian = np.eye(batch) - 1 / batch - unit[:, :, None] * unit[:, None, :] / batch
        jacobian = (jacobian * (active / size)[:, :, None]).reshape(samples, batch**2)
        jacobians.append((jacobian.T @ jacobian / samples).reshape([batch] * 4))  # E J[c, a] J[e, b]
        x = unit * active
        kernel = x.T @ x / samples
        kernels.append(kernel)
    ntk = kernel.copy()
    adjoint = np.einsum("ic,je->icje", np.eye(batch), np.eye(batch))  # <dx_c of output i, dx_e of output j>
    for below, jacobian in zip(reversed(kernels[:-1]), reversed(jacobians), strict=True):
        adjoint = np.einsum("caeb,icje->iajb", jacobian, adjoint)
        ntk += np.einsum("iajb,ab->ij", adjoint, below)
    ntk += np.einsum("iajb,ab->ij", adjoint, kernels[0])  # the embedding U
    return kernel, ntk


def test_batchnorm_agrees_with_another_monte_carlo():
    rng = np.random.default_rng(5)
    replicates = [_batchnorm_kernels(_data("batchnorm_mlp"), 2, 20_000, rng) for _ in range(12)]
    run = sampled("batchnorm_mlp", 18)
    for shown, values in zip(run, zip(*replicates, strict=True), strict=True):
        agree(shown, np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values)))


def test_batchnorm_forgets_scale_and_mean():
    inputs = _data("batchnorm_mlp")
    plain = sampled("batchnorm_mlp", 3, ["L=1"])[0]
    moved = tpl.load("batchnorm_mlp", {"X": 5 * inputs + np.arange(inputs.shape[1])}, settings=["L=1"]).run(seed=4)[0]
    agree(moved, plain.value, plain.error)


def quadrature(f, order=200):
    """E f(g), g ~ N(0, 1), for smooth f."""
    nodes, weights = roots_hermitenorm(order)
    return float(weights @ f(nodes) / np.sqrt(2 * pi))


def test_transpose_correction_is_the_expected_derivative():
    expected = quadrature(lambda g: 1 - np.tanh(g) ** 2)
    assert expected == pytest.approx(0.6057, abs=5e-5)
    agree(sampled("transpose_correction", 19)[0], expected)


def catalan(k):
    return comb(2 * k, k) // (k + 1)


def test_semicircle_has_catalan_moments():
    agree(sampled("semicircle", 20)[0], [catalan(k) for k in range(1, 5)])


def test_semicircle_has_no_odd_moments():
    text = bundled_programs()["semicircle"].read_text().replace("x[2*k]) for", "x[2*k - 1]) for")
    shown = tpl.loads(text).run(seed=21)[0]
    assert np.all(np.abs(shown.value) <= 4.5 * shown.error)


@pytest.mark.parametrize("ratio", ["1", "0.5", "3"])
def test_marchenko_pastur_has_narayana_moments(ratio):
    expected = [sum(float(ratio) ** j * comb(k, j) * comb(k - 1, j) / (j + 1) for j in range(k)) for k in range(1, 5)]
    agree(sampled("marchenko_pastur", 22, [f"ratio={ratio}"])[0], expected)


def state_evolution(steps, delta=0.5, cutoff=1.2816, noise=0.1, alpha=1.5):
    """tau2[1..steps] by integrals: a density with an atom at 0 for the signal, a grid for its Gaussian part."""
    from scipy.special import ndtr

    share = 1 - ndtr(cutoff)
    grid = np.linspace(-9, 9, 2001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * pi) * (grid[1] - grid[0])

    def soft_error(x0, tau):
        r = x0 + tau * grid
        return ((np.sign(r) * np.maximum(np.abs(r) - alpha * tau, 0) - x0) ** 2) @ density

    tau2 = [noise**2 + share / delta]
    while len(tau2) < steps:
        tau = np.sqrt(tau2[-1])
        error = (1 - share) * soft_error(0.0, tau) + share * sum(
            p * soft_error(x, tau) for x, p in zip(grid, density, strict=True)
        )
        tau2.append(noise**2 + error / delta)
    return tau2


def test_amp_follows_state_evolution():
    expected = state_evolution(5)
    run = sampled("amp", 23)
    agree(run[0], expected)
    agree(run[1], expected)


def test_amp_without_the_onsager_term_does_not():
    run = sampled("amp", 23, ["onsager(b, z)=0*z"])
    z = (run[0].value - state_evolution(5)) / run[0].error
    assert abs(z[0]) <= 4.5
    assert abs(z[1]) > 10
