"""The program beside what each of its lines becomes: rows that lead to cards, and cards that lead back."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from tpl.language import syntax as s
from tpl.language.source import Source
from tpl.language.tokens import tokens_of
from tpl.limit.account import Entry
from tpl.report.explanation import ExplanationReport, display, inline, introduction, lead, prose_of
from tpl.report.layout import plain

MOST_LINES = 600  # of a program that is shown
MOST_BYTES = 1_500_000  # of equations; cards after that go without

DECLARED = "Names and sizes"


@dataclass(frozen=True)
class Declared:
    """What is said of a line without a limit of its own."""

    line: int
    text: str
    said: str


@dataclass(frozen=True)
class Listing:
    """A program as it is shown.

    own: its lines, without what --set gives. constants: values by name. inputs: descriptions of data by name.
    """

    source: Source
    file: s.File
    constants: Mapping[str, float]
    inputs: Mapping[str, str]

    @property
    def own(self) -> Sequence[str]:
        """The lines of the text, without what --set put after them."""
        end = self.source.settings_from
        lines = self.source.lines if end is None else self.source.lines[: end - 1]
        return lines[:-1] if lines and not lines[-1].strip() else lines


# ---------------------------------------------------------------------------------------------- declarations


def declared(listing: Listing, taken: frozenset[int]) -> list[Declared]:
    """Statements that no entry of the account speaks of, each with what it is. taken: lines that entries speak of."""
    found = [x for node in listing.file.statements for x in _declared(node, listing)]
    return [x for x in sorted(found, key=lambda x: x.line) if x.line not in taken]


def _declared(node: s.Statement | s.Setting, listing: Listing) -> Iterator[Declared]:
    line, text, given = node.span.line, listing.source.slice(node.span), ""
    if line > len(listing.own):
        given = ", by --set"
        line = _overridden(node, listing)
    said = _said(node, listing)
    if said and line:
        text = text.removeprefix("const ") if isinstance(node, s.Setting) else text
        yield Declared(line, text.strip(), said + given)
    if isinstance(node, s.Network | s.Loop):
        for x in node.body:
            yield from _declared(x, listing)
    elif isinstance(node, s.Train):
        for setting in node.settings:
            yield from _declared(setting, listing)


def _overridden(node: s.Statement | s.Setting, listing: Listing) -> int:
    """The line whose statement --set has replaced; 0 if there is none."""
    name = re.escape(getattr(node, "name", ""))
    pattern = re.compile(rf"\s*(const\s+|def\s+)?{name}\s*[=(]")
    return next((i for i, x in enumerate(listing.own, 1) if name and pattern.match(x)), 0)


def _said(node: s.Statement | s.Setting, listing: Listing) -> str:
    if isinstance(node, s.Const):
        value = listing.constants.get(node.name)
        return "constant" + (f": {value:.6g}" if value is not None else "")
    if isinstance(node, s.Width):
        return (
            "width: tends to infinity"
            if node.value is None
            else "width: tends to infinity with the others, in this ratio"
        )
    if isinstance(node, s.Data):
        return f"data: {listing.inputs.get(node.name, 'given with --data')}"
    if isinstance(node, s.Loop):
        clause = node.clause
        return f"loop: the equations keep its letter {clause.variable}, and hold for every value of it"
    return {
        s.Def: "function: put in wherever it is called", s.Setting: "setting of the training",
        s.Network: "network: its parameters belong to it, and are the same for every input",
        s.Train: "training: a step is a core program, gradients included, walked through again and again",
        s.Show: "shown: its numbers are below", s.Assign: "a value", s.Draw: "a random array",
        s.Return: "the network's output",
    }.get(type(node), "")  # fmt: skip


# ---------------------------------------------------------------------------------------------- the listing


def anchors(entries: Sequence[Entry], others: Sequence[Declared]) -> dict[int, list[str]]:
    """The cards that speak of each line, in order."""
    found: dict[int, list[str]] = {}
    for i, entry in enumerate(entries):
        if entry.line is not None:
            found.setdefault(entry.line, []).append(f"e{i + 1}")
    for x in others:
        found.setdefault(x.line, []).append(f"d{x.line}")
    return found


def listing_html(listing: Listing, cards: Mapping[int, Sequence[str]]) -> str:
    """The program, a row a line."""
    rows, inside = [], False
    for number, line in enumerate(listing.own[:MOST_LINES], 1):
        quotes = line.count('"""')
        prose = inside or quotes > 0
        inside ^= quotes % 2 == 1
        rows.append(_row(number, line, prose, cards.get(number, ())))
    return f"<ol class='program scroll' tabindex='0' aria-label='The program'>{''.join(rows)}</ol>"


def _row(number: int, line: str, prose: bool, cards: Sequence[str]) -> str:
    text = "".join(c if c.isprintable() else " " for c in line)
    inset = f" style='--in:{len(text) - len(text.lstrip())}'" if text[:1] == " " else ""  # where it goes on if it wraps
    code = f"<span class='d'>{escape(text)}</span>" if prose else _coloured(text)
    if prose or not cards:
        look = " class='doc'" if prose else ""
        return f"<li id='L{number}'{look}><span class='n'>{number}</span><span class='line'{inset}>{code}</span></li>"
    label = f"line {number}: what it becomes"
    more = "".join(
        f"<a class='more' href='#{x}' title='more on this line' aria-label='line {number}: more'>{i}</a>"
        for i, x in enumerate(cards[1:6], 2)
    )
    return (
        f"<li id='L{number}'><a class='n' href='#{cards[0]}' aria-label='{label}'>{number}</a>"
        f"<a class='line code'{inset} href='#{cards[0]}' tabindex='-1'>{code}</a>{more}</li>"
    )


def _coloured(text: str) -> str:
    """Keywords, texts and comments of a line told apart."""
    parts, done = [], 0
    for token in tokens_of(text):
        if token.start < done:
            continue
        parts.append(escape(text[done : token.start]))
        if token.text.startswith("#"):
            parts.append(f"<span class='c'>{escape(text[token.start :])}</span>")
            return "".join(parts)
        kind = {"keyword": "k", "string": "s", "open": "s"}.get(token.kind)
        piece = escape(token.text)
        parts.append(f"<span class='{kind}'>{piece}</span>" if kind else piece)
        done = token.stop
    return "".join([*parts, escape(text[done:])])


# ---------------------------------------------------------------------------------------------- the cards


def cards_html(report: ExplanationReport | None, others: Sequence[Declared]) -> tuple[str, int]:
    """The account as cards under its sections, with the declarations last; and how many cards lack their equations."""
    parts = []
    if report is not None:
        parts += [f"<p>{_prose(x)}</p>" for x in introduction(report.account)]

    def leads(section: str) -> list[str]:
        return [f"<p>{_prose(x)}</p>" for x in lead(section, report.account)] if report is not None else []

    number, size, bare = 0, 0, 0
    for section, entries in groupby(report.account.entries if report is not None else (), key=lambda e: e.section):
        written = [f"<section><h3>{escape(section)}</h3>", *leads(section)]
        for entry in entries:
            number += 1
            whole = size < MOST_BYTES
            bare += not whole
            card = _card(entry, f"e{number}", whole)
            size += len(card)
            written.append(card)
        parts += [*written, "</section>"]
    if others:
        rows = "".join(_declaration(x) for x in others)
        parts.append(f"<section class='declared'><h3>{DECLARED}</h3>{rows}</section>")
    return "".join(parts), bare


def _prose(sentence: Sequence) -> str:
    return prose_of(tuple(sentence), escape, inline)


def _declaration(x: Declared) -> str:
    return (
        f"<article class='card' id='d{x.line}'><h4><a class='where' href='#L{x.line}'>line {x.line}</a>"
        f"<code>{escape(plain(x.text))}</code> <span class='small soft'>{escape(plain(x.said))}</span></h4></article>"
    )


def _card(entry: Entry, name: str, whole: bool) -> str:
    condition = ", ".join(map(inline, entry.clauses))
    back = (
        f"<a class='where' href='#L{entry.line}'>{escape(entry.where)}</a>"
        if entry.line
        else f"<span>{escape(entry.where)}</span>"
    )
    parts = [f"<article class='card' id='{name}'><h4>{back}<code>{escape(plain(entry.text))}</code>"]
    parts.append(f"<span class='small soft'>{condition}</span></h4>" if condition else "</h4>")
    if entry.rule:
        parts.append(f"<p class='rule'>{escape(entry.rule)}</p>")
    if not whole and (entry.becomes or entry.why):
        parts.append("<p class='small soft'>Left out here; <code>tpl derive --explain</code> has it.</p>")
    elif whole:
        parts += map(display, entry.becomes)
        if entry.why:
            parts.append(f"<ul class='why'>{''.join(f'<li>{_prose(x)}</li>' for x in entry.why)}</ul>")
    return "".join([*parts, "</article>"])
