"""Results along training: which steps a table shows, and how."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tpl.report.layout import CORNER, WHOLE, Cell, Floats, Grid, grids, joined_labels, label_at

if TYPE_CHECKING:
    from tpl.report.results import CheckReport, Result

MOST_STEPS = 9


def telling_steps(count: int, most: int = MOST_STEPS) -> list[int]:
    """Positions of so many records: the first, the last, and some evenly in between."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def step_grids(result: "Result") -> tuple[list[Grid], bool]:
    """A result whose first axis is along training as tables, and whether they show all of it.

    Numbers and vectors a step are rows; of matrices a step, the last is shown.
    """
    value, error, steps = result.value, result.error, result.steps
    if value.ndim > 3 or (value.ndim == 3 and min(value.shape[1:]) > 1):
        shown, _ = grids(value[-1], error[-1], labels=result.labels)
        return [grid._replace(caption=f"step {steps[-1]} {grid.caption}".rstrip()) for grid in shown], False
    flat_value, flat_error = (x.reshape(len(x), -1) for x in (value, error))
    width = flat_value.shape[1]
    columns: list[int | None] = list(range(width)) if width <= WHOLE else [*range(CORNER), None]
    names = joined_labels([[x.rpartition(" = ")[2] for x in axis] for axis in result.labels])
    labels = tuple("" if width == 1 else label_at(names, j) for j in columns)
    kept = telling_steps(len(value))
    rows = tuple((f"step {steps[i]}", _cells(flat_value[i], flat_error[i], columns)) for i in kept)
    return [Grid("", labels, rows)], len(kept) == len(value) and None not in columns


def step_lines(result: "Result") -> tuple[Floats, Floats, str, list[str]]:
    """What pictures draw along training: values and errors [steps, lines], what of the result they are, and their names.

    Lines are the numbers of a step, or a matrix's diagonal.
    """
    value, error, labels, what = result.value, result.error, result.labels, ""
    if result.square:
        value, error = (np.diagonal(x, axis1=-2, axis2=-1) for x in (value, error))
        labels, what = labels[:-1], ", diagonal"
    return value.reshape(len(value), -1), error.reshape(len(error), -1), what, joined_labels(labels)


def step_table(values: Sequence[Floats], errors: Sequence[Floats], names: Sequence[str], steps: Sequence[int]) -> Grid:
    """Several numbers a step side by side."""
    rows = tuple(
        (f"step {steps[i]}", tuple(Cell(float(v[i]), float(e[i])) for v, e in zip(values, errors, strict=True)))
        for i in telling_steps(len(steps))
    )
    return Grid("", tuple(names), rows)


REGIMES = {
    "features": "features learn",
    "kernel": "kernel regime",
    "trivial": "trivial: outputs do not move",
    "unstable": "unstable: there is no limit",
}


def training_facts(report: "CheckReport") -> list[tuple[str, str]]:
    """What becomes of training as the width grows, as rows of a table."""
    if report.regime is None:
        return []
    return [("training", REGIMES[report.regime.kind]), *(("", reason) for reason in report.regime.reasons)]


def _cells(value: Floats, error: Floats, columns: Sequence[int | None]) -> tuple[Cell | None, ...]:
    return tuple(None if j is None else Cell(float(value[j]), float(error[j])) for j in columns)
