"""The corrections that stay: their terms with numbers, and what cancels them."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from tpl.limit import formula as f
from tpl.limit.account import Sentence
from tpl.limit.algebra import from_sympy
from tpl.limit.backward import first_input
from tpl.limit.calculus import used_quantities
from tpl.limit.cancellations import Net, net_form
from tpl.limit.context import Context
from tpl.limit.folding import over_loops
from tpl.limit.formula import Formula
from tpl.limit.naming import variable
from tpl.limit.transcribe import Product, Statement
from tpl.limit.verdicts import Verdict

MAX_INSTANCES = 9  # corrections that are listed one by one
MAX_TERMS = 6  # of one of them
CHANCE = 4  # errors by which a number must differ from 0 to be told apart from it


class Corrections:
    """Equations for the Ż of a context."""

    def __init__(self, context: Context):
        self.context = context

    def listed(self, product: Product, found: list[Verdict]) -> list[Formula]:
        """The formula for Ż: one for all indices, or each instance's terms, with numbers where there are some."""
        general = self._general(product, found)
        if general is not None:
            return [general]
        hat = f.z(product.formula, "dot")
        listed = [v for v in found if v.terms][:MAX_INSTANCES]
        values = self._values(listed)
        equations = []
        for v in listed:
            own = self.context.numbered(v.line)
            terms = [self._term(v, i, values) for i in range(min(len(v.terms), MAX_TERMS))]
            if len(v.terms) > MAX_TERMS:
                terms.append(Formula("code", (), "…"))
            if len(found) == 1:
                own = hat.args[0]
            rounded = any((v.line, i) in values and not _is_constant(t.coefficient) for i, t in enumerate(v.terms))
            equations.append(Formula("near" if rounded else "eq", (f.z(own, "dot"), f.add(*terms))))
        return equations

    def _general(self, product: Product, found: list[Verdict]) -> Formula | None:
        """Ż at the indices of the user's loops, if all instances agree."""
        lines, shared = self.context.lines, {len(v.terms) for v in found}
        if len(found) < 3 or shared & {0} or len(shared) > 1 or not self.context.inputs:
            return None
        owners = [lines.owner.get(v.line) for v in found]
        loops = [lines.loops(x) for x in owners if x is not None]
        vector = f.to_z(product.formula.args[1], self.context.kept)
        instances = [f.add(*(self._slope_term(v, i, vector) for i in range(len(v.terms)))) for v in found]
        right = over_loops(instances, loops, lines.whole) if len(loops) == len(found) else None
        return Formula("eq", (f.z(product.formula, "dot"), right)) if right is not None else None

    def together(self, x: Statement) -> tuple[list[Formula], list[Sentence]]:
        """Lines in which a correction meets its own vector: what is left, and the coefficients that cancel."""
        equations: list[Formula] = []
        lost: list[str | Formula] = []
        for line in self._targets(x):
            kept = [a for a in self.context.program.lines[line].args if self.context.law.corrections.get(a)]
            net = net_form(self.context.law, line, kept) if kept else None
            if net is None or not net.meeting or len(equations) == MAX_INSTANCES:
                continue
            equation, cancelled = self._counted(net)
            if cancelled and equation is not None:
                equations.append(equation)
                lost += [", " if lost else "", *cancelled]
        if not equations:
            return [], []
        return equations, [("Counted together with the other terms, parts of the correction cancel: ", *lost, ".")]

    def _targets(self, x: Statement) -> list[int]:
        """The core lines that a statement assigns, at the first input."""
        assert x.target is not None
        spans = [line.origin.span for line in self.context.program.lines]
        return [
            i for i, span in enumerate(spans)
            if span == x.syntax.span and not self.context.program.lines[i].origin.derived
            and (v := variable(self.context.program.lines[i].name)) is not None and v.base == x.target.text
            and first_input(self.context.program.lines[i].name)
        ]  # fmt: skip

    def _counted(self, net: Net) -> tuple[Formula | None, list[str | Formula]]:
        """Z of a line with each vector once; and `z²: −0.37 + 0.37` for those that cancel."""
        terms: list[Formula] = []
        cancelled: list[str | Formula] = []
        rounded = False
        for v, (explicit, correction) in net.parts.items():
            total, *values = self._evaluated([sum(explicit, correction), correction, *explicit])
            against = self._evaluated([c + correction for c in explicit])
            if total is None or any(x is None for x in (*values, *against)):
                return None, []
            z_v = f.z(self.context.lines.numbered(self.context.lines.formula(v)))
            rounded |= total[1] > 0
            if abs(total[0]) > CHANCE * total[1]:
                terms.append(f.mul(_rounded(*total), z_v))
            for value, sum_ in zip(values[1:], against, strict=True):
                if correction != 0 and sum_ is not None and abs(sum_[0]) <= CHANCE * sum_[1]:
                    both = f.add(_rounded(*value), _rounded(*values[0]))  # type: ignore[misc]
                    cancelled += [", " if cancelled else "", both, " of ", z_v]
        name = self.context.lines.numbered(self.context.lines.formula(net.line))
        for p, coefficient in net.products:
            value = self._evaluated([coefficient])[0]
            if value is None:
                return None, []
            terms.append(f.mul(_rounded(*value), f.z(self.context.numbered(p), "hat")))
        return Formula("near" if rounded else "eq", (f.z(name), f.add(*terms))), cancelled

    def _evaluated(self, wanted: list[Any]) -> Sequence[tuple[float, float] | None]:
        """Numbers of the law with their errors: 0 for exact ones."""
        if self.context.numbers is None or self.context.inputs or not wanted:
            return [None] * len(wanted)
        found = self.context.numbers(self.context.law, wanted)
        exact = [_is_constant(x) for x in wanted]
        return [None if v is None else (v[0], 0.0 if e else v[1]) for v, e in zip(found, exact, strict=True)]

    def _values(self, listed: list[Verdict]) -> dict[tuple[int, int], tuple[float, float] | None]:
        keys = [(v.line, i) for v in listed for i in range(len(v.terms))]
        wanted = [v.terms[i].coefficient for v in listed for i in range(len(v.terms))]
        if self.context.numbers is None or self.context.inputs or not wanted:
            return {}
        return dict(zip(keys, self.context.numbers(self.context.law, wanted), strict=True))

    def _term(self, verdict: Verdict, i: int, values: Mapping[tuple[int, int], tuple[float, float] | None]) -> Formula:
        """coefficient · Z^y: exact where the coefficient is one of constants alone, else σ² E ∂Z/∂Ẑ and its number."""
        correction = verdict.terms[i]
        z_y = f.z(self.context.lines.numbered(self.context.lines.formula(correction.vector)))
        exact = _is_constant(correction.coefficient)
        if exact:
            top, bottom = correction.coefficient.as_numer_denom()
            numerator = f.mul(self.context.constant(from_sympy(top)), z_y)
            return numerator if bottom == 1 else Formula("div", (numerator, self.context.constant(from_sympy(bottom))))
        value = values.get((verdict.line, i))
        if value is not None and abs(value[0]) <= CHANCE * value[1]:
            return f.ZERO
        if value is not None:
            return f.mul(_rounded(*value), z_y)
        x = f.z(self.context.lines.formula(self.context.program.lines[verdict.line].args[1]))
        return self.context.lines.numbered(self._slope_term(verdict, i, x))

    def _slope_term(self, verdict: Verdict, i: int, z_x: Formula) -> Formula:
        """σ² E[∂Z^x/∂Ẑ] Z^y, with indices on the way to letters."""
        correction, line = verdict.terms[i], self.context.program.lines[verdict.line]
        product = next(
            (p for p in verdict.relevant if self.context.program.lines[p].args[1] == correction.vector),
            verdict.relevant[0],
        )
        slope = Formula("E", (Formula("slope", (z_x, f.z(self.context.lines.right(product), "hat"))),))
        z_y = f.z(self.context.lines.formula(correction.vector))
        return f.mul(self.context.fraction(self.context.law.strength(line.args[0], line.transposed)), slope, z_y)


def _rounded(value: float, error: float) -> Formula:
    """A number with its error, or as it is where that is below what six digits show."""
    if error <= 5e-7 * abs(value) or error < 1e-12:
        positive = f.number(Fraction(str(round(abs(value), 6))))
        return positive if value >= 0 else Formula("neg", (positive,))
    digits = max(0, 1 - math.floor(math.log10(error)))
    text = Formula("number", (), f"{abs(value):.{digits}f} ± {error:.{digits}f}")
    return text if value >= 0 else Formula("neg", (text,))


def _is_constant(value: Any) -> bool:
    return not used_quantities([value]) and not any(x.name.startswith("gram_") for x in value.free_symbols)
