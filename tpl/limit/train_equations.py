"""The limit of training in equations between Z's: what a product with a trained matrix becomes after t steps (TP4 §6).

    Z^{W_t x_t(ξ)} = α_t Z^{W_0 x_t(ξ)} − 1/N Σ_{s<t, b} β_{t,s} σ² χ_{s,b} Z^{dh_s(ξ_b)} E[Z^{y_s(ξ_b)} Z^{x_t(ξ)}],

summed over all uses h = W y of the matrix; with the roles of dh and y exchanged for W^⊤; with ⟨ξ_b, ξ⟩ for E in a matrix of
data. Vectors, readouts and biases of the output likewise, without the inner product.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tpl.core.builder import Builder
from tpl.core.parametrization import Role
from tpl.core.program import Program
from tpl.core.training import Trained, Training
from tpl.language import syntax as s
from tpl.limit import formula as f
from tpl.limit.algebra import to_sympy
from tpl.limit.context import Context
from tpl.limit.formula import Formula
from tpl.limit.matching import Matching
from tpl.limit.tangent import Tangent, Use, matched
from tpl.limit.train_course import Course
from tpl.limit.train_symbols import Symbols
from tpl.limit.transcribe import Statement


@dataclass(frozen=True)
class Learner:
    """A parameter's statement, what it does in the limit, and the coefficients of its variance and of its rate.

    size: of the initial value's variance, without its power of the width. step: what the rate is multiplied by.
    """

    statement: Statement
    role: Role
    group: str
    size: Formula
    step: Formula

    @property
    def learns(self) -> bool:
        return self.role.update == 0

    @property
    def starts(self) -> bool:
        return self.role.init == 0

    @property
    def decays(self) -> bool:
        return self.role.update is not None


class Equations:
    """Formulas at a step. context: of the generic program, without a law; program: the training's own."""

    def __init__(self, context: Context, training: Training, letters: Symbols, course: Course):
        self.context, self.training, self.letters, self.course = context, training, letters, course
        self.matching = Matching(context.lines.whole)
        self.rows = int(training.examples[0].outputs.shape[1])
        self.statements = [x for x in context.statements if x.network == training.network]
        self.learners = [y for x in self.statements if (y := self._learner(x)) is not None]
        tangent = Tangent(context, training.network)
        products = [p for x in self.statements for p in x.products]
        self.uses = tangent.matrices(
            {p.formula: None for p in products}, {p.formula: context.instances(p) for p in products}
        )
        self.vectors = tangent.vectors()

    # ------------------------------------------------------------------------------------------ parameters
    def _learner(self, x: Statement) -> Learner | None:
        if not isinstance(x.syntax, s.Draw) or x.syntax.keyword != "param":
            return None
        program = self.training.program
        found = [p for p in self.training.parameters if program.lines[p.lines[0]].origin.span == x.syntax.span]
        if not found:
            return None
        role = self.training.regime.role(found[0].name)
        size = self._size(program, found[0])
        named = not any(r.parameter.own_rate for r in self.training.regime.roles)
        step = size if named else f.number(float(found[0].step))
        return Learner(x, role, found[0].group, size, step)

    def _size(self, program: Program, p: Trained) -> Formula:
        """The coefficient of a power of the width in a variance."""
        expr = program.lines[p.lines[0]].expr
        assert expr is not None
        if p.group != "hidden":
            return self.context.constant(expr)
        build = Builder(program.source, 0)
        build.widths, build.symbolic_ratios = dict(program.widths), dict(program.symbolic_ratios)
        value = to_sympy(build.without_widths(expr))
        return f.number(Fraction(value.p, value.q)) if value.is_Rational else self.context.fraction(value)

    def learner(self, parameter: Formula, ranges: "dict[str, tuple[int, int]] | None" = None) -> Learner | None:
        """The learner that a name over its indices belongs to; None for what does not train. ranges: of its letters."""
        own = [(t, x) for x in self.learners if (t := x.statement.target) is not None and t.text == parameter.text]
        fitting = [
            (t, x)
            for t, x in own
            if self.matching.may_meet(t, parameter, self.matching.ranges(x.statement.clauses), ranges or {})
        ]
        fitting.sort(key=lambda pair: bool(f.letters_of(pair[0])) != bool(f.letters_of(parameter)))
        return next((x for _, x in fitting), None)

    def moves(self, parameter: Formula) -> bool:
        found = self.learner(parameter)
        return found is not None and found.decays

    # ------------------------------------------------------------------------------------------ at a step
    def at(self, formula: Formula, step: Formula, point: str) -> Formula:
        """Everything at a step; what differs from input to input, at one."""

        def place(node: Formula) -> Formula | None:
            if node.op == "adjoint" and node.args[0].op != "name":  # d(W x(ξ)), but dh(ξ)
                return replace(node, args=(self.at(node.args[0], step, point),))
            if node.op == "adjoint":
                return replace(node, args=(self._stepped(node.args[0], step),), input=point)
            if node.op != "name" or node.kind in ("const", "index", "parameter"):
                return None
            if node.kind == "data":
                return replace(node, input=point) if node.local else None
            if node.local:
                return replace(node, step=step, input=point)
            return replace(node, step=step) if self.moves(node) else None

        return f.rewrite(formula, place)

    def _stepped(self, name: Formula, step: Formula) -> Formula:
        return replace(name, step=step) if name.local or self.moves(name) else name

    def limit(self, formula: Formula, step: Formula, point: str) -> Formula:
        """A formula over lines, in the limit."""
        return _whole(f.to_z(self.at(formula, step, point)))

    def now(self, formula: Formula) -> Formula:
        return self.limit(formula, self.letters.now, self.letters.point)

    def then(self, formula: Formula) -> Formula:
        """At an earlier step, of an example."""
        return self.limit(formula, self.letters.then, self.letters.seen)

    # ------------------------------------------------------------------------------------------ products
    def product(self, product: Formula, clauses: Iterable[Formula]) -> Formula | None:
        """What a product with a matrix is after t steps; None if the matrix does not train."""
        matrix, vector = product.args
        transposed = matrix.op == "transposed"
        bare = matrix.args[0] if transposed else matrix
        ranges = self.matching.ranges(clauses)
        learner = self.learner(bare, ranges)
        if learner is None or not learner.decays:
            return None
        start = self._initial(product, learner)
        if not learner.learns:
            return start
        terms = []
        for use in self.uses:
            met = matched(use, bare, ranges, self.matching)
            if met is not None:
                terms.append(self._learned(met, learner, vector, transposed))
        return f.add(start, *terms)

    def _initial(self, product: Formula, learner: Learner) -> Formula:
        if not learner.starts:
            return f.ZERO
        matrix, vector = product.args
        first = f.rewrite(matrix, lambda x: replace(x, step=f.ZERO) if x.op == "name" and x.kind == "matrix" else None)
        now = self.at(vector, self.letters.now, self.letters.point)
        return f.mul(self.course.kept, f.z(replace(product, args=(first, now))))

    def _learned(self, use: Use, learner: Learner, vector: Formula, transposed: bool) -> Formula:
        """−Σ_{s<t, b} … of one use."""
        assert use.met is not None
        left, right = use.adjoint, use.met
        if use.parameter.op == "transposed":
            left, right = right, left
        if transposed:
            left, right = right, left
        if use.entering:
            t, point = self.letters.now, self.letters.point
            inner = Formula("inner", (self.at(use.met, t, self.letters.seen), self.at(vector, t, point)))
            factors = [learner.step, inner]
        else:
            inner = f.expectation(f.mul(self.then(right), self.now(vector)))
            factors = [learner.step, self.context.ratio(_base(use.parameter), not transposed), inner]
        return self.past([use.factor, *factors, self.then(left)], use.clauses, self.signal)

    @property
    def signal(self) -> Formula:
        """χ_{s,b}, unless the backward pass starts from it."""
        return f.ONE if self.rows > 1 else self.chi(self.letters.then)

    def chi(self, step: Formula, point: str = "") -> Formula:
        """χ_{s,b}; of several outputs χ_{s,j}(ξ_b)."""
        letters, row = self.letters, self.row_letter
        if row is None:
            return letters.indexed(letters.signal, step, f.letter(letters.example))
        return replace(letters.indexed(letters.signal, step, row), input=point or letters.seen)

    def past(self, factors: Sequence[Formula], clauses: Sequence[Formula], signal: Formula) -> Formula:
        """−(η/N) Σ_{s<t, b} χ · factors."""
        numbers = [x for x in factors[:-1] if not f.holds(x, _is_at_step)]
        rest = [x for x in factors if x not in numbers]
        body = f.mul(self.course.inside, signal, *rest)
        whole = (self.letters.before, self.letters.batch(self.letters.then), *clauses)
        below = [x.args[1] for x in numbers if x.op == "div"]
        above = [x.args[0] if x.op == "div" else x for x in numbers]
        before = f.mul(self.course.outside, *above, Formula("div", (f.ONE, f.mul(*below, self.letters.count))))
        negative = before.op == "neg"
        before = before.args[0] if negative else before
        product = Formula("mul", (before, Formula("sum", (body, *whole))))
        return product if negative else Formula("neg", (product,))

    # ------------------------------------------------------------------------------------------ other parameters
    def vector(self, learner: Learner) -> Formula:
        """A vector after t steps."""
        target = learner.statement.target
        assert target is not None
        start = f.mul(self.course.kept, f.z(replace(target, step=f.ZERO))) if learner.starts else f.ZERO
        use = next((u for u in self.vectors if u.parameter == target), None)
        if use is None or not learner.learns:
            return start
        return f.add(start, self.past([use.factor, learner.step, self.then(use.adjoint)], (), self.signal))

    def readout(self, learner: Learner, met: Sequence[Formula]) -> Formula:
        """A readout's scaled row after t steps."""
        start = f.mul(self.course.kept, f.z(self.row(learner, f.ZERO))) if learner.starts else f.ZERO
        if not learner.learns or not met:
            return start
        chi = self.chi(self.letters.then)
        return f.add(start, self.past([learner.step, self.then(f.add(*met))], (), chi))

    def bias(self, learner: Learner, factors: Sequence[Formula]) -> Formula:
        """A bias of the output after t steps."""
        start = f.mul(self.course.kept, self.row(learner, f.ZERO)) if learner.starts else f.ZERO
        if not learner.learns:
            return start
        chi = self.chi(self.letters.then)
        return f.add(start, self.past([learner.step, f.add(*factors), chi], (), f.ONE))

    @property
    def row_letter(self) -> Formula | None:
        """j, if there are several outputs."""
        return f.letter(self.letters.row) if self.rows > 1 else None

    def row(self, learner: Learner, step: Formula) -> Formula:
        """A readout or an output's bias at a step: with the index of its row, if it has several."""
        target = learner.statement.target
        assert target is not None
        row = self.row_letter
        kind = "vector" if learner.group == "readout" else "output"
        return replace(target, args=(*target.args, *([row] if row is not None else [])), kind=kind, step=step)

    def output(self, step: Formula, point: str) -> Formula:
        """f_t(ξ)."""
        args = (self.row_letter,) if self.row_letter is not None else ()
        return Formula("name", args, self.training.network, "output", True, point, step)

    def seeded(self, formula: Formula) -> Formula:
        """With several outputs the backward pass starts from Σ_j χ_j v_j: in place of v."""
        if self.rows == 1:
            return formula
        letters = self.letters
        readouts = {x.statement.target: x for x in self.learners if x.group == "readout"}

        def change(node: Formula) -> Formula | None:
            own = next((x for t, x in readouts.items() if t is not None and node.op == "Z" and node.args[0].text == t.text
                        and node.args[0].op == "name"), None)  # fmt: skip
            if own is None:
                return None
            row = f.letter(letters.row)
            step = letters.now if own.decays else None
            vector = f.z(self.row(own, step) if step is not None else replace(self.row(own, f.ZERO), step=None))
            chi = self.chi(letters.now, letters.point)
            return Formula("sum", (f.mul(chi, vector), Formula("clause", (row, f.ONE, f.number(self.rows)))))

        return f.rewrite(formula, change)


def _is_at_step(formula: Formula) -> bool:
    return formula.op == "Z" or formula.step is not None or bool(formula.input)


def _whole(formula: Formula) -> Formula:
    """Products with their corrections: Z in place of Ẑ."""
    return f.rewrite(formula, lambda x: replace(x, text="") if x.op == "Z" and x.text == "hat" else None)


def _base(parameter: Formula) -> str:
    return (parameter.args[0] if parameter.op == "transposed" else parameter).text
