"""From unrolled equations to recursions and sums, by anti-unification.

Terms of a sum that are equal but for their indices become one `Sum` over these indices; equations that are equal but
for the indices of their left sides become one `Rule` for a range of them. A rule needs three equations, a sum three
terms; what follows no pattern is stated as it stands.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import sympy

from tpl.limit.boxes import Box, boxed, is_in, regions
from tpl.limit.frame import Back, Frame, Place, Slot
from tpl.limit.naming import OUTPUTS, Bound, Index, Named, in_order
from tpl.limit.sums import ENOUGH, Folder, Range, is_symmetric, turned, with_indices


class Policy(NamedTuple):
    """Do the ends of a sum's range move with the left side's index?"""

    start: bool = False
    stop: bool = False


FIXED = Policy()
POLICIES = (FIXED, Policy(False, True), Policy(True, False), Policy(True, True))


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


class Recursion:
    """Equations as rules, for a folder that folds their right sides."""

    def __init__(self, folder: Folder):
        self.folder, self.names, self.axes = folder, folder.names, folder.axes
        self._written_out: dict[tuple, Any] = {}  # sums, at left sides

    def rules(self, equations: Mapping[Named, Any]) -> list[Rule]:
        """Equations as rules, families in the order of their first equation."""
        families: dict[tuple, dict[Named, Any]] = {}
        for left, right in equations.items():
            families.setdefault(_family(left), {})[left] = right
        return [r for members in families.values() for r in self._family_rules(members)]

    def _family_rules(self, members: dict[Named, Any]) -> list[Rule]:
        members = {**members, **{turned(n): v for n, v in members.items() if is_symmetric(n)}}
        shared = _shared(members)
        folded = {n: (f := Frame(self.axes, n, shared), self.folder.fold(v, f)) for n, v in members.items()}
        seen = Counter(way for frame, right in folded.values() for way in self._ways(right, frame))
        if _runs_back(seen):
            folded = {n: (replace(frame, seen=seen), right) for n, (frame, right) in folded.items()}
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

    def _ways(self, value: Any, frame: Frame) -> Iterator[tuple]:
        """How every index on a right side stands to the left side's."""
        named = self.names.named.get(value)
        if named is not None:
            named = frame.oriented(named)
            for k, (index, place) in enumerate(zip(named.indices, frame.aligned(named), strict=True)):
                if place is not None and not isinstance(index, Bound):
                    yield from frame.ways(named, k, index, place)
        found = self.folder.sum_of(value)
        for part in value.args if found is None else (found.term,):
            yield from self._ways(part, frame)

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
            near = [n for n in others if is_in(frame.coordinates(n), inside)]
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
        found = self.folder.sum_of(value)
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
            at = index.offset + (-1 if index.back else 1) * bound[index.variable]
            if index.own and place is not None:
                at += frame.at(place, left)
        elif isinstance(slot, Back) and place is not None:
            at = slot.total - frame.at(place, left)
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
            key, _ = self.folder.named_skeleton(value, named, frame)
            pairs = zip(frame.slots(named), frame.aligned(named), strict=True)
            return key + ",".join(_offset(slot, place, frame) for slot, place in pairs)
        if not value.args:
            return sympy.srepr(value)
        found = self.folder.sum_of(value)
        if found is not None:
            ends = [
                f"{_end(r.start, r, frame, policy.start)}..{_end(r.stop, r, frame, policy.stop)}" for r in found.ranges
            ]
            return f"Sum({self._relative(found.term, frame, policy)}; {';'.join(ends)})"
        parts = [self._relative(a, frame, policy) for a in value.args]
        if value.is_Add or value.is_Mul:
            parts.sort()
        return f"{type(value).__name__}({', '.join(parts)})"


def _offset(slot: Slot, place: Place | None, frame: Frame) -> str:
    if isinstance(slot, int) and place is not None:
        return f"{slot - frame.at(place):+d}"
    return repr(slot)


def _runs_back(seen: Mapping[tuple, int]) -> bool:
    """Does some index of data or of another family run against the left side's?"""
    follows, against = (Counter[tuple](), Counter[tuple]())
    for (*key, way, _), times in seen.items():
        best = follows if way == "+" else against
        best[tuple(key)] = max(best[tuple(key)], times)
    return any(times > follows[key] for key, times in against.items())


def _end(value: int, r: Range, frame: Frame, moves: bool) -> str:
    return f"{value - frame.at(r.place):+d}" if moves and r.place is not None and not r.own else str(value)


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
    for box, edge, inside in regions(list(by_index)):
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


__all__ = ["FIXED", "Policy", "Recursion", "Rule"]
