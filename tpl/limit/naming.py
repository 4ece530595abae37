"""Names for the quantities of a law: what the user called a thing decides what the derivation calls it."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import sympy

from tpl.core.expr import Expr, leaves, ref, substitute
from tpl.limit.algebra import quantity, quantity_index, quantity_symbol
from tpl.limit.calculus import Atom, Quantity, parts, used_quantities
from tpl.limit.law import Law

_NAME = re.compile(
    r"(?P<base>[^\[{']+)(\[(?P<index>[^\]]*)\])?(\{\w+(\[(?P<input>\d+)\])?(; (?P<output>\d+))?\})?(?P<copy>'\d+)?$"
)
_GRAM = re.compile(r"gram_(\d+)_(\d+)$")
_ENTRY = re.compile(r"entry_(.+?)((?:_\d+)+)$")


MAX_WRITTEN = 60
OUTPUTS = (3, 4)  # two of one input's outputs in general position: no loop begins or ends there


class Bound(NamedTuple):
    """An index that a sum runs over, plus an offset; `own`: and plus the index of the left side that it counts from.

    back: the offset minus what the sum runs over.
    """

    variable: int
    offset: int = 0
    own: bool = False
    back: bool = False


Index = int | Bound


@dataclass(frozen=True, order=True)
class Variable:
    """A vector or scalar of the user's: h[2] at the first input is ("h", (2,), 1)."""

    base: str
    index: tuple[Index, ...]
    input: int

    @property
    def numbers(self) -> tuple[int, ...]:
        """The indices of a line's name, which are numbers."""
        return tuple(i for i in self.index if isinstance(i, int))


def in_order(*sides: Variable) -> list[Variable]:
    """The vectors of a kernel in the order in which they stand in its name."""
    return sorted(sides, key=lambda v: (v.input, v.base, v.index))


@dataclass(frozen=True, order=True)
class Named:
    """A kernel or a number of the derivation.

    kind: "K" for a covariance or second moment of two vectors, "gram" for an inner product of inputs, "scalar" for a
    Moment that the user named, "entry" for one of data.
    """

    kind: str
    left: Variable
    right: Variable | None = None

    @property
    def base(self) -> str:
        return self.left.base

    @property
    def indices(self) -> tuple[Index, ...]:
        return self.left.index + (self.right.index if self.right is not None else ())


def variable(name: str, outputs: bool = False) -> Variable | None:
    """Read a line's name; None for made-up names. outputs: the two outputs of OUTPUTS stand in place of inputs."""
    match = _NAME.match(name)
    if match is None or name.startswith("_") or match["copy"]:
        return None
    index = tuple(int(x) for x in match["index"].split(",")) if match["index"] else ()
    output = (int(match["output"]),) if match["output"] else ()
    if outputs and output and output[0] in OUTPUTS:
        return Variable(match["base"], index, 1 + OUTPUTS.index(output[0]))
    return Variable(match["base"], index + output, int(match["input"] or 0))


def entry(name: str) -> Variable | None:
    """Read the constant that stands for an entry of generic data; None for others."""
    match = _ENTRY.match(name)
    return Variable(match[1], tuple(int(i) for i in match[2].split("_")[1:]), 0) if match is not None else None


class Names:
    """The quantities of a law in the user's words: named ones are symbols, the others are written out.

    rows: the generic data vectors, by number. outputs: see `variable`. `integrands` are the functions under expectations, E{k} in formulas.
    """

    def __init__(self, law: Law, rows: dict[int, Variable], outputs: bool = False):
        self.law = law
        self.rows = rows
        self.outputs = outputs
        self.symbols: dict[Named, Any] = {}
        self.named: dict[Any, Named] = {}
        self.definitions: dict[Named, int] = {}
        self.integrands: list[Expr] = []
        self._integrand_numbers: dict[Expr, int] = {}
        self._written: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}  # of what is written for a quantity, in symbols

    def symbol(self, named: Named) -> Any:
        if named not in self.symbols:
            made = sympy.Symbol(f"@{len(self.symbols)}", real=True)
            self.symbols[named], self.named[made] = made, named
        return self.symbols[named]

    def name(self, index: int) -> Named | None:
        """The name of a quantity, if the user's names give it one."""
        found: Quantity = self.law.calculus.quantities[index]
        lines = self.law.program.lines
        if found.label in ("covariance", "second moment"):
            both = found.lines
            if found.label == "covariance":
                both = tuple(self.law.calculus.leaves[i].line for i in both)
                if any(self.law.corrections.get(i) for i in both):
                    return None  # the Gaussian part of a product is not the product
            elif any(self.law.has_leaf(i) for i in both):
                return None  # a Gaussian vector has a covariance, under this name
            left, right = (variable(lines[i].name, self.outputs) for i in both)
            if left is None or right is None:
                return None
            return Named("K", *in_order(left, right))
        if found.label in ("expectation", "expected derivative"):
            return None
        scalar = variable(found.label, self.outputs)
        return Named("scalar", scalar) if scalar is not None else None

    def write(self, value: Any) -> Any:
        """A sympy expression over named symbols: unnamed quantities are replaced by their definitions."""
        replacement = {quantity_symbol(q): self.write_quantity(q) for q in used_quantities([value])}
        replacement |= {s: self._gram(s) for s in value.free_symbols if _GRAM.match(s.name)}
        replacement |= {s: self._entry(s) for s in value.free_symbols if _ENTRY.match(s.name)}
        return value.xreplace(replacement) if replacement else value

    def _gram(self, symbol: Any) -> Any:
        match = _GRAM.match(symbol.name)
        assert match is not None
        left, right = self.rows[int(match[1])], self.rows[int(match[2])]
        return self.symbol(Named("gram", *in_order(left, right)))

    def _entry(self, symbol: Any) -> Any:
        found = entry(symbol.name)
        assert found is not None
        return self.symbol(Named("entry", found))

    def write_answer(self, value: Any) -> Any:
        """As `write`, but a value that is a nameless quantity is written out, however long."""
        index = quantity_index(value) if value.is_Symbol else None
        return self.write(value) if index is None or self.name(index) is not None else self.define(index)

    def write_quantity(self, index: int) -> Any:
        """The symbol of a named quantity, the definition of another."""
        if index not in self._written:
            named = self.name(index)
            if named is not None:
                self.definitions.setdefault(named, index)
                self._written[index] = self.symbol(named)
            else:
                written = self.define(index)
                self._sizes[index] = self._size(index)
                if self._sizes[index] > MAX_WRITTEN:  # too long to stand inside another formula
                    named = Named("scalar", Variable(f"c{len(self.definitions) + 1}", (), 0))
                    self.definitions[named] = index
                    self._sizes[index] = 1
                    written = self.symbol(named)
                self._written[index] = written
        return self._written[index]

    def _size(self, index: int) -> int:
        """How many symbols the definition of a quantity holds once its nameless parts are written out."""
        total = 0
        for part in parts(self.law.calculus.quantities[index].definition):
            total += 1 + sum(self._sizes.get(q, 1) for q in used_quantities([part]))
        return total

    def define(self, index: int) -> Any:
        """The definition of a quantity, written out."""
        definition = self.law.calculus.quantities[index].definition
        if not isinstance(definition, Atom):
            return self.write(definition)
        entries = [self.write(c) for row in definition.covariance for c in row]
        inside = list(leaves(definition.integrand, "quantity"))
        place = {int(v): i for i, v in enumerate(inside)}  # type: ignore[arg-type]
        # Numbers of the limit inside the integrand become parameters of it.
        shape = substitute(
            definition.integrand,
            lambda x: quantity(place[int(x.value)]) if x.op == "quantity" else x,  # type: ignore[arg-type]
        )
        parameters = [self.write_quantity(int(v)) for v in inside]  # type: ignore[arg-type]
        return self.expectation(shape, (*entries, *parameters))

    def expectation(self, integrand: Expr, args: tuple[Any, ...]) -> Any:
        """E of an integrand: a function of the lower triangle of its covariance and of its parameters."""
        number = self._integrand_numbers.setdefault(integrand, len(self.integrands))
        if number == len(self.integrands):
            self.integrands.append(integrand)
        return sympy.Function(f"E{number}")(*args)

    def standard(self, value: Any) -> Any:
        """An expression with E F(u) G(u′) in one order, and as E F(u) G(u) where u and u′ are one and the same."""
        if not value.args:
            return value
        args = tuple(self.standard(a) for a in value.args)
        name = type(value).__name__
        if not (isinstance(value, sympy.core.function.AppliedUndef) and name[0] == "E" and len(args) == 3):
            return value.func(*args)
        integrand = self.integrands[int(name[1:])]
        if len(leaves(integrand, "ref")) != 2 or leaves(integrand, "quantity"):
            return value.func(*args)
        if args[0] == args[1] == args[2]:
            return self._expectation(_renamed(integrand, (0, 0)), args[:1])
        turned = self._expectation(_renamed(integrand, (1, 0)), args[::-1])
        return min(value.func(*args), turned, key=sympy.default_sort_key)

    def _expectation(self, integrand: Expr, args: tuple[Any, ...]) -> Any:
        """E of an integrand, its factors in some order."""
        known = {frozenset(_factors(x).items()): number for x, number in self._integrand_numbers.items()}
        number = known.get(frozenset(_factors(integrand).items()), -1)
        return sympy.Function(f"E{number if number >= 0 else repr(integrand)}")(*args)


def _renamed(integrand: Expr, places: tuple[int, ...]) -> Expr:
    return substitute(integrand, lambda x: ref(places[int(x.value)]) if x.op == "ref" else x)  # type: ignore[arg-type]


def _factors(integrand: Expr) -> Counter[Expr]:
    return Counter(integrand.args if integrand.op == "mul" else (integrand,))
