"""Cost of training at equal error: the sampled limit beside numpy networks of finite width; and time over steps.

python tests/benchmarks/bench_train_cost.py [equal|steps]

Three hidden layers, tanh, 16 CIFAR-10 images, 100 full-batch steps under mup (`programs/paper/features.tp`). Times are
processor seconds on one thread. The network in numpy does what a step needs, in place, and nothing else.
"""

import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from tpl.api import load
from tpl.core.training import Training
from tpl.sampling.train import TrainingRun, TrainOptions

STEPS, RATE, DEPTH = 100, 1.0, 3
TOLERANCE = 1e-2
REFERENCE = (8192, 8)  # samples and replicates, at a tolerance of 1e-3
FINITE = {256: 24, 512: 12, 1024: 6}  # width: seeds
TIMED = {1024: 20, 2048: 10, 4096: 5, 8192: 3, 16384: 2}  # width: steps
SAMPLES = (1024, 2048, 4096, 8192, 16384)


def training(steps: int = STEPS) -> Training:
    found = load("paper/features", None, [f"steps={steps}", f"rate={RATE}", f"record={max(1, steps // 4)}"])
    program = found._compiled.program
    assert program.training is not None
    return program.training


def data() -> tuple[np.ndarray, np.ndarray]:
    inputs = load("paper/features")._compiled.inputs
    return inputs["X"].array, inputs["y"].array


class Network:
    """A network of width n under mup: f = avg(v x^L), rates as in the limit."""

    def __init__(self, n: int, seed: int, X: np.ndarray, y: np.ndarray):
        rng = np.random.default_rng(seed)
        self.n, self.X, self.y = n, X / np.sqrt(X.shape[1]), y
        self.U = rng.standard_normal((n, X.shape[1]))
        self.W = [rng.standard_normal((n, n)) / np.sqrt(n) for _ in range(DEPTH - 1)]
        self.v = rng.standard_normal(n)
        self.h = self.X @ self.U.T
        self.gram = self.X @ self.X.T

    def forward(self) -> tuple[list[np.ndarray], np.ndarray]:
        x = [np.tanh(self.h)]
        for W in self.W:
            x.append(np.tanh(x[-1] @ W.T))
        return x, x[-1] @ self.v / self.n

    def step(self) -> None:
        x, f = self.forward()
        rate = RATE / len(f)
        chi = f - self.y
        g = [np.outer(chi, self.v) * (1 - x[-1] ** 2)]
        for W, below in zip(self.W[::-1], x[-2::-1], strict=True):
            g.insert(0, (g[0] @ W) * (1 - below**2))
        self.v -= rate * (chi @ x[-1])
        for W, left, right in zip(self.W, g[1:], x[:-1], strict=True):
            W -= (rate / self.n) * (left.T @ right)
        self.h -= rate * (self.gram @ g[0])


def limit(samples: int, replicate: int, tolerance: float, steps: int = STEPS) -> tuple[np.ndarray, float, tuple]:
    """Outputs at the records, processor seconds, ranks."""
    run = TrainingRun(training(steps), TrainOptions(samples, False, "lazy", tolerance), replicate)
    start = time.process_time()
    while not run.done:
        run.advance()
    return run.statistics()["f"], time.process_time() - start, tuple(op.ranks for op in run.operators.values())


def network(n: int, seed: int) -> np.ndarray:
    net, found = Network(n, seed, *data()), []
    for step in range(STEPS + 1):
        if step % (STEPS // 4) == 0:
            found.append(net.forward()[1])
        if step < STEPS:
            net.step()
    return np.array(found)


def seconds_of_network(n: int, steps: int) -> float:
    """Of all steps, from a few."""
    net = Network(n, 0, *data())
    times = []
    for _ in range(steps):
        start = time.process_time()
        net.step()
        times.append(time.process_time() - start)
    return STEPS * float(np.median(times))


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def bias_and_noise(values: dict[int, np.ndarray], truth: np.ndarray) -> tuple[float, float]:
    """b and s of deviations that are b / n on average and scatter by s / sqrt(n): root mean squares over outputs."""
    s = np.sqrt(np.mean([n * np.var(v, axis=0, ddof=1).mean() for n, v in values.items()]))
    n = min(values)  # where the bias stands out most
    gap = np.mean((values[n].mean(axis=0) - truth) ** 2) - s**2 / n / len(values[n])
    return n * float(np.sqrt(max(gap, 0.0))), float(s)


def equal_error() -> None:
    truth = np.mean([limit(REFERENCE[0], 100 + r, 1e-3)[0] for r in range(REFERENCE[1])], axis=0)
    print(f"outputs at 5 records; the limit from {REFERENCE[1]} replicates of {REFERENCE[0]} samples\n")
    print("| | deviation of one run | times sqrt(n) |\n|---|---|---|")
    found = {}
    for n, seeds in FINITE.items():
        found[n] = np.array([network(n, s) for s in range(seeds)])
        deviation = rms(found[n] - truth)
        print(f"| numpy, n = {n} | {deviation:.4f} | {deviation * n**0.5:.2f} |", flush=True)
        ours = rms(np.array([limit(n, r, TOLERANCE)[0] for r in range(seeds // 2)]) - truth)
        print(f"| limit, M = {n} | {ours:.4f} | {ours * n**0.5:.2f} |", flush=True)
    bias, noise = bias_and_noise(found, truth)
    print(f"\nbias {bias:.2f} / n, noise {noise:.2f} / sqrt(n)\n")
    print("| width = samples | numpy, s | limit, s | ratio | ranks |\n|---|---|---|---|---|")
    numpy_times, limit_times = {}, {}
    for n in SAMPLES:
        _, limit_times[n], ranks = limit(n, 0, TOLERANCE)
        numpy_times[n] = seconds_of_network(n, TIMED[n])
        ratio = numpy_times[n] / limit_times[n]
        print(f"| {n} | {numpy_times[n]:.2f} | {limit_times[n]:.2f} | {ratio:.0f} | {ranks} |", flush=True)
    print_best(bias, noise, numpy_times, limit_times)


def print_best(bias: float, noise: float, numpy_times: dict[int, float], limit_times: dict[int, float]) -> None:
    """The cheapest number of runs at the cheapest width, for either side and several errors."""
    print("\n| error | numpy: width × networks, s | limit: samples × replicates, s | ratio |\n|---|---|---|---|")
    for error in (0.02, 0.01, 0.005, 0.002, 0.001, 0.0005):
        (n, a, ta), (m, b, tb) = (cheapest(error, bias, noise, t) for t in (numpy_times, limit_times))
        print(f"| {error} | {n} × {a}, {ta:.1f} | {m} × {b}, {tb:.1f} | {ta / tb:.1f} |")


def cheapest(error: float, bias: float, noise: float, times: dict[int, float]) -> tuple[int, int, float]:
    sizes, logs = np.log(list(times)), np.log(list(times.values()))
    slopes = np.diff(logs) / np.diff(sizes)
    best = (0, 0, np.inf)
    for n in 2 ** np.arange(7, 18):
        left = error**2 - (bias / n) ** 2
        if left <= 0:
            continue
        runs = max(1, int(np.ceil(noise**2 / n / left)))
        at = np.interp(np.log(n), sizes, logs)  # beyond the widths that were timed, as steeply as at their ends
        at += slopes[0] * min(0.0, np.log(n) - sizes[0]) + slopes[-1] * max(0.0, np.log(n) - sizes[-1])
        seconds = runs * float(np.exp(at))
        if seconds < best[2]:
            best = (int(n), runs, seconds)
    return best


def over_steps(samples: int = 4096, steps: int = 1000) -> None:
    for tolerance in (1e-2, 1e-3):
        run = TrainingRun(training(steps), TrainOptions(samples, False, "lazy", tolerance), 0)
        seconds, start = [], time.process_time()
        print(f"\nM = {samples}, tolerance {tolerance}\n\n| step | seconds so far | ranks |\n|---|---|---|")
        while run.step < steps:
            run.advance()
            seconds.append(time.process_time() - start)
            if run.step in (10, 20, 50, 100, 200, 300, 500, 700, 1000):
                ranks = tuple(op.ranks for op in run.operators.values())
                print(f"| {run.step} | {seconds[-1]:.2f} | {ranks} |", flush=True)
        t = np.arange(1, steps + 1)[steps // 5 :]
        slope, intercept = np.polyfit(t, seconds[steps // 5 :], 1)
        off = np.abs(np.polyval([slope, intercept], t) - seconds[steps // 5 :]).max() / seconds[-1]
        print(f"\nfrom step {t[0]} on: {1e3 * slope:.2f} ms a step; off the line by {off:.1%} of the total at most")


def main() -> None:
    with threadpool_limits(1), np.errstate(all="ignore"):
        if "steps" not in sys.argv:
            equal_error()
        if "equal" not in sys.argv:
            over_steps()


if __name__ == "__main__":
    main()
