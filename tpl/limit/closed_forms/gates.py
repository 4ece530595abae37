"""E u^j v^k f(u) g(v) for two-sided gates f = plus·H(u) + minus·H(-u), each hard (a step) or soft (a normal cdf).

The same number has two expansions, each good where the other cancels:

* in 1 and S = H(u) - H(-u), through `GatedMoments`: no cancellation between the two signs of u, as sign(u) sign(v)
  needs near ρ = 0;
* for hard gates, in the quadrants Q(c) = E u^j v^k H(u) H(v) and Q(-c), which vanish like angle^{j+k+1} as ρ → -1, as
  relu(u) relu(v) needs there.
"""

from fractions import Fraction
from functools import lru_cache
from math import comb, factorial
from typing import NamedTuple

import numpy as np

from tpl.limit.closed_forms.arithmetic import Arithmetic, Number
from tpl.limit.closed_forms.gram import Gram
from tpl.limit.closed_forms.moments import GatedMoments, moment, odd_factorial


class Weights(NamedTuple):
    """plus·H(u + w) + minus·H(-u - w), averaged over w ~ N(0, noise); noise None: plus = minus, no gate at all."""

    plus: Number
    minus: Number
    noise: Number | None

    @property
    def hard(self) -> bool:
        return self.noise is not None and not _float(self.noise)

    @property
    def even(self) -> Number:
        return (self.plus + self.minus) / 2

    @property
    def odd(self) -> Number:
        return (self.plus - self.minus) / 2


class Sum(NamedTuple):
    """A value and the sum of the sizes of its terms, which tells how much cancelled."""

    value: Number
    size: Number


def gated(gram: Gram, j: int, k: int, left: Weights, right: Weights) -> Sum:
    """E u^j v^k f(u) g(v), in float64 or double-double."""
    folded, sign = gram.folded()
    moments = GatedMoments(folded, left.noise or 0, right.noise or 0)
    if not (left.hard and right.hard):
        return _by_parity(moments, sign, j, k, left, right)
    same = left.plus * right.plus + left.minus * right.minus * (-1) ** (j + k)
    opposite = left.plus * right.minus * (-1) ** k + left.minus * right.plus * (-1) ** j
    by_quadrants = _by_quadrants(moments, sign, j, k, same, opposite)
    if _float(same) * _float(opposite) >= 0:
        return by_quadrants
    by_parity = _by_parity(moments, sign, j, k, left, right)
    upright = _float(folded.c) ** 2 <= _float(folded.det)
    where = gram.arithmetic.where
    return Sum(*(where(upright, a, b) for a, b in zip(by_parity, by_quadrants, strict=True)))


def gated_symbolically(gram: Gram, j: int, k: int, left: Weights, right: Weights) -> Number:
    """The same as a sympy expression."""
    moments = GatedMoments(gram, left.noise or 0, right.noise or 0)
    total = left.even * right.even * moments.neither(j, k)
    if left.noise is not None:
        total += left.odd * right.even * moments.left(j, k)
    if right.noise is not None:
        total += left.even * right.odd * moments.right(j, k)
    if left.noise is not None and right.noise is not None:
        total += left.odd * right.odd * moments.both(j, k)
    return total


def gated_twice(gram: Gram, j: int, noise1: Number, noise2: Number, k: int) -> Number:
    """E u^j S₁(u) S₂(u) v^k: v given u is N(c u/q1, det/q1), which leaves a moment of u alone."""
    a = gram.arithmetic
    if a.is_zero(noise1) and a.is_zero(noise2):
        return moment(gram, j, k)  # sign² = 1
    moments = GatedMoments(gram.doubled(), noise1, noise2)
    slope = a.ratio(gram.c, gram.q1)
    rest = gram.det / gram.q1 if a.symbolic else a.where(_float(gram.q1) == 0, gram.q2, a.ratio(gram.det, gram.q1))
    total: Number = 0
    for m in range(k // 2 + 1):
        count = comb(k, 2 * m) * odd_factorial(m)
        total = total + count * rest**m * slope ** (k - 2 * m) * moments.both(j + k - 2 * m, 0)
    return total


def _by_parity(moments: GatedMoments, sign: Number, j: int, k: int, left: Weights, right: Weights) -> Sum:
    value: Number = 0 * moments.gram.c
    size = value
    for a in (0, 1):
        for b in (0, 1):
            weight = (left.odd if a else left.even) * (right.odd if b else right.even)
            if (j + a + k + b) % 2 or not _float(weight):
                continue
            term = weight * _moment(moments, a, b, j, k)
            value = value + term * (sign if (j + a) % 2 else 1.0)
            size = size + abs(term)
    return Sum(value, size)


def _moment(moments: GatedMoments, a: int, b: int, j: int, k: int) -> Number:
    if a:
        return moments.both(j, k) if b else moments.left(j, k)
    return moments.right(j, k) if b else moments.neither(j, k)


def _by_quadrants(moments: GatedMoments, sign: Number, j: int, k: int, same: Number, opposite: Number) -> Sum:
    where = moments.gram.arithmetic.where
    wide = sum((_moment(moments, a, b, j, k) for a in (0, 1) for b in (0, 1)), 0) * 0.25
    narrow = narrow_quadrant(moments.gram, j, k)
    terms = same * where(sign > 0, wide, narrow), opposite * where(sign > 0, narrow, wide)
    return Sum(terms[0] + terms[1], abs(terms[0]) + abs(terms[1]))


def narrow_quadrant(folded: Gram, j: int, k: int) -> Number:
    """E |u|^j |v|^k H(u) H(-v) for c >= 0: the quadrant that closes as ρ → 1.

    In polar coordinates it is a wedge of angle θ = arccos ρ, and with n = j + k

        ∫₀^θ sin^j φ sin^k(θ-φ) dφ = (4z)^{(n+1)/2} B(j+1, k+1) F((1+k-j)/2, (1+j-k)/2; (n+3)/2; z),

    z = sin²(θ/2) <= 1/2 (Gradshteyn and Ryzhik 3.252.10 for the wedge, then Euler's transformation), a series of
    numbers of one sign but for its first |j-k|/2 terms.
    """
    a, n = folded.arithmetic, j + k
    product = a.sqrt(folded.q1) * a.sqrt(folded.q2)
    z = a.where(_float(product) == 0, 0.5, a.ratio(folded.det, 2 * product * (product + folded.c)))
    beta = Fraction(factorial(j) * factorial(k), factorial(n + 1))
    scale = _radial_moment(a, n) * a.number(beta) * a.sqrt(4 * z) ** (n + 1)
    scale = scale * a.sqrt(folded.q1) ** j * a.sqrt(folded.q2) ** k
    terms = 120 if a.name == "double-double" else 56
    total: Number = 0 * z
    for ratio in reversed(_ratios(j, k, terms, a)):
        total = 1 + ratio * z * total
    return scale * total


def _radial_moment(a: Arithmetic, n: int) -> Number:
    """∫ r^{n+1} e^{-r²/2} dr / 2π = 2^{n/2} Γ(n/2 + 1)/2π."""
    if n % 2 == 0:
        return a.number(2 ** (n // 2) * factorial(n // 2)) / (2 * a.pi)
    return a.number(odd_factorial((n + 1) // 2)) / (2 * a.sqrt(2 * a.pi))


@lru_cache(maxsize=1 << 10)
def _ratios(j: int, k: int, terms: int, arithmetic: Arithmetic) -> tuple[Number, ...]:
    """Ratios of successive coefficients of the hypergeometric series."""
    a, b, c = Fraction(1 + k - j, 2), Fraction(1 + j - k, 2), Fraction(j + k + 3, 2)
    return tuple(arithmetic.number((a + m) * (b + m) / ((c + m) * (m + 1))) for m in range(terms))


def _float(value: Number) -> Number:
    return value.to_float() if hasattr(value, "to_float") else np.asarray(value, dtype=float)
