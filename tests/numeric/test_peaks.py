"""Functions with many narrow peaks, which panels miss: a longer Hermite series on a finer grid takes them."""

import mpmath
import pytest

import tpl

PEAKS = """
width n
random u : [n] ~ N(0, 1)
random e : [n] ~ N(0, 1)
const rho = {rho}
v = rho * u + sqrt(1 - rho^2) * e
show avg(1 / ({a} + cos({w} * u)) * (1 / ({a} + cos({w} * v))))
"""


def truth(a, w, rho, terms=60):
    """1/(a + cos x) = Σ_n (2 - δ_n0) (-r)^n cos(n x)/s with s = √(a² - 1), r = a - s; and E cos(n u) cos(m v) is known."""
    with mpmath.workdps(60):
        a, w, rho = (mpmath.mpf(x) for x in (a, w, rho))
        s = mpmath.sqrt(a * a - 1)
        r = a - s
        weights = [(2 - (n == 0)) * (-r) ** n for n in range(terms)]
        products = (
            weights[n] * weights[m] * mpmath.exp(-w * w * (n * n + m * m) / 2) * mpmath.cosh(w * w * rho * n * m)
            for n in range(terms)
            for m in range(terms)
        )
        return mpmath.fsum(products) / (s * s)


@pytest.mark.parametrize(("a", "w", "rho"), [("1.001", "5", "0.5"), ("1.001", "5", "-0.9"), ("1.01", "7", "0.8")])
def test_peaks_are_found_and_the_bound_holds(a, w, rho):
    run = tpl.loads(PEAKS.format(a=a, w=w, rho=f"({rho})")).run(method="law")
    (found,), (choice,) = run, run.plan
    exact = truth(a, w, rho)
    assert abs(mpmath.mpf(float(found.value)) - exact) <= float(found.error) <= 1e-9 * exact
    assert choice.method == "Hermite series"
    assert [name for name, _ in choice.declined] == ["closed form", "Hermite series"]
