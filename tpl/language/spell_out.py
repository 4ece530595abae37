"""Names for what a network leaves nameless, so that a derivation can speak of it.

`x[t] = tanh(W @ x[t-1] + U @ xi[t])` becomes `h[t] = W @ x[t-1] + U @ xi[t]` and `x[t] = tanh(h[t])`; a softmax weight
inside a sum becomes a family of its own. The network computes the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from tpl.language import syntax as s
from tpl.language.source import Source

Name = Callable[[str], str]


@dataclass(frozen=True)
class Introduced:
    """A new name: `name[indices] = text`, which `role` says the place of."""

    name: str
    indices: tuple[str, ...]
    text: str
    role: str


def spell_out(file: s.File, source: Source, functions: frozenset[str]) -> tuple[s.File, tuple[Introduced, ...]]:
    """The file with arguments of elementwise `functions` (and of its own defs) named where they hold a product."""
    own = functions | {x.name for x in file.statements if isinstance(x, s.Def)}
    taken = _names(file)
    statements: list[s.Statement] = []
    introduced: dict[str, Introduced] = {}
    for statement in file.statements:
        if isinstance(statement, s.Network):
            work = _Network(source, own, taken, _bases(statement.body, own))
            statement = replace(statement, body=work.body(statement.body))
            introduced |= {x.name: x for x in work.introduced}
        statements.append(statement)
    return replace(file, statements=tuple(statements)), tuple(introduced.values())


class _Network:
    """The statements of one network, spelled out."""

    def __init__(self, source: Source, functions: frozenset[str], taken: set[str], bases: dict[str, set[str]]):
        self.source = source
        self.functions = functions
        self.taken = taken
        self.bases = bases
        self.introduced: list[Introduced] = []
        self._new: dict[tuple[str, str], str] = {}

    def body(self, statements: tuple[s.Statement, ...]) -> tuple[s.Statement, ...]:
        result: list[s.Statement] = []
        for statement in statements:
            if isinstance(statement, s.Loop):
                result.append(replace(statement, body=self.body(statement.body)))
            elif isinstance(statement, s.Assign):
                found = _missing(statement.value, self.functions)
                result += self._replaced(statement, statement.target.name, statement.target.indices, found)
            else:
                result.append(statement)
        return tuple(result)

    def _replaced(self, statement: s.Assign, base: str, indices: tuple, found: "Iterator[_Place]") -> list[s.Statement]:
        before: list[s.Statement] = []
        value: Any = statement.value
        seen: set[str] = set()
        for place in found:
            if place.kind in seen:  # one of a kind an assignment: a second one stays as it is
                continue
            seen.add(place.kind)
            name = self._name(base, place.kind)
            variables = tuple(s.Name(c.variable, c.variable_span) for c in place.clauses)
            target = s.Target(name, (*indices, *variables), place.node.span)
            new: s.Statement = s.Assign(target, place.node, place.node.span)
            for clause in reversed(place.clauses):
                new = s.Loop(clause, (new,), clause.span)
            before.append(new)
            reference: s.Expr = s.Name(name, place.node.span)
            if target.indices:
                reference = s.Indexed(reference, target.indices, place.node.span)
            value = _exchange(value, place.node, reference)
            self._record(name, target, place)
        return [*before, replace(statement, value=value)]

    def _record(self, name: str, target: s.Target, place: "_Place") -> None:
        words = tuple(self.source.slice(i.span) for i in target.indices)
        self.introduced.append(Introduced(name, words, self.source.slice(place.node.span), place.kind))

    def _name(self, base: str, kind: str) -> str:
        """One name for all of a family: h, if only one family needs one, h_f, h_g, … otherwise."""
        if (base, kind) not in self._new:
            letter = "h" if kind == "argument" else "A"
            alone = len(self.bases[kind]) == 1
            wanted = letter if alone and letter not in self.taken else f"{letter}_{base}"
            while wanted in self.taken:
                wanted += "_"
            self.taken.add(wanted)
            self._new[base, kind] = wanted
        return self._new[base, kind]


@dataclass(frozen=True)
class _Place:
    """A node to be named, and the comprehensions that it stands in."""

    node: Any
    kind: str
    clauses: tuple[s.Clause, ...]


def _missing(value: Any, functions: frozenset[str]) -> "Iterator[_Place]":
    """The places in an assigned value; the value as a whole has the target's name."""
    return (place for place in _places(value, functions, ()) if place.node is not value)


def _places(node: Any, functions: frozenset[str], clauses: tuple[s.Clause, ...]) -> Iterator[_Place]:
    """Where a name is missing: arguments with products in them, weights of a softmax."""
    if isinstance(node, s.Comprehension):
        yield from _places(node.item, functions, (*clauses, *node.clauses))
    elif isinstance(node, s.Indexed) and isinstance(node.base, s.Call) and node.base.function == "softmax":
        yield _Place(node, "weight", clauses)
    elif isinstance(node, s.Call) and node.function in functions and len(node.arguments) == 1:
        if _has_product(node.arguments[0]) and not isinstance(node.arguments[0], s.Name | s.Indexed):
            yield _Place(node.arguments[0], "argument", clauses)
    else:
        for child in s.children(node):
            yield from _places(child, functions, clauses)


def _has_product(node: Any) -> bool:
    """Does an expression hold a product `W @ x` that no function is applied to?"""
    if isinstance(node, s.Chain) and any(op == "@" for op, _ in node.rest):
        return True
    if isinstance(node, s.Call) and node.function not in ("sum",):
        return False
    return any(map(_has_product, s.children(node)))


def _bases(body: tuple[s.Statement, ...], functions: frozenset[str]) -> dict[str, set[str]]:
    """For each kind of place the families in whose assignments a name is missing."""
    found: dict[str, set[str]] = {"argument": set(), "weight": set()}
    for node in s.walk(body):
        if isinstance(node, s.Assign):
            for place in _missing(node.value, functions):
                found[place.kind].add(node.target.name)
    return found


def _exchange(node: Any, old: Any, new: Any) -> Any:
    """The tree with one node, known by identity, exchanged."""
    if node is old:
        return new
    if isinstance(node, tuple):
        return tuple(_exchange(x, old, new) for x in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    changed = {f.name: _exchange(getattr(node, f.name), old, new) for f in fields(node) if "span" not in f.name}
    return replace(node, **changed)


def _names(file: s.File) -> set[str]:
    """Every name in a file."""
    found: set[str] = set()
    for node in s.walk(file):
        names = (getattr(node, attribute, None) for attribute in ("name", "variable", "function"))
        found |= {x for x in names if isinstance(x, str)}
    return found


__all__ = ["Introduced", "spell_out"]
