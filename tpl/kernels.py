"""Kernels of networks over data by pairs: from a compiled program to its `PairProgram`, where its inputs do not interact.

The program is elaborated again on two inputs in general position, whose inner products stay symbols; the law of that
pair is the law of every pair.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tpl.core.builder import gram_name
from tpl.core.elaborate import Limits, elaborate
from tpl.core.program import Program, Show, verify
from tpl.core.text import print_program
from tpl.data import DataError, Dataset, from_array, load_source, sequences
from tpl.language import syntax as s
from tpl.language.source import Diagnostic, Source, TplError
from tpl.limit.refusal import no_limit_reported
from tpl.numeric.existence import refuse_undefined
from tpl.numeric.kernel import Kernel, kernel_matrix
from tpl.numeric.pairwise_code import PairProgram
from tpl.numeric.pairwise_law import NotPairwise
from tpl.numeric.plan import Choice, grouped
from tpl.numeric.sequence_kernel import diagonals, sequence_kernel
from tpl.numeric.wave_pairs import WavePairs
from tpl.pipeline import Compiled, compile_program

KERNELS = ("nngp", "ntk")
MAX_LINES = 10_000  # of the core program of a pair that is to be written out as formulas; beyond, that takes long
RUN_LINES = 2_000  # beyond, sampling answers sooner
WAVES_FROM = 2_000  # lines from which a pair's numbers are found in waves, if they can be
MANY = 8  # inputs of which a program is not written out, if pairs say it all
MANY_VECTORS = 64  # data vectors of all inputs, likewise
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
    """The pair law of a network over data, ready to be evaluated. core: the two inputs' core program.

    rows: data vectors of an input, of the longer one where the inputs of a pair have unequal lengths. width: theirs.
    """

    program: PairProgram | WavePairs
    core: Program
    rows: int
    width: int

    def __call__(self, left: np.ndarray, right: np.ndarray | None = None, **options: Any) -> Kernel:
        """Kernels of all pairs of inputs; see `kernel_matrix`."""
        sides = [None if x is None else self._rows(x) for x in (left, right)]
        assert sides[0] is not None
        asked = ", ".join(self.program.outputs)
        identity = f"{asked} of {print_program(self.core)}" if options.get("out") is not None else ""
        return kernel_matrix(self.program, sides[0], sides[1], identity=identity, **options)

    def diagonal(self, array: np.ndarray, name: str) -> np.ndarray:
        """K(ξ, ξ) of every input, [N]; of every input and output where there are several, [N, …]."""
        found = self.program.prepare(self._rows(array))[0].diagonal[name]
        return np.einsum("nee->ne", found).reshape(-1, *self.program.extra)

    def _rows(self, array: np.ndarray) -> np.ndarray:
        """Data vectors [N, rows, d]. What a shorter sequence lacks is made up: no output of the pair depends on it."""
        found = np.ascontiguousarray(array, dtype=np.float64).reshape(len(array), -1, self.width)
        if found.shape[1] == self.rows:
            return found
        size = float(np.sqrt(np.mean(found**2))) or 1.0
        lacking = size * np.random.default_rng(3).standard_normal((self.rows - found.shape[1], self.width))
        return np.concatenate([found, np.broadcast_to(lacking, (len(found), *lacking.shape))], axis=1)


def pair_kernel(
    compiled: Compiled, limits: Limits, shown: Shown, kernels: Sequence[str], shape: tuple[int, ...],
    max_lines: int = MAX_LINES, other: tuple[int, ...] | None = None,
) -> PairKernel:  # fmt: skip
    """The pair law of kernels ("nngp", "ntk") for inputs of a shape. other: that of the second input, if another.

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
    shapes = (shape, other or shape)
    wanted = tuple(dict.fromkeys(("nngp", *kernels)))
    program, rows = _elaborated(compiled, limits, shown, wanted, shapes, 1)
    again, _ = _elaborated(compiled, limits, shown, wanted[:1], shapes, 2)  # gradients see the data through these lines
    if _without_data(program)[: len(again.lines)] != _without_data(again):
        raise NotPairwise("entries of the inputs that act on their own")
    if _meets_others(program, rows):
        raise NotPairwise("a matrix that is applied to the inputs and to other data")
    shows = dict(zip(wanted, program.shows, strict=True))
    asked = {k: shows[k] for k in kernels}  # in the order in which a file holds them
    most, afresh = max(map(_vectors, shapes)), s.draws_afresh(network)
    if len(program.lines) > WAVES_FROM:
        found = _in_waves(program, rows, asked, most, shape[-1], afresh)
        if found is not None:
            return found
    if len(program.lines) > max_lines:
        raise NotPairwise(f"the core program of two inputs has {len(program.lines):,} lines")
    return _lowered(program, rows, asked, most, shape[-1], afresh)


def _mentions(node: Any, name: str) -> bool:
    if isinstance(node, s.Name):
        return node.name == name
    if isinstance(node, list | tuple):
        return any(_mentions(x, name) for x in node)
    return any(_mentions(getattr(node, f), name) for f in getattr(node, "__dataclass_fields__", ()))


def _vectors(shape: tuple[int, ...]) -> int:
    """How many data vectors an input of a shape holds."""
    return math.prod(shape[:-1])


def _elaborated(
    compiled: Compiled, limits: Limits, shown: Shown, kernels: Sequence[str], shapes: tuple[tuple[int, ...], ...],
    seed: int,
) -> tuple[Program, dict[tuple[float, ...], int]]:  # fmt: skip
    """The program on two inputs in general position, and the numbers of their data vectors."""
    rng, most = np.random.default_rng(seed), max(map(_vectors, shapes))
    arrays = [rng.standard_normal(shape) for shape in shapes]
    rows = {
        tuple(vector.tolist()): side * most + i
        for side, array in enumerate(arrays)
        for i, vector in enumerate(array.reshape(-1, array.shape[-1]))
    }
    pair = from_array(shown.data, arrays if len(set(shapes)) > 1 else np.stack(arrays), limits.max_memory)
    data: dict[str, Dataset] = {**compiled.inputs, shown.data: pair}
    call = _call(compiled.file, shown)
    shows = tuple(s.Show((replace(call, function=k),), call.span) for k in kernels)
    kept = tuple(x for x in compiled.file.statements if not isinstance(x, s.Show))
    file = replace(compiled.file, statements=kept + shows)
    program, _ = elaborate(file, compiled.program.source, data, limits, (), rows)
    return verify(program), rows


def _meets_others(program: Program, rows: Mapping[tuple[float, ...], int]) -> bool:
    """Is a matrix applied to inputs and to other data? Their inner products are no numbers of a pair alone."""
    kinds: dict[int, set[bool]] = {}
    for line in program.lines:
        if line.op == "input":
            kinds.setdefault(line.args[0], set()).add(line.row in rows)
    return any(len(found) == 2 for found in kinds.values())


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


def _in_waves(
    program: Program, rows: dict[tuple[float, ...], int], asked: Mapping[str, Show], most: int, width: int, afresh: bool
) -> PairKernel | None:
    """The pair's numbers in waves; None where they are none for it."""
    from tpl.numeric.wave_reading import NotInWaves, Reading

    try:
        products = {gram_name(i, j): (i, j) for i in rows.values() for j in rows.values() if i <= j}
        lines = [line for show in asked.values() for line in show.lines]
        reading = Reading(program, lines, dict(rows), products)
        outputs, diagonals = _nodes(asked, reading.scalar)
        waves = WavePairs(reading, outputs, diagonals, most, _outputs_of(asked), afresh)
    except (NotInWaves, ArithmeticError):
        return None
    return PairKernel(waves, program, most, width)


def _lowered(
    program: Program, rows: dict[tuple[float, ...], int], asked: Mapping[str, Show], most: int, width: int, afresh: bool
) -> PairKernel:
    """The pair's numbers as formulas. most: data vectors of an input; those of the second are numbered from there."""
    from tpl.limit.algebra import constant_symbol
    from tpl.limit.calculus import TooLong
    from tpl.limit.law import Law
    from tpl.numeric.pairwise_law import WIDEST, Lowering, too_wide

    def dot(a: tuple[float, ...], b: tuple[float, ...]) -> Any:
        return constant_symbol(gram_name(rows[a], rows[b])) if a in rows and b in rows else None

    try:
        law = Law(program, dot, widest=WIDEST)
    except TooLong:
        raise too_wide() from None
    lowering = Lowering(law, most, program.constant_values())
    outputs, diagonals = _nodes(asked, lowering.scalar)
    pairs = PairProgram(lowering.graph, outputs, diagonals, grouped(lowering.chosen), _outputs_of(asked), afresh)
    return PairKernel(pairs, program, most, width)


def _outputs_of(asked: Mapping[str, Show]) -> tuple[int, ...]:
    """The shape of the outputs of one input, of a kernel [2, …, 2, …]."""
    shape = next(iter(asked.values())).shape
    return shape[1 : len(shape) // 2]


def _nodes(
    asked: Mapping[str, Show], node: Callable[[int], int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """By kernel the numbers of the two inputs, and of the first with itself, [E, E] each."""
    count = math.prod(_outputs_of(asked))
    lines = {k: np.reshape(x.lines, (2, count, 2, count)) for k, x in asked.items()}
    found = np.vectorize(node, otypes=[int])
    outputs, diagonals = ({k: found(x[0, :, side]) for k, x in lines.items()} for side in (1, 0))
    return outputs, diagonals


def kernel_over_data(
    compiled: Compiled, limits: Limits, left: Any, right: Any, get: Sequence[str], known: dict, **options: Any
) -> Kernel:
    """`TensorProgram.kernel`. known: pair kernels by what they were made for. Raises TplError."""
    source = compiled.program.source
    with _reported(source), no_limit_reported(source):
        shown = _asked(compiled, get)
        refuse_undefined(compiled.program)
        axes = len(compiled.inputs[shown.data].shape)
        given = [_checked(source, _read(source, x, limits), axes) for x in (left, right) if x is not None]
        if options.get("out") is not None and not Path(options["out"]).absolute().parent.is_dir():
            raise FileNotFoundError(2, f"there is no folder {Path(options['out']).parent}")
        pairs = _Known(compiled, limits, shown, tuple(get), known)
        arrays = [x for x in given if isinstance(x, np.ndarray)]
        if len(arrays) == len(given) and len({x.shape[1:] for x in arrays}) == 1:
            return pairs(arrays[0].shape[1:])(*arrays, **options)
        if options.pop("out", None) is not None:
            raise _refusal(
                source, "kernels of sequences of unequal length are not written to a file", "leave out `out`"
            )
        options.pop("progress", None)
        rows = [list(x) for x in given]
        return sequence_kernel(pairs, get, rows[0], None if right is None else rows[1], **options)


def diagonal_over_data(compiled: Compiled, limits: Limits, inputs: Any, name: str, known: dict) -> np.ndarray:
    """`TensorProgram.kernel_diagonal`. Raises TplError."""
    source = compiled.program.source
    with _reported(source), no_limit_reported(source):
        shown = _asked(compiled, (name,))
        refuse_undefined(compiled.program)
        given = _checked(source, _read(source, inputs, limits), len(compiled.inputs[shown.data].shape))
        pairs = _Known(compiled, limits, shown, (name,), known)
        if isinstance(given, np.ndarray):
            return pairs(given.shape[1:]).diagonal(given, name)
        return diagonals(pairs, (name,), given)[name]


@dataclass(frozen=True)
class _Known:
    """Pair kernels by the shapes of the two inputs, made when they are asked for."""

    compiled: Compiled
    limits: Limits
    shown: Shown
    kernels: tuple[str, ...]
    known: dict
    max_lines: int = MAX_LINES

    def __call__(self, shape: tuple[int, ...], other: tuple[int, ...] | None = None) -> PairKernel:
        other = shape if other is None else other
        key = (self.shown, self.kernels, shape, other)
        if key not in self.known:
            if len(shape) == 1 and shape != other:
                message = f"X1 holds inputs of length {shape[0]}, and X2 of length {other[0]}"
                raise _refusal(self.compiled.program.source, message, "the inputs of one network have one length")
            if shape[1:] != other[1:]:
                message = f"inputs of shapes {list(shape)} and {list(other)}"
                raise _refusal(self.compiled.program.source, message, "they may differ in their first size only")
            self.known[key] = pair_kernel(
                self.compiled, self.limits, self.shown, self.kernels, shape, self.max_lines, other
            )
        return self.known[key]


def _asked(compiled: Compiled, get: Sequence[str]) -> Shown:
    """The kernel over data that a program shows. Raises TplError for unknown names, and if there is none."""
    source = compiled.program.source
    wrong = [k for k in get if k not in KERNELS]
    if wrong or not get:
        raise _refusal(source, f"no kernel {wrong[0]!r}" if wrong else "no kernel is asked for", 'get=("nngp", "ntk")')
    shown = next((x for x in shown_kernels(compiled) if x is not None), None)
    if shown is None:
        raise _refusal(source, "the program shows no kernel of a network over data", "`show nngp(f, X)`")
    return shown


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
            data = inputs[shown.data]
            wanted = tuple(dict.fromkeys(x.kernel for x in asked if (x.network, x.data) == key))
            pairs = _Known(compiled, limits, shown, wanted, {}, RUN_LINES)
            try:
                found[key] = (
                    pairs(data.array.shape[1:])(data.array, **options)
                    if data.lengths is None
                    else sequence_kernel(pairs, wanted, data.rows(), threads=options.get("threads"))
                )
            except (ArithmeticError, TplError) as problem:
                raise NotPairwise(str(problem).splitlines()[0]) from None
            plan += [choice for made in pairs.known.values() for choice in made.program.plan]
    kernels = [(found[x.network, x.data], x.kernel) for x in asked]
    return [(k[name], k.errors(name), k.method) for k, name in kernels], grouped(plan)


def compiled_for_few(
    source: Source, data: Mapping[str, Any], settings: Sequence[str], limits: Limits
) -> tuple[Compiled, dict[str, Dataset]] | None:
    """A program with the first few of many inputs, and all its data; None unless kernels over those are all it shows.

    Many are also a few with many data vectors each, such as images: kernels hold pairs of those.
    """
    try:
        whole = {name: _dataset(name, given, limits) for name, given in data.items()}
        cut = {
            name: Dataset(x.array[: _few_of(x)], x.description) if x.lengths is None else _few_sequences(x)
            for name, x in whole.items()
            if _is_many(x)
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


def _is_many(data: Dataset) -> bool:
    """Are there many inputs, or inputs of many vectors?"""
    if data.lengths is not None:
        return len(data.lengths) > MANY
    shape = np.atleast_2d(data.array).shape
    return shape[0] > MANY or (shape[0] > 1 and math.prod(shape[:-1]) > MANY_VECTORS)


def _few_of(data: Dataset) -> int:
    """How many inputs of equal shapes stand for all."""
    each = math.prod(np.atleast_2d(data.array).shape[1:-1])
    return max(1, min(FEW, MANY_VECTORS // each))


def _few_sequences(data: Dataset) -> Dataset:
    """The first few sequences, of more than one length."""
    assert data.lengths is not None
    different = next(i for i, n in enumerate(data.lengths) if n != data.lengths[0])
    return sequences([*data.rows()[: FEW - 1], data.rows()[max(different, FEW - 1)]], data.description)


def _read(source: Source, given: Any, limits: Limits) -> Any:
    """Inputs that a text names as `--data` does: `sphere:4,10`, `inputs.npy`."""
    if not isinstance(given, str):
        return given
    try:
        found = load_source(given, limits.max_memory // 4)
    except DataError as problem:
        raise _refusal(source, problem.message, problem.hint) from None
    return found.array if found.lengths is None else found.rows()


def _checked(source: Source, given: Any, axes: int) -> np.ndarray | list[np.ndarray]:
    """Inputs as one array, or as one array each if they are sequences of unequal length."""
    try:
        array = np.asarray(given)
    except ValueError:
        if not isinstance(given, list | tuple):
            raise _refusal(source, "these inputs are no array of numbers", None) from None
        return [_checked(source, x, axes - 1) for x in given]  # type: ignore[misc]
    if array.dtype.kind not in "fiub" or array.ndim != axes or 0 in array.shape:
        what = "no numbers" if array.dtype.kind not in "fiub" else str(array.dtype)
        message = f"inputs are numbers with {axes} axes; these are {what} of shape {list(array.shape)}"
        alone = array.dtype.kind in "fiub" and array.ndim == axes - 1
        hint = (
            "one input alone is given as `x[None]`"
            if alone
            else "an array [N, …] of N inputs, or a text as `sphere:4,10`"
        )
        raise _refusal(source, message, hint)
    array = np.asarray(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise _refusal(source, "some inputs are not finite", None)
    return array


def _refusal(source: Source, message: str, hint: str | None) -> TplError:
    return TplError(source, [Diagnostic(None, message, hint)])
