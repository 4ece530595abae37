"""Records of polynomials, steps, signs and relu: the arc-cosine kernels and what one or two kinks make of monomials."""

from math import comb, factorial
from typing import Any

from tpl.core.expr import ONE, Expr, add, apply, mul, neg, number, power, sub, symbol
from tpl.limit.closed_forms.moments import odd_factorial
from tpl.limit.closed_forms.record import ClosedForm, Z, function, normal_cdf

CHO_SAUL = "Cho and Saul 2009, Kernel methods for deep learning"
ISSERLIS = "Isserlis 1918"
STEIN = "Stein's lemma"
SHEPPARD = "Sheppard 1899"
PRICE = "Price 1958, by integration in c"

RELU, STEP, SIGN, ABS = (function(name) for name in ("relu", "step", "sign", "abs"))


def _squared(f: Expr) -> Expr:
    return power(f, number(2))


def _opening(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    """π - θ, θ the angle between u and v."""
    return s.pi - s.acos(c / s.sqrt(q1 * q2))


def _arcsine(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    return s.asin(c / s.sqrt(q1 * q2))


def _root(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    return s.sqrt(q1 * q2 - c**2)


# ---------------------------------------------------------------------------------------------- polynomials
def _monomial(s: Any, q1: Any, q2: Any, c: Any, j: int, k: int) -> Any:
    """Σ over the number i of pairs (u, v) of their count times c^i q1^{(j-i)/2} q2^{(k-i)/2}."""
    if (j + k) % 2:
        return s.S.Zero
    return s.Add(*(
        comb(j, i) * comb(k, i) * factorial(i) * odd_factorial((j - i) // 2) * odd_factorial((k - i) // 2)
        * c**i * q1 ** ((j - i) // 2) * q2 ** ((k - i) // 2)
        for i in range(j % 2, min(j, k) + 1, 2)
    ))  # fmt: skip


def hermite(n: int) -> Expr:
    """He_n(z), orthogonal for N(0, 1): He_{n+1} = z He_n - n He_{n-1}."""
    before, now = number(0), ONE
    for m in range(n):
        before, now = now, sub(mul(Z, now), mul(number(m), before))
    return now


def _hermite(s: Any, q1: Any, q2: Any, c: Any, j: int, k: int) -> Any:
    """The coefficient of x^j y^k / (j! k!) in E e^{xu - x²/2} e^{yv - y²/2} = e^{(q1-1)x²/2 + (q2-1)y²/2 + cxy}."""
    if (j + k) % 2:
        return s.S.Zero
    terms = []
    for i in range(j % 2, min(j, k) + 1, 2):
        a, b = (j - i) // 2, (k - i) // 2
        count = s.Rational(factorial(j) * factorial(k), factorial(i) * factorial(a) * factorial(b))
        terms.append(count * c**i * ((q1 - 1) / 2) ** a * ((q2 - 1) / 2) ** b)
    return s.Add(*terms)


# ---------------------------------------------------------------------------------------------- arc cosines
def _arccos2(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    return (3 * c * _root(s, q1, q2, c) + (q1 * q2 + 2 * c**2) * _opening(s, q1, q2, c)) / (2 * s.pi)


def _arccos3(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    smooth = (4 * q1 * q2 + 11 * c**2) * _root(s, q1, q2, c)
    return (smooth + (9 * q1 * q2 * c + 6 * c**3) * _opening(s, q1, q2, c)) / (2 * s.pi)


def _relu_cubed_relu(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    return ((2 * q1 + c**2 / q2) * _root(s, q1, q2, c) + 3 * q1 * c * _opening(s, q1, q2, c)) / (2 * s.pi)


def _leaky(s: Any, q1: Any, q2: Any, c: Any, a: Any, b: Any) -> Any:
    root, opening = _root(s, q1, q2, c), _opening(s, q1, q2, c)
    return ((a**2 + b**2) * (root + c * opening) + 2 * a * b * (root + c * (opening - s.pi))) / (2 * s.pi)


def _leaky_step(s: Any, q1: Any, q2: Any, c: Any, a: Any, b: Any) -> Any:
    opening = _opening(s, q1, q2, c)
    return ((a**2 + b**2) * opening - 2 * a * b * (s.pi - opening)) / (2 * s.pi)


def _degrees(*pairs: tuple[int, int]) -> tuple[dict[str, float], ...]:
    return tuple({"j": j, "k": k} for j, k in pairs)


LEAKY = add(mul(symbol("a"), RELU), mul(symbol("b"), apply("relu", neg(Z))))
LEAKY_STEP = sub(mul(symbol("a"), STEP), mul(symbol("b"), apply("step", neg(Z))))
SLOPES = ({"a": 1.0, "b": -0.1}, {"a": 2.0, "b": 0.5}, {"a": 1.0, "b": 1.0}, {"a": 1.0, "b": -1.0})

POLYNOMIALS = (
    ClosedForm("linear × linear", Z, Z, lambda s, q1, q2, c: c, "definition"),
    ClosedForm("monomial × monomial", lambda j, k: power(Z, number(j)), lambda j, k: power(Z, number(k)), _monomial,
               ISSERLIS, _degrees((1, 1), (2, 2), (3, 1), (4, 2), (5, 3), (6, 6), (7, 3), (9, 9), (2, 1))),
    ClosedForm("Hermite × Hermite", lambda j, k: hermite(j), lambda j, k: hermite(k), _hermite,
               "Mehler 1866, from the generating function",
               _degrees((1, 1), (2, 2), (3, 3), (3, 1), (4, 2), (5, 5), (6, 4), (8, 8))),
)  # fmt: skip

ARC_COSINES = (
    ClosedForm("step × step", STEP, STEP, lambda s, *q: _opening(s, *q) / (2 * s.pi), f"{CHO_SAUL}: order 0"),
    ClosedForm("relu × relu", RELU, RELU,
               lambda s, q1, q2, c: (_root(s, q1, q2, c) + c * _opening(s, q1, q2, c)) / (2 * s.pi),
               f"{CHO_SAUL}: order 1"),
    ClosedForm("relu² × relu²", _squared(RELU), _squared(RELU), _arccos2, f"{CHO_SAUL}: order 2"),
    ClosedForm("relu³ × relu³", power(RELU, number(3)), power(RELU, number(3)), _arccos3, f"{CHO_SAUL}: order 3"),
    ClosedForm("relu × step", RELU, STEP,
               lambda s, q1, q2, c: (s.sqrt(q1) + c / s.sqrt(q2)) / (2 * s.sqrt(2 * s.pi)), STEIN),
    ClosedForm("relu² × step", _squared(RELU), STEP,
               lambda s, q1, q2, c: (q1 * _opening(s, q1, q2, c) + c * _root(s, q1, q2, c) / q2) / (2 * s.pi), STEIN),
    ClosedForm("relu² × relu", _squared(RELU), RELU,
               lambda s, q1, q2, c: (s.sqrt(q1 * q2) + c) ** 2 / (2 * s.sqrt(2 * s.pi * q2)), STEIN),
    ClosedForm("relu³ × relu", power(RELU, number(3)), RELU, _relu_cubed_relu, STEIN),
    ClosedForm("leaky relu × leaky relu", LEAKY, LEAKY, _leaky, f"{CHO_SAUL}, by linearity", SLOPES),
    ClosedForm("leaky relu' × leaky relu'", LEAKY_STEP, LEAKY_STEP, _leaky_step, f"{CHO_SAUL}, by linearity", SLOPES),
)  # fmt: skip

SIGNS = (
    ClosedForm("sign × sign", SIGN, SIGN, lambda s, *q: 2 * _arcsine(s, *q) / s.pi, SHEPPARD),
    ClosedForm("abs × abs", ABS, ABS,
               lambda s, q1, q2, c: 2 * (_root(s, q1, q2, c) + c * _arcsine(s, q1, q2, c)) / s.pi, PRICE),
    ClosedForm("signed square × signed square", mul(Z, ABS), mul(Z, ABS),
               lambda s, q1, q2, c: 2 * (3 * c * _root(s, q1, q2, c)
                                         + (q1 * q2 + 2 * c**2) * _arcsine(s, q1, q2, c)) / s.pi, PRICE),
    ClosedForm("sign × step", SIGN, STEP, lambda s, *q: _arcsine(s, *q) / s.pi, SHEPPARD),
    ClosedForm("sign × relu", SIGN, RELU, lambda s, q1, q2, c: c / s.sqrt(2 * s.pi * q1), STEIN),
    ClosedForm("sign × abs", SIGN, ABS, lambda s, q1, q2, c: s.S.Zero, "parity"),
    ClosedForm("abs × relu", ABS, RELU,
               lambda s, q1, q2, c: (_root(s, q1, q2, c) + c * _arcsine(s, q1, q2, c)) / s.pi, PRICE),
    ClosedForm("abs × step", ABS, STEP, lambda s, q1, q2, c: s.sqrt(q1 / (2 * s.pi)), "parity"),
)  # fmt: skip

ONE_KINK = (
    ClosedForm("relu × linear", RELU, Z, lambda s, q1, q2, c: c / 2, STEIN),
    ClosedForm("relu × square", RELU, _squared(Z),
               lambda s, q1, q2, c: (s.sqrt(q1) * q2 + c**2 / s.sqrt(q1)) / s.sqrt(2 * s.pi), STEIN),
    ClosedForm("relu × cube", RELU, power(Z, number(3)), lambda s, q1, q2, c: 3 * c * q2 / 2, STEIN),
    ClosedForm("step × linear", STEP, Z, lambda s, q1, q2, c: c / s.sqrt(2 * s.pi * q1), STEIN),
    ClosedForm("step × square", STEP, _squared(Z), lambda s, q1, q2, c: q2 / 2, "parity"),
    ClosedForm("sign × linear", SIGN, Z, lambda s, q1, q2, c: c * s.sqrt(2 / (s.pi * q1)), STEIN),
    ClosedForm("sign × cube", SIGN, power(Z, number(3)),
               lambda s, q1, q2, c: s.sqrt(2 / s.pi) * c * (3 * q2 - c**2 / q1) / s.sqrt(q1), STEIN),
    ClosedForm("abs × square", ABS, _squared(Z),
               lambda s, q1, q2, c: s.sqrt(2 / s.pi) * (s.sqrt(q1) * q2 + c**2 / s.sqrt(q1)), STEIN),
    ClosedForm("relu", RELU, ONE, lambda s, q1, q2, c: s.sqrt(q1 / (2 * s.pi)), "half-normal mean"),
    ClosedForm("step", STEP, ONE, lambda s, q1, q2, c: s.Rational(1, 2), "parity"),
    ClosedForm("abs", ABS, ONE, lambda s, q1, q2, c: s.sqrt(2 * q1 / s.pi), "half-normal mean"),
    ClosedForm("relu²", _squared(RELU), ONE, lambda s, q1, q2, c: q1 / 2, "parity"),
)  # fmt: skip

_S = symbol("shift")
SHIFTS = ({"shift": 0.5}, {"shift": -2.0}, {"shift": 30.0})


def _tail(s: Any, q: Any, x: Any) -> Any:
    """P(u + x > 0), x of any sign."""
    return normal_cdf(s, x / s.sqrt(q))


def _bell(s: Any, q: Any, x: Any) -> Any:
    """q times the density of u at x."""
    return s.sqrt(q / (2 * s.pi)) * s.exp(-(x**2) / (2 * q))


SHIFTED = (
    ClosedForm("step(z + shift)", apply("step", add(Z, _S)), ONE, lambda s, q1, q2, c, shift: _tail(s, q1, shift),
               "normal distribution", SHIFTS),
    ClosedForm("relu(z + shift)", apply("relu", add(Z, _S)), ONE,
               lambda s, q1, q2, c, shift: shift * _tail(s, q1, shift) + _bell(s, q1, shift),
               "normal distribution", SHIFTS),
    ClosedForm("abs(z + shift)", apply("abs", add(Z, _S)), ONE,
               lambda s, q1, q2, c, shift: shift * s.erf(shift / s.sqrt(2 * q1)) + 2 * _bell(s, q1, shift),
               "folded normal distribution", SHIFTS),
    ClosedForm("relu(z + shift) × linear", apply("relu", add(Z, _S)), Z,
               lambda s, q1, q2, c, shift: c * _tail(s, q1, shift), STEIN, SHIFTS),
)  # fmt: skip

GATES = (*POLYNOMIALS, *ARC_COSINES, *SIGNS, *ONE_KINK, *SHIFTED)
