"""Gram matrices, and what is read off them directly."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tpl.sampling.measures.measure import Floats, Measure, Statistics, jackknife

MEAN = "mean over replicates"
JACKKNIFE = "jackknife over replicates"

ROUND_OFF = 1e-13  # what centring leaves of a constant, and a difference of equal squares, relative to them


def gram() -> Measure:
    """avg(h_t(a) h_t(b)), [T, N, N]."""
    return _matrix("gram", lambda s: s["gram"], ("gram",))


def cross_gram() -> Measure:
    """avg(h_0(a) h_t(b)), [T, N, N]."""
    return _matrix("cross_gram", lambda s: s["cross"], ("gram", "cross"))


def joint_gram() -> Measure:
    """The Gram matrix of h_0(1), ..., h_0(N), h_t(1), ..., h_t(N), [T, 2N, 2N]."""
    return _matrix("joint_gram", _joint, ("gram", "cross"))


def _matrix(name: str, function: Callable[[Statistics], Floats], uses: tuple[str, ...]) -> Measure:
    def slack(statistics: Statistics, energy: Floats) -> Floats:
        return np.broadcast_to(energy[..., None, None], function(statistics).shape)

    return Measure(name, function, uses, slack, jackknife, MEAN)


def _joint(statistics: Statistics) -> Floats:
    now, cross = statistics["gram"], statistics["cross"]
    start = np.broadcast_to(now[..., :1, :, :], now.shape)
    return np.block([[start, cross], [np.swapaxes(cross, -1, -2), now]])


def rms() -> Measure:
    """sqrt of the mean over inputs of E h_t², [T]."""

    def square(statistics: Statistics) -> Floats:
        return np.asarray(_squares(statistics).mean(axis=-1))

    def slack(statistics: Statistics, energy: Floats) -> Floats:
        return _root_slack(square(statistics), energy / statistics["gram"].shape[-1])

    return Measure("rms", lambda s: np.sqrt(square(s)), ("gram",), slack, jackknife, JACKKNIFE)


def feature_change() -> Measure:
    """Mean over inputs of sqrt(E (h_t - h_0)² / E h_0²), [T]. A variable that is zero throughout has not changed."""

    def function(statistics: Statistics) -> Floats:
        start, change = _start_and_change(statistics)
        return np.asarray(_relative(np.sqrt(change), np.sqrt(start)).mean(axis=-1))

    def slack(statistics: Statistics, energy: Floats) -> Floats:
        start, change = _start_and_change(statistics)
        moved = _root_slack(change, 2 * energy[..., None])
        moved = np.where(change + start > 0, moved, 0.0)
        of_start = np.sqrt(change) * _relative(energy[..., None] * (start > 0), 2 * start)
        found = np.asarray(_relative(moved + of_start, np.sqrt(start)).mean(axis=-1))
        found[..., 0] = 0.0  # the start is the start, whatever is known of it
        return found

    return Measure("feature_change", function, ("gram", "cross"), slack, jackknife, JACKKNIFE)


def _squares(statistics: Statistics) -> Floats:
    """E h_t(a)², [..., T, N]."""
    return np.diagonal(statistics["gram"], axis1=-2, axis2=-1)


def _start_and_change(statistics: Statistics) -> tuple[Floats, Floats]:
    """E h_0(a)² and E (h_t(a) - h_0(a))², [..., T, N]."""
    now = _squares(statistics)
    start = np.broadcast_to(now[..., :1, :], now.shape)
    change = now - 2 * np.diagonal(statistics["cross"], axis1=-2, axis2=-1) + start
    change[..., 0, :] = 0.0  # by definition
    # A difference of squares is right to the rounding of these: what is below that is no change.
    return start, np.where(change > ROUND_OFF * (now + start), change, 0.0)


def _relative(part: Floats, whole: Floats) -> Floats:
    """part / whole, where zero of zero is zero."""
    return np.where(part == 0, 0.0, part / whole)


def _root_slack(square: Floats, energy: Floats) -> Floats:
    """How far sqrt(square) may move if the square moves by so much either way."""
    root = np.sqrt(square)
    return np.maximum(np.sqrt(square + energy) - root, root - np.sqrt((square - energy).clip(0.0)))


def alignment(targets: ArrayLike) -> Measure:
    """Centred alignment of the Gram matrix with the targets y y', y [N] or [N, k], [T] in [0, 1].

    <K_c, Y_c> / (|K_c| |Y_c|) with X_c = H X H, H = 1 - 11'/N (Cortes, Mohri, Rostamizadeh 2012, definition 4).
    Raises ValueError if all targets are the same.
    """
    y = np.asarray(targets, float)
    y = y.reshape(len(y), -1)
    centred = y - y.mean(axis=0)
    wanted = centred @ centred.T
    size = np.linalg.norm(wanted)
    if not size > ROUND_OFF * float((y**2).sum()):
        raise ValueError("alignment: all targets are the same")

    def function(statistics: Statistics) -> Floats:
        kernel = _centred(statistics["gram"])
        return np.asarray((kernel * (wanted / size)).sum(axis=(-2, -1)) / np.linalg.norm(kernel, axis=(-2, -1)))

    def slack(statistics: Statistics, energy: Floats) -> Floats:
        # |a/|a| - b/|b|| <= 2 |a - b| / |a|
        size_now = np.linalg.norm(_centred(statistics["gram"]), axis=(-2, -1))
        return np.minimum(1.0, 2 * energy / size_now)

    return Measure("alignment", function, ("gram",), slack, jackknife, JACKKNIFE)


def _centred(matrix: Floats) -> Floats:
    rows = matrix - matrix.mean(axis=-1, keepdims=True)
    return np.asarray(rows - rows.mean(axis=-2, keepdims=True))
