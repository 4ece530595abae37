"""Formulas about a program's lines and their limits, apart from how they are written (`tpl.report.explanation`).

| op          | args                     | reads                                                     |
|-------------|--------------------------|-----------------------------------------------------------|
| number      |                          | `text`                                                    |
| name        | indices                  | h^l; `kind` says of what, `input` at which input          |
| index       |                          | an index's value, on the way to a letter (`kind`)         |
| code        |                          | a piece of the program's text as it stands                |
| add, mul    | terms, factors           |                                                           |
| sub, div, pow, mod | a, b              |                                                           |
| neg         | a                        |                                                           |
| call        | arguments                | `text`(arguments)                                         |
| sum, each   | body, clauses            | Σ_{clauses} body; body for all clauses                    |
| clause      | variable, start, stop    | variable = start..stop                                    |
| below       | variable, end            | variable < end, from 0                                    |
| among       | variable, set            | variable ∈ set                                            |
| list        | items                    |                                                           |
| pick        | list, index              | the index-th of a list                                    |
| matmul      | matrix, vector           | W x                                                       |
| transposed  | matrix                   | Wᵀ                                                        |
| avg, E      | inside                   | an average over coordinates; an expectation               |
| adjoint     | what                     | d(what): √n times the output's derivative                 |
| Z           | vector                   | Z, Ẑ or Ż of a vector, as `text` is "", "hat" or "dot"    |
| slope       | Z, Ẑ                     | ∂Z/∂Ẑ                                                     |
| inner       | a, b                     | ⟨a, b⟩                                                    |
| cov, var    | a, b; a                  |                                                           |
| eq, to, near | left, right             | left = right; left → right; equal within numerical errors |
| law         | left, mean, variance     | left ~ N(mean, variance)                                  |
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

from tpl.core.expr import Expr


@dataclass(frozen=True)
class Formula:
    """One node; the table above says what `args` and `text` are.

    kind: of a name: "vector", "scalar", "matrix", "readout", "output", "data", "const", "index". local: does a name
    differ from input to input? input: the input that it is taken at, "" for any. step: of training, at which it is taken.
    """

    op: str
    args: "tuple[Formula, ...]" = ()
    text: str = ""
    kind: str = ""
    local: bool = False
    input: str = ""
    step: "Formula | None" = None


MAX_DIGITS = 6  # of a number that others are multiplied into
_DECIMAL = re.compile(r"\d+(\.\d+)?")
ZERO, ONE = Formula("number", (), "0"), Formula("number", (), "1")


def number(value: Fraction | float | int) -> Formula:
    """A number as people write it: a short decimal, a fraction, or six digits of a rounded one."""
    if isinstance(value, float):
        return Formula("number", (), f"{value:.6g}")
    value = Fraction(value)
    if value < 0:
        return Formula("neg", (number(-value),))
    if value.denominator == 1:
        return Formula("number", (), str(value.numerator))
    decimal = repr(float(value))
    if "e" not in decimal and len(decimal) <= 8 and Fraction(decimal) == value:
        return Formula("number", (), decimal)
    return Formula("div", (Formula("number", (), str(value.numerator)), Formula("number", (), str(value.denominator))))


def letter(name: str) -> Formula:
    """An index."""
    return Formula("name", (), name, "index")


def add(*terms: Formula) -> Formula:
    """A sum, flat; zeros vanish, -x becomes a difference."""
    total: list[Formula] = []
    for term in terms:
        total.extend(term.args if term.op == "add" else (term,) if term != ZERO else ())
    if not total:
        return ZERO
    return total[0] if len(total) == 1 else Formula("add", tuple(total))


def mul(*factors: Formula) -> Formula:
    """A product, flat; ones vanish, signs go to the front and divisors below, numbers become one if it is short."""
    flat: list[Formula] = []
    below: list[Formula] = []
    negative = False
    for factor in factors:
        while factor.op == "neg":
            factor, negative = factor.args[0], not negative
        if factor.op == "div" and factor.args[0] == ONE:
            below.append(factor.args[1])
            continue
        flat.extend(factor.args if factor.op == "mul" else (factor,) if factor != ONE else ())
    if ZERO in flat:
        return ZERO
    flat, below = _with_one_number(flat), _with_one_number(below)
    whole = ONE if not flat else flat[0] if len(flat) == 1 else Formula("mul", tuple(flat))
    if below:
        whole = Formula("div", (whole, mul(*below)))
    return Formula("neg", (whole,)) if negative else whole


def value_of(formula: Formula) -> Fraction | None:
    """The number that a formula writes down."""
    return Fraction(formula.text) if formula.op == "number" and _DECIMAL.fullmatch(formula.text) else None


def _with_one_number(factors: list[Formula]) -> list[Formula]:
    """Factors with their numbers as one, in front; as they are where that would be long."""
    known = [v for v in map(value_of, factors) if v is not None]
    if len(known) < 2:
        return factors
    one = number(prod(known, start=Fraction(1)))
    if one.op != "number" or len(one.text) > MAX_DIGITS:
        return factors
    rest = [x for x in factors if value_of(x) is None]
    return [one, *rest] if one != ONE else rest


def z(vector: Formula, mark: str = "") -> Formula:
    """Z of a vector; mark: "hat", "dot"."""
    return Formula("Z", (vector,), mark)


def expectation(inside: Formula) -> Formula:
    return Formula("E", (inside,)) if holds_random(inside) else inside


def covariance(a: Formula, b: Formula, value: Formula) -> Formula:
    """Cov(a, b) = value, or Var a = value."""
    left = Formula("var", (a,)) if a == b else Formula("cov", (a, b))
    return Formula("eq", (left, value))


def equal(left: Formula, right: Formula) -> Formula:
    return Formula("eq", (left, right))


def holds(formula: Formula, test: Callable[[Formula], bool]) -> bool:
    return test(formula) or any(holds(a, test) for a in formula.args)


def holds_random(formula: Formula) -> bool:
    """Is it a random variable (a Z outside of expectations), not a number?"""
    if formula.op in ("E", "avg"):
        return False
    return formula.op == "Z" or any(map(holds_random, formula.args))


def rewrite(formula: Formula, change: Callable[[Formula], Formula | None]) -> Formula:
    """Replace the topmost nodes that `change` gives something for."""
    changed = change(formula)
    if changed is not None:
        return changed
    if not formula.args:
        return formula
    args = tuple(rewrite(a, change) for a in formula.args)
    if all(a is b for a, b in zip(args, formula.args, strict=True)):
        return formula
    return add(*args) if formula.op == "add" else with_args(formula, args)


def with_args(f: Formula, args: tuple[Formula, ...]) -> Formula:
    """The node with other arguments: `dataclasses.replace`, at a quarter of its time."""
    return Formula(f.op, args, f.text, f.kind, f.local, f.input, f.step)


def at(formula: Formula, name: str) -> Formula:
    """Everything that differs from input to input, taken at one."""

    def place(node: Formula) -> Formula | None:
        if node.op == "name" and node.local:
            return replace(node, input=name)
        return replace(node, input=name) if node.op == "adjoint" else None

    return rewrite(formula, place)


def of_output(formula: Formula, name: str) -> Formula:
    """Every adjoint as that of one output."""
    return rewrite(formula, lambda n: replace(n, input=name) if n.op == "adjoint" else None)


def primed(formula: Formula, letters: frozenset[str]) -> Formula:
    """The same at other indices: l becomes l′."""

    def prime(node: Formula) -> Formula | None:
        return letter(node.text + "′") if node.op == "name" and node.kind == "index" and node.text in letters else None

    return rewrite(formula, prime)


def relettered(formula: Formula, letters: dict[str, str]) -> Formula:
    """Free indices by other names."""

    def change(node: Formula) -> Formula | None:
        bound = {c.args[0].text for c in node.args[1:]} if node.op in ("sum", "each") else set()
        if bound & letters.keys():
            return relettered(node, {k: v for k, v in letters.items() if k not in bound})
        own = node.op == "name" and node.kind == "index" and node.text in letters
        return letter(letters[node.text]) if own else None

    return rewrite(formula, change)


def relettered_as(formula: Formula, name: str, value: Formula) -> Formula:
    """A value for a free index."""
    return rewrite(formula, lambda n: value if n.op == "name" and n.kind == "index" and n.text == name else None)


def letters_of(formula: Formula) -> set[str]:
    """The free indices of a formula."""
    if formula.op == "name" and formula.kind == "index":
        return {formula.text}
    found = set().union(*map(letters_of, formula.args)) if formula.args else set()
    if formula.op in ("sum", "each"):
        found -= {c.args[0].text for c in formula.args[1:]}
    return found


_INFIX = {"add": add, "mul": mul}


def from_expr(expr: Expr, reference: Callable[[int], Formula]) -> Formula:
    """An expression over lines as a formula; `reference` gives that of a line."""
    if expr.op == "number":
        return number(expr.value)  # type: ignore[arg-type]
    if expr.op == "symbol":
        return Formula("name", (), str(expr.value), "const")
    if expr.op == "ref":
        return reference(int(expr.value))  # type: ignore[arg-type]
    if expr.op == "quantity":
        return Formula("name", (), "q", "const")
    args = tuple(from_expr(a, reference) for a in expr.args)
    if expr.op in _INFIX:
        return _INFIX[expr.op](*args)
    return Formula(expr.op if expr.op in ("sub", "div", "pow", "neg") else "call", args, expr.op)


def to_z(formula: Formula, kept: Callable[[Formula], bool] = lambda product: False) -> Formula:
    """What a formula over lines becomes: vectors become Z's, averages expectations, products Ẑ, + Ż if `kept` says so."""

    def change(node: Formula) -> Formula | None:
        if node.op == "matmul":
            hat = z(node, "hat")
            return add(hat, z(node, "dot")) if kept(node) else hat
        if (node.op == "name" and node.kind == "vector") or (node.op == "adjoint" and node.kind == "vector"):
            return z(node)
        if node.op == "avg":
            return expectation(to_z(node.args[0], kept))
        if node.op in ("name", "adjoint"):
            return node
        return None

    return rewrite(formula, change)
