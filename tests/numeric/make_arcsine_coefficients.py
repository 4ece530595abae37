"""The polynomial of `tpl.numeric.pairwise_functions`: asin(√z)/√z on [0, 1/2], by Chebyshev interpolation in 40 digits.

    python tests/numeric/make_arcsine_coefficients.py

prints the coefficients, lowest first, and the greatest relative error of the polynomial in exact arithmetic.
"""

import mpmath

DEGREE = 18
END = mpmath.mpf(1) / 2


def arcsine_ratio(z):
    """asin(√z)/√z, which is analytic at 0."""
    return mpmath.asin(mpmath.sqrt(z)) / mpmath.sqrt(z) if z else mpmath.mpf(1)


def coefficients(degree=DEGREE):
    """Of the powers of z."""
    with mpmath.workdps(40):
        count = degree + 1
        nodes = [END / 2 * (1 + mpmath.cos(mpmath.pi * (k + mpmath.mpf(1) / 2) / count)) for k in range(count)]
        rows = mpmath.matrix([[node**j for j in range(count)] for node in nodes])
        return [float(x) for x in mpmath.lu_solve(rows, mpmath.matrix([arcsine_ratio(z) for z in nodes]))]


def relative_error(values, points=2000):
    with mpmath.workdps(40):
        grid = [END * k / points for k in range(points + 1)]
        return float(max(abs(mpmath.polyval(values[::-1], z) / arcsine_ratio(z) - 1) for z in grid))


if __name__ == "__main__":
    found = coefficients()
    print(*(repr(x) for x in found), sep=",\n")
    print(f"relative error {relative_error(found):.1e}")
