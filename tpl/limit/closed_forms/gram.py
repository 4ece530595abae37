"""The covariance of two centred Gaussians (u, v), with its determinant kept to full relative accuracy."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tpl.limit.closed_forms import double2 as d2
from tpl.limit.closed_forms.arithmetic import DOUBLE2, FLOAT, Arithmetic, Number
from tpl.limit.closed_forms.double2 import Double2


@dataclass(frozen=True)
class Gram:
    """E u² = q1, E v² = q2, E uv = c, det = q1 q2 - c² >= 0.

    Near |ρ| = 1 everything depends on det, which the rounded product of the variances cannot give: it is carried along,
    and every operation below computes the new one by sums of nonnegative numbers.
    """

    q1: Number
    q2: Number
    c: Number
    det: Number
    arithmetic: Arithmetic

    @staticmethod
    def of(q1: np.ndarray, q2: np.ndarray, c: np.ndarray) -> "Gram":
        """From float64 arrays, in double-double. Where c² > q1 q2 by rounding, c is clamped to ±√(q1 q2)."""
        product = Double2(*d2.two_product(q1, q2))
        det = product - Double2(*d2.two_product(c, c))
        covariance = Double2(c, np.zeros_like(c))
        if (det.hi < 0).any():
            bound = d2.sqrt(product) * np.where(c < 0, -1.0, 1.0)
            covariance = d2.where(det.hi < 0, bound, covariance)
            det = d2.where(det.hi < 0, 0.0, det)
        zeros = np.zeros_like(c)
        return Gram(Double2(q1, zeros), Double2(q2, zeros), covariance, det, DOUBLE2)

    def to_float(self) -> "Gram":
        q1, q2, c, det = (x.to_float() for x in (self.q1, self.q2, self.c, self.det))
        return Gram(q1, q2, c, det, FLOAT)

    def at(self, index: Any) -> "Gram":
        """The entries at an index."""
        return replace(self, q1=self.q1[index], q2=self.q2[index], c=self.c[index], det=self.det[index])

    def swapped(self) -> "Gram":
        """Of (v, u)."""
        return replace(self, q1=self.q2, q2=self.q1)

    def doubled(self) -> "Gram":
        """Of (u, u)."""
        return replace(self, q2=self.q1, c=self.q1, det=0 * self.q1)

    def folded(self) -> tuple["Gram", Any]:
        """The covariance with |c| instead of c, and the sign of c, 1 at 0. Numbers only."""
        if isinstance(self.c, Double2):
            return replace(self, c=abs(self.c)), np.where(self.c.hi < 0, -1.0, 1.0)
        return replace(self, c=np.abs(self.c)), np.where(self.c < 0, -1.0, 1.0)

    def given_left(self, noise: Number) -> "Gram":
        """Of (u, v) given that u + w = 0, where w is independent noise of the given variance."""
        ratio = self.arithmetic.ratio
        if self.arithmetic.is_zero(noise):
            return Gram(0, ratio(self.det, self.q1), 0, 0, self.arithmetic)
        total = self.q1 + noise
        return Gram(
            ratio(self.q1 * noise, total),
            ratio(self.det + noise * self.q2, total),
            ratio(self.c * noise, total),
            ratio(self.det * noise, total),
            self.arithmetic,
        )

    def tilted(self, a1: Number, a2: Number) -> tuple["Gram", Number]:
        """The Gaussian of density proportional to exp(a1 u² + a2 v²) times this one, and D = E[exp(…)]^{-2}.

        From (Σ^{-1} - 2 diag(a1, a2))^{-1}. D <= 0 where the integral diverges (or D is that of a saddle).
        """
        divisor = 1 - 2 * a1 * self.q1 - 2 * a2 * self.q2 + 4 * a1 * a2 * self.det
        q1, q2 = (self.q1 - 2 * a2 * self.det) / divisor, (self.q2 - 2 * a1 * self.det) / divisor
        return Gram(q1, q2, self.c / divisor, self.det / divisor, self.arithmetic), divisor
