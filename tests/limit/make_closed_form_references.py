"""Reference values of the closed forms by quadrature: writes closed_form_references.json beside this file.

    PYTHONPATH=. python tests/limit/make_closed_form_references.py      (from the repository root; half an hour)

E left(u) right(v) = ∫ left(u) m(u) dN(u; 0, q1), m(u) = E[right(v) | u], where v given u is N(c u/q1, det/q1). The
outer integral is a sum in 80-digit arithmetic: Gauss-Legendre over panels split at kinks and at every scale of the
integrand, or the trapezoidal rule where all is smooth and wide. Two resolutions must agree to 1e-23 relative. m is
elementary for every right-hand function, and is itself checked against quadrature. Nothing here comes from tpl but the
expressions of the records and their list. 25 digits are written. Points where a wave would turn too often, or where the
value over- or underflows float64, are left out.
"""

import json
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

from mpmath import mp

from tpl.core.expr import show
from tpl.limit.closed_forms import RECORDS

DIGITS = 80
AGREEMENT = mp.mpf("1e-23")
ZERO = mp.mpf("1e-40")  # what is below this times the integral of the absolute value, and not resolved, is 0
ORDERS = (36, 44)
STEPS = (0.2, 0.16)  # of the trapezoidal rule, in units of the smallest scale
OUTPUT = Path(__file__).with_name("closed_form_references.json")

VARIANCES = ((1.0, 1.0), (1e-6, 1.0), (1e6, 1e-6), (1e6, 1e6), (0.7, 2.3))
CORRELATIONS = (0.0, 0.3, -0.9, 1 - 1e-12, -(1 - 1e-12), 1.0, -1.0)


def points():
    """(q1, q2, c) in float64, exactly as the closed forms get them."""
    return [(a, b, r * (a * b) ** 0.5) for a, b in VARIANCES for r in CORRELATIONS]


# ---------------------------------------------------------------------------------------------- functions of z
FUNCTIONS = {
    "add": lambda *a: mp.fsum(a), "sub": lambda a, b: a - b, "neg": lambda a: -a, "mul": lambda *a: mp.fprod(a),
    "div": lambda a, b: a / b, "pow": lambda a, b: a ** int(b), "exp": mp.exp, "sqrt": mp.sqrt, "abs": abs,
    "sign": mp.sign, "step": lambda z: (1 + mp.sign(z)) / 2, "relu": lambda z: max(z, mp.zero), "erf": mp.erf,
    "sin": mp.sin, "cos": mp.cos, "gelu": lambda z: z * mp.erfc(-z / mp.sqrt(2)) / 2,
}  # fmt: skip


def evaluate(expr, z):
    """An expression at z, in mpmath."""
    if expr.op == "ref":
        return z
    if expr.op == "number":
        value = expr.value
        return mp.mpf(value) if isinstance(value, float) else mp.mpf(value.numerator) / value.denominator
    if expr.op == "symbol":
        return {"pi": mp.pi}[expr.value] + 0
    return FUNCTIONS[expr.op](*(evaluate(a, z) for a in expr.args))


# ---------------------------------------------------------------------------------------------- E g(x), x ~ N(m, s)
def moments(m, s, degree):
    found = [mp.one, m]
    for k in range(2, degree + 1):
        found.append(m * found[k - 1] + (k - 1) * s * found[k - 2])
    return found


def half_moments(m, s, degree):
    """E x^k over x > 0."""
    if s == 0:
        return [m**k if m > 0 else mp.mpf(k == 0 and m == 0) / 2 for k in range(degree + 1)]
    bell = mp.exp(-(m**2) / (2 * s)) / mp.sqrt(2 * mp.pi * s)
    found = [mp.erfc(-m / mp.sqrt(2 * s)) / 2]
    found.append(m * found[0] + s * bell)
    for k in range(2, degree + 1):
        found.append(m * found[k - 1] + (k - 1) * s * found[k - 2])
    return found


def upper(k):
    return lambda m, s: half_moments(m, s, k)[k]


def lower(k):
    return lambda m, s: (-1) ** k * half_moments(-m, s, k)[k]


def leaky(a, b, k):
    """a z^k for z > 0, and -b z^k (k = 0, 1) for z < 0."""
    return lambda m, s: a * upper(k)(m, s) - b * lower(k)(m, s)


def polynomial(coefficients):
    return lambda m, s: mp.fsum(a * x for a, x in zip(coefficients, moments(m, s, len(coefficients)), strict=False))


def gaussian(a, k):
    """z^k exp(-a z²)."""

    def mean(m, s):
        t = 1 + 2 * a * s
        return moments(m / t, s / t, k)[k] * mp.exp(-a * m**2 / t) / mp.sqrt(t)

    return mean


def cdf(m, s):
    return mp.erfc(-m / mp.sqrt(2 * (1 + s))) / 2


def gelu(m, s):
    return m * cdf(m, s) + s * mp.exp(-(m**2) / (2 * (1 + s))) / mp.sqrt(2 * mp.pi * (1 + s))


MEANS = {
    "step($0)": upper(0), "relu($0)": upper(1), "relu($0)^2": upper(2), "relu($0)^3": upper(3),
    "sign($0)": lambda m, s: upper(0)(m, s) - lower(0)(m, s), "abs($0)": lambda m, s: upper(1)(m, s) - lower(1)(m, s),
    "$0 * abs($0)": lambda m, s: upper(2)(m, s) - lower(2)(m, s),
    "erf($0)": lambda m, s: mp.erf(m / mp.sqrt(1 + 2 * s)), "gelu($0)": gelu,
    "sin($0)": lambda m, s: mp.exp(-s / 2) * mp.sin(m), "cos($0)": lambda m, s: mp.exp(-s / 2) * mp.cos(m),
    "exp($0)": lambda m, s: mp.exp(m + s / 2), "exp(-$0^2)": gaussian(1, 0), "$0 * exp(-$0^2)": gaussian(1, 1),
}  # fmt: skip


def hermite(n):
    before, now = [0], [1]
    for m in range(n):
        after = [0, *now]
        for i, a in enumerate(before):
            after[i] -= m * a
        before, now = now, after
    return now


def mean_of(name, right, parameters):
    """m, from what the right-hand function is."""
    text = show(right)
    if text in MEANS:
        return MEANS[text]
    if name.startswith("leaky"):
        return leaky(mp.mpf(parameters["a"]), mp.mpf(parameters["b"]), 0 if "'" in name else 1)
    if name.startswith("Hermite"):
        return polynomial(hermite(parameters["k"]))
    if "Gaussian × " in name and parameters:
        return gaussian(mp.mpf(parameters["b"]), int(name.startswith("z")))
    if name == "erf' × erf'":
        return lambda m, s: 2 / mp.sqrt(mp.pi) * gaussian(1, 0)(m, s)
    if name == "normal cdf × normal cdf":
        return cdf
    if name == "gelu' × gelu'":
        return lambda m, s: cdf(m, s) + gaussian(mp.mpf(1) / 2, 1)(m, s) / mp.sqrt(2 * mp.pi)
    powers = {"1": 0, "$0": 1} | {f"$0^{k}": k for k in range(2, 12)}
    return polynomial([0] * powers[text] + [1])


def check_mean(right, mean):
    """m against quadrature."""
    for m, s in ((mp.mpf("0.4"), mp.mpf("0.3")), (mp.mpf(-2), mp.mpf("1.7"))):
        root = mp.sqrt(s)
        cuts = sorted({-25, -12, -6, -3, 0, 3, 6, 12, 25, -m / root})
        direct = mp.quad(lambda w, m=m, root=root: evaluate(right, m + root * w) * mp.npdf(w), cuts)
        assert abs(direct - mean(m, s)) < mp.mpf(10) ** -40 * max(1, abs(direct)), show(right)


# ---------------------------------------------------------------------------------------------- quadrature
@cache
def legendre(n):
    """Nodes and weights on [-1, 1]."""
    found = []
    for i in range(n):
        x = mp.cos(mp.pi * (i + mp.mpf(3) / 4) / (n + mp.mpf(1) / 2))
        for _ in range(8):
            a, b = mp.one, x
            for k in range(2, n + 1):
                a, b = b, ((2 * k - 1) * x * b - (k - 1) * a) / k
            slope = n * (x * b - a) / (x**2 - 1)
            x -= b / slope
        found.append((x, 2 / ((1 - x**2) * slope**2)))
    return found


def edges(center, smallest, reach):
    """Panels around a centre: growing fourfold from the smallest scale to 1, then of length 2."""
    steps = [mp.zero, smallest]
    while steps[-1] < 1:
        steps.append(min(4 * steps[-1], mp.one))
    while steps[-1] < reach:
        steps.append(steps[-1] + 2)
    return [center - x for x in reversed(steps[1:])] + [center + x for x in steps]


def integrate(f, cuts, order):
    total = mp.zero
    for a, b in pairwise(cuts):
        half, middle = (b - a) / 2, (a + b) / 2
        total += half * mp.fsum(w * f(middle + half * x) for x, w in legendre(order))
    return total


def trapezoidal(f, step, reach):
    """Converges like e^{-(2π/step)²/2} for an entire function times e^{-w²/2}."""
    return step * mp.fsum(f(step * k) for k in range(-int(reach / step), int(reach / step) + 1))


def kinked(expr):
    return any(name in show(expr) for name in ("step", "sign", "abs", "relu"))


def reference(name, left, right, mean, parameters, point):
    """E left(u) right(v), or None if the point is out of reach."""
    q1, q2, c = map(mp.mpf, point)
    det = q1 * q2 - c**2
    if det <= 0:  # by rounding: v is a multiple of u
        det, c = mp.zero, mp.sign(c) * mp.sqrt(q1 * q2)
    sides = (left, q1), (right, q2)
    shift = mp.mpf(parameters.get("shift", 0))
    root, spread = mp.sqrt(q1), det / q1
    peak = 0
    if "exp" in show(left) and "exp(-" not in show(left):
        peak = root + (c / root if show(right) == "exp($0)" else 0)
        if q1 + (q2 + 2 * c if show(right) == "exp($0)" else 0) > 1400:
            return None
    if any(variance > 900 and any(wave in show(side) for wave in ("sin", "cos")) for side, variance in sides):
        return None
    center = -shift / root
    if abs(center) > 37:
        if shift < 0:
            return None
        center = mp.zero
    soft = min([1.0] + [parameters[k] ** -0.5 for k in "ab" if k in parameters and "Gaussian" in name])
    scales = [mp.one, soft / root]
    if c:
        scales += [x * root / abs(c) for x in (mp.sqrt(spread), mp.sqrt(spread + soft**2)) if x]
    reach = 16 + abs(center) + abs(peak)

    def integrand(w):
        u = root * w
        f = evaluate(left, u)
        return f * mean(c / q1 * u, spread) * mp.npdf(w) if f else mp.zero

    smooth = not kinked(left) and (det or not kinked(right)) and min(scales) > 0.05
    cuts = sorted({*edges(center, min(scales) / 4, reach), mp.zero})

    def resolved(f, level):
        return trapezoidal(f, min(scales) * STEPS[level], reach) if smooth else integrate(f, cuts, ORDERS[level])

    rough, fine = (resolved(integrand, level) for level in (0, 1))
    if abs(rough - fine) > AGREEMENT * abs(fine):
        size = resolved(lambda w: abs(integrand(w)), 0)
        assert abs(fine) < ZERO * size, (name, parameters, point, rough, fine)
        return "0"
    return mp.nstr(fine, 25) if not fine or 1e-300 < abs(fine) < 1e300 else None


def references(name):
    record = RECORDS[name]
    found = []
    for parameters in record.examples:
        left, right = record.sides(**parameters)
        mean = mean_of(name, right, parameters)
        check_mean(right, mean)
        found.append([reference(name, left, right, mean, parameters, point) for point in points()])
    return found


def main():
    mp.dps = DIGITS
    done = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() and "--continue" in sys.argv else {}
    for name in RECORDS:
        if name not in done:
            done[name] = references(name)
            OUTPUT.write_text(json.dumps(done, ensure_ascii=False, indent=0), encoding="utf-8")
            print(name, flush=True)


if __name__ == "__main__":
    main()
