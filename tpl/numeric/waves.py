"""Numbers of a limit in waves: those of one height and one kind at once, for many data sets side by side.

Rounding is measured, not bounded: the waves run again with every number off by a few last digits at random (Vignes, Math.
Comput. Simul. 35, 1993), and what the answers move by is the error. So near-singular covariances, where an angle loses half of its
digits, show in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tpl.core.expr import Expr, mul, number, ref, substitute
from tpl.core.functions import FUNCTIONS
from tpl.limit.closed_forms import dual
from tpl.limit.jumps import jumps
from tpl.numeric.pairwise_graph import ArrayOp
from tpl.numeric.pairwise_panels import has_kinks
from tpl.numeric.pairwise_series import REMAINDER, Coefficients, coefficients_op, mean_op, series_op
from tpl.numeric.plan import Choice, expectation_text
from tpl.numeric.wave_numbers import IDENTITY, Numbers

ENTRIES = 1 << 22  # of an array at a time
EPSILON = float(np.finfo(float).eps)
AT_JUMP = 1e-24  # a variance so small is none


class Noise(Protocol):
    """Random numbers, as a generator of numpy's gives them."""

    def uniform(self, low: float, high: float, shape: tuple[int, ...], /) -> np.ndarray: ...


class AtJump(Exception):
    """The argument of a jump tends to the jump, as far as numbers tell."""


@dataclass(frozen=True)
class Group:
    """Numbers of one kind and height. nodes: their places, [k]; args: places of arguments, [k, …]; of totals flat.

    weights, starts: of totals, whose terms are weights · first · second, from starts[i] on.
    """

    kind: str
    detail: Any
    nodes: np.ndarray
    args: np.ndarray
    weights: np.ndarray | None = None
    starts: np.ndarray | None = None


class Waves:
    """The way to some nodes of a graph, `roots`; to be walked for many data sets at once."""

    def __init__(self, numbers: Numbers, roots: Iterable[int], env: Mapping[str, float], settle_jumps: bool = False):
        self.numbers = numbers
        self.integrals = Integrals(numbers, env)
        self.settle_jumps = settle_jumps
        roots = list(roots)
        closure = numbers.closure([*roots, numbers.one])
        self.size = len(closure)
        self.place = {node: i for i, node in enumerate(closure)}
        self.roots = np.array([self.place[r] for r in roots], dtype=np.int64)
        self.groups = self._grouped(closure)

    def _grouped(self, closure: list[int]) -> list[Group]:
        found: dict[tuple, list[int]] = {}
        numbers = self.numbers
        for node in closure:
            kind = numbers.kinds[node]
            own = None if kind in ("total", "constant", "dot") else numbers.details[node]
            found.setdefault((numbers.heights[node], kind, own), []).append(node)
        return [self._group(kind, own, found[h, kind, own]) for h, kind, own in sorted(found, key=_first)]

    def _group(self, kind: str, detail: Any, nodes: list[int]) -> Group:
        numbers, place = self.numbers, self.place
        at = np.array([place[n] for n in nodes], dtype=np.int64)
        if kind in ("constant", "dot"):
            return Group(kind, np.array([numbers.details[n] for n in nodes]), at, at[:0])
        args = np.array([place[a] for n in nodes for a in numbers.args[n]], dtype=np.int64)
        if kind != "total":
            return Group(kind, detail, at, args.reshape(len(nodes), -1))
        weights = np.array([w for n in nodes for w in numbers.details[n]])  # type: ignore[attr-defined]
        counts = np.array([len(numbers.details[n]) for n in nodes])  # type: ignore[arg-type]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return Group(kind, None, at, args.reshape(-1, 2), weights, starts)

    # ------------------------------------------------------------------------------------------ walking
    def __call__(self, dots: np.ndarray, coarse: bool = False, noise: Noise | None = None) -> np.ndarray:
        """The roots for B data sets, [roots, B]. dots: inner products of data rows, [B, rows, rows].

        coarse: series and panels with less effort. noise: every number off by a few last digits. Raises ArithmeticError where an
        expectation has no value that could be found, AtJump where the argument of a jump is 0 and `settle_jumps`.
        """
        found = np.empty((self.size, len(dots)))
        for group in self.groups:
            values = self._values(group, found, dots, coarse)
            if noise is not None and group.kind != "constant":
                values = values * (1 + self._rounding(group) * noise.uniform(-1, 1, values.shape))
            found[group.nodes] = values
        return found[self.roots]

    def _rounding(self, group: Group) -> Any:
        """Of the numbers of a group, relative."""
        if group.starts is None or group.weights is None:
            return 2 * EPSILON
        counts = np.diff(np.append(group.starts, len(group.weights)))
        return EPSILON * np.sqrt(1 + counts)[:, None]

    def _values(self, group: Group, found: np.ndarray, dots: np.ndarray, coarse: bool) -> np.ndarray:
        if group.kind == "constant":
            return np.broadcast_to(group.detail[:, None], (len(group.nodes), found.shape[1]))
        if group.kind == "dot":
            return dots[:, group.detail[:, 0], group.detail[:, 1]].T
        if group.kind == "total":
            return self._totals(group, found)
        arguments = [found[column] for column in group.args.T]
        if group.kind == "apply":
            with np.errstate(all="ignore"):
                return FUNCTIONS[group.detail].array(*arguments)
        if self.settle_jumps:
            self._check_jumps(group, arguments)
        if group.kind == "mean":
            return self.integrals.mean(group.detail, arguments[0], coarse)
        q, r, c = arguments
        f, g = group.detail
        return self.integrals.dual(f, g, q, r, c, coarse)

    def _totals(self, group: Group, found: np.ndarray) -> np.ndarray:
        assert group.weights is not None
        assert group.starts is not None
        totals = np.empty((len(group.nodes), found.shape[1]))
        ends = np.append(group.starts[1:], len(group.weights))
        most = max(ENTRIES // found.shape[1], 1)
        first = 0
        while first < len(group.nodes):
            last = max(int(np.searchsorted(ends, group.starts[first] + most, "right")), first + 1)
            part = slice(group.starts[first], ends[last - 1])
            terms = found[group.args[part, 0]]
            terms *= group.weights[part, None]
            if not np.all(group.args[part, 1] == self.place[self.numbers.one]):
                terms *= found[group.args[part, 1]]
            totals[first:last] = np.add.reduceat(terms, group.starts[first:last] - group.starts[first], axis=0)
            first = last
        return totals

    def _check_jumps(self, group: Group, arguments: list[np.ndarray]) -> None:
        functions = group.detail if group.kind == "dual" else (group.detail,)
        for f, variance in zip(functions, arguments, strict=False):
            found = list(jumps(self.numbers.functions[f]))
            if found and np.min(variance) <= AT_JUMP:
                raise AtJump(found[0].op)


def _first(key: tuple) -> tuple:
    height, kind, detail = key
    return height, kind, str(detail)


# ---------------------------------------------------------------------------------------------- integrals


class Integrals:
    """E f(u) and E f(u) g(v) on arrays: closed forms, else Hermite series, with panels where there are kinks.

    plan: what was chosen. tails: what series leave out at most, relative, by the functions.
    """

    def __init__(self, numbers: Numbers, env: Mapping[str, float]):
        self.functions = numbers.functions
        self.env = env
        self.plan: dict[tuple, Choice] = {}
        self.tails: dict[tuple, float] = {}
        self._operations: dict[tuple, Any] = {}

    @property
    def has_coarse(self) -> bool:
        """Did less effort change anything so far? Not where all had a formula."""
        return any(isinstance(x, ArrayOp) and x.coarse is not None for x in self._operations.values())

    def _known(self, key: tuple, make: Any) -> Any:
        if key not in self._operations:
            self._operations[key] = make()
        return self._operations[key]

    def _chosen(self, key: tuple, integrand: Expr, size: int, formula: Any, otherwise: str) -> None:
        if key not in self.plan:
            method = "closed form" if formula is not None else otherwise
            reason = ", ".join(formula.records) if formula is not None else "one wave at a time"
            declined = () if formula is not None else (("closed form", "no formula is known"),)
            self.plan[key] = Choice(expectation_text(integrand, size), 1, size, method, reason, declined)

    def mean(self, f: int, variance: np.ndarray, coarse: bool = False) -> np.ndarray:
        """E f(u), of the shape of the variances."""
        function = self.functions[f]
        formula = self._known(("formula", f), lambda: dual(function, number(1)))
        self._chosen((f,), function, 1, formula, "quadrature")
        if formula is not None:
            return _finite(formula.value(variance, 0.0, 0.0, self.env), function)
        operation: ArrayOp = self._known(("mean", f), lambda: mean_op(function, self.env))
        run = operation.coarse if coarse and operation.coarse is not None else operation.function
        return _finite(run(variance.ravel()).reshape(variance.shape), function)

    def dual(self, f: int, g: int, q: np.ndarray, r: np.ndarray, c: np.ndarray, coarse: bool = False) -> np.ndarray:
        """E f(u) g(v) for variances q, r and covariances c."""
        left, right = self.functions[f], self.functions[g]
        formula = self._known(("formula", f, g), lambda: dual(left, right))
        both = mul(left, substitute(right, lambda x: ref(1) if x.op == "ref" else x))
        kinked = has_kinks(left) or has_kinks(right)
        self._chosen((f, g), both, 2, formula, "Hermite series" + (" and panels" if kinked else ""))
        if formula is not None:
            return _finite(formula.value(q, r, c, self.env), both)
        return _finite(self._series(f, g, q, r, c, coarse), both)

    def _series(self, f: int, g: int, q: np.ndarray, r: np.ndarray, c: np.ndarray, coarse: bool) -> np.ndarray:
        operation: ArrayOp = self._known(
            ("series", f, g), lambda: series_op(self.functions[f], self.functions[g], self.env)
        )
        run = operation.coarse if coarse and operation.coarse is not None else operation.function
        first, second = (self._coefficients(k, x, coarse) for k, x in ((f, q), (g, r)))
        tail = min(float(np.max(first[0].tail)) * float(np.max(second[0].tail)), REMAINDER)
        self.tails[f, g] = max(self.tails.get((f, g), 0.0), tail)
        flat = [x.ravel() for x in (q, r, c)]
        found = np.empty(q.size)
        step = max(ENTRIES // max(first[0].values.shape[1], second[0].values.shape[1]), 1)
        for start in range(0, q.size, step):
            part = slice(start, start + step)
            rho, delta = _correlation(*(x[part] for x in flat))
            a, b = (x.part(rows[part]) for x, rows in (first, second))  # type: ignore[arg-type]
            found[part] = run(a, b, rho, delta)
        return found.reshape(q.shape)

    def _coefficients(self, f: int, variance: np.ndarray, coarse: bool) -> tuple[Coefficients, np.ndarray]:
        """Of the distinct variances, and which of them every entry has."""
        operation: ArrayOp = self._known(("coefficients", f), lambda: coefficients_op(self.functions[f], self.env))
        run = operation.coarse if coarse and operation.coarse is not None else operation.function
        distinct, back = np.unique(variance, return_inverse=True)
        return run(distinct), back.ravel()


def _correlation(q: np.ndarray, r: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ρ and 1 - |ρ|, in longer floats so that only the rounding of the arguments counts; 0 at variance 0."""
    q, r, c = (x.astype(np.longdouble) for x in (q, r, c))
    whole = np.sqrt(q * r)
    safe = np.where(whole > 0, whole, 1)
    gap = np.maximum(q * r - c * c, 0) / (safe * (safe + np.abs(c)))
    rho = np.clip(np.where(whole > 0, c / safe, 0), -1, 1)
    return rho.astype(float), np.where(whole > 0, gap, 1).astype(float)


def _finite(values: np.ndarray, function: Expr) -> np.ndarray:
    if not np.all(np.isfinite(values)):
        raise ArithmeticError(f"{expectation_text(function, 2)} is not finite")
    return values


__all__ = ["IDENTITY", "AtJump", "Waves"]
