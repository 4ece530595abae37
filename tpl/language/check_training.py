"""Names and structure of training: the settings of a `train` block, and its measures after `show`.

The words are those of `training_words`. Values (is `steps` a whole number?) are left to elaboration.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tpl.language import syntax as s
from tpl.language import training_words as words
from tpl.language.foreign import LOSSES_OTHERWISE, MEASURES_OTHERWISE, PARAMETRIZATIONS_OTHERWISE, SETTINGS_OTHERWISE
from tpl.language.scopes import WORDS, Known, Scope
from tpl.language.source import Span, nearest

if TYPE_CHECKING:
    from tpl.language.check import Checker

_EXAMPLES = {"loss": "loss = (f - y)^2 / 2", "rate": "rate = 0.5", "steps": "steps = 100"}
_PARAMETRIZATION = "`mup`, `ntp`, `sp`, `ip`, or `abc(a=…, b=…, c=…)`"
_HEADING = "train f on X, y:"


class TrainingCheck:
    """What a checker asks about training. `trained`: the first `train` block so far."""

    def __init__(self, checker: "Checker", file: s.File):
        self.checker = checker
        self.trained: s.Train | None = None
        self._insides: dict[str, tuple[s.Network, Scope]] = {}  # the names inside each network
        self._lines = sorted(x.span.line for x in s.walk(file) if isinstance(x, s.Train))

    def network(self, node: s.Network, scope: Scope) -> None:
        """Remember the names inside a network, for its measures."""
        loops = {x.variable: Known("loop", x.span.line) for x in _clauses(node.body)}
        self._insides[node.name] = node, {**scope, **loops}

    # ------------------------------------------------------------------------------------------ the block
    def block(self, node: s.Train, scope: Scope) -> None:
        if self.trained is not None:
            self.checker.report(Span(*node.span[:3], node.span.column + len("train")),
                                "a program has one `train` block", f"the first is on line {self.trained.span.line}")  # fmt: skip
            return
        if node.targets.name != "?":  # else the heading could not be read
            self._network(node, scope)
            if node.network not in self._insides:
                node = replace(node, network="?")  # what was meant is not known: nothing more is said of it
        self.trained = node
        for name in (*node.inputs, node.targets):
            self._data(name, scope)
        self._settings(node, scope)

    def _network(self, node: s.Train, scope: Scope) -> None:
        known, given = scope.get(node.network), len(node.inputs)
        if known is None:
            there = [name for name, what in scope.items() if what.what == "network"]
            only = f"the network here is `{there[0]}`" if len(there) == 1 else None
            with self.checker.allowing(otherwise=only, among=there):
                self.checker.name(s.Name(node.network, node.network_span), scope)
        elif known.what != "network":
            close = _nearest_of("network", node.network, scope)
            self.checker.report(node.network_span, f"`{node.network}` is {WORDS[known.what]}, not a network", close)
        elif known.count != given and not self._unread():
            wants = "one input" if known.count == 1 else f"{known.count} inputs"
            example = ", ".join("XYZ"[: known.count or 1])
            self.checker.report(_around(node.inputs), f"`{node.network}` has {wants}, but {given} {'is' if given == 1 else 'are'} given",
                                f"the targets come last: `train {node.network} on {example}, y:`")  # fmt: skip

    def _data(self, name: s.Name, scope: Scope) -> None:
        known = scope.get(name.name)
        if known is None:
            self.checker.name(name, scope)
        elif known.what != "data":
            self.checker.report(name.span, f"`{name.name}` is {WORDS[known.what]}, not data",
                                _nearest_of("data", name.name, scope) or "data are declared as `data y[N] = …`")  # fmt: skip

    def _settings(self, node: s.Train, scope: Scope) -> None:
        lines: dict[str, int] = {}
        for setting in node.settings:
            name = setting.name
            if name not in words.SETTINGS:
                lines |= self._unknown(setting)
            elif name in lines:
                self.checker.report(setting.name_span, f"`{name}` is already set on line {lines[name]}")
            else:
                lines[name] = setting.span.line
                _VALUES[name](self, setting.value, node, scope)
        for name in words.REQUIRED:
            if name not in lines and not self._unread():
                self.checker.report(
                    node.span, f"this train block sets no `{name}`", f"for instance `{_EXAMPLES[name]}`"
                )

    def _unknown(self, setting: s.Setting) -> dict[str, int]:
        """Report a setting that there is not. Returns the one that was meant, with its line."""
        close, hint = SETTINGS_OTHERWISE.get(setting.name, (nearest(setting.name, words.SETTINGS), None))
        if hint is None:
            hint = f"did you mean `{close}`?" if close else f"settings: {_quoted(words.SETTINGS)}"
        self.checker.report(setting.name_span, f"there is no setting `{setting.name}`", hint)
        return {close: setting.span.line} if close else {}

    def _unread(self) -> bool:
        """Is there a line that could not be read? It may have held whatever is missing."""
        return self.checker.is_lost("?")

    # ------------------------------------------------------------------------------------------ values of settings
    def _plain(self, value: s.Expr, node: s.Train, scope: Scope) -> None:
        self.checker.operand(value, scope)

    def _batch(self, value: s.Expr, node: s.Train, scope: Scope) -> None:
        if isinstance(value, s.Name) and value.name in ("full", "all") and value.name not in scope:
            self.checker.report(value.span, "`batch` is a number of examples", "without it a step takes all of them")
        else:
            self.checker.operand(value, scope)

    def _scheduled(self, value: s.Expr, node: s.Train, scope: Scope) -> None:
        with self.checker.locally(scope, {words.STEP: Known("value", None)}):
            self.checker.operand(value, scope)

    def _loss(self, value: s.Expr, node: s.Train, scope: Scope) -> None:
        if "?" in (node.targets.name, node.network):
            return
        head = value.function if isinstance(value, s.Call) else value.name if isinstance(value, s.Name) else None
        if head is not None and self._is_loss(head, scope):
            self._named_loss(value, head, node, scope)
            return
        misplaced = self._misplaced(value, node, scope)
        if misplaced is not None:
            self.checker.report(*misplaced)
            return
        with self.checker.locally(scope, _on_an_example(node)):
            self.checker.operand(value, scope)

    def _is_loss(self, name: str, scope: Scope) -> bool:
        """Is it the name of a loss, or was it meant to be one?"""
        if name in scope or name in self.checker.builtin:
            return False
        return name in words.LOSSES or name in LOSSES_OTHERWISE or nearest(name, words.LOSSES) is not None

    def _named_loss(self, value: s.Expr, name: str, node: s.Train, scope: Scope) -> None:
        f, y = node.network, node.targets.name
        if name not in words.LOSSES:
            close = LOSSES_OTHERWISE.get(name, nearest(name, words.LOSSES))
            hint = f"write `loss = {close}({f}, {y})`" if close in words.LOSSES else close
            self.checker.report(value.span, f"there is no loss `{name}`", hint)
        elif not isinstance(value, s.Call) or value.keywords or len(value.arguments) != words.LOSSES[name]:
            hint = f"write `loss = {name}({f}, {y})`"
            self.checker.report(value.span, f"`{name}` takes the outputs and the targets", hint)
        else:
            with self.checker.locally(scope, _on_an_example(node)):
                for argument in value.arguments:
                    self.checker.operand(argument, scope)

    def _misplaced(self, loss: s.Expr, node: s.Train, scope: Scope) -> tuple[Span, str, str] | None:
        """What cannot stand in a loss: span, message and hint."""
        f, y = node.network, node.targets.name
        example = f"for instance `loss = ({f} - {y})^2 / 2`"
        names = set()
        for x in s.walk(loss):
            if isinstance(x, s.Call) and x.function == f:
                hint = f"write `{f}`, or `{f}[j]` where there are several"
                return x.span, f"in a loss, `{f}` is the output itself, not a function", hint
            if isinstance(x, s.Call) and x.function in words.LOSSES and x.function not in scope:
                hint = f"write `loss = {x.function}({f}, {y})`; a factor belongs to the rate"
                return x.name_span, f"`{x.function}` is a loss, and stands alone", hint
            if isinstance(x, s.Name):
                names.add(x.name)
                if x.name in {z.name for z in node.inputs} - {y}:
                    message = f"a loss compares outputs and targets: `{x.name}` cannot stand here"
                    return x.span, message, f"`{f}` is the output on an example, `{y}` its target"
        return None if f in names or self._unread() else (loss.span, f"this loss does not depend on `{f}`", example)

    def _parametrization(self, value: s.Expr, node: s.Train, scope: Scope) -> None:
        if isinstance(value, s.Call) and value.function == words.ABC:
            given = [name for name, _ in value.keywords]
            if value.arguments or sorted(given) != sorted(words.ABC_EXPONENTS):
                self.checker.report(value.span, "`abc` takes the exponents `a`, `b` and `c`, by name",
                                    "one number each, or a list for input, hidden and readout weights: "
                                    "`abc(a=0, b=[0, 1/2, 1/2], c=1)`")  # fmt: skip
            for _, exponents in value.keywords:
                self.checker.value(exponents, scope)
                if isinstance(exponents, s.ListOf) and len(exponents.items) != 3:
                    self.checker.report(exponents.span, f"three exponents are wanted, not {len(exponents.items)}",
                                        "for input, hidden and readout weights")  # fmt: skip
            return
        self._word(value, words.PARAMETRIZATIONS, PARAMETRIZATIONS_OTHERWISE, "parametrization", _PARAMETRIZATION)

    def _order(self, value: s.Expr, node: s.Train, scope: Scope) -> None:
        if isinstance(value, s.Call) and value.function == words.SHUFFLED:
            named = dict(value.keywords)
            if list(named) == ["seed"] and not value.arguments:
                self.checker.operand(named["seed"], scope)
                return
        shuffled = f"{words.SHUFFLED}(seed=0)"
        others = dict.fromkeys((words.SHUFFLED, "shuffle", "permuted"), shuffled)
        self._word(value, (words.GIVEN,), others, "order", f"`{words.GIVEN}` or `{shuffled}`")

    def _start(self, value: s.Expr, node: s.Train, scope: Scope) -> None:
        self._word(value, (words.ZERO, words.GP), {}, "start", f"`{words.ZERO}` or `{words.GP}`")

    def _word(
        self, value: s.Expr, allowed: Iterable[str], otherwise: dict[str, str], setting: str, choices: str
    ) -> None:
        """The value of a setting that is one of a few words."""
        if isinstance(value, s.Name) and value.name in allowed:
            return
        name = value.name if isinstance(value, s.Name) else value.function if isinstance(value, s.Call) else ""
        meant = otherwise.get(name) or nearest(name, allowed)
        hint = f"did you mean `{meant}`?" if meant else None
        self.checker.report(value.span, f"`{setting}` is {choices}", hint)

    def _test(self, value: s.Expr, node: s.Train, scope: Scope) -> None:
        given = value.items if isinstance(value, s.ListOf) else ()
        count = len(node.inputs)
        if len(given) not in (count, count + 1) or not all(isinstance(x, s.Name) for x in given):
            inputs = ", ".join(f"{x.name}t" for x in node.inputs)
            self.checker.report(value.span, "`test` is a list of data: the inputs, and the targets if there are any",
                                f"for instance `test = [{inputs}, {node.targets.name}t]`")  # fmt: skip
            return
        for name in given:
            assert isinstance(name, s.Name)
            self._data(name, scope)

    # ------------------------------------------------------------------------------------------ measures
    def measure(self, node: s.Expr, scope: Scope) -> bool:
        """Check what stands after `show` if it is a measure. Returns whether it is one."""
        found = _call_of(node.item if isinstance(node, s.Comprehension) else node)
        if found is None or self.trained is None:
            return False
        name, arguments = found
        wants = words.measures(self.trained.network).get(name)
        known = scope.get(name)
        if wants is None or (known is not None and known.what != "network"):
            return self.trained.network == "?" and (known is None or known.what == "network")
        if isinstance(node, s.Comprehension):
            self.checker.report(node.clauses[0].span, "a measure goes through all values of a free index by itself",
                                "leave out the `for`")  # fmt: skip
        elif (isinstance(node, s.Call) and node.keywords) or len(arguments or ()) != wants:
            self._count(node, name, wants, len(arguments or ()))
        elif wants == 0 and arguments is not None:
            self._count(node, name, wants, 0)
        elif self._needs(name):
            self.checker.report(node.span, f"`{name}` needs {self._needs(name)}", "for instance `test = [Xt, yt]`")
        elif name in words.OF_GRAMS:
            self._of_gram(name, arguments[0])  # type: ignore[index]
        elif wants:
            self._inside(name, arguments[0])  # type: ignore[index]
        return True

    def _count(self, node: s.Expr, name: str, wants: int, given: int) -> None:
        if wants == 0:
            self.checker.report(node.span, f"the measure `{name}` takes no arguments", f"write `show {name}`")
        else:
            example = f"{name}(gram(x))" if name in words.OF_GRAMS else f"{name}(x)"
            self.checker.report(node.span, f"the measure `{name}` takes 1 argument, not {given}",
                                f"for instance `show {example}`")  # fmt: skip

    def _needs(self, name: str) -> str | None:
        """What a measure on test data lacks."""
        assert self.trained is not None
        if name not in (*words.WITH_TEST, words.test_outputs(self.trained.network)) or self._unread():
            return None
        test = next((x.value for x in self.trained.settings if x.name == "test"), None)
        if test is None and any(x.name not in words.SETTINGS for x in self.trained.settings):
            return None  # a setting that there is not may have been meant for it
        if test is None:
            return "test data: the train block sets no `test`"
        alone = isinstance(test, s.ListOf) and len(test.items) == len(self.trained.inputs)
        return "targets of the test data" if name in words.WITH_TEST and alone else None

    def _of_gram(self, name: str, argument: Any) -> None:
        found = _call_of(argument)
        if found is None or found[0] not in words.GRAMS:
            self.checker.report(argument.span, f"`{name}` takes one of {_quoted(words.GRAMS)}",
                                f"for instance `{name}(gram(x))`")  # fmt: skip
        elif len(found[1] or ()) != 1:
            self._count(argument, found[0], 1, len(found[1] or ()))
        else:
            self._inside(found[0], argument.arguments[0])

    def _inside(self, name: str, argument: Any) -> None:
        """The argument of a measure: an expression over the names inside the network, its loop indices among them."""
        assert self.trained is not None
        for x in s.walk(argument):
            if isinstance(x, s.Call) and x.function in words.measures(self.trained.network):
                self.checker.report(x.span, f"`{x.function}` cannot stand inside `{name}`",
                                    f"`{name}` takes a vector of the network `{self.trained.network}`")  # fmt: skip
                return
        if self.trained.network in self._insides:
            network, scope = self._insides[self.trained.network]
            drawn = {x.name for d in s.walk(network) if isinstance(d, s.Draw) for x in d.targets}
            there = [k for k, known in scope.items() if known.what in ("value", "family") and k not in drawn]
            known = f"`{network.name}` has {', '.join(f'`{k}`' for k in there)}" if there else None
            with self.checker.inside(network), self.checker.allowing(otherwise=known):
                self.checker.operand(argument, scope)

    def unsure(self, name: str) -> bool:
        """May it be a measure of a `train` block that could not be read?"""
        return self.trained is None and self._unread() and name in self._measures()

    def _measures(self) -> set[str]:
        """All measures but the outputs, by the names of all networks so far."""
        return {x for f in self._insides or ("",) for x in words.measures(f) if x != f}

    def misplaced(self, name: str, span: Span, shown: bool) -> tuple[str, str] | None:
        """Message and hint where the name of a measure stands and is none."""
        if name not in self._measures():
            return self._misspelt(name) if shown and self.trained is not None else None
        if self.trained is not None:
            return f"the measure `{name}` stands alone after `show`", f"write `show {_example(name)}`"
        if not shown:
            return None
        below = next((line for line in self._lines if line > span.line), None)
        where = f"put it below the `train` block of line {below}" if below else f"put it below a block `{_HEADING}`"
        return f"`{name}` measures training", where

    def _misspelt(self, name: str) -> tuple[str, str] | None:
        assert self.trained is not None
        f = self.trained.network
        close = MEASURES_OTHERWISE.get(name) or nearest(name, [x for x in words.measures(f) if x != f])
        return (f"there is no measure `{name}`", f"did you mean `{close}`?") if close else None


_VALUES: dict[str, Callable[[TrainingCheck, Any, s.Train, Scope], None]] = {
    "parametrization": TrainingCheck._parametrization, "loss": TrainingCheck._loss, "order": TrainingCheck._order,
    "test": TrainingCheck._test, "start": TrainingCheck._start,
    "batch": TrainingCheck._batch, **dict.fromkeys(("steps", "record"), TrainingCheck._plain),
    **dict.fromkeys(words.SCHEDULED, TrainingCheck._scheduled),
}  # fmt: skip


def _clauses(body: Iterable[s.Statement]) -> Iterator[s.Clause]:
    """The headings of the loops in a block, and in blocks inside it."""
    for x in body:
        if isinstance(x, s.Loop):
            yield x.clause
            yield from _clauses(x.body)


def _on_an_example(node: s.Train) -> Scope:
    """What the network's name and the targets' name mean in a loss."""
    return dict.fromkeys((node.network, node.targets.name), Known("value", None))


def _call_of(node: s.Expr) -> tuple[str, tuple[s.Expr, ...] | None] | None:
    """A call's function and arguments; of a name, the name and None."""
    if isinstance(node, s.Call):
        return node.function, node.arguments
    return (node.name, None) if isinstance(node, s.Name) else None


def _example(name: str) -> str:
    if name in words.OF_GRAMS:
        return f"{name}(gram(x))"
    return f"{name}(x)" if name in words.OF_VECTORS else name


def _nearest_of(what: str, name: str, scope: Scope) -> str | None:
    close = nearest(name, [x for x, known in scope.items() if known.what == what])
    return f"did you mean `{close}`?" if close else None


def _around(names: tuple[s.Name, ...]) -> Span:
    return Span(*names[0].span[:2], *names[-1].span[2:])


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{x}`" for x in names)
