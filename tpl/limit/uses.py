"""Which statement uses which: the picture of a program, one node a name, whatever its indices.

Statements stay as written; loops are not unrolled. A family such as h[1] and h[l] is one node, and an edge that leads from
a name to one made earlier, or to itself, closes a loop of the program.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tpl.language import syntax as s
from tpl.language.source import Source
from tpl.limit.formula import Formula
from tpl.limit.transcribe import Statement, Transcriber

# Of several ways in which one statement uses a name, the first of these is the edge's kind.
KINDS = ("product", "moment", "nonlinearity", "gaussian", "sum", "update")

_NODE_KINDS = {"vector": "vector", "scalar": "scalar", "output": "output", "list": "scalar", "matrix": "matrix",
               "readout": "gaussian", "data": "data", "const": "scalar"}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A name of the program.

    kind: "data", "matrix", "gaussian" (drawn vectors, readouts and random numbers), "vector", "scalar", "output", "train",
    "show". lines: where it is made, from 1.
    """

    key: str
    label: str
    kind: str
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Edge:
    """`start` is used by `end`. kind: one of KINDS, which `ways` lists all; loop: it leads back, or to itself."""

    start: str
    end: str
    kind: str
    ways: tuple[str, ...]
    loop: bool


@dataclass(frozen=True)
class Uses:
    """Nodes, first what is drawn or given, then what is made, in the order of the program; and edges."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def uses(file: s.File, source: Source) -> Uses:
    """The names that a program makes, and how statements use them."""
    found = _Found(file, source)
    found.collect()
    made = {b for (_, b), ways in found.ways.items() if ways != {"update"}}
    nodes = sorted(
        found.nodes.values(), key=lambda x: x.key in made
    )  # what is drawn or given comes before what is made
    order = {x.key: i for i, x in enumerate(nodes)}
    edges = tuple(
        Edge(a, b, min(ways, key=KINDS.index), tuple(sorted(ways, key=KINDS.index)), order[a] >= order[b])
        for (a, b), ways in found.ways.items()
    )
    return Uses(tuple(nodes), edges)


@dataclass
class _Found:
    file: s.File
    source: Source
    nodes: dict[str, Node] = field(default_factory=dict)
    ways: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def collect(self) -> None:
        statements = iter(Transcriber(self.file, self.source).statements())
        waiting = next(statements, None)
        for node in self.file.statements:
            if isinstance(node, s.Data):
                self._made("", node.name, "data", node)
            elif isinstance(node, s.Network):
                for given in node.inputs:
                    self._made(node.name, given.name, "data", given)
            if isinstance(node, s.Train):
                self._train(node)
            last = _end(node)
            while waiting is not None and waiting.syntax.span.line <= last:
                self._statement(waiting)
                waiting = next(statements, None)
        while waiting is not None:  # what --set has put past the end of the file
            self._statement(waiting)
            waiting = next(statements, None)
        self._applied()

    def _statement(self, x: Statement) -> None:
        if isinstance(x.syntax, s.Show):
            self._show(x)
            return
        if isinstance(x.syntax, s.Return):
            key = self._made("", x.network, "output", x.syntax)
        elif x.target is not None and x.kind != "const":
            drawn = isinstance(x.syntax, s.Draw)
            kind = "gaussian" if drawn and x.kind in ("vector", "output") else _NODE_KINDS.get(x.kind, "scalar")
            key = self._made(x.network, x.target.text, kind, x.syntax, self._label(x))
        else:
            return
        for name, way in _ways(x.value) if x.value is not None else ():
            self._edge(self._find(name, x.network), key, way)

    def _label(self, x: Statement) -> str:
        """The target as the user wrote it."""
        assert x.target is not None
        if isinstance(x.syntax, s.Assign):
            return self.source.slice(x.syntax.target.span)
        assert isinstance(x.syntax, s.Draw)
        return next(self.source.slice(y.span) for y in x.syntax.targets if y.name == x.target.text)

    def _made(self, network: str, name: str, kind: str, node: s.Statement | s.Input, label: str = "") -> str:
        """A node, or one more line of it; of labels the one that speaks of most indices stays."""
        key, line, label = f"{network}.{name}", node.span.line, label or name
        old = self.nodes.get(key)
        if old is None:
            self.nodes[key] = Node(key, label, kind, (line,))
        else:
            better = max(old.label, label, key=lambda y: (sum(c.isalpha() for c in y), len(y)))
            kind = "vector" if "vector" in (old.kind, kind) else old.kind
            self.nodes[key] = Node(key, better, kind, tuple(dict.fromkeys((*old.lines, line))))
        return key

    def _find(self, name: str, network: str) -> str | None:
        return next((k for k in (f"{network}.{name}", f".{name}") if k in self.nodes), None)

    def _edge(self, start: str | None, end: str, way: str) -> None:
        if start is not None:
            drawn = self.nodes[start].kind == "gaussian" and way == "sum"
            self.ways.setdefault((start, end), set()).add("gaussian" if drawn else way)

    def _train(self, node: s.Train) -> None:
        key = self._made("", f"train {node.network}", "train", node)
        self._edge(self._find(node.network, ""), key, "nonlinearity")
        self._edge(self._find(node.targets.name, ""), key, "nonlinearity")
        network = next((x for x in self.file.statements if isinstance(x, s.Network) and x.name == node.network), None)
        for draw in s.walk(network.body if network is not None else ()):
            if isinstance(draw, s.Draw) and draw.keyword == "param":
                for target in draw.targets:
                    start = self._find(target.name, node.network)
                    if start is not None:
                        self.ways.setdefault((key, start), set()).add("update")

    def _show(self, x: Statement) -> None:
        assert isinstance(x.syntax, s.Show)
        label = " ".join(self.source.slice(x.syntax.span).removeprefix("show").split())
        key = f"show {x.syntax.span}"
        self.nodes.setdefault(key, Node(key, label, "show", (x.syntax.span.line,)))
        known = dict(_ways(x.value)) if x.value is not None else {}
        trained = next((y.network for y in self.file.statements if isinstance(y, s.Train)), "")
        called = {y.function: "moment" for y in s.walk(x.syntax.items) if isinstance(y, s.Call)}
        for name, way in {**called, **known}.items():
            start = self._find(name, trained)
            if start is None and name == "loss":
                start = self._find(f"train {trained}", "")
            if start is not None and self.nodes[start].kind != "data":
                numbers = self.nodes[start].kind in ("scalar", "train")  # of anything else a show takes averages
                self._edge(start, key, way if numbers else "moment")

    def _applied(self) -> None:
        """Data lead to the inputs of the networks that are applied to them."""
        networks = {x.name: x for x in self.file.statements if isinstance(x, s.Network)}
        for node in s.walk(self.file.statements):
            pairs: list[tuple[str, str]] = []
            if isinstance(node, s.Train) and node.network in networks:
                pairs = [(x.name, node.network) for x in node.inputs]
            elif isinstance(node, s.Call):
                given = [y.name for a in node.arguments for y in s.walk(a) if isinstance(y, s.Name)]
                called = [node.function, *given] if node.function in ("nngp", "ntk") else [node.function]
                pairs = [(d, n) for n in called if n in networks for d in given]
            for data, network in pairs:
                start = self._find(data, "")
                if start is not None and self.nodes[start].kind == "data":
                    for target in networks[network].inputs:
                        self._edge(start, f"{network}.{target.name}", "sum")


def _end(node: s.Statement) -> int:
    """The last line of a statement, its body included."""
    return max([node.span.end_line, *(x.span.end_line for x in s.walk(node) if hasattr(x, "span"))])


def _ways(value: Formula, way: str = "sum") -> Iterator[tuple[str, str]]:
    """Every name in a formula, and what is done with it there: a product with a matrix, else an average, else a function."""
    if value.op == "name":
        yield value.text, "nonlinearity" if value.kind == "scalar" and way == "product" else way
        return
    inner = way
    if value.op == "matmul":
        inner = "product"
    elif value.op == "avg" and way != "product":
        inner = "moment"
    elif way == "sum" and (value.op in ("call", "pow", "pick") or _together(value)):
        inner = "nonlinearity"
    for part in value.args:
        yield from _ways(part, inner)


def _together(value: Formula) -> bool:
    """Is it a product or quotient of things that vary from coordinate to coordinate?"""
    return value.op in ("mul", "div") and sum(map(_random, value.args)) > 1


def _random(value: Formula) -> bool:
    return (value.op == "name" and value.kind not in ("const", "index", "data")) or any(map(_random, value.args))
