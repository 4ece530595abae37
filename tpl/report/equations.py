"""The equations of a derivation as formulas of a style: letters for indices, sums, expectations, closed forms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy

from tpl.core.expr import Expr, leaves, substitute
from tpl.limit.algebra import constant_symbol, to_sympy
from tpl.limit.derive import Answer, Derivation
from tpl.limit.formulas import LONGEST, LONGEST_NOTED, in_symbols, source_of
from tpl.limit.frame import Frame
from tpl.limit.naming import Named, Variable
from tpl.limit.recursion import Rule
from tpl.report.letters import Letters
from tpl.report.styles import Style

_GAUSSIAN = "uvwz"
_SECOND = "csmb"  # the covariances among them: written first
_LAST = "zum"  # sums come last in a product
_COVARIANCE = (("q", "c"), ("r", "s"), ("p", "m"), ("a", "b"))  # letters of covariances in closed forms


@dataclass(frozen=True)
class Formula:
    """left = right; `where` says what the letters in it mean, `condition` for which indices it holds."""

    left: str
    right: str
    where: tuple[str, ...] = ()
    condition: str = ""


@dataclass(frozen=True)
class Used:
    """A closed form that stands in place of an expectation, or below the equations: what it says, where it comes from."""

    left: str
    right: str
    source: str


# ---------------------------------------------------------------------------------------------- formulas


class Writer:
    """Writes the equations of one derivation in one style. `used`: the closed forms, those put in and those too long for it."""

    def __init__(self, derivation: Derivation, style: Style):
        self.derivation = derivation
        self.style = style
        self.used: dict[str, Used] = {}

    def rule(self, rule: Rule) -> Formula:
        letters = Letters(self.derivation, rule.frame, bool(rule.region), rule.policy, rule.region)
        equation = _Equation(self, letters)
        right = equation.value(rule.right)
        condition = letters.condition(rule) if rule.region else ""
        return Formula(equation.named(rule.left), right, tuple(equation.where), condition)

    def answer(self, answer: Answer) -> list[Formula]:
        formulas = []
        for k, (index, value) in enumerate(answer.entries):
            equation = _Equation(self, Letters(self.derivation, Frame(self.derivation.axes), False))
            right = equation.value(value)
            if k < len(answer.exact) and answer.exact[k] is not None and answer.exact[k] != value:
                exact = self.style.arithmetic(answer.exact[k], {})
                right = right if exact == right else right + self.style.equal + exact
            left = answer.name
            if answer.kernel:
                of = "a, b" if self.derivation.axes.outputs else "ξ, ξ′"
                left = f"{left.partition('(')[0].upper()}({of})"
            if index:
                left += f" [{', '.join(map(str, index))}]"
            formulas.append(Formula(self.style.constant("@" + left), right, tuple(equation.where)))
        return formulas


class _Equation:
    """One equation on its way to text: the letters taken so far, and what they stand for."""

    def __init__(self, writer: Writer, letters: Letters):
        self.writer = writer
        self.derivation = writer.derivation
        self.style = writer.style
        self.letters = letters
        self.where: list[str] = []
        self._variables: dict[str, tuple[str, ...]] = {}  # a law, written -> the letters drawn from it
        self._covariances: dict[str, tuple[str, ...]] = {}

    # ------------------------------------------------------------------------------------------ symbols
    def named(self, named: Named) -> str:
        named = self.letters.frame.oriented(named)
        written = self.letters.of(named)
        sides = [s for s in (named.left, named.right) if s is not None]
        inputs = [_input_name(s, bool(self.derivation.axes.outputs)) for s in sides]
        if named.kind == "gram":
            bases = [i if s.base == "ξ" else self.style.name(s.base) for i, s in zip(inputs, sides, strict=True)]
            names = [self.style.named_input(i, w) for i, w in zip(bases, written, strict=True)]
            return self.style.gram(*names)
        if named.kind == "entry":
            return self.style.named_input(self.style.name(named.base), written[0])
        if named.kind == "scalar":
            return self.style.kernel(named.base, ",".join(written[0]), inputs[0])
        base = "K_" + (
            named.base if named.right is None or named.right.base == named.base else f"{named.base},{sides[1].base}"
        )
        return self.style.kernel(base, _both(written), ", ".join(i for i in inputs if i))

    def value(self, value: Any) -> str:
        """An expression over named symbols, expectations and sums, as text of the style."""
        terms = sympy.Add.make_args(value)
        last = [t for t in terms if self._holds_sum(t)]
        if len(terms) == 1 or not last:
            return self._arithmetic(value)
        parts = [self._arithmetic(sympy.Add(*(t for t in terms if t not in last)))] if len(last) < len(terms) else []
        for term in sorted(last, key=sympy.default_sort_key):
            negative = term.could_extract_minus_sign()
            if parts:
                parts.append(self.style.minus if negative else self.style.plus)
            parts.append(self._arithmetic(-term if negative and len(parts) > 0 else term))
        return "".join(parts)

    def _holds_sum(self, value: Any) -> bool:
        return any(self.derivation.folder.sum_of(x) is not None for x in value.atoms(sympy.core.function.AppliedUndef))

    def _arithmetic(self, value: Any) -> str:
        factors = sympy.Mul.make_args(value)
        sums = [f for f in factors if self.derivation.folder.sum_of(f) is not None]
        if len(sums) == 1:
            rest = sympy.Mul(*(f for f in factors if f not in sums))
            head = "" if rest == 1 else self._arithmetic(rest)
            return self.style.product(self.style.grouped(head) if rest.is_Add else head, self._sum(sums[0]))
        table: dict[Any, str] = {}
        return self.style.arithmetic(self._replace(value, table), table)

    def _replace(self, value: Any, table: dict[Any, str]) -> Any:
        known = self.derivation.names.named.get(value)
        if known is not None:
            return _token(table, self.named(known))
        name = type(value).__name__
        if isinstance(value, sympy.core.function.AppliedUndef) and name[1:].isdigit():
            if name[0] == "E":
                return self._expectation(value, table)
            return _token(table, self._sum(value), _LAST)
        if not value.args:
            return value
        return value.func(*(self._replace(a, table) for a in value.args))

    def _sum(self, value: Any) -> str:
        found = self.derivation.folder.sum_of(value)
        assert found is not None
        outside = set(self.letters.used)
        condition = self.letters.name_sum(found)
        text = self.value(found.term)
        self.letters.used = outside
        return self.style.big_sum(condition, self.style.grouped(text) if found.term.is_Add else text)

    # ------------------------------------------------------------------------------------------ expectations
    def _expectation(self, value: Any, table: dict[Any, str]) -> Any:
        """In closed form, if that is short, else as E[…]."""
        integrand = self.derivation.integrands[int(type(value).__name__[1:])]
        size = len(leaves(integrand, "ref"))
        count = size * (size + 1) // 2
        entries, parameters = value.args[:count], value.args[count:]
        closed = self._closed_form(integrand, entries, parameters, table)
        return closed if closed is not None else _token(table, self._plain(integrand, size, entries, parameters))

    def _plain(self, integrand: Expr, size: int, entries: tuple, parameters: tuple) -> str:
        law = tuple(self.value(x) for x in entries)
        names = self._variables.get("; ".join(law))
        if names is None:
            names = self._variables["; ".join(law)] = _variables(size, len(self._variables))
            self.where.append(self._law(names, entries, law))
        return self.style.expectation(self._inside(integrand, names, parameters))

    def _inside(self, integrand: Expr, names: Sequence[str], parameters: tuple) -> str:
        table: dict[Any, str] = {sympy.Symbol(f"var{i}x", real=True): n for i, n in enumerate(names)}
        inside = {}
        for k, p in enumerate(parameters):
            text = self.value(p)
            inside[sympy.Symbol(f"par{k}x", real=True)] = _token(table, f"({text})" if p.is_Add else text)
        return self.style.arithmetic(_by_name(to_sympy(_with_symbols(integrand))).xreplace(inside), table)

    def _law(self, names: Sequence[str], entries: tuple, law: tuple[str, ...]) -> str:
        """What (u, u′) is drawn from."""
        joined = ", ".join(names)
        style, named = self.style, self.derivation.names.named
        if len(names) == 1:
            return style.law(names[0], law[0])
        if len(names) == 2 and _is_family(self.derivation, entries):
            if entries[1] in named:
                return style.law(f"({joined})", law[1])
            return style.covariance(names[0], names[1], law[1])
        pairs = [(i, j, i * (i + 1) // 2 + j) for i in range(len(names)) for j in range(i + 1)]
        return style.comma.join(style.covariance(names[i], names[j], law[k]) for i, j, k in pairs if entries[k] != 0)

    # ------------------------------------------------------------------------------------------ closed forms
    def _closed_form(self, integrand: Expr, entries: tuple, parameters: tuple, table: dict[Any, str]) -> Any | None:
        """The closed form over letters for the covariance, which `where` explains; exact over numbers."""
        if all(e.is_number for e in entries) and not parameters:
            return in_symbols(integrand, entries, _constants(self.derivation))
        size = len(leaves(integrand, "ref"))
        if len(entries) not in (1, 3):
            return None
        letters = _covariance_symbols(len(entries))
        inside = {f"quantity {k}": sympy.Symbol(f"par{k}x", positive=True) for k in range(len(parameters))}
        constants = _constants(self.derivation)
        value = in_symbols(integrand, tuple(letters), constants | inside)
        length = 0 if value is None else sympy.count_ops(value)
        if value is None or length > LONGEST_NOTED:
            return None
        if length > LONGEST:
            self._note(integrand, size, len(parameters), value)
            return None
        names = self._covariance_letters(entries)
        if names is None:
            return None
        exchange: dict[Any, Any] = {s: constant_symbol(n) for n, s in constants.items()}
        for s, n in sorted(zip(letters, names, strict=True), key=lambda x: x[1][0] not in _SECOND):
            exchange[s] = _token(table, n)
        letter_of = dict(zip(entries, names, strict=True))
        for k, p in enumerate(parameters):
            text = letter_of[p] if p in letter_of else self.value(p)
            exchange[inside[f"quantity {k}"]] = _token(table, f"({text})" if p.is_Add else text)
        self._note(integrand, size, len(parameters), value)
        return value.xreplace(exchange)

    def _covariance_letters(self, entries: tuple) -> tuple[str, ...] | None:
        """q, c, q′ for the covariance of an expectation; the same again for the same one."""
        law = tuple(self.value(x) for x in entries)
        known = self._covariances.get("; ".join(law))
        if known is not None:
            return known
        taken = self.letters.used | {str(x) for x in _constants(self.derivation)}
        if self.letters.general:
            taken |= {self.letters.place(p) for p in self.letters.frame.places}
        taken |= {x for names in self._covariances.values() for x in names}
        pair = next((p for p in _COVARIANCE if not taken & {*p}), None)
        if pair is None:
            return None
        names = (pair[0],) if len(entries) == 1 else (pair[0], pair[1], pair[0] + "′")
        self._covariances["; ".join(law)] = names
        order = (0, 2, 1) if len(entries) == 3 else (0,)
        self.where.append(self.style.comma.join(self.style.equals(names[i], law[i]) for i in order))
        return names

    def _note(self, integrand: Expr, size: int, parameters: int, value: Any) -> None:
        """Remember a closed form for the list at the end."""
        names = _variables(size, 0)
        letters = ("q", "c", "q′") if size == 2 else ("q",)
        table = {sympy.Symbol(f"var{i}x", real=True): n for i, n in enumerate(names)}
        table |= dict(zip(_covariance_symbols(len(letters)), letters, strict=True))
        shown = _by_name(to_sympy(_with_symbols(integrand)))
        given = {}
        for k in range(parameters):
            given[sympy.Symbol(f"par{k}x", real=True)] = given[sympy.Symbol(f"par{k}x", positive=True)] = _token(
                table, f"θ_{k + 1}"
            )
        left = self.style.expectation(self.style.arithmetic(shown.xreplace(given), table))
        right = self.style.arithmetic(value.xreplace(given), table)
        self.writer.used.setdefault(left, Used(left, right, source_of(integrand, size)))


def _covariance_symbols(entries: int) -> list[Any]:
    """Symbols for q, c, q′, such that c comes first in the order of terms."""
    return [sympy.Symbol(f"cov{i}x", positive=True) for i in (1, 0, 2)][:entries]


def _both(written: Sequence[Sequence[str]]) -> str:
    """The indices of both vectors, those that agree once."""
    if len(written) == 1 or len(written[0]) != len(written[1]):
        return ",".join(x for side in written for x in side)
    left, right = written
    if list(left) == list(right):
        return ",".join(left)
    return ",".join(a if a == b and k == 0 and len(left) > 1 else f"{a},{b}" for k, (a, b) in enumerate(zip(left, right, strict=True)))  # fmt: skip


def _input_name(side: Variable, outputs: bool) -> str:
    """What a quantity belongs to: an input, or an output of the only one."""
    if outputs and side.input:
        return " ab"[side.input]
    return {0: "ξ" if side.base == "ξ" else "", 1: "ξ", 2: "ξ′"}[side.input]


def _token(table: dict[Any, str], text: str, kind: str = "tok") -> Any:
    """A symbol that stands for a text until arithmetic is written, which orders factors by their kind."""
    for symbol, known in table.items():
        if known == text:
            return symbol
    symbol = sympy.Symbol(f"{kind}{len(table)}x", positive=True)
    table[symbol] = text
    return symbol


def _is_family(derivation: Derivation, entries: tuple) -> bool:
    """Are the variances the covariance at equal inputs?"""
    return all(_at_one_input(derivation, entries[1], side) == entries[k] for side, k in ((0, 0), (1, 2)))


def _at_one_input(derivation: Derivation, value: Any, side: int) -> Any:
    names = derivation.names

    def one(named: Named) -> Any:
        if named.right is None:
            return names.symbol(named)
        kept = (named.left, named.right)[side]
        return names.symbols.get(replace(named, left=kept, right=kept), sympy.nan)

    return value.xreplace({s: one(names.named[s]) for s in value.free_symbols if s in names.named})


def _constants(derivation: Derivation) -> dict[str, Any]:
    """The constants that a formula may hold, by name; what is positive is known to be."""
    values = derivation.program.constant_values().items()
    return {n: sympy.Symbol(n, positive=True) if v > 0 and n != "pi" else constant_symbol(n) for n, v in values}


def _variables(size: int, taken: int) -> tuple[str, ...]:
    letter = _GAUSSIAN[taken] if taken < len(_GAUSSIAN) else f"u{taken}"
    if size <= 2:
        return (letter, letter + "′")[:size]
    return tuple(f"{letter}{i + 1}" for i in range(size))


def _by_name(value: Any) -> Any:
    """relu and step by their names, not as Max and Heaviside."""
    if not value.args:
        return value
    args = [_by_name(a) for a in value.args]
    if isinstance(value, sympy.Max) and 0 in args and len(args) == 2:
        return sympy.Function("relu")(args[0] if args[1] == 0 else args[1])
    if isinstance(value, sympy.Heaviside):
        return sympy.Function("step")(args[0])
    return value.func(*args)


def _with_symbols(expr: Expr) -> Expr:
    """Variables and parameters of an integrand as named constants, so that it can be printed."""
    prefix = {"ref": "var", "quantity": "par"}
    return substitute(expr, lambda x: Expr("symbol", (), f"{prefix[x.op]}{int(x.value)}x") if x.op in prefix else x)  # type: ignore[arg-type]


def formulas(writer: Writer) -> Iterator[Formula]:
    """Rules and answers, in order."""
    yield from (writer.rule(r) for r in writer.derivation.rules)
    for answer in writer.derivation.answers:
        yield from writer.answer(answer)


__all__ = ["Formula", "Used", "Writer", "formulas"]
