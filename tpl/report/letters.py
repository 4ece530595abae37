"""How the indices of an equation are written: letters, ranges, and the variables of sums."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tpl.limit.boxes import Box
from tpl.limit.derive import Derivation
from tpl.limit.frame import Back, Frame, Place, Step
from tpl.limit.generic import LONG_ENOUGH, OUTPUTS
from tpl.limit.naming import Bound, Index, Named, Variable
from tpl.limit.recursion import FIXED, Policy, Rule
from tpl.limit.sums import Range, Sum

_SPARE = "jkmsp"  # letters for sums


def _shift(letter: str, offset: int) -> str:
    return letter if offset == 0 else f"{letter}{'+' if offset > 0 else '−'}{abs(offset)}"


@dataclass
class Letters:
    """How the indices of one equation are written. general: it is stated for a range of its left side's indices."""

    derivation: Derivation
    frame: Frame
    general: bool
    policy: Policy = FIXED
    region: Box = ()
    bound: dict[int, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def of(self, named: Named) -> list[list[str]]:
        """The indices of a kernel, oriented as the frame says, by side."""
        slots, aligned = self.frame.slots(named), self.frame.aligned(named)
        sides = [x for x in (named.left, named.right) if x is not None]
        ends = [e for side in sides for e in self.derivation.axes.of(side)]
        texts = [self._index(*x) for x in zip(named.indices, slots, aligned, ends, strict=True)]
        count = len(named.left.index)
        return [texts[:count], texts[count:]][: len(sides)]

    def _index(self, index: Index, slot: Any, place: Place | None, end: str | None) -> str:
        if isinstance(index, Bound):
            letter = self.bound[index.variable]
            if index.back:
                return f"{self._total(index.offset, end)}−{letter}"
            if index.own:
                letter = f"{self.place(place)}+{letter}" if place is not None else letter
            return _shift(letter, index.offset)
        if not self.general or place is None:
            return self.end(index, end)
        if self._fixed(place):
            return self.end(index, end)
        if isinstance(slot, Back):
            return f"{self._total(slot.total, end)}−{self.place(place)}"
        offset = slot.offset if isinstance(slot, Step) else index - self.frame.at(place)
        return _shift(self.place(place), offset)

    def place(self, place: Place) -> str:
        """The letter for an index of the left side."""
        left = self.frame.left
        assert left is not None
        side = left.left if place.side == 0 or left.right is None else left.right
        if self._fixed(place):
            return self.end(self._span(place)[0], self._end_of(place))
        letter = self.derivation.axes.names(side)[place.axis]
        prime = "′" if place.side and place.axis not in self.frame.shared else ""
        return letter + prime

    def _span(self, place: Place) -> tuple[int, int]:
        """The values of an index of the left side for which the equation holds."""
        counted = Place(0, place.axis) if place.axis in self.frame.shared else place
        return self.region[self.frame.places.index(counted)] if self.region else (0, 1)

    def _fixed(self, place: Place) -> bool:
        start, stop = self._span(place)
        return start == stop

    def end(self, value: int, end: str | None) -> str:
        """A fixed index: a small number as it is, one near a loop's end relative to that end."""
        if end and end in self.derivation.axes.outputs and value in OUTPUTS:
            return "ab"[OUTPUTS.index(value)]
        if not self.derivation.generic or not end or value <= 2 or self.derivation.specialised:
            return str(value)
        return _shift(end, value - LONG_ENOUGH)

    def _total(self, value: int, end: str | None) -> str:
        """What two indices add to that run against each other: T or T+1 at loops up to T."""
        return self.end(value, end) if value > LONG_ENOUGH - 2 else str(value)

    def condition(self, rule: Rule) -> str:
        """`l = 2..L`, from the ranges of the letters."""
        named = [self.place(p) for p in self.frame.places]
        ends = [self._end_of(p) for p in self.frame.places]
        if rule.edge:
            at = [
                f"{n} = {self.end(b[0] if rule.edge == 'first' else b[1], e)}"
                for n, e, b in zip(named, ends, rule.region, strict=True)
            ]
            return " or ".join(at)
        parts = [(n, self._range(b, e)) for n, e, b in zip(named, ends, rule.region, strict=True) if b[0] < b[1]]
        return _joined(parts)

    def _end_of(self, place: Place) -> str | None:
        left = self.frame.left
        assert left is not None
        side = left.left if place.side == 0 or left.right is None else left.right
        return self.derivation.axes.of(side)[place.axis]

    def _range(self, box: tuple[int, int], end: str | None) -> str:
        start, stop = box
        return f"{start if start <= 3 else self.end(start, end)}..{self.end(stop, end)}"

    # ------------------------------------------------------------------------------------------ sums
    def name_sum(self, found: Sum) -> str:
        """Give letters to the variables of a sum; the condition that is written under it."""
        parts = []
        for r in found.ranges:
            given = self.derivation.axes.sums.get((r.start, r.stop)) if r.own else None
            letter = self._letter(r, found, given[0] if given else None)
            self.bound[r.variable] = letter
            self.used.add(letter)
            parts.append((letter, f"{given[1]}..{given[2]}" if given else self._sum_range(r)))
        return _joined(parts)

    def _letter(self, r: Range, found: Sum, wanted: str | None) -> str:
        taken = self.used | ({self.place(p) for p in self.frame.places} if self.general else set())
        if r.second and not r.own:
            twin = next((x for x in found.ranges if x.base == r.base and x.axis == r.axis and not x.second), None)
            if twin is not None and twin.variable in self.bound and self.bound[twin.variable] + "′" not in taken:
                return self.bound[twin.variable] + "′"
        known = self.derivation.axes.names(Variable(r.base, (0,) * (r.axis + 1), 0))
        candidates = [wanted, *(known[r.axis : r.axis + 1] if not r.own else ()), *_SPARE]
        return next((c for c in candidates if c and c not in taken), "i")

    def _sum_range(self, r: Range) -> str:
        end = self._axis_end(r)
        if r.own:
            return f"{r.start}..{r.stop}".replace("-", "−")
        first, last = str(r.start) if r.start <= 3 else self.end(r.start, end), self.end(r.stop, end)
        if r.place is not None and self.general:
            if self.policy.start:
                first = _shift(self.place(r.place), r.start - self.frame.at(r.place))
            if self.policy.stop:
                last = _shift(self.place(r.place), r.stop - self.frame.at(r.place))
        return f"{first}..{last}"

    def _axis_end(self, r: Range) -> str | None:
        found = self.derivation.axes.ends.get(r.base) or self.derivation.axes.ends.get(r.base.removeprefix("d")) or ()
        return found[r.axis] if r.axis < len(found) else None


def _joined(parts: Sequence[tuple[str, str]]) -> str:
    """`t, t′ = 1..T, k = 1..3` from letters and ranges."""
    grouped: list[tuple[list[str], str]] = []
    for letter, span in parts:
        if grouped and grouped[-1][1] == span:
            grouped[-1][0].append(letter)
        else:
            grouped.append(([letter], span))
    return ", ".join(f"{', '.join(letters)} = {span}" for letters, span in grouped)
