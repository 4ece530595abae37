"""The syntax of a program: what the parser builds. Every node knows the text it came from."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from typing import Any

from tpl.language.source import Span


@dataclass(frozen=True, slots=True)
class Number:
    value: Fraction
    span: Span


@dataclass(frozen=True, slots=True)
class String:
    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by operators of one precedence, from the left: `a + b - c`, `W @ x / 2`."""

    first: "Expr"
    rest: "tuple[tuple[str, Expr], ...]"
    span: Span


@dataclass(frozen=True, slots=True)
class Signed:
    sign: str
    operand: "Expr"
    span: Span


@dataclass(frozen=True, slots=True)
class Power:
    base: "Expr"
    exponent: "Expr"
    span: Span


@dataclass(frozen=True, slots=True)
class Slice:
    """`a..b` inside brackets, both ends included."""

    start: "Expr"
    stop: "Expr"
    span: Span


@dataclass(frozen=True, slots=True)
class Indexed:
    base: "Expr"
    indices: "tuple[Expr | Slice, ...]"
    span: Span


@dataclass(frozen=True, slots=True)
class Transposed:
    base: "Expr"
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: "tuple[Expr, ...]"
    keywords: "tuple[tuple[str, Expr], ...]"
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True)
class ListOf:
    items: "tuple[Expr, ...]"
    span: Span


@dataclass(frozen=True, slots=True)
class Clause:
    """`for variable in start..stop`."""

    variable: str
    start: "Expr"
    stop: "Expr"
    span: Span
    variable_span: Span


@dataclass(frozen=True, slots=True)
class Comprehension:
    item: "Expr"
    clauses: tuple[Clause, ...]
    span: Span


Expr = (
    Number | String | Name | Chain | Signed | Power | Indexed | Transposed | Call | ListOf | Comprehension
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    indices: tuple[Expr, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Const:
    name: str
    value: Expr
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True)
class Def:
    name: str
    parameters: tuple[str, ...]
    body: Expr
    span: Span
    name_span: Span
    parameter_spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Width:
    name: str
    value: Expr | None
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True)
class Data:
    name: str
    dims: tuple[Expr, ...]
    default: Expr | None
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    dims: tuple[Expr, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Network:
    """`span` is the heading's, without its colon."""

    name: str
    inputs: tuple[Input, ...]
    body: "tuple[Statement, ...]"
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True)
class Loop:
    """`span` is the heading's, without its colon."""

    clause: Clause
    body: "tuple[Statement, ...]"
    span: Span


@dataclass(frozen=True, slots=True)
class Draw:
    """`param` (trained, inside a network) or `random` (not): targets : [shape] ~ law, for a param `rate rate`."""

    keyword: str
    targets: tuple[Target, ...]
    shape: tuple[Expr, ...]
    law: Expr
    span: Span
    rate: Expr | None = None


@dataclass(frozen=True, slots=True)
class Assign:
    target: Target
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Return:
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Show:
    items: tuple[Expr, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Setting:
    """`name = value` in a train block."""

    name: str
    value: Expr
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True)
class Train:
    """`train network on inputs, targets:` and its settings. `span` is the heading's, without its colon."""

    network: str
    inputs: tuple[Name, ...]
    targets: Name
    settings: tuple[Setting, ...]
    span: Span
    network_span: Span


Statement = Const | Def | Width | Data | Network | Loop | Train | Draw | Assign | Return | Show


@dataclass(frozen=True)
class File:
    """A whole program: its docstring and statements. `overrides`: the statements given by --set."""

    title: str
    statements: tuple[Statement, ...]
    overrides: tuple[Statement, ...] = ()


def children(node: Any) -> Iterator[Any]:
    """The nodes right below a node or a tuple of nodes; spans are no nodes."""
    if isinstance(node, tuple):
        yield from node
    elif is_dataclass(node):
        yield from (getattr(node, f.name) for f in fields(node) if "span" not in f.name)


def draws_afresh(network: Network) -> bool:
    """Does a network draw something for each of its inputs, as `random` inside it does?"""
    return any(isinstance(x, Draw) and x.keyword == "random" for x in walk(network.body))


def walk(node: Any) -> Iterator[Any]:
    """A node and all nodes below it."""
    stack = [node]
    while stack:
        x = stack.pop()
        if is_dataclass(x):
            yield x
        stack.extend(children(x))
