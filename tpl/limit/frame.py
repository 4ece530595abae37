"""The indices of an equation: which of them count from the left side's, what they are called, which go round a circle."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tpl.language import syntax as s
from tpl.limit.naming import OUTPUTS, Bound, Named, Variable


class Place(NamedTuple):
    """An index of the left side: of its first or second vector, and which one."""

    side: int
    axis: int


class Step(NamedTuple):
    """An index on a circle, as its distance from the left side's."""

    offset: int


class Back(NamedTuple):
    """An index that runs against the left side's, as the sum of the two: of x[T + 1 - s] T + 1."""

    total: int


Slot = int | Bound | Step | Back


@dataclass(frozen=True)
class Axes:
    """What the indices of a program's families run over.

    ends: base name -> for each index the name that its loop ends with. letters: base name -> loop variables.
    cyclic: ends that indices are counted modulo of. outputs: ends of the axes of which two outputs are taken. length: of every loop of the derivation. sums: the variables of
    sums over a fixed range, with the range as it is written and its values.
    """

    ends: Mapping[str, tuple[str, ...]]
    letters: Mapping[str, tuple[str, ...]]
    cyclic: frozenset[str]
    length: int
    sums: Mapping[tuple[int, int], tuple[str, str, str]]
    outputs: tuple[str, ...] = ()

    def is_output(self, side: Variable, end: str | None, index: Any) -> bool:
        """Is an index that of the output to which a vector belongs?"""
        return side.input > 0 and end in self.outputs and index == OUTPUTS[side.input - 1]

    def of(self, side: Variable) -> tuple[str | None, ...]:
        """The ends of a vector's indices."""
        return _known(self.ends, side) or (None,) * len(side.index)

    def ends_of(self, named: Named) -> list[str | None]:
        """The ends of a kernel's indices, both sides'."""
        return [end for side in (named.left, named.right) if side is not None for end in self.of(side)]

    def names(self, side: Variable) -> tuple[str, ...]:
        """The letters for a vector's indices."""
        return _known(self.letters, side) or ("l", "i", "j", "k", "m")[: len(side.index)]


def _known(table: Mapping[str, tuple[str, ...]], side: Variable) -> tuple[str, ...]:
    found = table.get(side.base) or table.get(side.base.removeprefix("d")) or ()
    return found if len(found) == len(side.index) else ()


@dataclass(frozen=True)
class Frame:
    """The indices that an equation counts from: those of its left side. shared: those that its two vectors share.

    seen: how often an index follows the left side's at one distance, or runs against it with one sum, in all equations
    of the family.
    """

    axes: Axes
    left: Named | None = None
    shared: frozenset[int] = frozenset()
    seen: Mapping[tuple, int] = field(default_factory=dict, compare=False)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The left side's indices, shared ones once."""
        if self.left is None:
            return ()
        sides = (self.left.left, self.left.right)
        return tuple(
            Place(i, a)
            for i, side in enumerate(sides)
            if side is not None
            for a in range(len(side.index))
            if i == 0 or a not in self.shared
        )

    def at(self, place: Place, left: Named | None = None) -> int:
        left = left or self.left
        assert left is not None
        side = left.left if place.side == 0 else left.right
        assert side is not None
        return side.index[place.axis]  # type: ignore[return-value]

    def coordinates(self, left: Named) -> tuple[int, ...]:
        return tuple(self.at(p, left) for p in self.places)

    @cached_property
    def _known(self) -> "tuple[dict[Named, Named], dict[Named, tuple[Place | None, ...]]]":
        """What `oriented` and `aligned` have answered."""
        return {}, {}

    def oriented(self, named: Named) -> Named:
        """A kernel of one family at one input is symmetric: the order in which its indices follow the left side's."""
        known = self._known[0]
        if named not in known:
            known[named] = self._oriented(named)
        return known[named]

    def _oriented(self, named: Named) -> Named:
        left, right = named.left, named.right
        if right is None or (left.base, left.input) != (right.base, right.input) or left.index == right.index:
            return named
        turned = Named(named.kind, right, left)
        return turned if self._agreement(turned) > self._agreement(named) else named

    def _agreement(self, named: Named) -> int:
        pairs = zip(named.indices, self.aligned(named), strict=True)
        return sum(2 - p.axis / 10 for i, p in pairs if p is not None and i == self.at(p))  # type: ignore[misc]

    def aligned(self, named: Named) -> tuple[Place | None, ...]:
        """For every index of a kernel the left side's index that it counts from, if any."""
        known = self._known[1]
        if named not in known:
            known[named] = self._aligned(named)
        return known[named]

    def _aligned(self, named: Named) -> tuple[Place | None, ...]:
        if self.left is None:
            return (None,) * len(named.indices)
        if named.kind == "entry":
            return self._aligned_entry(named)
        found: list[Place | None] = []
        earlier: set[Place] = set()  # what the other side counts from: this one does if nothing else is left
        variance = self._variance_side(named)
        itself = named == self.left
        for position, side in enumerate(x for x in (named.left, named.right) if x is not None):
            own = self._own_side(side, position) if variance is None else variance
            anchor = self.left.left if own == 0 else self.left.right
            assert anchor is not None
            ends = self.axes.of(anchor)
            used: set[Place] = set()
            for axis, (end, index) in enumerate(zip(self.axes.of(side), side.index, strict=True)):
                fits = (
                    []
                    if (isinstance(index, Bound) and not index.own)
                    or (not itself and self.axes.is_output(side, end, index))
                    else [
                        Place(own, a)
                        for a, e in enumerate(ends)
                        if (e == end if e is not None and end is not None else a == axis) and Place(own, a) not in used
                    ]
                )
                fits.sort(key=earlier.__contains__)
                found.append(fits[0] if fits else None)
                used |= set(fits[:1])
            earlier |= used
        return tuple(found)

    def _own_side(self, side: Variable, position: int) -> int:
        """The side of the left-hand kernel with the same input; sides of one input by their order, if they are indexed."""
        assert self.left is not None
        if self.left.right is None:
            return 0
        if self.left.left.input == self.left.right.input:
            return position if (self.left.left, self.left.right)[position].index else 1 - position
        if side.input not in (self.left.left.input, self.left.right.input):
            return position
        return int(side.input == self.left.right.input)

    def _aligned_entry(self, named: Named) -> tuple[Place | None, ...]:
        """An entry of data belongs to no side: its indices count from those that they equal."""
        found: list[Place | None] = []
        for index, end in zip(named.indices, self.axes.of(named.left), strict=True):
            fits = [p for p in self.places if p not in found and self.at(p) == index and self.end_of(p) == end]
            found.append(fits[0] if fits else None)
        return tuple(found)

    def end_of(self, place: Place) -> str | None:
        """What the axis of an index of the left side ends with."""
        side = self.left.left if place.side == 0 else self.left.right  # type: ignore[union-attr]
        assert side is not None
        return self.axes.of(side)[place.axis]

    def _variance_side(self, named: Named) -> int | None:
        """The side that both indices of a variance count from where inputs do not tell: the nearer one."""
        left, right = self.left.left, self.left.right  # type: ignore[union-attr]
        if right is None or left.index == right.index or named.left != named.right:
            return None
        if left.input != right.input and named.left.input in (left.input, right.input):
            return None
        numbers = named.left.numbers
        if len(numbers) != len(left.index) or len(numbers) != len(right.index):
            return None
        near = [sum(abs(i - j) for i, j in zip(numbers, side.numbers, strict=True)) for side in (left, right)]
        return near.index(min(near))

    def slots(self, named: Named) -> tuple[Slot, ...]:
        """The indices of an oriented kernel; on a circle as steps from the left side's."""
        aligned, ends = self.aligned(named), self.axes.ends_of(named)
        entries = enumerate(zip(named.indices, aligned, ends, strict=True))
        return tuple(
            i if p is None or isinstance(i, Bound) else self._slot(named, k, i, p, e) for k, (i, p, e) in entries
        )

    def _slot(self, named: Named, position: int, index: int, place: Place, end: str | None) -> Slot:
        if end in self.axes.cyclic:
            return self._step(index, place)
        follows, against = self.ways(named, position, index, place)
        return Back(index + self.at(place)) if self.seen.get(against, 0) > self.seen.get(follows, 0) else index

    def ways(self, named: Named, position: int, index: int, place: Place) -> tuple[tuple, tuple]:
        """What `seen` counts of an index: that it follows the left side's, and that it runs against it."""
        own = self.at(place)
        key = (named.kind, named.left.base, named.right and named.right.base, position, place)
        return (*key, "+", index - own), (*key, "-", index + own)

    def _step(self, index: int, place: Place) -> Step:
        length = self.axes.length
        return Step((index - self.at(place) + length // 2) % length - length // 2)


# ---------------------------------------------------------------------------------------------- from the syntax


def find_axes(file: s.File, length: int, values: Mapping[str, int]) -> Axes:
    """The axes of a file's families. values: of constants that ranges of sums end with."""
    ends: dict[str, tuple[str, ...]] = {}
    letters: dict[str, tuple[str, ...]] = {}
    for target, clauses in _targets(file.statements, ()):
        bound = {c.variable: c for c in clauses}
        found = [_counted(i, bound) for i in target.indices]
        if target.indices and all(found):
            ends.setdefault(target.name, tuple(x[0] for x in found if x is not None))
            letters.setdefault(target.name, tuple(x[1] for x in found if x is not None))
    for network in (x for x in file.statements if isinstance(x, s.Network)):
        for given in network.inputs:
            if len(given.dims) > 1:
                ends.setdefault("ξ", _dims(given.dims[:-1]))
    for data in (x for x in file.statements if isinstance(x, s.Data)):
        ends.setdefault(data.name, _dims(data.dims))
    sums = {}
    for clause in (c for node in s.walk(file.statements) if isinstance(node, s.Comprehension) for c in node.clauses):
        start, stop = _value(clause.start, values), _value(clause.stop, values)
        if start is not None and stop is not None:
            sums[start, stop] = (clause.variable, _text(clause.start), _text(clause.stop))
    cyclic = frozenset(
        divisor.name
        for node in s.walk(file.statements)
        if isinstance(node, s.Chain)
        for op, divisor in node.rest
        if op == "mod" and isinstance(divisor, s.Name)
    )
    return Axes(ends, letters, cyclic, length, sums)


def exchangeable(file: s.File, end: str) -> bool:
    """Does a program treat all indices that run to `end` alike? Then what holds at two of them holds at any two.

    So it is if loops over them begin at 1 and such an index is always the loop's variable alone, as in h[l, i].
    """
    ends = dict(find_axes(file, 0, {}).ends)
    nodes = [n for x in file.statements if isinstance(x, s.Network) for n in s.walk(x.body)]
    for network in (x for x in file.statements if isinstance(x, s.Network)):
        ends |= {given.name: _dims(given.dims) for given in network.inputs}
    starts = [n.start for n in nodes if isinstance(n, s.Clause) and isinstance(n.stop, s.Name) and n.stop.name == end]
    if any(not isinstance(x, s.Number) or x.value != 1 for x in starts):
        return False
    uses = [(n.base.name, n.indices) for n in nodes if isinstance(n, s.Indexed) and isinstance(n.base, s.Name)]
    uses += [(n.name, n.indices) for n in nodes if isinstance(n, s.Target)]
    return all(
        isinstance(index, s.Name)
        for name, indices in uses
        for index, axis in zip(indices, ends.get(name, ()), strict=False)
        if axis == end
    )


def _dims(dims: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(x.name if isinstance(x, s.Name) else "" for x in dims)


def _targets(
    statements: tuple[s.Statement, ...], clauses: tuple[s.Clause, ...]
) -> Iterator[tuple[s.Target, tuple[s.Clause, ...]]]:
    for node in statements:
        if isinstance(node, s.Loop):
            yield from _targets(node.body, (*clauses, node.clause))
        elif isinstance(node, s.Network):
            yield from _targets(node.body, clauses)
        elif isinstance(node, s.Assign):
            yield node.target, clauses


def _counted(index: Any, bound: Mapping[str, s.Clause]) -> tuple[str, str] | None:
    """The name that an index ends with, and its loop's variable: of t or t + 1 the loop's end, of T - s or T + 1 - s T."""
    names = [x.name for x in s.walk(index) if isinstance(x, s.Name)]
    variables = [x for x in names if x in bound]
    others = [x for x in names if x not in bound]
    if len(variables) != 1 or len(others) > 1:
        return None
    return others[0] if others else _end(bound[variables[0]]), variables[0]


def _end(clause: s.Clause) -> str:
    return next((x.name for x in s.walk(clause.stop) if isinstance(x, s.Name)), "")


def _value(node: Any, values: Mapping[str, int]) -> int | None:
    if isinstance(node, s.Number) and node.value.denominator == 1:
        return int(node.value)
    if isinstance(node, s.Name):
        return values.get(node.name)
    if isinstance(node, s.Signed):
        inside = _value(node.operand, values)
        return inside if inside is None or node.sign == "+" else -inside
    return None


def _text(node: Any) -> str:
    if isinstance(node, s.Signed):
        return ("−" if node.sign == "-" else "") + _text(node.operand)
    return node.name if isinstance(node, s.Name) else str(node.value)


__all__ = ["Axes", "Back", "Frame", "Place", "Slot", "Step", "exchangeable", "find_axes"]
