"""Double-double arithmetic on numpy arrays: unevaluated sums hi + lo, about 31 significant digits.

Where a closed form is a small difference of large terms, its terms are evaluated here and rounded once. Error-free sums
and products after Knuth and Dekker (1971), the four operations after Hida, Li and Bailey (2001, "Library for
double-double and quad-double arithmetic"); elementary functions by argument reduction and Taylor series.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

Floats = Any  # float or array of float64
Function = Callable[["Double2"], "Double2"]

NOISE = 1e-30  # a sum below this times its terms is rounding error, and counts as 0
_SPLITTER = 134217729.0  # 2^27 + 1


def _quick_two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a + b exactly, for |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


def two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a + b exactly, as rounded sum and error."""
    s = a + b
    bb = s - a
    return s, (a - (s - bb)) + (b - bb)


def _split(a: Floats) -> tuple[Floats, Floats]:
    t = _SPLITTER * a
    hi = t - (t - a)
    return hi, a - hi


def two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a · b exactly (below 1e300 and above 1e-290), as rounded product and error."""
    p = a * b
    a1, a2 = _split(a)
    b1, b2 = _split(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


class Double2:
    """An array of numbers hi + lo with |lo| <= ulp(hi)/2. Mixes with int, float, Fraction and float64 arrays."""

    __slots__ = ("hi", "lo")
    __array_ufunc__ = None  # arrays leave mixed operations to this class

    def __init__(self, hi: Floats, lo: Floats = 0.0):
        self.hi = hi
        self.lo = lo

    def __repr__(self) -> str:
        return f"Double2({self.hi!r}, {self.lo!r})"

    def __add__(self, other: Any) -> "Double2":
        b = lift(other)
        if b is None:
            return NotImplemented
        s, e = two_sum(self.hi, b.hi)
        t, f = two_sum(self.lo, b.lo)
        s, e = _quick_two_sum(s, e + t)
        return Double2(*_quick_two_sum(s, e + f))

    __radd__ = __add__

    def __neg__(self) -> "Double2":
        return Double2(-self.hi, -self.lo)

    def __sub__(self, other: Any) -> "Double2":
        b = lift(other)
        return NotImplemented if b is None else self + (-b)

    def __rsub__(self, other: Any) -> "Double2":
        return -self + other

    def __mul__(self, other: Any) -> "Double2":
        b = lift(other)
        if b is None:
            return NotImplemented
        p, e = two_product(self.hi, b.hi)
        return Double2(*_quick_two_sum(p, e + (self.hi * b.lo + self.lo * b.hi)))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Double2":
        b = lift(other)
        if b is None:
            return NotImplemented
        first = self.hi / b.hi
        rest = self - b * first
        second = rest.hi / b.hi
        rest = rest - b * second
        s, e = _quick_two_sum(first, second)
        return Double2(s, e) + rest.hi / b.hi

    def __rtruediv__(self, other: Any) -> "Double2":
        a = lift(other)
        return NotImplemented if a is None else a / self

    def __pow__(self, exponent: int) -> "Double2":
        """A whole power, by repeated squaring."""
        result, base, n = Double2(1.0), self, abs(exponent)
        while n:
            if n & 1:
                result = result * base
            n >>= 1
            base = base * base if n else base
        return result if exponent >= 0 else 1 / result

    def __abs__(self) -> "Double2":
        sign = np.where(self.hi < 0, -1.0, 1.0)
        return Double2(self.hi * sign, self.lo * sign)

    def __getitem__(self, index: Any) -> "Double2":
        """Entries; a scalar, the same for all entries, stays one."""
        return Double2(*(x[index] if np.ndim(x) else x for x in (self.hi, self.lo)))

    def to_float(self) -> Floats:
        return self.hi + self.lo


def lift(value: Any) -> Double2 | None:
    """A number or array as Double2 (exact but for Fractions, which are rounded); None if it is neither."""
    if isinstance(value, Double2):
        return value
    if isinstance(value, (int, Fraction)):
        hi = float(value)
        return Double2(hi, float(Fraction(value) - Fraction(hi)))
    return Double2(value) if isinstance(value, (float, np.ndarray, np.floating)) else None


def where(condition: Floats, a: Double2 | float, b: Double2 | float) -> Double2:
    x, y = _double2(a), _double2(b)
    return Double2(np.where(condition, x.hi, y.hi), np.where(condition, x.lo, y.lo))


def _double2(a: Double2 | float) -> Double2:
    return a if isinstance(a, Double2) else Double2(a)


PI = Double2(3.141592653589793, 1.2246467991473532e-16)
_LOG2 = (0.6931471805599453, 2.3190468138462996e-17, 5.707708438416212e-34)
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)


def sqrt(a: Double2) -> Double2:
    """Square root, 0 at 0 and below (a variance below 0 is one of 0 that was rounded)."""
    positive = a.hi > 0
    x = 1.0 / np.sqrt(np.where(positive, a.hi, 1.0))
    root = a.hi * x
    square, error = two_product(root, root)
    result = Double2(*two_sum(root, (a - Double2(square, error)).hi * (x * 0.5)))
    return where(positive, result, 0.0)


def _minus_multiple(a: Double2, k: Floats, parts: Sequence[float]) -> Double2:
    """a - k·(sum of parts), without cancellation error for whole k below 2^53."""
    for part in parts:
        a = a - Double2(*two_product(k, part))
    return a


@cache
def _inverse_factorial(n: int) -> Double2:
    return Double2(1.0) if n == 0 else _inverse_factorial(n - 1) / n


def _horner(x: Double2, coefficients: Sequence[Double2]) -> Double2:
    """Σ coefficients[i] x^i."""
    total = coefficients[-1]
    for a in reversed(coefficients[:-1]):
        total = total * x + a
    return total


def exp(a: Double2) -> Double2:
    """e^a. Overflows to inf and underflows to 0, both with lo = 0."""
    k = np.round(np.clip(a.hi, -800.0, 800.0) / _LOG2[0])
    x = _expm1_near(_minus_multiple(where(np.abs(a.hi) < 800.0, a, 0.0), k, _LOG2)) + 1.0
    half = np.floor(k / 2)
    scale = [np.ldexp(1.0, p.astype(int)) for p in (np.asarray(half), np.asarray(k - half))]
    big, small = a.hi >= 709.9, a.hi <= -745.5
    hi = np.where(big, np.inf, np.where(small, 0.0, x.hi * scale[0] * scale[1]))
    return Double2(hi, np.where(big | small, 0.0, x.lo * scale[0] * scale[1]))


def expm1(a: Double2) -> Double2:
    """e^a - 1, with full relative accuracy near 0."""
    near = np.abs(a.hi) < 0.5
    return where(near, _expm1_near(where(near, a, 0.0)), exp(a) - 1.0)


def _expm1_near(a: Double2) -> Double2:
    """For |a| < 1/2: squared up from a/2^7 through (1 + x)² - 1 = x (2 + x), which keeps the relative error of x."""
    r = a * 2.0**-7
    x = r * _horner(r, [_inverse_factorial(n) for n in range(1, 13)])
    for _ in range(7):
        x = x * (2.0 + x)
    return x


def cos_sin(a: Double2) -> tuple[Double2, Double2]:
    """Cosine and sine, for |a| < 2^52."""
    k = np.round(a.hi / _HALF_PI[0])
    r = _minus_multiple(a, k, _HALF_PI)
    square = r * r
    c = _horner(square, [_inverse_factorial(2 * n) * (-1) ** n for n in range(15)])
    s = r * _horner(square, [_inverse_factorial(2 * n + 1) * (-1) ** n for n in range(14)])
    quadrant = np.mod(k, 4)
    odd = (quadrant == 1) | (quadrant == 3)
    return (
        where(odd, s, c) * np.where((quadrant == 1) | (quadrant == 2), -1.0, 1.0),
        where(odd, c, s) * np.where(quadrant >= 2, -1.0, 1.0),
    )


def arctan2(y: Double2, x: Double2) -> Double2:
    """The angle of (x, y): one Newton step from the float64 angle. 0 at the origin."""
    start = np.arctan2(y.hi, x.hi)
    c, s = cos_sin(Double2(start))
    radius = sqrt(x * x + y * y)
    return where(radius.hi > 0, (y * c - x * s) / where(radius.hi > 0, radius, 1.0) + start, 0.0)


def piecewise(condition: Floats, f: Function, g: Function, x: Double2) -> Double2:
    """f(x) where the condition holds and g(x) elsewhere, each evaluated only where it is needed."""
    holds, hi = np.broadcast_arrays(condition, x.hi)
    lo = np.broadcast_to(x.lo, hi.shape)
    result = Double2(np.empty(hi.shape), np.empty(hi.shape))
    for here, function in ((holds, f), (~holds, g)):
        if here.any():
            part = function(Double2(hi[here], lo[here]))
            result.hi[here], result.lo[here] = part.hi, part.lo
    return result


def erf(x: Double2) -> Double2:
    """Error function, with full relative accuracy."""
    return piecewise(np.abs(x.hi) < _NEAR, _erf_near, _erf_far, x)


def erfcx(x: Double2) -> Double2:
    """e^{x²} erfc x for x >= 0, with full relative accuracy."""
    return piecewise(x.hi < _NEAR, lambda t: exp(t * t) * (1.0 - _erf_near(t)), _erfcx_far, x)


_NEAR = 2.0


@cache
def _odd_reciprocal(n: int) -> Double2:
    return Double2(1.0) / float(2 * n + 1)


def _erf_near(x: Double2) -> Double2:
    """erf x = 2/√π e^{-x²} Σ 2^n x^{2n+1}/(2n+1)!!, all terms of one sign."""
    square = 2.0 * (x * x)
    total = Double2(1.0)
    for n in range(60, 0, -1):
        total = 1.0 + square * _odd_reciprocal(n) * total
    return 2.0 * x * total * exp(-(x * x)) / sqrt(PI)


def _erf_far(x: Double2) -> Double2:
    far = abs(x)
    return (1.0 - exp(-(far * far)) * _erfcx_far(far)) * np.where(x.hi < 0, -1.0, 1.0)


_STEP = 0.34375


@cache
def _trapezoid_weights() -> list[tuple[float, Double2]]:
    return [((n * _STEP) ** 2, exp(Double2(-((n * _STEP) ** 2)))) for n in range(1, 27)]


def _erfcx_far(x: Double2) -> Double2:
    """erfcx for x >= 2: trapezoidal rule of (x/π) ∫ e^{-t²}/(x² + t²) dt and its pole correction (Matta, Reichel 1971).

    The neglected terms are e^{-π²/h²} < 1e-35 of the result.
    """
    square = x * x
    total = 0.5 / square
    for node, weight in _trapezoid_weights():
        total = total + weight / (square + node)
    result = 2.0 * _STEP / PI * x * total
    inside = x.hi < np.pi / _STEP
    near = where(inside, x, 2.0)
    pole = PI * (2.0 / _STEP) * near
    return result - where(inside, 2.0 * exp(near * near - pole) / (1.0 - exp(-pole)), 0.0)


_DAWSON_STEP = 0.1875


@cache
def _dawson_weights() -> list[tuple[int, Double2]]:
    return [(n, exp(Double2(-((n * _DAWSON_STEP) ** 2)))) for n in range(1, 48, 2)]


def dawson(x: Double2) -> Double2:
    """Dawson's integral e^{-x²} ∫₀ˣ e^{t²} dt, for |x| < 1e8 (Rybicki 1989: an exponentially accurate sampling sum)."""
    return piecewise(np.abs(x.hi) < 0.25, _dawson_near, _dawson_far, x)


def _dawson_near(x: Double2) -> Double2:
    square = -2.0 * (x * x)
    total = Double2(1.0)
    for n in range(20, 0, -1):
        total = 1.0 + square * _odd_reciprocal(n) * total
    return x * total


def _dawson_far(x: Double2) -> Double2:
    even = 2.0 * np.round(x.hi / (2 * _DAWSON_STEP))
    rest = x - Double2(*two_product(even, _DAWSON_STEP))
    growth = exp(rest * (2 * _DAWSON_STEP))
    up, down = growth, 1.0 / growth
    up_step, down_step = up * up, down * down
    total = Double2(0.0)
    for n, weight in _dawson_weights():
        total = total + weight * (up / (even + n) + down / (even - n))
        up, down = up * up_step, down * down_step
    return total * exp(-(rest * rest)) / sqrt(PI)
