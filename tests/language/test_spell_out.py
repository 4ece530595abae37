"""Names for what a network leaves nameless: the same network, spoken of more easily."""

import numpy as np
import pytest

from tpl.core.functions import CALLABLE
from tpl.language.parse import parse
from tpl.language.source import Source
from tpl.language.spell_out import spell_out
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law
from tpl.pipeline import compile_program, read_source

FUNCTIONS = frozenset(CALLABLE)


def introduced(body, before=""):
    text = f"{before}width n\nnetwork f(xi[d]):\n" + "".join(f"    {line}\n" for line in body)
    source = Source(text)
    file, problems, _ = parse(source)
    assert not problems
    spelled, found = spell_out(file, source, FUNCTIONS)
    again, more = spell_out(spelled, source, FUNCTIONS)
    assert not more
    assert again == spelled
    return {x.name: (x.indices, x.text) for x in found}


def test_the_argument_of_a_nonlinearity():
    body = ["x[1] = tanh(U @ xi)", "for t in 2..T:", "    x[t] = tanh(W @ x[t-1] + b)", "return v @ x[T]"]
    assert introduced(body) == {"h": (("t",), "W @ x[t-1] + b")}


def test_several_families_have_names_of_their_own():
    found = introduced(["i = sigmoid(A @ xi)", "o = i * tanh(B @ xi)", "return v @ o"], "def sigmoid(z) = z\n")
    assert found == {"h_i": ((), "A @ xi"), "h_o": ((), "B @ xi")}


def test_names_that_are_taken_are_left_alone():
    assert list(introduced(["h = U @ xi", "x = tanh(W @ h)", "return v @ x"])) == ["h_x"]


def test_softmax_weights_inside_a_sum():
    body = ["for i in 1..T:", "    a[i] = sum(softmax(s[i, 1..T])[j] * u[j] for j in 1..T)", "return v @ a[1]"]
    assert introduced(body) == {"A": (("i", "j"), "softmax(s[i, 1..T])[j]")}


@pytest.mark.parametrize("line", ["x = tanh(h)", "x = W @ tanh(h)", "x = tanh((h - m) / s)", "x = W @ h + b"])
def test_what_has_a_name_or_no_product_is_left_alone(line):
    assert introduced([line, "return v @ x"]) == {}


@pytest.mark.parametrize("name", ["rnn", "attention"])
def test_the_network_computes_the_same(name):
    source = read_source(name)
    plain, spelled = compile_program(source), compile_program(source, name_all=True)
    assert spelled.introduced
    values = [
        evaluate_law(Law(c.program), [x for shown in c.program.shows for x in shown.lines[:3]]).value
        for c in (plain, spelled)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
