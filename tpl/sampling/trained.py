"""Matrices that training changes: W_t = α W_0 + Σ C[l, k] q_l p_kᵀ.

The vectors that a matrix meets in training are the ones that it is updated by: right factors x are arguments of W,
left factors g of W.T. So an update is a small matrix C in the bases (p, q) that the lazy operator keeps anyway, and the
cost of a step stops growing once those bases do. Momentum is a second such pair (α, C).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tpl.sampling.operator import DenseGaussian, LazyGaussian, _Side
from tpl.sampling.quasi import SobolNormals
from tpl.sampling.rows import CHUNK, RowBuffer, Rows, Stack, accumulate, combine, squared_norms
from tpl.sampling.truncate import SMALLEST, expand_leading

_SHARE_OF_ROUNDING = 1e-14  # of a squared norm: a difference below is none


class Motion(NamedTuple):
    """One step of heavy-ball descent: velocity <- momentum · velocity + gradient + decay · value; value -= rate · velocity."""

    rate: float
    momentum: float = 0.0
    decay: float = 0.0


class Outer(NamedTuple):
    """Σ_b weights[b] left_b ⊗ right_b; the lines that the rows of `left` and `right` come from."""

    weights: np.ndarray
    left_lines: tuple[int, ...]
    right_lines: tuple[int, ...]
    left: Rows
    right: Rows


@dataclass
class Moving:
    """Numbers that descend: a value and its velocity, of any shape."""

    value: np.ndarray
    velocity: np.ndarray | None = None

    def move(self, gradient: np.ndarray | float, motion: Motion) -> None:
        if not motion.momentum and not motion.decay and self.velocity is None:
            self.value -= motion.rate * gradient
            return
        if self.velocity is None:
            self.velocity = np.zeros_like(self.value)
        self.velocity *= motion.momentum
        self.velocity += gradient
        if motion.decay:
            self.velocity += motion.decay * self.value
        self.value -= motion.rate * self.velocity

    def state(self) -> dict[str, np.ndarray]:
        return {"value": self.value} if self.velocity is None else {"value": self.value, "velocity": self.velocity}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        if self.value.shape == state["value"].shape:
            self.value[...] = state["value"]  # others may hold it, too
        else:
            self.value = state["value"]
        self.velocity = state.get("velocity")

    def grow(self, shape: tuple[int, ...]) -> None:
        """Room for more, filled with zeros."""
        if self.value.shape != shape:
            self.value = _padded(self.value, shape)
            self.velocity = None if self.velocity is None else _padded(self.velocity, shape)


def _padded(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape)
    out[tuple(slice(n) for n in x.shape)] = x
    return out


class TrainedLazy(LazyGaussian):
    """A lazily revealed matrix that can be moved.

    lost: what truncation has cost since the last `forget`: the largest trace of the Gram matrix of W_0 r over a
    product's rows, r what was dropped of its arguments; adjoints apart. stored: draw all of W_0 at the start, as `TrainedDense` does from
    the same generator, and reveal that: the two then differ by nothing but truncation and rounding. net: where fresh
    draws come from as long as it has some, `rng` after that.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        variance: float,
        rng: np.random.Generator,
        *,
        tolerance: float,
        dtype: type = np.float64,
        stored: bool = False,
        net: SobolNormals | None = None,
    ):
        super().__init__(rows, columns, variance, rng, tolerance=tolerance, capacity=(CHUNK, CHUNK), dtype=dtype)
        self._stored = rng.standard_normal((rows, columns)) if stored else None
        self._net = net
        self.initial = Moving(np.ones(()))  # α
        self.update = Moving(np.zeros((0, 0)))  # C, [q, p]
        self.lost = 0.0
        self.largest = np.zeros(())  # root mean square norm of adjoints, the largest so far
        self._scale_of_adjoints = 0.0
        self._seen: tuple[dict[int, np.ndarray], dict[int, np.ndarray]] = {}, {}

    def product(self, x: Rows, lines: tuple[int, ...], transposed: bool, adjoint: bool = False) -> Rows:
        """W x, or W.T x, for each row; `lines` say where the rows come from, for `descend`.

        adjoint: the rows are derivatives of the loss, which fade as the loss does. What they are good for is their sum
        over examples and steps, so each is known as well as the geometric mean of what is usual now and what was usual
        when they were largest asks for; relative to itself, every last bit of a fading one would get directions.
        """
        side, other = (self._backward, self._forward) if transposed else (self._forward, self._backward)
        if adjoint:
            usual = np.sqrt(squared_norms(x).mean())
            self.largest = np.maximum(self.largest, usual)
            self._scale_of_adjoints = float(np.sqrt(usual * self.largest))
        coefficients = self._coefficients(x, side, other)
        self._scale_of_adjoints = 0.0
        self._seen[transposed].update(zip(lines, coefficients, strict=True))
        if not adjoint:
            self._note_lost(x, coefficients)
        result = combine(coefficients * (self._scale * float(self.initial.value)), side.images.parts)
        change = self.update.value.T if transposed else self.update.value
        if change.size:
            moved = coefficients[:, : change.shape[1]] @ change.T
            accumulate(result, moved, other.basis.first(len(change)), out=result)
        return result

    def _expand(self, x: Rows, norms: np.ndarray, basis: RowBuffer) -> np.ndarray:
        if self._tolerance < SMALLEST:
            return super()._expand(x, norms, basis)
        return expand_leading(x, norms, basis, self._tolerance, np.maximum(norms, self._scale_of_adjoints))

    def _reveal(self, directions: Stack, images: Rows, other: _Side) -> None:
        if self._stored is None:
            super()._reveal(directions, images, other)
            return
        matrix = self._stored.T if other is self._backward else self._stored
        images[:] = np.concatenate([part @ matrix for part in directions])

    def _draw(self, images: Rows, known: Stack) -> None:
        found = None if self._net is None else self._net.draw(*images.shape)
        if found is None:
            super()._draw(images, known)
        else:
            images[:] = found

    def _note_lost(self, x: Rows, coefficients: np.ndarray) -> None:
        squares = squared_norms(x)
        left = squares - squared_norms(coefficients)
        left[left < _SHARE_OF_ROUNDING * squares] = 0
        self.lost = max(self.lost, self._scale**2 * float(left.sum()))

    def descend(self, outer: Outer | None, motion: Motion) -> None:
        """Move by the gradient Σ weights left ⊗ right, or by none."""
        self.update.move(0.0 if outer is None else self._gradient(outer), motion)
        self.initial.move(0.0, motion)

    def forget(self) -> None:
        """A step is over: its lines will have other values."""
        self.lost = 0.0
        self._seen[0].clear()
        self._seen[1].clear()

    def _gradient(self, outer: Outer) -> np.ndarray:
        """In the bases, for which the update gets room."""
        right = self._expanded(outer.right, outer.right_lines, False)
        left = self._expanded(outer.left, outer.left_lines, True)
        self.update.grow((self._backward.basis.count, self._forward.basis.count))
        shape = self.update.value.shape
        return (_columns(left, shape[0]) * outer.weights[:, None]).T @ _columns(right, shape[1])

    def _expanded(self, rows: Rows, lines: tuple[int, ...], transposed: bool) -> list[np.ndarray]:
        """The rows' coefficients: known where a product has met them."""
        seen = self._seen[transposed]
        unknown = [i for i, line in enumerate(lines) if line not in seen]
        if unknown:
            side: _Side = self._backward if transposed else self._forward
            found = self._coefficients(rows[unknown], side, self._forward if transposed else self._backward)
            seen.update(zip([lines[i] for i in unknown], found, strict=True))
        return [seen[line] for line in lines]

    # What is kept of it between steps, apart from `rng`.

    @property
    def moving(self) -> dict[str, Moving]:
        return {"initial": self.initial, "update": self.update}

    @property
    def buffers(self) -> dict[str, RowBuffer]:
        sides = {"forward": self._forward, "backward": self._backward}
        return {f"{name} {part}": getattr(side, part) for name, side in sides.items() for part in ("basis", "images")}

    @property
    def rng(self) -> np.random.Generator:
        return self._rng


def _columns(rows: list[np.ndarray], count: int) -> np.ndarray:
    out = np.zeros((len(rows), count))
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = row
    return out


class TrainedDense(DenseGaussian):
    """A stored matrix that can be moved."""

    def __init__(self, rows: int, columns: int, variance: float, rng: np.random.Generator):
        super().__init__(rows, columns, variance, rng)
        self._matrix *= self._scale
        self._scale = 1.0
        self.moving = Moving(self._matrix)
        self.lost = 0.0

    @property
    def ranks(self) -> tuple[int, int]:
        return self._matrix.shape[1], self._matrix.shape[0]

    def product(self, x: Rows, lines: tuple[int, ...], transposed: bool, adjoint: bool = False) -> Rows:
        return self.apply_transposed(x) if transposed else self.apply(x)

    def forget(self) -> None:
        """Nothing is remembered of a step."""

    def descend(self, outer: Outer | None, motion: Motion) -> None:
        self.moving.move(0.0 if outer is None else (outer.left * outer.weights[:, None]).T @ outer.right, motion)
