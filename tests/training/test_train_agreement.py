"""Training three ways: the sampled limit, finite networks of our interpreter, and the reference trainer in plain numpy."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tpl.sampling.train import TrainingRun, TrainOptions
from tpl.sampling.train_many import Measured

sys.path.insert(0, str(Path(__file__).parent))
import agreement_programs as programs
import reference
from agreement_programs import Case, covering, hidden_weights, other_weights

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
