"""What a program shows, as expectations over Z's: averages, covariances of outputs, tangent kernels."""

from tpl.language import syntax as s
from tpl.limit import formula as f
from tpl.limit.account import SHOWN, Entry, Sentence
from tpl.limit.context import Context
from tpl.limit.formula import Formula
from tpl.limit.naming import variable
from tpl.limit.tangent import Tangent, squared
from tpl.limit.transcribe import Statement

_KERNEL_RULES = {
    "nngp": "covariance of the outputs over the readouts, given the features (TP1)",
    "ntk": "sum over the parameters of the inner products of the outputs' derivatives (TP2)",
}


class Shown:
    """The entries of the shows of a context."""

    def __init__(self, context: Context):
        self.context = context

    def entries(self, x: Statement) -> list[Entry]:
        node = x.syntax
        assert isinstance(node, s.Show)
        assert x.value is not None
        rule = "Moment (TP3 §2): averages over the coordinates become expectations"
        value = x.value
        text = f"show {self.context.source.slice(node.span).removeprefix('show').strip()}"
        why: list[Sentence] = []
        if value.op == "call" and value.text in ("nngp", "ntk"):
            if value.text == "nngp":
                becomes = tuple(f.equal(self._two("NNGP"), f.add(*terms)) for terms in self._outputs())
            else:
                becomes, why = self._ntk()
            rule = _KERNEL_RULES[value.text]
            text = f"show {value.text}({', '.join(a.text for a in value.args)})"
        elif value.op == "each":
            becomes = (Formula("to", (value.args[0], f.to_z(value.args[0], self.context.kept))),)
            becomes = tuple(b for b in becomes if b.args[0] != b.args[1])
            return [Entry(SHOWN, self.context.where(node.span), text, value.args[1:], rule, becomes)]
        else:
            becomes = (Formula("to", (value, f.to_z(value, self.context.kept))),)
        becomes = tuple(b for b in becomes if b.args[0] != b.args[1])
        return [Entry(SHOWN, self.context.where(node.span), text, x.clauses, rule, becomes, tuple(why))]

    def _two(self, name: str) -> Formula:
        """NNGP(ξ, ξ′); (i, i′) for the outputs of one batch."""
        if self.context.inputs:
            return Formula("call", tuple(Formula("name", (), x, "data") for x in ("ξ", "ξ′")), name)
        clauses = next((x.value.args[1:] for x in self.context.statements if isinstance(x.syntax, s.Return)
                        and x.value is not None and x.value.op == "each"), ())  # fmt: skip
        letters = [c.args[0].text for c in clauses]
        return Formula("call", tuple(f.letter(x + prime) for x in letters for prime in ("", "′")), name)

    def _of_outputs(self, formula: Formula) -> Formula:
        """The two outputs called a and b, as the indices of the sums are the user's."""
        letters = [x.text for x in self._two("").args]
        names = {x: ("b" if x.endswith("′") else "a") + str(letters.index(x) // 2 or "") for x in letters}
        return f.relettered(formula, names)

    def _outputs(self) -> list[list[Formula]]:
        """For every network: Σ_v s² E[Z^x(ξ) Z^x(ξ′)] + the biases' variances, term by term."""
        found = []
        for x in self.context.statements:
            if isinstance(x.syntax, s.Return) and x.value is not None:
                each = x.value.op == "each"
                value, clauses = (x.value.args[0], x.value.args[1:]) if each else (x.value, ())
                found.append([self._output_term(t, clauses) for t in summands(value)])
        return found

    def _output_term(self, term: Formula, clauses: tuple[Formula, ...]) -> Formula:
        """The covariance that one readout or bias gives the output."""
        factor, core = factored(term)
        square = squared(factor)
        if core.op == "matmul":
            vector = f.to_z(core.args[1], self.context.kept)
            variance = self._variance(core.args[0].text)
            letters = frozenset(c.args[0].text for c in clauses)
            moved = f.primed(vector, letters)
            both = f.mul(f.at(vector, "ξ"), f.at(moved, "ξ′")) if self.context.inputs else f.mul(vector, moved)
            return f.mul(square, variance, Formula("E", (both,)))
        return f.mul(square, self._variance(core.text)) if core.op == "name" else Formula("var", (core,))

    def _variance(self, base: str) -> Formula:
        for line in self.context.program.lines:
            named = variable(line.name)
            if named is not None and named.base == base and line.op == "gaussian":
                return self.context.constant(line.expr)
        return next((x.variance for x in self.context.statements if x.variance is not None and x.target is not None
                     and x.target.text == base), f.ONE)  # fmt: skip

    def _ntk(self) -> tuple[tuple[Formula, ...], list[Sentence]]:
        """Σ over parameters, and what is said of those that give nothing."""
        tangent = Tangent(self.context.law, self.context.lines, self.context.statements)
        products = [p for x in self.context.statements for p in x.products]
        uses = tangent.matrices(
            {p.formula: self.context.strength(p) for p in products},
            {p.formula: self.context.instances(p) for p in products},
        )
        uses += tangent.vectors()
        pair = ("ξ", "ξ′") if self.context.inputs else ("a", "b")
        terms = [t if self.context.inputs else self._of_outputs(t) for x in self._outputs() for t in x]
        lost = list(dict.fromkeys(u.parameter for u in uses if u.vanishes))
        why: list[Sentence] = [(x, " adds nothing: its adjoints vanish in the limit.") for x in lost]
        return (
            f.equal(
                self._two("NTK") if self.context.inputs else self._of_outputs(self._two("NTK")),
                f.add(*terms, *tangent.terms(uses, pair, not self.context.inputs)),
            ),
        ), why


def summands(value: Formula) -> tuple[Formula, ...]:
    return value.args if value.op == "add" else (value,)


def factored(term: Formula) -> tuple[Formula, Formula]:
    """coefficient · (readout product or bias)."""
    if term.op == "div":
        factor, core = factored(term.args[0])
        return Formula("div", (factor, term.args[1])), core
    if term.op == "neg":
        return factored(term.args[0])
    if term.op == "mul":
        core = next((a for a in term.args if a.op == "matmul"), term.args[-1])
        return f.mul(*(a for a in term.args if a is not core)), core
    return f.ONE, term
