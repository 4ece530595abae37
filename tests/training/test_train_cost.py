"""Memory and time of a training, said in advance."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tpl.api import load
from tpl.language.source import TplError
from tpl.sampling.train import TrainOptions
from tpl.sampling.train_cost import cost_of_one, estimate_training, try_out

MEASURE = """
import sys
import numpy as np
import scipy.special  # modules are no part of what a training needs
from tpl.api import load
from tpl.sampling.companion import truncation_effect
from tpl.sampling.train import TrainOptions
from tpl.sampling.train_many import train_many
name, settings, samples, tolerance, dtype, with_companions = sys.argv[1:]

def peak():  # of this process; getrusage counts what it was forked from, too
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

training = load(name, None, settings.split(","))._compiled.program.training
np.linalg.eigh(np.ones((300, 300)) @ np.ones((300, 300)))  # the library's own buffers
before = peak()
options = TrainOptions(int(samples), False, "lazy", float(tolerance), 0, dtype)
ranks = train_many(training, options, 1, 1)["ranks"]
if with_companions == "True":
    truncation_effect(training, options, int(ranks.max()), 1)
print(1024 * (peak() - before))
"""
CASES = {
    "few steps": ("paper/features", "steps=6,L=2", 32768, 1e-3, "float64"),
    "float32": ("training/cifar10", "images=24,T=6", 32768, 1e-2, "float32"),
}
COMPANIONS = {  # that take more memory than what they accompany
    "companions": ("paper/features", "steps=25", 2048, 1e-6, "float64"),
    "companions, momentum": ("paper/features", "steps=25,momentum=0.5", 2048, 1e-6, "float64"),
}
SLOW = {
    "paper": ("paper/features", "steps=50", 16384, 1e-3, "float64"),
    "four layers": ("paper/features", "steps=20,L=4", 32768, 1e-3, "float64"),
    "tight": ("paper/features", "steps=50", 8192, 1e-4, "float64"),
    "momentum": ("paper/features", "steps=20,momentum=0.5", 32768, 1e-3, "float64"),
    "many images": ("training/cifar10", "images=64,T=15", 8192, 2e-2, "float32"),
    "long": ("training/cifar10", "images=16,T=200", 16384, 1e-2, "float64"),
}


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


def measured(case, with_companions=False):
    name, settings, samples, tolerance, dtype = case
    words = (name, settings, samples, tolerance, dtype, with_companions)
    arguments = [sys.executable, "-c", MEASURE, *map(str, words)]
    return int(subprocess.run(arguments, capture_output=True, check=True, text=True, timeout=600).stdout)


def predicted(case, with_companions=False):
    name, settings, samples, tolerance, dtype = case
    training = load(name, None, settings.split(","))._compiled.program.training
    options = TrainOptions(samples, False, "lazy", tolerance, 0, dtype)
    cost, trial = estimate_training(training, options, 1, 1)
    return (cost if with_companions else cost_of_one(training, options, trial.at)).memory_bytes


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_peak_memory_is_as_predicted(case):
    assert predicted(case) == pytest.approx(measured(case), rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("case", COMPANIONS.values(), ids=COMPANIONS)
def test_companions_count(case):
    found = measured(case, with_companions=True)
    assert found > 1.5 * measured(case)
    assert predicted(case, with_companions=True) == pytest.approx(found, rel=0.2)


@pytest.mark.slow
def test_what_is_said_of_a_run_and_its_companions():
    case = SLOW["many images"]  # ranks just below where companions take twice as many samples
    assert predicted(case, with_companions=True) == pytest.approx(measured(case, with_companions=True), rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW.values(), ids=SLOW)
def test_peak_memory_is_as_predicted_for_many_programs(case):
    assert predicted(case) == pytest.approx(measured(case), rel=0.2)


def test_ranks_hardly_depend_on_the_number_of_samples():
    training = load("paper/features", None, ["steps=10"])._compiled.program.training
    few, many = (try_out(training, TrainOptions(m, False, "lazy", 1e-3), 60) for m in (1024, 4096))
    assert few.steps == many.steps == 10
    assert few.ranks[-1] == pytest.approx(many.ranks[-1], rel=0.1)


def test_a_trial_takes_more_samples_where_ranks_ask_for_it():
    training = load("paper/features", None, ["steps=20"])._compiled.program.training
    trial = try_out(training, TrainOptions(100_000, False, "lazy", 1e-7), 60)
    assert trial.samples > 1024
    assert 4 * trial.ranks.max() <= trial.samples or trial.samples == 100_000


def test_ranks_beyond_the_trial_are_extended():
    training = load("paper/features", None, ["steps=30"])._compiled.program.training
    whole = try_out(training, TrainOptions(2048, False, "lazy", 1e-3), 60)
    short = replace(whole, ranks=whole.ranks[:15])
    assert short.at(15) == whole.at(15)
    for matrix, ranks in whole.at(30).items():
        for said, found in zip(short.at(30)[matrix], ranks, strict=True):
            assert 0.9 * found < said < 2 * found


def test_a_run_beyond_the_limit_is_refused_before_the_work():
    from tpl.core.elaborate import Limits

    program = load("paper/features", None, ["steps=10"], Limits(max_memory=10**7))
    ticks = []
    with pytest.raises(TplError, match=r"needs about 0\.\d+ GiB of memory, 0.01 GiB are allowed"):
        program.run(samples=16384, progress=lambda *t: ticks.append(t))
    assert not ticks


def test_check_says_what_it_knows_from_a_trial():
    report = load("paper/features", None, ["steps=3"]).check(samples=4096)
    assert report.seconds > 0
    assert report.memory_bytes > 16 * 3 * 4096 * 8
    assert any("trial" in note for note in report.notes)
    assert load("paper/features", None, ["parametrization=ntp"]).check(samples=4096).memory_bytes > 16 * 3 * 4096 * 8
