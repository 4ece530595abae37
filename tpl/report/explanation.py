"""The account of a limit, line by line, as text, Markdown, LaTeX and HTML."""

import html
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tpl.limit.account import BACKWARD, Account, Entry, Sentence
from tpl.limit.formula import Formula
from tpl.report.broken import broken
from tpl.report.notation import LATEX, MATHML, TEXT, latex_text, write, write_lines
from tpl.report.styles import LATEX_PREAMBLE

WIDTH = 110


@dataclass(frozen=True)
class ExplanationReport:
    """What each line of a program becomes, and why. `str` gives text; a notebook shows the MathML.

    equations_only: leave out the rules and the reasons.
    """

    account: Account
    equations_only: bool = False

    def __str__(self) -> str:
        return "\n".join(_text(self)) + "\n"

    def markdown(self) -> str:
        """Markdown with $ formulas."""
        return "\n".join(_markdown(self)) + "\n"

    def latex(self) -> str:
        """A document that compiles as it is."""
        return "\n".join(_latex(self)) + "\n"

    def html(self) -> str:
        """A page with MathML that needs no network and no script."""
        title = html.escape(self.account.title)
        return (
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
            f"<meta name='viewport' content='width=device-width'><title>{title}</title><style>{CSS}</style></head>"
            f"<body>{''.join(_html(self))}</body></html>\n"
        )

    def _repr_html_(self) -> str:
        return "".join(_html(self))

    @property
    def entries(self) -> Sequence[Entry]:
        return [e for e in self.account.entries if e.becomes or not self.equations_only]


# ---------------------------------------------------------------------------------------------- what is said

_ONE, _TWO = Formula("name", (), "W", "matrix"), Formula("transposed", (Formula("name", (), "W", "matrix"),))
_X, _Y = Formula("name", (), "x", "vector"), Formula("name", (), "y", "vector")
_HAT, _DOT = (
    Formula("Z", (Formula("matmul", (_ONE, _X)),), "hat"),
    Formula("Z", (Formula("matmul", (_ONE, _X)),), "dot"),
)
_HAT_Y = Formula("Z", (Formula("matmul", (_ONE, _Y)),), "hat")
_BACK = Formula("Z", (Formula("matmul", (_TWO, _Y)),), "hat")
_ZX, _ZY = Formula("Z", (_X,)), Formula("Z", (_Y,))
_SIGMA = Formula("pow", (Formula("name", (), "sigma", "const"), Formula("number", (), "2")))
_COVARIANCE = Formula("eq", (
    Formula("cov", (_HAT, _HAT_Y)), Formula("mul", (_SIGMA, Formula("E", (Formula("mul", (_ZX, _ZY)),)))),
))  # fmt: skip
_CORRECTION = Formula("eq", (_DOT, Formula("mul", (_SIGMA, Formula("sum", (
    Formula("mul", (_ZY, Formula("E", (Formula("slope", (_ZX, _BACK)),)))), Formula("name", (), "y", "index"),
))))))  # fmt: skip
_XI, _XI2 = Formula("name", (), "ξ", "data"), Formula("name", (), "ξ′", "data")


_NO_KERNELS: Sentence = (
    "No short recursion between numbers says it all here: the limit is stated as equations between random variables.",
)


def introduction(account: Account, equations_only: bool = False) -> list[Sentence]:
    """What the symbols mean; the theorem that all products go by."""
    said: list[Sentence] = [_NO_KERNELS] if equations_only and not account.said else []
    said += [(
        "As the width grows, the coordinates of a vector ", _X, " become independent copies of one random variable ", _ZX,
        ", and averages over coordinates become expectations; a scalar's name stands for its limit.",
    ), (
        "A product with a matrix becomes ", Formula("add", (_HAT, _DOT)), ". The first part is Gaussian with mean 0, independent of "
        "the products with other matrices (a transpose counts as another one) and of all initial vectors, with ", _COVARIANCE, ", ",
        _SIGMA, " being the entries' variance times the width summed over. The correction is ", _CORRECTION,
        ", over the vectors ", _Y, " that the transpose was applied to before (the Master Theorem: TP3 §2, TP4 thm 7.4).",
    )]  # fmt: skip
    said += account.said
    if account.inputs and not account.said:
        said.append(("A vector inside a network stands for its value at an input ", _XI, "; ", _XI2,
                     " is any other input, or the same."))  # fmt: skip
    if account.afresh:
        said.append(
            ("What `random` draws inside a network is drawn for each input, independently, even if two are equal.",)
        )
    if account.definitions:
        said.append(("Here ", *_listed(account.definitions), "."))
    return said


def _listed(formulas: Sequence[Formula]) -> Iterator[str | Formula]:
    for i, formula in enumerate(formulas):
        if i:
            yield ", "
        yield formula


def lead(section: str, account: Account) -> list[Sentence]:
    """The words under a section's heading."""
    told = dict(account.leads).get(section)
    if told is not None:
        return list(told)
    if section != BACKWARD:
        return []
    adjoint = Formula("adjoint", (_X,), kind="vector")
    said: list[str | Formula] = [
        adjoint, " is √n times the derivative of the output by ", _X, ", a vector like any other; for a scalar it is that derivative over √n. A vector that the output takes as v @ x and in no other way has the readout v for its adjoint. These lines are made by reverse mode, "
        "from the output back to the parameters; the rules above apply to them."]  # fmt: skip
    if account.outputs:
        said.append(" They are those of the first output; in the tangent kernel ")
        said += [
            Formula("adjoint", (_X,), kind="vector", input="a"),
            " belongs to output ",
            Formula("name", (), "a", "index"),
            ".",
        ]
    return [tuple(said)]


def _sections(report: ExplanationReport) -> Iterator[tuple[str, list[Entry]]]:
    for section, entries in groupby(report.entries, key=lambda e: e.section):
        yield section, list(entries)


def prose_of(sentence: Sentence, words: Callable[[str], str], formula: Callable[[Formula], str]) -> str:
    """A sentence in one form of writing, from its words and its formulas."""
    text = "".join(words(x) if isinstance(x, str) else formula(x) for x in sentence)
    return text[:1].upper() + text[1:] if sentence and isinstance(sentence[0], str) else text


# ---------------------------------------------------------------------------------------------- text


def _text(report: ExplanationReport) -> Iterator[str]:
    account = report.account
    yield account.title
    yield ""

    def prose(sentence: Sentence) -> str:
        return prose_of(sentence, str, lambda x: write(x, TEXT))

    for sentence in introduction(account, report.equations_only):
        yield from textwrap.wrap(prose(sentence), WIDTH)
    yield ""
    yield from text_sections(report)


def text_sections(report: ExplanationReport) -> Iterator[str]:
    """The entries as text."""
    account = report.account

    def prose(sentence: Sentence) -> str:
        return prose_of(sentence, str, lambda x: write(x, TEXT))

    for section, entries in _sections(report):
        yield section
        yield "─" * len(section)
        if not report.equations_only or account.leads:
            for sentence in lead(section, account):
                yield from textwrap.wrap(prose(sentence), WIDTH)
        for entry in entries:
            yield ""
            yield f"{entry.where}:  {entry.text}" + _text_condition(entry)
            if not report.equations_only and entry.rule:
                yield from textwrap.wrap(entry.rule, WIDTH, initial_indent="    ", subsequent_indent="    ")
            for formula in entry.becomes:
                yield from (
                    f"{'          ' if i else '      '}{x.lstrip()}"
                    for i, x in enumerate(write_lines(formula, TEXT, WIDTH))
                )
            if not report.equations_only:
                for sentence in entry.why:
                    yield from textwrap.wrap(prose(sentence), WIDTH, initial_indent="    – ", subsequent_indent="      ",
                                             break_long_words=False)  # fmt: skip
        yield ""


def _text_condition(entry: Entry) -> str:
    return f"      ({', '.join(write(c, TEXT) for c in entry.clauses)})" if entry.clauses else ""


# ---------------------------------------------------------------------------------------------- Markdown


def _markdown(report: ExplanationReport) -> Iterator[str]:
    account = report.account
    yield f"# {markdown_words(account.title)}"
    yield ""

    def prose(sentence: Sentence) -> str:
        return prose_of(sentence, markdown_words, lambda x: f"${write(x, LATEX)}$")

    for sentence in introduction(account, report.equations_only):
        yield from (prose(sentence), "")
    yield from markdown_sections(report)


def markdown_sections(report: ExplanationReport) -> Iterator[str]:
    """The entries as Markdown."""
    account = report.account

    def prose(sentence: Sentence) -> str:
        return prose_of(sentence, markdown_words, lambda x: f"${write(x, LATEX)}$")

    for section, entries in _sections(report):
        yield from (f"## {section}", "")
        if not report.equations_only or account.leads:
            for sentence in lead(section, account):
                yield from (prose(sentence), "")
        for entry in entries:
            condition = ", ".join(f"${write(c, LATEX)}$" for c in entry.clauses)
            yield f"**{entry.where}** {_markdown_code(entry.text)}" + (f" for {condition}" if condition else "")
            yield ""
            if not report.equations_only and entry.rule:
                yield from (f"*{markdown_words(entry.rule)}*", "")
            for formula in entry.becomes:
                yield from (f"$$ {_aligned(formula)} $$", "")
            if not report.equations_only:
                for sentence in entry.why:
                    yield from (f"- {prose(sentence)}", "")


def _markdown_code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def markdown_words(text: str) -> str:
    """Text of unknown origin in Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>$" else c for c in text)


# ---------------------------------------------------------------------------------------------- LaTeX


def _aligned(formula: Formula) -> str:
    """An equation in LaTeX; a long one is broken before its terms."""
    lines = write_lines(formula, LATEX, WIDTH)
    if len(lines) == 1:
        return lines[0]
    return r"\begin{aligned} & " + r" \\ & \quad {}".join(lines) + r" \end{aligned}"


def _latex(report: ExplanationReport) -> Iterator[str]:
    account = report.account

    def prose(sentence: Sentence) -> str:
        return prose_of(sentence, latex_text, lambda x: f"${write(x, LATEX)}$")

    yield from LATEX_PREAMBLE
    yield rf"\section*{{{latex_text(account.title)}}}"
    yield from (f"{prose(s)}\n" for s in introduction(account, report.equations_only))
    yield from latex_sections(report)
    yield r"\end{document}"


def latex_sections(report: ExplanationReport) -> Iterator[str]:
    """The entries as LaTeX."""
    account = report.account

    def prose(sentence: Sentence) -> str:
        return prose_of(sentence, latex_text, lambda x: f"${write(x, LATEX)}$")

    for section, entries in _sections(report):
        yield rf"\subsection*{{{section}}}"
        if not report.equations_only or account.leads:
            yield from (f"{prose(s)}\n" for s in lead(section, account))
        for entry in entries:
            condition = ", ".join(f"${write(c, LATEX)}$" for c in entry.clauses)
            where = rf"\medskip\textbf{{{latex_text(entry.where)}}}\quad\texttt{{{latex_text(entry.text)}}}"
            yield where + (rf"\quad ({condition})" if condition else "") + "\n"
            if not report.equations_only and entry.rule:
                yield rf"\emph{{{latex_text(entry.rule)}}}" + "\n"
            for formula in entry.becomes:
                yield rf"\[ \fit{{{_aligned(formula)}}} \]"
            if entry.why and not report.equations_only:
                yield r"\begin{itemize}"
                yield from (rf"\item {prose(s)}" for s in entry.why)
                yield r"\end{itemize}"


# ---------------------------------------------------------------------------------------------- HTML

CSS = (
    "body{font:17px/1.5 Georgia,serif;max-width:58em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2em;border-bottom:1px solid #bbb}"
    ".line{border-left:3px solid #ccc;padding:.1em 0 .1em 1em;margin:1.4em 0}"
    ".source{overflow:auto hidden;white-space:nowrap}code{font:14px/1.4 ui-monospace,Menlo,Consolas,monospace}"
    ".where{color:#666;font-size:.85em;margin-right:.8em}.for{color:#666;font-size:.9em;margin-left:1.2em}"
    ".rule{color:#666;font-size:.88em;font-style:italic}.eq{overflow:auto hidden;padding:.35em 0}"
    "ul{margin:.3em 0;padding-left:1.2em;font-size:.94em}li{overflow:auto hidden;padding:.15em 0}math{font-size:1.06em}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}.line{border-color:#444}h2{border-color:#555}"
    ".where,.for,.rule{color:#a5a5a5}}"
)


def display(formula: Formula) -> str:
    """An equation as MathML; a long one over several lines."""
    return f"<div class='eq broken'>{broken(write(formula, MATHML))}</div>"


def inline(formula: Formula) -> str:
    """A formula as MathML within a line."""
    return f"<math><mrow>{write(formula, MATHML)}</mrow></math>"


def _html(report: ExplanationReport) -> Iterator[str]:
    account = report.account

    def prose(sentence: Sentence) -> str:
        return prose_of(sentence, html.escape, inline)

    yield f"<h1>{html.escape(account.title)}</h1>"
    yield from (f"<p>{prose(s)}</p>" for s in introduction(account, report.equations_only))
    yield from html_sections(report)


def html_sections(report: ExplanationReport) -> Iterator[str]:
    """The entries as HTML."""
    account = report.account

    def prose(sentence: Sentence) -> str:
        return prose_of(sentence, html.escape, inline)

    for section, entries in _sections(report):
        yield f"<h2>{section}</h2>"
        if not report.equations_only or account.leads:
            yield from (f"<p>{prose(s)}</p>" for s in lead(section, account))
        for entry in entries:
            condition = ", ".join(map(inline, entry.clauses))
            yield f"<div class='line'><div class='source'><span class='where'>{html.escape(entry.where)}</span>"
            yield f"<code>{html.escape(entry.text)}</code>"
            yield f"<span class='for'>{condition}</span></div>" if condition else "</div>"
            if not report.equations_only and entry.rule:
                yield f"<div class='rule'>{html.escape(entry.rule)}</div>"
            for formula in entry.becomes:
                yield display(formula)
            if entry.why and not report.equations_only:
                yield f"<ul>{''.join(f'<li>{prose(s)}</li>' for s in entry.why)}</ul>"
            yield "</div>"
