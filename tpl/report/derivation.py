"""Derivations as a person would write them: text, Markdown, LaTeX, HTML with MathML.

A formula is put together from sympy expressions whose special symbols (kernels, inner products, expectations) are
written by a `Style`; sympy's own printers do the arithmetic around them.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tpl.limit.derive import Derivation
from tpl.limit.generic import LONG_ENOUGH
from tpl.report.broken import broken
from tpl.report.equations import Formula, Used, Writer, formulas
from tpl.report.explanation import (
    CSS,
    ExplanationReport,
    html_sections,
    latex_sections,
    markdown_sections,
    text_sections,
)
from tpl.report.styles import LATEX, LATEX_PREAMBLE, MATHML, TEXT, Style, escape_latex, latex_range, mathml_words

# ---------------------------------------------------------------------------------------------- documents


@dataclass(frozen=True)
class DerivationReport:
    """A program's limit as equations. `str` gives text; a notebook shows the MathML.

    training: what is said after the kernels of a network that is trained.
    """

    derivation: Derivation
    training: ExplanationReport | None = None

    def __str__(self) -> str:
        after = "\n" + "\n".join(text_sections(self.training)) + "\n" if self.training is not None else ""
        return to_text(self.derivation) + after

    def latex(self) -> str:
        """A document that compiles as it is."""
        return to_latex(self.derivation, list(latex_sections(self.training)) if self.training is not None else [])

    def markdown(self) -> str:
        """Markdown with $$ formulas."""
        after = "\n" + "\n".join(markdown_sections(self.training)) + "\n" if self.training is not None else ""
        return to_markdown(self.derivation) + after

    def html(self) -> str:
        """A page with MathML that needs no network and no script."""
        return to_html(self.derivation, self._sections())

    def _sections(self) -> list[str]:
        return list(html_sections(self.training)) if self.training is not None else []

    def _repr_html_(self) -> str:
        return "".join((*_html_body(self.derivation), *self._sections()))


@dataclass(frozen=True)
class _Parts:
    """What a document consists of, in one style."""

    formulas: list[Formula]
    used: list[Used]


def _parts(derivation: Derivation, style: Style) -> _Parts:
    writer = Writer(derivation, style)
    written = list(formulas(writer))
    return _Parts(written, list(writer.used.values()))


_INTRO = (
    "Infinite-width limit; ξ and ξ′ are any two inputs. A kernel at (ξ, ξ) is given by the same equation with ξ′ = ξ, and "
    "(u, u′) ~ N(0, K(ξ, ξ′)) means the 2×2 covariance of K at ξ and ξ′."
)


_INTRO_OUTPUTS = (
    "Infinite-width limit; all data are one input, and a and b are any two outputs of it. A kernel of two indices that "
    "belongs to no output is symmetric, and (u, u′) ~ N(0, K) means the 2×2 covariance of K at these indices."
)
_CLOSED = "Closed forms, for (u, u′) ~ N(0, Σ) with E u² = q, E u′² = q′, E u u′ = c:"


def _notes(derivation: Derivation) -> list[str]:
    """What the symbols mean; and for how many steps the equations are stated, where no general form was found."""
    if not derivation.generic:
        return []
    notes = [_INTRO_OUTPUTS if derivation.axes.outputs else _INTRO]
    if derivation.introduced:
        named = (f"{x.name}{_bracketed(x.indices)} = {x.text}" for x in derivation.introduced)
        notes.append(f"Named here: {'; '.join(named)}.")
    for end in sorted(derivation.axes.cyclic):
        notes.append(f"Indices that run to {end} are counted modulo {end}.")
    if derivation.specialised:
        counted = (derivation.axes.ends.get(base, ()) for base in (*derivation.axes.letters, "ξ"))
        ends = ", ".join(sorted({e for found in counted for e in found if e}))
        notes.append(
            f"Some terms follow no pattern that was found: everything is stated for {LONG_ENOUGH} steps "
            f"({ends} = {LONG_ENOUGH})."
        )
    return notes


def _bracketed(indices: tuple[str, ...]) -> str:
    return f"[{', '.join(indices)}]" if indices else ""


def to_text(derivation: Derivation) -> str:
    """Plain Unicode text."""
    parts = _parts(derivation, TEXT)
    out = [derivation.title, ""]
    for note in _notes(derivation):
        out += [note, ""]
    for formula in parts.formulas:
        out.append(f"  {formula.left} = {formula.right}" + (f",   {formula.condition}" if formula.condition else ""))
        out += [f"      {w}" for w in formula.where]
    if parts.used:
        out += ["", _CLOSED, ""]
        out += [f"  {x.left} = {x.right}   [{x.source}]" for x in parts.used]
    return "\n".join(out) + "\n"


def to_latex(derivation: Derivation, after: Sequence[str] = ()) -> str:
    """A document that compiles as it is. after: what follows the kernels."""
    parts = _parts(derivation, LATEX)
    lines = [f"{_latex_prose(note)}\n" for note in _notes(derivation)]
    for formula in parts.formulas:
        condition = rf", \quad {latex_range(formula.condition)}" if formula.condition else ""
        lines.append(rf"\[ \fit{{{formula.left} = {formula.right}{condition}}} \]")
        if formula.where:
            lines.append("where " + "; ".join(f"${w}$" for w in formula.where) + ".")
    if parts.used:
        lines.append(_latex_prose(_CLOSED))
        lines += [rf"\[ {x.left} = {x.right} \] {{\small ({_latex_prose(x.source)})}}" for x in parts.used]
    return "\n".join([
        *LATEX_PREAMBLE, rf"\section*{{{escape_latex(derivation.title)}}}", *lines, *after, r"\end{document}", "",
    ])  # fmt: skip


_LATEX_PROSE = {
    "ξ′": r"$\xi'$", "ξ": r"$\xi$", "u′²": r"$u'^2$", "u²": "$u^2$", "′": "$'$", "×": r"$\times$", "Σ": r"$\Sigma$",
    "~": r"$\sim$", "²": "$^2$", "³": "$^3$",
}  # fmt: skip


def _latex_prose(text: str) -> str:
    """A sentence in LaTeX: what is special in it escaped, its signs as mathematics."""
    text = re.sub(r"([#$%&_{}])", r"\\\1", text).replace("^", r"\^{}")
    return re.sub("|".join(map(re.escape, _LATEX_PROSE)), lambda m: _LATEX_PROSE[m[0]], text)


def to_markdown(derivation: Derivation) -> str:
    """Markdown with $$ formulas."""
    return "\n".join([f"# {derivation.title}", "", *markdown_equations(derivation)])


def markdown_equations(derivation: Derivation) -> list[str]:
    """The equations as lines of Markdown, without a heading."""
    parts = _parts(derivation, LATEX)
    out: list[str] = []
    for note in _notes(derivation):
        out += [note, ""]
    for formula in parts.formulas:
        condition = rf",\quad {latex_range(formula.condition)}" if formula.condition else ""
        out += [f"$$ {formula.left} = {formula.right}{condition} $$", ""]
        if formula.where:
            out += ["where " + "; ".join(f"${w}$" for w in formula.where) + ".", ""]
    if parts.used:
        out += [_CLOSED, "", *(f"- ${x.left} = {x.right}$ ({x.source})" for x in parts.used), ""]
    return out


_CSS = (
    "body{font:17px/1.5 Georgia,serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.4em}.eq{overflow:auto hidden;padding:.3em 0;margin:.8em 0 0}.where{color:#555;margin:0 0 .6em 2em;font-size:.92em;overflow:auto hidden;padding:.2em 0}"
    "math{font-size:1.08em}.broken{padding-left:2em;text-indent:-2em}.term{display:inline-block;max-width:100%;text-indent:-1.2em;"
    "padding-left:1.2em}@media print{.eq,.where{overflow:visible}}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}.where{color:#aaa}}"
)


def _html_body(derivation: Derivation) -> list[str]:
    return [f"<h1>{html.escape(derivation.title)}</h1>", *html_equations(derivation)]


def html_equations(derivation: Derivation) -> list[str]:
    """The equations as pieces of HTML with MathML, without a heading."""
    parts = _parts(derivation, MATHML)
    body = [f"<p>{html.escape(note)}</p>" for note in _notes(derivation)]
    for formula in parts.formulas:
        condition = f"<mspace width='.8em'/>{mathml_words(formula.condition)}" if formula.condition else ""
        equation = f"{formula.left}<mo>=</mo>{formula.right}" + ("<mo>,</mo>" if condition else "")
        body.append(f"<div class='eq broken'>{broken(equation, condition)}</div>")
        body += [f"<div class='where'>{broken(w)}</div>" for w in formula.where]
    if parts.used:
        body.append(f"<p>{html.escape(_CLOSED)}</p>")
        for x in parts.used:
            body.append(
                f"<div class='eq broken'>{broken(f'{x.left}<mo>=</mo>{x.right}')}</div>"
                f"<div class='where'>{html.escape(x.source)}</div>"
            )
    return body


def to_html(derivation: Derivation, after: Sequence[str] = ()) -> str:
    """One page with MathML: no network, no script. after: what follows the kernels."""
    style = _CSS + CSS if after else _CSS
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{html.escape(derivation.title)}</title><style>{style}</style></head><body>{''.join((*_html_body(derivation), *after))}</body></html>\n"
    )
