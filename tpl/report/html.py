"""The same tables for notebooks. Every text is escaped; nothing is loaded from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from tpl.report.along import step_grids, training_facts
from tpl.report.labelled import Labelled
from tpl.report.layout import (
    Floats,
    Grid,
    bytes_text,
    compact,
    exactness,
    grids,
    plain,
    remarks,
    rough,
    seconds_text,
    shape_text,
    telling_values,
    verdict,
)
from tpl.report.phase import (
    CORRELATION_HEADER,
    VARIANCE_HEADER,
    Phase,
    axes_text,
    constants_text,
    correlation_rows,
    edge_header,
    edge_rows,
    sentences,
    variance_rows,
)
from tpl.report.results import CheckReport, Result, Run, Verification
from tpl.report.sweep import Sweep

MOST_CELLS = 12  # along an axis of a labelled array

_RIGHT = ' style="text-align:right"'
_GREY = ' style="opacity:0.7"'


def result_html(result: Result) -> str:
    """One show: its name, its numbers or a part of them, error and method."""
    about = ", ".join(filter(None, (shape_text(result.shape), exactness(result), result.method)))
    head = f"<b>{_safe(result.name)}</b>"
    if not result.shape:
        number = compact(float(result.value), float(result.error))
        return f"<div>{head} = {_safe(number)} <span{_GREY}>{_safe(about)}</span></div>"
    if result.steps:
        shown, whole = step_grids(result)
    else:
        shown, whole = grids(result.value, result.error)
    tables = "".join(_grid(grid) for grid in shown)
    rest = "" if whole else _line(f"part of {shape_text(result.shape)}; .value has all numbers")
    return f"<div>{head} <span{_GREY}>{_safe(about)}</span>{tables}{rest}</div>"


def labelled_html(labelled: Labelled) -> str:
    """One labelled array: a table of up to two axes, or of the beginning of more."""
    about = ", ".join(filter(None, (shape_text(labelled.shape), labelled.method)))
    head = f"<b>{_safe(labelled.title)}</b>"
    if not labelled.dims:
        number = compact(float(labelled.value), float(labelled.error))
        return f"<div>{head} = {_safe(number)} <span{_GREY}>{_safe(about)}</span></div>"
    shown, rest = labelled, {dim: labels[0] for dim, labels in list(labelled.coords.items())[2:]}
    shown = labelled.sel(**rest)
    rows, columns = shown.dims[0], shown.dims[1] if shown.dims[1:] else None
    header = [
        f"{rows} \\ {columns}" if columns else rows,
        *map(str, shown.coords[columns][:MOST_CELLS] if columns else [""]),
    ]
    cells = [
        [str(label), *_numbers(shown.value[i], shown.error[i])]
        for i, label in enumerate(shown.coords[rows][:MOST_CELLS])
    ]
    whole = not rest and all(len(x) <= MOST_CELLS for x in shown.coords.values())
    part = "" if whole else _line(f"part of {shape_text(labelled.shape)}; .value has all numbers")
    return f"<div>{head} <span{_GREY}>{_safe(about)}</span>{_table(header, cells)}{part}</div>"


def _numbers(values: Floats, errors: Floats) -> list[str]:
    pairs = zip(np.atleast_1d(values)[:MOST_CELLS], np.atleast_1d(errors)[:MOST_CELLS], strict=True)
    return ["–" if np.isnan(v) else compact(float(v), float(e)) for v, e in pairs]


def sweep_html(sweep: Sweep) -> str:
    """All shows of a sweep, and the points that have no numbers."""
    title = f"<div><b>{_safe(sweep.title)}</b></div>" if sweep.title.strip() else ""
    facts = _line(f"{sweep.program_name}, seed {sweep.seed}, {seconds_text(sweep.seconds)}")
    body = "".join(labelled_html(x) for x in sweep.results)
    lost = "".join(
        _line(f"{', '.join(f'{k} = {v}' for k, v in x.settings.items())}: {x.reason}") for x in sweep.failures
    )
    return f"<div>{title}{facts}{body}{lost}{_notes(sweep.notes)}</div>"


def run_html(run: Run) -> str:
    body = "".join(result_html(result) for result in run.results)
    about = f"seed {run.seed}, {seconds_text(run.seconds)}"
    return f"<div>{_heading(run, about)}{body}{_notes(run.notes)}</div>"


def verification_html(verification: Verification) -> str:
    """The comparison's table, and the verdict."""
    seconds = f"seed {verification.seed}, {seconds_text(verification.seconds)}"
    return f"<div>{_heading(verification, seconds)}{comparison_html(verification)}</div>"


def comparison_html(verification: Verification) -> str:
    """The same without a heading."""
    found = verification.agreement
    header = ["value", "limit", *(f"n = {n}" for n in found.widths), "n → ∞", "z", "p", ""]
    rows = [_comparison(verification, i) for i in telling_values(found)]
    lines = "".join(_line(remark) for remark in remarks(found))
    conclusion = f"<div><b>{_safe(verdict(verification))}</b></div>{lines}{_notes(verification.notes)}"
    return f"{_table(header, rows)}{conclusion}"


def _comparison(verification: Verification, i: int) -> list[str]:
    found = verification.agreement
    pairs = [(found.limit[i], found.limit_error[i]), *zip(found.means[:, i], found.errors[:, i], strict=True)]
    pairs.append((found.extrapolated[i], found.extrapolated_error[i]))
    numbers = [compact(float(value), float(error)) for value, error in pairs]
    numbers[-1] += "*" if found.misfit[i] else ""
    test = ["", ""] if found.constant[i] else [f"{found.z[i]:.1f}", rough(float(found.p_corrected[i]))]
    return [verification.names[i], *numbers, *test, "ok" if found.ok[i] else "FAIL"]


def check_html(report: CheckReport) -> str:
    rows = [[name, f"{count:,}"] for name, count in report.counts.items()]
    rows += [["memory", f"about {bytes_text(report.memory_bytes)}"], ["time", f"about {seconds_text(report.seconds)}"]]
    rows += [[show.name, shape_text(show.shape) or "one number"] for show in report.shows]
    rows += [list(fact) for fact in training_facts(report)]
    judged = report.assumptions.rows() if report.assumptions is not None else ()
    rows += [["assumption", ": ".join(row)] for row in judged]
    return f"<div>{_heading(report, '')}{_table([], rows)}{_notes(report.notes)}</div>"


def phase_html(phase: Phase) -> str:
    """Fixed points, correlations and the edge."""
    parts = [_heading(phase, seconds_text(phase.seconds)), _line(f"K_{phase.kernel} at {constants_text(phase)}")]
    parts += ["<div><b>fixed points of the variance</b></div>", _table(VARIANCE_HEADER, variance_rows(phase))]
    if rows := correlation_rows(phase):
        parts += ["<div><b>fixed points of the correlation</b></div>", _table(CORRELATION_HEADER, rows)]
    if phase.edge is not None:
        parts += [f"<div><b>edge of chaos, χ₁ = 1, for {_safe(axes_text(phase.edge))}</b></div>"]
        parts += [_table(edge_header(phase.edge), edge_rows(phase.edge))]
    parts += [_line(x) for x in (*sentences(phase), phase.dynamics.method)]
    return f"<div>{''.join(parts)}{_notes(phase.notes)}</div>"


def _safe(text: str) -> str:
    return escape(plain(text))


def _line(text: str) -> str:
    return f"<div{_GREY}>{_safe(text)}</div>"


def _notes(notes: Iterable[str]) -> str:
    return "".join(_line(f"note: {note}") for note in notes)


def _heading(report: Run | Verification | CheckReport | Phase, about: str) -> str:
    title = f"<div><b>{_safe(report.title)}</b></div>" if report.title.strip() else ""
    facts = ", ".join(filter(None, (report.program_name, report.program_class, about)))
    return title + _line(facts) + "".join(_line(item) for item in report.inputs)


def _grid(grid: Grid) -> str:
    caption = _line(grid.caption) if grid.caption else ""
    return caption + _table(["", *grid.columns] if grid.columns else [], grid.texts())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th{_RIGHT}>{_safe(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td{_RIGHT}>{_safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if header else ''}<tbody>{body}</tbody></table>"
