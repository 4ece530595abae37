"""What does not exist is refused by every command, in words that say what is not defined where."""

import re

import pytest

import tpl
from tpl.language.source import TplError

HEAD = """width n
random x : [n] ~ N(0, 1)
random y : [n] ~ N(0, 1)
random W : [n, n] ~ N(0, 1 / n)
"""
NETWORK = """width n
data X[N, d] = sphere(3, 4, seed=1)
network f(xi[d]):
    param U : [n, d] ~ N(0, 1 / d)
    param W : [n, n] ~ N(0, 1 / n)
    param v : [1, n] ~ N(0, 1 / n)
    h = {h}
    return v @ tanh(W @ h)
show nngp(f, X)
"""
REAL = "  help: take it of what has one sign: `log(1 + z^2)`, `sqrt(abs(z))`, `abs(z)^(1/3)` are fine"
HEAVY = "  help: samples of it would not settle either; divide by what has no zero: `1/(1 + z^2)` is fine"


GOLDEN = {
    "show avg(log(x))": "error: this has no limit: log(u) is not defined where u < 0, which has a positive probability: u is Gaussian",
    "show avg(sqrt(x + 3))": "error: this has no limit: sqrt(u + 3) is not defined where u + 3 < 0, which has a positive probability: "
    "u is Gaussian",
    "show avg(x^(1/3))": "error: this has no limit: u^(1 / 3) is not defined where u < 0, which has a positive probability: u is Gaussian",
    "show avg(log(x * y))": "error: this has no limit: log(u * u') is not defined where u * u' < 0, which has a positive probability: "
    "u and u' are Gaussian",
    "show avg(log(relu(x)))": "error: this has no limit: log(relu(u)) is -infinity where relu(u) = 0, which has a positive probability: "
    "u is Gaussian",
    "show avg(1/x)": "error: this has no limit: E[1 / u] is infinite or undefined: it grows like 1/distance at a pole, "
    "and powers from 1 on have no integral",
    "show avg(y/x)": "error: this has no limit: E[u / u'] is infinite or undefined: it grows like 1/distance at a pole, "
    "and powers from 1 on have no integral",
}  # fmt: skip


@pytest.mark.parametrize("text", GOLDEN)
@pytest.mark.parametrize("command", ["run", "derive"])
def test_messages(text, command):
    with pytest.raises(TplError) as caught:
        getattr(tpl.loads(HEAD + text), command)()
    column = text.index("avg") + 1
    hint = HEAVY if "pole" in GOLDEN[text] else REAL
    mark = " " * (column - 1) + "^" * len(text[column - 1 :])
    assert str(caught.value) == f"<text>:5:{column}: {GOLDEN[text]}\n    5 | {text}\n      | {mark}\n{hint}"


@pytest.mark.parametrize(
    "h", ["log(U @ xi)", "sqrt(tanh(U @ xi))", "(U @ xi)^1.5", "W @ log(U @ xi)", "log(U @ xi + 6)"]
)
def test_every_command_refuses_a_network(h):
    program = tpl.loads(NETWORK.format(h=h))
    for ask in (
        program.run, program.derive, lambda: program.run(method="sample"), lambda: program.run(method="law"),
        lambda: program.verify(widths=[8, 16], seeds=2), lambda: program.kernel([[1.0, 2, 3, 4]]),
    ):  # fmt: skip
        with pytest.raises(TplError, match=re.escape("is not defined where")) as caught:
            ask()
        assert f"    7 |     h = {h}" in str(caught.value)
        assert "--method sample" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "avg(log(1 + x^2))", "avg(sqrt(abs(x)))", "avg(abs(x)^(1/3))", "avg(log(abs(x)))", "avg(sqrt(1 - tanh(x)^2))",
        "avg(sqrt(x^2 - 2*x*y + y^2))", "avg(log(exp(-x^2)))", "avg(sqrt(avg(x^2) + 1) * x^2)", "avg(x^2)^(1/3)",
        "avg(log(1 + relu(x)))", "avg(log(2 + tanh(x) + sin(y)))", "avg(sin(x)/x)", "avg(x^3/(1 + x^2))",
    ],
)  # fmt: skip
def test_what_exists_is_not_refused(text):
    (found,) = tpl.loads(f"{HEAD}show {text}").run()
    assert abs(found.value) < 1000


def test_products_that_may_be_one_and_the_same():
    """sqrt(u v) exists where u = v, which only data tell; a variable without variance is 0."""
    text = """width n
data X[N, d] = [[1, 2], [1, 2]]
random U : [n, d] ~ N(0, 1)
random b : [n] ~ N(0, 0)
u = U @ X[1]
w = U @ X[2]
show avg(sqrt(u * w)), avg(sqrt(b) + 1)
"""
    first, second = tpl.loads(text).run()
    assert first.value == pytest.approx((2 / 3.141592653589793 * 5) ** 0.5)
    assert second.value == 1


def test_a_number_without_a_value_names_its_line():
    """Where nothing was certain beforehand: two equal products, of which a logarithm is taken."""
    text = """width n
data X[N, d] = [[1, 2], [1, -2]]
random U : [n, d] ~ N(0, 1)
u = U @ X[1]
w = U @ X[2]
z = log(u * w)
show avg(tanh(z)^2)
"""
    with pytest.raises(TplError, match=r":7:6: error: this has no limit: .* is not a number") as caught:
        tpl.loads(text).run()
    assert "quantity" not in str(caught.value)
    assert "--method sample" not in str(caught.value)


ONE_WIDTH = "  help: samples of it would be those of one width, where averages still fluctuate around their limits"


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ("show avg(x^2) / avg(x)", "5:17", "this has no limit: a division by what tends to 0"),
        ("s = avg(x)\nz = x / s\nshow avg(tanh(z)^2)", "6:1", "`z` has no limit: a division by what tends to 0"),
        ("show log(avg(x))", "5:10", "this has no limit: log of 0 is not a number"),
        ("show sqrt(avg(x) - 1)", "5:11", "this has no limit: sqrt of -1 is not a number"),
    ],
)
def test_functions_of_limits(lines, place, said):
    with pytest.raises(TplError) as caught:
        tpl.loads(HEAD + lines).run()
    first, *_, hint = str(caught.value).splitlines()
    assert first == f"<text>:{place}: error: {said}"
    assert hint == ONE_WIDTH


def test_a_variance_beyond_doubles():
    with pytest.raises(TplError, match=r":7:6: error: this is too large for a double: a variance in it"):
        tpl.loads(f"{HEAD}const a = 10^200\nz = W @ (a * x)\nshow avg(tanh(z)^2)").run()


def test_samples_that_do_not_settle_are_noted():
    (found,) = (run := tpl.loads(f"{HEAD}show avg(exp(50*x)*tanh(x + 1))").run())
    assert found.error > 0.3 * abs(found.value)
    assert any("may not exist, or lies where no sample comes" in note for note in run.notes)
