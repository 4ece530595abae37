"""Losses by name: functions of the outputs f and the targets y of one position, as expressions."""

from collections.abc import Callable

from tpl.core.expr import ONE, Expr, add, apply, evaluate, from_float, mul, neg, number, sub


class Unfit(Exception):
    """Outputs and targets that a loss cannot take."""


def _squared(f: list[Expr], y: list[Expr]) -> Expr:
    """Σ (f - y)² / 2."""
    if len(f) != len(y):
        raise Unfit(f"there are {len(f)} outputs, but {len(y)} targets: `squared` takes as many")
    return mul(from_float(0.5), add(*(Expr("pow", (sub(a, b), number(2))) for a, b in zip(f, y, strict=True))))


def _logistic(f: list[Expr], y: list[Expr]) -> Expr:
    """log(1 + exp(-y f)) with y = 1 or -1."""
    if len(f) != len(y):
        raise Unfit(f"there are {len(f)} outputs, but {len(y)} targets: `logistic` takes as many")
    if any(not x.is_value(1) and not x.is_value(-1) for x in y):
        raise Unfit("`logistic` takes targets 1 and -1; `cross_entropy` takes labels")
    return add(*(apply("softplus", neg(mul(b, a))) for a, b in zip(f, y, strict=True)))


def _cross_entropy(f: list[Expr], y: list[Expr]) -> Expr:
    """log Σ exp f_j - Σ y_j f_j, with y one number for each class, or the number of the class from 0."""
    if len(f) < 2:
        raise Unfit("`cross_entropy` takes two outputs or more; `logistic` takes one")
    if len(y) == 1:
        label = evaluate(y[0], {})
        if not label.is_integer() or not 0 <= label < len(f):
            raise Unfit(f"a label is a whole number from 0 to {len(f) - 1}, but this is {label:g}")
        y = [number(int(j == int(label))) for j in range(len(f))]
    if len(f) != len(y):
        raise Unfit(f"there are {len(f)} outputs, but {len(y)} targets: give a label, or a number for each output")
    total = apply("log", add(ONE, *(apply("exp", sub(x, f[0])) for x in f[1:])))
    return add(f[0], total, neg(add(*(mul(b, a) for a, b in zip(f, y, strict=True)))))


LOSSES: dict[str, Callable[[list[Expr], list[Expr]], Expr]] = {
    "squared": _squared,
    "logistic": _logistic,
    "cross_entropy": _cross_entropy,
}
