"""The limit of a program as equations: recursions for general index, kernels generic in their inputs.

A network is derived for two generic inputs: it is elaborated again on two inputs in general position whose inner products
stay symbols, and with loops long enough that a recursion shows itself (`recursion`). Bare programs are derived as
they stand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from tpl.core.builder import gram_name
from tpl.core.expr import Expr
from tpl.core.program import Program, Show
from tpl.language import syntax as s
from tpl.limit.algebra import constant_symbol
from tpl.limit.law import Law
from tpl.limit.naming import Named, Names, Variable
from tpl.limit.recursion import Rule, Sum, find_rules, fold_sums

LONG_ENOUGH = 5  # iterations of a loop in a derivation
MANY = 4  # kernels at inner indices beyond which what is left is no mere boundary
FEW = 6  # entries of an axis that no loop runs over


@dataclass(frozen=True)
class Answer:
    """What a show becomes: its value for each index as a list of terms (some of them `Sum`)."""

    name: str
    entries: tuple[tuple[tuple[int, ...], tuple[Any, ...]], ...]
    kernel: bool


@dataclass(frozen=True)
class Derivation:
    """Equations of a program's limit.

    rules: in the order in which they are needed. answers: one a show. bounds: value -> the user's name of a loop's
    end. loop_variables: base name -> index names.
    """

    title: str
    program: Program
    law: Law
    names: Names
    rules: tuple[Rule, ...]
    answers: tuple[Answer, ...]
    bounds: Mapping[int, str]
    loop_variables: Mapping[str, tuple[str, ...]]
    generic: bool

    @property
    def specialised(self) -> bool:
        """Are there terms at inner indices that follow no pattern found? Then they hold at LONG_ENOUGH steps only."""
        single = [r.left for r in self.rules if not r.region and any(2 < i <= LONG_ENOUGH for i in r.left.indices)]
        written = [term for answer in self.answers for _, terms in answer.entries for term in terms]
        written += [
            t for r in self.rules if not r.region for t in (r.right if isinstance(r.right, tuple) else (r.right,))
        ]
        plain = [t for t in written if not isinstance(t, Sum)]
        inside = {self.names.named[s] for t in plain for s in t.free_symbols if s in self.names.named}
        loose = {(n.base, n.indices) for n in inside if any(2 < i <= LONG_ENOUGH for i in n.indices)}
        return self.generic and (len(single) > MANY or len(loose) > MANY)

    @property
    def integrands(self) -> Sequence[Expr]:
        return self.names.integrands


# ---------------------------------------------------------------------------------------------- generic inputs


@dataclass(frozen=True)
class Plan:
    """How to elaborate a program for its derivation: constants to set, data to put in, and their numbered vectors."""

    settings: tuple[str, ...]
    data: dict[str, np.ndarray]
    rows: dict[tuple[float, ...], int]
    labels: dict[int, Variable]
    bounds: dict[int, str]


def plan_generic(file: s.File, shapes: Mapping[str, tuple[int, ...]]) -> Plan | None:
    """Generic inputs for the networks of a program; None if it shows no network's kernel."""
    applied = _applied_data(file)
    if not applied:
        return None
    ends = _loop_ends(file)
    constants = [x for x in file.statements if isinstance(x, s.Const) and x.name in ends]
    settings = tuple(f"{c.name}={LONG_ENOUGH}" for c in constants)
    sizes = {c.name: LONG_ENOUGH for c in constants}
    data: dict[str, np.ndarray] = {}
    rows: dict[tuple[float, ...], int] = {}
    labels: dict[int, Variable] = {}
    rng = np.random.default_rng(20_241_107)
    for statement in file.statements:
        if isinstance(statement, s.Data) and statement.name in shapes:
            shape = _generic_shape(statement, shapes[statement.name], applied.get(statement.name), ends, sizes)
            array = rng.standard_normal(shape)
            data[statement.name] = array
            counted = applied.get(statement.name) == len(shape) - 1
            for index in product(*(range(n) for n in shape[:-1])):
                row = tuple(array[index].tolist())
                rows[row] = len(rows)
                place = tuple(i + 1 for i in index)
                labels[rows[row]] = Variable("ξ", place[1:], place[0]) if counted else Variable("ξ", place, 0)
    return Plan(settings, data, rows, labels, {LONG_ENOUGH: ", ".join(sorted(ends & sizes.keys())) or "T"})


def _applied_data(file: s.File) -> dict[str, int]:
    """Data that networks are shown on -> the number of axes of one input."""
    networks = {x.name: x for x in file.statements if isinstance(x, s.Network)}
    found = {}
    for show in (x for x in file.statements if isinstance(x, s.Show)):
        for item in show.items:
            if isinstance(item, s.Call) and item.function in ("nngp", "ntk"):
                network = networks[item.arguments[0].name]  # type: ignore[union-attr]
                for declared, argument in zip(network.inputs, item.arguments[1:], strict=True):
                    if isinstance(argument, s.Name):
                        found[argument.name] = len(declared.dims)
    return found


def _loop_ends(file: s.File) -> set[str]:
    """Names that end a loop which starts at a small number."""
    found = set()
    for clause in _clauses(file.statements):
        if isinstance(clause.stop, s.Name) and isinstance(clause.start, s.Number) and 0 <= clause.start.value <= 2:
            found.add(clause.stop.name)
    return found


def _clauses(node: Any) -> Any:
    if isinstance(node, s.Clause):
        yield node
    elif isinstance(node, tuple):
        for item in node:
            yield from _clauses(item)
    elif hasattr(node, "__dataclass_fields__"):
        for name in node.__dataclass_fields__:
            yield from _clauses(getattr(node, name))


def _generic_shape(
    data: s.Data, shape: tuple[int, ...], axes: int | None, ends: set[str], sizes: dict[str, int]
) -> tuple[int, ...]:
    result = []
    for position, (dim, size) in enumerate(zip(data.dims, shape, strict=True)):
        name = dim.name if isinstance(dim, s.Name) else None
        if axes == len(shape) - 1 and position == 0:
            size = 2
        elif name in sizes:
            size = sizes[name]
        elif name in ends:
            size = sizes[name] = LONG_ENOUGH
        elif name is not None and position == len(shape) - 1:
            size = FEW
        result.append(size)
    return tuple(result)


# ---------------------------------------------------------------------------------------------- equations


def derive(program: Program, file: s.File, plan: Plan | None) -> Derivation:
    """Equations for everything that a program shows. The program must have been elaborated by the plan."""
    rows = plan.rows if plan is not None else {}
    law = Law(program, dot=lambda a, b: _symbolic_dot(rows, a, b))
    names = Names(law, plan.labels if plan is not None else {})
    if plan is not None:
        law.name_second_moments()
    written = [_entries(law, names, shown) for shown in program.shows]
    equations: dict[Named, Any] = {}
    while pending := [n for n in names.definitions if n not in equations]:
        for named in pending:
            equations[named] = names.define(names.definitions[named])
    ordered = dict(sorted(equations.items(), key=lambda x: names.definitions[x[0]]))
    if plan is not None:
        ordered = {n: v for n, v in ordered.items() if _is_generic(n)}
    answers = tuple(
        _answer(names, shown, entries, ordered) for shown, entries in zip(program.shows, written, strict=True)
    )
    return Derivation(
        program.title.splitlines()[0] if program.title else program.source.name,
        program, law, names, _fold_long(names, find_rules(names, ordered), ordered), answers,
        plan.bounds if plan is not None else {}, _loop_variables(file), plan is not None,
    )  # fmt: skip


def _fold_long(names: Names, rules: list[Rule], equations: dict[Named, Any]) -> tuple[Rule, ...]:
    """Long sums that stand alone (a bias that meets every step of a network) are folded as answers are."""
    return tuple(
        replace(r, right=tuple(fold_sums(names, r.right, equations)))
        if not r.region and r.right.is_Add and len(r.right.args) > 6
        else r
        for r in rules
    )


def _symbolic_dot(rows: Mapping[tuple[float, ...], int], a: tuple[float, ...], b: tuple[float, ...]) -> Any:
    if a in rows and b in rows:
        return constant_symbol(gram_name(rows[a], rows[b]))
    return None


def _is_generic(named: Named) -> bool:
    """Equations at (ξ, ξ') say it all: at (ξ, ξ) they hold with ξ' = ξ."""
    if named.right is None:
        return named.left.input <= 1
    return (named.left.input, named.right.input) in ((1, 2), (0, 0))


def _entries(law: Law, names: Names, shown: Show) -> list[tuple[tuple[int, ...], Any]]:
    """The values of a show, written out, by index; a kernel's value at two different inputs only."""
    if _is_kernel(shown):
        half = len(shown.shape) // 2
        index = (0,) * half + (1,) * half
        line = shown.lines[int(np.ravel_multi_index(index, shown.shape))]
        return [((), names.write_answer(law.scalars[line]))]
    indices = product(*(range(n) for n in shown.shape))
    return [
        (tuple(i + 1 for i in index), names.write_answer(law.scalars[line]))
        for index, line in zip(indices, shown.lines, strict=True)
    ]


def _is_kernel(shown: Show) -> bool:
    return shown.name.replace(" ", "").startswith(("nngp(", "ntk(")) and shown.shape[0] > 1


def _answer(
    names: Names, shown: Show, entries: list[tuple[tuple[int, ...], Any]], equations: dict[Named, Any]
) -> Answer:
    if _is_kernel(shown):
        folded = [(i, tuple(fold_sums(names, value, equations))) for i, value in entries]
    else:
        folded = [(i, (value,)) for i, value in entries]
    return Answer(shown.name, tuple(folded), _is_kernel(shown))


def _loop_variables(file: s.File) -> dict[str, tuple[str, ...]]:
    """The names that the user gives the indices of a family."""
    found: dict[str, tuple[str, ...]] = {}

    def walk(statements: tuple, bound: tuple[str, ...]) -> None:
        for node in statements:
            if isinstance(node, s.Loop):
                walk(node.body, (*bound, node.clause.variable))
            elif isinstance(node, s.Network):
                walk(node.body, bound)
            elif isinstance(node, s.Assign) and node.target.indices:
                indices = node.target.indices
                if all(isinstance(i, s.Name) and i.name in bound for i in indices):
                    found[node.target.name] = tuple(i.name for i in indices)  # type: ignore[union-attr]

    walk(file.statements, ())
    return found


__all__ = ["Answer", "Derivation", "Plan", "Rule", "Sum", "derive", "plan_generic"]
