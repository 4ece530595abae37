"""How the symbolic limit's time grows with depth and with time: python tests/benchmarks/bench_derive.py [--quick]

Processor seconds of one thread for the law (every Z, every expectation as a symbol) of unrolled programs with two
inputs, NNGP and tangent kernel: the relu MLP at growing depth, the RNN at growing T. The exponent is that of the last
doubling; quantities are the numbers of the limit that the law consists of. Then the whole command for the bundled mlp.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tpl
from tpl.limit.law import Law

ROOT = Path(__file__).resolve().parents[2]


def law_seconds(name: str, settings: list[str], shape: tuple[int, ...]) -> tuple[float, int]:
    data = np.random.default_rng(0).standard_normal((2, *shape))
    program = tpl.load(name, data={"X": data}, settings=settings).program
    start = time.process_time()
    law = Law(program)
    return time.process_time() - start, len(law.calculus.quantities)


def table(title: str, sizes: list[int], measure) -> None:
    print(f"{title:>12} {'seconds':>9} {'quantities':>11} {'exponent':>9}")
    earlier = None
    for size in sizes:
        seconds, quantities = measure(size)
        exponent = "" if earlier is None else f"{np.log(seconds / earlier[1]) / np.log(size / earlier[0]):.2f}"
        print(f"{size:>12} {seconds:>9.2f} {quantities:>11} {exponent:>9}", flush=True)
        earlier = (size, seconds)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    law_seconds("mlp", ["L=2"], (10,))  # imports
    depths = [12, 25, 50] if quick else [12, 25, 50, 100, 200]
    table("mlp: layers", depths, lambda n: law_seconds("mlp", [f"L={n}"], (10,)))
    steps = [12, 25] if quick else [12, 25, 50, 100]
    table("rnn: steps", steps, lambda n: law_seconds("rnn", [], (n, 10)))
    command = [sys.executable, "-c", "from tpl.cli import main; main()", "derive", "mlp"]
    for _ in range(1 if quick else 3):
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        print(f"tpl derive mlp, whole command: {time.perf_counter() - start:.2f} s wall")


if __name__ == "__main__":
    main()
