"""A network that is trained, elaborated for its derivation: two inputs in general position, loops of five iterations.

Where features are learned, only the structure is asked for: which lines there are, and which products. So every parameter then
starts at unit variance. In the kernel regime the kernels are those of what counts there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from tpl.core.elaborate import Limits, elaborate
from tpl.core.expr import ZERO, Expr, from_float
from tpl.core.functions import CALLABLE
from tpl.core.program import Program, verify
from tpl.core.training import Training
from tpl.data import from_array
from tpl.language import syntax as s
from tpl.language.source import Diagnostic, Source, Span, TplError
from tpl.language.spell_out import Introduced, spell_out
from tpl.limit.generic import LONG_ENOUGH, Plan, loop_ends
from tpl.limit.naming import Variable

INPUTS = 2


def train_block(file: s.File) -> s.Train:
    """The file's `train` block. Raises StopIteration if it has none."""
    return next(x for x in file.statements if isinstance(x, s.Train))


@dataclass(frozen=True)
class Generic:
    """A program elaborated for its derivation, its syntax, the plan, and the names given to what has none.

    weights: what takes the place of variances in its kernels, as in `tpl.core.kernels`.
    """

    program: Program
    file: s.File
    plan: Plan
    introduced: tuple[Introduced, ...] = ()
    weights: Mapping[tuple[str, Span | None], Expr] = field(default_factory=dict)


def generic_training(file: s.File, source: Source, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> Generic:
    """The forward and the backward pass of the trained network. Raises TplError for networks that take all inputs at once."""
    widths = _widths(file)
    return _elaborated(
        file, source, shapes, limits, ("ntk",), lambda x: _with_variance(x, Fraction(1), widths), {}, False
    )


def generic_kernels(
    training: Training,
    file: s.File,
    source: Source,
    shapes: Mapping[str, tuple[int, ...]],
    limits: Limits,
    name_all: bool,
) -> Generic:
    """The kernels of the kernel regime: over what is seen in outputs at the start, and over what moves them.

    name_all: what the network leaves nameless gets a name (`spell_out`).
    """
    widths = _widths(file)
    at_start: dict[Span | None, Fraction] = {}
    weights: dict[tuple[str, Span | None], Expr] = {}
    for p in training.parameters:
        role = training.regime.role(p.name)
        span = training.program.lines[p.lines[0]].origin.span
        standard = Fraction(1, 2) if p.group == "readout" else Fraction(0)
        if role.parameter.scale.init != standard:
            weights["nngp", span] = ZERO
        if not role.in_kernel:
            weights["ntk", span] = ZERO
        elif role.parameter.own_rate:
            weights["ntk", span] = from_float(p.step)
        if role.init != 0 or role.parameter.own_rate:
            at_start[span] = Fraction(p.variance).limit_denominator(10**9) if role.init == 0 else Fraction(0)

    def drawn(node: s.Draw) -> s.Draw:
        given = at_start.get(node.span)
        return node if given is None else _with_variance(node, given, widths)

    return _elaborated(file, source, shapes, limits, ("nngp", "ntk"), drawn, weights, name_all)


def _elaborated(
    file: s.File, source: Source, shapes: Mapping[str, tuple[int, ...]], limits: Limits, kernels: tuple[str, ...],
    drawn: Callable[[s.Draw], s.Draw], weights: Mapping[tuple[str, Span | None], Expr], name_all: bool,
) -> Generic:  # fmt: skip
    train = train_block(file)
    network = next(x for x in file.statements if isinstance(x, s.Network) and x.name == train.network)
    for declared, given in zip(network.inputs, train.inputs, strict=True):
        if len(shapes[given.name]) != len(declared.dims) + 1:
            raise TplError(source, [Diagnostic(train.span, f"`{network.name}` takes all inputs at once: its training has "
                                    "no equations for one input", "`tpl train` computes its limit")])  # fmt: skip
    sizes = _sizes(file, train)
    arrays = _arrays(file, shapes, {x.name for x in train.inputs}, sizes)
    above = [x for x in file.statements if not isinstance(x, (s.Train, s.Show))]
    at = train.span
    shown = [s.Show((s.Call(k, (s.Name(network.name, at), *train.inputs), (), at, at),), at) for k in kernels]
    made = replace(file, statements=(*(_generic(x, arrays, set(sizes), drawn) for x in above), *shown))
    introduced: tuple[Introduced, ...] = ()
    if name_all:
        made, introduced = spell_out(made, source, frozenset(CALLABLE))
    rows, labels = _rows(train, arrays)
    data = {name: from_array(name, array, limits.max_memory) for name, array in arrays.items()}
    program, _ = elaborate(made, source, data, limits, (), rows, weights)
    shows = tuple(replace(x, name=f"{k}({network.name}, X)") for k, x in zip(kernels, program.shows, strict=True))
    return Generic(verify(replace(program, shows=shows)), made, Plan((), arrays, rows, labels), introduced, weights)


def _sizes(file: s.File, train: s.Train) -> dict[str, int]:
    """Names of sizes that a derivation sets: ends of loops, and how many inputs there are."""
    inputs = {x.name for x in train.inputs}
    counts = {d.dims[0].name for d in file.statements
              if isinstance(d, s.Data) and d.name in inputs and isinstance(d.dims[0], s.Name)}  # fmt: skip
    return dict.fromkeys(loop_ends(file), LONG_ENOUGH) | dict.fromkeys(counts, INPUTS)


def _arrays(
    file: s.File, shapes: Mapping[str, tuple[int, ...]], inputs: set[str], sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(20_241_107)
    arrays = {}
    for data in (x for x in file.statements if isinstance(x, s.Data) and x.name in shapes):
        named = [d.name if isinstance(d, s.Name) else "" for d in data.dims]
        shape = [sizes.get(name, size) for name, size in zip(named, shapes[data.name], strict=True)]
        if data.name in inputs:
            shape[0] = INPUTS
        arrays[data.name] = rng.standard_normal(shape)
    return arrays


def _rows(train: s.Train, arrays: Mapping[str, np.ndarray]) -> tuple[dict[tuple[float, ...], int], dict[int, Variable]]:
    """The inputs' vectors by number, and their names."""
    rows: dict[tuple[float, ...], int] = {}
    labels: dict[int, Variable] = {}
    for name in dict.fromkeys(x.name for x in train.inputs):
        array = arrays[name]
        for index in np.ndindex(array.shape[:-1]):
            number = rows.setdefault(tuple(array[index].tolist()), len(rows))
            labels[number] = Variable("ξ", tuple(i + 1 for i in index[1:]), index[0] + 1)
    return rows, labels


def _generic(
    node: s.Statement, arrays: Mapping[str, np.ndarray], ends: set[str], drawn: Callable[[s.Draw], s.Draw]
) -> s.Statement:
    """A statement with sizes of the derivation, and params drawn as they are to be."""
    if isinstance(node, s.Const) and node.name in ends:
        return replace(node, value=s.Number(Fraction(LONG_ENOUGH), node.value.span))
    if isinstance(node, s.Data) and node.name in arrays:
        dims = tuple(
            s.Number(Fraction(size), d.span) if isinstance(d, s.Number) else d
            for d, size in zip(node.dims, arrays[node.name].shape, strict=True)
        )
        return replace(node, dims=dims)
    if isinstance(node, s.Network | s.Loop):
        return replace(node, body=tuple(_generic(x, arrays, ends, drawn) for x in node.body))
    if isinstance(node, s.Draw) and node.keyword == "param" and isinstance(node.law, s.Call):
        return replace(drawn(node), rate=None)
    return node


def _with_variance(node: s.Draw, coefficient: Fraction, widths: Sequence[str]) -> s.Draw:
    """N(mean, coefficient), or N(0, coefficient/n) for what is summed over a width."""
    law = node.law
    assert isinstance(law, s.Call)
    last, at = node.shape[-1], law.span
    variance: s.Expr = s.Number(coefficient, at)
    if len(node.shape) > 1 and isinstance(last, s.Name) and last.name in widths:
        variance = s.Chain(variance, (("/", s.Name(widths[0], at)),), at)
    return replace(node, law=replace(law, arguments=(law.arguments[0], variance)))


def _widths(file: s.File) -> list[str]:
    """The widths of a file, the base width first."""
    return [x.name for x in file.statements if isinstance(x, s.Width)]
