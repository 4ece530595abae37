"""How formulas are written: text, LaTeX, MathML. sympy's printers do the arithmetic, a `Style` the special symbols."""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html.entities import html5
from typing import Any

import sympy
from sympy.printing.str import StrPrinter

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε", "epsilon": "ε", "eta": "η", "theta": "θ", "kappa": "κ",
    "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "psi": "ψ",
    "omega": "ω",
}  # fmt: skip
_LATEX_GREEK = {"eps": r"\epsilon"}
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass
class Style:
    """How one output format writes things."""

    kernel: Callable[[str, str, str], str]  # base, indices, inputs
    gram: Callable[[str, str], str]
    named_input: Callable[[str, Sequence[str]], str]
    name: Callable[[str], str]  # of the user's, in that
    constant: Callable[[str], str]
    expectation: Callable[[str], str]
    arithmetic: Callable[[Any, dict[Any, str]], str]
    law: Callable[[str, str], str]
    covariance: Callable[[str, str, str], str]
    big_sum: Callable[[str, str], str]
    product: Callable[[str, str], str]  # of a factor, which may be empty, and a sum
    equal: str
    plus: str
    minus: str
    comma: str
    equals: Callable[[str, str], str]
    grouped: Callable[[str], str]


# ---------------------------------------------------------------------------------------------- text


class _TextPrinter(StrPrinter):
    """sympy's plain printing with `^`, functions by their names in the language, and Greek letters."""

    def _print_Symbol(self, expr: Any) -> str:
        return greek(expr.name)

    def _print_Pi(self, expr: Any) -> str:
        return "π"


def greek(name: str) -> str:
    """A user's name with its Greek letters."""
    head, underscore, tail = name.partition("_")
    return _GREEK.get(head, head) + underscore + tail


def _text_arithmetic(value: Any, table: dict[Any, str]) -> str:
    text = _TextPrinter({"order": "rev-lex"}).doprint(value)
    text = re.sub(r"\b(\w+)\*\*\(-(\d+)\)", r"1/\1**\2", text)
    text = re.sub(r"\*\*(\d+|\(-\d+\))(?![\d.])", lambda m: m[1].strip("()").translate(_SUPERSCRIPT), text)
    text = (
        text.replace("**", "^")
        .replace("*", " ")
        .replace("sqrt", "√")
        .replace("acos(", "arccos(")
        .replace("asin(", "arcsin(")
    )
    text = re.sub(r"√\((\w+)\)", r"√\1", text)
    for symbol in sorted(table, key=lambda s: -len(s.name)):
        text = text.replace(symbol.name, table[symbol])
    return text


def _text_kernel(base: str, index: str, inputs: str) -> str:
    superscript = f"^{index}" if len(index) == 1 else f"^{{{index}}}" if index else ""
    return f"{base}{superscript}" + (f"({inputs})" if inputs else "")


def _text_subscript(index: str) -> str:
    return f"_{index}" if len(index.rstrip("′")) == 1 else f"_{{{index}}}"


TEXT = Style(
    kernel=_text_kernel,
    gram=lambda a, b: f"⟨{a}, {b}⟩",
    named_input=lambda name, index: name + (_text_subscript(",".join(index)) if index else ""),
    name=greek,
    constant=lambda name: name.removeprefix("@"),
    expectation=lambda inside: f"E[{inside}]",
    arithmetic=_text_arithmetic,
    law=lambda names, kernel: f"{names} ~ N(0, {kernel})",
    covariance=lambda a, b, c: f"Var {a} = {c}" if a == b else f"Cov({a}, {b}) = {c}",
    big_sum=lambda condition, term: f"Σ_{{{condition}}} {term}",
    product=lambda factor, total: f"{factor} {total}".lstrip(),
    equal=" = ",
    plus=" + ",
    minus=" - ",
    comma=", ",
    equals=lambda name, value: f"{name} = {value}",
    grouped=lambda text: f"({text})",
)


# ---------------------------------------------------------------------------------------------- LaTeX


def latex_name(name: str) -> str:
    """A user's name in LaTeX: greek letters, and what follows an underscore as a subscript."""
    head, _, tail = name.partition("_")
    head = _LATEX_GREEK.get(head, "\\" + head if head in _GREEK else head if len(head) == 1 else rf"\mathrm{{{head}}}")
    head = head.replace("ξ", r"\xi").replace("′", "'")
    return f"{head}_{{{latex_name(tail) if len(tail) > 1 else tail}}}" if tail else head


def _latex_arithmetic(value: Any, table: dict[Any, str]) -> str:
    names = {s: latex_name(s.name) for s in value.free_symbols} | {s: latex_symbols(t) for s, t in table.items()}
    return sympy.latex(value, symbol_names=names, order="rev-lex", inv_trig_style="full")


def latex_symbols(text: str) -> str:
    return text.replace("ξ", r"\xi ").replace("θ", r"\theta ").replace("′", "'").replace("−", "-")


def latex_range(text: str) -> str:
    return latex_symbols(text).replace("..", r" \dots ")


def _latex_kernel(base: str, index: str, inputs: str) -> str:
    superscript = f"^{{{latex_symbols(index)}}}" if index else ""
    return latex_name(base) + superscript + (f"({latex_symbols(inputs)})" if inputs else "")


LATEX = Style(
    kernel=_latex_kernel,
    gram=lambda a, b: rf"\langle {a}, {b} \rangle",
    named_input=lambda name, index: latex_symbols(name) + (f"_{{{latex_symbols(','.join(index))}}}" if index else ""),
    name=latex_name,
    constant=lambda name: (
        rf"\mathrm{{{latex_symbols(name[1:])}}}"
        if "(ξ" in name or "(a, b)" in name
        else rf"\text{{{escape_latex(name[1:])}}}"
    ),
    expectation=lambda inside: rf"\mathbb{{E}}\left[{inside}\right]",
    arithmetic=_latex_arithmetic,
    law=lambda names, kernel: rf"{latex_symbols(names)} \sim \mathcal{{N}}\left(0, {kernel}\right)",
    covariance=lambda a, b, c: (
        rf"\operatorname{{Var}} {latex_symbols(a)} = {c}"
        if a == b
        else rf"\operatorname{{Cov}}({latex_symbols(a)}, {latex_symbols(b)}) = {c}"
    ),
    big_sum=lambda condition, term: rf"\sum_{{{latex_range(condition)}}} {term}",
    product=lambda factor, total: f"{factor} {total}".lstrip(),
    equal=" = ",
    plus=" + ",
    minus=" - ",
    comma=r",\; ",
    equals=lambda name, value: f"{latex_symbols(name)} = {value}",
    grouped=lambda text: rf"\left({text}\right)",
)


LATEX_PREAMBLE = (
    r"\documentclass{article}",
    r"\usepackage[T1]{fontenc}",
    r"\usepackage[utf8]{inputenc}",
    r"\usepackage{amsmath,amssymb}",
    r"\usepackage[margin=2cm]{geometry}",
    r"\setlength{\parindent}{0pt}\setlength{\parskip}{4pt}\sloppy",
    r"\newlength{\fitted}",
    r"% an equation wider than the page is made smaller",
    r"\newcommand{\fit}[1]{\settowidth{\fitted}{$\displaystyle #1$}%",
    r"  \ifdim\fitted>\linewidth\resizebox{\linewidth}{!}{$\displaystyle #1$}\else\mbox{$\displaystyle #1$}\fi}",
    r"\usepackage{graphicx}",
    r"\begin{document}",
)


def escape_latex(text: str) -> str:
    return (
        re.sub(r"([#$%&_{}])", r"\\\1", text)
        .replace("^", r"\^{}")
        .replace("~", r"\~{}")
        .replace("ξ", "$\\xi$")
        .replace("′", "'")
    )


# ---------------------------------------------------------------------------------------------- MathML


def _mathml_arithmetic(value: Any, table: dict[Any, str]) -> str:
    text = sympy.printing.mathml(value, printer="presentation", order="rev-lex")
    text = re.sub(r"&(?!amp;|lt;|gt;|quot;|#)(\w+;)", lambda m: html5[m[1]], text)  # named entities are HTML, not XML
    for symbol in sorted(table, key=lambda s: -len(s.name)):
        text = text.replace(
            f"<mi>{symbol.name}</mi>", table[symbol] if table[symbol].startswith("<") else _mi(table[symbol])
        )
    return f"<mrow>{_THIN.sub(_thinly, text.replace('<mo>-</mo>', '<mo>−</mo>'))}</mrow>"


_THIN = re.compile(r"(</mn>)?<mo>\u2062</mo>")


def _thinly(found: re.Match[str]) -> str:
    """A product, with a thin space unless a number is in front."""
    return found[0] + ("" if found[1] else "<mspace width='.17em'/>")


_WORDS = re.compile(
    r"(?P<dots>\.\.)|(?P<or> or )|(?P<number>\d+)|(?P<letter>[^\W\d_])(?P<index>\d+)\b|(?P<word>\w+)|(?P<sign>\S)"
)


def mathml_words(text: str) -> str:
    """Letters, numbers and signs of an index, a range or a list: `t, t′ = 1..T` with each in the type of its kind."""
    return "".join(map(_mathml_word, _WORDS.finditer(text)))


def _mathml_word(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, html.escape(found[0])
    if kind == "dots":
        return "<mo>…</mo>"
    if kind == "or":
        return "<mtext>\u00a0or\u00a0</mtext>"
    if kind == "index":
        return f"<msub><mi>{html.escape(found['letter'])}</mi><mn>{found['index']}</mn></msub>"
    return f"<{(tag := {'number': 'mn', 'word': 'mi'}.get(kind or '', 'mo'))}>{text}</{tag}>"


def _mi(text: str) -> str:
    """A name, or a list of names, in mathematics."""
    written = mathml_words(greek(text))
    return written if re.fullmatch(r"<(\w+)>[^<]*</\1>", written) else f"<mrow>{written}</mrow>"


def _mathml_kernel(base: str, index: str, inputs: str) -> str:
    head, _, tail = base.partition("_")
    name = f"<msubsup>{_mi(head)}{_mi(tail)}<mrow>{_mi(index)}</mrow></msubsup>" if tail and index else (
        f"<msub>{_mi(head)}{_mi(tail)}</msub>" if tail
        else f"<msup>{_mi(head)}{_mi(index)}</msup>" if index else _mi(head)
    )  # fmt: skip
    return f"<mrow>{name}" + (f"<mo>(</mo>{_mi(inputs)}<mo>)</mo>" if inputs else "") + "</mrow>"


MATHML = Style(
    kernel=_mathml_kernel,
    gram=lambda a, b: f"<mrow><mo>⟨</mo>{a}<mo>,</mo>{b}<mo>⟩</mo></mrow>",
    named_input=lambda name, index: f"<msub>{_mi(name)}{_mi(','.join(index))}</msub>" if index else _mi(name),
    name=greek,
    constant=lambda name: (
        mathml_words(name[1:])
        if "(ξ" in name or "(a, b)" in name
        else f"<mtext>{html.escape(name.removeprefix('@'))}</mtext>"
    ),
    expectation=lambda inside: f"<mrow><mi mathvariant='normal'>E</mi><mo>[</mo>{inside}<mo>]</mo></mrow>",
    arithmetic=_mathml_arithmetic,
    law=lambda names, kernel: (
        f"<mrow>{_mi(names)}<mo>∼</mo><mi>N</mi><mo>(</mo><mn>0</mn><mo>,</mo>{kernel}<mo>)</mo></mrow>"
    ),
    covariance=lambda a, b, c: (
        f"<mrow><mtext>Var </mtext>{_mi(a)}<mo>=</mo>{c}</mrow>"
        if a == b
        else f"<mrow><mtext>Cov</mtext><mo>(</mo>{_mi(a)}<mo>,</mo>{_mi(b)}<mo>)</mo><mo>=</mo>{c}</mrow>"
    ),
    big_sum=lambda condition, term: (
        f"<mrow><munder><mo>∑</mo><mrow>{mathml_words(condition)}</mrow></munder>{term}</mrow>"
    ),
    product=lambda factor, total: f"<mrow>{factor}{total}</mrow>",
    equal="<mo>=</mo>",
    plus="<mo>+</mo>",
    minus="<mo>−</mo>",
    comma="<mo>,</mo><mspace width='.6em'/>",
    equals=lambda name, value: f"<mrow>{_mi(name)}<mo>=</mo>{value}</mrow>",
    grouped=lambda text: f"<mrow><mo>(</mo>{text}<mo>)</mo></mrow>",
)
