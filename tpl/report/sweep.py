"""The answers of a sweep: for every show, its numbers over the settings that were run through."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tpl.report.labelled import Label, Labelled
from tpl.report.results import place_of
from tpl.report.schema import SWEEP, dumps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Failure(NamedTuple):
    """A point without numbers: its settings, and why."""

    settings: dict[str, Label]
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """One labelled array a show, in the program's order; `sweep[0]` and `sweep["nngp(f, X)"]` both work.

    swept: the settings and their values, which are the first axes of every array.
    """

    title: str
    program_name: str
    seed: int
    swept: Mapping[str, tuple[Label, ...]]
    results: tuple[Labelled, ...]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def __iter__(self) -> Iterator[Labelled]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, key: int | str) -> Labelled:
        return self.results[place_of(key, self.names)]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(result.name for result in self.results)

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Figure | Path":
        """The picture of the only show; of several, ask for one: `sweep["loss"].plot()`."""
        if len(self.results) != 1:
            raise ValueError(f"there are {len(self.results)} shows: choose one of {self.names}")
        return self.results[0].plot(path)

    def to_dict(self) -> dict[str, Any]:
        """The `tpl.sweep/1` object of docs/json.md."""
        return {
            "schema": SWEEP, "title": self.title, "program": self.program_name, "seed": self.seed,
            "swept": {name: list(labels) for name, labels in self.swept.items()},
            "results": [x.to_dict() for x in self.results],
            "failures": [{"settings": dict(x.settings), "reason": x.reason} for x in self.failures],
            "notes": list(self.notes), "seconds": self.seconds,
        }  # fmt: skip

    def to_json(self, indent: int | None = 2) -> str:
        """The same as strict JSON."""
        return dumps(self.to_dict(), indent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Sweep":
        """What `to_dict` gave. Raises ValueError on anything else."""
        if data.get("schema") != SWEEP:
            raise ValueError(f"this is no {SWEEP} object")
        swept = {name: tuple(labels) for name, labels in data["swept"].items()}
        failures = tuple(Failure(x["settings"], x["reason"]) for x in data["failures"])
        results = tuple(map(Labelled.from_dict, data["results"]))
        return cls(
            data["title"],
            data["program"],
            data["seed"],
            swept,
            results,
            failures,
            tuple(data["notes"]),
            data["seconds"],
        )

    def __repr__(self) -> str:
        over = " × ".join(f"{name} ({len(labels)})" for name, labels in self.swept.items())
        lost = [f"  {_settings(x.settings)}: {x.reason}" for x in self.failures]
        return "\n".join([f"{self.program_name} over {over}", *(f"  {x!r}" for x in self.results), *lost])

    def _repr_html_(self) -> str:
        from tpl.report.html import sweep_html

        return sweep_html(self)


def _settings(settings: Mapping[str, Label]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in settings.items())
