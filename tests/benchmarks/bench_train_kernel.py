"""The kernel regime at finite width: features move like a power of the width, outputs follow the tangent kernel.

python tests/benchmarks/bench_train_kernel.py

Three hidden layers, tanh, four inputs, six full-batch steps. Powers are fitted with a correction in 1/n.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from agreement_programs import Case
from test_train_agreement import STEPS, kernel_course, power_of_width

from tpl.report.layout import compact
from tpl.sampling.train import TrainOptions
from tpl.sampling.train_many import Measured, train_many

WIDTHS = {64: 96, 128: 64, 256: 48, 512: 32, 1024: 16}
DENSE = 256
EXPECTED = {"ntp": (0.5, 0.5, 0.5), "sp": (1.5, 0.5, 0.5)}  # SP: the first layer's rate is 1/n as that of the others


def networks(case: Case) -> dict[int, tuple[np.ndarray, ...]]:
    """f [networks, 2, N] at the start and the end, feature change [networks, L], tangent kernels at the start."""
    training, found = case.training(), {}
    for n, count in WIDTHS.items():
        options = TrainOptions(n, True, "lazy" if n > DENSE else "dense", 1e-7)
        f, change, kernel = Measured(training).single(train_many(training, options, count))
        found[n] = f, change[:, -1], kernel[:, 0]
    return found


def rms(squares: np.ndarray) -> str:
    root = np.sqrt(squares.mean())
    return compact(float(root), float(squares.std(ddof=1) / np.sqrt(len(squares)) / (2 * root)))


def row(name: str, sizes: dict[int, np.ndarray], expected: float) -> str:
    slope, error = power_of_width(sizes)
    cells = " | ".join(rms(x) for x in sizes.values())
    return f"| {name} | {cells} | {slope:.2f} ± {error:.2f} | {-expected} |"


def main() -> None:
    start = time.perf_counter()
    print(f"| rms over networks | {' | '.join(f'n = {n}' for n in WIDTHS)} | power of n | expected |")
    print("|---" * (len(WIDTHS) + 3) + "|")
    for scale, powers in EXPECTED.items():
        case = Case(3, "tanh", "squared", scale, N=4, steps=STEPS, record=STEPS,
                    shows="f, feature_change(h[l]), tangent_kernel")  # fmt: skip
        found, y = networks(case), case.data()["y"]
        for layer, power in enumerate(powers):
            sizes = {n: c[:, layer] ** 2 / ((f[:, 0] - y) ** 2).mean(axis=1) for n, (f, c, _) in found.items()}
            print(row(f"{scale}: change of h, layer {layer + 1}, over the error signal", sizes, power), flush=True)
        limit = train_many(case.training(), TrainOptions(8192, False, "lazy", 1e-3), 8)
        mean = Measured(case.training()).single(limit)[2][:, 0].mean(axis=0)
        for kernel, power, of in ((None, 1.0, "its own Θ at the start"), (mean, 0.5, "Θ of the limit")):
            sizes = {}
            for n, (f, _, own) in found.items():
                course = kernel_course(f[:, 0], own if kernel is None else kernel, y)
                sizes[n] = ((f[:, 1] - course) ** 2).mean(axis=1)
            print(row(f"{scale}: f less what {of} says", sizes, power), flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
