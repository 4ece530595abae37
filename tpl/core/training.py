"""A network's training: one step as core lines, and what is carried from step to step.

The lines of `Training.program` compute, for the parameters at hand, the outputs of every example, their losses, and the
backward pass of each example's loss. Parameters are lines, too: matrices, vectors, `state` numbers; whoever runs the
program gives them their present values, and changes them by the `Updates` of a batch. In units in which everything
converges (THEORY section 6; `parametrization` has the powers of the width): with g = n^u ∂loss/∂x for vectors x,

    W += -rate · step(W) / n · Σ g ⊗ x       U ξ' += -rate · step(U) · Σ g ⟨ξ, ξ'⟩
    v += -rate · step(v) · Σ χ x             b += -rate · step(b) · Σ g              c += -rate · step(c) · Σ χ k
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tpl.core.expr import Expr
from tpl.core.gradient import Contributions
from tpl.core.parametrization import Regime
from tpl.core.program import Program
from tpl.language.source import Span


@dataclass(frozen=True)
class Trained:
    """A parameter. line: its line; of a readout or an output bias, one for each of its rows.

    group: "input" (a matrix of finitely many columns, or a vector), "hidden", "readout", "bias" (of the output).
    variance: the coefficient of the power of the width in its variance.
    step: what the gradient is multiplied by besides the rate: the variance's coefficient, for rates are for parameters
    of unit variance; or what the file says.
    """

    name: str
    group: str
    lines: tuple[int, ...]
    variance: float
    step: float


class Updates(NamedTuple):
    """What one example's loss gives to the parameters.

    gradients: of matrices, vectors and finite matrices. readouts: row's line -> (χ line, line of x).
    biases: state line -> (χ line, coefficient).
    """

    gradients: Contributions
    readouts: dict[int, list[tuple[int, int]]]
    biases: dict[int, list[tuple[int, Expr]]]


@dataclass(frozen=True)
class Example:
    """The network on one input, or on one batch of interacting inputs.

    outputs: scalar lines, [positions, k]. loss: of this example, over their lines. targets: [positions] or [positions, k].
    updates: None for test inputs.
    """

    name: str
    outputs: np.ndarray
    loss: Expr | None
    targets: np.ndarray | None
    updates: Updates | None


@dataclass(frozen=True)
class Kernels:
    """Scalar lines, [outputs, outputs]: kernels between single outputs of the network, for one row of its readout.

    nngp: the covariance of outputs at the start, of parameters that start large enough to be seen in the limit. tangent:
    of the parameters whose updates are seen: outputs move by -rate · tangent · χ while features stand still.
    """

    nngp: np.ndarray
    tangent: np.ndarray


@dataclass(frozen=True)
class Schedule:
    """steps: how many. rate, momentum, decay: over the symbol t, the step from 0.

    batch: examples a step. shuffled: the seed of permutations, or None for the given order. records: the steps, from 0
    to `steps`, before which measures are taken.
    """

    steps: int
    rate: Expr
    momentum: Expr
    decay: Expr
    batch: int
    shuffled: int | None
    records: tuple[int, ...]

    def batches(self, count: int) -> np.ndarray:
        """The examples of every step, [steps, batch]: `count` examples in turn, in their order or permuted each epoch."""
        wanted = self.steps * self.batch
        epochs = -(-wanted // count)
        if self.shuffled is None:
            order = np.tile(np.arange(count), epochs)
        else:
            rng = np.random.Generator(np.random.Philox(self.shuffled))
            order = np.concatenate([rng.permutation(count) for _ in range(epochs)] or [np.arange(0)])
        return order[:wanted].reshape(self.steps, self.batch)


@dataclass(frozen=True)
class Measure:
    """function: a word of `training_words`. variable: a key of `Training.variables`. of: the measure it is applied to."""

    function: str
    variable: str = ""
    of: "Measure | None" = None


class Axis(NamedTuple):
    """An axis of what is shown: an index of the network with its values, or data with its examples from 1.

    name: empty for an axis that nothing in the program names.
    """

    name: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class TrainingShow:
    """What was asked for: `measures` in an array over `indices`, at every recorded step.

    names: of each measure, with the values of its indices: `rms(x[0])`, `rms(x[1])` where `rms(x[l])` was asked for.
    """

    name: str
    indices: tuple[Axis, ...]
    measures: tuple[Measure, ...]
    names: tuple[str, ...]
    span: Span | None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(x.labels) for x in self.indices)


@dataclass(frozen=True)
class Training:
    """A whole `train` block. variables: what grams are taken of: a vector line for each training input.

    kernels: over the outputs of all examples, then of all tests; None where nothing needs them.
    inputs, test_inputs: the data that examples and tests run along; empty where the network takes all of it at once.
    """

    program: Program
    network: str
    parameters: tuple[Trained, ...]
    regime: Regime
    examples: tuple[Example, ...]
    tests: tuple[Example, ...]
    schedule: Schedule
    zero_start: bool
    variables: dict[str, tuple[int, ...]]
    kernels: Kernels | None
    shows: tuple[TrainingShow, ...]
    span: Span | None = None
    inputs: str = ""
    test_inputs: str = ""
