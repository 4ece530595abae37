"""Records of error functions, gelu, Gaussians, exponentials and waves."""

from typing import Any

from tpl.core.expr import ONE, Expr, add, apply, div, mul, neg, number, power, symbol
from tpl.limit.closed_forms.record import ClosedForm, Z, function, normal_cdf

WILLIAMS = "Williams 1997, Computing with infinite networks"
TSUCHIDA = "Tsuchida, Pearce, van der Heide, Roosta, Gallagher 2021, Avoiding kernel fixed points"
HAN = "Han, Zandieh, Lee, Novak, Xiao, Karbasi 2022, Fast neural kernel embeddings for general activations"
DANIELY = "Daniely, Frostig, Singer 2016, Toward deeper understanding of neural networks"
STEIN = "Stein's lemma"
FOURIER = "characteristic function of a Gaussian"
TILT = "Gaussian integral"

ERF, GELU, SIN, COS, EXP = (function(name) for name in ("erf", "gelu", "sin", "cos", "exp"))
RELU, STEP, SIGN, ABS = (function(name) for name in ("relu", "step", "sign", "abs"))
_PI = symbol("pi")
_TWO = number(2)
_SQUARE = power(Z, _TWO)
CDF = div(add(ONE, apply("erf", div(Z, apply("sqrt", _TWO)))), _TWO)
DENSITY = div(apply("exp", neg(div(_SQUARE, _TWO))), apply("sqrt", mul(_TWO, _PI)))
GELU_PRIME = add(CDF, mul(Z, DENSITY))
ERF_PRIME = mul(div(_TWO, apply("sqrt", _PI)), apply("exp", neg(_SQUARE)))
BELL = apply("exp", neg(_SQUARE))


def _bell(name: str) -> Expr:
    return apply("exp", neg(mul(symbol(name), _SQUARE)))


def _spread(q1: Any, q2: Any, c: Any) -> Any:
    """(1 + 2 q1)(1 + 2 q2) - 4 c²."""
    return (1 + 2 * q1) * (1 + 2 * q2) - 4 * c**2


# ---------------------------------------------------------------------------------------------- erf and gelu
def _erf_erf(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    return 2 * s.asin(2 * c / s.sqrt((1 + 2 * q1) * (1 + 2 * q2))) / s.pi


def _erf_sign(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    return 2 * s.asin(2 * c / s.sqrt((1 + 2 * q1) * 2 * q2)) / s.pi


def _cdf_cdf(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    return s.Rational(1, 4) + s.asin(c / s.sqrt((1 + q1) * (1 + q2))) / (2 * s.pi)


def _gelu_gelu(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    product = (1 + q1) * (1 + q2)
    rational = (q1 * q2 + c**2 * (1 - q1 * q2) / product) / s.sqrt(product - c**2)
    return c / 4 + (c * s.asin(c / s.sqrt(product)) + rational) / (2 * s.pi)


def _gelu_prime_gelu_prime(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    a, b = 1 + q1, 1 + q2
    spread = a * b - c**2
    rational = c * (1 / a + 1 / b + 1 / spread) / s.sqrt(spread)
    return s.Rational(1, 4) + (s.asin(c / s.sqrt(a * b)) + rational) / (2 * s.pi)


def _gelu_relu(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    a = 1 + q1
    return c / 4 + (c * s.asin(c / s.sqrt(a * q2)) + q1 * s.sqrt(a * q2 - c**2) / a) / (2 * s.pi)


def _gelu_squared(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    rational = 2 * q1**2 / ((1 + q1) * s.sqrt(1 + 2 * q1))
    return q1 / 4 + (q1 * s.asin(q1 / (1 + q1)) + rational) / (2 * s.pi)


def _gelu_shift(s: Any, q1: Any, q2: Any, c: Any, shift: Any) -> Any:
    a = 1 + q1
    bell = q1 * s.exp(-(shift**2) / (2 * a)) / s.sqrt(2 * s.pi * a)
    return shift * normal_cdf(s, shift / s.sqrt(a)) + bell


SHIFTS = ({"shift": 0.5}, {"shift": -2.0}, {"shift": 30.0})
_S = add(Z, symbol("shift"))

SOFT = (
    ClosedForm("erf × erf", ERF, ERF, _erf_erf, WILLIAMS),
    ClosedForm("erf' × erf'", ERF_PRIME, ERF_PRIME,
               lambda s, q1, q2, c: 4 / (s.pi * s.sqrt(_spread(q1, q2, c))), f"{WILLIAMS}, differentiated in c"),
    ClosedForm("erf × linear", ERF, Z, lambda s, q1, q2, c: 2 * c / s.sqrt(s.pi * (1 + 2 * q1)), STEIN),
    ClosedForm("erf × cube", ERF, power(Z, number(3)),
               lambda s, q1, q2, c: 2 * c * (3 * q2 - 2 * c**2 / (1 + 2 * q1)) / s.sqrt(s.pi * (1 + 2 * q1)), STEIN),
    ClosedForm("erf × sign", ERF, SIGN, _erf_sign, f"{WILLIAMS}, one slope to infinity"),
    ClosedForm("erf × step", ERF, STEP, lambda s, *q: _erf_sign(s, *q) / 2, f"{WILLIAMS}, one slope to infinity"),
    ClosedForm("erf × relu", ERF, RELU, lambda s, q1, q2, c: c / s.sqrt(s.pi * (1 + 2 * q1)), STEIN),
    ClosedForm("erf × abs", ERF, ABS, lambda s, q1, q2, c: s.S.Zero, "parity"),
    ClosedForm("erf²", power(ERF, _TWO), ONE, lambda s, q1, q2, c: 2 * s.asin(2 * q1 / (1 + 2 * q1)) / s.pi, WILLIAMS),
    ClosedForm("erf(z + shift)", apply("erf", _S), ONE,
               lambda s, q1, q2, c, shift: s.erf(shift / s.sqrt(1 + 2 * q1)), WILLIAMS, SHIFTS),
    ClosedForm("normal cdf × normal cdf", CDF, CDF, _cdf_cdf, WILLIAMS),
    ClosedForm("gelu × gelu", GELU, GELU, _gelu_gelu, f"{TSUCHIDA}; {HAN}"),
    ClosedForm("gelu' × gelu'", GELU_PRIME, GELU_PRIME, _gelu_prime_gelu_prime, f"{TSUCHIDA}; {HAN}"),
    ClosedForm("gelu × linear", GELU, Z, lambda s, q1, q2, c: c / 2, STEIN),
    ClosedForm("gelu × step", GELU, STEP,
               lambda s, q1, q2, c: (q1 / s.sqrt(1 + q1) + c / s.sqrt(q2)) / (2 * s.sqrt(2 * s.pi)), STEIN),
    ClosedForm("gelu × relu", GELU, RELU, _gelu_relu, STEIN),
    ClosedForm("gelu × erf", GELU, ERF, lambda s, q1, q2, c: c / s.sqrt(s.pi * (1 + 2 * q2)), STEIN),
    ClosedForm("gelu", GELU, ONE, lambda s, q1, q2, c: q1 / s.sqrt(2 * s.pi * (1 + q1)), STEIN),
    ClosedForm("gelu²", power(GELU, _TWO), ONE, _gelu_squared, TSUCHIDA),
    ClosedForm("gelu(z + shift)", apply("gelu", _S), ONE, _gelu_shift, STEIN, SHIFTS),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------- Gaussians
WIDTHS = ({"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 2.0}, {"a": 1e-3, "b": 30.0})


def _bells(s: Any, q1: Any, q2: Any, c: Any, a: Any, b: Any) -> Any:
    return 1 / s.sqrt((1 + 2 * a * q1) * (1 + 2 * b * q2) - 4 * a * b * c**2)


def _bell_cos(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    return s.exp(-(q2 + 2 * (q1 * q2 - c**2)) / (2 * (1 + 2 * q1))) / s.sqrt(1 + 2 * q1)


GAUSSIANS = (
    ClosedForm("Gaussian × Gaussian", _bell("a"), _bell("b"), _bells, f"{WILLIAMS}; {HAN}", WIDTHS),
    ClosedForm("z Gaussian × z Gaussian", mul(Z, _bell("a")), mul(Z, _bell("b")),
               lambda s, q1, q2, c, a, b: c * _bells(s, q1, q2, c, a, b) ** 3, HAN, WIDTHS),
    ClosedForm("Gaussian", BELL, ONE, lambda s, q1, q2, c: 1 / s.sqrt(1 + 2 * q1), TILT),
    ClosedForm("Gaussian × square", BELL, _SQUARE,
               lambda s, q1, q2, c: (q2 + 2 * (q1 * q2 - c**2)) / s.sqrt(1 + 2 * q1) ** 3, TILT),
    ClosedForm("Gaussian × abs", BELL, ABS,
               lambda s, q1, q2, c: s.sqrt(2 * (q2 + 2 * (q1 * q2 - c**2)) / s.pi) / (1 + 2 * q1), TILT),
    ClosedForm("Gaussian × cos", BELL, COS, _bell_cos, TILT),
    ClosedForm("erf × Gaussian", ERF, BELL, lambda s, q1, q2, c: s.S.Zero, "parity"),
    ClosedForm("erf × z Gaussian", ERF, mul(Z, BELL),
               lambda s, q1, q2, c: 2 * c / ((1 + 2 * q2) * s.sqrt(s.pi * _spread(q1, q2, c))), STEIN),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- waves, exponentials
def _exp_relu(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    bell = s.sqrt(q2 / (2 * s.pi)) * s.exp((q1 - c**2 / q2) / 2)
    return s.exp(q1 / 2) * c * normal_cdf(s, c / s.sqrt(q2)) + bell


def _cos_abs(s: Any, q1: Any, q2: Any, c: Any) -> Any:
    bell = s.sqrt(2 * q2 / s.pi) * s.exp((c**2 / q2 - q1) / 2)
    return bell - s.exp(-q1 / 2) * c * s.erfi(c / s.sqrt(2 * q2))


WAVES = (
    ClosedForm("sin × sin", SIN, SIN, lambda s, q1, q2, c: s.exp(-(q1 + q2) / 2) * s.sinh(c), f"{FOURIER}; {DANIELY}"),
    ClosedForm("cos × cos", COS, COS, lambda s, q1, q2, c: s.exp(-(q1 + q2) / 2) * s.cosh(c), f"{FOURIER}; {DANIELY}"),
    ClosedForm("sin × cos", SIN, COS, lambda s, q1, q2, c: s.S.Zero, "parity"),
    ClosedForm("cos", COS, ONE, lambda s, q1, q2, c: s.exp(-q1 / 2), FOURIER),
    ClosedForm("sin²", power(SIN, _TWO), ONE, lambda s, q1, q2, c: (1 - s.exp(-2 * q1)) / 2, FOURIER),
    ClosedForm("sin × linear", SIN, Z, lambda s, q1, q2, c: c * s.exp(-q1 / 2), STEIN),
    ClosedForm("cos × square", COS, _SQUARE, lambda s, q1, q2, c: (q2 - c**2) * s.exp(-q1 / 2), STEIN),
    ClosedForm("sin × sign", SIN, SIGN, lambda s, q1, q2, c: s.exp(-q1 / 2) * s.erfi(c / s.sqrt(2 * q2)), FOURIER),
    ClosedForm("sin × relu", SIN, RELU, lambda s, q1, q2, c: c * s.exp(-q1 / 2) / 2, STEIN),
    ClosedForm("sin × erf", SIN, ERF, lambda s, q1, q2, c: s.exp(-q1 / 2) * s.erfi(c / s.sqrt(1 + 2 * q2)), FOURIER),
    ClosedForm("cos × abs", COS, ABS, _cos_abs, FOURIER),
    ClosedForm("cos × relu", COS, RELU, lambda s, *q: _cos_abs(s, *q) / 2, FOURIER),
)  # fmt: skip

EXPONENTIALS = (
    ClosedForm("exp", EXP, ONE, lambda s, q1, q2, c: s.exp(q1 / 2), TILT),
    ClosedForm("exp × exp", EXP, EXP, lambda s, q1, q2, c: s.exp((q1 + q2 + 2 * c) / 2), f"{TILT}; {DANIELY}"),
    ClosedForm("exp × linear", EXP, Z, lambda s, q1, q2, c: c * s.exp(q1 / 2), STEIN),
    ClosedForm("exp × sin", EXP, SIN, lambda s, q1, q2, c: s.exp((q1 - q2) / 2) * s.sin(c), FOURIER),
    ClosedForm("exp × cos", EXP, COS, lambda s, q1, q2, c: s.exp((q1 - q2) / 2) * s.cos(c), FOURIER),
    ClosedForm("exp · cos", mul(EXP, COS), ONE, lambda s, q1, q2, c: s.cos(q1), FOURIER),
    ClosedForm("exp × step", EXP, STEP, lambda s, q1, q2, c: s.exp(q1 / 2) * normal_cdf(s, c / s.sqrt(q2)), TILT),
    ClosedForm("exp × relu", EXP, RELU, _exp_relu, TILT),
    ClosedForm("exp × erf", EXP, ERF, lambda s, q1, q2, c: s.exp(q1 / 2) * s.erf(c / s.sqrt(1 + 2 * q2)), TILT),
)  # fmt: skip

SMOOTH = (*SOFT, *GAUSSIANS, *WAVES, *EXPONENTIALS)
