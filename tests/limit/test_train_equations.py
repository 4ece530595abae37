"""The equations of training against a network that is trained: equal to rounding, at every step, layer and input."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tpl
from tests.limit.train_oracle import Equations, Network
from tpl.core.expr import ZERO
from tpl.language.source import TplError
from tpl.limit.law import Law
from tpl.limit.train_generic import generic_kernels, generic_training
from tpl.limit.verdicts import keep_lines
from tpl.numeric.evaluate import evaluate_law
from tpl.sampling.train import TrainOptions
from tpl.sampling.train_kernel import train_kernel
from tpl.stages.derive import account_of_training, explain_training

GOLDEN = Path(__file__).parent / "golden"

MLP = """
const L = 3
const sigma_w = 1.5
def phi(z) = tanh(z)
width n
data X[N, d] = sphere(4, 5, seed=0)
data Xt[M, d] = sphere(2, 5, seed=3)
data y[N] = [1, -1, 0.5, -0.5]
network f(xi[d]):
    param W[1] : [n, d] ~ N(0, sigma_w^2 / d)
    param b[1] : [n] ~ N(0, 0.3)
    h[1] = W[1] @ xi + b[1]
    for l in 2..L:
        param W[l] : [n, n] ~ N(0, sigma_w^2 / n)
        param b[l] : [n] ~ N(0, 0.2)
        h[l] = W[l] @ phi(h[l-1]) + b[l]
    param v : [1, n] ~ N(0, 2 / n)
    param c : [1] ~ N(0, 0.5)
    return v @ phi(h[L]) + c
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    SETTINGS
    steps = 4
    test = [Xt]
show f
"""
RNN = """
width n
data X[N, T, d] = gaussian(3, 4, 2, seed=1)
data y[N] = [1, -1, 1]
network f(xi[T, d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1.5 / n)
    param b : [n] ~ N(0, 0.1)
    x[1] = erf(U @ xi[1] + b)
    for t in 2..T:
        x[t] = erf(W @ x[t-1] + U @ xi[t] + b)
    param v : [1, n] ~ N(0, 1 / n)
    return v @ sum(x[t] for t in 1..T) / T
train f on X, y:
    parametrization = mup
    loss = logistic(f, y)
    rate = 0.7 / (1 + t / 2)
    steps = 3
show f
"""
READOUTS = """
width n
width m = 3 * n
data X[N, d] = sphere(3, 5, seed=1)
data y[N] = [1, -1, 0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [m, n] ~ N(0, 2 / n)
    param b : [m] ~ N(0, 0.25)
    x = erf(U @ xi)
    a = W @ x + b
    z = tanh(W.T @ erf(a) / 2) + x
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, m] ~ N(0, 0.5 / m)
    return v @ z - 0.5 * (w @ tanh(a)) + v @ x
train f on X, y:
    parametrization = mup
    loss = (f - y)^4
    rate = 0.1
    weight_decay = 0.3
    steps = 3
show f
"""
NORMED = """
width n
data X[N, d] = sphere(3, 5, seed=1)
data y[N] = [1, -1, 0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    x = tanh(U @ xi)
    q = avg(x^2)
    h = W @ (x / sqrt(q + 0.1))
    param v : [1, n] ~ N(0, 1 / n)
    return v @ tanh(h)
train f on X, y:
    parametrization = mup
    loss = squared(f, y)
    rate = 0.5
    steps = 3
show f
"""
CLASSES = """
width n
data X[N, d] = sphere(3, 5, seed=1)
data y[N] = [0, 1, 2]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    h = W @ tanh(U @ xi)
    param v : [3, n] ~ N(0, 1 / n)
    param c : [3] ~ N(0, 1)
    return v @ tanh(h) + c
train f on X, y:
    parametrization = mup
    loss = cross_entropy(f, y)
    rate = 0.5
    momentum = 0.5
    steps = 3
show f
"""
OWN = """
width n
data X[N, d] = sphere(3, 5, seed=1)
data y[N] = [1, -1, 0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d) rate 2 * n
    param W : [n, n] ~ N(0, 1 / n) rate 0.5
    param A : [n, n] ~ N(0, 1 / n^2) rate 1
    param B : [n, n] ~ N(0, 1 / n) rate 1 / n
    h = W @ tanh(U @ xi)
    g = A @ tanh(h) + B @ tanh(h)
    param v : [1, n] ~ N(0, 0) rate 3 / n
    return v @ (tanh(g) + h)
train f on X, y:
    loss = squared(f, y)
    rate = 0.5
    weight_decay = 0.1
    steps = 4
show f
"""
SETTINGS = {
    "plain": "rate = 0.5",
    "momentum": "rate = 0.4\n    momentum = 0.8",
    "decay": "rate = 0.4\n    weight_decay = 0.2",
    "both": "rate = 0.4 / (1 + t)\n    momentum = 0.5 * t / (t + 1)\n    weight_decay = 0.2\n    batch = 3",
}
TEXTS = {f"mlp {k}": MLP.replace("SETTINGS", v) for k, v in SETTINGS.items()} | {
    "rnn": RNN, "readouts": READOUTS, "normed": NORMED, "own": OWN, "classes": CLASSES,
}  # fmt: skip
VECTORS = {
    "mlp": ["h"],
    "rnn": ["x"],
    "readouts": ["x", "a", "z"],
    "normed": ["x", "h"],
    "own": ["h", "g"],
    "classes": ["h"],
}


def accounted(name):
    program = tpl.loads(TEXTS[name])
    compiled = program._compiled
    training = compiled.program.training
    account = explain_training(program.limits, compiled).account
    points = [x for k in ("X", "Xt") if k in compiled.inputs for x in compiled.inputs[k].array]
    return account, training, points, compiled.inputs["y"].array


@pytest.mark.parametrize("name", TEXTS)
def test_equations_are_what_training_does_to_a_network(name):
    account, training, points, targets = accounted(name)
    network = Network(training, 7)
    steps = training.schedule.steps
    truth = network.run(steps)
    made = Equations(account, network, points, targets)
    checked = 0
    for i, line in enumerate(training.program.lines):
        base, _, label = line.name.partition("{")
        base, _, index = base.rstrip("]").partition("[")
        if base not in VECTORS[name.split()[0]] or not label.startswith("X"):
            continue
        which, _, number = label.rstrip("]}").partition("[")
        point = int(number) - 1 + (len(training.examples) if which == "Xt" else 0)
        indices = tuple(int(x) for x in index.split(",")) if index else ()
        for t in range(steps + 1):
            found = made.at(base, t, point, indices)
            np.testing.assert_allclose(found, truth[t][i], rtol=1e-10, atol=1e-12, err_msg=f"{line.name} after {t}")
            checked += 1
    for point, example in enumerate((*training.examples, *training.tests)):
        for j, i in enumerate(example.outputs.ravel()):
            row = (j + 1,) if example.outputs.size > 1 else ()
            for t in range(steps + 1):
                assert made.output("f", t, point, row) == pytest.approx(truth[t][i], rel=1e-10, abs=1e-12)
    assert checked >= len(training.examples) * (steps + 1)
    assert (
        np.abs(truth[steps][training.examples[0].outputs[0, 0]] - truth[0][training.examples[0].outputs[0, 0]]) > 1e-3
    )


KERNEL = """
const L = 3
const sigma_w = 1.4
const sigma_b = 0.3
def phi(z) = erf(z)
width n
width m = 2 * n
data X[N, d] = sphere(4, 5, seed=0)
data y[N] = [1, -1, 0.5, -0.5]
network f(xi[d]):
    param W[1] : [n, d] ~ N(0, sigma_w^2 / d)
    param b[1] : [n] ~ N(0, sigma_b^2)
    h[1] = W[1] @ xi + b[1]
    for l in 2..L:
        param W[l] : [n, n] ~ N(0, sigma_w^2 / n)
        param b[l] : [n] ~ N(0, sigma_b^2)
        h[l] = W[l] @ phi(h[l-1]) + b[l]
    param A : [m, n] ~ N(0, 1.5 / n)
    param v : [1, m] ~ N(0, 1 / m)
    param c : [1] ~ N(0, 0.5)
    return v @ phi(A @ phi(h[L])) + c
train f on X, y:
    parametrization = ntp
    loss = (f - y)^4
    rate = 0.02 / (1 + t)
    momentum = 0.5
    batch = 3
    steps = 5
    record = 1
show loss
"""
OWN_KERNEL = """
const sigma_b = 0.3
width n
data X[N, d] = sphere(3, 5, seed=0)
data y[N] = [1, -1, 0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d) rate 3
    param b : [n] ~ N(0, sigma_b^2) rate 0.5
    param W : [n, n] ~ N(0, 2 / n) rate 4 / n
    param B : [n, n] ~ N(0, 1 / n^2) rate 1 / n^2
    h = W @ erf(U @ xi + b) + B @ erf(U @ xi)
    param v : [1, n] ~ N(0, 1 / n) rate 0.2 / n
    return v @ erf(h)
train f on X, y:
    loss = (f - y)^2 / 2
    rate = 0.3
    steps = 5
    record = 1
show loss
"""
KERNELS = {
    "ntp": KERNEL, "sp": KERNEL.replace("= ntp", "= sp"), "own": OWN_KERNEL, "zero": KERNEL.replace("batch = 3", "start = zero"),
}  # fmt: skip


def kernels_of(name):
    """The generic program of a kernel regime, and the same text compiled on its inputs."""
    program = tpl.loads(KERNELS[name])
    compiled = program._compiled
    shapes = {k: x.array.shape for k, x in compiled.inputs.items()}
    made = generic_kernels(
        compiled.program.training, compiled.file, program.source, shapes, program.limits, name_all=True
    )
    settings = ["L=5"] if "const L" in KERNELS[name] else []
    text = KERNELS[name].replace("batch = 3", "batch = 2")
    return made, tpl.loads(text, data=made.plan.data, settings=settings)._compiled.program.training


def started(training):
    """The training's program with initial values that vanish in the limit put to 0."""
    gone = {i for p in training.parameters if training.regime.role(p.name).init != 0 for i in p.lines}
    lines = [replace(x, expr=ZERO) if i in gone else x for i, x in enumerate(training.program.lines)]
    return replace(training.program, lines=tuple(lines))


@pytest.mark.parametrize("name", ["ntp", "sp", "own"])
def test_kernels_are_those_of_the_training(name):
    """Θ and the covariance of f_0, derived for generic inputs, have the values of the training's own core lines."""
    made, training = kernels_of(name)
    derived = Law(made.program)
    for shown, lines in zip(made.program.shows, (training.kernels.nngp, training.kernels.tangent), strict=True):
        wanted = [int(lines[0, 1]), int(lines[0, 0])]
        needed = set(wanted)
        for i in range(max(wanted), -1, -1):
            if i in needed:
                needed |= set(training.program.lines[i].args)
        kept = sorted(needed)
        law = Law(keep_lines(started(training), kept))
        truth = evaluate_law(law, [kept.index(i) for i in wanted])
        found = evaluate_law(derived, [shown.lines[1], shown.lines[0]])
        assert found.value == pytest.approx(truth.value, rel=1e-6), shown.name
        assert np.all(np.abs(truth.value) > 0.01)


@pytest.mark.parametrize("name", ["ntp", "own", "zero"])
def test_outputs_follow_the_kernel_as_stated(name):
    """The equations for f, with a sampled Θ and f_0 put in, give the outputs that `tpl train` finds."""
    program = tpl.loads(KERNELS[name])
    training = program._compiled.program.training
    run = train_kernel(training, TrainOptions(64, False, "lazy", 1e-3, 0))
    count = len(training.examples)
    tangent, f = run["tangent"][0].reshape(count, count), run["f"]
    account = account_of_training(program.limits, program._compiled)[1]
    made = Following(account, Network(training, 2), program)
    made.tangent, made.first = tangent, f[0]
    for t in range(training.schedule.steps + 1):
        for a in range(count):
            assert made.output("f", t, a) == pytest.approx(f[t, a], rel=1e-9, abs=1e-12)
    assert np.abs(f[-1] - f[0]).max() > 1e-3


class Following(Equations):
    """Equations of outputs, with a kernel of numbers."""

    def __init__(self, account, network, program):
        inputs = program._compiled.inputs
        super().__init__(account, network, inputs["X"].array, inputs["y"].array)

    def looked_up(self, node, env):
        if node.text == "f" and self.index(node.step, env) == 0:
            return self.first[env["@"] if "_" not in node.input else self.point(node.input, env)]
        return super().looked_up(node, env)

    def _call(self, node, env):
        if node.text != "NTK":
            return super()._call(node, env)
        return self.tangent[tuple(self.point(a.input, env) for a in node.args)]


GOLDENS = {"train_mup": TEXTS["mlp both"], "train_sp": KERNELS["sp"]}


@pytest.mark.parametrize("name", GOLDENS)
def test_golden(name, request):
    path = GOLDEN / f"{name}.txt"
    text = str(tpl.loads(GOLDENS[name]).derive())
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [TEXTS["mlp both"], TEXTS["classes"], KERNELS["sp"]])
def test_documents_are_whole(text):
    """LaTeX with its braces in pairs and no letter that pdflatex does not know; HTML and Markdown with the same entries."""
    program = tpl.loads(text)
    for report in (program.derive(), program.explain()):
        latex, page, markdown = report.latex(), report.html(), report.markdown()
        assert latex.count("{") == latex.count("}")
        assert latex.isascii()
        assert latex.rstrip().endswith(r"\end{document}")
        for written in (latex, page, markdown):
            assert "The training" in written
        assert len(re.findall("<math", page)) == len(re.findall("</math>", page)) > 10


def test_an_unstable_training_is_refused_with_reasons():
    text = TEXTS["mlp plain"].replace("= mup", "= abc(a=[0, 0, 0], b=[0, 1/2, 1/2], c=0)")
    with pytest.raises(TplError, match="has no limit"):
        tpl.loads(text).derive()


def test_networks_that_take_all_inputs_at_once_are_refused():
    text = TEXTS["normed"].replace("network f(xi[d])", "network f(xi[N, d])").replace("U @ xi", "U @ xi[1]")
    text = text.replace("return v @ tanh(h)", "return v @ tanh(h) for i in 1..N")
    program = tpl.loads(text)
    with pytest.raises(TplError, match="all inputs at once"):
        program.derive()


def test_letters_of_the_user_are_left_alone():
    """A program that uses t, s, b, eta, chi and alpha gets other letters for steps, examples and rates."""
    text = TEXTS["mlp momentum"].replace(
        "const L = 3", "const L = 3\nconst eta = 2\nconst chi = 1\nconst beta = 1\nconst t = 1"
    )
    written = str(tpl.loads(text).explain())
    assert "h_τ^l(ξ)" in written
    assert not re.search("[ηχβ]_", written.split("The training")[1])


def test_structure_does_not_see_what_starts_at_zero():
    """A readout without initial values still seeds a backward pass."""
    compiled = tpl.loads(TEXTS["own"])._compiled
    shapes = {k: x.array.shape for k, x in compiled.inputs.items()}
    made = generic_training(compiled.file, compiled.program.source, shapes, tpl.loads(TEXTS["own"]).limits)
    law = Law(replace(made.program, shows=()))
    adjoint = next(i for i, x in enumerate(made.program.lines) if x.name.startswith("dg"))
    assert law.z[adjoint].op != "number"
