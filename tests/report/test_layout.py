"""Numbers with errors as text, and the part of an array that is shown."""

import numpy as np
import pytest

from tpl.report.layout import bytes_text, compact, grids, plain, seconds_text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.6057, 0.0012, "0.6057(12)"),
        (-0.6057, 0.0012, "-0.6057(12)"),
        (1.0, 0.0, "1"),
        (0.0, 0.0, "0"),
        (0.0, 0.003, "0.0000(30)"),
        (-1e-9, 0.003, "0.0000(30)"),
        (0.6056931234, 1e-16, "0.60569312"),
        (0.6056931234, 1e-7, "0.60569312(10)"),
        (1.0, 0.0996, "1.00(10)"),
        (12.34, 1.5, "12.3(1.5)"),
        (1234.5, 34.0, "1234(34)"),
        (1234.5, 9.96, "1234(10)"),
        (123456.0, 680.0, "123456(680)"),
        (1.2345678e7, 1.0e3, "1.23457(10)e+07"),
        (2.5e-7, 1e-9, "2.500(10)e-07"),
        (2.5e-7, 0.0, "2.5e-07"),
        (1e-9, 2e-7, "0.0(2.0)e-07"),
        (0.00012, 0.00003, "0.000120(30)"),
    ],
)
def test_compact(value, error, text):
    assert compact(value, error) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(0.6057, 0.0012, "0.606(1)"), (0.6057, 0.0996, "0.6(1)"), (1.0, 0.0, "1"), (0.123456789, 1e-9, "0.123457")],
)
def test_compact_with_one_digit(value, error, text):
    assert compact(value, error, digits=1) == text


def test_compact_is_true_to_the_number():
    """Read back, value and error are right to half of the last digit shown."""
    rng = np.random.default_rng(0)
    for _ in range(3000):
        value = rng.standard_normal() * 10.0 ** rng.integers(-12, 12)
        error = abs(value) * 10.0 ** rng.uniform(-7, 2)
        text = compact(value, error)
        head, _, rest = text.partition("(")
        inner, _, exponent = rest.partition(")")
        scale = float("1" + exponent) if exponent else 1.0
        unit = 10.0 ** -len(head.partition(".")[2]) * scale
        shown = float(inner) * (scale if "." in inner or "." not in head else unit)
        assert abs(float(head) * scale - value) <= 0.501 * unit
        assert abs(shown - error) <= max(0.501 * unit, 0.06 * error)


def test_control_characters_are_taken_out():
    assert plain("a\x1b[31mb\nc\t d\x07\u202ee") == "a\ufffd[31mb c d\ufffd\ufffde"


@pytest.mark.parametrize(
    ("shape", "columns", "rows", "whole"),
    [
        ((4, 4), 4, 4, True),
        ((8, 8), 8, 8, True),
        ((16, 16), 7, 7, False),
        ((100, 2), 2, 7, False),
        ((2, 100), 7, 2, False),
    ],
)
def test_corner_of_a_matrix(shape, columns, rows, whole):
    value = np.arange(np.prod(shape), dtype=float).reshape(shape)
    (grid,), found = grids(value, np.zeros(shape))
    assert found is whole
    assert (len(grid.columns), len(grid.rows)) == (columns, rows)
    texts = grid.texts()
    assert texts[0][:2] == ["1", "0"]
    assert (texts[-1][0] == "...") is (shape[0] > 8)
    assert (grid.columns[-1] == "...") is (shape[1] > 8)


def test_vectors_are_wrapped():
    (grid,), whole = grids(np.arange(20.0), np.zeros(20))
    assert whole
    assert [label for label, _ in grid.rows] == ["1-8", "9-16", "17-20"]
    assert grid.texts()[2] == ["17-20", "16", "17", "18", "19"]


def test_a_long_vector_shows_both_ends():
    (grid,), whole = grids(np.arange(100.0), np.zeros(100), wrap=5)
    assert not whole
    assert [label for label, _ in grid.rows] == ["1-5", "6-10", "11-15", "16", "...", "93-97", "98-100"]


def test_slices_of_higher_arrays():
    found, whole = grids(np.zeros((3, 2, 2)), np.zeros((3, 2, 2)))
    assert [grid.caption for grid in found] == ["[1, :, :]", "[2, :, :]", "[3, :, :]"]
    assert whole
    found, whole = grids(np.zeros((50, 4, 4)), np.zeros((50, 4, 4)))
    assert len(found) == 4
    assert not whole


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 2, 2), (2, 0, 2)])
def test_empty_arrays(shape):
    found, _ = grids(np.zeros(shape), np.zeros(shape))
    assert [text for grid in found for row in grid.texts() for text in row[1:]] == []


def test_sizes_and_durations():
    assert [bytes_text(x) for x in (0, 1023, 1536, 5 * 2**20, 123 * 2**30, 2**50)] == [
        "0 B", "1023 B", "1.5 KiB", "5.0 MiB", "123 GiB", "1024 TiB",
    ]  # fmt: skip
    assert [seconds_text(x) for x in (0, 0.0296, 1.88, 61, 600, 90000)] == [
        "under 1 ms", "30 ms", "1.9 s", "61 s", "10 min", "25 h",
    ]  # fmt: skip
