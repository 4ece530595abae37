"""When two uses of a family mean the same member: W[l] here, W[l + 1] or W[L + 1 - l] there."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tpl.limit import formula as f
from tpl.limit.folding import simplified
from tpl.limit.formula import Formula

Ranges = dict[str, tuple[int, int]]  # the values of letters, where they are known
_ANY = 10**9


class Unwritten(Exception):
    """A matrix whose uses overlap in part: no one equation holds for all its indices."""


@dataclass(frozen=True)
class Linear:
    """An index origin + slope · letter; `start`: the origin as it is written; no letter: a number."""

    letter: str
    slope: int
    origin: int
    start: Formula

    def span(self, ranges: Ranges) -> tuple[int, int]:
        """The least and the greatest value; of an unknown letter none at all, as it then fits everything."""
        if not self.letter:
            return self.origin, self.origin
        low, high = sorted(self.origin + self.slope * x for x in ranges.get(self.letter, (-_ANY, _ANY)))
        return low, high

    def solved(self, index: Formula) -> Formula:
        """What the letter must be for this to be another index."""
        if self.slope < 0:
            return simplified(Formula("sub", (self.start, index)))
        return index if self.start == f.ZERO else simplified(Formula("sub", (index, self.start)))


class Matching:
    """whole: the value of an index expression without letters, None for others."""

    def __init__(self, whole: Callable[[Formula], int | None]):
        self.whole = whole

    def ranges(self, clauses: Iterable[Formula]) -> Ranges:
        found = {}
        for c in clauses:
            low, high = self.whole(c.args[1]), self.whole(c.args[2])
            if low is not None and high is not None:
                found[c.args[0].text] = (low, high)
        return found

    def linear(self, index: Formula, ranges: Ranges) -> Linear | None:
        """None for anything else. A letter without a range is one if the index is that letter plus a number."""
        letters = sorted(f.letters_of(index))
        if not letters:
            value = self.whole(index)
            return Linear("", 0, value, f.ZERO) if value is not None else None
        if len(letters) > 1:
            return None
        found = straight(index, letters[0], self.whole)
        if found is None or found[1] not in (1, -1):
            return None
        return Linear(letters[0], found[1], found[0], simplified(f.relettered_as(index, letters[0], f.ZERO)))

    def unified(self, pattern: Formula, target: Formula, own: Ranges, others: Ranges) -> dict[str, Formula] | None:
        """What the pattern's letters must be for it to be the target; None if it never is.

        own, others: the ranges of the pattern's letters and of the target's. Raises Unwritten if it is at some indices only.
        """
        if len(pattern.args) != len(target.args):
            return None
        found: dict[str, Formula] = {}
        for a, b in zip(pattern.args, target.args, strict=True):
            x, y = self.linear(a, own), self.linear(b, others)
            if x is None or y is None:
                if a != b:
                    raise Unwritten
                continue
            low, high = x.span(own)
            first, last = y.span(others)
            if last < low or high < first:
                return None
            if first < low or high < last:
                raise Unwritten
            if x.letter:
                value = x.solved(b)
                if found.setdefault(x.letter, value) != value:
                    return None
        return found

    def may_meet(self, pattern: Formula, target: Formula, own: Ranges, others: Ranges) -> bool:
        """Can two names stand for the same member?"""
        for a, b in zip(pattern.args, target.args, strict=False):
            x, y = self.linear(a, own), self.linear(b, others)
            if x is not None and y is not None:
                (low, high), (first, last) = x.span(own), y.span(others)
                if last < low or high < first:
                    return False
        return len(pattern.args) == len(target.args)


def straight(index: Formula, letter: str, whole: Callable[[Formula], int | None]) -> tuple[int, int] | None:
    """a and b of an index a + b · letter; None for anything else."""
    zero, one, two = (whole(f.relettered_as(index, letter, f.number(k))) for k in range(3))
    if zero is None or one is None or two is None or two - one != one - zero:
        return None
    return zero, one - zero
