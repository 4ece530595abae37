"""A measure is a function of averages over replicates; how its error is found depends on the function.

* Smooth ones: delete-one jackknife over replicates, for the bias and for the error.
* Eigenvalues (`spectra`): cross-validation, since the smallest eigenvalue of a sampled matrix is biased downwards and
  not smooth where eigenvalues meet.
* Counts (rank, accuracy): every item is decided or not, and the error is half the number of the undecided.

Truncation: the true Gram matrix is the given one plus a matrix of trace norm `lost` at most. What a measure may move by
then is its slack. Rounding is treated as a little more energy of this kind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tpl.sampling.estimate import Estimate, student_two_sigma

Floats = NDArray[np.float64]
Statistics = Mapping[str, Floats]

# Of a Gram matrix's trace, in its averages and in its eigenvalues: up to 19 eps measured (131,072 samples in sequence).
ROUNDING = 64 * float(np.finfo(float).eps)


class Sampled(NamedTuple):
    """A value, its statistical error, and bounds on what truncation and rounding may have moved it by."""

    value: Floats
    noise: Floats
    truncation: Floats
    rounding: Floats

    @property
    def error(self) -> Floats:
        """value ± 2 error covers with 95.45% at least: to bounds, the interval is widened as they are."""
        return np.asarray(self.noise + (self.truncation + self.rounding) / 2)


@dataclass(frozen=True)
class Measure:
    """A function of statistics.

    function: from statistics [..., T, ...] to values [..., T, ...], of the mean or of each replicate by itself.
    uses: the statistics that it needs. slack: how far values may move if the matrix moves by so much energy, from
    mean statistics and energies [T]. sample: from replicates to values and errors. route: sample in words.
    resolves: values are positive or zero, and it matters which; those that cannot be told from zero are noted.
    """

    name: str
    function: Callable[[Statistics], Floats]
    uses: tuple[str, ...]
    slack: Callable[[Statistics, Floats], Floats]
    sample: Callable[["Measure", Statistics], Sampled]
    route: str
    resolves: bool = False


def evaluate(
    measure: Measure, statistics: Statistics, method: str = "sampled limit", steps: Sequence[int] | None = None
) -> Estimate:
    """The measure in the limit of many samples, [T, ...], from R >= 2 independent replicates.

    method: how the replicates were made. steps: the T recorded steps, for the notes. Raises ValueError on fewer
    replicates, missing statistics, and results that are not finite.
    """
    needed = _needed(measure, statistics)
    if len(needed[measure.uses[0]]) < 2:
        raise ValueError("an error bar needs at least two replicates")
    with _single_threaded_blas(), np.errstate(divide="ignore", invalid="ignore"):
        sampled = measure.sample(measure, needed)
    _check(measure, sampled.value, sampled.error)
    notes = _notes(measure, sampled, steps) if measure.resolves else ()
    return Estimate(sampled.value, sampled.error, f"{method}; {measure.route}", notes)


def per_replicate(measure: Measure, statistics: Statistics) -> Floats:
    """The measure of every replicate by itself, [R, T, ...]: finite networks are what they are.

    Raises ValueError on missing statistics and results that are not finite.
    """
    with _single_threaded_blas(), np.errstate(divide="ignore", invalid="ignore"):
        values = measure.function(_needed(measure, statistics))
    _check(measure, values)
    return values


def unresolved(estimate: Estimate) -> NDArray[np.bool_]:
    """Where value ± 2 error takes in zero."""
    return np.asarray(np.abs(estimate.value) <= 2 * estimate.error)


def _single_threaded_blas() -> Any:
    """The same bits whatever the number of threads."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")


def _needed(measure: Measure, statistics: Statistics) -> dict[str, Floats]:
    missing = [name for name in measure.uses if name not in statistics]
    if missing:
        raise ValueError(f"{measure.name} needs {', '.join(missing)}")
    optional = ["lost"] if "gram" in measure.uses and "lost" in statistics else []
    needed = {name: np.asarray(statistics[name], float) for name in [*measure.uses, *optional]}
    _check(measure, *needed.values())
    return needed


def _check(measure: Measure, *results: Floats) -> None:
    if not all(np.isfinite(result).all() for result in results):
        raise ValueError(f"{measure.name} is not finite")


def _notes(measure: Measure, sampled: Sampled, steps: Sequence[int] | None) -> tuple[str, ...]:
    """A sentence a reason: at which steps values cannot be told from zero, and what most of the error is."""
    count = len(sampled.value)
    labels = list(range(count)) if steps is None else list(steps)
    parts = np.stack(np.broadcast_arrays(2 * sampled.noise, sampled.truncation, sampled.rounding))
    largest = np.argmax(parts, axis=0)
    hidden = np.abs(sampled.value) <= 2 * sampled.error
    vanishing = hidden & (sampled.value == 0) & (parts == 0).all(axis=0)
    sentences = {"is zero": vanishing}
    for which, reason in enumerate(("sampling noise", "truncation tolerance", "rounding")):
        sentences[f"cannot be resolved: below {reason}"] = hidden & ~vanishing & (largest == which)
    notes = []
    for sentence, where in sentences.items():
        here = where.reshape(count, -1).any(axis=1)
        if here.any():
            notes.append(f"{measure.name} {sentence} ({_steps_text(labels, here)})")
    return tuple(notes)


def _steps_text(labels: Sequence[int], here: NDArray[np.bool_]) -> str:
    """step 3; steps 0 to 20, 50: recorded steps in a row as one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], here, [False]]).astype(int)))
    runs = [(labels[start], labels[stop - 1]) for start, stop in edges.reshape(-1, 2)]
    listed = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs)
    return f"step {listed}" if np.count_nonzero(here) == 1 else f"steps {listed}"


def mean_over_replicates(statistics: Statistics) -> dict[str, Floats]:
    """Statistics without their first axis."""
    return {name: x.mean(axis=0) for name, x in statistics.items()}


def energies(uses: tuple[str, ...], statistics: Statistics) -> tuple[Floats, Floats]:
    """[..., T]: the energy that truncation dropped from the matrix that a measure is of, and that of rounding.

    What looks at step 0 and step t at once is a function of their joint matrix, which has lost what both lost.
    """
    if "gram" not in uses:
        return np.zeros(()), np.zeros(())
    trace = np.trace(statistics["gram"], axis1=-2, axis2=-1)
    lost = statistics.get("lost", np.zeros_like(trace))
    if "cross" in uses:
        trace, lost = trace + trace[..., :1], lost + lost[..., :1]
    return lost, ROUNDING * trace


def with_slack(measure: Measure, mean: Statistics, value: Floats, noise: Floats) -> Sampled:
    """Value and noise, and what truncation and rounding add."""
    lost, rounding = energies(measure.uses, mean)
    return Sampled(value, noise, measure.slack(mean, lost), measure.slack(mean, rounding))


def no_slack(statistics: Statistics, energy: Floats) -> Floats:
    """Of measures that no truncated matrix enters."""
    return np.zeros(())


def jackknife(measure: Measure, statistics: Statistics) -> Sampled:
    """Delete-one jackknife over replicates (Efron and Stein 1981): less bias, and Student's error.

    The bias that is removed counts as an error, too. It is far below the noise except where a function has no slope
    (a loss near its minimum): there it is all there is.
    """
    count = len(statistics[measure.uses[0]])
    mean = mean_over_replicates(statistics)
    plain = measure.function(mean)
    without = measure.function({name: (count * mean[name] - x) / (count - 1) for name, x in statistics.items()})
    bias = (count - 1) * (without.mean(axis=0) - plain)
    spread = without.std(axis=0, ddof=1) * (count - 1) / np.sqrt(count)
    noise = np.hypot(spread, bias) * student_two_sigma(count - 1) / 2
    return with_slack(measure, mean, plain - bias, noise)
