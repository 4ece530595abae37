"""The answer of `tpl phase`: fixed points of depth, the edge of chaos, and their tables."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isinf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpl.report.layout import compact, seconds_text

if TYPE_CHECKING:  # these import sympy, which most commands do without
    from rich.console import RenderableType

    from tpl.numeric.depth import Estimate
    from tpl.numeric.edge import Axis, Crossing, Plane
    from tpl.numeric.fixed_points import Correlation, Dynamics, FixedPoint


@dataclass(frozen=True)
class Edge:
    """Where χ₁ = 1: along x, at some values of y (or none)."""

    x: "Axis"
    y: "Axis | None"
    crossings: "tuple[Crossing, ...]"
    method: str = "bracketed roots of χ₁ - 1 at q*, both by quadrature"


@dataclass(frozen=True, repr=False)
class Phase:
    """Dynamics of depth at the program's constants, and the edge of chaos in a plane of two of them.

    kernel: the name of the vector whose kernel the recursion maps. activation: what is averaged. constants: those that it depends on. draw_plane
    gives χ₁ and q* on the grid of the picture; they are computed when first asked for.
    """

    title: str
    program_name: str
    program_class: str
    inputs: tuple[str, ...]
    kernel: str
    activation: str
    constants: Mapping[str, float]
    dynamics: "Dynamics"
    edge: Edge | None
    draw_plane: "Callable[[], Plane]"
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def fixed_points(self) -> "tuple[FixedPoint, ...]":
        return self.dynamics.points

    @property
    def phase(self) -> str:
        """ "ordered", "chaotic" or "critical" where all attracting finite variances agree; else "mixed", "unbounded"."""
        attracting = [p for p in self.fixed_points if p.stability != "unstable"]
        finite = {p.phase for p in attracting if p.kind != "infinity"}
        if not finite:
            return "unbounded" if attracting else "unknown"
        return finite.pop() if len(finite) == 1 and len(attracting) > 0 else "mixed"

    @cached_property
    def plane(self) -> "Plane":
        """χ₁ and q* on the grid of the picture."""
        return self.draw_plane()

    def __str__(self) -> str:
        from io import StringIO

        from tpl.report.tables import make_console

        out = StringIO()
        make_console(out).print(phase_table(self))
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from tpl.report.html import phase_html

        return phase_html(self)

    def document(self) -> dict[str, Any]:
        """The `tpl.phase/1` object of docs/json.md."""
        from tpl.report.schema import phase_document

        return phase_document(self)

    def to_json(self, indent: int | None = 2) -> str:
        """The `tpl.phase/1` document as strict JSON."""
        from tpl.report.schema import dumps

        return dumps(self.document(), indent)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw the phase diagram; the suffix of the path decides the format. Raises ValueError without axes."""
        from tpl.report.phase_plot import plot_phase

        return plot_phase(self, path)

    savefig = plot


# ---------------------------------------------------------------------------------------------- tables, for all forms


def number_text(found: "Estimate") -> str:
    if isnan(found.value):
        return "-"
    if isinf(found.value):
        return "inf"
    return compact(found.value, found.error)


def variance_text(point: "FixedPoint") -> str:
    """q*, or what is fixed instead."""
    if point.kind == "line":
        return "every q" if isinf(point.high) else f"every q in {point.low:.3g}..{point.high:.3g}"
    return number_text(point.q)


VARIANCE_HEADER = ("q*", "slope", "", "xi_q", "chi_1", "")
CORRELATION_HEADER = ("at q*", "c*", "slope", "", "xi_c")


def variance_rows(phase: Phase) -> list[tuple[str, ...]]:
    return [
        (
            variance_text(p), number_text(p.slope), p.stability, number_text(p.depth), number_text(p.chi),
            "" if p.kind == "infinity" else p.phase,
        )
        for p in phase.fixed_points
    ]  # fmt: skip


def correlation_rows(phase: Phase) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for point in phase.fixed_points:
        place = "q = 1" if point.kind == "line" else variance_text(point)
        for c in point.correlations:
            rows.append((place, _correlation_text(c), number_text(c.slope), c.stability, number_text(c.depth)))
            place = ""
    return rows


def _correlation_text(found: "Correlation") -> str:
    return number_text(found.c) if found.low == found.high else "every c"


def edge_header(edge: Edge) -> tuple[str, ...]:
    first = (edge.y.name,) if edge.y is not None else ()
    return (*first, f"critical {edge.x.name}", "q* there", "")


def edge_rows(edge: Edge) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for c in edge.crossings:
        first = (f"{c.y:.6g}",) if c.y is not None else ()
        rows.append((*first, compact(c.x, c.error), _edge_variance(c, edge.x), "chi_1 leaps over 1" if c.leaps else ""))
    return rows


def _edge_variance(crossing: "Crossing", axis: "Axis") -> str:
    if crossing.leaps:
        return f"{crossing.low:.4g} -> {crossing.high:.4g}"
    if crossing.low != crossing.high:
        return "every q"
    if crossing.low <= 10 * crossing.error / float(axis.values[-1] - axis.values[0]):
        return "0"
    return "inf" if isinf(crossing.low) else f"{crossing.low:.6g}"


def sentences(phase: Phase) -> list[str]:
    """What the tables cannot say."""
    found = []
    growth = phase.dynamics.growth
    if growth is not None:
        how = {
            "geometric": f"by a factor of {number_text(growth.rate)} a layer",
            "linear": f"by {number_text(growth.rate)} a layer",
            "superlinear": f"faster than by any factor: like q -> q^{number_text(growth.rate)}",
            "power": f"like depth^{number_text(growth.rate)}",
        }[growth.kind]
        found.append(f"large variances grow without bound, {how}")
        end = phase.fixed_points[-1]
        if end.kind == "infinity" and isinf(end.chi.value):
            found.append("there chi_1 grows without bound: inputs part however near they are")
        elif end.kind == "infinity" and growth.kind != "superlinear":
            ratio = end.chi._replace(value=end.chi.value / end.slope.value, error=end.chi.error + end.slope.error)
            found.append(f"there 1 - correlation changes by a factor of {number_text(ratio)} a layer")
    if phase.dynamics.reach < 9e14:
        found.append(f"variances above {phase.dynamics.reach:.3g} were not examined: the nonlinearity varies too fast")
    if phase.edge is not None and any(c.leaps for c in phase.edge.crossings):
        found.append("where chi_1 leaps, variances that start from 1 run into another fixed point")
    if phase.edge is not None and any(isinf(c.low) and not c.leaps for c in phase.edge.crossings):
        found.append("where q* is inf on the edge, chi_1 tends to 1 only as the variance grows without bound")
    if not phase.fixed_points:
        found.append("no fixed point of the variance was found")
    return found


LEGEND = (
    "slope: of q -> q' at q*, of c -> c' at c*; chi_1: slope of the correlation at c = 1 (below 1 ordered, above chaotic)",
    "xi: depth scale in layers, distances decay as exp(-depth/xi); 0.6057(12) is 0.6057 ± 0.0012",
)


def constants_text(phase: Phase) -> str:
    return ", ".join(f"{name} = {value:.6g}" for name, value in phase.constants.items())


def phase_table(phase: Phase) -> "RenderableType":
    """Fixed points, correlations and the edge, for a terminal."""
    from tpl.report import tables as t

    at = constants_text(phase)
    about = f", {phase.activation}," if phase.activation else ""
    parts: list[RenderableType] = [
        t.heading(phase, seconds_text(phase.seconds)),
        t.text(f"K_{phase.kernel} from layer to layer{about}" + (f" at {at}" if at else ""), "dim"),
        t.blank(),
        t.text("fixed points of the variance", "bold"),
        t.plain_table(VARIANCE_HEADER, variance_rows(phase)),
    ]
    if rows := correlation_rows(phase):
        parts += [
            t.blank(),
            t.text("fixed points of the correlation", "bold"),
            t.plain_table(CORRELATION_HEADER, rows),
        ]
    if phase.edge is not None:
        parts += [t.blank(), t.text("edge of chaos, chi_1 = 1", "bold")]
        if phase.edge.crossings:
            parts.append(t.plain_table(edge_header(phase.edge), edge_rows(phase.edge)))
        else:
            parts.append(t.text(f"none for {axes_text(phase.edge)}"))
    parts += [t.blank(), *(t.text(x) for x in sentences(phase)), *(t.text(f"note: {x}", "dim") for x in phase.notes)]
    parts += [t.text(x, "dim") for x in (phase.dynamics.method, *LEGEND)]
    return t.stack(parts)


def axes_text(edge: Edge) -> str:
    axes = [edge.x] if edge.y is None else [edge.x, edge.y]
    return ", ".join(f"{a.name} = {a.values[0]:.6g}..{a.values[-1]:.6g}" for a in axes)


__all__ = ["Edge", "Phase", "phase_table"]
