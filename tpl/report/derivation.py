"""Derivations as a person would write them: text, Markdown, LaTeX, HTML with MathML.

A formula is put together from sympy expressions whose special symbols (kernels, inner products, expectations) are
written by a `Style`; sympy's own printers do the arithmetic around them.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from tpl.core.expr import Expr, substitute
from tpl.limit.algebra import to_sympy
from tpl.limit.derive import LONG_ENOUGH, Answer, Derivation
from tpl.limit.naming import Named, Variable
from tpl.limit.recursion import Rule, Sum, own_axes
from tpl.report.styles import LATEX, MATHML, TEXT, Style, escape_latex, latex_range

# ---------------------------------------------------------------------------------------------- equations


@dataclass(frozen=True)
class Formula:
    """left = right; `where` says what the expectations run over, `condition` for which indices it holds."""

    left: str
    right: str
    where: tuple[str, ...] = ()
    condition: str = ""


class Indices:
    """How the indices of one equation are written: those of its left side as letters, the others relative to them."""

    def __init__(self, derivation: Derivation, anchor: Named | None, general: bool, diagonal: bool):
        self.derivation = derivation
        self.anchor = anchor if general else None
        self.diagonal = diagonal

    def letters(self, side: Variable, position: int) -> tuple[str, ...]:
        base = side.base.removeprefix("d") if side.base not in self.derivation.loop_variables else side.base
        known = self.derivation.loop_variables.get(base, ())
        count = len(side.index)
        names = known if len(known) == count else ("l", "i", "j", "k")[:count] if count > 1 else ("l",)
        prime = "" if self.diagonal or position == 0 else "′"
        return tuple(n + prime for n in names)

    def of(self, side: Variable, position: int) -> tuple[str, ...]:
        """The indices of one side of a kernel."""
        if self.anchor is None:
            return tuple(self.end(i) for i in side.index)
        own = own_axes(self.anchor, side, position)
        second = self.anchor.right is not None and own is self.anchor.right.index and not self.diagonal
        letters = self.letters(self.anchor.right if second and self.anchor.right else self.anchor.left, int(second))
        return tuple(
            _shift(letter, i - a) for letter, i, a in zip(letters, side.index, own, strict=False)
        ) + tuple(self.end(i) for i in side.index[len(own) :])  # fmt: skip

    def end(self, value: int) -> str:
        """A fixed index: a small number as it is, one near a loop's end relative to that end."""
        name = self.derivation.bounds.get(LONG_ENOUGH)
        if not self.derivation.generic or name is None or value <= 2 or self.derivation.specialised:
            return str(value)
        return _shift(name, value - LONG_ENOUGH)

    def condition(self, region: Sequence[tuple[int, int]]) -> str:
        """`l = 2..L`, from the ranges of the letters."""
        assert self.anchor is not None
        letters = self.letters(self.anchor.left, 0)
        if not self.diagonal and self.anchor.right is not None:
            letters = (*letters, *self.letters(self.anchor.right, 1))
        parts = []
        for letter, (start, stop) in zip(letters, region, strict=True):
            first, last = str(start) if start <= 3 and start != stop else self.end(start), self.end(stop)
            parts.append(f"{letter} = {first}" if start == stop else f"{letter} = {first}..{last}")
        return ", ".join(parts)


def _shift(letter: str, offset: int) -> str:
    return letter if offset == 0 else f"{letter}{'+' if offset > 0 else '−'}{abs(offset)}"


class Writer:
    """Writes the equations of one derivation in one style."""

    def __init__(self, derivation: Derivation, style: Style):
        self.derivation = derivation
        self.style = style

    def rule(self, rule: Rule) -> Formula:
        indices = Indices(self.derivation, rule.left, bool(rule.region), rule.diagonal)
        where: list[str] = []
        if isinstance(rule.right, tuple):
            right = self.style.plus.join(self.term(t, where) for t in rule.right)
        else:
            right = self.value(rule.right, indices, where)
        condition = indices.condition(rule.region) if rule.region else ""
        return Formula(self.named(rule.left, indices), right, tuple(where), condition)

    def answer(self, answer: Answer) -> list[Formula]:
        formulas = []
        for index, terms in answer.entries:
            where: list[str] = []
            parts = [self.term(t, where) for t in terms]
            right = self.style.plus.join(parts) if parts else self.style.arithmetic(sympy.S.Zero, {})
            left = answer.name if not index else f"{answer.name} [{', '.join(map(str, index))}]"
            if answer.kernel:
                left = left.partition("(")[0].upper() + "(ξ, ξ′)"
            formulas.append(Formula(self.style.constant("@" + left), right, tuple(where)))
        return formulas

    def term(self, term: Any, where: list[str]) -> str:
        if not isinstance(term, Sum):
            return self.value(term, Indices(self.derivation, None, False, True), where)
        indices = Indices(self.derivation, term.anchor, True, term.diagonal)
        return self.style.big_sum(indices.condition(term.region), self.value(term.term, indices, where))

    def named(self, named: Named, indices: Indices) -> str:
        sides = [s for s in (named.left, named.right) if s is not None]
        inputs = [self.input_name(s) for s in sides]
        written = [indices.of(s, i) for i, s in enumerate(sides)]
        if named.kind == "gram":
            names = [self.style.named_input(i, w) for i, w in zip(inputs, written, strict=True)]
            return self.style.gram(*names)
        if named.kind == "scalar":
            return self.style.kernel(named.base, ",".join(written[0]), inputs[0])
        base = "K_" + (
            named.base if named.right is None or named.right.base == named.base else f"{named.base},{sides[1].base}"
        )
        both = ",".join(written[0]) if written[0] == written[-1] else ",".join((*written[0], *written[-1]))
        return self.style.kernel(base, both, ", ".join(i for i in inputs if i))

    def input_name(self, side: Variable) -> str:
        return {0: "ξ" if side.base == "ξ" else "", 1: "ξ", 2: "ξ′"}[side.input]

    def value(self, value: Any, indices: Indices, where: list[str]) -> str:
        """An expression over named symbols and expectations, as text of the style."""
        table: dict[Any, str] = {}
        replaced = self._replace(value, indices, where, table, {})
        return self.style.arithmetic(replaced, table)

    def _replace(self, value: Any, indices: Indices, where: list[str], table: dict[Any, str], letters: dict) -> Any:
        if value in self.derivation.names.named:
            return self._token(table, self.named(self.derivation.names.named[value], indices))
        if isinstance(value, sympy.core.function.AppliedUndef) and re.fullmatch(r"E\d+", value.func.__name__):
            return self._token(table, self._expectation(value, indices, where, letters))
        if not value.args:
            return value
        return value.func(*(self._replace(a, indices, where, table, letters) for a in value.args))

    @staticmethod
    def _token(table: dict[Any, str], text: str) -> Any:
        for symbol, known in table.items():
            if known == text:
                return symbol
        symbol = sympy.Symbol(f"tok{len(table)}x", real=True)
        table[symbol] = text
        return symbol

    def _expectation(self, value: Any, indices: Indices, where: list[str], letters: dict) -> str:
        integrand = self.derivation.integrands[int(value.func.__name__[1:])]
        size = _dimension(integrand, len(value.args))
        entries, parameters = value.args[: size * (size + 1) // 2], value.args[size * (size + 1) // 2 :]
        names = letters.get(entries)
        if names is None:
            names = letters[entries] = _variables(size, len(letters))
            where.append(self._law(names, entries, indices))
        table: dict[Any, str] = {sympy.Symbol(f"var{i}x", real=True): n for i, n in enumerate(names)}
        inside: dict[int, Any] = {}
        for k, p in enumerate(parameters):
            inside[k] = self._token(
                table, "(" + self.value(p, indices, where) + ")" if p.is_Add else self.value(p, indices, where)
            )
        expr = _by_name(to_sympy(_with_symbols(integrand)))
        expr = expr.xreplace({sympy.Symbol(f"par{k}x", real=True): s for k, s in inside.items()})
        return self.style.expectation(self.style.arithmetic(expr, table))

    def _law(self, names: Sequence[str], entries: tuple, indices: Indices) -> str:
        """What (u, u′) is drawn from."""
        joined = ", ".join(names)
        style, named = self.style, self.derivation.names.named
        if len(names) == 1:
            return style.law(names[0], self.value(entries[0], indices, []))
        if len(names) == 2 and self._is_family(entries):
            if entries[1] in named:
                return style.law(f"({joined})", self.named(named[entries[1]], indices))
            return style.covariance(names[0], names[1], self.value(entries[1], indices, []))
        pairs = [(names[i], names[j], entries[i * (i + 1) // 2 + j]) for i in range(len(names)) for j in range(i + 1)]
        return "; ".join(style.covariance(a, b, self.value(c, indices, [])) for a, b, c in pairs if c != 0)

    def _is_family(self, entries: tuple) -> bool:
        """Are the variances the covariance at equal inputs?"""
        return all(self._at_one_input(entries[1], side) == entries[k] for side, k in ((0, 0), (1, 2)))

    def _at_one_input(self, value: Any, side: int) -> Any:
        names = self.derivation.names

        def one(named: Named) -> Any:
            if named.right is None:
                return names.symbol(named)
            kept = (named.left, named.right)[side]
            return names.symbols.get(Named(named.kind, kept, kept), sympy.nan)

        return value.xreplace({s: one(names.named[s]) for s in value.free_symbols if s in names.named})


def _dimension(integrand: Expr, arguments: int) -> int:
    from tpl.core.expr import leaves

    return len(leaves(integrand, "ref"))


def _variables(size: int, taken: int) -> tuple[str, ...]:
    letter = "uvwz"[taken] if taken < 4 else f"u{taken}"
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


# ---------------------------------------------------------------------------------------------- documents


@dataclass(frozen=True)
class DerivationReport:
    """A program's limit as equations. `str` gives text; a notebook shows the MathML."""

    derivation: Derivation

    def __str__(self) -> str:
        return to_text(self.derivation)

    def latex(self) -> str:
        """A document that compiles as it is."""
        return to_latex(self.derivation)

    def markdown(self) -> str:
        """Markdown with $$ formulas."""
        return to_markdown(self.derivation)

    def html(self) -> str:
        """A page with MathML that needs no network and no script."""
        return to_html(self.derivation)

    def _repr_html_(self) -> str:
        return "".join(_html_body(self.derivation))


def _formulas(derivation: Derivation, style: Style) -> tuple[list[Formula], list[Formula]]:
    writer = Writer(derivation, style)
    return [writer.rule(r) for r in derivation.rules], [f for a in derivation.answers for f in writer.answer(a)]


_INTRO = (
    "Infinite-width limit; ξ and ξ′ are any two inputs. A kernel at (ξ, ξ) is given by the same equation with ξ′ = ξ, and "
    "(u, u′) ~ N(0, K(ξ, ξ′)) means the 2×2 covariance of K at ξ and ξ′."
)


def _intro(derivation: Derivation) -> str:
    """What the symbols mean; and for how many steps the equations are stated, where no general form was found."""
    if not derivation.specialised:
        return _INTRO
    ends = derivation.bounds.get(LONG_ENOUGH, "")
    return f"{_INTRO} Some terms follow no pattern that was found: everything is stated for {LONG_ENOUGH} steps ({ends} = {LONG_ENOUGH})."


def to_text(derivation: Derivation) -> str:
    """Plain Unicode text."""
    out = [derivation.title, ""]
    if derivation.generic:
        out += [_intro(derivation), ""]
    rules, answers = _formulas(derivation, TEXT)
    for formula in (*rules, *answers):
        out.append(f"  {formula.left} = {formula.right}" + (f",   {formula.condition}" if formula.condition else ""))
        out += [f"      {w}" for w in formula.where]
    return "\n".join(out) + "\n"


def to_latex(derivation: Derivation) -> str:
    """A document that compiles as it is."""
    rules, answers = _formulas(derivation, LATEX)
    lines = []
    for formula in (*rules, *answers):
        condition = rf", \quad {latex_range(formula.condition)}" if formula.condition else ""
        lines.append(rf"\[ {formula.left} = {formula.right}{condition} \]")
        if formula.where:
            lines.append(r"where " + "; ".join(f"${w}$" for w in formula.where) + ".")
    intro = (
        _intro(derivation).replace("ξ′", r"$\xi'$").replace("ξ", r"$\xi$").replace("′", "'").replace("×", r"$\times$")
    )
    intro = intro.replace("(u, u') ~ N(0, K($\\xi$, $\\xi'$))", r"$(u, u') \sim \mathcal{N}(0, K(\xi, \xi'))$")
    return "\n".join([
        r"\documentclass{article}", r"\usepackage{amsmath,amssymb}", r"\usepackage[margin=2cm]{geometry}", r"\begin{document}",
        rf"\section*{{{escape_latex(derivation.title)}}}", intro if derivation.generic else "", *lines, r"\end{document}", "",
    ])  # fmt: skip


def to_markdown(derivation: Derivation) -> str:
    """Markdown with $$ formulas."""
    rules, answers = _formulas(derivation, LATEX)
    out = [f"# {derivation.title}", ""]
    if derivation.generic:
        out += [_intro(derivation), ""]
    for formula in (*rules, *answers):
        condition = rf",\quad {latex_range(formula.condition)}" if formula.condition else ""
        out += [f"$$ {formula.left} = {formula.right}{condition} $$", ""]
        if formula.where:
            out += ["where " + "; ".join(f"${w}$" for w in formula.where) + ".", ""]
    return "\n".join(out)


_CSS = (
    "body{font:17px/1.5 Georgia,serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.4em}.eq{overflow:auto hidden;padding:.3em 0;margin:.8em 0 0}.where{color:#555;margin:0 0 .6em 2em;font-size:.92em;overflow:auto hidden;padding:.2em 0}"
    "math{font-size:1.08em}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}.where{color:#aaa}}"
)


def _html_body(derivation: Derivation) -> list[str]:
    rules, answers = _formulas(derivation, MATHML)
    body = [f"<h1>{html.escape(derivation.title)}</h1>"]
    if derivation.generic:
        body.append(f"<p>{html.escape(_intro(derivation))}</p>")
    for formula in (*rules, *answers):
        condition = (
            f"<mo>,</mo><mspace width='1em'/><mtext>{html.escape(formula.condition)}</mtext>"
            if formula.condition
            else ""
        )
        body.append(
            f"<div class='eq'><math display='block'><mrow>{formula.left}<mo>=</mo>{formula.right}{condition}</mrow></math></div>"
        )
        body += [f"<div class='where'><math>{w}</math></div>" for w in formula.where]
    return body


def to_html(derivation: Derivation) -> str:
    """One page with MathML: no network, no script."""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{html.escape(derivation.title)}</title><style>{_CSS}</style></head><body>{''.join(_html_body(derivation))}</body></html>\n"
    )
