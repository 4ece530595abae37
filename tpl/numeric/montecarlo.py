"""Expectations over one Gaussian block by Monte Carlo, in compiled code: all integrands in one sweep, values with errors.

Samples come in blocks, each a function of the seed and its number. A round evaluates blocks in threads, rounds are
merged in order, and whether another round follows depends on the numbers alone: the same bits for any number of threads.
Sources: Welford-type merging of blocks, Chan, Golub and LeVeque 1983; randomised nets, Matoušek 1998 and Owen 1998.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from tpl.core.expr import Expr
from tpl.limit.calculus import Atom
from tpl.numeric import cache
from tpl.numeric.chains import Chain, covariance_of, reduce_rank, students_error
from tpl.numeric.codegen import CHUNK, Code, generate
from tpl.numeric.nets import BITS, MAX_DIMENSION, first_points, generators, scrambled
from tpl.numeric.quadrature import values

VarianceReduction = Literal["none", "antithetic", "quasi"]

BLOCK = 16  # chunks of pseudo-random samples
FIRST_BLOCKS = 8  # in the first round: error bars of fewer samples are not to be trusted
ROUND_NUMBERS = 1 << 14  # blocks times integrands that are kept before they are merged
GROWTH = (1.25, 8.0)  # the least and the greatest factor from one round to the next
MARGIN = 1.1  # samples beyond those that an error asks for
PILOT = (2, 32)  # chunks of a net, and its randomisations, in a first round that is never the last
REPLICATES = 128  # randomisations at most
FOR_KURTOSIS = 4  # randomisations for each unit of the integrand's kurtosis
TASKS = 32  # a thread's share of a round, so that no thread waits long for another
LEAST_TASK = 4  # blocks: fewer take less time than handing them over
FEW = 100  # samples that make up a spread: fewer make its error bar doubtful


@dataclass(frozen=True)
class Estimate:
    """Means and their standard errors, [integrands]; `samples`: points at which the integrands were evaluated.

    value ± 2 error covers what two standard deviations do. notes: what makes the errors doubtful.
    """

    value: np.ndarray
    error: np.ndarray
    samples: int
    method: str
    notes: tuple[str, ...] = ()


def estimate(
    integrands: Sequence[Expr],
    covariance: np.ndarray,
    env: Mapping[str, float],
    known: Mapping[int, float],
    *,
    rtol: float = 1e-3,
    samples: int = 1 << 22,
    seed: int = 0,
    threads: int = 1,
    variance_reduction: VarianceReduction = "none",
    rank_tolerance: float = 2e-15,
) -> Estimate:
    """E integrand(u), u ~ N(0, covariance), for all integrands at the same samples.

    `ref(i)` is the i-th variable, a symbol's value stands in `env`, a quantity's in `known`. Stops when every error is
    below `rtol` times its value (of a value that cannot be told from 0: times the integrand's root mean square), or
    after about `samples` samples, though never before some 30,000 (nets of skewed integrands: four times as many, if
    `samples` allows). Estimates with one seed share their random numbers. Raises NotGenerated for a function without a
    rule.
    """
    factor = reduce_rank(np.asarray(covariance, dtype=float), rank_tolerance)
    if factor.shape[1] == 0:
        origin = np.zeros((len(factor), 1))
        exact = np.array([values(x, origin, env, known)[0] for x in integrands])
        return Estimate(exact, np.zeros(len(exact)), 1, "Monte Carlo", _doubts(exact, np.full(len(exact), np.inf)))
    code = generate(integrands, len(factor))
    with ThreadPoolExecutor(threads) as pool:
        sweep = _Sweep(code, factor, code.parameter_values(env, known), len(integrands), pool, threads)
        if variance_reduction == "quasi" and sweep.rank <= MAX_DIMENSION:
            return _by_nets(sweep, rtol, samples, seed)
        return _by_samples(sweep, rtol, samples, seed, pairs=variance_reduction == "antithetic")


def sample_atoms(
    atoms: Sequence[Atom],
    chain: Chain,
    *,
    rtol: float = 1e-3,
    samples: int = 1 << 22,
    threads: int = 1,
    variance_reduction: VarianceReduction = "none",
) -> Estimate:
    """The expectations of atoms over one covariance, with a chain's constants, quantities, seed and tolerance.

    Chains with different seeds give independent values; one chain's atoms share their samples.
    """
    return estimate(
        [atom.integrand for atom in atoms],
        covariance_of(atoms[0], chain),
        chain.env,
        chain.known,
        rtol=rtol,
        samples=samples,
        seed=chain.seed,
        threads=threads,
        variance_reduction=variance_reduction,
        rank_tolerance=chain.rank_tolerance,
    )


# ---------------------------------------------------------------------------------------------- the sweep


@lru_cache(maxsize=1)
def _compiled_sweep() -> Callable[..., None]:
    return cache.load((Path(__file__).parent / "sweep.py").read_text(encoding="utf-8")).sweep


class _Sweep:
    """The compiled integrands over one Gaussian block, ready to evaluate blocks of samples."""

    def __init__(
        self, code: Code, factor: np.ndarray, parameters: np.ndarray, count: int, pool: ThreadPoolExecutor, threads: int
    ):
        self.run = _compiled_sweep()
        self.kernels = np.array(cache.load(code.text).KERNELS, dtype=np.int64)
        self.factor = np.ascontiguousarray(factor)
        self.parameters = np.append(parameters, 0.0)
        self.slots, self.count, self.pool, self.threads = code.slots, count, pool, threads

    @property
    def rank(self) -> int:
        return self.factor.shape[1]

    def blocks(self, key: np.ndarray, pairs: bool, first: int, last: int) -> np.ndarray:
        """Means and sums of 2nd and 4th powers of deviations of blocks first … last - 1: [blocks, 3, integrands]."""
        result = np.empty((last - first, 3, self.count))
        size = max(LEAST_TASK, -(-len(result) // (self.threads * TASKS)))

        def evaluate(start: int) -> None:
            self.run(self.kernels, key, _NO_NET, _NO_NET, self.factor, self.parameters, self.slots, pairs, BLOCK,
                     first + start, result[start : start + size])  # fmt: skip

        self._in_threads(evaluate, range(0, len(result), size))
        return result

    def nets(self, low: np.ndarray, high: np.ndarray, first: int, last: int) -> np.ndarray:
        """As `blocks`, each of chunks first … last - 1 of a net: [nets, 3, integrands]; first is 0 or half of last."""
        result = np.empty((len(low), 1, 3, self.count))
        key = np.zeros(2, dtype=np.uint64)

        def evaluate(net: int) -> None:
            self.run(self.kernels, key, low[net], high[net], self.factor, self.parameters, self.slots, False,
                     last - first, int(first > 0), result[net])  # fmt: skip

        self._in_threads(evaluate, range(len(low)))
        return result[:, 0]

    def _in_threads(self, function: Callable[[int], None], items: range) -> None:
        """Call it for all items: this thread and the pool's each take the next one left until there are none."""
        left = iter(items)

        def work() -> None:
            for item in left:
                function(item)

        helpers = [self.pool.submit(work) for _ in range(min(self.threads, len(items)) - 1)]
        work()
        for helper in helpers:
            helper.result()


_NO_NET = np.zeros((0, 0), dtype=np.uint64)


# ---------------------------------------------------------------------------------------------- pseudo-random samples


@dataclass
class _Moments:
    """Blocks merged so far: their number, the mean, sums of 2nd and 4th powers of deviations."""

    blocks: int
    mean: np.ndarray
    second: np.ndarray
    fourth: np.ndarray

    def merge(self, result: np.ndarray, size: int) -> None:
        """Add blocks of `size` values each."""
        mean = result[:, 0].mean(axis=0)
        inside = result[:, 1].sum(axis=0) + size * ((result[:, 0] - mean) ** 2).sum(axis=0)
        total = self.blocks + len(result)
        gap = mean - self.mean
        self.second = self.second + inside + size * gap**2 * (self.blocks * len(result) / total)
        self.fourth = self.fourth + result[:, 2].sum(axis=0)
        self.mean = self.mean + gap * (len(result) / total)
        self.blocks = total


def _by_samples(sweep: _Sweep, rtol: float, samples: int, seed: int, pairs: bool) -> Estimate:
    key = np.random.SeedSequence(seed).generate_state(2).astype(np.uint64)
    size = BLOCK * CHUNK
    most = samples // (size * (1 + pairs))
    moments = _Moments(0, *np.zeros((3, sweep.count)))
    target = FIRST_BLOCKS
    while True:
        with np.errstate(all="ignore"):
            while moments.blocks < target:
                step = min(target, moments.blocks + max(FIRST_BLOCKS, ROUND_NUMBERS // sweep.count))
                moments.merge(sweep.blocks(key, pairs, moments.blocks, step), size)
            count = moments.blocks * size
            error = np.sqrt(moments.second / (count - 1) / count)
            excess = _excess(moments.mean, error, count, rtol)
        if not excess > 1 or moments.blocks >= most:
            break
        factor = float(np.clip(MARGIN * excess**2, *GROWTH))
        target = min(most, int(np.ceil(moments.blocks * factor)))
    with np.errstate(all="ignore"):
        effective = moments.second**2 / moments.fourth
    method = f"Monte Carlo, {'antithetic pairs' if pairs else 'independent samples'}"
    return Estimate(moments.mean, error, count * (1 + pairs), method, _doubts(moments.mean, effective))


def _excess(value: np.ndarray, error: np.ndarray, count: int, rtol: float) -> float:
    """The greatest ratio of an error to what is asked for; `count`: independent values behind the errors."""
    size = np.where(np.abs(value) > 3 * error, np.abs(value), np.hypot(value, error * np.sqrt(count)))
    return float(np.max(np.divide(error, rtol * size, out=np.zeros(len(error)), where=error > 0), initial=0.0))


def _doubts(value: np.ndarray, effective: np.ndarray) -> tuple[str, ...]:
    """effective: how many samples, of equal size, would make up each spread."""
    notes = [f"integrand {i} is not finite" for i in np.flatnonzero(~np.isfinite(value))]
    for i in np.flatnonzero(effective < FEW):
        notes.append(f"the spread of integrand {i} is that of about {effective[i]:.0f} samples: its error is doubtful")
    return tuple(notes)


# ---------------------------------------------------------------------------------------------- quasi-random samples


def _replicates_error(means: np.ndarray) -> np.ndarray:
    """The error of the mean over rows: Student's, widened where the rows are skewed.

    Two-sided intervals of Student's at x standard deviations cover too little by the square of the skewness; the factor
    makes up for it to first order at x = 2 (Hall 1992, The Bootstrap and Edgeworth Expansion, §2.6).
    """
    deviation = means - means.mean(axis=0)
    second, third = (deviation**2).mean(axis=0), (deviation**3).mean(axis=0)
    squared_skewness = np.divide(third**2, second**3, out=np.zeros(len(second)), where=second**3 > 0)
    return students_error(means) * (1 + 7 / 6 * squared_skewness / len(means))


class _Nets:
    """Independent randomisations of one net: means over their first chunks, [nets, integrands].

    powers: sums of 2nd and 4th powers of the samples' deviations, [2, integrands].
    """

    def __init__(self, sweep: _Sweep, seed: int):
        self.sweep = sweep
        self.rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        self.low = np.empty((0, sweep.rank, CHUNK), dtype=np.uint64)
        self.high = np.empty((0, sweep.rank, BITS - CHUNK.bit_length() + 1), dtype=np.uint64)
        self.means = np.empty((0, sweep.count))
        self.chunks = 0
        self.powers = np.zeros((2, sweep.count))

    @property
    def samples(self) -> int:
        return len(self.means) * self.chunks * CHUNK

    def effective(self) -> np.ndarray:
        """How many samples, of equal size, would make up the integrands' spread."""
        second, fourth = self.powers
        return np.divide(second**2, fourth, out=np.full(len(second), np.inf), where=fourth != 0)

    def add(self, count: int) -> None:
        """More nets, of as many chunks."""
        generated, shifts = scrambled(generators(self.sweep.rank), count, self.rng)
        low, high = first_points(generated, shifts, CHUNK), generated[:, :, CHUNK.bit_length() - 1 :]
        self.low, self.high = np.concatenate([self.low, low]), np.concatenate([self.high, high])
        self.means = np.concatenate([self.means, self._run(len(self.low) - count, 0, self.chunks)])

    def double(self) -> None:
        """Twice the chunks of every net."""
        self.means = (self.means + self._run(0, self.chunks, 2 * self.chunks)) / 2
        self.chunks *= 2

    def _run(self, first_net: int, first: int, last: int) -> np.ndarray:
        found = self.sweep.nets(self.low[first_net:], self.high[first_net:], first, last)
        self.powers = self.powers + found[:, 1:].sum(axis=0)
        return found[:, 0]


def _by_nets(sweep: _Sweep, rtol: float, samples: int, seed: int) -> Estimate:
    """Nets are doubled until their spread is small enough.

    Means over a net are skewed where the integrand grows without bound, mostly by the net's outermost point, however
    many points there are. More nets make up for that; a few nets' own skewness would not show it, the samples' does.
    A spread that is too small by chance would stop a round too early, so that intervals hold the truth less often: each
    round decides, as if it were independent samples, whether the next is the last one.
    """
    nets = _Nets(sweep, seed)
    with np.errstate(all="ignore"):
        nets.chunks, count = PILOT
        nets.add(count)
        kurtosis = np.nan_to_num(nets.samples / nets.effective()).max(initial=0)
        count = int(np.clip(min(FOR_KURTOSIS * kurtosis, samples / (2 * nets.chunks * CHUNK)), count, REPLICATES))
        if count > len(nets.means):
            nets.add(count - len(nets.means))
        most, expected = min(samples, count * CHUNK << nets.high.shape[2]), np.inf
        while True:
            value, error = nets.means.mean(axis=0), _replicates_error(nets.means)
            excess = _excess(value, error, count, rtol)
            if 2 * nets.samples > most or not max(excess, expected) > 1:
                break
            expected = excess / np.sqrt(2)
            nets.double()
    return Estimate(value, error, nets.samples, "Monte Carlo, randomised nets", _doubts(value, nets.effective()))


__all__ = ["Estimate", "VarianceReduction", "estimate", "sample_atoms"]
