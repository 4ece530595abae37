"""What one replicate of a training is between two steps, as arrays with names, and back."""

from collections.abc import Iterator

import numpy as np

from tpl.sampling.checkpoint import ReplicateFiles, State
from tpl.sampling.rows import RowBuffer
from tpl.sampling.train import TrainingRun
from tpl.sampling.trained import Moving, TrainedLazy


def save(run: TrainingRun, files: ReplicateFiles) -> None:
    """Keep a run on disk. What is drawn at the start and stays is not: it is drawn again."""
    state: State = {"step": np.array(run.step), "used": np.array(0 if run.net is None else run.net.used)}
    for name, moving in _moving(run):
        state |= {f"{name}/{key}": value for key, value in moving.state().items()}
    for line, operator in _lazy(run).items():
        state[f"random/{line}"] = _of_generator(operator.rng)
        state[f"largest/{line}"] = operator.largest
    for name in run.records[0] if run.records else ():
        state[f"record/{name}"] = np.array([record[name] for record in run.records])
    files.save(state, _buffers(run))


def resume(run: TrainingRun, files: ReplicateFiles) -> None:
    """Bring a new run to where the last one was kept, if it was."""
    state = files.resume(lambda name: _buffer(run, name))
    if state is None:
        return
    run.step = int(state["step"])
    if run.net is not None:
        run.net.used = int(state["used"])
    for name, moving in _moving(run):
        moving.restore(_below(state, f"{name}/"))
    for line, operator in _lazy(run).items():
        _to_generator(operator.rng, state[f"random/{line}"])
        operator.largest = state[f"largest/{line}"]
    records = _below(state, "record/")
    count = len(next(iter(records.values()), ()))
    run.records = [{name: values[k] for name, values in records.items()} for k in range(count)]


def _below(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _lazy(run: TrainingRun) -> dict[int, TrainedLazy]:
    """The matrices that go on drawing."""
    return {line: operator for line, operator in run.operators.items() if isinstance(operator, TrainedLazy)}


def _moving(run: TrainingRun) -> Iterator[tuple[str, Moving]]:
    for kind, table in (("vector", run.vectors), ("number", run.numbers), ("image", run.images)):
        for line, moving in table.items():
            yield f"{kind}/{line}", moving
    for line, operator in run.operators.items():
        parts = operator.moving if isinstance(operator, TrainedLazy) else {"whole": operator.moving}
        for name, moving in parts.items():
            yield f"matrix/{line}/{name}", moving


def _buffers(run: TrainingRun) -> dict[str, RowBuffer]:
    found = {
        f"matrix/{line}/{name}": buffer
        for line, operator in _lazy(run).items()
        for name, buffer in operator.buffers.items()
    }
    return found | {f"start/{name}": buffer for name, buffer in run.start.items()}


def _buffer(run: TrainingRun, name: str) -> RowBuffer:
    """The buffer to fill; features at the start have none before they are met."""
    if name.startswith("start/"):
        return run.make_start(name.removeprefix("start/"))
    return _buffers(run)[name]


def _of_generator(rng: np.random.Generator) -> np.ndarray:
    """SFC64's state: four numbers, and half of a fifth that may wait to be used."""
    state = rng.bit_generator.state
    return np.array([*state["state"]["state"], state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def _to_generator(rng: np.random.Generator, numbers: np.ndarray) -> None:
    rng.bit_generator.state = {
        "bit_generator": "SFC64", "state": {"state": numbers[:4]},
        "has_uint32": int(numbers[4]), "uinteger": int(numbers[5]),
    }  # fmt: skip
