"""Derivations: golden texts that a person has read, and recursions that hold beyond what they were seen on."""

import functools
import re
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tpl
from tpl.core.expr import leaves
from tpl.language.source import TplError
from tpl.limit.frame import Back, Frame, Place, Step
from tpl.limit.generic import LONG_ENOUGH
from tpl.limit.law import Law
from tpl.limit.naming import OUTPUTS, Bound
from tpl.numeric.chains import reduce_rank
from tpl.numeric.evaluate import evaluate_law
from tpl.numeric.quadrature import integrate
from tpl.report.derivation import DerivationReport
from tpl.report.explanation import ExplanationReport

GOLDEN = Path(__file__).parent / "golden"
READ = [
    "mlp", "mlp_erf", "resnet", "layernorm_mlp", "rnn", "conv1d", "attention",
    "batchnorm_mlp", "amp", "semicircle", "marchenko_pastur", "transpose_correction",
    "amp_spiked", "deq", "resnet_pre", "freeness", "jacobian",
    "graphconv", "transformer", "lstm", "gru", "batchnorm_batches", "resnet_post", "conv2d",
]  # fmt: skip


@functools.cache
def derived(name):
    """What `tpl derive NAME` gives."""
    return tpl.load(name).derive()


@pytest.mark.parametrize("name", READ)
def test_golden(name, request):
    text = str(derived(name))
    path = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", READ)
def test_other_forms_are_well_formed(name):
    report = derived(name)
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
    """The rules of a derivation, run on numbers for loops of any length.

    sizes: the length of each loop, by the name that ends it. gram: inner products of inputs, by (input, indices) of
    both. An index up to 2 stands for itself, a larger one for its distance from the loop's end. entries: data by name.
    outputs: what the outputs a and b are.
    """

    def __init__(self, derivation, constants, sizes, gram, entries=None, outputs=()):
        self.derivation, self.constants, self.sizes, self.gram = derivation, constants, sizes, gram
        self.entries, self.outputs = entries or {}, dict(zip(OUTPUTS, outputs, strict=False))
        self.axes = derivation.axes
        self.known = {}

    def at(self, index, end):
        if end in self.axes.outputs and index in OUTPUTS:
            return self.outputs[index]
        return index if index <= 2 or not end else self.sizes[end] + index - LONG_ENOUGH

    # ---------------------------------------------------------------- rules
    def kernel(self, kind, left, right):
        """left, right: (base, indices, input)."""
        key = (kind, left, right)
        if key not in self.known:
            swapped = (kind, right, left)
            self.known[key] = self.known[swapped] if swapped in self.known else self.apply(kind, left, right)
        return self.known[key]

    def apply(self, kind, left, right):
        for a, b in [(left, right), (right, left)] if right else [(left, None)]:
            for rule in self.derivation.rules:
                named = rule.left
                bases = (named.left.base, named.right and named.right.base)
                if named.kind == kind and bases == (a[0], b and b[0]):
                    found = self.coordinates(rule, a[1], b[1] if b else ())
                    if found is not None and self.holds(rule, found):
                        inputs = {named.left.input: a[2]}
                        if b:
                            other = {named.right.input: b[2]}
                            if named.left.input == named.right.input and a[2] != b[2]:
                                continue
                            inputs |= other
                        return self.number(rule.right, Here(rule, found, inputs, {}))
        raise AssertionError(f"no rule for {kind} {left} {right}")

    def coordinates(self, rule, left, right):
        named = rule.left
        if len(left) != len(named.left.index) or (named.right and len(right) != len(named.right.index)):
            return None
        if any(left[k] != right[k] for k in rule.frame.shared):
            return None
        return {p: (left, right)[p.side][p.axis] for p in rule.frame.places}

    def holds(self, rule, found):
        ends = [self.axes.of(rule.left.left if p.side == 0 else rule.left.right)[p.axis] for p in rule.frame.places]
        if not rule.region:
            wanted = [self.at(i, e) for i, e in zip(rule.frame.coordinates(rule.left), ends, strict=True)]
            return wanted == list(found.values())
        box = [(a if a <= 3 else self.at(a, e), self.at(b, e)) for (a, b), e in zip(rule.region, ends, strict=True)]
        if any(not a <= i <= b for i, (a, b) in zip(found.values(), box, strict=True)):
            return False
        edge = {"": None, "first": 0, "last": 1}[rule.edge]
        return edge is None or any(i == b[edge] for i, b in zip(found.values(), box, strict=True))

    # ---------------------------------------------------------------- numbers
    def number(self, value, here):
        if value in self.derivation.names.named:
            return self.named(self.derivation.names.named[value], here)
        found = self.derivation.folder.sum_of(value)
        if found is not None:
            return self.sum(found, here)
        if re.fullmatch(r"E\d+", type(value).__name__):
            return self.expectation(value, here)
        if value.is_Symbol:
            return self.constants[value.name]
        if not value.args:
            return float(value)
        return float(value.func(*(self.number(a, here) for a in value.args)))

    def named(self, named, here):
        frame = here.frame
        named = frame.oriented(named)
        sides = [x for x in (named.left, named.right) if x is not None]
        ends = [e for side in sides for e in self.axes.of(side)]
        entries = zip(named.indices, frame.slots(named), frame.aligned(named), ends, strict=True)
        indices = [self.index(*entry, here) for entry in entries]
        count = len(named.left.index)
        inputs = [here.inputs.get(side.input, side.input) for side in sides]
        left = (sides[0].base, tuple(indices[:count]), inputs[0])
        right = (sides[1].base, tuple(indices[count:]), inputs[1]) if len(sides) == 2 else None
        if named.kind == "entry":
            return self.entries[named.base][tuple(i - 1 for i in indices)]
        if named.kind == "gram":
            return self.gram[left[2], left[1], right[2], right[1]]
        return self.kernel(named.kind, left, right)

    def index(self, index, slot, place, end, here):
        if isinstance(index, Bound):
            value = index.offset + (-1 if index.back else 1) * here.bound[index.variable]
            if index.back and index.offset > LONG_ENOUGH - 2:
                value += self.sizes[end] - LONG_ENOUGH
            if index.own:
                value += here.coordinate(place)
        elif here.rule is None or not here.rule.region or place is None:
            value = self.at(index, end)
        elif isinstance(slot, Back):
            ends = self.sizes[end] - LONG_ENOUGH if slot.total > LONG_ENOUGH - 2 else 0
            value = slot.total + ends - here.coordinate(place)
        else:
            value = here.coordinate(place) + (slot.offset if isinstance(slot, Step) else index - here.frame.at(place))
        return (value - 1) % self.sizes[end] + 1 if end in self.axes.cyclic else value

    def sum(self, found, here):
        spans = [self.span(r, here) for r in found.ranges]
        total = 0.0
        for values in product(*spans):
            bound = here.bound | {r.variable: v for r, v in zip(found.ranges, values, strict=True)}
            total += self.number(found.term, replace(here, bound=bound))
        return total

    def span(self, r, here):
        if r.own:
            return range(r.start, r.stop + 1)
        end = (self.axes.ends.get(r.base) or self.axes.ends.get(r.base.removeprefix("d")))[r.axis]
        start = r.start if r.start <= 3 else self.at(r.start, end)
        stop = self.at(r.stop, end)
        if r.place is not None and here.rule is not None and here.rule.region:
            if here.rule.policy.start:
                start = here.coordinate(r.place) + r.start - here.frame.at(r.place)
            if here.rule.policy.stop:
                stop = here.coordinate(r.place) + r.stop - here.frame.at(r.place)
        return range(start, stop + 1)

    def expectation(self, value, here):
        integrand = self.derivation.integrands[int(type(value).__name__[1:])]
        size = len(leaves(integrand, "ref"))
        entries = [self.number(a, here) for a in value.args]
        covariance = np.zeros((size, size))
        covariance[np.tril_indices(size)] = entries[: size * (size + 1) // 2]
        covariance = np.tril(covariance) + np.tril(covariance, -1).T
        parameters = dict(enumerate(entries[size * (size + 1) // 2 :]))
        return integrate(integrand, reduce_rank(covariance), self.constants, parameters, 16)

    def answer(self, value):
        return self.number(value, Here(None, {}, {}, {}, Frame(self.axes)))


@dataclass(frozen=True)
class Here:
    """Where a rule is applied: its coordinates, what its inputs stand for, the values of the variables of sums."""

    rule: Any
    coordinates: dict
    inputs: dict
    bound: dict
    bare: Any = None

    @property
    def frame(self):
        return self.rule.frame if self.rule is not None else self.bare

    def coordinate(self, place):
        counted = Place(0, place.axis) if place.axis in self.frame.shared else place
        return self.coordinates[counted]


SIZES = [
    *((name, {"L": depth}, (6,)) for name in ("mlp", "mlp_erf", "resnet", "layernorm_mlp") for depth in (2, 5, 20)),
    *(("rnn", {"T": steps}, (steps, 6)) for steps in (2, 3, 8)),
    *(("conv1d", {"L": depth, "P": places}, (places, 6)) for depth, places in ((2, 3), (3, 4), (2, 7))),
    *(("attention", {"T": tokens}, (tokens, 6)) for tokens in (2, 3, 4)),
    *(("transformer", {"T": tokens}, (tokens, 6)) for tokens in (2, 3)),
]


@pytest.mark.parametrize(("name", "sizes", "shape"), SIZES, ids=lambda x: str(x))
def test_recursions_hold_at_any_size(name, sizes, shape):
    """Derived from loops of 5, evaluated at other lengths, against the unrolled program."""
    x = np.random.default_rng(0).standard_normal((2, *shape))
    settings = [f"L={sizes['L']}"] if "L" in sizes else []
    program = tpl.load(name, data={"X": x}, settings=settings)
    law = Law(program.program)
    derivation = (tpl.load(name, settings=settings).derive() if settings else derived(name)).derivation
    assert not derivation.specialised
    places = [(i, *(k + 1 for k in index)) for i in (1, 2) for index in np.ndindex(*shape[:-1])]
    row = {p: x[(p[0] - 1, *(k - 1 for k in p[1:]))] for p in places}
    gram = {(p[0], p[1:], q[0], q[1:]): float(row[p] @ row[q]) for p in places for q in places}
    run = Recursion(derivation, program.program.constant_values(), sizes, gram)
    for shown, answer in zip(program.program.shows, derivation.answers, strict=True):
        expected = evaluate_law(law, [shown.lines[1]])
        assert run.answer(answer.entries[0][1]) == pytest.approx(expected.value[0], rel=1e-9)


@pytest.mark.parametrize(("depth", "nodes", "outputs"), [(2, 3, (1, 3)), (3, 4, (4, 2)), (2, 4, (2, 2))])
def test_a_graph_recursion_holds_for_any_graph(depth, nodes, outputs):
    """Data that no network takes as its input are symbols, and two outputs of one input are any two."""
    rng = np.random.default_rng(nodes)
    x, g = rng.standard_normal((nodes, 6)), rng.standard_normal((nodes, nodes))
    program = tpl.load("graphconv", data={"X": x, "G": g}, settings=[f"L={depth}"])
    law = Law(program.program)
    derivation = derived("graphconv").derivation
    gram = {(0, (i,), 0, (j,)): float(x[i - 1] @ x[j - 1]) for i in range(1, nodes + 1) for j in range(1, nodes + 1)}
    constants = program.program.constant_values()
    run = Recursion(derivation, constants, {"L": depth, "B": nodes}, gram, {"G": g}, outputs)
    for shown, answer in zip(program.program.shows, derivation.answers, strict=True):
        line = shown.lines[int(np.ravel_multi_index([o - 1 for o in outputs], shown.shape))]
        expected = evaluate_law(law, [line])
        assert run.answer(answer.entries[0][1]) == pytest.approx(expected.value[0], rel=1e-9)


BACKWARDS = """
const T = 3
width n
data X[N, T, d] = sphere(2, 3, 6, seed=2)
network f(xi[T, d]):
    param V : [n, d] ~ N(0, 1 / d)
    param R : [n, n] ~ N(0, 1 / n)
    c[1] = tanh(V @ xi[T])
    for s in 2..T:
        c[s] = tanh(R @ c[s-1] + V @ xi[T+1-s])
    param w : [1, n] ~ N(0, 1 / n)
    return w @ sum(c[s] for s in 1..T) / T
show nngp(f, X)
"""
BOTH_WAYS = BACKWARDS.replace("    param w", """    param Q : [n, n] ~ N(0, 1 / n)
    param U : [n, d] ~ N(0, 2 / d)
    h[1] = tanh(U @ xi[1])
    for t in 2..T:
        h[t] = tanh(Q @ h[t-1] + U @ xi[t])
    param w""").replace("sum(c[s] for s in 1..T)", "sum(c[s] + h[s] for s in 1..T)")  # fmt: skip


@pytest.mark.parametrize("text", [BACKWARDS, BOTH_WAYS], ids=["backwards", "both ways"])
@pytest.mark.parametrize("steps", [2, 3, 6])
def test_recursions_hold_where_data_are_read_backwards(text, steps):
    x = np.random.default_rng(steps).standard_normal((2, steps, 6))
    text = text.replace("const T = 3\n", "")
    program = tpl.loads(text, data={"X": x})
    derivation = tpl.loads(text).derive().derivation
    assert not derivation.specialised
    assert len(derivation.rules) <= 9
    gram = {
        (i + 1, (s + 1,), j + 1, (t + 1,)): float(x[i, s] @ x[j, t]) for i, s, j, t in np.ndindex(2, steps, 2, steps)
    }
    run = Recursion(derivation, program.program.constant_values(), {"T": steps}, gram)
    (shown,), (answer,) = program.program.shows, derivation.answers
    expected = evaluate_law(Law(program.program), [shown.lines[1]])
    assert run.answer(answer.entries[0][1]) == pytest.approx(expected.value[0], rel=1e-9)


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
    assert "stated for" not in str(tpl.load("resnet").derive())


ANGLES = """
const a = 2
width n
random g : [n] ~ N(0, 1)
random h : [n] ~ N(0, 1)
v = g / 2 + sqrt(3) / 2 * h
show avg(relu(g) * relu(v)), avg(step(g) * step(v)), avg(relu(a*g)^2)
"""


COUNTED = """
const L = 3
const a = [0.5, 0.3, 0.2]
width n
data X[N, d] = angles(0, 1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    x[0] = U @ xi
    for l in 1..L:
        param W[l] : [n, n] ~ N(0, 1 / n)
        x[l] = x[l-1] + W[l] @ relu(x[l-1]) / l
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[L]
show nngp(f, X), ntk(f, X)
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("/ l", "/ l", "Z^v/3"),
        ("/ l", "* a[l]", "Z^v · 0.2"),
        ("N(0, 1 / n)\n        x", "N(0, l / n)\n        x", "σ² E[relu("),
        ("relu(x[l-1]) / l", "avg(x[j] for j in 0..l-1)", "/l"),
        ("relu(x[l-1]) / l", "((l mod 2) * x[l-1])", "l mod 2"),
    ],
)
def test_an_index_that_is_a_number_makes_no_recursion(old, new, said):
    """Of loops run longer than the user's, the equations would hold for no length: they are stated for the user's."""
    report = tpl.loads(COUNTED.replace(old, new)).derive()
    assert isinstance(report, ExplanationReport)
    assert said in str(report)
    with pytest.raises(TplError, match=r"`l` on line 1[0-2] is a number there"):
        tpl.loads(COUNTED.replace(old, new)).phase()


def test_numbers_at_given_angles_are_exact():
    text = str(tpl.loads(ANGLES).derive())
    assert "avg(relu(g) * relu(v)) = 1/6 + √3/(4 π)\n" in text
    assert "avg(step(g) * step(v)) = 1/3\n" in text
    assert "avg(relu(a*g)^2) = a²/2 = 2\n" in text


def test_what_has_no_short_recursion_is_stated_for_random_variables():
    for name in ("batchnorm_mlp", "batchnorm_batches", "lstm", "gru", "resnet_post"):
        assert isinstance(derived(name), ExplanationReport)
    for name in ("rnn", "transformer", "graphconv"):
        assert isinstance(derived(name), DerivationReport)


ONE_SEQUENCE = """
width n
data X[T, d] = sphere(4, 5, seed=0)
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    x[1] = relu(U @ xi[1])
    for t in 2..T: x[t] = relu(W @ x[t-1] + U @ xi[t])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[t] for t in 1..T
show nngp(f, X)
"""


def test_outputs_that_are_not_alike_stand_for_themselves():
    assert "a and b are any two outputs" in str(derived("graphconv"))
    assert "a and b" not in str(tpl.loads(ONE_SEQUENCE).derive())


POSITIONS = """
width n
data X[N, T, d] = sphere(2, 3, 5, seed=0)
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    x[1] = relu(U @ xi[1])
    for t in 2..T: x[t] = relu(W @ x[t-1] + U @ xi[t])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[t] for t in 1..T
"""


@pytest.mark.parametrize(
    ("shown", "equations"),
    [
        (
            "nngp(f, X)",
            ["NNGP(ξ, ξ′) [T, T] = K_x^T(ξ, ξ′)", "K_h^t(ξ, ξ′) = ⟨ξ_t, ξ′_t⟩/d + K_x^{t−1}(ξ, ξ′),   t = 2..T"],
        ),
        ("nngp(f, X)[1, T, 2, T]", ["nngp(f, X)[1, T, 2, T] = K_x^T(ξ, ξ′)", "K_h^t(ξ, ξ′) = ⟨ξ_t, ξ′_t⟩/d +"]),
        ("nngp(f, X)[1, 3, 2, 1]", ["nngp(f, X)[1, 3, 2, 1] = K_x^{3,1}(ξ, ξ′)", "K_h^{3,1}(ξ, ξ′) = ⟨ξ_3, ξ′_1⟩/d"]),
    ],
)
def test_kernels_across_output_positions(shown, equations):
    """Of a whole kernel the last outputs, and that is said; entries asked for are those of two generic inputs."""
    text = str(tpl.loads(POSITIONS + f"show {shown}").derive())
    assert all(x in text for x in equations), text


def test_of_what_is_stated_for_five_steps_the_loops_are_named():
    text = BACKWARDS.replace("+ V @ xi[T+1-s]", "+ V @ xi[s] + V @ xi[T+1-s]")
    assert "everything is stated for 5 steps (T = 5)" in str(tpl.loads(text).derive())


UNFOLDED = """
const L = 3
width n
data X[N, d] = angles(0, 1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    h[0] = U @ xi
    for l in 1..L:
        param W[l] : [n, n] ~ N(0, 1 / n)
        h[l] = W[l] @ tanh(h[l-1])
    g[0] = h[L]
    for l in 1..L:
        param V[l] : [n, n] ~ N(0, 1 / n)
        g[l] = V[l] @ tanh(g[l-1]) + h[L-l]
    param v : [1, n] ~ N(0, 1 / n)
    return v @ g[L]
show nngp(f, X)
"""


def test_depth_has_no_map_where_an_index_runs_against_the_loop():
    """The way up of a U adds the layers of the way down, last ones first: no map from one of its layers to the next."""
    program = tpl.loads(UNFOLDED)
    assert "K_h^{L−l}(ξ, ξ′)" in str(program.derive())
    assert program.phase().kernel == "h"
