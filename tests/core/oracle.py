"""A slow interpreter of core programs with given arrays: what the fast ones are compared with."""

import numpy as np

from tpl.core.expr import Expr, evaluate
from tpl.core.functions import FUNCTIONS
from tpl.core.program import Program


def draw(program: Program, width: int, seed: int) -> dict[int, np.ndarray]:
    """Arrays for every random line, in units of their standard deviation."""
    rng = np.random.default_rng(seed)
    sizes = program.sizes(width)
    arrays = {}
    for i, line in enumerate(program.lines):
        if line.op in ("matrix", "gaussian"):
            arrays[i] = rng.standard_normal([sizes.get(d, d) for d in line.dims])
    return arrays


def run(program: Program, width: int, arrays: dict[int, np.ndarray]) -> list:
    """The value of every line at a base width."""
    env = program.constant_values() | {k: float(v) for k, v in program.sizes(width).items()}
    values: list = []
    for i, line in enumerate(program.lines):
        args = [values[a] for a in line.args]
        if line.op in ("matrix", "gaussian"):
            values.append(evaluate(line.mean, env) + np.sqrt(evaluate(line.expr, env)) * arrays[i])
        elif line.op == "input":
            values.append(args[0] @ np.array(line.row))
        elif line.op == "matmul":
            values.append((args[0].T if line.transposed else args[0]) @ args[1])
        else:
            value = _evaluate(line.expr, args, env)
            if line.op == "moment":
                value = np.mean(value)
            if line.op == "output":
                value = np.sum(value) / np.sqrt(width)
                value += sum(evaluate(k, env) * values[b] for b, k in line.biases)
            values.append(value)
    return values


def _evaluate(expr: Expr, args: list, env: dict):
    if expr.op == "ref":
        return args[expr.value]
    if not expr.args:
        return evaluate(expr, env)
    return FUNCTIONS[expr.op].array(*(np.asarray(_evaluate(a, args, env)) for a in expr.args))


def shown(program: Program, values: list) -> list[np.ndarray]:
    return [np.array([values[i] for i in s.lines]).reshape(s.shape) for s in program.shows]


def outputs(program: Program, values: list) -> np.ndarray:
    """The values of the outputs, but of those that are parts of others."""
    parts = {b for line in program.lines if line.op == "output" for b, _ in line.biases}
    return np.array([values[i] for i, line in enumerate(program.lines) if line.op == "output" and i not in parts])
