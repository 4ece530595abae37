"""Activations, functions of one variable, with what can be known of them; findings about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tpl.core.expr import Expr
from tpl.core.gradient import partial_derivatives
from tpl.numeric.integrand import values
from tpl.numeric.rounding import values_and_rounding
from tpl.numeric.smoothness import EVERYTHING, Range, ranges, smoothness
from tpl.numeric.tails import Tail, tail


@dataclass(frozen=True)
class Finding:
    """One condition: does it hold (None: not decided), found how ("symbolic" or "numeric"), within which tolerance."""

    condition: str
    holds: bool | None
    how: str
    tolerance: float | None
    sentence: str

    def __str__(self) -> str:
        numeric = self.how == "numeric" and self.tolerance is not None
        return f"{self.sentence} (numerically, tolerance {self.tolerance:.1g})" if numeric else self.sentence


@dataclass(frozen=True)
class Activation:
    """A function of z = ref(0), with values of its constants."""

    expr: Expr
    env: Mapping[str, float]

    @cached_property
    def derivative(self) -> "Activation":
        return Activation(partial_derivatives(self.expr, {0})[0][1], self.env)

    @cached_property
    def smooth(self) -> bool:
        """Infinitely differentiable, and analytic: every record of `core.functions` is, away from its kinks."""
        return smoothness(self.expr, self.env, {}).smooth

    @cached_property
    def range(self) -> Range:
        """Of values, by interval arithmetic."""
        found = [inside for _, inside, _ in ranges(self.expr, self.env, {})]
        return found[-1] if found else EVERYTHING

    @cached_property
    def tails(self) -> tuple[Tail | None, Tail | None]:
        """At -∞ and at ∞."""
        return tail(self.expr, self.env, -1), tail(self.expr, self.env, 1)

    def at(self, z: np.ndarray) -> np.ndarray:
        return values(self.expr, z[None], self.env, {})

    def with_errors(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values, and bounds on their rounding."""
        return values_and_rounding(self.expr, z[None], self.env, {})
