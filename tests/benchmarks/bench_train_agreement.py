"""Training, the limit against networks extrapolated in 1/n: z-scores program by program, and whether they are N(0, 1).

python tests/benchmarks/bench_train_agreement.py [--quick] [SEEDS, 2 if not given]
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from agreement_programs import COMPARED, FULL, SMALL, Case, Compared, limit_and_networks

COLUMNS = {
    "f": ("f", "test_f"),
    "loss": ("loss", "test_loss"),
    "gram": ("gram(h[l])", "gram(x[L])"),
    "two-time gram": ("cross_gram(x[l])",),
    "smallest eigenvalues": ("min_eig(gram(x[L]))", "min_eig(gram(h[l]))", "min_eig(joint_gram(h[l]))"),
    "feature change": ("feature_change(h[l])",),
}
EXPECTED = {"beyond ±1": 0.3173, "beyond ±2": 0.0455, "beyond ±3": 0.0027}  # of a standard normal z


class Scores(NamedTuple):
    """Of one program at one seed: z of what is tested, which column each belongs to, and relative errors."""

    z: np.ndarray
    columns: np.ndarray
    relative: np.ndarray
    smallest_p: float


def scores(found: Compared) -> Scores:
    a = found.agreement
    tested = a.distinct & ~a.constant
    column = {show: name for name, shows in COLUMNS.items() for show in shows}
    columns = np.array([column[name] for name in found.names[tested]])
    size = np.abs(a.limit[tested])
    error = np.hypot(a.extrapolated_error, a.limit_error)[tested]
    relative = np.divide(error, size, out=np.full_like(error, np.nan), where=size > 0)
    return Scores(a.z[tested], columns, relative, float(a.p_corrected[tested].min()))


def row(case: Case, runs: Sequence[Scores]) -> str:
    z, columns = (np.concatenate([getattr(s, name) for s in runs]) for name in ("z", "columns"))
    worst = [f"{np.abs(z[columns == name]).max(initial=0.0):.1f}" if name in columns else "" for name in COLUMNS]
    sharp = np.nanmedian(np.concatenate([s.relative for s in runs]))
    least = min(1.0, len(runs) * min(s.smallest_p for s in runs))
    return f"| {case.name} | {len(z)} | {' | '.join(worst)} | {sharp:.1%} | {np.mean(z**2):.2f} | {least:.2g} |"


def distribution(name: str, groups: Sequence[np.ndarray]) -> str:
    """A row of the second table. groups: z-scores, those of one program and seed together, since they hang together."""
    groups = [z for z in groups if len(z)]
    shares = {"mean z": _over([z.mean() for z in groups]), "mean z²": _over([(z**2).mean() for z in groups])}
    shares |= {f"beyond ±{k}": _over([(np.abs(z) > k).mean() for z in groups]) for k in (1, 2, 3)}
    shown = [f"{m:.1%} ± {e:.1%}" if key in EXPECTED else f"{m:.2f} ± {e:.2f}" for key, (m, e) in shares.items()]
    return f"| {name} | {sum(map(len, groups))} | {' | '.join(shown)} |"


def _over(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error over groups, which are independent."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def main() -> None:
    effort = SMALL if "--quick" in sys.argv else FULL
    seeds = int(next((x for x in sys.argv[1:] if x.isdigit()), 2))
    print(f"| program | values | {' | '.join(COLUMNS)} | median error | mean z² | smallest corrected p |")
    print("|---" * (len(COLUMNS) + 5) + "|")
    start, groups = time.perf_counter(), []
    for i, case in enumerate(COMPARED):
        own = range(i, seeds * len(COMPARED), len(COMPARED))  # programs that share a seed share random numbers
        runs = [scores(limit_and_networks(case.training(), effort, seed=seed)) for seed in own]
        groups += runs
        print(row(case, runs), flush=True)
    normal = " | ".join(f"{x:.1%}" for x in EXPECTED.values())
    print(f"\n| z-scores | values | mean z | mean z² | {' | '.join(EXPECTED)} |\n|---|---|---|---|---|---|---|")
    print(f"| standard normal | | 0 | 1 | {normal} |")
    print(distribution("all", [s.z for s in groups]))
    for name in COLUMNS:
        print(distribution(name, [s.z[s.columns == name] for s in groups]))
    print(f"\n{time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
