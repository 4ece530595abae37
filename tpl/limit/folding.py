"""Indices as letters, and sums whose terms agree up to a shift of their indices.

On the way to a letter an index is a node "index" with its value as text and the letter of its family as kind; kind "=l" is an end
of a sum over l, of which `input` says whether it is the start.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise

from tpl.limit import formula as f
from tpl.limit.formula import Formula


@dataclass(frozen=True)
class Axis:
    """An index of a family: its letter, and the ends of its range as the user wrote them, with their values.

    shift: c, where the family is assigned at the index letter + c.
    """

    letter: str
    start: Formula
    stop: Formula
    low: int
    high: int
    shift: int = 0


def size(formula: Formula) -> int:
    return 1 + sum(map(size, formula.args))


def shifted(base: Formula, offset: int, negative: bool = False) -> Formula:
    """l + 2, l − 1; offset − l if negative."""
    if negative:
        return Formula("neg", (base,)) if offset == 0 else Formula("sub", (f.number(offset), base))
    if offset == 0:
        return base
    return f.add(base, f.number(offset)) if offset > 0 else Formula("sub", (base, f.number(-offset)))


def simplified(formula: Formula) -> Formula:
    """(l + 1) − 1 as l, L + 1 − (l − 1) as L − l + 2: indices with what stands in them twice gathered."""
    if (formula.op == "name" and formula.kind == "index") or not formula.args:
        return formula
    args = tuple(simplified(a) for a in formula.args)
    whole = replace(formula, args=args)
    terms = _terms(whole) if formula.op in ("add", "sub") else None
    if terms is None:
        return whole
    gathered: dict[Formula, int] = {}
    for term, sign in terms:
        value = int(term.text) if term.op == "number" else 1
        key = f.ONE if term.op == "number" else term
        gathered[key] = gathered.get(key, 0) + sign * value
    number = gathered.pop(f.ONE, 0)
    kept = {x: k for x, k in gathered.items() if k}
    if any(abs(k) > 1 for k in kept.values()) or len(kept) + (number != 0) >= len(terms):
        return whole
    added, taken = ([x for x, k in kept.items() if k == sign] for sign in (1, -1))
    if not added:
        if taken:
            return shifted(taken[0], number, negative=True) if len(taken) == 1 else whole
        return f.number(number) if number >= 0 else Formula("neg", (f.number(-number),))
    found = f.add(*added)
    for x in taken:
        found = Formula("sub", (found, x))
    return shifted(found, number)


def _terms(formula: Formula, sign: int = 1) -> list[tuple[Formula, int]] | None:
    """The names and whole numbers that an index adds and takes off; None for other expressions."""
    if formula.op == "name" or (formula.op == "number" and formula.text.isdigit()):
        return [(formula, sign)]
    if formula.op == "neg":
        return _terms(formula.args[0], -sign)
    if formula.op not in ("add", "sub"):
        return None
    signs = [sign, -sign] if formula.op == "sub" else [sign] * len(formula.args)
    parts = [_terms(a, k) for a, k in zip(formula.args, signs, strict=True)]
    known = [p for p in parts if p is not None]
    return [x for p in known for x in p] if len(known) == len(parts) else None


def unwrapped(
    formula: Formula, anchor: Mapping[str, int], table: Mapping[str, Axis], modulo: tuple[str, ...]
) -> Formula:
    """Indices on a circle by their short way from the anchor."""

    def change(node: Formula) -> Formula | None:
        if node.op != "index" or node.kind not in modulo or node.kind not in anchor:
            return None
        count = table[node.kind].high - table[node.kind].low + 1
        offset = (int(node.text) - anchor[node.kind] + count // 2) % count - count // 2
        return replace(node, text=str(anchor[node.kind] + offset))

    return f.rewrite(formula, change) if modulo else formula


def fold(formula: Formula, anchor: Mapping[str, int]) -> Formula:
    """Sums whose terms agree up to a shift of their indices become Σ."""
    if not formula.args:
        return formula
    args = tuple(fold(a, anchor) for a in formula.args)
    whole = replace(formula, args=args)
    if formula.op != "add":
        return whole
    groups: dict[Formula, list[Formula]] = {}
    for term in args:
        groups.setdefault(_skeleton(term), []).append(term)
    return f.add(*(part for terms in groups.values() for part in _run(terms, anchor)))


def with_fixed(
    members: Mapping[int, tuple[Formula, ...]], anchors: Mapping[int, Mapping[str, int]],
    written: Callable[[Formula], Formula],
) -> dict[int, tuple[Formula, ...]]:  # fmt: skip
    """Formulas by member, in which an index that is the same in all of one shape, though their letters differ, stands as
    it is `written` where no loop is around it."""
    found = dict(members)
    shapes: dict[tuple[Formula, ...], list[int]] = {}
    for i, formulas in members.items():
        shapes.setdefault(tuple(map(_skeleton, formulas)), []).append(i)
    for same in shapes.values():
        if len(same) < 3:
            continue
        tables = [[x for formula in members[i] for x in _indices(formula)] for i in same]
        fixed = {
            place
            for place, (letter, value) in enumerate(tables[0])
            if all(t[place][1] == value for t in tables) and len({anchors[i].get(letter) for i in same}) > 1
        }
        if fixed:
            for i in same:
                found[i] = _at_places(members[i], fixed, written)
    return found


def over_loops(
    instances: Sequence[Formula], loops: Sequence[Mapping[str, tuple[int, Formula]]],
    whole: Callable[[Formula], int | None],
) -> Formula | None:  # fmt: skip
    """One formula over the letters of loops for all instances; None if they do not agree.

    loops: of each instance the letters' values, with the index of the left side that each is part of.
    """
    tables = [_indices(x) for x in instances]
    if len(set(map(_skeleton, instances))) > 1:
        return None
    written: list[Formula] = []
    for column in zip(*tables, strict=True):
        found = _over_letters([value for _, value in column], loops, whole)
        if found is None:
            return None
        written.append(found)
    replaced = iter(written)
    return simplified(f.rewrite(instances[0], lambda node: next(replaced) if node.op == "index" else None))


def _over_letters(
    values: Sequence[int], loops: Sequence[Mapping[str, tuple[int, Formula]]], whole: Callable[[Formula], int | None]
) -> Formula | None:
    """An index as a letter plus a number, or as the left side's index plus a number."""
    if len(set(values)) == 1:
        return f.number(values[0])
    for letter in loops[0]:
        off = {v - at[letter][0] for v, at in zip(values, loops, strict=True)}
        if len(off) == 1:
            return shifted(f.letter(letter), off.pop())
        index = loops[0][letter][1]
        against = {v + at[letter][0] for v, at in zip(values, loops, strict=True)}
        origin = whole(f.relettered_as(index, letter, f.ZERO))
        if len(against) == 1 and origin is not None and letter in f.letters_of(index):
            return simplified(shifted(index, against.pop() - origin))
    return None


def _at_places(
    formulas: tuple[Formula, ...], fixed: set[int], written: Callable[[Formula], Formula]
) -> tuple[Formula, ...]:
    """With the indices at some places, counted through all the formulas, rewritten."""
    places = count()

    def change(node: Formula) -> Formula | None:
        return written(node) if node.op == "index" and next(places) in fixed else None

    return tuple(f.rewrite(x, change) for x in formulas)


def _skeleton(formula: Formula) -> Formula:
    return f.rewrite(formula, lambda x: replace(x, text="·") if x.op == "index" else None)


def _indices(formula: Formula) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []

    def collect(node: Formula) -> Formula | None:
        if node.op == "index":
            found.append((node.kind, int(node.text)))
        return None

    f.rewrite(formula, collect)
    return found


def _run(terms: list[Formula], anchor: Mapping[str, int]) -> list[Formula]:
    """Terms of one shape: one Σ if their indices run together, or fill a rectangle; else the terms."""
    found = _line(terms, anchor) or _rectangle(terms, anchor)
    return [found] if found is not None else terms


def _rectangle(terms: list[Formula], anchor: Mapping[str, int]) -> Formula | None:
    """A sum of sums: over the terms that agree in one index, and over that index."""
    table = [_indices(t) for t in terms]
    for place in range(len(table[0])) if len(terms) >= 9 else ():
        rows: dict[int, list[Formula]] = {}
        for term, indices in zip(terms, table, strict=True):
            rows.setdefault(indices[place][1], []).append(term)
        inner = [_line(row, anchor) for row in rows.values()] if 1 < len(rows) < len(terms) else [None]
        sums = [x for x in inner if x is not None]
        found = _line(sums, anchor) if len(sums) == len(inner) else None
        if found is not None:
            return found
    return None


def _line(terms: list[Formula], anchor: Mapping[str, int]) -> Formula | None:
    """One Σ if the indices of all terms run together."""
    if len(terms) < 3:
        return None
    table = [_indices(t) for t in terms]
    places = [p for p in range(len(table[0])) if len({row[p][1] for row in table}) > 1]
    if not places:
        return None
    lead = min(places, key=lambda p: (table[0][p][0].startswith("="), table[0][p][0] in anchor, p))
    order = sorted(range(len(terms)), key=lambda i: table[i][lead][1])
    rows = [table[i] for i in order]
    slopes: dict[int, int] = {}
    for p in places:
        steps = {b[p][1] - a[p][1] for a, b in pairwise(rows)}
        if steps not in ({1}, {-1}):
            return None
        slopes[p] = steps.pop()
    if slopes[lead] != 1:
        return None
    name, start, stop = rows[0][lead][0].removeprefix("="), rows[0][lead][1], rows[-1][lead][1]
    own = f.letter(name + "′" if name in anchor else name)
    counter = iter(range(len(rows[0])))

    def change(node: Formula) -> Formula | None:
        if node.op != "index":
            return None
        place = next(counter)
        return _running(node, own, slopes[place], start, anchor) if place in slopes else None

    body = f.rewrite(terms[order[0]], change)
    ends = tuple(Formula("index", (), str(x), "=" + name, input=which) for x, which in ((start, "start"), (stop, "")))
    return Formula("sum", (body, Formula("clause", (own, *ends))))


def _running(node: Formula, own: Formula, slope: int, start: int, anchor: Mapping[str, int]) -> Formula:
    """An index that runs with the variable of a sum: value(start) ± (variable − start), maybe relative to the anchor."""
    value = int(node.text)
    constant = value - slope * start
    if node.kind in anchor and own.text.removesuffix("′") != node.kind:
        base = f.letter(node.kind)
        offset = constant - anchor[node.kind]
        moved = f.add(base, own) if slope == 1 else Formula("sub", (base, own))
        return shifted(moved, offset)
    return shifted(own, constant, slope == -1)
