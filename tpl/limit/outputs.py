"""What a network returns, term by term: which readout meets which vector, and with what in front."""

from collections.abc import Iterator
from dataclasses import dataclass

from tpl.limit import formula as f
from tpl.limit.formula import Formula


@dataclass(frozen=True)
class Reading:
    """A term factor · (readout @ vector) of an output, or factor · bias, summed over clauses; of a bias `vector` is None."""

    factor: Formula
    parameter: Formula
    vector: Formula | None
    clauses: tuple[Formula, ...]

    @property
    def own(self) -> tuple[Formula, ...]:
        """The clauses that the parameter has an index of: for each of their values it is another one."""
        letters = f.letters_of(self.parameter)
        return tuple(c for c in self.clauses if c.args[0].text in letters)

    def summed(self, inside: Formula) -> Formula:
        """Σ over the other clauses of factor · inside, with what does not depend on them outside."""
        clauses = tuple(c for c in self.clauses if c not in self.own)
        if not clauses:
            return f.mul(self.factor, inside)
        if f.letters_of(self.factor) & {c.args[0].text for c in clauses}:
            return Formula("sum", (f.mul(self.factor, inside), *clauses))
        return f.mul(self.factor, Formula("sum", (inside, *clauses)))


def readings(output: Formula, factor: Formula = f.ONE, clauses: tuple[Formula, ...] = ()) -> Iterator[Reading]:
    """The terms of an output, multiplied out."""
    if output.op == "add":
        for term in output.args:
            yield from readings(term, factor, clauses)
    elif output.op == "sub":
        yield from readings(output.args[0], factor, clauses)
        yield from readings(output.args[1], f.mul(Formula("neg", (f.ONE,)), factor), clauses)
    elif output.op == "neg":
        yield from readings(output.args[0], f.mul(Formula("neg", (f.ONE,)), factor), clauses)
    elif output.op == "div":
        divided = Formula("div", (factor, output.args[1]))
        yield from readings(output.args[0], divided, clauses)
    elif output.op == "sum" and len(output.args) > 1:
        yield from readings(output.args[0], factor, (*clauses, *output.args[1:]))
    elif output.op == "mul":
        random = [a for a in output.args if f.holds(a, is_random)]
        if len(random) == 1:
            yield from readings(random[0], f.mul(factor, *(a for a in output.args if a is not random[0])), clauses)
        else:
            yield Reading(factor, output, None, clauses)
    elif output.op == "matmul":
        yield Reading(factor, output.args[0], output.args[1], clauses)
    else:
        yield Reading(factor, output, None, clauses)


def is_random(node: Formula) -> bool:
    return node.kind in ("vector", "readout", "output", "matrix")


def meetings(output: Formula) -> tuple[dict[str, list[Formula]], dict[str, list[Formula]]]:
    """What an output's readouts meet, and the numbers that its biases are multiplied by."""
    met: dict[str, list[Formula]] = {}
    biases: dict[str, list[Formula]] = {}
    for x in readings(output):
        if x.vector is not None:
            met.setdefault(x.parameter.text, []).append(x.summed(x.vector))
        else:
            biases.setdefault(x.parameter.text, []).append(x.summed(f.ONE))
    return met, biases
