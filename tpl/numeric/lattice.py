"""Smooth expectations over three and more Gaussian dimensions, by sums on equal steps in a ball.

For a function analytic in a strip, times a Gaussian, such a sum is exact up to exp(-2π d/h): a step of half the width
of a steep slope gives ten digits, in any number of dimensions. Each axis has its own step, from the slopes that it
crosses; all are shortened until two sums agree. What is given as the error is their difference, which is that of the
coarser one, with the mass near the edge of the ball and the rounding of the integrand.
"""

from collections.abc import Iterator
from math import gamma, pi

import numpy as np

from tpl.numeric.features import Analyst
from tpl.numeric.integrand import Integrand
from tpl.numeric.rounding import values_and_rounding
from tpl.numeric.series import Declined, Found
from tpl.numeric.smoothness import smoothness

REACH = 8.5
SHELL = 0.5  # of this thickness, at the edge of the ball: more mass than beyond it
FIRST_STEP = 0.8  # of a slope's width
SHORTER = 0.8
TOLERANCE = 1e-10  # of the integral of the absolute value
ACCEPTED = 1e-8  # likewise
MAX_POINTS = 1 << 22
CHUNK = 1 << 14


def lattice(integrand: Integrand, most: int = MAX_POINTS) -> Found | Declined:
    """E F of a smooth integrand, with at most so many points, or why it is left to another strategy."""
    classified = smoothness(integrand.expr, integrand.env, integrand.known)
    if not classified.smooth:
        return Declined(classified.reason)
    steps = FIRST_STEP * axis_scales(integrand)
    if points_in_ball(steps) > most:
        return _too_many(steps)
    sums, gap = _sums(integrand, steps), np.inf
    while not gap <= TOLERANCE * sums[1]:
        if points_in_ball(SHORTER * steps) > most:
            if gap <= ACCEPTED * sums[1]:
                break
            return _too_many(SHORTER * steps)
        steps, last = SHORTER * steps, sums
        sums = _sums(integrand, steps)
        gap = abs(sums[0] - last[0])
        if not np.all(np.isfinite(sums)):
            return Declined("the integrand is not finite everywhere")
    value, size, edge = map(float, sums)
    if edge > ACCEPTED * size:
        return Declined("the integrand grows too fast for the ball")
    bound = gap + edge + _noise(integrand)
    what = f"lattice of {points_in_ball(steps)} points in {len(steps)} dimensions"
    return Found(value, bound, f"{what}, error ≤ {bound:.1g}")


def _too_many(steps: np.ndarray) -> Declined:
    return Declined(f"steep in {len(steps)} dimensions: a lattice needs {points_in_ball(steps):.1g} points")


def axis_scales(integrand: Integrand) -> np.ndarray:
    """For every axis, how far a step may go before a slope or the Gaussian law turns: [rank], at most 1."""
    scales = np.ones(integrand.rank)
    for f in Analyst(integrand, REACH).analyse().features:
        with np.errstate(divide="ignore"):
            scales = np.minimum(scales, f.width / np.abs(f.direction))
    return scales


def points_in_ball(steps: np.ndarray) -> int:
    rank = len(steps)
    return int(pi ** (rank / 2) / gamma(rank / 2 + 1) * np.prod(REACH / steps))


def _points(steps: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Points of a lattice in the ball, [rank, k], and their weights [k], a chunk at a time."""
    axes = [h * np.arange(-int(REACH / h), int(REACH / h) + 1) for h in steps]
    base = np.stack([x.ravel() for x in np.meshgrid(*axes[1:], indexing="ij")])
    radius = np.sum(base**2, axis=0)
    order = np.argsort(radius, kind="stable")
    base, radius = base[:, order], radius[order]
    scale = np.prod(steps / np.sqrt(2 * np.pi))
    for z in axes[0]:
        inside = int(np.searchsorted(radius, REACH**2 - z**2, side="right"))
        for start in range(0, inside, CHUNK):
            part = slice(start, min(start + CHUNK, inside))
            rest = base[:, part]
            points = np.concatenate([np.full((1, rest.shape[1]), z), rest])
            yield points, scale * np.exp(-(radius[part] + z**2) / 2)


def _sums(integrand: Integrand, steps: np.ndarray) -> np.ndarray:
    """E F, E |F|, and E |F| in the shell."""
    total = np.zeros(3)
    for z, weights in _points(steps):
        mass = integrand.at(z) * weights
        size = np.abs(mass)
        edge = np.sum(z**2, axis=0) > (REACH - SHELL) ** 2
        total += np.sum(mass), np.sum(size), np.sum(size[edge])
    return total


def _noise(integrand: Integrand) -> float:
    """E |rounding of F|, on a coarse lattice."""
    total = 0.0
    for z, weights in _points(np.ones(integrand.rank)):
        points = np.tensordot(integrand.factor, z, 1)
        _, rounding = values_and_rounding(integrand.expr, points, integrand.env, integrand.known)
        total += float(np.sum(rounding * np.abs(integrand.outside(z)) * weights))
    return total
