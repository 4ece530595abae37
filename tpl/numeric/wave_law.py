"""The law of a whole program in waves: networks whose inputs are one whole, such as the nodes of a graph, and any long program."""

from collections.abc import Sequence

import numpy as np

from tpl.core.program import Program
from tpl.numeric.evaluate import Evaluation
from tpl.numeric.plan import grouped
from tpl.numeric.series import Declined
from tpl.numeric.wave_reading import NotInWaves, Reading
from tpl.numeric.waves import EPSILON, AtJump, Waves

MOST_ROWS = 5_000  # data vectors, whose inner products are one array
NOISY = 3  # runs with random last digits
SAFETY = 4.0  # what those change, for the error


def evaluate_waves(program: Program, lines: Sequence[int]) -> Evaluation | Declined:
    """The values of scalar lines, [lines], and their errors; `Declined` for programs that are none for waves."""
    rows: dict[tuple[float, ...], int] = {}
    try:
        reading = Reading(program, lines, rows)
        if len(rows) > MOST_ROWS:
            return Declined(f"{len(rows):,} data vectors")
        waves = Waves(reading.numbers, [reading.scalar(i) for i in lines], reading.env, settle_jumps=True)
        dots = _inner_products(rows)
        value = waves(dots)[:, 0]
        others = [waves(dots, noise=np.random.default_rng(k))[:, 0] for k in range(NOISY)]
        others.append(waves(dots, coarse=True)[:, 0])
    except (NotInWaves, AtJump, ArithmeticError) as problem:
        return Declined(str(problem))
    gap = np.max([np.abs(x - value) for x in others], axis=0)
    tail = 4 * EPSILON + sum(waves.integrals.tails.values())
    plan = grouped(waves.integrals.plan.values())
    methods = sorted({c.method for c in plan}) or ["exact"]
    return Evaluation(value, SAFETY * gap + tail * np.abs(value), "law, " + " and ".join(methods), plan)


def _inner_products(rows: dict[tuple[float, ...], int]) -> np.ndarray:
    """Of data vectors of any lengths, [1, rows, rows]; only those of equal lengths are asked for."""
    width = max(map(len, rows), default=0)
    array = np.array([np.pad(row, (0, width - len(row))) for row in rows]).reshape(len(rows), width)
    return (array @ array.T)[None]


__all__ = ["evaluate_waves"]
