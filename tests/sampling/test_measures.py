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
    assert change.value[0] <= 2 * change.error[0] < 1e-6
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
