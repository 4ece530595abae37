"""`tpl check`: what a program is, and what it would cost to run."""

from collections import Counter

from tpl.pipeline import Compiled
from tpl.report.results import CheckReport, ShowShape
from tpl.stages.common import heading


def check_report(
    compiled: Compiled, samples: int | None = None, replicates: int | None = None, threads: int | None = None
) -> CheckReport:
    """Class and counts of a program; memory and time of a run with these options."""
    from tpl.sampling.cost import estimate_cost
    from tpl.sampling.estimate import DEFAULT_REPLICATES, DEFAULT_SAMPLES, available_threads

    program = compiled.program
    ops = Counter(line.op for line in program.lines)
    cost = estimate_cost(
        program, samples or DEFAULT_SAMPLES, replicates or DEFAULT_REPLICATES, threads or available_threads()
    )
    return CheckReport(
        **heading(compiled),
        lines=len(program.lines),
        matrices=ops["matrix"],
        products=ops["matmul"] + ops["input"],
        nonlinearities=ops["map"],
        moments=ops["moment"],
        outputs=ops["output"],
        memory_bytes=cost.memory_bytes,
        seconds=cost.seconds,
        shows=tuple(ShowShape(x.name, x.shape) for x in program.shows),
    )
