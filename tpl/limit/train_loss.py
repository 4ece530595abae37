"""The loss of a training as a formula, and the error signals χ = ∂ loss/∂f."""

from collections.abc import Callable

from tpl.core.expr import Expr, add, apply, div, mul, neg, number, power, sub, symbol
from tpl.core.functions import CALLABLE
from tpl.core.gradient import partial_derivatives
from tpl.language import syntax as s
from tpl.language.training_words import LOSSES
from tpl.limit import formula as f
from tpl.limit.algebra import from_sympy, to_sympy
from tpl.limit.formula import Formula
from tpl.limit.transcribe import Transcriber

MAX_SIZE = 30  # nodes of a derivative that is written out


def loss_formula(train: s.Train, transcriber: Transcriber) -> Formula:
    """The loss as the user wrote it, over the names of the network and the targets."""
    node = next(x.value for x in train.settings if x.name == "loss")
    transcriber.names = {**transcriber.names, train.network: "output", train.targets.name: "data"}
    return transcriber.value(node).formula


def signal(loss: Formula, train: s.Train) -> Formula | None:
    """∂ loss/∂f over the names f and y, for a loss of one output; None where it is not short."""
    network, targets = train.network, train.targets.name
    try:
        found = partial_derivatives(_expr(loss, network, targets), {0})[0][1]
    except KeyError:
        return None
    value = to_sympy(found, {0: to_sympy(symbol("_f")), 1: to_sympy(symbol("_y"))}).simplify()
    formula = f.from_expr(from_sympy(value), lambda i: f.ZERO)
    names = {"_f": Formula("name", (), network, "output"), "_y": Formula("name", (), targets, "data")}
    formula = f.rewrite(formula, lambda x: names.get(x.text) if x.op == "name" else None)
    return _positive_first(formula) if _size(formula) <= MAX_SIZE else None


def _size(formula: Formula) -> int:
    return 1 + sum(map(_size, formula.args))


def _positive_first(formula: Formula) -> Formula:
    """−y + f as f − y."""
    if formula.op != "add":
        return formula
    terms = [f.mul(*x.args) if x.op == "mul" else x for x in formula.args]
    terms = [Formula("neg", (f.mul(*x.args[1:]),)) if x.op == "mul" and x.args[0] == f.number(-1) else x for x in terms]
    return f.add(*sorted(terms, key=lambda x: x.op == "neg"))


def _expr(formula: Formula, network: str, targets: str) -> Expr:
    """The loss over ref(0), the output, and ref(1), the target. Raises KeyError for what is not elementary."""
    if formula.op == "call" and formula.text in LOSSES:
        a, b = (_expr(x, network, targets) for x in formula.args)
        if formula.text == "squared":
            return div(power(sub(a, b), number(2)), number(2))
        if formula.text == "logistic":
            return apply("softplus", neg(mul(b, a)))
        raise KeyError(formula.text)
    if formula.op == "number":
        value = formula.text
        return number(int(value)) if value.isdigit() else number(float(value))
    if formula.op == "name":
        if formula.text in (network, targets) and not formula.args:
            return Expr("ref", (), int(formula.text == targets))
        if formula.kind == "const" and not formula.args:
            return symbol(formula.text)
        raise KeyError(formula.text)
    args = [_expr(x, network, targets) for x in formula.args]
    if formula.op == "call" and formula.text in CALLABLE:
        return apply(formula.text, *args)
    return _ARITHMETIC[formula.op](*args)


_ARITHMETIC: dict[str, Callable[..., Expr]] = {"add": add, "mul": mul, "sub": sub, "div": div, "neg": neg, "pow": power}
