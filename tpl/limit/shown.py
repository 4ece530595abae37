"""What a program shows, as expectations over Z's: averages, covariances of outputs, tangent kernels."""

from collections.abc import Callable

from tpl.language import syntax as s
from tpl.limit import formula as f
from tpl.limit.account import SHOWN, Entry, Sentence
from tpl.limit.context import Context
from tpl.limit.formula import Formula
from tpl.limit.matching import Unwritten
from tpl.limit.naming import variable
from tpl.limit.outputs import Reading, is_random, readings
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
        becomes: tuple[Formula, ...]
        text = f"show {self.context.source.slice(node.span).removeprefix('show').strip()}"
        why: list[Sentence] = []
        if value.op == "call" and value.text in ("nngp", "ntk"):
            if value.text == "nngp":
                becomes, why = self._written(self._nngp, "NNGP", value.args[0].text)
            else:
                becomes, why = self._written(self._ntk, "NTK", value.args[0].text)
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

    def _written(
        self, kernel: Callable[[str], tuple[tuple[Formula, ...], list[Sentence]]], name: str, network: str
    ) -> tuple[tuple[Formula, ...], list[Sentence]]:
        """A kernel's equation; without its right side where parameters of one family are shared in part."""
        try:
            return kernel(network)
        except Unwritten:
            left = self._two(name, network)
            return (f.equal(left, Formula("code", (), "…")),), [
                ("Parameters of one family are used in several places that share some of its indices: no one formula "
                 "holds for all of them.",)]  # fmt: skip

    def _nngp(self, network: str) -> tuple[tuple[Formula, ...], list[Sentence]]:
        return (f.equal(self._two("NNGP", network), f.add(*self._output(network, "nngp"))),), []

    def _returned(self, network: str) -> tuple[Formula, tuple[Formula, ...]]:
        """What a network returns, and the clauses of its outputs."""
        for x in self.context.statements:
            if isinstance(x.syntax, s.Return) and x.network == network and x.value is not None:
                each = x.value.op == "each"
                return (x.value.args[0], x.value.args[1:]) if each else (x.value, ())
        raise KeyError(network)

    def _two(self, name: str, network: str) -> Formula:
        """NNGP(ξ, ξ′); (i, i′) for the outputs of one batch."""
        if self.context.inputs:
            return Formula("call", tuple(Formula("name", (), x, "data") for x in ("ξ", "ξ′")), name)
        letters = [c.args[0].text for c in self._returned(network)[1]]
        return Formula("call", tuple(f.letter(x + prime) for x in letters for prime in ("", "′")), name)

    def _of_outputs(self, formula: Formula, network: str) -> Formula:
        """The two outputs called a and b, as the indices of the sums are the user's."""
        letters = [x.text for x in self._two("", network).args]
        names = {x: ("b" if x.endswith("′") else "a") + str(letters.index(x) // 2 or "") for x in letters}
        return f.relettered(formula, names)

    def _output(self, network: str, kernel: str) -> list[Formula]:
        """Σ_v s² E[Z^x(ξ) Z^x(ξ′)] + the biases' variances, x being all that meets the readout v.

        Raises Unwritten where readouts of one family meet vectors in several places of the output.
        """
        value, clauses = self._returned(network)
        members: dict[Formula, list[Reading]] = {}
        for x in readings(value):
            if self.context.counts(kernel, Formula("name", (), x.parameter.text)):
                members.setdefault(x.parameter, []).append(x)
        indexed = [p.text for p in members if p.args]
        if len(set(indexed)) < len(indexed) or any(len({x.own for x in found}) > 1 for found in members.values()):
            raise Unwritten
        return [self._covariance(p, found, clauses) for p, found in members.items()]

    def _covariance(self, parameter: Formula, found: list[Reading], clauses: tuple[Formula, ...]) -> Formula:
        """The covariance that one readout, or one bias, gives the outputs; for those of a family Σ over its indices."""
        base = parameter.text
        if found[0].vector is None:
            value = f.mul(squared(f.add(*(x.summed(f.ONE) for x in found))), self._variance(base))
        else:
            value = self._readout(base, [x.summed(x.vector) for x in found if x.vector is not None], clauses)
        return Formula("sum", (value, *found[0].own)) if found[0].own else value

    def _readout(self, base: str, met: list[Formula], clauses: tuple[Formula, ...]) -> Formula:
        """The covariance that one readout gives the outputs."""
        factor, core = factored(met[0]) if len(met) == 1 else (f.ONE, f.add(*met))
        vector = f.to_z(core, self.context.kept)
        moved = f.primed(vector, frozenset(c.args[0].text for c in clauses))
        both = f.mul(f.at(vector, "ξ"), f.at(moved, "ξ′")) if self.context.inputs else f.mul(vector, moved)
        second = Formula("pow", (both.args[0], f.number(2))) if both.op == "mul" and len(set(both.args)) == 1 else both
        return f.mul(squared(factor), self._variance(base), self.context.ratio(base), Formula("E", (second,)))

    def _variance(self, base: str) -> Formula:
        for line in self.context.program.lines:
            named = variable(line.name)
            if named is not None and named.base == base and line.op == "gaussian":
                return self.context.constant(line.expr)
        return next((x.variance for x in self.context.statements if x.variance is not None and x.target is not None
                     and x.target.text == base), f.ONE)  # fmt: skip

    def _ntk(self, network: str) -> tuple[tuple[Formula, ...], list[Sentence]]:
        """Σ over parameters, and what is said of those that give nothing."""
        tangent = Tangent(self.context, network)
        products = [p for x in self.context.statements for p in x.products]
        uses = tangent.matrices(
            {
                p.formula: f.mul(self.context.ratio(p.base, p.transposed), self.context.strength(p) or f.ONE)
                for p in products
            },
            {p.formula: self.context.instances(p) for p in products},
        )
        uses += tangent.vectors()
        pair = ("ξ", "ξ′") if self.context.inputs else ("a", "b")
        uses = [u for u in uses if self.context.counts("ntk", u.parameter)]
        terms = [t if self.context.inputs else self._of_outputs(t, network) for t in self._output(network, "ntk")]
        lost = list(dict.fromkeys(u.parameter for u in uses if u.vanishes))
        why: list[Sentence] = [(x, " adds nothing: its adjoints vanish in the limit.") for x in lost]
        return (
            f.equal(
                self._two("NTK", network)
                if self.context.inputs
                else self._of_outputs(self._two("NTK", network), network),
                f.add(*terms, *tangent.terms(uses, pair, not self.context.inputs)),
            ),
        ), why


def summands(value: Formula) -> tuple[Formula, ...]:
    """The terms of a sum or difference."""
    if value.op == "sub":
        negative = (f.mul(Formula("neg", (f.ONE,)), x) for x in summands(value.args[1]))
        return (*summands(value.args[0]), *negative)
    return tuple(x for a in value.args for x in summands(a)) if value.op == "add" else (value,)


def factored(term: Formula) -> tuple[Formula, Formula]:
    """coefficient · (what is random: a vector, a readout's product, a bias, a sum of these)."""
    if term.op == "div":
        factor, core = factored(term.args[0])
        return Formula("div", (factor, term.args[1])), core
    if term.op == "neg":
        factor, core = factored(term.args[0])
        return f.mul(Formula("neg", (f.ONE,)), factor), core
    if term.op == "mul":
        random = [a for a in term.args if f.holds(a, is_random)]
        if len(random) == 1:
            inner, core = factored(random[0])
            return f.mul(inner, *(a for a in term.args if a is not random[0])), core
    return f.ONE, term
