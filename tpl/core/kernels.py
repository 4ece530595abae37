"""`nngp(f, X)` and `ntk(f, X)` as core lines.

NNGP: the covariance of the outputs, Σ_v s_v² ⟨x_v, x_v'⟩ + Σ_c s_c² k_c k_c' over readouts v and output biases c.
NTK: Σ over parameters of ⟨∂f, ∂f'⟩ with respect to their unit-variance versions (W = σ ω/√n), so that it converges.
Both are per output coordinate: the rows of a readout [k, n] are iid, and outputs of different rows are independent.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tpl.core.builder import Builder
from tpl.core.expr import ONE, ZERO, Expr, add, mul, ref
from tpl.core.expressions import Evaluator, Scope, describe
from tpl.core.gradient import Contributions, backpropagate
from tpl.core.inputs import split
from tpl.core.values import (
    Array,
    Coordinatewise,
    Listing,
    Mistake,
    NetworkValue,
    RandomOutput,
    Sequences,
    Silent,
    Unknown,
)
from tpl.language import syntax as s
from tpl.language.source import Span

Apply = Callable[[NetworkValue, list[Array], str], Any]


class Kernels:
    """The kernels of networks over data. `apply` runs a network on inputs.

    weights: what takes the place of a param's variance in a kernel, by the kernel's name and where the param is drawn.
    entries: are they found? If not, 0 stands for each, beside the vectors that they are made of.
    """

    def __init__(self, evaluator: Evaluator, apply: Apply):
        self.evaluator = evaluator
        self.builder = evaluator.builder
        self.apply = apply
        self.entries = True
        self.weights: Mapping[tuple[str, Span | None], Expr] = {}
        self._outputs: dict[tuple, tuple[tuple[int, ...], list[RandomOutput], list[str]]] = {}
        self._gradients: dict[tuple, list[Contributions]] = {}

    def nngp(self, node: s.Call, scope: Scope) -> Any:
        _, shape, outputs, _ = self._instances(node, scope)
        self.builder.at(node.span, "covariance of the outputs")
        weight = self._weight("nngp")
        return self._matrix(
            shape, len(outputs), lambda i, j: covariance(self.builder, outputs[i], outputs[j], weight), node
        )

    def ntk(self, node: s.Call, scope: Scope) -> Any:
        key, shape, outputs, labels = self._instances(node, scope)
        if key not in self._gradients:
            self._gradients[key] = [
                backpropagate(self.builder, f, label) for f, label in zip(outputs, labels, strict=True)
            ]
        gradients = self._gradients[key]
        self.builder.at(node.span, "tangent kernel")
        weight = self._weight("ntk")
        return self._matrix(
            shape, len(outputs), lambda i, j: tangent_kernel(self.builder, gradients[i], gradients[j], weight), node
        )

    # ------------------------------------------------------------------------------------------ instances
    def _instances(self, node: s.Call, scope: Scope) -> tuple[tuple, tuple[int, ...], list[RandomOutput], list[str]]:
        network, arrays = self._arguments(node, scope)
        key = (id(network), tuple(id(x.array if isinstance(x, Array) else x.rows) for x in arrays))
        if key not in self._outputs:
            self._outputs[key] = self._run(network, arrays, node)
        return key, *self._outputs[key]

    def _arguments(self, node: s.Call, scope: Scope) -> tuple[NetworkValue, list[Array | Sequences]]:
        if node.keywords or not node.arguments:
            raise Mistake(node.span, f"`{node.function}` takes a network and its data", f"`{node.function}(f, X)`")
        network = self.evaluator.value(node.arguments[0], scope)
        if not isinstance(network, NetworkValue):
            what = f"{self.evaluator.quote(node.arguments[0].span)} is {describe(network)}"
            raise Mistake(node.arguments[0].span, f"`{node.function}` takes a network, but {what}",
                          f"`{node.function}(f, X)`")  # fmt: skip
        inputs = network.syntax.inputs
        if len(node.arguments) - 1 != len(inputs):
            wants = "an input" if len(inputs) == 1 else f"{len(inputs)} inputs"
            raise Mistake(node.span, f"`{network.syntax.name}` has {wants}, but {len(node.arguments) - 1} are given",
                          f"`{node.function}({network.syntax.name}, {', '.join('X' for _ in inputs)})`")  # fmt: skip
        arrays: list[Array | Sequences] = []
        for argument in node.arguments[1:]:
            value = self.evaluator.value(argument, scope)
            if not isinstance(value, Array | Sequences):
                what = f"{self.evaluator.quote(argument.span)} is {describe(value)}"
                raise Mistake(argument.span, f"a network is evaluated on data, but {what}",
                              "for instance `data X[N, d] = …`")  # fmt: skip
            arrays.append(value)
        return network, arrays

    def _run(self, network: NetworkValue, arrays: list[Array | Sequences], node: s.Call) -> Any:
        """Apply the network to each input. Returns the kernel's axes, the outputs, and a label for each."""
        along, inputs = split(network, arrays, node.span)
        count = len(inputs)
        self.evaluator.enter_range(count * (count + 1) // 2, node.span)
        per_input = [self._one(network, x.arrays, x.label) for x in inputs]
        if not along:
            return per_input[0]
        if len({shape for shape, _, _ in per_input}) > 1:
            raise Mistake(_return_span(network), "sequences of unequal length have unequal numbers of outputs here",
                          "their kernel is no array: return one output, such as an average over the sequence")  # fmt: skip
        shape = (count, *per_input[0][0])
        return shape, [f for _, fs, _ in per_input for f in fs], [t for _, _, ts in per_input for t in ts]

    def _one(self, network: NetworkValue, arrays: list[Array], label: str) -> tuple[tuple[int, ...], list, list[str]]:
        value = self.apply(network, arrays, label)
        if isinstance(value, Unknown):
            raise Silent
        shape, outputs = self.collect(value, network)
        labels = [label if len(outputs) == 1 else f"{label[:-1]}; {i + 1}}}" for i in range(len(outputs))]
        self.builder.at(_return_span(network))
        return shape, [self._on_lines(f, network.syntax.name + t) for f, t in zip(outputs, labels, strict=True)], labels

    def collect(self, value: Any, network: NetworkValue) -> tuple[tuple[int, ...], list[RandomOutput]]:
        """What a network returned, as an array's shape and its outputs. Raises Mistake if it is no readout."""
        if isinstance(value, Listing):
            parts = [self.collect(v, network) for v in value.items]
            if len({shape for shape, _ in parts}) != 1:
                raise Mistake(_return_span(network), "the outputs returned form no rectangular array")
            return (len(parts), *parts[0][0]), [f for _, fs in parts for f in fs]
        if not isinstance(value, RandomOutput) or (not value.vectors and not value.biases):
            what = f"{self.evaluator.quote(_return_span(network))} is {describe(value)}"
            raise Mistake(_return_span(network), f"a network returns a readout of its features, but {what}",
                          "for instance `param v : [1, n] ~ N(0, 1/n)` and `return v @ x`")  # fmt: skip
        return (), [value]

    def _on_lines(self, f: RandomOutput, name: str) -> RandomOutput:
        """Give every vector that meets a readout a line, and the output one of its own.

        An output line sums over one width: of several, each but the last has an output of its own, added like a bias.
        """
        widths = dict(f.widths)
        vectors = tuple((v, ref(self.builder.map(x, widths[v]))) for v, x in f.vectors)
        sums: dict[str, list[Expr]] = {}
        for v, x in vectors:
            sums.setdefault(widths[v], []).append(mul(ref(v), x))
        biases = f.biases
        for count, (width, terms) in enumerate(sums.items(), 1):
            whole = count == len(sums)
            own = name if whole else name.replace("{", f"_{width}{{", 1)
            part = self.builder.output(add(*terms), biases if whole else (), own)
            biases = (*biases, (part, ONE))
        return RandomOutput(vectors, f.biases, f.widths)

    def _weight(self, kernel: str) -> "Weight":
        """The variance of a line's entries, times n for a matrix of two widths; or what `weights` says."""

        def weight(line: int) -> Expr:
            expr = self.builder.lines[line].expr
            assert expr is not None
            given = self.weights.get((kernel, self.builder.lines[line].origin.span))
            return given if given is not None else self.builder.without_widths(expr)

        return weight

    def _matrix(self, shape: tuple[int, ...], count: int, entry: Callable[[int, int], Expr], node: s.Call) -> Listing:
        self.builder.spend(count * (count + 1) // 2)
        made = entry if self.entries else lambda i, j: ZERO
        lower = [[ref(self.builder.map(made(i, j), None)) for j in range(i + 1)] for i in range(count)]
        full = [[Coordinatewise(lower[max(i, j)][min(i, j)]) for j in range(count)] for i in range(count)]
        return _nest([_nest(row, shape) for row in full], shape) if shape else Listing((Listing((full[0][0],)),))


Weight = Callable[[int], Expr]  # of a parameter's line


def covariance(builder: Builder, f: RandomOutput, g: RandomOutput, weight: Weight) -> Expr:
    """Σ_v weight(v) ⟨x_v, x_v'⟩ + Σ_c weight(c) k_c k_c': with variances, the covariance of two outputs.

    Both outputs are on lines: what meets a readout is a reference.
    """
    other, widths = dict(g.vectors), dict(f.widths)
    terms = []
    for v, x in f.vectors:
        if v in other:
            terms.append(mul(weight(v), builder.ratio(widths[v]), builder.inner(_line(x), _line(other[v]))))
    other_biases = dict(g.biases)
    terms += [mul(weight(c), k, other_biases[c]) for c, k in f.biases if c in other_biases]
    return add(*terms)


def tangent_kernel(builder: Builder, f: Contributions, g: Contributions, weight: Weight) -> Expr:
    """Σ over parameters of weight · ⟨∂f, ∂f'⟩: with variances, for derivatives by unit-variance parameters."""
    inner = builder.inner
    terms: list[Expr] = []
    for v, x in f.readouts.items():
        if v in g.readouts:
            terms.append(mul(weight(v), _ratio_of(builder, v), inner(x, g.readouts[v])))
    for c, k in f.biases.items():
        if c in g.biases:
            terms.append(mul(weight(c), k, g.biases[c]))
    for b, d in f.vectors.items():
        if b in g.vectors:
            terms.append(mul(weight(b), _ratio_of(builder, b), inner(d, g.vectors[b])))
    for u, pairs in f.inputs.items():
        total = [mul(inner(d, e), builder.dot(row, column)) for d, row in pairs for e, column in g.inputs.get(u, [])]
        terms.append(mul(weight(u), _ratio_of(builder, u), add(*total)))
    for w, factors in f.matrices.items():
        both = [mul(inner(a, c), inner(b, d)) for a, b in factors for c, d in g.matrices.get(w, [])]
        ratios = mul(*(builder.ratio(str(d)) for d in builder.lines[w].dims))
        terms.append(mul(weight(w), ratios, add(*both)))
    return add(*(t for t in terms if not t.is_value(0)))


def _ratio_of(builder: Builder, line: int) -> Expr:
    return builder.ratio(str(builder.lines[line].dims[0]))


def _line(expr: Expr) -> int:
    return int(expr.value)  # type: ignore[arg-type]


def _nest(items: list[Any], shape: tuple[int, ...]) -> Listing:
    if len(shape) <= 1:
        return Listing(tuple(items))
    step = len(items) // shape[0]
    return Listing(tuple(_nest(items[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])))


def _return_span(network: NetworkValue) -> Any:
    for statement in reversed(network.syntax.body):
        if isinstance(statement, s.Return):
            return statement.value.span
    return network.syntax.name_span
