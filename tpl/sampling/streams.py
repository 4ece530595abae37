"""One stream of random numbers for each random line of each replicate.

What a line draws depends on the seed, the kind of run, its width, the replicate and the line, and on nothing else: not
on threads, not on the order of work.
"""

import numpy as np

# Runs that may be compared with each other must not share random numbers.
LIMIT_RUN, FINITE_RUN = 0, 1


def stream(seed: int, domain: int, width: int, replicate: int, line: int) -> np.random.Generator:
    """The random numbers of one line. SFC64 draws normals half again as fast as Philox."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(domain, width, replicate, line))
    return np.random.Generator(np.random.SFC64(sequence))
