"""What an editor wants to know of a program as it stands, half-written or not: its mistakes, its names, their meanings.

All of it is data that travels between processes as JSON. Nothing here is drawn from files: a text is all it takes.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from tpl.core.elaborate import Limits, elaborate
from tpl.core.functions import CALLABLE
from tpl.core.meanings import Meanings
from tpl.language.check import check, merge
from tpl.language.parse import parse
from tpl.language.source import Diagnostic, Source, Span, TplError
from tpl.language.symbols import Place, Symbol, Symbols, find_symbols
from tpl.pipeline import compile_program

_FUNCTIONS = {name: record.arity for name, record in CALLABLE.items()}


@dataclass(frozen=True)
class Analysis:
    """Mistakes, names, and what is known of the names, by network ("" for global ones). whole: elaborated to the end?"""

    diagnostics: tuple[Diagnostic, ...]
    symbols: Symbols
    meanings: dict[str, dict[str, str]]
    whole: bool = True

    def meaning(self, symbol: Symbol) -> str:
        """What a symbol stands for, in words; "" if that is not known."""
        return self.meanings.get(symbol.network or "", {}).get(symbol.name, "")


def analyse(text: str, limits: Limits = Limits()) -> Analysis:
    """All mistakes that `tpl check` would find, the names, and what they stand for as far as that can be told."""
    source, meanings = Source(text), Meanings()
    file, problems, lost = parse(source)
    found: Sequence[Diagnostic] = ()
    try:
        compile_program(source, limits=limits, meanings=meanings)
    except TplError as error:
        found = error.diagnostics
    if lost:  # not elaborated: for the meanings of what could be read, whatever is said of it
        with suppress(Exception):
            elaborate(file, source, {}, limits, problems, meanings=meanings)
    return Analysis(tuple(found), find_symbols(file), meanings.words)


def analyse_names(text: str) -> Analysis:
    """Mistakes of syntax and names alone, for programs whose elaboration takes long."""
    source = Source(text)
    file, problems, lost = parse(source)
    found = merge(problems, check(file, lost, functions=_FUNCTIONS))
    return Analysis(tuple(found), find_symbols(file), {}, whole=False)


@dataclass(frozen=True)
class Limit:
    """What a statement becomes: its rule and equations, in the notation of `tpl derive --explain`."""

    rule: str
    equations: tuple[str, ...]


@dataclass(frozen=True)
class LimitByRow:
    """The limit, statement by statement, by the row on which each begins. refusal: why there is none."""

    rows: dict[int, tuple[Limit, ...]]
    refusal: str = ""


def explain_rows(text: str, limits: Limits = Limits()) -> LimitByRow:
    """The limit of a program without mistakes, by row."""
    from tpl.limit.account import BACKWARD, TRAINED_BACKWARD
    from tpl.report.notation import TEXT, write
    from tpl.stages.derive import explain_limit

    source = Source(text)
    try:
        account = explain_limit(source, (), limits, compile_program(source, limits=limits)).account
    except TplError as error:
        return LimitByRow({}, error.diagnostics[0].message)
    rows: dict[int, tuple[Limit, ...]] = {}
    for entry in account.entries:
        word, _, number = entry.where.partition(" ")
        if word == "line" and number.isdecimal() and entry.section not in (BACKWARD, TRAINED_BACKWARD):
            limit = Limit(entry.rule, tuple(write(x, TEXT) for x in entry.becomes))
            rows[int(number)] = (*rows.get(int(number), ()), limit)
    return LimitByRow(rows)


# ---------------------------------------------------------------------------------------------- as JSON


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """An analysis as JSON; spans are lists of four numbers."""
    return asdict(analysis)


def read_analysis(data: dict[str, Any]) -> Analysis:
    """What `analysis_json` wrote."""
    diagnostics = tuple(
        replace(Diagnostic(**x), span=None if x["span"] is None else Span(*x["span"])) for x in data["diagnostics"]
    )
    calls = [(name, Span(*span)) for name, span in data["symbols"]["calls"]]
    symbols = Symbols([_read_symbol(x) for x in data["symbols"]["symbols"]], calls)
    return Analysis(diagnostics, symbols, data["meanings"], data["whole"])


def _read_symbol(data: dict[str, Any]) -> Symbol:
    places = [
        Place(Span(*x["name"]), Span(*x["statement"]), tuple(Span(*c) for c in x["clauses"])) for x in data["places"]
    ]
    body = None if data["body"] is None else (data["body"][0], data["body"][1])
    return Symbol(data["name"], data["kind"], data["network"], places, [Span(*x) for x in data["uses"]], body)


def rows_json(limits: LimitByRow) -> dict[str, Any]:
    """The limit by rows as JSON."""
    return asdict(limits)


def read_rows(data: dict[str, Any]) -> LimitByRow:
    """What `rows_json` wrote."""
    rows = {
        int(row): tuple(Limit(x["rule"], tuple(x["equations"])) for x in found) for row, found in data["rows"].items()
    }
    return LimitByRow(rows, data["refusal"])
