"""The law against particles on random programs: two interpretations that share nothing but the program."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from tpl.core.text import parse_program
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law
from tpl.sampling.estimate import sample_limit

_spec = importlib.util.spec_from_file_location("random_programs", Path(__file__).with_name("random_programs.py"))
assert _spec is not None
assert _spec.loader is not None
random_programs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(random_programs)

QUICK, ALL = range(40), range(40, 340)
SAMPLES, REPLICATES = 2048, 16
EXACT = 3.0 / (SAMPLES * REPLICATES)  # below this a particle's vote on a rare event counts
SURPRISE = 1e-4  # the probability of a false alarm in a family of tests


def scores(seed):
    """Student's t of every shown moment of one program; 0 where both agree to the particles' resolution."""
    program = parse_program(random_programs.random_program(seed, 12 + seed % 19))
    found = evaluate_law(Law(program), list(program.shows[0].lines))
    particles = sample_limit(program, samples=SAMPLES, replicates=REPLICATES, seed=seed, threads=1)[0]
    assert np.all(np.isfinite(found.value))
    deviation = particles.value - found.value
    # What Estimate calls an error is half of Student's 95.45% interval.
    spread = particles.error * 2 / student.ppf(0.97725, REPLICATES - 1)
    t = deviation / np.sqrt(spread**2 + found.error**2 + 1e-30)
    return np.where(np.abs(deviation) <= EXACT * (1 + np.abs(found.value)) * (spread < EXACT / 10), 0.0, t)


def check_family(seeds, least, most):
    t = np.concatenate([scores(seed) for seed in seeds])
    p = 2 * student.sf(np.abs(t), REPLICATES - 1)
    assert p.min() > SURPRISE / len(p), f"{len(p)} moments, t up to {np.abs(t).max():.1f}"
    variance = np.mean(t[t != 0] ** 2) * (REPLICATES - 3) / (REPLICATES - 1)
    assert least < variance < most, "the errors do not explain the differences"


def test_the_law_is_what_particles_say():
    check_family(QUICK, 0.75, 1.4)


@pytest.mark.slow
@pytest.mark.parametrize("first", ALL[::30])
def test_the_law_is_what_particles_say_of_many(first):
    check_family(range(first, first + 30), 0.7, 1.45)


@pytest.mark.parametrize("seed", [0, 7, 123])
def test_a_seed_gives_always_the_same_program(seed):
    assert random_programs.random_program(seed) == random_programs.random_program(seed)
