"""A sweep for the terminal: a row a point, with its settings and its first numbers; the reasons where it has none."""

from typing import TYPE_CHECKING

import numpy as np

from tpl.report.along import telling_steps
from tpl.report.axes import STEP
from tpl.report.labelled import Labelled, label_text
from tpl.report.layout import compact, plain, seconds_text, shape_text
from tpl.report.sweep import Sweep

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

MOST_ROWS = 60
MOST_NUMBERS = 4  # of a point


def sweep_table(sweep: Sweep) -> "RenderableType":
    """Every show over the settings."""
    from rich.console import Group

    from tpl.report.tables import BRACKETS, blank, text

    lost = f", {len(sweep.failures)} points without numbers" if sweep.failures else ""
    head = f"{sweep.program_name}{lost}, seed {sweep.seed}, {seconds_text(sweep.seconds)}"
    parts: list[RenderableType] = [text(sweep.title)] if sweep.title.strip() else []
    parts.append(text(head, "dim"))
    for shown in sweep.results:
        parts += [blank(), text(f"{plain(shown.name)}  {plain(shown.method)}"), _table(shown)]
        rest = int(np.prod(shown.methods.shape)) > MOST_ROWS or _own(shown) > MOST_NUMBERS
        if rest:
            parts.append(text(f"part of {shape_text(shown.shape)}; all numbers: --json", "dim"))
    parts += [
        blank(),
        *(text(x) for x in _reasons(sweep)),
        *(text(f"note: {plain(note)}", "dim") for note in sweep.notes),
        text(BRACKETS, "dim"),
    ]
    return Group(*parts)


def _reasons(sweep: Sweep) -> list[str]:
    """Why points have no numbers, each reason once, with the first point that has it."""
    points: dict[str, list[str]] = {}
    for failure in sweep.failures:
        at = ", ".join(f"{name} = {label_text(x)}" for name, x in failure.settings.items())
        points.setdefault(failure.reason, []).append(at)
    return [
        plain(f"no numbers at {found[0]}{f' and {len(found) - 1} more' if found[1:] else ''}: {reason}")
        for reason, found in points.items()
    ]


def _own(shown: Labelled) -> int:
    """How many numbers a point has."""
    return int(np.prod(shown.shape[shown.methods.ndim :]))


def _kept(shown: Labelled) -> list[int]:
    """Which numbers of a point are shown: the first ones; along training of the first, the last and some steps between."""
    own, first = _own(shown), shown.methods.ndim
    if own <= MOST_NUMBERS or shown.dims[first] != STEP:
        return list(range(min(own, MOST_NUMBERS)))
    steps = shown.shape[first]
    each = own // steps
    chosen = telling_steps(steps, max(2, MOST_NUMBERS // each))
    return [i * each + j for i in chosen for j in range(min(each, MOST_NUMBERS // len(chosen)))]


def _place(shown: Labelled, dim: str, i: int) -> str:
    label = label_text(shown.coords[dim][i])
    return f"{STEP} {label}" if dim == STEP else label


def _table(shown: Labelled) -> "Table":
    from rich.table import Table

    from tpl.report.tables import text

    count = shown.methods.ndim
    swept, own = shown.dims[:count], shown.dims[count:]
    kept = _kept(shown)
    value, error = (x.reshape(-1, _own(shown))[:, kept] for x in (shown.value, shown.error))
    every = list(np.ndindex(*shown.shape[count:]))
    names = [", ".join(_place(shown, dim, i) for dim, i in zip(own, every[k], strict=True)) for k in kept]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in (*map(plain, swept), *(x if x.startswith(STEP) else f"[{x}]" if x else "" for x in names)):
        table.add_column(text(name, "dim"), justify="right")
    for row, point in enumerate(list(np.ndindex(*shown.methods.shape))[:MOST_ROWS]):
        settings = [plain(label_text(shown.coords[dim][i])) for dim, i in zip(swept, point, strict=True)]
        numbers = ["–" if np.isnan(v) else compact(v, e) for v, e in zip(value[row], error[row], strict=True)]
        table.add_row(*map(text, (*settings, *numbers)))
    return table
