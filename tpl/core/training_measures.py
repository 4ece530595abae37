"""What `show` asks of a training: measures, and the vectors of the network that they are about."""

from dataclasses import replace
from itertools import product
from typing import Any

from tpl.core.expr import number
from tpl.core.expressions import Scope, describe
from tpl.core.train_block import TrainBlock
from tpl.core.training import Axis, Kernels, Measure, Training, TrainingShow
from tpl.core.values import Coordinatewise, Family, Listing, Mistake
from tpl.language import syntax as s
from tpl.language.source import Span
from tpl.language.training_words import GRAMS, OF_GRAMS, measures, test_outputs

TANGENT = "tangent_kernel"


class Measures:
    """Reads measures, and puts the vectors they are about on lines of the training's program."""

    def __init__(self, block: TrainBlock, training: Training):
        self.block = block
        self._training = training
        self._kernels = training.kernels
        self._variables: dict[str, tuple[int, ...]] = {}

    def training(self, shows: tuple[TrainingShow, ...]) -> Training:
        program = self.block.builder.program("")
        return replace(
            self._training, program=program, variables=dict(self._variables), kernels=self._kernels, shows=shows
        )

    def takes(self, item: Any, scope: Scope) -> bool:
        """Is this a measure of the training? What a program defines itself comes first."""
        name = item.name if isinstance(item, s.Name) else item.function if isinstance(item, s.Call) else ""
        return name in measures(self._training.network) and (name not in scope or name == self._training.network)

    def show(self, item: Any) -> TrainingShow:
        free = self._free_indices(item)
        chosen = [dict(zip(free, values, strict=True)) for values in product(*free.values())]
        found = [self._measure(item, {n: Coordinatewise(number(v)) for n, v in x.items()}) for x in chosen]
        axes = tuple(Axis(name, tuple(values)) for name, values in free.items())
        names = tuple(self._written(item, x) for x in chosen)
        return TrainingShow(self.block.home.source.slice(item.span), axes, tuple(found), names, item.span)

    # ------------------------------------------------------------------------------------------ indices
    def _written(self, item: Any, indices: dict[str, int]) -> str:
        """The text of a measure with numbers for its free indices."""
        source, parts = self.block.home.source, []
        line, column = item.span.line, item.span.column
        named = [x for x in s.walk(item) if isinstance(x, s.Name) and x.name in indices]
        for node in sorted(named, key=lambda x: (x.span.line, x.span.column)):
            parts += [source.slice(Span(line, column, node.span.line, node.span.column)), str(indices[node.name])]
            line, column = node.span.end_line, node.span.end_column
        return "".join([*parts, source.slice(Span(line, column, item.span.end_line, item.span.end_column))])

    def _free_indices(self, item: Any) -> dict[str, list[int]]:
        """Loop variables of the network that have no value here: they stand for all that their families hold."""
        network = self.block.network.syntax
        loops = {x.clause.variable for x in s.walk(network.body) if isinstance(x, s.Loop)}
        inside = self.block.applied[0].scope
        found: dict[str, list[int]] = {}
        for node in s.walk(item):
            if not isinstance(node, s.Indexed) or not isinstance(node.base, s.Name):
                continue
            family = inside.get(node.base.name)
            for place, index in enumerate(node.indices):
                if isinstance(index, s.Name) and index.name in loops and index.name not in inside:
                    keys = {k[place] for k in family.entries} if isinstance(family, Family) else set()
                    known = found.get(index.name)
                    found[index.name] = sorted(keys if known is None else keys & set(known))
        return found

    # ------------------------------------------------------------------------------------------ measures
    def _measure(self, item: Any, indices: Scope) -> Measure:
        network = self._training.network
        if isinstance(item, s.Name):
            if item.name == TANGENT and self._kernels is None:
                self._kernels = self._tangent_kernel(item)
            return Measure({network: "f", test_outputs(network): "test_f"}.get(item.name, item.name))
        assert isinstance(item, s.Call)
        if len(item.arguments) != 1 or item.keywords:
            raise Mistake(item.span, f"`{item.function}` takes one argument")
        argument = item.arguments[0]
        if item.function in OF_GRAMS:
            inner = isinstance(argument, s.Call) and argument.function in GRAMS
            if not inner and not (isinstance(argument, s.Name) and argument.name == TANGENT):
                raise Mistake(argument.span, f"`{item.function}` takes a Gram matrix",
                              f"for instance `{item.function}(gram({self.block.home.source.slice(argument.span)}))`")  # fmt: skip
            return Measure(item.function, of=self._measure(argument, indices))
        return Measure(item.function, self._variable(argument, indices))

    def _tangent_kernel(self, item: s.Name) -> Kernels:
        if self._training.examples[0].outputs.shape[1] > 1:
            raise Mistake(item.span, "the tangent kernel of a trained network with several outputs is not shown",
                          "give its readout one row")  # fmt: skip
        return self.block.kernels()

    def _variable(self, node: Any, indices: Scope) -> str:
        """The key of the vectors that an expression stands for: one for each training input."""
        shown = ", ".join(f"{k} = {v.expr.value}" for k, v in indices.items())
        key = self.block.home.source.slice(node.span) + (f" at {shown}" if shown else "")
        if key not in self._variables:
            lines: list[int] = []
            for applied in self.block.applied:
                self.block.builder.label = applied.label
                self.block.builder.at(node.span, "measured")
                value = self.block.evaluator.value(node, {**applied.scope, **indices})
                lines += self._vectors(value, node)
            self._variables[key] = tuple(lines)
        return key

    def _vectors(self, value: Any, node: Any) -> list[int]:
        if isinstance(value, Family):
            value = Listing(tuple(value.entries[k] for k in sorted(value.entries)))
        if isinstance(value, Listing):
            return [line for x in value.items for line in self._vectors(x, node)]
        if isinstance(value, Coordinatewise) and value.width is not None:
            return [self.block.builder.map(value.expr, value.width)]
        raise Mistake(node.span, f"a Gram matrix is one of vectors, but this is {describe(value)}")
