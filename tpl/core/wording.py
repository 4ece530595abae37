"""The words of elaboration's messages: what a value is called, and what to do instead."""

import re
from collections.abc import Iterable
from typing import Any

from tpl.core.expr import leaves
from tpl.core.functions import CALLABLE
from tpl.core.program import Line
from tpl.core.values import (
    Array,
    Coordinatewise,
    Family,
    Function,
    Listing,
    MatrixSum,
    NetworkValue,
    RandomOutput,
    Readout,
    Scope,
    Sequences,
    Text,
)
from tpl.language.source import nearest


def describe(value: Any) -> str:
    """A value's kind in the words of messages."""
    if isinstance(value, Coordinatewise):
        if value.width is not None:
            return f"a vector of width {value.width}"
        return "a scalar" if leaves(value.expr, "ref") else "a number"
    if isinstance(value, MatrixSum):
        return f"a matrix [{value.rows}, {value.columns}]"
    if isinstance(value, Readout):
        return f"a matrix [{value.rows}, {value.width}]"
    if isinstance(value, Array):
        return f"data of shape {value.shape_text}"
    if isinstance(value, Sequences):
        return f"sequences of unequal length, {value.shape_text}"
    names = {RandomOutput: "a random output", Family: "a family of values", Listing: "a list of values",
             Function: "a function", NetworkValue: "a network", Text: "a string"}  # fmt: skip
    return names.get(type(value), "unknown")


def named(line: Line) -> str:
    """A core line in the words of messages that point at the user's text."""
    what, derived = _of_input(line.name), line.origin.derived
    reverse = derived.removeprefix("reverse mode of ")
    if reverse == derived:
        return f"{what} (in the {derived})" if derived else what
    variable = _of_input(reverse)
    return f"{what} (in the gradient)" if variable == "this" else f"{what} (in the gradient with respect to {variable})"


def _of_input(name: str) -> str:
    """`h{X[1]}` as the `h` of one input; "this" for what has no name in the text."""
    own, _, inputs = name.removesuffix("}").partition("{")
    if own.startswith("_") or not own:
        return "this"
    return f"`{own}` at the input `{inputs}`" if inputs else f"`{own}`"


def is_constant(value: Any) -> bool:
    return isinstance(value, Coordinatewise) and value.width is None and not leaves(value.expr, "ref")


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def suggest(name: str, scope: Scope, widths: dict) -> str | None:
    close = nearest(name, [k for k in [*scope, *widths, *CALLABLE] if not k.startswith("__")])
    return f"did you mean `{close}`?" if close else None


def known_indices(family: Family, axes: int) -> str:
    keys = sorted(k for k in family.entries if len(k) == axes)
    if not keys:
        own = len(next(iter(family.entries), ()))
        return f"`{family.name}` has {count(own, 'index') if own == 1 else f'{own} indices'}"
    if axes == 1 and len(keys) > 1 and [k[0] for k in keys] == list(range(keys[0][0], keys[-1][0] + 1)):
        return f"`{family.name}` has {keys[0][0]}..{keys[-1][0]} so far"
    if len(keys) == 1:
        return f"only `{family.name}[{', '.join(map(str, keys[0]))}]` is"
    few = ", ".join("[" + ", ".join(map(str, k)) + "]" for k in keys[:4])
    return f"`{family.name}` has {few}" + (" and others" if len(keys) > 4 else "")


def random_hint(value: Any) -> str | None:
    if isinstance(value, RandomOutput):
        return "a readout's value stays random in the limit; its law is `nngp(f, X)`"
    if isinstance(value, Array):
        return "data enter through a matrix: `U @ xi`"
    if isinstance(value, (MatrixSum, Readout)):
        return "a matrix stands only in products, as in `W @ x`"
    return member_hint(value)


def join_hint(sign: str, a: Any, b: Any, one: str, other: str) -> str | None:
    matrices = (MatrixSum, Readout)
    if sign == "*" and isinstance(a, matrices) and isinstance(b, (Coordinatewise, Array)):
        return f"a product with a matrix is written `{bare(one, 'W')} @ {bare(other, 'x')}`"
    if sign in "+-" and isinstance(a, matrices) and isinstance(b, matrices):
        return "matrices are added only at equal shape"
    if isinstance(a, Array) and isinstance(b, Array):
        return None
    return random_hint(a) or random_hint(b)


def matmul_hint(a: Any, b: Any, one: str, other: str) -> str | None:
    x, y = bare(one, "x"), bare(other, "W")
    size = a.array.size if isinstance(a, Array) else a.width if isinstance(a, Coordinatewise) else None
    if isinstance(b, MatrixSum) and size is not None and size in (b.rows, b.columns):
        transposed = y[:-2] if y.endswith(".T") else f"{y}.T"
        return f"the matrix stands on the left: `{y if size == b.columns else transposed} @ {x}`"
    if isinstance(a, Coordinatewise) and isinstance(b, Coordinatewise) and a.width and b.width:
        return f"the inner product of two vectors, over n, is `avg({x} * {bare(other, 'y')})`"
    if isinstance(a, Coordinatewise) and a.width is None:
        return "a product with a number is written `*`"
    return None


def shape_text(dims: Iterable[str | int]) -> str:
    """A shape as the language writes it: `[n, 10]`."""
    return f"[{', '.join(map(str, dims))}]"


def member_hint(value: Any) -> str | None:
    """Name one member, where a whole family stands in place of a value."""
    if not isinstance(value, Family) or not value.entries:
        return None
    return f"name one of its members: `{value.name}[{', '.join(map(str, max(value.entries)))}]` is the last"


def operand_hint(b: Any) -> str | None:
    """What to write in place of a right operand of `@` that is no vector."""
    if isinstance(b, Family):
        return member_hint(b)
    if isinstance(b, Coordinatewise) and b.width is None and b.expr.is_value(0):
        return "a vector of zeros is written `0 * x`, with any vector `x` of that width"
    return "a product with a number is written `*`" if isinstance(b, Coordinatewise) and b.width is None else None


def bare(text: str, instead: str) -> str:
    """An operand's text without its quotes, to stand in a suggestion; another where it is long."""
    plain = text.strip("`")
    return instead if text == "this" else f"({plain})" if _BETWEEN.search(plain) else plain


# An operator outside brackets: such an operand takes parentheses in a suggestion.
_BETWEEN = re.compile(r"^[^\[(]*[-+*/@^ ]|[\])]\s*[-+*/@^ ]")
