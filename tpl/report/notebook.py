"""An explanation as a Jupyter notebook (nbformat 4.5), written without Jupyter: the same content, and cells that run.

What the page says stands in Markdown with LaTeX; what it computes are code cells with their outputs. Text of the program
reaches code only as a string literal, and Markdown only escaped.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tpl.report.derivation import markdown_equations
from tpl.report.explanation import introduction, markdown_sections, markdown_words, prose_of
from tpl.report.graph_picture import lines_text, uses_in_words
from tpl.report.html import comparison_html
from tpl.report.layout import plain, remarks, verdict
from tpl.report.notation import LATEX, write
from tpl.report.svg import Picture, Pictures

if TYPE_CHECKING:
    from tpl.report.page import ExplainPage

MOST_NUMBERS = 4000  # of an array that is written into the notebook

Cell = dict[str, Any]


def page_notebook(page: "ExplainPage") -> dict[str, Any]:
    """The notebook as the object that its JSON encodes."""
    cells = list(_cells(page))
    for i, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{i}"
    number = 0
    for cell in cells:
        if cell["cell_type"] == "code":
            number += 1
            cell["execution_count"] = number
            for output in cell["outputs"]:
                if output["output_type"] == "execute_result":
                    output["execution_count"] = number
    language = {"name": "python", "version": "3.11"}
    return {
        "cells": cells, "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                     "language_info": language, "title": plain(page.title)},
    }  # fmt: skip


def _cells(page: "ExplainPage") -> Iterator[Cell]:
    about = [markdown_words(" ".join(x.split())) for x in page.about]
    yield _markdown(
        f"# {markdown_words(plain(page.title))}", *about, *(f"*{markdown_words(plain(x))}*" for x in page.check.inputs)
    )
    yield _code(_loading(page))
    yield from _explanation(page)
    yield from _equations(page)
    yield _markdown("## The parts of this explanation")
    yield _code(f"page = program.explain_page({_arguments(page.recipe.options)})\npage", None, repr(page))
    yield _markdown("## What depends on what", *_in_words(page))
    if page.dependencies is not None:
        yield _code("page.dependencies", page.dependencies)
    yield from _numbers(page)
    yield from _networks(page)


# ---------------------------------------------------------------------------------------------- the parts


def _loading(page: "ExplainPage") -> str:
    arguments = ["text"]
    if page.recipe.data:
        arguments.append(f"data={{{', '.join(f'{k!r}: {_datum(v)}' for k, v in page.recipe.data.items())}}}")
    if page.recipe.settings:
        arguments.append(f"settings={list(page.recipe.settings)!r}")
    text = "\n".join(page.listing.own) + "\n"
    imports = "import numpy as np\nimport tpl" if any("np." in x for x in arguments) else "import tpl"
    return f"{imports}\n\ntext = {_literal(text)}\n\nprogram = tpl.loads({', '.join(arguments)})"


def _literal(text: str) -> str:
    """A string literal of Python; in lines where no character of it could end it, or mean another."""
    safe = all(c.isprintable() or c == "\n" for c in text) and "'''" not in text and not text.startswith("'")
    return f"r'''{text}'''" if safe else repr(text)


def _datum(value: Any) -> str:
    """Data as Python: a source as it stands, an array as lists, or a file to be put there if it is large."""
    if isinstance(value, str):
        return repr(value)
    array = np.asarray(getattr(value, "array", value), float)
    return f"np.array({array.tolist()!r})" if array.size <= MOST_NUMBERS else repr("data.npy")


def _arguments(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v!r}" for k, v in options.items())


def _explanation(page: "ExplainPage") -> Iterator[Cell]:
    yield _markdown("## Line by line")
    if page.explanation is None:
        yield _markdown(markdown_words(page.missing.get("explanation", "")))
        return
    account = page.explanation.account
    yield _markdown(*(prose_of(x, markdown_words, lambda y: f"${write(y, LATEX)}$") for x in introduction(account)))
    section: list[str] = []
    for line in markdown_sections(page.explanation):
        if line.startswith("## ") and section:
            yield _markdown("\n".join(section))
            section = []
        section.append(f"#{line}" if line.startswith("## ") else line)
    if section:
        yield _markdown("\n".join(section))


def _equations(page: "ExplainPage") -> Iterator[Cell]:
    if page.derivation is not None:
        yield _markdown("## The limit as equations", "\n".join(markdown_equations(page.derivation.derivation)))
        if page.derivation.training is not None and page.explanation is None:  # else it is said line by line
            yield _markdown("\n".join(markdown_sections(page.derivation.training)))
    elif "derivation" in page.missing:
        yield _markdown("## The limit as equations", markdown_words(page.missing["derivation"]))


def _in_words(page: "ExplainPage") -> Iterator[str]:
    rows = [
        f"- {markdown_words(plain(node.label))} ({lines_text(node.lines)}) uses {markdown_words(plain(', '.join(used)))}"
        for node, used in uses_in_words(page.uses)[:200]
    ]
    yield "\n".join(rows)


def _numbers(page: "ExplainPage") -> Iterator[Cell]:
    yield _markdown("## The limit in numbers")
    if page.run is None:
        yield _markdown(markdown_words(page.missing.get("run", "")))
        return
    for result in page.run.results:
        yield _code(f"page[{result.name!r}]", None, repr(result), result._repr_html_())
    if page.run.notes:
        yield _markdown(*map(markdown_words, page.run.notes))
    if page.kernels.items:
        yield _code("page.kernels", page.kernels)
    if page.courses.items:
        yield _markdown("### Along training")
        yield _code("page.courses", page.courses)


def _networks(page: "ExplainPage") -> Iterator[Cell]:
    yield _markdown("## Finite networks against the limit")
    if page.verification is None:
        yield _markdown(markdown_words(page.missing.get("verification", "")))
        return
    from tpl.report.page import still_nearing

    found = page.verification.agreement
    yield _markdown(
        f"**{markdown_words(plain(verdict(page.verification)))}**",
        *map(markdown_words, (*still_nearing(found), *remarks(found))),
    )
    yield _code("page.comparison", None, repr(page.comparison), comparison_html(page.verification))
    if page.convergence.items:
        yield _code("page.convergence", page.convergence)


# ---------------------------------------------------------------------------------------------- cells


def _markdown(*paragraphs: str) -> Cell:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines("\n\n".join(x for x in paragraphs if x))}


def _code(source: str, shown: Picture | Pictures | None = None, text: str = "", html: str = "") -> Cell:
    """A cell with what it puts out: a picture, or text, in HTML as well."""
    data: dict[str, Any] = {}
    if isinstance(shown, Picture):
        data = {"image/svg+xml": _lines(shown.standalone()), "text/plain": _lines(repr(shown))}
    elif isinstance(shown, Pictures):
        data = {"text/html": _lines(shown._repr_html_()), "text/plain": _lines(repr(shown))}
    elif text:
        data = {"text/plain": _lines(text)} | ({"text/html": _lines(html)} if html else {})
    outputs = [{"output_type": "execute_result", "metadata": {}, "data": data, "execution_count": None}] if data else []
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "source": _lines(source), "outputs": outputs}


def _lines(text: str) -> list[str]:
    """A text as notebooks keep it: its lines, each with its end."""
    return text.splitlines(keepends=True)
