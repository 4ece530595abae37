"""Derivations: golden texts that a person has read, and recursions that hold beyond what they were seen on."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import tpl
from tpl.core.expr import leaves
from tpl.limit.derive import LONG_ENOUGH
from tpl.limit.law import Law
from tpl.limit.naming import Named
from tpl.limit.recursion import Sum
from tpl.numeric.evaluate import evaluate_law, reduce_rank
from tpl.numeric.quadrature import integrate

GOLDEN = Path(__file__).parent / "golden"
READ = ["mlp", "mlp_erf", "resnet", "layernorm_mlp", "semicircle", "marchenko_pastur", "transpose_correction"]


@pytest.mark.parametrize("name", READ)
def test_golden(name, request):
    text = str(tpl.load(name).derive())
    path = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*READ, "rnn"])
def test_other_forms_are_well_formed(name):
    report = tpl.load(name).derive()
    page = report.html()
    body = page.split("</style></head>")[1].removesuffix("</html>\n")
    ElementTree.fromstring(body)
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    latex = report.latex()
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    assert latex.count(r"\[") == latex.count(r"\]")
    assert not re.search(r"tok\d+x|var\d+x|par\d+x|@\d+", latex + str(report) + page + report.markdown())


class Recursion:
    """The rules of a derivation over layers, run at any depth on numbers."""

    def __init__(self, derivation, depth, gram):
        self.derivation, self.depth, self.gram = derivation, depth, gram
        self.constants = derivation.program.constant_values()
        self.known = {}

    def at(self, index):
        return index if index <= 2 else self.depth + index - LONG_ENOUGH

    def kernel(self, base, layer, pair):
        key = (base, layer, pair)
        if key not in self.known:
            self.known[key] = self.apply(base, layer, pair)
        return self.known[key]

    def apply(self, base, layer, pair):
        for rule in self.derivation.rules:
            if rule.left.base != base:
                continue
            anchor = rule.left.left.index[0]
            start, stop = rule.region[0] if rule.region else (anchor, anchor)
            if (start if start <= 2 else self.at(start)) <= layer <= self.at(stop):
                return self.number(rule.right, layer - anchor, pair)
        raise AssertionError(f"no rule for {base} at {layer}")

    def number(self, value, shift, pair):
        """shift None: indices are the ends of loops."""
        if value in self.derivation.names.named:
            return self.named(self.derivation.names.named[value], shift, pair)
        if value.func.__name__.startswith("E") and value.func.__name__[1:].isdigit():
            return self.expectation(value, shift, pair)
        if value.is_Symbol:
            return self.constants[value.name]
        if not value.args:
            return float(value)
        return float(value.func(*(self.number(a, shift, pair) for a in value.args)))

    def named(self, named: Named, shift, pair):
        inputs = tuple(pair[s.input - 1] for s in (named.left, named.right))
        inputs = tuple(sorted(inputs))
        if named.kind == "gram":
            return self.gram[inputs]
        index = named.left.index[0]
        return self.kernel(named.base, self.at(index) if shift is None else index + shift, inputs)

    def expectation(self, value, shift, pair):
        integrand = self.derivation.integrands[int(value.func.__name__[1:])]
        size = len(leaves(integrand, "ref"))
        entries = [self.number(a, shift, pair) for a in value.args]
        covariance = np.zeros((size, size))
        covariance[np.tril_indices(size)] = entries[: size * (size + 1) // 2]
        covariance = np.tril(covariance) + np.tril(covariance, -1).T
        parameters = dict(enumerate(entries[size * (size + 1) // 2 :]))
        return integrate(integrand, reduce_rank(covariance), self.constants, parameters, 16)

    def answer(self, terms, pair):
        total = 0.0
        for term in terms:
            if isinstance(term, Sum):
                anchor = term.anchor.left.index[0]
                (start, stop), *_ = term.region
                total += sum(self.number(term.term, layer - anchor, pair) for layer in range(start, self.at(stop) + 1))
            else:
                total += self.number(term, None, pair)
        return total


@pytest.mark.parametrize("depth", [2, 5, 20])
@pytest.mark.parametrize("name", ["mlp", "mlp_erf", "resnet", "layernorm_mlp"])
def test_recursions_hold_at_any_depth(name, depth):
    """Derived from a few iterations, evaluated at 2, 5 and 20 layers, against the unrolled program."""
    x = np.random.default_rng(0).standard_normal((2, 6))
    settings = [f"L={depth}"]
    program = tpl.load(name, data={"X": x}, settings=settings)
    law = Law(program.program)
    derivation = tpl.load(name, settings=settings).derive().derivation
    gram = {(i, j): float(x[i - 1] @ x[j - 1]) for i in (1, 2) for j in (1, 2)}
    run = Recursion(derivation, depth, gram)
    run.constants = program.program.constant_values()
    for shown, answer in zip(program.program.shows, derivation.answers, strict=True):
        expected = evaluate_law(law, [shown.lines[1]])
        assert run.answer(answer.entries[0][1], (1, 2)) == pytest.approx(expected.value[0], rel=1e-9)


TIED = """
width n
data X[N, d] = sphere(3, 5, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    x[0] = U @ xi
    x[1] = W.T @ tanh(W @ x[0])
    return v @ x[1]
show nngp(f, X)
"""


def test_the_gaussian_part_of_a_product_is_not_taken_for_the_product():
    derivation = tpl.loads(TIED).derive().derivation
    for rule in derivation.rules:
        assert derivation.names.symbol(rule.left) not in rule.right.free_symbols
    text = str(tpl.loads(TIED).derive())
    assert "K_x^1(ξ, ξ′) = E[tanh(w) tanh(w′)] + K_x^0(ξ, ξ′) (1 - E[tanh(u)²]) (1 - E[tanh(v)²])" in text


def test_what_is_not_general_says_so():
    assert "stated for 5 steps (T = 5)" in str(tpl.load("rnn").derive())
    assert "stated for" not in str(tpl.load("resnet").derive())
