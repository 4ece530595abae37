"""Behaviour at ±∞, against mpmath far out."""

import math

import numpy as np
import pytest
from mpmath import mp, mpf

from tpl.core.expr import Expr, apply, number, ref
from tpl.core.text import parse_program
from tpl.numeric.tails import LOWEST, tail

EXACT = {
    "add": lambda *a: mp.fsum(a), "sub": lambda a, b: a - b, "neg": lambda a: -a, "mul": lambda *a: mp.fprod(a),
    "div": lambda a, b: a / b, "pow": lambda a, b: a**b, "exp": mp.exp, "log": mp.log, "sqrt": mp.sqrt, "abs": abs,
    "sign": mp.sign, "step": lambda z: (1 + mp.sign(z)) / 2, "relu": lambda z: max(z, mpf(0)), "max": max, "min": min,
    "tanh": mp.tanh, "sigmoid": lambda z: 1 / (1 + mp.exp(-z)), "softplus": lambda z: mp.log1p(mp.exp(z)),
    "silu": lambda z: z / (1 + mp.exp(-z)), "gelu": lambda z: z * mp.ncdf(z), "erf": mp.erf, "sin": mp.sin,
    "cos": mp.cos, "arctan": mp.atan,
}  # fmt: skip


def exactly(expr, z):
    """An expression at one point, in mpmath."""
    if expr.op == "number":
        return mpf(expr.value.numerator) / expr.value.denominator
    if expr.op == "symbol":
        return {"pi": mp.pi}[expr.value]
    return z if expr.op == "ref" else EXACT[expr.op](*(exactly(a, z) for a in expr.args))


def expression(text):
    program = parse_program(f'width n\nz : [n] ~ N(0, 1)\ny = {text}\nt = avg(y)\nshow "t" [] = t')
    return program.lines[1].expr


def is_right(expr, found, side):
    """What the terms leave over is of the stated order; so far out that e^{-|z|^(1/8)} is below |z|^-6."""
    with mp.workdps(400):
        for t in (mpf(10) ** 20, mpf(10) ** 24):
            value = exactly(expr, side * t)
            left = abs(value - mp.fsum(c * t**k for k, c in found.terms.items()))
            rounding = mpf("1e-13") * mp.fsum(abs(c) * t**k for k, c in found.terms.items())
            order = LOWEST if found.error == -math.inf else found.error
            if left > 1e4 * t**order + rounding:
                return False
    return True


TEXTS = [
    "tanh(z)", "1 - tanh(z)^2", "z * (1 - sigmoid(z))", "silu(z) + relu(-z)", "gelu(2 * z - 1)", "softplus(z) - relu(z)",
    "arctan(z)", "arctan(3 * z - 1) * z", "1 / (1 + z^2)", "sqrt(1 + z^2)", "(1 + z^4)^0.25 - abs(z)", "sqrt(abs(z))",
    "z * tanh(softplus(z))", "max(z, 0.1 * z)", "min(max(z, -1), 1)", "exp(-z^2) * z^3", "z / (1 + abs(z))", "2 * exp(z)",
    "erf(z / sqrt(2)) * z", "(z^3 - z) / (1 + z + z^2)", "exp(1 / z) - 1", "log(2 + 1 / z)", "sin(1 / z)", "z^2 - z * z",
    "0.5 * z * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z^3)))", "sin(z) / z", "sin(z)^2 + z", "sign(z) * step(z)",
    "relu(1 / z)", "1 / tanh(1 / z)", "abs(1 / z)^0.5",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("side", [-1, 1])
def test_expansions(text, side):
    expr = expression(text)
    found = tail(expr, {}, side)
    if text == "2 * exp(z)" and side == 1:
        assert found.huge
        return
    if text == "sqrt(abs(z))":
        assert found.terms == {0.5: 1.0}
    assert found is not None
    assert is_right(expr, found, side)


def test_what_is_smaller_than_any_power_has_no_terms():
    for text in ("1 - tanh(z)^2", "z * (1 - sigmoid(z))", "exp(-z)", "z^5 * exp(-z^2)", "softplus(z) - z"):
        found = tail(expression(text), {}, 1)
        assert (dict(found.terms), found.error) == ({}, -math.inf), text


@pytest.mark.parametrize("text", ["exp(z) - exp(z)", "log(z)", "sin(z) * exp(z)", "log(-1 - z^2)", "z^0.5"])
def test_what_it_does_not_tell(text):
    assert tail(expression(text), {}, -1 if text == "z^0.5" else 1) is None


def random_tree(rng, depth):
    if depth == 0:
        return ref(0) if rng.random() < 0.7 else number(int(rng.integers(-3, 4)))
    name = rng.choice(["add", "sub", "mul", "div", "neg", "tanh", "sigmoid", "softplus", "silu", "relu", "abs", "sqrt",
                       "arctan", "exp", "max", "sin", "erf"])  # fmt: skip
    count = 2 if name in ("add", "sub", "mul", "div", "max") else 1
    return Expr(str(name), tuple(random_tree(rng, depth - 1) for _ in range(count)))


def test_random_expressions():
    """Wherever an expansion is found it is right, or the function grows beyond all powers."""
    rng, checked = np.random.default_rng(0), 0
    for _ in range(600):
        expr = random_tree(rng, int(rng.integers(1, 5)))
        for side in (-1, 1):
            found = tail(expr, {}, side)
            if found is None:
                continue
            if found.huge:
                with mp.workdps(60):
                    assert abs(exactly(expr, side * mpf(10) ** 24)) > mpf(10) ** 480, expr
            else:
                assert is_right(expr, found, side), expr
            checked += 1
    assert checked > 500


def test_constants_of_a_program():
    scaled = apply("tanh", apply("mul", Expr("symbol", (), "a"), ref(0)))
    assert tail(scaled, {"a": -2.0}, 1).terms == {0.0: -1.0}
    assert tail(scaled, {}, 1) is None
