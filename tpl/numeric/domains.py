"""Values that do not exist: logarithms, roots and broken powers of what is negative with positive probability, and
logarithms of what is 0 so, as relu is.

A function of Gaussian variables whose covariance is regular is negative with positive probability once it is negative
at one point, since it varies piecewise continuously; points are tried as far out as integrals go. Only what is certain is
found: of several products with one matrix, which may be one and the same, nothing is said.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tpl.core.expr import ONE, ZERO, Expr, close, evaluate, half_defined, leaves, ref, show, within
from tpl.core.program import Kind, Line, Program, ancestors
from tpl.numeric.affine import Interner
from tpl.numeric.plan import MOST_SHOWN
from tpl.numeric.rounding import values_and_rounding

REACH = 9.5  # standard deviations, as far as the panels of quadratures reach
_POINTS = 1024
_FLAT = frozenset({"relu", "step", "sign", "max", "min"})  # they may be 0 without an underflow
_OFTEN = 0.05  # share of the points
_DOUBT = 4.0  # times the bound on its rounding: what is that far below 0 is negative


@dataclass(frozen=True)
class Undefined:
    """`function`, over Gaussian variables, has no real value where its argument is negative, or infinite: where it is 0."""

    line: Line
    function: Expr
    size: int
    infinite: bool = False

    def __str__(self) -> str:
        argument = self.function.args[0]
        names = [f"u{i + 1}" for i in range(self.size)] if self.size > 2 else ["u", "u'"][: self.size]
        if self.function.size > MOST_SHOWN:
            what, where = f"its {_WORDS[self.function.op]}", "its argument"
        else:
            what, where = (show(x, names.__getitem__) for x in (self.function, argument))
        who = (
            "u is Gaussian"
            if self.size == 1
            else f"{' and '.join(names) if self.size == 2 else 'u1, u2, …'} are Gaussian"
        )
        is_what, sign = ("-infinity", "= 0") if self.infinite else ("not defined", "< 0")
        return f"{what} is {is_what} where {where} {sign}, which has a positive probability: {who}"


_WORDS = {"log": "logarithm", "sqrt": "root", "pow": "power"}


def undefined_value(program: Program) -> Undefined | None:
    """The first value, of those that what is shown needs, that is certain not to be a real number everywhere.

    Found without a law: products are taken for fresh Gaussian vectors, numbers are unknown.
    """
    shown = [i for show in program.shows for i in show.lines]
    needed = sorted(ancestors(program, shown) if shown else range(len(program.lines)))
    last = max((i for i in needed if any(half_defined(program.lines[i].expr or ONE))), default=-1)
    if last < 0:
        return None
    search = _Search(program)
    return next((found for i in needed if i <= last and (found := search.line(i))), None)


class _Search:
    """Line after line as expressions over what is drawn or multiplied."""

    def __init__(self, program: Program):
        self.program = program
        self.env = program.constant_values()
        self.intern = Interner()
        self.z: dict[int, Expr] = {}

    def line(self, index: int) -> Undefined | None:
        """Takes the next line in; the value in it that is not defined, if any."""
        line = self.program.lines[index]
        if line.expr is not None and line.op in ("map", "moment"):
            for node in half_defined(line.expr):
                found = self._judge(line, self._opened(line, node))
                if found is not None:
                    return found
        if line.kind is Kind.VECTOR:
            mapped = line.op == "map" and line.expr is not None
            self.z[index] = self._opened(line, line.expr) if mapped else self._drawn(index, line)  # type: ignore[arg-type]
        return None

    def _opened(self, line: Line, expr: Expr) -> Expr:
        inside = [self.z[a] if a in self.z else self.intern(Expr("quantity", (), a)) for a in line.args]
        leaf: Callable[[Expr], Expr] = lambda x: inside[int(x.value)] if x.op == "ref" else x  # type: ignore[arg-type]  # noqa: E731
        return self.intern.substituted(expr, leaf)

    def _drawn(self, index: int, line: Line) -> Expr:
        """A leaf, or what it is without variance."""
        if line.op == "gaussian":
            return self.intern(ref(index) if self._varies(line) else line.mean)
        matrix = self.program.lines[line.args[0]]
        still = not any(line.row) if line.op == "input" else self.z.get(line.args[1]) == ZERO
        return self.intern(ref(index) if self._varies(matrix) and not still else ZERO)

    def _varies(self, line: Line) -> bool:
        """Is its variance another number than 0? Widths stand for any number."""
        widths: Mapping[str, float] = dict.fromkeys(self.program.widths, 1.0)
        return line.expr is None or evaluate(line.expr, {**self.env, **widths}) != 0

    def _judge(self, line: Line, node: Expr) -> Undefined | None:
        if leaves(node, "quantity") or self._may_coincide(leaves(node.args[0], "ref")):
            return None
        function, used = close(node)
        argument, exponent = function.args[0], function.args[1] if function.op == "pow" else None
        points = _points(len(used))
        with np.errstate(all="ignore"):
            value, rounding = values_and_rounding(argument, points, self.env, MappingProxyType({}))
            negative = value < -_DOUBT * rounding
            if exponent is not None:
                power, _ = values_and_rounding(exponent, points, self.env, MappingProxyType({}))
                negative &= power != np.round(power)
        if np.any(negative & np.isfinite(value)):
            return Undefined(line, function, len(used))
        if function.op == "log" and any(x.op in _FLAT for x in within(argument)) and np.mean(value == 0) > _OFTEN:
            return Undefined(line, function, len(used), infinite=True)
        return None

    def _may_coincide(self, drawn: Iterable[object]) -> bool:
        """Are two of these products with one matrix, so that their covariance may be singular?"""
        lines = [self.program.lines[int(i)] for i in drawn]  # type: ignore[call-overload]
        matrices = [(x.args[0], x.transposed) for x in lines if x.op != "gaussian"]
        return len(set(matrices)) < len(matrices)


def _points(size: int) -> np.ndarray:
    """Standard deviations of `size` variables near 0 and far from it, [size, points]."""
    rng = np.random.default_rng(0)
    reach = np.exp(rng.uniform(np.log(0.01), np.log(REACH), (size, _POINTS)))
    return reach * rng.choice([-1.0, 1.0], (size, _POINTS))
