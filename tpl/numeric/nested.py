"""Expectations over three Gaussian dimensions whose integrand is steep or kinked: panels within panels within panels.

The innermost integral is cut where the features are (tpl/numeric/quadrature.py). What it leaves is a function of two
variables whose features are the shadows of the planes: where two of them meet, and where one turns parallel to the
inner axis. Those are cut in turn.
"""

import numpy as np

from tpl.numeric.features import PANEL, Analysis, Analyst, Feature
from tpl.numeric.integrand import Integrand
from tpl.numeric.quadrature import PARALLEL, cuts_on_lines, inner, outer_cuts, panels
from tpl.numeric.series import Declined, Found

MAX_POINTS = 1 << 25
ACCEPTED = 1e-6  # of the integral of the absolute value


def nested(integrand: Integrand, nodes: int = 10, reach: float = 8.0, most: int = MAX_POINTS) -> Found | Declined:
    """E F of rank 3. The error is the distance from what three nodes a panel fewer, and a shorter reach, give."""
    if integrand.rank != 3:
        return Declined("nested panels are for three dimensions")
    values = []
    for count, end in ((nodes, reach), (nodes - 3, reach - 0.75)):
        analysis = Analyst(integrand, end).analyse()
        outer, weights = _outer(analysis.features, count, end)
        points = outer.shape[1] * count * (3 + int(2 * end / PANEL) + _cut_count(analysis))
        if points > most:
            return Declined(f"three dimensions with {len(analysis.features)} kinks and slopes: {points:.1g} points")
        values.append(inner(integrand, analysis, outer, count, 0, end) @ weights)
    (value, size), (rough, _) = values
    bound = float(abs(value - rough) + 1e-14 * size)
    if not bound <= ACCEPTED * size:
        return Declined(f"nested panels agree to {bound:.1g} only")
    return Found(float(value), bound, f"nested panels, {len(analysis.features)} kinks and slopes, error ≤ {bound:.1g}")


def _cut_count(analysis: Analysis) -> int:
    return cuts_on_lines(analysis.features, np.zeros((2, 1))).shape[1]


def _outer(features: list[Feature], nodes: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [2, k] and weights [k] of the two outer dimensions."""
    lines = shadows(features)
    first, weights = panels(outer_cuts(lines)[None, :], nodes, 0, reach)
    second, inner_weights = panels(cuts_on_lines(lines, first), nodes, 0, reach)
    outer = np.stack([np.broadcast_to(first[0][:, None], second.shape), second])
    return outer.reshape(2, -1), (weights[0][:, None] * inner_weights).ravel()


def shadows(features: list[Feature]) -> list[Feature]:
    """The features, one dimension fewer, of the integral over the last dimension."""
    found = []
    for i, f in enumerate(features):
        slope, last = f.direction[:-1], abs(f.direction[-1])
        length = float(np.linalg.norm(slope))
        if last <= PARALLEL:
            found.append(Feature(slope / length, f.position / length, f.width, f.kink))
            continue
        if length > PARALLEL:
            width = max(last / length / 2, 0.0 if f.kink else f.width / length, 1e-12)
            if width < PANEL:
                found.append(Feature(slope / length, f.position / length, width, False))
        found.extend(meeting for g in features[:i] for meeting in _meeting(f, g))
    return found


def _meeting(f: Feature, g: Feature) -> list[Feature]:
    """The line over which two planes meet; steep ones blur it."""
    normal = f.direction[:-1] * g.direction[-1] - f.direction[-1] * g.direction[:-1]
    length = float(np.linalg.norm(normal))
    if length <= PARALLEL:
        return []
    position = (f.position * g.direction[-1] - f.direction[-1] * g.position) / length
    steep = [h.width / length for h in (f, g) if h.width < PANEL]
    if f.kink and g.kink:
        return [Feature(normal / length, position, max(min(steep, default=PANEL), 1e-12), True)]
    width = max(steep)
    return [Feature(normal / length, position, max(width, 1e-12), False)] if width < 1 else []
