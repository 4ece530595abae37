"""From syntax and data to a core program: names are bound, loops unrolled, networks applied to their inputs.

Goals: every mistake that needs sizes, kinds or values is found here, and all of them in one go (a statement with a
mistake is given up, its names become unknown, and whatever uses them is passed over in silence). Non-goals: names
and structure, which `tpl.language.check` settles from the syntax alone.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tpl.core import calls
from tpl.core.builder import Builder
from tpl.core.draws import Draws
from tpl.core.expr import Expr, evaluate, number, ref, symbol
from tpl.core.expressions import Evaluator, Scope, describe, is_constant
from tpl.core.kernels import Kernels
from tpl.core.meanings import Meanings
from tpl.core.program import Program, Show
from tpl.core.train_block import TrainBlock
from tpl.core.training import TrainingShow
from tpl.core.training_measures import Measures
from tpl.core.values import (
    UNKNOWN,
    Array,
    Coordinatewise,
    Family,
    Function,
    Listing,
    Mistake,
    NetworkValue,
    OwnLength,
    RandomOutput,
    Sequences,
    Silent,
    Text,
    TooLarge,
)  # fmt: skip
from tpl.data import DataError, Dataset, generate, sequences
from tpl.language import syntax as s
from tpl.language.check import merge
from tpl.language.source import Diagnostic, Source, Span, TplError


@dataclass(frozen=True)
class Limits:
    """What a program may cost before it is refused: lines of the core program, bytes of data and of a run."""

    max_lines: int = 1_000_000
    max_memory: int = 8 * 2**30


def elaborate(
    file: s.File,
    source: Source,
    data: Mapping[str, Dataset],
    limits: Limits,
    diagnostics: Iterable[Diagnostic] = (),
    generic_rows: dict[tuple[float, ...], int] | None = None,
    weights: Mapping[tuple[str, Span | None], Expr] | None = None,
    meanings: Meanings | None = None,
    generic_entries: frozenset[str] = frozenset(),
    entries: bool = True,
) -> tuple[Program, dict[str, Dataset]]:
    """The core program of a file, and the data that it uses.

    data: arrays given from outside, by name. diagnostics: what earlier stages found; if there are any, or if
    elaboration finds some, TplError is raised with all of them; a statement in which they found something is given up.
    generic_rows: data vectors whose inner products stay symbols, and their numbers. weights: see `Kernels`. meanings: takes
    what the names stood for, also if there are mistakes. generic_entries: data whose entries stay symbols.
    entries: without them kernels are 0, where only the vectors that they are made of are wanted.
    """
    diagnostics = list(diagnostics)
    elaboration = _Elaboration(file, source, data, limits, diagnostics)
    elaboration.builder.generic_rows = generic_rows
    elaboration.builder.generic_entries = generic_entries
    elaboration.kernels.entries = entries
    elaboration.kernels.weights = weights or {}
    with suppress(TooLarge):  # reported; there is no point in going on
        elaboration.block(file.statements, elaboration.globals, None)
    if meanings is not None:
        meanings.take(elaboration.globals, elaboration.insides, elaboration.builder.values)
    found = merge(diagnostics, elaboration.diagnostics)
    if not found and not elaboration.builder.shows and not elaboration.training_shows:
        found.append(Diagnostic(None, "nothing is shown", "end the program with `show …`"))
    if found:
        raise TplError(source, found)
    return elaboration.program(), elaboration.datasets


class _Elaboration:
    """The state of one elaboration: what is bound, what was wrong."""

    def __init__(
        self, file: s.File, source: Source, data: Mapping[str, Dataset], limits: Limits, earlier: list[Diagnostic]
    ):
        self.file = file
        self.source = source
        self.data = data
        self.limits = limits
        self.builder = Builder(source, limits.max_lines)
        self.diagnostics: list[Diagnostic] = []
        self.datasets: dict[str, Dataset] = {}
        self._reported: set[Span | None] = set()
        self.evaluator = Evaluator(self.builder, {})
        self.draws = Draws(self.evaluator)
        self.kernels = Kernels(self.evaluator, self.apply_network)
        self.evaluator.special = {"nngp": self.kernels.nngp, "ntk": self.kernels.ntk, "N": self._law_out_of_place}
        self.globals: Scope = {"pi": Coordinatewise(symbol("pi"))}
        self.globals["__global__"] = self.globals
        self.last_scope: Scope = {}  # what the names inside the network stood for when it was last applied
        self.insides: dict[str, Scope] = {}  # the same for each network
        self.measures: Measures | None = None
        self.training_shows: list[TrainingShow] = []
        self.untrained = False  # there was a `train` block, but with a mistake
        self._returned: Any = None
        self._earlier = sorted(d.span[:2] for d in earlier if d.span is not None)

    def program(self) -> Program:
        program = self.builder.program(self.file.title)
        if self.measures is None:
            return program
        return replace(program, training=self.measures.training(tuple(self.training_shows)))

    # ------------------------------------------------------------------------------------------ statements
    def block(self, statements: tuple[s.Statement, ...], scope: Scope, network: NetworkValue | None) -> None:
        for statement in statements:
            try:
                if self._given_up(_head(statement)):
                    self.untrained = self.untrained or isinstance(statement, s.Train)
                    raise Silent
                _STATEMENTS[type(statement)](self, statement, scope, network)
            except Silent:
                self._forget(statement, scope)
            except TooLarge as problem:
                self._report(problem, statement)
                raise
            except (Mistake, ArithmeticError, RecursionError) as problem:
                deep = isinstance(problem, RecursionError)
                what = "this is nested too deeply" if deep else "a number here is too large"
                mistake = problem if isinstance(problem, Mistake) else Mistake(None, what)
                self._report(mistake, statement)
                self._forget(statement, scope)
                if len(self.diagnostics) >= 100:
                    return

    def _given_up(self, span: Span) -> bool:
        """Did an earlier stage find something wrong here? Then its consequences are passed over."""
        first = bisect_left(self._earlier, (span.line, span.column))
        return first < len(self._earlier) and self._earlier[first] < (span.end_line, span.end_column)

    def _report(self, mistake: Mistake, statement: s.Statement) -> None:
        diagnostic = Diagnostic(mistake.span or statement.span, mistake.message, mistake.hint)
        # A loop meets the same mistake once an iteration; it is one mistake.
        if diagnostic.span not in self._reported:
            self._reported.add(diagnostic.span)
            self.diagnostics.append(diagnostic)

    def _forget(self, statement: s.Statement, scope: Scope) -> None:
        """Make unknown what a statement with a mistake would have defined."""
        if isinstance(statement, (s.Assign, s.Draw)):
            targets = (statement.target,) if isinstance(statement, s.Assign) else statement.targets
            for target in targets:
                scope[target.name] = UNKNOWN
        elif isinstance(statement, (s.Const, s.Data, s.Network, s.Def, s.Width)):
            scope[statement.name] = UNKNOWN
            if isinstance(statement, s.Data):
                for dim in statement.dims:
                    if isinstance(dim, s.Name) and dim.name not in scope:
                        scope[dim.name] = UNKNOWN
        elif isinstance(statement, s.Loop):
            for inner in statement.body:
                self._forget(inner, scope)
        elif isinstance(statement, s.Return):
            self._returned = UNKNOWN

    def const(self, node: s.Const, scope: Scope, network: NetworkValue | None) -> None:
        value = self.evaluator.value(node.value, scope)
        if isinstance(value, Listing):
            scope[node.name] = _constant_array(value, node.name, node.value.span)
            return
        if not is_constant(value):
            what = f"{self.source.quote(node.value.span)} is {describe(value)}"
            raise Mistake(node.value.span, f"a const must be a number, but {what}",
                          f"leave out `const`: `{node.name} = …`")  # fmt: skip
        try:
            self.builder.define_constant(node.name, value.expr)
        except (ArithmeticError, ValueError):
            raise Mistake(node.value.span, "this has no finite real value") from None
        scope[node.name] = Coordinatewise(symbol(node.name))

    def define(self, node: s.Def, scope: Scope, network: NetworkValue | None) -> None:
        scope[node.name] = Function(node)

    def width(self, node: s.Width, scope: Scope, network: NetworkValue | None) -> None:
        self.draws.define_width(node, scope)

    def network(self, node: s.Network, scope: Scope, network: NetworkValue | None) -> None:
        scope[node.name] = NetworkValue(node, {}, {}, {}, dict(scope), {})

    def show(self, node: s.Show, scope: Scope, network: NetworkValue | None) -> None:
        for item in node.items:
            try:
                if not self._given_up(item.span):
                    self._show_item(item, scope)
            except Mistake as mistake:
                self._report(mistake, node)
            except Silent:
                continue

    def _show_item(self, item: s.Expr, scope: Scope) -> None:
        if self.measures is not None and self.measures.takes(item, scope):
            self.training_shows.append(self.measures.show(item))
            return
        if self.untrained:
            raise Silent
        self.builder.at(item.span)
        value = self.evaluator.value(item, scope)
        shape, lines = self._shown(value, item)
        self.builder.shows.append(Show(self.source.slice(item.span), shape, tuple(lines), item.span))

    def _shown(self, value: Any, item: s.Expr) -> tuple[tuple[int, ...], list[int]]:
        if isinstance(value, Family):
            value = _whole_family(value, item)
        if isinstance(value, Listing):
            parts = [self._shown(v, item) for v in value.items]
            shapes = {shape for shape, _ in parts}
            if len(shapes) != 1:
                trouble = "its items have different shapes" if shapes else "it is empty"
                raise Mistake(item.span, f"this list cannot be shown: {trouble}")
            return (len(parts), *shapes.pop()), [line for _, lines in parts for line in lines]
        if isinstance(value, Coordinatewise) and value.width is None:
            name = self.source.slice(item.span)
            return (), [self.builder.map(value.expr, None, name if name.isidentifier() else None)]
        what = f"{self.source.quote(item.span)} is {describe(value)}"
        raise Mistake(item.span, f"`show` takes scalars, but {what}", _show_hint(value, item))

    def train(self, node: s.Train, scope: Scope, network: NetworkValue | None) -> None:
        """Everything above once more, for a program of its own: one step of training."""
        home = _Elaboration(self.file, self.source, {**self.data, **self.datasets}, self.limits, self.diagnostics)
        home.draws.any_power = all(x.name != "parametrization" for x in node.settings)
        above = self.file.statements[: self.file.statements.index(node)]
        home.block(tuple(x for x in above if not isinstance(x, s.Show)), home.globals, None)
        self.untrained = True
        block = TrainBlock(home, node)
        try:
            training = block.build()
        finally:
            self.diagnostics.extend(home.diagnostics)
            self.insides = {**home.insides, **self.insides}
        self.measures, self.untrained = Measures(block, training), False

    def loop(self, node: s.Loop, scope: Scope, network: NetworkValue | None) -> None:
        variable = node.clause.variable
        outer, shadowed = self.evaluator.multiplicity, scope.get(variable)
        indices = calls.indices(self.evaluator, node.clause, scope)
        self.evaluator.multiplicity = outer * max(1, len(indices)) * max(1, len(node.body))
        try:
            for i in indices:
                scope[variable] = Coordinatewise(number(i))
                self.block(node.body, scope, network)
                if self.diagnostics and len(self.diagnostics) >= 100:
                    break
        finally:
            self.evaluator.multiplicity = outer
            scope.pop(variable, None)
            if shadowed is not None:
                scope[variable] = shadowed

    def draw(self, node: s.Draw, scope: Scope, network: NetworkValue | None) -> None:
        self.draws.draw(node, scope, network)

    def assign(self, node: s.Assign, scope: Scope, network: NetworkValue | None) -> None:
        name = self.draws.target_name(node.target, scope)
        self.builder.at(node.span, self.evaluator.derived)
        value = self.evaluator.value(node.value, scope)
        self.builder.at(node.span, self.evaluator.derived)
        self.draws.bind(node.target, scope, self._named(value, name + self.draws.label))

    def _named(self, value: Any, name: str) -> Any:
        """Put a vector or scalar on a line of the user's name."""
        if not isinstance(value, Coordinatewise):
            return value
        if is_constant(value):
            # A long recursion over numbers stays one number, not a tree as deep as the loop is long.
            deep = value.expr.depth > 50 or value.expr.size > 1000
            return Coordinatewise(number(evaluate(value.expr, self.builder.values))) if deep else value
        line = self.builder.map(value.expr, value.width, name)
        self.builder.rename(line, name)
        return Coordinatewise(value.expr if value.expr.op == "ref" else ref(line), value.width)

    def return_(self, node: s.Return, scope: Scope, network: NetworkValue | None) -> None:
        self.builder.at(node.span, self.evaluator.derived)
        self._returned = self.evaluator.value(node.value, scope)

    # ------------------------------------------------------------------------------------------ data
    def declare_data(self, node: s.Data, scope: Scope, network: NetworkValue | None) -> None:
        dataset = self._dataset(node, scope)
        named = node.name in self.builder.generic_entries
        value: Array | Sequences = Array(dataset.array, node.name, named=named)
        if dataset.lengths is not None:
            value = Sequences(dataset.rows(), node.name)
        if value.ndim != len(node.dims):
            axes = "1 axis" if len(node.dims) == 1 else f"{len(node.dims)} axes"
            sizes = ", ".join("NTdefgh"[: value.ndim])
            raise Mistake(node.span, f"`{node.name}` has {axes} here, but its data have shape {value.shape_text}",
                          f"declare one size an axis, as in `{node.name}[{sizes}]`")  # fmt: skip
        for axis, (dim, size) in enumerate(zip(node.dims, dataset.shape, strict=True)):
            if axis == 1 and isinstance(value, Sequences):
                self._declare_own_length(dim, value, scope)
            else:
                self.draws.bind_dim(dim, size, node.name, scope)
        self.datasets[node.name] = dataset
        scope[node.name] = value

    def _declare_own_length(self, dim: s.Expr, data: Sequences, scope: Scope) -> None:
        if not isinstance(dim, s.Name) or (dim.name in scope and not isinstance(scope[dim.name], OwnLength)):
            raise Mistake(dim.span, f"the sequences of `{data.name}` have unequal lengths, so this size is no number",
                          "give it a name of its own; inside a network it is the length of the input")  # fmt: skip
        scope[dim.name] = OwnLength(data.name)

    def _dataset(self, node: s.Data, scope: Scope) -> Dataset:
        given = self.data.get(node.name)
        if given is not None:
            return given
        if node.default is None:
            raise Mistake(node.span, f"`{node.name}` has no data",
                          f"give it some, `--data {node.name}=FILE.npy`, or a default, `= sphere(4, 10)`")  # fmt: skip
        if isinstance(node.default, s.Call):
            return self._generated(node.default, scope)
        value = self.evaluator.value(node.default, scope)
        if isinstance(value, Listing):
            value = _constant_array(value, node.name, node.default.span, self.builder.values, ragged=len(node.dims) > 2)
        if isinstance(value, Sequences):
            return sequences(value.rows, f"{sum(x.size for x in value.rows)} numbers written in the program")
        if not isinstance(value, Array):
            what = f"{self.source.quote(node.default.span)} is {describe(value)}"
            raise Mistake(node.default.span, f"data are made by a generator or a list, but {what}",
                          "for instance `sphere(4, 10, seed=0)`")  # fmt: skip
        return Dataset(value.array, f"{value.array.size} numbers written in the program")

    def _generated(self, call: s.Call, scope: Scope) -> Dataset:
        positional = [self._argument(a, scope) for a in call.arguments]
        keywords = {k: self._argument(a, scope) for k, a in call.keywords}
        try:
            return generate(call.function, positional, keywords, self.limits.max_memory // 4)
        except DataError as problem:
            raise Mistake(call.span, problem.message, problem.hint) from None

    def _argument(self, node: s.Expr, scope: Scope) -> int | float | str:
        value = self.evaluator.value(node, scope)
        if isinstance(value, Text):
            return value.text
        self.evaluator.constant(node, scope, "this argument")
        number_ = evaluate(value.expr, self.builder.values)
        return int(number_) if number_.is_integer() else number_

    def _law_out_of_place(self, node: s.Call, scope: Scope) -> Any:
        raise Mistake(node.span, "a law stands only after `~`", "`random x : [n] ~ N(0, 1)` draws from it")

    # ------------------------------------------------------------------------------------------ networks
    def apply_network(self, network: NetworkValue, inputs: list[Array], label: str) -> Any:
        """Run a network's body on inputs. Returns what it returns: a random output, or a list of them."""
        syntax = network.syntax
        scope: Scope = dict(network.outside)
        for declared, array in zip(syntax.inputs, inputs, strict=True):
            for axis, (dim, size) in enumerate(zip(declared.dims, array.array.shape, strict=True)):
                if axis == 0 and array.own_length:
                    self.draws.bind_own_length(dim, size, declared.name, scope)
                else:
                    self.draws.bind_dim(dim, size, declared.name, scope, network)
            scope[declared.name] = Array(array.array, declared.name)
        outer = self.draws.label, self.evaluator.derived, self._returned
        self.draws.begin_call(label)
        self._returned = None
        try:
            self.block(syntax.body, scope, network)
            returned = self._returned
            self.last_scope = self.insides[syntax.name] = scope
        finally:
            self.draws.label, self.evaluator.derived, self._returned = outer
            self.builder.label = self.draws.label
        if returned is UNKNOWN or (returned is None and (self.diagnostics or self._earlier)):
            raise Silent
        return returned


def _head(statement: s.Statement) -> Span:
    """The part of a statement in which a mistake spoils it all, with its indentation: of a `show`, the keyword."""
    line, column, end_line, end_column = statement.span
    return Span(line, 0, line, column + 1) if isinstance(statement, s.Show) else Span(line, 0, end_line, end_column)


def _constant_array(
    value: Listing, name: str, span: Span, values: Mapping[str, float] | None = None, ragged: bool = False
) -> Any:
    """A list of numbers as data; with `ragged`, its rows may differ in their first size."""
    try:
        nested = _nested(value, values)
        with suppress(ValueError):
            return Array(np.array(nested, dtype=np.float64), name)
        rows = tuple(np.array(x, dtype=np.float64) for x in nested)
        if not ragged or len({x.shape[1:] for x in rows}) > 1 or any(x.ndim == 0 or not x.size for x in rows):
            raise ValueError
        return Sequences(rows, name)
    except (ValueError, TypeError):
        raise Mistake(span, "this list is not a rectangular array of numbers",
                      "all its rows need the same length: `[[1, 2], [3, 4]]`") from None  # fmt: skip


def _nested(value: Any, values: Mapping[str, float] | None) -> Any:
    if isinstance(value, Listing):
        return [_nested(v, values) for v in value.items]
    if not is_constant(value):
        raise TypeError
    return evaluate(value.expr, values or {})


def _whole_family(family: Family, item: s.Expr) -> Listing:
    keys = sorted(family.entries)
    if not all(len(k) == 1 for k in keys) or any(v == UNKNOWN for v in family.entries.values()):
        raise Mistake(item.span, "`show` takes scalars, but this is a family of values",
                      "say which: `s[1..3]`, or `s[i, j] for i in 1..3 for j in 1..3`")  # fmt: skip
    return Listing(tuple(family.entries[k] for k in keys))


def _show_hint(value: Any, item: s.Expr) -> str | None:
    if isinstance(value, Coordinatewise) and isinstance(item, s.Name):
        return f"its limit is a random variable; show an average of it: `avg({item.name}^2)`"
    if isinstance(value, Coordinatewise):
        return "its limit is a random variable; show an average: `avg(x^2)`"
    if isinstance(value, RandomOutput):
        return "an output has no deterministic limit; its covariance has: `nngp(f, X)`"
    if isinstance(value, NetworkValue):
        return f"`show nngp({value.syntax.name}, X)` is its kernel on data X"
    return None


_STATEMENTS: dict[type, Any] = {
    s.Const: _Elaboration.const,
    s.Def: _Elaboration.define,
    s.Width: _Elaboration.width,
    s.Data: _Elaboration.declare_data,
    s.Network: _Elaboration.network,
    s.Loop: _Elaboration.loop,
    s.Draw: _Elaboration.draw,
    s.Assign: _Elaboration.assign,
    s.Return: _Elaboration.return_,
    s.Show: _Elaboration.show,
    s.Train: _Elaboration.train,
}

__all__ = ["Limits", "Span", "elaborate"]
