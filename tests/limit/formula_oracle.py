"""Formulas of an account, read back: as expressions over the law's Gaussian leaves, to be compared with the law itself."""

import math
from copy import copy
from dataclasses import replace

import numpy as np
import sympy

from tpl.core import expr as e
from tpl.core.builder import entry_name
from tpl.core.functions import FUNCTIONS
from tpl.core.gradient import partial_derivatives
from tpl.limit.algebra import LeastNorm, Ratio, from_sympy, to_sympy
from tpl.limit.calculus import Atom
from tpl.limit.formula import to_z
from tpl.limit.naming import variable
from tpl.numeric.evaluate import evaluate_law

POINTS = 16  # random values of the leaves at which two expressions are compared


class Oracle:
    """Evaluates formulas at given indices. `context` is the account's; `plan` says where its data vectors stand."""

    def __init__(self, context, plan, file):
        self.context, self.law, self.plan = context, context.law, plan
        self.program = self.law.program
        self.constants = self.program.constant_values()
        self.lines = {}
        for index, line in enumerate(self.program.lines):
            named = variable(line.name)
            if named is not None:
                self.lines.setdefault((named.base, named.index, named.input), index)
        self.defs = context.transcriber.defs
        self.rng = np.random.default_rng(5)
        self.leaves, self.quantities = {}, {}
        self.aliases = {}  # (name, indices) -> the name that it is another one for, and the letters' values in that
        self.bodies = {
            name: {"parameters": d.parameters, "body": context.transcriber.value(d.body).formula}
            for name, d in self.defs.items()
        }

    # ------------------------------------------------------------------------------------------ expressions
    def expr(self, formula, env, input_=1):
        """The formula as an expression over leaves and quantities."""
        rule = getattr(self, "_" + formula.op, None)
        if rule is not None:
            return rule(formula, env, input_)
        args = [self.expr(a, env, input_) for a in formula.args]
        return {"add": e.add, "mul": e.mul, "sub": e.sub, "div": e.div, "neg": e.neg, "pow": e.power}[formula.op](*args)

    def index(self, formula, env):
        """A whole number."""
        if formula.op == "number":
            return int(formula.text)
        if formula.op == "name":
            return env[formula.text] if formula.text in env else round(self.constants[formula.text])
        a = [self.index(x, env) for x in formula.args]
        return {
            "add": lambda: sum(a), "sub": lambda: a[0] - a[1], "neg": lambda: -a[0], "mul": lambda: math.prod(a),
            "mod": lambda: a[0] % a[1],
        }[formula.op]()  # fmt: skip

    def clauses(self, clauses, env):
        """Every assignment of the clauses' variables."""
        if not clauses:
            yield env
            return
        first = clauses[0]
        for i in range(self.index(first.args[1], env), self.index(first.args[2], env) + 1):
            yield from self.clauses(clauses[1:], {**env, first.args[0].text: i})

    def line(self, formula, env, input_, prefix=""):
        indices = tuple(self.index(a, env) for a in formula.args)
        wrapped = indices
        for axis, at in enumerate(indices):  # an index on a circle
            axes = self.context.lines.axes(formula.text)
            if axis < len(axes) and axes[axis].letter in self.circle:
                size = axes[axis].high - axes[axis].low + 1
                wrapped = (*wrapped[:axis], (at - axes[axis].low) % size + axes[axis].low, *wrapped[axis + 1 :])
        for tagged in (input_, 0):
            found = self.lines.get((prefix + formula.text, wrapped, tagged))
            if found is not None:
                return found
        alias = self.aliases.get((prefix + formula.text, wrapped))
        return self.line(*alias, input_, prefix) if alias is not None else None

    circle = ()

    def _number(self, formula, env, input_):
        return e.number(sympy.Rational(formula.text).p) if formula.text.isdigit() else e.number(float(formula.text))

    def _name(self, formula, env, input_):
        if formula.kind == "const" or formula.text == "pi":
            return e.symbol(formula.text)
        if formula.text in env and not formula.args:
            value = env[formula.text]
            return value if isinstance(value, e.Expr) else e.number(value)
        line = self.line(formula, env, self._at(formula, input_))
        if line is None:  # an entry of data
            assert formula.kind == "data", formula
            return e.symbol(entry_name(f"{formula.text}[{', '.join(str(self.index(a, env)) for a in formula.args)}]"))
        return from_sympy(self.law.scalars[line])

    @staticmethod
    def _at(formula, input_):
        return {"": input_, "ξ": 1, "ξ′": 2}.get(formula.input, input_)

    def _Z(self, formula, env, input_):
        inside = formula.args[0]
        if inside.op == "matmul":
            product = self.product(inside, env, input_)
            if product is None:
                return e.ZERO
            hat = e.ref(self.law.leaf_of(product))
            return {"hat": hat, "dot": e.sub(self.law.z[product], hat), "": self.law.z[product]}[formula.text]
        if inside.op not in ("name", "adjoint"):
            return self.vector(inside, env, input_)
        line = self.vector_line(inside, env, input_)
        assert line is not None, (formula, env)
        return self.law.z[line]

    def vector_line(self, inside, env, input_):
        """Lines that are equal for both inputs are there once, under the first."""
        found = self.find_line(inside, env, input_)
        return (
            found if found is not None or inside.op != "adjoint" else self.find_line(replace(inside, input="ξ"), env, 1)
        )

    def find_line(self, inside, env, input_):
        if inside.op == "name":
            return self.line(inside, env, self._at(inside, input_))
        what, at = inside.args[0], self._at(inside, input_)
        if what.op == "name":
            found = self.line(what, env, at, "d")
            return found if found is not None else self.adjoint(self.line(what, env, at))
        return self.adjoint(self.product(what, env, at))

    def adjoint(self, forward):
        product = next((p for p, x in self.context.lines.product_adjoints.items() if x == forward), None)
        return self.context.lines.adjoint_of.get(forward, product)

    def product(self, formula, env, input_):
        """The core line of a product, found by its matrix and the value of what it meets."""
        matrix, vector = formula.args
        transposed = matrix.op == "transposed"
        base = matrix.args[0] if transposed else matrix
        number = self.lines[base.text, tuple(self.index(a, env) for a in base.args), 0]
        if vector.kind == "data":
            row = self.row(vector, env, self._at(vector, input_))
            return next(
                i for i, x in enumerate(self.program.lines) if x.op == "input" and x.args == (number,) and x.row == row
            )
        wanted = self.values(self.vector(vector, env, input_))
        if not np.any(wanted):
            return None
        for i, x in enumerate(self.program.lines):
            same = x.op == "matmul" and x.args[0] == number and x.transposed == transposed
            if same and np.allclose(self.values(self.law.z[x.args[1]]), wanted, rtol=1e-9):
                return i
        raise AssertionError(f"no product with {base.text}")

    def row(self, formula, env, input_):
        place = tuple(self.index(a, env) for a in formula.args)
        label = next(k for k, v in self.plan.labels.items() if v.index == place and v.input in (input_, 0)) if self.any_label(
            place, input_) else None  # fmt: skip
        return next(row for row, k in self.plan.rows.items() if k == label)

    def any_label(self, place, input_):
        return any(v.index == place and v.input in (input_, 0) for v in self.plan.labels.values())

    def vector(self, formula, env, input_):
        """A formula over lines (not Z's) as Z's."""
        return self.expr(to_z(formula, lambda product: True), env, input_)

    def _sum(self, formula, env, input_):
        return e.add(*(self.expr(formula.args[0], x, input_) for x in self.clauses(formula.args[1:], env)))

    def _E(self, formula, env, input_):
        if formula.args[0].op == "slope":
            x, hat = (self.expr(a, env, input_) for a in formula.args[0].args)
            partials = partial_derivatives(x, set(self.law.calculus.algebra.depends(x)))
            weights = ((from_sympy(sympy.S(self.law.calculus.coefficient_in(i, hat.value))), d) for i, d in partials)
            return self._expected(e.add(*(e.mul(w, d) for w, d in weights)))
        return self._expected(self.expr(formula.args[0], env, input_))

    def _expected(self, expr):
        return from_sympy(sympy.S(self.law.calculus.expect(self.law.calculus.algebra.intern(expr))))

    def _call(self, formula, env, input_):
        if formula.text in self.bodies:
            d = self.bodies[formula.text]
            inner = dict(zip(d["parameters"], (self.expr(a, env, input_) for a in formula.args), strict=True))
            return self.expr(d["body"], inner, input_)
        assert formula.text in FUNCTIONS, formula.text
        return e.apply(formula.text, *(self.expr(a, env, input_) for a in formula.args))

    def _pick(self, formula, env, input_):
        """softmax(s_{i,·})_j."""
        weights, j = formula.args
        assert weights.text == "softmax"
        name = weights.args[0]
        top = self.constants["T"]
        terms = [e.apply("exp", self.expr(name, {**env, "·": i}, input_)) for i in range(1, round(top) + 1)]
        return e.div(terms[self.index(j, env) - 1], e.add(*terms))

    def _inner(self, formula, env, input_):
        a, b = (self.row(x, env, self._at(x, 1)) for x in formula.args)
        return e.number(float(np.dot(a, b)))

    # ------------------------------------------------------------------------------------------ numbers
    def values(self, expr):
        """An expression at random values of leaves and quantities."""
        env = dict(self.constants)
        memo = {}

        def walk(node):
            if id(node) not in memo:
                memo[id(node)] = (node, self._value(node, [walk(a) for a in node.args], env))
            return memo[id(node)][1]

        return np.broadcast_to(walk(expr), POINTS)

    def _value(self, node, args, env):
        if node.op == "number":
            return float(node.value)
        if node.op == "symbol":
            return env[node.value]
        if node.op == "ref":
            return self.leaf(node.value)
        if node.op == "quantity":
            return self.quantity(node.value)
        return FUNCTIONS[node.op].array(*map(np.asarray, args))

    def leaf(self, index):
        """A base leaf is random; a leaf that is a sum is the sum of its parts."""
        parts = self.law.calculus.leaves[index].parts
        if not parts:
            return self.leaves.setdefault(index, self.rng.standard_normal(POINTS))
        return sum(self.values(from_sympy(c)) * self.leaf(i) for i, c in parts)

    def quantity(self, index):
        """An expectation is any number; what is computed from others is computed."""
        if index not in self.quantities:
            definition = self.law.calculus.quantities[index].definition
            if isinstance(definition, Atom) or definition.has(LeastNorm):
                self.quantities[index] = self.rng.uniform(0.5, 2.0)
            else:
                self.quantities[index] = self.values(from_sympy(definition.replace(Ratio, lambda a, b: a / b)))[0]
        return self.quantities[index]

    def number(self, expr):
        """The true value of an expression without leaves."""
        law = copy(self.law)
        law.scalars = {0: to_sympy(expr)}
        found = evaluate_law(law, [0])
        return found.value[0], found.error[0]
