"""Perceptrons trained in many ways, each as a `.tp` text and as a `Case` of the reference trainer; and other networks.

Goals: every combination of a few factors (`covering`), and the initial weights of a run of ours, whether its matrices are
stored or were revealed lazily, so that the reference trainer can start from them.
"""

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tpl.core.training import Training
from tpl.language.source import Source
from tpl.pipeline import compile_program
from tpl.sampling.agreement import Agreement, compare
from tpl.sampling.operator import LazyGaussian
from tpl.sampling.train import Statistics, TrainingRun, TrainOptions
from tpl.sampling.train_many import Measured, train_many
from tpl.sampling.trained import TrainedLazy

sys.path.insert(0, str(Path(__file__).parent))
import reference

Levels = Mapping[str, Sequence]
Array = np.ndarray

# (a+b, c+2a) of input, hidden, readout, output bias: TP4 table 1; "mixed" trains all but hidden matrices in the limit.
SCALES = {
    "mup": ((0, -1), (0.5, 0), (1, 1), (0.5, 0)),
    "ntp": ((0, 0), (0.5, 1), (0.5, 1), (0, 0)),
    "sp": ((0, 1), (0.5, 1), (0.5, 1), (0, 1)),
    "ip": ((0, -1), (1, 0), (1, 1), (0.5, 0)),
    "mixed": ((0, -1), (0.5, 0.5), (1, 1), (0.5, 0)),
    "written": ((0, -1), (0.5, 0), (1, 1), (0.5, 0)),
}
WORDS = {"mixed": "abc(a=[-1/2, 1/4, 1/2], b=[1/2, 1/4, 1/2], c=0)"}
FACTORS: dict[str, list] = {
    "depth": [1, 2, 3, 4],
    "activation": ["tanh", "relu", "silu", "erf"],
    "loss": ["squared", "squared 3", "logistic", "cross_entropy"],
    "scale": list(SCALES),
    "biases": [False, True],
    "momentum": [0, 0.8],
    "decay": [0, 0.1],
    "batch": ["all", "given", "shuffled"],
    "rate": ["0.3", "0.5 / (1 + t / 4)"],
    "tests": [False, True],
}

SHOWS = "loss, f, gram(h[l]), cross_gram(x[l]), min_eig(gram(x[L])), feature_change(h[l])"


def covering(factors: Levels, strength: int, seed: int = 0) -> list[dict]:
    """Rows of levels in which every choice of levels of every `strength` factors occurs."""
    rng = random.Random(seed)
    groups = list(combinations(factors, strength))
    left = {(g, levels): None for g in groups for levels in product(*(factors[x] for x in g))}
    rows = []

    def covered(row: dict) -> list:
        keys = [(g, tuple(row[x] for x in g)) for g in groups]
        return [key for key in keys if key in left]

    while left:
        names, levels = next(iter(left))
        fixed = dict(zip(names, levels, strict=True))
        tried = [{x: rng.choice(list(some)) for x, some in factors.items()} | fixed for _ in range(40)]
        rows.append(max(tried, key=lambda row: len(covered(row))))
        for key in covered(rows[-1]):
            del left[key]
    return rows


@dataclass(frozen=True)
class Case:
    """A perceptron and how it is trained. N, d: of the data. `rate` is an expression in t."""

    depth: int = 2
    activation: str = "tanh"
    loss: str = "squared"
    scale: str = "mup"
    biases: bool = False
    momentum: float = 0
    decay: float = 0
    batch: str = "all"
    rate: str = "0.3"
    tests: bool = False
    steps: int = 5
    record: int = 2
    N: int = 5
    d: int = 3
    sigma: float = 1.2
    start: str | None = None
    shows: str = SHOWS

    @property
    def k(self) -> int:
        return 3 if self.loss in ("squared 3", "cross_entropy") else 1

    @property
    def name(self) -> str:
        extras = [word for word, on in (("biases", self.biases), ("momentum", self.momentum), ("decay", self.decay),
                                        ("schedule", "t" in self.rate), ("tests", self.tests)) if on]  # fmt: skip
        batch = [] if self.batch == "all" else [self.batch]
        return "-".join([f"{self.depth}", self.activation, self.loss.replace(" ", ""), self.scale, *batch, *extras])

    def data(self) -> dict[str, Array]:
        """X [N, d], y [N] or [N, k], and as many of each to test."""
        rng = np.random.default_rng(7)
        X, Xt = rng.standard_normal((2, self.N, self.d))
        if self.k == 1:
            y, yt = np.resize([1.0, -1.0, -1.0], (2, self.N))
        else:
            y, yt = np.random.default_rng(8).dirichlet(np.ones(self.k), (2, self.N))
        return {"X": X, "y": y, "Xt": Xt, "yt": yt} if self.tests else {"X": X, "y": y}

    @property
    def text(self) -> str:
        s = self.sigma**2
        rates = {"U": " rate n", "W": " rate 1", "v": " rate 1/n", "b": " rate n", "c": " rate 1"}
        powers = {"U": "1", "W": "n", "v": "n^2", "b": "1", "c": "n"}  # of variances, in mup
        own = self.scale == "written"
        p, r = (
            (powers, rates) if own else ({"v": "n", "U": "1", "W": "n", "b": "1", "c": "1"}, dict.fromkeys(rates, ""))
        )
        bias = f"param b[l] : [n] ~ N(0, 0.3 / {p['b']}){r['b']}" if self.biases else ""
        k, out = self.k, f"param c : [{self.k}] ~ N(0, 0.5 / {p['c']}){r['c']}" if self.biases else ""
        settings = {
            "parametrization": None if own else WORDS.get(self.scale, self.scale),
            "loss": "(f - y)^2 / 2" if self.loss == "squared" else f"{self.loss.split()[0]}(f, y)",
            "rate": self.rate, "steps": self.steps, "record": self.record,
            "momentum": self.momentum or None, "weight_decay": self.decay or None,
            "batch": None if self.batch == "all" else 2,
            "order": {"all": None, "given": "given", "shuffled": "shuffled(seed=3)"}[self.batch],
            "start": self.start, "test": "[Xt, yt]" if self.tests else None,
        }  # fmt: skip
        lines = "\n".join(f"    {name} = {value}" for name, value in settings.items() if value is not None)
        shape = f"[N, {k}]" if k > 1 else "[N]"
        data = [f"data X[N, {self.d}]", f"data y{shape}"]
        data += [f"data Xt[Nt, {self.d}]", f"data yt{shape.replace('N', 'Nt')}"] if self.tests else []
        plus = ("+ b[l]", "+ c") if self.biases else ("", "")
        return f"""
const L = {self.depth}
width n
{chr(10).join(data)}
network f(xi[{self.d}]):
    param U : [n, {self.d}] ~ N(0, {s} / {self.d}){r["U"]}
    {bias.replace("[l]", "[1]")}
    h[1] = U @ xi {plus[0].replace("[l]", "[1]")}
    x[1] = {self.activation}(h[1])
    for l in 2..L:
        param W[l] : [n, n] ~ N(0, {s} / {p["W"]}){r["W"]}
        {bias}
        h[l] = W[l] @ x[l-1] {plus[0]}
        x[l] = {self.activation}(h[l])
    param v : [{k}, n] ~ N(0, 1.5 / {p["v"]}){r["v"]}
    {out}
    return v @ x[L] {plus[1]}
train f on X, y:
{lines}
show {self.shows}
{"show test_loss, test_f" if self.tests else ""}
"""

    def training(self) -> Training:
        return trained(self.text, self.data())

    def network(self) -> reference.Network:
        scales = dict(zip(("input", "hidden", "readout", "bias"), SCALES[self.scale], strict=True))
        bias, out = (np.sqrt(0.3), np.sqrt(0.5)) if self.biases else (None, None)
        return reference.Network(scales, self.depth, self.activation, self.k, self.sigma, np.sqrt(1.5), bias, out,
                                 own_rates=self.scale == "written")  # fmt: skip

    def schedule(self, training: Training) -> reference.Training:
        """Permutations are those of `training`; everything else is worked out again."""
        batches: list = [None] * self.steps
        if self.batch == "given":
            batches = [[(2 * t + i) % self.N for i in range(2)] for t in range(self.steps)]
        elif self.batch == "shuffled":
            batches = [list(row) for row in training.schedule.batches(self.N)]
        rates = {"0.3": lambda t: 0.3, "0.5 / (1 + t / 4)": lambda t: 0.5 / (1 + t / 4)}
        return reference.Training(batches, rates[self.rate], self.loss.split()[0], self.momentum, self.decay)


EIGENVALUES = "min_eig(gram(h[l])), min_eig(joint_gram(h[l]))"
_COMMON = {"N": 4, "steps": 8, "record": 4, "shows": f"{SHOWS}, {EIGENVALUES}"}
# Feature change has no expansion in 1/n where it falls like n^{-1/2}, nor a limit where features start at zero (IP).
_NO_CHANGE = {**_COMMON, "shows": f"{SHOWS.rsplit(',', 1)[0]}, {EIGENVALUES}"}
COMPARED = [
    Case(1, "tanh", "squared", "mup", **_COMMON),
    Case(1, "relu", "logistic", "mup", batch="given", momentum=0.8, **_COMMON),
    Case(2, "silu", "squared", "mup", biases=True, tests=True, **_COMMON),
    Case(2, "erf", "cross_entropy", "mup", momentum=0.8, **_COMMON),
    Case(3, "tanh", "logistic", "mup", batch="shuffled", decay=0.1, **_COMMON),
    Case(3, "relu", "squared", "mup", rate="0.5 / (1 + t / 4)", tests=True, **_COMMON),
    Case(3, "silu", "cross_entropy", "written", batch="given", momentum=0.8, biases=True, **_COMMON),
    Case(4, "erf", "squared", "mup", momentum=0.8, **_COMMON),
    Case(4, "tanh", "squared", "mup", batch="shuffled", rate="0.5 / (1 + t / 4)", **_COMMON),
    Case(4, "relu", "logistic", "mup", decay=0.1, **_COMMON),
    Case(2, "tanh", "squared", "mixed", batch="given", **_COMMON),
    Case(3, "erf", "squared 3", "mixed", biases=True, decay=0.1, **_COMMON),
    Case(2, "tanh", "squared", "ip", **_NO_CHANGE),
    Case(3, "silu", "squared", "ip", biases=True, momentum=0.8, rate="0.5 / (1 + t / 4)", **_NO_CHANGE),
    Case(2, "tanh", "squared", "ntp", tests=True, **_NO_CHANGE),
    Case(3, "erf", "logistic", "ntp", batch="shuffled", **_NO_CHANGE),
    Case(3, "relu", "squared", "sp", momentum=0.8, **_NO_CHANGE),
    Case(1, "silu", "logistic", "sp", batch="given", biases=True, **_NO_CHANGE),
]


def trained(text: str, data: Mapping[str, Array] | None = None) -> Training:
    training = compile_program(Source(text, "agreement.tp"), data).program.training
    assert training is not None
    return training


# ---------------------------------------------------------------------------------------------- the limit and networks


class Effort(NamedTuple):
    """Replicates of the limit with so many samples each; networks: width -> how many of them."""

    samples: int
    replicates: int
    networks: Mapping[int, int]


SMALL = Effort(2048, 16, {64: 48, 128: 32, 256: 32})
FULL = Effort(8192, 24, {64: 192, 128: 128, 256: 96, 512: 64})


class Compared(NamedTuple):
    """names: of the show that each of the values belongs to. estimates: z of the reported values and their errors."""

    names: Array
    agreement: Agreement
    estimates: Array

    def worst(self, name: str) -> float:
        """The largest |z| among the values of one show."""
        return float(np.abs(self.agreement.z[(self.names == name) & self.agreement.distinct]).max(initial=0.0))


def limit_and_networks(
    training: Training, effort: Effort, level: float = 1e-3, seed: int = 0, limit: Training | None = None
) -> Compared:
    """Everything that is shown, at all recorded steps: sampled in the limit, and extrapolated from networks in 1/n.

    limit: another training that has the limit to compare with.
    """
    sampled = training if limit is None else limit
    options = TrainOptions(effort.samples, False, "lazy", 1e-3, seed)
    recorded = train_many(sampled, options, effort.replicates)
    networks = {
        n: _flat(training, train_many(training, TrainOptions(n, True, "dense", seed=seed), count))
        for n, count in effort.networks.items()
    }
    agreement = compare(_flat(sampled, recorded), networks, effort.samples, level)
    measured = Measured(sampled)
    names = [[show.name] * int(np.prod(shape)) for show, shape in zip(training.shows, measured.shapes(), strict=True)]
    told = measured.estimates(recorded, "")
    value, error = (np.concatenate([getattr(x, part).ravel() for x in told]) for part in ("value", "error"))
    spread = np.sqrt(error**2 + agreement.extrapolated_error**2 + (1e-9 * (1 + np.abs(value))) ** 2)
    return Compared(np.concatenate(names), agreement, (agreement.extrapolated - value) / spread)


def _flat(training: Training, recorded: Statistics) -> Array:
    """Everything shown, [replicates, values]."""
    shown = Measured(training).single(recorded)
    return np.concatenate([x.reshape(len(x), -1) for x in shown], axis=1)


# ---------------------------------------------------------------------------------------------- weights of our runs


def hidden_weights(run: TrainingRun) -> dict[str, Array]:
    """W2, …, WL at the start: of a run that has made no step; where matrices are lazy, of one that has ended.

    What a lazy matrix has not been asked for is drawn now.
    """
    identity = np.eye(run.options.base_width)
    found = {}
    for parameter in run.training.parameters:
        if parameter.group == "hidden":
            operator = run.operators[parameter.lines[0]]
            apply = LazyGaussian.apply if isinstance(operator, TrainedLazy) else type(operator).apply
            found["W" + parameter.name[2:-1]] = apply(operator, identity).T
    return found


def other_weights(run: TrainingRun, inputs: Array) -> dict[str, Array]:
    """W1, V, b1, …, bL and c of a run that has made no step. inputs [N, d]: of rank d, U has been applied to them."""
    found, n = {}, run.options.base_width
    for parameter in run.training.parameters:
        lines, name = parameter.lines, parameter.name
        if name == "U":
            found["W1"] = np.linalg.lstsq(inputs, _images(run, lines[0], inputs), rcond=None)[0].T
        elif name == "v":
            found["V"] = np.array([run.vectors[i].value for i in lines]) * float(n) ** -float(run.training.regime.u)
        elif name == "c":
            found["c"] = np.array([float(run.numbers[i].value) for i in lines])
        elif name.startswith("b["):
            found["b" + name[2:-1]] = run.vectors[lines[0]].value.copy()
    return found


def _images(run: TrainingRun, matrix: int, inputs: Array) -> Array:
    """U ξ for every input, [N, n]."""
    places = {run.program.lines[line].row: place for line, place in run.image_rows[matrix].items()}
    return np.array([run.images[matrix].value[places[tuple(row)]] for row in inputs.tolist()])
