"""How often the errors of a training in the limit cover the truth: a small problem, over and over with other seeds."""

from dataclasses import replace

import numpy as np

from tpl.api import loads
from tpl.sampling.train import TrainOptions
from tpl.sampling.train_many import Measured, train_many

PROGRAM = """
const rate_ = 0.5
def phi(z) = tanh(z)
width n
data X[N, d] = sphere(4, 6, seed=0)
data y[N] = [1, -1, 1, -1]
network f(xi[d]):
    param W[1] : [n, d] ~ N(0, 1 / d)
    h[1] = W[1] @ xi
    x[1] = phi(h[1])
    for l in 2..2:
        param W[l] : [n, n] ~ N(0, 1 / n)
        h[l] = W[l] @ x[l-1]
        x[l] = phi(h[l])
    param v : [1, n] ~ N(0, 1 / n)
    return v @ x[2]
train f on X, y:
    parametrization = mup
    loss = (f - y)^2 / 2
    rate = rate_
    steps = 8
    record = 4
show loss, f
show gram(x[l]), cross_gram(x[l]), joint_gram(x[l])
show feature_change(h[l]), rms(h[l]), alignment(x[l])
show eigenvalues(gram(x[l])), min_eig(gram(x[l])), effective_rank(gram(x[l])), min_eig(joint_gram(h[l]))
"""
TOLERANCE = 1e-4
TRUTH = (16384, 16)  # samples and replicates


def training(*settings: str):
    found = loads(PROGRAM, None, settings)._compiled.program.training
    assert found is not None
    return found


def estimates(what, options: TrainOptions, replicates: int, threads: int | None = None):
    found = train_many(what, options, replicates, threads)
    return Measured(what).estimates(found, "sampled")


def covered(what, options: TrainOptions, replicates: int, experiments: int, truth, threads: int | None = None):
    """For each show, after the start: the share of experiments and entries whose value ± 2 error takes in the truth,
    and the mean square of deviations over errors."""
    hits, squares = [], []
    for seed in range(experiments):
        got = estimates(what, replace(options, seed=1000 + seed), replicates, threads)
        pairs = [(np.abs(e.value[1:] - t[1:]), e.error[1:]) for e, t in zip(got, truth, strict=True)]
        hits.append([np.mean(gap <= 2 * error) for gap, error in pairs])
        squares.append([np.mean(np.square(gap / error)) for gap, error in pairs])
    return np.array(hits), np.array(squares)


def true_values(what):
    samples, replicates = TRUTH
    return [e.value for e in estimates(what, TrainOptions(samples, False, "lazy", TOLERANCE, seed=1), replicates)]
