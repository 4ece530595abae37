"""How initial values and rates scale with the width n, and what becomes of training as n grows (TP4 §3).

abc-parametrization: W = n^{-a} w, w ~ N(0, n^{-2b}), rate η n^{-c} on w. As W moves by -η n^{-(c+2a)} ∂loss/∂W, two
numbers of a parameter matter, a+b and c+2a: they are its `Scale`, unchanged by (a, b, c) → (a+t, b-t, c-2t).
Beyond TP4: rates of one's own for every parameter, several readouts, biases, parameters that are fixed or start at zero,
and initial values that vanish, as in IP. Features and gradients then count as what they may be at most: x = φ(h) has
order one where φ(0) ≠ 0, even if h vanishes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Group = Literal["input", "hidden", "readout", "bias"]
Kind = Literal["unstable", "trivial", "kernel", "features"]
HALF = Fraction(1, 2)
STANDARD_INIT = {
    "input": Fraction(0),
    "hidden": HALF,
    "bias": Fraction(0),
}  # a+b at which initial values have order one


@dataclass(frozen=True)
class Scale:
    """A parameter of size n^{-init} at the start, that moves by n^{-rate} times its gradient."""

    init: Fraction
    rate: Fraction

    @staticmethod
    def of_powers(variance: Fraction, rate: Fraction) -> "Scale":
        """From the power of n in a variance, and the one in the rate of the parameter as written."""
        return Scale(-variance / 2, -rate)


@dataclass(frozen=True)
class Exponents:
    """(a, b, c) of one group of parameters."""

    a: Fraction
    b: Fraction
    c: Fraction

    @property
    def scale(self) -> Scale:
        return Scale(self.a + self.b, self.c + 2 * self.a)


Parametrization = Mapping[Group, Exponents]


def abc(a: Sequence[Fraction], b: Sequence[Fraction], c: Sequence[Fraction] | Fraction) -> Parametrization:
    """From the exponents of [input, hidden, readout]; c may be one number. Raises ValueError for lists of other lengths.

    An output bias starts as large as V x does for random V: a+b is the readout's less 1/2. It trains like the biases of
    layers, in the group "input", unless that makes outputs blow up: where rates of this group grow with n (μP, IP) they
    make up for the small readout behind a layer, which no output bias meets, so its own stays put, c+2a = 0.
    """
    c = [c] * 3 if isinstance(c, int | Fraction) else c
    if not len(a) == len(b) == len(c) == 3:
        raise ValueError("a, b and c have three entries: for input, hidden and readout")
    layers = [Exponents(Fraction(x), Fraction(y), Fraction(z)) for x, y, z in zip(a, b, c, strict=True)]
    first, hidden, readout = layers
    bias = Exponents(Fraction(0), readout.scale.init - HALF, max(Fraction(0), first.scale.rate))
    return {"input": first, "hidden": hidden, "readout": readout, "bias": bias}


_ZERO, _ONE = Fraction(0), Fraction(1)
NAMED: dict[str, Parametrization] = {
    "mup": abc([-HALF, _ZERO, HALF], [HALF, HALF, HALF], _ZERO),
    "ntp": abc([_ZERO, HALF, HALF], [_ZERO, _ZERO, _ZERO], _ZERO),
    "sp": abc([_ZERO, _ZERO, _ZERO], [_ZERO, HALF, HALF], _ONE),
    "ip": abc([_ZERO, _ONE, _ONE], [_ZERO, _ZERO, _ZERO], [-_ONE, -2 * _ONE, -_ONE]),
}


@dataclass(frozen=True)
class Parameter:
    """`group` by shape: [n, d] and [n] are "input", [n, m] "hidden", [k, n] "readout", [k] "bias" (of outputs).

    `random` is false if its variance is 0. It then trains only with a rate of its own (`own_rate`), on the parameter as
    written: rates of a parametrization are for unit-variance parameters, and W = σ w stays put if σ = 0.
    """

    name: str
    group: Group
    scale: Scale
    trained: bool = True
    random: bool = True
    own_rate: bool = False

    @property
    def learns(self) -> bool:
        return self.trained and (self.random or self.own_rate)


@dataclass(frozen=True)
class Role:
    """What a parameter does in the limit. All factors are powers of 1/n: 0 counts, more vanishes, less blows up.

    `init`: of W_0 x, of the bias, or of the readout n^u V_0; None: it starts at 0 (variance 0).
    `update`: of (W_t - W_0) x (r_l in TP4), of the bias, or of n^u (V_t - V_0); None: it does not learn.
    `kernel`: of what its updates do to outputs, the factor of its tangent kernel; None: it does not learn.
    """

    parameter: Parameter
    init: Fraction | None
    update: Fraction | None
    kernel: Fraction | None

    @property
    def moves(self) -> bool:
        """Its update acts at order one: on features, on the readout n^u V, or on outputs as a bias."""
        return self.update == 0

    @property
    def in_kernel(self) -> bool:
        return self.kernel == 0


@dataclass(frozen=True)
class Growth:
    """Something that grows like n^power: outputs or a parameter's products, at the start or by its updates."""

    parameter: str
    of: Literal["output", "products"]
    by: Literal["start", "update"]
    power: Fraction

    def __str__(self) -> str:
        size = power_of_n(self.power)
        if self.by == "update":
            what = "its products" if self.of == "products" else "the output"
            return f"the update of `{self.parameter}` makes {what} grow like {size}"
        what = f"the products of `{self.parameter}` grow" if self.of == "products" else "the output grows"
        return f"at the start, {what} like {size}" + (f", by `{self.parameter}`" if self.of == "output" else "")


@dataclass(frozen=True)
class Regime:
    """What becomes of training as n grows.

    "unstable": see `growths`; "trivial": outputs do not move; "kernel": outputs move, features do not; "features": both.
    V_t = n^u v_t has order one for some readout v and f = n^{-u} Σ V x, where u is at least 1/2 if stable, below 1 in
    kernel regimes with moving lower layers, 1 where features learn (more than 1: outputs see biases only).
    r: features move like n^{-r}; None if nothing below the readouts learns. `reasons` are sentences without full stops.
    """

    kind: Kind
    u: Fraction
    r: Fraction | None
    roles: tuple[Role, ...]
    growths: tuple[Growth, ...]
    reasons: tuple[str, ...]

    def role(self, name: str) -> Role:
        """Raises KeyError for a parameter that is not there."""
        found = next((role for role in self.roles if role.parameter.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


def classify(parameters: Sequence[Parameter]) -> Regime:
    """The regime of a network with these parameters, trained by gradient descent (TP4 def. 3.2, thm 3.3 and 3.4)."""
    u = _readout_exponent(parameters)
    roles = tuple(_role(parameter, u) for parameter in parameters)
    moved = [role.update for role in roles if _below_readouts(role) and role.update is not None]
    r = min(moved, default=None)
    growths = tuple(growth for role in roles for growth in _growths(role))
    kind = _kind(roles, growths, r)
    sentences = tuple(map(str, growths)) if growths else tuple(_sentences(kind, u, r, roles))
    return Regime(kind, u, r, roles, growths, (*sentences, *_remarks(roles)))


def power_of_n(power: Fraction) -> str:
    """n^(1/2), n^2, n."""
    if power == 1:
        return "n"
    return f"n^{power}" if power.denominator == 1 and power >= 0 else f"n^({power})"


def _readout_exponent(parameters: Sequence[Parameter]) -> Fraction:
    """u: the largest readout entries have size n^{-u}, at the start or after a step. 1 if all readouts stay 0."""
    readouts = [p for p in parameters if p.group == "readout"]
    start = [p.scale.init for p in readouts if p.random]
    return min(start + [p.scale.rate for p in readouts if p.learns], default=Fraction(1))


def _role(parameter: Parameter, u: Fraction) -> Role:
    """Gradients of preactivations have size n^{-u}, so products with x, a sum over n, move by n^{1-u-rate}."""
    group, scale = parameter.group, parameter.scale
    init = scale.init - STANDARD_INIT.get(group, u) if parameter.random else None
    if not parameter.learns:
        return Role(parameter, init, None, None)
    if group == "readout":
        return Role(parameter, init, scale.rate - u, scale.rate - 1)
    if group == "bias":
        return Role(parameter, init, scale.rate, scale.rate)
    update = scale.rate + u - (1 if group == "hidden" else 0)
    return Role(parameter, init, update, update + u - 1)


def _below_readouts(role: Role) -> bool:
    return role.parameter.group in ("input", "hidden")


def _growths(role: Role) -> Iterator[Growth]:
    name, init = role.parameter.name, role.parameter.scale.init
    below = _below_readouts(role)
    start = init - STANDARD_INIT.get(role.parameter.group, HALF)
    if role.init is not None and start < 0:
        yield Growth(name, "products" if below else "output", "start", -start)
    if below and role.update is not None and role.update < 0:
        yield Growth(name, "products", "update", -role.update)
    elif role.kernel is not None and role.kernel < 0:
        yield Growth(name, "output", "update", -role.kernel)


def _kind(roles: Sequence[Role], growths: Sequence[Growth], r: Fraction | None) -> Kind:
    if growths:
        return "unstable"
    if not any(role.in_kernel for role in roles):
        return "trivial"
    return "features" if r == 0 else "kernel"


def _sentences(kind: Kind, u: Fraction, r: Fraction | None, roles: Sequence[Role]) -> Iterator[str]:
    if r is None:
        yield "no parameter below the readouts learns, so features stay as they are"
    elif r == 0:
        names = [role.parameter.name for role in roles if _below_readouts(role) and role.moves]
        yield f"r = 0: the updates of {_listed(names)} move features at order one"
    else:
        yield f"r = {r} > 0: features move like {power_of_n(-r)}, that is, not in the limit"
    if kind == "trivial":
        least = min((role.kernel for role in roles if role.kernel is not None), default=None)
        yield (
            "nothing learns" if least is None else f"outputs move like {power_of_n(-least)}, that is, not in the limit"
        )
    if kind == "kernel":
        names = [role.parameter.name for role in roles if role.in_kernel]
        yield f"outputs follow the tangent kernel of {_listed(names)}"
        if u == HALF:
            yield "u = 1/2: outputs start as draws of a Gaussian process"


def _remarks(roles: Sequence[Role]) -> Iterator[str]:
    """On parameters that start at zero in the limit, and on those that cannot learn."""
    vanishing = 0
    for role in roles:
        name = role.parameter.name
        if role.parameter.trained and not role.parameter.learns:
            yield f"`{name}` has variance 0 and does not train: rates are for unit-variance parameters"
        elif _below_readouts(role) and role.init is not None and role.init > 0:
            vanishing += 1
            yield f"the initial `{name}` vanishes in the limit: its products have size {power_of_n(-role.init)}"
    if vanishing > 1:
        yield (
            "where two layers vanish, no gradient passes at the start, unless biases or activations with φ(0) ≠ 0 "
            "keep features alive"
        )


def _listed(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]
