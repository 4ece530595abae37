"""Law, sampled limit and finite networks: one core program, three interpretations, for every bundled program."""

import numpy as np
import pytest

import tpl
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law
from tpl.pipeline import bundled_programs
from tpl.sampling.agreement import compare
from tpl.sampling.estimate import sample, sample_finite

SLOW = {"batchnorm_batches", "batchnorm_mlp", "gru", "lstm"}  # laws of hundreds of expectations in many dimensions
FEWER = {"batchnorm_mlp": {"X": "sphere:5,10"}, "batchnorm_batches": {"X": "sphere:2,5,10"}}  # more take minutes
PROGRAMS = [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in bundled_programs()]


TWO_WIDTHS = """
const r = 2
width n
width m = r * n
data X[N, d] = sphere(2, 3, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param V : [m, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    param w : [1, m] ~ N(0, 3 / m)
    param c : [1] ~ N(0, 0.5)
    x = relu(U @ xi)
    y = tanh(V @ x) * avg(x^2)
    return v @ x + w @ y / 2 + 2 * c
show nngp(f, X), ntk(f, X)
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_law_particles_and_networks_agree(name):
    check_agreement(tpl.load(name, data=FEWER.get(name)).program)


def test_they_agree_for_an_output_over_two_widths():
    check_agreement(tpl.loads(TWO_WIDTHS).program)


def check_agreement(program):
    lines = [i for shown in program.shows for i in shown.lines]
    law = evaluate_law(Law(program), lines)
    particles = sample(program, base_width=4096, replicates=24, seed=5)
    mean, error = particles.mean(axis=0), particles.std(axis=0, ddof=1) / np.sqrt(len(particles))
    z = (mean - law.value) / np.hypot(error, law.error / 2 + 1e-12)
    assert np.abs(z).max() < 5.5
    assert np.mean(z**2) < 4
    networks = {n: sample_finite(program, width=n, seeds=24, seed=5)[0] for n in (64, 128, 256)}
    assert compare(particles, networks, 4096, level=1e-4).agrees
