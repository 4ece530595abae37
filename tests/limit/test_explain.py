"""Accounts of limits against the law: every equation holds, every reason is a reason."""

import functools

import numpy as np
import pytest

import tpl
from tests.limit.formula_oracle import POINTS, Oracle
from tpl.core.elaborate import Limits
from tpl.limit.account import PROGRAM, SHOWN
from tpl.limit.context import Context
from tpl.limit.derive import _symbolic_dot, plan_generic
from tpl.limit.explain import explain, z_form
from tpl.limit.law import Law
from tpl.limit.verdicts import is_zero, vectors_only, verdicts
from tpl.numeric.evaluate import evaluate_law
from tpl.pipeline import compile_program

NETWORKS = ["mlp", "mlp_erf", "resnet", "layernorm_mlp", "rnn", "attention", "conv1d", "batchnorm_mlp"]
GATED = [
    "lstm",
    "gru",
    "resnet_post",
    "resnet_pre",
    "batchnorm_batches",
    "conv2d",
    "graphconv",
    "transformer",
    "autoencoder",
    "deq",
]  # whose law takes long in numbers
BARE = ["transpose_correction", "semicircle", "marchenko_pastur", "freeness", "amp_spiked"]


TIED = """
width n
width m = 3 * n
data X[N, d] = sphere(3, 5, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [m, n] ~ N(0, 2 / n)
    param b : [m] ~ N(0, 0.25)
    x = erf(U @ xi)
    a = W @ x + b
    y = tanh(W.T @ erf(a)) + x
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, n] ~ N(0, 0.5 / n)
    return v @ y - 0.5 * (w @ tanh(x)) + v @ x
show nngp(f, X)
show ntk(f, X)
"""

RETURNED = """
const r = 3/2
width n
width m = 2 * r * n
data X[N, d] = sphere(3, 5, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param A : [m, n] ~ N(0, 2 / n)
    param B : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, m] ~ N(0, 2 / m)
    x = erf(U @ xi)
    return w @ tanh(A @ x) / 2 + v @ (B @ x) + v @ x
show nngp(f, X)
show ntk(f, X)
"""
AGAIN = """
const L = 3
width n
data X[N, d] = sphere(3, 5, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    for l in 1..L: param W[l] : [n, n] ~ N(0, 2 / n)
    x[0] = U @ xi
    for l in 1..L: x[l] = erf(W[l] @ x[l-1])
    y[L] = x[L]
    for l in 1..L: y[L-l] = erf(W[L+1-l] @ y[L-l+1]) + x[L-l]
    z[1] = y[0]
    for l in 2..L: z[l] = erf(W[l-1] @ z[l-1])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ z[L]
show nngp(f, X)
show ntk(f, X)
"""

BACKWARD = """
width n
data X[N, T, d] = sphere(2, 3, 5, seed=2)
network f(xi[T, d]):
    param V : [n, d] ~ N(0, 1 / d)
    param R : [n, n] ~ N(0, 1 / n)
    param b : [n] ~ N(0, 0.2)
    c[T] = erf(V @ xi[T])
    for s in 1..T-1: c[T-s] = erf(R @ c[T-s+1] + V @ xi[T-s] + b)
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, n] ~ N(0, 3 / n)
    for t in 1..T: param u[t] : [1, n] ~ N(0, 1 / n)
    return avg(w @ c[t] for t in 1..T) + (v @ avg(c[t] for t in 1..T) - w @ c[1]) / 2 + sum(t * (u[t] @ c[t]) for t in 1..T)
show nngp(f, X)
show ntk(f, X)
"""

TEXTS = {"tied": TIED, "returned": RETURNED, "again": AGAIN, "backward": BACKWARD}


def arguments(name, settings=()):
    """program, file, source, plan."""
    program = tpl.loads(TEXTS[name]) if name in TEXTS else tpl.load(name, settings=settings)
    compiled = program._compiled
    plan = plan_generic(compiled.file, {n: x.array.shape for n, x in compiled.inputs.items()})
    if plan is None:
        return compiled.program, compiled.file, program.source, None
    made = compile_program(
        program.source, plan.data, [*settings, *plan.settings], Limits(), plan.rows, generic_entries=plan.entries
    )
    return made.program, made.file, program.source, plan


@functools.cache
def oracle(name):
    program, file, source, plan = arguments(name)
    context = Context(program, file, source, plan, None)
    account = explain(program, file, source, plan)
    made = Oracle(context, plan, file)
    for x in context.statements:  # x[0] = v has no line of its own
        if x.value is not None and x.target is not None and x.value.op == "name" and x.kind == "vector":
            for env in made.clauses(x.clauses, {}):
                place = tuple(made.index(a, env) for a in x.target.args)
                made.aliases[x.target.text, place] = (x.value, env)
    return made, account, program, plan


@pytest.mark.parametrize("name", [*NETWORKS, *GATED, *BARE, *TEXTS])
def test_equations_between_zs_hold_at_every_index(name):
    """Both sides of every `Z = …`, forward and backward, agree wherever the entry says that it holds."""
    made, account, _, _ = oracle(name)
    checked = 0
    for entry in account.entries:
        made.circle = tuple(c.args[0].text for c in entry.clauses if c.op == "mod")
        clauses = [c for c in entry.clauses if c.op == "clause"]
        for equation in entry.becomes:
            if entry.section == SHOWN or equation.op != "eq" or equation.args[0].op != "Z":
                continue
            for env in made.clauses(clauses, {}):
                left, right = (made.values(made.expr(side, env)) for side in equation.args)
                np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12, err_msg=f"{entry.where} {env}")
                checked += 1
    assert checked >= {"transpose_correction": 3}.get(name, 4)


@pytest.mark.parametrize("name", [*NETWORKS[:-1], "resnet_pre", "deq", *TEXTS])
def test_kernels_over_zs_are_the_kernels(name):
    """NNGP and NTK as sums of E[Z Z′] have the values of the shows' core lines."""
    made, account, program, plan = oracle(name)
    law = Law(program, dot=lambda a, b: _symbolic_dot(plan.rows, a, b))
    made.circle = ()
    for entry, shown in zip([e for e in account.entries if e.section == SHOWN], program.shows, strict=True):
        (equation,) = entry.becomes
        value, error = made.number(made.expr(equation.args[1], {}))
        truth = evaluate_law(law, [shown.lines[1]])
        tolerance = 4 * (error + truth.error[0]) + 1e-9 * abs(truth.value[0])
        assert abs(value - truth.value[0]) <= tolerance, shown.name


@pytest.mark.parametrize("name", NETWORKS)
def test_covariances_of_sums_are_those_of_the_law(name):
    made, account, _, _ = oracle(name)
    for entry in account.entries:
        for equation in entry.becomes:
            if entry.section != PROGRAM or equation.op != "eq" or equation.args[0].op != "cov":
                continue
            letters = [c.args[0].text for c in entry.clauses]
            envs = list(made.clauses(entry.clauses, {}))
            for env in envs[:: max(1, len(envs) // 3)]:
                other = envs[-1]
                both = {**env, **{x + "′": other[x] for x in letters}}
                both |= made_up_letters(equation, made)
                first, second = (made.expr(z, both) for z in equation.args[0].args)
                truth = made.law.calculus.expect_product(first, second)
                value = made.number(made.expr(equation.args[1], both))
                exact = made.number(tpl_from(truth))
                assert abs(value[0] - exact[0]) <= 4 * (value[1] + exact[1]) + 1e-9 * abs(exact[0]), entry.text


def made_up_letters(equation, made):
    """Letters of inner sums that a covariance of one product leaves free, at one value."""
    from tpl.limit.formula import letters_of

    return dict.fromkeys(letters_of(equation) & {"k"}, 0)


def tpl_from(value):
    import sympy

    from tpl.limit.algebra import from_sympy

    return from_sympy(sympy.sympify(value))


@pytest.mark.parametrize("name", [*NETWORKS, *BARE, "amp"])
def test_reasons_are_reasons(name):
    """What is called odd changes sign with what it is said to be odd in; what is called independent does not vary."""
    program, file, source, plan = arguments(name)
    context = Context(program, file, source, plan, None)
    made, rng = Oracle(context, plan, file), np.random.default_rng(0)
    law, seen = context.law, set()
    for verdict in context.verdicts.values():
        seen.add(verdict.reason)
        x = law.z[law.program.lines[verdict.line].args[1]]
        if verdict.reason == "zero":
            assert not np.any(made.values(x))
        if verdict.reason == "kept":
            assert verdict.terms == law.corrections[verdict.line] != ()
        else:
            assert not law.corrections.get(verdict.line)
        if verdict.reason == "odd":
            before = made.values(x)
            named = [i for i, leaf in enumerate(law.calculus.leaves) if leaf.line in verdict.flipped]
            flipped = {base for i in named for base in law.calculus.base_form(i)} & made.leaves.keys()
            for i in flipped:
                made.leaves[i] = -made.leaves[i]
            np.testing.assert_allclose(made.values(x), -before, rtol=1e-12)
            leaves = [law.leaf_of(p) for p in verdict.relevant]
            assert all(law.calculus.covariance(i, j) == 0 for i in flipped for j in leaves)
        if verdict.reason == "independent":
            before = made.values(x).copy()
            for p in verdict.opposite:
                made.leaves[law.leaf_of(p)] = rng.standard_normal(POINTS)
            np.testing.assert_array_equal(made.values(x), before)
    kept = ("semicircle", "amp", "amp_spiked", "freeness", "transpose_correction")
    expected = "zero" if name == "attention" else "kept" if name in kept else "odd"
    assert expected in seen or name == "marchenko_pastur"


def test_scalars_that_only_kernels_need_are_dropped():
    program, _, _, _ = arguments("batchnorm_mlp")
    small = vectors_only(program)
    assert len(small.lines) < len(program.lines) / 4
    assert [x.name for x in small.lines if x.op in ("matmul", "gaussian", "input")] == [
        x.name for x in program.lines if x.op in ("matmul", "gaussian", "input")
    ]


def test_attention_scores_have_no_gradient():
    program, *_ = arguments("attention")
    law = Law(vectors_only(program))
    names = [(i, x.name) for i, x in enumerate(law.program.lines) if x.name.startswith(("ds[", "dk["))]
    assert len(names) > 20
    assert all(is_zero(law, i) for i, _ in names)


def amp(settings):
    from tpl.stages.derive import law_numbers

    return explain(*arguments("amp", ["steps=3", *settings]), law_numbers)


def test_onsager_term_cancels_the_correction():
    """Bayati & Montanari 2011: with it r = x0 + noise, exactly; without it not."""
    entry = next(e for e in amp([]).entries if e.text.startswith("r[t+1]"))
    lines = [b for b in entry.becomes if b.op == "eq" and b.args[0].text == "" and b.args[0].args[0].op == "name"]
    left = [b for b in lines if b.args[0].args[0].args[0].op == "number"]  # r[2] and r[3], not r[t+1]
    assert len(left) == 2
    for equation in left:
        signal, noise = equation.args[1].args
        assert noise.text == "hat"
        assert signal.args[1].args[0].text == "x0" if signal.op == "mul" else signal.args[0].text == "x0"
    line = next(e for e in amp([]).entries if e.text.startswith("z[t+1]"))
    assert any("cancel" in str(s) for s in line.why)
    without = next(e for e in amp(["onsager(b, z)=0*z"]).entries if e.text.startswith("z[t+1]"))
    assert not any("cancel" in str(s) for s in without.why)


def test_z_form_is_the_equations_alone():
    entries = z_form(*arguments("mlp"))
    assert [e.where for e in entries if e.section == PROGRAM] == [f"line {n}" for n in (21, 22, 25, 26, 27, 28)]
    assert all(e.becomes for e in entries)


ODD = {
    "alias and nested product": """
width n
random A : [n, n] ~ N(0, 1 / n)
random v : [n] ~ N(0, 1)
x = v
y = A @ tanh(A.T @ (A @ x))
show avg(y * x)
""",
    "sparse indices, shifted names": """
width n
random W : [n, n] ~ N(0, 1 / n)
random u : [n] ~ N(1, 4)
h[3] = u
for k in 3..5:
    h[k+1] = relu(W @ h[k]) + 0.5 * h[k]
show avg(h[k]) for k in 4..6
""",
    "zero inputs and zero variance": """
const s = 0
width n
random W : [n, n] ~ N(0, s / n)
random x : [n] ~ N(0, 0)
y = W @ x + x
show avg(y^2)
""",
    "matrices of networks with two uses": """
width n
data X[N, d] = sphere(3, 5, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    a = W @ tanh(U @ xi)
    b = 2 * (W.T @ tanh(a)) - a
    param v : [1, n] ~ N(0, 1 / n)
    return v @ b
show nngp(f, X)
show ntk(f, X)
""",
    "joint draws": """
width n
random (g, h) : [n] ~ N(0, [[1, 0.5], [0.5, 1]])
show avg(g * h)
""",
    "two widths": """
width n
width m = 3 * n
random A : [m, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1e-12)
y = A.T @ sign(A @ x)
show avg(y * x), avg(y^2)
""",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_programs_have_accounts(text):
    report = tpl.loads(text).explain()
    for form in (str(report), report.latex(), report.markdown(), report.html()):
        assert "show" in form
    assert all(len(line) < 400 for line in str(report).splitlines())


def test_verdicts_name_earlier_products_only():
    program, *_ = arguments("semicircle")
    law = Law(program)
    for line, verdict in verdicts(law).items():
        assert all(p < line for p in (*verdict.opposite, *verdict.relevant))
