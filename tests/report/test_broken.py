"""Long equations of a page: several pieces between which lines break, and nothing lost between them."""

import re
from xml.etree import ElementTree

import pytest

import tpl
from tests.report.pages import checked
from tpl.report.broken import ROOM, broken
from tpl.report.derivation import html_equations

GATED = """width n
width m = 2 * n
const L = 3
const ratio = 2
data X[N, d] = sphere(3, 5, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    x[0] = U @ xi
    for l in 1..L:
        param A[l] : [n, n] ~ N(0, 1 / n)
        param C[l] : [m, n] ~ N(0, 2 / n)
        param B[l] : [n, m] ~ N(0, 1 / m)
        x[l] = x[l-1] + sigmoid(A[l] @ x[l-1]) * (B[l] @ tanh(C[l] @ x[l-1]))
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[L]
show ntk(f, X)
"""


def pieces_of(html):
    return [ElementTree.fromstring(x) for x in re.findall("<math.*?</math>", html)]


def said(element):
    return re.sub(r"\s", "", "".join(element.itertext()))


def call(name, *inside):
    return f"<mrow><mi>{name}</mi><mrow><mo>(</mo>{''.join(inside)}<mo>)</mo></mrow></mrow>"


TIMES = "<mo>\u2062</mo><mspace width='.17em'/>"
A, B = "<mi>a</mi>", "<mi>b</mi>"
LONG = TIMES.join(call("sigmoid", f"<mi>{x}</mi>") for x in "uvwz")


def test_lines_break_before_signs_and_relations():
    left = call("f", A, "<mo>,</mo>", B)
    html = broken(f"{left}<mo>=</mo><mrow><mo>−</mo>{A}<mo>+</mo>{call('g', A, '<mo>−</mo>', B)}</mrow><mo>−</mo>{B}")
    assert [said(x) for x in pieces_of(html)] == ["f(a,b)", "=−a", "+g(a−b)", "−b"]
    assert 'form="prefix">−</mo><mi>a' in html
    assert broken(f"{A}<mo>=</mo>{B}").count("<math") == 1  # nothing is left alone on a line


def test_a_long_term_breaks_between_factors_and_in_brackets():
    terms = "<mo>−</mo>".join([LONG] * 2)
    html = broken(f"{A}<mo>=</mo>{A}{TIMES}<mo>(</mo>{terms}<mo>)</mo><mo>+</mo>{B}")
    found = [said(x) for x in pieces_of(html)]
    assert "".join(found).replace("\u2062", "") == said(ElementTree.fromstring(f"<a>{A}={A}({terms})+{B}</a>")).replace(
        "\u2062", ""
    )
    assert max(map(len, found)) <= ROOM + 4
    assert html.count("<span class='term'>") == 1  # the last term stays apart


@pytest.fixture(scope="module")
def gated():
    return tpl.loads(GATED).derive()


def test_equations_of_a_derivation_are_whole_and_narrow(gated):
    body = "".join(html_equations(gated.derivation))
    checked(body)
    equations = re.findall("<div class='eq broken'>(.*?)</div>", body)
    found = [[said(x).replace("\u2062", "") for x in pieces_of(e)] for e in equations]
    assert max(len(x) for x in found) > 10
    assert max(len(piece) for x in found for piece in x) < 70  # fractions stay whole
    text = str(gated)
    for pieces in found:
        assert "".join(pieces).count("tanh") in [line.count("tanh") for line in text.splitlines()]


def test_letters_of_one_kind_are_of_one_type(gated):
    body = "".join(html_equations(gated.derivation))
    assert "<mi>u</mi><mo>′</mo>" in body
    assert not re.search(r"<mi>[^<]*[′−,. ][^<]*</mi>", body)  # a prime in a letter's element makes it upright
    assert not re.search(r"<mi>ratio</mi><mo>\u2062</mo>(?!<mspace)", body)
    assert not re.search(r"</mrow><mo>\u2062</mo>(?!<mspace)", body)
