"""Kernels by pairs against recursions in high precision, the general evaluator, and themselves."""

import mpmath
import numpy as np
import pytest

import tpl
from tpl.limit.law import Law
from tpl.numeric import kernel as kernel_module
from tpl.numeric.evaluate import evaluate_law
from tpl.numeric.pairwise_code import PairProgram, defects
from tpl.numeric.pairwise_graph import ARCSINE, arcsine_ratio

SMALL = 1 << 60  # pairs from which compiling would pay: never
RNG = np.random.default_rng


def exact_mlp(X, depth, sigma_b="0.1", weight=2):
    """NNGP and tangent kernel of the bundled relu network by the recursions of Cho and Saul and of Jacot et al."""
    with mpmath.workdps(60):
        bias, weight = mpmath.mpf(sigma_b) ** 2 if sigma_b else mpmath.mpf(0), mpmath.mpf(weight)
        rows = [[mpmath.mpf(float(x)) for x in row] for row in X]
        dots = [[mpmath.fsum(a * b for a, b in zip(r, s, strict=True)) for s in rows] for r in rows]
        found = np.empty((2, len(X), len(X)))
        for i in range(len(X)):
            for j in range(len(X)):
                corners = [weight * dots[a][b] / len(rows[0]) + bias for a, b in ((i, i), (i, j), (j, j))]
                tangent = corners[1]
                for _ in range(depth):
                    corners, slope = exact_layer(corners)
                    corners = [weight * c + bias for c in corners]
                    tangent = corners[1] + weight * slope * tangent
                found[:, i, j] = corners[1], tangent
        return found


def exact_layer(corners):
    """E relu relu at (ξ, ξ), (ξ, ξ'), (ξ', ξ'), and E step step."""
    first, both, last = corners
    size = mpmath.sqrt(first * last)
    if size == 0:
        return [first / 2, mpmath.mpf(0), last / 2], mpmath.mpf(1) / 4
    cosine = min(max(both / size, mpmath.mpf(-1)), mpmath.mpf(1))
    opening = mpmath.pi - mpmath.acos(cosine)
    value = (mpmath.sqrt(max(size**2 - both**2, 0)) + both * opening) / (2 * mpmath.pi)
    return [first / 2, value, last / 2], opening / (2 * mpmath.pi)


def general(name, X, data="X", settings=()):
    """The shows of a program by the general evaluator."""
    program = tpl.load(name, data={data: X}, settings=settings).program
    law = Law(program)
    values = [evaluate_law(law, list(shown.lines)).value.reshape(shown.shape) for shown in program.shows]
    return dict(zip(("nngp", "ntk"), values, strict=True))


def compiled_and_interpreted(program, X, monkeypatch, **options):
    found = []
    for start in (0, SMALL):
        monkeypatch.setattr(kernel_module, "COMPILE_FROM", start)
        found.append(program.kernel(X, **options))
    return found


def difficult_inputs():
    """Duplicates, opposites, multiples, near duplicates, zero, and lengths from 1e-6 to 1e6."""
    x, y = RNG(3).standard_normal((2, 7))
    close = [x + 10.0**-k * y for k in (3, 6, 9, 12)]
    scaled = [1e-6 * y, 1e6 * x, 1e6 * (x + 1e-7 * y), -2.0 * x]
    return np.array([x, x, -x, 3 * x, *close, *scaled, np.zeros(7), y])


# ---------------------------------------------------------------------------------------------- exact recursions


@pytest.mark.parametrize(("depth", "bias"), [(1, "0.1"), (3, "0.1"), (3, ""), (10, "0.1")])
def test_difficult_inputs_against_a_recursion_in_sixty_digits(depth, bias, monkeypatch):
    X = difficult_inputs()
    program = tpl.load("mlp", settings=[f"L={depth}", f"sigma_b={bias or 0}"])
    expected = exact_mlp(X, depth, bias)
    for found in compiled_and_interpreted(program, X, monkeypatch):
        for name, want in zip(("nngp", "ntk"), expected, strict=True):
            size = np.sqrt(np.outer(np.diag(want), np.diag(want)))
            assert np.all(np.abs(found[name] - want) <= found.errors(name))
            assert np.all(np.abs(found[name] - want) <= 4e-15 * depth * size)


def test_duplicates_have_the_diagonals_value():
    X = np.repeat(RNG(0).standard_normal((3, 5)), 2, axis=0)
    found = tpl.load("mlp", settings=["L=6"]).kernel(X)
    for name in found.names:
        diagonal = np.diag(found[name])
        np.testing.assert_allclose(found[name][::2, 1::2].diagonal(), diagonal[::2], rtol=1e-14)


def test_one_input():
    X = RNG(0).standard_normal((1, 5))
    found = tpl.load("mlp").kernel(X)
    np.testing.assert_allclose([found.nngp[0, 0], found.ntk[0, 0]], exact_mlp(X, 3)[:, 0, 0], rtol=1e-14)
    assert found.nngp.shape == (1, 1)


# ---------------------------------------------------------------------------------------------- the general evaluator

PROGRAMS = [
    ("mlp", (4,), ()), ("mlp", (4,), ("phi(z)=abs(z)",)), ("mlp", (4,), ("phi(z)=max(z, -0.2*z)",)),
    ("mlp", (4,), ("phi(z)=relu(z) - 0.3*z",)), ("mlp", (4,), ("phi(z)=z^2 + z",)), ("mlp", (4,), ("phi(z)=sin(z)",)),
    ("mlp", (4,), ("phi(z)=gelu(z)",)), ("mlp", (4,), ("phi(z)=relu(z)^2",)), ("mlp", (4,), ("phi(z)=tanh(z)",)),
    ("mlp", (4,), ("phi(z)=exp(-z^2)",)), ("mlp", (4,), ("phi(z)=step(z)", "L=1")), ("mlp", (4,), ("phi(z)=erf(-2*z)",)),
    ("mlp_erf", (4,), ("L=4",)), ("resnet", (4,), ()), ("layernorm_mlp", (4,), ()),
    ("layernorm_mlp", (4,), ("phi(z)=tanh(z)",)), ("rnn", (3, 4), ()), ("rnn", (2, 4), ("phi(z)=relu(z)",)),
    ("rnn", (2, 4), ("phi(z)=arctan(z)",)), ("conv1d", (4, 3), ()), ("attention", (3, 4), ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "settings"), PROGRAMS, ids=lambda x: " ".join(map(str, np.atleast_1d(x))))
def test_programs_against_the_general_evaluator(name, shape, settings):
    X = RNG(1).standard_normal((3, *shape))
    found, expected = tpl.load(name, settings=settings).kernel(X), general(name, X, settings=settings)
    for kernel in found.names:
        np.testing.assert_allclose(found[kernel], expected[kernel], rtol=3e-13, atol=1e-14)


def test_a_deep_network_has_the_limit_of_its_correlations():
    """With σ_w² = 2, relu and no bias, correlations tend to 1 and the diagonal stays (Poole et al. 2016)."""
    X = RNG(1).standard_normal((3, 6))
    found = tpl.load("mlp", settings=["L=150", "sigma_b=0"]).kernel(X)
    scale = np.sqrt(np.diag(found.nngp))
    np.testing.assert_allclose(scale**2, 2 * np.sum(X**2, axis=1) / 6, rtol=1e-12)
    correlations = found.nngp / np.outer(scale, scale)
    assert np.all(correlations > 0.99)
    assert np.all(correlations < 1 + 1e-14)


@pytest.mark.parametrize("settings", [(), ("phi(z)=erf(z)",), ("phi(z)=tanh(z)",), ("phi(z)=gelu(z)",)], ids=str)
def test_compiled_and_interpreted_agree(settings, monkeypatch):
    X = RNG(2).standard_normal((70, 6))
    compiled, interpreted = compiled_and_interpreted(tpl.load("mlp", settings=settings), X, monkeypatch)
    for name in compiled.names:
        size = np.sqrt(np.outer(np.diag(compiled[name]), np.diag(compiled[name])))
        assert np.max(np.abs(compiled[name] - interpreted[name]) / size) < 1e-14


def test_two_sets_of_inputs_and_blocks(monkeypatch):
    X = RNG(4).standard_normal((23, 6))
    program = tpl.load("mlp", settings=["phi(z)=tanh(z)"])
    whole = program.kernel(X)
    monkeypatch.setattr(kernel_module, "BLOCK", 5)
    parts, between = program.kernel(X), program.kernel(X[:9], X[9:])
    for name in whole.names:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-13)
        np.testing.assert_allclose(between[name], whole[name][:9, 9:], rtol=1e-13)
        np.testing.assert_array_equal(parts[name], parts[name].T)


def test_single_precision_is_rounded_double_precision():
    X = RNG(4).standard_normal((10, 6))
    program = tpl.load("mlp")
    double, single = program.kernel(X), program.kernel(X, dtype="float32")
    assert single.ntk.dtype == np.float32
    np.testing.assert_array_equal(single.ntk, double.ntk.astype(np.float32))
    assert np.all(np.abs(single.ntk - double.ntk) <= single.errors("ntk"))


def test_bits_do_not_depend_on_threads():
    X = RNG(4).standard_normal((300, 6))
    program = tpl.load("mlp")
    np.testing.assert_array_equal(program.kernel(X, threads=1).ntk, program.kernel(X, threads=3).ntk)


def test_steep_functions_say_their_error():
    X = 10.0 ** RNG(5).uniform(-3, 1.5, (12, 1)) * RNG(6).standard_normal((12, 5))
    settings = ["phi(z)=tanh(z)"]
    found, expected = tpl.load("mlp", settings=settings).kernel(X), general("mlp", X, settings=settings)
    for name in found.names:
        assert np.all(np.abs(found[name] - expected[name]) <= found.errors(name) + 1e-12 * np.abs(expected[name]))


# ---------------------------------------------------------------------------------------------- parts


def test_arcsine_polynomial_in_forty_digits():
    z = np.concatenate([np.linspace(0, 0.5, 501), 10.0 ** np.linspace(-30, -1, 60)])
    with mpmath.workdps(40):
        want = [float(mpmath.asin(mpmath.sqrt(x)) / mpmath.sqrt(x)) if x else 1.0 for x in map(mpmath.mpf, z)]
        values = [
            mpmath.polyval(ARCSINE[::-1], mpmath.mpf(x)) / mpmath.mpf(w) - 1 for x, w in zip(z, want, strict=True)
        ]
    assert max(map(abs, values)) < 2.3e-16  # `want` is rounded
    np.testing.assert_allclose(arcsine_ratio(z), want, rtol=7e-16)


def test_defects_of_nearly_parallel_inputs():
    X = difficult_inputs()
    found = defects(X @ X.T, X, X)
    with mpmath.workdps(60):
        rows = [[mpmath.mpf(float(x)) for x in row] for row in X]
        for i, r in enumerate(rows):
            for j, s in enumerate(rows):
                size = mpmath.sqrt(mpmath.fsum(x * x for x in r) * mpmath.fsum(x * x for x in s))
                want = float(size - abs(mpmath.fsum(x * y for x, y in zip(r, s, strict=True))))
                angle = np.sqrt(max(2 * want / float(size), 0)) if size else 0.0  # errors are those of an angle
                error = abs(np.sqrt(max(2 * found[i, j] / float(size), 0)) - angle) if size else found[i, j]
                assert error < 1e-15 * 20


def test_one_input_is_asked_once_and_pairs_only_for_what_is_theirs():
    X = RNG(0).standard_normal((5, 4))
    program = tpl.load("mlp", settings=["phi(z)=tanh(z)"])
    program.kernel(X)
    (made,) = program._kernels.values()
    pairs: PairProgram = made.program
    assert all(pairs.graph.nodes[n].side == 3 for n in pairs.order)
    assert not any(pairs.graph.nodes[n].op in ("mean", "coefficients") for n in pairs.order)


# ---------------------------------------------------------------------------------------------- refusals

REFUSED = {
    "interacting inputs": (
        "width n\ndata X[B, d] = sphere(4, 3, seed=0)\nnetwork f(xi[B, d]):\n    param U : [n, d] ~ N(0, 1/d)\n"
        "    param v : [1, n] ~ N(0, 1/n)\n    return v @ relu(U @ xi[i]) for i in 1..B\nshow nngp(f, X)\n"
    ),
    "number of inputs": (
        "width n\ndata X[N, d] = sphere(4, 3, seed=0)\nnetwork f(xi[d]):\n    param U : [n, d] ~ N(0, 1/d)\n"
        "    param v : [1, n] ~ N(0, N/n)\n    return v @ relu(U @ xi)\nshow nngp(f, X)\n"
    ),
    "no kernel": "width n\nrandom x : [n] ~ N(0, 1)\nshow avg(x^2)\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_programs_that_are_refused(text):
    with pytest.raises(tpl.TplError):
        tpl.loads(text).kernel(np.ones((2, 3)) if "B, d" not in text else np.ones((4, 3)))


@pytest.mark.parametrize(
    ("X1", "X2", "options"),
    [
        (np.ones(3), None, {}), (np.ones((0, 3)), None, {}), (np.full((2, 3), np.nan), None, {}),
        (np.ones((2, 3)), np.ones((2, 4)), {}), (np.ones((2, 3)), None, {"get": ("nnpg",)}),
        (np.ones((2, 3)), None, {"get": ()}), ([["a", "b"]], None, {}), ([[1.0], [1.0, 2.0]], None, {}),
    ],
)  # fmt: skip
def test_inputs_that_are_refused(X1, X2, options):
    with pytest.raises(tpl.TplError):
        tpl.load("mlp").kernel(X1, X2, **options)
