"""Every function of the registry: its derivative, its two evaluations, its declared properties."""

import numpy as np
import pytest

from tpl.core.expr import evaluate, symbol
from tpl.core.functions import BUILTIN_CONSTANTS, CALLABLE, FUNCTIONS

RNG = np.random.default_rng(0)


def arity(record):
    return record.arity or 3


def domain(record):
    """Points away from kinks and inside the domain."""
    points = RNG.uniform(-2.0, 2.0, size=(40, arity(record)))
    if record.name in ("log", "sqrt", "pow"):
        points[:, 0] = np.abs(points[:, 0]) + 0.1
    if record.name in ("div", "max", "min"):
        points[:, 1] = points[:, 0] + np.where(points[:, 1] >= 0, 1, -1) * (0.1 + np.abs(points[:, 1]))
        points = points[np.abs(points[:, -1]) > 0.05]
    for kink in record.kinks:
        points = points[np.abs(points[:, 0] - kink) > 0.01]
    return points


@pytest.mark.parametrize("record", FUNCTIONS.values(), ids=FUNCTIONS)
def test_partials_are_those_of_finite_differences(record):
    names = [f"x{i}" for i in range(arity(record))]
    partials = record.partials(*map(symbol, names))
    assert len(partials) == arity(record)
    for point in domain(record):
        env = BUILTIN_CONSTANTS | dict(zip(names, point, strict=True))
        for k, partial in enumerate(partials):
            step = np.eye(arity(record))[k] * 1e-6
            expected = (record.scalar(*(point + step)) - record.scalar(*(point - step))) / 2e-6
            assert evaluate(partial, env) == pytest.approx(expected, rel=2e-8, abs=2e-8)


@pytest.mark.parametrize("record", FUNCTIONS.values(), ids=FUNCTIONS)
def test_arrays_and_numbers_are_evaluated_alike(record):
    points = domain(record)
    expected = [record.scalar(*p) for p in points]
    np.testing.assert_allclose(record.array(*points.T), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("record", [f for f in CALLABLE.values() if f.arity == 1], ids=lambda f: f.name)
def test_far_arguments_neither_overflow_nor_warn(record):
    if record.name in ("exp", "log", "sqrt"):
        return
    far = np.array([-1e3, -50.0, 50.0, 1e3])
    assert np.all(np.isfinite(record.array(far)))


@pytest.mark.parametrize("record", [f for f in CALLABLE.values() if f.arity == 1], ids=lambda f: f.name)
def test_smooth_functions_have_no_kinks(record):
    assert not (record.smooth and record.kinks)
