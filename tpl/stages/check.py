"""`tpl check`: what a program is, and what it would cost to run."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from tpl.core.program import Program
from tpl.pipeline import Compiled
from tpl.report.results import CheckReport, ShowShape
from tpl.stages.common import heading


def check_report(
    compiled: Compiled, samples: int | None = None, replicates: int | None = None, threads: int | None = None
) -> CheckReport:
    """Class and counts of a program; memory and time of a run with these options."""
    from tpl.numeric.assumptions import assumptions
    from tpl.sampling.cost import estimate_cost
    from tpl.sampling.estimate import DEFAULT_REPLICATES, DEFAULT_SAMPLES, available_threads

    program, training = compiled.program, compiled.program.training
    whole = program if training is None else replace(program, lines=program.lines + training.program.lines)
    judged = program if training is None else training.program
    ops = Counter(line.op for line in whole.lines)
    cost = estimate_cost(
        program, samples or DEFAULT_SAMPLES, replicates or DEFAULT_REPLICATES, threads or available_threads()
    )
    return CheckReport(
        **heading(compiled),
        lines=len(whole.lines),
        matrices=ops["matrix"],
        products=ops["matmul"] + ops["input"],
        nonlinearities=ops["map"],
        moments=ops["moment"],
        outputs=ops["output"],
        memory_bytes=cost.memory_bytes,
        seconds=cost.seconds,
        shows=tuple(_shapes(program)),
        assumptions=assumptions(judged, compiled.inputs),
        regime=None if training is None else training.regime,
    )


def _shapes(program: Program) -> Iterator[ShowShape]:
    """Shows of the training with the records in front; of matrices and vectors, as many as there are inputs."""
    for shown in program.shows:
        yield ShowShape(shown.name, shown.shape)
    if program.training is not None:
        from tpl.sampling.train_many import Measured

        shapes = Measured(program.training).shapes()
        yield from (ShowShape(x.name, shape) for x, shape in zip(program.training.shows, shapes, strict=True))
