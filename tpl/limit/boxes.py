"""Sets of indices as boxes: ranges, one an index."""

from collections.abc import Iterable
from itertools import product

Box = tuple[tuple[int, int], ...]


def regions(indices: list[tuple[int, ...]]) -> list[tuple[Box, str, list[tuple[int, ...]]]]:
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
    found = regions(indices)
    return len(found) == 1 and bool(found[0][0])


def is_in(index: tuple[int, ...], box: Iterable[tuple[int, int]]) -> bool:
    return all(a <= i <= b for i, (a, b) in zip(index, box, strict=True))


def _box(indices: list[tuple[int, ...]]) -> Box | None:
    """The box that a set of indices fills, if it does."""
    if not indices[0]:
        return None
    ranges = tuple((min(axis), max(axis)) for axis in zip(*indices, strict=True))
    full = set(product(*(range(a, b + 1) for a, b in ranges)))
    return ranges if full == set(indices) else None
