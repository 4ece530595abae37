"""From unrolled equations to recursions: equations that agree up to a shift of their indices become one.

A family of equations, one for every index, is grouped by relative form: every index on the right is written as an
offset from the index on the left. A form that holds on three indices or more of a box is stated once, for general
index; the others are stated as they stand.
"""

from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import sympy

from tpl.limit.naming import Named, Names, Variable

MAX_FOLDED = 3_000  # nodes of an expression that is searched for sums
ENOUGH = 3  # iterations that must agree before a step is stated in general


@dataclass(frozen=True)
class Rule:
    """left = right for all `region` (ranges, one an index of the left side; empty if it stands as it is).

    diagonal: both indices of the kernel are one (layers), so that the region has half as many ranges.
    """

    left: Named
    right: Any
    region: tuple[tuple[int, int], ...] = ()
    diagonal: bool = False


def relative(names: Names, left: Named, right: Any) -> Any:
    """The right-hand side with every index as an offset from the left side's."""
    return right.xreplace({s: _mark(names.named[s], left) for s in right.free_symbols if s in names.named})


def _mark(named: Named, left: Named) -> Any:
    parts = []
    for position, side in enumerate((named.left, named.right)):
        if side is not None:
            own = own_axes(left, side, position)
            offsets = tuple(i - a for i, a in zip(side.index, own, strict=False)) + side.index[len(own) :]
            parts.append(f"{side.base}:{side.input}:{offsets}")
    return sympy.Symbol(f"{named.kind}|{'|'.join(parts)}", real=True)


def own_axes(left: Named, side: Variable, position: int) -> tuple[int, ...]:
    """The indices of the left-hand side that one side of a kernel counts from: those of the same input."""
    if left.right is None or left.left.input == left.right.input:
        return left.left.index if position == 0 or left.right is None else left.right.index
    return left.right.index if side.input == left.right.input else left.left.index


def find_rules(names: Names, equations: dict[Named, Any]) -> list[Rule]:
    """Group equations into rules, in the order of the equations."""
    families: dict[tuple, dict[Named, Any]] = {}
    for left, right in equations.items():
        families.setdefault(_family(left), {})[left] = right
    rules: list[Rule] = []
    for members in families.values():
        rules.extend(_generalise(names, members))
    return rules


def _family(named: Named) -> tuple:
    right = named.right
    return (
        named.kind,
        named.left.base,
        named.left.input,
        len(named.left.index),
        right and (right.base, right.input, len(right.index)),
    )


def _generalise(names: Names, members: dict[Named, Any]) -> list[Rule]:
    diagonal = all(n.right is not None and n.left.index == n.right.index for n in members)
    groups: dict[Any, list[Named]] = {}
    for left, right in members.items():
        groups.setdefault(relative(names, left, right), []).append(left)
    rules = []
    for group in groups.values():
        by_index = {(n.left.index if diagonal else n.indices): n for n in group}
        for box, inside in boxes(list(by_index)):
            chosen = [by_index[i] for i in inside]
            if box and len(chosen) >= ENOUGH:
                rules.append(Rule(chosen[-1], members[chosen[-1]], box, diagonal))
            else:
                rules.extend(Rule(n, members[n], (), diagonal) for n in chosen)
    return rules


Box = tuple[tuple[int, int], ...]


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


def _box(indices: list[tuple[int, ...]]) -> Box | None:
    """The box that a set of indices fills, if it does."""
    if not indices[0]:
        return None
    ranges = tuple((min(axis), max(axis)) for axis in zip(*indices, strict=True))
    full = set(product(*(range(a, b + 1) for a, b in ranges)))
    return ranges if full == set(indices) else None


@dataclass(frozen=True)
class Sum:
    """Σ over a box of `term`, whose indices are those of the anchor."""

    term: Any
    anchor: Named
    region: tuple[tuple[int, int], ...]
    diagonal: bool


def fold_sums(names: Names, value: Any, equations: dict[Named, Any]) -> list[Any]:
    """The terms of a sum; runs of terms that agree up to a shift of their indices become one `Sum`.

    What stands beside a kernel in a term and equals the right side of an equation is replaced by its left side.
    """
    if sum(1 for _ in islice(sympy.preorder_traversal(value), MAX_FOLDED)) == MAX_FOLDED:
        return [value]
    groups: dict[Any, dict[Named, Any]] = {}
    plain: list[Any] = []
    whole: dict[Named, Any] = {}
    for term in sympy.Add.make_args(sympy.expand(value, power_base=False, power_exp=False, log=False)):
        anchor = _anchor(names, term)
        if anchor is None:
            plain.append(term)
        else:
            whole[anchor] = whole.get(anchor, 0) + term
    left_of = {right: names.symbol(left) for left, right in equations.items()}
    for anchor, terms in whole.items():
        tidy = _tidy(names.symbol(anchor), terms, left_of)
        groups.setdefault((_family(anchor), relative(names, anchor, tidy)), {})[anchor] = tidy
    folded: list[Any] = []
    for members in groups.values():
        diagonal = all(a.right is not None and a.left.index == a.right.index for a in members)
        by_index = {(a.left.index if diagonal else a.indices): a for a in members}
        for box, inside in boxes(list(by_index)):
            chosen = [by_index[i] for i in inside]
            if box and len(chosen) >= ENOUGH:
                folded.append(Sum(members[chosen[-1]], chosen[-1], box, diagonal))
            else:
                plain.extend(members[a] for a in chosen)
    rest = sympy.Add(*plain)
    return ([left_of.get(rest, rest)] if plain else []) + folded


def _tidy(anchor: Any, terms: Any, left_of: dict[Any, Any]) -> Any:
    """terms = anchor · rest, with rest replaced by a kernel if it is one's definition."""
    rest = sympy.expand(terms / anchor)
    if anchor in rest.free_symbols:
        return terms
    return anchor * left_of.get(rest, sympy.factor_terms(rest) if rest.is_Add else rest)


def _anchor(names: Names, term: Any) -> Named | None:
    """The indexed kernel that a term is counted by: a gradient's if there is one."""
    inside = [names.named[s] for s in term.free_symbols if s in names.named]
    indexed = [
        n for n in inside if n.kind == "K" and n.indices and n.right is not None and n.left.input != n.right.input
    ]
    return min(indexed, key=lambda n: (not n.base.startswith("d"), n), default=None)


__all__ = ["Rule", "Sum", "Variable", "find_rules", "fold_sums"]
