"""Is an activation GOOD: may features learned with it be linearly independent at every step of training?

Chen, Yang, Zhao & Gu (2025, section 4) call φ GOOD if

1. φ is twice continuously differentiable, and φ' and φ'' are bounded;
2. Σ_i a_i φ(b_i x + c_i) is not constant, for admissible a_i, b_i, c_i;
3. (r_1 + φ(x)) (r_2 + φ'(x)) is not constant almost everywhere, whatever r_1 and r_2.

Our reading of "admissible" is: finitely many terms, no a_i or b_i is 0, and the |b_i| are distinct, as the assumption on
inputs makes them (`tpl.data.assumption`). It excludes reflections, as in tanh(x) + tanh(-x) = 0. Translates it excludes
as well, but where they alone cancel, as in sin(x) + sin(x + π) = 0, the verdict is left open.
`tpl.numeric.dependence` treats 2 and 3.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tpl.core.expr import Expr, apply, leaves, mul, neg, show
from tpl.core.functions import BUILTIN_CONSTANTS, FUNCTIONS
from tpl.numeric.activation import Activation, Finding
from tpl.numeric.dependence import PRODUCT, SUMS, product_finding, sums_finding
from tpl.numeric.features import Analyst
from tpl.numeric.integrand import Integrand
from tpl.numeric.smoothness import SIGHT, ranges, smoothness
from tpl.numeric.tails import Tail

SMOOTH, SLOPE, CURVATURE = "φ is twice continuously differentiable", "φ' is bounded", "φ'' is bounded"
CONDITIONS = (SMOOTH, SLOPE, CURVATURE, SUMS, PRODUCT)
JUMP = 1e-4  # relative: smaller jumps are taken for rounding
GROWTH = 0.02  # powers of |z| below this are taken for none
FARTHEST = 1e6
MOST_NODES = 1000  # of an activation
SIGHTS = (SIGHT, 1e3 * SIGHT, 1e6 * SIGHT)  # kinks are looked for as far as this from 0
MOST_PLACES = 60  # looked at, the nearest to 0
_STEPS = np.array([1e-3, 1e-5, 1e-7])  # towards a kink, where its sides are compared
_AROUND = np.array([-1.0, -0.7, -0.4, -0.1, 0.1, 0.4, 0.7, 1.0])


@dataclass(frozen=True)
class Goodness:
    """The verdict on an activation, as a function of z. good: None where a condition is not decided, and none fails."""

    function: str
    good: bool | None
    findings: tuple[Finding, ...]

    @property
    def how(self) -> str:
        """ "numeric" if some finding that the verdict needs is."""
        if self.good is False:
            return min((x.how for x in self.findings if x.holds is False), key=lambda x: x == "numeric")
        return "numeric" if any(x.how == "numeric" for x in self.findings) else "symbolic"

    @property
    def verdict(self) -> str:
        if self.good is None:
            return "undecided"
        word = "GOOD" if self.good else "not GOOD"
        return word + (" (numerically)" if self.how == "numeric" else "")

    @property
    def reason(self) -> str:
        """What stands against it; what is not decided; or that all is well."""
        if self.good and self.how == "symbolic":
            return "all five conditions hold"
        telling = [x for x in self.findings if x.holds is self.good] if self.good is not True else self.findings
        return "; ".join(map(str, telling))

    def __str__(self) -> str:
        return f"{self.function}: {self.verdict}: {self.reason}"


def judge(expr: Expr, constants: Mapping[str, float]) -> Goodness:
    """An activation as an expression in ref(0) that reads no other ref."""
    text = show(expr, lambda i: "z")
    if expr.size > MOST_NODES:
        return Goodness(text, None, _unknown(f"not asked: φ has more than {MOST_NODES} nodes"))
    phi = Activation(_rewritten(expr), {**BUILTIN_CONSTANTS, **constants})
    try:
        with np.errstate(all="ignore"):
            findings = _findings(phi)
    except (ArithmeticError, ValueError):  # a constant in φ or in a derivative has no value
        findings = _unknown("not decided: φ or a derivative holds a constant without a value")
    held = [x.holds for x in findings]
    good = False if False in held else None if None in held else True
    return Goodness(text, good, findings)


def _findings(phi: Activation) -> tuple[Finding, ...]:
    slope = _bounded(phi.derivative, SLOPE, "φ'")
    curvature = _bounded(phi.derivative.derivative, CURVATURE, "φ''")
    return _smooth(phi), slope, curvature, sums_finding(phi), product_finding(phi)


def _unknown(words: str) -> tuple[Finding, ...]:
    return tuple(Finding(x, None, "symbolic", None, words) for x in CONDITIONS)


def _rewritten(expr: Expr) -> Expr:
    """log(1 + e^u) and a / (1 + e^u) by the functions that do not overflow."""
    if not expr.args:
        return expr
    args = tuple(map(_rewritten, expr.args))
    bottom = args[-1]
    exponentials = [x for x in bottom.args if x.op == "exp"] if bottom.op == "add" and len(bottom.args) == 2 else []
    if exponentials and any(x.is_value(1) for x in bottom.args):
        inside = exponentials[0].args[0]
        if expr.op == "log":
            return apply("softplus", inside)
        if expr.op == "div":
            over = args[0] == exponentials[0]
            return apply("sigmoid", inside) if over else mul(args[0], apply("sigmoid", neg(inside)))
    return Expr(expr.op, args)


# ---------------------------------------------------------------------------------------------- two derivatives


def _smooth(phi: Activation) -> Finding:
    found = smoothness(phi.expr, phi.env, {})
    if found.smooth:
        return Finding(SMOOTH, True, "symbolic", None, found.reason)
    obstacles = [x for _, _, x in ranges(phi.expr, phi.env, {}) if x is not None]
    places, seen = _places(phi, obstacles)
    for root in places:
        for function, name in ((phi, "φ"), (phi.derivative, "φ'"), (phi.derivative.derivative, "φ''")):
            broken = _break(function, root)
            if broken:
                return Finding(SMOOTH, False, "symbolic", JUMP, f"{name} {broken} at z = {root:.6g}")
            seen = seen and broken is not None
    if not seen:
        return Finding(SMOOTH, None, "numeric", JUMP, f"not decided: {found.reason}")
    return Finding(SMOOTH, True, "numeric", JUMP, f"{found.reason}, where neither φ nor φ' nor φ'' jumps")


def _places(phi: Activation, obstacles: list[Expr]) -> tuple[list[float], bool]:
    """Where obstacles vanish, the nearest to 0 first, and whether these are all such places."""
    found: set[float] = set()
    integrand = Integrand(phi.expr, np.ones((1, 1)), phi.env, {})
    for reach in SIGHTS:
        analyst = Analyst(integrand, reach)
        found.update(float(root) + 0.0 for x in obstacles for root in analyst.roots(x, (1.0,)))
        complete = all(analyst.affine(x) is not None for x in obstacles)
    return sorted(found, key=abs)[:MOST_PLACES], complete and len(found) <= MOST_PLACES


def _break(function: Activation, root: float) -> str | None:
    """How a function fails to be continuous at a place, in words; empty if it does not, None if rounding hides it."""
    (before, error_before), (after, error_after) = (function.with_errors(root + x * _STEPS) for x in (-1, 1))
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return "has no finite values on both sides"
    around = function.at(root + _AROUND)
    least = JUMP * float(np.max(np.abs(around[np.isfinite(around)]), initial=0.0))
    errors = error_before + error_after
    if not np.all(errors <= max(least, np.max(np.abs(after - before)) / 10)):
        return None
    moves = np.maximum(np.abs(np.diff(before)), np.abs(np.diff(after)))
    if moves[1] > max(least, moves[0] / 2):
        return "has no limit"
    jump = abs(after[-1] - before[-1])
    return f"jumps from {before[-1]:.4g} to {after[-1]:.4g}" if jump > max(least, 2 * moves[1]) else ""


# ---------------------------------------------------------------------------------------------- bounds


def _bounded(function: Activation, condition: str, name: str) -> Finding:
    low, high = function.range.low, function.range.high
    if not leaves(function.expr, "ref"):
        return Finding(condition, True, "symbolic", None, f"{name} is constant")
    if math.isfinite(low) and math.isfinite(high):
        return Finding(condition, True, "symbolic", None, f"{name} stays within [{low:.4g}, {high:.4g}]")
    for end, where in zip(function.tails, ("-∞", "∞"), strict=True):
        if end is not None and end.leads and end.degree > 0:
            how = "faster than any power" if end.huge else f"like {_power(end.leading, end.degree)}"
            return Finding(condition, False, "symbolic", None, f"{name} grows {how} as z → {where}")
    before, after = function.tails
    if before and after and before.order <= 0 and after.order <= 0 and _locally_bounded(function):
        return Finding(condition, True, "symbolic", None, f"{name} is bounded: {_ends(name, before, after)}")
    if not _locally_bounded(function):
        return Finding(condition, None, "symbolic", None, f"not decided: {name} may have singularities")
    return _bounded_numerically(function, condition, name)


def _power(factor: float, degree: float) -> str:
    """The size of factor |z|^degree."""
    shown = f"{abs(factor):.4g} " if abs(factor) != 1 else ""
    return f"{shown}|z|" + (f"^{degree:g}" if degree != 1 else "")


def _ends(name: str, before: Tail, after: Tail) -> str:
    if before.error == 0 or after.error == 0:
        return "it is on every finite interval, and at both ends"
    limits = (x.terms.get(0.0, 0.0) for x in (before, after))
    return "it tends to {:.4g} at -∞ and to {:.4g} at ∞, and is finite between".format(*limits)


def _locally_bounded(function: Activation) -> bool:
    """No singularity at finite z: kinks and jumps at most."""
    obstacles = (node for node, _, obstacle in ranges(function.expr, function.env, {}) if obstacle is not None)
    return all(node.op in ("max", "min") or FUNCTIONS[node.op].kinks for node in obstacles)


def _bounded_numerically(function: Activation, condition: str, name: str) -> Finding:
    """By the largest values up to |z| = 1e6: do they grow like a power?"""
    z = np.geomspace(1e-3, FARTHEST, 9 * 400)
    sizes = np.max(np.abs([function.at(z), function.at(-z)]), axis=0)
    finite = np.flatnonzero(~np.isfinite(sizes))
    reach = float(z[finite[0]]) / 4 if finite.size else FARTHEST  # products lose their digits before they overflow
    if reach < 10:
        return Finding(condition, None, "numeric", GROWTH, f"{name} has no finite values to judge by")
    most = [float(np.max(sizes[z <= reach / factor])) for factor in (100.0, 10.0, 1.0)]
    slopes = [math.log10(b / a) if a > 0 else math.inf * (b > 0) for a, b in pairwise(most)]
    if max(slopes) <= GROWTH:
        words = f"|{name}| reaches {most[2]:.4g} up to |z| = {reach:.3g} and grows no more"
        return Finding(condition, True, "numeric", GROWTH, words)
    words = f"|{name}| grows like |z|^{slopes[1]:.2g} up to |z| = {reach:.3g}"
    return Finding(condition, False if min(slopes) > GROWTH else None, "numeric", GROWTH, words)
