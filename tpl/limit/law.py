"""The law of a core program in the infinite-width limit: every vector's Z, every scalar's number (TP3 §2, TP4 thm 7.4).

Ẑ^{Wx} is a Gaussian leaf with Cov(Ẑ^{Wx}, Ẑ^{Wy}) = σ² E Z^x Z^y. Ż^{Wx} = σ² Σ_y Z^y E ∂Z^x/∂Ẑ^{W.T y}, where the
expected derivatives are found by differentiation in leaves in which nothing jumps, else from Stein's lemma,
E[Ẑ^{W.T y_j} Z^x] = Σ_i Cov(Ẑ_j, Ẑ_i) E ∂Z^x/∂Ẑ_i. For W : [n, m] with entries of variance v, σ² is v times the
size that is summed over: v·m for W x, v·n for W.T y.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy

from tpl.core import expr as e
from tpl.core.expr import Expr, leaves, ref, substitute
from tpl.core.gradient import partial_derivatives
from tpl.core.program import Kind, Line, Program
from tpl.limit.algebra import (
    LeastNorm,
    NoLaw,
    NoNumber,
    Ratio,
    Term,
    TooLarge,
    constant_symbol,
    jumping,
    to_sympy,
    written,
)
from tpl.limit.calculus import ONE, ZERO, Calculus, from_sympy, used_quantities
from tpl.limit.jumps import FiniteWidth, Jump, UnsettledJump, jumps

SHORT_DECIMAL = 8  # characters of a number that stands for itself and is not rounded
_INPUT = re.compile(r"\{\w+\[(\d+)\]")  # the input that a line belongs to, in its name


@dataclass(frozen=True)
class Correction:
    """One term of a Ż: coefficient · Z^y."""

    vector: int
    coefficient: Any


class Law:
    """Z of every vector line, the value of every scalar line (sympy over quantities), and the calculus they live in.

    corrections: product line -> the terms of its Ż. jumps: those that a zero quantity would spoil. dot: inner products
    of data vectors that stay symbols, None for the others. tabulate: find the covariances of all products, asked for or
    not; without it, deep programs recurse. most, widest: distinct expectations, and variables of one, beyond which
    TooLong is raised.
    """

    def __init__(
        self,
        program: Program,
        dot: Callable[[tuple[float, ...], tuple[float, ...]], Any] | None = None,
        tabulate: bool = True,
        most: int | None = None,
        widest: int | None = None,
    ):
        self.program = program
        self.tabulate = tabulate
        self._dot = dot or (lambda a, b: None)
        self.calculus = Calculus(self._base_covariance, self._input_of, most, widest)
        self.z: dict[int, Expr] = {}
        self.scalars: dict[int, Any] = {}
        self.corrections: dict[int, tuple[Correction, ...]] = {}
        self.jumps: list[Jump] = []
        values = program.constant_values()
        self._constant_values = {constant_symbol(name): value for name, value in values.items()}
        self._finite = FiniteWidth(program, self._sign_of_limit)
        self._products: dict[tuple[int, bool], list[int]] = {}
        self._leaf_of: dict[int, int] = {}
        self._same: dict[tuple, int] = {}
        self._second_moments: dict[tuple[int, int], Any] = {}
        for index, line in enumerate(program.lines):
            rule = _RULES.get(line.op)
            if rule is not None:
                self._apply(rule, index, line)

    def _input_of(self, leaf: int) -> int:
        label = _INPUT.search(self.program.lines[self.calculus.leaves[leaf].line].name)
        return int(label[1]) if label is not None else 0

    # ------------------------------------------------------------------------------------------ constants
    def _coefficient(self, expr: Expr) -> Any:
        """A variance as a number of the limit: powers of n are taken out, widths become their ratios."""
        program = self.program
        return to_sympy(substitute(expr, lambda x: program.ratio(str(x.value)) if x.value in program.widths else x))

    def _strength(self, matrix: int, transposed: bool) -> Any:
        """σ²: the variance of the entries times the size that the product sums over."""
        line = self.program.lines[matrix]
        summed = line.dims[0] if transposed else line.dims[1]
        assert line.expr is not None
        return self._coefficient(line.expr) * to_sympy(self.program.ratio(str(summed)))

    # ------------------------------------------------------------------------------------------ rules
    def _apply(self, rule: Callable[["Law", int, Line], None], index: int, line: Line) -> None:
        try:
            rule(self, index, line)
        except UnsettledJump:
            raise
        except OverflowError as problem:
            raise TooLarge(str(problem), line) from None
        except ZeroDivisionError:
            raise NoNumber("a division by what tends to 0", line) from None
        except NoLaw as problem:
            raise type(problem)(problem.message, problem.line or line) from None
        except ArithmeticError as problem:
            raise NoLaw(str(problem), line) from None

    def gaussian(self, index: int, line: Line) -> None:
        if line.kind is not Kind.VECTOR:
            return
        assert line.expr is not None
        mean = line.mean
        self.z[index] = e.add(mean, self._leaf(index)) if self._coefficient(line.expr) != 0 else mean

    def _leaf(self, index: int) -> Expr:
        self._leaf_of[index] = self.calculus.new_leaf(index)
        return ref(self._leaf_of[index])

    def input(self, index: int, line: Line) -> None:
        if any(line.row):
            self.z[index] = self._shared((line.args[0], line.row), index)
        else:
            self.z[index] = e.ZERO

    def _shared(self, key: tuple, index: int) -> Expr:
        """The leaf of an earlier line that is the same for certain, or a new one."""
        first = self._same.setdefault(key, index)
        if first == index:
            return self._leaf(index)
        self._leaf_of[index] = self._leaf_of[first]
        return ref(self._leaf_of[index])

    def matmul(self, index: int, line: Line) -> None:
        matrix, vector = line.args
        x = self.z[vector]
        products = self._products.setdefault((matrix, line.transposed), [])
        first = self._same.setdefault((matrix, line.transposed, x), index)
        if first != index and first in self.corrections:
            self.corrections[index] = self.corrections[first]
            self.z[index], self._leaf_of[index] = self.z[first], self._leaf_of[first]
            return
        if not self.calculus.algebra.expand(x) or self._strength(matrix, line.transposed) == 0:
            self.z[index] = e.ZERO
            return
        self.corrections[index] = corrections = self._corrections(matrix, line.transposed, x)
        leaf = self._leaf(index)
        products.append(index)
        if self.tabulate:
            self._tabulate(products)
        parts = [e.mul(from_sympy(c.coefficient), self.z[c.vector]) for c in corrections]
        self.z[index] = self.calculus.algebra.intern(e.add(leaf, *parts))

    def _tabulate(self, products: list[int]) -> None:
        """Find the covariances of the last product now: later they would call each other through all layers."""
        last = self._leaf_of[products[-1]]
        for product in products:
            self.calculus.covariance(self._leaf_of[product], last)

    def map(self, index: int, line: Line) -> None:
        self._note_jumps(index, line)
        z = self._open(line)
        if line.kind is Kind.SCALAR:
            self.scalars[index] = self.calculus.as_quantity(to_sympy(z), line.name)
            return
        self.z[index] = self._merged(index, z)

    def _merged(self, index: int, z: Expr) -> Expr:
        """An affine combination of several leaves is one Gaussian: give it a leaf of its own."""
        calculus = self.calculus
        if len(calculus.algebra.depends(z)) < 2:
            return z
        terms = calculus.algebra.expand(z)
        if any(t.factors or sum(k for _, k in t.powers) > 1 for t in terms):
            return self._without_cancelled(z, terms)
        constant = sympy.Add(*(t.coefficient for t in terms if not t.powers))
        parts = tuple(sorted(((t.powers[0][0], t.coefficient) for t in terms if t.powers), key=lambda x: x[0]))
        if len(parts) < 2:
            return z
        self._leaf_of[index] = calculus.new_leaf(index, parts)
        return e.add(from_sympy(constant), ref(self._leaf_of[index]))

    def _without_cancelled(self, z: Expr, terms: tuple[Term, ...]) -> Expr:
        """Z as its terms where some leaves are in none of them, its Gaussian part together: an integral gets smaller."""
        algebra = self.calculus.algebra
        left = {i for t in terms for i, _ in t.powers}.union(*(algebra.depends(f) for t in terms for f in t.factors))
        if left == algebra.depends(z):
            return z
        affine = [t for t in terms if not t.factors and sum(k for _, k in t.powers) <= 1]
        others = [t for t in terms if t.factors or sum(k for _, k in t.powers) > 1]
        gaussian = e.add(*(written(t.coefficient, t.powers, ()) for t in affine))
        return algebra.intern(e.add(*(written(*t) for t in others), gaussian))

    def leaf_of(self, product: int) -> int:
        """The leaf Ẑ of a product."""
        return self._leaf_of[product]

    def strength(self, matrix: int, transposed: bool) -> Any:
        """σ² of the products with a matrix."""
        return self._strength(matrix, transposed)

    def opened(self, line: int, expr: Expr | None = None) -> Expr:
        """An expression over a line's arguments (its own if none is given), over their Z's and numbers."""
        own = self.program.lines[line]
        return self._open(own) if expr is None else self._opened(own, expr)

    # ------------------------------------------------------------------------------------------ jumps
    def _note_jumps(self, index: int, line: Line) -> None:
        """Refuse jumps where the limit cannot be taken; remember those where only numbers can tell."""
        assert line.expr is not None
        for node in jumps(line.expr):
            argument = node.args[0]
            vanishing, squares = self._vanishing(self._opened(line, argument))
            if any(v.is_number and v != 0 for v in vanishing):
                continue
            open_ones = tuple(v for v in vanishing if v != 0)
            if open_ones:
                self.jumps.append(Jump(index, node.op, argument, open_ones, min(squares, len(open_ones))))
            elif not self._finite.is_fixed(index, argument):
                raise UnsettledJump(node.op, line)

    def limit_constant(self, line: Line, part: Expr) -> Any | None:
        """The number that a part of a line's expression tends to, over quantities; None if it stays random."""
        return self.calculus.algebra.constant(self._opened(line, part))

    def _sign_of_limit(self, line: Line, part: Expr) -> int:
        """0 also where only quantities could tell."""
        value = self.limit_constant(line, part)
        if value is None or used_quantities([value]):
            return 0
        return int(sympy.sign(sympy.N(value.xreplace(self._constant_values))))

    def _vanishing(self, z: Expr) -> tuple[list[Any], int]:
        """What must be zero for Z to be zero: coefficients, and at the end the variance of the Gaussian part, if any."""
        terms = self.calculus.algebra.expand(z)
        numbers = [t.coefficient for t in terms if t.factors or sum(k for _, k in t.powers) != 1]
        form = tuple(
            (t.powers[0][0], t.coefficient) for t in terms if not t.factors and sum(k for _, k in t.powers) == 1
        )
        if not form or any(v.is_number and v != 0 for v in numbers):
            return numbers, 0
        if len(form) == 1:
            ((leaf, coefficient),) = form
            return [*numbers, coefficient**2 * self.calculus.covariance(leaf, leaf)], 1
        return [*numbers, self.calculus.form_covariance(form, form)], 1

    def has_leaf(self, line: int) -> bool:
        """Is a line's Z a Gaussian leaf, up to its mean?"""
        return line in self._leaf_of and not self.corrections.get(line)

    def second_moment(self, a: int, b: int) -> Any:
        """E Z^a Z^b of two vector lines."""
        key = (min(a, b), max(a, b))
        if key not in self._second_moments:
            first, second = self._linear_parts(key[0]), self._linear_parts(key[1])
            value = sympy.Add(*(c * d * self._inner(x, y) for c, x in first for d, y in second))
            self._second_moments[key] = self.calculus.as_quantity(value, "second moment", key)
        return self._second_moments[key]

    def known_second_moments(self) -> Iterator[tuple[tuple[int, int], Any]]:
        """Those asked for so far, by pairs of lines, the earlier one first."""
        yield from self._second_moments.items()

    def _inner(self, x: int | Expr, y: int | Expr) -> Any:
        if isinstance(x, int) and isinstance(y, int):
            return self.second_moment(x, y)
        return self.calculus.expect_product(*(self.z[v] if isinstance(v, int) else v for v in (x, y)))

    def _linear_parts(self, index: int) -> list[tuple[Any, int | Expr]]:
        """A line as Σ coefficient · (an earlier line, or a Z): what is known of earlier lines is used again.

        Only for lines that are not Gaussian: those have covariances of their own.
        """
        line = self.program.lines[index]
        if line.op != "map" or self._is_affine(self.z[index]):
            return [(ONE, self.z[index])]
        assert line.expr is not None
        parts: list[tuple[Any, int | Expr]] = []
        for term in line.expr.args if line.expr.op == "add" else (line.expr,):
            parts.append(self._linear_part(line, term))
        return parts if any(isinstance(x, int) for _, x in parts) else [(ONE, self.z[index])]

    def _linear_part(self, line: Line, term: Expr) -> tuple[Any, int | Expr]:
        factors = term.args if term.op == "mul" else (term,)
        vectors = [f for f in factors if any(line.args[int(v)] in self.z for v in leaves(f, "ref"))]  # type: ignore[arg-type]
        if len(vectors) == 1 and vectors[0].op == "ref":
            scalars = e.mul(*(f for f in factors if f is not vectors[0]))
            return to_sympy(self._opened(line, scalars)), line.args[int(vectors[0].value)]  # type: ignore[arg-type]
        return ONE, self._opened(line, term)

    def moment(self, index: int, line: Line) -> None:
        self._note_jumps(index, line)
        pair = _product_of_two(line)
        if pair is not None and all(i in self.z for i in pair):
            self.scalars[index] = self.second_moment(*pair)
            return
        value = self.calculus.expect(self._open(line))
        named = () if line.name.startswith("_") else (index,)
        self.scalars[index] = self.calculus.as_quantity(value, line.name, named)

    def _open(self, line: Line) -> Expr:
        """ψ over the Z's of its arguments."""
        assert line.expr is not None
        return self._opened(line, line.expr)

    def _opened(self, line: Line, expr: Expr) -> Expr:
        """An expression over a line's arguments, over their Z's."""
        values = [self.z[a] if a in self.z else from_sympy(self.scalars[a]) for a in line.args]
        opened = substitute(expr, lambda x: values[int(x.value)] if x.op == "ref" else x)  # type: ignore[arg-type]
        return self.calculus.algebra.intern(opened)

    def name_second_moments(self) -> None:
        """Say of every atom that is a second moment of two vectors of one family which one it is."""
        families: dict[str, list[int]] = {}
        for index, z in self.z.items():
            name = self.program.lines[index].name
            if not name.startswith("_") and not self._is_affine(z):
                families.setdefault(re.split(r"[\[{]", name)[0], []).append(index)
        for members in families.values():
            for i, a in enumerate(members):
                for b in members[: i + 1]:
                    self.second_moment(a, b)

    def _is_affine(self, z: Expr) -> bool:
        return all(not t.factors and sum(k for _, k in t.powers) <= 1 for t in self.calculus.algebra.expand(z))

    # ------------------------------------------------------------------------------------------ the Master Theorem
    def _base_covariance(self, i: int, j: int) -> Any:
        """Of two leaves that are not sums: zero unless they come from one matrix in one orientation, or are one."""
        a, b = self.calculus.leaves[i].line, self.calculus.leaves[j].line
        first, second = self.program.lines[a], self.program.lines[b]
        if first.op == "gaussian" or second.op == "gaussian":
            return self._coefficient(first.expr) if a == b and first.expr is not None else ZERO
        if first.op != second.op or first.args[0] != second.args[0] or first.transposed != second.transposed:
            return ZERO
        if first.op == "input":
            value = self._input_covariance(first, second)
        else:
            value = self._strength(first.args[0], first.transposed) * self.second_moment(first.args[1], second.args[1])
        if first.name.startswith("_") or second.name.startswith("_"):
            return value
        return self.calculus.as_quantity(value, "covariance", (i, j), alias=True)

    def _input_covariance(self, first: Line, second: Line) -> Any:
        matrix = self.program.lines[first.args[0]]
        assert matrix.expr is not None
        symbolic = self._dot(first.row, second.row)
        if symbolic is None:
            symbolic = _inner_product(first.row, second.row)
        return self._coefficient(matrix.expr) * symbolic

    def _corrections(self, matrix: int, transposed: bool, x: Expr) -> tuple[Correction, ...]:
        """The terms of Ż for a product with x."""
        opposite = self._products.get((matrix, not transposed), [])
        depends = self.calculus.algebra.depends(x)
        relevant = [p for p in opposite if any(self.calculus.coefficient_in(k, self._leaf_of[p]) != 0 for k in depends)]
        if not relevant:
            return ()
        derivatives = self._expected_derivatives(x, [self._leaf_of[p] for p in relevant])
        strength = self._strength(matrix, transposed)
        found = []
        for product, derivative in zip(relevant, derivatives, strict=True):
            if derivative != 0:
                value = self.calculus.as_quantity(derivative, "expected derivative", (product,))
                found.append(Correction(self.program.lines[product].args[1], strength * value))
        return tuple(found)

    def _expected_derivatives(self, x: Expr, leaves: list[int]) -> list[Any]:
        """E ∂x/∂(leaf), by Stein's lemma where x jumps."""
        covariances = [self.calculus.expect_product(ref(i), x) for i in leaves]
        if all(c == 0 for c in covariances):
            return [ZERO] * len(leaves)
        depends = self.calculus.algebra.depends(x)
        if not self.jumps_in(x, leaves):
            return [self._expected_derivative(x, depends, i) for i in leaves]
        gram = [[self.calculus.covariance(i, j) for j in leaves] for i in leaves]
        return _solve(gram, covariances)

    def jumps_in(self, x: Expr, leaves: Iterable[int]) -> bool:
        """May a Z jump in one of these leaves, so that its derivative almost everywhere is not all of it?"""
        found = jumping(x)
        return any(self.calculus.coefficient_in(k, i) != 0 for i in leaves for k in found)

    def _expected_derivative(self, x: Expr, depends: frozenset[int], base: int) -> Any:
        total = ZERO
        for leaf, partial in partial_derivatives(x, set(depends)):
            weight = self.calculus.coefficient_in(leaf, base)
            if weight != 0:
                total += weight * self.calculus.expect(self.calculus.algebra.intern(partial))
        return total


def _solve(gram: list[list[Any]], right: list[Any]) -> list[Any]:
    """A solution of gram · a = right. Two leaves may be one and the same in truth, so the Gram matrix may be singular.

    Zero Σ a_i Ẑ_i means zero Σ a_i Z^{y_i}: any solution gives the same Ż.
    """
    if len(right) == 1:
        return [Ratio(right[0], gram[0][0])]
    matrix = sympy.Matrix(gram)
    if all(entry.is_Rational for entry in matrix) and matrix.det() != 0:
        return list(matrix.LUsolve(sympy.Matrix(right)))
    return [LeastNorm(i, len(right), *matrix, *right) for i in range(len(right))]


def _product_of_two(line: Line) -> tuple[int, int] | None:
    """The lines a and b of a moment avg(a * b)."""
    expr = line.expr
    assert expr is not None
    if expr.op == "mul" and len(expr.args) == 2 and all(a.op == "ref" for a in expr.args):
        return line.args[int(expr.args[0].value)], line.args[int(expr.args[1].value)]  # type: ignore[arg-type]
    if expr.op == "pow" and expr.args[0].op == "ref" and expr.args[1].is_value(2):
        return line.args[0], line.args[0]
    return None


def _inner_product(a: tuple[float, ...], b: tuple[float, ...]) -> Any:
    """Exact where all numbers are short decimals, as people write them."""
    decimals = [repr(float(x)) for x in (*a, *b)]
    if all(len(x) <= SHORT_DECIMAL and "e" not in x for x in decimals):
        exact = [sympy.Rational(x) for x in decimals]
        return sum((x * y for x, y in zip(exact[: len(a)], exact[len(a) :], strict=True)), ZERO)
    value = float(sum(x * y for x, y in zip(a, b, strict=True)))
    return sympy.Integer(int(value)) if value.is_integer() and abs(value) < 1e15 else sympy.Float(value, 17)


_RULES = {
    "gaussian": Law.gaussian,
    "input": Law.input,
    "matmul": Law.matmul,
    "map": Law.map,
    "moment": Law.moment,
}

__all__ = ["ONE", "Correction", "Law", "NoLaw"]
