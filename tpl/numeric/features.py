"""Where an integrand is not smooth: kinks and steep slopes on lines and planes, kinks along curves.

Most arguments of functions are affine, or functions of one affine form: along the direction of that form a kink, or
the middle of a steep slope, sits at fixed positions (`Feature`). An argument that is piecewise affine, such as that of
max(max(u, v), w), has kinks where its pieces vanish. What is left are curves, such as that of max(tanh(u), v).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from tpl.core.expr import Expr, within
from tpl.core.functions import FUNCTIONS
from tpl.numeric.integrand import Integrand, values

PANEL = 3.0  # a panel's greatest length, in standard deviations
TURN = 1.0  # the argument of a function may move so far over the panels next to a centre
GROWTH = 3.0  # of the panels around a steep slope
BEND = 0.1  # a slope about a place that is no root of an argument counts if it is as steep as this
MAX_BENDS = 12  # along one direction; waves have more, and every pair of features is a cut
MAX_SIZE = 32  # of an argument that is searched for bends: every node in it is
MAX_PIECES = 16  # of a piecewise affine function
_RELATIVE = {"div", "log", "sqrt", "pow"}  # their natural scale is that of their argument


@dataclass(frozen=True)
class Feature:
    """The line direction · z = position where the integrand has a kink, or is steep over a `width`."""

    direction: np.ndarray
    position: float
    width: float
    kink: bool


@dataclass
class Analysis:
    """What stands in the way of smooth panels: features on lines, the arguments whose roots are kinks on curves, and
    how fast waves turn, in radians a standard deviation."""

    features: list[Feature]
    curves: list[Expr]
    turn: float = 0.0


class Analyst:
    """Finds the features of one integrand."""

    def __init__(self, integrand: Integrand, reach: float):
        self.integrand = integrand
        self.reach = reach
        self._affine: dict[int, tuple[np.ndarray, float] | None] = {}
        self._directions: dict[int, frozenset[tuple[float, ...]]] = {}
        self._nodes: dict[int, Expr] = {}
        self._crossings: dict[tuple[int, tuple[float, ...]], tuple[float, ...]] = {}
        self._kept: list[Expr] = []  # what is known goes by identity, so nothing of it may be freed

    def analyse(self) -> Analysis:
        self._collect(self.integrand.expr)
        centres: dict[tuple[float, ...], set[float]] = {}
        kinked: set[tuple] = set()
        scaled: dict[tuple[float, ...], list[tuple[Expr, bool]]] = {}
        bends: dict[tuple[float, ...], set[float]] = {}
        curves: list[Expr] = []
        for argument, kink, relative in arguments(self._nodes.values()):
            directions = self._directions_of(argument)
            if len(directions) > 1 and kink:
                planes = self._planes(argument)
                if planes is None:
                    curves.append(argument)
                for direction, position in planes or ():
                    centres.setdefault(direction, set()).add(position)
                    kinked.add((direction, position))
            elif len(directions) == 1:
                (direction,) = directions
                roots = [round(r, 12) for r in self.roots(argument, direction)]
                centres.setdefault(direction, set()).update(roots)
                if kink:
                    kinked.update((direction, r) for r in roots)
                else:
                    scaled.setdefault(direction, []).append((argument, relative))
                    bends.setdefault(direction, set()).update(self._bends(argument, direction))
        features = []
        for direction, positions in centres.items():
            minor = bends.get(direction, set()) - positions
            minor = minor if len(minor) <= MAX_BENDS else set()
            for position in [*positions, *minor]:
                width = self._width(direction, position, scaled.get(direction, []))
                kink = (direction, position) in kinked
                if width < (BEND if position in minor else PANEL) or kink:
                    features.append(Feature(np.array(direction), position, width, kink))
        return Analysis(features, curves, self._turn())

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
            self._kept.append(node)
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
            self._kept.append(node)
        return found

    def _turn(self) -> float:
        """The fastest turn of any sine or cosine of one direction."""
        grid = np.linspace(-6, 6, 121)
        fastest = 0.0
        for node in self._nodes.values():
            directions = self._directions_of(node.args[0]) if node.op in ("sin", "cos") else frozenset()
            for direction in directions if len(directions) == 1 else ():
                moved = np.abs(np.diff(self._along(node.args[0], direction, grid)))
                fastest = max(fastest, float(np.max(moved[np.isfinite(moved)], initial=0.0)) / (grid[1] - grid[0]))
        return fastest

    def _planes(self, argument: Expr) -> set[tuple[tuple[float, ...], float]] | None:
        """Directions and positions that cover the roots of a piecewise affine expression; None for others."""
        pieces = self._pieces(argument)
        if pieces is None:
            return None
        found = set()
        for slope, offset in pieces:
            for direction in _direction(slope):
                position = -offset / float(slope @ np.array(direction))
                if abs(position) < self.reach:
                    found.add((direction, round(position, 12)))
        return found

    def _pieces(self, node: Expr) -> list[tuple[np.ndarray, float]] | None:
        """The affine forms of which a piecewise affine expression is one at every point, MAX_PIECES at most."""
        line = self.affine(node)
        if line is not None:
            return [line]
        parts = [self._pieces(a) for a in node.args]
        if any(p is None for p in parts):
            return None
        pieces = [p for p in parts if p is not None]
        if node.op in ("max", "min"):
            found = pieces[0] + pieces[1]
        elif node.op == "relu":
            found = [*pieces[0], (np.zeros(self.integrand.rank), 0.0)]
        elif node.op == "abs":
            found = pieces[0] + [(-slope, -offset) for slope, offset in pieces[0]]
        else:
            choices = product(*pieces) if np.prod([len(p) for p in pieces]) <= MAX_PIECES else ()
            sums = [_combine(node.op, list(choice)) for choice in choices]
            found = [x for x in sums if x is not None] if all(x is not None for x in sums) else []
        return found if 0 < len(found) <= MAX_PIECES else None

    def _along(self, node: Expr, direction: tuple[float, ...], t: np.ndarray) -> np.ndarray:
        points = np.outer(self.integrand.factor @ np.array(direction), t)
        return values(node, points, self.integrand.env, self.integrand.known)

    def roots(self, argument: Expr, direction: tuple[float, ...]) -> list[float]:
        """Where an expression of one direction vanishes, and where the affine forms in it do."""
        roots = set()
        for node in within(argument):
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

    def places(self, argument: Expr) -> Iterator[tuple[tuple[float, ...], float]]:
        """Directions and positions of the hyperplanes at which an expression, or what it is made of, may vanish."""
        for node in within(argument):
            directions = self._directions_of(node)
            if len(directions) == 1:
                (direction,) = directions
                yield from ((direction, round(r, 14)) for r in self.roots(node, direction))

    def _bends(self, argument: Expr, direction: tuple[float, ...]) -> Iterator[float]:
        """Where what a non-affine argument is made of vanishes: exp(-(100 (z² - 1))²) is steep about ±1."""
        for node in within(argument) if argument.size <= MAX_SIZE else ():
            if node is not argument and node.args and self.affine(node) is None:
                yield from self._zeros(node, direction)

    def _zeros(self, node: Expr, direction: tuple[float, ...]) -> tuple[float, ...]:
        """Where a node changes sign, found once: in a nest of functions it is part of every argument around it."""
        key = (id(node), direction)
        if key not in self._crossings:
            grid = np.linspace(-self.reach, self.reach, 182)
            found = _bracketed(lambda t: self._along(node, direction, t), grid)
            self._crossings[key] = tuple(round(r, 12) for r in found)
            self._kept.append(node)
        return self._crossings[key]

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


def arguments(nodes: Iterable[Expr]) -> Iterator[tuple[Expr, bool, bool]]:
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


def _bracketed(function, grid: np.ndarray) -> list[float]:  # type: ignore[no-untyped-def]
    """Roots of a function of arrays between neighbours on a grid where it changes sign."""
    at = np.sign(function(grid))
    flat = np.pad(at == 0, 1)
    # Only isolated zeros: a function may vanish on whole intervals.
    exact = [float(t) for t in grid[flat[1:-1] & ~flat[:-2] & ~flat[2:]]]
    place = np.flatnonzero(at[:-1] * at[1:] < 0)
    if not len(place):
        return exact
    return exact + [float(t) for t in bisect(function, grid[place], grid[place + 1], at[place])]


def bisect(function, low: np.ndarray, high: np.ndarray, sign_low: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    for _ in range(52):
        middle = (low + high) / 2
        left = np.sign(function(middle)) == sign_low
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return (low + high) / 2


def steepness(integrand: Integrand, reach: float) -> float:
    """The least width of any feature, in standard deviations; PANEL at most."""
    return min((f.width for f in Analyst(integrand, reach).analyse().features), default=PANEL)
