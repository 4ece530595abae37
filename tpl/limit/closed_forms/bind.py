"""From a form to atoms of numbers: constants evaluated, plain terms folded into gates.

z/2 + z erf(z)/2 becomes one atom with plus = 1 and minus = 0, of which nothing cancels later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tpl.limit.closed_forms.arithmetic import Number, nonzero
from tpl.limit.closed_forms.constants import close, to_double2
from tpl.limit.closed_forms.double2 import Double2, erf
from tpl.limit.closed_forms.form import Form, Gate, Shape
from tpl.limit.closed_forms.gates import Weights
from tpl.limit.closed_forms.tilted import Atom


@dataclass
class _Group:
    """Terms that differ in their gates only: plain · 1 + Σ odd · S(z - threshold) + products of two gates."""

    shape: Atom
    plain: Number = field(default_factory=lambda: Double2(0.0))
    gates: list[tuple[Number, Number, Double2]] = field(default_factory=list)  # noise, threshold, coefficient
    pairs: list[tuple[Number, Number, Double2]] = field(default_factory=list)  # noise, noise, coefficient


def bind(form: Form, env: Mapping[str, float]) -> list[Atom]:
    """The atoms of a form in double-double. Raises KeyError, ArithmeticError or ValueError for a bad constant."""
    groups: list[_Group] = []
    for shape, coefficient in form.items():
        _place(groups, shape, to_double2(coefficient, env), env)
    return [atom for group in groups for atom in _atoms(group)]


def _place(groups: list[_Group], shape: Shape, coefficient: Double2, env: Mapping[str, float]) -> None:
    frequency = to_double2(shape.frequency, env)
    wave = shape.wave if nonzero(frequency) else ""
    if shape.wave == "sin" and not wave:
        return
    gates = []
    for gate in shape.gates:
        factor, noise, threshold = _gate(gate, env)
        coefficient = coefficient * factor
        if noise is not None:
            gates.append((noise, threshold))
    square, linear = to_double2(shape.square, env), to_double2(shape.linear, env)
    blank = Atom(Weights(0, 0, None), shape.power, square, linear, wave, frequency)
    group = _find(groups, blank)
    if not gates:
        group.plain = group.plain + coefficient
    elif len(gates) == 1:
        _merge(group.gates, *gates[0], coefficient)
    else:
        (first, _), (second, _) = gates
        if not (nonzero(first) or nonzero(second)):
            group.plain = group.plain + coefficient  # sign² = 1
        else:
            _merge(group.pairs, first, second, coefficient)


def _gate(gate: Gate, env: Mapping[str, float]) -> tuple[Double2, Number | None, Number]:
    """(factor, noise, threshold) of factor · S(z - threshold); noise None for a constant."""
    scale, shift = to_double2(gate.scale, env), to_double2(gate.shift, env)
    sign = Double2(float(np.sign(scale.hi)))
    if not nonzero(scale):
        return Double2(float(np.sign(shift.hi))) if gate.hard else erf(shift), None, 0
    noise = 0 if gate.hard else 1 / (2 * scale * scale)
    return sign, noise, -shift / scale if nonzero(shift) else 0


def _find(groups: list[_Group], blank: Atom) -> _Group:
    for group in groups:
        s = group.shape
        if (s.power, s.wave) == (blank.power, blank.wave) and all(
            close(a, b) for a, b in ((s.square, blank.square), (s.linear, blank.linear), (s.frequency, blank.frequency))
        ):
            return group
    groups.append(_Group(blank))
    return groups[-1]


def _merge(items: list[tuple[Number, Number, Double2]], a: Number, b: Number, coefficient: Double2) -> None:
    for i, (x, y, present) in enumerate(items):
        if close(Double2(0.0) + a, Double2(0.0) + x) and close(Double2(0.0) + b, Double2(0.0) + y):
            items[i] = (x, y, present + coefficient)
            return
    items.append((a, b, coefficient))


def _atoms(group: _Group) -> list[Atom]:
    atoms = []
    plain = group.plain
    # The gate that meets the plain term: one whose coefficient has its size, if there is one, closes a side exactly.
    gates = sorted(group.gates, key=lambda g: abs(abs(g[2].to_float()) - abs(plain.to_float())))
    for noise, threshold, odd in gates:
        weights = Weights(_chopped(plain, odd), _chopped(plain, -odd), noise)
        plain = Double2(0.0)
        if nonzero(weights.plus) or nonzero(weights.minus):
            atoms.append(replace(group.shape, gate=weights, threshold=threshold))
    if nonzero(plain):
        atoms.append(replace(group.shape, gate=Weights(plain, plain, None)))
    for noise1, noise2, coefficient in group.pairs:
        weights = Weights(coefficient, -coefficient, noise1)
        atoms.append(replace(group.shape, gate=weights, second=noise2))
    return atoms


def _chopped(a: Double2, b: Double2) -> Double2:
    """a + b, and 0 where they are opposite to 28 digits."""
    return Double2(0.0) if close(a, -b) else a + b
