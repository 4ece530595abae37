"""A network that is trained, elaborated for its derivation: two inputs in general position, loops of five iterations.

Only the structure is asked for: which lines there are, and which products. So every parameter starts at unit variance, and
counts as trained.
"""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from tpl.core.elaborate import Limits, elaborate
from tpl.core.program import Program, verify
from tpl.data import from_array
from tpl.language import syntax as s
from tpl.language.source import Diagnostic, Source, TplError
from tpl.limit.derive import LONG_ENOUGH, Plan, loop_ends
from tpl.limit.naming import Variable

INPUTS = 2


def train_block(file: s.File) -> s.Train:
    """The file's `train` block. Raises StopIteration if it has none."""
    return next(x for x in file.statements if isinstance(x, s.Train))


def generic_training(
    file: s.File, source: Source, shapes: Mapping[str, tuple[int, ...]], limits: Limits
) -> tuple[Program, Plan]:
    """The forward and the backward pass of the trained network, and the plan that it was elaborated by.

    Raises TplError for networks that take all inputs at once.
    """
    train = train_block(file)
    network = next(x for x in file.statements if isinstance(x, s.Network) and x.name == train.network)
    for declared, given in zip(network.inputs, train.inputs, strict=True):
        if len(shapes[given.name]) != len(declared.dims) + 1:
            raise TplError(source, [Diagnostic(train.span, f"`{network.name}` takes all inputs at once: its training has "
                                    "no equations for one input", "`tpl train` computes its limit")])  # fmt: skip
    sizes = _sizes(file, train)
    arrays = _arrays(file, shapes, {x.name for x in train.inputs}, sizes)
    statements = [_generic(x, arrays, set(sizes)) for x in file.statements if not isinstance(x, (s.Train, s.Show))]
    at = train.span
    kernel = s.Call("ntk", (s.Name(network.name, at), *train.inputs), (), at, at)
    shown = s.Show((kernel,), at)
    rows, labels = _rows(train, arrays)
    plan = Plan((), arrays, rows, labels)
    data = {name: from_array(name, array, limits.max_memory) for name, array in arrays.items()}
    program, _ = elaborate(replace(file, statements=(*statements, shown)), source, data, limits, (), rows)
    return verify(program), plan


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


def _rows(
    train: s.Train, arrays: Mapping[str, np.ndarray]
) -> tuple[dict[tuple[float, ...], int], dict[int, Variable]]:
    """The inputs' vectors by number, and their names."""
    rows: dict[tuple[float, ...], int] = {}
    labels: dict[int, Variable] = {}
    for name in dict.fromkeys(x.name for x in train.inputs):
        array = arrays[name]
        for index in np.ndindex(array.shape[:-1]):
            number = rows.setdefault(tuple(array[index].tolist()), len(rows))
            labels[number] = Variable("ξ", tuple(i + 1 for i in index[1:]), index[0] + 1)
    return rows, labels


def _generic(node: s.Statement, arrays: Mapping[str, np.ndarray], set_: set[str]) -> s.Statement:
    if isinstance(node, s.Const) and node.name in set_:
        return replace(node, value=s.Number(Fraction(LONG_ENOUGH), node.value.span))
    if isinstance(node, s.Data) and node.name in arrays:
        dims = tuple(
            s.Number(Fraction(size), d.span) if isinstance(d, s.Number) else d
            for d, size in zip(node.dims, arrays[node.name].shape, strict=True)
        )
        return replace(node, dims=dims)
    if isinstance(node, s.Network | s.Loop):
        return replace(node, body=tuple(_generic(x, arrays, set_) for x in node.body))
    if isinstance(node, s.Draw) and node.keyword == "param" and isinstance(node.law, s.Call):
        return replace(node, law=_unit(node.law, node.shape), rate=None)
    return node


def _unit(law: s.Call, shape: tuple[s.Expr, ...]) -> s.Call:
    """N(mean, 1), or N(0, 1/n) for what is summed over a width n."""
    at = law.span
    one = s.Number(Fraction(1), at)
    summed = len(shape) > 1
    variance = s.Chain(one, (("/", shape[-1]),), at) if summed else one
    return replace(law, arguments=(law.arguments[0], variance))

