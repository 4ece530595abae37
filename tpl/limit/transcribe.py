"""Statements of a program as formulas, with the user's names, indices, sums and definitions.

What elaboration unrolls stays rolled up here: `h[l] = W[l] @ phi(h[l-1])` is one formula for all l. Products are
recorded with the span by which core lines are found again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tpl.core.functions import CALLABLE
from tpl.language import syntax as s
from tpl.language.source import Source, Span
from tpl.limit import formula as f
from tpl.limit.folding import simplified
from tpl.limit.formula import Formula

MAX_INLINED = 40  # calls of defs that are written out, in one statement


@dataclass(frozen=True)
class Product:
    """M @ x as the user wrote it. `formula` is the matmul node; `entering`: is x data? `base` the matrix's name."""

    formula: Formula
    span: Span
    base: str
    transposed: bool
    entering: bool


@dataclass(frozen=True)
class Statement:
    """One `random`, `param`, assignment, `return` or `show`, with the loops around it.

    target: the name assigned, over its indices. value: the right side; of a draw its mean. kind: of what it makes.
    clauses: of the loops around it. network: the name of the one that it is in. defs: definitions that stand in it by their names.
    """

    syntax: s.Statement
    target: Formula | None
    value: Formula | None
    kind: str
    clauses: tuple[Formula, ...]
    network: str
    products: tuple[Product, ...] = ()
    defs: tuple[str, ...] = ()
    variance: Formula | None = None


@dataclass
class _Value:
    """A formula and its kind; the terms (coefficient, matrix, base, transposed) of a matrix, the items of a list."""

    formula: Formula
    kind: str
    terms: tuple[tuple[Formula, Formula, str, bool], ...] = ()
    items: tuple[Formula, ...] = ()


class Transcriber:
    """Reads a file's statements in order.

    names: base name -> its kind. local: names that differ by input. axes: base name -> for each index the clause of the loop
    that it is assigned in. targets: base name and place -> the index as it is assigned, l + 1 or L - l.
    """

    def __init__(self, file: s.File, source: Source):
        self.file = file
        self.source = source
        self.names: dict[str, str] = {}
        self.local: set[str] = set()
        self.widths: set[str] = set()
        self.defs = {x.name: x for x in file.statements if isinstance(x, s.Def)}
        self.axes: dict[str, list[Formula]] = {}
        self.targets: dict[tuple[str, int], Formula] = {}
        self.lists: dict[str, _Value] = {}  # names of lists
        self._products: list[Product] = []
        self._used: list[str] = []
        self._bound: dict[str, _Value] = {}
        self._letters: list[str] = []
        self._inlined = 0

    def statements(self) -> list[Statement]:
        """Everything that makes or shows something."""
        found: list[Statement] = []
        for node in self.file.statements:
            if isinstance(node, s.Const):
                self.names[node.name] = "const"
            elif isinstance(node, s.Width):
                self.widths.add(node.name)
            elif isinstance(node, s.Data):
                self.names[node.name] = "data"
                self.names |= {d.name: "const" for d in node.dims if isinstance(d, s.Name) and d.name not in self.names}
        for node in self.file.statements:
            found.extend(self._walk(node, (), ""))
        return found

    def _walk(self, node: s.Statement, clauses: tuple[Formula, ...], network: str) -> Iterator[Statement]:
        if isinstance(node, s.Network):
            self.names |= {i.name: "data" for i in node.inputs}
            self.local |= {i.name for i in node.inputs}
            for i in node.inputs:
                self.names |= {d.name: "const" for d in i.dims if isinstance(d, s.Name) and d.name not in self.names}
            for x in node.body:
                yield from self._walk(x, clauses, node.name)
        elif isinstance(node, s.Loop):
            clause = self.clause(node.clause)
            self._letters.append(node.clause.variable)
            for x in node.body:
                yield from self._walk(x, (*clauses, clause), network)
            self._letters.pop()
        elif isinstance(node, s.Draw):
            for target in node.targets:
                yield self._draw(node, target, clauses, network)
        elif isinstance(node, s.Assign):
            yield self._assign(node, clauses, network)
        elif isinstance(node, (s.Return, s.Show)):
            for item in (node.value,) if isinstance(node, s.Return) else node.items:
                yield self._closed(node, None, item, clauses, network)

    def _draw(self, node: s.Draw, target: s.Target, clauses: tuple[Formula, ...], network: str) -> Statement:
        dims = [d.name if isinstance(d, s.Name) and d.name in self.widths else None for d in node.shape]
        kind = {(True,): "vector", (False,): "output", (True, False): "matrix", (True, True): "matrix"}.get(
            tuple(d is not None for d in dims), "readout"
        )
        self.names[target.name] = kind
        if network and node.keyword == "random" and kind != "matrix":
            self.local.add(target.name)
        law = node.law.arguments if isinstance(node.law, s.Call) else ()
        parts = [self.value(a).formula if not isinstance(a, s.ListOf) else self._code(a) for a in law]
        mean, variance = parts if len(parts) == 2 else (f.ZERO, f.ZERO)
        return Statement(node, self.target(target, clauses), mean, kind, clauses, network, variance=variance)

    def _assign(self, node: s.Assign, clauses: tuple[Formula, ...], network: str) -> Statement:
        found = self._closed(node, node.target, node.value, clauses, network)
        self.names[node.target.name] = found.kind
        self.lists.pop(node.target.name, None)
        if isinstance(node.value, s.ListOf | s.Comprehension) and not node.target.indices:
            self.lists[node.target.name] = self.value(node.value)
        if network and found.kind in ("vector", "scalar", "output", "list"):
            self.local.add(node.target.name)
        return replace(found, target=self.target(node.target, clauses))

    def _closed(
        self, node: s.Statement, target: s.Target | None, value: s.Expr, clauses: tuple[Formula, ...], network: str
    ) -> Statement:
        self._products, self._used, self._inlined = [], [], 0
        result = self.value(value)
        return Statement(node, None, result.formula, result.kind, clauses, network, tuple(self._products),
                         tuple(dict.fromkeys(self._used)))  # fmt: skip

    def target(self, node: s.Target, clauses: tuple[Formula, ...]) -> Formula:
        """The name that a statement makes, and what is known of its indices from the loops around it."""
        indices = tuple(self.value(i).formula for i in node.indices)
        by_letter = {c.args[0].text: c for c in clauses}
        axes = self.axes.setdefault(node.name, [])
        for place, index in enumerate(indices):
            letters = [x for x in f.letters_of(index) if x in by_letter]
            if len(axes) <= place:
                axes.append(f.ZERO)
            if len(letters) == 1 and axes[place] == f.ZERO:
                axes[place] = by_letter[letters[0]]
                self.targets[node.name, place] = index
        return self._name(node.name, indices)

    def letters_over(self, data: str) -> list[str]:
        """The letters of loops over the axes of data: over equal sizes one and the same."""
        declared = next(x for x in self.file.statements if isinstance(x, s.Data) and x.name == data)
        clauses = [c for axes in self.axes.values() for c in axes if c.op == "clause"]
        found = []
        for place, dim in enumerate(declared.dims):
            ends = self.value(dim).formula
            over = (c.args[0].text for c in clauses if c.args[2] == ends)
            found.append(next(over, "ijkl"[place % 4]))
        return found

    def clause(self, node: s.Clause) -> Formula:
        """`variable = start..stop`."""
        return Formula(
            "clause", (f.letter(node.variable), self.value(node.start).formula, self.value(node.stop).formula)
        )

    # ------------------------------------------------------------------------------------------ expressions
    def value(self, node: s.Expr) -> _Value:
        rule = _RULES.get(type(node).__name__)
        return rule(self, node) if rule is not None else _Value(self._code(node), "scalar")

    def _code(self, node: s.Expr) -> Formula:
        return Formula("code", (), self.source.slice(node.span))

    def _name(self, name: str, indices: tuple[Formula, ...] = ()) -> Formula:
        return Formula("name", indices, name, self.names.get(name, "index"), name in self.local)

    def number(self, node: s.Number) -> _Value:
        return _Value(f.number(node.value), "const")

    def name(self, node: s.Name) -> _Value:
        if node.name in self._letters:
            return _Value(f.letter(node.name), "const")
        if node.name in self._bound:
            return self._bound[node.name]
        kind = self.names.get(node.name)
        if kind is None:
            known = node.name == "pi" or node.name in self.widths
            return _Value(Formula("name", (), node.name, "const" if known else "index"), "const")
        return self._named(self._name(node.name), kind)

    def _named(self, name: Formula, kind: str) -> _Value:
        terms = ((f.ONE, name, name.text, False),) if kind == "matrix" else ()
        return _Value(name, kind, terms)

    def indexed(self, node: s.Indexed) -> _Value:
        if any(isinstance(i, s.Slice) for i in node.indices):
            return self._sliced(node)
        indices = tuple(self.value(i).formula for i in node.indices)  # type: ignore[arg-type]
        if isinstance(node.base, s.Name) and node.base.name not in self._bound:
            return self._named(self._name(node.base.name, indices), self.names.get(node.base.name, "const"))
        base = self.value(node.base)
        if base.formula.op == "name":
            name = replace(base.formula, args=base.formula.args + indices)
            return self._named(name, base.kind)
        return _Value(Formula("pick", (base.formula, *indices)), base.kind)

    def _sliced(self, node: s.Indexed) -> _Value:
        """`s[i, 1..T]`: a list over the slice."""
        base = self.value(node.base)
        if base.formula.op != "name":
            return _Value(self._code(node), base.kind)
        indices = []
        for i in node.indices:
            if isinstance(i, s.Slice):
                indices.append(f.letter("·"))
            else:
                indices.append(self.value(i).formula)
        name = replace(base.formula, args=base.formula.args + tuple(indices))
        return _Value(name, base.kind)

    def transposed(self, node: s.Transposed) -> _Value:
        base = self.value(node.base)
        if base.kind != "matrix":
            return _Value(self._code(node), base.kind)
        terms = tuple((c, m, name, not t) for c, m, name, t in base.terms)
        return _Value(Formula("transposed", (base.formula,)), "matrix", terms)

    def signed(self, node: s.Signed) -> _Value:
        inside = self.value(node.operand)
        if node.sign == "+":
            return inside
        return self._scaled(inside, Formula("neg", (f.ONE,)), Formula("neg", (inside.formula,)))

    def power(self, node: s.Power) -> _Value:
        base, exponent = self.value(node.base), self.value(node.exponent)
        return _Value(Formula("pow", (base.formula, exponent.formula)), _join(base.kind, exponent.kind))

    def chain(self, node: s.Chain) -> _Value:
        value, first = self.value(node.first), node.first.span
        for sign, operand in node.rest:
            span = Span(first.line, first.column, operand.span.end_line, operand.span.end_column)
            value = self._binary(sign, value, self.value(operand), span)
        return value

    def _binary(self, sign: str, a: _Value, b: _Value, span: Span) -> _Value:
        if sign == "@":
            return self._product(a, b, span)
        if sign == "mod":
            return _Value(Formula("mod", (a.formula, b.formula)), "const")
        kind = _join(a.kind, b.kind)
        if sign == "+":
            return _Value(f.add(a.formula, b.formula), kind, a.terms + b.terms)
        if sign == "-":
            negative = tuple((Formula("neg", (c,)), m, n, t) for c, m, n, t in b.terms)
            return _Value(Formula("sub", (a.formula, b.formula)), kind, a.terms + negative)
        if sign == "*":
            whole = f.mul(a.formula, b.formula)
            return self._scaled(b, a.formula, whole, kind) if b.terms else self._scaled(a, b.formula, whole, kind)
        divisor = Formula("div", (f.ONE, b.formula))
        return self._scaled(a, divisor, Formula("div", (a.formula, b.formula)), kind)

    def _scaled(self, value: _Value, factor: Formula, whole: Formula, kind: str = "") -> _Value:
        terms = tuple((f.mul(factor, c), m, n, t) for c, m, n, t in value.terms)
        return _Value(whole, kind or value.kind, terms)

    def _product(self, a: _Value, b: _Value, span: Span) -> _Value:
        if a.kind == "readout":
            return _Value(Formula("matmul", (a.formula, b.formula), "readout"), "output")
        if a.kind != "matrix":
            return _Value(Formula("matmul", (a.formula, b.formula), "data"), "data")
        made = []
        for coefficient, matrix, base, transposed in a.terms:
            whole = Formula("matmul", (Formula("transposed", (matrix,)) if transposed else matrix, b.formula))
            self._products.append(Product(whole, span, base, transposed, b.kind == "data"))
            made.append(f.mul(coefficient, whole))
        return _Value(f.add(*made), "vector")

    # ------------------------------------------------------------------------------------------ calls and lists
    def call(self, node: s.Call) -> _Value:
        if node.function in self.defs and node.function not in self._bound:
            return self._definition(self.defs[node.function], node)
        if node.function == "sum":
            return self._sum(node)
        if node.function == "avg" and (mean := self._mean(node.arguments[0])) is not None:
            return mean
        values = [self.value(a) for a in node.arguments]
        if node.function == "avg":
            return _Value(Formula("avg", (values[0].formula,)), "scalar")
        kind = _join(*(v.kind for v in values)) if values else "const"
        return _Value(Formula("call", tuple(v.formula for v in values), node.function), kind)

    def _definition(self, definition: s.Def, node: s.Call) -> _Value:
        """A def of coordinates alone stays a name; one that averages or multiplies is written out."""
        values = [self.value(a) for a in node.arguments]
        self._inlined += 1
        if is_coordinatewise(definition.body, self.defs) and not any(v.terms for v in values):
            self._used.append(definition.name)
            kind = _join(*(v.kind for v in values)) if values else "const"
            return _Value(Formula("call", tuple(v.formula for v in values), definition.name), kind)
        if self._inlined > MAX_INLINED:
            return _Value(self._code(node), "vector")
        before, self._bound = self._bound, dict(zip(definition.parameters, values, strict=False))
        try:
            return self.value(definition.body)
        finally:
            self._bound = before

    def _sum(self, node: s.Call) -> _Value:
        inside = node.arguments[0]
        if isinstance(inside, s.Comprehension):
            return self._over(inside, "sum")
        value = self.value(inside)
        if value.items:
            return _Value(f.add(*value.items), value.kind)
        return _Value(Formula("sum", (value.formula,)), value.kind)

    def _mean(self, inside: s.Expr) -> _Value | None:
        """The mean of a list; None for a vector, whose coordinates are averaged."""
        if isinstance(inside, s.Comprehension):
            whole = self._over(inside, "sum")
            counts = [_length(c) for c in whole.formula.args[1:]]
            return _Value(Formula("div", (whole.formula, f.mul(*counts))), whole.kind)
        value = self.lists.get(inside.name) if isinstance(inside, s.Name) else None
        value = self.value(inside) if isinstance(inside, s.ListOf) else value
        if value is None:
            return None
        if value.items:
            return _Value(Formula("div", (f.add(*value.items), f.number(len(value.items)))), value.kind)
        counts = [_length(c) for c in value.formula.args[1:]]
        whole_list = replace(value.formula, op="sum")
        return _Value(Formula("div", (whole_list, f.mul(*counts))), value.kind)

    def comprehension(self, node: s.Comprehension) -> _Value:
        return self._over(node, "each")

    def _over(self, node: s.Comprehension, op: str) -> _Value:
        clauses = []
        for clause in node.clauses:
            clauses.append(self.clause(clause))
            self._letters.append(clause.variable)
        item = self.value(node.item)
        del self._letters[len(self._letters) - len(clauses) :]
        return _Value(Formula(op, (item.formula, *clauses)), item.kind)

    def list_of(self, node: s.ListOf) -> _Value:
        items = [self.value(i) for i in node.items]
        made = tuple(i.formula for i in items)
        return _Value(Formula("list", made), _join(*(i.kind for i in items)) if items else "const", (), made)


def _length(clause: Formula) -> Formula:
    """How many values a clause's variable takes."""
    _, start, stop = clause.args
    return stop if start == f.ONE else simplified(f.add(Formula("sub", (stop, start)), f.ONE))


def _join(*kinds: str) -> str:
    """The kind of an expression over parts of these kinds."""
    for kind in ("output", "readout", "matrix", "vector", "scalar", "data"):
        if kind in kinds:
            return kind
    return "const"


def is_coordinatewise(node: object, defs: Mapping[str, s.Def]) -> bool:
    """Does an expression act coordinate by coordinate: no averages, no products?"""
    if isinstance(node, s.Call) and (node.function == "avg" or node.function not in CALLABLE):
        inner = defs.get(node.function)
        if inner is None or not is_coordinatewise(inner.body, defs):
            return False
    if isinstance(node, s.Chain) and any(sign == "@" for sign, _ in node.rest):
        return False
    if isinstance(node, Iterable) and not isinstance(node, str | bytes):
        return all(is_coordinatewise(x, defs) for x in node)
    fields = getattr(node, "__dataclass_fields__", {})
    return all(is_coordinatewise(getattr(node, name), defs) for name in fields)


_RULES: dict[str, Callable[[Transcriber, Any], _Value]] = {
    "Number": Transcriber.number,
    "Name": Transcriber.name,
    "Indexed": Transcriber.indexed,
    "Transposed": Transcriber.transposed,
    "Signed": Transcriber.signed,
    "Power": Transcriber.power,
    "Chain": Transcriber.chain,
    "Call": Transcriber.call,
    "Comprehension": Transcriber.comprehension,
    "ListOf": Transcriber.list_of,
}
