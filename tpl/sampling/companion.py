"""What rank truncation does to the results of a training, measured: the same training with it and without.

A companion draws its matrices whole. One run reveals them direction by direction, to the tolerance and in the precision
of the run that it accompanies; the other multiplies by them as they are. Both begin with the same numbers, so that they
differ by what truncation (and float32, if it was asked for) has done up to each step, and by nothing else. Ranks hardly
depend on the number of samples, nor does what is dropped; so few samples serve.
"""

from dataclasses import dataclass, replace

import numpy as np

from tpl.core.training import Training
from tpl.sampling.checkpoint import Checkpoint
from tpl.sampling.estimate import Cancel, Progress, Tick, run_many
from tpl.sampling.train import Statistics, TrainOptions, train
from tpl.sampling.train_many import Measured, known_or_found

FEWEST, MOST = 512, 4096  # samples
_ROOM = 4  # samples to the largest rank, where that is affordable
PAIRS = 2  # at most


@dataclass(frozen=True)
class Effect:
    """By how much each show changes, [records, *shape, ...]: root mean square over pairs of runs."""

    changes: tuple[np.ndarray, ...]
    samples: int
    pairs: int


def samples_of(options: TrainOptions, largest_rank: int) -> int:
    """How many samples a companion has: few, but more than directions."""
    wanted = 2 ** int(np.ceil(np.log2(max(1, _ROOM * largest_rank))))
    if wanted > MOST // 2:
        wanted = MOST // 2 if 2 * largest_rank <= MOST // 2 else MOST
    return min(max(wanted, FEWEST), options.base_width)


def chosen(options: TrainOptions, largest_rank: int) -> tuple[TrainOptions, TrainOptions, int]:
    """How the two runs of a pair are run, with truncation and without, and how many pairs there are."""
    samples = samples_of(options, largest_rank)
    revealed = replace(options, base_width=samples, operator="lazy", stored=True)
    whole = replace(options, base_width=samples, operator="dense", dtype="float64")
    return revealed, whole, PAIRS if samples <= MOST // 2 else 1


def truncation_effect(
    training: Training,
    options: TrainOptions,
    largest_rank: int,
    threads: int | None = None,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Effect:
    """Run companions of a training in the limit whose ranks grow to `largest_rank`.

    checkpoint: that of the training, which keeps its companions, too.
    """
    *both, pairs = chosen(options, largest_rank)
    samples, ticks = both[0].base_width, training.schedule.steps + 1

    def one(index: int, tick: Tick, cancelled: Cancel) -> Statistics:
        own = both[index % 2]
        # Ranks may be others in a run with more replicates, and the samples then, too.
        files = checkpoint.replicate(f"companion-{samples}-{index}") if checkpoint is not None else None
        return known_or_found(
            files,
            lambda: train(training, own, index // 2, cancelled=cancelled, tick=tick, files=files),
            ticks,
            tick,
        )

    found = run_many(one, 2 * pairs, threads, progress, ticks)
    measured = Measured(training)
    first, second = (measured.single(_stacked(found[k::2])) for k in (0, 1))
    changes = tuple(np.sqrt(np.mean((a - b) ** 2, axis=0)) for a, b in zip(first, second, strict=True))
    return Effect(changes, samples, pairs)


def _stacked(replicates: list[Statistics]) -> Statistics:
    return {name: np.array([x[name] for x in replicates]) for name in replicates[0] if name != "ranks"}
