"""A few steps of training, written out: an ordinary core program, for the symbolic law and for reading.

Parameters are what they were at the start plus what every step has added, so a product with a matrix is one with the
initial matrix plus rank-one terms: W_t x = α W_0 x + Σ coefficient · g avg(y x) (THEORY section 6). Rates, momentum and
decay are numbers here, so all coefficients are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from tpl.core.builder import Builder
from tpl.core.expr import ZERO, Expr, add, evaluate, from_float, mul, number, ref, substitute
from tpl.core.program import Kind, Line, Program, Show
from tpl.core.training import Example, Trained, Training
from tpl.language.training_words import STEP


class NotUnrolled(Exception):
    """A training whose limit is no ordinary core program: outputs that start as random numbers."""


def unroll(training: Training, steps: int, max_lines: int = 100_000) -> Program:
    """`steps` steps in the limit that the regime "features" has, with shows for what is there at every step.

    Shows: `f` [steps + 1, examples and tests, k], and of every variable `gram:…` and `cross:…` [steps + 1, N, N], as in
    `tpl.sampling.train`. Raises NotUnrolled in other regimes, and TooLarge beyond `max_lines`.
    """
    if training.regime.kind != "features":
        raise NotUnrolled("features stand still, and outputs follow the tangent kernel")
    return _Unrolling(training, max_lines).run(steps)


@dataclass
class Course:
    """What a parameter is: start · initial + Σ_s terms[s] · gradient_s, and its velocity likewise."""

    start: float = 1.0
    start_velocity: float = 0.0
    terms: list[float] = field(default_factory=list)
    velocities: list[float] = field(default_factory=list)

    def move(self, rate: float, momentum: float, decay: float) -> None:
        """One step more, by the gradient of this step."""
        self.start_velocity = momentum * self.start_velocity + decay * self.start
        self.velocities = [momentum * u + decay * w for u, w in zip(self.velocities, self.terms, strict=True)] + [1.0]
        self.terms.append(0.0)
        self.start -= rate * self.start_velocity
        self.terms = [w - rate * u for w, u in zip(self.terms, self.velocities, strict=True)]


class _Unrolling:
    def __init__(self, training: Training, max_lines: int):
        self.training = training
        self.program = training.program
        self.builder = Builder(self.program.source, max_lines)
        self.builder.widths = dict(self.program.widths)
        self.builder.symbolic_ratios = dict(self.program.symbolic_ratios)
        for name, expr in self.program.constants.items():
            self.builder.define_constant(name, expr)
        self.owner = {line: p for p in training.parameters for line in p.lines}
        self.initial: dict[int, int] = {}
        self.courses: dict[str, Course] = {p.name: Course() for p in training.parameters}
        # By parameter line: for every step, terms as lines of the new program; what they are depends on the parameter.
        self.past: dict[int, list[list[tuple]]] = {line: [] for line in self.owner}
        self.values: dict[int, Expr] = {}

    def run(self, steps: int) -> Program:
        found: dict[str, list[int]] = {"f": []}
        shapes: dict[str, tuple[int, ...]] = {}
        start: dict[str, list[int]] = {}
        batches = self.training.schedule.batches(len(self.training.examples))
        for step in range(steps + 1):
            self.values = {}
            self.builder.label = f"{{t={step}}}"
            outputs = [int(i) for e in (*self.training.examples, *self.training.tests) for i in e.outputs.ravel()]
            found["f"] += [self._scalar(i) for i in outputs]
            shapes["f"] = (steps + 1, len(outputs) // self._rows(), self._rows())
            for name, lines in self.training.variables.items():
                now = [self._vector(i) for i in lines]
                start.setdefault(name, now)
                shape = (steps + 1, len(now), len(now))
                for key, first in ((f"gram:{name}", now), (f"cross:{name}", start[name])):
                    shapes[key] = shape
                    found.setdefault(key, []).extend(self._number(self.builder.inner(a, b)) for a in first for b in now)
            if step < steps:
                self._descend(step, [self.training.examples[a] for a in batches[step]])
        program = self.builder.program(self.program.title)
        return replace(program, shows=tuple(Show(n, shapes[n], tuple(lines)) for n, lines in found.items()))

    def _rows(self) -> int:
        return int(self.training.examples[0].outputs.shape[1])

    # ------------------------------------------------------------------------------------------ one step's lines
    def _number(self, expr: Expr) -> int:
        return self.builder.map(expr, None)

    def _scalar(self, line: int) -> int:
        return self._number(self._value(line))

    def _vector(self, line: int) -> int:
        return self.builder.map(self._value(line), str(self.program.lines[line].dims[0]))

    def _value(self, line: int) -> Expr:
        """A line of the step's program, at this step: over lines of the new one."""
        for i in self._needed(line):
            if i not in self.values:
                self.values[i] = self._made(i, self.program.lines[i])
        return self.values[line]

    def _needed(self, line: int) -> list[int]:
        """Lines that it depends on, and itself, in order; matrices apart."""
        seen, stack = set(), [line]
        while stack:
            i = stack.pop()
            if i not in seen and i not in self.values:
                seen.add(i)
                stack += [a for a in self.program.lines[i].args if self.program.lines[a].op != "matrix"]
        return sorted(seen)

    def _made(self, i: int, line: Line) -> Expr:
        if line.op in ("gaussian", "state"):
            return self._parameter(i, line)
        if line.op == "input":
            return self._image(i, line)
        if line.op == "matmul":
            return self._product(line)
        assert line.expr is not None
        expr = substitute(line.expr, lambda e: self.values[line.args[int(e.value)]] if e.op == "ref" else e)  # type: ignore[arg-type]
        if line.op == "moment":
            width = next(str(self.program.lines[a].dims[0]) for a in line.args if self.program.lines[a].dims)
            return ref(self.builder.moment(expr, width))
        width_ = str(line.dims[0]) if line.kind is Kind.VECTOR else None
        return ref(self.builder.map(expr, width_))

    def _keeps(self, p: Trained | None) -> bool:
        """Is its initial value seen in the limit?"""
        return p is None or self.training.regime.role(p.name).init == 0

    def _course(self, line: int) -> Course:
        p = self.owner.get(line)
        return Course() if p is None else self.courses[p.name]

    def _first(self, i: int) -> int:
        """The initial random array of a line, in the new program."""
        if i not in self.initial:
            line, p = self.program.lines[i], self.owner.get(i)
            variance = line.expr or ZERO
            if line.op == "matrix":
                if p is not None and p.group == "hidden":
                    variance = mul(
                        from_float(p.variance), Expr("pow", (Expr("symbol", (), self.program.base_width), number(-1)))
                    )
                self.initial[i] = self.builder.matrix(line.name, line.dims, variance, False)  # type: ignore[arg-type]
            else:
                if p is not None:
                    variance = from_float(p.variance)
                self.initial[i] = self.builder.gaussian(line.name, str(line.dims[0]), line.mean, variance, False)
        return self.initial[i]

    def _parameter(self, i: int, line: Line) -> Expr:
        p, course = self.owner.get(i), self._course(i)
        terms: list[Expr] = []
        if line.op == "state":
            if self._keeps(p) and not (line.expr or ZERO).is_value(0):
                raise NotUnrolled(f"`{line.name}` starts as a random number")
            terms.append(mul(from_float(course.start), line.mean))
        elif self._keeps(p):
            terms.append(mul(from_float(course.start), ref(self._first(i))))
        for weight, step in zip(course.terms, self.past.get(i, []), strict=False):
            terms += [mul(from_float(weight), k, *map(ref, lines)) for k, *lines in step]
        total = add(*terms)
        return total if line.op == "state" else ref(self.builder.map(total, str(line.dims[0])))

    def _image(self, i: int, line: Line) -> Expr:
        matrix = line.args[0]
        course, row = self._course(matrix), np.array(line.row)
        terms = []
        if self._keeps(self.owner.get(matrix)):
            terms.append(mul(from_float(course.start), ref(self.builder.input(self._first(matrix), line.row))))
        for weight, step in zip(course.terms, self.past.get(matrix, []), strict=False):
            terms += [mul(from_float(weight * float(np.dot(other, row))), k, ref(g)) for k, g, other in step]
        return ref(self.builder.map(add(*terms), str(line.dims[0])))

    def _product(self, line: Line) -> Expr:
        matrix, width = line.args[0], str(line.dims[0])
        x = self.builder.map(self.values[line.args[1]], str(self.program.lines[line.args[1]].dims[0]))
        course, terms = self._course(matrix), []
        if self._keeps(self.owner.get(matrix)):
            terms.append(
                mul(from_float(course.start), ref(self.builder.matmul(self._first(matrix), line.transposed, x)))
            )
        ratio = self.builder.ratio(str(self.program.lines[line.args[1]].dims[0]))
        for weight, step in zip(course.terms, self.past.get(matrix, []), strict=False):
            for k, left, right in step:
                here, there = (right, left) if line.transposed else (left, right)
                terms.append(mul(from_float(weight), k, ratio, self.builder.inner(there, x), ref(here)))
        return ref(self.builder.map(add(*terms), width))

    # ------------------------------------------------------------------------------------------ updates
    def _descend(self, step: int, batch: Iterable[Example]) -> None:
        schedule = self.training.schedule
        env = self.builder.values | {STEP: float(step)}
        rate, momentum, decay = (evaluate(x, env) for x in (schedule.rate, schedule.momentum, schedule.decay))
        updates = [e.updates for e in batch if e.updates is not None]
        found: dict[int, list[tuple]] = {}
        for p in self.training.parameters:
            role = self.training.regime.role(p.name)
            size = from_float(p.step / len(updates)) if role.update == 0 else ZERO
            for line in p.lines:
                found[line] = [] if role.update != 0 else list(self._terms(line, p, updates, size))
        for p in self.training.parameters:
            for line in p.lines:
                self.past[line].append(found[line])
            if self.training.regime.role(p.name).update is not None:
                self.courses[p.name].move(rate, momentum, decay)
            else:
                self.courses[p.name].terms.append(0.0)
                self.courses[p.name].velocities.append(0.0)

    def _terms(self, line: int, p: Trained, updates: list, size: Expr) -> Iterable[tuple]:
        """This step's gradient: (coefficient, lines…), for a matrix of finitely many columns also the row."""
        for u in updates:
            if p.group == "hidden":
                pairs = u.gradients.matrices.get(line, [])
                yield from ((size, self._vector(g), self._vector(x)) for g, x in pairs)
            elif line in u.gradients.inputs:
                yield from ((size, self._vector(g), np.array(row)) for g, row in u.gradients.inputs[line])
            elif p.group == "readout":
                yield from ((size, self._scalar(chi), self._vector(x)) for chi, x in u.readouts.get(line, []))
            elif p.group == "bias":
                yield from ((mul(size, k), self._scalar(chi)) for chi, k in u.biases.get(line, []))
            elif line in u.gradients.vectors:
                yield size, self._vector(u.gradients.vectors[line])
