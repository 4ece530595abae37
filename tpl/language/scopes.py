"""What the names of a program stand for, and where they are defined."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from tpl.language import syntax as s
from tpl.language.source import Span


@dataclass(frozen=True)
class Known:
    """What a name stands for. `count`: a def's parameters, a network's inputs, the indices of a family or of data."""

    what: str
    line: int | None
    count: int | None = None


WORDS = {
    "const": "a const", "size": "a size", "width": "a width", "data": "data", "input": "an input", "value": "a value",
    "family": "a family", "loop": "the variable of a loop", "network": "a network", "def": "a function",
    "parameter": "a parameter", "lost": "unread",
}  # fmt: skip
Scope = dict[str, Known]


def elsewhere(file: s.File) -> dict[str, list[tuple[int, str | None]]]:
    """Where every name is defined: line, and the network it belongs to (None: none; "": a loop's variable)."""
    found: dict[str, list[tuple[int, str | None]]] = {}

    def add(name: str, line: int, place: str | None) -> None:
        found.setdefault(name, []).append((line, place))

    def visit(block: Sequence[s.Statement], network: str | None) -> None:
        for node in block:
            if isinstance(node, (s.Const, s.Def, s.Width, s.Data, s.Network)):
                add(node.name, node.span.line, network)
            if isinstance(node, s.Data):
                for dim in node.dims:
                    if isinstance(dim, s.Name):
                        add(dim.name, node.span.line, network)
            elif isinstance(node, (s.Assign, s.Draw)):
                for target in (node.target,) if isinstance(node, s.Assign) else node.targets:
                    add(target.name, target.span.line, network)
            elif isinstance(node, s.Loop):
                add(node.clause.variable, node.span.line, "")
                visit(node.body, network)
            elif isinstance(node, s.Network):
                for input_ in node.inputs:
                    add(input_.name, input_.span.line, node.name)
                visit(node.body, node.name)

    visit(file.statements, None)
    return found


def called(node: Any) -> Iterator[str]:
    """The functions that an expression calls."""
    if isinstance(node, s.Call):
        yield node.function
    for field in fields(node):
        part = getattr(node, field.name)
        for child in part if isinstance(part, tuple) else (part,):
            if isinstance(child, tuple) and not isinstance(child, Span):  # an operator or a keyword with its operand
                child = child[1]
            if is_dataclass(child):
                yield from called(child)
