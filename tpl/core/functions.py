"""The elementwise functions of the language: one record holds everything known about one function.

Adding a record is all it takes to add a function: the parser, the interpreters, reverse mode and the tests
(derivative against finite differences, scalar against array evaluation) read this registry.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tpl.core.expr import ONE, ZERO, Expr, add, apply, div, mul, neg, number, power, sub, symbol

Partials = Callable[..., tuple[Expr, ...]]


@dataclass(frozen=True)
class Function:
    """An elementwise function R^arity -> R.

    arity: number of arguments, None for any number (n-ary sum and product).
    array: evaluates float64 arrays; scalar: evaluates floats (constants and scalars).
    partials: from argument expressions to the partial derivatives, one an argument, almost everywhere.
    smooth: infinitely differentiable where defined. kinks: arguments at which it is not (one-argument functions).
    polynomial_growth: |f| is bounded by a polynomial, which the Master Theorem asks of a nonlinearity.
    """

    name: str
    arity: int | None
    array: Callable[..., np.ndarray]
    scalar: Callable[..., float]
    partials: Partials
    latex: str
    doc: str
    smooth: bool = True
    kinks: tuple[float, ...] = ()
    polynomial_growth: bool = True
    operator: bool = False


def _erf(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf  # heavy to import, and few programs need it

    return erf(x)


def _phi_cdf(x: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(x)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _sum(*args: np.ndarray) -> np.ndarray:
    total = args[0] + args[1]
    for a in args[2:]:
        total = total + a
    return total


def _product(*args: np.ndarray) -> np.ndarray:
    total = args[0] * args[1]
    for a in args[2:]:
        total = total * a
    return total


def _multiply_partials(*args: Expr) -> tuple[Expr, ...]:
    return tuple(mul(*args[:i], *args[i + 1 :]) for i in range(len(args)))


def _pow_partials(a: Expr, b: Expr) -> tuple[Expr, ...]:
    lowered = mul(b, power(a, sub(b, ONE)))
    return lowered, ZERO if b.is_number else mul(power(a, b), apply("log", a))


def _gauss_density(z: Expr) -> Expr:
    return div(apply("exp", neg(div(power(z, number(2)), number(2)))), apply("sqrt", mul(number(2), symbol("pi"))))


def _one_argument(
    name: str,
    array: Callable[[np.ndarray], np.ndarray],
    scalar: Callable[[float], float],
    derivative: Callable[[Expr], Expr],
    latex: str,
    doc: str,
    **properties: object,
) -> Function:
    return Function(name, 1, array, scalar, lambda z: (derivative(z),), latex, doc, **properties)  # type: ignore[arg-type]


def _via(array: Callable[[np.ndarray], np.ndarray]) -> Callable[[float], float]:
    """Evaluate a float through the array rule, so that the two cannot differ."""
    return lambda x: float(array(np.float64(x)))  # type: ignore[arg-type]


def _compute_gelu(x: np.ndarray) -> np.ndarray:
    return x * _phi_cdf(x)


def _compute_silu(x: np.ndarray) -> np.ndarray:
    return x * _sigmoid(x)


def _call(name: str) -> Callable[[Expr], Expr]:
    return lambda z: apply(name, z)


_TWO = number(2)
_SQUARE = lambda z: power(z, _TWO)  # noqa: E731

_RECORDS = (
    Function("add", None, _sum, lambda *a: sum(a), lambda *a: (ONE,) * len(a), "+", "sum", operator=True),
    Function("sub", 2, np.subtract, lambda a, b: a - b, lambda a, b: (ONE, number(-1)), "-", "difference", operator=True),
    Function("neg", 1, np.negative, lambda a: -a, lambda a: (number(-1),), "-", "negation", operator=True),
    Function("mul", None, _product, lambda *a: math.prod(a), _multiply_partials, r"\,", "product", operator=True),
    Function("div", 2, np.divide, lambda a, b: a / b,
             lambda a, b: (div(ONE, b), neg(div(a, power(b, _TWO)))), r"\frac", "quotient", operator=True,
             smooth=False, polynomial_growth=False),
    Function("pow", 2, np.power, lambda a, b: _real_power(a, b), _pow_partials, "^", "power", operator=True),
    _one_argument("exp", np.exp, math.exp, _call("exp"), r"\exp", "e^z", polynomial_growth=False),
    _one_argument("log", np.log, math.log, lambda z: div(ONE, z), r"\log", "natural logarithm", smooth=False),
    _one_argument("sqrt", np.sqrt, math.sqrt, lambda z: div(ONE, mul(_TWO, apply("sqrt", z))), r"\sqrt", "square root",
                  smooth=False),
    _one_argument("abs", np.abs, abs, _call("sign"), r"\operatorname{abs}", "absolute value", smooth=False, kinks=(0.0,)),
    _one_argument("sign", np.sign, _via(np.sign), lambda z: ZERO, r"\operatorname{sign}", "-1, 0 or 1", smooth=False,
                  kinks=(0.0,)),
    _one_argument("step", lambda x: np.heaviside(x, 0.5), lambda x: float(np.heaviside(x, 0.5)), lambda z: ZERO,
                  r"\operatorname{step}", "1 for z > 0, 0 for z < 0, 1/2 at 0", smooth=False, kinks=(0.0,)),
    _one_argument("relu", lambda x: np.maximum(x, 0.0), lambda x: max(x, 0.0), _call("step"), r"\operatorname{relu}",
                  "max(z, 0)", smooth=False, kinks=(0.0,)),
    Function("max", 2, np.maximum, max, lambda a, b: (apply("step", sub(a, b)), apply("step", sub(b, a))), r"\max",
             "the larger", smooth=False),
    Function("min", 2, np.minimum, min, lambda a, b: (apply("step", sub(b, a)), apply("step", sub(a, b))), r"\min",
             "the smaller", smooth=False),
    _one_argument("tanh", np.tanh, math.tanh, lambda z: sub(ONE, _SQUARE(apply("tanh", z))), r"\tanh",
                  "hyperbolic tangent"),
    _one_argument("sigmoid", _sigmoid, _via(_sigmoid),
                  lambda z: mul(apply("sigmoid", z), sub(ONE, apply("sigmoid", z))), r"\sigma", "1/(1 + e^-z)"),
    _one_argument("softplus", _softplus, _via(_softplus), _call("sigmoid"), r"\operatorname{softplus}", "log(1 + e^z)"),
    _one_argument("silu", _compute_silu, _via(_compute_silu),
                  lambda z: mul(apply("sigmoid", z),
                                add(ONE, mul(z, sub(ONE, apply("sigmoid", z))))), r"\operatorname{silu}", "z sigmoid(z)"),
    _one_argument("gelu", _compute_gelu, _via(_compute_gelu),
                  lambda z: add(div(add(ONE, apply("erf", div(z, apply("sqrt", _TWO)))), _TWO),
                                mul(z, _gauss_density(z))), r"\operatorname{gelu}", "z P(N(0,1) < z)"),
    _one_argument("erf", _erf, math.erf,
                  lambda z: mul(div(_TWO, apply("sqrt", symbol("pi"))), apply("exp", neg(_SQUARE(z)))),
                  r"\operatorname{erf}", "error function"),
    _one_argument("sin", np.sin, math.sin, _call("cos"), r"\sin", "sine"),
    _one_argument("cos", np.cos, math.cos, lambda z: neg(apply("sin", z)), r"\cos", "cosine"),
    _one_argument("arctan", np.arctan, math.atan, lambda z: div(ONE, add(ONE, _SQUARE(z))), r"\arctan", "arc tangent"),
)  # fmt: skip


def _real_power(a: float, b: float) -> float:
    result = a**b
    if isinstance(result, complex):
        raise ValueError(f"{a} ^ {b} is not a real number")
    return result


FUNCTIONS: dict[str, Function] = {record.name: record for record in _RECORDS}

# What a program may call by name; the operators have signs instead.
CALLABLE: dict[str, Function] = {name: f for name, f in FUNCTIONS.items() if not f.operator}

# Constants that need no declaration.
BUILTIN_CONSTANTS: dict[str, float] = {"pi": math.pi}
