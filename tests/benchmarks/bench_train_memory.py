"""Peak memory of trainings, predicted and measured in fresh processes: python tests/benchmarks/bench_train_memory.py"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from test_train_cost import CASES, SLOW, measured, predicted


def main() -> None:
    print(
        "| program | settings | M | tolerance | dtype | predicted, MiB | measured, MiB | ratio |\n|---|---|---|---|---|---|---|---|"
    )
    for case in (CASES | SLOW).values():
        said, found = predicted(case) / 2**20, measured(case) / 2**20
        name, settings, samples, tolerance, dtype = case
        print(
            f"| {name} | {settings} | {samples} | {tolerance:g} | {dtype} | {said:.0f} | {found:.0f} | {said / found:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
