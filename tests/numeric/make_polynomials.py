"""The polynomials of tpl/numeric/elementary.py: python tests/numeric/make_polynomials.py prints them.

Each is the Chebyshev interpolant of a smooth function on an interval, in powers of its argument, constant first.
"""

from collections.abc import Callable

import mpmath


def interpolant(
    function: Callable[[mpmath.mpf], mpmath.mpf], degree: int, low: str = "-1", high: str = "1"
) -> tuple[float, ...]:
    """The interpolant in degree + 1 Chebyshev points, as floats."""
    with mpmath.workdps(60):
        centre, radius = (mpmath.mpf(high) + mpmath.mpf(low)) / 2, (mpmath.mpf(high) - mpmath.mpf(low)) / 2
        count = degree + 1
        angles = [mpmath.pi * (2 * j + 1) / (2 * count) for j in range(count)]
        at = [function(centre + radius * mpmath.cos(a)) for a in angles]
        chebyshev = [
            2 * sum(f * mpmath.cos(k * a) for f, a in zip(at, angles, strict=True)) / count for k in range(count)
        ]
        chebyshev[0] /= 2
        last, this = [mpmath.mpf(1)], [-centre / radius, 1 / radius]
        total = [mpmath.mpf(0)] * count
        for c in chebyshev:
            for power, value in enumerate(last):
                total[power] += c * value
            following = [mpmath.mpf(0), *(2 * v / radius for v in this)]
            for power, value in enumerate(this):
                following[power] -= 2 * value * centre / radius
            for power, value in enumerate(last):
                following[power] -= value
            last, this = this, following
        return tuple(map(float, total))


def exp_rest(r: mpmath.mpf) -> mpmath.mpf:
    """(e^r - 1 - r) / r^2."""
    return mpmath.hyp1f1(1, 3, r) / 2


def log_rest(w: mpmath.mpf) -> mpmath.mpf:
    """(log((1 + s) / (1 - s)) - 2 s) / s^3 for s^2 = w."""
    return 2 * mpmath.hyp2f1(1, 1.5, 2.5, w) / 3


def sin_rest(w: mpmath.mpf) -> mpmath.mpf:
    """(sin r - r) / r^3 for r^2 = w."""
    return -mpmath.hyper([1], [2, 2.5], -w / 4) / 6


def cos_rest(w: mpmath.mpf) -> mpmath.mpf:
    """(cos r - 1 + r^2 / 2) / r^4 for r^2 = w."""
    return mpmath.hyper([1], [2.5, 3], -w / 4) / 24


def erf_over(w: mpmath.mpf) -> mpmath.mpf:
    """erf(x) / x for x^2 = w."""
    return mpmath.erf(mpmath.sqrt(w)) / mpmath.sqrt(w)


def sine_of_turn(w: mpmath.mpf) -> mpmath.mpf:
    """sin(t pi/2) / t for t^2 = w."""
    return mpmath.sin(mpmath.sqrt(w) * mpmath.pi / 2) / mpmath.sqrt(w)


def cosine_of_turn(w: mpmath.mpf) -> mpmath.mpf:
    """cos(t pi/2) for t^2 = w."""
    return mpmath.cos(mpmath.sqrt(w) * mpmath.pi / 2)


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


POLYNOMIALS: dict[str, tuple] = {
    "EXP_REST": (exp_rest, 9, "-0.347", "0.347"),
    "LOG_REST": (log_rest, 6, "0", "0.0295"),
    "LOG1P_REST": (log_rest, 10, "0", "0.11112"),
    "SIN_REST": (sin_rest, 5, "0", "0.617"),
    "COS_REST": (cos_rest, 5, "0", "0.617"),
    "ERF_OVER": (erf_over, 12, "0", "1"),
    "SCALED_ERFC": (scaled_erfc, 24),
    "ARCTAN": (arctan_over, 20),
    "CENTRAL_QUANTILE": (central_quantile, 20),
    "TAIL_QUANTILE": (tail_quantile, 24),
    "ROUGH_LOG_REST": (log_rest, 3, "0", "0.0295"),
    "ROUGH_SINE": (sine_of_turn, 4, "0", "0.25"),
    "ROUGH_COSINE": (cosine_of_turn, 5, "0", "0.25"),
}

if __name__ == "__main__":
    for name, polynomial in POLYNOMIALS.items():
        print(f"{name} = (\n" + "".join(f"    {c!r},\n" for c in interpolant(*polynomial)) + ")\n")
