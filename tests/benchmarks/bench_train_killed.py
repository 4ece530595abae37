"""A long training killed half-way (SIGKILL) and resumed, beside one left alone: time, peak memory, and the same bits.

python tests/benchmarks/bench_train_killed.py [--part killed|whole] [--folder FOLDER]

128 CIFAR-10 images, ten classes, three hidden layers, 200 full-batch steps, M = 2^15, two replicates on two threads.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FULL = ["--samples", "32768", "--replicates", "2", "--tolerance", "0.03", "--dtype", "float32", "--threads", "2"]
HALF = 100  # steps
POLL = 0.5  # seconds


def command(arguments: list[str], folder: Path, name: str) -> list[str]:
    saved = ["--checkpoint", str(folder / f"{name}_checkpoint"), "-o", str(folder / f"{name}.npz")]
    return [sys.executable, "-m", "tpl.cli", "run", "training/cifar10", *arguments, *saved]


def run(arguments: list[str], folder: Path, name: str, stop_at: int | None = None) -> None:
    """Run to the end, or until every replicate's state on disk is at a step; what it took."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(folder / f"{name}.txt", "a") as output:
        process = subprocess.Popen(command(arguments, folder, name), stdout=output, stderr=subprocess.STDOUT)
        while stop_at is not None and process.poll() is None and steps(folder / f"{name}_checkpoint") < stop_at:
            time.sleep(POLL)
        if stop_at is not None:
            os.kill(process.pid, signal.SIGKILL)
        code = process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{name}: exit {code} after {time.perf_counter() - start:.0f} s, {busy:.0f} s of processor time, "
          f"at most {after.ru_maxrss / 2**20:.2f} GiB", flush=True)  # fmt: skip


def steps(checkpoint: Path) -> int:
    """How far the replicate that is least far is."""
    found = []
    for replicate in range(2):
        if (checkpoint / f"{replicate}.done.npz").exists():
            continue
        try:
            with np.load(checkpoint / f"{replicate}.npz") as state:
                found.append(int(state[next(name for name in state.files if name.endswith("step"))]))
        except (OSError, ValueError, StopIteration):
            return 0
    return min(found, default=sys.maxsize)


def compare(folder: Path) -> bool:
    first, second = (np.load(folder / f"{name}.npz") for name in ("killed", "whole"))
    arrays = [name for name in first.files if name != "metadata"]  # which tells the time, too
    same = first.files == second.files and all(first[x].tobytes() == second[x].tobytes() for x in arrays)
    print(f"{len(arrays)} arrays: {'the same bits' if same else 'NOT the same bits'}")
    return same


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=("killed", "whole"))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tpl_train_killed")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.part != "whole":
        run(FULL, options.folder, "killed", stop_at=HALF)
        run(FULL, options.folder, "killed")
    if options.part != "killed":
        run(FULL, options.folder, "whole")
    if all((options.folder / f"{name}.npz").exists() for name in ("killed", "whole")):
        sys.exit(not compare(options.folder))


if __name__ == "__main__":
    main()
