"""Training three ways: the sampled limit, finite networks of our interpreter, and the reference trainer in plain numpy."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tpl.sampling.agreement import compare
from tpl.sampling.train import TrainingRun, TrainOptions
from tpl.sampling.train_many import Measured, train_many

sys.path.insert(0, str(Path(__file__).parent))
import agreement_programs as programs
import reference
from agreement_programs import (
    COMPARED,
    FULL,
    SMALL,
    Case,
    covering,
    hidden_weights,
    limit_and_networks,
    other_weights,
)

CASES, PAIRS = ([Case(**row) for row in covering(programs.FACTORS, strength)] for strength in (3, 2))


# ---------------------------------------------------------------------------------------------- without statistics


def run_to_end(run):
    with np.errstate(all="ignore"):
        while not run.done:
            run.advance()
    return run.statistics()


def expected(case, training, weights):
    """What the reference trainer has to say about everything that a case shows, by name, [records, ...]."""
    data = case.data()
    tests = (data["Xt"], data["yt"].reshape(case.N, case.k)) if case.tests else None
    records = reference.train(
        case.network(), case.schedule(training), weights, (data["X"], data["y"].reshape(case.N, case.k)),
        tests[0] if tests else None, training.schedule.records,
    )  # fmt: skip
    n = weights["W1"].shape[0]
    first = records[0]
    found = {
        "loss": [r.loss for r in records],
        "f": [r.f for r in records],
        "gram(h[l])": [[h @ h.T / n for h in r.h] for r in records],
        "cross_gram(x[l])": [[x0 @ x.T / n for x0, x in zip(first.x, r.x, strict=True)] for r in records],
        "min_eig(gram(x[L]))": [np.linalg.eigvalsh(r.x[-1] @ r.x[-1].T / n)[0] for r in records],
        "feature_change(h[l])": [
            [np.mean(np.linalg.norm(h - h0, axis=1) / np.linalg.norm(h0, axis=1)) for h0, h in zip(first.h, r.h, strict=True)]
            for r in records
        ],
    }  # fmt: skip
    if tests:
        found["test_f"] = [r.f_others for r in records]
        found["test_loss"] = [reference.LOSSES[case.loss.split()[0]][0](r.f_others, tests[1]).mean() for r in records]
    return {name: np.array(x) for name, x in found.items()}


def same_course(case, options):
    """A run of ours, whose powers of the width are those of a network of width M, against the reference trainer."""
    training = case.training()
    run = TrainingRun(training, options, 0)
    inputs = np.concatenate([x for name, x in case.data().items() if name[0] == "X"])
    stored = options.operator == "dense"
    weights = other_weights(run, inputs) | (hidden_weights(run) if stored else {})
    recorded = {name: x[None] for name, x in run_to_end(run).items()}
    weights |= {} if stored else hidden_weights(run)
    shown = zip(training.shows, Measured(training).single(recorded), strict=True)
    ours = {show.name: values[0] for show, values in shown}
    theirs = expected(case, training, weights)
    assert ours.keys() == theirs.keys()
    traces = np.trace(theirs["gram(h[l])"], axis1=-2, axis2=-1)
    for name, want in theirs.items():
        got, size = ours[name].reshape(want.shape), np.abs(want).max()
        if name.startswith("feature_change"):  # a root of what is computed from Gram matrices
            got, want, size = got**2, want**2, 1.0
        if name.startswith("min_eig"):
            size = traces.max()
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12 * size, err_msg=name)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_stored_networks_follow_the_reference(case):
    same_course(case, TrainOptions(16, True, "dense", seed=5))


@pytest.mark.parametrize("case", PAIRS, ids=lambda c: c.name)
def test_revealed_networks_follow_the_reference(case):
    """A matrix that was revealed product by product is completed at the end: the same network, step by step.

    48 entries a side are more than the run asks for in some cases, and fewer in others.
    """
    same_course(case, TrainOptions(48, True, "lazy", 1e-12, seed=5))


@pytest.mark.parametrize("case", [c for c in PAIRS if c.scale in ("mup", "written")], ids=lambda c: c.name)
def test_the_limit_of_feature_learning_is_the_network_as_wide_as_its_samples(case):
    """Without output biases, which vanish in the limit, no power of the width distinguishes them."""
    case = replace(case, biases=False)
    same_course(case, TrainOptions(48, False, "lazy", 1e-12, seed=5))


@pytest.mark.parametrize("scale", programs.SCALES)
def test_initial_weights_have_the_law_of_the_parametrization(scale):
    """The squares of all entries, over their variances: chi-squared."""
    case = Case(3, "tanh", "squared 3", scale, biases=True)
    inputs = case.data()["X"]
    squares: dict[str, list] = {}
    training = case.training()
    for replicate in range(40):
        run = TrainingRun(training, TrainOptions(32, True, "dense", seed=2), replicate)
        weights = other_weights(run, inputs) | hidden_weights(run)
        laws = reference.laws(case.network(), 32, case.d)
        assert weights.keys() == laws.keys()
        for name, law in laws.items():
            assert weights[name].shape == law.shape
            squares.setdefault(name, []).append(((weights[name] / law.spread) ** 2).ravel())
    for name, found in squares.items():
        values = np.concatenate(found)
        assert abs(values.mean() - 1) < 4.5 * np.sqrt(2 / len(values)), name


@pytest.mark.parametrize("seed", [0, 3])
def test_shuffled_epochs_are_permutations(seed):
    """Five examples, two at a time, twenty steps: eight epochs, each another order of all."""
    case = Case(batch="shuffled", steps=20)
    training = programs.trained(case.text.replace("seed=3", f"seed={seed}"), case.data())
    epochs = training.schedule.batches(5).reshape(8, 5)
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 4


# ---------------------------------------------------------------------------------------------- the limit and networks

QUICK = [COMPARED[i] for i in (0, 4, 7, 10, 14)]
BEYOND = 5.5  # standard errors that a reported value may be off: none of some hundred in a run of 10,000


def check(case, effort, level):
    found = limit_and_networks(case.training(), effort, level)
    wrong = found.agreement.p_corrected < level
    assert not wrong.any(), sorted(set(found.names[wrong]))
    nonlinear = np.array(["loss" in name for name in found.names])
    reported = found.estimates[~nonlinear] if case.scale in ("ntp", "sp") else found.estimates
    assert np.abs(reported).max() < BEYOND


@pytest.mark.parametrize("case", QUICK, ids=lambda c: c.name)
def test_networks_tend_to_the_limit(case):
    check(case, SMALL, 1e-3 / len(QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("case", COMPARED, ids=lambda c: c.name)
def test_more_and_wider_networks_tend_to_the_limit(case):
    check(case, FULL, 1e-3 / len(COMPARED))


@pytest.mark.parametrize("change", [{"rate": "0.36"}, {"momentum": 0.1}, {"activation": "erf"}])
def test_a_limit_of_something_else_is_found_out(change):
    case = COMPARED[0]
    other = replace(case, **change)
    found = limit_and_networks(case.training(), SMALL, 1e-3, limit=other.training())
    assert not found.agreement.agrees


# ---------------------------------------------------------------------------------------------- the kernel regime

WIDTHS = {64: 192, 128: 128, 256: 96, 512: 48, 1024: 24}
STEPS, RATE = 6, 0.3


def power_of_width(sizes):
    """The slope of log sqrt(mean over networks) of squares {n: [networks]} against log n, and its standard error.

    Fitted with a term in 1/n, which is how the leading power is corrected.
    """
    n = np.array(list(sizes), dtype=float)
    means = np.array([x.mean() for x in sizes.values()])
    errors = np.array([x.std(ddof=1) / np.sqrt(len(x)) for x in sizes.values()]) / means / 2
    design = np.stack([np.ones_like(n), np.log(n), n[0] / n], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    return (covariance @ design.T @ (np.log(means) / 2 / errors))[1], np.sqrt(covariance[1, 1])


def kernel_course(f, kernel, y, steps=STEPS):
    """f after some steps of full-batch descent on (f - y)²/2; f [..., N], kernel [..., N, N]."""
    for _ in range(steps):
        f = f - RATE / len(y) * np.einsum("...ij,...j->...i", kernel, f - y)
    return f


@pytest.fixture(scope="module", params=["ntp", "sp"])
def still(request):
    """Networks in the kernel regime: f [networks, 2, N] at the start and the end, feature change [·, L], Θ_0 [·, N, N]."""
    case = Case(3, "tanh", "squared", request.param, N=4, steps=STEPS, record=STEPS,
                shows="f, feature_change(h[l]), tangent_kernel")  # fmt: skip
    training = case.training()
    found = {}
    for n, count in WIDTHS.items():
        networks = train_many(training, TrainOptions(n, True, "lazy" if n > 256 else "dense", 1e-7), count)
        f, change, kernel = Measured(training).single(networks)
        found[n] = f, change[:, -1], kernel[:, 0]
    return case, training, found


@pytest.mark.slow
def test_features_of_a_network_in_the_kernel_regime_move_like_a_power_of_its_width(still):
    """n^{-1/2} in NTP; in SP the first layer moves like n^{-3/2}, for its rate is 1/n as that of the others (r_1 = 3/2)."""
    case, _, found = still
    y = case.data()["y"]
    for layer in range(3):
        sizes = {}
        for n, (f, change, _) in found.items():
            error = ((f[:, 0] - y) ** 2).mean(axis=1)  # what moves them: most of the spread over networks
            sizes[n] = change[:, layer] ** 2 / error
        slope, deviation = power_of_width(sizes)
        assert deviation < 0.1
        assert abs(slope + (1.5 if case.scale == "sp" and layer == 0 else 0.5)) < 4 * deviation


@pytest.mark.slow
def test_outputs_follow_the_tangent_kernel(still):
    """Each network its own at the start, up to O(1/n) (Dyer and Gur-Ari 2019), and that of the limit up to O(n^{-1/2})."""
    case, training, found = still
    y = case.data()["y"]
    limit = train_many(training, TrainOptions(8192, False, "lazy", 1e-3), 16)
    mean = Measured(training).single(limit)[2][:, 0].mean(axis=0)
    for kernel, power in ((None, 1.0), (mean, 0.5)):
        sizes = {}
        for n, (f, _, own) in found.items():
            course = kernel_course(f[:, 0], own if kernel is None else kernel, y)
            sizes[n] = ((f[:, 1] - course) ** 2).mean(axis=1)
        slope, deviation = power_of_width(sizes)
        assert deviation < 0.15
        assert abs(slope + power) < 4 * deviation


def products(f):
    """All products f_a(s) f_b(t), [networks, values]: f [networks, records, N]."""
    flat = f.reshape(len(f), -1)
    rows, columns = np.triu_indices(flat.shape[1])
    return np.concatenate([flat, flat[:, rows] * flat[:, columns]], axis=1)


def reference_outputs(case, n, count, centred=False):
    """f of networks that are drawn and trained without `tpl`, at the start and the end, [networks, 2, N]."""
    data, found = case.data(), []
    schedule = replace(case.schedule(None), centred=centred)
    for seed in range(count):
        weights = reference.draw(case.network(), n, case.d, seed)
        records = reference.train(case.network(), schedule, weights, (data["X"], data["y"][:, None]), record=[0, STEPS])
        found.append([r.f[:, 0] for r in records])
    return np.array(found)


@pytest.mark.parametrize("scale", ["ntp", pytest.param("sp", marks=pytest.mark.slow)])
def test_the_law_of_outputs_in_the_kernel_regime(scale):
    """Not only the means of f over draws of f_0: their covariances, too, between inputs and between steps."""
    case = Case(2, "erf", "squared", scale, N=4, steps=STEPS, record=STEPS, shows="f")
    training = case.training()
    limit = Measured(training).single(train_many(training, TrainOptions(1024, False, "lazy", 1e-3), 400))[0]
    networks = {n: products(reference_outputs(case, n, 300)) for n in (32, 64, 128)}
    found = compare(products(limit), networks, 1024, level=5e-4)
    assert found.agrees


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_outputs_that_start_at_zero(loss):
    """`start = zero` is the limit of networks whose initial outputs are subtracted."""
    case = Case(2, "tanh", loss, "ntp", N=4, steps=STEPS, record=STEPS, shows="f", start="zero")
    training = case.training()
    limit = Measured(training).single(train_many(training, TrainOptions(4096, False, "lazy", 1e-3), 16))[0]
    assert not limit[:, 0].any()
    networks = {n: reference_outputs(case, n, 100, centred=True)[:, 1] for n in (32, 64, 128)}
    assert compare(limit[:, 1], networks, 4096, level=5e-4).agrees
