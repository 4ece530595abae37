"""The names of a program: where each is given its meaning, and where it is used. What editors ask for.

Goals: every name that can be read is found, also in a program with mistakes, half of it written. Non-goals: what is wrong;
`check` says that. A family is one symbol, and all statements that give it members are its places.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tpl.language import syntax as s
from tpl.language.parse import UNREAD
from tpl.language.source import Span


@dataclass(frozen=True)
class Place:
    """Where a name is given a meaning: the name itself, its statement, and the loops around it, outermost first."""

    name: Span
    statement: Span
    clauses: tuple[Span, ...] = ()


@dataclass
class Symbol:
    """A name with one meaning.

    kind: "const", "def", "width", "data", "size", "network", "input", "param", "random", "value", "loop" or "parameter".
    network: where it lives, if inside one. uses: every place where it stands, the `places` that define it included.
    """

    name: str
    kind: str
    network: str | None
    places: list[Place] = field(default_factory=list)
    uses: list[Span] = field(default_factory=list)
    body: tuple[int, int] | None = None  # rows of a network's block


@dataclass
class Symbols:
    """All symbols of a file, and the calls of functions that it does not define."""

    symbols: list[Symbol]
    calls: list[tuple[str, Span]]

    def at(self, line: int, column: int) -> tuple[Symbol, Span] | None:
        """The symbol whose name covers a place, or ends there; and that name's span."""
        for symbol in self.symbols:
            for span in symbol.uses:
                if span.line == line and span.column <= column <= span.end_column:
                    return symbol, span
        return None

    def call_at(self, line: int, column: int) -> tuple[str, Span] | None:
        """The function of the language that is called at a place."""
        return next((x for x in self.calls if x[1].line == line and x[1].column <= column <= x[1].end_column), None)


def find_symbols(file: s.File) -> Symbols:
    """The symbols of a file, in the order in which they are defined."""
    finder = _Finder(file)
    finder.block(file.statements, None, ())
    finder.resolve()
    return Symbols(finder.symbols, finder.calls)


Scope = dict[str, Symbol]


@dataclass(frozen=True)
class _Use:
    """A name that stands somewhere: scopes to look it up in, the innermost first."""

    name: str
    span: Span
    scopes: tuple[Scope, ...]
    call: bool = False


class _Finder:
    """Collects definitions first and uses with them; names are looked up at the end, so that order does not matter."""

    def __init__(self, file: s.File) -> None:
        self.symbols: list[Symbol] = []
        self.calls: list[tuple[str, Span]] = []
        self.globals: Scope = {}
        self.networks: dict[str, Scope] = {}
        self.uses: list[_Use] = []
        self.trained: str | None = next((x.network for x in file.statements if isinstance(x, s.Train)), None)

    # ------------------------------------------------------------------------------------------ definitions
    def define(self, name: str, kind: str, place: Place, scope: Scope, network: str | None) -> Symbol:
        """A symbol for a name, or one more place of the symbol that it has.

        Of a heading that could not be read the span is the whole line, where the name itself is not to be found.
        """
        symbol = scope.get(name)
        if symbol is None or name == UNREAD or (symbol.kind != kind and {symbol.kind, kind} != {"param", "value"}):
            symbol = Symbol(name, kind, network)
            scope[name] = symbol
            if name != UNREAD:
                self.symbols.append(symbol)
        symbol.places.append(place)
        if place.name.end_column - place.name.column == len(name):
            symbol.uses.append(place.name)
        return symbol

    def block(self, statements: Sequence[s.Statement], network: str | None, clauses: tuple[Span, ...],
              inner: tuple[Scope, ...] = ()) -> None:  # fmt: skip
        for statement in statements:
            _STATEMENTS[type(statement)](self, statement, network, clauses, inner)

    def scopes(self, network: str | None, inner: tuple[Scope, ...]) -> tuple[Scope, ...]:
        own = (self.networks[network],) if network is not None else ()
        return (*inner, *own, self.globals)

    def const(self, node: s.Const, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        self.define(node.name, "const", Place(node.name_span, node.span), self.globals, None)
        self.expression(node.value, self.scopes(network, inner))

    def def_(self, node: s.Def, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        self.define(node.name, "def", Place(node.name_span, node.span), self.globals, None)
        own: Scope = {}
        for name, span in zip(node.parameters, node.parameter_spans, strict=True):
            self.define(name, "parameter", Place(span, node.span), own, None)
        self.expression(node.body, (own, *self.scopes(network, inner)))

    def width(self, node: s.Width, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        self.define(node.name, "width", Place(node.name_span, node.span), self.globals, None)
        if node.value is not None:
            self.expression(node.value, self.scopes(network, inner))

    def data(self, node: s.Data, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        self.define(node.name, "data", Place(node.name_span, node.span), self.globals, None)
        self._sizes(node.dims, node.span, self.globals, None)
        if node.default is not None:
            self.expression(node.default, self.scopes(network, inner))

    def _sizes(self, dims: Sequence[s.Expr], statement: Span, scope: Scope, network: str | None) -> None:
        """Sizes of data or of an input: a name that has no meaning yet gets one."""
        for dim in dims:
            known = isinstance(dim, s.Name) and (dim.name in scope or dim.name in self.globals)
            if isinstance(dim, s.Name) and not known:
                self.define(dim.name, "size", Place(dim.span, statement), scope, network)
            else:
                self.expression(dim, (scope, self.globals))

    def network(
        self, node: s.Network, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]
    ) -> None:
        symbol = self.define(node.name, "network", Place(node.name_span, node.span), self.globals, None)
        rows = [x.span.end_line for x in s.walk(node.body) if hasattr(x, "span")]
        symbol.body = (node.span.line, max(rows, default=node.span.end_line))
        own = self.networks.setdefault(node.name, {})
        for given in node.inputs:
            self.define(given.name, "input", Place(_first(given.span, given.name), node.span), own, node.name)
        for given in node.inputs:
            self._sizes(given.dims, node.span, own, node.name)
        self.block(node.body, node.name, ())

    def loop(self, node: s.Loop, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        own = self._clause(node.clause, network, self.scopes(network, inner))
        if network is not None:  # `show gram(h[l])` speaks of a loop's variable after it
            self.networks[network].setdefault(node.clause.variable, own[node.clause.variable])
        self.block(node.body, network, (*clauses, node.clause.span), (own, *inner))

    def _clause(self, node: s.Clause, network: str | None, scopes: tuple[Scope, ...]) -> Scope:
        own: Scope = {}
        self.define(node.variable, "loop", Place(node.variable_span, node.span), own, network)
        self.expression(node.start, scopes)
        self.expression(node.stop, scopes)
        return own

    def draw(self, node: s.Draw, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        for target in node.targets:
            self._target(target, node.keyword, node.span, network, clauses, inner)
        scopes = self.scopes(network, inner)
        for part in (*node.shape, node.law, node.rate):
            self.expression(part, scopes)

    def assign(self, node: s.Assign, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        self._target(node.target, "value", node.span, network, clauses, inner)
        self.expression(node.value, self.scopes(network, inner))

    def _target(self, node: s.Target, kind: str, statement: Span, network: str | None, clauses: tuple[Span, ...],
                inner: tuple[Scope, ...]) -> None:  # fmt: skip
        scope = self.globals if network is None else self.networks[network]
        self.define(node.name, kind, Place(_first(node.span, node.name), statement, clauses), scope, network)
        for index in node.indices:
            self.expression(index, self.scopes(network, inner))

    def return_(self, node: s.Return, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        self.expression(node.value, self.scopes(network, inner))

    def show(self, node: s.Show, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        """After a `train` block, measures speak of the inside of the network."""
        inside = (self.networks.setdefault(self.trained, {}),) if self.trained is not None else ()
        for item in node.items:
            self.expression(item, (*inner, self.globals, *inside))

    def train(self, node: s.Train, network: str | None, clauses: tuple[Span, ...], inner: tuple[Scope, ...]) -> None:
        scopes = (self.globals,)
        self._use(node.network, node.network_span, scopes)
        for name in (*node.inputs, node.targets):
            self.expression(name, scopes)
        for setting in node.settings:
            self.expression(setting.value, scopes)

    # ------------------------------------------------------------------------------------------ uses
    def expression(self, node: Any, scopes: tuple[Scope, ...]) -> None:
        """Every name in an expression; nothing for None."""
        if isinstance(node, s.Name):
            self._use(node.name, node.span, scopes)
            return
        if isinstance(node, s.Call):
            self._use(node.function, node.name_span, scopes, call=True)
        if isinstance(node, s.Comprehension):
            for clause in node.clauses:
                scopes = (self._clause(clause, None, scopes), *scopes)
            self.expression(node.item, scopes)
            return
        for child in s.children(node):
            self.expression(child, scopes)

    def _use(self, name: str, span: Span, scopes: tuple[Scope, ...], call: bool = False) -> None:
        if name != UNREAD:
            self.uses.append(_Use(name, span, scopes, call))

    def resolve(self) -> None:
        for use in self.uses:
            symbol = next((scope[use.name] for scope in use.scopes if use.name in scope), None)
            if symbol is not None:
                symbol.uses.append(use.span)
            elif use.call:
                self.calls.append((use.name, use.span))


def _first(span: Span, name: str) -> Span:
    """The name at the beginning of a span."""
    return Span(span.line, span.column, span.line, span.column + len(name))


_STATEMENTS: Mapping[type, Any] = {
    s.Const: _Finder.const, s.Def: _Finder.def_, s.Width: _Finder.width, s.Data: _Finder.data, s.Network: _Finder.network,
    s.Loop: _Finder.loop, s.Draw: _Finder.draw, s.Assign: _Finder.assign, s.Return: _Finder.return_, s.Show: _Finder.show,
    s.Train: _Finder.train,
}  # fmt: skip


def outline(symbols: Symbols) -> Iterator[tuple[Symbol, list[Symbol]]]:
    """What stands at the left margin, each with what is inside; without sizes and the variables of loops."""
    named = [x for x in symbols.symbols if x.kind not in ("size", "loop", "parameter")]
    for symbol in (x for x in named if x.network is None):
        inside = [x for x in named if x.network == symbol.name] if symbol.kind == "network" else []
        yield symbol, inside
