"""Formulas of `tpl.limit.formula` in text, LaTeX and MathML."""

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tpl.limit.formula import Formula
from tpl.report.styles import greek

# How tightly an expression holds together: what is looser than its place needs brackets.
SUM, BIG, PRODUCT, POWER, ATOM = 1, 2, 3, 5, 9
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_FUNCTIONS = {"exp", "log", "sin", "cos", "tanh", "max", "min", "arctan"}


@dataclass(frozen=True)
class Notation:
    """How one format writes the parts of formulas. All arguments and results are text of the format.

    name: a user's name. scripts: base, superscript, subscript ("" for none). z: the letter Z with its mark. big: Σ over
    clauses. joins: what stands between factors, terms and so on.
    """

    name: Callable[[str], str]
    code: Callable[[str], str]
    number: Callable[[str], str]
    scripts: Callable[[str, str, str], str]
    z: Callable[[str], str]
    fraction: Callable[[str, str], str]
    power: Callable[[str, str], str]
    root: Callable[[str], str]
    call: Callable[[str, Sequence[str]], str]
    bracket: Callable[[str], str]
    square: Callable[[str], str]
    inner: Callable[[str, str], str]
    big: Callable[[Sequence[str], str], str]
    plain: Callable[[str], str]
    times: str
    prime: str
    transpose: str
    flat_fractions: bool = False


def write(formula: Formula, style: Notation) -> str:
    """A formula as text of one format."""
    return _write(formula, style)[0]


def write_lines(formula: Formula, style: Notation, room: int) -> list[str]:
    """An equation on one line, or with one term of its right side a line if its text takes more than `room`."""
    if formula.op not in ("eq", "to", "near") or len(write(formula, TEXT)) <= room or formula.args[1].op != "add":
        return [write(formula, style)]
    left, right = formula.args
    lines = [write(Formula(formula.op, (left, right.args[0])), style)]
    for term in right.args[1:]:
        negative = term.op == "neg"
        sign = style.plain(" − " if negative else " + ")
        lines.append(sign + _at_least(term.args[0] if negative else term, BIG, style))
    return lines


def _write(node: Formula, style: Notation) -> tuple[str, int]:
    return _RULES[node.op](node, style)


def _at_least(node: Formula, level: int, style: Notation) -> str:
    text, own = _write(node, style)
    return text if own >= level else style.bracket(text)


def _all(nodes: Sequence[Formula], style: Notation) -> list[str]:
    return [write(n, style) for n in nodes]


def _name(node: Formula, style: Notation) -> tuple[str, int]:
    indices = _indices(node.args, style)
    base = style.name(node.text.rstrip("′")) + style.prime * (len(node.text) - len(node.text.rstrip("′")))
    if node.kind == "data":
        base += style.prime if node.input.endswith("′") else ""
        if example := node.input.removeprefix(node.text + "_") if "_" in node.input else "":
            indices = style.plain(",").join([style.name(example), *([indices] if indices else [])])
        return (style.scripts(base, "", indices) if indices else base), ATOM
    step = _indices((node.step,), style) if node.step is not None else ""
    if indices or step:
        lower = node.kind in ("scalar", "const", "output")
        both = style.plain(",").join(x for x in (step, indices) if x)
        base = style.scripts(base, "", both) if lower else style.scripts(base, indices, step)
    if node.input:
        base += style.bracket(_input(node.input, style))
    return base, ATOM


def _indices(nodes: Sequence[Formula], style: Notation) -> str:
    return style.plain(",").join(_all(nodes, style)).replace(" − ", "−").replace(" + ", "+")


def _input(name: str, style: Notation) -> str:
    return style.name(name.rstrip("′")) + (style.prime if name.endswith("′") else "")


def _adjoint(node: Formula, style: Notation) -> tuple[str, int]:
    inside = node.args[0]
    text = write(inside, style) if inside.op == "name" else style.bracket(write(inside, style))
    if node.input:
        text += style.bracket(_input(node.input, style))
    return style.plain("d") + text, ATOM


def _z(node: Formula, style: Notation) -> tuple[str, int]:
    return style.scripts(style.z(node.text), write(node.args[0], style), ""), ATOM - 1


def _add(node: Formula, style: Notation) -> tuple[str, int]:
    text = _at_least(node.args[0], SUM, style)
    for i, term in enumerate(node.args[1:], 1):
        negative = term.op == "neg"
        term = term.args[0] if negative else term
        last = i == len(node.args) - 1
        text += style.plain(" − " if negative else " + ") + _at_least(
            term, BIG if last or term.op == "sum" else PRODUCT, style
        )
    return text, SUM


def _sub(node: Formula, style: Notation) -> tuple[str, int]:
    return _at_least(node.args[0], SUM, style) + style.plain(" − ") + _at_least(node.args[1], BIG, style), SUM


def _neg(node: Formula, style: Notation) -> tuple[str, int]:
    return style.plain("−") + _at_least(node.args[0], PRODUCT, style), SUM


def _mul(node: Formula, style: Notation) -> tuple[str, int]:
    factors = [
        _at_least(x, PRODUCT if x.op != "sum" or i + 1 < len(node.args) else BIG, style)
        for i, x in enumerate(node.args)
    ]
    text = factors[0]
    for previous, factor, x in zip(node.args, factors[1:], node.args[1:], strict=False):
        numbers = x.op == "number" or (previous.op == "div" and style.flat_fractions)
        text += (style.plain(" · ") if numbers else style.times) + factor
    return text, PRODUCT


def _div(node: Formula, style: Notation) -> tuple[str, int]:
    top, bottom = node.args
    if style.flat_fractions:
        return _at_least(top, PRODUCT, style) + "/" + _at_least(bottom, POWER, style), PRODUCT
    return style.fraction(write(top, style), write(bottom, style)), PRODUCT


def _pow(node: Formula, style: Notation) -> tuple[str, int]:
    base, exponent = node.args
    scripted = base.op == "name" and base.args and base.kind not in ("scalar", "const", "data")
    text = _at_least(base, ATOM, style)
    return style.power(style.bracket(text) if scripted else text, write(exponent, style)), POWER


def _call(node: Formula, style: Notation) -> tuple[str, int]:
    args = _all(node.args, style)
    if node.text == "sqrt":
        return style.root(args[0]), ATOM
    return style.call(node.text, args), ATOM


def _sum(node: Formula, style: Notation) -> tuple[str, int]:
    body, *clauses = node.args
    if body.op == "neg":
        return style.plain("−") + style.big(_all(clauses, style), _at_least(body.args[0], PRODUCT, style)), SUM
    return style.big(_all(clauses, style), _at_least(body, PRODUCT, style)), BIG


def _clause(node: Formula, style: Notation) -> tuple[str, int]:
    letter, start, stop = _all(node.args, style)
    whole = letter + style.plain(" = ") + start
    return whole if start == stop else whole + style.plain("..") + stop, SUM


def _matmul(node: Formula, style: Notation) -> tuple[str, int]:
    matrix, vector = node.args
    return _at_least(matrix, ATOM, style) + style.times + _at_least(vector, PRODUCT + 1, style), PRODUCT


def _transposed(node: Formula, style: Notation) -> tuple[str, int]:
    matrix = write(node.args[0], style)
    return style.scripts(style.bracket(matrix) if node.args[0].args else matrix, style.transpose, ""), ATOM


def _slope(node: Formula, style: Notation) -> tuple[str, int]:
    top, bottom = (style.plain("∂") + x for x in _all(node.args, style))
    return (top + "/" + bottom if style.flat_fractions else style.fraction(top, bottom)), PRODUCT


def _law(node: Formula, style: Notation) -> tuple[str, int]:
    left, mean, variance = _all(node.args, style)
    return left + style.plain(" ∼ ") + style.call("N", (mean, variance)), 0


def _relation(sign: str) -> Callable[[Formula, Notation], tuple[str, int]]:
    def rule(node: Formula, style: Notation) -> tuple[str, int]:
        left, right = node.args
        return _at_least(left, SUM, style) + style.plain(sign) + _at_least(right, SUM, style), 0

    return rule


_RULES: dict[str, Callable[[Formula, Notation], tuple[str, int]]] = {
    "number": lambda n, s: (s.number(n.text), ATOM),
    "code": lambda n, s: (s.code(n.text), ATOM),
    "name": _name,
    "adjoint": _adjoint,
    "Z": _z,
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "mod": lambda n, s: (_at_least(n.args[0], POWER, s) + s.plain(" mod ") + _at_least(n.args[1], POWER, s), PRODUCT),
    "call": _call,
    "sum": _sum,
    "each": lambda n, s: (s.plain(", ").join(_all(n.args[:1], s)), ATOM),
    "clause": _clause,
    "below": _relation(" < "),
    "among": _relation(" ∈ "),
    "list": lambda n, s: (s.square(s.plain(", ").join(_all(n.args, s))), ATOM),
    "pick": lambda n, s: (s.scripts(write(n.args[0], s), "", s.plain(",").join(_all(n.args[1:], s))), ATOM),
    "matmul": _matmul,
    "transposed": _transposed,
    "avg": lambda n, s: (s.call("avg", _all(n.args, s)), ATOM),
    "E": lambda n, s: (s.plain("E") + s.square(write(n.args[0], s)), ATOM),
    "slope": _slope,
    "inner": lambda n, s: (s.inner(*_all(n.args, s)), ATOM),
    "cov": lambda n, s: (s.call("Cov", _all(n.args, s)), ATOM),
    "var": lambda n, s: (s.call("Var", _all(n.args, s)), ATOM),
    "eq": _relation(" = "),
    "to": _relation(" → "),
    "near": _relation(" ≈ "),
    "law": _law,
}


# ---------------------------------------------------------------------------------------------- text


def _text_scripts(base: str, upper: str, lower: str) -> str:
    def braced(text: str) -> str:
        return text if len(text) == 1 else f"{{{text}}}"

    return base + (f"_{braced(lower)}" if lower else "") + (f"^{braced(upper)}" if upper else "")


def _text_power(base: str, exponent: str) -> str:
    if exponent.isdigit():
        return base + exponent.translate(_SUPERSCRIPT)
    return f"{base}^{exponent}" if exponent.isalnum() else f"{base}^({exponent})"


TEXT = Notation(
    name=greek,
    code=lambda text: text,
    number=lambda text: f"({text})" if "±" in text else text,
    scripts=_text_scripts,
    z=lambda mark: {"": "Z", "hat": "Ẑ", "dot": "Ż"}[mark],
    fraction=lambda a, b: f"({a})/({b})",
    power=_text_power,
    root=lambda x: f"√{x}" if x.isalnum() else f"√({x})",
    call=lambda name, args: f"{greek(name)}({', '.join(args)})",
    bracket=lambda x: f"({x})",
    square=lambda x: f"[{x}]",
    inner=lambda a, b: f"⟨{a}, {b}⟩",
    big=lambda clauses, body: f"Σ_{{{', '.join(clauses)}}} {body}" if clauses else f"Σ {body}",
    plain=lambda text: text,
    times=" ",
    prime="′",
    transpose="⊤",
    flat_fractions=True,
)


# ---------------------------------------------------------------------------------------------- LaTeX

_PLAIN_LATEX = {
    " = ": " = ", " + ": " + ", " − ": " - ", "−": "-", " · ": r" \cdot ", " → ": r" \to ", " ∼ ": r" \sim ", " ≈ ": r" \approx ", " ± ": r" \pm ", " < ": " < ", " ∈ ": r" \in ", "..": r", \dots, ",
    "∂": r"\partial ", "E": r"\mathbb{E}", "d": r"\mathrm{d}", " mod ": r" \bmod ", ", ": ", ", ",": ",",
}  # fmt: skip


def latex_letters(text: str) -> str:
    """A user's word inside mathematics: Greek letters by name, other foreign ones by their code points."""
    head, _, tail = greek(text).partition("_")
    word = "".join(_latex_letter(c) for c in head)
    plain = word if len(head) == 1 else rf"\mathrm{{{word}}}"
    return plain + (rf"_{{{latex_letters(tail)}}}" if tail else "")


_VARIANT = {"ε": r"\epsilon ", "ο": "o"}


def _latex_letter(c: str) -> str:
    if c.isascii():
        return c if c.isalnum() else rf"\{c}" if c in "#$%&_{}" else ""
    if c == "·":
        return r"\cdot "
    words = unicodedata.name(c, "").split()
    if words[:1] == ["GREEK"] and len(words) == 4 and c not in _VARIANT:
        word = {"LAMDA": "lambda"}.get(words[3], words[3].lower())
        return (
            f"\\{word} " if words[1] == "SMALL" else f"\\{word.capitalize()} " if word in _CAPITALS else word[0].upper()
        )
    return _VARIANT.get(c, rf"\mathrm{{U{ord(c):X}}}")


_CAPITALS = {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"}
_LATEX_TEXT = {
    "\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}", "√": r"$\surd$", "′": r"$'$", "→": r"$\to$", "·": r"$\cdot$",
    "§": r"\S ", "–": "--", "—": "---", "…": r"\dots{}", "’": "'", "‘": "`", "“": "``", "”": "''", "⟨": r"$\langle$", "⟩": r"$\rangle$",
    "²": r"$^2$", "∂": r"$\partial$", "Σ": r"$\Sigma$", "Ẑ": r"$\hat{Z}$", "Ż": r"$\dot{Z}$", "⊤": r"$\top$", "≥": r"$\geq$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def latex_text(text: str) -> str:
    """Any text as LaTeX that pdflatex takes, in roman or typewriter type."""
    return "".join(_latex_character(c) for c in text)


def _latex_character(c: str) -> str:
    if c in _LATEX_TEXT:
        return _LATEX_TEXT[c]
    if c in "#$%&_{}":
        return "\\" + c
    if c.isascii() or (c.isprintable() and ord(c) < 0x180):
        return c if c.isprintable() else " "
    return f"${_latex_letter(c)}$"


def _latex_call(name: str, args: Sequence[str]) -> str:
    inside = ", ".join(args)
    if name == "N":
        return rf"\mathcal{{N}}\left({inside}\right)"
    if name == "abs":
        return rf"\left|{inside}\right|"
    if name in _FUNCTIONS:
        return rf"\{name}\left({inside}\right)"
    head = greek(name)
    written = (
        latex_letters(name)
        if len(head.partition("_")[0]) == 1
        else rf"\operatorname{{{''.join(map(_latex_letter, head))}}}"
    )
    return rf"{written}\left({inside}\right)"


def _latex_scripts(base: str, upper: str, lower: str) -> str:
    if lower and "_" in base:
        base = f"{{{base}}}"
    return base + (f"_{{{lower}}}" if lower else "") + (f"^{{{upper}}}" if upper else "")


def _latex_number(text: str) -> str:
    written = (
        re.sub(r"e([+-]?)0*(\d+)", r" \\cdot 10^{\1\2}", text)
        .replace("^{+", "^{")
        .replace("±", r"\pm")
        .replace("−", "-")
    )
    return f"({written})" if "±" in text else written


LATEX = Notation(
    name=latex_letters,
    code=lambda text: rf"\text{{\texttt{{{latex_text(text)}}}}}",
    number=lambda text: _latex_number(text),
    scripts=_latex_scripts,
    z=lambda mark: {"": "Z", "hat": r"\hat{Z}", "dot": r"\dot{Z}"}[mark],
    fraction=lambda a, b: rf"\frac{{{a}}}{{{b}}}",
    power=lambda base, exponent: f"{base}^{{{exponent}}}",
    root=lambda x: rf"\sqrt{{{x}}}",
    call=_latex_call,
    bracket=lambda x: rf"\left({x}\right)",
    square=lambda x: rf"\left[{x}\right]",
    inner=lambda a, b: rf"\langle {a}, {b} \rangle",
    big=lambda clauses, body: rf"\sum_{{{', '.join(clauses)}}} {body}" if clauses else rf"\sum {body}",
    plain=lambda text: _PLAIN_LATEX.get(text, text),
    times=r" \, ",
    prime="'",
    transpose=r"\top",
)


# ---------------------------------------------------------------------------------------------- MathML


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _mo(text: str) -> str:
    return f"<mo>{html.escape(text)}</mo>"


def _mathml_name(text: str) -> str:
    head, _, tail = greek(text).partition("_")
    base = f"<mi>{html.escape(head)}</mi>"
    return f"<msub>{base}<mi>{html.escape(tail)}</mi></msub>" if tail else base


def _mathml_scripts(base: str, upper: str, lower: str) -> str:
    if upper and lower:
        return f"<msubsup>{_row(base)}{_row(lower)}{_row(upper)}</msubsup>"
    if upper:
        return f"<msup>{_row(base)}{_row(upper)}</msup>"
    return f"<msub>{_row(base)}{_row(lower)}</msub>" if lower else base


_WITH_INDEX = re.compile(r"<msub>(<mi>[^<]*</mi>)(<mi>[^<]*</mi>)</msub>")


def _mathml_power(base: str, exponent: str) -> str:
    """A power; over a letter with an index it stands above the index, not behind it."""
    found = _WITH_INDEX.fullmatch(base)
    if found is not None:
        return f"<msubsup>{found[1]}{found[2]}{_row(exponent)}</msubsup>"
    return f"<msup>{_row(base)}{_row(exponent)}</msup>"


def _fenced(left: str, inside: str, right: str) -> str:
    return _row(_mo(left), inside, _mo(right))


def _mathml_call(name: str, args: Sequence[str]) -> str:
    inside = "<mo>,</mo>".join(args)
    if name == "abs":
        return _fenced("|", inside, "|")
    return _row(_mathml_name(name), "<mo>&#8289;</mo>", _fenced("(", inside, ")"))


def _mathml_plain(text: str) -> str:
    if text in ("E", "d"):
        return f"<mi mathvariant='normal'>{text}</mi>"
    if text == " mod ":
        return "<mspace width='.4em'/><mi>mod</mi><mspace width='.4em'/>"
    return "<mo>…</mo>" if text == ".." else _mo(text.strip() or text)


MATHML = Notation(
    name=_mathml_name,
    code=lambda text: f"<mtext>{html.escape(text)}</mtext>",
    number=lambda text: _fenced("(", f"<mn>{text}</mn>", ")") if "±" in text else f"<mn>{html.escape(text)}</mn>",
    scripts=_mathml_scripts,
    z=lambda mark: {
        "": "<mi>Z</mi>",
        # As accents, fonts without a table for mathematics put marks into the letter, where a dot cannot be seen.
        "hat": "<mover accent='false'><mi>Z</mi><mo stretchy='false'>ˆ</mo></mover>",
        "dot": "<mover accent='false'><mi>Z</mi><mo stretchy='false' mathsize='150%'>˙</mo></mover>",
    }[mark],
    fraction=lambda a, b: f"<mfrac>{_row(a)}{_row(b)}</mfrac>",
    power=_mathml_power,
    root=lambda x: f"<msqrt>{x}</msqrt>",
    call=_mathml_call,
    bracket=lambda x: _fenced("(", x, ")"),
    square=lambda x: _fenced("[", x, "]"),
    inner=lambda a, b: _fenced("⟨", f"{a}<mo>,</mo>{b}", "⟩"),
    big=lambda clauses, body: _row(
        f"<munder><mo>∑</mo>{_row('<mo>,</mo>'.join(clauses))}</munder>" if clauses else "<mo>∑</mo>", body
    ),
    plain=_mathml_plain,
    times="<mspace width='.17em'/>",
    prime="<mo>′</mo>",
    transpose="<mo>⊤</mo>",
)
