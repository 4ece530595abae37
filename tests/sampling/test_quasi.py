"""Normals from randomised nets: even over samples, independent over replicates, the same however they are asked for."""

import numpy as np
import pytest
from scipy.special import ndtr

from tpl.sampling.quasi import DIMENSIONS, MOST, SobolNormals


def normals(replicate=0, seed=3, width=1024):
    return SobolNormals(seed, 0, width, replicate)


@pytest.mark.parametrize("size", [256, 1024])
def test_every_row_has_one_sample_in_each_of_equally_likely_intervals(size):
    rows = normals().draw(DIMENSIONS + 5, size)  # a second net begins
    cells = np.sort((ndtr(rows) * size).astype(int), axis=1)
    assert np.array_equal(cells, np.broadcast_to(np.arange(size), cells.shape))


def test_rows_do_not_depend_on_how_they_are_asked_for():
    whole, parts = normals().draw(DIMENSIONS + 20, 700), normals()
    counts = (1, 16, DIMENSIONS - 20, 10, 13)
    assert np.array_equal(np.concatenate([parts.draw(count, 700) for count in counts]), whole)
    resumed = normals()
    resumed.used = 17
    assert np.array_equal(resumed.draw(3, 700), whole[17:20])


def test_samples_are_standard_normal_and_independent_over_replicates():
    """One sample, looked at in many replicates: coordinates of one net, and of two."""
    count, at = 3000, [0, 1, DIMENSIONS - 1, DIMENSIONS]
    x = np.array([normals(r).draw(DIMENSIONS + 1, 4)[at, 2] for r in range(count)])
    assert np.abs(x.mean(axis=0)).max() < 4 / np.sqrt(count)
    moments = x.T @ x / count - np.eye(len(at))
    assert np.abs(moments).max() < 4.5 * np.sqrt(2 / count)
    assert np.abs((x**4).mean(axis=0) - 3).max() < 4.5 * np.sqrt(96 / count)


def test_pairs_of_rows_are_uncorrelated():
    """Within a net far better than at random, between nets as at random."""
    size = 4096
    rows = normals().draw(2 * DIMENSIONS, size)
    gram = rows @ rows.T / size - np.eye(len(rows))
    first = gram[:32, :32]
    assert np.sqrt(np.mean(first**2)) < 0.2 / np.sqrt(size)
    between = gram[:DIMENSIONS, DIMENSIONS:]
    assert np.sqrt(np.mean(between**2)) == pytest.approx(1 / np.sqrt(size), rel=0.1)
    assert np.abs(gram).max() < 0.1


def test_there_is_an_end():
    net = normals()
    assert net.draw(MOST - 1, 4) is not None
    assert net.draw(2, 4) is None
    assert net.draw(1, 4) is not None
    assert net.draw(1, 4) is None
    assert normals().draw(1, 2**20 + 1) is None
