"""The law in numbers: quantities in order, each expectation by the first strategy that takes it.

Everything is computed by several chains at once: a fine and a coarse one, and from the first expectation on that has
to be sampled, independent replicates of the fine one. What they differ by is the error, carried all the way through.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sympy

from tpl.core.expr import ONE, Expr, leaves, mul, ref, substitute
from tpl.core.functions import FUNCTIONS
from tpl.core.program import Line, Program
from tpl.limit.algebra import LeastNorm, NoLaw, Ratio, constant_name, quantity_index
from tpl.limit.calculus import Atom, parts, used_quantities
from tpl.limit.closed_forms import Dual
from tpl.limit.formulas import formula
from tpl.limit.jumps import FiniteWidth, Jump
from tpl.limit.law import Law
from tpl.numeric import series
from tpl.numeric.integrand import Integrand
from tpl.numeric.lattice import lattice
from tpl.numeric.nested import nested
from tpl.numeric.quadrature import expectation

REPLICATES = 8  # of what is sampled
BATCH = 512  # integrands sampled at the same points
CHUNK = 2048  # points at a time, so that what integrands share is kept in little memory
LEVELS = 2  # the panels of a stubborn integral are halved so often
TOLERANCE = 1e-11  # of one integral, relative to that of its absolute value
ROUNDING = 1e-15  # a coefficient so small is rounding
TERMS = 128  # of a Hermite series; where it takes more, quadrature is faster (tests/benchmarks/bench_series.py)
POINTS = 1 << 21  # for a batch of expectations in three dimensions and more, in all chains
CANCELLED = 1e-13  # a sum so small next to its terms is rounding
_UPPER_TAIL = 0.9772498680518208  # value ± 2 error covers what two standard deviations do


@dataclass(frozen=True)
class Evaluation:
    """Scalar lines' values and errors, [lines asked for]; `method` says how."""

    value: np.ndarray
    error: np.ndarray
    method: str


class NotDefined(NoLaw):
    """A quantity of the law is not a finite number."""


@dataclass
class Chain:
    """One way through the quantities: its settings, and the values so far.

    nodes: Gauss-Legendre nodes a panel; reach: where the Gaussian law is cut off; rank_tolerance: a correlation's
    residual below it is rounding; seed and log2_points: of quasi-random point sets.
    """

    env: Mapping[str, float]
    nodes: int
    reach: float
    rank_tolerance: float
    seed: int
    log2_points: int
    known: dict[int, float] = field(default_factory=dict)


def evaluate_law(law: Law, lines: list[int], nodes: int = 16, log2_points: int = 13, seed: int = 0) -> Evaluation:
    """The values of scalar lines. Raises NotDefined if one is not a finite number."""
    targets = [law.scalars[i] for i in lines]
    needed = _ancestors(law.program, lines)
    jumps = [j for j in law.jumps if j.line in needed]
    evaluator = _Evaluator(
        law, _closure(law, targets + [v for j in jumps for v in j.vanishing]), nodes, log2_points, seed
    )
    evaluator.run()
    _check_jumps(law, jumps, evaluator)
    fine = np.array([[number(t, c.env, c.known) for t in targets] for c in evaluator.fine]).reshape(-1, len(targets))
    coarse = np.array([number(t, evaluator.coarse.env, evaluator.coarse.known) for t in targets])
    value = fine.mean(axis=0)
    error = np.abs(fine[0] - coarse) + 1e-15 * np.abs(value)
    if len(fine) > 1:
        error = np.hypot(error, _students_error(fine))
    methods = [s.name for s in STRATEGIES if s.name in evaluator.used]
    return Evaluation(value, error, "law, " + (" and ".join(methods) or "exact"))


def _ancestors(program: Program, lines: list[int]) -> set[int]:
    """Lines and all that they are computed from."""
    found: set[int] = set()
    stack = list(lines)
    while stack:
        line = stack.pop()
        if line not in found:
            found.add(line)
            stack.extend(program.lines[line].args)
    return found


def _check_jumps(law: Law, jumps: list[Jump], evaluator: "_Evaluator") -> None:
    """Raises NotDefined where an argument tends to the jump, or cannot be told from it, but is not there at finite width."""
    chain = evaluator.fine[0]

    def sign(line: Line, part: Expr) -> int:
        value = law.limit_constant(line, part)
        if value is None or not used_quantities([value]) <= chain.known.keys():
            return 0
        found = number(value, chain.env, chain.known)
        return int(np.sign(found)) if abs(found) > ROUNDING else 0

    finite = FiniteWidth(law.program, sign)
    for jump in jumps:
        values = np.array([[number(v, c.env, c.known) for v in jump.vanishing] for c in evaluator.chains])
        rounding = np.full(len(jump.vanishing), ROUNDING)
        rounding[len(rounding) - jump.squares :] = ROUNDING**2
        vanish = np.all(np.abs(values[0]) <= np.ptp(values, axis=0) + rounding)
        if vanish and not finite.is_fixed(jump.line, jump.argument):
            raise NotDefined(f"line {law.program.lines[jump.line].name}: {jump.problem}")


def _students_error(rows: np.ndarray) -> np.ndarray:
    from scipy.special import stdtrit  # heavy to import

    spread = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    return spread * float(stdtrit(len(rows) - 1, _UPPER_TAIL)) / 2


def _closure(law: Law, targets: list[Any]) -> list[int]:
    """The quantities that the targets need, in order."""
    needed: set[int] = set()
    stack = list(used_quantities(targets))
    while stack:
        q = stack.pop()
        if q not in needed:
            needed.add(q)
            stack.extend(used_quantities(parts(law.calculus.quantities[q].definition)))
    return sorted(needed)


# ---------------------------------------------------------------------------------------------- chains


class _Evaluator:
    """Carries all chains through the quantities."""

    def __init__(self, law: Law, needed: list[int], nodes: int, log2_points: int, seed: int):
        self.quantities = law.calculus.quantities
        self.needed = needed
        self.used: set[str] = set()
        self._uses: dict[int, set[int]] = {}
        env = law.program.constant_values()
        self.fine = [Chain(env, nodes, 9.5, 2e-15, seed, log2_points)]
        self.coarse = Chain(env, nodes - 4, 8.5, 1e-12, seed, log2_points)

    @property
    def chains(self) -> list[Chain]:
        return [*self.fine, self.coarse]

    def run(self) -> None:
        for batch in self._batches():
            definition = self.quantities[batch[0]].definition
            if isinstance(definition, Atom):
                self._expectations(batch)
            else:
                for chain in self.chains:
                    chain.known[batch[0]] = number(definition, chain.env, chain.known)
            for q in batch:
                if not all(np.isfinite(chain.known[q]) for chain in self.chains):
                    raise NotDefined(f"quantity {q} ({self.quantities[q].label}) is not finite")

    def _batches(self) -> Iterator[list[int]]:
        """The needed quantities, each after those it needs; atoms over one large covariance together."""
        families: dict[Any, list[int]] = {}
        for q in self.needed:
            families.setdefault(self._family(q), []).append(q)
        for q in self.needed:
            if q not in self.coarse.known:
                members = families[self._family(q)]
                ready = [p for p in members if p not in self.coarse.known and self._is_ready(p)][:BATCH]
                yield ready if q in ready else [q]

    def _family(self, q: int) -> Any:
        definition = self.quantities[q].definition
        return definition.covariance if isinstance(definition, Atom) and len(definition.covariance) > 2 else q

    def _is_ready(self, q: int) -> bool:
        if q not in self._uses:
            self._uses[q] = used_quantities(parts(self.quantities[q].definition))
        return self._uses[q] <= self.coarse.known.keys()

    def _expectations(self, batch: list[int]) -> None:
        """The first strategy that takes every one of a batch, in every chain."""
        atoms = [self.quantities[q].definition for q in batch]
        for strategy in STRATEGIES:
            found = strategy.attempt(atoms, self)
            if found is not None:
                self.used.add(strategy.name)
                for chain, row in zip(self.chains, found, strict=True):
                    chain.known.update(zip(batch, row, strict=True))
                return

    def replicate(self) -> None:
        """From now on there are independent fine chains."""
        if len(self.fine) == 1:
            first = self.fine[0]
            more = [replace(first, seed=first.seed + 7919 * r, known=dict(first.known)) for r in range(1, REPLICATES)]
            self.fine += more


def number(value: Any, env: Mapping[str, float], known: Mapping[int, float]) -> float:
    """The float value of a sympy expression over constants and quantities. Raises NotDefined where arithmetic does."""
    try:
        return _number(value, env, known)
    except (ArithmeticError, TypeError, ValueError) as problem:
        raise NotDefined(f"{str(value)[:80]}: {problem}") from None


def _number(value: Any, env: Mapping[str, float], known: Mapping[int, float]) -> float:
    if value.is_Symbol:
        index = quantity_index(value)
        return known[index] if index is not None else env[constant_name(value)]
    if not value.args or value.is_number:
        return float(value)
    if isinstance(value, LeastNorm):
        return _least_norm(value, env, known)
    arguments = [_number(a, env, known) for a in value.args]
    if isinstance(value, Ratio):
        return arguments[0] / arguments[1] if arguments[1] > 0 else 0.0
    if value.is_Add:
        total, size = sum(arguments), sum(map(abs, arguments))
        return 0.0 if abs(total) <= CANCELLED * size else total
    if value.is_Mul:
        return float(np.prod(arguments))
    if value.is_Pow:
        return float(arguments[0] ** arguments[1])
    result = value.func(*(sympy.Float(a, 17) for a in arguments))
    return float(result) if result.is_number else float(FUNCTIONS[value.func.__name__].scalar(*arguments))


def _least_norm(value: LeastNorm, env: Mapping[str, float], known: Mapping[int, float]) -> float:
    component, size, entries, right = value.system
    gram = np.array([_number(c, env, known) for c in entries]).reshape(size, size)
    scale = np.sqrt(np.maximum(np.diag(gram), 0.0))
    inverse = np.divide(1.0, scale, out=np.zeros(size), where=scale > 0)
    target = np.array([_number(c, env, known) for c in right]) * inverse
    solution = np.linalg.pinv(gram * np.outer(inverse, inverse), rcond=1e-11, hermitian=True) @ target
    return float(solution[component] * inverse[component])


# ---------------------------------------------------------------------------------------------- strategies


@dataclass(frozen=True)
class Strategy:
    """A way to compute expectations: (atoms over one covariance, evaluator) -> values [chains, atoms], or None."""

    name: str
    attempt: Callable[[list[Atom], _Evaluator], list[list[float]] | None]


def _by_closed_form(atoms: list[Atom], evaluator: _Evaluator) -> list[list[float]] | None:
    """E f(u) g(v), where `closed_forms` has a formula."""
    if len(atoms) > 1:
        return None
    found = formula(atoms[0].integrand, len(atoms[0].covariance))
    if found is None:
        return None
    values = [_substituted(found, atoms[0], chain) for chain in evaluator.chains]
    return [[value] for value in values] if np.all(np.isfinite(values)) else None


def _substituted(found: Dual, atom: Atom, chain: Chain) -> float:
    covariance = _covariance(atom, chain)
    known = {f"quantity {v}": chain.known[int(v)] for v in leaves(atom.integrand, "quantity")}  # type: ignore[arg-type]
    first, last = covariance[0, 0], covariance[-1, -1]
    both = covariance[-1, 0]
    if len(covariance) == 1:
        last = both = 0.0
    try:
        return float(found.value(first, last, both, {**chain.env, **known}))
    except (ArithmeticError, ValueError):
        return np.nan


def _by_series(atoms: list[Atom], evaluator: _Evaluator) -> list[list[float]] | None:
    """E φ(u) ψ(v) of smooth functions. The coarse chain is off by the bound, which so is carried on."""
    if len(atoms) > 1 or len(atoms[0].covariance) != 2:
        return None
    found = []
    for chain in evaluator.chains:
        covariance = _covariance(atoms[0], chain)
        answer = series.attempt(atoms[0].integrand, covariance, chain.env, chain.known, TERMS)
        if isinstance(answer, series.Declined):
            return None
        found.append([answer.value + answer.bound if chain is evaluator.coarse else answer.value])
    return found


def _by_quadrature(atoms: list[Atom], evaluator: _Evaluator) -> list[list[float]] | None:
    columns = []
    for atom in atoms:
        column = _integrate_all(atom, evaluator.chains, len(atoms))
        if column is None:
            return None
        columns.append(column)
    return [list(row) for row in zip(*columns, strict=True)]


def _integrate_all(atom: Atom, chains: list[Chain], count: int) -> list[float] | None:
    """Panels are halved until fine and coarse values agree, or halving stops helping. count: of such atoms."""
    integrands = [_integrand(atom, chain) for chain in chains]
    if any(x.rank > 2 for x in integrands):
        return _in_space(integrands, POINTS // (count * len(chains)))
    gap = np.inf
    for level in range(LEVELS + 1):
        memo: dict[tuple, tuple[float, float]] = {}
        found = [_integrate(x, chain, level, memo) for x, chain in zip(integrands, chains, strict=True)]
        last, gap = gap, abs(found[0][0] - found[-1][0])
        if gap <= TOLERANCE * found[0][1] or gap > last / 4 or not np.isfinite(gap):
            break
    return [value for value, _ in found]


def _in_space(integrands: list[Integrand], most: int) -> list[float] | None:
    """Three dimensions and more. The coarse chain is off by the error."""
    found = []
    for x in integrands:
        answer = lattice(x, most)
        if isinstance(answer, series.Declined):
            answer = nested(x, most=most)
        if isinstance(answer, series.Declined):
            return None
        found.append(answer)
    return [x.value for x in found[:-1]] + [found[-1].value + found[-1].bound]


def _integrate(x: Integrand, chain: Chain, level: int, memo: dict[tuple, tuple[float, float]]) -> tuple[float, float]:
    """Replicates that still agree share the work."""
    inside = tuple(chain.known[int(v)] for v in leaves(x.expr, "quantity"))  # type: ignore[arg-type]
    arrays = (a.tobytes() for a in (x.factor, x.slopes, x.residual) if a is not None)
    key = (*arrays, inside, chain.nodes)
    if key not in memo:
        memo[key] = expectation(x, chain.nodes, level, chain.reach)
    return memo[key]


def _by_sampling(atoms: list[Atom], evaluator: _Evaluator) -> list[list[float]]:
    evaluator.replicate()
    shared = _shared_nodes([atom.integrand for atom in atoms])
    return [_sample(atoms, shared, chain) for chain in evaluator.chains]


def _sample(atoms: list[Atom], shared: set[int], chain: Chain) -> list[float]:
    """Means over one randomised Sobol point set. All outside variables are points here: the atoms share everything."""
    factor = reduce_rank(_covariance(atoms[0], chain), chain.rank_tolerance)
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
)


# ---------------------------------------------------------------------------------------------- integrands


def _covariance(atom: Atom, chain: Chain) -> np.ndarray:
    size = len(atom.covariance)
    covariance = np.zeros((size, size))
    for i, row in enumerate(atom.covariance):
        for j, entry in enumerate(row):
            covariance[i, j] = covariance[j, i] = number(entry, chain.env, chain.known)
    return covariance


def _integrand(atom: Atom, chain: Chain) -> Integrand:
    """An atom over as few dimensions as its covariance has: variables that occur as powers only are integrated out."""
    covariance = _covariance(atom, chain)
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
    """(variable, exponent) of u or u^k with k = 1, 2, …"""
    base, exponent = factor.args if factor.op == "pow" else (factor, ONE)
    if base.op != "ref" or not exponent.is_number or not float(exponent.value).is_integer():  # type: ignore[arg-type]
        return None
    return (int(base.value), int(exponent.value)) if exponent.value > 0 else None  # type: ignore[arg-type, operator]


def reduce_rank(covariance: np.ndarray, tolerance: float = 2e-15) -> np.ndarray:
    """F with F F^T = C and as few columns as the rank; triangular where C is regular. What is rounding vanishes."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    safe = np.where(scale > 0, scale, 1.0)
    residual = covariance / np.outer(safe, safe)
    residual[scale == 0] = 0.0
    residual[:, scale == 0] = 0.0
    factor = np.zeros((len(scale), 0))
    for _ in range(len(scale)):
        pivot = int(np.argmax(np.diag(residual)))
        if residual[pivot, pivot] <= tolerance:
            break
        column = residual[:, pivot] / np.sqrt(residual[pivot, pivot])
        factor = np.column_stack([factor, column])
        residual = residual - np.outer(column, column)
    return factor * scale[:, None]
