"""A layered drawing of a directed graph: who uses whom goes down, row by row.

Nodes get rows by the longest way to them, and the places in a row by the middle of their neighbours, swept down and up a
few times (Sugiyama, Tagawa & Toda 1981). Long edges pass through rows by points of their own. Small graphs only.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Place = tuple[float, float]

SWEEPS = 12
FEW = 40  # nodes and waypoints up to which they are moved one by one
GAP, ROW_GAP, WAYPOINT = 26.0, 58.0, 12.0  # between nodes, between rows, and what a passing edge takes in a row


class Size(NamedTuple):
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Middles of nodes, and the points that edges pass, ends included. Everything lies within 0..width, 0..height."""

    places: Mapping[str, Place]
    ways: Mapping[tuple[str, str], tuple[Place, ...]]
    width: float
    height: float


def layered(sizes: Mapping[str, Size], edges: Sequence[tuple[str, str]]) -> Layout:
    """Lay out an acyclic graph. sizes: of the nodes, in an order in which every edge leads forward.

    Raises ValueError on edges that lead back.
    """
    order = {key: i for i, key in enumerate(sizes)}
    if any(order[a] >= order[b] for a, b in edges):
        raise ValueError("edges must lead forward in the order of the nodes")
    rows = _rows(list(sizes), edges)
    grid, chains = _with_waypoints(rows, edges)
    full = {**sizes, **{x: Size(WAYPOINT, 0.0) for line in grid for x in line if x not in sizes}}
    links = [pair for chain in chains.values() for pair in itertools.pairwise(chain)]
    across = _order_rows(grid, links, full)
    heights = [max((full[x].height for x in line), default=0.0) for line in grid]
    tops = [sum(heights[:i]) + ROW_GAP * i for i in range(len(grid))]
    places = {x: (across[x], tops[i] + heights[i] / 2) for i, line in enumerate(grid) for x in line}
    width = max((places[x][0] + full[x].width / 2 for x in full), default=0.0)
    ways = {edge: tuple(places[x] for x in chain) for edge, chain in chains.items()}
    return Layout({x: places[x] for x in sizes}, ways, width, sum(heights) + ROW_GAP * max(0, len(grid) - 1))


def _rows(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest way to a node; what nothing leads to stands right above what it leads to."""
    row = dict.fromkeys(nodes, 0)
    for key in nodes:
        row[key] = max((row[a] + 1 for a, b in edges if b == key), default=0)
    entered = {b for _, b in edges}
    for key in nodes:
        if key not in entered:
            row[key] = max(0, min((row[b] for a, b in edges if a == key), default=1) - 1)
    used = {r: i for i, r in enumerate(sorted(set(row.values())))}
    return {key: used[r] for key, r in row.items()}


def _with_waypoints(
    rows: Mapping[str, int], edges: Sequence[tuple[str, str]]
) -> tuple[list[list[str]], dict[tuple[str, str], list[str]]]:
    """The rows, and each edge as a chain with one point in every row that it crosses."""
    grid: list[list[str]] = [[] for _ in range(max(rows.values(), default=-1) + 1)]
    for key, row in rows.items():
        grid[row].append(key)
    chains = {}
    for number, (a, b) in enumerate(edges):
        points = [f"\0{number}.{row}" for row in range(rows[a] + 1, rows[b])]
        for point, row in zip(points, range(rows[a] + 1, rows[b]), strict=True):
            grid[row].append(point)
        chains[a, b] = [a, *points, b]
    return grid, chains


def _order_rows(grid: list[list[str]], links: Sequence[tuple[str, str]], sizes: Mapping[str, Size]) -> dict[str, float]:
    """Sort rows by the mean place of neighbours above, then below; the horizontal places of the best order met.

    The best has the fewest crossings and, of those, the shortest ways to the side.
    """
    above, below = _neighbours(links)
    best, fewest, order = _across(grid, links, sizes), (_crossings(grid, above), float("inf")), [list(x) for x in grid]
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        numbers = range(1, len(grid)) if down else range(len(grid) - 2, -1, -1)
        for i in numbers:
            fixed = {x: j for j, x in enumerate(grid[i - 1 if down else i + 1])}
            _sort_by_middle(grid[i], above if down else below, fixed)
        across = _across(grid, links, sizes)
        found = (_crossings(grid, above), sum(abs(across[a] - across[b]) for a, b in links))
        if found < fewest:
            best, fewest, order = across, found, [list(line) for line in grid]
    for line, kept in zip(grid, order, strict=True):
        line[:] = kept
    return _rearranged(grid, links, sizes, best, fewest) if len(sizes) <= FEW else best


def _rearranged(
    grid: list[list[str]], links: Sequence[tuple[str, str]], sizes: Mapping[str, Size], best: dict[str, float],
    fewest: tuple[int, float],
) -> dict[str, float]:  # fmt: skip
    """Move nodes within their rows for as long as that makes the drawing better."""
    above, _ = _neighbours(links)
    for _ in range(SWEEPS):
        before = fewest
        for line in grid:
            for j, k in itertools.permutations(range(len(line)), 2):
                line.insert(k, line.pop(j))
                across = _across(grid, links, sizes)
                found = (_crossings(grid, above), sum(abs(across[a] - across[b]) for a, b in links))
                if found < fewest:
                    best, fewest = across, found
                else:
                    line.insert(j, line.pop(k))
        if fewest == before:
            break
    return best


def _sort_by_middle(line: list[str], neighbours: Mapping[str, list[str]], fixed: Mapping[str, int]) -> None:
    middles = {}
    for j, x in enumerate(line):
        near = [fixed[y] for y in neighbours.get(x, ()) if y in fixed]
        middles[x] = sum(near) / len(near) if near else float(j)
    line.sort(key=lambda x: middles[x])


def _neighbours(links: Sequence[tuple[str, str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for a, b in links:
        above.setdefault(b, []).append(a)
        below.setdefault(a, []).append(b)
    return above, below


def _crossings(grid: Sequence[Sequence[str]], above: Mapping[str, list[str]]) -> int:
    """How many pairs of links between neighbouring rows cross."""
    total = 0
    for upper, lower in itertools.pairwise(grid):
        place = {x: j for j, x in enumerate(upper)}
        ends = [(place[a], j) for j, x in enumerate(lower) for a in above.get(x, ())]
        total += sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(ends) for c, d in ends[:i])
    return total


def _across(
    grid: Sequence[Sequence[str]], links: Sequence[tuple[str, str]], sizes: Mapping[str, Size]
) -> dict[str, float]:
    """Horizontal places: drawn towards the neighbours, kept apart, shifted so that the leftmost edge is at 0."""
    above, below = _neighbours(links)
    x: dict[str, float] = {}
    for line in grid:
        _put(line, dict.fromkeys(line, 0.0), sizes, x)
    for sweep in range(2 * SWEEPS):
        wanted = dict(x)
        rows = grid if sweep % 2 == 0 else list(reversed(grid))
        for line in rows:
            for key in line:
                near = (
                    [*above.get(key, ()), *below.get(key, ())]
                    if sweep > SWEEPS
                    else (above if sweep % 2 == 0 else below).get(key, [])
                )
                if near:
                    wanted[key] = sum(x[y] for y in near) / len(near)
            _put(line, wanted, sizes, x)
    left = min((x[key] - sizes[key].width / 2 for key in x), default=0.0)
    return {key: value - left for key, value in x.items()}


def _put(line: Sequence[str], wanted: Mapping[str, float], sizes: Mapping[str, Size], x: dict[str, float]) -> None:
    """The places nearest to the wanted ones, in order and apart: means of blocks that would overlap (isotonic)."""
    offsets, reach = [], 0.0
    for i, key in enumerate(line):
        reach += (sizes[line[i - 1]].width + sizes[key].width) / 2 + GAP if i else 0.0
        offsets.append(reach)
    blocks: list[tuple[float, int]] = []  # mean of (wanted - offset), count
    for key, offset in zip(line, offsets, strict=True):
        mean, count = wanted[key] - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, many = blocks.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        blocks.append((mean, count))
    shifts = [mean for mean, count in blocks for _ in range(count)]
    for key, offset, shift in zip(line, offsets, shifts, strict=True):
        x[key] = offset + shift
