"""The law in numbers: quantities in order, each expectation by the first strategy that takes it.

Everything is computed by several chains at once: a fine and a coarse one, and from the first expectation on that has
to be sampled, independent replicates of the fine one. What they differ by is the error, carried all the way through.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tpl.core.expr import Expr
from tpl.core.program import Line, ancestors
from tpl.limit.algebra import TooLarge
from tpl.limit.calculus import Atom, parts, used_quantities
from tpl.limit.jumps import FiniteWidth, Jump, UnsettledJump
from tpl.limit.law import Law
from tpl.numeric.blame import line_that_needs, not_finite, of_line
from tpl.numeric.chains import Chain, covariance_of, number, reduce_rank, students_error
from tpl.numeric.plan import Choice, expectation_text, grouped
from tpl.numeric.poles import Poles, may_have_poles
from tpl.numeric.strategies import STRATEGIES, UNASKED, Answer, Sampling

REPLICATES = 8  # of what is sampled
BATCH = 512  # integrands sampled at the same points
DOMINANT = 0.75  # of the squared spread of replicates: less than once in 10^5 for Gaussian ones
LARGE = 0.25  # an error, relative to its value
JITTER = 2.0**-51  # relative rounding of a covariance
ROUNDING = 1e-15  # a coefficient so small is rounding


@dataclass(frozen=True)
class Evaluation:
    """Scalar lines' values and errors, [lines asked for]; `method` says how, `plan` expectation by expectation."""

    value: np.ndarray
    error: np.ndarray
    method: str
    plan: tuple[Choice, ...] = ()
    notes: tuple[str, ...] = ()


def evaluate_law(
    law: Law,
    lines: list[int],
    nodes: int = 16,
    log2_points: int = 13,
    seed: int = 0,
    sampling: Sampling = UNASKED,
) -> Evaluation:
    """The values of scalar lines. sampling: what is asked of expectations that are sampled.

    Raises NotDefined if a value is not a number, TooLarge if no double holds it, UnsettledJump if a jump spoils it.
    """
    targets = [law.scalars[i] for i in lines]
    needed = ancestors(law.program, lines)
    jumps = [j for j in law.jumps if j.line in needed]
    evaluator = _Evaluator(
        law, _closure(law, targets + [v for j in jumps for v in j.vanishing]), nodes, log2_points, seed, sampling
    )
    evaluator.run()
    _check_jumps(law, jumps, evaluator)
    fine = np.array([[number(t, c.env, c.known) for t in targets] for c in evaluator.fine]).reshape(-1, len(targets))
    coarse = np.array([number(t, evaluator.coarse.env, evaluator.coarse.known) for t in targets])
    _check_finite(law, lines, np.vstack([fine, coarse]))
    value = fine.mean(axis=0)
    error = np.abs(fine[0] - coarse) + 1e-15 * np.abs(value)
    if len(fine) > 1:
        error = np.hypot(error, students_error(fine))
    used = {c.method for c in evaluator.plan}
    methods = [s.name for s in STRATEGIES if s.name in used]
    method = "law, " + (" and ".join(methods) or "exact")
    return Evaluation(value, error, method, grouped(evaluator.plan), tuple(dict.fromkeys(evaluator.notes)))


def _check_finite(law: Law, lines: list[int], values: np.ndarray) -> None:
    """Raises TooLarge or NotDefined where a line's value, [chains, lines], is no double."""
    for line, column in zip(lines, values.T, strict=True):
        if not np.isfinite(column).all():
            raise of_line("its value", column, law.program.lines[line])


def _check_jumps(law: Law, jumps: list[Jump], evaluator: "_Evaluator") -> None:
    """Raises UnsettledJump where an argument tends to the jump, or cannot be told from it, but is not there at finite width."""
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
            raise UnsettledJump(jump.function, law.program.lines[jump.line])


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

    def __init__(self, law: Law, needed: list[int], nodes: int, log2_points: int, seed: int, sampling: Sampling):
        self.law = law
        self.poles = Poles(law)
        self.quantities = law.calculus.quantities
        self.needed = needed
        self.sampling = sampling
        self.plan: list[Choice] = []
        self.notes: list[str] = []
        self._uses: dict[int, set[int]] = {}
        env = law.program.constant_values()
        self.fine = [Chain(env, nodes, 9.5, 2e-15, seed, log2_points)]
        self.coarse = Chain(env, nodes - 4, 8.5, 1e-12, seed, log2_points, JITTER)

    @property
    def chains(self) -> list[Chain]:
        return [*self.fine, self.coarse]

    def run(self) -> None:
        for batch in self._batches():
            definition = self.quantities[batch[0]].definition
            if isinstance(definition, Atom):
                try:
                    self._expectations(batch)
                except TooLarge as problem:
                    raise TooLarge(problem.message, line_that_needs(self.law, batch[0])) from None
            else:
                for chain in self.chains:
                    chain.known[batch[0]] = number(definition, chain.env, chain.known)
            for q in batch:
                values = [chain.known[q] for chain in self.chains]
                if not np.isfinite(values).all():
                    raise not_finite(self.law, q, values)

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
        for atom in atoms:
            self._refuse_poles(atom)
        declined: list[tuple[str, str]] = []
        for strategy in STRATEGIES:
            found = strategy.attempt(atoms, self)
            if isinstance(found, Answer):
                for chain, row in zip(self.chains, found.values, strict=True):
                    chain.known.update(zip(batch, row, strict=True))
                self.notes += (*found.notes, *self._unsettled(batch))
                self.plan.append(
                    self._choice(batch, atoms[0], found.method or strategy.name, found.reason, tuple(declined))
                )
                return
            declined.append((strategy.name, found.reason))

    def _unsettled(self, batch: Sequence[int]) -> Iterator[str]:
        """Notes on what was sampled where one replicate alone makes up nearly all of a large spread."""
        if len(self.fine) < REPLICATES:
            return
        for q in batch:
            row = np.array([chain.known[q] for chain in self.fine])
            squares = (row - row.mean()) ** 2
            if squares.max() > DOMINANT * squares.sum() and students_error(row) > LARGE * abs(row.mean()):
                atom = self.quantities[q].definition
                what = expectation_text(atom.integrand, len(atom.covariance))
                yield f"{what}: one of {len(row)} samples makes up the spread; it may not exist, or lies where no sample comes"

    def _refuse_poles(self, atom: Atom) -> None:
        if may_have_poles(atom.integrand):
            chain = self.fine[0]
            self.poles.refuse(atom.integrand, reduce_rank(covariance_of(atom, chain)), chain.env, chain.known)

    def _choice(
        self, batch: Sequence[int], atom: Atom, method: str, reason: str, declined: tuple[tuple[str, str], ...]
    ) -> Choice:
        error = max(abs(self.fine[0].known[q] - self.coarse.known[q]) for q in batch)
        if len(self.fine) > 1:
            rows = np.array([[chain.known[q] for q in batch] for chain in self.fine])
            error = max(error, float(students_error(rows).max()))
        size = len(atom.covariance)
        return Choice(expectation_text(atom.integrand, size), len(batch), size, method, reason, declined, error)

    def replicate(self) -> None:
        """From now on there are independent fine chains."""
        if len(self.fine) == 1:
            first = self.fine[0]
            more = [
                replace(first, seed=first.seed + 7919 * r, known=dict(first.known), entries={})
                for r in range(1, REPLICATES)
            ]
            self.fine += more
