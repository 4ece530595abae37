"""The assumption on inputs, against exact arithmetic on every pair and triple."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from tpl.data.assumption import EPSILON, MOST_INPUTS, check_inputs


def exact_offenders(array):
    """All offending pairs and all (i; j, k), in exact rational arithmetic."""
    rows = [[Fraction(float(x)) for x in row.ravel()] for row in array]
    gram = [[abs(sum(a * b for a, b in zip(r, s, strict=True))) for s in rows] for r in rows]
    n = len(rows)
    pairs = {(i + 1, j + 1) for i, j in combinations(range(n), 2) if gram[i][j] == 0}
    triples = {
        (i + 1, j + 1, k + 1)
        for i in range(n)
        for j, k in combinations([x for x in range(n) if x != i], 2)
        if gram[i][j] == gram[i][k] != 0
    }
    return pairs, triples


@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_exact_arithmetic(seed):
    """Small whole numbers collide often, and their inner products are exact."""
    rng = np.random.default_rng(seed)
    array = rng.integers(-9, 10, (int(rng.integers(2, 6)), int(rng.integers(1, 6)))).astype(float)
    pairs, triples = exact_offenders(array)
    found = check_inputs("X", array)
    assert found.holds == (not pairs and not triples)
    for offender in found.offenders:
        assert offender.inputs in pairs | triples
    assert {len(x.inputs) for x in found.offenders} <= {2, 3}
    assert found.count >= len(pairs)


def test_verdicts_of_both_kinds_occur():
    """The test above sees arrays that meet the assumption and arrays that do not."""
    verdicts = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        array = rng.integers(-9, 10, (int(rng.integers(2, 6)), int(rng.integers(1, 6)))).astype(float)
        verdicts.add(check_inputs("X", array).holds)
    assert verdicts == {True, False}


@pytest.mark.parametrize("scale", [1e-200, 1e-6, 1.0, 1e6, 1e200])
def test_random_inputs_hold_at_every_scale(scale):
    array = scale * np.random.default_rng(3).standard_normal((60, 7))
    found = check_inputs("X", array)
    assert (found.holds, found.offenders, found.notes) == (True, (), ())
    assert found.tolerance == 7 * EPSILON


@pytest.mark.parametrize("spread", [1e-6, 1e6])
def test_inputs_of_different_lengths(spread):
    """A long input among short ones does not drown their inner products."""
    array = np.random.default_rng(4).standard_normal((12, 5))
    array[3] *= spread
    assert check_inputs("X", array).holds


def test_rounding_does_not_hide_an_offender():
    """Orthogonal, and equal inner products, in numbers that binary does not hold: found after rotation."""
    rng = np.random.default_rng(5)
    rotation = np.linalg.qr(rng.standard_normal((50, 50)))[0]
    array = np.zeros((3, 50))
    array[0, :2], array[1, :2], array[2, :2] = (1.0, 0.0), (0.3, 1.0), (-0.3, 2.0)
    found = check_inputs("X", array @ rotation)
    assert [x.inputs for x in found.offenders] == [(1, 2, 3)]
    assert found.offenders[0].sentence == "|⟨X[1], X[2]⟩| = |⟨X[1], X[3]⟩|"
    orthogonal = check_inputs("X", np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) @ rotation[:3])
    assert [x.inputs for x in orthogonal.offenders] == [(1, 2)]
    assert "⟨X[1], X[2]⟩ = 0" in orthogonal.sentence


def test_a_near_miss_is_no_offender():
    array = np.array([[1.0, 0.0], [0.3, 1.0], [-0.3 - 1e-12, 2.0]])
    assert check_inputs("X", array).holds


def test_zero_equal_opposite_and_parallel_inputs_are_named():
    array = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [-1.0, -2.0], [0.3, 0.6]])
    found = check_inputs("X", array)
    assert not found.holds
    assert found.notes[0] == "X[2] is zero"
    assert "X[1] equals X[3]" in found.notes
    assert "X[1] is opposite to X[4]" in found.notes
    assert "X[1] is parallel to X[5]" in found.notes


def test_all_zero_inputs():
    found = check_inputs("X", np.zeros((3, 2)))
    assert {x.inputs for x in found.offenders} == {(1, 2), (1, 3), (2, 3)}
    assert len(found.notes) == 3


def test_few_inputs():
    assert check_inputs("X", np.ones((1, 3))).holds, "one input has no others"
    duplicates = check_inputs("X", np.ones((2, 3)))
    assert duplicates.holds, "the assumption compares three different inputs"
    assert duplicates.notes == ("X[1] equals X[2]",)


def test_sequences_count_as_one_vector():
    array = np.random.default_rng(6).standard_normal((4, 3, 2))
    found = check_inputs("X", array)
    assert found.holds
    assert "4 inputs in R^6, each of shape [3, 2] taken as one vector" in found.sentence
    assert found.holds == check_inputs("X", array.reshape(4, 6)).holds


def test_many_inputs_are_cut_and_said_so():
    found = check_inputs("X", np.random.default_rng(7).standard_normal((MOST_INPUTS + 5, 2)))
    assert f"(the first of {MOST_INPUTS + 5})" in found.sentence


def test_offenders_across_blocks():
    array = np.random.default_rng(8).standard_normal((600, 20))
    array[577] = array[12]
    found = check_inputs("X", array)
    assert found.count == 598, "every other input sees both alike"
    assert found.offenders[0].inputs == (1, 13, 578)
    assert found.notes == ("X[13] equals X[578]",)


@pytest.mark.parametrize("shape", [(4,), (0, 3), (3, 0)])
def test_arrays_that_hold_no_inputs(shape):
    with pytest.raises(ValueError, match="no inputs"):
        check_inputs("X", np.zeros(shape))


def test_what_holds_is_said_in_plain_words():
    sentence = check_inputs("X", np.array([[1.0, 0.5], [0.3, -1.0], [2.0, 1.5]])).sentence
    assert "no two inputs are orthogonal, and no input has inner products of equal size with two others" in sentence
