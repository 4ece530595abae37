"""One self-contained page that explains a program: for reading, and for showing in a lecture. No script, no network."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tpl.limit.uses import Uses
from tpl.report.curve_picture import draw_convergence, draw_courses
from tpl.report.derivation import DerivationReport, html_equations
from tpl.report.explanation import ExplanationReport, html_sections
from tpl.report.graph_picture import draw_uses, lines_text, uses_in_words
from tpl.report.heat_picture import draw_matrix, left_out
from tpl.report.html import comparison_html, result_html
from tpl.report.layout import compact, count_text, plain, remarks, verdict
from tpl.report.page_program import MOST_LINES, Listing, anchors, cards_html, declared, listing_html
from tpl.report.page_style import CSS
from tpl.report.results import CheckReport, Result, Run, Verification
from tpl.report.svg import Picture, Pictures

if TYPE_CHECKING:
    from tpl.sampling.agreement import Agreement

MOST_PICTURES = 24  # of results
MOST_OPEN = 40  # equations between kernels that are not folded away
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

SOURCES = {
    "TP1": "G. Yang, Tensor Programs I: Wide Feedforward or Recurrent Neural Networks of Any Architecture are Gaussian Processes, arXiv:1910.12478",
    "TP2": "G. Yang, Tensor Programs II: Neural Tangent Kernel for Any Architecture, arXiv:2006.14548",
    "TP3": "G. Yang, Tensor Programs III: Neural Matrix Laws, arXiv:2009.10685",
    "TP4": "G. Yang and E. J. Hu, Tensor Programs IV: Feature Learning in Infinite-Width Neural Networks, arXiv:2011.14522",
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How the page was asked for: what a notebook has to say to get the same. data: as `tpl.load` takes it."""

    data: Mapping[str, Any]
    settings: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class ExplainPage:
    """Everything there is to say of a program. `.html()`, `.notebook()`, `.save("page.html")`; its parts show themselves.

    about: the paragraphs after the title. derivation: None where it says no more than the explanation. missing: the parts
    ("explanation", "derivation", "run", "verification") that are not there, each with the reason.
    """

    title: str
    about: tuple[str, ...]
    seed: int
    listing: Listing
    uses: Uses
    check: CheckReport
    explanation: ExplanationReport | None
    derivation: DerivationReport | None
    run: Run | None
    verification: Verification | None
    missing: Mapping[str, str]
    recipe: Recipe
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<explanation of {plain(self.check.program_name)}: {plain(self.title)}>"

    def __getitem__(self, show: str) -> Result:
        """The result of a show. Raises KeyError."""
        if self.run is None:
            raise KeyError(f"no show {show!r}: {self.missing.get('run', 'nothing was computed')}")
        return self.run[show]

    @cached_property
    def dependencies(self) -> Picture | None:
        """Which statement uses which; None of programs with too many names for one picture."""
        return draw_uses(self.uses, linked=False)

    @cached_property
    def kernels(self) -> Pictures:
        """Heat maps of the matrices that are shown."""
        return Pictures(tuple(p for r in self._results for p in draw_matrix(r))[:MOST_PICTURES])

    @cached_property
    def courses(self) -> Pictures:
        """What is shown along training, step by step."""
        return Pictures(tuple(draw_courses(self._results))[:MOST_PICTURES])

    @cached_property
    def convergence(self) -> Pictures:
        """Finite networks of growing width, running into the limit."""
        return Pictures(tuple(draw_convergence(self.verification)) if self.verification is not None else ())

    @property
    def comparison(self) -> "Comparison | None":
        """The table of finite networks against the limit."""
        return Comparison(self.verification) if self.verification is not None else None

    @property
    def _results(self) -> Sequence[Result]:
        return self.run.results if self.run is not None else ()

    def html(self) -> str:
        """The page: UTF-8, nothing outside of it is referred to, nothing in it is executed."""
        return page_html(self)

    def notebook(self) -> dict[str, Any]:
        """The same as a Jupyter notebook (nbformat 4.5), with its outputs; its cells run."""
        from tpl.report.notebook import page_notebook

        return page_notebook(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, or the notebook if the path ends in .ipynb. Raises OSError."""
        import json

        target = Path(path)
        if target.suffix == ".ipynb":
            target.write_text(json.dumps(self.notebook(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        else:
            target.write_text(self.html(), encoding="utf-8")
        return target


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A verification as its table alone, the same from run to run."""

    verification: Verification

    def __repr__(self) -> str:
        return repr(self.verification)

    def _repr_html_(self) -> str:
        return comparison_html(self.verification)


# ---------------------------------------------------------------------------------------------- the page


def page_html(page: ExplainPage) -> str:
    sections = list(_sections(page))
    links = "".join(f"<li><a href='#{name}'>{escape(heading)}</a></li>" for name, heading, _ in sections)
    body = "".join(
        f"<section id='{name}'><h2>{escape(heading)}</h2>{inside}</section>" for name, heading, inside in sections
    )
    title = escape(plain(page.title))
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta http-equiv='Content-Security-Policy' content=\"{POLICY}\">"
        f"<meta name='viewport' content='width=device-width,initial-scale=1'><title>{title}</title><style>{CSS}</style></head>\n"
        f"<body><header class='top'>{_head(page)}<nav aria-label='Parts of this page'><ul>{links}</ul></nav></header>\n"
        f"<main>{body}</main>\n<footer>{_foot(page, body)}</footer></body></html>\n"
    )


def _head(page: ExplainPage) -> str:
    facts = [page.check.program_name, page.check.program_class]
    facts += [
        count_text(getattr(page.check, plural), one, plural)
        for one, plural in (("matrix", "matrices"), ("product", "products"))
    ]
    facts += [count_text(page.check.lines, "core line"), f"seed {page.seed}"]
    facts += [f"--set {x}" for x in page.recipe.settings]
    about = "".join(map(paragraph_html, page.about))
    inputs = "".join(f"<li>{escape(plain(x))}</li>" for x in page.check.inputs)
    listed = "".join(f"<li>{escape(plain(x))}</li>" for x in facts)
    return f"<h1>{escape(plain(page.title))}</h1>{about}<ul class='facts'>{listed}</ul>" + (
        f"<ul class='small soft'>{inputs}</ul>" if inputs else ""
    )


def _marked(text: str) -> str:
    """A line of prose, with what stands in backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(plain(text)))


def paragraph_html(text: str) -> str:
    """A paragraph of a docstring; lines that are set in are formulas."""
    parts: list[str] = []
    for line in text.splitlines():
        formula = line[:1] in (" ", "\t")
        said = _marked(line)
        if formula and parts and parts[-1].startswith("<pre"):
            parts[-1] = parts[-1].removesuffix("</pre>") + f"\n{said}</pre>"
        elif formula:
            parts.append(f"<pre class='formula'>{said}</pre>")
        elif parts and parts[-1].startswith("<p>"):
            parts[-1] = parts[-1].removesuffix("</p>") + f" {said}</p>"
        else:
            parts.append(f"<p>{said}</p>")
    return "".join(parts)


def _sections(page: ExplainPage) -> Iterator[tuple[str, str, str]]:
    """Of every part: its id, its heading, its HTML."""
    yield "picture", "What depends on what", _dependencies(page)
    yield "lines", "Line by line", _lines(page)
    if page.derivation is not None or "derivation" in page.missing:
        yield "equations", "The limit as equations", _equations(page)
    yield "numbers", "The limit in numbers", _numbers(page)
    if page.courses.items:
        yield (
            "training",
            "Along training",
            _panels(page.courses, "Bands are ± 2 errors. Hover over a mark for its number."),
        )
    yield "networks", "Finite networks against the limit", _networks(page)


def _dependencies(page: ExplainPage) -> str:
    picture = draw_uses(page.uses, linked=True)
    in_words = "".join(
        f"<li><code>{escape(plain(node.label))}</code> ({lines_text(node.lines)}) uses {escape(plain(', '.join(used)))}</li>"
        for node, used in uses_in_words(page.uses)[:200]
    )  # fmt: skip
    words = f"<details open><summary>The same in words</summary><ul class='small'>{in_words}</ul></details>"
    if picture is None:
        return f"<p>The program has {len(page.uses.nodes)} names, too many for a picture.</p>{words}"
    caption = (
        "A box is a name of the program, a family such as h[1], h[2], … one box; it leads to its line. Square boxes are matrices, "
        "round ones are drawn vectors and scalars. What leads back up, or to itself, closes a loop."
    )
    return (
        f"<p class='small soft'>{caption}</p><div class='drawn'><figure class='scroll' tabindex='0' "
        f"aria-label='Dependency picture'>{picture.inline()}</figure>{words}</div>"
    )


def _lines(page: ExplainPage) -> str:
    entries = page.explanation.account.entries if page.explanation is not None else ()
    others = declared(page.listing, frozenset(e.line for e in entries if e.line is not None))
    cards, bare = cards_html(page.explanation, others)
    said = "".join(_remark(x) for x in (page.missing.get("explanation"), *_left_out(page, bare)) if x)
    listing = listing_html(page.listing, anchors(entries, others))
    return f"<p>A line leads to what becomes of it in the limit, by which rule, and why.</p><div class='sides'>{listing}<div>{said}{cards}</div></div>"


def _left_out(page: ExplainPage, bare: int) -> Iterator[str]:
    if bare:
        yield f"The equations of {count_text(bare, 'entry', 'entries')} are left out to keep the page small; tpl derive --explain has them."
    if len(page.listing.own) > MOST_LINES:
        yield f"The first {MOST_LINES} of {len(page.listing.own)} lines of the program are shown."


def _equations(page: ExplainPage) -> str:
    if page.derivation is None:
        return _remark(page.missing["derivation"])
    parts = html_equations(page.derivation.derivation)
    count = sum("class='eq " in x for x in parts)
    if count > MOST_OPEN:
        parts = [f"<details><summary>The equations: {count} of them</summary>", *parts, "</details>"]
    training = page.derivation.training if page.explanation is None else None  # said line by line already
    after = "".join(html_sections(training)) if training is not None else ""
    return "".join(parts) + after.replace("<h2>", "<h3>").replace("</h2>", "</h3>")


def _numbers(page: ExplainPage) -> str:
    if page.run is None:
        return _remark(page.missing.get("run", "Nothing was computed."))
    parts = [f"<p>How: {escape(plain(page.run.results[0].method))}.</p>"] if page.run.results else []
    scalars = [r for r in page.run.results if not r.shape]
    if scalars:
        parts.append(f"<ul>{''.join(map(_number, scalars))}</ul>")
    if page.kernels.items:
        parts.append(_panels(page.kernels, "Hover over a cell for its number and error."))
    arrays = [r for r in page.run.results if r.shape]
    tables = "".join(result_html(r) for r in arrays[:MOST_PICTURES])
    if tables:
        shut = bool(page.kernels.items or page.courses.items)
        parts.append(
            f"<details{'' if shut else ' open'}><summary>All numbers, with errors</summary><div class='scroll'>{tables}</div></details>"
        )
    notes = "".join(f"<li>{_marked(x)}</li>" for x in (*filter(None, map(left_out, arrays)), *page.run.notes))
    return "".join(parts) + (f"<ul class='small soft'>{notes}</ul>" if notes else "")


def _number(result: Result) -> str:
    value = escape(compact(float(result.value), float(result.error)))
    name, method = escape(plain(result.name)), escape(plain(result.method))
    return f"<li><code>{name}</code> = <strong class='number'>{value}</strong> <span class='small soft'>{method}</span></li>"


def _panels(pictures: Pictures, caption: str) -> str:
    drawn = "".join(f"<figure>{p.inline()}</figure>" for p in pictures.items)
    return f"<div class='panels'>{drawn}</div><p class='small soft'>{caption}</p>"


def _networks(page: ExplainPage) -> str:
    verification = page.verification
    if verification is None:
        return _remark(page.missing.get("verification", "Not asked for."))
    found = verification.agreement
    looks = "good" if verification.ok else "bad"
    told = plain(verdict(verification))
    said = f"<p class='verdict {looks}'>{escape(told[:1].upper() + told[1:])}</p>"
    caption = (
        "Marks are means over networks, ± one error; the line across is the limit, in a band of ± 2 errors. The curve is the "
        "fit in powers of 1/n; hollow, at ∞, what it tends to."
    )
    panels = _panels(page.convergence, caption) if page.convergence.items else ""
    more = "".join(f"<li>{escape(plain(x))}</li>" for x in (*still_nearing(found), *remarks(found)))
    return f"{said}{panels}<ul class='small'>{more}</ul>" + (
        f"<details><summary>The comparison as a table</summary><div class='scroll'>{comparison_html(verification)}</div></details>"
    )


def still_nearing(found: "Agreement") -> Iterator[str]:
    """Of values that disagree: do networks still come nearer to the limit from width to width?"""
    failed = np.flatnonzero(found.distinct & ~found.ok)
    apart = np.abs(found.means[:, failed] - found.limit[failed])
    nearing = int((np.diff(apart, axis=0) < 0).all(axis=0).sum()) if failed.size else 0
    if nearing:
        yield (
            f"in {nearing} of the {count_text(len(failed), 'value')} that disagree, networks still come nearer to the limit from "
            "width to width: wider ones (--widths) tell whether these are too narrow for powers of 1/n"
        )


def _remark(text: str, small: bool = False) -> str:
    lines = "<br>".join(map(_marked, text.splitlines()))
    return f"<p class='{'small ' if small else ''}soft'>{lines}</p>"


def _foot(page: ExplainPage, body: str) -> str:
    cited = "".join(f"<li>{key}: {escape(source)}</li>" for key, source in SOURCES.items() if key in body)
    notes = "".join(_remark(x, True) for x in page.notes)
    sources = f"<h2>Sources</h2><ul>{cited}</ul>" if cited else ""
    from tpl import __version__

    return f"{sources}{notes}<p class='small soft'>Made by tpl {__version__} from {escape(plain(page.check.program_name))}, seed {page.seed}.</p>"
