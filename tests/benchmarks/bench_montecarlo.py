"""Monte Carlo against a numba loop written by hand and against numpy: python tests/benchmarks/bench_montecarlo.py [--quick]

1. Throughput on one thread, nanoseconds of processor time a sample. *numba* is what one writes in five lines, with
   numba's own normals and functions; *tuned* is one loop with our generator and our functions inlined by hand; *numpy*
   draws 2^20 samples at a time by default_rng(), *batches* 2^14 (which stay in the cache) by its fastest generator.
   All alternate in one process; the median of several rounds.
2. Two threads against one: elapsed time, and processor time of all threads together (1: none is wasted). The least of
   many runs each, since other jobs can only add to it.
3. Antithetic pairs and randomised nets: variance times time of independent samples over theirs.
4. Compilation, in fresh processes: nothing cached, everything cached.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.numeric.gaussian_integrands import batch_normed, gate, pair
from tpl.core.expr import Expr, apply, mul, number, power, ref, symbol
from tpl.numeric import cache, elementary
from tpl.numeric.montecarlo import estimate

ROOT = Path(__file__).resolve().parents[2]
SWEEP = cache.load((ROOT / "tpl" / "numeric" / "sweep.py").read_text())
normals = SWEEP.normals
relu, tanh, sigmoid = elementary.relu, elementary.tanh, elementary.sigmoid
plain = njit(nogil=True, error_model="numpy")
fast = njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
ENV = {"eps": 1e-3}
SLOPE = np.sqrt(0.75)


@dataclass(frozen=True)
class Case:
    name: str
    integrand: Expr
    covariance: np.ndarray
    numba: Callable[[int], tuple[float, float]]
    tuned: Callable[[int], tuple[float, float]]
    numpy: Callable[[np.ndarray], np.ndarray]


# Each returns the sums of f and f², as a program that reports an error must.


@plain
def relu_numba(count):
    total = squares = 0.0
    for _ in range(count):
        f = max(np.random.standard_normal(), 0.0) ** 2
        total += f
        squares += f * f
    return total, squares


@fast
def relu_tuned(count):
    key, z = np.ones(2, np.uint64), np.empty(256)
    total = squares = 0.0
    for c in range(count // 256):
        normals(c, 0, key, z)
        for i in range(256):
            f = relu(z[i]) * relu(z[i])
            total += f
            squares += f * f
    return total, squares


@plain
def tanh_numba(count):
    total = squares = 0.0
    for _ in range(count):
        x = np.random.standard_normal()
        f = np.tanh(x) * np.tanh(0.5 * x + SLOPE * np.random.standard_normal())
        total += f
        squares += f * f
    return total, squares


@fast
def tanh_tuned(count):
    key, z = np.ones(2, np.uint64), np.empty((2, 256))
    total = squares = 0.0
    for c in range(count // 256):
        normals(c, 0, key, z[0])
        normals(c, 1, key, z[1])
        x, y = z[0], z[1]
        for i in range(256):
            f = tanh(x[i]) * tanh(0.5 * x[i] + SLOPE * y[i])
            total += f
            squares += f * f
    return total, squares


@plain
def batch_norm_numba(count):
    total = squares = 0.0
    u = np.empty(8)
    for _ in range(count):
        mean = spread = 0.0
        for i in range(8):
            u[i] = np.random.standard_normal()
            mean += u[i] / 8
        for i in range(8):
            spread += (u[i] - mean) ** 2 / 8
        f = max((u[0] - mean) / np.sqrt(spread + 1e-3), 0.0)
        total += f
        squares += f * f
    return total, squares


@fast
def batch_norm_tuned(count):
    key, z, middle, spread = np.ones(2, np.uint64), np.empty((8, 256)), np.empty(256), np.empty(256)
    total = squares = 0.0
    for c in range(count // 256):
        middle[:] = 0.0
        spread[:] = 0.0
        for j in range(8):
            normals(c, j, key, z[j])
            row = z[j]
            for i in range(256):
                middle[i] += row[i] / 8
        for j in range(8):
            row = z[j]
            for i in range(256):
                spread[i] += (row[i] - middle[i]) * (row[i] - middle[i]) / 8
        row = z[0]
        for i in range(256):
            f = relu((row[i] - middle[i]) / np.sqrt(spread[i] + 1e-3))
            total += f
            squares += f * f
    return total, squares


@plain
def gate_numba(count):
    total = squares = 0.0
    for _ in range(count):
        forget = 1 / (1 + np.exp(-np.random.standard_normal()))
        f = forget * np.random.standard_normal()
        opened = 1 / (1 + np.exp(-np.random.standard_normal()))
        f = (f + opened * np.tanh(np.random.standard_normal())) ** 2
        total += f
        squares += f * f
    return total, squares


@fast
def gate_tuned(count):
    key, z = np.ones(2, np.uint64), np.empty((4, 256))
    total = squares = 0.0
    for c in range(count // 256):
        for j in range(4):
            normals(c, j, key, z[j])
        a, b, d, e = z[0], z[1], z[2], z[3]
        for i in range(256):
            cell = sigmoid(a[i]) * b[i] + sigmoid(d[i]) * tanh(e[i])
            f = cell * cell
            total += f
            squares += f * f
    return total, squares


def batch_norm_numpy(z):
    centred = z - z.mean(axis=0)
    return np.maximum(centred[0] / np.sqrt((centred**2).mean(axis=0) + 1e-3), 0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


CASES = [
    Case("relu^2, 1 dimension", power(apply("relu", ref(0)), number(2)), np.eye(1), relu_numba, relu_tuned,
         lambda z: np.maximum(z[0], 0) ** 2),
    Case("tanh tanh, 2 dimensions", mul(apply("tanh", ref(0)), apply("tanh", ref(1))), pair(0.5), tanh_numba, tanh_tuned,
         lambda z: np.tanh(z[0]) * np.tanh(0.5 * z[0] + SLOPE * z[1])),
    Case("batch norm over 8", apply("relu", batch_normed(8, symbol("eps"))), np.eye(8), batch_norm_numba,
         batch_norm_tuned, batch_norm_numpy),
    Case("gate with 4 inputs", power(gate(), number(2)), np.eye(4), gate_numba, gate_tuned,
         lambda z: (logistic(z[0]) * z[1] + logistic(z[2]) * np.tanh(z[3])) ** 2),
]  # fmt: skip


def ours(case, count, **options):
    return estimate([case.integrand], case.covariance, ENV, {}, rtol=0, samples=count, **options)


def by_numpy(case, count, rng, batch):
    total = squares = 0.0
    z = np.empty((len(case.covariance), batch))
    for _ in range(count // batch):
        f = case.numpy(rng.standard_normal(out=z))
        total += f.sum()
        squares += (f * f).sum()
    return total, squares


def seconds(function, clock):
    start = clock()
    function()
    return clock() - start


def medians(functions, rounds):
    """Median seconds of each, all in turn; of this thread's processor time, which other jobs disturb least."""
    for f in functions:
        f()
    return np.median([[seconds(f, time.thread_time) for f in functions] for _ in range(rounds)], axis=0)


def check(case, sums, count):
    mean, own = sums[0] / count, ours(case, 1 << 20)
    error = np.sqrt((sums[1] / count - mean**2) / count)
    assert abs(mean - own.value[0]) < 5 * np.hypot(error, own.error[0]), case.name


def throughput(count, rounds):
    common, fastest = np.random.default_rng(0), np.random.Generator(np.random.SFC64(0))
    names = ["tpl", "tuned", "numba", "numpy", "batches"]
    print(
        f"{'ns a sample':26s}" + "".join(f"{n:>9s}" for n in names) + "   tpl/tuned  numba/tpl  numpy/tpl  batches/tpl"
    )
    for case in CASES:
        functions = [
            lambda c=case: ours(c, count),
            lambda c=case: c.tuned(count),
            lambda c=case: c.numba(count),
            lambda c=case: by_numpy(c, count, common, 1 << 20),
            lambda c=case: by_numpy(c, count, fastest, 1 << 14),
        ]
        for f in functions[1:]:
            check(case, f(), count)
        own, tuned, *others = found = medians(functions, rounds) / count * 1e9
        print(f"{case.name:26s}" + "".join(f"{x:9.2f}" for x in found) + f"{own / tuned:12.2f}"
              + "".join(f"{x / own:11.1f}" for x in others))  # fmt: skip


def threads(count, rounds):
    print("\none thread over two threads, elapsed time and processor time, the least of many runs each")
    for case in CASES:
        runs = [lambda c=case, t=t: ours(c, 4 * count, threads=t) for t in (1, 2)]
        (one, two), work = (
            np.min([[seconds(f, clock) for f in runs] for _ in range(4 * rounds)], axis=0)
            for clock in (time.perf_counter, time.process_time)
        )
        first, second = (ours(case, count, threads=t) for t in (1, 2))
        same = first.value.tobytes() + first.error.tobytes() == second.value.tobytes() + second.error.tobytes()
        bits = "same bits" if same else "OTHER BITS"
        print(f"{case.name:26s}{one / two:8.2f}   processor time {work[0] / work[1]:.2f}   {bits}")


def gains(count, rounds):
    print("\nvariance x time, independent samples over the option")
    for case in CASES:
        modes = ["none", "antithetic", "quasi"]
        times = medians([lambda c=case, m=m: ours(c, count, variance_reduction=m) for m in modes], rounds)
        found = [ours(case, count, variance_reduction=m) for m in modes]
        cost = [t * x.error[0] ** 2 for t, x in zip(times, found, strict=True)]
        print(
            f"{case.name:26s}" + "".join(f"  {m} {cost[0] / c:.4g}" for m, c in zip(modes[1:], cost[1:], strict=True))
        )


ONCE = """
import time, sys
start = time.perf_counter()
import numpy as np
from tests.numeric.gaussian_integrands import gate
import scipy.special, sympy
from tpl.numeric.montecarlo import estimate
loaded = time.perf_counter()
estimate([gate()], np.eye(4), {}, {}, samples=1 << 15)
print(loaded - start, time.perf_counter() - loaded)
"""


def compilation():
    print("\nseconds in a fresh process: imports without numba; the first estimate, numba's import included")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm", "warm"):
            environment = {**os.environ, "TPL_CACHE_DIR": folder, "PYTHONPATH": str(ROOT)}
            out = subprocess.run(
                [sys.executable, "-c", ONCE], env=environment, text=True, capture_output=True, check=True
            )
            print(name, *(f"{float(x):.2f}" for x in out.stdout.split()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    count, rounds = (1 << 21, 5) if quick else (1 << 23, 9)
    throughput(count, rounds)
    threads(count, rounds)
    gains(count, rounds)
    compilation()


if __name__ == "__main__":
    main()
