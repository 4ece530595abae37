"""The ways to an expectation, in order of preference: each takes atoms over one covariance, or says why it does not.

A strategy computes a batch for every chain at once. Chains that differ in nodes and reach show a quadrature's error, a
bound is put on the coarse chain, samples differ from chain to chain: see `evaluate`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tpl.core.expr import ONE, Expr, leaves, mul, ref, substitute
from tpl.limit.calculus import Atom
from tpl.limit.closed_forms import Dual
from tpl.limit.formulas import formula
from tpl.numeric import series
from tpl.numeric.chains import Chain, covariance_of, reduce_rank
from tpl.numeric.hermite import FINE_POINTS, MAX_TERMS
from tpl.numeric.integrand import Integrand
from tpl.numeric.lattice import lattice
from tpl.numeric.nested import nested
from tpl.numeric.quadrature import expectation
from tpl.numeric.series import Declined

CHUNK = 2048  # points at a time, so that what integrands share is kept in little memory
LEVELS = 2  # the panels of a stubborn integral are halved so often
TOLERANCE = 1e-11  # of one integral, relative to that of its absolute value
POOR = 1e-9  # an error of panels, likewise, for which a long series is tried
STRETCHES = (2.0, 4.0)  # of the reach of panels on a line: 38 standard deviations are as far as the density is a double
UNSETTLED = 0.1  # an error of panels, likewise, that leaves no digit
LARGEST_POWER = 200  # of a variable that is integrated out
TERMS = 128  # of a Hermite series; where it takes more, quadrature is faster (tests/benchmarks/bench_series.py)
DEFAULT_SAMPLES = 1 << 20  # of Monte Carlo, if nothing is said
POINTS = 1 << 21  # for a batch of expectations in three dimensions and more, in all chains


@dataclass(frozen=True)
class Sampling:
    """What is asked of samples: `samples` at most, or until errors are below `rtol` times the values.

    everything: also where another way is known. reduction: "none", "antithetic" or "quasi".
    """

    rtol: float | None = None
    samples: int | None = None
    everything: bool = False
    reduction: str = "none"
    threads: int = 1

    @property
    def only_if_needed(self) -> bool:
        """Is nothing asked of samples?"""
        return not self.everything and self.rtol is None and self.samples is None

    @property
    def compiled(self) -> bool:
        """Is compiled code worth its compilation?"""
        return self.everything or self.rtol is not None or self.samples is not None


UNASKED = Sampling()


class Chains(Protocol):
    """What strategies see of an evaluation."""

    sampling: Sampling

    @property
    def chains(self) -> list[Chain]: ...

    @property
    def coarse(self) -> Chain: ...

    def replicate(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """Values [chains][atoms], and in words how they were found. method: if not the strategy's own."""

    values: list[list[float]]
    reason: str
    notes: tuple[str, ...] = ()
    method: str = ""


@dataclass(frozen=True)
class Strategy:
    """A way to compute expectations."""

    name: str
    attempt: Callable[[list[Atom], Chains], Answer | Declined]


# ---------------------------------------------------------------------------------------------- closed forms


def _by_closed_form(atoms: list[Atom], evaluation: Chains) -> Answer | Declined:
    """E f(u) g(v), where `closed_forms` has a formula."""
    if evaluation.sampling.everything:
        return Declined("Monte Carlo is asked for")
    if len(atoms) > 1 or len(atoms[0].covariance) > 2:
        return Declined("more than two variables")
    found = formula(atoms[0].integrand, len(atoms[0].covariance))
    if found is None:
        return Declined("no formula is known")
    values = [_substituted(found, atoms[0], chain) for chain in evaluation.chains]
    if not np.all(np.isfinite(values)) and not np.any(np.isinf(values)):  # an infinite one says that it overflows
        return Declined("the formula is not finite here")
    return Answer([[value] for value in values], ", ".join(found.records))


def _substituted(found: Dual, atom: Atom, chain: Chain) -> float:
    covariance = covariance_of(atom, chain)
    known = {f"quantity {v}": chain.known[int(v)] for v in leaves(atom.integrand, "quantity")}  # type: ignore[arg-type]
    first, last = covariance[0, 0], covariance[-1, -1]
    both = covariance[-1, 0]
    if len(covariance) == 1:
        last = both = 0.0
    try:
        return float(found.value(first, last, both, {**chain.env, **known}))
    except (ArithmeticError, ValueError):
        return np.nan


# ---------------------------------------------------------------------------------------------- series


def _by_series(atoms: list[Atom], evaluation: Chains) -> Answer | Declined:
    """E φ(u) ψ(v) of smooth functions. The coarse chain is off by the bound, which so is carried on."""
    if evaluation.sampling.everything:
        return Declined("Monte Carlo is asked for")
    if len(atoms) > 1 or len(atoms[0].covariance) != 2:
        return Declined("a Hermite series is for two variables")
    found, reason = [], ""
    for chain in evaluation.chains:
        answer = series.attempt(atoms[0].integrand, covariance_of(atoms[0], chain), chain.env, chain.known, TERMS)
        if isinstance(answer, Declined):
            return answer
        found.append([answer.value + answer.bound if chain is evaluation.coarse else answer.value])
        reason = reason or answer.reason
    return Answer(found, reason)


# ---------------------------------------------------------------------------------------------- quadrature


def _by_quadrature(atoms: list[Atom], evaluation: Chains) -> Answer | Declined:
    if evaluation.sampling.everything:
        return Declined("Monte Carlo is asked for")
    columns, reason, method = [], "", ""
    for atom in atoms:
        found = integrate_all(atom, evaluation.chains, len(atoms))
        if isinstance(found, Declined):
            return found
        column, reason, method = found
        columns.append(column)
    return Answer([list(row) for row in zip(*columns, strict=True)], reason, method=method)


def integrate_all(atom: Atom, chains: list[Chain], count: int) -> tuple[list[float], str, str] | Declined:
    """The values of an atom in every chain, in words how, and the method. count: of such atoms.

    Panels are halved until fine and coarse values agree, or halving stops helping.
    """
    integrands = [_integrand(atom, chain) for chain in chains]
    if any(x.rank > 2 for x in integrands):
        return _in_space(integrands, POINTS // (count * len(chains)))
    found, gap = _on_panels(integrands, chains)
    dimensions = max(x.rank for x in integrands)
    if dimensions == 1 and gap > POOR * found[0][1]:
        found, gap = _farther_out(integrands, chains, found, gap)
    if dimensions == 2 and not gap <= POOR * found[0][1]:
        better = _by_long_series(atom, chains, gap)
        if better is not None:
            return better
    if gap > UNSETTLED * found[0][1]:
        return Declined("what lies beyond the panels, or between their nodes, counts")
    where = ("a constant", "panels on a line", "panels in a plane")[dimensions]
    how = where if dimensions == 0 else f"{where}, cut at kinks and steep slopes"
    return [value for value, _ in found], how, "quadrature"


def _on_panels(
    integrands: list[Integrand], chains: list[Chain], stretch: float = 1.0
) -> tuple[list[tuple[float, float]], float]:
    """Integral and that of the absolute value in every chain, and the gap between the first and the last."""
    gap = np.inf
    for level in range(LEVELS + 1):
        memo: dict[tuple, tuple[float, float]] = {}
        found = [_integrate(x, chain, level, memo, stretch) for x, chain in zip(integrands, chains, strict=True)]
        with np.errstate(invalid="ignore"):
            last, gap = gap, abs(np.subtract(found[0][0], found[-1][0]))
        if gap <= TOLERANCE * found[0][1] or gap > last / 4 or not np.isfinite(gap):
            break
    return found, gap


def _farther_out(
    integrands: list[Integrand], chains: list[Chain], found: list[tuple[float, float]], gap: float
) -> tuple[list[tuple[float, float]], float]:
    """The same with panels farther out, where z^80 has its mass: the first, unless others agree better."""
    for stretch in STRETCHES:
        others, narrower = _on_panels(integrands, chains, stretch)
        if not np.isfinite(narrower):
            break
        if narrower < gap:
            found, gap = others, narrower
        if gap <= POOR * found[0][1]:
            break
    return found, gap


def _by_long_series(atom: Atom, chains: list[Chain], gap: float) -> tuple[list[float], str, str] | None:
    """A Hermite series with finer grids and more terms, for peaks that panels miss: where its bound is below a gap."""
    if len(atom.covariance) != 2:
        return None
    values = []
    for chain in chains:
        found = series.attempt(
            atom.integrand, covariance_of(atom, chain), chain.env, chain.known, MAX_TERMS, FINE_POINTS
        )
        if isinstance(found, Declined) or not found.bound < gap:
            return None
        values.append(found.value + (found.bound if chain is chains[-1] else 0.0))
        reason = found.reason
    return values, f"{reason}; panels were {gap:.0e} off", "Hermite series"


def _in_space(integrands: list[Integrand], most: int) -> tuple[list[float], str, str] | Declined:
    """Three dimensions and more. The coarse chain is off by the error."""
    found = []
    for x in integrands:
        answer = lattice(x, most)
        if isinstance(answer, Declined):
            answer = nested(x, most=most)
        if isinstance(answer, Declined):
            return answer
        found.append(answer)
    return [x.value for x in found[:-1]] + [found[-1].value + found[-1].bound], found[0].reason, "quadrature"


def _integrate(
    x: Integrand, chain: Chain, level: int, memo: dict[tuple, tuple[float, float]], stretch: float
) -> tuple[float, float]:
    """Replicates that still agree share the work."""
    inside = tuple(chain.known[int(v)] for v in leaves(x.expr, "quantity"))  # type: ignore[arg-type]
    arrays = (a.tobytes() for a in (x.factor, x.slopes, x.residual) if a is not None)
    key = (*arrays, inside, chain.nodes)
    if key not in memo:
        memo[key] = expectation(x, chain.nodes, level, stretch * chain.reach)
    return memo[key]


# ---------------------------------------------------------------------------------------------- samples


def _by_sampling(atoms: list[Atom], evaluation: Chains) -> Answer | Declined:
    """Plain numpy over a quasi-random set: at once, where no precision is asked for."""
    if evaluation.sampling.compiled:
        return Declined("a precision is asked for, or Monte Carlo")
    evaluation.replicate()
    shared = _shared_nodes([atom.integrand for atom in atoms])
    values = [_sample(atoms, shared, chain) for chain in evaluation.chains]
    count = len(evaluation.chains) - 1
    return Answer(values, f"{count} randomised Sobol sets of {1 << evaluation.chains[0].log2_points:,} points")


def _by_monte_carlo(atoms: list[Atom], evaluation: Chains) -> Answer | Declined:
    """Compiled code: any dimension, all atoms of a batch in one sweep."""
    from tpl.numeric.montecarlo import sample_atoms  # numba is heavy

    evaluation.replicate()
    asked = evaluation.sampling
    replicates = len(evaluation.chains) - 1
    options: dict[str, Any] = {"threads": asked.threads, "variance_reduction": asked.reduction}
    options["rtol"] = (asked.rtol if asked.rtol is not None else 0.0) * np.sqrt(replicates)
    if asked.samples is not None or asked.rtol is None:
        options["samples"] = max((asked.samples or DEFAULT_SAMPLES) // replicates, 1)
    found = [sample_atoms(atoms, chain, **options) for chain in evaluation.chains]
    notes = tuple(dict.fromkeys(note for x in found for note in x.notes))
    total = sum(x.samples for x in found[:-1])
    return Answer([[float(v) for v in x.value] for x in found], f"{found[0].method}, {total:,} samples", notes)


def _sample(atoms: list[Atom], shared: set[int], chain: Chain) -> list[float]:
    """Means over one randomised Sobol point set. All outside variables are points here: the atoms share everything."""
    factor = reduce_rank(covariance_of(atoms[0], chain), chain.rank_tolerance)
    z = _points(factor.shape[1], chain.log2_points, chain.seed)
    whole = [Integrand(atom.integrand, factor, chain.env, chain.known) for atom in atoms]
    total = np.zeros(len(atoms))
    for start in range(0, z.shape[1], CHUNK):
        memo: dict[int, np.ndarray | float] = _Kept(shared)
        total += [np.sum(x.at(z[:, start : start + CHUNK], memo)) for x in whole]
    return [float(x) for x in total / z.shape[1]]


class _Kept(dict):
    """A memory for shared nodes only."""

    def __init__(self, shared: set[int]):
        super().__init__()
        self.shared = shared

    def __setitem__(self, key: int, value: Any) -> None:
        if key in self.shared:
            super().__setitem__(key, value)


def _shared_nodes(roots: list[Expr]) -> set[int]:
    """Nodes with several parents."""
    parents: dict[int, int] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        parents[id(node)] = parents.get(id(node), 0) + 1
        if parents[id(node)] == 1:
            stack.extend(node.args)
    return {i for i, count in parents.items() if count > 1}


_POINTS: dict[tuple[int, int, int], np.ndarray] = {}


def _points(rank: int, log2_points: int, seed: int) -> np.ndarray:
    """Standard normal quasi-random points, [rank, 2^log2_points]."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    key = (rank, log2_points, seed)
    if key not in _POINTS:
        if len(_POINTS) > 64:
            _POINTS.clear()
        sobol = qmc.Sobol(rank, scramble=True, rng=np.random.default_rng(seed)).random_base2(log2_points)
        _POINTS[key] = ndtri(np.clip(np.ascontiguousarray(sobol.T), 1e-16, 1 - 1e-16))
    return _POINTS[key]


STRATEGIES = (
    Strategy("closed form", _by_closed_form),
    Strategy("Hermite series", _by_series),
    Strategy("quadrature", _by_quadrature),
    Strategy("quasi-random points", _by_sampling),
    Strategy("Monte Carlo", _by_monte_carlo),
)


# ---------------------------------------------------------------------------------------------- integrands


def _integrand(atom: Atom, chain: Chain) -> Integrand:
    """An atom over as few dimensions as its covariance has: variables that occur as powers only are integrated out."""
    covariance = covariance_of(atom, chain)
    expr, powers = _outside_powers(atom.integrand)
    inside = [i for i in range(len(covariance)) if i not in powers]
    outside = list(powers)
    place = {v: i for i, v in enumerate(inside)}
    expr = substitute(expr, lambda x: ref(place[int(x.value)]) if x.op == "ref" else x)  # type: ignore[arg-type]
    factor = reduce_rank(covariance[np.ix_(inside, inside)], chain.rank_tolerance)
    if not outside:
        return Integrand(expr, factor, chain.env, chain.known)
    # factor⁺ maps the inside variables to z; all that the outside ones share with them is their mean given z.
    slopes = covariance[np.ix_(outside, inside)] @ np.linalg.pinv(factor, rcond=1e-13).T
    residual = covariance[np.ix_(outside, outside)] - slopes @ slopes.T
    return Integrand(expr, factor, chain.env, chain.known, tuple(powers.values()), slopes, residual)


def _outside_powers(integrand: Expr) -> tuple[Expr, dict[int, int]]:
    """Split Π u^k · F(v): the rest F, and the powers of the variables that F does not hold."""
    factors = integrand.args if integrand.op == "mul" else (integrand,)
    powers = [_as_power(f) for f in factors]
    held = set().union(*(leaves(f, "ref") for f, p in zip(factors, powers, strict=True) if p is None))
    found: dict[int, int] = {}
    rest = []
    for f, p in zip(factors, powers, strict=True):
        if p is None or p[0] in held:
            rest.append(f)
        else:
            found[p[0]] = found.get(p[0], 0) + p[1]
    return mul(*rest), found


def _as_power(factor: Expr) -> tuple[int, int] | None:
    """(variable, exponent) of u or u^k with k = 1, 2, …, as far as its moments are found one after the other."""
    base, exponent = factor.args if factor.op == "pow" else (factor, ONE)
    if base.op != "ref" or not exponent.is_number or not float(exponent.value).is_integer():  # type: ignore[arg-type]
        return None
    known = 0 < exponent.value <= LARGEST_POWER  # type: ignore[operator]
    return (int(base.value), int(exponent.value)) if known else None  # type: ignore[arg-type]
