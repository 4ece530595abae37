"""The assumptions of Chen, Yang, Zhao & Gu (2025) for a program: of its activations, and of its inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tpl.core import expr as e
from tpl.core.expr import Expr, leaves
from tpl.core.functions import FUNCTIONS
from tpl.core.program import Kind, Program
from tpl.data import Dataset
from tpl.data.assumption import InputAssumption, check_inputs
from tpl.numeric.good import Goodness, judge

_BACKWARD = "reverse mode"  # how lines of a backward pass say where they come from


@dataclass(frozen=True)
class Assumptions:
    """What the theorems on feature learning assume, and whether it is so."""

    activations: tuple[Goodness, ...]
    inputs: tuple[InputAssumption, ...]

    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """For a table: of what, the verdict, the reason."""
        functions = [(x.function, x.verdict, x.reason) for x in self.activations]
        data = [
            (x.name, "holds" if x.holds else "does not hold", "; ".join((x.sentence, *x.notes))) for x in self.inputs
        ]
        return (*functions, *data)

    def __str__(self) -> str:
        return "\n".join(f"{what}: {verdict}: {reason}" for what, verdict, reason in self.rows())


def assumptions(program: Program, inputs: Mapping[str, Dataset]) -> Assumptions:
    """Of every activation of a program whether it is GOOD; of every array of inputs whether it meets the assumption.

    Inputs are the arrays of two axes or more that a matrix of the program can be applied to. A program that is linear in
    them has the identity as its activation.
    """
    values = program.constant_values()
    found = activations(program) or ((e.ref(0),) if _is_linear(program) else ())
    judged = tuple(judge(function, values) for function in found)
    lengths = {len(line.row) for line in program.lines if line.op == "input"}
    arrays = {name: data.array for name, data in inputs.items()}
    checked = (check_inputs(k, x) for k, x in arrays.items() if x.ndim > 1 and x.shape[-1] in lengths and x.size)
    return Assumptions(judged, tuple(checked))


# ---------------------------------------------------------------------------------------------- activations


def activations(program: Program) -> tuple[Expr, ...]:
    """The nonlinear functions of one variable, ref(0), that a program applies to vectors, each once.

    A map of one vector alone is one function: tanh(h) + 0.1 h, and -2 tanh(h) is tanh. Of other maps these are the outermost named functions:
    relu in relu((h - mean) / s), both in silu(g) + tanh(h); products of vectors are none.
    """
    return tuple(dict.fromkeys(_unscaled(x) for found in _maps(program) for x in found.functions()))


def _unscaled(function: Expr) -> Expr:
    """Without a factor that is a number other than 0: entries of a matrix of data, say. Whether it is GOOD stays the same."""
    if function.op == "neg":
        return _unscaled(function.args[0])
    if function.op == "mul":
        numbers = [x for x in function.args if x.op == "number"]
        if numbers and all(x.value for x in numbers):
            return _unscaled(e.mul(*(x for x in function.args if x.op != "number")))
    if function.op == "div" and function.args[1].op == "number":
        return _unscaled(function.args[0])
    return function


def _maps(program: Program) -> list["_Map"]:
    """The maps of vectors that are not part of a backward pass, each once."""
    maps: dict[tuple[Expr, frozenset[int]], None] = {}
    for line in program.lines:
        if line.op == "map" and line.kind is Kind.VECTOR and not line.origin.derived.startswith(_BACKWARD):
            assert line.expr is not None
            vectors = frozenset(i for i, a in enumerate(line.args) if program.lines[a].kind is Kind.VECTOR)
            maps[line.expr, vectors] = None
    return [_Map(*found) for found in maps]


def _is_linear(program: Program) -> bool:
    """Does it take inputs, and combine vectors with scalars as coefficients only?"""
    return any(line.op == "input" for line in program.lines) and all(x.is_affine for x in _maps(program))


class _Map:
    """The expression of one map, and which of its arguments are vectors."""

    def __init__(self, expr: Expr, vectors: frozenset[int]):
        self.expr = expr
        self._vectors = vectors
        self._affine: dict[int, bool] = {}

    @property
    def is_affine(self) -> bool:
        return self._is_affine(self.expr)

    def functions(self) -> Iterator[Expr]:
        yield from self._within(self.expr, set())

    def _within(self, node: Expr, seen: set[int]) -> Iterator[Expr]:
        if id(node) in seen or self._is_affine(node):
            return
        seen.add(id(node))
        used = leaves(node, "ref")
        if len(used) == 1:
            yield e.substitute(node, lambda x: e.ref(0) if x.op == "ref" else x)
        elif FUNCTIONS[node.op].operator:
            for a in node.args:
                yield from self._within(a, seen)
        else:
            yield from self._of_one_form(node)

    def _of_one_form(self, node: Expr) -> Iterator[Expr]:
        """A function as one of z, where it depends on vectors through one affine expression alone; else its head."""
        forms: dict[Expr, None] = {}

        def walk(x: Expr) -> Expr:
            if self._varies(x) and self._is_affine(x):
                forms[x] = None
                return e.ref(0)
            return Expr(x.op, tuple(map(walk, x.args)), x.value)

        found = walk(node)
        if len(forms) == 1 and not self._reads_scalars(node, forms):
            yield found
        elif len(node.args) == 1:
            yield Expr(node.op, (e.ref(0),))

    def _reads_scalars(self, node: Expr, forms: dict[Expr, None]) -> bool:
        """Outside of the forms."""
        if node in forms:
            return False
        if node.op == "ref":
            return node.value not in self._vectors
        return any(self._reads_scalars(a, forms) for a in node.args)

    def _varies(self, node: Expr) -> bool:
        return not self._vectors.isdisjoint(leaves(node, "ref"))  # type: ignore[arg-type]

    def _is_affine(self, node: Expr) -> bool:
        """In the vectors, with scalars as coefficients."""
        found = self._affine.get(id(node))
        if found is None:
            found = self._affine[id(node)] = self._find_affine(node)
        return found

    def _find_affine(self, node: Expr) -> bool:
        if node.op == "ref" or not self._varies(node):
            return True
        if node.op in ("add", "sub", "neg"):
            return all(map(self._is_affine, node.args))
        if node.op == "mul":
            varying = [a for a in node.args if self._varies(a)]
            return len(varying) == 1 and self._is_affine(varying[0])
        return node.op == "div" and not self._varies(node.args[1]) and self._is_affine(node.args[0])
