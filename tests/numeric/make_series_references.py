"""Reference values of E φ(u) φ(v) for smooth φ: writes series_references.json beside this file.

    PYTHONPATH=. python tests/numeric/make_series_references.py      (from the repository root; a quarter of an hour)

No Hermite polynomials. In 60-digit arithmetic, on equal steps h of both variables, the sum of φ(√q1 h i) φ(√q2 h j)
times the bivariate density, whose values follow one another by multiplication from their peak in each row; the step is
halved until two sums agree to 1e-24. Near |ρ| = 1, where that density is a ridge, Price's theorem expands in 1 - |ρ|:
∂^k E φ(u) ψ(v)/∂ρ^k = (q1 q2)^(k/2) E φ^(k)(u) ψ^(k)(v), to second order, in one dimension. 25 digits are written.
"""

import json
from functools import cache
from pathlib import Path

from mpmath import mp

from tpl.core.gradient import partial_derivatives
from tpl.core.text import parse_program

BITS = 224  # of the fixed-point numbers: 60 digits, and guards
AGREEMENT = mp.mpf("1e-24")
REACH = 13
OUTPUT = Path(__file__).with_name("series_references.json")

FUNCTIONS = {
    "tanh": "tanh(x)", "silu": "silu(x)", "softplus": "softplus(x)", "sigmoid": "sigmoid(x)", "arctan": "arctan(x)",
    "z tanh": "x * tanh(x)", "tanh cubed": "tanh(x)^3", "log": "log(1 + x^2)", "cauchy": "1 / (1 + x^2)",
    "wave": "sin(x) * exp(-x^2 / 2)", "bell": "exp(-x^2)", "swish": "x * sigmoid(1.7 * x)",
    "mish": "x * tanh(log(1 + exp(x)))", "shifted": "tanh(2 * x - 1)", "bump": "exp(-(3 * (x - 0.5))^2)",
    "cancelling": "1 - cos(x)", "root": "sqrt(1 + x^2)",
}  # fmt: skip

CORRELATIONS = (0.0, 0.5, -0.9, 0.99, 1 - 1e-12, -(1 - 1e-12), 1.0, -1.0)
VARIANCES = ((1e-6, 1e-6), (1.0, 1.0), (10.0, 10.0), (0.7, 2.3), (1e-6, 10.0), (100.0, 100.0), (1e4, 1e4))


def points():
    """(q1, q2, c) in float64. In between 0 and 1 only where a grid of both variables can resolve the function."""
    return [(a, b, r * (a * b) ** 0.5) for a, b in VARIANCES for r in CORRELATIONS
            if abs(r) in (0, 1) or max(a, b) <= 10 or (max(a, b) == 100 and r == 0.5)]  # fmt: skip


RULES = {
    "add": lambda *a: mp.fsum(a), "sub": lambda a, b: a - b, "neg": lambda a: -a, "mul": lambda *a: mp.fprod(a),
    "div": lambda a, b: a / b, "pow": lambda a, b: a ** int(b), "exp": mp.exp, "sqrt": mp.sqrt, "tanh": mp.tanh,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)), "softplus": lambda z: mp.log1p(mp.exp(z)), "sin": mp.sin, "cos": mp.cos,
    "silu": lambda z: z / (1 + mp.exp(-z)), "log": mp.log, "arctan": mp.atan,
}  # fmt: skip


def expression(text):
    """An expression of ref(0) as a program writes it."""
    program = parse_program(f'width n\nx : [n] ~ N(0, 1)\ny = {text}\nt = avg(y)\nshow "t" [] = t')
    return program.lines[1].expr


def evaluate(expr, z):
    if expr.op == "ref":
        return z
    if expr.op == "number":
        return (
            mp.mpf(expr.value)
            if isinstance(expr.value, float)
            else mp.mpf(expr.value.numerator) / expr.value.denominator
        )
    return RULES[expr.op](*(evaluate(a, z) for a in expr.args))


@cache
def density(step):
    """Of the standard normal law on the grid."""
    count = int(REACH / step)
    return [mp.npdf(step * i) for i in range(-count, count + 1)]


class Reference:
    """E φ(u) φ(v) at one pair of variances; values of φ on grids are remembered."""

    def __init__(self, text, q1, q2):
        derivatives = [expression(text)]
        for _ in range(2):
            derivatives.append(partial_derivatives(derivatives[-1], {0})[0][1])
        self.derivatives = derivatives
        self.roots = mp.sqrt(mp.mpf(q1)), mp.sqrt(mp.mpf(q2))
        self.values = cache(self._values)

    def _values(self, order, side, step):
        count = int(REACH / step)
        return [evaluate(self.derivatives[order], self.roots[side] * step * i) for i in range(-count, count + 1)]

    def at(self, c):
        rho = mp.mpf(c) / self.roots[0] / self.roots[1]
        rho = max(-mp.one, min(mp.one, rho))
        if rho == 0:
            return mp.fprod(self.settled(lambda step, k=k: self.mean(step, k), mp.mpf("0.2")) for k in (0, 1))
        if abs(rho) < 0.999:
            return self.settled(lambda step: self.plane(step, rho), mp.mpf("0.2"))
        short = rho - mp.sign(rho)
        terms = (
            self.settled(lambda step, k=k: self.line(step, k, mp.sign(rho)), mp.mpf("0.2"))
            for k in range(3 if short else 1)
        )
        return mp.fsum(t * (short * self.roots[0] * self.roots[1]) ** k / mp.factorial(k) for k, t in enumerate(terms))

    def settled(self, integral, step):
        last = integral(step)
        while True:
            step /= 2
            found = integral(step)
            if abs(found - last) <= AGREEMENT * self.size:
                return found
            last = found

    @property
    def size(self):
        """√(E φ(u)² E φ(v)²), roughly."""
        step = mp.mpf("0.1")
        squares = (
            mp.fsum(f**2 * p * step for f, p in zip(self.values(0, k, step), density(step), strict=True))
            for k in (0, 1)
        )
        return mp.sqrt(mp.fprod(squares))

    def mean(self, step, side):
        values = self.values(0, side, step)
        return step * mp.fsum(map(mp.fmul, values, density(step)))

    def line(self, step, order, sign):
        first, second = self.values(order, 0, step), self.values(order, 1, step)
        triples = zip(first, second if sign > 0 else second[::-1], density(step), strict=True)
        return step * mp.fsum(a * b * p for a, b, p in triples)

    def plane(self, step, rho):
        one = 1 << BITS
        scale = max(map(abs, self.values(0, 1, step)))
        first = self.values(0, 0, step)
        second = [int(f / scale * one) for f in self.values(0, 1, step)]
        count = len(first) // 2
        narrow = step**2 / (1 - rho**2)
        turn = int(mp.exp(-narrow) * one)
        total = mp.zero
        for i, f in zip(range(-count, count + 1), first, strict=True):
            peak = int(mp.nint(rho * i))
            top = int(mp.exp(-narrow * (peak - rho * i) ** 2 / 2) * one)
            row = top * second[peak + count] >> BITS
            for way in (1, -1):
                weight, j = top, peak
                ratio = int(mp.exp(-narrow * (mp.mpf(1) / 2 + way * (peak - rho * i))) * one)
                while weight and abs(j + way) <= count:
                    j += way
                    weight = weight * ratio >> BITS
                    ratio = ratio * turn >> BITS
                    row += weight * second[j + count] >> BITS
            total += f * row * mp.exp(-((step * i) ** 2) / 2)
        return total / one * scale * step**2 / (2 * mp.pi * mp.sqrt(1 - rho**2))


def main():
    mp.dps = 60
    done = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
    for name, text in FUNCTIONS.items():
        if done.get(name, {}).get("text") == text:
            continue
        found, references = [], {}
        for q1, q2, c in points():
            reference = references.setdefault((q1, q2), Reference(text, q1, q2))
            found.append([q1, q2, c, mp.nstr(reference.at(c), 25)])
        done[name] = {"text": text, "points": found}
        OUTPUT.write_text(json.dumps(done, ensure_ascii=False, indent=0), encoding="utf-8")
        print(name, flush=True)


if __name__ == "__main__":
    main()
