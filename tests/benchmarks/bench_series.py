"""Hermite series against panels, seconds an expectation: python tests/benchmarks/bench_series.py [--quick]

1. One expectation E φ(u) φ(v): the first time (its coefficients are computed), again with the same variances and
   another correlation (they are remembered), and by quadrature, with fine and coarse panels as `tpl run` uses them.
2. A kernel of N inputs: N rows of coefficients and one pass over all pairs, against quadrature for every pair.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, product
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tpl.core.expr import Expr, mul, ref, substitute
from tpl.core.text import parse_program
from tpl.numeric.chains import reduce_rank
from tpl.numeric.hermite import coefficients
from tpl.numeric.integrand import Integrand
from tpl.numeric.quadrature import expectation
from tpl.numeric.series import Found, correlations, dual_matrix, series

FUNCTIONS = ["tanh(x)", "silu(x)", "softplus(x)", "x * tanh(log(1 + exp(x)))", "1 / (1 + x^2)"]


def expression(text: str) -> Expr:
    program = parse_program(f'width n\nx : [n] ~ N(0, 1)\ny = {text}\nt = avg(y)\nshow "t" [] = t')
    found = program.lines[1].expr
    assert found is not None
    return found


def by_panels(phi: Expr, q: float, c: float) -> tuple[float, float]:
    """Value and error."""
    other = substitute(phi, lambda leaf: ref(1) if leaf.op == "ref" else leaf)
    x = Integrand(mul(phi, other), reduce_rank(np.array([[q, c], [c, q]])), {}, {})
    fine, coarse = expectation(x, 16)[0], expectation(x, 12, reach=8.5)[0]
    return fine, abs(fine - coarse)


def timed(action: Callable[[], object], repeats: int) -> float:
    """The least of some runs, in milliseconds."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def one_expectation(repeats: int) -> None:
    print("one expectation, milliseconds")
    print(
        f"{'function':>26} {'q':>6} {'rho':>6} {'first':>8} {'again':>8} {'panels':>8} {'bound':>9} {'|panels error|':>14}"
    )
    fresh = count(1)
    for text, q, rho in product(FUNCTIONS, (0.1, 1.0, 10.0), (0.5, 0.95, 1.0)):
        print(_row(text, q, rho, repeats, fresh))


def _row(text: str, q: float, rho: float, repeats: int, fresh: Iterator[int]) -> str:
    phi = expression(text)

    def first() -> None:  # a variance never seen before
        near = q * (1 + 1e-9 * next(fresh))
        series(phi, phi, near, near, rho * near, {}, {})

    found = series(phi, phi, q, q, rho * q, {}, {})
    times = [timed(first, repeats)]
    times.append(timed(lambda: series(phi, phi, q, q, rho * q * (1 - 1e-9 * next(fresh)), {}, {}), repeats))
    times.append(timed(lambda: by_panels(phi, q, rho * q), repeats))
    bound = f"{found.bound:.0e}" if isinstance(found, Found) else "declined"
    milliseconds = " ".join(f"{t:>8.2f}" for t in times)
    return f"{text:>26} {q:>6} {rho:>6} {milliseconds} {bound:>9} {by_panels(phi, q, rho * q)[1]:>14.0e}"


def kernel(sizes: list[int], terms: int) -> None:
    print(f"\nkernel of N inputs, tanh, {terms} terms: microseconds a pair")
    phi = expression("tanh(x)")
    for inputs in sizes:
        x = np.random.default_rng(0).standard_normal((inputs, 10)) / 3
        gram = x @ x.T
        q = np.diag(gram).copy()
        start = time.perf_counter()
        a = coefficients(phi, q, terms, {}, {})
        middle = time.perf_counter()
        _, bound = dual_matrix(a, a, correlations(gram, q[:, None], q[None, :]))
        end = time.perf_counter()
        panels = timed(partial(by_panels, phi, q[0], gram[0, 1]), 3)
        print(
            f"N = {inputs}: coefficients {1e6 * (middle - start) / inputs**2:.2f}, pairs {1e6 * (end - middle) / inputs**2:.2f}, "
            f"panels {1e3 * panels:.0f}; greatest bound {bound.max():.1g}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer runs, smaller kernels")
    quick = parser.parse_args().quick
    with threadpool_limits(1, user_api="blas"):
        one_expectation(3 if quick else 20)
        kernel([10, 100] if quick else [10, 100, 1000], 128)


if __name__ == "__main__":
    main()
