"""One record a formula: two functions, what a paper writes for E left(u) right(v), and where it is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tpl.core.expr import Expr, apply, number, ref, substitute
from tpl.limit.closed_forms.dual import Dual, dual

Side = Expr | Callable[..., Expr]
Parameters = Mapping[str, float]
Z = ref(0)


@dataclass(frozen=True)
class ClosedForm:
    """E left(u) right(v) = formula(q1, q2, c), (u, v) centred Gaussian with E u² = q1, E v² = q2, E uv = c.

    left, right: expressions in ref(0) and in symbols, the parameters; or functions from parameters to expressions.
    written: from sympy, q1, q2, c and the parameters to the formula.
    examples: parameters to test with; the first is the formula's plainest instance.
    """

    name: str
    left: Side
    right: Side
    written: Callable[..., Any]
    source: str
    examples: tuple[Parameters, ...] = ({},)

    def sides(self, **parameters: float) -> tuple[Expr, Expr]:
        """The two functions, with numbers for the parameters."""
        left, right = (_side(side, parameters) for side in (self.left, self.right))
        return left, right

    def value(self, q1: Any, q2: Any, c: Any, **parameters: float) -> np.ndarray:
        """The formula in numbers, for arrays that broadcast: see `Dual.value`."""
        return _dual_of(*self.sides(**parameters)).value(q1, q2, c)

    def formula(self, q1: Any, q2: Any, c: Any, **parameters: Any) -> Any:
        """The formula in sympy."""
        import sympy

        return self.written(sympy, q1, q2, c, **parameters)


def _side(side: Side, parameters: Parameters) -> Expr:
    if not isinstance(side, Expr):
        return side(**parameters)
    return substitute(side, lambda leaf: number(parameters[str(leaf.value)]) if leaf.value in parameters else leaf)


@lru_cache(maxsize=256)
def _dual_of(left: Expr, right: Expr) -> Dual:
    result = dual(left, right)
    assert result is not None, f"no closed form of {left!r}, {right!r}"
    return result


def normal_cdf(s: Any, x: Any) -> Any:
    """P(N(0, 1) < x); left alone by sympy, which would write 2 - erfc(x/√2) and lose the far tail."""
    return s.erfc(-x / s.sqrt(2), evaluate=False) / 2


def function(name: str) -> Expr:
    """A function of the language at z."""
    return apply(name, Z)
