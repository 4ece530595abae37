"""Cost of training at equal error: the sampled limit beside numpy networks of finite width; and time over steps.

python tests/benchmarks/bench_train_cost.py [equal|steps]

Three hidden layers, tanh, 16 CIFAR-10 images, 100 full-batch steps under mup (`programs/paper/features.tp`). Times are
processor seconds on one thread. The network in numpy does what a step needs, in place and in blocks that stay in cache,
and nothing else; in float32, as the limit is.
"""

import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from tpl.api import load
from tpl.core.training import Training
from tpl.sampling.train import TrainingRun, TrainOptions

STEPS, RATE, DEPTH = 100, 1.0, 3
TOLERANCE = 2e-2  # its effect on outputs is measured, too
REFERENCE = (8192, 4)  # samples and replicates, at a tolerance of 3e-3
FINITE = {256: 24, 512: 12, 1024: 8}  # width: seeds
LIMIT = {512: 12, 1024: 8, 2048: 8, 4096: 6}  # samples: replicates
TIMED = {1024: 20, 2048: 10, 4096: 5, 8192: 3, 16384: 2}  # width: steps
DTYPE = np.float32
BLOCK = 256  # rows of a matrix that are updated at a time


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
        X = (X / np.sqrt(X.shape[1])).astype(DTYPE)
        self.n, self.y = n, y.astype(DTYPE)
        self.W = [rng.standard_normal((n, n), DTYPE) for _ in range(DEPTH - 1)]
        for W in self.W:
            W /= DTYPE(np.sqrt(n))
        self.v = rng.standard_normal(n, DTYPE)
        self.h = X @ rng.standard_normal((n, X.shape[1]), DTYPE).T
        self.gram = X @ X.T

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
        self.v -= DTYPE(rate) * (chi @ x[-1])
        for W, left, right in zip(self.W, g[1:], x[:-1], strict=True):
            left *= DTYPE(rate / self.n)
            for start in range(0, self.n, BLOCK):
                W[start : start + BLOCK] -= left[:, start : start + BLOCK].T @ right
        self.h -= DTYPE(rate) * (self.gram @ g[0])


def limit(
    samples: int, replicate: int, tolerance: float, steps: int = STEPS, dtype: str = "float64", **options: bool
) -> tuple[np.ndarray, float, tuple]:
    """Outputs at the records, processor seconds, ranks."""
    chosen = TrainOptions(samples, False, "lazy", tolerance, dtype=dtype, **options)
    run = TrainingRun(training(steps), chosen, replicate)
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
    truth = np.mean([limit(REFERENCE[0], 100 + r, 3e-3)[0] for r in range(REFERENCE[1])], axis=0)
    print(f"outputs at 5 records; the limit from {REFERENCE[1]} replicates of {REFERENCE[0]} samples\n")
    networks, ours, limit_times, ranks = deviations(truth)
    bias, noise = bias_and_noise(networks, truth)
    print(f"\nnetworks: bias {bias:.2f} / n, noise {noise:.3f} / sqrt(n)")
    own_bias, own_noise = bias_and_noise(ours, truth)
    print(f"limit: bias {own_bias:.2f} / M, noise {own_noise:.3f} / sqrt(M)\n")
    numpy_times = {}
    print("| width | numpy, s |\n|---|---|")
    for n, steps in TIMED.items():
        numpy_times[n] = seconds_of_network(n, steps)
        print(f"| {n} | {numpy_times[n]:.2f} |", flush=True)
    print(
        "\n| samples | deviation | limit, s | width of as small a deviation | numpy, s | ratio |\n|---|---|---|---|---|---|"
    )
    for m, values in ours.items():
        deviation = rms(values - truth)
        n = width_of(deviation, bias, noise)
        seconds = seconds_at(n, numpy_times)
        print(
            f"| {m} | {deviation:.5f} | {limit_times[m]:.2f} | {n:.0f} | {seconds:.1f} | {seconds / limit_times[m]:.0f} |"
        )
    print(f"\nranks {ranks}")
    print_best((bias, noise, numpy_times), (own_bias, own_noise, limit_times))


def deviations(truth: np.ndarray) -> tuple[dict, dict, dict[int, float], tuple]:
    """Outputs of networks and of the limit, by width and by samples; the limit's median seconds and its last ranks."""
    print("| | deviation of one run | times sqrt(n) |\n|---|---|---|")
    networks, ours, times, ranks = {}, {}, {}, ()
    for n, seeds in FINITE.items():
        networks[n] = np.array([network(n, s) for s in range(seeds)])
        deviation = rms(networks[n] - truth)
        print(f"| numpy, n = {n} | {deviation:.5f} | {deviation * n**0.5:.3f} |", flush=True)
    for m, replicates in LIMIT.items():
        for quasi in (False, True) if m in FINITE else (True,):
            runs = [limit(m, r, TOLERANCE, dtype="float32", quasi=quasi) for r in range(replicates)]
            values = np.array([run[0] for run in runs])
            deviation, name = rms(values - truth), "limit" if quasi else "limit, independent samples"
            print(f"| {name}, M = {m} | {deviation:.5f} | {deviation * m**0.5:.3f} |", flush=True)
        ours[m], times[m], ranks = values, float(np.median([run[1] for run in runs])), runs[-1][2]
    return networks, ours, times, ranks


def width_of(deviation: float, bias: float, noise: float) -> float:
    """The width whose deviation, (bias / n)² + noise² / n squared, is as small."""
    return (noise**2 + np.sqrt(noise**4 + 4 * bias**2 * deviation**2)) / (2 * deviation**2)


def seconds_at(n: float, times: dict[int, float]) -> float:
    """Between the widths that were timed; beyond them, as steeply as at their ends."""
    sizes, logs = np.log(list(times)), np.log(list(times.values()))
    slopes = np.diff(logs) / np.diff(sizes)
    at = np.interp(np.log(n), sizes, logs)
    at += slopes[0] * min(0.0, np.log(n) - sizes[0]) + slopes[-1] * max(0.0, np.log(n) - sizes[-1])
    return float(np.exp(at))


def print_best(networks: tuple[float, float, dict[int, float]], ours: tuple[float, float, dict[int, float]]) -> None:
    """The cheapest number of runs at the cheapest width, for either side and several errors."""
    print("\n| error | numpy: width × networks, s | limit: samples × replicates, s | ratio |\n|---|---|---|---|")
    for error in (0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002):
        (n, a, ta), (m, b, tb) = (cheapest(error, *side) for side in (networks, ours))
        print(f"| {error} | {n} × {a}, {ta:.1f} | {m} × {b}, {tb:.1f} | {ta / tb:.1f} |")


def cheapest(error: float, bias: float, noise: float, times: dict[int, float]) -> tuple[int, int, float]:
    best = (0, 0, np.inf)
    for n in 2 ** np.arange(7, 18):
        left = error**2 - (bias / n) ** 2
        if left <= 0:
            continue
        runs = max(1, int(np.ceil(noise**2 / n / left)))
        seconds = runs * seconds_at(float(n), times)
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
