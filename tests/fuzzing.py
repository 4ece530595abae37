"""Random program texts: mutations of the bundled programs, and texts grown from the grammar's constructs."""

import re

from hypothesis import strategies as st

from tpl.pipeline import bundled_programs

PROGRAMS = [path.read_text(encoding="utf-8") for path in bundled_programs().values()]
TOKEN = re.compile(r"\s+|[^\W\d]\w*|\d+(?:\.\d+)?|\.\.|\"\"\"|.", re.S)
NUMBERS = ["0", "1", "2", "3", "-1", "0.5", "1e9", "1e400", "10^10^10", "100000", "1/0", "1e-300", "7"]
WORDS = ["n", "x", "W", "d", "N", "h", "phi", "for", "in", "show", "avg", "sum", "softmax", "tanh", "exp", "nngp", "ntk",
         "param", "random", "network", "return", "mod", ".T", "@", "^", "[", "]", "(", ")", "~", ":", "..", ",", "=", "#",
         "\n", "\n    ", "    ", "\t", "\"", "é", "λ", "\x00", "train", "pi", "step", "log", "relu"]  # fmt: skip


@st.composite
def mutated(draw):
    """A bundled program after one to five small accidents."""
    tokens = TOKEN.findall(draw(st.sampled_from(PROGRAMS)))
    for _ in range(draw(st.integers(1, 5))):
        _damage(draw, tokens)
    return "".join(tokens)


def _damage(draw, tokens):
    if not tokens:
        return
    at = draw(st.integers(0, len(tokens) - 1))
    kind = draw(st.sampled_from(["delete", "repeat", "swap", "number", "word", "insert", "line", "cut", "name"]))
    if kind == "delete":
        del tokens[at]
    elif kind == "repeat":
        tokens.insert(at, tokens[at])
    elif kind == "swap":
        other = draw(st.integers(0, len(tokens) - 1))
        tokens[at], tokens[other] = tokens[other], tokens[at]
    elif kind == "number":
        places = [i for i, t in enumerate(tokens) if t[0].isdigit()] or [at]
        tokens[draw(st.sampled_from(places))] = draw(st.sampled_from(NUMBERS))
    elif kind == "word":
        tokens[at] = draw(st.sampled_from(WORDS))
    elif kind == "insert":
        tokens.insert(at, draw(st.sampled_from(WORDS + NUMBERS)))
    elif kind == "line":
        ends = [i for i, t in enumerate(tokens) if "\n" in t]
        if len(ends) > 1:
            k = draw(st.integers(0, len(ends) - 2))
            del tokens[ends[k] : ends[k + 1]]
    elif kind == "cut":
        del tokens[at:]
    else:
        names = [i for i, t in enumerate(tokens) if t[0].isalpha()] or [at]
        tokens[draw(st.sampled_from(names))] = tokens[draw(st.sampled_from(names))]


LEAVES = ["x", "y", "z[1]", "z[2]", "s", "1", "0.5", "k", "sigma", "X[1]", "v", "W", "A"]
UNARY = ["tanh", "relu", "exp", "log", "sqrt", "abs", "erf", "sin", "avg", "f", "silu", "step"]


def expressions():
    leaves = st.sampled_from(LEAVES) | st.sampled_from(NUMBERS)

    def grow(inner):
        return (
            st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "@", "^"]), inner)
            | st.builds("{}({})".format, st.sampled_from(UNARY), inner)
            | st.builds("W @ {}".format, inner)
            | st.builds("A.T @ {}".format, inner)
            | st.builds("sum({} for k in 1..3)".format, inner)
            | st.builds("softmax(s[1..3])[{}]".format, inner)
        )

    return st.recursive(leaves, grow, max_leaves=8)


@st.composite
def grown(draw):
    """A program of typed declarations, then random statements over them."""
    body = ["const sigma = 1.5", "const k = 2", "def f(z) = tanh(sigma * z) + z^3 / 10", "width n", "width m = 2 * n",
            "data X[N, d] = sphere(3, 4, seed=1)", "random W : [n, n] ~ N(0, 1 / n)", "random A : [n, m] ~ N(0, 1 / m)",
            "random U : [n, d] ~ N(0, 1 / d)", "random x : [n] ~ N(0, 1)", "random y : [n] ~ N(0.5, 2)",
            "z[1] = U @ X[1]", "z[2] = W @ tanh(z[1])", "s = avg(x * z[2])"]  # fmt: skip
    for i in range(draw(st.integers(1, 6))):
        expr = draw(expressions())
        body.append(
            draw(
                st.sampled_from(
                    [
                        f"a{i} = {expr}",
                        f"z[{i + 3}] = {expr}",
                        f"for k in 1..3: b{i}[k] = {expr}",
                        f"random c{i} : [n] ~ N(0, {expr})",
                        f"q{i} = avg({expr})\nshow q{i}",
                    ]
                )
            )
        )
    body.append(f"show avg({draw(expressions())})")
    return "\n".join(body) + "\n"


def texts():
    return mutated() | grown() | st.text(max_size=200)
