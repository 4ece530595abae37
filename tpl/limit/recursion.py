"""From unrolled equations to recursions and sums, by anti-unification.

Terms of a sum that are equal but for their indices become one `Sum` over these indices; equations that are equal but
for the indices of their left sides become one `Rule` for a range of them. A rule needs three equations, a sum three
terms; what follows no pattern is stated as it stands.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, permutations, product
from typing import Any, NamedTuple

import sympy

from tpl.limit.frame import Axes, Frame, Place, Slot, Step
from tpl.limit.gathering import gathered
from tpl.limit.naming import OUTPUTS, Bound, Index, Named, Names, Variable, in_order

MAX_FOLDED = 20_000  # nodes of an expression that is searched for sums
ENOUGH = 3  # iterations that must agree before a step is stated in general

MOST_EQUAL, MOST_ORDERS = 3, 36  # equal factors of a term, and their orders, that are tried

Box = tuple[tuple[int, int], ...]


class Policy(NamedTuple):
    """Do the ends of a sum's range move with the left side's index?"""

    start: bool = False
    stop: bool = False


FIXED = Policy()
POLICIES = (FIXED, Policy(False, True), Policy(True, False), Policy(True, True))


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


@dataclass(frozen=True)
class Rule:
    """left = right for all `region` (ranges, one a coordinate of the frame; empty if it stands as it is).

    edge: the rule holds where some coordinate is the first or last of its range only. Indices are those of one member.
    """

    left: Named
    right: Any
    frame: Frame
    region: Box = ()
    edge: str = ""
    policy: Policy = FIXED


class Folder:
    """Folds sums, and equations into rules. `sums`: what S0, S1, … in formulas stand for."""

    def __init__(self, names: Names, axes: Axes):
        self.names = names
        self.axes = axes
        self.sums: list[Sum] = []
        self._numbers: dict[Sum, int] = {}
        self._written_out: dict[tuple, Any] = {}  # sums, at left sides

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
            runs.setdefault(key, []).append((where, *self._turned(factor, frame)))
        orders = [
            list(permutations(runs[key])) if len(runs[key]) <= MOST_EQUAL else [tuple(runs[key])]
            for key in sorted(runs)
        ]
        for chosen in islice(product(*orders), MOST_ORDERS):
            for sides in product(*(factor for order in chosen for factor in order)):
                yield [w for where in sides for w in where]

    def _turned(self, factor: Any, frame: Frame) -> "Iterator[list[_Where]]":
        """The indices of a symmetric kernel, its second side first."""
        named = self.names.named.get(factor)
        if named is not None and _is_symmetric(named) and named.left != named.right:
            yield self._named_skeleton(factor, _turned(frame.oriented(named)), frame)[1]

    def _summed(self, members: list[tuple[Any, "list[_Where]"]]) -> list[Any]:
        """The terms of a group, those in a box of indices as one sum."""
        if len(members) < ENOUGH:
            return [t for t, _ in members]
        columns = [[_plain(m[1][k].slot) for m in members] for k in range(len(members[0][1]))]
        steps = [tuple(v - column[0] for v in column) for column in columns]
        moving = list(dict.fromkeys(s for s in steps if any(s)))
        firsts = [steps.index(s) for s in moving]  # the column that a variable is counted by
        points = {tuple(columns[k][i] for k in firsts): i for i in range(len(members))}
        if not moving or len(points) < len(members):
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
            return self._named_skeleton(value, frame.oriented(named), frame)
        if not value.args:
            return sympy.srepr(value), []
        found = self.sum_of(value)
        if found is not None:
            return self._sum_skeleton(found, frame)
        parts = [self._skeleton(a, frame) for a in value.args]
        if value.is_Add or value.is_Mul:
            parts.sort(key=lambda p: (p[0], [_order(w.slot) for w in p[1]]))
        return f"{type(value).__name__}({', '.join(p[0] for p in parts)})", [w for p in parts for w in p[1]]

    def _named_skeleton(self, symbol: Any, named: Named, frame: Frame) -> "tuple[str, list[_Where]]":
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

    # ------------------------------------------------------------------------------------------ rules
    def rules(self, equations: Mapping[Named, Any]) -> list[Rule]:
        """Equations as rules, families in the order of their first equation."""
        families: dict[tuple, dict[Named, Any]] = {}
        for left, right in equations.items():
            families.setdefault(_family(left), {})[left] = right
        return [r for members in families.values() for r in self._family_rules(members)]

    def _family_rules(self, members: dict[Named, Any]) -> list[Rule]:
        members = {**members, **{_turned(n): v for n, v in members.items() if _is_symmetric(n)}}
        shared = _shared(members)
        folded = {n: (f := Frame(self.axes, n, shared), self.fold(v, f)) for n, v in members.items()}
        best: list[Rule] = []
        for policy in POLICIES:
            groups: dict[str, list[Named]] = {}
            for left, (frame, right) in folded.items():
                groups.setdefault(self._relative(right, frame, policy), []).append(left)
            special, joined = self._joined(list(groups.values()), members, folded, policy)
            found = [r for group in joined for r in _group_rules(group, special, folded, policy)]
            if not best or len(found) < len(best):
                best = found
        return best

    def _joined(
        self, groups: list[list[Named]], members: Mapping[Named, Any], folded: Mapping[Named, tuple[Frame, Any]],
        policy: Policy,
    ) -> tuple[frozenset[Named], list[list[Named]]]:  # fmt: skip
        """Equations that look otherwise, as variances do, but are what the rule of a group with holes says: they join it.

        Returns them, and the groups.
        """
        special: set[Named] = set()
        groups = [list(g) for g in groups]
        for general in sorted(groups, key=len, reverse=True):
            if len(general) < ENOUGH or boxed([folded[n][0].coordinates(n) for n in general]):
                continue
            frame, right = folded[_plainest(general, folded)]
            shape = [frame.coordinates(n) for n in general]
            inside = [(min(axis), max(axis)) for axis in zip(*shape, strict=True)]
            others = [n for g in groups if g is not general for n in g if n not in special]
            near = [n for n in others if _is_in(frame.coordinates(n), inside)]
            same = [n for n in near if self._same(self._at(right, frame, n, policy, {}), members[n])]
            special.update(same)
            for g in groups:
                g[:] = [*g, *same] if g is general else [n for n in g if n not in same]
        return frozenset(special), [g for g in groups if g]

    def _at(self, value: Any, frame: Frame, left: Named, policy: Policy, bound: Mapping[int, int]) -> Any:
        """What an equation's right side says at another left side, its sums written out."""
        named = self.names.named.get(value)
        if named is not None:
            named = frame.oriented(named)
            entries = zip(
                named.indices, frame.slots(named), frame.aligned(named), self.axes.ends_of(named), strict=True
            )
            moved = with_indices(named, [self._index_at(*x, frame, left, bound) for x in entries])
            sides = [x for x in (moved.left, moved.right) if x is not None]
            return self.names.symbol(Named(moved.kind, *in_order(*sides)))
        found = self.sum_of(value)
        if found is not None:
            spans = [self._span_at(r, frame, left, policy) for r in found.ranges]
            key = (value, frame.left, left, *spans, *bound.items())
            if key not in self._written_out:
                variables = [r.variable for r in found.ranges]
                points = ({**bound, **dict(zip(variables, values, strict=True))} for values in product(*spans))
                terms = [self._at(found.term, frame, left, policy, point) for point in points]
                self._written_out[key] = sympy.Add(*terms)
            return self._written_out[key]
        if not value.args:
            return value
        return value.func(*(self._at(a, frame, left, policy, bound) for a in value.args))

    def _same(self, a: Any, b: Any) -> bool:
        return bool(a == b or self.names.standard(a) == self.names.standard(b))

    def _index_at(
        self, index: Index, slot: Slot, place: Place | None, end: str | None, frame: Frame, left: Named,
        bound: Mapping[int, int],
    ) -> int:  # fmt: skip
        if isinstance(index, Bound):
            at = bound[index.variable] + index.offset
            if index.own and place is not None:
                at += frame.at(place, left)
        else:
            at = index if place is None else index + frame.at(place, left) - frame.at(place)
        return (at - 1) % self.axes.length + 1 if end in self.axes.cyclic else at

    def _span_at(self, r: Range, frame: Frame, left: Named, policy: Policy) -> range:
        step = 0 if r.place is None or r.own else frame.at(r.place, left) - frame.at(r.place)
        return range(r.start + step * policy.start, r.stop + step * policy.stop + 1)

    def _relative(self, value: Any, frame: Frame, policy: Policy) -> str:
        """The form of a right side with its indices as offsets from the left side's: equal for equal steps."""
        named = self.names.named.get(value)
        if named is not None:
            named = frame.oriented(named)
            key, _ = self._named_skeleton(value, named, frame)
            pairs = zip(frame.slots(named), frame.aligned(named), strict=True)
            return key + ",".join(_offset(slot, place, frame) for slot, place in pairs)
        if not value.args:
            return sympy.srepr(value)
        found = self.sum_of(value)
        if found is not None:
            ends = [
                f"{_end(r.start, r, frame, policy.start)}..{_end(r.stop, r, frame, policy.stop)}" for r in found.ranges
            ]
            return f"Sum({self._relative(found.term, frame, policy)}; {';'.join(ends)})"
        parts = [self._relative(a, frame, policy) for a in value.args]
        if value.is_Add or value.is_Mul:
            parts.sort()
        return f"{type(value).__name__}({', '.join(parts)})"


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


def _plain(slot: Slot) -> int:
    """A number to compare a column's entries by. Bound indices never move."""
    if isinstance(slot, Bound):
        return 10_000 * (slot.variable + 1) + slot.offset
    return slot.offset if isinstance(slot, Step) else slot


def _order(slot: Slot) -> tuple[int, int]:
    return isinstance(slot, Bound), _plain(slot)


def _offset(slot: Slot, place: Place | None, frame: Frame) -> str:
    if isinstance(slot, int) and place is not None:
        return f"{slot - frame.at(place):+d}"
    return repr(slot)


def _end(value: int, r: Range, frame: Frame, moves: bool) -> str:
    return f"{value - frame.at(r.place):+d}" if moves and r.place is not None and not r.own else str(value)


def with_indices(named: Named, indices: Iterable[Index]) -> Named:
    """The same kernel at other indices."""
    indices = tuple(indices)
    count = len(named.left.index)
    right = named.right and replace(named.right, index=indices[count:])
    return Named(named.kind, replace(named.left, index=indices[:count]), right)


def _is_symmetric(named: Named) -> bool:
    right = named.right
    return right is not None and (named.left.base, named.left.input) == (right.base, right.input)


def _turned(named: Named) -> Named:
    assert named.right is not None
    return Named(named.kind, named.right, named.left)


def _family(named: Named) -> tuple:
    right = named.right
    return (
        named.kind,
        named.left.base,
        named.left.input,
        len(named.left.index),
        right and (right.base, right.input, len(right.index)),
    )


def _shared(members: Iterable[Named]) -> frozenset[int]:
    """The axes at which both sides of every kernel of a family have one index."""
    pairs = [(n.left.index, n.right.index) for n in members if n.right is not None]
    if not pairs or any(len(a) != len(b) for a, b in pairs):
        return frozenset()
    return frozenset(k for k in range(len(pairs[0][0])) if all(a[k] == b[k] for a, b in pairs))


def _group_rules(
    group: list[Named], special: frozenset[Named], folded: Mapping[Named, tuple[Frame, Any]], policy: Policy
) -> list[Rule]:
    """Equations of one form, split into boxes of their indices. special: those that do not show the form."""
    frame = folded[group[0]][0]
    by_index = {frame.coordinates(n): n for n in group}
    found = []
    for box, edge, inside in _regions(list(by_index)):
        chosen = [by_index[i] for i in inside]
        shows = [n for n in chosen if n not in special]
        if box and len(shows) >= ENOUGH:
            shown = _plainest(shows, folded)
            found.append(Rule(shown, folded[shown][1], folded[shown][0], box, edge, policy))
        else:
            found += [Rule(n, folded[n][1], folded[n][0], policy=policy) for n in chosen]
    return found


def _plainest(members: list[Named], folded: Mapping[Named, tuple[Frame, Any]]) -> Named:
    """The equation that shows best what its indices count from: few of them equal, those of the first side smaller."""

    def plain(named: Named) -> tuple[int, int, bool]:
        frame = folded[named][0]
        places = [(frame.end_of(p), frame.at(p, named)) for p in frame.places]
        outputs = sum(i in OUTPUTS for end, i in places if end in frame.axes.outputs)
        return len(set(places)), -outputs, named.right is None or named.left.index < named.right.index

    return max(reversed(members), key=plain)


def _regions(indices: list[tuple[int, ...]]) -> list[tuple[Box, str, list[tuple[int, ...]]]]:
    """As `boxes`, but where the indices fill the first or last edges of a box, that is one region."""
    indices = sorted(indices)
    if indices[0]:
        bounds = tuple((min(axis), max(axis)) for axis in zip(*indices, strict=True))
        everywhere = list(product(*(range(a, b + 1) for a, b in bounds)))
        for edge, side in (("first", 0), ("last", 1)):
            on_edge = [c for c in everywhere if any(i == b[side] for i, b in zip(c, bounds, strict=True))]
            if len(bounds) > 1 and on_edge == indices != everywhere:
                return [(bounds, edge, indices)]
    return [(box, "", inside) for box, inside in boxes(indices)]


def boxes(indices: list[tuple[int, ...]]) -> list[tuple[Box, list[tuple[int, ...]]]]:
    """Split a set of indices into boxes: whole if it fills one, else by runs of its first index with equal rest."""
    indices = sorted(indices)
    whole = _box(indices)
    if whole is not None or len(indices[0]) < 2:
        return [(whole or (), indices)] if whole is not None or not indices[0] else _runs(indices)
    rest: dict[int, list[tuple[int, ...]]] = {}
    for index in indices:
        rest.setdefault(index[0], []).append(index)
    found: list[list[tuple[int, ...]]] = []
    for first in sorted(rest):
        tail = [i[1:] for i in rest[first]]
        previous = found[-1] if found else []
        if previous and previous[-1][0] == first - 1 and [i[1:] for i in previous if i[0] == first - 1] == tail:
            previous.extend(rest[first])
        else:
            found.append(list(rest[first]))
    return [(box, part) for part in found for box, part in ([(_box(part) or (), part)])]


def _runs(indices: list[tuple[int, ...]]) -> list[tuple[Box, list[tuple[int, ...]]]]:
    runs: list[list[tuple[int, ...]]] = []
    for index in indices:
        if runs and runs[-1][-1][0] == index[0] - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return [(_box(run) or (), run) for run in runs]


def boxed(indices: list[tuple[int, ...]]) -> bool:
    """Do indices fill a box, or one but for its inside?"""
    regions = _regions(indices)
    return len(regions) == 1 and bool(regions[0][0])


def _is_in(index: tuple[int, ...], box: Iterable[tuple[int, int]]) -> bool:
    return all(a <= i <= b for i, (a, b) in zip(index, box, strict=True))


def _box(indices: list[tuple[int, ...]]) -> Box | None:
    """The box that a set of indices fills, if it does."""
    if not indices[0]:
        return None
    ranges = tuple((min(axis), max(axis)) for axis in zip(*indices, strict=True))
    full = set(product(*(range(a, b + 1) for a, b in ranges)))
    return ranges if full == set(indices) else None


__all__ = ["FIXED", "Box", "Folder", "Policy", "Range", "Rule", "Sum", "Variable"]
