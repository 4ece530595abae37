"""Elementary functions for generated code: scalar functions without branches or calls, so that loops over them vectorise.

Accurate to about 2 units in the last place, or to what rounding the argument by one unit changes. Only generated
modules and their tests import this: it takes numba's time to import. Sources: argument reduction in two or three parts
after Cody and Waite 1980; the polynomials are those of tests/numeric/make_polynomials.py.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tpl.numeric.vectors import njit

# Fusing a product with a sum is the one liberty taken: nan and infinity keep their meaning.
inline: Callable[..., Any] = njit(forceinline=True, error_model="numpy", fastmath={"contract"})

U = np.uint64
MAGIC = 6755399441055744.0  # 1.5 · 2^52: a small whole number added to it stands in the lowest bits
MAGIC_BITS = U(0x4338000000000000)
SIGN = U(1 << 63)
CONTEXT = Context(prec=60)


def parts(value: Decimal, bits: int, count: int) -> tuple[float, ...]:
    """A constant as a sum of floats, all but the last of so few bits that small multiples of them are exact."""
    found = []
    for _ in range(count - 1):
        mantissa, exponent = math.frexp(float(value))
        found.append(math.ldexp(math.trunc(math.ldexp(mantissa, bits)), exponent - bits))
        value = CONTEXT.subtract(value, Decimal(found[-1]))
    return *found, float(value)


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
LN2_HIGH, LN2_LOW = parts(Decimal(2).ln(CONTEXT), 38, 2)
HALF_PI_1, HALF_PI_2, HALF_PI_3 = parts(PI / 2, 29, 3)
PER_LN2 = 1 / math.log(2)
PER_HALF_PI = 2 / math.pi
SQRT_HALF = math.sqrt(0.5)
SQRT_HALF_BITS = U(np.float64(SQRT_HALF).view(np.uint64))

EXP_REST = (
    0.5000000000000001, 0.16666666666666669, 0.04166666666662374, 0.008333333333330032, 0.0013888888917406447,
    0.00019841269863201828, 2.4801520996825697e-05, 2.7557268229963227e-06, 2.76202305675069e-07,
    2.5100494788905042e-08,
)  # fmt: skip
LOG_REST = (
    0.666666666666667, 0.3999999999989819, 0.28571428626570206, 0.2222221103781659, 0.18182896183483085,
    0.15331487235865734, 0.14619343453512615,
)  # fmt: skip
LOG1P_REST = (
    0.6666666666666666, 0.39999999999999525, 0.2857142857160023, 0.22222222198220246, 0.1818181989900684,
    0.15384543927176786, 0.13335179455463733, 0.1173426795617247, 0.10845268502768013, 0.07491740334509496,
    0.1563134332075557,
)  # fmt: skip
SIN_REST = (
    -0.16666666666666666, 0.008333333333330946, -0.000198412698367542, 2.7557316100283695e-06,
    -2.5051131372218632e-08, 1.5918095236696272e-10,
)  # fmt: skip
COS_REST = (
    0.041666666666666664, -0.0013888888888887395, 2.480158729876295e-05, -2.755731727031051e-07,
    2.087614597263508e-09, -1.1382611119025631e-11,
)  # fmt: skip
ERF_OVER = (
    1.1283791670955126, -0.3761263890318375, 0.11283791670954879, -0.026866170645076792, 0.0052239776248180145,
    -0.000854832698083379, 0.0001205533111164271, -1.4925595266831182e-05, 1.6461000484121368e-06,
    -1.6350312701054695e-07, 1.4659775274047436e-08, -1.1372848856791674e-09, 5.957176147748911e-11,
)  # fmt: skip
SCALED_ERFC = (
    1.2329951186255526, -0.13962111684056228, 0.015379652102619974, 0.06809705425466839, -0.10103906603631811,
    0.09373283499911264, -0.06633036581186058, 0.037167515526338006, -0.01619773406293477, 0.005031970069102256,
    -0.0007577732435942576, -0.0001992571524726518, 0.00015062142608651945, -2.4397731143023292e-05, -1.1221135665965907e-05,
    5.70657829924074e-06, 2.9173425573089733e-07, -8.210647933297337e-07, 7.771943241086912e-08, 1.0631817593818149e-07,
    -2.0725802488181963e-08, -1.2338731403798444e-08, 3.2323973445082033e-09, 9.297625263709659e-10, -2.764120233734578e-10,
)  # fmt: skip
ARCTAN = (
    0.8704197513671031, -0.10187654235021819, 0.02085185120710812, -0.005030863660250071, 0.0013155859496292637,
    -0.0003609820870537958, 0.00010227656112457649, -2.9650040727272736e-05, 8.74493865928441e-06, -2.6140726587443016e-06,
    7.898643101492844e-07, -2.4079970758706004e-07, 7.3946703181214e-08, -2.2806127912204115e-08, 7.084749388337621e-09,
    -2.268247878883474e-09, 7.111461799834528e-10, -1.7840616846746431e-10, 5.614478327142391e-11, -3.787822214408087e-11,
    1.2046030455090929e-11,
)  # fmt: skip
CENTRAL_QUANTILE = (
    2.7254910836008253, 0.2626999228099582, 0.05500817805663972, 0.014362622305456254, 0.0041659262687549865,
    0.0012849574268331777, 0.0004126330729947077, 0.00013632792340648617, 4.600206327916223e-05, 1.577764715001211e-05,
    5.4820563226914975e-06, 1.925893786436057e-06, 6.822234663497428e-07, 2.415877428606828e-07, 8.67356178593431e-08,
    3.373347939427369e-08, 1.225589887434906e-08, 2.54696961958517e-09, 9.229699786710372e-10, 1.190875819732651e-09,
    4.398892032864415e-10,
)  # fmt: skip
TAIL_QUANTILE = (
    4.727997095662227, 3.606960817872405, -0.1039725937217456, 0.053852333423515315, -0.02881766661329488,
    0.015756131635293845, -0.008752734209339554, 0.004925490222392423, -0.0028019572691902177, 0.0016046128173654928,
    -0.0009297084979788719, 0.0005674522473328388, -0.0003348413790593784, 0.00012007717098601682, -6.951873030915544e-05,
    0.00021165973493387821, -0.00013087659633092535, -0.00017058935691399875, 0.00010718735185334025, 0.00017990228412977772,
    -0.00011241357775697102, -8.511211692016166e-05, 5.325843265865528e-05, 2.316124541601136e-05, -1.4463792017486724e-05,
)  # fmt: skip
# To 1e-11, for random normal numbers.
ROUGH_LOG_REST = (
    0.6666666655352537, 0.4000012263369878, 0.2855073084477381, 0.2333291280436864,
)  # fmt: skip
ROUGH_SINE = (
    1.5707963267881, -0.6459640961467954, 0.07969258272563062, -0.004681266256726245, 0.00015820630355647733,
)  # fmt: skip
ROUGH_COSINE = (
    0.9999999999999444, -1.2337005501201592, 0.25366950715370434, -0.020863468002244645, 0.0009191617369539572,
    -2.4850963357813638e-05,
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- bits and polynomials


@intrinsic
def bits_of(typing: Any, x: Any) -> Any:
    """The bits of a float64, as uint64."""
    return types.uint64(types.float64), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.IntType(64)
    )


@intrinsic
def float_of(typing: Any, bits: Any) -> Any:
    """The float64 of 64 bits."""
    return types.float64(types.uint64), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.DoubleType()
    )


def polynomial(coefficients: Sequence[float]) -> Any:
    """A function of numba: the polynomial with these coefficients, constant first, by Horner's rule."""

    @intrinsic
    def evaluate(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            total = ir.Constant(ir.DoubleType(), coefficients[-1])
            for c in coefficients[-2::-1]:
                total = builder.fadd(
                    builder.fmul(total, args[0], ("contract",)), ir.Constant(ir.DoubleType(), c), ("contract",)
                )
            return total

        return types.float64(types.float64), generate

    return evaluate


# Of the remainder after the leading terms: e^r = 1 + r + r² …, log((1 + s) / (1 - s)) = 2 s + s³ ….
exp_rest = polynomial(EXP_REST)
log_rest = polynomial(LOG_REST)
log1p_rest = polynomial(LOG1P_REST)
sin_rest = polynomial(SIN_REST)
cos_rest = polynomial(COS_REST)
erf_over = polynomial(ERF_OVER)
scaled_erfc = polynomial(SCALED_ERFC)
arctan_over = polynomial(ARCTAN)
central_quantile = polynomial(CENTRAL_QUANTILE)
tail_quantile = polynomial(TAIL_QUANTILE)


@inline
def magnitude(x):
    return float_of(bits_of(x) & ~SIGN)


@inline
def with_sign(x, sign):
    """x ≥ 0 with the sign of another number."""
    return float_of(bits_of(x) | (bits_of(sign) & SIGN))


@inline
def whole(x):
    """The nearest whole number, as float and as the lowest bits of a word; |x| < 2^51."""
    shifted = x + MAGIC
    return shifted - MAGIC, bits_of(shifted) - MAGIC_BITS


# ---------------------------------------------------------------------------------------------- exponential and logarithm


@inline
def power_of_two(k):
    """2^k for a whole number k in bits, -1023 < k < 1024."""
    return float_of((k + U(1023)) << U(52))


@inline
def reduced(x):
    """x = k log 2 + r: k as bits, and r; x is kept to where e^x is neither 0 nor infinite."""
    x = 710.0 if x > 710.0 else x
    x = -746.0 if x < -746.0 else x
    k, bits = whole(x * PER_LN2)
    return bits, (x - k * LN2_HIGH) - k * LN2_LOW


@inline
def scaled(p, k):
    """p 2^k in two steps, each within range."""
    half = U(np.int64(k) >> 1)
    return p * power_of_two(half) * power_of_two(k - half)


@inline
def exp_of_sum(x, low):
    """e^(x + low) for a small correction `low`."""
    k, r = reduced(x)
    r = r + low
    return scaled(1.0 + (r + r * r * exp_rest(r)), k)


@inline
def exp(x):
    return exp_of_sum(x, 0.0)


@inline
def expm1(x):
    """e^x - 1 for x ≤ 0."""
    k, r = reduced(-40.0 if x < -40.0 else x)
    two = power_of_two(k)
    return two * (r + r * r * exp_rest(r)) + (two - 1.0)


@inline
def exponent_and_mantissa(x):
    """x = 2^k m for a positive normal number, m from sqrt(1/2) to sqrt(2)."""
    bits = bits_of(x)
    exponent = U(np.int64(bits - SQRT_HALF_BITS) >> 52)
    return float_of(exponent + MAGIC_BITS) - MAGIC, float_of(bits - (exponent << U(52)))


@inline
def log_of_normal(x):
    """The logarithm of a positive normal number."""
    k, m = exponent_and_mantissa(x)
    s = (m - 1.0) / (m + 1.0)
    w = s * s
    return k * LN2_HIGH + (2.0 * s + (s * w * log_rest(w) + k * LN2_LOW))


@inline
def log(x):
    tiny = x < 2.2250738585072014e-308
    found = log_of_normal(x * 18014398509481984.0 if tiny else x) - (54.0 * (LN2_HIGH + LN2_LOW) if tiny else 0.0)
    found = -math.inf if x == 0.0 else found
    return found if (x >= 0.0) & (x < math.inf) else (x if x > 0.0 else math.nan)


@inline
def log1p(y):
    """log(1 + y) for 0 ≤ y ≤ 1."""
    s = y / (2.0 + y)
    w = s * s
    return 2.0 * s + s * w * log1p_rest(w)


@inline
def sqrt(x):
    return math.sqrt(x)


@inline
def power(a, b):
    return math.pow(a, b)


# ---------------------------------------------------------------------------------------------- piecewise


@inline
def sign(x):
    return 1.0 if x > 0.0 else (-1.0 if x < 0.0 else x)


@inline
def step(x):
    return 1.0 if x > 0.0 else (0.0 if x < 0.0 else x + 0.5)


@inline
def relu(x):
    return 0.0 if x < 0.0 else x


@inline
def maximum(a, b):
    return b if (a < b) | (b != b) else a


@inline
def minimum(a, b):
    return b if (a > b) | (b != b) else a


# ---------------------------------------------------------------------------------------------- sigmoids


@inline
def tanh(x):
    y = magnitude(x)
    t = expm1(-(y + y))
    return with_sign(-t / (2.0 + t), x)


@inline
def sigmoid(x):
    e = exp(-magnitude(x))
    return (e if x < 0.0 else 1.0) / (1.0 + e)


@inline
def softplus(x):
    return relu(x) + log1p(exp(-magnitude(x)))


@inline
def silu(x):
    return x * sigmoid(x)


@inline
def upper_tail(x, scale, square):
    """erfc(scale x) for x ≥ 0, `square` = scale², 1 or 1/2: the square of x is taken in two parts."""
    x = 40.0 if x > 40.0 else x  # nothing is left of the tail there
    high = float_of(bits_of(x) & ~U(0x7FFFFFF))
    y = scale * x
    e = exp_of_sum(-high * high * square, -(x - high) * (x + high) * square)
    return e * scaled_erfc((y - 4.0) / (y + 4.0)) / (1.0 + 2.0 * y)


@inline
def erf(x):
    y = magnitude(x)
    near = x * erf_over(x * x if y < 1.0 else 0.0)
    far = with_sign(1.0 - upper_tail(y, 1.0, 1.0), x)
    return far if y >= 1.0 else near


@inline
def normal_cdf(x):
    tail = 0.5 * upper_tail(magnitude(x), SQRT_HALF, 0.5)
    return 1.0 - tail if x > 0.0 else tail


@inline
def gelu(x):
    return x * normal_cdf(x)


# ---------------------------------------------------------------------------------------------- angles


@inline
def quadrant(x):
    """x = k π/2 + r: the lowest bits of k, sin r and cos r. nan beyond 2^49, where a float no longer knows its angle."""
    x = x if magnitude(x) < 562949953421312.0 else math.nan
    k, bits = whole(x * PER_HALF_PI)
    r = ((x - k * HALF_PI_1) - k * HALF_PI_2) - k * HALF_PI_3
    w = r * r
    return bits, r + r * w * sin_rest(w), (1.0 - 0.5 * w) + w * w * cos_rest(w)


@inline
def turned(bits, sine, cosine):
    """The sine of k π/2 + r."""
    value = cosine if bits & U(1) else sine
    return float_of(bits_of(value) ^ ((bits & U(2)) << U(62)))


@inline
def sin(x):
    bits, sine, cosine = quadrant(x)
    return turned(bits, sine, cosine)


@inline
def cos(x):
    bits, sine, cosine = quadrant(x)
    return turned(bits + U(1), sine, cosine)


@inline
def arctan(x):
    y = magnitude(x)
    inside = 1.0 / y if y > 1.0 else y
    found = inside * arctan_over(2.0 * inside * inside - 1.0)
    return with_sign(HALF_PI_1 + (HALF_PI_2 - found) if y > 1.0 else found, x)


# ---------------------------------------------------------------------------------------------- the normal law


@inline
def normal_quantile(u):
    """z with P(N(0, 1) < z) = u for 2^-54 ≤ u < 1, to 2e-12."""
    q = u - 0.5
    square = q * q
    central = q * central_quantile(square / 0.07 - 1.0)
    r = math.sqrt(-log_of_normal(0.5 - magnitude(q)))
    tail = with_sign(tail_quantile((r - 3.7) / 2.4), q)
    return central if square < 0.14 else tail
