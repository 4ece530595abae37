"""Expectations over one or two Gaussian dimensions, by Gauss-Legendre panels cut where the integrand is not smooth.

Most arguments of functions are affine, or functions of one affine form: along the direction of that form a kink, or
the middle of a steep slope, sits at fixed positions (`Feature`). The inner integral is cut there for every outer node
at once, the outer one where features meet or turn parallel to the inner axis. Around a steep slope the panels shrink
geometrically to its width. Kinks along curves, such as those of max(tanh(u), v), are bracketed on every inner line.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tpl.core.expr import Expr, evaluate
from tpl.core.functions import FUNCTIONS

PANEL = 3.0  # a panel's greatest length, in standard deviations
TURN = 1.0  # the argument of a function may move so far over the panels next to a centre
GROWTH = 3.0  # of the panels around a steep slope
PARALLEL = 1e-12
MAX_POINTS = 1 << 20  # evaluated at once
_RELATIVE = {"div", "log", "sqrt", "pow"}  # their natural scale is that of their argument


@dataclass(frozen=True)
class Integrand:
    """F(u) · E[Π outside^k | u] with u = factor @ z, z standard normal of `rank` dimensions.

    The outside variables occur as powers only: given z they are Gaussian with mean `slopes` @ z and covariance
    `residual`.
    """

    expr: Expr
    factor: np.ndarray
    env: Mapping[str, float]
    known: Mapping[int, float]
    powers: tuple[int, ...] = ()
    slopes: np.ndarray | None = None
    residual: np.ndarray | None = None

    @property
    def rank(self) -> int:
        return self.factor.shape[1]

    def at(self, z: np.ndarray, memo: dict[int, np.ndarray | float] | None = None) -> np.ndarray:
        """The integrand at points [rank, …], shape […]. `memo` is shared by integrands at the same points."""
        inside = values(self.expr, np.tensordot(self.factor, z, 1), self.env, self.known, memo)
        if self.slopes is None or self.residual is None:
            return inside
        with np.errstate(all="ignore"):
            return inside * conditional_moment(self.powers, np.tensordot(self.slopes, z, 1), self.residual)


def conditional_moment(powers: tuple[int, ...], means: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """E Π x_i^k_i of Gaussians with means [i, …] and a covariance matrix, by Stein's lemma."""
    first = next((i for i, k in enumerate(powers) if k), None)
    if first is None:
        return np.ones(means.shape[1:])
    less = tuple(k - (i == first) for i, k in enumerate(powers))
    total = means[first] * conditional_moment(less, means, covariance)
    for other, k in enumerate(less):
        if k and covariance[first, other]:
            rest = tuple(p - (i == other) for i, p in enumerate(less))
            total = total + k * covariance[first, other] * conditional_moment(rest, means, covariance)
    return total


def values(
    expr: Expr,
    points: np.ndarray,
    env: Mapping[str, float],
    known: Mapping[int, float],
    memo: dict[int, np.ndarray | float] | None = None,
) -> np.ndarray:
    """An expression at points [k, …], shape […]; `known`: the values of quantities."""
    memo = {} if memo is None else memo

    def walk(node: Expr) -> np.ndarray | float:
        found = memo.get(id(node))
        if found is None:
            if node.op == "ref":
                found = points[int(node.value)]  # type: ignore[arg-type]
            elif node.op == "quantity":
                found = known[int(node.value)]  # type: ignore[arg-type]
            elif not node.args:
                found = evaluate(node, env)
            elif node.op == "pow" and node.args[1].is_value(2):
                base = walk(node.args[0])
                found = base * base
            else:
                found = FUNCTIONS[node.op].array(*(np.asarray(walk(a)) for a in node.args))
            memo[id(node)] = found
        return found

    with np.errstate(all="ignore"):
        return np.broadcast_to(walk(expr), points.shape[1:])


# ---------------------------------------------------------------------------------------------- features


@dataclass(frozen=True)
class Feature:
    """The line direction · z = position where the integrand has a kink, or is steep over a `width`."""

    direction: np.ndarray
    position: float
    width: float
    kink: bool


@dataclass
class Analysis:
    """What stands in the way of smooth panels: features on lines, and the arguments whose roots are kinks on curves."""

    features: list[Feature]
    curves: list[Expr]


class _Analyst:
    """Finds the features of one integrand."""

    def __init__(self, integrand: Integrand, reach: float):
        self.integrand = integrand
        self.reach = reach
        self._affine: dict[int, tuple[np.ndarray, float] | None] = {}
        self._directions: dict[int, frozenset[tuple[float, ...]]] = {}
        self._nodes: dict[int, Expr] = {}

    def analyse(self) -> Analysis:
        self._collect(self.integrand.expr)
        centres: dict[tuple[float, ...], set[float]] = {}
        kinked: set[tuple] = set()
        scaled: dict[tuple[float, ...], list[tuple[Expr, bool]]] = {}
        curves: list[Expr] = []
        for argument, kink, relative in _arguments(self._nodes.values()):
            directions = self._directions_of(argument)
            if len(directions) > 1 and kink:
                curves.append(argument)
            elif len(directions) == 1:
                (direction,) = directions
                roots = [round(r, 12) for r in self._roots(argument, direction)]
                centres.setdefault(direction, set()).update(roots)
                if kink:
                    kinked.update((direction, r) for r in roots)
                else:
                    scaled.setdefault(direction, []).append((argument, relative))
        features = []
        for direction, positions in centres.items():
            for position in positions:
                width = self._width(direction, position, scaled.get(direction, []))
                kink = (direction, position) in kinked
                if width < PANEL or kink:
                    features.append(Feature(np.array(direction), position, width, kink))
        return Analysis(features, curves)

    def _collect(self, root: Expr) -> None:
        stack = [root]
        while stack:
            node = stack.pop()
            if id(node) not in self._nodes:
                self._nodes[id(node)] = node
                stack.extend(node.args)

    def affine(self, node: Expr) -> tuple[np.ndarray, float] | None:
        """Slope over z and offset of an affine expression; None for others."""
        if id(node) not in self._affine:
            self._affine[id(node)] = self._find_affine(node)
        return self._affine[id(node)]

    def _find_affine(self, node: Expr) -> tuple[np.ndarray, float] | None:
        factor = self.integrand.factor
        if node.op == "ref":
            return factor[int(node.value)], 0.0  # type: ignore[arg-type]
        parts = [self.affine(a) for a in node.args]
        if any(p is None for p in parts):
            return None
        known = [p for p in parts if p is not None]
        if not any(np.any(slope) for slope, _ in known):
            value = values(node, np.zeros((len(factor), 1)), self.integrand.env, self.integrand.known)
            return np.zeros(factor.shape[1]), float(value[0])
        return _combine(node.op, known)

    def _directions_of(self, node: Expr) -> frozenset[tuple[float, ...]]:
        """The directions of the affine forms that an expression is made of."""
        found = self._directions.get(id(node))
        if found is None:
            line = self.affine(node)
            if line is None:
                found = frozenset().union(*(self._directions_of(a) for a in node.args))
            else:
                found = frozenset(_direction(line[0]))
            self._directions[id(node)] = found
        return found

    def _along(self, node: Expr, direction: tuple[float, ...], t: np.ndarray) -> np.ndarray:
        points = np.outer(self.integrand.factor @ np.array(direction), t)
        return values(node, points, self.integrand.env, self.integrand.known)

    def _roots(self, argument: Expr, direction: tuple[float, ...]) -> list[float]:
        """Where an expression of one direction vanishes, and where the affine forms in it do."""
        roots = set()
        for node in _within(argument):
            line = self.affine(node)
            slope = float(line[0] @ np.array(direction)) if line is not None else 0.0
            if line is not None and slope:  # a variance may be so small that its root is 0
                roots.add(-line[1] / slope)
        if self.affine(argument) is None:
            inside = [r for r in roots if abs(r) < self.reach]
            grid = np.unique([*np.linspace(-self.reach, self.reach, 182), *inside])
            function = lambda t: self._along(argument, direction, t)  # noqa: E731
            roots.update(_bracketed(function, grid))
        return [r for r in roots if abs(r) < self.reach]

    def _width(self, direction: tuple[float, ...], centre: float, scaled: list[tuple[Expr, bool]]) -> float:
        """The greatest distance from a centre within which no argument moves by more than TURN; PANEL at most."""
        steps = PANEL * GROWTH ** -np.arange(30.0)
        t = centre + np.concatenate([[0.0], steps, -steps])
        width = PANEL
        for argument, relative in scaled:
            at = self._along(argument, direction, t)
            with np.errstate(all="ignore"):
                moved = np.abs(at[1:] - at[0])
                if relative:
                    moved = moved / np.minimum(np.abs(at[1:]), np.abs(at[0]))
            far = np.flatnonzero(~(moved.reshape(2, -1).max(axis=0) <= TURN))
            if len(far):
                width = min(width, float(steps[min(far[-1] + 1, len(steps) - 1)]))
        return width


def _combine(op: str, parts: list[tuple[np.ndarray, float]]) -> tuple[np.ndarray, float] | None:
    if op == "add":
        return sum((p[0] for p in parts), np.zeros_like(parts[0][0])), sum(p[1] for p in parts)
    if op == "sub":
        return parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    if op == "neg":
        return -parts[0][0], -parts[0][1]
    moving = [p for p in parts if np.any(p[0])]
    if op == "mul" and len(moving) == 1:
        scale = float(np.prod([p[1] for p in parts if p is not moving[0]]))
        return moving[0][0] * scale, moving[0][1] * scale
    if op == "div" and not np.any(parts[1][0]) and parts[1][1]:
        return parts[0][0] / parts[1][1], parts[0][1] / parts[1][1]
    return None


def _direction(slope: np.ndarray) -> Iterator[tuple[float, ...]]:
    length = float(np.linalg.norm(slope))
    if length > 1e-300:
        unit = slope / length
        first = unit[np.argmax(np.abs(unit) > 1e-9)]
        yield tuple(np.round(unit * np.sign(first), 14))


def _arguments(nodes: Iterable[Expr]) -> Iterator[tuple[Expr, bool, bool]]:
    """(argument, has it a kink at 0, is its scale relative) of all functions."""
    for node in nodes:
        if not node.args or node.op in ("add", "sub", "neg", "mul"):
            continue
        if node.op in ("max", "min"):
            yield Expr("sub", node.args), True, False
        elif node.op == "div":
            yield node.args[1], False, True
        elif node.op == "pow":
            whole = node.args[1].is_number and float(node.args[1].value).is_integer() and float(node.args[1].value) > 0  # type: ignore[arg-type]
            if not whole:
                yield node.args[0], False, True
        else:
            yield node.args[0], bool(FUNCTIONS[node.op].kinks), node.op in _RELATIVE


def _within(expr: Expr) -> Iterator[Expr]:
    stack, seen = [expr], set()
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend(node.args)


def _bracketed(function, grid: np.ndarray) -> list[float]:  # type: ignore[no-untyped-def]
    """Roots of a function of arrays between neighbours on a grid where it changes sign."""
    at = np.sign(function(grid))
    flat = np.pad(at == 0, 1)
    # Only isolated zeros: a function may vanish on whole intervals.
    exact = [float(t) for t in grid[flat[1:-1] & ~flat[:-2] & ~flat[2:]]]
    place = np.flatnonzero(at[:-1] * at[1:] < 0)
    if not len(place):
        return exact
    return exact + [float(t) for t in _bisect(function, grid[place], grid[place + 1], at[place])]


def _bisect(function, low: np.ndarray, high: np.ndarray, sign_low: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    for _ in range(52):
        middle = (low + high) / 2
        left = np.sign(function(middle)) == sign_low
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return (low + high) / 2


# ---------------------------------------------------------------------------------------------- panels


@lru_cache(maxsize=64)
def _legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(nodes)


def _graded(width: float) -> np.ndarray:
    """Offsets of cuts around a centre: 0, and ± width · GROWTH^k up to a panel's length."""
    if width >= PANEL:
        return np.zeros(1)
    count = int(np.ceil(np.log(PANEL / width) / np.log(GROWTH)))
    steps = width * GROWTH ** np.arange(count)
    return np.concatenate([-steps[::-1], [0.0], steps])


def panels(cuts: np.ndarray, nodes: int, level: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the standard normal law on [-reach, reach], cut at `cuts` [lines, k]: [lines, points]."""
    grid = np.linspace(-reach, reach, 1 + int(np.ceil(2 * reach / PANEL)))
    inside = np.clip(cuts, -reach, reach)
    edges = np.sort(np.concatenate([np.broadcast_to(grid, (len(cuts), len(grid))), inside], axis=1), axis=1)
    edges = edges[:, np.r_[True, np.any(np.diff(edges, axis=1) > 0, axis=0)]]
    start, length = edges[:, :-1, None], np.diff(edges, axis=1)[:, :, None]
    x, w = _legendre(nodes)
    pieces = 1 << level
    unit = ((np.arange(pieces)[:, None] + (1 + x) / 2) / pieces).ravel()
    points = start + length * unit
    weights = length * np.tile(w / 2 / pieces, pieces) * np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi)
    return points.reshape(len(cuts), -1), weights.reshape(len(cuts), -1)


def integrate(
    expr: Expr, factor: np.ndarray, env: Mapping[str, float], known: Mapping[int, float], nodes: int = 16
) -> float:
    """E expr(factor @ z), z standard normal of at most two dimensions."""
    return expectation(Integrand(expr, factor, env, known), nodes)[0]


def expectation(integrand: Integrand, nodes: int, level: int = 0, reach: float = 9.5) -> tuple[float, float]:
    """E F and E |F| of an integrand of rank 0, 1 or 2. nodes: a panel; level: every panel is halved so often."""
    if integrand.rank == 0:
        value = float(integrand.at(np.zeros((0, 1)))[0])
        return value, abs(value)
    analysis = _Analyst(integrand, reach).analyse()
    outer, weights = np.zeros((0, 1)), np.ones((1, 1))
    if integrand.rank == 2:
        outer, weights = panels(_outer_cuts(analysis.features)[None, :], nodes, level, reach)
    value, size = _inner(integrand, analysis, outer, nodes, level, reach) @ weights[0]
    return float(value), float(size)


def _inner(
    integrand: Integrand, analysis: Analysis, outer: np.ndarray, nodes: int, level: int, reach: float
) -> np.ndarray:
    """The integrals of F and |F| over the last dimension, for every column of `outer` [rank - 1, lines]: [2, lines]."""
    count = outer.shape[1]
    cuts = [np.zeros((count, 0))]
    for f in analysis.features:
        last = f.direction[-1]
        if abs(last) > PARALLEL:
            centre = (f.position - f.direction[:-1] @ outer) / last
            cuts.append(centre[:, None] + _graded(f.width / abs(last)))
    known = np.concatenate(cuts, axis=1)
    chunk = max(1, MAX_POINTS // ((known.shape[1] + 8) * nodes << level))
    parts = []
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        parts.append(_inner_chunk(integrand, analysis.curves, outer[:, part], known[part], nodes, level, reach))
    return np.concatenate(parts, axis=1)


def _inner_chunk(
    integrand: Integrand, curves: list[Expr], outer: np.ndarray, cuts: np.ndarray, nodes: int, level: int, reach: float
) -> np.ndarray:
    for argument in curves:
        cuts = np.concatenate([cuts, _curve_cuts(integrand, argument, outer, cuts, reach)], axis=1)
    inner, weights = panels(cuts, nodes, level, reach)
    z = np.concatenate([np.broadcast_to(outer[:, :, None], (*outer.shape, inner.shape[1])), inner[None]])
    at = integrand.at(z)
    return np.stack([np.einsum("ij,ij->i", at, weights), np.einsum("ij,ij->i", np.abs(at), weights)])


def _curve_cuts(integrand: Integrand, argument: Expr, outer: np.ndarray, cuts: np.ndarray, reach: float) -> np.ndarray:
    """The roots of an argument along every inner line, [lines, k]; lines with fewer roots are padded."""
    count = outer.shape[1]
    grid = np.broadcast_to(np.linspace(-reach, reach, 65), (count, 65))
    grid = np.sort(np.concatenate([grid, np.clip(cuts, -reach, reach)], axis=1), axis=1)

    def function(lines: np.ndarray, t: np.ndarray) -> np.ndarray:
        z = np.concatenate([outer[:, lines], t[None]])
        return values(argument, np.tensordot(integrand.factor, z, 1), integrand.env, integrand.known)

    everything = np.repeat(np.arange(count), grid.shape[1])
    at = np.sign(function(everything, grid.ravel())).reshape(grid.shape)
    line, place = np.nonzero(at[:, :-1] * at[:, 1:] < 0)
    roots = _bisect(lambda t: function(line, t), grid[line, place], grid[line, place + 1], at[line, place])
    rank = np.arange(len(line)) - np.searchsorted(line, line)
    found = np.full((count, int(rank.max()) + 1 if len(rank) else 0), reach)
    found[line, rank] = roots
    return found


def _outer_cuts(features: list[Feature]) -> np.ndarray:
    """Where a feature is parallel to the inner axis, enters the inner range, or meets another."""
    cuts = [np.zeros(0)]
    for i, f in enumerate(features):
        a, b = f.direction
        if abs(b) <= PARALLEL:
            cuts.append(f.position / a + _graded(f.width))
            continue
        if abs(a) > PARALLEL:
            blur = 0.0 if f.kink else f.width / abs(a)
            cuts.append(f.position / a + _graded(max(abs(b / a) / 2, blur, 1e-12)))
        for g in features[:i]:
            cuts.append(_crossing(f, g))
    return np.concatenate(cuts)


def _crossing(f: Feature, g: Feature) -> np.ndarray:
    """The outer positions to cut at where two features meet; steep ones blur the place."""
    determinant = f.direction[0] * g.direction[1] - f.direction[1] * g.direction[0]
    if abs(determinant) <= PARALLEL:
        return np.zeros(0)
    place = (f.position * g.direction[1] - f.direction[1] * g.position) / determinant
    steep = [h.width / abs(determinant) for h in (f, g) if h.width < PANEL]
    if f.kink and g.kink:
        return place + _graded(max(min(steep, default=PANEL), 1e-12))
    width = max(steep)
    return place + _graded(max(width, 1e-12)) if width < 1 else np.zeros(0)
