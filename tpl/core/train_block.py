"""From a `train` block to `Training`: the network on every example, its losses, and their backward passes, as core lines."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from tpl.core.builder import Builder
from tpl.core.expr import ONE, ZERO, Expr, add, evaluate, from_float, leaves, mul, number, ref, symbol
from tpl.core.expressions import Scope, describe
from tpl.core.gradient import Contributions, backpropagate, backward, partial_derivatives
from tpl.core.inputs import split
from tpl.core.kernels import Weight, covariance, tangent_kernel
from tpl.core.losses import LOSSES, Unfit
from tpl.core.parametrization import Regime, classify
from tpl.core.train_scaling import described, parametrization
from tpl.core.training import Example, Kernels, Schedule, Trained, Training, Updates
from tpl.core.values import (
    UNKNOWN,
    Array,
    Coordinatewise,
    Listing,
    Mistake,
    NetworkValue,
    RandomOutput,
    Readout,
    Sequences,
    Silent,
)
from tpl.language import syntax as s
from tpl.language.training_words import GIVEN, GP, SHUFFLED, STEP
from tpl.language.training_words import ZERO as ZERO_START

if TYPE_CHECKING:
    from tpl.core.elaborate import _Elaboration

OUTPUT_SCALE = "output_scale"  # n^(1-u), where outputs are no plain averages
DEFAULT_RECORDS = 26
LOOKED_AT = 200  # steps at which a rate's value is looked at


@dataclass
class Applied:
    """The network on one example: what its names stand for, and its outputs."""

    label: str
    scope: Scope
    outputs: list[RandomOutput]
    lines: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=int))


class TrainBlock:
    """Elaborates one block. `home`: an elaboration of all that stands above it, with a builder of its own."""

    def __init__(self, home: "_Elaboration", node: s.Train):
        self.home, self.node = home, node
        self.builder: Builder = home.builder
        self.evaluator = home.evaluator
        self.settings = {x.name: x.value for x in node.settings}
        self.network = self._network()
        self.rows: dict[int, tuple[int, ...]] = {}  # readout or output bias -> a line for each row
        self.applied: list[Applied] = []

    # ------------------------------------------------------------------------------------------ the whole block
    def build(self) -> Training:
        inputs = [self._data(x) for x in self.node.inputs]
        targets = self._data(self.node.targets)
        self.applied = self._apply(inputs)
        tests, test_targets = self._tests(len(inputs))
        wanted = self._align(targets, self.applied, self.node.targets)
        self.regime = regime = self._regime()
        self.tests = tests
        examples = tuple(self._example(a, y) for a, y in zip(self.applied, wanted, strict=True))
        test_examples = tuple(self._test(a, y) for a, y in zip(tests, test_targets, strict=True))
        schedule = self._schedule(len(examples))
        still = regime.kind in ("kernel", "trivial")
        kernels = self.kernels() if still else None
        return Training(
            self.builder.program(""), self.node.network, self.parameters, regime, examples, test_examples,
            schedule, self._word("start", GP) == ZERO_START, {}, kernels, (), self.node.span, *self._along(),
        )  # fmt: skip

    def _network(self) -> NetworkValue:
        value = self.home.globals.get(self.node.network)
        if value is UNKNOWN:
            raise Silent
        if not isinstance(value, NetworkValue):
            raise Mistake(self.node.network_span, f"`{self.node.network}` is {describe(value)}, not a network")
        return value

    def _data(self, node: s.Name) -> Array | Sequences:
        value = self.evaluator.value(node, self.home.globals)
        if not isinstance(value, Array | Sequences):
            raise Mistake(node.span, f"a network is trained on data, but `{node.name}` is {describe(value)}")
        return value

    # ------------------------------------------------------------------------------------------ forward
    def _apply(self, arrays: list[Array | Sequences]) -> list[Applied]:
        """The network on each input along the data's first axis; or once, where it takes a whole batch."""
        inputs = self.network.syntax.inputs
        if len(inputs) != len(arrays):
            raise Mistake(
                self.node.span, f"`{self.node.network}` has {len(inputs)} inputs, but {len(arrays)} are given"
            )
        applied = [self._one(x.arrays, x.label) for x in split(self.network, arrays, self.node.span)[1]]
        if len({len(x.outputs) for x in applied}) > 1:
            raise Mistake(self.node.span, "sequences of unequal length have unequal numbers of outputs here",
                          "return one output, such as an average over the sequence")  # fmt: skip
        return applied

    def _one(self, arrays: list[Array], label: str) -> Applied:
        value = self.home.apply_network(self.network, arrays, label)
        if value is UNKNOWN:
            raise Silent
        _, outputs = self.home.kernels.collect(value, self.network)
        return Applied(label, self.home.last_scope, outputs)

    def _tests(self, count: int) -> tuple[list[Applied], list[np.ndarray | None]]:
        node = self.settings.get("test")
        if node is None:
            return [], []
        if not isinstance(node, s.ListOf):  # reported by the check
            raise Silent
        arrays = [self._data(x) for x in node.items if isinstance(x, s.Name)]
        if len(arrays) not in (count, count + 1):
            raise Mistake(node.span, "`test` names the network's inputs and, if there are any, the targets: `[Xt, yt]`")
        applied = self._apply(arrays[:count])
        if len(arrays) == count:
            return applied, [None] * len(applied)
        return applied, list(self._align(arrays[count], applied, node))

    def _align(self, targets: Array | Sequences, applied: list[Applied], node: Any) -> list[np.ndarray]:
        """Every example's targets, [positions] or [positions, k]."""
        if isinstance(targets, Sequences):
            raise Mistake(node.span, f"`{targets.name}` holds sequences of unequal length, which are no targets")
        array = targets.array if self._along_data(applied) else targets.array[None]
        positions = len(applied[0].outputs)
        shape = (len(applied), positions)
        rows = self._row_count()
        for wanted in (shape, (*shape, rows)):
            squeezed = tuple(n for i, n in enumerate(wanted) if i == 0 or n != 1 or len(wanted) == array.ndim)
            if array.shape in (wanted, squeezed):
                return list(np.asarray(array, dtype=float).reshape(wanted))
        one = "one each" if rows == 1 else f"{rows} each, or a label"
        raise Mistake(node.span, f"there are {len(applied)} inputs with {positions} output{'s' * (positions > 1)} of {rows} "
                      f"number{'s' * (rows > 1)}, but the targets have shape {list(targets.array.shape)}",
                      f"targets lie along the first axis as the inputs do: {one}")  # fmt: skip

    def _along(self) -> tuple[str, str]:
        """The data that the examples and the tests run along."""
        test = self.settings.get("test")
        tested = test.items[0] if isinstance(test, s.ListOf) else None
        found = self.node.inputs[0].name, tested.name if isinstance(tested, s.Name) else ""
        return found if self._along_data(self.applied) else ("", "")

    def _along_data(self, applied: list[Applied]) -> bool:
        return "[" in applied[0].label

    # ------------------------------------------------------------------------------------------ parameters
    def _row_count(self) -> int:
        counts = {v.rows for v in self.network.parameters.values() if isinstance(v, Readout)}
        if len(counts) != 1:
            raise Mistake(
                self.network.syntax.name_span, "the readouts of a network that is trained have one number of rows"
            )
        return counts.pop()

    def _row_lines(self, line: int, count: int) -> tuple[int, ...]:
        """A readout's rows, or an output bias's numbers, as lines: the first is what the network was built with."""
        if line not in self.rows:
            first = self.builder.lines[line]
            assert first.expr is not None
            self.builder.origin = first.origin
            names = [first.name if count == 1 else f"{first.name}[{j + 1}]" for j in range(count)]
            if first.dims:
                width = str(first.dims[0])
                more = [self.builder.gaussian(x, width, ZERO, first.expr, True) for x in names[1:]]
                self.rows[line] = (line, *more)
            else:
                self.rows[line] = tuple(self.builder.state(x, first.mean, first.expr) for x in names)
        return self.rows[line]

    def _regime(self) -> Regime:
        """The parameters with their powers of the width, and what comes of them."""
        node = self.settings.get("parametrization")
        named = None if node is None else parametrization(node, self.evaluator, self.home.globals)
        spans = {x.name: x.span for x in self.node.settings}
        found = described(self.network, self.evaluator, named, spans, self.node.span)
        regime = classify([x.parameter for x in found])
        count = self._row_count()
        self.parameters = tuple(
            Trained(
                x.parameter.name, x.parameter.group,
                self._row_lines(x.line, count) if x.parameter.group in ("readout", "bias") else (x.line,),
                x.variance, x.step,
            )
            for x in found
        )  # fmt: skip
        self.scale = ONE
        if regime.u != 1:
            self.builder.define_constant(OUTPUT_SCALE, ONE)
            self.scale = symbol(OUTPUT_SCALE)
        return regime

    # ------------------------------------------------------------------------------------------ losses
    def _outputs(self, applied: Applied) -> np.ndarray:
        """Lines of the outputs' values, [positions, k]: n^(1-u) Σ avg(v x) + Σ c k."""
        count = self._row_count()
        self.builder.label = applied.label
        lines = np.empty((len(applied.outputs), count), dtype=int)
        for p, output in enumerate(applied.outputs):
            widths = dict(output.widths)
            for j in range(count):
                terms = []
                for readout, x in output.vectors:
                    row = self._row_lines(readout, count)[j]
                    average = ref(self.builder.moment(mul(ref(row), x), widths[readout]))
                    terms.append(mul(self.scale, self.builder.ratio(widths[readout]), average))
                terms += [mul(k, ref(self._row_lines(c, count)[j])) for c, k in output.biases]
                name = self.node.network + ("" if lines.size == 1 else f"[{p * count + j + 1}]") + applied.label
                lines[p, j] = self.builder.map(add(*terms), None, name)
                self.builder.rename(int(lines[p, j]), name)
        applied.lines = lines
        return lines

    def _test(self, applied: Applied, targets: np.ndarray | None) -> Example:
        lines = self._outputs(applied)
        loss = None if targets is None else self._loss(lines, targets)
        return Example(applied.label[1:-1], lines, loss, targets, None)

    def _example(self, applied: Applied, targets: np.ndarray) -> Example:
        build = self.builder
        build.at(self.settings_span("loss"), "training")
        lines = self._outputs(applied)
        loss = self._loss(lines, targets)
        signals: dict[int, int] = {}
        wanted = {int(i) for i in lines.ravel()}
        for i, partial in partial_derivatives(loss, wanted):
            signals[i] = build.map(partial, None, f"chi{applied.label}" if len(wanted) == 1 else None)
        seeds: list[tuple[int, Expr]] = []
        readouts: dict[int, list[tuple[int, int]]] = {}
        biases: dict[int, list[tuple[int, Expr]]] = {}
        for p, output in enumerate(applied.outputs):
            widths = dict(output.widths)
            chi = [signals[int(i)] for i in lines[p]]
            for readout, x in output.vectors:
                line, rows = build.map(x, widths[readout]), self.rows[readout]
                seeds.append((line, add(*(mul(ref(c), ref(row)) for c, row in zip(chi, rows, strict=True)))))
                if build.trained[readout]:
                    for c, row in zip(chi, rows, strict=True):
                        readouts.setdefault(row, []).append((c, line))
            for bias, k in output.biases:
                for c, row in zip(chi, self.rows[bias], strict=True):
                    biases.setdefault(row, []).append((c, k))
        return Example(applied.label[1:-1], lines, loss, targets,
                       Updates(backward(build, seeds, applied.label), readouts, biases))  # fmt: skip

    # ------------------------------------------------------------------------------------------ kernels
    def kernels(self) -> Kernels:
        """Kernels between all outputs, and the backward passes that the tangent kernel needs."""
        build = self.builder
        build.at(self.node.span, "kernels of training")
        outputs: list[RandomOutput] = []
        gradients: list[Contributions] = []
        for applied in (*self.applied, *self.tests):
            for p, output in enumerate(applied.outputs):
                widths = dict(output.widths)
                vectors = tuple((v, ref(build.map(x, widths[v]))) for v, x in output.vectors)
                outputs.append(RandomOutput(vectors, output.biases, output.widths))
                label = applied.label if len(applied.outputs) == 1 else f"{applied.label[:-1]}; {p + 1}}}"
                gradients.append(backpropagate(build, outputs[-1], label))
        count = len(outputs)
        build.spend(count * (count + 1))
        nngp, tangent = np.empty((count, count), dtype=int), np.empty((count, count), dtype=int)
        starts, moves = self._weights()
        for i in range(count):
            for j in range(i + 1):
                nngp[i, j] = nngp[j, i] = build.map(covariance(build, outputs[i], outputs[j], starts), None)
                entry = tangent_kernel(build, gradients[i], gradients[j], moves)
                tangent[i, j] = tangent[j, i] = build.map(entry, None)
        return Kernels(nngp, tangent)

    def _weights(self) -> tuple[Weight, Weight]:
        """By a parameter's line: its variance if it is seen in f_0, its step if its updates are seen in f."""
        first = {line: rows[0] for line, rows in self.rows.items()}
        by_line = {p.lines[0]: (p, self.regime.role(p.name)) for p in self.parameters}

        def starts(line: int) -> Expr:
            p, role = by_line[first.get(line, line)]
            standard = Fraction(1, 2) if p.group == "readout" else Fraction(0)
            return from_float(p.variance) if role.parameter.scale.init == standard else ZERO

        def moves(line: int) -> Expr:
            p, role = by_line[first.get(line, line)]
            return from_float(p.step) if role.in_kernel else ZERO

        return starts, moves

    def settings_span(self, name: str) -> Any:
        return next((x.span for x in self.node.settings if x.name == name), self.node.span)

    def _loss(self, lines: np.ndarray, targets: np.ndarray) -> Expr:
        """The loss of one example over its output lines: the mean over its positions."""
        if "loss" not in self.settings:
            raise Mistake(self.node.span, "a `train` block needs a `loss`", "for instance `loss = (f - y)^2 / 2`")
        total = [self._position_loss(lines[p], targets[p]) for p in range(len(lines))]
        return mul(number(1) if len(total) == 1 else from_float(1 / len(total)), add(*total))

    def _position_loss(self, lines: np.ndarray, targets: np.ndarray) -> Expr:
        node = self.settings["loss"]
        outputs: tuple[Any, ...] = tuple(Coordinatewise(ref(int(i))) for i in lines)
        y = self.node.targets.name
        scope: Scope = {
            **self.home.globals,
            self.node.network: outputs[0] if len(outputs) == 1 else Listing(outputs),
            y: Array(targets, y) if targets.ndim else Coordinatewise(from_float(float(targets))),
        }
        special = self.evaluator.special
        self.evaluator.special = {**special, **dict.fromkeys(LOSSES, self._named_loss)}
        try:
            value = self.evaluator.value(node, scope)
        finally:
            self.evaluator.special = special
        if not isinstance(value, Coordinatewise) or value.width is not None:
            hint = f"sum over the outputs, or use `squared({self.node.network}, {y})`" if len(outputs) > 1 else None
            raise Mistake(node.span, f"a loss is a number, but this is {describe(value)}", hint)
        return value.expr

    def _named_loss(self, node: s.Call, scope: Scope) -> Any:
        """squared(f, y), logistic(f, y), cross_entropy(f, y)."""
        if len(node.arguments) != 2 or node.keywords:
            raise Mistake(node.span, f"`{node.function}` takes the outputs and the targets",
                          f"`{node.function}({self.node.network}, {self.node.targets.name})`")  # fmt: skip
        f = self._numbers(self.evaluator.value(node.arguments[0], scope), node.arguments[0])
        y = self._numbers(self.evaluator.value(node.arguments[1], scope), node.arguments[1])
        try:
            return Coordinatewise(LOSSES[node.function](f, y))
        except Unfit as problem:
            raise Mistake(node.span, str(problem)) from None

    def _numbers(self, value: Any, node: s.Expr) -> list[Expr]:
        if isinstance(value, Array) and value.array.ndim == 1:
            return [from_float(float(x)) for x in value.array]
        items = value.items if isinstance(value, Listing) else (value,)
        if not all(isinstance(x, Coordinatewise) and x.width is None for x in items):
            raise Mistake(node.span, f"a loss is a function of numbers, but this is {describe(value)}")
        return [x.expr for x in items]

    # ------------------------------------------------------------------------------------------ settings
    def _schedule(self, count: int) -> Schedule:
        steps = self._integer("steps", None, 0, 10**7)
        batch = self._integer("batch", count, 1, count)
        every = self._integer("record", max(1, -(-steps // (DEFAULT_RECORDS - 1))), 1, 10**7)
        records = tuple(sorted({*range(0, steps + 1, every), steps}))
        return Schedule(
            steps, self._over_steps("rate", None, steps), self._over_steps("momentum", ZERO, steps, most=1),
            self._over_steps("weight_decay", ZERO, steps), batch, self._order(), records,
        )  # fmt: skip

    def _integer(self, name: str, default: int | None, least: int, most: int) -> int:
        node = self.settings.get(name)
        if node is None:
            if default is None:
                raise Mistake(self.node.span, f"a `train` block needs `{name}`", f"for instance `{name} = 50`")
            return default
        value = self.evaluator.integer(node, self.home.globals, f"`{name}`")
        if not least <= value <= most:
            raise Mistake(node.span, f"`{name}` is {value:,}; it must lie between {least} and {most:,}")
        return value

    def _over_steps(self, name: str, default: Expr | None, steps: int, most: float = math.inf) -> Expr:
        """A number, or an expression in the step t; from 0 to `most` at every step."""
        node = self.settings.get(name)
        if node is None:
            if default is None:
                raise Mistake(self.node.span, f"a `train` block needs a `{name}`", f"for instance `{name} = 0.5`")
            return default
        values = self.builder.values
        before = values.get(STEP)
        values[STEP] = 0.0
        try:
            expr = self.evaluator.constant(node, {**self.home.globals, STEP: Coordinatewise(symbol(STEP))}, f"`{name}`")
        finally:
            values.pop(STEP) if before is None else values.update({STEP: before})
        looked = range(0, max(steps, 1), max(1, steps // LOOKED_AT))
        limits = "at least 0" if most == math.inf else f"between 0 and {most:g}"
        for t in looked if STEP in leaves(expr, "symbol") else looked[:1]:
            try:
                found = evaluate(expr, {**values, STEP: float(t)})
            except (ArithmeticError, ValueError):
                found = math.nan
            if not (0 <= found <= most and math.isfinite(found)):
                what = "has no value" if math.isnan(found) else f"is {found:g}"
                raise Mistake(node.span, f"`{name}` {what}{f' at step {t}' if t else ''}; it must be {limits}")
        return expr

    def _order(self) -> int | None:
        node = self.settings.get("order")
        if node is None or (isinstance(node, s.Name) and node.name == GIVEN):
            return None
        if isinstance(node, s.Call) and node.function == SHUFFLED:
            seeds = [x for k, x in node.keywords if k == "seed"] + list(node.arguments)
            return self.evaluator.integer(seeds[0], self.home.globals, "a seed") if seeds else 0
        raise Mistake(node.span, "the order of examples is `given` or `shuffled(seed=0)`")

    def _word(self, name: str, default: str) -> str:
        node = self.settings.get(name)
        return node.name if isinstance(node, s.Name) else default
