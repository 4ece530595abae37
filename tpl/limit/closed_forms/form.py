"""A function of one Gaussian as a sum of terms with closed forms: coefficient · shape.

    shape = z^power · exp(square z² + linear z) · cos or sin (frequency z) · Π gate(scale z + shift)

where a gate is sign (hard) or erf (soft). relu(z) = z (1 + sign z)/2, |z| = z sign z, gelu(z) = z (1 + erf(z/√2))/2,
so that one algebra holds them all, and products of terms are terms again. Coefficients are constant expressions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from tpl.core.expr import ONE, ZERO, Expr, add, apply, div, leaves, mul, neg, number, power, show
from tpl.limit.closed_forms.constants import is_closed, same, sign_of

MAX_TERMS = 100
MAX_POWER = 100
MAX_DEPTH = 200
MAX_SIZE = 1000  # of a constant inside a shape, as a tree
_TWO = number(2)
_HALF = number(Fraction(1, 2))


class NoForm(Exception):
    """The function is no such sum."""


@dataclass(frozen=True, slots=True)
class Gate:
    """sign(scale z + shift) if hard, else erf(scale z + shift)."""

    scale: Expr
    shift: Expr
    hard: bool

    @property
    def centred(self) -> bool:
        return self.shift == ZERO


@dataclass(frozen=True, slots=True)
class Shape:
    """z^power · exp(square z² + linear z) · wave(frequency z) · Π gates; wave is "cos", "sin" or "" for none."""

    power: int = 0
    square: Expr = ZERO
    linear: Expr = ZERO
    wave: str = ""
    frequency: Expr = ZERO
    gates: tuple[Gate, ...] = ()

    @property
    def still(self) -> bool:
        """Centred: neither an exponential that shifts the mean nor a shifted gate."""
        return self.linear == ZERO and all(g.centred for g in self.gates)

    @property
    def is_power(self) -> bool:
        return self == Shape(self.power)


Form = dict[Shape, Expr]


def form_of(expr: Expr) -> Form | None:
    """The terms of a function of one reference; None if it has others than those above."""
    if expr.depth > MAX_DEPTH:
        return None
    try:
        return _unified(_Reader().read(expr))
    except (NoForm, ArithmeticError, ValueError):
        return None


def _unified(form: Form) -> Form:
    """Numbers written differently (1/√2, √2/2) in one way, so that their terms meet."""
    known: list[Expr] = []

    def one(value: Expr) -> Expr:
        if value.is_number or not is_closed(value):
            return value
        for other in known:
            if same(value, other):
                return other
        known.append(value)
        return value

    def shape(s: Shape) -> Shape:
        gates = tuple(Gate(one(g.scale), one(g.shift), g.hard) for g in s.gates)
        return Shape(s.power, one(s.square), one(s.linear), s.wave, one(s.frequency), gates)

    return total(*({shape(s): c} for s, c in form.items()))


def constant(value: Expr) -> Form:
    return {} if value.is_value(0) else {Shape(): value}


VARIABLE: Form = {Shape(1): ONE}


def total(*forms: Form) -> Form:
    result: Form = {}
    for form in forms:
        for shape, coefficient in form.items():
            result[shape] = add(result.get(shape, ZERO), coefficient)
    return _checked({s: c for s, c in result.items() if not c.is_value(0)})


def scaled(form: Form, factor: Expr) -> Form:
    return {} if factor.is_value(0) else {s: mul(factor, c) for s, c in form.items()}


def product(a: Form, b: Form) -> Form:
    terms = []
    for s, x in a.items():
        for t, y in b.items():
            shapes = _shape_product(s, t)
            terms += [{shape: mul(factor, x, y)} for shape, factor in shapes]
    return total(*terms)


def whole_power(form: Form, exponent: int) -> Form:
    if exponent > MAX_POWER:
        raise NoForm
    result = constant(ONE)
    for digit in f"{exponent:b}":  # by squares
        result = product(result, result)
        if digit == "1":
            result = product(result, form)
    return result


def _power_of_exponential(form: Form, exponent: Expr) -> Form | None:
    """(c e^{az² + bz})^r for any number r; None for other forms, and where c may be negative and r is not whole."""
    if len(form) != 1:
        return None
    ((shape, coefficient),) = form.items()
    if shape.power or shape.wave or shape.gates:
        return None
    whole = exponent.is_number and float(exponent.value).is_integer()  # type: ignore[arg-type]
    if not whole and sign_of(coefficient) != 1:
        return None
    return {Shape(0, mul(exponent, shape.square), mul(exponent, shape.linear)): power(coefficient, exponent)}


def _checked(form: Form) -> Form:
    if len(form) > MAX_TERMS or any(s.power > MAX_POWER for s in form):
        raise NoForm
    return form


def _shape_product(s: Shape, t: Shape) -> list[tuple[Shape, Expr]]:
    gates, sign = _gate_product(s.gates, t.gates)
    base = Shape(s.power + t.power, add(s.square, t.square), add(s.linear, t.linear), gates=gates)
    if not (s.wave and t.wave):
        return [(replace(base, wave=s.wave or t.wave, frequency=s.frequency if s.wave else t.frequency), sign)]
    return [
        (replace(base, wave=wave, frequency=frequency), mul(_HALF, sign, factor))
        for wave, frequency, factor in _wave_product(s.wave, s.frequency, t.wave, t.frequency)
    ]


def _gate_product(first: tuple[Gate, ...], second: tuple[Gate, ...]) -> tuple[tuple[Gate, ...], Expr]:
    """The gates of a product and its sign: sign² = 1, and sign(az) sign(bz) = sign(a) sign(b)."""
    gates, sign = list(first), ONE
    for gate in second:
        same_kink = [g for g in gates if gate.hard and g.hard and (g == gate or (g.centred and gate.centred))]
        if same_kink:
            gates.remove(same_kink[0])
            if same_kink[0] != gate:
                sign = mul(sign, *(apply("sign", g.scale) for g in (same_kink[0], gate)))
        else:
            gates.append(gate)
    return tuple(sorted(gates, key=lambda g: (g.hard, show(g.scale), show(g.shift)))), sign


def _wave_product(a: str, x: Expr, b: str, y: Expr) -> list[tuple[str, Expr, Expr]]:
    """Product to sum: twice wave_a(x z) wave_b(y z), as (wave, frequency, coefficient)."""
    minus = number(-1)
    apart, together = add(x, neg(y)), add(x, y)
    kind = "cos" if a == b else "sin"
    signs = minus if (a, b) == ("cos", "sin") else ONE, minus if (a, b) == ("sin", "sin") else ONE
    waves = [_wave(kind, f) for f in (apart, together)]
    return [(w, f, mul(sign, s)) for (w, f, s), sign in zip(waves, signs, strict=True) if not s.is_value(0)]


def _wave(kind: str, frequency: Expr) -> tuple[str, Expr, Expr]:
    """Wave, frequency and sign of cos or sin, the frequency not negative where its sign is known."""
    sign = sign_of(frequency)
    if sign == 0:
        return "", ZERO, ONE if kind == "cos" else ZERO
    if sign == -1:
        return kind, neg(frequency), ONE if kind == "cos" else number(-1)
    return kind, frequency, ONE


class _Reader:
    """One walk over an expression, with memory for shared subtrees."""

    def __init__(self) -> None:
        self._forms: dict[int, Form] = {}

    def read(self, node: Expr) -> Form:
        found = self._forms.get(id(node))
        if found is None:
            found = self._forms[id(node)] = self._read(node)
        return found

    def _read(self, node: Expr) -> Form:
        op = node.op
        if op == "ref":
            return VARIABLE
        if not leaves(node, "ref"):
            return constant(node)
        if op == "pow":
            return self._power(node)
        args = [self.read(a) for a in node.args]
        if op == "add":
            return total(*args)
        if op == "sub":
            return total(args[0], scaled(args[1], number(-1)))
        if op == "neg":
            return scaled(args[0], number(-1))
        if op == "mul":
            result = args[0]
            for a in args[1:]:
                result = product(result, a)
            return result
        if op == "div":
            return product(args[0], _reciprocal(args[1]))
        if op not in _RULES:
            raise NoForm
        return _RULES[op](*args)

    def _power(self, node: Expr) -> Form:
        base, exponent = node.args
        if leaves(exponent, "ref"):
            if leaves(base, "ref") or sign_of(base) != 1:
                raise NoForm
            return _exp(scaled(self.read(exponent), apply("log", base)))
        form = self.read(base)
        found = _power_of_exponential(form, exponent)
        if found is not None:
            return found
        if not exponent.is_number or not float(exponent.value).is_integer():  # type: ignore[arg-type]
            raise NoForm
        n = int(exponent.value)  # type: ignore[arg-type]
        return whole_power(form if n >= 0 else _reciprocal(form), abs(n))


def _reciprocal(form: Form) -> Form:
    """Of a constant or a single exponential."""
    if len(form) != 1:
        raise NoForm
    ((shape, coefficient),) = form.items()
    if shape.power or shape.wave or shape.gates:
        raise NoForm
    return {Shape(0, neg(shape.square), neg(shape.linear)): div(ONE, coefficient)}


def _affine(form: Form) -> tuple[Expr, Expr]:
    """Slope and intercept."""
    if any(not s.is_power or s.power > 1 or c.size > MAX_SIZE for s, c in form.items()):
        raise NoForm
    return form.get(Shape(1), ZERO), form.get(Shape(0), ZERO)


def _exp(form: Form) -> Form:
    if any(not s.is_power or s.power > 2 or c.size > MAX_SIZE for s, c in form.items()):
        raise NoForm
    c, b, a = (form.get(Shape(k), ZERO) for k in range(3))
    return {Shape(0, a, b): apply("exp", c) if c != ZERO else ONE}


def _sine(form: Form, cosine: bool) -> Form:
    """sin(bz + s) = cos s sin bz + sin s cos bz."""
    b, s = _affine(form)
    (sin_wave, f, sign), (cos_wave, g, _) = _wave("sin", b), _wave("cos", b)
    sin_s, cos_s = (apply("sin", s), apply("cos", s)) if s != ZERO else (ZERO, ONE)
    straight = {Shape(wave=sin_wave, frequency=f): mul(sign, neg(sin_s) if cosine else cos_s)}
    return total(straight, {Shape(wave=cos_wave, frequency=g): cos_s if cosine else sin_s})


def _gate(form: Form, hard: bool) -> Form:
    """sign or erf of an affine function, the scale positive (hard: 1) where its sign is known."""
    b, s = _affine(form)
    sign = sign_of(b)
    if sign == 0:
        return constant(apply("sign" if hard else "erf", s))
    if hard and sign is not None:
        return {Shape(gates=(Gate(ONE, div(s, b), True),)): number(sign)}
    flipped = sign == -1
    gate = Gate(neg(b), neg(s), hard) if flipped else Gate(b, s, hard)
    return {Shape(gates=(gate,)): number(-1 if flipped else 1)}


def _sign(form: Form) -> Form:
    return _gate(form, True)


def _step(form: Form) -> Form:
    return scaled(total(constant(ONE), _sign(form)), _HALF)


def _relu(form: Form) -> Form:
    return product(form, _step(form))


def _max(a: Form, b: Form) -> Form:
    return total(b, _relu(total(a, scaled(b, number(-1)))))


def _min(a: Form, b: Form) -> Form:
    return total(a, scaled(_relu(total(a, scaled(b, number(-1)))), number(-1)))


def _gelu(form: Form) -> Form:
    cdf = scaled(total(constant(ONE), _gate(scaled(form, div(ONE, apply("sqrt", _TWO))), False)), _HALF)
    return product(form, cdf)


_RULES: dict[str, Callable[..., Form]] = {
    "exp": _exp,
    "sin": lambda f: _sine(f, False),
    "cos": lambda f: _sine(f, True),
    "erf": lambda f: _gate(f, False),
    "sign": _sign,
    "step": _step,
    "abs": lambda f: product(f, _sign(f)),
    "relu": _relu,
    "max": _max,
    "min": _min,
    "gelu": _gelu,
}
