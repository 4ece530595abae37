"""One step of training as text: its lines, and what a batch adds to every parameter. For reading; nothing reads it back."""

from collections.abc import Iterator

from tpl.core.expr import show
from tpl.core.text import print_program
from tpl.core.training import Example, Trained, Training


def print_training(training: Training) -> str:
    """The lines of one step, then the updates: what is subtracted is the rate times the batch's mean of the sums shown."""
    schedule = training.schedule
    order = "in their order" if schedule.shuffled is None else f"shuffled with seed {schedule.shuffled}"
    head = [
        f"train {training.network}: {schedule.steps} steps of {schedule.batch} examples {order}",
        f"rate {show(schedule.rate)}, momentum {show(schedule.momentum)}, weight decay {show(schedule.decay)}",
        f"regime: {training.regime.kind}",
    ]
    lines = [*(f"# {x}" for x in head), "", print_program(training.program)]
    for parameter in training.parameters:
        lines += _updates(training, parameter)
    return "\n".join(lines) + "\n"


def _updates(training: Training, parameter: Trained) -> Iterator[str]:
    role = training.regime.role(parameter.name)
    if role.update is None:
        yield f"# {parameter.name} does not train"
        return
    power = "" if role.update == 0 else f" * n^({-role.update})"
    over = " / n" if parameter.group == "hidden" else ""
    for line in parameter.lines:
        name = training.program.lines[line].name
        yield f"update {name} by -rate * {parameter.step:g}{power}{over} * the mean over the batch of"
        for example in training.examples:
            terms = list(_terms(training, line, example))
            if terms:
                yield f"    {example.name}: " + " + ".join(terms)


def _terms(training: Training, line: int, example: Example) -> Iterator[str]:
    """What one example gives to a parameter; ⊗ is an outer product."""
    assert example.updates is not None
    found, name = example.updates.gradients, lambda i: training.program.lines[i].name
    yield from (f"{name(g)} ⊗ {name(x)}" for g, x in found.matrices.get(line, []))
    yield from (f"{name(g)} ⊗ {example.name}" for g, _ in found.inputs.get(line, []))
    if line in found.vectors:
        yield name(found.vectors[line])
    yield from (f"{name(chi)} * {name(x)}" for chi, x in example.updates.readouts.get(line, []))
    yield from (f"{name(chi)} * ({show(k)})" for chi, k in example.updates.biases.get(line, []))
