"""Equations of a training, read back over the coordinates of a finite network; and that network, trained step by step.

At width n the equations are an identity: with averages for expectations and W_0 x for Z^{W_0 x} they say what gradient descent
does to every coordinate. So the two must agree to rounding. The network is run from the core program of one step.
"""

import numpy as np

from tpl.core.expr import evaluate
from tpl.core.functions import FUNCTIONS
from tpl.language.training_words import STEP
from tpl.limit.formula import Formula


class Network:
    """A network of width n, trained by the updates of `Training`: values of all lines at every step."""

    def __init__(self, training, width, seed=0):
        self.training, self.program = training, training.program
        self.constants = self.program.constant_values()
        self.sizes = self.program.sizes(width)
        self.width = width
        rng = np.random.default_rng(seed)
        self.start = {}
        owner = {line: p for p in training.parameters for line in p.lines}
        for i, line in enumerate(self.program.lines):
            if line.op not in ("matrix", "gaussian", "state"):
                continue
            p = owner.get(i)
            there = p is None or training.regime.role(p.name).init == 0
            shape = [self.sizes.get(d, d) for d in line.dims]
            variance = p.variance if p is not None else evaluate(line.expr, self.constants)
            if line.op == "matrix" and isinstance(line.dims[1], str):
                variance /= width
            mean = 0.0 if line.op == "matrix" else evaluate(line.mean, self.constants)
            drawn = mean + np.sqrt(variance) * rng.standard_normal(shape)
            self.start[i] = drawn if there else np.zeros(shape)
        self.batches = training.schedule.batches(len(training.examples))

    def run(self, steps):
        """Values of lines before each step: a list of dictionaries."""
        now = {i: np.copy(x) for i, x in self.start.items()}
        velocity = {i: np.zeros_like(x) for i, x in now.items()}
        found = []
        for t in range(steps + 1):
            values = self.lines(now)
            found.append(values)
            if t < steps:
                self._descend(t, now, velocity, values)
        return found

    def lines(self, parameters):
        values = dict(parameters)
        for i, line in enumerate(self.program.lines):
            if i in values:
                continue
            args = [values[a] for a in line.args]
            if line.op == "input":
                values[i] = args[0] @ np.array(line.row)
            elif line.op == "matmul":
                values[i] = (args[0].T if line.transposed else args[0]) @ args[1]
            else:
                value = self._expr(line.expr, args)
                values[i] = np.mean(value) if line.op == "moment" else value
                if line.dims:
                    values[i] = np.broadcast_to(values[i], (self.sizes[line.dims[0]],))
        return values

    def _expr(self, expr, args):
        if expr.op == "ref":
            return args[expr.value]
        if not expr.args:
            return evaluate(expr, self.constants)
        return FUNCTIONS[expr.op].array(*(np.asarray(self._expr(a, args)) for a in expr.args))

    def _descend(self, t, now, velocity, values):
        schedule = self.training.schedule
        env = self.constants | {STEP: float(t)}
        rate, momentum, decay = (evaluate(x, env) for x in (schedule.rate, schedule.momentum, schedule.decay))
        batch = [self.training.examples[a].updates for a in self.batches[t]]
        for p in self.training.parameters:
            role = self.training.regime.role(p.name)
            if role.update is None:
                continue
            for i in p.lines:
                gradient = sum(self._gradient(i, p, u, values) for u in batch) * p.step / len(batch)
                velocity[i] = momentum * velocity[i] + decay * now[i] + (gradient if role.update == 0 else 0.0)
                now[i] = now[i] - rate * velocity[i]

    def _gradient(self, i, p, u, values):
        g = u.gradients
        if p.group == "hidden":
            return sum(np.outer(values[a], values[b]) for a, b in g.matrices.get(i, [])) / self.width
        if p.group == "readout":
            return sum(values[chi] * values[x] for chi, x in u.readouts.get(i, []))
        if p.group == "bias":
            return sum(values[chi] * evaluate(k, self.constants) for chi, k in u.biases.get(i, []))
        if i in g.inputs:
            return sum(np.outer(values[a], row) for a, row in g.inputs[i])
        return values[g.vectors[i]] if i in g.vectors else 0.0

    def line(self, name):
        """A line by its name; the first of several rows goes by the bare one."""
        names = [x.name for x in self.program.lines]
        return names.index(name if name in names else name.removesuffix("[1]"))


class Equations:
    """The equations of an account over the coordinates of a network. points: data arrays, one for each input."""

    def __init__(self, account, network, points, targets):
        self.network, self.points, self.targets = network, points, targets
        self.constants = network.constants
        self.equations = [
            (e, q) for e in account.entries for q in e.becomes if q.op == "eq" and q.args[0].op not in ("cov", "var")
        ]
        self.definitions = {q.args[0].text: q for q in account.definitions}
        self.memo = {}

    def at(self, name, step, point, indices=()):
        """A name after so many steps at one of the points."""
        letters = tuple(Formula("number", (), str(i)) for i in indices)
        node = Formula("name", letters, name, "vector", True, "@", Formula("number", (), str(step)))
        return self.looked_up(Formula("Z", (node,)), {"@": point})

    def output(self, name, step, point, row=()):
        letters = tuple(Formula("number", (), str(i)) for i in row)
        return self.looked_up(
            Formula("name", letters, name, "output", True, "@", Formula("number", (), str(step))), {"@": point}
        )

    # ------------------------------------------------------------------------------------------ looking up
    def looked_up(self, node, env):
        for k, (entry, equation) in enumerate(self.equations):
            bound = self.match(equation.args[0], node, env, {})
            if bound is None:
                continue
            fixed = {c.args[0].text: self.index(c.args[1], {}) for c in entry.clauses if c.args[1] == c.args[2]}
            bound = {**fixed, **bound}
            if not self.holds(entry.clauses, bound):
                continue
            key = (k, tuple(sorted(bound.items())))
            if key not in self.memo:
                self.memo[key] = self.value(equation.args[1], bound)
            return self.memo[key]
        raise KeyError(node)

    def holds(self, clauses, env):
        return all(self.index(c.args[1], env) <= env[c.args[0].text] <= self.index(c.args[2], env) for c in clauses
                   if c.args[0].text in env)  # fmt: skip

    def match(self, pattern, node, env, bound):
        """Values of the pattern's letters under which it is the node at `env`."""
        if pattern.op == "name" and pattern.kind == "index":
            return self.match_index(pattern, node, env, bound)
        if pattern.op != node.op or pattern.text != node.text or len(pattern.args) != len(node.args):
            return None
        if (pattern.step is None) != (node.step is None) or bool(pattern.input) != bool(node.input):
            return None
        indexed = pattern.op == "name"
        for a, b in zip(pattern.args, node.args, strict=True):
            bound = self.match_index(a, b, env, bound) if indexed else self.match(a, b, env, bound)
            if bound is None:
                return None
        if pattern.step is not None:
            bound = self.match_index(pattern.step, node.step, env, bound)
        if bound is not None and pattern.input:
            point = self.point(node.input, env)
            letter = "@" if "_" not in pattern.input else pattern.input.rpartition("_")[2]
            point = point + 1 if letter != "@" else point
            bound = {**bound, letter: point} if bound.get(letter, point) == point else None
        return bound

    def match_index(self, pattern, node, env, bound):
        value = self.index(node, env)
        if pattern.op == "add":
            pattern, value = pattern.args[0], value - self.index(pattern.args[1], {})
        elif pattern.op == "sub":
            pattern, value = pattern.args[0], value + self.index(pattern.args[1], {})
        if pattern.op == "number":
            return bound if int(pattern.text) == value else None
        if pattern.kind == "const" and pattern.text in self.constants:
            return bound if self.constants[pattern.text] == value else None
        fits = value >= 0 and bound.get(pattern.text, value) == value
        return {**bound, pattern.text: value} if fits else None

    def index(self, node, env):
        if node.op == "number":
            return int(node.text)
        if node.op == "name":
            return env[node.text] if node.text in env else round(self.constants[node.text])
        a = [self.index(x, env) for x in node.args]
        return sum(a) if node.op == "add" else a[0] - a[1]

    def point(self, input_, env):
        return env["@"] if "_" not in input_ else env[input_.rpartition("_")[2]] - 1

    # ------------------------------------------------------------------------------------------ values
    def value(self, node, env):
        rule = getattr(self, "_" + node.op, None)
        if rule is not None:
            return rule(node, env)
        a = [self.value(x, env) for x in node.args]
        total = a[0]
        for x in a[1:]:
            total = {"add": np.add, "mul": np.multiply, "sub": np.subtract, "div": np.divide, "pow": np.power}[node.op](
                total, x
            )
        return -total if node.op == "neg" else total

    def _number(self, node, env):
        return float(node.text)

    def _name(self, node, env):
        if node.kind == "parameter":
            return env[node.text]
        if node.kind == "index":
            return env[node.text]
        if node.kind == "data":
            return self.points[self.point(node.input, env)][tuple(self.index(i, env) - 1 for i in node.args)]
        if node.text in ("y",) and node.kind == "const":
            target = self.targets[self.index(node.args[0], env) - 1]
            return target if len(node.args) == 1 else float(target == self.index(node.args[1], env) - 1)  # a label
        if node.kind == "const" and node.text in self.constants and not node.args:
            return self.constants[node.text]
        if node.step is not None and self._is_start(node):
            return self.network.start[self.network.line(self._line_name(node, env))]
        if node.kind == "vector" and node.step is None and not node.local:
            return self.network.start[self.network.line(self._line_name(node, env))]
        return self.looked_up(Formula("Z", (node,)) if node.kind == "vector" else node, env)

    @staticmethod
    def _is_start(node):
        return node.step == Formula("number", (), "0")

    def _line_name(self, node, env):
        return node.text + (f"[{', '.join(str(self.index(i, env)) for i in node.args)}]" if node.args else "")

    def _adjoint(self, node, env):
        return self.looked_up(Formula("Z", (node,)) if node.kind == "vector" else node, env)

    def _Z(self, node, env):
        inside = node.args[0]
        if inside.op == "matmul":
            return self._matmul(inside, env)
        return self._adjoint(inside, env) if inside.op == "adjoint" else self._name(inside, env)

    def _matmul(self, node, env):
        matrix, x = node.args
        transposed = matrix.op == "transposed"
        matrix = matrix.args[0] if transposed else matrix
        if matrix.step is not None and not self._is_start(matrix):
            return self.looked_up(Formula("Z", (node,)), env)
        entries = self.network.start[self.network.line(self._line_name(matrix, env))]
        return (entries.T if transposed else entries) @ self.value(x, env)

    def _E(self, node, env):
        return np.mean(self.value(node.args[0], env))

    def _inner(self, node, env):
        return float(np.dot(*(self.value(a, env) for a in node.args)))

    def _sum(self, node, env):
        return sum((self.value(node.args[0], e) for e in self.clauses(node.args[1:], env)), 0.0)

    def clauses(self, clauses, env):
        if not clauses:
            yield env
            return
        first = clauses[0]
        if first.op == "below":
            values = range(self.index(first.args[1], env))
        elif first.op == "among":
            values = self.network.batches[self.index(first.args[1].args[0], env)] + 1
        else:
            values = range(self.index(first.args[1], env), self.index(first.args[2], env) + 1)
        for i in values:
            yield from self.clauses(clauses[1:], {**env, first.args[0].text: int(i)})

    def _call(self, node, env):
        args = [np.asarray(self.value(a, env)) for a in node.args]
        if node.text in self.definitions:
            left, body = self.definitions[node.text].args
            return self.value(body, dict(zip((p.text for p in left.args), args, strict=True)))
        return FUNCTIONS[node.text].array(*args)
