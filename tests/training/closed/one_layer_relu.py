"""One hidden layer of infinite width under μP with relu, exact to rounding, for d + k <= 3 (bias included).

Trained U and V are functions of the initial Gaussians z, homogeneous of degree 1 and linear in each of finitely many
cones: U·ξ = 0 cuts cones by planes. So every expectation is a sum over cones C of entries of E z z.T 1_C. Integration by
parts (∂γ = -z γ for the Gaussian density γ) and the integral of the unit vector along an arc from a to b,
(a + b) tan(α/2), give for a cone in three dimensions with edges along unit vectors v_1, v_2, ..., counterclockwise,

    E z z.T 1_C = P(C) I + (1/4π) Σ (a × b)(a + b).T / (1 + a·b),  over neighbours a, b,

P(C) = solid angle / 4π, in triangles by Van Oosterom and Strackee (1983).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np

from .descent import Array, Descent, Solution
from .one_layer import OneLayer, coordinates

NEGLIGIBLE = 1e-13  # sine of the angle between an edge and a plane through it, by rounding


@dataclass(frozen=True)
class Cone:
    """Unit vectors along its edges [m, 3], and (U, V) and its velocity as linear maps of z there, both [3, 3]."""

    edges: Array
    state: Array
    velocity: Array


def octants(spreads: Array) -> list[Cone]:
    cones = []
    for signs in product((1.0, -1.0), repeat=3):
        edges = np.diag(signs)
        cones.append(Cone(edges if np.prod(signs) > 0 else edges[::-1], np.diag(spreads), np.zeros((3, 3))))
    return cones


def cut(cone: Cone, normal: Array) -> Iterator[Cone]:
    """Its parts on either side of the plane through 0: one or two."""
    heights = cone.edges @ normal / (np.linalg.norm(normal) or 1.0)
    heights[abs(heights) < NEGLIGIBLE] = 0
    if heights.min() >= 0 or heights.max() <= 0:
        yield cone
        return
    for side in (heights, -heights):
        kept = []
        for i in range(len(side)):
            before, here = side[i - 1], side[i]
            if before * here < 0:
                crossing = abs(before) * cone.edges[i] + abs(here) * cone.edges[i - 1]
                kept.append(crossing / np.linalg.norm(crossing))
            if here >= 0:
                kept.append(cone.edges[i])
        yield replace(cone, edges=np.array(kept))


def second_moments(edges: Array) -> Array:
    """E z z.T 1_C [3, 3]."""
    first, angle = edges[0], 0.0
    for b, c in pairwise(edges[1:]):
        angle += 2 * np.arctan2(first @ np.cross(b, c), 1 + first @ b + b @ c + c @ first)
    following = np.roll(edges, -1, axis=0)
    scales = 1 + np.sum(edges * following, axis=1)
    return (angle * np.eye(3) + np.cross(edges, following).T @ ((edges + following) / scales[:, None])) / (4 * np.pi)


def solve(network: OneLayer, descent: Descent, inputs: Array, targets: Array) -> tuple[Solution, int]:
    """inputs [A, d], targets [N, k] of the first N; its `activation` is not read. Also the number of cones at last."""
    points, spreads = coordinates(network, inputs)
    room = 3 - network.outputs - len(spreads)
    if room < 0:
        raise ValueError(f"{len(spreads)} inputs and {network.outputs} outputs: more than three dimensions")
    size, trained = len(spreads) + room, len(targets)
    points, spreads = np.pad(points, ((0, 0), (0, room))), np.pad(spreads, (0, room), constant_values=1.0)
    spreads = np.append(spreads, [network.readout_sigma] * network.outputs)
    start = points @ np.diag(spreads)[:size]  # h_0 as linear forms of z [A, 3]
    cones = octants(spreads)
    for form in start:
        cones = [part for cone in cones for part in cut(cone, form)]
    records = []
    for t in range(len(descent.batches) + 1):
        for point in points:
            cones = [part for cone in cones for part in cut(cone, point @ cone.state[:size])]
        records.append(np.sum([_record(cone, points, start) for cone in cones], axis=0))
        if t < len(descent.batches):
            chi = descent.signals(t, records[-1][0][:, : network.outputs], targets)
            cones = [_moved(cone, points, chi, spreads, descent, t) for cone in cones]
    f = np.array([record[0][:, : network.outputs] for record in records])
    loss = np.array([descent.loss.value(out[:trained], targets).mean() for out in f])
    parts = ({1: np.array([record[i][:, : len(points)] for record in records])} for i in range(1, 5))
    return Solution(f, loss, *parts), len(cones)


def _active(edges: Array, forms: Array) -> Array:
    """1 where a linear form [·, 3] is positive in the cone, 0 where negative; it has one sign."""
    return (np.sum(forms @ edges.T, axis=1) > 0).astype(float)


def _record(cone: Cone, points: Array, start: Array) -> Array:
    """The cone's part of f, E h h, E h_0 h, E x x, E x_0 x; f is padded to [A, A + 3]."""
    size, count = points.shape[1], len(points)
    moments = second_moments(cone.edges)
    h = points @ cone.state[:size]
    x, x0 = (forms * _active(cone.edges, forms)[:, None] for forms in (h, start))
    found = np.zeros((5, count, count + 3))
    found[0, :, : 3 - size] = x @ moments @ cone.state[size:].T
    for i, (a, b) in enumerate(((h, h), (start, h), (x, x), (x0, x)), start=1):
        found[i, :, :count] = a @ moments @ b.T
    return found


def _moved(cone: Cone, points: Array, chi: Array, spreads: Array, descent: Descent, t: int) -> Cone:
    size, trained = points.shape[1], len(chi)
    h = points[:trained] @ cone.state[:size]
    active = _active(cone.edges, h)[:, None]
    pulled = points[:trained].T @ (active * (chi @ cone.state[size:]))
    push = spreads[:, None] ** 2 * np.vstack([pulled, chi.T @ (active * h)])
    velocity = descent.momentum * cone.velocity + push + descent.weight_decay * cone.state
    return replace(cone, state=cone.state - descent.step(t) * velocity, velocity=velocity)
