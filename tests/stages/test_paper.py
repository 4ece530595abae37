"""The paper's statements in the limit, on small problems; its figures.

Expected losses come from least squares over what the inputs allow, joint eigenvalues from trained networks with stored
matrices, and the escape time under IP from counting powers of the width.
"""

import json

import numpy as np
import pytest
from scipy.special import roots_hermitenorm

import tpl
from tpl.pipeline import bundled_experiments
from tpl.report.paper_plot import plot_paper
from tpl.report.paper_summary import summary
from tpl.sampling.train import TrainOptions
from tpl.sampling.train_many import Measured, train_many
from tpl.stages.paper import ENDINGS, PARAMETRIZATIONS, PaperOptions, _extrapolated, reproduce

SMALL = {"X": "sphere:4,10", "y": np.array([1, -1, 0.5, -0.5])}
LAYERS = 3


def shown(name, *settings, data=None, samples=2048, replicates=8):
    run = tpl.load(f"paper/{name}", data, settings).run(samples=samples, replicates=replicates)
    return {r.name: r for r in run.results}


@pytest.fixture(scope="module")
def small():
    return shown("features", "rate=0.5", "steps=20", data=SMALL)


# ---------------------------------------------------------------------------------------------- the programs


@pytest.mark.parametrize("name", bundled_experiments())
def test_programs_fit_on_a_slide(name):
    path = bundled_experiments()[name]
    title, blank, *rest = tpl.load(name).program.title.splitlines()
    assert title.endswith(".")
    assert not blank
    assert any(line.startswith("Expect") for line in rest), "the header says what to expect"
    assert any("arXiv:" in line for line in rest), "and where it is from"
    lines = path.read_text(encoding="utf-8").split('"""', 2)[2].splitlines()
    assert len([x for x in lines if x.strip()]) <= 40


# ---------------------------------------------------------------------------------------------- Theorem 4.5


@pytest.mark.parametrize("variable", ["h", "x"])
def test_features_stay_independent(small, variable):
    """At every step and layer, with an error bar that excludes zero."""
    found = small[f"min_eig(gram({variable}[l]))"]
    assert found.value.shape == (21, LAYERS)
    assert (found.value - 2 * found.error > 0).all()


@pytest.mark.parametrize("variable", ["h", "x"])
def test_the_joint_eigenvalue_after_one_step_is_resolved(small, variable):
    """Small as it is, it agrees with networks whose matrices are stored, extrapolated in 1/n."""
    found = small[f"min_eig(joint_gram({variable}[l]))"]
    assert np.abs(found.value[0]).max() <= 2 * found.error[0].min() + 1e-12, "singular before any step"
    assert (found.value[1:] - 2 * found.error[1:] > 0).all()
    assert (found.value[1] < 1e-3).all()

    training = tpl.load("paper/features", SMALL, ["rate=0.5", "steps=1"]).program.training
    place = [s.name for s in training.shows].index(found.name)
    mean, variance = [], []
    for width in (256, 512):
        networks = train_many(training, TrainOptions(width, True, "dense", 0.0), 24)
        values = Measured(training).single(networks)[place][:, 1]
        mean.append(values.mean(axis=0))
        variance.append(values.var(axis=0, ddof=1) / len(values))
    extrapolated, error = 2 * mean[1] - mean[0], np.sqrt(4 * variance[1] + variance[0])
    assert (np.abs(extrapolated - found.value[1]) < 4 * np.hypot(error, found.error[1])).all()


# ---------------------------------------------------------------------------------------------- Corollary 4.6

# What outputs can be, given how inputs depend on each other: f = A c, for any c.
CAN_BE = {
    "degenerate": [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "relu": [[1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1]],
    "linear": [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]],
}
TARGETS = {"degenerate": [1, 1, -1, 1], "relu": [1, 1, -1, 1], "linear": [1, 1, 1, -1]}


def test_convergence_is_to_a_global_minimum():
    found = shown("convergence", "steps=60", samples=1024, replicates=4)
    loss = found["loss"]
    assert loss.value[-1] + 2 * loss.error[-1] < 1e-4
    assert (found["feature_change(x[l])"].value[-1] > 0.1).all()
    signs = np.sign(found["f"].value[-1])
    np.testing.assert_allclose(found["f"].value[-1], signs, atol=1e-2)


@pytest.mark.parametrize("name", CAN_BE)
def test_without_an_assumption_it_stops_elsewhere(name):
    found = shown(name, "steps=100", samples=1024, replicates=4)
    matrix, targets = np.array(CAN_BE[name], float), np.array(TARGETS[name], float)
    best = matrix @ np.linalg.lstsq(matrix, targets, rcond=None)[0]
    least = ((best - targets) ** 2).sum() / (2 * len(targets))
    assert least > 0.02
    assert found["loss"].value[-1] == pytest.approx(least, rel=2e-2)
    np.testing.assert_allclose(found["f"].value[-1], best, atol=0.06)
    for variable in "hx":
        smallest = found[f"min_eig(gram({variable}[l]))"]
        assert (np.abs(smallest.value) <= 2 * smallest.error).all(), "an honest zero"
        assert (smallest.error < 1e-5).all(), "and a sharp one"


def test_an_activation_that_is_not_odd_mends_opposite_inputs():
    found = shown("degenerate", "phi(z)=silu(z)", "steps=60", samples=1024, replicates=4)
    assert found["loss"].value[-1] + 2 * found["loss"].error[-1] < 1e-4
    smallest = found["min_eig(gram(x[l]))"]
    assert (smallest.value - 2 * smallest.error > 0).all()


def test_preactivations_of_the_first_layer_are_linear_in_the_inputs():
    """So that more inputs than dimensions leave them dependent, while those of other layers are not."""
    found = shown("features", "steps=5", "rate=0.5", data={**SMALL, "X": "sphere:4,3"}, samples=1024)
    first, second, third = np.moveaxis(found["min_eig(gram(h[l]))"].value, 1, 0)
    errors = np.moveaxis(found["min_eig(gram(h[l]))"].error, 1, 0)
    assert (np.abs(first) <= 2 * errors[0]).all()
    assert (second - 2 * errors[1] > 0).all()
    assert (third - 2 * errors[2] > 0).all()


# ---------------------------------------------------------------------------------------------- parametrizations


@pytest.mark.parametrize("name", ["sp", "ntp", "ip"])
def test_features_stand_still_in_the_limit(name):
    found = shown("features", f"parametrization={name}", "steps=5", data=SMALL, samples=1024, replicates=4)
    for variable in "hx":
        change = found[f"feature_change({variable}[l])"]
        assert (change.value <= 2 * change.error + 1e-6).all()
    size = found["rms(h[l])"].value
    assert (size[:, 1:] == 0).all() if name == "ip" else (size > 0.1).all()


def test_a_start_without_gradients_is_called_so():
    """Under IP with tanh; what is zero there is called zero, not unresolved."""
    program = tpl.load("paper/features", SMALL, ["parametrization=ip", "steps=3"])
    notes = program.run(samples=256, replicates=2).notes
    assert any(x.startswith("nothing moves") for x in notes)
    assert "min_eig(gram(h[l])), l = 2 is zero (steps 0 to 3)" in notes


def test_a_relative_change_of_what_was_zero_is_refused():
    """Under IP with φ(0) ≠ 0 training leaves its start, and h[2] becomes infinitely many times larger than it was."""
    program = tpl.load("paper/features", SMALL, ["parametrization=ip", "phi(z)=sigmoid(z)", "steps=3"])
    with pytest.raises(tpl.TplError) as caught:
        program.run(samples=256, replicates=2)
    (found,) = caught.value.diagnostics
    assert found.message == "feature_change(h[l]) is not finite"
    assert "`rms` shows" in found.hint


def test_under_ip_what_networks_start_with_grows_by_a_factor_a_step():
    """Near the stationary point h[2] and s = W[3].T V feed each other through error signals χ = -y / N that stand still:
    Σ χ h[2] <- Σ χ h[2] - rate κ s and s <- s - rate Σ χ h[2], where κ = Σ χ χ' E tanh(u) tanh(u'). They start at a
    size of n^(-1/2), so it takes a number of steps in proportion to log n."""
    program = tpl.load("paper/features", SMALL, ["parametrization=ip", "steps=10"])
    inputs, y = program._compiled.inputs["X"].array, SMALL["y"]
    z, w = roots_hermitenorm(60)
    w = w / w.sum()
    cosines = np.clip(inputs @ inputs.T / 10, -1, 1)
    kernel = [
        [(w * np.tanh(z)) @ np.tanh(np.add.outer(r * z, np.sqrt(1 - r**2) * z)) @ w for r in row] for row in cosines
    ]
    factor = 1 + np.sqrt(y @ np.array(kernel) @ y) / len(y)
    size = {}
    for width in (1024, 4096):
        networks = train_many(program.program.training, TrainOptions(width, True, "lazy", 1e-7), 4)
        gram = networks["gram:h[l] at l = 2"]
        size[width] = np.sqrt(np.einsum("a,rtab,b->rt", y, gram, y))
    growth = size[4096][:, 10] / size[4096][:, 9]
    np.testing.assert_allclose(growth, factor, rtol=0.01)
    start = np.sqrt((size[1024] ** 2).mean(axis=0) / (size[4096] ** 2).mean(axis=0))
    assert start[0] == pytest.approx(2, rel=0.3)


# ---------------------------------------------------------------------------------------------- the figures


@pytest.fixture(scope="module")
def paper():
    options = PaperOptions((16, 48), 3, 1024, 6, settings=("rate=0.5", "steps=30"))
    seen = []
    return reproduce(options, SMALL, lambda done, total: seen.append((done, total))), seen


def test_progress_reaches_its_end(paper):
    done, total = paper[1][-1]
    assert done == total


def test_numbers(paper, tmp_path):
    result = paper[0]
    assert [f.parametrization for f in result.features] == list(PARAMETRIZATIONS)
    assert [e.program for e in result.endings] == list(ENDINGS)
    for features in result.features:
        for name, curves in features.measures.items():
            layers = () if name == "loss" else (LAYERS,)
            assert curves.networks.shape == curves.network_errors.shape == (2, 31, *layers)
            assert curves.limit.shape == curves.limit_errors.shape == (31, *layers)
    read = json.loads(result.save(tmp_path / "numbers.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(read["features"][3]["measures"]["loss"]["limit"],
                               result.features[3].measures["loss"].limit, rtol=1e-5)  # fmt: skip
    assert result.endings[0].signal[-1] < 1e-3 < 0.3 < result.endings[1].signal[-1]


def test_networks_are_extrapolated_without_the_limit():
    """a + c/n + e/n² with noise; widths below eight times the vectors do not count."""
    rng = np.random.default_rng(0)
    networks = {n: 3 + 5 / n + 7 / n**2 + 1e-3 * rng.standard_normal((20, 4, 2)) for n in (64, 128, 256, 512)}
    networks[16] = np.full((20, 4, 2), 1e6)
    found, error = _extrapolated(networks, 8)
    assert found.shape == error.shape == (4, 2)
    assert np.abs((found - 3) / error).max() < 4
    assert error.max() < 2e-3
    assert _extrapolated({64: networks[64], 16: networks[16]}, 8) == (None, None)


def test_what_is_said_in_the_terminal(paper):
    """The last network, the limit, and the verdicts stand there as they are in the figures."""
    text = summary(paper[0])
    by_name = {f.parametrization: f for f in paper[0].features}
    assert "feature change of h, layer 3" in text
    rates = next(line for line in text.splitlines() if line.startswith("ntp: feature change"))
    slope = np.polyfit(np.log([16, 48]), np.log(by_name["ntp"].measures["feature_change(h[l])"].networks[:, -1, 2]), 1)
    assert rates.endswith(f"n^{slope[0]:.2f} in layers 1 to 3")
    assert -0.8 < slope[0] < -0.2
    assert "relu: after 150 steps the loss is 0.025, the largest error signal 0.4" in text
    assert by_name["mup"].measures["loss"].z is None, "16 and 48 are too narrow to tell"


def test_preactivations_are_gaussian_before_training_and_not_after(paper):
    """Flatter for tanh, heavier for relu."""
    tanh, relu = paper[0].histograms
    for found in (tanh, relu):
        spread = found.limit
        assert abs(spread.kurtosis[0]) < 4 * spread.kurtosis_errors[0]
        np.testing.assert_allclose((spread.density * np.diff(found.edges)).sum(axis=1), 1, atol=5e-3)
        assert (np.abs(found.networks.kurtosis - spread.kurtosis) < 1).all()
    assert tanh.limit.kurtosis[1] + 4 * tanh.limit.kurtosis_errors[1] < 0
    assert relu.limit.kurtosis[1] - 4 * relu.limit.kurtosis_errors[1] > 0


def test_figures(paper, tmp_path):
    pytest.importorskip("matplotlib")
    written = plot_paper(paper[0], tmp_path)
    assert len(written) == 6
    assert all(path.stat().st_size > 10_000 for path in written)
