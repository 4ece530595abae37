"""Kernels of infinitely wide networks inside scikit-learn: `NetworkKernel` for Gaussian processes, SVMs, ridge.

Needs scikit-learn: pip install 'tpl[sklearn]'.
"""

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Kernel

from tpl.api import TensorProgram


class NetworkKernel(Kernel):
    """The NNGP or tangent kernel of a program's network, as a kernel object of `sklearn.gaussian_process`.

    program: what `tpl.load` gives, with its settings. kernel: "nngp" or "ntk". Has no hyperparameters of its own;
    multiply and add scikit-learn's kernels (`ConstantKernel() * NetworkKernel(program) + WhiteKernel()`) to have some.
    Inputs are rows; those of networks on arrays of a `shape` are given as rows, too, and take their shape here.
    """

    def __init__(self, program: TensorProgram, kernel: str = "nngp", shape: tuple[int, ...] | None = None):
        self.program = program
        self.kernel = kernel
        self.shape = shape

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """K(X, Y) [N, M]; with `eval_gradient` also its derivatives by the hyperparameters, of which there are none."""
        if Y is not None and eval_gradient:
            raise ValueError("a gradient is defined for Y=None only")
        found = self.program.kernel(self._shaped(X), self._shaped(Y), get=(self.kernel,))[self.kernel]
        if found.ndim != 2:
            raise ValueError(
                f"a kernel of networks with one output; that of this network has shape {list(found.shape)}"
            )
        return (found, np.empty((len(found), len(found), 0))) if eval_gradient else found

    def diag(self, X: Any) -> np.ndarray:
        """K(ξ, ξ) for every row."""
        return self.program.kernel_diagonal(self._shaped(X), self.kernel)

    def is_stationary(self) -> bool:
        return False

    def __sklearn_clone__(self) -> "NetworkKernel":
        return NetworkKernel(self.program, self.kernel, self.shape)  # programs do not change

    def _shaped(self, X: Any) -> np.ndarray | None:
        if X is None:
            return None
        rows = np.atleast_2d(np.asarray(X, dtype=float))
        return rows if self.shape is None else rows.reshape(len(rows), *self.shape)

    def __repr__(self) -> str:
        return f"NetworkKernel({self.program.source.name}, {self.kernel})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, NetworkKernel)
            and self.program is other.program
            and (self.kernel, self.shape) == (other.kernel, other.shape)
        )

    __hash__ = None  # type: ignore[assignment]
