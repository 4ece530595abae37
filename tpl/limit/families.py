"""Lines of the backward pass that agree up to their indices, as families over the user's indices."""

import math
from dataclasses import dataclass
from itertools import combinations

from tpl.limit import formula as f
from tpl.limit.backward import Lines
from tpl.limit.folding import Axis, size, with_fixed
from tpl.limit.formula import Formula
from tpl.limit.naming import variable

MAX_SIZE = 400  # nodes of a formula; a longer one is only described


@dataclass(frozen=True)
class Family:
    """Lines that agree up to their indices. formula: of the right side; left: of what it defines; `lines` all members.

    conditions: clauses for the indices. modulo: letters whose offsets are taken on a circle.
    """

    left: Formula
    formula: Formula | None
    lines: tuple[int, ...]
    conditions: tuple[Formula, ...]
    modulo: tuple[str, ...]
    products: tuple[int, ...]


class Families:
    """Families of a program's lines."""

    def __init__(self, lines: Lines):
        self.lines = lines

    def of(self, chosen: list[int]) -> list[Family]:
        """Families of adjoint lines, in the order of the program."""
        by_name: dict[tuple, list[int]] = {}
        for index in chosen:
            by_name.setdefault(self._key(index), []).append(index)
        return [family for members in by_name.values() for family in self._split(members)]

    def _key(self, index: int) -> tuple:
        span = self.lines.lines[index].origin.span
        named = (
            self.lines.forward(index)
            if index in self.lines.product_adjoints
            else variable(self.lines.lines[index].name)
        )
        return (named.base, len(named.index)) if named is not None else ("", str(span))

    def _split(self, members: list[int]) -> list[Family]:
        """Lines of one name as few families as agree: with plain offsets, on circles, or with an index tied to another."""
        zero = [i for i in members if self.lines.vanishes(i)]
        if zero:
            others = [i for i in members if i not in zero]
            return [self._vanishing(zero), *(self._split(others) if others else [])]
        anchors = {i: self.lines.anchor(i) for i in members}
        best = self._grouped(members, anchors, (), ())
        modulo: tuple[str, ...] = ()
        letters = list(anchors[members[0]])
        ties = [(x, y) for x in self.lines.axis_table for y in letters if x not in letters]
        ways = [*((c, (), False) for k in (1, 2) for c in combinations(letters, k)),
                *(((), tie, starting) for starting in (False, True) for tie in ((), *ties))]  # fmt: skip
        for circle, tie, starting in ways:
            if len(best) > 3:
                found = self._grouped(members, anchors, circle, tie, starting)
                if len(found) < len(best) // 2 + 1:
                    best, modulo = found, circle
        return [
            self._family(pair, part, anchors, modulo)
            for pair, group in best.items()
            for part in _boxes(group, [tuple(anchors[i].values()) for i in group])
        ]

    def _vanishing(self, members: list[int]) -> Family:
        anchors = {i: self.lines.anchor(i) for i in members}
        left = self.lines.anchored(self.lines.adjoint_at(members[0]), anchors[members[0]])
        return self._family((left, f.ZERO), members, anchors, ())

    def _grouped(
        self,
        members: list[int],
        anchors: dict[int, dict[str, int]],
        modulo: tuple[str, ...],
        tie: tuple[str, ...],
        starting: bool = False,
    ) -> dict[tuple[Formula, Formula], list[int]]:
        folded = {
            i: tuple(
                self.lines.folded(x, anchors[i], modulo, tie) for x in (self.lines.formula(i), self.lines.right(i))
            )
            for i in members
        }
        groups: dict[tuple[Formula, Formula], list[int]] = {}
        for i, (left, right) in with_fixed(folded, anchors, lambda node: self.lines.anchored(node, {})).items():
            pair = self.lines.anchored(left, anchors[i], starting), self.lines.anchored(right, anchors[i], starting)
            groups.setdefault(pair, []).append(i)
        return groups

    def _family(
        self, pair: tuple[Formula, Formula], group: list[int], anchors: dict[int, dict[str, int]],
        modulo: tuple[str, ...],
    ) -> Family:  # fmt: skip
        left, right = pair
        conditions = []
        for name in anchors[group[0]]:
            values = sorted({anchors[i][name] for i in group})
            axis = self.lines.axis_table.get(name, Axis(name, f.ZERO, f.ZERO, values[0], values[-1]))
            ends = (self.lines.end(axis, values[0]), self.lines.end(axis, values[-1]))
            conditions.append(Formula("clause", (f.letter(name), *ends)))
        used = tuple(sorted({p for i in group for p in products_in(self.lines, i)}))
        short = right if size(right) <= MAX_SIZE else None
        return Family(left, short, tuple(group), tuple(conditions), modulo, used)


def products_in(lines: Lines, index: int) -> list[int]:
    """The products that a line's right side writes out."""
    if index in lines.product_adjoints:
        return [index]
    found, stack = [], list(lines.lines[index].args)
    while stack:
        i = stack.pop()
        if lines.lines[i].op == "matmul" and lines.lines[i].origin.derived:
            found.append(i)
        elif (
            lines.lines[i].op in ("map", "moment") and variable(lines.lines[i].name) is None and not lines.is_family(i)
        ):
            stack.extend(lines.lines[i].args)
    return found


def _boxes(lines: list[int], indices: list[tuple[int, ...]]) -> list[list[int]]:
    """Lines in parts whose indices fill boxes: all, else by runs of the first index, else one by one."""
    if _is_box(indices):
        return [lines]
    by_first: dict[int, list[int]] = {}
    for line, index in zip(lines, indices, strict=True):
        by_first.setdefault(index[0], []).append(line)
    index_of = dict(zip(lines, indices, strict=True))
    parts: list[list[int]] = []
    for first in sorted(by_first):
        grown = [*parts[-1], *by_first[first]] if parts else []
        if grown and _is_box([index_of[i] for i in grown]):
            parts[-1] = grown
        else:
            parts.append(by_first[first])
    return [p for part in parts for p in ([part] if _is_box([index_of[i] for i in part]) else [[i] for i in part])]


def _is_box(indices: list[tuple[int, ...]]) -> bool:
    ranges = [(min(axis), max(axis)) for axis in zip(*indices, strict=True)]
    return len(set(indices)) == math.prod(b - a + 1 for a, b in ranges)
