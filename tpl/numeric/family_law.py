"""The law in numbers, sweep by sweep: second moments of one family as a Gram matrix over quasi-random points.

Independent replicates each go all the way, so what they differ by is the error. Their points are the same whatever the
number of threads, and so are the bits.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from tpl.core.expr import Expr, evaluate, mul, substitute
from tpl.core.program import Program
from tpl.limit.jumps import jumps
from tpl.numeric.chains import NotDefined, reduce_rank, students_error
from tpl.numeric.evaluate import Evaluation
from tpl.numeric.families import Family, Number, Steps, Sweep
from tpl.numeric.integrand import values
from tpl.numeric.plan import Choice
from tpl.numeric.series import Declined
from tpl.numeric.strategies import UNASKED, Sampling

REPLICATES = 8
LOG2_POINTS = 13  # a replicate's, if nothing is asked
MOST_POINTS = 1 << 22  # of all replicates, if only a precision is asked
CHUNK = 8192  # points at a time
FEW = 20  # samples that make up a spread: with fewer, intervals were seen to hold the truth less than 93% of the time
NEAR_JUMP = 1e-12  # an argument so small at some point tends to 0, or might as well
# Seconds, measured on one core of a 2023 server: an elementwise operation at one point; a product in a Gram matrix; a
# normal coordinate of a point; a term of a second moment.
_OPERATION, _PRODUCT, _COORDINATE, _TERM = 4e-9, 3e-10, 1e-7, 4e-9


class AtJump(Exception):
    """The argument of a jump tends to the jump, as far as numbers tell."""


def predicted_seconds(steps: Steps, points: int = REPLICATES << LOG2_POINTS) -> float:
    """What `evaluate_families` would take on one thread."""
    total = 0.0
    for sweep in steps.steps:
        if isinstance(sweep, Sweep):
            count = len(sweep.functions)
            own = sweep.operations() * _OPERATION + count**2 * _PRODUCT + sweep.dimensions * _COORDINATE
            total += own * (points if sweep.blocks else 1) + REPLICATES * len(sweep.which) ** 2 * _TERM
    return total


def evaluate_families(
    program: Program, steps: Steps, lines: Sequence[int], seed: int = 0, sampling: Sampling = UNASKED
) -> Evaluation | Declined:
    """The values of scalar lines, [lines]: the mean over replicates, and its error.

    Raises NotDefined if a value is not a finite number.
    """
    points = _points_asked(sampling)
    while True:
        try:
            replicates = _replicates(program, steps, points, seed, sampling)
        except AtJump as problem:
            return Declined(f"the argument of {problem} tends to its jump")
        rows = np.array([[r.known[i] for i in lines] for r in replicates])
        if not np.all(np.isfinite(rows)):
            bad = program.lines[lines[int(np.flatnonzero(~np.isfinite(rows).all(axis=0))[0])]]
            raise NotDefined(f"{bad.name} is not a finite number", bad)
        value, error = rows.mean(axis=0), students_error(rows)
        error = np.hypot(error, 1e-15 * np.abs(value))
        if sampling.rtol is None or _precise(value, error, sampling.rtol) or 2 * points * REPLICATES > _most(sampling):
            break
        points *= 2
    choices = _choices(program, steps, replicates, points, sampling)
    method = "law, " + " and ".join(dict.fromkeys(c.method for c in choices if c.dimensions) or ["exact"])
    return Evaluation(value, error, method, choices, _doubts(replicates))


def _points_asked(sampling: Sampling) -> int:
    """A replicate's points, a power of two."""
    if sampling.samples is None or sampling.rtol is not None:
        return 1 << LOG2_POINTS
    return 1 << max(sampling.samples // REPLICATES, 2).bit_length() - 1


def _most(sampling: Sampling) -> int:
    return sampling.samples if sampling.samples is not None else MOST_POINTS


def _precise(value: np.ndarray, error: np.ndarray, rtol: float) -> bool:
    """Of a value that cannot be told from 0, relative to the greatest."""
    size = np.where(np.abs(value) > 3 * error, np.abs(value), np.abs(value).max(initial=0.0))
    return bool(np.all(error <= rtol * size))


# ---------------------------------------------------------------------------------------------- replicates


@dataclass
class _Replicate:
    """One way through the steps. effective: by sweep, how many samples make up the spread of its squares, at least."""

    seed: tuple[int, int]
    known: dict[int, float] = field(default_factory=dict)
    covariances: list[np.ndarray] = field(default_factory=list)
    effective: list[float] = field(default_factory=list)
    moments: list[np.ndarray] = field(default_factory=list)


def _replicates(program: Program, steps: Steps, points: int, seed: int, sampling: Sampling) -> list[_Replicate]:
    from threadpoolctl import threadpool_limits

    env = program.constant_values()
    start = [_first_covariance(program, f, env) for f in steps.families]
    strengths = [_strength(program, f, env) for f in steps.families]
    replicates = [_Replicate((seed, r), {}, [c.copy() for c in start]) for r in range(REPLICATES)]

    def go(replicate: _Replicate) -> None:
        for number, step in enumerate(steps.steps):
            if isinstance(step, Number):
                replicate.known[step.line] = float(values(step.expr, np.zeros((0, 1)), env, replicate.known)[0])
            else:
                _take(step, replicate, number, points, sampling.reduction if sampling.everything else "quasi", env,
                      strengths)  # fmt: skip

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(max(1, min(sampling.threads, REPLICATES))) as pool:
        list(pool.map(go, replicates))
    return replicates


def _coefficient(program: Program, expr: Expr | None, env: dict[str, float]) -> float:
    """A variance: powers of n are taken out, widths become their ratios."""
    assert expr is not None
    opened = substitute(expr, lambda x: program.ratio(str(x.value)) if x.value in program.widths else x)
    return evaluate(opened, env)


def _strength(program: Program, family: Family, env: dict[str, float]) -> float:
    """σ²: the variance of a matrix's entries times the size that the product sums over; of a draw, its variance."""
    if family.matrix is None:
        return _coefficient(program, program.lines[family.lines[0]].expr, env)
    line = program.lines[family.matrix]
    variance = _coefficient(program, line.expr, env)
    if family.op == "input":
        return variance
    return variance * evaluate(program.ratio(str(line.dims[0] if family.transposed else line.dims[1])), env)


def _first_covariance(program: Program, family: Family, env: dict[str, float]) -> np.ndarray:
    """What is known of a family's covariance before any sweep; else not a number."""
    strength = _strength(program, family, env)
    if family.op == "matmul":
        return np.full((len(family.lines),) * 2, np.nan)
    if family.op == "input":
        rows = np.array([program.lines[i].row for i in family.lines])
        return strength * (rows @ rows.T)
    return np.full((1, 1), strength)


# ---------------------------------------------------------------------------------------------- sweeps


def _take(
    sweep: Sweep, replicate: _Replicate, number: int, points: int, reduction: str, env: dict[str, float],
    strengths: list[float],
) -> None:  # fmt: skip
    """Take a sweep: its Gram matrix, second moments from it, and these to where they are wanted."""
    factor = _block_factor([replicate.covariances[f][np.ix_(p, p)] for f, p in sweep.blocks])
    z = _gaussian_points(factor.shape[1], points, reduction, (*replicate.seed, number))
    gram, effective = _gram(sweep.functions, factor, z, env, replicate.known)
    moments = _second_moments(sweep, gram, replicate.covariances)
    replicate.effective.append(effective)
    replicate.moments.append(moments)
    for target, a, b in sweep.wanted:
        if target.line is not None:
            replicate.known[target.line] = float(moments[a, b])
        else:
            covariance = replicate.covariances[target.family]
            entry = strengths[target.family] * moments[a, b]
            covariance[target.row, target.column] = covariance[target.column, target.row] = entry


def _block_factor(covariances: list[np.ndarray]) -> np.ndarray:
    """F with F F^T the covariance of independent blocks."""
    factors = [reduce_rank(c) for c in covariances]
    whole = np.zeros((sum(len(f) for f in factors), sum(f.shape[1] for f in factors)))
    row = column = 0
    for f in factors:
        whole[row : row + len(f), column : column + f.shape[1]] = f
        row, column = row + len(f), column + f.shape[1]
    return whole


def _gaussian_points(rank: int, points: int, reduction: str, seed: tuple[int, ...]) -> np.ndarray:
    """Standard normal points, [rank, points]: randomised Sobol points, independent ones, or those and their opposites."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    if rank == 0:
        return np.zeros((0, 1))
    rng = np.random.default_rng(np.random.SeedSequence(seed[0], spawn_key=seed[1:]))
    if reduction == "quasi":
        sobol = qmc.Sobol(rank, scramble=True, rng=rng).random_base2(points.bit_length() - 1)
        return ndtri(np.clip(np.ascontiguousarray(sobol.T), 1e-16, 1 - 1e-16))
    if reduction == "antithetic":
        half = rng.standard_normal((rank, max(points // 2, 1)))
        return np.concatenate([half, -half], axis=1)
    return rng.standard_normal((rank, points))


def _gram(
    functions: Sequence[Expr], factor: np.ndarray, z: np.ndarray, env: dict[str, float], known: dict[int, float]
) -> tuple[np.ndarray, float]:
    """Means of products of functions, and how many samples make up the spread of the squares, at least."""
    total = np.zeros((len(functions),) * 2)
    fourth, eighth = np.zeros((2, len(functions)))
    arguments = _jumping(tuple(functions))
    with np.errstate(all="ignore"):
        for start in range(0, z.shape[1], CHUNK):
            u = factor @ z[:, start : start + CHUNK]
            memo: dict[int, np.ndarray | float] = {}
            found = np.array([values(f, u, env, known, memo) for f in functions])
            for name, argument in arguments:
                if np.min(np.abs(values(argument, u, env, known, memo)), initial=np.inf) < NEAR_JUMP:
                    raise AtJump(name)
            total += found @ found.T
            powers = (found * found) ** 2
            fourth += powers.sum(axis=1)
            eighth += np.einsum("ij,ij->i", powers, powers)
        effective = np.divide(fourth**2, eighth, out=np.full(len(fourth), np.inf), where=eighth > 0)
    return total / z.shape[1], float(effective.min(initial=np.inf)) if len(factor) else np.inf


@lru_cache(maxsize=64)
def _jumping(functions: tuple[Expr, ...]) -> list[tuple[str, Expr]]:
    """The jumping functions' names and arguments, each once."""
    return [(jump.op, jump.args[0]) for jump in jumps(mul(*functions))]


def _second_moments(sweep: Sweep, gram: np.ndarray, covariances: list[np.ndarray]) -> np.ndarray:
    """E Z^a Z^b of all vectors of a sweep: sums of products of a covariance and an entry of the Gram matrix."""
    names = list(dict.fromkeys(sweep.outside))
    between = np.zeros((len(names), len(names)))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if a is None or b is None:
                between[i, j] = float(a is None and b is None)
            elif a[0] == b[0]:
                between[i, j] = covariances[a[0]][a[1], b[1]]
    place = {name: i for i, name in enumerate(names)}
    outside = np.array([place[name] for name in sweep.outside])
    which, starts = np.array(sweep.which), np.array(sweep.starts[:-1])
    rows = []
    for start, stop in zip(sweep.starts[:-1], sweep.starts[1:], strict=True):
        own = slice(start, stop)
        terms = between[outside[own]][:, outside] * gram[which[own]][:, which]
        rows.append(np.add.reduceat(terms.sum(axis=0), starts))
    return np.array(rows)


# ---------------------------------------------------------------------------------------------- what was done


def _choices(
    program: Program, steps: Steps, replicates: list[_Replicate], points: int, sampling: Sampling
) -> tuple[Choice, ...]:
    found = []
    sweeps = [s for s in steps.steps if isinstance(s, Sweep)]
    for i, sweep in enumerate(sweeps):
        vectors = len(sweep.starts) - 1
        text = f"second moments of {vectors} vectors like {sweep.label}"
        pairs = [(a, b) for _, a, b in sweep.wanted]
        rows = np.array([[r.moments[i][pair] for pair in pairs] for r in replicates])
        error = float(np.max(students_error(rows), initial=0.0))
        if not sweep.blocks:
            found.append(Choice(text, len(pairs), 0, "exact", "Gaussian vectors, whose covariance is known", (), 0.0))
            continue
        quasi = not sampling.everything or sampling.reduction == "quasi"
        method = "quasi-random points" if quasi else "Monte Carlo"
        reason = f"{REPLICATES} replicates of {points:,} points; {len(sweep.functions)} distinct functions"
        if any(name is not None for name in sweep.outside):
            reason += ", others integrated out"
        declined = (("closed form", "too many moments to be found one by one"),)
        found.append(Choice(text, len(pairs), sweep.dimensions, method, reason, declined, error))
    return tuple(found)


def _doubts(replicates: list[_Replicate]) -> tuple[str, ...]:
    least = min((sum(each) for each in zip(*(r.effective for r in replicates), strict=True)), default=np.inf)
    if least >= FEW:
        return ()
    return (f"the spread of a second moment is that of about {least:.0f} samples: errors are doubtful",)


__all__ = ["evaluate_families", "predicted_seconds"]
