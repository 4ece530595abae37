"""Kernels of networks over data by pairs: from a compiled program to its `PairProgram`, where its inputs do not interact.

The program is elaborated again on two inputs in general position, whose inner products stay symbols; the law of that
pair is the law of every pair.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from tpl.core.elaborate import Limits, elaborate
from tpl.core.program import Program, verify
from tpl.data import DataError, Dataset, from_array, load_source
from tpl.language import syntax as s
from tpl.language.source import Diagnostic, Source, TplError
from tpl.limit.refusal import no_limit_reported
from tpl.numeric.kernel import Kernel, kernel_matrix
from tpl.numeric.pairwise_code import PairProgram
from tpl.numeric.pairwise_law import NotPairwise
from tpl.numeric.plan import Choice, grouped
from tpl.pipeline import Compiled, compile_program

KERNELS = ("nngp", "ntk")
MAX_LINES = 10_000  # of the core program of a pair; beyond, its law takes long
RUN_LINES = 2_000  # beyond, sampling answers sooner
MANY = 8  # inputs of which a program is not written out, if pairs say it all
FEW = 3
_SHOWN = re.compile(r"(nngp|ntk)\((\w+), ?(\w+)\)")


@dataclass(frozen=True)
class Shown:
    """A kernel that a program shows: of a network over data."""

    kernel: str
    network: str
    data: str


def shown_kernels(compiled: Compiled) -> list[Shown | None]:
    """What each show asks for; None for what is no kernel over named data."""
    found = (_SHOWN.fullmatch(x.name) for x in compiled.program.shows)
    return [Shown(*m.groups()) if m is not None else None for m in found]


@dataclass(frozen=True)
class PairKernel:
    """The pair law of a network over data of one shape, ready to be evaluated. identity: the text of what it computes."""

    program: PairProgram
    identity: str
    shape: tuple[int, ...]

    def __call__(self, left: np.ndarray, right: np.ndarray | None = None, **options: Any) -> Kernel:
        """Kernels of all pairs of inputs; see `kernel_matrix`."""
        sides = [None if x is None else self._rows(x) for x in (left, right)]
        assert sides[0] is not None
        return kernel_matrix(self.program, sides[0], sides[1], identity=self.identity, **options)

    def diagonal(self, array: np.ndarray, name: str) -> np.ndarray:
        """K(ξ, ξ) of every input, [N]; of every input and output where there are several, [N, …]."""
        found = self.program.prepare(self._rows(array))[0].diagonal[name]
        return np.einsum("nee->ne", found).reshape(-1, *self.program.extra)

    def _rows(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array, dtype=np.float64).reshape(len(array), -1, self.shape[-1])


def pair_kernel(
    compiled: Compiled, limits: Limits, shown: Shown, kernels: Sequence[str], shape: tuple[int, ...],
    max_lines: int = MAX_LINES,
) -> PairKernel:  # fmt: skip
    """The pair law of kernels ("nngp", "ntk") for inputs of a shape.

    Raises NotPairwise where inputs interact or the law of a pair holds something without a rule.
    """
    statement = next(x for x in compiled.file.statements if isinstance(x, s.Data) and x.name == shown.data)
    network = next(x for x in compiled.file.statements if isinstance(x, s.Network) and x.name == shown.network)
    if len(network.inputs) != 1 or len(network.inputs[0].dims) != len(statement.dims) - 1:
        raise NotPairwise("a network that is not applied to one input at a time")
    count = statement.dims[0]
    others = [x for x in compiled.file.statements if not isinstance(x, s.Data)]
    if isinstance(count, s.Name) and _mentions(others, count.name):
        raise NotPairwise(f"the number of inputs, `{count.name}`, is part of the network")
    first, second = (_elaborated(compiled, limits, shown, kernels, shape, seed) for seed in (1, 2))
    if len(first[0].lines) > max_lines:
        raise NotPairwise(f"the core program of two inputs has {len(first[0].lines):,} lines")
    if _without_data(first[0]) != _without_data(second[0]):
        raise NotPairwise("entries of the inputs that act on their own")
    return _lowered(*first, kernels, shape)


def _mentions(node: Any, name: str) -> bool:
    if isinstance(node, s.Name):
        return node.name == name
    if isinstance(node, list | tuple):
        return any(_mentions(x, name) for x in node)
    return any(_mentions(getattr(node, f), name) for f in getattr(node, "__dataclass_fields__", ()))


def _elaborated(
    compiled: Compiled, limits: Limits, shown: Shown, kernels: Sequence[str], shape: tuple[int, ...], seed: int
) -> tuple[Program, dict[tuple[float, ...], int]]:
    """The program on two inputs in general position, and the numbers of their data vectors."""
    array = np.random.default_rng(seed).standard_normal((2, *shape))
    vectors = array.reshape(-1, shape[-1])
    rows = {tuple(v.tolist()): i for i, v in enumerate(vectors)}
    data: dict[str, Dataset] = {**compiled.inputs, shown.data: from_array(shown.data, array, limits.max_memory)}
    call = _call(compiled.file, shown)
    shows = tuple(s.Show((replace(call, function=k),), call.span) for k in kernels)
    kept = tuple(x for x in compiled.file.statements if not isinstance(x, s.Show))
    file = replace(compiled.file, statements=kept + shows)
    program, _ = elaborate(file, compiled.program.source, data, limits, (), rows)
    return verify(program), rows


def _call(file: s.File, shown: Shown) -> s.Call:
    for show in (x for x in file.statements if isinstance(x, s.Show)):
        for item in show.items:
            if isinstance(item, s.Call) and item.function == shown.kernel:
                names = [a.name for a in item.arguments if isinstance(a, s.Name)]
                if names == [shown.network, shown.data]:
                    return item
    raise NotPairwise("a kernel of something other than a network and its data")


def _without_data(program: Program) -> list[Any]:
    return [replace(line, row=()) for line in program.lines]


def _lowered(
    program: Program, rows: dict[tuple[float, ...], int], kernels: Sequence[str], shape: tuple[int, ...]
) -> PairKernel:
    from tpl.core.builder import gram_name
    from tpl.core.text import print_program
    from tpl.limit.algebra import constant_symbol
    from tpl.limit.law import Law
    from tpl.numeric.pairwise_law import Lowering

    def dot(a: tuple[float, ...], b: tuple[float, ...]) -> Any:
        return constant_symbol(gram_name(rows[a], rows[b])) if a in rows and b in rows else None

    law = Law(program, dot)
    lowering = Lowering(law, len(rows) // 2, program.constant_values())
    extra = program.shows[0].shape[1 : len(program.shows[0].shape) // 2]  # [2, …, 2, …]
    count = prod(extra)
    scalars = np.vectorize(lowering.scalar, otypes=[int])
    asked = {k: np.reshape(x.lines, (2, count, 2, count)) for k, x in zip(kernels, program.shows, strict=True)}
    outputs = {k: scalars(lines[0, :, 1]) for k, lines in asked.items()}
    diagonals = {k: scalars(lines[0, :, 0]) for k, lines in asked.items()}
    pairs = PairProgram(lowering.graph, outputs, diagonals, grouped(lowering.chosen), extra)
    return PairKernel(pairs, print_program(program), shape)


def kernel_over_data(
    compiled: Compiled, limits: Limits, left: Any, right: Any, get: Sequence[str], known: dict, **options: Any
) -> Kernel:
    """`TensorProgram.kernel`. known: pair kernels by what they were made for. Raises TplError."""
    with _reported(compiled.program.source), no_limit_reported(compiled.program.source):
        kernel, arrays = _kernel_for(compiled, limits, [left] if right is None else [left, right], get, known)
        return kernel(*arrays, **options)


def diagonal_over_data(compiled: Compiled, limits: Limits, inputs: Any, name: str, known: dict) -> np.ndarray:
    """`TensorProgram.kernel_diagonal`. Raises TplError."""
    with _reported(compiled.program.source), no_limit_reported(compiled.program.source):
        kernel, (array,) = _kernel_for(compiled, limits, [inputs], (name,), known)
        return kernel.diagonal(array, name)


def _kernel_for(
    compiled: Compiled, limits: Limits, given: Sequence[Any], get: Sequence[str], known: dict
) -> tuple[PairKernel, list[np.ndarray]]:
    source = compiled.program.source
    wrong = [k for k in get if k not in KERNELS]
    if wrong or not get:
        raise _refusal(source, f"no kernel {wrong[0]!r}" if wrong else "no kernel is asked for", 'get=("nngp", "ntk")')
    shown = next((x for x in shown_kernels(compiled) if x is not None), None)
    if shown is None:
        raise _refusal(source, "the program shows no kernel of a network over data", "`show nngp(f, X)`")
    arrays = [_checked(source, x, compiled.inputs[shown.data].array.ndim) for x in given]
    first, last = arrays[0].shape[1:], arrays[-1].shape[1:]
    if first != last:
        raise _refusal(source, f"inputs of shapes {list(first)} and {list(last)}", None)
    key = (shown, tuple(get), first)
    if key not in known:
        known[key] = pair_kernel(compiled, limits, shown, get, first)
    return known[key], arrays


@contextmanager
def _reported(source: Source) -> Iterator[None]:
    """What stands in the way of a kernel as a message."""
    hint = "`run` samples the limit of any program"
    try:
        yield
    except NotPairwise as problem:
        raise _refusal(source, f"this kernel is not one of pairs: {problem}", hint) from None
    except FileExistsError as problem:
        raise _refusal(source, str(problem), None) from None
    except OSError as problem:
        raise _refusal(source, f"the file cannot be written: {problem.strerror or problem}", None) from None
    except ArithmeticError as problem:
        raise _refusal(source, f"the kernel of some pair: {problem}", hint) from None


def kernels_of_run(
    compiled: Compiled, limits: Limits, inputs: Mapping[str, Dataset], **options: Any
) -> tuple[list[tuple[np.ndarray, np.ndarray, str]], tuple[Choice, ...]]:
    """Value, error and method of every show, and the plan. inputs: the data, of which `compiled` may hold the first few.

    Raises NotPairwise if something else than kernels by pairs is shown, or their law is not to be had.
    """
    asked = [x for x in shown_kernels(compiled) if x is not None]
    if len(asked) < len(compiled.program.shows):
        raise NotPairwise("something else than a kernel is shown")
    found: dict[tuple[str, str], Kernel] = {}
    plan: list[Choice] = []
    for shown in asked:
        key = (shown.network, shown.data)
        if key not in found:
            if inputs[shown.data].lengths is not None:
                raise NotPairwise("sequences of unequal length")
            array = inputs[shown.data].array
            wanted = tuple(dict.fromkeys(x.kernel for x in asked if (x.network, x.data) == key))
            try:
                pairs = pair_kernel(compiled, limits, shown, wanted, array.shape[1:], RUN_LINES)
                found[key] = pairs(array, **options)
            except (ArithmeticError, TplError) as problem:
                raise NotPairwise(str(problem).splitlines()[0]) from None
            plan += pairs.program.plan
    kernels = [(found[x.network, x.data], x.kernel) for x in asked]
    return [(k[name], k.errors(name), k.method) for k, name in kernels], grouped(plan)


def compiled_for_few(
    source: Source, data: Mapping[str, Any], settings: Sequence[str], limits: Limits
) -> tuple[Compiled, dict[str, Dataset]] | None:
    """A program with the first few of many inputs, and all its data; None unless kernels over those are all it shows."""
    try:
        whole = {name: _dataset(name, given, limits) for name, given in data.items()}
        cut = {
            name: Dataset(x.array[:FEW], x.description)
            for name, x in whole.items()
            if x.lengths is None and len(np.atleast_2d(x.array)) > MANY
        }
        few = compile_program(source, {**whole, **cut}, settings, limits) if cut else None
    except (DataError, TplError):  # compiling all of it will say so
        return None
    if few is None:
        return None
    shown = shown_kernels(few)
    over = {x.data for x in shown if x is not None}
    return (few, {**few.inputs, **whole}) if None not in shown and cut.keys() <= over else None


def _dataset(name: str, given: Any, limits: Limits) -> Dataset:
    if isinstance(given, Dataset):
        return given
    size = limits.max_memory // 4
    return load_source(given, size) if isinstance(given, str) else from_array(name, given, size)


def _checked(source: Source, given: Any, axes: int) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError:
        raise _refusal(source, "these inputs are no array of numbers", None) from None
    if array.dtype.kind not in "fiub" or array.ndim != axes or 0 in array.shape:
        raise _refusal(
            source, f"inputs are numbers with {axes} axes; these are {array.dtype} of shape {list(array.shape)}", None
        )
    array = np.asarray(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise _refusal(source, "some inputs are not finite", None)
    return array


def _refusal(source: Source, message: str, hint: str | None) -> TplError:
    return TplError(source, [Diagnostic(None, message, hint)])
