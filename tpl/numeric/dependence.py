"""When sums of an activation's dilations are constant, and when (r_1 + φ)(r_2 + φ') is: see `tpl.numeric.good`.

Sums. Let φ be analytic on the real line and equal, at each end, to a polynomial up to R with R(x) = O(|x|^-N) for all N.
If Σ a_i φ(b_i x + c_i) is constant with distinct |b_i| > 0, its polynomial part is, for large |x|, hence
Σ a_i R(b_i x + c_i) = 0. Divided by the term of the smallest |b_i| this says S(t) <= A S(ρt) for S(t) = sup_{|x|>=t} |R(x)|,
some A, some ρ > 1 and all large t; so S(t) <= A^k S(ρ^k t) -> 0: R vanishes for large |x|, and φ is a polynomial.
If φ or φ' is a polynomial in algebraic functions and in logarithms and arc tangents of such, it has finitely many
singularities in the complex plane, none of them real; some if it is no polynomial, by Liouville. So it is analytic in a
widest strip around the real line, which is narrower for the largest |b_i| than for all others: a sum is no polynomial.
A polynomial of degree d has Σ_i (-1)^i binom(d + 1, i) φ(i x), i = 1..d+1, constant, and so has a function made of two
monomials of degree d that meet at 0, such as relu.

Product. Suppose u = φ + r_1 is continuously differentiable on the whole line with u (u' + r_2) = c. If c = 0, then u is
affine. If not, u has no zeros, and u' = (c - r_2 u) / u is autonomous. Without r_2, u² is affine, which has a sign change.
Else nonconstant solutions are monotone, and those between 0 and c/r_2, or beyond 0, reach 0 in finite time with infinite
slope. What is left is u = u_0 (1 + W(e^{k - r_2 x / u_0})), u_0 = c/r_2, with Lambert's W: monotone, unbounded, and affine
plus a logarithm at one end. So all other φ meet the condition.
"""

import math
from fractions import Fraction

import numpy as np

from tpl.core.expr import Expr, leaves
from tpl.numeric.activation import Activation, Finding
from tpl.numeric.smoothness import ranges
from tpl.numeric.tails import Tail

SUMS = "Σ a_i φ(b_i z + c_i) is not constant (|b_i| distinct)"
PRODUCT = "(r_1 + φ)(r_2 + φ') is not constant"
CONSTANT = 1e-10  # relative spread below which a function counts as constant
DISTINCT = 1e-7  # relative difference above which two functions count as different
HIGHEST_DEGREE = 8
REACHES = (6e-6, 6e-3, 6.0, 6e3, 6e6)  # what is constant must be so at every scale
DICTIONARY = 12  # functions φ(b_i z + c_i)
SINGULAR = 1e-8


def _grid(reach: float = 6.0, count: int = 240) -> np.ndarray:
    """Points in general position, the same each time."""
    return np.random.default_rng(0).uniform(-reach, reach, count)


def _everywhere() -> np.ndarray:
    """Points at every scale."""
    return np.concatenate([_grid(reach) for reach in REACHES])


# ---------------------------------------------------------------------------------------------- sums


def sums_finding(phi: Activation) -> Finding:
    """Whether a sum of dilations with distinct |b_i| may be constant."""
    if not _has_values(phi):
        return Finding(SUMS, None, "numeric", CONSTANT, "not asked: φ has no finite values somewhere")
    found = _proof(phi) or _constant_dilations(phi) or _constant_shift(phi)
    if found is not None:
        return found
    if not phi.smooth:
        return Finding(SUMS, None, "numeric", CONSTANT, "not asked: φ is not smooth")
    return _no_relation(phi)


def _has_values(phi: Activation) -> bool:
    """Are φ and φ' finite near 0? Far out they may overflow."""
    z = _grid()
    return bool(np.isfinite(phi.at(z)).all() and np.isfinite(phi.derivative.at(z)).all())


def _proof(phi: Activation) -> Finding | None:
    """That no such sum is constant, where φ is analytic; or None."""
    if not phi.smooth:
        return None
    before, after = phi.tails
    if before and after and before.polynomial and after.polynomial and not _is_polynomial(phi, before, after):
        words = "no sum is constant: φ is analytic and no polynomial, but polynomial at ±∞ up to less than any power"
        return Finding(SUMS, True, "symbolic", None, words)
    for function, name in ((phi, "φ"), (phi.derivative, "φ'")):
        ends = [x for x in function.tails if x is not None]
        if _has_few_singularities(function) and any(k < 0 for x in ends for k in x.terms):
            words = f"no sum is constant: {name} has finitely many complex singularities, nearest for the largest |b_i|"
            return Finding(SUMS, True, "symbolic", None, words)
    return None


def _is_polynomial(phi: Activation, before: Tail, after: Tail) -> bool:
    """Is φ one polynomial, as both its ends and its values say?"""
    mirrored = {k: c * (-1) ** int(k) for k, c in before.terms.items()}
    powers = {*mirrored, *after.terms}
    sizes = [abs(mirrored.get(k, 0.0)) + abs(after.terms.get(k, 0.0)) for k in powers]
    gaps = [abs(mirrored.get(k, 0.0) - after.terms.get(k, 0.0)) for k in powers]
    if any(g > DISTINCT * s for g, s in zip(gaps, sizes, strict=True)):
        return False
    z = _everywhere()
    expected = sum((c * z**k for k, c in after.terms.items()), np.zeros_like(z))
    found = phi.at(z)
    size = np.maximum(np.abs(found), np.abs(expected)) + sum((np.abs(c * z**k) for k, c in after.terms.items()))
    return bool(np.all(np.abs(found - expected) <= DISTINCT * size))


_RATIONAL = {"ref", "add", "sub", "neg", "mul", "div", "pow"}
_ALGEBRAIC = _RATIONAL | {"sqrt"}
_LOGARITHMIC = {"log", "arctan"}


def _has_few_singularities(function: Activation) -> bool:
    """Is it a polynomial in algebraic functions, and in logarithms and arc tangents of such?"""
    if not _consists_of(function, _ALGEBRAIC | _LOGARITHMIC):
        return False
    nodes = [node for node, _, _ in ranges(function.expr, function.env, {})]
    inner = [Activation(a, function.env) for x in nodes for a in x.args if _is_singular_in(x, a)]
    return all(_consists_of(x, _ALGEBRAIC) for x in inner)


def _is_singular_in(node: Expr, argument: Expr) -> bool:
    if node.op == "div":
        return argument is node.args[1]
    return node.op in ("sqrt", "log", "arctan") or (node.op == "pow" and not _is_whole(node.args[1]))


def _is_whole(exponent: Expr) -> bool:
    """A whole number, 0 or more, as it stands."""
    k = exponent.value
    return isinstance(k, Fraction) and k.denominator == 1 and k >= 0


def _consists_of(function: Activation, operations: set[str]) -> bool:
    """Is all that varies in a function made of these operations, powers being constant?"""
    nodes = [node for node, _, _ in ranges(function.expr, function.env, {})]
    return all(x.op in operations and not (x.op == "pow" and leaves(x.args[1], "ref")) for x in nodes)


def _is_written_as_polynomial(phi: Activation) -> bool:
    nodes = [node for node, _, _ in ranges(phi.expr, phi.env, {})]
    whole = all(_is_whole(x.args[1]) for x in nodes if x.op == "pow")
    divisors = [x.args[1] for x in nodes if x.op == "div"]
    return whole and _consists_of(phi, _RATIONAL) and not any(leaves(x, "ref") for x in divisors)


def _constant_dilations(phi: Activation) -> Finding | None:
    """Σ_i (-1)^i binom(d + 1, i) φ(i z) for d = 0, 1, …: constant for polynomials, and for homogeneous functions."""
    for degree in range(HIGHEST_DEGREE + 1):
        weights = [(-1) ** i * math.comb(degree + 1, i) for i in range(1, degree + 2)]
        if all(_cancel([a * phi.at(i * _grid(r)) for i, a in enumerate(weights, 1)]) for r in REACHES):
            how, tolerance = ("symbolic", None) if _is_written_as_polynomial(phi) else ("numeric", CONSTANT)
            return Finding(SUMS, False, how, tolerance, f"{_sum_text(weights)} is constant")
    return None


def _sum_text(weights: list[int]) -> str:
    """Σ_i weights[i] φ((i + 1) z) in words."""
    if len(weights) == 1:
        return "φ"
    terms = [f"{abs(a) if abs(a) > 1 else ''} φ({i if i > 1 else ''} z)" for i, a in enumerate(weights, 1)]
    signs = [" - " if a < 0 else " + " for a in weights]
    text = "".join(s + t.strip().replace("( z", "(z") for s, t in zip(signs, terms, strict=True))
    return text[3:] if text.startswith(" + ") else "-" + text[3:]


def _cancel(parts: list[np.ndarray]) -> bool:
    """Is a sum constant where all of its parts have values?"""
    total, size = sum(parts, np.zeros_like(parts[0])), np.sum(np.abs(parts), axis=0)
    good = np.isfinite(size)
    return bool(good.any() and np.ptp(total[good]) <= CONSTANT * np.max(size[good]))


def _constant_shift(phi: Activation) -> Finding | None:
    """φ(z + T) - φ(z) for periods T of the waves in φ. It has equal b_i, so this decides nothing."""
    for rate in sorted(_rates(phi)):
        period = 2 * math.pi / rate
        z = _grid(3 * period)
        if _cancel([phi.at(z + period), -phi.at(z)]):
            words = f"φ(z + {period:.6g}) - φ(z) is constant, a sum with b_1 = b_2: not GOOD if that is admissible"
            return Finding(SUMS, None, "numeric", CONSTANT, words)
    return None


def _rates(phi: Activation) -> set[float]:
    """|α| of every sin(αz + β) and cos(αz + β), and the rates of which two of them are multiples."""
    found: set[float] = set()
    for node, _, _ in ranges(phi.expr, phi.env, {}):
        if node.op in ("sin", "cos"):
            slope = Activation(node.args[0], phi.env).derivative
            if not leaves(slope.expr, "ref"):
                found.add(abs(float(slope.at(np.zeros(1))[0])))
    found.discard(0.0)
    return {r for r in found | {_common(a, b) for a in found for b in found} if r}


def _common(a: float, b: float) -> float:
    """The greatest rate of which both are small multiples; 0 if there is none."""
    ratio = Fraction(a / b).limit_denominator(64)
    return b / ratio.denominator if abs(a / b - float(ratio)) < CONSTANT else 0.0


def _no_relation(phi: Activation) -> Finding:
    """The smallest singular value of random dilations and 1, each of length 1: no proof of anything."""
    rng, z = np.random.default_rng(1), _grid(count=2000)
    slopes = np.geomspace(0.3, 3.0, DICTIONARY) * rng.choice([-1, 1], DICTIONARY)
    shifts = rng.uniform(-1, 1, DICTIONARY)
    columns = np.array([np.ones_like(z)] + [phi.at(b * z + c) for b, c in zip(slopes, shifts, strict=True)])
    lengths = np.linalg.norm(columns, axis=1)
    if not np.isfinite(lengths).all() or not lengths.all():
        return Finding(SUMS, None, "numeric", SINGULAR, "not decided: φ overflows or vanishes")
    least = float(np.linalg.svd(columns / lengths[:, None], compute_uv=False)[-1])
    words = f"no relation among {DICTIONARY} random dilations and 1" if least > SINGULAR else "not decided"
    words += f" (smallest singular value {least:.1e}), which proves nothing"
    return Finding(SUMS, None, "numeric", SINGULAR, words)


# ---------------------------------------------------------------------------------------------- product


def product_finding(phi: Activation) -> Finding:
    """Whether (r_1 + φ)(r_2 + φ') can be constant."""
    if not _has_values(phi):
        return Finding(PRODUCT, None, "numeric", CONSTANT, "not asked: φ has no finite values somewhere")
    slopes, errors = phi.derivative.with_errors(_everywhere())
    good = np.isfinite(slopes) & np.isfinite(errors)
    slopes, errors = slopes[good], errors[good]
    if np.max(slopes - errors) <= np.min(slopes + errors):
        plain = not leaves(phi.derivative.expr, "ref")
        how, tolerance = ("symbolic", None) if plain else ("numeric", float(np.max(errors)))
        words = f"(r_1 + φ)(r_2 + φ') is 0 at r_2 = {-float(np.mean(slopes)) + 0.0:.4g}: φ' is constant"
        return Finding(PRODUCT, False, how, tolerance, words)
    turns = bool(np.max(slopes - errors) > 0 > np.min(slopes + errors))
    reason = _not_lambert(phi, turns) if phi.smooth else ""
    if reason:
        words = f"(r_1 + φ)(r_2 + φ') is not constant: φ is not affine, and {reason}"
        return Finding(PRODUCT, True, "symbolic", None, words)
    return _least_squares(phi)


def _not_lambert(phi: Activation, turns: bool) -> str:
    """Why φ is not the one family that meets the equation; empty if we cannot tell."""
    if math.isfinite(phi.range.low) and math.isfinite(phi.range.high):
        return "it is bounded"
    if all(x is not None and (x.huge or x.error < 0) for x in phi.tails):
        return "its ends are no line plus a logarithm"
    return "it is not monotone" if turns else ""


def _least_squares(phi: Activation) -> Finding:
    """φφ' + r_1 φ' + r_2 φ = c - r_1 r_2 is linear in r_1, r_2 and the right-hand side, which is free."""
    fits = [fit for fit in (_fit(phi, _grid(reach)) for reach in REACHES) if fit is not None]
    if not fits:
        return Finding(PRODUCT, None, "numeric", CONSTANT, "not decided: φ or φ' vanishes at all points looked at")
    spread = max(x[0] for x in fits)
    if spread > CONSTANT:
        words = f"(r_1 + φ)(r_2 + φ') varies by {spread:.1e} of its size at the best r_1 and r_2"
        return Finding(PRODUCT, True, "numeric", CONSTANT, words)
    _, r1, r2, constant = fits[len(fits) // 2]
    words = f"(r_1 + φ)(r_2 + φ') = {constant:.4g} almost everywhere, at r_1 = {r1:.4g} and r_2 = {r2:.4g}"
    return Finding(PRODUCT, False, "numeric", CONSTANT, words)


def _fit(phi: Activation, z: np.ndarray) -> tuple[float, float, float, float] | None:
    """The spread of the product relative to its size, the best r_1 and r_2, and its mean."""
    at, slopes = phi.at(z), phi.derivative.at(z)
    good = np.isfinite(at * slopes)
    at, slopes = at[good], slopes[good]
    size = float(np.max(np.abs(at), initial=0.0)), float(np.max(np.abs(slopes), initial=0.0))
    if len(at) < 20 or not all(size):
        return None
    x, y = at / size[0], slopes / size[1]
    (r1, r2, _), *_ = np.linalg.lstsq(np.stack([y, x, np.ones_like(x)], axis=1), -x * y, rcond=1e-13)
    product = (r1 + x) * (r2 + y)
    spread = float(np.ptp(product) / np.max((abs(r1) + np.abs(x)) * (abs(r2) + np.abs(y))))
    r1, r2, mean = (0.0 if abs(v) < 1e-12 else float(v) for v in (r1, r2, np.mean(product)))
    return spread, r1 * size[0], r2 * size[1], mean * size[0] * size[1]
