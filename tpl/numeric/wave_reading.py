"""A core program as numbers that are computed in waves: networks with many positions, tokens, nodes, time steps.

The Z of every vector is a sum of products of functions, each of one linear form in Gaussian variables:

    Z = Σ_i c_i Π_k f_ik(Σ_v a_ikv Ẑ_v),

and where forms that hang together come in pairs, a second moment E Z Z' is a sum of products of integrals over two
variables (TP3 §2). What that leaves is arithmetic on arrays. A program is declined (`NotInWaves`) where W and W.T may be
correlated, where a function is of several vectors at once, or where three forms and more hang together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tpl.core.expr import Expr, add, apply, evaluate, from_float, mul, ref, substitute
from tpl.core.program import Kind, Line, Program, ancestors
from tpl.limit.algebra import parity
from tpl.limit.jumps import JUMPING, jumps
from tpl.numeric.poles import may_have_poles, worst_pole
from tpl.numeric.wave_numbers import IDENTITY, Numbers

MAX_TERMS = 2000  # of one Z
MAX_POWER = 6
MAX_SIZE = 500  # of a function, as a tree

Factor = tuple[int, int]  # a function and a form, by their numbers
Term = tuple[Factor, ...]  # a product; () is 1


class NotInWaves(Exception):
    """The program's law is none that waves can carry; the message says why."""


@dataclass
class Z:
    """Σ linear[v] · Ẑ_v + Σ terms[t] · t; coefficients are nodes."""

    linear: dict[int, int] = field(default_factory=dict)
    terms: dict[Term, int] = field(default_factory=dict)


class Family(NamedTuple):
    """Jointly Gaussian variables: products of one matrix in one orientation, or one draw.

    strength: what their covariance is a multiple of. kind: "matmul", "input" or "draw".
    """

    kind: str
    strength: float


class Reading:
    """Reads a program: Z's of vectors, numbers of scalars. rows: the number of a data vector; new ones get the next.

    products: constants that stand for inner products of data vectors, with the numbers of those.
    `scalar(line)` is the node of a scalar line. Raises NotInWaves.
    """

    def __init__(
        self, program: Program, lines: Iterable[int], rows: dict[tuple[float, ...], int],
        products: Mapping[str, tuple[int, int]] | None = None,
    ):  # fmt: skip
        self.program = program
        self.products = products or {}
        self.env = program.constant_values()
        self.numbers = Numbers()
        self.numbers.function(ref(0))
        self.rows = rows
        self._next_row = max(rows.values(), default=-1) + 1
        self.families: list[Family] = []
        self.variables: list[tuple[int, int]] = []  # family; and a z, a row, or nothing
        self.forms: list[tuple[tuple[int, int], ...]] = []
        self.form_families: list[frozenset[int]] = []
        self._parts: list[dict[int, list[tuple[int, int]]]] = []  # of a form, by family: arguments and coefficients
        self.zs: list[Z] = [Z({}, {(): self.numbers.one})]
        self._entries: list[list[tuple[int, Term]] | None] = [None]
        self._z: dict[int, int] = {}  # of a vector line
        self._scalars: dict[int, int] = {}
        self._family: dict[tuple, int] = {}
        self._form: dict[tuple, int] = {}
        self._matches: dict[tuple[Term, Term], list | None] = {}
        self._seconds: dict[tuple[int, int], int] = {}
        self._covariances: dict[tuple[int, int], int] = {}
        self._zero_means: dict[int, bool] = {}
        self._sound: set[Expr] = set()
        self._fading: set[int] = set()  # vectors that hold a number that tends to 0
        self._fades = False  # does the line that is read?
        for index in sorted(ancestors(program, lines)):
            self._read(index, program.lines[index])

    def scalar(self, line: int) -> int:
        return self._scalars[line]

    # ------------------------------------------------------------------------------------------ lines
    def _read(self, index: int, line: Line) -> None:
        if line.op == "state":
            raise NotInWaves("a number that training changes")
        self._follow_zeros(index, line)
        if line.op == "gaussian" and line.kind is Kind.VECTOR:
            self._keep(index, self._draw(index, line))
        elif line.op == "input":
            self._keep(index, self._input(line))
        elif line.op == "matmul":
            self._keep(index, self._product(line))
        elif line.op == "map" and line.kind is Kind.VECTOR:
            self._keep(index, self._vector(self._opened(line)))
        elif line.op == "map":
            if jumps(line.expr or ref(0)):
                raise NotInWaves("a jump in a number of the limit")
            found = self._opened(line)
            assert isinstance(found, int)
            self._scalars[index] = found
        elif line.op == "moment":
            self._scalars[index] = self._moment(line)

    def _follow_zeros(self, index: int, line: Line) -> None:
        """Note what holds a number that tends to 0: at finite width it is not there yet, which a jump would see
        (`limit.jumps`)."""
        self._fades = any(a in self._fading or self._scalars.get(a) == self.numbers.zero for a in line.args)
        if self._fades and line.kind is Kind.VECTOR:
            self._fading.add(index)

    def _keep(self, index: int, z: Z) -> None:
        self._z[index] = self._new(z)

    def _new(self, z: Z) -> int:
        if len(z.terms) > MAX_TERMS:
            raise NotInWaves(f"a vector that is a sum of {len(z.terms):,} products")
        self.zs.append(z)
        self._entries.append(None)
        return len(self.zs) - 1

    def _coefficient(self, expr: Expr | None) -> float:
        """A variance as a number of the limit: powers of n are taken out, widths become their ratios."""
        assert expr is not None
        program = self.program
        opened = substitute(expr, lambda x: program.ratio(str(x.value)) if x.value in program.widths else x)
        return evaluate(opened, self.env)

    def _variable(self, key: tuple, kind: str, strength: float, argument: int) -> Z:
        if key not in self._family:
            self._family[key] = len(self.families)
            self.families.append(Family(kind, strength))
        self.variables.append((self._family[key], argument))
        return Z({len(self.variables) - 1: self.numbers.one})

    def _draw(self, index: int, line: Line) -> Z:
        variance = self._coefficient(line.expr)
        z = self._variable(("draw", index), "draw", variance, 0) if variance else Z()
        mean = evaluate(line.mean, self.env)
        if mean:
            z.terms[()] = self.numbers.constant(mean)
        return z

    def _input(self, line: Line) -> Z:
        if not any(line.row):
            return Z()
        row = self.rows.get(line.row)
        if row is None:
            row = self.rows[line.row] = self._next_row
            self._next_row += 1
        matrix = line.args[0]
        return self._variable(("input", matrix), "input", self._coefficient(self.program.lines[matrix].expr), row)

    def _product(self, line: Line) -> Z:
        matrix, vector = line.args
        argument, made = self._z[vector], self.program.lines[matrix]
        z = self.zs[argument]
        size = self.program.ratio(str(made.dims[0] if line.transposed else made.dims[1]))
        strength = self._coefficient(made.expr) * evaluate(size, self.env)
        if not strength or not (z.linear or z.terms):
            return Z()
        opposite = self._family.get((matrix, not line.transposed))
        if opposite is not None and not self._uncorrelated(argument, opposite):
            raise NotInWaves("a matrix and its transpose that may be correlated")
        return self._variable((matrix, line.transposed), "matmul", strength, argument)

    def _uncorrelated(self, z: int, family: int) -> bool:
        """Ż = 0: is every term that depends on a family odd in variables of others? Then E Ẑ Z = 0."""
        for _, term in self._terms_of(z):
            if any(family in self.form_families[a] for _, a in term) and not any(
                self._mean_is_zero(f) and self._apart(a, family, term) for f, a in term
            ):
                return False
        return True

    def _apart(self, form: int, family: int, term: Term) -> bool:
        """Is a form of a term independent of a family, and of the other forms of the term?"""
        own = self.form_families[form]
        return family not in own and all(own.isdisjoint(self.form_families[b]) for _, b in term if b != form)

    def _moment(self, line: Line) -> int:
        """E of a product of two vectors; of anything else as of a product with 1."""
        expr = line.expr
        assert expr is not None
        if expr.op == "pow" and expr.args[1].is_value(2) and expr.args[0].op == "ref":
            expr = mul(expr.args[0], expr.args[0])
        if expr.op == "mul" and len(expr.args) == 2 and all(a.op == "ref" for a in expr.args):
            lines = [line.args[int(a.value)] for a in expr.args]  # type: ignore[arg-type]
            if all(a in self._z for a in lines):
                return self.second_moment(self._z[lines[0]], self._z[lines[1]])
        return self.second_moment(self._new(self._vector(self._opened(line))), 0)

    # ------------------------------------------------------------------------------------------ expressions
    def _vector(self, value: int | Z) -> Z:
        if isinstance(value, Z):
            return value
        return Z({}, {(): value}) if value != self.numbers.zero else Z()

    def _opened(self, line: Line) -> int | Z:
        """An expression over a line's arguments: a node if it is a number, else a Z."""
        assert line.expr is not None
        arguments = [self.zs[self._z[a]] if a in self._z else self._scalars[a] for a in line.args]
        memo: dict[int, int | Z] = {}

        def walk(node: Expr) -> int | Z:
            found = memo.get(id(node))
            if found is None:
                found = memo[id(node)] = self._walked(node, arguments, walk)
            return found

        return walk(line.expr)

    def _walked(self, node: Expr, arguments: list, walk) -> int | Z:  # type: ignore[no-untyped-def]
        if node.op == "ref":
            return arguments[int(node.value)]  # type: ignore[arg-type,no-any-return]
        if not node.args:
            rows = self.products.get(str(node.value)) if node.op == "symbol" else None
            return self.numbers.dot(*rows) if rows is not None else self.numbers.constant(evaluate(node, self.env))
        if node.op == "add":
            terms = [self._term(a, walk) for a in node.args]
            numbers = [(1.0, a, b) for a, b in terms if isinstance(a, int) and isinstance(b, int)]
            if len(numbers) == len(terms):
                return self.numbers.total(numbers)
        parts = [walk(a) for a in node.args]
        if all(isinstance(p, int) for p in parts):
            return self._number(node.op, parts)
        return self._of_vectors(node.op, parts)

    def _number(self, op: str, parts: list[int]) -> int:
        numbers, one = self.numbers, self.numbers.one
        if op in JUMPING and self._fades:
            raise NotInWaves("a jump in a number of the limit")
        if op == "sub":
            return numbers.total([(1.0, parts[0], one), (-1.0, parts[1], one)])
        if op == "neg":
            return numbers.total([(-1.0, parts[0], one)])
        if op == "mul":
            return numbers.product(*parts)
        if op == "div" and numbers.value(parts[1]):
            return numbers.total([(1 / numbers.value(parts[1]), parts[0], one)])  # type: ignore[operator]
        if op == "pow" and numbers.value(parts[1]) == 2:
            return numbers.product(parts[0], parts[0])
        return numbers.apply(op, *parts)

    def _term(self, node: Expr, walk) -> tuple[int | Z, int | Z]:  # type: ignore[no-untyped-def]
        """A term of a sum as two factors: a product of two numbers needs no number of its own."""
        if node.op == "mul" and len(node.args) == 2:
            first, second = walk(node.args[0]), walk(node.args[1])
            if isinstance(first, int) and isinstance(second, int):
                return first, second
        return walk(node), self.numbers.one

    def _of_vectors(self, op: str, parts: list) -> Z:  # type: ignore[type-arg]
        numbers = self.numbers
        if op in ("add", "sub"):
            signs = [1.0] + [-1.0 if op == "sub" else 1.0] * (len(parts) - 1)
            return self._sum([(numbers.constant(s), self._vector(p)) for s, p in zip(signs, parts, strict=True)])
        if op == "neg":
            return self._sum([(numbers.constant(-1.0), parts[0])])
        if op == "mul":
            scale = numbers.product(*(p for p in parts if isinstance(p, int)))
            found = self._sum([(scale, next(p for p in parts if isinstance(p, Z)))])
            for other in [p for p in parts if isinstance(p, Z)][1:]:
                found = self._times(found, other)
            return found
        if op == "div" and isinstance(parts[1], int):
            return self._sum([(numbers.apply("div", numbers.one, parts[1]), parts[0])])
        power = numbers.value(parts[1]) if op == "pow" and isinstance(parts[1], int) else None
        if power is not None and power in range(1, MAX_POWER + 1):
            found = parts[0]
            for _ in range(int(power) - 1):
                found = self._times(found, parts[0])
            return found
        return self._function(op, parts)

    def _sum(self, parts: list[tuple[int, Z]]) -> Z:
        """Σ coefficient · Z, for coefficients that are nodes."""
        one = self.numbers.one
        linear: dict[int, list] = {}
        terms: dict[Term, list] = {}
        for coefficient, z in parts:
            for v, c in z.linear.items():
                linear.setdefault(v, []).append((1.0, coefficient, c))
            for t, c in z.terms.items():
                terms.setdefault(t, []).append((1.0, coefficient, c))
        return Z(self._totals(linear, one), self._totals(terms, one))

    def _totals(self, found: dict, one: int) -> dict:  # type: ignore[type-arg]
        zero = self.numbers.zero
        totals = {
            k: x[0][2] if len(x) == 1 and x[0][1] == one else self.numbers.total(x) for k, x in found.items()
        }  # fmt: skip
        return {k: node for k, node in totals.items() if node != zero}

    def _times(self, a: Z, b: Z) -> Z:
        found: dict[Term, list] = {}
        for c, s in self._as_entries(a):
            for d, t in self._as_entries(b):
                found.setdefault(self._joined(s, t), []).append((1.0, c, d))
        if len(found) > MAX_TERMS:
            raise NotInWaves(f"a product of vectors with {len(found):,} terms")
        return self._unfolded(Z({}, self._totals(found, -1)))

    def _unfolded(self, z: Z) -> Z:
        """Linear forms among the terms, put back where they belong."""
        parts = [(self.numbers.one, Z({}, {t: c for t, c in z.terms.items() if not _is_linear(t)}))]
        parts += [(c, Z(dict(self.forms[t[0][1]]))) for t, c in z.terms.items() if _is_linear(t)]
        return self._sum(parts) if len(parts) > 1 else z

    def _joined(self, s: Term, t: Term) -> Term:
        """A product of terms: functions of one form are one function."""
        found = {form: f for f, form in s}
        for g, form in t:
            f = found.get(form)
            found[form] = g if f is None else self._checked(mul(self.numbers.functions[f], self.numbers.functions[g]))
        return tuple(sorted((f, form) for form, f in found.items()))

    def _function(self, op: str, parts: list) -> Z:  # type: ignore[type-arg]
        """An elementwise function: of one form, where it has several arguments."""
        seen: set[int] = set()
        arguments = [self._over_form(p, seen) for p in parts]
        if not seen and op in JUMPING and self._fades:
            raise NotInWaves("a jump where its argument tends")
        if not seen:
            return self._vector(self.numbers.constant(evaluate(apply(op, *arguments), self.env)))
        if len(seen) != 1:
            raise NotInWaves("a function of several vectors, or of a sum that is not Gaussian")
        return Z({}, {((self._checked(apply(op, *arguments)), seen.pop()),): self.numbers.one})

    def _over_form(self, part: int | Z, seen: set[int]) -> Expr:
        """An argument as an expression over one form, which goes into `seen`."""
        z = self._vector(part)
        found = []
        for coefficient, term in self._as_entries(z):
            value = self.numbers.value(coefficient)
            if value is None or len(term) > 1:
                raise NotInWaves("a function with numbers of the limit in it, or of a product")
            factors = [self.numbers.functions[f] for f, _ in term]
            seen.update(form for _, form in term)
            found.append(mul(from_float(value), *factors))
        return add(*found)

    def _checked(self, function: Expr) -> int:
        """The number of a function that has no pole: whether expectations exist is a question for the whole law."""
        if function not in self._sound:
            if function.size > MAX_SIZE:
                raise NotInWaves("a long function")
            pole = worst_pole(function, np.eye(1), self.env, {}) if may_have_poles(function) else None
            if pole is not None and pole.order > 0:
                raise NotInWaves("a function with a pole")
            self._sound.add(function)
        return self.numbers.function(function)

    # ------------------------------------------------------------------------------------------ terms and forms
    def _form_of(self, linear: dict[int, int]) -> int:
        key = tuple(sorted(linear.items()))
        if key not in self._form:
            self._form[key] = len(self.forms)
            self.forms.append(key)
            parts: dict[int, list[tuple[int, int]]] = {}
            for v, c in key:
                family, argument = self.variables[v]
                parts.setdefault(family, []).append((argument, c))
            self._parts.append(parts)
            self.form_families.append(frozenset(parts))
        return self._form[key]

    def _as_entries(self, z: Z) -> list[tuple[int, Term]]:
        found = [(c, t) for t, c in z.terms.items()]
        return [(self.numbers.one, ((IDENTITY, self._form_of(z.linear)),)), *found] if z.linear else found

    def _terms_of(self, z: int) -> list[tuple[int, Term]]:
        known = self._entries[z]
        if known is None:
            known = self._entries[z] = self._as_entries(self.zs[z])
        return known

    def _mean_is_zero(self, f: int) -> bool:
        if f not in self._zero_means:
            self._zero_means[f] = parity(self.numbers.functions[f], frozenset([0])) == -1
        return self._zero_means[f]

    # ------------------------------------------------------------------------------------------ second moments
    def second_moment(self, a: int, b: int) -> int:
        """The node of E Z Z' for two Z's by number; what it needs first is found first, without recursion."""
        wanted = (a, b) if a <= b else (b, a)
        stack, opened = [wanted], set()
        while stack:
            key = stack[-1]
            if key in self._seconds:
                stack.pop()
            elif key in opened:
                self._seconds[key] = self._second(*key)
                stack.pop()
            else:
                opened.add(key)
                stack.extend(k for k in self._needed(*key) if k not in self._seconds)
        return self._seconds[wanted]

    def _needed(self, a: int, b: int) -> Iterable[tuple[int, int]]:
        """The second moments that the covariances in one are made of."""
        for _, s in self._terms_of(a):
            for _, t in self._terms_of(b):
                for (f, x), (g, y) in self._matched(s, t) or ():
                    forms = [(x, y)] if f == g == IDENTITY else [(x, x), (x, y), (y, y)]
                    for pair in forms:
                        if pair not in self._covariances:
                            yield from self._behind(*pair)

    def _behind(self, x: int, y: int) -> Iterable[tuple[int, int]]:
        for (kind, _), i, _, j, _ in self._shared(x, y):
            if kind == "matmul":
                yield (i, j) if i <= j else (j, i)

    def _shared(self, x: int, y: int) -> Iterable[tuple[tuple[str, float], int, int, int, int]]:
        """Variables of one family in two forms: the family, and arguments and coefficients of both."""
        others = self._parts[y]
        for family, mine in self._parts[x].items():
            if family in others:
                own = self.families[family]
                for i, c in mine:
                    for j, d in others[family]:
                        yield own, i, c, j, d

    def _second(self, a: int, b: int) -> int:
        terms = []
        for c, s in self._terms_of(a):
            for d, t in self._terms_of(b):
                found = self._expected(s, t)
                if found != self.numbers.zero:
                    terms.append((1.0, self.numbers.product(c, d), found))
        return self.numbers.total(terms)

    def _expected(self, s: Term, t: Term) -> int:
        matches = self._matched(s, t)
        if matches is None:
            return self.numbers.zero
        return self.numbers.product(*(self._integral(*pair) for pair in matches))

    def _matched(self, s: Term, t: Term) -> "list[tuple[Factor, Factor]] | None":
        """The factors of two terms that hang together, in pairs; a lone one stands with itself. None: the mean is 0."""
        key = (s, t)
        if key not in self._matches:
            self._matches[key] = self._match(s, t)
        return self._matches[key]

    def _match(self, s: Term, t: Term) -> "list[tuple[Factor, Factor]] | None":
        families, factors = self.form_families, [*s, *t]
        partners = [
            [j for j, (_, b) in enumerate(factors) if j != i and not families[a].isdisjoint(families[b])]
            for i, (_, a) in enumerate(factors)
        ]
        if any(not others and self._mean_is_zero(f) for (f, _), others in zip(factors, partners, strict=True)):
            return None
        if any(len(others) > 1 for others in partners):
            raise NotInWaves("three Gaussian variables and more that hang together")
        alone = [(f, (_ALONE, f[1])) for f, others in zip(factors, partners, strict=True) if not others]
        return alone + [
            (f, factors[o[0]]) for i, (f, o) in enumerate(zip(factors, partners, strict=True)) if o and o[0] > i
        ]

    def _integral(self, first: Factor, second: Factor) -> int:
        """E f(u) g(v) over two forms."""
        (f, x), (g, y) = first, second
        if g == _ALONE:
            return self.numbers.mean(f, self._covariance(x, x))
        if f == g == IDENTITY:
            return self._covariance(x, y)
        if x == y:
            both = self._joined(((f, x),), ((g, x),))
            return self.numbers.mean(both[0][0], self._covariance(x, x))
        return self.numbers.dual(f, g, self._covariance(x, x), self._covariance(y, y), self._covariance(x, y))

    def _covariance(self, x: int, y: int) -> int:
        """Of two linear forms."""
        key = (x, y) if x <= y else (y, x)
        found = self._covariances.get(key)
        if found is None:
            terms = [
                (strength, self.numbers.product(c, d), self._of_arguments(kind, i, j))
                for (kind, strength), i, c, j, d in self._shared(x, y)
            ]
            found = self._covariances[key] = self.numbers.total(terms)
        return found

    def _of_arguments(self, kind: str, i: int, j: int) -> int:
        """A covariance in units of a family's strength."""
        if kind == "draw":
            return self.numbers.one
        return self.numbers.dot(i, j) if kind == "input" else self._seconds[(i, j) if i <= j else (j, i)]


_ALONE = -1  # no second function


def _is_linear(term: Term) -> bool:
    return len(term) == 1 and term[0][0] == IDENTITY


__all__ = ["NotInWaves", "Reading"]
