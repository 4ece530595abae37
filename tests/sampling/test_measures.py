"""Measures of training: closed forms, direct formulas, and error bars that cover where the truth is known."""

import numpy as np
import pytest

from tpl.sampling.estimate import student_two_sigma
from tpl.sampling.measures import (
    accuracy,
    alignment,
    average,
    class_margin,
    cross_gram,
    effective_rank,
    eigenvalues,
    evaluate,
    feature_change,
    gram,
    joint_gram,
    loss,
    min_eig,
    per_replicate,
    rank,
    rms,
    sign_margin,
    unresolved,
)

EXACT = {"rtol": 1e-10, "atol": 1e-13}


# --- Samples with a known law ---


def gaussian(rng, shape):
    return rng.standard_normal(shape)


def skewed(rng, shape):
    """(g² - 1) / √2: mean 0, variance 1, kurtosis 15."""
    return (rng.standard_normal(shape) ** 2 - 1) / np.sqrt(2)


def bounded(rng, shape):
    return rng.uniform(-np.sqrt(3), np.sqrt(3), shape)


def common_scale(rng, shape):
    """Uncorrelated but dependent coordinates of variance 1 and kurtosis 9."""
    return rng.standard_normal(shape) * rng.standard_normal((*shape[:-1], 1))


def covariance(spectrum, seed=0):
    """A matrix with these eigenvalues, and eigenvectors in general position."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(spectrum),) * 2))
    return (basis * np.asarray(spectrum)) @ basis.T


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values.clip(0))


def sampled_gram(matrix, samples, replicates, runs, law=gaussian, seed=0):
    """[replicates, runs, N, N]: mean Gram matrices of vectors with this covariance."""
    rng = np.random.default_rng(seed)
    factor = root(matrix)
    if law is gaussian:
        return factor @ wishart(rng, len(matrix), samples, (replicates, runs)) @ factor.T
    out = np.empty((replicates, runs, *matrix.shape))
    for index in np.ndindex(replicates, runs):
        z = law(rng, (samples, len(matrix)))
        out[index] = z.T @ z / samples
    return factor @ out @ factor.T


def wishart(rng, size, samples, shape):
    """Mean of z z' over so many standard Gaussian z (Bartlett 1933)."""
    factor = np.tril(rng.standard_normal((*shape, size, size)), -1)
    diagonal = np.arange(size)
    factor[..., diagonal, diagonal] = np.sqrt(rng.chisquare(samples - diagonal, size=(*shape, size)))
    return factor @ np.swapaxes(factor, -1, -2) / samples


def trajectory(seed=0, replicates=6, steps=4, inputs=5, samples=200):
    """Statistics of variables that move: h_t = h_0 + t g / 10, elementwise and not Gaussian."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((inputs, inputs))
    start = np.tanh(rng.standard_normal((replicates, 1, samples, inputs)) @ mix)
    step = np.arange(steps)[:, None, None]
    h = start + step / 10 * rng.standard_normal((replicates, 1, samples, inputs)) * start**2
    h0 = np.broadcast_to(h[:, :1], h.shape)
    now, cross = (np.einsum("rtsa,rtsb->rtab", a, h) / samples for a in (h, h0))
    return {"gram": now, "cross": cross, "f": h[:, :, 0, :, None], "h": h}


Y = np.array([1.0, -1.0, 1.0, 1.0, -1.0])


def squared(f):
    return ((f[..., 0] - Y) ** 2 / 2).mean(-1)


SMOOTH = [
    rms(), feature_change(), alignment(Y), effective_rank(gram()), effective_rank(joint_gram()), loss("loss", squared),
    gram(), cross_gram(), joint_gram(), average("f"),
]  # fmt: skip
ALL = [*SMOOTH, min_eig(gram()), eigenvalues(gram()), rank(gram()), accuracy("accuracy", sign_margin(Y))]


def named(measures):
    return [pytest.param(m, id=m.name) for m in measures]


# --- Values ---


def test_values_of_every_replicate_are_the_formulas():
    s = trajectory()
    h, h0 = s["h"], s["h"][:, :1]
    both = np.concatenate([np.broadcast_to(h0, h.shape), h], axis=-1)
    joint = np.einsum("rtsa,rtsb->rtab", both, both) / h.shape[2]
    spectrum = np.linalg.eigvalsh(s["gram"])
    change = np.sqrt(((h - h0) ** 2).mean(2) / (h0**2).mean(2)).mean(-1)
    expected = [
        (gram(), s["gram"]),
        (cross_gram(), np.einsum("rtsa,rtsb->rtab", np.broadcast_to(h0, h.shape), h) / h.shape[2]),
        (joint_gram(), joint),
        (min_eig(gram()), spectrum[..., 0]),
        (eigenvalues(gram()), spectrum[..., ::-1]),
        (effective_rank(gram()), spectrum.sum(-1) ** 2 / (spectrum**2).sum(-1)),
        (rms(), np.sqrt((h**2).mean((2, 3)))),
        (feature_change(), change),
        (average("f"), s["f"]),
        (loss("loss", squared), ((s["f"][..., 0] - Y) ** 2).mean(-1) / 2),
        (accuracy("accuracy", sign_margin(Y)), (np.sign(s["f"][..., 0]) == Y).mean(-1)),
    ]
    for measure, value in expected:
        # the square root of a difference that rounding leaves is 1e-8
        atol = 1e-7 if measure.name == "feature_change" else EXACT["atol"]
        np.testing.assert_allclose(per_replicate(measure, s), value, rtol=1e-10, atol=atol, err_msg=measure.name)


def test_the_joint_matrix_is_a_gram_matrix():
    s = trajectory()
    value = evaluate(joint_gram(), s).value
    assert value.shape == (4, 10, 10)
    assert np.linalg.eigvalsh(value).min() > -1e-14
    np.testing.assert_allclose(value[0], np.tile(s["gram"].mean(0)[0], (2, 2)), **EXACT)


def test_nothing_has_moved_at_step_zero():
    s = trajectory()
    change = evaluate(feature_change(), s)
    assert change.value[0] == 0
    assert change.error[0] < 1e-6
    assert np.all(change.value[1:] > 10 * change.error[1:])
    joint = evaluate(min_eig(joint_gram()), s, steps=[0, 10, 20, 30])
    assert unresolved(joint).tolist() == [True, False, False, False]
    assert joint.notes == ("min_eig(joint_gram) cannot be resolved: below rounding (step 0)",)
    assert evaluate(rank(joint_gram()), s).value.tolist() == [5, 10, 10, 10]


@pytest.mark.parametrize("outputs", [1, 3])
def test_alignment_is_the_correlation_of_centred_entries(outputs):
    rng = np.random.default_rng(1)
    y = rng.standard_normal((5, outputs))
    kernel = trajectory()["gram"]

    # entry by entry, as defined: subtract row means and column means, add the mean
    def centre(k):
        n = len(k)
        mean = sum(k[i][j] for i in range(n) for j in range(n)) / n**2
        return [
            [k[i][j] - sum(k[i]) / n - sum(row[j] for row in k) / n + mean for j in range(n)] for i in range(n)
        ]  # fmt: skip

    def direct(k):
        a, b = np.array(centre(k)), np.array(centre(y @ y.T))
        return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())

    expected = [[direct(k) for k in row] for row in kernel]
    np.testing.assert_allclose(per_replicate(alignment(y), {"gram": kernel}), expected, **EXACT)


def test_alignment_with_itself_is_one():
    centred = Y - Y.mean()
    kernel = np.outer(centred, centred) * 3 + 7
    assert abs(per_replicate(alignment(Y), {"gram": kernel[None, None]}).item() - 1) < 1e-12
    with pytest.raises(ValueError, match="same"):
        alignment(np.full(5, 0.3))


def test_alignment_of_a_constant_kernel_is_undefined():
    with pytest.raises(ValueError, match="alignment is not finite"):
        evaluate(alignment(Y), {"gram": np.zeros((3, 1, 5, 5))})


def test_zero_inputs_have_not_changed():
    s = trajectory()
    zero = {name: s[name].copy() for name in ("gram", "cross")}
    for x in zero.values():
        x[..., 2, :] = x[..., :, 2] = 0
    change = evaluate(feature_change(), zero)
    kept = [0, 1, 3, 4]
    others = evaluate(feature_change(), {name: x[..., kept, :][..., kept] for name, x in zero.items()})
    np.testing.assert_allclose(change.value, others.value * 4 / 5, rtol=1e-7, atol=1e-7)
    assert evaluate(rank(gram()), zero).value.tolist() == [4] * 4
    zero["gram"][:, 1:, 2, 2] = 1
    with pytest.raises(ValueError, match="feature_change is not finite"):
        evaluate(feature_change(), zero)


def test_class_margins():
    f = np.array([[0.2, 0.5, 0.1], [0.4, 0.3, 0.3]])
    margin = class_margin([[0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(margin(f), [0.3, -0.1])
    with pytest.raises(ValueError, match="no class is right"):
        class_margin([[1], [0]])
    with pytest.raises(ValueError, match="neither sign"):
        sign_margin([1, 0])


@pytest.mark.parametrize("measure", named(ALL))
def test_statistics_must_be_finite(measure):
    s = trajectory()
    s[measure.uses[-1]][0, 1] = np.nan
    with pytest.raises(ValueError, match="is not finite"):
        evaluate(measure, s)


# --- Errors ---


@pytest.mark.parametrize("measure", named(SMOOTH))
@pytest.mark.parametrize("replicates", [2, 6])
def test_smooth_measures_are_jackknifed(measure, replicates):
    """Against pseudo-values, one replicate left out at a time."""
    s = trajectory(replicates=replicates)
    whole = measure.function({name: x.mean(0) for name, x in s.items()})
    pseudo = []
    for r in range(replicates):
        rest = measure.function({name: np.delete(x, r, 0).mean(0) for name, x in s.items()})
        pseudo.append(replicates * whole - (replicates - 1) * rest)
    spread = np.std(pseudo, 0, ddof=1) / np.sqrt(replicates)
    noise = np.hypot(spread, np.mean(pseudo, 0) - whole) * student_two_sigma(replicates - 1) / 2
    estimate = evaluate(measure, s)
    later = slice(1, None) if measure.name == "feature_change" else slice(None)  # at step 0 rounding is all there is
    np.testing.assert_allclose(estimate.value[later], np.mean(pseudo, 0)[later], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(estimate.error[later], noise[later], rtol=1e-7, atol=1e-12)


def test_averages_have_the_errors_of_means():
    s = trajectory()
    estimate = evaluate(average("f"), s)
    np.testing.assert_allclose(estimate.value, s["f"].mean(0), **EXACT)
    error = s["f"].std(0, ddof=1) / np.sqrt(6) * student_two_sigma(5) / 2
    np.testing.assert_allclose(estimate.error, error, rtol=1e-10)


@pytest.mark.parametrize("measure", named(ALL))
def test_one_replicate_has_no_error(measure):
    with pytest.raises(ValueError, match="two replicates"):
        evaluate(measure, trajectory(replicates=1))
    assert np.isfinite(per_replicate(measure, trajectory(replicates=1))).all()


@pytest.mark.parametrize("measure", named(ALL))
def test_missing_statistics_are_named(measure):
    with pytest.raises(ValueError, match=measure.uses[-1]):
        evaluate(measure, {"gram": trajectory()["gram"]} if measure.uses == ("gram", "cross") else {})


def test_methods_are_stated():
    s = trajectory()
    assert evaluate(rms(), s, "finite networks").method == "finite networks; jackknife over replicates"
    assert evaluate(min_eig(gram()), s).method == "sampled limit; cross-validated eigenvectors"


@pytest.mark.parametrize("measure", named(ALL))
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scales_do_not_matter(measure, scale):
    """Relative errors are those of scale one, where a scale has a meaning."""
    s = trajectory()
    scaled = {name: s[name] * scale for name in ("gram", "cross")} | {"f": s["f"]}
    plain, other = evaluate(measure, s), evaluate(measure, scaled)
    power = {"rms": 0.5, "gram": 1, "cross_gram": 1, "joint_gram": 1, "min_eig(gram)": 1, "eigenvalues(gram)": 1}
    factor = scale ** power.get(measure.name, 0)
    np.testing.assert_allclose(other.value, plain.value * factor, rtol=1e-6, atol=1e-6 * factor)
    np.testing.assert_allclose(other.error, plain.error * factor, rtol=1e-6, atol=1e-6 * factor)


# --- Coverage where the truth is known ---


SEPARATED = {
    "gap": lambda n: np.r_[np.linspace(1, 0.5, n - 1), 1e-2],
    "small": lambda n: np.r_[np.linspace(1, 0.5, n - 1), 1e-5],
    "eight decades": lambda n: np.geomspace(1, 1e-8, n),
}
CLUSTERED = {
    "two decades": lambda n: np.geomspace(1, 1e-2, n),
    "one octave": lambda n: np.linspace(2, 1, n),
    "equal": np.ones,
    "pair": lambda n: np.r_[np.linspace(1, 0.5, n - 2), 1e-3, 1e-3],
    "near pair": lambda n: np.r_[np.linspace(1, 0.5, n - 2), 1.03e-3, 1e-3],
    "triple": lambda n: np.r_[np.linspace(1, 0.5, n - 3), [1e-8] * 3],
}
LAWS = [gaussian, skewed, bounded, common_scale]


def coverage(spectrum, samples, replicates, runs, law=gaussian):
    """How often value ± 2 error takes in the truth, eigenvalue by eigenvalue, largest first."""
    matrix = covariance(spectrum)
    sampled = sampled_gram(matrix, samples, replicates, runs, law, seed=7)
    estimate = evaluate(eigenvalues(gram()), {"gram": sampled})
    smallest = evaluate(min_eig(gram()), {"gram": sampled})
    np.testing.assert_array_equal(smallest.value, estimate.value[:, -1])
    np.testing.assert_array_equal(smallest.error, estimate.error[:, -1])
    truth = np.linalg.eigvalsh(matrix)[::-1]
    return (np.abs(estimate.value - truth) <= 2 * estimate.error).mean(axis=0)


def room(runs):
    """Four standard deviations of a share of runs that is 95.45% in truth."""
    return 4 * np.sqrt(0.9545 * 0.0455 / runs)


@pytest.mark.parametrize("spectrum", [pytest.param(f, id=name) for name, f in SEPARATED.items()])
@pytest.mark.parametrize("replicates", [4, 16])
def test_separated_eigenvalues_are_covered(spectrum, replicates):
    runs = 400
    inside = coverage(spectrum(8), 1024, replicates, runs)
    assert abs(inside[-1] - 0.9545) < room(runs)
    assert inside.min() > 0.9545 - room(runs)


@pytest.mark.parametrize("spectrum", [pytest.param(f, id=name) for name, f in CLUSTERED.items()])
@pytest.mark.parametrize("replicates", [4, 16])
def test_clustered_eigenvalues_are_covered(spectrum, replicates):
    runs = 400
    inside = coverage(spectrum(8), 256, replicates, runs)
    assert inside.min() > 0.9545 - room(runs)


@pytest.mark.slow
@pytest.mark.parametrize("spectrum", [pytest.param(f, id=name) for name, f in SEPARATED.items()])
@pytest.mark.parametrize("size", [4, 32])
@pytest.mark.parametrize("samples", [256, 32768])
@pytest.mark.parametrize("replicates", [4, 16])
def test_separated_smallest_eigenvalue_is_covered_everywhere(spectrum, size, samples, replicates):
    """95 ± 2 percent, and what 1,000 runs may be off by."""
    inside = coverage(spectrum(size), samples, replicates, 1000)[-1]
    assert abs(inside - 0.95) < 0.02 + 2 * np.sqrt(0.9545 * 0.0455 / 1000)


@pytest.mark.slow
@pytest.mark.parametrize("spectrum", [pytest.param(f, id=name) for name, f in CLUSTERED.items()])
@pytest.mark.parametrize("size", [4, 32])
@pytest.mark.parametrize("samples", [256])
@pytest.mark.parametrize("replicates", [4, 16])
def test_clustered_smallest_eigenvalue_is_covered_everywhere(spectrum, size, samples, replicates):
    """93 percent and more, less what 1,000 runs may be off by; the eigenvalues inside clusters likewise."""
    inside = coverage(spectrum(size), samples, replicates, 1000)
    assert inside.min() > 0.93 - 2 * np.sqrt(0.9545 * 0.0455 / 1000)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("spectrum", [pytest.param(f, id=n) for n, f in (SEPARATED | CLUSTERED).items()])
@pytest.mark.parametrize("replicates", [4, 16])
def test_laws_that_are_not_gaussian_are_covered(law, spectrum, replicates):
    runs = 400
    inside = coverage(spectrum(8), 512, replicates, runs, law)
    assert inside[-1] > 0.93 - room(runs) / 2


def test_the_plain_smallest_eigenvalue_would_not_do():
    """What all this is for: the bias of the plain one is many times its noise, ours is below its error."""
    matrix = covariance(np.ones(16))
    sampled = sampled_gram(matrix, 256, 8, 200)
    plain = np.linalg.eigvalsh(sampled.mean(0))[:, 0]
    ours = evaluate(min_eig(gram()), {"gram": sampled})
    assert 1 - plain.mean() > 5 * plain.std()
    assert np.abs(1 - ours.value).mean() < ours.error.mean()
    # and not by intervals that say nothing: their length is a few times the bias of the plain one
    assert 2 * np.median(ours.error) < 2 * (1 - plain.mean())


def test_separated_values_are_unbiased_to_first_order():
    """A Wishart matrix's smallest eigenvalue far below the others has a bias of -(N - 1) / (M R) of itself."""
    size, samples, replicates, runs = 16, 256, 4, 2000
    truth = 1e-4
    sampled = sampled_gram(covariance(np.r_[np.ones(size - 1), truth]), samples, replicates, runs)
    value = evaluate(min_eig(gram()), {"gram": sampled}).value
    plain = np.linalg.eigvalsh(sampled.mean(0))[:, 0]
    uncertain = value.std() / np.sqrt(runs)
    bias = (size - 1) / (samples * replicates) * truth
    assert abs(plain.mean() + bias - truth) < 4 * uncertain + 0.05 * bias
    assert abs(value.mean() - truth) < 4 * uncertain + 0.05 * bias
    assert bias > 8 * uncertain


def joint_covariance():
    """Of h_0 and h_1 for five inputs."""
    return covariance(np.geomspace(1, 0.1, 10), seed=4)


@pytest.mark.parametrize("replicates", [3, 12])
def test_smooth_measures_are_covered(replicates):
    joint, runs, samples = joint_covariance(), 400, 400
    start, cross, now = joint[:5, :5], joint[:5, 5:], joint[5:, 5:]
    exact = {"gram": np.stack([start, now]), "cross": np.stack([start, cross])}
    measures = [rms(), feature_change(), alignment(Y), effective_rank(gram()), effective_rank(joint_gram()), gram()]
    measures += [min_eig(joint_gram()), cross_gram()]
    sampled = sampled_gram(joint, samples, replicates, runs, seed=3)
    inside, truth = {m.name: 0.0 for m in measures}, {m.name: m.function(exact) for m in measures}
    for run in range(runs):
        a = sampled[:, run]
        s = {"gram": np.stack([a[:, :5, :5], a[:, 5:, 5:]], 1), "cross": np.stack([a[:, :5, :5], a[:, :5, 5:]], 1)}
        for m in measures:
            estimate = m.sample(m, s)
            inside[m.name] += (np.abs(estimate.value - truth[m.name]) <= 2 * estimate.error)[1] / runs
    for name, share in inside.items():
        assert np.min(share) > 0.9545 - room(runs), (name, share)
        if name not in ("min_eig(joint_gram)", "effective_rank(gram)", "effective_rank(joint_gram)"):
            assert np.max(share) < min(1.0, 0.9545 + room(runs)), (name, share)


@pytest.mark.parametrize("size", [0.0, 0.003, 0.03, 1.0])
def test_losses_near_their_minimum_are_covered(size):
    """The loss of a mean that is off by its noise is as large as its bias; and it has no slope there."""
    rng, runs, replicates = np.random.default_rng(2), 500, 8
    target = np.linspace(-1, 1, 3)
    truth = size * np.array([1, -2, 0.5])
    measure = loss("loss", lambda f: ((f[..., 0] - target) ** 2).mean(-1))
    f = target + truth + 0.05 * rng.standard_normal((replicates, runs, 3))
    estimate = evaluate(measure, {"f": f[..., None]})
    inside = (np.abs(estimate.value - (truth**2).mean()) <= 2 * estimate.error).mean()
    assert inside > 0.9545 - room(runs)


def test_accuracy_counts_the_undecided():
    f = np.array([1.0, -0.001, 0.001, -1.0, 0.5]) + 0.1 * np.random.default_rng(0).standard_normal((6, 1, 5))
    estimate = evaluate(accuracy("accuracy", sign_margin(Y)), {"f": f[..., None]})
    # inputs 0 and 4 are sure (right, wrong), 3 is sure (wrong), 1 and 2 are anybody's guess
    assert estimate.error.item() == 1 / 5
    assert estimate.value - 2 * estimate.error <= 1 / 5 <= 3 / 5 <= estimate.value + 2 * estimate.error


# --- Degenerate and truncated matrices ---


def parallel_inputs(slope=1.0, samples=300, replicates=5):
    """Gram matrices of tanh(W x) for inputs x, -x, z: the first two are opposite to rounding."""
    rng = np.random.default_rng(9)
    h = rng.standard_normal((replicates, samples, 2))
    x = np.tanh(np.stack([h[..., 0], -slope * h[..., 0], h[..., 1]], -1))
    return np.einsum("rsa,rsb->rab", x, x)[:, None] / samples


def test_parallel_inputs_and_an_odd_activation_have_a_zero_eigenvalue():
    sampled = parallel_inputs()
    estimate = evaluate(min_eig(gram()), {"gram": sampled}, steps=[50])
    assert abs(estimate.value.item()) <= 2 * estimate.error.item() < 1e-13
    assert estimate.notes == ("min_eig(gram) cannot be resolved: below rounding (step 50)",)
    ranks = evaluate(rank(gram()), {"gram": sampled})
    assert (ranks.value.item(), ranks.error.item()) == (2, 0)
    assert per_replicate(rank(gram()), {"gram": sampled}).tolist() == [[2]] * 5
    assert evaluate(effective_rank(gram()), {"gram": sampled}).value.item() < 2


@pytest.mark.parametrize("zeros", [1, 3, 8])
def test_exact_zeros_are_included(zeros):
    """Singular covariances, of which every sample is singular to rounding."""
    spectrum = np.r_[np.geomspace(1, 1e-3, 9 - zeros), np.zeros(zeros)]
    sampled = sampled_gram(covariance(spectrum), 256, 8, 100)
    estimate = evaluate(eigenvalues(gram()), {"gram": sampled})
    assert unresolved(estimate)[:, -zeros:].all()
    assert not unresolved(estimate)[:, :-zeros].any()
    assert (evaluate(rank(gram()), {"gram": sampled}).value == 9 - zeros).all()


def test_nearly_parallel_inputs_are_resolved():
    sampled = parallel_inputs(slope=1 + 1e-5)
    estimate = evaluate(min_eig(gram()), {"gram": sampled})
    assert 0 < 5 * estimate.error.item() < estimate.value.item() < 1e-9
    assert estimate.notes == ()


def test_truncation_hides_what_is_below_it():
    sampled = parallel_inputs(slope=1 + 1e-3)
    value = evaluate(min_eig(gram()), {"gram": sampled}).value.item()
    fine, coarse = (np.full((5, 1), size * value) for size in (0.01, 10))
    resolved = evaluate(min_eig(gram()), {"gram": sampled, "lost": fine})
    hidden = evaluate(min_eig(gram()), {"gram": sampled, "lost": coarse})
    assert resolved.notes == ()
    assert hidden.notes == ("min_eig(gram) cannot be resolved: below truncation tolerance (step 0)",)
    assert hidden.value - 2 * hidden.error < 0
    assert evaluate(rank(gram()), {"gram": sampled, "lost": fine}).value.item() == 3
    assert evaluate(rank(gram()), {"gram": sampled, "lost": coarse}).value.item() == 2


def test_notes_name_runs_of_steps_and_zeros():
    sampled = np.concatenate([np.repeat(parallel_inputs(), 4, axis=1), parallel_inputs(slope=1.3)] * 2, axis=1)
    sampled[:, 7] = 0
    estimate = evaluate(min_eig(gram()), {"gram": sampled}, steps=[0, 2, 4, 6, 8, 10, 12, 14, 16, 18])
    assert estimate.notes == (
        "min_eig(gram) is zero (step 14)",
        "min_eig(gram) cannot be resolved: below rounding (steps 0 to 6, 10 to 12, 16)",
    )


def test_noise_leaves_the_rank_open():
    """Two replicates that hardly agree: the second eigenvalue is there, or not."""
    sampled = np.array([np.diag([1.0, 1e-3]), np.diag([1.1, 1e-9])])[:, None]
    estimate = evaluate(min_eig(gram()), {"gram": sampled})
    assert estimate.notes == ("min_eig(gram) cannot be resolved: below sampling noise (step 0)",)
    ranks = evaluate(rank(gram()), {"gram": sampled})
    assert ranks.value + 2 * ranks.error == 2
    assert ranks.value < 2


MATRIX_MEASURES = [
    gram(), joint_gram(), cross_gram(), rms(), feature_change(), alignment(Y), effective_rank(gram()),
    effective_rank(joint_gram()), eigenvalues(gram()), min_eig(gram()), min_eig(joint_gram()),
]  # fmt: skip


@pytest.mark.parametrize("measure", named(MATRIX_MEASURES))
@pytest.mark.parametrize("energy", [1e-9, 1e-4, 1e-1])
def test_slack_bounds_what_truncation_can_do(measure, energy):
    """Against the dropped part itself: a further, independent part of h with this energy, in many directions."""
    rng = np.random.default_rng(6)
    exact = {name: x.mean(0) for name, x in trajectory().items() if name in ("gram", "cross")}
    without = evaluate(measure, trajectory()).error
    lost = evaluate(measure, trajectory() | {"lost": np.full((6, 4), energy)}).error
    slack = 2 * (lost - without)
    for concentration in (0, 3) * 20:
        parts = rng.standard_normal((8, 5)) * np.exp(concentration * rng.standard_normal(5))
        parts *= np.sqrt(energy / (parts**2).sum())
        moved = dict(exact, gram=exact["gram"] + np.array([0, 1, 1, 1])[:, None, None] * (parts.T @ parts))
        change = np.abs(measure.function(moved) - measure.function(exact))
        assert np.all(change[1:] <= slack[1:] * (1 + 1e-6) + 1e-12)
