"""What each line of a program becomes in the limit, and by which rule: the data of `tpl derive --explain`.

One entry a statement, not one a core line: loops stay loops and inputs stay ξ. The right sides come from the user's text
(`transcribe`), the backward pass from core lines (`backward`), and whatever is claimed of a correction Ż from the law
(`verdicts`). `z_form` gives the equations alone: the limit in terms of Z's, for any program, without a single expectation
worked out.
"""

from collections.abc import Mapping

from tpl.core.expr import Expr
from tpl.core.program import Program
from tpl.language import syntax as s
from tpl.language.source import Source, Span
from tpl.limit import formula as f
from tpl.limit.account import BACKWARD, PROGRAM, Account, Entry, Sentence
from tpl.limit.backward import first_input
from tpl.limit.context import Context, Numbers
from tpl.limit.corrections import Corrections
from tpl.limit.derive import Plan
from tpl.limit.families import Families, Family
from tpl.limit.formula import Formula
from tpl.limit.grounds import Grounds
from tpl.limit.shown import Shown, factored, summands
from tpl.limit.tangent import squared
from tpl.limit.transcribe import Product, Statement, Transcriber
from tpl.limit.verdicts import is_zero

RULES = {
    "matrix": "matrix: iid Gaussian entries, fixed at the start; it acts only through its products",
    "vector": "initial vector (TP3 §2)",
    "readout": "readout (TP1): an initial vector once its entries are scaled by √n",
    "output": "random number, independent of everything else",
    "input": "initial vectors: data enter through inner products alone (TP1; TP2 §2)",
    "matmul": "MatMul (TP3 §2; TP4 thm 7.4)",
    "map": "Nonlin (TP3 §2)",
    "moment": "Moment (TP3 §2; TP4 thm 7.4)",
    "scalar": "arithmetic of scalars",
    "return": "output (TP1): a Gaussian, given the features",
}
_LAW_OF_LARGE_NUMBERS: Sentence = (
    "The average over the n coordinates tends almost surely to the expectation (law of large numbers).",
)


def explain(
    program: Program, file: s.File, source: Source, plan: Plan | None, numbers: Numbers | None = None,
    weights: Mapping[tuple[str, Span | None], Expr] | None = None,
) -> Account:  # fmt: skip
    """The account of a program; of networks elaborated by the plan. `numbers` evaluates coefficients of corrections.

    weights: see `Context`.
    """
    return _Explainer(Context(program, file, source, plan, numbers, weights=weights)).account()


def z_form(program: Program, file: s.File, source: Source, plan: Plan | None) -> tuple[Entry, ...]:
    """The limit as equations between Z's: the entries of the account that define something, without their reasons."""
    return tuple(e for e in explain(program, file, source, plan).entries if e.becomes)


class _Explainer:
    def __init__(self, context: Context):
        self.context = context
        self.grounds, self.corrections, self.shown = Grounds(context), Corrections(context), Shown(context)

    def account(self) -> Account:
        entries = [
            e for x in self.context.statements if not isinstance(x.syntax, s.Show) and (e := self._entry(x)) is not None
        ]
        backward = self._backward()
        shown = [e for x in self.context.statements if isinstance(x.syntax, s.Show) for e in self.shown.entries(x)]
        used = dict.fromkeys(name for x in self.context.statements for name in x.defs)
        definitions = tuple(definition(self.context, self.context.transcriber.defs[name]) for name in used)
        outputs = any(
            isinstance(x.syntax, s.Return) and x.value is not None and x.value.op == "each"
            for x in self.context.statements
        )
        afresh = any(isinstance(x, s.Network) and s.draws_afresh(x) for x in self.context.file.statements)
        return Account(
            self.context.title, self.context.inputs, outputs, definitions, (*entries, *backward, *shown), afresh=afresh
        )

    def _entry(self, x: Statement) -> Entry | None:
        if isinstance(x.syntax, s.Draw):
            return self._drawn(x)
        if isinstance(x.syntax, s.Return):
            return self._returned(x)
        assert x.value is not None
        assert x.target is not None
        if x.kind == "vector":
            return self._vector(x)
        if x.kind == "scalar":
            averaged = f.holds(x.value, lambda n: n.op == "avg")
            why = (_LAW_OF_LARGE_NUMBERS,) if averaged else ()
            becomes = Formula("to", (x.target, f.to_z(x.value, self.context.kept)))
            return self._made(x, RULES["moment" if averaged else "scalar"], (becomes,), why)
        if x.kind in ("const", "data", "matrix", "readout", "output", "list"):
            return None
        return self._made(x, RULES["map"], (f.equal(x.target, x.value),))

    def _made(self, x: Statement, rule: str, becomes: tuple[Formula, ...], why: tuple[Sentence, ...] = ()) -> Entry:
        span = x.syntax.span
        return Entry(PROGRAM, self.context.where(span), self.context.source.slice(span), x.clauses, rule, becomes, why)

    def _drawn(self, x: Statement) -> Entry:
        assert x.target is not None
        assert x.value is not None
        assert x.variance is not None
        if x.kind == "matrix":
            return self._made(x, RULES["matrix"], ())
        if x.variance.op == "code":  # drawn jointly
            return self._made(x, "initial vectors, jointly Gaussian coordinate by coordinate (TP3 §2)", ())
        if x.kind == "readout":
            line = next((i for i, n in enumerate(self.context.program.lines) if n.name == x.target.text), None)  # type: ignore[union-attr]
            variance = self.context.constant(self.context.program.lines[line].expr) if line is not None else x.variance
            return self._made(x, RULES["readout"], (Formula("law", (f.z(x.target), f.ZERO, variance)),))
        left = x.target if x.kind == "output" else f.z(x.target)
        return self._made(x, RULES[x.kind], (Formula("law", (left, x.value, x.variance)),))

    def _vector(self, x: Statement) -> Entry:
        assert x.value is not None
        assert x.target is not None
        becomes = [f.equal(f.z(x.target), f.to_z(x.value, self.context.kept))]
        why: list[Sentence] = []
        for product in dict.fromkeys(x.products):
            equations, sentences = self._product(product, x)
            becomes += [e for e in equations if e not in becomes]
            why += [t for t in sentences if t not in why]
        if any(self.context.kept(p.formula) for p in x.products):
            equations, sentences = self.corrections.together(x)
            becomes += equations
            why += sentences
        joint = self._joint(x)
        if joint is not None:
            becomes.append(joint)
        if f.holds(x.value, lambda n: n.op == "avg"):
            why.append(_LAW_OF_LARGE_NUMBERS)
        kinds = {"input" if p.entering else "matmul" for p in x.products}
        plain = x.value.op == "matmul" or x.value.op == "name"
        names = [k for k in ("input", "matmul") if k in kinds] + ([] if plain and kinds else ["map"])
        rule = "; ".join(RULES[n] for n in names)
        if x.value.op == "name":
            rule = "another name for a vector"
        return self._made(x, rule, tuple(becomes), tuple(why))

    def _joint(self, x: Statement) -> Formula | None:
        """Cov of a sum of products and initial vectors, all independent of each other; None for anything else."""
        assert x.value is not None
        assert x.target is not None
        terms = summands(x.value)
        if (len(terms) < 2 and terms[0].op != "sum") or any(self.context.kept(p.formula) for p in x.products):
            return None
        products = {p.formula: p for p in x.products}
        found, bases = [], []
        for term in terms:
            body, clauses = (term.args[0], term.args[1:]) if term.op == "sum" else (term, ())
            factor, core = factored(body)
            drawn = next(
                (y for y in self.context.statements if isinstance(y.syntax, s.Draw) and y.target == core), None
            )
            if core in products:
                part = self._product(products[core], x)[0][0].args[1]
                bases.append(products[core].base)
                fixed = {c.args[0].text for c in clauses} - f.letters_of(core.args[0])
            elif drawn is not None and drawn.kind == "vector" and drawn.value == f.ZERO and drawn.variance is not None:
                part, fixed = drawn.variance, {c.args[0].text for c in clauses}
                bases.append(core.text)
            else:
                return None
            if fixed:
                return None
            part = f.mul(squared(factor), part)
            found.append(Formula("sum", (part, *clauses)) if clauses else part)
        if len(set(bases)) < len(bases):
            return None
        shared: list[set[str]] = [f.letters_of(p.args[0]) for p in products]
        own = frozenset({c.args[0].text for c in x.clauses} - set[str]().union(*shared))
        moved = f.primed(x.target, own)
        pair = (
            (f.at(f.z(x.target), "ξ"), f.at(f.z(moved), "ξ′")) if self.context.inputs else (f.z(x.target), f.z(moved))
        )
        return f.covariance(*pair, f.add(*found))

    def _product(self, product: Product, x: Statement) -> tuple[list[Formula], list[Sentence]]:
        hat, vector = f.z(product.formula, "hat"), product.formula.args[1]
        own = self.context.own_letters(product, x)
        moved = f.primed(vector, own)
        other = f.z(Formula("matmul", (product.formula.args[0], moved), product.formula.text), "hat")
        pair = (f.at(hat, "ξ"), f.at(other, "ξ′")) if self.context.inputs else (hat, other)
        strength = self.context.strength(product)
        if product.entering:
            inner = Formula("inner", (f.at(vector, "ξ"), f.at(moved, "ξ′")) if self.context.inputs else (vector, moved))
            return [f.covariance(*pair, f.mul(strength, inner) if strength is not None else inner)], []
        z_of = f.to_z(vector, self.context.kept)
        z_moved = f.primed(z_of, own)
        both = (f.at(z_of, "ξ"), f.at(z_moved, "ξ′")) if self.context.inputs else (z_of, z_moved)
        second = Formula("pow", (both[0], f.number(2))) if both[0] == both[1] else f.mul(*both)
        value = f.expectation(second)
        equations = [f.covariance(*pair, f.mul(strength, value) if strength is not None else value)]
        found = self.context.on(product)
        if any(v.reason == "zero" for v in found) and all(v.reason == "zero" for v in found):
            return [f.equal(hat, f.ZERO)], [(vector, " is 0, and so is the product.")]
        sentences = self.grounds.of_product(product, found)
        if self.context.kept(product.formula):
            equations += self.corrections.listed(product, found)
        return equations, sentences

    def _returned(self, x: Statement) -> Entry:
        why: Sentence = (
            "Given the features, the output is a sum of n independent terms of size 1/√n: Gaussian, with the covariance "
            "below for nngp.",
        )
        assert x.value is not None
        return self._made(x, RULES["return"], (), (why,))

    def _backward(self) -> list[Entry]:
        chosen = [
            i for i, line in enumerate(self.context.program.lines)
            if line.origin.derived.startswith("reverse mode") and first_input(line.name) and self.context.lines.stands_alone(i)
        ]  # fmt: skip
        return [self._adjoint(family) for family in Families(self.context.lines).of(chosen)]

    def _adjoint(self, family: Family) -> Entry:
        first = family.lines[0]
        line = self.context.program.lines[self.context.lines.product_adjoints.get(first, first)]
        span = line.origin.span
        assert span is not None
        zero = all(is_zero(self.context.law, i) for i in family.lines)
        vector = f.to_z(family.left) != family.left
        left = f.to_z(family.left)
        if zero:
            becomes = f.equal(left, f.ZERO) if vector else Formula("to", (left, f.ZERO))
            why = self.grounds.of_zero(family)
        elif family.formula is None:
            becomes = f.equal(left, Formula("code", (), "the chain rule, too long to print: see `tpl core`"))
            why = []
        else:
            right = f.to_z(family.formula, self.context.kept)
            becomes = f.equal(left, right) if vector else Formula("to", (left, right))
            why = self.grounds.of_family(family)
        if family.left.args and family.left.args[0].op == "matmul":
            why += self.grounds.shared(family)
        why = [*self._counted(family), *why]
        text = self.context.source.slice(span)
        rule = "" if zero else "; ".join(RULES[x] for x in (("matmul",) if family.products else ()) + ("map",))
        return Entry(
            BACKWARD,
            f"reverse mode of {self.context.where(span)}",
            text,
            (*family.conditions, *self._circles(family)),
            rule,
            (becomes,),
            tuple(why),
        )

    def _counted(self, family: Family) -> list[Sentence]:
        """What a letter means that the user's loops do not have."""
        letters = {c.args[0] for c in family.conditions}
        bases = {self.context.lines.base_of(i) for i in family.lines}
        counted = dict(x for base in sorted(bases) for x in self.context.lines.counted(base))
        return [("Here ", letter, " is ", index, ".") for letter, index in counted.items() if letter in letters]

    def _circles(self, family: Family) -> list[Formula]:
        """p mod P for an index that is counted so."""
        table = self.context.lines.axis_table
        return [Formula("mod", (f.letter(name), table[name].stop)) for name in family.modulo if name in table]


def definition(context: Context, node: s.Def) -> Formula:
    """A function of the user's: φ(z) = relu(z)."""
    own = Transcriber(context.file, context.source)
    own.names = {**context.transcriber.names, **dict.fromkeys(node.parameters, "parameter")}
    left = Formula("call", tuple(Formula("name", (), p, "parameter") for p in node.parameters), node.name)
    return f.equal(left, own.value(node.body).formula)
