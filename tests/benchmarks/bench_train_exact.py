"""Training where it is solved without sampling: deep linear networks, and one hidden layer, against the sampled limit.

python tests/benchmarks/bench_train_exact.py [--quick]

Solutions are those of `tests/training/closed`: coefficients on independent Gaussians for linear networks, integrals on a
grid for one hidden layer with tanh and erf, sums over cones for relu, tangent kernels in closed form for the kernel
regime. Everything after the start is compared: outputs, Gram matrices and two-time Gram matrices of every layer.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from test_train_exact import CASES, TRAINED, Case, expected, z_scores

QUICK, FULL = (500, 40), (2000, 60)  # samples and replicates; means are extrapolated from M and 2 M


def row(name: str, case: Case, size: int, replicates: int, seed: int) -> str:
    z, error = z_scores(case, size, replicates, seed)
    exact = expected(case)
    outputs = (TRAINED + 1) * case.k
    last = case.steps * outputs - outputs  # where f of the last step begins
    scale = np.abs(exact).max()
    sampled = exact[last] + z[last] * error[last] * scale
    return (
        f"| {name} | {len(z)} | {exact[last]:.5f} | {sampled:.5f} ± {error[last] * scale:.5f} | "
        f"{np.median(error):.2%} | {np.mean(z**2):.2f} | {np.abs(z).max():.1f} |"
    )


def main() -> None:
    size, replicates = QUICK if "--quick" in sys.argv else FULL
    print("| training | values | f at the end, solved | sampled | median error | mean z² | largest z |")
    print("|---|---|---|---|---|---|---|")
    start = time.perf_counter()
    for seed, (name, case) in enumerate(CASES.items()):  # trainings that share a seed share random numbers
        print(row(name, case, size, replicates, seed), flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
