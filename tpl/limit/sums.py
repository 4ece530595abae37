"""Sums whose terms differ in their indices only, as sums over these indices."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, permutations, product
from typing import Any, NamedTuple

import sympy

from tpl.limit.boxes import Box, boxes
from tpl.limit.frame import Axes, Back, Frame, Place, Slot, Step
from tpl.limit.gathering import gathered
from tpl.limit.naming import Bound, Index, Named, Names

MAX_FOLDED = 20_000  # nodes of an expression that is searched for sums
ENOUGH = 3  # iterations that must agree before a step is stated in general
MOST_EQUAL, MOST_ORDERS = 3, 36  # equal factors of a term, and their orders, that are tried


@dataclass(frozen=True)
class Range:
    """What one variable of a sum runs over. place: the index of the left side that it may move with. own: on a circle,
    as steps from there. base, axis: an index that it stands in, for its letter; second: of the second input."""

    variable: int
    start: int
    stop: int
    place: Place | None
    own: bool
    base: str
    axis: int
    second: bool


@dataclass(frozen=True)
class Sum:
    """Σ of a term over ranges; the term's indices are `Bound`."""

    term: Any
    ranges: tuple[Range, ...]


class Folder:
    """Folds sums. `sums`: what S0, S1, … in formulas stand for."""

    def __init__(self, names: Names, axes: Axes):
        self.names = names
        self.axes = axes
        self.sums: list[Sum] = []
        self._numbers: dict[Sum, int] = {}

    # ------------------------------------------------------------------------------------------ sums
    def fold(self, value: Any, frame: Frame) -> Any:
        """Sums of terms that differ in their indices only, at any depth, become sums over these indices."""
        if sum(1 for _ in islice(sympy.preorder_traversal(value), MAX_FOLDED)) == MAX_FOLDED:
            return value
        return self._fold(value, frame)

    def _fold(self, value: Any, frame: Frame) -> Any:
        if not value.args:
            return value
        args = [self._fold(a, frame) for a in value.args]
        if not value.is_Add or len(args) < ENOUGH:
            return value.func(*args)
        groups: dict[str, list[tuple[Any, list[_Where]]]] = {}
        for term in args:
            key, where = self._skeleton(term, frame)
            groups.setdefault(key, []).append((term, where))
        arranged = (self._arranged(members, frame) for members in groups.values())
        return sympy.Add(*(t for members in arranged for t in self._summed(members)))

    def _arranged(self, members: list[tuple[Any, "list[_Where]"]], frame: Frame) -> list[tuple[Any, "list[_Where]"]]:
        """Terms with their equal factors, and the sides of symmetric kernels, in the order that one in general position has.

        In Σ_{jk} G_ij G_ik K_jk a product of two entries of G says not which of them is the first.
        """
        if len(members) < ENOUGH:
            return members
        variants = [list(self._variants(term, frame)) for term, _ in members]
        if all(len(v) == 1 for v in variants):
            return members
        own = {(frame.end_of(p), frame.at(p)) for p in frame.places}
        general = max((v[0] for v in variants), key=lambda where: _generality(_ends(where), own))
        wanted = _agreements(general, own)
        best = (max(v, key=lambda where: len(wanted & _agreements(where, own))) for v in variants)
        return [(term, where) for (term, _), where in zip(members, best, strict=True)]

    def _variants(self, term: Any, frame: Frame) -> "Iterator[list[_Where]]":
        """The indices of a term, as those of its factors in every order that the term leaves open."""
        factors = sympy.Mul.make_args(term)
        runs: dict[str, list[tuple[list[_Where], ...]]] = {}
        for factor in factors:
            key, where = self._skeleton(factor, frame)
            runs.setdefault(key, []).append((where, *self._sides(factor, frame)))
        orders = [
            list(permutations(runs[key])) if len(runs[key]) <= MOST_EQUAL else [tuple(runs[key])]
            for key in sorted(runs)
        ]
        for chosen in islice(product(*orders), MOST_ORDERS):
            for sides in product(*(factor for order in chosen for factor in order)):
                yield [w for where in sides for w in where]

    def _sides(self, factor: Any, frame: Frame) -> "Iterator[list[_Where]]":
        """The indices of a symmetric kernel, its second side first."""
        named = self.names.named.get(factor)
        if named is not None and is_symmetric(named) and named.left != named.right:
            yield self.named_skeleton(factor, turned(frame.oriented(named)), frame)[1]

    def _summed(self, members: list[tuple[Any, "list[_Where]"]]) -> list[Any]:
        """The terms of a group, those in a box of indices as one sum."""
        if len(members) < ENOUGH:
            return [t for t, _ in members]
        columns = [[_plain(m[1][k].slot) for m in members] for k in range(len(members[0][1]))]
        steps = [tuple(v - column[0] for v in column) for column in columns]
        firsts = _counted_by(steps, members[0][1])
        points = {tuple(columns[k][i] for k in firsts): i for i in range(len(members))}
        if not firsts or len(points) < len(members):
            return [t for t, _ in members]
        result = []
        for box, inside in boxes(list(points)):
            if box and len(inside) >= ENOUGH:
                term, where = members[points[inside[-1]]]
                result.append(self._sum(term, where, steps, firsts, inside[-1], box))
            else:
                result += [members[points[p]][0] for p in inside]
        return result

    def _sum(
        self, term: Any, where: "list[_Where]", steps: list[tuple[int, ...]], firsts: list[int],
        point: tuple[int, ...], box: Box,
    ) -> Any:  # fmt: skip
        ranges = []
        variable_of = {}
        free = self._height(term)
        for first, at, (start, stop) in zip(firsts, point, box, strict=True):
            w = where[first]
            variable_of[steps[first]] = (free, at)
            own = isinstance(w.slot, Step)
            ranges.append(Range(free, start, stop, w.place, own, w.base, w.axis, w.input == 2))
            free += 1
        changed: dict[Any, list[Index]] = {}
        for w, step in zip(where, steps, strict=True):
            indices = changed.setdefault(w.symbol, list(w.named.indices))
            if step in variable_of:
                variable, at = variable_of[step]
                indices[w.position] = Bound(variable, _plain(w.slot) - at, isinstance(w.slot, Step))
            elif _against(step) in variable_of:
                variable, at = variable_of[_against(step)]
                indices[w.position] = Bound(variable, _plain(w.slot) + at, back=True)
        named = {w.symbol: w.named for w in where}
        term = self._exchange(term, {x: self.names.symbol(with_indices(named[x], i)) for x, i in changed.items()})
        summed = {r.variable for r in ranges}
        factors = sympy.Mul.make_args(term)
        outside = [f for f in factors if not self._variables(f) & summed]
        inside = sympy.Mul(*(f for f in factors if f not in outside))
        return sympy.Mul(*outside) * self.number(Sum(inside, tuple(ranges)))

    def _exchange(self, value: Any, table: Mapping[Any, Any]) -> Any:
        """Symbols exchanged, in the terms of sums as well."""
        found = self.sum_of(value)
        if found is not None:
            term = self._exchange(found.term, table)
            return value if term == found.term else self.number(replace(found, term=term))
        if not value.args:
            return table.get(value, value)
        return value.func(*(self._exchange(a, table) for a in value.args))

    def _variables(self, value: Any) -> set[int]:
        """The variables of sums, its own ones and those around it, that the indices in an expression hold."""
        found = self.sum_of(value)
        if found is not None:
            return self._variables(found.term)
        named = self.names.named.get(value)
        if named is not None:
            return {i.variable for i in named.indices if isinstance(i, Bound)}
        return {v for a in value.args for v in self._variables(a)}

    def _height(self, value: Any) -> int:
        """A number for a variable that no sum inside uses."""
        found = self.sum_of(value)
        if found is not None:
            return 1 + max(r.variable for r in found.ranges)
        return max((self._height(a) for a in value.args), default=0)

    def number(self, found: Sum) -> Any:
        """The symbol-like function S{k} that stands for a sum."""
        index = self._numbers.setdefault(found, len(self.sums))
        if index == len(self.sums):
            self.sums.append(found)
        return sympy.Function(f"S{index}", real=True)(sympy.Integer(index))

    def sum_of(self, value: Any) -> Sum | None:
        """The sum that a value stands for, if it does."""
        name = type(value).__name__
        known = isinstance(value, sympy.core.function.AppliedUndef) and name[0] == "S" and name[1:].isdigit()
        return self.sums[int(name[1:])] if known else None

    def gather(self) -> None:
        """Gather what stands in sums, for those who read them."""
        self.sums = [replace(x, term=gathered(x.term, self.names)) for x in self.sums]

    # ------------------------------------------------------------------------------------------ forms
    def _skeleton(self, value: Any, frame: Frame) -> "tuple[str, list[_Where]]":
        """An expression without its indices, as a text, and the indices in the order of the text."""
        named = self.names.named.get(value)
        if named is not None:
            return self.named_skeleton(value, frame.oriented(named), frame)
        if not value.args:
            return sympy.srepr(value), []
        found = self.sum_of(value)
        if found is not None:
            return self._sum_skeleton(found, frame)
        parts = [self._skeleton(a, frame) for a in value.args]
        if value.is_Add or value.is_Mul:
            parts.sort(key=lambda p: (p[0], [_order(w.slot) for w in p[1]]))
        return f"{type(value).__name__}({', '.join(p[0] for p in parts)})", [w for p in parts for w in p[1]]

    def named_skeleton(self, symbol: Any, named: Named, frame: Frame) -> "tuple[str, list[_Where]]":
        sides = [x for x in (named.left, named.right) if x is not None]
        where = []
        position = 0
        slots, aligned = frame.slots(named), frame.aligned(named)
        for side in sides:
            for axis in range(len(side.index)):
                end = self.axes.of(side)[axis]
                given = (side.base, axis, side.input, end)
                where.append(_Where(symbol, named, position, slots[position], aligned[position], *given))
                position += 1
        return f"{named.kind}<{';'.join(f'{x.base}:{x.input}:{len(x.index)}' for x in sides)}>", where

    def _sum_skeleton(self, found: Sum, frame: Frame) -> "tuple[str, list[_Where]]":
        key, where = self._skeleton(found.term, frame)
        ranges = [f"{r.start}..{r.stop}" for r in found.ranges]
        return f"Sum({key}; {'; '.join(ranges)})", where


class _Where(NamedTuple):
    """An index in an expression: of which symbol, at which position, and what it counts from."""

    symbol: Any
    named: Named
    position: int
    slot: Slot
    place: Place | None
    base: str
    axis: int
    input: int
    end: str | None


def _ends(where: "list[_Where]") -> list[tuple[str | None, int]]:
    """Indices with the ends of their axes: only those of one axis can be the same."""
    return [(w.end, _plain(w.slot)) for w in where]


def _generality(indices: list[tuple[str | None, int]], own: set[tuple[str | None, int]]) -> tuple[int, int]:
    """How many indices differ, and how many stand before smaller ones."""
    falls = sum(a[0] == b[0] and a[1] > b[1] for i, b in enumerate(indices) for a in indices[:i])
    return len(own.union(indices)), -falls


def _agreements(where: "list[_Where]", own: set[tuple[str | None, int]]) -> set[tuple]:
    """Which indices are equal, and which are those of the left side."""
    values = _ends(where)
    equal: set[tuple] = {(i, j) for i, a in enumerate(values) for j in range(i) if a == values[j]}
    return equal | {(i, a) for i, a in enumerate(values) if a in own}


def _counted_by(steps: list[tuple[int, ...]], where: "list[_Where]") -> list[int]:
    """The columns that a sum's variables are counted by, one for all that run together or against each other.

    Those that run together with the first that belongs to no data; on a circle nothing runs against anything.
    """
    found: list[int] = []
    for k in sorted(range(len(steps)), key=lambda k: where[k].named.kind in ("gram", "entry")):
        known = [steps[f] for f in found]
        known += [_against(steps[f]) for f in found if not any(isinstance(where[i].slot, Step) for i in (k, f))]
        if any(steps[k]) and steps[k] not in known:
            found.append(k)
    leads = {steps[k] for k in found}
    return sorted(steps.index(s) for s in leads)


def _against(step: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-x for x in step)


def _plain(slot: Slot) -> int:
    """A number to compare a column's entries by. Bound indices never move."""
    if isinstance(slot, Bound):
        return 10_000 * (2 * slot.variable + slot.back + 1) + slot.offset
    if isinstance(slot, Step):
        return slot.offset
    return slot.total if isinstance(slot, Back) else slot


def _order(slot: Slot) -> tuple[int, int]:
    return isinstance(slot, Bound), _plain(slot)


def with_indices(named: Named, indices: Iterable[Index]) -> Named:
    """The same kernel at other indices."""
    indices = tuple(indices)
    count = len(named.left.index)
    right = named.right and replace(named.right, index=indices[count:])
    return Named(named.kind, replace(named.left, index=indices[:count]), right)


def is_symmetric(named: Named) -> bool:
    right = named.right
    return right is not None and (named.left.base, named.left.input) == (right.base, right.input)


def turned(named: Named) -> Named:
    assert named.right is not None
    return Named(named.kind, named.right, named.left)
