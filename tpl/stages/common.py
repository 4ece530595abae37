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
