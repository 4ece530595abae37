"""What an account is drawn up from: the law of a program, its statements, and the ways from one to the other."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from tpl.core.builder import gram_name
from tpl.core.expr import ZERO, Expr
from tpl.core.program import Program
from tpl.language import syntax as s
from tpl.language.source import Source, Span
from tpl.limit import formula as f
from tpl.limit.algebra import constant_symbol, from_sympy
from tpl.limit.backward import Lines, first_input
from tpl.limit.derive import Plan
from tpl.limit.folding import shifted, simplified
from tpl.limit.formula import Formula
from tpl.limit.law import Law
from tpl.limit.naming import variable
from tpl.limit.transcribe import Product, Statement, Transcriber
from tpl.limit.verdicts import Verdict, is_zero, vectors_only, verdicts

Numbers = Callable[[Law, Sequence[Any]], Sequence[tuple[float, float] | None]]


class Context:
    """The law without the kernels' entries, the verdicts on its products, and the statements as formulas.

    inputs: are there networks that take one input at a time? solved: without it there is no law, and nothing counts as 0.
    weights: params with weight 0 in a kernel are left out of it, as in `tpl.core.kernels`.
    """

    def __init__(
        self, program: Program, file: s.File, source: Source, plan: Plan | None, numbers: Numbers | None = None,
        solved: bool = True, weights: Mapping[tuple[str, Span | None], Expr] | None = None,
    ):  # fmt: skip
        self.source, self.file, self.weights = source, file, weights or {}
        self.title = program.title.splitlines()[0] if program.title else source.name
        rows = plan.rows if plan is not None else {}
        self.inputs = plan is not None and any(v.input for v in plan.labels.values())
        self.program = vectors_only(program)
        self.verdicts: dict[int, Verdict] = {}
        if solved:
            self.law = Law(self.program, lambda a, b: _dot(rows, a, b), tabulate=plan is None)
            self.verdicts = verdicts(self.law)
        self.transcriber = Transcriber(file, source)
        self.statements = self.transcriber.statements()
        labels = {row: plan.labels[i] for row, i in rows.items()} if plan is not None else {}
        self.vanishes: Callable[[int], bool] = (lambda i: is_zero(self.law, i)) if solved else lambda i: False
        self.lines = Lines(self.program, self.vanishes, self.transcriber, labels)
        self.numbers = numbers
        self.lines.words.update(self._words())
        self.matrices = {v.base: i for i, line in enumerate(self.program.lines)
                         if line.op == "matrix" and (v := variable(line.name)) is not None}  # fmt: skip
        products = [p for x in self.statements for p in x.products]
        self._kept = {p.formula: any(v.terms for v in self.on(p)) for p in products}
        kept_lines = [self.program.lines[i] for i, v in self.verdicts.items() if v.terms]
        self._kept_matrices = {(self.program.lines[x.args[0]].name.partition("[")[0], x.transposed) for x in kept_lines}

    def kept(self, product: Formula) -> bool:
        """Has a product a correction? Of one that is not the user's this says whether any with its matrix has."""
        matrix = product.args[0]
        transposed = matrix.op == "transposed"
        base = (matrix.args[0] if transposed else matrix).text
        return self._kept.get(product, (base, transposed) in self._kept_matrices)

    def _words(self) -> dict[int, Formula]:
        """The user's products by core line, their letters replaced by where the line stands."""
        found = {}
        for line, products in self.by_line.items():
            owner = self.lines.owner.get(line)
            place = self.lines.place(owner) if owner is not None else {}
            if f.letters_of(products[0].formula) <= place.keys():
                found[line] = _at_numbers(products[0].formula, place)
        return found

    def on(self, product: Product) -> list[Verdict]:
        """The verdicts on the core lines of a product, at the first input."""
        return [self.verdicts[i] for i in self.instances(product) if i in self.verdicts]

    def instances(self, product: Product) -> list[int]:
        found = []
        for i, line in enumerate(self.program.lines):
            if line.op in ("matmul", "input") and line.origin.span == product.span and not line.origin.derived:
                matrix = variable(self.program.lines[line.args[0]].name)
                same = matrix is not None and matrix.base == product.base and line.transposed == product.transposed
                if same and first_input(line.name):
                    found.append(i)
        return found

    def strength(self, product: Product) -> Formula | None:
        """σ² over the width that is summed, or the variance for data; by its letter where that differs along a family."""
        lines = [self.program.lines[i] for i in self.instances(product)]
        if not lines:
            return None
        if len({self.program.lines[x.args[0]].expr for x in lines}) > 1:
            return Formula("name", (), "σ²")
        if lines[0].op == "input":
            return self.constant(self.program.lines[lines[0].args[0]].expr)
        return self.fraction(self.law.strength(lines[0].args[0], lines[0].transposed))

    def ratio(self, base: str, columns: bool = False) -> Formula:
        """The width of a vector, or of a matrix's rows or columns, in base widths."""
        for line in self.program.lines:
            if line.name.partition("[")[0] == base and line.op in ("matrix", "gaussian"):
                dim = line.dims[int(columns)] if len(line.dims) > int(columns) else None
                if isinstance(dim, str):
                    return self.constant(self.program.ratio(dim))
        return f.ONE

    def fraction(self, value: Any) -> Formula:
        """A sympy number as a fraction."""
        top, bottom = (self.constant(from_sympy(x)) for x in value.as_numer_denom())
        return top if bottom == f.ONE else Formula("div", (top, bottom))

    def constant(self, expr: Any) -> Formula:
        return f.from_expr(expr, lambda i: Formula("code", (), "?"))

    def counts(self, kernel: str, parameter: Formula) -> bool:
        """Is a param, over its indices, part of a kernel?"""
        bare = parameter.args[0] if parameter.op == "transposed" else parameter
        own = [
            x
            for x in self.statements
            if isinstance(x.syntax, s.Draw) and x.target is not None and x.target.text == bare.text
        ]
        same = [x for x in own if x.target is not None and x.target.args == bare.args] or own
        return not any(self.weights.get((kernel, x.syntax.span)) == ZERO for x in same)

    def numbered(self, line: int) -> Formula:
        return self.lines.numbered(self.lines.right(line))

    def place(self, line: int) -> dict[str, int]:
        owner = self.lines.owner.get(line)
        return self.lines.place(owner) if owner is not None else self.lines.anchor(line)

    def relative(self, line: int, place: dict[str, int], modulo: tuple[str, ...] = ()) -> Formula:
        """A product over the letters of another place: in the user's words where it is the user's."""
        own = self.place(line)
        for product in self.by_line.get(line, ()):
            if not (f.letters_of(product.formula) - own.keys()) & self.lines.run_against:
                return _moved(product.formula, own, place)
        return self.lines.written(self.lines.right(line), place, modulo)

    @cached_property
    def by_line(self) -> dict[int, list[Product]]:
        """The user's products by core line."""
        found: dict[int, list[Product]] = {}
        for product in (p for x in self.statements for p in x.products):
            for line in self.instances(product):
                found.setdefault(line, []).append(product)
        return found

    def where(self, span: Span) -> str:
        name, line = self.source.place(span.line)
        return f"line {line}" if name == self.source.name else name

    def own_letters(self, product: Product, x: Statement) -> frozenset[str]:
        """The loops' letters that the vector runs over while the matrix stays the same."""
        matrix, vector = product.formula.args
        loops = {c.args[0].text for c in x.clauses}
        return frozenset((f.letters_of(vector) & loops) - f.letters_of(matrix))


def _dot(rows: Mapping[tuple[float, ...], int], a: tuple[float, ...], b: tuple[float, ...]) -> Any:
    return constant_symbol(gram_name(rows[a], rows[b])) if a in rows and b in rows else None


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
