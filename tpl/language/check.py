"""Names and structure, from the syntax alone: mistakes are found wherever they stand, also in what is never run.

Goals: every name is known where it is used, and given once; every statement stands where it may; calls have the right
number of arguments. Non-goals: sizes, kinds and values, which elaboration settles. Where both would complain, the
messages and places agree, and `merge` keeps one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tpl.data import GENERATORS
from tpl.data.generators import OTHERWISE as GENERATORS_OTHERWISE
from tpl.language import syntax as s
from tpl.language.check_training import TrainingCheck
from tpl.language.explain import ANY, FOR_STANDS
from tpl.language.foreign import FUNCTIONS_OTHERWISE
from tpl.language.scopes import WORDS, Known, Scope, called, elsewhere
from tpl.language.source import Diagnostic, Span, nearest

MAX_MISTAKES = 100
OVER_LISTS = ("sum", "avg", "softmax")
KERNELS = ("nngp", "ntk")
CONSTANTS = ("pi",)


def check(
    file: s.File, lost: Collection[str], *, functions: Mapping[str, int | None] | None = None
) -> list[Diagnostic]:
    """Every mistake in names and structure.

    lost: names whose definition could not be read: nothing is said of them. functions: the built-in elementwise
    functions and their numbers of arguments; without it, calls of names that the program does not define pass.
    """
    checker = Checker(file, lost, functions)
    checker.statements(file.statements, checker.globals)
    if file.statements and not _holds(s.Show, file.statements) and "show" not in lost:
        checker.diagnostics.append(Diagnostic(None, "nothing is shown", "end the program with `show …`"))
    return checker.diagnostics[:MAX_MISTAKES]


def merge(*stages: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics of several stages in file order.

    What a later stage says again, or says of a place that an earlier one spoke of, is dropped.
    """
    kept: list[Diagnostic] = []
    for stage in stages:
        starts = {d.span[:2] for d in kept if d.span is not None}
        said = {d.message for d in kept}
        kept += [d for d in stage if d.message not in said and (d.span is None or d.span[:2] not in starts)]
    return sorted(dict.fromkeys(kept), key=lambda d: (d.span or Span(0, 0, 0, 0), d.message))


def misfit_law(law: s.Expr) -> tuple[str, str] | None:
    """What is wrong with what stands after `~`, and what to do; None if it is a normal law."""
    if isinstance(law, s.Call) and law.function == "N":
        if len(law.arguments) != 2 or law.keywords:
            return "a normal law has a mean and a variance", "`N(0, 1)`"
        return None
    name = law.function if isinstance(law, s.Call) else ""
    if name and nearest(name, ["N", "Normal", "Gaussian", "randn"]) is None:
        hint = (
            "a limit needs Gaussian laws; other ones are functions of them: `abs(g)` where `random g : [n] ~ N(0, 1)`"
        )
        return "after `~` stands a normal law", hint
    return "after `~` stands a normal law", "write `N(mean, variance)`"


_UNDECLARED = "declare it above: `width {name}` goes to infinity, `const {name} = 3` does not"


class Checker:
    """Walks a file in program order. `scope` maps every name that is known at a place; loops share their block's."""

    def __init__(self, file: s.File, lost: Collection[str], functions: Mapping[str, int | None] | None):
        self.lost = set(lost)
        self.functions = functions
        self.builtin = {*(functions or {}), *OVER_LISTS, *KERNELS, "N"}
        self.globals: Scope = {}
        self.diagnostics: list[Diagnostic] = []
        self.network: s.Network | None = None
        self.loops = 0
        self.training = TrainingCheck(self, file)
        self._widths = False  # may a width stand as a number here?
        self._kernels = False  # may `nngp` and `ntk` stand here?
        self._otherwise: str | None = None  # what to do about an unknown `{name}` that is like no other
        self._among: Collection[str] | None = None  # names that an unknown one may have been meant for, if not all
        self._unknown: set[str] = set()
        self._widthless = not _holds(s.Width, file.statements)
        self._elsewhere = elsewhere(file)
        self._calls = {d.name: set(called(d.body)) for d in file.statements if isinstance(d, s.Def)}

    # ------------------------------------------------------------------------------------------ reporting
    def is_lost(self, name: str) -> bool:
        """Was its definition unreadable? Where a bracket is forgotten, the name may have run into what follows it."""
        if self.network is not None and self.network.name in self.lost:
            return True  # its inputs could not be read
        return name in self.lost or ANY in self.lost or any(lost.startswith(name) for lost in self.lost)

    def report(self, span: Span, message: str, hint: str | None = None) -> None:
        self.diagnostics.append(Diagnostic(span, message, hint))

    @contextmanager
    def allowing(self, **flags: Any) -> Iterator[None]:
        before = {name: getattr(self, f"_{name}") for name in flags}
        for name, flag in flags.items():
            setattr(self, f"_{name}", flag)
        try:
            yield
        finally:
            for name, flag in before.items():
                setattr(self, f"_{name}", flag)

    @contextmanager
    def locally(self, scope: Scope, names: Scope) -> Iterator[None]:
        """Names that mean something else for a while."""
        before = {name: scope[name] for name in names if name in scope}
        scope.update(names)
        try:
            yield
        finally:
            for name in names:
                del scope[name]
            scope.update(before)

    @contextmanager
    def inside(self, network: s.Network) -> Iterator[None]:
        """Expressions that speak of the inside of a network, but stand after it."""
        before, self.network = self.network, network
        with self.allowing(kernels=False):
            yield
        self.network = before

    # ------------------------------------------------------------------------------------------ names
    def define(self, name: str, span: Span, known: Known, scope: Scope) -> None:
        """Give a name its meaning, unless it has one."""
        if name in self.lost:
            return
        old = scope.get(name)
        if name in self.builtin and (name != "N" or known.what in ("def", "network")):
            self.report(span, f"`{name}` is a built-in function", "choose another name")
        elif name in CONSTANTS:
            self.report(span, f"`{name}` is a built-in number", "choose another name")
        elif name.startswith("__"):
            self.report(span, f"`{name}` begins with two underscores", "choose another name")
        elif old is None:
            scope[name] = known
        else:
            self.report(span, f"`{name}` is already defined{_on_line(old)}", self._redefined(name, old, known, scope))

    def _redefined(self, name: str, old: Known, new: Known, scope: Scope) -> str:
        if scope is not self.globals and self.globals.get(name) is old:
            return "names outside the network are seen inside it: choose another name"
        if old.what == "size":
            return "it is the size that data have there: choose another name"
        if old.what == "family" and new.what == "value":
            return f"it is a family: give this one an index too, as in `{name}[…]`, or another name"
        if old.what == "value" and new.what == "value":
            return "a name is given a value once: choose another name, or give all of them an index"
        return "choose another name"

    def define_target(self, target: s.Target, scope: Scope) -> None:
        for index in target.indices:
            self.operand(index, scope)
        old, count = scope.get(target.name), len(target.indices)
        if not count or old is None or old.what != "family":
            known = Known("family" if count else "value", target.span.line, count or None)
            self.define(target.name, target.span, known, scope)
        elif old.count != count:
            self.report(target.span, f"`{target.name}` has {_indices(old.count)}{_on_line(old)}, but {count} here",
                        "all members of a family have the same number of indices")  # fmt: skip

    def name(self, node: s.Name, scope: Scope, callable_: bool = False) -> None:
        name = node.name
        known = scope.get(name)
        if known is not None:
            if known.what == "width" and not self._widths:
                hint = "a width may stand in shapes and in variances; `avg(x)` divides by it"
                self.report(node.span, f"`{name}` is a width, which goes to infinity", hint)
            elif known.what == "def" and not callable_:
                self.report(node.span, f"`{name}` is a function", f"apply it: `{name}(x)`")
            elif known.what == "network" and not callable_:
                self.report(node.span, f"`{name}` is a network", _network_hint(name))
        elif name in CONSTANTS or self.is_lost(name) or self.training.unsure(name):
            return
        elif name in self.builtin:
            self.report(node.span, f"`{name}` is a function", f"apply it: `{name}(x)`")
        elif name not in self._unknown:
            self._unknown.add(name)
            known_names = [*scope, *CONSTANTS, *self.builtin]
            if not self._measure(name, node.span):
                self.report(node.span, f"`{name}` is not defined here", self._where(name, node.span, known_names))

    def _measure(self, name: str, span: Span) -> bool:
        """Speak of an unknown name that is a measure of training, or was meant to be one. Returns whether it is."""
        wrong = self.training.misplaced(name, span, self._kernels)
        if wrong is not None:
            self.report(span, *wrong)
        return wrong is not None

    def _where(self, name: str, span: Span, known: Iterable[str]) -> str | None:
        """What to do about an unknown name."""
        places = self._elsewhere.get(name, [])
        here = self.network and self.network.name
        if (span.line, here) in places:
            return f"it stands in its own definition; a recursion has an index, as in `{name}[l] = … {name}[l-1]`"
        for line, network in places:
            if line > span.line and network in (None, self.network and self.network.name):
                return f"it is defined only on line {line}: move that line up"
        for line, network in places:
            if network == "":
                return f"it is the variable of the loop on line {line}, and has a value only inside"
            if network is not None and (self.network is None or network != self.network.name):
                return f"it is defined inside network `{network}`, on line {line}; such names are not seen outside"
        power = name.rstrip("⁰¹²³⁴⁵⁶⁷⁸⁹")
        if power and power != name:
            return f"powers are written `{power}^2`"
        close = nearest(name, known if self._among is None else self._among)
        if self._widthless and self._otherwise and close and close.lower() == name.lower():
            close = None  # `n` where no width is declared is no slip for `N`
        return f"did you mean `{close}`?" if close else self._otherwise and self._otherwise.format(name=name)

    # ------------------------------------------------------------------------------------------ statements
    def statements(self, block: Sequence[s.Statement], scope: Scope) -> None:
        returned = False
        for statement in block:
            if returned:
                self.report(_keyword_span(statement), "nothing runs after `return`", "put it before, or remove it")
                returned = False
            _STATEMENTS[type(statement)](self, statement, scope)
            returned = isinstance(statement, s.Return) and self.network is not None
            if len(self.diagnostics) >= MAX_MISTAKES:
                return

    def _outermost(self, node: s.Statement, word: str, hint: str) -> None:
        if self.network is not None or self.loops:
            where = "a loop" if self.loops else "a network"
            self.report(_keyword_span(node), f"`{word}` cannot stand inside {where}", hint)

    def const(self, node: s.Const, scope: Scope) -> None:
        self._outermost(node, "const", "write `name = …` here, or put the const above")
        self.value(node.value, scope)
        self.define(node.name, node.name_span, Known("const", node.span.line), scope)

    def def_(self, node: s.Def, scope: Scope) -> None:
        self._outermost(node, "def", "put it above")
        own: Scope = {}
        for parameter, span in zip(node.parameters, node.parameter_spans, strict=True):
            if parameter in own:
                self.report(span, f"two parameters are called `{parameter}`")
            own[parameter] = Known("parameter", None)
        with self.allowing(widths=True), self.locally(scope, own):
            self._defining = node.name
            self.value(node.body, scope)
            self._defining = None
        self.define(node.name, node.name_span, Known("def", node.span.line, len(node.parameters)), scope)

    _defining: str | None = None

    def width(self, node: s.Width, scope: Scope) -> None:
        self._outermost(node, "width", "put it above")
        if node.value is not None:
            with self.allowing(widths=True):
                self.operand(node.value, scope)
        self.define(node.name, node.name_span, Known("width", node.span.line), scope)

    def data(self, node: s.Data, scope: Scope) -> None:
        self._outermost(node, "data", "put it above")
        if isinstance(node.default, s.Call):
            self._generator(node.default, scope)
        elif node.default is not None:
            self.value(node.default, scope)
        self._sizes(node.dims, scope)
        self.define(node.name, node.name_span, Known("data", node.span.line, len(node.dims)), scope)

    def _sizes(self, dims: Sequence[s.Expr], scope: Scope) -> None:
        """Sizes of data or of an input: a new name takes the size it finds."""
        for dim in dims:
            if isinstance(dim, s.Name) and dim.name not in scope and dim.name not in CONSTANTS:
                self.define(dim.name, dim.span, Known("size", dim.span.line), scope)
            else:
                self.operand(dim, scope)

    def _generator(self, node: s.Call, scope: Scope) -> None:
        if node.function not in GENERATORS:
            close = GENERATORS_OTHERWISE.get(node.function.lower()) or nearest(node.function, GENERATORS)
            hint = f"did you mean `{close}`?" if close else f"generators: {', '.join(f'`{g}`' for g in GENERATORS)}"
            self.report(node.name_span, f"there is no generator `{node.function}`", hint)
        words = GENERATORS[node.function].words if node.function in GENERATORS else ()
        for option, argument in (*(("", x) for x in node.arguments), *node.keywords):
            if option in words and isinstance(argument, s.Name) and not self._is_number(argument.name, scope):
                self.report(argument.span, f"the option `{option}` takes a word in quotes",
                            f'write `{option}="{argument.name}"`')  # fmt: skip
            elif not isinstance(argument, s.String):
                self.operand(argument, scope)

    def _is_number(self, name: str, scope: Scope) -> bool:
        """Does a name stand for a number, or may it, its definition being unreadable?"""
        return self.is_lost(name) or (name in scope and scope[name].what in ("const", "value", "size", "loop"))

    def network_(self, node: s.Network, scope: Scope) -> None:
        if self.network is not None or self.loops:
            where = "a loop" if self.loops else "another network"
            self.report(_keyword_span(node), f"a network cannot stand inside {where}", "put it at the left margin")
        inner = dict(scope)
        inputs: Scope = {}
        for input_ in node.inputs:
            self._sizes(input_.dims, inner)
        for input_ in node.inputs:
            if input_.name in inputs:
                self.report(input_.span, f"two inputs are called `{input_.name}`")
                continue
            known = Known("input", input_.span.line, len(input_.dims))
            self.define(input_.name, input_.span, known, inputs)
        outer, self.network, loops, self.loops = self.network, node, self.loops, 0
        inner |= inputs
        self.statements(node.body, inner)
        self.network, self.loops = outer, loops
        self.training.network(node, inner)
        if node.name not in self.lost and not _holds(s.Return, node.body) and "return" not in self.lost:
            self.report(node.name_span, f"the network `{node.name}` returns nothing",
                        "end it with a readout of its features, as in `return v @ x`")  # fmt: skip
        self.define(node.name, node.name_span, Known("network", node.span.line, len(node.inputs)), scope)

    def loop(self, node: s.Loop, scope: Scope) -> None:
        added = self._clause(node.clause, scope)
        self.loops += 1
        self.statements(node.body, scope)
        self.loops -= 1
        if added:
            del scope[node.clause.variable]

    def _clause(self, clause: s.Clause, scope: Scope) -> bool:
        """Bind the variable of a loop. Returns whether it is new, as it should be."""
        self.operand(clause.start, scope)
        self.operand(clause.stop, scope)
        before = scope.get(clause.variable)
        self.define(clause.variable, clause.variable_span, Known("loop", clause.span.line), scope)
        return scope.get(clause.variable) is not before

    def draw(self, node: s.Draw, scope: Scope) -> None:
        if node.keyword == "param" and self.network is None and "param" not in self.lost:
            self.report(_keyword_span(node), "`param` stands only inside a network", "write `random` here")
        with self.allowing(widths=True, otherwise=_UNDECLARED):
            for size in node.shape:
                self.operand(size, scope)
        wrong = misfit_law(node.law)
        if wrong is not None:
            self.report(node.law.span, *wrong)
        else:
            assert isinstance(node.law, s.Call)
            self.value(node.law.arguments[0], scope)
            with self.allowing(widths=True):
                self.value(node.law.arguments[1], scope)
        for target in node.targets:
            self.define_target(target, scope)
        if node.rate is not None:
            self._rate(node, node.rate, scope)

    def _rate(self, node: s.Draw, rate: s.Expr, scope: Scope) -> None:
        if node.keyword != "param":
            self.report(rate.span, "only a `param` has a rate", "what is `random` is not trained")
            return
        with self.allowing(widths=True):
            self.operand(rate, scope)

    def train(self, node: s.Train, scope: Scope) -> None:
        self._outermost(node, "train", "put it at the left margin")
        self.training.block(node, scope)

    def assign(self, node: s.Assign, scope: Scope) -> None:
        self.value(node.value, scope)
        self.define_target(node.target, scope)

    def return_(self, node: s.Return, scope: Scope) -> None:
        if self.network is None:
            if "return" not in self.lost:
                self.report(_keyword_span(node), "`return` stands only inside a network", "`show …` prints a value")
        elif self.loops:
            self.report(_keyword_span(node), "`return` cannot stand inside a loop", "put it after the loop")
        self.value(node.value, scope, lists=True)

    def show(self, node: s.Show, scope: Scope) -> None:
        self._outermost(node, "show", "put it at the left margin; `show x[i] for i in 1..3` shows a list")
        with self.allowing(kernels=True):
            for item in node.items:
                if not self.training.measure(item, scope):
                    self.value(item, scope, lists=True)

    # ------------------------------------------------------------------------------------------ expressions
    def value(self, node: Any, scope: Scope, lists: bool = False) -> None:
        """An expression that may be a list; with `lists`, also one by `for`."""
        if isinstance(node, s.ListOf):
            for item in node.items:
                self.value(item, scope)
        elif isinstance(node, s.Comprehension) and lists:
            added = [clause.variable for clause in node.clauses if self._clause(clause, scope)]
            self.value(node.item, scope)
            for variable in added:
                del scope[variable]
        else:
            self.operand(node, scope)

    def operand(self, node: Any, scope: Scope) -> None:
        _EXPRESSIONS[type(node)](self, node, scope)

    def _number(self, node: s.Number, scope: Scope) -> None:
        pass

    def _string(self, node: s.String, scope: Scope) -> None:
        self.report(node.span, "a string cannot stand here", "strings are options of generators of data")

    def _chain(self, node: s.Chain, scope: Scope) -> None:
        self.operand(node.first, scope)
        for _, operand in node.rest:
            self.operand(operand, scope)

    def _signed(self, node: s.Signed, scope: Scope) -> None:
        self.operand(node.operand, scope)

    def _power(self, node: s.Power, scope: Scope) -> None:
        self.operand(node.base, scope)
        exponent = node.exponent
        if isinstance(exponent, s.Name) and exponent.name == "T" and "T" not in scope and "T" not in self.lost:
            self.report(exponent.span, "`T` is not defined here", "the transpose is written `W.T`")
        else:
            self.operand(exponent, scope)

    def _transposed(self, node: s.Transposed, scope: Scope) -> None:
        self.operand(node.base, scope)

    def _indexed(self, node: s.Indexed, scope: Scope) -> None:
        self.value(node.base, scope)
        with self.allowing(otherwise=None):
            for index in node.indices:
                for part in (index.start, index.stop) if isinstance(index, s.Slice) else (index,):
                    self.operand(part, scope)
        if isinstance(node.base, s.Name):
            self._count_indices(node, node.base.name, scope.get(node.base.name))

    def _count_indices(self, node: s.Indexed, name: str, known: Known | None) -> None:
        given = len(node.indices)
        if known is None or known.count is None:
            if known is not None and known.what in ("size", "loop"):
                self.report(node.span, f"`{name}` has no index: it is {WORDS[known.what]}")
        elif known.what == "family" and given != known.count:
            self.report(node.span, f"`{name}` has {_indices(known.count)}, but {given} {_are(given)} given")
        elif known.what in ("data", "input") and given > known.count:
            self.report(node.span, f"`{name}` has {_indices(known.count)}, but {given} are given")

    def _list_of(self, node: s.ListOf, scope: Scope) -> None:
        self.report(
            node.span, "a list cannot stand here", "arithmetic is on numbers, scalars and vectors, one at a time"
        )

    def _comprehension(self, node: s.Comprehension, scope: Scope) -> None:
        self.report(node.clauses[0].span, "`for` cannot stand here", FOR_STANDS)

    # ------------------------------------------------------------------------------------------ calls
    def _call(self, node: s.Call, scope: Scope) -> None:
        name = node.function
        known = scope.get(name)
        if known is not None and known.what in ("def", "parameter"):
            self._call_def(node, known, scope)
        elif name not in self.builtin and self.is_lost(name):
            self._arguments(node, scope, lists=True)
        elif name in KERNELS:
            self._call_kernel(node, scope)
        elif self.training.unsure(name):
            return
        elif name == "N":
            self.report(node.span, "a law stands only after `~`", "`random x : [n] ~ N(0, 1)` draws from it")
        elif name in OVER_LISTS:
            self._call_over_list(node, scope)
        elif name in self.builtin:
            self._call_function(node, scope)
        else:
            self._call_unknown(node, known, scope)

    def _arguments(self, node: s.Call, scope: Scope, lists: bool = False) -> None:
        for argument in node.arguments:
            if isinstance(argument, s.Name):
                self.name(argument, scope, callable_=True)
            else:
                self.value(argument, scope, lists)

    def _keywords(self, node: s.Call) -> bool:
        if node.keywords:
            self.report(node.span, f"`{node.function}` takes no named arguments", "name its arguments by their places")
        return bool(node.keywords)

    def _call_def(self, node: s.Call, known: Known, scope: Scope) -> None:
        given = len(node.arguments)
        if not self._keywords(node) and known.count is not None and given != known.count:
            self.report(node.span, f"`{node.function}` takes {_count(known.count, 'argument')}, not {given}")
        self._arguments(node, scope)

    def _call_kernel(self, node: s.Call, scope: Scope) -> None:
        name = node.function
        if not self._kernels:
            self.report(node.span, f"`{name}` stands only after `show`", f"`show {name}(f, X)`")
        elif node.keywords or not node.arguments:
            self.report(node.span, f"`{name}` takes a network and its data", f"`{name}(f, X)`")
        else:
            self._kernel_arguments(node, scope)

    def _kernel_arguments(self, node: s.Call, scope: Scope) -> None:
        network, *inputs = node.arguments
        known = scope.get(network.name) if isinstance(network, s.Name) else None
        if known is None or known.what != "network":
            there = [name for name, what in scope.items() if what.what == "network"]
            only = f"the network here is `{there[0]}`" if len(there) == 1 else None
            with self.allowing(otherwise=only, among=there):
                self.operand(network, scope)
            for argument in inputs:
                self.operand(argument, scope)
            return
        assert isinstance(network, s.Name)
        if known.count != len(inputs) and network.name not in self.lost:
            wants = "one input" if known.count == 1 else f"{known.count} inputs"
            given = "none is" if not inputs else f"{len(inputs)} {_are(len(inputs))}"
            call = f"`{node.function}({', '.join([network.name, *'XYZ'[: known.count]])})`"
            self.report(node.span, f"`{network.name}` has {wants}, but {given} given", call)
        data = [name for name, what in scope.items() if what.what == "data"]
        only = f"did you mean `{data[0]}`?" if len(data) == 1 and data[0] not in _names(inputs) else None
        declared = f"the data here are {', '.join(f'`{x}`' for x in data)}" if data else None
        with self.allowing(otherwise=only or declared):
            for argument in inputs:
                self.operand(argument, scope)

    def _call_over_list(self, node: s.Call, scope: Scope) -> None:
        given = len(node.arguments)
        if not self._keywords(node) and given != 1:
            self.report(node.span, f"`{node.function}` takes 1 argument, not {given}",
                        f"`{node.function}(x[i] for i in 1..3)` goes over a range")  # fmt: skip
        for argument in node.arguments:
            self.value(argument, scope, lists=True)

    def _call_function(self, node: s.Call, scope: Scope) -> None:
        given = len(node.arguments)
        wants = (self.functions or {}).get(node.function)
        listed = any(isinstance(argument, s.Comprehension) for argument in node.arguments)
        if not self._keywords(node) and not listed and wants is not None and given != wants:
            self.report(node.span, f"`{node.function}` takes {_count(wants, 'argument')}, not {given}")
        for argument in node.arguments:
            self.operand(argument, scope)

    def _call_unknown(self, node: s.Call, known: Known | None, scope: Scope) -> None:
        name = node.function
        if known is not None and known.what == "network":
            self.report(node.name_span, f"`{name}` is a network", _network_hint(name))
        elif known is not None:
            self.report(node.name_span, f"`{name}` is {WORDS[known.what]}, not a function",
                        f"a product is written `{name} * (…)`, an index `{name}[…]`")  # fmt: skip
        elif name == self._defining:
            hint = "a def cannot use itself; a family can use its earlier members: `h[l] = phi(h[l-1])` in a loop"
            self.report(node.name_span, f"`{name}` calls itself", hint)
        elif self._defining and self._defining in self._reached(name):
            hint = "definitions may use only those above them"
            self.report(node.name_span, f"`{self._defining}` and `{name}` call one another", hint)
        elif self.functions is not None and name not in self._unknown:
            self._unknown.add(name)
            if self._measure(name, node.name_span):
                return  # its arguments are names inside a network
            self.report(node.name_span, f"there is no function `{name}`", self._function_hint(name, node.span, scope))
        self._arguments(node, scope, lists=True)

    def _reached(self, name: str) -> set[str]:
        """The defs that a call of a def leads to."""
        found: set[str] = set()
        queue = [name]
        while queue:
            new = self._calls.get(queue.pop(), set()) - found
            found |= new
            queue += new
        return found

    def _function_hint(self, name: str, span: Span, scope: Scope) -> str | None:
        if name in FUNCTIONS_OTHERWISE:
            return FUNCTIONS_OTHERWISE[name]
        if name in GENERATORS:
            return f"`{name}` makes data: `data X[N, d] = {name}(…)`"
        return self._where(name, span, [*self.builtin, *(k for k, v in scope.items() if v.what == "def")])


def _holds(kind: type, block: Sequence[s.Statement]) -> bool:
    """Is there a statement of a kind in a block, or in a block inside it?"""
    return any(isinstance(x, kind) or (isinstance(x, (s.Loop, s.Network)) and _holds(kind, x.body)) for x in block)


def _names(nodes: Iterable[s.Expr]) -> set[str]:
    return {x.name for x in nodes if isinstance(x, s.Name)}


def _keyword_span(node: s.Statement) -> Span:
    """The first word of a statement."""
    words = {s.Const: "const", s.Def: "def", s.Width: "width", s.Data: "data", s.Network: "network", s.Loop: "for",
             s.Train: "train", s.Return: "return", s.Show: "show"}  # fmt: skip
    if isinstance(node, s.Assign):
        return node.target.span
    word = node.keyword if isinstance(node, s.Draw) else words[type(node)]
    return Span(node.span.line, node.span.column, node.span.line, node.span.column + len(word))


def _network_hint(name: str) -> str:
    return f"`show nngp({name}, X)` and `show ntk({name}, X)` evaluate it on data"


def _on_line(known: Known) -> str:
    return "" if known.line is None else f" on line {known.line}"


def _indices(count: int | None) -> str:
    return "1 index" if count == 1 else f"{count} indices"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_STATEMENTS: dict[type, Callable[[Checker, Any, Scope], None]] = {
    s.Const: Checker.const, s.Def: Checker.def_, s.Width: Checker.width, s.Data: Checker.data,
    s.Network: Checker.network_, s.Loop: Checker.loop, s.Train: Checker.train, s.Draw: Checker.draw, s.Assign: Checker.assign,
    s.Return: Checker.return_, s.Show: Checker.show,
}  # fmt: skip

_EXPRESSIONS: dict[type, Callable[[Checker, Any, Scope], None]] = {
    s.Number: Checker._number, s.String: Checker._string, s.Name: Checker.name, s.Chain: Checker._chain,
    s.Signed: Checker._signed, s.Power: Checker._power, s.Indexed: Checker._indexed,
    s.Transposed: Checker._transposed, s.Call: Checker._call, s.ListOf: Checker._list_of,
    s.Comprehension: Checker._comprehension,
}  # fmt: skip
