"""Kernel matrices over data, side by side with neural-tangents 0.6.5.

    python tests/benchmarks/bench_kernels.py [--rounds 3] [--venv FOLDER] [--only NAME]

Each round is one process of ours and one of theirs, in turns: wall time of imports and the first call, processor and
wall time of later calls, the greatest memory. Errors are those of a corner of the matrices, relative to the diagonal,
against the general evaluator of the law (quadrature or closed forms, number by number). neural-tangents gets a virtual
environment of its own (jax 0.4.25, numpy 1.26.4), made on the first run; where it cannot be installed, ours runs alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PINS = ("jax==0.4.25", "jaxlib==0.4.25", "numpy==1.26.4", "scipy==1.12.0", "neural-tangents==0.6.5")
CORNER = 6
DIMENSION = 100
CASES = {  # name: (inputs, depth, nonlinearity of ours, of theirs)
    "relu, depth 3": (2000, 3, "relu(z)", "stax.Relu()"),
    "relu, depth 10": (2000, 10, "relu(z)", "stax.Relu()"),
    "erf, depth 3": (2000, 3, "erf(z)", "stax.Erf()"),
    "tanh, depth 3": (500, 3, "tanh(z)", "stax.ElementwiseNumerical(jax.numpy.tanh, deg=25)"),
}

SHARED = """
import json, os, resource, sys, time
begin = time.perf_counter()
import numpy as np

def measured(compute, calls):
    compute()
    first = time.perf_counter() - begin
    cpu, wall = [], []
    for _ in range(calls):
        c, w = time.process_time(), time.perf_counter()
        nngp, ntk = compute()
        cpu.append(time.process_time() - c)
        wall.append(time.perf_counter() - w)
    corner = [np.asarray(k)[:CORNER, :CORNER].tolist() for k in (nngp, ntk)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"first": first, "cpu": min(cpu), "wall": min(wall), "memory": memory, "corner": corner}))

X = np.random.default_rng(0).standard_normal((N, DIMENSION))
"""

OURS = """
import tpl

def compute():
    found = program.kernel(X)
    return found.nngp, found.ntk

program = tpl.load("mlp", settings=[f"L={DEPTH}", "phi(z)=" + OURS])
measured(compute, CALLS)
"""

THEIRS = """
import jax
jax.config.update("jax_enable_x64", True)
from neural_tangents import stax

dense = lambda width: stax.Dense(width, W_std=2**0.5, b_std=0.1)
layers = [layer for _ in range(DEPTH) for layer in (dense(512), THEIRS)]
_, _, kernel = stax.serial(*layers, dense(1))
kernel = jax.jit(kernel, static_argnames="get")

def compute():
    found = kernel(X, None, get=("nngp", "ntk"))
    return found.nngp.block_until_ready(), found.ntk.block_until_ready()

measured(compute, CALLS)
"""


def environment(folder):
    """The interpreter of an environment with neural-tangents; None, and a word about it, where there can be none."""
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
            subprocess.run(
                [str(python), "-m", "pip", "install", "-q", *PINS], check=True, capture_output=True, text=True
            )
        subprocess.run([str(python), "-c", "import neural_tangents"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        reason = (getattr(problem, "stderr", "") or str(problem)).strip().splitlines()[-1:]
        print(f"skipped: neural-tangents cannot be installed here ({' '.join(map(str, reason))}); ours runs alone\n")
        return None
    return python


def run(python, text, case, calls):
    inputs, depth, ours, theirs = CASES[case]
    known = {"N": inputs, "DIMENSION": DIMENSION, "DEPTH": depth, "OURS": ours, "CORNER": CORNER, "CALLS": calls}
    head = "".join(f"{name} = {value!r}\n" for name, value in known.items())
    code = head + textwrap.dedent(SHARED) + textwrap.dedent(text).replace("THEIRS", theirs)
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([str(python), "-c", code], env=settings, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def reference(case):
    """The corner by the general evaluator."""
    import tpl
    from tpl.limit.law import Law
    from tpl.numeric.evaluate import evaluate_law

    inputs, depth, ours, _ = CASES[case]
    X = np.random.default_rng(0).standard_normal((inputs, DIMENSION))[:CORNER]
    program = tpl.load("mlp", data={"X": X}, settings=[f"L={depth}", f"phi(z)={ours}"]).program
    law = Law(program)
    return [evaluate_law(law, list(x.lines)).value.reshape(x.shape) for x in program.shows]


def error(result, expected):
    return max(
        float(np.max(np.abs(np.array(k) - e)) / np.max(e)) for k, e in zip(result["corner"], expected, strict=True)
    )


def report(case, name, results, expected):
    def middle(key):
        return statistics.median(r[key] for r in results)

    print(
        f"{case:16} {name:16} {middle('first'):8.2f} {middle('cpu'):9.3f} {middle('wall'):9.3f} "
        f"{middle('memory') / 2**20:9.0f} {max(error(r, expected) for r in results):9.1e}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "tpl-bench-neural-tangents")
    parser.add_argument("--only", choices=CASES)
    options = parser.parse_args()
    sides = {"ours": (sys.executable, OURS)}
    theirs = environment(options.venv)
    if theirs is not None:
        sides["neural-tangents"] = (theirs, THEIRS)
    print(f"{'':33} {'first, s':>8} {'cpu, s':>9} {'wall, s':>9} {'MiB':>9} {'error':>9}")
    for case in [options.only] if options.only else CASES:
        expected = reference(case)
        found = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, (python, text) in sides.items():
                found[name].append(run(python, text, case, options.calls))
        for name, results in found.items():
            report(case, name, results, expected)


if __name__ == "__main__":
    main()
