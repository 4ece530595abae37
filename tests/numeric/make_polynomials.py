"""The polynomials of tpl/numeric/elementary.py: python tests/numeric/make_polynomials.py prints them.

Each is the Chebyshev interpolant of a smooth function on [-1, 1], in powers of its argument, constant first.
"""

from collections.abc import Callable

import mpmath


def interpolant(function: Callable[[mpmath.mpf], mpmath.mpf], degree: int) -> tuple[float, ...]:
    """The interpolant in degree + 1 Chebyshev points, as floats."""
    with mpmath.workdps(60):
        count = degree + 1
        angles = [mpmath.pi * (2 * j + 1) / (2 * count) for j in range(count)]
        at = [function(mpmath.cos(a)) for a in angles]
        chebyshev = [
            2 * sum(f * mpmath.cos(k * a) for f, a in zip(at, angles, strict=True)) / count for k in range(count)
        ]
        chebyshev[0] /= 2
        last, this = [mpmath.mpf(1)], [mpmath.mpf(0), mpmath.mpf(1)]
        total = [mpmath.mpf(0)] * count
        for c in chebyshev:
            for power, value in enumerate(last):
                total[power] += c * value
            following = [mpmath.mpf(0), *(2 * v for v in this)]
            for power, value in enumerate(last):
                following[power] -= value
            last, this = this, following
        return tuple(map(float, total))


def scaled_erfc(t: mpmath.mpf) -> mpmath.mpf:
    """(1 + 2 y) exp(y^2) erfc(y) for t = (y - 4) / (y + 4), y >= 0 (the variable of Shepherd and Laframboise 1981)."""
    if t == 1:
        return 2 / mpmath.sqrt(mpmath.pi)
    y = 4 * (1 + t) / (1 - t)
    if y > 1e4:  # the asymptotic series
        series = mpmath.nsum(lambda k: (-1) ** int(k) * mpmath.fac2(2 * k - 1) / (2 * y * y) ** k, [0, 8], method="d")
        return (1 + 2 * y) / (y * mpmath.sqrt(mpmath.pi)) * series
    return (1 + 2 * y) * mpmath.exp(y * y) * mpmath.erfc(y)


def arctan_over(t: mpmath.mpf) -> mpmath.mpf:
    """arctan(x) / x for t = 2 x^2 - 1."""
    x = mpmath.sqrt((t + 1) / 2)
    return mpmath.atan(x) / x


def normal_quantile(log_u: mpmath.mpf) -> mpmath.mpf:
    """z >= 0 with P(N(0, 1) > z) = exp(log_u)."""
    start = mpmath.sqrt(max(-2 * log_u - 1.4, 0.01))
    return mpmath.findroot(lambda z: mpmath.log(mpmath.erfc(z / mpmath.sqrt(2)) / 2) - log_u, start)


def central_quantile(t: mpmath.mpf) -> mpmath.mpf:
    """z / q, P(N(0, 1) < z) = 1/2 + q, for q^2 = 0.14 (t + 1) / 2."""
    q = mpmath.sqrt(mpmath.mpf("0.14") * (t + 1) / 2)
    return mpmath.sqrt(2) * mpmath.erfinv(2 * q) / q


def tail_quantile(t: mpmath.mpf) -> mpmath.mpf:
    """z >= 0, P(N(0, 1) > z) = exp(-r^2), for r = 3.7 + 2.4 t."""
    return normal_quantile(-((mpmath.mpf("3.7") + mpmath.mpf("2.4") * t) ** 2))


POLYNOMIALS = {
    "SCALED_ERFC": (scaled_erfc, 24),
    "ARCTAN": (arctan_over, 20),
    "CENTRAL_QUANTILE": (central_quantile, 20),
    "TAIL_QUANTILE": (tail_quantile, 24),
}

if __name__ == "__main__":
    for name, (function, degree) in POLYNOMIALS.items():
        print(f"{name} = (\n" + "".join(f"    {c!r},\n" for c in interpolant(function, degree)) + ")\n")
