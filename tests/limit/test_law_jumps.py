"""Jumps at which an argument ends up in the limit: refused where finite widths fluctuate around them."""

import numpy as np
import pytest

from tpl.core.text import parse_program
from tpl.limit.calculus import NoLaw
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law

START = "width n\nconst c = 0\nW : [n, n] ~ N(0, 1 / n)\nx : [n] ~ N(0, 1)\nw : [n] ~ N(0, 1)\no : [n] ~ N(0, 0)\n"


def value_of(lines, shown="t"):
    program = parse_program(START + "\n".join(lines) + f'\nshow "t" [] = {shown}')
    return evaluate_law(Law(program), list(program.shows[0].lines)).value[0]


NO_LIMIT = {
    "a moment that is zero by parity": ["a = avg(x)", "y = step(a * w)", "t = avg(y * y)"],
    "the same, through sign": ["a = avg(tanh(x))", "y = sign(a * w)", "t = avg(y * w)"],
    "independent vectors": ["a = avg(x * w)", "y = step(a * x)", "t = avg(y)"],
    "a scalar alone": ["a = avg(x)", "t = step(a)"],
    "a difference of averages": ["a = avg(x^2)", "y = step((a - 1) * x)", "t = avg(y)"],
    "a zero that only numbers tell": ["a = avg(relu(x))", "y = step((a - 1 / sqrt(2 * pi)) * x)", "t = avg(y)"],
    "the same of a function": ["a = avg(relu(x))", "y = step((a - 1 / sqrt(2 * pi)) * tanh(x))", "t = avg(y)"],
    "a product that vanishes": ["a = avg(x)", "z = a * w", "g = W @ z", "y = step(g)", "t = avg(y)"],
    "a product that vanishes in numbers": [
        "a = avg(relu(x))", "z = (a - 1 / sqrt(2 * pi)) * tanh(w)", "g = W @ z", "y = sign(g)", "t = avg(y * y)",
    ],
    "a sum of two that cancel in the limit": ["a = avg(x^2)", "y = step(a * w - w)", "t = avg(y)"],
    "inside a moment": ["a = avg(x)", "t = avg(step(a * w))"],
}  # fmt: skip


@pytest.mark.parametrize("case", NO_LIMIT)
def test_there_is_no_limit(case):
    with pytest.raises(NoLaw, match=r"^line [ytg]: (step|sign) jumps at 0, where its argument tends$"):
        value_of(NO_LIMIT[case])


FIXED = {
    "a constant": (["y = step(0 * x) * w * w", "t = avg(y)"], 0.5),
    "a named constant": (["y = step(c * x)", "t = avg(y)"], 0.5),
    "a difference that is zero": (["y = step(x - x) + sign(w - w)", "t = avg(y)"], 0.5),
    "a vector without variance": (["y = step(o)", "t = avg(y * x * x)"], 0.5),
    "its product": (["g = W @ o", "y = step(g)", "t = avg(y)"], 0.5),
    "a matrix without variance": (["V : [n, n] ~ N(0, c / n)", "g = V @ x", "y = step(g)", "t = avg(y)"], 0.5),
    "opposite terms": (["z = tanh(x) + tanh(-x)", "g = W @ z", "y = step(g)", "t = avg(y)"], 0.5),
    "equal products": (["g = W @ x", "h = W @ x", "y = step(g - h)", "t = avg(y)"], 0.5),
    "a moment of nothing": (["a = avg(o)", "y = step(a * x)", "t = avg(y)"], 0.5),
    "a jump of a jump elsewhere": (["b = avg(x^2)", "y = step(o - b)", "u = step(y) * w^2", "t = avg(u)"], 0.5),
    "the same in numbers": (["b = avg(relu(x))", "y = step(o - b)", "u = step(y) * w^2", "t = avg(u)"], 0.5),
    "a jump elsewhere": (["a = avg(x)", "y = step(a * w - 1/2)", "t = avg(y)"], 0.0),
    "a small coefficient": (["y = step(x / 10^7)", "t = avg(y * x)"], 1 / np.sqrt(2 * np.pi)),
    "a small product": (["z = x / 10^7", "g = W @ z", "y = step(g)", "t = avg(y)"], 0.5),
    "a small moment": (
        ["b = avg(relu(x))", "a = b / 10^7", "y = step(a * x)", "t = avg(y * x)"],
        1 / np.sqrt(2 * np.pi),
    ),
}


@pytest.mark.parametrize("case", FIXED)
def test_there_is_one(case):
    lines, expected = FIXED[case]
    assert value_of(lines) == pytest.approx(expected, abs=1e-12)


def test_a_jump_that_nothing_shown_needs():
    lines = ["b = avg(relu(x))", "a = b - 1 / sqrt(2 * pi)", "y = step(a * x)", "u = avg(y)", "t = avg(w^2)"]
    assert value_of(lines) == 1.0
