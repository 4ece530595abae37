"""The limit of training as an account: the network, its backward pass and its parameters after t steps.

The entries are the statements of the user's text, as in `explain`; what training changes is a sum over earlier steps and
their examples (`train_equations`).
"""

from dataclasses import replace

from tpl.core.parametrization import HALF
from tpl.core.program import Program
from tpl.core.training import Training
from tpl.language import syntax as s
from tpl.language.source import Diagnostic, Source, TplError
from tpl.language.training_words import LOSSES
from tpl.limit import formula as f
from tpl.limit.account import TRAINED, TRAINED_BACKWARD, TRAINING, Account, Entry, Sentence
from tpl.limit.backward import first_input
from tpl.limit.context import Context
from tpl.limit.explain import RULES, definition
from tpl.limit.families import Families
from tpl.limit.formula import Formula
from tpl.limit.matching import Unwritten
from tpl.limit.outputs import meetings
from tpl.limit.shown import summands
from tpl.limit.train_course import course, settings
from tpl.limit.train_equations import Equations, Learner
from tpl.limit.train_generic import Generic, train_block
from tpl.limit.train_loss import loss_formula, signal
from tpl.limit.train_symbols import Symbols, symbols
from tpl.limit.transcribe import Statement


def explain_training(training: Training, program: Program, generic: Generic, file: s.File, source: Source) -> Account:
    """The account of a training. generic: the network elaborated for its structure; program: the whole.

    In the regime "features" of all statements; in others of the block alone: the kernels are another derivation's.
    Raises TplError where a network returns more than one output for an input.
    """
    train = train_block(file)
    if any(x.outputs.shape[0] > 1 for x in training.examples):
        raise TplError(source, [Diagnostic(train.span, f"`{train.network}` has several outputs for one input: its training has "
                                "no equations here", "`tpl train` computes its limit")])  # fmt: skip
    context = Context(generic.program, file, source, generic.plan, solved=False)
    letters = symbols(file, train, _count(training, file, train), training.schedule.batch < len(training.examples))
    learned = training.regime.kind == "features"
    if not learned:
        letters = replace(letters, point="ξ")
    path = course(training.schedule, training.program.constant_values(), letters)
    made = _Account(context, Equations(context, training, letters, path), train, letters)
    try:
        account = made.account() if learned else made.of_kernels()
    except Unwritten:
        raise TplError(source, [Diagnostic(train.span, "the uses of a matrix overlap in part: no one equation holds for all its "
                                "indices", "`tpl train` computes the limit")]) from None  # fmt: skip
    title = program.title.splitlines()[0] if program.title else source.name
    return replace(account, title=title)


def _count(training: Training, file: s.File, train: s.Train) -> Formula:
    """How many examples a step has: by its name, where it is that of the data."""
    if training.schedule.batch < len(training.examples):
        return f.number(training.schedule.batch)
    data = next(x for x in file.statements if isinstance(x, s.Data) and x.name == train.inputs[0].name)
    first = data.dims[0]
    return Formula("name", (), first.name, "const") if isinstance(first, s.Name) else f.number(len(training.examples))


Clauses = tuple[Formula, ...]


class _Account:
    def __init__(self, context: Context, equations: Equations, train: s.Train, letters: Symbols):
        self.context, self.equations, self.train, self.letters = context, equations, train, letters
        self.training = equations.training
        returned = next(x for x in equations.statements if isinstance(x.syntax, s.Return))
        assert returned.value is not None
        self.met, self.factors = meetings(returned.value)
        self.told: set[tuple[Formula, Clauses]] = set()

    def account(self) -> Account:
        forward = [e for x in self.equations.statements if (e := self._entry(x)) is not None]
        used = dict.fromkeys(name for x in self.context.statements for name in x.defs)
        definitions = tuple(definition(self.context, self.context.transcriber.defs[name]) for name in used)
        return Account(
            self.context.title, True, False, definitions, (*self._training(), *forward, *self._backward()),
            self._said(), ((TRAINED_BACKWARD, self._on_backward()), (TRAINED, ()), (TRAINING, ())),
        )  # fmt: skip

    def of_kernels(self) -> Account:
        """The block alone: how outputs follow a kernel."""
        letters, equations, schedule = self.letters, self.equations, self.training.schedule
        rate, momentum, decay = settings(schedule, letters)
        constants = self.training.program.constant_values()
        told = [x.equation for x in (rate, momentum) if x is rate or not x.is_value(0, constants)]
        now, after = letters.now, f.add(letters.now, f.ONE)
        before, later = (equations.output(x, letters.point) for x in (now, after))
        start = equations.output(f.ZERO, letters.point)
        pushes = f.mul(_kernel("NTK", letters.point, letters.seen), equations.chi(now))

        def push(factor: Formula) -> Formula:
            return Formula(
                "mul", (Formula("div", (factor, letters.count)), Formula("sum", (pushes, letters.batch(now))))
            )

        if self.training.regime.kind == "trivial":
            moves = [f.equal(before, start)]
        elif len(told) == 1:
            moves = [f.equal(later, Formula("sub", (before, push(rate.at(now)))))]
        else:
            speed = [replace(x, text=letters.velocity) for x in (start, before, later)]
            moves = [
                f.equal(later, Formula("sub", (before, f.mul(rate.at(now), speed[2])))),
                f.equal(speed[2], f.add(f.mul(momentum.at(now), speed[1]), push(f.ONE))),
                f.equal(speed[0], f.ZERO),
            ]
        random = not self.training.zero_start and any(
            r.init is not None and r.parameter.scale.init == (HALF if r.parameter.group == "readout" else 0)
            for r in self.training.regime.roles
            if r.parameter.group in ("readout", "bias")
        )
        other = equations.output(f.ZERO, letters.point + "′")
        first = (
            f.covariance(start, other, _kernel("NNGP", letters.point, letters.point + "′"))
            if random
            else f.equal(start, f.ZERO)
        )
        said = [("Features stand still; outputs follow the tangent kernel NTK of the parameters that count.",)]
        if random:
            said.append(("Outputs start as a draw of a Gaussian process with mean 0 and covariance NNGP"
                         + (", independent from output to output." if equations.rows > 1 else "."),))  # fmt: skip
        if not decay.is_value(0, constants):
            said.append(
                ("Weight decay would shrink the initial values, and the features with them: it is left out here.",)
            )
        block, loss, _ = self._training()
        rated = Entry(TRAINING, *self._settings(), (), "outputs along training",
                      (*told, *moves, first), tuple(said))  # fmt: skip
        return Account(self.context.title, True, False, (), (replace(block, rule="the kernel regime (TP4 §4)"), loss, rated),
                       leads=((TRAINING, ()),))  # fmt: skip

    # ------------------------------------------------------------------------------------------ words
    def _said(self) -> tuple[Sentence, ...]:
        letters = self.letters
        t, point = letters.now, Formula("name", (), letters.point, "data")
        seen = Formula("name", (), letters.point, "data", True, letters.seen)
        h = Formula("name", (), "h", "vector", True, letters.point, t)
        start = Formula("matmul", (Formula("name", (), "W", "matrix", step=f.ZERO), Formula("name", (), "x", "vector")))
        examples: Sentence = (seen, " are the examples, and a sum over ", letters.batch(letters.then),
                              " runs over those of step ", letters.then, ".")  # fmt: skip
        return (
            (h, " is the vector h after ", t, " steps, at any input ", point, "; ", *examples),
            (f.z(start), " = ", f.add(f.z(start, "hat"), f.z(start, "dot")), " goes by that rule for the matrix at the start, "
             "whatever the step that x belongs to; all that training adds to a matrix is a sum of outer products, and is "
             "written out."),
        )  # fmt: skip

    def _on_backward(self) -> tuple[Sentence, ...]:
        dx = Formula("adjoint", (Formula("name", (), "x", "vector"),), kind="vector")
        of = "the loss" if self.equations.rows > 1 else "the output"
        at = " at one example, without the mean over the batch" if self.equations.rows > 1 else ""
        return ((dx, f" is n times the derivative of {of} by x{at}; for a scalar it is that derivative."),)

    # ------------------------------------------------------------------------------------------ the block
    def _training(self) -> list[Entry]:
        node = self.train
        regime = self.training.regime
        why = tuple(_with_code(f"{x}.") for x in regime.reasons)
        settings = {x.name: x for x in node.settings}
        found = [self._made(node, "features are learned (TP4 §3)", (), why)]
        found.append(self._of_setting(settings["loss"], self._signal(), self._on_signal()))
        where, text = self._settings()
        found.append(Entry(TRAINING, where, text, (), "what a step adds, and how much of it is left later",
                           self.equations.course.equations))  # fmt: skip
        return found

    def _settings(self) -> tuple[str, str]:
        """Where the rate stands, and the text of what goes with it."""
        settings = {x.name: x for x in self.train.settings}
        chosen = [settings[x] for x in ("rate", "momentum", "weight_decay") if x in settings]
        text = "; ".join(self.context.source.slice(x.span).strip() for x in chosen)
        return self.context.where(chosen[0].span), text

    def _of_setting(self, node: s.Setting, becomes: tuple[Formula, ...], rule: str) -> Entry:
        return Entry(
            TRAINING, self.context.where(node.span), self.context.source.slice(node.span).strip(), (), rule, becomes
        )

    def _made(self, node: s.Train, rule: str, becomes: tuple[Formula, ...], why: tuple[Sentence, ...]) -> Entry:
        return Entry(
            TRAINING,
            self.context.where(node.span),
            self.context.source.slice(node.span).strip(),
            (),
            rule,
            becomes,
            why,
        )

    def _on_signal(self) -> str:
        targets = self.training.examples[0].targets
        labels = self.equations.rows > 1 and targets is not None and targets.size == 1
        return "error signal, the loss's derivative by the output" + (
            "; of a label the targets are 1 for its class, else 0" if labels else "")  # fmt: skip

    def _signal(self) -> tuple[Formula, ...]:
        """χ = ∂ loss/∂f, worked out where that is short."""
        letters, equations = self.letters, self.equations
        loss = loss_formula(self.train, self.context.transcriber)
        left = equations.chi(letters.now)
        output = equations.output(letters.now, letters.seen)
        row = equations.row_letter
        target = Formula("name", (f.letter(letters.example), *([row] if row is not None else [])),
                         self.train.targets.name, "const")  # fmt: skip
        if loss.op == "call" and loss.text == "cross_entropy":
            return (f.equal(left, Formula("sub", (self._softmax(output), target))),)
        places = {self.train.network: output, self.train.targets.name: target}
        found = signal(loss, self.train) if row is None or (loss.op == "call" and loss.text in LOSSES) else None
        if found is None:
            whole = Formula("name", (), letters.loss, "const")
            return (f.equal(left, Formula("slope", (whole, output))), f.equal(whole, loss))
        return (f.equal(left, f.rewrite(found, lambda x: places.get(x.text) if x.op == "name" else None)),)

    def _softmax(self, output: Formula) -> Formula:
        """exp(f_j)/Σ_j′ exp(f_j′)."""
        other = f.letter(self.letters.row + "′")
        terms = Formula("call", (replace(output, args=(other,)),), "exp")
        total = Formula("sum", (terms, Formula("clause", (other, f.ONE, f.number(self.equations.rows)))))
        return Formula("div", (Formula("call", (output,), "exp"), total))

    # ------------------------------------------------------------------------------------------ statements
    def _entry(self, x: Statement) -> Entry | None:
        learner = next((y for y in self.equations.learners if y.statement is x), None)
        if learner is not None:
            return self._parameter(x, learner)
        if isinstance(x.syntax, s.Return):
            return self._output(x)
        if isinstance(x.syntax, s.Draw) or x.target is None or x.value is None:
            return None
        if x.kind == "vector":
            return self._of(x, (f.equal(f.z(self._here(x.target)), self._right(x)), *self._apart(x)))
        if x.kind == "scalar":
            return self._of(x, (f.equal(self._here(x.target), self.equations.now(x.value)),))
        return None

    def _here(self, formula: Formula) -> Formula:
        return self.equations.at(formula, self.letters.now, self.letters.point)

    def _of(self, x: Statement, becomes: tuple[Formula, ...], why: tuple[Sentence, ...] = ()) -> Entry:
        span, text = x.syntax.span, self.context.source.slice(x.syntax.span)
        return Entry(TRAINED, self.context.where(span), text, x.clauses, _rule(x), becomes, why)

    def _right(self, x: Statement) -> Formula:
        """A vector's value, with products that stand alone in a sum written out."""
        assert x.value is not None
        return f.add(*(self._plain(y, x) or self.equations.now(y) for y in summands(x.value)))

    def _plain(self, term: Formula, x: Statement) -> Formula | None:
        products = {p.formula for p in x.products}
        return self.equations.product(term, x.clauses) if term in products else None

    def _apart(self, x: Statement) -> list[Formula]:
        """Equations for the products that stand inside of something else."""
        assert x.value is not None
        plain = set(summands(x.value))
        return self._products({p: c for p, c in _products_in(x.value).items() if p not in plain}, x.clauses)

    def _products(self, products: dict[Formula, Clauses], clauses: Clauses) -> list[Formula]:
        """What products are after t steps, unless that is said above. products: with the clauses of sums around them."""
        found = []
        for product, inner in products.items():
            value = self.equations.product(product, (*clauses, *inner))
            if value is None:
                continue
            equation = f.equal(self.equations.now(product), value)
            letters = f.letters_of(product)
            told = (equation, tuple(c for c in (*clauses, *inner) if c.args[0].text in letters))
            if told not in self.told:
                self.told.add(told)
                found.append(equation)
        return found

    def _parameter(self, x: Statement, learner: Learner) -> Entry | None:
        assert x.target is not None
        now = self.letters.now
        name = x.target.text
        becomes: list[Formula] = []
        if learner.group in ("readout", "bias"):
            right = (
                self.equations.readout(learner, self.met.get(name, []))
                if learner.group == "readout"
                else self.equations.bias(learner, self.factors.get(name, []))
            )
            left = self.equations.row(learner, now)
            becomes.append(f.equal(f.z(left) if learner.group == "readout" else left, right))
        elif x.kind == "vector":
            becomes.append(f.equal(f.z(replace(x.target, step=now)), self.equations.vector(learner)))
        if learner.starts:
            becomes.append(self._start(x, learner))
        return self._of(x, tuple(becomes), self._remarks(learner))

    def _start(self, x: Statement, learner: Learner) -> Formula:
        """The law of what a parameter is at the start."""
        assert x.target is not None
        first = replace(x.target, step=f.ZERO)
        if learner.group in ("readout", "bias"):
            first = self.equations.row(learner, f.ZERO)
            return Formula(
                "law", (f.z(first) if learner.group == "readout" else first, x.value or f.ZERO, learner.size)
            )
        if x.kind == "vector":
            return Formula("law", (f.z(first), x.value or f.ZERO, learner.size))
        if learner.group == "input":
            point = self.letters.point
            a, b = (Formula("name", (), point, "data", True, y) for y in (point, point + "′"))
            left, right = (f.z(Formula("matmul", (first, v))) for v in (a, b))
            return f.covariance(left, right, f.mul(learner.size, Formula("inner", (a, b))))
        a, b = (Formula("name", (), y, "vector") for y in ("x", "y"))
        left, right = (f.z(Formula("matmul", (first, v)), "hat") for v in (a, b))
        size = f.mul(learner.size, self.context.ratio(x.target.text, True))
        return f.covariance(left, right, f.mul(size, f.expectation(f.mul(f.z(a), f.z(b)))))

    def _remarks(self, learner: Learner) -> tuple[Sentence, ...]:
        target = learner.statement.target
        assert target is not None
        said: list[Sentence] = []
        if learner.role.init is None:
            said.append((target, " starts at 0."))
        elif not learner.starts:
            said.append(("What ", target, " is at the start vanishes in the limit."))
        if learner.role.update is None:
            said.append((target, " is not trained."))
        elif not learner.learns:
            said.append(("The updates of ", target, " vanish in the limit."))
        return tuple(said)

    def _output(self, x: Statement) -> Entry:
        """f_t(ξ) = E[Z^{v_t} Z^{x_t(ξ)}] + c_t."""
        equations, now = self.equations, self.letters.now
        terms = []
        for name, met in self.met.items():
            learner = equations.learner(Formula("name", (), name))
            assert learner is not None
            row = f.z(
                equations.row(learner, now) if learner.decays else replace(equations.row(learner, f.ZERO), step=None)
            )
            terms.append(f.mul(self.context.ratio(name), f.expectation(f.mul(row, equations.now(f.add(*met))))))
        for name, factors in self.factors.items():
            learner = equations.learner(Formula("name", (), name))
            assert learner is not None
            terms.append(f.mul(f.add(*factors), equations.row(learner, now)))
        left = equations.output(now, self.letters.point)
        return self._of(x, (f.equal(left, f.add(*terms)), *self._products(
            _products_in(x.value or f.ZERO), x.clauses)))  # fmt: skip

    # ------------------------------------------------------------------------------------------ backward
    def _backward(self) -> list[Entry]:
        lines = self.context.lines
        chosen = [
            i for i, line in enumerate(self.context.program.lines)
            if line.origin.derived.startswith("reverse mode") and first_input(line.name) and lines.stands_alone(i)
        ]  # fmt: skip
        found = []
        for family in Families(lines).of(chosen):
            span = self.context.program.lines[family.lines[0]].origin.span
            assert span is not None
            vector = family.left.kind == "vector"
            left = self.equations.now(family.left) if vector else self._here(family.left)
            if family.formula is None:
                becomes = [f.equal(left, Formula("code", (), "the chain rule, too long to print: see `tpl core`"))]
            else:
                right = self.equations.seeded(self.equations.now(family.formula))
                products = _products_in(family.formula)
                becomes = [f.equal(left, right), *self._products(products, family.conditions)]
            found.append(Entry(TRAINED_BACKWARD, f"reverse mode of {self.context.where(span)}", self.context.source.slice(span),
                               family.conditions, RULES["matmul" if family.products else "map"], tuple(becomes)))  # fmt: skip
        return found


def _rule(x: Statement) -> str:
    """The rules by which a statement becomes what it is after t steps."""
    if isinstance(x.syntax, s.Return):
        return RULES["moment"]
    if isinstance(x.syntax, s.Draw):
        return f"parameter: its {'matrix' if x.kind == 'matrix' else 'vector'} at the start, and what t steps add to it"
    if x.kind == "scalar":
        averaged = f.holds(x.value or f.ZERO, lambda n: n.op == "avg")
        return RULES["moment" if averaged else "scalar"]
    return RULES["matmul" if x.products else "map"]


def _with_code(text: str) -> Sentence:
    """A text in which `names` stand in backquotes, and which may begin with a formula and a colon."""
    formula, colon, rest = text.partition(":") if text[1:4] == " = " else ("", "", text)
    parts = [Formula("code", (), x) if i % 2 else x for i, x in enumerate((colon + rest).split("`")) if x]
    return (Formula("code", (), formula), *parts) if formula else tuple(parts)


def _kernel(name: str, *points: str) -> Formula:
    return Formula("call", tuple(Formula("name", (), "ξ", "data", True, x) for x in points), name)


def _products_in(formula: Formula) -> dict[Formula, Clauses]:
    """The products with matrices of a formula, in their order, and the clauses of the sums around them."""
    if formula.op == "matmul" and not formula.text:
        return {formula: (), **_products_in(formula.args[1])}
    if formula.op == "adjoint":
        return {}
    own = formula.args[1:] if formula.op == "sum" else ()
    return {p: (*own, *inner) for a in formula.args for p, inner in _products_in(a).items()}
