"""Equations in MathML that a page breaks over lines: before relations, plus and minus; long terms between factors too.

Browsers keep one `<math>` on one line. An equation becomes several, a term each: text that wraps where the page is narrow,
on paper as on a screen. A term stays whole while a line has room for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

ROOM = 24  # characters that are never broken
LETTERS = 3  # so short a left side stays with its relation
_OPEN, _CLOSE = "([⟨", ")]⟩"
_SIGNS, _RELATIONS = "+-−", "=→∼≈"
_TIMES = "\u2062"
_NO_OPERAND = _OPEN + _SIGNS + _RELATIONS + _TIMES + ",·\u2061"  # what comes before a sign that belongs to one term

Element = ElementTree.Element


@dataclass(frozen=True)
class _Group:
    """A pair of brackets and what is between them."""

    left: Element
    inside: tuple["Element | _Group", ...]
    right: Element


Item = Element | _Group


def broken(mathml: str, after: str = "") -> str:
    """An equation as pieces of HTML between which lines may break. mathml: well-formed. after: MathML, a piece of its own."""
    items = _grouped(_leaves(ElementTree.fromstring(f"<mrow>{mathml}</mrow>")))
    terms = [_term(_chunks(x)) for x in _split(items)]
    return " ".join(terms + ([_math(after)] if after else []))


def _term(chunks: Sequence[Sequence[Item]]) -> str:
    """A term: its chunks stay on one line if they fit."""
    inside = "<wbr/>".join(_math(_row(x)) for x in chunks)
    return f"<span class='term'>{inside}</span>" if len(chunks) > 1 else inside


def _math(mathml: str) -> str:
    return f"<math displaystyle='true'><mrow>{mathml}</mrow></math>"


def _leaves(element: Element) -> Iterator[Element]:
    """What stands side by side; rows that only hold things together are opened, absolute values are not."""
    for child in element:
        if child.tag == "mrow" and not (len(child) and _text(child[0]) == "|"):
            yield from _leaves(child)
        else:
            yield child


def _grouped(leaves: Iterator[Element]) -> tuple[Item, ...]:
    """The same with brackets paired; a bracket without its other half stays as it is."""
    stack: list[tuple[Element | None, list[Item]]] = [(None, [])]
    for leaf in leaves:
        if _is(leaf, _OPEN):
            stack.append((leaf, []))
        elif _is(leaf, _CLOSE) and stack[-1][0] is not None:
            left, inside = stack.pop()
            assert left is not None
            stack[-1][1].append(_Group(left, tuple(inside), leaf))
        else:
            stack[-1][1].append(leaf)
    return tuple(item for left, inside in stack for item in ([left] if left is not None else []) + inside)


def _split(items: Sequence[Item]) -> list[list[Item]]:
    """A sum's terms, each with the sign or relation before it; the parts of a list."""
    terms: list[list[Item]] = [[]]
    for item in items:
        previous = terms[-1][-1] if terms[-1] else None
        sign = _is(item, _SIGNS) and previous is not None and not _is(previous, _NO_OPERAND)
        relation = _is(item, _RELATIONS) and sum(map(_weight, terms[-1])) > LETTERS
        if sign or relation or (len(terms[-1]) > 1 and _is(terms[-1][-2], ",") and _is_space(terms[-1][-1])):
            terms.append([])
        terms[-1].append(item)
    return terms


def _chunks(term: Sequence[Item]) -> list[list[Item]]:
    """A long term between its factors, and inside long brackets."""
    if sum(map(_weight, term)) <= ROOM:
        return [list(term)]
    chunks: list[list[Item]] = [[]]
    for item in term:
        if isinstance(item, _Group) and _weight(item) > 2 * ROOM:
            first, *rest = [x for inner in _split(item.inside) for x in _chunks(inner)]
            chunks[-1] += [item.left, *first]
            chunks += rest
            chunks[-1].append(item.right)
        else:
            chunks[-1].append(item)
            if _is_space(item):
                chunks.append([])
    return _without_bits([x for x in chunks if x])


def _without_bits(chunks: list[list[Item]]) -> list[list[Item]]:
    """The same, where a piece of a few characters stays with the next."""
    kept: list[list[Item]] = []
    for chunk in chunks:
        if kept and sum(map(_weight, kept[-1])) + sum(map(_weight, chunk)) <= ROOM // 2:
            kept[-1] = kept[-1] + chunk
        else:
            kept.append(chunk)
    return kept


def _weight(item: Item) -> int:
    if isinstance(item, _Group):
        return 2 + sum(map(_weight, item.inside))
    return sum(len(x.strip(_TIMES)) for x in item.itertext())


def _row(items: Sequence[Item]) -> str:
    """MathML of a piece. Its first sign has a term before it, on the line or the one above; half a pair keeps its size."""
    parts = []
    for i, item in enumerate(items):
        if isinstance(item, _Group):
            parts.append(f"<mrow>{_written(item.left)}{_row_inside(item.inside)}{_written(item.right)}</mrow>")
        elif i == 0 and _is(item, _SIGNS + _RELATIONS):
            parts.append(_written(item, form="infix"))
        elif _is(item, _OPEN + _CLOSE):
            parts.append(_written(item, stretchy="false"))
        else:
            parts.append(_prefixed(items, i))
    return "".join(parts)


def _row_inside(items: Sequence[Item]) -> str:
    return "".join(
        f"<mrow>{_written(x.left)}{_row_inside(x.inside)}{_written(x.right)}</mrow>"
        if isinstance(x, _Group)
        else _prefixed(items, i)
        for i, x in enumerate(items)
    )


def _prefixed(items: Sequence[Item], i: int) -> str:
    """A leaf; a sign without a term before it as the sign of one term."""
    item = items[i]
    assert isinstance(item, Element)
    alone = _is(item, _SIGNS) and (i == 0 or _is(items[i - 1], _NO_OPERAND))
    return _written(item, form="prefix") if alone else _written(item)


def _written(element: Element, **attributes: str) -> str:
    copy = Element(element.tag, {**element.attrib, **attributes})
    copy.text = element.text
    copy.extend(element)
    return ElementTree.tostring(copy, encoding="unicode", short_empty_elements=False)


def _is(item: Item, among: str) -> bool:
    return isinstance(item, Element) and item.tag == "mo" and len(_text(item)) == 1 and _text(item) in among


def _is_space(item: Item) -> bool:
    return isinstance(item, Element) and item.tag == "mspace"


def _text(element: Element) -> str:
    return (element.text or "").strip()
