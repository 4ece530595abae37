"""The three number systems in which every closed form is evaluated by the same code: float64, double-double, sympy."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from tpl.limit.closed_forms import double2 as d2
from tpl.limit.closed_forms.double2 import Double2

Number = Any  # a float64 array, a Double2 or a sympy expression; also int and Fraction


@dataclass(frozen=True)
class Arithmetic:
    """Elementary functions of one number system.

    ratio(a, b): a / b, and 0 where b = 0: a variable without variance contributes nothing to what is divided by it
    (sympy: where b is 0 as it stands). where(condition, a, b): numbers only.
    """

    name: str
    number: Callable[[Any], Number]
    pi: Number
    sqrt: Callable[[Number], Number]
    exp: Callable[[Number], Number]
    cos_sin: Callable[[Number], tuple[Number, Number]]
    arctan2: Callable[[Number, Number], Number]
    ratio: Callable[[Number, Number], Number]
    is_zero: Callable[[Number], bool]
    where: Callable[[Any, Number, Number], Number]

    @property
    def symbolic(self) -> bool:
        return self.name == "sympy"


def _float(value: Any) -> Number:
    return value.to_float() if isinstance(value, Double2) else float(value) if isinstance(value, Fraction) else value


def _float_ratio(a: Any, b: Any) -> Any:
    return np.where(b == 0, 0.0, a / np.where(b == 0, 1.0, b))


FLOAT = Arithmetic(
    "float64",
    number=_float,
    pi=np.pi,
    sqrt=np.sqrt,
    exp=np.exp,
    cos_sin=lambda a: (np.cos(a), np.sin(a)),
    arctan2=np.arctan2,
    ratio=_float_ratio,
    is_zero=lambda a: bool(np.all(a == 0)),
    where=np.where,
)


def _double2(value: Any) -> Double2:
    result = d2.lift(value)
    assert result is not None, f"not a number: {value!r}"
    return result


def _double2_ratio(a: Any, b: Any) -> Double2:
    a, b = _double2(a), _double2(b)
    zero = b.hi == 0
    return d2.where(zero, 0.0, a / d2.where(zero, 1.0, b))


def _double2_is_zero(a: Any) -> bool:
    return bool(np.all(_double2(a).hi == 0))


DOUBLE2 = Arithmetic(
    "double-double",
    number=_double2,
    pi=d2.PI,
    sqrt=lambda a: d2.sqrt(_double2(a)),
    exp=lambda a: d2.exp(_double2(a)),
    cos_sin=lambda a: d2.cos_sin(_double2(a)),
    arctan2=lambda y, x: d2.arctan2(_double2(y), _double2(x)),
    ratio=_double2_ratio,
    is_zero=_double2_is_zero,
    where=d2.where,
)


@cache
def sympy_arithmetic() -> Arithmetic:
    """Exact formulas, for covariances that are not degenerate, or plainly so (c = q1 = q2)."""
    import sympy

    return Arithmetic(
        "sympy",
        number=lambda a: sympy.Rational(a.numerator, a.denominator),
        pi=sympy.pi,
        sqrt=sympy.sqrt,
        exp=sympy.exp,
        cos_sin=lambda a: (sympy.cos(a), sympy.sin(a)),
        # The second argument is a square root here, so that the angle lies in [-π/2, π/2].
        arctan2=lambda y, x: sympy.S.Zero if y == 0 else sympy.asin(y / sympy.sqrt(sympy.expand(y**2 + x**2))),
        ratio=lambda a, b: sympy.S.Zero if b == 0 else a / b,
        is_zero=lambda a: bool(a == 0),
        where=_no_choice,
    )


def _no_choice(condition: Any, a: Number, b: Number) -> Number:
    raise TypeError("symbolic formulas make no choices")


def nonzero(value: Number) -> bool:
    """Is it anything but a single zero?"""
    if isinstance(value, Double2):
        return bool(np.ndim(value.hi)) or bool(value.hi)
    return isinstance(value, np.ndarray) or bool(value != 0)


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex number over any of the systems, for Fourier integrals: sums and products only."""

    re: Number
    im: Number

    def __add__(self, other: Any) -> "Complex":
        b = _complex(other)
        return Complex(self.re + b.re, self.im + b.im)

    __radd__ = __add__

    def __mul__(self, other: Any) -> "Complex":
        if isinstance(other, Complex):
            return Complex(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)
        return Complex(self.re * other, self.im * other)

    __rmul__ = __mul__


def _complex(value: Any) -> Complex:
    return value if isinstance(value, Complex) else Complex(value, 0)
