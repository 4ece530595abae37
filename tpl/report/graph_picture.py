"""The dependency picture of a program: its statements, and what each is used for, row by row from the data to the shows."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tpl.limit.uses import Edge, Node, Uses
from tpl.report.layered import Layout, Place, Size, layered
from tpl.report.svg import Picture, attribute, path, shortened, text, words

MOST_NODES = 80
LETTER, HEIGHT, MARGIN = 7.9, 30.0, 14.0  # of a label in the code font; of a node; around everything
LONGEST = 24  # letters of a label
SELF = 26.0  # room beside a node for an edge to itself

EDGE_WORDS = {
    "product": "product with a matrix", "moment": "average over coordinates", "nonlinearity": "inside a function",
    "gaussian": "a Gaussian is added", "sum": "linear, or passed on", "update": "moved by training",
}  # fmt: skip
NODE_WORDS = {
    "data": "data", "matrix": "matrix, iid Gaussian", "gaussian": "drawn: vector, readout or number", "vector": "vector",
    "scalar": "scalar", "output": "output", "train": "training", "show": "shown",
}  # fmt: skip

GRAPH_CSS = (
    "svg.pic .edge{fill:none;stroke-width:1.6}svg.pic .head{stroke:none}"
    "svg.pic .product{--k:var(--c0)}svg.pic .moment{--k:var(--c2)}svg.pic .nonlinearity{--k:var(--c1)}"
    "svg.pic .gaussian{--k:var(--c4)}svg.pic .sum{--k:var(--soft)}svg.pic .update{--k:var(--c3)}"
    "svg.pic .edge{stroke:var(--k)}svg.pic .head{fill:var(--k)}svg.pic .edge.product{stroke-width:2.2}"
    "svg.pic .edge.moment{stroke-dasharray:7 3}svg.pic .edge.gaussian{stroke-dasharray:2 3}"
    "svg.pic .edge.update{stroke-dasharray:10 4 2 4}"
    "svg.pic .node{fill:var(--card);stroke:var(--soft);stroke-width:1.3}svg.pic .node.vector{stroke:currentColor}"
    "svg.pic .node.matrix{stroke:var(--c0)}svg.pic .node.drawn{stroke:var(--c4)}svg.pic .node.scalar{stroke:var(--c2)}"
    "svg.pic .node.output{stroke:currentColor;stroke-width:2.6}svg.pic .node.data{stroke-dasharray:4 3}"
    "svg.pic .node.train{stroke:var(--c3);stroke-width:2}svg.pic .node.show{stroke:none}"
    "svg.pic a:hover .node,svg.pic a:focus .node{fill:var(--mark)}svg.pic a{color:inherit}"
)


class _Drawn(NamedTuple):
    uses: Uses
    layout: Layout
    sizes: Mapping[str, Size]


def draw_uses(uses: Uses, linked: bool) -> Picture | None:
    """The picture; None of programs with too many names. linked: nodes lead to `#L12`, the line where they are made."""
    if not 0 < len(uses.nodes) <= MOST_NODES:
        return None
    sizes = {x.key: Size(len(_label(x)) * LETTER + 22, HEIGHT) for x in uses.nodes}
    selves = {x.start for x in uses.edges if x.start == x.end}
    roomy = {k: Size(w + 2 * SELF, h) if k in selves else Size(w, h) for k, (w, h) in sizes.items()}
    drawn = _Drawn(uses, layered(roomy, [(x.start, x.end) for x in uses.edges if not x.loop]), sizes)
    loops, before, beyond = _loops(drawn)
    kinds = [k for k in EDGE_WORDS if any(x.kind == k for x in uses.edges)]
    width = max(beyond - before, 300.0)
    legend, below = _legend(kinds, width)
    bottom = drawn.layout.height + (16 if any(x.loop for x in uses.edges) else 0)
    body = "".join([
        f"<g transform='translate({MARGIN - before:.1f} {MARGIN})'>", *_edges(drawn), *loops,
        *(_node(x, drawn, linked) for x in uses.nodes), "</g>",
        f"<g transform='translate({MARGIN} {bottom + 2 * MARGIN + 12:.0f})'>{legend}</g>",
    ])  # fmt: skip
    height = bottom + below + 3 * MARGIN + 6
    label = f"How the program's {len(uses.nodes)} names depend on each other"
    return Picture(body, width + 2 * MARGIN, height, label, GRAPH_CSS, grouped=linked, shrinks=False)


def _label(node: Node) -> str:
    return shortened(node.label, LONGEST)


def _node(node: Node, drawn: _Drawn, linked: bool) -> str:
    x, y = drawn.layout.places[node.key]
    width, height = drawn.sizes[node.key]
    round_ = {"matrix": 0, "gaussian": 15, "scalar": 15, "train": 4}.get(node.kind, 6)
    kind = "drawn" if node.kind == "gaussian" else node.kind
    title = f"{words(node.label)}: {NODE_WORDS[node.kind]}, {lines_text(node.lines)}"
    box = (
        f"<rect class='node {kind}' x='{x - width / 2:.1f}' y='{y - height / 2:.1f}' width='{width:.1f}' "
        f"height='{height:.0f}' rx='{round_}'/>"
    )
    inside = f"<title>{title}</title>{box}{text(x, y + 4.5, _label(node), 'code', 'middle')}"
    return (
        f"<a href='#L{node.lines[-1]}' aria-label='{attribute(title)}'>{inside}</a>" if linked else f"<g>{inside}</g>"
    )


def lines_text(lines: Sequence[int]) -> str:
    """line 12; lines 22 and 26."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    return f"lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"


# ---------------------------------------------------------------------------------------------- edges


def _edges(drawn: _Drawn) -> list[str]:
    """Edges that lead down, each to a place of its own at both of its nodes."""
    forward = [x for x in drawn.uses.edges if not x.loop]
    ways = drawn.layout.ways
    starts = _ports(forward, drawn, lambda e: e.start, lambda e: ways[e.start, e.end][1][0])
    ends = _ports(forward, drawn, lambda e: e.end, lambda e: ways[e.start, e.end][-2][0])
    found = []
    for edge in forward:
        points = list(ways[edge.start, edge.end])
        points[0] = (starts[edge], points[0][1] + HEIGHT / 2)
        points[-1] = (ends[edge], points[-1][1] - HEIGHT / 2)
        found.append(_curve(edge, points))
    return found


def _ports(
    edges: Sequence[Edge], drawn: _Drawn, node: Callable[[Edge], str], towards: Callable[[Edge], float]
) -> dict[Edge, float]:
    """Where edges meet a side of their node, in the order of where they come from."""
    found = {}
    for key in {node(e): None for e in edges}:
        own = sorted((e for e in edges if node(e) == key), key=towards)
        apart = min(16.0, (drawn.sizes[key].width - 12) / len(own))
        for i, edge in enumerate(own):
            found[edge] = drawn.layout.places[key][0] + (i - (len(own) - 1) / 2) * apart
    return found


def _curve(edge: Edge, points: Sequence[Place]) -> str:
    """Through the points, upright at each of them, with a head at the end."""
    (x, y), steps = points[0], []
    end_x, end_y = points[-1]
    stops = [*points[1:-1], (end_x, end_y - 6)]
    for to_x, to_y in stops:
        middle = (y + to_y) / 2
        steps.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    line = f"<path class='edge {edge.kind}' d='M{points[0][0]:.1f} {points[0][1]:.1f}{''.join(steps)}'/>"
    head = f"<path class='head {edge.kind}' d='M{end_x - 4.5:.1f} {end_y - 8:.1f}h9L{end_x:.1f} {end_y:.1f}z'/>"
    return f"<g>{_what(edge)}{line}{head}</g>"


def _what(edge: Edge) -> str:
    return f"<title>{'; '.join(EDGE_WORDS[w] for w in edge.ways)}</title>"


def _loops(drawn: _Drawn) -> tuple[list[str], float, float]:
    """Edges that lead back up, or to their own node, and from where to where everything then reaches."""
    found, least, most = [], 0.0, drawn.layout.width
    back = [x for x in drawn.uses.edges if x.loop and x.start != x.end]
    for edge in drawn.uses.edges:
        if edge.start == edge.end:
            found.append(_to_itself(edge, drawn))
    ups = _ports(back, drawn, lambda e: e.start, lambda e: drawn.layout.places[e.end][0])
    downs = _ports(back, drawn, lambda e: e.end, lambda e: drawn.layout.places[e.start][0])
    taken = {-1: 0, 1: 0}
    for edge in back:
        side, far = _outside(edge, drawn)
        far += side * 10 * taken[side]
        taken[side] += 1
        found.append(_around(edge, drawn, (ups[edge] + side * 8, downs[edge] + side * 8), far))
        least, most = min(least, far - 8), max(most, far + 8)
    return found, least, most


def _to_itself(edge: Edge, drawn: _Drawn) -> str:
    x, y = drawn.layout.places[edge.start]
    right = x + drawn.sizes[edge.start].width / 2
    out = right + SELF + 6
    curve = f"M{right:.1f} {y + 8:.1f}C{out:.1f} {y + 22:.1f} {out:.1f} {y - 22:.1f} {right + 7:.1f} {y - 6:.1f}"
    head = f"<path class='head {edge.kind}' d='M{right + 8:.1f} {y - 10.5:.1f}v9L{right:.1f} {y - 6:.1f}z'/>"
    return f"<g>{_what(edge)}<path class='edge {edge.kind}' d='{curve}'/>{head}</g>"


def _outside(edge: Edge, drawn: _Drawn) -> tuple[int, float]:
    """The side, -1 or 1, on which the way around all that lies between is shorter, and where it runs."""
    places, sizes = drawn.layout.places, drawn.sizes
    (x1, y1), (x2, y2) = places[edge.start], places[edge.end]
    high, low = sorted((y1, y2))
    rows = [k for k in places if high <= places[k][1] <= low]
    passing = [p for way in drawn.layout.ways.values() for p in way if high <= p[1] <= low]
    left = min([places[k][0] - sizes[k].width / 2 for k in rows] + [p[0] for p in passing]) - 20
    right = max([places[k][0] + sizes[k].width / 2 for k in rows] + [p[0] for p in passing]) + 20
    return (-1, left) if x1 + x2 - 2 * left < 2 * right - x1 - x2 else (1, right)


def _around(edge: Edge, drawn: _Drawn, ports: Place, far: float) -> str:
    """Down out of a node, up on the outside, and down into another one."""
    x1, x2 = ports
    y1 = drawn.layout.places[edge.start][1] + HEIGHT / 2
    y2 = drawn.layout.places[edge.end][1] - HEIGHT / 2
    low, high, r = y1 + 16, y2 - 20, 10
    side, up = 1 if far > x1 else -1, r if low > high else -r
    curve = (
        f"M{x1:.1f} {y1:.1f}Q{x1:.1f} {low:.1f} {x1 + side * r:.1f} {low:.1f}H{far - side * r:.1f}"
        f"Q{far:.1f} {low:.1f} {far:.1f} {low - up:.1f}V{high + up:.1f}"
        f"Q{far:.1f} {high:.1f} {far - side * r:.1f} {high:.1f}H{x2 + side * r:.1f}Q{x2:.1f} {high:.1f} {x2:.1f} {y2 - 7:.1f}"
    )
    head = f"<path class='head {edge.kind}' d='M{x2 - 4.5:.1f} {y2 - 8:.1f}h9L{x2:.1f} {y2:.1f}z'/>"
    return f"<g>{_what(edge)}<path class='edge {edge.kind}' d='{curve}'/>{head}</g>"


def _legend(kinds: Sequence[str], width: float) -> tuple[str, float]:
    """What the edges mean, in as many rows as it takes; and their height."""
    parts, x, y = [], 0.0, 0.0
    for kind in kinds:
        words_ = EDGE_WORDS[kind]
        needed = 38 + 6.4 * len(words_) + 18
        if x and x + needed > width:
            x, y = 0.0, y + 20
        parts.append(path([(x, y), (x + 28, y)], f"edge {kind}") + text(x + 36, y + 4, words_, "soft"))
        x += needed
    return "".join(parts), y + 20


def uses_in_words(uses: Uses) -> list[tuple[Node, list[str]]]:
    """Every node that uses something, what it uses, and how: the picture for those who do not see it."""
    labels = {x.key: x.label for x in uses.nodes}
    found = [
        (x, [f"{labels[e.start]} ({'; '.join(EDGE_WORDS[w] for w in e.ways)})" for e in uses.edges if e.end == x.key])
        for x in sorted(uses.nodes, key=lambda x: x.lines[0])
    ]
    return [(node, used) for node, used in found if used]
