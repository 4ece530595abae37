"""What names stand for, in words: kinds, shapes and numbers, for those who read a program rather than run it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tpl.core.expr import evaluate
from tpl.core.program import Dim
from tpl.core.values import Array, Coordinatewise, Family, MatrixSum, OwnLength, Readout, Scope
from tpl.core.wording import describe, is_constant

SHOWN_INDICES = 3  # members of a family that are listed by their index


@dataclass
class Meanings:
    """The meaning of every name of a program that elaboration knew: "" for global ones, else by network."""

    words: dict[str, dict[str, str]] = field(default_factory=dict)

    def take(self, globals_: Scope, insides: Mapping[str, Scope], values: Mapping[str, float]) -> None:
        """Put the values of names into words. values: of the constants."""
        for place, scope in {"": globals_, **insides}.items():
            known = self.words.setdefault(place, {})
            for name, value in scope.items():
                text = "" if name.startswith("__") else meaning(value, values)
                if text:
                    known[name] = text


def meaning(value: Any, values: Mapping[str, float]) -> str:
    """One value in words: `a vector of width n`, `a matrix [n, d]`, `the number 1.41421`. "" if nothing is known of it."""
    if is_constant(value):
        with suppress(ArithmeticError, ValueError, KeyError):
            return f"the number {evaluate(value.expr, values):.6g}"
        return "a number"
    if isinstance(value, Family):
        return _family(value, values)
    if isinstance(value, OwnLength):
        return f"the length of each sequence of `{value.data}`"
    if isinstance(value, (MatrixSum, Readout)):
        return f"a matrix [{_dims(value)}]"
    if isinstance(value, Coordinatewise) and value.width is not None:
        return f"a vector [{value.width}]"
    if isinstance(value, Array) and not value.ndim:
        return "a number of the data"
    text = describe(value)
    return "" if text == "unknown" else text


def _dims(value: MatrixSum | Readout) -> str:
    sizes: tuple[Dim, ...] = (value.rows, value.width if isinstance(value, Readout) else value.columns)
    return ", ".join(map(str, sizes))


def _family(family: Family, values: Mapping[str, float]) -> str:
    """The members, if they are alike; else the kinds that there are, each with its indices."""
    kinds: dict[str, list[tuple[int, ...]]] = {}
    for index, value in sorted(family.entries.items()):
        text = "a number" if is_constant(value) else meaning(value, values)
        if text:
            kinds.setdefault(text, []).append(index)
    if len(kinds) == 1:
        text, members = next(iter(kinds.items()))
        return f"a family of {len(members)}: {text} each" if len(members) > 1 else f"a family: {text}"
    return "; ".join(f"{_indices(members)}: {text}" for text, members in kinds.items())


def _indices(members: list[tuple[int, ...]]) -> str:
    shown = ["[" + ", ".join(map(str, x)) + "]" for x in members]
    if len(shown) <= SHOWN_INDICES:
        return ", ".join(shown)
    return f"{shown[0]} … {shown[-1]}"
