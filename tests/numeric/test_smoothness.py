"""Which functions are smooth, what is in the way of the others, and the rounding of expressions."""

import numpy as np
import pytest
from mpmath import mp

from tpl.core.expr import Expr, add, apply, number, ref
from tpl.core.functions import CALLABLE
from tpl.core.text import parse_program
from tpl.numeric.rounding import EPSILON, values_and_rounding
from tpl.numeric.smoothness import smoothness

SMOOTH = [
    "tanh(x)", "silu(x) * gelu(x)", "abs(1 + x^2)", "log(1 + exp(x))", "1 / (2 + cos(x))", "(1 + x^2)^0.3",
    "max(x^2 + 1, 0)", "log(sigmoid(x))", "2^x", "x^3", "exp(x) / (exp(x) + exp(-x))", "sqrt(softplus(x))",
    "relu(3)^0.5 * x", "1 / (1 + x * x)", "(1 + x^2)^-2", "relu(tanh(x) + 1.5)", "min(sin(x), 2) + erf(x)",
]  # fmt: skip
KINKED = {
    "relu(x - 1.5)": "kink of relu at z = 1.5",
    "max(x, -1) - min(x, 2)": "kink of min at z = 2",
    "relu(tanh(x) - 0.2)": "kink of relu at z = 0.202733",
    "abs(x - 1) * tanh(x)": "kink of abs at z = 1",
    "step(x - 0.3) * x": "kink of step at z = 0.3",
    "1 / cos(x)": "singularity of a quotient at z = 1.5708, -1.5708, 4.71239, -4.71239, …",
    "x^2.5": "singularity of a power at z = 0",
    "x^-1": "singularity of a power at z = 0",
    "sqrt(x^2)": "singularity of sqrt at z = 0",
    "log(x + 2)": "singularity of log at z = -2",
    "relu(tanh(x) + 0.5)": "kink of relu at z = -0.549306",
    "abs(silu(x))": "kink of abs at z = 0",
    "max(x, y)": "kink of max where z0 - z1 = 0",
    "1 / (1 + tanh(x) * tanh(x) - tanh(x)^2 - 0.5 * x)": "singularity of a quotient at z = 2",
}


def expression(text):
    program = parse_program(f'width n\nx : [n] ~ N(0, 1)\ny : [n] ~ N(0, 1)\nz = {text}\nt = avg(z)\nshow "t" [] = t')
    return program.lines[2].expr


@pytest.mark.parametrize("text", SMOOTH)
def test_smooth(text):
    found = smoothness(expression(text), {}, {})
    assert found.smooth
    assert found.reason.startswith("smooth: ")


@pytest.mark.parametrize("text", KINKED)
def test_kinked(text):
    found = smoothness(expression(text), {}, {})
    assert (found.smooth, found.reason) == (False, KINKED[text])


def test_parameters_decide():
    argument = add(apply("tanh", ref(0)), Expr("symbol", (), "b"))
    assert smoothness(apply("relu", argument), {"b": 1.2}, {}).smooth
    assert not smoothness(apply("relu", argument), {"b": 0.2}, {}).smooth
    hidden = apply("sqrt", add(Expr("quantity", (), 3), apply("exp", ref(0))))
    assert smoothness(hidden, {}, {3: 0.0}).smooth
    assert not smoothness(hidden, {}, {3: -1.0}).smooth
    assert not smoothness(hidden, {}, {}).smooth, "not known: may be anything"


def test_what_is_called_smooth_has_smooth_values():
    """Fifth differences shrink like the fifth power of the step; across a kink they do not."""
    places = np.random.default_rng(0).uniform(-2, 2, 40)
    for text in SMOOTH:
        expr = expression(text)
        sizes = []
        for step in (0.02, 0.005):
            grid = places[:, None] + step * np.arange(6)
            at, _ = values_and_rounding(expr, grid[None], {}, {})
            sizes.append(np.abs(np.diff(at, 5, axis=1)).max())
        assert sizes[1] <= sizes[0] / 100 + 1e-13 * np.abs(at).max(), text


EXACT = {
    "exp": mp.exp, "tanh": mp.tanh, "sin": mp.sin, "cos": mp.cos, "erf": mp.erf, "arctan": mp.atan,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)), "softplus": lambda z: mp.log1p(mp.exp(z)), "abs": abs,
    "silu": lambda z: z / (1 + mp.exp(-z)), "gelu": lambda z: z * mp.ncdf(z), "sign": mp.sign,
    "relu": lambda z: max(z, mp.zero), "step": lambda z: (1 + mp.sign(z)) / 2, "log": lambda z: mp.log(abs(z)),
    "sqrt": lambda z: mp.sqrt(abs(z)),
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n, f in CALLABLE.items() if f.arity == 1])
def test_functions_are_within_their_stated_rounding(name):
    points = np.random.default_rng(1).uniform(-6, 6, 300)
    points = np.abs(points) if name in ("log", "sqrt") else points
    at, rounding = values_and_rounding(apply(name, ref(0)), points[None], {}, {})
    with mp.workdps(40):
        for x, value, error in zip(map(float, points), at, rounding, strict=True):
            assert abs(mp.mpf(float(value)) - EXACT[name](mp.mpf(x))) <= error


def test_cancellation_is_seen():
    x = np.random.default_rng(2).uniform(1e-5, 1e-3, 200)
    at, rounding = values_and_rounding(expression("1 - cos(x)"), x[None], {}, {})
    with mp.workdps(40):
        off = np.array(
            [float(abs(mp.mpf(float(a)) - (1 - mp.cos(mp.mpf(float(t)))))) for a, t in zip(at, x, strict=True)]
        )
    assert np.all(off <= rounding)
    assert off.max() > 1e-10 * at[off.argmax()], "there is something to see"
    plain, small = values_and_rounding(add(ref(0), number(1)), x[None], {}, {})
    assert np.all(small <= 2 * EPSILON * plain)
