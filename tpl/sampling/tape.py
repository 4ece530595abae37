"""Expressions compiled to straight-line array code.

A tape computes one or several expressions of the same arguments. Subtrees that occur twice are computed once, what
depends on constants alone is folded, sums accumulate in place, and buffers are used again as soon as their last reader
is done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpl.core.expr import Expr, evaluate
from tpl.core.functions import FUNCTIONS

Value = np.ndarray | float


@dataclass(frozen=True, slots=True)
class Step:
    """values[out] = function(values[i] for i in ins).

    buffer: an operand that dies here and may hold the result, or -1. dead: operands that die here.
    """

    function: Callable[..., Value]
    ins: tuple[int, ...]
    out: int
    buffer: int
    dead: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tape:
    """Slots: the arguments first, then the constants, then the steps' results."""

    arguments: int
    constants: tuple[float, ...]
    steps: tuple[Step, ...]
    results: tuple[int, ...]

    @property
    def operations(self) -> int:
        """Elementwise operations of one evaluation."""
        return sum(max(1, len(step.ins) - 1) for step in self.steps)


def compile_tape(exprs: Sequence[Expr], order: Sequence[int], constants: Mapping[str, float]) -> Tape:
    """Compile closed expressions; the tape's argument k is ref(order[k]).

    Raises ArithmeticError or ValueError if a constant part has no value.
    """
    return _Compiler(order, constants).compile(exprs)


def run_tape(tape: Tape, arguments: Sequence[Value], out: np.ndarray | None = None) -> list[Value]:
    """The values of a tape's expressions; `out` may receive the (only) result. Floating-point errors give NaN."""
    values: list[Value | None] = [
        *arguments,
        *tape.constants,
        *[None] * len(tape.steps),
    ]
    last = tape.results[0] if out is not None else -1
    for step in tape.steps:
        operands = [values[i] for i in step.ins]
        target: Value | None = out if step.out == last else None
        if target is None and step.buffer >= 0:
            target = values[step.buffer]
        values[step.out] = _call(step.function, operands, target)
        for i in step.dead:
            values[i] = None
    return [values[i] for i in tape.results]  # type: ignore[misc]


def _call(function: Callable[..., Value], operands: list, target: Value | None) -> Value:
    if not isinstance(target, np.ndarray):
        return function(*operands)
    takes_out = isinstance(function, np.ufunc) or function in _WITH_OUT
    if takes_out and all(_fits(x, target) for x in operands):
        return function(*operands, out=target)
    return function(*operands)


def _fits(x: Value, target: np.ndarray) -> bool:
    """Does x broadcast to target's shape?"""
    if not isinstance(x, np.ndarray) or x.shape == target.shape:
        return True
    return x.ndim <= target.ndim and all(a in (1, b) for a, b in zip(x.shape[::-1], target.shape[::-1], strict=False))


def _fold(ufunc: np.ufunc) -> Callable[..., Value]:
    """An n-ary sum or product, accumulated in one buffer."""

    def apply(*operands: Value, out: np.ndarray | None = None) -> Value:
        total = ufunc(operands[0], operands[1], out=out)
        for x in operands[2:]:
            # Until all shapes have been met the buffer may be too small.
            fits = isinstance(total, np.ndarray) and _fits(x, total)
            total = ufunc(total, x, out=total) if fits else ufunc(total, x)
        return total

    return apply


def _integer_power(exponent: int) -> Callable[..., Value]:
    def apply(x: Value, out: np.ndarray | None = None) -> Value:
        result = np.multiply(x, x) if out is None or exponent > 2 else np.multiply(x, x, out=out)
        for _ in range(exponent - 2):
            result = np.multiply(result, x, out=result if isinstance(result, np.ndarray) else None)
        return result

    return apply


_SUM, _PRODUCT = _fold(np.add), _fold(np.multiply)
_POWERS: dict[float, Callable[..., Value]] = {
    2.0: _integer_power(2), 3.0: _integer_power(3), 4.0: _integer_power(4), 0.5: np.sqrt, -1.0: np.reciprocal,
}  # fmt: skip
_WITH_OUT = {_SUM, _PRODUCT, _POWERS[2.0], _POWERS[3.0], _POWERS[4.0]}


class _Compiler:
    def __init__(self, order: Sequence[int], constants: Mapping[str, float]):
        self.place = {position: k for k, position in enumerate(order)}
        self.env = constants
        self.known: dict[Expr, tuple[str, float | int]] = {}
        self.code: list[tuple[Callable[..., Value], list[tuple[str, float | int]]]] = []

    def compile(self, exprs: Sequence[Expr]) -> Tape:
        results = [self.walk(expr) for expr in exprs]
        first = len(self.place)
        numbers: dict[float, int] = {}
        for operand in [x for _, ins in self.code for x in ins] + results:
            if operand[0] == "constant":
                numbers.setdefault(float(operand[1]), first + len(numbers))
        base = first + len(numbers)

        def slot(operand: tuple[str, float | int]) -> int:
            kind, value = operand
            if kind == "constant":
                return numbers[float(value)]
            return int(value) if kind == "argument" else base + int(value)

        code = [(function, tuple(map(slot, ins))) for function, ins in self.code]
        out = tuple(map(slot, results))
        return Tape(first, tuple(numbers), _place(code, base, out), out)

    def walk(self, expr: Expr) -> tuple[str, float | int]:
        done = self.known.get(expr)
        if done is None:
            done = self.known[expr] = self.visit(expr)
        return done

    def visit(self, expr: Expr) -> tuple[str, float | int]:
        if expr.op == "ref":
            return "argument", self.place[int(expr.value)]  # type: ignore[arg-type]
        if not expr.args:
            return "constant", evaluate(expr, self.env)
        ins = [self.walk(a) for a in expr.args]
        if all(kind == "constant" for kind, _ in ins):
            return "constant", float(FUNCTIONS[expr.op].scalar(*(value for _, value in ins)))
        function: Callable[..., Value] = FUNCTIONS[expr.op].array
        if expr.op == "add" and len(ins) > 1:
            function = _SUM
        elif expr.op == "mul" and len(ins) > 1:
            function = _PRODUCT
        elif expr.op == "pow" and ins[1][0] == "constant" and ins[1][1] in _POWERS:
            function, ins = _POWERS[ins[1][1]], ins[:1]
        self.code.append((function, ins))
        return "step", len(self.code) - 1


Code = list[tuple[Callable[..., Value], tuple[int, ...]]]


def _place(code: Code, base: int, results: tuple[int, ...]) -> tuple[Step, ...]:
    """Find each step's dying operands. Only intermediate results may be overwritten."""
    kept = set(results)
    last: dict[int, int] = {}
    for position, (_, ins) in enumerate(code):
        for i in ins:
            last[i] = position
    steps = []
    for position, (function, ins) in enumerate(code):
        dead = tuple(i for i in dict.fromkeys(ins) if i >= base and last[i] == position and i not in kept)
        steps.append(Step(function, ins, base + position, _overwritten(ins, dead), dead))
    return tuple(steps)


def _overwritten(ins: tuple[int, ...], dead: tuple[int, ...]) -> int:
    """The dying operand to overwrite: a fold may overwrite only one it reads first."""
    return next((i for i in dead if i in ins[:2] and i not in ins[2:]), -1)
