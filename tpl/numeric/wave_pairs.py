"""Kernels of networks with many positions, by pairs of inputs: the numbers of a pair in waves, many pairs side by side.

`PairProgram` writes a formula for every number of a pair and compiles it; with 64 positions there are tens of thousands
of them, of a dozen kinds. Here numbers of a kind are an array.
"""

from collections.abc import Mapping
from math import prod

import numpy as np

from tpl.numeric.pairwise_code import Inputs, labelled
from tpl.numeric.plan import Choice
from tpl.numeric.wave_reading import Reading
from tpl.numeric.waves import EPSILON, Waves

ENTRIES = 1 << 24  # numbers held at a time
PROBES = 4  # inputs at which rounding is measured, each with itself, its nearest and its most opposite partner
SEARCHED = 256  # inputs among which those are looked for
NOISY = 3  # runs with random last digits
SAFETY = 4.0  # what is measured at probes, for all pairs
SIDE = 16  # inputs a side of a block


class Digits:
    """Random last digits of runs side by side, the first of which has none."""

    def __init__(self, start: int, runs: int):
        self.generators = [np.random.default_rng((seed, start)) for seed in range(runs)]

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
        """[…, (1 + runs) · pairs]."""
        part = (*shape[:-1], shape[-1] // (1 + len(self.generators)))
        return np.concatenate([np.zeros(part), *(g.uniform(low, high, part) for g in self.generators)], axis=-1)


class WavePairs:
    """Numbers of a pair by kernel (`outputs`), and of one input with itself (`diagonals`), [E, E] nodes each.

    E = Π extra outputs of the network, such as one at every position. rows: data vectors of an input, which come first
    among those of the reading, the left input's before the right one's. afresh: see `PairProgram`.
    """

    side = SIDE

    def __init__(
        self, reading: Reading, outputs: Mapping[str, np.ndarray], diagonals: Mapping[str, np.ndarray], rows: int,
        extra: tuple[int, ...] = (), afresh: bool = False,
    ):  # fmt: skip
        self.extra = extra
        self.afresh = afresh
        self.count = prod(extra)
        self.rows = rows
        self.outputs = {name: [int(n) for n in np.ravel(nodes)] for name, nodes in outputs.items()}
        ends = [int(n) for nodes in diagonals.values() for n in np.ravel(nodes)]
        self._pairs = Waves(reading.numbers, [n for nodes in self.outputs.values() for n in nodes], reading.env)
        self._selves = Waves(reading.numbers, ends, reading.env)
        fixed = [row for row, number in reading.rows.items() if number >= 2 * rows]  # data that are no inputs
        width = max(map(len, fixed), default=0)
        self._fixed = np.array([np.pad(row, (0, width - len(row))) for row in fixed]).reshape(len(fixed), width)

    @property
    def plan(self) -> tuple[Choice, ...]:
        """What was chosen so far: everything, once a kernel has been computed."""
        return tuple(c for w in (self._selves, self._pairs) for c in w.integrals.plan.values())

    @property
    def methods(self) -> list[str]:
        """The methods of what is computed for every pair."""
        return sorted({c.method for c in self._pairs.integrals.plan.values() if c.dimensions > 1})

    # ------------------------------------------------------------------------------------------ inputs and blocks
    def prepare(self, left: np.ndarray, right: np.ndarray | None = None) -> tuple[Inputs, Inputs]:
        """Both sides with K(ξ, ξ) of every input; right None: the left inputs again."""
        labels = (None, None) if self.afresh else labelled(left, right)
        first = Inputs(left, {}, self._own(left), labels[0])
        return first, first if right is None else Inputs(right, {}, self._own(right), labels[1])

    def _own(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        found = self._walk(self._selves, rows, rows)
        return {name: x.reshape(-1, self.count, self.count) for name, x in self._named(found).items()}

    def _named(self, found: np.ndarray) -> dict[str, np.ndarray]:
        """Roots by kernel, [pairs, E²]."""
        return {name: x.T for name, x in zip(self.outputs, np.split(found, len(self.outputs)), strict=True)}

    def block(self, left: Inputs, right: Inputs, compiled: bool = False) -> dict[str, np.ndarray]:
        """Every kernel for all pairs, [left · E, right · E]. Of equal inputs they are those of one, to the last bit."""
        shape = (len(left.rows), len(right.rows))
        same = left.rows.shape == right.rows.shape and left.rows.ctypes.data == right.rows.ctypes.data
        i, j = np.triu_indices(shape[0], 1) if same else np.divmod(np.arange(shape[0] * shape[1]), shape[1])
        values = self._named(self._walk(self._pairs, left.rows[i], right.rows[j]))
        found = {}
        for name, flat in values.items():
            block = np.empty((shape[0], self.count, shape[1], self.count))
            block[i, :, j] = flat.reshape(-1, self.count, self.count)
            if same:
                block[j, :, i] = flat.reshape(-1, self.count, self.count).swapaxes(1, 2)
                own = np.arange(shape[0])
                block[own, :, own] = left.diagonal[name]
            if left.labels is not None and right.labels is not None:
                a, b = np.nonzero(left.labels[:, None] == right.labels)
                block[a, :, b] = left.diagonal[name][a]
            found[name] = block.reshape(shape[0] * self.count, -1)
        return found

    def _walk(self, waves: Waves, left: np.ndarray, right: np.ndarray, coarse: bool = False) -> np.ndarray:
        """The roots for pairs of inputs [pairs, rows, d], as many at a time as memory allows: [roots, pairs]."""
        step = self._step(waves)
        parts = [waves(self._dots(left[k : k + step], right[k : k + step]), coarse) for k in range(0, len(left), step)]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(waves.roots), 0))

    def _step(self, waves: Waves) -> int:
        """Pairs at a time."""
        return max(ENTRIES // max(waves.size, (2 * self.rows + len(self._fixed)) ** 2), 1)

    def _disturbed(self, waves: Waves, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The roots, and the roots of runs with random last digits, side by side: [1 + runs, roots, pairs]."""
        runs = 1 + NOISY
        step = max(self._step(waves) // runs, 1)
        parts = []
        for k in range(0, len(left), step):
            dots = np.tile(self._dots(left[k : k + step], right[k : k + step]), (runs, 1, 1))
            found = waves(dots, noise=Digits(k, NOISY))
            parts.append(found.reshape(len(waves.roots), runs, -1).swapaxes(0, 1))
        return np.concatenate(parts, axis=2) if parts else np.empty((runs, len(waves.roots), 0))

    def _dots(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Inner products of all data vectors, [pairs, rows, rows]."""
        both = np.concatenate([left, right], axis=1)
        if len(self._fixed):
            width = max(both.shape[2], self._fixed.shape[1])
            padded = [np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, width - x.shape[-1])]) for x in (both, self._fixed)]
            fixed = np.broadcast_to(padded[1], (len(both), *padded[1].shape))
            both = np.concatenate([padded[0], fixed], axis=1)
        return both @ both.swapaxes(1, 2)

    # ------------------------------------------------------------------------------------------ errors
    def accuracy(self, sides: tuple[Inputs, Inputs], dtype: np.dtype) -> dict[str, float]:
        """Errors relative to √(K(ξ, ξ) K(ξ', ξ')), measured at some pairs, the nearest and most opposite ones among them."""
        left, right = (x.rows for x in sides)
        i, j = _probes(left, right)
        pairs = self._gaps(self._pairs, left[i], right[j])
        sizes = [{name: np.einsum("nee->ne", x) for name, x in side.diagonal.items()} for side in sides]
        selves = self._gaps(self._selves, left[i], left[i])
        floor = 4 * EPSILON + sum(self._pairs.integrals.tails.values()) + sum(self._selves.integrals.tails.values())
        floor += 0.0 if dtype == np.float64 else float(np.finfo(dtype).eps)
        found = {}
        for name in self.outputs:
            a, b = (np.sqrt(np.maximum(side[name][k], 0.0)) for side, k in zip(sizes, (i, j), strict=True))
            ratios = [_ratio(pairs[name], a, b), _ratio(selves[name], a, a)]
            found[name] = SAFETY * max(ratios) + floor
        return found

    def _gaps(self, waves: Waves, left: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
        """What random last digits and less effort change, by kernel, [pairs, E, E]."""
        value, *others = self._disturbed(waves, left, right)
        if waves.integrals.has_coarse:
            others.append(self._walk(waves, left, right, coarse=True))
        gap = np.max([np.abs(x - value) for x in others], axis=0)
        return {name: x.reshape(-1, self.count, self.count) for name, x in self._named(gap).items()}


def _ratio(gap: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    size = np.einsum("ne,nf->nef", a, b)
    return float(np.max(np.divide(gap, size, out=np.zeros_like(gap), where=size > 0), initial=0.0))


def _probes(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of inputs, [pairs] each: some of the left side with their nearest and most opposite partners."""
    some = np.unique(np.linspace(0, len(left) - 1, min(PROBES, len(left))).astype(int))
    searched = np.unique(np.linspace(0, len(right) - 1, min(SEARCHED, len(right))).astype(int))
    a, b = (x.reshape(len(x), -1) for x in (left[some], right[searched]))
    lengths = (np.sqrt(np.einsum("nd,nd->n", x, x)) for x in (a, b))
    cosines = a @ b.T / np.maximum(np.multiply.outer(*lengths), 1e-300)
    distinct = np.where(cosines < 1 - 1e-15, cosines, -1.0)
    partners = [searched[np.argmax(distinct, axis=1)], searched[np.argmin(cosines, axis=1)]]
    return np.tile(some, 2), np.concatenate(partners)


__all__ = ["WavePairs"]
