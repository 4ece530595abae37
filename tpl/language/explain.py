"""What is wrong with a line that is not of the language, and what to write instead.

A line comes as text, with the offset at which the grammar gave up. Explanations are tried from the most telling to the
least: brackets, words and signs of other languages, the form of the statement, the two tokens that do not fit.
"""

import re
from collections.abc import Iterable
from itertools import pairwise

from tpl.language import foreign
from tpl.language.layout import Brackets
from tpl.language.tokens import Explanation, Token, Trouble, short, tokens_of


def explain(text: str, at: int, alone: bool) -> Explanation:
    """at: the offset where the grammar gave up. alone: the line would do as an expression."""
    tokens = tokens_of(text)
    number = next((i for i, t in enumerate(tokens) if t.stop > at), len(tokens))
    trouble = Trouble(text, tokens, number, alone)
    for look in (
        foreign.foreign_statement,
        _misspelt,
        _brackets,
        foreign.foreign_sign,
        _statement,
        _does_nothing,
        _two_tokens,
    ):
        found = look(trouble)
        if found is not None:
            return found
    return _anything(trouble)


ANY = "*"
_GIVES = ("=", "~", ":", "==", ":=", "<-", *(f"{sign}=" for sign in "+-*/@^%"))


def _misspelt(t: Trouble) -> Explanation | None:
    close = foreign.misspelt_keyword(t.tokens)
    return t.say(0, f"there is no statement `{t.token(0).text}`", f"did you mean `{close}`?") if close else None


def defined_names(text: str) -> set[str]:
    """The names that an unreadable line would have defined, as far as one can tell; `return` and `show` for those.

    ANY where it names something, but what cannot be told.
    """
    tokens = tokens_of(text)
    first = foreign.misspelt_keyword(tokens) or (tokens[0].text if tokens else "")
    first = foreign.MEANT.get(first, first)
    if first in ("return", "show"):
        return {first}
    if first == "train":
        return set()
    if first == "network":
        return {t.text for t in tokens if t.kind == "name"}
    stop = next((i for i, t in enumerate(tokens) if t.text in _GIVES or t.text == "in"), None)
    if stop is None and (first in foreign.STATEMENTS or first == "for" or len(tokens) < 2):
        return set()
    if first in ("data", "random"):
        return {t.text for t in tokens[:stop] if t.kind == "name"}
    outside = _outside_brackets(tokens)
    if first == "for" or [x.text for x in tokens[1:2]] == ["in"]:  # its block may stand on the same line
        return {tokens[i].text for i in outside if tokens[i].kind == "name"}
    assigned = {
        tokens[i].text for i, sign in pairwise(outside) if tokens[i].kind == "name" and tokens[sign].text in "=~"
    }
    if stop is not None and any(_illegible(tokens[i]) for i in outside if i < stop):
        assigned.add(ANY)
    found = [tokens[i].text for i in outside if tokens[i].kind == "name" and (stop is None or i < stop)]
    return assigned | set(found if stop is not None else found[:1])


def _illegible(token: Token) -> bool:
    """Is this no part of any name that could get a value?"""
    return token.kind in ("broken", "open") or (token.kind == "sign" and token.text not in ("(", "[", ")", "]", ","))


def _outside_brackets(tokens: list[Token]) -> list[int]:
    """The places of tokens that stand in no bracket."""
    found, depth = [], 0
    for i, token in enumerate(tokens):
        depth += token.text in ("(", "[")
        if depth <= 0:
            found.append(i)
        depth -= token.text in (")", "]")
    return found


# ---------------------------------------------------------------------------------------------- brackets


def _brackets(t: Trouble) -> Explanation | None:
    brackets, wrong = Brackets(), None
    for i, token in enumerate(t.tokens):
        if i <= t.at and i < len(t.tokens) and foreign.foreign_token(t, i, token) is not None:
            return None  # what comes first is told first
        if token.text in ("(", "[", ")", "]"):
            wrong = brackets.meet(token.text, i)
            if wrong is not None:
                break
    if wrong is None and brackets.open:
        wrong = brackets.open[-1][1]
    if wrong is None:
        return None
    sign = t.token(wrong).text
    if sign in ")]" and brackets.open:
        opened = brackets.open[-1][0]
        partner = ")" if opened == "(" else "]"
        return t.say(wrong, f"this `{sign}` cannot close the `{opened}` before it", f"write `{partner}`, or close both")
    if sign in ")]":
        return t.say(
            wrong, f"this `{sign}` closes nothing", f"remove it, or add the `{Brackets.PARTNER[sign]}` it belongs to"
        )
    return t.say(wrong, f"this `{sign}` is never closed", "add the `)`" if sign == "(" else "add the `]`")


# ---------------------------------------------------------------------------------------------- statements


def _statement(t: Trouble) -> Explanation | None:
    look = _STATEMENTS.get(t.token(0).text)
    if t.kind(0) == "keyword" and t.is_(1, "=") and not t.is_(0, "show", "return"):
        return _reserved(t, 0)
    if look is not None:
        return look(t)
    return None if t.kind(0) == "keyword" else _assignment(t)


def _named(t: Trouble, what: str, example: str) -> Explanation | None:
    """The keyword must be followed by a name."""
    if t.kind(1) == "keyword":
        return _reserved(t, 1)
    if t.kind(1) != "name":
        return t.say(1, f"{what} needs a name", example)
    return None


def _reserved(t: Trouble, i: int) -> Explanation:
    return t.say(i, f"`{t.token(i).text}` is a keyword, and cannot be a name", "choose another name")


def _const(t: Trouble) -> Explanation | None:
    example = "for instance `const L = 3`"
    if found := _named(t, "a const", example):
        return found
    if t.is_(2, "("):
        return t.say(
            2, "a const is a number, and has no parameters", f"a function is a def: `def {t.token(1).text}(z) = …`"
        )
    if t.is_(2, "["):
        return t.say(2, "a const has no index", "a list of numbers is a const too: `const a = [1, 2, 3]`")
    if not t.is_(2, "="):
        return t.say(2, f"a `=` is missing after `{t.token(1).text}`", f"write `{t.upto(1)} = …`")
    return None


def _def(t: Trouble) -> Explanation | None:
    example = "for instance `def phi(z) = relu(z)`"
    if found := _named(t, "a def", example):
        return found
    if not t.is_(2, "("):
        name = t.token(1).text
        return t.say(
            2, f"`{name}` needs its parameters in parentheses", f"write `def {name}(z) = …`; a number is a `const`"
        )
    close = t.closing(2)
    for i in range(3, close):
        if t.kind(i) == "keyword":
            return _reserved(t, i)
        if t.kind(i) != "name" and not t.is_(i, ","):
            return t.say(i, "the parameters of a def are names", example)
    if t.is_(close + 1, ":"):
        return t.say(close + 1, "a def is one line, with `=`", f"write `{t.upto(close)} = …`")
    if t.at <= close + 1 and not t.is_(close + 1, "="):
        return t.say(close + 1, "a `=` is missing after the parameters", f"write `{t.upto(close)} = …`")
    return None


def _width(t: Trouble) -> Explanation | None:
    if found := _named(t, "a width", "for instance `width n`"):
        return found
    if t.is_(2, ","):
        return t.say(2, "declare one width a line", "further ones are multiples of the first: `width m = 2 * n`")
    if t.at == 2 and not t.is_(2, "="):
        return t.say(
            2, "a width is declared by its name alone, or as a multiple of another", "`width n`, `width m = 2 * n`"
        )
    return None


def _data(t: Trouble) -> Explanation | None:
    name = t.token(1).text
    if found := _named(t, "`data`", "for instance `data X[N, d] = sphere(4, 10)`"):
        return found
    if not t.is_(2, "["):
        return t.say(2, f"the sizes of `{name}` are missing", f"for instance `data {name}[N, d] = sphere(4, 10)`")
    close = t.closing(2)
    if t.at == close + 1:
        return t.say(close + 1, "a `=` is missing before the data", f"write `{t.upto(close)} = …`")
    return None


def _network(t: Trouble) -> Explanation | None:
    example = "for instance `network f(xi[d]):`"
    if found := _named(t, "a network", example):
        return found
    if not t.is_(2, "("):
        return t.say(2, f"the inputs of `{t.token(1).text}` are missing", f"write `{t.upto(1)}(xi[d]):`")
    close = t.closing(2)
    if t.at > close:
        return _after_heading(t, close + 1)
    if t.kind(t.at) == "keyword":
        return _reserved(t, t.at)
    if close == 3:
        return t.say(3, "a network needs an input", f"write `{t.upto(1)}(xi[d]):`")
    if t.kind(t.at - 1) == "name" and t.is_(t.at, ":", ",", ")"):
        name = t.token(t.at - 1).text
        return t.say(t.at - 1, f"the size of the input `{name}` is missing", f"write `{name}[d]`")
    return None


def _train(t: Trouble) -> Explanation | None:
    """`train NAME on NAME, …, NAME:`"""
    if t.is_(1, "("):
        names = [x.text for x in t.tokens[2 : t.closing(1)] if x.kind == "name"] or ["f"]
        example = f"train {names[0]} on {', '.join(names[1:]) if len(names) > 2 else 'X, y'}:"
        return t.say(1, "`train` begins a block, and takes no parentheses", f"write `{example}`, its settings below")
    if t.is_(1, "="):
        return _reserved(t, 0)
    if t.kind(1) == "keyword":
        return _reserved(t, 1)
    if t.kind(1) != "name":
        return t.say(1, "a network and its data are missing", "for instance `train f on X, y:`")
    f = t.token(1).text
    if t.is_(2, "("):
        data = " ".join(t.text[t.token(3).start : t.token(t.closing(2)).start].split()) or "X, y"
        return t.say(2, "the data of a training follow `on`", f"write `train {f} on {data}:`")
    if not t.is_(2, "on"):
        return t.say(2, f"`on` and the data are missing after `{f}`", f"write `train {f} on X, y:`")
    i = 3
    while t.kind(i) == "name" and t.is_(i + 1, ","):
        i += 2
    if t.kind(i) == "keyword":
        return _reserved(t, i)
    if t.kind(i) != "name":
        what = "data are missing here" if i == 3 else "the targets are missing here"
        return t.say(i, what, f"inputs, then targets: `{t.upto(i - 1)} X, y:`" if i == 3 else f"`{t.upto(i - 1)} y:`")
    if t.is_(i + 1, "["):
        return t.say(i + 1, "a network is trained on data as they are", "give the part of them a name of its own")
    if i == 3 and (t.is_(4, ":") or t.kind(4) == "end"):
        return t.say(3, "the targets are missing", f"the last name is that of the targets: `{t.upto(3)}, y:`")
    if t.kind(i + 1) == "name" and t.at == i + 1:
        return t.say(i + 1, f"a `,` is missing after `{t.token(i).text}`", "inputs and targets stand apart: `X, y`")
    return _after_heading(t, i + 1)


def _after_heading(t: Trouble, i: int) -> Explanation | None:
    """What stands after a heading's own words: its colon, and then perhaps a statement."""
    colon = t.find(":")
    if colon is None and t.at == i:
        return t.say(i, "a `:` is missing here", "it ends the heading; the block below is indented")
    if colon is not None and t.at == colon + 1 and t.kind(t.at) == "keyword":
        word = t.token(t.at).text
        return t.say(t.at, f"`{word}` cannot stand on the heading's line", "put it on its own line, indented")
    return None


def _for(t: Trouble) -> Explanation | None:
    example = "for instance `for i in 1..3:`"
    if t.is_(1, "("):
        return t.say(1, "a loop is written without parentheses", example)
    if found := _named(t, "a loop", example):
        return found
    if t.is_(2, ","):
        return t.say(2, "a loop has one variable", "put a second loop inside it")
    if t.is_(2, "="):
        return t.say(2, "a loop's range follows `in`, not `=`", f"for instance `for {t.token(1).text} in 1..3:`")
    if not t.is_(2, "in"):
        return t.say(2, f"`in` is missing after `{t.token(1).text}`", example)
    return _range(t, 3)


def _range(t: Trouble, i: int) -> Explanation | None:
    """What follows the `in` of a loop or of a comprehension."""
    hint = "ranges are written `1..3`, and hold both ends"
    if t.is_(i, "range") and t.is_(i + 1, "("):
        return t.say(i, "`range` is not part of the language", hint, t.closing(i + 1))
    if t.is_(i, "["):
        return t.say(i, "loops go over ranges, not lists", hint)
    if t.at >= len(t.tokens):
        return t.say(t.at, "the range stops too early", hint) if t.find("..") is None else None
    if t.is_(t.at, ",", ":", "to", "for", ")", "do") and not any(x.text == ".." for x in t.tokens[i : t.at]):
        return t.say(t.at, "a range is missing its `..`", hint)
    return _after_heading(t, t.at) if t.is_(0, "for") and t.kind(t.at) in ("name", "keyword") else None


def _draw(t: Trouble) -> Explanation | None:
    word = t.token(0).text
    example = f"for instance `{word} W : [n, n] ~ N(0, 1 / n)`"
    if t.is_(1, "(") and word == "random":
        after = t.closing(1) + 1
    elif found := _named(t, f"`{word}`", example):
        return found
    else:
        after = t.closing(2) + 1 if t.is_(2, "[") else 2
    if t.is_(after, ","):
        hint = "vectors with a joint law: `random (x, y) : [n] ~ …`" if word == "random" else None
        return t.say(after, "draw one array a line", hint)
    if t.is_(after, "~", "=") or after >= len(t.tokens):
        shape = f"for instance `{word} {t.token(1).text} : [n, n] ~ N(0, 1 / n)`"
        return t.say(after, f"a `:` and the shape of `{t.token(1).text}` are missing here", shape)
    if t.is_(after, "["):
        return t.say(after, "a `:` is missing before the shape", f"write `{t.upto(after - 1)} : […] ~ …`")
    if t.is_(after, ":") and not t.is_(after + 1, "["):
        return t.say(
            after + 1,
            "a shape stands in brackets",
            f"vectors are `{word} x : [n] ~ …`, matrices `{word} W : [n, n] ~ …`",
        )
    close = t.closing(after + 1) if t.is_(after, ":") else after
    if t.is_(after, ":") and t.is_(close + 1, "="):
        return t.say(close + 1, "a law follows `~`, not `=`", f"write `{t.upto(close)} ~ …`")
    if t.is_(after, ":") and t.is_(close + 1, "rate") and word == "param":
        return t.say(close + 1, "the rate stands last", f"write `{t.upto(close)} ~ N(0, …) rate …`")
    if t.is_(after, ":") and t.at == close + 1:
        return t.say(close + 1, "a `~` and a law are missing here", f"write `{t.upto(close)} ~ N(0, …)`")
    return _rate(t, close + 1) if word == "param" and t.is_(close + 1, "~") else None


def _rate(t: Trouble, law: int) -> Explanation | None:
    """`rate` and a number, after the law that begins at a token."""
    end = t.closing(law + 2) + 1 if t.is_(law + 2, "(") else len(t.tokens)
    if t.at == end and t.is_(end, ",") and t.is_(end + 1, "rate"):
        return t.say(end, "no `,` stands before `rate`", f"write `{t.upto(end - 1)} rate …`")
    if t.is_(end, "rate") and t.at == end + 1 and (t.is_(t.at, "=", ":") or t.kind(t.at) == "end"):
        what = "the number is missing after `rate`" if t.kind(t.at) == "end" else "a number follows `rate` at once"
        return t.say(t.at, what, f"for instance `{t.upto(end)} 1 / n`")
    if t.at == end and t.kind(end) == "name":
        return t.say(end, f"`{t.token(end).text}` cannot stand after a law", f"a rate can: `{t.upto(end - 1)} rate …`")
    return None


def _return(t: Trouble) -> Explanation | None:
    if len(t.tokens) == 1:
        return t.say(1, "it is missing what to return", "a readout of the features: `return v @ x`")
    if t.is_(t.at, ",") and t.find(",") == t.at:
        return t.say(t.at, "a network returns one thing", "several outputs form a list: `return [v @ x, v @ y]`")
    return None


def _show(t: Trouble) -> Explanation | None:
    if len(t.tokens) == 1:
        return t.say(1, "it is missing what to show", "for instance `show avg(x^2)` or `show nngp(f, X)`")
    return None


def _assignment(t: Trouble) -> Explanation | None:
    """A line that begins with no keyword should read `name = …`."""
    name, equals = t.token(0).text, t.find("=")
    if t.is_(1, "(") and equals is not None and t.is_(t.closing(1) + 1, "=") and t.kind(0) == "name":
        return t.say(0, "a function begins with `def`", f"`def {name}(…) = …`")
    after = t.closing(1) + 1 if t.is_(1, "[") else 1
    if t.kind(0) == "name" and t.is_(after, "~", ":") and t.find("~") is not None:
        return t.say(0, "what is drawn from a law begins with `random` or `param`",
                     f"write `random {name} : …`, or `param {name} : …` for a parameter of a network")  # fmt: skip
    if t.is_(after, ","):
        return t.say(after, "give one name a value at a time")
    if t.kind(0) == "name" and t.at == after and t.is_(after, ":") and equals is None and t.kind(after + 1) != "end":
        return t.say(after, "a value follows `=`, not `:`", f"write `{t.upto(after - 1)} = …`")
    if equals is not None and t.at < equals and not t.alone:
        if t.kind(0) == "name" and t.is_(1, ".T"):
            return t.say(0, "only a name gets a value, or a name with an index", f"`A = {name}.T`", equals - 1)
        return t.say(0, "only a name gets a value, or a name with an index", "`h = …`, `h[1] = …`", equals - 1)
    if equals is not None and t.at > equals and t.is_(t.at, "=") and t.find("=") != t.at:
        depth = sum((x.text in "([") - (x.text in ")]") for x in t.tokens[: t.at])
        return t.say(t.at, "a line gives one name its value") if depth == 0 else None
    if t.kind(0) == "name" and t.is_(1, "in"):
        return t.say(0, "a loop begins with `for`", f"`for {name} in …:`")
    if (
        equals is None
        and t.kind(0) == "name"
        and t.at == after
        and t.kind(after) in ("name", "number", "string", "keyword")
    ):
        return t.say(
            after,
            f"is a `=` missing after `{t.text[: t.token(after - 1).stop].strip()}`?",
            f"`{name} = …` gives it a value",
        )
    return None


_STATEMENTS = {
    "const": _const, "def": _def, "width": _width, "data": _data, "network": _network, "for": _for, "train": _train, "param": _draw,
    "random": _draw, "return": _return, "show": _show,
}  # fmt: skip


def _does_nothing(t: Trouble) -> Explanation | None:
    if t.alone and t.kind(0) != "keyword":
        return t.say(0, "this line does nothing", "give the value a name, `y = …`, or `show` it", len(t.tokens) - 1)
    return None


# ---------------------------------------------------------------------------------------------- two tokens

FOR_STANDS = "`x[i] for i in 1..3` stands in `sum(…)`, `avg(…)` or `softmax(…)`, after `show`, or after `return`"
_OPERATORS = ("+", "-", "*", "/", "@", "^", "mod")
_OPERANDS = ("name", "number", "string")


def _two_tokens(t: Trouble) -> Explanation | None:
    before, here = t.token(t.at - 1), t.token(t.at)
    ends = before.kind in _OPERANDS or before.text in (")", "]", ".T")
    if here.kind == "end":
        return _stops_early(t, before)
    if here.text == "..":
        return t.say(t.at, "a range cannot stand here", "it stands in an index, `x[1..3]`, or after `in`")
    if here.text == "for" and ends:
        return t.say(t.at, "`for` cannot stand here", FOR_STANDS)
    if here.text == "," and _inside(t, "(") and ends:
        return t.say(t.at, "`,` cannot stand here", "a list is written `[x, y]`")
    if here.text == ":" and _inside(t, "["):
        return t.say(t.at, "`:` cannot stand in an index", "ranges are written `1..3`")
    if before.text == "in" or _after_in(t):
        found = _range(t, _in_before(t) + 1)
        if found is not None:
            return found
    if here.kind == "keyword" and not ends:
        return _reserved(t, t.at)
    if ends and (here.kind in _OPERANDS or here.text == "("):
        return _missing_operator(t, before, here)
    if (here.text in (")", "]") and before.text in ("(", "[", ",")) or (
        here.text == "," and before.text in ("(", "[", ",")
    ):
        return t.say(t.at, f"something is missing before this `{here.text}`")
    if before.text in _OPERATORS and (here.text in (*_OPERATORS, ")", "]", ",", "=", ":")):
        return t.say(t.at, f"something is missing between `{before.text}` and `{here.text}`")
    return None


def _stops_early(t: Trouble, before: Token) -> Explanation:
    hints = {"=": "a value is missing", "~": "a law is missing: `N(0, 1)`", "in": "a range is missing: `1..3`"}
    hint = (
        "an operand is missing; a line goes on below only inside brackets"
        if before.text in _OPERATORS
        else hints.get(before.text)
    )
    message = f"the line stops too early, after `{short(before.text)}`" if before.text else "this line is empty"
    return t.say(t.at, message, hint)


def _missing_operator(t: Trouble, before: Token, here: Token) -> Explanation:
    if here.text in ("T", "ᵀ"):
        hint = "the transpose is written `W.T`"
    elif before.kind == "number" or here.kind == "number" or here.text == "(":
        hint = "a product is written `a * b`"
    else:
        hint = "a product with a matrix is written `W @ x`, any other `a * b`"
    return t.say(t.at, f"an operator is missing between `{short(before.text)}` and `{short(here.text)}`", hint)


def _inside(t: Trouble, bracket: str) -> bool:
    brackets = Brackets()
    for i, token in enumerate(t.tokens[: t.at]):
        if token.text in ("(", "[", ")", "]"):
            brackets.meet(token.text, i)
    return bool(brackets.open) and brackets.open[-1][0] == bracket


def _in_before(t: Trouble) -> int:
    return max((i for i, token in enumerate(t.tokens[: t.at]) if token.text == "in"), default=-1)


def _after_in(t: Trouble) -> bool:
    """Is the range of a comprehension being read?"""
    start = _in_before(t)
    return start >= 0 and not any(token.text == ".." for token in t.tokens[start : t.at])


def _anything(t: Trouble) -> Explanation:
    here = t.token(t.at)
    after = f", after `{short(t.token(t.at - 1).text)}`" if t.at else " at the beginning of a line"
    return t.say(t.at, f"`{short(here.text)}` cannot stand here{after}")


def too_deep(text: str, limit: int) -> Explanation | None:
    """Are its brackets nested deeper than `limit`?"""
    brackets = Brackets()
    for token in _bracket_signs(text):
        brackets.meet(text[token], token)
        if len(brackets.open) > limit:
            return Explanation(
                token, token + 1, f"brackets are nested more than {limit} deep here", "give the inner parts names"
            )
    return None


def _bracket_signs(text: str) -> Iterable[int]:
    return (m.start() for m in re.finditer(r"[()\[\]]|\"[^\"\n]*\"?|'[^'\n]*'?", text) if m[0] in ("(", "[", ")", "]"))
