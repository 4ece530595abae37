"""Gaussian integrals with exponentials, waves and shifted gates.

Both sides are z^power · exp(α z² + β z) · cos or sin(ω z) · gate(z - t).

exp(α z²) changes the covariance (`Gram.tilted`). The linear exponents λ = β + iω then shift the mean: for any F,

    E e^{λ·x} F(x) = e^{λᵀΣλ/2} E F(x + Σλ),

and moments with a mean follow from Stein's lemma, E x₁ F = mean₁ E F + Σ_j Σ₁ⱼ E ∂_j F. A shifted gate needs erfc of
its mean. Where two gates meet, both must be centred and no mean shifted: else Owen's T appears, which is not
elementary.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from tpl.limit.closed_forms import double2 as d2
from tpl.limit.closed_forms.arithmetic import DOUBLE2, Arithmetic, Complex, Number, nonzero
from tpl.limit.closed_forms.double2 import Double2
from tpl.limit.closed_forms.gates import Weights, gated, gated_symbolically, gated_twice
from tpl.limit.closed_forms.gram import Gram


@dataclass(frozen=True)
class Atom:
    """gate(z - threshold) · z^power · exp(square z² + linear z) · wave(frequency z), numbers of one arithmetic.

    wave: "cos", "sin", or "" for none. second: the noise of another gate S(z), None without; then gate is odd.
    """

    gate: Weights
    power: int = 0
    square: Number = 0
    linear: Number = 0
    wave: str = ""
    frequency: Number = 0
    threshold: Number = 0
    second: Number | None = None

    @property
    def plain(self) -> bool:
        """Neither exponentials nor waves nor thresholds nor a second gate."""
        numbers = self.square, self.linear, self.threshold
        return not self.wave and self.second is None and not any(map(nonzero, numbers))

    @property
    def is_power(self) -> bool:
        """coefficient · z^power."""
        return self.plain and self.gate.noise is None

    @property
    def wave_only(self) -> bool:
        """Neither a power nor a shift."""
        return not self.power and not nonzero(self.linear)


class Scaled(NamedTuple):
    """mantissa · e^exponent: exponents are kept apart until all terms are there, against overflow."""

    exponent: Number
    mantissa: Number


def expectation(gram: Gram, left: Atom, right: Atom) -> list[Scaled]:
    """E left(u) right(v), a sum of scaled terms. Double-double and sympy; NaN where the integral diverges."""
    a = gram.arithmetic
    if not (nonzero(left.square) or nonzero(right.square)):
        return _untilted(gram, left, right)
    divergent = False
    if not a.symbolic:
        margins = (1 - 2 * left.square * gram.q1, 1 - 2 * right.square * gram.q2)
        divergent = (a.number(margins[0]).hi <= 0) | (a.number(margins[1]).hi <= 0)
    tilted, divisor = gram.tilted(left.square, right.square)
    norm = 1 / a.sqrt(divisor)
    if not a.symbolic:
        norm = d2.where(divergent | (divisor.hi <= 0), float("nan"), norm)
    flat = _untilted(tilted, replace(left, square=0), replace(right, square=0))
    return [Scaled(s.exponent, s.mantissa * norm) for s in flat]


def _untilted(gram: Gram, left: Atom, right: Atom) -> list[Scaled]:
    if left.plain and right.plain:
        function = gated_symbolically if gram.arithmetic.symbolic else lambda *args: gated(*args).value
        return [Scaled(0, function(gram, left.power, right.power, left.gate, right.gate))]
    if right.gate.noise is not None and left.gate.noise is None:
        gram, left, right = gram.swapped(), right, left
    if left.second is not None:
        assert left.gate.noise is not None
        weight = left.gate.odd * right.gate.even
        return [Scaled(0, weight * gated_twice(gram, left.power, left.gate.noise, left.second, right.power))]
    if left.gate.noise is None:
        return _fourier(gram, left, right)
    if left.wave or right.wave:
        even = replace(left, gate=Weights(left.gate.even, left.gate.even, None))
        return _fourier(gram, even, right) + _gated_fourier(gram, left, right)
    return _gated_exponential(gram, left, right)


# ---------------------------------------------------------------------------------------------- no gate
class Wave(NamedTuple):
    """weight · cos or sin of (w1 u + w2 v)."""

    weight: int
    sine: bool
    w1: Number
    w2: Number


def _waves(left: Atom, right: Atom) -> Iterator[tuple[Wave, bool]]:
    """left.wave(w1 u) · right.wave(w2 v) = half the sum of two waves, or one wave. Yields (wave, halved)."""
    kinds = left.wave or "cos", right.wave or "cos"
    w1, w2 = left.frequency, right.frequency
    if not (left.wave and right.wave):
        yield Wave(1, "sin" in kinds, w1, w2), False
        return
    sine = kinds[0] != kinds[1]
    first, second = {
        ("cos", "cos"): (1, 1),
        ("sin", "sin"): (-1, 1),
        ("sin", "cos"): (1, 1),
        ("cos", "sin"): (1, -1),
    }[kinds]
    yield Wave(first, sine, w1, w2), True
    yield Wave(second, sine, w1, -w2), True


def _fourier(gram: Gram, left: Atom, right: Atom) -> list[Scaled]:
    """E u^j v^k e^{β·x} cos(ω·x): a moment with a complex mean."""
    if left.wave and right.wave and left.wave_only and right.wave_only and not gram.arithmetic.symbolic:
        return [_two_waves(gram, left, right)]
    found = []
    for wave, halved in _waves(left, right):
        exponent, phase, mean1, mean2 = _shift(gram, left.linear, right.linear, wave)
        value = ShiftedMoments(gram, mean1, mean2)(left.power, right.power)
        weight = left.gate.even * right.gate.even * wave.weight
        found.append(Scaled(exponent, weight * _project(gram.arithmetic, value, phase, wave.sine)))
        if halved:
            found[-1] = Scaled(exponent, found[-1].mantissa / 2)
    return found


def _two_waves(gram: Gram, left: Atom, right: Atom) -> Scaled:
    """sin × sin, cos × cos and sin × cos: sinh c, cosh c and 0, times e^{-(q1 + q2)/2} and without cancellation."""
    if left.wave != right.wave:
        return Scaled(0, 0)
    c = gram.c * left.frequency * right.frequency
    size = abs(c)
    exponent = size - (gram.q1 * left.frequency * left.frequency + gram.q2 * right.frequency * right.frequency) / 2
    weight = left.gate.even * right.gate.even / 2
    if left.wave == "cos":
        return Scaled(exponent, weight * (1 + d2.exp(-2 * size)))
    return Scaled(exponent, weight * d2.expm1(-2 * size) * np.where(c.hi < 0, 1.0, -1.0))


def _shift(gram: Gram, b1: Number, b2: Number, wave: Wave) -> tuple[Number, Number, Number, Number]:
    """(Re, Im) of λᵀΣλ/2 and the mean Σλ for λ = (b1 + i w1, b2 + i w2); the mean is real where no wave is."""
    exponent, m1, m2 = _quadratic(gram, b1, b2)
    if not (nonzero(wave.w1) or nonzero(wave.w2)):
        return exponent, 0, m1, m2
    falling, n1, n2 = _quadratic(gram, wave.w1, wave.w2)
    phase = wave.w1 * m1 + wave.w2 * m2 if nonzero(b1) or nonzero(b2) else 0
    return exponent - falling, phase, Complex(m1, n1), Complex(m2, n2)


def _quadratic(gram: Gram, x1: Number, x2: Number) -> tuple[Number, Number, Number]:
    """xᵀΣx/2 and Σx; zeros for x = 0."""
    if not (nonzero(x1) or nonzero(x2)):
        return 0, 0, 0
    m1, m2 = gram.q1 * x1 + gram.c * x2, gram.c * x1 + gram.q2 * x2
    return (x1 * m1 + x2 * m2) / 2, m1, m2


def _project(a: Arithmetic, value: Number, phase: Number, sine: bool) -> Number:
    """Re or Im of e^{i phase} · value."""
    number = value if isinstance(value, Complex) else Complex(value, 0)
    if not nonzero(phase):
        return number.im if sine else number.re
    c, s = a.cos_sin(phase)
    return s * number.re + c * number.im if sine else c * number.re - s * number.im


class ShiftedMoments:
    """E U^j V^k for U = u + mean1, V = v + mean2."""

    def __init__(self, gram: Gram, mean1: Number, mean2: Number):
        self.gram, self.mean1, self.mean2 = gram, mean1, mean2
        self.at = cache(self._at)

    def __call__(self, j: int, k: int) -> Number:
        return self.at(j, k)

    def _at(self, j: int, k: int) -> Number:
        if j == 0 and k == 0:
            return 1
        g = self.gram
        if j == 0:
            total = self.mean2 * self.at(0, k - 1)
            return total + (k - 1) * (g.q2 * self.at(0, k - 2)) if k > 1 else total
        total = self.mean1 * self.at(j - 1, k)
        if j > 1:
            total = total + (j - 1) * (g.q1 * self.at(j - 2, k))
        return total + k * (g.c * self.at(j - 1, k - 1)) if k else total


# ---------------------------------------------------------------------------------------------- one gate
class Jump(NamedTuple):
    """E gate(x) and E gate'(x), both times e^{-exponent}, for x + w ~ N(mean, variance)."""

    exponent: Number
    level: Number
    density: Number


def _gated_exponential(gram: Gram, left: Atom, right: Atom) -> list[Scaled]:
    """E u^j v^k e^{β·x} gate(u - t): real means. One-sided gates apart, so that far tails keep their digits."""
    exponent, _, m1, m2 = _shift(gram, left.linear, right.linear, Wave(1, False, 0, 0))
    weight, plus, minus = right.gate.even, left.gate.plus, left.gate.minus
    if not nonzero(left.gate.even) or (gram.arithmetic.symbolic and nonzero(plus) and nonzero(minus)):
        sides = [(left.gate.odd, 0), (left.gate.even, None)]
    else:
        sides = [(plus, 1), (minus, -1)]
    found = []
    for amount, side in sides:
        if not nonzero(amount):
            continue
        if side is None:
            found.append(Scaled(exponent, amount * weight * ShiftedMoments(gram, m1, m2)(left.power, right.power)))
            continue
        jump = _real_jump(gram, m1 - left.threshold, left.gate.noise, side)
        value = ShiftedGatedMoments(gram, m1, m2, left, jump)(left.power, right.power)
        found.append(Scaled(exponent + jump.exponent, amount * weight * value))
    return found


def _gated_fourier(gram: Gram, left: Atom, right: Atom) -> list[Scaled]:
    """The same with waves: imaginary means, an odd gate at 0."""
    found = []
    for wave, halved in _waves(left, right):
        exponent, _, m1, m2 = _shift(gram, 0, 0, wave)
        jump = _imaginary_jump(gram, m1.im, left.gate.noise)
        value = ShiftedGatedMoments(gram, m1, m2, left, jump)(left.power, right.power)
        part = left.gate.odd * right.gate.even * wave.weight * _project(gram.arithmetic, value, 0, wave.sine)
        found.append(Scaled(exponent + jump.exponent, part / 2 if halved else part))
    return found


class ShiftedGatedMoments:
    """E U^j V^k gate(U - t) e^{-jump.exponent}."""

    def __init__(self, gram: Gram, mean1: Number, mean2: Number, left: Atom, jump: Jump):
        self.gram, self.mean1, self.mean2, self.jump = gram, mean1, mean2, jump
        a = gram.arithmetic
        total = gram.q1 + left.gate.noise
        offset = mean1 + (-1) * left.threshold
        # Given that the gate jumps, u + w = t - mean1.
        self.jumping = ShiftedMoments(
            gram.given_left(left.gate.noise),
            mean1 + offset * a.ratio(-gram.q1, total),
            mean2 + offset * a.ratio(-gram.c, total),
        )
        self.at = cache(self._at)

    def __call__(self, j: int, k: int) -> Number:
        return self.at(j, k)

    def _at(self, j: int, k: int) -> Number:
        g = self.gram
        if j == 0 and k == 0:
            return self.jump.level
        if j == 0:
            total = self.mean2 * self.at(0, k - 1) + g.c * self.jump.density * self.jumping(0, k - 1)
            return total + (k - 1) * (g.q2 * self.at(0, k - 2)) if k > 1 else total
        total = self.mean1 * self.at(j - 1, k) + g.q1 * self.jump.density * self.jumping(j - 1, k)
        if j > 1:
            total = total + (j - 1) * (g.q1 * self.at(j - 2, k))
        return total + k * (g.c * self.at(j - 1, k - 1)) if k else total


def _real_jump(gram: Gram, mean: Number, noise: Number, side: int) -> Jump:
    """side 1 and -1: the gates H(x) and H(-x); 0: their difference S(x)."""
    a = gram.arithmetic
    variance = gram.q1 + noise
    peak = a.ratio(side or 2, a.sqrt(2 * a.pi * variance))
    if a.symbolic:
        import sympy

        x = mean / a.sqrt(2 * variance)
        level = sympy.erf(x) if side == 0 else sympy.erfc(-side * x) / 2
        return Jump(0, level, peak * a.exp(-(x**2)))
    x = _standardised(mean, variance)
    if side == 0:
        return Jump(0, d2.erf(x), peak * d2.exp(-(x * x)))
    y = x * float(-side)
    inside = y.hi <= 0
    tail = d2.where(inside, 0.0, -(y * y))
    level = d2.piecewise(inside, lambda t: (1.0 - d2.erf(t)) / 2, lambda t: d2.erfcx(t) / 2, y)
    return Jump(tail, level, peak * d2.exp(d2.where(inside, -(y * y), 0.0)))


def _standardised(mean: Number, variance: Double2) -> Double2:
    """mean / √(2 variance), kept finite: e^{-x²} is 0 long before the bound."""
    bound, sure = 1e8, variance.hi == 0
    x = DOUBLE2.number(mean) / d2.where(sure, 1.0, d2.sqrt(2 * variance))
    x = d2.where(sure, Double2(np.sign(x.hi) * bound), x)
    return d2.where(np.abs(x.hi) > bound, Double2(np.clip(x.hi, -bound, bound)), x)


def _imaginary_jump(gram: Gram, mean: Number, noise: Number) -> Jump:
    """S at the mean i·mean: erf(iy) = i erfi(y), by Dawson's integral."""
    a = gram.arithmetic
    variance = gram.q1 + noise
    peak = a.ratio(2, a.sqrt(2 * a.pi * variance))
    if a.symbolic:
        import sympy

        y = mean / a.sqrt(2 * variance)
        return Jump(0, Complex(0, sympy.erfi(y)), peak * a.exp(y**2))
    y = _standardised(mean, variance)
    level = d2.dawson(y) * 2 / d2.sqrt(d2.PI)
    return Jump(y * y, Complex(0, level), peak)
