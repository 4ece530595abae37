"""Why a correction Ż is there or not, in sentences: every claim is a verdict read off the law."""

from collections.abc import Sequence

from tpl.core.program import Kind
from tpl.limit import formula as f
from tpl.limit.account import Sentence
from tpl.limit.context import Context
from tpl.limit.families import Family, products_in
from tpl.limit.formula import Formula
from tpl.limit.naming import variable
from tpl.limit.transcribe import Product
from tpl.limit.verdicts import Verdict, is_zero, odd_in

_ANYTHING = Formula("name", (), "·", "index")
_STEIN = "Its expected derivatives come from Stein's lemma, since the function may jump."
_DERIVATIVE = "The function does not jump: its expected derivatives are those of its derivative almost everywhere."


class Grounds:
    """Sentences on the products of a context."""

    def __init__(self, context: Context):
        self.context = context

    def of_product(self, product: Product, found: list[Verdict]) -> list[Sentence]:
        """Why Ż is there, or not: one sentence a reason."""
        if not found:
            return [("The same product as on an earlier line.",)]
        by_reason: dict[str, list[Verdict]] = {}
        for v in found:
            by_reason.setdefault(v.reason, []).append(v)
        sentences = []
        for members in by_reason.values():
            sentence = self._ground(product.formula, [(v, self.context.place(v.line)) for v in members])
            if len(by_reason) > 1:
                sentence = (*self._at_indices(members), *sentence)
            sentences.append(sentence)
        return sentences

    def _at_indices(self, members: list[Verdict]) -> Sentence:
        """`At r[1]: ` or `At r[2], …, r[5]: `."""
        owners = [self.context.lines.owner.get(v.line) for v in members]
        names = [
            Formula("name", tuple(f.number(i) for i in o.numbers), o.base, "vector") for o in owners if o is not None
        ]
        names = list(dict.fromkeys(names))
        if len(names) > 2:
            return ("At ", names[0], ", …, ", names[-1], ": ")
        return ("At ", *(names[:1]), *((", ", names[1]) if len(names) == 2 else ()), ": ")

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
        spans = [self.context.program.lines[i].origin.span for i in lines]
        places = list(dict.fromkeys(self.context.where(span) for span in spans if span is not None))
        return ", ".join(places[:4])

    def _nearest(self, verdict: Verdict, place: dict[str, int], modulo: tuple[str, ...]) -> Formula:
        """Of the products that count the one whose indices are nearest."""

        def distance(line: int) -> int:
            own = self.context.place(line)
            return sum(abs(own[k] - place[k]) for k in own if k in place)

        example = self.context.relative(min(verdict.relevant, key=distance), place, modulo)
        return Formula("matmul", (example.args[0], _ANYTHING)) if modulo else example

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
            if self.context.program.lines[line].op == "matmul":
                found.append(f.z(self.context.relative(line, place, modulo), "hat"))
            else:
                written = self.context.lines.written(self.context.lines.formula(line), place, modulo)
                found.append(f.to_z(_without_vectors(written) if modulo else written))
        found = list(dict.fromkeys(found))
        shown: list[str | Formula] = []
        for x in found[:2]:
            shown += [", ", x] if shown else [x]
        return ("(", *shown, *((", …",) if len(found) > 2 else ()), ")") if len(found) > 1 else tuple(shown)

    def of_zero(self, family: Family) -> list[Sentence]:
        """Why a family is 0: an average that is odd in something, or factors that are 0."""
        stack = [family.lines[-1]]
        seen: set[int] = set()
        while stack:
            i = stack.pop()
            line = self.context.program.lines[i]
            if line.op == "moment" and is_zero(self.context.law, i):
                flipped = odd_in(self.context.law, self.context.law.opened(i))
                if not flipped:
                    return [("It is an average whose expectation works out as 0.",)]
                place = self.context.lines.anchor(family.lines[-1])
                return [("It is an average of something odd in ", *self._odd_in(flipped, place),
                         ", which is symmetric and independent of the rest: the expectation is 0.")]  # fmt: skip
            if line.kind is Kind.SCALAR or i == family.lines[-1]:
                stack.extend(
                    a for a in line.args if a not in seen and self.context.program.lines[a].kind is Kind.SCALAR
                )
                seen.update(line.args)
        return [("All of its terms hold a factor that is 0 in the limit.",)]

    def of_family(self, family: Family) -> list[Sentence]:
        """Verdicts on the products W.T @ dh that a family writes out: one sentence a reason."""
        groups: dict[tuple, list[Verdict]] = {}
        for p in family.products:
            verdict = self.context.verdicts.get(p)
            matrix = variable(self.context.program.lines[self.context.program.lines[p].args[0]].name)
            if verdict is not None and matrix is not None:
                groups.setdefault((verdict.reason, matrix.base), []).append(verdict)
        sentences: list[Sentence] = []
        for (_, base), members in groups.items():
            apart = self._apart(family, base, members)
            if apart is not None:
                sentences += apart
                continue
            product = next(p for p in _products(family.formula) if _base(p) == base) if family.formula is not None and any(
                _base(p) == base for p in _products(family.formula)) else self._told(members[-1], family)  # fmt: skip
            placed = [(v, self.context.lines.anchor(self._user(v.line, family))) for v in members]
            sentences.append(self._ground(product, placed, family.modulo))
        lost = [
            a
            for i in family.lines
            for a in self.context.program.lines[i].args
            if self.context.program.lines[a].kind is Kind.SCALAR
        ]
        if any(self.context.program.lines[a].origin.derived and is_zero(self.context.law, a) for a in lost):
            sentences.append(
                ("Terms with the adjoint of an average are left out where that adjoint is 0 in the limit.",)
            )
        if family.modulo:
            sentences.append((f"Index {', '.join(family.modulo)} runs in a circle.",))
        return sentences

    def _apart(self, family: Family, base: str, members: list[Verdict]) -> list[Sentence] | None:
        """A sentence for each of several products with one family of matrices, as Q^1 and Q^2; None where there is one."""
        own = {p for p in _products(family.formula) if _base(p) == base} if family.formula is not None else set()
        forms: dict[Formula, list[tuple[Verdict, dict[str, int]]]] = {}
        for v in members:
            place = self.context.lines.anchor(self._user(v.line, family))
            written = self.context.lines.written(self.context.lines.right(v.line), place, family.modulo)
            forms.setdefault(written, []).append((v, place))
        if len(own) < 2 or not forms.keys() <= own:
            return None
        return [self._ground(product, placed, family.modulo) for product, placed in forms.items()]

    def shared(self, family: Family) -> list[Sentence]:
        """Of which other products the same line is the adjoint."""
        line = family.lines[len(family.lines) // 2]
        place = self.context.lines.anchor(line)
        others = [
            self.context.lines.written(self.context.lines.formula(i), place)
            for i, a in self.context.lines.adjoint_of.items()
            if a == line
        ]
        others = [x for x in dict.fromkeys(others) if x.op == "matmul" and x != family.left.args[0]]
        return [("The same is the adjoint of ", x, ", another term of the same sum.") for x in others]

    def _user(self, product: int, family: Family) -> int:
        """The line of a family that uses a product."""
        return next((i for i in family.lines if product in products_in(self.context.lines, i)), family.lines[0])

    def _told(self, verdict: Verdict, family: Family) -> Formula:
        place = self.context.lines.anchor(self._user(verdict.line, family))
        return self.context.lines.written(self.context.lines.right(verdict.line), place, family.modulo)


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
