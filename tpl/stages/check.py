"""`tpl check`: what a program is, and what it would cost to run."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from tpl.core.program import Program
from tpl.pipeline import Compiled
from tpl.report.results import CheckReport, ShowShape
from tpl.stages.common import heading
from tpl.stages.run import RunOptions


def check_report(compiled: Compiled, options: RunOptions | None = None) -> CheckReport:
    """Class and counts of a program; memory and time of a run with these options."""
    from tpl.numeric.assumptions import assumptions

    program, training = compiled.program, compiled.program.training
    whole = program if training is None else replace(program, lines=program.lines + training.program.lines)
    judged = program if training is None else training.program
    ops = Counter(line.op for line in whole.lines)
    memory, seconds, notes = _cost(compiled, options or RunOptions())
    return CheckReport(
        **heading(compiled),
        lines=len(whole.lines),
        matrices=ops["matrix"],
        products=ops["matmul"] + ops["input"],
        nonlinearities=ops["map"],
        moments=ops["moment"],
        outputs=ops["output"] + (0 if training is None else sum(x.outputs.size for x in training.examples)),
        memory_bytes=memory,
        seconds=seconds,
        shows=tuple(show_shapes(program)),
        notes=tuple(notes),
        assumptions=assumptions(judged, compiled.inputs),
        regime=None if training is None else training.regime,
    )


def _cost(compiled: Compiled, options: RunOptions) -> tuple[int, float, list[str]]:
    """Bytes and seconds of a run, and what they rest on."""
    from tpl.sampling.cost import estimate_cost
    from tpl.sampling.estimate import DEFAULT_REPLICATES, DEFAULT_SAMPLES, available_threads
    from tpl.stages.train import training_cost

    program, training = compiled.program, compiled.program.training
    threads = options.threads or available_threads()
    plain = options if training is None else replace(options, samples=None, replicates=None)
    cost = estimate_cost(program, plain.samples or DEFAULT_SAMPLES, plain.replicates or DEFAULT_REPLICATES, threads)
    if training is None or training.regime.kind == "unstable":
        return cost.memory_bytes, cost.seconds, []
    trained, notes = training_cost(training, options, threads)
    return max(cost.memory_bytes, trained.memory_bytes), cost.seconds + trained.seconds, notes


def show_shapes(program: Program) -> Iterator[ShowShape]:
    """Shows of the training with the records in front; of matrices and vectors, as many as there are inputs."""
    for shown in program.shows:
        yield ShowShape(shown.name, shown.shape)
    if program.training is not None:
        from tpl.sampling.train_many import Measured

        shapes = Measured(program.training).shapes()
        yield from (ShowShape(x.name, shape) for x, shape in zip(program.training.shows, shapes, strict=True))
