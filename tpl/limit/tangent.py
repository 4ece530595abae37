"""The tangent kernel as a sum over parameters, in terms of Z's: which parameters, which uses, which adjoints (TP2).

matrix W, uses W x_i:      σ² Σ_{i,j} E[Z^{d(W x_i)} Z^{d(W x_j)}′] E[Z^{x_i} Z^{x_j}′]
matrix of data, U ξ_i:     σ² Σ_{i,j} E[Z^{d(U ξ_i)} Z^{d(U ξ_j)}′] ⟨ξ_i, ξ_j′⟩
vector b:                  σ² E[Z^{db} Z^{db}′]
readout v, bias c:         as in the kernel of the outputs
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tpl.language import syntax as s
from tpl.limit import formula as f
from tpl.limit.context import Context
from tpl.limit.folding import simplified
from tpl.limit.formula import Formula
from tpl.limit.matching import Matching, Ranges, Unwritten
from tpl.limit.naming import variable
from tpl.limit.transcribe import Product, Statement


@dataclass(frozen=True)
class Use:
    """A trained matrix or vector in a statement: the adjoint of what it makes there, and what it meets.

    parameter: its name over its indices. factor: a number that multiplies the adjoint. clauses: of all loops around it. vanishes: is the adjoint 0 in the limit?
    """

    parameter: Formula
    adjoint: Formula
    factor: Formula
    met: Formula | None
    entering: bool
    clauses: tuple[Formula, ...]
    strength: Formula | None
    vanishes: bool


class Tangent:
    """The terms of the tangent kernel that trained matrices and vectors give."""

    def __init__(self, context: Context, network: str):
        self.vanishes, self.lines, self.kept, self.ratio = context.vanishes, context.lines, context.kept, context.ratio
        self.program = context.program
        self.matching = Matching(context.lines.whole)
        self.statements = statements = [x for x in context.statements if x.network == network]
        self.drawn = [
            x for x in statements
            if isinstance(x.syntax, s.Draw) and x.syntax.keyword == "param" and x.target is not None
        ]  # fmt: skip
        self.trained = {x.target.text for x in self.drawn if x.target is not None}

    def matrices(self, strength: "dict[Formula, Formula | None]", instances: "dict[Formula, list[int]]") -> list[Use]:
        """Uses of trained matrices; `strength` and `instances` give σ² and the core lines of a product."""
        found = []
        for x in self.statements:
            for product in dict.fromkeys(x.products):
                if product.base in self.trained:
                    found.append(self._use(x, product, strength[product.formula], instances[product.formula]))
        return found

    def _use(self, x: Statement, product: Product, strength: Formula | None, lines: list[int]) -> Use:
        matrix, met = product.formula.args
        adjoints = [self.lines.adjoint_of[i] for i in lines if i in self.lines.adjoint_of]
        assert x.value is not None
        name, factor = self._written(adjoints, product, x), f.ONE
        if not adjoints and x.target is not None:
            coefficient = _coefficient(x.value, product.formula)
            if coefficient is not None:
                name, factor = Formula("adjoint", (x.target,), kind="vector", local=True), coefficient
        zero = bool(adjoints) and all(self.vanishes(a) for a in adjoints)
        inner = tuple(_clauses_around(x.value, product.formula) or ())
        return Use(matrix, name, factor, met, product.entering, x.clauses + inner, strength, zero)

    def _written(self, adjoints: list[int], product: Product, x: Statement) -> Formula:
        """The adjoint of a product inside a nonlinearity, under the name that the backward pass gives it."""
        if not adjoints:
            return Formula("adjoint", (product.formula,), kind="vector", local=True)
        line = adjoints[len(adjoints) // 2]
        loops = {c.args[0].text for c in x.clauses}
        anchor, adjoint = self.lines.anchor(line), self.lines.formula(line)
        if not anchor.keys() <= loops and x.target is not None:  # counted by places, which the loop runs against
            named = adjoint.op == "adjoint" and adjoint.args[0].text == x.target.text
            return Formula("adjoint", (x.target if named else product.formula,), kind="vector", local=True)
        names = [self._over(a, loops) for a in adjoints]
        if 2 * names.count(self._over(line, loops)) <= len(names):  # one name for each, and none in letters for all
            return Formula("adjoint", (product.formula,), kind="vector", local=True)
        return self._over(line, loops)

    def _over(self, line: int, loops: set[str]) -> Formula:
        """A line's name over the letters of loops."""
        anchor = {k: v for k, v in self.lines.anchor(line).items() if k in loops}
        return self.lines.anchored(self.lines.formula(line), anchor)

    def vectors(self) -> list[Use]:
        """Uses of trained vectors: one adjoint each, however often they are used."""
        found = []
        for drawn in self.drawn:
            if drawn.kind != "vector" or drawn.target is None:
                continue
            target = drawn.target
            own = [i for i, line in enumerate(self.program.lines)
                   if line.origin.derived == f"reverse mode of {target.text}" or self._is_of(line.name, target)]  # fmt: skip
            name, factor = Formula("adjoint", (target,), kind="vector", local=True), f.ONE
            user = next((x for x in self.statements if x.value is not None and x.target is not None
                         and target in _names(x.value)), None)  # fmt: skip
            if user is not None and user.value is not None and user.target is not None and not own:
                alone = _coefficient(user.value, target)
                beside = _beside(user.value, target)
                if alone is not None:
                    name, factor = Formula("adjoint", (user.target,), kind="vector", local=True), alone
                elif beside is not None:  # in tanh(W x + b) the adjoint of b is that of W x
                    name = Formula("adjoint", (beside,), kind="vector", local=True)
            zero = bool(own) and all(self.vanishes(i) for i in own)
            ratio = self.ratio(target.text)
            found.append(
                Use(target, name, factor, None, False, drawn.clauses, f.mul(drawn.variance or f.ONE, ratio), zero)
            )
        return found

    @staticmethod
    def _is_of(name: str, target: Formula) -> bool:
        found = variable(name)
        return found is not None and found.base == "d" + target.text

    def terms(self, uses: list[Use], inputs: tuple[str, str], several: bool) -> list[Formula]:
        """One term for every pair of uses of one parameter. several: `inputs` names outputs, of one input.

        W x in one use and W^⊤ y in the other give E[Z^{d(W x)} Z^y] E[Z^x Z^{d(W^⊤ y)}]: adjoints are odd in the readouts,
        and features even, so that these vanish. Raises Unwritten for uses that meet at some of their indices only.
        """
        terms = []
        for a in uses:
            for b in uses:
                if a.vanishes or b.vanishes or (a.parameter.op == "transposed") != (b.parameter.op == "transposed"):
                    continue
                try:
                    first, second, order = a, self._matched(b, a), inputs
                except Unwritten:  # b is there at some indices of a only: over those of b
                    first, second, order = b, self._matched(a, b), inputs[::-1]
                if second is not None:
                    terms.append(_pair(first, second, order, several, self.kept))
        return terms

    def _matched(self, use: Use, other: Use) -> Use | None:
        return matched(use, _bare(other.parameter), self.matching.ranges(other.clauses), self.matching)


def _bare(parameter: Formula) -> Formula:
    return parameter.args[0] if parameter.op == "transposed" else parameter


def matched(use: Use, matrix: Formula, ranges: Ranges, matching: Matching) -> Use | None:
    """A use of the very matrix: its own letters by those of the matrix, others primed. ranges: of the matrix's letters.

    None if it is never that one. Raises Unwritten if it is at some of its indices only.
    """
    parameter = _bare(use.parameter)
    if parameter.text != matrix.text:
        return None
    own = {c.args[0].text for c in use.clauses}
    rest = frozenset(own - f.letters_of(parameter))
    known = matching.unified(parameter, matrix, matching.ranges(use.clauses), ranges)
    if known is None:
        return None

    def moved(formula: Formula) -> Formula:
        primed = f.primed(formula, rest)
        return simplified(
            f.rewrite(primed, lambda x: known.get(x.text) if x.op == "name" and x.kind == "index" else None)
        )

    clauses = tuple(
        Formula("clause", (f.letter(c.args[0].text + "′"), *map(moved, c.args[1:])))
        for c in use.clauses
        if c.args[0].text in rest
    )
    met = moved(use.met) if use.met is not None else None
    return replace(use, adjoint=moved(use.adjoint), factor=moved(use.factor), met=met, clauses=clauses)


def _pair(a: Use, b: Use, inputs: tuple[str, str], several: bool, kept: Callable[[Formula], bool]) -> Formula:
    """σ² E[Z^{da} Z^{db}′] E[Z^x Z^y′], summed over the indices of both uses; b is one of the very matrix (`matched`)."""
    place = f.of_output if several else f.at
    left = [place(x, inputs[0]) if x is not None else x for x in (a.adjoint, a.met)]
    right = [place(x, inputs[1]) if x is not None else x for x in (b.adjoint, b.met)]
    factors = [
        a.strength if a.strength is not None else f.ONE,
        squared(a.factor) if a.factor == b.factor else f.mul(a.factor, b.factor),
    ]
    for x, y, entering in ((left[0], right[0], False), (left[1], right[1], a.entering)):
        if x is None or y is None:
            continue
        both = (f.to_z(x, at_any(kept)), f.to_z(y, at_any(kept)))
        factors.append(Formula("inner", (x, y)) if entering else Formula("E", (f.mul(*both),)))
    clauses = (*a.clauses, *b.clauses)
    body = f.mul(*factors)
    return Formula("sum", (body, *clauses)) if clauses else body


def squared(factor: Formula) -> Formula:
    """The square of a coefficient."""
    if factor == f.ONE:
        return f.ONE
    if factor.op == "neg":
        return squared(factor.args[0])
    value = f.value_of(factor)
    if value is not None:
        return f.number(value**2)
    if factor.op == "div":
        return Formula("div", (squared(factor.args[0]), squared(factor.args[1])))
    return Formula("pow", (factor, f.number(2)))


def _names(formula: Formula) -> set[Formula]:
    """The names in a formula."""
    own = {formula} if formula.op == "name" else set()
    return own.union(*map(_names, formula.args))


def at_any(kept: Callable[[Formula], bool]) -> Callable[[Formula], bool]:
    """Of a product at some input: what holds of it at any, at the indices that the user wrote."""

    def bare(node: Formula) -> Formula | None:
        if node.op == "name" and (node.input or node.text.endswith("′")):
            return replace(
                node, input="", text=node.text.rstrip("′"), args=tuple(f.rewrite(a, bare) for a in node.args)
            )
        return None

    return lambda product: kept(f.rewrite(product, bare))


def _beside(value: Formula, part: Formula) -> Formula | None:
    """A product that a part is added to, wherever that sum stands."""
    if value.op == "add" and part in value.args:
        return next((x for x in value.args if x.op == "matmul"), None)
    return next((x for a in value.args if (x := _beside(a, part)) is not None), None)


def _coefficient(value: Formula, part: Formula) -> Formula | None:
    """The number that multiplies a part which stands in a sum; None if it stands anywhere else."""
    if value == part:
        return f.ONE
    if value.op in ("add", "sum"):
        found = (_coefficient(a, part) for a in value.args)
        return next((x for x in found if x is not None), None)
    if value.op == "sub":
        left, right = (_coefficient(a, part) for a in value.args)
        return left if left is not None else f.mul(Formula("neg", (f.ONE,)), right) if right is not None else None
    if value.op == "mul" and part in value.args:
        rest = f.mul(*(a for a in value.args if a != part))
        return None if f.holds(rest, lambda n: n.kind in ("vector", "matrix")) else rest
    if value.op == "div":
        inner = _coefficient(value.args[0], part)
        random = f.holds(value.args[1], lambda n: n.kind == "vector")
        return None if inner is None or random else Formula("div", (inner, value.args[1]))
    return None


def _clauses_around(value: Formula, part: Formula) -> Iterator[Formula] | None:
    """The clauses of the sums around a part."""
    if value == part:
        return iter(())
    for a in value.args:
        inner = _clauses_around(a, part)
        if inner is not None:
            own = value.args[1:] if value.op in ("sum", "each") and a is value.args[0] else ()
            return iter((*own, *inner))
    return None
