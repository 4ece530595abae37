"""The errors of a training in the limit cover the truth as often as they say, for everything that is shown."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tpl.sampling.train import TrainOptions
from tpl.sampling.train_many import Measured, train_many

sys.path.insert(0, str(Path(__file__).parent))
from repeated import TOLERANCE, covered, training, true_values


@pytest.mark.slow
def test_twice_the_error_covers_the_truth():
    what = training()
    options = TrainOptions(512, False, "lazy", TOLERANCE)
    hits, squares = covered(what, options, replicates=8, experiments=40, truth=true_values(what))
    assert 0.93 < hits.mean() < 0.99
    for show, share, square in zip(what.shows, hits.mean(axis=0), squares.mean(axis=0), strict=True):
        assert share > 0.85, show.name  # of 40 experiments whose entries go together
        assert 0.3 < square < 1.7, show.name


def test_points_of_a_net_are_worth_many_independent_samples():
    what = training()
    spread = {}
    for quasi in (False, True):
        options = TrainOptions(512, False, "lazy", TOLERANCE, quasi=quasi)
        values = Measured(what).single(train_many(what, options, 16))
        spread[quasi] = {
            show.name: np.mean(np.var(x[:, -1], axis=0, ddof=1)) for show, x in zip(what.shows, values, strict=True)
        }
    for name in ("loss", "f", "gram(x[l])", "feature_change(h[l])"):
        assert spread[True][name] < 0.5 * spread[False][name], name
