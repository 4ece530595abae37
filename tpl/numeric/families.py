"""The law of a program in sweeps: which second moments are taken together, over which Gaussian variables.

The products of one matrix, in one orientation, are a family of Gaussian variables, whose covariances are second moments
of the vectors that it was applied to (TP3 §2). Families are independent of each other. All second moments of one family
are taken at the same points, so that they are the Gram matrix of functions: a few functions for many moments, since
variables in the first power, as gradients are, are integrated out (`affine`). This is for programs whose law is too
long to be written out (batch norm: B^4 moments of products of long functions of B variables).

Nothing is computed here: `plan_sweeps` finds the steps, `family_law` takes them. A program is declined where a Ż cannot
be told to be zero, or where a family's moments cannot be taken at once (recurrent networks).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from tpl.core.expr import ONE, ZERO, Expr, add, leaves, ref
from tpl.core.program import Kind, Line, Program, ancestors
from tpl.limit.algebra import parity
from tpl.numeric.affine import Interner, NotAffine, Parts, Splitter
from tpl.numeric.series import Declined


@dataclass
class Family:
    """Jointly Gaussian variables. lines: of the core program, one a variable.

    matrix: the line of the matrix, None for a draw. arguments: what a matrix was applied to, as Z's.
    """

    op: str
    matrix: int | None
    transposed: bool
    variables: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    arguments: list[Expr] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """Where a second moment goes: to entry (row, column) of a family's covariance, or to a scalar line."""

    line: int | None
    family: int = 0
    row: int = 0
    column: int = 0


@dataclass(frozen=True)
class Sweep:
    """Second moments taken at the same points.

    blocks: (family, places in it) of the variables that functions hold, which are numbered through. functions: over
    these numbers. Vector a is Σ functions[which[i]] · variable[i] for i in starts[a] … starts[a+1] - 1, `outside` naming
    the variable by (family, place), None for the constant 1. wanted: (target, vector, vector). label: of a vector.
    """

    blocks: tuple[tuple[int, tuple[int, ...]], ...]
    functions: tuple[Expr, ...]
    starts: tuple[int, ...]
    which: tuple[int, ...]
    outside: tuple[tuple[int, int] | None, ...]
    wanted: tuple[tuple[Target, int, int], ...]
    label: str

    @property
    def dimensions(self) -> int:
        return sum(len(places) for _, places in self.blocks)

    def operations(self) -> int:
        """Elementwise operations for all functions at one point, what they share counted once."""
        seen: set[int] = set()
        stack = list(self.functions)
        while stack:
            node = stack.pop()
            if id(node) not in seen:
                seen.add(id(node))
                stack.extend(node.args)
        return len(seen)


@dataclass(frozen=True)
class Number:
    """A scalar line over other scalars: `quantity` leaves are lines."""

    line: int
    expr: Expr


@dataclass(frozen=True)
class Steps:
    """Sweeps and numbers in the order in which they can be taken."""

    families: tuple[Family, ...]
    steps: tuple[Sweep | Number, ...]

    def moments_in_many_dimensions(self) -> int:
        """Second moments that no quadrature takes."""
        return sum(len(s.wanted) for s in self.steps if isinstance(s, Sweep) and s.dimensions > 3)


def plan_sweeps(program: Program, lines: Iterable[int]) -> Steps | Declined:
    """The way to the values of scalar lines."""
    try:
        structure = _Structure(program, sorted(ancestors(program, lines)))
        return Steps(tuple(structure.families), tuple(_Rounds(structure).steps()))
    except _NoWay as problem:
        return Declined(str(problem))


class _NoWay(Exception):
    """The program is none for sweeps."""


# ---------------------------------------------------------------------------------------------- the program's Z's


@dataclass(frozen=True)
class _Task:
    """E Z^a Z^b, for a target."""

    target: Target
    a: Expr
    b: Expr
    label: str


class _Structure:
    """Families, the Z of every vector over their variables, and the second moments that are needed."""

    def __init__(self, program: Program, needed: list[int]):
        self.program = program
        self.intern = Interner()
        self.z: dict[int, Expr] = {}
        self.families: list[Family] = []
        self.home: dict[int, tuple[int, int]] = {}  # a variable's family and place
        self.numbers: list[Number] = []
        self.tasks: list[_Task] = []
        self._by_matrix: dict[tuple, int] = {}
        for index in needed:
            self._read(index, program.lines[index])
        for number, family in enumerate(self.families):
            if family.op == "matmul":
                self._covariances(number, family)

    def _read(self, index: int, line: Line) -> None:
        if line.op == "state":
            raise _NoWay("a number that training changes")
        if line.op == "gaussian" and line.kind is Kind.VECTOR:
            mean = self._opened(line, line.mean)
            self.z[index] = self.intern(
                add(mean, self._variable(("draw", index), Family("gaussian", None, False), index))
            )
        elif line.op == "input":
            key = ("input", line.args[0])
            self.z[index] = self._variable(key, Family("input", line.args[0], False), index)
        elif line.op == "matmul":
            self.z[index] = self._product(index, line)
        elif line.op == "map" and line.kind is Kind.VECTOR:
            self.z[index] = self._opened(line, line.expr)
        elif line.op == "map":
            self.numbers.append(Number(index, self._opened(line, line.expr)))
        elif line.op == "moment":
            self.tasks.append(self._moment(index, line))

    def _variable(self, key: tuple, new: Family, line: int) -> Expr:
        """A new variable of a family."""
        if key not in self._by_matrix:
            self._by_matrix[key] = len(self.families)
            self.families.append(new)
        number = self._by_matrix[key]
        family = self.families[number]
        variable = len(self.home)
        self.home[variable] = (number, len(family.variables))
        family.variables.append(variable)
        family.lines.append(line)
        return self.intern(ref(variable))

    def _product(self, index: int, line: Line) -> Expr:
        matrix, vector = line.args
        x = self.z[vector]
        if x.is_value(0):
            return x
        self._check_correction(x, self._by_matrix.get(("product", matrix, not line.transposed)))
        variable = self._variable(
            ("product", matrix, line.transposed), Family("matmul", matrix, line.transposed), index
        )
        self.families[self.home[int(variable.value)][0]].arguments.append(x)  # type: ignore[arg-type]
        return variable

    def _check_correction(self, x: Expr, opposite: int | None) -> None:
        """Ż = 0 where x changes sign with the variables of families other than W.T's: then E Ẑ^{W.T y} x = 0.

        Tried are each family alone, and all that start or carry a backward pass together.
        """
        families = {self.home[v][0] for v in self.intern.leaves(x)}
        if opposite not in families:
            return
        others = families - {opposite}
        backward = {f for f in others if self.families[f].op == "gaussian" or self.families[f].transposed}
        for flipped in [*({f} for f in sorted(others)), backward]:
            if parity(x, frozenset(v for f in flipped for v in self.families[f].variables)) == -1:
                return
        raise _NoWay("W and W.T may be correlated")

    def _opened(self, line: Line, expr: Expr | None) -> Expr:
        """An expression over a line's arguments, over Z's and numbers."""
        assert expr is not None
        values = [self.z[a] if a in self.z else self.intern(Expr("quantity", (), a)) for a in line.args]
        return self.intern.substituted(expr, lambda x: values[int(x.value)] if x.op == "ref" else x)  # type: ignore[arg-type]

    def _moment(self, index: int, line: Line) -> _Task:
        expr = line.expr
        assert expr is not None
        factors = expr.args if expr.op == "mul" and len(expr.args) == 2 else (expr, ONE)
        if expr.op == "pow" and expr.args[1].is_value(2):
            factors = (expr.args[0], expr.args[0])
        a, b = (self._opened(line, f) for f in factors)
        return _Task(Target(index), a, b, _described(self.program, line.args[0]))

    def _covariances(self, number: int, family: Family) -> None:
        name = _described(self.program, self.program.lines[family.lines[0]].args[1])
        for i, a in enumerate(family.arguments):
            for j, b in enumerate(family.arguments[: i + 1]):
                self.tasks.append(_Task(Target(None, number, i, j), a, b, name))


def _described(program: Program, index: int) -> str:
    """A vector by its name, or by what it is if it has none of its own."""
    line = program.lines[index]
    if line.op != "matmul" or not line.name.startswith("_"):
        return line.name
    matrix, vector = line.args
    return f"{program.lines[matrix].name}{'.T' if line.transposed else ''} @ {program.lines[vector].name}"


# ---------------------------------------------------------------------------------------------- rounds


class _Rounds:
    """Takes what can be taken, until all is."""

    def __init__(self, structure: _Structure):
        self.structure = structure
        self.known = [np.full((len(f.variables),) * 2, f.op != "matmul") for f in structure.families]
        self.scalars: set[int] = set()
        self.sampled: dict[int, int] = {}  # sweeps that a family's covariances come from
        self._quantities: dict[int, frozenset[int]] = {}

    def steps(self) -> Iterable[Sweep | Number]:
        tasks, numbers = self.structure.tasks, self.structure.numbers
        while tasks or numbers:
            taken = [n for n in numbers if self._needs(n.expr) <= self.scalars]
            yield from taken
            self.scalars |= {n.line for n in taken}
            numbers = [n for n in numbers if n.line not in self.scalars]
            ready = cache(self._is_ready)
            now = [t for t in tasks if ready(self._leaves(t)) and self._needs(t.a) | self._needs(t.b) <= self.scalars]
            if not now and not taken:
                raise _NoWay("moments wait for each other")
            for families, group in self._grouped(now):
                yield self._sweep(families, group)
            for task in now:
                self._note(task.target)
            done = set(map(id, now))
            tasks = [t for t in tasks if id(t) not in done]

    def _leaves(self, task: _Task) -> frozenset[int]:
        of = self.structure.intern.leaves
        return of(task.a) | of(task.b)

    def _needs(self, expr: Expr) -> frozenset[int]:
        if id(expr) not in self._quantities:
            self._quantities[id(expr)] = frozenset(int(v) for v in leaves(expr, "quantity"))  # type: ignore[arg-type]
        return self._quantities[id(expr)]

    def _places(self, variables: Iterable[int]) -> dict[int, list[int]]:
        """Variables by family, as places in it."""
        found: dict[int, list[int]] = {}
        for v in sorted(variables):
            family, place = self.structure.home[v]
            found.setdefault(family, []).append(place)
        return found

    def _is_ready(self, variables: frozenset[int]) -> bool:
        return all(self.known[f][np.ix_(p, p)].all() for f, p in self._places(variables).items())

    def _note(self, target: Target) -> None:
        if target.line is not None:
            self.scalars.add(target.line)
        else:
            self.known[target.family][target.row, target.column] = True
            self.known[target.family][target.column, target.row] = True

    def _grouped(self, tasks: list[_Task]) -> list[tuple[frozenset[int], list[_Task]]]:
        """Tasks over the same families together; one family's covariances always."""
        by_target: dict[tuple, list[_Task]] = {}
        for t in tasks:
            own = frozenset(self.structure.home[v][0] for v in self._leaves(t))
            by_target.setdefault(("moment", own) if t.target.line is not None else (t.target.family,), []).append(t)
        merged: dict[frozenset[int], list[_Task]] = {}
        for members in by_target.values():
            families = frozenset(self.structure.home[v][0] for t in members for v in self._leaves(t))
            merged.setdefault(families, []).extend(members)
        return list(merged.items())

    def _sweep(self, families: frozenset[int], tasks: list[_Task]) -> Sweep:
        vectors = list({id(x): x for t in tasks for x in (t.a, t.b)}.values())
        parts = self._split(vectors, families)
        coefficients = list({id(c): c for p in parts for c in p.values()}.values())
        inside = frozenset().union(*map(self.structure.intern.leaves, coefficients))
        blocks = tuple((f, tuple(p)) for f, p in self._places(inside).items())
        if not all(self.known[f][np.ix_(p, p)].all() for f, p in blocks):
            raise _NoWay("the covariances of one block are not known at once")
        self._note_sources(tasks, bool(inside))
        renamed = self._renamed(coefficients, blocks)
        number = {id(x): i for i, x in enumerate(vectors)}
        starts = np.concatenate([[0], np.cumsum([len(p) for p in parts])])
        place = {id(c): i for i, c in enumerate(coefficients)}
        home = self.structure.home
        return Sweep(
            blocks,
            tuple(renamed),
            tuple(int(s) for s in starts),
            tuple(place[id(c)] for p in parts for c in p.values()),
            tuple(None if v is None else home[v] for p in parts for v in p),
            tuple((t.target, number[id(t.a)], number[id(t.b)]) for t in tasks),
            tasks[0].label,
        )

    def _split(self, vectors: list[Expr], families: frozenset[int]) -> list[Parts]:
        """Vectors by their parts, affine in the variables of as many families as possible, later ones first."""
        intern = self.structure.intern
        outside: frozenset[int] = frozenset()
        parts: list[Parts] = [{None: x} for x in vectors]
        for family in sorted(families, reverse=True):
            wider = outside | frozenset(self.structure.families[family].variables)
            try:
                splitter = Splitter(intern, wider)
                parts, outside = [splitter.split(x) or {None: intern(ZERO)} for x in vectors], wider
            except NotAffine:
                continue
        return parts

    def _note_sources(self, tasks: list[_Task], sampled: bool) -> None:
        """Moments of one family from several sweeps need not be a covariance."""
        for family in {t.target.family for t in tasks if t.target.line is None} if sampled else ():
            self.sampled[family] = self.sampled.get(family, 0) + 1
            if self.sampled[family] > 1:
                raise _NoWay("the covariances of one matrix's products are known one after the other")

    def _renamed(self, coefficients: list[Expr], blocks: tuple[tuple[int, tuple[int, ...]], ...]) -> list[Expr]:
        order = [self.structure.families[f].variables[p] for f, places in blocks for p in places]
        intern = self.structure.intern
        name = {v: intern(ref(i)) for i, v in enumerate(order)}
        memo: dict[int, Expr] = {}

        def walk(node: Expr) -> Expr:
            if id(node) not in memo:
                if node.op == "ref":
                    memo[id(node)] = name[int(node.value)]  # type: ignore[arg-type]
                else:
                    memo[id(node)] = intern(Expr(node.op, tuple(map(walk, node.args)), node.value))
            return memo[id(node)]

        return [walk(c) for c in coefficients]


__all__ = ["Family", "Number", "Steps", "Sweep", "Target", "plan_sweeps"]
