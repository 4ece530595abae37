"""The double-double functions under the closed forms, against mpmath."""

import numpy as np
import pytest
from mpmath import mp

from tpl.limit.closed_forms import double2 as d2
from tpl.limit.closed_forms.double2 import Double2

RNG = np.random.default_rng(0)


def numbers(x):
    """Double2 numbers with a low part, and the same in mpmath."""
    pairs = Double2(x, x * RNG.uniform(-1e-17, 1e-17, x.shape))
    return pairs, [mp.mpf(a) + mp.mpf(b) for a, b in zip(pairs.hi, pairs.lo, strict=True)]


def worst(result, exact):
    values = [mp.mpf(float(a)) + mp.mpf(float(b)) for a, b in zip(result.hi, result.lo, strict=True)]
    return float(max(abs((v - e) / e) for v, e in zip(values, exact, strict=True)))


FUNCTIONS = [
    ("sqrt", d2.sqrt, mp.sqrt, 10.0 ** RNG.uniform(-20, 20, 50)),
    ("exp", d2.exp, mp.exp, RNG.uniform(-600, 700, 50)),
    ("expm1", d2.expm1, mp.expm1, 10.0 ** RNG.uniform(-20, 1, 50)),
    ("cos", lambda a: d2.cos_sin(a)[0], mp.cos, RNG.uniform(-1e6, 1e6, 50)),
    ("sin", lambda a: d2.cos_sin(a)[1], mp.sin, RNG.uniform(-1e-3, 1e-3, 50)),
    ("erf", d2.erf, mp.erf, np.concatenate([RNG.uniform(-6, 6, 50), [1e-9, 1.9999999, 2.0]])),
    ("erfcx", d2.erfcx, lambda t: mp.exp(t**2) * mp.erfc(t), np.concatenate([RNG.uniform(0, 25, 50), [2.0, 9.1, 9.2]])),
    ("dawson", d2.dawson, lambda t: mp.sqrt(mp.pi) / 2 * mp.exp(-(t**2)) * mp.erfi(t), RNG.uniform(-20, 20, 50)),
    ("reciprocal", lambda a: 1 / a, lambda t: 1 / t, RNG.uniform(-5, 5, 50)),
    ("cube", lambda a: a**3, lambda t: t**3, RNG.uniform(-5, 5, 50)),
]


@pytest.mark.parametrize(("function", "exact", "x"), [f[1:] for f in FUNCTIONS], ids=[f[0] for f in FUNCTIONS])
def test_functions_have_28_digits(function, exact, x):
    with mp.workdps(60):
        pairs, precise = numbers(x)
        assert worst(function(pairs), [exact(t) for t in precise]) < 1e-28


def test_angles_have_28_digits():
    with mp.workdps(60):
        (y, precise_y), (x, precise_x) = numbers(RNG.uniform(-1, 1, 80)), numbers(RNG.uniform(-1, 1, 80))
        exact = [mp.atan2(a, b) for a, b in zip(precise_y, precise_x, strict=True)]
        assert worst(d2.arctan2(y, x), exact) < 1e-28
    assert d2.arctan2(Double2(np.zeros(1)), Double2(np.zeros(1))).hi == 0


def test_exponentials_overflow_and_vanish_quietly():
    with np.errstate(all="ignore"):
        result = d2.exp(Double2(np.array([-np.inf, -1e9, 0.0, 1e9, np.inf])))
    np.testing.assert_array_equal(result.hi, [0, 0, 1, np.inf, np.inf])
    np.testing.assert_array_equal(result.lo, np.zeros(5))


def test_cancellation_leaves_digits():
    third = Double2(1.0) / 3.0
    assert abs((third * 3.0 - 1.0).to_float()) < 1e-31
    assert (Double2(1.0) + 1e-20 - 1.0).to_float() == 1e-20
