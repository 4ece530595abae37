"""Which activations are GOOD, against mpmath: derivatives, sums of dilations, and the product's equation."""

import math
import re

import numpy as np
import pytest
from mpmath import mp, mpf

from tpl.core.expr import Expr, add, apply, mul, number, ref, substitute
from tpl.core.text import parse_program
from tpl.numeric.dependence import PRODUCT, SUMS
from tpl.numeric.good import CURVATURE, SLOPE, SMOOTH, judge

GOOD = [
    "tanh(z)", "sigmoid(z)", "silu(z)",  # these three Chen, Yang, Zhao & Gu name
    "erf(z)", "gelu(z)", "softplus(z)", "arctan(z)", "tanh(z) + 0.1 * z", "z * sigmoid(1.7 * z)", "exp(-z^2)",
    "z * tanh(softplus(z))", "1 / (1 + z^2)", "log(1 + z^2)", "sqrt(1 + z^2)", "log(1 + exp(z))", "z / (1 + exp(-z))",
    "tanh(z + 1)", "tanh(z)^3", "1 / (1 + exp(-z))", "0.5 * z * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z^3)))",
    "tanh(0.000001 * z)", "1000000 * tanh(z)", "exp(-(1000 * z)^2)", "z + tanh(z)", "z * arctan(z) / sqrt(1 + z^2)", "arctan(sqrt(1 + z^2))", "silu(z) - 2 * tanh(z)",
]  # fmt: skip
NOT_GOOD = {  # and conditions that fail, at least
    "relu(z)": {SMOOTH, SUMS, PRODUCT}, "0.000001 * relu(z)": {SMOOTH}, "relu(z - 1.5)": {SMOOTH},
    "abs(z)": {SMOOTH, SUMS}, "max(z, 0.1 * z)": {SMOOTH, SUMS}, "max(min(z, 1), -1)": {SMOOTH}, "step(z)": {SMOOTH, PRODUCT},
    "sign(z)": {SMOOTH}, "z / (1 + abs(z))": {SMOOTH}, "relu(z)^2": {SMOOTH, SLOPE, SUMS}, "sqrt(abs(z))": {SMOOTH},
    "1 / z": {SMOOTH}, "1 / z^2": {SMOOTH}, "log(abs(z))": {SMOOTH}, "sqrt(z)": {SMOOTH}, "z^2.5": {SMOOTH},
    "3 * z - 1": {SUMS, PRODUCT}, "z + z": {SUMS, PRODUCT}, "z^2": {SLOPE, SUMS}, "z^3 - z": {SLOPE, CURVATURE, SUMS},
    "relu(z)^3": {SLOPE, CURVATURE, SUMS}, "exp(z)": {SLOPE, CURVATURE}, "z * sin(z)": {SLOPE}, "sin(z^2)": {SLOPE},
    "softplus(z) - softplus(-z)": {SUMS, PRODUCT}, "relu(z) - relu(-z)": {SUMS, PRODUCT}, "z * silu(z)": {SLOPE},
    "tanh(z) - 2 * sigmoid(2 * z)": {SUMS, PRODUCT}, "exp(z^2 / 4)": {SLOPE},
}  # fmt: skip
UNDECIDED = ["sin(z)", "cos(2 * z)", "z + sin(z)", "z + sin(z)^2", "sin(2 * z) + cos(3 * z)", "exp(sin(z))"]
EXACT = {
    "add": lambda *a: mp.fsum(a), "sub": lambda a, b: a - b, "neg": lambda a: -a, "mul": lambda *a: mp.fprod(a),
    "div": lambda a, b: a / b, "pow": lambda a, b: a**b, "exp": mp.exp, "log": mp.log, "sqrt": mp.sqrt, "abs": abs,
    "sign": mp.sign, "step": lambda z: (1 + mp.sign(z)) / 2, "relu": lambda z: max(z, mpf(0)), "max": max, "min": min,
    "tanh": mp.tanh, "sigmoid": lambda z: 1 / (1 + mp.exp(-z)), "softplus": lambda z: mp.log1p(mp.exp(z)),
    "silu": lambda z: z / (1 + mp.exp(-z)), "gelu": lambda z: z * mp.ncdf(z), "erf": mp.erf, "sin": mp.sin,
    "cos": mp.cos, "arctan": mp.atan,
}  # fmt: skip


def expression(text):
    program = parse_program(f'width n\nz : [n] ~ N(0, 1)\ny = {text}\nt = avg(y)\nshow "t" [] = t')
    return program.lines[1].expr


def exactly(expr, z):
    if expr.op == "number":
        return mpf(expr.value.numerator) / expr.value.denominator
    if expr.op == "symbol":
        return {"pi": mp.pi}[expr.value]
    return z if expr.op == "ref" else EXACT[expr.op](*(exactly(a, z) for a in expr.args))


def finding(text, condition):
    return next(x for x in judge(expression(text), {}).findings if x.condition == condition)


# ---------------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize("text", GOOD)
def test_good(text):
    found = judge(expression(text), {})
    assert found.good is True, found
    assert (found.verdict, found.how) == ("GOOD", "symbolic")


@pytest.mark.parametrize("text", NOT_GOOD)
def test_not_good(text):
    found = judge(expression(text), {})
    assert found.good is False
    assert {x.condition for x in found.findings if x.holds is False} >= NOT_GOOD[text]
    assert found.verdict.startswith("not GOOD")


@pytest.mark.parametrize("text", UNDECIDED)
def test_cancelling_translates_leave_the_verdict_open(text):
    found = judge(expression(text), {})
    assert found.good is None
    assert [x.condition for x in found.findings if x.holds is None] == [SUMS]
    period = float(re.search(r"z \+ ([\d.]+)\)", finding(text, SUMS).sentence).group(1))
    phi = expression(text)
    steps = [exactly(phi, mpf(x) + period) - exactly(phi, mpf(x)) for x in (-1.3, 0.2, 2.7)]
    assert max(abs(x - steps[0]) for x in steps) < 1e-4, "the period is printed to six digits"


def test_the_place_of_a_kink_is_named():
    assert finding("relu(z - 1.5)", SMOOTH).sentence == "φ' jumps from 0 to 1 at z = 1.5"
    assert finding("relu(z)^2", SMOOTH).sentence == "φ'' jumps from 0 to 2 at z = 0"
    assert finding("step(z + 2)", SMOOTH).sentence == "φ jumps from 0 to 1 at z = -2"


@pytest.mark.parametrize("text", ["sin(z) / z", "tanh(z) / (z + z)", "abs(sin(z)^3)", "abs(z)^2.5"])
def test_no_break_is_made_up(text):
    """With removable singularities, and C² in truth: rounding must not look like a jump."""
    assert finding(text, SMOOTH).holds is not False


def test_what_breaks_is_named():
    assert finding("sqrt(relu(z))", SMOOTH).sentence.startswith("φ' has no finite values"), "φ itself is continuous"
    assert finding("log(abs(z))", SMOOTH).sentence == "φ has no limit at z = 0"
    assert finding("relu(z - 5000)", SMOOTH).sentence == "φ' jumps from 0 to 1 at z = 5000"


def test_two_derivatives_are_enough():
    found = finding("relu(z)^3", SMOOTH)
    assert (found.holds, found.how) == (True, "numeric")
    assert found.tolerance is not None


def test_constants_decide():
    scaled = apply("relu", add(apply("tanh", ref(0)), Expr("symbol", (), "b")))
    assert judge(scaled, {"b": 1.5}).good is True
    assert judge(scaled, {"b": 0.5}).good is False


def test_what_is_not_decided():
    """Nested logarithms may have singularities without number; quotients of exponentials have ends we do not see."""
    for text in ("log(2 + z^2 + log(2 + z^2))", "1 / (1 + arctan(z)^2)", "exp(z) / (exp(z) + exp(-z))"):
        found = finding(text, SUMS)
        assert (found.holds, found.how) == (None, "numeric"), found
        assert "proves nothing" in found.sentence


def test_functions_without_values_are_not_asked():
    assert finding("sqrt(z)", PRODUCT).holds is None
    assert finding("sqrt(z)", SUMS).sentence == "not asked: φ has no finite values somewhere"
    assert judge(Expr("mul", (ref(0), Expr("log", (number(-1),)))), {}).good is None


def test_long_expressions_are_not_asked():
    tower = ref(0)
    for _ in range(11):
        tower = add(apply("tanh", tower), tower)
    found = judge(tower, {})
    assert found.good is None
    assert all("not asked" in x.sentence for x in found.findings)


# ---------------------------------------------------------------------------------------------- bounds


def largest(expr, order, points):
    with mp.workdps(50):
        return max(abs(mp.diff(lambda z: exactly(expr, z), mpf(float(x)), order)) for x in points)


@pytest.mark.parametrize("text", GOOD)
@pytest.mark.parametrize(("condition", "order"), [(SLOPE, 1), (CURVATURE, 2)])
def test_bounded_derivatives_are_bounded(text, condition, order):
    """Far out no larger than near; within the stated interval, where there is one."""
    expr, points = expression(text), np.random.default_rng(order).standard_normal(40)
    near = largest(expr, order, np.concatenate([points * s for s in (1e-3, 1.0, 1e6)]))
    stated = re.search(r"within \[(.*), (.*)\]", finding(text, condition).sentence)
    if stated:
        assert float(near) <= max(abs(float(x)) for x in stated.groups()) * 1.001
    far = largest(expr, order, points * 1e9)
    assert far <= 2 * near


@pytest.mark.parametrize("text", [t for t, failed in NOT_GOOD.items() if SLOPE in failed])
def test_unbounded_derivatives_are_not_bounded(text):
    expr, points = expression(text), np.random.default_rng(3).uniform(1, 2, 10)
    points = np.concatenate([points, -points])
    sizes = [largest(expr, 1, points * s) for s in (1.0, 10.0, 100.0)]
    assert sizes[0] * 3 < sizes[1] < sizes[2] / 3


# ---------------------------------------------------------------------------------------------- sums


@pytest.mark.parametrize("text", GOOD)
def test_no_relation_in_many_digits(text):
    """Dilations with distinct |b|, and 1, are independent far beyond double precision."""
    expr, rng = expression(text), np.random.default_rng(7)
    scale = {"tanh(0.000001 * z)": 1e6, "exp(-(1000 * z)^2)": 1e-3}.get(text, 1.0)
    with mp.workdps(120):
        z = [mpf(float(x)) * scale for x in rng.uniform(-3, 3, 12)]
        pairs = [(mpf("0.5") + mpf(i) / 3, mpf(float(c)) * scale) for i, c in enumerate(rng.uniform(-1, 1, 5))]
        rows = [[mpf(1), *(exactly(expr, (-1) ** i * b * x + c) for i, (b, c) in enumerate(pairs))] for x in z]
        columns = [mp.sqrt(mp.fsum(r[j] ** 2 for r in rows)) for j in range(6)]
        matrix = mp.matrix([[r[j] / columns[j] for j in range(6)] for r in rows])
        assert min(mp.svd_r(matrix, compute_uv=False)) > mpf(10) ** -40


@pytest.mark.parametrize("text", [t for t, failed in NOT_GOOD.items() if SUMS in failed])
def test_the_named_sum_is_constant(text):
    """The combination in the sentence, read back and summed in many digits."""
    sentence = finding(text, SUMS).sentence
    body = sentence.removesuffix(" is constant")
    terms = re.findall(r"([+-]?) ?(\d*) ?φ(?:\((\d*) ?z\))?", body)
    weights = [((-1 if sign == "-" else 1) * int(a or 1), int(b or 1)) for sign, a, b in terms]
    assert len({b for _, b in weights}) == len(weights)
    expr = expression(text)
    with mp.workdps(60):
        sums = [
            mp.fsum(a * exactly(expr, b * mpf(x)) for a, b in weights) for x in ("-2.7", "-0.4", "0.3", "1.9", "77")
        ]
        assert max(abs(x - sums[0]) for x in sums) < mpf(10) ** -50


# ---------------------------------------------------------------------------------------------- product


@pytest.mark.parametrize("text", [t for t, failed in NOT_GOOD.items() if PRODUCT in failed])
def test_the_named_product_is_constant(text):
    sentence, expr = finding(text, PRODUCT).sentence, expression(text)
    r2 = float(re.search(r"r_2 = ([-\d.e+]+)", sentence).group(1))
    found = re.search(r"r_1 = ([-\d.e+]+)", sentence)
    r1 = float(found.group(1)) if found else 0.0
    with mp.workdps(50):
        products = [
            (r1 + exactly(expr, mpf(x))) * (r2 + mp.diff(lambda z: exactly(expr, z), mpf(x))) for x in (-2.7, -0.4, 1.9)
        ]
    assert max(abs(x - products[0]) for x in products) < 1e-12


@pytest.mark.parametrize(("u0", "r2", "k"), [(1, 1, 0), (2.5, 0.7, -1), (-1.5, 0.3, 2)])
def test_the_exceptional_family(u0, r2, k):
    """u = u_0 (1 + W(e^{k - r_2 x / u_0})) does solve u (u' + r_2) = u_0 r_2, and leaves a logarithm beside its line."""
    with mp.workdps(40):
        u0, r2, k = mpf(u0), mpf(r2), mpf(k)

        def u(x):
            return u0 * (1 + mp.lambertw(mp.exp(k - r2 * x / u0)).real)

        for x in (-5, -1, 0, 2, 6):
            assert abs(u(mpf(x)) * (mp.diff(u, x) + r2) - u0 * r2) < mpf(10) ** -25
        y = mpf(10) ** 6
        beside = u(-y * u0 / r2) / u0 - 1 - (k + y)
        assert abs(beside + mp.log(y)) < 1e-3


@pytest.mark.parametrize("text", GOOD)
def test_the_product_varies(text):
    """Through six points in general position no r_1, r_2 make the product constant."""
    expr = expression(text)
    scale = {"tanh(0.000001 * z)": 1e6, "exp(-(1000 * z)^2)": 1e-3}.get(text, 1.0)
    with mp.workdps(60):
        points = [mpf(x) * scale for x in ("-2.3", "-1.1", "-0.35", "0.2", "0.9", "2.1")]
        values = [(exactly(expr, z), mp.diff(lambda t: exactly(expr, t), z)) for z in points]
        sizes = [max(abs(v[i]) for v in values) for i in (0, 1)]
        rows = [[f * g / sizes[0] / sizes[1], f / sizes[0], g / sizes[1], mpf(1)] for f, g in values]
        assert min(mp.svd_r(mp.matrix(rows), compute_uv=False)) > mpf(10) ** -8


# ---------------------------------------------------------------------------------------------- invariance


@pytest.mark.parametrize("text", [*GOOD[:8], "relu(z)", "z^2", "3 * z - 1", "sin(z)", "z / (1 + abs(z))", "exp(z)"])
@pytest.mark.parametrize(("inner", "shift", "outer", "offset"), [(3, 1, -2, 5), (-1, 0, 1, 0), ("0.01", -2, 100, 1)])
def test_units_do_not_matter(text, inner, shift, outer, offset):
    """α φ(βz + γ) + δ is as GOOD as φ."""
    from fractions import Fraction

    phi = expression(text)
    inside = add(mul(number(Fraction(inner)), ref(0)), number(shift))
    moved = substitute(phi, lambda x: inside if x.op == "ref" else x)
    moved = add(mul(number(outer), moved), number(offset))
    assert judge(moved, {}).good is judge(phi, {}).good


def random_tree(rng, depth):
    if depth == 0:
        return ref(0) if rng.random() < 0.7 else number(int(rng.integers(-3, 4)))
    names = ["add", "sub", "mul", "div", "neg", "pow", "tanh", "sigmoid", "softplus", "silu", "gelu", "relu", "abs",
             "sqrt", "arctan", "exp", "log", "max", "min", "sin", "cos", "erf", "step", "sign"]  # fmt: skip
    name = str(rng.choice(names))
    count = 2 if name in ("add", "sub", "mul", "div", "max", "min", "pow") else 1
    return Expr(name, tuple(random_tree(rng, depth - 1) for _ in range(count)))


@pytest.mark.parametrize("seed", range(8))
def test_random_functions(seed):
    """Nothing fails; what is called GOOD has derivatives bounded in mpmath, and what is called smooth has no jumps."""
    rng, verdicts = np.random.default_rng(seed), set()
    for _ in range(40):
        expr = random_tree(rng, int(rng.integers(1, 5)))
        found = judge(expr, {})
        assert len(found.findings) == 5
        assert str(found)
        verdicts.add(found.verdict)
        if found.good:
            points = rng.standard_normal(8)
            near = largest(expr, 2, np.concatenate([points * s for s in (1e-2, 0.3, 1.0, 4.0)]))
            assert math.isfinite(near)
            assert largest(expr, 1, points * 1e8) <= 100 * (1 + largest(expr, 1, points)), expr
    assert {"GOOD", "not GOOD"} <= verdicts
