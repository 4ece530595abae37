"""Values that are known, error bars that mean what they say, and bits that do not depend on threads."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from scipy import special

sys.path.insert(0, str(Path(__file__).parent))
import sampling_programs as sp

from tpl.core.expr import apply, number, ref
from tpl.core.program import Show
from tpl.sampling.cost import estimate_cost, estimate_memory
from tpl.sampling.errors import MemoryRefused, NumericalError
from tpl.sampling.estimate import round_up, sample, sample_finite, sample_limit, student_two_sigma, summarise
from tpl.sampling.schedule import make_schedule

HERE = Path(__file__).parent


def transpose_correction():
    """E[1 - tanh^2] by Gauss-Hermite quadrature."""
    nodes, weights = special.roots_hermitenorm(160)
    return weights @ (1 - np.tanh(nodes) ** 2) / np.sqrt(2 * np.pi)


KNOWN = [
    pytest.param(sp.semicircle(4), [1, 2, 5, 14], id="semicircle"),
    pytest.param(sp.marchenko_pastur(4), [1, 2, 5, 14], id="Marchenko-Pastur"),
    # ratio 2: Σ_j N(k, j) 2^j with Narayana numbers N
    pytest.param(sp.marchenko_pastur(3, ratio=2), [2, 6, 22], id="Marchenko-Pastur, ratio 2"),
    pytest.param(sp.transpose_correction(), transpose_correction(), id="transpose correction"),
]


@pytest.mark.parametrize(("program", "expected"), KNOWN)
def test_known_values(program, expected):
    (estimate,) = sample_limit(program, samples=20_000, replicates=24, seed=5)
    assert np.abs((estimate.value - expected) / estimate.error).max() < 3.5
    assert np.all(estimate.error < 0.02 * np.abs(expected))


def test_the_transpose_correction_has_its_value():
    assert abs(transpose_correction() - 0.6057055) < 1e-6


def test_gradient_independence_loses_the_correction():
    (estimate,) = sample_limit(sp.transpose_correction(), seed=1, gradient_independence=True)
    assert abs(estimate.value) < 4 * estimate.error
    assert "independent" in estimate.method


@pytest.mark.parametrize(("program", "expected"), KNOWN)
@pytest.mark.parametrize("replicates", [2, 4, pytest.param(16, marks=pytest.mark.slow)])
def test_error_bars_cover(program, expected, replicates):
    """value ± 2 error covers in 95.45% of all runs, for few replicates too."""
    runs, samples = 300, 1000
    values = sample(program, base_width=samples, replicates=runs * replicates, seed=11)
    inside = np.zeros(values.shape[1])
    for run in values.reshape(runs, replicates, -1):
        (estimate,) = summarise(program, run, "")
        inside += (np.abs(estimate.value - expected) <= 2 * estimate.error).reshape(-1)
    # Each count is binomial; 4.5 standard deviations, and room for the bias of order 1/M.
    spread = np.sqrt(0.9545 * 0.0455 / runs)
    assert np.all(np.abs(inside / runs - 0.9545) < 4.5 * spread)


def test_estimates_have_the_shapes_of_the_shows():
    draft = sp.Draft()
    x = draft.gaussian()
    moments = [draft.moment(apply("abs", ref(draft.map(apply(f, ref(x)))))) for f in ("tanh", "sin", "relu", "exp")]
    draft.builder.shows += [Show("a", (2, 2), tuple(moments)), Show("b", (), (moments[1],)), Show("c", (0, 3), ())]
    a, b, c = sample_limit(draft.program(), samples=1000, replicates=3, seed=1)
    assert (a.value.shape, b.value.shape, c.value.shape) == ((2, 2), (), (0, 3))
    assert a.value[0, 1] == b.value
    assert a.method == "sampled limit: 3 replicates of 1000 samples (lazy Gaussian operator)"


@pytest.mark.parametrize("dof", [*range(1, 31), 57, 58, 199, 200, 201, 202, 1000, 10**6])
def test_student(dof):
    exact = special.stdtrit(dof, special.ndtr(2))
    assert student_two_sigma(dof) == pytest.approx(exact, rel=1e-6)


def test_two_replicates_at_least():
    with pytest.raises(ValueError, match="two replicates"):
        sample_limit(sp.transpose_correction(), replicates=1)


# ---------------------------------------------------------------------------------------------- bits


@pytest.mark.parametrize("operator", ["lazy", "dense"])
def test_bits_do_not_depend_on_threads(operator):
    program = sp.mlp_tangent_kernel(5)
    options = {"base_width": 700, "replicates": 6, "seed": 4, "operator": operator}
    one = sample(program, **options, threads=1)
    assert np.array_equal(one, sample(program, **options, threads=2))
    assert np.array_equal(one, sample(program, **options, threads=5))
    assert np.array_equal(one, sample(program, **options, threads=1))
    assert len(np.unique(one[:, 1])) == 6


def test_runs_of_different_kinds_and_widths_are_independent():
    program = sp.semicircle(1)
    limit = sample(program, base_width=200, replicates=200, seed=0)[:, 0]
    others = [sample_finite(program, width=width, seeds=200, seed=0)[0][:, 0] for width in (200, 201)]
    others.append(sample(program, base_width=200, replicates=200, seed=1)[:, 0])
    others.append(sample(program, base_width=201, replicates=200, seed=0)[:, 0])
    correlation = np.corrcoef([limit, *others])
    assert np.abs(correlation - np.eye(5)).max() < 4.5 / np.sqrt(200)


def test_progress_counts_every_replicate():
    seen = []
    for threads in (1, 2):
        seen.clear()
        sample(sp.semicircle(1), base_width=64, replicates=7, threads=threads, progress=lambda *x: seen.append(x))
        assert seen[-1] == (7, 7)
        assert seen == sorted(seen)


def test_the_first_failing_replicate_speaks():
    draft = sp.Draft()
    x = draft.gaussian()
    bad = draft.map(apply("sqrt", apply("log", apply("abs", ref(x)))))
    draft.show(draft.moment(ref(bad)))
    program = draft.program()
    for threads in (1, 2):
        with pytest.raises(NumericalError) as caught:
            sample(program, base_width=100, replicates=8, threads=threads)
        assert caught.value.line == bad


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits deafness to it
sys.path.insert(0, {folder!r})
import sampling_programs as sp
from tpl.sampling.estimate import sample

def progress(done, total):
    print(done, flush=True)

sample(sp.semicircle(8), base_width=50_000, replicates=10_000, threads={threads}, progress=progress)
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_interrupts_are_prompt(threads):
    code = INTERRUPTED.format(folder=str(Path(__file__).parent), threads=threads)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout.readline()  # it is under way
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=30)
        finally:
            run.kill()
    assert "KeyboardInterrupt" in errors


# ---------------------------------------------------------------------------------------------- finite networks


def test_finite_networks():
    values, method = sample_finite(sp.marchenko_pastur(2), width=50, seeds=400, seed=3)
    assert values.shape == (400, 2)
    assert method == "finite networks: 400 seeds at width 50"
    # E avg(v * (A.T A)^k v) at width n: 1, and 2 + 1/n
    error = values.std(axis=0) / 20
    assert np.abs((values.mean(axis=0) - [1, 2 + 1 / 50]) / error).max() < 4


def test_large_networks_are_revealed_lazily():
    program = sp.marchenko_pastur(2)
    schedule = make_schedule(program)
    width = 3000
    dense, lazy = (estimate_memory(program, schedule, width, kind, 1) for kind in ("dense", "lazy"))
    assert dense > 8 * width**2 > 10 * lazy
    values, method = sample_finite(program, width=width, seeds=3, threads=2, max_memory=3 * lazy)
    assert "lazily" in method
    assert np.abs(values.mean(axis=0) - [1, 2]).max() < 0.3
    _, method = sample_finite(program, width=width, seeds=1, max_memory=2 * dense)
    assert "lazily" not in method
    with pytest.raises(MemoryRefused) as caught:
        sample_finite(program, width=width, seeds=3, max_memory=lazy // 2)
    assert caught.value.needed == lazy


def test_refused_before_work():
    with pytest.raises(MemoryRefused):
        sample_limit(sp.semicircle(2), samples=10**9, max_memory=2**30)


def test_whole_widths():
    program = sp.marchenko_pastur(1, ratio="3/7")
    assert round_up(program, 8192) == 8197
    assert round_up(program, 14) == 14
    assert round_up(program, 8) == 8  # 14 would be almost twice as much
    assert round_up(sp.semicircle(1), 8192) == 8192


# ---------------------------------------------------------------------------------------------- cost

MEASURE = """
import re, sys
from pathlib import Path
sys.path.insert(0, {here!r})
import numpy as np
import sampling_programs as sp
from tpl.sampling.cost import estimate_cost
from tpl.sampling.estimate import sample
program = {program}
estimate = estimate_cost(program, {samples}, {replicates}, {threads}, operator={operator!r})
sample(sp.semicircle(1), base_width=64, replicates=2, operator="lazy")
def peak():  # ru_maxrss would count the parent before exec
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
sample(program, base_width={samples}, replicates={replicates}, threads={threads}, operator={operator!r})
print(estimate.memory_bytes, peak() - before)
"""

# One thread: with two, the peak depends on how their replicates happen to overlap.
RUNS = [
    pytest.param("sp.semicircle(8)", 400_000, 2, 1, "lazy", id="one vector a product"),
    pytest.param("sp.mlp_tangent_kernel(24)", 80_000, 2, 1, "lazy", id="blocks"),
    pytest.param("sp.training(8)", 60_000, 3, 1, "lazy", id="long sums"),
    pytest.param("sp.semicircle(2)", 4_000, 2, 1, "dense", id="stored"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("program", "samples", "replicates", "threads", "operator"), RUNS)
def test_memory_is_foreseen(program, samples, replicates, threads, operator):
    script = MEASURE.format(
        here=str(HERE), program=program, samples=samples, replicates=replicates, threads=threads, operator=operator
    )
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, cwd=HERE.parents[1]
    )
    foreseen, measured = map(float, run.stdout.split())
    assert measured > 5e7
    assert 0.75 < foreseen / measured < 1.3


def test_cost_grows_as_the_work_does():
    program = sp.semicircle(8)
    small, large = (estimate_cost(program, samples, 16, 2) for samples in (10_000, 100_000))
    assert 8 < large.flops / small.flops < 12
    assert 8 < large.memory_bytes / small.memory_bytes < 12
    assert 4 < large.seconds / small.seconds < 12
    assert estimate_cost(program, 10_000, 16, 1).seconds == pytest.approx(2 * small.seconds)
    assert estimate_cost(sp.transpose_correction(), 100, 2, 1, operator="dense").memory_bytes > 8 * 100**2


def test_a_huge_run_costs_too_much():
    draft = sp.Draft()
    x = draft.gaussian()
    draft.show(draft.moment(apply("pow", ref(x), number(2))))
    assert estimate_cost(draft.program(), 2**40, 2, 2).memory_bytes > 2**40
