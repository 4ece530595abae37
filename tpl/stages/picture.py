"""Will there be a picture? Asked before a run or a sweep, which may take long."""

from collections.abc import Iterator, Mapping, Sequence

from tpl.core.program import Program
from tpl.language.source import Diagnostic, TplError
from tpl.stages.check import show_shapes


def check_plot(program: Program, swept: Mapping[str, Sequence] | None = None) -> None:
    """Raise TplError where `run`, or a sweep over settings, shows nothing that its `plot` can draw."""
    from tpl.report.labelled_plot import AXES
    from tpl.report.run_plot import DRAWN, NOTHING, undrawable

    shapes = list(_shapes(program))
    if swept is None:
        if undrawable(shapes):
            raise TplError(program.source, [Diagnostic(None, NOTHING, DRAWN)])
        return
    if len(shapes) != 1:
        message = f"a picture of a sweep shows one thing, and the program shows {len(shapes)}"
        raise TplError(
            program.source, [Diagnostic(None, message, 'leave one `show`; in Python, `sweep["loss"].plot(…)`')]
        )
    axes = sum(len(values) > 1 for values in swept.values()) + sum(size > 1 for size in shapes[0][0])
    if axes not in AXES:
        shown = program.shows[0] if program.shows else program.training.shows[0]  # type: ignore[union-attr]
        message = f"`{shown.name}` over this sweep has {axes} axes; a picture shows one or two"
        raise TplError(program.source, [Diagnostic(None, message, "sweep fewer settings, or show a number")])


def _shapes(program: Program) -> Iterator[tuple[tuple[int, ...], int]]:
    """Of every show its shape, and how many steps lie along its first axis."""
    plain = len(program.shows)
    records = 0 if program.training is None else len(program.training.schedule.records)
    for i, shown in enumerate(show_shapes(program)):
        yield shown.shape, 0 if i < plain else records
