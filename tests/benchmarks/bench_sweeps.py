"""Batch norm's law in sweeps against sampling the program: python tests/benchmarks/bench_sweeps.py [--coverage] [--written-out]

1. Seconds of processor time, one thread, for finding the sweeps, taking them, and sampling the program; the median over
   entries of the sampled errors over ours, and the root mean square of the differences over both errors together.
2. --coverage: how often value ± 2 error holds the truth, over 40 seeds and all entries, with few points (1,024 a
   replicate); the truth is four runs with 32 times as many.
3. --written-out: seconds for the symbolic law of the same programs, some minutes each.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tpl
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law
from tpl.numeric.families import plan_sweeps
from tpl.numeric.family_law import evaluate_families
from tpl.numeric.strategies import Sampling

SEEDS = range(40)
FEW, MANY = 1 << 13, 1 << 18  # points of all replicates


def timed(function):
    start = time.process_time()
    return function(), time.process_time() - start


def flat(run, what):
    return np.concatenate([np.ravel(getattr(r, what)) for r in run])


def compare(name, written_out):
    program = tpl.load(name)
    core = program.program
    lines = [line for shown in core.shows for line in shown.lines]
    steps, planning = timed(lambda: plan_sweeps(core, lines))
    found, taking = timed(lambda: evaluate_families(core, steps, lines))
    sampled, sampling = timed(lambda: program.run(method="sample", seed=1, threads=1))
    errors = flat(sampled, "error")
    z = (flat(sampled, "value") - found.value) / np.hypot(errors, found.error)
    print(f"{name:20s} plan {planning:.2f}  sweeps {taking:.2f}  sampling {sampling:.2f} s"
          f"   errors {np.median(errors / found.error):.1f} times smaller, rms z {np.sqrt(np.mean(z**2)):.2f}")  # fmt: skip
    if written_out:
        law, writing = timed(lambda: Law(core))
        _, evaluating = timed(lambda: evaluate_law(law, lines))
        print(f"{'':20s} written out: {writing:.0f} s, evaluated: {evaluating:.0f} s")


def coverage(size):
    program = tpl.load("batchnorm_mlp", data={"X": f"sphere:{size},10"}).program
    lines = [line for shown in program.shows for line in shown.lines]
    steps = plan_sweeps(program, lines)

    def runs(seeds, points):
        return [evaluate_families(program, steps, lines, seed, Sampling(samples=points)) for seed in seeds]

    best, found = runs(range(10**6, 10**6 + 4), MANY), runs(SEEDS, FEW)
    truth = np.mean([r.value for r in best], axis=0)
    doubt = np.sqrt(np.mean([r.error**2 for r in best], axis=0) / len(best))
    hits = np.array([np.abs(r.value - truth) <= 2 * np.hypot(r.error, doubt) for r in found])
    half = len(lines) // 2
    noted = np.mean([bool(r.notes) for r in found])
    print(f"B = {size}: nngp {hits[:, :half].mean():.1%}, ntk {hits[:, half:].mean():.1%}; doubts noted in {noted:.0%}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--written-out", action="store_true")
    asked = parser.parse_args()
    for name in ("batchnorm_mlp", "batchnorm_batches"):
        compare(name, asked.written_out)
    for size in (4, 5, 6, 8) if asked.coverage else ():
        coverage(size)


if __name__ == "__main__":
    main()
