"""Variance reduction of the sampled limit of training: mean squared error at equal time, way by way.

python tests/benchmarks/bench_train_variance.py [samples] [runs] [way …]

Programs as in `programs/paper/features.tp`. A way's runs come in groups that are independent of each other (pairs, for
antithetic ones); errors are those of the average of a group, times the group's processor time, over plain runs' of the
same number of samples. Below 1, a way pays.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from tpl.api import load
from tpl.core.training import Training
from tpl.sampling.rows import combine, inner
from tpl.sampling.train import TrainingRun, TrainOptions
from tpl.sampling.train_many import Measured

SETTINGS = ("steps=20", "record=20")
TOLERANCE = 1e-2
REFERENCE = (8192, 12)  # samples and runs
SHOWS = {
    "f": "f",
    "loss": "loss",
    "feature_change(h[l])": "feature change",
    "min_eig(gram(x[l]))": "min_eig(gram)",
    "min_eig(joint_gram(x[l]))": "min_eig(joint)",
}


def training() -> Training:
    program = load("paper/features", None, SETTINGS)
    text = program.source.text.replace("show loss\n", "show loss, f\n")
    from tpl.api import loads

    found = loads(text, None, SETTINGS)._compiled.program.training
    assert found is not None
    return found


def started(what: Training, samples: int, seed: int, quasi: bool = False) -> TrainingRun:
    return TrainingRun(what, TrainOptions(samples, False, "lazy", TOLERANCE, 0, quasi=quasi), seed)


def plain(what: Training, samples: int, group: int) -> list[TrainingRun]:
    return [started(what, samples, group)]


def matched(what: Training, samples: int, group: int) -> list[TrainingRun]:
    """The draws behind the first layer orthogonal, each of the norm that it has in the limit."""
    run = started(what, samples, group)
    for matrix, images in run.images.items():
        factor = np.linalg.cholesky(run._input_grams[matrix]) * run._deviation(run.training.parameters[0], matrix)
        normals = combine(np.linalg.inv(factor), images.value)
        triangle = np.linalg.cholesky(inner(normals, normals) / samples)
        images.value[:] = combine(factor @ np.linalg.inv(triangle), normals)
    return [run]


def antithetic(what: Training, samples: int, group: int) -> list[TrainingRun]:
    """The readout v and -v, everything else the same at the start."""
    pair = [started(what, samples, group) for _ in range(2)]
    for vector in pair[1].vectors.values():
        vector.value *= -1
    return pair


def no_outputs(run: TrainingRun) -> TrainingRun:
    """The readout off the features that it meets at the start, where outputs are known to be 0."""
    x = run.features(next(name for name in run.training.variables if name.startswith("x[l]") and name.endswith("3")))
    for vector in run.vectors.values():
        vector.value -= combine(np.linalg.solve(inner(x, x), inner(x, vector.value[None]))[:, 0][None], x)[0]
    for operator in run.operators.values():
        operator.forget()
    return run


def zero(what: Training, samples: int, group: int) -> list[TrainingRun]:
    return [no_outputs(started(what, samples, group))]


def matched_zero(what: Training, samples: int, group: int) -> list[TrainingRun]:
    return [no_outputs(run) for run in matched(what, samples, group)]


def first_layer(what: Training, samples: int, group: int) -> list[TrainingRun]:
    """The first layer's preactivations and the readout from a net, matrices from independent samples."""
    run = started(what, samples, group, quasi=True)
    for operator in run.operators.values():
        operator._net = None
    return [run]


def quasi(what: Training, samples: int, group: int) -> list[TrainingRun]:
    return [started(what, samples, group, quasi=True)]


def quasi_zero(what: Training, samples: int, group: int) -> list[TrainingRun]:
    return [no_outputs(started(what, samples, group, quasi=True))]


WAYS: dict[str, Callable[[Training, int, int], list[TrainingRun]]] = {
    "plain": plain,
    "moments matched": matched,
    "pairs v, -v": antithetic,
    "outputs 0 at the start": zero,
    "moments, outputs 0": matched_zero,
    "Sobol, first layer": first_layer,
    "Sobol": quasi,
    "Sobol, outputs 0": quasi_zero,
}


def values(what: Training, run: TrainingRun) -> dict[str, np.ndarray]:
    while not run.done:
        run.advance()
    found = Measured(what).single({name: x[None] for name, x in run.statistics().items()})
    return {show.name: x[0, -1] for show, x in zip(what.shows, found, strict=True) if show.name in SHOWS}


def group_values(what: Training, way: str, samples: int, group: int) -> tuple[dict[str, np.ndarray], float]:
    start = time.process_time()
    every = [values(what, run) for run in WAYS[way](what, samples, group)]
    mean = {name: np.mean([x[name] for x in every], axis=0) for name in every[0]}
    return mean, time.process_time() - start


def reference(what: Training) -> dict[str, np.ndarray]:
    """From more samples; the smallest eigenvalues are biased by 1/M in both, so that half the samples extrapolate."""
    samples, runs = REFERENCE
    many, few = (
        [group_values(what, "Sobol", m, 1000 + r)[0] for r in range(k)]
        for m, k in ((samples, runs), (samples // 2, runs))
    )
    return {
        name: 2 * np.mean([x[name] for x in many], axis=0) - np.mean([x[name] for x in few], axis=0) for name in many[0]
    }


def main() -> None:
    numbers = [int(x) for x in sys.argv[1:3]]
    samples, runs = (*numbers, *(2048, 32)[len(numbers) :])
    ways = ["plain", *(sys.argv[3:] or list(WAYS)[1:])]
    what = training()
    with threadpool_limits(1), np.errstate(all="ignore"):
        truth = reference(what)
        base: dict[str, float] = {}
        print(f"M = {samples}, {runs} runs: mean squared error × time, over plain runs'; bias² in brackets\n")
        print(f"| way | {' | '.join(SHOWS.values())} | time |\n{'|---' * (len(SHOWS) + 2)}|")
        for way in ways:
            groups = runs // len(WAYS[way](what, 256, 0))
            found, seconds = zip(*(group_values(what, way, samples, g) for g in range(groups)), strict=True)
            row = [f"| {way}"]
            for name in SHOWS:
                x = np.array([v[name] for v in found])
                error = np.mean((x - truth[name]) ** 2) * np.mean(seconds)
                bias = np.mean((x.mean(axis=0) - truth[name]) ** 2 - x.var(axis=0, ddof=1) / len(x)) * np.mean(seconds)
                base.setdefault(name, error)
                row.append(f"{error / base[name]:.2f} ({max(bias, 0) / base[name]:.2f})")
            print(" | ".join(row), f"| {np.mean(seconds):.2f} s |", flush=True)


if __name__ == "__main__":
    main()
