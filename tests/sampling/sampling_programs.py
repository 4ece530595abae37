"""Core programs for the tests of sampling, built line by line."""

import itertools
from fractions import Fraction

import numpy as np

from tpl.core.builder import Builder
from tpl.core.expr import ONE, ZERO, Expr, add, apply, div, mul, neg, number, power, ref, sub, symbol
from tpl.core.program import Program, Show, verify
from tpl.language.source import Source

HALF = number(Fraction(1, 2))


class Draft:
    """A program under construction. Lines are numbers; expressions refer to them by `ref`."""

    def __init__(self, **widths):
        self.builder = Builder(Source(""), 10**7)
        self.builder.widths = {"n": Fraction(1)} | {name: Fraction(ratio) for name, ratio in widths.items()}
        self.count = 0

    def name(self):
        self.count += 1
        return f"r{self.count}"

    def matrix(self, rows="n", columns="n", scale=ONE):
        size = symbol(columns) if isinstance(columns, str) else number(columns)
        return self.builder.matrix(self.name(), (rows, columns), div(scale, size), False)

    def gaussian(self, width="n", variance=ONE, mean=ZERO):
        return self.builder.gaussian(self.name(), width, mean, variance, False)

    def times(self, matrix, vector):
        return self.builder.matmul(matrix, False, vector)

    def transposed(self, matrix, vector):
        return self.builder.matmul(matrix, True, vector)

    def input(self, matrix, row):
        return self.builder.input(matrix, tuple(map(float, row)))

    def map(self, expr, width="n"):
        return self.builder.map(expr, width)

    def scalar(self, expr):
        return self.builder.map(expr, None)

    def moment(self, expr, width="n"):
        return self.builder.moment(expr, width)

    def show(self, *lines, name=None, shape=None):
        name = name or f"shown{len(self.builder.shows)}"
        self.builder.shows.append(Show(name, (len(lines),) if shape is None else shape, lines))

    def output(self, expr, *biases):
        return self.builder.output(expr, tuple(biases), self.name())

    def program(self) -> Program:
        return verify(self.builder.program(""))


def tanh(x: Expr) -> Expr:
    return apply("tanh", x)


def semicircle(moments: int) -> Program:
    """avg(v * S^2k v), S = (A + A.T)/sqrt(2): the Catalan numbers 1, 2, 5, 14, ..."""
    draft = Draft()
    a, v = draft.matrix(), draft.gaussian()
    x, shown = v, []
    for k in range(2 * moments):
        both = add(ref(draft.times(a, x)), ref(draft.transposed(a, x)))
        x = draft.map(div(both, apply("sqrt", number(2))))
        if k % 2:
            shown.append(draft.moment(mul(ref(v), ref(x))))
    draft.show(*shown)
    return draft.program()


def marchenko_pastur(moments: int, ratio=1) -> Program:
    """avg(v * (A.T A)^k v), A : [m, n] with variance 1/n."""
    draft = Draft(m=ratio)
    a, v = draft.matrix("m", "n"), draft.gaussian()
    x, shown = v, []
    for _ in range(moments):
        x = draft.transposed(a, draft.times(a, x))
        shown.append(draft.moment(mul(ref(v), ref(x))))
    draft.show(*shown)
    return draft.program()


def transpose_correction() -> Program:
    """avg(x * W.T tanh(W x)) -> E[1 - tanh^2]."""
    draft = Draft()
    w, x = draft.matrix(), draft.gaussian()
    z = draft.transposed(w, draft.map(tanh(ref(draft.times(w, x)))))
    draft.show(draft.moment(mul(ref(x), ref(z))), shape=())
    return draft.program()


def alternating(products: int, **widths) -> Program:
    """W and W.T in turn with nonlinearities between; many moments, among them all that gradient independence misses."""
    draft = Draft(**widths)
    m = "m" if widths else "n"
    w, x = draft.matrix(m, "n"), draft.gaussian()
    sides = {"n": [x], m: [x] if m == "n" else []}
    for k in range(products):
        y = draft.transposed(w, x) if k % 2 else draft.times(w, x)
        if k % 2:
            y = draft.map(add(ref(y), mul(HALF, ref(sides["n"][0]))))
        side = "n" if k % 2 else m
        x = draft.map(apply("tanh" if k % 3 else "relu", ref(y)), side)
        sides[side] += [y, x]
    for width, vectors in sides.items():
        last = vectors[-5:]
        draft.show(*(draft.moment(mul(ref(a), ref(b)), width) for a in last for b in last if a <= b))
        pairs = itertools.pairwise(last)
        draft.show(*(draft.moment(mul(ref(a), ref(a), tanh(ref(b))), width) for a, b in pairs))
    return draft.program()


def mlp_tangent_kernel(inputs: int, layers: int = 3, dimension: int = 10) -> Program:
    """The NTK of a tanh network without biases."""
    draft = Draft()
    x = np.random.default_rng(0).standard_normal((inputs, dimension))
    first = draft.matrix("n", dimension)
    hidden = [draft.matrix() for _ in range(layers - 1)]
    v = draft.gaussian()
    h = [[draft.input(first, row) for row in x]]
    for w in hidden:
        h.append([draft.times(w, draft.map(tanh(ref(a)))) for a in h[-1]])
    features = [[draft.map(tanh(ref(a))) for a in layer] for layer in h]
    back = [v] * inputs
    errors = []
    for level in reversed(range(layers)):
        slope = [sub(ONE, power(tanh(ref(a)), number(2))) for a in h[level]]
        errors.insert(0, [draft.map(mul(ref(g), s)) for g, s in zip(back, slope, strict=True)])
        if level:
            back = [draft.transposed(hidden[level - 1], e) for e in errors[0]]
    shown = []
    for a in range(inputs):
        for b in range(inputs):
            terms = [draft.builder.inner(features[-1][a], features[-1][b])]
            for level in range(layers):
                same = number(float(x[a] @ x[b]) / dimension)
                below = same if level == 0 else draft.builder.inner(features[level - 1][a], features[level - 1][b])
                terms.append(mul(draft.builder.inner(errors[level][a], errors[level][b]), below))
            shown.append(draft.scalar(add(*terms)))
    draft.show(*shown, name="ntk", shape=(inputs, inputs))
    return draft.program()


def training(steps: int, inputs: int = 3, rate: float = 0.3) -> Program:
    """Gradient descent in the muP limit, two hidden layers: long sums, and scalars that feed vectors."""
    draft = Draft()
    x = np.random.default_rng(1).standard_normal((inputs, 5))
    gram, target = x @ x.T / 5, np.linspace(-1, 1, inputs)
    u, w, v0 = draft.matrix("n", 5), draft.matrix(), draft.gaussian()
    h0 = [draft.input(u, row) for row in x]
    past: list[tuple] = []  # one entry a step and input: error signal, x1, x2, dh1, dh2
    shown = []

    def updated(start, factor, column):
        """start - rate * Σ chi * factor * vector, over all that was seen before."""
        parts = [neg(mul(number(rate), ref(p[0]), factor(b % inputs, p), ref(p[column]))) for b, p in enumerate(past)]
        return draft.map(add(ref(start), *parts))

    def slope(value):
        return sub(ONE, power(ref(value), number(2)))

    for _ in range(steps):
        v = updated(v0, lambda b, p: ONE, 2)
        now = []
        for a in range(inputs):
            x1 = draft.map(tanh(ref(updated(h0[a], lambda b, p, a=a: number(float(gram[a, b])), 3))))
            h2 = updated(draft.times(w, x1), lambda b, p, x1=x1: draft.builder.inner(p[1], x1), 4)
            x2 = draft.map(tanh(ref(h2)))
            e2 = draft.map(mul(ref(v), slope(x2)))
            g1 = updated(draft.transposed(w, e2), lambda b, p, e2=e2: draft.builder.inner(p[4], e2), 1)
            f = draft.moment(mul(ref(v), ref(x2)))
            chi = draft.scalar(div(sub(ref(f), number(float(target[a]))), number(inputs)))
            now.append((chi, x1, x2, draft.map(mul(ref(g1), slope(x1))), e2))
            shown.append(f)
        past += now
    draft.show(*shown, shape=(steps, inputs))
    return draft.program()
