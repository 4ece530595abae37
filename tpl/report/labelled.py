"""Numbers whose axes have names and whose places have labels: single results, and results over settings."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tpl.language.source import nearest
from tpl.report.layout import Floats, compact, rough
from tpl.report.schema import LABELLED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Label = int | float | str
Strings = NDArray[np.str_]


@dataclass(frozen=True, eq=False, repr=False)
class Labelled:
    """An array of numbers with errors of the same shape; `dims` names its axes, `coords` labels the places along each.

    The first axes, as many as `methods` has, are those of a sweep: each of their places has its method, or else a reason
    why there is none; then its numbers are NaN. at: labels along axes that were dropped by `sel`. Behaves as its values in numpy functions. Raises ValueError on shapes that
    do not fit.
    """

    name: str
    dims: tuple[str, ...]
    coords: Mapping[str, tuple[Label, ...]]
    value: Floats
    error: Floats
    methods: Strings
    reasons: Strings = field(default_factory=lambda: np.array(""))
    at: Mapping[str, Label] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = tuple(len(self.coords[dim]) for dim in self.dims)
        if len(set(self.dims)) < len(self.dims) or set(self.coords) != set(self.dims):
            raise ValueError(f"{self.name}: an axis without a name of its own")
        if self.value.shape != shape or self.error.shape != shape or self.methods.shape != shape[: self.methods.ndim]:
            raise ValueError(f"{self.name}: labels for shape {shape}, but numbers of shape {self.value.shape}")
        object.__setattr__(self, "reasons", np.broadcast_to(self.reasons, self.methods.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def method(self) -> str:
        """All methods that there are, `; ` between them."""
        return "; ".join(dict.fromkeys(x for x in self.methods.ravel().tolist() if x))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.value, dtype=dtype) if copy else np.asarray(self.value, dtype=dtype)

    def __float__(self) -> float:
        if self.value.ndim:
            raise TypeError(f"{self.name} has axes {self.dims}: it is not one number")
        return float(self.value)

    # ------------------------------------------------------------------------------------------ parts
    def sel(self, **labels: Any) -> "Labelled":
        """The part at some labels. One label along an axis drops the axis, a list of labels keeps it.

        Raises KeyError for axes and labels that there are not.
        """
        found = self
        for dim, label in labels.items():
            found = found._along(dim, label)
        return found

    def _along(self, dim: str, label: Any) -> "Labelled":
        if dim not in self.dims:
            close = nearest(dim, self.dims)
            raise KeyError(f"no axis {dim!r}" + (f"; did you mean {close!r}?" if close else f"; axes: {self.dims}"))
        axis, several = self.dims.index(dim), isinstance(label, list | tuple | range | np.ndarray)
        places = [self._place(dim, x) for x in label] if several else self._place(dim, label)
        own = axis < self.methods.ndim
        value, error = (np.asarray(np.take(x, places, axis)) for x in (self.value, self.error))
        methods, reasons = (np.asarray(np.take(x, places, axis) if own else x) for x in (self.methods, self.reasons))
        coords = {k: v for k, v in self.coords.items() if k != dim or several}
        if isinstance(places, list):
            coords[dim] = tuple(self.coords[dim][i] for i in places)
        dims = tuple(x for x in self.dims if x in coords)
        at = self.at if several else {**self.at, dim: self.coords[dim][places]}  # type: ignore[index]
        return Labelled(self.name, dims, {x: coords[x] for x in dims}, value, error, methods, reasons, at)

    def _place(self, dim: str, label: Any) -> int:
        for i, known in enumerate(self.coords[dim]):
            if known == label or (
                not isinstance(label, str) and not isinstance(known, str) and np.isclose(known, label, 1e-12, 0)
            ):
                return i
        raise KeyError(f"{dim} has no place {label!r}: it has {_few(self.coords[dim])}")

    # ------------------------------------------------------------------------------------------ elsewhere
    def to_dict(self) -> dict[str, Any]:
        """The `tpl.labelled/1` object of docs/json.md: plain lists, with None for NaN."""
        return {
            "schema": LABELLED, "name": self.name, "dims": list(self.dims),
            "coords": {dim: list(labels) for dim, labels in self.coords.items()},
            "value": _plain(self.value), "error": _plain(self.error), "methods": self.methods.tolist(),
            "reasons": self.reasons.tolist(), "at": dict(self.at),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Labelled":
        """What `to_dict` gave. Raises ValueError on anything else."""
        if data.get("schema") != LABELLED:
            raise ValueError(f"this is no {LABELLED} object")
        coords = {dim: tuple(labels) for dim, labels in data["coords"].items()}
        shape = tuple(len(coords[dim]) for dim in data["dims"])
        value, error = (np.array(data[x], dtype=float).reshape(shape) for x in ("value", "error"))
        methods, reasons = (np.array(data[x], dtype=str) for x in ("methods", "reasons"))
        return cls(data["name"], tuple(data["dims"]), coords, value, error, methods, reasons, data["at"])

    def to_xarray(self) -> Any:
        """An xarray.Dataset with variables `value`, `error` and `method`. Raises ImportError without xarray."""
        xarray = _needed("xarray")
        swept = self.dims[: self.methods.ndim]
        variables = {
            "value": (self.dims, self.value), "error": (self.dims, self.error), "method": (swept, self.methods),
        }  # fmt: skip
        coords = {**{dim: (dim, list(labels)) for dim, labels in self.coords.items()}, **self.at}
        return xarray.Dataset(variables, coords, {"name": self.name})

    def to_pandas(self) -> Any:
        """A pandas.DataFrame, a row a number: its labels, value, error and method. Raises ImportError without pandas."""
        pandas = _needed("pandas")
        places = np.indices(self.shape).reshape(len(self.shape), -1) if self.shape else np.zeros((0, 1), int)
        columns: dict[str, Any] = {
            dim: [self.coords[dim][i] for i in places[axis]] for axis, dim in enumerate(self.dims)
        }
        methods = np.broadcast_to(
            self.methods.reshape(self.methods.shape + (1,) * (len(self.shape) - self.methods.ndim)), self.shape
        )
        columns |= {"value": self.value.ravel(), "error": self.error.ravel(), "method": methods.ravel().tolist()}
        return pandas.DataFrame(columns)

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Figure | Path":
        """Curves with error bands, or a heat map of two axes; a matplotlib Figure, or the path that it was written to.

        Raises ImportError without matplotlib, ValueError for shapes that no picture shows.
        """
        from tpl.report.labelled_plot import plot_labelled

        _needed("matplotlib", "plot")
        return plot_labelled(self, path)

    @property
    def title(self) -> str:
        """The name, and where it was taken."""
        return self.name + (
            f" at {', '.join(f'{dim} = {label_text(x)}' for dim, x in self.at.items())}" if self.at else ""
        )

    def __repr__(self) -> str:
        if not self.shape:
            return f"{self.title}{':' if self.at else ' ='} {compact(float(self.value), float(self.error))} ({self.method})"
        axes = ", ".join(f"{dim}: {_few(labels)}" for dim, labels in self.coords.items())
        largest = rough(float(np.nanmax(self.error, initial=0.0)))
        missing = int(np.isnan(self.value).sum())
        lost = f", {missing} missing" if missing else ""
        return f"{self.title} [{axes}] ± {largest}{lost} ({self.method})"

    def _repr_html_(self) -> str:
        from tpl.report.html import labelled_html

        return labelled_html(self)


def label_text(label: Label) -> str:
    """A label as tables and pictures show it."""
    return label if isinstance(label, str) else f"{label:g}"


def _few(labels: Sequence[Label]) -> str:
    shown = [label_text(x) for x in labels]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "…", shown[-1]])


def _plain(x: Floats) -> Any:
    """Nested lists with None for NaN, which JSON does not have."""
    objects = x.astype(object)
    objects[np.isnan(x)] = None
    return objects.tolist()


def _needed(package: str, extra: str = "labels") -> Any:
    """An optional package. Raises ImportError that says what to install."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f"this needs {package}: pip install 'tpl[{extra}]'") from None
