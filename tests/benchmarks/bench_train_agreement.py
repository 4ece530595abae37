"""Training, the limit against networks extrapolated in 1/n: the largest |z| of every measure, program by program.

python tests/benchmarks/bench_train_agreement.py [--quick]
"""

import sys
import time
from pathlib import Path

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


def row(case: Case, found: Compared) -> str:
    a = found.agreement
    worst = [f"{max(found.worst(name) for name in names):.1f}" for names in COLUMNS.values()]
    tested = a.distinct & ~a.constant
    error = np.hypot(a.extrapolated_error, a.limit_error)[tested]
    scale = np.abs(a.limit[tested])
    sharp = np.median(error[scale > 0] / scale[scale > 0])
    verdict = f"{a.p_corrected[tested].min():.2g}"
    return f"| {case.name} | {a.comparisons} | {' | '.join(worst)} | {sharp:.1%} | {np.mean(a.z[tested] ** 2):.2f} | {verdict} |"


def main() -> None:
    effort = SMALL if "--quick" in sys.argv else FULL
    print(f"| program | values | {' | '.join(COLUMNS)} | median error | mean z² | smallest corrected p |")
    print("|---" * (len(COLUMNS) + 5) + "|")
    start = time.perf_counter()
    for case in COMPARED:
        print(row(case, limit_and_networks(case.training(), effort)), flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
