"""E p(u) q(v) for polynomials: Σ_n c^n/n! E p⁽ⁿ⁾(u) E q⁽ⁿ⁾(v) (Mehler 1866).

Unlike the sum over pairs of monomials, it cancels within one variable only: Hermite polynomials at variance 1, whose
derivatives have mean 0 but for the last, come out exactly.
"""

from collections.abc import Mapping
from math import factorial, perm

from tpl.limit.closed_forms.arithmetic import Number
from tpl.limit.closed_forms.double2 import NOISE, Double2, where
from tpl.limit.closed_forms.gates import Sum
from tpl.limit.closed_forms.gram import Gram
from tpl.limit.closed_forms.moments import odd_factorial

Polynomial = Mapping[int, Number]  # coefficients by power


def polynomials(gram: Gram, p: Polynomial, q: Polynomial) -> Sum:
    """E p(u) q(v) and the size of the terms it is summed from."""
    value: Number = 0 * gram.c
    size = value
    for n in range(min(max(p, default=-1), max(q, default=-1)) + 1):
        left, right = mean_of_derivative(gram.q1, p, n), mean_of_derivative(gram.q2, q, n)
        weight = gram.c**n if n else 1
        # Divided first: the product of the derivatives of two high powers may overflow where the term does not.
        value = value + weight * (left.value / factorial(n)) * right.value
        size = size + abs(weight) * (left.size / factorial(n)) * right.size
    return Sum(value, size)


def mean_of_derivative(variance: Number, p: Polynomial, n: int) -> Sum:
    """E p⁽ⁿ⁾(u), u ~ N(0, variance); in double-double exactly 0 where it is nothing but rounding."""
    value: Number = 0
    size: Number = 0
    for k, coefficient in p.items():
        m = (k - n) // 2
        if k >= n and (k - n) % 2 == 0:
            term = coefficient * (perm(k, n) * odd_factorial(m)) * (variance**m if m else 1)
            value, size = value + term, size + abs(term)
    if isinstance(value, Double2):
        value = where(abs(value).hi <= NOISE * size.hi, 0.0, value)
    return Sum(value, size)
