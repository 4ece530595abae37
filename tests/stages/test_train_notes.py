"""What is said of a training: that it diverged, what its outputs start as; and what does not move."""

import numpy as np
import pytest

import tpl
from tpl.language.source import TplError
from tpl.stages.train_notes import divergence

PROGRAM = """
width n
data X[N, d] = [[1, 0.5], [0.3, -1]]
data y[N] = [1, -1]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    h = W @ tanh(U @ xi)
    return v @ {readout}(h)
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.5
    steps = 6
show loss, feature_change(h)
"""


def run(settings=(), readout="tanh"):
    return tpl.loads(PROGRAM.format(readout=readout), settings=settings).run(samples=128, replicates=4)


def diverged(found):
    return [x for x in found.notes if x.startswith("training diverged")]


def test_a_training_that_works_has_not_diverged():
    assert not diverged(run())


def test_divergence_is_told():
    (note,) = diverged(run(["rate=1e5"]))
    assert note.startswith("training diverged: at step 6 the loss is ")
    assert note.endswith("; try a smaller `rate`")


@pytest.mark.parametrize(
    ("outputs", "note"),
    [
        ([0, 1, 2, 2.5, 2.9, 2.9, 2.9], None),  # (3.9^2 + 1.9^2) / 4 = 4.7, of 0.5 at the start
        ([0, 1, 9, 1, 1, 1, 1], None),  # far away, and back
        ([0, 9, 1, 1, 9, 9, 19], "at step 6 the loss is 3.6e+02 times what it was at the start, and more than 10 times "
                                 "from step 4 on"),  # (20^2 + 18^2) / 4 = 181
        ([0, 0, 0, 0, 0, 0, 1e200], "at step 6 the loss is beyond all numbers"),
    ],
)  # fmt: skip
def test_the_step_it_begins_at(outputs, note):
    training = tpl.loads(PROGRAM.format(readout="tanh")).program.training
    found = {"f": np.tile(np.array(outputs, float)[None, :, None, None], (3, 1, 2, 1))}
    said = divergence(training, found)
    assert said == ([] if note is None else [f"training diverged: {note}; try a smaller `rate`"])


def test_verification_says_it_too():
    program = tpl.loads(PROGRAM.format(readout="tanh"), settings=["rate=1e5"])
    found = program.verify(widths=[16, 32], seeds=3, samples=64, replicates=3)
    assert diverged(found)


def test_what_is_not_finite_is_refused_with_advice():
    with pytest.raises(TplError) as problem:
        run(["rate=1e60", "steps=40"], readout="relu")
    (found,) = problem.value.diagnostics
    assert "try a smaller rate" in found.hint
    assert "{" not in found.message


def test_at_the_start_nothing_has_changed_at_all():
    found = run()["feature_change(h)"]
    assert (found.value[0], found.error[0]) == (0, 0)
    assert (found.value[1:] > 2 * found.error[1:]).all()


def test_features_that_stand_still_have_not_moved_by_rounding_either():
    found = run(["parametrization=ntp"])["feature_change(h)"]
    assert not found.value.any()
    assert not found.error.any()


@pytest.mark.parametrize(
    ("settings", "told"),
    [(["parametrization=ntp"], True), (["parametrization=ntp", "start=zero"], False), (["parametrization=mup"], False)],
)
def test_a_random_start_is_told_with_the_way_around_it(settings, told):
    found = run(settings)
    notes = [x for x in found.notes if "`start = zero`" in x]
    assert len(notes) == told
    assert (found["loss"].value[0] > 0.55) == told  # the targets alone make 0.5
    assert np.isfinite(found["loss"].value).all()
