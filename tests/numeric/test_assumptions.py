"""The assumptions of whole programs: which activations and inputs are found, and what is said of them."""

import numpy as np
import pytest

from tpl.core.expr import show
from tpl.core.text import parse_program
from tpl.language.source import Source
from tpl.numeric.assumptions import activations, assumptions
from tpl.pipeline import bundled_programs, compile_program, read_source

NETWORK = """
const s = 0.1
def phi(z) = {phi}
width n
data X[N, d] = {data}
data Y[N, k] = gaussian(4, 1, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    h = U @ xi
    g = W @ phi(h)
    return v @ phi(g)
show ntk(f, X)
"""


def compiled(phi="tanh(z)", data="gaussian(4, 3, seed=0)", given=None):
    return compile_program(Source(NETWORK.format(phi=phi, data=data)), given)


def functions(*maps):
    lines = "\n".join(f"y{i} = {text}" for i, text in enumerate(maps))
    text = f'width n\na : [n] ~ N(0, 1)\nb : [n] ~ N(0, 1)\nm = avg(a)\n{lines}\nt = avg(y0)\nshow "t" [] = t'
    return [show(x, lambda i: "z") for x in activations(parse_program(text))]


@pytest.mark.parametrize("phi", ["tanh(z)", "tanh(z) + s * z", "z * sigmoid(1.7 * z)", "relu(z)", "max(z, s * z)"])
def test_the_activation_of_a_network_is_found_once(phi):
    """With a tangent kernel: the derivatives of its backward pass are no activations."""
    program = compiled(phi).program
    assert any(line.origin.derived.startswith("reverse mode") for line in program.lines)
    assert [show(x, lambda i: "z") for x in activations(program)] == [phi]


def test_activations_within_maps():
    assert functions("relu((a - m) / sqrt(m + 2))") == ["relu(z)"]
    assert functions("silu(a) * b + tanh(b)") == ["silu(z)", "tanh(z)"]
    assert functions("a + 0.5 * b", "a * b", "m * a") == []
    assert functions("a + m * relu(b)", "relu(a)") == ["relu(z)"]
    assert functions("relu((a - b) / sqrt(a * a + b * b))") == ["relu(z)"]
    assert functions("tanh(a + 0.3 * b) * tanh(b)") == ["tanh(z)"]
    assert functions("gelu(a)", "gelu(b)", "gelu(2 * a)") == ["gelu(z)", "gelu(2 * z)"]


def test_a_multiple_of_a_function_is_the_function():
    assert functions("-0.3 * gelu(a)", "gelu(a) * 2", "-gelu(b)", "gelu(b) / 3") == ["gelu(z)"]
    assert functions("m * tanh(a)", "2 * (tanh(a) + 1)") == ["tanh(z)", "tanh(z) + 1"]


def test_a_function_of_a_scalar_is_no_activation():
    assert functions("exp(m) * a") == []
    assert functions("tanh(a) + m") == ["tanh(z)"]


def test_good_and_bad_networks():
    good = assumptions(compiled().program, compiled().inputs)
    assert [(x.function, x.good) for x in good.activations] == [("tanh(z)", True)]
    assert [(x.name, x.holds) for x in good.inputs] == [("X", True)], "labels are no inputs"
    bad = compiled(
        "relu(z)", given={"X": np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])}
    )
    found = assumptions(bad.program, bad.inputs)
    assert [x.good for x in found.activations] == [False]
    assert [x.holds for x in found.inputs] == [False]
    assert "⟨X[1], X[2]⟩ = 0" in str(found)
    assert "φ' jumps from 0 to 1 at z = 0" in str(found)


def test_a_linear_network_has_the_identity_as_its_activation():
    found = assumptions(compiled("z").program, compiled().inputs)
    assert [(x.function, x.good) for x in found.activations] == [("z", False)]
    assert "-2 φ(z) + φ(2 z) is constant" in str(found)
    assert not assumptions(compile_program(read_source("semicircle")).program, {}).activations, "no network"


def test_rows_for_a_table():
    found = assumptions(compiled("sin(z)").program, compiled().inputs)
    assert [(what, verdict) for what, verdict, _ in found.rows()] == [("sin(z)", "undecided"), ("X", "holds")]
    assert str(found).splitlines() == [": ".join(row) for row in found.rows()]


@pytest.mark.parametrize("name", bundled_programs())
def test_bundled_programs(name):
    """Every bundled program is judged; relu is never GOOD, tanh and erf always."""
    program = compile_program(read_source(name))
    found = assumptions(program.program, program.inputs)
    verdicts = {x.function: x.good for x in found.activations}
    assert verdicts.get("relu(z)", False) is False
    assert verdicts.get("tanh(z)", True) is True
    assert verdicts.get("erf(z)", True) is True
