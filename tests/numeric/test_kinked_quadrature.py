"""Kinked functions as users write them: E φ(u) ψ(v) to 1e-8, and never further off than stated."""

from math import sqrt

import numpy as np
import pytest

from tpl.core.text import parse_program
from tpl.limit.law import Law
from tpl.numeric.evaluate import evaluate_law

sigmoid = lambda z: (1 + np.tanh(z / 2)) / 2  # noqa: E731
relu = lambda z: np.maximum(z, 0.0)  # noqa: E731

# What a program says, the same in numpy, and where it has kinks or bends.
FUNCTIONS = {
    "clip": ("max($, -1) - min($, 2)", lambda z: np.maximum(z, -1) - np.minimum(z, 2), (-1.0, 2.0)),
    "bent tanh": ("abs($ - 1) * tanh($)", lambda z: np.abs(z - 1) * np.tanh(z), (0.0, 1.0)),
    "wave": ("relu($)^2 * sin($)", lambda z: relu(z) ** 2 * np.sin(z), (0.0,)),
    "jump": ("step($ - 0.3) * $", lambda z: (z > 0.3) * z, (0.3,)),
    "leaky": ("max($ + 0.2, 0.1 * $)", lambda z: np.maximum(z + 0.2, 0.1 * z), (-2 / 9,)),
    "curved": ("relu(tanh($) - 0.2)", lambda z: relu(np.tanh(z) - 0.2), (0.0, np.arctanh(0.2))),
    "soft": ("relu(abs($) - 0.7) * sign($)", lambda z: relu(np.abs(z) - 0.7) * np.sign(z), (-0.7, 0.7)),
    "gate": ("sigmoid($)", sigmoid, (0.0,)),
}
PAIRS = [("clip", "clip"), ("bent tanh", "jump"), ("wave", "leaky"), ("jump", "jump"), ("curved", "curved"),
         ("soft", "gate"), ("leaky", "clip"), ("curved", "wave")]  # fmt: skip
VARIANCES = [(1.0, 1.0), (1e-6, 2.0), (30.0, 0.5), (1e6, 1e6)]
CORRELATIONS = [-1.0, -1 + 1e-9, -0.6, 0.0, 0.95, 1 - 1e-12, 1.0]


def nodes(cuts):
    """Gauss-Legendre nodes and weights of the normal law, [lines, points], graded by thirds towards every cut."""
    steps = 3.0 ** -np.arange(-2, 22)
    offsets = np.concatenate([-steps, [0.0], steps])
    edges = (cuts[:, :, None] + offsets).reshape(len(cuts), -1)
    edges = np.sort(
        np.clip(np.concatenate([edges, np.tile(np.arange(-9.0, 10), (len(cuts), 1))], axis=1), -9, 9), axis=1
    )
    x, w = np.polynomial.legendre.leggauss(14)
    length = np.diff(edges, axis=1)[:, :, None]
    points = edges[:, :-1, None] + length * (1 + x) / 2
    weights = length * w / 2 * np.exp(-(points**2) / 2) / sqrt(2 * np.pi)
    return points.reshape(len(cuts), -1), weights.reshape(len(cuts), -1)


def reference(first, second, q1, q2, rho):
    """∫ φ(√q1 s) ∫ ψ(√q2 (ρ s + r t)), each integral graded towards its kinks, and towards those of what is inside."""
    (_, phi, kinks), (_, psi, others) = FUNCTIONS[first], FUNCTIONS[second]
    r = sqrt(max(0.0, (1 - rho) * (1 + rho)))
    seen = [k / rho / sqrt(q2) for k in others] if abs(rho) > 0.1 else []
    s, weights = nodes(np.array([[k / sqrt(q1) for k in kinks] + seen]))
    s, weights = s[0][weights[0] > 1e-22], weights[0][weights[0] > 1e-22]
    if r == 0:
        return weights @ (phi(sqrt(q1) * s) * psi(sqrt(q2) * rho * s))
    total = 0.0
    for part in np.array_split(np.arange(len(s)), 20):
        here = s[part]
        t, inner = nodes((np.array(others) / sqrt(q2) - rho * here[:, None]) / r)
        v = sqrt(q2) * (rho * here[:, None] + r * t)
        total += weights[part] @ (phi(sqrt(q1) * here) * np.sum(psi(v) * inner, axis=1))
    return total


def by_tpl(first, second, q1, q2, rho):
    text = FUNCTIONS[first][0].replace("$", "u"), FUNCTIONS[second][0].replace("$", "v")
    row = [rho * sqrt(q2), sqrt(max(0.0, (1 - rho) * (1 + rho))) * sqrt(q2)]
    program = parse_program(
        f"width n\nU : [n, 2] ~ N(0, 1)\nu = U @ [{sqrt(q1)!r}, 0.0]\nv = U @ {row}\n"
        f't = avg(({text[0]}) * ({text[1]}) + 0 * u + 0 * v)\nshow "t" [] = t'
    )
    found = evaluate_law(Law(program), list(program.shows[0].lines))
    return found.value[0], found.error[0]


def deviation(pair, q, rho):
    """Distance from the reference and stated error, relative to the size of the functions, if they are not 0."""
    size = sqrt(np.prod([reference(f, f, s, s, 1.0) for f, s in zip(pair, q, strict=True)]))
    size = size or 1.0  # a function that is 0 wherever the law goes
    value, error = by_tpl(*pair, *q, rho)
    return abs(value - reference(*pair, *q, rho)) / size, error / size


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize(
    "q", [VARIANCES[0], *(pytest.param(q, marks=pytest.mark.slow) for q in VARIANCES[1:])], ids=str
)
@pytest.mark.parametrize("rho", CORRELATIONS)
def test_kinked_functions(pair, q, rho):
    if "wave" in pair and max(q) > 50:
        pytest.skip("thousands of turns")
    distance, error = deviation(pair, q, rho)
    assert distance <= 1e-8
    assert distance <= 2 * error + 2e-13, "an honest error, but for the rounding of the reference"


def on_a_line(text):
    program = parse_program(f'width n\nu : [n] ~ N(0, 1)\nt = avg({text})\nshow "t" [] = t')
    found = evaluate_law(Law(program), list(program.shows[0].lines))
    return found.value[0], found.error[0]


@pytest.mark.parametrize(
    ("text", "function", "step"),
    [
        ("exp(-(100 * (u^2 - 1))^2)", lambda z: np.exp(-((100 * (z**2 - 1)) ** 2)), 1e-4),
        ("exp(-(50 * (exp(u) - 2))^2)", lambda z: np.exp(-((50 * (np.exp(z) - 2)) ** 2)), 1e-4),
        ("cos(60 * u)^2 * u^2", lambda z: np.cos(60 * z) ** 2 * z**2, 1e-3),
        ("1 / (1 + (100 * sin(u) - 50)^2)", lambda z: 1 / (1 + (100 * np.sin(z) - 50) ** 2), 1e-4),
    ],
)
def test_steep_places_inside_functions_and_fast_waves(text, function, step):
    """Equal steps far below every scale, for which such sums are exact to rounding."""
    z = step * np.arange(-int(9 / step), int(9 / step) + 1)
    truth = np.sum(function(z) * np.exp(-(z**2) / 2)) * step / sqrt(2 * np.pi)
    value, error = on_a_line(text)
    assert abs(value - truth) <= 2 * error + 1e-13
    assert abs(value - truth) <= 1e-10
