"""The law sweep by sweep agrees with the law written out, with samples of the program, and with itself."""

import numpy as np
import pytest

import tpl
from tpl.core import expr as e
from tpl.core.expr import apply, ref
from tpl.limit.law import Law
from tpl.numeric.affine import Interner, NotAffine, Splitter
from tpl.numeric.evaluate import evaluate_law
from tpl.numeric.families import Sweep, plan_sweeps
from tpl.numeric.family_law import evaluate_families
from tpl.numeric.integrand import values
from tpl.numeric.series import Declined
from tpl.numeric.strategies import Sampling

BATCH_NORM = {"settings": ("L=1", "eps=0.5"), "data": {"X": "sphere:3,5"}}
CASES = {
    "mlp_erf": {},
    "mlp": {"settings": ("L=2",)},
    "graphconv": {},
    "resnet": {"settings": ("L=2",)},
    "batchnorm_mlp": BATCH_NORM,
    "batchnorm_batches": {"settings": ("eps=0.5",), "data": {"X": "sphere:2,2,5"}},
}


def load(name):
    return tpl.load(name, **CASES[name]).program


def shown(program):
    return [line for s in program.shows for line in s.lines]


def by_sweeps(program, **options):
    steps = plan_sweeps(program, shown(program))
    return evaluate_families(program, steps, shown(program), **options)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_law_written_out(name):
    program = load(name)
    found, law = by_sweeps(program), evaluate_law(Law(program), shown(program))
    assert np.all(np.abs(found.value - law.value) <= 4.5 * np.hypot(found.error, law.error))
    assert np.all(found.error < 0.02 * np.abs(law.value).max())
    assert np.any(found.error > 0)


@pytest.mark.parametrize("sampling", [
    Sampling(everything=True), Sampling(everything=True, reduction="antithetic"), Sampling(samples=1 << 14),
], ids=str)  # fmt: skip
def test_all_kinds_of_points_agree(sampling):
    program = load("batchnorm_mlp")
    found, other = by_sweeps(program, seed=1, sampling=sampling), by_sweeps(program)
    assert np.all(np.abs(found.value - other.value) <= 5 * np.hypot(found.error, other.error))


def test_a_precision_is_reached():
    program = load("graphconv")
    found = by_sweeps(program, sampling=Sampling(rtol=4e-4))
    assert np.all(found.error <= 4e-4 * np.abs(found.value).max())
    assert found.error.max() < by_sweeps(program).error.max()


def test_threads_change_no_bit():
    program = load("batchnorm_batches")
    one, two = (by_sweeps(program, sampling=Sampling(threads=t)) for t in (1, 2))
    assert one.value.tobytes() + one.error.tobytes() == two.value.tobytes() + two.error.tobytes()
    assert by_sweeps(program, seed=1).value.tobytes() != one.value.tobytes()


def test_a_batch_of_b_takes_b_squared_functions_for_all_moments_of_gradients():
    program = load("batchnorm_mlp")
    steps = plan_sweeps(program, shown(program))
    gradients = [s for s in steps.steps if isinstance(s, Sweep) and len(s.starts) == 10 and s.blocks]
    assert [(len(s.functions), s.dimensions) for s in gradients] == [(9, 3)]


def test_run_takes_it_where_the_law_is_long():
    program = tpl.load("batchnorm_batches")
    found, sampled = program.run(), program.run(method="sample", seed=1)
    assert all(r.method == "law, quasi-random points" for r in found)
    for a, b in zip(found, sampled, strict=True):
        assert np.all(np.abs(a.value - b.value) <= 6 * np.hypot(a.error, b.error))
        assert np.median(a.error) < np.median(b.error)
    assert {c.method for c in found.plan} == {"exact", "quasi-random points"}
    assert all("distinct functions" in c.reason for c in found.plan if c.method != "exact")


def test_run_takes_it_where_the_law_would_be_sampled_too():
    program = tpl.load("batchnorm_mlp", data={"X": "sphere:4,10"}, settings=("eps=0.1",))
    assert len(program.program.lines) < 1000
    for options in ({}, {"method": "law"}):
        assert {r.method for r in program.run(**options)} == {"law, quasi-random points"}


def test_heavy_tails_are_noted():
    """With two degrees of freedom left, 1/variance has no expectation."""
    program = tpl.load("batchnorm_mlp", data={"X": "sphere:3,5"}, settings=("L=1",)).program
    assert any("doubtful" in note for note in by_sweeps(program).notes)


@pytest.mark.parametrize(("text", "reason"), [
    ("random x : [n] ~ N(0, 1)\ny = W @ x\nz = W.T @ tanh(y)\nshow avg(x * z)", "W and W.T"),
    ("random x : [n] ~ N(0, 1)\ny = W @ tanh(x)\nz = W @ tanh(y)\nshow avg(z * z)", "one after the other"),
])  # fmt: skip
def test_what_is_declined(text, reason):
    program = tpl.loads(f"width n\nrandom W : [n, n] ~ N(0, 1 / n)\n{text}").program
    found = plan_sweeps(program, shown(program))
    assert isinstance(found, Declined)
    assert reason in found.reason


def test_a_jump_where_the_argument_tends_is_declined():
    program = tpl.loads("width n\nrandom x : [n] ~ N(0, 1)\nshow avg(step(avg(x) * x) * x^2)").program
    assert isinstance(by_sweeps(program), Declined)


def test_parts_add_up():
    rng = np.random.default_rng(0)
    u, v, g, h = map(ref, range(4))
    wave = apply("sin", e.mul(u, v))
    inner = e.sub(e.mul(g, wave), e.div(h, e.add(e.ONE, e.mul(u, u))))
    whole = e.add(e.mul(e.number(3), inner, v), e.neg(e.mul(inner, wave)), wave, g)
    intern = Interner()
    parts = Splitter(intern, frozenset({2, 3})).split(intern(whole))
    assert set(parts) == {None, 2, 3}
    points = rng.standard_normal((4, 50))
    total = sum(values(c, points, {}, {}) * (1.0 if i is None else points[i]) for i, c in parts.items())
    np.testing.assert_allclose(total, values(whole, points, {}, {}), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("expr", [
    e.mul(ref(0), ref(1)), apply("tanh", ref(0)), e.div(ref(2), ref(0)), e.power(ref(0), e.number(2)),
], ids=e.show)  # fmt: skip
def test_what_is_not_affine_is_refused(expr):
    intern = Interner()
    with pytest.raises(NotAffine):
        Splitter(intern, frozenset({0, 1})).split(intern(expr))


@pytest.mark.slow
def test_errors_hold_the_truth():
    """value ± 2 error, 95.45%: over seeds and entries, against the law in closed form."""
    program = load("mlp_erf")
    steps, lines = plan_sweeps(program, shown(program)), shown(program)
    truth = evaluate_law(Law(program), lines).value
    runs = [evaluate_families(program, steps, lines, seed, Sampling(samples=1 << 12)) for seed in range(300)]
    hits = np.array([np.abs(r.value - truth) <= 2 * r.error + 1e-14 for r in runs])
    assert 0.93 <= hits.mean() <= 0.975
