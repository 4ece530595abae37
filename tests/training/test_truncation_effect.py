"""What rank truncation does to results: measured by companions, reported, and below the smallest eigenvalues."""

import numpy as np
import pytest

from tpl.api import loads
from tpl.sampling.companion import samples_of, truncation_effect
from tpl.sampling.train import TrainOptions, train
from tpl.sampling.train_many import Measured

PROGRAM = """
width n
data X[N, d] = sphere(4, 10, seed=0)
data y[N] = [1, -1, 1, -1]
network f(xi[d]):
    param W[1] : [n, d] ~ N(0, 1 / d)
    h[1] = W[1] @ xi
    x[1] = tanh(h[1])
    for l in 2..3:
        param W[l] : [n, n] ~ N(0, 1 / n)
        h[l] = W[l] @ x[l-1]
        x[l] = tanh(h[l])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[3]
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.5
    steps = 20
    record = 1
show loss, f
show min_eig(joint_gram(h[l])), feature_change(h[l])
"""


def training(*settings):
    return loads(PROGRAM, None, settings)._compiled.program.training


def shown(options):
    what = training()
    found = {name: x[None] for name, x in train(what, options).items()}
    return {show.name: x[0] for show, x in zip(what.shows, Measured(what).single(found), strict=True)}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_revealing_a_stored_matrix_is_multiplying_by_it(dtype):
    stored = shown(TrainOptions(300, False, "dense"))
    revealed = shown(TrainOptions(300, False, "lazy", 1e-9, dtype=dtype, stored=True))
    for name in ("loss", "f"):
        values = stored[name]
        close = {"float64": 1e-9, "float32": 1e-5}[dtype]
        assert revealed[name] == pytest.approx(values, abs=close * max(1.0, np.abs(values).max())), name


def test_the_effect_falls_with_the_tolerance_and_hardly_depends_on_the_samples():
    effects = {}
    for tolerance in (3e-2, 3e-3):
        options = TrainOptions(4096, False, "lazy", tolerance)
        for rank in (60, 250):  # ranks choose the samples
            found = truncation_effect(training("steps=8"), options, rank, 1)
            effects[tolerance, found.samples] = [x.max() for x in found.changes[:3]]
    few, many = sorted({samples for _, samples in effects})
    assert (few, many) == (512, 1024)
    for change in zip(effects[3e-2, few], effects[3e-3, few], strict=True):
        assert 0 < change[1] < change[0] / 5
    for change in zip(effects[3e-2, few], effects[3e-2, many], strict=True):
        assert 0.2 < change[0] / change[1] < 5


def test_companions_have_room_for_their_directions():
    options = TrainOptions(2**15, False)
    assert samples_of(options, 1) == 512
    assert samples_of(options, 200) == 1024
    assert samples_of(options, 900) == 2048
    assert samples_of(options, 2400) == 4096
    assert samples_of(TrainOptions(100, False), 200) == 100


def test_the_effect_is_reported_and_counted():
    program = loads(PROGRAM, None, ["steps=10"])
    run = program.run(samples=600, replicates=3, tolerance=0.1)
    note = next(note for note in run.notes if note.startswith("the tolerance changes, at most: loss "))
    assert "min_eig(joint_gram(h[l]))" in note
    training = program._compiled.program.training
    found = truncation_effect(training, TrainOptions(600, False, "lazy", 0.1), 1, 1)
    for result, change in zip(run.results, found.changes, strict=True):
        assert np.all(result.error >= change / 2)


@pytest.mark.parametrize(("tolerance", "clear"), [(1e-3, True), (0.4, False)])
def test_the_smallest_joint_eigenvalues_after_a_step_stand_clear_or_are_said_not_to(tolerance, clear):
    program = loads(PROGRAM, None, ["steps=2"])
    run = program.run(samples=2048, replicates=8, tolerance=tolerance)
    result = next(r for r in run.results if r.name.startswith("min_eig"))
    hidden = np.abs(result.value[1:]) <= 2 * result.error[1:]
    assert result.value[1, 0] < 1e-3
    assert not hidden.any() if clear else hidden.any()
    said = [note for note in run.notes if "cannot be resolved" in note and "step 0)" not in note]
    assert bool(said) != clear
