"""Dynamics of depth against published values, scipy's quadrature and finite differences."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import erf

import tpl
from tpl.limit.step import NoStep, find_step
from tpl.numeric.depth import Layer, constants_at
from tpl.numeric.edge import Axis, PlaneMaps, find_edge, find_plane
from tpl.numeric.fixed_points import Maps, find_dynamics

TANH = "phi(z)=tanh(z)"
HARD = "phi(z)=min(max(z,-1),1)"
_LAYERS: dict = {}


def layer_of(name, *settings):
    key = (name, settings)
    if key not in _LAYERS:
        program = tpl.load(name, settings=settings)
        _LAYERS[key] = Layer(find_step(program.derive().derivation)), program.program.constants
    return _LAYERS[key]


def maps_of(name, *settings, **given):
    return Maps(*layer_of(name, *settings), given)


def dynamics(name, *settings, **given):
    return find_dynamics(maps_of(name, *settings, **given))


def attracting(found):
    (point,) = (p for p in found.points if p.stability == "stable" and p.kind == "point")
    return point


def gauss(f, kinks=()):
    """E f(z) by scipy, cut at kinks."""
    cuts = [-12.0, *sorted(k for k in kinks if abs(k) < 12), 12.0]
    density = lambda z: f(z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    return sum(quad(density, a, b, epsabs=1e-14, epsrel=1e-13, limit=400)[0] for a, b in pairwise(cuts))


def gauss_pair(f, q, c):
    """E f(u) f(v) for variances q and covariance c, by a fine Gauss-Hermite product: for smooth f."""
    x, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()
    rho = c / q
    u = np.sqrt(q) * x[:, None]
    v = np.sqrt(q) * (rho * x[:, None] + np.sqrt(1 - rho * rho) * x[None, :])
    return float(w @ (f(u) * f(v)) @ w)


# ---------------------------------------------------------------------------------------------- maps and slopes

KINDS = [TANH, HARD, "phi(z)=relu(z)", "phi(z)=silu(z)", "phi(z)=gelu(z)", "phi(z)=sin(z)", "phi(z)=abs(z) - 0.3",
         "phi(z)=relu(z - 0.4)", "phi(z)=z * step(z)", "phi(z)=softplus(z)", "phi(z)=exp(-z^2)", "phi(z)=cos(z)"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_are_those_of_the_maps(kind):
    """The slopes come from expectations; here the maps' values are differenced."""
    maps = maps_of("mlp", kind, sigma_w=1.3, sigma_b=0.2)
    q = np.array([1e-3, 0.4, 1.0, 2.5, 40.0])
    h = 1e-4
    at = maps.variance(q)
    ahead, behind, far, farther = (maps.variance(q * (1 + k * h)).value for k in (1, -1, 2, -2))
    difference = (8 * (ahead - behind) - (far - farther)) / (12 * h * q)
    assert np.allclose(at.slope, difference, rtol=1e-7, atol=1e-9)
    c = np.array([-0.7, 0.1, 0.8])
    h = 1e-4
    pair = maps.pair(1.0, c)
    ahead, behind = (maps.pair(1.0, c + k * h).value for k in (1, -1))
    assert np.allclose(pair.slope, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_chi_is_the_slope_of_the_correlation_at_one(kind):
    maps = maps_of("mlp", kind, sigma_w=1.3, sigma_b=0.2)
    for q in (0.4, 1.0, 2.5):
        chi = float(maps.correlation(np.array([q])).slope[0])
        steps = q * np.array([1e-5, 4e-5])
        top = float(maps.variance(np.array([q])).value[0])
        first, second = (top - maps.pair(q, q - steps).value) / steps
        # For kinked functions the slope approaches its end like the square root of the distance.
        assert chi == pytest.approx(2 * first - second, rel=2e-4)
        assert float(maps.pair(q, np.array([q])).slope[0]) == pytest.approx(chi, rel=1e-10)


@pytest.mark.parametrize(
    ("kind", "f", "df", "kinks"),
    [
        (TANH, np.tanh, lambda z: 1 - np.tanh(z) ** 2, ()),
        (HARD, lambda z: np.clip(z, -1, 1), lambda z: float(abs(z) < 1), (1.0, -1.0)),
        ("phi(z)=sin(z)", np.sin, np.cos, ()),
    ],
)
@pytest.mark.parametrize("q", [1e-6, 0.3, 1.0, 30.0])
def test_variances_against_scipy(kind, f, df, kinks, q):
    maps = maps_of("mlp", kind, sigma_w=1.5, sigma_b=0.0)
    root = np.sqrt(q)
    cuts = (*(k / root for k in kinks), 0.0, 1 / root, -1 / root)
    at, near = maps.variance(np.array([q])), maps.correlation(np.array([q]))
    assert at.value[0] == pytest.approx(2.25 * gauss(lambda z: f(root * z) ** 2, cuts), rel=1e-11)
    assert near.slope[0] == pytest.approx(2.25 * gauss(lambda z: df(root * z) ** 2, cuts), rel=1e-11)


def test_jumps_have_an_infinite_slope():
    maps = maps_of("mlp", "phi(z)=sign(z)", sigma_w=1.0, sigma_b=0.5)
    assert maps.correlation(np.array([0.7])).slope[0] == np.inf
    c = np.array([-0.6, 0.2, 0.9])
    # E sign(u) sign(v) = 2/pi arcsin(c)
    assert maps.pair(1.0, c).slope == pytest.approx(2 / np.pi / np.sqrt(1 - c**2), rel=1e-9)


def test_erf_has_closed_forms():
    maps = maps_of("mlp_erf", sigma_w=1.3)
    q = np.array([0.01, 1.0, 50.0])
    williams = 1.69 * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))
    assert maps.variance(q).value == pytest.approx(williams, rel=1e-13)
    assert maps.correlation(q).slope == pytest.approx(1.69 * 4 / np.pi / np.sqrt(1 + 4 * q), rel=1e-13)


# ---------------------------------------------------------------------------------------------- fixed points


def test_relu_at_its_critical_point_has_a_line_of_fixed_points():
    (line,) = dynamics("mlp", sigma_b=0.0).points
    assert (line.kind, line.stability, line.phase) == ("line", "neutral", "critical")
    assert (line.low, line.high) == (0.0, np.inf)


def test_relu_beside_it():
    below = dynamics("mlp", sigma_w=1.0, sigma_b=0.3)
    point = attracting(below)
    assert point.q.value == pytest.approx(0.09 / (1 - 0.5), rel=1e-13)
    assert point.chi.value == pytest.approx(0.5, rel=1e-13)
    assert point.depth.value == pytest.approx(1 / np.log(2), rel=1e-12)
    (zero,) = dynamics("mlp", sigma_w=1.0, sigma_b=0.0).points
    assert (zero.kind, zero.stability, zero.phase) == ("zero", "stable", "ordered")
    above = dynamics("mlp", sigma_w=1.5, sigma_b=0.0)
    assert [(p.kind, p.stability) for p in above.points] == [("zero", "unstable"), ("infinity", "stable")]
    assert above.growth.kind == "geometric"
    assert above.growth.rate.value == pytest.approx(1.125, rel=1e-12)


def test_relu_with_a_bias_grows_linearly_at_the_critical_weights():
    growth = dynamics("mlp", sigma_b=0.1).growth
    assert growth.kind == "linear"
    assert abs(growth.rate.value - 0.01) <= 2 * growth.rate.error < 1e-5


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(4.0, 0.3), (1.3, 0.5), (1.5, 0.0), (0.5, 1e-6), (50.0, 2.0)])
def test_tanh_fixed_points_against_scipy(sigma_w, sigma_b):
    """Poole et al. 2016, figure 2: at (4, 0.3) tanh is chaotic, with c* < 1; at (1.3, 0.5) it is ordered."""

    def step(q):
        cuts = (0.0, 1 / np.sqrt(q), -1 / np.sqrt(q), 4 / np.sqrt(q), -4 / np.sqrt(q))
        return sigma_w**2 * gauss(lambda z: np.tanh(np.sqrt(q) * z) ** 2, cuts) + sigma_b**2

    point = attracting(dynamics("mlp", TANH, sigma_w=sigma_w, sigma_b=sigma_b))
    scale = max(sigma_b**2, 1e-3 if sigma_b == 0 else 0.0)
    q = brentq(lambda q: step(q) / q - 1, scale * 0.9, 2 * sigma_w**2 + 2 * scale, xtol=1e-16, rtol=1e-13)
    assert point.q.value == pytest.approx(q, rel=1e-11)
    cuts = (0.0, 1 / np.sqrt(q), -1 / np.sqrt(q))
    chi = sigma_w**2 * gauss(lambda z: np.cosh(min(abs(np.sqrt(q) * z), 300.0)) ** -4, cuts)
    assert point.chi.value == pytest.approx(chi, rel=1e-9)
    assert point.phase == ("chaotic" if chi > 1 else "ordered")


def test_tanh_correlations_against_gauss_hermite():
    point = attracting(dynamics("mlp", TANH, sigma_w=1.5, sigma_b=0.1))
    inner, one = point.correlations
    q = point.q.value

    def step(c):
        return (2.25 * gauss_pair(np.tanh, q, c * q) + 0.01) / q

    c = brentq(lambda c: step(c) - c, 0.0, 0.9, xtol=1e-14)
    assert inner.c.value == pytest.approx(c, abs=1e-9)
    assert (inner.stability, one.stability, one.c.value) == ("stable", "unstable", 1.0)
    slope = (step(c + 1e-4) - step(c - 1e-4)) / 2e-4
    assert inner.depth.value == pytest.approx(-1 / np.log(slope), rel=1e-5)
    # Correlations iterated from anywhere run into it.
    c = 0.95
    for _ in range(400):
        c = step(c)
    assert c == pytest.approx(inner.c.value, abs=1e-9)


def test_odd_functions_without_bias_keep_opposite_inputs():
    point = attracting(dynamics("mlp", TANH, sigma_w=1.5, sigma_b=0.0))
    assert [round(c.c.value, 12) for c in point.correlations] == [-1.0, 0.0, 1.0]
    assert [c.stability for c in point.correlations] == ["unstable", "stable", "unstable"]


def test_depth_scales_diverge_at_criticality():
    """Schoenholz et al. 2017: xi_c grows without bound towards the edge, from both sides."""
    scales = [attracting(dynamics("mlp", TANH, sigma_w=w, sigma_b=0.5)).correlations[0].depth.value
              for w in (1.2, 1.4, 1.5, 1.54, 1.56, 1.6, 1.8)]  # the edge is at 1.5497  # fmt: skip
    assert scales[:4] == sorted(scales[:4])
    assert scales[4:] == sorted(scales[4:], reverse=True)
    assert min(scales[3], scales[4]) > 100


def test_pairs_of_fixed_points():
    """gelu: a stable and an unstable one; the bistability goes when the bias is large."""
    found = dynamics("mlp", "phi(z)=gelu(z)", sigma_w=1.45, sigma_b=0.1)
    assert [(p.kind, p.stability) for p in found.points] == [
        ("point", "stable"), ("point", "unstable"), ("infinity", "stable")]  # fmt: skip
    for point in found.points[:2]:
        q = point.q.value
        root = np.sqrt(q)
        moved = 1.45**2 * gauss(lambda z: (root * z * 0.5 * (1 + erf(root * z / np.sqrt(2)))) ** 2, (0.0,)) + 0.01  # noqa: B023
        assert moved == pytest.approx(q, rel=1e-11)
    assert [p.kind for p in dynamics("mlp", "phi(z)=gelu(z)", sigma_w=1.45, sigma_b=1.0).points] == ["infinity"]


def test_the_identity_moves_nothing():
    (line,) = dynamics("mlp", "phi(z)=z", sigma_w=1.0, sigma_b=0.0).points
    (every,) = line.correlations
    assert (line.kind, every.low, every.high, every.stability) == ("line", -1.0, 1.0, "neutral")


@pytest.mark.parametrize(("weights", "stability"), [(4.0, "stable"), (20.0, "stable")])
def test_maps_that_fall(weights, stability):
    point = attracting(dynamics("mlp", "phi(z)=cos(z)", sigma_w=weights, sigma_b=0.2))
    q = brentq(lambda q: weights**2 * (1 + np.exp(-2 * q)) / 2 + 0.04 - q, 0.1, weights**2 + 1)
    assert point.q.value == pytest.approx(q, rel=1e-11)
    assert point.slope.value == pytest.approx(-(weights**2) * np.exp(-2 * q), abs=1e-12)
    assert point.stability == stability


def test_residual_networks_grow():
    relu = dynamics("resnet", a=0.5)
    assert relu.growth.kind == "geometric"
    assert relu.growth.rate.value == pytest.approx(1.25, rel=1e-12)
    bounded = dynamics("resnet", TANH, a=0.5)
    assert bounded.growth.kind == "linear"
    assert abs(bounded.growth.rate.value - 0.5) <= 2 * bounded.growth.rate.error


GATED = """
const L = 4
const s = 0.5
def phi(z) = z
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    x[0] = U @ xi
    for l in 1..L:
        param W[l] : [n, n] ~ N(0, 1 / n)
        param G[l] : [n, n] ~ N(0, s^2 / n)
        x[l] = x[l-1] + sigmoid(G[l] @ x[l-1]) * (W[l] @ phi(x[l-1]))
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[L]
show nngp(f, X)
"""


def test_gates_have_an_infinite_chi_at_infinity():
    """The gate's part of chi_1 is s^2 E[sigmoid'(s sqrt(q) z)^2] q, which grows like sqrt(q)."""
    program = tpl.loads(GATED)
    layer = Layer(find_step(program.derive().derivation))
    found = find_dynamics(Maps(layer, program.program.constants, {}))
    assert [(p.kind, p.chi.value) for p in found.points] == [("zero", pytest.approx(1.25)), ("infinity", np.inf)]
    assert found.growth.rate.value == pytest.approx(1.5, rel=1e-6)
    q, chi = PlaneMaps(layer, program.program.constants, "s", None).at(np.array([0.0, 0.5]), np.zeros(2))
    assert list(q) == [np.inf, np.inf]
    assert list(chi) == [pytest.approx(1.25, rel=1e-12), np.inf]
    assert "chi_1 grows without bound" in str(program.phase(x="s=0..1", grid=2))


def test_growth_beyond_a_fixed_point():
    """silu with a bias: variances shrink below 7e4, above they grow by sigma_b^2 a layer in the end."""
    growth = dynamics("mlp", "phi(z)=silu(z)", sigma_w=np.sqrt(2), sigma_b=0.1).growth
    assert growth.kind == "linear"
    assert abs(growth.rate.value - 0.01) <= 2 * growth.rate.error < 4e-3


def test_layer_norm_has_one_fixed_point():
    """Without epsilon the variance is that of one layer at variance 1, from the first layer on."""
    (point,) = dynamics("layernorm_mlp", TANH, eps=0.0).points
    assert point.q.value == pytest.approx(2 * gauss(lambda z: np.tanh(z) ** 2), rel=1e-12)
    assert abs(point.slope.value) <= 2 * point.slope.error + 1e-14
    chi = 2 * gauss(lambda z: np.cosh(z) ** -4) / point.q.value
    assert point.chi.value == pytest.approx(chi, rel=1e-11)


SPLIT = """
const L = 4
const sigma_w = 1.5
const sigma_b = 0.2
width n
data X[N, d] = sphere(4, 10, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    x[0] = U @ xi
    for l in 1..L:
        param W[l] : [n, n] ~ N(0, sigma_w^2 / n)
        param b[l] : [n] ~ N(0, sigma_b^2)
        h[l] = W[l] @ x[l-1] + b[l]
        x[l] = tanh(h[l])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[L]
show nngp(f, X)
"""


def test_named_activations_make_no_difference():
    """h and x both have kernels that follow recursions; the preactivation's is reported."""
    program = tpl.loads(SPLIT)
    step = find_step(program.derive().derivation)
    assert step.base == "h"
    split = find_dynamics(Maps(Layer(step), program.program.constants, {}))
    whole = dynamics("mlp", TANH, sigma_w=1.5, sigma_b=0.2)
    assert split.points[0].q.value == pytest.approx(whole.points[0].q.value, rel=1e-13)


@pytest.mark.parametrize("name", ["rnn", "transpose_correction", "attention"])
def test_programs_without_layers_say_so(name):
    with pytest.raises(NoStep, match=r"network|layer"):
        find_step(tpl.load(name).derive().derivation)


# ---------------------------------------------------------------------------------------------- the edge


def edge(name, *settings, x=("sigma_w", 0.5, 3.0), y=("sigma_b", (0.0, 0.05, 0.5))):
    layer, definitions = layer_of(name, *settings)
    maps = PlaneMaps(layer, definitions, x[0], y[0])
    plane = find_plane(maps, Axis(x[0], np.linspace(x[1], x[2], 21)), Axis(y[0], np.array(y[1], float)))
    return find_edge(maps, plane)


def test_the_edge_of_tanh_against_scipy():
    """Without bias it starts at sigma_w = 1 (Schoenholz et al. 2017); elsewhere both conditions are solved by scipy."""
    first, *others = edge("mlp", TANH)
    assert abs(first.x - 1) <= 2 * first.error < 1e-5

    def critical(sigma_b):
        def weights(q):  # those for which q is fixed
            return (q - sigma_b**2) / gauss(lambda z: np.tanh(np.sqrt(q) * z) ** 2, (0.0,))

        def excess(q):
            return weights(q) * gauss(lambda z: np.cosh(min(abs(np.sqrt(q) * z), 300.0)) ** -4, (0.0,)) - 1

        q = brentq(excess, sigma_b**2 * 1.01, 5.0, xtol=1e-15, rtol=1e-14)
        return np.sqrt(weights(q)), q

    for crossing in others:
        x, q = critical(crossing.y)
        assert crossing.x == pytest.approx(x, rel=1e-10)
        assert crossing.low == pytest.approx(q, rel=1e-8)


def test_the_edge_of_relu_is_one_point():
    """(sqrt 2, 0), where every variance is fixed; with a bias chi_1 = 1 is met only where q* is infinite."""
    first, *others = edge("mlp")
    assert first.x == pytest.approx(np.sqrt(2), rel=1e-12)
    assert (first.low, first.high) == (0.0, np.inf)
    assert all(c.low == np.inf and c.x == pytest.approx(np.sqrt(2), rel=1e-9) for c in others)


def test_the_edge_of_erf_without_bias():
    """chi_1 = sigma_w^2 4/pi at q = 0."""
    crossing = edge("mlp", "phi(z)=erf(z)")[0]
    assert abs(crossing.x - np.sqrt(np.pi) / 2) <= 2 * crossing.error < 1e-5


@pytest.mark.parametrize("axis", [(0.0, 1.0), (-1.0, 1.0), (-2.0, 0.0)])
def test_an_edge_where_the_branch_is_switched_off_is_zero(axis):
    """chi_1 = 1 + a^2 of a residual relu network: 1 at a = 0 only, whatever end or middle of the axis that is."""
    layer, definitions = layer_of("resnet")
    maps = PlaneMaps(layer, definitions, "a", None)
    (crossing,) = find_edge(maps, find_plane(maps, Axis("a", np.linspace(*axis, 5)), None))
    assert crossing.x == 0
    assert 1e-8 < crossing.error < 1e-4  # a^2 is lost in the rounding of 1 + a^2 below 1e-7
    assert not crossing.leaps


def test_variances_that_grow_by_less_than_rounding_are_not_fixed():
    """x + tanh(W x): 1/q is below rounding from 1e14 on, where q* is no number."""
    layer, definitions = layer_of("resnet", TANH)
    q, _ = PlaneMaps(layer, definitions, "a", None).at(np.array([0.0, 0.01, 1.0]), np.zeros(3))
    assert list(q) == [1.0, np.inf, np.inf]


@pytest.mark.slow
def test_leaps_are_called_leaps():
    """gelu at small biases: q* leaps from order to infinity, and chi_1 with it."""
    crossings = edge("mlp", "phi(z)=gelu(z)", x=("sigma_w", 1.2, 1.8), y=("sigma_b", (0.1, 1.0)))
    assert [c.leaps for c in crossings] == [True, False]
    assert crossings[0].high == np.inf
    assert crossings[0].low < 1


@pytest.mark.slow
def test_leaps_are_where_two_fixed_points_meet():
    """exp(z/4): V(q) = sigma_w^2 e^(q/8) touches q at q = 8, where sigma_w^2 = 8/e."""
    (crossing,) = edge("mlp", "phi(z)=exp(z/4)", x=("sigma_w", 1.0, 2.0), y=("sigma_b", (0.0,)))
    assert crossing.leaps
    assert abs(crossing.x - np.sqrt(8 / np.e)) <= 2 * crossing.error < 0.01


def test_polynomials_grow_without_a_factor():
    """phi = z^2/4: V(q) = 2 (3/16) q^2 + 0.01."""
    found = dynamics("mlp", "phi(z)=z^2/4")
    roots = np.sort(np.roots([6 / 16, -1, 0.01]))
    assert [p.q.value for p in found.points[:2]] == pytest.approx(roots, rel=1e-11)
    assert found.growth.kind == "superlinear"
    assert abs(found.growth.rate.value - 2) <= 2 * found.growth.rate.error


def test_constants_inside_the_nonlinearity():
    """tanh(g z) at weights w is tanh at weights g w in other units of q."""
    text = SPLIT.replace("tanh(h[l])", "tanh(g * h[l])").replace("const L = 4", "const L = 4\nconst g = 0.5")
    program = tpl.loads(text)
    layer, definitions = Layer(find_step(program.derive().derivation)), program.program.constants
    found = find_dynamics(Maps(layer, definitions, {"sigma_w": 3.0, "sigma_b": 0.4}))
    plain = dynamics("mlp", TANH, sigma_w=1.5, sigma_b=0.2)
    assert found.points[0].q.value * 0.25 == pytest.approx(plain.points[0].q.value, rel=1e-12)
    assert found.points[0].chi.value == pytest.approx(plain.points[0].chi.value, rel=1e-12)


def test_derived_constants_follow():
    env = constants_at(layer_of("resnet")[1], {"L": np.array([4.0, 16.0])}, 2)
    assert env["a"] == pytest.approx([0.5, 0.25])
