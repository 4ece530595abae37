"""Eigenvalues of Gram matrices."""

from dataclasses import replace

import numpy as np

from tpl.sampling.estimate import student_two_sigma
from tpl.sampling.measures.matrices import JACKKNIFE
from tpl.sampling.measures.measure import (
    Floats,
    Measure,
    Sampled,
    Statistics,
    energies,
    jackknife,
    mean_over_replicates,
    with_slack,
)

# An eigenvector of which one part in so many moves onto others is not trusted to perturbation theory at all.
CLUSTERED = 4.0
MOST_FOLDS = 12  # with more, eigenvectors of the rest are so alike that held-out values inside clusters vary together


def eigenvalues(matrix: Measure) -> Measure:
    """All eigenvalues, largest first, [T, N]."""

    def function(statistics: Statistics) -> Floats:
        return np.asarray(np.linalg.eigvalsh(matrix.function(statistics))[..., ::-1])

    def sample(measure: Measure, statistics: Statistics) -> Sampled:
        value, noise = cross_validated(matrix.function(statistics))
        return with_slack(measure, mean_over_replicates(statistics), value, noise)

    def slack(statistics: Statistics, energy: Floats) -> Floats:  # Weyl's inequality
        return np.broadcast_to(energy[..., None], matrix.function(statistics).shape[:-1])

    name = f"eigenvalues({matrix.name})"
    return Measure(name, function, matrix.uses, slack, sample, "cross-validated eigenvectors", resolves=True)


def min_eig(matrix: Measure) -> Measure:
    """The smallest eigenvalue, [T]."""
    spectrum = eigenvalues(matrix)

    def sample(_: Measure, statistics: Statistics) -> Sampled:
        return Sampled(*(part[..., -1] for part in spectrum.sample(spectrum, statistics)))

    return replace(
        spectrum,
        name=f"min_eig({matrix.name})",
        function=lambda s: spectrum.function(s)[..., -1],
        slack=lambda s, energy: energy,
        sample=sample,
    )


def rank(matrix: Measure) -> Measure:
    """How many eigenvalues exceed twice their error, [T]: the rank at the resolution of truncation and rounding.

    Those that exceed the resolution but not their noise may or may not count; the error is half their number.
    """
    spectrum = eigenvalues(matrix)

    def function(statistics: Statistics) -> Floats:
        lost, rounding = energies(matrix.uses, statistics)
        return (spectrum.function(statistics) > (lost + rounding)[..., None]).sum(axis=-1).astype(float)

    def sample(_: Measure, statistics: Statistics) -> Sampled:
        value, noise, truncation, rounding = spectrum.sample(spectrum, statistics)
        above = value - truncation - rounding
        count = (above > 2 * noise).sum(axis=-1).astype(float)
        undecided = ((above > 0) & (above <= 2 * noise)).sum(axis=-1)
        return Sampled(count, undecided / 2, np.zeros_like(count), np.zeros_like(count))

    return replace(spectrum, name=f"rank({matrix.name})", function=function, sample=sample, resolves=False)


def effective_rank(matrix: Measure) -> Measure:
    """(Σλ)² / Σλ², [T]."""

    def trace_and_norm(statistics: Statistics) -> tuple[Floats, Floats]:
        x = matrix.function(statistics)
        return np.trace(x, axis1=-2, axis2=-1), np.linalg.norm(x, axis=(-2, -1))

    def function(statistics: Statistics) -> Floats:
        trace, norm = trace_and_norm(statistics)
        return (trace / norm) ** 2

    def slack(statistics: Statistics, energy: Floats) -> Floats:
        trace, norm = trace_and_norm(statistics)
        low = ((trace - energy).clip(0.0) / (norm + energy)) ** 2
        high = (trace + energy) / (norm - energy).clip(0.0)
        value = (trace / norm) ** 2
        return np.maximum(value - low, np.minimum(high**2, matrix.function(statistics).shape[-1]) - value)

    return Measure(f"effective_rank({matrix.name})", function, matrix.uses, slack, jackknife, JACKKNIFE)


def cross_validated(matrices: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues of the expectation of independent matrices [R, T, N, N], largest first: values and errors, [T, N].

    Let A be an eigenvalue of the mean G, and B the mean over r of u'G_r u with u the eigenvector of the mean of the
    other replicates. For the smallest one E A <= λ <= E B whatever the spectrum, since u'G_r u has the expectation
    u'Ku. Perturbation theory: both differ from λ by Σ_j Var(u_j'G u) / (λ_j - λ), downwards for R replicates, upwards
    for R - 1. The value is their mean with the weights that cancel it; its error is Student's, of the u'G_r u.

    Where eigenvalues meet no estimate is unbiased. There the interval takes in A and B, and the error of B is doubled,
    since its terms depend on each other through their eigenvectors. Between the two cases we go by the weight that an
    eigenvector moves onto others when replicates are left out, an estimate of Σ_j Var(u_j'G u) / (λ_j - λ)².
    Coverage is measured in tests/sampling/test_measures.py.
    """
    count, mean = len(matrices), matrices.mean(axis=0)
    folds = np.array_split(matrices, min(count, MOST_FOLDS))
    sizes = np.array([len(fold) for fold in folds])[:, None, None]
    within = np.stack([fold.mean(axis=0) for fold in folds])
    without = (count * mean - sizes[..., None] * within) / (count - sizes[..., None])
    plain, vectors = np.linalg.eigh(mean)
    _, others = np.linalg.eigh(without)
    rayleigh = (others * (within @ others)).sum(axis=-2)
    held_out = (sizes * rayleigh).sum(axis=0) / count
    share = len(folds) / (2 * len(folds) - 1)
    value = share * plain + (1 - share) * held_out

    dof = len(folds) - 1
    moved = dof / len(folds) * (1 - (others * vectors).sum(axis=-2) ** 2).clip(0.0).sum(axis=0)
    clustered = np.minimum(1.0, CLUSTERED * moved)
    variance = (sizes * (rayleigh - held_out) ** 2).sum(axis=0) / dof / count
    student = np.sqrt(variance) * student_two_sigma(dof) / 2
    noise = (1 + clustered) * student + clustered * share * np.abs(held_out - plain) / 2
    return value[..., ::-1], noise[..., ::-1]
