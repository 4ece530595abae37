"""What each line of a program becomes in the limit, and by which rule: the data of `tpl derive --explain`.

One entry a statement, not one a core line: loops stay loops and inputs stay ξ. The right sides come from the user's text
(`transcribe`), the backward pass from core lines (`backward`), and whatever is claimed of a correction Ż from the law
(`verdicts`). `z_form` gives the equations alone: the limit in terms of Z's, for any program, without a single expectation
worked out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from tpl.core.program import Kind, Program
from tpl.language import syntax as s
from tpl.language.source import Source, Span
from tpl.limit import formula as f
from tpl.limit.algebra import from_sympy
from tpl.limit.backward import Family, Lines, first_input, shifted, simplified
from tpl.limit.cancellations import Net, net_form
from tpl.limit.derive import Plan
from tpl.limit.formula import Formula
from tpl.limit.law import Law
from tpl.limit.naming import Variable, variable
from tpl.limit.tangent import Tangent, squared
from tpl.limit.transcribe import Product, Statement, Transcriber
from tpl.limit.verdicts import Verdict, is_zero, odd_in, vectors_only, verdicts

PROGRAM, BACKWARD, SHOWN = "The program", "The backward pass", "What is shown"
MAX_INSTANCES = 9  # corrections that are listed one by one
MAX_TERMS = 6  # of one of them
CHANCE = 4  # errors by which a number must differ from 0 to be told apart from it

Sentence = tuple[str | Formula, ...]
Numbers = Callable[[Law, Sequence[Any]], Sequence[tuple[float, float] | None]]


@dataclass(frozen=True)
class Entry:
    """One statement, or one family of lines of the backward pass.

    where: "line 26" or "--set"; text: as the user wrote it. clauses: the loops around it, or the indices for which it
    holds. becomes: equations. why: sentences of text and formulas.
    """

    section: str
    where: str
    text: str
    clauses: tuple[Formula, ...]
    rule: str
    becomes: tuple[Formula, ...]
    why: tuple[Sentence, ...] = ()


@dataclass(frozen=True)
class Account:
    """A program's limit, line by line. definitions: the user's functions that stand in it by name.

    inputs: are there networks that take one input at a time? outputs: do they return more than one?
    """

    title: str
    inputs: bool
    outputs: bool
    definitions: tuple[Formula, ...]
    entries: tuple[Entry, ...]


def explain(
    program: Program, file: s.File, source: Source, plan: Plan | None, numbers: Numbers | None = None
) -> Account:
    """The account of a program; of networks elaborated by the plan. `numbers` evaluates coefficients of corrections."""
    return _Explainer(program, file, source, plan, numbers).account()


def z_form(program: Program, file: s.File, source: Source, plan: Plan | None) -> tuple[Entry, ...]:
    """The limit as equations between Z's: the entries of the account that define something, without their reasons."""
    return tuple(e for e in explain(program, file, source, plan).entries if e.becomes)


_RULES = {
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


class _Explainer:
    def __init__(self, program: Program, file: s.File, source: Source, plan: Plan | None, numbers: Numbers | None):
        self.source, self.file = source, file
        self.title = program.title.splitlines()[0] if program.title else source.name
        rows = plan.rows if plan is not None else {}
        self.inputs = plan is not None and any(v.input for v in plan.labels.values())
        self.law = Law(vectors_only(program), lambda a, b: _dot(rows, a, b), tabulate=plan is None)
        self.program = self.law.program
        self.verdicts = verdicts(self.law)
        self.transcriber = Transcriber(file, source)
        self.statements = self.transcriber.statements()
        labels = {row: plan.labels[i] for row, i in rows.items()} if plan is not None else {}
        self.lines = Lines(self.law, self.transcriber, labels)
        self.numbers = numbers
        self.lines.words.update(self._words())
        self.matrices = {v.base: i for i, line in enumerate(self.program.lines)
                         if line.op == "matrix" and (v := variable(line.name)) is not None}  # fmt: skip
        self.kept = frozenset(
            p.formula for x in self.statements for p in x.products if any(v.terms for v in self._on(p))
        )

    def _words(self) -> dict[int, Formula]:
        """The user's products by core line, their letters replaced by where the line stands."""
        found = {}
        for line, products in self._by_line.items():
            owner = self.lines.owner.get(line)
            place = self.lines.place(owner) if owner is not None else {}
            if f.letters_of(products[0].formula) <= place.keys():
                found[line] = _at_numbers(products[0].formula, place)
        return found

    def account(self) -> Account:
        entries = [e for x in self.statements if not isinstance(x.syntax, s.Show) and (e := self._entry(x)) is not None]
        backward = self._backward()
        shown = [e for x in self.statements if isinstance(x.syntax, s.Show) for e in self._shown(x)]
        used = dict.fromkeys(name for x in self.statements for name in x.defs)
        definitions = tuple(self._definition(self.transcriber.defs[name]) for name in used)
        outputs = any(
            isinstance(x.syntax, s.Return) and x.value is not None and x.value.op == "each" for x in self.statements
        )
        return Account(self.title, self.inputs, outputs, definitions, (*entries, *backward, *shown))

    def _definition(self, node: s.Def) -> Formula:
        own = Transcriber(self.file, self.source)
        own.names = {**self.transcriber.names, **dict.fromkeys(node.parameters, "parameter")}
        left = Formula("call", tuple(Formula("name", (), p, "parameter") for p in node.parameters), node.name)
        return f.equal(left, own.value(node.body).formula)

    # ------------------------------------------------------------------------------------------ statements
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
            becomes = Formula("to", (x.target, f.to_z(x.value, self.kept)))
            return self._made(x, _RULES["moment" if averaged else "scalar"], (becomes,), why)
        if x.kind in ("const", "data", "matrix", "readout", "output", "list"):
            return None
        return self._made(x, _RULES["map"], (f.equal(x.target, x.value),))

    def _made(self, x: Statement, rule: str, becomes: tuple[Formula, ...], why: tuple[Sentence, ...] = ()) -> Entry:
        span = x.syntax.span
        return Entry(PROGRAM, self._where(span), self.source.slice(span), x.clauses, rule, becomes, why)

    def _where(self, span: Span) -> str:
        name, line = self.source.place(span.line)
        return f"line {line}" if name == self.source.name else name

    def _drawn(self, x: Statement) -> Entry:
        assert x.target is not None
        assert x.value is not None
        assert x.variance is not None
        if x.kind == "matrix":
            return self._made(x, _RULES["matrix"], ())
        if x.variance.op == "code":  # drawn jointly
            return self._made(x, "initial vectors, jointly Gaussian coordinate by coordinate (TP3 §2)", ())
        if x.kind == "readout":
            line = next((i for i, n in enumerate(self.program.lines) if n.name == x.target.text), None)  # type: ignore[union-attr]
            variance = self._constant(self.program.lines[line].expr) if line is not None else x.variance
            return self._made(x, _RULES["readout"], (Formula("law", (f.z(x.target), f.ZERO, variance)),))
        left = x.target if x.kind == "output" else f.z(x.target)
        return self._made(x, _RULES[x.kind], (Formula("law", (left, x.value, x.variance)),))

    def _constant(self, expr: Any) -> Formula:
        return f.from_expr(expr, lambda i: Formula("code", (), "?"))

    def _vector(self, x: Statement) -> Entry:
        assert x.value is not None
        assert x.target is not None
        becomes = [f.equal(f.z(x.target), f.to_z(x.value, self.kept))]
        why: list[Sentence] = []
        for product in dict.fromkeys(x.products):
            equations, sentences = self._product(product, x)
            becomes += [e for e in equations if e not in becomes]
            why += [t for t in sentences if t not in why]
        if any(p.formula in self.kept for p in x.products):
            equations, sentences = self._together(x)
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
        rule = "; ".join(_RULES[n] for n in names)
        if x.value.op == "name":
            rule = "another name for a vector"
        return self._made(x, rule, tuple(becomes), tuple(why))

    def _joint(self, x: Statement) -> Formula | None:
        """Cov of a sum of products and initial vectors, all independent of each other; None for anything else."""
        assert x.value is not None
        assert x.target is not None
        terms = _terms(x.value)
        if (len(terms) < 2 and terms[0].op != "sum") or any(p.formula in self.kept for p in x.products):
            return None
        products = {p.formula: p for p in x.products}
        found, bases = [], []
        for term in terms:
            body, clauses = (term.args[0], term.args[1:]) if term.op == "sum" else (term, ())
            factor, core = _factored(body)
            drawn = next((y for y in self.statements if isinstance(y.syntax, s.Draw) and y.target == core), None)
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
        pair = (f.at(f.z(x.target), "ξ"), f.at(f.z(moved), "ξ′")) if self.inputs else (f.z(x.target), f.z(moved))
        return f.covariance(*pair, f.add(*found))

    # ------------------------------------------------------------------------------------------ products
    def _on(self, product: Product) -> list[Verdict]:
        """The verdicts on the core lines of a product, at the first input."""
        return [self.verdicts[i] for i in self._instances(product) if i in self.verdicts]

    def _instances(self, product: Product) -> list[int]:
        found = []
        for i, line in enumerate(self.program.lines):
            if line.op in ("matmul", "input") and line.origin.span == product.span and not line.origin.derived:
                matrix = variable(self.program.lines[line.args[0]].name)
                same = matrix is not None and matrix.base == product.base and line.transposed == product.transposed
                if same and first_input(line.name):
                    found.append(i)
        return found

    def _product(self, product: Product, x: Statement) -> tuple[list[Formula], list[Sentence]]:
        hat, vector = f.z(product.formula, "hat"), product.formula.args[1]
        own = self._own_letters(product, x)
        moved = f.primed(vector, own)
        other = f.z(Formula("matmul", (product.formula.args[0], moved), product.formula.text), "hat")
        pair = (f.at(hat, "ξ"), f.at(other, "ξ′")) if self.inputs else (hat, other)
        strength = self._strength(product)
        if product.entering:
            inner = Formula("inner", (f.at(vector, "ξ"), f.at(moved, "ξ′")) if self.inputs else (vector, moved))
            return [f.covariance(*pair, f.mul(strength, inner) if strength is not None else inner)], []
        z_of = f.to_z(vector, self.kept)
        z_moved = f.primed(z_of, own)
        both = (f.at(z_of, "ξ"), f.at(z_moved, "ξ′")) if self.inputs else (z_of, z_moved)
        second = Formula("pow", (both[0], f.number(2))) if both[0] == both[1] else f.mul(*both)
        value = f.expectation(second)
        equations = [f.covariance(*pair, f.mul(strength, value) if strength is not None else value)]
        found = self._on(product)
        if any(v.reason == "zero" for v in found) and all(v.reason == "zero" for v in found):
            return [f.equal(hat, f.ZERO)], [(vector, " is 0, and so is the product.")]
        sentences = self._grounds(product, found)
        if product.formula in self.kept:
            equations += self._corrections(product, found)
        return equations, sentences

    def _own_letters(self, product: Product, x: Statement) -> frozenset[str]:
        """The loops' letters that the vector runs over while the matrix stays the same."""
        matrix, vector = product.formula.args
        loops = {c.args[0].text for c in x.clauses}
        return frozenset((f.letters_of(vector) & loops) - f.letters_of(matrix))

    def _strength(self, product: Product) -> Formula | None:
        """σ² over the width that is summed, or the variance for data."""
        instances = self._instances(product)
        if not instances:
            return None
        line = self.program.lines[instances[0]]
        matrix = self.program.lines[line.args[0]]
        if line.op == "input":
            return self._constant(matrix.expr)
        return self._fraction(self.law.strength(line.args[0], line.transposed))

    def _fraction(self, value: Any) -> Formula:
        """A sympy number as a fraction."""
        top, bottom = (self._constant(from_sympy(x)) for x in value.as_numer_denom())
        return top if bottom == f.ONE else Formula("div", (top, bottom))

    def _grounds(self, product: Product, found: list[Verdict]) -> list[Sentence]:
        """Why Ż is there, or not: one sentence a reason."""
        if not found:
            return [("The same product as on an earlier line.",)]
        by_reason: dict[str, list[Verdict]] = {}
        for v in found:
            by_reason.setdefault(v.reason, []).append(v)
        sentences = []
        for members in by_reason.values():
            sentence = self._ground(product.formula, [(v, self._place(v.line)) for v in members])
            if len(by_reason) > 1:
                sentence = (*self._at_indices(members), *sentence)
            sentences.append(sentence)
        return sentences

    def _at_indices(self, members: list[Verdict]) -> Sentence:
        """`At r[1]: ` or `At r[2], …, r[5]: `."""
        owners = [self.lines.owner.get(v.line) for v in members]
        names = [
            Formula("name", tuple(f.number(i) for i in o.index), o.base, "vector") for o in owners if o is not None
        ]
        names = list(dict.fromkeys(names))
        if len(names) > 2:
            return ("At ", names[0], ", …, ", names[-1], ": ")
        return ("At ", *(names[:1]), *((", ", names[1]) if len(names) == 2 else ()), ": ")

    def _place(self, line: int) -> dict[str, int]:
        owner = self.lines.owner.get(line)
        return self.lines.place(owner) if owner is not None else self.lines.anchor(line)

    def _ground(
        self, product: Formula, members: list[tuple[Verdict, dict[str, int]]], modulo: tuple[str, ...] = ()
    ) -> Sentence:
        """One sentence on verdicts of one reason; each comes with the values of the letters that it is told in."""
        verdict, place = members[-1]
        matrix, vector = product.args
        opposite = matrix.args[0] if matrix.op == "transposed" else Formula("transposed", (matrix,))
        dot = f.z(product, "dot")
        if verdict.reason == "zero":
            return (product, " is 0, as ", f.z(vector), " is.")
        gone = f.equal(dot, f.ZERO)
        if verdict.reason == "fresh":
            return (gone, ": nothing was multiplied by ", opposite, " before this line.")
        where = self._places([p for v, _ in members for p in (v.relevant or v.opposite)])
        before: Sentence = (": ", opposite, f" was used before ({where})")
        if verdict.reason == "independent":
            return (gone, *before, ", but ", vector, " does not depend on that.")
        if verdict.reason == "kept":
            how = _STEIN if verdict.stein else _DERIVATIVE
            return (dot, " stays", *before, ", and ", f.z(vector), f" depends on it. {how}")
        example = f.z(self._nearest(verdict, place, modulo), "hat")
        nil = f.equal(Formula("E", (Formula("slope", (f.z(vector), example)),)), f.ZERO)
        depends: Sentence = (*before, " and ", f.z(vector), " depends on it, but ", nil)
        if verdict.reason == "vanishes":
            return (gone, *depends, " when the expectation is worked out.")
        flipped = self._flipped(members, modulo)
        return (gone, *depends, ", since ", f.z(vector), " is odd in ", *flipped, ", which is symmetric and independent of ",
                example, ". So ", matrix, " acts as a fresh matrix here.")  # fmt: skip

    def _places(self, lines: list[int]) -> str:
        """The user's lines that core lines come from."""
        spans = [self.program.lines[i].origin.span for i in lines]
        places = list(dict.fromkeys(self._where(span) for span in spans if span is not None))
        return ", ".join(places[:4])

    def _nearest(self, verdict: Verdict, place: dict[str, int], modulo: tuple[str, ...]) -> Formula:
        """Of the products that count the one whose indices are nearest."""

        def distance(line: int) -> int:
            own = self._place(line)
            return sum(abs(own[k] - place[k]) for k in own if k in place)

        example = self._relative(min(verdict.relevant, key=distance), place, modulo)
        return Formula("matmul", (example.args[0], _ANYTHING)) if modulo else example

    def _relative(self, line: int, place: dict[str, int], modulo: tuple[str, ...] = ()) -> Formula:
        """A product over the letters of another place: in the user's words where it is the user's."""
        for product in self._by_line.get(line, ()):
            return _moved(product.formula, self._place(line), place)
        return self.lines.written(self.lines.right(line), place, modulo)

    @cached_property
    def _by_line(self) -> dict[int, list[Product]]:
        """The user's products by core line."""
        found: dict[int, list[Product]] = {}
        for product in (p for x in self.statements for p in x.products):
            for line in self._instances(product):
                found.setdefault(line, []).append(product)
        return found

    def _flipped(self, members: list[tuple[Verdict, dict[str, int]]], modulo: tuple[str, ...]) -> Sentence:
        """The variables in which something is odd, in the user's words; one choice for each kind of member."""
        choices = list(dict.fromkeys(self._odd_in(v.flipped, place, modulo) for v, place in members))
        parts: list[str | Formula] = []
        for i, choice in enumerate(choices[:2]):
            parts += [*(() if i == 0 else (" or, at other indices, in ",)), *choice]
        return tuple(parts)

    def _odd_in(self, lines: Sequence[int], place: dict[str, int], modulo: tuple[str, ...] = ()) -> Sentence:
        found: list[Formula] = []
        for line in lines:
            if self.program.lines[line].op == "matmul":
                found.append(f.z(self._relative(line, place, modulo), "hat"))
            else:
                written = self.lines.written(self.lines.formula(line), place, modulo)
                found.append(f.to_z(_without_vectors(written) if modulo else written))
        found = list(dict.fromkeys(found))
        shown: list[str | Formula] = []
        for x in found[:2]:
            shown += [", ", x] if shown else [x]
        return ("(", *shown, *((", …",) if len(found) > 2 else ()), ")") if len(found) > 1 else tuple(shown)

    # ------------------------------------------------------------------------------------------ corrections
    def _corrections(self, product: Product, found: list[Verdict]) -> list[Formula]:
        """The general formula for Ż, and each instance's terms with numbers where there are some."""
        hat = f.z(product.formula, "dot")
        listed = [v for v in found if v.terms][:MAX_INSTANCES]
        values = self._values(listed)
        equations = []
        for v in listed:
            own = self._numbered(v.line)
            terms = [self._term(v, i, values) for i in range(min(len(v.terms), MAX_TERMS))]
            if len(v.terms) > MAX_TERMS:
                terms.append(Formula("code", (), "…"))
            if len(found) == 1:
                own = hat.args[0]
            rounded = any((v.line, i) in values and not _is_constant(t.coefficient) for i, t in enumerate(v.terms))
            equations.append(Formula("near" if rounded else "eq", (f.z(own, "dot"), f.add(*terms))))
        return equations

    def _together(self, x: Statement) -> tuple[list[Formula], list[Sentence]]:
        """Lines in which a correction meets its own vector: what is left, and the coefficients that cancel."""
        equations: list[Formula] = []
        lost: list[str | Formula] = []
        for line in self._targets(x):
            kept = [a for a in self.program.lines[line].args if self.law.corrections.get(a)]
            net = net_form(self.law, line, kept) if kept else None
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
        spans = [line.origin.span for line in self.program.lines]
        return [
            i for i, span in enumerate(spans)
            if span == x.syntax.span and not self.program.lines[i].origin.derived
            and (v := variable(self.program.lines[i].name)) is not None and v.base == x.target.text
            and first_input(self.program.lines[i].name)
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
            z_v = f.z(self.lines.numbered(self.lines.formula(v)))
            rounded |= total[1] > 0
            if abs(total[0]) > CHANCE * total[1]:
                terms.append(f.mul(_rounded(*total), z_v))
            for value, sum_ in zip(values[1:], against, strict=True):
                if correction != 0 and sum_ is not None and abs(sum_[0]) <= CHANCE * sum_[1]:
                    both = f.add(_rounded(*value), _rounded(*values[0]))  # type: ignore[misc]
                    cancelled += [", " if cancelled else "", both, " of ", z_v]
        name = self.lines.numbered(self.lines.formula(net.line))
        for p, coefficient in net.products:
            value = self._evaluated([coefficient])[0]
            if value is None:
                return None, []
            terms.append(f.mul(_rounded(*value), f.z(self._numbered(p), "hat")))
        return Formula("near" if rounded else "eq", (f.z(name), f.add(*terms))), cancelled

    def _evaluated(self, wanted: list[Any]) -> Sequence[tuple[float, float] | None]:
        """Numbers of the law with their errors: 0 for exact ones."""
        if self.numbers is None or self.inputs or not wanted:
            return [None] * len(wanted)
        found = self.numbers(self.law, wanted)
        exact = [_is_constant(x) for x in wanted]
        return [None if v is None else (v[0], 0.0 if e else v[1]) for v, e in zip(found, exact, strict=True)]

    def _numbered(self, line: int) -> Formula:
        return self.lines.numbered(self.lines.right(line))

    def _values(self, listed: list[Verdict]) -> dict[tuple[int, int], tuple[float, float] | None]:
        keys = [(v.line, i) for v in listed for i in range(len(v.terms))]
        wanted = [v.terms[i].coefficient for v in listed for i in range(len(v.terms))]
        if self.numbers is None or self.inputs or not wanted:
            return {}
        return dict(zip(keys, self.numbers(self.law, wanted), strict=True))

    def _term(self, verdict: Verdict, i: int, values: Mapping[tuple[int, int], tuple[float, float] | None]) -> Formula:
        """coefficient · Z^y: exact where the coefficient is one of constants alone, else σ² E ∂Z/∂Ẑ and its number."""
        correction = verdict.terms[i]
        z_y = f.z(self.lines.numbered(self.lines.formula(correction.vector)))
        exact = _is_constant(correction.coefficient)
        if exact:
            top, bottom = correction.coefficient.as_numer_denom()
            numerator = f.mul(self._constant(from_sympy(top)), z_y)
            return numerator if bottom == 1 else Formula("div", (numerator, self._constant(from_sympy(bottom))))
        value = values.get((verdict.line, i))
        if value is not None and abs(value[0]) <= CHANCE * value[1]:
            return f.ZERO
        if value is not None:
            return f.mul(_rounded(*value), z_y)
        x = self.lines.numbered(self.lines.formula(self.program.lines[verdict.line].args[1]))
        product = next(
            (p for p in verdict.relevant if self.program.lines[p].args[1] == correction.vector), verdict.relevant[0]
        )
        slope = Formula("E", (Formula("slope", (f.z(x), f.z(self._numbered(product), "hat"))),))
        line = self.program.lines[verdict.line]
        return f.mul(self._fraction(self.law.strength(line.args[0], line.transposed)), slope, z_y)

    # ------------------------------------------------------------------------------------------ outputs
    def _returned(self, x: Statement) -> Entry:
        why: Sentence = (
            "Given the features, the output is a sum of n independent terms of size 1/√n: Gaussian, with the covariance "
            "below for nngp.",
        )
        assert x.value is not None
        return self._made(x, _RULES["return"], (), (why,))

    def _shown(self, x: Statement) -> list[Entry]:
        node = x.syntax
        assert isinstance(node, s.Show)
        assert x.value is not None
        rule = "Moment (TP3 §2): averages over the coordinates become expectations"
        value = x.value
        text = f"show {self.source.slice(node.span).removeprefix('show').strip()}"
        why: list[Sentence] = []
        if value.op == "call" and value.text in ("nngp", "ntk"):
            if value.text == "nngp":
                becomes = tuple(f.equal(self._two("NNGP"), f.add(*terms)) for terms in self._outputs())
            else:
                becomes, why = self._ntk()
            rule = _KERNEL_RULES[value.text]
            text = f"show {value.text}({', '.join(a.text for a in value.args)})"
        elif value.op == "each":
            becomes = (Formula("to", (value.args[0], f.to_z(value.args[0], self.kept))),)
            becomes = tuple(b for b in becomes if b.args[0] != b.args[1])
            return [Entry(SHOWN, self._where(node.span), text, value.args[1:], rule, becomes)]
        else:
            becomes = (Formula("to", (value, f.to_z(value, self.kept))),)
        becomes = tuple(b for b in becomes if b.args[0] != b.args[1])
        return [Entry(SHOWN, self._where(node.span), text, x.clauses, rule, becomes, tuple(why))]

    def _two(self, name: str) -> Formula:
        """NNGP(ξ, ξ′); (i, i′) for the outputs of one batch."""
        if self.inputs:
            return Formula("call", tuple(Formula("name", (), x, "data") for x in ("ξ", "ξ′")), name)
        clauses = next((x.value.args[1:] for x in self.statements if isinstance(x.syntax, s.Return)
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
        for x in self.statements:
            if isinstance(x.syntax, s.Return) and x.value is not None:
                each = x.value.op == "each"
                value, clauses = (x.value.args[0], x.value.args[1:]) if each else (x.value, ())
                found.append([self._output_term(t, clauses) for t in _terms(value)])
        return found

    def _output_term(self, term: Formula, clauses: tuple[Formula, ...]) -> Formula:
        """The covariance that one readout or bias gives the output."""
        factor, core = _factored(term)
        square = squared(factor)
        if core.op == "matmul":
            vector = f.to_z(core.args[1], self.kept)
            variance = self._variance(core.args[0].text)
            letters = frozenset(c.args[0].text for c in clauses)
            moved = f.primed(vector, letters)
            both = f.mul(f.at(vector, "ξ"), f.at(moved, "ξ′")) if self.inputs else f.mul(vector, moved)
            return f.mul(square, variance, Formula("E", (both,)))
        return f.mul(square, self._variance(core.text)) if core.op == "name" else Formula("var", (core,))

    def _variance(self, base: str) -> Formula:
        for line in self.program.lines:
            named = variable(line.name)
            if named is not None and named.base == base and line.op == "gaussian":
                return self._constant(line.expr)
        return next((x.variance for x in self.statements if x.variance is not None and x.target is not None
                     and x.target.text == base), f.ONE)  # fmt: skip

    def _ntk(self) -> tuple[tuple[Formula, ...], list[Sentence]]:
        """Σ over parameters, and what is said of those that give nothing."""
        tangent = Tangent(self.law, self.lines, self.statements)
        products = [p for x in self.statements for p in x.products]
        uses = tangent.matrices(
            {p.formula: self._strength(p) for p in products}, {p.formula: self._instances(p) for p in products}
        )
        uses += tangent.vectors()
        pair = ("ξ", "ξ′") if self.inputs else ("a", "b")
        terms = [t if self.inputs else self._of_outputs(t) for x in self._outputs() for t in x]
        lost = list(dict.fromkeys(u.parameter for u in uses if u.vanishes))
        why: list[Sentence] = [(x, " adds nothing: its adjoints vanish in the limit.") for x in lost]
        return (f.equal(self._two("NTK") if self.inputs else self._of_outputs(self._two("NTK")), f.add(*terms, *tangent.terms(uses, pair, not self.inputs))),), why

    # ------------------------------------------------------------------------------------------ backward pass
    def _backward(self) -> list[Entry]:
        chosen = [
            i for i, line in enumerate(self.program.lines)
            if line.origin.derived.startswith("reverse mode") and first_input(line.name) and self.lines.stands_alone(i)
        ]  # fmt: skip
        return [self._adjoint(family) for family in self.lines.families(chosen)]

    def _adjoint(self, family: Family) -> Entry:
        line = self.program.lines[family.lines[0]]
        span = line.origin.span
        assert span is not None
        zero = all(is_zero(self.law, i) for i in family.lines)
        vector = f.to_z(family.left) != family.left
        left = f.to_z(family.left)
        if zero:
            becomes = f.equal(left, f.ZERO) if vector else Formula("to", (left, f.ZERO))
            why = self._zero_grounds(family)
        elif family.formula is None:
            becomes = f.equal(left, Formula("code", (), "the chain rule, too long to print: see `tpl core`"))
            why = []
        else:
            right = f.to_z(family.formula)
            becomes = f.equal(left, right) if vector else Formula("to", (left, right))
            why = self._backward_grounds(family)
        if family.left.args and family.left.args[0].op == "matmul":
            why += self._shared(family)
        text = self.source.slice(span)
        rule = "" if zero else "; ".join(_RULES[x] for x in (("matmul",) if family.products else ()) + ("map",))
        return Entry(
            BACKWARD, f"reverse mode of {self._where(span)}", text, family.conditions, rule, (becomes,), tuple(why)
        )

    def _shared(self, family: Family) -> list[Sentence]:
        """Of which other products the same line is the adjoint."""
        line = family.lines[len(family.lines) // 2]
        place = self.lines.anchor(line)
        others = [
            self.lines.written(self.lines.formula(i), place) for i, a in self.lines.adjoint_of.items() if a == line
        ]
        others = [x for x in dict.fromkeys(others) if x.op == "matmul" and x != family.left.args[0]]
        return [("The same is the adjoint of ", x, ", another term of the same sum.") for x in others]

    def _zero_grounds(self, family: Family) -> list[Sentence]:
        """Why a family is 0: an average that is odd in something, or factors that are 0."""
        stack = [family.lines[-1]]
        seen: set[int] = set()
        while stack:
            i = stack.pop()
            line = self.program.lines[i]
            if line.op == "moment" and is_zero(self.law, i):
                flipped = odd_in(self.law, self.law.opened(i))
                if not flipped:
                    return [("It is an average whose expectation works out as 0.",)]
                place = self.lines.anchor(family.lines[-1])
                return [("It is an average of something odd in ", *self._odd_in(flipped, place),
                         ", which is symmetric and independent of the rest: the expectation is 0.")]  # fmt: skip
            if line.kind is Kind.SCALAR or i == family.lines[-1]:
                stack.extend(a for a in line.args if a not in seen and self.program.lines[a].kind is Kind.SCALAR)
                seen.update(line.args)
        return [("All of its terms hold a factor that is 0 in the limit.",)]

    def _backward_grounds(self, family: Family) -> list[Sentence]:
        """Verdicts on the products W.T @ dh that a family writes out: one sentence a reason."""
        groups: dict[tuple, list[Verdict]] = {}
        for p in family.products:
            verdict = self.verdicts.get(p)
            matrix = variable(self.program.lines[self.program.lines[p].args[0]].name)
            if verdict is not None and matrix is not None:
                groups.setdefault((verdict.reason, matrix.base), []).append(verdict)
        sentences: list[Sentence] = []
        for (_, base), members in groups.items():
            product = next(p for p in _products(family.formula) if _base(p) == base) if family.formula is not None and any(
                _base(p) == base for p in _products(family.formula)) else self._told(members[-1], family)  # fmt: skip
            placed = [(v, self.lines.anchor(self._user(v.line, family))) for v in members]
            sentences.append(self._ground(product, placed, family.modulo))
        lost = [a for i in family.lines for a in self.program.lines[i].args if self.program.lines[a].kind is Kind.SCALAR]
        if any(self.program.lines[a].origin.derived and is_zero(self.law, a) for a in lost):
            sentences.append(("Terms with the adjoint of an average are left out where that adjoint is 0 in the limit.",))
        if family.modulo:
            sentences.append((f"Index {', '.join(family.modulo)} runs in a circle.",))
        return sentences

    def _user(self, product: int, family: Family) -> int:
        """The line of a family that uses a product."""
        return next((i for i in family.lines if product in self.lines.products_in(i)), family.lines[0])

    def _told(self, verdict: Verdict, family: Family) -> Formula:
        place = self.lines.anchor(self._user(verdict.line, family))
        return self.lines.written(self.lines.right(verdict.line), place, family.modulo)


_ANYTHING = Formula("name", (), "·", "index")
_STEIN = "Its expected derivatives come from Stein's lemma, since the function may jump."
_DERIVATIVE = "The function does not jump: its expected derivatives are those of its derivative almost everywhere."
_LAW_OF_LARGE_NUMBERS: Sentence = (
    "The average over the n coordinates tends almost surely to the expectation (law of large numbers).",
)
_KERNEL_RULES = {
    "nngp": "covariance of the outputs over the readouts, given the features (TP1)",
    "ntk": "sum over the parameters of the inner products of the outputs' derivatives (TP2)",
}


def _dot(rows: Mapping[tuple[float, ...], int], a: tuple[float, ...], b: tuple[float, ...]) -> Any:
    from tpl.core.builder import gram_name
    from tpl.limit.algebra import constant_symbol

    return constant_symbol(gram_name(rows[a], rows[b])) if a in rows and b in rows else None


def _without_vectors(formula: Formula) -> Formula:
    """Products with whatever they are taken of left open: on a circle all positions are alike."""
    return f.rewrite(formula, lambda n: Formula("matmul", (n.args[0], _ANYTHING)) if n.op == "matmul" else None)


def _products(formula: Formula) -> list[Formula]:
    """The products W.T @ … in a formula."""
    own = [formula] if formula.op == "matmul" else []
    return own + [p for a in formula.args for p in _products(a)]


def _base(product: Formula) -> str:
    matrix = product.args[0]
    return matrix.args[0].text if matrix.op == "transposed" else matrix.text


def _at_numbers(formula: Formula, place: Mapping[str, int]) -> Formula:
    """A formula over letters with indices as numbers."""

    def change(node: Formula) -> Formula | None:
        here = node.op == "name" and node.kind == "index" and node.text in place
        return Formula("index", (), str(place[node.text]), node.text) if here else None

    return f.rewrite(formula, change)


def _moved(formula: Formula, place: Mapping[str, int], anchor: Mapping[str, int]) -> Formula:
    """A formula over the letters at one place, over those at another."""

    def change(node: Formula) -> Formula | None:
        if node.op != "name" or node.kind != "index" or node.text not in place:
            return None
        if node.text in anchor:
            return shifted(node, place[node.text] - anchor[node.text])
        return f.number(place[node.text])

    return simplified(f.rewrite(formula, change))


def _rounded(value: float, error: float) -> Formula:
    """A number with its error, or as it is where that is below what six digits show."""
    if error <= 5e-7 * abs(value) or error < 1e-12:
        positive = f.number(Fraction(str(round(abs(value), 6))))
        return positive if value >= 0 else Formula("neg", (positive,))
    digits = max(0, 1 - math.floor(math.log10(error)))
    text = Formula("number", (), f"{abs(value):.{digits}f} ± {error:.{digits}f}")
    return text if value >= 0 else Formula("neg", (text,))


def _is_constant(value: Any) -> bool:
    from tpl.limit.calculus import used_quantities

    return not used_quantities([value]) and not any(x.name.startswith("gram_") for x in value.free_symbols)


def _terms(value: Formula) -> tuple[Formula, ...]:
    return value.args if value.op == "add" else (value,)


def _factored(term: Formula) -> tuple[Formula, Formula]:
    """coefficient · (readout product or bias)."""
    if term.op == "div":
        factor, core = _factored(term.args[0])
        return Formula("div", (factor, term.args[1])), core
    if term.op == "neg":
        return _factored(term.args[0])
    if term.op == "mul":
        core = next((a for a in term.args if a.op == "matmul"), term.args[-1])
        return f.mul(*(a for a in term.args if a is not core)), core
    return f.ONE, term


__all__ = ["Account", "Entry", "Variable", "explain", "z_form"]
