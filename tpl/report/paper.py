"""The numbers of `tpl paper`: what its figures draw, and what it saves."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

Floats = np.ndarray


@dataclass(frozen=True)
class Curves:
    """One measure: of networks [widths, records, ...], means over seeds; in the limit [records, ...].

    Errors are standard errors: value ± 2 error covers with 95%. extrapolated: where networks have an expansion in 1/n
    and are wide enough, what they tend to by least squares, without looking at the limit.
    """

    networks: Floats
    network_errors: Floats
    limit: Floats
    limit_errors: Floats
    extrapolated: Floats | None = None
    extrapolated_errors: Floats | None = None

    @property
    def resolved(self) -> Floats:
        """Where the limit can be told from zero."""
        return np.asarray(np.abs(self.limit) > 2 * self.limit_errors)

    @property
    def z(self) -> Floats | None:
        """Of extrapolation against limit, [records, ...]."""
        if self.extrapolated is None or self.extrapolated_errors is None:
            return None
        spread = np.hypot(self.extrapolated_errors, self.limit_errors)
        difference = self.extrapolated - self.limit
        return np.divide(difference, spread, out=np.zeros_like(difference), where=spread > 0)


@dataclass(frozen=True)
class Features:
    """What training does to features in one parametrization. measures: by the words of the program's shows."""

    parametrization: str
    widths: tuple[int, ...]
    steps: tuple[int, ...]
    measures: dict[str, Curves]


@dataclass(frozen=True)
class Ending:
    """Training in the limit until it stops: the loss, and the largest error signal |f - y|, at every record."""

    program: str
    title: str
    steps: tuple[int, ...]
    loss: Floats
    loss_errors: Floats
    signal: Floats
    signal_errors: Floats


@dataclass(frozen=True)
class Spread:
    """How the preactivations of the last layer are spread at one place: in the limit, or over wide networks' coordinates.

    Before and after training, along the first axis: deviation [2], densities [2, bins] of the first input's, over the
    ratio to the deviation; kurtosis [2], the excess, a mean over inputs.
    """

    deviation: Floats
    density: Floats
    kurtosis: Floats
    kurtosis_errors: Floats


@dataclass(frozen=True)
class Histogram:
    """edges: of bins, in deviations. width: of the networks."""

    activation: str
    width: int
    edges: Floats
    limit: Spread
    networks: Spread


@dataclass(frozen=True)
class Paper:
    """Everything that `tpl paper` computes. settings: with which widths, seeds, samples; seconds: of the whole run."""

    settings: dict[str, Any]
    features: tuple[Features, ...]
    endings: tuple[Ending, ...]
    histograms: tuple[Histogram, ...]
    seconds: float

    def save(self, path: str | os.PathLike[str]) -> Path:
        """All numbers as one JSON object, each beside its error."""
        target = Path(path)
        target.write_text(json.dumps(asdict(self), default=_plain, allow_nan=False, indent=1), encoding="utf-8")
        return target


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [float(f"{x:.6g}") for x in value] if value.ndim == 1 else list(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
