"""`tpl paper`: the experiments of Chen, Yang, Zhao & Gu (2025, section 6), at finite widths and in the limit."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tpl.core.training import Training
from tpl.language.source import Diagnostic, Source, TplError
from tpl.pipeline import compile_program, read_source
from tpl.report.paper import Curves, Ending, Features, Histogram, Paper, Spread
from tpl.stages.common import Progress, Steps
from tpl.stages.simulate import guarded
from tpl.stages.train import DEFAULT_TOLERANCE, training_of

if TYPE_CHECKING:
    from tpl.sampling.train import Statistics, TrainOptions

PARAMETRIZATIONS = ("sp", "ntp", "ip", "mup")
ENDINGS = ("convergence", "degenerate", "relu", "linear")
ACTIVATIONS = {"tanh": "tanh(z)", "relu": "relu(z)"}
WIDEST_DEVIATION, BINS = 4.5, 45  # of the histograms
MAX_WIDTH = 2**14
DENSE = 1024  # up to which matrices are stored; wider ones are revealed lazily, which is exact in law and faster
VECTORS_A_WIDTH = 8  # networks have an expansion in 1/n if they are so many times wider than their joint Gram matrix
EXACT = 1e-7  # tolerance of rank truncation that nothing here can tell from none


@dataclass(frozen=True)
class PaperOptions:
    """How much is computed. settings, data: of the program paper/features, as --set and --data take them."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096)
    seeds: int = 6
    samples: int = 8192
    replicates: int = 16
    seed: int = 0
    threads: int | None = None
    settings: tuple[str, ...] = ()


QUICK = PaperOptions(widths=(64, 256, 1024), seeds=4, samples=2048, replicates=8)


def reproduce(options: PaperOptions, data: Mapping[str, Any] | None = None, progress: Progress | None = None) -> Paper:
    """Train networks and the limit in every parametrization. Raises TplError as `run_limit` does."""
    start = time.perf_counter()
    _check(options)
    study = _Study(options, data or {})
    study.count(progress)
    features = tuple(study.features(name) for name in PARAMETRIZATIONS)
    endings = tuple(study.ending(name) for name in ENDINGS)
    histograms = tuple(study.histogram(name) for name in ACTIVATIONS)
    settings = {k: v for k, v in asdict(options).items() if k != "threads"}
    settings["inputs"] = study.inputs
    return Paper(settings, features, endings, histograms, time.perf_counter() - start)


def _check(options: PaperOptions) -> None:
    problem = None
    if not options.widths or min(options.widths) < 2 or max(options.widths) > MAX_WIDTH:
        problem = f"widths must lie between 2 and {MAX_WIDTH:,}"
    elif min(options.seeds, options.replicates) < 2:
        problem = "error bars need two seeds and two replicates"
    if problem is not None:
        raise TplError(Source("", "paper"), [Diagnostic(None, problem, "for instance --widths 64,256,1024 --seeds 4")])


class _Study:
    """One run of `tpl paper`."""

    def __init__(self, options: PaperOptions, data: Mapping[str, Any]):
        self.options = options
        self.inputs: tuple[str, ...] = ()
        self._features = {
            name: self._training("features", data, f"parametrization={name}") for name in PARAMETRIZATIONS
        }
        self._endings = {name: _at_every_step(self._training(name, {})) for name in ENDINGS}
        self._histograms = {
            name: _ends_only(self._training("features", data, f"phi(z)={phi}")) for name, phi in ACTIVATIONS.items()
        }

    def _training(self, name: str, data: Mapping[str, Any], *settings: str) -> Training:
        own = (*self.options.settings, *settings) if name == "features" else ()
        compiled = compile_program(read_source(f"paper/{name}"), data, own)
        training = training_of(compiled.program)
        if name == "features":
            self.inputs = tuple(f"{k}: {v.description}" for k, v in compiled.inputs.items())
        return replace(training, program=replace(training.program, source=compiled.program.source))

    def count(self, progress: Progress | None) -> None:
        """Announce how many steps there will be."""
        options = self.options
        networks = options.seeds * len(options.widths)
        total = sum(_ticks(t) * (networks + options.replicates) for t in self._features.values())
        total += sum(_ticks(t) * options.replicates for t in self._endings.values())
        total += sum(_ticks(t) * (options.seeds + options.replicates) for t in self._histograms.values())
        self._steps = Steps(progress, total)

    # ------------------------------------------------------------------------------------------ runs
    @property
    def _limit(self) -> "TrainOptions":
        from tpl.sampling.train import TrainOptions

        return TrainOptions(self.options.samples, False, "lazy", DEFAULT_TOLERANCE, self.options.seed)

    def _network(self, width: int) -> "TrainOptions":
        from tpl.sampling.train import TrainOptions

        if width <= DENSE:
            return TrainOptions(width, True, "dense", 0.0, self.options.seed)
        return TrainOptions(width, True, "lazy", EXACT, self.options.seed)

    def _run(self, training: Training, options: "TrainOptions", count: int) -> "Statistics":
        from tpl.sampling.train_many import train_many

        report = self._steps.advance(_ticks(training) * count)
        return guarded(training.program, lambda: train_many(training, options, count, self.options.threads, report))

    # ------------------------------------------------------------------------------------------ parts
    def features(self, parametrization: str) -> Features:
        """Every measure of paper/features, at every width and in the limit."""
        from tpl.sampling.train_many import Measured

        training, options = self._features[parametrization], self.options
        measured = Measured(training)
        limit = measured.estimates(self._run(training, self._limit, options.replicates), "")
        networks = {
            n: measured.single(self._run(training, self._network(n), options.seeds)) for n in sorted(options.widths)
        }
        measures = {}
        for k, (shown, estimate) in enumerate(zip(training.shows, limit, strict=True)):
            of_widths = {n: x[k] for n, x in networks.items()}
            means, errors = zip(*map(_mean_and_error, of_widths.values()), strict=True)
            found = _extrapolated(of_widths, 2 * len(training.examples)) if parametrization == "mup" else (None, None)
            measures[shown.name] = Curves(np.array(means), np.array(errors), estimate.value, estimate.error, *found)
        return Features(parametrization, tuple(networks), training.schedule.records, measures)

    def ending(self, name: str) -> Ending:
        """The loss and the error signals of a program that trains until nothing moves."""
        from tpl.sampling.train_many import Measured

        training = self._endings[name]
        found = Measured(training).estimates(self._run(training, self._limit, self.options.replicates), "")
        by_name = {shown.name: estimate for shown, estimate in zip(training.shows, found, strict=True)}
        loss, f = by_name["loss"], by_name["f"]
        targets = np.array([e.targets for e in training.examples]).reshape(1, -1)
        signals = np.abs(f.value.reshape(len(loss.value), -1) - targets)
        title = training.program.source.text.strip().strip('"').split("\n")[0]
        return Ending(name, title, training.schedule.records, loss.value, loss.error, signals.max(axis=1),
                      f.error.reshape(len(loss.value), -1).max(axis=1))  # fmt: skip

    def histogram(self, activation: str) -> Histogram:
        """The last layer's preactivations before and after training."""
        training, width = self._histograms[activation], max(self.options.widths)
        limit = self._spread(training, self._limit, self.options.replicates)
        networks = self._spread(training, self._network(width), self.options.seeds)
        return Histogram(activation, width, _edges(), limit, networks)

    def _spread(self, training: Training, options: "TrainOptions", count: int) -> Spread:
        from tpl.sampling.estimate import run_many
        from tpl.sampling.train import TrainingRun

        variable = [name for name in training.variables if name.startswith("h[")][-1]

        def one(replicate: int, tick: Any, cancelled: Any) -> np.ndarray:
            run = TrainingRun(training, options, replicate)
            ends = [run.features(variable)]
            while not (run.done or cancelled()):
                run.advance()
                tick()
            return np.array([*ends, run.features(variable)])

        ticks = _ticks(training)
        report = self._steps.advance(ticks * count)
        return _spread(guarded(training.program, lambda: run_many(one, count, self.options.threads, report, ticks)))


def _extrapolated(networks: Mapping[int, np.ndarray], vectors: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What one measure of networks [seeds, ...] tends to, and its error, from those wide enough to tell."""
    from tpl.sampling.agreement import compare

    wide = {n: x.reshape(len(x), -1) for n, x in networks.items() if n >= VECTORS_A_WIDTH * vectors}
    if len(wide) < 2:
        return None, None
    shape = next(iter(networks.values())).shape[1:]
    found = compare(next(reversed(wide.values())), wide)  # of which only the extrapolation is used
    return found.extrapolated.reshape(shape), found.extrapolated_error.reshape(shape)


def _at_every_step(training: Training) -> Training:
    return replace(training, schedule=replace(training.schedule, records=tuple(range(training.schedule.steps + 1))))


def _spread(ends: list[np.ndarray]) -> Spread:
    """From replicates of [2, inputs, size]."""
    values = np.array([x[:, 0] for x in ends])
    deviation = values.std(axis=(0, 2))
    density = [np.histogram(values[:, k] / deviation[k], _edges())[0] / values[:, k].size for k in (0, 1)]
    centred = [x - x.mean(axis=-1, keepdims=True) for x in ends]
    mean, error = _mean_and_error(np.array([_excess_kurtosis(z).mean(axis=-1) for z in centred]))
    return Spread(deviation, np.array(density) / np.diff(_edges()), mean, error)


def _excess_kurtosis(centred: np.ndarray) -> np.ndarray:
    """Over the last axis; without bias for Gaussian samples (Joanes and Gill 1998, G2)."""
    n = centred.shape[-1]
    plain = (centred**4).mean(axis=-1) / (centred**2).mean(axis=-1) ** 2 - 3
    return np.asarray((n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * plain + 6))


def _edges() -> np.ndarray:
    return np.linspace(-WIDEST_DEVIATION, WIDEST_DEVIATION, BINS + 1)


def _mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over the first axis, with Student's error."""
    from tpl.sampling.estimate import student_two_sigma

    count = len(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(count) * (student_two_sigma(count - 1) / 2)
    return values.mean(axis=0), error


def _ends_only(training: Training) -> Training:
    """The same training, measured before it and after it."""
    schedule = training.schedule
    return replace(training, schedule=replace(schedule, records=tuple(dict.fromkeys((0, schedule.steps)))))


def _ticks(training: Training) -> int:
    return training.schedule.steps + 1
