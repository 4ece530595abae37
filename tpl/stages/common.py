"""What all reports begin with, and how long stages say how far they are."""

from collections.abc import Callable

from tpl.core.program import classify
from tpl.pipeline import Compiled

Progress = Callable[[int, int], None]  # of steps done, and of all steps


def heading(compiled: Compiled) -> dict:
    """Title, name, class and inputs of a program, as its reports take them."""
    program = compiled.program
    return {
        "title": program.title.splitlines()[0] if program.title else "",
        "program_name": program.source.name,
        "program_class": classify(program).value,
        "inputs": tuple(f"{name}: {x.description}" for name, x in compiled.inputs.items()),
    }


class Steps:
    """One progress over several simulations."""

    def __init__(self, progress: Progress | None, total: int):
        self._progress = progress
        self._total = total
        self._before = 0

    def advance(self, steps: int) -> Progress | None:
        """The progress of the next simulation, of so many steps."""
        if self._progress is None:
            return None
        report, before = self._progress, self._before
        self._before += steps
        return lambda done, _: report(before + done, self._total)
