"""Do inputs meet the assumption under which features stay linearly independent in training?

For distinct i, j, k it asks that ⟨ξ_i, ξ_j⟩ ≠ 0 and |⟨ξ_i, ξ_j⟩| ≠ |⟨ξ_i, ξ_k⟩| (Chen, Yang, Zhao & Gu 2025, section 4).
Numbers that differ by no more than the rounding of an inner product count as equal.
"""

import math
from dataclasses import dataclass

import numpy as np

from tpl.data.dataset import Array, shape_text

EPSILON = 2.0**-52
MOST_INPUTS = 2000  # checked; a second at d = 3072
MOST_NAMED = 6
_BLOCK = 256


@dataclass(frozen=True)
class Offender:
    """Inputs that break the assumption, counted from 1: (i, j) with ⟨ξ_i, ξ_j⟩ = 0, (i, j, k) with equal sizes."""

    inputs: tuple[int, ...]
    sentence: str


@dataclass(frozen=True)
class InputAssumption:
    """Whether one array of inputs meets the assumption.

    offenders: the first few; count: of all pairs that are orthogonal, and of all inner products equal in size to another
    of the same input. tolerance: relative to the lengths, |error of ⟨ξ_i, ξ_j⟩| <= tolerance |ξ_i| |ξ_j|.
    notes: inputs that are zero or parallel.
    """

    name: str
    holds: bool
    offenders: tuple[Offender, ...]
    count: int
    tolerance: float
    sentence: str
    notes: tuple[str, ...] = ()


def check_inputs(name: str, array: Array) -> InputAssumption:
    """The assumption for the inputs array[0], array[1], …; each counts as one vector, whatever its shape.

    Only the first MOST_INPUTS are looked at, and the sentence says so. Raises ValueError for an array without inputs.
    """
    if array.ndim < 2 or not array.size:
        raise ValueError(f"data of shape {shape_text(array.shape)} are no inputs")
    inputs = _scaled(array[:MOST_INPUTS].reshape(min(len(array), MOST_INPUTS), -1))
    search = _Search(name, inputs)
    for start in range(0, len(inputs), _BLOCK):
        search.look_at(range(start, min(start + _BLOCK, len(inputs))))
    holds = not search.count
    sentence = _sentence(array, holds, search)
    return InputAssumption(
        name, holds, tuple(search.offenders), search.count, search.tolerance, sentence, search.notes()
    )


def _scaled(inputs: Array) -> Array:
    """Times a power of two, so that inner products neither overflow nor vanish."""
    largest = float(np.max(np.abs(inputs)))
    return np.ldexp(inputs, -math.frexp(largest)[1])


def _sentence(array: Array, holds: bool, search: "_Search") -> str:
    size, checked = math.prod(array.shape[1:]), len(search.inputs)
    what = f"{checked} inputs in R^{size}"
    if array.ndim > 2:
        what += f", each of shape {shape_text(array.shape[1:])} taken as one vector"
    if checked < len(array):
        what += f" (the first of {len(array)})"
    within = f"(relative tolerance {search.tolerance:.2g})"
    if holds:
        return f"{what}; no two inputs are orthogonal, and no input has inner products of equal size with two others {within}"
    others = search.count - len(search.offenders)
    more = f", and {others} more" if others else ""
    return f"{what}; " + ", ".join(x.sentence for x in search.offenders) + more + f" {within}"


class _Search:
    """Row by row of the matrix of inner products: which are 0, which are equal in size."""

    def __init__(self, name: str, inputs: Array):
        self.name = name
        self.inputs = inputs
        self.lengths = np.sqrt(np.einsum("id,id->i", inputs, inputs))
        self.tolerance = inputs.shape[1] * EPSILON
        self.offenders: list[Offender] = []
        self.count = 0
        self.parallel: list[tuple[int, int]] = []

    def look_at(self, rows: range) -> None:
        """The inputs of these numbers against all others."""
        numbers, all_numbers = np.array(rows)[:, None], np.arange(len(self.inputs))
        bounds = self.lengths[numbers] * self.lengths
        errors = self.tolerance * bounds
        sizes = np.abs(self.inputs[rows.start : rows.stop] @ self.inputs.T)
        later, zero = all_numbers > numbers, sizes <= errors
        self._orthogonal(rows.start, zero & later)
        self._parallel(rows.start, later & (bounds > 0) & (sizes >= bounds - 2 * errors))
        sizes[zero | (all_numbers == numbers)] = np.inf  # these are compared with none
        self._equal(rows.start, sizes, errors)

    def _orthogonal(self, start: int, found: np.ndarray) -> None:
        self.count += int(np.count_nonzero(found))
        for i, j in self._first(found):
            self._add((start + i, j), f"⟨{self._input(start + i)}, {self._input(j)}⟩ = 0")

    def _parallel(self, start: int, found: np.ndarray) -> None:
        places = np.argwhere(found)[: MOST_NAMED - len(self.parallel)]
        self.parallel += [(start + int(i), int(j)) for i, j in places]

    def _equal(self, start: int, sizes: np.ndarray, errors: np.ndarray) -> None:
        """Sizes known to their errors are intervals: two are equal where their intervals meet."""
        order = np.argsort(sizes - errors, axis=1, kind="stable")
        low, high = (np.take_along_axis(x, order, axis=1) for x in (sizes - errors, sizes + errors))
        found = (low[:, 1:] <= np.maximum.accumulate(high, axis=1)[:, :-1]) & np.isfinite(low[:, 1:])
        self.count += int(np.count_nonzero(found))
        for i, k in self._first(found):
            first, second = sorted(int(order[i, x]) for x in (np.argmax(high[i, : k + 1]), k + 1))
            one, two = (f"|⟨{self._input(start + i)}, {self._input(j)}⟩|" for j in (first, second))
            self._add((start + i, first, second), f"{one} = {two}")

    def _first(self, found: np.ndarray) -> list[tuple[int, int]]:
        """Places of offenders, as many as are still to be named."""
        missing = MOST_NAMED - len(self.offenders)
        if missing <= 0 or not found.any():
            return []
        return [(int(i), int(j)) for i, j in np.argwhere(found)[:missing]]

    def _add(self, inputs: tuple[int, ...], sentence: str) -> None:
        self.offenders.append(Offender(tuple(j + 1 for j in inputs), sentence))

    def _input(self, i: int) -> str:
        return f"{self.name}[{i + 1}]"

    def notes(self) -> tuple[str, ...]:
        """Inputs that are zero, equal, opposite or parallel."""
        found = [f"{self._input(int(i))} is zero" for i in np.flatnonzero(self.lengths == 0)[:MOST_NAMED]]
        for i, j in self.parallel:
            a, b = self.inputs[i], self.inputs[j]
            how = "equals" if np.array_equal(a, b) else "is opposite to" if np.array_equal(a, -b) else "is parallel to"
            found.append(f"{self._input(i)} {how} {self._input(j)}")
        return tuple(found)
