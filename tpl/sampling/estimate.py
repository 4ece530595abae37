"""Repeat a simulation and say how sure the mean is."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, erf, lcm, pi
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from tpl.core.program import Program
from tpl.sampling.cost import estimate_memory
from tpl.sampling.errors import Cancelled, MemoryRefused
from tpl.sampling.interpreter import OperatorKind, simulate
from tpl.sampling.plan import Schedule
from tpl.sampling.schedule import make_schedule
from tpl.sampling.streams import FINITE_RUN, LIMIT_RUN

Progress = Callable[[int, int], None]
Tick = Callable[[], None]
Cancel = Callable[[], bool]
T = TypeVar("T")

# The limit's bias is of order 1/M and its error of order 1/sqrt(M R): at these values the bias is far below the error.
DEFAULT_SAMPLES = 8192
DEFAULT_REPLICATES = 16

# "value ± 2 error" is meant to cover what two standard deviations of a Gaussian cover.
_TWO_SIGMA = erf(2**0.5)  # 95.45%


@dataclass(frozen=True)
class Estimate:
    """Values with errors, shaped like a show: value ± 2 error covers the truth with probability 95.45%.

    notes: sentences on what the numbers cannot say.
    """

    value: np.ndarray
    error: np.ndarray
    method: str
    notes: tuple[str, ...] = ()


def sample(
    program: Program,
    *,
    base_width: int,
    replicates: int,
    seed: int = 0,
    threads: int | None = None,
    operator: OperatorKind = "lazy",
    gradient_independence: bool = False,
    tolerance: float = 1e-7,
    domain: int = LIMIT_RUN,
    first_replicate: int = 0,
    schedule: Schedule | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Independent replicates of all shown values, [replicates, values].

    The bits depend on the seed, not on the number of threads. progress(done, replicates) is called as they finish.
    Raises NumericalError as the first failing replicate does.
    """
    plan = schedule if schedule is not None else make_schedule(program)

    def one(replicate: int, tick: Tick, cancelled: Cancel) -> np.ndarray:
        values = simulate(
            program, plan, base_width, seed, first_replicate + replicate, operator, gradient_independence,
            domain=domain, tolerance=tolerance, cancelled=cancelled,
        )  # fmt: skip
        tick()
        return values

    rows = run_many(one, replicates, threads, progress)
    return np.array(rows).reshape(replicates, len(plan.targets))


def run_many(
    one: Callable[[int, Tick, Cancel], T],
    count: int,
    threads: int | None = None,
    progress: Progress | None = None,
    ticks: int = 1,
) -> list[T]:
    """one(replicate, tick, cancelled) for every replicate, in order, on so many threads.

    Each calls tick `ticks` times on its way, and stops where `cancelled` says so. progress(ticks so far, of all). Raises
    what the first failing replicate raised.
    """
    stop = threading.Event()
    workers = min(count, threads if threads is not None else available_threads())
    with _single_threaded_blas():
        if workers <= 1:
            return _run_inline(one, count, progress, ticks)
        return _run_in_pool(one, count, workers, stop, progress, ticks)


def available_threads() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _single_threaded_blas():  # type: ignore[no-untyped-def]
    """Replicates run in parallel; inside one, products must not depend on how many threads BLAS would take."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")


def _run_inline(one: Callable[[int, Tick, Cancel], T], count: int, progress: Progress | None, ticks: int) -> list[T]:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, count * ticks)

    return [one(replicate, tick, lambda: False) for replicate in range(count)]


def _run_in_pool(
    one: Callable[[int, Tick, Cancel], T],
    count: int,
    workers: int,
    stop: threading.Event,
    progress: Progress | None,
    ticks: int,
) -> list[T]:
    """Replicates in order, by so many threads; the error of the first one that fails, however the threads raced.

    The main thread only waits, on one queue, so that an interrupt finds nothing half done.
    """
    found: dict[int, T] = {}
    errors: dict[int, BaseException] = {}
    tasks, reports = iter(range(count)), SimpleQueue[bool]()
    lock, failed = threading.Lock(), threading.Event()

    def work() -> None:
        while not (stop.is_set() or failed.is_set()):
            with lock:
                replicate = next(tasks, None)
            if replicate is None:
                break
            try:
                found[replicate] = one(replicate, lambda: reports.put(True), stop.is_set)
            except BaseException as error:
                errors[replicate] = error
                failed.set()  # earlier replicates are done or running, later ones need not begin
        reports.put(False)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        _count_ticks(reports, workers, count * ticks, progress)
    except BaseException:  # an interrupt above all: running replicates stop at their next step
        stop.set()
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if errors:
        raise errors[min(errors)]
    return [found[replicate] for replicate in range(count)]


def _count_ticks(reports: SimpleQueue[bool], workers: int, total: int, progress: Progress | None) -> None:
    """Wait until every worker has said that it is through."""
    done = 0
    while workers:
        if not reports.get():
            workers -= 1
            continue
        done += 1
        if progress is not None:
            progress(done, total)


def limit_replicates(
    program: Program,
    *,
    samples: int = DEFAULT_SAMPLES,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
    threads: int | None = None,
    tolerance: float = 1e-7,
    gradient_independence: bool = False,
    max_memory: int | None = None,
    schedule: Schedule | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, str]:
    """Independent replicates of the infinite-width values, [replicates, values], and how they were computed.

    Needs at least two replicates.

    max_memory: bytes; fewer threads run at once to keep to it. schedule: the program's, to make it once for several
    runs. Raises MemoryRefused before any work if one thread needs more.
    """
    if replicates < 2:
        raise ValueError("an error bar needs at least two replicates")
    width = round_up(program, samples)
    schedule = schedule or make_schedule(program)
    workers = min(replicates, threads if threads is not None else available_threads())
    _, workers = _fit(program, schedule, width, ("lazy",), workers, max_memory)
    values = sample(
        program, base_width=width, replicates=replicates, seed=seed, threads=workers, tolerance=tolerance,
        gradient_independence=gradient_independence, schedule=schedule, progress=progress,
    )  # fmt: skip
    method = f"sampled limit: {replicates} replicates of {width} samples (lazy Gaussian operator)"
    if gradient_independence:
        method += ", W.T taken as independent of W"
    return values, method


def sample_limit(program: Program, **options: Any) -> list[Estimate]:
    """The infinite-width values of all shows, by the lazy Gaussian operator; options as for `limit_replicates`."""
    return summarise(program, *limit_replicates(program, **options))


def sample_finite(
    program: Program,
    *,
    width: int,
    seeds: int,
    seed: int = 0,
    threads: int | None = None,
    max_memory: int | None = None,
    schedule: Schedule | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, str]:
    """Finite networks of one width: all shown values, [seeds, values], and how they were computed.

    Matrices are stored if `max_memory` bytes allow, first with fewer threads; else they are revealed lazily, which has
    exactly the same law. Raises MemoryRefused if neither fits.
    """
    schedule = schedule or make_schedule(program)
    workers = min(seeds, threads if threads is not None else available_threads())
    operator, workers = _fit(program, schedule, width, ("dense", "lazy"), workers, max_memory)
    values = sample(
        program, base_width=width, replicates=seeds, seed=seed, threads=workers, operator=operator,
        domain=FINITE_RUN, schedule=schedule, progress=progress,
    )  # fmt: skip
    method = f"finite networks: {seeds} seeds at width {width}"
    if operator == "lazy":
        method += " (matrices too large to store: revealed lazily, exact in law)"
    return values, method


def _fit(
    program: Program,
    schedule: Schedule,
    width: int,
    operators: tuple[OperatorKind, ...],
    workers: int,
    max_memory: int | None,
) -> tuple[OperatorKind, int]:
    """The first operator that fits into memory, and how many threads may use it at once."""
    if max_memory is None:
        return operators[0], workers
    for operator in operators:
        needed = estimate_memory(program, schedule, width, operator, 1)
        if needed <= max_memory:
            return operator, min(workers, max_memory // needed)
    raise MemoryRefused(needed, max_memory)


def round_up(program: Program, samples: int) -> int:
    """The least base width from `samples` on at which every width is whole, if that takes less than a tenth more."""
    step = lcm(*(ratio.denominator for ratio in program.widths.values()))
    rounded = step * ceil(samples / step)
    return rounded if rounded <= 1.1 * samples else samples


def summarise(program: Program, values: np.ndarray, method: str) -> list[Estimate]:
    """One estimate a show from independent replicates [R, values]: the mean, and Student's error of it."""
    count = len(values)
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / np.sqrt(count) * (student_two_sigma(count - 1) / 2)
    estimates, start = [], 0
    for show in program.shows:
        stop = start + len(show.lines)
        estimates.append(Estimate(mean[start:stop].reshape(show.shape), error[start:stop].reshape(show.shape), method))
        start = stop
    return estimates


def student_two_sigma(dof: int) -> float:
    """t with P(|T| <= t) = 95.45% for Student's T. In closed form but for a bisection: scipy is slow to import."""
    if dof > 200:  # Cornish-Fisher at z = 2
        return 2 + 10 / (4 * dof) + 294 / (96 * dof**2)
    # Abramowitz and Stegun 26.7.3-4: P = sin a (1 + cos^2 a / 2 + ...), or (a + sin a cos a (1 + ...)) 2 / pi
    odd = dof % 2
    k = np.arange(1, (dof - odd) // 2)
    terms = np.cumprod([1.0, *(2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))])

    def covered(angle: float) -> float:
        powers = np.cos(angle) ** (2 * np.arange(len(terms)) + odd)
        series = float(np.sin(angle) * (terms @ powers)) if dof > 1 else 0.0
        return (angle + series) * 2 / pi if odd else series

    low, high = 0.0, pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if covered(middle) < _TWO_SIGMA else (low, middle)
    return float(dof**0.5 * np.tan(low))


__all__ = [
    "Cancelled", "Estimate", "MemoryRefused", "available_threads", "limit_replicates", "round_up", "run_many", "sample", "sample_finite",
    "sample_limit", "summarise",
]  # fmt: skip
