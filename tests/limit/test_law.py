"""The law: known values, structure that must be found exactly, degenerate programs, long ones."""

import time
from math import comb, pi, sqrt

import numpy as np
import pytest
import sympy

import tpl
from tpl.core.text import parse_program
from tpl.limit.calculus import NoLaw
from tpl.limit.law import Law
from tpl.numeric.chains import NotDefined
from tpl.numeric.evaluate import evaluate_law
from tpl.sampling.estimate import sample_limit


def law_of(text):
    program = parse_program("\n".join(line.strip() for line in text.splitlines()))
    return program, Law(program)


def numbers(text):
    program, law = law_of(text)
    return evaluate_law(law, list(program.shows[0].lines)).value


def exact(text):
    """The shown values in sympy, definitions put in."""
    program, law = law_of(text)

    def written(value):
        inside = {s: law.calculus.quantities[int(s.name[1:])].definition for s in value.free_symbols}
        return written(value.xreplace(inside)) if inside else sympy.simplify(value)

    return [written(law.scalars[i]) for i in program.shows[0].lines]


def agrees(text, samples=4096, replicates=24):
    """The law's values, which particles confirm."""
    program, law = law_of(text)
    found = evaluate_law(law, list(program.shows[0].lines))
    particles = sample_limit(program, samples=samples, replicates=replicates, threads=1)[0]
    assert np.all(np.abs(particles.value - found.value) <= 5 * np.hypot(particles.error, found.error) + 1e-9)
    return found.value


# ---------------------------------------------------------------------------------------------- known values


def test_transpose_correction():
    (value,) = numbers("""
        width n
        W : [n, n] ~ N(0, 1 / n)
        x : [n] ~ N(0, 1)
        y = W @ x
        t = tanh(y)
        z = W.T @ t
        a = avg(x * z)
        show "a" [] = a
    """)
    assert value == pytest.approx(0.605705509602159, abs=1e-12)


def test_the_semicircle_law_is_exact():
    lines = ["width n", "A : [n, n] ~ N(0, 1 / n)", "x0 : [n] ~ N(0, 1)"]
    for k in range(8):
        lines += [f"a{k} = A @ x{k}", f"b{k} = A.T @ x{k}", f"x{k + 1} = (a{k} + b{k}) / sqrt(2)"]
    lines += [f"m{k} = avg(x0 * x{2 * k})" for k in range(1, 5)]
    lines += ['show "moments" [4] = m1, m2, m3, m4']
    assert exact("\n".join(lines)) == [1, 2, 5, 14]


@pytest.mark.parametrize("ratio", ["1", "2", "1/2"])
def test_the_marchenko_pastur_law_is_exact(ratio):
    """A : [m, n] with variance 1/m, n/m = ratio: moments Σ_j ratio^j C(k, j) C(k - 1, j) / (j + 1)."""
    r = sympy.Rational(ratio)
    lines = ["width n", f"width m = {1 / r} * n", "A : [m, n] ~ N(0, 1 / m)", "x0 : [n] ~ N(0, 1)"]
    for k in range(4):
        lines += [f"y{k} = A @ x{k}", f"x{k + 1} = A.T @ y{k}", f"m{k + 1} = avg(x0 * x{k + 1})"]
    lines += ['show "moments" [4] = m1, m2, m3, m4']
    expected = [sum(r**j * comb(k, j) * comb(k - 1, j) / sympy.Integer(j + 1) for j in range(k)) for k in range(1, 5)]
    found = exact("\n".join(lines))
    assert found == expected
    assert all(value.is_Rational for value in found)


def test_the_onsager_term_cancels_the_correction():
    text = """
        width n
        width m = 1/2 * n
        A : [m, n] ~ N(0, 1 / m)
        x0 : [n] ~ N(0, 1)
        y = A @ x0
        r1 = A.T @ y
        x1 = tanh(r1)
        b = avg(1 - tanh(r1)^2)
        a1 = A @ x1
        z2 = y - a1 + 2 * b * y
        d = A @ x0
        c = avg(z2 * y)
        s = avg(tanh(r1) * x0)
        show "values" [2] = c, s
    """
    program, law = law_of(text)
    names = [line.name for line in program.lines]
    (correction,) = law.corrections[names.index("a1")]
    assert names[correction.vector] == "y"
    # Ż of A x1 is 2 b Z^y: the coefficient is the Onsager term's
    z2 = law.z[names.index("z2")]
    terms = law.calculus.algebra.expand(z2)
    lines = {law.calculus.leaves[t.powers[0][0]].line for t in terms}
    evaluated = evaluate_law(law, list(program.shows[0].lines)).value
    c, s = evaluated
    assert lines  # Gaussian: no factor is left
    assert all(not t.factors for t in terms)
    assert c == pytest.approx(2 - 2 * s, abs=1e-10)  # E z2 y = E x0² 2 - 2 E x0 x1: as if A were fresh


def test_the_arc_cosine_kernel():
    text = """
        width n
        U : [n, 2] ~ N(0, 1)
        a = U @ [1.0, 0.0]
        b = U @ [{c}, {s}]
        k = avg(relu(a) * relu(b))
        show "k" [] = k
    """
    for angle in (0.0, 1e-7, 1e-3, 0.5, 1.5, 3.0, pi - 1e-6):
        (value,) = numbers(text.format(c=repr(float(np.cos(angle))), s=repr(float(np.sin(angle)))))
        expected = (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi)
        assert value == pytest.approx(expected, abs=1e-12)


# ---------------------------------------------------------------------------------------------- structure


@pytest.mark.parametrize("name", ["mlp", "rnn", "resnet", "conv1d"])
def test_gradient_independence_is_found(name):
    program = tpl.load(name).program
    law = Law(program)
    backward = [c for i, c in law.corrections.items() if program.lines[i].origin.derived]
    assert backward
    assert not any(backward)


def test_gradient_independence_fails_for_tied_readouts():
    text = """
        width n
        W : [n, n] ~ N(0, 1 / n)
        v : [n] ~ N(0, 1)
        h = W @ v
        x = tanh(h)
        g = W.T @ x
        d = avg(g * v)
        show "d" [] = d
    """
    _, law = law_of(text)
    assert any(law.corrections.values())


def test_constants_may_be_called_like_quantities():
    values = numbers("""
        width n
        const q0 = 3
        x : [n] ~ N(0, 1)
        a = avg(tanh(x)^2)
        b = a * q0
        y = q0 * x
        c = avg(y * y)
        show "s" [3] = a, b, c
    """)
    assert values == pytest.approx([0.394294490397840, 3 * 0.394294490397840, 9.0], abs=1e-12)


# ---------------------------------------------------------------------------------------------- degenerate programs

DEGENERATE = {
    "equal products": """
        a = W.T @ x
        b = W.T @ x
        y = step(a + b - 0.5)
        g = W @ y
        t = avg(g * x)
    """,
    "products of equal vectors": """
        x1 = 2 * x
        x2 = x + x
        a = W.T @ x1
        b = W.T @ x2
        y = sign(a) * step(b)
        g = W @ y
        t = avg(g * x)
    """,
    "dependent products": """
        x2 = x + 1
        o = x2 - x
        a = W.T @ x
        b = W.T @ x2
        c = W.T @ o
        y = step(a + b) * step(c)
        g = W @ y
        t = avg(g * x)
    """,
    "opposite vectors": """
        x1 = tanh(x)
        x2 = tanh(-x)
        a = W.T @ x1
        b = W.T @ x2
        y = step(a) - step(b)
        g = W @ y
        t = avg(g * x)
    """,
    "a vector that is zero in disguise": """
        x1 = tanh(x) + tanh(-x)
        a = W.T @ x1
        b = W.T @ x
        y = step(a) + step(b)
        g = W @ y
        t = avg(g * x)
    """,
    "zero variance": """
        o : [n] ~ N(0, 0)
        a = W.T @ o
        y = step(a) + a
        g = W @ y
        t = avg(g * x)
    """,
    "a matrix of zeros": """
        V : [n, n] ~ N(0, 0 / n)
        a = V @ x
        y = step(a) * x
        g = V.T @ y
        h = W @ y
        t1 = avg(g * x)
        t2 = avg(h * h)
        t = t1 + t2
    """,
    "a constant in disguise": """
        y = relu(x - x) + step(0 * x)
        g = W @ y
        t = avg(g * g)
    """,
    "equal inputs": """
        U : [n, 2] ~ N(0, 1)
        a = U @ [1.0, 2.0]
        b = U @ [1.0, 2.0]
        c = U @ [-1.0, -2.0]
        z = U @ [0.0, 0.0]
        y = step(a + b) * relu(c) + abs(a - b) + z
        t = avg(y * a)
    """,
    "W W.T W": """
        a = W @ x
        b = W.T @ a
        c = W @ b
        d = W.T @ c
        y = step(d - x)
        g = W @ y
        t = avg(g * c)
    """,
    "jumps of two products": """
        w : [n] ~ N(0, 1)
        a = W.T @ x
        b = W.T @ w
        y = step(a) * sign(b + 0.5)
        g = W @ y
        t = avg(g * w)
    """,
    "tied weights": """
        a = W @ x
        y = sign(a)
        b = W @ y
        z = sign(b)
        c = W.T @ z
        t = avg(c * y)
    """,
    "means": """
        w : [n] ~ N(1, 2)
        a = W @ w
        y = relu(a) * w
        b = W.T @ y
        t = avg(b * w)
    """,
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_programs(case):
    agrees(f'width n\nW : [n, n] ~ N(0, 1 / n)\nx : [n] ~ N(0, 1)\n{DEGENERATE[case]}\nshow "t" [] = t')


def test_ratios_of_widths_enter_corrections_and_covariances():
    value = agrees(
        "width n\nwidth m = 3 * n\nW : [m, n] ~ N(0, 1 / n)\nx : [n] ~ N(0, 1)\ny = W @ x\nr = step(y)\nz = W.T @ r\n"
        'a = avg(x * z)\nb = avg(z * z)\nshow "s" [2] = a, b'
    )
    # Ẑ has variance 3/2; Ż = 3 Z^x E δ(y)
    correction = 3 / sqrt(2 * pi)
    assert value == pytest.approx([correction, 1.5 + correction**2], abs=1e-12)


@pytest.mark.parametrize("bad", ["b = 1 / a", "b = sqrt(a - 1)", "b = log(a)"])
def test_what_is_not_defined_is_refused(bad):
    program = parse_program(f'width n\nx : [n] ~ N(0, 1)\na = avg(tanh(x))\n{bad}\nshow "b" [] = b')
    with pytest.raises((NoLaw, NotDefined)):
        evaluate_law(Law(program), list(program.shows[0].lines))


# ---------------------------------------------------------------------------------------------- long programs


def resnet(depth):
    lines = ["width n", "x0 : [n] ~ N(0, 1)"]
    for k in range(depth):
        lines += [f"W{k} : [n, n] ~ N(0, 1 / n)", f"r{k} = relu(x{k})", f"g{k} = W{k} @ r{k}"]
        lines += [f"x{k + 1} = x{k} + 0.5 * g{k}"]
    return "\n".join([*lines, f"t = avg(x{depth} * x{depth})", 'show "t" [] = t'])


def test_a_resnet_of_depth_100():
    start = time.perf_counter()
    assert numbers(resnet(100)) == pytest.approx([(1 + 0.125) ** 100], rel=1e-9)
    assert time.perf_counter() - start < 20


def recurrent(steps):
    lines = ["width n", "W : [n, n] ~ N(0, 1 / n)", "u : [n] ~ N(0, 0.5)", "x0 = erf(u)"]
    for k in range(steps):
        lines += [f"g{k} = W @ x{k}", f"x{k + 1} = erf(g{k} + u)"]
    return "\n".join([*lines, f"t = avg(x{steps} * x{steps // 2})", 'show "t" [] = t'])


@pytest.mark.slow
def test_a_recurrent_network_of_100_steps():
    start = time.perf_counter()
    (value,) = numbers(recurrent(100))
    assert time.perf_counter() - start < 120
    q = 0.0  # stationary covariance of two far apart times, Williams' kernel
    variance = 0.0
    for _ in range(300):
        variance, q = (2 / pi * np.arcsin(2 * c / (1 + 2 * (variance + 0.5))) for c in (variance + 0.5, q + 0.5))
    assert value == pytest.approx(q, abs=1e-9)


def test_deep_coordinatewise_expressions():
    lines = ["width n", "x0 : [n] ~ N(0, 1)", *(f"x{k + 1} = x{k} - 0.1 * tanh(x{k} + x{k})" for k in range(60))]
    (value,) = numbers("\n".join([*lines, "t = avg(x60 * x60)", 'show "t" [] = t']))
    z = np.linspace(-10, 10, 200_001)
    x = z.copy()
    for _ in range(60):
        x = x - 0.1 * np.tanh(2 * x)
    assert value == pytest.approx(np.trapezoid(x**2 * np.exp(-(z**2) / 2), z) / sqrt(2 * pi), abs=1e-9)
