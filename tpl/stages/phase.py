"""`tpl phase`: fixed points of the map from layer to layer, and the edge of chaos."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tpl.core.elaborate import Limits
from tpl.core.expr import leaves
from tpl.core.program import Program
from tpl.language.source import Diagnostic, Source, TplError, nearest
from tpl.pipeline import Compiled
from tpl.stages.common import heading
from tpl.stages.derive import kernel_form

if TYPE_CHECKING:
    from tpl.numeric.edge import Axis
    from tpl.report.phase import Phase

EDGE_ROWS, EDGE_COLUMNS = 9, 29  # of the search for the edge of chaos
MAX_GRID, MAX_AXIS = 400, 1e6


def phase_diagram(
    source: Source,
    settings: Sequence[str],
    limits: Limits,
    compiled: Compiled,
    x: str | None = None,
    y: str | None = None,
    grid: int = 40,
    drawn: bool = False,
) -> "Phase":
    """Fixed points of the recursion over layers, and where nearby inputs neither meet nor part.

    x, y: constants and their ranges, `sigma_w=0.5..4`; without them sigma_w and sigma_b, if there are any. Raises
    TplError for programs without such a recursion.
    """
    from tpl.limit.step import find_step
    from tpl.numeric.depth import Layer
    from tpl.numeric.edge import PlaneMaps, find_edge, find_plane
    from tpl.numeric.existence import refuse_undefined
    from tpl.numeric.fixed_points import Maps, find_dynamics
    from tpl.report.phase import Edge, Phase

    start = time.perf_counter()
    program = compiled.program
    with _refusals_reported(program.source):
        refuse_undefined(program)
        step = find_step(kernel_form(source, settings, limits, compiled))
        layer = Layer(step)
        used = _reachable(step.constants, program)
        axes = _axes(program, used, x, y, grid)
        if drawn and not axes:
            raise TplError(
                program.source, [Diagnostic(None, "there is no constant to draw it over", _to_draw_over(used))]
            )
        dynamics = find_dynamics(Maps(layer, program.constants, {}))
        edge = None
        if axes:
            across = axes[0].resampled(EDGE_COLUMNS)
            along = axes[1].resampled(EDGE_ROWS) if axes[1:] else None
            maps = PlaneMaps(layer, program.constants, axes[0].name, axes[1].name if axes[1:] else None)
            edge = Edge(across, along, find_edge(maps, find_plane(maps, across, along)))

    def draw() -> Any:
        if not axes:
            raise ValueError("the recursion has no constant to draw it over")
        return find_plane(maps, axes[0], axes[1] if axes[1:] else None)

    values = program.constant_values()
    return Phase(
        **heading(compiled), kernel=step.base, activation=step.activation, constants={name: values[name] for name in step.constants},
        dynamics=dynamics, edge=edge, draw_plane=draw, seconds=time.perf_counter() - start,
    )  # fmt: skip


@contextmanager
def _refusals_reported(source: Source) -> Iterator[None]:
    """Raises TplError where no recursion leads from layer to layer, or its equations are too long to be found."""
    from tpl.limit.calculus import TooLong
    from tpl.limit.refusal import no_limit_reported
    from tpl.limit.step import NoStep

    try:
        with no_limit_reported(source):
            yield
        return
    except NoStep as problem:
        reason = str(problem) or "its kernels follow no short recursion"
    except TooLong as problem:
        reason = str(problem) or "the equations between its kernels would fill pages"
    hint = "a network whose loop `for l in 2..L` makes each layer from the one before, such as `tpl phase mlp`"
    message = f"there is no map from one layer's kernel to the next: {reason}"
    raise TplError(source, [Diagnostic(None, message, hint)])


def _reachable(names: Sequence[str], program: Program) -> tuple[str, ...]:
    """The constants that some constants are made of, themselves included."""
    found: dict[str, None] = {}
    stack = list(reversed(names))
    while stack:
        name = stack.pop()
        if name in program.constants and name not in found:
            found[name] = None
            stack.extend(str(v) for v in leaves(program.constants[name], "symbol"))
    return tuple(found)


def _to_draw_over(used: Sequence[str]) -> str:
    return f"name one: --x {used[0]}=0.5..2" if used else "give the recursion one, such as `const sigma_w = 1`"


def _axes(program: Program, used: Sequence[str], x: str | None, y: str | None, grid: int) -> "tuple[Axis, ...]":
    """The constants to vary: given ones, or sigma_w and sigma_b."""
    if not 2 <= grid <= MAX_GRID:
        raise TplError(program.source, [Diagnostic(None, f"--grid {grid}: it must lie between 2 and {MAX_GRID}")])
    if x is None and "sigma_w" in used and not (y or "").startswith("sigma_w"):
        x = "sigma_w=0.5..4"
    if y is None and "sigma_b" in used and not (x or "").startswith("sigma_b"):
        y = "sigma_b=0..2"
    if x is None:
        x, y = y, None
    if x is not None and y is not None and x.partition("=")[0].strip() == y.partition("=")[0].strip():
        raise TplError(program.source, [Diagnostic(None, "the two axes must be two different constants")])
    return tuple(_axis(program, used, text, grid) for text in (x, y) if text is not None)


def _axis(program: Program, used: Sequence[str], text: str, grid: int) -> "Axis":
    """Read `sigma_w=0.5..4`; a name alone stands for half to twice its value."""
    from tpl.numeric.edge import Axis

    name, _, bounds = (part.strip() for part in text.partition("="))
    if name not in used:
        close = nearest(name, used)
        hint = f"did you mean `{close}`?" if close else f"it depends on {', '.join(f'`{u}`' for u in used) or 'none'}"
        raise TplError(program.source, [Diagnostic(None, f"the recursion depends on no constant `{name}`", hint)])
    value = program.constant_values()[name]
    try:
        low, high = (float(b) for b in bounds.split("..")) if bounds else ((value / 2, 2 * value) if value else (0, 1))
        if not (np.isfinite([low, high]).all() and abs(low) < MAX_AXIS and abs(high) < MAX_AXIS and low < high):
            raise ValueError
    except ValueError:
        hint = f"for instance `{name}=0.5..4`"
        raise TplError(program.source, [Diagnostic(None, f"`{text}` is no range of a constant", hint)]) from None
    return Axis(name, np.linspace(low, high, grid + 1))
