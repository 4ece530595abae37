"""The limit of a program as equations: recursions for general index, kernels generic in their inputs.

A network is derived for two generic inputs: it is elaborated again on two inputs in general position whose inner products
stay symbols, and with loops long enough that a recursion shows itself (`recursion`). Bare programs are derived as
they stand.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, product
from typing import Any

import numpy as np
import sympy

from tpl.core.builder import gram_name
from tpl.core.expr import Expr
from tpl.core.program import Program, Show
from tpl.language import syntax as s
from tpl.language.spell_out import Introduced
from tpl.limit.algebra import constant_symbol
from tpl.limit.calculus import TooLong
from tpl.limit.exact import exact_value
from tpl.limit.frame import Axes, Frame, exchangeable, find_axes
from tpl.limit.gathering import gathered
from tpl.limit.generic import LONG_ENOUGH, OUTPUTS, Plan, plan_generic
from tpl.limit.law import Law
from tpl.limit.naming import Named, Names
from tpl.limit.recursion import Recursion, Rule
from tpl.limit.sums import Folder
from tpl.limit.verdicts import keep_lines

_KERNEL = re.compile(r"(nngp|ntk)\([^()]*\)")
MANY = 4  # kernels at inner indices beyond which what is left is no mere boundary
MOST_EXPECTATIONS = 10_000  # distinct ones in a law that is written as kernels
WIDEST = 4  # variables of an expectation in a recursion between kernels of networks: two of each input
MOST_UNROLLED = 2_000  # symbols of one equation before its sums are folded
MOST_WRITTEN = 200  # and after
LONG_SUM = 6  # terms from which on a sum that a kernel is defined by is written out where it is used


@dataclass(frozen=True)
class Answer:
    """What a show becomes: its value for each index, and that at the values of the constants."""

    name: str
    entries: tuple[tuple[tuple[int | str, ...], Any], ...]
    kernel: bool
    exact: tuple[Any, ...] = ()  # the entries' values at the constants' values, None where there is no exact number


@dataclass(frozen=True)
class Derivation:
    """Equations of a program's limit.

    rules: in the order in which they are needed. answers: one a show. introduced: names for what the program leaves
    nameless. Sums in formulas are the functions S0, S1, … that `folder` knows.
    """

    title: str
    program: Program
    law: Law
    names: Names
    folder: Folder
    rules: tuple[Rule, ...]
    answers: tuple[Answer, ...]
    introduced: tuple[Introduced, ...]
    generic: bool

    @property
    def axes(self) -> Axes:
        return self.folder.axes

    @cached_property
    def specialised(self) -> bool:
        """Are there terms at inner indices that follow no pattern found? Then they hold at LONG_ENOUGH steps only."""
        single = [r for r in self.rules if not r.region and _is_inner(r.left)]
        values = [v for a in self.answers for _, v in a.entries] + [r.right for r in self.rules if not r.region]
        inside = {self.names.named[x] for v in values for x in v.free_symbols if x in self.names.named}
        loose = {(n.base, n.indices) for n in inside if _is_inner(n)}
        return self.generic and (len(single) > MANY or len(loose) > MANY)

    @property
    def integrands(self) -> Sequence[Expr]:
        return self.names.integrands


def _is_inner(named: Named) -> bool:
    return any(isinstance(i, int) and 2 < i < LONG_ENOUGH for i in named.indices)


# ---------------------------------------------------------------------------------------------- equations


def derive(program: Program, file: s.File, plan: Plan | None, introduced: tuple[Introduced, ...] = ()) -> Derivation:
    """Equations for everything that a program shows. The program must have been elaborated by the plan.

    Raises TooLong where they would fill pages.
    """
    rows = plan.rows if plan is not None else {}
    widest = WIDEST if plan is not None else None
    ends = _output_ends(file)
    along = plan is None or plan.along or not _has_outputs(program, file, ends)
    asked = [_asked(shown, ends, along) for shown in program.shows]
    outside = [] if along else [line for x in program.shows if x.name.startswith("nngp") for line in x.lines]
    needed, place = program, {i: i for i in range(len(program.lines))}
    if not along:
        needed, place = _needed(program, [*outside, *(line for entries in asked for _, line in entries)])
    law = Law(needed, dot=lambda a, b: _symbolic_dot(rows, a, b), most=MOST_EXPECTATIONS, widest=widest)
    names = Names(law, plan.labels if plan is not None else {}, not along)
    if plan is not None:
        law.name_second_moments()
    written = [[(i, names.write_answer(law.scalars[place[line]])) for i, line in entries] for entries in asked]
    others = [names.write_answer(law.scalars[place[line]]) for line in outside]
    equations = _equations(names)
    if plan is not None:
        equations = {n: v for n, v in equations.items() if _is_generic(n, equations)}
    values = {name: int(v) for name, v in program.constant_values().items() if float(v).is_integer()}
    outputs = () if along else ends
    folder = Folder(names, replace(find_axes(file, LONG_ENOUGH, values), outputs=outputs))
    exact = [_exact(law, x, entries, place) for x, entries in zip(program.shows, asked, strict=True)]
    writer = _Answers(names, folder, equations)
    answers = tuple(
        Answer(x.name, tuple((i, writer.value(v, _is_kernel(x))) for i, v in entries), _is_kernel(x), numbers)
        for x, entries, numbers in zip(program.shows, written, exact, strict=True)
    )
    for value in others:  # the same at other outputs, so that rules show themselves
        writer.reach(value)
    rules = Recursion(folder).rules({n: v for n, v in equations.items() if n in writer.reached})
    shown = [value for answer in answers for _, value in answer.entries]
    if any(_is_longer(value, MOST_WRITTEN) for value in (*(r.right for r in rules), *shown)):
        raise TooLong
    rules = [replace(r, right=gathered(r.right, names)) for r in rules]
    answers = tuple(replace(a, entries=tuple((i, gathered(v, names)) for i, v in a.entries)) for a in answers)
    folder.gather()
    title = program.title.splitlines()[0] if program.title else program.source.name
    return Derivation(title, program, law, names, folder, tuple(rules), answers, introduced, plan is not None)


def _equations(names: Names) -> dict[Named, Any]:
    """The definitions of all names that are used, in the order in which they can be computed. Raises TooLong."""
    found: dict[Named, Any] = {}
    while pending := [n for n in names.definitions if n not in found]:
        for named in pending:
            found[named] = names.define(names.definitions[named])
            if _is_longer(found[named], MOST_UNROLLED):
                raise TooLong
    return dict(sorted(found.items(), key=lambda x: names.definitions[x[0]]))


def _is_longer(value: Any, most: int) -> bool:
    return sum(1 for _ in islice(sympy.preorder_traversal(value), most)) == most


class _Answers:
    """The kernels that are shown, as sums over the kernels of layers and times.

    reached: the kernels that they need, those at one input counted as those at two.
    """

    def __init__(self, names: Names, folder: Folder, equations: dict[Named, Any]):
        self.names = names
        self.folder = folder
        self.equations = equations
        self.defined: dict[Any, list[Named]] = {}  # right sides -> the kernels that they define
        for left, right in equations.items():
            self.defined.setdefault(sympy.expand(right), []).append(left)
        self.inlined = {
            names.symbol(n): v for n, v in equations.items() if not n.indices and v.is_Add and len(v.args) >= LONG_SUM
        }
        self.reached: set[Named] = set()

    def value(self, value: Any, kernel: bool) -> Any:
        """What is shown; a network's kernel with its sums folded."""
        if not kernel:
            self.reach(value)
            return value
        value = sympy.expand(value.xreplace(self.inlined), power_base=False, power_exp=False, log=False)
        if value.is_Add:
            value = self._collected(sympy.Add.make_args(value))
        self.reach(value)
        return self.folder.fold(value, Frame(self.folder.axes))

    def _collected(self, terms: Sequence[Any]) -> Any:
        """The terms with one gradient kernel together: what stands beside it may be a kernel's definition."""
        plain: list[Any] = []
        beside: dict[Any, list[Any]] = {}
        for term in terms:
            anchor = self._anchor(term)
            if anchor is None:
                plain.append(term)
            else:
                beside.setdefault(anchor, []).append(term)
        return sympy.Add(*plain, *(self._tidy(a, sympy.Add(*members)) for a, members in beside.items()))

    def _anchor(self, term: Any) -> Any:
        """The kernel between different inputs that a term is counted by: a gradient's if there is one."""
        inside = [self.names.named[x] for x in term.free_symbols if x in self.names.named]
        mixed = [n for n in inside if n.kind == "K" and n.right is not None and n.left.input != n.right.input]
        found = min(mixed, key=lambda n: (not n.base.startswith("d"), n), default=None)
        return self.names.symbol(found) if found is not None else None

    def _tidy(self, anchor: Any, terms: Any) -> Any:
        """terms = anchor · rest, with rest replaced by a kernel if it is one's definition."""
        rest = sympy.expand(terms / anchor)
        if anchor in rest.free_symbols:
            return terms
        defined = self.defined.get(rest)
        if defined is None:
            return anchor * (sympy.factor_terms(rest) if rest.is_Add else rest)
        own = self.names.named[anchor].base.removeprefix(
            "d"
        )  # of kernels that are equal the one whose gradient's it is
        return anchor * self.names.symbol(next((n for n in defined if n.base == own), defined[-1]))

    def reach(self, value: Any) -> None:
        """Note the kernels that a value needs."""
        stack = [self.names.named[x] for x in value.free_symbols if x in self.names.named]
        while stack:
            named = next((n for n in _alike(stack.pop()) if n in self.equations), None)
            if named is not None and named not in self.reached:
                self.reached.add(named)
                symbols = self.equations[named].free_symbols
                stack += [self.names.named[x] for x in symbols if x in self.names.named]


def _alike(named: Named) -> tuple[Named, ...]:
    """The kernels whose equation says what this one is: itself at two inputs, at the first, as it is."""
    if named.right is None:
        return (replace(named, left=replace(named.left, input=min(named.left.input, 1))), named)
    sides = (replace(named.left, input=1), replace(named.right, input=2))
    mixed = (
        Named(named.kind, *sides),
        Named(
            named.kind,
            replace(sides[0], index=named.right.index, base=named.right.base),
            replace(sides[1], index=named.left.index, base=named.left.base),
        ),
    )
    return (*mixed, Named(named.kind, sides[0], replace(sides[1], input=1)), named)


def _symbolic_dot(rows: Mapping[tuple[float, ...], int], a: tuple[float, ...], b: tuple[float, ...]) -> Any:
    if a in rows and b in rows:
        return constant_symbol(gram_name(rows[a], rows[b]))
    return None


def _is_generic(named: Named, equations: Mapping[Named, Any]) -> bool:
    """Equations at (ξ, ξ') say it all: at (ξ, ξ) they hold with ξ' = ξ."""
    if named.right is None:
        return named.left.input <= 1
    inputs = (named.left.input, named.right.input)
    return inputs in ((1, 2), (0, 0)) or (inputs == (1, 1) and not any(n in equations for n in _alike(named)[:2]))


def _output_ends(file: s.File) -> tuple[str, ...]:
    """What the axes of a network's outputs end with, by name; "" where that has none."""
    returned = next((x.value for x in s.walk(file.statements) if isinstance(x, s.Return)), None)
    clauses = returned.clauses if isinstance(returned, s.Comprehension) else ()
    return tuple(c.stop.name if isinstance(c.stop, s.Name) else "" for c in clauses)


def _has_outputs(program: Program, file: s.File, ends: tuple[str, ...]) -> bool:
    """Are there outputs of one input of which two stand for any two?"""
    kernels = [x for x in program.shows if _is_kernel(x)]
    enough = all(len(x.shape) == 2 and x.shape[0] >= OUTPUTS[1] for x in kernels)
    return bool(kernels) and enough and len(ends) == 1 and exchangeable(file, ends[0])


def _asked(shown: Show, ends: tuple[str, ...], along: bool) -> list[tuple[tuple[int | str, ...], int]]:
    """The lines of a show that are derived, by index: of a whole kernel one entry.

    Its value at two different inputs and the last outputs; where all data are one input, at two outputs in general position.
    """
    if _is_kernel(shown):
        half = len(shown.shape) // 2
        if not along:
            return [((), shown.lines[int(np.ravel_multi_index([o - 1 for o in OUTPUTS], shown.shape))])]
        last = tuple(n - 1 for n in shown.shape[1:half])
        line = shown.lines[int(np.ravel_multi_index((0, *last, 1, *last), shown.shape))]
        padded = (*("",) * len(last), *ends)[len(ends) :]
        outputs: tuple[int | str, ...] = tuple(
            end if end and n == LONG_ENOUGH else n for n, end in zip(shown.shape[1:half], padded, strict=True)
        )
        return [(outputs * 2, line)]
    indices = product(*(range(n) for n in shown.shape))
    return [(tuple(i + 1 for i in index), line) for index, line in zip(indices, shown.lines, strict=True)]


def _needed(program: Program, asked: Sequence[int]) -> tuple[Program, dict[int, int]]:
    """The program as far as some lines need it, and where these have gone."""
    needed = set(asked)
    for index in range(len(program.lines) - 1, -1, -1):
        if index in needed:
            line = program.lines[index]
            needed |= {*line.args, *(b for b, _ in line.biases)}
    kept = sorted(needed)
    return keep_lines(program, kept), {old: new for new, old in enumerate(kept)}


def _exact(law: Law, shown: Show, asked: Sequence[tuple[Any, int]], place: Mapping[int, int]) -> tuple[Any, ...]:
    if _KERNEL.search(shown.name) is not None:  # the inner products of generic inputs are no numbers
        return ()
    return tuple(exact_value(law, place[line]) for _, line in asked)


def _is_kernel(shown: Show) -> bool:
    """A whole kernel: of one, entries may be asked for as well."""
    return _KERNEL.fullmatch(shown.name) is not None and shown.shape[0] > 1


__all__ = ["Answer", "Derivation", "Plan", "TooLong", "derive", "plan_generic"]
