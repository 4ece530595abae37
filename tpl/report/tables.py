"""Tables for the terminal, made with rich, which is imported only when something is printed.

All text of a program or a file goes through `plain` and `Text`: no markup, no control characters.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import IO, TYPE_CHECKING

import numpy as np

from tpl.report.along import step_grids, step_table, training_facts
from tpl.report.layout import (
    Grid,
    bytes_text,
    compact,
    count_text,
    exactness,
    grids,
    plain,
    remarks,
    rough,
    seconds_text,
    shape_text,
    telling_values,
    verdict,
    wrapped,
)
from tpl.report.phase import Phase, phase_table
from tpl.report.results import CheckReport, Result, Run, Verification

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    from tpl.report.sweep import Sweep

FILE_WIDTH = 100
NAME_WIDTHS = (32, 18)  # how far a value's name may push the other columns; longer ones are folded
ASSUMPTION = (
    "the assumptions are those of Chen, Yang, Zhao and Gu (2025) for features that stay apart while they learn; "
    "kernels, and limits in general, need none of them"
)
BRACKETS = "0.6057(12) is 0.6057 ± 0.0012; no brackets: the error is below the last digit"


def make_console(file: IO[str] | None = None) -> "Console":
    """A console that writes plain text, 100 columns wide, where it is not a terminal."""
    from rich.console import Console

    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    return console


def text_of(printed: Callable[["Console"], None]) -> str:
    """What is printed, as plain text of FILE_WIDTH columns, without blanks at the ends of lines."""
    from io import StringIO

    out = StringIO()
    printed(make_console(out))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def print_run(run: Run, console: "Console | None" = None) -> None:
    (console or make_console()).print(run_table(run))


def print_sweep(sweep: "Sweep", console: "Console | None" = None) -> None:
    from tpl.report.sweep_table import sweep_table

    (console or make_console()).print(sweep_table(sweep))


def print_plan(run: Run, console: "Console | None" = None) -> None:
    (console or make_console()).print(plan_table(run))


def print_verification(verification: Verification, console: "Console | None" = None) -> None:
    (console or make_console()).print(verification_table(verification))


def print_check(report: CheckReport, console: "Console | None" = None) -> None:
    (console or make_console()).print(check_table(report))


def print_phase(phase: Phase, console: "Console | None" = None) -> None:
    (console or make_console()).print(phase_table(phase))


def plan_table(run: Run) -> "RenderableType":
    """Of every expectation which method it took, and why the others did not."""
    from rich.padding import Padding

    parts: list[RenderableType] = [blank(), text("plan")]
    if not run.plan:
        how = "the whole program was sampled" if "sampled" in run.results[0].method else "exact arithmetic alone"
        parts.append(text(f"no expectation was worked out: {how}", "dim"))
    for c in run.plan:
        times = f", {c.count} times" if c.count > 1 else ""
        error = "" if c.error is None else f"; error {rough(c.error)}"
        said = [text(f"{c.method}: {c.reason}{error}")]
        said += [text(f"not by {name}: {reason}", "dim") for name, reason in c.declined]
        parts += [
            blank(),
            text(f"{_shortened(c.expectation)}{times}"),
            *(Padding(x, (0, 0, 0, 4), expand=False) for x in said),
        ]
    return stack(parts)


def _shortened(expectation: str, most: int = 90) -> str:
    return expectation if len(expectation) <= most else expectation[: most - 1] + "…"


def run_table(run: Run) -> "RenderableType":
    """Every result with errors and method; numbers in one table, arrays each in their own."""
    parts: list[RenderableType] = [heading(run, f"seed {run.seed}, {seconds_text(run.seconds)}")]
    shared = len({result.method for result in run.results}) == 1
    if shared:
        parts.append(text(run.results[0].method, "dim"))
    for kind, group in groupby(run.results, key=_form):
        if kind == "number":
            parts += [blank(), _numbers_table(list(group), not shared)]
        elif kind == "numbers along training":
            parts += [blank(), _courses(list(group))]
        else:
            parts += [part for result in group for part in (blank(), result_table(result, not shared))]
    parts += [blank(), *_notes(run.notes)]
    if any(result.error.any() for result in run.results):
        parts.append(text(BRACKETS, "dim"))
    return stack(parts)


def _form(result: Result) -> str:
    if result.steps and result.value.ndim == 1:
        return "numbers along training"
    return "array" if result.shape else "number"


def _courses(results: Sequence[Result]) -> "RenderableType":
    """Numbers along training, side by side."""
    steps = results[0].steps
    grid = step_table([r.value for r in results], [r.error for r in results], [plain(r.name) for r in results], steps)
    return _grid_table(grid)


def result_table(result: Result, with_method: bool = True) -> "RenderableType":
    """One array: a line about it, then its numbers or a corner of them."""
    from rich.text import Text

    facts = (shape_text(result.shape), exactness(result), plain(result.method) if with_method else "")
    about = ", ".join(filter(None, facts))
    parts: list[RenderableType] = [Text.assemble((plain(result.name), "bold"), (f"  {about}", "dim"))]
    if result.value.ndim <= 1 and not result.steps:
        parts.append(_vector_table(result))
    if result.steps:
        shown, whole = step_grids(result)
    else:
        shown, whole = grids(result.value, result.error)
    for grid in shown if result.value.ndim > 1 or result.steps else []:
        parts += [text(grid.caption, "dim")] if grid.caption else []
        parts.append(_grid_table(grid))
    if not whole:
        parts.append(text(f"part of {shape_text(result.shape)}; all numbers: -o FILE.npz or --json", "dim"))
    return stack(parts)


def _numbers_table(results: Sequence[Result], with_method: bool) -> "Table":
    table = _table("show", "value", "error", *(["method"] if with_method else []))
    table.columns[1].justify = table.columns[2].justify = "right"
    for r in results:
        value, error = float(r.value), float(r.error)
        cells = [compact(value, error), rough(error), *([r.method] if with_method else [])]
        table.add_row(text(r.name, "bold"), *map(text, cells))
    return table


def _grid_table(grid: Grid) -> "RenderableType":
    """The grid with two digits of error, or one, or split by columns: whichever fits first."""
    count = len(grid.columns)
    forms: list[Callable[[], RenderableType]] = [partial(_piece, grid, 0, count, digits) for digits in (2, 1)]
    return _FirstThatFits(forms + [partial(_pieces, grid, count, step) for step in range(count - 1, 0, -1)])


def _vector_table(result: Result) -> "RenderableType":
    """The vector in rows as long as fit."""
    forms: list[Callable[[], RenderableType]] = []
    for wrap in (8, 6, 5, 4, 2, 1):
        grid = grids(result.value, result.error, wrap)[0][0]
        forms += [partial(_piece, grid, 0, wrap, digits) for digits in ((2, 1) if wrap == 8 else (2,))]
    return _FirstThatFits(forms)


def _pieces(grid: Grid, count: int, step: int) -> "RenderableType":
    pieces = [_piece(grid, start, start + step, 2) for start in range(0, count, step)]
    return stack([part for piece in pieces for part in (blank(), piece)][1:])


def _piece(grid: Grid, start: int, stop: int, digits: int) -> "Table":
    """Columns start..stop of a grid."""
    from rich.table import Table

    width = max((len(cells[start:stop]) for _, cells in grid.rows), default=0)
    table = Table(box=None, show_header=bool(grid.columns), pad_edge=False, padding=(0, 2, 0, 0))
    for label in ["", *(grid.columns[start:stop] or [""] * width)]:
        table.add_column(text(label, "dim"), justify="right", no_wrap=True)
    for label, *cells in grid.texts(digits):
        table.add_row(text(label, "dim"), *map(text, cells[start:stop]))
    return table


def verification_table(verification: Verification) -> "RenderableType":
    """Limit, networks of every width, extrapolation and test, value by value; then the verdict."""
    found = verification.agreement
    seeds = f"{min(found.seeds)}" if len(set(found.seeds)) == 1 else f"{min(found.seeds)} to {max(found.seeds)}"
    about = f"seed {verification.seed}, {seeds} networks a width, {seconds_text(verification.seconds)}"
    return stack(
        [
            heading(verification, about),
            blank(),
            _comparison(verification),
            blank(),
            text(verdict(verification), "bold green" if verification.ok else "bold red"),
            *(text(remark) for remark in remarks(found)),
            *(text(line) for line in _methods(verification)),
            *_notes(verification.notes),
            text(BRACKETS, "dim"),
        ]
    )


def _methods(verification: Verification) -> list[str]:
    """Which method gave the limit of which show."""
    shows: dict[str, list[str]] = {}
    for name, method in zip(verification.names, verification.methods, strict=True):
        known = shows.setdefault(method, [])
        if _split(name)[0] not in known:
            known.append(_split(name)[0])
    if len(shows) == 1:
        return list(shows)
    return [f"{', '.join(names)}: {method}" for method, names in shows.items()]


def _split(name: str) -> tuple[str, str]:
    """`nngp(f, X)[1, 2]` into the show and the index; `f[1] at step 5` too."""
    along = re.fullmatch(r"(.+?)((?:\[[\d, ]+\])? at step \d+)", name)
    if along is not None:
        return along[1], along[2].strip()
    head, bracket, index = name.rpartition("[")
    if bracket and head and index.endswith("]") and all(c.isdigit() or c in ", " for c in index[:-1]):
        return head, bracket + index
    return name, ""


def _comparison(verification: Verification) -> "RenderableType":
    """The table, with fewer digits and then fewer widths until it fits."""
    count = len(verification.widths)
    wide, narrow = NAME_WIDTHS
    everything = list(range(count))
    tries = [(everything, 2, wide), (everything, 1, wide), (everything, 1, narrow)]
    for kept in range(count - 1, 1, -1):
        tries += [(_ends(count, kept), 1, wide), (_ends(count, kept), 1, narrow)]
    return _FirstThatFits([partial(_comparison_table, verification, *form) for form in tries])


def _ends(count: int, kept: int) -> list[int]:
    """Of so many widths the narrowest and the widest ones."""
    return [*range(kept // 2), *range(count - (kept - kept // 2), count)]


def _comparison_table(verification: Verification, kept: list[int], digits: int, name_width: int) -> "RenderableType":
    found = verification.agreement
    widths = [f"n={found.widths[k]}" for k in kept]
    table = _table("value", "limit", *widths, "n=inf", "z", "p", "")
    table.columns[0].max_width = name_width
    for column in table.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    rows = telling_values(found)
    shows = [_split(verification.names[i])[0] for i in rows]
    previous = None
    for i, show in zip(rows, shows, strict=True):
        indexed = shows.count(show) > 1 or " at step " in verification.names[i]
        if indexed and show != previous:
            table.add_row(_folded(show, name_width, "bold"))
        previous = show
        name = f"  {_split(verification.names[i])[1]}" if indexed else verification.names[i]
        table.add_row(_folded(name, name_width), *_comparison_row(verification, i, kept, digits))
    if len(kept) == len(found.widths):
        return table
    left_out = ", ".join(str(n) for k, n in enumerate(found.widths) if k not in kept)
    return stack([table, text(f"no room for the networks of width {left_out}: --json has all", "dim")])


def _folded(name: str, width: int, style: str = "") -> "Text":
    """A name in lines that fit, broken behind brackets, commas and blanks where it has some."""
    from rich.text import Text

    indent = " " * (len(name) - len(name.lstrip()))
    lines = [""]
    for part in re.findall(r"[^(,\s]*[(,\s]*", plain(name)):
        if lines[-1] and len(indent + lines[-1] + part.rstrip()) > width:
            lines.append("  ")
        lines[-1] += part
    return Text("\n".join(f"{indent}{line}".rstrip() for line in lines), style)


def _comparison_row(verification: Verification, i: int, kept: list[int], digits: int) -> list["Text"]:
    found = verification.agreement
    pairs = [(found.limit[i], found.limit_error[i]), *((found.means[k, i], found.errors[k, i]) for k in kept)]
    pairs.append((found.extrapolated[i], found.extrapolated_error[i]))
    texts = [compact(float(value), float(error), digits) for value, error in pairs]
    if found.constant[i]:
        test = ["", "equal" if found.ok[i] else "differs"]
    else:
        test = [f"{found.z[i]:.1f}", _probability(float(found.p_corrected[i]))]
    mark = text("ok", "green") if found.ok[i] else text("FAIL", "bold red")
    return [*map(text, [*texts[:-1], texts[-1] + ("*" if found.misfit[i] else "")]), *map(text, test), mark]


def _probability(p: float) -> str:
    return f"{p:.2f}" if p >= 0.095 else f"{p:.1g}"


def check_table(report: CheckReport) -> "RenderableType":
    """What the program is and what a run would need."""
    facts = _table("", "", header=False)
    facts.columns[0].style = "dim"
    for name, count in report.counts.items():
        facts.add_row(text(name), text(f"{count:,}"))
    facts.add_row(text("memory"), text(f"about {bytes_text(report.memory_bytes)}"))
    facts.add_row(text("time"), text(f"about {seconds_text(report.seconds)}"))
    for show in report.shows:
        numbers = count_text(int(np.prod(show.shape, dtype=int)), "number")
        shape = f"{shape_text(show.shape)}, {numbers}" if show.shape else numbers
        facts.add_row(text("shows"), text(f"{show.name} ({shape})"))
    for what, sentence in training_facts(report):
        facts.add_row(text(what), text(sentence))
    for row in report.assumptions.rows() if report.assumptions is not None else ():
        facts.add_row(text("assumption"), text(": ".join(row)))
    notes = [*report.notes, *([ASSUMPTION] if report.assumptions is not None and report.assumptions.rows() else [])]
    return stack([heading(report, ""), blank(), facts, *([blank()] if notes else []), *_notes(notes)])


def heading(report: Run | Verification | CheckReport | Phase, about: str) -> "RenderableType":
    from rich.text import Text

    facts = ", ".join(filter(None, (plain(report.program_name), plain(report.program_class), about)))
    lines = [Text(plain(report.title), "bold")] if report.title.strip() else []
    return stack([*lines, text(facts, "dim"), *(_Prose(item, "dim") for item in report.inputs)])


def _notes(notes: Iterable[str]) -> list["RenderableType"]:
    return [_Prose(f"note: {note}", "dim") for note in notes]


def blank() -> "Text":
    return text("")


def text(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(plain(text), style)


def stack(parts: Iterable["RenderableType"]) -> "RenderableType":
    from rich.console import Group

    return Group(*parts)


def _table(*headers: str, header: bool = True) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if header else None, show_header=header, show_edge=False, pad_edge=False)
    table.header_style = "dim"
    table.padding = (0, 1, 0, 0)
    for name in headers:
        table.add_column(name, overflow="fold")
    return table


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> "Table":
    """Texts under a header, numbers to the right."""
    table = _table(*header)
    for column in table.columns:
        column.justify = "right" if str(column.header) else "left"
        column.no_wrap = True
    for row in rows:
        table.add_row(*map(text, row))
    return table


class _Prose:
    """Text that is wrapped between words, not within `name = value`."""

    def __init__(self, content: str, style: str):
        self.content = plain(content)
        self.style = style

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        for line in wrapped(self.content, options.max_width):
            yield text(line, self.style)


class _FirstThatFits:
    """Renders the first form whose natural width fits, or the last one."""

    def __init__(self, forms: Sequence[Callable[[], "RenderableType"]]):
        self.forms = forms

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        yield self._chosen(console, options)

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        from rich.measure import Measurement

        return Measurement.get(console, options, self._chosen(console, options))

    def _chosen(self, console: "Console", options: "ConsoleOptions") -> "RenderableType":
        from rich.measure import Measurement

        unlimited = options.update(width=10_000)
        form: RenderableType = ""
        for make in self.forms:
            form = make()
            if Measurement.get(console, unlimited, form).maximum <= options.max_width:
                break
        return form
