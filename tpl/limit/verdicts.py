"""What became of every product with a matrix: is there a Ż, and why not.

Ż^{Wx} sums over the products W.T @ y made before W @ x (THEORY: TP3 §2). A verdict names those that were there, those that x
depends on, and the ground on which their coefficients vanish. All of it is read off a `Law`.
"""

from dataclasses import dataclass, replace
from itertools import combinations

from tpl.core.expr import Expr
from tpl.core.program import Kind, Program
from tpl.limit.algebra import parity
from tpl.limit.law import Correction, Law

MAX_GROUPS = 8  # of leaves whose sign may be flipped together


@dataclass(frozen=True)
class Verdict:
    """On one product W @ x. All numbers are lines.

    reason: "zero" (x = 0), "fresh" (nothing was multiplied by the transpose before), "independent" (x does not depend
    on it), "odd" (x is odd in `flipped`, which are independent of it), "vanishes" (the expectations are 0), "kept".
    opposite: products with the transpose made before; relevant: those that x depends on. stein: are the derivatives found by
    Stein's lemma?
    """

    line: int
    reason: str
    opposite: tuple[int, ...] = ()
    relevant: tuple[int, ...] = ()
    flipped: tuple[int, ...] = ()
    terms: tuple[Correction, ...] = ()
    stein: bool = False


def verdicts(law: Law) -> dict[int, Verdict]:
    """For every product with a square or rectangular matrix of two widths, in order."""
    made: dict[tuple[int, bool], list[int]] = {}
    found = {}
    for index, line in enumerate(law.program.lines):
        if line.op == "matmul":
            opposite = tuple(made.get((line.args[0], not line.transposed), ()))
            found[index] = _verdict(law, index, opposite)
            if not is_zero(law, index):
                made.setdefault((line.args[0], line.transposed), []).append(index)
    return found


def is_zero(law: Law, index: int) -> bool:
    """Is a line's limit zero: the Z of a vector, the number of a scalar?"""
    if index in law.z:
        return not law.calculus.algebra.expand(law.z[index])
    return index in law.scalars and law.scalars[index] == 0


def _verdict(law: Law, index: int, opposite: tuple[int, ...]) -> Verdict:
    vector = law.program.lines[index].args[1]
    if is_zero(law, index):
        return Verdict(index, "zero")
    if not opposite:
        return Verdict(index, "fresh")
    x = law.z[vector]
    relevant = tuple(p for p in opposite if _depends(law, vector, p))
    if not relevant:
        return Verdict(index, "independent", opposite)
    terms = law.corrections.get(index, ())
    if terms:
        return Verdict(index, "kept", opposite, relevant, (), terms, law.jumps_in(x, map(law.leaf_of, relevant)))
    flipped = odd_in(law, x, frozenset(law.leaf_of(p) for p in relevant))
    return Verdict(index, "odd" if flipped else "vanishes", opposite, relevant, flipped)


def _depends(law: Law, vector: int, product: int) -> bool:
    leaf = law.leaf_of(product)
    return any(law.calculus.coefficient_in(k, leaf) != 0 for k in law.calculus.algebra.depends(law.z[vector]))


def odd_in(law: Law, z: Expr, fixed: frozenset[int] = frozenset()) -> tuple[int, ...]:
    """Lines of the fewest leaves in which z is odd and which are independent of all others and of the fixed ones."""
    leaves = law.calculus.algebra.depends(z)
    groups = [g for g in _groups(law, leaves | fixed) if not g & fixed]
    if len(groups) > MAX_GROUPS:
        return _odd_backwards(law, z, leaves, groups)
    for size in range(1, len(groups) + 1):
        for chosen in combinations(groups, size):
            flipped = frozenset().union(*chosen)
            if parity(z, flipped & leaves) == -1:
                return tuple(sorted({law.calculus.leaves[i].line for i in flipped & leaves}))
    return ()


def _odd_backwards(law: Law, z: Expr, leaves: frozenset[int], groups: list[frozenset[int]]) -> tuple[int, ...]:
    """Lines of all leaves of the backward pass, with one readout at the most, if z is odd in these."""
    backward = [g for g in groups if all(_is_backward(law, i) for i in g)]
    for readout in (frozenset[int](), *(g for g in groups if g not in backward)):
        flipped = readout.union(*backward) & leaves
        if parity(z, flipped) == -1:
            return tuple(sorted({law.calculus.leaves[i].line for i in flipped}))
    return ()


def _is_backward(law: Law, leaf: int) -> bool:
    return bool(law.program.lines[law.calculus.leaves[leaf].line].origin.derived)


def _groups(law: Law, leaves: frozenset[int]) -> list[frozenset[int]]:
    """Leaves that may be correlated: those of one matrix in one orientation, and sums that hold any of them."""
    groups: list[tuple[set, set[int]]] = []
    for leaf in sorted(leaves):
        keys, members = {_class(law, base) for base in law.calculus.base_form(leaf)}, {leaf}
        for other in [g for g in groups if g[0] & keys]:
            groups.remove(other)
            keys, members = keys | other[0], members | other[1]
        groups.append((keys, members))
    return [frozenset(members) for _, members in groups]


def _class(law: Law, leaf: int) -> tuple:
    index = law.calculus.leaves[leaf].line
    line = law.program.lines[index]
    return (index,) if line.op == "gaussian" else (line.args[0], line.transposed)


def vectors_only(program: Program) -> Program:
    """The program without the scalars that no vector depends on: what the Z's need, and no kernel entry more."""
    needed: set[int] = set()
    for index in range(len(program.lines) - 1, -1, -1):
        line = program.lines[index]
        if line.kind is not Kind.SCALAR or index in needed:
            needed |= {index, *line.args, *(b for b, _ in line.biases)}
    return keep_lines(program, sorted(needed))


def keep_lines(program: Program, kept: list[int]) -> Program:
    """Some of the lines, renumbered; everything that they refer to must be among them. Nothing is shown."""
    new = {old: i for i, old in enumerate(kept)}
    lines = tuple(
        replace(
            program.lines[i],
            args=tuple(new[a] for a in program.lines[i].args),
            biases=tuple((new[b], c) for b, c in program.lines[i].biases),
        )
        for i in kept
    )
    return replace(program, lines=lines, shows=())
