"""Recognition of written functions: the right value, formula and names, or None where there is no closed form."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from tpl.core.expr import ONE, Expr, add, apply, div, mul, neg, number, power, ref, sub, symbol
from tpl.core.functions import FUNCTIONS
from tpl.limit.closed_forms import dual

Z = ref(0)
TWO = number(2)
A, B = symbol("a"), symbol("b")
ENV = {"a": 0.7, "b": -1.3}
SYMBOLS = {name: sympy.Symbol(name, real=True) for name in ENV}
Q1, Q2, C = sympy.symbols("q1 q2 c", real=True)
COVARIANCES = [(1.3, 0.8, -0.45), (0.6, 1.1, 0.5), (0.9, 0.9, 0.9), (1.2, 0.3, -0.6), (0.7, 1.4, 0.0)]


def f(name, *arguments):
    return apply(name, *(arguments or (Z,)))


def evaluate(expr, z, env):
    """An expression on arrays, by the language's own functions."""
    if expr.op == "ref":
        return z
    if expr.op == "number":
        return float(expr.value)
    if expr.op == "symbol":
        return {"pi": np.pi, **env}[expr.value]
    return FUNCTIONS[expr.op].array(*(evaluate(a, z, env) for a in expr.args))


def panels(edges, order=24):
    x, w = np.polynomial.legendre.leggauss(order)
    edges = np.asarray(edges)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


RADIUS, RADIAL = panels(np.linspace(0, 10, 6))
ANGULAR_EDGES = np.linspace(0, 1, 4)


def polar(left, right, q1, q2, c, env):
    """2-d quadrature in polar coordinates, split where u or v changes sign: for kinks at 0 and smooth functions."""
    root, slope, rest = np.sqrt(q1), c / np.sqrt(q1), np.sqrt(max(q1 * q2 - c * c, 0.0) / q1)
    turn = np.arctan2(-slope, rest)  # v = 0 at this angle from u's axis
    cuts = np.sort(np.mod([np.pi / 2, -np.pi / 2, turn, turn + np.pi], 2 * np.pi))
    cuts = np.append(cuts, cuts[0] + 2 * np.pi)
    angle, weight = panels(np.concatenate([a + (b - a) * ANGULAR_EDGES[:-1] for a, b in pairwise(cuts)] + [cuts[-1:]]))
    x, y = RADIUS[:, None] * np.cos(angle), RADIUS[:, None] * np.sin(angle)
    values = evaluate(left, root * x, env) * evaluate(right, slope * x + rest * y, env)
    density = (RADIAL * RADIUS * np.exp(-(RADIUS**2) / 2))[:, None] * weight / (2 * np.pi)
    return np.sum(values * density), np.sum(np.abs(values) * density)


def squared_grid(left, right, q1, q2, c, env, kink):
    """2-d quadrature split at u = kink, for one shifted kink on the left and a smooth right."""
    root, slope, rest = np.sqrt(q1), c / np.sqrt(q1), np.sqrt(max(q1 * q2 - c * c, 0.0) / q1)
    x, wx = panels(np.sort([-10, -6, -3, 0, 3, 6, 10, kink / root]))
    y, wy = panels(np.linspace(-10, 10, 9))
    values = evaluate(left, root * x, env)[:, None] * evaluate(right, slope * x[:, None] + rest * y, env)
    return np.sum(values * np.outer(wx * np.exp(-(x**2) / 2), wy * np.exp(-(y**2) / 2))) / (2 * np.pi)


SOFT = div(f("erf", div(Z, f("sqrt", TWO))), ONE)
WRITTEN_GELU = div(mul(Z, add(ONE, SOFT)), TWO)
SQUARE = power(Z, TWO)
LEAKY = add(mul(A, f("relu")), mul(B, f("relu", neg(Z))))

# (left, right, names of the formulas)
RECOGNISED = {
    "relu": (f("relu"), f("relu"), ("relu × relu",)),
    "max(z, 0)": (f("max", Z, number(0)), f("max", number(0), Z), ("relu × relu",)),
    "relu(bz)": (f("relu", mul(B, Z)), f("relu", mul(A, Z)), ("relu × relu",)),
    "leaky": (LEAKY, LEAKY, ("linear × linear", "abs × abs")),
    "max(z, az)": (f("max", Z, mul(A, Z)), f("relu"), None),
    "max(z, z/10)": (f("max", Z, div(Z, number(10))), f("relu"), ("relu × linear", "abs × relu")),
    "min": (f("min", Z, number(0)), f("abs"), ("abs × relu",)),
    "abs(z)^2": (power(f("abs"), TWO), f("step"), ("step × square",)),
    "(1 + sign z)/2": (div(add(ONE, f("sign")), TWO), f("step"), ("step × step",)),
    "relu'": (f("step", mul(number(3), Z)), f("sign", neg(Z)), ("sign × step",)),
    "relu^2": (power(f("relu"), TWO), mul(Z, f("relu", neg(Z))), ("relu² × relu²",)),
    "erf(z/√2)": (SOFT, f("erf"), ("erf × erf",)),
    "gelu written out": (WRITTEN_GELU, f("gelu"), ("gelu × gelu",)),
    "gelu scaled": (f("gelu", mul(A, Z)), f("gelu", mul(B, Z)), ("gelu × gelu",)),
    "gelu - relu": (sub(f("gelu"), f("relu")), f("relu"), None),
    "gelu(z)^2": (power(f("gelu"), TWO), SQUARE, None),
    "relu erf": (mul(f("relu"), f("erf")), Z, ("Stein's lemma",)),
    "normal cdf": (div(add(ONE, SOFT), TWO), div(sub(ONE, SOFT), TWO), ("normal cdf × normal cdf",)),
    "sin^2": (power(f("sin"), TWO), f("cos"), None),
    "sin cos": (mul(f("sin"), f("cos")), f("sin", mul(TWO, Z)), ("sin × sin",)),
    "sin(az + b)": (f("sin", add(mul(A, Z), B)), f("cos", mul(B, Z)), ("cos × cos",)),
    "exp cos": (mul(f("exp", mul(A, Z)), f("cos", mul(B, Z))), add(Z, f("sin")), ("Gaussian integral",)),
    "exp(az + b)": (f("exp", add(mul(A, Z), B)), f("exp", neg(Z)), ("exp × exp",)),
    "1/exp": (div(ONE, f("exp")), f("relu"), ("exp × relu",)),
    "2^z": (power(TWO, Z), Z, ("exp × linear",)),
    "shifted Gaussian": (f("exp", neg(power(sub(Z, A), TWO))), f("exp", neg(SQUARE)), ("Gaussian integral",)),
    "wide Gaussian": (f("exp", mul(number(0.1), SQUARE)), f("abs"), ("Gaussian × abs",)),
    "Gaussian relu": (mul(f("relu"), f("exp", neg(SQUARE))), mul(f("step"), f("exp", neg(SQUARE))), ("Stein's lemma",)),
    "erf Gaussian": (mul(f("erf", mul(A, Z)), f("exp", neg(SQUARE))), mul(SQUARE, f("erf", mul(B, Z))),
                     ("Stein's lemma",)),
    "z^2 erf": (mul(SQUARE, f("erf")), mul(Z, SOFT, Z), ("Stein's lemma",)),
    "z^3 relu": (mul(power(Z, number(3)), f("relu")), add(f("abs"), ONE), None),
    "abs sin": (mul(f("abs"), f("sin")), power(Z, number(3)), ("Stein's lemma",)),
    "sin sign": (f("sin", mul(A, Z)), f("sign"), ("sin × sign",)),
    "z cos": (mul(Z, f("cos")), f("sign"), ("Stein's lemma",)),
    "cos gelu": (f("cos", mul(B, Z)), f("gelu", mul(A, Z)), None),
    "polynomial": (power(add(Z, A), number(4)), sub(SQUARE, mul(B, Z)), ("monomial × monomial", "linear × linear")),
    "constant": (f("relu"), B, ("relu",)),
    "parity": (f("sin"), SQUARE, ("parity",)),
    "two kinks": (mul(f("relu"), f("step", mul(A, Z))), f("abs"), None),
}  # fmt: skip

# (left with a kink, right, kink)
SHIFTED = {
    "relu(z + a)": (f("relu", add(Z, A)), f("exp", mul(B, Z)), -0.7),
    "abs(bz + a)": (f("abs", add(mul(B, Z), A)), mul(SQUARE, f("exp", neg(SQUARE))), 0.7 / 1.3),
    "step(1 - z)^2": (power(f("relu", sub(ONE, Z)), TWO), add(Z, ONE), 1.0),
    "clip": (sub(f("relu"), f("relu", sub(Z, ONE))), Z, 1.0),
    "min(z, 1)": (f("min", Z, ONE), SQUARE, 1.0),
    "erf(z + a)": (f("erf", add(Z, A)), mul(Z, f("exp", mul(A, Z))), 0.0),
    "gelu(bz + 2)": (f("gelu", add(mul(B, Z), TWO)), add(SQUARE, Z), 0.0),
    "sign(z + a) z": (mul(Z, f("sign", add(Z, A))), f("exp", neg(power(Z, TWO))), -0.7),
}

NO_CLOSED_FORM = {
    "tanh": (f("tanh"), Z), "sigmoid": (f("sigmoid"), ONE), "silu": (f("silu"), f("silu")),
    "softplus": (f("softplus"), Z),
    "arctan": (Z, f("arctan")), "log": (f("log"), Z), "sqrt": (f("sqrt", f("abs")), Z), "quotient": (div(ONE, Z), Z),
    "exp(z^3)": (f("exp", power(Z, number(3))), Z), "relu(z^2 - 1)": (f("relu", sub(SQUARE, ONE)), Z),
    "two shifted kinks": (f("relu", add(Z, ONE)), f("relu")), "erf(z + 1) erf": (f("erf", add(Z, ONE)), f("erf")),
    "erf^2 erf^2": (power(f("erf"), TWO), power(f("erf"), TWO)), "exp relu relu": (mul(f("exp"), f("relu")), f("relu")),
    "sin relu(z + 1)": (f("sin"), f("relu", add(Z, ONE))), "two references": (add(ref(0), ref(1)), Z),
    "sin(sin z)": (f("sin", f("sin")), Z), "z^0.5": (power(Z, number(0.5)), Z), "z^b": (power(Z, B), Z),
    "z^199": (power(Z, number(199)), Z), "b^z": (power(B, Z), Z), "1/0": (div(Z, sub(A, A)), f("tanh")),
}  # fmt: skip


@pytest.mark.parametrize("case", RECOGNISED)
def test_recognised_functions_have_the_values_of_quadrature(case):
    left, right, names = RECOGNISED[case]
    found = dual(left, right)
    assert found is not None
    values = found.value(*np.array(COVARIANCES).T, ENV)
    for value, covariance in zip(values, COVARIANCES, strict=True):
        expected, size = polar(left, right, *covariance, ENV)
        assert value == pytest.approx(expected, rel=1e-11, abs=1e-11 * size)
    if names is not None:
        assert found.records == names


@pytest.mark.parametrize("case", SHIFTED)
def test_shifted_functions_have_the_values_of_quadrature(case):
    left, right, kink = SHIFTED[case]
    found = dual(left, right)
    assert found is not None
    for covariance in COVARIANCES:
        expected = squared_grid(left, right, *covariance, ENV, kink)
        assert found.value(*covariance, ENV) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("case", NO_CLOSED_FORM)
def test_there_is_no_closed_form(case):
    assert dual(*NO_CLOSED_FORM[case]) is None


@pytest.mark.parametrize("case", [*RECOGNISED, *SHIFTED])
def test_the_sympy_formula_has_the_same_values(case):
    left, right, _ = {**RECOGNISED, **SHIFTED}[case]
    found = dual(left, right)
    formula = found.sympy(Q1, Q2, C, SYMBOLS)
    assert formula.free_symbols <= {Q1, Q2, C, *SYMBOLS.values()}
    for covariance in COVARIANCES[:2]:
        exact = {s: sympy.Rational(x) for s, x in zip((Q1, Q2, C), covariance, strict=True)}
        exact |= {SYMBOLS[name]: sympy.Rational(x) for name, x in ENV.items()}
        expected = complex(formula.subs(exact).evalf(25)).real
        assert found.value(*covariance, ENV) == pytest.approx(expected, rel=1e-13, abs=1e-25)


@pytest.mark.parametrize("case", RECOGNISED)
def test_the_two_sides_may_be_exchanged(case):
    left, right, _ = RECOGNISED[case]
    q1, q2, c = np.array(COVARIANCES).T
    there, back = dual(left, right).value(q1, q2, c, ENV), dual(right, left).value(q2, q1, c, ENV)
    np.testing.assert_allclose(there, back, rtol=1e-13)


# ---------------------------------------------------------------------------------------------- numbers
def test_formulas_are_those_of_the_papers():
    q1, q2, c = sympy.symbols("q1 q2 c", positive=True)
    relu = dual(f("relu"), f("relu")).sympy(q1, q2, c)
    angle = sympy.acos(c / sympy.sqrt(q1 * q2))
    assert sympy.simplify(relu - (sympy.sqrt(q1 * q2 - c**2) + c * (sympy.pi - angle)) / (2 * sympy.pi)) == 0
    erf = dual(f("erf"), f("erf")).sympy(q1, q2, c)
    assert sympy.simplify(erf - 2 * sympy.asin(2 * c / sympy.sqrt((1 + 2 * q1) * (1 + 2 * q2))) / sympy.pi) == 0


@pytest.mark.parametrize("case", RECOGNISED)
def test_formulas_hold_on_the_diagonal(case):
    """E f(u) g(u), as kernels have it: q1 = q2 = c in one symbol."""
    left, right, _ = RECOGNISED[case]
    q = sympy.Symbol("q", positive=True)
    formula = dual(left, right).sympy(q, q, q, SYMBOLS)
    exact = {q: sympy.Rational(9, 10)} | {SYMBOLS[name]: sympy.Rational(x) for name, x in ENV.items()}
    value = complex(formula.subs(exact).evalf(25)).real
    assert dual(left, right).value(0.9, 0.9, 0.9, ENV) == pytest.approx(value, rel=1e-12, abs=1e-25)


DERIVATIVES = {
    "relu": "step × step", "abs": "sign × sign", "erf": "erf' × erf'", "gelu": "gelu' × gelu'", "sin": "cos × cos",
    "cos": "sin × sin", "exp": "exp × exp",
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_of_the_language_are_recognised(name):
    """Price's theorem: ∂/∂c E φ(u) φ(v) = E φ'(u) φ'(v)."""
    (derivative,) = FUNCTIONS[name].partials(Z)
    slope = dual(derivative, derivative)
    assert slope.records == (DERIVATIVES[name],)
    kernel, step = dual(f(name), f(name)), 1e-5
    difference = (kernel.value(1.3, 0.8, 0.3 + step) - kernel.value(1.3, 0.8, 0.3 - step)) / (2 * step)
    assert slope.value(1.3, 0.8, 0.3) == pytest.approx(difference, rel=1e-8)


def test_means_shift_the_functions():
    left, right = f("gelu"), mul(Z, f("exp", mul(A, Z)))
    shifted = dual(left, right, A, number(-2))
    by_hand = dual(f("gelu", add(Z, A)), mul(sub(Z, TWO), f("exp", mul(A, sub(Z, TWO)))))
    np.testing.assert_allclose(shifted.value(1.3, 0.8, 0.4, ENV), by_hand.value(1.3, 0.8, 0.4, ENV), rtol=1e-13)
    assert dual(f("relu"), f("relu"), left_mean=ONE) is None
    assert dual(f("erf"), f("sin"), right_mean=A) is not None


def test_arrays_broadcast_and_may_be_empty_or_large():
    relu = dual(f("relu"), f("relu"))
    q = np.linspace(0.1, 2, 150)
    kernel = relu.value(q[:, None], q[None, :], 0.1)
    assert kernel.shape == (150, 150)
    np.testing.assert_array_equal(kernel, kernel.T)
    assert kernel[3, 140] == relu.value(q[3], q[140], 0.1)
    assert relu.value(np.zeros(0), 1.0, 0.0).shape == (0,)
    assert relu.value(1, 1, 1).shape == ()


def test_written_forms_of_gelu_agree_to_the_last_digit_even_where_it_cancels():
    q = np.array([1e-6, 1.0, 1e6])
    written, named = dual(WRITTEN_GELU, WRITTEN_GELU), dual(f("gelu"), f("gelu"))
    for sign in (1, -1):
        np.testing.assert_allclose(written.value(q, q, sign * q), named.value(q, q, sign * q), rtol=1e-13)


def test_quantities_are_constants_by_their_names():
    scaled = mul(Expr("quantity", (), 3), f("sin"))
    found = dual(scaled, Z)
    assert found.value(1, 1, 0.5, {"q3": 2.0}) == pytest.approx(np.exp(-0.5), rel=1e-15)
    q3 = sympy.Symbol("q3")
    assert found.sympy(Q1, Q2, C, {"q3": q3}) == q3 * C * sympy.exp(-Q1 / 2)


def test_constants_must_be_given_and_be_numbers():
    found = dual(f("exp", mul(A, Z)), Z)
    with pytest.raises(KeyError):
        found.value(1, 1, 0.5, {})
    with pytest.raises(KeyError):
        found.sympy(Q1, Q2, C, {})
    with pytest.raises(ArithmeticError):
        found.value(1, 1, 0.5, {"a": np.inf})
    assert dual(mul(div(ONE, A), Z), Z).value(1, 1, 0.5, {"a": 2.0}) == 0.25
    with pytest.raises(ArithmeticError):
        dual(mul(div(ONE, A), Z), Z).value(1, 1, 0.5, {"a": 0.0})


def test_a_scale_of_zero_leaves_a_constant():
    env = {"a": 0.0, "b": 2.0}
    for left in (f("relu", add(mul(A, Z), B)), f("abs", add(mul(A, Z), B)), mul(B, f("step", add(mul(A, Z), B)))):
        assert dual(left, SQUARE).value(1.0, 1.5, 0.3, env) == pytest.approx(3.0, rel=1e-15)
    assert dual(f("relu", mul(A, Z)), f("relu")).value(1, 1, 0.5, env) == 0
    assert dual(f("erf", mul(A, Z)), Z).value(1, 1, 0.5, env) == 0
    assert dual(f("cos", mul(A, Z)), SQUARE).value(1, 1.5, 0.5, env) == pytest.approx(1.5, rel=1e-15)


def test_large_powers_of_sums_with_constants_are_quick():
    """Coefficients share their subtrees; as trees they would have 2^30 nodes."""
    left = power(add(mul(A, Z), B), number(30))
    assert dual(left, Z).value(1.0, 1.0, 0.5, {"a": 0.0, "b": 1.1}) == 0
    mean = 30 * 0.5 * sum(np.prod(np.arange(1, 2 * m, 2)) * 0.25**m * _binomial(29, 2 * m) for m in range(15)) * 0.5
    assert dual(left, Z).value(1.0, 1.0, 0.5, {"a": 0.5, "b": 1.0}) == pytest.approx(mean, rel=1e-12)
    assert dual(f("exp", left), Z) is None
    assert dual(mul(*[add(ONE, f("sin", mul(number(2**k), Z))) for k in range(12)]), Z) is None


def _binomial(n, k):
    return np.prod([(n - i) / (i + 1) for i in range(k)])


def test_what_does_not_exist_or_overflows():
    growing = dual(f("exp", mul(A, SQUARE)), f("exp", mul(A, SQUARE)))
    assert growing.value(0.3, 0.3, 0.1, ENV) > 1
    assert np.isnan(growing.value(0.8, 0.8, 0.1, ENV))
    exponential = dual(f("exp"), f("exp"))
    assert exponential.value(1e4, 1e4, 1.0) == np.inf
    assert exponential.value(1e6, 1e6, -1e6) == 1
    assert dual(f("cos"), f("cos")).value(1e6, 1e6, 0.0) == 0


def test_importing_the_package_leaves_sympy_alone():
    code = "import sys, tpl.limit.closed_forms as f; f.dual; assert not {'sympy', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------------------------------------- random combinations
rationals = st.integers(-8, 8).map(lambda i: number(i) if i % 2 else div(number(i), number(5)))
scales = st.integers(-6, 6).filter(bool).map(lambda i: div(number(i), number(5)))
SMOOTH = ("one", "erf", "gelu", "sin", "cos", "exp", "gauss")
KINKED = ("one", "relu", "step", "sign", "abs", "erf", "gelu")


def factor(name, scale):
    argument = mul(scale, Z)
    if name == "one":
        return ONE
    return f("exp", neg(power(argument, TWO))) if name == "gauss" else f(name, argument)


@st.composite
def combinations(draw, names):
    terms = []
    for _ in range(draw(st.integers(1, 3))):
        power_ = power(Z, number(draw(st.integers(0, 3))))
        terms.append(mul(draw(rationals), power_, factor(draw(st.sampled_from(names)), draw(scales))))
    return add(*terms)


@st.composite
def covariances(draw):
    q1, q2 = (draw(st.floats(0.05, 1.5)) for _ in range(2))
    rho = draw(st.one_of(st.floats(-0.95, 0.95), st.sampled_from([-1.0, 1.0, 0.0])))
    return (q1, q1, rho * q1) if abs(rho) == 1 else (q1, q2, rho * np.sqrt(q1 * q2))


def check_against_quadrature(left, right, covariance):
    found = dual(left, right)
    assert found is not None
    expected, size = polar(left, right, *covariance, {})
    assert abs(found.value(*covariance) - expected) <= 1e-10 * max(size, 1e-3)


@settings(max_examples=60, deadline=None)
@given(combinations(SMOOTH[:1] + SMOOTH[3:]), combinations(SMOOTH), covariances())
def test_random_smooth_combinations(left, right, covariance):
    found = dual(left, right)
    if found is not None:  # a product of exp or a wave with several erf's has no closed form
        check_against_quadrature(left, right, covariance)


@settings(max_examples=60, deadline=None)
@given(combinations(KINKED), combinations(KINKED), covariances())
def test_random_kinked_combinations(left, right, covariance):
    check_against_quadrature(left, right, covariance)
