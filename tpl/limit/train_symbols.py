"""Letters for a training's steps, examples and rates that the user's program does not use."""

from collections.abc import Iterable
from dataclasses import dataclass

from tpl.language import syntax as s
from tpl.limit import formula as f
from tpl.limit.formula import Formula

_CANDIDATES = {
    "step": ("t", "τ", "k", "T"),
    "earlier": ("s", "r", "q", "S"),
    "example": ("b", "a", "e", "p", "q", "β"),
    "row": ("j", "i", "k", "c", "r"),
    "signal": ("χ", "ε", "δ"),
    "rate": ("η", "ρ", "γ"),
    "momentum": ("μ", "κ", "m"),
    "decay": ("λ", "ω", "w"),
    "kept": ("α", "ζ", "A"),
    "learned": ("β", "ϑ", "B"),
    "velocity": ("ν", "υ", "U"),
    "batches": ("B", "S", "Q"),
    "loss": ("ℓ", "ϱ", "loss"),
}
_SPELLED = {
    "χ": "chi", "ε": "epsilon", "δ": "delta", "η": "eta", "ρ": "rho", "γ": "gamma", "μ": "mu", "κ": "kappa", "λ": "lambda",
    "ω": "omega", "α": "alpha", "ζ": "zeta", "β": "beta", "ϑ": "vartheta", "ν": "nu", "υ": "upsilon", "τ": "tau",
}  # fmt: skip


@dataclass(frozen=True)
class Symbols:
    """One letter each; `point` is what an input is called, `count` how many examples a step has."""

    step: str
    earlier: str
    example: str
    row: str
    signal: str
    rate: str
    momentum: str
    decay: str
    kept: str
    learned: str
    velocity: str
    batches: str
    loss: str
    point: str
    count: Formula
    minibatch: bool

    @property
    def now(self) -> Formula:
        return f.letter(self.step)

    @property
    def then(self) -> Formula:
        return f.letter(self.earlier)

    @property
    def seen(self) -> str:
        """An example: ξ_b."""
        return f"{self.point}_{self.example}"

    @property
    def before(self) -> Formula:
        """s < t."""
        return Formula("below", (self.then, self.now))

    def batch(self, step: Formula) -> Formula:
        """b = 1..N, or b ∈ B_s."""
        letter = f.letter(self.example)
        if not self.minibatch:
            return Formula("clause", (letter, f.ONE, self.count))
        return Formula("among", (letter, Formula("name", (step,), self.batches, "const")))

    def indexed(self, name: str, *indices: Formula) -> Formula:
        """A number over steps and examples."""
        return Formula("name", indices, name, "const")


def symbols(file: s.File, train: s.Train, count: Formula, minibatch: bool) -> Symbols:
    """Letters for a file. count: examples a step."""
    taken = set(_names(file))
    taken |= {_SPELLED[x] for x in _SPELLED if x in taken} | {x for x, word in _SPELLED.items() if word in taken}
    chosen: dict[str, str] = {}
    for meaning, candidates in _CANDIDATES.items():
        free = (x for x in candidates if x not in taken and _SPELLED.get(x) not in taken)
        chosen[meaning] = next(free, candidates[-1] + "′")
        taken.add(chosen[meaning])
    network = next(x for x in file.statements if isinstance(x, s.Network) and x.name == train.network)
    point = network.inputs[0].name if len(network.inputs) == 1 else "ξ"
    return Symbols(**chosen, point=point, count=count, minibatch=minibatch)


def _names(file: s.File) -> Iterable[str]:
    """Every name that the user gives."""
    for node in s.walk(tuple(x for x in file.statements if not isinstance(x, s.Train))):
        if isinstance(node, s.Name | s.Target | s.Const | s.Def | s.Width | s.Data | s.Input | s.Network):
            yield node.name
        elif isinstance(node, s.Clause):
            yield node.variable
        if isinstance(node, s.Def):
            yield from node.parameters
