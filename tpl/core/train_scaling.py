"""The parameters of a network that is trained, with their powers of the width."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tpl.core.expr import evaluate
from tpl.core.expressions import Evaluator, Scope, is_constant
from tpl.core.laws import scaling
from tpl.core.parametrization import NAMED, Group, Parameter, Parametrization, Scale, abc
from tpl.core.values import Array, Coordinatewise, Listing, MatrixSum, Mistake, NetworkValue, RandomOutput, Readout
from tpl.language import syntax as s
from tpl.language.training_words import ABC, ABC_EXPONENTS, PARAMETRIZATIONS

Key = tuple[str, tuple[int, ...]]
EXAMPLE = "for instance `parametrization = mup`"


def parametrization(node: s.Expr, evaluator: Evaluator, scope: Scope) -> Parametrization:
    """`mup`, `ntp`, `sp`, `ip`, or `abc(a=[…], b=[…], c=[…])`."""
    if isinstance(node, s.Name) and node.name in NAMED:
        return NAMED[node.name]
    if not isinstance(node, s.Call) or node.function != ABC:
        words = ", ".join(f"`{w}`" for w in PARAMETRIZATIONS)
        raise Mistake(node.span, "there is no such parametrization", f"one of {words}, or `abc(a=[…], b=[…], c=[…])`")
    given = dict(node.keywords)
    if node.arguments or set(given) != set(ABC_EXPONENTS):
        raise Mistake(node.span, "`abc` takes exponents a, b and c", "`abc(a=[-1/2, 0, 1/2], b=1/2, c=0)`")
    a, b, c = (_exponents(given[x], evaluator, scope) for x in ABC_EXPONENTS)
    return abc(a, b, c)


def _exponents(node: s.Expr, evaluator: Evaluator, scope: Scope) -> list[Fraction]:
    """Three numbers: for input, hidden and readout; one stands for all."""
    value = evaluator.value(node, scope)
    if isinstance(value, Array):
        items: tuple[Any, ...] = tuple(float(x) for x in value.array.ravel())
    else:
        parts = value.items if isinstance(value, Listing) else (value,)
        if not all(is_constant(x) for x in parts):
            raise Mistake(node.span, "an exponent is a number", "for instance `a=[-1/2, 0, 1/2]`")
        items = tuple(evaluate(x.expr, evaluator.builder.values) for x in parts)
    if len(items) not in (1, 3):
        raise Mistake(node.span, f"there are three groups of parameters, but {len(items)} exponents",
                      "one for input, hidden and readout each: `a=[-1/2, 0, 1/2]`; or one for all")  # fmt: skip
    exact = [Fraction(x).limit_denominator(1000) for x in items]
    return exact * 3 if len(exact) == 1 else exact


@dataclass(frozen=True)
class Described:
    """One parameter: what `classify` wants of it, its line; `variance` and `step` as in `Trained`."""

    parameter: Parameter
    line: int
    variance: float
    step: float


def described(
    network: NetworkValue, evaluator: Evaluator, named: Parametrization | None, spans: Mapping[str, Any], heading: Any
) -> list[Described]:
    """All parameters of a network that has been applied.

    named: a parametrization for all, or None: every param says its own rate. spans: of the settings.
    """
    return [_described(key, network, evaluator, named, spans, heading) for key in network.parameters]


def _described(
    key: Key, network: NetworkValue, evaluator: Evaluator, named: Parametrization | None, spans: Any, heading: Any
) -> Described:
    name = key[0] + (f"[{', '.join(map(str, key[1]))}]" if key[1] else "")
    group, line = _group(network.parameters[key])
    builder = evaluator.builder
    expr = builder.lines[line].expr
    assert expr is not None
    variance = scaling(expr, builder.widths, builder.values).coefficient
    power, rate = network.powers[key]
    if named is not None:
        if rate is not None:
            raise Mistake(spans.get("parametrization"), f"`{name}` has a rate of its own, and the block a parametrization",
                          "leave out one of them")  # fmt: skip
        return Described(Parameter(name, group, named[group].scale, True, variance > 0), line, variance, variance)
    if rate is None:
        raise Mistake(
            heading, f"`{name}` has no rate", f"{EXAMPLE}, or `param {name} : … ~ N(0, …) rate …` for every param"
        )
    scale = Scale.of_powers(power, rate[0])
    return Described(Parameter(name, group, scale, True, variance > 0, own_rate=True), line, variance, rate[1])


def _group(value: Any) -> tuple[Group, int]:
    if isinstance(value, MatrixSum):
        return ("hidden" if isinstance(value.columns, str) else "input"), value.terms[0][1]
    if isinstance(value, Readout):
        return "readout", value.line
    if isinstance(value, RandomOutput):
        return "bias", value.biases[0][0]
    assert isinstance(value, Coordinatewise)
    return "input", int(value.expr.value)  # type: ignore[arg-type]
