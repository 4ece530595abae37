"""What grows too fast for a limit is refused where it stands; what does not is let through."""

import pytest

import tpl

PROGRAM = """
const a = 0.3
width n
random W : [n, n] ~ N(0, 1 / n)
random x : [n] ~ N(0, 1)
y = W @ tanh(x)
s = avg(x^2)
show avg({expr})
"""


@pytest.mark.parametrize(
    "expr",
    ["exp(x^2)", "exp(a * x^2)", "exp(x * y)", "exp(exp(x))", "exp(x^2 - y)", "exp(abs(x)^3)", "exp(-(-x^2))", "exp(-a * (-(x^2)))",
     "exp(relu(x)^2)", "exp(x^3)"],
)  # fmt: skip
def test_refused(expr):
    with pytest.raises(tpl.TplError, match="grows like"):
        tpl.loads(PROGRAM.format(expr=expr))


@pytest.mark.parametrize(
    "expr",
    ["exp(x)", "exp(-x^2)", "exp(-a * x^2)", "exp(-x^2 / 2)", "x^6 * exp(x)", "exp(tanh(x)^4)", "exp(abs(x))", "exp(s * x)",
     "x * exp(s^2)", "exp(-abs(x)^3)", "exp(3 - x^2 - y^2)", "exp(sqrt(abs(x^3)))", "exp(log(1 + x^2))"],
)  # fmt: skip
def test_let_through(expr):
    tpl.loads(PROGRAM.format(expr=expr))


def test_growth_is_remembered_across_lines():
    with pytest.raises(tpl.TplError, match="grows like"):
        tpl.loads(PROGRAM.format(expr="exp(q)").replace("s = avg", "q = x^2\ns = avg"))
