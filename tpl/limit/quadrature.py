"""Expectations over at most two Gaussian dimensions, by Gauss-Legendre panels split at the kinks.

Where an integrand has a kink or a jump on a line a·z + c = 0 (relu, step, abs, … of an affine argument), the inner
integral is split there, and the outer one where such lines cross or run parallel to the inner axis: what is left on
every panel is analytic.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tpl.core.expr import Expr, evaluate, leaves
from tpl.core.functions import FUNCTIONS

REACH = 9.0  # standard deviations; the Gaussian weight beyond is below 1e-18
PANEL = 1.5  # a panel's greatest length


@dataclass(frozen=True)
class Kink:
    """The line slope · u + offset = 0, u the variables of the integrand."""

    slope: np.ndarray
    offset: float


def values(expr: Expr, points: np.ndarray, env: Mapping[str, float], quantities: Mapping[int, float]) -> np.ndarray:
    """The integrand at points [k, …], shape […]."""
    memo: dict[int, np.ndarray | float] = {}

    def walk(node: Expr) -> np.ndarray | float:
        found = memo.get(id(node))
        if found is None:
            if node.op == "ref":
                found = points[int(node.value)]  # type: ignore[arg-type]
            elif node.op == "quantity":
                found = quantities[int(node.value)]  # type: ignore[arg-type]
            elif not node.args:
                found = evaluate(node, env)
            else:
                found = FUNCTIONS[node.op].array(*(np.asarray(walk(a)) for a in node.args))
            memo[id(node)] = found
        return found

    with np.errstate(all="ignore"):
        return np.broadcast_to(walk(expr), points.shape[1:])


def kinks(expr: Expr, count: int, env: Mapping[str, float], quantities: Mapping[int, float]) -> list[Kink]:
    """The lines on which the integrand is not smooth, where a kinked function has an affine argument."""
    found: dict[tuple, Kink] = {}
    stack = [expr]
    while stack:
        node = stack.pop()
        stack.extend(node.args)
        if node.op in ("max", "min"):
            argument = Expr("sub", node.args)
        elif node.args and FUNCTIONS[node.op].kinks:
            argument = node.args[0]
        else:
            continue
        kink = _affine(argument, count, env, quantities)
        if kink is not None:
            found[(*np.round(kink.slope, 14), round(kink.offset, 14))] = kink
    return list(found.values())


def _affine(expr: Expr, count: int, env: Mapping[str, float], quantities: Mapping[int, float]) -> Kink | None:
    if not leaves(expr, "ref"):
        return None
    rng = np.random.default_rng(0)
    probes = np.concatenate([np.zeros((count, 1)), np.eye(count), 3 * rng.standard_normal((count, 4))], axis=1)
    at = values(expr, probes, env, quantities)
    offset, slope = float(at[0]), at[1 : count + 1] - at[0]
    fits = np.allclose(slope @ probes + offset, at, rtol=1e-12, atol=1e-12)
    return Kink(slope, offset) if fits and np.any(slope) else None


def panels(cuts: list[float], nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the standard normal law on [-REACH, REACH], split at the cuts."""
    inside = sorted({-REACH, REACH, 0.0, *(c for c in cuts if -REACH < c < REACH)})
    edges = [inside[0]]
    for a, b in zip(inside[:-1], inside[1:], strict=True):
        pieces = max(1, int(np.ceil((b - a) / PANEL)))
        edges.extend(a + (b - a) * (k + 1) / pieces for k in range(pieces))
    x, w = np.polynomial.legendre.leggauss(nodes)
    start, stop = np.array(edges[:-1]), np.array(edges[1:])
    half = (stop - start)[:, None] / 2
    points = (start + stop)[:, None] / 2 + half * x
    weights = half * w * np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi)
    return points.ravel(), weights.ravel()


def integrate(
    expr: Expr, factor: np.ndarray, env: Mapping[str, float], quantities: Mapping[int, float], nodes: int
) -> float:
    """E expr(factor @ z), z standard normal of one or two dimensions; `nodes` a panel."""
    count, rank = factor.shape
    lines = [Kink(k.slope @ factor, k.offset) for k in kinks(expr, count, env, quantities)]
    if rank == 0:
        return float(values(expr, np.zeros((count, 1)), env, quantities)[0])
    if rank == 1:
        z, w = panels([-k.offset / k.slope[0] for k in lines if k.slope[0]], nodes)
        return float(values(expr, factor * z, env, quantities) @ w)
    return _integrate_plane(expr, factor, lines, env, quantities, nodes)


def _integrate_plane(
    expr: Expr, factor: np.ndarray, lines: list[Kink], env: Mapping[str, float], quantities: Mapping[int, float], nodes: int
) -> float:
    outer, outer_weights = panels(_outer_cuts(lines), nodes)
    steep = [k for k in lines if abs(k.slope[1]) > 1e-14]
    if not steep:
        inner, inner_weights = panels([], nodes)
        z = np.stack(np.broadcast_arrays(outer[:, None], inner[None, :])).reshape(2, -1)
        inside = values(expr, factor @ z, env, quantities).reshape(len(outer), -1) @ inner_weights
        return float(inside @ outer_weights)
    total = 0.0
    for x, weight in zip(outer, outer_weights, strict=True):
        inner, inner_weights = panels([-(k.offset + k.slope[0] * x) / k.slope[1] for k in steep], nodes)
        z = np.stack([np.full_like(inner, x), inner])
        total += weight * float(values(expr, factor @ z, env, quantities) @ inner_weights)
    return total


def _outer_cuts(lines: list[Kink]) -> list[float]:
    cuts = [-k.offset / k.slope[0] for k in lines if abs(k.slope[1]) <= 1e-14 and k.slope[0]]
    for i, a in enumerate(lines):
        for b in lines[:i]:
            determinant = a.slope[0] * b.slope[1] - a.slope[1] * b.slope[0]
            if abs(determinant) > 1e-14:
                cuts.append((-a.offset * b.slope[1] + a.slope[1] * b.offset) / determinant)
    return cuts
