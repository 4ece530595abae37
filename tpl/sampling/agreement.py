"""Do finite networks tend to the limit? Statistics only: replicates of the limit against networks of growing width.

Goals: an error of the extrapolation that stays honest for few seeds, a stated chance of a false alarm over all the
values together, and a fitted rate. Non-goals: simulation (the caller's), names and pictures (`tpl.report`).

A value of a network of width n has mean a + c1/n + c2/n^2 + ... over seeds, and fluctuations of order n^{-1/2}; a is
the limit. We fit a by least squares over the widths and test a against the sampled limit. What moves like n^-r in a
kernel regime, and its size is shown, has no such expansion: there the powers are those of n^-r.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

TOLERANCE = 1e-9  # relative difference below which two numbers without spread are the same
ROUNDING = 1e-15  # absolute size of what is left of an exact zero
MISFIT_LEVEL = 1e-4  # family-wise chance of calling a correct extrapolation model wrong
SMALLEST_TAIL = 1e-300  # so that z saturates at 37 instead of infinity
MANY = 1e6  # degrees of freedom of an error that is known, not estimated


class Rate(NamedTuple):
    """RMS deviation from the limit = exp(intercept) * n^slope, with the slope's standard error."""

    slope: float
    error: float
    intercept: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """The comparison, value by value (arrays [V]; [K, V] over K widths) and as a whole.

    coefficients: [V, p], of 1, n^-s, (n^-2s) with s = exponents[V], 1 for most. Where `misfit` the residuals of the extrapolation are far beyond the
    seeds' fluctuations (widths too small for an expansion in 1/n), and its error is scaled up by their ratio.
    z: the t-statistic as the normal deviate with the same tail, at most 37 in size. p_corrected: Holm-Bonferroni.
    constant: neither limit nor networks vary; such values are compared directly, to a relative 1e-9.
    same_as: the first value with exactly these numbers; only first ones count as comparisons.
    deviations: [K], RMS of |network - limit| over seeds and values, every value scaled to a typical one's size and
    the limit's own error subtracted; 0 where nothing is left. rate: its fitted power of n, if two widths have one.
    """

    widths: tuple[int, ...]
    seeds: tuple[int, ...]
    replicates: int
    samples: int | None
    level: float
    limit: Floats
    limit_error: Floats
    means: Floats
    errors: Floats
    extrapolated: Floats
    extrapolated_error: Floats
    coefficients: Floats
    exponents: Floats
    z: Floats
    p: Floats
    p_corrected: Floats
    ok: Bools
    constant: Bools
    same_as: Ints
    misfit: Bools
    chi_square: Floats
    chi_square_dof: int
    deviations: Floats
    deviation_errors: Floats
    rate: Rate | None

    @property
    def agrees(self) -> bool:
        """Whether every value agrees, at the family-wise level."""
        return bool(self.ok.all())

    @property
    def distinct(self) -> Bools:
        """[V]: the first of every set of identical values."""
        return np.asarray(self.same_as == np.arange(len(self.same_as)))

    @property
    def comparisons(self) -> int:
        """How many tests the p-values are corrected for."""
        return int(np.count_nonzero(self.distinct & ~self.constant))


def compare(
    limit: ArrayLike, finite: Mapping[int, ArrayLike], samples: int | None = None, level: float = 1e-3,
    exponents: ArrayLike | None = None,
) -> Agreement:  # fmt: skip
    """Compare R >= 2 independent replicates of the limit, [R, V], with S >= 2 networks a width, {n: [S, V]}.

    samples: M of one replicate; its bias O(1/M) is taken to be |c1| / M. None: no bias (exact limits).
    level: the chance that correct limits are said to disagree, over all V values together.
    exponents: [V], of the powers of the width that means are expanded in, n^-s; 1 if not given.
    Raises ValueError on fewer than two widths, wrong shapes, and numbers that are not finite.
    """
    replicates, networks = _checked(limit, finite)
    widths = tuple(networks)
    seeds = tuple(len(x) for x in networks.values())
    exact, exact_error = _mean_and_error(replicates)
    pairs = [_mean_and_error(x) for x in networks.values()]
    means, errors = (np.stack(part) for part in zip(*pairs, strict=True))
    tolerance = TOLERANCE * np.maximum(np.abs(exact), np.abs(means).max(0)) + ROUNDING

    same_as = _duplicates(np.concatenate([replicates, *networks.values()]))
    distinct = same_as == np.arange(len(same_as))
    powers = np.broadcast_to(1.0 if exponents is None else np.asarray(exponents, float), exact.shape)
    fit = _extrapolate(widths, seeds, means, errors, int(distinct.sum()), powers)
    constant = (exact_error == 0) & (errors == 0).all(0) & (np.ptp(means, axis=0) <= tolerance)
    value = np.where(constant, means.mean(0), fit.value)
    bias = np.zeros_like(exact) if samples is None else np.abs(fit.coefficients[:, 1]) / samples
    known = np.hypot(bias, tolerance)
    z, p = _test(value - exact, fit, exact_error, len(replicates) - 1, known)
    z, p = _compare_constants(z, p, value - exact, tolerance, constant)
    corrected = np.where(constant, p, _holm(p, distinct & ~constant)[same_as])
    deviations, deviation_errors = _deviations(networks, exact, exact_error, distinct & ~constant)
    return Agreement(
        widths=widths,
        seeds=seeds,
        replicates=len(replicates),
        samples=samples,
        level=level,
        limit=exact,
        limit_error=exact_error,
        means=means,
        errors=errors,
        extrapolated=value,
        extrapolated_error=np.where(constant, 0.0, fit.error),
        coefficients=fit.coefficients,
        exponents=powers,
        z=z,
        p=p,
        p_corrected=corrected,
        ok=corrected >= level,
        constant=constant,
        same_as=same_as,
        misfit=fit.misfit & ~constant,
        chi_square=np.where(constant, 0.0, fit.chi_square),
        chi_square_dof=fit.chi_square_dof,
        deviations=deviations,
        deviation_errors=deviation_errors,
        rate=_rate(widths, deviations, deviation_errors),
    )


def _checked(limit: ArrayLike, finite: Mapping[int, ArrayLike]) -> tuple[Floats, dict[int, Floats]]:
    """The inputs as float arrays, narrowest width first."""
    networks = {int(n): np.asarray(finite[n], float) for n in sorted(finite)}
    replicates = np.asarray(limit, float)
    if len(networks) < 2 or min(networks) < 1:
        raise ValueError("extrapolation to infinite width needs at least two widths")
    for where, x in {"the limit": replicates, **{f"width {n}": x for n, x in networks.items()}}.items():
        if x.ndim != 2 or x.shape[1] != replicates.shape[-1] or x.shape[1] == 0:
            raise ValueError(f"{where}: expected an array of repetitions by values, got shape {x.shape}")
        if len(x) < 2:
            raise ValueError(f"{where}: an error needs at least two repetitions")
        if not np.isfinite(x).all():
            column = int(np.flatnonzero(~np.isfinite(x).all(0))[0])
            raise ValueError(f"{where}: value {column} is not finite")
    return replicates, networks


def _mean_and_error(x: Floats) -> tuple[Floats, Floats]:
    """Mean over rows and its standard error; the error is exactly 0 where only rounding varies."""
    still = np.ptp(x, axis=0) <= TOLERANCE * np.abs(x).max(0) + ROUNDING
    return x.mean(0), np.where(still, 0.0, x.std(0, ddof=1) / np.sqrt(len(x)))


def _duplicates(x: Floats) -> Ints:
    """For every column, the first column with the same numbers (up to summation order)."""
    scale = np.abs(x).max(0) * TOLERANCE + ROUNDING
    keys = np.ascontiguousarray((np.round(x / scale) + 0.0).T)
    first: dict[bytes, int] = {}
    # The scale is part of the key: columns that are multiples of each other are different values.
    names = [key.tobytes() + b"%.8e" % size for key, size in zip(keys, scale, strict=True)]
    return np.array([first.setdefault(name, i) for i, name in enumerate(names)])


class _Fit(NamedTuple):
    value: Floats
    error: Floats
    dof: Floats
    coefficients: Floats
    chi_square: Floats
    chi_square_dof: int
    misfit: Bools


def _extrapolate(
    widths: tuple[int, ...], seeds: tuple[int, ...], means: Floats, errors: Floats, comparisons: int,
    exponents: Floats,
) -> _Fit:  # fmt: skip
    """Weighted least squares of a + c1 n^-s, and + c2 n^-2s when there are four widths or more."""
    order = 3 if len(widths) >= 4 else 2
    weights = _weights(widths, seeds, errors)
    design = _design(widths, order, exponents)
    operator = _least_squares(design, weights)
    scaled = np.einsum("vpk,kv->vp", operator, means)
    variance, dof, level = _variance(operator[:, 0, :].T ** 2, weights, errors, np.array(seeds) - 1.0)

    chi_square_dof = len(widths) - order
    residuals = means - np.einsum("vkp,vp->kv", design, scaled)
    noisy = (errors > 0).all(0)
    chi_square = np.where(noisy, (weights * residuals**2).sum(0) / np.where(noisy, level, 1.0), 0.0)
    misfit = _tail_of_f(chi_square, chi_square_dof, sum(seeds) - len(widths)) < MISFIT_LEVEL / max(comparisons, 1)
    stretch = np.where(misfit, np.sqrt(chi_square / max(chi_square_dof, 1)), 1.0)

    # Where no seed matters the networks are a function of n: the last term's effect is the size of the next one's.
    lower = np.einsum("vpk,kv->vp", _least_squares(design[:, :, : order - 1], weights), means)[:, 0]
    truncation = np.where((errors == 0).all(0), np.abs(lower - scaled[:, 0]), 0.0)
    coefficients = scaled * float(widths[0]) ** (exponents[:, None] * np.arange(order))
    error = np.hypot(np.sqrt(variance) * stretch, truncation)
    return _Fit(scaled[:, 0], error, dof, coefficients, chi_square, chi_square_dof, misfit)


def _variance(squares: Floats, weights: Floats, errors: Floats, dofs: Floats) -> tuple[Floats, Floats, Floats]:
    """Of a sum of means with these squared coefficients [K, V]: variance, degrees of freedom, variance at weight 1.

    Two estimates, from each width's own seeds and from the power law behind the weights; we keep the larger variance
    and the fewer degrees of freedom. Either one alone rejects 2 to 6 times too often far in the tails, where the
    correction for many comparisons looks (8 seeds, level 1e-4); together they keep the level.
    """
    own, own_dof = _welch(squares * errors**2, dofs)
    level = (weights * errors**2 * dofs[:, None]).sum(0) / dofs.sum()
    smooth, smooth_dof = _welch(squares * level / weights, dofs)
    return np.maximum(own, smooth), np.minimum(own_dof, smooth_dof), level


def _design(widths: tuple[int, ...], order: int, exponents: Floats) -> Floats:
    """[V, K, p]: powers of ((narrowest width) / n)^s."""
    relative = (widths[0] / np.array(widths, float)) ** exponents[:, None]
    return np.asarray(relative[:, :, None] ** np.arange(order))


def _least_squares(design: Floats, weights: Floats) -> Floats:
    """[V, p, K]: the linear map from means to coefficients."""
    root = np.sqrt(weights.T)[:, :, None]
    return np.asarray(np.linalg.pinv(root * design) * root.transpose(0, 2, 1))


def _weights(widths: tuple[int, ...], seeds: tuple[int, ...], errors: Floats) -> Floats:
    """[K, V]: seeds * n^b, where n^-b is the fitted variance of one network; b = 1 (theory) where one has no spread.

    Smoothed by the power law, since raw standard errors would favour widths whose seeds happen to lie close together.
    """
    count = np.array(seeds, float)[:, None]
    known = (errors > 0).all(0)
    variances = np.where(known, errors**2 * count, 1.0)
    log_n = np.log(np.array(widths, float) / widths[0])
    centred = log_n - log_n.mean()
    power = np.where(known, -(centred @ np.log(variances)) / (centred @ centred), 1.0)
    return np.asarray(count * np.exp(log_n[:, None] * np.clip(power, 0.0, 3.0)))


def _welch(variances: Floats, dofs: Floats) -> tuple[Floats, Floats]:
    """The sum over rows of independently estimated variances, and Welch and Satterthwaite's degrees of freedom."""
    total = variances.sum(0)
    spread = (variances**2 / dofs[:, None]).sum(0)
    return total, np.where(spread > 0, total**2 / np.where(spread > 0, spread, 1.0), MANY).clip(1.0, MANY)


def _test(difference: Floats, fit: _Fit, limit_error: Floats, limit_dof: float, known: Floats) -> tuple[Floats, Floats]:
    """Welch's t-test of extrapolation against limit: equivalent normal deviates and two-sided p-values."""
    return _students(difference, (fit.error, limit_error, known), (fit.dof, limit_dof, MANY))


def _students(difference: Floats, errors: Sequence[Floats], dofs: Sequence[ArrayLike]) -> tuple[Floats, Floats]:
    """z and p of a difference whose error is made up of independent ones, each with its degrees of freedom."""
    variances = np.stack(errors) ** 2
    total = variances.sum(0)
    parts = [v**2 / d for v, d in zip(variances, map(np.asarray, dofs), strict=True)]
    dof = (total**2 / np.stack(parts).sum(0)).clip(1.0, MANY)
    tail = special.stdtr(dof, -np.abs(difference) / np.sqrt(total))
    return np.sign(difference) * _deviate(tail), np.minimum(1.0, 2 * tail)


def beside(found: Agreement, value: ArrayLike, error: ArrayLike) -> tuple[Floats, Bools]:
    """The sampled limit against numbers had otherwise, [V] with their errors: z, and which differ at the family-wise level."""
    other, own = np.asarray(value, float), np.asarray(error, float)
    bias = np.zeros_like(other) if found.samples is None else np.abs(found.coefficients[:, 1]) / found.samples
    known = np.sqrt(bias**2 + own**2 + (TOLERANCE * np.abs(other) + ROUNDING) ** 2)
    z, p = _students(found.limit - other, (found.limit_error, known), (found.replicates - 1, MANY))
    return z, _holm(p, found.distinct)[found.same_as] < found.level


def _compare_constants(
    z: Floats, p: Floats, difference: Floats, tolerance: Floats, constant: Bools
) -> tuple[Floats, Floats]:
    """The test's z and p, but for constants 0 and 1 where they are equal, the largest z and 0 where they differ."""
    equal = np.abs(difference) <= tolerance
    sure = np.where(equal, 0.0, np.sign(difference) * _deviate(0.0))
    return np.where(constant, sure, z), np.where(constant, equal.astype(float), p)


def _deviate(tail: ArrayLike) -> Floats:
    """The normal deviate that is exceeded with this probability."""
    return np.asarray(-special.ndtri(np.maximum(tail, SMALLEST_TAIL)))


def _tail_of_f(chi_square: Floats, dof: int, dof_of_variance: int) -> Floats:
    """P(a correct model fits worse), when the variance is itself estimated; 1 without degrees of freedom."""
    if dof == 0:
        return np.ones_like(chi_square)
    return np.asarray(special.fdtrc(dof, dof_of_variance, chi_square / dof))


def _holm(p: Floats, tested: Bools) -> Floats:
    """Holm's step-down p-values over the tested values; the others keep theirs."""
    out = p.copy()
    index = np.flatnonzero(tested)
    order = index[np.argsort(p[index], kind="stable")]
    factors = len(order) - np.arange(len(order))
    out[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return out


def _deviations(networks: dict[int, Floats], limit: Floats, limit_error: Floats, used: Bools) -> tuple[Floats, Floats]:
    """[K]: RMS deviation from the limit over seeds and the used values, and its standard error over seeds.

    Values of different sizes count alike: each is divided by the size of its fluctuations, sqrt(n) times the
    standard deviation over seeds, and the result multiplied by the median of those sizes. (Sizes taken from the
    deviations themselves would play down the values with a large error of the limit, and tilt the rate.)
    """
    spreads = [np.sqrt(n * len(x)) * _mean_and_error(x)[1] for n, x in networks.items()]
    sizes = np.sqrt(np.mean(np.square(spreads), axis=0))
    counted = used & (sizes > 0)
    if not counted.any():
        return np.zeros(len(networks)), np.zeros(len(networks))
    squares = [(x - limit) ** 2 - limit_error**2 for x in networks.values()]
    relative = (np.median(sizes[counted]) / sizes[counted]) ** 2
    rows = [(x[:, counted] * relative).mean(1) for x in squares]
    mean = np.array([row.mean() for row in rows]).clip(0.0)
    error = np.array([row.std(ddof=1) / np.sqrt(len(row)) for row in rows])
    root = np.sqrt(mean)
    return root, np.where(mean > 0, error / (2 * np.where(mean > 0, root, 1.0)), 0.0)


def _rate(widths: tuple[int, ...], deviations: Floats, errors: Floats) -> Rate | None:
    """Least squares of log deviation against log n. Unweighted: relative errors hardly depend on n."""
    kept = deviations > 0
    if np.count_nonzero(kept) < 2:
        return None
    log_n, log_d = np.log(np.array(widths, float)[kept]), np.log(deviations[kept])
    centred = log_n - log_n.mean()
    operator = centred / (centred @ centred)
    slope = float(operator @ log_d)
    error = float(np.sqrt((operator**2) @ (errors[kept] / deviations[kept]) ** 2))
    return Rate(slope, error, float(log_d.mean() - slope * log_n.mean()))
