"""What a user holds in hand: results with errors and methods, whole runs, verifications, checks.

Plain records that the pipeline fills. They know how to show themselves; the work is in `tables`, `html`, `plots` and
`schema`, imported when needed.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from tpl.language.source import Span, nearest
from tpl.report.layout import Floats, compact, rough, shape_text, verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tpl.core.parametrization import Regime
    from tpl.numeric.assumptions import Assumptions
    from tpl.numeric.plan import Choice
    from tpl.report.labelled import Labelled
    from tpl.sampling.agreement import Agreement


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """One show: an array of numbers with its errors (same shape, or one for all) and the methods that gave them.

    steps: of training, if the first axis is along it. axes: names and labels of all other axes, where they are known; no name
    is an empty one.
    Behaves as its value in numpy functions. Raises ValueError on numbers that are not finite or errors below 0.
    """

    name: str
    value: Floats
    error: Floats
    method: str
    span: Span | None = None
    steps: tuple[int, ...] = ()
    axes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __post_init__(self) -> None:
        value = _frozen(self.value)
        error = _frozen(np.broadcast_to(np.asarray(self.error, float), value.shape))
        if not (np.isfinite(value).all() and np.isfinite(error).all()):
            raise ValueError(f"{self.name}: the value or its error is not finite")
        if (error < 0).any():
            raise ValueError(f"{self.name}: a negative error")
        if self.axes and tuple(len(x) for _, x in self.axes) != value.shape[bool(self.steps) :]:
            raise ValueError(f"{self.name}: labels that do not fit the shape {value.shape}")
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "error", error)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """What tables and pictures write along every axis but the steps: `l = 0`, or numbers alone where no name is known and
        along both sides of a matrix over data.
        """
        axes = self.axes or tuple(("", tuple(range(1, size + 1))) for size in self.shape[bool(self.steps) :])
        sides = {x for name, _ in axes for x in (name, name.removesuffix("′")) if name.endswith("′")}
        return tuple(tuple(f"{k} = {x}" if k and k not in sides else str(x) for x in labels) for k, labels in axes)

    @property
    def square(self) -> bool:
        """Are the last two axes both sides of a matrix, such as a Gram matrix?"""
        value, names = self.value, [name for name, _ in self.axes[-2:]]
        of_one = not names or (len(names) == 2 and names[1] == (names[0] and f"{names[0]}′"))
        return value.ndim >= 2 + bool(self.steps) and value.shape[-1] == value.shape[-2] and of_one

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.value, dtype=dtype) if copy else np.asarray(self.value, dtype=dtype)

    def __float__(self) -> float:
        if self.value.ndim:
            raise TypeError(f"{self.name} is an array of shape {self.shape}, not one number")
        return float(self.value)

    def __repr__(self) -> str:
        if not self.shape:
            return f"{self.name} = {compact(float(self.value), float(self.error))} ({self.method})"
        first = " ".join(f"{x:.4g}" for x in self.value.flat[:4])
        more = " ..." if self.value.size > 4 else ""
        largest = rough(float(self.error.max(initial=0.0)))
        return f"{self.name} = [{shape_text(self.shape)}] {first}{more} ± {largest} ({self.method})"

    def _repr_html_(self) -> str:
        from tpl.report.html import result_html

        return result_html(self)

    @property
    def labelled(self) -> "Labelled":
        """The same numbers with names of axes and labels along them: `step`, and `X` and `X′` of a kernel over X."""
        from tpl.report.axes import axes_of
        from tpl.report.labelled import Labelled

        dims, coords = axes_of(self.name, self.shape, self.steps, known=self.axes)
        return Labelled(self.name, dims, coords, self.value, self.error, np.array(self.method))

    def sel(self, **labels: Any) -> "Labelled":
        """A part by its labels: `sel(step=50)`; see `Labelled.sel`."""
        return self.labelled.sel(**labels)

    def to_dict(self) -> dict[str, Any]:
        """The `tpl.labelled/1` object of docs/json.md; `Labelled.from_dict` reads it back."""
        return self.labelled.to_dict()

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Figure | Path":
        """Draw a matrix as a heat map with its numbers, anything else as `Labelled.plot` does. Raises ValueError on shapes
        that no picture shows. Returns the path, or without one a matplotlib Figure.
        """
        if len(self.shape) != 2 or self.steps or path is None:
            return self.labelled.plot(path)
        from tpl.report.plots import plot_matrix

        return plot_matrix(self, path)


def _frozen(x: ArrayLike) -> Floats:
    out = np.array(x, dtype=float)
    out.setflags(write=False)
    return out


def value_names(show_name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of a show's numbers, row-major, counted from 1: `nngp(f, X)[1, 2]`."""
    if not shape:
        return (show_name,)
    return tuple(f"{show_name}[{', '.join(str(i + 1) for i in index)}]" for index in np.ndindex(shape))


def place_of(key: int | str, names: Sequence[str]) -> int:
    """Where a show stands among names, spaces aside; a number is its own answer. Raises KeyError, with a suggestion."""
    if not isinstance(key, str):
        return key
    for place, name in enumerate(names):
        if "".join(name.split()) == "".join(key.split()):
            return place
    close = nearest(key, names)
    raise KeyError(f"no show {key!r}" + (f"; did you mean {close!r}?" if close else f"; there are {tuple(names)}"))


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """The answers of `tpl run`, in the order of the program's shows; `run[0]` and `run["nngp(f, X)"]` both work.

    inputs: descriptions of the data. seconds: wall time. plan: how expectations were found; empty if all was sampled.
    """

    title: str
    program_name: str
    program_class: str
    seed: int
    inputs: tuple[str, ...]
    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    plan: "tuple[Choice, ...]" = ()

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, key: int | str) -> Result:
        return self.results[place_of(key, self.names)]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(result.name for result in self.results)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw what was shown: curves along training, else matrices as heat maps, and lists of numbers.

        Raises ValueError if there are only single numbers, or arrays with more axes.
        """
        from tpl.report.run_plot import plot_run

        return plot_run(self, path)

    def __repr__(self) -> str:
        return "\n".join([f"{self.program_name} ({self.program_class})", *(f"  {r!r}" for r in self.results)])

    def _repr_html_(self) -> str:
        from tpl.report.html import run_html

        return run_html(self)

    def document(self) -> dict[str, Any]:
        """The `tpl.run/1` object of docs/json.md."""
        from tpl.report.schema import run_document

        return run_document(self)

    to_dict = document

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Run":
        """What `to_dict` gave. Raises ValueError on anything else."""
        from tpl.report.schema import read_run

        return read_run(data)

    def to_json(self, indent: int | None = 2) -> str:
        """The `tpl.run/1` document as strict JSON."""
        from tpl.report.schema import dumps

        return dumps(self.document(), indent)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a .npz file (the suffix is added if missing) and return its path.

        For a show `nngp(f, X)`: arrays `nngp_f_X` and `nngp_f_X__errors`. `metadata` is a JSON text: the run without
        its numbers, every result with the `key` of its array. Loads with allow_pickle=False.
        """
        arrays: dict[str, NDArray[Any]] = {}
        metadata = self.document()
        for result, entry in zip(self.results, metadata["results"], strict=True):
            key = _array_key(result.name, arrays)
            arrays[key], arrays[f"{key}__errors"] = result.value, result.error
            del entry["value"], entry["error"]
            entry["key"] = key
        arrays["metadata"] = np.array(json.dumps(metadata, ensure_ascii=False, allow_nan=False))
        target = Path(path)
        target = target if target.suffix.lower() == ".npz" else target.with_name(target.name + ".npz")
        with target.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        return target


def _array_key(name: str, taken: dict[str, Any]) -> str:
    """An identifier-like, unused name; `file`, `args` and so on are np.savez's own."""
    key = re.sub(r"\W+", "_", name).strip("_") or "show"
    if key in ("file", "args", "kwds", "allow_pickle", "metadata") or key[0].isdigit():
        key = f"show_{key}"
    candidate, count = key, 1
    while candidate in taken or f"{candidate}__errors" in taken:
        count += 1
        candidate = f"{key}_{count}"
    return candidate


@dataclass(frozen=True, eq=False, repr=False)
class Verification:
    """The answer of `tpl verify`. names and methods: one a value of `agreement` (see `value_names`).

    apart: values of which `tpl run` has other numbers than the sampled limit.
    """

    title: str
    program_name: str
    program_class: str
    seed: int
    inputs: tuple[str, ...]
    agreement: "Agreement"
    names: tuple[str, ...]
    methods: tuple[str, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    apart: int = 0

    def __post_init__(self) -> None:
        count = len(self.agreement.limit)
        if len(self.names) != count or len(self.methods) != count:
            raise ValueError(f"{count} values, but {len(self.names)} names and {len(self.methods)} methods")

    @property
    def ok(self) -> bool:
        return self.agreement.agrees and not self.apart

    @property
    def widths(self) -> tuple[int, ...]:
        return self.agreement.widths

    @property
    def seeds(self) -> tuple[int, ...]:
        """How many networks of each width."""
        return self.agreement.seeds

    def __repr__(self) -> str:
        return f"{self.program_name} ({self.program_class}) {verdict(self)}"

    def _repr_html_(self) -> str:
        from tpl.report.html import verification_html

        return verification_html(self)

    def document(self) -> dict[str, Any]:
        """The `tpl.verify/1` object of docs/json.md."""
        from tpl.report.schema import verify_document

        return verify_document(self)

    def to_json(self, indent: int | None = 2) -> str:
        """The `tpl.verify/1` document as strict JSON."""
        from tpl.report.schema import dumps

        return dumps(self.document(), indent)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw the convergence; the suffix of the path decides the format."""
        from tpl.report.plots import plot_verification

        return plot_verification(self, path)


class ShowShape(NamedTuple):
    """A show that a run would answer."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class CheckReport:
    """The answer of `tpl check`: what the program is, and estimates of what a run needs.

    lines counts all of the core program, and of one step where a network is trained; products are matrix times vector.
    assumptions: of Chen, Yang, Zhao and Gu (2025), on activations and inputs. regime: of training as the width grows.
    """

    title: str
    program_name: str
    program_class: str
    lines: int
    matrices: int
    products: int
    nonlinearities: int
    moments: int
    outputs: int
    memory_bytes: int
    seconds: float
    shows: tuple[ShowShape, ...] = ()
    inputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    assumptions: "Assumptions | None" = None
    regime: "Regime | None" = None

    @property
    def counts(self) -> dict[str, int]:
        names = ("lines", "matrices", "products", "nonlinearities", "moments", "outputs")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        """What `tpl check` prints."""
        from functools import partial

        from tpl.report.tables import print_check, text_of

        return text_of(partial(print_check, self))

    def __repr__(self) -> str:
        return f"{self.program_name} ({self.program_class}): {', '.join(f'{k:,} {name}' for name, k in self.counts.items())}"

    def _repr_html_(self) -> str:
        from tpl.report.html import check_html

        return check_html(self)

    def document(self) -> dict[str, Any]:
        """The `tpl.check/1` object of docs/json.md."""
        from tpl.report.schema import check_document

        return check_document(self)

    def to_json(self, indent: int | None = 2) -> str:
        """The `tpl.check/1` document as strict JSON."""
        from tpl.report.schema import dumps

        return dumps(self.document(), indent)
