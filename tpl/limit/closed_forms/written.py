"""A dual as a person writes it: in records where there are any, else as `tilted.py` computes it, in sympy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from tpl.core.expr import ONE, ZERO, Expr, apply, div, mul, neg, number, power
from tpl.limit.closed_forms.arithmetic import sympy_arithmetic
from tpl.limit.closed_forms.constants import same, to_sympy
from tpl.limit.closed_forms.form import Form, Shape, form_of
from tpl.limit.closed_forms.gates import Weights
from tpl.limit.closed_forms.gram import Gram
from tpl.limit.closed_forms.record import ClosedForm
from tpl.limit.closed_forms.tilted import Atom, expectation


@dataclass(frozen=True)
class Piece:
    """coefficient · shape, where for side ±1 the gate S is replaced by its one side H(±) = (1 ± S)/2."""

    coefficient: Expr
    shape: Shape
    side: int = 0

    @property
    def parity(self) -> int | None:
        """±1 for an even or odd function."""
        s = self.shape
        if self.side or not s.still:
            return None
        return -1 if (s.power + len(s.gates) + (s.wave == "sin")) % 2 else 1


def pieces(form: Form) -> list[Piece]:
    """The terms of a form; a plain term joins the gated one of the same size, as z/2 + |z|/2 = z H(z)."""
    found: list[Piece] = []
    rest = dict(form)
    for shape, coefficient in form.items():
        plain = replace(shape, gates=())
        if len(shape.gates) != 1 or plain not in rest:
            continue
        for side, size in ((1, coefficient), (-1, neg(coefficient))):
            if same(rest[plain], size):
                found.append(Piece(mul(number(2), rest.pop(plain)), shape, side))
                del rest[shape]
                break
    return found + [Piece(c, s) for s, c in rest.items()]


@dataclass(frozen=True)
class Family:
    """A piece is coefficient · F(scale z), F(z) = z^power · base(z); the records know F by (base, power)."""

    base: str
    power: int
    scale: Expr
    coefficient: Expr

    @property
    def key(self) -> tuple[str, int]:
        return self.base, self.power


def family(piece: Piece) -> Family | None:
    """None if two features meet, or a gate is shifted."""
    s = piece.shape
    features = {"Gaussian": s.square != ZERO, "exp": s.linear != ZERO, s.wave: bool(s.wave), "gate": bool(s.gates)}
    bases = [name for name, present in features.items() if present]
    if not bases:
        return Family("power", s.power, ONE, piece.coefficient)
    if len(bases) > 1 or len(s.gates) > 1 or (s.gates and s.gates[0].shift != ZERO):
        return None
    base, scale = _base_and_scale(piece, bases[0])
    return Family(base, s.power, scale, div(piece.coefficient, power(scale, number(s.power))))


def _base_and_scale(piece: Piece, base: str) -> tuple[str, Expr]:
    s = piece.shape
    if base == "exp":
        return base, s.linear
    if base in ("cos", "sin"):
        return base, s.frequency
    if base == "Gaussian":
        return base, apply("sqrt", neg(s.square))
    gate, side = s.gates[0], number(piece.side or 1)
    if gate.hard:
        return ("step", mul(side, gate.scale)) if piece.side else ("sign", gate.scale)
    if not piece.side:
        return "erf", gate.scale
    return "normal cdf", mul(side, gate.scale, apply("sqrt", number(2)))


# ---------------------------------------------------------------------------------------------- records
@dataclass(frozen=True)
class Entry:
    """A record for a pair of families: divide by `coefficient`, and scale relative to the record's own."""

    record: ClosedForm
    left: Family
    right: Family
    swapped: bool


@cache
def _entries() -> dict[tuple[tuple[str, int], tuple[str, int]], Entry]:
    """The records whose sides are one piece each, by families, in both orders."""
    from tpl.limit.closed_forms.records import RECORDS

    found: dict[tuple[tuple[str, int], tuple[str, int]], Entry] = {}
    for record in RECORDS.values():
        families = [family(p[0]) if len(p) == 1 else None for p in _sides(record)]
        left, right = families
        if left is not None and right is not None:
            found.setdefault((left.key, right.key), Entry(record, left, right, False))
            found.setdefault((right.key, left.key), Entry(record, right, left, True))
    return found


@cache
def _whole() -> dict[tuple[frozenset, frozenset], ClosedForm]:
    """The records by both forms, as they are, for those of several terms."""
    from tpl.limit.closed_forms.records import RECORDS

    found: dict[tuple[frozenset, frozenset], ClosedForm] = {}
    for record in RECORDS.values():
        if len(record.examples) == 1:
            left, right = (frozenset(_form(side).items()) for side in record.sides(**record.examples[0]))
            found.setdefault((left, right), record)
    return found


def _sides(record: ClosedForm) -> list[list[Piece]]:
    return [pieces(_form(side)) for side in record.sides(**record.examples[0])]


def _form(side: Expr) -> Form:
    form = form_of(side)
    assert form is not None
    return form


def _pairs(left: Form, right: Form) -> Iterator[tuple[Piece, Piece]]:
    """The pairs of pieces whose expectation is not zero by parity."""
    for p in pieces(left):
        for q in pieces(right):
            if p.parity is None or q.parity is None or p.parity == q.parity:
                yield p, q


def _entry(p: Piece, q: Piece) -> tuple[Entry, Family, Family] | None:
    f, g = family(p), family(q)
    if f is None or g is None:
        return None
    entry = _entries().get((f.key, g.key))
    if entry is None and f.base == g.base == "power":
        entry = _entries()[("power", 1), ("power", 1)]
    return (entry, f, g) if entry is not None else None


def names(left: Form, right: Form) -> tuple[str, ...]:
    """Names of the formulas that a dual uses, in order."""
    whole = _whole().get((frozenset(left.items()), frozenset(right.items())))
    if whole is not None:
        return (whole.name,)
    found: dict[str, None] = {}
    for p, q in _pairs(left, right):
        entry = _entry(p, q)
        if entry is not None:
            monomial = entry[1].base == entry[2].base == "power" and entry[1].power * entry[2].power != 1
            found["monomial × monomial" if monomial else entry[0].record.name] = None
        else:
            found["Stein's lemma" if p.shape.gates or q.shape.gates else "Gaussian integral"] = None
    return tuple(found) or ("parity",)


def written(left: Form, right: Form, q: tuple[Any, Any, Any], symbols: Mapping[str, Any]) -> Any:
    """The dual in sympy."""
    import sympy

    whole = _whole().get((frozenset(left.items()), frozenset(right.items())))
    if whole is not None:
        return whole.formula(*q)
    return sympy.Add(*(_pair(p, r, q, symbols) for p, r in _pairs(left, right)))


def _pair(p: Piece, r: Piece, q: tuple[Any, Any, Any], symbols: Mapping[str, Any]) -> Any:
    found = _entry(p, r)
    if found is None:
        return _computed(p, r, q, symbols)
    entry, f, g = found
    if f.base == g.base == "power":
        coefficient = mul(f.coefficient, g.coefficient)
        return to_sympy(coefficient, symbols) * _monomials().formula(*q, j=f.power, k=g.power)
    coefficient = div(mul(f.coefficient, g.coefficient), mul(entry.left.coefficient, entry.right.coefficient))
    x, y = (to_sympy(div(a.scale, b.scale), symbols) for a, b in ((f, entry.left), (g, entry.right)))
    q1, q2, c = q[0] * x**2, q[1] * y**2, q[2] * x * y
    parameters = entry.record.examples[0]
    exact = {name: _exact(value) for name, value in parameters.items()}
    formula = entry.record.formula(*((q2, q1, c) if entry.swapped else (q1, q2, c)), **exact)
    return to_sympy(coefficient, symbols) * formula


def _monomials() -> ClosedForm:
    from tpl.limit.closed_forms.records import RECORDS

    return RECORDS["monomial × monomial"]


def _exact(value: float) -> Any:
    return int(value) if float(value).is_integer() else value


# ---------------------------------------------------------------------------------------------- without a record
def _computed(p: Piece, r: Piece, q: tuple[Any, Any, Any], symbols: Mapping[str, Any]) -> Any:
    import sympy

    (x, factor, left), (y, other, right) = (_scaled_atom(piece, symbols) for piece in (p, r))
    q1, q2, c = q[0] * x**2, q[1] * y**2, q[2] * x * y
    terms = expectation(Gram(q1, q2, c, q1 * q2 - c**2, sympy_arithmetic()), left, right)
    return factor * other * sympy.Add(*(sympy.exp(t.exponent) * t.mantissa for t in terms))


def _scaled_atom(piece: Piece, symbols: Mapping[str, Any]) -> tuple[Any, Any, Atom]:
    """(x, factor, atom): the piece at z is factor · atom(x z), where x is the scale of the gate."""
    import sympy

    s, one = piece.shape, sympy.S.One
    gates = [(to_sympy(g.scale, symbols), to_sympy(g.shift, symbols), g.hard) for g in s.gates]
    x, shift, hard = gates[0] if gates else (one, sympy.S.Zero, True)
    factor = to_sympy(piece.coefficient, symbols) / x**s.power
    second = None
    if len(gates) > 1:
        factor *= sympy.sign(gates[1][0] / x)
        second = _noise(gates[1][0] / x, gates[1][2])
    plus, minus = {0: (one, -one), 1: (one, 0 * one), -1: (0 * one, one)}[piece.side]
    weights = Weights(plus, minus, _noise(one, hard)) if gates else Weights(one, one, None)
    square, linear, frequency = (to_sympy(y, symbols) for y in (s.square, s.linear, s.frequency))
    return x, factor, Atom(weights, s.power, square / x**2, linear / x, s.wave, frequency / x, -shift, second)


def _noise(scale: Any, hard: bool) -> Any:
    return 0 * scale if hard else 1 / (2 * scale**2)
