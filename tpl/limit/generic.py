"""Inputs in general position: how a program is elaborated for its derivation.

Loops run for LONG_ENOUGH iterations, so that a recursion shows itself; inner products of inputs stay symbols, as do entries
of data that networks do not take as inputs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from tpl.language import syntax as s
from tpl.limit.naming import OUTPUTS, Variable

LONG_ENOUGH = 5  # iterations of a loop in a derivation
MOST_PLACES = 9  # vectors of an input whose pairs are written out one by one
FEW = 6  # entries of an axis that no loop runs over


@dataclass(frozen=True)
class Plan:
    """How to elaborate a program for its derivation: constants to set, data to put in, and their numbered vectors.

    entries: data that networks do not take as inputs; their entries stay symbols.
    """

    settings: tuple[str, ...]
    data: dict[str, np.ndarray]
    rows: dict[tuple[float, ...], int]
    labels: dict[int, Variable]
    entries: frozenset[str] = frozenset()

    @property
    def places(self) -> int:
        """How many vectors make one input, at the most."""
        return max(Counter(x.input for x in self.labels.values() if x.base == "ξ").values(), default=0)

    @property
    def along(self) -> bool:
        """Does a network take one input at a time, and not all of its data?"""
        return any(x.input for x in self.labels.values())


def plan_generic(file: s.File, shapes: Mapping[str, tuple[int, ...]]) -> Plan | None:
    """Generic inputs for the networks of a program; None if it shows no network's kernel."""
    applied = _applied_data(file)
    if not applied:
        return None
    ends = loop_ends(file)
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
            data[statement.name] = array = rng.standard_normal(shape)
            if statement.name not in applied:
                data[statement.name] = array = np.abs(array)  # what a root may be taken of
            counted = applied.get(statement.name) == len(shape) - 1
            for index in product(*(range(n) for n in shape[:-1])):
                row = tuple(array[index].tolist())
                rows[row] = len(rows)
                place = tuple(i + 1 for i in index)
                base = "ξ" if statement.name in applied else statement.name
                labels[rows[row]] = Variable(base, place[1:], place[0]) if counted else Variable(base, place, 0)
    return Plan(settings, data, rows, labels, frozenset(data.keys() - applied.keys()))


def _applied_data(file: s.File) -> dict[str, int]:
    """Data that networks are shown on -> the number of axes of one input."""
    networks = {x.name: x for x in file.statements if isinstance(x, s.Network)}
    found = {}
    shows = tuple(x for x in file.statements if isinstance(x, s.Show))
    for call in (x for x in s.walk(shows) if isinstance(x, s.Call) and x.function in ("nngp", "ntk")):
        network = networks[call.arguments[0].name]  # type: ignore[union-attr]
        for declared, argument in zip(network.inputs, call.arguments[1:], strict=True):
            if isinstance(argument, s.Name):
                found[argument.name] = len(declared.dims)
    return found


def loop_ends(file: s.File) -> set[str]:
    """Names that end a loop which starts at a small number, and may be set; no const where no two iterations are alike."""
    found = set()
    for clause in (x for x in s.walk(file.statements) if isinstance(x, s.Clause)):
        if isinstance(clause.stop, s.Name) and isinstance(clause.start, s.Number) and 0 <= clause.start.value <= 2:
            found.add(clause.stop.name)
    return (
        found if index_as_number(file) is None else found - {x.name for x in file.statements if isinstance(x, s.Const)}
    )


def why_not_general(file: s.File) -> str | None:
    """What keeps the kernels of a file's networks from one recursion for any two inputs and any loop; None if nothing.

    Noise that is drawn for each input makes a kernel at (ξ, ξ) another one than at two equal inputs; an index that is
    used as a number makes every iteration another one.
    """
    noisy = next((x for x in file.statements if isinstance(x, s.Network) and s.draws_afresh(x)), None)
    if noisy is not None:
        return f"`random` inside `{noisy.name}` draws for each input, so that two equal inputs are not one"
    found = index_as_number(file)
    if found is not None:
        return f"`{found.name}` on line {found.span.line} is a number there, so that no two iterations are alike"
    return None


def index_as_number(file: s.File) -> s.Name | None:
    """Where a network uses a loop's variable as a number, or to look one up in a list of constants; None if nowhere."""
    constants = frozenset(x.name for x in file.statements if isinstance(x, s.Const))
    for network in (x for x in file.statements if isinstance(x, s.Network)):
        letters = frozenset(x.clause.variable for x in s.walk(network.body) if isinstance(x, s.Loop))
        found = next(_as_numbers(network.body, letters, constants), None)
        if found is not None:
            return found
    return None


def _as_numbers(node: Any, letters: frozenset[str], constants: frozenset[str], index: bool = False) -> Iterator[s.Name]:
    """Variables of loops where they are no indices, or differ as indices by more than a shift."""
    if isinstance(node, s.Name):
        if node.name in letters and not index:
            yield node
        return
    if isinstance(node, s.Indexed):
        listed = isinstance(node.base, s.Name) and node.base.name in constants
        yield from _as_numbers(node.base, letters, constants, index)
        yield from _as_numbers(node.indices, letters, constants, not listed)
        return
    if isinstance(node, s.Chain) and any(op == "mod" and isinstance(x, s.Number) for op, x in node.rest):
        index = False
    if isinstance(node, s.Call) and node.function == "avg":
        clauses = [c for x in s.walk(node.arguments) if isinstance(x, s.Comprehension) for c in x.clauses]
        yield from _as_numbers(tuple((c.start, c.stop) for c in clauses), letters, constants)
    if isinstance(node, s.Comprehension):
        letters |= {c.variable for c in node.clauses}
    index = index or isinstance(node, s.Target | s.Clause)
    for x in s.children(node):
        yield from _as_numbers(x, letters, constants, index)


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


__all__ = [
    "LONG_ENOUGH",
    "MOST_PLACES",
    "OUTPUTS",
    "Plan",
    "index_as_number",
    "loop_ends",
    "plan_generic",
    "why_not_general",
]
