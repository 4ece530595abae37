"""`dual(left, right)`: E left(u) right(v) in closed form, (u, v) centred Gaussian, for functions given as expressions.

Each side is read as a form (`form.py`); the expectation is the sum over pairs of terms, each a Gaussian integral
(`tilted.py`, `gates.py`, `moments.py`). Plain gates are evaluated in float64, and in double-double where they cancel;
exponentials, waves and shifted gates in double-double throughout.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tpl.core.expr import ZERO, Expr, add, leaves, substitute
from tpl.limit.closed_forms.arithmetic import DOUBLE2, FLOAT
from tpl.limit.closed_forms.bind import bind
from tpl.limit.closed_forms.constants import is_closed
from tpl.limit.closed_forms.double2 import NOISE, Double2, exp, where
from tpl.limit.closed_forms.form import Shape, form_of
from tpl.limit.closed_forms.gates import Weights, gated
from tpl.limit.closed_forms.gram import Gram
from tpl.limit.closed_forms.polynomials import Polynomial, polynomials
from tpl.limit.closed_forms.tilted import Atom, Scaled, expectation

BLOCK = 8192  # entries evaluated at a time, so that temporaries stay in the cache
MAX_CANCELLATION = 8.0  # float64 is trusted where the terms' sizes add up to at most this many times the value
MAX_PAIRS = 2500


def dual(left: Expr, right: Expr, left_mean: Expr = ZERO, right_mean: Expr = ZERO) -> "Dual | None":
    """E left(u + left_mean) right(v + right_mean) for centred Gaussian (u, v); None without a closed form.

    Each side has at most one reference, whatever its number, which stands for u or v. Means and other leaves are
    constants.
    """
    forms = []
    for side, mean in ((left, left_mean), (right, right_mean)):
        if len(leaves(side, "ref")) > 1 or leaves(mean, "ref"):
            return None
        shifted = side if mean == ZERO else _shifted(side, mean)
        forms.append(form_of(shifted))
    first, second = forms
    if first is None or second is None or len(first) * len(second) > MAX_PAIRS:
        return None
    if not all(_integrable(s, t) for s in first for t in second):
        return None
    return Dual(tuple(first.items()), tuple(second.items()))


def _shifted(side: Expr, mean: Expr) -> Expr:
    return substitute(side, lambda leaf: add(leaf, mean) if leaf.op == "ref" else leaf)


def _integrable(s: Shape, t: Shape) -> bool:
    """Is there a closed form of the pair? Two gates must be centred; a wave meets centred gates only."""
    gates = len(s.gates) + len(t.gates)
    waves = bool(s.wave or t.wave)
    if gates == 0:
        return True
    if gates == 1:
        return not waves or (s.still and t.still)
    return gates == 2 and s.still and t.still and not waves


@dataclass(frozen=True)
class Dual:
    """E left(u) right(v) as a function of (E u², E v², E uv). `left` and `right` are forms, as pairs."""

    left: tuple[tuple[Shape, Expr], ...]
    right: tuple[tuple[Shape, Expr], ...]

    def value(self, q1: Any, q2: Any, c: Any, env: Mapping[str, float] | None = None) -> np.ndarray:
        """The expectation, float64, for arrays that broadcast; `env` gives the constants' values.

        Correct to 1e-13 relative for the exact value at the given float64 inputs, variances between 1e-140 and 1e140.
        Variances 0 and c² = q1 q2 are ordinary; where c² > q1 q2 by rounding, c counts as ±√(q1 q2). Digits are lost
        only where terms of size s cancel to less than 1e-17 s: the error is then about 1e-30 s. That happens at a
        change of sign, and for one-sided soft gates such as gelu(b z) once (b² q)^{-3/2} < 1e-17 and ρ is near -1. At
        variance 0, powers of step and sign count as just beside 0: step(0)² is 1/2 here.

        NaN where the expectation does not exist, ±inf where it overflows. Raises KeyError for a constant that `env`
        lacks and ArithmeticError or ValueError for one that is not a finite number.
        """
        arrays = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (q1, q2, c)))
        flat = [np.ascontiguousarray(x).reshape(-1) for x in arrays]
        if self.left == self.right:  # so that kernels are symmetric to the last bit
            flat = [np.minimum(flat[0], flat[1]), np.maximum(flat[0], flat[1]), flat[2]]
        left, right = self._plain or tuple(bind(dict(side), env or {}) for side in (self.left, self.right))
        fast = all(atom.plain for atom in (*left, *right))
        result = np.empty(flat[0].shape)
        with np.errstate(all="ignore"):
            for start in range(0, result.size, BLOCK):
                here = slice(start, start + BLOCK)
                gram = Gram.of(*(x[here] for x in flat))
                result[here] = _fast(gram, left, right) if fast else _exact(gram, left, right)
        return result.reshape(arrays[0].shape)

    @cached_property
    def _plain(self) -> tuple[list[Atom], ...] | None:
        """Both sides in numbers, where no constant has a name: the same for every environment."""
        if not all(is_closed(c) for side in (self.left, self.right) for c in _constants(side)):
            return None
        return tuple(bind(dict(side), {}) for side in (self.left, self.right))

    def sympy(self, q1: Any, q2: Any, c: Any, symbols: Mapping[str, Any] | None = None) -> Any:
        """The formula as sympy expression, for nondegenerate (u, v); `symbols` gives the constants'."""
        from tpl.limit.closed_forms.written import written

        return written(dict(self.left), dict(self.right), (q1, q2, c), symbols or {})

    @cached_property
    def records(self) -> tuple[str, ...]:
        """The formulas used, by name."""
        from tpl.limit.closed_forms.written import names

        return names(dict(self.left), dict(self.right))


def _constants(side: tuple[tuple[Shape, Expr], ...]) -> Iterator[Expr]:
    for shape, coefficient in side:
        yield from (coefficient, shape.square, shape.linear, shape.frequency)
        yield from (x for gate in shape.gates for x in (gate.scale, gate.shift))


def _fast(gram: Gram, left: list[Atom], right: list[Atom]) -> np.ndarray:
    """Plain gates in float64; entries that cancel once more in double-double."""
    rough = gram.to_float()
    value, size = polynomials(rough, _polynomial(left, FLOAT.number), _polynomial(right, FLOAT.number))
    for f, g in _pairs(left, right):
        part = gated(rough, f.power, g.power, _rounded(f.gate), _rounded(g.gate))
        value, size = value + part.value, size + part.size
    cancelled = ~(size <= MAX_CANCELLATION * np.abs(value))
    if cancelled.any():
        value = np.array(value)
        value[cancelled] = _exact(gram.at(cancelled), left, right)
    return value


def _rounded(gate: Weights) -> Weights:
    noise = gate.noise.to_float() if isinstance(gate.noise, Double2) else gate.noise
    return Weights(FLOAT.number(gate.plus), FLOAT.number(gate.minus), noise)


def _exact(gram: Gram, left: list[Atom], right: list[Atom]) -> np.ndarray:
    zeros = Double2(np.zeros_like(gram.c.hi))
    terms = [term for f, g in _pairs(left, right) for term in expectation(gram, f, g)]
    p, q = _polynomial(left), _polynomial(right)
    if p and q:
        terms.append(Scaled(0, polynomials(gram, p, q).value))
    return _combined([Scaled(zeros + t.exponent, zeros + t.mantissa) for t in terms], zeros)


def _polynomial(atoms: list[Atom], number: Callable[[Any], Any] = DOUBLE2.number) -> Polynomial:
    return {f.power: number(f.gate.even) for f in atoms if f.is_power}


def _pairs(left: list[Atom], right: list[Atom]) -> Iterator[tuple[Atom, Atom]]:
    """All pairs but those of polynomials."""
    return ((f, g) for f in left for g in right if not (f.is_power and g.is_power))


def _combined(terms: list[Scaled], zeros: Double2) -> np.ndarray:
    """Σ mantissa · e^exponent, relative to the largest exponent that counts."""
    if not terms:
        return zeros.hi
    bounds = [np.where(t.mantissa.hi == 0, -np.inf, t.exponent.hi) for t in terms]
    largest = np.max(bounds, axis=0)
    top = zeros
    for term, bound in zip(terms, bounds, strict=True):
        top = where((bound == largest) & np.isfinite(bound), term.exponent, top)
    total, size = zeros, zeros.hi
    for term in terms:
        part = term.mantissa if len(terms) == 1 else term.mantissa * exp(_below(term, top))
        total, size = total + part, size + np.abs(part.hi)
    value = np.where(np.abs(total.hi) <= NOISE * size, 0.0, total.to_float())
    root = np.exp(0.5 * top.hi)  # e^top may overflow where its product with a small total does not
    return value * root * root * (1.0 + top.lo)


def _below(term: Scaled, top: Double2) -> Double2:
    return where(term.mantissa.hi == 0, 0.0, term.exponent - top)
