"""Jumps where a limit cannot be taken: step(θ x) with θ → 0 depends on the signs that θ takes at finite width.

A function of scalars and vectors may be taken to the limit where it is continuous there. step and sign are not at 0;
an argument that tends to 0 while it fluctuates at finite width has no limit behind them. One that is the same number
at every width, as in step(0 * x), has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tpl.core import expr as e
from tpl.core.expr import Expr, ref
from tpl.core.functions import FUNCTIONS
from tpl.core.program import Line, Program
from tpl.limit.algebra import EVEN, ODD, Algebra, NoLaw

JUMPING = frozenset({"step", "sign"})  # at 0


@dataclass(frozen=True)
class Jump:
    """A jump whose argument tends to 0 if all of `vanishing` are 0: numbers of the limit, over quantities.

    squares: how many of them, at the end, are variances. argument: over the arguments of the core line.
    """

    line: int
    function: str
    argument: Expr
    vanishing: tuple[Any, ...]
    squares: int


class UnsettledJump(NoLaw):
    """The argument of a jump tends to the jump."""

    def __init__(self, function: str, line: Line):
        super().__init__(f"{function} jumps at 0, where its argument tends", line)


def jumps(expr: Expr) -> dict[Expr, None]:
    """The distinct applications of a jumping function in an expression."""
    found: dict[Expr, None] = {}
    seen: set[int] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            if node.op in JUMPING:
                found[node] = None
            stack.extend(node.args)
    return found


class FiniteWidth:
    """The lines of a program as expressions over what is random at finite width, as far as plain algebra knows them.

    A leaf is a line that draws, multiplies or averages; equal ones are one leaf. `sign` gives the sign of the number
    that a part of a line tends to, 0 where it tends to none or to 0: a jump away from 0 is a number in the end.
    """

    def __init__(self, program: Program, sign: Callable[[Line, Expr], int]):
        self._program = program
        self._sign = sign
        self._constants = {name: e.from_float(value) for name, value in program.constant_values().items()}
        self._algebra = Algebra()
        self._values = {**program.constant_values(), **dict.fromkeys(program.widths, 1.0)}
        self._forms: dict[int, Expr] = {}
        self._leaves: dict[tuple, int] = {}

    def is_fixed(self, line: int, argument: Expr) -> bool:
        """Is a part of a line's expression one number at every width, whatever was drawn?"""
        return self._algebra.constant(self._opened(self._program.lines[line], argument)) is not None

    def _form(self, index: int) -> Expr:
        """Lines before their users, without recursion: programs are long."""
        stack = [index]
        while stack:
            line = self._program.lines[stack[-1]]
            missing = [a for a in line.args if a not in self._forms]
            if missing:
                stack.extend(missing)
            else:
                self._forms.setdefault(stack[-1], self._found(stack[-1], line))
                stack.pop()
        return self._forms[index]

    def _found(self, index: int, line: Line) -> Expr:
        if line.op == "map":
            assert line.expr is not None
            return self._opened(line, line.expr)
        key: tuple = (index,)
        if line.op == "gaussian" and self._has_no_variance(index):
            return self._opened(line, line.mean)
        if line.op == "input":
            key = (line.args, line.row)
            if not any(line.row) or self._has_no_variance(line.args[0]):
                return e.ZERO
        elif line.op == "matmul":
            matrix, vector = line.args
            key = (matrix, line.transposed, self._forms[vector])
            if self._has_no_variance(matrix) or self._algebra.constant(self._forms[vector]) == 0:
                return e.ZERO
        elif line.op == "moment":
            assert line.expr is not None
            inside = self._opened(line, line.expr)
            key = ("avg", inside)
            if not self._algebra.depends(inside):
                return inside
        return ref(self._leaves.setdefault(key, index))

    def _has_no_variance(self, drawn: int) -> bool:
        variance = self._program.lines[drawn].expr
        return variance is not None and e.evaluate(variance, self._values) == 0

    def _opened(self, line: Line, expr: Expr) -> Expr:
        memo: dict[int, Expr] = {}

        def walk(node: Expr) -> Expr:
            if id(node) not in memo:
                if node.op == "ref":
                    memo[id(node)] = self._form(line.args[int(node.value)])  # type: ignore[arg-type]
                elif node.op == "symbol":
                    memo[id(node)] = self._constants[str(node.value)]
                elif node.op in JUMPING and (sign := self._sign(line, node.args[0])):
                    memo[id(node)] = e.number(int(FUNCTIONS[node.op].scalar(sign)))
                else:
                    memo[id(node)] = _signed(node.op, tuple(map(walk, node.args))) if node.args else node
            return memo[id(node)]

        return self._algebra.intern(walk(expr))


def _signed(op: str, args: tuple[Expr, ...]) -> Expr:
    """f(-z) as ±f(z), so that opposite terms cancel."""
    if args[0].op == "neg" and op in EVEN:
        return e.apply(op, args[0].args[0])
    if args[0].op == "neg" and op in ODD:
        return e.neg(e.apply(op, args[0].args[0]))
    return e.apply(op, *args)
