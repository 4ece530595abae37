"""Training three ways: sampled step by step, its steps written out and sampled, and their symbolic law."""

import numpy as np
import pytest

from tpl.core.program import verify
from tpl.core.unroll import NotUnrolled, unroll
from tpl.language.source import Source
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law
from tpl.pipeline import compile_program
from tpl.sampling.estimate import limit_replicates
from tpl.sampling.train import TrainOptions
from tpl.sampling.train_many import train_many

TEXT = """
width n
data X[N, d] = [[1, 0.5], [0.3, -1]]
data y[N] = [1, -0.5]
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1.5 / n)
    param b : [n] ~ N(0, 0.1)
    h[1] = U @ xi
    h[2] = W @ erf(h[1]) + b
    param v : [1, n] ~ N(0, 2 / n)
    param c : [1] ~ N(0, 1)
    x = erf(h[2])
    return v @ x + c
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = 0.4
    momentum = 0.5
    weight_decay = 0.1
    batch = 1
    steps = 3
show loss, f
show gram(x), cross_gram(h[1]), cross_gram(h[2])
"""
REPLICATES = 16
LIMIT = 4.5  # standard errors that the largest of some twenty differences may be off: one run in 5,000


def training(text=TEXT):
    return compile_program(Source(text, "unrolled.tp")).program.training


def sampled(which, steps):
    found = train_many(which, TrainOptions(4096, False, "lazy", 1e-7), REPLICATES)
    return {name: x[:, : steps + 1] for name, x in found.items()}


def split(program, values):
    """Values of all shows, [..., values], by name."""
    found, start = {}, 0
    for shown in program.shows:
        stop = start + len(shown.lines)
        found[shown.name] = values[..., start:stop].reshape(*values.shape[:-1], *shown.shape)
        start = stop
    return found


def shared(unrolled, found):
    names = [name for name in unrolled if name in found]
    assert {"f", "gram:x", "cross:h[2]"} <= set(names)
    return names


def test_steps_written_out_have_the_law_of_the_loop():
    which, steps = training(), 3
    program = verify(unroll(which, steps))
    values, _ = limit_replicates(program, samples=4096, replicates=REPLICATES, seed=1)
    one, other = split(program, values), sampled(which, steps)
    for name in shared(one, other):
        a, b = one[name], other[name].reshape(one[name].shape)
        error = np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / REPLICATES)
        assert np.all(np.abs(a.mean(0) - b.mean(0)) <= LIMIT * error + 1e-12), name


@pytest.mark.parametrize("steps", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_symbolic_law_is_what_samples_tend_to(steps):
    which = training()
    program = unroll(which, steps)
    law = evaluate_law(Law(program), [line for shown in program.shows for line in shown.lines], seed=0)
    value, error = split(program, law.value), split(program, law.error)
    other = sampled(which, steps)
    for name in shared(value, other):
        b = other[name].reshape(REPLICATES, *value[name].shape)
        noise = np.sqrt(b.var(0, ddof=1) / REPLICATES + error[name] ** 2)
        assert np.all(np.abs(value[name] - b.mean(0)) <= LIMIT * noise + 1e-12), name


def test_the_kernel_regime_is_no_core_program():
    with pytest.raises(NotUnrolled):
        unroll(training(TEXT.replace("mup", "ntp").replace("weight_decay = 0.1", "")), 1)
