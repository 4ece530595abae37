"""Moments of a centred Gaussian pair with sign-like gates: E u^j v^k S₁(u)^a S₂(v)^b.

One gate covers steps and error functions alike: with w ~ N(0, noise) independent of everything,

    S(u) = E sign(u + w) = sign(u) for noise 0, and erf(b u) for noise 1/(2 b²).

So E S₁(u) S₂(v) is an arcsine for every choice (Sheppard 1899 for signs, Williams 1997 for erf), and
S' = 2 N(u; 0, noise), a Dirac mass for noise 0, whose product with the Gaussian is again a Gaussian. Stein's lemma
reduces the powers:

    E u F = q1 E F_u + c E F_v.

Every term is nonnegative if c >= 0, so that nothing cancels; c < 0 follows by parity.
"""

from functools import cached_property
from math import comb, factorial

from tpl.limit.closed_forms.arithmetic import Number
from tpl.limit.closed_forms.gram import Gram


def odd_factorial(m: int) -> int:
    """(2m - 1)!!, the 2m-th moment of N(0, 1)."""
    return factorial(2 * m) // (2**m * factorial(m))


def moment(gram: Gram, j: int, k: int) -> Number:
    """E u^j v^k (Isserlis 1918): pair i of the u's with v's, the others among themselves."""
    if (j + k) % 2:
        return 0
    total: Number = 0
    for i in range(j % 2, min(j, k) + 1, 2):
        count = comb(j, i) * comb(k, i) * factorial(i) * odd_factorial((j - i) // 2) * odd_factorial((k - i) // 2)
        total = total + _powers(count, (gram.c, i), (gram.q1, (j - i) // 2), (gram.q2, (k - i) // 2))
    return total


def _powers(count: int, *factors: tuple[Number, int]) -> Number:
    result: Number = count
    for base, exponent in factors:
        if exponent:
            result = result * base**exponent
    return result


class GatedMoments:
    """The moments of one Gaussian pair and two gates, given by their noise. A whole-number 0 means: zero by parity."""

    def __init__(self, gram: Gram, noise1: Number, noise2: Number):
        self.gram = gram
        self.noise1 = noise1
        self.noise2 = noise2
        self._both: dict[tuple[int, int], Number] = {}

    @cached_property
    def swapped(self) -> "GatedMoments":
        result = GatedMoments(self.gram.swapped(), self.noise2, self.noise1)
        result.__dict__["swapped"] = self
        return result

    @cached_property
    def _given_left(self) -> "GatedMoments":
        """Where the left gate jumps."""
        return GatedMoments(self.gram.given_left(self.noise1), 0, self.noise2)

    @cached_property
    def _density(self) -> Number:
        """2 N(0; 0, q1 + noise1): the expected derivative of the left gate."""
        a = self.gram.arithmetic
        return a.ratio(2, a.sqrt(2 * a.pi * (self.gram.q1 + self.noise1)))

    def neither(self, j: int, k: int) -> Number:
        return moment(self.gram, j, k)

    def left(self, j: int, k: int) -> Number:
        """E u^j v^k S₁(u)."""
        if (j + k) % 2 == 0 or j < 0 or k < 0:
            return 0
        g = self.gram
        if k:
            total = _sum((g.q2, k - 1, self.left(j, k - 2)), (g.c, j, self.left(j - 1, k - 1)))
            return total + g.c * self._density * self._given_left.neither(j, k - 1)
        return _sum((g.q1, j - 1, self.left(j - 2, 0))) + g.q1 * self._density * self._given_left.neither(j - 1, 0)

    def right(self, j: int, k: int) -> Number:
        """E u^j v^k S₂(v)."""
        return self.swapped.left(k, j)

    def both(self, j: int, k: int) -> Number:
        """E u^j v^k S₁(u) S₂(v)."""
        if (j + k) % 2 or j < 0 or k < 0:
            return 0
        if (j, k) not in self._both:
            self._both[j, k] = self._compute_both(j, k)
        return self._both[j, k]

    def _compute_both(self, j: int, k: int) -> Number:
        g, a = self.gram, self.gram.arithmetic
        if j == k == 0:
            spread = g.det + self.noise1 * g.q2 + self.noise2 * g.q1 + self.noise1 * self.noise2
            return a.arctan2(g.c, a.sqrt(spread)) * 2 / a.pi
        if j == 0:
            return self.swapped.both(k, 0)
        total = _sum((g.q1, j - 1, self.both(j - 2, k)), (g.c, k, self.both(j - 1, k - 1)))
        total = total + g.q1 * self._density * self._given_left.right(j - 1, k)
        return total + g.c * self.swapped._density * self.swapped._given_left.right(k, j - 1)


def _sum(*terms: tuple[Number, int, Number]) -> Number:
    """Σ a · n · b over the terms that are not zero by parity or count."""
    total: Number = 0
    for a, n, b in terms:
        if n and not (isinstance(b, int) and b == 0):
            total = total + a * n * b
    return total
