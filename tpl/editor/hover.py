"""What is said of a name under the cursor: what it is, where it comes from, what it becomes in the limit."""

from collections.abc import Iterable, Sequence

from tpl.editor.analysis import Analysis, Limit, LimitByRow
from tpl.editor.words import Word, words
from tpl.language.source import Source, Span
from tpl.language.symbols import Place, Symbol

MOST_PLACES = 4  # of a family that are quoted
MOST_EQUATIONS = 12

_KINDS = {
    "const": "constant", "def": "function", "width": "width, which goes to infinity", "data": "data",
    "size": "size of the data", "network": "network", "input": "input", "param": "parameter", "random": "random array",
    "value": "value", "loop": "variable of a loop", "parameter": "parameter of a function",
}  # fmt: skip


def about_symbol(source: Source, analysis: Analysis, symbol: Symbol, limit: LimitByRow | None) -> str:
    """Markdown about a name of the program. limit: None while it is not known; programs with mistakes have none."""
    parts = [_heading(symbol, analysis.meaning(symbol)), _sources(source, symbol)]
    if has_limit(analysis, symbol):
        parts.append(_limit(symbol, limit))
    return "\n\n".join(x for x in parts if x)


def has_limit(analysis: Analysis, symbol: Symbol) -> bool:
    """May a limit be told of it, statement by statement?"""
    return not analysis.diagnostics and symbol.kind in ("param", "random", "value")


def about_word(name: str) -> str | None:
    """Markdown about a word of the language; None if it is none."""
    found = [x for x in words() if x.name == name]
    return "\n\n".join(map(_word, found)) or None


def _word(word: Word) -> str:
    group = {"choice": "choice of a setting", "setting": "setting of training", "measure": "measure of training"}
    return (
        f"```tp\n{word.usage}\n```\n\n{group.get(word.group, word.group)}: {word.doc.replace(chr(10), '  ' + chr(10))}"
    )


def _heading(symbol: Symbol, meaning: str) -> str:
    where = f" of network `{symbol.network}`" if symbol.network else ""
    kind = _KINDS[symbol.kind] + where
    return f"**`{symbol.name}`** — {kind}" + (f": {meaning}" if meaning and meaning not in kind else "")


def _sources(source: Source, symbol: Symbol) -> str:
    quoted = [_quoted(source, place) for place in symbol.places[:MOST_PLACES]]
    width = max(len(text) for text, _ in quoted)
    rows = [f"{text:<{width}}  # {where}" for text, where in quoted]
    more = len(symbol.places) - len(rows)
    return "\n".join(["```tp", *rows, *([f"# and {more} more"] if more else []), "```"])


def _quoted(source: Source, place: Place) -> tuple[str, str]:
    loops = ", ".join(_without_for(source.slice(x)) for x in place.clauses)
    return source.slice(place.statement).strip(), f"line {place.statement.line}" + (f", {loops}" if loops else "")


def _without_for(clause: str) -> str:
    return clause.removeprefix("for ").strip()


def _limit(symbol: Symbol, limit: LimitByRow | None) -> str:
    if limit is None:
        return "*In the limit*: being derived; look again in a moment."
    if limit.refusal:
        return f"*In the limit*: {limit.refusal}"
    found = [x for row in _rows(symbol.places) for x in limit.rows.get(row, ())]
    if not found:
        return ""
    rules = list(dict.fromkeys(rule for x in found if x.rule for rule in x.rule.split("; ")))
    equations = _equations(found)
    code = "```text\n" + "\n".join(equations) + "\n```" if equations else ""
    said = "*In the limit*" + (f": {'; '.join(rules)}" if rules else "")
    return "\n\n".join(x for x in (said, code) if x)


def _rows(places: Iterable[Place]) -> list[int]:
    return list(dict.fromkeys(x.statement.line for x in places))


def _equations(found: Sequence[Limit]) -> list[str]:
    equations = list(dict.fromkeys(x for limit in found for x in limit.equations))
    more = len(equations) - MOST_EQUATIONS
    return [*equations[:MOST_EQUATIONS], *([f"… {more} more: tpl derive --explain"] if more > 0 else [])]


def word_at(source: Source, line: int, column: int) -> tuple[str, Span] | None:
    """The word that covers a place, whatever it is, and its span; comments and strings have words, too."""
    text = source.lines[line - 1] if line <= len(source.lines) else ""
    start = stop = min(column - 1, len(text))
    while start > 0 and _inside(text[start - 1]):
        start -= 1
    while stop < len(text) and _inside(text[stop]):
        stop += 1
    return (text[start:stop], Span(line, start + 1, line, stop + 1)) if start < stop else None


def _inside(character: str) -> bool:
    return character == "_" or character.isalnum()
