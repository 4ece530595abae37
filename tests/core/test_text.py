"""Core programs print as text that reads back to the same program."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tpl
from tpl.core import expr as e
from tpl.core.program import InvalidProgram
from tpl.core.text import CoreSyntaxError, _Reader, parse_program, print_program
from tpl.pipeline import bundled_programs

sys.path.insert(0, str(Path(__file__).parent))
from test_gradient import NETWORKS


@pytest.mark.parametrize("text", NETWORKS.values(), ids=NETWORKS)
def test_networks_read_back(text):
    program = tpl.loads(text).program
    again = parse_program(print_program(program))
    assert again == program
    assert print_program(again) == print_program(program)


@pytest.mark.parametrize("name", bundled_programs())
def test_bundled_programs_read_back(name):
    program = tpl.load(name).program
    assert parse_program(print_program(program)) == program


NUMBERS = st.fractions(max_denominator=50).map(e.number) | st.floats(1e-3, 1e3).map(e.number)
LEAVES = NUMBERS | st.sampled_from([e.symbol("sigma_w"), e.symbol("n")])
BINARY = st.sampled_from([e.add, e.sub, e.mul])


def _compound(children):
    return (
        st.builds(lambda f, a, b: f(a, b), BINARY, children, children)
        | st.builds(lambda a, b, c: e.add(a, b, c), children, children, children)
        | st.builds(lambda a, b, c: e.mul(a, b, c), children, children, children)
        | st.builds(lambda a: e.neg(a), children)
        | st.builds(lambda a, b: e.div(a, b) if not b.is_value(0) else a, children, children)
        | st.builds(lambda a: e.power(a, e.number(3)), children)
        | st.builds(lambda a: e.apply("tanh", a), children)
    )


@settings(max_examples=500, deadline=None)
@given(st.recursive(LEAVES, _compound, max_leaves=12))
def test_expressions_read_back(expr):
    assert _Reader().expression(e.show(expr)) == expr


@pytest.mark.parametrize("text", ["x = ", "x = y", "show 3", "W : [n] ~ U(0, 1)", "x = W @ [1, a]", "\x00"])
def test_other_text_is_refused(text):
    with pytest.raises((CoreSyntaxError, InvalidProgram)):
        parse_program("width n\n" + text)
