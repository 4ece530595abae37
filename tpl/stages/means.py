"""Means of a network's outputs, which stand beside its kernels where a bias of the output has a mean.

Readouts have none, so that E f(ξ) = Σ_c k_c E c over the biases c of the output, k_c what each is multiplied by.
"""

import re
from collections.abc import Iterable

import numpy as np

from tpl.core.expr import ZERO, evaluate
from tpl.core.program import Line, Program
from tpl.report.results import Result

_COVARIANCE = re.compile(r"nngp\((\w+), ?(\w+)\)")
ROUNDING = 4 * float(np.finfo(float).eps)  # of a sum of products, relative to their sizes


def output_means(program: Program, results: Iterable[Result]) -> list[Result]:
    """`mean(f, X)` for every `nngp(f, X)` among results whose outputs have a mean, [N, …] or [] as the outputs are.

    Of a program that is written out for a few inputs only, they are those of all if they are the same for those few; else
    they are left out.
    """
    found = []
    for result in results:
        match = _COVARIANCE.fullmatch(result.name)
        if match is not None:
            network, data = match.groups()
            outputs = [x for x in program.lines if x.op == "output" and x.name.startswith(f"{network}{{{data}")]
            mean = _mean(program, outputs, result.shape[: len(result.shape) // 2])
            if mean is not None:
                value, error = mean
                found.append(Result(f"mean({network}, {data})", value, error, "means of biases"))
    return found


def _mean(program: Program, outputs: list[Line], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Value and error, [N, …]; None where outputs have no mean, or none that is known."""
    if not any(_has_mean(program, x) for x in outputs):
        return None
    env = program.constant_values()
    known = np.array([_of_output(program, x, env) for x in outputs])
    if len(known) != np.prod(shape, dtype=int):
        each = known.reshape(-1, int(np.prod(shape[1:], dtype=int)), 2)
        if not np.all(each == each[0]):
            return None
        known = np.broadcast_to(each[0], (*shape[:1], *each[0].shape)).reshape(-1, 2)
    value, size = known.T
    return value.reshape(shape), (ROUNDING * size).reshape(shape)


def _has_mean(program: Program, output: Line) -> bool:
    return any(_has_mean(program, x) if x.op == "output" else x.mean != ZERO for x in _biases(program, output))


def _biases(program: Program, output: Line) -> list[Line]:
    return [program.lines[b] for b, _ in output.biases]


def _of_output(program: Program, output: Line, env: dict[str, float]) -> tuple[float, float]:
    """Σ k μ, and Σ |k μ|."""
    value = size = 0.0
    for bias, (_, factor) in zip(_biases(program, output), output.biases, strict=True):
        own, own_size = _of_output(program, bias, env) if bias.op == "output" else (evaluate(bias.mean, env),) * 2
        scale = evaluate(factor, env)
        value, size = value + scale * own, size + abs(scale * own_size)
    return value, size


__all__ = ["output_means"]
