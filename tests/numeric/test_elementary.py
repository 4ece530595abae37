"""Generated code against the registry's own evaluation, function by function, and against mpmath in the tails."""

import mpmath
import numpy as np
import pytest

from tests.numeric import make_polynomials
from tests.numeric.compiled import evaluate
from tpl.core.expr import Expr, apply, ref
from tpl.core.functions import FUNCTIONS
from tpl.numeric import elementary

RNG = np.random.default_rng(0)
SPECIAL = [0.0, 1.0, -1.0, 0.5, 709.7, 710.0, -708.3, -745.2, -746.0, 1e-310, np.inf, -np.inf, np.nan]


def points(arity):
    """Gaussians of many sizes, numbers of all orders of magnitude, and special ones, [arity, samples]."""
    scales = [(1, 2000), (10, 1000), (1e3, 500), (1e6, 200), (1e-6, 200)]
    rows = np.concatenate([RNG.normal(0, s, (arity, n)) for s, n in scales], axis=1)
    size = 10 ** RNG.uniform(-300, 6, (arity, 400)) * RNG.choice([-1, 1], (arity, 400))
    rows = np.concatenate([rows, size], axis=1)
    if arity == 1:
        return np.concatenate([rows, [SPECIAL]], axis=1)
    pairs = np.stack(np.meshgrid(SPECIAL, SPECIAL)).reshape(2, -1)
    rest = np.ones((arity - 2, pairs.shape[1]))
    return np.concatenate([rows, np.concatenate([pairs, rest])], axis=1)


@pytest.mark.parametrize("record", FUNCTIONS.values(), ids=FUNCTIONS)
def test_generated_code_is_the_registrys_function(record):
    """Within 2 units in the last place, and twice what one unit of any argument changes."""
    arity = record.arity or 3
    z = points(arity)
    found = evaluate([Expr(record.name, tuple(ref(i) for i in range(arity)))], z)[0]
    with np.errstate(all="ignore"):
        expected = record.array(*z)
        moved = [
            record.array(*np.where(np.arange(arity)[:, None] == i, np.nextafter(z, np.inf), z)) for i in range(arity)
        ]
        sensitivity = np.nansum([np.abs(m - expected) for m in moved], axis=0)
        # scipy's own tail of erf squares its argument in one part: 2 z² units; below 1e-290 nobody counts digits.
        own = 4 * np.spacing(expected) * z[0] ** 2 if record.name == "gelu" else 0.0
        tolerance = 3 * np.spacing(np.abs(expected)) + 2 * sensitivity + np.abs(own) + 1e-290
        finite = np.isfinite(expected)
        wrong = np.where(finite, ~(np.abs(found - expected) <= tolerance), ~same_special(found, expected))
    assert not np.any(wrong), [(z[:, i], found[i], expected[i]) for i in np.flatnonzero(wrong)[:5]]


def same_special(found, expected):
    return (found == expected) | (np.isnan(found) & np.isnan(expected))


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("gelu", lambda z: z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2),
        ("erf", mpmath.erf),
        ("tanh", mpmath.tanh),
        ("softplus", lambda z: mpmath.log1p(mpmath.exp(z))),
        ("silu", lambda z: z / (1 + mpmath.exp(-z))),
    ],
)
def test_tails_keep_their_digits(name, exact):
    z = np.concatenate([np.linspace(-36, 36, 361), RNG.normal(0, 1e-3, 40), RNG.normal(0, 1, 200)])
    found = evaluate([apply(name, ref(0))], z[None])[0]
    with mpmath.workdps(50):
        truth = [exact(mpmath.mpf(float(x))) for x in z]
        relative = [abs((mpmath.mpf(float(f)) - t) / t) if t else abs(f) for f, t in zip(found, truth, strict=True)]
    assert max(relative) < 8e-16


def test_angles_of_large_arguments():
    z = np.concatenate([RNG.normal(0, 1e5, 300), np.arange(1, 200) * np.pi / 2])
    found = evaluate([apply("sin", ref(0)), apply("cos", ref(0))], z[None])
    with mpmath.workdps(50):
        truth = np.array([[float(f(mpmath.mpf(float(x)))) for x in z] for f in (mpmath.sin, mpmath.cos)])
    np.testing.assert_allclose(found, truth, rtol=4e-16, atol=1e-22)


def test_normal_quantiles():
    u = np.concatenate([RNG.uniform(0, 1, 2000), 2.0 ** -np.arange(2, 53), 1 - 2.0 ** -np.arange(2, 53)])
    found = [elementary.normal_quantile(x) for x in u]
    exact = [mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(float(x)) - 1) for x in u[:50]]
    from scipy.special import ndtri

    np.testing.assert_allclose(found, ndtri(u), rtol=4e-12, atol=1e-16)
    np.testing.assert_allclose(found[:50], np.array(exact, dtype=float), rtol=4e-12)


@pytest.mark.parametrize("name", make_polynomials.POLYNOMIALS)
def test_stored_polynomials_are_those_computed(name):
    assert getattr(elementary, name) == make_polynomials.interpolant(*make_polynomials.POLYNOMIALS[name])
