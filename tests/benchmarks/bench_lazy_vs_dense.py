"""The lazy limit against dense networks, in one run: python tests/benchmarks/bench_lazy_vs_dense.py [--quick]

Two programs: semicircle (16 applications each of A and A.T, moments up to S^16) and a recurrent network (20 steps,
shared weights, 2 inputs). Times are processor seconds of one thread, lazy and dense in turn.

1. Equal width M: the two have the same law, so the same error, and only their time differs.
2. Equal error, each method at its best: narrow networks over many seeds are cheap but biased by b/n, so the target
   error decides the narrowest width that will do. Bias and variance are fitted to widths 64...1024.
3. How the lazy limit's time grows with M and with the number of products K.
4. M = 2^20: peak memory.
"""

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sampling"))
import sampling_programs as sp

from tpl.core.expr import add, div, mul, number, ref
from tpl.core.program import Program
from tpl.sampling.interpreter import OperatorKind, simulate
from tpl.sampling.plan import Schedule
from tpl.sampling.schedule import make_schedule

STEPS, SIGMA_W, DIMENSION = 20, 1.5, 8
INPUTS = np.random.default_rng(0).standard_normal((2, STEPS, DIMENSION))


def rnn() -> Program:
    """h[t] = W tanh(h[t-1]) + U xi[t]; second moments of the mean over t of tanh(h[t])."""
    draft = sp.Draft()
    u, w = draft.matrix("n", DIMENSION), draft.matrix(scale=number(SIGMA_W**2))
    pooled = []
    for sequence in INPUTS:
        x: list[int] = []
        for row in sequence:
            h = ref(draft.input(u, row))
            x.append(draft.map(sp.tanh(add(h, ref(draft.times(w, x[-1]))) if x else h)))
        pooled.append(draft.map(div(add(*map(ref, x)), number(STEPS))))
    draft.show(*(draft.moment(mul(ref(pooled[a]), ref(pooled[b]))) for a, b in ((0, 0), (0, 1), (1, 1))))
    return draft.program()


def rnn_limit() -> np.ndarray:
    """The same by the two-time recursion for covariances, with 80-point quadrature in each of two dimensions."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    inputs = INPUTS.reshape(-1, DIMENSION)
    cov = inputs @ inputs.T / DIMENSION
    second = np.zeros_like(cov)

    def expect(i, j):
        a, b, c = cov[i, i], cov[j, j], cov[i, j]
        u = np.sqrt(a) * nodes[:, None]
        v = c / np.sqrt(a) * nodes[:, None] + np.sqrt(max(b - c * c / a, 0)) * nodes
        return weights @ (np.tanh(u) * np.tanh(v)) @ weights

    for step in range(STEPS):
        latest = [(i, j) for i, j in np.ndindex(cov.shape) if max(i % STEPS, j % STEPS) == step]
        for i, j in latest:
            if i % STEPS and j % STEPS:
                cov[i, j] += SIGMA_W**2 * second[i - 1, j - 1]
        for i, j in latest:
            second[i, j] = expect(i, j)
    means = second.reshape(2, STEPS, 2, STEPS).mean(axis=(1, 3))
    return means[[0, 0, 1], [0, 1, 1]]


@dataclass(frozen=True)
class Case:
    name: str
    program: Program
    schedule: Schedule
    exact: np.ndarray
    scale: np.ndarray

    def run(self, width: int, operator: OperatorKind, replicate: int) -> tuple[np.ndarray, float]:
        """Deviations from the limit relative to its size, and seconds."""
        start = time.process_time()
        values = simulate(self.program, self.schedule, width, 0, replicate, operator)
        return (values - self.exact) / self.scale, time.process_time() - start


def make_cases() -> list[Case]:
    semicircle, network = sp.semicircle(8), rnn()
    gram = rnn_limit()
    catalan = np.array([comb(2 * k, k) / (k + 1) for k in range(1, 9)])
    sizes = np.sqrt(gram[[0, 0, 2]] * gram[[0, 2, 2]])
    return [
        Case("semicircle, 32 products", semicircle, make_schedule(semicircle), catalan, catalan),
        Case("RNN, 20 steps, 2 inputs", network, make_schedule(network), gram, sizes),
    ]


def rms(deviations: list[np.ndarray]) -> float:
    return float(np.sqrt(np.mean(np.square(deviations))))


# ---------------------------------------------------------------------------------------------- 1. equal width


def compare_at_equal_width(case: Case, widths: list[int], dense_runs: int, lazy_runs: int) -> None:
    print(f"\n{case.name}: equal width")
    print(f"{'M':>8} {'lazy s':>10} {'dense s':>10} {'ratio':>7}   {'RMS error, lazy':>16} {'dense':>8}")
    for width in widths:
        lazy, dense = [], []
        for replicate in range(dense_runs):
            lazy.append(case.run(width, "lazy", replicate))
            dense.append(case.run(width, "dense", 10_000 + replicate))
        lazy += [case.run(width, "lazy", replicate) for replicate in range(dense_runs, lazy_runs)]
        seconds = [float(np.median([t for _, t in runs])) for runs in (lazy, dense)]
        errors = [rms([d for d, _ in runs]) for runs in (lazy, dense)]
        times = f"{seconds[0]:>10.4f} {seconds[1]:>10.3f} {seconds[1] / seconds[0]:>7.0f}"
        print(f"{width:>8} {times}   {errors[0]:>16.2%} {errors[1]:>8.2%}")


# ---------------------------------------------------------------------------------------------- 2. equal error


@dataclass(frozen=True)
class Costs:
    """Of one replicate at width n: bias b/n, variance v/n, seconds (log-log interpolated)."""

    bias: float
    variance: float
    widths: np.ndarray
    seconds: np.ndarray

    def best(self, target: float) -> tuple[float, int, int]:
        """The cheapest (seconds, width, replicates) with bias^2 + variance / replicates <= target^2."""
        best = (np.inf, 0, 0)
        for width in np.unique(np.geomspace(32, 65536, 400).astype(int)):
            left = target**2 - (self.bias / width) ** 2
            if left > 0:
                count = int(np.ceil(self.variance / width / left))
                best = min(best, (count * self.time(width), int(width), count))
        return best

    def time(self, width: float) -> float:
        slope = np.log(self.seconds[-1] / self.seconds[-2]) / np.log(self.widths[-1] / self.widths[-2])
        if width > self.widths[-1]:
            return float(self.seconds[-1] * (width / self.widths[-1]) ** slope)
        return float(np.exp(np.interp(np.log(width), np.log(self.widths), np.log(self.seconds))))


def fit_costs(case: Case, runs: int, timed: dict[OperatorKind, list[int]]) -> dict[OperatorKind, Costs]:
    """Bias and variance from lazy runs (the law is the dense one), times from both."""
    widths = np.array([64, 128, 256, 512, 1024])
    mean, variance = [], []
    for width in widths:
        deviations = np.array([case.run(width, "lazy", replicate)[0] for replicate in range(runs)])
        mean.append(rms([deviations.mean(axis=0)]))
        variance.append(deviations.var(axis=0).mean())
    noise = np.array(variance) / runs
    squares = np.maximum(np.array(mean) ** 2 - noise, 0)
    bias = float(np.sqrt(np.average(squares * widths**2, weights=1 / (noise * widths**2))))
    spread = float(np.mean(np.array(variance) * widths))
    costs: dict[OperatorKind, Costs] = {}
    for operator, sizes in timed.items():
        seconds = [min(case.run(width, operator, r)[1] for r in range(3)) for width in sizes]
        costs[operator] = Costs(bias, spread, np.array(sizes), np.array(seconds))
    return costs


def compare_at_equal_error(case: Case, runs: int, timed: dict[OperatorKind, list[int]], targets: list[float]) -> None:
    costs = fit_costs(case, runs, timed)
    bias, deviation = costs["lazy"].bias, costs["lazy"].variance ** 0.5
    print(f"\n{case.name}: equal error, each at its best")
    print(f"relative bias {bias:.2g}/n, standard deviation {deviation:.2g}/sqrt(n)")
    print(f"{'error':>8} {'lazy s':>10} {'M x R':>14} {'dense s':>10} {'n x seeds':>14} {'ratio':>7}")
    for target in targets:
        lazy, dense = (costs[operator].best(target) for operator in ("lazy", "dense"))
        shapes = [f"{x[1]} x {x[2]}" for x in (lazy, dense)]
        ratio = dense[0] / lazy[0]
        print(f"{target:>8.2%} {lazy[0]:>10.4f} {shapes[0]:>14} {dense[0]:>10.3f} {shapes[1]:>14} {ratio:>7.1f}")


# ---------------------------------------------------------------------------------------------- 3. growth


def fit_growth(sizes: list[int], counts: list[int]) -> None:
    """Seconds of K alternating products with W and W.T, each argument new: a + b K a product and a sample."""
    print(f"\nK products, nanoseconds a product and a sample\n{'M':>8}" + "".join(f"{f'K={k}':>9}" for k in counts))
    rows = []
    for size in sizes:
        row = []
        for count in counts:
            program = sp.alternating(count)
            schedule = make_schedule(program)
            seconds = min(_timed(program, schedule, size) for _ in range(3 if size < 2**17 else 1))
            row.append(seconds / count / size * 1e9)
        rows.append(row)
        print(f"{size:>8}" + "".join(f"{x:>9.1f}" for x in row))
    last = np.array(rows[-1])
    slope, start = np.polyfit(counts, last, 1)
    by_size = [np.polyfit(np.log(sizes), np.log(np.array(rows)[:, k] * sizes), 1)[0] for k in range(len(counts))]
    print(f"largest M: {start:.0f} ns + {slope:.2f} ns K a product and a sample: linear in K")
    print("exponent of M at each K: " + ", ".join(f"{x:.2f}" for x in by_size))


def _timed(program: Program, schedule: Schedule, size: int) -> float:
    start = time.process_time()
    simulate(program, schedule, size, 0)
    return time.process_time() - start


# ---------------------------------------------------------------------------------------------- 4. memory


def peak_memory() -> float:
    """GiB, of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike ru_maxrss, without what the parent held before exec
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 2**20  # type: ignore[index]
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure_largest(name: str) -> None:
    case = next(c for c in make_cases() if c.name.startswith(name))
    with threadpool_limits(1, user_api="blas"):
        deviations, seconds = case.run(2**20, "lazy", 0)
    print(f"{case.name}: {seconds:.1f} s, error {rms([deviations]):.2%}, peak {peak_memory():.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller widths, fewer runs")
    parser.add_argument("--largest", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.largest:
        return measure_largest(options.largest)
    quick = options.quick
    narrow = [64, 256, 1024, 2048] if quick else [64, 128, 256, 512, 1024, 2048, 4096]
    timed: dict[OperatorKind, list[int]] = {"lazy": [*narrow, 8192, 16384, 65536], "dense": narrow}
    with threadpool_limits(1, user_api="blas"):
        for case in make_cases():
            compare_at_equal_width(case, [2048, 8192] if quick else [2048, 4096, 8192, 16384], 2 if quick else 5, 30)
            compare_at_equal_error(case, 300 if quick else 2000, timed, [0.02, 0.01, 0.005, 0.002])
        counts = [8, 16, 32, 64, 128]
        fit_growth([2**12, 2**15] if quick else [2**12, 2**14, 2**16, 2**18], counts[:4] if quick else counts)
    print("\nM = 2^20, in a process of its own")
    for name in ("semicircle", "RNN"):
        subprocess.run([sys.executable, __file__, "--largest", name], check=True)


if __name__ == "__main__":
    main()
