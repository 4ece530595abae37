"""Means of outputs beside their kernels: what `tpl run`, Python and JSON say, against networks drawn at random."""

import json

import numpy as np
import pytest

import tpl

TEXT = """
const mu = 0.5
width n
data X[N, d] = sphere(3, 4, seed=0)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param b : [n] ~ N(1, 1)
    param v : [1, n] ~ N(0, 1 / n)
    param c : [1] ~ N(mu, 0.25)
    param e : [1] ~ N(-2, 1)
    return OUTPUT
show nngp(f, X)
show ntk(f, X)
"""
ONE = TEXT.replace("OUTPUT", "v @ relu(U @ xi + b) + 2 * c - e / 4")
SEVERAL = TEXT.replace("OUTPUT", "v @ relu(U @ xi + b) * i + i^2 * c for i in 1..2")


def drawn(X, seeds, width=30):
    """Outputs of ONE, [seeds, N]: plain networks of a small width, for the mean does not depend on it."""
    rng = np.random.default_rng(3)
    d = X.shape[1]
    U, v = rng.standard_normal((seeds, width, d)) / np.sqrt(d), rng.standard_normal((seeds, width)) / np.sqrt(width)
    b = 1 + rng.standard_normal((seeds, width))
    c, e = 0.5 + 0.5 * rng.standard_normal(seeds), -2 + rng.standard_normal(seeds)
    hidden = np.maximum(np.einsum("snd,kd->skn", U, X) + b[:, None], 0)
    return np.einsum("sn,skn->sk", v, hidden) + (2 * c - e / 4)[:, None]


def test_means_are_those_of_networks():
    run = tpl.loads(ONE).run()
    mean = run["mean(f, X)"]
    assert mean.shape == (3,)
    outputs = drawn(tpl.data.load_source("sphere:3,4,seed=0", 1 << 20).array, 20_000)
    spread = outputs.std(axis=0) / np.sqrt(len(outputs))
    assert np.all(np.abs(outputs.mean(axis=0) - mean.value) < 4.5 * spread)
    assert np.allclose(mean.value, 2 * 0.5 + 2 / 4, rtol=0, atol=1e-15)
    assert np.all((mean.error > 0) & (mean.error < 1e-14))


@pytest.mark.parametrize("options", [{}, {"method": "law"}, {"samples": 64, "replicates": 2}])
def test_every_way_to_the_kernels_gives_them(options):
    run = tpl.loads(SEVERAL).run(**options)
    assert [x.name for x in run.results] == ["nngp(f, X)", "ntk(f, X)", "mean(f, X)"]
    assert np.allclose(run["mean(f, X)"].value, [[0.5, 2.0]] * 3)


def test_many_inputs_and_settings():
    run = tpl.loads(ONE, data={"X": "sphere:20,4"}, settings=["mu=0"]).run()
    assert np.array_equal(run["mean(f, X)"].value, np.full(20, 0.5))


def test_they_are_printed_and_in_json():
    run = tpl.loads(ONE).run()
    assert "mean(f, X)" in str(run)
    assert json.loads(run.to_json())["results"][-1]["value"] == [1.5, 1.5, 1.5]


def test_outputs_without_a_mean_have_no_such_result():
    text = ONE.replace("N(mu, 0.25)", "N(0, 0.25)").replace("N(-2, 1)", "N(0, 1)")
    assert [x.name for x in tpl.loads(text).run().results] == ["nngp(f, X)", "ntk(f, X)"]
