"""Standard normals for the first directions of a replicate, from randomised Sobol points.

Sample s of the limit is one point: its coordinates are what the Gaussian vectors of the program, and what matrices show
of themselves, are at s, in the order in which they are drawn. The points of a net fill the cube more evenly than
independent ones do, so that averages over samples are nearer to expectations. Randomised (Matoušek 1998), every point is
uniform by itself, so that replicates remain independent draws from one law, whose marginals are the right ones.

In many dimensions some pairs of coordinates of a Sobol net are badly correlated; so there is a new net, in an order of
its own, after every DIMENSIONS. Directions that come late matter less: beyond MOST they are independent samples.
"""

import numpy as np

from tpl.sampling.rows import Rows
from tpl.sampling.streams import stream

DIMENSIONS = 128  # of a net
MOST = 8 * DIMENSIONS
_FIRST_NET, _FIRST_ORDER = 2**40, 2**41  # streams of nets and of orders: beyond all lines of a program


class SobolNormals:
    """Rows of normals for one replicate. used: how many there have been so far; all else follows from the seed."""

    def __init__(self, seed: int, domain: int, width: int, replicate: int):
        self._key = seed, domain, width, replicate
        self.used = 0
        self._last: tuple[tuple[int, int], np.ndarray, np.ndarray] = (-1, 0), np.empty(0), np.empty(0)

    def draw(self, count: int, size: int) -> Rows | None:
        """The next `count` rows of `size` samples; None where there are no more, or not for so many samples."""
        from tpl.numeric.nets import BITS

        if self.used + count > MOST or size > 2**BITS:
            return None
        out = np.empty((count, size))
        done = 0
        while done < count:
            net, first = divmod(self.used, DIMENSIONS)
            rows = min(count - done, DIMENSIONS - first)
            out[done : done + rows] = self._normals(net, first, rows, size)
            self.used += rows
            done += rows
        return out

    def _normals(self, net: int, first: int, count: int, size: int) -> Rows:
        """Some coordinates of the first `size` points of one net."""
        from scipy.special import ndtri

        from tpl.numeric.nets import first_points

        bits = max(1, int(np.ceil(np.log2(size))))
        generated, shifts = self._scrambled(net, bits)
        points = first_points(generated[first : first + count], shifts[first : first + count], 2**bits)[:, :size]
        if net:
            points = np.take(points, stream(*self._key, _FIRST_ORDER + net).permutation(size), axis=1)
        return np.asarray(ndtri((points >> np.uint64(11)) * 2.0**-53 + 2.0**-54))

    def _scrambled(self, net: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
        """A net's generators and shifts: the last one's are remembered."""
        from tpl.numeric.nets import generators, scrambled

        if self._last[0] != (net, bits):
            (generated,), (shifts,) = scrambled(generators(DIMENSIONS, bits), 1, stream(*self._key, _FIRST_NET + net))
            self._last = (net, bits), generated, shifts
        return self._last[1:]
